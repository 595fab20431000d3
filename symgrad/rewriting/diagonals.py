"""Products with diagonal matrices, which Jacobians begin with, without the product."""

from __future__ import annotations

from typing import Any

from symgrad.graph.variables import Apply, Variable
from symgrad.ops.axes import dimshuffle
from symgrad.ops.creation import Eye
from symgrad.ops.linalg import Dot
from symgrad.rewriting.engine import Context, rule
from symgrad.rewriting.patterns import is_number, made_by, made_by_function


@rule("specialize", Dot, reason="a product with a diagonal matrix multiplies rows or columns by numbers")
def product_with_a_diagonal_is_elementwise(node: Apply, context: Context) -> Any:
    left, right = node.inputs
    if left.type.ndim != 2 or right.type.ndim != 2:  # type: ignore[attr-defined]
        return None
    for diagonal, other, order in ((left, right, (0, "x")), (right, left, ("x", 0))):
        if diagonal.type.dtype != other.type.dtype:  # type: ignore[attr-defined]
            continue
        if _is_identity(diagonal):
            return _of_its_type(other, node)
        numbers = _diagonal_of(diagonal)
        if numbers is not None:
            return _of_its_type(dimshuffle(numbers, *order) * other, node)
    return None


def _of_its_type(result: Any, node: Apply) -> Any:
    return result if result.type == node.outputs[0].type else None


def _is_identity(variable: Variable) -> bool:
    """Whether a matrix is square, with ones on its main diagonal."""
    made = made_by(variable, Eye)
    if made is None or not is_number(made.inputs[2], 0):
        return False
    rows, columns = made.inputs[:2]
    return rows is columns or (rows.known is not None and columns.known is not None and rows.known == columns.known)


def _diagonal_of(variable: Any) -> Any:
    """Return the numbers on the diagonal of an identity whose columns are multiplied by a vector; None if it isn't."""
    made = made_by_function(variable, "multiply")
    if made is None:
        return None
    for identity, numbers in (made.inputs, made.inputs[::-1]):
        if not _is_identity(identity) or numbers.type.dtype != identity.type.dtype:  # type: ignore[attr-defined]
            continue
        kind: Any = numbers.type
        if kind.ndim == 1 and not kind.broadcastable[0]:
            return numbers
        if kind.ndim == 2 and kind.broadcastable == (True, False):
            return dimshuffle(numbers, 1)
    return None
