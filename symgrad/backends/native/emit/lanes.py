"""How many lanes a vector loop has, and how lanes are combined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from symgrad.backends.native.llvm.text import Function, Value, lanes_of, literal
from symgrad.backends.native.scalars import ELEMENTS, emit_scalar
from symgrad.kernels.ir.functions import DTYPES
from symgrad.kernels.ir.grammar import Buffer, Call, Cast, Expression, Kind, Let, Load, Loop, Ref, Store
from symgrad.kernels.ir.traversal import expressions, in_order, index_names, parts, walk

LIGHT = frozenset((
    "add", "subtract", "multiply", "negative", "abs", "sign", "sqr", "maximum", "minimum", "rectify", "clip", "switch",
    "rectify_gradient", "and", "or", "xor", "invert", "eq", "neq", "lt", "le", "gt", "ge", "floor", "ceil", "trunc",
    "rint", "step", "isnan", "isinf", "isfinite", "bitcast", "left_shift", "right_shift", "shift_left", "shift_right",
    "deg2rad", "rad2deg", "true_divide", "reciprocal", "sqrt",
))  # fmt: skip
"""Functions of a few instructions; the others take tens."""


def values_in(loop: Loop) -> Iterator[Expression]:
    """Give all expressions that differ from round to round once, but not those that only say where something is."""
    varying = _Varying(loop)
    places = index_names(loop.body)
    pending: list[Expression] = []
    for statement in walk(loop.body):
        if not isinstance(statement, Store) and not (isinstance(statement, Let) and statement.name in places):
            pending.extend(expressions(statement))
    pending += [e for s in walk(loop.body) if isinstance(s, Store) for e in (s.value, s.mask) if e is not None]
    seen: set[int] = set()
    while pending:
        current = pending.pop()
        if id(current) in seen or not varying.holds(current):
            continue
        seen.add(id(current))
        yield current
        if not isinstance(current, Load):
            pending.extend(parts(current))
        elif current.mask is not None:
            pending.append(current.mask)


class _Varying:
    """Which expressions depend on a loop's index, or on what it carries."""

    def __init__(self, loop: Loop) -> None:
        self.names = {loop.index, *(carried.name for carried in loop.carried)}
        self.known: dict[int, bool] = {}
        for statement in walk(loop.body):
            if isinstance(statement, Loop):
                self.names.update(carried.name for carried in statement.carried)
            elif isinstance(statement, Let) and self.holds(statement.value):
                self.names.add(statement.name)

    def holds(self, expression: Expression) -> bool:
        for part in in_order(expression) if id(expression) not in self.known else ():
            if id(part) not in self.known:
                is_named = isinstance(part, Ref) and part.name in self.names
                self.known[id(part)] = is_named or any(map(self.holds, parts(part)))
        return self.known[id(expression)]


@dataclass(frozen=True)
class Work:
    """What a vector loop's rounds do.

    Attributes
    ----------
    size : int
        Bytes of an element of the size that they work on most.
    heavy : int
        How many functions of many instructions they call.
    unrolling : int
        How many registers a round of the main loop should work on at once.
    """

    size: int
    heavy: int
    unrolling: int


def work_of(loop: Loop, buffers: dict[str, Buffer]) -> Work:
    """Return what a vector loop's rounds do."""
    sizes: Counter[int] = Counter()
    heavy = 0
    for value in values_in(loop):
        if isinstance(value, Call):
            heavy += value.function not in LIGHT
        if isinstance(value, Call | Cast) and value.dtype != "bool":
            sizes[DTYPES[value.dtype]] += 1
        elif isinstance(value, Load):
            sizes[DTYPES[buffers[value.buffer].dtype]] += 1
    for statement in walk(loop.body):
        if isinstance(statement, Store):
            sizes[DTYPES[buffers[statement.buffer].dtype]] += 1
    size = max(sizes, key=lambda each: (sizes[each], each)) if sizes else 8
    return Work(size, heavy, _unrolling(loop, heavy))


def _unrolling(loop: Loop, heavy: int) -> int:
    """Choose how many registers a round of the main loop works on at once.

    Sums need several, as an addition waits for the one before; many instructions need none. Sums along columns read
    short pieces of many rows, which should not be too short.
    """
    inner = [s for s in walk(loop.body) if isinstance(s, Loop) and s.kind is not Kind.UNROLLED]
    sums = max((len(s.carried) for s in inner), default=0)
    if sums:
        return 2 if heavy else 8 if sums == 1 and not loop.carried else 4
    if loop.carried:
        return 2 if heavy else 4
    return 1 if heavy or inner else 2


def power_of_two_from(number: int) -> int:
    """Return the least power of two that isn't below `number`."""
    return 1 << max(number - 1, 0).bit_length()


def neutral(combine: str, dtype: str) -> float | int | bool:
    """Return what changes nothing when combined with it."""
    if combine in ("add", "or"):
        return 0
    if combine == "multiply":
        return 1
    if combine == "and":
        return True if dtype == "bool" else -1
    if dtype == "bool":
        return combine == "minimum"
    if dtype.startswith("float"):
        return float("-inf") if combine == "maximum" else float("inf")
    limits = np.iinfo(dtype)
    return int(limits.min if combine == "maximum" else limits.max)


def splat_neutral(combine: str, dtype: str, lanes: int) -> Value:
    """Return what changes nothing, in all lanes."""
    kind = ELEMENTS[dtype]
    return literal(neutral(combine, dtype), kind if lanes == 1 else f"<{lanes} x {kind}>")


def combined(function: Function, combine: str, dtype: str, values: Sequence[Value]) -> Value:
    """Combine two values."""
    return emit_scalar(function, combine, values, [dtype, dtype], dtype)


def narrowed(function: Function, value: Value, lanes: int, combine: str, dtype: str) -> Value:
    """Combine the halves of a vector until it has so many lanes: the order depends on nothing else."""
    while (count := lanes_of(value.type)) > lanes:
        half = count // 2
        if half == 1:
            return combined(function, combine, dtype, [function.extract(value, 0), function.extract(value, 1)])
        low = function.shuffle(value, value, range(half))
        high = function.shuffle(value, value, range(half, count))
        value = combined(function, combine, dtype, [low, high])
    return value
