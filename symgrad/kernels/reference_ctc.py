"""Connectionist temporal classification in NumPy, in the logarithms of probabilities.

A path names a symbol or a blank (symbol 0) at every step. It spells the labels if they are left when repetitions are
joined and blanks are taken out. A path is followed over *states*: the labels with a blank before, between and after
them. Everything works on all examples at once, step by step; complex scores give derivatives along a direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

BLANK = 0


@dataclass(frozen=True)
class States:
    """The states of each example.

    Attributes
    ----------
    symbols : (B, S) int
        Which symbol a state stands for.
    may_skip : (B, S) bool
        Whether a path may come from two states before: over a blank, between labels that differ.
    last : (B,) int
        The state of the last blank; that of the last label is one before.
    """

    symbols: Array
    may_skip: Array
    last: Array

    @classmethod
    def of(cls, labels: Array) -> States:
        """Make the states of labels (B, L), of which negative ones don't count."""
        count, most = labels.shape
        kept = labels >= 0
        order = np.argsort(~kept, axis=1, kind="stable")
        lengths = kept.sum(axis=1)
        symbols = np.full((count, 2 * most + 1), BLANK)
        within = np.arange(most) < lengths[:, None]
        symbols[:, 1::2] = np.where(within, np.take_along_axis(labels, order, 1), BLANK)
        may_skip = np.zeros(symbols.shape, bool)
        may_skip[:, 2:] = (symbols[:, 2:] != BLANK) & (symbols[:, 2:] != symbols[:, :-2])
        return cls(symbols, may_skip, 2 * lengths)

    @property
    def ends(self) -> Array:
        """Whether a path may end in a state."""
        places = np.arange(self.symbols.shape[1])
        return (places == self.last[:, None]) | ((places == self.last[:, None] - 1) & (places >= 0))


def log_sum(*terms: Array) -> Array:
    """``log(exp(a) + exp(b) + ...)`` without overflow; takes complex numbers."""
    largest = terms[0].real
    for term in terms[1:]:
        largest = np.maximum(largest, term.real)
    shift = np.where(np.isfinite(largest), largest, 0)
    total = np.exp(terms[0] - shift)
    for term in terms[1:]:
        total = total + np.exp(term - shift)
    return np.asarray(np.log(total) + shift)


def log_sum_along(x: Array, axis: int, keepdims: bool = False) -> Array:
    """`log_sum` along an axis."""
    largest = x.real.max(axis=axis, keepdims=True, initial=-np.inf)
    shift = np.where(np.isfinite(largest), largest, 0)
    result = np.log(np.exp(x - shift).sum(axis=axis, keepdims=True)) + shift
    return result if keepdims else np.asarray(result).squeeze(axis)


def _earlier(x: Array, by: int) -> Array:
    """Return what stands `by` states before each."""
    moved = np.full_like(x, -np.inf)
    moved[:, by:] = x[:, : x.shape[1] - by]
    return moved


def _later(x: Array, by: int) -> Array:
    """Return what stands `by` states after each."""
    moved = np.full_like(x, -np.inf)
    moved[:, : x.shape[1] - by] = x[:, by:]
    return moved


def _emissions(scores: Array, states: States) -> Array:
    """Return (T, B, S): the logarithm of the probability that each state's symbol has at each step."""
    logarithms = scores - log_sum_along(scores, 2, keepdims=True)
    return np.take_along_axis(logarithms, np.broadcast_to(states.symbols, (len(scores), *states.symbols.shape)), 2)


def _beginnings(emissions: Array, states: States, lengths: Array) -> tuple[Array, Array]:
    """Return for every step and state the sum over paths up to there, (T, B, S), and for every example that over all.

    After an example's last step its sums stay as they are.
    """
    places = np.arange(states.symbols.shape[1])
    before = np.broadcast_to(np.where(places == 0, 0.0, -np.inf), states.symbols.shape).astype(emissions.dtype)
    skipped = np.where(states.may_skip, 0.0, -np.inf)
    sums = np.empty_like(emissions)
    for step, emission in enumerate(emissions):
        # At first all paths stand in the first blank, and no label can be skipped from there.
        jumps = _earlier(before, 2) + (skipped if step else -np.inf)
        reached = log_sum(before, _earlier(before, 1), jumps) + emission
        before = np.where(step < lengths[:, None], reached, before)
        sums[step] = before
    return sums, log_sum_along(np.where(states.ends, before, -np.inf), 1)


def _endings(emissions: Array, states: States, lengths: Array) -> Array:
    """Return for every step and state the sum over paths from there to the end, without the state's own emission."""
    at_end = np.where(states.ends, 0.0, -np.inf).astype(emissions.dtype)
    skipped = np.where(states.may_skip, 0.0, -np.inf)
    sums = np.empty_like(emissions)
    after = at_end
    for step in range(len(emissions) - 1, -1, -1):
        if step < len(emissions) - 1:
            reached = after + emissions[step + 1]
            after = log_sum(reached, _later(reached, 1), _later(reached + skipped, 2))
        after = np.where(step < lengths[:, None] - 1, after, at_end)
        sums[step] = after
    return sums


def ctc_costs(scores: Array, labels: Array, lengths: Array) -> Array:
    """Return ``-log(probability of the labels)`` of each example; infinite where no path is long enough.

    Parameters
    ----------
    scores : (T, B, V) float or complex
        Before the softmax over symbols.
    labels : (B, L) int
        Negative ones don't count.
    lengths : (B,) int
        How many steps each example has.
    """
    with np.errstate(all="ignore"):
        states = States.of(labels)
        _, total = _beginnings(_emissions(scores, states), states, lengths)
        return np.asarray(0.0 - total)


def ctc_gradient(scores: Array, labels: Array, lengths: Array) -> Array:
    """Return the derivatives (T, B, V) of `ctc_costs`: softmax less the share of paths that name a symbol at a step.

    They are 0 behind an example's last step, and for examples of infinite cost.
    """
    with np.errstate(all="ignore"):
        states = States.of(labels)
        emissions = _emissions(scores, states)
        beginnings, total = _beginnings(emissions, states, lengths)
        shares = np.exp(beginnings + _endings(emissions, states, lengths) - total[:, None])
        gradient = np.exp(scores - log_sum_along(scores, 2, keepdims=True))
        examples = np.arange(len(labels))
        for state, symbols in enumerate(states.symbols.T):
            gradient[:, examples, symbols] -= shares[:, :, state]
        counts = (np.arange(len(scores))[:, None] < lengths) & np.isfinite(total.real)
        return np.where(counts[:, :, None], gradient, 0)


def ctc_curvature(scores: Array, labels: Array, lengths: Array, direction: Array) -> Array:
    """Return the derivative of `ctc_gradient` along a direction: the symmetric second derivative times it.

    It is the imaginary part of the gradient at a point a tiny imaginary step away, which is exact to rounding.
    """
    step = 1e-100
    moved = ctc_gradient(scores + 1j * step * direction, labels, lengths)
    return np.asarray(moved.imag / step)
