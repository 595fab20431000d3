"""Sparse matrices side by side, and rows put into one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.op import InferenceError, user_error
from symgrad.ops.creation import arange
from symgrad.ops.promotion import as_operand, listed
from symgrad.ops.sizes import size_of
from symgrad.sparse.arithmetic import sp_zeros_like
from symgrad.sparse.conversion import as_format, cast
from symgrad.sparse.indexing import Select
from symgrad.sparse.parts import FromElements, SparseOp, SparseSize, check_sparse, unless_discrete
from symgrad.sparse.products import in_one_dtype
from symgrad.sparse.types import SparseType
from symgrad.sparse.variables import as_sparse_variable


@dataclass(frozen=True)
class StackSparse(SparseOp):
    """Sparse matrices below each other (axis 0) or side by side (axis 1)."""

    axis: int
    format: str

    @property
    def name(self) -> str:
        return "vstack" if self.axis == 0 else "hstack"

    def infer(self, *matrices: Any) -> list[SparseType]:
        for matrix in matrices:
            check_sparse(self.name, matrix)
            if matrix.type.dtype != matrices[0].type.dtype:
                raise InferenceError(DTypeError, f"{self.name} takes matrices of one dtype")
        return [SparseType(self.format, matrices[0].type.dtype)]

    def evaluate(self, *matrices: Any) -> list[Any]:
        import scipy.sparse

        sizes = {matrix.shape[1 - self.axis] for matrix in matrices}
        if len(sizes) > 1:
            raise ShapeError(f"{self.name} needs matrices of the same {('width', 'height')[self.axis]}, got {sizes}")
        stacked = (scipy.sparse.vstack if self.axis == 0 else scipy.sparse.hstack)(list(matrices))
        kind = SparseType(self.format, matrices[0].dtype)
        return [kind.convert(stacked.asformat(self.format, copy=True), allow_downcast=True)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        results = []
        start: Any = 0
        for matrix in inputs:
            count = SparseSize(self.axis)(matrix)
            part, whole = arange(count) + start, arange(SparseSize(1 - self.axis)(matrix))
            places = (part, whole) if self.axis == 0 else (whole, part)
            found = as_format(Select()(cotangents[0], *places), matrix.type.format)
            results.append(unless_discrete(matrix, found))
            start = start + count
        return results

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Stack the tangents likewise."""
        if all(tangent is None for tangent in tangents):
            return [None]
        pairs = zip(inputs, tangents, strict=True)
        return [self(*[sp_zeros_like(matrix) if tangent is None else tangent for matrix, tangent in pairs])]


def _stacked(blocks: Any, axis: int, format: str | None, dtype: str | None) -> Any:
    if not blocks:
        raise user_error(ShapeError, f"{('vstack', 'hstack')[axis]} needs at least one matrix")
    matrices = in_one_dtype(*[as_sparse_variable(block) for block in listed(blocks, "stacking", "sparse matrices")])
    stacked = StackSparse(axis, format or matrices[0].type.format)(*matrices)
    return stacked if dtype is None else cast(stacked, dtype)


def hstack(blocks: Any, format: str | None = None, dtype: str | None = None) -> Any:
    """Return sparse matrices side by side.

    Parameters
    ----------
    blocks : sequence of sparse matrices
        Of as many rows; they meet in their common dtype.
    format : {'csr', 'csc'}, optional
        Of the result; by default that of the first.
    dtype : str, optional
        Another dtype.

    Notes
    -----
    Keeps the behaviour of Theano's ``sparse.hstack``.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.hstack([x, x]).eval().toarray())
    [[0. 2. 0. 2.]
     [3. 0. 3. 0.]]
    """
    return _stacked(blocks, 1, format, dtype)


def vstack(blocks: Any, format: str | None = None, dtype: str | None = None) -> Any:
    """Return sparse matrices below each other; arguments as `hstack`.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.vstack([x, x]).eval().toarray())
    [[0. 2.]
     [3. 0.]
     [0. 2.]
     [3. 0.]]
    """
    return _stacked(blocks, 0, format, dtype)


def construct_sparse_from_list(x: Any, values: Any, ilist: Any) -> Any:
    """Return a csc matrix of the sizes of `x` whose rows `ilist` are those of `values`; the others are empty.

    Parameters
    ----------
    x : matrix
        Only its sizes matter.
    values : matrix
        The rows; those that go to the same place add up.
    ilist : integer vector
        Where each goes.

    Notes
    -----
    Keeps the behaviour of Theano's ``sparse.construct_sparse_from_list``.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> print(S.construct_sparse_from_list([[0., 0.], [0., 0.]], [[5., 6.]], [1]).eval().toarray())
    [[0. 0.]
     [5. 6.]]
    """
    x, values, ilist = as_operand(x), as_operand(values), as_operand(ilist)
    if values.type.ndim != 2 or ilist.type.ndim != 1 or x.type.ndim != 2:
        raise user_error(ShapeError, "construct_sparse_from_list takes two matrices and a vector", [x, values, ilist])
    height, width = size_of(values, 0), size_of(values, 1)
    rows = (ilist.dimshuffle(0, "x") + (arange(width) * 0).dimshuffle("x", 0)).flatten()
    columns = ((arange(height) * 0).dimshuffle(0, "x") + arange(width).dimshuffle("x", 0)).flatten()
    return FromElements("csc")(values.flatten(), rows, columns, size_of(x, 0), size_of(x, 1))


__all__ = [
    "construct_sparse_from_list", "hstack", "vstack",
]  # fmt: skip
