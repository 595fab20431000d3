"""Graphs with some nodes replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from symgrad.control.patterns import fit_pattern
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.source import attributed_to
from symgrad.graph.traversal import apply_again
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.ops.sizes import specify_shape

Current = Callable[[Any], Any]
Changing = Callable[[Apply, Sequence[Any], Current], Sequence[Any] | None]


def rebuilt(graph: ClosedGraph, change: Changing) -> ClosedGraph:
    """Return the graph with some nodes replaced, in one walk; the same object if none is.

    Parameters
    ----------
    graph : ClosedGraph
        The graph.
    change : callable
        ``change(node, inputs, current)`` returns what stands for the outputs of a node, made of the new `inputs`; None
        leaves it as it is. ``current(variable)`` is what has replaced any variable before the node.
    """
    new: dict[Any, Any] = {}

    def current(variable: Any) -> Any:
        return new.get(variable, variable)

    for node in graph.order:
        inputs = [current(variable) for variable in node.inputs] if new else list(node.inputs)
        with attributed_to(node.source):
            outputs = change(node, inputs, current)
            if outputs is not None:
                new |= standing_for(dict(zip(node.outputs, outputs, strict=True)))
            elif new and any(found is not old for found, old in zip(inputs, node.inputs, strict=True)):
                new.update(zip(node.outputs, apply_again(node, inputs), strict=True))
    return graph.with_roots([current(root) for root in graph.roots]) if new else graph


def standing_for(found: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return replacements in the form in which they can stand for what they replace: with its sizes and pattern."""
    fitted = {}
    for old, new in found.items():
        if new is old:
            continue
        if isinstance(old.type, TensorType):
            pairs = zip(old.type.shape, new.type.shape, strict=True)
            if any(size is not None and known is None for size, known in pairs):
                new = specify_shape(new, old.type.shape)
            new = fit_pattern(new, old.type)
        if new.name is None and new.owner is not None:
            new.name = old.name
        fitted[old] = new
    return fitted
