"""Views: the same memory seen otherwise, as arrays at once or as the text of an expression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgrad.kernels.checks import stretched, vouched
from symgrad.kernels.grammar import (
    Broadcast,
    Fixed,
    FromOperand,
    IndexEntry,
    Permute,
    Range,
    Reshape,
    Same,
    Slice,
    fill_index,
)

How = Permute | Reshape | Slice | Broadcast | Same


def make_view(how: How, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Return the view of the first array; further arrays are the integers that `how` takes."""
    x, *operands = arrays
    if isinstance(how, Permute):
        axes, index = _permutation(how, x.ndim)
        return np.asarray(x.transpose(axes)[index])
    if isinstance(how, Reshape):
        return x.reshape(_sizes(how.sizes, operands))
    if isinstance(how, Slice):
        return np.asarray(x[(*fill_index(how.index, operands), ...)])
    if isinstance(how, Broadcast):
        return stretched(x, _sizes(how.sizes, operands), how.fixed)
    return vouched(x, how.sizes) if how.sizes else x


def view_text(how: How, operands: Sequence[str], ndim: int, enter: Callable[[str, Any], str]) -> str:
    """Return the expression of a view.

    Parameters
    ----------
    how : kernel grammar
        Which view.
    operands : sequence of str
        Names of the array and of the integers that `how` takes.
    ndim : int
        Axes of the array.
    enter : callable
        Makes a function known to the program under a name.
    """
    x, *numbers = operands
    if isinstance(how, Permute):
        return _permute_text(how, x, ndim)
    if isinstance(how, Reshape):
        return f"{x}.reshape({_sizes_text(how.sizes, numbers)})"
    if isinstance(how, Slice):
        return f"{x}[{_index_text(how.index, numbers)}...]"
    if isinstance(how, Broadcast):
        sizes_text = f"({_sizes_text(how.sizes, numbers)},)" if how.sizes else "()"
        if how.fixed:
            return f"{enter('stretched', stretched)}({x}, {sizes_text}, {how.fixed})"
        return f"{enter('broadcast_to', np.broadcast_to)}({x}, {sizes_text})"
    if any(size is not None for size in how.sizes):
        return f"{enter('vouched', vouched)}({x}, {how.sizes})"
    return x


def _permutation(how: Permute, ndim: int) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """Return the transposition, and the index that drops and adds axes after it."""
    kept = [axis for axis in how.order if axis is not None]
    dropped = [axis for axis in range(ndim) if axis not in kept]
    index = [0] * len(dropped) + [np.newaxis if axis is None else slice(None) for axis in how.order]
    return (*dropped, *kept), (*index, ...)


def _permute_text(how: Permute, x: str, ndim: int) -> str:
    axes, index = _permutation(how, ndim)
    text = x
    if axes == tuple(reversed(range(ndim))) and ndim > 1:
        text += ".T"
    elif axes != tuple(range(ndim)):
        text += f".transpose({', '.join(map(str, axes))})"
    if any(entry is None or entry == 0 for entry in index[:-1]):
        words = ["None" if entry is None else "0" if entry == 0 else ":" for entry in index[:-1]]
        text += f"[{', '.join([*words, '...'])}]"
    return text


def _sizes(sizes: Sequence[int | None], operands: Sequence[np.ndarray]) -> list[int]:
    given = iter(operands)
    return [int(next(given)) if size is None else size for size in sizes]


def _sizes_text(sizes: Sequence[int | None], numbers: Sequence[str]) -> str:
    given = iter(numbers)
    return ", ".join([f"int({next(given)})" if size is None else str(size) for size in sizes]) or "()"


def _index_text(index: Sequence[IndexEntry], numbers: Sequence[str]) -> str:
    given = iter(numbers)

    def bound(value: int | FromOperand | None) -> str:
        if value is None:
            return ""
        return next(given) if isinstance(value, FromOperand) else str(value)

    words = []
    for entry in index:
        if isinstance(entry, Range):
            start, stop, step = bound(entry.start), bound(entry.stop), bound(entry.step)
            words.append(f"{start}:{stop}" + (f":{step}" if step else ""))
        else:
            words.append(str(entry.value) if isinstance(entry, Fixed) else next(given))
    return "".join(f"{word}, " for word in words)
