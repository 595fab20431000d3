"""Sums over sparse matrices, and their diagonals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import ShapeError
from symgrad.graph.op import user_error
from symgrad.graph.types import TensorType
from symgrad.ops.creation import arange
from symgrad.ops.promotion import as_operand
from symgrad.ops.shape import alloc
from symgrad.ops.sizes import MakeVector, size_of
from symgrad.sparse.conversion import FromDense, as_format
from symgrad.sparse.parts import (
    Elements,
    FromParts,
    Positions,
    SparseOp,
    SparseSize,
    by_lines,
    check_sparse,
    csm_data,
    unless_discrete,
    with_data,
)
from symgrad.sparse.variables import as_sparse_variable


@dataclass(frozen=True)
class SparseSum(SparseOp):
    """The sum over one axis or both, as a tensor.

    Parameters
    ----------
    axis : {None, 0, 1}
        None is both.
    is_structured : bool
        Whether the gradient has elements only where the matrix has.
    """

    axis: int | None
    is_structured: bool = False

    @property
    def name(self) -> str:
        return "sp_sum"

    def infer(self, x: Any) -> list[TensorType]:
        check_sparse(self.name, x)
        return [TensorType(x.type.dtype, () if self.axis is None else (None,))]

    def evaluate(self, x: Any) -> list[np.ndarray]:
        if self.axis is None:  # SciPy's own sum would sort the elements in place
            return [np.asarray(x.data.sum(dtype=x.dtype))]
        lines = x if self.axis == 1 else x.T
        return [np.asarray(lines @ np.ones(lines.shape[1], x.dtype), dtype=x.dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x,), (cotangent,) = inputs, cotangents
        if self.is_structured:
            lines = by_lines(x)
            data = self._spread(lines, cotangent)
            return [unless_discrete(x, as_format(with_data(lines, data), x.type.format))]
        order = {None: (), 0: ("x", 0), 1: (0, "x")}[self.axis]
        full = alloc(cotangent.dimshuffle(*order) if order else cotangent, SparseSize(0)(x), SparseSize(1)(x))
        return [unless_discrete(x, FromDense(x.type.format)(full))]

    def _spread(self, x: Any, cotangent: Any) -> Any:
        """Return for each element the cotangent of the sum that it is a part of."""
        if self.axis is None:
            return alloc(cotangent, size_of(csm_data(x), 0))
        return cotangent[Positions()(x)[1 - self.axis]]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The sum of the tangent."""
        return [None if tangents[0] is None else self(tangents[0])]


# ---- what users call ----


def sp_sum(x: Any, axis: int | None = None, sparse_grad: bool = False) -> Any:
    """Return the sum of a sparse matrix over one axis, or both, as a tensor.

    Parameters
    ----------
    x : sparse matrix
    axis : {None, 0, 1}
        None is both.
    sparse_grad : bool
        Whether the gradient has elements only where `x` has.

    Notes
    -----
    Keeps the behaviour of Theano's ``sparse.sp_sum``.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.sp_sum(x, axis=1).eval())
    [2. 3.]
    """
    x = as_sparse_variable(x)
    if axis not in (None, 0, 1, -1, -2):
        raise user_error(ShapeError, f"sp_sum takes None, 0 or 1 as axis, got {axis!r}", [x])
    return SparseSum(None if axis is None else axis % 2, bool(sparse_grad))(x)


def diag(x: Any) -> Any:
    """Return the diagonal of a square sparse matrix, as a vector.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.diag(x).eval())
    [0. 0.]
    """
    x = as_sparse_variable(x)
    places = arange(SparseSize(0)(x))
    return Elements()(x, places, places)


def square_diagonal(diagonal: Any) -> Any:
    """Return the square csc matrix with a vector on its diagonal.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> print(S.square_diagonal([1., 2.]).eval().toarray())
    [[1. 0.]
     [0. 2.]]
    """
    diagonal = as_operand(diagonal)
    if diagonal.type.ndim != 1:
        raise user_error(ShapeError, f"square_diagonal takes a vector, got {diagonal.type}", [diagonal])
    size = size_of(diagonal, 0)
    return FromParts("csc")(diagonal, arange(size), arange(size + 1), MakeVector("int64")(size, size))


__all__ = [
    "diag", "sp_sum", "square_diagonal",
]  # fmt: skip
