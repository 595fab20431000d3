"""How a kernel is laid out over blocks and threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from symgrad.backends.cupy.emit.groups import Group, MayMeet
from symgrad.backends.cupy.emit.lines import lines_of
from symgrad.backends.cupy.emit.nests import Accesses, Nest, accesses_in, digits, nest_of
from symgrad.kernels.ir.affine import Polynomial, value_range
from symgrad.kernels.ir.grammar import Check, Kernel, Let, Load, Loop, Statement, Store
from symgrad.kernels.ir.traversal import walk

LARGEST_BLOCK = 1024


@dataclass(frozen=True)
class Shape:
    """The layout of a kernel.

    Attributes
    ----------
    kind : str
        ``grid``: the items of one nest over all blocks. ``parts``: the items of several nests that don't meet.
        ``owned``: the items of the first nest; later nests write over what it wrote, each element by the thread that
        wrote it. ``block``: the items of one nest over the groups of one block, which then combine their totals.
        ``step``: one block does everything in order.
    nests : tuple of Nest
        What is spread.
    before : tuple of Statement
        What comes before the nests.
    main : Loop or None
        Where they are.
    group : Group
        The threads that work on one item.
    threads : int
        Threads of a block.
    """

    kind: str
    nests: tuple[Nest, ...]
    before: tuple[Statement, ...]
    main: Loop | None
    group: Group
    threads: int


def shape_of(kernel: Kernel, accesses: Accesses, may_meet: MayMeet, multiprocessors: int) -> Shape:
    """Choose the layout of a kernel."""
    loops = [s for s in kernel.body if isinstance(s, Loop) and s.extent != 0]
    others = [s for s in kernel.body if not isinstance(s, Loop)]
    if not loops:
        return Shape("step", (), kernel.body, None, Group("thread"), 1)
    if all(isinstance(s, Let | Check) for s in others) and isinstance(kernel.body[-1], Loop):
        found = _of_copies(kernel, accesses, may_meet, multiprocessors)
        if found is not None:
            return found
        found = _of_lines(kernel, accesses, may_meet, multiprocessors)
        if found is not None:
            return found
    if len(loops) == 1 and len(others) == len(kernel.body) - 1:
        found = _of_one_loop(kernel, loops[0], accesses, may_meet, multiprocessors)
        if found is not None:
            return found
    work = max([nest.nominal for nest in _spread_nests(kernel.body, accesses)], default=1)
    if work == 1:
        return Shape("step", (), kernel.body, None, Group("thread"), 1)
    lanes = min(max(power_of_two(work), 32), LARGEST_BLOCK)
    group = Group("lanes", 32) if lanes == 32 else Group("block", lanes)
    return Shape("step", (), kernel.body, None, group, lanes)


def power_of_two(count: int) -> int:
    """Return the smallest power of two that is at least `count`."""
    return 1 << max(count - 1, 0).bit_length()


def _of_one_loop(
    kernel: Kernel, loop: Loop, accesses: Accesses, may_meet: MayMeet, multiprocessors: int
) -> Shape | None:
    nest = nest_of(loop, accesses)
    if nest is None:
        return None
    place = next(number for number, statement in enumerate(kernel.body) if statement is loop)
    before, after = kernel.body[:place], kernel.body[place + 1 :]
    has_vector = nest.has_vector_inside
    if not nest.totals and _do_not_meet(nest, [*before, *after], may_meet):
        group, threads = _group(nest, has_vector, accesses, multiprocessors)
        return Shape("grid", (nest,), before, loop, group, threads)
    work = _work(nest, accesses) if has_vector else 1
    lanes = min(power_of_two(work), 32)
    if nest.nominal < 8 and work > 256:
        return None
    threads = min(max(power_of_two(nest.nominal * lanes), 32), LARGEST_BLOCK)
    return Shape("block", (nest,), before, loop, Group("lanes" if lanes > 1 else "thread", lanes), threads)


def _do_not_meet(nest: Nest, others: Sequence[Statement], may_meet: MayMeet) -> bool:
    """Whether single statements touch nothing that the nest writes, and write nothing that it touches."""
    inside, outside = list(accesses_in(nest.statements)), list(accesses_in(others))
    return not any(
        (isinstance(a, Store) or isinstance(b, Store)) and (a.buffer == b.buffer or may_meet(a.buffer, b.buffer))
        for a in inside for b in outside
    )  # fmt: skip


def _group(nest: Nest, has_vector: bool, accesses: Accesses, multiprocessors: int) -> tuple[Group, int]:
    items = max(nest.nominal, 1)
    inner = any(isinstance(s, Loop) for s in nest.statements)
    if has_vector:
        return _group_of_rows(items, _work(nest, accesses), multiprocessors)
    if inner and nest.has_vector and not any(isinstance(s, Check) for s in walk(nest.statements)):
        return _group_of_columns(items, _work(nest, accesses), multiprocessors)
    return Group("thread"), _few_threads(items, multiprocessors)


def _group_of_rows(items: int, work: int, multiprocessors: int) -> tuple[Group, int]:
    """Short rows share a warp; long ones get enough lanes that each has about 4 elements, or fill the device."""
    if work <= 32:
        lanes = power_of_two(work)
        return (Group("lanes", lanes), 128) if lanes > 1 else (Group("thread"), 64)
    lanes = min(max(power_of_two(-(-work // 4)), 32), LARGEST_BLOCK)
    while lanes > 32 and items * lanes > 2048 * multiprocessors:
        lanes //= 2
    if lanes == 32:
        return Group("lanes", 32), 32 * min(max(power_of_two(items // multiprocessors), 1), 4)
    return Group("block", lanes), lanes


def _group_of_columns(items: int, work: int, multiprocessors: int) -> tuple[Group, int]:
    """Few columns are cut into pieces, until there are threads enough to keep loads in flight on the whole device.

    Blocks are 32 columns wide, so that a warp reads whole lines, or 8, a sector, if otherwise few processors had some.
    """
    lanes = 1
    while lanes < min(work, 32) and items * lanes < 512 * multiprocessors:
        lanes *= 2
    if lanes == 1:
        return Group("thread"), 64
    width = 32
    if work > 4 * lanes and 4 * items < 32 * multiprocessors:
        width, lanes = 8, min(power_of_two(work), 128)
    return Group("rows", lanes, width), lanes * width


def _work(nest: Nest, accesses: Accesses) -> int:
    """Return how many rounds the largest nest inside has."""
    return max([inner.nominal for inner in _spread_nests(nest.statements, accesses)], default=1)


def _spread_nests(body: Sequence[Statement], accesses: Accesses) -> list[Nest]:
    """Return the nests that the lanes of a group would share."""
    found: list[Nest] = []
    for statement in body:
        if isinstance(statement, Loop) and statement.extent != 0:
            nest = nest_of(statement, accesses)
            if nest is not None and not nest.has_vector_inside:
                found.append(nest)
            else:
                found.extend(_spread_nests(statement.body, accesses))
    return found


def _of_lines(kernel: Kernel, accesses: Accesses, may_meet: MayMeet, multiprocessors: int) -> Shape | None:
    names = [buffer.name for buffer in kernel.buffers]
    pairs = [(one, other) for one in names for other in names if may_meet(one, other)]
    place = next(number for number, statement in enumerate(kernel.body) if isinstance(statement, Loop))
    nest = lines_of(kernel.body[place:], accesses, pairs)
    if nest is None or any(isinstance(s, Check) for s in walk(kernel.body)):
        return None
    main = kernel.body[place]
    assert isinstance(main, Loop)
    threads = _few_threads(nest.nominal, multiprocessors)
    return Shape("grid", (nest,), kernel.body[:place], main, Group("thread"), threads)


def _few_threads(items: int, multiprocessors: int) -> int:
    """Return the threads of a block where each has an item: few, if the items would else be on few processors."""
    return 128 if items >= 128 * multiprocessors else 64


# ---- kernels of several loops ---------------------------------------------------------------------------------------


def _of_copies(kernel: Kernel, accesses: Accesses, may_meet: MayMeet, multiprocessors: int) -> Shape | None:
    """Return the layout of loops that all only put elements in their places; None if they must run in order."""
    before: list[Statement] = []
    nests: list[Nest] = []
    for statement in kernel.body:
        if not isinstance(statement, Loop):
            if nests:
                return None
            before.append(statement)
            continue
        found = _cut(statement, accesses)
        if found is None:
            return None
        nests.extend(found)
    nests = [nest for nest in nests if nest.rounds != 0]
    if len(nests) < 2:
        return None
    main = next(s for s in kernel.body if isinstance(s, Loop))
    threads = _few_threads(sum(nest.nominal for nest in nests), multiprocessors)
    if _are_apart(nests, accesses, may_meet):
        return Shape("parts", tuple(nests), tuple(before), main, Group("thread"), threads)
    if _are_owned(nests, accesses, may_meet):
        return Shape("owned", tuple(nests), tuple(before), main, Group("thread"), threads)
    return None


def _cut(loop: Loop, accesses: Accesses) -> list[Nest] | None:
    """Return the nests of a loop, one for each loop in it if there are several; None unless all only copy."""
    if loop.extent == 0:
        return []
    nest = nest_of(loop, accesses)
    if nest is None or nest.totals:
        return None
    inner = [s for s in nest.statements if isinstance(s, Loop)]
    if not inner:
        return [nest]
    nests = []
    simple: list[Statement] = []
    for statement in nest.statements:
        if isinstance(statement, Let | Check):
            simple.append(statement)
        elif not isinstance(statement, Loop):
            return None
        else:
            found = _cut(statement, accesses)
            if found is None:
                return None
            nests += [Nest((*nest.loops, *one.loops), (*simple, *one.statements)) for one in found]
    return nests


def _are_apart(nests: Sequence[Nest], accesses: Accesses, may_meet: MayMeet) -> bool:
    """Whether no nest touches what another one writes."""
    for number, nest in enumerate(nests):
        mine = list(accesses_in(nest.statements))
        for other in nests[number + 1 :]:
            for one in mine:
                for two in accesses_in(other.statements):
                    if isinstance(one, Load) and isinstance(two, Load):
                        continue
                    if may_meet(one.buffer, two.buffer):
                        return False
                    if one.buffer == two.buffer and not _never_meet(
                        accesses.polynomial(one), accesses.polynomial(two), nest, other
                    ):
                        return False
    return True


def _never_meet(first: Polynomial, second: Polynomial, nest: Nest, other: Nest) -> bool:
    """Whether two positions are always different: by their ranges, or by the rest that a common stride leaves."""
    one, two = value_range(first, _extents(nest)), value_range(second, _extents(other))
    if one is None or two is None:
        return False
    if one[1] < two[0] or two[1] < one[0]:
        return True
    strides = {abs(n) for each in (first, second) for key, (_, n) in each.terms.items() if key and abs(n) > 1}
    for stride in strides:
        one, two = _rest(first, stride, nest), _rest(second, stride, other)
        if one is not None and two is not None and (one[1] < two[0] or two[1] < one[0]):
            return True
    return False


def _rest(position: Polynomial, stride: int, nest: Nest) -> tuple[int, int] | None:
    """Return the range of what a division by `stride` leaves of a position, if no term crosses a multiple of it."""
    kept = {key: term for key, term in position.terms.items() if term[1] % stride}
    reached = value_range(Polynomial(kept), _extents(nest))
    return reached if reached is not None and 0 <= reached[0] <= reached[1] < stride else None


def _extents(nest: Nest) -> dict[str, int]:
    return {loop.index: loop.extent for loop in nest.loops if isinstance(loop.extent, int)}


def _are_owned(nests: Sequence[Nest], accesses: Accesses, may_meet: MayMeet) -> bool:
    """Whether the first nest writes each element of an output, and each later one some, and reads no others."""
    first, *rest = nests
    stores = [one for one in accesses_in(first.statements) if isinstance(one, Store)]
    if len(stores) != 1 or stores[0].mask is not None:
        return False
    name = stores[0].buffer
    position = accesses.polynomial(stores[0])
    indices = {loop.index for loop in first.loops}
    found = digits(position, indices, accesses.extents)
    if found is None or value_range(position, accesses.extents) != (0, (first.rounds or 0) - 1):
        return False
    sizes = [size for size in accesses.buffers[name].shape if isinstance(size, int)]
    if len(sizes) < len(accesses.buffers[name].shape) or prod(sizes) != first.rounds:
        return False  # nobody owns what the first nest leaves out
    if any(one.buffer == name for one in accesses_in(first.statements) if isinstance(one, Load)):
        return False
    here = list(accesses_in(first.statements))
    same = {one.buffer for one in here if accesses.polynomial(one).signature == position.signature}
    elsewhere = {one.buffer for one in here} - same
    later = {one.buffer for nest in rest for one in accesses_in(nest.statements)} - {name}
    if any(may_meet(name, other) for other in elsewhere | later):
        return False
    return all(owned_position(nest, name, accesses) is not None for nest in rest)


def owned_position(nest: Nest, name: str, accesses: Accesses) -> tuple[list[tuple[str, int]], Polynomial] | None:
    """Return the digits of the only position of a buffer that a nest touches, and the rest of it; else None."""
    found = [one for one in accesses_in(nest.statements) if one.buffer == name]
    if any(isinstance(one, Store) and one.buffer != name for one in accesses_in(nest.statements)) or not found:
        return None
    positions = [accesses.polynomial(one) for one in found]
    if len({position.signature for position in positions}) > 1:
        return None
    indices = {loop.index for loop in nest.loops}
    places = digits(positions[0], indices, accesses.extents)
    if places is None or any(isinstance(s, Check) for s in nest.statements):
        return None
    names = {s.name for s in nest.statements if isinstance(s, Let)}
    rest = Polynomial({
        key: term for key, term in positions[0].terms.items()
        if not any(f"name {index}" in key for index in indices)
    })  # fmt: skip
    if any(f"name {made}" in key for key in rest.terms for made in names):
        return None
    return places, rest
