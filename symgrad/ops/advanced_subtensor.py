"""The ops of indexing with arrays of positions and masks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import IndexingError, ShapeError
from symgrad.graph.op import InferenceError, Op, Operand, Sample, register
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.kernels.checks import Comparisons, open_comparisons
from symgrad.kernels.grammar import Fixed, FromArray, FromOperand, IndexEntry, Kernel, Library, Range, fill_index
from symgrad.ops.comparison import eq
from symgrad.ops.creation import ARange, arange, zeros_like
from symgrad.ops.elementwise_op import broadcast_shapes
from symgrad.ops.parts import Index, ReadPart, WritePart, index_text
from symgrad.ops.reduction import prod
from symgrad.ops.sampling import number, spread
from symgrad.ops.shape import reshape
from symgrad.ops.sizes import size_of
from symgrad.ops.subtensor import infer_basic


@register
@dataclass(frozen=True)
class AdvancedSubtensor(ReadPart):
    """``x[index]`` where arrays of positions or masks are among the indices: a copy, as in NumPy."""

    @property
    def name(self) -> str:
        return f"advanced_subtensor{index_text(self.index)}"

    def part_type(self, x: Any, operands: Sequence[Any]) -> TensorType:
        return _infer_advanced(x, self.index, operands)

    def writer(self, sets: bool) -> WritePart:
        return AdvancedIncSubtensor(self.index, sets)

    def lower(self, apply: Apply) -> Kernel:
        return Library("take", (("index", self.index), ("arrays", _array_comparisons(apply.inputs[1:], self.index))))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for index, *operands in _advanced_samples():
            yield cls(index), Sample((spread(4, 3, 2), *operands))
        yield cls((FromArray(),)), Sample((spread(4), np.array([4])), IndexingError)
        yield cls((FromArray(),)), Sample((spread(4), np.array([True, False])), IndexingError)
        yield cls((FromArray(), FromArray())), Sample((spread(4, 3), np.arange(3), np.arange(2)), ShapeError)
        yield cls((FromArray(), FromArray())), Sample((spread(4), np.arange(2), np.arange(2)), IndexingError)


def _advanced_samples() -> Iterable[tuple[Any, ...]]:
    """Yield advanced indices of a tensor (4, 3, 2), each with the values of its operands."""
    positions, labels = np.array([0, 3, 3, -1]), np.array([2, 0, 0, 1], "int32")
    yield (FromArray(),), positions
    yield (FromArray(),), np.array([], "int64")
    yield (FromArray(), FromArray()), positions, labels
    yield (FromArray(), Range(), FromArray()), np.array([[1], [2]]), np.array([[0, 1, 1]])
    yield (Range(None, None, -1), FromArray(), Fixed(1)), labels
    yield (Fixed(1), Range(), FromArray()), np.array([1, 0, 0])
    yield (FromArray(),), np.array([True, False, True, True])
    yield (FromArray(), Range(FromOperand(), None)), np.array([[True, False, True]] * 4), number(1)
    yield (FromArray(), FromOperand()), np.array([1, 1]), number(2, "int8")
    yield (Range(None, None, FromOperand()), FromArray()), number(-2), labels
    yield (Range(1), FromArray()), np.array(True)
    yield (FromArray(),), np.array(False)
    yield (Range(), FromArray(), FromArray()), np.array([True, False, True]), np.array([1, 0])


@register
@dataclass(frozen=True)
class AdvancedIncSubtensor(WritePart):
    """`x` with `y` added to (or put in place of) ``x[index]``; additions at repeated positions accumulate."""

    @property
    def name(self) -> str:
        return f"advanced_{'set' if self.sets else 'inc'}_subtensor{index_text(self.index)}"

    def reader(self) -> ReadPart:
        return AdvancedSubtensor(self.index)

    def still_there(self, x: Any, part: Any, operands: Sequence[Any]) -> Any:
        """Where positions repeat, the last element that is put there stays."""
        if _never_repeats(self.index, operands):
            return None
        sizes = [size_of(part, axis) for axis in range(part.type.ndim)]
        numbers = reshape(arange(prod(part.shape)), sizes)
        return eq(self.reader()(self(zeros_like(x, "int64"), numbers, *operands), *operands), numbers)

    def evaluate(self, x: np.ndarray, y: np.ndarray, *operands: np.ndarray) -> list[np.ndarray]:
        result = x.copy()
        index = fill_index(self.index, operands)
        if self.sets:
            result[index] = y
        else:
            np.add.at(result, index, y)
        return [result]

    def lower(self, apply: Apply) -> Kernel:
        attributes = (
            ("index", self.index),
            ("sets", self.sets),
            ("fixed", self.fixed_axes(apply.inputs)),
            ("arrays", _array_comparisons(apply.inputs[2:], self.index)),
        )
        return Library("write_at", attributes, overwrites=0)

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for index, *operands in _advanced_samples():
            (part,) = AdvancedSubtensor(index).evaluate(spread(4, 3, 2), *operands)
            yield cls(index, False), Sample((spread(4, 3, 2), spread(*part.shape, start=30), *operands))
            yield cls(index, True), Sample((spread(4, 3, 2), np.array(0.5), *operands))
            yield cls(index, False), Sample((spread(4, 3, 2), spread(2, *part.shape), *operands), ShapeError)
        yield cls((FromArray(),), True), Sample((spread(4), spread(2, start=5), np.array([3, 1])))
        yield cls((FromArray(),), True), Sample((spread(4), spread(3, start=5), np.array([3, 1, 3])))
        yield cls((FromArray(),), False), Sample((spread(4, dtype="int8"), number(9, "int8"), np.array([3, 1, 3])))
        yield cls((FromArray(),), False), Sample((spread(4), spread(3), np.array([3, 1])), ShapeError)
        yield cls((FromArray(),), True), Sample((spread(4), number(0.5, "float64"), np.array([-5])), IndexingError)


def _entries(index: Index, operands: Sequence[Any]) -> Iterator[tuple[IndexEntry, Sequence[Any]]]:
    """Yield each entry of an index with the operands that belong to it."""
    given = list(operands)
    for entry in index:
        count = int(isinstance(entry, FromArray | FromOperand))
        if isinstance(entry, Range):
            count = sum(isinstance(bound, FromOperand) for bound in (entry.start, entry.stop, entry.step))
        yield entry, given[:count]
        given = given[count:]


def _array_type(array: Any) -> TensorType:
    """The type of an array of positions; that of the positions that a mask picks."""
    if array.type.dtype != "bool":
        return array.type  # type: ignore[no-any-return]
    count = None if array.known is None else int(np.count_nonzero(array.known))
    return TensorType("int64", (count,))


def _array_comparisons(operands: Sequence[Any], index: Index) -> Comparisons:
    """Return what of the sizes of the index arrays only a call can compare; a mask counts as its positions."""
    types = [_array_type(given[0]) for entry, given in _entries(index, operands) if isinstance(entry, FromArray)]
    return open_comparisons([kind.broadcastable for kind in types], [kind.shape for kind in types])


def _infer_advanced(x: Any, index: Index, operands: Sequence[Any]) -> TensorType:
    """The type of ``x[index]`` by NumPy's rules for advanced indexing."""
    kept: list[tuple[int | None, bool]] = []
    joined_at: list[int] = []
    arrays: list[TensorType] = []
    axis = 0
    for position, (entry, given) in enumerate(_entries(index, operands)):
        is_mask = isinstance(entry, FromArray) and given[0].type.dtype == "bool"
        taken = given[0].type.ndim if is_mask else 1
        if axis + taken > x.type.ndim:
            what = f"a mask of {taken} axes doesn't fit {x.type}" if is_mask else f"too many indices for {x.type}"
            raise InferenceError(IndexingError, what)
        if isinstance(entry, Range):
            kept.append(_range_axis(x, axis, entry, given))
        else:
            joined_at.append(position)
        if isinstance(entry, FromArray):
            if is_mask:
                _check_mask(x.type, given[0].type, axis)
            arrays.append(_array_type(given[0]))
        axis += taken
    joined = list(zip(*broadcast_shapes("the index arrays", arrays), strict=True))
    rest = list(zip(x.type.shape[axis:], x.type.broadcastable[axis:], strict=True))
    adjacent = joined_at == list(range(joined_at[0], joined_at[-1] + 1))
    before = sum(isinstance(entry, Range) for entry in index[: joined_at[0]]) if adjacent else 0
    all_axes = kept[:before] + joined + kept[before:] + rest
    return TensorType(x.type.dtype, [size for size, _ in all_axes], [ones for _, ones in all_axes])


def _range_axis(x: Any, axis: int, entry: Range, bounds: Sequence[Any]) -> tuple[int | None, bool]:
    """Size and pattern of one axis of `x` of which a slice is taken."""
    along = slice(axis, axis + 1)
    shape, pattern = infer_basic(
        Operand(TensorType(x.type.dtype, x.type.shape[along], x.type.broadcastable[along])), (entry,), bounds
    )
    return shape[0], pattern[0]


def _check_mask(kind: TensorType, mask: TensorType, axis: int) -> None:
    for size, wanted in zip(mask.shape, kind.shape[axis:], strict=False):
        if None not in (size, wanted) and size != wanted:
            raise InferenceError(IndexingError, f"a mask of size {size} doesn't fit size {wanted} of {kind}")


def _never_repeats(index: Index, operands: Sequence[Any]) -> bool:
    """Whether the graph shows that no position is picked twice: masks only, or a range upward among vectors."""
    arrays = [given[0] for entry, given in _entries(index, operands) if isinstance(entry, FromArray)]
    if all(array.type.dtype == "bool" for array in arrays):
        return True
    return all(array.type.ndim == 1 for array in arrays) and any(map(_counts_up, arrays))


def _counts_up(array: Any) -> bool:
    """Whether a vector is a range upward from 0 or more, and doesn't stretch."""
    if array.owner is None or not isinstance(array.owner.op, ARange) or array.type.broadcastable[0]:
        return False
    start, _, step = [bound.known for bound in array.owner.inputs]
    return start is not None and step is not None and bool(start >= 0 and step > 0)
