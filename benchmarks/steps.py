"""What a peer is to the harness: something that builds steps, and the step it built."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from benchmarks.expressions import Expression
from benchmarks.sequences import SequenceWorkload


class PeerUnavailable(Exception):
    """A peer can't run here, or can't run this workload; the message says what is missing."""


class Step(ABC):
    """One workload in one peer, ready to be called again and again.

    Attributes
    ----------
    step : callable
        ``step(index)`` does the work once, on minibatch ``index`` where there are minibatches, and returns the cost or
        the result in whatever form the peer keeps it, without waiting for it.
    """

    step: Callable[[int], Any]

    def wait(self) -> None:  # noqa: B027  (most peers have nothing to wait for)
        """Return when every step that was called is done; peers that compute in the background override this."""

    def run(self, indices: Sequence[int]) -> None:
        """Do the work for each index; peers that loop inside their compiled code override this."""
        step = self.step
        for index in indices:
            step(index)

    def seconds(self, indices: Sequence[int]) -> tuple[float, float]:
        """Run the steps and return the wall time and the processor time they took, both in seconds."""
        self.wait()
        processor_start = time.process_time()
        start = time.perf_counter()
        self.run(indices)
        self.wait()
        return time.perf_counter() - start, time.process_time() - processor_start


class TrainingStep(Step):
    """A step that changes parameters and returns its cost, a float32 scalar."""

    @abstractmethod
    def load(self, parameters: Sequence[np.ndarray]) -> None:
        """Set the parameters: those of each layer in order, with the filters of a true convolution."""

    @abstractmethod
    def parameters(self) -> list[np.ndarray]:
        """Return copies of the parameters in the order and layout that `load` takes."""

    def costs(self, indices: Iterable[int]) -> list[float]:
        """Run the steps one by one and return their costs."""
        return [float(self.step(index)) for index in indices]


class ExpressionStep(Step):
    """A step that computes one array.

    Parameters
    ----------
    compute : callable
        ``compute()`` does the work and returns the result, in any form that NumPy can read, when it is done.
    """

    def __init__(self, compute: Callable[[], Any]) -> None:
        self._compute = compute

    def step(self, index: int) -> Any:
        """Do the work once."""
        return self._compute()

    def result(self) -> np.ndarray:
        """Return a copy of the result."""
        return np.asarray(self._compute()).copy()


class Peer(ABC):
    """A framework: its name, its versions, and how it writes a workload's step."""

    title: str
    """What the table calls it."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Return the version of each library that does the work."""

    @abstractmethod
    def build(self, workload: Any, images: np.ndarray, labels: np.ndarray) -> TrainingStep:
        """Return the step of a training workload, with the data set resident.

        Parameters
        ----------
        workload : Workload
            Layers and hyper-parameters.
        images : float32 (n, 784)
            The training images.
        labels : int64 (n,)
            Their digits.
        """

    def build_sequence(self, workload: SequenceWorkload) -> TrainingStep:
        """Return the step of a recurrent network.

        Raises
        ------
        PeerUnavailable
            If this peer has none.
        """
        raise PeerUnavailable("it isn't written for recurrent networks")

    def build_expression(self, expression: Expression) -> ExpressionStep:
        """Return the step of a plain expression.

        Raises
        ------
        PeerUnavailable
            If this peer is about loops over training steps.
        """
        raise PeerUnavailable("it loops over training steps, and this is no training step")
