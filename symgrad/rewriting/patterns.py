"""Small questions that rules ask about variables."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.graph.op import Op
from symgrad.graph.variables import Apply, Constant, Variable
from symgrad.ops.axes import DimShuffle
from symgrad.ops.elementwise_op import Elementwise, call_row, rows
from symgrad.ops.promotion import scalar_constant
from symgrad.ops.shape import BroadcastTo


def made_by(variable: Variable, op: type[Op]) -> Apply | None:
    """Return the node that makes `variable` if its op is of class `op`."""
    node = variable.owner
    return node if node is not None and isinstance(node.op, op) else None


def made_by_function(variable: Variable, *functions: str) -> Apply | None:
    """Return the node that makes `variable` if it is one of these elementwise functions."""
    node = variable.owner
    if node is not None and isinstance(node.op, Elementwise) and node.op.function in functions:
        return node
    return None


def is_function(node: Apply, *functions: str) -> bool:
    """Whether a node is one of these elementwise functions."""
    return isinstance(node.op, Elementwise) and node.op.function in functions


def scalar_value(variable: Variable) -> Any:
    """Return the value of a constant that holds one number (also stretched, or behind new axes); else None."""
    while variable.owner is not None and isinstance(variable.owner.op, DimShuffle | BroadcastTo):
        variable = variable.owner.inputs[0]
    if isinstance(variable, Constant) and variable.data.size == 1:
        return variable.data.reshape(())[()]
    return None


def is_number(variable: Variable, number: float) -> bool:
    """Whether a variable is a constant that holds this number everywhere."""
    value = scalar_value(variable)
    return value is not None and bool(value == number)


def is_zeros(variable: Variable) -> bool:
    """Whether every element of a variable is known to be 0."""
    if isinstance(variable, Constant):
        return not np.any(variable.data)
    return is_number(variable, 0)


def fills(variable: Any, like: Any) -> bool:
    """Whether a variable by itself has the axes and the broadcast pattern of `like`: no other operand stretches it."""
    return bool(variable.type.ndim == like.type.ndim and variable.type.broadcastable == like.type.broadcastable)


def call(function: str, *operands: Any) -> Any:
    """Apply an elementwise function by name."""
    return call_row(rows[function], *operands)


def number_like(value: float, variable: Any) -> Any:
    """Return a scalar constant of the dtype of `variable`."""
    return scalar_constant(value, variable.type.dtype)


def is_plain_convolution(op: Any) -> bool:
    """Whether a convolution takes every window, of neighbouring elements, over all channels."""
    return bool(op.stride == (1, 1) and op.dilation == (1, 1) and op.groups == 1)
