"""Statements that a group of threads carries out together: its lanes share the rounds of loops.

What stands outside of such loops, every lane does alike; only lane 0 stores. The group waits for its lanes where one
may touch memory that another has written, or write what another has read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from symgrad.backends.cupy.emit.nests import Accesses, Nest, Total, accesses_in, accesses_of, nest_of
from symgrad.backends.cupy.emit.scalars import HALVES, REGISTERS, combination_name, identity_text
from symgrad.backends.cupy.emit.writer import LARGEST_INT, Name, Writer, c_name, in_turn
from symgrad.backends.cupy.prelude import TYPES
from symgrad.kernels.ir.functions import DTYPES
from symgrad.kernels.ir.grammar import (
    Buffer,
    Kernel,
    Load,
    Loop,
    Ref,
    Role,
    Size,
    Statement,
    Store,
)

MayMeet = Callable[[str, str], bool]
"""``may_meet(one, other)``: whether two buffers may be the same memory."""

MOST_UNROLLED = 16


@dataclass(frozen=True)
class Group:
    """Threads that work on one item together.

    Attributes
    ----------
    kind : str
        ``thread``; ``lanes``, neighbours within a warp; ``block``, the whole block; ``rows``, threads that are `width`
        apart.
    lanes : int
        How many, a power of two.
    width : int
        For ``rows``, how many items the block works on.
    """

    kind: str
    lanes: int = 1
    width: int = 1

    @property
    def lane(self) -> str:
        """The number of the thread in its group."""
        if self.kind == "rows":
            return f"threadIdx.x / {self.width}"
        return "threadIdx.x" if self.kind == "block" else f"threadIdx.x % {self.lanes}"

    @property
    def barrier(self) -> str:
        """What makes the group wait for its lanes."""
        return f"__syncwarp(mask_of_group<{self.lanes}>());" if self.kind == "lanes" else "__syncthreads();"

    def combined(self, function: str, text: str) -> str:
        """Return the combination of a value over all lanes."""
        if self.kind == "lanes":
            return f"over_lanes<{function}, {self.lanes}>({text})"
        if self.kind == "block":
            return f"over_block<{function}, {self.lanes // 32}>({text})"
        return f"over_rows<{function}, {self.lanes}, {self.width}>({text})"

    def all(self, text: str) -> str:
        """Return whether something holds in all lanes."""
        if self.kind == "thread":
            return text
        if self.kind == "lanes":
            return f"over_lanes<And, {self.lanes}>({text})"
        return f"__syncthreads_and({text})"


class GroupWriter(Writer):
    """Writes statements as a group of threads carries them out.

    Parameters
    ----------
    kernel : Kernel
        Where they are from.
    accesses : Accesses
        Its memory.
    exact : bool
        Whether products and sums are rounded each.
    may_meet : callable
        Whether two buffers may be the same memory.
    """

    def __init__(self, kernel: Kernel, accesses: Accesses, exact: bool, may_meet: MayMeet) -> None:
        super().__init__(kernel, accesses, exact)
        self.may_meet = may_meet
        self.group = Group("thread")
        self.is_spread = False
        self.own: dict[str, tuple[str, ...]] = {}
        self.round_name = ""
        self.first = "lane == 0"
        self.read: set[str] = set()
        self.written: set[str] = set()

    @property
    def alone(self) -> bool:
        """Whether what is written now is the work of one thread."""
        return self.group.kind == "thread" or self.is_spread

    # ---- memory that lanes share ----

    def touch(self, accesses: Iterator[Load | Store]) -> None:
        """Write a barrier if what follows may meet what other lanes have done since the last one."""
        read: set[str] = set()
        written: set[str] = set()
        for access in accesses:
            if access.buffer not in self.own:
                (written if isinstance(access, Store) else read).add(access.buffer)
        if self._meet(self.written, read | written) or self._meet(self.read, written):
            self.wait()
        self.read |= read
        self.written |= written

    def _meet(self, some: set[str], others: set[str]) -> bool:
        return any(one == other or self.may_meet(one, other) for one in some for other in others)

    def wait(self) -> None:
        """Write a barrier."""
        self.line(self.group.barrier)
        self.met()

    def met(self) -> None:
        """Forget what was touched: all lanes have met."""
        self.read.clear()
        self.written.clear()

    def element(self, access: Load | Store) -> str:
        if access.buffer in self.own:
            return f"{c_name(access.buffer)}[{self.round_name}]"
        return super().element(access)

    # ---- statements ----

    def agreed(self, flag: str) -> str:
        return flag if self.is_spread else self.group.all(flag)

    def statement(self, statement: Statement) -> None:
        if not self.alone and not isinstance(statement, Loop):
            self.touch(accesses_of(statement))
        super().statement(statement)

    def store_condition(self, store: Store) -> str:
        mask = super().store_condition(store)
        if self.alone:
            return mask
        return f"{self.first} && {mask}" if mask else self.first

    def loop(self, loop: Loop) -> None:
        nest = None if self.alone or loop.extent == 0 else self.spread(loop)
        if nest is not None:
            self.together(nest)
        elif self.alone or loop.extent == 0:
            super().loop(loop)
        else:
            self._in_step(loop)

    def spread(self, loop: Loop) -> Nest | None:
        """Return the nest whose rounds the lanes share; None if all lanes go through the loop in step."""
        nest = nest_of(loop, self.accesses)
        return None if nest is None or nest.has_vector_inside else nest

    def _in_step(self, loop: Loop) -> None:
        """Write a loop that all lanes go through in step."""
        self.starts(loop)
        touched = list(accesses_in(loop.body))
        read = {one.buffer for one in touched if isinstance(one, Load) and one.buffer not in self.own}
        written = {one.buffer for one in touched if isinstance(one, Store) and one.buffer not in self.own}
        with self.braces(self.loop_head(loop)):
            self.body(in_turn(loop.body))
            if self._meet(self.written, read | written) or self._meet(self.read, written):
                self.wait()

    # ---- loops that lanes share ----

    def together(self, nest: Nest) -> None:
        """Write a nest whose rounds the lanes share."""
        self.touch(accesses_in(nest.statements))
        for total in nest.totals:
            self.start_total(total)
        is_own = any(one.buffer in self.own for one in accesses_in(nest.statements))
        name = self.new_name("k")
        with self._rounds(nest, name, is_own):
            self.indices(nest.loops, name)
            self.is_spread = True
            self.body(in_turn(nest.statements))
            self.is_spread = False
        for total in nest.totals:
            self.combine(total)

    @contextmanager
    def _rounds(self, nest: Nest, name: str, is_own: bool) -> Iterator[None]:
        """Open the loop over the rounds of each lane; they are counted if elements are each lane's own."""
        lanes = self.group.lanes
        rounds, kind = self.count(nest.extents), self.count_type(nest.extents)
        total = nest.rounds
        turns = None if total is None else -(-total // lanes)
        if is_own and turns is not None:
            self.round_name = self.new_name("turn")
            if turns <= MOST_UNROLLED:
                self.line("#pragma unroll")
            with self.braces(f"for (int {self.round_name} = 0; {self.round_name} < {turns}; {self.round_name}++)"):
                self.line(f"const int {name} = {self.round_name} * {lanes} + lane;")
                with self.braces(f"if ({name} < {total})"):
                    yield
        elif turns == 1:
            self.line(f"const int {name} = lane;")
            with self.braces(f"if ({name} < {total})"):
                yield
        else:
            self.line("#pragma unroll" if turns is not None and turns <= MOST_UNROLLED else "#pragma unroll 4")
            with self.braces(f"for ({kind} {name} = lane; {name} < {rounds}; {name} += {lanes})"):
                yield

    def count_type(self, sizes: Sequence[Size]) -> str:
        """Return the type that counts as far as a product of sizes."""
        total = 1
        for size in sizes:
            if isinstance(size, str):
                return "i64"
            total *= size
        return "int" if total <= LARGEST_INT // 2 else "i64"

    def count(self, sizes: Sequence[Size]) -> str:
        """Return a product of sizes as text."""
        static, names = 1, []
        for size in sizes:
            if isinstance(size, int):
                static *= size
            else:
                names.append(self.size(size))
        suffix = "LL" if static > LARGEST_INT else ""
        return " * ".join([*names, *([f"{static}{suffix}"] if static != 1 or not names else [])])

    def indices(self, loops: Sequence[Loop], flat: str) -> None:
        """Write the indices of loops that run as one, from their common one."""
        sizes = [loop.extent for loop in loops]
        flat_type = self.count_type(sizes)
        for number, loop in enumerate(loops):
            kind, name = self.index(loop), c_name(loop.index)
            inside = sizes[number + 1 :]
            text = flat
            if inside:
                below = self.count(inside)
                text = f"{flat} / {below if len(inside) == 1 or ' ' not in below else f'({below})'}"
            if number and loop.extent != 1:
                text = f"{text} % {self.size(loop.extent)}"
            elif number:
                text = "0"
            if kind == "int" and flat_type != "int":
                text = f"(int)({text})"
            self.line(f"const {kind} {name} = {text};")

    def start_total(self, total: Total) -> None:
        """Declare a total: lane 0 begins with its start, the others with what changes nothing."""
        dtype = self.dtype(total.start)
        start, nothing = self.value(total.start), identity_text(total.function, dtype)
        name = c_name(total.names[0])
        for alias in total.names:
            self.names[alias] = Name(name, dtype)
        if start != nothing and self.group.kind != "thread":
            start = f"{self.first} ? {start} : {nothing}"
        self.line(f"{REGISTERS[dtype]} {name} = {start};")
        if dtype in HALVES:
            self.wide.update(total.names)

    def combine(self, total: Total, group: Group | None = None) -> None:
        """Write the combination of a total over the lanes of a group."""
        group = group or self.group
        found = self.names[total.names[0]]
        dtype = "float32" if found.dtype in HALVES else found.dtype
        function = combination_name(total.function, dtype)
        self.line(f"{found.text} = {group.combined(function, found.text)};")
        if group.kind != "lanes":
            self.met()
        self.round(total.names[0])
        self.wide.difference_update(total.names)

    # ---- scratch memory ----

    def find_own(self, body: Sequence[Statement]) -> None:
        """Find the scratch buffers of which each lane only touches elements of its own."""
        found: dict[str, set[tuple[Size, ...] | None]] = {}
        self._own_in(body, found)
        for buffer in self.kernel.buffers:
            shapes = found.get(buffer.name, set())
            if buffer.role is Role.SCRATCH and shapes == {buffer.shape}:
                self.own[buffer.name] = ()

    def _own_in(self, body: Sequence[Statement], found: dict[str, set[tuple[Size, ...] | None]]) -> None:
        for statement in body:
            for access in accesses_of(statement):
                found.setdefault(access.buffer, set()).add(None)
            if not isinstance(statement, Loop):
                continue
            nest = self.spread(statement)
            if nest is None:
                self._own_in(statement.body, found)
                continue
            indices = tuple([Ref(loop.index) for loop in nest.loops])
            for access in accesses_in(nest.statements):
                shape = nest.extents if access.indices == indices else None
                found.setdefault(access.buffer, set()).add(shape)

    def scratch(self, buffer: Buffer, groups: int) -> int:
        """Declare a scratch buffer of each of some groups; return the bytes of shared memory that it takes."""
        size, kind, name = _elements(buffer), TYPES[buffer.dtype], c_name(buffer.name)
        if buffer.name in self.own:
            self.line(f"{kind} {name}[{-(-size // self.group.lanes)}];")
        elif self.group.kind == "thread":
            self.line(f"{kind} {name}[{size}];")
        else:
            self.line(f"__shared__ {kind} {name}_of_groups[{groups}][{size}];")
            place = f"threadIdx.x % {self.group.width}" if self.group.kind == "rows" else (
                f"threadIdx.x / {self.group.lanes}")  # fmt: skip
            self.line(f"{kind}* {name} = {name}_of_groups[{place}];")
            return groups * size * DTYPES[buffer.dtype]
        return 0


def _elements(buffer: Buffer) -> int:
    """Return how many elements lie between the first and the end of the last, at least 1."""
    last = 0
    for size, stride in zip(buffer.shape, buffer.strides, strict=True):
        assert isinstance(size, int) and isinstance(stride, int)
        last += max(size - 1, 0) * stride
    return last + 1
