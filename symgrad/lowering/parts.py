"""Large totals are taken in two steps: of parts, on any thread, and then of the parts' totals.

The parts depend on sizes only, so the result is the same for every number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from math import prod
from typing import Any

import numpy as np

from symgrad.graph.dtypes import HALVES
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


Choice = Callable[[Sequence[int], Sequence[int]], tuple[int, int]]
"""``choose(shape, axes)`` returns along which reduced axis to cut a total, and into how many parts; 1 is none."""


def by_rows(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, int]:
    """Cut large totals along the first axis, into parts that a thread takes some microseconds for."""
    if prod(shape) < LEAST_ELEMENTS or (tuple(axes) != tuple(range(len(shape))) and tuple(axes) != (0,)):
        return 0, 1
    wanted = prod(shape) // PART
    best = nearest_divisor(shape[0], wanted)
    return 0, best if 4 * best >= min(wanted, 16) else 1


def nearest_divisor(size: int, wanted: int) -> int:
    """Return the divisor of a size that is nearest to a number of parts.

    Examples
    --------
    >>> nearest_divisor(60, 7), nearest_divisor(13, 5)
    (6, 1)
    """
    divisors = [count for count in range(1, min(size, 8 * max(wanted, 1)) + 1) if size % count == 0]
    return min(divisors, key=lambda count: abs(count - wanted))


def in_parts(
    steps: Sequence[Step], types: MutableMapping[Variable, Operand], choose: Choice = by_rows
) -> list[Step]:
    """Return steps in which large totals are taken in parts; `types` gets those of new variables."""
    found: list[Step] = []
    known: dict[Any, Variable] = {}
    for step in steps:
        found.extend(_parts_of(step, types, known, choose))
    return found


def _parts_of(
    step: Step, types: MutableMapping[Variable, Operand], known: dict[Any, Variable], choose: Choice
) -> list[Step]:
    """Return the steps of a large total; `known` are the parts' totals that are there already."""
    kernel = step.kernel
    is_square = isinstance(kernel, Library) and kernel.name == "sum_of_squares"
    if not is_square and not isinstance(kernel, Reduction):
        return [step]
    kind: Any = types[step.inputs[0]].type
    axes = kernel.axes if isinstance(kernel, Reduction) else tuple(range(kind.ndim))
    if not kind.is_static or not axes or 0 in kind.shape or kind.dtype in HALVES:  # these are rounded once, at the end
        return [step]
    cut_axis, parts = choose(kind.shape, axes)
    if parts == 1:
        return [step]
    writer = _Writer(step, types)
    reduction = kernel if isinstance(kernel, Reduction) else Reduction(_ADD, axes, False, kind.dtype)
    function, dtype = reduction.function, reduction.dtype
    key = step.inputs[0], is_square, function, axes, dtype
    shape = (*kind.shape[:cut_axis], parts, kind.shape[cut_axis] // parts, *kind.shape[cut_axis + 1 :])
    inner = tuple([axis + (axis >= cut_axis) for axis in axes])
    rest = [size for axis, size in enumerate(shape) if axis not in inner]
    if key not in known:
        operand = step.inputs[0]
        if is_square:
            operand = writer.add(Map(_SQUARE), operand, kind.shape, dtype)
        cut = writer.add(View(Reshape(shape)), operand, shape, kind.dtype)
        known[key] = writer.add(Reduction(function, inner, False, dtype), cut, rest, dtype)
    place = sum(axis not in axes for axis in range(cut_axis))
    total = Reduction(function, (place,), False, dtype)
    if not reduction.keepdims:
        writer.finish(total, known[key])
        return writer.steps
    whole = writer.add(total, known[key], [*rest[:place], *rest[place + 1 :]], dtype)
    kept: Any = types[step.outputs[0]].type
    writer.finish(View(Reshape(tuple(kept.shape))), whole)
    return writer.steps


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
