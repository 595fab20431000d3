"""The protocol between the compiler and its backends."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from weakref import WeakValueDictionary

import numpy as np

from symgrad.backends.timing import Stopwatch
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.variables import Container
from symgrad.lowering import Step
from symgrad.lowering.open_sizes import OpenSizes
from symgrad.lowering.plan import Plan, Traits


class Miss:
    """What a program's entry answers where only Python can go on."""

    def __repr__(self) -> str:
        return "<miss>"


MISS = Miss()


class Number(enum.IntEnum):
    """Which Python numbers an input takes without being asked, and as what."""

    NONE = 0
    INT64 = 1
    FLOAT64 = 2
    FLOAT32 = 3
    ARRAY = 4
    """None, and none of NumPy's either: the input is strict."""


class Turn(Protocol):
    """Sees to it that only one thread at a time runs a program of a function."""

    def take(self) -> None:
        """Wait until no call runs, and let none begin but through Python. The caller holds the function's lock."""

    def give_back(self) -> None:
        """Let others have the turn, unless it wasn't taken: an interrupt may have ended the wait for it."""


class PythonsTurn:
    """Nothing to wait for: all calls go through Python, and so through the function's lock."""

    def take(self) -> None:
        """It is free."""

    def give_back(self) -> None:
        """It always is."""


class Program(Protocol):
    """A plan made executable, for fixed sizes of inputs and shared variables."""

    @property
    def device(self) -> Any:
        """The device that shared variables have to be on; None is the host."""

    @property
    def source(self) -> str:
        """The program as text."""

    @property
    def run(self) -> Callable[..., Sequence[np.ndarray]]:
        """Computes the outputs from inputs and shared values, in order, and carries out the updates."""

    def entry(self, numbers: Sequence[int], as_list: bool, turn: Turn) -> Callable[..., Any] | None:
        """Return what answers a call at once, or with `MISS` where `run` must; None if there is no such thing.

        Parameters
        ----------
        numbers : sequence of int
            For each input, which Python numbers it takes.
        as_list : bool
            Whether it returns a list of results, or the only one itself.
        turn : Turn
            What all programs of the function share.
        """

    def repeat(self, sequences: Sequence[np.ndarray], results: Sequence[np.ndarray], count: int) -> int:
        """Run `count` steps after a call that just succeeded, and return how many were done.

        Step k gets row k of each sequence and writes row k of each result. A program that can't do this does none.
        """

    @property
    def llvm(self) -> str:
        """The LLVM text of its kernels; empty if it has none."""

    @property
    def memory(self) -> int:
        """The bytes that it keeps for intermediate results and as scratch, known before it runs."""

    def timed(self) -> Stopwatch:
        """Time its kernels from now on, until the stopwatch is stopped."""


class WrittenProgram(Protocol):
    """A program that is Python text: errors that pass through it can be traced to the user's lines."""

    steps_by_line: Mapping[int, Step]
    """Which step each line of the text belongs to."""

    def operands_in(self, frame: Any, step: Step) -> list[Any]:
        """Return the values of a step's operands in a frame that runs this program; None for what isn't there."""


WRITTEN_PROGRAMS: WeakValueDictionary[str, Any] = WeakValueDictionary()
"""Every `WrittenProgram` that there is, by the file name that its code objects have."""


class UnsupportedError(Exception):
    """A plan needs something that a backend doesn't have: its substitute runs it. Users never see it."""


class Backend(Protocol):
    """Where programs run."""

    @property
    def name(self) -> str:
        """What it is called in the configuration."""

    @property
    def traits(self) -> Traits:
        """What plans have to know about its kernels."""

    @property
    def checks_lengths(self) -> bool:
        """Whether its programs check that slices with run-time bounds lie inside, and may count on their lengths."""

    @property
    def runs_everything(self) -> bool:
        """Whether it is its own substitute."""

    @property
    def substitute(self) -> Backend:
        """The backend that runs what this one can't, and that explains what its kernels only detect."""

    def schedule(
        self, graph: ClosedGraph, steps: Sequence[Step], sizes: OpenSizes
    ) -> Sequence[Step]:
        """Return the kernels to run in place of `steps`: fused, for a backend that fuses.

        `sizes` says on which sizes they may count.

        Raises
        ------
        UnsupportedError
            If there is something that it can't run.
        """

    def turn(self) -> Turn:
        """Return what the programs of one function share."""

    def has_kernel(self, step: Step) -> bool:
        """Whether it may have a kernel for a step, once the sizes are known."""

    def compile(self, plan: Plan, containers: Sequence[Container], explain: Callable[[], Program]) -> Program:
        """Write and load the program of a plan.

        Parameters
        ----------
        plan : Plan
            What it does.
        containers : sequence of Container
            They hold the shared variables, in the plan's order.
        explain : callable
            Returns the substitute's program of the same graph and sizes.

        Raises
        ------
        UnsupportedError
            If there is something that it can't run.
        """
