"""Profiles of compiled functions: where the time of a call goes, kernel by kernel, with the user's lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from symgrad.backends.timing import RUNS, TIMES, Stopwatch, TimedKernel
from symgrad.debug.recording import Recorder, all_stopwatches
from symgrad.errors import SymgradError

HEADINGS = ("kernel", "calls", "total", "share", "a call", "bytes", "GB/s", "flops", "GFLOP/s", "of peak", "threads")
NO_KERNELS = ("call", "compile")
MANY_ROWS = 16
NEGLIGIBLE = 1e-3
"""Tables of many rows leave out kernels that take less than this part of the kernels' time."""
LONGEST_NAME = 48
ON_THE_HOST = " (on the host)"


@dataclass(frozen=True)
class ProfileRow:
    """What a profile says of one kernel.

    Attributes
    ----------
    name : str
        What it does. Two rows aren't kernels: ``compile``, where programs were made for sizes not seen before; and
        ``call``, what is left: checks of arguments, results, Python.
    calls : int
        How often it ran.
    seconds : float
        The time of all calls together.
    share : float
        The part of the function's time, from 0 to 1.
    flops, bytes : float
        What one call computes, and reads and writes at the least; 0 if that isn't known.
    threads : int
        How many threads ran it.
    lines : tuple of str
        The user's lines that it came from.
    device : str
        Where it runs: ``cpu``, or the name of a GPU.
    """

    name: str
    calls: int
    seconds: float
    share: float
    flops: float = 0
    bytes: float = 0
    threads: int = 1
    lines: tuple[str, ...] = ()
    device: str = "cpu"

    @property
    def microseconds(self) -> float:
        """The time of one call."""
        return self.seconds / self.calls * 1e6 if self.calls else 0.0

    @property
    def gigaflops(self) -> float:
        """Operations in a nanosecond."""
        return self.flops * self.calls / self.seconds / 1e9 if self.seconds else 0.0

    @property
    def gigabytes(self) -> float:
        """Bytes read and written in a nanosecond."""
        return self.bytes * self.calls / self.seconds / 1e9 if self.seconds else 0.0

    @property
    def arithmetic_fraction(self) -> float:
        """Its operations a second, as a part of what a large matrix product of float32 reaches on as many threads.

        On a GPU: on all of it.
        """
        from symgrad.debug.peaks import peak_of

        return self.gigaflops * 1e9 / peak_of(self.device, self.threads).flops

    @property
    def memory_fraction(self) -> float:
        """Its bytes a second, as a part of what a large copy reaches; more than 1 where caches hold the data."""
        from symgrad.debug.peaks import peak_of

        return self.gigabytes * 1e9 / peak_of(self.device, self.threads).bandwidth


@dataclass(eq=False)
class _Sum:
    """One row, while it is added up."""

    kernel: TimedKernel
    calls: int = 0
    nanoseconds: float = 0.0
    flops: int = 0
    bytes: int = 0


@dataclass(eq=False, repr=False)
class Profile:
    """The profile of a function; `Function.profile` makes it.

    The calls in its ``with`` block are timed, also those of `Function.repeat`, on any thread. Printed, it is a table of
    kernels, the slowest first, each with the user's lines that it came from.

    Attributes
    ----------
    function : Function
        What is profiled.
    calls : int
        How many calls were profiled.
    seconds : float
        How long they took together.
    memory : int
        The bytes that the function keeps for intermediate results and as scratch.
    rows : list of ProfileRow
        The kernels, the slowest first: `name`, `calls`, `seconds`, `share`, `flops`, `bytes`, `threads`, `lines`,
        `microseconds`, `gigaflops`, `gigabytes`, `arithmetic_fraction`, `memory_fraction`, `device`.
    remarks : list of str
        How the programs run, where there is something to say: on a GPU, why one isn't a CUDA graph.

    Examples
    --------
    >>> import symgrad
    >>> import symgrad.tensor as T
    >>> x = T.fvector("x")
    >>> f = symgrad.function([x], T.sum(x * x), name="f")
    >>> with f.profile() as profile:
    ...     for _ in range(3):
    ...         y = f([1, 2, 3])
    >>> profile.calls, sorted(row.calls for row in profile.rows)[-1]
    (3, 3)
    >>> abs(sum(row.seconds for row in profile.rows) - profile.seconds) < 1e-9
    True
    """

    function: Any
    _recorder: Recorder | None = field(default=None, init=False)

    def __enter__(self) -> Profile:
        recorder = Recorder(self.function)
        self.function._start_recording(recorder)
        self._recorder = recorder
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.function._stop_recording()

    # ---- the numbers ----

    @property
    def calls(self) -> int:
        """How many calls were profiled."""
        return self._recorder.calls if self._recorder else 0

    @property
    def seconds(self) -> float:
        """How long they took together."""
        return self._recorder.nanoseconds / 1e9 if self._recorder else 0.0

    @property
    def memory(self) -> int:
        """The bytes that the function keeps for intermediate results and as scratch: of its sizes, those with most."""
        programs = self._recorder.stopwatches if self._recorder else {}
        return max((program.memory for program in programs), default=0)

    @property
    def remarks(self) -> list[str]:
        """How the programs run, where there is something to say: why one isn't a CUDA graph."""
        programs = self._recorder.stopwatches if self._recorder else {}
        found = [stopwatch.remark for stopwatch in all_stopwatches(programs.values()) if stopwatch.remark]
        if self._is_of_a_gpu and not all(hasattr(program, "tape") for program in programs):
            found.append("in parts: the host runs what the device can't")
        return list(dict.fromkeys(found))

    @property
    def _is_of_a_gpu(self) -> bool:
        """Whether the function was compiled for a GPU."""
        compiled = getattr(self.function, "_compiled", None)
        return compiled is not None and compiled.backend.name == "cuda"

    @property
    def rows(self) -> list[ProfileRow]:
        """The kernels, the slowest first; nothing if no call was profiled."""
        if not self.calls:
            return []
        assert self._recorder is not None
        sums: dict[Any, _Sum] = {}
        preparing = float(self._recorder.compiling)
        for stopwatch in self._recorder.stopwatches.values():
            preparing += _add_up(stopwatch, sums)
        rows = [self._row(found) for found in sums.values() if found.calls]
        if preparing:
            rows.append(ProfileRow("compile", 1, preparing / 1e9, self._share(preparing / 1e9)))
        rest = max(self.seconds - sum(row.seconds for row in rows), 0.0)
        rows.append(ProfileRow("call", self.calls, rest, self._share(rest)))
        return sorted(rows, key=_seconds, reverse=True)

    def _row(self, found: _Sum) -> ProfileRow:
        kernel, seconds = found.kernel, found.nanoseconds / 1e9
        lines = tuple(dict.fromkeys(map(str, kernel.lines)))
        return ProfileRow(
            kernel.name, found.calls, seconds, self._share(seconds), found.flops / found.calls,
            found.bytes / found.calls, kernel.threads, lines, kernel.device,
        )  # fmt: skip

    def _share(self, seconds: float) -> float:
        return seconds / self.seconds if self.seconds else 0.0

    # ---- for people ----

    def __str__(self) -> str:
        if not self.calls:
            return f"{self.function}: no call was profiled; call it inside: with f.profile() as profile"
        return "\n".join(self._text())

    def __repr__(self) -> str:
        return f"<profile of {self.function}: {self.calls} calls, {self.seconds * 1e3:.3f} ms>"

    def _text(self) -> Iterator[str]:
        from symgrad.backends.native.listing import size_text

        each = self.seconds / self.calls * 1e6
        yield (
            f"{self.function}: {self.calls} calls, {self.seconds * 1e3:.3f} ms, {each:.2f} us a call; "
            f"{size_text(self.memory)} of memory"
        )
        yield from self.remarks
        rows, left_out = _worth_showing(self.rows)
        cells = [HEADINGS, *[_cells(row, self._is_of_a_gpu) for row in rows]]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for number, texts in enumerate(cells):
            columns = [text.rjust(width) for text, width in zip(texts[1:], widths[1:], strict=True)]
            yield "  ".join([texts[0].ljust(widths[0]), *columns]).rstrip()
            if number:
                yield from (f"    {line}" for line in rows[number - 1].lines)
        if left_out:
            yield f"and {len(left_out)} more kernels, {sum(row.share for row in left_out):.1%}"

    def to_chrome_trace(self, path: str | Path) -> None:
        """Write the calls, and the kernels in them, as a trace for ``chrome://tracing`` or ui.perfetto.dev.

        At most the first 1000 calls are in it. The steps of one `Function.repeat` are one call, with the kernels' times
        added up.

        Parameters
        ----------
        path : str or Path
            The file; it is replaced as a whole, or not at all.

        Raises
        ------
        SymgradError
            If no call was profiled.
        """
        if not self.calls or self._recorder is None:
            raise SymgradError(str(self))
        from symgrad.debug.traces import write_trace

        write_trace(Path(path), self._recorder)


def _add_up(stopwatch: Stopwatch, sums: dict[Any, _Sum]) -> float:
    """Add a stopwatch's times to the rows; returns the nanoseconds that were spent on making programs inside.

    Kernels of programs for different sizes share a row if they do the same, for the same lines. The kernel that calls
    other programs has none: its own time is Python's.
    """
    reading, clock = stopwatch.read(), stopwatch.clock
    preparing = 0.0
    numbers: Counter[Any] = Counter()
    for number, kernel in enumerate(stopwatch.kernels):
        if kernel.inside is not None:
            preparing += kernel.inside.preparing
            preparing += sum(_add_up(inner, sums) for inner in kernel.inside.stopwatches)
            continue
        what = kernel.name, tuple(kernel.lines), kernel.threads
        numbers[what] += 1
        found = sums.setdefault((what, numbers[what]), _Sum(kernel))
        runs = reading[RUNS]
        found.calls += runs
        found.nanoseconds += clock.duration(reading[TIMES + number])
        found.flops += kernel.flops * runs
        found.bytes += kernel.bytes * runs
    return preparing


def _worth_showing(rows: Sequence[ProfileRow]) -> tuple[list[ProfileRow], list[ProfileRow]]:
    """Part the rows in those that a table shows, and kernels that hardly take any time if there are many rows."""
    least = NEGLIGIBLE * sum(row.seconds for row in rows if row.name not in NO_KERNELS)
    if len(rows) < MANY_ROWS:
        return list(rows), []
    shown = [row for row in rows if row.seconds >= least or row.name in NO_KERNELS]
    return shown, [row for row in rows if row.seconds < least and row.name not in NO_KERNELS]


def _seconds(row: ProfileRow) -> float:
    return row.seconds


def _cells(row: ProfileRow, is_of_a_gpu: bool) -> Sequence[str]:
    """Return a row of the table; of a function that runs on a GPU, what doesn't is told."""
    known = [_scaled(row.bytes), f"{row.gigabytes:.1f}", _scaled(row.flops), f"{row.gigaflops:.1f}"]
    shown = [text if value else "" for text, value in zip(known, (row.bytes, row.bytes, row.flops, row.flops))]
    threads = str(row.threads) if row.name not in NO_KERNELS else ""
    name = row.name if len(row.name) <= LONGEST_NAME else f"{row.name[: LONGEST_NAME - 3]}..."
    if is_of_a_gpu and row.device == "cpu" and row.name not in NO_KERNELS and not row.name.endswith(ON_THE_HOST):
        name += ON_THE_HOST
    return (
        name, str(row.calls), f"{row.seconds * 1e3:.3f} ms", f"{row.share:.1%}", f"{row.microseconds:.2f} us",
        *shown, _peak(row), threads,
    )  # fmt: skip


def _peak(row: ProfileRow) -> str:
    """Return how near a kernel comes to what limits it."""
    if not row.seconds or not (row.flops or row.bytes):
        return ""
    arithmetic, memory = row.arithmetic_fraction, row.memory_fraction
    return f"{arithmetic:.0%} of sgemm" if arithmetic > memory else f"{memory:.0%} of copy"


def _scaled(number: float) -> str:
    """Return a number with at most three digits before the point."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f}"
