"""Shorter wires: boxes and trunks move sideways towards what they are connected to, as far as neighbours allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

ALIGNED = 1e-3
"""Vertices whose positions differ by less are aligned."""
COLUMN_SWEEPS, SINGLE_SWEEPS = 10, 30
TO_ONLY_CAUSE, BETWEEN_BOXES, OTHERWISE = 3.0, 1.0, 0.25
"""How strongly a wire pulls: a chain should be straight, a trunk may swing aside at its ends."""
NEARLY_STRAIGHT = 24.0


@dataclass(frozen=True)
class Pull:
    """A wire between vertices of neighbouring ranks; `shift` is how far from its centre it enters the lower one."""

    upper: int
    lower: int
    shift: float


Neighbour = tuple[int, float] | None
"""The next vertex on the same rank, and the least distance to it."""

End = tuple[int, int, float, float]
"""A wire of a group: own vertex, other vertex, shift and weight."""


def relax(
    xs: list[float],
    orders: Sequence[Sequence[int]],
    pulls: Sequence[Pull],
    boxes: int,
    separation: Callable[[int, int], float],
) -> None:
    """Move vertices so that wires get shorter; order and gaps stay.

    First whole columns of aligned vertices move; then everything is packed to the left, and single boxes move from
    there, which leaves less empty space. Trunks stay rigid.

    Parameters
    ----------
    xs : list of float
        Positions, which change.
    orders : sequence of sequences of int
        The vertices of each rank, from left to right.
    pulls : sequence of Pull
        The wires.
    boxes : int
        Vertices from this number on are bends of wires.
    separation : callable
        The least distance of two neighbours on a rank.
    """
    left: list[Neighbour] = [None] * len(xs)
    right: list[Neighbour] = [None] * len(xs)
    for order in orders:
        for a, b in pairwise(order):
            gap = separation(a, b)
            left[b], right[a] = (a, gap), (b, gap)
    aligned = [pull for pull in pulls if abs(xs[pull.upper] - xs[pull.lower]) < ALIGNED]
    columns = _groups(len(xs), aligned)
    _sweep(xs, columns, _ends(columns, pulls, boxes), left, right, COLUMN_SWEEPS)
    singles = _groups(len(xs), [pull for pull in aligned if pull.upper >= boxes and pull.lower >= boxes])
    _pack(xs, singles, left)
    _sweep(xs, singles, _ends(singles, pulls, boxes), left, right, SINGLE_SWEEPS)
    _straighten(xs, _only_causes(pulls, boxes), left, right)


def _groups(count: int, joined: Sequence[Pull]) -> list[list[int]]:
    """Return the connected groups of vertices."""
    parent = list(range(count))

    def find(vertex: int) -> int:
        while parent[vertex] != vertex:
            parent[vertex] = parent[parent[vertex]]
            vertex = parent[vertex]
        return vertex

    for pull in joined:
        parent[find(pull.upper)] = find(pull.lower)
    groups: dict[int, list[int]] = {}
    for vertex in range(count):
        groups.setdefault(find(vertex), []).append(vertex)
    return list(groups.values())


def _only_causes(pulls: Sequence[Pull], boxes: int) -> dict[int, int]:
    """Return the boxes that one wire enters, and the box that it comes from."""
    causes: dict[int, list[int]] = {}
    for pull in pulls:
        causes.setdefault(pull.lower, []).append(pull.upper)
    return {
        lower: uppers[0] for lower, uppers in causes.items() if len(uppers) == 1 and max(lower, uppers[0]) < boxes
    }


def _ends(groups: Sequence[Sequence[int]], pulls: Sequence[Pull], boxes: int) -> list[list[End]]:
    """Return the wires that leave each group."""
    group_of = {vertex: index for index, group in enumerate(groups) for vertex in group}
    only = _only_causes(pulls, boxes)
    ends: list[list[End]] = [[] for _ in groups]
    for pull in pulls:
        if group_of[pull.upper] == group_of[pull.lower]:
            continue
        between = BETWEEN_BOXES if max(pull.upper, pull.lower) < boxes else OTHERWISE
        weight = TO_ONLY_CAUSE if pull.lower in only else between
        ends[group_of[pull.upper]].append((pull.upper, pull.lower, pull.shift, weight))
        ends[group_of[pull.lower]].append((pull.lower, pull.upper, -pull.shift, weight))
    return ends


def _pack(xs: list[float], groups: Sequence[Sequence[int]], left: Sequence[Neighbour]) -> None:
    """Move each group as far left as those on its left allow."""
    packed: dict[int, float] = {}
    for group in sorted(groups, key=lambda group: xs[group[0]]):
        before = [(vertex, left[vertex]) for vertex in group]
        steps = [packed[other[0]] + other[1] - xs[vertex] for vertex, other in before if other is not None]
        step = max(steps) if steps else -xs[group[0]]
        packed.update((vertex, xs[vertex] + step) for vertex in group)
    for vertex, x in packed.items():
        xs[vertex] = x


def _sweep(
    xs: list[float], groups: Sequence[Sequence[int]], ends: Sequence[Sequence[End]],
    left: Sequence[Neighbour], right: Sequence[Neighbour], sweeps: int,
) -> None:  # fmt: skip
    """Move each group to the mean of where its wires pull it, in turn from the right and from the left."""
    ordered = sorted(range(len(groups)), key=lambda index: xs[groups[index][0]])
    for sweep in range(sweeps):
        for index in ordered if sweep % 2 else reversed(ordered):
            if not ends[index]:
                continue
            total = sum(weight for *_, weight in ends[index])
            wanted = sum(weight * (xs[other] + shift - xs[own]) for own, other, shift, weight in ends[index])
            _move(xs, groups[index], wanted / total, left, right)


def _move(
    xs: list[float], group: Sequence[int], step: float, left: Sequence[Neighbour], right: Sequence[Neighbour]
) -> None:
    """Move a group by `step`, or as far as its neighbours let it."""
    for vertex in group:
        before, after = left[vertex], right[vertex]
        if step < 0 and before is not None:
            step = min(max(step, xs[before[0]] + before[1] - xs[vertex]), 0.0)
        elif step > 0 and after is not None:
            step = max(min(step, xs[after[0]] - after[1] - xs[vertex]), 0.0)
    for vertex in group:
        xs[vertex] += step


def _straighten(
    xs: list[float], only_causes: dict[int, int], left: Sequence[Neighbour], right: Sequence[Neighbour]
) -> None:
    """Put boxes right below their only cause where they nearly are."""
    for lower, upper in sorted(only_causes.items(), key=lambda pair: pair[1]):
        step = xs[upper] - xs[lower]
        if abs(step) < NEARLY_STRAIGHT:
            _move(xs, [lower], step, left, right)
