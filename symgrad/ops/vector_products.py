"""Products of vectors, and of tensors that count as vectors."""

from __future__ import annotations

from typing import Any

from symgrad.ops.axes import dimshuffle
from symgrad.ops.complex_numbers import conj
from symgrad.ops.linalg import dot, tensordot
from symgrad.ops.promotion import as_operands
from symgrad.ops.shape import flatten


def outer(x: Any, y: Any) -> Any:
    """Products of each element of one tensor with each of another, as a matrix; tensors count as vectors.

    Notes
    -----
    Keeps the behaviour of Theano's ``outer``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.outer(T.constant([1, 2]), T.constant([3, 4])).eval())
    [[3 4]
     [6 8]]
    """
    x, y = as_operands(x, y)
    return dimshuffle(flatten(x), 0, "x") * dimshuffle(flatten(y), "x", 0)


def inner(x: Any, y: Any) -> Any:
    """Sum of products over the last axes of both tensors, as `numpy.inner`; of scalars, the product.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.inner(T.constant([[1, 2], [3, 4]]), T.constant([1, 1])).eval())
    [3 7]
    """
    x, y = as_operands(x, y)
    if x.type.ndim == 0 or y.type.ndim == 0:
        return x * y
    return tensordot(x, y, axes=[[x.type.ndim - 1], [y.type.ndim - 1]])


def vdot(x: Any, y: Any) -> Any:
    """Inner product of two tensors as vectors, the first one conjugated, as `numpy.vdot`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.vdot(T.constant([[1, 2], [3, 4]]), T.constant([[1, 1], [0, 1]])).eval())
    7
    """
    x, y = as_operands(x, y)
    return dot(conj(flatten(x)), flatten(y))


__all__ = ["inner", "outer", "vdot"]
