"""Rules for loops: sums over all rounds, and products that only leave the loop, are computed after the last round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from symgrad.control.drafts import Draft, DraftStack, DraftState
from symgrad.control.moving_before import changed_loops, drop_unread, made_of, sizes_outside, whole
from symgrad.control.patterns import fit_pattern
from symgrad.gradient.leading_axis import with_leading_axis
from symgrad.gradient.vectorize import vectorize
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.traversal import substitute
from symgrad.graph.variables import Apply, Constant, Variable
from symgrad.ops.axes import DimShuffle, shape_padleft
from symgrad.ops.elementwise_op import Elementwise
from symgrad.ops.linalg import Dot, dot
from symgrad.ops.reduction_op import Reduction
from symgrad.ops.shape import reshape
from symgrad.ops.sizes import size_of
from symgrad.rewriting.engine import graph_rule
from symgrad.rewriting.patterns import scalar_value

Inner = Callable[[ClosedGraph], ClosedGraph]
MATRIX_TURNED = (1, 0)
COLUMN, ROW = (0, None), (None, 0)


class Stacks:
    """Values of all rounds, for those who need them after the last one.

    Parameters
    ----------
    draft : Draft
        The loop, before it is built again.
    """

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self._rows = {row: operand for operand, row in draft.sequences}
        self._results: dict[Any, Any] = {}

    def has(self, value: Any) -> bool:
        """Whether the values are there without being collected for this."""
        return value in self._rows or self._item(value) is not None

    def _item(self, value: Any) -> DraftState | DraftStack | None:
        kept: list[Any] = [state for state in self.draft.states if state.state.keeps_all]
        return next((item for item in (*kept, *self.draft.stacks) if item.value is value), None)

    def add(self, value: Any) -> None:
        """See to it that the values are there."""
        if not self.has(value):
            self.draft.stacks.append(DraftStack(value))

    def build(self, values: Sequence[Any]) -> dict[Any, Any]:
        """Build the loop, and return what its outputs became; the stacks of `values` are there then."""
        drop_unread(self.draft)
        for value in dict.fromkeys(values):
            item = self._item(value)
            if item is not None:
                item.meant.append(value)
        found = self.draft.build()
        self._results = {value: found.pop(value) for value in dict.fromkeys(values) if value in found}
        return found

    def of(self, value: Any) -> Any:
        """Return the values of all rounds, once the loop has been built."""
        return whole(self._rows[value], self.draft.rounds) if value in self._rows else self._results[value]


# ---- sums over rounds ----


class _Product(NamedTuple):
    """In each round, the product of one value, transposed, with another is added, or what a node makes of that."""

    left: Any
    right: Any
    then: tuple[tuple[Apply, Any], ...] = ()

    @property
    def values(self) -> tuple[Any, ...]:
        return self.left, self.right

    def total(self, stacks: Stacks) -> Any:
        """Return the sum over all rounds."""
        left, right = [_joined(stacks.of(value)) for value in self.values]
        total = dot(left.T, right)
        for node, inner in self.then:
            total = node.op(*[total if variable is inner else variable for variable in node.inputs])
        return total


class _Sum(NamedTuple):
    """In each round, the sum of a value along axes is added."""

    value: Any
    op: Reduction

    @property
    def values(self) -> tuple[Any, ...]:
        return (self.value,)

    def total(self, stacks: Stacks) -> Any:
        """Return the sum over all rounds."""
        axes = (0, *[axis + 1 for axis in self.op.axes])
        return Reduction("sum", axes, False, self.op.dtype)(stacks.of(self.value))


@graph_rule("stabilize", reason="one product of all rows takes far less time than a sum of products")
def sums_of_products_are_one_product_after_the_loop(graph: ClosedGraph, inner: Inner) -> ClosedGraph:
    return changed_loops(graph, _sums_after)


def _sums_after(draft: Draft) -> dict[Any, Any] | None:
    if draft.ends is not None:
        return None
    terms = _terms_of_states(draft, draft.body.order)
    products = {number: [one for one in map(_as_product, found) if one] for number, found in terms.items()}
    if not any(products.values()):
        return None
    stacks = Stacks(draft)
    for value in [value for found in products.values() for product in found for value in product.values]:
        stacks.add(value)
    sums: list[tuple[DraftState, list[Any], bool]] = []
    for number, found in terms.items():
        state = draft.states[number]
        moved = {term: after for term in found if (after := _after(term, stacks)) is not None}
        if moved:
            left = [term for term in found if term not in moved]
            state.value = _added([state.taps[0], *left])
            sums.append((state, list(moved.values()), bool(left)))
    gone = {id(state) for state, _, stays in sums if not stays}
    draft.states = [state for state in draft.states if id(state) not in gone]
    replacements = stacks.build([value for _, moved, _ in sums for one in moved for value in one.values])
    for state, after, stays in sums:
        for output in state.meant:
            start = replacements[output][0] if stays else _first_row(state.initial)
            total = _added([start, *[term.total(stacks) for term in after]])
            replacements[output] = shape_padleft(fit_pattern(total, state.taps[0].type))
    return replacements


def _terms_of_states(draft: Draft, order: Sequence[Apply]) -> dict[int, list[Any]]:
    """Return, for each state to which a round only adds something, the terms of what it adds."""
    counts: dict[Variable, int] = {}
    for variable in [*[v for inner in order for v in inner.inputs], *draft.roots]:
        counts[variable] = counts.get(variable, 0) + 1
    found = {}
    for number, state in enumerate(draft.states):
        (tap, *more), last_only = state.taps, not state.state.keeps_all
        if more or state.state.taps != (-1,) or not last_only or counts.get(tap) != 1 or counts[state.value] != 1:
            continue
        terms = _terms(state.value, counts)
        if tap in terms and all(term.type.broadcastable == tap.type.broadcastable for term in terms):
            found[number] = [term for term in terms if term is not tap]
    return found


def _terms(value: Any, counts: dict[Variable, int]) -> list[Any]:
    terms, waiting = [], [value]
    while waiting:
        variable = waiting.pop()
        node = variable.owner
        is_sum = node is not None and isinstance(node.op, Elementwise) and node.op.function == "add"
        if is_sum and counts[variable] == 1 and all(v.type.ndim == variable.type.ndim for v in node.inputs):
            waiting += reversed(node.inputs)
        else:
            terms.append(variable)
    return terms


def _after(term: Any, stacks: Stacks) -> Any:
    """Return what adds up a term after the loop, if the values are there."""
    found = _as_product(term) or _as_sum(term)
    return found if found is not None and all(map(stacks.has, found.values)) else None


def _as_product(term: Any) -> _Product | None:
    node = term.owner
    inner = None if node is None else _scaled(node)
    if inner is not None:
        found = _as_product(inner)
        return None if found is None else found._replace(then=(*found.then, (node, inner)))
    if node is None or len(node.inputs) != 2:
        return None
    first, second = node.inputs
    if isinstance(node.op, Dot) and first.type.ndim == second.type.ndim == 2:
        left = _shuffled(first, MATRIX_TURNED)
        return None if left is None else _Product(left, second)
    if isinstance(node.op, Elementwise) and node.op.function == "multiply":
        for column, row in ((first, second), (second, first)):
            left, right = _shuffled(column, COLUMN), _shuffled(row, ROW)
            if left is not None and right is not None:
                return _Product(left, right)
    return None


def _scaled(node: Apply) -> Any:
    """Return what a node multiplies by a number, or turns."""
    if isinstance(node.op, DimShuffle) and node.op.order == MATRIX_TURNED:
        return node.inputs[0]
    if isinstance(node.op, Elementwise) and node.op.function in ("negative", "multiply", "true_divide"):
        first, *others = node.inputs
        if all(scalar_value(other) is not None for other in others):
            return first
        if node.op.function == "multiply" and scalar_value(first) is not None:
            return others[0]
    return None


def _as_sum(term: Any) -> _Sum | None:
    node = term.owner
    if node is None or not isinstance(node.op, Reduction) or node.op.function != "sum" or node.op.keepdims:
        return None
    return _Sum(node.inputs[0], node.op)


def _shuffled(variable: Any, order: tuple[int | None, ...]) -> Any:
    node = variable.owner
    is_so = node is not None and isinstance(node.op, DimShuffle) and node.op.order == order
    return node.inputs[0] if is_so else None


def _joined(stack: Any) -> Any:
    """Return a stack of matrices as one, with all their rows; a stack of vectors is one."""
    if stack.type.ndim == 2:
        return stack
    return reshape(stack, (size_of(stack, 0) * size_of(stack, 1), size_of(stack, 2)))


def _first_row(initial: Any) -> Any:
    node = initial.owner
    if node is not None and isinstance(node.op, DimShuffle) and node.op.order == (None, *range(initial.type.ndim - 1)):
        return node.inputs[0]
    return initial[0]


def _added(terms: Sequence[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


# ---- what only leaves the loop ----


@graph_rule("stabilize", reason="one product of all rows takes far less time than one of each")
def products_that_only_leave_the_loop_are_one_after_it(graph: ClosedGraph, inner: Inner) -> ClosedGraph:
    return changed_loops(graph, _products_after)


def _products_after(draft: Draft) -> dict[Any, Any] | None:
    """Move products of a round's values with what all rounds share, and all that is made of these, out of the loop."""
    if draft.ends is not None:
        return None
    order = draft.body.order
    constants: dict[Any, Any] = {inside: operand for operand, inside in draft.constants}
    constants |= sizes_outside(draft, order)
    shared = made_of(order, constants)
    moved = _leaving(draft, order, shared)
    leaving = [stack for stack in draft.stacks if stack.value in moved]
    if not leaving:
        return None
    roots = list(dict.fromkeys(stack.value for stack in leaving))
    read = dict.fromkeys(v for inner in order if inner.outputs[0] in moved for v in inner.inputs)
    frontier = [v for v in read if v not in moved and v not in shared and not isinstance(v, Constant)]
    draft.stacks = [stack for stack in draft.stacks if stack.value not in moved]
    stacks = Stacks(draft)
    for value in frontier:
        stacks.add(value)
    replacements = stacks.build(frontier)
    outside = substitute(roots, {**constants, **{value: value for value in frontier}})
    found = vectorize(outside, {value: stacks.of(value) for value in frontier})
    after = dict(zip(roots, found, strict=True))
    replacements.update((output, after[stack.value]) for stack in leaving for output in stack.meant)
    return replacements


def _leaving(draft: Draft, order: Sequence[Apply], shared: set[Variable]) -> set[Variable]:
    """Return the products that no later round needs, and what is made of them; nothing if some of it can't leave."""
    states = [state.value for state in draft.states]
    needed = set(states)
    for node in reversed(order):
        if any(output in needed for output in node.outputs):
            needed.update(node.inputs)
    moved: set[Variable] = set()
    for node in order:
        if any(output in needed for output in node.outputs):
            continue
        depends = any(variable in moved for variable in node.inputs)
        is_product = isinstance(node.op, Dot) and sum(variable in shared for variable in node.inputs) == 1
        if depends or (is_product and not all(v in shared or isinstance(v, Constant) for v in node.inputs)):
            if with_leading_axis.dispatch(type(node.op)) is with_leading_axis.dispatch(object):
                return set()
            moved.update(node.outputs)
    return moved


@graph_rule("stabilize", reason="the rows of a sequence, one after the other, are the sequence")
def rows_that_are_collected_are_the_sequence(graph: ClosedGraph, inner: Inner) -> ClosedGraph:
    return changed_loops(graph, _collected_rows)


def _collected_rows(draft: Draft) -> dict[Any, Any] | None:
    rows = {row: operand for operand, row in draft.sequences}
    found = [stack for stack in draft.stacks if stack.value in rows]
    if draft.ends is not None or not found or len(found) == len(draft.roots):
        return None
    draft.stacks = [stack for stack in draft.stacks if stack.value not in rows]
    drop_unread(draft)
    replacements = draft.build()
    for stack in found:
        replacements.update((output, whole(rows[stack.value], draft.rounds)) for output in stack.meant)
    return replacements
