"""Who uses what in a graph."""

from __future__ import annotations

from symgrad.graph.closed import ClosedGraph
from symgrad.graph.variables import Apply, Variable


class Users:
    """Which nodes use a variable, and whether a graph returns it."""

    def __init__(self, graph: ClosedGraph) -> None:
        self.roots = set(graph.roots)
        self._nodes: dict[Variable, list[Apply]] = {}
        for node in graph.order:
            for variable in node.inputs:
                self._nodes.setdefault(variable, []).append(node)

    def of(self, variable: Variable) -> list[Apply]:
        """Return the nodes that use a variable."""
        return self._nodes.get(variable, [])

    def is_used(self, variable: Variable) -> bool:
        """Whether anything needs a variable."""
        return variable in self.roots or variable in self._nodes
