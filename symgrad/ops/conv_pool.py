"""Convolution and max pooling that share one layout, in which the positions of a pooling window lie apart.

All ops here are made by rewriting only. `Conv2d` gives (N, K, H, W); these ops give and take *windows*, a tensor

    windows[b, y, i, k, j, x, n] = output[b * images + n, k, y * window[0] + i, x * window[1] + j]

in which b counts blocks of `images` images each. Rows and columns that no window covers are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import ShapeError
from symgrad.graph.op import InferenceError, Op, Sample, register
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.kernels import reference, reference_pooling
from symgrad.kernels.grammar import Kernel, Library
from symgrad.ops.conv import Conv2d, Padding
from symgrad.ops.sampling import spread


def windows_of(images: np.ndarray, window: tuple[int, int], block: int) -> np.ndarray:
    """Return images (N, K, H, W) as windows, in blocks of `block` images.

    Examples
    --------
    >>> windows_of(np.arange(8).reshape(1, 1, 2, 4), (2, 2), 1)[0, 0, :, 0, :, :, 0].tolist()
    [[[0, 2], [1, 3]], [[4, 6], [5, 7]]]
    """
    count, filters, height, width = images.shape
    down, across = height // window[0], width // window[1]
    covered = images[:, :, : down * window[0], : across * window[1]]
    apart = covered.reshape(count // block, block, filters, down, window[0], across, window[1])
    return np.ascontiguousarray(apart.transpose(0, 3, 4, 2, 6, 5, 1))


def images_of(windows: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return windows as images (N, K, height, width), with zeros where no window is."""
    blocks, down, tall, filters, wide, across, block = windows.shape
    images = np.zeros((blocks * block, filters, height, width), windows.dtype)
    together = windows.transpose(0, 6, 3, 1, 2, 5, 4)
    images[:, :, : down * tall, : across * wide] = together.reshape(-1, filters, down * tall, across * wide)
    return images


def _product(*sizes: int | None) -> int | None:
    return None if None in sizes else int(np.prod(sizes))  # type: ignore[arg-type]


def _pooled_shape(windows: Sequence[int | None]) -> list[int | None]:
    return [_product(windows[0], windows[6]), windows[3], windows[1], windows[5]]


def _check_windows(kind: TensorType, pooled: Sequence[TensorType] = ()) -> None:
    """Raise if a type isn't that of windows, or others aren't those of its pooled images."""
    if kind.ndim != 7:
        raise InferenceError(ShapeError, f"windows have seven axes, got {kind}")
    for other in pooled:
        pairs = zip(other.shape, _pooled_shape(kind.shape), strict=False)
        if other.ndim != 4 or any(None not in pair and pair[0] != pair[1] for pair in pairs):
            raise InferenceError(ShapeError, f"windows {kind} don't pool to {other}")


@dataclass(frozen=True)
class _Windowed(Op):
    """What a convolution and its two gradients share; strides, dilations and groups are 1.

    Parameters
    ----------
    padding : pair of (int, int)
        Zeros added before and after, for the vertical and the horizontal axis.
    flip : bool
        True is convolution, False correlation.
    window : (int, int)
        Sizes of the pooling windows.
    images : int
        How many images make one block.
    """

    padding: Padding
    flip: bool
    window: tuple[int, int]
    images: int

    @property
    def attributes(self) -> tuple[tuple[str, Any], ...]:
        """The parameters as the kernels take them."""
        return (("padding", self.padding), ("flip", self.flip), ("window", self.window), ("images", self.images))

    @property
    def convolution(self) -> Conv2d:
        """The convolution whose output is taken apart."""
        return Conv2d(self.padding, flip=self.flip)

    def windows_shape(self, image: Sequence[int | None], filters: Sequence[int | None]) -> list[int | None]:
        """Return the shape of the windows, as far as it is known; raise if the batch doesn't fall into blocks."""
        count, channels, height, width = self.convolution.output_shape(image, filters)
        if count is not None and count % self.images:
            raise InferenceError(ShapeError, f"{count} images don't fall into blocks of {self.images}")
        blocks, down, across = (
            None if size is None else size // step
            for size, step in ((count, self.images), (height, self.window[0]), (width, self.window[1]))
        )
        return [blocks, down, self.window[0], channels, self.window[1], across, self.images]

    def check_cotangent(self, found: TensorType, image: Sequence[int | None], filters: Sequence[int | None]) -> None:
        """Raise if a cotangent isn't one of the windows of these images and filters."""
        _check_windows(found)
        expected = self.windows_shape(image, filters)
        if any(None not in pair and pair[0] != pair[1] for pair in zip(found.shape, expected, strict=True)):
            raise InferenceError(ShapeError, f"{self.name} needs a cotangent of shape {expected}, got {found}")


def _windowed_samples(windowed: Any, **options: Any) -> Iterable[tuple[Any, np.ndarray, np.ndarray]]:
    """Yield ops, images and filters: blocks, padding, correlation, windows that leave pixels over."""
    none = ((0, 0), (0, 0))
    yield windowed(none, True, (2, 2), 2, **options), spread(4, 2, 5, 5), spread(3, 2, 2, 2, start=200)
    yield windowed(none, False, (2, 3), 1, **options), spread(1, 1, 6, 7), spread(2, 1, 2, 2, start=80)
    yield windowed(((1, 0), (2, 1)), True, (1, 2), 3, **options), spread(3, 2, 4, 3), spread(1, 2, 2, 2, start=80)
    yield windowed(((1, 1), (1, 1)), False, (3, 1), 1, **options), spread(2, 1, 3, 4), spread(2, 1, 2, 2, start=40)
    single = spread(2, 1, 3, 3, dtype="float32"), spread(2, 1, 2, 2, dtype="float32", start=25)
    yield windowed(none, True, (2, 2), 2, **options), *single


@register
@dataclass(frozen=True)
class WindowedConv2d(_Windowed):
    """Convolution of images (N, C, H, W) with filters (K, C, h, w), as windows. Made by rewriting only."""

    @property
    def name(self) -> str:
        return "windowed_conv2d"

    def infer(self, image: Any, filters: Any) -> list[TensorType]:
        self.convolution.check(image.type, filters.type)
        return [TensorType(image.type.dtype, self.windows_shape(image.type.shape, filters.type.shape))]

    def evaluate(self, image: np.ndarray, filters: np.ndarray) -> list[np.ndarray]:
        output = reference.conv2d(image, filters, self.padding, flip=self.flip)
        return [windows_of(output, self.window, self.images)]

    def lower(self, apply: Apply) -> Kernel:
        return Library("windowed_conv2d", self.attributes)

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for op, image, filters in _windowed_samples(cls):
            yield op, Sample((image, filters), differentiable=False)
        op = cls(((0, 0), (0, 0)), True, (2, 2), 2)
        yield op, Sample((spread(3, 1, 3, 3), spread(1, 1, 2, 2)), ShapeError)
        yield op, Sample((spread(2, 1, 3, 3), spread(1, 2, 2, 2)), ShapeError)


@register
@dataclass(frozen=True)
class WindowedInputGradient(_Windowed):
    """The cotangent of a windowed convolution's images, from filters and windows. Made by rewriting only."""

    image_size: tuple[int, int]

    @property
    def name(self) -> str:
        return "windowed_input_gradient"

    def infer(self, filters: Any, cotangent: Any) -> list[TensorType]:
        count = _product(cotangent.type.shape[0], self.images) if cotangent.type.ndim == 7 else None
        shape = [count, filters.type.shape[1], *self.image_size]
        self.check_cotangent(cotangent.type, shape, filters.type.shape)
        return [TensorType(cotangent.type.dtype, shape)]

    def evaluate(self, filters: np.ndarray, cotangent: np.ndarray) -> list[np.ndarray]:
        shape = (cotangent.shape[0] * self.images, filters.shape[1], *self.image_size)
        size = reference.conv2d_output_shape(shape, filters.shape, self.padding)[2:]
        images = images_of(cotangent, *size)
        return [reference.conv2d_input_gradient(images, filters, shape, self.padding, flip=self.flip)]

    def lower(self, apply: Apply) -> Kernel:
        return Library("windowed_input_gradient", (*self.attributes, ("image_size", self.image_size)))

    @classmethod
    def samples(cls: Any) -> Iterable[tuple[Op, Sample]]:
        for convolution, image, filters in _windowed_samples(WindowedConv2d):
            (windows,) = convolution.evaluate(image, filters)
            cotangent = spread(*windows.shape, dtype=image.dtype.name, start=60)
            op = cls(*[value for _, value in convolution.attributes], image.shape[2:])
            yield op, Sample((filters, cotangent), differentiable=False)
        yield op, Sample((filters, cotangent[:, :, :, :1]), ShapeError)


@register
@dataclass(frozen=True)
class WindowedFilterGradient(_Windowed):
    """The cotangent of a windowed convolution's filters, from images and windows. Made by rewriting only."""

    filter_size: tuple[int, int]

    @property
    def name(self) -> str:
        return "windowed_filter_gradient"

    def infer(self, image: Any, cotangent: Any) -> list[TensorType]:
        filters = cotangent.type.shape[3] if cotangent.type.ndim == 7 else None
        shape = [filters, image.type.shape[1], *self.filter_size]
        self.check_cotangent(cotangent.type, image.type.shape, shape)
        return [TensorType(cotangent.type.dtype, shape)]

    def evaluate(self, image: np.ndarray, cotangent: np.ndarray) -> list[np.ndarray]:
        shape = (cotangent.shape[3], image.shape[1], *self.filter_size)
        size = reference.conv2d_output_shape(image.shape, shape, self.padding)[2:]
        images = images_of(cotangent, *size)
        return [reference.conv2d_filter_gradient(image, images, shape, self.padding, flip=self.flip)]

    def lower(self, apply: Apply) -> Kernel:
        return Library("windowed_filter_gradient", (*self.attributes, ("filter_size", self.filter_size)))

    @classmethod
    def samples(cls: Any) -> Iterable[tuple[Op, Sample]]:
        for convolution, image, filters in _windowed_samples(WindowedConv2d):
            (windows,) = convolution.evaluate(image, filters)
            cotangent = spread(*windows.shape, dtype=image.dtype.name, start=60)
            op = cls(*[value for _, value in convolution.attributes], filters.shape[2:])
            yield op, Sample((image, cotangent), differentiable=False)
        yield op, Sample((image, cotangent[:, :, :1]), ShapeError)


@register
@dataclass(frozen=True)
class WindowMaximum(Op):
    """The maximum (N, K, Y, X) of each window. Made by rewriting only."""

    @property
    def name(self) -> str:
        return "window_maximum"

    def infer(self, windows: Any) -> list[TensorType]:
        _check_windows(windows.type)
        return [TensorType(windows.type.dtype, _pooled_shape(windows.type.shape))]

    def evaluate(self, windows: np.ndarray) -> list[np.ndarray]:
        images, size = _as_images(windows)
        return [reference_pooling.pool2d(images, size)]

    def lower(self, apply: Apply) -> Kernel:
        return Library("window_maximum")

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for windows in _samples_of_windows():
            yield cls(), Sample((windows,), differentiable=False)
        yield cls(), Sample((spread(2, 2),), ShapeError)


def _as_images(windows: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """Return windows as the images that they cover, and the windows' size."""
    _, down, tall, _, wide, across, _ = windows.shape
    return images_of(windows, down * tall, across * wide), (tall, wide)


def _samples_of_windows() -> Iterable[np.ndarray]:
    """Yield windows: of one, two and more positions, with ties, and with NaN."""
    yield spread(2, 2, 2, 3, 2, 2, 2)
    yield spread(1, 1, 3, 1, 1, 2, 1)
    yield spread(1, 2, 1, 2, 3, 1, 2)
    yield np.round(spread(1, 2, 2, 2, 2, 2, 3, dtype="float32"))
    unknown = np.round(spread(1, 1, 2, 1, 2, 2, 3))
    unknown[0, 0, 1, 0, :, 0, 1] = np.nan
    yield unknown
    yield spread(1, 2, 1, 1, 1, 2, 2)


@register
@dataclass(frozen=True)
class WindowMaximumGradient(Op):
    """The cotangent of windows from that of their maxima: at the first maximum, by rows. Made by rewriting only."""

    @property
    def name(self) -> str:
        return "window_maximum_gradient"

    def infer(self, windows: Any, maximum: Any, cotangent: Any) -> list[TensorType]:
        _check_windows(windows.type, (maximum.type, cotangent.type))
        return [windows.type]

    def evaluate(self, windows: np.ndarray, maximum: np.ndarray, cotangent: np.ndarray) -> list[np.ndarray]:
        images, size = _as_images(windows)
        gradient = reference_pooling.max_pool_gradient(images, maximum, cotangent, size)
        return [windows_of(gradient, size, windows.shape[6])]

    def lower(self, apply: Apply) -> Kernel:
        return Library("window_maximum_gradient")

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for windows in _samples_of_windows():
            (maximum,) = WindowMaximum().evaluate(windows)
            cotangent = spread(*maximum.shape, dtype=windows.dtype.name, start=50)
            yield cls(), Sample((windows, maximum, cotangent), differentiable=False)
        cotangent[:] = np.inf
        yield cls(), Sample((windows, maximum, cotangent), differentiable=False)
        yield cls(), Sample((windows, maximum, cotangent[:1]), ShapeError)


@register
@dataclass(frozen=True)
class ImagesOfWindows(Op):
    """Windows put together to images (N, K, H, W), with zeros where no window is. Made by rewriting only."""

    image_size: tuple[int, int]

    @property
    def name(self) -> str:
        return "images_of_windows"

    def infer(self, windows: Any) -> list[TensorType]:
        _check_windows(windows.type)
        count, channels, _, _ = _pooled_shape(windows.type.shape)
        return [TensorType(windows.type.dtype, [count, channels, *self.image_size])]

    def evaluate(self, windows: np.ndarray) -> list[np.ndarray]:
        return [images_of(windows, *self.image_size)]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls((4, 6)), Sample((spread(2, 2, 2, 3, 2, 3, 2),), differentiable=False)
        yield cls((4, 5)), Sample((spread(1, 1, 3, 1, 1, 5, 1, dtype="float32"),))
        yield cls((4, 5)), Sample((spread(3, 4, 5),), ShapeError)
