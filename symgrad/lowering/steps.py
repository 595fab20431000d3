"""Lowering: each node of the rewritten graph becomes a kernel with its operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.graph.closed import ClosedGraph
from symgrad.graph.source import Source
from symgrad.graph.variables import Apply, Variable
from symgrad.kernels.grammar import Branch, Evaluate, Kernel, Loop


@dataclass(frozen=True, eq=False)
class Step:
    """One kernel with what it reads and writes, and the user's line that it came from.

    Attributes
    ----------
    kernel : Kernel
        What is done.
    name : str
        The op's name, as errors show it.
    inputs, outputs : tuple of Variable
        What it reads and writes.
    source : Source or None
        The user's line.
    evaluate : callable or None
        The op's own NumPy meaning: what a backend without this kernel runs, and what debugging compares with.
    """

    kernel: Kernel
    name: str
    inputs: tuple[Variable, ...]
    outputs: tuple[Variable, ...]
    source: Source | None
    evaluate: Callable[..., Sequence[np.ndarray]] | None = None


@dataclass(frozen=True)
class Fused(Kernel):
    """Several kernels as one loop nest; values that no output needs are never in memory.

    Parameters
    ----------
    steps : tuple of Step
        The kernels with their variables, causes first. A step may be part of several fused kernels, where it is
        cheaper to compute its value again than to read it.
    strides : tuple of (tuple of int or None)
        For each operand of the step that has this kernel, its strides in elements; None if it is contiguous.
    may_fail : bool
        Whether it may find an index out of range, or an extreme of nothing.
    """

    steps: tuple[Step, ...]
    strides: tuple[tuple[int | str, ...] | None, ...]
    may_fail: bool = False


@dataclass(frozen=True, eq=False)
class Bound(Kernel):
    """A loop or a branch whose graphs have programs, for the sizes of a call.

    A loop of this kind has no operand that says how many rounds there are.

    Parameters
    ----------
    kernel : Loop or Branch
        What is done.
    rounds : int
        How many rounds a loop has at most.
    plans, programs : tuple
        The plan and the program of the body, or of both sides.
    """

    kernel: Loop | Branch
    rounds: int
    plans: tuple[Any, ...]
    programs: tuple[Any, ...]


def lower(graph: ClosedGraph) -> list[Step]:
    """Return the kernels of a graph, causes first."""
    return [
        Step(_kernel(node), str(node.op), node.inputs, node.outputs, node.source, node.op.evaluate)
        for node in graph.order
    ]


def _kernel(node: Apply) -> Kernel:
    kernel: Kernel | None = node.op.lower(node)
    return Evaluate(node.op.name, node.op.evaluate, _attributes(node.op)) if kernel is None else kernel


def _attributes(op: Any) -> tuple[tuple[str, Any], ...]:
    """Return by what a backend knows an op that has no kernel."""
    kind = type(op)
    fields = getattr(op, "__dataclass_fields__", ())
    return (("op", f"{kind.__module__}.{kind.__qualname__}"), *[(name, getattr(op, name)) for name in fields])
