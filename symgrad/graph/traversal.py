"""Walks over graphs. All are iterative: a chain of 100,000 nodes is as good as one of ten."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np

from symgrad.graph.source import attributed_to
from symgrad.graph.variables import Apply, Variable


def applies_before(outputs: Iterable[Variable], stop_at: Collection[Variable] = ()) -> list[Apply]:
    """Return the applications that `outputs` depend on, each after those it depends on.

    Parameters
    ----------
    outputs : iterable of Variable
        Where the walk starts.
    stop_at : collection of Variable
        Variables that are taken as given: what computes them is left out.
    """
    stop = frozenset(stop_at)
    order: list[Apply] = []
    seen: set[Apply] = set()
    stack: list[tuple[Apply, bool]] = [
        (variable.owner, False) for variable in reversed(list(outputs)) if variable.owner and variable not in stop
    ]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            order.append(node)
            continue
        if node in seen:
            continue
        seen.add(node)
        stack.append((node, True))
        for variable in reversed(node.inputs):
            owner = variable.owner
            if owner is not None and owner not in seen and variable not in stop:
                stack.append((owner, False))
    return order


def ancestors(outputs: Iterable[Variable], stop_at: Collection[Variable] = ()) -> list[Variable]:
    """Return every variable that `outputs` depend on and the outputs themselves, causes first."""
    outputs = list(outputs)
    found: dict[Variable, None] = {}
    for node in applies_before(outputs, stop_at):
        for variable in (*node.inputs, *node.outputs):
            found.setdefault(variable)
    for variable in outputs:
        found.setdefault(variable)
    return list(found)


def graph_inputs(outputs: Iterable[Variable]) -> list[Variable]:
    """Return the variables without an owner that `outputs` depend on, constants and shared variables included."""
    return [variable for variable in ancestors(outputs) if variable.owner is None]


def substitute(
    outputs: Sequence[Variable],
    replacements: dict[Variable, Variable],
    rebuild: Callable[[Apply, Sequence[Variable]], Sequence[Any]] | None = None,
) -> list[Any]:
    """Return copies of `outputs` in which each key of `replacements` is replaced by its value.

    Only nodes that depend on a key are copied; everything else is shared with the original graph. Names and source
    lines are carried over.

    Parameters
    ----------
    outputs : sequence of Variable
        The expressions.
    replacements : dict
        What to replace, by what.
    rebuild : callable, optional
        ``rebuild(apply, new_inputs)`` returns the new outputs of a node; by default the op is applied again.
    """
    new: dict[Variable, Variable] = dict(replacements)
    for node in applies_before(outputs, stop_at=replacements):
        if not any(new.get(variable, variable) is not variable for variable in node.inputs):
            continue
        inputs = [new.get(variable, variable) for variable in node.inputs]
        results = (rebuild or apply_again)(node, inputs)
        for old, result in zip(node.outputs, results, strict=True):
            new.setdefault(old, result)
    return [new.get(variable, variable) for variable in outputs]


def apply_again(node: Apply, inputs: Sequence[Variable]) -> Sequence[Variable]:
    """Apply a node's op to other inputs, on the same source line and with the same output names."""
    from symgrad.graph.op import apply_op

    if all(map(_is_like, inputs, node.inputs)):
        outputs = Apply(node.op, inputs, [old.type for old in node.outputs], node.source).outputs
        for old, new in zip(node.outputs, outputs, strict=True):
            new.known, new._expected = old.known, old._expected
    else:
        with attributed_to(node.source):
            outputs = apply_op(node.op, inputs).outputs
    for old, new in zip(node.outputs, outputs, strict=True):
        new.name = old.name
    return outputs


def _is_like(new: Variable, old: Variable) -> bool:
    """Whether an op infers the same from both variables."""
    if new is old:
        return True
    if new.type != old.type or new.expected != old.expected:
        return False
    if new.known is None or old.known is None:
        return new.known is old.known
    return np.array_equal(new.known, old.known)


def uses(outputs: Iterable[Variable], order: Iterable[Apply]) -> dict[Variable, int]:
    """Count how often each variable is used by the nodes of `order` and as an output."""
    counts: dict[Variable, int] = {}
    for variable in outputs:
        counts[variable] = counts.get(variable, 0) + 1
    for node in order:
        for variable in node.inputs:
            counts[variable] = counts.get(variable, 0) + 1
    return counts
