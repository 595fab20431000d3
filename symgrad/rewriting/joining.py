"""Tensors that are zero but for a part, and their sums: the gradients of tensors that are read in slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from symgrad.graph.variables import Apply, Constant, Variable
from symgrad.kernels.grammar import FromOperand, Range
from symgrad.ops.elementwise import maximum
from symgrad.ops.elementwise_op import Elementwise
from symgrad.ops.joining import concatenate
from symgrad.ops.promotion import scalar_constant
from symgrad.ops.shape import BroadcastTo, alloc
from symgrad.ops.sizes import size_of
from symgrad.ops.subtensor import IncSubtensor
from symgrad.rewriting.engine import Context, rule
from symgrad.rewriting.patterns import call, is_function, is_number, is_zeros, made_by


@rule("specialize", IncSubtensor, reason="zeros that are all written over are the written values")
def zeros_written_over_are_the_written_values(node: Apply, context: Context) -> Any:
    """``set_subtensor(zeros((n, ...))[0:n], y)`` is y."""
    zeros, value, *operands = node.inputs
    filled = made_by(zeros, BroadcastTo)
    index: Sequence[Any] = node.op.index  # type: ignore[attr-defined]
    if filled is None or not is_zeros(zeros) or not index or not all(isinstance(entry, Range) for entry in index):
        return None
    given, sizes = iter(operands), iter(filled.inputs[1:])
    whole = []
    for size, entry in zip(filled.op.sizes, index, strict=False):  # type: ignore[attr-defined]
        start, stop = [next(given) if isinstance(bound, FromOperand) else bound for bound in (entry.start, entry.stop)]
        size = next(sizes) if size is None else size
        begins = start is None or start == 0 or (isinstance(start, Constant) and is_number(start, 0))
        whole.append(begins and entry.step in (None, 1) and (stop is None or stop is size))
    kind: Any = value.type
    same = kind.dtype == zeros.type.dtype and kind.broadcastable == zeros.type.broadcastable  # type: ignore[attr-defined]
    return value if all(whole) and same else None


class _Part(NamedTuple):
    """A tensor of zeros but for the elements from `start` to `stop` of an axis."""

    start: int
    stop: int | None
    axis: int
    value: Any


@rule("specialize", Elementwise, functions=("add",), reason="each element is written once, and no zeros are added")
def parts_between_zeros_are_joined(node: Apply, context: Context) -> Any:
    """Slices that follow each other from the start; where the last one ends before the axis does, zeros follow."""
    if _is_inside(node, context):
        return None  # the sum that it is a term of has more parts
    terms = _terms(node, context)
    parts = {term: part for term in terms if (part := _part(term)) is not None}
    ordered = sorted(parts.values(), key=_start)
    if len(ordered) < 2 or len(terms) != len(set(terms)) or len({part.axis for part in ordered}) > 1:
        return None
    ends = [0, *[part.stop for part in ordered]]
    if any(part.start != end for part, end in zip(ordered, ends, strict=False)):
        return None
    joined = _joined(ordered, node.outputs[0])
    kind: Any = node.outputs[0].type
    if any(known is not None and found is None for known, found in zip(kind.shape, joined.type.shape, strict=True)):
        return None
    for term in terms:
        if term not in parts:
            joined = call("add", joined, term)
    return joined


def _is_inside(node: Apply, context: Context) -> bool:
    """Whether a sum is but a term of another one."""
    output: Any = node.outputs[0]
    users = [user for user, _ in context.users(output)]
    if context.uses(output) != 1 or len(users) != 1 or not is_function(users[0], "add"):
        return False
    return bool(users[0].outputs[0].type.broadcastable == output.type.broadcastable)  # type: ignore[attr-defined]


def _terms(node: Apply, context: Context) -> list[Variable]:
    """Return what a tree of sums adds up."""
    terms: list[Variable] = []
    waiting = list(reversed(node.inputs))
    kind: Any = node.outputs[0].type
    while waiting:
        variable: Any = waiting.pop()
        inner = variable.owner
        is_sum = inner is not None and isinstance(inner.op, Elementwise) and is_function(inner, "add")
        if is_sum and variable.type.broadcastable == kind.broadcastable and context.uses(variable) == 1:
            waiting += reversed(inner.inputs)
        else:
            terms.append(variable)
    return terms


def _start(part: _Part) -> int:
    return part.start


def _part(term: Any) -> _Part | None:
    node = made_by(term, IncSubtensor)
    if node is None or not is_zeros(node.inputs[0]) or len(node.inputs) != 2:
        return None
    value: Any = node.inputs[1]
    index: Sequence[Any] = node.op.index  # type: ignore[attr-defined]
    if value.type.broadcastable != term.type.broadcastable or value.type.dtype != term.type.dtype:
        return None
    sliced = [axis for axis, entry in enumerate(index) if entry != Range()]
    if len(sliced) != 1 or not isinstance(index[sliced[0]], Range):
        return None
    entry = index[sliced[0]]
    start, stop = entry.start or 0, entry.stop
    plain = isinstance(start, int) and (stop is None or isinstance(stop, int)) and entry.step in (None, 1)
    return _Part(start, stop, sliced[0], value) if plain and start >= 0 and (stop is None or stop >= start) else None


def _joined(parts: Sequence[_Part], like: Any) -> Any:
    """Return the values of parts one after the other, and zeros up to the size that the whole has."""
    values = [part.value for part in parts]
    axis, end = parts[-1].axis, parts[-1].stop
    if end is not None and like.type.shape[axis] != end:
        sizes = [size_of(like, number) for number in range(like.type.ndim)]
        sizes[axis] = maximum(sizes[axis] - end, 0)
        values.append(alloc(scalar_constant(0, like.type.dtype), *sizes))
    return concatenate(values, axis=axis)
