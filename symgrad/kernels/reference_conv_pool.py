"""What convolution with pooling means where the places of the maxima are kept: the oracle of its kernels.

A place is counted along the rows of its window, as uint8. Windows lie side by side; what none covers is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad.kernels import reference, reference_pooling, scalar_functions
from symgrad.kernels.grammar import ScalarFunction

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]

ACTIVATIONS = {
    "rectify": ScalarFunction("rectify", scalar_functions.relu),
    "tanh": ScalarFunction("tanh", np.tanh),
    "sigmoid": ScalarFunction("sigmoid", "scipy.special:expit"),
}
"""The functions that may follow the maximum; all of them grow with it."""


def window_places(images: Array, window: Pair) -> Array:
    """Return (places, ..., H', W'): for each place of the windows, the pixels there; a copy.

    Examples
    --------
    >>> window_places(np.arange(8).reshape(2, 4), (2, 2))[:, 0, 0].tolist()
    [0, 1, 4, 5]
    """
    down, across = images.shape[-2] // window[0], images.shape[-1] // window[1]
    return np.stack([
        images[..., i : down * window[0] : window[0], j : across * window[1] : window[1]]
        for i in range(window[0]) for j in range(window[1])
    ])  # fmt: skip


def maximum_places(images: Array, window: Pair) -> Array:
    """Return (..., H', W') uint8: where in its window the maximum is; the first of several, nan before numbers."""
    return np.argmax(window_places(images, window), axis=0).astype("uint8")


def conv_pool(
    images: Array,
    filters: Array,
    bias: Array | None,
    padding: reference.Padding,
    flip: bool,
    window: Pair,
    bias_first: bool,
    activation: str | None,
    activation_first: bool = False,
) -> tuple[Array, Array, Array]:
    """Return the pooled convolution after and before its activation, and the places of the maxima.

    With `activation_first`, what pooling takes of the images before the activation is what stands at these places.

    Parameters
    ----------
    images, filters, padding, flip
        As `symgrad.kernels.reference.conv2d` has them.
    bias : (K,) array, optional
        Added to each output channel.
    window : (int, int)
        Sizes of the pooling windows.
    bias_first : bool
        Whether the bias is added before the maximum is taken.
    activation : str, optional
        One of `ACTIVATIONS`.
    activation_first : bool
        Whether it is applied before the maximum is taken; then so is the bias.
    """
    output = reference.conv2d(images, filters, padding, flip=flip)
    shift = None if bias is None else bias[:, None, None]
    if shift is not None and (bias_first or activation_first):
        output = output + shift
    if activation_first and activation is not None:
        activated = ACTIVATIONS[activation].numpy(output)
        places = maximum_places(activated, window)
        linear = np.take_along_axis(window_places(output, window), places[None].astype(int), 0)[0]
        return reference_pooling.pool2d(activated, window), linear, places
    linear = reference_pooling.pool2d(output, window)
    places = maximum_places(output, window)
    if shift is not None and not bias_first:
        linear = linear + shift
    return (linear if activation is None else ACTIVATIONS[activation].numpy(linear)), linear, places


def at_places(values: Array, places: Array, window: Pair, size: Sequence[int]) -> Array:
    """Return images (..., H, W) of zeros with each window's value at its place.

    Examples
    --------
    >>> at_places(np.array([[5.0]]), np.array([[2]], "uint8"), (2, 2), (2, 3)).tolist()
    [[0.0, 0.0, 0.0], [5.0, 0.0, 0.0]]
    """
    images = np.zeros((*values.shape[:-2], *size), values.dtype)
    down, across = values.shape[-2] * window[0], values.shape[-1] * window[1]
    for place in range(window[0] * window[1]):
        i, j = divmod(place, window[1])
        images[..., i : down : window[0], j : across : window[1]] = np.where(places == place, values, 0)
    return images
