"""The loop nest of a group: which dims are outside, which inside, and in which pass over the inner ones a value is.

    scalars
    for each kept index (K):
        passes over the inner dims (I), between them values of the kept index
    scalars that need all kept indices

Reductions accumulate along all of I, or along all of K, or both. Without reductions there is no I; if everything is
reduced there is no K. The vector loop is the last dim in memory: a row's elements, or many columns side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from symgrad.graph.variables import Variable
from symgrad.lowering.fusion.axes import Axis, Dim, Size, UnfusableError, joined, leaves, times
from symgrad.lowering.fusion.building import Builder
from symgrad.lowering.fusion.terms import Apply, At, Leaf, Node, Position, Reduce, Term

Dims = frozenset[Dim]
LARGEST_SCRATCH = 1 << 15
"""Elements of a row that are kept between passes; longer rows are computed anew."""
REPEATABLE = 2
"""A function of a row that costs more than this isn't computed anew for each column, or the other way round."""
SHORT_ROW, MANY_ROWS = 8, 32
"""Many rows of so few elements are reduced side by side, as columns are."""
LARGEST_OUTER_TOTAL = 1 << 15
"""Totals over the kept dims need one thread: only groups with fewer elements than this have some."""


class LevelError(UnfusableError):
    """A step that doesn't fit into the group's loop nest; its operands, or it `alone`, must be computed before."""

    def __init__(self, text: str, step: Any, alone: bool = False) -> None:
        super().__init__(text)
        self.step = step
        self.alone = alone


class MeetingError(UnfusableError):
    """An operand is used along several axes: each use needs axes of its own."""


@dataclass(eq=False)
class Loop:
    """One loop: dims that run together, of `size` rounds."""

    dims: Axis
    size: Size


@dataclass(eq=False)
class Output:
    """A variable that the kernel stores: at every element ("full"), kept index ("kept"), or once ("once")."""

    variable: Variable
    term: Term
    where: str


@dataclass(eq=False)
class Nest:
    """A group, analysed."""

    builder: Builder
    become: dict[Node, Node]
    outputs: list[Output]
    nodes: list[Node]
    checks: list[Node]
    kept: Dims
    inner: Dims
    level: dict[Node, int]
    stage: dict[Node, int]
    after: set[Node]
    dims: dict[Node, Dims]
    kept_loops: list[Loop] = field(default_factory=list)
    inner_loops: list[Loop] = field(default_factory=list)

    @property
    def elements(self) -> int:
        """The number of elements of the whole iteration space; open sizes count as 1000."""
        return prod([dim.size if isinstance(dim.size, int) else 1000 for dim in self.kept | self.inner])

    @property
    def vector_inside(self) -> bool:
        """Whether the vector loop is one of the inner loops."""
        return bool(self.inner_loops) and self.last in self.inner_loops

    @property
    def last(self) -> Loop | None:
        """The loop over neighbours in memory."""
        loops = [*self.kept_loops, *self.inner_loops]
        return next((loop for loop in loops if loop.dims and loop.dims[-1] is self.last_dim), None)

    last_dim: Dim | None = None


def analyse(builder: Builder, outputs: Sequence[Variable], alone: bool = False) -> Nest:
    """Return the nest of a group that stores `outputs`; of a step `alone`, even if it repeats work.

    Raises
    ------
    UnfusableError
        If there is none; a `LevelError` says which step is in the way.
    """
    for axes in builder.axes:
        found = leaves(joined(axes))
        if len(set(found)) != len(found):
            raise MeetingError("an axis meets itself")
    terms = [builder.term(variable) for variable in outputs]
    become: dict[Node, Node] = {}
    roots = _without_repetition(become, [*[term.node for term in terms], *builder.checks])
    terms = [Term(node, term.axes) for node, term in zip(roots, terms, strict=False)]
    checks = list(dict.fromkeys(roots[len(terms) :]))
    nodes = _in_order(roots)
    dims: dict[Node, Dims] = {}
    for node in nodes:
        dims[node] = _dims_of(node, dims)
    everything: set[Dim] = set().union(*[dims[check] for check in checks])
    for node in nodes:
        if isinstance(node, Reduce):
            everything |= dims[node.operands[0]]
            everything.update(leaves(node.dims))
    for term in terms:
        everything.update(leaves(joined(term.axes)))
    kept, inner = _partition(nodes, dims, frozenset(everything))
    nest = Nest(builder, become, [], nodes, checks, kept, inner, {}, {}, set(), dims)
    for node in nodes:
        _place(nest, node)
    for check in checks:
        if nest.level[check] < 2 and nest.stage[check]:
            raise LevelError("an index that is found in the same kernel", check.step)
    nest.outputs = [output_of(nest, variable, term) for variable, term in zip(outputs, terms, strict=True)]
    if not alone:
        _refuse_repeated_work(nest)
    return nest


def _in_order(roots: Sequence[Node]) -> list[Node]:
    """Return all nodes that roots need, causes first."""
    order: dict[Node, None] = {}
    pending: list[tuple[Node, bool]] = [(root, False) for root in reversed(roots)]
    while pending:
        node, ready = pending.pop()
        if node in order:
            continue
        if ready:
            order[node] = None
            continue
        pending.append((node, True))
        pending.extend((operand, False) for operand in reversed(node.operands) if operand not in order)
    return list(order)


def _without_repetition(become: dict[Node, Node], roots: Sequence[Node]) -> list[Node]:
    """Make equal nodes one, now that it is known which axes run together; return what the roots have become."""
    found: dict[Any, Node] = {}
    for node in _in_order(roots):
        node.operands = tuple([become[operand] for operand in node.operands])
        if isinstance(node, Leaf):
            node.places = tuple([
                place if place.pick is None else replace(place, pick=become[place.pick]) for place in node.places
            ])  # fmt: skip
        become[node] = found.setdefault(_key(node), node)
    return [become[root] for root in roots]


def _key(node: Node) -> tuple[Any, ...]:
    if isinstance(node, Leaf):
        return node.variable, *[(leaves(place.axis), place.start, place.step, place.pick) for place in node.places]
    if isinstance(node, Apply):
        return node.function, node.dtype, *node.operands
    if isinstance(node, Reduce):
        return "reduce", node.function, frozenset(leaves(node.dims)), *node.operands
    if isinstance(node, Position):
        return "position", leaves(node.axis)
    if isinstance(node, At):
        return "at", *[leaves(axis) for axis in node.axes], *node.operands
    return "number", repr(node.value), node.dtype  # type: ignore[attr-defined]


def _dims_of(node: Node, dims: dict[Node, Dims]) -> Dims:
    """Return the dims that a node's value depends on."""
    if isinstance(node, Leaf):
        own = frozenset(leaves(joined([place.axis for place in node.places])))
        return own.union(*[dims[operand] for operand in node.operands])
    if isinstance(node, Position):
        return frozenset(leaves(node.axis))
    if isinstance(node, At):
        try:
            picked = node.dims()
        except UnfusableError as error:
            raise LevelError(str(error), node.step) from None
        return (dims[node.operands[0]] - set(picked)).union(*[dims[index] for index in node.operands[1:]])
    found: Dims = frozenset().union(*[dims[operand] for operand in node.operands])
    return found - set(leaves(node.dims)) if isinstance(node, Reduce) else found


# ---- levels ---------------------------------------------------------------------------------------------------------


def _partition(nodes: Sequence[Node], dims: dict[Node, Dims], everything: Dims) -> tuple[Dims, Dims]:
    """Return the kept dims and the inner ones."""
    reductions = [(node, frozenset(leaves(node.dims))) for node in nodes if isinstance(node, Reduce)]
    for node, reduced in reductions:
        if len(reduced) != len(leaves(node.dims)):  # type: ignore[attr-defined]
            raise LevelError("an axis meets itself", node.step)
    sets = list(dict.fromkeys(reduced for _, reduced in reductions))
    if not sets:
        return everything, frozenset()
    for inner in sets:
        kept = everything - inner
        if all(reduced in (inner, kept, everything) for reduced in sets):
            blocked = [node for node, reduced in reductions if reduced == kept and dims[node.operands[0]] & inner]
            if not blocked:
                return kept, inner
    other = next((node for node, reduced in reductions if reduced != sets[0]), reductions[0][0])
    raise LevelError("reductions along other axes", other.step, alone=True)


def _place(nest: Nest, node: Node) -> None:
    """Find level and stage of a node: 2 in the passes, 1 between them, 0 outside of all loops."""
    operands = node.operands
    stage = max([nest.stage[operand] for operand in operands], default=0)
    from_inside = any(nest.level[o] == 1 and not nest.dims[o] for o in operands) and bool(nest.kept)
    is_after = any(operand in nest.after for operand in operands)
    dims = nest.dims[node]
    if isinstance(node, At) and any(_has_total(nest, node.operands[0], dim) for dim in node.dims()):
        raise LevelError("a position of a total that is found in the same kernel", node.step)
    if isinstance(node, Reduce):
        reduced = frozenset(leaves(node.dims))
        if reduced == nest.inner or (reduced > nest.inner and nest.inner):
            stage += 1
        if nest.kept and reduced != nest.inner:
            if nest.elements > LARGEST_OUTER_TOTAL:
                raise LevelError("a total over many rows", node.step)
            nest.after.add(node)
            nest.level[node], nest.stage[node] = 0, stage
            if is_after:
                raise LevelError("a total of what needs a total", node.step)
            return
        from_inside = from_inside or bool(nest.kept)
    level = 2 if dims & nest.inner else 1 if dims & nest.kept or from_inside or not nest.kept else 0
    if is_after:
        if level:
            raise LevelError("an element that needs a total over all rows", node.step)
        nest.after.add(node)
    nest.level[node], nest.stage[node] = level, stage


def _has_total(nest: Nest, node: Node, dim: Dim) -> bool:
    """Whether a value along `dim` needs a reduction."""
    pending, seen = [node], {node}
    while pending:
        current = pending.pop()
        if isinstance(current, Reduce):
            return True
        for operand in current.operands:
            if operand not in seen and dim in nest.dims[operand]:
                seen.add(operand)
                pending.append(operand)
    return False


def output_of(nest: Nest, variable: Variable, term: Term) -> Output:
    """Return how a variable is stored, or raise `LevelError` if it can't be."""
    found = leaves(joined(term.axes))
    stored = frozenset(found)
    if len(stored) != len(found):
        raise LevelError("an axis meets itself", term.node.step)
    level = nest.level[term.node]
    if stored == nest.kept | nest.inner and term.node not in nest.after:
        where = "full" if nest.inner else "kept" if nest.kept else "once"
    elif stored == nest.kept and nest.kept and level < 2 and term.node not in nest.after:
        where = "kept"
    elif not stored and (level == 0 or not nest.kept):
        where = "once"
    else:
        raise LevelError("an output that is smaller than the loops around it", term.node.step)
    return Output(variable, term, where)


def _refuse_repeated_work(nest: Nest) -> None:
    """An expensive function of a few dims isn't worth repeating along the others."""
    full = nest.kept | nest.inner
    for node in nest.nodes:
        if isinstance(node, Reduce) and node not in nest.after and nest.dims[node] != nest.kept:
            raise LevelError("a reduction would be repeated", node.step, alone=True)
        if node.cost > REPEATABLE and nest.level[node]:
            around = full if nest.level[node] == 2 else nest.kept
            if nest.dims[node] < around and nest.dims[node] and not _is_outermost(nest, nest.dims[node], around):
                raise LevelError("an expensive function would be repeated", node.step, alone=True)


def _is_outermost(nest: Nest, dims: Dims, around: Dims) -> bool:
    """Whether dims are the first loops: then a value of theirs is computed once for each of their indices."""
    order = [dim for dim in reference_order(nest) if dim in around]
    return set(order[: len(dims)]) == set(dims)


# ---- loops ----------------------------------------------------------------------------------------------------------


def reference_order(nest: Nest) -> list[Dim]:
    """Return all dims, those of neighbours in memory last: the order of the largest output, or operand."""
    candidates = [leaves(joined(output.term.axes)) for output in nest.outputs]
    candidates += [
        leaves(joined([place.axis for place in node.places])) for node in nest.nodes if isinstance(node, Leaf)
    ]
    best: Axis = max(candidates, key=len, default=())
    full = nest.kept | nest.inner
    order = list(dict.fromkeys(best))
    for axis in candidates:
        if len(order) == len(full):
            break
        missing = [dim for dim in dict.fromkeys(axis) if dim not in order]
        order = missing + order
    rest = [dim for dim in full if dim not in order]
    return [dim for dim in (*rest, *order) if dim in full]


def strides_of(leaf: Leaf) -> dict[Dim, Size]:
    """Return how far neighbours along each dim are apart in an operand's memory."""
    found: dict[Dim, Size] = {}
    for place, stride in zip(leaf.places, leaf.strides, strict=True):
        for dim, step in row_major(place.axis, times(place.step, stride)).items():
            found[dim] = _sum(found[dim], step) if dim in found else step
    return found


def row_major(axis: Axis, step: Size) -> dict[Dim, Size]:
    """Return the strides of the dims of one axis, whose last dim has `step`."""
    found: dict[Dim, Size] = {}
    dims = leaves(axis)
    for position in range(len(dims) - 1, -1, -1):
        found[dims[position]] = step
        if position:
            step = times(step, dims[position].size)
    return found


def _sum(first: Size, second: Size) -> Size:
    if isinstance(first, int) and isinstance(second, int):
        return first + second
    raise UnfusableError("a diagonal of open sizes")


def output_strides(output: Output) -> dict[Dim, Size]:
    """Return the strides of an output, which is contiguous."""
    return row_major(joined(output.term.axes), 1)


def make_loops(nest: Nest) -> None:
    """Choose the loops: dims in memory order, neighbours that always run together made one."""
    order = reference_order(nest)
    nest.last_dim = order[-1] if order else None
    accesses: list[dict[Dim, Size]] = [output_strides(output) for output in nest.outputs]
    barred: set[Dim] = set()
    for node in nest.nodes:
        if isinstance(node, Leaf):
            accesses.append(strides_of(node))
        elif isinstance(node, Position):
            accesses.append(row_major(node.axis, 1))
        elif isinstance(node, At):
            barred.update(node.dims())
    nest.kept_loops = _merged([dim for dim in order if dim in nest.kept], accesses, barred)
    nest.inner_loops = _merged([dim for dim in order if dim in nest.inner], accesses, barred)
    last = nest.last
    if last in nest.inner_loops and nest.kept_loops and _is_at_most(last.size, SHORT_ROW):  # type: ignore[union-attr]
        many = nest.kept_loops[-1]
        if not _is_at_most(many.size, MANY_ROWS - 1):
            nest.last_dim = many.dims[-1]


def _is_at_most(size: Size, limit: int) -> bool:
    return isinstance(size, int) and size <= limit


def _merged(order: Sequence[Dim], accesses: Sequence[dict[Dim, Size]], barred: set[Dim]) -> list[Loop]:
    loops: list[Loop] = []
    for dim in order:
        if loops and not {dim, loops[-1].dims[-1]} & barred and _run_together(loops[-1].dims[-1], dim, accesses):
            loops[-1] = Loop((*loops[-1].dims, dim), times(loops[-1].size, dim.size))
        else:
            loops.append(Loop((dim,), dim.size))
    return loops


def _run_together(outer: Dim, inner: Dim, accesses: Sequence[dict[Dim, Size]]) -> bool:
    if not isinstance(outer.size, int) or not isinstance(inner.size, int):
        return False
    for strides in accesses:
        first, second = strides.get(outer), strides.get(inner)
        if first is None and second is None:
            continue
        if first is None or second is None or isinstance(second, str) or first != second * inner.size:
            return False
    return True
