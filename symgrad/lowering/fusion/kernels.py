"""Fused steps as kernel IR, and what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod

import numpy as np

from symgrad.graph.op import Operand
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Library, View
from symgrad.kernels.ir.grammar import Kernel
from symgrad.lowering.fusion.axes import joined, leaves
from symgrad.lowering.fusion.building import Builder, Facts, Shape
from symgrad.lowering.fusion.copying import copies, write_copy
from symgrad.lowering.fusion.nest import MeetingError, Nest, Output, analyse, make_loops, output_strides, strides_of
from symgrad.lowering.fusion.passes import last_passes
from symgrad.lowering.fusion.sources import Source, sources
from symgrad.lowering.fusion.terms import Apply, Leaf, Reduce
from symgrad.lowering.fusion.writing import Writer
from symgrad.lowering.steps import Fused, Step

LONGEST_NAME = 40

_NEST = "_nest_of_step"
"""Where a step that `fuse` made keeps what it has found about it; steps from elsewhere are analysed anew.

A nest knows its step. In a table, even one with weak keys, both would stay for ever; so each step has its own.
"""


def remember_nest(step: Step, nest: Nest) -> None:
    """Keep the nest of a step for those who ask about it."""
    object.__setattr__(step, _NEST, nest)


def share_nest(step: Step, other: Step) -> None:
    """Keep for a step what has been found about another with the same parts."""
    nest = _remembered(other)
    if nest is not None:
        remember_nest(step, nest)


def _remembered(step: Step) -> Nest | None:
    return vars(step).get(_NEST)


def kernel_ir(
    step: Step,
    types: Mapping[Variable, Operand],
    dims: Mapping[Variable, Shape] | None = None,
    overwrites: bool = False,
) -> Kernel:
    """Return the kernel of a fused step, verified.

    Parameters
    ----------
    step : Step
        One that `fuse` returned, with a kernel `Fused`.
    types, dims : mapping
        What `fuse` was given.
    overwrites : bool
        Whether the first output is the memory of the first operand, so that what stays need not be copied.

    Returns
    -------
    Kernel
        Its buffers are the step's inputs, in order, then its outputs, then scratch memory.
    """
    assert isinstance(step.kernel, Fused)
    last = step.kernel.steps[-1]
    if copies(last):
        return write_copy(_facts(step, types, dims), kernel_name(step), last, step.inputs, overwrites)
    return Writer(_nest(step, types, dims), kernel_name(step), step.inputs).write()


def sources_of(
    step: Step, types: Mapping[Variable, Operand], dims: Mapping[Variable, Shape] | None = None
) -> list[Source]:
    """Return where the operands of a fused step's last part are, one that puts elements in their places.

    For backends with kernels of their own for it; arguments are those of `kernel_ir`.

    Raises
    ------
    UnfusableError
        If one lies nowhere, or sizes are open.
    """
    assert isinstance(step.kernel, Fused)
    return sources(_facts(step, types, dims), step.kernel.steps[-1], step.inputs)


def work_of(
    step: Step, types: Mapping[Variable, Operand], dims: Mapping[Variable, Shape] | None = None
) -> tuple[int, int]:
    """Return about how many operations a fused step does, and how many bytes it has to read and write at the least.

    Open sizes count as 1000.
    """
    assert isinstance(step.kernel, Fused)
    if copies(step.kernel.steps[-1]):
        return 0, _bytes_of(_facts(step, types, dims), (*step.inputs, *step.outputs))
    nest = _nest(step, types, dims)
    flops = 0
    for node in nest.nodes:
        if isinstance(node, Apply | Reduce):
            over = nest.dims[node.operands[0]] if isinstance(node, Reduce) else nest.dims[node]
            flops += prod([dim.size if isinstance(dim.size, int) else 1000 for dim in over])
    moved = {node.variable for node in nest.nodes if isinstance(node, Leaf)} | set(step.outputs)
    return flops, _bytes_of(nest.builder.facts, moved)


def _bytes_of(facts: Facts, variables: Iterable[Variable]) -> int:
    total = 0
    for variable in variables:
        elements = prod([size if isinstance(size, int) else 1000 for size in facts.shape(variable)])
        total += elements * np.dtype(facts.dtype(variable)).itemsize
    return total


def in_place(step: Step) -> list[tuple[int, int]]:
    """Return pairs (output, operand), by position: the output may take over the operand's memory.

    That is so where each element of the operand is read only in the round that writes the same element, or before it.
    """
    nest = _remembered(step)
    if nest is None:
        return _written_in_place(step)
    make_loops(nest)
    last_reads = last_passes(nest)
    leaves_of: dict[Variable, list[Leaf]] = {}
    for node in nest.nodes:
        if isinstance(node, Leaf):
            leaves_of.setdefault(node.variable, []).append(node)
    facts = nest.builder.facts
    return [
        (made, read)
        for made, output in enumerate(nest.outputs) for read, variable in enumerate(step.inputs)
        if variable in leaves_of and facts.dtype(variable) == facts.dtype(output.variable)
        and all(_runs_along(nest, output, leaf, last_reads) for leaf in leaves_of[variable])
    ]  # fmt: skip


def _written_in_place(step: Step) -> list[tuple[int, int]]:
    """A part is written into the first operand, if that is contiguous and nothing else reads its memory."""
    assert isinstance(step.kernel, Fused)
    *views, last = step.kernel.steps
    if not isinstance(last.kernel, Library) or last.kernel.overwrites != 0 or step.kernel.strides[0] is not None:
        return []
    is_view = any(view.outputs[0] is last.inputs[0] for view in views)
    read_again = any(view.inputs[0] is last.inputs[0] for view in views) or last.inputs.count(last.inputs[0]) > 1
    return [] if is_view or read_again or step.inputs[0] is not last.inputs[0] else [(0, 0)]


def _runs_along(nest: Nest, output: Output, leaf: Leaf, last_reads: Mapping[Leaf, int]) -> bool:
    """Whether an operand is read element by element as an output is written, and not after it."""
    if leaf not in last_reads or any(place.pick is not None for place in leaf.places):
        return False
    sizes = prod([dim.size for dim in leaves(joined(output.term.axes)) if isinstance(dim.size, int)])
    if sizes != prod([size for size in leaf.shape if isinstance(size, int)]):
        return False
    if output.where == "once":
        return not nest.kept and not leaf.shape
    stored = nest.stage[output.term.node] if output.where == "full" and nest.inner else len(nest.nodes)
    return strides_of(leaf) == output_strides(output) and last_reads[leaf] <= stored


def kernel_name(step: Step) -> str:
    """Return a readable name: the first functions that the step applies."""
    words = "_".join("".join(c if c.isalnum() else "_" for c in word) for word in step.name.split("+"))
    while "__" in words:
        words = words.replace("__", "_")
    return "fused_" + words[:LONGEST_NAME].strip("_")


def _nest(step: Step, types: Mapping[Variable, Operand], dims: Mapping[Variable, Shape] | None) -> Nest:
    assert isinstance(step.kernel, Fused)
    nest = _remembered(step)
    if nest is not None:
        return nest
    facts = _facts(step, types, dims)
    try:
        return _analysed(step, facts, shared=True)
    except MeetingError:
        return _analysed(step, facts, shared=False)


def _facts(step: Step, types: Mapping[Variable, Operand], dims: Mapping[Variable, Shape] | None) -> Facts:
    assert isinstance(step.kernel, Fused)
    facts = Facts(types, dims, _everything)
    for variable, strides in zip(step.inputs, step.kernel.strides, strict=True):
        if strides is not None:
            facts.strides[variable] = strides
    for inner in step.kernel.steps:
        if isinstance(inner.kernel, View):
            facts.views[inner.outputs[0]] = inner
    return facts


def _analysed(step: Step, facts: Facts, shared: bool) -> Nest:
    assert isinstance(step.kernel, Fused)
    builder = Builder(facts, shared)
    steps = [inner for inner in step.kernel.steps if not isinstance(inner.kernel, View)]
    for inner in steps:
        builder.add(inner)
    return analyse(builder, step.outputs, len(steps) <= 1)


def _everything(name: str, dtypes: Sequence[str], dtype: str) -> bool:
    """`fuse` has asked the backend already."""
    return True
