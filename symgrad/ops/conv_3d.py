"""Convolution in three dimensions, its gradients and its transpose.

A filter that covers several planes is one in two dimensions that sees as many times more channels: the windows along
the depth become part of the batch, and the places in them part of the channels. So everything here is a convolution of
images, with its kernels and gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from symgrad.errors import ShapeError
from symgrad.graph.op import user_error
from symgrad.ops import conv_arguments as arguments
from symgrad.ops.axes import dimshuffle
from symgrad.ops.conv import Conv2d, Conv2dFilterGradient, Conv2dInputGradient
from symgrad.ops.conv_3d_sizes import AXES, VolumeToConvolve
from symgrad.ops.promotion import as_operand
from symgrad.ops.shape import reshape
from symgrad.ops.sizes import known_size, specify_shape
from symgrad.ops.windows import window_sums, windows, without_sides, zero_padded


@dataclass(frozen=True)
class _Convolution3d:
    """One convolution: zeros, strides and dilations for depth, height and width."""

    name: str
    sides: arguments.Sides
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    flip: bool

    @classmethod
    def of(
        cls, name: str, border_mode: Any, window: Sequence[Any], subsample: Any, dilation: Any, groups: Any, flip: Any
    ) -> _Convolution3d:
        """Take the arguments as users give them."""
        between = arguments.steps(dilation, 3, "filter_dilation", name)
        sides = arguments.border(border_mode, window, between, name)
        stride = arguments.steps(subsample, 3, "subsample", name)
        return cls(name, sides, stride, between, arguments.groups_of(groups, name), bool(flip))

    @property
    def outside(self) -> dict[int, tuple[Any, Any]]:
        """The zeros that the convolution of images doesn't add itself, by axis."""
        axes = (2,) if arguments.are_numbers(self.sides[1:]) else AXES
        return {axis: self.sides[axis - 2] for axis in axes}

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the convolution of images."""
        padding = ((0, 0), (0, 0)) if 3 in self.outside else self.sides[1:]
        return {"padding": padding, "stride": self.stride[1:], "dilation": self.dilation[1:], "groups": self.groups,
                "flip": self.flip}  # fmt: skip

    def whole(self, sizes: Sequence[Any]) -> list[Any]:
        """Return the sizes of a volume with the zeros outside."""
        outside = self.outside
        return [size + sum(outside.get(axis, (0, 0))) for axis, size in zip(AXES, sizes, strict=True)]

    @property
    def sizes(self) -> VolumeToConvolve:
        """What checks the sizes of volumes and filters."""
        known: Any = tuple([pair if arguments.are_numbers((pair,)) else None for pair in self.sides])
        return VolumeToConvolve(known, self.stride, self.dilation, self.groups)

    def check(self, operands: Sequence[Any], *shapes: Sequence[Any]) -> None:
        """Raise if the shapes of volume, filters and output can't be those of such a convolution."""
        text = self.sizes.mismatch(*shapes)
        if text:
            raise user_error(ShapeError, f"{self.name} {text}", operands)

    def images(self, volume: Any, depth: Any) -> tuple[Any, Any]:
        """Return volumes (N, C, D, H, W) as images (N * D', C * d, H, W), and D'."""
        planes = windows(zero_padded(volume, self.outside), 2, depth, self.stride[0], self.dilation[0])
        count, channels, outputs, places, height, width = [known_size(planes, axis) for axis in range(6)]
        images = dimshuffle(planes, 0, 2, 1, 3, 4, 5)
        return reshape(images, [count * outputs, channels * places, height, width]), outputs

    def filters_of_images(self, filters: Any) -> Any:
        """Return filters (K, C, d, h, w) as (K, C * d, h, w)."""
        outputs, channels, depth, height, width = [known_size(filters, axis) for axis in range(5)]
        return reshape(filters[:, :, ::-1] if self.flip else filters, [outputs, channels * depth, height, width])


def _merged(output: Any) -> Any:
    """Return volumes (N, K, D', H', W') as images (N * D', K, H', W')."""
    count, channels, depth, height, width = [known_size(output, axis) for axis in range(5)]
    return reshape(dimshuffle(output, 0, 2, 1, 3, 4), [count * depth, channels, height, width])


def _five_axes(name: str, *variables: Any) -> None:
    if any(variable.type.ndim != 5 for variable in variables):
        found = " and ".join([str(variable.type) for variable in variables])
        raise user_error(
            ShapeError, f"{name} takes volumes (N, C, D, H, W) and filters (K, C, d, h, w), got {found}", variables
        )


def conv3d(
    input: Any,
    filters: Any,
    input_shape: Sequence[Any] | None = None,
    filter_shape: Sequence[Any] | None = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1, 1),
    num_groups: int = 1,
) -> Any:
    """Convolve volumes with filters.

    Parameters
    ----------
    input : float tensor of shape (N, C, D, H, W)
        Volumes: films, or scans.
    filters : float tensor of shape (K, C, d, h, w)
        Filters.
    input_shape, filter_shape : five sizes, optional
        Sizes that the graph doesn't know by itself; None leaves one open. Checked at run time.
    border_mode : {'valid', 'full', 'half'}, int, or for each axis an int or a pair of int
        Zeros around the volume, as for `conv2d`.
    subsample, filter_dilation : int or three int
        Stride of the output, and steps between filter elements.
    filter_flip : bool
        True (default) is convolution; False correlates.
    num_groups : int
        Independent groups of channels.

    Returns
    -------
    tensor of shape (N, K, D', H', W')

    Raises
    ------
    ShapeError
        If axes, channels or sizes don't fit, as far as they are known; else when the function is called.

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.conv3d``.

    Examples
    --------
    >>> import numpy as np, symgrad.tensor as T
    >>> x, w = np.ones((1, 1, 3, 3, 3)), np.ones((1, 1, 2, 2, 2))
    >>> print(T.nnet.conv3d(x, w, subsample=(1, 2, 2)).eval().ravel())
    [8. 8.]
    """
    volume, filters = arguments.operands(input, filters)
    _five_axes("conv3d", volume, filters)
    volume = arguments.with_sizes(volume, input_shape, "input_shape", "conv3d")
    filters = arguments.settled(arguments.with_sizes(filters, filter_shape, "filter_shape", "conv3d"), border_mode)
    window = arguments.window_of(filters, 3)
    of = _Convolution3d.of("conv3d", border_mode, window, subsample, filter_dilation, num_groups, filter_flip)
    images, depth = of.images(of.sizes(volume, filters), window[0])
    output = Conv2d(**of.parameters)(images, of.filters_of_images(filters))
    planes = reshape(output, [known_size(volume, 0), depth, *[known_size(output, axis) for axis in (1, 2, 3)]])
    return dimshuffle(planes, 0, 2, 1, 3, 4)


def conv3d_grad_wrt_inputs(
    output_grad: Any,
    filters: Any,
    input_shape: Any,
    filter_shape: Sequence[Any] | None = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1, 1),
    num_groups: int = 1,
) -> Any:
    """Return the gradient of a cost with respect to the volumes of a `conv3d`, from that with respect to its output.

    Parameters
    ----------
    output_grad : float tensor of shape (N, K, D', H', W')
        Gradient with respect to the output.
    filters : float tensor of shape (K, C, d, h, w)
        The filters of the convolution.
    input_shape : five sizes
        Those of the volumes, as numbers or integer scalars. The first two may be None.
    filter_shape, border_mode, subsample, filter_flip, filter_dilation, num_groups
        As `conv3d` had them.

    Returns
    -------
    tensor of shape (N, C, D, H, W)

    Raises
    ------
    ShapeError
        If the sizes aren't those of such a convolution.

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.abstract_conv.conv3d_grad_wrt_inputs``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> cotangent, filters = T.tensor('float64', (1, 4, 3, 3, 3)), T.tensor('float64', (4, 2, 2, 2, 2))
    >>> T.nnet.conv3d_grad_wrt_inputs(cotangent, filters, (1, 2, 4, 4, 4)).ndim
    5
    """
    name = "conv3d_grad_wrt_inputs"
    return _input_gradient(name, output_grad, filters, input_shape, filter_shape, border_mode, subsample, filter_flip,
                           filter_dilation, num_groups)  # fmt: skip


def _input_gradient(
    name: str, output_grad: Any, filters: Any, input_shape: Any, filter_shape: Any, border_mode: Any, subsample: Any,
    flip: bool, dilation: Any, num_groups: int,
) -> Any:  # fmt: skip
    cotangent, filters = arguments.operands(output_grad, filters)
    _five_axes(name, cotangent, filters)
    filters = arguments.with_sizes(filters, filter_shape, "filter_shape", name)
    sizes = arguments.asked_sizes(input_shape, 5, 3, "input_shape", name)
    window = arguments.window_of(filters, 3)
    of = _Convolution3d.of(name, border_mode, window, subsample, dilation, num_groups, flip)
    of.check([filters, cotangent], arguments.numbers_in(sizes), filters.expected.shape, cotangent.expected.shape)
    depth, *plane = of.whole(sizes[2:])
    gradient = Conv2dInputGradient(**of.parameters)
    images = gradient(of.filters_of_images(filters), _merged(cotangent), *map(as_operand, plane))
    count, outputs = known_size(cotangent, 0), known_size(cotangent, 2)
    planes = reshape(images, [count, outputs, known_size(filters, 1) * of.groups, window[0], *plane])
    volume = window_sums(dimshuffle(planes, 0, 2, 1, 3, 4, 5), 2, depth, of.stride[0], of.dilation[0])
    return specify_shape(without_sides(volume, of.outside), arguments.numbers_in(sizes))


def conv3d_grad_wrt_weights(
    input: Any,
    output_grad: Any,
    filter_shape: Any,
    input_shape: Sequence[Any] | None = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1, 1),
    num_groups: int = 1,
) -> Any:
    """Return the gradient of a cost with respect to the filters of a `conv3d`, from that with respect to its output.

    Parameters
    ----------
    input : float tensor of shape (N, C, D, H, W)
        The volumes.
    output_grad : float tensor of shape (N, K, D', H', W')
        Gradient with respect to the output.
    filter_shape : five sizes
        Those of the filters, as numbers or integer scalars. The first two may be None.
    input_shape, border_mode, subsample, filter_flip, filter_dilation, num_groups
        As `conv3d` had them.

    Returns
    -------
    tensor of shape (K, C, d, h, w)

    Raises
    ------
    ShapeError
        If the sizes aren't those of such a convolution.

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.abstract_conv.conv3d_grad_wrt_weights``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> volumes, cotangent = T.tensor('float64', (1, 2, 4, 4, 4)), T.tensor('float64', (1, 4, 3, 3, 3))
    >>> T.nnet.conv3d_grad_wrt_weights(volumes, cotangent, (4, 2, 2, 2, 2)).ndim
    5
    """
    name = "conv3d_grad_wrt_weights"
    volume, cotangent = arguments.operands(input, output_grad)
    _five_axes(name, volume, cotangent)
    volume = arguments.with_sizes(volume, input_shape, "input_shape", name)
    sizes = arguments.asked_sizes(filter_shape, 5, 3, "filter_shape", name)
    window = sizes[2:]
    of = _Convolution3d.of(name, border_mode, window, subsample, filter_dilation, num_groups, filter_flip)
    of.check([volume, cotangent], volume.expected.shape, arguments.numbers_in(sizes), cotangent.expected.shape)
    gradient = Conv2dFilterGradient(**of.parameters)
    filters = gradient(of.images(volume, window[0])[0], _merged(cotangent), *map(as_operand, window[1:]))
    filters = reshape(filters, [known_size(filters, 0), _channels(volume, of.groups), *window])
    return specify_shape(filters[:, :, ::-1] if of.flip else filters, arguments.numbers_in(sizes))


def _channels(volume: Any, groups: int) -> Any:
    return known_size(volume, 1) // groups


def conv3d_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    filter_shape: Sequence[Any] | None = None,
    border_mode: Any = "valid",
    input_dilation: Any = (1, 1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1, 1),
    num_groups: int = 1,
) -> Any:
    """Transposed convolution of volumes: the linear map that is the transpose of a `conv3d`.

    Parameters
    ----------
    input : float tensor of shape (N, K, D', H', W')
        Volumes of the size that the `conv3d` puts out.
    filters : float tensor of shape (K, C, d, h, w)
        Filters of the `conv3d`.
    output_shape : five sizes
        Of the result; the last three are needed.
    input_dilation : int or three int
        The stride of the `conv3d`.
    filter_shape, border_mode, filter_flip, filter_dilation, num_groups
        As of the `conv3d`.

    Returns
    -------
    tensor of shape (N, C, D, H, W)

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> volumes, filters = T.tensor('float64', (1, 4, 3, 3, 3)), T.tensor('float64', (4, 2, 2, 2, 2))
    >>> T.nnet.conv3d_transpose(volumes, filters, (None, None, 4, 4, 4)).ndim
    5
    """
    return _input_gradient("conv3d_transpose", input, filters, output_shape, filter_shape, border_mode, input_dilation,
                           filter_flip, filter_dilation, num_groups)  # fmt: skip


__all__ = ["conv3d", "conv3d_grad_wrt_inputs", "conv3d_grad_wrt_weights", "conv3d_transpose"]
