"""The grammar of work: what the lowered ops are made of, and all that a backend needs to know.

    kernel = Map(function)                        one scalar function over broadcast operands
           | Reduction(function, axes, keepdims)  one associative function along axes
           | View(how)                            the same memory, seen otherwise
           | Library(name, attributes)            a named routine of the backend: gemm, conv2d, pooling, softmax ...
           | Evaluate(name, evaluate)             no kernel: the op's own NumPy meaning

    how    = Permute(order) | Reshape(sizes) | Slice(index) | Broadcast(sizes) | Same(sizes)

Fusion adds one more, `symgrad.lowering.steps.Fused`: several of these as one loop nest.

A kernel says nothing about memory: the plan decides where each output lives, and which operand it may overwrite.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ScalarFunction:
    """A function of scalars that every backend can apply elementwise.

    Parameters
    ----------
    name : str
        Its name, the same on every backend.
    implementation : callable or str
        The NumPy function: a ufunc, or a function that takes ``out=`` like one; or where to find it, as
        ``"scipy.special:erf"``, for modules that take long to import and that few programs need.
    """

    name: str
    implementation: Callable[..., Any] | str

    @property
    def numpy(self) -> Callable[..., Any]:
        """The NumPy function itself."""
        if isinstance(self.implementation, str):
            module, name = self.implementation.split(":")
            function: Callable[..., Any] = getattr(importlib.import_module(module), name)
            return function
        return self.implementation

    @property
    def in_place(self) -> bool:
        """Whether ``out`` may be one of the operands: so for ufuncs, which go element by element."""
        return isinstance(self.numpy, np.ufunc)


@dataclass(frozen=True)
class Kernel:
    """The base of all kernels."""


@dataclass(frozen=True)
class Map(Kernel):
    """``output[k] = function(inputs[k]...)`` over operands broadcast as in NumPy."""

    function: ScalarFunction


@dataclass(frozen=True)
class Reduction(Kernel):
    """``output = function`` accumulated along `axes`, in `dtype`."""

    function: ScalarFunction
    axes: tuple[int, ...]
    keepdims: bool
    dtype: str


@dataclass(frozen=True)
class Permute:
    """Axes in another order; ``None`` is a new axis of size 1, axes left out have size 1 and disappear."""

    order: tuple[int | None, ...]


@dataclass(frozen=True)
class Reshape:
    """Other sizes; ``None`` takes the next scalar operand, -1 is whatever is left."""

    sizes: tuple[int | None, ...]


@dataclass(frozen=True)
class Slice:
    """Basic indexing; the index is a tuple of `Fixed`, `FromOperand` and `Range`."""

    index: tuple[IndexEntry, ...]


@dataclass(frozen=True)
class Broadcast:
    """Stretched to sizes; ``None`` takes the next scalar operand. Axes `fixed`, from the last, must have theirs."""

    sizes: tuple[int | None, ...]
    fixed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Same:
    """The operand itself; `sizes` that the user vouches for are compared, None leaves one open."""

    sizes: tuple[int | None, ...] = ()


@dataclass(frozen=True)
class Fixed:
    """An integer index that the graph knows."""

    value: int


@dataclass(frozen=True)
class FromOperand:
    """An integer that arrives as the next scalar operand."""


@dataclass(frozen=True)
class Range:
    """A slice; each bound is None, known, or the next scalar operand."""

    start: int | FromOperand | None = None
    stop: int | FromOperand | None = None
    step: int | FromOperand | None = None


@dataclass(frozen=True)
class FromArray:
    """An array of positions, or a mask, that arrives as the next operand."""


IndexEntry = Fixed | FromOperand | Range | FromArray


def fill_index(index: Sequence[IndexEntry], operands: Sequence[Any]) -> tuple[Any, ...]:
    """Return the NumPy index that `index` means once its operands have values."""
    given = iter(operands)

    def bound(value: int | FromOperand | None) -> int | None:
        return int(next(given)) if isinstance(value, FromOperand) else value

    filled: list[Any] = []
    for entry in index:
        if isinstance(entry, Fixed):
            filled.append(entry.value)
        elif isinstance(entry, FromOperand):
            filled.append(int(next(given)))
        elif isinstance(entry, Range):
            filled.append(slice(bound(entry.start), bound(entry.stop), bound(entry.step)))
        else:
            filled.append(next(given))
    return tuple(filled)


@dataclass(frozen=True)
class View(Kernel):
    """The memory of the first operand seen otherwise; further operands are integer scalars that `how` takes."""

    how: Permute | Reshape | Slice | Broadcast | Same


@dataclass(frozen=True)
class Library(Kernel):
    """A routine of the backend's library, by name.

    Parameters
    ----------
    name : str
        The routine.
    attributes : tuple of (str, value)
        What it needs besides its operands.
    overwrites : int or None
        The operand whose memory the (only) output may take over, where the routine can work in place.
    """

    name: str
    attributes: tuple[tuple[str, Any], ...] = ()
    overwrites: int | None = None


@dataclass(frozen=True)
class Evaluate(Kernel):
    """An op without a kernel: `evaluate` computes new output arrays."""

    name: str
    evaluate: Callable[..., Sequence[np.ndarray]]
