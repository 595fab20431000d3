"""The grammar of work: what the lowered ops are made of, and all that a backend needs to know.

    kernel = Map(function)                        one scalar function over broadcast operands
           | Reduction(function, axes, keepdims)  one associative function along axes
           | View(how)                            the same memory, seen otherwise
           | Library(name, attributes)            a named routine of the backend: gemm, conv2d, pooling, softmax ...
           | Loop(body, sequences, states ...)    a graph carried out again and again: scan
           | Branch(if_true, if_false)            one of two graphs, as a condition says: ifelse
           | Evaluate(name, evaluate)             no kernel: the op's own NumPy meaning

    how    = Permute(order) | Reshape(sizes) | Slice(index) | Broadcast(sizes) | Same(sizes)

Fusion adds one more, `symgrad.lowering.steps.Fused`: several of these as one loop nest.

A kernel says nothing about memory: the plan decides where each output lives, and which operand it may overwrite.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symgrad.graph.closed import ClosedGraph


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
    """``output = function`` accumulated along `axes`, in `dtype`; floats of 16 bits in float32, and rounded once."""

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
class State:
    """What one round of a loop hands to the next.

    Parameters
    ----------
    taps : tuple of int
        Which earlier values a round reads: -1 is the last one, -2 the one before.
    keeps_all : bool
        Whether the loop returns its values after all rounds, or only the last ones.
    """

    taps: tuple[int, ...] = (-1,)
    keeps_all: bool = True

    @property
    def depth(self) -> int:
        """How many earlier values there must be before the first round."""
        return -min(self.taps)


@dataclass(frozen=True)
class Loop(Kernel):
    """A graph carried out again and again.

    Operands of the kernel, in this order: the number of rounds, an int64 scalar; each sequence, ``(rounds or more,
    ...)``; the first values of each state, ``(depth, ...)``, the oldest first; the constants.

    Inputs of the body: the row of each sequence; for each state, its value at each of its taps; the constants. Its
    outputs: the new value of each state; the stacked values; with `until`, a bool scalar that ends the loop after the
    round that it is true in.

    Outputs of the kernel: for each state its values after each round, ``(rounds, ...)``, or if it doesn't keep all, its
    last `depth` values, ``(depth, ...)`` (of the first values, if there are too few rounds); each stacked value,
    ``(rounds, ...)``. With `until`, `rounds` is how many there were.

    Parameters
    ----------
    body : ClosedGraph
        What one round does; no updates.
    sequences, stacked, constants : int
        How many there are.
    states : tuple of State
        What is handed on.
    until : bool
        Whether the body says when to stop.
    """

    body: ClosedGraph
    sequences: int
    states: tuple[State, ...]
    stacked: int
    constants: int
    until: bool = False


@dataclass(frozen=True)
class Branch(Kernel):
    """One of two graphs of the same inputs and types of outputs.

    Operands of the kernel: a bool scalar; then the inputs of both graphs, which are the same for both. Only the chosen
    one is carried out.

    Parameters
    ----------
    if_true, if_false : ClosedGraph
        The graphs.
    """

    if_true: ClosedGraph
    if_false: ClosedGraph


@dataclass(frozen=True)
class Evaluate(Kernel):
    """An op without a kernel: `evaluate` computes new output arrays.

    Parameters
    ----------
    name : str
        The op's name.
    evaluate : callable
        Its NumPy meaning.
    attributes : tuple of (str, value)
        ``"op"``, the op's class with its module, and the op's own fields: by these a backend finds a function of its
        own that computes the same. `evaluate` alone says what the kernel means, so they aren't compared.
    """

    name: str
    evaluate: Callable[..., Sequence[np.ndarray]]
    attributes: tuple[tuple[str, Any], ...] = field(default=(), compare=False, repr=False)
