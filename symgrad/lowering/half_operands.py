"""Products that read floats of 16 bits themselves, where a graph casts them to float32 first.

A product of float32 whose operands are casts of floats of 16 bits is what hardware multiplies: operands of 16 bits,
sums and a result of float32. So the routine may read what was cast, and the cast is nobody's work.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symgrad.graph.dtypes import HALVES, is_half
from symgrad.graph.op import Operand
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Library, Map, View
from symgrad.lowering.steps import Step

PRODUCTS: Mapping[str, tuple[int, ...]] = {"dot": (0, 1), "matmul": (0, 1), "gemm": (2, 3), "matrix_step": (2, 3)}
"""For each product of matrices, which of its operands are multiplied."""

CONVOLUTIONS: Mapping[str, tuple[int, ...]] = {
    "conv2d": (0, 1), "conv_bias": (0, 1), "conv_pool": (0, 1), "conv2d_input_gradient": (0, 1),
    "conv2d_filter_gradient": (0, 1), "conv_pool_input_gradient": (0, 1), "conv_pool_filter_gradient": (0, 1),
}  # fmt: skip
"""For each convolution, which of its operands are multiplied."""


def with_half_operands(
    steps: Sequence[Step],
    types: MutableMapping[Variable, Operand],
    dims: MutableMapping[Variable, Any],
    roots: Collection[Variable],
    routines: Mapping[str, Sequence[int]],
) -> list[Step]:
    """Return steps in which routines read floats of 16 bits instead of what they are cast to.

    Parameters
    ----------
    steps : sequence of Step
        Causes first; none is fused yet.
    types, dims : mapping
        Types and named sizes of all variables; those of new ones are entered.
    roots : collection of Variable
        What has to be computed.
    routines : mapping of str to sequence of int
        Library routines that can, and which operands they multiply: either all of these are of 16 bits, or none.
    """
    writer = _Writer({output: step for step in steps for output in step.outputs}, types, dims)
    for step in steps:
        chosen = routines.get(step.kernel.name) if isinstance(step.kernel, Library) else None
        writer.add(step, chosen or ())
    return _used(writer.steps, roots)


@dataclass(frozen=True)
class InSingle:
    """The meaning of a routine, on operands of which some are of 16 bits."""

    evaluate: Callable[..., Sequence[np.ndarray]]

    def __call__(self, *operands: np.ndarray) -> Sequence[np.ndarray]:
        return self.evaluate(*[value.astype("float32") if is_half(value) else value for value in operands])


class _Writer:
    def __init__(
        self,
        maker: Mapping[Variable, Step],
        types: MutableMapping[Variable, Operand],
        dims: MutableMapping[Variable, Any],
    ) -> None:
        self.maker = maker
        self.types = types
        self.dims = dims
        self.steps: list[Step] = []
        self.known: dict[Variable, Variable] = {}

    def add(self, step: Step, positions: Sequence[int]) -> None:
        """Add a step; if what it multiplies at these positions was cast from one dtype, with operands of that."""
        sources = {self._source(step.inputs[position]) for position in positions}
        if len(sources) != 1 or None in sources:
            self.steps.append(step)
            return
        inputs = list(step.inputs)
        for position in positions:
            inputs[position] = self._half(inputs[position])
        evaluate = None if step.evaluate is None else InSingle(step.evaluate)
        self.steps.append(replace(step, inputs=tuple(inputs), evaluate=evaluate))

    def _source(self, variable: Variable) -> str | None:
        """Return the dtype of 16 bits that a variable was cast from, perhaps before views of it were taken."""
        step = self.maker.get(variable)
        while step is not None and isinstance(step.kernel, View):
            step = self.maker.get(step.inputs[0])
        if step is None or not isinstance(step.kernel, Map) or step.kernel.function.name != "cast_float32":
            return None
        dtype = self._dtype(step.inputs[0])
        return dtype if dtype in HALVES else None

    def _half(self, variable: Variable) -> Variable:
        """Return what was cast, seen as the variable sees it."""
        step = self.maker[variable]
        if isinstance(step.kernel, Map):
            return step.inputs[0]
        if variable not in self.known:
            source = self._half(step.inputs[0])
            kind: Any = self.types[variable].type
            half: Variable = kind.with_dtype(self._dtype(source))(None)
            self.types[half] = Operand(half.type)  # type: ignore[arg-type]
            if variable in self.dims:
                self.dims[half] = self.dims[variable]
            self.steps.append(replace(step, inputs=(source, *step.inputs[1:]), outputs=(half,)))
            self.known[variable] = half
        return self.known[variable]

    def _dtype(self, variable: Variable) -> str:
        kind: Any = self.types[variable].type
        return str(kind.dtype)


def _used(steps: Sequence[Step], roots: Collection[Variable]) -> list[Step]:
    """Return the steps without the casts, and the views of them, that nobody reads any more."""
    needed = set(roots)
    kept = []
    for step in reversed(steps):
        is_idle = isinstance(step.kernel, View | Map) and needed.isdisjoint(step.outputs)
        if not is_idle:
            needed.update(step.inputs)
            kept.append(step)
    return kept[::-1]
