"""Derivatives of expressions, as expressions."""

from symgrad.gradient.calculus import Lop, hessian, hessian_vector_product, jacobian, subgraph_grad
from symgrad.gradient.check import numeric_grad, verify_grad
from symgrad.gradient.forward import Rop
from symgrad.gradient.reverse import grad
from symgrad.gradient.vectorize import vectorize, vmap

from symgrad.gradient import (  # isort: skip  # they enter their rules
    leading_axis_of_lines,
    leading_axis_of_parts,
    leading_axis_of_stacks,
)

__all__ = [
    "Lop", "Rop", "grad", "hessian", "hessian_vector_product", "jacobian", "leading_axis_of_lines",
    "leading_axis_of_parts", "leading_axis_of_stacks", "numeric_grad", "subgraph_grad", "vectorize", "verify_grad",
    "vmap",
]  # fmt: skip
