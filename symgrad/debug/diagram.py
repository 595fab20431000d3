"""What a picture shows of a graph: boxes with their texts, and wires, on ranks from top to bottom.

A picture is not the graph itself: small constants stand inside the boxes that use them, and a named input that is used
far apart appears again near each use, so that its wires don't cross the whole picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from symgrad.debug.layered import Wire
from symgrad.debug.subject import MAXIMAL_SHOWN_ELEMENTS, one_line
from symgrad.graph.types import shape_text

if TYPE_CHECKING:
    import networkx

LEAVES = ("input", "shared", "constant")
LONGEST_TITLE = 44
LONGEST_LINE = 48
FARTHEST_USE = 3
"""A named input appears again for uses that lie more ranks below its first one."""


@dataclass(frozen=True)
class Box:
    """One box.

    Attributes
    ----------
    node : str
        The node of the graph; several boxes may show the same one.
    style : str
        What it is, and hence its colour: ``input``, ``shared``, ``constant``, ``output``, ``update``, ``index``
        for the arithmetic of sizes and indices, or the work of an application (``elementwise``, ...).
    title, lines, tooltip : str, tuple of str, str
        Its texts.
    place : str
        The user's line that made it, as ``file:line``; may be empty.
    """

    node: str
    style: str
    title: str
    lines: tuple[str, ...]
    tooltip: str
    place: str


@dataclass(frozen=True)
class Diagram:
    """Boxes with their ranks, and wires between them with their tooltips; `thin` wires carry integer scalars."""

    boxes: list[Box]
    ranks: list[int]
    wires: list[Wire]
    tooltips: list[str]
    thin: list[bool]


def make_diagram(graph: networkx.MultiDiGraph) -> Diagram:
    """Return the picture of a graph that `to_networkx` made."""
    inside = {node for node, data in graph.nodes(data=True) if _stands_inside(graph, node, data)}
    ranks = _ranks(graph)
    diagram = Diagram([], [], [], [], [])
    box_of: dict[tuple[str, str], int] = {}
    for node, data in graph.nodes(data=True):
        if node in inside:
            continue
        for rank, consumers in _copies(graph, node, data, ranks):
            for consumer in consumers:
                box_of[node, consumer] = len(diagram.boxes)
            box_of.setdefault((node, node), len(diagram.boxes))
            diagram.boxes.append(_box(node, data))
            diagram.ranks.append(rank)
    for target in graph:
        wires = sorted(
            (data["position"], source) for source, _, data in graph.in_edges(target, data=True) if source not in inside
        )
        for port, (position, source) in enumerate(wires):
            data = graph.edges[source, target, position]
            diagram.wires.append(Wire(box_of[source, target], box_of[target, target], port, len(wires)))
            diagram.tooltips.append(_wire_tooltip(data))
            diagram.thin.append(_is_integer_scalar(data))
    return diagram


def _is_integer_scalar(data: dict[str, Any]) -> bool:
    """Whether a node or an edge is a size or an index."""
    return data["shape"] == () and data["dtype"].startswith(("int", "uint"))


def _stands_inside(graph: networkx.MultiDiGraph, node: str, data: dict[str, Any]) -> bool:
    """Whether the label of every user of a constant shows its value."""
    if data["kind"] != "constant" or data["name"] is not None or math.prod(data["shape"]) > MAXIMAL_SHOWN_ELEMENTS:
        return False
    return all(graph.nodes[user]["kind"] == "apply" for user in graph.successors(node))


# ---- ranks ----------------------------------------------------------------------------------------------------------


def _ranks(graph: networkx.MultiDiGraph) -> dict[str, int]:
    """Rank each application and output below what it is computed from, and near what uses it.

    First every node is right below its causes. Then, from the last to the first, a node moves down to its users
    unless that makes more trunks of wires longer than shorter: it shortens its own, and lengthens those of its causes
    that nothing else needs as far down.
    """
    computed = [node for node, data in graph.nodes(data=True) if data["kind"] not in LEAVES]
    causes = {node: [n for n in graph.predecessors(node) if graph.nodes[n]["kind"] not in LEAVES] for node in computed}
    users = {node: list(graph.successors(node)) for node in computed}
    ranks: dict[str, int] = {}
    for node in computed:
        ranks[node] = 1 + max([ranks[cause] for cause in causes[node]], default=0)
    following = {node: _follows_for_free(node, causes, users) for node in computed}
    for node in reversed(computed):
        lowest = min([ranks[user] for user in users[node]], default=0) - 1
        lengthened = [
            cause
            for cause in causes[node]
            if not following[cause] and all(ranks[user] < lowest for user in users[cause] if user != node)
        ]
        if lowest > ranks[node] and len(lengthened) <= 1:
            ranks[node] = lowest
    return ranks


def _follows_for_free(node: str, causes: dict[str, list[str]], users: dict[str, list[str]]) -> bool:
    """Whether a node has nothing above it but inputs, and just one user: it can follow that one down."""
    return not causes[node] and len(users[node]) == 1


def _copies(
    graph: networkx.MultiDiGraph, node: str, data: dict[str, Any], ranks: dict[str, int]
) -> list[tuple[int, list[str]]]:
    """Return the rank of each box that shows a node, and which nodes it serves."""
    users = list(graph.successors(node))
    if data["kind"] not in LEAVES:
        return [(ranks[node], users)]
    if not users:
        return [(0, [])]
    users.sort(key=ranks.__getitem__)
    groups: list[list[str]] = [[]]
    for user in users:
        if groups[-1] and data["name"] is not None and ranks[user] - ranks[groups[-1][0]] > FARTHEST_USE:
            groups.append([])
        groups[-1].append(user)
    return [(ranks[group[0]] - 1, group) for group in groups]


# ---- texts ----------------------------------------------------------------------------------------------------------


def shorten(text: str, longest: int) -> str:
    """Return `text`, with its end left out if it is longer than `longest` characters."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _box(node: str, data: dict[str, Any]) -> Box:
    kind = data["kind"]
    title, type_text = data["label"], _type_text(data)
    style = data["work"] if kind == "apply" else kind
    lines = [f"{kind} {type_text}" if kind in LEAVES else type_text]
    if kind == "apply":
        title = _title(data)
        if data["file"] is not None:
            lines.append(f"{PurePath(data['file']).name}:{data['line']}")
        if _is_integer_scalar(data):
            style, lines = "index", []
    shown = tuple([shorten(one_line(line), LONGEST_LINE) for line in lines])
    place = "" if data["file"] is None else f"{data['file']}:{data['line']}"
    return Box(node, style, shorten(one_line(title), LONGEST_TITLE), shown, _tooltip(data), one_line(place))


def _title(data: dict[str, Any]) -> str:
    """The name of an op that just takes what is above it; else the expression."""
    plain = data["label"].split("(")[0]
    is_plain = data["label"].replace("·", "").replace(", ", "") == f"{plain}()"
    expression = plain if is_plain else data["label"]
    return expression if data["name"] is None else f"{data['name']} = {expression}"


def _type_text(data: dict[str, Any]) -> str:
    return data["dtype"] if data["shape"] is None else f"{data['dtype']} {shape_text(data['shape'])}"


def _tooltip(data: dict[str, Any]) -> str:
    lines = [data["label"] if data["name"] is None or data["kind"] in LEAVES else f"{data['name']} = {data['label']}"]
    if data["kind"] == "apply":
        lines.append(f"{data['op']}: {data['work']}")
    lines.append(_type_text(data))
    if data["file"] is not None:
        lines += [f"{data['file']}:{data['line']}", f"    {data['text']}" if data["text"] else ""]
    return "\n".join(one_line(line) for line in lines if line)


def _wire_tooltip(data: dict[str, Any]) -> str:
    name = "" if data["name"] is None else f"{one_line(data['name'])}: "
    return f"{name}{_type_text(data)}, operand {data['position']}"
