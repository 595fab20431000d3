"""The dtypes that symgrad knows, and NumPy's objects for them.

bfloat16 isn't NumPy's own: the package ml_dtypes adds it, and is imported when bfloat16 is first asked for.
"""

from __future__ import annotations

import importlib
from functools import cache

import numpy as np

from symgrad.errors import MissingLibraryError, render

DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64", "complex128",
)  # fmt: skip
"""The dtypes that are NumPy's own."""

BFLOAT16 = "bfloat16"
"""A float of 16 bits with the range of float32: 8 bits of exponent, 7 of fraction."""

HALVES = ("float16", BFLOAT16)
"""Dtypes in which values are stored, never computed: every op computes in float32 and rounds its result once."""


class _NumpyDtypes(dict[str, np.dtype]):
    """NumPy's dtype by name; iterating gives those that are always there."""

    def __contains__(self, name: object) -> bool:
        return name == BFLOAT16 or super().__contains__(name)

    def __missing__(self, name: str) -> np.dtype:
        if name != BFLOAT16:
            raise KeyError(name)
        return _bfloat16()


NUMPY_DTYPES = _NumpyDtypes({name: np.dtype(name) for name in DTYPES})
_KINDS = {BFLOAT16: "f", **{name: dtype.kind for name, dtype in NUMPY_DTYPES.items()}}


@cache
def _bfloat16() -> np.dtype:
    try:
        return np.dtype(importlib.import_module("ml_dtypes").bfloat16)
    except ImportError as failure:
        headline = "bfloat16 needs the package ml_dtypes, which isn't installed"
        raise MissingLibraryError(render(headline, remedy="Install it: pip install symgrad[half]")) from failure


def is_half(value: object) -> bool:
    """Whether a value is an array of floats of 16 bits."""
    return isinstance(value, np.ndarray | np.generic) and value.dtype.itemsize == 2 and value.dtype.name in HALVES


def widened(dtype: str) -> str:
    """Return the dtype in which ops compute on `dtype`: float32 for floats of 16 bits, else the same."""
    return "float32" if dtype in HALVES else dtype


def kind_of(dtype: str | np.dtype) -> str:
    """Return NumPy's letter for the kind of a dtype: b, i, u, f or c. NumPy itself doesn't know that bfloat16 is an f.

    Examples
    --------
    >>> kind_of("float16"), kind_of("bfloat16"), kind_of(np.dtype("uint8"))
    ('f', 'f', 'u')
    """
    if isinstance(dtype, str):
        return _KINDS[dtype]
    return "f" if dtype.name == BFLOAT16 else dtype.kind
