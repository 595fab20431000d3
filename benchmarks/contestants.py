"""Who takes part: a peer with a number of threads, in a process of its own, and how its threads are set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from benchmarks.check import Record
from benchmarks.steps import PeerUnavailable
from benchmarks.workloads import AnyWorkload

ROOT = Path(__file__).resolve().parent.parent

PEERS = {
    "symgrad": ("benchmarks.symgrad_steps", "SymgradPeer"),
    "symgrad-repeat": ("benchmarks.symgrad_steps", "SymgradRepeatPeer"),
    "torch-eager": ("benchmarks.peers_torch", "TorchEagerPeer"),
    "torch-compile": ("benchmarks.peers_torch", "TorchCompilePeer"),
    "jax": ("benchmarks.peers_jax", "JaxPeer"),
    "jax-loop": ("benchmarks.peers_jax", "JaxLoopPeer"),
    "numpy": ("benchmarks.peer_numpy", "NumpyPeer"),
    "pytensor": ("benchmarks.peer_pytensor", "PytensorPeer"),
}
"""Where each peer is written, in the table's order."""

OURS = ("symgrad", "symgrad-repeat")
"""The peers that are symgrad."""


class WorkerError(Exception):
    """A peer failed; its own traceback is on stderr."""


@dataclass(frozen=True, order=True)
class Contestant:
    """A peer with a number of threads.

    Parameters
    ----------
    peer : str
        A key of `PEERS`.
    threads : int
        How many threads its libraries may use.
    """

    peer: str
    threads: int

    def __str__(self) -> str:
        return f"{self.peer}@{self.threads}"

    @classmethod
    def parse(cls, text: str) -> Contestant:
        """Return the contestant that a text such as ``jax@2`` names."""
        peer, _, threads = text.partition("@")
        return cls(peer, int(threads))


def environment(threads: int, backend: str = "auto") -> dict[str, str]:
    """Return the environment of a process with so many threads, to be set before it imports anything.

    OpenMP's variable is read by PyTorch (whose peer passes it to ``torch.set_num_threads`` too) and numba, OpenBLAS's
    by NumPy and SciPy, ``NPROC`` and the flags by XLA, and ``SYMGRAD_FLAGS`` by symgrad.

    Parameters
    ----------
    threads : int
        How many.
    backend : str
        symgrad's backend.
    """
    count = str(threads)
    flags = [os.environ.get("SYMGRAD_FLAGS", ""), f"threads={count}", f"backend={backend}"]
    eigen = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1" if threads == 1 else ""
    return {
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "VECLIB_MAXIMUM_THREADS": count,
        "NUMBA_NUM_THREADS": count,
        "XLA_FLAGS": eigen,
        "NPROC": count,
        "JAX_PLATFORMS": "cpu",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "SYMGRAD_FLAGS": ",".join(flag for flag in flags if flag),
    }


@dataclass(frozen=True)
class Place:
    """Where contestants run.

    Attributes
    ----------
    data : Path
        The folder with ``images.npy`` and ``labels.npy``.
    cpus : tuple of int
        Processors, the preferred one first; a contestant is pinned to as many as it has threads. Empty: not pinned.
    backend : str
        symgrad's backend.
    peers_python : str
        The interpreter of all peers but symgrad: their libraries may ask for other versions than symgrad does.
    """

    data: Path
    cpus: tuple[int, ...] = ()
    backend: str = "auto"
    peers_python: str = field(default=sys.executable)


class Worker:
    """A contestant's process, seen from the harness.

    Parameters
    ----------
    contestant : Contestant
        The peer and its threads.
    place : Place
        Where it runs.

    Raises
    ------
    PeerUnavailable
        If a library or a compiler that it needs isn't installed.
    WorkerError
        If it fails in any other way, here or later.
    """

    def __init__(self, contestant: Contestant, place: Place) -> None:
        self.contestant = contestant
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        python = sys.executable if contestant.peer in OURS else place.peers_python
        command = [python, "-m", "benchmarks.worker", contestant.peer, "--data", str(place.data)]
        if place.cpus:
            command += ["--cpus", *map(str, place.cpus[: contestant.threads])]
        self._data = place.data
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment(contestant.threads, place.backend), "PYTHONPATH": path},
        )
        try:
            description = self._receive()
        except (WorkerError, PeerUnavailable):
            self.close()
            raise
        self.title: str = description["title"]
        self.versions: dict[str, str] = description["versions"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process: no more requests, and it returns."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def build(self, workload: AnyWorkload) -> None:
        """Build the step of `workload`; raises PeerUnavailable if this peer can't."""
        self._ask(command="build", workload=workload.name)

    def record(self) -> Record:
        """Run the first steps and return what they did."""
        path = self._data / f"{self.contestant}.npz"
        answer = self._ask(command="check", path=str(path))
        with np.load(path) as parameters:
            arrays = [parameters[f"arr_{position}"] for position in range(len(parameters.files))]
        path.unlink()
        return Record(answer["costs"], arrays, answer["repeated_costs"])

    def time(self, steps: int) -> tuple[float, float]:
        """Return wall and processor seconds of a block of `steps` steps."""
        answer = self._ask(command="time", steps=steps)
        return answer["seconds"], answer["processor_seconds"]

    def _ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and return its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._receive()

    def _receive(self) -> dict[str, Any]:
        """Return the next answer; the end of the process is an error."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            raise WorkerError(
                f"{self.contestant} failed: its process ended with status {status}, its own words are above"
            )
        answer: dict[str, Any] = json.loads(line)
        if "unavailable" in answer:
            raise PeerUnavailable(answer["unavailable"])
        return answer


def contestants_of(peers: Sequence[str], threads: Sequence[int]) -> list[Contestant]:
    """Return every peer with every number of threads, in the table's order."""
    return [Contestant(peer, count) for peer in PEERS if peer in peers for count in threads]
