"""network3 against reference trajectories, on the device: what tests/test_golden.py does on the CPU."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Any

from benchmarks.gpu_parts.children import ROOT
from benchmarks.gpu_parts.results import DONE, FAILED, SKIPPED, Deadline, Options, Results, run_part

VARIABLES = ("SYMGRAD_GOLDEN", "SYMGRAD_DATA")


def follow(options: Options, results: Results, deadline: Deadline) -> int:
    """Compute every trajectory in float32 and in float64."""
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    if missing:
        results.add(why=f"not set: {', '.join(missing)}")
        return SKIPPED
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "models")]
    tests: Any = importlib.import_module("test_golden")
    data = tests.load_mnist(os.environ["SYMGRAD_DATA"])
    trajectories: dict[str, str] = {}
    for name in tests.NAMES:
        for run in (tests.test_float32, tests.test_float64):
            label = f"{name}, {run.__name__.removeprefix('test_')}"
            trajectories[label] = "no time was left" if deadline.left < 1 else attempt(run, tests.load_case(name), data)
            results.add(trajectories=trajectories)
    return DONE if all(word == "agrees" for word in trajectories.values()) else FAILED


def attempt(run: Any, case: Any, data: Any) -> str:
    """Return whether a trajectory agrees, or what is wrong."""
    try:
        run(case, "default", data, None)
    except Exception as error:
        traceback.print_exc()
        return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
    return "agrees"


if __name__ == "__main__":
    raise SystemExit(run_part(follow))
