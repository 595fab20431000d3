"""Which values each pass over the inner loops computes, stores, and keeps for later passes."""

from __future__ import annotations

from dataclasses import dataclass, field

from symgrad.lowering.fusion.axes import leaves
from symgrad.lowering.fusion.nest import LARGEST_SCRATCH, Nest, Output
from symgrad.lowering.fusion.terms import CHEAP, At, Leaf, Node, Reduce


@dataclass(eq=False)
class Pass:
    """One pass: what it accumulates, checks and stores."""

    reductions: list[Reduce] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    checks: list[Node] = field(default_factory=list)
    kept: list[Node] = field(default_factory=list)
    """Values that go to scratch memory."""


@dataclass(eq=False)
class Passes:
    """All passes, and where values of earlier passes are read again: an output's buffer, or scratch memory."""

    passes: list[Pass]
    from_output: dict[Node, Output] = field(default_factory=dict)
    from_scratch: set[Node] = field(default_factory=set)
    first: dict[Node, int] = field(default_factory=dict)


def make_passes(nest: Nest) -> Passes:
    """Decide about the passes of a nest, whose loops are made."""
    found: dict[int, Pass] = {}
    for node in nest.nodes:
        if isinstance(node, Reduce) and frozenset(leaves(node.dims)) & nest.inner:
            found.setdefault(nest.stage[node.operands[0]], Pass()).reductions.append(node)
    for output in nest.outputs:
        if output.where == "full":
            found.setdefault(nest.stage[output.term.node], Pass()).outputs.append(output)
    for check in nest.checks:
        if nest.level[check] == 2:
            found.setdefault(nest.stage[check], Pass()).checks.append(check)
    result = Passes([found[number] for number in sorted(found)])
    costs = _costs(nest)
    for number, current in enumerate(result.passes):
        _walk(nest, result, number, current, costs)
    return result


def _costs(nest: Nest) -> dict[Node, int]:
    """Return what it costs to compute each value of a pass anew."""
    costs: dict[Node, int] = {}
    for node in nest.nodes:
        inside = [costs[operand] for operand in node.operands if nest.level[operand] == 2]
        costs[node] = node.cost + sum(inside)
    return costs


def _walk(nest: Nest, result: Passes, number: int, current: Pass, costs: dict[Node, int]) -> None:
    """Find what a pass computes; what an earlier one did already is read again if it is expensive."""
    pending = [node.operands[0] for node in current.reductions]
    pending += [output.term.node for output in current.outputs] + current.checks
    seen: set[Node] = set()
    while pending:
        node = pending.pop()
        if node in seen or nest.level[node] != 2 or isinstance(node, Reduce):
            continue
        seen.add(node)
        earlier = result.first.setdefault(node, number)
        if earlier < number and not isinstance(node, Leaf) and costs[node] > CHEAP and _keep(nest, result, node):
            continue
        pending.extend(node.operands)


def _keep(nest: Nest, result: Passes, node: Node) -> bool:
    """Arrange that a value can be read in later passes; whether that is possible."""
    first = result.first[node]
    for output in result.passes[first].outputs:
        if output.term.node is node:
            result.from_output[node] = output
            return True
    sizes = [loop.size for loop in nest.inner_loops]
    if not nest.vector_inside or any(not isinstance(size, int) for size in sizes):
        return False
    elements = 1
    for size in sizes:
        elements *= int(size)
    if elements > LARGEST_SCRATCH:
        return False
    if node not in result.from_scratch:
        result.from_scratch.add(node)
        result.passes[first].kept.append(node)
    return True


def last_passes(nest: Nest) -> dict[Leaf, int]:
    """Return for each operand's element the stage of the last pass that may read it; none for gathered elements."""
    last: dict[Node, int] = {}
    for output in nest.outputs:
        last[output.term.node] = nest.stage[output.term.node]
    gathered: set[Node] = set()
    for node in reversed(nest.nodes):
        stage = max(last.get(node, 0), nest.stage[node])
        if isinstance(node, Reduce):
            stage = nest.stage[node.operands[0]] if nest.inner else stage
        for operand in node.operands:
            last[operand] = max(last.get(operand, 0), stage)
            if isinstance(node, At) or node in gathered:
                gathered.add(operand)
    return {node: last.get(node, 0) for node in nest.nodes if isinstance(node, Leaf) and node not in gathered}
