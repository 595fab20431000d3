"""Copies of functions that update nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from symgrad.graph.closed import ClosedGraph


def without_updates(function: Any, swap: Mapping[Any, Any] | None, name: str | None) -> Any:
    """Return a function of the same outputs that changes no shared variable."""
    graph = ClosedGraph(function.graph.inputs, function.graph.outputs, (), ())
    made = type(function)(graph, function.inputs, function.mode, function.keys, function.single, name or function.name)
    kept = dict(zip(function._shared, function.containers, strict=True))
    made.containers = [kept[variable] for variable in made._shared]
    made.describe(function.declared, made.outputs, function.states, function.maker.mode, None)
    return type(made).copy(made, swap=swap, name=name) if swap else made
