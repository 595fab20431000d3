"""What pooling means, written to be read: the oracle that every backend's fast kernels must equal.

The last two axes are pooled, all others are batch. Padding is one number per axis, the same on both sides. All
functions take any strides, keep the dtype, and return new arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]
PoolMode = Literal["max", "sum", "average_inc_pad", "average_exc_pad"]
Ties = Literal["first", "every"]


def pool_output_size(size: int, window: int, stride: int, pad: int = 0, ignore_border: bool = True) -> int:
    """Return how many windows one axis has.

    With ``ignore_border`` only whole windows of the padded axis count: ``max((size + 2 * pad - window) // stride + 1,
    0)``. Without, windows that hang over the end count too, until one reaches the end: ``(size - 1) // stride + 1``
    when ``stride >= window``, else ``max((size - 1 - window) // stride + 1, 0) + 1``.

    Examples
    --------
    >>> pool_output_size(5, 2, 2), pool_output_size(5, 2, 2, ignore_border=False)
    (2, 3)
    """
    padded = size + 2 * pad
    if ignore_border:
        return max((padded - window) // stride + 1, 0)
    if stride >= window:
        return (padded - 1) // stride + 1
    return max((padded - 1 - window) // stride + 1, 0) + 1


def pool_output_shape(
    input_shape: Sequence[int], window: Pair, stride: Pair | None = None, pad: Pair = (0, 0), ignore_border: bool = True
) -> tuple[int, ...]:
    """Return the shape of a pooled batch: the last two sizes follow `pool_output_size`.

    Examples
    --------
    >>> pool_output_shape((10, 20, 24, 24), (2, 2))
    (10, 20, 12, 12)
    """
    sizes = zip(input_shape[-2:], window, stride or window, pad, strict=True)
    return (*input_shape[:-2], *(pool_output_size(*axis, ignore_border) for axis in sizes))


def pool_window(index: int, size: int, window: int, stride: int, pad: int) -> Pair:
    """Return (first, last + 1) of the pixels in one window of one axis, without padding and without what hangs over.

    Examples
    --------
    >>> pool_window(0, 5, 3, 2, 1), pool_window(2, 5, 3, 2, 1)
    ((0, 2), (3, 5))
    """
    start = index * stride - pad
    return max(start, 0), min(start + window, size)


def pool_counts(size: int, window: int, stride: int, pad: int, ignore_border: bool, mode: PoolMode) -> Array:
    """Return by how many pixels each window of one axis divides when averaging; a window's divisor is their product.

    ``average_inc_pad`` counts padding as pixels, ``average_exc_pad`` doesn't; neither counts what hangs over.

    Examples
    --------
    >>> pool_counts(4, 3, 2, 1, True, "average_inc_pad"), pool_counts(4, 3, 2, 1, True, "average_exc_pad")
    (array([3, 3]), array([2, 3]))
    """
    count = pool_output_size(size, window, stride, pad, ignore_border)
    if mode == "average_inc_pad":
        size, pad = size + 2 * pad, 0
    windows = [pool_window(index, size, window, stride, pad) for index in range(count)]
    return np.array([last - first for first, last in windows], int)


def _windows(
    input_shape: Sequence[int], window: Pair, stride: Pair, pad: Pair, ignore_border: bool
) -> Iterator[tuple[int, int, slice, slice]]:
    """Yield (row, column) of each window in the output, and the rows and columns of its pixels."""
    height, width = pool_output_shape(input_shape, window, stride, pad, ignore_border)[-2:]
    for y in range(height):
        rows = slice(*pool_window(y, input_shape[-2], window[0], stride[0], pad[0]))
        for x in range(width):
            yield y, x, rows, slice(*pool_window(x, input_shape[-1], window[1], stride[1], pad[1]))


def pool2d(
    images: Array,
    window: Pair,
    stride: Pair | None = None,
    pad: Pair = (0, 0),
    ignore_border: bool = True,
    mode: PoolMode = "max",
) -> Array:
    """Return the maximum, sum or average of each window of the last two axes.

    Padding never wins a maximum and adds zeros to a sum; `pool_counts` says what averages divide by. NaN wins a
    maximum.

    Parameters
    ----------
    images : (..., H, W) float
    window, stride, pad : (int, int)
        Per axis; `stride` is `window` when not given, and each pad is smaller than its window.
    ignore_border : bool
        Whether windows that hang over the end are left out.
    mode : {"max", "sum", "average_inc_pad", "average_exc_pad"}

    Returns
    -------
    (..., H', W') of the images' dtype
        See `pool_output_shape`.

    Examples
    --------
    >>> pool2d(np.arange(16.0).reshape(4, 4), (2, 2))
    array([[ 5.,  7.],
           [13., 15.]])
    """
    stride = stride or window
    output = np.empty(pool_output_shape(images.shape, window, stride, pad, ignore_border), images.dtype)
    for y, x, rows, columns in _windows(images.shape, window, stride, pad, ignore_border):
        pixels = images[..., rows, columns]
        output[..., y, x] = pixels.max((-2, -1)) if mode == "max" else pixels.sum((-2, -1))
    if mode.startswith("average"):
        output /= pool_divisors(images.shape, window, stride, pad, ignore_border, mode).astype(images.dtype)
    return output


def pool_divisors(
    input_shape: Sequence[int], window: Pair, stride: Pair, pad: Pair, ignore_border: bool, mode: PoolMode
) -> Array:
    """Return the (H', W') numbers of pixels that averages divide by."""
    rows, columns = (
        pool_counts(*axis, ignore_border, mode) for axis in zip(input_shape[-2:], window, stride, pad, strict=True)
    )
    return np.outer(rows, columns)


def _winners(pixels: Array, maximum: Array, ties: Ties) -> Array:
    """Return which pixels of one window (..., h, w) equal its maximum: all of them, or the first in row-major order."""
    is_maximum: Array = (pixels == maximum[..., None, None]) | np.isnan(pixels)
    if ties == "every":
        return is_maximum
    flat = is_maximum.reshape(*is_maximum.shape[:-2], pixels.shape[-2] * pixels.shape[-1])
    first: Array = flat & (np.cumsum(flat, axis=-1) == 1)
    return first.reshape(is_maximum.shape)


def max_pool_gradient(
    images: Array,
    output: Array,
    cotangent: Array,
    window: Pair,
    stride: Pair | None = None,
    pad: Pair = (0, 0),
    ignore_border: bool = True,
    ties: Ties = "first",
) -> Array:
    """Return the gradient of max pooling with respect to the images.

    Each window hands its cotangent to its maximum. At a tie the first in row-major order gets it, so that the
    gradient's sum is the cotangent's; with ``ties="every"`` each tied pixel gets all of it, as in Theano's CPU kernel.

    Parameters
    ----------
    images : (..., H, W) float
    output : (..., H', W') float
        What `pool2d` returned for these images.
    cotangent : (..., H', W') float
    window, stride, pad, ignore_border
        As `pool2d` had them.
    ties : {"first", "every"}

    Returns
    -------
    (..., H, W) of the images' dtype

    Examples
    --------
    >>> max_pool_gradient(np.array([[3.0, 3.0]]), np.array([[3.0]]), np.array([[1.0]]), (1, 2))
    array([[1., 0.]])
    """
    gradient = np.zeros(images.shape, images.dtype)
    for y, x, rows, columns in _windows(images.shape, window, stride or window, pad, ignore_border):
        wins = _winners(images[..., rows, columns], output[..., y, x], ties)
        gradient[..., rows, columns] += np.where(wins, cotangent[..., y, x, None, None], 0)
    return gradient


def max_pool_pushforward(
    images: Array,
    output: Array,
    tangent: Array,
    window: Pair,
    stride: Pair | None = None,
    pad: Pair = (0, 0),
    ignore_border: bool = True,
    ties: Ties = "first",
) -> Array:
    """Return what a tangent of the images does to max pooling: each window's tangent at its maximum, summed over ties.

    It is the adjoint of `max_pool_gradient` in its cotangent, hence also that function's gradient.

    Parameters
    ----------
    images, tangent : (..., H, W) float
    output : (..., H', W') float
        What `pool2d` returned for these images.
    window, stride, pad, ignore_border, ties
        As `max_pool_gradient` has them.

    Returns
    -------
    (..., H', W') of the images' dtype
    """
    result = np.zeros(output.shape, images.dtype)
    for y, x, rows, columns in _windows(images.shape, window, stride or window, pad, ignore_border):
        wins = _winners(images[..., rows, columns], output[..., y, x], ties)
        result[..., y, x] = np.where(wins, tangent[..., rows, columns], 0).sum((-2, -1))
    return result


def sum_pool_gradient(
    cotangent: Array,
    input_shape: Sequence[int],
    window: Pair,
    stride: Pair | None = None,
    pad: Pair = (0, 0),
    ignore_border: bool = True,
    mode: PoolMode = "average_exc_pad",
) -> Array:
    """Return the gradient of sum or average pooling with respect to the images: it depends on their shape only.

    Parameters
    ----------
    cotangent : (..., H', W') float
    input_shape : (..., H, W)
    window, stride, pad, ignore_border
        As `pool2d` had them.
    mode : {"sum", "average_inc_pad", "average_exc_pad"}

    Returns
    -------
    (..., H, W) of the cotangent's dtype
    """
    stride = stride or window
    gradient = np.zeros(tuple(input_shape), cotangent.dtype)
    if mode != "sum":
        divisors = pool_divisors(input_shape, window, stride, pad, ignore_border, mode)
        cotangent = cotangent / divisors.astype(cotangent.dtype)
    for y, x, rows, columns in _windows(input_shape, window, stride, pad, ignore_border):
        gradient[..., rows, columns] += cotangent[..., y, x, None, None]
    return gradient
