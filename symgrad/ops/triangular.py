"""Triangular matrices: Cholesky's decomposition, and equations with a triangular matrix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, LinearAlgebraError, RangeError, ShapeError
from symgrad.graph.op import InferenceError, Op, Sample, register, user_error
from symgrad.graph.types import TensorType
from symgrad.ops.casting import as_floats, cast_operands
from symgrad.ops.linalg import matmul
from symgrad.ops.matrices import (
    adjoint,
    broadcast_stacks,
    check_matrices,
    check_square_values,
    explained,
    from_triangle,
    lower_part,
    on_diagonal,
    square_shape,
    to_triangle,
    transposed,
    upper_part,
)
from symgrad.ops.promotion import as_operands, upcast
from symgrad.ops.sampling import spread
from symgrad.ops.shape import sum_to_type
from symgrad.ops.stacks import OnStacks

ON_ERROR = ("raise", "nan")


@register
@dataclass(frozen=True)
class Cholesky(OnStacks):
    """The lower triangular L with ``L @ L.T`` equal to a positive definite matrix, whose lower triangle is read.

    Parameters
    ----------
    on_error : {'raise', 'nan'}
        What becomes of a matrix that isn't positive definite.
    """

    on_error: str = "raise"

    @property
    def name(self) -> str:
        return "cholesky"

    def infer(self, x: Any) -> list[TensorType]:
        check_matrices("cholesky", x)
        return [TensorType(x.type.dtype, *square_shape(x.type))]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        check_square_values("cholesky", x)
        with explained("cholesky needs positive definite matrices"):
            if self.on_error == "raise":
                return [np.linalg.cholesky(x)]
            try:
                return [np.linalg.cholesky(x)]
            except np.linalg.LinAlgError:
                return [_cholesky_or_nan(x)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (lower,), (cotangent,) = outputs, cotangents
        middle = _lower_half(matmul(adjoint(lower), cotangent))
        left = triangular(adjoint(lower), middle, lower=False)
        right = adjoint(triangular(adjoint(lower), adjoint(left), lower=False))
        return [to_triangle((right + adjoint(right)) / 2)]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The lower half of ``inv(L) @ dx @ inv(L).T``, times L."""
        if tangents[0] is None:
            return [None]
        (lower,) = outputs
        left = triangular(lower, from_triangle(tangents[0]), lower=True)
        both = adjoint(triangular(lower, adjoint(left), lower=True))
        return [matmul(lower, _lower_half(both))]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(), Sample((positive_definite(3),))
        yield cls(), Sample((positive_definite(2, 2, 2) + np.triu(spread(2, 2), 1),))
        yield cls(), Sample((positive_definite(1),))
        yield cls(), Sample((positive_definite(2, dtype="float32"),))
        yield cls(), Sample((positive_definite(3, dtype="complex128"),))
        yield cls(), Sample((np.zeros((0, 0)),))
        yield cls("nan"), Sample((np.stack([positive_definite(2), -positive_definite(2)]),), differentiable=False)
        yield cls("nan"), Sample((positive_definite(2),))
        yield cls(), Sample((-positive_definite(2),), LinearAlgebraError)
        yield cls(), Sample((spread(2, 3),), ShapeError)
        yield cls(), Sample((spread(2),), ShapeError)
        yield cls(), Sample((spread(2, 2, dtype="float16"),), DTypeError)


def positive_definite(size: int, *stack: int, dtype: str = "float64") -> np.ndarray:
    """Return positive definite matrices for samples."""
    x = spread(*stack, size, size, dtype=dtype)
    return np.asarray(x @ np.swapaxes(x, -1, -2).conj() + np.eye(size, dtype=dtype))


def well_conditioned(size: int, *stack: int, dtype: str = "float64", start: int = 0) -> np.ndarray:
    """Return matrices for samples that are far from singular, and have no symmetry."""
    x = spread(*stack, size, size, low=-0.5, high=0.5, dtype=dtype, start=start)
    return np.asarray(x + np.diag(np.arange(1, size + 1)).astype(dtype))


def _cholesky_or_nan(x: np.ndarray) -> np.ndarray:
    """Decompose each matrix of a stack; those that aren't positive definite become nan."""
    result = np.empty_like(x)
    for index in np.ndindex(*x.shape[:-2]):
        try:
            result[index] = np.linalg.cholesky(x[index])
        except np.linalg.LinAlgError:
            result[index] = np.nan
    return result


def _lower_half(x: Any) -> Any:
    """Return the lower triangle with half of the diagonal: half of a symmetric matrix."""
    return on_diagonal(x, x / 2, lower_part(x))


@register
@dataclass(frozen=True)
class SolveTriangular(OnStacks):
    """The solution X of ``A @ X = B`` for triangular A; leading axes broadcast.

    Parameters
    ----------
    is_lower : bool
        Which triangle of A is read.
    unit_diagonal : bool
        Whether its diagonal isn't read, and taken as ones.
    """

    is_lower: bool
    unit_diagonal: bool = False

    @property
    def name(self) -> str:
        return "solve_triangular"

    def infer(self, a: Any, b: Any) -> list[TensorType]:
        return [equation_type("solve_triangular", a, b)]

    def evaluate(self, a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
        check_equation("solve_triangular", a, b)
        with explained("solve_triangular needs matrices without zeros on the diagonal"):
            return [each_equation(self._solve, a, b)]

    def _solve(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        from scipy.linalg import solve_triangular

        unit = self.unit_diagonal
        found = solve_triangular(a, b, lower=self.is_lower, unit_diagonal=unit, check_finite=False)
        return np.asarray(found)

    def _triangle(self, x: Any) -> Any:
        """Return the elements that are read."""
        return (lower_part if self.is_lower else upper_part)(x, int(self.unit_diagonal))

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (a, b), (solution,) = inputs, outputs
        pulled = SolveTriangular(not self.is_lower, self.unit_diagonal)(adjoint(a), cotangents[0])
        return [
            sum_to_type(self._triangle(-matmul(pulled, adjoint(solution))), a),
            sum_to_type(pulled, b),
        ]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Solve for ``dB - dA @ X``."""
        da, db = tangents
        change = None if da is None else -matmul(self._triangle(da), outputs[0])
        return [solved_change(self, inputs, outputs, change, db)]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for op in (cls(True), cls(False), cls(True, unit_diagonal=True)):
            yield op, Sample((well_conditioned(3), spread(3, 2)))
        yield from ((cls(False), sample) for sample in equation_samples())
        yield cls(True), Sample((np.array([[1.0, 0.0], [1.0, 0.0]]), spread(2, 1)), LinearAlgebraError)


def solved_change(op: Op, inputs: Sequence[Any], outputs: Sequence[Any], change: Any, db: Any) -> Any:
    """Return the tangent of a solution, from the changes of both sides of its equation."""
    from symgrad.ops.shape import stretch_to

    if change is None and db is None:
        return None
    change = db if change is None else change if db is None else change + db
    return stretch_to(op(inputs[0], change), outputs[0])


def equation_type(name: str, a: Any, b: Any) -> TensorType:
    """Return the type of the solutions of ``A @ X = B``."""
    check_matrices(name, a)
    check_matrices(name, b, square=False)
    if a.type.dtype != b.type.dtype:
        raise InferenceError(DTypeError, f"{name} takes operands of one dtype")
    (*_, size), _ = square_shape(a.type)
    if None not in (size, b.type.shape[-2]) and size != b.type.shape[-2]:
        raise InferenceError(
            ShapeError, f"{name} needs as many rows on both sides, got {size} and {b.type.shape[-2]}"
        )
    shape, pattern = broadcast_stacks(name, a, b)
    rows = b.type.shape[-2] if size is None else size
    ones = b.type.broadcastable[-2]
    return TensorType(
        b.type.dtype, (*shape, rows, b.type.shape[-1]), (*pattern, ones and rows == 1, b.type.broadcastable[-1])
    )


def check_equation(name: str, a: np.ndarray, b: np.ndarray) -> None:
    """Raise unless the sizes of ``A @ X = B`` fit."""
    check_square_values(name, a)
    if a.shape[-1] != b.shape[-2]:
        raise ShapeError(f"{name} needs as many rows on both sides, got {a.shape[-1]} and {b.shape[-2]}")


def each_equation(solve: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Solve the equations of a stack one by one."""
    if a.ndim == b.ndim == 2 and b.size:
        return np.ascontiguousarray(solve(a, b))
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    result = np.empty((*stack, *b.shape[-2:]), np.result_type(a, b))
    if result.size:
        left, right = np.broadcast_to(a, stack + a.shape[-2:]), np.broadcast_to(b, result.shape)
        for index in np.ndindex(*stack):
            result[index] = solve(left[index], right[index])
    return result


def equation_samples() -> Iterable[Sample]:
    """Return samples of the ops that solve equations."""
    yield Sample((well_conditioned(2, 3), spread(3, 2, 2)))
    yield Sample((well_conditioned(2, 3, 1), spread(4, 2, 1)))
    yield Sample((well_conditioned(2), spread(2, 2, 3)))
    yield Sample((well_conditioned(1), spread(1, 1)))
    yield Sample((well_conditioned(2, dtype="float32"), spread(2, 1, dtype="float32")))
    yield Sample((well_conditioned(2, dtype="complex128"), spread(2, 2, dtype="complex128")))
    yield Sample((np.zeros((0, 0)), np.zeros((0, 2))))
    yield Sample((well_conditioned(2), np.zeros((2, 0))))
    yield Sample((spread(2, 3), spread(2, 1)), ShapeError)
    yield Sample((spread(2, 2), spread(3, 1)), ShapeError)
    yield Sample((spread(2, 2, 2), spread(3, 2, 1)), ShapeError)
    yield Sample((spread(2, 2), spread(2)), ShapeError)


def triangular(a: Any, b: Any, lower: bool, unit_diagonal: bool = False) -> Any:
    """Solve with matrices of one dtype."""
    return SolveTriangular(lower, unit_diagonal)(a, b)


# ---- what users call ----


def cholesky(a: Any, lower: bool = True, on_error: str = "raise") -> Any:
    """Return the triangular factor of a positive definite matrix: L with ``a = L @ L.T``.

    Parameters
    ----------
    a : tensor of shape (..., n, n)
        Symmetric, of complex numbers Hermitian. Only its lower (upper) triangle is read, and only this gets a gradient.
    lower : bool
        Whether to return L; else U with ``a = U.T @ U``, from the upper triangle.
    on_error : {'raise', 'nan'}
        What to do about a matrix that isn't positive definite: raise `LinearAlgebraError`, or return nan.

    Returns
    -------
    tensor of shape (..., n, n)

    Notes
    -----
    Keeps the behaviour of Theano's ``slinalg.Cholesky``; of stacks of matrices as `numpy.linalg.cholesky`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a = T.dmatrix('a')
    >>> print(T.linalg.cholesky(a).eval({a: [[4., 2.], [2., 10.]]}))
    [[2. 0.]
     [1. 3.]]
    """
    a = as_floats(a)
    if on_error not in ON_ERROR:
        raise user_error(RangeError, f"on_error is raise or nan, got {on_error!r}", [a])
    op = Cholesky(on_error)
    return op(a) if lower else adjoint(op(adjoint(a)))


def as_equation(name: str, a: Any, b: Any) -> tuple[Any, Any, bool]:
    """Return both sides of an equation in their common float dtype, a vector as a column; and whether it was one."""
    a, b = as_operands(a, b)
    a, b = as_floats(a), as_floats(b)
    a, b = cast_operands([a, b], [upcast(a.type.dtype, b.type.dtype)] * 2)
    if b.type.ndim == 0 or a.type.ndim < 2:
        raise user_error(ShapeError, f"{name} takes matrices, and vectors or matrices on the right, got {a.type} and "
                         f"{b.type}", [a, b])  # fmt: skip
    is_vector = b.type.ndim == 1
    return a, b.dimshuffle(0, "x") if is_vector else b, is_vector


def as_given(solution: Any, is_vector: bool) -> Any:
    """Return a solution without the axis that its vector had gained."""
    if not is_vector:
        return solution
    return solution.dimshuffle(*range(solution.type.ndim - 1))


def solve_triangular(
    a: Any, b: Any, trans: int | str = 0, lower: bool = False, unit_diagonal: bool = False
) -> Any:
    """Return the solution x of ``a @ x = b`` for a triangular matrix, as `scipy.linalg.solve_triangular`.

    Parameters
    ----------
    a : tensor of shape (..., n, n)
        Only one triangle is read, and only this gets a gradient.
    b : tensor of shape (n,) or (..., n, k)
        The right-hand sides; leading axes broadcast.
    trans : {0, 1, 2, 'N', 'T', 'C'}
        Whether to solve with `a`, its transpose, or its conjugate transpose.
    lower : bool
        Whether `a` is lower triangular.
    unit_diagonal : bool
        Whether the diagonal of `a` is taken as ones.

    Raises
    ------
    LinearAlgebraError
        When the compiled function is called, if there is a zero on the diagonal.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a, b = T.dmatrix('a'), T.dvector('b')
    >>> print(T.linalg.solve_triangular(a, b, lower=True).eval({a: [[2., 0.], [1., 4.]], b: [2., 9.]}))
    [1. 2.]
    """
    a, b, is_vector = as_equation("solve_triangular", a, b)
    kinds = {0: 0, 1: 1, 2: 2, "N": 0, "T": 1, "C": 2}
    if not isinstance(trans, int | str) or trans not in kinds:
        raise user_error(RangeError, f"trans is 0, 1 or 2 ('N', 'T' or 'C'), got {trans!r}", [a])
    if kinds[trans]:
        a, lower = (transposed if kinds[trans] == 1 else adjoint)(a), not lower
    return as_given(triangular(a, b, bool(lower), bool(unit_diagonal)), is_vector)


def solve_lower_triangular(a: Any, b: Any) -> Any:
    """Return the solution of ``a @ x = b`` for lower triangular `a` (Theano's name).

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.linalg.solve_lower_triangular([[2., 0.], [1., 1.]], [4., 5.]).eval())
    [2. 3.]
    """
    return solve_triangular(a, b, lower=True)


def solve_upper_triangular(a: Any, b: Any) -> Any:
    """Return the solution of ``a @ x = b`` for upper triangular `a` (Theano's name).

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.linalg.solve_upper_triangular([[1., 1.], [0., 2.]], [5., 4.]).eval())
    [3. 2.]
    """
    return solve_triangular(a, b, lower=False)


def cho_solve(c_and_lower: tuple[Any, bool], b: Any) -> Any:
    """Return the solution of ``a @ x = b`` from the factor of `a`, as `scipy.linalg.cho_solve`.

    Parameters
    ----------
    c_and_lower : pair of tensor and bool
        What `cholesky` returns, and whether it is the lower factor.
    b : tensor of shape (n,) or (..., n, k)
        The right-hand sides.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> c, b = T.dmatrix('c'), T.dvector('b')
    >>> print(T.linalg.cho_solve((c, True), b).eval({c: [[2., 0.], [1., 3.]], b: [8., 13.]}))
    [1.5 1. ]
    """
    if not isinstance(c_and_lower, list | tuple) or len(c_and_lower) != 2:
        raise user_error(
            TypeError, f"cho_solve needs a pair (factor, whether it is the lower one), got {c_and_lower!r:.60}", (),
            "Write cho_solve((c, True), b).",
        )  # fmt: skip
    factor, lower = c_and_lower
    factor, b, is_vector = as_equation("cho_solve", factor, b)
    below = factor if lower else adjoint(factor)
    return as_given(triangular(adjoint(below), triangular(below, b, True), False), is_vector)


__all__ = [
    "cho_solve", "cholesky", "solve_lower_triangular", "solve_triangular", "solve_upper_triangular",
]  # fmt: skip
