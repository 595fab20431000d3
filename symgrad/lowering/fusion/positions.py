"""Which variables steps take as positions: what one step has found to lie inside, no other need refuse.

A kernel that writes at positions which a reader of the same program has checked can't fail. So it may write straight
into the storage of a shared variable: the rows of an embedding that were read are updated where they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import FromArray, FromOperand, Library, Range, Slice, View
from symgrad.lowering.fusion.axes import Size, UnfusableError
from symgrad.lowering.fusion.building import Facts
from symgrad.lowering.steps import Step

FIRST_POSITION = {"take": 1, "write": 2, "write_at": 2}
"""For each routine that takes an index, where the operands of the index begin."""

Positions = set[tuple[Variable, Size]]


def checked_positions(facts: Facts, steps: Iterable[Step]) -> Positions:
    """Return the positions that steps read at, each with the size that it must lie inside."""
    found: Positions = set()
    for step in steps:
        if isinstance(step.kernel, View) or (isinstance(step.kernel, Library) and step.kernel.name == "take"):
            found |= positions(facts, step)
    return found


def positions(facts: Facts, step: Step) -> Positions:
    """Return the variables that a step takes as positions, each with the size that it must lie inside."""
    index, first = _index(step)
    if not any(isinstance(entry, FromOperand | FromArray) for entry in index):
        return set()
    try:
        sizes = facts.shape(step.inputs[0])
    except UnfusableError:
        return set()
    given = iter(step.inputs[first:])
    found: Positions = set()
    for entry, size in zip(index, sizes, strict=False):
        if isinstance(entry, Range):
            for bound in (entry.start, entry.stop, entry.step):
                if isinstance(bound, FromOperand):
                    next(given)
        elif isinstance(entry, FromOperand | FromArray):
            variable = next(given)
            if facts.dtype(variable) == "bool":  # a mask, which may stand for several axes
                return set()
            found.add((variable, size))
    return found


def _index(step: Step) -> tuple[Any, int]:
    kernel = step.kernel
    if isinstance(kernel, View):
        return (kernel.how.index if isinstance(kernel.how, Slice) else ()), 1
    if isinstance(kernel, Library) and kernel.name in FIRST_POSITION:
        return dict(kernel.attributes)["index"], FIRST_POSITION[kernel.name]
    return (), 0
