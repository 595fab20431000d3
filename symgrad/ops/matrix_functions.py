"""Functions of matrices: exponential, logarithm, square root; powers; and Sylvester's and Lyapunov's equations."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, LinearAlgebraError, ShapeError
from symgrad.graph.op import InferenceError, Op, Sample, register, user_error
from symgrad.graph.types import TensorType
from symgrad.ops.casting import as_floats, cast_operands
from symgrad.ops.complex_numbers import conj
from symgrad.ops.creation import eye, zeros_like
from symgrad.ops.joining import concatenate
from symgrad.ops.linalg import matmul
from symgrad.ops.matrices import (
    adjoint,
    check_matrices,
    check_square_values,
    explained,
    identity_of,
    matrix_size,
    square_shape,
)
from symgrad.ops.matrix_products import kron
from symgrad.ops.promotion import as_operands, upcast
from symgrad.ops.sampling import spread
from symgrad.ops.shape import reshape
from symgrad.ops.solving import inv, solve
from symgrad.ops.stacks import OnStacks
from symgrad.ops.triangular import positive_definite, well_conditioned

FUNCTIONS = ("expm", "logm", "sqrtm", "cosm", "sinm")


@register
@dataclass(frozen=True)
class MatrixFunction(OnStacks):
    """An analytic function of each matrix of a stack; its name is SciPy's.

    The function of the block matrix ``[[a, e], [0, a]]`` has in its upper right corner the derivative along e.
    """

    function: str

    @property
    def name(self) -> str:
        return self.function

    def infer(self, x: Any) -> list[TensorType]:
        check_matrices(self.function, x)
        return [TensorType(x.type.dtype, *square_shape(x.type))]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        import scipy.linalg

        check_square_values(self.function, x)
        function = getattr(scipy.linalg, self.function)
        result = np.empty_like(x)
        precise = np.result_type(x, np.float64)  # in single precision, logm warns of its own rounding
        ignored: Any = scipy.linalg.LinAlgWarning  # SciPy's, of singular matrices: values say what they say
        with explained(f"{self.function} failed"), warnings.catch_warnings(action="ignore", category=ignored):
            for index in np.ndindex(*x.shape[:-2] if x.size else (0,)):
                result[index] = self._checked(function(x[index].astype(precise)), x.dtype)
        return [result]

    def _checked(self, found: np.ndarray, dtype: np.dtype) -> np.ndarray:
        if dtype.kind != "c" and np.iscomplexobj(found) and np.any(found.imag):
            raise LinearAlgebraError(f"{self.function} of this real matrix is complex; cast it to a complex dtype")
        return found if dtype.kind == "c" else np.real(found)

    def _derivative(self, x: Any, direction: Any) -> Any:
        size = matrix_size(x, -2)
        above, below = concatenate([x, direction], axis=-1), concatenate([zeros_like(x), x], axis=-1)
        return self(concatenate([above, below], axis=-2))[..., :size, size:]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [self._derivative(adjoint(inputs[0]), cotangents[0])]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The derivative along the tangent."""
        return [None if tangents[0] is None else self._derivative(inputs[0], tangents[0])]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for function in FUNCTIONS:
            yield cls(function), Sample((positive_definite(2) + spread(2, 2, low=0, high=0.2),))
            yield cls(function), Sample((positive_definite(2, 2, 1),))
            yield cls(function), Sample((positive_definite(1),))
            yield cls(function), Sample((positive_definite(2, dtype="float32"),))
            yield cls(function), Sample((well_conditioned(2, dtype="complex128"),))
            yield cls(function), Sample((np.zeros((0, 0)),))
            yield cls(function), Sample((spread(2, 3),), ShapeError)
            yield cls(function), Sample((spread(2, 2, dtype="int32"),), DTypeError)
        yield cls("expm"), Sample((spread(3, 3),))
        for function in ("logm", "sqrtm"):
            yield cls(function), Sample((np.array([[0.0, 1.0], [-1.0, 0.0]]) - np.eye(2),), differentiable=False)
            yield cls(function), Sample((-positive_definite(2),), LinearAlgebraError)


@register
@dataclass(frozen=True)
class SolveSylvester(Op):
    """The solution X of ``A @ X + X @ B = Q``."""

    @property
    def name(self) -> str:
        return "solve_sylvester"

    def infer(self, a: Any, b: Any, q: Any) -> list[TensorType]:
        for operand, square in ((a, True), (b, True), (q, False)):
            check_matrices("solve_sylvester", operand, square)
            if operand.type.ndim != 2:
                raise InferenceError(ShapeError, f"solve_sylvester takes matrices, got {operand.type}")
            if operand.type.dtype != q.type.dtype:
                raise InferenceError(DTypeError, "solve_sylvester takes operands of one dtype")
        sizes = [(square_shape(v.type)[0][0], q.type.shape[axis]) for axis, v in enumerate((a, b))]
        if any(None not in pair and pair[0] != pair[1] for pair in sizes):
            raise InferenceError(ShapeError, "solve_sylvester needs a right side with the rows of the first matrix and "
                                 "the columns of the second")  # fmt: skip
        shape = [given if own is None else own for own, given in sizes]
        return [TensorType(q.type.dtype, shape, q.type.broadcastable)]

    def evaluate(self, a: np.ndarray, b: np.ndarray, q: np.ndarray) -> list[np.ndarray]:
        from scipy.linalg import solve_sylvester

        check_square_values("solve_sylvester", a)
        check_square_values("solve_sylvester", b)
        if q.shape != (len(a), len(b)):
            raise ShapeError(f"solve_sylvester needs a right side of {len(a)} by {len(b)}, got {q.shape}")
        if not q.size:
            return [q.copy()]
        with explained("solve_sylvester failed: an eigenvalue of one matrix is minus one of the other"):
            return [np.ascontiguousarray(solve_sylvester(a, b, q), q.dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (a, b, _), solution = inputs, adjoint(outputs[0])
        pulled = self(adjoint(a), adjoint(b), cotangents[0])
        return [-matmul(pulled, solution), -matmul(solution, pulled), pulled]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Solve for ``dQ - dA @ X - X @ dB``."""
        (a, b, _), (da, db, dq), (solution,) = inputs, tangents, outputs
        terms = [] if dq is None else [dq]
        terms += [] if da is None else [-matmul(da, solution)]
        terms += [] if db is None else [-matmul(solution, db)]
        return [self(a, b, sum(terms[1:], terms[0])) if terms else None]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(), Sample((well_conditioned(3), well_conditioned(2, start=4), spread(3, 2)))
        yield cls(), Sample((well_conditioned(1), well_conditioned(2), spread(1, 2)))
        yield cls(), Sample((np.zeros((0, 0)), well_conditioned(2), np.zeros((0, 2))))
        for dtype in ("float32", "complex128"):
            yield cls(), Sample((well_conditioned(2, dtype=dtype),) * 2 + (spread(2, 2, dtype=dtype),))
        yield cls(), Sample((spread(2, 2), spread(2, 2), spread(2, 3)), ShapeError)
        yield cls(), Sample((spread(2, 3), spread(2, 2), spread(2, 2)), ShapeError)
        yield cls(), Sample((spread(2, 2), spread(2, 2), spread(2)), ShapeError)


# ---- what users call ----


def expm(a: Any) -> Any:
    """Return the exponential of each matrix of a stack, as `scipy.linalg.expm`.

    Parameters
    ----------
    a : tensor of shape (..., n, n)
        Integers become floats.

    Notes
    -----
    Keeps the behaviour of Theano's ``slinalg.expm``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a = T.dmatrix('a')
    >>> print(T.linalg.expm(a).eval({a: [[0., 1.], [0., 0.]]}))
    [[1. 1.]
     [0. 1.]]
    """
    return MatrixFunction("expm")(as_floats(a))


def logm(a: Any) -> Any:
    """Return the principal logarithm of each matrix of a stack, as `scipy.linalg.logm`.

    Parameters
    ----------
    a : tensor of shape (..., n, n)
        Real matrices must have a real logarithm; else cast them to a complex dtype.

    Raises
    ------
    LinearAlgebraError
        When the compiled function is called, if the logarithm of a real matrix is complex.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.linalg.logm([[1., 0.], [0., 1.]]).eval())
    [[0. 0.]
     [0. 0.]]
    """
    return MatrixFunction("logm")(as_floats(a))


def sqrtm(a: Any) -> Any:
    """Return the principal square root of each matrix of a stack, as `scipy.linalg.sqrtm`.

    Parameters
    ----------
    a : tensor of shape (..., n, n)
        Real matrices must have a real root; else cast them to a complex dtype.

    Raises
    ------
    LinearAlgebraError
        When the compiled function is called, if the root of a real matrix is complex.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a = T.dmatrix('a')
    >>> print(T.linalg.sqrtm(a).eval({a: [[4., 0.], [0., 9.]]}))
    [[2. 0.]
     [0. 3.]]
    """
    return MatrixFunction("sqrtm")(as_floats(a))


def cosm(a: Any) -> Any:
    """Return the cosine of each matrix of a stack, as `scipy.linalg.cosm`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.linalg.cosm([[0., 0.], [0., 0.]]).eval())
    [[1. 0.]
     [0. 1.]]
    """
    return MatrixFunction("cosm")(as_floats(a))


def sinm(a: Any) -> Any:
    """Return the sine of each matrix of a stack, as `scipy.linalg.sinm`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.linalg.sinm([[0., 0.], [0., 0.]]).eval())
    [[0. 0.]
     [0. 0.]]
    """
    return MatrixFunction("sinm")(as_floats(a))


def matrix_power(a: Any, n: int) -> Any:
    """Return the `n`-th power of each matrix of a stack, as `numpy.linalg.matrix_power`; negative ones of the inverse.

    Parameters
    ----------
    a : tensor of shape (..., k, k)
        Any dtype.
    n : int
        The exponent.

    Notes
    -----
    Keeps the behaviour of Theano's ``nlinalg.matrix_power``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a = T.dmatrix('a')
    >>> print(T.linalg.matrix_power(a, 3).eval({a: [[1., 1.], [0., 1.]]}))
    [[1. 3.]
     [0. 1.]]
    """
    (a,) = as_operands(a)
    if not isinstance(n, int | np.integer) or isinstance(n, bool):
        raise user_error(TypeError, f"matrix_power takes an integer exponent, got {type(n).__name__} {n!r:.60}", [a])
    if a.type.ndim < 2 or (None not in a.type.shape[-2:] and a.type.shape[-2] != a.type.shape[-1]):
        raise user_error(ShapeError, f"matrix_power takes square matrices, got {a.type}", [a])
    if n == 0:
        return zeros_like(a) + eye(matrix_size(a, -2), matrix_size(a, -1), dtype=a.type.dtype)
    factor, rest = (a, int(n)) if n > 0 else (inv(a), -int(n))
    result: Any = None
    while rest:
        if rest % 2:
            result = factor if result is None else matmul(result, factor)
        rest //= 2
        factor = matmul(factor, factor) if rest else factor
    return result


def solve_sylvester(a: Any, b: Any, q: Any) -> Any:
    """Return the solution x of ``a @ x + x @ b = q``, as `scipy.linalg.solve_sylvester`.

    Parameters
    ----------
    a : matrix of shape (m, m)
    b : matrix of shape (n, n)
    q : matrix of shape (m, n)

    Returns
    -------
    matrix of shape (m, n)

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.linalg.solve_sylvester([[1.]], [[2.]], [[6.]]).eval())
    [[2.]]
    """
    operands = [as_floats(v) for v in as_operands(a, b, q)]
    common = upcast(*[v.type.dtype for v in operands])
    return SolveSylvester()(*cast_operands(operands, [common] * 3))


def solve_continuous_lyapunov(a: Any, q: Any) -> Any:
    """Return the solution x of ``a @ x + x @ a.T = q`` (of complex numbers, the conjugate transpose).

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.linalg.solve_continuous_lyapunov([[1., 0.], [0., 2.]], [[2., 3.], [3., 4.]]).eval())
    [[1. 1.]
     [1. 1.]]
    """
    a = as_floats(a)
    return solve_sylvester(a, adjoint(a), q)


def solve_discrete_lyapunov(a: Any, q: Any) -> Any:
    """Return the solution x of ``a @ x @ a.T - x + q = 0`` (of complex numbers, the conjugate transpose).

    Parameters
    ----------
    a, q : matrices of shape (n, n)
        Solved as one equation with n**2 unknowns, so n should be small.

    Notes
    -----
    Keeps the behaviour of `scipy.linalg.solve_discrete_lyapunov`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.linalg.solve_discrete_lyapunov([[0.5]], [[3.]]).eval())
    [[4.]]
    """
    a, q = [as_floats(v) for v in as_operands(a, q)]
    if a.type.ndim != 2 or q.type.ndim != 2:
        raise user_error(ShapeError, f"solve_discrete_lyapunov takes matrices, got {a.type} and {q.type}", [a, q])
    size = matrix_size(a, -2)
    both = kron(a, conj(a))
    flat = solve(identity_of(both) - both, reshape(q, [size * size]))
    return reshape(flat, [size, size])


__all__ = [
    "cosm", "expm", "logm", "matrix_power", "sinm", "solve_continuous_lyapunov", "solve_discrete_lyapunov",
    "solve_sylvester", "sqrtm",
]  # fmt: skip
