"""Arrays that end where memory ends: whoever reads or writes beyond them is stopped by the processor."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def guarded_array(shape: int | Sequence[int], dtype: Any, at_end: bool = True) -> np.ndarray:
    """Return an array of zeros between two pages that nobody may touch.

    Parameters
    ----------
    shape : int or sequence of int
        Its shape; it may be empty.
    dtype : dtype-like
        Its dtype.
    at_end : bool
        Whether it ends at the page behind it; otherwise it begins right after the page before it.
    """
    kind = np.dtype(dtype)
    count = int(np.prod(shape, dtype=int))
    page = mmap.PAGESIZE
    inside = max(-(-count * kind.itemsize // page), 1) * page
    memory = mmap.mmap(-1, inside + 2 * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    offset = page + (inside - count * kind.itemsize if at_end else 0)
    array = np.frombuffer(memory, kind, count, offset) if count else _empty(memory, kind, offset)
    for place in (address, address + page + inside):
        if _libc.mprotect(place, page, 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    return array.reshape(shape)


def _empty(memory: mmap.mmap, kind: np.dtype, offset: int) -> np.ndarray:
    """Return an array without elements whose address still is that of the guarded page."""
    return np.ndarray((0,), kind, memory, offset)


def guarded_copy(array: np.ndarray, at_end: bool = True) -> np.ndarray:
    """Return a guarded, C-contiguous copy."""
    copy = guarded_array(array.shape, array.dtype, at_end)
    copy[...] = array
    return copy
