"""How long symgrad makes one wait: import, the first step, the call of a function. ``python -m benchmarks.micro``."""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.contestants import ROOT, environment
from benchmarks.goals import (
    CALL_OVERHEAD_SECONDS,
    FIRST_STEP_SECONDS,
    LONG_GRAPH_SECONDS,
    RECURRENCE_COMPILE_SECONDS,
    RECURRENCE_STEP_SECONDS,
    RECURRENCE_STEPS,
)
from benchmarks.pages import fill_file

IMPORT_PROGRAM = """
import time
start = time.perf_counter()
import symgrad
print(time.perf_counter() - start)
"""

FIRST_STEP_PROGRAM = """
import time
import numpy as np
from benchmarks.symgrad_steps import training_graph
from benchmarks.workloads import WORKLOADS
images, labels = np.zeros((5000, 784), np.float32), np.zeros(5000, np.int64)
graph = training_graph(WORKLOADS["network3-dropout"], images, labels)
updates = graph.updates()
start = time.perf_counter()
graph.compile(updates)(0)
print(time.perf_counter() - start)
"""

LONG_GRAPH_PROGRAM = """
import time
import numpy as np
import symgrad
import symgrad.tensor as T
x, w, b = T.fmatrix("x"), symgrad.shared(np.eye(8, dtype="float32"), "w"), symgrad.shared(np.ones(8, "float32"), "b")
y = x
for _ in range({nodes} // 3):
    y = T.tanh(T.dot(y, w) + b)
cost = T.sum(y)
start = time.perf_counter()
gradients = symgrad.grad(cost, [w, b])
f = symgrad.function([x], cost, updates=[(p, p - np.float32(0.01) * g) for p, g in zip([w, b], gradients)])
f(np.ones((4, 8), "float32"))
print(time.perf_counter() - start)
"""

RECURRENCE = """
import time
import numpy as np
import symgrad
import symgrad.tensor as T
x, start = T.fvector("x"), T.fscalar("start")
values = np.random.RandomState(0).normal(size={steps}).astype("float32")
began = time.perf_counter()
states, _ = symgrad.scan(lambda row, state: T.tanh(row + 0.5 * state), [x], [start])
f = symgrad.function([x, start], states[-1])
f(values, 0.0)
"""

RECURRENCE_COMPILE_PROGRAM = RECURRENCE + "print(time.perf_counter() - began)"

RECURRENCE_STEP_PROGRAM = RECURRENCE + """
import timeit
print(min(timeit.repeat("f(values, 0.0)", globals=globals(), number=10, repeat=5)) / 10 / {steps})
"""

CALL_PROGRAM = """
import timeit
import numpy as np
import symgrad
import symgrad.tensor as T
{setup}
f(*arguments)
calls = 20_000
print(min(timeit.repeat("f(*arguments)", globals=globals(), number=calls, repeat=7)) / calls)
"""

SCALAR = """
x = T.scalar("x")
f = symgrad.function([x], x + 1)
arguments = [1.0]
"""

ARRAYS = """
inputs = [T.vector(f"x{i}") for i in range(10)]
f = symgrad.function(inputs, sum(inputs))
arguments = [np.ones(8, np.float32) for _ in inputs]
"""

PEER_CALLS = {
    "PyTorch": ("torch", "import torch\ntorch.set_num_threads(1)\nx = torch.tensor(1.0)\ndef f(x): return x + 1\n"),
    "JAX": ("jax", "import jax, jax.numpy as jnp\nx = jnp.float32(1)\nf = jax.jit(lambda x: x + 1)\n"),
    "PyTensor": (
        "pytensor",
        "import pytensor, pytensor.tensor as pt, numpy as np\ny = pt.fscalar()\n"
        "f = pytensor.function([y], y + np.float32(1))\nx = np.asarray(1, np.float32)\n",
    ),
}
"""For each peer its library, and what defines f and the scalar x."""

PEER_PROGRAM = """
import timeit
{setup}
f(x)
calls = 20_000
print(min(timeit.repeat("f(x)", globals=globals(), number=calls, repeat=5)) / calls)
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
    bound : float or None
        Seconds it should stay below; None where it is only there to be compared with.
    cache : str
        ``default``; or the object cache is a new folder, ``empty`` each time or ``filled`` by a run before.
    python : str
        The interpreter.
    """

    title: str
    program: str
    bound: float | None
    cache: str = "default"
    python: str = sys.executable


_STEP = "network3 with dropout, from function(...) to the end of the first step, {} cache"
_RECURRENCE = "a scan of {:,} steps of tanh(x + h / 2), "
_LONG = "a graph of {:,} nodes, from grad(...) to the end of the first step, empty cache"

MEASUREMENTS = (
    Measurement("`import symgrad`, NumPy included", IMPORT_PROGRAM, 0.3),
    *(
        Measurement(_STEP.format(cache), FIRST_STEP_PROGRAM, bound, cache)
        for cache, bound in FIRST_STEP_SECONDS.items()
    ),
    *(
        Measurement(_LONG.format(nodes), LONG_GRAPH_PROGRAM.format(nodes=nodes), bound, "empty")
        for nodes, bound in LONG_GRAPH_SECONDS.items()
    ),
    Measurement(
        _RECURRENCE.format(RECURRENCE_STEPS) + "from scan(...) to the end of the first call, empty cache",
        RECURRENCE_COMPILE_PROGRAM.format(steps=RECURRENCE_STEPS), RECURRENCE_COMPILE_SECONDS, "empty",
    ),
    Measurement(
        _RECURRENCE.format(RECURRENCE_STEPS) + "each step of a later call",
        RECURRENCE_STEP_PROGRAM.format(steps=RECURRENCE_STEPS), RECURRENCE_STEP_SECONDS,
    ),
    Measurement("a call of f(x) = x + 1 on a scalar", CALL_PROGRAM.format(setup=SCALAR), CALL_OVERHEAD_SECONDS),
    Measurement("a call with ten arrays of 8 numbers", CALL_PROGRAM.format(setup=ARRAYS), CALL_OVERHEAD_SECONDS),
)


def peer_measurements(python: str) -> list[Measurement]:
    """Return the call with a scalar in each peer that `python` has."""
    check = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"
    measurements = []
    for title, (library, setup) in PEER_CALLS.items():
        if python == sys.executable:
            installed = importlib.util.find_spec(library) is not None
        else:
            installed = subprocess.run([python, "-c", check, library], check=False).returncode == 0
        if installed:
            program = PEER_PROGRAM.format(setup=setup)
            measurements.append(Measurement(f"the same call on a scalar in {title}", program, None, python=python))
    return measurements


def seconds_of(program: str, python: str = sys.executable, flags: Sequence[str] = ()) -> float:
    """Run a program on one thread in a fresh interpreter and return the seconds it printed.

    Parameters
    ----------
    program : str
        Python source.
    python : str
        The interpreter.
    flags : sequence of str
        Settings of symgrad.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails; its own traceback is on stderr.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    variables = {**os.environ, **environment(1), "PYTHONPATH": path}
    variables["SYMGRAD_FLAGS"] = ",".join([variables["SYMGRAD_FLAGS"], *flags])
    process = subprocess.run([python, "-c", program], env=variables, check=True, stdout=subprocess.PIPE, text=True)
    return float(process.stdout)


def measure(measurement: Measurement, repeats: int, backend: str = "auto") -> list[float]:
    """Return the seconds of each repeat."""
    program, python, flags = measurement.program, measurement.python, [f"backend={backend}"]
    if measurement.cache == "default":
        return [seconds_of(program, python, flags) for _ in range(repeats)]
    with tempfile.TemporaryDirectory() as folder:
        if measurement.cache == "filled":
            flags += [f"cache_dir={folder}"]
            seconds_of(program, python, flags)
            return [seconds_of(program, python, flags) for _ in range(repeats)]
        return [seconds_of(program, python, [*flags, f"cache_dir={folder}/{k}"]) for k in range(repeats)]


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
        spread = f"{format_wait(min(seconds))} - {format_wait(max(seconds))}"
        bound, verdict = "", ""
        if measurement.bound is not None:
            bound, verdict = format_wait(measurement.bound), "met" if median < measurement.bound else "**missed**"
        lines.append(f"| {measurement.title} | {format_wait(median)} | {spread} | {bound} | {verdict} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table; with ``--strict``, return 1 if a bound is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.micro", description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="fresh processes for each (%(default)s)")
    parser.add_argument("--strict", action="store_true", help="fail if a bound is missed")
    parser.add_argument("--backend", default="auto", help="symgrad's backend (%(default)s)")
    parser.add_argument("--peers-python", default=sys.executable, help="the interpreter of the peers")
    parser.add_argument("--into", type=Path, help="a page whose table is written anew: docs/performance.md")
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error("--repeats must be positive")
    measurements = [*MEASUREMENTS, *peer_measurements(options.peers_python)]
    measured = [(measurement, measure(measurement, options.repeats, options.backend)) for measurement in measurements]
    print(table(measured))
    if options.into:
        fill_file(options.into, {"waits": table(measured)})
    print("\nA call's time includes the work itself, which is some 10 ns here; the first step's includes the import of")
    print("llvmlite where something has to be compiled.")
    missed = any(m.bound is not None and statistics.median(seconds) >= m.bound for m, seconds in measured)
    return 1 if options.strict and missed else 0


if __name__ == "__main__":
    sys.exit(main())
