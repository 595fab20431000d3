"""Whether a GPU can be used, step by step: the same words for ``symgrad doctor``, for errors and for ``device=auto``.

No step takes memory of a GPU: none makes a context there.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distributions
from importlib.util import find_spec
from typing import Any

from symgrad.backends.cupy.devices.compilation import architecture_option
from symgrad.backends.cupy.devices.device import load_cupy
from symgrad.backends.cupy.libraries.files import library_problem

OLDEST_CUPY = 14
DRIVERS = {12: 525, 13: 580}
"""The oldest driver for each version of CUDA."""

_forked: list[bool] = []


@dataclass(frozen=True)
class Finding:
    """What one step found.

    Attributes
    ----------
    step : str
        What was looked at.
    fact : str
        What is there; empty if there is a problem.
    problem : str
        What is wrong, as the end of a sentence; empty if nothing is.
    remedy : str
        What to do, as a sentence.
    optional : bool
        Whether the device can be used without it.
    """

    step: str
    fact: str = ""
    problem: str = ""
    remedy: str = ""
    optional: bool = False


def forked_after_use() -> None:
    """Say from now on that this process can't use CUDA, because the one that it was forked from does."""
    _forked.append(True)
    find_problem.cache_clear()


@cache
def find_problem(number: int) -> tuple[str, str]:
    """Return why a device can't be used and what to do; empty texts if it can.

    Parameters
    ----------
    number : int
        As CUDA counts devices.
    """
    for finding in examine(number):
        if finding.problem and not finding.optional:
            return finding.problem, finding.remedy
    return "", ""


def examine(number: int = 0) -> Iterator[Finding]:
    """Yield what each step finds, up to the first without which the device can't be used.

    Parameters
    ----------
    number : int
        As CUDA counts devices.
    """
    found: dict[str, Any] = {"number": number}
    for step in _STEPS:
        finding = step(found)
        yield finding
        if finding.problem and not finding.optional:
            return


def _package(found: dict[str, Any]) -> Finding:
    """Is CuPy installed, and only once?"""
    packages = sorted({str(each.name).lower() for each in distributions() if _is_cupy(str(each.name))})
    if len(packages) > 1:
        return Finding(
            "package", problem=f"several packages of CuPy are installed, which break each other: {', '.join(packages)}",
            remedy=f"Remove them all: pip uninstall -y {' '.join(packages)}; then {_install()}.",
        )  # fmt: skip
    if find_spec("cupy") is not None:
        return Finding("package", packages[0] if packages else "cupy")
    if driver_version() == 0:
        return Finding(
            "package", problem="CuPy isn't installed, and there is no NVIDIA driver here either",
            remedy=f"On a machine with an NVIDIA GPU: install its driver, then {_install()}.",
        )  # fmt: skip
    return Finding("package", problem="CuPy isn't installed", remedy=f"{_install().capitalize()}.")


def _is_cupy(name: str) -> bool:
    return name.lower() == "cupy" or name.lower().startswith(("cupy-cuda", "cupy-rocm", "cupy_cuda", "cupy_rocm"))


def _install() -> str:
    """Return the command that installs CuPy for the driver that is here."""
    return f'run pip install "symgrad[cuda{_cuda()}]"'


def _cuda() -> int:
    """Return the newest CUDA that the driver can run."""
    return 12 if 0 < driver_version() < 13000 else 13


def _importable(found: dict[str, Any]) -> Finding:
    """Can it be imported, and is it new enough?"""
    try:
        cupy = found["cupy"] = load_cupy()
    except Exception as error:
        return Finding(
            "import", problem=f"CuPy can't be imported: {_telling_line(error)}",
            remedy=f"Try `python -c 'import cupy'`; installing it anew may help: {_install()} --force-reinstall.",
        )  # fmt: skip
    version = str(cupy.__version__)
    if int(version.split(".")[0]) < OLDEST_CUPY:
        return Finding(
            "import", problem=f"CuPy {version} is too old: {OLDEST_CUPY} or newer is needed",
            remedy=f"{_install().capitalize()} --upgrade.",
        )  # fmt: skip
    return Finding("import", f"CuPy {version}")


def _telling_line(error: Exception) -> str:
    """Return the last line of an error that says something: CuPy frames its own with rules and advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" =")]
    name = type(error).__name__
    return (lines[-1] if lines[-1].startswith(name) else f"{name}: {lines[-1]}") if lines else name


def _driver(found: dict[str, Any]) -> Finding:
    """Is there a driver, and is it new enough for this CuPy?"""
    runtime = found["cupy"].cuda.runtime
    has = int(runtime.driverGetVersion())
    if has == 0:
        return Finding("driver", problem=f"there is no NVIDIA driver: {_DRIVER_FILE} isn't found", remedy=_no_driver())
    wants = int(runtime.runtimeGetVersion())
    if has // 1000 < wants // 1000:
        return Finding(
            "driver",
            problem=f"the driver is for CUDA {_dotted(has)}, older than CUDA {_dotted(wants)} of this CuPy",
            remedy=f"Install driver {DRIVERS.get(wants // 1000, 580)} or newer, or the CuPy for this driver: "
            f"pip uninstall {found.get('package', 'cupy')}; {_install()}.",
        )
    return Finding("driver", f"for CUDA {_dotted(has)} (CuPy runs CUDA {_dotted(wants)})")


_DRIVER_FILE = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"


def driver_version() -> int:
    """Return the version of CUDA that the driver is for, as 13020, or 0 without a driver. Needs no CuPy."""
    try:
        library = ctypes.CDLL(_DRIVER_FILE)
    except OSError:
        return 0
    version = ctypes.c_int(0)
    return version.value if library.cuDriverGetVersion(ctypes.byref(version)) == 0 else 0


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


def _no_driver() -> str:
    if sys.platform == "darwin":
        return "Macs have no NVIDIA GPU that CUDA supports: use device=cpu."
    if "microsoft" in platform.release().lower():
        return "In WSL the driver comes from Windows: install NVIDIA's driver there, none inside, then `wsl --update`."
    if _in_container():
        return "In a container: start it with --gpus all (NVIDIA Container Toolkit on the host)."
    return "Install NVIDIA's driver for this GPU; `nvidia-smi` shows whether it works."


def _in_container() -> bool:
    return os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv")


def _devices(found: dict[str, Any]) -> Finding:
    """Does CUDA see any device?"""
    if _forked:
        return Finding(
            "devices", problem="this process was forked from one that uses CUDA, and CUDA doesn't survive that",
            remedy='Start processes anew: multiprocessing.set_start_method("spawn"), or fork before the first use.',
        )  # fmt: skip
    reason = ""
    try:
        count = int(found["cupy"].cuda.runtime.getDeviceCount())  # makes no context, and so takes no memory
    except Exception as error:
        count, reason = 0, f" ({_telling_line(error)})"
    if count:
        found["count"] = count
        titles = [f"cuda{number}: {_title(found['cupy'], number)}" for number in range(count)]
        return Finding("devices", ", ".join(titles))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        remedy = f"CUDA_VISIBLE_DEVICES={visible!r} hides what isn't in it: unset it, or name a device there."
    elif _in_container():
        remedy = "In a container: start it with --gpus all; nvidia-smi must show the GPU inside."
    else:
        remedy = "See what nvidia-smi says; the GPU may be disabled, or /dev/nvidia* not readable for this user."
    return Finding("devices", problem=f"CUDA finds no device{reason}", remedy=remedy)


def _number(found: dict[str, Any]) -> Finding:
    """Does the device exist, and do the compiler and symgrad know its kind?"""
    number, count = found["number"], found["count"]
    runtime = found["cupy"].cuda.runtime
    if number >= count:
        there = "only cuda0 is here" if count == 1 else f"cuda0 to cuda{count - 1} are here"
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        hidden = f" CUDA_VISIBLE_DEVICES={visible!r} may hide others." if visible is not None else ""
        return Finding("number", problem=f"there is no cuda{number}: {there}", remedy=f"Choose one of these.{hidden}")
    properties = runtime.getDeviceProperties(number)
    found["capability"] = capability = 10 * int(properties["major"]) + int(properties["minor"])
    gigabytes = int(properties["totalGlobalMem"]) / 2**30
    return Finding("number", f"cuda{number} has {gigabytes:.1f} GiB and compute capability {capability / 10:.1f}")


def _title(cupy: Any, number: int) -> str:
    name = cupy.cuda.runtime.getDeviceProperties(number)["name"]
    return name.decode() if isinstance(name, bytes) else str(name)


_KERNEL = 'extern "C" __global__ void examined(float* x) { x[0] = 1; }'


def _compiler(found: dict[str, Any]) -> Finding:
    """Does NVRTC load, know the device, and compile a kernel?"""
    try:
        nvrtc = found["cupy"].cuda.nvrtc
        version = ".".join(map(str, nvrtc.getVersion()))
        supported = tuple(nvrtc.getSupportedArchs())
        if found["capability"] < min(supported):
            oldest, has = min(supported) / 10, found["capability"] / 10
            return Finding(
                "NVRTC", problem=f"NVRTC {version} compiles for compute capability {oldest:.1f} and newer, "
                f"and cuda{found['number']} has {has:.1f}",
                remedy='CUDA 12 knows older GPUs: pip uninstall cupy-cuda13x, then pip install "symgrad[cuda12]".',
            )  # fmt: skip
        program = nvrtc.createProgram(_KERNEL, "doctor.cu", (), ())
        try:
            nvrtc.compileProgram(program, (architecture_option(supported, found["capability"]),))
        finally:
            nvrtc.destroyProgram(program)
    except Exception as error:
        return Finding(
            "NVRTC", problem=f"NVRTC, CUDA's compiler, can't be used: {_telling_line(error)}",
            remedy=f"{_install().capitalize()}, which brings it.",
        )  # fmt: skip
    return Finding("NVRTC", f"{version}, compiles for cuda{found['number']}")


def _products(found: dict[str, Any]) -> Finding:
    """Does cuBLAS load?"""
    problem = library_problem("cublas")
    if problem:
        remedy = f"{_install().capitalize()}, which brings it."
        return Finding("cuBLAS", problem=f"cuBLAS can't be loaded: {problem}", remedy=remedy)
    return Finding("cuBLAS", "loads")


def _convolutions(found: dict[str, Any]) -> Finding:
    """Does cuDNN load? It may be missing."""
    problem = library_problem("cudnn")
    if problem:
        return Finding(
            "cuDNN", problem=f"not used ({problem}): large convolutions run through symgrad's own kernels, more slowly",
            remedy=f'It comes with pip install "symgrad[cudnn{_cuda()}]".', optional=True,
        )  # fmt: skip
    return Finding("cuDNN", "loads")


_STEPS: tuple[Callable[[dict[str, Any]], Finding], ...] = (
    _package, _importable, _driver, _devices, _number, _compiler, _products, _convolutions,
)  # fmt: skip
