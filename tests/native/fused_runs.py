"""Runs fused steps, on the interpreter of kernel IR or as machine code, and compares them with their inner steps."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from oracle import TOLERANCES, assert_same

from symgrad.backends.native.emit import emit_kernel
from symgrad.backends.native.llvm.host import host
from symgrad.backends.native.llvm.jit import load
from symgrad.backends.native.llvm.text import module_text
from symgrad.backends.native.scalars import is_supported
from symgrad.backends.numpy.views import make_view
from symgrad.compile.binding import bind_types
from symgrad.graph.variables import Constant, SharedVariable
from symgrad.kernels.grammar import View
from symgrad.kernels.ir import grammar as ir
from symgrad.kernels.ir.interpreter import interpret
from symgrad.lowering.fusion import fuse, in_place, kernel_ir
from symgrad.lowering.meaning import evaluate
from symgrad.lowering.steps import Fused

ENTRY = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p
)  # fmt: skip


def bound(function: Any, arguments: Sequence[np.ndarray]) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Return values of the leaves and types of all variables of a function, for arguments."""
    values = dict(zip(function.graph.inputs, arguments, strict=True))
    for leaf in function.rewritten.leaves():
        if isinstance(leaf, Constant):
            values[leaf] = leaf.data
        elif isinstance(leaf, SharedVariable):
            values[leaf] = leaf.container.value
    shapes = {leaf: value.shape for leaf, value in values.items()}
    return values, bind_types(function.rewritten, shapes, function._compiled.lengths)


def fused_of(function: Any, arguments: Sequence[np.ndarray], fusion: bool = True) -> tuple[Any, Any, list[Any]]:
    """Return values of the leaves, types, and the fused steps of a function."""
    values, types = bound(function, arguments)
    steps = fuse(function._compiled.steps, types, function.rewritten.roots, is_supported, fusion=fusion)
    return values, types, steps


def check_function(
    function: Any, arguments: Sequence[np.ndarray], fusion: bool = True, native: bool = False, parts: int = 3
) -> list[Any]:
    """Run all steps of a function, the fused ones also as kernels; fail where a kernel differs. Return the steps."""
    values, types, steps = fused_of(function, arguments, fusion)
    with np.errstate(all="ignore"):
        for step in steps:
            check_step(step, values, types, native, parts)
        expected = _plain(function, arguments)
    for root, value in zip(function.rewritten.roots, expected, strict=True):
        assert_same(values[root], value, what=str(root), least_scale=1.0)
    return steps


def check_step(step: Any, values: dict[Any, Any], types: Mapping[Any, Any], native: bool, parts: int) -> None:
    """Run one step, and add its outputs to the values."""
    operands = [values[v] if v in values else types[v].known for v in step.inputs]
    if isinstance(step.kernel, View):
        values[step.outputs[0]] = make_view(step.kernel.how, operands)
        return
    if not isinstance(step.kernel, Fused):
        found = step.evaluate(*operands)
        values.update(zip(step.outputs, found, strict=True))
        return
    expected = evaluate(step, operands, types)
    kernel = kernel_ir(step, types)
    run = run_native if native else run_interpreted
    found = run(kernel, operands, step.kernel.strides, expected, parts)
    taken_over = dict(in_place(step)[::-1])
    taken_over = {output: operand for operand, output in {o: i for i, o in taken_over.items()}.items()}
    if taken_over:
        again = run(kernel, operands, step.kernel.strides, expected, parts, taken_over)
        for mine, theirs in zip(found, again, strict=True):
            np.testing.assert_array_equal(mine, theirs, f"in place {taken_over}: {step.name}")
    for output, mine, theirs in zip(step.outputs, found, expected, strict=True):
        dtypes = {types[v].type.dtype for inner in step.kernel.steps for v in (*inner.inputs, *inner.outputs)}
        allowed = max([TOLERANCES.get(dtype, 0.0) for dtype in dtypes]) * 20
        assert_same(mine, theirs, allowed, f"{output} of {step.name}", least_scale=1.0)
        values[output] = theirs


def flat_operand(array: np.ndarray, strides: Any) -> np.ndarray:
    """Return the elements of an operand as its kernel expects them: contiguous, or from its first one on."""
    if strides is None:
        return np.ascontiguousarray(array).reshape(-1)
    reach = 1 + sum((size - 1) * stride for size, stride in zip(array.shape, strides, strict=True))
    memory = np.zeros(max(reach, 0) if array.size else 0, array.dtype)
    if array.size:
        steps = [stride * array.itemsize for stride in strides]
        np.lib.stride_tricks.as_strided(memory, array.shape, steps)[...] = array
    return memory


def memory_of(
    operands: Sequence[np.ndarray], strides: Any, like: Sequence[np.ndarray], taken_over: Mapping[int, int]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return operands and outputs as flat arrays; some outputs take over the memory of operands."""
    arrays = [flat_operand(array, steps).copy() for array, steps in zip(operands, strides, strict=True)]
    outputs = [
        arrays[taken_over[number]] if number in taken_over else np.full(array.size, 99).astype(array.dtype)
        for number, array in enumerate(like)
    ]  # fmt: skip
    return arrays, outputs


def run_interpreted(
    kernel: ir.Kernel, operands: Sequence[np.ndarray], strides: Any, like: Sequence[np.ndarray], parts: int,
    taken_over: Mapping[int, int] | None = None,
) -> list[np.ndarray]:
    """Run a kernel on the interpreter."""
    arrays, outputs = memory_of(operands, strides, like, taken_over or {})
    assert interpret(kernel, [*arrays, *outputs], {}) == 0
    return [output.reshape(array.shape) for output, array in zip(outputs, like, strict=True)]


def run_native(
    kernel: ir.Kernel, operands: Sequence[np.ndarray], strides: Any, like: Sequence[np.ndarray], parts: int,
    taken_over: Mapping[int, int] | None = None,
) -> list[np.ndarray]:
    """Run a kernel as machine code, its units in several parts, the last first."""
    arrays, outputs = memory_of(operands, strides, like, taken_over or {})
    code = emit_kernel(kernel, host().vector_bytes, host().masked)
    entry = ENTRY(load(module_text(code.functions), [code.name])[code.name])
    pointers = (ctypes.c_void_p * (len(arrays) + len(outputs)))(*[a.ctypes.data for a in (*arrays, *outputs)])
    scratch = np.zeros(code.scratch + 128, np.uint8)
    address = -(-scratch.ctypes.data // 64) * 64
    units = int(code.units)
    edges = sorted({units * part // parts for part in range(parts + 1)})
    for begin, end in list(pairwise(edges))[::-1]:
        assert entry(pointers, None, begin, end, address) == 0
    return [output.reshape(array.shape) for output, array in zip(outputs, like, strict=True)]


def _plain(function: Any, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
    values, _ = bound(function, arguments)
    for step in function._compiled.steps:
        found = step.evaluate(*[values[variable] for variable in step.inputs])
        values.update(zip(step.outputs, found, strict=True))
    return [values[root] for root in function.rewritten.roots]
