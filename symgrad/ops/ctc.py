"""Connectionist temporal classification: the cost of sequences whose labels say what comes, but not when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, IndexingError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, register
from symgrad.graph.types import TensorType
from symgrad.kernels import reference_ctc as reference
from symgrad.ops.axes import dimshuffle
from symgrad.ops.casting import cast
from symgrad.ops.promotion import as_operand, float_of, is_discrete, is_float
from symgrad.ops.reduction import sum as sum_over
from symgrad.ops.sampling import spread


class _Ctc(Op):
    """What the cost and its derivatives share: scores (T, B, V), labels (B, L) and lengths (B,)."""

    def check(self, scores: Any, labels: Any, lengths: Any) -> None:
        """Raise if the operands can't belong together."""
        if (scores.type.ndim, labels.type.ndim, lengths.type.ndim) != (3, 2, 1):
            raise InferenceError(
                ShapeError,
                "ctc takes activations (steps, batch, symbols), labels (batch, length) and input_lengths (batch), got "
                f"{scores.type}, {labels.type} and {lengths.type}",
            )
        if not is_float(scores.type.dtype) or not all(is_discrete(v.type.dtype) for v in (labels, lengths)):
            raise InferenceError(DTypeError, "ctc takes activations of floats, and labels and lengths of integers")
        counts = {scores.type.shape[1], labels.type.shape[0], lengths.type.shape[0]} - {None}
        if len(counts) > 1:
            raise InferenceError(
                ShapeError, f"ctc got batches of different sizes: {', '.join(map(str, sorted(counts)))}"
            )

    def checked(self, scores: np.ndarray, labels: np.ndarray, lengths: np.ndarray) -> list[Any]:
        """Return the operands as the reference takes them, or raise if a label or length can't be."""
        if labels.size and labels.max() >= scores.shape[2]:
            raise IndexingError(f"ctc got the label {labels.max()}, where there are {scores.shape[2]} symbols")
        if lengths.size and (lengths.min() < 0 or lengths.max() > len(scores)):
            raise IndexingError(
                f"ctc got input lengths from {lengths.min()} to {lengths.max()}, where there are {len(scores)} steps"
            )
        return [scores.astype("float64"), labels.astype("int64"), lengths.astype("int64")]


def _samples() -> Iterable[tuple[np.ndarray, ...]]:
    """Yield operands: repeated labels, no labels, labels that don't count, one step, steps that don't count."""
    yield spread(5, 2, 3), np.array([[1, 2], [2, 2]]), np.array([5, 4])
    yield spread(3, 2, 4), np.array([[3, -1], [-1, -1]], "int32"), np.array([3, 2], "int32")
    yield spread(1, 1, 2), np.array([[1]]), np.array([1])
    yield spread(4, 2, 3), np.zeros((2, 0), "int8"), np.array([4, 0])


def _bad_samples() -> Iterable[tuple[type[Exception], tuple[np.ndarray, ...]]]:
    yield ShapeError, (spread(4, 3), np.array([[1]]), np.array([4]))
    yield ShapeError, (spread(4, 2, 3), np.array([[1]]), np.array([4, 4]))
    yield DTypeError, (spread(4, 1, 3), np.array([[1.0]]), np.array([4]))
    yield IndexingError, (spread(4, 1, 3), np.array([[3]]), np.array([4]))
    yield IndexingError, (spread(4, 1, 3), np.array([[1]]), np.array([5]))


_NO_PATH = (spread(2, 2, 3), np.array([[1, 1], [1, 2]]), np.array([2, 2]))
"""Operands of which one example has no path: a repeated label needs a blank between."""


@register
@dataclass(frozen=True)
class Ctc(_Ctc):
    """``-log(probability)`` of the labels of each example, summed over all ways to spread them over the steps."""

    @property
    def name(self) -> str:
        return "ctc"

    def infer(self, scores: Any, labels: Any, lengths: Any) -> list[TensorType]:
        self.check(scores, labels, lengths)
        return [TensorType(scores.type.dtype, [scores.type.shape[1]])]

    def evaluate(self, *operands: np.ndarray) -> list[np.ndarray]:
        return [reference.ctc_costs(*self.checked(*operands)).astype(operands[0].dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [CtcGradient()(*inputs) * dimshuffle(cotangents[0], "x", 0, "x"), *_disconnected()]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The gradient times the tangent, for each example."""
        return [None if tangents[0] is None else sum_over(CtcGradient()(*inputs) * tangents[0], axis=(0, 2))]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for operands in _samples():
            yield cls(), Sample(operands)
        yield cls(), Sample((spread(3, 1, 2, dtype="float32"), np.array([[1]]), np.array([3])))
        yield cls(), Sample(_NO_PATH, differentiable=False)
        for error, operands in _bad_samples():
            yield cls(), Sample(operands, error)  # type: ignore[arg-type]


def _disconnected() -> list[Disconnected]:
    return [Disconnected("labels are integers"), Disconnected("lengths are integers")]


@register
@dataclass(frozen=True)
class CtcGradient(_Ctc):
    """The derivative of each example's cost with respect to its scores."""

    @property
    def name(self) -> str:
        return "ctc_gradient"

    def infer(self, scores: Any, labels: Any, lengths: Any) -> list[TensorType]:
        self.check(scores, labels, lengths)
        return [TensorType(scores.type.dtype, scores.type.shape)]

    def evaluate(self, *operands: np.ndarray) -> list[np.ndarray]:
        return [reference.ctc_gradient(*self.checked(*operands)).astype(operands[0].dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [CtcCurvature()(*inputs, cotangents[0]), *_disconnected()]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The second derivative is symmetric, so forward and reverse are the same."""
        return [None if tangents[0] is None else CtcCurvature()(*inputs, tangents[0])]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        # Once it can be differentiated, and no more: the tests of `ctc` compare its derivative.
        for operands in (*_samples(), _NO_PATH):
            yield cls(), Sample(operands, differentiable=False)
        for error, operands in _bad_samples():
            yield cls(), Sample(operands, error)  # type: ignore[arg-type]


@register
@dataclass(frozen=True)
class CtcCurvature(_Ctc):
    """The derivative of `CtcGradient` along a direction, which is also its gradient."""

    @property
    def name(self) -> str:
        return "ctc_curvature"

    def infer(self, scores: Any, labels: Any, lengths: Any, direction: Any) -> list[TensorType]:
        self.check(scores, labels, lengths)
        return [TensorType(scores.type.dtype, scores.type.shape)]

    def evaluate(self, *operands: np.ndarray) -> list[np.ndarray]:
        scores, labels, lengths = self.checked(*operands[:3])
        result = reference.ctc_curvature(scores, labels, lengths, operands[3].astype("float64"))
        return [result.astype(operands[0].dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        scores = Disconnected("ctc has no third derivative")
        return [scores, *_disconnected(), self(*inputs[:3], cotangents[0])]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Linear in the direction."""
        return [None if tangents[3] is None else self(*inputs[:3], tangents[3])]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for operands in (*_samples(), _NO_PATH):
            direction = spread(*operands[0].shape, start=50)
            yield cls(), Sample((*operands, direction), differentiable=False)


def ctc(activations: Any, labels: Any, input_lengths: Any) -> Any:
    """Return the cost of each sequence of a batch by connectionist temporal classification (Graves et al., 2006).

    At each step, a softmax over symbols gives probabilities. The cost is minus the logarithm of the probability that
    symbols drawn step by step spell the labels, when repetitions are joined and then blanks (symbol 0) are taken out.

    Parameters
    ----------
    activations : float tensor of shape (steps, batch, symbols)
        Scores before the softmax.
    labels : integer matrix of shape (batch, length)
        Labels of each sequence, from 1 on; negative numbers don't count, and fill up shorter ones.
    input_lengths : integer vector of shape (batch,)
        How many of the steps belong to each sequence.

    Returns
    -------
    vector of shape (batch,)
        Costs. One is infinite, with a gradient of 0, where a sequence has too few steps for its labels.

    Raises
    ------
    ShapeError, DTypeError
        If the operands don't fit together.
    IndexingError
        If a label isn't a symbol, or a length is beyond the steps; when the function is called.

    Notes
    -----
    Takes what Theano's ``nnet.ctc.ctc`` takes. Second derivatives exist.

    Examples
    --------
    Two steps, two symbols: of four paths three spell the one label.

    >>> import numpy as np, symgrad.tensor as T
    >>> cost = T.nnet.ctc(np.zeros((2, 1, 2)), np.array([[1]]), np.array([2]))
    >>> print(np.exp(-cost.eval()))
    [0.75]
    """
    scores = as_operand(activations)
    return Ctc()(cast(scores, float_of(scores.type.dtype)), as_operand(labels), as_operand(input_lengths))


__all__ = ["ctc"]
