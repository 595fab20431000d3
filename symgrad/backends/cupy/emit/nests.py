"""Which loops run as one: perfect nests whose rounds may run in any order, and what they total.

Loops of kernel IR say themselves which rounds are independent, except for serial ones. A serial loop may be spread over
threads, too, if all that it carries are totals, and if no two of its rounds touch one element of what it stores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from symgrad.kernels.ir.affine import Polynomial, number, polynomial, value_range
from symgrad.kernels.ir.functions import ASSOCIATIVE
from symgrad.kernels.ir.grammar import (
    Buffer,
    Call,
    Carry,
    Check,
    Expression,
    Kernel,
    Kind,
    Let,
    Literal,
    Load,
    Loop,
    Ref,
    Role,
    Size,
    Statement,
    Store,
)
from symgrad.kernels.ir.traversal import expressions, names_in, subexpressions, walk  # fmt: skip

NOMINAL = 1000
"""What an open size counts as."""


@dataclass(frozen=True)
class Total:
    """A value that the rounds of a nest are combined to.

    Attributes
    ----------
    names : tuple of str
        What it is called in each loop of the nest, the outermost first.
    function : str
        What combines.
    start : Expression
        What it is combined with at last.
    """

    names: tuple[str, ...]
    function: str
    start: Expression


@dataclass(frozen=True)
class Nest:
    """Loops that run as one, over all combinations of their indices.

    Attributes
    ----------
    loops : tuple of Loop
        The outermost first.
    statements : tuple of Statement
        What one round does; a `Carry` of a total's last name says what is combined with it.
    totals : tuple of Total
        What the rounds are combined to.
    """

    loops: tuple[Loop, ...]
    statements: tuple[Statement, ...]
    totals: tuple[Total, ...] = ()

    @property
    def extents(self) -> tuple[Size, ...]:
        """The numbers of rounds of each loop."""
        return tuple([loop.extent for loop in self.loops])

    @property
    def rounds(self) -> int | None:
        """The number of all rounds; None if it is open."""
        return product(self.extents)

    @property
    def nominal(self) -> int:
        """About how many rounds there are."""
        return product([NOMINAL if isinstance(size, str) else size for size in self.extents]) or 0

    @property
    def has_vector(self) -> bool:
        """Whether a loop over neighbours in memory is among them."""
        return any(loop.kind is Kind.VECTOR for loop in self.loops)

    @property
    def has_vector_inside(self) -> bool:
        """Whether a round has a loop over neighbours in memory of its own."""
        return any(isinstance(s, Loop) and s.kind is Kind.VECTOR for s in walk(self.statements))


def product(sizes: Sequence[Size]) -> int | None:
    """Return the product of sizes; None if one is open."""
    total = 1
    for size in sizes:
        if isinstance(size, str):
            return None
        total *= size
    return total


class Accesses:
    """The memory that a kernel reads and writes, as polynomials of its indices."""

    def __init__(self, kernel: Kernel) -> None:
        self.buffers: dict[str, Buffer] = {buffer.name: buffer for buffer in kernel.buffers}
        self.known: dict[str, Polynomial] = {}
        self.lets: dict[str, Expression] = {}
        self.extents: dict[str, int] = {}
        for statement in walk(kernel.body):
            if isinstance(statement, Let):
                self.lets[statement.name] = statement.value
                if is_arithmetic(statement.value):
                    self.known[statement.name] = polynomial(statement.value, self.known)
            elif isinstance(statement, Loop) and isinstance(statement.extent, int):
                self.extents[statement.index] = statement.extent

    def polynomial(self, access: Load | Store) -> Polynomial:
        """Return where an element is in its buffer."""
        total = number(0)
        for place, stride in zip(access.indices, self.buffers[access.buffer].strides, strict=True):
            step = number(stride) if isinstance(stride, int) else polynomial(Ref(stride), {})
            total = total + polynomial(place, self.known) * step
        return total

    # ---- whether the rounds of a serial loop are independent ----

    def rounds_are_independent(self, loop: Loop) -> bool:
        """Whether no two rounds of a loop touch one element of what is stored in them."""
        found = list(accesses_in(loop.body))
        inner = {statement.index for statement in walk(loop.body) if isinstance(statement, Loop)}
        named = inner | names_made_in(loop.body)
        for name in {access.buffer for access in found if isinstance(access, Store)}:
            of_buffer = [access for access in found if access.buffer == name]
            if self.buffers[name].role is Role.SCRATCH:
                if not self._is_private(loop, name):
                    return False
            elif not (self._has_axis(loop, of_buffer) or self._is_apart(loop, of_buffer, inner, named)):
                return False
        return True

    def _is_private(self, loop: Loop, name: str) -> bool:
        """Whether each round writes all of a scratch buffer before it reads from it."""
        loops: list[Loop] = []

        def first(body: Sequence[Statement]) -> tuple[Load | Store, list[Loop]] | None:
            for statement in body:
                access = next((one for one in accesses_of(statement) if one.buffer == name), None)
                if access is not None:
                    return access, list(loops)
                if isinstance(statement, Loop):
                    loops.append(statement)
                    found = first(statement.body)
                    loops.pop()
                    if found is not None:
                        return found
            return None

        found = first(loop.body)
        if found is None or not isinstance(found[0], Store) or found[0].mask is not None:
            return False
        extents = {one.index: one.extent for one in found[1]}
        indices = found[0].indices
        sizes = [extents.get(place.name) if isinstance(place, Ref) else None for place in indices]
        return len(set(indices)) == len(indices) and tuple(sizes) == self.buffers[name].shape

    def _has_axis(self, loop: Loop, accesses: Sequence[Load | Store]) -> bool:
        """Whether an axis of an output runs along the loop alone."""
        axes = [{axis for axis, place in enumerate(one.indices) if place == Ref(loop.index)} for one in accesses]
        return bool(set.intersection(*axes))

    def _is_apart(
        self, loop: Loop, accesses: Sequence[Load | Store], inner: set[str], named: set[str]
    ) -> bool:
        """Whether flat positions of different rounds never meet; `named` are the names that differ between rounds."""
        low, high, strides, outside = 0, 0, set(), set()
        positions = [self.polynomial(access) for access in accesses]
        for position in positions:
            parts = position.split(loop.index)
            if parts is None or not parts[0].constant:
                return False
            strides.add(parts[0].constant)
            moving = {
                key: term for key, term in parts[1].terms.items()
                if not term[0] or any(not isinstance(factor, Ref) or factor.name in named for factor in term[0])
            }  # fmt: skip
            outside.add(Polynomial({k: t for k, t in parts[1].terms.items() if k not in moving}).signature)
            reached = value_range(Polynomial(moving), self.extents)
            if reached is None:
                return False
            low, high = min(low, reached[0]), max(high, reached[1])
        if len(strides) > 1 or len(outside) > 1:
            return False
        return high - low < abs(strides.pop()) or self._are_one(positions, {loop.index, *inner})

    def _are_one(self, positions: Sequence[Polynomial], indices: set[str]) -> bool:
        """Whether all positions are the same, and different for different indices."""
        if len({position.signature for position in positions}) > 1:
            return False
        return digits(positions[0], indices, self.extents) is not None


def digits(position: Polynomial, indices: set[str], extents: dict[str, int]) -> list[tuple[str, int]] | None:
    """Return the indices with their strides, the largest first, if a position tells them like digits; else None."""
    strides = []
    for name in indices:
        parts = position.split(name)
        if parts is None or parts[0].constant is None or name not in extents:
            return None
        if extents[name] > 1:
            strides.append((name, parts[0].constant))
    reach = 0
    for name, stride in sorted(strides, key=lambda pair: abs(pair[1])):
        if abs(stride) <= reach:
            return None
        reach += abs(stride) * (extents[name] - 1)
    return sorted(strides, key=lambda pair: -abs(pair[1]))


def names_made_in(body: Sequence[Statement]) -> set[str]:
    """Return the names that statements give to values."""
    made = {statement.name for statement in walk(body) if isinstance(statement, Let)}
    return made | {one.name for statement in walk(body) if isinstance(statement, Loop) for one in statement.carried}


def is_arithmetic(expression: Expression) -> bool:
    """Whether an expression is sums and products of indices and names only."""
    if isinstance(expression, Ref):
        return True
    if isinstance(expression, Literal):
        return expression.dtype == "int64"
    return (
        isinstance(expression, Call) and expression.dtype == "int64"
        and expression.function in ("add", "subtract", "multiply", "negative")
        and all(is_arithmetic(operand) for operand in expression.operands)
    )  # fmt: skip


def accesses_of(statement: Statement) -> Iterator[Load | Store]:
    """Give the loads of a statement, without those of a loop's body, and then its store."""
    for whole in expressions(statement):
        for part in subexpressions(whole):
            if isinstance(part, Load):
                yield part
    if isinstance(statement, Store):
        yield statement


def accesses_in(body: Sequence[Statement]) -> Iterator[Load | Store]:
    """Give all loads and stores of a body."""
    for statement in walk(body):
        yield from accesses_of(statement)


def only_totals(loop: Loop) -> bool:
    """Whether all that a loop carries are totals, which nothing in it reads."""
    carries = {statement.name: statement.value for statement in loop.body if isinstance(statement, Carry)}
    for carried in loop.carried:
        value = carries[carried.name]
        if carried.combine not in ASSOCIATIVE or not isinstance(value, Call) or value.function != carried.combine:
            return False
        if value.operands[0] != Ref(carried.name) or carried.name in names_in(value.operands[1]):
            return False
        others = [s for s in walk(loop.body) if not (isinstance(s, Carry) and s.name == carried.name)]
        if any(carried.name in names_in(whole) for s in others for whole in expressions(s)):
            return False
    return True


def nest_of(loop: Loop, accesses: Accesses) -> Nest | None:
    """Return the largest nest that starts with a loop; None if its rounds must run one after the other."""
    if not _may_spread(loop, accesses):
        return None
    inside = _inside_total(loop, accesses)
    if inside is not None:
        return inside
    if not only_totals(loop):
        return None
    totals = tuple([Total((one.name,), str(one.combine), one.start) for one in loop.carried])
    *before, last = loop.body if loop.body else (None,)
    if isinstance(last, Loop) and not loop.carried and not last.carried and _are_simple(before):
        inner = nest_of(last, accesses)
        if inner is not None:
            return Nest((loop, *inner.loops), (*before, *inner.statements))  # type: ignore[arg-type]
    return Nest((loop,), loop.body, totals)


def _are_simple(statements: Sequence[Statement | None]) -> bool:
    return all(isinstance(statement, Let | Check) for statement in statements)


def _may_spread(loop: Loop, accesses: Accesses) -> bool:
    if loop.kind in (Kind.PARALLEL, Kind.VECTOR):
        return True
    return accesses.rounds_are_independent(loop)


def _inside_total(loop: Loop, accesses: Accesses) -> Nest | None:
    """Return the nest of a loop whose totals are those of the only loop in it, which goes on with them."""
    if not loop.carried:
        return None
    carries = [statement for statement in loop.body if isinstance(statement, Carry)]
    rest = [statement for statement in loop.body if not isinstance(statement, Carry)]
    if not rest or not isinstance(rest[-1], Loop) or not _are_simple(rest[:-1]):
        return None
    inner = nest_of(rest[-1], accesses)
    if inner is None or len(inner.totals) != len(loop.carried):
        return None
    becomes = {carry.name: carry.value for carry in carries}
    totals = []
    for carried in loop.carried:
        total = next((one for one in inner.totals if one.start == Ref(carried.name)), None)
        if total is None or becomes[carried.name] != Ref(total.names[0]) or carried.combine != total.function:
            return None
        totals.append(Total((carried.name, *total.names), total.function, carried.start))
    used = [whole for s in (*rest[:-1], *walk(rest[-1].body)) for whole in expressions(s)]
    if any(name in becomes for whole in used for name in names_in(whole)):
        return None
    return Nest((loop, *inner.loops), (*rest[:-1], *inner.statements), tuple(totals))  # type: ignore[arg-type]
