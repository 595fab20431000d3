"""Many replays of a graph, with other allocations and other programs in between: its memory must stay its own."""

from __future__ import annotations

import importlib
import random
import time
from typing import Any

import numpy as np

import symgrad
import symgrad.tensor as T
from benchmarks.gpu_parts.networks import Trainer, mnist
from benchmarks.gpu_parts.results import DONE, FAILED, Deadline, Options, Results, run_part

REPLAYS = 10_000
DISTURBED_EVERY = 10
LARGEST_BYTES = 1 << 26


class Disturbance:
    """Whoever else uses the device: arrays that come and go, and another function with changing sizes.

    Parameters
    ----------
    trainer : Trainer
        Its parameters are read, and written with what they hold.
    largest : int
        Bytes of the largest array.
    """

    def __init__(self, trainer: Trainer, largest: int) -> None:
        self._cupy: Any = importlib.import_module("cupy")
        self._random = random.Random(0)
        self._held: list[Any] = []
        self._trainer, self._largest = trainer, largest
        x = T.fmatrix("x")
        self._other = symgrad.function([x], T.tanh(x).sum(axis=0))

    def disturb(self) -> None:
        """Do one of these things."""
        self._random.choice([self._allocate, self._allocate, self._free, self._give_back, self._call, self._touch])()

    def _allocate(self) -> None:
        size = int(2 ** self._random.uniform(0, np.log2(self._largest)))
        self._held.append(self._cupy.asarray(np.full(size, 255, np.uint8)))  # read as floats, these are NaN

    def _free(self) -> None:
        self._random.shuffle(self._held)
        del self._held[len(self._held) // 2 :]

    def _give_back(self) -> None:
        self._held.clear()
        self._cupy.get_default_memory_pool().free_all_blocks()

    def _call(self) -> None:
        rows = self._random.choice([1, 3, 64])
        found = self._other(np.ones((rows, 5), np.float32))
        np.testing.assert_allclose(found, np.tanh(1.0) * rows, rtol=1e-5)

    def _touch(self) -> None:
        parameter = self._random.choice(self._trainer.net.params)
        parameter.set_value(parameter.get_value())


def replay(options: Options, results: Results, deadline: Deadline) -> int:
    """Train with and without disturbance, and compare every bit."""
    trainer = Trainer(mnist(options.dry_run), options.dry_run)
    replays = 20 if options.dry_run else REPLAYS
    indices = [number % trainer.batches for number in range(replays)]
    began = time.perf_counter()
    trainer.train(indices)
    expected = trainer.digest()
    results.add(replays=replays, undisturbed_seconds=time.perf_counter() - began)
    trainer.restart()
    disturbance = Disturbance(trainer, 1 << 12 if options.dry_run else LARGEST_BYTES)
    began = time.perf_counter()
    done = 0
    for done, index in enumerate(indices, 1):
        trainer.step(index)
        if done % DISTURBED_EVERY == 0:
            disturbance.disturb()
        if deadline.left < 0:
            break
    same = trainer.digest() == expected if done == replays else None
    results.add(disturbed=done, disturbed_seconds=time.perf_counter() - began, same=same)
    return DONE if same else FAILED


if __name__ == "__main__":
    raise SystemExit(run_part(replay))
