"""The tests of ``tests/gpu`` with the real CuPy: each kernel and each op on the device, against NumPy."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.gpu_parts.children import ROOT, environment, run_child
from benchmarks.gpu_parts.outcomes import read_outcomes
from benchmarks.gpu_parts.results import DONE, FAILED, Deadline, Options, Results, run_part

NOT_OF_THE_DEVICE = (
    "test_shim.py", "test_fake_cupy.py", "test_nvrtc.py", "test_doctor.py", "test_cudnn.py", "test_golden_on_gpu.py",
)  # fmt: skip
"""Tests of what stands in for a device or a library, of compiling without one, of what is said where there is none;
and those that another part does."""

FIRST = ("test_conformance_on_gpu.py", "test_programs.py", "test_convolutions_on_gpu.py", "test_products_on_gpu.py")
"""The most valuable, where the time may not do for all."""

DRY_RUN = ["-k", "test_programs and captured"]
"""What is run of them where there is no GPU."""

PLUGINS = ("benchmarks.gpu_parts.on_device", "benchmarks.gpu_parts.outcomes")

INTERRUPTED = 2
"""pytest's exit status where it was told to stop."""

MOST_PROCESSES = 8
TEST_SECONDS = 60


def run_tests(options: Options, results: Results, deadline: Deadline) -> int:
    """Run the tests, on several processes if pytest can."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "outcomes")
        command = pytest_command(path, max(deadline.left - 10.0, 1.0))
        command += DRY_RUN if options.dry_run else []
        results.add(command=" ".join(command[1:]))
        ending = run_child(command, deadline.left, environment_of_tests(options.dry_run), echo=True)
        found = read_outcomes(path)
    results.add(**found, ended="not all: the time was up" if ending.status == INTERRUPTED else ending.words)
    if not found["passed"] and not found["failed"]:
        results.add(printed=ending.printed)
        return FAILED
    return FAILED if found["failed"] or ending.status is None or ending.status < 0 else DONE


def environment_of_tests(dry_run: bool) -> dict[str, str]:
    """Return the environment of the tests: they choose their devices themselves."""
    found = environment(dry_run)
    found["PYTHONPATH"] = os.pathsep.join([found["PYTHONPATH"], str(ROOT / "tests")])
    return {**found, "PYTEST_PLUGINS": ",".join(PLUGINS), "SYMGRAD_FLAGS": os.environ.get("SYMGRAD_FLAGS", "")}


def pytest_command(outcomes: Path, seconds: float) -> list[str]:
    """Return the command: other versions of libraries may warn of things that aren't errors here."""
    command = [sys.executable, "-m", "pytest", *files_of_tests(), "-q", "-W", "default", "-p", "no:cacheprovider"]
    command += ["-p", "no:benchmark", "--outcomes", str(outcomes), "--seconds-left", f"{seconds:.0f}"]
    if importlib.util.find_spec("xdist"):
        command += ["-n", str(min(MOST_PROCESSES, os.cpu_count() or 1))]
    if importlib.util.find_spec("pytest_timeout"):
        command += ["--timeout", str(TEST_SECONDS)]
    return command


def files_of_tests() -> list[str]:
    """Return the files of tests in their order."""
    names = sorted(path.name for path in (ROOT / "tests" / "gpu").glob("test_*.py"))
    names = [name for name in (*FIRST, *[name for name in names if name not in FIRST]) if name not in NOT_OF_THE_DEVICE]
    return [f"tests/gpu/{name}" for name in names]


if __name__ == "__main__":
    raise SystemExit(run_part(run_tests))
