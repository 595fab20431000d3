"""Rules for loops: what nobody needs is left out, what is the same is computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgrad.control.bodies import make_body
from symgrad.control.drafts import Draft, equal_values
from symgrad.control.patterns import as_outputs
from symgrad.control.rebuilding import Current, rebuilt, standing_for
from symgrad.control.scan_op import Scan
from symgrad.control.simplifying import read_last, simplified
from symgrad.control.users import Users
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.traversal import applies_before, substitute
from symgrad.graph.variables import Apply
from symgrad.ops.sizes import Size, size_of
from symgrad.rewriting.engine import Context, graph_rule, rule

Inner = Callable[[ClosedGraph], ClosedGraph]


# ---- loops ----


@graph_rule("canonicalize", reason="a loop that goes round with another one, with the same states, is part of it")
def loops_within_loops_are_one(graph: ClosedGraph, inner: Inner) -> ClosedGraph:
    """The forward loop is part of the one that also saves what the gradient needs."""
    while True:
        found = _first_merge([node for node in graph.order if isinstance(node.op, Scan)])
        if found is None:
            return graph
        graph = graph.with_roots(substitute(graph.roots, standing_for(found)))


@graph_rule("canonicalize", reason="what nobody needs isn't computed, kept or passed on in a loop")
def loops_are_simplified(graph: ClosedGraph, inner: Inner) -> ClosedGraph:
    users = Users(graph)
    readers: dict[Apply, Any] = {}

    def change(node: Apply, inputs: Sequence[Any], current: Current) -> Sequence[Any] | None:
        if node in readers:
            return [read_last(node, readers[node], inputs)]
        if not isinstance(node.op, Scan):
            return None
        simple = simplified(node, inputs, users)
        if simple is None:
            return None
        readers.update(simple.readers)
        return [simple.outputs.get(output, output) for output in node.outputs]

    return rebuilt(graph, change)


def _first_merge(nodes: Sequence[Apply]) -> dict[Any, Any] | None:
    for small in nodes:
        for large in nodes:
            if large is not small and large.inputs[0] is small.inputs[0]:
                found = _merged(small, large)
                if found is not None:
                    return found
    return None


def _merged(small: Apply, large: Apply) -> dict[Any, Any] | None:
    """Return what replaces the outputs of both loops if all states of one are states of the other."""
    one, other = Draft.of(small), Draft.of(large)
    inside = _inside(one, other)
    if inside is None or _depend(small, large):
        return None
    one.put(inside)
    places = _places(one, other)
    compared = [*[state.value for state in one.states], *([] if one.ends is None else [one.ends])]
    wanted = [*[other.states[place].value for place in places], *([] if other.ends is None else [other.ends])]
    numbers = equal_values(other.inputs, [*compared, *wanted], {})
    if numbers[: len(compared)] != numbers[len(compared) :]:
        return None
    other.stacks += one.stacks
    for state, place in zip(one.states, places, strict=True):
        other.states[place].meant += state.meant
    return other.build()


def _inside(one: Draft, other: Draft) -> dict[Any, Any] | None:
    """Return which inputs of one body correspond to which of another; None if one has what the other hasn't."""
    if (one.ends is None) != (other.ends is None) or not (one.states or one.sequences):
        return None
    rows, constants = dict(other.sequences), dict(other.constants)
    known = [operand in rows for operand, _ in one.sequences] + [operand in constants for operand, _ in one.constants]
    places = _places(one, other)
    if not all(known) or -1 in places:
        return None
    inside = {row: rows[operand] for operand, row in one.sequences}
    inside |= {constant: constants[operand] for operand, constant in one.constants}
    for state, place in zip(one.states, places, strict=True):
        inside.update(zip(state.taps, other.states[place].taps, strict=True))
    return inside if all(old.type == new.type for old, new in inside.items()) else None


def _places(one: Draft, other: Draft) -> list[int]:
    """Return for each state of a loop the number of the first of another that starts so and returns as much, or -1."""
    places: list[int] = []
    for state in one.states:
        fitting = [
            number for number, found in enumerate(other.states)
            if found.initial is state.initial and found.state == state.state and number not in places
        ]  # fmt: skip
        places.append(fitting[0] if fitting else -1)
    return places


def _depend(one: Apply, other: Apply) -> bool:
    """Whether one of two nodes is needed to compute the other."""
    return one in applies_before(other.inputs) or other in applies_before(one.inputs)


@rule("canonicalize", Size, reason="how long a loop's results are is known before it runs")
def size_of_a_loops_result_is_known_before(node: Apply, context: Context) -> Any:
    (result,) = node.inputs
    if result.owner is None or not isinstance(result.owner.op, Scan):
        return None
    op, axis = result.owner.op, node.op.axis  # type: ignore[attr-defined]
    operands = op.layout.operands(result.owner.inputs)
    state = op.layout.states[result.index] if result.index < len(op.layout.states) else None
    if axis == 0:
        is_stack = state is None or state.keeps_all
        return operands.rounds if is_stack and not op.layout.until else None
    return None if state is None else size_of(operands.initial[result.index], axis)


# ---- the graphs inside ----


@graph_rule("canonicalize", reason="the graph inside a loop or choice is rewritten like any other")
def graphs_inside_are_canonicalized(graph: ClosedGraph, inner: Inner) -> ClosedGraph:
    return _with_inner_graphs(graph, inner)


@graph_rule("stabilize", reason="the graph inside a loop or choice is rewritten like any other")
def graphs_inside_are_stabilized(graph: ClosedGraph, inner: Inner) -> ClosedGraph:
    return _with_inner_graphs(graph, inner)


@graph_rule("specialize", reason="the graph inside a loop or choice is rewritten like any other")
def graphs_inside_are_specialized(graph: ClosedGraph, inner: Inner) -> ClosedGraph:
    return _with_inner_graphs(graph, inner)


def _with_inner_graphs(graph: ClosedGraph, inner: Inner) -> ClosedGraph:
    def change(node: Apply, inputs: Sequence[Any], current: Current) -> Sequence[Any] | None:
        graphs: Sequence[Any] = getattr(node.op, "graphs", ())
        found = [inner(one) for one in graphs]
        if all(new is old for new, old in zip(found, graphs, strict=True)):
            return None
        op = node.op.with_graphs([make_body(new.inputs, new.outputs) for new in found])  # type: ignore[attr-defined]
        return as_outputs(op(*inputs))

    return rebuilt(graph, change)
