"""Graphs as they are compiled: graphs used as ops are opened, and choices hold what only they need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.control.bodies import make_body
from symgrad.control.op_from_graph import OpFromGraph
from symgrad.control.patterns import as_outputs
from symgrad.control.rebuilding import Current, rebuilt
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.traversal import substitute
from symgrad.graph.variables import Apply


def opened(graph: ClosedGraph) -> ClosedGraph:
    """Return the graph with what each `OpFromGraph` stands for in its place, also inside of other graphs."""
    if not any(isinstance(node.op, OpFromGraph) or getattr(node.op, "graphs", None) for node in graph.order):
        return graph  # as nearly all graphs
    bodies: dict[Any, Any] = {}

    def open_body(body: ClosedGraph) -> ClosedGraph:
        found = bodies.get(id(body))
        if found is None:
            found = bodies[id(body)] = (body, opened(body))
        return found[1]  # type: ignore[no-any-return]

    def change(node: Apply, inputs: Sequence[Any], current: Current) -> Sequence[Any] | None:
        op: Any = node.op
        if isinstance(op, OpFromGraph):
            body = open_body(op.body)
            return substitute(list(body.outputs), op.stand_ins(body.inputs, inputs))
        graphs = getattr(op, "graphs", ())
        found = [open_body(one) for one in graphs]
        if all(new is old for new, old in zip(found, graphs, strict=True)):
            return None
        return as_outputs(op.with_graphs([make_body(one.inputs, one.outputs) for one in found])(*inputs))

    return rebuilt(graph, change)
