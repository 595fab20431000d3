"""``f.maker``: how a function was made, and its graph as Theano shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.graph.closed import ClosedGraph
from symgrad.graph.traversal import ancestors
from symgrad.graph.variables import Apply, Variable


class FunctionGraph:
    """A closed graph as ``theano.gof.FunctionGraph`` shows it: inputs, outputs, and nodes in order.

    Parameters
    ----------
    inputs, outputs : sequence of Variable
        What is given, and what is computed of it.
    clone : bool
        Accepted: the graph is never changed.
    """

    def __init__(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        features: Any = None,
        clone: bool = True,
        **options: Any,
    ) -> None:
        self._closed = ClosedGraph(tuple(inputs), tuple(outputs), (), ())
        self.inputs = list(inputs)
        self.outputs = list(outputs)
        self.update_mapping: dict[int, int] = {}

    @classmethod
    def of_function(cls, graph: ClosedGraph) -> FunctionGraph:
        """Return the graph of a compiled function: what it updates are inputs, and new values outputs."""
        made = cls([*graph.inputs, *graph.shared()], [*graph.outputs, *graph.values])
        positions = {variable: number for number, variable in enumerate(made.inputs)}
        made.update_mapping = {
            len(graph.outputs) + number: positions[target] for number, target in enumerate(graph.targets)
        }
        return made

    def toposort(self) -> list[Apply]:
        """Return the nodes, causes first."""
        return list(self._closed.order)

    @property
    def apply_nodes(self) -> set[Apply]:
        """The nodes."""
        return set(self._closed.order)

    @property
    def variables(self) -> set[Variable]:
        """All variables."""
        return {*ancestors(self.outputs, self.inputs), *self.inputs}

    def clients(self, variable: Variable) -> list[tuple[Any, int]]:
        """Return where a variable is used: pairs of a node, or ``'output'``, and a position in it."""
        found: list[tuple[Any, int]] = [
            (node, position)
            for node in self._closed.order
            for position, used in enumerate(node.inputs)
            if used is variable
        ]
        return found + [("output", position) for position, used in enumerate(self.outputs) if used is variable]

    def __iter__(self) -> Any:
        return iter(self.toposort())

    def __str__(self) -> str:
        from symgrad.debug import pp

        return f"[{', '.join(pp(output) for output in self.outputs)}]"


class FunctionMaker:
    """How a compiled function was made: ``f.maker``."""

    def __init__(self, function: Any, declared: Sequence[Any], mode: Any) -> None:
        self._function = function
        self.inputs = list(declared)
        self.expanded_inputs = self.inputs
        self.indices = [(entry, [position], [entry]) for position, entry in enumerate(declared)]
        self.mode = mode
        self.accept_inplace = False
        self.function_builder = type(function)

    @property
    def outputs(self) -> list[Any]:
        """The outputs, each with its ``variable``."""
        from symgrad.compat.theano_names.calling import Out

        return [Out(variable) for variable in self._function.graph.outputs]

    @property
    def fgraph(self) -> FunctionGraph:
        """The graph that is computed."""
        return FunctionGraph.of_function(self._function.rewritten)

    env = fgraph

    @property
    def linker(self) -> Any:
        """What runs it; Theano's linkers have no equal."""
        return getattr(self.mode, "linker", None)
