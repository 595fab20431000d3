"""The ops of indexing with integers and slices: views, and tensors with a part replaced or added to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import IndexingError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, register
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.kernels.checks import mismatch
from symgrad.kernels.grammar import (
    Fixed,
    FromOperand,
    IndexEntry,
    Kernel,
    Library,
    Range,
    Slice,
    View,
    fill_index,
)
from symgrad.ops.creation import zeros_like
from symgrad.ops.promotion import is_discrete, zero_of
from symgrad.ops.sampling import number, spread
from symgrad.ops.shape import sum_to_type

Index = tuple[IndexEntry, ...]


def index_text(index: Index) -> str:
    def bound(value: Any) -> str:
        return "" if value is None else "i" if isinstance(value, FromOperand) else str(value)

    def entry_text(entry: IndexEntry) -> str:
        if isinstance(entry, Fixed):
            return str(entry.value)
        if isinstance(entry, Range):
            step = f":{bound(entry.step)}" if entry.step is not None else ""
            return f"{bound(entry.start)}:{bound(entry.stop)}{step}"
        return "i" if isinstance(entry, FromOperand) else "array"

    return f"[{', '.join(entry_text(entry) for entry in index)}]"


def _range_size(entry: Range, size: int | None, bounds: Sequence[int | None]) -> int | None:
    """The number of elements that a range takes of `size`, None if that isn't known."""
    start, stop, step = bounds
    unknown = [
        given is not None and value is None
        for given, value in zip((entry.start, entry.stop, entry.step), bounds, strict=True)
    ]
    if step == 0:
        raise InferenceError(IndexingError, "a slice needs a step other than 0")
    if size is None or any(unknown):
        return size if entry == Range() else None
    return len(range(*slice(start, stop, step).indices(size)))


def infer_basic(x: Any, index: Index, operands: Sequence[Any]) -> tuple[list[int | None], list[bool]]:
    """Return sizes and broadcast pattern of ``x[index]`` for a basic index."""
    if len(index) > x.type.ndim:
        raise InferenceError(IndexingError, f"too many indices: {len(index)} for {x.type}")
    given = iter(operands)
    shape: list[int | None] = []

    def value_of(bound: Any) -> int | None:
        if isinstance(bound, FromOperand):
            known = next(given).known
            return None if known is None else int(known)
        return bound

    for entry, size in zip(index, x.type.shape, strict=False):
        if isinstance(entry, Range):
            shape.append(_range_size(entry, size, [value_of(b) for b in (entry.start, entry.stop, entry.step)]))
            continue
        position = value_of(FromOperand()) if isinstance(entry, FromOperand) else entry.value  # type: ignore[union-attr]
        if position is not None and size is not None and not -size <= position < size:
            raise InferenceError(IndexingError, f"index {position} is out of bounds for size {size} of {x.type}")
    shape += x.type.shape[len(index) :]
    return shape, [size == 1 for size in shape]


@register
@dataclass(frozen=True)
class Subtensor(Op):
    """``x[index]`` with integers and slices: a view. Bounds that aren't in `index` arrive as scalar operands."""

    index: Index

    @property
    def name(self) -> str:
        return f"subtensor{index_text(self.index)}"

    def infer(self, x: Any, *operands: Any) -> list[TensorType]:
        shape, pattern = infer_basic(x, self.index, operands)
        return [TensorType(x.type.dtype, shape, pattern)]

    def evaluate(self, x: np.ndarray, *operands: np.ndarray) -> list[np.ndarray]:
        return [np.asarray(x[fill_index(self.index, operands)])]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        x, *operands = inputs
        if is_discrete(x.type.dtype):
            return [Disconnected(f"{x} is {x.type.dtype}")] * len(inputs)
        scattered = IncSubtensor(self.index, False)(zeros_like(x), cotangents[0], *operands)
        return [scattered, *[Disconnected("it is an index") for _ in operands]]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Index the tangent likewise."""
        return [None if tangents[0] is None else self(tangents[0], *inputs[1:])]

    def lower(self, apply: Apply) -> Kernel:
        return View(Slice(self.index))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for index, *bounds in _basic_samples():
            yield cls(index), Sample((spread(4, 3, 1), *bounds))
        yield cls((Fixed(4),)), Sample((spread(4, 3),), IndexingError)
        yield cls((FromOperand(),)), Sample((spread(4, 3), number(-5)), IndexingError)
        yield cls((Fixed(0), Fixed(0))), Sample((spread(4),), IndexingError)
        yield cls((Range(step=0),)), Sample((spread(4),), IndexingError)


@register
@dataclass(frozen=True)
class IncSubtensor(Op):
    """`x` with `y` added to (or put in place of) the part ``x[index]``."""

    index: Index
    sets: bool

    @property
    def name(self) -> str:
        return f"{'set' if self.sets else 'inc'}_subtensor{index_text(self.index)}"

    def infer(self, x: Any, y: Any, *operands: Any) -> list[TensorType]:
        shape, pattern = infer_basic(x, self.index, operands)
        check_written(self.sets, TensorType(x.type.dtype, shape, pattern), y)
        return [x.type]

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def evaluate(self, x: np.ndarray, y: np.ndarray, *operands: np.ndarray) -> list[np.ndarray]:
        result = x.copy()
        index = fill_index(self.index, operands)
        if self.sets:
            result[index] = y
        else:
            result[index] += y
        return [result]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        x, y, *operands = inputs
        return written_gradient(self.sets, x, y, operands, cotangents[0], Subtensor(self.index), self)

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Write the tangent of `y` into that of `x`."""
        return [written_tangent(self, inputs, tangents)]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for index, *bounds in _basic_samples():
            (part,) = Subtensor(index).evaluate(spread(4, 3, 1), *bounds)
            for sets in (False, True):
                written = spread(*part.shape, start=20)
                yield cls(index, sets), Sample((spread(4, 3, 1), written, *bounds))
                yield cls(index, sets), Sample((spread(4, 3, 1), np.array(0.5), *bounds))
                yield cls(index, sets), Sample((spread(4, 3, 1), spread(2, *part.shape), *bounds), ShapeError)
        yield cls((Range(1, 3),), True), Sample((spread(4, dtype="int8"), number(7, "int8")))
        yield cls((Range(1, 3),), False), Sample((spread(4), spread(3)), ShapeError)
        yield cls((Fixed(4),), True), Sample((spread(4), number(1.0, "float64")), IndexingError)

    def lower(self, apply: Apply) -> Kernel:
        target = Subtensor(self.index).infer(apply.inputs[0], *apply.inputs[2:])[0]
        fixed = fixed_axes(apply.inputs[1].type, target)
        return Library("write", (("index", self.index), ("sets", self.sets), ("fixed", fixed)), overwrites=0)


def _basic_samples() -> Iterable[tuple[Any, ...]]:
    """Yield basic indices of a tensor (4, 3, 1), each with the values of its operands."""
    yield ((),)
    yield ((Fixed(-1), Range(0, 2)),)
    yield ((Range(None, None, -2), Fixed(2), Range()),)
    yield ((Range(3, 0, -1), Range(1, 1)),)
    yield ((Range(-3, 100), Fixed(0), Fixed(0)),)
    yield (FromOperand(), Range(FromOperand(), FromOperand(), 2)), number(2), number(0, "int8"), number(3)
    yield (Range(FromOperand(), None, FromOperand()),), number(-1), number(-1)


def fixed_axes(written: Any, target: TensorType) -> tuple[int, ...]:
    """Return the axes, from the last, on which only a call can tell whether what is written fits its place."""
    return tuple([
        axis for axis in range(-written.ndim, 0)
        if not written.broadcastable[axis] and None in (written.shape[axis], target.shape[axis])
    ])  # fmt: skip


def written_tangent(op: Op, inputs: Sequence[Any], tangents: Sequence[Any]) -> Any:
    x, y, *operands = inputs
    if tangents[0] is None and tangents[1] is None:
        return None
    dx, dy = [zeros_like(v) if t is None else t for v, t in zip((x, y), tangents[:2], strict=True)]
    return op(dx, dy, *operands)


def written_gradient(
    sets: bool, x: Any, y: Any, operands: Sequence[Any], cotangent: Any, read: Op, write: Op
) -> list[Any]:
    of_x: Any = cotangent
    if is_discrete(x.type.dtype):
        of_x = Disconnected(f"{x} is {x.type.dtype}")
    elif sets:
        of_x = write(cotangent, zero_of(y.type.dtype), *operands)
    of_y: Any = Disconnected(f"{y} is {y.type.dtype}")
    if not is_discrete(y.type.dtype):
        of_y = sum_to_type(read(cotangent, *operands), y)
    return [of_x, of_y, *[Disconnected("it is an index") for _ in operands]]


def check_written(sets: bool, target: TensorType, y: Any) -> None:
    name = "set_subtensor" if sets else "inc_subtensor"
    if y.type.ndim > target.ndim:
        raise InferenceError(ShapeError, f"{name} can't write {y.type} into a part of {target}: too many axes")
    for axis in range(-y.type.ndim, 0):
        found, wanted = y.type.shape[axis], target.shape[axis]
        if not y.type.broadcastable[axis] and None not in (found, wanted) and found != wanted:
            raise mismatch(name, (found, wanted), axis + target.ndim)
