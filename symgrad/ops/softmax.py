"""Softmax, its logarithm, and the losses that are made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, IndexingError, RankError, ShapeError
from symgrad.graph.op import InferenceError, Op, Sample, register, user_error
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.kernels.checks import mismatch
from symgrad.kernels.grammar import Kernel, Library
from symgrad.ops.axes import checked_axis
from symgrad.ops.casting import as_floats
from symgrad.ops.creation import arange
from symgrad.ops.elementwise import log
from symgrad.ops.promotion import as_operand, is_discrete
from symgrad.ops.reduction import sum as sum_over
from symgrad.ops.sampling import number, spread
from symgrad.ops.sizes import size_of


def softmax_of(x: np.ndarray, axis: int) -> np.ndarray:
    """``exp(x - max) / sum(exp(x - max))`` along `axis`, in NumPy."""
    with np.errstate(all="ignore"):
        result = np.exp(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
        return np.asarray(result / result.sum(axis=axis, keepdims=True), dtype=x.dtype)


def log_softmax_of(x: np.ndarray, axis: int) -> np.ndarray:
    """``x - max - log(sum(exp(x - max)))`` along `axis`, in NumPy."""
    with np.errstate(all="ignore"):
        shifted = x - x.max(axis=axis, keepdims=True, initial=-np.inf)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)), dtype=x.dtype)


@dataclass(frozen=True)
class _AlongAxis(Op):
    axis: int

    def infer(self, x: Any) -> list[TensorType]:
        if is_discrete(x.type.dtype) or x.type.dtype.startswith("complex"):
            raise InferenceError(DTypeError, f"{self.name} takes floats, got {x.type.dtype}")
        if not 0 <= self.axis < x.type.ndim:
            raise InferenceError(ShapeError, f"{self.name} got axis {self.axis} of {x.type}")
        return [x.type]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(1), Sample((spread(2, 3),))
        yield cls(0), Sample((spread(3, 1),))
        yield cls(1), Sample((np.zeros((2, 3, 2)),))
        yield cls(1), Sample((spread(2, 0),))
        yield cls(0), Sample((np.array([1e4, -1e4, 0.0]),), differentiable=False)
        yield cls(0), Sample((np.array([-np.inf, 0.0, 1.0], "float32"),))
        yield cls(0), Sample((spread(3, dtype="float16"),))
        yield cls(0), Sample((spread(3, dtype="int32"),), DTypeError)
        yield cls(1), Sample((spread(3),), ShapeError)


@register
@dataclass(frozen=True)
class Softmax(_AlongAxis):
    """``exp(x) / sum(exp(x))`` along an axis, without overflow."""

    @property
    def name(self) -> str:
        return "softmax"

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        return [softmax_of(x, self.axis)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [SoftmaxGradient(self.axis)(cotangents[0], outputs[0])]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The derivative of softmax is symmetric, so forward and reverse are the same."""
        return [None if tangents[0] is None else SoftmaxGradient(self.axis)(tangents[0], outputs[0])]

    def lower(self, apply: Apply) -> Kernel:
        return Library("softmax", (("axis", self.axis),))


@register
@dataclass(frozen=True)
class SoftmaxGradient(Op):
    """``p * (c - sum(c * p))``: the cotangent of softmax's input, from that of its output and the output p itself."""

    axis: int

    @property
    def name(self) -> str:
        return "softmax_gradient"

    def infer(self, cotangent: Any, p: Any) -> list[TensorType]:
        unlike = (cotangent.type.dtype, cotangent.type.ndim) != (p.type.dtype, p.type.ndim)
        if unlike or not 0 <= self.axis < p.type.ndim:
            raise InferenceError(
                ShapeError, f"{self.name} along axis {self.axis} got a cotangent {cotangent.type} of {p.type}"
            )
        for axis, pair in enumerate(zip(cotangent.type.shape, p.type.shape, strict=True)):
            if None not in pair and pair[0] != pair[1]:
                raise mismatch(self.name, pair, axis)
        return [p.type]

    def evaluate(self, cotangent: np.ndarray, p: np.ndarray) -> list[np.ndarray]:
        with np.errstate(all="ignore"):
            return [np.asarray((cotangent - (cotangent * p).sum(axis=self.axis, keepdims=True)) * p, dtype=p.dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (c, p), (outer,) = inputs, cotangents
        total = sum_over(c * p, axis=self.axis, keepdims=True)
        mixed = sum_over(outer * p, axis=self.axis, keepdims=True)
        return [self(outer, p), outer * (c - total) - mixed * c]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Linear in the cotangent; in p by the product rule."""
        (c, p), (dc, dp) = inputs, tangents
        terms = [self(dc, p)] if dc is not None else []
        if dp is not None:
            total = sum_over(c * p, axis=self.axis, keepdims=True)
            terms.append(dp * (c - total) - p * sum_over(c * dp, axis=self.axis, keepdims=True))
        return [sum(terms[1:], terms[0]) if terms else None]

    def lower(self, apply: Apply) -> Kernel:
        return Library("softmax_gradient", (("axis", self.axis),))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(1), Sample((spread(2, 3), spread(2, 3, low=0, high=1, start=6)))
        yield cls(0), Sample((spread(2, 1), spread(2, 1, low=0, high=1, start=6)))
        yield cls(1), Sample((spread(2, 0, dtype="float32"), spread(2, 0, dtype="float32")))
        yield cls(0), Sample((spread(2, 3), spread(2, 2)), ShapeError)


@register
@dataclass(frozen=True)
class LogSoftmax(_AlongAxis):
    """``x - log(sum(exp(x)))`` along an axis, without overflow."""

    @property
    def name(self) -> str:
        return "log_softmax"

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        return [log_softmax_of(x, self.axis)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        total = sum_over(cotangents[0], axis=self.axis, keepdims=True)
        return [cotangents[0] - Softmax(self.axis)(inputs[0]) * total]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangent less its mean under softmax."""
        if tangents[0] is None:
            return [None]
        weighted = Softmax(self.axis)(inputs[0]) * tangents[0]
        return [tangents[0] - sum_over(weighted, axis=self.axis, keepdims=True)]

    def lower(self, apply: Apply) -> Kernel:
        return Library("log_softmax", (("axis", self.axis),))


@register
@dataclass(frozen=True)
class LogSoftmaxAt(Op):
    """``log_softmax(x)[arange(n), labels]``, of a matrix of n rows, or `fewer` labels. Made by rewriting only."""

    fewer: bool = False

    @property
    def name(self) -> str:
        return "log_softmax_at"

    def infer(self, x: Any, labels: Any) -> list[TensorType]:
        rows, count = x.type.shape[0], labels.type.shape[0]
        if None not in (rows, count) and rows != count and not (self.fewer and count < rows):
            raise InferenceError(ShapeError, f"log_softmax_at got {count} labels for {rows} rows")
        return [TensorType(x.type.dtype, labels.type.shape, labels.type.broadcastable)]

    def evaluate(self, x: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
        return [log_softmax_of(x, 1)[np.arange(len(labels)), labels]]

    def lower(self, apply: Apply) -> Kernel:
        return Library("log_softmax_at", (("fewer", self.fewer),))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(), Sample((spread(2, 3), np.array([2, 0])), differentiable=False)
        yield cls(), Sample((spread(2, 3, dtype="float32"), np.array([1, 1], "int8")))
        yield cls(), Sample((spread(0, 3), np.array([], "int64")), differentiable=False)
        yield cls(), Sample((spread(2, 3), np.array([2, 0, 1])), ShapeError)
        yield cls(True), Sample((spread(3, 3), np.array([2, 0])), differentiable=False)
        yield cls(True), Sample((spread(2, 3), np.array([2, 0, 1])), ShapeError)
        yield cls(), Sample((spread(2, 3), np.array([2, 3])), IndexingError)


@register
@dataclass(frozen=True)
class LabelGradient(Op):
    """``scale * (p - one_hot(labels))`` for each row of softmax outputs p. Made by rewriting only.

    With `fewer` labels than rows, the rest is 0.
    """

    fewer: bool = False

    @property
    def name(self) -> str:
        return "label_gradient"

    def infer(self, p: Any, labels: Any, scale: Any) -> list[TensorType]:
        return [p.type]

    def evaluate(self, p: np.ndarray, labels: np.ndarray, scale: np.ndarray) -> list[np.ndarray]:
        if self.fewer and len(labels) < len(p):
            rest = np.zeros_like(p[len(labels) :])
            return [np.concatenate([*self.evaluate(p[: len(labels)], labels, scale), rest])]
        result = p.copy()
        result[np.arange(len(labels)), labels] -= 1
        return [np.asarray(result * np.broadcast_to(scale, labels.shape)[:, None], dtype=p.dtype)]

    def lower(self, apply: Apply) -> Kernel:
        return Library("label_gradient", (("fewer", self.fewer),), overwrites=None)

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        p = spread(2, 3, low=0, high=1)
        yield cls(), Sample((p, np.array([2, 0]), spread(2)), differentiable=False)
        yield cls(), Sample((p, np.array([1, 1], "int8"), number(0.5, "float64")), differentiable=False)
        yield cls(), Sample((p[:0], np.array([], "int64"), number(0.5, "float64")), differentiable=False)
        yield cls(), Sample((p, np.array([2, 0, 1]), number(0.5, "float64")), ShapeError)
        yield cls(True), Sample((p, np.array([2]), number(0.5, "float64")), differentiable=False)
        yield cls(True), Sample((spread(3, 3), np.array([2, 1]), spread(2)), differentiable=False)
        yield cls(), Sample((p, np.array([2, 3]), number(0.5, "float64")), IndexingError)


def _last_axis(x: Any, axis: int | None, where: str) -> int:
    if x.type.ndim == 0:
        raise user_error(ShapeError, f"{where} needs at least one axis, got a scalar", [x])
    return checked_axis(-1 if axis is None else axis, x, where)


def softmax(x: Any, axis: int | None = None) -> Any:
    """Softmax ``exp(x) / sum(exp(x))`` along `axis`.

    Parameters
    ----------
    x : tensor
        Floats (integers become ``floatX``), any shape.
    axis : int, optional
        By default the last: the rows of a matrix.

    Returns
    -------
    tensor
        Same shape. Theano turns a vector into a row; here it stays a vector.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.softmax([0., 0.]).eval())
    [0.5 0.5]
    """
    x = as_floats(x)
    return Softmax(_last_axis(x, axis, "softmax"))(x)


def log_softmax(x: Any, axis: int | None = None) -> Any:
    """Logarithm of `softmax`, computed without leaving the range of floats.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.log_softmax([0., 0.]).eval().round(3))
    [-0.693 -0.693]
    """
    x = as_floats(x)
    return LogSoftmax(_last_axis(x, axis, "log_softmax"))(x)


def categorical_crossentropy(coding_dist: Any, true_dist: Any) -> Any:
    """Cross-entropy between predicted and true distributions, one for each row.

    Parameters
    ----------
    coding_dist : tensor of shape (n, classes)
        Predicted probabilities, such as `softmax` gives.
    true_dist : integer vector of shape (n,), or tensor of shape (n, classes)
        Labels, or true probabilities.

    Returns
    -------
    tensor of shape (n,)
        ``-log(coding_dist[i, label_i])``, or ``-sum(true_dist * log(coding_dist))``. Theano's function of that name.

    Raises
    ------
    ShapeError
        If `true_dist` has neither one axis nor as many as `coding_dist`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.categorical_crossentropy([[0.5, 0.5], [0.9, 0.1]], [0, 1]).eval().round(3))
    [0.693 2.303]
    """
    p, true = as_operand(coding_dist), as_operand(true_dist)
    if true.type.ndim == p.type.ndim:
        return -sum_over(true * log(p), axis=p.type.ndim - 1)
    if true.type.ndim == p.type.ndim - 1 and p.type.ndim == 2:
        if not is_discrete(true.type.dtype):
            raise user_error(
                DTypeError, f"labels must be integers, got {true.type}", [true], "Cast them: T.cast(y, 'int32')."
            )
        return -log(p)[arange(size_of(p, 0)), true]
    raise user_error(
        RankError,
        f"categorical_crossentropy takes labels (n,) or probabilities (n, classes), got {true.type}",
        [p, true],
    )


def binary_crossentropy(output: Any, target: Any) -> Any:
    """Cross-entropy of probabilities for two classes: ``-(t * log(p) + (1 - t) * log(1 - p))``, elementwise.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.binary_crossentropy([0.5, 0.25], [1, 0]).eval().round(3))
    [0.693 0.288]
    """
    output, target = as_operand(output), as_operand(target)
    return -(target * log(output) + (1 - target) * log(1 - output))


logsoftmax = log_softmax

__all__ = ["binary_crossentropy", "categorical_crossentropy", "log_softmax", "logsoftmax", "softmax"]
