"""Windows that slide along an axis, the sums that are their transpose, and zeros around a tensor.

What has no kernels of its own is made of these: convolution in three dimensions, unshared convolution, patches of
images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from symgrad.errors import ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, register
from symgrad.graph.types import TensorType
from symgrad.ops.creation import zeros
from symgrad.ops.indexing import set_subtensor
from symgrad.ops.promotion import as_operand, is_discrete, known_integer
from symgrad.ops.sampling import number, spread
from symgrad.ops.sizes import size_of, specify_shape


@dataclass(frozen=True)
class _Sliding(Op):
    """What windows and their sums share.

    Parameters
    ----------
    axis : int
        Along which windows slide.
    stride, dilation : int
        Steps between windows, and between the elements of one.
    exact : bool
        Whether the last window must end where the axis ends.
    """

    axis: int
    stride: int = 1
    dilation: int = 1
    exact: bool = False

    def count(self, size: int, window: int) -> int:
        """Return how many windows an axis of `size` has."""
        reach = (window - 1) * self.dilation + 1
        if window < 1 or reach > size:
            raise InferenceError(
                ShapeError,
                f"a window of {window} elements that covers {reach} doesn't fit on {size} (axis {self.axis})",
                "Use a smaller window, or pad.",
            )
        if self.exact and (size - reach) % self.stride:
            raise InferenceError(
                ShapeError, f"windows of {window}, {self.stride} apart, don't cover {size} exactly (axis {self.axis})"
            )
        return (size - reach) // self.stride + 1


@register
@dataclass(frozen=True)
class Windows(_Sliding):
    """Windows along an axis: ``y[..., i, j, ...] = x[..., i * stride + j * dilation, ...]``; j is below an operand."""

    @property
    def name(self) -> str:
        return "windows"

    def infer(self, x: Any, window: Any) -> list[TensorType]:
        if not 0 <= self.axis < x.type.ndim:
            raise InferenceError(ShapeError, f"windows slide along axis {self.axis}, got {x.type}")
        size, places = x.type.shape[self.axis], known_integer(window)
        count = None if size is None or places is None else self.count(size, places)
        shape = [*x.type.shape[: self.axis], count, places, *x.type.shape[self.axis + 1 :]]
        return [TensorType(x.type.dtype, shape)]

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def evaluate(self, x: np.ndarray, window: np.ndarray) -> list[np.ndarray]:
        try:
            count = self.count(x.shape[self.axis], int(window))
        except InferenceError as error:
            raise ShapeError(error.headline) from None
        axis, step = self.axis, x.strides[self.axis]
        shape = (*x.shape[:axis], count, int(window), *x.shape[axis + 1 :])
        strides = (*x.strides[:axis], step * self.stride, step * self.dilation, *x.strides[axis + 1 :])
        return [as_strided(x, shape, strides, writeable=False).copy()]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x, _), size = inputs, Disconnected("it is a size")
        if is_discrete(x.type.dtype):
            return [Disconnected(f"{x} is {x.type.dtype}"), size]
        sums = WindowSums(self.axis, self.stride, self.dilation, self.exact)(cotangents[0], size_of(x, self.axis))
        return [specify_shape(sums, x.type.shape), size]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Linear."""
        return [None if tangents[0] is None else self(tangents[0], inputs[1])]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(0), Sample((spread(5), number(3)))
        yield cls(1, 2, 2), Sample((spread(2, 6, 3), number(2)))
        yield cls(2, 3), Sample((spread(1, 2, 7, dtype="float32"), number(3)))
        yield cls(0), Sample((spread(3, 2, dtype="int32"), number(3)))
        yield cls(1), Sample((spread(0, 3), number(1)))
        yield cls(0, 2, 1, True), Sample((spread(7), number(3)))
        yield cls(0, 2, 1, True), Sample((spread(6), number(3)), ShapeError)
        yield cls(0), Sample((spread(2), number(3)), ShapeError)
        yield cls(0, 1, 2), Sample((spread(4), number(3)), ShapeError)
        yield cls(0), Sample((spread(2), number(0)), ShapeError)
        yield cls(1), Sample((spread(4), number(3)), ShapeError)


@register
@dataclass(frozen=True)
class WindowSums(_Sliding):
    """For each element of an axis (its size is the second operand), the sum over all places of windows that are it."""

    @property
    def name(self) -> str:
        return "window_sums"

    def infer(self, y: Any, size: Any) -> list[TensorType]:
        if not 0 <= self.axis < y.type.ndim - 1:
            raise InferenceError(ShapeError, f"window_sums needs windows on axes {self.axis} and {self.axis + 1}")
        count, window = y.type.shape[self.axis : self.axis + 2]
        length = known_integer(size)
        if count is not None and window is not None and length is not None:
            self.check_count(count, window, length)
        shape = [*y.type.shape[: self.axis], length, *y.type.shape[self.axis + 2 :]]
        return [TensorType(y.type.dtype, shape)]

    def check_count(self, count: int, window: int, size: int) -> None:
        """Raise if an axis of `size` doesn't have this many windows."""
        if self.count(size, window) != count:
            raise InferenceError(
                ShapeError, f"an axis of size {size} has {self.count(size, window)} windows of {window}, not {count}"
            )

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def evaluate(self, y: np.ndarray, size: np.ndarray) -> list[np.ndarray]:
        count, window = y.shape[self.axis : self.axis + 2]
        try:
            self.check_count(count, window, int(size))
        except InferenceError as error:
            raise ShapeError(error.headline) from None
        result = np.zeros((*y.shape[: self.axis], int(size), *y.shape[self.axis + 2 :]), y.dtype)
        target, source = np.moveaxis(result, self.axis, 0), np.moveaxis(y, (self.axis, self.axis + 1), (0, 1))
        for place in range(window):
            start = place * self.dilation
            target[start : start + (count - 1) * self.stride + 1 : self.stride] += source[:, place]
        return [result]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        window = size_of(inputs[0], self.axis + 1)
        back = Windows(self.axis, self.stride, self.dilation, self.exact)(cotangents[0], window)
        return [specify_shape(back, inputs[0].type.shape), Disconnected("it is a size")]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Linear."""
        return [None if tangents[0] is None else self(tangents[0], inputs[1])]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(0), Sample((spread(3, 3), number(5)))
        yield cls(1, 2, 2), Sample((spread(2, 2, 2, 3), number(6)))
        yield cls(0, 3), Sample((spread(2, 3, 2, dtype="float32"), number(7)))
        yield cls(0), Sample((spread(1, 3, 0), number(3)))
        yield cls(0), Sample((spread(3, 3), number(6)), ShapeError)
        yield cls(0), Sample((spread(3, 3), number(2)), ShapeError)
        yield cls(1), Sample((spread(3, 3), number(5)), ShapeError)


def windows(x: Any, axis: int, window: Any, stride: int = 1, dilation: int = 1, exact: bool = False) -> Any:
    """Return the windows of `x` along an axis; the axis becomes two, one for windows and one for places in them."""
    return Windows(axis, stride, dilation, exact)(x, as_operand(window))


def window_sums(y: Any, axis: int, size: Any, stride: int = 1, dilation: int = 1) -> Any:
    """Return the transpose of `windows`: each place of each window is added to the element that it shows."""
    return WindowSums(axis, stride, dilation)(y, as_operand(size))


def zero_padded(x: Any, sides: Mapping[int, tuple[Any, Any]]) -> Any:
    """Return `x` with zeros before and after each of some axes; their numbers may be integer scalars."""
    sides = {axis: pair for axis, pair in sides.items() if not all(_is_zero(side) for side in pair)}
    if not sides:
        return x
    sizes = [size_of(x, axis) for axis in range(x.type.ndim)]
    within: list[Any] = [slice(None)] * x.type.ndim
    for axis, (before, after) in sides.items():
        within[axis] = slice(before, before + sizes[axis])
        sizes[axis] = sizes[axis] + before + after
    return set_subtensor(zeros(sizes, x.type.dtype)[tuple(within)], x)


def without_sides(x: Any, sides: Mapping[int, tuple[Any, Any]]) -> Any:
    """Return `x` less so many elements before and after each of some axes: what is left of `zero_padded`'s result."""
    kept: list[Any] = [slice(None)] * x.type.ndim
    for axis, (before, after) in sides.items():
        if not (_is_zero(before) and _is_zero(after)):
            kept[axis] = slice(before, size_of(x, axis) - after)
    return x if kept.count(slice(None)) == len(kept) else x[tuple(kept)]


def _is_zero(side: Any) -> bool:
    return isinstance(side, int) and side == 0


__all__: list[str] = []
