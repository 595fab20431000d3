"""Norms of vectors and matrices, and condition numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.errors import RangeError, ShapeError
from symgrad.graph.op import user_error
from symgrad.ops.axes import checked_axis, expand_dims, moveaxis
from symgrad.ops.casting import as_floats
from symgrad.ops.elementwise import abs_, sqrt
from symgrad.ops.reduction import max as max_over
from symgrad.ops.reduction import min as min_over
from symgrad.ops.reduction import norm as norm_over
from symgrad.ops.reduction import square_of_modulus
from symgrad.ops.reduction import sum as sum_over
from symgrad.ops.shape import flatten
from symgrad.ops.singular_values import SingularValues
from symgrad.ops.solving import inv

INFINITY = float("inf")


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the norm of vectors or matrices, as `numpy.linalg.norm`.

    Parameters
    ----------
    x : tensor
        Integers become floats.
    ord : {None, 'fro', 'nuc', inf, -inf, 0, number}
        Of vectors: 2 by default, the largest or smallest absolute value, the number of elements that aren't 0, or
        ``sum(abs(x)**ord)**(1/ord)``. Of matrices: the root of the sum of squares by default, the sum of singular
        values, and for 1, -1, 2, -2, inf, -inf the extremes of columns' sums, singular values, and rows' sums.
    axis : int or pair of int, optional
        The axis of vectors, or the axes of matrices. By default all of `x` is one of them, and without `ord` a vector.
    keepdims : bool
        Whether these axes stay, with size 1.

    Returns
    -------
    tensor
        Real.

    Notes
    -----
    Keeps the behaviour of Theano's ``nlinalg.norm``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a = T.dmatrix('a')
    >>> print(T.linalg.norm(a, 'nuc').eval({a: [[3., 0.], [0., -4.]]}))
    7.0
    """
    x = as_floats(x)
    ord = {"inf": INFINITY, "-inf": -INFINITY}.get(ord, ord) if isinstance(ord, str) else ord
    if axis is None and ord is None:
        axes = tuple(range(x.type.ndim))
        return _kept(sqrt(sum_over(square_of_modulus(x), axis=axes)), axes, keepdims)
    axes = _axes(x, axis)
    if len(axes) == 1:
        return _kept(_vector_norm(x, ord, axes[0]), axes, keepdims)
    return _kept(_matrix_norm(moveaxis(x, axes, (-2, -1)), ord, x), axes, keepdims)


def _axes(x: Any, axis: Any) -> tuple[int, ...]:
    given = range(x.type.ndim) if axis is None else axis if isinstance(axis, list | tuple) else [axis]
    axes = tuple([checked_axis(number, x, "norm") for number in given])
    if len(axes) not in (1, 2) or len(set(axes)) != len(axes):
        raise user_error(ShapeError, f"norm takes the axis of vectors, or two axes of matrices, of {x.type}, got "
                         f"{'all' if axis is None else axis}", [x])  # fmt: skip
    return axes


def _kept(result: Any, axes: Sequence[int], keepdims: bool) -> Any:
    return expand_dims(result, list(axes)) if keepdims and axes else result


def _vector_norm(x: Any, ord: Any, axis: int) -> Any:
    if isinstance(ord, str):
        raise user_error(RangeError, f"norm has no order {ord!r} for vectors", [x])
    return norm_over(x, ord, axis)


def _matrix_norm(x: Any, ord: Any, given: Any) -> Any:
    """Return the norm of the matrices in the last two axes."""
    if ord is None or ord == "fro":
        return sqrt(sum_over(square_of_modulus(x), axis=(-2, -1)))
    if ord == "nuc":
        return sum_over(SingularValues()(x), axis=-1)
    if isinstance(ord, int | float):
        extreme = max_over if ord > 0 else min_over
        if abs(ord) == 2:
            return extreme(SingularValues()(x), axis=-1)
        if abs(ord) == 1:
            return extreme(sum_over(abs_(x), axis=-2), axis=-1)
        if abs(ord) == INFINITY:
            return extreme(sum_over(abs_(x), axis=-1), axis=-1)
    raise user_error(RangeError, f"norm has no order {ord!r} for matrices", [given],
                     "It has None, 'fro', 'nuc', inf, -inf, 1, -1, 2 and -2.")  # fmt: skip


def vector_norm(x: Any, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """Return the norm of vectors along `axis`, or of all elements as one vector, as `numpy.linalg.vector_norm`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.linalg.vector_norm([[3., 4.], [0., 2.]], axis=1).eval())
    [5. 2.]
    """
    x = as_floats(x)
    if axis is not None:
        return norm(x, ord, axis, keepdims)
    result = norm(flatten(x), ord)
    return _kept(result, range(x.type.ndim), keepdims)


def matrix_norm(x: Any, keepdims: bool = False, ord: Any = "fro") -> Any:
    """Return the norm of the matrices in the last two axes, as `numpy.linalg.matrix_norm`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.linalg.matrix_norm([[3., 0.], [0., 4.]]).eval())
    5.0
    """
    return norm(x, ord, (-2, -1), keepdims)


def cond(x: Any, p: Any = None) -> Any:
    """Return the condition number of each matrix of a stack, as `numpy.linalg.cond`.

    Parameters
    ----------
    x : tensor of shape (..., m, n)
        Integers become floats; square, unless `p` is None, 2 or -2.
    p : optional
        The order of the norm, as `norm` takes it; None is 2.

    Returns
    -------
    tensor of shape (...)

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.linalg.cond([[2., 0.], [0., 8.]]).eval())
    4.0
    """
    x = as_floats(x)
    if p is None or p in (2, -2):
        values = SingularValues()(x)
        largest, smallest = max_over(values, axis=-1), min_over(values, axis=-1)
        return smallest / largest if p == -2 else largest / smallest
    return norm(x, p, (-2, -1)) * norm(inv(x), p, (-2, -1))


__all__ = ["cond", "matrix_norm", "norm", "vector_norm"]
