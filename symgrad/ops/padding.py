"""Tensors made larger at their edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgrad.errors import ShapeError
from symgrad.graph.op import user_error
from symgrad.ops.casting import cast
from symgrad.ops.comparison import lt
from symgrad.ops.creation import arange
from symgrad.ops.elementwise import clip, maximum, switch
from symgrad.ops.indexing import get_item
from symgrad.ops.joining import concatenate
from symgrad.ops.promotion import as_operand
from symgrad.ops.repeating import integer_scalar
from symgrad.ops.shape import alloc
from symgrad.ops.sizes import known_size


def _edge(place: Any, size: Any) -> Any:
    return clip(place, np.int64(0), size - 1)


def _wrap(place: Any, size: Any) -> Any:
    return place % size


def _symmetric(place: Any, size: Any) -> Any:
    there_and_back = place % (2 * size)
    return switch(lt(there_and_back, size), there_and_back, 2 * size - 1 - there_and_back)


def _reflect(place: Any, size: Any) -> Any:
    period = maximum(as_operand(2 * size - 2), 1)
    there_and_back = place % period
    return switch(lt(there_and_back, size), there_and_back, period - there_and_back)


SOURCES: dict[str, Callable[[Any, Any], Any]] = {
    "edge": _edge, "wrap": _wrap, "symmetric": _symmetric, "reflect": _reflect,
}  # fmt: skip
"""For each mode, from where the element at a place before or behind the tensor comes."""


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    """Return a tensor with more elements before and behind it, as `numpy.pad`.

    Parameters
    ----------
    x : tensor
        What stands in the middle.
    pad_width : int, pair, or list of pairs of ints or integer scalars
        How many elements: everywhere the same, the same (before, behind) on each axis, or a pair for each axis.
    mode : {'constant', 'edge', 'reflect', 'symmetric', 'wrap'}
        What stands there: a value; the nearest element; the tensor mirrored without or with its edge, again and again;
        the tensor again and again.
    constant_values : scalar, pair, or list of pairs
        The values of mode ``'constant'``, given as `pad_width` is.

    Raises
    ------
    ShapeError
        If a width is negative, or there are not as many pairs as axes.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.ivector('x')
    >>> print(T.pad(x, (1, 2)).eval({x: [7, 8]}), T.pad(x, 3, 'reflect').eval({x: [7, 8]}))
    [0 7 8 0 0] [8 7 8 7 8 7 8 7]
    """
    x = as_operand(x)
    widths = [[integer_scalar(w, "pad") for w in pair] for pair in _pairs(x, pad_width, "widths")]
    for width in [width for pair in widths for width in pair]:
        if isinstance(width, int) and width < 0:
            raise user_error(ShapeError, f"pad needs widths of 0 or more, got {width}", [x])
    if not isinstance(mode, str) or (mode != "constant" and mode not in SOURCES):
        modes = ", ".join(map(repr, ["constant", *SOURCES]))
        raise user_error(ValueError, f"pad knows the modes {modes}, got {mode!r}", [x])
    values = _pairs(x, constant_values, "values")
    for axis, (before, behind) in enumerate(widths):
        if isinstance(before, int) and isinstance(behind, int) and before == behind == 0:
            continue
        if mode == "constant":
            x = _with_constants(x, axis, (before, behind), values[axis])
            continue
        size = known_size(x, axis)
        if size == 0:
            raise user_error(ShapeError, f"pad can't fill axis {axis} from nothing (mode {mode!r})", [x])
        places = SOURCES[mode](arange(before + size + behind) - before, size)
        x = get_item(x, (*[slice(None)] * axis, places))
    return x


def _pairs(x: Any, given: Any, what: str) -> list[tuple[Any, Any]]:
    """Return a pair for each axis, of one number, one pair, or a list of pairs."""
    if isinstance(given, np.ndarray):
        given = given.tolist()
    if not isinstance(given, list | tuple):
        return [(given, given)] * x.type.ndim
    entries = [tuple(entry) if isinstance(entry, list | tuple) else entry for entry in given]
    if not any(isinstance(entry, tuple) for entry in entries):
        entries = [tuple(entries)]
    pairs = [entry * 2 if isinstance(entry, tuple) and len(entry) == 1 else entry for entry in entries]
    pairs = pairs * x.type.ndim if len(pairs) == 1 else pairs
    if len(pairs) != x.type.ndim or any(not isinstance(pair, tuple) or len(pair) != 2 for pair in pairs):
        raise user_error(ShapeError, f"pad needs a pair of {what} for each of {x.type.ndim} axes, got {given}", [x])
    return pairs


def _with_constants(x: Any, axis: int, widths: tuple[Any, Any], values: tuple[Any, Any]) -> Any:
    """Join constants to both ends of an axis."""
    sizes = [known_size(x, number) for number in range(x.type.ndim)]
    parts = []
    for width, value in zip(widths, values, strict=True):
        filling = cast(as_operand(value, [x.type.dtype]), x.type.dtype)
        parts.append(alloc(filling, [*sizes[:axis], width, *sizes[axis + 1 :]]))
    return concatenate([parts[0], x, parts[1]], axis)


__all__ = ["pad"]
