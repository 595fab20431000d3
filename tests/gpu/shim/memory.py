"""Memory between pages that nobody may touch, filled so that what wasn't written shows."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np

PAGE = mmap.PAGESIZE
NO_ACCESS, READ_ONLY, READ_WRITE = 0, 1, 3
PRIVATE_ANONYMOUS, DONT_NEED = 0x22, 4

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Guarded:
    """A buffer with a page before it and one behind it that can't be read or written.

    It lies at the end of its pages, aligned to `alignment`, or at their start. The few bytes between it and its pages'
    ends are filled with `canary`, which `whole` looks at; the buffer itself is filled with `poison`.

    Attributes
    ----------
    address, bytes : int
        The buffer.
    """

    def __init__(
        self, nbytes: int, alignment: int = 16, at_end: bool = True, poison: int = 0xFF, canary: int | None = None
    ) -> None:
        self.bytes = nbytes
        self._pages = -(-max(nbytes, 1) // PAGE) * PAGE
        self._canary = poison if canary is None else canary
        found = _libc.mmap(None, self._pages + 2 * PAGE, NO_ACCESS, PRIVATE_ANONYMOUS, -1, 0)
        if found is None or found == ctypes.c_void_p(-1).value:
            raise MemoryError(f"no {nbytes} bytes for a guarded buffer")
        self._base = int(found)
        first = self._base + PAGE
        _libc.mprotect(first, self._pages, READ_WRITE)
        self.address = first + ((self._pages - nbytes) // alignment * alignment if at_end else 0)
        ctypes.memset(first, self._canary, self._pages)
        ctypes.memset(self.address, poison, nbytes)

    def __del__(self) -> None:
        if getattr(self, "_base", 0):
            _libc.munmap(self._base, self._pages + 2 * PAGE)
            self._base = 0

    def protect(self, mode: int) -> None:
        """Say whether the buffer may be read and written (``READ_ONLY``, ``READ_WRITE``, ``NO_ACCESS``)."""
        _libc.mprotect(self._base + PAGE, self._pages, mode)

    def discard(self) -> None:
        """Let nobody touch the buffer any more, and give its memory back; its addresses stay taken."""
        _libc.madvise(self._base + PAGE, self._pages, DONT_NEED)
        self.protect(NO_ACCESS)

    def covers(self, address: int) -> bool:
        """Tell whether an address is in this buffer's pages or guards."""
        return self._base <= address < self._base + self._pages + 2 * PAGE

    def whole(self) -> bool:
        """Tell whether the bytes around the buffer are as they were."""
        first, end = self._base + PAGE, self._base + PAGE + self._pages
        before = ctypes.string_at(first, self.address - first)
        behind = ctypes.string_at(self.address + self.bytes, end - self.address - self.bytes)
        return not (before + behind).strip(bytes([self._canary]))

    def place(self, address: int) -> str:
        """Say in words where an address lies, seen from the buffer."""
        if address < self.address:
            return f"{self.address - address} bytes before its start"
        if address >= self.address + self.bytes:
            return f"{address - self.address - self.bytes} bytes behind its end ({self.bytes} bytes)"
        return f"at byte {address - self.address} of {self.bytes}"

    def array(self, dtype: Any = np.uint8) -> np.ndarray:
        """Return the buffer as an array that lives no longer than the buffer."""
        memory: Any = (ctypes.c_char * self.bytes).from_address(self.address)
        return np.ndarray(self.bytes // np.dtype(dtype).itemsize, dtype, memory)
