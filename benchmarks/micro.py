"""How long symgrad makes one wait: import, compilation, the call of a function. ``python -m benchmarks.micro``."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.harness import ONE_THREAD, ROOT

IMPORT_PROGRAM = """
import time
start = time.perf_counter()
import symgrad
print(time.perf_counter() - start)
"""

COMPILE_PROGRAM = """
import time
import numpy as np
from benchmarks.symgrad_steps import training_graph
from benchmarks.workloads import WORKLOADS
images, labels = np.zeros((5000, 784), np.float32), np.zeros(5000, np.int64)
graph = training_graph(WORKLOADS["network3"], images, labels)
start = time.perf_counter()
graph.compile()
print(time.perf_counter() - start)
"""

CALL_PROGRAM = """
import timeit
import symgrad
import symgrad.tensor as T
x = T.scalar("x")
f = symgrad.function([x], x + 1)
f(1.0)
calls = 20_000
print(min(timeit.repeat(lambda: f(1.0), number=calls, repeat=7)) / calls)
"""


@dataclass(frozen=True)
class Measurement:
    """A wait, its bound, and the program that measures it and prints seconds.

    Parameters
    ----------
    title : str
        What the table says.
    program : str
        Python source, run in a process of its own.
    bound : float
        Seconds it should stay below.
    """

    title: str
    program: str
    bound: float


MEASUREMENTS = (
    Measurement("`import symgrad`, NumPy included", IMPORT_PROGRAM, 0.3),
    Measurement("gradient and compilation of network3's train function", COMPILE_PROGRAM, 0.5),
    Measurement("a call of f(x) = x + 1 on a scalar", CALL_PROGRAM, 5e-6),
)


def seconds_of(program: str) -> float:
    """Run a program on one thread in a fresh interpreter and return the seconds it printed.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails; its own traceback is on stderr.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": path}
    command = [sys.executable, "-c", program]
    return float(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout)


def format_wait(seconds: float) -> str:
    """Return a wait in seconds, or in microseconds if it is shorter than a millisecond.

    Examples
    --------
    >>> format_wait(0.2134), format_wait(4.31e-6)
    ('0.213 s', '4.31 us')
    """
    return f"{seconds:.3f} s" if seconds >= 1e-3 else f"{seconds * 1e6:.2f} us"


def table(measured: Sequence[tuple[Measurement, Sequence[float]]]) -> str:
    """Return the Markdown table: median, extremes, bound, and whether the median is below it."""
    lines = ["| what | median | smallest - largest | bound | |", "| --- | --- | --- | --- | --- |"]
    for measurement, seconds in measured:
        median = statistics.median(seconds)
        verdict = "met" if median < measurement.bound else "**missed**"
        spread = f"{format_wait(min(seconds))} - {format_wait(max(seconds))}"
        bound = format_wait(measurement.bound)
        lines.append(f"| {measurement.title} | {format_wait(median)} | {spread} | {bound} | {verdict} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table; with ``--strict``, return 1 if a bound is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.micro", description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="fresh processes for each (%(default)s)")
    parser.add_argument("--strict", action="store_true", help="fail if a bound is missed")
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error("--repeats must be positive")
    measured = [(m, [seconds_of(m.program) for _ in range(options.repeats)]) for m in MEASUREMENTS]
    print(table(measured))
    missed = any(statistics.median(seconds) >= measurement.bound for measurement, seconds in measured)
    return 1 if options.strict and missed else 0


if __name__ == "__main__":
    sys.exit(main())
