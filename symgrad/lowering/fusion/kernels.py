"""Fused steps as kernel IR, what they cost, and what they mean in NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from symgrad.graph.op import Operand
from symgrad.graph.variables import Constant, Variable
from symgrad.kernels.grammar import Fused, Library, View
from symgrad.kernels.ir.grammar import Kernel
from symgrad.lowering.fusion.building import Builder, Facts, Shape
from symgrad.lowering.fusion.nest import MeetingError, Nest, analyse
from symgrad.lowering.fusion.terms import Apply, Leaf, Reduce
from symgrad.lowering.fusion.writing import Writer
from symgrad.lowering.steps import Step

LONGEST_NAME = 40


def kernel_ir(
    step: Step, types: Mapping[Variable, Operand], dims: Mapping[Variable, Shape] | None = None
) -> Kernel:
    """Return the kernel of a fused step, verified.

    Parameters
    ----------
    step : Step
        One that `fuse` returned, with a kernel `Fused`.
    types, dims : mapping
        What `fuse` was given.

    Returns
    -------
    Kernel
        Its buffers are the step's inputs, in order, then its outputs, then scratch memory.
    """
    return Writer(_nest(step, types, dims), kernel_name(step), step.inputs).write()


def work_of(
    step: Step, types: Mapping[Variable, Operand], dims: Mapping[Variable, Shape] | None = None
) -> tuple[int, int]:
    """Return about how many operations a fused step does, and how many bytes it has to read and write at the least.

    Open sizes count as 1000.
    """
    nest = _nest(step, types, dims)
    flops = 0
    for node in nest.nodes:
        if isinstance(node, Apply | Reduce):
            over = nest.dims[node.operands[0]] if isinstance(node, Reduce) else nest.dims[node]
            flops += prod([dim.size if isinstance(dim.size, int) else 1000 for dim in over])
    moved = {node.variable for node in nest.nodes if isinstance(node, Leaf)} | set(step.outputs)
    facts = nest.builder.facts
    total = 0
    for variable in moved:
        elements = prod([size if isinstance(size, int) else 1000 for size in facts.shape(variable)])
        total += elements * np.dtype(facts.dtype(variable)).itemsize
    return flops, total


def kernel_name(step: Step) -> str:
    """Return a readable name: the first functions that the step applies."""
    words = "_".join("".join(c if c.isalnum() else "_" for c in word) for word in step.name.split("+"))
    while "__" in words:
        words = words.replace("__", "_")
    return "fused_" + words[:LONGEST_NAME].strip("_")


def evaluate(
    step: Step, operands: Sequence[np.ndarray], types: Mapping[Variable, Operand]
) -> list[np.ndarray]:
    """Return the outputs of a fused step, computed by the inner steps' own NumPy meaning."""
    assert isinstance(step.kernel, Fused)
    values: dict[Variable, Any] = dict(zip(step.inputs, operands, strict=True))
    for inner in step.kernel.steps:
        if _is_known_size(inner, types):
            axis = dict(inner.kernel.attributes)["axis"]  # type: ignore[attr-defined]
            kind: Any = types[inner.inputs[0]].type
            values[inner.outputs[0]] = np.array(kind.shape[axis])
            continue
        if all(output in values for output in inner.outputs):
            continue
        owner = inner.outputs[0].owner
        assert owner is not None
        found = owner.op.evaluate(*[_value(variable, values, types) for variable in inner.inputs])
        values.update(zip(inner.outputs, found, strict=True))
    return [np.ascontiguousarray(values[output]).reshape(np.shape(values[output])) for output in step.outputs]


def _is_known_size(step: Step, types: Mapping[Variable, Operand]) -> bool:
    kernel = step.kernel
    if not isinstance(kernel, Library) or kernel.name != "size":
        return False
    kind: Any = types[step.inputs[0]].type
    return kind.shape[dict(kernel.attributes)["axis"]] is not None


def _value(variable: Variable, values: Mapping[Variable, Any], types: Mapping[Variable, Operand]) -> Any:
    if variable in values:
        return values[variable]
    return variable.data if isinstance(variable, Constant) else types[variable].known


def _nest(step: Step, types: Mapping[Variable, Operand], dims: Mapping[Variable, Shape] | None) -> Nest:
    assert isinstance(step.kernel, Fused)
    facts = Facts(types, dims, _everything)
    for variable, strides in zip(step.inputs, step.kernel.strides, strict=True):
        if strides is not None:
            facts.strides[variable] = strides
    for inner in step.kernel.steps:
        if isinstance(inner.kernel, View):
            facts.views[inner.outputs[0]] = inner
    try:
        return _analysed(step, facts, shared=True)
    except MeetingError:
        return _analysed(step, facts, shared=False)


def _analysed(step: Step, facts: Facts, shared: bool) -> Nest:
    assert isinstance(step.kernel, Fused)
    builder = Builder(facts, shared)
    for inner in step.kernel.steps:
        if not isinstance(inner.kernel, View):
            builder.add(inner)
    return analyse(builder, step.outputs)


def _everything(name: str, dtypes: Sequence[str], dtype: str) -> bool:
    """`fuse` has asked the backend already."""
    return True
