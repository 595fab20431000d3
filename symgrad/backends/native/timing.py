"""Times of the kernels of native programs."""

from __future__ import annotations

import ctypes
import re
import time
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from symgrad.backends.native.calls import Label
from symgrad.backends.native.entries import runtime
from symgrad.backends.native.records import Header
from symgrad.backends.native.table import Table
from symgrad.backends.timing import TIMES, Clock, Inside, TimedKernel, lines_of
from symgrad.graph.variables import Variable
from symgrad.lowering.work import bytes_of_step, bytes_of_variables, flops_of_step

CALIBRATION_NANOSECONDS = 2_000_000
ATTEMPTS = 5
DISTINCTION = re.compile(r"_([0-9a-f]{12}|(16|32)x(16|32|64))$")
"""What kernels' symbols end with: a digest, or how many vectors of how many bytes the processor has."""


class CounterClock(Clock):
    """Ticks of the processor's counter, whose speed is measured between two readings of both clocks."""

    def __init__(self) -> None:
        self._ticks, self._nanoseconds = _both_clocks()
        self._speed = 0.0

    @property
    def _nanoseconds_per_tick(self) -> float:
        if not self._speed:
            while True:
                ticks, nanoseconds = _both_clocks()
                if nanoseconds - self._nanoseconds > CALIBRATION_NANOSECONDS and ticks > self._ticks:
                    break
            self._speed = (nanoseconds - self._nanoseconds) / (ticks - self._ticks)
        return self._speed

    def duration(self, ticks: int) -> float:
        """Return a duration in nanoseconds."""
        return int(ticks) * self._nanoseconds_per_tick

    def moment(self, ticks: int) -> float:
        """Return a moment in nanoseconds of ``time.perf_counter_ns``."""
        return self._nanoseconds + self.duration(int(ticks) - self._ticks)


@cache
def _counter() -> Any:
    return ctypes.CFUNCTYPE(ctypes.c_int64)(runtime()["symgrad_counter"])


def _both_clocks() -> tuple[int, int]:
    """Return counter and nanoseconds of one moment: of some attempts, the one that was interrupted least."""
    counter, found = _counter(), []
    for _ in range(ATTEMPTS):
        before = time.perf_counter_ns()
        ticks = counter()
        after = time.perf_counter_ns()
        found.append((after - before, ticks, (before + after) // 2))
    return min(found)[1:]


class NativeStopwatch:
    """The times of a native program's kernels.

    Parameters
    ----------
    table : Table
        The program's records.
    """

    remark = ""

    def __init__(self, table: Table) -> None:
        self._header = table.words
        if table.times is None:
            table.times = np.zeros(TIMES + len(table.labels), np.int64)
        self._words: np.ndarray = table.times  # it is there as long as the table: a thread may be writing at the end
        self._words[:] = 0
        self._last: list[int] | None = None
        self.kernels = [timed_kernel(table, number) for number in range(len(table.labels))]
        self._time_bodies(table)
        self.clock = CounterClock()
        self._header[Header.TIMES] = self._words.ctypes.data

    def _time_bodies(self, table: Table) -> None:
        """Time what regions run; a program that several of them run has one stopwatch."""
        known: set[int] = set()
        for number, label in enumerate(table.labels):
            if label.program is not None:
                inside = Inside([] if id(label.program) in known else [label.program.timed()])
                known.add(id(label.program))
                self.kernels[number] = replace(self.kernels[number], inside=inside)

    def read(self) -> list[int]:
        """Return a reading."""
        words: list[int] = self._words.tolist() if self._last is None else self._last
        return words

    def stop(self) -> None:
        """Let the program run as before."""
        self._header[Header.TIMES] = 0
        self._last = self.read()
        for kernel in self.kernels:
            if kernel.inside is not None:
                kernel.inside.stop()


def timed_kernel(table: Table, number: int) -> TimedKernel:
    """Return what a profile says of one record."""
    label = table.labels[number]
    flops, moved = _work(label, table)
    lines = lines_of(label.step)
    first = label.operands[0] if label.operands else None
    if label.step is None and isinstance(first, Variable) and first.source is not None:
        lines = [first.source]
    return TimedKernel(readable_name(label), lines, flops, moved, table.threads_of(number))


def readable_name(label: Label) -> str:
    """Return a record's name without what only tells equal names apart."""
    if label.step is not None and label.kernel is None:
        return f"{label.name} ({label.step.name})"
    return DISTINCTION.sub("", label.name)


def _work(label: Label, table: Table) -> tuple[int, int]:
    """Return operations, and bytes read and written at the least."""
    types, kernel = table.plan.types, label.kernel
    buffers = [buffer for buffer in label.operands if isinstance(buffer, Variable)]
    if kernel is None:
        return 0, 2 * bytes_of_variables(buffers[:1], types) if label.step is None else 0
    if isinstance(kernel.units, int) or label.step is None:
        return kernel.flops, kernel.bytes or bytes_of_variables(buffers, types)
    return flops_of_step(label.step, types), bytes_of_step(label.step, types)
