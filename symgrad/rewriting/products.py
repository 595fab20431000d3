"""A gradient step on a matrix takes in what else reads the matrix, for backends with a kernel that reads it once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.graph.variables import Apply, Variable
from symgrad.ops.axes import DimShuffle
from symgrad.ops.fused_products import MatrixStep
from symgrad.ops.linalg import Dot, Gemm
from symgrad.ops.reduction_op import Reduction, SumOfSquares
from symgrad.ops.sizes import Size
from symgrad.rewriting.engine import Context, rule
from symgrad.rewriting.patterns import made_by

MOST_ROWS = 32
"""With larger batches a product reads its matrix often enough from the caches."""

LEAST_SIZE = 64
"""Smaller matrices stay in the first cache."""

MOST_READERS = 32
"""A matrix that more nodes read is some recurrence's: one reader more or less makes no difference."""


@rule("specialize", Gemm, Dot, SumOfSquares, backends=("native", "cuda"),
      reason="weights that take a step, pass the gradient on and are penalised are read once")  # fmt: skip
def other_readers_of_a_matrix_join_its_step(node: Apply, context: Context) -> Any:
    """``gemm(c, alpha, a, b, beta)``, ``dot(b, c.T)`` and the sum of the squares of c are one op."""
    matrix = _matrix(node)
    parts = None if matrix is None else _parts(matrix, context)
    if parts is None:
        return None
    step, product, squares = parts
    results = MatrixStep(product is not None, squares is not None)(*step.inputs)
    if isinstance(node.op, Gemm):
        return results[0]
    if isinstance(node.op, Dot):
        return None if product is None else results[1]
    return None if squares is None else Reduction("sum", (0,), False, results[-1].type.dtype)(results[-1])


def _matrix(node: Apply) -> Variable | None:
    """Return the matrix c of a node that may be one of the parts."""
    if not isinstance(node.op, Dot):
        return node.inputs[0]
    turned = made_by(node.inputs[1], DimShuffle)
    return None if turned is None or not _turns(turned) else turned.inputs[0]


def _turns(node: Apply) -> bool:
    return isinstance(node.op, DimShuffle) and node.op.order == (1, 0)


def _parts(matrix: Variable, context: Context) -> tuple[Apply, Apply | None, Apply | None] | None:
    """Return the step on a matrix, the product with it, and its sum of squares; None if the step is alone.

    They are taken from the graph as it was before this pass, so that all of them find the same. What else reads the
    matrix must come before, or its memory couldn't be overwritten: a product does if it did; if squares join the step,
    other terms of a cost might come later than it.
    """
    if len(context.users(matrix)) > MOST_READERS:
        return None
    readers = _readers(matrix, context)
    steps = [reader for reader, position in readers if isinstance(reader.op, Gemm) and position == 0]
    if len(steps) != 1 or any(size is not None and size < LEAST_SIZE for size in _expected(matrix).shape):
        return None
    step, b = steps[0], steps[0].inputs[3]
    products = [
        reader for reader, position in readers
        if isinstance(reader.op, Dot) and position == 1 and reader.inputs[0] is b and reader.inputs[1] is not matrix
    ]  # fmt: skip
    rows = _expected(b).shape[0]
    product = _only(products, step, context) if rows is None or rows <= MOST_ROWS else None
    squares = _only([reader for reader, _ in readers if isinstance(reader.op, SumOfSquares)], step, context)
    if not all(isinstance(reader.op, Dot) for reader, _ in readers if reader not in (step, squares)):
        squares = None
    others = [reader for reader, _ in readers if reader not in (step, product, squares)]
    if product is not None and any(context.position(reader) > context.position(product) for reader in others):
        product = None
    return None if product is squares is None else (step, product, squares)


def _readers(matrix: Variable, context: Context) -> list[tuple[Apply, int]]:
    """Return the nodes that read a matrix or its transpose, and at which position; not those that ask for its sizes."""
    readers = []
    for user, position in context.users(matrix):
        readers += context.users(user.outputs[0]) if _turns(user) else [(user, position)]
    return [(reader, position) for reader, position in readers if not isinstance(reader.op, Size)]


def _expected(variable: Variable) -> Any:
    return variable.expected


def _only(nodes: Sequence[Apply], step: Apply, context: Context) -> Apply | None:
    """Return the one node there is, if the step doesn't need it."""
    return nodes[0] if len(nodes) == 1 and not _needs(step, nodes[0], context) else None


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
