"""Inverses, determinants, and equations with any matrix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, LinearAlgebraError, RangeError, ShapeError
from symgrad.graph.op import Op, Sample, register, user_error
from symgrad.graph.types import TensorType
from symgrad.ops.axes import checked_axis, transpose
from symgrad.ops.casting import as_floats
from symgrad.ops.linalg import matmul
from symgrad.ops.matrices import (
    adjoint,
    check_matrices,
    check_square_values,
    diagonal_of,
    explained,
    from_triangle,
    square_shape,
)
from symgrad.ops.promotion import as_operand, is_complex, listed
from symgrad.ops.sampling import spread
from symgrad.ops.shape import reshape, sum_to_type
from symgrad.ops.sizes import size_of, sizes_product
from symgrad.ops.stacks import OnStacks
from symgrad.ops.triangular import (
    as_equation,
    as_given,
    check_equation,
    cho_solve,
    cholesky,
    equation_samples,
    equation_type,
    solve_triangular,
    solved_change,
    well_conditioned,
)


@register
@dataclass(frozen=True)
class Inverse(OnStacks):
    """The inverse of each matrix of a stack."""

    @property
    def name(self) -> str:
        return "inv"

    def infer(self, x: Any) -> list[TensorType]:
        check_matrices("inv", x)
        return [TensorType(x.type.dtype, *square_shape(x.type))]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        check_square_values("inv", x)
        with explained("inv needs matrices that aren't singular"):
            return [np.linalg.inv(x)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        inverse = adjoint(outputs[0])
        return [-matmul(matmul(inverse, cotangents[0]), inverse)]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Minus the inverse times the tangent times the inverse."""
        if tangents[0] is None:
            return [None]
        return [-matmul(matmul(outputs[0], tangents[0]), outputs[0])]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for sample in square_samples():
            yield cls(), sample
        yield cls(), Sample((np.ones((2, 2)),), LinearAlgebraError)


def square_samples() -> Iterable[Sample]:
    """Return samples of the ops that take square matrices."""
    yield Sample((well_conditioned(3),))
    yield Sample((well_conditioned(2, 2, 1),))
    yield Sample((well_conditioned(1),))
    yield Sample((well_conditioned(2, dtype="float32"),))
    yield Sample((well_conditioned(2, dtype="complex128"),))
    yield Sample((well_conditioned(2, dtype="complex64"),))
    yield Sample((np.zeros((0, 0)),))
    yield Sample((np.zeros((0, 2, 2)),))
    yield Sample((spread(2, 3),), ShapeError)
    yield Sample((spread(2),), ShapeError)
    yield Sample((spread(2, 2, dtype="int32"),), DTypeError)


@register
@dataclass(frozen=True)
class Solve(OnStacks):
    """The solution X of ``A @ X = B``; leading axes broadcast."""

    @property
    def name(self) -> str:
        return "solve"

    def infer(self, a: Any, b: Any) -> list[TensorType]:
        return [equation_type("solve", a, b)]

    def evaluate(self, a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
        check_equation("solve", a, b)
        with explained("solve needs matrices that aren't singular"):
            return [np.linalg.solve(a, b)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        a, b = inputs
        pulled = self(adjoint(a), cotangents[0])
        return [sum_to_type(-matmul(pulled, adjoint(outputs[0])), a), sum_to_type(pulled, b)]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Solve for ``dB - dA @ X``."""
        da, db = tangents
        change = None if da is None else -matmul(da, outputs[0])
        return [solved_change(self, inputs, outputs, change, db)]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(), Sample((well_conditioned(3), spread(3, 2)))
        yield from ((cls(), sample) for sample in equation_samples())
        yield cls(), Sample((np.ones((2, 2)), spread(2, 1)), LinearAlgebraError)


# ---- what users call ----


def inv(a: Any) -> Any:
    """Return the inverse of each matrix of a stack, as `numpy.linalg.inv`.

    Parameters
    ----------
    a : tensor of shape (..., n, n)
        Integers become floats.

    Raises
    ------
    LinearAlgebraError
        When the compiled function is called, if a matrix is singular.

    Notes
    -----
    Keeps the behaviour of Theano's ``nlinalg.matrix_inverse``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a = T.dmatrix('a')
    >>> print(T.linalg.inv(a).eval({a: [[2., 0.], [0., 4.]]}))
    [[0.5  0.  ]
     [0.   0.25]]
    """
    return Inverse()(as_floats(a))


def matrix_inverse(a: Any) -> Any:
    """Return the inverse of each matrix of a stack: Theano's name of `inv`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.linalg.matrix_inverse([[2., 0.], [0., 4.]]).eval())
    [[0.5  0.  ]
     [0.   0.25]]
    """
    return inv(a)


ASSUMPTIONS = ("gen", "sym", "her", "pos", "lower_triangular", "upper_triangular", "diagonal")


def solve(a: Any, b: Any, assume_a: str = "gen", lower: bool = False) -> Any:
    """Return the solution x of ``a @ x = b``.

    Parameters
    ----------
    a : tensor of shape (..., n, n)
        Integers become floats.
    b : tensor of shape (n,) or (..., n, k)
        The right-hand sides; leading axes broadcast.
    assume_a : {'gen', 'sym', 'her', 'pos', 'lower_triangular', 'upper_triangular', 'diagonal'}
        What is known about `a`: nothing, symmetric, Hermitian, positive definite, or which elements aren't zero. The
        others aren't read, and get no gradient.
    lower : bool
        Which triangle of a symmetric `a` is read.

    Raises
    ------
    LinearAlgebraError
        When the compiled function is called, if a matrix is singular, or not positive definite.

    Notes
    -----
    Keeps the behaviour of Theano's ``slinalg.Solve``; of stacks as `numpy.linalg.solve`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a, b = T.dmatrix('a'), T.dvector('b')
    >>> print(T.linalg.solve(a, b).eval({a: [[3., 1.], [1., 2.]], b: [9., 8.]}))
    [2. 3.]
    """
    if assume_a not in ASSUMPTIONS:
        raise user_error(RangeError, f"assume_a is one of {', '.join(ASSUMPTIONS)}, got {assume_a!r}")
    if assume_a.endswith("triangular"):
        return solve_triangular(a, b, lower=assume_a == "lower_triangular")
    a, b, is_vector = as_equation("solve", a, b)
    if assume_a == "pos":
        return as_given(cho_solve((cholesky(a, lower), lower), b), is_vector)
    if assume_a == "diagonal":
        return as_given(b / diagonal_of(a).dimshuffle(*range(a.type.ndim - 1), "x"), is_vector)
    if assume_a == "her" or (assume_a == "sym" and not is_complex(a.type.dtype)):
        a = from_triangle(a if lower else adjoint(a))
    return as_given(Solve()(a, b), is_vector)


def solve_symmetric(a: Any, b: Any) -> Any:
    """Return the solution of ``a @ x = b`` for symmetric `a` (Theano's name).

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.linalg.solve_symmetric([[2., 0.], [0., 4.]], [2., 2.]).eval())
    [1.  0.5]
    """
    return solve(a, b)


def tensorinv(a: Any, ind: int = 2) -> Any:
    """Return the inverse of `a` for `tensordot` over its last axes, as `numpy.linalg.tensorinv`.

    Parameters
    ----------
    a : tensor
        The product of its first `ind` sizes equals that of the others.
    ind : int
        How many axes are the rows.

    Returns
    -------
    tensor of shape ``a.shape[ind:] + a.shape[:ind]``

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.linalg.tensorinv([[2., 0.], [0., 4.]], ind=1).eval())
    [[0.5  0.  ]
     [0.   0.25]]
    """
    a = as_operand(a)
    if not isinstance(ind, int) or not ind > 0:
        raise user_error(RangeError, f"tensorinv needs ind above 0, got {ind!r}", [a])
    sizes = [size_of(a, axis) for axis in range(a.type.ndim)]
    rows, columns = sizes[:ind], sizes[ind:]
    matrix = reshape(a, [sizes_product(rows), sizes_product(columns)])
    return reshape(inv(matrix), [*columns, *rows])


def tensorsolve(a: Any, b: Any, axes: Sequence[int] | None = None) -> Any:
    """Return x with ``tensordot(a, x, x.ndim) = b``, as `numpy.linalg.tensorsolve`.

    Parameters
    ----------
    a : tensor of shape ``b.shape + x.shape``
        The coefficients.
    b : tensor
        The right-hand side.
    axes : sequence of int, optional
        Axes of `a` that are moved to its end first.

    Returns
    -------
    tensor

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.linalg.tensorsolve([[2., 0.], [0., 4.]], [2., 2.]).eval())
    [1.  0.5]
    """
    a, b = as_operand(a), as_operand(b)
    if axes is not None:
        moved = [checked_axis(axis, a, "tensorsolve") for axis in listed(axes, "tensorsolve", "axes")]
        a = transpose(a, *[axis for axis in range(a.type.ndim) if axis not in moved], *moved)
    unknown = [size_of(a, axis) for axis in range(b.type.ndim, a.type.ndim)]
    given = [size_of(b, axis) for axis in range(b.type.ndim)]
    matrix = reshape(a, [sizes_product(given), sizes_product(unknown)])
    return reshape(solve(matrix, reshape(b, [sizes_product(given)])), unknown)


__all__ = [
    "inv", "matrix_inverse", "solve", "solve_symmetric", "tensorinv", "tensorsolve",
]  # fmt: skip
