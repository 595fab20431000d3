"""Convolutions in other layouts, and convolutions one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.errors import ShapeError
from symgrad.graph.op import user_error
from symgrad.ops import conv_arguments as arguments
from symgrad.ops.axes import dimshuffle
from symgrad.ops.conv import conv2d
from symgrad.ops.conv_3d import conv3d
from symgrad.ops.promotion import as_operand, listed


def separable_conv2d(
    input: Any,
    depthwise_filters: Any,
    pointwise_filters: Any,
    num_channels: int,
    input_shape: Sequence[Any] | None = None,
    depthwise_filter_shape: Sequence[Any] | None = None,
    pointwise_filter_shape: Sequence[Any] | None = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
) -> Any:
    """Convolve each channel of images with filters of its own, then mix the channels of each pixel.

    Parameters
    ----------
    input : float tensor of shape (N, C, H, W)
        Images.
    depthwise_filters : float tensor of shape (C * m, 1, h, w)
        m filters for each channel.
    pointwise_filters : float tensor of shape (K, C * m, 1, 1)
        Weights of the mixture.
    num_channels : int
        C.
    input_shape, depthwise_filter_shape, pointwise_filter_shape : four sizes, optional
        Sizes that the graph doesn't know by itself.
    border_mode, subsample, filter_flip, filter_dilation
        Of the first convolution, as `conv2d` has them.

    Returns
    -------
    tensor of shape (N, K, H', W')

    Raises
    ------
    ShapeError
        If the pointwise filters aren't 1 by 1, or other sizes don't fit.

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.separable_conv2d``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> images = T.tensor('float64', (1, 2, 5, 5))
    >>> depth, points = T.tensor('float64', (2, 1, 3, 3)), T.tensor('float64', (7, 2, 1, 1))
    >>> T.nnet.separable_conv2d(images, depth, points, 2).type.shape
    (1, 7, 3, 3)
    """
    _check_pointwise(pointwise_filters, pointwise_filter_shape, 2)
    channels = conv2d(
        input, depthwise_filters, input_shape, depthwise_filter_shape, border_mode, subsample, filter_flip,
        filter_dilation=filter_dilation, num_groups=num_channels,
    )  # fmt: skip
    return conv2d(channels, pointwise_filters, None, pointwise_filter_shape, filter_flip=filter_flip)


def separable_conv3d(
    input: Any,
    depthwise_filters: Any,
    pointwise_filters: Any,
    num_channels: int,
    input_shape: Sequence[Any] | None = None,
    depthwise_filter_shape: Sequence[Any] | None = None,
    pointwise_filter_shape: Sequence[Any] | None = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1, 1),
) -> Any:
    """Convolve each channel of volumes with filters of its own, then mix the channels of each point.

    Parameters
    ----------
    input : float tensor of shape (N, C, D, H, W)
        Volumes.
    depthwise_filters : float tensor of shape (C * m, 1, d, h, w)
        m filters for each channel.
    pointwise_filters : float tensor of shape (K, C * m, 1, 1, 1)
        Weights of the mixture.
    num_channels : int
        C.
    input_shape, depthwise_filter_shape, pointwise_filter_shape : five sizes, optional
        Sizes that the graph doesn't know by itself.
    border_mode, subsample, filter_flip, filter_dilation
        Of the first convolution, as `conv3d` has them.

    Returns
    -------
    tensor of shape (N, K, D', H', W')

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.abstract_conv.separable_conv3d``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> volumes = T.tensor('float64', (1, 2, 5, 5, 5))
    >>> depth, points = T.tensor('float64', (2, 1, 3, 3, 3)), T.tensor('float64', (7, 2, 1, 1, 1))
    >>> T.nnet.separable_conv3d(volumes, depth, points, 2).ndim
    5
    """
    _check_pointwise(pointwise_filters, pointwise_filter_shape, 3)
    channels = conv3d(
        input, depthwise_filters, input_shape, depthwise_filter_shape, border_mode, subsample, filter_flip,
        filter_dilation, num_channels,
    )  # fmt: skip
    return conv3d(channels, pointwise_filters, None, pointwise_filter_shape, filter_flip=filter_flip)


def _check_pointwise(filters: Any, shape: Sequence[Any] | None, count: int) -> None:
    sizes = [*as_operand(filters).expected.shape[2:], *listed(shape or [], "separable convolution", "sizes")[2:]]
    if any(isinstance(size, int) and size != 1 for size in sizes):
        raise user_error(ShapeError, f"pointwise filters are 1 along the last {count} axes, got {filters}")


def signal_conv2d(
    input: Any,
    filters: Any,
    image_shape: Sequence[Any] | None = None,
    filter_shape: Sequence[Any] | None = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
) -> Any:
    """Convolve each of some images with each of some filters; there are no channels.

    Parameters
    ----------
    input : float tensor of shape (H, W) or (N, H, W)
        One image, or several.
    filters : float tensor of shape (h, w) or (K, h, w)
        One filter, or several.
    image_shape, filter_shape : two or three sizes, optional
        Sizes that the graph doesn't know by itself.
    border_mode, subsample
        As `conv2d` has them.

    Returns
    -------
    tensor of shape (H', W'), (N, H', W'), (K, H', W') or (N, K, H', W')
        With an axis for images or filters where there are several.

    Raises
    ------
    ShapeError
        If an operand has neither two nor three axes, or sizes don't fit.

    Notes
    -----
    Keeps the behaviour of Theano's ``signal.conv.conv2d``.

    Examples
    --------
    >>> import numpy as np, symgrad.tensor as T
    >>> print(T.nnet.signal_conv2d(np.arange(4.0).reshape(1, 4), np.array([[1.0, 10.0]])).eval())
    [[ 1. 12. 23.]]
    """
    images, kernels = arguments.operands(input, filters)
    for operand in (images, kernels):
        if operand.type.ndim not in (2, 3):
            raise user_error(
                ShapeError, f"conv2d of signals takes tensors of two or three axes, got {operand.type}", [operand],
                "For images with channels there is T.nnet.conv2d.",
            )  # fmt: skip
    images = arguments.with_sizes(images, image_shape, "image_shape", "conv2d of signals")
    kernels = arguments.with_sizes(kernels, filter_shape, "filter_shape", "conv2d of signals")
    several = images.type.ndim == 3, kernels.type.ndim == 3
    images = dimshuffle(images, *((0, "x", 1, 2) if several[0] else ("x", "x", 0, 1)))
    kernels = dimshuffle(kernels, *((0, "x", 1, 2) if several[1] else ("x", "x", 0, 1)))
    output = conv2d(images, kernels, border_mode=border_mode, subsample=subsample)
    return dimshuffle(output, *[axis for axis in (0, 1) if several[axis]], 2, 3)


def conv3d_of_signals(
    signals: Any,
    filters: Any,
    signals_shape: Sequence[Any] | None = None,
    filters_shape: Sequence[Any] | None = None,
    border_mode: Any = "valid",
) -> Any:
    """Convolve films whose second axis is time (the layout of Theano's ``nnet.conv3d2d.conv3d``).

    Parameters
    ----------
    signals : float tensor of shape (N, D, C, H, W)
        Films.
    filters : float tensor of shape (K, d, C, h, w)
        Filters.
    signals_shape, filters_shape : five sizes, optional
        Sizes that the graph doesn't know by itself.
    border_mode : {'valid', 'full', 'half'}, or one for each of time, height and width
        Zeros around the films.

    Returns
    -------
    tensor of shape (N, D', K, H', W')

    Raises
    ------
    ShapeError
        If axes, channels or sizes don't fit.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> T.nnet.conv3d_of_signals(T.tensor('float64', (1, 5, 2, 6, 6)), T.tensor('float64', (4, 3, 2, 3, 3))).type.shape
    (1, 3, 4, 4, 4)
    """
    films, kernels = arguments.operands(signals, filters)
    if films.type.ndim != 5 or kernels.type.ndim != 5:
        raise user_error(
            ShapeError, "conv3d of signals takes films (N, D, C, H, W) and filters (K, d, C, h, w), got "
            f"{films.type} and {kernels.type}", [films, kernels],
        )  # fmt: skip
    films = arguments.with_sizes(films, signals_shape, "signals_shape", "conv3d of signals")
    kernels = arguments.with_sizes(kernels, filters_shape, "filters_shape", "conv3d of signals")
    kernels = arguments.settled(kernels, border_mode, free=3)
    order = (0, 2, 1, 3, 4)
    output = conv3d(dimshuffle(films, *order), dimshuffle(kernels, *order), border_mode=border_mode)
    return dimshuffle(output, *order)


__all__ = ["conv3d_of_signals", "separable_conv2d", "separable_conv3d", "signal_conv2d"]
