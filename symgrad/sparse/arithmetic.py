"""Sums and products element by element, scaled rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.op import InferenceError, user_error
from symgrad.ops.promotion import as_operand
from symgrad.sparse.conversion import as_format, dense_from_sparse
from symgrad.sparse.parts import (
    Positions,
    SparseOp,
    ValuesAt,
    by_lines,
    check_sparse,
    csm_data,
    mapped,
    unless_discrete,
    with_data,
)
from symgrad.sparse.products import in_one_dtype
from symgrad.sparse.types import SparseType
from symgrad.sparse.variables import as_sparse_variable, is_sparse


@dataclass(frozen=True)
class AddSparse(SparseOp):
    """The sum of two sparse matrices of one format."""

    @property
    def name(self) -> str:
        return "add_s_s"

    def infer(self, x: Any, y: Any) -> list[SparseType]:
        check_sparse(self.name, x)
        check_sparse(self.name, y)
        if x.type != y.type:
            raise InferenceError(DTypeError, f"{self.name} takes matrices of one type, got {x.type} and {y.type}")
        return [x.type]

    def evaluate(self, x: Any, y: Any) -> list[Any]:
        if x.shape != y.shape:
            raise ShapeError(f"add got sparse matrices of the sizes {x.shape} and {y.shape}")
        return [(x + y).asformat(x.format)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [unless_discrete(variable, cotangents[0]) for variable in inputs]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The sum of the tangents."""
        terms = [tangent for tangent in tangents if tangent is not None]
        return [sum(terms[1:], terms[0]) if terms else None]


def none_sparse(name: str, *operands: Any) -> Exception:
    """Return the error for a function of sparse matrices that got none."""
    dense = [as_operand(operand) for operand in operands]
    return user_error(DTypeError, f"{name} takes at least one sparse matrix here", dense,
                      "Use the function of symgrad.tensor.")  # fmt: skip


def _dense_vector(name: str, s: Any, kinds: tuple[int, ...] = (1,)) -> Any:
    s = as_operand(s)
    if s.type.ndim not in kinds:
        raise user_error(ShapeError, f"{name} takes a vector, got {s.type}", [s])
    return s


# ---- sums ----


def add(x: Any, y: Any) -> Any:
    """Return the sum of two matrices of which at least one is sparse: sparse if both are, else dense.

    The number 0 changes nothing: ``sum([x, y])`` of sparse matrices is sparse.

    Notes
    -----
    Keeps the behaviour of Theano's ``sparse.add``.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> x = S.csr_matrix('x')
    >>> (x + x).type, (x + 1).type
    (SparseType('csr', 'float32'), TensorType('float32', (None, None)))
    """
    if is_sparse(x) and is_sparse(y):
        return add_s_s(x, y)
    if not is_sparse(x) and not is_sparse(y):
        raise none_sparse("add", x, y)
    if _is_zero(x) or _is_zero(y):
        return as_sparse_variable(y if _is_zero(x) else x)
    return add_s_d(x, y) if is_sparse(x) else as_operand(x) + dense_from_sparse(y)


def _is_zero(x: Any) -> bool:
    """Whether `x` is the number 0, with which Python's own ``sum`` begins."""
    return isinstance(x, int | float) and x == 0


def add_s_s(x: Any, y: Any) -> Any:
    """Return the sum of two sparse matrices, in the format of the first.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.add_s_s(x, x).eval().toarray())
    [[0. 4.]
     [6. 0.]]
    """
    x, y = in_one_dtype(as_sparse_variable(x), as_sparse_variable(y))
    return AddSparse()(x, as_format(y, x.type.format))


def add_s_d(x: Any, y: Any) -> Any:
    """Return the sum of a sparse and a dense matrix, dense.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.add_s_d(x, [[1., 1.], [1., 1.]]).eval())
    [[1. 3.]
     [4. 1.]]
    """
    dense = dense_from_sparse(x)
    return dense + y


def add_s_s_data(x: Any, y: Any) -> Any:
    """Return the sum of two sparse matrices that have their elements in the same places.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.add_s_s_data(x, x).eval().toarray())
    [[0. 4.]
     [6. 0.]]
    """
    x, y = in_one_dtype(x, y)
    return with_data(by_lines(x), csm_data(x) + csm_data(y))


def structured_add_s_v(x: Any, y: Any) -> Any:
    """Return a sparse matrix with a row vector added to each row, where there are elements.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.structured_add_s_v(x, [10., 20.]).eval().toarray())
    [[ 0. 22.]
     [13.  0.]]
    """
    x, y = by_lines(x), _dense_vector("structured_add_s_v", y)
    _, columns = Positions()(x)
    return with_data(x, csm_data(x) + y[columns])


def sub(x: Any, y: Any) -> Any:
    """Return the difference of two matrices of which at least one is sparse: sparse if both are, else dense.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.sub(x, x).eval().toarray())
    [[0. 0.]
     [0. 0.]]
    """
    if is_sparse(x) and is_sparse(y):
        x, y = in_one_dtype(x, y)
        return add_s_s(x, neg(y))
    if not is_sparse(x) and not is_sparse(y):
        raise none_sparse("sub", x, y)
    return dense_from_sparse(x) - y if is_sparse(x) else as_operand(x) - dense_from_sparse(y)


def neg(x: Any) -> Any:
    """Return a sparse matrix with the other sign.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.neg(x).eval().toarray())
    [[ 0. -2.]
     [-3.  0.]]
    """
    return mapped(x, _negative)


def _negative(data: Any) -> Any:
    return -data


# ---- products of elements ----


def mul(x: Any, y: Any) -> Any:
    """Return the elementwise product of two operands of which at least one is sparse; it is sparse.

    Parameters
    ----------
    x, y : sparse matrix, dense matrix, row vector or scalar
        A vector scales the columns, as in NumPy's broadcasting.

    Notes
    -----
    Keeps the behaviour of Theano's ``sparse.mul``.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.mul(x, 10.).eval().toarray())
    [[ 0. 20.]
     [30.  0.]]
    """
    if is_sparse(x) and is_sparse(y):
        return mul_s_s(x, y)
    if not is_sparse(x) and not is_sparse(y):
        raise none_sparse("mul", x, y)
    return mul_s_d(x, y) if is_sparse(x) else mul_s_d(y, x)


def mul_s_s(x: Any, y: Any) -> Any:
    """Return the elementwise product of two sparse matrices: the elements of the first times those of the second.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.mul_s_s(x, x).eval().toarray())
    [[0. 4.]
     [9. 0.]]
    """
    x, y = in_one_dtype(by_lines(x), by_lines(y))
    return with_data(x, csm_data(x) * ValuesAt()(y, x))


def mul_s_d(x: Any, y: Any) -> Any:
    """Return the elementwise product of a sparse matrix with a dense matrix, row vector or scalar; it is sparse.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.mul_s_d(x, [[1., 2.], [3., 4.]]).eval().toarray())
    [[0. 4.]
     [9. 0.]]
    """
    x = by_lines(x)
    y = adapted(y, x)
    if y.type.ndim == 0:
        return with_data(x, csm_data(x) * y)
    if y.type.ndim == 1:
        return mul_s_v(x, y)
    if y.type.ndim != 2:
        raise user_error(ShapeError, f"a sparse matrix can't be multiplied with {y.type}", [x, y])
    rows, columns = Positions()(x)
    row_ones, column_ones = y.type.broadcastable
    if row_ones or column_ones:
        part = y[0][columns] if row_ones and not column_ones else y[:, 0][rows] if column_ones and not row_ones else y[
            0, 0]  # fmt: skip
        return with_data(x, csm_data(x) * part)
    return with_data(x, csm_data(x) * y[rows, columns])


def adapted(y: Any, x: Any) -> Any:
    """Return a dense operand; Python numbers adapt to the dtype of the sparse one."""
    return as_operand(y, [x.type.dtype])


def mul_s_v(x: Any, y: Any) -> Any:
    """Return a sparse matrix with each row multiplied by a row vector, element by element.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.mul_s_v(x, [1., 2.]).eval().toarray())
    [[0. 4.]
     [3. 0.]]
    """
    x, y = by_lines(x), _dense_vector("mul_s_v", y)
    _, columns = Positions()(x)
    return with_data(x, csm_data(x) * y[columns])


def div(x: Any, y: Any) -> Any:
    """Return the elements of a sparse matrix divided by those of a dense matrix, row vector or scalar; it is sparse.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.div(x, 2.).eval().toarray())
    [[0.  1. ]
     [1.5 0. ]]
    """
    if is_sparse(y):
        raise user_error(DTypeError, "a division by a sparse matrix divides by zeros", [y], "Make it dense first.")
    x = by_lines(x)
    return mul_s_d(x, 1 / adapted(y, x))


def col_scale(x: Any, s: Any) -> Any:
    """Return a sparse matrix with column i multiplied by ``s[i]``.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.col_scale(x, [1., 10.]).eval().toarray())
    [[ 0. 20.]
     [ 3.  0.]]
    """
    return mul_s_v(x, _dense_vector("col_scale", s))


def row_scale(x: Any, s: Any) -> Any:
    """Return a sparse matrix with row i multiplied by ``s[i]``.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.row_scale(x, [1., 10.]).eval().toarray())
    [[ 0.  2.]
     [30.  0.]]
    """
    x, s = by_lines(x), _dense_vector("row_scale", s)
    rows, _ = Positions()(x)
    return with_data(x, csm_data(x) * s[rows])


def sp_ones_like(x: Any) -> Any:
    """Return a sparse matrix of ones where `x` has elements.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.sp_ones_like(x).eval().toarray())
    [[0. 1.]
     [1. 0.]]
    """
    from symgrad.ops.creation import ones_like

    return mapped(x, ones_like)


def sp_zeros_like(x: Any) -> Any:
    """Return a sparse matrix of the sizes and type of `x`, without elements.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> x = scipy.sparse.csr_matrix([[0., 2.], [3., 0.]])
    >>> print(S.sp_zeros_like(x).eval().toarray())
    [[0. 0.]
     [0. 0.]]
    """
    from symgrad.ops.creation import zeros
    from symgrad.sparse.parts import FromParts, csm_shape

    x = as_sparse_variable(x)
    format = "csr" if x.type.format == "bsr" else x.type.format
    shape = csm_shape(x)
    lines = shape[0 if format == "csr" else 1]
    empty = FromParts(format)(zeros(0, x.type.dtype), zeros(0, "int32"), zeros(lines + 1, "int32"), shape)
    return as_format(empty, x.type.format)


__all__ = [
    "add", "add_s_d", "add_s_s", "add_s_s_data", "col_scale", "div", "mul", "mul_s_d", "mul_s_s", "mul_s_v", "neg",
    "row_scale", "sp_ones_like", "sp_zeros_like", "structured_add_s_v", "sub",
]  # fmt: skip
