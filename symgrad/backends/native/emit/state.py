"""What is known while a kernel is written: names, the loops around, values that are there already.

Loop-invariant work leaves its loops as it is written: each open loop keeps lines of its own that belong in front of it,
and a value that depends on outer loops only is written there.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from symgrad.backends.native.llvm.text import Function, Value
from symgrad.kernels.ir.affine import Polynomial
from symgrad.kernels.ir.grammar import Buffer, Check, Expression, Kernel, Load, Loop, Role, Size, Store
from symgrad.kernels.ir.traversal import index_names, walk


@dataclass
class Scope:
    """A loop that is being written; the first scope is the kernel itself.

    Attributes
    ----------
    position : int
        The line in front of the loop that stands for `hoisted`.
    loop : Loop or None
        The loop.
    guard : Size or None
        The open extent of a loop that may have no rounds.
    has_check : bool
        Whether rounds may leave the kernel: then loads stay behind the checks.
    hoisted : list of str
        Lines that go in front of the loop.
    values : dict
        Values that are valid to the loop's end.
    """

    position: int
    loop: Loop | None = None
    guard: Size | None = None
    has_check: bool = False
    hoisted: list[str] = field(default_factory=list)
    values: dict[Hashable, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """What an expression depends on.

    Attributes
    ----------
    level : int
        The innermost scope that it depends on.
    varying : bool
        Whether it differs from lane to lane.
    volatile : bool
        Whether it reads memory that the kernel writes.
    rounds : frozenset of str
        The indices of unrolled loops in it: constants, different in each round.
    """

    level: int
    varying: bool = False
    volatile: bool = False
    rounds: frozenset[str] = frozenset()

    def __or__(self, other: Facts) -> Facts:
        level, rounds = max(self.level, other.level), self.rounds | other.rounds
        return Facts(level, self.varying or other.varying, self.volatile or other.volatile, rounds)


@dataclass(frozen=True)
class Entry:
    """What a name stands for: a value, or an expression that is written where it is first needed."""

    facts: Facts | None
    value: Value | None
    dtype: str
    expression: Expression | None = None


@dataclass(frozen=True)
class Lanes:
    """The vector loop that is being written: its index, in the first lane; lanes; which of them count, if not all."""

    name: str
    index: Value
    count: int
    mask: Value | None


class State:
    """A kernel that is being written into a function."""

    def __init__(self, kernel: Kernel, function: Function, vector_bytes: int, masked: bool) -> None:
        self.kernel = kernel
        self.f = function
        self.vector_bytes = vector_bytes
        self.masked = masked
        self.buffers: dict[str, Buffer] = {buffer.name: buffer for buffer in kernel.buffers}
        self.addresses: dict[str, Value] = {}
        self.written = {s.buffer for s in walk(kernel.body) if isinstance(s, Store)}
        self.names: dict[str, Entry] = {}
        self.index_names = index_names(kernel.body)
        self.known: dict[str, Polynomial] = {}
        self.scopes = [Scope(0)]
        self.lanes: Lanes | None = None
        self.streamed: set[str] = set()
        self.carries: list[dict[str, Value]] = []
        self.facts: dict[int, Facts] = {}
        self.accesses: dict[int, tuple[Load | Store, Polynomial]] = {}
        self.of_statement: dict[Hashable, Value] = {}
        self.may_fail = any(isinstance(s, Check) for s in walk(kernel.body))

    @property
    def depth(self) -> int:
        """The number of open loops."""
        return len(self.scopes) - 1

    def bind(self, name: str, entry: Entry) -> None:
        """Say what a name stands for from here on."""
        if name in self.names:
            self.facts.clear()
        self.names[name] = entry

    @contextmanager
    def at(self, level: int) -> Iterator[None]:
        """Write lines in front of the loop that a value of this level needn't be in."""
        if level >= self.depth:
            yield
            return
        lines, self.f.lines = self.f.lines, self.scopes[level + 1].hoisted
        yield
        self.f.lines = lines

    @contextmanager
    def scope(self, loop: Loop, guard: Size | None = None) -> Iterator[None]:
        """Open a scope; to be entered in front of the loop's first line."""
        has_check = any(isinstance(statement, Check) for statement in walk(loop.body))
        scope = Scope(len(self.f.lines), loop, guard, has_check)
        lines = self.f.lines
        lines.append("")
        self.scopes.append(scope)
        self.forget()
        yield
        lines[scope.position] = "\n".join(scope.hoisted)
        self.scopes.pop()
        self.forget()

    def forget(self) -> None:
        """Drop what was known about expressions: names may stand for something else now."""
        self.facts.clear()
        self.accesses.clear()
        self.of_statement.clear()

    def key(self, expression: Expression, facts: Facts) -> Hashable:
        """Return what an expression's value is remembered by."""
        if not facts.rounds:
            return id(expression)
        return id(expression), tuple(self.known[name].constant for name in sorted(facts.rounds))

    def remembered(self, facts: Facts) -> dict[Hashable, Value]:
        """Return where a value with these facts is remembered."""
        return self.of_statement if facts.volatile else self.scopes[facts.level].values

    @property
    def deepest_check(self) -> int:
        """The innermost open loop whose rounds may leave the kernel; 0 if there is none."""
        return max((depth for depth, scope in enumerate(self.scopes) if scope.has_check), default=0)


def scratch_places(buffers: Sequence[Buffer], sizes: dict[str, int]) -> tuple[dict[str, int], int]:
    """Return the offset of each scratch buffer, and the bytes of all."""
    places: dict[str, int] = {}
    total = 0
    for buffer in buffers:
        if buffer.role is Role.SCRATCH:
            places[buffer.name] = total
            total += -(-_elements(buffer) * sizes[buffer.dtype] // 64) * 64
    return places, total


def _elements(buffer: Buffer) -> int:
    """Return how many elements lie between the first and the end of the last."""
    last = 0
    for size, stride in zip(buffer.shape, buffer.strides, strict=True):
        assert isinstance(size, int) and isinstance(stride, int)
        last += max(size - 1, 0) * stride
    return last + 1
