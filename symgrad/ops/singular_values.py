"""Singular values and vectors, and ranks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, GradientError, ShapeError
from symgrad.graph.op import Op, Sample, Undefined, register, user_error
from symgrad.graph.types import TensorType
from symgrad.ops.axes import shape_padright
from symgrad.ops.casting import as_floats, cast
from symgrad.ops.complex_numbers import real
from symgrad.ops.elementwise import maximum
from symgrad.ops.linalg import matmul
from symgrad.ops.matrices import (
    adjoint,
    as_column,
    as_row,
    check_matrices,
    diagonal_matrix,
    diagonal_of,
    explained,
    safe_reciprocal,
)
from symgrad.ops.promotion import as_operand, is_complex, real_of
from symgrad.ops.reduction import max as max_over
from symgrad.ops.reduction import sum as sum_over
from symgrad.ops.sampling import spread
from symgrad.ops.sizes import size_of
from symgrad.ops.stacks import OnStacks


def smaller_size(kind: TensorType) -> tuple[int | None, bool]:
    """Return how many singular values matrices of a type have, and whether that stretches."""
    rows, columns = kind.shape[-2:]
    size = min(rows, columns) if rows is not None and columns is not None else None
    return size, size == 1 and (kind.broadcastable[-2] or kind.broadcastable[-1])


@register
@dataclass(frozen=True)
class SingularValues(OnStacks):
    """The singular values of each matrix of a stack, descending."""

    @property
    def name(self) -> str:
        return "svdvals"

    def infer(self, x: Any) -> list[TensorType]:
        check_matrices("svd", x, square=False)
        size, ones = smaller_size(x.type)
        return [
            TensorType(real_of(x.type.dtype), (*x.type.shape[:-2], size), (*x.type.broadcastable[:-2], ones))
        ]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        with explained("svd failed"):
            return [np.linalg.svd(x, compute_uv=False)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        left, _, right = SingularVectors()(inputs[0])
        return [matmul(left * as_row(cotangents[0]), right)]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The diagonal of the tangent, seen in the bases of singular vectors."""
        if tangents[0] is None:
            return [None]
        left, _, right = SingularVectors()(inputs[0])
        return [real(diagonal_of(matmul(matmul(adjoint(left), tangents[0]), adjoint(right))))]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield from ((cls(), sample) for sample in rectangular_samples())


def rectangular_samples() -> Iterable[Sample]:
    """Return samples of the ops that take any matrices."""
    yield Sample((spread(3, 3),))
    yield Sample((spread(4, 2),))
    yield Sample((spread(2, 4),))
    yield Sample((spread(2, 1, 3, 2),))
    yield Sample((spread(1, 3),))
    yield Sample((spread(2, 1),))
    yield Sample((spread(3, 2, dtype="float32"),))
    yield Sample((spread(2, 3, dtype="complex128"),))
    yield Sample((np.zeros((0, 3, 2)),))
    yield Sample((spread(2),), ShapeError)
    yield Sample((spread(2, 2, dtype="int32"),), DTypeError)


@register
@dataclass(frozen=True)
class SingularVectors(OnStacks):
    """Singular value decompositions: U, the values, and the adjoint of V.

    Parameters
    ----------
    full_matrices : bool
        Whether U and V are square, with vectors that no singular value belongs to.
    """

    full_matrices: bool = False

    @property
    def name(self) -> str:
        return "svd"

    def infer(self, x: Any) -> list[TensorType]:
        check_matrices("svd", x, square=False)
        dtype = x.type.dtype
        stack, ones = x.type.shape[:-2], x.type.broadcastable[:-2]
        rows, columns = x.type.shape[-2:]
        row_ones, column_ones = x.type.broadcastable[-2:]
        size, size_ones = smaller_size(x.type)
        inner = ((rows, row_ones), (columns, column_ones)) if self.full_matrices else ((size, size_ones),) * 2
        (left, left_ones), (right, right_ones) = inner
        return [
            TensorType(dtype, (*stack, rows, left), (*ones, row_ones, left_ones)),
            TensorType(real_of(dtype), (*stack, size), (*ones, size_ones)),
            TensorType(dtype, (*stack, right, columns), (*ones, right_ones, column_ones)),
        ]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        with explained("svd failed"):
            return list(np.linalg.svd(x, full_matrices=self.full_matrices))

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x,) = inputs
        for_left, for_values, for_right = cotangents
        if not self.full_matrices:
            return [_pull_back(outputs, cotangents)]
        if for_left is not None or for_right is not None:
            return [Undefined("whose additional vectors are any; use full_matrices=False")]
        return [SingularValues().gradient([x], [outputs[1]], [for_values])[0]]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """In the bases of singular vectors: the diagonal, and rotations; then what leaves their span."""
        if tangents[0] is None:
            return [None] * 3
        if self.full_matrices:
            raise user_error(GradientError, "svd with full_matrices has no forward derivative: its additional vectors "
                             "are any", inputs, "Use full_matrices=False.")  # fmt: skip
        left, values, right = outputs
        change, scale = tangents[0], safe_reciprocal(values)
        seen = matmul(matmul(adjoint(left), change), adjoint(right))
        gaps = _gaps(values)
        wide, tall = seen * as_row(values), as_column(values) * seen
        turns = gaps * (wide + adjoint(wide))
        if is_complex(left.type.dtype):
            turns = turns + diagonal_matrix(diagonal_of(seen - adjoint(seen)) / 2 * scale)
        rest_left = matmul(change, adjoint(right)) - matmul(left, seen)
        rest_right = matmul(adjoint(left), change) - matmul(seen, right)
        return [
            matmul(left, turns) + rest_left * as_row(scale),
            real(diagonal_of(seen)),
            matmul(adjoint(gaps * (tall + adjoint(tall))), right) + as_column(scale) * rest_right,
        ]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield from ((cls(), sample) for sample in rectangular_samples())
        for shape in ((3, 2), (2, 3), (2, 2, 1)):
            yield cls(True), Sample((spread(*shape),), differentiable=False)
        yield cls(), Sample((np.eye(2),), differentiable=False)


def _gaps(values: Any) -> Any:
    """Return ``1 / (s[j]**2 - s[i]**2)``, and 0 where both are equal."""
    rows, columns = as_column(values), as_row(values)
    return safe_reciprocal((columns - rows) * (columns + rows))


def _pull_back(outputs: Sequence[Any], cotangents: Sequence[Any]) -> Any:
    """Return the cotangent of matrices from those of their singular vectors and values."""
    left, values, right = outputs
    for_left, for_values, for_right = cotangents
    gaps, scale = _gaps(values), safe_reciprocal(values)
    middle: list[Any] = []
    ends: list[Any] = []
    if for_values is not None:
        middle.append(diagonal_matrix(cast(for_values, left.type.dtype)))
    if for_left is not None:
        seen = matmul(adjoint(left), for_left)
        middle.append(gaps * (seen - adjoint(seen)) * as_row(values))
        if is_complex(left.type.dtype):
            middle.append(diagonal_matrix(diagonal_of(seen - adjoint(seen)) / 2 * scale))
        ends.append(matmul((for_left - matmul(left, seen)) * as_row(scale), right))
    if for_right is not None:
        seen = matmul(right, adjoint(for_right))
        middle.append(as_column(values) * (gaps * (seen - adjoint(seen))))
        ends.append(matmul(left, as_column(scale) * (for_right - matmul(adjoint(seen), right))))
    inside = matmul(matmul(left, sum(middle[1:], middle[0])), right)
    return sum(ends, inside)


# ---- what users call ----


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """Return the singular value decomposition ``a = (u * s) @ vh`` of each matrix, as `numpy.linalg.svd`.

    Parameters
    ----------
    a : tensor of shape (..., m, n)
        Integers become floats.
    full_matrices : bool
        Whether `u` and `vh` are square; these have no gradient. Else their inner size is ``k = min(m, n)``.
    compute_uv : bool
        Whether to return the vectors too.

    Returns
    -------
    u, s, vh : tensors of shapes (..., m, k), (..., k) and (..., k, n)
        Or only `s`. Singular values descend.

    Notes
    -----
    Keeps the behaviour of Theano's ``nlinalg.svd``, and adds gradients. Where singular values coincide the vectors are
    any basis; gradients are then right for what doesn't depend on the choice.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a = T.dmatrix('a')
    >>> u, s, vh = T.linalg.svd(a, full_matrices=False)
    >>> print(s.eval({a: [[3., 0.], [0., 4.], [0., 0.]]}))
    [4. 3.]
    """
    a = as_floats(a)
    if not compute_uv:
        return SingularValues()(a)
    return SingularVectors(bool(full_matrices))(a)


def svdvals(a: Any) -> Any:
    """Return the singular values of each matrix of a stack, descending.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.linalg.svdvals([[0., 3.], [4., 0.]]).eval())
    [4. 3.]
    """
    return SingularValues()(as_floats(a))


def default_share(a: Any) -> Any:
    """Return the share of the largest singular value that others must exceed to count, as NumPy has it."""
    kept = real_of(a.type.dtype)
    sizes = [size_of(a, a.type.ndim + axis) for axis in (-2, -1)]
    return cast(maximum(*sizes), kept) * as_operand(np.array(np.finfo(kept).eps, kept))


def matrix_rank(a: Any, tol: Any = None) -> Any:
    """Return how many singular values of each matrix exceed `tol`, as `numpy.linalg.matrix_rank`.

    Parameters
    ----------
    a : tensor of shape (..., m, n)
        Integers become floats.
    tol : float or tensor of shape (...), optional
        By default the precision of the dtype times the larger size times the largest singular value.

    Returns
    -------
    int64 tensor of shape (...)

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.linalg.matrix_rank([[1., 2.], [2., 4.]]).eval())
    1
    """
    a = as_floats(a)
    values = SingularValues()(a)
    if tol is None:
        least = max_over(values, axis=-1, keepdims=True) * default_share(a)
    else:
        limit = as_operand(tol)
        least = shape_padright(limit) if limit.type.ndim else limit
    return sum_over(values > least, axis=-1)


__all__ = ["matrix_rank", "svd", "svdvals"]
