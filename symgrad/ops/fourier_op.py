"""The ops of discrete Fourier transforms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.dtypes import kind_of
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, register
from symgrad.graph.types import TensorType
from symgrad.ops.comparison import eq, or_
from symgrad.ops.creation import arange
from symgrad.ops.elementwise import switch
from symgrad.ops.promotion import complex_of, is_complex, real_of, scalar_constant
from symgrad.ops.sampling import number, spread
from symgrad.ops.sizes import size_of
from symgrad.ops.stacks import OnStacks

SCALES = ("none", "ortho", "full")
"""What a transform is divided by: nothing, the root of the number of elements, or that number."""

_FORWARD: dict[str, Any] = {"none": "backward", "ortho": "ortho", "full": "forward"}
_INVERSE: dict[str, Any] = {"none": "forward", "ortho": "ortho", "full": "backward"}


def _check_axes(name: str, x: Any, axes: Sequence[int]) -> None:
    if any(axis >= x.type.ndim for axis in axes):
        raise InferenceError(ShapeError, f"{name} names an axis that {x.type} doesn't have")
    if any(x.type.shape[axis] == 0 for axis in axes):
        raise InferenceError(ShapeError, f"{name} can't transform an axis of size 0")


def _check_values(name: str, x: np.ndarray, axes: Sequence[int]) -> None:
    if any(x.shape[axis] == 0 for axis in axes):
        raise ShapeError(f"{name} can't transform an axis of size 0")


@register
@dataclass(frozen=True)
class Fourier(OnStacks):
    """The Fourier transform of complex numbers.

    Parameters
    ----------
    axes : tuple of int
        Over which axes.
    is_inverse : bool
        Whether exponents are positive.
    scale : {'none', 'ortho', 'full'}
        What the sum is divided by.
    """

    axes: tuple[int, ...]
    is_inverse: bool = False
    scale: str = "none"

    @property
    def name(self) -> str:
        return "ifft" if self.is_inverse else "fft"

    def after_a_new_axis(self) -> Fourier:
        """Return the transform over the same axes, which have moved on."""
        return Fourier(tuple([axis + 1 for axis in self.axes]), self.is_inverse, self.scale)

    def infer(self, x: Any) -> list[TensorType]:
        _check_axes(self.name, x, self.axes)
        if not is_complex(x.type.dtype):
            raise InferenceError(DTypeError, f"{self.name} takes complex numbers here, got {x.type.dtype}")
        return [x.type]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        _check_values(self.name, x, self.axes)
        transform = np.fft.ifftn if self.is_inverse else np.fft.fftn
        norm = (_INVERSE if self.is_inverse else _FORWARD)[self.scale]
        return [np.asarray(transform(x, axes=self.axes, norm=norm), dtype=x.dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [Fourier(self.axes, not self.is_inverse, self.scale)(cotangents[0])]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Transform the tangent likewise."""
        return [None if tangents[0] is None else self(tangents[0])]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for scale in SCALES:
            for is_inverse in (False, True):
                yield cls((1,), is_inverse, scale), Sample((spread(2, 5, dtype="complex128"),))
        yield cls((0, 2)), Sample((spread(4, 1, 3, dtype="complex64"),))
        yield cls((0,)), Sample((spread(3, 0, dtype="complex128"),))
        yield cls((0,)), Sample((spread(1, dtype="complex128"),))
        yield cls((1,)), Sample((spread(3, dtype="complex128"),), ShapeError)
        yield cls((1,)), Sample((spread(3, 0, dtype="complex128"),), ShapeError)
        yield cls((0,)), Sample((spread(3),), DTypeError)


@register
@dataclass(frozen=True)
class RealFourier(OnStacks):
    """The Fourier transform of real numbers over the last axis: the first half, which determines the other.

    Parameters
    ----------
    scale : {'none', 'ortho', 'full'}
        What the sum is divided by.
    """

    scale: str = "none"

    @property
    def name(self) -> str:
        return "rfft"

    def infer(self, x: Any) -> list[TensorType]:
        _check_axes("rfft", x, [max(x.type.ndim - 1, 0)])
        if x.type.dtype not in ("float32", "float64"):
            raise InferenceError(DTypeError, f"rfft takes float32 and float64, got {x.type.dtype}")
        last = None if x.type.shape[-1] is None else x.type.shape[-1] // 2 + 1
        pattern = (*x.type.broadcastable[:-1], last == 1)
        return [TensorType(complex_of(x.type.dtype), (*x.type.shape[:-1], last), pattern)]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        _check_values("rfft", x, [x.ndim - 1])
        return [np.asarray(np.fft.rfft(x, norm=_FORWARD[self.scale]), dtype=complex_of(x.dtype.name))]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        size = size_of(inputs[0], inputs[0].type.ndim - 1)
        once = cotangents[0] * _occurs(cotangents[0], size, 1, 0.5)
        return [InverseRealFourier(self.scale)(once, size)]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Transform the tangent likewise."""
        return [None if tangents[0] is None else self(tangents[0])]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for scale in SCALES:
            yield cls(scale), Sample((spread(2, 5),))
            yield cls(scale), Sample((spread(4),))
        yield cls(), Sample((spread(2, 1, dtype="float32"),))
        yield cls(), Sample((spread(0, 2),))
        yield cls(), Sample((spread(2, 0),), ShapeError)
        yield cls(), Sample((spread(),), ShapeError)
        yield cls(), Sample((spread(3, dtype="complex128"),), DTypeError)
        yield cls(), Sample((spread(3, dtype="int32"),), DTypeError)


@register
@dataclass(frozen=True)
class InverseRealFourier(OnStacks):
    """From the first half of the transform of real numbers, over the last axis, to as many numbers as is said.

    Parameters
    ----------
    scale : {'none', 'ortho', 'full'}
        What the sum is divided by.
    """

    scale: str = "full"

    @property
    def name(self) -> str:
        return "irfft"

    def infer(self, x: Any, size: Any) -> list[TensorType]:
        _check_axes("irfft", x, [max(x.type.ndim - 1, 0)])
        if not is_complex(x.type.dtype) or kind_of(size.type.dtype) not in "iu" or size.type.ndim:
            raise InferenceError(DTypeError, f"irfft takes complex numbers and a size, got {x.type} and {size.type}")
        last = None if size.known is None else int(size.known)
        half = x.type.shape[-1]
        if last is not None and (last < 1 or (half is not None and last // 2 + 1 != half)):
            raise InferenceError(ShapeError, f"irfft can't make {last} numbers from {half}")
        pattern = (*x.type.broadcastable[:-1], last == 1)
        return [TensorType(real_of(x.type.dtype), (*x.type.shape[:-1], last), pattern)]

    def evaluate(self, x: np.ndarray, size: np.ndarray) -> list[np.ndarray]:
        count = int(size)
        if count < 1 or count // 2 + 1 != x.shape[-1]:
            raise ShapeError(f"irfft can't make {count} numbers from {x.shape[-1]}")
        return [np.asarray(np.fft.irfft(x, count, norm=_INVERSE[self.scale]), dtype=real_of(x.dtype.name))]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        x, size = inputs
        twice = RealFourier(self.scale)(cotangents[0])
        return [twice * _occurs(x, size, 1, 2), Disconnected("it is a size")]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Transform the tangent likewise."""
        return [None if tangents[0] is None else self(tangents[0], inputs[1])]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for scale in SCALES:
            yield cls(scale), Sample((spread(2, 3, dtype="complex128"), number(5)))
            yield cls(scale), Sample((spread(3, dtype="complex128"), number(4, "int32")))
        yield cls(), Sample((spread(2, 1, dtype="complex64"), number(1)))
        yield cls(), Sample((spread(0, 2, dtype="complex128"), number(2)))
        yield cls(), Sample((spread(3, dtype="complex128"), number(6)), ShapeError)
        yield cls(), Sample((spread(1, dtype="complex128"), number(0)), ShapeError)
        yield cls(), Sample((spread(3), number(4)), DTypeError)


def _occurs(half: Any, size: Any, once: float, twice: float) -> Any:
    """Return `once` for each element of a half that occurs once in the whole transform, `twice` for the others."""
    dtype = real_of(half.type.dtype)
    positions = arange(size_of(half, half.type.ndim - 1))
    alone = or_(eq(positions, 0), eq(positions * 2, size))
    return switch(alone, scalar_constant(once, dtype), scalar_constant(twice, dtype))
