"""The QR decomposition: an orthogonal matrix times a triangular one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import GradientError, RangeError
from symgrad.graph.op import Op, Sample, Undefined, register, user_error
from symgrad.graph.types import TensorType
from symgrad.ops.casting import as_floats
from symgrad.ops.creation import zeros_like
from symgrad.ops.joining import concatenate
from symgrad.ops.linalg import matmul
from symgrad.ops.matrices import (
    adjoint,
    check_matrices,
    diagonal_matrix,
    diagonal_of,
    explained,
    lower_part,
    matrix_size,
    on_diagonal,
    upper_part,
)
from symgrad.ops.promotion import is_complex
from symgrad.ops.sampling import spread
from symgrad.ops.singular_values import rectangular_samples, smaller_size
from symgrad.ops.stacks import OnStacks
from symgrad.ops.triangular import triangular

MODES = ("reduced", "complete", "r", "raw")


@register
@dataclass(frozen=True)
class QR(OnStacks):
    """Q with orthonormal columns and R upper triangular, whose product is the matrix; for each matrix of a stack.

    Parameters
    ----------
    is_complete : bool
        Whether Q is square. Else it has as many columns as the matrix has rows or columns, whatever is less.
    """

    is_complete: bool = False

    @property
    def name(self) -> str:
        return "qr"

    def infer(self, x: Any) -> list[TensorType]:
        check_matrices("qr", x, square=False)
        stack, ones = x.type.shape[:-2], x.type.broadcastable[:-2]
        rows, columns = x.type.shape[-2:]
        row_ones, column_ones = x.type.broadcastable[-2:]
        inner = rows if self.is_complete or None in (rows, columns) else min(rows, columns)
        inner = inner if self.is_complete or columns is not None else None
        inner_ones = row_ones if self.is_complete else inner == 1 and (row_ones or column_ones)
        return [
            TensorType(x.type.dtype, (*stack, rows, inner), (*ones, row_ones, inner_ones)),
            TensorType(x.type.dtype, (*stack, inner, columns), (*ones, inner_ones, column_ones)),
        ]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        with explained("qr failed"):
            return list(np.linalg.qr(x, mode="complete" if self.is_complete else "reduced"))

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        if self._has_extra_columns(inputs[0]):
            return [Undefined("whose additional columns are any; use mode='reduced'")]
        left, right = outputs
        for_left = zeros_like(left) if cotangents[0] is None else cotangents[0]
        for_right = zeros_like(right) if cotangents[1] is None else cotangents[1]
        count = matrix_size(right, -2)
        square, rest = right[..., :count], right[..., count:]
        for_square, for_rest = for_right[..., :count], for_right[..., count:]
        # The columns beyond the square part are a = q @ r, where q depends on the columns before.
        flow = matmul(for_square, adjoint(square)) - matmul(adjoint(left), for_left)
        flow = flow - matmul(matmul(adjoint(left), matmul(left, rest)), adjoint(for_rest))
        whole = for_left + matmul(matmul(left, rest), adjoint(for_rest))
        first = whole + matmul(left, _hermitian(upper_part(flow)))
        first = adjoint(triangular(square, adjoint(first), lower=False))
        return [concatenate([first, matmul(left, for_rest)], axis=-1)]

    def _has_extra_columns(self, x: Any) -> bool:
        rows, columns = x.type.shape[-2:]
        return self.is_complete and (rows is None or columns is None or rows > columns)

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """A rotation inside the columns of Q, and what leaves them."""
        (change,), (left, right) = tangents, outputs
        if change is None:
            return [None, None]
        if self._has_extra_columns(inputs[0]):
            raise user_error(GradientError, "qr in mode 'complete' has no forward derivative: its additional columns "
                             "are any", inputs, "Use mode='reduced'.")  # fmt: skip
        count = matrix_size(right, -2)
        scaled = adjoint(triangular(adjoint(right[..., :count]), adjoint(change[..., :count]), lower=True))
        seen = matmul(adjoint(left), scaled)
        below = lower_part(seen, 1)
        turn = below - adjoint(below)
        if is_complex(left.type.dtype):
            turn = turn + diagonal_matrix(diagonal_of(seen - adjoint(seen)) / 2)
        moved = scaled - matmul(left, seen) + matmul(left, turn)
        return [moved, matmul(adjoint(left), change) - matmul(turn, right)]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield from ((cls(), sample) for sample in rectangular_samples())
        for shape in ((2, 2), (2, 3), (2, 2, 3)):
            yield cls(True), Sample((spread(*shape),), differentiable=False)
        yield cls(True), Sample((spread(3, 1),), differentiable=False)


@register
@dataclass(frozen=True)
class Householder(OnStacks):
    """The QR decomposition as LAPACK leaves it: reflections below R, transposed, and their factors."""

    @property
    def name(self) -> str:
        return "qr_raw"

    def infer(self, x: Any) -> list[TensorType]:
        check_matrices("qr", x, square=False)
        rows, columns = x.type.shape[-2:]
        stack, ones = x.type.shape[:-2], x.type.broadcastable[:-2]
        row_ones, column_ones = x.type.broadcastable[-2:]
        size, size_ones = smaller_size(x.type)
        return [
            TensorType(x.type.dtype, (*stack, columns, rows), (*ones, column_ones, row_ones)),
            TensorType(x.type.dtype, (*stack, size), (*ones, size_ones)),
        ]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        with explained("qr failed"):
            reflections, factors = np.linalg.qr(x, mode="raw")
        return [np.asarray(reflections, x.dtype), np.asarray(factors, x.dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [Undefined("whose mode 'raw' has no gradient; use mode='reduced'")]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for sample in rectangular_samples():
            yield cls(), Sample(sample.arguments, sample.error, differentiable=False)


def _hermitian(x: Any) -> Any:
    """Return the Hermitian matrices whose upper triangles `x` has."""
    both = x + adjoint(x)
    return on_diagonal(x, both / 2, both)


def qr(a: Any, mode: str = "reduced") -> Any:
    """Return the QR decomposition of each matrix of a stack, as `numpy.linalg.qr`.

    Parameters
    ----------
    a : tensor of shape (..., m, n)
        Integers become floats.
    mode : {'reduced', 'complete', 'r', 'raw'}
        Whether Q has ``k = min(m, n)`` columns, or m (then it has a gradient only if there are at least as many columns
        as rows), or isn't returned; or LAPACK's own result, without gradient.

    Returns
    -------
    q, r : tensors of shapes (..., m, k) and (..., k, n)
        Or only `r`; for ``'raw'`` reflections (..., n, m) and factors (..., k), as NumPy returns them.

    Notes
    -----
    Keeps the behaviour of Theano's ``nlinalg.qr``, and adds gradients, for matrices whose first k columns are
    independent.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a = T.dmatrix('a')
    >>> print(abs(T.linalg.qr(a, 'r')).eval({a: [[3., 1.], [4., 7.]]}))
    [[5.  6.2]
     [0.  3.4]]
    """
    a = as_floats(a)
    if mode not in MODES:
        raise user_error(RangeError, f"qr has the modes {', '.join(MODES)}, got {mode!r}", [a])
    if mode == "raw":
        return Householder()(a)
    q, r = QR(mode == "complete")(a)
    return r if mode == "r" else (q, r)


__all__ = ["qr"]
