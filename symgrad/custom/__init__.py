"""Ops that run Python: those that users write with Theano's protocol, and those that look at values on their way."""

from symgrad.custom.as_op import FromFunctionOp, as_op
from symgrad.custom.python_op import PythonOp, disconnected_type, grad_not_implemented, grad_undefined
from symgrad.custom.watching import Assert, Breakpoint, Print

__all__ = [
    "Assert", "Breakpoint", "FromFunctionOp", "Print", "PythonOp", "as_op", "disconnected_type",
    "grad_not_implemented", "grad_undefined",
]  # fmt: skip
