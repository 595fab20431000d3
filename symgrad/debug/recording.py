"""Records the calls of one function while it is profiled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any

from symgrad.backends.base import MISS
from symgrad.backends.timing import RUNS, Stopwatch

TRACED_CALLS = 1000
"""So many calls are kept one by one, for the trace; later ones only add to the sums."""


@dataclass(frozen=True, eq=False)
class Run:
    """What one stopwatch showed before and after a call."""

    stopwatch: Stopwatch
    before: Sequence[int]
    after: Sequence[int]


@dataclass(frozen=True, eq=False)
class RecordedCall:
    """One call; or many, of `Function.repeat`.

    Attributes
    ----------
    count : int
        How many steps it did.
    began, ended : int
        Nanoseconds of ``time.perf_counter_ns``.
    runs : sequence of Run
        The programs that ran in it: first the function's own, then those inside.
    compiled : tuple of int, or None
        From when to when the program was made for new sizes.
    """

    count: int
    began: int
    ended: int
    runs: Sequence[Run]
    compiled: tuple[int, int] | None = None


@dataclass(eq=False)
class Recorder:
    """Stands between a function and its programs; `Function` calls it in place of its own steps."""

    function: Any
    calls: int = 0
    nanoseconds: int = 0
    compiling: int = 0
    recorded: list[RecordedCall] = field(default_factory=list)
    stopwatches: dict[Any, Stopwatch] = field(default_factory=dict)
    _compiled: tuple[int, int] | None = None
    _seen: dict[Stopwatch, Sequence[int]] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.Lock)

    def stop(self) -> None:
        """Let all programs run as before."""
        for stopwatch in self.stopwatches.values():
            stopwatch.stop()

    def watch(self, program: Any) -> None:
        """Time the kernels of a program."""
        if program not in self.stopwatches:
            self.stopwatches[program] = program.timed()

    # ---- what functions call ----

    def entry(self, entry: Callable[..., Any]) -> Callable[..., Any]:
        """Return a program's entry, timed."""

        def timed(*arguments: Any) -> Any:
            began = perf_counter_ns()
            results = entry(*arguments)
            ended = perf_counter_ns()
            if results is not MISS:
                self._finish(1, began, ended)
            return results

        return timed

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do a call that has to go through Python."""
        began = perf_counter_ns()
        try:
            return self.function._call(args, kwargs)
        finally:
            self._finish(1, began, perf_counter_ns())

    def bind(self, key: Any) -> Any:
        """Make the program for new sizes."""
        began = perf_counter_ns()
        try:
            return self.function._bind(key)
        finally:
            self._compiled = began, perf_counter_ns()

    def repeat(self, program: Any, *arguments: Any) -> int:
        """Let a program repeat its steps."""
        began = perf_counter_ns()
        done = int(program.repeat(*arguments))
        if done:
            self._finish(done, began, perf_counter_ns())
        return done

    def _finish(self, count: int, began: int, ended: int) -> None:
        with self._lock:
            compiled, self._compiled = self._compiled, None
            self.calls += count
            self.nanoseconds += ended - began
            self.compiling += compiled[1] - compiled[0] if compiled else 0
            if len(self.recorded) < TRACED_CALLS:
                self.recorded.append(RecordedCall(count, began, ended, list(self._new_runs()), compiled))

    def _new_runs(self) -> Iterator[Run]:
        """Return what has changed on the stopwatches since the last call."""
        for stopwatch in all_stopwatches(self.stopwatches.values()):
            now = stopwatch.read()
            before = self._seen.get(stopwatch, [0] * len(now))
            if now[RUNS] != before[RUNS]:
                self._seen[stopwatch] = now
                yield Run(stopwatch, before, now)


def all_stopwatches(stopwatches: Any) -> Iterator[Stopwatch]:
    """Return stopwatches, each followed by those inside its kernels."""
    for stopwatch in list(stopwatches):
        yield stopwatch
        for kernel in stopwatch.kernels:
            if kernel.inside is not None:
                yield from all_stopwatches(kernel.inside.stopwatches)
