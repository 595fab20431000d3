"""Indexing as users write it: ``x[key]``, `set_subtensor` and `inc_subtensor`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad.config import config
from symgrad.errors import DTypeError, IndexDTypeError, IndexingError, RankError, ShapeError
from symgrad.graph.op import user_error
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Fixed, FromArray, FromOperand, IndexEntry, Range
from symgrad.ops.advanced_subtensor import AdvancedSubtensor
from symgrad.ops.axes import DimShuffle, dimshuffle, shape_padleft
from symgrad.ops.casting import cast
from symgrad.ops.parts import Index, ReadPart
from symgrad.ops.promotion import as_operand, is_discrete, upcast
from symgrad.ops.shape import ReshapeTo, alloc, reshape
from symgrad.ops.sizes import MakeVector, Size, addbroadcast, shape, size_of
from symgrad.ops.subtensor import Subtensor


def get_item(x: Any, key: Any) -> Any:
    """Return ``x[key]``: integers, slices, newaxis, ellipsis, integer scalars, arrays of positions, masks."""
    is_key = isinstance(key, tuple) or (isinstance(key, list) and any(isinstance(entry, slice) for entry in key))
    entries = _expand_ellipsis([_parsed(entry) for entry in (key if is_key else (key,))], x.type.ndim)
    if len(entries) == 1 and isinstance(entries[0], int) and _is_size(x, entries[0]):
        return x.owner.inputs[entries[0]]
    indices = [entry for entry in entries if entry is not None and entry is not Ellipsis]
    index, operands = _index_of(indices)
    if any(isinstance(entry, FromArray) for entry in index):
        result = AdvancedSubtensor(index)(x, *operands)
        return result if len(indices) == len(entries) else _with_new_axes(result, entries)
    if None not in entries:
        return Subtensor(index)(x, *operands)
    whole = all(entry == Range() for entry in index)
    return _with_new_axes(x if whole else Subtensor(index)(x, *operands), entries)


def _parsed(entry: Any) -> Any:
    """Return an entry of a key as None, an ellipsis, a slice, an int, or a variable of integers or bools."""
    if entry is None or entry is Ellipsis or isinstance(entry, slice):
        return entry
    if isinstance(entry, int | np.integer) and not isinstance(entry, bool):
        return int(entry)
    if isinstance(entry, list | tuple) and not _elements(entry):
        entry = np.zeros(np.shape(entry), "int64")
    variable = as_operand(entry)
    if not is_discrete(variable.type.dtype):
        raise user_error(
            IndexDTypeError, f"an index must be made of integers or bools, got {variable.type}", [variable]
        )
    if variable.type.ndim == 0 and variable.type.dtype != "bool" and variable.known is not None:
        return int(variable.known)
    return variable


def _elements(entry: Any) -> bool:
    """Whether nested lists hold anything at all."""
    return any(map(_elements, entry)) if isinstance(entry, list | tuple) else True


def _is_size(x: Any, position: int) -> bool:
    """Whether ``x[position]`` is a size: one of the scalars that ``x`` as the shape of some tensor was made of."""
    if x.owner is None or not isinstance(x.owner.op, MakeVector):
        return False
    scalars = x.owner.inputs
    first = scalars[0].owner if scalars else None
    if first is None or not isinstance(first.op, Size) or not -len(scalars) <= position < len(scalars):
        return False
    (source,) = first.inputs
    return len(scalars) == source.type.ndim and all(
        scalar.owner is not None and isinstance(scalar.owner.op, Size) and scalar.owner.op.axis == axis
        and scalar.owner.inputs[0] is source
        for axis, scalar in enumerate(scalars)
    )  # fmt: skip


def _axes_taken(entry: Any) -> int:
    """How many axes an entry of a key stands for: a mask for as many as it has."""
    if entry is None or entry is Ellipsis:
        return 0
    is_mask = isinstance(entry, Variable) and entry.type.dtype == "bool"  # type: ignore[attr-defined]
    return int(entry.type.ndim) if is_mask else 1


def _expand_ellipsis(key: list[Any], ndim: int) -> list[Any]:
    """Put slices in place of an ellipsis; one that stands for no axis stays, for it separates what it stands between.
    """
    places = [position for position, entry in enumerate(key) if entry is Ellipsis]
    if not places:
        return key
    if len(places) > 1:
        raise user_error(IndexingError, "an index can hold one ellipsis (...) only")
    filler: list[Any] = [slice(None)] * (ndim - sum(map(_axes_taken, key))) or [Ellipsis]
    return [*key[: places[0]], *filler, *key[places[0] + 1 :]]


def _index_of(entries: Sequence[Any]) -> tuple[Index, list[Any]]:
    """Split an index into what is known and the operands that are known later."""
    operands: list[Any] = []

    def bound(value: Any) -> int | FromOperand | None:
        if value is None or (isinstance(value, int | np.integer) and not isinstance(value, bool)):
            if value is not None and not -(2**63) <= value < 2**63:
                raise user_error(IndexingError, f"the bound {value} of a slice doesn't fit into int64")
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
            index.append(Range(bound(entry.start), bound(entry.stop), bound(entry.step)))
        elif isinstance(entry, int):
            index.append(Fixed(entry))
        else:
            operands.append(entry)
            is_number = entry.type.ndim == 0 and entry.type.dtype != "bool"
            index.append(FromOperand() if is_number else FromArray())
    return tuple(index), operands


def _with_new_axes(part: Any, entries: Sequence[Any]) -> Any:
    """Put new axes into a part that was indexed without them.

    As in NumPy, arrays and integers that a new axis or an ellipsis separates put the axes of the arrays in front.
    """
    indexed = [entry for entry in entries if entry is not None and entry is not Ellipsis]
    slices = sum(isinstance(entry, slice) for entry in indexed)
    arrays = any(isinstance(entry, Variable) and _is_array(entry) for entry in indexed)
    rest = part.owner.inputs[0].type.ndim - sum(map(_axes_taken, indexed)) if arrays else part.type.ndim - slices
    joined = part.type.ndim - slices - rest
    first = _place_of_arrays(indexed) if arrays else 0
    others = iter([*range(first), *range(first + joined, part.type.ndim)])
    order: list[Any] = [
        "x" if entry is None else next(others) for entry in entries if entry is None or isinstance(entry, slice)
    ]
    place = _place_of_arrays(entries) if arrays else 0
    order[place:place] = range(first, first + joined)
    return dimshuffle(part, *order, *others)


def _is_array(entry: Any) -> bool:
    return bool(entry.type.ndim or entry.type.dtype == "bool")


def _place_of_arrays(entries: Sequence[Any]) -> int:
    """Return the number of axes that come before those of the index arrays: NumPy's rule."""
    places = [place for place, entry in enumerate(entries) if isinstance(entry, int | Variable)]
    adjacent = places == list(range(places[0], places[-1] + 1))
    return places[0] - sum(entry is Ellipsis for entry in entries[: places[0]]) if adjacent else 0


def set_subtensor(x: Any, y: Any, inplace: bool = False, tolerate_inplace_aliasing: bool = False) -> Any:
    """Return the tensor that `x` is a part of, with `y` in place of that part.

    Parameters
    ----------
    x : tensor
        A part written as an index: ``a[1:3]``. Axes of the part may have been reordered or joined since.
    y : tensor or number
        What to put there; stretches to the part's sizes. Where an index array repeats a position, the last one counts.
    inplace, tolerate_inplace_aliasing : bool
        Accepted for Theano's sake; the compiler decides about memory.

    Returns
    -------
    tensor
        Like ``a``; ``a`` itself stays as it is.

    Raises
    ------
    TypeError
        If `x` isn't a part of a tensor.
    DTypeError
        If `y` would lose information as an element of `x`.
    ShapeError
        If `y` doesn't stretch to the part's sizes.

    Notes
    -----
    Keeps the behaviour of Theano's ``set_subtensor``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dvector('x')
    >>> print(T.set_subtensor(x[1:], 0).eval({x: [1., 2., 3.]}))
    [1. 0. 0.]
    """
    return _write(x, y, "set_subtensor")


def inc_subtensor(
    x: Any,
    y: Any,
    inplace: bool = False,
    set_instead_of_inc: bool = False,
    tolerate_inplace_aliasing: bool = False,
    ignore_duplicates: bool = False,
) -> Any:
    """Return the tensor that `x` is a part of, with `y` added to that part.

    Parameters
    ----------
    x, y, inplace, tolerate_inplace_aliasing
        As for `set_subtensor`. Where an index array repeats a position, additions accumulate.
    set_instead_of_inc : bool
        Do as `set_subtensor`.
    ignore_duplicates : bool
        Add only the last time that a position is repeated, as NumPy's ``a[i] += y`` does.

    Returns
    -------
    tensor
        Like ``a``; ``a`` itself stays as it is.

    Notes
    -----
    Keeps the behaviour of Theano's ``inc_subtensor``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dvector('x')
    >>> print(T.inc_subtensor(x[[0, 0]], 1).eval({x: [1., 2.]}))
    [3. 2.]
    """
    if ignore_duplicates and not set_instead_of_inc:
        return _write(x, x + y, "inc_subtensor", sets=True)
    return _write(x, y, "set_subtensor" if set_instead_of_inc else "inc_subtensor")


def _write(part: Any, y: Any, where: str, sets: bool | None = None) -> Any:
    node = part.owner if isinstance(part, Variable) else None
    if node is None or not isinstance(node.op, ReadPart | DimShuffle | ReshapeTo | Size):
        raise user_error(TypeError, f"{where} takes a part written as an index, such as x[1:3], got {part}")
    sets = where == "set_subtensor" if sets is None else sets
    y = cast(as_operand(y, [part.type.dtype]), _written_dtype(part, y))  # type: ignore[attr-defined]
    while not isinstance(node.op, ReadPart):
        inner, y = _written_inside(part, y, where)
        if inner.owner is None or not isinstance(inner.owner.op, ReadPart | DimShuffle | ReshapeTo):
            if not isinstance(node.op, DimShuffle):
                raise user_error(TypeError, f"{where} takes a part written as an index, such as x[1:3], got {part}")
            inner = Subtensor(())(inner)
        part, node = inner, inner.owner
    x, *operands = node.inputs
    return node.op.writer(sets)(x, y, *operands)


def _written_inside(part: Any, y: Any, where: str) -> tuple[Any, Any]:
    """Return what a part with other axes was made of, and what to write there."""
    op, (inner, *_) = part.owner.op, part.owner.inputs
    if isinstance(op, Size):
        return shape(inner)[op.axis : op.axis + 1], y
    if y.type.ndim > part.type.ndim:
        raise user_error(
            RankError, f"{where} can't write {y.type} into a part of {part.type}: too many axes", [part, y]
        )
    if isinstance(op, ReshapeTo):
        stretched = alloc(y, *[size_of(part, axis) for axis in range(part.type.ndim)])
        return inner, reshape(stretched, [size_of(inner, axis) for axis in range(inner.type.ndim)])
    y = shape_padleft(y, part.type.ndim - y.type.ndim)
    new = [axis for axis, own in enumerate(op.order) if own is None and not y.type.broadcastable[axis]]
    for axis in new:
        if y.type.shape[axis] not in (None, 1):
            headline = f"Input dimension mis-match: {where} got sizes {y.type.shape[axis]} and 1 on axis {axis}"
            raise user_error(ShapeError, headline, [part, y])
    places = [op.order.index(axis) if axis in op.order else "x" for axis in range(inner.type.ndim)]
    return inner, dimshuffle(addbroadcast(y, *new), *places)


def _written_dtype(part: Any, y: Any) -> str:
    wanted = str(part.type.dtype)
    found = as_operand(y, [wanted]).type.dtype
    kinds_agree = is_discrete(found) if wanted != "bool" else found == "bool"  # as NumPy casts in `x[...] = y`
    kinds_agree = kinds_agree or (found[:5] == "float" and wanted[:5] == "float")
    if upcast(wanted, found) == wanted or (config.cast_policy == "custom" and kinds_agree):
        return wanted
    raise user_error(
        DTypeError, f"{found} can't be written into {wanted} without loss", [part, as_operand(y, [wanted])],
        f"Cast it first: .astype('{wanted}').",
    )  # fmt: skip


__all__ = ["inc_subtensor", "set_subtensor"]
