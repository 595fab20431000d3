"""What the ops of linear algebra share: checks of matrices and stacks of them, and pieces of their derivatives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, LinearAlgebraError, ShapeError
from symgrad.graph.op import InferenceError
from symgrad.graph.types import TensorType
from symgrad.ops.axes import dimshuffle, swapaxes
from symgrad.ops.casting import cast
from symgrad.ops.comparison import eq
from symgrad.ops.complex_numbers import conj, real
from symgrad.ops.creation import arange, eye
from symgrad.ops.diagonals import diagonal, tril, triu
from symgrad.ops.elementwise import switch
from symgrad.ops.elementwise_op import broadcast_shapes
from symgrad.ops.promotion import is_complex
from symgrad.ops.sizes import size_of

DTYPES = ("float32", "float64", "complex64", "complex128")
"""What LAPACK computes in."""


# ---- checks ----


def check_matrices(name: str, x: Any, square: bool = True) -> None:
    """Raise unless `x` is a matrix, or a stack of matrices in its last two axes, of a dtype that LAPACK takes."""
    if x.type.ndim < 2:
        raise InferenceError(ShapeError, f"{name} takes matrices or stacks of them, got {x.type}")
    if x.type.dtype not in DTYPES:
        raise InferenceError(
            DTypeError, f"{name} takes {', '.join(DTYPES)}, got {x.type.dtype}", "Cast it with .astype('float32')."
        )
    rows, columns = x.type.shape[-2:]
    if square and None not in (rows, columns) and rows != columns:
        raise InferenceError(ShapeError, f"{name} needs square matrices, got {rows} rows and {columns} columns")


def square_shape(kind: TensorType) -> tuple[list[int | None], list[bool]]:
    """Return sizes and broadcast pattern of square matrices, of whose last two sizes one may be unknown."""
    rows, columns = kind.shape[-2:]
    size = columns if rows is None else rows
    ones = kind.broadcastable[-2] and kind.broadcastable[-1]
    return [*kind.shape[:-2], size, size], [*kind.broadcastable[:-2], ones, ones]


def broadcast_stacks(name: str, *operands: Any) -> tuple[Sequence[int | None], Sequence[bool]]:
    """Return sizes and pattern of the leading axes of several stacks of matrices, which broadcast."""
    stacks = [TensorType(v.type.dtype, v.type.shape[:-2], v.type.broadcastable[:-2]) for v in operands]
    return broadcast_shapes(name, stacks)


def check_square_values(name: str, x: np.ndarray) -> None:
    """Raise unless the matrices are square."""
    if x.shape[-2] != x.shape[-1]:
        raise ShapeError(f"{name} needs square matrices, got {x.shape[-2]} rows and {x.shape[-1]} columns")


@contextmanager
def explained(headline: str) -> Iterator[None]:
    """Run NumPy's linear algebra without its warnings; what LAPACK can't do becomes an error in our words."""
    try:
        with np.errstate(all="ignore"):
            yield
    except np.linalg.LinAlgError as error:
        raise LinearAlgebraError(f"{headline} ({str(error).rstrip('.')})") from None


# ---- expressions ----


def transposed(x: Any) -> Any:
    """Return the matrices of a stack transposed."""
    return swapaxes(x, -1, -2)


def adjoint(x: Any) -> Any:
    """Return the matrices of a stack transposed, and conjugated if they are complex."""
    return conj(transposed(x))


def like(x: Any, model: Any) -> Any:
    """Return `x` in the dtype of `model`: its real part, if that is real."""
    return cast(x if is_complex(model.type.dtype) else real(x), model.type.dtype)


def matrix_size(x: Any, axis: int) -> Any:
    """Return a size of the matrices of a stack; `axis` is -2 for rows or -1 for columns."""
    return size_of(x, x.type.ndim + axis)


def identity_of(x: Any) -> Any:
    """Return the identity with as many rows as the matrices of a stack, in their dtype."""
    return eye(matrix_size(x, -2), dtype=x.type.dtype)


def lower_part(x: Any, below: int = 0) -> Any:
    """Return the matrices with zeros above the diagonal; `below` diagonals down from it."""
    return tril(x, -below)


def upper_part(x: Any, above: int = 0) -> Any:
    """Return the matrices with zeros below the diagonal; `above` diagonals up from it."""
    return triu(x, above)


def on_diagonal(x: Any, yes: Any, no: Any) -> Any:
    """Return `yes` on the diagonals of matrices like `x`, and `no` elsewhere."""
    rows, columns = arange(matrix_size(x, -2)), arange(matrix_size(x, -1))
    return switch(eq(dimshuffle(rows, 0, "x"), dimshuffle(columns, "x", 0)), yes, no)


def diagonal_of(x: Any) -> Any:
    """Return the diagonals of matrices as vectors in the last axis."""
    return diagonal(x, 0, -2, -1)


def diagonal_matrix(x: Any) -> Any:
    """Return square matrices with the vectors of the last axis on their diagonals."""
    columns = as_row(x)
    return columns * eye(size_of(x, x.type.ndim - 1), dtype=x.type.dtype)


def as_row(x: Any) -> Any:
    """Return vectors of the last axis as rows, which scale the columns of matrices."""
    return dimshuffle(x, *range(x.type.ndim - 1), "x", x.type.ndim - 1)


def as_column(x: Any) -> Any:
    """Return vectors of the last axis as columns, which scale the rows of matrices."""
    return dimshuffle(x, *range(x.type.ndim), "x")


def safe_reciprocal(x: Any) -> Any:
    """Return 1 / x, and 0 where x is 0."""
    is_zero = eq(x, 0)
    return switch(is_zero, 0, 1 / switch(is_zero, 1, x))


def from_triangle(x: Any) -> Any:
    """Return the symmetric (Hermitian) matrices whose lower triangles `x` has."""
    below = lower_part(x, 1)
    if is_complex(x.type.dtype):
        return on_diagonal(x, cast(real(x), x.type.dtype), below + adjoint(below))
    return lower_part(x) + adjoint(below)


def to_triangle(cotangent: Any) -> Any:
    """Pull a cotangent back through `from_triangle`: what both triangles get belongs to the lower one."""
    below = lower_part(cotangent, 1) + lower_part(adjoint(cotangent), 1)
    return on_diagonal(cotangent, cast(real(cotangent), cotangent.type.dtype), below)
