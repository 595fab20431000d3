"""The ops of indexing with integers and slices: views, and tensors with a part replaced or added to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import IndexingError, ShapeError
from symgrad.graph.op import InferenceError, Op, Sample, register
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.kernels.grammar import Fixed, FromOperand, Kernel, Library, Range, Slice, View, fill_index
from symgrad.ops.parts import Index, ReadPart, WritePart, index_text
from symgrad.ops.sampling import number, spread


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
class Subtensor(ReadPart):
    """``x[index]`` with integers and slices: a view. Bounds that aren't in `index` arrive as scalar operands."""

    @property
    def name(self) -> str:
        return f"subtensor{index_text(self.index)}"

    def part_type(self, x: Any, operands: Sequence[Any]) -> TensorType:
        shape, pattern = infer_basic(x, self.index, operands)
        return TensorType(x.type.dtype, shape, pattern)

    def writer(self, sets: bool) -> WritePart:
        return IncSubtensor(self.index, sets)

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
class IncSubtensor(WritePart):
    """`x` with `y` added to (or put in place of) the part ``x[index]``."""

    @property
    def name(self) -> str:
        return f"{'set' if self.sets else 'inc'}_subtensor{index_text(self.index)}"

    def reader(self) -> ReadPart:
        return Subtensor(self.index)

    def evaluate(self, x: np.ndarray, y: np.ndarray, *operands: np.ndarray) -> list[np.ndarray]:
        result = x.copy()
        index = fill_index(self.index, operands)
        if self.sets:
            result[index] = y
        else:
            result[index] += y
        return [result]

    def lower(self, apply: Apply) -> Kernel:
        attributes = ("index", self.index), ("sets", self.sets), ("fixed", self.fixed_axes(apply.inputs))
        return Library("write", attributes, overwrites=0)

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


def _basic_samples() -> Iterable[tuple[Any, ...]]:
    """Yield basic indices of a tensor (4, 3, 1), each with the values of its operands."""
    yield ((),)
    yield ((Fixed(-1), Range(0, 2)),)
    yield ((Range(None, None, -2), Fixed(2), Range()),)
    yield ((Range(3, 0, -1), Range(1, 1)),)
    yield ((Range(-3, 100), Fixed(0), Fixed(0)),)
    yield (FromOperand(), Range(FromOperand(), FromOperand(), 2)), number(2), number(0, "int8"), number(3)
    yield (Range(FromOperand(), None, FromOperand()),), number(-1), number(-1)
