"""Shorter wires: boxes and trunks move sideways towards what they are connected to, as far as their neighbours allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

ALIGNED = 1e-3
"""Vertices whose positions differ by less are aligned."""
STRAIGHT_SWEEPS, SINGLE_SWEEPS = 10, 30
BOX_TO_BOX, OTHERWISE = 1.0, 0.25
"""How strongly a wire pulls: a chain of boxes should be straight, a trunk may swing aside at its ends."""


@dataclass(frozen=True)
class Pull:
    """A wire between vertices of neighbouring ranks; `shift` is how far from its centre it enters the lower one."""

    upper: int
    lower: int
    shift: float


def relax(
    xs: list[float],
    orders: Sequence[Sequence[int]],
    pulls: Sequence[Pull],
    boxes: int,
    separation: Callable[[int, int], float],
) -> None:
    """Move vertices so that wires get shorter; order and gaps stay.

    First whole columns of aligned vertices move, then single boxes. What stays rigid is the run of a trunk.

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
    left: list[tuple[int, float] | None] = [None] * len(xs)
    right: list[tuple[int, float] | None] = [None] * len(xs)
    for order in orders:
        for a, b in zip(order, order[1:], strict=False):
            gap = separation(a, b)
            left[b], right[a] = (a, gap), (b, gap)
    aligned = [pull for pull in pulls if abs(xs[pull.upper] - xs[pull.lower]) < ALIGNED]
    trunks = [pull for pull in aligned if pull.upper >= boxes and pull.lower >= boxes]
    for joined, sweeps in ((aligned, STRAIGHT_SWEEPS), (trunks, SINGLE_SWEEPS)):
        groups = _groups(len(xs), joined)
        ends = _ends(groups, pulls, boxes)
        ordered = sorted(range(len(groups)), key=lambda index: xs[groups[index][0]])
        if PACK and joined is trunks:
            _pack(xs, groups, ordered, left)
        for sweep in range(sweeps):
            for index in ordered if sweep % 2 else reversed(ordered):
                _move(xs, groups[index], ends[index], left, right)


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


def _ends(
    groups: Sequence[Sequence[int]], pulls: Sequence[Pull], boxes: int
) -> list[list[tuple[int, int, float, float]]]:
    """Return for each group (own vertex, other vertex, shift, weight) of each wire that leaves it."""
    group_of = {vertex: index for index, group in enumerate(groups) for vertex in group}
    ends: list[list[tuple[int, int, float, float]]] = [[] for _ in groups]
    for pull in pulls:
        if group_of[pull.upper] == group_of[pull.lower]:
            continue
        weight = BOX_TO_BOX if pull.upper < boxes and pull.lower < boxes else OTHERWISE
        ends[group_of[pull.upper]].append((pull.upper, pull.lower, pull.shift, weight))
        ends[group_of[pull.lower]].append((pull.lower, pull.upper, -pull.shift, weight))
    return ends


def _move(
    xs: list[float],
    group: Sequence[int],
    ends: Sequence[tuple[int, int, float, float]],
    left: Sequence[tuple[int, float] | None],
    right: Sequence[tuple[int, float] | None],
) -> None:
    """Move a group to the mean of where its wires pull it, or as near as its neighbours let it."""
    if not ends:
        return
    total = sum(weight for *_, weight in ends)
    step = sum(weight * (xs[other] + shift - xs[own]) for own, other, shift, weight in ends) / total
    for vertex in group:
        before, after = left[vertex], right[vertex]
        if step < 0 and before is not None:
            step = min(max(step, xs[before[0]] + before[1] - xs[vertex]), 0.0)
        elif step > 0 and after is not None:
            step = max(min(step, xs[after[0]] - after[1] - xs[vertex]), 0.0)
    for vertex in group:
        xs[vertex] += step


def _pack(xs, groups, ordered, left):
    placed = [float("-inf")] * len(xs)
    for index in ordered:
        group = groups[index]
        step = max([placed[left[v][0]] + left[v][1] - xs[v] for v in group if left[v] is not None], default=-xs[group[0]])
        for v in group:
            placed[v] = xs[v] + step
    xs[:] = placed
PACK=True
