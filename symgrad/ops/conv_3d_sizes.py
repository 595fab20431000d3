"""What the sizes of a convolution in three dimensions must be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, register
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.kernels.grammar import Same, View
from symgrad.ops.sampling import spread

AXES = (2, 3, 4)
"""The spatial axes of a volume (N, C, D, H, W)."""


@register
@dataclass(frozen=True)
class VolumeToConvolve(Op):
    """The first operand, once it is a volume that the second operand's filters can be convolved with.

    A convolution in three dimensions becomes one of images, whose errors would be about other sizes than the user's.

    Parameters
    ----------
    sides : tuple of pairs of int, or None
        Zeros before and after, for each spatial axis; None where only a call knows them.
    stride, dilation : tuple of int
        For each spatial axis.
    groups : int
        Into how many groups the channels fall.
    """

    sides: tuple[tuple[int, int] | None, ...] = ((0, 0),) * 3
    stride: tuple[int, ...] = (1, 1, 1)
    dilation: tuple[int, ...] = (1, 1, 1)
    groups: int = 1

    @property
    def name(self) -> str:
        return "volume_to_convolve"

    def infer(self, volume: Any, filters: Any) -> list[TensorType]:
        if volume.type.ndim != 5 or filters.type.ndim != 5:
            raise InferenceError(
                ShapeError,
                f"conv3d takes volumes (N, C, D, H, W) and filters (K, C, d, h, w), got {volume.type} and "
                f"{filters.type}",
            )
        text = self.mismatch(volume.type.shape, filters.type.shape)
        if text:
            raise InferenceError(ShapeError, f"conv3d {text}")
        return [volume.type]

    def mismatch(self, volume: Sequence[Any], filters: Sequence[Any], output: Sequence[Any] = ()) -> str:
        """Return in which way shapes, as far as they are known, can't be those of such a convolution."""
        if None not in (volume[1], filters[1]) and volume[1] != filters[1] * self.groups:
            return f"got a volume of {volume[1]} channels and filters for {filters[1] * self.groups}"
        if filters[0] is not None and filters[0] % self.groups:
            return f"can't split {filters[0]} filters into {self.groups} groups of equal size"
        sizes = [volume[0], filters[0], *[self._size(axis, volume[axis], filters[axis]) for axis in AXES]]
        for axis in AXES:
            if sizes[axis] == 0:
                return f"can't put a filter of size {filters[axis]} on a volume of size {volume[axis]} (axis {axis})"
        for axis, (size, found) in enumerate(zip(sizes, output, strict=False)):
            if None not in (size, found) and size != found:
                return f"got a gradient of size {found} on axis {axis}, where the output has {size}"
        return ""

    def _size(self, axis: int, size: int | None, window: int | None) -> int | None:
        """Return the size of an axis of the output, 0 if the filter doesn't fit, None if that isn't known."""
        sides, stride, dilation = self.sides[axis - 2], self.stride[axis - 2], self.dilation[axis - 2]
        if size is None or window is None or sides is None:
            return None
        places = size + sides[0] + sides[1] - (window - 1) * dilation - 1
        return 0 if places < 0 else places // stride + 1

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def evaluate(self, volume: np.ndarray, filters: np.ndarray) -> list[np.ndarray]:
        return [volume]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [cotangents[0], Disconnected("only its sizes are looked at")]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangent itself."""
        return [tangents[0]]

    def lower(self, apply: Apply) -> View:
        return View(Same())

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        filters = spread(4, 1, 2, 2, 2)
        yield cls(), Sample((spread(1, 1, 2, 3, 4), filters))
        yield cls(((1, 0), None, (0, 0)), (2, 1, 1), (1, 1, 2), 2), Sample((spread(0, 2, 2, 3, 4), filters))
        yield cls(), Sample((spread(1, 2, 2, 3, 4), filters), ShapeError)
        yield cls(groups=3), Sample((spread(1, 3, 2, 3, 4), filters), ShapeError)
        yield cls(), Sample((spread(1, 1, 2, 1, 4), filters), ShapeError)
        yield cls(), Sample((spread(1, 1, 2, 2), filters), ShapeError)


__all__: list[str] = []
