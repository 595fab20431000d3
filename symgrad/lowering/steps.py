"""Lowering: each node of the rewritten graph becomes a kernel with its operands."""

from __future__ import annotations

from dataclasses import dataclass

from symgrad.graph.closed import ClosedGraph
from symgrad.graph.source import Source
from symgrad.graph.variables import Apply, Variable
from symgrad.kernels.grammar import Evaluate, Kernel


@dataclass(frozen=True, eq=False)
class Step:
    """One kernel with what it reads and writes, and the user's line that it came from."""

    kernel: Kernel
    name: str
    inputs: tuple[Variable, ...]
    outputs: tuple[Variable, ...]
    source: Source | None


def lower(graph: ClosedGraph) -> list[Step]:
    """Return the kernels of a graph, causes first."""
    return [
        Step(_kernel(node), str(node.op), node.inputs, node.outputs, node.source) for node in graph.order
    ]


def _kernel(node: Apply) -> Kernel:
    kernel: Kernel | None = node.op.lower(node)
    return Evaluate(node.op.name, node.op.evaluate) if kernel is None else kernel
