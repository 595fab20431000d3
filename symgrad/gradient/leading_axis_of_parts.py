"""How indexing works on many rows at once: the rules of `symgrad.gradient.leading_axis` for parts of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.gradient.leading_axis import Outputs, Rows, padded, with_leading_axis
from symgrad.gradient.row_by_row import RowByRow
from symgrad.graph.variables import Apply
from symgrad.kernels.grammar import FromArray, FromOperand, IndexEntry, Range
from symgrad.ops.advanced_subtensor import AdvancedIncSubtensor, AdvancedSubtensor
from symgrad.ops.axes import dimshuffle
from symgrad.ops.creation import arange
from symgrad.ops.subtensor import IncSubtensor, Subtensor


class _Plan:
    """An index for all rows, and where the rows come out.

    Attributes
    ----------
    index : tuple
        The new index, of the tensor that has (or hasn't) rows.
    operands : list
        What arrives for it.
    is_basic : bool
        Whether it is made of integers and slices only.
    order : list of int
        Axes of what the index reads, in the order in which the rows are first and the others are as in one row.
    """

    def __init__(
        self, index: Sequence[IndexEntry], operands: Sequence[Any], batched: Sequence[bool], has_rows: bool,
        part_ndim: int, rows: Rows,
    ) -> None:  # fmt: skip
        entries = _with_operands(index, operands, batched)
        places = [place for place, (entry, _, _) in enumerate(entries) if not isinstance(entry, Range)]
        are_adjacent = not places or places == list(range(places[0], places[-1] + 1))
        before = sum(isinstance(entry, Range) for entry, _, _ in entries[: places[0]]) if places else 0
        joined = max([_joined_axes(*entry) for entry in entries], default=0)
        self.is_basic = not any(batched) and not any(isinstance(entry, FromArray) for entry, _, _ in entries)
        new: list[tuple[IndexEntry, list[Any]]] = [
            (FromArray(), [padded(found[0], joined)]) if any(flags) else (entry, found)
            for entry, found, flags in entries
        ]
        self.order = list(range(part_ndim + 1))
        if not any(batched):
            new.insert(0, (Range(), []))
            if not self.is_basic and not are_adjacent:  # the arrays' axes come first, then the rows
                self.order = [joined, *range(joined), *range(joined + 1, part_ndim + 1)]
        elif has_rows:  # the rows and the arrays' axes come first
            numbers = dimshuffle(arange(rows.count), 0, *["x"] * joined)
            new.insert(0, (FromArray(), [numbers]))
            if are_adjacent:
                self.order = [0, *range(joined + 1, joined + 1 + before), *range(1, joined + 1),
                              *range(joined + 1 + before, part_ndim + 1)]  # fmt: skip
        elif are_adjacent:  # the rows come out with the arrays' axes, behind what stands before
            self.order = [before, *range(before), *range(before + 1, part_ndim + 1)]
        self.index = tuple([entry for entry, _ in new])
        self.operands = [operand for _, found in new for operand in found]

    def read(self, x: Any) -> Any:
        """Return the part of each row."""
        op = Subtensor(self.index) if self.is_basic else AdvancedSubtensor(self.index)
        return dimshuffle(op(x, *self.operands), *self.order)

    def write(self, x: Any, y: Any, sets: bool) -> Any:
        """Return `x` with `y`, whose rows come first, written into the part of each row."""
        op = IncSubtensor(self.index, sets) if self.is_basic else AdvancedIncSubtensor(self.index, sets)
        back = [self.order.index(axis) for axis in range(len(self.order))]
        return op(x, dimshuffle(y, *back), *self.operands)


Entries = list[tuple[IndexEntry, list[Any], list[bool]]]


def _with_operands(index: Sequence[IndexEntry], operands: Sequence[Any], batched: Sequence[bool]) -> Entries:
    """Return each entry of an index with the operands that it takes, and which of them have rows."""
    given = list(zip(operands, batched, strict=True))
    entries: Entries = []
    for entry in index:
        count = 1 if isinstance(entry, FromOperand | FromArray) else 0
        if isinstance(entry, Range):
            count = sum(isinstance(bound, FromOperand) for bound in (entry.start, entry.stop, entry.step))
        taken, given = given[:count], given[count:]
        entries.append((entry, [x for x, _ in taken], [has_rows for _, has_rows in taken]))
    return entries


def _joined_axes(entry: IndexEntry, found: Sequence[Any], flags: Sequence[bool]) -> int:
    """How many axes an entry makes the index arrays of one row have at least."""
    if not isinstance(entry, FromArray):
        return 0
    return 1 if found[0].type.dtype == "bool" else found[0].type.ndim - flags[0]  # type: ignore[no-any-return]


def _can_be_planned(entries: Entries) -> bool:
    """Whether neither a slice's bounds nor a mask differ from row to row."""
    return not any(
        any(flags) and (isinstance(entry, Range) or found[0].type.dtype == "bool") for entry, found, flags in entries
    )


def _plan(op: Any, x: Any, operands: Sequence[Any], batched: Sequence[bool], part_ndim: int, rows: Rows) -> Any:
    if not _can_be_planned(_with_operands(op.index, operands, batched[1:])):
        return None
    return _Plan(op.index, operands, batched[1:], batched[0], part_ndim, rows)


@with_leading_axis.register(Subtensor)
@with_leading_axis.register(AdvancedSubtensor)
def _(op: Any, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    x, *operands = inputs
    ndim: int = node.outputs[0].type.ndim  # type: ignore[attr-defined]
    plan = _plan(op, x, operands, batched, ndim, rows)
    return RowByRow.apply(op, node, inputs, batched) if plan is None else [plan.read(x)]


@with_leading_axis.register(IncSubtensor)
@with_leading_axis.register(AdvancedIncSubtensor)
def _(op: Any, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    x, y, *operands = inputs
    read: type[Any] = Subtensor if isinstance(op, IncSubtensor) else AdvancedSubtensor
    part: Any = read(op.index)(node.inputs[0], *node.inputs[2:])
    x = x if batched[0] else rows.repeated(x)
    plan = _plan(op, x, operands, [True, *batched[2:]], part.type.ndim, rows)
    if plan is None:
        return RowByRow.apply(op, node, inputs, batched)
    y = padded(y, part.type.ndim) if batched[1] else dimshuffle(y, *["x"] * (part.type.ndim + 1 - y.type.ndim),
                                                                *range(y.type.ndim))  # fmt: skip
    return [plan.write(x, y, op.sets)]
