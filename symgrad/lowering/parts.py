"""Large totals are taken in two steps: of parts, on any thread, and then of the parts' totals.

The parts depend on sizes only, so the result is the same for every number of threads.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from math import prod
from typing import Any

import numpy as np

from symgrad.graph.op import Operand
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Kernel, Library, Map, Reduction, Reshape, ScalarFunction, View
from symgrad.lowering.steps import Step

LEAST_ELEMENTS = 1 << 18
"""Totals of fewer elements are taken at once."""
PART = 1 << 14
"""About how many elements a part has."""

_ADD = ScalarFunction("add", np.add)
_SQUARE = ScalarFunction("sqr", np.square)


def in_parts(steps: Sequence[Step], types: MutableMapping[Variable, Operand]) -> list[Step]:
    """Return steps in which large totals are taken in parts; `types` gets those of new variables."""
    found: list[Step] = []
    known: dict[Any, Variable] = {}
    for step in steps:
        found.extend(_parts_of(step, types, known))
    return found


def _parts_of(step: Step, types: MutableMapping[Variable, Operand], known: dict[Any, Variable]) -> list[Step]:
    """Return the steps of a large total; `known` are the parts' totals that are there already."""
    kernel = step.kernel
    is_square = isinstance(kernel, Library) and kernel.name == "sum_of_squares"
    if not is_square and not isinstance(kernel, Reduction):
        return [step]
    kind: Any = types[step.inputs[0]].type
    if not kind.is_static or prod(kind.shape) < LEAST_ELEMENTS:
        return [step]
    axes = kernel.axes if isinstance(kernel, Reduction) else tuple(range(kind.ndim))
    parts = _number_of_parts(kind.shape, axes)
    if parts == 1:
        return [step]
    writer = _Writer(step, types)
    reduction = kernel if isinstance(kernel, Reduction) else Reduction(_ADD, axes, False, kind.dtype)
    function, dtype = reduction.function, reduction.dtype
    key = step.inputs[0], is_square, function, axes, dtype
    shape = (parts, kind.shape[0] // parts, *kind.shape[1:])
    inner = tuple([axis + 1 for axis in axes])
    rest = [size for axis, size in enumerate(shape) if axis not in inner]
    if key not in known:
        operand = step.inputs[0]
        if is_square:
            operand = writer.add(Map(_SQUARE), operand, kind.shape, dtype)
        cut = writer.add(View(Reshape(shape)), operand, shape, kind.dtype)
        known[key] = writer.add(Reduction(function, inner, False, dtype), cut, rest, dtype)
    total = Reduction(function, (0,), False, dtype)
    if not reduction.keepdims:
        writer.finish(total, known[key])
        return writer.steps
    whole = writer.add(total, known[key], rest[1:], dtype)
    kept: Any = types[step.outputs[0]].type
    writer.finish(View(Reshape(tuple(kept.shape))), whole)
    return writer.steps


def _number_of_parts(shape: Sequence[int], axes: Sequence[int]) -> int:
    """Return how many parts the first axis falls into: a divisor of it that gives parts of a good size; 1 if none."""
    if tuple(axes) != tuple(range(len(shape))) and tuple(axes) != (0,):
        return 1
    wanted = prod(shape) // PART
    divisors = [part for part in range(1, min(shape[0], 8 * wanted) + 1) if shape[0] % part == 0]
    best = min(divisors, key=lambda part: abs(part - wanted))
    return best if 4 * best >= min(wanted, 16) else 1


class _Writer:
    """Adds steps with new variables in place of one."""

    def __init__(self, step: Step, types: MutableMapping[Variable, Operand]) -> None:
        self.step = step
        self.types = types
        self.steps: list[Step] = []

    def add(self, kernel: Kernel, operand: Variable, shape: Sequence[int], dtype: str) -> Variable:
        """Add a step, and return its output."""
        kind = TensorType(dtype, tuple(shape), (False,) * len(shape))
        output: Variable = kind(None)
        self.types[output] = Operand(kind)
        self.steps.append(Step(kernel, self.step.name, (operand,), (output,), self.step.source))
        return output

    def finish(self, kernel: Kernel, operand: Variable) -> None:
        """Add the step that has the original output."""
        self.steps.append(Step(kernel, self.step.name, (operand,), self.step.outputs, self.step.source))
