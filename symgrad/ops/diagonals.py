"""Triangles and diagonals of matrices, and of stacks of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.config import config
from symgrad.errors import DTypeError, RankError, ShapeError
from symgrad.graph.op import user_error
from symgrad.ops.axes import checked_axis, dimshuffle, moveaxis
from symgrad.ops.casting import cast
from symgrad.ops.comparison import ge
from symgrad.ops.creation import arange, zeros
from symgrad.ops.elementwise import abs_, maximum, minimum, switch
from symgrad.ops.indexing import set_subtensor
from symgrad.ops.promotion import as_operand, is_discrete, zero_of
from symgrad.ops.sizes import known_size


def _integer(value: Any, where: str) -> Any:
    """Return a number of a diagonal, known or symbolic."""
    if isinstance(value, int | np.integer):
        return int(value)
    variable = as_operand(value)
    if variable.type.ndim or not is_discrete(variable.type.dtype):
        raise user_error(DTypeError, f"{where} numbers diagonals by integers, got {variable.type}", [variable])
    return int(variable.known) if variable.known is not None else variable.astype("int64")


def _least(first: Any, second: Any) -> Any:
    known = isinstance(first, int) and isinstance(second, int)
    return min(first, second) if known else minimum(as_operand(first), second)


def _most(first: Any, second: Any) -> Any:
    known = isinstance(first, int) and isinstance(second, int)
    return max(first, second) if known else maximum(as_operand(first), second)


def tri(N: Any, M: Any = None, k: Any = 0, dtype: str | None = None) -> Any:
    """Return a matrix with ones on and below a diagonal, and zeros above it.

    Parameters
    ----------
    N, M : int or integer scalar
        Rows and columns; without `M` as many columns as rows.
    k : int or integer scalar
        Which diagonal: 0 is the main one, positive ones lie above it.
    dtype : str, optional
        Element type, by default ``floatX``.

    Notes
    -----
    Keeps the behaviour of Theano's ``tri``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.tri(2, 3, dtype='int8').eval())
    [[1 0 0]
     [1 1 0]]
    """
    return cast(_lower(N, N if M is None else M, _integer(k, "tri")), dtype or config.floatX)


def _lower(rows: Any, columns: Any, k: Any) -> Any:
    """Return the mask of what lies on or below diagonal `k`."""
    return ge(dimshuffle(arange(rows) + k, 0, "x"), dimshuffle(arange(columns), "x", 0))


def tril(m: Any, k: Any = 0) -> Any:
    """Return `m` with zeros above diagonal `k`; with more axes, for each matrix in the last two.

    Notes
    -----
    Keeps the behaviour of Theano's ``tril``. What is left out doesn't count, even if it is nan.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.tril(T.ones((2, 2), 'int8')).eval())
    [[1 0]
     [1 1]]
    """
    m = _matrices(m, "tril")
    return switch(_lower(known_size(m, -2), known_size(m, -1), _integer(k, "tril")), m, zero_of(m.type.dtype))


def triu(m: Any, k: Any = 0) -> Any:
    """Return `m` with zeros below diagonal `k`; with more axes, for each matrix in the last two.

    Notes
    -----
    Keeps the behaviour of Theano's ``triu``. What is left out doesn't count, even if it is nan.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.triu(T.ones((2, 2), 'int8')).eval())
    [[1 1]
     [0 1]]
    """
    m = _matrices(m, "triu")
    below = _lower(known_size(m, -2), known_size(m, -1), _integer(k, "triu") - 1)
    return switch(below, zero_of(m.type.dtype), m)


def _matrices(x: Any, where: str) -> Any:
    x = as_operand(x)
    if x.type.ndim < 2:
        raise user_error(RankError, f"{where} needs a matrix, or a stack of them, got {x.type}", [x])
    return x


def diagonal(a: Any, offset: Any = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Return the diagonal of matrices.

    Parameters
    ----------
    a : tensor
        With at least two axes.
    offset : int or integer scalar
        Which diagonal: 0 is the main one, positive ones lie above it.
    axis1, axis2 : int
        The axes of rows and columns.

    Returns
    -------
    tensor
        The other axes, then that of the diagonal.

    Notes
    -----
    Keeps the behaviour of Theano's ``diagonal``. A diagonal that lies outside is empty.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dmatrix('x')
    >>> print(T.diagonal(x, 1).eval({x: [[1., 2.], [3., 4.]]}))
    [2.]
    """
    a = _matrices(a, "diagonal")
    axes = [checked_axis(axis, a, "diagonal") for axis in (axis1, axis2)]
    if axes[0] == axes[1]:
        raise user_error(ShapeError, f"diagonal needs two different axes, got {axis1} and {axis2}", [a])
    a = moveaxis(a, axes, (-2, -1))
    return a[(..., *_places(a, _integer(offset, "diagonal")))]


def _places(a: Any, offset: Any) -> tuple[Any, Any]:
    """Return rows and columns of the places on a diagonal of the matrices in the last two axes."""
    above, below = _most(offset, 0), _most(-offset, 0)
    length = _most(_least(known_size(a, -2) - below, known_size(a, -1) - above), 0)
    places = arange(length)
    return _moved(places, below), _moved(places, above)


def _moved(places: Any, by: Any) -> Any:
    return places if isinstance(by, int) and by == 0 else places + by


def trace(a: Any, offset: Any = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Return the sum of a diagonal: of a matrix, or for each matrix of a stack, as `numpy.trace`.

    Parameters
    ----------
    a, offset, axis1, axis2
        As for `diagonal`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.trace(T.constant([[1, 2], [3, 4]])).eval())
    5
    """
    return diagonal(a, offset, axis1, axis2).sum(axis=-1)


def alloc_diag(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Return matrices of zeros that have the rows of `x` on a diagonal: what `diagonal` takes out again.

    Parameters
    ----------
    x : tensor
        With at least one axis; the last one becomes the diagonal.
    offset : int
        Which diagonal: 0 is the main one, positive ones lie above it.
    axis1, axis2 : int
        The axes of rows and columns in the result.

    Notes
    -----
    Keeps the behaviour of Theano's ``AllocDiag``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.alloc_diag(T.constant([1, 2]), offset=-1).eval())
    [[0 0 0]
     [1 0 0]
     [0 2 0]]
    """
    x = as_operand(x)
    if x.type.ndim == 0:
        raise user_error(RankError, f"alloc_diag needs at least one axis, got {x.type}", [x], "Use T.shape_padleft.")
    last, offset = x.type.ndim - 1, _integer(offset, "alloc_diag")
    side = known_size(x, last) + (abs(offset) if isinstance(offset, int) else abs_(offset))
    others = [known_size(x, axis) for axis in range(last)]
    matrix = zeros([side, side, *others], x.type.dtype)
    places = arange(known_size(x, last))
    rows, columns = [_moved(places, _most(number, 0)) for number in (-offset, offset)]
    filled = set_subtensor(matrix[rows, columns], moveaxis(x, -1, 0))
    axes = [checked_axis(axis, x, "alloc_diag", x.type.ndim + 1) for axis in (axis1, axis2)]
    if axes[0] == axes[1]:
        raise user_error(RankError, f"alloc_diag needs two different axes, got {axis1} and {axis2}", [x])
    return moveaxis(filled, (0, 1), axes)


def diag(v: Any, k: Any = 0) -> Any:
    """Return the matrix with a vector on its diagonal `k`, or the diagonal `k` of a matrix (or of more axes).

    Notes
    -----
    Keeps the behaviour of Theano's ``diag``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.diag(T.constant([1, 2])).eval())
    [[1 0]
     [0 2]]
    >>> print(T.diag(T.constant([[1, 2], [3, 4]]), k=-1).eval())
    [3]
    """
    v = as_operand(v)
    if v.type.ndim == 0:
        raise user_error(RankError, f"diag needs a vector or a matrix, got {v.type}", [v])
    return alloc_diag(v, k) if v.type.ndim == 1 else diagonal(v, k)


def fill_diagonal(a: Any, val: Any) -> Any:
    """Return `a` with a scalar on its main diagonal.

    Parameters
    ----------
    a : tensor
        With at least two axes; with more than two, all sizes must be equal.
    val : scalar
        What to put there.

    Returns
    -------
    tensor
        Like `a`; `a` itself stays as it is.

    Notes
    -----
    Keeps the behaviour of Theano's ``fill_diagonal``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.fill_diagonal(T.zeros((2, 3), 'int8'), 7).eval())
    [[7 0 0]
     [0 7 0]]
    """
    a, val = _matrices(a, "fill_diagonal"), _scalar(val, a, "fill_diagonal")
    sizes = [known_size(a, axis) for axis in range(a.type.ndim)]
    known = {size for size in a.expected.shape if size is not None}
    if a.type.ndim > 2 and len(known) > 1:
        raise user_error(ShapeError, f"fill_diagonal needs equal sizes on more than two axes, got {a.type}", [a])
    length = sizes[0]
    for size in sizes[1:]:
        length = _least(length, size)
    places = arange(length)
    return set_subtensor(a[(places,) * a.type.ndim], val)


def fill_diagonal_offset(a: Any, val: Any, offset: Any) -> Any:
    """Return a matrix with a scalar on one of its diagonals: positive offsets lie above the main one.

    Notes
    -----
    Keeps the behaviour of Theano's ``fill_diagonal_offset``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.fill_diagonal_offset(T.zeros((2, 3), 'int8'), 7, 1).eval())
    [[0 7 0]
     [0 0 7]]
    """
    a, val = _matrices(a, "fill_diagonal_offset"), _scalar(val, a, "fill_diagonal_offset")
    if a.type.ndim != 2:
        raise user_error(RankError, f"fill_diagonal_offset needs a matrix, got {a.type}", [a])
    return set_subtensor(a[_places(a, _integer(offset, "fill_diagonal_offset"))], val)


def _scalar(val: Any, a: Any, where: str) -> Any:
    val = as_operand(val, [as_operand(a).type.dtype])
    if val.type.ndim:
        raise user_error(RankError, f"{where} puts a scalar on the diagonal, got {val.type}", [val])
    return val


__all__ = [
    "alloc_diag", "diag", "diagonal", "fill_diagonal", "fill_diagonal_offset", "trace", "tri", "tril", "triu",
]  # fmt: skip
