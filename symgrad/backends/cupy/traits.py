"""What plans have to know about CUDA programs."""

from __future__ import annotations

from symgrad.kernels.grammar import (
    Evaluate,
    FromOperand,
    IndexEntry,
    Kernel,
    Library,
    Map,
    Range,
    Reduction,
    Slice,
    View,
)
from symgrad.lowering.fusion import in_place as fused_in_place
from symgrad.lowering.plan import Traits
from symgrad.lowering.steps import Bound, Fused, Step


def in_place(step: Step) -> list[tuple[int, int]]:
    """Return pairs (output, operand), by position: the output may take over the operand's memory."""
    kernel = step.kernel
    if isinstance(kernel, Library) and kernel.overwrites is not None:
        return [(0, kernel.overwrites)]
    return fused_in_place(step) if isinstance(kernel, Fused) else []


def may_fail(kernel: Kernel) -> bool:
    """Whether a kernel may find something that it can't do, or, on the host, raise an error."""
    if isinstance(kernel, Fused):
        return kernel.may_fail
    if isinstance(kernel, Evaluate | Map | Reduction):
        return True
    if isinstance(kernel, Library):
        return kernel.name not in NEVER_FAIL
    if isinstance(kernel, Bound):
        return any(may_fail(action.step.kernel) for plan in kernel.plans for action in plan.actions)
    return isinstance(kernel, View) and isinstance(kernel.how, Slice) and any(map(_is_open, kernel.how.index))


def fails_first(kernel: Kernel) -> bool:
    """Whether a kernel that finds something that it can't do has written nothing yet: it checks all positions first."""
    last = kernel.steps[-1].kernel if isinstance(kernel, Fused) else None
    return isinstance(last, Library) and last.name in ("write", "write_at")


NEVER_FAIL = frozenset((
    "dot", "matmul", "gemm", "matrix_step", "conv2d", "conv2d_input_gradient", "conv2d_filter_gradient", "conv_bias",
    "conv_pool", "conv_pool_filter_gradient", "conv_pool_input_gradient", "at_places", "pool2d", "max_pool_gradient",
    "max_pool_pushforward", "sum_pool_gradient", "window_maximum", "window_maximum_gradient", "windowed_conv2d",
    "windowed_filter_gradient", "windowed_input_gradient", "mrg_sample", "cumulative", "linear_recurrence", "shift",
))  # fmt: skip
"""The routines that take whatever they get."""


def _is_open(entry: IndexEntry) -> bool:
    return isinstance(entry, FromOperand) or (isinstance(entry, Range) and isinstance(entry.start, FromOperand))


def _takes_out(kernel: Kernel) -> bool:
    return not isinstance(kernel, Evaluate | Map | Reduction)


CUDA_TRAITS = Traits(_takes_out, in_place, may_fail, is_one_call=True, fails_first=fails_first)
"""What CUDA programs can do."""
