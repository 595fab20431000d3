"""Makes an image of an object file: places its sections, and writes what they say about each other.

For ELF objects of x86-64 that Linux will run. For other objects, and those with something unusual in them, LLVM's own
loader is there.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from symgrad.backends.native.llvm.image import PAGE, Image

_ALLOCATED, _WRITABLE, _EXECUTABLE, _THREAD_LOCAL = 2, 1, 4, 0x400  # flags of sections
_SYMBOLS, _RELOCATIONS, _NO_BITS, _PROGRAM_BITS, _UNWIND = 2, 4, 8, 1, 0x70000001  # kinds of sections
_ABSOLUTE_64, _RELATIVE_64 = 1, 24  # kinds of relocations
_RELATIVE_32 = (2, 4)
_TABLE_RELATIVE_32 = (9, 41, 42)
_STUB = bytes((0xFF, 0x25))  # jmp *[rip + ...]


_Relocation = tuple[int, int, int, int, int]
"""Section, offset in it, kind, symbol, addend."""


class UnsupportedObjectError(Exception):
    """An object file with something that this linker doesn't know: LLVM has to load it."""


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
    for _, _, kind, symbol, _ in relocations:
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


def _relocations(linker: _Linker) -> list[_Relocation]:
    """Return what is to be resolved."""
    found = []
    for section in linker.sections:
        if section.kind == _RELOCATIONS and _is_loaded(linker.sections[section.info]):
            entries = linker.data[section.offset : section.offset + section.size]
            for offset, info, addend in struct.iter_unpack("<QQq", entries):
                found.append((section.info, offset, info & 0xFFFFFFFF, info >> 32, addend))
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


def _resolve(linker: _Linker, memory: bytearray, relocations: Sequence[_Relocation]) -> list[tuple[int, int]]:
    """Write all distances; return the places and values of absolute addresses."""
    own = [(place, linker.place_of(key)) for key, place in linker.slots.items() if isinstance(key, int)]
    for section, offset, kind, symbol, addend in relocations:
        place = linker.places[section] + offset
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
