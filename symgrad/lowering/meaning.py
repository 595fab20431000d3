"""What fused steps mean in NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symgrad.graph.op import Operand
from symgrad.graph.variables import Constant, Variable
from symgrad.kernels.grammar import Library, Map, Reduction, Reshape, View
from symgrad.lowering.steps import Fused, Step


def evaluate(
    step: Step, operands: Sequence[np.ndarray], types: Mapping[Variable, Operand]
) -> list[np.ndarray]:
    """Return the outputs of a fused step, computed by the inner steps' own NumPy meaning."""
    assert isinstance(step.kernel, Fused)
    maker = {output: inner for inner in step.kernel.steps for output in inner.outputs}
    values: dict[Variable, Any] = dict(zip(step.inputs, operands, strict=True))
    pending = list(step.outputs)
    while pending:
        variable = pending[-1]
        if variable not in values and (value := _known_value(variable, maker, types)) is not None:
            values[variable] = value
        if variable in values:
            pending.pop()
            continue
        inner = maker[variable]
        missing = [operand for operand in inner.inputs if operand not in values]
        pending.extend(missing)
        if not missing:
            found = evaluate_part(inner, [values[operand] for operand in inner.inputs])
            values.update(zip(inner.outputs, found, strict=True))
    return [np.ascontiguousarray(values[output]).reshape(np.shape(values[output])) for output in step.outputs]


def evaluate_part(step: Step, operands: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """Return what a step gives: what its op says, or for steps of parts, which no op has made, what the kernel says."""
    kernel = step.kernel
    if step.evaluate is not None:
        return step.evaluate(*operands)
    if isinstance(kernel, Map):
        return [kernel.function.numpy(*operands)]
    if isinstance(kernel, Reduction):
        reduce: Any = kernel.function.numpy.reduce  # type: ignore[attr-defined]
        return [np.asarray(reduce(operands[0], axis=kernel.axes, dtype=kernel.dtype, keepdims=kernel.keepdims))]
    assert isinstance(kernel, View) and isinstance(kernel.how, Reshape)
    return [operands[0].reshape([size for size in kernel.how.sizes if size is not None])]


def _known_value(variable: Variable, maker: Mapping[Variable, Step], types: Mapping[Variable, Operand]) -> Any:
    """Return the value of a constant, a size, or what is made of them; None if it must be computed."""
    if isinstance(variable, Constant):
        return variable.data
    kernel = maker[variable].kernel if variable in maker else None
    if isinstance(kernel, Library) and kernel.name == "size":
        kind: Any = types[maker[variable].inputs[0]].type
        size = kind.shape[dict(kernel.attributes)["axis"]]
        return None if size is None else np.array(size)
    return types[variable].known
