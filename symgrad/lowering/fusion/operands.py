"""What steps read: through folded views, and with which strides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Library, Range, Slice, View
from symgrad.lowering.fusion.axes import UnfusableError, contiguous_strides, joined, leaves
from symgrad.lowering.fusion.building import Builder, Facts, Shape
from symgrad.lowering.fusion.nest import row_major, strides_of
from symgrad.lowering.fusion.terms import Leaf
from symgrad.lowering.steps import Step


def memories(facts: Facts, step: Step) -> list[Variable]:
    """Return the variables in whose memory a fused step reads, through folded views."""
    kernel = step.kernel
    if isinstance(kernel, Library) and kernel.name in ("size", "arange"):
        return []
    found = []
    for variable in step.inputs[:1] if isinstance(kernel, View) else step.inputs:
        if not is_number(facts, variable):
            while variable in facts.views:
                variable = facts.views[variable].inputs[0]
            found.append(variable)
    return found


def is_free(step: Step) -> bool:
    """Whether a step costs nothing in any kernel: a view, a size."""
    return isinstance(step.kernel, View) or (isinstance(step.kernel, Library) and step.kernel.name == "size")


def is_contiguous(facts: Facts, variable: Variable) -> bool:
    """Whether a variable's elements follow each other in memory; what isn't a view has memory of its own."""
    term = Builder(facts).term(variable)
    return isinstance(term.node, Leaf) and strides_of(term.node) == row_major(joined(term.axes), 1)


def slice_strides(facts: Facts, step: Step, kernel: View) -> tuple[Any, ...]:
    """Return the strides of a slice whose start only the call knows."""
    if not isinstance(kernel.how, Slice):
        raise UnfusableError("not a slice")
    term = Builder(facts).term(step.inputs[0])
    if not isinstance(term.node, Leaf):
        raise UnfusableError("a part of a computed value")
    known = strides_of(term.node)
    found = []
    for number, axis in enumerate(term.axes):
        dims = leaves(axis)
        if len(dims) > 1:
            raise UnfusableError("a part of joined axes")
        stride = known.get(dims[0], 0) if dims else 0
        entry = kernel.how.index[number] if number < len(kernel.how.index) else Range()
        if isinstance(entry, Range):
            if entry.step is not None and (not isinstance(entry.step, int) or not isinstance(stride, int)):
                raise UnfusableError("a step that only the call knows")
            if isinstance(entry.step, int) and entry.step < 0:
                raise UnfusableError("a part that runs backwards")
            found.append(stride if entry.step is None else stride * entry.step)  # type: ignore[operator]
    return tuple(found)


def is_number(facts: Facts, variable: Variable) -> bool:
    known = facts.known(variable)
    return known is not None and known.size == 1


def operand_strides(facts: Facts, inputs: Sequence[Variable]) -> tuple[Shape | None, ...]:
    """Return the strides of operands; None for those that are contiguous."""
    strides = []
    for variable in inputs:
        found = facts.strides.get(variable)
        strides.append(None if found is None or found == contiguous_strides(facts.shape(variable)) else found)
    return tuple(strides)


def with_views(facts: Facts, steps: Iterable[Step]) -> list[Step]:
    """Return steps, each after the folded views that it reads."""
    found: dict[Step, None] = {}
    for step in steps:
        chain = []
        for variable in step.inputs:
            while variable in facts.views:
                chain.append(facts.views[variable])
                variable = facts.views[variable].inputs[0]
        found.update(dict.fromkeys([*chain[::-1], step]))
    return list(found)
