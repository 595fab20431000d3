"""What `vectorize` left to be done row by row becomes a loop, where the op has a kernel: its rounds are native."""

from __future__ import annotations

from typing import Any

from symgrad.control.scanning import scan
from symgrad.gradient.row_by_row import RowByRow
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply, Variable
from symgrad.kernels.grammar import Evaluate
from symgrad.rewriting.engine import Context, rule


@rule("canonicalize", RowByRow, backends=("native", "cuda"),
      reason="an op that has a kernel needn't run in Python, row by row")  # fmt: skip
def rows_are_rounds_of_a_loop(node: Apply, context: Context) -> Any:
    op: Any = node.op
    if not all(isinstance(v.type, TensorType) for v in (*node.inputs, *node.outputs)):
        return None
    single = [v.type if not has_rows else _row_type(v) for v, has_rows in zip(node.inputs, op.batched, strict=True)]
    one: Any = op.op(*[kind() for kind in single])
    made: Apply = (one[0] if isinstance(one, tuple) else one).owner
    kernel = op.op.lower(made)
    if kernel is None or isinstance(kernel, Evaluate):
        return None

    def step(*given: Any) -> Any:
        rows, others = iter(given[: sum(op.batched)]), iter(given[sum(op.batched) :])
        return op.op(*[next(rows) if has_rows else next(others) for has_rows in op.batched])

    pairs = list(zip(node.inputs, op.batched, strict=True))
    differing, others = [v for v, has_rows in pairs if has_rows], [v for v, has_rows in pairs if not has_rows]
    found, _ = scan(step, sequences=differing, non_sequences=others)
    results = list(found) if isinstance(found, list | tuple) else [found]
    fits = all(new.type.dtype == old.type.dtype and new.type.ndim == old.type.ndim  # type: ignore[attr-defined]
               for new, old in zip(results, node.outputs, strict=True))  # fmt: skip
    return results if fits else None


def _row_type(variable: Variable) -> TensorType:
    kind: Any = variable.type
    return TensorType(kind.dtype, kind.shape[1:], kind.broadcastable[1:])
