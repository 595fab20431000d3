"""A closed graph: everything that one compiled function computes, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from symgrad.graph.traversal import applies_before
from symgrad.graph.variables import Apply, Constant, SharedVariable, Variable


@dataclass(frozen=True)
class ClosedGraph:
    """Inputs, outputs and updates of a function.

    Attributes
    ----------
    inputs : tuple of Variable
        What the caller supplies, in order.
    outputs : tuple of Variable
        What the caller gets.
    targets, values : tuple of Variable
        The shared variables that are updated, and their new values.
    order : list of Apply
        All nodes, causes first.
    """

    inputs: tuple[Variable, ...]
    outputs: tuple[Variable, ...]
    targets: tuple[SharedVariable, ...]
    values: tuple[Variable, ...]
    order: list[Apply] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", applies_before(self.roots, stop_at=self.inputs))

    @property
    def roots(self) -> tuple[Variable, ...]:
        """Everything that must be computed."""
        return (*self.outputs, *self.values)

    def with_roots(self, roots: Sequence[Variable]) -> ClosedGraph:
        """Return the same function computing other expressions of the same outputs and updates."""
        count = len(self.outputs)
        return ClosedGraph(self.inputs, tuple(roots[:count]), self.targets, tuple(roots[count:]))

    def leaves(self) -> list[Variable]:
        """Return the variables without an owner that the nodes or roots use, and all inputs and targets."""
        found = dict.fromkeys((*self.inputs, *self.targets))
        given = set(self.inputs)
        for node in self.order:
            found.update(dict.fromkeys(v for v in node.inputs if v.owner is None or v in given))
        found.update(dict.fromkeys(v for v in self.roots if v.owner is None))
        return list(found)

    def shared(self) -> list[SharedVariable]:
        """Return the shared variables that are read or updated."""
        given = set(self.inputs)
        return [v for v in self.leaves() if isinstance(v, SharedVariable) and v not in given]

    def constants(self) -> list[Constant]:
        """Return the constants."""
        return [variable for variable in self.leaves() if isinstance(variable, Constant)]

