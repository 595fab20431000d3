"""A recurrent network as a workload: an LSTM over sequences, as data that every peer reads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

MINIBATCHES = 8


@dataclass(frozen=True)
class SequenceWorkload:
    """One training step of an LSTM: plain stochastic gradient descent on a minibatch of sequences.

    With ``z = x_t @ w + h @ u + b`` and its four parts i, f, g, o, a step of the sequence is
    ``c = sigmoid(f) c + sigmoid(i) tanh(g)`` and ``h = sigmoid(o) tanh(c)``, from zeros on. The cost is the mean of
    ``(h - target)**2`` over all steps.

    Parameters
    ----------
    name : str
        What ``--only`` takes.
    title : str
        What the table shows.
    steps, batch_size, n_in, hidden : int
        Steps of a sequence, sequences in a minibatch, sizes of x_t and of h.
    eta : float
        Learning rate.
    """

    name: str
    title: str
    steps: int
    batch_size: int
    n_in: int
    hidden: int
    eta: float = 0.1

    has_dropout = False

    def batch_count(self, example_count: int) -> int:
        """Return the number of minibatches; the sequences are drawn, however many images there are."""
        return MINIBATCHES

    def sequences(self) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs and targets, float32 ``(minibatches, steps, batch, size)``."""
        random = np.random.RandomState(1)
        shape = (MINIBATCHES, self.steps, self.batch_size)
        inputs, targets = random.normal(size=(*shape, self.n_in)), random.uniform(-0.5, 0.5, (*shape, self.hidden))
        return inputs.astype(np.float32), targets.astype(np.float32)

    def initial_parameters(self, seed: int = 0) -> list[np.ndarray]:
        """Return w, u and b, float32; uniform in plus or minus 1 / sqrt(hidden), as PyTorch starts."""
        random, bound = np.random.RandomState(seed), 1 / math.sqrt(self.hidden)
        shapes = (self.n_in, 4 * self.hidden), (self.hidden, 4 * self.hidden), (4 * self.hidden,)
        return [random.uniform(-bound, bound, shape).astype(np.float32) for shape in shapes]

    def parameter_names(self) -> list[str]:
        """Return the names of the parameters in the order of `initial_parameters`."""
        return ["w", "u", "b"]


SEQUENCES = (SequenceWorkload("lstm", "LSTM 128-128, 100 steps, batch 16", 100, 16, 128, 128),)
