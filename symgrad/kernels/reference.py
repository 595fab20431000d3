"""What convolution means, written to be read: the oracle that every backend's fast kernels must equal.

Layout: images are (N, C, H, W) - batch, channels, height, width; filters (K, C / groups, height, width). Padding is
given per side, ``((top, bottom), (left, right))``. All functions take any strides, keep the dtype, and return new
arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]
Padding = tuple[Pair, Pair]

NO_PADDING: Padding = ((0, 0), (0, 0))


def conv2d_output_shape(
    input_shape: Sequence[int],
    filter_shape: Sequence[int],
    padding: Padding = NO_PADDING,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
) -> tuple[int, int, int, int]:
    """Return (N, K, H', W'), with ``H' = max((H + top + bottom - (height - 1) * dilation - 1) // stride + 1, 0)``.

    Examples
    --------
    >>> conv2d_output_shape((10, 1, 28, 28), (20, 1, 5, 5))
    (10, 20, 24, 24)
    """
    height, width = (
        max((input_shape[2 + axis] + sum(padding[axis]) - (filter_shape[2 + axis] - 1) * dilation[axis] - 1)
            // stride[axis] + 1, 0)
        for axis in (0, 1)
    )  # fmt: skip
    return input_shape[0], filter_shape[0], height, width


def _taps(filter_shape: Sequence[int], flip: bool) -> Iterator[tuple[int, int, int, int]]:
    """Yield (row, column) of a tap's place in the window, and of its weight in the filter: mirrored when flipped."""
    height, width = filter_shape[2:]
    for i in range(height):
        for j in range(width):
            yield i, j, (height - 1 - i if flip else i), (width - 1 - j if flip else j)


def _under_tap(i: int, j: int, shape: Sequence[int], stride: Pair, dilation: Pair) -> tuple[slice, slice, slice, slice]:
    """Return the index of the padded pixels that tap (i, j) meets, one for each output pixel."""
    rows = slice(i * dilation[0], i * dilation[0] + (shape[2] - 1) * stride[0] + 1, stride[0])
    columns = slice(j * dilation[1], j * dilation[1] + (shape[3] - 1) * stride[1] + 1, stride[1])
    return slice(None), slice(None), rows, columns


def conv2d(
    images: Array,
    filters: Array,
    padding: Padding = NO_PADDING,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    groups: int = 1,
    flip: bool = True,
) -> Array:
    """Return the convolution of a batch of images with a bank of filters.

    ``output[n, k, y, x] = sum over c, i, j of padded[n, c, y * stride + i * dilation, x * stride + j * dilation]
    * filters[k, c, height - 1 - i, width - 1 - j]``; with ``flip=False`` (correlation) the filter's indices are i, j.
    With groups, output channels ``g * K / groups ...`` see only the input channels ``g * C / groups ...``.

    Parameters
    ----------
    images : (N, C, H, W) float
    filters : (K, C / groups, height, width) float
    padding, stride, dilation : per axis
        Zeros added on each side; the step between outputs; the distance between the filter's taps.
    groups : int
        Divides C and K.
    flip : bool
        True for convolution, False for correlation.

    Returns
    -------
    (N, K, H', W') of the operands' common dtype
        See `conv2d_output_shape`.

    Examples
    --------
    >>> conv2d(np.arange(4.0).reshape(1, 1, 1, 4), np.array([[[[1.0, 10.0]]]]))
    array([[[[ 1., 12., 23.]]]])
    """
    shape = conv2d_output_shape(images.shape, filters.shape, padding, stride, dilation)
    padded = np.pad(images, ((0, 0), (0, 0), *padding))
    output = np.zeros(shape, np.result_type(images, filters))
    if 0 in shape:
        return output
    grouped_output = _grouped(output, 1, groups)
    weights = _grouped(filters, 0, groups)
    for i, j, row, column in _taps(filters.shape, flip):
        pixels = _grouped(padded[_under_tap(i, j, shape, stride, dilation)], 1, groups)
        grouped_output += np.einsum("ngchw,gkc->ngkhw", pixels, weights[..., row, column])
    return output


def conv2d_input_gradient(
    cotangent: Array,
    filters: Array,
    input_shape: Sequence[int],
    padding: Padding = NO_PADDING,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    groups: int = 1,
    flip: bool = True,
) -> Array:
    """Return the gradient of `conv2d` with respect to the images: each output hands its cotangent back along every tap.

    It is the adjoint of ``images -> conv2d(images, filters)``, and the forward pass of a transposed convolution.

    Parameters
    ----------
    cotangent : (N, K, H', W') float
    filters : (K, C / groups, height, width) float
    input_shape : (N, C, H, W)
        Needed because with a stride several input sizes give the same output size.
    padding, stride, dilation, groups, flip
        As `conv2d` had them.

    Returns
    -------
    (N, C, H, W) of the operands' common dtype
    """
    (top, bottom), (left, right) = padding
    count, channels, height, width = input_shape
    padded_shape = (count, channels, height + top + bottom, width + left + right)
    padded = np.zeros(padded_shape, np.result_type(cotangent, filters))
    if cotangent.size:
        weights = _grouped(filters, 0, groups)
        grouped = _grouped(cotangent, 1, groups)
        for i, j, row, column in _taps(filters.shape, flip):
            pixels = _grouped(padded, 1, groups)[(slice(None), *_under_tap(i, j, cotangent.shape, stride, dilation))]
            pixels += np.einsum("ngkhw,gkc->ngchw", grouped, weights[..., row, column])
    return np.ascontiguousarray(padded[:, :, top : top + height, left : left + width])


def conv2d_filter_gradient(
    images: Array,
    cotangent: Array,
    filter_shape: Sequence[int],
    padding: Padding = NO_PADDING,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    groups: int = 1,
    flip: bool = True,
) -> Array:
    """Return the gradient of `conv2d` with respect to the filters: each tap's correlation of pixels and cotangents.

    Parameters
    ----------
    images : (N, C, H, W) float
    cotangent : (N, K, H', W') float
    filter_shape : (K, C / groups, height, width)
    padding, stride, dilation, groups, flip
        As `conv2d` had them.

    Returns
    -------
    (K, C / groups, height, width) of the operands' common dtype
    """
    padded = np.pad(images, ((0, 0), (0, 0), *padding))
    gradient = np.zeros(tuple(filter_shape), np.result_type(images, cotangent))
    if 0 in cotangent.shape:
        return gradient
    grouped = _grouped(cotangent, 1, groups)
    weights = _grouped(gradient, 0, groups)
    for i, j, row, column in _taps(filter_shape, flip):
        pixels = _grouped(padded[_under_tap(i, j, cotangent.shape, stride, dilation)], 1, groups)
        weights[..., row, column] = np.einsum("ngchw,ngkhw->gkc", pixels, grouped)
    return gradient


def _grouped(array: Array, axis: int, groups: int) -> Array:
    """Split one axis into (groups, its size / groups); a view of arrays whose axis can be split, as all here can."""
    sizes = (groups, array.shape[axis] // groups)
    return array.reshape(*array.shape[:axis], *sizes, *array.shape[axis + 1 :])
