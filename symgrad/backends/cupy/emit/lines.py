"""Loops that go along an axis step by step, all lines side by side: each thread goes along one line.

Kernel IR writes such a kernel with the steps outside and the lines inside: ``for step: for line: ...``. If no line
touches what another one writes, lines can be the outer loop as well, and then nobody has to wait between steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import gcd

from symgrad.backends.cupy.emit.nests import Accesses, Nest, accesses_in, accesses_of, digits, nest_of
from symgrad.kernels.ir.affine import Polynomial, polynomial
from symgrad.kernels.ir.grammar import Check, Let, Loop, Ref, Size, Statement, Store


def lines_of(body: Sequence[Statement], accesses: Accesses, pairs: Sequence[tuple[str, str]]) -> Nest | None:
    """Return a nest over lines, of a body of loops; None if lines aren't independent, or there are no steps.

    `pairs` are buffers that may be the same memory. Of the nest, the indices of all loops over lines are made those of
    the first.
    """
    outer: list[Loop] = []
    simple: list[Statement] = []
    while len(body) and isinstance(body[-1], Loop) and all(isinstance(s, Let) for s in body[:-1]):
        nest = nest_of(body[-1], accesses)
        if nest is None or nest.totals or not any(isinstance(s, Loop) for s in nest.statements):
            break
        outer += nest.loops
        simple += body[:-1]
        body = nest.statements
    leaves = _Leaves(accesses)
    if not leaves.find(body) or not leaves.has_steps:
        return None
    extents = {nest.extents for nest in leaves.nests.values()}
    if len(extents) != 1 or not _are_apart(leaves, body, extents.pop(), accesses, pairs):
        return None
    first = next(iter(leaves.nests.values()))
    for nest in leaves.nests.values():
        for mine, common in zip(nest.loops, first.loops, strict=True):
            if mine is not common:
                accesses.known[mine.index] = polynomial(Ref(common.index), {})
    return Nest((*outer, *first.loops), (*simple, *leaves.turned(body, first)))


class _Leaves:
    """The loops over lines in a body, by the identity of the loop that they begin with."""

    def __init__(self, accesses: Accesses) -> None:
        self.accesses = accesses
        self.nests: dict[int, Nest] = {}
        self.has_steps = False

    def find(self, body: Sequence[Statement]) -> bool:
        """Whether a body is made of loops over lines, and of steps that are."""
        for statement in body:
            if isinstance(statement, Let):
                continue
            if not isinstance(statement, Loop) or statement.carried:
                return False
            nest = nest_of(statement, self.accesses)
            if nest is not None and nest.has_vector:
                if any(isinstance(s, Loop | Check) for s in nest.statements):
                    return False
                self.nests[id(statement)] = nest
            elif not self.find(statement.body):
                return False
            else:
                self.has_steps = True
        return bool(self.nests)

    def turned(self, body: Sequence[Statement], first: Nest) -> Iterator[Statement]:
        """Give a body as one line does it."""
        for statement in body:
            nest = self.nests.get(id(statement))
            if nest is not None:
                for mine, common in zip(nest.loops, first.loops, strict=True):
                    if mine is not common:
                        yield Let(mine.index, Ref(common.index))
                yield from nest.statements
            elif isinstance(statement, Loop):
                yield Loop(statement.index, statement.extent, statement.kind, tuple(self.turned(statement.body, first)))
            else:
                yield statement

    def positions(self, body: Sequence[Statement]) -> Iterator[tuple[str, bool, Polynomial, tuple[str, ...]]]:
        """Give buffer, whether it is written, position and indices of lines of each access."""
        for statement in body:
            nest = self.nests.get(id(statement))
            indices = tuple([loop.index for loop in nest.loops]) if nest is not None else ()
            if nest is None and isinstance(statement, Loop):
                yield from self.positions(statement.body)
                continue
            for access in accesses_in(nest.statements) if nest is not None else accesses_of(statement):
                yield access.buffer, isinstance(access, Store), self.accesses.polynomial(access), indices


def _are_apart(
    leaves: _Leaves, body: Sequence[Statement], extents: Sequence[Size], accesses: Accesses,
    pairs: Sequence[tuple[str, str]],
) -> bool:
    """Whether different lines never touch one element of what is written."""
    found = list(leaves.positions(body))
    for name in {buffer for buffer, is_written, _, _ in found if is_written}:
        same = {name, *[b for a, b in pairs if a == name], *[a for a, b in pairs if b == name]}
        if not _is_apart([(place, indices) for buffer, _, place, indices in found if buffer in same], accesses):
            return False
    return all(isinstance(size, int) for size in extents)


def _is_apart(positions: Sequence[tuple[Polynomial, tuple[str, ...]]], accesses: Accesses) -> bool:
    """Whether what the indices of lines add to positions is the same for all, and less than what all else adds."""
    step, strides, constants = 0, set(), set()
    reach = 0
    for position, indices in positions:
        if not indices or digits(position, set(indices), accesses.extents) is None:
            return False
        rest, own = position, []
        for index in indices:
            parts = rest.split(index)
            assert parts is not None
            own.append(parts[0].constant or 0)
            rest = parts[1]
        strides.add(tuple(own))
        reach = sum(abs(stride) * (accesses.extents[index] - 1) for stride, index in zip(own, indices, strict=True))
        for monomial, coefficient in rest.terms.values():
            step = gcd(step, coefficient) if monomial else step
        constants.add(rest.terms[()][1] if () in rest.terms else 0)
    if len(strides) != 1:
        return False
    tells_lines = zip(strides.pop(), positions[0][1], strict=True)
    if any(stride == 0 and accesses.extents[index] > 1 for stride, index in tells_lines):
        return False
    for constant in constants:
        step = gcd(step, constant - min(constants))
    return step == 0 or step > reach
