"""Sizes that only a call knows, compared in the words of the errors that appear while a graph is built.

NumPy stretches any axis whose size happens to be 1. A graph doesn't: its gradient was built for axes that it knew to
be 1. So a kernel whose operands have open sizes compares them first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from symgrad.errors import ShapeError
from symgrad.graph.op import InferenceError

Comparisons = tuple[tuple[int, tuple[int, ...]], ...]
"""Pairs of an axis, counted from the last, and the positions of the operands whose sizes must agree on it."""


def mismatch(name: str, sizes: Iterable[int | None], axis: int) -> InferenceError:
    """Return the error for operands whose sizes differ on an axis of the result."""
    found = list(dict.fromkeys(sizes))
    remedy = ""
    if 1 in found:
        remedy = (
            "The graph didn't know that this size is 1, so it doesn't stretch: say it with "
            "T.addbroadcast(x, axis), or with a shape when the variable is declared."
        )
    text = " and ".join(map(str, found))
    return InferenceError(ShapeError, f"Input dimension mis-match: {name} got sizes {text} on axis {axis}", remedy)


def open_comparisons(patterns: Sequence[Sequence[bool]], shapes: Sequence[Sequence[int | None]]) -> Comparisons:
    """Return what only a call can compare: axes on which several operands don't stretch and a size isn't known.

    Parameters
    ----------
    patterns : sequence of sequence of bool
        For each operand, which axes stretch.
    shapes : sequence of sequence of (int or None)
        For each operand, the sizes as far as they are known.
    """
    comparisons = []
    for axis in range(-max([len(shape) for shape in shapes], default=0), 0):
        positions = [
            position for position, pattern in enumerate(patterns) if len(pattern) >= -axis and not pattern[axis]
        ]
        if len(positions) > 1 and None in [shapes[position][axis] for position in positions]:
            comparisons.append((axis, tuple(positions)))
    return tuple(comparisons)


def same_sizes(comparisons: Comparisons, name: str, *operands: Any) -> None:
    """Raise unless the operands' sizes agree as `comparisons` says."""
    for axis, positions in comparisons:
        sizes = [operands[position].shape[axis] for position in positions]
        if sizes.count(sizes[0]) != len(sizes):
            raise mismatch(name, sizes, axis + max([x.ndim for x in operands]))


def same_positions(comparisons: Comparisons, index: Sequence[Any]) -> None:
    """Raise unless the sizes of the arrays in a NumPy index agree; a mask counts as the positions that it picks."""
    arrays = [entry for entry in index if isinstance(entry, np.ndarray)]
    positions = [np.atleast_1d(x).nonzero()[0] if x.dtype == bool else x for x in arrays]
    same_sizes(comparisons, "the index arrays", *positions)


def check_stretch(name: str, shape: Sequence[int], target: Sequence[int], fixed: Sequence[int]) -> None:
    """Raise unless `shape` equals `target` on the axes `fixed`, counted from the last."""
    for axis in fixed:
        if shape[axis] != target[axis]:
            raise mismatch(name, (shape[axis], target[axis]), axis + len(target))


def vouched(x: np.ndarray, sizes: Sequence[int | None]) -> np.ndarray:
    """Return `x` itself, once its sizes are as the user said."""
    for axis, (found, said) in enumerate(zip(x.shape, sizes, strict=True)):
        if said is not None and found != said:
            raise ShapeError(f"axis {axis} was said to have size {said}, and has {found}")
    return x


def stretched(x: np.ndarray, sizes: Sequence[int], fixed: Sequence[int]) -> np.ndarray:
    """Return `x` broadcast to `sizes`, where the axes `fixed`, counted from the last, may not stretch."""
    check_stretch("alloc", x.shape, sizes, fixed)
    return np.broadcast_to(x, sizes)
