"""Ops of ``nlinalg`` and ``slinalg`` that programs make with parameters, and then call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import symgrad
from symgrad import tensor as T
from symgrad.compat.theano_names.stand_ins import StandIn, applying
from symgrad.graph.absent import DisconnectedType
from symgrad.tensor import linalg


class Cholesky:
    """``Cholesky(lower=True)(a)``: the triangle whose square is `a`; NaNs where there is none, if asked for."""

    def __init__(self, lower: bool = True, destructive: bool = False, on_error: str = "raise") -> None:
        if on_error not in ("raise", "nan"):
            raise AssertionError('on_error must be one of "raise" or "nan"')
        self.lower = lower
        self.on_error = on_error

    def __call__(self, a: Any) -> Any:
        """Return the triangle."""
        return linalg.cholesky(a, lower=self.lower, on_error=self.on_error)


class CholeskyGrad:
    """``CholeskyGrad(lower=True)(x, l, dz)``: the gradient of a matrix `x` from that of its Cholesky factor `l`."""

    def __init__(self, lower: bool = True) -> None:
        self.lower = lower

    def __call__(self, x: Any, l: Any, dz: Any) -> Any:  # noqa: E741
        """Return the gradient."""
        x = T.as_tensor_variable(x)
        return symgrad.Lop(linalg.cholesky(x, lower=self.lower), x, T.as_tensor_variable(dz))


class EighGrad:
    """``EighGrad(UPLO)(x, w, v, W, V)``: the gradient of a symmetric matrix from those of its eigen-pairs."""

    def __init__(self, UPLO: str = "L") -> None:
        self.UPLO = UPLO

    def __call__(self, x: Any, w: Any, v: Any, W: Any, V: Any) -> Any:
        """Return the gradient."""
        x = T.as_tensor_variable(x)
        return symgrad.Lop(list(linalg.eigh(x, self.UPLO)), x, [T.as_tensor_variable(W), T.as_tensor_variable(V)])


class EigvalshGrad:
    """``EigvalshGrad(lower=True)(a, b, gw)``: the gradients of `a` and `b` from that of their eigenvalues."""

    def __init__(self, lower: bool = True) -> None:
        self.lower = lower

    def __call__(self, a: Any, b: Any, gw: Any) -> Any:
        """Return both gradients."""
        a, b = T.as_tensor_variable(a), T.as_tensor_variable(b)
        return symgrad.Lop(linalg.eigvalsh(a, b, lower=self.lower), [a, b], T.as_tensor_variable(gw))


class Solve:
    """``Solve(A_structure)(A, b)``: the x for which ``dot(A, x) == b``."""

    def __init__(self, A_structure: str = "general", lower: bool = False, **options: Any) -> None:
        functions: dict[str, Callable[..., Any]] = {
            "general": linalg.solve,
            "symmetric": linalg.solve_symmetric,
            "lower_triangular": linalg.solve_lower_triangular,
            "upper_triangular": linalg.solve_upper_triangular,
        }
        if A_structure not in functions:
            raise ValueError("Invalid matrix structure argument", A_structure)
        self.A_structure = A_structure
        self._solve = functions[A_structure]

    def __call__(self, A: Any, b: Any) -> Any:
        """Return the solution."""
        return self._solve(A, b)


def _eig(a: Any) -> tuple[Any, Any]:
    """Return eigenvalues and eigenvectors; of a real matrix their real parts, as Theano does."""
    values, vectors = linalg.eig(a)
    if T.as_tensor_variable(a).type.dtype.startswith("complex"):
        return values, vectors
    return T.real(values), T.real(vectors)


MatrixInverse = StandIn("MatrixInverse", applying(linalg.matrix_inverse), ("Inverse",))
MatrixPinv = StandIn("MatrixPinv", applying(linalg.pinv), ("PseudoInverse",))
Det = StandIn("Det", applying(linalg.det), ("Determinant",))
Eig = StandIn("Eig", applying(_eig), ("Eigen",))
eig = Eig()
Eigh = StandIn("Eigh", applying(linalg.eigh, "UPLO"), ("SymmetricEigen",))
SVD = StandIn("SVD", applying(linalg.svd, "full_matrices", "compute_uv"), ("SingularVectors", "SingularValues"))
QRFull = StandIn("QRFull", applying(linalg.qr, "mode"), ("QR",))
QRIncomplete = StandIn("QRIncomplete", applying(linalg.qr, "mode"), ("QR",))
TensorInv = StandIn("TensorInv", applying(linalg.tensorinv, "ind"), ("Inverse",))
Eigvalsh = StandIn("Eigvalsh", applying(linalg.eigvalsh, "lower"), ("SymmetricEigenvalues",))
Expm = StandIn("Expm", applying(linalg.expm), ("MatrixFunction",))
lstsq = StandIn("lstsq", applying(linalg.lstsq), ("LeastSquares",))


def extract_diag(x: Any) -> Any:
    """Return the diagonal of a matrix."""
    return T.diagonal(x)


def diag(x: Any) -> Any:
    """Return the matrix with a vector on its diagonal, or the diagonal of a matrix."""
    variable = T.as_tensor_variable(x)
    if variable.ndim not in (1, 2):
        raise TypeError("diag requires vector or matrix argument", x)
    return T.diag(variable)


def psd(v: Any) -> Any:
    """Return `v`: that a matrix is positive and symmetric, no rewrite asks."""
    return v


hints = psd


def spectral_radius_bound(X: Any, log2_exponent: int) -> Any:
    """Return an upper bound of the greatest eigenvalue of a symmetric positive matrix, from a power of it."""
    power = X
    for _ in range(log2_exponent):
        power = T.dot(power, power)
    return linalg.trace(power) ** (2.0 ** (-log2_exponent))


def _zero_disconnected(outputs: Any, grads: Any) -> list[Any]:
    """Return gradients of outputs, zeros where an output has none."""
    pairs = zip(outputs, grads, strict=True)
    return [T.zeros_like(output) if isinstance(grad.type, DisconnectedType) else grad for output, grad in pairs]


__all__ = [
    "SVD", "Cholesky", "CholeskyGrad", "Det", "Eig", "Eigh", "EighGrad", "Eigvalsh", "EigvalshGrad", "Expm",
    "MatrixInverse", "MatrixPinv", "QRFull",
    "QRIncomplete", "Solve", "TensorInv", "diag", "eig", "extract_diag", "hints", "lstsq", "psd",
    "spectral_radius_bound",
]  # fmt: skip
