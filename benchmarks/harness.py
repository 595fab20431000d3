"""Runs the contestants in turn: a process each, one at a time, round after round."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from benchmarks.check import Record, check
from benchmarks.contestants import OURS, Contestant, Place, Worker
from benchmarks.steps import PeerUnavailable
from benchmarks.workloads import AnyWorkload

MINIMUM_STEPS = 2

SCREENING_ROUNDS = 3
"""After so many rounds, those who can't win any more are left alone."""

TOO_SLOW = 2.0
"""How many times as long as the fastest peer somebody takes who can't win any more."""


class Timed(Protocol):
    """What the rounds need of a contestant: to time a block of steps."""

    def time(self, steps: int) -> tuple[float, float]:
        """Return wall and processor seconds of a block."""


@dataclass
class Samples:
    """What the rounds measured for one contestant and one workload, in seconds a step."""

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


def steps_for(seconds_per_step: float, block_seconds: float) -> int:
    """Return how many steps make a block of about `block_seconds`, two at least."""
    return max(MINIMUM_STEPS, round(block_seconds / seconds_per_step))


def calibrate(worker: Timed, block_seconds: float) -> int:
    """Return the block's number of steps, from a short block and then from a tenth of a whole one."""
    first = worker.time(MINIMUM_STEPS)[0] / MINIMUM_STEPS
    steps = steps_for(first, block_seconds / 10)
    if steps == MINIMUM_STEPS:
        return steps_for(first, block_seconds)
    return steps_for(worker.time(steps)[0] / steps, block_seconds)


def interleave(workers: Mapping[Contestant, Timed], rounds: int, block_seconds: float) -> dict[Contestant, Samples]:
    """Time every worker once in each round, in order, so that all see the same weather.

    After the first few rounds, peers that take more than twice as long as the fastest one are left alone.

    Parameters
    ----------
    workers : mapping
        By contestant, in the order of the rounds.
    rounds : int
        How many rounds.
    block_seconds : float
        About how long each worker runs in a round.

    Returns
    -------
    dict of Samples
        By contestant.
    """
    samples = {contestant: Samples(calibrate(worker, block_seconds)) for contestant, worker in workers.items()}
    running = list(workers)
    for position in range(rounds):
        if position == SCREENING_ROUNDS:
            running = contenders(samples)
        for contestant in running:
            measured = samples[contestant]
            wall, processor = workers[contestant].time(measured.steps)
            measured.wall.append(wall / measured.steps)
            measured.processor.append(processor / measured.steps)
    return samples


def contenders(samples: Mapping[Contestant, Samples]) -> list[Contestant]:
    """Return symgrad and the peers that may still turn out to be the fastest."""
    fastest = min((s.median for contestant, s in samples.items() if contestant.peer not in OURS), default=np.inf)
    return [c for c, measured in samples.items() if c.peer in OURS or measured.median <= TOO_SLOW * fastest]


@dataclass
class Result:
    """What was found out about one workload.

    Attributes
    ----------
    workload : Workload or Expression
        What was run.
    differences : dict of float
        By contestant, the largest relative difference from the reference.
    samples : dict of Samples
        By contestant; empty if only the check was asked for.
    left_out : dict of str
        By peer, why it doesn't run this workload.
    """

    workload: AnyWorkload
    differences: dict[Contestant, float]
    samples: dict[Contestant, Samples]
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass
class Comparison:
    """Everything a run found out: results, peers with titles and versions, peers left out and why."""

    results: list[Result] = field(default_factory=list)
    titles: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def start_workers(
    contestants: Sequence[Contestant], place: Place, stack: ExitStack, comparison: Comparison
) -> dict[Contestant, Worker]:
    """Start a process for each contestant that is available; note the others in `comparison`."""
    workers: dict[Contestant, Worker] = {}
    for contestant in contestants:
        if contestant.peer in comparison.left_out:
            continue
        try:
            worker = stack.enter_context(Worker(contestant, place))
        except PeerUnavailable as reason:
            comparison.left_out[contestant.peer] = str(reason)
            continue
        workers[contestant] = worker
        comparison.titles[contestant.peer] = worker.title
        comparison.versions.update(worker.versions)
    return workers


@contextmanager
def with_data(place: Place, images: np.ndarray, labels: np.ndarray) -> Iterator[Place]:
    """Write the data set to a folder that lives as long as the block."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "images.npy", images)
        np.save(Path(folder) / "labels.npy", labels)
        yield replace(place, data=Path(folder))


def reference_of(records: Mapping[Contestant, Record]) -> Contestant:
    """Return whom the others are compared with: the NumPy program where it takes part."""
    return next((contestant for contestant in records if contestant.peer == "numpy"), next(iter(records)))


def compare(
    workloads: Sequence[AnyWorkload],
    contestants: Sequence[Contestant],
    images: np.ndarray,
    labels: np.ndarray,
    *,
    rounds: int,
    block_seconds: float,
    place: Place,
    say: Callable[[str], None],
) -> Comparison:
    """Check that the contestants compute the same steps, then time them.

    Parameters
    ----------
    workloads : sequence of Workload or Expression
        What is run.
    contestants : sequence of Contestant
        Who runs it; those that aren't installed are left out and noted.
    images : float32 (n, 784)
        The training images.
    labels : int64 (n,)
        Their digits.
    rounds : int
        How often each contestant is timed; 0 stops after the check.
    block_seconds : float
        About how long each time.
    place : Place
        Where they run; its folder of data is replaced.
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
        place = stack.enter_context(with_data(place, images, labels))
        workers = start_workers(contestants, place, stack, comparison)
        for name, reason in comparison.left_out.items():
            say(f"{name} is left out: {reason}")
        for workload in workloads if workers else ():
            comparison.results.append(_run(workload, workers, rounds, block_seconds, say))
    return comparison


def _run(
    workload: AnyWorkload,
    workers: Mapping[Contestant, Worker],
    rounds: int,
    block_seconds: float,
    say: Callable[[str], None],
) -> Result:
    """Check and time one workload."""
    built, left_out = {}, {}
    for contestant, worker in workers.items():
        if contestant.peer in left_out:
            continue
        say(f"{workload.name}: {contestant} builds the step")
        try:
            worker.build(workload)
        except PeerUnavailable as reason:
            left_out[contestant.peer] = str(reason)
            continue
        built[contestant] = worker
    if not built:
        return Result(workload, {}, {}, left_out)
    records = {contestant: worker.record() for contestant, worker in built.items()}
    reference = str(reference_of(records))
    by_name = check(workload, {str(contestant): record for contestant, record in records.items()}, reference)
    differences = {contestant: by_name[str(contestant)] for contestant in records}
    samples: dict[Contestant, Samples] = {}
    if rounds:
        say(f"{workload.name}: all agree; {rounds} rounds")
        samples = interleave(built, rounds, block_seconds)
    return Result(workload, differences, samples, left_out)
