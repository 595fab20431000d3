"""Indexing as users write it: ``x[key]``, `set_subtensor`, `inc_subtensor`, `take`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, IndexingError
from symgrad.graph.op import Op, user_error
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Fixed, FromArray, FromOperand, IndexEntry, Range
from symgrad.ops.advanced_subtensor import AdvancedIncSubtensor, AdvancedSubtensor
from symgrad.ops.axes import DimShuffle, dimshuffle
from symgrad.ops.casting import cast
from symgrad.ops.promotion import as_operand, is_discrete, upcast
from symgrad.ops.shape import alloc
from symgrad.ops.sizes import MakeVector, Size, size_of
from symgrad.ops.subtensor import IncSubtensor, Index, Subtensor


def get_item(x: Any, key: Any) -> Any:
    """Return ``x[key]``: integers, slices, newaxis, ellipsis, integer scalars, arrays of positions, masks."""
    entries = _expand_ellipsis(key if isinstance(key, tuple) else (key,), x.type.ndim)
    if len(entries) == 1 and isinstance(entries[0], int | np.integer) and _is_element(x, entries[0]):
        return cast(x.owner.inputs[int(entries[0])], x.type.dtype)
    index, operands = _index_of([entry for entry in entries if entry is not None])
    has_new_axes = any(entry is None for entry in entries)
    if any(isinstance(entry, FromArray) for entry in index):
        return _advanced_item(x, entries) if has_new_axes else AdvancedSubtensor(index)(x, *operands)
    whole = has_new_axes and all(entry == Range() for entry in index)
    result = x if whole else Subtensor(index)(x, *operands)
    return _with_new_axes(result, entries) if has_new_axes else result


def _is_element(x: Any, position: Any) -> bool:
    """Whether ``x[position]`` is a size: one of the scalars that ``x.shape`` was made of."""
    if x.owner is None or not isinstance(x.owner.op, MakeVector):
        return False
    scalars = x.owner.inputs
    if not -len(scalars) <= position < len(scalars):
        return False
    maker = scalars[int(position)].owner
    return maker is not None and isinstance(maker.op, Size)


def _expand_ellipsis(key: tuple[Any, ...], ndim: int) -> list[Any]:
    places = [position for position, entry in enumerate(key) if entry is Ellipsis]
    if not places:
        return list(key)
    if len(places) > 1:
        raise user_error(IndexingError, "an index can hold one ellipsis (...) only")
    taken = sum(_axes_taken(entry) for entry in key if entry is not None and entry is not Ellipsis)
    filler = [slice(None)] * max(ndim - taken, 0)
    return [*key[: places[0]], *filler, *key[places[0] + 1 :]]


def _axes_taken(entry: Any) -> int:
    """How many axes an entry of an index stands for: a mask for as many as it has."""
    is_mask = str(getattr(entry, "dtype", "")) == "bool"
    return max(int(getattr(entry, "ndim", 1)), 1) if is_mask else 1


def _index_of(entries: Sequence[Any]) -> tuple[Index, list[Any]]:
    """Split an index into what is known and the operands that are known later."""
    operands: list[Any] = []

    def scalar(value: Any) -> int | FromOperand | None:
        if value is None or isinstance(value, int | np.integer):
            return None if value is None else int(value)
        value = as_operand(value)
        if value.type.ndim or not is_discrete(value.type.dtype):
            raise user_error(DTypeError, f"the bounds of a slice must be integer scalars, got {value.type}", [value])
        if value.known is not None:
            return int(value.known)
        operands.append(value)
        return FromOperand()

    index: list[IndexEntry] = []
    for entry in entries:
        if isinstance(entry, slice):
            index.append(Range(scalar(entry.start), scalar(entry.stop), scalar(entry.step)))
        elif isinstance(entry, int | np.integer) and not isinstance(entry, bool):
            index.append(Fixed(int(entry)))
        else:
            index.append(_array_or_scalar(entry, operands))
    return tuple(index), operands


def _array_or_scalar(entry: Any, operands: list[Any]) -> IndexEntry:
    if isinstance(entry, list):
        entry = as_operand(entry) if entry else np.zeros(0, "int64")
    variable = as_operand(entry)
    if not is_discrete(variable.type.dtype):
        raise user_error(IndexingError, f"an index must be made of integers or bools, got {variable.type}", [variable])
    if variable.type.ndim == 0 and variable.type.dtype != "bool":
        if variable.known is not None:
            return Fixed(int(variable.known))
        operands.append(variable)
        return FromOperand()
    operands.append(variable)
    return FromArray()


def _advanced_item(x: Any, entries: Sequence[Any]) -> Any:
    """Index with arrays and new axes: the axes are put in first, and stand as whole slices in the index."""
    order: list[Any] = []
    axis = 0
    for entry in entries:
        if entry is None:
            order.append("x")
        else:
            taken = _axes_taken(entry)
            order += range(axis, axis + taken)
            axis += taken
    if axis > x.type.ndim:
        raise user_error(IndexingError, f"too many indices: {axis} for {x.type}", [x])
    widened = dimshuffle(x, *order, *range(axis, x.type.ndim))
    index, operands = _index_of([slice(None) if entry is None else entry for entry in entries])
    return AdvancedSubtensor(index)(widened, *operands)


def _with_new_axes(result: Any, entries: Sequence[Any]) -> Any:
    order: list[Any] = []
    axis = 0
    for entry in entries:
        if entry is None:
            order.append("x")
        elif isinstance(entry, slice):
            order.append(axis)
            axis += 1
    return dimshuffle(result, *order, *range(axis, result.type.ndim))


def set_subtensor(x: Any, y: Any, inplace: bool = False, tolerate_inplace_aliasing: bool = False) -> Any:
    """Return the tensor that `x` is a part of, with `y` in place of that part.

    Parameters
    ----------
    x : tensor
        A part written as an index: ``a[1:3]``.
    y : tensor or number
        What to put there; stretches to the part's sizes.
    inplace, tolerate_inplace_aliasing : bool
        Accepted for Theano's sake; the compiler decides about memory.

    Returns
    -------
    tensor
        Like ``a``; ``a`` itself stays as it is.
    """
    return _write(x, y, sets=True)


def inc_subtensor(x: Any, y: Any, inplace: bool = False, tolerate_inplace_aliasing: bool = False) -> Any:
    """Return the tensor that `x` is a part of, with `y` added to that part; arguments as `set_subtensor`.

    Positions that an index array repeats accumulate.
    """
    return _write(x, y, sets=False)


def _write(part: Any, y: Any, sets: bool) -> Any:
    node = part.owner if isinstance(part, Variable) else None
    if node is None or not isinstance(node.op, Subtensor | AdvancedSubtensor | DimShuffle):
        where = "set_subtensor" if sets else "inc_subtensor"
        raise user_error(TypeError, f"{where} takes a part written as an index, such as x[1:3], got {part}")
    y = cast(as_operand(y, [part.type.dtype]), _written_dtype(part, y))  # type: ignore[attr-defined]
    if isinstance(node.op, DimShuffle):
        stretched = alloc(y, *[size_of(part, axis) for axis in range(part.type.ndim)])  # type: ignore[attr-defined]
        order = node.op.order
        inner = dimshuffle(stretched, *[order.index(a) for a in range(node.inputs[0].type.ndim)])  # type: ignore[attr-defined]
        return _write(node.inputs[0], inner, sets)
    x, *operands = node.inputs
    write: Op = IncSubtensor(node.op.index, sets)
    if isinstance(node.op, AdvancedSubtensor):
        write = AdvancedIncSubtensor(node.op.index, sets)
    return write(x, y, *operands)


def _written_dtype(part: Any, y: Any) -> str:
    y = as_operand(y, [part.type.dtype])
    if upcast(part.type.dtype, y.type.dtype) != part.type.dtype:
        raise user_error(
            DTypeError, f"{y.type.dtype} can't be written into {part.type.dtype} without loss", [part, y],
            f"Cast it first: .astype('{part.type.dtype}').",
        )  # fmt: skip
    return str(part.type.dtype)


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Return the elements of `x` at `indices` along `axis` (None: of the flattened tensor), as `numpy.take`."""
    x = as_operand(x)
    if axis is None:
        return get_item(x.flatten(), indices)
    return get_item(x, (*[slice(None)] * (axis % x.type.ndim), indices))


__all__ = ["inc_subtensor", "set_subtensor", "take"]
