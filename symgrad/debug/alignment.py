"""Horizontal positions in a layered drawing: vertices below each other where that is possible.

The method of Brandes and Köpf ("Fast and Simple Horizontal Coordinate Assignment", 2001): vertices are joined into
vertical blocks with their median neighbours, blocks are packed as tightly as the gaps allow, from both sides and in
both directions, and of the four results each vertex takes the mean of the two in the middle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

Neighbours = Sequence[Sequence[int]]


def align(
    orders: Sequence[Sequence[int]],
    down: Neighbours,
    up: Neighbours,
    boxes: int,
    widths: Sequence[float],
    separation: Callable[[int, int], float],
) -> list[float]:
    """Return the centre of each vertex.

    Parameters
    ----------
    orders : sequence of sequences of int
        The vertices of each rank, from left to right.
    down, up : sequence of sequences of int
        The neighbours of each vertex on the next rank, and on the one before.
    boxes : int
        Vertices from this number on are bends of wires.
    widths : sequence of float
        The width of each vertex.
    separation : callable
        The least distance of the centres of two neighbours on a rank.
    """
    down, up = [[list(dict.fromkeys(row)) for row in rows] for rows in (down, up)]
    conflicts = _conflicts(orders, up, boxes)
    candidates: list[list[float]] = []
    for neighbours, ranks in ((up, list(orders)), (down, list(reversed(orders)))):
        for sign in (1, -1):
            turned = [list(order) if sign > 0 else list(reversed(order)) for order in ranks]
            root = _blocks(turned, neighbours, conflicts, len(widths))
            xs = _compact(turned, root, separation)
            candidates.append([sign * x for x in xs])
    return _balance(candidates, widths)


def _conflicts(orders: Sequence[Sequence[int]], up: Neighbours, boxes: int) -> set[tuple[int, int]]:
    """Return the segments (lower, upper) that cross a segment between two bends, which must stay straight."""
    found: set[tuple[int, int]] = set()
    for upper_order, lower_order in pairwise(orders):
        place = {vertex: index for index, vertex in enumerate(upper_order)}
        first, scanned = 0, 0
        for index, vertex in enumerate(lower_order):
            inner = next((u for u in up[vertex] if u >= boxes), None) if vertex >= boxes else None
            if inner is None and index != len(lower_order) - 1:
                continue
            last = place[inner] if inner is not None else len(upper_order)
            for lower in lower_order[scanned : index + 1]:
                for upper in up[lower]:
                    is_inner = upper >= boxes and lower >= boxes
                    if not first <= place[upper] <= last and not is_inner:
                        found.add((lower, upper))
            scanned, first = index + 1, last
    return found


def _blocks(
    orders: Sequence[Sequence[int]], neighbours: Neighbours, conflicts: set[tuple[int, int]], count: int
) -> list[int]:
    """Join each vertex with a median neighbour of the rank before, if that is free; return each vertex's block."""
    root = list(range(count))
    following = list(range(count))
    place = [0] * count
    for order in orders:
        for index, vertex in enumerate(order):
            place[vertex] = index
    for order in orders:
        taken = -1
        for vertex in order:
            near = sorted(neighbours[vertex], key=place.__getitem__)
            for middle in {(len(near) - 1) // 2: None, len(near) // 2: None} if near else ():
                other = near[middle]
                is_blocked = (vertex, other) in conflicts or (other, vertex) in conflicts
                if following[vertex] == vertex and taken < place[other] and not is_blocked:
                    following[other] = vertex
                    root[vertex] = root[other]
                    following[vertex] = root[vertex]
                    taken = place[other]
    return root


def _compact(
    orders: Sequence[Sequence[int]], root: Sequence[int], separation: Callable[[int, int], float]
) -> list[float]:
    """Place blocks as far left as the gaps allow, then each as far right as its right neighbours allow."""
    gaps: dict[int, dict[int, float]] = {block: {} for block in dict.fromkeys(root)}
    waiting = dict.fromkeys(gaps, 0)
    for order in orders:
        for left, right in pairwise(order):
            row, gap = gaps[root[left]], separation(left, right)
            if root[right] not in row:
                waiting[root[right]] += 1
            row[root[right]] = max(row.get(root[right], 0.0), gap)
    xs = dict.fromkeys(gaps, 0.0)
    ready = [block for block, count in waiting.items() if not count]
    placed: list[int] = []
    while ready:
        block = ready.pop()
        placed.append(block)
        for right, gap in gaps[block].items():
            xs[right] = max(xs[right], xs[block] + gap)
            waiting[right] -= 1
            if not waiting[right]:
                ready.append(right)
    for block in reversed(placed):
        if gaps[block]:
            xs[block] = max(xs[block], min(xs[right] - gap for right, gap in gaps[block].items()))
    return [xs[block] for block in root]


def _balance(candidates: Sequence[list[float]], widths: Sequence[float]) -> list[float]:
    """Shift the candidates onto the narrowest one, and take the mean of the two in the middle for each vertex."""
    ends = [_ends(xs, widths) for xs in candidates]
    low, high = min(ends, key=_extent)
    for index, (first, last) in enumerate(ends):
        shift = low - first if index % 2 == 0 else high - last
        candidates[index][:] = [x + shift for x in candidates[index]]
    columns = zip(*candidates, strict=True)
    return [(ordered[1] + ordered[2]) / 2 for ordered in map(sorted, columns)]


def _ends(xs: Sequence[float], widths: Sequence[float]) -> tuple[float, float]:
    sides = list(zip(xs, widths, strict=True))
    return min(x - width / 2 for x, width in sides), max(x + width / 2 for x, width in sides)


def _extent(ends: tuple[float, float]) -> float:
    return ends[1] - ends[0]
