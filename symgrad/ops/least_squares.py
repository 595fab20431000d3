"""The pseudo-inverse, and the method of least squares."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, Undefined, register, user_error
from symgrad.graph.types import TensorType
from symgrad.ops.casting import as_floats, cast_operands
from symgrad.ops.linalg import matmul
from symgrad.ops.matrices import adjoint, check_matrices, explained
from symgrad.ops.promotion import as_operand, as_operands, real_of, upcast
from symgrad.ops.sampling import number, spread
from symgrad.ops.singular_values import SingularValues, default_share, rectangular_samples, smaller_size
from symgrad.ops.stacks import OnStacks


@register
@dataclass(frozen=True)
class PseudoInverse(OnStacks):
    """The Moore-Penrose inverse of each matrix of a stack; singular values below a share of the largest count as 0."""

    @property
    def name(self) -> str:
        return "pinv"

    def infer(self, x: Any, share: Any) -> list[TensorType]:
        check_matrices("pinv", x, square=False)
        if share.type.ndim:
            raise InferenceError(ShapeError, f"pinv takes a scalar as rcond, got {share.type}")
        shape, ones = x.type.shape, x.type.broadcastable
        return [
            TensorType(x.type.dtype, (*shape[:-2], shape[-1], shape[-2]), (*ones[:-2], ones[-1], ones[-2]))
        ]

    def evaluate(self, x: np.ndarray, share: np.ndarray) -> list[np.ndarray]:
        with explained("pinv failed"):
            return [np.asarray(np.linalg.pinv(x, rcond=float(share)), dtype=x.dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [_pull_back_inverse(inputs[0], outputs[0], cotangents[0]), Disconnected("it only tells ranks")]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The derivative at constant rank."""
        change = tangents[0]
        if change is None:
            return [None]
        x, inverse = inputs[0], outputs[0]
        back, turned = adjoint(inverse), adjoint(change)
        along = -matmul(matmul(inverse, change), inverse)
        outside = matmul(inverse, matmul(back, turned - matmul(matmul(turned, x), inverse)))
        inside = matmul(matmul(turned - matmul(inverse, matmul(x, turned)), back), inverse)
        return [along + outside + inside]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for sample in rectangular_samples():
            yield cls(), Sample((*sample.arguments, number(1e-15, "float32")), sample.error)
        yield cls(), Sample((np.ones((3, 2)), number(1e-6, "float32")), differentiable=False)
        yield cls(), Sample((spread(2, 2), spread(1, dtype="float32")), ShapeError)


def _pull_back_inverse(x: Any, inverse: Any, cotangent: Any) -> Any:
    """Return the cotangent of matrices from that of their pseudo-inverses, of constant rank."""
    back, turned = adjoint(inverse), adjoint(cotangent)
    along = -matmul(matmul(back, cotangent), back)
    outside = matmul(matmul(turned - matmul(x, matmul(inverse, turned)), inverse), back)
    inside = matmul(back, matmul(inverse, turned - matmul(matmul(turned, inverse), x)))
    return along + outside + inside


@register
@dataclass(frozen=True)
class LeastSquares(Op):
    """The shortest x with the least ``norm(b - a @ x)``; the sums of squares left; the rank; the singular values."""

    @property
    def name(self) -> str:
        return "lstsq"

    def infer(self, a: Any, b: Any, share: Any) -> list[TensorType]:
        check_matrices("lstsq", a, square=False)
        check_matrices("lstsq", b, square=False)
        if a.type.ndim != 2 or b.type.ndim != 2:
            raise InferenceError(ShapeError, f"lstsq takes matrices, got {a.type} and {b.type}")
        if a.type.dtype != b.type.dtype:
            raise InferenceError(DTypeError, "lstsq takes operands of one dtype")
        rows = a.type.shape[0], b.type.shape[0]
        if None not in rows and rows[0] != rows[1]:
            raise InferenceError(ShapeError, f"lstsq needs as many rows on both sides, got {rows[0]} and {rows[1]}")
        shape = a.type.shape[1], b.type.shape[1]
        ones = a.type.broadcastable[1], b.type.broadcastable[1]
        size, size_ones = smaller_size(a.type)
        kept = real_of(a.type.dtype)
        return [
            TensorType(a.type.dtype, shape, ones), TensorType(kept, (None,)), TensorType("int32", ()),
            TensorType(kept, (size,), (size_ones,)),
        ]  # fmt: skip

    def evaluate(self, a: np.ndarray, b: np.ndarray, share: np.ndarray) -> list[np.ndarray]:
        if len(a) != len(b):
            raise ShapeError(f"lstsq needs as many rows on both sides, got {len(a)} and {len(b)}")
        with explained("lstsq failed"):
            solution, left, rank, values = np.linalg.lstsq(a, b, rcond=float(share))
        kept = real_of(a.dtype.name)
        return [
            np.ascontiguousarray(solution, a.dtype), np.asarray(left, kept), np.array(rank, "int32"),
            np.asarray(values, kept),
        ]  # fmt: skip

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        a, b, share = inputs
        for_solution, for_left, _, for_values = cotangents
        nothing = Disconnected("it only tells the rank")
        if for_left is not None:
            unknown = Undefined("whose number of residuals depends on the rank; differentiate sum((b - a @ x)**2)")
            return [unknown, unknown, nothing]
        parts = []
        for_b: Any = None
        if for_solution is not None:
            inverse = PseudoInverse()(a, share)
            for_b = matmul(adjoint(inverse), for_solution)
            parts.append(_pull_back_inverse(a, inverse, matmul(for_solution, adjoint(b))))
        if for_values is not None:
            parts.append(SingularValues().gradient([a], [outputs[3]], [for_values])[0])
        return [sum(parts[1:], parts[0]) if parts else None, for_b, nothing]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """That of the pseudo-inverse times `b`; of the residuals there is none."""
        (a, b, share), (da, db, _) = inputs, tangents
        if da is None and db is None:
            return [None] * 4
        inverse = PseudoInverse()(a, share)
        terms = [] if db is None else [matmul(inverse, db)]
        values = None
        if da is not None:
            (change,) = PseudoInverse().pushforward([a, share], [inverse], [da, None])
            terms.append(matmul(change, b))
            (values,) = SingularValues().pushforward([a], [outputs[3]], [da])
        return [sum(terms[1:], terms[0]), None, None, values]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        share = number(1e-12, "float32")
        for a, b in (((2, 3), (2, 2)), ((1, 1), (1, 1)), ((2, 4), (2, 1))):
            yield cls(), Sample((spread(*a), spread(*b, start=5), share), differentiable=False)
        yield cls(), Sample((spread(4, 2), spread(4, 2, start=8), share), differentiable=False)
        yield cls(), Sample((np.ones((3, 2)), spread(3, 1), number(1e-6, "float32")), differentiable=False)
        yield cls(), Sample((spread(3, 2, dtype="float32"), spread(3, 1, dtype="float32"), share))
        yield cls(), Sample((spread(3, 2, dtype="complex128"), spread(3, 1, dtype="complex128"), share))
        yield cls(), Sample((spread(3, 2), spread(2, 2), share), ShapeError)
        yield cls(), Sample((spread(3, 2), spread(3), share), ShapeError)


# ---- what users call ----


def pinv(a: Any, rcond: Any = 1e-15) -> Any:
    """Return the Moore-Penrose inverse of each matrix of a stack, as `numpy.linalg.pinv`.

    Parameters
    ----------
    a : tensor of shape (..., m, n)
        Integers become floats.
    rcond : float or float scalar
        Singular values below this share of the largest count as zero.

    Returns
    -------
    tensor of shape (..., n, m)

    Notes
    -----
    Keeps the behaviour of Theano's ``nlinalg.pinv``. The gradient takes the rank as constant.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a = T.dmatrix('a')
    >>> print(T.linalg.pinv(a).eval({a: [[2., 0.], [0., 4.], [0., 0.]]}))
    [[0.5  0.   0.  ]
     [0.   0.25 0.  ]]
    """
    return PseudoInverse()(as_floats(a), as_operand(rcond))


def lstsq(a: Any, b: Any, rcond: Any = None) -> tuple[Any, Any, Any, Any]:
    """Return the least-squares solution of ``a @ x = b``, as `numpy.linalg.lstsq`.

    Parameters
    ----------
    a : matrix of shape (m, n)
        Integers become floats.
    b : tensor of shape (m,) or (m, k)
        The right-hand sides.
    rcond : float or float scalar, optional
        Singular values below this share of the largest count as zero. By default the precision of the dtype times the
        larger size.

    Returns
    -------
    x : tensor of shape (n,) or (n, k)
        The shortest of the solutions.
    residuals : vector
        Sums of squares of ``b - a @ x``; empty if the rank is below n or m isn't above it. Without gradient.
    rank : int32 scalar
        The rank of `a`.
    s : vector
        The singular values of `a`.

    Notes
    -----
    Keeps the behaviour of Theano's ``nlinalg.lstsq``, and adds gradients (at constant rank).

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a, b = T.dmatrix('a'), T.dvector('b')
    >>> x, residuals, rank, s = T.linalg.lstsq(a, b)
    >>> print(x.eval({a: [[1., 0.], [0., 1.], [0., 0.]], b: [1., 2., 3.]}))
    [1. 2.]
    """
    a, b = as_operands(a, b)
    a, b = as_floats(a), as_floats(b)
    a, b = cast_operands([a, b], [upcast(a.type.dtype, b.type.dtype)] * 2)
    if b.type.ndim == 0 or a.type.ndim != 2:
        raise user_error(ShapeError, f"lstsq takes a matrix, and a vector or matrix, got {a.type} and {b.type}", [a, b])
    is_vector = b.type.ndim == 1
    share = default_share(a) if rcond is None else as_operand(rcond)
    x, residuals, rank, values = LeastSquares()(a, b.dimshuffle(0, "x") if is_vector else b, share)
    return x.dimshuffle(0) if is_vector else x, residuals, rank, values


__all__ = ["lstsq", "pinv"]
