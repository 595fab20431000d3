"""Bilinear upsampling of images: each axis is a product with a matrix of interpolation weights."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from symgrad.config import config
from symgrad.errors import ShapeError
from symgrad.graph.op import user_error
from symgrad.ops.axes import dimshuffle
from symgrad.ops.casting import cast
from symgrad.ops.creation import arange
from symgrad.ops.elementwise import abs_, clip, maximum, minimum
from symgrad.ops.linalg import tensordot
from symgrad.ops.promotion import as_operand, float_of
from symgrad.ops.sizes import size_of, specify_shape


def bilinear_kernel_1D(ratio: Any, normalize: bool = True) -> Any:
    """Return the triangle that interpolates between points `ratio` apart.

    Parameters
    ----------
    ratio : int or integer scalar
        Distance between the points.
    normalize : bool
        Whether the weights are divided by `ratio`, so that their largest is 1.

    Returns
    -------
    vector of ``floatX``, of size 2 * ratio - 1

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.abstract_conv.bilinear_kernel_1D``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.nnet.bilinear_kernel_1D(3, normalize=False).eval())
    [1. 2. 3. 2. 1.]
    """
    ratio = cast(as_operand(ratio), "int64")
    places = arange(1, 2 * ratio)
    triangle = cast(minimum(places, 2 * ratio - places), config.floatX)
    return triangle / cast(ratio, config.floatX) if normalize else triangle


def bilinear_kernel_2D(ratio: Any, normalize: bool = True) -> Any:
    """Return the pyramid of weights that is the product of `bilinear_kernel_1D` with itself.

    Parameters
    ----------
    ratio : int, integer scalar, or a pair of them
        Distances between the points, vertical and horizontal.
    normalize : bool
        Whether the largest weight is 1.

    Returns
    -------
    matrix of ``floatX``

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.abstract_conv.bilinear_kernel_2D``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.nnet.bilinear_kernel_2D(2).eval())
    [[0.25 0.5  0.25]
     [0.5  1.   0.5 ]
     [0.25 0.5  0.25]]
    """
    ratios = ratio if isinstance(ratio, tuple | list) else (ratio, ratio)
    if len(ratios) != 2:
        raise user_error(ShapeError, f"bilinear_kernel_2D takes a ratio or a pair of them, got {ratio!r:.60}")
    rows, columns = ratios
    vertical, horizontal = bilinear_kernel_1D(rows, normalize), bilinear_kernel_1D(columns, normalize)
    return dimshuffle(vertical, 0, "x") * dimshuffle(horizontal, "x", 0)


def bilinear_upsampling(
    input: Any,
    ratio: int | None = None,
    frac_ratio: Any = None,
    batch_size: int | None = None,
    num_input_channels: int | None = None,
    use_1D_kernel: bool = True,
) -> Any:
    """Enlarge images by linear interpolation along both axes.

    Row i of the result is taken at row ``(i * q - (p - 1) // 2) / p`` of the image for a ratio of p / q, where the
    image goes on outside of itself with its first and last rows; columns likewise.

    Parameters
    ----------
    input : float tensor of shape (N, C, H, W)
        Images.
    ratio : int, optional
        How many times larger they become.
    frac_ratio : pair of int, or pair of pairs, optional
        The ratio as a fraction (p, q); or one for each axis. Instead of `ratio`.
    batch_size, num_input_channels : int, optional
        N and C, where the graph doesn't know them.
    use_1D_kernel : bool
        Makes no difference here: the axes are always treated one after the other.

    Returns
    -------
    tensor of shape (N, C, ceil(H * p / q), ceil(W * p / q))

    Raises
    ------
    ShapeError
        If both ratios are given or none, or one makes no sense.

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.abstract_conv.bilinear_upsampling``.

    Examples
    --------
    >>> import numpy as np, symgrad.tensor as T
    >>> print(T.nnet.bilinear_upsampling(np.array([[[[0.0, 4.0]]]]), ratio=2).eval())
    [[[[0. 2. 4. 4.]
       [0. 2. 4. 4.]]]]
    """
    if (ratio is None) == (frac_ratio is None):
        raise user_error(ShapeError, "bilinear_upsampling takes either ratio or frac_ratio")
    images = as_operand(input)
    if images.type.ndim != 4:
        raise user_error(ShapeError, f"bilinear_upsampling takes images (N, C, H, W), got {images.type}", [images])
    images = cast(images, float_of(images.type.dtype))
    images = specify_shape(images, [batch_size, num_input_channels, None, None])
    for axis, part in ((2, 0), (3, 1)):
        fraction = _fraction(ratio if ratio is not None else _of_axis(frac_ratio, part))
        weights = _interpolation(size_of(images, axis), fraction, images.type.dtype)
        product = tensordot(images, weights, [[axis], [1]])
        images = product if axis == 3 else dimshuffle(product, 0, 1, 3, 2)
    return images


def frac_bilinear_upsampling(input: Any, frac_ratio: Any) -> Any:
    """Enlarge images by a fraction (p, q), or one for each axis; see `bilinear_upsampling`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.nnet.frac_bilinear_upsampling(T.ones((1, 1, 4, 4)), (3, 2)).shape.eval())
    [1 1 6 6]
    """
    return bilinear_upsampling(input, frac_ratio=frac_ratio)


def _of_axis(ratio: Any, axis: int) -> Any:
    pair = isinstance(ratio, tuple | list) and len(ratio) == 2
    return ratio[axis] if pair and isinstance(ratio[0], tuple | list) else ratio


def _fraction(ratio: Any) -> Fraction:
    pair = ratio if isinstance(ratio, tuple | list) else (ratio, 1)
    if len(pair) == 2 and all(isinstance(number, int | np.integer) and number > 0 for number in pair):
        return Fraction(int(pair[0]), int(pair[1]))
    raise user_error(ShapeError, f"bilinear_upsampling needs a ratio of positive integers, got {ratio!r:.60}")


def _interpolation(size: Any, ratio: Fraction, dtype: str) -> Any:
    """Return the weights (outputs, inputs) of an axis: triangles around each output's place in the input."""
    above, below = ratio.numerator, ratio.denominator
    outputs = (size * above - 1) // below + 1
    places = cast(arange(outputs) * below - (above - 1) // 2, dtype) / cast(as_operand(above), dtype)
    places = dimshuffle(clip(places, 0, cast(size - 1, dtype)), 0, "x")
    distances = abs_(places - cast(dimshuffle(arange(size), "x", 0), dtype))
    return maximum(1 - distances, 0)


__all__ = ["bilinear_kernel_1D", "bilinear_kernel_2D", "bilinear_upsampling", "frac_bilinear_upsampling"]
