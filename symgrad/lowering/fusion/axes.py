"""Axes of an iteration space: every value of a group of kernels lives on some of them.

An axis of a tensor is a tuple of `Dim`, row-major: () has size 1 and stretches, and a reshape joins dims or splits
them. Axes that must run together are made one by `unify`; nothing else is ever decided about their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Size = int | str


class UnfusableError(Exception):
    """Kernels that don't fit into one loop nest."""


class Dim:
    """One dimension of the iteration space."""

    __slots__ = ("parts", "same", "size")

    def __init__(self, size: Size) -> None:
        self.size = size
        self.same: Dim | None = None
        self.parts: tuple[Dim, ...] = ()

    def split(self, outer: Size, inner: Size) -> tuple[Dim, Dim]:
        """Make two dims of this one, and return them."""
        self.parts = Dim(outer), Dim(inner)
        return self.parts


Axis = tuple[Dim, ...]


def axis_of(size: Size) -> Axis:
    """Return a new axis."""
    return () if size == 1 else (Dim(size),)


def leaves(dims: Iterable[Dim]) -> Axis:
    """Return what dims have become: those that stand for them, each split one replaced by its parts."""
    found: list[Dim] = []
    pending = list(dims)[::-1]
    while pending:
        dim = pending.pop()
        dim = _standing_for(dim)
        if dim.parts:
            pending.extend(dim.parts[::-1])
        else:
            found.append(dim)
    return tuple(found)


def _standing_for(dim: Dim) -> Dim:
    """Return the dim that one was made the same as, if it was."""
    while dim.same is not None:
        dim = dim.same
    return dim


def joined(axes: Iterable[Axis]) -> Axis:
    """Return the dims of several axes, one after the other."""
    return tuple([dim for axis in axes for dim in axis])


def unify(first: Axis, second: Axis) -> None:
    """Make two axes run together, splitting dims where one has them finer.

    Raises
    ------
    UnfusableError
        If their sizes don't agree, or can't be told to agree before the call.
    """
    a, b = list(leaves(first)), list(leaves(second))
    while a and b:
        x, y = _standing_for(a.pop()), _standing_for(b.pop())
        if x is y:
            continue
        if x.size == y.size:
            y.same = x
        elif not isinstance(x.size, int) or not isinstance(y.size, int) or 0 in (x.size, y.size):
            raise UnfusableError(f"sizes {x.size} and {y.size} may differ")
        elif x.size % y.size == 0:
            outer, inner = x.split(x.size // y.size, y.size)
            y.same = inner
            a.append(outer)
        elif y.size % x.size == 0:
            outer, inner = y.split(y.size // x.size, x.size)
            inner.same = x
            b.append(outer)
        else:
            raise UnfusableError(f"sizes {x.size} and {y.size} differ")
    if a or b:
        raise UnfusableError("an axis is larger than the other")


def contiguous_strides(sizes: Sequence[Size]) -> tuple[Size, ...]:
    """Return the strides of a row-major array, in elements.

    Raises
    ------
    UnfusableError
        If one is a product of open sizes, which has no name.
    """
    strides: list[Size] = []
    step: Size = 1
    for position in range(len(sizes) - 1, -1, -1):
        strides.append(step)
        if position:
            step = times(step, sizes[position])
    return tuple(reversed(strides))


def times(first: Size, second: Size) -> Size:
    """Return the product of two sizes, of which one open one may only be multiplied by 1."""
    if isinstance(first, int) and isinstance(second, int):
        return first * second
    if first == 1 or second == 1:
        return second if first == 1 else first
    raise UnfusableError(f"{first} times {second} has no name")
