"""The limits of this machine, measured: ``python -m benchmarks.machine``.

``sgemm`` is the best rate of a matrix product through BLAS, ``fma`` that of a loop of nothing but multiply-adds in
registers; ``copy`` the rate of ``np.copyto`` on an array far larger than the caches, ``stream`` that of a copy that
writes past the caches. A copied byte counts twice: it is read and written.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Barrier, Thread

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks.contestants import ROOT, environment

SIZES = (512, 1024, 2048)
ELEMENTS = 10_000_000
ACCUMULATORS = 16
MULTIPLY_ADDS = 100_000

LABELS = {
    "sgemm": ("matrix product (BLAS, float32)", 1e9, "GFLOP/s"),
    "fma": ("multiply-adds in registers, float32", 1e9, "GFLOP/s"),
    "copy": ("np.copyto of 10M float32", 1e9, "GB/s"),
    "stream": ("copy of 10M float32 past the caches", 1e9, "GB/s"),
}
"""What each limit is, and its unit."""


def best_seconds(work: Callable[[int], object], threads: int, repeats: int, rounds: int = 7) -> float:
    """Return the shortest time that all threads take for one ``work(thread)`` each, which they repeat in each round."""
    best = float("inf")
    for _ in range(rounds):
        barrier = Barrier(threads + 1)

        def run(thread: int, barrier: Barrier = barrier) -> None:
            barrier.wait()
            for _ in range(repeats):
                work(thread)

        running = [Thread(target=run, args=(thread,)) for thread in range(threads)]
        for thread in running:
            thread.start()
        barrier.wait()
        start = time.perf_counter()
        for thread in running:
            thread.join()
        best = min(best, (time.perf_counter() - start) / repeats)
    return best


def sgemm_rate() -> float:
    """Return the best flops a second of a square float32 matrix product; BLAS has its own threads."""
    best = 0.0
    for size in SIZES:
        random = np.random.Generator(np.random.SFC64(0))
        left, right = (random.standard_normal((size, size), np.float32) for _ in range(2))
        out = np.empty_like(left)
        np.dot(left, right, out=out)
        flops = 2.0 * size**3
        repeats = max(1, int(2e10 / flops))
        for _ in range(4):
            start = time.perf_counter()
            for _ in range(repeats):
                np.dot(left, right, out=out)
            best = max(best, repeats * flops / (time.perf_counter() - start))
    return best


def _parts(threads: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return source and target of each thread: parts of two large arrays, at multiples of 64 bytes."""
    size = ELEMENTS // (16 * threads) * 16
    arrays = []
    for _ in range(2):
        whole = np.ones(ELEMENTS + 16, np.float32)
        skipped = -whole.ctypes.data // 4 % 16
        arrays.append(whole[skipped:])
    return [tuple(array[i * size : (i + 1) * size] for array in arrays) for i in range(threads)]  # type: ignore[misc]


def copy_rate(threads: int) -> float:
    """Return the bytes a second, read and written, that NumPy copies."""
    parts = _parts(threads)

    def copy(thread: int) -> None:
        source, target = parts[thread]
        np.copyto(target, source)

    return 2.0 * 4 * parts[0][0].size * threads / best_seconds(copy, threads, repeats=10)


def kernel_text(lanes: int) -> str:
    """Return two functions as LLVM IR: a loop of multiply-adds, and a copy with stores that pass by the caches."""
    vector = f"<{lanes} x float>"
    fma = f"@llvm.fma.v{lanes}f32"
    numbers = range(ACCUMULATORS)
    phis = "\n".join(f"  %a{i} = phi {vector} [ %start, %entry ], [ %b{i}, %loop ]" for i in numbers)
    sums = "\n".join(f"  %b{i} = call {vector} {fma}({vector} %a{i}, {vector} %start, {vector} %a{i})" for i in numbers)
    stores = "\n".join(f"  store volatile {vector} %b{i}, ptr %out, align 4" for i in numbers)
    loop = "  %i = phi i64 [ 0, %entry ], [ %j, %loop ]"
    turn = "  %more = icmp slt i64 %j, %count\n  br i1 %more, label %loop, label %done\ndone:"
    return f"""declare {vector} {fma}({vector}, {vector}, {vector})

define void @multiply_add(ptr %out, ptr %unused, i64 %count) {{
entry:
  %start = load {vector}, ptr %out, align 4
  br label %loop
loop:
{loop}
{phis}
{sums}
  %j = add i64 %i, 1
{turn}
{stores}
  ret void
}}

define void @stream(ptr %target, ptr %source, i64 %count) {{
entry:
  br label %loop
loop:
{loop}
  %from = getelementptr float, ptr %source, i64 %i
  %to = getelementptr float, ptr %target, i64 %i
  %value = load {vector}, ptr %from, align {4 * lanes}
  store {vector} %value, ptr %to, align {4 * lanes}, !nontemporal !0
  %j = add i64 %i, {lanes}
{turn}
  ret void
}}

!0 = !{{i32 1}}
"""


def kernel_rates(threads: int) -> dict[str, float]:
    """Return the rates of the loops in machine code, or nothing where llvmlite isn't installed."""
    try:
        from symgrad.backends.native.llvm.host import host
        from symgrad.backends.native.llvm.jit import load
    except ImportError:
        return {}
    lanes = host().vector_bytes // 4
    addresses = load(kernel_text(lanes), ["multiply_add", "stream"])
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    multiply_add, stream = prototype(addresses["multiply_add"]), prototype(addresses["stream"])
    cells, parts = [np.zeros(lanes, np.float32) for _ in range(threads)], _parts(threads)

    def compute(thread: int) -> None:
        multiply_add(cells[thread].ctypes.data, None, MULTIPLY_ADDS)

    def copy(thread: int) -> None:
        source, target = parts[thread]
        stream(target.ctypes.data, source.ctypes.data, source.size)

    flops = 2.0 * lanes * ACCUMULATORS * MULTIPLY_ADDS * threads
    return {
        "fma": flops / best_seconds(compute, threads, repeats=20),
        "stream": 2.0 * 4 * parts[0][0].size * threads / best_seconds(copy, threads, repeats=10),
    }


def measure(threads: int) -> dict[str, float]:
    """Return this process's limits; its libraries must have been told the number of threads already."""
    return {"sgemm": sgemm_rate(), "copy": copy_rate(threads), **kernel_rates(threads)}


def measure_all(counts: Sequence[int], cpus: Sequence[int] = ()) -> dict[str, dict[str, float]]:
    """Return the limits for each number of threads, each measured in a process of its own.

    Parameters
    ----------
    counts : sequence of int
        Numbers of threads.
    cpus : sequence of int
        Processors, the preferred one first; empty: any.
    """
    limits = {}
    for threads in counts:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        command = [sys.executable, "-m", "benchmarks.machine", "--json", "--threads", str(threads)]
        if cpus:
            command += ["--cpus", *map(str, cpus[:threads])]
        process = subprocess.run(
            command,
            env={**os.environ, **environment(threads), "PYTHONPATH": path},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        limits[str(threads)] = json.loads(process.stdout)
    return limits


def table(limits: dict[str, dict[str, float]]) -> str:
    """Return the limits as a Markdown table."""
    lines = ["| limit | " + " | ".join(f"{count} thread{'s' * (count != '1')}" for count in limits) + " |"]
    lines.append("| --- " * (len(limits) + 1) + "|")
    for key, (label, scale, unit) in LABELS.items():
        cells = [f"{rates[key] / scale:.0f} {unit}" if key in rates else "-" for rates in limits.values()]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.machine", description=__doc__.split(":")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (1 2)")
    parser.add_argument("--cpus", type=int, nargs="+", default=[], help="processors to run on")
    parser.add_argument("--json", action="store_true", help="measure in this process and print JSON")
    options = parser.parse_args(arguments)
    if options.json:
        if options.cpus:
            os.sched_setaffinity(0, options.cpus)
        print(json.dumps(measure(options.threads[0])))
    else:
        print(table(measure_all(options.threads, options.cpus)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
