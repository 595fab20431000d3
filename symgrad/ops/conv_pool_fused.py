"""Convolution, bias, max pooling and activation as one op that keeps the places of the maxima, and its gradients.

All ops here are made by rewriting only, for backends with kernels for them. A place is counted along the rows of its
window, as uint8; windows lie side by side, and rows and columns that no window covers are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import ShapeError
from symgrad.graph.op import InferenceError, Op, Sample, register
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.kernels import reference, reference_conv_pool
from symgrad.kernels.grammar import Kernel, Library
from symgrad.ops.conv import Conv2d, Padding
from symgrad.ops.promotion import known_integer, upcast
from symgrad.ops.sampling import number, spread


def _pooled(size: int | None, window: int) -> int | None:
    return None if size is None else size // window


def _check_pooled(op: Op, cotangent: TensorType, places: TensorType) -> None:
    """Raise if a cotangent and places aren't those of the same windows."""
    if cotangent.ndim != 4 or places.ndim != 4 or places.dtype != "uint8":
        raise InferenceError(
            ShapeError, f"{op.name} needs a cotangent and places of four axes, got {cotangent}, {places}"
        )
    if any(None not in pair and pair[0] != pair[1] for pair in zip(cotangent.shape, places.shape, strict=True)):
        raise InferenceError(ShapeError, f"{op.name} needs as many places as cotangents, got {cotangent} and {places}")


@dataclass(frozen=True)
class _ConvPool(Op):
    """What the ops share; strides, dilations and groups are 1.

    Parameters
    ----------
    padding : pair of (int, int)
        Zeros added before and after, for the vertical and the horizontal axis.
    flip : bool
        True is convolution, False correlation.
    window : (int, int)
        Sizes of the pooling windows.
    """

    padding: Padding
    flip: bool
    window: tuple[int, int]

    @property
    def attributes(self) -> tuple[tuple[str, Any], ...]:
        """The parameters as the kernels take them."""
        return ("padding", self.padding), ("flip", self.flip), ("window", self.window)

    @property
    def convolution(self) -> Conv2d:
        """The convolution alone."""
        return Conv2d(self.padding, flip=self.flip)


@register
@dataclass(frozen=True)
class ConvPool(_ConvPool):
    """Pooled convolution of images (N, C, H, W) with filters (K, C, h, w), with bias (K,) and activation.

    Made by rewriting only.

    Its outputs are the activated maxima, their places, and with `has_linear` the maxima before the activation.

    Parameters
    ----------
    bias : {"none", "before", "after"}
        Whether there is a bias, and whether it is added before or after the maximum is taken. The maximum is the same
        but for rounding, which may make numbers equal, so that another one is the first.
    activation : str
        A function of `symgrad.kernels.reference_conv_pool.ACTIVATIONS`, or "none".
    has_linear : bool
        Whether there is a third output.
    activation_first : bool
        Whether bias and activation come before the maximum. Then the third output is what stands at its place.
    """

    bias: str = "none"
    activation: str = "none"
    has_linear: bool = False
    activation_first: bool = False

    @property
    def name(self) -> str:
        return "conv_pool"

    @property
    def options(self) -> tuple[tuple[str, Any], ...]:
        """The parameters that only this op has."""
        names = ("bias", "activation", "has_linear", "activation_first")
        return tuple((name, getattr(self, name)) for name in names)

    def infer(self, image: Any, filters: Any, *bias: Any) -> list[TensorType]:
        self.convolution.check(image.type, filters.type)
        count, channels, *size = self.convolution.output_shape(image.type.shape, filters.type.shape)
        for vector in bias:
            if vector.type.ndim != 1 or (vector.type.shape[0] not in (channels, None) and channels is not None):
                raise InferenceError(ShapeError, f"{self.name} needs a bias of {channels} numbers, got {vector.type}")
        shape = [count, channels, *[_pooled(*pair) for pair in zip(size, self.window, strict=True)]]
        dtype = upcast(image.type.dtype, filters.type.dtype)
        kinds = [TensorType(dtype, shape), TensorType("uint8", shape), TensorType(dtype, shape)]
        return kinds if self.has_linear else kinds[:2]

    def evaluate(self, image: np.ndarray, filters: np.ndarray, *bias: np.ndarray) -> list[np.ndarray]:
        activation = None if self.activation == "none" else self.activation
        output, linear, places = reference_conv_pool.conv_pool(
            image, filters, bias[0] if bias else None, self.padding, self.flip, self.window, self.bias == "before",
            activation, self.activation_first,
        )  # fmt: skip
        return [output, places, linear] if self.has_linear else [output, places]

    def lower(self, apply: Apply) -> Kernel:
        return Library("conv_pool", (*self.attributes, *self.options))

    @classmethod
    def samples(cls: Any) -> Iterable[tuple[Op, Sample]]:
        for parameters, image, filters in _samples():
            bias = spread(len(filters), dtype=image.dtype.name, start=7)
            yield cls(*parameters), Sample((image, filters), differentiable=False)
            yield cls(*parameters, "after", "rectify", True), Sample((image, filters, bias), differentiable=False)
            yield cls(*parameters, "before", "tanh"), Sample((image, filters, bias), differentiable=False)
            yield cls(*parameters, "after", "sigmoid"), Sample((image, filters, bias), differentiable=False)
            for op in (cls(*parameters, "before", function, True, True) for function in ("rectify", "tanh")):
                yield op, Sample((image, filters, bias), differentiable=False)
        yield cls(*parameters, "after"), Sample((image, filters, spread(len(filters) + 1)), ShapeError)
        yield cls(*parameters), Sample((image[:, :1], spread(1, 2, 2, 2)), ShapeError)


def _samples() -> Iterable[tuple[tuple[Any, ...], np.ndarray, np.ndarray]]:
    """Yield parameters, images and filters: padding, correlation, ties, nan, windows that leave pixels over."""
    none = ((0, 0), (0, 0))
    yield (none, True, (2, 2)), spread(2, 2, 5, 6), spread(3, 2, 2, 2, start=200)
    yield (none, False, (2, 3)), spread(1, 1, 6, 7), spread(2, 1, 2, 2, start=80)
    yield (((1, 0), (2, 1)), True, (1, 2)), spread(2, 2, 4, 3), spread(1, 2, 2, 2, start=80)
    tied = np.round(spread(1, 1, 4, 4, dtype="float32"))
    tied[0, 0, 2, 2] = np.nan
    yield (((1, 1), (1, 1)), True, (3, 2)), tied, np.ones((2, 1, 1, 1), "float32")
    yield (none, True, (2, 2)), spread(2, 1, 3, 3), spread(2, 1, 2, 2, start=25)


def _samples_of_cotangents() -> Iterable[tuple[tuple[Any, ...], np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield parameters, images, filters, and a pooled cotangent with places."""
    for parameters, image, filters in _samples():
        image = np.nan_to_num(image)
        output, places = ConvPool(*parameters).evaluate(image, filters)
        yield parameters, image, filters, spread(*output.shape, dtype=image.dtype.name, start=60), places


@register
@dataclass(frozen=True)
class ConvPoolFilterGradient(_ConvPool):
    """The cotangent of the filters from images, cotangent and places of the maxima; then come the filters' sizes.

    Made by rewriting only.
    """

    @property
    def name(self) -> str:
        return "conv_pool_filter_gradient"

    def infer(self, image: Any, cotangent: Any, places: Any, height: Any, width: Any) -> list[TensorType]:
        _check_pooled(self, cotangent.type, places.type)
        shape = [cotangent.type.shape[1], image.type.shape[1], known_integer(height), known_integer(width)]
        return [TensorType(cotangent.type.dtype, shape)]

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def evaluate(
        self, image: np.ndarray, cotangent: np.ndarray, places: np.ndarray, *sizes: np.ndarray
    ) -> list[np.ndarray]:
        shape = (cotangent.shape[1], image.shape[1], int(sizes[0]), int(sizes[1]))
        size = reference.conv2d_output_shape(image.shape, shape, self.padding)[2:]
        images = reference_conv_pool.at_places(cotangent, places, self.window, size)
        return [reference.conv2d_filter_gradient(image, images, shape, self.padding, flip=self.flip)]

    def lower(self, apply: Apply) -> Kernel:
        return Library("conv_pool_filter_gradient", self.attributes)

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for parameters, image, filters, cotangent, places in _samples_of_cotangents():
            sizes = [number(size) for size in filters.shape[2:]]
            yield cls(*parameters), Sample((image, cotangent, places, *sizes), differentiable=False)
        yield cls(*parameters), Sample((image, cotangent[:1], places, *sizes), ShapeError)


@register
@dataclass(frozen=True)
class ConvPoolInputGradient(_ConvPool):
    """The cotangent of the images from filters, cotangent and places of the maxima; then come the images' sizes.

    Made by rewriting only.
    """

    @property
    def name(self) -> str:
        return "conv_pool_input_gradient"

    def infer(self, filters: Any, cotangent: Any, places: Any, height: Any, width: Any) -> list[TensorType]:
        _check_pooled(self, cotangent.type, places.type)
        shape = [cotangent.type.shape[0], filters.type.shape[1], known_integer(height), known_integer(width)]
        return [TensorType(cotangent.type.dtype, shape)]

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def evaluate(
        self, filters: np.ndarray, cotangent: np.ndarray, places: np.ndarray, *sizes: np.ndarray
    ) -> list[np.ndarray]:
        shape = (cotangent.shape[0], filters.shape[1], int(sizes[0]), int(sizes[1]))
        size = reference.conv2d_output_shape(shape, filters.shape, self.padding)[2:]
        images = reference_conv_pool.at_places(cotangent, places, self.window, size)
        return [reference.conv2d_input_gradient(images, filters, shape, self.padding, flip=self.flip)]

    def lower(self, apply: Apply) -> Kernel:
        return Library("conv_pool_input_gradient", self.attributes)

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for parameters, image, filters, cotangent, places in _samples_of_cotangents():
            sizes = [number(size) for size in image.shape[2:]]
            yield cls(*parameters), Sample((filters, cotangent, places, *sizes), differentiable=False)
        yield cls(*parameters), Sample((filters, cotangent, places.astype("int64"), *sizes), ShapeError)


@register
@dataclass(frozen=True)
class AtPlaces(Op):
    """Images of zeros with each window's value at its place; after values and places, the images' sizes.

    Made by rewriting only.
    """

    window: tuple[int, int]

    @property
    def name(self) -> str:
        return "at_places"

    def infer(self, values: Any, places: Any, height: Any, width: Any) -> list[TensorType]:
        _check_pooled(self, values.type, places.type)
        return [TensorType(values.type.dtype, [*values.type.shape[:2], known_integer(height), known_integer(width)])]

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def evaluate(self, values: np.ndarray, places: np.ndarray, *sizes: np.ndarray) -> list[np.ndarray]:
        return [reference_conv_pool.at_places(values, places, self.window, [int(size) for size in sizes])]

    def lower(self, apply: Apply) -> Kernel:
        return Library("at_places", (("window", self.window),))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for parameters, image, filters, values, places in _samples_of_cotangents():
            size = reference.conv2d_output_shape(image.shape, filters.shape, parameters[0])[2:]
            yield cls(parameters[2]), Sample((values, places, number(size[0]), number(size[1])), differentiable=False)
        yield cls((2, 2)), Sample((values[:1], places, number(4), number(4)), ShapeError)
