"""Convolution of images, and the two products that are its derivatives.

The three are one trilinear form seen from three sides, so the derivatives of each are the other two, and second
derivatives need nothing new.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, register
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.kernels import reference
from symgrad.kernels.grammar import Kernel, Library
from symgrad.ops import conv_arguments as arguments
from symgrad.ops.linalg import product_rule
from symgrad.ops.promotion import known_integer, upcast
from symgrad.ops.sampling import number, spread
from symgrad.ops.sizes import size_of, specify_shape
from symgrad.ops.windows import zero_padded

Padding = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class _Convolution(Op):
    """What the three ops share.

    Parameters
    ----------
    padding : pair of (int, int)
        Zeros added before and after, for the vertical and the horizontal axis.
    stride, dilation : pair of int
        Steps of the output, and between filter elements.
    groups : int
        Into how many independent groups the channels fall.
    flip : bool
        True is convolution, False correlation.
    """

    padding: Padding
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    flip: bool = True

    @property
    def attributes(self) -> tuple[tuple[str, Any], ...]:
        """The parameters as the kernels take them."""
        return (
            ("padding", self.padding), ("stride", self.stride), ("dilation", self.dilation),
            ("groups", self.groups), ("flip", self.flip),
        )  # fmt: skip

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters by name."""
        return dict(self.attributes)

    def output_shape(self, image: Sequence[int | None], filters: Sequence[int | None]) -> list[int | None]:
        """Return the shape of the output, as far as it is known; raise if a size comes out negative."""
        shape = [image[0], filters[0]]
        for axis in (0, 1):
            size, window = image[2 + axis], filters[2 + axis]
            if size is None or window is None:
                shape.append(None)
                continue
            padded = size + sum(self.padding[axis])
            reach = (window - 1) * self.dilation[axis] + 1
            if padded < reach:
                raise InferenceError(
                    ShapeError,
                    f"conv2d can't put a filter of size {window} on an image of size {size} (axis {2 + axis})",
                    "Use a smaller filter, or border_mode='half' or 'full'.",
                )
            shape.append((padded - reach) // self.stride[axis] + 1)
        return shape

    def check(self, image: TensorType, filters: TensorType) -> None:
        """Raise if the operands can't be an image and its filters."""
        if image.ndim != 4 or filters.ndim != 4:
            raise InferenceError(
                ShapeError,
                f"conv2d takes images (N, C, H, W) and filters (K, C, H, W), got {image} and {filters}",
                "Reshape them: x.reshape((batch, channels, height, width)).",
            )
        channels, taken = image.shape[1], filters.shape[1]
        if channels is not None and taken is not None and channels != taken * self.groups:
            raise InferenceError(
                ShapeError,
                f"conv2d got an image of {channels} channels and filters for {taken * self.groups}",
                "The second size of both must be equal (with groups: times the number of groups).",
            )
        if filters.shape[0] is not None and filters.shape[0] % self.groups:
            raise InferenceError(
                ShapeError,
                f"conv2d can't split {filters.shape[0]} filters into {self.groups} groups of equal size",
                "Use a number of filters that the number of groups divides.",
            )

    def check_cotangent(self, image: Sequence[Any], filters: Sequence[Any], cotangent: TensorType) -> None:
        """Raise if a cotangent can't be one of the output, as far as the sizes of image and filters are known."""
        if cotangent.ndim != 4:
            raise InferenceError(ShapeError, f"{self.name} takes a cotangent (N, K, H, W), got {cotangent}")
        expected = self.output_shape(image, filters)
        for axis, (size, found) in enumerate(zip(expected, cotangent.shape, strict=True)):
            if None not in (size, found) and size != found:
                raise InferenceError(
                    ShapeError,
                    f"{self.name} got a cotangent of size {found} on axis {axis}, where the output has {size}",
                    "It must have the shape of the convolution's output.",
                )


@register
@dataclass(frozen=True)
class Conv2d(_Convolution):
    """Convolution of images (N, C, H, W) with filters (K, C, h, w)."""

    @property
    def name(self) -> str:
        return "conv2d"

    def infer(self, image: Any, filters: Any) -> list[TensorType]:
        self.check(image.type, filters.type)
        shape = self.output_shape(image.type.shape, filters.type.shape)
        return [TensorType(upcast(image.type.dtype, filters.type.dtype), shape)]

    def evaluate(self, image: np.ndarray, filters: np.ndarray) -> list[np.ndarray]:
        return [reference.conv2d(image, filters, **self.parameters)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (image, filters), (cotangent,) = inputs, cotangents
        sizes = [size_of(v, axis) for v in (image, filters) for axis in (2, 3)]
        return [
            specify_shape(Conv2dInputGradient(**self.parameters)(filters, cotangent, *sizes[:2]), image.type.shape),
            specify_shape(Conv2dFilterGradient(**self.parameters)(image, cotangent, *sizes[2:]), filters.type.shape),
        ]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The product rule."""
        return [product_rule(self, inputs, tangents)]

    def lower(self, apply: Apply) -> Kernel:
        return Library("conv2d", self.attributes)

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for op, image, filters in _convolution_samples(cls):
            yield op, Sample((image, filters))
        op = cls(((0, 0), (0, 0)))
        yield op, Sample((spread(0, 1, 3, 3), spread(2, 1, 2, 2)))
        yield op, Sample((spread(2, 1, 3, 3), spread(1, 2, 2, 2)), ShapeError)
        yield op, Sample((spread(2, 1, 3, 3), spread(1, 1, 4, 2)), ShapeError)
        yield op, Sample((spread(1, 3, 3), spread(1, 1, 2, 2)), ShapeError)


def _convolution_samples(convolution: Any) -> Iterable[tuple[Any, np.ndarray, np.ndarray]]:
    """Yield ops, images and filters: strides, dilations, groups, paddings, and sizes that leave pixels over."""
    none = ((0, 0), (0, 0))
    yield convolution(none), spread(2, 2, 4, 5), spread(3, 2, 2, 3, start=80)
    yield convolution(none, flip=False), spread(1, 1, 3, 3), spread(1, 1, 3, 3, start=9)
    yield convolution(((1, 0), (2, 1)), (2, 1)), spread(1, 2, 4, 3), spread(1, 2, 2, 2, start=24)
    yield convolution(((1, 1), (1, 1)), (1, 2), (2, 1), 2), spread(1, 2, 5, 4), spread(2, 1, 2, 2, start=40)
    yield convolution(none, (3, 3)), spread(1, 1, 5, 5, dtype="float32"), spread(2, 1, 1, 1, dtype="float32", start=25)


def _disconnected_sizes() -> list[Any]:
    return [Disconnected("it is a size")] * 2


@register
@dataclass(frozen=True)
class Conv2dInputGradient(_Convolution):
    """The cotangent of a convolution's images, from filters and the output's cotangent; also transposed convolution."""

    @property
    def name(self) -> str:
        return "conv2d_input_gradient"

    def infer(self, filters: Any, cotangent: Any, height: Any, width: Any) -> list[TensorType]:
        if filters.type.ndim != 4:
            raise InferenceError(ShapeError, f"{self.name} takes filters (K, C, h, w), got {filters.type}")
        channels = None if filters.type.shape[1] is None else filters.type.shape[1] * self.groups
        sizes = [known_integer(height), known_integer(width)]
        self.check_cotangent([None, channels, *sizes], filters.type.shape, cotangent.type)
        shape = [cotangent.type.shape[0], channels, *sizes]
        return [TensorType(cotangent.type.dtype, shape)]

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def evaluate(self, filters: np.ndarray, cotangent: np.ndarray, *sizes: np.ndarray) -> list[np.ndarray]:
        shape = (cotangent.shape[0], filters.shape[1] * self.groups, int(sizes[0]), int(sizes[1]))
        return [reference.conv2d_input_gradient(cotangent, filters, shape, **self.parameters)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (filters, cotangent, *_), (image,) = inputs, cotangents
        sizes = [size_of(filters, axis) for axis in (2, 3)]
        of_filters = Conv2dFilterGradient(**self.parameters)(image, cotangent, *sizes)
        return [
            specify_shape(of_filters, filters.type.shape),
            specify_shape(Conv2d(**self.parameters)(image, filters), cotangent.type.shape),
            *_disconnected_sizes(),
        ]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The product rule."""
        filters, cotangent, *sizes = inputs
        terms = [self(tangents[0], cotangent, *sizes)] if tangents[0] is not None else []
        terms += [self(filters, tangents[1], *sizes)] if tangents[1] is not None else []
        return [sum(terms[1:], terms[0]) if terms else None]

    def lower(self, apply: Apply) -> Kernel:
        return Library("conv2d_input_gradient", self.attributes)

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for op, image, filters in _convolution_samples(cls):
            (output,) = Conv2d(**op.parameters).evaluate(image, filters)
            cotangent = spread(*output.shape, dtype=image.dtype.name, start=60)
            yield op, Sample((filters, cotangent, number(image.shape[2]), number(image.shape[3])))
        operands = spread(3, 2, 2, 2), spread(1, 3, 3, 3)
        yield cls(((0, 0), (0, 0))), Sample((*operands, number(5), number(4)), ShapeError)
        yield cls(((0, 0), (0, 0))), Sample((operands[0], spread(1, 2, 3, 3), number(4), number(4)), ShapeError)
        yield cls(((0, 0), (0, 0))), Sample((operands[0][0], operands[1], number(4), number(4)), ShapeError)


@register
@dataclass(frozen=True)
class Conv2dFilterGradient(_Convolution):
    """The cotangent of a convolution's filters, from images and the output's cotangent."""

    @property
    def name(self) -> str:
        return "conv2d_filter_gradient"

    def infer(self, image: Any, cotangent: Any, height: Any, width: Any) -> list[TensorType]:
        if image.type.ndim != 4:
            raise InferenceError(ShapeError, f"{self.name} takes images (N, C, H, W), got {image.type}")
        channels = None if image.type.shape[1] is None else image.type.shape[1] // self.groups
        sizes = [known_integer(height), known_integer(width)]
        self.check_cotangent(image.type.shape, [None, channels, *sizes], cotangent.type)
        shape = [cotangent.type.shape[1], channels, *sizes]
        return [TensorType(cotangent.type.dtype, shape)]

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def evaluate(self, image: np.ndarray, cotangent: np.ndarray, *sizes: np.ndarray) -> list[np.ndarray]:
        shape = (cotangent.shape[1], image.shape[1] // self.groups, int(sizes[0]), int(sizes[1]))
        return [reference.conv2d_filter_gradient(image, cotangent, shape, **self.parameters)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (image, cotangent, *_), (filters,) = inputs, cotangents
        sizes = [size_of(image, axis) for axis in (2, 3)]
        of_image = Conv2dInputGradient(**self.parameters)(filters, cotangent, *sizes)
        return [
            specify_shape(of_image, image.type.shape),
            specify_shape(Conv2d(**self.parameters)(image, filters), cotangent.type.shape),
            *_disconnected_sizes(),
        ]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The product rule."""
        image, cotangent, *sizes = inputs
        terms = [self(tangents[0], cotangent, *sizes)] if tangents[0] is not None else []
        terms += [self(image, tangents[1], *sizes)] if tangents[1] is not None else []
        return [sum(terms[1:], terms[0]) if terms else None]

    def lower(self, apply: Apply) -> Kernel:
        return Library("conv2d_filter_gradient", self.attributes)

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for op, image, filters in _convolution_samples(cls):
            (output,) = Conv2d(**op.parameters).evaluate(image, filters)
            cotangent = spread(*output.shape, dtype=image.dtype.name, start=60)
            yield op, Sample((image, cotangent, number(filters.shape[2]), number(filters.shape[3])))
        operands = spread(1, 2, 4, 4), spread(1, 3, 3, 3)
        yield cls(((0, 0), (0, 0))), Sample((*operands, number(3), number(2)), ShapeError)
        yield cls(((0, 0), (0, 0))), Sample((operands[0], spread(2, 3, 3, 3), number(2), number(2)), ShapeError)
        yield cls(((0, 0), (0, 0))), Sample((operands[0], operands[1][0], number(2), number(2)), ShapeError)


def conv2d(
    input: Any,
    filters: Any,
    input_shape: Sequence[Any] | None = None,
    filter_shape: Sequence[Any] | None = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    image_shape: Sequence[Any] | None = None,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Any:
    """Convolve images with filters (Theano's ``nnet.conv2d``).

    ``out[n, k, i, j] = sum over c, a, b of image[n, c, i * s + a, j * s + b] * filters[k, c, h - 1 - a, w - 1 - b]``

    Parameters
    ----------
    input : float tensor of shape (N, C, H, W)
        Images.
    filters : float tensor of shape (K, C, h, w)
        Filters; (K, H', W', C, h, w) if they are unshared.
    input_shape, filter_shape : four sizes, optional
        Sizes that the graph doesn't know by itself; None leaves one open. Checked at run time. `image_shape` is the
        older name of `input_shape`.
    border_mode : {'valid', 'full', 'half'}, int, pair of int, or pair of pairs
        Zeros around the image: none; so many that every overlap counts; half the filter; or the given number, of all
        sides, of each axis, or of each side.
    subsample : int or pair of int
        Stride of the output.
    filter_flip : bool
        True (default) is convolution; False correlates, as other libraries do.
    filter_dilation : int or pair of int
        Steps between filter elements.
    num_groups : int
        Independent groups of channels; the filters' C is the image's divided by it.
    unshared : bool
        Whether each place of the output has filters of its own.

    Returns
    -------
    tensor of shape (N, K, (H + padding - h) // stride + 1, ...)

    Raises
    ------
    ShapeError
        If axes, channels or sizes don't fit, as far as they are known; else when the function is called.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.conv2d([[[[1., 2., 3.], [4., 5., 6.]]]], [[[[1., 1.]]]]).eval())
    [[[[ 3.  5.]
       [ 9. 11.]]]]
    """
    image, filters = arguments.operands(input, filters)
    sizes = input_shape if input_shape is not None else image_shape
    image = arguments.with_sizes(image, sizes, "input_shape", "conv2d")
    filters = arguments.with_sizes(filters, filter_shape, "filter_shape", "conv2d")
    dilation = arguments.steps(filter_dilation, 2, "filter_dilation", "conv2d")
    stride = arguments.steps(subsample, 2, "subsample", "conv2d")
    groups = arguments.groups_of(num_groups, "conv2d")
    if unshared:
        from symgrad.ops.conv_unshared import unshared_conv2d

        return unshared_conv2d(image, filters, border_mode, stride, bool(filter_flip), dilation, groups)
    filters = arguments.settled(filters, border_mode)
    if filters.type.ndim != 4:
        Conv2d(((0, 0), (0, 0)))(image, filters)  # raises
    padding: Any = arguments.border(border_mode, arguments.window_of(filters, 2), dilation, "conv2d")
    if not arguments.are_numbers(padding):
        image, padding = zero_padded(image, {2: padding[0], 3: padding[1]}), ((0, 0), (0, 0))
    return Conv2d(padding, stride, dilation, groups, bool(filter_flip))(image, filters)


__all__ = ["conv2d"]
