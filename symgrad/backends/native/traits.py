"""What plans have to know about native kernels, known without writing any."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from weakref import WeakKeyDictionary

from symgrad.kernels.grammar import Evaluate, FromOperand, IndexEntry, Kernel, Library, Loop, Range, Slice, View
from symgrad.lowering.plan import Traits
from symgrad.lowering.steps import Bound, Fused, Step

FAILING = frozenset(("random_sample",))
"""The routines whose kernels may find something that they can't do."""

Pairs = Sequence[tuple[int, int]]
"""Pairs (output, operand), by position: the output may take over the operand's memory."""

_pairs: WeakKeyDictionary[Step, Pairs] = WeakKeyDictionary()


def remember_in_place(step: Step, pairs: Iterable[Sequence[int]]) -> None:
    """Note what `in_place` says of a fused step, so that its loops needn't be analysed for it."""
    _pairs[step] = [(output, operand) for output, operand in pairs]


def in_place(step: Step) -> Pairs:
    """Return pairs (output, operand), by position: the output may take over the operand's memory."""
    kernel = step.kernel
    if isinstance(kernel, Library) and kernel.overwrites is not None:
        return [(0, kernel.overwrites)]
    if not isinstance(kernel, Fused):
        return ()
    if step not in _pairs:
        from symgrad.lowering.fusion import in_place as fused_in_place

        remember_in_place(step, fused_in_place(step))
    return _pairs[step]


_native: WeakKeyDictionary[Step, bool] = WeakKeyDictionary()


def remember_native(step: Step, native: bool) -> None:
    """Note whether a step may have a kernel, so that nothing need be imported that writes one."""
    _native[step] = bool(native)


def is_native(step: Step) -> bool | None:
    """Return whether a step may have a kernel; None if nobody has found out."""
    return _native.get(step)


def may_fail(kernel: Kernel) -> bool:
    """Whether a kernel may find something that it can't do."""
    if isinstance(kernel, Fused):
        return kernel.may_fail
    if isinstance(kernel, Library):
        return kernel.name in FAILING
    if isinstance(kernel, Bound):
        if isinstance(kernel.kernel, Loop):
            return True  # an interrupt ends it
        return any(may_fail(action.step.kernel) for plan in kernel.plans for action in plan.actions)
    return isinstance(kernel, View) and isinstance(kernel.how, Slice) and any(map(_is_open, kernel.how.index))


def _is_open(entry: IndexEntry) -> bool:
    return isinstance(entry, FromOperand) or (isinstance(entry, Range) and isinstance(entry.start, FromOperand))


def fails_first(kernel: Kernel) -> bool:
    """Whether a kernel that finds something that it can't do has written nothing yet: it checks all positions first."""
    last = kernel.steps[-1].kernel if isinstance(kernel, Fused) else None
    return isinstance(last, Library) and last.name in ("write", "write_at")


def _takes_out(kernel: Kernel) -> bool:
    return not isinstance(kernel, Evaluate)


NATIVE_TRAITS = Traits(_takes_out, in_place, may_fail, is_one_call=True, fails_first=fails_first)
"""What native kernels can do."""
