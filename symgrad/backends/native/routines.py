"""The library routines that have native kernels: products, convolutions and pooling, random samples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any

from symgrad.backends.layouts import Layouts, bytes_of
from symgrad.backends.matrices import Layout
from symgrad.backends.native.calls import Call, Temporary
from symgrad.backends.native.convolutions import NAMES, convolution_kernel
from symgrad.backends.native.copies import copy_kernel
from symgrad.backends.native.kernel import NativeKernel
from symgrad.backends.native.llvm.host import Processor, host
from symgrad.backends.native.mrg import mrg_kernel
from symgrad.backends.native.products.kernels import PRODUCTS, product_kernels
from symgrad.backends.native.randomness import random_kernel
from symgrad.graph.dtypes import HALVES
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Library
from symgrad.lowering.steps import Step

ROUTINES = PRODUCTS | NAMES | {"random_sample", "mrg_sample"}
"""The names of all routines here."""

Found = Sequence[tuple[NativeKernel, Sequence[int]]] | None
"""Kernels, and which of the operands and outputs are their buffers; None if there are none."""


def routine_calls(step: Step, layouts: Layouts) -> Sequence[Call] | None:
    """Return the native kernels of a routine, in order, or None if it has none.

    Operands that aren't contiguous are copied first, unless there are kernels that take them as they are.
    """
    kernel = step.kernel
    assert isinstance(kernel, Library)
    described = [_layout(variable, layouts) for variable in (*step.inputs, *step.outputs)]
    straight = all(layouts.of(variable).is_contiguous for variable in step.inputs)
    calls: list[Call] = []
    operands: Sequence[Variable | Temporary] = step.inputs
    found = _kernels(kernel, tuple(described), len(operands), host()) if straight or kernel.name in PRODUCTS else None
    if found is None and not straight:
        calls, operands = _copied(step, layouts)
        described = [Layout.contiguous(layout.dtype, layout.shape) for layout in described]
        found = _kernels(kernel, tuple(described), len(operands), host())
    if found is None:
        return None
    buffers = [*operands, *step.outputs]
    return [*calls, *[_call(native, [buffers[number] for number in numbers], step) for native, numbers in found]]


@lru_cache(maxsize=64)
def _kernels(kernel: Library, described: tuple[Layout, ...], count: int, processor: Processor) -> Found:
    """Return the kernels of a routine with `count` operands, for the layouts of operands and outputs.

    Long graphs repeat themselves.
    """
    if any(layout.dtype in HALVES for layout in described):
        return None
    attributes, vector_bytes = dict(kernel.attributes), processor.vector_bytes
    if kernel.name in PRODUCTS:
        registers = processor.registers
        return product_kernels(kernel.name, attributes, described[:count], described[count:], vector_bytes, registers)
    if kernel.name == "random_sample":
        native = _sample(attributes, described, count, vector_bytes)
    elif kernel.name == "mrg_sample":
        sample = described[-1]
        native = mrg_kernel(described[0].shape[0], prod(sample.shape), sample.dtype, vector_bytes, count)
    else:
        shapes = [layout.shape for layout in described]
        native = convolution_kernel(kernel.name, attributes, shapes, described[count].dtype, vector_bytes)
    return None if native is None else [(native, range(len(described)))]


def _sample(
    attributes: dict[str, Any], described: Sequence[Layout], count: int, vector_bytes: int
) -> NativeKernel | None:
    sample, given = described[-1], described[1 : 1 + len(attributes["fixed_axes"])]
    if any(layout.shape for layout in given):
        return None
    elements = prod([size or 0 for size in sample.shape])
    dtypes = [layout.dtype for layout in given]
    return random_kernel(attributes["distribution"], sample.dtype, elements, dtypes, vector_bytes, count)


def _call(kernel: NativeKernel, buffers: Sequence[Variable | Temporary], step: Step) -> Call:
    assert isinstance(kernel.units, int)
    return Call(kernel, buffers, kernel.units, step=step)


def _copied(step: Step, layouts: Layouts) -> tuple[list[Call], list[Variable | Temporary]]:
    """Return the copies of a step's operands that aren't contiguous, and all operands after them."""
    calls: list[Call] = []
    operands: list[Variable | Temporary] = []
    for variable in step.inputs:
        location = layouts.of(variable)
        if location.is_contiguous:
            operands.append(variable)
            continue
        copy = Temporary(bytes_of(layouts.types, variable))
        kind: Any = layouts.types[variable].type
        calls.append(_call(copy_kernel(location, kind.dtype), (variable, copy), step))
        operands.append(copy)
    return calls, operands


def _layout(variable: Variable, layouts: Layouts) -> Layout:
    location = layouts.of(variable)
    kind: Any = layouts.types[variable].type
    return Layout(kind.dtype, location.shape, location.strides)
