"""Machine code as a position-independent image: linked once, then loaded in a fraction of a millisecond without LLVM.

An image is what `symgrad.backends.native.llvm.linker` makes of an object file. Open in it are only the addresses of
other libraries' functions, which go into a table of the image, and its own absolute addresses; both are written when it
is loaded. So it holds no address of this process, and another process may load it from a file.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

PAGE = 4096
_READ, _WRITE, _EXECUTE, _PRIVATE_ANONYMOUS = 1, 2, 4, 0x22  # as Linux numbers them


@dataclass
class Image:
    """Code and data as they lie in memory, from a multiple of a page.

    Attributes
    ----------
    data : bytes
        All of it.
    writable : int
        Where variables begin; before them lie code, from 0, and constants.
    constants : int
        Where constants begin.
    size : int
        With the variables that are zero at the start.
    functions : dict of str to int
        Where each function begins.
    imports : dict of str to int
        Where the address of each external function is to be written.
    own : list of (int, int)
        Where an address inside the image is to be written, and which.
    """

    data: bytes
    constants: int
    writable: int
    size: int
    functions: dict[str, int]
    imports: dict[str, int]
    own: list[tuple[int, int]]

    def pack(self) -> bytes:
        """Return the image as the bytes of a file."""
        words = {name: value for name, value in vars(self).items() if name != "data"}
        head = json.dumps(words).encode()
        return struct.pack("<I", len(head)) + head + self.data

    @classmethod
    def unpack(cls, packed: bytes) -> Image:
        """Return what `pack` wrote."""
        (length,) = struct.unpack_from("<I", packed)
        return cls(data=packed[4 + length :], **json.loads(packed[4 : 4 + length]))

    def load(self, symbols: Mapping[str, int]) -> dict[str, int]:
        """Copy the image to memory of its own, write the open addresses, and return those of its functions.

        Raises
        ------
        LookupError
            If an external function is neither in `symbols` nor in the C library.
        OSError
            If there is no memory, or the system doesn't let any become executable.
        """
        data = bytearray(self.data)
        for name, place in self.imports.items():
            struct.pack_into("<Q", data, place, symbols.get(name) or address_of(name))
        start = _system().mmap(None, self.size, _READ | _WRITE, _PRIVATE_ANONYMOUS, -1, 0)
        if start in (None, ctypes.c_void_p(-1).value):
            raise OSError(ctypes.get_errno(), f"no memory for {self.size} bytes of machine code")
        for place, inside in self.own:
            struct.pack_into("<Q", data, place, start + inside)
        ctypes.memmove(start, bytes(data), len(data))
        for begin, end, protection in (
            (0, self.constants, _READ | _EXECUTE), (self.constants, self.writable, _READ)
        ):  # fmt: skip
            if end > begin and _system().mprotect(start + begin, end - begin, protection):
                raise OSError(ctypes.get_errno(), "this system doesn't let memory become executable")
        return {name: start + place for name, place in self.functions.items()}


@cache
def address_of(name: str) -> int:
    """Return the address of a function of the C library.

    Raises
    ------
    LookupError
        If it has none of this name.
    """
    for library in (_system(), _mathematics()):
        function = getattr(library, name, None)
        if function is not None:
            return ctypes.cast(function, ctypes.c_void_p).value or 0
    raise LookupError(f"no library has a function {name!r}")


@cache
def _system() -> ctypes.CDLL:
    """The C library."""
    if os.name == "nt":
        return ctypes.CDLL("msvcrt")
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
    library.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return library


@cache
def _mathematics() -> ctypes.CDLL | None:
    """The library of mathematical functions, where it isn't part of the C library."""
    try:
        return ctypes.CDLL("libm.so.6")
    except OSError:
        return None
