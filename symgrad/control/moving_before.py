"""Rules for loops: what all rounds share, and products of all rows, are computed before the first round."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from symgrad.control.drafts import Draft
from symgrad.control.patterns import has_length, input_like
from symgrad.control.rebuilding import rebuilt
from symgrad.control.scan_op import Scan
from symgrad.gradient.vectorize import vectorize
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.traversal import applies_before, substitute
from symgrad.graph.variables import Apply, Constant, Variable
from symgrad.ops.linalg import Dot
from symgrad.ops.shape import BroadcastTo
from symgrad.ops.sizes import Size, size_of
from symgrad.rewriting.engine import graph_rule

Inner = Callable[[ClosedGraph], ClosedGraph]


def changed_loops(graph: ClosedGraph, change: Callable[[Draft], dict[Any, Any] | None]) -> ClosedGraph:
    """Return the graph after a change of its loops, causes first; `change` returns what replaces a loop's outputs."""

    def changed(node: Apply, inputs: Sequence[Any], current: Any) -> list[Any] | None:
        found = change(Draft.of(node, inputs)) if isinstance(node.op, Scan) else None
        return None if found is None else [found[output] for output in node.outputs]

    return rebuilt(graph, changed)


@graph_rule("stabilize", reason="what all rounds share is computed once")
def what_all_rounds_share_is_computed_before_the_loop(graph: ClosedGraph, inner: Inner) -> ClosedGraph:
    return changed_loops(graph, _shared_before)


def _shared_before(draft: Draft) -> dict[Any, Any] | None:
    order = draft.body.order
    outside: dict[Any, Any] = {inside: operand for operand, inside in draft.constants}
    inputs = set(outside)
    outside |= _sizes(draft, order)
    shared = made_of(order, outside)
    wanted: list[Any] = [variable for variable in read_by_others(order, draft.roots, shared) if variable not in inputs]
    moved: dict[Variable, None] = {}
    while wanted:
        variable = wanted.pop()
        if isinstance(variable.owner.op, BroadcastTo):  # it costs nothing where it is read
            wanted += [v for v in variable.owner.inputs if v in shared and v not in inputs]
        else:
            moved[variable] = None
    if not moved:
        return None
    stand_ins = {variable: input_like(variable) for variable in moved}
    found = substitute(list(moved), outside)
    draft.constants += [(operand, stand_ins[variable]) for variable, operand in zip(moved, found, strict=True)]
    draft.put(stand_ins)
    drop_unread(draft)
    return draft.build()


def _sizes(draft: Draft, order: Sequence[Apply]) -> dict[Any, Any]:
    """Return the sizes of rows of which a round reads nothing else, as they are outside."""
    rows = {row for _, row in draft.sequences}
    read = {v for node in order if not isinstance(node.op, Size) for v in node.inputs} | set(draft.roots)
    found = sizes_outside(draft, order)
    return {size: outside for size, outside in found.items() if size.owner.inputs[0] in rows - read}


def sizes_outside(draft: Draft, order: Sequence[Apply]) -> dict[Any, Any]:
    """Return what a round finds out about the sizes of what it gets, and how that is known outside."""
    stacks = {row: operand for operand, row in draft.sequences}
    stacks |= {tap: state.initial for state in draft.states for tap in state.taps}
    constants = {inside: operand for operand, inside in draft.constants}
    found: dict[Any, Any] = {}
    for node in order:
        if isinstance(node.op, Size):
            (value,) = node.inputs
            if value in stacks:
                found[node.outputs[0]] = size_of(stacks[value], node.op.axis + 1)
            elif value in constants:
                found[node.outputs[0]] = size_of(constants[value], node.op.axis)
    return found


@graph_rule("stabilize", reason="one product of all rows takes far less time than one of each")
def products_of_rows_are_one_before_the_loop(graph: ClosedGraph, inner: Inner) -> ClosedGraph:
    return changed_loops(graph, _products_before)


def _products_before(draft: Draft) -> dict[Any, Any] | None:
    """Move products of what depends on the rows of sequences only with what all rounds share."""
    if draft.ends is not None:
        return None
    order = draft.body.order
    constants: dict[Any, Any] = {inside: operand for operand, inside in draft.constants}
    constants |= sizes_outside(draft, order)
    rows: dict[Any, Any] = {inside: operand for operand, inside in draft.sequences}
    shared = made_of(order, constants)
    of_rows = made_of(order, rows, shared) - shared
    products = [
        inner.outputs[0] for inner in order
        if isinstance(inner.op, Dot) and sum(v in of_rows for v in inner.inputs) == 1
        and all(v in of_rows or v in shared or isinstance(v, Constant) for v in inner.inputs)
    ]  # fmt: skip
    if not products:
        return None
    outside = substitute(products, dict(constants))
    stacks = {row: whole(operand, draft.rounds) for row, operand in rows.items()}
    found = vectorize(outside, stacks)
    stand_ins = {product: input_like(product) for product in products}
    draft.sequences += [(stack, stand_ins[product]) for product, stack in zip(products, found, strict=True)]
    draft.put(stand_ins)
    drop_unread(draft)
    return draft.build()


def whole(stack: Any, rounds: Any) -> Any:
    """Return the rows of a stack that the rounds take."""
    return stack if has_length(stack, rounds) else stack[:rounds]


def made_of(order: Sequence[Apply], given: Iterable[Variable], also: Iterable[Variable] = ()) -> set[Variable]:
    """Return `given` and `also`, and what is made of nothing but these and constants.

    Parameters
    ----------
    order : sequence of Apply
        Nodes, causes first.
    given, also : iterable of Variable
        Variables.
    """
    found = {*given, *also}
    for node in order:
        if all(variable in found or isinstance(variable, Constant) for variable in node.inputs):
            found.update(node.outputs)
    return found


def read_by_others(order: Sequence[Apply], roots: Sequence[Variable], inside: set[Variable]) -> list[Variable]:
    """Return the variables among `inside` that nodes outside of it, or roots, read."""
    readers = [node for node in order if node.outputs[0] not in inside]
    read = dict.fromkeys([*[v for node in readers for v in node.inputs], *roots])
    return [variable for variable in read if variable in inside]


def drop_unread(draft: Draft) -> None:
    """Leave out the operands that the body of a loop doesn't read."""
    read = set(draft.roots)
    for inner in applies_before(draft.roots, stop_at=draft.inputs):
        read.update(inner.inputs)
    draft.sequences = [pair for pair in draft.sequences if pair[1] in read]
    draft.constants = [pair for pair in draft.constants if pair[1] in read]
