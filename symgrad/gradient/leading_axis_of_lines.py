"""How ops along one axis work on many rows at once: the rules of `symgrad.gradient.leading_axis` for sorts and sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.gradient.leading_axis import Outputs, Rows, with_leading_axis
from symgrad.gradient.row_by_row import RowByRow
from symgrad.graph.variables import Apply
from symgrad.ops.cumulative import Cumulative, LinearRecurrence, Shift
from symgrad.ops.sorting import ArgSort, ArgTopK, Sort


@with_leading_axis.register
def _(op: Sort, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    return [Sort(op.axis + 1)(*inputs)]


@with_leading_axis.register
def _(op: ArgSort, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    return [ArgSort(op.axis + 1)(*inputs)]


@with_leading_axis.register
def _(op: ArgTopK, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    if batched[1]:
        return RowByRow.apply(op, node, inputs, batched)
    return [ArgTopK(op.axis + 1)(*inputs)]


@with_leading_axis.register
def _(op: Cumulative, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    return [Cumulative(op.function, op.axis + 1)(*inputs)]


@with_leading_axis.register
def _(op: LinearRecurrence, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    return [LinearRecurrence(op.axis + 1, op.reverse)(*rows.all_repeated(inputs, batched))]


@with_leading_axis.register
def _(op: Shift, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    return [Shift(op.axis + 1, op.by, op.fill)(*inputs)]
