"""About how much a step computes, reads and writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any

import numpy as np

from symgrad.graph.op import Operand
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Library, Map, Reduction, View
from symgrad.lowering.steps import Fused, Step

ROW_FUNCTIONS = frozenset(("softmax", "log_softmax", "softmax_gradient", "log_softmax_at", "label_gradient"))
ROW_FUNCTION_FLOPS = 4
"""About what softmax and its relatives do for each element: a maximum, an exponential, a sum, a quotient."""


def bytes_of_variables(variables: Iterable[Variable], types: Mapping[Variable, Operand]) -> int:
    """Return the bytes of all elements of the variables, each counted once; those of unknown sizes count as none."""
    total = 0
    for variable in dict.fromkeys(variables):
        kind: Any = types[variable].type if variable in types else variable.type
        shape = getattr(kind, "shape", (None,))
        if None not in shape:
            total += prod(shape) * np.dtype(kind.dtype).itemsize
    return total


def bytes_of_step(step: Step, types: Mapping[Variable, Operand]) -> int:
    """Return how many bytes a step reads and writes at the least; a view moves none."""
    return 0 if isinstance(step.kernel, View) else bytes_of_variables((*step.inputs, *step.outputs), types)


def flops_of_step(step: Step, types: Mapping[Variable, Operand]) -> int:
    """Return how many operations on elements a step does; 0 where that isn't known."""
    kernel = step.kernel
    if isinstance(kernel, Map):
        return _elements(step.outputs[0], types)
    if isinstance(kernel, Reduction):
        return _elements(step.inputs[0], types)
    if isinstance(kernel, Library):
        return _flops_of_routine(kernel.name, step, types)
    if isinstance(kernel, Fused):
        return sum(flops_of_step(inner, types) for inner in kernel.steps)
    return 0


def _flops_of_routine(name: str, step: Step, types: Mapping[Variable, Operand]) -> int:
    shapes = [_shape(variable, types) for variable in step.inputs]
    made = _shape(step.outputs[0], types)
    if name in ("dot", "matmul") and shapes[0]:
        return 2 * prod(made) * shapes[0][-1]
    if name == "gemm":
        return 2 * prod(made) * shapes[2][-1]
    if name in ("conv2d", "windowed_conv2d"):
        return 2 * prod(made) * prod(shapes[1][1:])
    if name in ("conv2d_input_gradient", "windowed_input_gradient"):
        return 2 * prod(shapes[0]) * prod(shapes[1][1:])
    if name in ("conv2d_filter_gradient", "windowed_filter_gradient"):
        return 2 * prod(shapes[1]) * prod(made[1:])
    if name in ROW_FUNCTIONS:
        return ROW_FUNCTION_FLOPS * max(prod(made), prod(shapes[0]))
    return 0


def _elements(variable: Variable, types: Mapping[Variable, Operand]) -> int:
    return prod(_shape(variable, types))


def _shape(variable: Variable, types: Mapping[Variable, Operand]) -> tuple[int, ...]:
    """Return the sizes; an unknown one is 0."""
    kind: Any = types[variable].type
    return tuple(size or 0 for size in kind.shape)
