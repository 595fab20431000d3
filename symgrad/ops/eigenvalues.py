"""Eigenvalues and eigenvectors, of symmetric matrices and of any."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, RangeError, ShapeError
from symgrad.graph.op import Op, Sample, register, user_error
from symgrad.graph.types import TensorType
from symgrad.ops.casting import as_floats, cast, cast_operands
from symgrad.ops.complex_numbers import real
from symgrad.ops.linalg import matmul
from symgrad.ops.matrices import (
    adjoint,
    as_column,
    as_row,
    check_matrices,
    check_square_values,
    diagonal_matrix,
    diagonal_of,
    explained,
    from_triangle,
    like,
    safe_reciprocal,
    square_shape,
    to_triangle,
)
from symgrad.ops.promotion import complex_of, real_of, upcast
from symgrad.ops.sampling import spread
from symgrad.ops.solving import Inverse
from symgrad.ops.stacks import OnStacks
from symgrad.ops.triangular import cholesky, triangular, well_conditioned


def _value_types(x: Any, dtype: str) -> TensorType:
    shape, pattern = square_shape(x.type)
    return TensorType(dtype, shape[:-1], pattern[:-1])


def _gaps(values: Any) -> Any:
    """Return ``1 / (w[j] - w[i])``, and 0 where both are equal: what depends on the choice of a basis isn't counted."""
    return safe_reciprocal(as_row(values) - as_column(values))


@register
@dataclass(frozen=True)
class SymmetricEigenvalues(OnStacks):
    """Eigenvalues of symmetric (Hermitian) matrices, ascending; the lower triangle is read."""

    @property
    def name(self) -> str:
        return "eigvalsh"

    def infer(self, x: Any) -> list[TensorType]:
        check_matrices("eigvalsh", x)
        return [_value_types(x, real_of(x.type.dtype))]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        check_square_values("eigvalsh", x)
        with explained("eigvalsh failed"):
            return [np.linalg.eigvalsh(x)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        _, vectors = SymmetricEigen()(inputs[0])
        return [to_triangle(matmul(vectors * as_row(cotangents[0]), adjoint(vectors)))]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The diagonal of the tangent, seen in the basis of eigenvectors."""
        if tangents[0] is None:
            return [None]
        _, vectors = SymmetricEigen()(inputs[0])
        seen = matmul(matmul(adjoint(vectors), from_triangle(tangents[0])), vectors)
        return [real(diagonal_of(seen))]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield from ((cls(), sample) for sample in _samples())


@register
@dataclass(frozen=True)
class SymmetricEigen(OnStacks):
    """Eigenvalues, ascending, and eigenvectors of symmetric (Hermitian) matrices; the lower triangle is read."""

    @property
    def name(self) -> str:
        return "eigh"

    def infer(self, x: Any) -> list[TensorType]:
        check_matrices("eigh", x)
        return [_value_types(x, real_of(x.type.dtype)), TensorType(x.type.dtype, *square_shape(x.type))]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        check_square_values("eigh", x)
        with explained("eigh failed"):
            return list(np.linalg.eigh(x))

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (values, vectors), (for_values, for_vectors) = outputs, cotangents
        middle = None if for_values is None else diagonal_matrix(cast(for_values, vectors.type.dtype))
        if for_vectors is not None:
            turns = _gaps(values) * matmul(adjoint(vectors), for_vectors)
            middle = turns if middle is None else middle + turns
        return [to_triangle(matmul(matmul(vectors, middle), adjoint(vectors)))]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """In the basis of eigenvectors: the diagonal, and rotations by the rest over the gaps between eigenvalues."""
        if tangents[0] is None:
            return [None, None]
        values, vectors = outputs
        seen = matmul(matmul(adjoint(vectors), from_triangle(tangents[0])), vectors)
        return [real(diagonal_of(seen)), matmul(vectors, _gaps(values) * seen)]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield from ((cls(), sample) for sample in _samples())


def _samples() -> Iterable[Sample]:
    yield Sample((well_conditioned(3),))
    yield Sample((well_conditioned(2, 2, 1),))
    yield Sample((well_conditioned(1),))
    yield Sample((well_conditioned(2, dtype="float32"),))
    yield Sample((well_conditioned(2, dtype="complex128"),))
    yield Sample((np.eye(3),), differentiable=False)
    yield Sample((np.zeros((0, 0)),))
    yield Sample((np.zeros((0, 2, 2)),))
    yield Sample((spread(2, 3),), ShapeError)
    yield Sample((spread(2),), ShapeError)
    yield Sample((spread(2, 2, dtype="int32"),), DTypeError)


@register
@dataclass(frozen=True)
class Eigenvalues(OnStacks):
    """Eigenvalues of any square matrices; always complex."""

    @property
    def name(self) -> str:
        return "eigvals"

    def infer(self, x: Any) -> list[TensorType]:
        check_matrices("eigvals", x)
        return [_value_types(x, complex_of(x.type.dtype))]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        check_square_values("eigvals", x)
        with explained("eigvals failed"):
            return [np.linalg.eigvals(x).astype(complex_of(x.dtype.name))]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        _, vectors = Eigen()(inputs[0])
        back = adjoint(vectors)
        return [like(matmul(Inverse()(back) * as_row(cotangents[0]), back), inputs[0])]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The diagonal of the tangent, seen in the basis of eigenvectors."""
        if tangents[0] is None:
            return [None]
        _, vectors = Eigen()(inputs[0])
        change = cast(tangents[0], vectors.type.dtype)
        return [diagonal_of(matmul(matmul(Inverse()(vectors), change), vectors))]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield from ((cls(), sample) for sample in _samples())


@register
@dataclass(frozen=True)
class Eigen(OnStacks):
    """Eigenvalues and eigenvectors (of norm 1) of any square matrices; always complex."""

    @property
    def name(self) -> str:
        return "eig"

    def infer(self, x: Any) -> list[TensorType]:
        check_matrices("eig", x)
        dtype = complex_of(x.type.dtype)
        return [_value_types(x, dtype), TensorType(dtype, *square_shape(x.type))]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        check_square_values("eig", x)
        with explained("eig failed"):
            return [found.astype(complex_of(x.dtype.name)) for found in np.linalg.eig(x)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (values, vectors), (for_values, for_vectors) = outputs, cotangents
        back = adjoint(vectors)
        middle = None if for_values is None else diagonal_matrix(for_values)
        if for_vectors is not None:
            seen = matmul(back, for_vectors)
            lengths = cast(real(diagonal_of(seen)), seen.type.dtype)
            turns = adjoint(_gaps(values)) * -1
            turns = turns * (seen - matmul(back, vectors) * as_row(lengths))
            middle = turns if middle is None else middle + turns
        return [like(matmul(matmul(Inverse()(back), middle), back), inputs[0])]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """As for symmetric matrices, with the inverse of the vectors; then each vector keeps its length."""
        if tangents[0] is None:
            return [None, None]
        values, vectors = outputs
        change = cast(tangents[0], vectors.type.dtype)
        seen = matmul(matmul(Inverse()(vectors), change), vectors)
        turned = matmul(vectors, _gaps(values) * seen)
        longer = cast(real(diagonal_of(matmul(adjoint(vectors), turned))), vectors.type.dtype)
        return [diagonal_of(seen), turned - vectors * as_row(longer)]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield from ((cls(), sample) for sample in _samples())


# ---- what users call ----


def eigh(a: Any, UPLO: str = "L") -> tuple[Any, Any]:
    """Return eigenvalues and eigenvectors of symmetric (Hermitian) matrices, as `numpy.linalg.eigh`.

    Parameters
    ----------
    a : tensor of shape (..., n, n)
        Only its lower (upper) triangle is read, and only this gets a gradient.
    UPLO : {'L', 'U'}
        Which triangle.

    Returns
    -------
    w : tensor of shape (..., n)
        Eigenvalues, ascending; real.
    v : tensor of shape (..., n, n)
        ``v[..., i]`` is the vector of eigenvalue i.

    Notes
    -----
    Keeps the behaviour of Theano's ``nlinalg.eigh``. Where eigenvalues coincide the vectors are any basis; gradients
    are then right for what doesn't depend on the choice.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a = T.dmatrix('a')
    >>> w, v = T.linalg.eigh(a)
    >>> print(w.eval({a: [[2., 1.], [1., 2.]]}))
    [1. 3.]
    """
    values, vectors = SymmetricEigen()(_triangle(as_floats(a), UPLO, "eigh"))
    return values, vectors


def _triangle(a: Any, UPLO: str, where: str) -> Any:
    if UPLO not in ("L", "U"):
        raise user_error(RangeError, f"{where} takes 'L' or 'U' as UPLO, got {UPLO!r}", [a])
    return a if UPLO == "L" else adjoint(a)


def eigvalsh(a: Any, b: Any = None, lower: bool = True) -> Any:
    """Return the eigenvalues of symmetric (Hermitian) matrices, ascending.

    Parameters
    ----------
    a : tensor of shape (..., n, n)
        Only one triangle is read, and only this gets a gradient.
    b : tensor of shape (..., n, n), optional
        Positive definite: then the w with ``a @ v = w * (b @ v)`` are returned.
    lower : bool
        Whether the lower triangles are read.

    Returns
    -------
    tensor of shape (..., n)

    Notes
    -----
    Keeps the behaviour of Theano's ``slinalg.eigvalsh``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a = T.dmatrix('a')
    >>> print(T.linalg.eigvalsh(a).eval({a: [[2., 1.], [1., 2.]]}))
    [1. 3.]
    """
    a = as_floats(a)
    a = a if lower else adjoint(a)
    if b is None:
        return SymmetricEigenvalues()(a)
    b = as_floats(b)
    a, b = cast_operands([a, b], [upcast(a.type.dtype, b.type.dtype)] * 2)
    factor = cholesky(b if lower else adjoint(b))
    left = triangular(factor, from_triangle(a), lower=True)
    return SymmetricEigenvalues()(adjoint(triangular(factor, adjoint(left), lower=True)))


def eig(a: Any) -> tuple[Any, Any]:
    """Return eigenvalues and eigenvectors of square matrices, as `numpy.linalg.eig`; both are always complex.

    Parameters
    ----------
    a : tensor of shape (..., n, n)
        Integers become floats.

    Returns
    -------
    w : tensor of shape (..., n)
        Eigenvalues, in no order.
    v : tensor of shape (..., n, n)
        ``v[..., i]`` is the vector of eigenvalue i, of norm 1.

    Notes
    -----
    The phase of a vector is arbitrary: gradients are right for what doesn't depend on it, such as absolute values.
    Theano's ``nlinalg.eig`` returns real numbers for real matrices, and loses imaginary parts.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a = T.dmatrix('a')
    >>> w, v = T.linalg.eig(a)
    >>> print(w.eval({a: [[0., 1.], [-1., 0.]]}))
    [0.+1.j 0.-1.j]
    """
    values, vectors = Eigen()(as_floats(a))
    return values, vectors


def eigvals(a: Any) -> Any:
    """Return the eigenvalues of square matrices, as `numpy.linalg.eigvals`; always complex.

    Parameters
    ----------
    a : tensor of shape (..., n, n)
        Integers become floats.

    Returns
    -------
    tensor of shape (..., n)

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.linalg.eigvals([[0., 1.], [-1., 0.]]).eval())
    [0.+1.j 0.-1.j]
    """
    return Eigenvalues()(as_floats(a))


__all__ = ["eig", "eigh", "eigvals", "eigvalsh"]
