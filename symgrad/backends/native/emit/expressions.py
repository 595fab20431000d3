"""Expressions: each is written once, as far out of the loops as it may, in lanes only if it differs between them."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from symgrad.backends.native.emit import memory
from symgrad.backends.native.emit.bits import emit_bits
from symgrad.backends.native.emit.state import Entry, Facts, State
from symgrad.backends.native.llvm.text import Value, index, lanes_of, literal
from symgrad.backends.native.scalars import ELEMENTS, emit_cast, emit_scalar
from symgrad.graph.dtypes import HALVES, NUMPY_DTYPES
from symgrad.kernels.ir.affine import Polynomial, polynomial
from symgrad.kernels.ir.grammar import Call, Cast, Expression, Literal, Load, Ref, Size
from symgrad.kernels.ir.traversal import in_order, parts

OUTERMOST = Facts(0)


def facts_of(state: State, expression: Expression) -> Facts:
    """Return what an expression depends on."""
    key = id(expression)
    if key not in state.facts:
        state.facts[key] = _facts(state, expression)
    return state.facts[key]


def _facts(state: State, expression: Expression) -> Facts:
    if isinstance(expression, Literal):
        return OUTERMOST
    if isinstance(expression, Ref):
        return _facts_of_name(state, expression.name)
    if isinstance(expression, Load):
        return memory.facts_of_load(state, expression)
    facts = OUTERMOST
    for part in parts(expression):
        facts = facts | facts_of(state, part)
    return facts


def _facts_of_name(state: State, name: str) -> Facts:
    if name not in state.names:
        return OUTERMOST
    entry = state.names[name]
    if entry.facts is None:
        assert entry.expression is not None
        return facts_of(state, entry.expression)
    return entry.facts


def dtype_of(state: State, expression: Expression) -> str:
    """Return an expression's dtype."""
    if isinstance(expression, Ref):
        return state.names[expression.name].dtype if expression.name in state.names else "int64"
    if isinstance(expression, Load):
        return state.buffers[expression.buffer].dtype
    return expression.dtype


def value_of(state: State, expression: Expression) -> Value:
    """Return an expression's value: in lanes if it varies, else a scalar."""
    facts = facts_of(state, expression)
    remembered = state.remembered(facts)
    key = state.key(expression, facts)
    if key not in remembered:
        with state.at(facts.level):
            remembered[key] = _write(state, expression, facts)
    return remembered[key]


def prepare(state: State, expression: Expression) -> None:
    """Write an expression's operands one after the other: however deep it is, recursion isn't."""
    for part in in_order(expression):
        if isinstance(part, Call | Cast):
            value_of(state, part)


def in_lanes(state: State, expression: Expression) -> Value:
    """Return an expression's value in as many lanes as the loop has; a scalar becomes equal lanes."""
    value = value_of(state, expression)
    count = state.lanes.count if state.lanes else 1
    if lanes_of(value.type) == count:
        return value
    return splat(state, value, facts_of(state, expression), count)


def splat(state: State, value: Value, facts: Facts, count: int) -> Value:
    """Return a scalar with these facts in `count` lanes, written once."""
    remembered = state.remembered(facts)
    key: Hashable = ("splat", value.text, value.type, count)
    if key not in remembered:
        with state.at(facts.level):
            remembered[key] = state.f.splat(value, count)
    return remembered[key]


def _write(state: State, expression: Expression, facts: Facts) -> Value:
    if isinstance(expression, Literal):
        return _literal(expression)
    if isinstance(expression, Ref):
        return _write_name(state, expression.name, facts)
    if isinstance(expression, Load):
        return memory.load(state, expression, facts)
    values = [in_lanes(state, part) if facts.varying else value_of(state, part) for part in parts(expression)]
    dtypes = [dtype_of(state, part) for part in parts(expression)]
    if isinstance(expression, Cast):
        return emit_cast(state.f, values[0], dtypes[0], expression.dtype)
    return _write_call(state, expression, values, dtypes)


def _literal(expression: Literal) -> Value:
    """Return a constant; of floats of 16 bits, their bits."""
    value = expression.value
    if expression.dtype in HALVES:
        value = int(np.array(value, NUMPY_DTYPES[expression.dtype]).view("uint16"))
    return literal(value, ELEMENTS[expression.dtype])


def _write_call(state: State, call: Call, values: list[Value], dtypes: list[str]) -> Value:
    written = emit_bits(state.f, call.function, values, call.dtype)
    return emit_scalar(state.f, call.function, values, dtypes, call.dtype) if written is None else written


def _write_name(state: State, name: str, facts: Facts) -> Value:
    if name not in state.names:
        return size_value(state, name)
    entry = state.names[name]
    if entry.value is not None:
        lanes = state.lanes
        if lanes is not None and name == lanes.name and lanes.count > 1:
            return _lane_numbers(state, lanes.index, lanes.count)
        return entry.value
    assert entry.expression is not None
    return value_of(state, entry.expression)


def _lane_numbers(state: State, first: Value, count: int) -> Value:
    """Return the index of the vector loop, lane by lane."""
    return state.f.add(state.f.splat(first, count), count_up(count, "i64"))


def count_up(count: int, element: str, step: int = 1) -> Value:
    """Return the vector 0, `step`, 2 `step`, ..."""
    text = ", ".join(f"{element} {lane * step}" for lane in range(count))
    return Value(f"<{text}>", f"<{count} x {element}>")


def size_value(state: State, size: Size) -> Value:
    """Return a size; open ones are loaded at the beginning."""
    if isinstance(size, int):
        return index(size)
    remembered = state.scopes[0].values
    key = ("size", size)
    if key not in remembered:
        with state.at(0):
            place = index(state.kernel.sizes.index(size))
            remembered[key] = state.f.load(state.f.offset(state.f.parameters[1], place, "i64"), "i64")
    return remembered[key]


def define(state: State, name: str, expression: Expression, dtype: str) -> None:
    """Bind a Let. Index arithmetic is written where it is needed, and only if it is; the rest at once."""
    if dtype == "int64" and name in state.index_names and _is_arithmetic(state, expression):
        state.known[name] = polynomial(expression, state.known)
        state.bind(name, Entry(None, None, dtype, expression))
        return
    state.known.pop(name, None)
    value = value_of(state, expression)
    facts = facts_of(state, expression)
    level = state.depth if facts.volatile else facts.level
    state.bind(name, Entry(Facts(level, facts.varying, rounds=facts.rounds), value, dtype))


def _is_arithmetic(state: State, expression: Expression) -> bool:
    """Whether an expression takes nothing from memory, directly."""
    if isinstance(expression, Ref):
        return expression.name not in state.names or state.names[expression.name].dtype == "int64"
    if isinstance(expression, Literal):
        return True
    return isinstance(expression, Call) and all(_is_arithmetic(state, operand) for operand in expression.operands)


def as_polynomial(state: State, expression: Expression) -> Polynomial:
    """Return an index expression as a polynomial in what isn't arithmetic."""
    return polynomial(expression, state.known)
