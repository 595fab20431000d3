"""Backends: each turns a plan into a program that runs."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from typing import Any

import numpy as np

from symgrad.backends.base import Backend
from symgrad.config.devices import set_examination
from symgrad.errors import ConfigError, MissingLibraryError
from symgrad.graph.residence import set_devices

__all__ = ["find_backend"]

NAMES = ("auto", "native", "numpy")


def find_backend(name: str, device: str = "cpu") -> Backend:
    """Return the backend for a device; on the CPU, the one of a name.

    ``auto`` is native where it can be had, and NumPy, which is said once, elsewhere.

    Parameters
    ----------
    name : str
        ``auto``, ``native`` or ``numpy``; a GPU has one backend, ``auto``.
    device : str
        ``cpu``, or ``cudaN``.

    Raises
    ------
    ConfigError
        If there is no such backend, or it isn't one of the device.
    DeviceError
        If the device can't be used.
    MissingLibraryError
        If ``native`` is asked for and llvmlite isn't there.
    """
    if name not in NAMES:
        raise ConfigError(f"there is no backend {name!r}; there are {', '.join(NAMES)}")
    if device != "cpu":
        return _cuda_backend(name, device)
    if name == "native" and not _has_llvmlite():
        raise MissingLibraryError(f"backend = native needs llvmlite; {REMEDY}")
    if name == "numpy" or (name == "auto" and not _native_is_there()):
        from symgrad.backends.numpy import NumpyBackend

        return NumpyBackend()
    from symgrad.backends.native.backend import NativeBackend

    return NativeBackend()


REMEDY = "install it with: pip install llvmlite"


def _cuda_backend(name: str, device: str) -> Backend:
    if name != "auto":
        remedy = "set backend = auto or device = cpu"
        raise ConfigError(f"backend = {name} runs on the CPU, and device = {device}; {remedy}")
    from symgrad.backends.cupy.backend import CudaBackend

    return CudaBackend(device)


def _has_llvmlite() -> bool:
    return importlib.util.find_spec("llvmlite") is not None


@cache
def _native_is_there() -> bool:
    """Whether native code can be made here; says once why not."""
    if _has_llvmlite():
        return True
    print(f"symgrad: llvmlite isn't installed, so functions run through NumPy, more slowly; {REMEDY}", file=sys.stderr)
    return False


# ---- what lower rooms ask of devices, each imported when it is first asked ----


def _find_device(name: str) -> Any:
    from symgrad.backends.cupy.devices.device import find_device

    return find_device(name)


def _download(value: Any) -> np.ndarray:
    from symgrad.backends.cupy.devices.device import download

    return download(value)


def _find_problem(number: int) -> tuple[str, str]:
    from symgrad.backends.cupy.devices.doctor import find_problem

    return find_problem(number)


set_devices(_find_device, _download)
set_examination(_find_problem)
