"""Determinants, and their logarithms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.graph.op import Disconnected, Op, Sample, register
from symgrad.graph.types import TensorType
from symgrad.ops.casting import as_floats, cast
from symgrad.ops.complex_numbers import conj, imag, imaginary_unit, real
from symgrad.ops.linalg import matmul
from symgrad.ops.matrices import (
    adjoint,
    check_matrices,
    check_square_values,
    diagonal_of,
    explained,
    square_shape,
    transposed,
)
from symgrad.ops.promotion import is_complex, real_of
from symgrad.ops.solving import Inverse, square_samples
from symgrad.ops.stacks import OnStacks


@register
@dataclass(frozen=True)
class Determinant(OnStacks):
    """The determinant of each matrix of a stack."""

    @property
    def name(self) -> str:
        return "det"

    def infer(self, x: Any) -> list[TensorType]:
        check_matrices("det", x)
        return [TensorType(x.type.dtype, x.type.shape[:-2], x.type.broadcastable[:-2])]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        check_square_values("det", x)
        with explained("det"):
            return [np.asarray(np.linalg.det(x), dtype=x.dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [_scales(cotangents[0]) * Cofactors()(conj(inputs[0]))]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The sum of the tangent times the cofactors."""
        if tangents[0] is None:
            return [None]
        return [(tangents[0] * Cofactors()(inputs[0])).sum(axis=(-2, -1))]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for sample in square_samples():
            yield cls(), sample


@register
@dataclass(frozen=True)
class Cofactors(OnStacks):
    """The derivative of the determinant: its value times the transposed inverse, also where there is no inverse."""

    @property
    def name(self) -> str:
        return "cofactors"

    def infer(self, x: Any) -> list[TensorType]:
        check_matrices("cofactors", x)
        return [TensorType(x.type.dtype, *square_shape(x.type))]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        check_square_values("cofactors", x)
        with explained("the gradient of det failed"):
            left, values, right = np.linalg.svd(x)
            others = np.where(np.eye(x.shape[-1], dtype=bool), 1, values[..., np.newaxis, :]).prod(axis=-1)
            scale = (np.linalg.det(left) * np.linalg.det(right))[..., np.newaxis, np.newaxis]
            found = scale * np.matmul((left * others[..., np.newaxis, :]).conj(), right.conj())
        return [np.asarray(found, dtype=x.dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        inverse, value = conj(_transposed_inverse(inputs[0])), conj(outputs[0])
        flow = matmul(transposed(value), cotangents[0])
        along = _scales(diagonal_of(flow).sum(axis=-1))
        return [inverse * along - matmul(matmul(inverse, transposed(cotangents[0])), value)]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The derivative of the determinant times the transposed inverse."""
        if tangents[0] is None:
            return [None]
        inverse, change = _transposed_inverse(inputs[0]), tangents[0]
        along = (inverse * change).sum(axis=(-2, -1))
        return [_scales(along) * outputs[0] - matmul(matmul(inverse, transposed(change)), outputs[0])]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for sample in square_samples():
            is_constant = sample.arguments[0].shape[-2:] == (1, 1)
            yield cls(), Sample(sample.arguments, sample.error, differentiable=not is_constant)
        yield cls(), Sample((np.ones((2, 2)),), differentiable=False)


def _scales(x: Any) -> Any:
    """Return numbers, one for each matrix of a stack, with the axes of the stack."""
    return x.dimshuffle(*range(x.type.ndim), "x", "x")


def _transposed_inverse(x: Any) -> Any:
    return Inverse()(transposed(x))


@register
@dataclass(frozen=True)
class SignAndLogDeterminant(OnStacks):
    """Sign, and logarithm of the absolute value, of the determinant of each matrix of a stack."""

    @property
    def name(self) -> str:
        return "slogdet"

    def infer(self, x: Any) -> list[TensorType]:
        check_matrices("slogdet", x)
        shape = x.type.shape[:-2], x.type.broadcastable[:-2]
        return [TensorType(x.type.dtype, *shape), TensorType(real_of(x.type.dtype), *shape)]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        check_square_values("slogdet", x)
        with explained("slogdet"):
            return [np.asarray(found) for found in np.linalg.slogdet(x)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x,), (for_sign, for_log) = inputs, cotangents
        total = None if for_log is None else cast(for_log, x.type.dtype)
        if for_sign is not None and is_complex(x.type.dtype):
            turn = imag(conj(for_sign) * outputs[0]) * -imaginary_unit(x)
            total = turn if total is None else total + turn
        if total is None:
            return [Disconnected("the sign of a determinant has a derivative of zero")]
        return [_scales(total) * adjoint(Inverse()(x))]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The trace of the inverse times the tangent; its imaginary part turns the sign."""
        if tangents[0] is None:
            return [None, None]
        along = (_transposed_inverse(inputs[0]) * tangents[0]).sum(axis=(-2, -1))
        turn = imaginary_unit(along) * imag(along) if is_complex(along.type.dtype) else None
        return [None if turn is None else outputs[0] * turn, real(along)]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for sample in square_samples():
            yield cls(), sample
        yield cls(), Sample((np.ones((2, 2)),), differentiable=False)


# ---- what users call ----


def det(a: Any) -> Any:
    """Return the determinant of each matrix of a stack. Its gradient exists for singular matrices too.

    Parameters
    ----------
    a : tensor of shape (..., n, n)
        Integers become floats.

    Returns
    -------
    tensor of shape (...)

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a = T.dmatrix('a')
    >>> print(T.linalg.det(a).eval({a: [[1., 5.], [0., 1.]]}))
    1.0
    """
    return Determinant()(as_floats(a))


def slogdet(a: Any) -> tuple[Any, Any]:
    """Return the sign, and the logarithm of the absolute value, of the determinant, as `numpy.linalg.slogdet`.

    Parameters
    ----------
    a : tensor of shape (..., n, n)
        Integers become floats.

    Returns
    -------
    tuple of two tensors of shape (...)
        Sign (of complex numbers, one of absolute value 1) and logarithm.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a = T.dmatrix('a')
    >>> sign, logarithm = T.linalg.slogdet(a)
    >>> print(sign.eval({a: [[-1., 0.], [0., 1.]]}), logarithm.eval({a: [[-1., 0.], [0., 1.]]}))
    -1.0 0.0
    """
    sign, logarithm = SignAndLogDeterminant()(as_floats(a))
    return sign, logarithm


__all__ = ["det", "slogdet"]
