"""The ops of indexing with arrays of positions and masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import IndexingError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Operand, Sample, register
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.kernels.checks import Comparisons, open_comparisons
from symgrad.kernels.grammar import Fixed, FromArray, FromOperand, Kernel, Library, Range, fill_index
from symgrad.ops.comparison import eq
from symgrad.ops.creation import arange, zeros_like
from symgrad.ops.elementwise import switch
from symgrad.ops.elementwise_op import broadcast_shapes
from symgrad.ops.promotion import is_discrete
from symgrad.ops.reduction import prod
from symgrad.ops.sampling import number, spread
from symgrad.ops.shape import reshape, sum_to_type
from symgrad.ops.sizes import size_of
from symgrad.ops.subtensor import (
    Index,
    check_written,
    fixed_axes,
    index_text,
    infer_basic,
    written_gradient,
    written_tangent,
)


@register
@dataclass(frozen=True)
class AdvancedSubtensor(Op):
    """``x[index]`` where arrays of positions or masks are among the indices: a copy, as in NumPy."""

    index: Index

    @property
    def name(self) -> str:
        return f"advanced_subtensor{index_text(self.index)}"

    def infer(self, x: Any, *operands: Any) -> list[TensorType]:
        return [_infer_advanced(x, self.index, operands)]

    def evaluate(self, x: np.ndarray, *operands: np.ndarray) -> list[np.ndarray]:
        return [np.asarray(x[fill_index(self.index, operands)])]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        x, *operands = inputs
        if is_discrete(x.type.dtype):
            return [Disconnected(f"{x} is {x.type.dtype}")] * len(inputs)
        scattered = AdvancedIncSubtensor(self.index, False)(zeros_like(x), cotangents[0], *operands)
        return [scattered, *[Disconnected("it is an index") for _ in operands]]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Index the tangent likewise."""
        return [None if tangents[0] is None else self(tangents[0], *inputs[1:])]

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


@register
@dataclass(frozen=True)
class AdvancedIncSubtensor(Op):
    """`x` with `y` added to (or put in place of) ``x[index]``; additions at repeated positions accumulate."""

    index: Index
    sets: bool

    @property
    def name(self) -> str:
        return f"advanced_{'set' if self.sets else 'inc'}_subtensor{index_text(self.index)}"

    def infer(self, x: Any, y: Any, *operands: Any) -> list[TensorType]:
        check_written(self.sets, _infer_advanced(x, self.index, operands), y)
        return [x.type]

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def evaluate(self, x: np.ndarray, y: np.ndarray, *operands: np.ndarray) -> list[np.ndarray]:
        result = x.copy()
        index = fill_index(self.index, operands)
        if self.sets:
            result[index] = y
        else:
            np.add.at(result, index, y)
        return [result]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        x, y, *operands = inputs
        read = AdvancedSubtensor(self.index)
        results = written_gradient(self.sets, x, y, operands, cotangents[0], read, self)
        if self.sets and not is_discrete(y.type.dtype):
            part = read(cotangents[0], *operands)
            results[1] = sum_to_type(switch(_stays(x, part, operands, read, self), part, 0), y)
        return results

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Write the tangent of `y` into that of `x`."""
        return [written_tangent(self, inputs, tangents)]

    def lower(self, apply: Apply) -> Kernel:
        target = _infer_advanced(apply.inputs[0], self.index, apply.inputs[2:])
        attributes = (
            ("index", self.index),
            ("sets", self.sets),
            ("fixed", fixed_axes(apply.inputs[1].type, target)),
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
        yield cls((FromArray(),), False), Sample((spread(4, dtype="int8"), number(9, "int8"), np.array([3, 1, 3])))
        yield cls((FromArray(),), False), Sample((spread(4), spread(3), np.array([3, 1])), ShapeError)
        yield cls((FromArray(),), True), Sample((spread(4), number(0.5, "float64"), np.array([-5])), IndexingError)


def _array_comparisons(operands: Sequence[Any], index: Index) -> Comparisons:
    """Return what of the sizes of the index arrays only a call can compare; a mask counts as its positions."""
    types = []
    given = list(operands)
    for entry in index:
        if isinstance(entry, FromArray):
            kind = given.pop(0).type
            types.append(TensorType("int64", (None,)) if kind.dtype == "bool" else kind)
        elif isinstance(entry, Range):
            del given[: sum(isinstance(bound, FromOperand) for bound in (entry.start, entry.stop, entry.step))]
        elif isinstance(entry, FromOperand):
            del given[0]
    return open_comparisons([kind.broadcastable for kind in types], [kind.shape for kind in types])


def _infer_advanced(x: Any, index: Index, operands: Sequence[Any]) -> TensorType:
    """The type of ``x[index]`` by NumPy's rules for advanced indexing."""
    given = list(operands)
    kept: list[tuple[int | None, bool]] = []
    joined_at: list[int] = []
    arrays: list[TensorType] = []
    axis = 0
    for position, entry in enumerate(index):
        if axis >= x.type.ndim:
            raise InferenceError(IndexingError, f"too many indices for {x.type}")
        if isinstance(entry, Range):
            count = sum(isinstance(bound, FromOperand) for bound in (entry.start, entry.stop, entry.step))
            bounds, given = given[:count], given[count:]
            part = Operand(TensorType(x.type.dtype, x.type.shape[axis : axis + 1],
                                      x.type.broadcastable[axis : axis + 1]))  # fmt: skip
            shape, pattern = infer_basic(part, (entry,), bounds)
            kept.append((shape[0], pattern[0]))
            axis += 1
            continue
        if isinstance(entry, FromArray):
            array = given.pop(0).type
            if array.dtype == "bool":
                _check_mask(x.type, array, axis)
                axis += array.ndim
                array = TensorType("int64", (None,))
            else:
                axis += 1
            arrays.append(array)
        else:
            if isinstance(entry, FromOperand):
                given.pop(0)
            axis += 1
        joined_at.append(position)
    shape_joined, pattern_joined = broadcast_shapes("the index arrays", arrays)
    rest = list(zip(x.type.shape[axis:], x.type.broadcastable[axis:], strict=True))
    adjacent = joined_at == list(range(joined_at[0], joined_at[-1] + 1))
    before = sum(isinstance(entry, Range) for entry in index[: joined_at[0]]) if adjacent else 0
    joined = list(zip(shape_joined, pattern_joined, strict=True))
    all_axes = kept[:before] + joined + kept[before:] + rest
    return TensorType(x.type.dtype, [size for size, _ in all_axes], [ones for _, ones in all_axes])


def _check_mask(kind: TensorType, mask: TensorType, axis: int) -> None:
    for offset, size in enumerate(mask.shape):
        if axis + offset >= kind.ndim:
            raise InferenceError(IndexingError, f"a mask of {mask.ndim} axes doesn't fit {kind}")
        wanted = kind.shape[axis + offset]
        if None not in (size, wanted) and size != wanted:
            raise InferenceError(IndexingError, f"a mask of size {size} doesn't fit size {wanted} of {kind}")


def _stays(x: Any, part: Any, operands: Sequence[Any], read: Op, write: Op) -> Any:
    """Whether each element that is put in place stays there: where positions repeat, the last one does."""
    sizes = [size_of(part, axis) for axis in range(part.type.ndim)]
    numbers = reshape(arange(prod(part.shape)), sizes)
    return eq(read(write(zeros_like(x, "int64"), numbers, *operands), *operands), numbers)
