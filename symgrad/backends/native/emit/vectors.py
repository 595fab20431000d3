"""Vector loops: rounds in lanes, several registers at a time, then what is left over.

Element `k` of a sum is always added to the same lane, wherever the loop is cut for threads and tails, so the result
depends on the number of elements alone. What is left over at the end is done in lanes with a mask, or one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symgrad.backends.native.emit import statements
from symgrad.backends.native.emit.expressions import count_up, dtype_of, value_of
from symgrad.backends.native.emit.lanes import (
    combined,
    narrowed,
    power_of_two_from,
    splat_neutral,
    work_of,
)  # fmt: skip
from symgrad.backends.native.emit.state import Entry, Facts, Lanes, State
from symgrad.backends.native.llvm.text import Value, index
from symgrad.kernels.ir.grammar import Loop

WORTH_TWO_LOOPS = 1 << 16
"""Heavy work in more rounds than this gets a loop without masks."""

ADDED_AT_ONCE = 64
"""So many floats are added one after the other in each lane; then their sums are added."""


@dataclass(frozen=True)
class Widths:
    """How a vector loop is cut.

    Attributes
    ----------
    main : int
        Lanes of the main loop, a power of two; 0 if there is none.
    rest : int
        Lanes of the loop over what is left; 0 if nothing is.
    masked : bool
        Whether the last round of the rest may have lanes that don't count.
    """

    main: int
    rest: int
    masked: bool


def widths(state: State, loop: Loop, extent: int | None) -> Widths:
    """Choose how a loop is cut; `extent` is None if it isn't known.

    What is left over after the main loop is one round with a mask, if its work is light. If it is heavy, wasted lanes
    would cost more than rounds; and unless there is much to do, masks in all rounds cost less than code for it twice.
    """
    work = work_of(loop, state.buffers)
    lanes = max(1, state.vector_bytes // work.size)
    wide = lanes * work.unrolling
    is_heavy = work.heavy > 0
    if extent is not None:
        wide = min(wide, max(lanes, power_of_two_from(extent + 1) // 2))
    if not state.masked or lanes == 1:
        main = wide if extent is None or extent >= wide else 0
        return Widths(main, 0 if main and extent is not None and extent % main == 0 else 1, False)
    if extent is None:
        return Widths(wide, lanes if is_heavy else wide, True)
    left = extent % wide
    if not left:
        return Widths(wide, 0, False)
    if is_heavy and extent > wide and _all_rounds(state, extent) < WORTH_TWO_LOOPS:
        return Widths(0, wide, True)
    rest = min(power_of_two_from(left), lanes if is_heavy else wide)
    return Widths(wide if extent > left else 0, rest, left % rest > 0)


def _all_rounds(state: State, extent: int) -> int:
    """Return how often a loop's body runs in all; open loops around it count as long."""
    total = extent
    for scope in state.scopes:
        if scope.loop is not None:
            total *= scope.loop.extent if isinstance(scope.loop.extent, int) else WORTH_TWO_LOOPS
    return total


def write_vector_loop(state: State, loop: Loop, begin: Value, end: Value) -> None:
    """Write the rounds from `begin`, a multiple of all lanes of the main loop, to `end`."""
    extent = loop.extent if isinstance(loop.extent, int) else None
    cut = widths(state, loop, extent)
    dtypes = [dtype_of(state, carried.start) for carried in loop.carried]
    combines = [carried.combine or "" for carried in loop.carried]
    starts = [value_of(state, carried.start) for carried in loop.carried]
    values: list[Value] = []
    if cut.main:
        values = [splat_neutral(how, dtype, cut.main) for how, dtype in zip(combines, dtypes, strict=True)]
        middle = _end_of_main(state, begin, end, cut, extent)
        if _is_long_sum(loop, dtypes, cut.main):
            values = _write_blocks(state, loop, begin, middle, cut.main, values)
        else:
            values = _write_rounds(state, loop, begin, middle, cut.main, False, values)
        begin = middle
    if cut.rest:
        values = _into_rest(state, cut, combines, dtypes, values)
        values = _write_rounds(state, loop, begin, end, cut.rest, cut.masked, values)
    for carried, how, dtype, start, value in zip(loop.carried, combines, dtypes, starts, values, strict=True):
        total = combined(state.f, how, dtype, [start, narrowed(state.f, value, 1, how, dtype)])
        state.known.pop(carried.name, None)
        state.bind(carried.name, Entry(Facts(state.depth), total, dtype))


def _into_rest(
    state: State, cut: Widths, combines: Sequence[str], dtypes: Sequence[str], values: Sequence[Value]
) -> list[Value]:
    """Return the carried values with which the rest begins."""
    if not cut.main:
        return [splat_neutral(how, dtype, cut.rest) for how, dtype in zip(combines, dtypes, strict=True)]
    return [
        narrowed(state.f, value, cut.rest, how, dtype)
        for value, how, dtype in zip(values, combines, dtypes, strict=True)
    ]


def _end_of_main(state: State, begin: Value, end: Value, cut: Widths, extent: int | None) -> Value:
    if extent is not None and begin.text == "0":
        return index(extent - extent % cut.main)
    whole = state.f.binary("and", state.f.subtract(end, begin), index(-cut.main))
    return state.f.add(begin, whole)


def _is_long_sum(loop: Loop, dtypes: Sequence[str], count: int) -> bool:
    """Whether a loop adds so many floats in each lane that rounding errors would pile up."""
    pairs = zip(loop.carried, dtypes, strict=True)
    adds = any(carried.combine == "add" and dtype.startswith("float") for carried, dtype in pairs)
    return adds and (isinstance(loop.extent, str) or loop.extent >= 4 * ADDED_AT_ONCE * count)


def _write_blocks(
    state: State, loop: Loop, begin: Value, end: Value, count: int, starts: list[Value]
) -> list[Value]:
    """Write the main loop of a long sum: blocks are summed from zero, then their sums."""
    f = state.f
    dtypes = [dtype_of(state, carried.start) for carried in loop.carried]
    block = ADDED_AT_ONCE * count
    guard = loop.extent if isinstance(loop.extent, str) else None
    with state.scope(loop, guard), f.loop(begin, end, block, starts, hint=f"{loop.index}.block") as blocks:
        last = f.intrinsic("smin", "i64", f.add(blocks.index, index(block)), end)
        fresh = [
            start if carried.combine == "add" else current
            for carried, start, current in zip(loop.carried, starts, blocks.carried, strict=True)
        ]
        sums = _write_rounds(state, loop, blocks.index, last, count, False, fresh)
        blocks.next = [
            combined(f, "add", dtype, [current, value]) if carried.combine == "add" else value
            for carried, dtype, current, value in zip(loop.carried, dtypes, blocks.carried, sums, strict=True)
        ]
    return blocks.results


def _write_rounds(
    state: State, loop: Loop, begin: Value, end: Value, count: int, masked: bool, starts: list[Value]
) -> list[Value]:
    """Write a loop in so many lanes, and return the carried values after it."""
    guard = loop.extent if isinstance(loop.extent, str) else None
    dtypes = [dtype_of(state, carried.start) for carried in loop.carried]
    carried = [(c.name, dtype, start) for c, dtype, start in zip(loop.carried, dtypes, starts, strict=True)]
    outside = {name: state.names.get(name) for name in (loop.index, *[c.name for c in loop.carried])}
    with state.scope(loop, guard), state.f.loop(begin, end, count, starts, hint=loop.index) as written:
        mask = _mask(state, written.index, end, count) if masked else None
        state.lanes = Lanes(loop.index, written.index, count, mask)
        state.bind(loop.index, Entry(Facts(state.depth, varying=True), written.index, "int64"))
        statements.bind_carried(state, carried, written.carried)
        following = statements.carried_on(state, loop, carried)
        if mask is not None:
            pairs = zip(following, written.carried, strict=True)
            following = [state.f.select(mask, new, old) for new, old in pairs]
        written.next = following
    state.lanes = None
    for name, entry in outside.items():
        if entry is None:
            state.names.pop(name)
    return written.results


def _mask(state: State, first: Value, end: Value, count: int) -> Value:
    """Return which lanes lie before the end; in 32 bits, as less than `count` are compared with what is left."""
    f = state.f
    left = f.intrinsic("smin", "i64", f.subtract(end, first), index(count))
    narrow = f.convert("trunc", left, "i32")
    return f.compare("slt", count_up(count, "i32"), f.splat(narrow, count))
