"""Kernels that put elements in their places: joined tensors, parts that are written, elements at computed positions.

Several loops write one output, so these are no nests; each is a kernel of its own. Views of operands are folded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from symgrad.graph.dtypes import HALVES, widened
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Evaluate, Fixed, FromArray, FromOperand, Library, Range
from symgrad.kernels.ir import grammar as ir
from symgrad.kernels.ir.builder import KernelBuilder, Memory, Term, call, cast
from symgrad.kernels.ir.functions import DTYPES
from symgrad.lowering.fusion.axes import UnfusableError, contiguous_strides, leaves
from symgrad.lowering.fusion.building import Builder, Facts
from symgrad.lowering.fusion.nest import strides_of
from symgrad.lowering.fusion.terms import Leaf, Number
from symgrad.lowering.steps import Step

INDEX = "int64"
Copy = Callable[["CopyWriter", Step, dict[str, Any]], None]
COPIES: dict[str, Copy] = {}


def copies(step: Step) -> bool:
    """Whether a step may be a kernel of this sort."""
    return isinstance(step.kernel, Library | Evaluate) and step.kernel.name in COPIES


def copying(function: Copy) -> Copy:
    """Enter a writer under its function's name."""
    COPIES[function.__name__] = function
    return function


@dataclass(frozen=True, eq=False)
class Operand:
    """An operand of known sizes, in memory: its strides in elements, and where it starts."""

    memory: Memory
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    start: int

    @property
    def is_contiguous(self) -> bool:
        """Whether elements follow each other from the start of the memory."""
        return self.start == 0 and self.strides == contiguous_strides(self.shape)

    def at(self, indices: Sequence[Any]) -> Term:
        """Load an element; axes of size 1 stretch, and missing ones are in front."""
        kept = list(indices)[len(indices) - len(self.shape) :]
        places = [place for place, size in zip(kept, self.shape, strict=True) if size != 1]
        strides = [stride for stride, size in zip(self.strides, self.shape, strict=True) if size != 1]
        return self.memory[offset(places, strides, self.start)]


class CopyWriter:
    """Writes one kernel, whose buffers are `inputs` and then the step's output.

    Parameters
    ----------
    facts : Facts
        What is known about variables.
    name : str
        The kernel's name.
    step : Step
        What is done.
    inputs : sequence of Variable
        The memories that it reads, views folded.
    overwrites : bool
        Whether the output is the memory of the first of them.
    """

    def __init__(
        self, facts: Facts, name: str, step: Step, inputs: Sequence[Variable], overwrites: bool = False
    ) -> None:
        self.facts = facts
        self.overwrites = overwrites
        self.step = step
        self.builder = KernelBuilder(name)
        self.memories: dict[Variable, Memory] = {}
        self.terms = [Builder(facts).term(variable) for variable in step.inputs]
        used = {term.node.variable: term.node for term in self.terms if isinstance(term.node, Leaf)}
        for position, variable in enumerate(inputs):
            reach = _reach(used[variable]) if variable in used else 1
            dtype = facts.dtype(variable)
            self.memories[variable] = self.builder.input(f"in{position}", dtype, (reach,))
        shape = self.known_shape(step.outputs[0])
        self.shape, self.strides = shape, contiguous_strides(shape)
        self.output = self.builder.output("out0", facts.dtype(step.outputs[0]), (prod(shape),))

    def known_shape(self, variable: Variable) -> tuple[int, ...]:
        """Return sizes, all of which must be numbers."""
        shape = self.facts.shape(variable)
        if any(not isinstance(size, int) for size in shape):
            raise UnfusableError("an open size")
        return tuple([int(size) for size in shape])

    def operand(self, number: int) -> Operand:
        """Return an operand by its position."""
        leaf, axes = self.terms[number].node, self.terms[number].axes
        if not isinstance(leaf, Leaf):
            raise UnfusableError("a constant that is copied")
        known, strides = strides_of(leaf), []
        for axis in axes:
            dims = leaves(axis)
            for outer, inner in pairwise(dims):
                if int(known.get(outer, 0)) != int(known.get(inner, 0)) * int(inner.size):
                    raise UnfusableError("joined axes with a gap between them")
            strides.append(int(known.get(dims[-1], 0)) if dims else 0)
        start = sum(place.start * int(stride) for place, stride in zip(leaf.places, leaf.strides, strict=True))
        shape = self.known_shape(self.step.inputs[number])
        filled = [own if size != 1 else plain
                  for own, size, plain in zip(strides, shape, contiguous_strides(shape), strict=True)]  # fmt: skip
        return Operand(self.memories[leaf.variable], shape, tuple([int(stride) for stride in filled]), start)

    def part(self, number: int) -> Operand | Term:
        """Return an operand by its position, or the number that it is filled with."""
        node = self.terms[number].node
        if isinstance(node, Number) and not isinstance(node.value, str):
            return self.builder.literal(node.value, node.dtype)
        return self.operand(number)

    def scalar(self, number: int) -> Term:
        """Return a number, known or in memory."""
        value = self.facts.known(self.step.inputs[number])
        if value is not None and value.size == 1:
            return self.builder.literal(value.item(), self.facts.dtype(self.step.inputs[number]))
        operand = self.operand(number)
        if operand.shape:
            raise UnfusableError("a scalar that isn't one")
        return operand.memory[operand.start]

    @contextmanager
    def loops(self, sizes: Sequence[int], vector: bool = True) -> Iterator[list[Any]]:
        """Open a loop for each size, the last one in lanes; give the indices."""
        with ExitStack() as stack:
            indices: list[Any] = []
            for number, size in enumerate(sizes):
                last = vector and number == len(sizes) - 1
                loop = self.builder.vector(size) if last else self.builder.serial(size)
                indices.append(stack.enter_context(loop).index)
            yield indices

    def copy(self, number: int) -> None:
        """Copy an operand of the output's shape into it."""
        node = self.terms[number].node
        if isinstance(node, Number):
            with self.builder.vector(prod(self.shape)) as loop:
                self.output[loop.index] = self.builder.literal(node.value, node.dtype)
            return
        operand = self.operand(number)
        if operand.is_contiguous:
            with self.builder.vector(prod(self.shape)) as loop:
                self.output[loop.index] = operand.memory[loop.index]
            return
        with self.loops(self.shape) as indices:
            self.output[offset(indices, self.strides, 0)] = operand.at(indices)

    def keep(self, sizes: Sequence[int]) -> None:
        """See to it that the output holds the first operand, before a part of some sizes is written."""
        if not self.overwrites or prod(sizes) == 0:
            self.copy(0)

    def put(self, place: Any, value: Term, sets: bool) -> None:
        """Set an element of the output, or add to it."""
        dtype = self.output.buffer.dtype
        if value.dtype != dtype:
            raise UnfusableError("an element of another dtype")
        if not sets:
            terms = [cast(term, widened(dtype)) for term in (self.output[place], value)]
            value = cast(call("add", *terms), dtype)
        self.output[place] = value

    def position(self, index: Term, size: int, checked: bool = False) -> Term:
        """Return an index counted from 0, after checking that it is in range, if that hasn't been done yet."""
        wide = self.builder.let("position", cast(index, INDEX))
        if not index.dtype.startswith("u"):
            wide = self.builder.let("position", call("switch", wide < 0, wide + size, wide))
        if not checked:
            self.builder.check((wide >= 0) & (wide < size))
        return wide


def offset(places: Sequence[Any], strides: Sequence[Any], start: int) -> Any:
    """Return ``start + sum of stride * place``."""
    total: Any = start
    for place, stride in zip(places, strides, strict=True):
        if isinstance(place, int):
            total = total + place * stride
            continue
        term = place if stride == 1 else place * int(stride)
        total = term if isinstance(total, int) and total == 0 else term + total
    return total


def _reach(leaf: Leaf) -> int:
    sizes = [(size, stride) for size, stride in zip(leaf.shape, leaf.strides, strict=True)]
    if any(not isinstance(size, int) or not isinstance(stride, int) for size, stride in sizes):
        raise UnfusableError("an open size")
    if any(size == 0 for size, _ in sizes):
        return 0
    return 1 + sum((int(size) - 1) * int(stride) for size, stride in sizes)


def write_copy(
    facts: Facts, name: str, step: Step, inputs: Sequence[Variable], overwrites: bool = False
) -> ir.Kernel:
    """Return the kernel of a step that puts elements in their places, or raise `UnfusableError`."""
    if any(facts.dtype(variable) not in DTYPES for variable in (*inputs, *step.outputs)):
        raise UnfusableError("a dtype that kernels don't have")
    writer = CopyWriter(facts, name, step, inputs, overwrites)
    attributes = dict(step.kernel.attributes) if isinstance(step.kernel, Library) else {}
    COPIES[step.kernel.name](writer, step, attributes)  # type: ignore[attr-defined]
    return writer.builder.kernel()


# ---- the kernels ----------------------------------------------------------------------------------------------------


@copying
def make_vector(w: CopyWriter, step: Step, attributes: dict[str, Any]) -> None:
    """Scalars put together."""
    if not step.inputs:
        raise UnfusableError("a vector of nothing")
    for number in range(len(step.inputs)):
        w.output[number] = cast(w.scalar(number), w.output.buffer.dtype)


@copying
def concatenate(w: CopyWriter, step: Step, attributes: dict[str, Any]) -> None:
    """Tensors one after the other along an axis."""
    axis, b = attributes["axis"], w.builder
    shapes = [w.known_shape(variable) for variable in step.inputs]
    parts = [w.part(number) for number in range(len(step.inputs))]
    if any(w.facts.dtype(variable) != w.output.buffer.dtype for variable in step.inputs):
        raise UnfusableError("parts of other dtypes")
    starts = np.cumsum([0, *[shape[axis] for shape in shapes]]).tolist()
    if all(not isinstance(part, Operand) or part.is_contiguous for part in parts):
        rest, rows = prod(w.shape[axis + 1 :]), prod(w.shape[:axis])
        with b.parallel(rows) as row:
            for part, shape, start in zip(parts, shapes, starts, strict=False):
                length = shape[axis] * rest
                if not length:
                    continue
                with b.vector(length) as loop:
                    place = row.index * (w.shape[axis] * rest) + start * rest + loop.index
                    element = row.index * length + loop.index
                    w.output[place] = part.memory[element] if isinstance(part, Operand) else part
        return
    for part, shape, start in zip(parts, shapes, starts, strict=False):
        with w.loops(shape) as indices:
            value = part.at(indices) if isinstance(part, Operand) else part
            w.output[offset(indices, w.strides, start * int(w.strides[axis]))] = value


@copying
def write(w: CopyWriter, step: Step, attributes: dict[str, Any]) -> None:
    """A part given by integers and slices, replaced or added to."""
    part, start, dynamic = _part(w, step, attributes["index"])
    written = w.part(1)
    _check_fits(w.known_shape(step.inputs[1]), [size for size, _ in part])
    for index, size, stride in dynamic:
        start = w.position(index, size) * stride + start
    w.keep([size for size, _ in part])
    with w.loops([size for size, _ in part]) as indices:
        value = written.at(indices) if isinstance(written, Operand) else written
        place = offset(indices, [stride for _, stride in part], 0)
        w.put(start + place if not isinstance(start, int) or start else place, value, attributes["sets"])


def _part(w: CopyWriter, step: Step, index: Sequence[Any]) -> tuple[list[tuple[int, int]], Any, list[Any]]:
    """Return size and stride of each axis of a part, where it starts, and the indices that only the call knows."""
    part: list[tuple[int, int]] = []
    dynamic: list[Any] = []
    start, given = 0, iter(range(2, len(step.inputs)))
    for axis, (size, stride) in enumerate(zip(w.shape, w.strides, strict=True)):
        entry = index[axis] if axis < len(index) else Range()
        if isinstance(entry, Range):
            bounds = [bound if bound is None or isinstance(bound, int) else w.facts.integer(step.inputs[next(given)])
                      for bound in (entry.start, entry.stop, entry.step)]  # fmt: skip
            found = range(*slice(*bounds).indices(size))
            start += (found.start if len(found) else 0) * int(stride)
            part.append((len(found), found.step * int(stride)))
        elif isinstance(entry, Fixed):
            if not -size <= entry.value < size:
                raise UnfusableError("an index out of range")
            start += (entry.value % size) * int(stride)
        else:
            number = next(given)
            if isinstance(entry, FromOperand):
                dynamic.append((w.scalar(number), size, int(stride)))
    return part, start, dynamic


def _check_fits(shape: Sequence[int], target: Sequence[int]) -> None:
    """Raise unless a shape broadcasts to another."""
    if len(shape) > len(target) or any(
        size not in (1, wanted) for size, wanted in zip(shape[::-1], target[::-1], strict=False)
    ):
        raise UnfusableError("what is written doesn't fit")


@copying
def write_at(w: CopyWriter, step: Step, attributes: dict[str, Any]) -> None:
    """Elements at positions given by arrays, numbers and known slices, replaced or added to, in order."""
    index = attributes["index"]
    if any(w.facts.dtype(variable) == "bool" for variable in step.inputs[2:]):
        raise UnfusableError("a mask")
    if w.output.buffer.dtype in HALVES and not attributes["sets"]:
        raise UnfusableError("several terms added to a float of 16 bits, one after the other")
    part, start, dynamic = _part(w, step, index)
    arrays = [(w.operand(number), size, stride) for number, size, stride in _arrays(w, step, index)]
    picked = np.broadcast_shapes(*[array.shape for array, _, _ in arrays])
    advanced = [axis for axis, entry in enumerate(index) if not isinstance(entry, Range)]
    before = advanced[0] if advanced == list(range(advanced[0], advanced[-1] + 1)) else 0
    sizes, strides = [size for size, _ in part], [stride for _, stride in part]
    written = w.operand(1) if isinstance(w.terms[1].node, Leaf) else None
    if written is not None:
        _check_fits(written.shape, [*sizes[:before], *picked, *sizes[before:]])
    for number, size, stride in dynamic:
        start = w.position(number, size) * stride + start
    for array, size, _ in arrays:
        with w.loops(array.shape) as indices:
            w.position(array.at(indices), size)
    w.keep([*picked, *sizes])
    with w.loops(picked, vector=False) as outer:
        places = [w.position(array.at(outer), size, checked=True) for array, size, _ in arrays]
        with w.loops(sizes) as inner:
            indices = [*inner[:before], *outer, *inner[before:]]
            value = w.scalar(1) if written is None else written.at(indices)
            place = offset([*places, *inner], [*[stride for _, _, stride in arrays], *strides], 0)
            w.put(start + place if not isinstance(start, int) or start else place, value, attributes["sets"])


def _arrays(w: CopyWriter, step: Step, index: Sequence[Any]) -> list[tuple[int, int, int]]:
    """Return the operand of each array of an index, with size and stride of its axis."""
    found, number = [], 2
    for axis, entry in enumerate(index):
        if isinstance(entry, FromArray):
            found.append((number, w.shape[axis], int(w.strides[axis])))
        bounds = (entry.start, entry.stop, entry.step) if isinstance(entry, Range) else (entry,)
        number += sum(isinstance(bound, FromOperand | FromArray) for bound in bounds)
    return found
