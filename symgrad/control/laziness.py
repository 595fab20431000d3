"""Choices that compute only what is chosen: what only one side needs goes inside that side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.control.bodies import make_body
from symgrad.control.choices import IfElse, read_inputs
from symgrad.control.patterns import as_outputs, input_like
from symgrad.control.rebuilding import Current, rebuilt
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.traversal import applies_before, substitute
from symgrad.graph.variables import Apply, Constant, Variable


def made_lazy(graph: ClosedGraph) -> ClosedGraph:
    """Return the graph with what only one side of a choice needs inside that side."""
    if not any(isinstance(node.op, IfElse) for node in graph.order):
        return graph  # as nearly all graphs
    always = _always_needed(graph)

    def change(node: Apply, inputs: Sequence[Any], current: Current) -> Sequence[Any] | None:
        if isinstance(node.op, IfElse) and any(output in always for output in node.outputs):
            return _with_exclusive_parts(node, always, current)
        return None

    return rebuilt(graph, change)


def _always_needed(graph: ClosedGraph) -> set[Variable]:
    """Return the variables that are needed whatever the conditions are."""
    needed = set(graph.roots) | set(graph.inputs)
    for node in reversed(graph.order):
        if not any(output in needed for output in node.outputs):
            continue
        needed.update(node.outputs)
        if not isinstance(node.op, IfElse):
            needed.update(node.inputs)
            continue
        condition, *operands = node.inputs
        reads = [read_inputs(side) for side in node.op.graphs]
        needed.add(condition)
        needed.update(v for place, v in enumerate(operands) if all(place in read for read in reads))
    return needed


def _with_exclusive_parts(node: Apply, always: set[Variable], current: Current) -> list[Any]:
    """Return the outputs of a choice whose sides hold everything that isn't needed always."""
    op: Any = node.op
    condition, *operands = node.inputs
    sides = [
        substitute(list(graph.outputs), dict(zip(graph.inputs, operands, strict=True))) for graph in op.graphs
    ]
    taken: dict[Variable, None] = {}
    for roots in sides:
        inside = applies_before(roots, stop_at=always)
        made = {output for part in inside for output in part.outputs}
        used = [*[v for part in inside for v in part.inputs], *roots]
        taken.update(dict.fromkeys(v for v in used if v not in made and not isinstance(v, Constant)))
    stand_ins = {variable: input_like(variable) for variable in taken}
    bodies = []
    for roots in sides:
        lazy = made_lazy(make_body(list(stand_ins.values()), substitute(roots, dict(stand_ins))))
        bodies.append(make_body(lazy.inputs, lazy.outputs))
    return as_outputs(op.with_graphs(bodies)(*map(current, (condition, *taken))))
