"""A layered drawing: every box on its rank, few crossings, long wires straight.

The steps are the classical ones (Sugiyama, Tagawa, Toda 1981): wires that span several ranks get a bend on each rank
between; each rank is put in an order with few crossings, by barycenters and by exchanging neighbours; then positions
are chosen (`symgrad.debug.alignment`). All wires that leave one box share their bends, so that a value used often is
one trunk with branches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from symgrad.debug.alignment import align
from symgrad.debug.relaxation import Pull, relax

RANK_GAP = 30.0
STEEPNESS = 0.05
WIDEST_RANK_GAP = 80.0
BOX_GAP = 22.0
BEND_GAP = 12.0
PORT_SPREAD = 40.0
SWEEPS = 16
PORTS = 64
MAXIMAL_EXCHANGED = 4000

Point = tuple[float, float]


@dataclass(frozen=True)
class Wire:
    """A wire from one box to another, which it enters at port `port` of `ports`, counted from the left."""

    source: int
    target: int
    port: int
    ports: int


@dataclass
class Placement:
    """Where everything goes: centres of boxes, the points that each wire passes, and the size of the whole."""

    centres: list[Point]
    routes: list[list[Point]]
    width: float
    height: float


@dataclass
class Ranked:
    """Boxes and bends on their ranks.

    Attributes
    ----------
    orders : list of list of int
        The vertices of each rank, from left to right; those from the number of boxes on are bends.
    rank : list of int
        The rank of each vertex.
    down : list of list of (int, float)
        For each vertex those that it is connected to on the next rank, with the position of the port (0 to 1).
    up : list of list of int
        For each vertex those on the rank before.
    paths : list of list of int
        The vertices that each wire passes.
    """

    boxes: int
    orders: list[list[int]]
    rank: list[int]
    down: list[list[tuple[int, float]]] = field(default_factory=list)
    up: list[list[int]] = field(default_factory=list)
    paths: list[list[int]] = field(default_factory=list)

    def is_bend(self, vertex: int) -> bool:
        """Whether a vertex is a bend of a wire."""
        return vertex >= self.boxes


def lay_out(
    widths: Sequence[float], heights: Sequence[float], ranks: Sequence[int], wires: Sequence[Wire]
) -> Placement:
    """Place boxes of given sizes and ranks, and route the wires between them.

    Parameters
    ----------
    widths, heights : sequence of float
        Sizes of the boxes.
    ranks : sequence of int
        Each wire must lead to a higher rank.
    wires : sequence of Wire
        The wires.
    """
    if not widths:
        return Placement([], [], 0.0, 0.0)
    ranked = _with_bends(list(ranks), wires)
    _order(ranked)
    sizes = [*widths, *[1.0] * (len(ranked.rank) - ranked.boxes)]
    xs = _positions(ranked, sizes)
    left = min(x - size / 2 for x, size in zip(xs, sizes, strict=True))
    xs = [x - left for x in xs]
    width = max(x + size / 2 for x, size in zip(xs, sizes, strict=True))
    tops, bottoms = _rank_bounds(ranked, xs, heights)
    centres = [(xs[box], (tops[ranked.rank[box]] + bottoms[ranked.rank[box]]) / 2) for box in range(ranked.boxes)]
    routes = [
        _route(ranked, wire, path, xs, centres, widths, heights, tops, bottoms)
        for wire, path in zip(wires, ranked.paths, strict=True)
    ]
    return Placement(centres, routes, width, bottoms[-1])


# ---- bends ----------------------------------------------------------------------------------------------------------


def _with_bends(ranks: list[int], wires: Sequence[Wire]) -> Ranked:
    ranked = Ranked(len(ranks), [], ranks)
    last: dict[int, int] = {}
    for wire in wires:
        last[wire.source] = max(last.get(wire.source, 0), ranks[wire.target])
    trunks: dict[int, list[int]] = {}
    for source, end in last.items():
        trunk = [source]
        for rank in range(ranks[source] + 1, end):
            trunk.append(len(ranks))
            ranks.append(rank)
        trunks[source] = trunk
    ranked.down = [[] for _ in ranks]
    ranked.up = [[] for _ in ranks]
    for trunk in trunks.values():
        for upper, lower in pairwise(trunk):
            ranked.down[upper].append((lower, 0.5))
            ranked.up[lower].append(upper)
    for wire in wires:
        path = trunks[wire.source][: ranks[wire.target] - ranks[wire.source]]
        ranked.down[path[-1]].append((wire.target, (wire.port + 0.5) / wire.ports))
        ranked.up[wire.target].append(path[-1])
        ranked.paths.append([*path, wire.target])
    ranked.orders = _first_order(ranked)
    return ranked


def _first_order(ranked: Ranked) -> list[list[int]]:
    """Put each rank in the order in which a walk from the first boxes meets its vertices."""
    orders: list[list[int]] = [[] for _ in range(max(ranked.rank) + 1)]
    seen = [False] * len(ranked.rank)
    for start in sorted(range(len(ranked.rank)), key=ranked.rank.__getitem__):
        stack = [start]
        while stack:
            vertex = stack.pop()
            if seen[vertex]:
                continue
            seen[vertex] = True
            orders[ranked.rank[vertex]].append(vertex)
            stack.extend(lower for lower, _ in reversed(ranked.down[vertex]))
    return orders


# ---- order ----------------------------------------------------------------------------------------------------------


def _order(ranked: Ranked) -> None:
    """Put each rank in an order with few crossings; keep the best of some sweeps down and up."""
    best, fewest = [list(order) for order in ranked.orders], _crossings(ranked)
    is_small = len(ranked.rank) <= MAXIMAL_EXCHANGED
    for sweep in range(SWEEPS if is_small else SWEEPS // 4):
        _sweep(ranked, downwards=sweep % 2 == 0)
        if is_small:
            _exchange(ranked)
        crossings = _crossings(ranked)
        if crossings < fewest:
            best, fewest = [list(order) for order in ranked.orders], crossings
        if not fewest:
            break
    ranked.orders = best


def _sweep(ranked: Ranked, downwards: bool) -> None:
    position = [0.0] * len(ranked.rank)
    for order in ranked.orders if downwards else reversed(ranked.orders):
        wanted: dict[int, float] = {}
        for place, vertex in enumerate(order):
            if downwards:
                near = [position[upper] for upper in ranked.up[vertex]]
            else:
                near = [position[lower] + port for lower, port in ranked.down[vertex]]
            wanted[vertex] = sum(near) / len(near) if near else float(place)
        order.sort(key=wanted.__getitem__)
        for place, vertex in enumerate(order):
            position[vertex] = float(place)


def _crossings(ranked: Ranked) -> int:
    """Count the pairs of wires that cross, by inversions in a Fenwick tree."""
    total = 0
    for upper_order, lower_order in pairwise(ranked.orders):
        place = {vertex: index for index, vertex in enumerate(lower_order)}
        tree = [0] * (len(lower_order) * PORTS + 1)
        inserted = 0
        for vertex in upper_order:
            ends = sorted(place[lower] * PORTS + int(port * (PORTS - 1)) for lower, port in ranked.down[vertex])
            for end in ends:
                total += inserted - _up_to(tree, end + 1)
            for end in ends:
                _insert(tree, end + 1)
            inserted += len(ends)
    return total


def _up_to(tree: list[int], index: int) -> int:
    total = 0
    while index:
        total += tree[index]
        index &= index - 1
    return total


def _insert(tree: list[int], index: int) -> None:
    while index < len(tree):
        tree[index] += 1
        index += index & -index


def _exchange(ranked: Ranked) -> None:
    """Exchange neighbours on a rank wherever that takes away crossings."""
    position = [0.0] * len(ranked.rank)
    for order in ranked.orders:
        for place, vertex in enumerate(order):
            position[vertex] = float(place)
    for order in ranked.orders:
        near = {
            vertex: (
                [position[upper] for upper in ranked.up[vertex]],
                [position[lower] + port for lower, port in ranked.down[vertex]],
            )
            for vertex in order
        }
        for place in range(len(order) - 1):
            left, right = order[place], order[place + 1]
            gain = sum(
                _pairs_inverted(a, b) - _pairs_inverted(b, a) for a, b in zip(near[left], near[right], strict=True)
            )
            if gain > 0:
                order[place], order[place + 1] = right, left
                position[left], position[right] = float(place + 1), float(place)


def _pairs_inverted(left: Sequence[float], right: Sequence[float]) -> int:
    return sum(a > b for a in left for b in right)


# ---- coordinates ----------------------------------------------------------------------------------------------------


def _positions(ranked: Ranked, widths: Sequence[float]) -> list[float]:
    """Return the centre of each vertex."""

    def separation(left: int, right: int) -> float:
        gap = BEND_GAP if ranked.is_bend(left) and ranked.is_bend(right) else BOX_GAP
        return (widths[left] + widths[right]) / 2 + gap

    xs = align(ranked.orders, [[v for v, _ in row] for row in ranked.down], ranked.up, ranked.boxes, widths, separation)
    pulls = [
        Pull(upper, lower, 0.0 if ranked.is_bend(lower) else (port - 0.5) * min(PORT_SPREAD, widths[lower]))
        for upper, row in enumerate(ranked.down)
        for lower, port in row
    ]
    relax(xs, ranked.orders, pulls, ranked.boxes, separation)
    return xs


def _rank_bounds(
    ranked: Ranked, xs: Sequence[float], heights: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Return the upper and lower edge of each rank; ranks with long slanted wires between them lie further apart."""
    tops, bottoms = [], []
    top = 0.0
    for order in ranked.orders:
        bottom = top + max([heights[vertex] for vertex in order if not ranked.is_bend(vertex)], default=0.0)
        tops.append(top)
        bottoms.append(bottom)
        reach = max([abs(xs[vertex] - xs[lower]) for vertex in order for lower, _ in ranked.down[vertex]], default=0.0)
        top = bottom + min(RANK_GAP + STEEPNESS * reach, WIDEST_RANK_GAP)
    return tops, bottoms


def _route(
    ranked: Ranked, wire: Wire, path: Sequence[int], xs: Sequence[float], centres: Sequence[Point],
    widths: Sequence[float], heights: Sequence[float], tops: Sequence[float], bottoms: Sequence[float],
) -> list[Point]:  # fmt: skip
    """Return the points of a wire; where it passes a rank it runs straight down."""
    x, y = centres[wire.source]
    points = [(x, y + heights[wire.source] / 2)]
    for vertex in path[1:-1]:
        rank = ranked.rank[vertex]
        points += [(xs[vertex], tops[rank]), (xs[vertex], bottoms[rank])]
    x, y = centres[wire.target]
    spread = min(0.7 * widths[wire.target], 26.0 * (wire.ports - 1))
    offset = spread * (wire.port / (wire.ports - 1) - 0.5) if wire.ports > 1 else 0.0
    points.append((x + offset, y - heights[wire.target] / 2))
    return points
