"""Times of kernels, while a function is profiled: what programs say about them.

A program that is asked for its times returns a `Stopwatch`. Its readings are words: when the last run began, how many
runs there were, and for each kernel the time spent in it so far, all as ticks of the stopwatch's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from symgrad.graph.op import Operand
from symgrad.graph.source import Source
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Evaluate, View
from symgrad.lowering import Step
from symgrad.lowering.steps import Fused
from symgrad.lowering.work import bytes_of_step, flops_of_step

BEGAN, RUNS, TIMES = 0, 1, 2
"""Where a reading has the start of the last run, the number of runs, and the times of the kernels from there on."""


class Clock:
    """Ticks that are nanoseconds of ``time.perf_counter_ns``."""

    def duration(self, ticks: int) -> float:
        """Return a duration in nanoseconds."""
        return ticks

    def moment(self, ticks: int) -> float:
        """Return a moment in nanoseconds of ``time.perf_counter_ns``."""
        return ticks


class Stopwatch(Protocol):
    """The times of one program's kernels, from when it was asked for until it is stopped."""

    @property
    def kernels(self) -> Sequence[TimedKernel]:
        """The kernels, in the order in which they run."""

    @property
    def clock(self) -> Clock:
        """What ticks mean."""

    @property
    def remark(self) -> str:
        """How the program runs, if there is something to say."""

    def read(self) -> Sequence[int]:
        """Return a reading."""

    def stop(self) -> None:
        """Let the program run as before."""


class PythonStopwatch:
    """The times of a program that is Python: it adds to the words itself.

    Parameters
    ----------
    kernels : sequence of TimedKernel
        The kernels, in order.
    restore : callable
        Makes the program run as before.
    """

    remark = ""

    def __init__(self, kernels: Sequence[TimedKernel], restore: Callable[[], None]) -> None:
        self.kernels = kernels
        self.clock = Clock()
        self.words = [0] * (TIMES + len(kernels))
        self._restore = restore

    def read(self) -> Sequence[int]:
        """Return a reading."""
        return list(self.words)

    def stop(self) -> None:
        """Let the program run as before."""
        self._restore()
        for kernel in self.kernels:
            if kernel.inside is not None:
                kernel.inside.stop()


@dataclass(eq=False)
class Inside:
    """What runs within a kernel that calls programs of its own.

    Attributes
    ----------
    stopwatches : list of Stopwatch
        Of its programs; there are more as soon as it has made more.
    preparing : int
        Nanoseconds spent on making programs.
    stopped : bool
        Whether nobody reads them any more.
    """

    stopwatches: list[Stopwatch] = field(default_factory=list)
    preparing: int = 0
    stopped: bool = False

    def stop(self) -> None:
        """Let all programs run as before."""
        self.stopped = True
        for stopwatch in self.stopwatches:
            stopwatch.stop()


@dataclass(frozen=True, eq=False)
class TimedKernel:
    """One kernel of a program.

    Attributes
    ----------
    name : str
        What it does.
    lines : sequence of Source
        The user's lines that it came from.
    flops, bytes : int
        What a call computes, and reads and writes at the least; 0 if that isn't known.
    threads : int
        How many threads run it.
    inside : Inside or None
        The programs that it calls.
    device : str
        Where it runs: ``cpu``, or the name of a GPU.
    """

    name: str
    lines: Sequence[Source] = ()
    flops: int = 0
    bytes: int = 0
    threads: int = 1
    inside: Inside | None = None
    device: str = "cpu"


def lines_of(step: Step | None) -> list[Source]:
    """Return the user's lines that a step came from, each once."""
    if step is None:
        return []
    parts = step.kernel.steps if isinstance(step.kernel, Fused) else (step,)
    return list(dict.fromkeys(part.source for part in parts if part.source is not None))


def timed_step(step: Step, types: Mapping[Variable, Operand], threads: int = 1) -> TimedKernel:
    """Return what a profile says of a step that is run by itself."""
    name = f"view ({step.name})" if isinstance(step.kernel, View) else step.name
    timed = getattr(step.kernel.evaluate, "timed", None) if isinstance(step.kernel, Evaluate) else None
    inside = None if timed is None else timed()
    return TimedKernel(name, lines_of(step), flops_of_step(step, types), bytes_of_step(step, types), threads, inside)
