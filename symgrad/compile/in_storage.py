"""Which kernels may write straight into the storage of the shared variables that they update, and in which order.

Storage is overwritten in the middle of a call only if nothing can stop the call any more: no step after the first such
write may fail, and that one only before it writes. A backend whose steps can be interrupted one by one does it for
single kernels at the very end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from math import prod
from typing import Any

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
    if not writers:
        return list(steps), {}
    return _Order(graph, steps, writers, root, traits, _first_writer(writers, types, traits)).run()


def _first_writer(
    writers: Mapping[SharedVariable, Step], types: Mapping[Variable, Operand], traits: Traits
) -> Step | None:
    """Return the one writer that may fail, before it writes; of several, that of the largest storage."""
    sizes: dict[Step, int] = {}
    for target, step in writers.items():
        if traits.may_fail(step.kernel) and traits.fails_first(step.kernel):
            kind: Any = types[target].type
            sizes[step] = prod(kind.shape)
    return max(sizes, key=sizes.__getitem__, default=None)


class _Order:
    """Puts steps in order: causes first, then what reads a shared variable before what overwrites it.

    Where both can't be had, the step doesn't write into storage. Steps that do nothing but update come last.
    """

    def __init__(
        self, graph: ClosedGraph, steps: Sequence[Step], writers: Mapping[SharedVariable, Step], root: Root,
        traits: Traits, first: Step | None,
    ) -> None:  # fmt: skip
        self.steps, self.writers, self.first = steps, dict(writers), first
        self.position = {step: number for number, step in enumerate(steps)}
        self.late = {step for step in writers.values() if _only_updates(step, graph)}
        maker = {output: step for step in steps for output in step.outputs}
        self.waits: dict[Step, int] = dict.fromkeys(steps, 0)
        self.before: dict[Step, list[Step]] = {step: [] for step in steps}
        self.failing = {step for step in steps if traits.may_fail(step.kernel)} - {first}
        self.readers: dict[Variable, list[Step]] = {}
        for step in steps:
            for cause in {maker[variable] for variable in step.inputs if variable in maker}:
                self._add(cause, step)
            for variable in {root(v) for v in step.inputs}:
                self.readers.setdefault(variable, []).append(step)
        for target, step in writers.items():
            for reader in self._others(target, step):
                self._add(reader, step)
        self.held = set(writers.values()) if self.failing or first is not None else set()

    def _add(self, first: Step, then: Step) -> None:
        self.before[first].append(then)
        self.waits[then] += 1

    def _others(self, target: SharedVariable, step: Step) -> list[Step]:
        return [reader for reader in self.readers.get(target, ()) if reader is not step]

    def run(self) -> tuple[list[Step], dict[SharedVariable, Step]]:
        """Return the order, and the writers that are left."""
        ordered: list[Step] = []
        placed: set[Step] = set()
        self._freed(placed)
        ready = [self._entry(step) for step in self.steps if self._is_ready(step)]
        heapify(ready)
        while len(ordered) < len(self.steps):
            if not ready:
                for step in self._give_up(placed):
                    heappush(ready, self._entry(step))
                continue
            step = self.steps[heappop(ready)[1]]
            ordered.append(step)
            placed.add(step)
            for then in self.before[step]:
                self.waits[then] -= 1
                if self._is_ready(then):
                    heappush(ready, self._entry(then))
            self.failing.discard(step)
            for writer in self._freed(placed):
                if self._is_ready(writer):
                    heappush(ready, self._entry(writer))
        return ordered, self.writers

    def _freed(self, placed: set[Step]) -> list[Step]:
        """Hold back no longer the writers that may write now, and return them."""
        if self.failing or not self.held:
            return []
        waits = self.first is not None and self.first not in placed
        freed = {step for step in self.held if not waits or step is self.first}
        self.held -= freed
        return sorted(freed - placed, key=self.position.__getitem__)

    def _entry(self, step: Step) -> tuple[bool, int]:
        return step in self.late, self.position[step]

    def _is_ready(self, step: Step) -> bool:
        return not self.waits[step] and step not in self.held

    def _waits_for_readers_only(self, step: Step, placed: set[Step]) -> bool:
        """Whether all that a writer is computed from is there."""
        targets = [target for target, writer in self.writers.items() if writer is step]
        readers = [reader for target in targets for reader in self._others(target, step)]
        return self.waits[step] == sum(reader not in placed for reader in readers)

    def _give_up(self, placed: set[Step]) -> list[Step]:
        """Let the first writer that waits in vain compute its result elsewhere; return the steps that can run now."""
        waiting = [step for step in self.writers.values() if step not in placed]
        computable = [step for step in waiting if self._waits_for_readers_only(step, placed)]
        writer = min(computable or waiting, key=self.position.__getitem__)
        self.held.discard(writer)
        if writer is self.first:
            self.first = None
            self.failing.add(writer)
        for target in [target for target, step in self.writers.items() if step is writer]:
            for reader in self._others(target, writer):
                self.before[reader].remove(writer)
                if reader not in placed:
                    self.waits[writer] -= 1
            del self.writers[target]
        return [writer] if self._is_ready(writer) else []


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
        if step is None or target in kept or uses.get(value) != 1:  # a view is no variable with uses of its own
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
