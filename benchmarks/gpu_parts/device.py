"""What ``symgrad doctor`` says of this machine, and the facts of its GPU that timings depend on."""

from __future__ import annotations

import importlib
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

from benchmarks.gpu_parts.children import run_child
from benchmarks.gpu_parts.results import DONE, FAILED, Deadline, Facts, Options, Results, run_part

QUERY = (
    "name", "driver_version", "memory.total", "clocks.sm", "clocks.max.sm", "clocks.mem", "clocks.max.mem",
    "power.limit", "temperature.gpu", "persistence_mode", "compute_mode",
)  # fmt: skip
LIBRARIES = (
    "numpy", "scipy", "llvmlite", "cupy-cuda13x", "cupy-cuda12x", "nvidia-cudnn-frontend", "torch", "triton", "jax",
    "jaxlib",
)  # fmt: skip


def examine(options: Options, results: Results, deadline: Deadline) -> int:
    """Collect the facts."""
    results.add(python=platform.python_version(), system=platform.platform(), libraries=libraries())
    doctor = run_child([sys.executable, "-m", "symgrad", "doctor"], deadline.left)
    results.add(doctor=doctor.printed, smi=smi_facts())
    if options.dry_run:
        return DONE
    results.add(**cuda_facts())
    return DONE if doctor.status == 0 else FAILED


def libraries() -> Facts:
    """Return the versions of the libraries that are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def smi_facts() -> Facts:
    """Return what nvidia-smi says of the first GPU; nothing without nvidia-smi."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return {}
    command = [tool, f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader", "--id=0"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=15)
    except subprocess.TimeoutExpired:
        return {}
    values = [value.strip() for value in answer.stdout.split(",")]
    return dict(zip(QUERY, values, strict=True)) if len(values) == len(QUERY) else {}


def cuda_facts() -> Facts:
    """Return what CUDA says of the device."""
    cupy = importlib.import_module("cupy")
    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(0)
    return {
        "name": properties["name"].decode(),
        "capability": f"{properties['major']}.{properties['minor']}",
        "multiprocessors": properties["multiProcessorCount"],
        "memory_bytes": properties["totalGlobalMem"],
        "second_cache_bytes": properties["l2CacheSize"],
        "cuda_runtime": runtime.runtimeGetVersion(),
        "cuda_driver": runtime.driverGetVersion(),
    }


if __name__ == "__main__":
    raise SystemExit(run_part(examine))
