"""Products of sparse matrices with dense and sparse ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, user_error
from symgrad.graph.types import TensorType
from symgrad.ops import casting, linalg
from symgrad.ops.promotion import as_operand, upcast
from symgrad.sparse.conversion import FromDense, as_format, cast, dense_from_sparse, transpose
from symgrad.sparse.parts import (
    FromParts,
    SparseOp,
    by_lines,
    check_sparse,
    positions_of,
    unless_discrete,
    with_data,
)
from symgrad.sparse.types import SparseType
from symgrad.sparse.variables import as_sparse_or_tensor_variable, is_sparse

ROWS_AT_ONCE = 1 << 14
"""How many products of rows are computed together: their elements must fit into a cache."""


def _check_inner(x: Any, y: Any) -> None:
    if x.shape[1] != y.shape[0]:
        raise ShapeError(f"dot needs matching inner sizes, got {x.shape[1]} and {y.shape[0]}")


def _check_one_dtype(name: str, x: Any, y: Any) -> None:
    if x.type.dtype != y.type.dtype:
        raise InferenceError(DTypeError, f"{name} takes operands of one dtype")


@dataclass(frozen=True)
class SparseDenseProduct(SparseOp):
    """A sparse matrix times a dense vector or matrix.

    Parameters
    ----------
    is_structured : bool
        Whether the gradient has elements only where the sparse matrix has.
    """

    is_structured: bool = True

    @property
    def name(self) -> str:
        return "structured_dot" if self.is_structured else "dot"

    def infer(self, x: Any, y: Any) -> list[TensorType]:
        check_sparse(self.name, x)
        if not isinstance(y.type, TensorType) or y.type.ndim not in (1, 2):
            raise InferenceError(ShapeError, f"{self.name} takes a vector or matrix, got {y.type}")
        _check_one_dtype(self.name, x, y)
        return [TensorType(x.type.dtype, (None, *y.type.shape[1:]), (False, *y.type.broadcastable[1:]))]

    def evaluate(self, x: Any, y: np.ndarray) -> list[np.ndarray]:
        _check_inner(x, y)
        return [np.ascontiguousarray(x @ y, dtype=x.dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x, y), (cotangent,) = inputs, cotangents
        left, right = (cotangent, y) if y.type.ndim == 2 else (cotangent.dimshuffle(0, "x"), y.dimshuffle(0, "x"))
        if self.is_structured:
            lines = by_lines(x)
            for_x = as_format(with_data(lines, ProductAt()(lines, left, _conj(right))), x.type.format)
        else:
            for_x = FromDense(x.type.format)(linalg.dot(left, _conj(right).T))
        for_y = self(_conj(transpose(x)), cotangent)
        return [unless_discrete(x, for_x), unless_discrete(y, for_y)]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The product rule."""
        return [linalg.product_rule(self, inputs, tangents)]


def _conj(x: Any) -> Any:
    from symgrad.ops.complex_numbers import conj
    from symgrad.sparse.parts import mapped

    if not x.type.dtype.startswith("complex"):
        return x
    return mapped(x, conj) if isinstance(x.type, SparseType) else conj(x)


@dataclass(frozen=True)
class ProductAt(SparseOp):
    """The elements of ``left @ right.T`` where a sparse matrix has elements, in the order of its data."""

    @property
    def name(self) -> str:
        return "product_at"

    def infer(self, pattern: Any, left: Any, right: Any) -> list[TensorType]:
        check_sparse(self.name, pattern, ("csr", "csc"))
        if left.type.ndim != 2 or right.type.ndim != 2:
            raise InferenceError(ShapeError, f"{self.name} takes matrices, got {left.type} and {right.type}")
        _check_one_dtype(self.name, left, right)
        return [TensorType(left.type.dtype, (None,))]

    def evaluate(self, pattern: Any, left: np.ndarray, right: np.ndarray) -> list[np.ndarray]:
        if pattern.shape != (len(left), len(right)) or left.shape[1] != right.shape[1]:
            raise ShapeError(
                f"a product of {left.shape} and {right.shape[::-1]} doesn't have the sizes {pattern.shape}"
            )
        rows, columns = positions_of(pattern)
        result = np.empty(len(rows), left.dtype)
        step = max(1, ROWS_AT_ONCE // max(1, left.shape[1]))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            np.einsum("ij,ij->i", left[rows[part]], right[columns[part]], out=result[part])
        return [result]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        pattern, left, right = inputs
        placed = with_data(pattern, cotangents[0])
        product = SparseDenseProduct()
        return [
            Disconnected("it tells where the elements are"),
            unless_discrete(left, product(placed, _conj(right))),
            unless_discrete(right, product(transpose(placed), _conj(left))),
        ]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The product rule."""
        (pattern, left, right), (_, dleft, dright) = inputs, tangents
        terms = [] if dleft is None else [self(pattern, dleft, right)]
        terms += [] if dright is None else [self(pattern, left, dright)]
        return [sum(terms[1:], terms[0]) if terms else None]


@dataclass(frozen=True)
class SparseSparseProduct(SparseOp):
    """The product of two sparse matrices, as a sparse matrix of the format of the first."""

    @property
    def name(self) -> str:
        return "true_dot"

    def infer(self, x: Any, y: Any) -> list[SparseType]:
        check_sparse(self.name, x)
        check_sparse(self.name, y)
        _check_one_dtype(self.name, x, y)
        return [x.type]

    def evaluate(self, x: Any, y: Any) -> list[Any]:
        _check_inner(x, y)
        return [SparseType(x.format, x.dtype).convert((x @ y).asformat(x.format), allow_downcast=True)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x, y), (cotangent,) = inputs, cotangents
        for_x, for_y = self(cotangent, _conj(transpose(y))), self(_conj(transpose(x)), cotangent)
        return [
            unless_discrete(x, as_format(for_x, x.type.format)), unless_discrete(y, as_format(for_y, y.type.format))
        ]  # fmt: skip

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The product rule."""
        return [linalg.product_rule(self, inputs, tangents)]


# ---- what users call ----


def in_one_dtype(*operands: Any) -> list[Any]:
    """Return sparse matrices and tensors in their common dtype."""
    variables = [as_sparse_or_tensor_variable(operand) for operand in operands]
    common = upcast(*[variable.type.dtype for variable in variables])
    return [
        variable if variable.type.dtype == common
        else cast(variable, common) if is_sparse(variable) else casting.cast(variable, common)
        for variable in variables
    ]  # fmt: skip


def _dense_product(x: Any, y: Any, is_structured: bool) -> Any:
    """Return the product of a sparse and a dense operand, in either order."""
    product = SparseDenseProduct(is_structured)
    if is_sparse(x):
        return product(x, y)
    if x.type.ndim not in (1, 2):
        raise user_error(ShapeError, f"dot takes a vector or matrix, got {x.type}", [x, y])
    found = product(transpose(y), x.T)
    return found.T


def dot(x: Any, y: Any) -> Any:
    """Return the product of two matrices of which at least one is sparse, as a tensor.

    Parameters
    ----------
    x, y : sparse matrix, matrix or vector
        They meet in their common dtype.

    Returns
    -------
    tensor

    Notes
    -----
    Keeps the behaviour of Theano's ``sparse.dot``. The gradient of a sparse operand has all elements; that of
    `structured_dot` only those that the operand has.

    Examples
    --------
    >>> import symgrad.sparse as S, symgrad.tensor as T, scipy.sparse
    >>> x, y = S.csr_matrix('x', 'float64'), T.dvector('y')
    >>> print(S.dot(x, y).eval({x: scipy.sparse.csr_matrix([[0., 2.], [1., 0.]]), y: [1., 10.]}))
    [20.  1.]
    """
    if not is_sparse(x) and not is_sparse(y):
        raise user_error(DTypeError, "dot takes at least one sparse matrix here", (), "Use symgrad.tensor.dot.")
    x, y = in_one_dtype(x, y)
    if is_sparse(x) and is_sparse(y):
        return dense_from_sparse(SparseSparseProduct()(x, y), sparse_grad=False)
    return _dense_product(x, y, is_structured=False)


def structured_dot(x: Any, y: Any) -> Any:
    """Return the product of a sparse matrix and another; the gradient of a sparse one has the elements that it has.

    Parameters
    ----------
    x, y : sparse matrix, or dense vector or matrix
        At least one is sparse.

    Returns
    -------
    tensor, or sparse matrix of the format of `x` if both are

    Notes
    -----
    Keeps the behaviour of Theano's ``sparse.structured_dot``.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.structured_dot(x, [[1.], [10.]]).eval())
    [[20.]
     [ 3.]]
    """
    if not is_sparse(x) and not is_sparse(y):
        raise user_error(DTypeError, "structured_dot takes at least one sparse matrix", (), "Use symgrad.tensor.dot.")
    x, y = in_one_dtype(x, y)
    if is_sparse(x) and is_sparse(y):
        return SparseSparseProduct()(x, y)
    return _dense_product(x, y, is_structured=True)


def true_dot(x: Any, y: Any, grad_preserves_dense: bool = True) -> Any:
    """Return the product of two matrices of which at least one is sparse, as a sparse matrix.

    Notes
    -----
    Keeps the behaviour of Theano's ``sparse.true_dot``; `grad_preserves_dense` is accepted for its sake.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.true_dot(x, x).eval().toarray())
    [[6. 0.]
     [0. 6.]]
    """
    if not is_sparse(x) and not is_sparse(y):
        raise user_error(DTypeError, "true_dot takes at least one sparse matrix", (), "Use symgrad.tensor.dot.")
    x, y = in_one_dtype(x, y)
    format = (x if is_sparse(x) else y).type.format
    x, y = [v if is_sparse(v) else FromDense(format)(v) for v in (x, y)]
    return SparseSparseProduct()(x, y)


def usmm(alpha: Any, x: Any, y: Any, z: Any) -> Any:
    """Return ``alpha * dot(x, y) + z``, dense, where `x` or `y` is sparse.

    Notes
    -----
    Keeps the behaviour of Theano's ``sparse.usmm``.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.usmm(2., x, [[1.], [10.]], [[0.], [1.]]).eval())
    [[40.]
     [ 7.]]
    """
    return as_operand(alpha) * dot(x, y) + as_operand(z)


def sampling_dot(x: Any, y: Any, p: Any) -> Any:
    """Return ``p * dot(x, y.T)`` computed only where the sparse matrix `p` has elements.

    Parameters
    ----------
    x, y : matrix
        Dense; of as many columns.
    p : sparse matrix
        Its elements scale those of the product.

    Returns
    -------
    sparse matrix of the format of `p`

    Notes
    -----
    Keeps the behaviour of Theano's ``sparse.sampling_dot``.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> pattern = scipy.sparse.csr_matrix([[1., 0.], [0., 1.]])
    >>> x = [[1., 2.], [3., 4.]]
    >>> print(S.sampling_dot(x, x, pattern).eval().toarray())
    [[ 5.  0.]
     [ 0. 25.]]
    """
    p = by_lines(p)
    x, y, p = in_one_dtype(x, y, p)
    for operand in (x, y):
        if is_sparse(operand) or operand.type.ndim != 2:
            raise user_error(ShapeError, f"sampling_dot takes dense matrices, got {operand.type}", [x, y, p])
    from symgrad.sparse.parts import csm_data

    return with_data(p, csm_data(p) * ProductAt()(p, x, y))


def structured_dot_grad(sparse_A: Any, dense_B: Any, ga: Any) -> Any:
    """Return the gradient of ``structured_dot(A, B)`` with respect to A, from that of the product.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.structured_dot_grad(S.as_sparse_variable(x), [[1.], [10.]], [[1.], [1.]]).eval().toarray())
    [[ 0. 10.]
     [ 1.  0.]]
    """
    pattern = by_lines(sparse_A)
    ga, dense_B = as_operand(ga), as_operand(dense_B)
    return with_data(pattern, ProductAt()(pattern, ga, _conj(dense_B)))


def _data_gradient(format: str, indices: Any, indptr: Any, b: Any, g_ab: Any) -> Any:
    """Return the gradient of the data of A in ``structured_dot(A, b)``, from the places of its elements."""
    from symgrad.ops.creation import ones_like
    from symgrad.ops.sizes import MakeVector, size_of

    indices, indptr, b, g_ab = [as_operand(v) for v in (indices, indptr, b, g_ab)]
    if b.type.ndim != 2 or g_ab.type.ndim != 2:
        raise user_error(ShapeError, f"the operand and the gradient must be matrices, got {b.type}, {g_ab.type}",
                         [b, g_ab])  # fmt: skip
    shape = MakeVector("int64")(size_of(g_ab, 0), size_of(b, 0))
    pattern = FromParts(format)(ones_like(indices, b.type.dtype), indices, indptr, shape)
    return ProductAt()(pattern, g_ab, b)


def sdg_csr(indices: Any, indptr: Any, b: Any, g_ab: Any) -> Any:
    """Return the gradient of the data of a csr matrix A in ``structured_dot(A, b)``.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.sdg_csr([1, 0], [0, 1, 2], [[1.], [10.]], [[1.], [1.]]).eval())
    [10.  1.]
    """
    return _data_gradient("csr", indices, indptr, b, g_ab)


def sdg_csc(indices: Any, indptr: Any, b: Any, g_ab: Any) -> Any:
    """Return the gradient of the data of a csc matrix A in ``structured_dot(A, b)``.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.sdg_csc([1, 0], [0, 1, 2], [[1.], [10.]], [[1.], [1.]]).eval())
    [ 1. 10.]
    """
    return _data_gradient("csc", indices, indptr, b, g_ab)


__all__ = [
    "dot", "sampling_dot", "sdg_csc", "sdg_csr", "structured_dot", "structured_dot_grad", "true_dot", "usmm",
]  # fmt: skip
