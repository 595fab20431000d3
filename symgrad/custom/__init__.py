"""Ops that users write in Python, with Theano's protocol: ``make_node``, ``perform``, ``grad``."""

from symgrad.custom.as_op import FromFunctionOp, as_op
from symgrad.custom.python_op import PythonOp, disconnected_type, grad_not_implemented, grad_undefined
from symgrad.custom.scalar_op import BinaryScalarOp, Elemwise, ScalarOp, UnaryScalarOp

__all__ = [
    "BinaryScalarOp", "Elemwise", "FromFunctionOp", "PythonOp", "ScalarOp", "UnaryScalarOp", "as_op",
    "disconnected_type", "grad_not_implemented", "grad_undefined",
]  # fmt: skip
