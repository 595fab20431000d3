"""Backends: each turns a plan into a program that runs."""

from __future__ import annotations

from symgrad.backends.base import Backend
from symgrad.errors import ConfigError

__all__ = ["find_backend"]


def find_backend(name: str) -> Backend:
    """Return the backend of a name; ``auto`` is the fastest one for the device, for now NumPy's.

    Raises
    ------
    ConfigError
        If there is no such backend.
    """
    if name not in ("auto", "numpy"):
        raise ConfigError(f"there is no backend {name!r}; there are auto and numpy")
    from symgrad.backends.numpy import NumpyBackend

    return NumpyBackend()
