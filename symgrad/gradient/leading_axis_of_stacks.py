"""How linear algebra works on many rows at once: rows are one more axis of a stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.gradient.leading_axis import Outputs, Rows, padded, with_leading_axis
from symgrad.gradient.row_by_row import RowByRow
from symgrad.graph.variables import Apply
from symgrad.ops.stacks import OnStacks


@with_leading_axis.register
def _(op: OnStacks, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    pairs = list(zip(inputs, batched, strict=True))
    if any(has_rows and x.type.ndim == 1 for x, has_rows in pairs):  # a parameter that differs from row to row
        return RowByRow.apply(op, node, inputs, batched)
    ndim = max([x.type.ndim - has_rows for x, has_rows in pairs])
    results = op.after_a_new_axis()(*[padded(x, ndim) if has_rows else x for x, has_rows in pairs])
    return results if isinstance(results, tuple) else [results]
