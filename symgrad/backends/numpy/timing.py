"""Programs with a stopwatch on each line: the same lines, under the same numbers, so that errors are traced as ever."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter_ns
from typing import Any

from symgrad.backends.timing import BEGAN, RUNS, TIMES, PythonStopwatch, TimedKernel, timed_step
from symgrad.config import config
from symgrad.kernels.grammar import Library
from symgrad.lowering import Step
from symgrad.lowering.plan import Plan
from symgrad.lowering.work import bytes_of_variables

INDENT = " " * 8
BLAS_ROUTINES = frozenset(("dot", "matmul", "gemm"))


def timed_lines(program: Any, text: str, filename: str, namespace: Mapping[str, Any], plan: Plan) -> PythonStopwatch:
    """Let a NumPy program time its lines until the stopwatch is stopped.

    Parameters
    ----------
    program : NumpyProgram
        Its `run` is replaced.
    text, filename : str
        Its text, and the name that its code goes by.
    namespace : mapping
        What its lines use.
    plan : Plan
        What it does.
    """
    lines: list[str] = []
    kernels: list[TimedKernel] = []
    for number, line in enumerate(text.splitlines(), 1):
        if _is_work(line):
            place, first = TIMES + len(kernels), not kernels
            kernels.append(_kernel(line.strip(), program.steps_by_line.get(number), plan))
            begin = f"_words[{BEGAN}] = _began; _words[{RUNS}] += 1; " if first else ""
            line = f"{INDENT}_began = _now(); {begin}{line.strip()}; _words[{place}] += _now() - _began"
        lines.append(line)
    run = program.run

    def restore() -> None:
        program.run = run

    stopwatch = PythonStopwatch(kernels, restore)
    own = {**namespace, "_now": perf_counter_ns, "_words": stopwatch.words}
    exec(compile("\n".join(lines), filename, "exec"), own)
    program.run = own["run"]
    return stopwatch


def _is_work(line: str) -> bool:
    return line.startswith(INDENT) and not line.lstrip().startswith(("#", "return "))


def _kernel(text: str, step: Step | None, plan: Plan) -> TimedKernel:
    """Return what a profile says of a line."""
    if step is not None:
        many = isinstance(step.kernel, Library) and step.kernel.name in BLAS_ROUTINES
        return timed_step(step, plan.types, config.threads if many else 1)
    if text.startswith("consume("):
        steps = [commit.action.step for commit in plan.commits if commit.action is not None]
        sources = [commit.value.source for commit in plan.commits if commit.value.source is not None]
        changed = [*plan.graph.targets, *[variable for step in steps for variable in step.inputs]]
        return TimedKernel("updates", list(dict.fromkeys(sources)), 0, bytes_of_variables(changed, plan.types))
    return TimedKernel("copy")
