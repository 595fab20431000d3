"""Fused steps that do the same: their kernel is written once. Long graphs repeat themselves."""

from __future__ import annotations

from typing import Any

from symgrad.graph.variables import Constant, Variable
from symgrad.lowering.open_sizes import OpenSizes
from symgrad.lowering.steps import Fused, Step

LARGEST_KNOWN = 64
"""Elements of a constant that steps are compared by; larger ones are never the same."""


def work_key(step: Step, sizes: OpenSizes) -> Any:
    """Return what is equal for two fused steps whose kernels are; None if that can't be told.

    Variables are numbered in the order in which the step mentions them, so it doesn't matter which ones they are.
    """
    assert isinstance(step.kernel, Fused)
    numbers: dict[Variable, int] = {}

    def numbered(variables: tuple[Variable, ...]) -> tuple[int, ...]:
        return tuple([numbers.setdefault(variable, len(numbers)) for variable in variables])

    parts = [(step.name, step.kernel.strides, step.kernel.may_fail, numbered(step.inputs), numbered(step.outputs))]
    described = [(inner.kernel, numbered(inner.inputs), numbered(inner.outputs)) for inner in step.kernel.steps]
    key = (*parts, *described, *[_known(variable, sizes) for variable in numbers])
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _known(variable: Variable, sizes: OpenSizes) -> Any:
    """Return all that is known about a variable."""
    operand = sizes.types[variable]
    known = variable.data if isinstance(variable, Constant) else operand.known
    value = None
    if known is not None:
        value = known.tobytes() if known.size <= LARGEST_KNOWN else id(variable)
    dims = sizes.dims.get(variable)
    return operand.type, None if dims is None else tuple(dims), type(variable).__name__, value
