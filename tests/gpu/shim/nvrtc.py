"""NVRTC, CUDA's own compiler, from the wheel ``nvidia-cuda-nvrtc``: it needs no GPU and no driver."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from gpu.shim.build import cache_directory
from symgrad.backends.cupy.devices.compilation import OPTIONS

ARCHITECTURES = (75, 80, 90, 120)
"""Turing, Ampere, Hopper and Blackwell."""


class CompilationError(AssertionError):
    """A text isn't CUDA C++ for a device."""


@functools.cache
def nvrtc() -> ctypes.CDLL | None:
    """Return the library, or None if the wheel isn't installed."""
    for path in sorted(_places()):
        try:
            return ctypes.CDLL(str(path))
        except OSError:
            continue
    return None


def _places() -> list[Path]:
    found = importlib.util.find_spec("nvidia")
    roots = [Path(root) for root in (found.submodule_search_locations or ())] if found else []
    return [path for root in roots for path in root.glob("*/lib/libnvrtc.so.1[3-9]")]


def versions() -> tuple[int, int]:
    """Return the version of NVRTC."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    library = nvrtc()
    assert library is not None
    library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


def compile_for(text: str, architecture: int) -> None:
    """Compile a module, the prelude and kernels, to the machine code of one architecture.

    Parameters
    ----------
    text : str
        The whole text.
    architecture : int
        A compute capability, as 80.

    Raises
    ------
    CompilationError
        With the compiler's words and the text.
    """
    told = "\0".join([text, str(architecture), str(versions()), *OPTIONS])
    memo = cache_directory() / f"{hashlib.blake2b(told.encode(), digest_size=16).hexdigest()}.compiles"
    if memo.exists():
        return
    log = _log_of(text, (*OPTIONS, f"-arch=sm_{architecture}"))
    if log is not None:
        numbered = "\n".join([f"{number:4} {line}" for number, line in enumerate(text.splitlines(), 1)])
        raise CompilationError(f"for sm_{architecture}:\n{log}\n{numbered}")
    memo.touch()


def _log_of(text: str, options: Sequence[str]) -> str | None:
    """Return what the compiler says to a text that it refuses, or None."""
    library = nvrtc()
    assert library is not None
    program = ctypes.c_void_p()
    library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"module.cu", 0, None, None)
    try:
        words = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
        if library.nvrtcCompileProgram(program, len(options), words) == 0:
            return None
        size = ctypes.c_size_t()
        library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        library.nvrtcGetProgramLog(program, log)
        return log.value.decode()
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def check_compiles(text: str, architectures: Sequence[int] = ARCHITECTURES) -> None:
    """Compile a module for several architectures."""
    for architecture in architectures:
        compile_for(text, architecture)


def kernels_of(text: str) -> list[str]:
    """Cut the kernels of a module apart, each with the device functions before it."""
    parts: list[str] = []
    lines: list[str] = []
    in_kernel = False
    for line in text.splitlines():
        lines.append(line)
        in_kernel |= line.startswith('extern "C" __global__')
        if in_kernel and line == "}":
            parts.append("\n".join(lines).strip())
            lines, in_kernel = [], False
    return parts


class Gathered:
    """Kernels of many programs, compiled together: a module's fixed cost is paid once for many kernels."""

    def __init__(self, prelude: str) -> None:
        self.prelude = prelude
        self._kernels: dict[str, str] = {}
        self._compiled: set[str] = set()

    def add(self, text: str) -> None:
        """Take in the kernels of a module, each once."""
        for part in kernels_of(text.removeprefix(self.prelude)):
            self._kernels.setdefault(part, part)

    def check(self, together: int = 40) -> int:
        """Compile what was added since the last time, for all architectures, and return how many kernels that were."""
        waiting = [part for part in self._kernels if part not in self._compiled]
        for start in range(0, len(waiting), together):
            some = waiting[start : start + together]
            check_compiles("\n".join([self.prelude, *some]))
            self._compiled.update(some)
        return len(waiting)
