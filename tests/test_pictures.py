"""Graphs for networkx, and as pictures."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from itertools import pairwise

import networkx
import pytest
from debug_graphs import softmax_regression
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.debug import debugprint, draw, layered, pp, to_networkx
from symgrad.debug.diagram import make_diagram
from symgrad.debug.layered import Wire, lay_out
from symgrad.errors import PictureError

SVG = "{http://www.w3.org/2000/svg}"
A, B = T.dmatrix("a"), T.dmatrix("b")

# ---- networkx -------------------------------------------------------------------------------------------------------


def test_the_networkx_graph_is_the_graph():
    train = softmax_regression()
    for which in ("graph", "rewritten"):
        graph, closed = to_networkx(train, which), getattr(train, which)
        assert networkx.is_directed_acyclic_graph(graph)
        kinds = networkx.get_node_attributes(graph, "kind")
        nodes = [node for node, kind in kinds.items() if kind == "apply"]
        assert [graph.nodes[node]["op"] for node in nodes] == [str(node.op) for node in closed.order]
        for node, apply in zip(nodes, closed.order):
            edges = sorted(graph.in_edges(node, data=True), key=lambda edge: edge[2]["position"])
            assert [data["position"] for *_, data in edges] == list(range(len(apply.inputs)))
            assert [data["dtype"] for *_, data in edges] == [variable.type.dtype for variable in apply.inputs]
        assert list(kinds.values()).count("update") == 2
        assert list(kinds.values()).count("output") == 1
    data = graph.nodes["v0"]
    assert (data["kind"], data["name"], data["dtype"], data["shape"]) == ("input", "index", "int64", ())
    assert (data["file"], data["line"], data["text"]) == ("model.py", 7, "cost = loss(x, y)")
    weights = next(data for _, data in graph.nodes(data=True) if data["name"] == "w" and data["kind"] == "shared")
    assert weights["shape"] == (8, 3)


def test_an_operand_used_twice_is_two_edges():
    x = T.dvector("x")
    graph = to_networkx(x * x)
    assert graph.number_of_edges("v0", "a0") == 2
    assert [data["kind"] for _, data in graph.nodes(data=True)] == ["input", "apply", "output"]


# ---- layout ---------------------------------------------------------------------------------------------------------


@st.composite
def diagrams(draw_from):
    count = draw_from(st.integers(1, 25))
    sizes = st.tuples(st.floats(10, 200), st.floats(10, 60))
    boxes = draw_from(st.lists(sizes, min_size=count, max_size=count))
    ranks = draw_from(st.lists(st.integers(0, 7), min_size=count, max_size=count))
    pairs = draw_from(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=40))
    pairs = [(a, b) for a, b in pairs if ranks[a] < ranks[b]]
    ports = {b: [a for a, target in pairs if target == b] for _, b in pairs}
    wires = [Wire(a, b, port, len(sources)) for b, sources in ports.items() for port, a in enumerate(sources)]
    return boxes, ranks, wires


@settings(max_examples=150, deadline=None)
@given(diagrams())
def test_boxes_do_not_overlap_and_wires_pass_between_them(diagram):
    boxes, ranks, wires = diagram
    placement = lay_out([width for width, _ in boxes], [height for _, height in boxes], ranks, wires)
    areas = [
        (x - width / 2, x + width / 2, y - height / 2, y + height / 2)
        for (x, y), (width, height) in zip(placement.centres, boxes)
    ]
    for first, (left, right, top, bottom) in enumerate(areas):
        assert left >= -1e-6 and right <= placement.width + 1e-6
        assert top >= -1e-6 and bottom <= placement.height + 1e-6
        for second in range(first):
            apart = areas[second][1] < left or right < areas[second][0]
            assert apart or ranks[first] != ranks[second]
            below = areas[second][3] <= top if ranks[second] < ranks[first] else bottom <= areas[second][2]
            assert below or ranks[first] == ranks[second]
    for wire, points in zip(wires, placement.routes):
        assert points[0] == pytest.approx((placement.centres[wire.source][0], areas[wire.source][3]))
        assert points[-1][1] == pytest.approx(areas[wire.target][2])
        assert areas[wire.target][0] < points[-1][0] < areas[wire.target][1]
        for (x, y), (next_x, next_y) in pairwise(points):
            assert next_y >= y - 1e-6
            passed = [area for area in areas if y <= area[2] + 1e-6 and area[3] - 1e-6 <= next_y and x == next_x]
            assert not any(left < x < right for left, right, _, _ in passed)


@settings(max_examples=100, deadline=None)
@given(diagrams())
def test_crossings_are_counted_and_ordering_never_adds_any(diagram):
    _, ranks, wires = diagram
    ranked = layered._with_bends(list(ranks), wires)
    assert layered._crossings(ranked) == crossings_pair_by_pair(ranked)
    before = layered._crossings(ranked)
    layered._order(ranked)
    assert layered._crossings(ranked) <= before
    assert sorted(vertex for order in ranked.orders for vertex in order) == list(range(len(ranked.rank)))


def crossings_pair_by_pair(ranked) -> int:
    place = {vertex: index for order in ranked.orders for index, vertex in enumerate(order)}
    total = 0
    for order in ranked.orders:
        ends = [(place[u], place[v] + int(port * 63) / 64) for u in order for v, port in ranked.down[u]]
        total += sum(a < c and b > d for a, b in ends for c, d in ends)
    return total


# ---- pictures -------------------------------------------------------------------------------------------------------


def test_picture_of_a_function(golden):
    golden("draw_before.svg", draw(softmax_regression(), which="graph"))


def test_a_picture_shows_every_node_with_type_and_line():
    train = softmax_regression()
    for which in ("graph", "rewritten"):
        root = ElementTree.fromstring(draw(train, which=which))
        shown = {group.get("data-node") for group in root.iter(f"{SVG}g")}
        graph = to_networkx(train, which)
        assert {node for node, data in graph.nodes(data=True) if data["kind"] != "constant"} <= shown
        tips = ["".join(title.itertext()) for title in root.iter(f"{SVG}title")]
        assert any("p = softmax(·, axis=1)" in tip and "float32 (?, 3)" in tip and "model.py:7" in tip for tip in tips)
        words = "".join(root.itertext())
        assert "update of w" in words and "output: cost" in words and "library routine" in words


def test_what_computes_an_input_is_not_drawn():
    y = T.exp(A)
    f = symgrad.function([y], y + 1)
    assert [data["kind"] for _, data in to_networkx(f, "graph").nodes(data=True)] == [
        "input", "constant", "apply", "output",
    ]  # fmt: skip


def test_wires_of_the_picture_are_edges_of_the_graph():
    graph = to_networkx(softmax_regression())
    diagram = make_diagram(graph)
    drawn = sorted((diagram.boxes[wire.source].node, diagram.boxes[wire.target].node) for wire in diagram.wires)
    inside = {node for node, data in graph.nodes(data=True) if data["kind"] == "constant"}
    assert drawn == sorted((a, b) for a, b in graph.edges() if a not in inside)
    for wire in diagram.wires:
        assert diagram.ranks[wire.source] < diagram.ranks[wire.target]


class Tags(HTMLParser):
    """Collects the tags of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)


def test_both_graphs_side_by_side_in_one_file_without_resources():
    page = draw(softmax_regression(), which="both")
    tags = Tags(page).found
    assert tags.count("section") == 2
    assert "before rewriting" in page and "after rewriting" in page
    assert not {"link", "img", "iframe"} & set(tags)
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(), max_size=30))
def test_names_cannot_break_out_of_the_picture(name):
    x = T.dvector(name)
    y = x + 1
    y.name = name
    groups = [len(list(ElementTree.fromstring(draw(graph)).iter(f"{SVG}g"))) for graph in (y, T.dvector("x") + 1)]
    assert groups[0] == groups[1]
    assert Tags(draw(y, format="html")).found.count("script") == 1
    assert "\n" not in pp(y) and len(debugprint(y, file="str").splitlines()) == 3


def test_markup_in_names_is_text():
    x = T.dvector("</title><script>alert('&')</script>")
    picture = draw(x + 1)
    assert "<script" not in picture
    assert "</title><script>alert('&')</script>" in "".join(ElementTree.fromstring(picture).itertext())


def test_a_picture_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "graph.svg"
    assert draw(A + B, path) == str(path)
    before = path.read_text(encoding="utf-8")
    ElementTree.fromstring(before)

    def fail(*_):
        raise OSError("disk is full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk is full"):
        draw(A * B, path)
    assert path.read_text(encoding="utf-8") == before
    assert os.listdir(tmp_path) == ["graph.svg"]


def test_the_suffix_tells_the_format(tmp_path):
    f = symgrad.function([A], A + 1)
    draw(f, tmp_path / "f.html", which="both")
    assert (tmp_path / "f.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    draw(f, tmp_path / "plain", format="html")
    for arguments, message in [
        ({"path": tmp_path / "f.png"}, "draw writes .svg and .html files"),
        ({"format": "pdf"}, "format is 'svg' or 'html'"),
        ({"which": "after"}, "which is 'rewritten', 'graph' or 'both'"),
        ({"which": "both", "format": "svg"}, "a page with two pictures"),
    ]:
        with pytest.raises(ValueError, match=message):
            draw(f, **arguments)


def test_what_cannot_be_drawn_says_what_to_do():
    x = T.dvector("x")
    for _ in range(5001):
        x = T.exp(x)
    with pytest.raises(PictureError, match=r"a graph of 5,001 nodes is too large.*\n.*to_networkx"):
        draw(x)
    with pytest.raises(PictureError, match=r"compile it with symgrad\.function"):
        draw(A + 1, which="both")


def test_a_graph_of_2000_nodes_is_drawn():
    x = T.dvector("x")
    y = x
    for _ in range(1000):
        y = T.exp(y) + x
    root = ElementTree.fromstring(draw(y))
    assert sum(group.get("class") == "n" for group in root.iter(f"{SVG}g")) > 2000
