"""One peer on the GPU in a process of its own; answers the comparison in lines of JSON."""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import sys
import traceback
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks.gpu_parts.children import standing_in
from benchmarks.gpu_parts.workloads import Block, workloads
from benchmarks.sequences import SequenceWorkload
from benchmarks.steps import ExpressionStep, PeerUnavailable, TrainingStep
from benchmarks.workloads import CHECK_STEPS, Workload

PEERS = {
    "symgrad": ("benchmarks.gpu_parts.peer_symgrad", "SymgradPeer"),
    "symgrad-stays": ("benchmarks.gpu_parts.peer_symgrad", "SymgradStaysPeer"),
    "symgrad-repeat": ("benchmarks.gpu_parts.peer_symgrad", "SymgradRepeatPeer"),
    "torch": ("benchmarks.gpu_parts.peer_torch", "TorchPeer"),
    "torch-compile": ("benchmarks.gpu_parts.peer_torch", "TorchCompilePeer"),
    "torch-graphed": ("benchmarks.gpu_parts.peer_torch", "TorchGraphedPeer"),
    "jax": ("benchmarks.gpu_parts.peer_jax", "GpuPeer"),
    "jax-loop": ("benchmarks.gpu_parts.peer_jax", "GpuLoopPeer"),
}
"""Where each peer is written, in the table's order."""

OURS = ("symgrad", "symgrad-stays", "symgrad-repeat")
"""The peers that are symgrad."""

WARM_UP_STEPS = 12
"""Programs are captured in their second call; steps that are repeated, some of them together."""

LONG_WARM_UP_STEPS = 3
"""Of work whose steps take long."""

LARGEST_CHECKED = 2_000_000
"""Of arrays with more elements the first rows are checked."""


class Server:
    """The peer of this process, and the step it works on.

    Parameters
    ----------
    peer : str
        A key of `PEERS`.
    data : Path
        The folder with ``images.npy`` and ``labels.npy``.
    tiny : bool
        Whether the workloads are as small as they can be.
    """

    def __init__(self, peer: str, data: Path, tiny: bool) -> None:
        module, name = PEERS[peer]
        try:
            self._peer = getattr(importlib.import_module(module), name)()
        except ModuleNotFoundError as error:
            raise PeerUnavailable(f"{error.name} isn't installed") from error
        self._data, self._works = data, workloads(tiny)
        self._work: Any = None
        self._step: Any = None
        self._initial: list[np.ndarray] = []

    @cached_property
    def _images(self) -> tuple[np.ndarray, np.ndarray]:
        return np.load(self._data / "images.npy"), np.load(self._data / "labels.npy")

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what a request's ``command`` says, with its other entries as arguments."""
        command = {"describe": self.describe, "build": self.build, "check": self.check, "time": self.time}
        return command[request.pop("command")](**request)

    def describe(self) -> dict[str, Any]:
        """Return the peer's title and versions."""
        return {"title": self._peer.title, "versions": self._peer.versions()}

    def build(self, workload: str) -> dict[str, Any]:
        """Build the step of a workload and do it a few times, or say why this peer can't."""
        self._step = None  # frees the memory of the last one
        gc.collect()
        self._work = self._works[workload]
        self._step = self._peer.build(self._work, *self._images)
        trains = isinstance(self._step, TrainingStep)
        self._initial = self._work.initial_parameters() if trains else []
        self._step.run(self._indices(self._warm_up_steps))
        self._step.wait()
        return {}

    @property
    def _warm_up_steps(self) -> int:
        return WARM_UP_STEPS if isinstance(self._work, (Workload, SequenceWorkload)) else LONG_WARM_UP_STEPS

    def check(self, path: str) -> dict[str, Any]:
        """Run the first steps, twice, and leave the parameters after the first run, or the result, in `path`."""
        if isinstance(self._step, ExpressionStep):
            np.savez(path, excerpt(self._step.result()))
            return {"costs": [], "repeated_costs": []}
        self._step.load(self._initial)
        costs = self._step.costs(self._indices(CHECK_STEPS))
        np.savez(path, *map(excerpt, self._step.parameters()))
        self._step.load(self._initial)
        return {"costs": costs, "repeated_costs": self._step.costs(self._indices(CHECK_STEPS))}

    def time(self, steps: int) -> dict[str, Any]:
        """Time a block of steps; networks start from their initial parameters."""
        if isinstance(self._step, TrainingStep) and not isinstance(self._work, Block):
            self._step.load(self._initial)
        before = self._warm_up_steps
        indices = self._indices(before + steps)
        self._step.run(indices[:before])
        gc.collect()
        gc.disable()
        seconds, _ = self._step.seconds(indices[before:])
        gc.enable()
        return {"seconds": seconds}

    def _indices(self, count: int) -> list[int]:
        """Return the numbers of the first minibatches."""
        batches = getattr(self._work, "batch_count", None)
        return [index % (batches(len(self._images[0])) if batches else 1) for index in range(count)]


def excerpt(array: np.ndarray) -> np.ndarray:
    """Return the first rows of a large array, and a small one as it is."""
    return array[: max(LARGEST_CHECKED * len(array) // array.size, 1)] if array.size > LARGEST_CHECKED else array


def serve(server: Server, requests: TextIO, answers: TextIO) -> None:
    """Answer requests, one a line, until there are no more; an error is an answer too."""
    for line in requests:
        try:
            answer = server.answer(json.loads(line))
        except PeerUnavailable as reason:
            answer = {"unavailable": str(reason)}
        except Exception as error:
            traceback.print_exc()
            words = str(error).splitlines() or [""]
            answer = {"error": f"{type(error).__name__}: {words[0]}"[:300]}
        print(json.dumps(answer), file=answers, flush=True)


def main() -> None:
    """Become a peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get between the answers
    with standing_in() if arguments.peer in OURS else nullcontext():
        start(arguments, answers)


def start(arguments: argparse.Namespace, answers: TextIO) -> None:
    """Start the peer, say who it is, and serve."""
    try:
        server = Server(arguments.peer, arguments.data, arguments.tiny)
    except PeerUnavailable as reason:
        print(json.dumps({"unavailable": str(reason)}), file=answers, flush=True)
        return
    print(json.dumps(server.describe()), file=answers, flush=True)
    serve(server, sys.stdin, answers)


if __name__ == "__main__":
    main()
