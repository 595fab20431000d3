"""Library routines as terms: softmax and its family, labels, sums of squares, arguments of extremes, gathers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from symgrad.kernels.grammar import Fixed, FromOperand, Range
from symgrad.lowering.fusion.axes import Axis, UnfusableError, axis_of, joined, leaves, unify
from symgrad.lowering.fusion.building import Builder
from symgrad.lowering.fusion.terms import Leaf, Node, Place, Term, sliced
from symgrad.lowering.steps import Step

Attributes = dict[str, Any]
Expansion = Callable[[Builder, Step, Attributes], Term]
EXPANSIONS: dict[str, Expansion] = {}


def expansion(function: Expansion) -> Expansion:
    """Enter an expansion under its function's name."""
    EXPANSIONS[function.__name__] = function
    return function


def _exponentials(b: Builder, x: Term, axis: Axis) -> tuple[Node, Node, Node]:
    """Return ``x - max``, its exponential, and the sum of those along an axis."""
    dtype = x.node.dtype
    largest = b.reduce("maximum", x.node, [axis])
    shifted = b.call("subtract", [x.node, largest], dtype)
    powers = b.call("exp", [shifted], dtype)
    return shifted, powers, b.reduce("add", powers, [axis])


@expansion
def softmax(b: Builder, step: Step, attributes: Attributes) -> Term:
    """``exp(x - max) / sum``, by one division for each row."""
    x = b.term(step.inputs[0])
    dtype = x.node.dtype
    _, powers, total = _exponentials(b, x, x.axes[attributes["axis"]])
    factor = b.call("true_divide", [b.number(1, dtype), total], dtype)
    return Term(b.call("multiply", [powers, factor], dtype), x.axes)


@expansion
def log_softmax(b: Builder, step: Step, attributes: Attributes) -> Term:
    """``x - max - log(sum)``."""
    x = b.term(step.inputs[0])
    shifted, _, total = _exponentials(b, x, x.axes[attributes["axis"]])
    dtype = x.node.dtype
    return Term(b.call("subtract", [shifted, b.call("log", [total], dtype)], dtype), x.axes)


@expansion
def softmax_gradient(b: Builder, step: Step, attributes: Attributes) -> Term:
    """``p * (c - sum(c * p))``."""
    cotangent, p = [b.term(variable) for variable in step.inputs]
    axes, dtype = b.aligned([p, cotangent]), p.node.dtype
    weighted = b.call("multiply", [cotangent.node, p.node], dtype)
    total = b.reduce("add", weighted, [axes[attributes["axis"]]])
    difference = b.call("subtract", [cotangent.node, total], dtype)
    return Term(b.call("multiply", [difference, p.node], dtype), axes)


def _position(b: Builder, index: Node, size: Any) -> Node:
    """Return an index counted from 0, after noting that it must be in range."""
    if not isinstance(size, int):
        raise UnfusableError("an index into an open size")
    wide = b.cast(index, "int64")
    limit, zero = b.number(size, "int64"), b.number(0, "int64")
    if not index.dtype.startswith("u"):
        from_end = b.call("add", [wide, limit], "int64")
        is_negative = b.call("lt", [wide, zero], "bool")
        wide = b.call("switch", [is_negative, from_end, wide], "int64")
    inside = [b.call("ge", [wide, zero], "bool"), b.call("lt", [wide, limit], "bool")]
    b.checks.append(b.call("and", inside, "bool"))
    return wide


def _label(b: Builder, step: Step, x: Term, labels: Term) -> Node:
    unify(x.axes[0], labels.axes[0])
    return _position(b, labels.node, b.facts.shape(step.inputs[0])[1])


@expansion
def log_softmax_at(b: Builder, step: Step, attributes: Attributes) -> Term:
    """The label's element of each row of `log_softmax`."""
    x, labels = [b.term(variable) for variable in step.inputs]
    label = _label(b, step, x, labels)
    shifted, _, total = _exponentials(b, x, x.axes[1])
    dtype = x.node.dtype
    picked = b.at(shifted, [x.axes[1]], [label])
    return Term(b.call("subtract", [picked, b.call("log", [total], dtype)], dtype), (x.axes[0],))


@expansion
def label_gradient(b: Builder, step: Step, attributes: Attributes) -> Term:
    """``scale * (p - one_hot(labels))``."""
    p, labels, scale = [b.term(variable) for variable in step.inputs]
    label = _label(b, step, p, labels)
    if scale.axes:
        unify(p.axes[0], scale.axes[0])
    dtype = p.node.dtype
    column = b.position(p.axes[1])
    is_label = b.call("eq", [column, label], "bool")
    less = b.call("subtract", [p.node, b.number(1, dtype)], dtype)
    difference = b.call("switch", [is_label, less, p.node], dtype)
    return Term(b.call("multiply", [difference, b.cast(scale.node, dtype)], dtype), p.axes)


@expansion
def sum_of_squares(b: Builder, step: Step, attributes: Attributes) -> Term:
    """The sum of the squares of all elements."""
    x = b.term(step.inputs[0])
    return Term(b.reduce("add", b.call("sqr", [x.node], x.node.dtype), x.axes), ())


@expansion
def size(b: Builder, step: Step, attributes: Attributes) -> Term:
    """The size of one axis."""
    return Term(b.number(b.facts.shape(step.inputs[0])[attributes["axis"]], "int64"), ())


@expansion
def arange(b: Builder, step: Step, attributes: Attributes) -> Term:
    """``start + step * position``, of integers that the graph knows."""
    start, _, stride = [b.facts.integer(variable) for variable in step.inputs]
    dtype = attributes["dtype"]
    if np.dtype(dtype).kind not in "iu":
        raise UnfusableError("a range of floats")
    axis = axis_of(b.facts.shape(step.outputs[0])[0])
    scaled = b.call("multiply", [b.position(axis), b.number(stride, "int64")], "int64")
    moved = b.call("add", [scaled, b.number(start, "int64")], "int64")
    return Term(b.cast(moved, dtype), (axis,))


def _first_extreme(b: Builder, step: Step, attributes: Attributes, function: str) -> Term:
    """The least position where the extreme is; nan, which wins over all numbers, is where it isn't itself."""
    x = b.term(step.inputs[0])
    along = list(range(len(x.axes))) if attributes["axis"] is None else [attributes["axis"]]
    reduced = [x.axes[axis] for axis in along]
    count = 1
    for axis in along:
        extent = b.facts.shape(step.inputs[0])[axis]
        if not isinstance(extent, int) or extent == 0:
            raise UnfusableError("an extreme of what may be empty")
        count *= extent
    extreme = b.reduce(function, x.node, reduced)
    is_here = b.call("eq", [x.node, extreme], "bool")
    if np.dtype(x.node.dtype).kind == "f":
        is_here = b.call("or", [is_here, b.call("isnan", [x.node], "bool")], "bool")
    position = b.call("switch", [is_here, b.position(joined(reduced)), b.number(count, "int64")], "int64")
    first = b.reduce("minimum", position, reduced)
    axes = [() if axis in along else found for axis, found in enumerate(x.axes)
            if attributes["keepdims"] or axis not in along]  # fmt: skip
    return Term(first if joined(reduced) else b.number(0, "int64"), tuple(axes))


@expansion
def argmax(b: Builder, step: Step, attributes: Attributes) -> Term:
    """Position of the first largest element."""
    return _first_extreme(b, step, attributes, "maximum")


@expansion
def argmin(b: Builder, step: Step, attributes: Attributes) -> Term:
    """Position of the first smallest element."""
    return _first_extreme(b, step, attributes, "minimum")


@expansion
def take(b: Builder, step: Step, attributes: Attributes) -> Term:
    """Advanced indexing by integer arrays, numbers, and slices that the graph knows."""
    index, x = attributes["index"], b.term(step.inputs[0])
    sizes = b.facts.shape(step.inputs[0])
    if any(isinstance(entry, Range) and entry != Range() for entry in index):
        x, sizes = _slices_taken(b, step, x, index)
    arrays = [b.term(variable) for variable in step.inputs[1:]]
    if any(np.dtype(array.node.dtype).kind not in "iu" for array in arrays):
        raise UnfusableError("a mask")
    picked, given = b.aligned(arrays), iter(arrays)
    advanced = [axis for axis, entry in enumerate(index) if not isinstance(entry, Range)]
    positions = []
    for axis in advanced:
        entry = index[axis]
        node = b.number(entry.value, "int64") if isinstance(entry, Fixed) else next(given).node
        positions.append(_position(b, node, sizes[axis]))
    rest = [axis for axis in range(len(x.axes)) if axis not in advanced]
    together = advanced == list(range(advanced[0], advanced[0] + len(advanced)))
    before = advanced[0] if together else 0
    axes = [x.axes[axis] for axis in rest]
    node, indexed = x.node, [x.axes[axis] for axis in advanced]
    if isinstance(node, Leaf) and all(place.pick is None for place in node.places):
        node = _gathered(b, node, indexed, positions)
    else:
        node = b.at(node, indexed, positions)
    found_axes = (*axes[:before], *picked, *axes[before:])
    b.axes.append(found_axes)  # positions may be made of what the rest is made of, too
    return Term(node, found_axes)


def _slices_taken(b: Builder, step: Step, x: Term, index: Sequence[Any]) -> tuple[Term, tuple[Any, ...]]:
    """Take the slices of an index whose other entries are arrays and numbers; return what is left, and its sizes."""
    entries: list[tuple[int, int, Any]] = []
    sizes = list(b.facts.shape(step.inputs[0]))
    for axis, entry in enumerate(index):
        bounds = [entry.start, entry.stop, entry.step] if isinstance(entry, Range) else [None] * 3
        size = sizes[axis]
        if not isinstance(size, int) or any(isinstance(bound, FromOperand) for bound in bounds):
            raise UnfusableError("a slice that only the call knows")
        found = range(*slice(*bounds).indices(size))
        entries.append((found.start if len(found) else 0, found.step, len(found)))
        sizes[axis] = len(found)
    return sliced(x, entries), tuple(sizes)


def _gathered(b: Builder, leaf: Leaf, axes: Sequence[Axis], positions: list[Node]) -> Node:
    """Return an operand's element at positions that are computed."""
    places, shape, strides = list(leaf.places), list(leaf.shape), list(leaf.strides)
    for axis, position in zip(axes, positions, strict=True):
        dims = leaves(axis)
        own = [k for k, place in enumerate(places) if not set(dims).isdisjoint(leaves(place.axis))]
        if not own:  # of size 1, or stretched
            continue
        run = slice(own[0], own[-1] + 1)
        if leaves(joined([place.axis for place in places[run]])) != dims or not _is_one_axis(leaf, run, places):
            raise UnfusableError("a gather of a part of joined axes")
        last = places[own[-1]]
        places[run] = [Place((), last.start, last.step, position)]
        shape[run], strides[run] = [prod(shape[run])], [strides[own[-1]]]  # type: ignore[type-var]
    return b.noted(Leaf(leaf.variable, leaf.dtype, places, shape, strides))  # type: ignore[no-any-return]


def _is_one_axis(leaf: Leaf, run: slice, places: Sequence[Place]) -> bool:
    """Whether elements along several axes of an operand follow each other in memory as along one."""
    if run.stop - run.start == 1:
        return True
    if any((place.start, place.step, place.pick) != (0, 1, None) for place in places[run]):
        return False
    shape, strides = leaf.shape[run], leaf.strides[run]
    if not all(isinstance(size, int) for size in (*shape, *strides)):
        return False
    steps = [int(inner) * int(size) for inner, size in zip(strides[1:], shape[1:], strict=True)]
    return steps == list(strides[:-1])
