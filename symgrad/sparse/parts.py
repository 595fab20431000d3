"""What sparse matrices are made of: data, indices and pointers; and elements at positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, IndexingError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op
from symgrad.graph.types import NUMPY_DTYPES, TensorType
from symgrad.ops.promotion import is_discrete
from symgrad.sparse.types import SparseType


@dataclass(frozen=True)
class SparseOp(Op):
    """The base of ops that take or return sparse matrices."""

    takes_any_type = True


def check_sparse(name: str, x: Any, formats: Sequence[str] = ()) -> None:
    """Raise unless `x` is sparse, and of one of the formats."""
    if not isinstance(x.type, SparseType):
        raise InferenceError(DTypeError, f"{name} takes a sparse matrix, got {x.type}",
                             "Make it sparse with symgrad.sparse.csr_from_dense.")  # fmt: skip
    if formats and x.type.format not in formats:
        raise InferenceError(DTypeError, f"{name} takes the formats {', '.join(formats)}, got {x.type.format}",
                             "Convert it with symgrad.sparse.as_format(x, 'csr').")  # fmt: skip


def check_vector(name: str, what: str, x: Any, kinds: str) -> None:
    """Raise unless `x` is a vector of some kind of dtype."""
    if not isinstance(x.type, TensorType) or x.type.ndim != 1 or NUMPY_DTYPES[x.type.dtype].kind not in kinds:
        raise InferenceError(DTypeError, f"{name} takes a vector as {what}, got {x.type}")


def positions_of(x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns of the stored elements of a csr or csc matrix, in the order of its data."""
    lines = np.repeat(np.arange(len(x.indptr) - 1), np.diff(x.indptr))
    inner = x.indices.astype(np.int64)
    return (lines, inner) if x.format == "csr" else (inner, lines)


def unless_discrete(variable: Any, cotangent: Any) -> Any:
    """Return the cotangent, which doesn't reach integers."""
    return Disconnected(f"{variable} is {variable.type.dtype}") if is_discrete(variable.type.dtype) else cotangent


@dataclass(frozen=True)
class SparseSize(SparseOp):
    """The number of rows or columns, as an int64 scalar."""

    axis: int

    @property
    def name(self) -> str:
        return f"size{{{self.axis}}}"

    def infer(self, x: Any) -> list[TensorType]:
        check_sparse(self.name, x)
        return [TensorType("int64", ())]

    def evaluate(self, x: Any) -> list[np.ndarray]:
        return [np.array(x.shape[self.axis])]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [Disconnected("a size doesn't depend on the values")]


@dataclass(frozen=True)
class Parts(SparseOp):
    """Data, indices, pointers and sizes of a csr or csc matrix."""

    @property
    def name(self) -> str:
        return "csm_properties"

    def infer(self, x: Any) -> list[TensorType]:
        check_sparse(self.name, x, ("csr", "csc"))
        return [TensorType(x.type.dtype, (None,)), *[TensorType("int32", (size,)) for size in (None, None, 2)]]

    def evaluate(self, x: Any) -> list[np.ndarray]:
        if max(x.nnz, *x.shape) > np.iinfo("int32").max:
            raise ShapeError(f"a sparse matrix of {x.shape} with {x.nnz} elements is too large for int32 indices")
        return [x.data.copy(), x.indices.astype("int32"), x.indptr.astype("int32"), np.array(x.shape, "int32")]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        if cotangents[0] is None:
            return [Disconnected("where the elements are has no derivative")]
        return [unless_discrete(inputs[0], FromParts(inputs[0].type.format)(cotangents[0], *outputs[1:]))]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangent's values where the matrix has elements."""
        data = None if tangents[0] is None else ValuesAt()(tangents[0], inputs[0])
        return [data, None, None, None]


@dataclass(frozen=True)
class FromParts(SparseOp):
    """A csr or csc matrix of data, indices, pointers and sizes."""

    format: str

    @property
    def name(self) -> str:
        return self.format

    def infer(self, data: Any, indices: Any, indptr: Any, shape: Any) -> list[SparseType]:
        check_vector(self.name, "data", data, "iubfc")
        for what, vector in (("indices", indices), ("indptr", indptr), ("shape", shape)):
            check_vector(self.name, what, vector, "iu")
        if shape.type.shape[0] not in (None, 2):
            raise InferenceError(ShapeError, f"{self.name} takes two sizes, got {shape.type.shape[0]}")
        return [SparseType(self.format, data.type.dtype)]

    def evaluate(self, data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, shape: np.ndarray) -> list[Any]:
        kind = SparseType(self.format, data.dtype).scipy_class
        try:
            matrix = kind((data, indices, indptr), shape=tuple(shape.tolist()), copy=True)
            matrix.check_format(full_check=True)
        except ValueError as error:
            raise ShapeError(f"these aren't the parts of a {self.format} matrix: {error}") from None
        return [matrix]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        values = unless_discrete(inputs[0], ValuesAt()(cotangents[0], outputs[0]))
        return [values, *[Disconnected("it tells where the elements are")] * 3]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangent's data in the same places."""
        return [None if tangents[0] is None else self(tangents[0], *inputs[1:])]


@dataclass(frozen=True)
class Positions(SparseOp):
    """Rows and columns of the stored elements of a csr or csc matrix, in the order of its data."""

    @property
    def name(self) -> str:
        return "positions"

    def infer(self, x: Any) -> list[TensorType]:
        check_sparse(self.name, x, ("csr", "csc"))
        return [TensorType("int64", (None,))] * 2

    def evaluate(self, x: Any) -> list[np.ndarray]:
        return list(positions_of(x))

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [Disconnected("where the elements are has no derivative")]


@dataclass(frozen=True)
class ValuesAt(SparseOp):
    """The values of one matrix where another has elements, in the order of the other's data."""

    @property
    def name(self) -> str:
        return "values_at"

    def infer(self, x: Any, pattern: Any) -> list[TensorType]:
        check_sparse(self.name, x)
        check_sparse(self.name, pattern, ("csr", "csc"))
        return [TensorType(x.type.dtype, (None,))]

    def evaluate(self, x: Any, pattern: Any) -> list[np.ndarray]:
        if x.shape != pattern.shape:
            raise ShapeError(f"two sparse matrices have the sizes {x.shape} and {pattern.shape}")
        same = x.format == pattern.format and np.array_equal(x.indptr, pattern.indptr)
        if same and np.array_equal(x.indices, pattern.indices) and not _has_duplicates(x):
            return [x.data.copy()]
        return [elements(x, *positions_of(pattern))]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        from symgrad.sparse.conversion import as_format

        x, pattern = inputs
        placed = FromParts(pattern.type.format)(cotangents[0], *Parts()(pattern)[1:])
        return [unless_discrete(x, as_format(placed, x.type.format)), Disconnected("it tells where the elements are")]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangent's values there."""
        return [None if tangents[0] is None else self(tangents[0], inputs[1])]


def _has_duplicates(x: Any) -> bool:
    """Whether an element is stored in several parts, which add up."""
    if x.has_sorted_indices:
        steps = np.diff(x.indices)
        ends = x.indptr[1:-1] - 1
        same = steps == 0
        same[ends[(ends >= 0) & (ends < len(steps))]] = False
        return bool(same.any())
    rows, columns = positions_of(x)
    return len(np.unique(rows * x.shape[1] + columns)) < x.nnz


def elements(x: Any, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return elements of a sparse matrix as a vector."""
    if not len(rows):
        return np.zeros(0, x.dtype)
    return np.asarray(x.tocsr()[rows, columns], dtype=x.dtype).reshape(-1)


@dataclass(frozen=True)
class Elements(SparseOp):
    """The elements in some rows and columns, as a vector."""

    @property
    def name(self) -> str:
        return "get_item_2lists"

    def infer(self, x: Any, rows: Any, columns: Any) -> list[TensorType]:
        check_sparse(self.name, x)
        check_vector(self.name, "rows", rows, "iu")
        check_vector(self.name, "columns", columns, "iu")
        sizes = {rows.type.shape[0], columns.type.shape[0]} - {None}
        if len(sizes) > 1:
            raise InferenceError(ShapeError, "an index needs as many rows as columns")
        return [TensorType(x.type.dtype, (next(iter(sizes), None),), (False,))]

    def evaluate(self, x: Any, rows: np.ndarray, columns: np.ndarray) -> list[np.ndarray]:
        if len(rows) != len(columns):
            raise ShapeError(f"an index needs as many rows as columns, got {len(rows)} and {len(columns)}")
        check_bounds(rows, x.shape[0], "row")
        check_bounds(columns, x.shape[1], "column")
        return [elements(x, rows, columns)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        x, rows, columns = inputs
        placed = FromElements(x.type.format)(cotangents[0], rows, columns, *[SparseSize(axis)(x) for axis in (0, 1)])
        return [unless_discrete(x, placed), *[Disconnected("it is an index")] * 2]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangent's elements."""
        return [None if tangents[0] is None else self(tangents[0], *inputs[1:])]


def check_bounds(index: np.ndarray, size: int, what: str) -> None:
    """Raise unless all numbers of an index count rows or columns that there are."""
    wrong = index[(index < -size) | (index >= size)]
    if len(wrong):
        raise IndexingError(f"{what} {int(wrong[0])} is out of bounds for {size} {what}s")


@dataclass(frozen=True)
class FromElements(SparseOp):
    """A sparse matrix of values in rows and columns; what is in the same place adds up."""

    format: str

    @property
    def name(self) -> str:
        return f"{self.format}_from_elements"

    def infer(self, values: Any, rows: Any, columns: Any, height: Any, width: Any) -> list[SparseType]:
        check_vector(self.name, "values", values, "iubfc")
        return [SparseType(self.format, values.type.dtype)]

    def evaluate(self, values: np.ndarray, rows: np.ndarray, columns: np.ndarray, height: Any, width: Any) -> list[Any]:
        from scipy.sparse import coo_matrix

        shape = int(height), int(width)
        places = rows % max(shape[0], 1), columns % max(shape[1], 1)
        matrix: Any = coo_matrix((values, places), shape=shape)
        return [matrix.asformat(self.format)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        values, rows, columns, *_ = inputs
        found = unless_discrete(values, Elements()(cotangents[0], rows, columns))
        return [found, *[Disconnected("it tells where the elements are")] * 4]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangent's values in the same places."""
        return [None if tangents[0] is None else self(tangents[0], *inputs[1:])]


# ---- what users call ----


def _by_lines(x: Any) -> Any:
    """Return a csr or csc matrix: blocks are taken apart."""
    from symgrad.sparse.conversion import as_format
    from symgrad.sparse.variables import as_sparse_variable

    x = as_sparse_variable(x)
    return as_format(x, "csr") if x.type.format == "bsr" else x


def csm_properties(csm: Any) -> tuple[Any, Any, Any, Any]:
    """Return data, indices, indptr and shape of a csr or csc matrix (as SciPy has them; the latter three int32).

    Notes
    -----
    Keeps the behaviour of Theano's ``sparse.csm_properties``.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.csm_properties(x)[0].eval())
    [2. 3.]
    """
    data, indices, indptr, shape = Parts()(_by_lines(csm))
    return data, indices, indptr, shape


def csm_data(csm: Any) -> Any:
    """Return the stored elements of a csr or csc matrix, as a vector.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.csm_data(x).eval())
    [2. 3.]
    """
    return csm_properties(csm)[0]


def csm_indices(csm: Any) -> Any:
    """Return the columns (csc: rows) of the stored elements, as an int32 vector.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.csm_indices(x).eval())
    [1 0]
    """
    return csm_properties(csm)[1]


def csm_indptr(csm: Any) -> Any:
    """Return where in the data each row (csc: column) begins, and where the last ends, as an int32 vector.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.csm_indptr(x).eval())
    [0 1 2]
    """
    return csm_properties(csm)[2]


def csm_shape(csm: Any) -> Any:
    """Return the sizes of a sparse matrix, as an int32 vector.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.csm_shape(x).eval())
    [2 2]
    """
    return csm_properties(csm)[3]


def CSR(data: Any, indices: Any, indptr: Any, shape: Any) -> Any:
    """Return the csr matrix of its parts.

    Parameters
    ----------
    data : vector
        The stored elements, row by row.
    indices : integer vector
        The column of each.
    indptr : integer vector
        Where each row begins, and where the last ends.
    shape : integer vector of two sizes

    Notes
    -----
    Keeps the behaviour of Theano's ``sparse.CSR``: the gradient goes to `data`.

    Examples
    --------
    >>> import symgrad.sparse as S, symgrad.tensor as T
    >>> data = T.dvector('data')
    >>> x = S.CSR(data, [1, 0], [0, 1, 2], (2, 2))
    >>> print(x.toarray().eval({data: [5., 7.]}))
    [[0. 5.]
     [7. 0.]]
    """
    return _from_parts("csr", data, indices, indptr, shape)


def CSC(data: Any, indices: Any, indptr: Any, shape: Any) -> Any:
    """Return the csc matrix of its parts: as `CSR`, with rows and columns exchanged.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> print(S.CSC([5., 6.], [0, 1], [0, 1, 2], [2, 2]).eval().toarray())
    [[5. 0.]
     [0. 6.]]
    """
    return _from_parts("csc", data, indices, indptr, shape)


def _from_parts(format: str, *parts: Any) -> Any:
    from symgrad.ops.promotion import as_operand

    return FromParts(format)(*[as_operand(part) for part in parts])


def with_data(x: Any, data: Any) -> Any:
    """Return a csr or csc matrix with other data in the same places."""
    return FromParts(x.type.format)(data, *Parts()(x)[1:])


def mapped(x: Any, function: Any) -> Any:
    """Return a sparse matrix with a function applied to its stored elements."""
    x = _by_lines(x)
    data, *places = Parts()(x)
    return FromParts(x.type.format)(function(data), *places)


def by_lines(x: Any) -> Any:
    """Return `x` as a variable of format csr or csc."""
    return _by_lines(x)


__all__ = [
    "CSC", "CSR", "csm_data", "csm_indices", "csm_indptr", "csm_properties", "csm_shape",
]  # fmt: skip
