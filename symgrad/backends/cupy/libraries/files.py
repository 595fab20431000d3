"""NVIDIA's libraries as files: found where CuPy finds its own, and opened without touching a device."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
from functools import cache

MAJORS = {"cublas": (13, 12), "cublasLt": (13, 12), "cudnn": (9,)}
"""The versions that symgrad's bindings are written for, the newest first."""


def load_library(name: str) -> ctypes.CDLL:
    """Open a library of NVIDIA's: ``cublas``, ``cublasLt`` or ``cudnn``.

    It is the one that CuPy itself uses, from a Python package, a toolkit or the system.

    Raises
    ------
    OSError
        If it isn't found, or can't be opened.
    """
    try:
        pathfinder = importlib.import_module("cuda.pathfinder")
    except ImportError:
        return _open_by_name(name)
    try:
        path = pathfinder.load_nvidia_dynamic_lib(name).abs_path
    except RuntimeError as error:
        raise OSError(str(error).splitlines()[0].partition(": No such file")[0]) from None
    return ctypes.CDLL(path) if path else _open_by_name(name)


def _open_by_name(name: str) -> ctypes.CDLL:
    """Open a library from where the system looks."""
    if os.name == "nt":
        candidates = [f"{name}64_{major}.dll" for major in MAJORS[name]]
    else:
        candidates = [f"lib{name}.so.{major}" for major in MAJORS[name]]
    for candidate in candidates:
        try:
            return ctypes.CDLL(candidate)
        except OSError:
            continue
    raise OSError(f"{' or '.join(candidates)} isn't found")


@cache
def library_problem(name: str) -> str:
    """Return why a library can't be used, or an empty text.

    Parameters
    ----------
    name : str
        ``cublas`` or ``cudnn``.
    """
    if name == "cudnn" and importlib.util.find_spec("cudnn") is None:
        return "nvidia-cudnn-frontend isn't installed"
    try:
        load_library(name)
    except OSError as error:
        return str(error)
    return ""
