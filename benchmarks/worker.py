"""One peer in a process of its own, with the threads it was given; answers the harness in lines of JSON.

A process each keeps the frameworks' thread pools, allocators and settings apart. The harness lets one of them work at
a time; the others wait for their next line. A peer that fails ends its process, with its traceback on stderr.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks.contestants import PEERS
from benchmarks.expressions import Expression
from benchmarks.sequences import SequenceWorkload
from benchmarks.steps import ExpressionStep, Peer, PeerUnavailable, TrainingStep
from benchmarks.workloads import CHECK_STEPS, WORKLOADS, AnyWorkload, Workload

WARM_UP_STEPS = 2


class PeerServer:
    """The peer of this process, and the step it works on.

    Parameters
    ----------
    peer : Peer
        Builds the steps.
    images : float32 (n, 784)
        The training images.
    labels : int64 (n,)
        Their digits.
    """

    def __init__(self, peer: Peer, images: np.ndarray, labels: np.ndarray) -> None:
        self._peer = peer
        self._images = images
        self._labels = labels
        self._workload: AnyWorkload
        self._step: TrainingStep | ExpressionStep

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what a request's ``command`` says, with its other entries as arguments."""
        command = {"describe": self.describe, "build": self.build, "check": self.check, "time": self.time}
        return command[request.pop("command")](**request)

    def describe(self) -> dict[str, Any]:
        """Return the peer's title and versions."""
        return {"title": self._peer.title, "versions": self._peer.versions()}

    def build(self, workload: str) -> dict[str, Any]:
        """Build the step of a workload, or say why this peer can't."""
        self._workload = WORKLOADS[workload]
        try:
            if isinstance(self._workload, Workload):
                self._step = self._peer.build(self._workload, self._images, self._labels)
            elif isinstance(self._workload, SequenceWorkload):
                self._step = self._peer.build_sequence(self._workload)
            else:
                self._step = self._peer.build_expression(self._workload)
        except PeerUnavailable as reason:
            return {"unavailable": str(reason)}
        return {}

    def check(self, path: str) -> dict[str, Any]:
        """Run the first steps, twice, and leave the parameters after the first run, or the result, in `path`."""
        if isinstance(self._step, ExpressionStep):
            np.savez(path, self._step.result())
            return {"costs": [], "repeated_costs": []}
        self._restart()
        costs = self._step.costs(range(CHECK_STEPS))
        np.savez(path, *self._step.parameters())
        self._restart()
        return {"costs": costs, "repeated_costs": self._step.costs(range(CHECK_STEPS))}

    def time(self, steps: int) -> dict[str, Any]:
        """Time a block of steps; training starts from the initial parameters."""
        self._restart()
        count = self._workload.batch_count(len(self._images))
        self._step.run([index % count for index in range(WARM_UP_STEPS)])
        indices = [index % count for index in range(WARM_UP_STEPS, WARM_UP_STEPS + steps)]
        gc.collect()
        gc.disable()
        seconds, processor_seconds = self._step.seconds(indices)
        gc.enable()
        return {"seconds": seconds, "processor_seconds": processor_seconds}

    def _restart(self) -> None:
        """Go back to the initial parameters; an expression has none."""
        if isinstance(self._step, TrainingStep) and not isinstance(self._workload, Expression):
            self._step.load(self._workload.initial_parameters())


def serve(server: PeerServer, requests: TextIO, answers: TextIO) -> None:
    """Answer requests, one a line, until there are no more."""
    for line in requests:
        print(json.dumps(server.answer(json.loads(line))), file=answers, flush=True)


def start(peer_name: str, data: Path) -> PeerServer:
    """Import the peer and load the data set.

    Raises
    ------
    PeerUnavailable
        If a library that the peer needs isn't installed.
    """
    module, name = PEERS[peer_name]
    try:
        peer = getattr(importlib.import_module(module), name)()
    except ModuleNotFoundError as error:
        raise PeerUnavailable(f"{error.name} isn't installed (pip install {error.name})") from error
    return PeerServer(peer, np.load(data / "images.npy"), np.load(data / "labels.npy"))


def main() -> None:
    """Pin this process, start the peer, and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cpus", type=int, nargs="+", help="processors to run on")
    arguments = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get between the answers
    if arguments.cpus:
        os.sched_setaffinity(0, arguments.cpus)
    try:
        server = start(arguments.peer, arguments.data)
    except PeerUnavailable as reason:
        print(json.dumps({"unavailable": str(reason)}), file=answers, flush=True)
        return
    print(json.dumps(server.describe()), file=answers, flush=True)
    serve(server, sys.stdin, answers)


if __name__ == "__main__":
    main()
