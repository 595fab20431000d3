"""Arithmetic on integer scalars, such as the bounds of a minibatch, in the form of polynomials."""

from __future__ import annotations

from typing import Any

from symgrad.graph.variables import Constant, Variable
from symgrad.ops.elementwise_op import Elementwise
from symgrad.ops.promotion import scalar_constant
from symgrad.rewriting.patterns import call

Monomial = tuple[Variable, ...]
Polynomial = dict[Monomial, int]

MAXIMAL_TERMS = 16
MAXIMAL_DEPTH = 8


def polynomial_form(variable: Any) -> Any:
    """Return a simpler expression for an int64 scalar made of sums and products, or None if there is none.

    Only results that are a constant, a variable, or a constant times a variable are simpler for sure; other forms
    stay as they are. In int64, where sums and products wrap around, both forms are equal for every value.
    """
    if variable.type.dtype != "int64":
        return None
    polynomial = _polynomial(variable, MAXIMAL_DEPTH)
    if polynomial is None or len(polynomial) > 1:
        return None
    if not polynomial:
        return scalar_constant(0, "int64")
    ((monomial, factor),) = polynomial.items()
    if not monomial:
        return scalar_constant(factor, "int64")
    if len(monomial) > 1 or _operations(variable) <= (factor != 1):
        return None
    if factor == 1:
        return monomial[0]
    return call("multiply", monomial[0], scalar_constant(factor, "int64"))


def _operations(variable: Variable) -> int:
    """Count the operations directly visible at the top: enough to see whether one product would be fewer."""
    node = variable.owner
    if node is None or not isinstance(node.op, Elementwise):
        return 0
    return 1 + sum(v.owner is not None and isinstance(v.owner.op, Elementwise) for v in node.inputs)


def _polynomial(variable: Variable, depth: int) -> Polynomial | None:
    if isinstance(variable, Constant):
        value = int(variable.data.reshape(()))
        return {(): value} if value else {}
    node = variable.owner
    is_sum = node is not None and isinstance(node.op, Elementwise) and node.op.function in ("add", "subtract")
    is_product = node is not None and isinstance(node.op, Elementwise) and node.op.function == "multiply"
    if node is None or depth == 0 or not (is_sum or is_product):
        return {(variable,): 1}
    left, right = [_polynomial(operand, depth - 1) for operand in node.inputs]
    if left is None or right is None:
        return None
    if is_product:
        result = _product(left, right)
    else:
        result = _sum(left, right, -1 if node.op.function == "subtract" else 1)  # type: ignore[attr-defined]
    return result if len(result) <= MAXIMAL_TERMS else None


def _sum(left: Polynomial, right: Polynomial, sign: int) -> Polynomial:
    result = dict(left)
    for monomial, factor in right.items():
        result[monomial] = result.get(monomial, 0) + sign * factor
    return {monomial: factor for monomial, factor in result.items() if factor}


def _product(left: Polynomial, right: Polynomial) -> Polynomial:
    result: Polynomial = {}
    for first, a in left.items():
        for second, b in right.items():
            monomial = tuple(sorted(first + second, key=id))
            result[monomial] = result.get(monomial, 0) + a * b
    return {monomial: factor for monomial, factor in result.items() if factor}
