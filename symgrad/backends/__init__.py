"""Backends: each turns a plan into a program that runs."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache

from symgrad.backends.base import Backend
from symgrad.errors import ConfigError, MissingLibraryError

__all__ = ["find_backend"]

NAMES = ("auto", "native", "numpy")


def find_backend(name: str) -> Backend:
    """Return the backend of a name; ``auto`` is native where it can be had, and NumPy, which is said once, elsewhere.

    Raises
    ------
    ConfigError
        If there is no such backend.
    MissingLibraryError
        If ``native`` is asked for and llvmlite isn't there.
    """
    if name not in NAMES:
        raise ConfigError(f"there is no backend {name!r}; there are {', '.join(NAMES)}")
    if name == "native" and not _has_llvmlite():
        raise MissingLibraryError(f"backend = native needs llvmlite; {REMEDY}")
    if name == "numpy" or (name == "auto" and not _native_is_there()):
        from symgrad.backends.numpy import NumpyBackend

        return NumpyBackend()
    from symgrad.backends.native.backend import NativeBackend

    return NativeBackend()


REMEDY = "install it with: pip install llvmlite"


def _has_llvmlite() -> bool:
    return importlib.util.find_spec("llvmlite") is not None


@cache
def _native_is_there() -> bool:
    """Whether native code can be made here; says once why not."""
    if _has_llvmlite():
        return True
    print(f"symgrad: llvmlite isn't installed, so functions run through NumPy, more slowly; {REMEDY}", file=sys.stderr)
    return False
