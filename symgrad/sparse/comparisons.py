"""Comparisons of sparse matrices, element by element. The results are uint8, as in Theano."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from symgrad.ops import casting, comparison
from symgrad.sparse.arithmetic import adapted, none_sparse
from symgrad.sparse.conversion import FromDense, dense_from_sparse
from symgrad.sparse.products import in_one_dtype
from symgrad.sparse.variables import as_sparse_variable, is_sparse


@dataclass(frozen=True)
class _Comparison:
    """Compares a sparse matrix with a sparse one (the result is sparse) or a dense one (the result is dense)."""

    name: str
    compare: Callable[[Any, Any], Any]
    mirrored: Callable[[Any, Any], Any]

    def of_sparse(self, x: Any, y: Any) -> Any:
        """Return the comparison of two sparse matrices, sparse."""
        x, y = in_one_dtype(x, y)
        found = self.compare(dense_from_sparse(x), dense_from_sparse(y))
        return FromDense(x.type.format)(casting.cast(found, "uint8"))

    def with_dense(self, x: Any, y: Any) -> Any:
        """Return the comparison of a sparse with a dense matrix, dense."""
        x = as_sparse_variable(x)
        return casting.cast(self.compare(dense_from_sparse(x), adapted(y, x)), "uint8")

    def __call__(self, x: Any, y: Any) -> Any:
        if is_sparse(x) and is_sparse(y):
            return self.of_sparse(x, y)
        if not is_sparse(x) and not is_sparse(y):
            raise none_sparse(self.name, x, y)
        if is_sparse(x):
            return self.with_dense(x, y)
        y = as_sparse_variable(y)
        return casting.cast(self.mirrored(dense_from_sparse(y), adapted(x, y)), "uint8")


_EQ = _Comparison("eq", comparison.eq, comparison.eq)
_NEQ = _Comparison("neq", comparison.neq, comparison.neq)
_LT = _Comparison("lt", comparison.lt, comparison.gt)
_GT = _Comparison("gt", comparison.gt, comparison.lt)
_LE = _Comparison("le", comparison.le, comparison.ge)
_GE = _Comparison("ge", comparison.ge, comparison.le)


def eq(x: Any, y: Any) -> Any:
    """Whether elements are equal, as uint8: sparse if both operands are sparse, else dense.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.eq(x, x).eval().toarray())
    [[1 1]
     [1 1]]
    """
    return _EQ(x, y)


def neq(x: Any, y: Any) -> Any:
    """Whether elements differ, as uint8: sparse if both operands are sparse, else dense.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.neq(x, [[1., 1.], [3., 3.]]).eval())
    [[1 1]
     [0 1]]
    """
    return _NEQ(x, y)


def lt(x: Any, y: Any) -> Any:
    """Whether elements of `x` are less than those of `y`, as uint8: sparse if both are sparse, else dense.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.lt(x, [[1., 1.], [3., 3.]]).eval())
    [[1 0]
     [0 1]]
    """
    return _LT(x, y)


def gt(x: Any, y: Any) -> Any:
    """Whether elements of `x` are greater than those of `y`, as uint8: sparse if both are sparse, else dense.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.gt(x, [[1., 1.], [3., 3.]]).eval())
    [[0 1]
     [0 0]]
    """
    return _GT(x, y)


def le(x: Any, y: Any) -> Any:
    """Whether elements of `x` are at most those of `y`, as uint8: sparse if both are sparse, else dense.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.le(x, [[1., 1.], [3., 3.]]).eval())
    [[1 0]
     [1 1]]
    """
    return _LE(x, y)


def ge(x: Any, y: Any) -> Any:
    """Whether elements of `x` are at least those of `y`, as uint8: sparse if both are sparse, else dense.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.ge(x, [[1., 1.], [3., 3.]]).eval())
    [[0 1]
     [1 0]]
    """
    return _GE(x, y)


def _of_sparse(name: str, comparison: _Comparison, words: str) -> Callable[[Any, Any], Any]:
    def compare(x: Any, y: Any) -> Any:
        return comparison.of_sparse(x, y)

    compare.__name__ = compare.__qualname__ = name
    compare.__doc__ = f"Whether elements of a sparse matrix {words} those of another, as a sparse matrix of uint8."
    return compare


def _with_dense(name: str, comparison: _Comparison, words: str) -> Callable[[Any, Any], Any]:
    def compare(x: Any, y: Any) -> Any:
        return comparison.with_dense(x, y)

    compare.__name__ = compare.__qualname__ = name
    compare.__doc__ = f"Whether elements of a sparse matrix {words} those of a dense one, as a dense matrix of uint8."
    return compare


equal_s_s = _of_sparse("equal_s_s", _EQ, "equal")
equal_s_d = _with_dense("equal_s_d", _EQ, "equal")
not_equal_s_s = _of_sparse("not_equal_s_s", _NEQ, "differ from")
not_equal_s_d = _with_dense("not_equal_s_d", _NEQ, "differ from")
less_than_s_s = _of_sparse("less_than_s_s", _LT, "are less than")
less_than_s_d = _with_dense("less_than_s_d", _LT, "are less than")
greater_than_s_s = _of_sparse("greater_than_s_s", _GT, "are greater than")
greater_than_s_d = _with_dense("greater_than_s_d", _GT, "are greater than")
less_equal_s_s = _of_sparse("less_equal_s_s", _LE, "are at most")
less_equal_s_d = _with_dense("less_equal_s_d", _LE, "are at most")
greater_equal_s_s = _of_sparse("greater_equal_s_s", _GE, "are at least")
greater_equal_s_d = _with_dense("greater_equal_s_d", _GE, "are at least")


__all__ = [
    "eq", "equal_s_d", "equal_s_s", "ge", "greater_equal_s_d", "greater_equal_s_s", "greater_than_s_d",
    "greater_than_s_s", "gt", "le", "less_equal_s_d", "less_equal_s_s", "less_than_s_d", "less_than_s_s", "lt", "neq",
    "not_equal_s_d", "not_equal_s_s",
]  # fmt: skip
