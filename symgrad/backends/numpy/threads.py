"""How many threads BLAS may use while a program runs.

NumPy's and SciPy's wheels each bring an OpenBLAS of their own, which by default takes all processors; on a busy machine
its threads then wait for each other longer than they compute. A program sets ``config.threads`` when it starts and puts
back what it found, so that the user's own NumPy isn't slowed down or sped up.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from functools import cache
from types import TracebackType

MODULES = ("numpy._core._multiarray_umath", "scipy.linalg._fblas")
NAMES = (
    "scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads",
    "openblas_{}_num_threads64_", "openblas_{}_num_threads",
)  # fmt: skip

Control = tuple[Callable[[], int], Callable[[int], None]]


@cache
def blas_controls() -> tuple[Control, ...]:
    """Return for each OpenBLAS in the process what tells and what sets its number of threads; none for other BLAS."""
    found = []
    for module in MODULES:
        library = ctypes.CDLL(importlib.import_module(module).__file__)
        for name in NAMES:
            if hasattr(library, name.format("set")):
                found.append((getattr(library, name.format("get")), getattr(library, name.format("set"))))
                break
    return tuple(found)


class BlasThreads:
    """Context in which BLAS uses `count` threads; one after the other, not nested."""

    __slots__ = ("before", "controls", "count")

    def __init__(self, count: int) -> None:
        self.count = count
        self.controls = blas_controls()
        self.before: list[tuple[Callable[[int], None], int]] = []

    def __enter__(self) -> None:
        for get, set_ in self.controls:
            threads = get()
            if threads != self.count:
                self.before.append((set_, threads))
                set_(self.count)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self.before:
            set_, threads = self.before.pop()
            set_(threads)
