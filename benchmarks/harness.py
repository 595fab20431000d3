"""Runs the peers in turn: a process each, one at a time, round after round."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from benchmarks.check import Record, check
from benchmarks.steps import PeerUnavailable
from benchmarks.workloads import Workload

ROOT = Path(__file__).resolve().parent.parent

LIBRARIES = {"symgrad": "symgrad", "torch-eager": "torch", "torch-compile": "torch", "jax": "jax", "numpy": "numpy"}
"""The library that each peer needs, in the table's order."""

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "NPROC": "1",
    "JAX_PLATFORMS": "cpu",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",
}
"""The environment of every peer, set before it imports anything."""

MINIMUM_STEPS = 5


class WorkerError(Exception):
    """A peer failed; its own traceback is on stderr."""


class Timed(Protocol):
    """What the rounds need of a peer: to time a block of steps."""

    def time(self, steps: int) -> tuple[float, float]:
        """Return wall and processor seconds of a block."""


@dataclass
class Samples:
    """What the rounds measured for one peer and one workload, in seconds a step."""

    steps: int
    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median over rounds of the wall time of a step."""
        return float(np.median(self.wall))

    @property
    def processor_share(self) -> float:
        """How much of the wall time the peer had a processor for: below 1 on a busy machine."""
        return float(np.median(np.divide(self.processor, self.wall)))


class Worker:
    """A peer's process, seen from the harness.

    Parameters
    ----------
    name : str
        The peer's name, a key of `LIBRARIES`.
    data : Path
        The folder with ``images.npy`` and ``labels.npy``.
    cpu : int or None
        The processor it is pinned to.

    Raises
    ------
    PeerUnavailable
        If a library or a compiler that it needs isn't installed.
    WorkerError
        If it fails in any other way, here or later.
    """

    def __init__(self, name: str, data: Path, cpu: int | None) -> None:
        self.name = name
        library = LIBRARIES[name]
        if importlib.util.find_spec(library) is None:
            raise PeerUnavailable(f"{library} isn't installed (pip install {library})")
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        command = [sys.executable, "-m", "benchmarks.worker", name, "--data", str(data)]
        if cpu is not None:
            command += ["--cpu", str(cpu)]
        self._data = data
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": path},
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

    def build(self, workload: Workload) -> None:
        """Build the step of `workload`."""
        self._ask(command="build", workload=workload.name)

    def record(self) -> Record:
        """Run the first steps and return what they did."""
        path = self._data / f"{self.name}.npz"
        answer = self._ask(command="check", path=str(path))
        with np.load(path) as parameters:
            arrays = [parameters[f"arr_{position}"] for position in range(len(parameters.files))]
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
            raise WorkerError(f"{self.name} failed: its process ended with status {status}, its own words are above")
        answer = json.loads(line)
        if "unavailable" in answer:
            raise PeerUnavailable(answer["unavailable"])
        return answer


def steps_for(seconds_per_step: float, block_seconds: float) -> int:
    """Return how many steps make a block of about `block_seconds`, five at least."""
    return max(MINIMUM_STEPS, round(block_seconds / seconds_per_step))


def calibrate(worker: Timed, block_seconds: float) -> int:
    """Return the block's number of steps, from a short block and then from a tenth of a whole one."""
    first = worker.time(MINIMUM_STEPS)[0] / MINIMUM_STEPS
    steps = steps_for(first, block_seconds / 10)
    return steps_for(worker.time(steps)[0] / steps, block_seconds)


def interleave(workers: dict[str, Timed], rounds: int, block_seconds: float) -> dict[str, Samples]:
    """Time every worker once in each round, in order, so that all see the same weather.

    Parameters
    ----------
    workers : dict
        By name, in the order of the rounds.
    rounds : int
        How many rounds.
    block_seconds : float
        About how long each worker runs in a round.

    Returns
    -------
    dict of Samples
        By name.
    """
    samples = {name: Samples(calibrate(worker, block_seconds)) for name, worker in workers.items()}
    for _ in range(rounds):
        for name, worker in workers.items():
            steps = samples[name].steps
            wall, processor = worker.time(steps)
            samples[name].wall.append(wall / steps)
            samples[name].processor.append(processor / steps)
    return samples


@dataclass
class Result:
    """One row of the table.

    Attributes
    ----------
    workload : Workload
        What was run.
    differences : dict of float
        By peer, the largest relative difference of a cost from the reference's.
    samples : dict of Samples
        By peer; empty if only the check was asked for.
    """

    workload: Workload
    differences: dict[str, float]
    samples: dict[str, Samples]


@dataclass
class Comparison:
    """Everything a run found out: rows, peers with titles and versions, peers left out and why."""

    results: list[Result] = field(default_factory=list)
    titles: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def start_workers(
    names: Sequence[str], data: Path, cpu: int | None, stack: ExitStack, comparison: Comparison
) -> dict[str, Worker]:
    """Start a process for each peer that is available; note the others in `comparison`."""
    workers = {}
    for name in names:
        try:
            worker = stack.enter_context(Worker(name, data, cpu))
        except PeerUnavailable as reason:
            comparison.left_out[name] = str(reason)
            continue
        workers[name] = worker
        comparison.titles[name] = worker.title
        comparison.versions.update(worker.versions)
    return workers


def compare(
    workloads: Sequence[Workload],
    peers: Sequence[str],
    images: np.ndarray,
    labels: np.ndarray,
    *,
    rounds: int,
    block_seconds: float,
    cpu: int | None,
    say: Callable[[str], None],
) -> Comparison:
    """Check that the peers compute the same steps, then time them.

    Parameters
    ----------
    workloads : sequence of Workload
        The rows.
    peers : sequence of str
        Names of peers; those that aren't installed are left out and noted.
    images : float32 (n, 784)
        The training images.
    labels : int64 (n,)
        Their digits.
    rounds : int
        How often each peer is timed; 0 stops after the check.
    block_seconds : float
        About how long each time.
    cpu : int or None
        The processor that all of them are pinned to.
    say : callable
        Gets a line of progress.

    Raises
    ------
    CheckFailure
        If they don't compute the same.
    WorkerError
        If one of them fails.
    """
    comparison = Comparison()
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        np.save(data / "images.npy", images)
        np.save(data / "labels.npy", labels)
        workers = start_workers(peers, data, cpu, stack, comparison)
        for name, reason in comparison.left_out.items():
            say(f"{name} is left out: {reason}")
        for workload in workloads if workers else ():
            for name, worker in workers.items():
                say(f"{workload.name}: {name} builds the step")
                worker.build(workload)
            records = {name: worker.record() for name, worker in workers.items()}
            differences = check(workload, records, reference="numpy" if "numpy" in workers else next(iter(workers)))
            samples: dict[str, Samples] = {}
            if rounds:
                say(f"{workload.name}: all agree; {rounds} rounds")
                samples = interleave(dict(workers), rounds, block_seconds)
            comparison.results.append(Result(workload, differences, samples))
    return comparison
