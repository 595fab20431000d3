"""Elementwise kernels whose threads each take some neighbours in memory, in accesses of 16 bytes.

That is worth it where there are more elements than the device has threads. Buffers need not be aligned: each thread
sees whether they are, and what is left at the end is read and written element by element.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from symgrad.backends.cupy.emit.groups import Group, GroupWriter
from symgrad.backends.cupy.emit.nests import Accesses, Nest, accesses_in
from symgrad.backends.cupy.emit.shapes import Shape
from symgrad.backends.cupy.emit.writer import Name, c_name
from symgrad.backends.cupy.prelude import TYPES
from symgrad.kernels.ir.functions import DTYPES
from symgrad.kernels.ir.grammar import Let, Load, Loop, Ref, Store
from symgrad.kernels.ir.traversal import names_in

PACK_BYTES = 16
MOST_PACKED = 8
THREADS_OF_A_PROCESSOR = 256
"""As many threads on each multiprocessor should have a whole pack."""

Key = tuple[str, tuple[tuple[tuple[str, ...], int], ...]]
"""A buffer and a position in it."""


@dataclass(frozen=True)
class Packing:
    """What each thread takes.

    Attributes
    ----------
    count : int
        Elements.
    accesses : dict
        The accesses that are packed, by buffer and position.
    """

    count: int
    accesses: dict[Key, Load | Store]


def pack_of(shape: Shape, accesses: Accesses, multiprocessors: int) -> Packing | None:
    """Return how the elements of a kernel are packed; None if they aren't."""
    if shape.kind != "grid" or shape.group.kind != "thread":
        return None
    (nest,) = shape.nests
    found = list(accesses_in(nest.statements))
    stored = {one.buffer for one in found if isinstance(one, Store)}
    if not all(isinstance(s, Let | Store) for s in nest.statements) or any(one.mask is not None for one in found):
        return None
    if not stored or any(isinstance(one, Load) and one.buffer in stored for one in found):
        return None
    packed = {key_of(one, accesses): one for one in found if _follows(one, nest, accesses)}
    if not all(key_of(one, accesses) in packed for one in found if isinstance(one, Store)):
        return None
    largest = max(DTYPES[accesses.buffers[one.buffer].dtype] for one in packed.values())
    count = min(PACK_BYTES // largest, MOST_PACKED)
    is_large = nest.rounds is None or nest.rounds >= count * THREADS_OF_A_PROCESSOR * multiprocessors
    if count < 2 or not is_large or not _fits(packed.values(), nest, accesses, count):
        return None
    return Packing(count, packed)


def key_of(access: Load | Store, accesses: Accesses) -> Key:
    """Return the buffer and the position of an access."""
    return access.buffer, accesses.polynomial(access).signature


def _follows(access: Load | Store, nest: Nest, accesses: Accesses) -> bool:
    """Whether an access goes through memory as the last loop does, from a start that outer loops give."""
    parts = accesses.polynomial(access).split(nest.loops[-1].index)
    if parts is None or parts[0].constant != 1:
        return False
    made = {statement.name for statement in nest.statements if isinstance(statement, Let)}
    factors = [factor for monomial, _ in parts[1].terms.values() for factor in monomial]
    return all(isinstance(factor, Ref) and factor.name not in made for factor in factors)


def _fits(packed: Collection[Load | Store], nest: Nest, accesses: Accesses, count: int) -> bool:
    """Whether packs begin at multiples of their size, and none goes beyond a row."""
    last = nest.loops[-1]
    if len(nest.loops) > 1 and (isinstance(last.extent, str) or last.extent % count):
        return False
    for access in packed:
        parts = accesses.polynomial(access).split(last.index)
        assert parts is not None
        if any(coefficient % count for _, coefficient in parts[1].terms.values()):
            return False
    return True


class PackWriter(GroupWriter):
    """Writes kernels whose threads each take some neighbours."""

    pack: Packing | None = None
    packs: dict[Key, str] | None = None

    def element(self, access: Load | Store) -> str:
        if self.packs is not None:
            name = self.packs.get(key_of(access, self.accesses))
            if name is not None:
                return f"{name}.at[k]"
        return super().element(access)

    def packed(self, nest: Nest, threads: int) -> None:
        """Write the packs of a nest, one for each thread."""
        pack, last = self.pack, nest.loops[-1]
        assert pack is not None
        self.group = Group("thread")
        count, kind = pack.count, self.count_type(nest.extents)
        is_whole = nest.rounds is not None and nest.rounds % count == 0
        total = self.count(nest.extents)
        block = "blockIdx.x" if kind == "int" else "(i64)blockIdx.x"
        self.line(f"const {kind} item = ({block} * {threads} + threadIdx.x) * {count};")
        with self.braces(f"if (item < {total})"):
            self.line(f"const i64 rest = {count if is_whole else f'{total} - item'};")
            names = sorted({c_name(one.buffer) for one in pack.accesses.values()})
            tests = " && ".join([f"is_aligned<{count}>({name})" for name in names])
            self.line(f"const bool aligned = {tests};")
            self.indices(nest.loops, "item")
            self._load_packs(pack)
            self.line("#pragma unroll")
            with self.braces(f"for (int k = 0; k < {count}; k++)"):
                self._next_index(last)
                if not is_whole and self._reads_elsewhere(nest, last):
                    self.line("if (k >= rest) break;")
                self.body(nest.statements)
            stores = {key: name for key, name in (self.packs or {}).items() if isinstance(pack.accesses[key], Store)}
            self.packs = None
            self.index(last)
            for key, name in stores.items():
                access = pack.accesses[key]
                self.line(f"store_pack({c_name(access.buffer)} + {self.position(access)}, {name}, rest, aligned);")

    def _load_packs(self, pack: Packing) -> None:
        """Declare all packs, and read those that are read."""
        found: dict[Key, str] = {}
        for key, access in pack.accesses.items():
            name, dtype = self.new_name(c_name(access.buffer)), self.accesses.buffers[access.buffer].dtype
            found[key] = name
            head = f"Pack<{TYPES[dtype]}, {pack.count}> {name}"
            if isinstance(access, Store):
                self.line(f"{head};")
            else:
                place = f"{c_name(access.buffer)} + {self.position(access)}"
                self.line(f"const {head} = load_pack<{pack.count}>({place}, rest, aligned);")
        self.packs = found

    def _reads_elsewhere(self, nest: Nest, last: Loop) -> bool:
        """Whether anything is read along the last loop that isn't packed."""
        assert self.packs is not None
        made = {statement.name for statement in nest.statements if isinstance(statement, Let)}
        for access in accesses_in(nest.statements):
            names = {name for place in access.indices for name in names_in(place)}
            if key_of(access, self.accesses) not in self.packs and names & {last.index, *made}:
                return True
        return False

    def _next_index(self, last: Loop) -> None:
        """Let the index of the last loop be that of the pack's element k."""
        kind, first = self.index(last), self.names[last.index].text
        name = f"{first}_k"
        self.line(f"const {kind} {name} = {first} + k;")
        self.names[last.index] = Name(name, "int64", kind == "int")
