"""Which kernels may write straight into the storage of the shared variables that they update, and in which order.

Storage is overwritten in the middle of a call only if nothing can stop the call any more: no step after the first such
write may fail, and a backend whose steps can be interrupted one by one does it for single kernels at the very end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import Operand
from symgrad.graph.variables import SharedVariable, Variable
from symgrad.kernels.grammar import View
from symgrad.lowering.plan import Traits
from symgrad.lowering.steps import Step

Root = Callable[[Variable], Variable]


def order_for_storage(
    graph: ClosedGraph, steps: Sequence[Step], types: Mapping[Variable, Operand], root: Root, traits: Traits
) -> tuple[list[Step], dict[SharedVariable, Step]]:
    """Return the steps in an order that lets kernels write into storage, and which step writes which variable.

    Parameters
    ----------
    graph : ClosedGraph
        What is computed.
    steps : sequence of Step
        Causes first.
    types : mapping
        The bound types.
    root : callable
        Returns whose memory a variable is.
    traits : Traits
        What the backend's kernels can do.
    """
    writers = _candidates(graph, steps, types, root, traits)
    late = {step for step in writers.values() if _only_updates(step, graph)}
    ordered, last = [step for step in steps if step not in late], [step for step in steps if step in late]
    ordered += _readers_first(last, writers, root)
    return ordered, _allowed(ordered, writers, root, traits)


def _candidates(
    graph: ClosedGraph, steps: Sequence[Step], types: Mapping[Variable, Operand], root: Root, traits: Traits
) -> dict[SharedVariable, Step]:
    """Return the steps whose result has no other use than to become a shared variable's value."""
    maker = {output: step for step in steps for output in step.outputs}
    uses: dict[Variable, int] = {}
    for variable in [*[v for step in steps for v in step.inputs], *graph.roots]:
        uses[root(variable)] = uses.get(root(variable), 0) + 1
    found: dict[SharedVariable, Step] = {}
    kept = {root(variable) for variable in graph.roots}
    for target, value in zip(graph.targets, graph.values, strict=True):
        step = maker.get(value)
        if step is None or target in kept or uses[value] != 1:
            continue
        if isinstance(step.kernel, View) or not traits.takes_out(step.kernel):
            continue
        kind, stored = types[value].type, types[target].type
        is_alike = kind.is_static and kind.shape == stored.shape and kind.dtype == stored.dtype
        if is_alike and _reads_safely(step, value, target, root, traits):
            found[target] = step
    return found


def _reads_safely(step: Step, value: Variable, target: SharedVariable, root: Root, traits: Traits) -> bool:
    """Whether a step may overwrite the operands that are the target's memory while it reads them."""
    position = step.outputs.index(value)
    shared = {pair[1] for pair in traits.in_place(step) if pair[0] == position}
    return all(
        variable is target and number in shared
        for number, variable in enumerate(step.inputs) if root(variable) is target
    )  # fmt: skip


def _only_updates(step: Step, graph: ClosedGraph) -> bool:
    """Whether all outputs of a step are values of updates."""
    values = set(graph.values)
    return all(output in values for output in step.outputs)


def _readers_first(
    steps: Sequence[Step], writers: Mapping[SharedVariable, Step], root: Root
) -> list[Step]:
    """Order steps so that each reads what it needs before another overwrites it, as far as that is possible."""
    targets: dict[Step, list[SharedVariable]] = {}
    for target, step in writers.items():
        targets.setdefault(step, []).append(target)
    readers: dict[Variable, list[Step]] = {}
    for step in steps:
        for variable in {root(v) for v in step.inputs}:
            readers.setdefault(variable, []).append(step)
    placed: dict[Step, None] = {}
    waiting = list(reversed(steps))
    opened: set[Step] = set()
    while waiting:
        step = waiting[-1]
        before = [reader for target in targets[step] for reader in readers.get(target, ()) if reader is not step]
        missing = [reader for reader in before if reader not in placed and reader not in opened]
        if step in placed or not missing or step in opened:
            waiting.pop()
            placed.setdefault(step)
            continue
        opened.add(step)
        waiting.extend(missing)
    return list(placed)


def _allowed(
    ordered: Sequence[Step], writers: Mapping[SharedVariable, Step], root: Root, traits: Traits
) -> dict[SharedVariable, Step]:
    """Return the writers after which no step fails, and none reads what was overwritten."""
    last_failure = max((n for n, step in enumerate(ordered) if traits.may_fail(step.kernel)), default=-1)
    last_read: dict[Variable, int] = {}
    position: dict[Step, int] = {}
    for number, step in enumerate(ordered):
        position[step] = number
        for variable in step.inputs:
            last_read[root(variable)] = number
    return {
        target: step for target, step in writers.items()
        if position[step] > last_failure and last_read.get(target, -1) <= position[step]
    }  # fmt: skip
