"""Convolution whose filters differ from place to place: products of patches with the filters of their place.

Patches are (N, C, H', h, W', w), filters (K, H', W', C, h, w). For each place and group of channels both become
matrices, (N, inner) and (K / groups, inner), where inner are the channels of a group and the places of the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.errors import ShapeError
from symgrad.graph.op import user_error
from symgrad.ops import conv_arguments as arguments
from symgrad.ops.axes import dimshuffle
from symgrad.ops.linalg import matmul
from symgrad.ops.shape import reshape
from symgrad.ops.sizes import size_of
from symgrad.ops.windows import window_sums, windows, zero_padded

Pair = tuple[int, int]


def unshared_conv2d(
    image: Any, filters: Any, border_mode: Any, stride: Pair, flip: bool, dilation: Pair, groups: int
) -> Any:
    """Convolve images (N, C, H, W) with filters (K, H', W', C, h, w): one filter for each place of the output."""
    if image.type.ndim != 4 or filters.type.ndim != 6:
        raise user_error(
            ShapeError, "unshared conv2d takes images (N, C, H, W) and filters (K, H', W', C, h, w), got "
            f"{image.type} and {filters.type}", [image, filters],
        )  # fmt: skip
    channels, taken = image.expected.shape[1], filters.expected.shape[3]
    if None not in (channels, taken) and channels != taken * groups:
        raise user_error(
            ShapeError, f"unshared conv2d got an image of {channels} channels and filters for {taken * groups}",
            [image, filters],
        )  # fmt: skip
    window = arguments.window_of(filters, 2)
    rows, columns = arguments.border(border_mode, window, dilation, "unshared conv2d")
    patches = _patches(zero_padded(image, {2: rows, 3: columns}), window, stride, dilation)
    for axis, of_filters in ((2, 1), (4, 2)):
        found, wanted = filters.expected.shape[of_filters], patches.expected.shape[axis]
        if None not in (found, wanted) and found != wanted:
            raise user_error(
                ShapeError, f"unshared conv2d got filters for {found} places, where the output has {wanted}", [filters]
            )
    product = matmul(_rows(patches, groups), dimshuffle(_weights(filters, groups, flip), 0, 1, 2, 4, 3))
    return _images(product)


def unshared_input_gradient(
    cotangent: Any, filters: Any, whole: Sequence[Any], stride: Pair, flip: bool, dilation: Pair, groups: int
) -> Any:
    """Return the gradient of the images, which have the sizes `whole` with the zeros around them."""
    _check_axes(cotangent, filters, 6)
    product = matmul(_per_place(cotangent, groups), _weights(filters, groups, flip))
    height, width, _, count, _ = [size_of(product, axis) for axis in range(5)]
    channels, window = size_of(filters, 3), arguments.window_of(filters, 2)
    patches = dimshuffle(reshape(product, [height, width, groups, count, channels, *window]), 3, 2, 4, 0, 5, 1, 6)
    patches = reshape(patches, [count, groups * channels, height, window[0], width, window[1]])
    return window_sums(window_sums(patches, 4, whole[1], stride[1], dilation[1]), 2, whole[0], stride[0], dilation[0])


def unshared_filter_gradient(
    image: Any, cotangent: Any, window: Sequence[Any], stride: Pair, flip: bool, dilation: Pair, groups: int
) -> Any:
    """Return the gradient of the filters, whose last sizes are `window`; the image has its zeros around it."""
    _check_axes(cotangent, image, 4)
    rows = _rows(_patches(image, window, stride, dilation), groups)
    product = matmul(dimshuffle(_per_place(cotangent, groups), 0, 1, 2, 4, 3), rows)
    height, width, _, outputs, _ = [size_of(product, axis) for axis in range(5)]
    channels = size_of(image, 1) // groups
    filters = dimshuffle(reshape(product, [height, width, groups * outputs, channels, *window]), 2, 0, 1, 3, 4, 5)
    return filters[..., ::-1, ::-1] if flip else filters


def _check_axes(cotangent: Any, other: Any, ndim: int) -> None:
    if cotangent.type.ndim != 4 or other.type.ndim != ndim:
        raise user_error(
            ShapeError, f"the gradient of unshared conv2d takes tensors of 4 and {ndim} axes, got "
            f"{cotangent.type} and {other.type}", [cotangent, other],
        )  # fmt: skip


def _patches(image: Any, window: Sequence[Any], stride: Pair, dilation: Pair) -> Any:
    return windows(windows(image, 3, window[1], stride[1], dilation[1]), 2, window[0], stride[0], dilation[0])


def _rows(patches: Any, groups: int) -> Any:
    """Return patches as (H', W', groups, N, inner)."""
    count, channels, height, window_height, width, window_width = [size_of(patches, axis) for axis in range(6)]
    grouped = [height, width, groups, channels // groups, count, window_height, window_width]
    rows = reshape(dimshuffle(patches, 2, 4, 1, 0, 3, 5), grouped)
    inner = channels // groups * window_height * window_width
    return reshape(dimshuffle(rows, 0, 1, 2, 4, 3, 5, 6), [height, width, groups, count, inner])


def _weights(filters: Any, groups: int, flip: bool) -> Any:
    """Return filters as (H', W', groups, K / groups, inner)."""
    outputs, height, width, channels, window_height, window_width = [size_of(filters, axis) for axis in range(6)]
    filters = filters[..., ::-1, ::-1] if flip else filters
    inner = channels * window_height * window_width
    return reshape(dimshuffle(filters, 1, 2, 0, 3, 4, 5), [height, width, groups, outputs // groups, inner])


def _per_place(cotangent: Any, groups: int) -> Any:
    """Return an output (N, K, H', W') as (H', W', groups, N, K / groups)."""
    count, outputs, height, width = [size_of(cotangent, axis) for axis in range(4)]
    grouped = reshape(cotangent, [count, groups, outputs // groups, height, width])
    return dimshuffle(grouped, 3, 4, 1, 0, 2)


def _images(product: Any) -> Any:
    """Return (H', W', groups, N, K / groups) as an output (N, K, H', W')."""
    height, width, groups, count, outputs = [size_of(product, axis) for axis in range(5)]
    return reshape(dimshuffle(product, 3, 2, 4, 0, 1), [count, groups * outputs, height, width])


__all__: list[str] = []
