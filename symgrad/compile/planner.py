"""Makes plans: decides about the home of every result.

Parts of the arena are reused as soon as nothing needs them. Nothing that the caller can see changes before all kernels
that may fail have run: updates are the last thing that a call does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from symgrad.compile.in_storage import order_for_storage
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import Operand
from symgrad.graph.variables import SharedVariable, Variable
from symgrad.kernels.checks import Comparisons, open_comparisons
from symgrad.kernels.grammar import Kernel, Library, Map, Same, Slice, View
from symgrad.lowering.open_sizes import OpenSizes
from symgrad.lowering.plan import NUMPY_TRAITS, Action, Change, Commit, Home, Place, Plan, Traits
from symgrad.lowering.steps import Step

ALIGNMENT = 64


@dataclass
class _Arena:
    """First free place that is large enough; freed places join their neighbours."""

    size: int = 0
    free: list[Place] = field(default_factory=list)

    def take(self, size: int) -> Place:
        size = -(-max(size, 1) // ALIGNMENT) * ALIGNMENT
        fitting = [place for place in self.free if place.size >= size]
        if not fitting:
            last = self.free[-1] if self.free and self.free[-1].offset + self.free[-1].size == self.size else None
            offset = last.offset if last else self.size
            if last:
                self.free.remove(last)
            self.size = offset + size
            return Place(offset, size)
        best = min(fitting, key=lambda place: place.size)
        self.free.remove(best)
        if best.size > size:
            self._insert(Place(best.offset + size, best.size - size))
        return Place(best.offset, size)

    def give_back(self, place: Place) -> None:
        self._insert(place)
        merged: list[Place] = []
        for part in self.free:
            if merged and merged[-1].offset + merged[-1].size == part.offset:
                merged[-1] = Place(merged[-1].offset, merged[-1].size + part.size)
            else:
                merged.append(part)
        self.free = merged

    def _insert(self, place: Place) -> None:
        self.free.append(place)
        self.free.sort(key=lambda part: part.offset)


def make_plan(
    graph: ClosedGraph,
    steps: Sequence[Step],
    types: Mapping[Variable, Operand],
    traits: Traits = NUMPY_TRAITS,
    sizes: OpenSizes | None = None,
) -> Plan:
    """Return the plan of a function for bound types, and for what the backend's kernels can do.

    `sizes` says which sizes its kernels leave open.
    """
    plan = _Planner(graph, [_settled(step, types) for step in steps], types, traits).plan()
    return replace(plan, sizes=sizes or OpenSizes(types))


def _settled(step: Step, types: Mapping[Variable, Operand]) -> Step:
    """A promised shape that binding has compared already needs no check in each call."""
    is_promise = isinstance(step.kernel, View) and isinstance(step.kernel.how, Same) and step.kernel.how.sizes
    if is_promise and types[step.inputs[0]].type.is_static:
        return replace(step, kernel=View(Same()))
    return step


class _Planner:
    def __init__(
        self, graph: ClosedGraph, steps: Sequence[Step], types: Mapping[Variable, Operand], traits: Traits
    ) -> None:
        self.graph = graph
        self.types = types
        self.traits = traits
        self.root: dict[Variable, Variable] = {}
        self.moving: set[Variable] = set()  # views whose place in their memory only the call knows
        self.made: set[Variable] = set()
        self.place: dict[Variable, Place] = {}
        self.arena = _Arena()
        for step in steps:
            self._find_roots(step)
        self.commit_steps: dict[SharedVariable, Step] = {}
        self.stored: dict[Variable, SharedVariable] = {}
        if traits.is_one_call:
            self.steps, writers = order_for_storage(graph, steps, types, self._root, traits)
            values = dict(zip(graph.targets, graph.values, strict=True))
            self.stored = {values[target]: target for target in writers}
        else:
            self.commit_steps = _steps_in_storage(graph, steps, types, self._root)
            moved = set(self.commit_steps.values())
            self.steps = [step for step in steps if step not in moved]
        self.last_use = self._last_uses()

    def _root(self, variable: Variable) -> Variable:
        return self.root.get(variable, variable)

    def _find_roots(self, step: Step) -> None:
        """Note whose memory each output is."""
        if isinstance(step.kernel, View):
            self.root[step.outputs[0]] = self._root(step.inputs[0])
            if step.inputs[0] in self.moving or (isinstance(step.kernel.how, Slice) and len(step.inputs) > 1):
                self.moving.add(step.outputs[0])
        self.made.update(step.outputs)

    def _last_uses(self) -> dict[Variable, int]:
        """Return after which step the memory of each variable is no longer needed."""
        last: dict[Variable, int] = {}
        for position, step in enumerate(self.steps):
            for variable in (*step.inputs, *step.outputs):
                last[self._root(variable)] = position
        end = len(self.steps)
        kept = [*self.graph.roots, *(v for step in self.commit_steps.values() for v in step.inputs)]
        for variable in kept:
            last[self._root(variable)] = end
        return last

    def plan(self) -> Plan:
        """Decide about each step in turn."""
        actions = []
        for position, step in enumerate(self.steps):
            actions.append(self._action(position, step))
            for variable in dict.fromkeys(self._root(v) for v in (*step.inputs, *step.outputs)):
                if self.last_use[variable] == position and variable in self.place:
                    self.arena.give_back(self.place.pop(variable))
        commits = [self._commit(*pair) for pair in zip(self.graph.targets, self.graph.values, strict=True)]
        return Plan(
            self.graph, self.types, tuple(self.graph.shared()), tuple(actions), tuple(commits),
            self._copied_outputs(), self.arena.size,
        )  # fmt: skip

    def _action(self, position: int, step: Step) -> Action:
        if isinstance(step.kernel, View):
            return Action(step, (Home.VIEW,), (None,))
        comparisons = _open_comparisons(step, self.types)
        homes, places = [], []
        for output in step.outputs:
            place = None if output in self.stored else self._place_for(position, step, output)
            home = Home.STORAGE if output in self.stored else Home.FRESH
            homes.append(home if place is None else Home.ARENA)
            places.append(place)
        targets = tuple([self.stored.get(output) for output in step.outputs]) if Home.STORAGE in homes else ()
        return Action(step, tuple(homes), tuple(places), comparisons, targets)

    def _place_for(self, position: int, step: Step, output: Variable) -> Place | None:
        kind: Any = self.types[output].type
        if not kind.is_static or not self.traits.takes_out(step.kernel) or output in self.graph.outputs:
            return None
        if any(self._root(root) is output for root in self.graph.outputs) and self._is_kept(output):
            return None
        size = prod(kind.shape) * kind.numpy_dtype.itemsize
        reused = self._reusable(position, step, output, kind)
        if reused is not None:
            self.place[output] = self.place.pop(reused)
        else:
            self.place[output] = self.arena.take(size)
        return self.place[output]

    def _is_kept(self, output: Variable) -> bool:
        """Whether the caller gets a view of this whole memory: then it is allocated for the caller, not copied."""
        views = [root for root in self.graph.outputs if self._root(root) is output]
        if len(views) != 1 or views[0] in self.moving:
            return False
        kind: Any = self.types[views[0]].type
        own: Any = self.types[output].type
        return bool(kind.is_static and own.is_static and prod(kind.shape) == prod(own.shape))

    def _reusable(self, position: int, step: Step, output: Variable, kind: Any) -> Variable | None:
        """Return an operand whose memory the output may take over."""
        number = step.outputs.index(output)
        for operand in [pair[1] for pair in self.traits.in_place(step) if pair[0] == number]:
            candidate = step.inputs[operand]
            root = self._root(candidate)
            if root is not candidate or root not in self.place or self.last_use[root] != position:
                continue
            found: Any = self.types[candidate].type
            others = [n for n, v in enumerate(step.inputs) if n != operand and self._root(v) is root]
            if found.shape == kind.shape and found.dtype == kind.dtype and not others:
                return candidate
        return None

    def _copied_outputs(self) -> tuple[bool, ...]:
        """Whether each output must be copied: because it is somebody else's memory, or handed out twice."""
        copied = []
        handed_out: set[Variable] = set()
        for output in self.graph.outputs:
            root = self._root(output)
            own = root in self.made and root not in self.place and root not in handed_out and (
                root is output or self._is_kept(root))  # fmt: skip
            copied.append(not own or root in [self._root(value) for value in self.graph.values])
            handed_out.add(root)
        return tuple(copied)

    def _commit(self, target: SharedVariable, value: Variable) -> Commit:
        if value in self.stored:
            return Commit(target, value, Change.WRITTEN)
        step = self.commit_steps.get(target)
        if step is not None:
            return Commit(target, value, Change.WRITTEN, Action(step, (Home.STORAGE,), (None,)))
        root = self._root(value)
        if root not in self.made:
            return Commit(target, value, Change.SNAPSHOT)
        kind: Any = self.types[value].type
        if root is value and value not in self.place and not self.traits.is_one_call:
            others = [*self.graph.values, *self.graph.outputs]
            if [self._root(other) for other in others].count(root) == 1:
                return Commit(target, value, Change.MOVED)
        if kind.is_static and kind.shape == self.types[target].type.shape:
            return Commit(target, value, Change.COPIED)
        return Commit(target, value, Change.SNAPSHOT)


def _in_one_call(kernel: Kernel) -> bool:
    """Whether a kernel is one call that checks its operands first and then can't fail or be interrupted."""
    return isinstance(kernel, Map) or (isinstance(kernel, Library) and kernel.name == "gemm")


def _steps_in_storage(
    graph: ClosedGraph, steps: Sequence[Step], types: Mapping[Variable, Operand], root: Any
) -> dict[SharedVariable, Step]:
    """Return the steps that may write straight into the storage of the variable that they update.

    Such a step runs after all others. Its result must have no other use, its sizes must be known, and it may read no
    storage that another such step overwrites.
    """
    maker: dict[Variable, Step] = {output: step for step in steps for output in step.outputs}
    counts: dict[Variable, int] = {}
    for step in steps:
        for variable in step.inputs:
            counts[variable] = counts.get(variable, 0) + 1
    for variable in graph.roots:
        counts[variable] = counts.get(variable, 0) + 1
    found: dict[SharedVariable, Step] = {}
    for target, value in zip(graph.targets, graph.values, strict=True):
        if value not in maker or counts[value] != 1 or not _in_one_call(maker[value].kernel):
            continue
        step = maker[value]
        same = types[value].type.shape == types[target].type.shape
        free = [step.inputs[operand] for _, operand in NUMPY_TRAITS.in_place(step)]
        if same and types[value].type.is_static and target in free:
            others = [v for v in step.inputs if v is not target and root(v) is target]
            settled = isinstance(step.kernel, Library) or all(types[v].type.is_static for v in step.inputs)
            if not others and settled and step.inputs.count(target) == 1:
                found[target] = step
    overwritten = set(found)
    return {
        target: step for target, step in found.items()
        if not any(root(v) in overwritten and root(v) is not target for v in step.inputs)
    }  # fmt: skip


def _open_comparisons(step: Step, types: Mapping[Variable, Operand]) -> Comparisons:
    """Return the sizes of an elementwise kernel's operands that only the call can compare."""
    if not isinstance(step.kernel, Map) or len(step.inputs) < 2:
        return ()
    kinds = [types[variable].type for variable in step.inputs]
    return open_comparisons([kind.broadcastable for kind in kinds], [kind.shape for kind in kinds])
