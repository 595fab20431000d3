"""Which kernels, library calls or host calls do a step."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from symgrad.backends.base import UnsupportedError
from symgrad.backends.copying import copy_ir
from symgrad.backends.cupy.calls import ArrayCall, Call, Found, HostCall, Temporary
from symgrad.backends.cupy.convolutions import NAMES as CONVOLUTIONS
from symgrad.backends.cupy.convolutions import convolution_calls
from symgrad.backends.cupy.emit import emit_kernel, is_supported
from symgrad.backends.cupy.indexing.scatter import scatter_calls, scattered
from symgrad.backends.cupy.kernel import CudaKernel, Target, starting_late
from symgrad.backends.cupy.libraries.meanings import array_call
from symgrad.backends.cupy.prelude import TYPES
from symgrad.backends.cupy.products import PRODUCTS, product_calls
from symgrad.backends.cupy.randomness import mrg_calls, random_calls
from symgrad.backends.cupy.recurrences import recurrence_calls
from symgrad.backends.cupy.traits import in_place
from symgrad.backends.layouts import Layouts, Location, contiguous
from symgrad.backends.matrices import Layout
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Branch, Evaluate, Library, Loop, Map
from symgrad.kernels.ir.functions import DTYPES
from symgrad.lowering import half_operands
from symgrad.lowering.fusion import grouped, kernel_ir, sources_of, work_of
from symgrad.lowering.fusion.axes import UnfusableError
from symgrad.lowering.fusion.building import supports
from symgrad.lowering.open_sizes import OpenSizes
from symgrad.lowering.parts import in_parts, nearest_divisor
from symgrad.lowering.steps import Bound, Fused, Step

HALF_OPERANDS = {**half_operands.PRODUCTS, **half_operands.CONVOLUTIONS}
"""The routines that multiply floats of 16 bits for results of 32, and which of their operands those are."""
ENOUGH_BLOCKS = 256
"""Totals along neighbours in memory are taken in parts until so many blocks have one, of some thousand elements."""
LEAST_PART = 1 << 11
ENOUGH_THREADS = 1 << 14
"""Totals across rows are taken in parts until so many threads have one, of some dozen rows each."""
LEAST_ROWS = 32


def fused_steps(graph: ClosedGraph, steps: Sequence[Step], sizes: OpenSizes, fusion: bool) -> Sequence[Step]:
    """Return the steps, fused; raise `UnsupportedError` if one can't be a part of a CUDA program."""
    if fusion and not sizes.dims:
        steps = in_parts(steps, sizes.types, by_units)  # type: ignore[arg-type]
    types, dims = sizes.types, sizes.dims
    steps = half_operands.with_half_operands(steps, types, dims, graph.roots, HALF_OPERANDS)  # type: ignore[arg-type]
    fused = grouped(steps, sizes.types, graph.roots, is_supported, sizes.dims, fusion)
    for step in fused:
        for variable in (*step.inputs, *step.outputs):
            kind: Any = sizes.types[variable].type
            if getattr(kind, "dtype", None) not in TYPES:
                raise UnsupportedError(f"{step.name} has operands or results that no kernel holds")
        if isinstance(step.kernel, Loop | Branch):
            raise UnsupportedError(f"{step.name} has no program for its graphs")
    return fused


def by_units(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, int]:
    """Cut a total so that the whole device has something to do: blocks along neighbours, threads across rows."""
    reduced = prod([shape[axis] for axis in axes])
    results = prod(shape) // reduced
    neighbours = len(shape) - 1 in axes
    units, least = (ENOUGH_BLOCKS, LEAST_PART) if neighbours else (ENOUGH_THREADS, LEAST_ROWS)
    wanted = min(-(-units // results), reduced // least)
    cut_axis = max(axes, key=lambda axis: shape[axis])
    return cut_axis, 1 if wanted < 2 else nearest_divisor(shape[cut_axis], wanted)


def has_kernel(step: Step) -> bool:
    """Whether a step may be done on the device, once the sizes are known."""
    kernel = step.kernel
    kinds: list[Any] = [variable.type for variable in (*step.inputs, *step.outputs)]
    if not all(isinstance(kind, TensorType) and kind.dtype in TYPES for kind in kinds):
        return False
    if isinstance(kernel, Map):
        dtypes = [kind.dtype for kind in kinds[:-1]]
        return supports(is_supported, kernel.function.name, dtypes, kinds[-1].dtype)
    if isinstance(kernel, Evaluate):
        return array_call(kernel, [kind.dtype for kind in kinds], len(step.inputs)) is not None
    return not isinstance(kernel, Loop | Branch)


@dataclass(eq=False)
class Selection:
    """Chooses the work of all steps of one plan.

    Attributes
    ----------
    layouts : Layouts
        Where each variable is.
    sizes : OpenSizes
        What kernels may count on.
    target : Target
        The device.
    """

    layouts: Layouts
    sizes: OpenSizes
    target: Target
    _written: dict[Any, CudaKernel] = field(default_factory=dict)
    _lasting: dict[Variable, Temporary] = field(default_factory=dict)
    """Copies that other steps may want as well, such as those of minibatches."""

    def calls_of(self, step: Step, overwrites: bool, guarded: bool) -> Sequence[Call]:
        """Return the work of a step, in order.

        Parameters
        ----------
        step : Step
            Anything but a view.
        overwrites : bool
            Whether the first output is the memory of the first operand.
        guarded : bool
            Whether an output is the storage of a shared variable and the program may fail: then only what looks at the
            status word may write it.

        Raises
        ------
        UnsupportedError
            If it can't be done in a CUDA program.
        """
        if isinstance(step.kernel, Bound):
            return self._copies_for_rounds(step)
        if isinstance(step.kernel, Fused):
            return self._fused(step, overwrites, guarded)
        if isinstance(step.kernel, Library):
            found = self._routine(step, step.kernel, guarded)
            if found is not None:
                return found
        return self._without_kernel(step)

    # ---- fused loops ----

    def _fused(self, step: Step, overwrites: bool, guarded: bool) -> Sequence[Call]:
        assert isinstance(step.kernel, Fused)
        last = step.kernel.steps[-1]
        if isinstance(last.kernel, Library) and not self.sizes.dims:
            parallel = self._in_parallel(step, last.kernel, overwrites)
            if parallel is not None:
                return parallel
        if guarded and step.kernel.may_fail:
            raise UnsupportedError(f"{step.name} may write into storage before it fails")
        self._check_strides(step)
        try:
            written = kernel_ir(step, self.sizes.types, self.sizes.dims, overwrites)
        except UnfusableError as error:
            raise UnsupportedError(f"{step.name} has no kernel: {error}") from None
        moving = frozenset(number for number, v in enumerate(step.inputs) if self.layouts.starts_late(v))
        meeting = tuple([(read, len(step.inputs) + made) for made, read in in_place(step)])
        kernel = self._emitted(written, moving, meeting)
        flops, moved = work_of(step, self.layouts.types)
        kernel = replace(kernel, flops=flops, bytes=moved, may_fail=kernel.may_fail)
        given = [self.sizes.values[name] for name in written.sizes]
        return [Call(kernel, (*step.inputs, *step.outputs), given, step)]

    def _emitted(
        self, written: Any, moving: frozenset[int], meeting: tuple[tuple[int, int], ...] = ()
    ) -> CudaKernel:
        """Return the text of a kernel; long graphs repeat themselves.

        Operands `moving` start late; pairs `meeting` of operands and outputs may be the same memory.
        """
        named = repr(replace(written, name="")), tuple(sorted(moving)), meeting
        key = *named, tuple([self.sizes.values[name] for name in written.sizes])
        kernel = self._written.get(key)
        if kernel is None:
            digest = hashlib.sha256(repr(named).encode()).hexdigest()[:12]
            renamed = replace(written, name=f"{written.name}_{digest}")
            kernel = self._written[key] = emit_kernel(renamed, self.sizes.values, self.target, moving, meeting)
        return kernel

    def _check_strides(self, step: Step) -> None:
        """Raise if an operand isn't where the fused kernel expects it."""
        assert isinstance(step.kernel, Fused)
        for variable, strides in zip(step.inputs, step.kernel.strides, strict=True):
            location = self.layouts.of(variable)
            if location.is_contiguous if strides is None else _same_steps(location, strides, self.sizes.values):
                continue
            raise UnsupportedError(f"{variable} isn't contiguous")

    # ---- routines ----

    def _routine(self, step: Step, kernel: Library, guarded: bool) -> Sequence[Call] | None:
        """Return the work of a routine, with as few copies of operands as it can do with."""
        for strided in (True, False) if kernel.name in PRODUCTS else (False,):
            for late in (True, False):
                calls, operands = self._copied(step, strided, late)
                found = self._found(step, kernel, operands, guarded)
                if found is None:
                    break
                with_found = self._with(calls, found, operands, step)
                if with_found is not None:
                    return with_found
        return None

    def _found(self, step: Step, kernel: Library, operands: Sequence[Any], guarded: bool = False) -> Found:
        """Return what a room of routines has for a step; operands that were copied are contiguous."""
        if kernel.name in PRODUCTS:
            layouts = [self._layout(v, copied) for v, copied in zip(step.inputs, operands, strict=True)]
            outputs = [self._layout(v) for v in step.outputs]
            return product_calls(kernel.name, dict(kernel.attributes), layouts, outputs, self.target, guarded)
        variables = (*step.inputs, *step.outputs)
        shapes = [self.layouts.shape(variable) for variable in variables]
        dtypes = [self._dtype(variable) for variable in variables]
        room = convolution_calls if kernel.name in CONVOLUTIONS else ROOMS.get(kernel.name)
        if room is None:
            return None
        return room(kernel.name, dict(kernel.attributes), shapes, dtypes, len(step.inputs), self.target)

    def _in_parallel(self, step: Step, kernel: Library, overwrites: bool) -> Sequence[Call] | None:
        """Return kernels that write at positions or go along an axis with many threads, where there are some."""
        assert isinstance(step.kernel, Fused)
        inner = step.kernel.steps[-1]
        if kernel.name in ("write", "write_at"):
            try:
                operands = sources_of(step, self.sizes.types)
            except UnfusableError:
                return None
            self._check_strides(step)
            attributes = {**dict(kernel.attributes), "in_place": overwrites}
            kinds: list[Any] = [self.sizes.types[variable].type for variable in inner.inputs]
            dtypes = [kind.dtype for kind in kinds]
            found = scattered(attributes, operands, dtypes, len(step.inputs), self.target)
            return None if found is None else self._with((), found, step.inputs, step)
        if kernel.name not in ROOMS or not set(inner.inputs) <= set(step.inputs):
            return None
        calls, copied = self._copied(inner)
        found = self._found(inner, kernel, copied)
        return None if found is None else self._with(calls, found, copied, inner)

    def _with(
        self, calls: Sequence[Call], found: Sequence[Any], operands: Sequence[Variable | Temporary], step: Step
    ) -> Sequence[Call] | None:
        """Return copies and then the work itself; None if a library would need the start of an operand."""
        buffers = [*operands, *step.outputs]
        made = list(calls)
        for work, numbers in found:
            chosen = [number if isinstance(number, Temporary) else buffers[number] for number in numbers]
            late = [n for n, buffer in enumerate(chosen)
                    if isinstance(buffer, Variable) and self.layouts.starts_late(buffer)]  # fmt: skip
            if late and not isinstance(work, CudaKernel):
                return None
            made.append(Call(starting_late(work, late) if late else work, chosen, step=step))
        for call in calls:
            variable, copied = call.buffers
            if copied.lasts:  # type: ignore[union-attr]
                self._lasting[variable] = copied  # type: ignore[index, assignment]
        return made

    # ---- steps that no kernel does ----

    def _without_kernel(self, step: Step) -> Sequence[Call]:
        """Return the call of a CuPy function, or of the op's own NumPy meaning on the host."""
        kernel = step.kernel
        for variable in (*step.inputs, *step.outputs):
            self.layouts.shape(variable)  # the device needs to know where things go
        calls, operands = self._copied(step)
        buffers = [*operands, *step.outputs]
        work: ArrayCall | HostCall | None = None
        if isinstance(kernel, Evaluate):
            work = array_call(kernel, [self._dtype(v) for v in (*step.inputs, *step.outputs)], len(step.inputs))
        if work is None:
            evaluate = kernel.evaluate if isinstance(kernel, Evaluate) else step.evaluate
            if evaluate is None:
                raise UnsupportedError(f"{step.name} has no kernel")
            work = HostCall(step.name, evaluate)
        return [*calls, Call(work, buffers, step=step)]

    # ---- operands ----

    def _dtype(self, variable: Variable) -> str:
        kind: Any = self.layouts.types[variable].type
        return str(kind.dtype)

    def _layout(self, variable: Variable, copied: Variable | Temporary | None = None) -> Layout:
        location = self.layouts.of(variable)
        if isinstance(copied, Temporary):
            return Layout.contiguous(self._dtype(variable), location.shape)
        return Layout(self._dtype(variable), location.shape, location.strides)

    def _copied(
        self, step: Step, strided: bool = False, late: bool = False
    ) -> tuple[list[Call], list[Variable | Temporary]]:
        """Return the copies of operands that can't be taken where they are, and all operands after them.

        `strided` and `late` say whether operands may be strided, or start late.
        """
        calls: list[Call] = []
        operands: list[Variable | Temporary] = []
        known: dict[Variable, Any] = {}
        for variable in step.inputs:
            location = self.layouts.of(variable)
            if (late or not self.layouts.starts_late(variable)) and (strided or location.is_contiguous):
                operands.append(variable)
                continue
            if variable not in known and variable not in self._lasting:
                calls.append(self.copy(variable, step))
                known[variable] = calls[-1].buffers[1]
            operands.append(known[variable] if variable in known else self._lasting[variable])
        return calls, operands

    def copy(self, variable: Variable, step: Step | None) -> Call:
        """Return the call that copies a variable into contiguous temporary memory."""
        size = prod(self.layouts.shape(variable)) * DTYPES[self._dtype(variable)]
        temporary = Temporary(size, lasts=self.layouts.starts_late(variable))
        return Call(self.copying(variable), (variable, temporary), step=step)

    def copying(self, variable: Variable) -> CudaKernel:
        """Return the kernel that copies a variable into contiguous memory."""
        location = self.layouts.of(variable)
        moving = frozenset((0,)) if self.layouts.starts_late(variable) else frozenset[int]()
        kernel = self._emitted(copy_ir(location, self._dtype(variable)), moving)
        return replace(kernel, bytes=2 * prod(location.shape) * DTYPES[self._dtype(variable)])

    def copying_elements(self, count: int, dtype: str) -> CudaKernel:
        """Return the kernel that copies contiguous elements."""
        location = Location(Variable(TensorType(dtype, (count,))), 0, (count,), (1,))
        return replace(self._emitted(copy_ir(location, dtype), frozenset()), bytes=2 * count * DTYPES[dtype])

    def _copies_for_rounds(self, step: Step) -> list[Call]:
        """Return the copies of those operands that the programs of a loop or branch can't read where they are."""
        bound = step.kernel
        assert isinstance(bound, Bound)
        is_loop = isinstance(bound.kernel, Loop)
        by_rows = bound.kernel.sequences + len(bound.kernel.states) if isinstance(bound.kernel, Loop) else 0
        calls: dict[Variable, Call] = {}
        for number, variable in enumerate(step.inputs if is_loop else step.inputs[1:]):
            location = self.layouts.of(variable)
            expected = contiguous(location.shape)
            pairs = list(zip(location.shape, location.strides, expected, strict=True))[int(number < by_rows) :]
            straight = all(size == 1 or stride == row_major for size, stride, row_major in pairs)
            if self.layouts.starts_late(variable) or not (straight or 0 in location.shape):
                calls.setdefault(variable, self.copy(variable, step))
        return list(calls.values())


def _same_steps(location: Location, strides: Sequence[int | str], values: Mapping[str, int]) -> bool:
    return all(
        size == 1 or mine == (values.get(theirs) if isinstance(theirs, str) else theirs)
        for size, mine, theirs in zip(location.shape, location.strides, strides, strict=True)
    ) or 0 in location.shape  # fmt: skip


ROOMS = {
    "random_sample": random_calls, "mrg_sample": mrg_calls, "write": scatter_calls, "write_at": scatter_calls,
    "cumulative": recurrence_calls, "linear_recurrence": recurrence_calls, "shift": recurrence_calls,
}  # fmt: skip
"""Which room has a routine."""
