"""Names for sizes that kernels leave open: two axes have the same name only if their sizes are always equal.

A function that has been called with arguments of one size and is now called with another is likely to see more; from
then on its kernels are written for any size of its arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from symgrad.graph.op import Operand
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Library, Map, Permute, Reduction, Same, Slice, View
from symgrad.lowering.steps import Step

Axis = tuple[Variable, int]
Size = int | str
SHAPED_LIKE_FIRST = frozenset(("softmax", "log_softmax", "softmax_gradient", "label_gradient"))


@dataclass(frozen=True, eq=False)
class OpenSizes:
    """What kernels may count on, and what they leave open.

    Attributes
    ----------
    types : mapping
        Type and known value of each variable, as far as kernels may count on them.
    dims : mapping
        The sizes of the variables whose type has open ones: numbers, and names.
    values : mapping
        What each name stands for in this plan.
    """

    types: Mapping[Variable, Operand]
    dims: Mapping[Variable, tuple[Size, ...]] = field(default_factory=dict)
    values: Mapping[str, int] = field(default_factory=dict)


def name_sizes(
    steps: Sequence[Step], bound: Mapping[Variable, Operand], loose: Mapping[Variable, Operand]
) -> OpenSizes:
    """Return names for all sizes that depend on arguments.

    Parameters
    ----------
    steps : sequence of Step
        Kernels, causes first.
    bound : mapping
        Types bound to the sizes of a call.
    loose : mapping
        Types bound to the sizes of shared variables only: what isn't known here depends on arguments.
    """
    names = _Names()
    for step in steps:
        for left, right in _equal_axes(step):
            if _is_open(loose, left) and _is_open(loose, right):
                names.join(left, right)
    dims: dict[Variable, tuple[Size, ...]] = {}
    values: dict[str, int] = {}
    for variable, operand in bound.items():
        kind: Any = operand.type
        if not getattr(kind, "is_static", False):
            continue
        sizes = [names.of((variable, axis)) if _is_open(loose, (variable, axis)) else size
                 for axis, size in enumerate(kind.shape)]  # fmt: skip
        found = {name: size for name, size in zip(sizes, kind.shape, strict=True) if isinstance(name, str)}
        if found:
            dims[variable] = tuple(sizes)
            values.update(found)
    return OpenSizes(loose, dims, values)


class _Names:
    """Classes of axes, each with the name of its first member."""

    def __init__(self) -> None:
        self.parent: dict[Axis, Axis] = {}
        self.named: dict[Axis, str] = {}

    def root(self, axis: Axis) -> Axis:
        while (above := self.parent.get(axis, axis)) is not axis:
            self.parent[axis] = axis = self.parent.get(above, above)
        return axis

    def join(self, left: Axis, right: Axis) -> None:
        left, right = self.root(left), self.root(right)
        if left != right:
            self.parent[right] = left

    def of(self, axis: Axis) -> str:
        return self.named.setdefault(self.root(axis), f"n{len(self.named)}")


def _is_open(loose: Mapping[Variable, Operand], axis: Axis) -> bool:
    kind: Any = loose[axis[0]].type
    return kind.shape[axis[1]] is None and not kind.broadcastable[axis[1]]


def _equal_axes(step: Step) -> list[tuple[Axis, Axis]]:
    """Return pairs of axes, of operands and outputs, whose sizes are always equal."""
    kernel, output = step.kernel, step.outputs[0]
    rank = output.type.ndim  # type: ignore[attr-defined]
    if isinstance(kernel, Map):
        return [
            ((output, rank - 1 - axis), (operand, _rank(operand) - 1 - axis))
            for operand in step.inputs for axis in range(_rank(operand))
        ]  # fmt: skip
    source = step.inputs[0] if step.inputs else None
    if source is None:
        return []
    if isinstance(kernel, Reduction):
        kept = [axis for axis in range(_rank(source)) if kernel.keepdims or axis not in kernel.axes]
        return [
            ((source, axis), (output, place)) for place, axis in enumerate(kept) if axis not in kernel.axes
        ]  # fmt: skip
    if isinstance(kernel, View):
        return _equal_axes_of_view(kernel.how, source, output)
    if isinstance(kernel, Library) and kernel.name in SHAPED_LIKE_FIRST:
        return [((source, axis), (output, axis)) for axis in range(rank)]
    if isinstance(kernel, Library) and kernel.name == "dot" and _rank(source) == _rank(step.inputs[1]) == 2:
        return [((source, 0), (output, 0)), ((step.inputs[1], 1), (output, 1))]
    return []


def _equal_axes_of_view(how: Any, source: Variable, output: Variable) -> list[tuple[Axis, Axis]]:
    if isinstance(how, Same):
        return [((source, axis), (output, axis)) for axis in range(_rank(source))]
    if isinstance(how, Permute):
        return [((source, axis), (output, place)) for place, axis in enumerate(how.order) if axis is not None]
    if isinstance(how, Slice):
        left = _rank(source) - len(how.index)
        return [
            ((source, _rank(source) - 1 - axis), (output, _rank(output) - 1 - axis)) for axis in range(left)
        ]  # fmt: skip
    return []


def _rank(variable: Variable) -> int:
    return int(variable.type.ndim)  # type: ignore[attr-defined]
