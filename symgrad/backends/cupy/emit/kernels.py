"""Whole kernels: parameters, items, the launch."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from math import prod

from symgrad.backends.base import UnsupportedError
from symgrad.backends.cupy.emit.groups import Group
from symgrad.backends.cupy.emit.nests import Accesses, Nest, accesses_in
from symgrad.backends.cupy.emit.packs import PackWriter, pack_of
from symgrad.backends.cupy.emit.scalars import identity_text
from symgrad.backends.cupy.emit.shapes import Shape, owned_position, shape_of
from symgrad.backends.cupy.emit.writer import Name, c_name, in_turn, is_exact
from symgrad.backends.cupy.kernel import CudaKernel, Target, kernel_text
from symgrad.backends.cupy.prelude import TYPES
from symgrad.kernels.ir.functions import DTYPES
from symgrad.kernels.ir.grammar import Buffer, Call, Check, Kernel, Load, Loop, Role, Size, Store
from symgrad.kernels.ir.traversal import expressions, subexpressions, walk

INACTIVE = "1 << 30"
"""The lane number of threads that have no item: no loop has rounds for it."""


def emit_kernel(
    kernel: Kernel,
    values: Mapping[str, int],
    target: Target,
    moving: Collection[int] = frozenset(),
    meeting: Collection[tuple[int, int]] | None = None,
) -> CudaKernel:
    """Write a kernel as CUDA C++.

    Parameters
    ----------
    kernel : Kernel
        A verified kernel.
    values : mapping
        What its open sizes are now: for the grid, not for the text.
    target : Target
        The device.
    moving : collection of int
        Buffers that begin where the device says: for each, in order, a parameter behind the buffers is the address of
        an int64, the number of elements that are added to the buffer's address.
    meeting : collection of (int, int), optional
        Pairs of buffers, by number, that may be the same memory, each element of which is read before it is written in
        the same round. If None, those are all pairs of an input and an output of the same dtype and size.

    Returns
    -------
    CudaKernel
        Its parameters are the inputs and outputs in the kernel's order, the starts of those that move, the sizes.

    Raises
    ------
    UnsupportedError
        If it needs more shared memory than a block has.
    """
    buffers = [buffer for buffer in kernel.buffers if buffer.role is not Role.SCRATCH]
    pairs = _pairs(buffers, meeting)
    accesses = Accesses(kernel)
    shape = shape_of(kernel, accesses, lambda a, b: (a, b) in pairs, target.multiprocessors)
    writer = KernelWriter(kernel, accesses, shape, pairs)
    writer.pack = pack_of(shape, accesses, target.multiprocessors)
    for number in sorted(moving):
        writer.line(f"{c_name(buffers[number].name)} += *start_{number};")
    items = writer.write(values)
    if writer.shared_bytes > target.shared_bytes:
        raise UnsupportedError(f"{kernel.name} needs {writer.shared_bytes} bytes of shared memory")
    parameters = [_parameter(buffer, pairs) for buffer in buffers]
    parameters += [("const i64*", f"start_{number}") for number in sorted(moving)]
    parameters += [("i64", c_name(size)) for size in kernel.sizes]
    body = "\n".join(writer.lines)
    digest = hashlib.sha256(repr((parameters, body, shape.threads)).encode()).hexdigest()[:8]
    name = re.sub(r"\W", "_", f"{kernel.name}_{digest}")
    text = kernel_text(name, parameters, body, shape.threads)
    may_fail = any(isinstance(s, Check) for s in walk(kernel.body))
    if may_fail and any(word in body for word in ("__syncthreads", "over_block", "over_rows")):
        text = text.replace("    GUARD\n", "    GUARD_TOGETHER\n", 1)
    return CudaKernel(
        name, text, (_blocks(shape, items), 1, 1), shape.threads, may_fail=may_fail,
        flops=_flops(kernel), bytes=sum(_bytes(buffer, values) for buffer in buffers),
    )  # fmt: skip


def _pairs(buffers: Sequence[Buffer], meeting: Collection[tuple[int, int]] | None) -> frozenset[tuple[str, str]]:
    if meeting is None:
        named = [
            (one.name, other.name) for one in buffers for other in buffers
            if one.role is Role.INPUT and other.role is Role.OUTPUT and one.dtype == other.dtype
            and _may_be_as_large(one.shape, other.shape)
        ]  # fmt: skip
    else:
        named = [(buffers[one].name, buffers[other].name) for one, other in meeting]
    return frozenset([*named, *[(b, a) for a, b in named]])


def _may_be_as_large(one: Sequence[Size], other: Sequence[Size]) -> bool:
    if any(isinstance(size, str) for size in (*one, *other)):
        return True
    return prod(one) == prod(other)  # type: ignore[arg-type]


def _parameter(buffer: Buffer, pairs: frozenset[tuple[str, str]]) -> tuple[str, str]:
    """Return type and name of a buffer; only what no other buffer is the memory of is said to be so."""
    kind = f"const {TYPES[buffer.dtype]}*" if buffer.role is Role.INPUT else f"{TYPES[buffer.dtype]}*"
    alone = not any(buffer.name in pair for pair in pairs)
    return f"{kind} __restrict__" if alone else kind, c_name(buffer.name)


def _blocks(shape: Shape, items: int) -> int:
    if shape.kind in ("block", "step"):
        return 1
    at_once = shape.threads // shape.group.lanes
    return max(-(-items // at_once), 1)


def _flops(kernel: Kernel) -> int:
    """Return about how many operations on floats a call does; open sizes count as 1."""
    def of(body: Sequence[object], rounds: int) -> int:
        total = 0
        for statement in body:
            if isinstance(statement, Loop):
                extent = statement.extent if isinstance(statement.extent, int) else 1
                total += of(statement.body, rounds * extent)
                continue
            parts = [part for whole in expressions(statement) for part in subexpressions(whole)]  # type: ignore[arg-type]
            total += rounds * sum(isinstance(part, Call) and "float" in part.dtype for part in parts)
        return total

    return of(kernel.body, 1)


def _bytes(buffer: Buffer, values: Mapping[str, int]) -> int:
    total = DTYPES.get(buffer.dtype, 2)
    for size, stride in zip(buffer.shape, buffer.strides, strict=True):
        total *= (values[size] if isinstance(size, str) else size) if stride != 0 else 1
    return total


class KernelWriter(PackWriter):
    """Writes a kernel in its layout.

    Attributes
    ----------
    shared_bytes : int
        The shared memory that its scratch buffers take.
    """

    def __init__(self, kernel: Kernel, accesses: Accesses, shape: Shape, pairs: Collection[tuple[str, str]]) -> None:
        super().__init__(kernel, accesses, is_exact(kernel), lambda one, other: (one, other) in pairs)
        self.shape = shape
        self.shared_bytes = 0

    def write(self, values: Mapping[str, int]) -> int:
        """Write everything, and return how many items there are."""
        shape = self.shape
        if shape.kind == "step":
            self.group = shape.group
            if shape.group.kind != "thread":
                self.line("const int lane = threadIdx.x;")
                self.find_own(self.kernel.body)
            self._scratch(1)
            self.body(self.kernel.body)
            return 1
        self.first = "threadIdx.x == 0" if shape.kind == "block" else "blockIdx.x == 0 && threadIdx.x == 0"
        self.group = Group("block", shape.threads)
        kept = [s for s in self.kernel.body if not isinstance(s, Loop) or s is shape.main or s.extent == 0]
        self.body(kept)
        extents = [[values[size] if isinstance(size, str) else size for size in nest.extents] for nest in shape.nests]
        rounds = [prod(sizes) for sizes in extents]
        if shape.kind == "owned":
            return rounds[0]
        return sum(rounds) if self.pack is None else -(-sum(rounds) // self.pack.count)

    def loop(self, loop: Loop) -> None:
        if loop is not self.shape.main:
            super().loop(loop)
        elif self.shape.kind == "block":
            self._items_of_block(self.shape.nests[0])
        elif self.shape.kind == "grid" and self.pack is None:
            self._items_of_grid(self.shape.nests[0])
        elif self.shape.kind == "grid":
            self.packed(self.shape.nests[0], self.shape.threads)
        else:
            self._parts(self.shape.nests)

    def _scratch(self, groups: int) -> None:
        for buffer in self.kernel.buffers:
            if buffer.role is Role.SCRATCH:
                self.shared_bytes += self.scratch(buffer, groups)

    def _item(self, nests: Sequence[Nest]) -> str:
        """Write the number of the thread's item, and return how many there are."""
        group, threads = self.shape.group, self.shape.threads
        counts = [self.count(nest.extents) for nest in nests]
        sizes = [size for nest in nests for size in nest.extents]
        small = not any(isinstance(size, str) for size in sizes)
        small = small and sum(nest.rounds or 0 for nest in nests) <= (1 << 30)
        kind, block = ("int", "blockIdx.x") if small else ("i64", "(i64)blockIdx.x")
        if group.kind == "thread":
            constant = "" if self.shape.kind == "parts" else "const "
            self.line(f"{constant}{kind} item = {block} * {threads} + threadIdx.x;")
        elif group.kind == "block":
            self.line("const int lane = threadIdx.x;")
            self.line(f"const {kind} item = blockIdx.x;")
        elif group.kind == "lanes":
            self.line(f"const int lane = {group.lane};")
            self.line(f"const {kind} item = {block} * {threads // group.lanes} + threadIdx.x / {group.lanes};")
        else:
            self.line(f"const {kind} own_item = {block} * {group.width} + threadIdx.x % {group.width};")
            self.line(f"const int lane = own_item < {counts[0]} ? threadIdx.x / {group.width} : {INACTIVE};")
            self.line(f"const {kind} item = own_item < {counts[0]} ? own_item : {counts[0]} - 1;")
        return " + ".join(counts)

    def _items_of_grid(self, nest: Nest) -> None:
        """Write one item of each group."""
        group = self.shape.group
        count = self._item([nest])
        condition = f"if (item < {count})"
        if group.kind == "rows":  # all threads come to the barriers
            condition = "" if nest.rounds else f"if ({count} > 0)"
        with self.braces(condition):
            self._one_item(nest, self.shape.threads // group.lanes)

    def _one_item(self, nest: Nest, groups: int) -> None:
        outer, self.group = self.group, self.shape.group
        first, self.first = self.first, "lane == 0"
        self.met()
        if self.group.kind != "thread":
            self.find_own(nest.statements)
        self._scratch(groups)
        self.indices(nest.loops, "item")
        self.body(in_turn(nest.statements))
        self.group, self.first = outer, first

    def _items_of_block(self, nest: Nest) -> None:
        """Write the items of all groups of the only block, and the combination of what they total."""
        group, threads = self.shape.group, self.shape.threads
        groups = threads // group.lanes
        touched = list(accesses_in(nest.statements))
        self.touch(iter(touched))
        for total in nest.totals:
            self.start_total(total)
        if group.kind != "thread":
            self.line(f"const int lane = {group.lane};")
        kind = self.count_type(nest.extents)
        first = "threadIdx.x" if group.lanes == 1 else f"threadIdx.x / {group.lanes}"
        if group.kind == "thread":
            self.line("#pragma unroll 4")
        with self.braces(f"for ({kind} item = {first}; item < {self.count(nest.extents)}; item += {groups})"):
            self._one_item(nest, groups)
            if self.shared_bytes:
                self.line(group.barrier)
        if group.kind != "thread":
            self.wait()
        self.read |= {one.buffer for one in touched if isinstance(one, Load)}
        self.written |= {one.buffer for one in touched if isinstance(one, Store)}
        for total in nest.totals:
            if group.kind != "thread":
                found = self.names[total.names[0]]
                self.line(f"if (lane != 0) {found.text} = {identity_text(total.function, found.dtype)};")
            self.combine(total, Group("block", threads))

    # ---- several nests ----

    def _parts(self, nests: Sequence[Nest]) -> None:
        """Write the items of several nests: side by side, or each behind the one whose elements it writes over."""
        is_owned = self.shape.kind == "owned"
        count = self._item(nests[:1] if is_owned else nests)
        self.group = Group("thread")
        if is_owned:
            with self.braces(f"if (item < {count})"):
                self.indices(nests[0].loops, "item")
                self.body(nests[0].statements)
                for nest in nests[1:]:
                    self._over(nest, nests[0])
            return
        for number, nest in enumerate(nests):
            if number:
                self.line(f"item -= {self.count(nests[number - 1].extents)};")
            with self.braces(f"if (item < {self.count(nest.extents)})"):
                self.indices(nest.loops, "item")
                self.body(nest.statements)
                if number < len(nests) - 1:
                    self.line("return;")

    def _over(self, nest: Nest, first: Nest) -> None:
        """Write what a later nest does with the element of this thread, if it does anything."""
        store = next(one for one in accesses_in(first.statements) if isinstance(one, Store))
        found = owned_position(nest, store.buffer, self.accesses)
        assert found is not None
        places, start = found
        rest = self.new_name("offset")
        lowest = sum(min(stride, 0) * (self.accesses.extents[name] - 1) for name, stride in places)
        kind = "int" if start.constant is not None and self.count_type(first.extents) == "int" else "i64"
        own = f"{'(i64)' if kind == 'i64' else ''}({self.position(store)})"
        self.line(f"{kind} {rest} = {own} - ({self.sum_text(start)}) - ({lowest});")
        conditions = []
        for name, stride in places:
            digit, size = self.new_name("digit"), self.accesses.extents[name]
            self.line(f"const {kind} {digit} = {rest} / {abs(stride)};")
            self.line(f"{rest} -= {digit} * {abs(stride)};")
            conditions += [f"{digit} >= 0", f"{digit} < {size}"]
            text = digit if stride > 0 else f"({size - 1} - {digit})"
            self.names[name] = Name(text, "int64", kind == "int")
        for loop in nest.loops:
            if loop.index not in dict(places):
                self.names[loop.index] = Name("0LL", "int64")
        with self.braces(f"if ({' && '.join([*conditions, f'{rest} == 0'])})"):
            self.body(nest.statements)
