"""Sparse matrices as users hold them: variables with operators, constants, and shared variables."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.op import user_error
from symgrad.graph.types import NUMPY_DTYPES, TensorType
from symgrad.graph.variables import Constant, SharedVariable, Variable
from symgrad.ops.sizes import MakeVector
from symgrad.sparse.types import FORMATS, SparseType
from symgrad.tensor.variable import shared_variables


class SparseOperators:
    """Operators and methods of sparse matrices. Each stands for a function of `symgrad.sparse`."""

    __slots__ = ()
    __array_priority__ = 2000
    __array_ufunc__ = None

    type: Any
    ndim = 2

    # ---- what is known about it ----

    @property
    def dtype(self) -> str:
        """Element type, such as ``'float32'``."""
        return str(self.type.dtype)

    @property
    def format(self) -> str:
        """``'csr'``, ``'csc'`` or ``'bsr'``."""
        return str(self.type.format)

    @property
    def broadcastable(self) -> tuple[bool, bool]:
        """No axis of a sparse matrix stretches."""
        return False, False

    @property
    def shape(self) -> Any:
        """The sizes, as an int64 vector; ``x.shape[0]`` is a scalar."""
        from symgrad.sparse.parts import SparseSize

        this: Any = self
        return MakeVector("int64")(SparseSize(0)(this), SparseSize(1)(this))

    @property
    def size(self) -> Any:
        """The number of elements, as an int64 scalar, those included that aren't stored."""
        shape = self.shape
        return shape[0] * shape[1]

    # ---- operators ----

    def __neg__(self) -> Any:
        return _functions().neg(self)

    def __abs__(self) -> Any:
        return _functions().structured_abs(self)

    def __add__(self, other: Any) -> Any:
        return _functions().add(self, other)

    def __radd__(self, other: Any) -> Any:
        return _functions().add(other, self)

    def __sub__(self, other: Any) -> Any:
        return _functions().sub(self, other)

    def __rsub__(self, other: Any) -> Any:
        return _functions().sub(other, self)

    def __mul__(self, other: Any) -> Any:
        return _functions().mul(self, other)

    def __rmul__(self, other: Any) -> Any:
        return _functions().mul(other, self)

    def __truediv__(self, other: Any) -> Any:
        return _functions().div(self, other)

    def __matmul__(self, other: Any) -> Any:
        return _functions().dot(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _functions().dot(other, self)

    def __lt__(self, other: Any) -> Any:
        return _functions().lt(self, other)

    def __le__(self, other: Any) -> Any:
        return _functions().le(self, other)

    def __gt__(self, other: Any) -> Any:
        return _functions().gt(self, other)

    def __ge__(self, other: Any) -> Any:
        return _functions().ge(self, other)

    def __bool__(self) -> bool:
        raise TypeError("Variables do not support boolean operations. The value isn't known while the graph is built.")

    def __getitem__(self, key: Any) -> Any:
        return _functions().get_item(self, key)

    def __len__(self) -> int:
        raise TypeError(f"len() of {self.type} isn't known while the graph is built: use x.shape[0]")

    def __iter__(self) -> Any:
        raise TypeError(f"{self.type} can't be iterated over: its sizes aren't known while the graph is built")

    def product(self, left: Any, right: Any) -> Any:
        """Return the product of two matrices of which at least one is sparse: what `symgrad.tensor.dot` asks for."""
        return _functions().dot(left, right)

    def elementwise(self, name: str, operands: Any) -> Any:
        """Return what an elementwise function means for sparse matrices: what `symgrad.tensor` asks for."""
        from symgrad.sparse.elementwise import ELEMENTWISE

        function = ELEMENTWISE.get(name)
        if function is None:
            raise user_error(
                DTypeError, f"{name} doesn't keep zeros, so it isn't defined for sparse matrices", operands,
                f"Take symgrad.sparse.structured_{name} if there is one, or make the matrix dense.",
            )  # fmt: skip
        return function(*operands)

    # ---- methods ----

    @property
    def T(self) -> Any:
        """The transpose."""
        return _functions().transpose(self)

    def transpose(self) -> Any:
        """`symgrad.sparse.transpose`."""
        return _functions().transpose(self)

    def dot(self, other: Any) -> Any:
        """`symgrad.sparse.structured_dot`."""
        return _functions().structured_dot(self, other)

    def sum(self, axis: int | None = None, sparse_grad: bool = False) -> Any:
        """`symgrad.sparse.sp_sum`."""
        return _functions().sp_sum(self, axis, sparse_grad)

    def astype(self, dtype: str) -> Any:
        """`symgrad.sparse.cast`."""
        return _functions().cast(self, dtype)

    def toarray(self) -> Any:
        """`symgrad.sparse.dense_from_sparse`."""
        return _functions().dense_from_sparse(self)

    todense = toarray

    def asformat(self, format: str) -> Any:
        """`symgrad.sparse.as_format`."""
        return _functions().as_format(self, format)

    def diagonal(self) -> Any:
        """`symgrad.sparse.diag`."""
        return _functions().diag(self)

    def conj(self) -> Any:
        """`symgrad.sparse.conj`."""
        return _functions().conj(self)

    def zeros_like(self, dtype: str | None = None) -> Any:
        """`symgrad.sparse.sp_zeros_like`."""
        zeros = _functions().sp_zeros_like(self)
        return zeros if dtype is None else _functions().cast(zeros, dtype)

    def ones_like(self, dtype: str | None = None) -> Any:
        """`symgrad.sparse.sp_ones_like`."""
        ones = _functions().sp_ones_like(self)
        return ones if dtype is None else _functions().cast(ones, dtype)

    def eval(self, inputs_to_values: dict[Any, Any] | None = None) -> Any:
        """Compile and compute this variable; `inputs_to_values` gives each input that it depends on a value."""
        from symgrad.tensor.variable import TensorVariable

        return TensorVariable.eval(self, inputs_to_values)  # type: ignore[arg-type]


def _functions() -> Any:
    """Return the functions of `symgrad.sparse`, which this module can't import while it is being imported."""
    import symgrad.sparse.functions

    return symgrad.sparse.functions


class SparseVariable(SparseOperators, Variable):  # type: ignore[misc]
    """A symbolic sparse matrix."""

    __slots__ = ("__dict__",)  # programs and libraries put attributes of their own on variables


class SparseConstant(SparseOperators, Constant):  # type: ignore[misc]
    """A sparse matrix whose value is part of the graph."""

    __slots__ = ("__dict__",)  # programs and libraries put attributes of their own on variables

    @property
    def value(self) -> Any:
        """The value."""
        return self.data

    def __str__(self) -> str:
        return self.name if self.name is not None else f"<constant {self.type}>"


class SparseSharedVariable(SparseOperators, SharedVariable):  # type: ignore[misc]
    """A sparse matrix that keeps its value between calls of compiled functions."""

    __slots__ = ("__dict__",)  # programs and libraries put attributes of their own on variables

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Any:
        """Return the value: a copy, or with `borrow` the storage itself, which later calls may change."""
        value: Any = self.container.value
        return value if borrow else value.copy()

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Replace the value by a matrix of this variable's dtype; another format is converted.

        Raises
        ------
        DTypeError, ShapeError
            If the value doesn't fit; the old value stays.
        """
        try:
            value = self.type.convert(new_value)
        except (DTypeError, ShapeError) as error:
            raise type(error)(f"{self} can't be set: {error}") from None
        self.container.value = value if borrow or value is not new_value else value.copy()


# ---- how users make them ----


def is_sparse_value(value: Any) -> bool:
    """Whether `value` is a matrix of `scipy.sparse`."""
    return hasattr(value, "tocsr") and not isinstance(value, Variable)


def _type_of(value: Any) -> SparseType:
    if value.dtype.name not in NUMPY_DTYPES:
        raise user_error(DTypeError, f"a sparse matrix of {value.dtype} can't be used")
    return SparseType(value.format if value.format in FORMATS else "csr", value.dtype)


def matrix(format: str, name: str | None = None, dtype: str | None = None) -> Any:
    """Return a symbolic sparse matrix.

    Parameters
    ----------
    format : {'csr', 'csc', 'bsr'}
        How elements are kept.
    name : str, optional
        A name for people.
    dtype : str, optional
        By default ``floatX``.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> x = S.matrix('csr', 'x', 'float32')
    >>> print(x, x.type)
    x sparse csr float32
    """
    return SparseType(format, dtype or "floatX")(name)


def csr_matrix(name: str | None = None, dtype: str | None = None) -> Any:
    """Return a symbolic sparse matrix kept by rows; `dtype` is ``floatX``.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> S.csr_matrix('x').format
    'csr'
    """
    return matrix("csr", name, dtype)


def csc_matrix(name: str | None = None, dtype: str | None = None) -> Any:
    """Return a symbolic sparse matrix kept by columns; `dtype` is ``floatX``.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> S.csc_matrix('x').format
    'csc'
    """
    return matrix("csc", name, dtype)


def bsr_matrix(name: str | None = None, dtype: str | None = None) -> Any:
    """Return a symbolic sparse matrix kept in blocks; `dtype` is ``floatX``.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> S.bsr_matrix('x').format
    'bsr'
    """
    return matrix("bsr", name, dtype)


def constant(x: Any, name: str | None = None) -> Any:
    """Return a sparse constant of the value of a matrix of `scipy.sparse`.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> S.constant(scipy.sparse.csr_matrix([[0., 2.]])).format
    'csr'
    """
    if not is_sparse_value(x):
        raise user_error(DTypeError, f"constant takes a matrix of scipy.sparse, got {type(x).__name__}")
    kind = _type_of(x)
    value = kind.convert(x)
    return SparseConstant(kind, value.copy() if value is x else value, name)


def as_sparse_variable(x: Any, name: str | None = None) -> Any:
    """Return `x` as a sparse variable: a variable as it is, a matrix of `scipy.sparse` as a constant.

    Raises
    ------
    DTypeError
        If it is dense: `csr_from_dense` makes it sparse.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> S.as_sparse_variable(scipy.sparse.csr_matrix([[0., 2.]])).dtype
    'float64'
    """
    if isinstance(x, Variable) and isinstance(x.type, SparseType):
        return x
    if is_sparse_value(x):
        return constant(x, name)
    operands = [x] if isinstance(x, Variable) else []
    raise user_error(DTypeError, f"expected a sparse matrix, got {x if operands else type(x).__name__}", operands,
                     "Make it sparse with symgrad.sparse.csr_from_dense.")  # fmt: skip


def as_sparse_or_tensor_variable(x: Any, name: str | None = None) -> Any:
    """Return `x` as a variable: matrices of `scipy.sparse` as sparse constants, anything else as a tensor.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> S.as_sparse_or_tensor_variable([1, 2]).ndim
    1
    """
    from symgrad.ops.promotion import as_operand

    return as_sparse_variable(x, name) if is_sparse(x) else as_operand(x, (), name)


def is_sparse(x: Any) -> bool:
    """Whether `x` is a sparse variable, or a matrix of `scipy.sparse`.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> S.is_sparse(S.csr_matrix())
    True
    """
    return is_sparse_value(x) or (isinstance(x, Variable) and isinstance(x.type, SparseType))


def is_dense(x: Any) -> bool:
    """Whether `x` is a tensor variable, or an array.

    Examples
    --------
    >>> import symgrad.sparse as S
    >>> S.is_dense(S.csr_matrix())
    False
    """
    return isinstance(x, np.ndarray) or (isinstance(x, Variable) and isinstance(x.type, TensorType))


def shared(
    value: Any,
    name: str | None = None,
    strict: bool = False,
    allow_downcast: bool | None = None,
    borrow: bool = False,
    format: str | None = None,
) -> SparseSharedVariable:
    """Return a shared variable that holds a sparse matrix; `symgrad.shared` does so too.

    Parameters
    ----------
    value : matrix of scipy.sparse
        First value; its dtype and format become the variable's.
    name : str, optional
        A name for people.
    strict, allow_downcast : bool
        Accepted for Theano's sake.
    borrow : bool
        Whether the matrix itself may become the storage, without a copy.
    format : {'csr', 'csc', 'bsr'}, optional
        Another format.

    Examples
    --------
    >>> import scipy.sparse, symgrad.sparse as S
    >>> weights = S.shared(scipy.sparse.csr_matrix([[0., 2.], [0., 0.]]), 'weights')
    >>> print(S.sp_sum(weights).eval())
    2.0
    """
    if not is_sparse_value(value):
        raise TypeError(f"shared takes a matrix of scipy.sparse here, got {type(value).__name__}: use symgrad.shared")
    found = _type_of(value)
    kind = SparseType(format or found.format, found.dtype)
    stored = kind.convert(value)
    return SparseSharedVariable(kind, stored if borrow or stored is not value else stored.copy(), name)


shared_variables.append((is_sparse_value, shared))

_LETTERS = {
    "b": "int8", "w": "int16", "i": "int32", "l": "int64", "f": "float32", "d": "float64", "c": "complex64",
    "z": "complex128",
}  # fmt: skip


class _Constructor:
    """Makes sparse variables of one type: ``csr_dmatrix('x')``."""

    def __init__(self, format: str, letter: str) -> None:
        self.type = SparseType(format, _LETTERS[letter])
        self.__name__ = f"{format}_{letter}matrix"
        self.__doc__ = f"Return a symbolic {format} matrix of {self.type.dtype}."

    def __call__(self, name: str | None = None) -> Any:
        return self.type(name)


CONSTRUCTORS = {f"{format}_{letter}matrix": _Constructor(format, letter) for format in FORMATS for letter in _LETTERS}


__all__ = [
    "SparseConstant", "SparseSharedVariable", "SparseVariable", "as_sparse_or_tensor_variable",
    "as_sparse_variable", "bsr_matrix", "constant", "csc_matrix", "csr_matrix", "is_dense", "is_sparse", "matrix",
    "shared",
]  # fmt: skip
