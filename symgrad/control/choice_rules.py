"""Rules for choices: what nobody needs is left out, and what the graph knows is chosen at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.control.bodies import make_body
from symgrad.control.choices import IfElse, apply_choice, read_inputs
from symgrad.control.loop_rules import Inner
from symgrad.control.patterns import as_outputs, fit_pattern
from symgrad.control.rebuilding import Current, rebuilt
from symgrad.control.users import Users
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.traversal import substitute
from symgrad.graph.variables import Apply, Constant
from symgrad.rewriting.engine import graph_rule


@graph_rule("canonicalize", reason="a choice that is known is no choice, and what nobody needs isn't chosen")
def choices_are_simplified(graph: ClosedGraph, inner: Inner) -> ClosedGraph:
    users = Users(graph)

    def change(node: Apply, inputs: Sequence[Any], current: Current) -> Sequence[Any] | None:
        return _simplified(node, inputs, users) if isinstance(node.op, IfElse) else None

    return rebuilt(graph, change)


def _simplified(node: Apply, inputs: Sequence[Any], users: Users) -> Sequence[Any] | None:
    op: Any = node.op
    condition, *operands = inputs
    if isinstance(condition, Constant):
        chosen = op.if_true if bool(condition.data) else op.if_false
        stand_ins = zip(chosen.inputs, operands, strict=True)
        return substitute(list(chosen.outputs), {v: fit_pattern(operand, v.type) for v, operand in stand_ins})
    used = [place for place, output in enumerate(node.outputs) if users.is_used(output)]
    sides = [_with_equal_operands_merged(side, operands) for side in op.graphs]
    read = set().union(*map(read_inputs, sides))
    if len(used) == len(node.outputs) and len(read) == len(operands):
        return None
    sides = [make_body(side.inputs, [side.outputs[place] for place in used]) for side in sides]
    made = as_outputs(apply_choice(sides, op.label, condition, operands)) if used else []
    found = dict(zip(used, made, strict=True))
    return [found.get(place, output) for place, output in enumerate(node.outputs)]


def _with_equal_operands_merged(side: Any, operands: Sequence[Any]) -> Any:
    """Return a side that reads an operand which comes in twice at the first of its places only."""
    first: dict[Any, Any] = {}
    same = {}
    for operand, variable in zip(operands, side.inputs, strict=True):
        known = first.setdefault((operand, variable.type), variable)
        if known is not variable:
            same[variable] = known
    return make_body(side.inputs, substitute(list(side.outputs), same)) if same else side
