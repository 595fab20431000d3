"""What a group of kernels computes, as a graph of scalar expressions over an iteration space.

    term = Term(node, axes)                     a tensor: what each element is, and which dims its axes are
    node = Leaf(variable, places)               an element of an operand
         | Apply(function, operands)            a scalar function, or a cast
         | Reduce(function, operand, dims)      an associative function accumulated along dims
         | Position(axis)                       an index along an axis
         | At(node, axes, indices)              a value at one position of each of some axes
         | Number(value)

A node depends on dims through its leaves and positions. Views change a term's axes and leave its node alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from symgrad.graph.variables import Variable
from symgrad.lowering.fusion.axes import Axis, Size, UnfusableError, axis_of, joined, leaves, unify

_EXPENSIVE = (
    "exp", "exp_below_one", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin", "arccos",
    "arctan",
    "arctan2", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "sigmoid", "softplus", "logaddexp", "power",
    "erf", "erfc", "xlogx", "xlogy0",
)  # fmt: skip
COSTS = dict.fromkeys(_EXPENSIVE, 12) | dict.fromkeys(
    ("true_divide", "sqrt", "reciprocal", "mod", "floor_divide"), 3
)
"""About how many additions a function costs, where it isn't one."""

CHEAP = 8
"""Values up to this cost are computed anew rather than kept."""


class Node:
    """The base of all nodes.

    Attributes
    ----------
    dtype : str
        Of the scalar.
    operands : tuple of Node
        What it is computed from.
    cost : int
        Of this node alone.
    step : object
        The step that it came from.
    """

    __slots__ = ("cost", "dtype", "operands", "step")

    def __init__(self, dtype: str, operands: Sequence[Node] = (), cost: int = 0) -> None:
        self.dtype = dtype
        self.operands = tuple(operands)
        self.cost = cost
        self.step: Any = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where along one axis of an operand's memory: ``start + step * (index along axis)``, or what `pick` says."""

    axis: Axis
    start: int = 0
    step: int = 1
    pick: Node | None = None


class Leaf(Node):
    """An element of an operand; `strides` in elements, one for each of `places`."""

    __slots__ = ("places", "shape", "strides", "variable")

    def __init__(
        self, variable: Variable, dtype: str, places: Sequence[Place], shape: Sequence[Size], strides: Sequence[Size]
    ) -> None:
        super().__init__(dtype, [place.pick for place in places if place.pick is not None])
        self.variable = variable
        self.places = tuple(places)
        self.shape = tuple(shape)
        self.strides = tuple(strides)


class Apply(Node):
    """A scalar function of operands; ``cast`` converts to the dtype."""

    __slots__ = ("function",)

    def __init__(self, function: str, operands: Sequence[Node], dtype: str) -> None:
        super().__init__(dtype, operands, COSTS.get(function, 1))
        self.function = function


class Reduce(Node):
    """`function` accumulated along `dims`, in the operand's dtype."""

    __slots__ = ("dims", "function")

    def __init__(self, function: str, operand: Node, dims: Axis) -> None:
        super().__init__(operand.dtype, (operand,), 1)
        self.function = function
        self.dims = dims


class Position(Node):
    """The index along an axis, an int64."""

    __slots__ = ("axis",)

    def __init__(self, axis: Axis) -> None:
        super().__init__("int64")
        self.axis = axis


class At(Node):
    """The value of its first operand where the indices along `axes` are the others.

    All at once: an index may depend on a dim that is one of the axes, and means its own position there.
    """

    __slots__ = ("axes",)

    def __init__(self, node: Node, axes: Sequence[Axis], indices: Sequence[Node]) -> None:
        super().__init__(node.dtype, (node, *indices))
        self.axes = tuple(axes)

    def dims(self) -> Axis:
        """Return what the axes have become: one dim for each, or the error."""
        found = tuple([dim for axis in self.axes for dim in leaves(axis)])
        if len(found) != len(self.axes) or len(set(found)) != len(found):
            raise UnfusableError("a position of joined axes")
        return found


class Number(Node):
    """A constant, or a size that only the call knows."""

    __slots__ = ("value",)

    def __init__(self, value: Any, dtype: str) -> None:
        super().__init__(dtype)
        self.value = value


@dataclass(frozen=True, slots=True)
class Term:
    """A tensor: what each element is, and which dims its axes are."""

    node: Node
    axes: tuple[Axis, ...]


def aligned(terms: Sequence[Term]) -> tuple[Axis, ...]:
    """Make broadcast operands run together, and return the axes of the result."""
    ndim = max([len(term.axes) for term in terms], default=0)
    axes: list[Axis] = [()] * ndim
    for term in terms:
        for position, axis in enumerate(term.axes, ndim - len(term.axes)):
            if not axis:
                continue
            if axes[position]:
                unify(axes[position], axis)
            else:
                axes[position] = axis
    return tuple(axes)


# ---- views ----------------------------------------------------------------------------------------------------------


def permuted(term: Term, order: Sequence[int | None]) -> Term:
    """Put axes in another order; None is a new axis of size 1."""
    return Term(term.node, tuple([() if axis is None else term.axes[axis] for axis in order]))


def reshaped(term: Term, sizes: Sequence[Size]) -> Term:
    """Regroup the dims of a term."""
    axes = tuple([axis_of(size) for size in sizes])
    unify(joined(axes), joined(term.axes))
    return Term(term.node, axes)


def stretched(term: Term, sizes: Sequence[Size]) -> Term:
    """Broadcast a term to sizes."""
    extra = len(sizes) - len(term.axes)
    axes = []
    for position, size in enumerate(sizes):
        axis = term.axes[position - extra] if position >= extra else ()
        axes.append(axis or axis_of(size))
        if axis:
            unify(axis, axis_of(size))
    return Term(term.node, tuple(axes))


def sliced(term: Term, entries: Sequence[tuple[int, int, Size | None]]) -> Term:
    """Take a part of an operand; each entry is start, step and size, or start and None for an index.

    Raises
    ------
    UnfusableError
        If the term is computed, so that it has no memory to look into.
    """
    axes, node = list(term.axes), term.node
    places = list(node.places) if isinstance(node, Leaf) else []
    for number, (start, step, size) in enumerate(entries):
        axis = axes[number]
        if (start, step) == (0, 1) and axis and size == _extent(axis):
            continue
        if not axis and size in (None, 1):
            continue
        axes[number] = () if size is None else axis_of(size)
        if isinstance(node, Number):
            continue
        if not isinstance(node, Leaf):
            raise UnfusableError("a part of a computed value")
        if not axis:
            continue
        dims = set(leaves(axis))
        found = [k for k, place in enumerate(places) if not dims.isdisjoint(leaves(place.axis))]
        if not found:  # stretched along this axis
            continue
        if len(found) != 1 or leaves(places[found[0]].axis) != leaves(axis):
            raise UnfusableError("a part of joined axes")
        place = places[found[0]]
        places[found[0]] = Place(axes[number], place.start + start * place.step, step * place.step, place.pick)
    kept = [axis for number, axis in enumerate(axes) if number >= len(entries) or entries[number][2] is not None]
    if isinstance(node, Leaf):
        node = Leaf(node.variable, node.dtype, places, node.shape, node.strides)
    return Term(node, tuple(kept))


def _extent(axis: Axis) -> Size | None:
    found = leaves(axis)
    return found[0].size if len(found) == 1 else None
