"""What a peer is to the harness: something that builds training steps, and the step it built."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np


class PeerUnavailable(Exception):
    """A peer can't run here; the message says what is missing."""


class TrainingStep(ABC):
    """One workload in one peer, ready to be called with a minibatch's index.

    Attributes
    ----------
    step : callable
        ``step(index)`` selects minibatch ``index``, computes the cost and its gradient, updates the parameters, and
        returns the cost (float32 scalar) in whatever form the peer keeps it, without waiting for it.
    """

    step: Callable[[int], Any]

    @abstractmethod
    def load(self, parameters: Sequence[np.ndarray]) -> None:
        """Set the parameters: ``w, b`` of each layer, with the filters of a true convolution."""

    @abstractmethod
    def parameters(self) -> list[np.ndarray]:
        """Return copies of the parameters in the order and layout that `load` takes."""

    def wait(self) -> None:  # noqa: B027  (most peers have nothing to wait for)
        """Return when every step that was called is done; peers that compute in the background override this."""

    def costs(self, indices: Iterable[int]) -> list[float]:
        """Run the steps one by one and return their costs."""
        return [float(self.step(index)) for index in indices]

    def seconds(self, indices: Iterable[int]) -> tuple[float, float]:
        """Run the steps and return the wall time and the processor time they took, both in seconds."""
        step = self.step
        self.wait()
        processor_start = time.process_time()
        start = time.perf_counter()
        for index in indices:
            step(index)
        self.wait()
        return time.perf_counter() - start, time.process_time() - processor_start


class Peer(ABC):
    """A framework: its name, its versions, and how it writes a workload's step."""

    title: str
    """What the table calls it."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Return the version of each library that does the work."""

    @abstractmethod
    def build(self, workload: Any, images: np.ndarray, labels: np.ndarray) -> TrainingStep:
        """Return the step of `workload`, with the data set resident.

        Parameters
        ----------
        workload : Workload
            Layers and hyper-parameters.
        images : float32 (n, 784)
            The training images.
        labels : int64 (n,)
            Their digits.
        """
