"""What a step returns must fit what it got: states keep their types, updates those of shared variables."""

from __future__ import annotations

from typing import Any

from symgrad.control.loop_arguments import Recurrence
from symgrad.control.patterns import fit_pattern, row_type
from symgrad.control.step_results import loop_error
from symgrad.errors import LoopTypeError, RankError, ShapeError
from symgrad.ops.casting import cast
from symgrad.ops.promotion import as_operand, upcast


def fit_update(target: Any, value: Any) -> Any:
    """Return an update with the dtype of its shared variable, or raise."""
    found = as_operand(value, [target.type.dtype])
    if found.type.dtype != target.type.dtype and upcast(found.type.dtype, target.type.dtype) == target.type.dtype:
        found = cast(found, target.type.dtype)
    if found.type.dtype != target.type.dtype or found.type.ndim != target.type.ndim:
        raise loop_error(
            LoopTypeError if found.type.dtype != target.type.dtype else RankError,
            f"a step updates {target}, which is {target.type}, to {found.type}", {str(target): target, "update": found},
            f"Cast it: .astype('{target.type.dtype}').",
        )  # fmt: skip
    return found


def fit_state(number: int, value: Any, state: Recurrence) -> Any:
    """Return a state's new value so that it can stand where its old one did, or raise."""
    kind = row_type(state.initial.type)
    name = f"output {number}" + (f" ({state.initial.name})" if state.initial.name else "")
    parts = {"initial": state.given, "step": value}
    if value.type.dtype != kind.dtype:
        raise loop_error(
            LoopTypeError, f"{name} starts as {kind.dtype}, and a step makes {value.type.dtype} of it",
            parts,
            f"Cast the initial value, .astype('{value.type.dtype}'), or the step's value, .astype('{kind.dtype}').",
        )  # fmt: skip
    if value.type.ndim != kind.ndim:
        raise loop_error(
            RankError, f"{name} starts with {kind.ndim} axes, and a step makes {value.type.ndim} of them",
            parts,
            "The initial value has the axes of one step's value, without the axis of time."
            if state.taps == (-1,) else "The initial values have one axis more than a step's value: time.",
        )  # fmt: skip
    for before, after in zip(kind.shape, value.type.shape, strict=True):
        if None not in (before, after) and before != after:
            raise loop_error(
                ShapeError, f"{name} starts as {kind}, and a step makes {value.type} of it", parts,
                "A state must keep its shape.",
            )  # fmt: skip
    return fit_pattern(value, kind)
