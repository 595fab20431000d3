"""Profiles as traces in Chrome's format: what Perfetto and chrome://tracing show as bars along time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from symgrad.backends.timing import BEGAN, RUNS, TIMES, Stopwatch, TimedKernel
from symgrad.debug.pictures import write_file
from symgrad.debug.recording import RecordedCall, Recorder, Run

PROCESS = THREAD = 1


def write_trace(path: Path, recorder: Recorder) -> None:
    """Write what was recorded."""
    name = str(recorder.function)
    start = min(call.began for call in recorder.recorded)
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": PROCESS, "tid": THREAD, "args": {"name": "symgrad"}},
        {"ph": "M", "name": "thread_name", "pid": PROCESS, "tid": THREAD, "args": {"name": name}},
    ]
    for call in recorder.recorded:
        events.extend(_call(name, call, start))
    write_file(path, json.dumps({"traceEvents": events, "displayTimeUnit": "ns"}, separators=(",", ":")) + "\n")


def _event(name: str, start: float, began: float, ended: float, **facts: Any) -> dict[str, Any]:
    return {
        "ph": "X", "name": name, "cat": "symgrad", "pid": PROCESS, "tid": THREAD, "ts": (began - start) / 1e3,
        "dur": max(ended - began, 0.0) / 1e3, "args": facts,
    }  # fmt: skip


def _call(name: str, call: RecordedCall, start: int) -> Iterator[dict[str, Any]]:
    """Return the event of a call, and those in it."""
    label = name if call.count == 1 else f"{name}: {call.count} steps of repeat"
    yield _event(label, start, call.began, call.ended, calls=call.count)
    if call.compiled is not None:
        yield _event("compile", start, *_clipped(*call.compiled, call.began, call.ended))
    runs = {run.stopwatch: run for run in call.runs}
    inner = {stopwatch for run in call.runs for stopwatch in _inside(run.stopwatch)}
    for run in call.runs:
        if run.stopwatch not in inner:
            yield from _run(run, runs, start, call.began, call.ended)


def _run(run: Run, runs: Mapping[Stopwatch, Run], start: int, began: float, ended: float) -> Iterator[dict[str, Any]]:
    """Return the kernels of a program, one after the other, between two moments.

    They follow each other at once: what lies between them takes some nanoseconds.
    """
    clock = run.stopwatch.clock
    once = run.after[RUNS] - run.before[RUNS] == 1
    place = min(max(clock.moment(run.after[BEGAN]), began), ended) if once else began
    words = zip(run.before[TIMES:], run.after[TIMES:], strict=True)
    spent = [clock.duration(after - before) for before, after in words]
    scale = min(1.0, (ended - place) / max(sum(spent), 1.0))  # the clocks of kernels and calls aren't the same
    for kernel, time in zip(run.stopwatch.kernels, spent, strict=True):
        first, place = place, place + time * scale
        yield _event(kernel.name, start, first, place, **_facts(kernel))
        for stopwatch in kernel.inside.stopwatches if kernel.inside else ():
            if stopwatch in runs:
                yield from _run(runs[stopwatch], runs, start, first, place)


def _facts(kernel: TimedKernel) -> dict[str, Any]:
    return {
        "lines": [str(line) for line in kernel.lines], "flops": kernel.flops, "bytes": kernel.bytes,
        "threads": kernel.threads,
    }  # fmt: skip


def _inside(stopwatch: Stopwatch) -> Iterator[Stopwatch]:
    for kernel in stopwatch.kernels:
        if kernel.inside is not None:
            yield from kernel.inside.stopwatches


def _clipped(first: float, last: float, began: float, ended: float) -> tuple[float, float]:
    """Return an interval, cut to what lies in another."""
    first = min(max(first, began), ended)
    return first, min(max(last, first), ended)
