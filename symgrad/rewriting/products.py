"""Matrix products that share an operand become one op, for backends with a kernel that reads it once."""

from __future__ import annotations

from typing import Any

from symgrad.graph.variables import Apply, Variable
from symgrad.ops.axes import DimShuffle
from symgrad.ops.fused_products import GemmAndProduct
from symgrad.ops.linalg import Dot, Gemm
from symgrad.ops.reduction_op import Reduction, SumOfSquares
from symgrad.rewriting.engine import Context, rule
from symgrad.rewriting.patterns import made_by

MOST_ROWS = 32
"""With larger batches a matrix is read often enough from the caches."""

LEAST_SIZE = 64
"""Smaller matrices stay in the first cache."""


@rule("specialize", Gemm, Dot, SumOfSquares, backends=("native",),
      reason="weights that take a step and pass the gradient on are read once")  # fmt: skip
def step_on_a_matrix_also_passes_the_gradient_on(node: Apply, context: Context) -> Any:
    """``gemm(c, alpha, a, b, beta)`` and ``dot(b, c.T)`` are one op; the sum of the squares of c comes with it."""
    matrix = _matrix(node)
    parts = None if matrix is None else _parts(matrix, context)
    if parts is None:
        return None
    step, _, squares = parts
    results = GemmAndProduct(squares is not None)(*step.inputs)
    if isinstance(node.op, Gemm):
        return results[0]
    if isinstance(node.op, Dot):
        return results[1]
    return Reduction("sum", (0,), False, results[2].type.dtype)(results[2])


def _matrix(node: Apply) -> Variable | None:
    """Return the matrix c of a node that may be one of the parts."""
    if not isinstance(node.op, Dot):
        return node.inputs[0]
    turned = made_by(node.inputs[1], DimShuffle)
    return None if turned is None or not _turns(turned) else turned.inputs[0]


def _turns(node: Apply) -> bool:
    return isinstance(node.op, DimShuffle) and node.op.order == (1, 0)


def _parts(matrix: Variable, context: Context) -> tuple[Apply, Apply, Apply | None] | None:
    """Return the step on a matrix, the product with it, and its sum of squares if there is one; None if they don't fit.

    They are taken from the graph as it was before this pass, so that all three find the same.
    """
    users = context.users(matrix)
    steps = [user for user, position in users if isinstance(user.op, Gemm) and position == 0]
    if len(steps) != 1 or not _has_suited_sizes(steps[0]):
        return None
    b = steps[0].inputs[3]
    products = [
        user for turned, _ in users if _turns(turned)
        for user, position in context.users(turned.outputs[0])
        if isinstance(user.op, Dot) and position == 1 and user.inputs[0] is b
    ]  # fmt: skip
    if len(products) != 1 or _needs(steps[0], products[0], context):
        return None
    squares = [user for user, _ in users if isinstance(user.op, SumOfSquares)]
    if len(squares) != 1 or _needs(steps[0], squares[0], context):
        return steps[0], products[0], None
    return steps[0], products[0], squares[0]


def _has_suited_sizes(step: Apply) -> bool:
    matrix, b = (_type(step.inputs[number]) for number in (0, 3))
    rows = b.shape[0]
    return (rows is None or 0 < rows <= MOST_ROWS) and all(size is None or size >= LEAST_SIZE for size in matrix.shape)


def _type(variable: Variable) -> Any:
    return variable.type


def _needs(node: Apply, other: Apply, context: Context) -> bool:
    """Whether a node depends on another: then they can't become one."""
    earliest = context.position(other)
    seen: set[Apply] = set()
    waiting = [variable.owner for variable in node.inputs if variable.owner is not None]
    while waiting:
        before = waiting.pop()
        if before is other:
            return True
        if before in seen or context.position(before) < earliest:
            continue
        seen.add(before)
        waiting += [variable.owner for variable in before.inputs if variable.owner is not None]
    return False
