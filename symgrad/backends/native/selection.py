"""Which native kernels do a step."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from symgrad.backends.base import UnsupportedError
from symgrad.backends.layouts import Layouts
from symgrad.backends.native.calls import Call
from symgrad.backends.native.copies import copy_kernel
from symgrad.backends.native.emit import emit_kernel
from symgrad.backends.native.equal_steps import work_key
from symgrad.backends.native.kernel import NativeKernel
from symgrad.backends.native.llvm.host import host
from symgrad.backends.native.llvm.text import module_text
from symgrad.backends.native.regions import region_copies
from symgrad.backends.native.routines import ROUTINES, routine_calls
from symgrad.backends.native.scalars import ELEMENTS, is_supported
from symgrad.backends.native.traits import in_place, may_fail
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.dtypes import HALVES
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import (
    Branch,
    Evaluate,
    Library,
    Loop,
    Map,
    Reduction,
    View,
)
from symgrad.lowering.fusion import grouped, kernel_ir, share_nest, work_of
from symgrad.lowering.fusion.axes import UnfusableError
from symgrad.lowering.fusion.building import supports
from symgrad.lowering.fusion.copying import copies
from symgrad.lowering.fusion.library import EXPANSIONS
from symgrad.lowering.open_sizes import OpenSizes
from symgrad.lowering.plan import Change, Plan
from symgrad.lowering.steps import Bound, Fused, Step


def fused_steps(graph: ClosedGraph, steps: Sequence[Step], sizes: OpenSizes, fusion: bool) -> Sequence[Step]:
    """Return steps, whose large totals are in parts, fused; raise `UnsupportedError` if one can't have a kernel."""
    fused = grouped(steps, sizes.types, graph.roots, _has_function, sizes.dims, fusion)
    for step in fused:
        kinds: list[Any] = [sizes.types[variable].type for variable in (*step.inputs, *step.outputs)]
        odd = [kind for kind in kinds if getattr(kind, "dtype", None) not in ELEMENTS]
        if odd or isinstance(step.kernel, Evaluate | Map | Reduction | Loop | Branch):
            raise UnsupportedError(f"{step.name} has no native kernel")
        try:
            in_place(step)  # while nobody has asked for the kernel itself
        except UnfusableError as error:  # the loops over an output of open sizes
            raise UnsupportedError(f"{step.name} has no native kernel: {error}") from None
    return fused


def recall(steps: Sequence[Step], fused: Sequence[Step]) -> None:
    """Let fused steps from the cache know what has been found about the same steps in this process."""
    for step, same in zip(steps, fused, strict=True):
        share_nest(step, same)


def selected(
    plan: Plan, layouts: Layouts, written: Callable[[NativeKernel], None]
) -> tuple[dict[Step, Sequence[Call]], dict[Variable, NativeKernel]]:
    """Return the kernels of each step that isn't a view, and those that copy what leaves the plan.

    Each is handed to `written` as soon as it has been written.
    """
    sizes = plan.sizes or OpenSizes(plan.types)
    known: dict[Any, Call] = {}
    calls: dict[Step, Sequence[Call]] = {}
    overwriting = plan.overwriting_steps()
    for step in [action.step for action in plan.actions if not isinstance(action.step.kernel, View)]:
        calls[step] = calls_of(step, layouts, sizes, known, step in overwriting)
        for call in calls[step]:
            written(call.kernel)
    copies = _copies(plan, layouts)
    for kernel in copies.values():
        written(kernel)
    return calls, copies


def text_of(kernels: Iterable[NativeKernel]) -> str:
    """Return the module of some kernels."""
    return module_text([function for kernel in kernels for function in kernel.functions or ()])


def _copies(plan: Plan, layouts: Layouts) -> dict[Variable, NativeKernel]:
    """Return a copying kernel for everything that leaves the plan and isn't contiguous."""
    leaving = [*plan.graph.outputs, *[commit.value for commit in plan.commits if commit.change is not Change.WRITTEN]]
    found = {}
    for variable in leaving:
        location = layouts.of(variable)
        if not location.is_contiguous:
            found[variable] = copy_kernel(location, plan.types[variable].type.dtype)  # type: ignore[attr-defined]
    return found


def has_kernel(step: Step) -> bool:
    """Whether a step may have a native kernel, once the sizes are known."""
    kernel = step.kernel
    kinds: list[Any] = [variable.type for variable in (*step.inputs, *step.outputs)]
    if not all(getattr(kind, "dtype", None) in ELEMENTS for kind in kinds):
        return False
    if isinstance(kernel, Map):
        dtypes = [kind.dtype for kind in kinds[: len(step.inputs)]]
        return _has_function(kernel.function.name, dtypes, kinds[-1].dtype)
    if isinstance(kernel, Library):
        has_halves = any(kind.dtype in HALVES for kind in kinds)
        return (kernel.name in ROUTINES and not has_halves) or kernel.name in EXPANSIONS or copies(step)
    return not isinstance(kernel, Evaluate | Loop | Branch) or copies(step)


def _has_function(name: str, dtypes: Sequence[str], dtype: str) -> bool:
    """Whether kernels can have a scalar function, and hold its operands and results in memory."""
    return all(found in ELEMENTS for found in (*dtypes, dtype)) and supports(is_supported, name, dtypes, dtype)


def calls_of(
    step: Step, layouts: Layouts, sizes: OpenSizes, known: dict[Any, Call], overwrites: bool
) -> Sequence[Call]:
    """Return the native kernels that do a step, in order; raise `UnsupportedError` if there are none.

    `overwrites` says whether the first output is the memory of the first operand. What `known` has from an equal step
    is taken from there.
    """
    kernel = step.kernel
    buffers = (*step.inputs, *step.outputs)
    if isinstance(kernel, Bound):
        return region_copies(step, layouts)
    if isinstance(kernel, Fused):
        _check_strides(step, layouts, sizes)
        key = work_key(step, sizes), overwrites
        if key[0] is None or key not in known:
            known[key] = _fused(step, buffers, layouts, sizes, overwrites)
        return [replace(known[key], buffers=buffers, step=step)]
    if isinstance(kernel, Library) and kernel.name in ROUTINES:
        calls = routine_calls(step, layouts)
        if calls is not None:
            return calls
    raise UnsupportedError(f"{step.name} has no native kernel")


def _fused(step: Step, buffers: Sequence[Variable], layouts: Layouts, sizes: OpenSizes, overwrites: bool) -> Call:
    try:
        written = kernel_ir(step, sizes.types, sizes.dims, overwrites)
    except UnfusableError as error:  # memory whose extent is a product of open sizes
        raise UnsupportedError(f"{step.name} has no native kernel: {error}") from None
    digest = hashlib.sha256(repr(written).encode()).hexdigest()[:12]
    written = replace(written, name=f"{written.name}_{digest}")
    processor = host()
    flops, moved = work_of(step, layouts.types)
    emitted = _emitted(written, processor.vector_bytes, processor.masked)
    kernel = replace(emitted, flops=flops, bytes=moved, may_fail=may_fail(step.kernel))
    given = [sizes.values[name] for name in written.sizes]
    units = kernel.units
    if isinstance(units, str):
        units = -(-sizes.values[units] // kernel.unit_block)
    return Call(kernel, buffers, units, given, step)


@lru_cache(maxsize=256)
def _emitted(written: Any, vector_bytes: int, masked: bool) -> NativeKernel:
    """Return the text of a kernel; long graphs repeat themselves."""
    return emit_kernel(written, vector_bytes, masked)


def _check_strides(step: Step, layouts: Layouts, sizes: OpenSizes) -> None:
    """Raise if an operand isn't where the fused kernel expects it."""
    assert isinstance(step.kernel, Fused)
    for variable, strides in zip(step.inputs, step.kernel.strides, strict=True):
        location = layouts.of(variable)
        if location.is_contiguous if strides is None else _same_steps(location, strides, sizes.values):
            continue
        raise UnsupportedError(f"{variable} isn't contiguous")


def _same_steps(location: Any, strides: Sequence[int | str], values: Mapping[str, int]) -> bool:
    return all(
        size == 1 or mine == (values.get(theirs) if isinstance(theirs, str) else theirs)
        for size, mine, theirs in zip(location.shape, location.strides, strides, strict=True)
    ) or 0 in location.shape  # fmt: skip
