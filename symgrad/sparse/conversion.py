"""Sparse matrices made dense and dense ones sparse; other formats, dtypes and orders; transposes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.op import InferenceError, user_error
from symgrad.graph.types import TensorType
from symgrad.ops import casting
from symgrad.ops.promotion import as_operand
from symgrad.sparse.parts import Positions, SparseOp, by_lines, check_sparse, mapped, unless_discrete, with_data
from symgrad.sparse.types import FORMATS, SparseType
from symgrad.sparse.variables import as_sparse_variable, is_sparse


@dataclass(frozen=True)
class ToDense(SparseOp):
    """A sparse matrix as a tensor.

    Parameters
    ----------
    is_structured : bool
        Whether the gradient has elements only where the matrix has.
    """

    is_structured: bool = True

    @property
    def name(self) -> str:
        return "dense_from_sparse"

    def infer(self, x: Any) -> list[TensorType]:
        check_sparse(self.name, x)
        return [TensorType(x.type.dtype, (None, None))]

    def evaluate(self, x: Any) -> list[np.ndarray]:
        return [x.toarray()]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x,) = inputs
        if not self.is_structured:
            return [unless_discrete(x, FromDense(x.type.format)(cotangents[0]))]
        return [unless_discrete(x, as_format(projected(cotangents[0], by_lines(x)), x.type.format))]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Make the tangent dense likewise."""
        return [None if tangents[0] is None else self(tangents[0])]


def projected(dense: Any, pattern: Any) -> Any:
    """Return the elements of a dense matrix that a csr or csc matrix has, in its places."""
    rows, columns = Positions()(pattern)
    return with_data(pattern, dense[rows, columns])


@dataclass(frozen=True)
class FromDense(SparseOp):
    """The elements of a dense matrix that aren't 0, as a sparse matrix."""

    format: str

    @property
    def name(self) -> str:
        return f"{self.format}_from_dense"

    def infer(self, x: Any) -> list[SparseType]:
        if not isinstance(x.type, TensorType) or x.type.ndim != 2:
            raise InferenceError(ShapeError, f"{self.name} takes a matrix, got {x.type}")
        return [SparseType(self.format, x.type.dtype)]

    def evaluate(self, x: np.ndarray) -> list[Any]:
        return [SparseType(self.format, x.dtype).scipy_class(x)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [unless_discrete(inputs[0], ToDense(False)(cotangents[0]))]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Make the tangent sparse likewise."""
        return [None if tangents[0] is None else self(tangents[0])]


@dataclass(frozen=True)
class Transpose(SparseOp):
    """The transpose: rows become columns, so csr becomes csc."""

    @property
    def name(self) -> str:
        return "transpose"

    def infer(self, x: Any) -> list[SparseType]:
        check_sparse(self.name, x)
        return [SparseType({"csr": "csc", "csc": "csr", "bsr": "bsr"}[x.type.format], x.type.dtype)]

    def evaluate(self, x: Any) -> list[Any]:
        return [x.transpose(copy=True)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [unless_discrete(inputs[0], self(cotangents[0]))]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Transpose the tangent likewise."""
        return [None if tangents[0] is None else self(tangents[0])]


@dataclass(frozen=True)
class AsFormat(SparseOp):
    """The same matrix in another format."""

    format: str

    @property
    def name(self) -> str:
        return f"as_{self.format}"

    def infer(self, x: Any) -> list[SparseType]:
        check_sparse(self.name, x)
        return [SparseType(self.format, x.type.dtype)]

    def evaluate(self, x: Any) -> list[Any]:
        return [x.asformat(self.format, copy=True)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [unless_discrete(inputs[0], AsFormat(inputs[0].type.format)(cotangents[0]))]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Convert the tangent likewise."""
        return [None if tangents[0] is None else self(tangents[0])]


@dataclass(frozen=True)
class Tidied(SparseOp):
    """The same matrix with its elements in order, or without stored zeros."""

    how: str

    @property
    def name(self) -> str:
        return self.how

    def infer(self, x: Any) -> list[SparseType]:
        check_sparse(self.name, x)
        return [x.type]

    def evaluate(self, x: Any) -> list[Any]:
        result = x.copy()
        if self.how == "remove0":
            result.eliminate_zeros()
        else:
            result.sort_indices()
        return [result]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [unless_discrete(inputs[0], cotangents[0])]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The value doesn't change."""
        return [tangents[0]]


# ---- what users call ----


def dense_from_sparse(x: Any, sparse_grad: bool = True) -> Any:
    """Return a sparse matrix as a tensor.

    Parameters
    ----------
    x : sparse matrix
    sparse_grad : bool
        Whether the gradient has elements only where `x` has.

    Notes
    -----
    Keeps the behaviour of Theano's ``sparse.dense_from_sparse``.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.dense_from_sparse(x).eval())
    [[0. 2.]
     [3. 0.]]
    """
    return ToDense(bool(sparse_grad))(as_sparse_variable(x))


def csr_from_dense(x: Any) -> Any:
    """Return the elements of a matrix that aren't 0, as a csr matrix.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> S.csr_from_dense([[0., 2.]]).format
    'csr'
    """
    return FromDense("csr")(as_operand(x))


def csc_from_dense(x: Any) -> Any:
    """Return the elements of a matrix that aren't 0, as a csc matrix.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> S.csc_from_dense([[0., 2.]]).format
    'csc'
    """
    return FromDense("csc")(as_operand(x))


def as_format(x: Any, format: str) -> Any:
    """Return a sparse matrix in another format: ``'csr'``, ``'csc'`` or ``'bsr'``.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> S.as_format(S.csr_matrix(), 'csc').format
    'csc'
    """
    x = as_sparse_variable(x)
    if format not in FORMATS:
        raise user_error(DTypeError, f"sparse matrices have the formats {', '.join(FORMATS)}, not {format!r}", [x])
    return x if x.type.format == format else AsFormat(format)(x)


def transpose(x: Any) -> Any:
    """Return the transpose of a sparse matrix; that of a csr matrix is csc.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.transpose(x).eval().toarray())
    [[0. 3.]
     [2. 0.]]
    """
    return Transpose()(as_sparse_variable(x))


def ensure_sorted_indices(x: Any) -> Any:
    """Return a sparse matrix with the elements of each row (csc: column) in order.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.ensure_sorted_indices(x).eval().toarray())
    [[0. 2.]
     [3. 0.]]
    """
    return Tidied("ensure_sorted_indices")(as_sparse_variable(x))


def remove0(x: Any) -> Any:
    """Return a sparse matrix without stored zeros.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.remove0(x).eval().toarray())
    [[0. 2.]
     [3. 0.]]
    """
    return Tidied("remove0")(as_sparse_variable(x))


def clean(x: Any) -> Any:
    """Return a sparse matrix without stored zeros, and with the elements of each row (csc: column) in order.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.clean(x).eval().toarray())
    [[0. 2.]
     [3. 0.]]
    """
    return ensure_sorted_indices(remove0(x))


def cast(variable: Any, dtype: str) -> Any:
    """Return a sparse matrix converted to a dtype; ``'floatX'`` means the configured float.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> S.cast(S.csr_matrix(), 'float64').dtype
    'float64'
    """
    if not is_sparse(variable):
        raise user_error(DTypeError, f"cast takes a sparse matrix here, got {variable}", (), "Use symgrad.tensor.cast.")
    return mapped(variable, _Cast(dtype))


@dataclass(frozen=True)
class _Cast:
    dtype: str

    def __call__(self, data: Any) -> Any:
        return casting.cast(data, self.dtype)


def bcast(variable: Any) -> Any:
    """Return a sparse matrix converted to int8.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> S.bcast(S.csr_matrix()).dtype
    'int8'
    """
    return cast(variable, "int8")


def wcast(variable: Any) -> Any:
    """Return a sparse matrix converted to int16.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> S.wcast(S.csr_matrix()).dtype
    'int16'
    """
    return cast(variable, "int16")


def icast(variable: Any) -> Any:
    """Return a sparse matrix converted to int32.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> S.icast(S.csr_matrix()).dtype
    'int32'
    """
    return cast(variable, "int32")


def lcast(variable: Any) -> Any:
    """Return a sparse matrix converted to int64.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> S.lcast(S.csr_matrix()).dtype
    'int64'
    """
    return cast(variable, "int64")


def fcast(variable: Any) -> Any:
    """Return a sparse matrix converted to float32.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> S.fcast(S.csr_matrix()).dtype
    'float32'
    """
    return cast(variable, "float32")


def dcast(variable: Any) -> Any:
    """Return a sparse matrix converted to float64.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> S.dcast(S.csr_matrix()).dtype
    'float64'
    """
    return cast(variable, "float64")


def ccast(variable: Any) -> Any:
    """Return a sparse matrix converted to complex64.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> S.ccast(S.csr_matrix()).dtype
    'complex64'
    """
    return cast(variable, "complex64")


def zcast(variable: Any) -> Any:
    """Return a sparse matrix converted to complex128.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> S.zcast(S.csr_matrix()).dtype
    'complex128'
    """
    return cast(variable, "complex128")


__all__ = [
    "as_format", "bcast", "cast", "ccast", "clean", "csc_from_dense", "csr_from_dense", "dcast",
    "dense_from_sparse", "ensure_sorted_indices", "fcast", "icast", "lcast", "remove0", "transpose", "wcast",
    "zcast",
]  # fmt: skip
