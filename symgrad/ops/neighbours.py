"""Patches of images as the rows of a matrix, and images put together from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.errors import ShapeError
from symgrad.graph.op import user_error
from symgrad.graph.variables import Variable
from symgrad.ops.axes import dimshuffle
from symgrad.ops.conv_arguments import known_number
from symgrad.ops.joining import concatenate
from symgrad.ops.promotion import as_operand, listed
from symgrad.ops.shape import reshape
from symgrad.ops.sizes import size_of
from symgrad.ops.windows import windows, zero_padded

MODES = ("valid", "ignore_borders", "wrap_centered", "half", "full")


def images2neibs(ten4: Any, neib_shape: Any, neib_step: Any = None, mode: str = "valid") -> Any:
    """Return the patches of images as the rows of a matrix.

    Parameters
    ----------
    ten4 : tensor of shape (N, C, H, W)
        Images of any dtype.
    neib_shape : pair of int, or integer vector
        Height and width of a patch.
    neib_step : pair of int, or integer vector, optional
        Steps between patches; by default their size, so that they lie side by side.
    mode : {'valid', 'ignore_borders', 'wrap_centered', 'half', 'full'}
        - valid: patches must cover the images exactly;
        - ignore_borders: pixels that are left over on the right and at the bottom are left out;
        - half, full: as `valid`, with zeros around the images as for `conv2d`;
        - wrap_centered: a patch is centred on every pixel (that the steps reach), and the images go on at the other
          side. Its sizes must be odd.

    Returns
    -------
    matrix of shape (N * C * patches of an image, h * w)
        Patches in the order of images, channels, rows, columns.

    Raises
    ------
    ShapeError
        If the images don't have four axes, or patches don't fit.

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.neighbours.images2neibs``, with gradients for all modes and steps.

    Examples
    --------
    >>> import numpy as np, symgrad.tensor as T
    >>> print(T.nnet.images2neibs(np.arange(8).reshape(1, 1, 2, 4), (2, 2)).eval())
    [[0 1 4 5]
     [2 3 6 7]]
    """
    images = _images(ten4, "images2neibs")
    window = _pair(neib_shape, "neib_shape", "images2neibs")
    stride = window if neib_step is None else _pair(neib_step, "neib_step", "images2neibs")
    if mode not in MODES:
        raise user_error(ShapeError, f"images2neibs has no mode {mode!r}; it has {', '.join(MODES)}")
    if mode in ("half", "full"):
        sides = [size // 2 if mode == "half" else size - 1 for size in window]
        images = zero_padded(images, {2: (sides[0], sides[0]), 3: (sides[1], sides[1])})
        mode = "valid"
    if mode != "wrap_centered" and (neib_step is None or stride == window):
        return _side_by_side(images, window, mode)
    steps = _known_steps(stride)
    for axis, size, step in ((3, window[1], steps[1]), (2, window[0], steps[0])):
        images = _windows(images, axis, size, step, mode)
    count, channels, rows, height, columns, width = [size_of(images, axis) for axis in range(6)]
    return reshape(dimshuffle(images, 0, 1, 2, 4, 3, 5), [count * channels * rows * columns, height * width])


def _side_by_side(images: Any, window: list[Any], mode: str) -> Any:
    """Return patches that don't overlap: images reshaped."""
    count, channels, rows, columns = [size_of(images, axis) for axis in range(4)]
    (height, width), (down, across) = window, (rows // window[0], columns // window[1])
    if mode == "ignore_borders":
        images = images[:, :, : down * height, : across * width]
    else:
        _check_covered(images, window)
    parts = dimshuffle(reshape(images, [count, channels, down, height, across, width]), 0, 1, 2, 4, 3, 5)
    return reshape(parts, [count * channels * down * across, height * width])


def _check_covered(images: Any, window: list[Any]) -> None:
    for axis, size in enumerate(window, 2):
        pixels = images.expected.shape[axis]
        if isinstance(size, int) and pixels is not None and pixels % size:
            raise user_error(
                ShapeError, f"images2neibs: patches of {size} don't cover {pixels} pixels exactly (axis {axis})",
                [images], "Use mode='ignore_borders', or other sizes.",
            )  # fmt: skip


def _windows(images: Any, axis: int, window: Any, step: int, mode: str) -> Any:
    if mode == "wrap_centered":
        return windows(_wrapped(images, axis, window), axis, window, step)
    return windows(images, axis, window, step, exact=mode != "ignore_borders")


def _wrapped(images: Any, axis: int, window: Any) -> Any:
    """Return images with half a window added on both sides of an axis, from the other side."""
    pixels = images.expected.shape[axis]
    if isinstance(window, int) and (window % 2 == 0 or (pixels is not None and window > pixels)):
        raise user_error(
            ShapeError, f"images2neibs wraps around patches of odd sizes up to that of the image, got {window}",
            [images],
        )
    side = window // 2
    lead = (slice(None),) * axis
    size = size_of(images, axis)
    return concatenate([images[(*lead, slice(size - side, None))], images, images[(*lead, slice(0, side))]], axis)


def neibs2images(neibs: Any, neib_shape: Any, original_shape: Any, mode: str = "valid") -> Any:
    """Put images together from patches that lie side by side: the inverse of `images2neibs` without steps.

    Parameters
    ----------
    neibs : matrix of shape (number of patches, h * w)
        What `images2neibs` returned.
    neib_shape : pair of int, or integer vector
        Height and width of a patch.
    original_shape : four sizes, or integer vector
        Of the images.
    mode : {'valid', 'ignore_borders'}
        With `ignore_borders`, pixels that no patch covers are 0.

    Returns
    -------
    tensor of shape (N, C, H, W)

    Raises
    ------
    ShapeError
        If the patches can't be those of such images.

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.neighbours.neibs2images``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.nnet.neibs2images([[1, 2], [3, 4]], (1, 2), (1, 1, 2, 2)).eval())
    [[[[1 2]
       [3 4]]]]
    """
    patches = as_operand(neibs)
    if patches.type.ndim != 2:
        raise user_error(ShapeError, f"neibs2images takes a matrix of patches, got {patches.type}", [patches])
    if mode not in ("valid", "ignore_borders"):
        raise user_error(ShapeError, f"neibs2images has no mode {mode!r}; it has valid and ignore_borders")
    height, width = _pair(neib_shape, "neib_shape", "neibs2images")
    shape = [original_shape[axis] for axis in range(4)] if isinstance(original_shape, Variable) else original_shape  # type: ignore[index]
    shape = listed(shape, "neibs2images", "four sizes as original_shape")
    if len(shape) != 4:
        raise user_error(ShapeError, f"neibs2images needs four sizes as original_shape, got {len(shape)}", [patches])
    count, channels, rows, columns = [_size(size, "original_shape", "neibs2images") for size in shape]
    for size, window in ((rows, height), (columns, width)):
        if mode == "valid" and isinstance(size, int) and isinstance(window, int) and size % window:
            raise user_error(ShapeError, f"neibs2images: patches of {window} don't cover {size} pixels exactly")
    down, across = rows // height, columns // width
    parts = dimshuffle(reshape(patches, [count, channels, down, across, height, width]), 0, 1, 2, 4, 3, 5)
    images = reshape(parts, [count, channels, down * height, across * width])
    if mode == "valid":
        return images
    return zero_padded(images, {2: (0, rows - down * height), 3: (0, columns - across * width)})


def _images(x: Any, name: str) -> Any:
    images = as_operand(x)
    if images.type.ndim != 4:
        raise user_error(ShapeError, f"{name} takes images (N, C, H, W), got {images.type}", [images])
    return images


def _pair(value: Any, name: str, function: str) -> list[Any]:
    entries = [value[axis] for axis in (0, 1)] if isinstance(value, Variable) else value  # type: ignore[index]
    entries = [entries, entries] if isinstance(entries, int | np.integer) else entries
    sizes = [_size(entry, name, function) for entry in listed(entries, function, f"two sizes as {name}")]
    if len(sizes) != 2 or any(isinstance(size, int) and size < 1 for size in sizes):
        raise user_error(ShapeError, f"{function} needs {name} as two integers of at least 1, got {value!s:.60}")
    return sizes


def _size(value: Any, name: str, function: str) -> Any:
    number = known_number(value, name, function)
    return value if number is None else number


def _known_steps(stride: list[Any]) -> list[int]:
    if not all(isinstance(step, int) for step in stride):
        raise user_error(
            ShapeError, "images2neibs needs to know the steps between patches when the graph is built", (),
            "Pass neib_step as two numbers.",
        )  # fmt: skip
    return stride


__all__ = ["images2neibs", "neibs2images"]
