"""Products of several matrices, Kronecker's product, block matrices, and sums along the diagonal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from symgrad.errors import RankError, ShapeError
from symgrad.graph.op import user_error
from symgrad.ops import diagonals
from symgrad.ops.axes import dimshuffle
from symgrad.ops.creation import zeros
from symgrad.ops.joining import concatenate
from symgrad.ops.linalg import dot, matmul
from symgrad.ops.promotion import as_operand, as_operands, listed, upcast
from symgrad.ops.shape import reshape
from symgrad.ops.sizes import size_of


def kron(a: Any, b: Any) -> Any:
    """Return Kronecker's product: each element of `a` times all of `b`, as `numpy.kron`.

    Parameters
    ----------
    a, b : tensor
        The one with fewer axes gains leading ones.

    Returns
    -------
    tensor
        Along each axis, of the product of both sizes.

    Notes
    -----
    Keeps the behaviour of Theano's ``slinalg.kron``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a, b = T.dvectors('a', 'b')
    >>> print(T.linalg.kron(a, b).eval({a: [1., 10.], b: [1., 2., 3.]}))
    [ 1.  2.  3. 10. 20. 30.]
    """
    a, b = as_operands(a, b)
    ndim = max(a.type.ndim, b.type.ndim)
    if ndim == 0:
        return a * b
    a, b = [dimshuffle(v, *["x"] * (ndim - v.type.ndim), *range(v.type.ndim)) for v in (a, b)]
    outer = [entry for axis in range(ndim) for entry in (axis, "x")]
    inner = [entry for axis in range(ndim) for entry in ("x", axis)]
    sizes = [size_of(a, axis) * size_of(b, axis) for axis in range(ndim)]
    return reshape(a.dimshuffle(*outer) * b.dimshuffle(*inner), sizes)


def trace(a: Any, offset: int = 0) -> Any:
    """Return the sum along a diagonal of each matrix of a stack, as `numpy.linalg.trace`.

    Parameters
    ----------
    a : tensor of shape (..., m, n)
        Any dtype; sums of integers are int64.
    offset : int
        Which diagonal: above the main one, or below if negative.

    Returns
    -------
    tensor of shape (...)

    Notes
    -----
    Keeps the behaviour of Theano's ``nlinalg.trace``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a = T.dmatrix('a')
    >>> print(T.linalg.trace(a).eval({a: [[1., 2.], [3., 4.]]}))
    5.0
    """
    a = as_operand(a)
    if a.type.ndim < 2:
        raise user_error(RankError, f"trace takes matrices or stacks of them, got {a.type}", [a])
    return diagonals.trace(a, offset, -2, -1)


def matrix_dot(*matrices: Any) -> Any:
    """Return the product of several matrices, from left to right (Theano's name; see `multi_dot`).

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.linalg.matrix_dot([[1, 2], [3, 4]], [[1, 2], [3, 4]], [1, 0]).eval())
    [ 7 15]
    """
    if not matrices:
        raise user_error(ShapeError, "matrix_dot needs at least one matrix")
    result = as_operand(matrices[0])
    for factor in matrices[1:]:
        result = dot(result, factor)
    return result


def multi_dot(arrays: Sequence[Any]) -> Any:
    """Return the product of several matrices, in the order that takes the fewest multiplications where sizes are known.

    Parameters
    ----------
    arrays : sequence of matrices
        The first and the last may be vectors.

    Notes
    -----
    As `numpy.linalg.multi_dot`. Where a size isn't known before the call, the product goes from left to right.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a, b = T.dmatrices('a', 'b')
    >>> print(T.linalg.multi_dot([a, b, a]).eval({a: [[1., 1.], [0., 1.]], b: [[2., 0.], [0., 1.]]}))
    [[2. 3.]
     [0. 1.]]
    """
    factors = [as_operand(array) for array in listed(arrays, "multi_dot", "arrays")]
    if len(factors) < 2:
        raise user_error(ShapeError, f"multi_dot needs at least two arrays, got {len(factors)}", factors)
    sizes = [factor.expected.shape for factor in factors]
    known = all(len(shape) == 2 and None not in shape for shape in sizes)
    fit = known and all(left[1] == right[0] for left, right in pairwise(sizes))
    if not fit:
        return matrix_dot(*factors)
    splits = _best_splits([sizes[0][0], *[shape[1] for shape in sizes]])

    def product(first: int, last: int) -> Any:
        if first == last:
            return factors[first]
        split = splits[first, last]
        return matmul(product(first, split), product(split + 1, last))

    return product(0, len(factors) - 1)


def _best_splits(sizes: Sequence[int]) -> dict[tuple[int, int], int]:
    """Return for each part of a chain of matrices after which one to split it."""
    count = len(sizes) - 1
    costs: dict[tuple[int, int], int] = {(index, index): 0 for index in range(count)}
    splits: dict[tuple[int, int], int] = {}
    for length in range(1, count):
        for first in range(count - length):
            last = first + length
            outside = sizes[first] * sizes[last + 1]
            ways = [
                (costs[first, split] + costs[split + 1, last] + outside * sizes[split + 1], split)
                for split in range(first, last)
            ]
            costs[first, last], splits[first, last] = min(ways)
    return splits


def block_diag(*arrays: Any) -> Any:
    """Return the matrix with these matrices along its diagonal, and zeros elsewhere, as `scipy.linalg.block_diag`.

    Parameters
    ----------
    *arrays : tensor
        Matrices; a vector is a row, a scalar a 1 by 1 matrix.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a = T.dmatrix('a')
    >>> print(T.linalg.block_diag(a, 5.).eval({a: [[1., 2.], [3., 4.]]}))
    [[1. 2. 0.]
     [3. 4. 0.]
     [0. 0. 5.]]
    """
    blocks = as_operands(*arrays)
    if not blocks or any(block.type.ndim > 2 for block in blocks):
        raise user_error(ShapeError, "block_diag takes matrices, vectors and scalars", blocks)
    blocks = [dimshuffle(block, *["x"] * (2 - block.type.ndim), *range(block.type.ndim)) for block in blocks]
    dtype = upcast(*[block.type.dtype for block in blocks])
    widths = [size_of(block, 1) for block in blocks]
    rows = []
    for number, block in enumerate(blocks):
        parts = [zeros((size_of(block, 0), width), dtype) for width in widths]
        parts[number] = block.astype(dtype)
        rows.append(concatenate(parts, axis=1))
    return concatenate(rows, axis=0)


__all__ = ["block_diag", "kron", "matrix_dot", "multi_dot", "trace"]
