"""Loops, choices and graphs used as ops for many rows at once: the graphs inside them work on all rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from symgrad.control.bodies import Body, make_body
from symgrad.control.choices import IfElse, apply_choice
from symgrad.control.layout import Layout
from symgrad.control.op_from_graph import OpFromGraph
from symgrad.control.patterns import as_outputs, fit_pattern
from symgrad.control.scan_op import Scan
from symgrad.gradient.leading_axis import Outputs, Rows, Single, with_leading_axis
from symgrad.gradient.row_by_row import RowByRow
from symgrad.gradient.vectorize import vectorize
from symgrad.graph.traversal import substitute
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply, Variable
from symgrad.ops.axes import dimshuffle, swapaxes
from symgrad.ops.elementwise import switch


def _in_rows(variable: Any) -> Any:
    """Return an input that holds the values of a variable for all rows."""
    kind = variable.type
    return TensorType(kind.dtype, (None, *kind.shape), (False, *kind.broadcastable))(variable.name)


def _reached(body: Body, start: Sequence[Variable]) -> set[Variable]:
    """Return the variables of a body that depend on some of its inputs."""
    reached = set(start)
    for node in body.order:
        if any(variable in reached for variable in node.inputs):
            reached.update(node.outputs)
    return reached


def _vectorized(outputs: Sequence[Any], stand_ins: Mapping[Any, Any]) -> list[Any]:
    """Return outputs for all rows; each has rows, whether or not it depends on what differs."""
    found: list[Any] = vectorize(list(outputs), stand_ins) if outputs else []
    kinds = [TensorType(o.type.dtype, (None, *o.type.shape), (False, *o.type.broadcastable)) for o in outputs]
    return [fit_pattern(value, kind) for value, kind in zip(found, kinds, strict=True)]


@with_leading_axis.register
def _(op: Scan, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    layout: Layout = op.layout
    operands, has_rows = layout.operands(inputs), layout.operands(batched)
    if has_rows.rounds or layout.until:
        return RowByRow.apply(op, node, inputs, batched)
    inner, made = layout.inner(op.body.inputs), layout.results(op.body.outputs)
    differing = [v for v, differs in zip(inner.rows, has_rows.sequences, strict=True) if differs]
    differing += [v for v, differs in zip(inner.constants, has_rows.constants, strict=True) if differs]
    states = {number for number, differs in enumerate(has_rows.initial) if differs}
    while True:
        reached = _reached(op.body, [*differing, *[tap for number in states for tap in inner.taps[number]]])
        more = {number for number, output in enumerate(made.states) if output in reached}
        if more <= states:
            break
        states |= more
    differing += [tap for number in states for tap in inner.taps[number]]
    stand_ins = {variable: _in_rows(variable) for variable in differing}
    wanted = [place for place, output in enumerate(op.body.outputs) if output in reached or place in states]
    outputs = list(op.body.outputs)
    of_rows = _vectorized([outputs[place] for place in wanted], stand_ins)
    for place, value in zip(wanted, of_rows, strict=True):
        outputs[place] = value
    body = make_body([stand_ins.get(variable, variable) for variable in op.body.inputs], outputs)
    sequences = [
        swapaxes(x, 0, 1) if differs else x for x, differs in zip(operands.sequences, has_rows.sequences, strict=True)
    ]
    initial = [
        x if number not in states else swapaxes(x if has_rows.initial[number] else rows.repeated(x), 0, 1)
        for number, x in enumerate(operands.initial)
    ]
    results = as_outputs(replace(op, body=body)(operands.rounds, *sequences, *initial, *operands.constants))
    return [
        swapaxes(result, 0, 1) if place in wanted else Single(result) for place, result in enumerate(results)
    ]


@with_leading_axis.register
def _(op: IfElse, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    condition, *operands = inputs
    _, *differs = batched
    if not batched[0]:
        graphs = [_side_for_rows(graph, differs) for graph in op.graphs]
        return as_outputs(apply_choice(graphs, op.label, condition, operands))
    sides = []
    for graph in op.graphs:
        outside = dict(zip(graph.inputs, operands, strict=True))
        found = graph_for_rows(graph, outside, differs) if any(differs) else substitute(list(graph.outputs), outside)
        sides.append([value if any(differs) else rows.repeated(value) for value in found])
    return [
        switch(dimshuffle(condition, 0, *["x"] * (one.type.ndim - 1)), one, other)
        for one, other in zip(*sides, strict=True)
    ]


def _side_for_rows(graph: Body, differs: Sequence[bool]) -> Body:
    """Return a graph whose inputs have rows where they differ, and whose outputs all have them."""
    inputs = [_in_rows(v) if own else v for v, own in zip(graph.inputs, differs, strict=True)]
    stand_ins = {v: x for v, x, own in zip(graph.inputs, inputs, differs, strict=True) if own}
    return make_body(inputs, _vectorized(graph.outputs, stand_ins))


def graph_for_rows(graph: Body, outside: Mapping[Any, Any], differs: Sequence[bool]) -> list[Any]:
    """Return the outputs of a graph for all rows, put in place of the op that holds it."""
    with_rows = {v: outside[v] for v, own in zip(graph.inputs, differs, strict=True) if own}
    same = {v: outside[v] for v, own in zip(graph.inputs, differs, strict=True) if not own}
    return _vectorized(substitute(list(graph.outputs), same), with_rows)


@with_leading_axis.register
def _(op: OpFromGraph, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    return graph_for_rows(op.body, dict(zip(op.body.inputs, inputs, strict=True)), batched)
