"""Ops without kernels that CuPy computes: sorts, linear algebra, Fourier transforms, windows.

Each function here does what the op's own NumPy `evaluate` does, with the same conventions, from arrays on the device.
Where a decomposition isn't unique (signs of singular vectors and eigenvectors, Q and R) cuSOLVER may choose otherwise
than LAPACK. Of operands without elements `evaluate` on the host takes care. Where there is no result (a matrix that has
no inverse), the call stops, and the substitute backend finds the words for it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.backends.cupy.calls import ArrayCall, StoppedError
from symgrad.errors import SymgradError
from symgrad.kernels.grammar import Evaluate

Attributes = dict[str, Any]
Meaning = Callable[..., Sequence[Any]]
"""``meaning(cupy, attributes, *operands)`` returns the outputs."""

OPS = "symgrad.ops."
FLOATS = ("float32", "float64")
COMPLEX = ("complex64", "complex128")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
ORDERED = ("bool", *INTEGERS, "float16", *FLOATS)

MEANINGS: dict[str, tuple[Meaning, tuple[str, ...]]] = {}


def meaning(op: str, dtypes: tuple[str, ...]) -> Callable[[Meaning], Meaning]:
    """Enter the meaning of an op, by its module and class; it takes a first operand of these dtypes."""

    def entered(function: Meaning) -> Meaning:
        MEANINGS[OPS + op] = function, dtypes
        return function

    return entered


@dataclass(frozen=True)
class Run:
    """Calls a meaning, or `evaluate` on the host for operands without elements; an error stops the call."""

    function: Meaning
    attributes: Attributes
    evaluate: Callable[..., Sequence[np.ndarray]]

    def __call__(self, cupy: Any, *operands: Any) -> Sequence[Any]:
        try:
            if not all(operand.size for operand in operands):
                return [cupy.asarray(found) for found in self.evaluate(*map(cupy.asnumpy, operands))]
            with importlib.import_module("cupyx").errstate(linalg="raise"):
                return self.function(cupy, self.attributes, *operands)
        except (np.linalg.LinAlgError, SymgradError):
            raise StoppedError from None


def array_call(kernel: Evaluate, dtypes: Sequence[str], inputs: int) -> ArrayCall | None:
    """Return the call of CuPy that computes what an op without kernel means, or None if there is none.

    Parameters
    ----------
    kernel : Evaluate
        The op's kernel; its attributes say which op it is.
    dtypes : sequence of str
        Of the operands, then of the outputs.
    inputs : int
        How many operands there are.
    """
    attributes = dict(kernel.attributes)
    function, known = MEANINGS.get(attributes.get("op", ""), (None, ()))
    if function is None or not inputs or dtypes[0] not in known:
        return None
    if attributes.get("on_error", "raise") != "raise" or attributes.get("function", "expm") != "expm":
        return None
    return ArrayCall(kernel.name, Run(function, attributes, kernel.evaluate))


# ---- sorts ----------------------------------------------------------------------------------------------------------


@meaning("sorting.Sort", ORDERED)
def sort(cupy: Any, attributes: Attributes, x: Any) -> Sequence[Any]:
    """Elements in ascending order, nan last."""
    return [cupy.sort(x, axis=attributes["axis"])]


@meaning("sorting.ArgSort", ORDERED)
def argsort(cupy: Any, attributes: Attributes, x: Any) -> Sequence[Any]:
    """The stable order of elements; CuPy's sorts always are stable."""
    return [cupy.argsort(x, axis=attributes["axis"], kind="stable")]


@meaning("sorting.ArgTopK", ORDERED)
def argtopk(cupy: Any, attributes: Attributes, x: Any, k: Any) -> Sequence[Any]:
    """Positions of the largest elements, or for negative `k` of the smallest; of equal ones the first."""
    axis, count = attributes["axis"], int(k)
    size = x.shape[axis]
    if count == 0 or abs(count) > size:
        raise StoppedError
    picked = tuple([slice(abs(count)) if place == axis else slice(None) for place in range(x.ndim)])
    if count < 0:
        return [cupy.argsort(x, axis=axis, kind="stable")[picked]]
    order = cupy.flip(cupy.argsort(cupy.flip(x, axis), axis=axis, kind="stable"), axis)
    return [size - 1 - order[picked]]


@meaning("sorting.SearchSorted", ORDERED)
def searchsorted(cupy: Any, attributes: Attributes, x: Any, v: Any, *sorter: Any) -> Sequence[Any]:
    """Where values belong in a sorted vector."""
    for order in sorter:
        if order.shape != x.shape or bool(((order < 0) | (order >= x.size)).any()):
            raise StoppedError
        x = x[order.astype("int64")]
    common = np.result_type(x.dtype, v.dtype)
    return [cupy.searchsorted(x.astype(common), v.astype(common), attributes["side"])]


# ---- linear algebra -------------------------------------------------------------------------------------------------


def _square(x: Any) -> Any:
    if x.shape[-1] != x.shape[-2]:
        raise StoppedError
    return x


def _equation(cupy: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Return both sides with the same leading axes; CuPy doesn't stretch them."""
    if _square(a).shape[-1] != b.shape[-2]:
        raise StoppedError
    try:
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise StoppedError from None
    sides = [cupy.broadcast_to(side, (*stack, *side.shape[-2:])) for side in (a, b)]
    return cupy.ascontiguousarray(sides[0]), cupy.ascontiguousarray(sides[1])


@meaning("triangular.Cholesky", FLOATS)
def cholesky(cupy: Any, attributes: Attributes, x: Any) -> Sequence[Any]:
    """The lower triangular factor."""
    return [cupy.linalg.cholesky(_square(x))]


@meaning("triangular.SolveTriangular", FLOATS)
def solve_triangular(cupy: Any, attributes: Attributes, a: Any, b: Any) -> Sequence[Any]:
    """The solution of ``A @ X = B`` for triangular A."""
    a, b = _equation(cupy, a, b)
    lower, unit = attributes["is_lower"], attributes["unit_diagonal"]
    if not unit and bool((cupy.diagonal(a, axis1=-2, axis2=-1) == 0).any()):
        raise StoppedError
    solve: Any = importlib.import_module("cupyx.scipy.linalg").solve_triangular
    return [solve(a, b, lower=lower, unit_diagonal=unit)]


@meaning("solving.Inverse", FLOATS)
def inverse(cupy: Any, attributes: Attributes, x: Any) -> Sequence[Any]:
    """Inverses."""
    return [cupy.linalg.inv(_square(x))]


@meaning("solving.Solve", FLOATS)
def solve(cupy: Any, attributes: Attributes, a: Any, b: Any) -> Sequence[Any]:
    """The solution of ``A @ X = B``."""
    return [cupy.linalg.solve(*_equation(cupy, a, b))]


@meaning("determinants.Determinant", FLOATS)
def determinant(cupy: Any, attributes: Attributes, x: Any) -> Sequence[Any]:
    """Determinants."""
    return [cupy.linalg.det(_square(x))]


@meaning("determinants.SignAndLogDeterminant", FLOATS)
def sign_and_log_determinant(cupy: Any, attributes: Attributes, x: Any) -> Sequence[Any]:
    """Signs, and logarithms of absolute values, of determinants."""
    return list(cupy.linalg.slogdet(_square(x)))


@meaning("determinants.Cofactors", FLOATS)
def cofactors(cupy: Any, attributes: Attributes, x: Any) -> Sequence[Any]:
    """The derivatives of determinants: from singular values, so that there need be no inverse."""
    left, values, right = cupy.linalg.svd(_square(x))
    diagonal = cupy.eye(x.shape[-1], dtype=bool)
    others = cupy.where(diagonal, values.dtype.type(1), values[..., np.newaxis, :]).prod(axis=-1)
    scale = cupy.linalg.det(left) * cupy.linalg.det(right)
    return [scale[..., np.newaxis, np.newaxis] * cupy.matmul(left * others[..., np.newaxis, :], right)]


@meaning("orthogonal.QR", FLOATS)
def qr(cupy: Any, attributes: Attributes, x: Any) -> Sequence[Any]:
    """Orthogonal columns and an upper triangle."""
    return list(cupy.linalg.qr(x, mode="complete" if attributes["is_complete"] else "reduced"))


@meaning("singular_values.SingularValues", FLOATS)
def singular_values(cupy: Any, attributes: Attributes, x: Any) -> Sequence[Any]:
    """Singular values, descending."""
    return [cupy.linalg.svd(x, compute_uv=False)]


@meaning("singular_values.SingularVectors", FLOATS)
def singular_vectors(cupy: Any, attributes: Attributes, x: Any) -> Sequence[Any]:
    """Singular value decompositions."""
    return list(cupy.linalg.svd(x, full_matrices=attributes["full_matrices"]))


@meaning("eigenvalues.SymmetricEigenvalues", FLOATS)
def symmetric_eigenvalues(cupy: Any, attributes: Attributes, x: Any) -> Sequence[Any]:
    """Eigenvalues, ascending; the lower triangle is read."""
    return [cupy.linalg.eigvalsh(_square(x))]


@meaning("eigenvalues.SymmetricEigen", FLOATS)
def symmetric_eigen(cupy: Any, attributes: Attributes, x: Any) -> Sequence[Any]:
    """Eigenvalues and eigenvectors."""
    return list(cupy.linalg.eigh(_square(x)))


@meaning("least_squares.PseudoInverse", FLOATS)
def pseudo_inverse(cupy: Any, attributes: Attributes, x: Any, share: Any) -> Sequence[Any]:
    """Moore-Penrose inverses."""
    return [cupy.linalg.pinv(x, rcond=float(share))]


@meaning("matrix_functions.MatrixFunction", FLOATS)
def matrix_exponential(cupy: Any, attributes: Attributes, x: Any) -> Sequence[Any]:
    """The exponential of each matrix of a stack, in float64; CuPy has no other function of matrices."""
    expm: Any = importlib.import_module("cupyx.scipy.linalg").expm
    result = cupy.empty_like(_square(x))
    for index in np.ndindex(*x.shape[:-2]):
        result[index] = expm(x[index].astype("float64"))
    return [result]


# ---- Fourier transforms ----------------------------------------------------------------------------------------------

_FORWARD = {"none": "backward", "ortho": "ortho", "full": "forward"}
_INVERSE = {"none": "forward", "ortho": "ortho", "full": "backward"}


@meaning("fourier_op.Fourier", COMPLEX)
def fourier(cupy: Any, attributes: Attributes, x: Any) -> Sequence[Any]:
    """Transforms of complex numbers along axes, or inverse ones."""
    is_inverse = attributes["is_inverse"]
    transform = cupy.fft.ifftn if is_inverse else cupy.fft.fftn
    norm = (_INVERSE if is_inverse else _FORWARD)[attributes["scale"]]
    return [transform(x, axes=attributes["axes"], norm=norm)]


@meaning("fourier_op.RealFourier", FLOATS)
def real_fourier(cupy: Any, attributes: Attributes, x: Any) -> Sequence[Any]:
    """The first half of the transform of real numbers along the last axis."""
    return [cupy.fft.rfft(x, norm=_FORWARD[attributes["scale"]])]


@meaning("fourier_op.InverseRealFourier", COMPLEX)
def inverse_real_fourier(cupy: Any, attributes: Attributes, x: Any, size: Any) -> Sequence[Any]:
    """The real numbers with the given first half of a transform."""
    count = int(size)
    if count < 1 or count // 2 + 1 != x.shape[-1]:
        raise StoppedError
    return [cupy.fft.irfft(x, count, norm=_INVERSE[attributes["scale"]])]


# ---- windows and products -------------------------------------------------------------------------------------------


def _count(attributes: Attributes, size: int, window: int) -> int:
    reach = (window - 1) * attributes["dilation"] + 1
    if window < 1 or reach > size or (attributes["exact"] and (size - reach) % attributes["stride"]):
        raise StoppedError
    return int((size - reach) // attributes["stride"] + 1)


@meaning("windows.Windows", ORDERED)
def windows(cupy: Any, attributes: Attributes, x: Any, window: Any) -> Sequence[Any]:
    """Windows that slide along an axis."""
    axis, places, step = attributes["axis"], int(window), x.strides[attributes["axis"]]
    shape = (*x.shape[:axis], _count(attributes, x.shape[axis], places), places, *x.shape[axis + 1 :])
    own = (step * attributes["stride"], step * attributes["dilation"])
    strides = (*x.strides[:axis], *own, *x.strides[axis + 1 :])
    return [cupy.lib.stride_tricks.as_strided(x, shape, strides)]


@meaning("windows.WindowSums", ORDERED)
def window_sums(cupy: Any, attributes: Attributes, y: Any, size: Any) -> Sequence[Any]:
    """Each element's sum over the windows that it is in."""
    axis, stride = attributes["axis"], attributes["stride"]
    count, places = y.shape[axis : axis + 2]
    if count != _count(attributes, int(size), places):
        raise StoppedError
    result = cupy.zeros((*y.shape[:axis], int(size), *y.shape[axis + 2 :]), y.dtype)
    target, source = cupy.moveaxis(result, axis, 0), cupy.moveaxis(y, (axis, axis + 1), (0, 1))
    for place in range(places):
        start = place * attributes["dilation"]
        target[start : start + (count - 1) * stride + 1 : stride] += source[:, place]
    return [result]


@meaning("reduction_op.ProductOfOthers", FLOATS)
def product_of_others(cupy: Any, attributes: Attributes, x: Any) -> Sequence[Any]:
    """For each element the product of all others along axes."""
    kept = [axis for axis in range(x.ndim) if axis not in attributes["axes"]]
    order = (*kept, *attributes["axes"])
    moved = x.transpose(order)
    joined = moved.reshape(*moved.shape[: len(kept)], -1)
    before, after = cupy.ones_like(joined), cupy.ones_like(joined)
    before[..., 1:] = cupy.cumprod(joined[..., :-1], axis=-1)
    after[..., :-1] = cupy.flip(cupy.cumprod(cupy.flip(joined[..., 1:], -1), axis=-1), -1)
    return [(before * after).reshape(moved.shape).transpose(np.argsort(order).tolist())]


__all__ = ["array_call"]
