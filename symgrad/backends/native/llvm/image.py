"""Machine code as a position-independent image: linked once, then loaded in a fraction of a millisecond without LLVM.

LLVM gives an object file; a linker would place its sections and resolve what they say about each other. That is done
here when the object is made. What stays open are the addresses of other libraries' functions, which go into a table of
the image, and its own absolute addresses; both are written when it is loaded. So the image holds no address of this
process, and another process may load it from a file.

Objects for x86-64 in the ELF format only: elsewhere LLVM itself loads the object.
"""

from __future__ import annotations

import ctypes
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

PAGE = 4096

_ALLOCATED, _WRITABLE, _EXECUTABLE, _THREAD_LOCAL = 2, 1, 4, 0x400
_SYMBOLS, _RELOCATIONS, _NO_BITS, _PROGRAM_BITS, _UNWIND = 2, 4, 8, 1, 0x70000001
_ABSOLUTE_64, _RELATIVE_64 = 1, 24
_RELATIVE_32 = (2, 4)
_TABLE_RELATIVE_32 = (9, 41, 42)
_READ, _WRITE, _EXECUTE = 1, 2, 4
_STUB = bytes((0xFF, 0x25))  # jmp *[rip + ...]


class UnsupportedObjectError(Exception):
    """An object file with something that this linker doesn't know: LLVM has to load it."""


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
        start = _system().mmap(None, self.size, _READ | _WRITE, 0x22, -1, 0)  # private, anonymous
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


@dataclass(frozen=True, slots=True)
class _Section:
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry: int


@dataclass
class _Linker:
    """An object file while it becomes an image."""

    data: bytes
    sections: list[_Section]
    symbols: list[tuple[int, int, int, int, int, int]]
    names: bytes
    places: dict[int, int] = field(default_factory=dict)
    stubs: dict[str, int] = field(default_factory=dict)
    slots: dict[str | int, int] = field(default_factory=dict)

    def name_of(self, symbol: int) -> str:
        begin = self.symbols[symbol][0]
        return self.names[begin : self.names.index(b"\0", begin)].decode()

    def is_external(self, symbol: int) -> bool:
        return self.symbols[symbol][3] == 0

    def place_of(self, symbol: int) -> int:
        """Return where a symbol of the object lies in the image."""
        section, value = self.symbols[symbol][3:5]
        if section not in self.places:
            raise UnsupportedObjectError(f"symbol {self.name_of(symbol)!r} isn't in a section of the image")
        return self.places[section] + value


def link(data: bytes) -> Image:
    """Return an object file's code as an image.

    Parameters
    ----------
    data : bytes
        An ELF object for x86-64, compiled for any place in memory.

    Raises
    ------
    UnsupportedObjectError
        If it isn't one, or has something unusual in it.
    """
    linker = _read(data)
    relocations = _relocations(linker)
    for _, kind, symbol, _ in relocations:
        if kind in _TABLE_RELATIVE_32:
            linker.slots.setdefault(_slot_key(linker, symbol), 0)
        elif linker.is_external(symbol):
            if kind not in _RELATIVE_32:
                raise UnsupportedObjectError("an external function's absolute address")
            linker.slots.setdefault(linker.name_of(symbol), 0)
            linker.stubs.setdefault(linker.name_of(symbol), 0)
    constants, writable, size = _place(linker)
    end = max([writable, *(_end(linker, number) for number in linker.places if _has_bits(linker, number))])
    memory = bytearray(end)
    for number, place in linker.places.items():
        section = linker.sections[number]
        if section.kind != _NO_BITS:
            memory[place : place + section.size] = data[section.offset : section.offset + section.size]
    for name, place in linker.stubs.items():
        memory[place : place + 6] = _STUB + struct.pack("<i", linker.slots[name] - place - 6)
    own = _resolve(linker, memory, relocations)
    return Image(bytes(memory), constants, writable, size, _functions(linker),
                 {key: place for key, place in linker.slots.items() if isinstance(key, str)}, own)  # fmt: skip


def _slot_key(linker: _Linker, symbol: int) -> str | int:
    """Return by what the table of addresses knows a symbol: its name, or its number if it is the object's own."""
    return linker.name_of(symbol) if linker.is_external(symbol) else symbol


def _has_bits(linker: _Linker, number: int) -> bool:
    return linker.sections[number].kind != _NO_BITS


def _end(linker: _Linker, number: int) -> int:
    return linker.places[number] + linker.sections[number].size


def _read(data: bytes) -> _Linker:
    """Read an object file's tables."""
    if len(data) < 64 or data[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<HH", data, 16) != (1, 62):
        raise UnsupportedObjectError("not an ELF object for x86-64")
    (table,) = struct.unpack_from("<Q", data, 40)
    entry, count = struct.unpack_from("<HH", data, 58)
    sections = [_Section(*struct.unpack_from("<IIQQQQIIQQ", data, table + entry * n)) for n in range(count)]
    tables = [section for section in sections if section.kind == _SYMBOLS]
    if len(tables) != 1:
        raise UnsupportedObjectError("not one table of symbols")
    begin, end = tables[0].offset, tables[0].offset + tables[0].size
    names = sections[tables[0].link]
    symbols = list(struct.iter_unpack("<IBBHQQ", data[begin:end]))
    return _Linker(data, sections, symbols, data[names.offset : names.offset + names.size])


def _is_loaded(section: _Section) -> bool:
    """Whether a section becomes part of the image: code and data do, tables for unwinding the stack don't."""
    if not section.flags & _ALLOCATED or section.kind == _UNWIND or not section.size:
        return False
    if section.kind not in (_PROGRAM_BITS, _NO_BITS) or section.flags & _THREAD_LOCAL:
        raise UnsupportedObjectError(f"a section of kind {section.kind}, flags {section.flags}")
    return True


def _relocations(linker: _Linker) -> list[tuple[int, int, int, int]]:
    """Return what is to be resolved: section and offset as one tuple's place, kind, symbol, addend."""
    found = []
    for section in linker.sections:
        if section.kind == _RELOCATIONS and _is_loaded(linker.sections[section.info]):
            entries = linker.data[section.offset : section.offset + section.size]
            for offset, info, addend in struct.iter_unpack("<QQq", entries):
                found.append((section.info << 40 | offset, info & 0xFFFFFFFF, info >> 32, addend))
    return found


def _place(linker: _Linker) -> tuple[int, int, int]:
    """Give every section its place: code, constants, variables, each from a page of its own; return the borders."""
    here, borders = 0, []
    groups = ((_EXECUTABLE, _EXECUTABLE), (_EXECUTABLE | _WRITABLE, 0), (_WRITABLE, _WRITABLE))
    for group, (mask, wanted) in enumerate(groups):
        members = [n for n, s in enumerate(linker.sections) if _is_loaded(s) and s.flags & mask == wanted]
        for number in sorted(members, key=lambda n: not _has_bits(linker, n)):
            here = -(-here // max(1, linker.sections[number].align)) * max(1, linker.sections[number].align)
            linker.places[number] = here
            here += linker.sections[number].size
        if group == 0:
            for name in linker.stubs:
                linker.stubs[name], here = here, here + 8
        if group == 1:
            here = -(-here // 8) * 8
            for key in linker.slots:
                linker.slots[key], here = here, here + 8
        here = -(-here // PAGE) * PAGE
        borders.append(here)
    return borders[0], borders[1], max(here, PAGE)


def _resolve(
    linker: _Linker, memory: bytearray, relocations: Sequence[tuple[int, int, int, int]]
) -> list[tuple[int, int]]:
    """Write all distances; return the places and values of absolute addresses."""
    own = [(place, linker.place_of(key)) for key, place in linker.slots.items() if isinstance(key, int)]
    for where, kind, symbol, addend in relocations:
        place = linker.places[where >> 40] + (where & (1 << 40) - 1)
        if kind in _TABLE_RELATIVE_32:
            value = linker.slots[_slot_key(linker, symbol)]
        elif linker.is_external(symbol):
            value = linker.stubs[linker.name_of(symbol)]
        else:
            value = linker.place_of(symbol)
        if kind == _ABSOLUTE_64:
            own.append((place, value + addend))
        elif kind == _RELATIVE_64:
            struct.pack_into("<q", memory, place, value + addend - place)
        elif kind in _RELATIVE_32 or kind in _TABLE_RELATIVE_32:
            struct.pack_into("<i", memory, place, value + addend - place)
        else:
            raise UnsupportedObjectError(f"a relocation of kind {kind}")
    return own


def _functions(linker: _Linker) -> dict[str, int]:
    """Return where the functions lie that other modules may call."""
    found = {}
    for number, (_, info, _, _, _, _) in enumerate(linker.symbols):
        if info >> 4 == 1 and info & 15 == 2 and not linker.is_external(number):
            found[linker.name_of(number)] = linker.place_of(number)
    return found


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
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
    library.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return library


@cache
def _mathematics() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL("libm.so.6")
    except OSError:
        return None
