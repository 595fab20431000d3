"""Writes a nest as kernel IR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symgrad.graph.variables import Variable
from symgrad.kernels.ir import grammar as ir
from symgrad.kernels.ir.grammar import Kind, Literal, Ref, Role
from symgrad.kernels.ir.verifier import verify
from symgrad.lowering.fusion.axes import Dim, Size, UnfusableError, contiguous_strides, leaves
from symgrad.lowering.fusion.nest import Loop, Nest, Output, make_loops, output_strides, strides_of
from symgrad.lowering.fusion.passes import Pass, make_passes
from symgrad.lowering.fusion.terms import Apply, At, Leaf, Node, Number, Position, Reduce

INDEX = "int64"
Place = tuple[ir.Expression, int]
"""An expression, and in how many loops it is: it may be named in the block of that many open loops."""


@dataclass(eq=False)
class _Block:
    """The body of an open loop, with the values that are named in it."""

    loop: Loop | None
    index: str
    kind: Kind
    statements: list[ir.Statement] = field(default_factory=list)
    named: list[Node] = field(default_factory=list)
    totals: list[tuple[str, str, ir.Expression]] = field(default_factory=list)


@dataclass(frozen=True)
class _Access:
    """How a buffer is indexed: strides of loops, strides of computed positions, and a constant."""

    strides: tuple[tuple[Dim, Size], ...]
    offset: int
    picks: tuple[tuple[Size, Node], ...]


class Writer:
    """Writes one kernel.

    Parameters
    ----------
    nest : Nest
        What it computes.
    name : str
        The kernel's name.
    inputs : sequence of Variable
        Its operands in the order in which they are passed; outputs follow.
    """

    def __init__(self, nest: Nest, name: str, inputs: Sequence[Variable]) -> None:
        self.nest = nest
        self.name = name
        self.sizes: dict[str, None] = {}
        self.count = 0
        make_loops(nest)
        self.passes = make_passes(nest)
        self.memo: dict[Node, Place] = {}
        self.blocks = [_Block(None, "", Kind.SERIAL)]
        self.opened: dict[Dim, tuple[str, int]] = {}
        self.extents: dict[Dim, Size] = {loop.dims[-1]: loop.size for loop in (*nest.kept_loops, *nest.inner_loops)}
        for node in nest.nodes:
            if isinstance(node, At):
                self.extents.update({dim: dim.size for dim in node.dims() if dim not in self.extents})
        self.buffers: dict[str, ir.Buffer] = {}
        self.accesses: dict[Node, tuple[str, _Access, bool]] = {}
        self._declare(inputs)

    # ---- buffers ----

    def _declare(self, inputs: Sequence[Variable]) -> None:
        by_variable: dict[Variable, list[tuple[Leaf, _Access]]] = {variable: [] for variable in inputs}
        for node in self.nest.nodes:
            if isinstance(node, Leaf):
                by_variable[node.variable].append((node, self._access(node)))
        for position, variable in enumerate(inputs):
            self._declare_input(f"in{position}", variable, by_variable[variable])
        for position, output in enumerate(self.nest.outputs):
            strides = self._loop_strides(output_strides(output))
            shape = [self._size(self.extents[dim]) for dim, _ in strides]
            dtype = output.term.node.dtype
            name = f"out{position}"
            self.buffers[name] = ir.Buffer(name, dtype, tuple(shape), tuple([s for _, s in strides]), Role.OUTPUT)
        for position, node in enumerate(n for current in self.passes.passes for n in current.kept):
            name = f"kept{position}"
            sizes = tuple([int(loop.size) for loop in self.nest.inner_loops])
            self.buffers[name] = ir.Buffer(name, node.dtype, sizes, contiguous_strides(sizes), Role.SCRATCH)
            self.accesses[node] = name, _Access((), 0, ()), False

    def _declare_input(self, name: str, variable: Variable, uses: list[tuple[Leaf, _Access]]) -> None:
        """Declare an operand: with an axis for each loop if all uses agree, else flat."""
        found = {access for _, access in uses}
        dtype = self.nest.builder.facts.dtype(variable)
        first = next(iter(found), None)
        if first is not None and len(found) == 1 and not first.offset and not first.picks and first.strides:
            shape = tuple([self._size(self.extents[dim]) for dim, _ in first.strides])
            strides = tuple([self._size(stride) for _, stride in first.strides])
        elif first is None or not uses[0][0].shape:
            shape, strides = (), ()
        else:
            shape, strides = (self._size(_reach(uses[0][0])),), (1,)
            first = None
        self.buffers[name] = ir.Buffer(name, dtype, shape, strides, Role.INPUT)
        for leaf, access in uses:
            self.accesses[leaf] = name, access, first is None

    def _access(self, leaf: Leaf) -> _Access:
        offset, picks = 0, []
        for place, stride in zip(leaf.places, leaf.strides, strict=True):
            if place.start:
                if not isinstance(stride, int):
                    raise UnfusableError("a part of an open size")
                offset += place.start * stride
            if place.pick is not None:
                picks.append((_scaled(stride, place.step), place.pick))
        return _Access(self._loop_strides(strides_of(leaf)), offset, tuple(picks))

    def _loop_strides(self, strides: Mapping[Dim, Size]) -> tuple[tuple[Dim, Size], ...]:
        """Return the strides of the loops that an access depends on, outer loops first."""
        return tuple([(dim, strides[dim]) for dim in self.extents if dim in strides])

    def _size(self, size: Size) -> Size:
        if isinstance(size, str):
            self.sizes.setdefault(size)
        return size

    # ---- names and blocks ----

    def _name(self, label: str) -> str:
        self.count += 1
        return f"{label}{self.count}"

    def _open(self, loop: Loop, kind: Kind, totals: Sequence[tuple[str, ir.Expression]]) -> list[str]:
        """Open a loop that carries totals (function, start); return their names."""
        index = self._name("i")
        block = _Block(loop, index, kind)
        block.totals = [(self._name("total"), function, start) for function, start in totals]
        self.blocks.append(block)
        self.opened[loop.dims[-1]] = index, len(self.blocks) - 1
        return [name for name, _, _ in block.totals]

    def _close(self) -> None:
        block = self.blocks.pop()
        assert block.loop is not None
        del self.opened[block.loop.dims[-1]]
        for node in block.named:
            self.memo.pop(node, None)
        carried = tuple([ir.Carried(name, start, function) for name, function, start in block.totals])
        extent = self._size(block.loop.size)
        self._add(ir.Loop(block.index, extent, block.kind, tuple(block.statements), carried))

    def _add(self, statement: ir.Statement, depth: int = -1) -> None:
        self.blocks[depth].statements.append(statement)

    def _remember(self, node: Node, place: Place) -> Place:
        self.memo[node] = place
        self.blocks[place[1]].named.append(node)
        return place

    # ---- values ----

    def value(self, node: Node, fixed: Mapping[Dim, Place] | None = None) -> Place:
        """Return the expression of a node; what isn't a mere name is named in the outermost block that can."""
        is_fixed = bool(fixed) and not self.nest.dims[node].isdisjoint(fixed or ())
        if not is_fixed and node in self.memo:
            return self.memo[node]
        where = fixed if is_fixed else None
        expression, depth = self._expression(node, where)
        if not isinstance(expression, Ref | Literal):
            name = self._name("v")
            self._add(ir.Let(name, expression), depth)
            expression = Ref(name)
        place = expression, depth
        return place if is_fixed else self._remember(node, place)

    def _expression(self, node: Node, fixed: Mapping[Dim, Place] | None) -> Place:
        if isinstance(node, Number):
            if isinstance(node.value, str):
                self._size(node.value)
                return Ref(node.value), 0
            return Literal(node.value, node.dtype), 0
        if isinstance(node, Position):
            return self._position(node, fixed)
        if isinstance(node, At):
            indices = [self.value(index, fixed) for index in node.operands[1:]]
            return self.value(node.operands[0], {**(fixed or {}), **dict(zip(node.dims(), indices, strict=True))})
        if not fixed and node in self.passes.from_output and self._is_later(node):
            return self._load_output(self.passes.from_output[node])
        if node in self.accesses and (isinstance(node, Leaf) or (not fixed and self._is_later(node))):
            return self._load(node, fixed)
        assert isinstance(node, Apply), f"{node} isn't there yet"
        places = [self.value(operand, fixed) for operand in node.operands]
        depth = max([depth for _, depth in places], default=0)
        expressions = tuple([expression for expression, _ in places])
        if node.function == "cast":
            return ir.Cast(expressions[0], node.dtype), depth
        return ir.Call(node.function, expressions, node.dtype), depth

    def _is_later(self, node: Node) -> bool:
        return self.passes.first.get(node, self.number) < self.number

    number = 0
    """The pass that is being written."""

    def _index(self, dim: Dim, fixed: Mapping[Dim, Place] | None) -> Place:
        if fixed and dim in fixed:
            return fixed[dim]
        name, depth = self.opened[dim]
        return Ref(name), depth

    def _position(self, node: Position, fixed: Mapping[Dim, Place] | None) -> Place:
        from symgrad.lowering.fusion.nest import row_major

        strides = self._loop_strides(row_major(node.axis, 1))
        return self._sum([(stride, self._index(dim, fixed)) for dim, stride in strides], 0)

    def _sum(self, terms: Sequence[tuple[Size, Place]], offset: int) -> Place:
        """Return ``offset + sum of stride * index``."""
        total: ir.Expression | None = Literal(offset, INDEX) if offset or not terms else None
        deepest = 0
        for stride, (index, depth) in terms:
            deepest = max(deepest, depth)
            term = index
            if stride != 1:
                factor: ir.Expression = Ref(stride) if isinstance(self._size(stride), str) else Literal(stride, INDEX)  # type: ignore[arg-type]
                term = ir.Call("multiply", (index, factor), INDEX)
            total = term if total is None else ir.Call("add", (total, term), INDEX)
        assert total is not None
        return total, deepest

    def _load(self, node: Node, fixed: Mapping[Dim, Place] | None) -> Place:
        name, access, is_flat = self.accesses[node]
        if not isinstance(node, Leaf):
            return self._load_at(name, [(1, self._index(loop.dims[-1], None)) for loop in self.nest.inner_loops])
        places = [(stride, self._index(dim, fixed)) for dim, stride in access.strides]
        if not is_flat:
            return self._load_at(name, places)
        picked = [(stride, self.value(pick, fixed)) for stride, pick in access.picks]
        index, depth = self._sum([*places, *picked], access.offset)
        return ir.Load(name, (index,)), depth

    def _load_at(self, name: str, places: Sequence[tuple[Size, Place]]) -> Place:
        indices = tuple([index for _, (index, _) in places])
        return ir.Load(name, indices), max([depth for _, (_, depth) in places], default=0)

    def _load_output(self, output: Output) -> Place:
        name = f"out{self.nest.outputs.index(output)}"
        strides = self._loop_strides(output_strides(output))
        return self._load_at(name, [(stride, self._index(dim, None)) for dim, stride in strides])

    # ---- statements ----

    def write(self) -> ir.Kernel:
        """Return the kernel, verified."""
        nest = self.nest
        before = [o for o in nest.outputs if o.where == "once" and nest.kept and o.term.node not in nest.after]
        self._store(before)
        self._checks(0)
        totals = [node for node in nest.nodes if isinstance(node, Reduce) and node in nest.after]
        names = self._open_all(nest.kept_loops, self._kept_kinds(), totals)
        self._checks(1)
        self._body()
        within = [not frozenset(leaves(node.dims)).isdisjoint(nest.inner) for node in totals]
        values = [self.value(t if inside else t.operands[0])[0] for t, inside in zip(totals, within, strict=True)]
        self._store([output for output in nest.outputs if output.where == "kept"])
        for node, value, inside in zip(totals, values, within, strict=True):
            self._carry(node, names[-1], totals, value)
            if inside:
                del self.memo[node]
        self._close_all(nest.kept_loops, names, totals)
        self._store([output for output in nest.outputs if output.where == "once" and output not in before])
        kernel = ir.Kernel(
            self.name, tuple(self.buffers.values()), tuple(self.sizes), tuple(self.blocks[0].statements)
        )  # fmt: skip
        verify(kernel)
        return kernel

    def _kept_kinds(self) -> list[Kind]:
        loops = self.nest.kept_loops
        kinds = [Kind.SERIAL] * len(loops)
        if loops and not self.nest.vector_inside:
            kinds[-1] = Kind.VECTOR
        if loops and not self.nest.after and kinds[0] is Kind.SERIAL:
            kinds[0] = Kind.PARALLEL
        return kinds

    def _checks(self, level: int) -> None:
        for check in self.nest.checks:
            if self.nest.level[check] == level and self.nest.stage[check] == 0:
                condition, depth = self.value(check)
                self._add(ir.Check(condition), depth)

    def _body(self) -> None:
        """Write the passes over the inner loops."""
        for number, current in enumerate(self.passes.passes):
            self.number = number
            self._pass(current)
        self.number = len(self.passes.passes)

    def _pass(self, current: Pass) -> None:
        loops = self.nest.inner_loops
        kinds = [Kind.SERIAL] * len(loops)
        if self.nest.vector_inside:
            kinds[-1] = Kind.VECTOR
        names = self._open_all(loops, kinds, current.reductions)
        for check in current.checks:
            condition, depth = self.value(check)
            self._add(ir.Check(condition), depth)
        kept = [self.value(node)[0] for node in current.kept]
        totals = [self.value(node.operands[0])[0] for node in current.reductions]
        self._store(current.outputs)
        for node, value in zip(current.kept, kept, strict=True):
            indices = tuple([Ref(self.opened[loop.dims[-1]][0]) for loop in loops])
            self._add(ir.Store(self.accesses[node][0], indices, value))
        for node, value in zip(current.reductions, totals, strict=True):
            self._carry(node, names[-1], current.reductions, value)
        self._close_all(loops, names, current.reductions)

    def _open_all(self, loops: Sequence[Loop], kinds: Sequence[Kind], totals: Sequence[Reduce]) -> list[list[str]]:
        """Open loops one in the other, each carrying the totals; return their names in each."""
        starts: list[ir.Expression] = [Literal(start_value(node.function, node.dtype), node.dtype) for node in totals]
        names: list[list[str]] = []
        for loop, kind in zip(loops, kinds, strict=True):
            carried = [(node.function, start) for node, start in zip(totals, starts, strict=True)]
            names.append(self._open(loop, kind, carried))
            starts = [Ref(name) for name in names[-1]]
        return names

    def _carry(self, node: Reduce, names: Sequence[str], totals: Sequence[Reduce], value: ir.Expression) -> None:
        name = names[totals.index(node)]
        self._add(ir.Carry(name, ir.Call(node.function, (Ref(name), value), node.dtype)))

    def _close_all(self, loops: Sequence[Loop], names: list[list[str]], totals: Sequence[Reduce]) -> None:
        for number in range(len(loops) - 1, -1, -1):
            self._close()
            if number:
                for outer, inner in zip(names[number - 1], names[number], strict=True):
                    self._add(ir.Carry(outer, Ref(inner)))
        if loops:
            for node, name in zip(totals, names[0], strict=True):
                self._remember(node, (Ref(name), len(self.blocks) - 1))

    def _store(self, outputs: Sequence[Output]) -> None:
        """Store outputs, after all their values are named: an output may take over an operand's memory."""
        values = [self.value(output.term.node)[0] for output in outputs]
        for output, value in zip(outputs, values, strict=True):
            indices = [self._index(dim, None)[0] for dim, _ in self._loop_strides(output_strides(output))]
            self._add(ir.Store(f"out{self.nest.outputs.index(output)}", tuple(indices), value))


def start_value(function: str, dtype: str) -> Any:
    """Return the value that changes nothing when it is combined with another."""
    if function in ("add", "or"):
        return False if dtype == "bool" else 0
    if function in ("multiply", "and"):
        return True if dtype == "bool" else 1
    kind = np.dtype(dtype).kind
    if kind == "f":
        return float("-inf") if function == "maximum" else float("inf")
    if kind == "b":
        return function == "minimum"
    limits = np.iinfo(dtype)
    return int(limits.min) if function == "maximum" else int(limits.max)


def _scaled(stride: Size, step: int) -> Size:
    if isinstance(stride, int):
        return stride * step
    if step != 1:
        raise UnfusableError("a part of an open size")
    return stride


def _reach(leaf: Leaf) -> Size:
    """Return how many elements an operand's memory spans."""
    reach = 1
    axes = [(size, stride) for size, stride in zip(leaf.shape, leaf.strides, strict=True) if size != 1]
    if len(axes) == 1 and axes[0][1] == 1:
        return axes[0][0]
    for size, stride in zip(leaf.shape, leaf.strides, strict=True):
        if not isinstance(size, int) or not isinstance(stride, int):
            raise UnfusableError("a part of an open size")
        reach += max(size - 1, 0) * stride
    return reach
