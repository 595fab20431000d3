"""Compiles CUDA modules for the CPU, and keeps what was compiled by the hash of its text."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
HEADERS = (HERE / "cuda_on_cpu.h", HERE / "cuda_math.h")
RUNTIME = HERE / "runtime.cpp"

COMMON = ("-std=c++17", "-fPIC", "-shared", "-fwrapv", "-U_FORTIFY_SOURCE")
# Products and sums are rounded apart; NVRTC may fuse them.
# An index beyond an array of the kernel's own and an address that isn't aligned to its type end in a trap.
FLAGS = (
    *COMMON, "-x", "c++", "-O1", "-w", "-nostdlib", "-fvisibility=hidden", "-fno-exceptions", "-fno-rtti",
    "-fno-asynchronous-unwind-tables", "-fno-strict-aliasing", "-ffp-contract=off", "-fno-math-errno",
    "-ftrivial-auto-var-init=pattern", "-fsanitize=bounds,alignment", "-fsanitize-undefined-trap-on-error",
    "-Wl,-Bsymbolic", "-include", str(HEADERS[0]),
)  # fmt: skip
KERNEL = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\(\s*(\d+)[^)]*\)\s*)?(\w+)\s*\(')
DYNAMIC = re.compile(r"extern\s+__shared__\s+((?:__align__\(\d+\)\s+)?)((?:\w+\s+)*\w+)\s+(\w+)\s*\[\s*\]\s*;")
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
KEPT_DAYS = 3


class BuildError(AssertionError):
    """A module's text isn't C++ as the harness understands it."""


@functools.cache
def cache_directory() -> Path:
    """Return where compiled modules lie, without those that no run has used for days."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(tempfile.gettempdir(), f"symgrad-tests-{os.getuid()}")
    directory = Path(base) / "cuda-on-cpu"
    directory.mkdir(parents=True, exist_ok=True)
    oldest = time.time() - KEPT_DAYS * 86400
    for path in directory.iterdir():
        try:
            if path.stat().st_mtime < oldest:
                path.unlink()
        except FileNotFoundError:  # another process was quicker
            pass
    return directory


@functools.cache
def compiler() -> str | None:
    """Return the C++ compiler's path, or None where there is none that the harness is written for."""
    return shutil.which("g++") if sys.platform == "linux" else None


@functools.cache
def machine_flags() -> tuple[str, ...]:
    """Return what this processor allows: with its own fma a fused product costs no call."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return ()
    return ("-mfma",) if re.search(r"^flags.*\bfma\b", flags, re.MULTILINE) else ()


def compiled(text: str, flags: tuple[str, ...], others: tuple[Path, ...], suffix: str) -> Path:
    """Return the library that `text` makes, compiled unless that was done before."""
    told = [" ".join(flags), text, *[path.read_text() for path in others]]
    digest = hashlib.blake2b("\0".join(told).encode(), digest_size=16).hexdigest()
    target = cache_directory() / f"{digest}.so"
    if target.exists():
        os.utime(target)
        return target
    handle, source = tempfile.mkstemp(suffix=suffix, dir=cache_directory())
    with os.fdopen(handle, "w") as file:
        file.write(text)
    unfinished = Path(source).with_suffix(".unfinished")
    try:
        command = [str(compiler()), *flags, source, "-o", str(unfinished)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(f"{done.stderr[:4000]}\nof the text\n{text}")
        unfinished.replace(target)  # whole or not at all, whatever other processes do
    finally:
        os.unlink(source)
    return target


@functools.cache
def runtime() -> ctypes.PyDLL:
    """Return the library that runs the threads of kernels."""
    path = compiled(RUNTIME.read_text(), (*COMMON, "-O2"), (), ".cpp")
    return ctypes.PyDLL(str(path), mode=ctypes.RTLD_GLOBAL)


@dataclass(frozen=True)
class Parameter:
    """A kernel's parameter: its bytes, the bytes of what it points to (0 if it's no address), and if that is const."""

    bytes: int
    element: int
    constant: bool


@dataclass(frozen=True, eq=False)
class Function:
    """A kernel that can be launched on the CPU."""

    name: str
    call: int
    parameters: tuple[Parameter, ...]
    most_threads: int
    shared: tuple[int, int]


def text_for_cpu(text: str) -> tuple[str, list[tuple[str, int]]]:
    """Return a module's text as g++ gets it, and the names and most threads of its kernels.

    The text stays as it is but for dynamic shared memory, whose array becomes the address that the launch gives.
    """
    bare = COMMENT.sub("", text)
    check_guards(bare)
    kernels = [(name, int(bound or 1024)) for bound, name in KERNEL.findall(bare)]
    ours = DYNAMIC.sub(r"\2* const \3 = (\2*)cpu_dynamic_shared;", text)
    lines = [f"CPU_KERNEL({name})" for name, _ in kernels]
    return "\n".join([ours, *lines, "CPU_MODULE", ""]), kernels


def check_guards(bare: str) -> None:
    """Refuse kernels whose threads may end at the first look at the status word while others wait for them.

    Blocks run at the same time on a device: one may fail while the threads of another begin, one after the other.
    """
    starts = [match.start() for match in KERNEL.finditer(bare)]
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        kernel = bare[start:end]
        waits = re.search(r"__syncthreads|\bover_block\b|\bover_rows\b", kernel)
        if waits and re.search(r"\bFAIL\(", kernel) and re.search(r"\bGUARD\s", kernel):
            raise BuildError(f"a kernel that fails and has barriers begins with GUARD, not GUARD_TOGETHER:\n{kernel}")


@functools.cache
def load(text: str) -> dict[str, Function]:
    """Compile a module, the prelude and kernels, and return its kernels by name."""
    runtime()
    ours, kernels = text_for_cpu(text)
    library = ctypes.PyDLL(str(compiled(ours, (*FLAGS, *machine_flags()), HEADERS, ".cu")))
    begin, end = ctypes.c_void_p(), ctypes.c_void_p()
    library.cpu_shared_of_module(ctypes.byref(begin), ctypes.byref(end))
    shared = (begin.value or 0, end.value or 0)
    functions = {}
    for name, most_threads in kernels:
        table = ctypes.POINTER(ctypes.c_int)()
        count = getattr(library, f"cpu_describe_{name}")(ctypes.byref(table))
        rows = [table[place * count : (place + 1) * count] for place in range(3)]
        parameters = tuple(Parameter(size, element, bool(const)) for size, element, const in zip(*rows, strict=True))
        address = ctypes.cast(getattr(library, f"cpu_call_{name}"), ctypes.c_void_p).value
        functions[name] = Function(name, address or 0, parameters, most_threads, shared)
    return functions
