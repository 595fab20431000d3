"""Chooses among ways to cut a problem."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from symgrad.backends.cupy.kernel import Target


class Cut(Protocol):
    """A way to cut a problem into blocks and threads."""

    def cycles(self, target: Target) -> float:
        """Return about how long it takes on a device."""


AnyCut = TypeVar("AnyCut", bound=Cut)


def quickest(cuts: Iterable[AnyCut], target: Target) -> AnyCut | None:
    """Return the cut that promises to take the least time; None if there is none."""
    return min(cuts, key=lambda cut: cut.cycles(target), default=None)
