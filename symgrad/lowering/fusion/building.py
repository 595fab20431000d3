"""Steps become terms: what each variable of a group is, in terms of the group's operands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symgrad.graph.dtypes import HALVES, widened
from symgrad.graph.op import Operand
from symgrad.graph.variables import Constant, Variable
from symgrad.kernels.grammar import (
    Broadcast,
    Fixed,
    Library,
    Map,
    Permute,
    Range,
    Reduction,
    Reshape,
    Same,
    Slice,
)
from symgrad.kernels.ir.functions import FUNCTIONS, result_dtype
from symgrad.lowering.fusion.axes import Axis, Size, UnfusableError, axis_of, contiguous_strides, joined
from symgrad.lowering.fusion.terms import (
    Apply,
    At,
    Leaf,
    Node,
    Number,
    Place,
    Position,
    Reduce,
    Term,
    aligned,
    permuted,
    reshaped,
    sliced,
    stretched,
)
from symgrad.lowering.steps import Step

IsSupported = Callable[[str, Sequence[str], str], bool]
Shape = tuple[Size, ...]

COMBINATIONS = {
    "add": "add", "multiply": "multiply", "maximum": "maximum", "minimum": "minimum", "logical_and": "and",
    "logical_or": "or",
}  # fmt: skip


def supports(is_supported: IsSupported, name: str, dtypes: Sequence[str], dtype: str) -> bool:
    """Whether kernels can have a scalar function; of floats of 16 bits, it takes casts, and the function in float32.

    Parameters
    ----------
    is_supported : callable
        ``is_supported(name, dtypes, dtype)``: whether the backend has the function; it is asked about floats of 16 bits
        for casts to and from float32 only.
    name : str
        The function.
    dtypes : sequence of str
        Its operands'.
    dtype : str
        Its result's.
    """
    for half in {found for found in (*dtypes, dtype) if found in HALVES}:
        if not (is_supported("cast_float32", (half,), "float32") and is_supported(f"cast_{half}", ("float32",), half)):
            return False
    wide, result = [widened(found) for found in dtypes], widened(dtype)
    if name.startswith("cast_"):
        return wide == [result] or is_supported(f"cast_{result}", wide, result)
    return is_supported(name, wide, result)


class Facts:
    """What is known about variables: sizes, dtypes, values, and strides of operands that aren't contiguous.

    Parameters
    ----------
    types : mapping
        Type and known value of each variable.
    dims : mapping, optional
        Sizes by number or name; without it, those of the types, and a variable with an open size fuses with nothing.
    is_supported : callable
        ``is_supported(name, dtypes, dtype)``: whether the backend has a scalar function.

    Attributes
    ----------
    views : dict
        The steps of views that are folded into the indices of whoever reads them.
    strides : dict
        Of operands that aren't contiguous: views whose start only the call knows.
    opaque : set
        Operands whose strides aren't known.
    """

    def __init__(
        self, types: Mapping[Variable, Operand], dims: Mapping[Variable, Shape] | None, is_supported: IsSupported
    ) -> None:
        self.types = types
        self.dims = dims or {}
        self.is_supported = is_supported
        self.strides: dict[Variable, tuple[Size, ...]] = {}
        self.views: dict[Variable, Step] = {}
        self.opaque: set[Variable] = set()
        self._shapes: dict[Variable, Shape] = {}
        self._allowed: dict[tuple[str, tuple[str, ...], str], bool] = {}

    def dtype(self, variable: Variable) -> str:
        """Return the dtype of a variable."""
        kind: Any = self.types[variable].type
        return kind.dtype  # type: ignore[no-any-return]

    def allows(self, name: str, dtypes: tuple[str, ...], dtype: str) -> bool:
        """Whether the backend has a scalar function, and kernel IR too."""
        key = name, dtypes, dtype
        found = self._allowed.get(key)
        if found is None:
            is_word = name.startswith("cast_") or (name in FUNCTIONS and _result(name, dtypes) == dtype)
            found = self._allowed[key] = is_word and supports(self.is_supported, name, dtypes, dtype)
        return found

    def shape(self, variable: Variable) -> Shape:
        """Return the sizes of a variable, ints or names."""
        found = self._shapes.get(variable)
        if found is None:
            kind: Any = self.types[variable].type
            found = kind.shape
            if None in found:
                named = self.dims.get(variable)
                if named is None:
                    raise UnfusableError(f"{variable} has sizes that nothing names")
                found = tuple([name if size is None else size for size, name in zip(found, named, strict=True)])
            self._shapes[variable] = found
        return found

    def known(self, variable: Variable) -> Any:
        """Return the value of a variable, if the graph alone tells it."""
        return variable.data if isinstance(variable, Constant) else self.types[variable].known

    def integer(self, variable: Variable) -> int:
        """Return the value of an integer that is known before the call."""
        value = self.known(variable)
        if value is None or value.ndim:
            raise UnfusableError("a number that only the call knows")
        return int(value)


class Builder:
    """The terms of one group of steps, added in order.

    Parameters
    ----------
    facts : Facts
        What is known about the variables.
    shared : bool
        Whether all uses of an operand run along the same axes; if not, each use has axes of its own.
    """

    def __init__(self, facts: Facts, shared: bool = True) -> None:
        self.facts = facts
        self.shared = shared
        self.leaves: dict[Variable, Term] = {}
        self.axes: list[tuple[Axis, ...]] = []
        self.terms: dict[Variable, Term] = {}
        self.reductions: list[Reduce] = []
        self.checks: list[Node] = []
        self.step: Step | None = None
        self.widens = False

    # ---- steps ----

    def add(self, step: Step) -> None:
        """Add a step whose operands are there, or operands of the group.

        Raises
        ------
        UnfusableError
            If it fits into no kernel together with the others.
        """
        self.step = step
        kernel = step.kernel
        if isinstance(kernel, Map):
            term = self.map(kernel.function.name, [self.term(v) for v in step.inputs], self._dtype(step))
        elif isinstance(kernel, Reduction):
            term = self.reduction(kernel, self.term(step.inputs[0]))
        elif isinstance(kernel, Library):
            from symgrad.lowering.fusion.library import EXPANSIONS

            if kernel.name not in EXPANSIONS:
                raise UnfusableError(f"{kernel.name} is no loop nest")
            self.widens = kernel.name != "take"  # which moves elements, and computes nothing
            term = EXPANSIONS[kernel.name](self, step, dict(kernel.attributes))
            self.widens = False
            term = Term(self.cast(term.node, self._dtype(step)), term.axes)
        else:
            raise UnfusableError(f"{step.name} has no kernel")
        self.terms[step.outputs[0]] = term

    def _dtype(self, step: Step) -> str:
        return self.facts.dtype(step.outputs[0])

    def term(self, variable: Variable) -> Term:
        """Return what a variable is: computed, a view, a constant, or an operand."""
        term = self._term(variable)
        return Term(self.wide(term.node), term.axes) if self.widens and term.node.dtype in HALVES else term

    def _term(self, variable: Variable) -> Term:
        found = self.terms.get(variable)
        if found is not None:
            return found
        known = self.facts.known(variable)
        if known is not None and known.size == 1:  # before views: a known part of a vector is a number too
            return Term(self.noted(Number(known.item(), self.facts.dtype(variable))), ((),) * known.ndim)
        step = self.facts.views.get(variable)
        if step is not None:
            return self.view(step, self.term(step.inputs[0]))
        leaf = self.leaves.get(variable)
        if leaf is None:
            leaf = self.leaf(variable)
            if self.shared:
                self.leaves[variable] = leaf
        return leaf

    def leaf(self, variable: Variable) -> Term:
        """Return an operand."""
        if variable in self.facts.opaque:
            raise UnfusableError(f"the strides of {variable} aren't known")
        shape = self.facts.shape(variable)
        strides = self.facts.strides.get(variable) or contiguous_strides(shape)
        axes = tuple([axis_of(size) for size in shape])
        self.axes.append(axes)
        leaf = Leaf(variable, self.facts.dtype(variable), [Place(axis) for axis in axes], shape, strides)
        return Term(self.noted(leaf), axes)

    def noted(self, node: Node) -> Any:
        """Note the step that a node comes from."""
        node.step = self.step
        return node

    # ---- arithmetic ----

    def map(self, name: str, terms: Sequence[Term], dtype: str) -> Term:
        """Apply a scalar function to broadcast terms."""
        axes = self.aligned(terms)
        return Term(self.call(name, [term.node for term in terms], dtype), axes)

    def aligned(self, terms: Sequence[Term]) -> tuple[Axis, ...]:
        """Make broadcast operands run together, and return the axes of the result."""
        axes = aligned(terms)
        self.axes.append(axes)
        return axes

    def call(self, name: str, nodes: Sequence[Node], dtype: str) -> Node:
        """Apply a scalar function to scalars."""
        if name.startswith("cast_"):
            return self.cast(nodes[0], name[5:])
        if dtype in HALVES or any(node.dtype in HALVES for node in nodes):
            return self.cast(self.call(name, [self.wide(node) for node in nodes], widened(dtype)), dtype)
        dtypes = tuple([node.dtype for node in nodes])
        if not self.facts.allows(name, dtypes, dtype):
            raise UnfusableError(f"{name} of {', '.join(dtypes)} isn't supported")
        if name == "exp" and _is_below_its_maximum(nodes[0]):
            name = "exp_below_one"
        node: Node = self.noted(Apply(name, nodes, dtype))
        return node

    def wide(self, node: Node) -> Node:
        """Return a scalar in the dtype in which kernels compute: float32 for floats of 16 bits."""
        return self.cast(node, widened(node.dtype))

    def cast(self, node: Node, dtype: str) -> Node:
        """Convert a scalar; to and from floats of 16 bits by way of float32."""
        if node.dtype == dtype:
            return node
        if (dtype in HALVES and node.dtype != "float32") or (node.dtype in HALVES and dtype != "float32"):
            return self.cast(self.cast(node, "float32"), dtype)
        if not self.facts.allows(f"cast_{dtype}", (node.dtype,), dtype):
            raise UnfusableError(f"casts from {node.dtype} to {dtype} aren't supported")
        if isinstance(node, Number) and not isinstance(node.value, str):
            with np.errstate(all="ignore"):
                value = np.asarray(node.value, node.dtype).astype(dtype).item()
            return self.noted(Number(value, dtype))  # type: ignore[no-any-return]
        return self.noted(Apply("cast", [node], dtype))  # type: ignore[no-any-return]

    def number(self, value: Any, dtype: str) -> Node:
        """Return a constant."""
        return self.noted(Number(value, dtype))  # type: ignore[no-any-return]

    def reduce(self, function: str, node: Node, axes: Sequence[Axis]) -> Node:
        """Accumulate a function along axes."""
        if not self.facts.allows(function, (node.dtype, node.dtype), node.dtype):
            raise UnfusableError(f"{function} of {node.dtype} isn't supported")
        dims = joined(axes)
        if not dims:
            return node
        reduction = self.noted(Reduce(function, node, dims))
        self.reductions.append(reduction)
        return reduction  # type: ignore[no-any-return]

    def position(self, axis: Axis) -> Node:
        """Return the index along an axis."""
        if not axis:
            return self.number(0, "int64")
        return self.noted(Position(axis))  # type: ignore[no-any-return]

    def at(self, node: Node, axes: Sequence[Axis], indices: Sequence[Node]) -> Node:
        """Return a value at one position of each of some axes."""
        pairs = [(axis, index) for axis, index in zip(axes, indices, strict=True) if axis]
        return self.noted(At(node, *zip(*pairs, strict=True))) if pairs else node

    def reduction(self, kernel: Reduction, operand: Term) -> Term:
        """Reduce a term along axes."""
        function = COMBINATIONS.get(kernel.function.name)
        if function is None:
            raise UnfusableError(f"{kernel.function.name} isn't accumulated")
        reduced = [operand.axes[axis] for axis in kernel.axes]
        if function in ("maximum", "minimum"):
            self.refuse_empty(reduced)
        total = self.reduce(function, self.cast(operand.node, widened(kernel.dtype)), reduced)
        node = self.cast(total, kernel.dtype)
        axes = [
            () if axis in kernel.axes else found
            for axis, found in enumerate(operand.axes) if kernel.keepdims or axis not in kernel.axes
        ]  # fmt: skip
        return Term(node, tuple(axes))

    def refuse_empty(self, axes: Sequence[Axis]) -> None:
        """Note that axes may not be empty."""
        for dim in joined(axes):
            if dim.size == 0:
                raise UnfusableError("an extreme of what is empty")
            if isinstance(dim.size, str):
                size = self.number(dim.size, "int64")
                self.checks.append(self.call("gt", [size, self.number(0, "int64")], "bool"))

    # ---- views ----

    def view(self, step: Step, term: Term) -> Term:
        """See a term otherwise."""
        how, output = step.kernel.how, step.outputs[0]  # type: ignore[attr-defined]
        if isinstance(how, Permute):
            return permuted(term, how.order)
        shape = self.facts.shape(output)
        if isinstance(how, Same):
            return stretched(term, shape) if how.sizes else term
        if isinstance(how, Reshape):
            return reshaped(term, shape)
        if isinstance(how, Broadcast):
            return stretched(term, shape)
        assert isinstance(how, Slice)
        return sliced(term, self._slice_entries(how, step, shape))

    def _slice_entries(self, how: Slice, step: Step, shape: Shape) -> list[tuple[int, int, Size | None]]:
        given = iter(step.inputs[1:])
        sizes = self.facts.shape(step.inputs[0])
        entries: list[tuple[int, int, Size | None]] = []
        kept = 0
        for size, entry in zip(sizes, how.index, strict=False):
            if not isinstance(size, int):
                raise UnfusableError("a part of an open size")
            if isinstance(entry, Range):
                bounds = [
                    bound if bound is None or isinstance(bound, int) else self.facts.integer(next(given))
                    for bound in (entry.start, entry.stop, entry.step)
                ]
                found = range(*slice(*bounds).indices(size))
                if len(found) != shape[kept]:
                    raise UnfusableError("a part of another size than its type says")
                entries.append((found.start if len(found) else 0, found.step, len(found)))
                kept += 1
                continue
            position = entry.value if isinstance(entry, Fixed) else self.facts.integer(next(given))
            if not -size <= position < size:
                raise UnfusableError("an index out of range")
            entries.append((position % size, 1, None))
        return entries


def _result(name: str, dtypes: Sequence[str]) -> str | None:
    try:
        return result_dtype(name, dtypes)
    except ValueError:
        return None


def _is_below_its_maximum(node: Node) -> bool:
    """Whether a scalar is something less the largest of it: never above 0."""
    if not isinstance(node, Apply) or node.function != "subtract":
        return False
    whole, largest = node.operands
    return isinstance(largest, Reduce) and largest.function == "maximum" and largest.operands[0] is whole
