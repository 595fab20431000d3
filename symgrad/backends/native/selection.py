"""Which native kernels do a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symgrad.backends.base import UnsupportedError
from symgrad.backends.native.kernel import NativeKernel
from symgrad.backends.native.layouts import Layouts
from symgrad.backends.native.llvm.host import host
from symgrad.backends.native.products.kernels import product_kernel
from symgrad.backends.native.products.layout import Layout
from symgrad.backends.native.table import Call
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import Operand
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Evaluate, Kernel, Library
from symgrad.lowering.steps import Step

PRODUCTS = frozenset(("dot", "matmul", "gemm"))


def fused_steps(graph: ClosedGraph, steps: Sequence[Step], types: Mapping[Variable, Operand]) -> Sequence[Step]:
    """Return the steps, fused."""
    for step in steps:
        if isinstance(step.kernel, Evaluate):
            raise UnsupportedError(f"{step.name} has no kernel")
    return steps


def has_kernel(step: Step) -> bool:
    """Whether a step may have a native kernel, once the sizes are known."""
    return not isinstance(step.kernel, Evaluate)


def in_place(step: Step) -> Sequence[tuple[int, int]]:
    """Return pairs (output, operand), by position: the output may take over the operand's memory."""
    kernel = step.kernel
    if isinstance(kernel, Library) and kernel.overwrites is not None:
        return [(0, kernel.overwrites)]
    return ()


def may_fail(kernel: Kernel) -> bool:
    """Whether a kernel may find something that it can't do."""
    return False


def calls_of(step: Step, layouts: Layouts) -> Sequence[Call]:
    """Return the native kernels that do a step, in order; raise `UnsupportedError` if there are none."""
    kernel = step.kernel
    if isinstance(kernel, Library) and kernel.name in PRODUCTS:
        found = _product(step, kernel, layouts)
        if found is not None:
            return [Call(found, (*step.inputs, *step.outputs), found.units, step=step)]
    raise UnsupportedError(f"{step.name} has no native kernel")


def _product(step: Step, kernel: Library, layouts: Layouts) -> NativeKernel | None:
    operands = [_layout(variable, layouts) for variable in step.inputs]
    output = _layout(step.outputs[0], layouts)
    return product_kernel(kernel.name, dict(kernel.attributes), operands, output, host().vector_bytes)


def _layout(variable: Variable, layouts: Layouts) -> Layout:
    location = layouts.of(variable)
    kind: Any = layouts.types[variable].type
    return Layout(kind.dtype, location.shape, location.strides)
