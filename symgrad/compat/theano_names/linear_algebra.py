"""Ops of ``nlinalg`` and ``slinalg`` that programs make with parameters, and then call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symgrad import tensor as T
from symgrad.tensor import linalg


class Cholesky:
    """``Cholesky(lower=True)(a)``: the triangle whose square is `a`; with ``on_error='nan'`` NaNs where there is none."""

    def __init__(self, lower: bool = True, destructive: bool = False, on_error: str = "raise") -> None:
        if on_error not in ("raise", "nan"):
            raise AssertionError('on_error must be one of "raise" or "nan"')
        self.lower = lower
        self.on_error = on_error

    def __call__(self, a: Any) -> Any:
        """Return the triangle."""
        options = {} if self.on_error == "raise" else {"on_error": self.on_error}
        return linalg.cholesky(a, lower=self.lower, **options)


class Solve:
    """``Solve(A_structure)(A, b)``: the x for which ``dot(A, x) == b``."""

    def __init__(self, A_structure: str = "general", lower: bool = False, **options: Any) -> None:  # noqa: N803
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

    def __call__(self, A: Any, b: Any) -> Any:  # noqa: N803
        """Return the solution."""
        return self._solve(A, b)


def _op(function: Callable[..., Any], *names: str) -> Callable[..., Callable[..., Any]]:
    """Return a class-like function: its arguments are parameters of `function`, and what it returns takes operands."""

    def make(*parameters: Any, **options: Any) -> Callable[..., Any]:
        def of(*operands: Any) -> Any:
            return function(*operands, **dict(zip(names, parameters, strict=False)), **options)

        return of

    return make


MatrixInverse = _op(linalg.matrix_inverse)
MatrixPinv = _op(linalg.pinv)
Det = _op(linalg.det)
Eig = _op(linalg.eig)
Eigh = _op(linalg.eigh, "UPLO")
SVD = _op(linalg.svd, "full_matrices", "compute_uv")
QRFull = _op(linalg.qr, "mode")
Eigvalsh = _op(linalg.eigvalsh)
Expm = _op(linalg.expm)
ExtractDiag = _op(T.diagonal, "offset", "axis1", "axis2")
AllocDiag = _op(T.diag)
lstsq = _op(linalg.lstsq)


def alloc_diag(diag: Any) -> Any:
    """Return the matrix that has `diag` on its diagonal."""
    return T.diag(diag)


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


def spectral_radius_bound(X: Any, log2_exponent: int) -> Any:  # noqa: N803
    """Return an upper bound of the greatest eigenvalue of a symmetric positive matrix, from a power of it."""
    power = X
    for _ in range(log2_exponent):
        power = T.dot(power, power)
    return linalg.trace(power) ** (2.0 ** (-log2_exponent))


__all__ = [
    "SVD", "AllocDiag", "Cholesky", "Det", "Eig", "Eigh", "Eigvalsh", "Expm", "ExtractDiag", "MatrixInverse",
    "MatrixPinv", "QRFull", "Solve", "alloc_diag", "diag", "extract_diag", "hints", "lstsq", "psd",
    "spectral_radius_bound",
]  # fmt: skip
