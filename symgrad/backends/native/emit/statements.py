"""Statements and loops that run round after round; vector loops have a file of their own."""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.backends.native.emit import memory, vectors
from symgrad.backends.native.emit.expressions import define, dtype_of, in_lanes, prepare, size_value, value_of
from symgrad.backends.native.emit.state import Entry, Facts, State
from symgrad.backends.native.llvm.text import Value, index, lanes_of, literal
from symgrad.kernels.ir.affine import number
from symgrad.kernels.ir.grammar import Carry, Check, Kind, Let, Loop, Statement, Store


def write_body(state: State, body: Sequence[Statement]) -> None:
    """Write statements in their order."""
    for statement in body:
        state.of_statement.clear()
        if isinstance(statement, Let):
            if dtype_of(state, statement.value) != "int64":
                prepare(state, statement.value)
            define(state, statement.name, statement.value, dtype_of(state, statement.value))
        elif isinstance(statement, Store):
            prepare(state, statement.value)
            memory.store(state, statement)
        elif isinstance(statement, Carry):
            prepare(state, statement.value)
            carry(state, statement)
        elif isinstance(statement, Check):
            check(state, statement)
        else:
            write_loop(state, statement)


def carry(state: State, statement: Carry) -> None:
    """Note what a carried value becomes; in lanes that don't count it stays."""
    value = in_lanes(state, statement.value)
    carried = state.names[statement.name].value
    assert carried is not None
    if state.lanes is not None and lanes_of(carried.type) == 1 < state.lanes.count:
        value = value_of(state, statement.value)
    state.carries[-1][statement.name] = value


def check(state: State, statement: Check) -> None:
    """Leave the kernel unless a condition holds, in all lanes that count."""
    f = state.f
    condition = value_of(state, statement.condition)
    lanes = lanes_of(condition.type)
    if lanes > 1:
        if state.lanes is not None and state.lanes.mask is not None:
            others = f.binary("xor", state.lanes.mask, literal(1, state.lanes.mask.type))
            condition = f.binary("or", condition, others)
        name = f"llvm.vector.reduce.and.v{lanes}i1"
        f.declare(name, "i1", [condition.type])
        condition = f.call(name, "i1", condition)
    leave, stay = f.new_block("check.failed"), f.new_block("check.passed")
    f.branch(condition, stay, leave)
    f.start(leave)
    f.give(literal(statement.code, "i32"))
    f.start(stay)


def write_loop(state: State, loop: Loop) -> None:
    """Write a loop of any kind, all its rounds."""
    if loop.extent == 0:
        for carried in loop.carried:
            define(state, carried.name, carried.start, dtype_of(state, carried.start))
    elif loop.kind is Kind.UNROLLED:
        write_unrolled(state, loop)
    elif loop.kind is Kind.VECTOR:
        vectors.write_vector_loop(state, loop, index(0), size_value(state, loop.extent))
    else:
        write_serial(state, loop, index(0), size_value(state, loop.extent))


def starts_of(state: State, loop: Loop) -> list[tuple[str, str, Value]]:
    """Return name, dtype and start of each carried value; in a vector loop, in lanes."""
    return [(c.name, dtype_of(state, c.start), in_lanes(state, c.start)) for c in loop.carried]


def bind_carried(state: State, carried: Sequence[tuple[str, str, Value]], values: Sequence[Value]) -> None:
    """Let the names of carried values stand for these values, from here on."""
    facts = Facts(state.depth, state.lanes is not None)
    for (name, dtype, _), value in zip(carried, values, strict=True):
        state.known.pop(name, None)
        state.bind(name, Entry(facts, value, dtype))


def write_serial(state: State, loop: Loop, begin: Value, end: Value) -> None:
    """Write a loop round after round; its carried values are phis."""
    carried = starts_of(state, loop)
    guard = loop.extent if isinstance(loop.extent, str) else None
    starts = [start for _, _, start in carried]
    with state.scope(loop, guard), state.f.loop(begin, end, 1, starts, hint=loop.index) as written:
        state.known.pop(loop.index, None)
        state.bind(loop.index, Entry(Facts(state.depth), written.index, "int64"))
        bind_carried(state, carried, written.carried)
        written.next = carried_on(state, loop, carried)
    bind_carried(state, carried, written.results)


def carried_on(state: State, loop: Loop, carried: Sequence[tuple[str, str, Value]]) -> list[Value]:
    """Write a loop's body, and return what its carried values become."""
    state.carries.append({})
    write_body(state, loop.body)
    following = state.carries.pop()
    return [following[name] for name, _, _ in carried]


def write_unrolled(state: State, loop: Loop) -> None:
    """Write each round of a loop out; its index is a constant."""
    carried = starts_of(state, loop)
    values = [start for _, _, start in carried]
    assert isinstance(loop.extent, int)
    for round_number in range(loop.extent):
        with state.scope(loop):
            state.known[loop.index] = number(round_number)
            facts = Facts(state.depth, rounds=frozenset((loop.index,)))
            state.bind(loop.index, Entry(facts, index(round_number), "int64"))
            bind_carried(state, carried, values)
            values = carried_on(state, loop, carried)
    bind_carried(state, carried, values)
