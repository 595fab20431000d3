"""What an index means: the part of an array that it stands for, for kernels that write there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symgrad.backends.cupy.texts import contiguous_strides
from symgrad.kernels.grammar import Fixed, FromArray, FromOperand, IndexEntry, Range


@dataclass(frozen=True)
class Position:
    """An index that only the call knows: which operand, and size and stride of the axis that it counts along."""

    operand: int
    size: int
    stride: int


@dataclass(frozen=True)
class Part:
    """What is written.

    Attributes
    ----------
    start : int
        Where the part begins, as far as the graph tells.
    sizes, strides : tuple of int
        Of the axes that slices leave.
    scalars, arrays : tuple of Position
        The indices.
    before : int
        How many axes of slices are in front of those of the index arrays.
    """

    start: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    scalars: tuple[Position, ...]
    arrays: tuple[Position, ...]
    before: int


def part_of(index: Sequence[IndexEntry], shape: Sequence[int]) -> Part | None:
    """Return what an index means, or None if only the call knows the bounds of its slices."""
    axes: list[tuple[int, int]] = []
    scalars: list[Position] = []
    arrays: list[Position] = []
    others: list[int] = []
    start, operand = 0, 2
    for axis, (size, stride) in enumerate(zip(shape, contiguous_strides(shape), strict=True)):
        entry = index[axis] if axis < len(index) else Range()
        if isinstance(entry, Range):
            if any(isinstance(bound, FromOperand) for bound in (entry.start, entry.stop, entry.step)):
                return None
            found = range(*slice(entry.start, entry.stop, entry.step).indices(size))  # type: ignore[misc]
            start += (found.start if len(found) else 0) * stride
            axes.append((len(found), found.step * stride))
            continue
        others.append(axis)
        if isinstance(entry, Fixed):
            if not -size <= entry.value < size:
                return None
            start += entry.value % size * stride
        else:
            (arrays if isinstance(entry, FromArray) else scalars).append(Position(operand, size, stride))
            operand += 1
    adjacent = bool(others) and others == list(range(others[0], others[-1] + 1))
    sizes, strides = tuple([size for size, _ in axes]), tuple([stride for _, stride in axes])
    return Part(start, sizes, strides, tuple(scalars), tuple(arrays), others[0] if adjacent else 0)
