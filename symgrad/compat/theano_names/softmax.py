"""Softmax as Theano shapes it: of a matrix, by rows; a vector counts as a matrix of one row."""

from __future__ import annotations

from typing import Any

from symgrad.ops.axes import shape_padleft
from symgrad.ops.promotion import as_operand
from symgrad.tensor import log_softmax
from symgrad.tensor import softmax as softmax_along


def _rows(x: Any) -> Any:
    values = as_operand(x)
    if values.type.ndim == 1:
        return shape_padleft(values)
    if values.type.ndim != 2:
        raise ValueError(f"x must be 1-d or 2-d tensor of floats. Got {values.type}")
    return values


def softmax(c: Any) -> Any:
    """Return softmax of each row.

    Examples
    --------
    >>> softmax([0.0, 0.0]).eval().shape
    (1, 2)
    """
    return softmax_along(_rows(c), 1)


def logsoftmax(c: Any) -> Any:
    """Return the logarithm of `softmax`."""
    return log_softmax(_rows(c), 1)


def softmax_with_bias(x: Any, b: Any) -> Any:
    """Return softmax of each row of ``x + b``."""
    return softmax_along(_rows(x) + as_operand(b), 1)
