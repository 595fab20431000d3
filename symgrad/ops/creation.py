"""Tensors made of nothing but sizes, and tensors joined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.config import config
from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, register, user_error
from symgrad.graph.types import TensorType, dtype_name, shape_text
from symgrad.graph.variables import Apply, Variable
from symgrad.kernels.grammar import Kernel, Library
from symgrad.ops.axes import checked_axis, shape_padaxis
from symgrad.ops.casting import cast, cast_operands
from symgrad.ops.promotion import as_operand, as_operands, is_discrete, scalar_constant, upcast
from symgrad.ops.sampling import number, spread
from symgrad.ops.shape import alloc
from symgrad.ops.sizes import MakeVector, size_of


def zeros(shape: Any, dtype: str | None = None) -> Any:
    """Return a tensor of zeros; `dtype` is ``floatX`` by default.

    Parameters
    ----------
    shape : int, integer scalar, or sequence of them
        Sizes. Those known to be 1 stretch.
    dtype : str, optional
        Element type.
    """
    return full(shape, 0, dtype or config.floatX)


def ones(shape: Any, dtype: str | None = None) -> Any:
    """Return a tensor of ones; arguments as `zeros`."""
    return full(shape, 1, dtype or config.floatX)


def full(shape: Any, value: Any, dtype: str | None = None) -> Any:
    """Return a tensor filled with one value, as `numpy.full`."""
    value = as_operand(value) if dtype is None or isinstance(value, Variable) else scalar_constant(
        value, dtype_name(dtype))  # fmt: skip
    value = cast(value, dtype or value.type.dtype)
    sizes = shape if isinstance(shape, list | tuple) or getattr(shape, "ndim", 0) == 1 else [shape]
    return alloc(value, sizes)


def _like(value: Any, x: Any, dtype: str | None) -> Any:
    x = as_operand(x)
    constant = scalar_constant(value, dtype_name(dtype or x.type.dtype))
    return alloc(constant, *[size_of(x, axis) for axis in range(x.type.ndim)])


def zeros_like(model: Any, dtype: str | None = None, opt: bool = False) -> Any:
    """Return zeros with the sizes (and, unless given, the dtype) of `model`."""
    return _like(0, model, dtype)


def ones_like(model: Any, dtype: str | None = None, opt: bool = False) -> Any:
    """Return ones with the sizes (and, unless given, the dtype) of `model`."""
    return _like(1, model, dtype)


def full_like(model: Any, value: Any, dtype: str | None = None) -> Any:
    """Return `value` in every element, with the sizes and dtype of `model`."""
    model = as_operand(model)
    value = cast(as_operand(value), dtype or model.type.dtype)
    return alloc(value, *[size_of(model, axis) for axis in range(model.type.ndim)])


def fill(model: Any, value: Any) -> Any:
    """Return `value` stretched to the sizes of `model` (Theano's ``fill``)."""
    model = as_operand(model)
    return alloc(as_operand(value, [model.type.dtype]), *[size_of(model, axis) for axis in range(model.type.ndim)])


@register
@dataclass(frozen=True)
class ARange(Op):
    """Numbers from `start` to before `stop`, `step` apart."""

    dtype: str

    @property
    def name(self) -> str:
        return "arange"

    def infer(self, start: Any, stop: Any, step: Any) -> list[TensorType]:
        if start.type.ndim or stop.type.ndim or step.type.ndim:
            raise InferenceError(ShapeError, "arange takes scalars")
        bounds = [operand.known for operand in (start, stop, step)]
        if any(bound is None for bound in bounds):
            return [TensorType(self.dtype, (None,))]
        low, high, stride = [int(bound) for bound in bounds]
        if stride == 0:
            raise InferenceError(ShapeError, "arange needs a step other than 0")
        return [TensorType(self.dtype, (len(range(low, high, stride)),))]

    def evaluate(self, start: Any, stop: Any, step: Any) -> list[np.ndarray]:
        return [np.arange(start[()], stop[()], step[()], dtype=self.dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [Disconnected("a range depends on its bounds only in steps")] * 3

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The elements count as constant."""
        return [None]

    def lower(self, apply: Apply) -> Kernel:
        return Library("arange", (("dtype", self.dtype),))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls("int64"), Sample((number(0), number(5), number(1)))
        yield cls("int32"), Sample((number(7), number(-2), number(-3)))
        yield cls("int64"), Sample((number(3), number(3), number(1)))
        halves = number(0.5, "float64"), number(2.25, "float64"), number(0.5, "float64")
        yield cls("float64"), Sample(halves, differentiable=False)
        yield cls("int64"), Sample((spread(2), number(3), number(1)), ShapeError)
        yield cls("int64"), Sample((number(0), number(3), number(0)), ShapeError)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: str | None = None) -> Any:
    """Return numbers from `start` (0 if only one bound is given) to before `stop`, as `numpy.arange`.

    Of integers, the result is int64 whatever their dtypes; `dtype` overrides.
    """
    if stop is None:
        start, stop = 0, start
    bounds = as_operands(start, stop, step)
    found = upcast(*[bound.type.dtype for bound in bounds])
    return ARange(dtype_name(dtype or ("int64" if is_discrete(found) else found)))(*bounds)


@register
@dataclass(frozen=True)
class Eye(Op):
    """Ones on the `k`-th diagonal of a matrix of zeros."""

    dtype: str

    @property
    def name(self) -> str:
        return "eye"

    def infer(self, rows: Any, columns: Any, k: Any) -> list[TensorType]:
        if rows.type.ndim or columns.type.ndim or k.type.ndim:
            raise InferenceError(ShapeError, "eye takes scalars")
        shape = [None if size.known is None else int(size.known) for size in (rows, columns)]
        if any(size is not None and size < 0 for size in shape):
            raise InferenceError(ShapeError, f"eye can't make a negative size, got {shape_text(shape)}")
        return [TensorType(self.dtype, shape)]

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def evaluate(self, rows: np.ndarray, columns: np.ndarray, k: np.ndarray) -> list[np.ndarray]:
        return [np.eye(int(rows), int(columns), int(k), dtype=self.dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [Disconnected("it is a size")] * 3

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls("float32"), Sample((number(2), number(3), number(1)))
        yield cls("int8"), Sample((number(3, "int32"), number(0), number(-1)))
        yield cls("bool"), Sample((number(2), number(2), number(0)))
        yield cls("float64"), Sample((spread(2, dtype="int64"), number(2), number(0)), ShapeError)
        yield cls("float64"), Sample((number(-1), number(2), number(0)), ShapeError)


def eye(n: Any, m: Any = None, k: Any = 0, dtype: str | None = None) -> Any:
    """Return an `n` by `m` matrix with ones on its `k`-th diagonal, as `numpy.eye`; `dtype` is ``floatX``."""
    sizes = [as_operand(size) for size in (n, n if m is None else m, k)]
    if not all(is_discrete(size.type.dtype) for size in sizes):
        raise user_error(DTypeError, "eye needs integers as sizes", sizes)
    return Eye(dtype_name(dtype or config.floatX))(*sizes)


def identity_like(x: Any) -> Any:
    """Return the matrix with ones on its diagonal that has the sizes and dtype of the matrix `x`."""
    x = as_operand(x)
    return eye(size_of(x, 0), size_of(x, 1), 0, x.type.dtype)


@register
@dataclass(frozen=True)
class Concatenate(Op):
    """Tensors joined along an axis."""

    axis: int

    @property
    def name(self) -> str:
        return f"concatenate{{{self.axis}}}"

    def infer(self, *parts: Any) -> list[TensorType]:
        types = [part.type for part in parts]
        if len({kind.ndim for kind in types}) > 1:
            counts = " and ".join(str(kind.ndim) for kind in types)
            raise InferenceError(ShapeError, f"concatenate needs equal numbers of axes, got {counts}")
        shape: list[int | None] = []
        for axis in range(types[0].ndim):
            sizes: list[Any] = [kind.shape[axis] for kind in types]
            if axis == self.axis:
                shape.append(None if None in sizes else sum(sizes))
                continue
            known = sorted({size for size in sizes if size is not None})
            if len(known) > 1:
                raise InferenceError(
                    ShapeError, f"concatenate along axis {self.axis} needs equal sizes on axis {axis}, got {known}"
                )
            shape.append(known[0] if known else None)
        return [TensorType(upcast(*[kind.dtype for kind in types]), shape)]

    def evaluate(self, *parts: np.ndarray) -> list[np.ndarray]:
        return [np.concatenate(parts, axis=self.axis)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        results: list[Any] = []
        start: Any = 0
        for part in inputs:
            stop = start + size_of(part, self.axis)
            if is_discrete(part.type.dtype):
                results.append(Disconnected(f"{part} is {part.type.dtype}"))
            else:
                piece = cotangents[0][(slice(None),) * self.axis + (slice(start, stop),)]
                results.append(cast(_as_declared(piece, part), part.type.dtype))
            start = stop
        return results

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Join the tangents likewise."""
        dtype = outputs[0].type.dtype
        parts = [
            zeros_like(part, dtype) if tangent is None else cast(tangent, dtype)
            for part, tangent in zip(inputs, tangents, strict=True)
        ]
        return [self(*parts)]

    def lower(self, apply: Apply) -> Kernel:
        return Library("concatenate", (("axis", self.axis),))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(0), Sample((spread(2, 3), spread(1, 3, start=6)))
        yield cls(1), Sample((spread(2, 1), spread(2, 0), spread(2, 2, start=2)))
        yield cls(0), Sample((spread(2, dtype="int8"),))
        yield cls(0), Sample((spread(0, dtype="float32"), spread(2, dtype="float32")))
        yield cls(0), Sample((spread(2, 3), spread(2, 2)), ShapeError)
        yield cls(0), Sample((spread(2, 3), spread(3)), ShapeError)


def _as_declared(piece: Any, part: Any) -> Any:
    """Say that a slice has size 1 where the part that it belongs to has."""
    from symgrad.ops.sizes import specify_shape

    return specify_shape(piece, part.type.shape)


def concatenate(tensors: Any, axis: int = 0) -> Any:
    """Join tensors along an axis that they have; all other sizes must be equal."""
    parts = _common(list(tensors), "concatenate")
    if parts[0].type.ndim == 0:
        raise user_error(ShapeError, "concatenate joins along an axis, and scalars have none", parts, "Use T.stack.")
    return Concatenate(checked_axis(axis, parts[0], "concatenate"))(*parts)


def join(axis: int, *tensors: Any) -> Any:
    """`concatenate` in Theano's order of arguments."""
    return concatenate(tensors, axis)


def stack(*tensors: Any, axis: int = 0) -> Any:
    """Join tensors along a new axis: ``stack([a, b], axis=0)``, or ``stack(a, b)``."""
    parts = list(tensors)
    if parts and isinstance(parts[0], list | tuple):
        axis = parts[1] if len(parts) == 2 else axis
        parts = list(parts[0])
    parts = _common(parts, "stack")
    if all(part.type.ndim == 0 for part in parts):
        checked_axis(axis, parts[0], "stack", 1)
        return MakeVector(parts[0].type.dtype)(*parts)
    return concatenate([shape_padaxis(part, axis) for part in parts], axis)


def _common(parts: list[Any], where: str) -> list[Any]:
    if not parts:
        raise user_error(ShapeError, f"{where} needs at least one tensor")
    parts = as_operands(*parts)
    dtype = upcast(*[part.type.dtype for part in parts])
    return cast_operands(parts, [dtype] * len(parts))


def horizontal_stack(*tensors: Any) -> Any:
    """Join matrices side by side."""
    return concatenate(tensors, axis=1)


def vertical_stack(*tensors: Any) -> Any:
    """Join matrices one above the other."""
    return concatenate(tensors, axis=0)


__all__ = [
    "arange", "concatenate", "eye", "fill", "full", "full_like", "horizontal_stack", "identity_like", "join", "ones",
    "ones_like", "stack", "vertical_stack", "zeros", "zeros_like",
]  # fmt: skip
