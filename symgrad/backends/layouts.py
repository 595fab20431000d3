"""Where each variable's elements are: a memory, an offset and strides, so that views cost nothing.

A memory is what a variable that isn't a view lives in. A view whose start only the call knows gets a slot of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from symgrad.backends.base import UnsupportedError
from symgrad.graph.op import Operand
from symgrad.graph.variables import Constant, Variable
from symgrad.kernels.grammar import (
    Broadcast,
    Fixed,
    FromOperand,
    Permute,
    Range,
    Reshape,
    Same,
    Slice,
    View,
)
from symgrad.lowering.steps import Step


@dataclass(frozen=True)
class Location:
    """Where the elements of a variable are.

    Attributes
    ----------
    memory : Variable
        The variable whose memory it is.
    offset : int
        Elements from the start of that memory to the first element.
    shape, strides : tuple of int
        Sizes, and elements between neighbours.
    """

    memory: Variable
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def is_contiguous(self) -> bool:
        """Whether elements follow each other in row-major order."""
        return all(
            size == 1 or stride == expected
            for size, stride, expected in zip(self.shape, self.strides, contiguous(self.shape), strict=True)
        ) or 0 in self.shape


@dataclass(frozen=True)
class Start:
    """A run-time start of a view: `scalar` counts steps of `stride` elements, from 0 to `limit`.

    `size` is added to a negative index; a range's start is never negative (then it is 0).
    """

    scalar: Variable
    stride: int
    limit: int
    size: int


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides of a row-major array, in elements."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


class Layouts:
    """The locations of all variables of a plan, found step by step.

    Attributes
    ----------
    starts : dict of Variable to (Location, tuple of Start)
        For each view with run-time starts, the location at start 0, and the starts.
    """

    def __init__(self, types: Mapping[Variable, Operand]) -> None:
        self.types = types
        self.found: dict[Variable, Location] = {}
        self.starts: dict[Variable, tuple[Location, tuple[Start, ...]]] = {}

    def of(self, variable: Variable) -> Location:
        """Return the location of a variable; of one that isn't a view, its own memory."""
        location = self.found.get(variable)
        if location is None:
            shape = self.shape(variable)
            location = self.found[variable] = Location(variable, 0, shape, contiguous(shape))
        return location

    def shape(self, variable: Variable) -> tuple[int, ...]:
        """Return the sizes of a variable, or raise `UnsupportedError` if only the call knows them."""
        kind: Any = self.types[variable].type
        if not getattr(kind, "is_static", False):
            raise UnsupportedError(f"{variable} has sizes that only the call knows")
        return tuple(kind.shape)

    def add_views(self, steps: Sequence[Step]) -> None:
        """Note where the outputs of those steps are that are views, or raise `UnsupportedError`."""
        for step in steps:
            if isinstance(step.kernel, View):
                self.add_view(step)

    def add_view(self, step: Step) -> None:
        """Note where the output of a view is, or raise `UnsupportedError`."""
        assert isinstance(step.kernel, View)
        how, source, output = step.kernel.how, self.of(step.inputs[0]), step.outputs[0]
        shape = self.shape(output)
        if isinstance(how, Slice):
            numbers = [self._number(variable) for variable in step.inputs[1:]]
            location, starts = _sliced(how, source, numbers, shape)
            if starts:
                self.starts[output] = location, tuple(starts)
                location = Location(output, 0, shape, location.strides)
        else:
            location = _seen_otherwise(how, source, shape)
        self.found[output] = location

    def starts_late(self, variable: Variable) -> bool:
        """Whether only the call knows where a variable starts in its memory."""
        return self.of(variable).memory in self.starts

    def _number(self, variable: Variable) -> int | Variable:
        """Return an operand of a view as a number, if it is known once sizes are."""
        known = variable.data if isinstance(variable, Constant) else self.types[variable].known
        return variable if known is None else int(known)


def _seen_otherwise(how: Any, source: Location, shape: tuple[int, ...]) -> Location:
    if isinstance(how, Same):
        return source
    if isinstance(how, Permute):
        strides = tuple([0 if axis is None else source.strides[axis] for axis in how.order])
        return Location(source.memory, source.offset, shape, strides)
    if isinstance(how, Reshape):
        if not source.is_contiguous:
            raise UnsupportedError("a reshape of memory that isn't contiguous is a copy")
        return Location(source.memory, source.offset, shape, contiguous(shape))
    assert isinstance(how, Broadcast)
    extra = len(shape) - len(source.shape)
    strides = tuple([
        0 if axis < extra or (source.shape[axis - extra] == 1 and size != 1) else source.strides[axis - extra]
        for axis, size in enumerate(shape)
    ])  # fmt: skip
    return Location(source.memory, source.offset, shape, strides)


def _sliced(
    how: Slice, source: Location, numbers: Sequence[int | Variable], shape: tuple[int, ...]
) -> tuple[Location, list[Start]]:
    """Return the location of a slice with all run-time starts at 0, and those starts."""
    given = iter(numbers)
    offset, axis = source.offset, 0
    strides: list[int] = []
    starts: list[Start] = []
    for entry in how.index:
        size, stride = source.shape[axis], source.strides[axis]
        axis += 1
        if isinstance(entry, Fixed | FromOperand):
            position = entry.value if isinstance(entry, Fixed) else next(given)
            if isinstance(position, Variable):
                starts.append(Start(_scalar(position), stride, size - 1, size))
            elif -size <= position < size:
                offset += (position % size) * stride
            else:
                raise UnsupportedError("an index is out of range")
        elif isinstance(entry, Range):
            bounds = [next(given) if isinstance(b, FromOperand) else b for b in (entry.start, entry.stop, entry.step)]
            length = shape[len(strides)]
            if isinstance(bounds[0], Variable):
                starts.append(Start(_scalar(bounds[0]), stride, size - length, 0))
                strides.append(stride)
            else:
                first, step = _known_range(bounds, size, length)
                offset += first * stride
                strides.append(step * stride)
        else:
            raise UnsupportedError("an index by arrays is no view")
    return Location(source.memory, offset, shape, (*strides, *source.strides[axis:])), starts


def _known_range(bounds: list[Any], size: int, length: int) -> tuple[int, int]:
    if any(isinstance(bound, Variable) for bound in bounds):
        raise UnsupportedError("a bound of a slice is known in the call only")
    found = range(*slice(*bounds).indices(size))
    if len(found) != length:
        raise UnsupportedError("a slice has another length than its type says")
    return (found.start if length else 0), found.step


def _scalar(variable: Variable) -> Variable:
    kind: Any = variable.type
    if kind.dtype != "int64":
        raise UnsupportedError("an index isn't int64")
    return variable


def bytes_of(types: Mapping[Variable, Operand], variable: Variable) -> int:
    """Return the size of a variable in memory."""
    kind: Any = types[variable].type
    return int(prod(kind.shape) * np.dtype(kind.dtype).itemsize)
