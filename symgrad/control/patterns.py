"""Small expressions that several parts of the room need."""

from __future__ import annotations

from typing import Any

from symgrad.graph.types import TensorType
from symgrad.kernels.grammar import Fixed
from symgrad.ops.creation import zeros_like
from symgrad.ops.sizes import Size, addbroadcast, unbroadcast
from symgrad.ops.subtensor import IncSubtensor
from symgrad.rewriting.patterns import is_zeros, made_by, made_by_function


def row_type(kind: TensorType) -> TensorType:
    """Return the type of one row of a stack."""
    return TensorType(kind.dtype, kind.shape[1:], kind.broadcastable[1:])


def stack_type(row: TensorType) -> TensorType:
    """Return the type of a stack of so many rows as only the call knows."""
    return TensorType(row.dtype, (None, *row.shape), (False, *row.broadcastable))


def fit_pattern(value: Any, kind: TensorType) -> Any:
    """Return `value`, of which exactly those axes stretch that stretch in `kind`."""
    pairs = list(enumerate(zip(kind.broadcastable, value.type.broadcastable, strict=True)))
    missing = [axis for axis, (wanted, found) in pairs if wanted and not found]
    held = [axis for axis, (wanted, found) in pairs if found and not wanted]
    value = addbroadcast(value, *missing) if missing else value
    return unbroadcast(value, *held) if held else value


def input_like(variable: Any, name: str | None = None, kind: TensorType | None = None) -> Any:
    """Return a new input of a body that stands for `variable`."""
    kind = kind or variable.type
    if name is None:
        name = variable.name if variable.name is not None or variable.owner is None else str(variable)
    stand_in = kind(name)
    if variable.expected != variable.type and kind == variable.type:
        stand_in._expected = variable.expected
    return stand_in


def has_length(stack: Any, rounds: Any) -> bool:
    """Whether the graph tells that a stack has exactly so many rows as there are rounds."""
    maker = rounds.owner
    if maker is not None and isinstance(maker.op, Size) and maker.op.axis == 0 and maker.inputs[0] is stack:
        return True
    return rounds.known is not None and stack.type.shape[0] == int(rounds.known)


def as_outputs(made: Any) -> list[Any]:
    """Return what applying an op returned, one output or several, as a list."""
    return list(made) if isinstance(made, tuple) else [made]


def split_last(cotangent: Any, row: Any) -> tuple[Any, Any]:
    """Return the cotangent of a stack without that of its last row, and that of its last row; None for what is zero.

    The gradient of ``stack[-1]`` is a stack of zeros, with something added to its last row.

    Parameters
    ----------
    cotangent : Variable or None
        Of a stack.
    row : Variable
        A value of the type of its rows.
    """
    if cotangent is None:
        return None, None
    rest: list[Any] = []
    last: list[Any] = []
    parts = [cotangent]
    while parts:
        part = parts.pop()
        total, written = made_by_function(part, "add"), made_by(part, IncSubtensor)
        if total is not None and all(one.type == part.type for one in total.inputs):
            parts += total.inputs
        elif written is not None and _is_last_row(written):
            last.append(_row_written(written, row))
        else:
            rest.append(part)
    if not last:
        return cotangent, None
    return sum(rest[1:], rest[0]) if rest else None, sum(last[1:], last[0])


def _is_last_row(node: Any) -> bool:
    """Whether a node adds something to the last row of zeros."""
    index = node.op.index
    return bool(not node.op.sets and index and index[0] == Fixed(-1) and is_zeros(node.inputs[0]))


def _row_written(node: Any, row: Any) -> Any:
    _, written, *operands = node.inputs
    rest = node.op.index[1:]
    return IncSubtensor(rest, False)(zeros_like(row), written, *operands) if rest else written
