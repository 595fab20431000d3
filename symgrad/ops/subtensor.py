"""The ops of indexing: parts of a tensor, and tensors with a part replaced or added to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import IndexingError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Operand, Sample, register
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.kernels.checks import Comparisons, mismatch, open_comparisons
from symgrad.kernels.grammar import (
    Fixed,
    FromArray,
    FromOperand,
    IndexEntry,
    Kernel,
    Library,
    Range,
    Slice,
    View,
    fill_index,
)
from symgrad.ops.creation import arange, zeros_like
from symgrad.ops.elementwise import eq, switch
from symgrad.ops.elementwise_op import broadcast_shapes
from symgrad.ops.promotion import is_discrete, zero_of
from symgrad.ops.reduction import prod
from symgrad.ops.sampling import number, spread
from symgrad.ops.shape import reshape, sum_to_type
from symgrad.ops.sizes import size_of

Index = tuple[IndexEntry, ...]


def _index_text(index: Index) -> str:
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


def _infer_basic(x: Any, index: Index, operands: Sequence[Any]) -> tuple[list[int | None], list[bool]]:
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
        return f"subtensor{_index_text(self.index)}"

    def infer(self, x: Any, *operands: Any) -> list[TensorType]:
        shape, pattern = _infer_basic(x, self.index, operands)
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
        return f"{'set' if self.sets else 'inc'}_subtensor{_index_text(self.index)}"

    def infer(self, x: Any, y: Any, *operands: Any) -> list[TensorType]:
        shape, pattern = _infer_basic(x, self.index, operands)
        _check_written(self.sets, TensorType(x.type.dtype, shape, pattern), y)
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
        return _written_gradient(self.sets, x, y, operands, cotangents[0], Subtensor(self.index), self)

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Write the tangent of `y` into that of `x`."""
        return [_written_tangent(self, inputs, tangents)]

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
        fixed = _fixed_axes(apply.inputs[1].type, target)
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


def _fixed_axes(written: Any, target: TensorType) -> tuple[int, ...]:
    """Return the axes, from the last, on which only a call can tell whether what is written fits its place."""
    return tuple([
        axis for axis in range(-written.ndim, 0)
        if not written.broadcastable[axis] and None in (written.shape[axis], target.shape[axis])
    ])  # fmt: skip


def _written_tangent(op: Op, inputs: Sequence[Any], tangents: Sequence[Any]) -> Any:
    x, y, *operands = inputs
    if tangents[0] is None and tangents[1] is None:
        return None
    dx, dy = [zeros_like(v) if t is None else t for v, t in zip((x, y), tangents[:2], strict=True)]
    return op(dx, dy, *operands)


def _written_gradient(
    sets: bool, x: Any, y: Any, operands: Sequence[Any], cotangent: Any, read: Op, write: Op
) -> list[Any]:
    of_x: Any = cotangent
    if is_discrete(x.type.dtype):
        of_x = Disconnected(f"{x} is {x.type.dtype}")
    elif sets:
        of_x = write(cotangent, zero_of(y.type.dtype), *operands)
    of_y: Any = Disconnected(f"{y} is {y.type.dtype}")
    if not is_discrete(y.type.dtype):
        part = read(cotangent, *operands)
        if sets and isinstance(write, AdvancedIncSubtensor):
            part = switch(_stays(x, part, operands, read, write), part, 0)
        of_y = sum_to_type(part, y)
    return [of_x, of_y, *[Disconnected("it is an index") for _ in operands]]


def _stays(x: Any, part: Any, operands: Sequence[Any], read: Op, write: Op) -> Any:
    """Whether each element that is put in place stays there: where positions repeat, the last one does."""
    sizes = [size_of(part, axis) for axis in range(part.type.ndim)]
    numbers = reshape(arange(prod(part.shape)), sizes)
    return eq(read(write(zeros_like(x, "int64"), numbers, *operands), *operands), numbers)


def _check_written(sets: bool, target: TensorType, y: Any) -> None:
    name = "set_subtensor" if sets else "inc_subtensor"
    if y.type.ndim > target.ndim:
        raise InferenceError(ShapeError, f"{name} can't write {y.type} into a part of {target}: too many axes")
    for axis in range(-y.type.ndim, 0):
        found, wanted = y.type.shape[axis], target.shape[axis]
        if not y.type.broadcastable[axis] and None not in (found, wanted) and found != wanted:
            raise mismatch(name, (found, wanted), axis + target.ndim)


@register
@dataclass(frozen=True)
class AdvancedSubtensor(Op):
    """``x[index]`` where arrays of positions or masks are among the indices: a copy, as in NumPy."""

    index: Index

    @property
    def name(self) -> str:
        return f"advanced_subtensor{_index_text(self.index)}"

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
        return f"advanced_{'set' if self.sets else 'inc'}_subtensor{_index_text(self.index)}"

    def infer(self, x: Any, y: Any, *operands: Any) -> list[TensorType]:
        _check_written(self.sets, _infer_advanced(x, self.index, operands), y)
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
        return _written_gradient(self.sets, x, y, operands, cotangents[0], AdvancedSubtensor(self.index), self)

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Write the tangent of `y` into that of `x`."""
        return [_written_tangent(self, inputs, tangents)]

    def lower(self, apply: Apply) -> Kernel:
        target = _infer_advanced(apply.inputs[0], self.index, apply.inputs[2:])
        attributes = (
            ("index", self.index),
            ("sets", self.sets),
            ("fixed", _fixed_axes(apply.inputs[1].type, target)),
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
            shape, pattern = _infer_basic(part, (entry,), bounds)
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
