"""Which steps become one kernel.

Steps wait until something needs their results in memory: an output, or a kernel that can't be fused. Then a group is
made of the step and of all that wait before it, as far as they fit into one loop nest; what doesn't fit becomes a group
of its own, before it. A step that reads what the latest group computes joins that group, if it fits. Groups are in
order: each depends on earlier ones only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from math import prod

from symgrad.graph.op import Operand
from symgrad.graph.variables import SharedVariable, Variable
from symgrad.kernels.grammar import Library, Map, Reduction, Reshape, View
from symgrad.kernels.ir.grammar import Check, Kernel
from symgrad.kernels.ir.verifier import walk
from symgrad.lowering.fusion.axes import UnfusableError
from symgrad.lowering.fusion.building import Builder, Facts, IsSupported, Shape
from symgrad.lowering.fusion.copying import copies, write_copy
from symgrad.lowering.fusion.groups import Group, Groups, as_step
from symgrad.lowering.fusion.library import EXPANSIONS
from symgrad.lowering.fusion.nest import Nest, analyse
from symgrad.lowering.fusion.operands import (
    is_contiguous,
    is_free,
    memories,
    operand_strides,
    slice_strides,
    with_views,
)
from symgrad.lowering.fusion.positions import checked_positions, positions
from symgrad.lowering.fusion.terms import CHEAP, COSTS
from symgrad.lowering.parts import in_parts
from symgrad.lowering.steps import Fused, Step

MOST_STEPS = 32
"""So many steps wait for each other at most."""
LARGEST_SERIAL = 1 << 12
"""Columns longer than this are summed by a kernel of their own."""


def fuse(
    steps: Sequence[Step],
    types: Mapping[Variable, Operand],
    roots: Iterable[Variable],
    is_supported: IsSupported,
    dims: Mapping[Variable, Shape] | None = None,
    fusion: bool = True,
) -> list[Step]:
    """Return steps with groups of them made one, each with a kernel `Fused`.

    Parameters
    ----------
    steps : sequence of Step
        The lowered graph, causes first.
    types : mapping
        Type and known value of each variable, bound to the sizes of a call. Unless some sizes
        are open, large totals are taken in parts; the parts' totals are new variables, whose types are added.
    roots : iterable of Variable
        What the caller gets and what shared variables become: these are in memory at the end.
    is_supported : callable
        ``is_supported(name, dtypes, dtype)``: whether the backend has a scalar function.
    dims : mapping, optional
        The sizes of variables that have open ones: numbers, and names that are equal where sizes are.
    fusion : bool
        False makes each step a kernel of its own.

    Returns
    -------
    list of Step
        Causes first. Views that are read by other kernels stay steps; those that only fused kernels read are gone.
    """
    if fusion and not dims:
        assert isinstance(types, MutableMapping)
        steps = in_parts(steps, types)
    return grouped(steps, types, roots, is_supported, dims, fusion)


def grouped(
    steps: Sequence[Step],
    types: Mapping[Variable, Operand],
    roots: Iterable[Variable],
    is_supported: IsSupported,
    dims: Mapping[Variable, Shape] | None = None,
    fusion: bool = True,
) -> list[Step]:
    """Do the same with steps whose large totals are in parts already, where they are to be."""
    return _Fuser(Facts(types, dims, is_supported), steps, fusion).run(roots)


class _Fuser(Groups):
    def __init__(self, facts: Facts, steps: Sequence[Step], fusion: bool) -> None:
        super().__init__(facts, steps)
        self.fusion = fusion
        self.checked = checked_positions(facts, steps)
        self.waiting: dict[Step, frozenset[Step]] = {}

    def run(self, roots: Iterable[Variable]) -> list[Step]:
        roots = list(roots)
        for step in self.steps:
            self._take(step)
        for root in roots:
            self._need(root)
        return self._read_by_others(roots)

    def _read_by_others(self, roots: Sequence[Variable]) -> list[Step]:
        """Return the steps of all groups, which store only what others read, after all."""
        read: set[Variable] = set(roots)
        found: list[Step] = []
        for entry in reversed(self.entries):
            if isinstance(entry, Group):
                self.store_only(entry, read)
                if not entry.outputs:
                    continue
            made = as_step(self.facts, entry) if isinstance(entry, Group) else entry
            read.update(made.inputs)
            found.append(made)
        return found[::-1]

    # ---- taking steps one by one ----

    def _take(self, step: Step) -> None:
        """Let a step wait if it can be fused; else what it reads is needed."""
        if copies(step) and self._copy(step):
            return
        if not self._can_wait(step):
            self._place_alone(step)
            return
        waiting = [self.waiting[s] for s in self.producers_of(step) if s in self.waiting]
        closure = frozenset((step,)).union(*waiting)
        closure = frozenset([s for s in closure if s not in self.placed])
        if len(closure) > MOST_STEPS or (not self.fusion and not isinstance(step.kernel, View)):
            for producer in self.producers_of(step):
                if producer in self.waiting and producer not in self.placed and not is_free(producer):
                    self._place(producer)
            closure = frozenset([s for s in closure if s not in self.placed and (s is step or is_free(s))])
        self.waiting[step] = closure

    def _copy(self, step: Step) -> bool:
        """Make a step that puts elements in their places a kernel of its own; whether that is possible."""
        kernel = self._copying_kernel(step)
        if kernel is None and self._copy_reshapes(step):
            kernel = self._copying_kernel(step)
        if kernel is None:
            return False
        inputs = list(dict.fromkeys(memories(self.facts, step)))
        for variable in inputs:
            self._need(variable)
        may_fail = any(isinstance(statement, Check) for statement in walk(kernel.body))
        may_fail = may_fail and not positions(self.facts, step) <= self.checked
        fused = Fused(tuple(with_views(self.facts, [step])), operand_strides(self.facts, inputs), may_fail)
        self.placed[step] = len(self.entries)
        self.entries.append(Step(fused, step.name, tuple(inputs), step.outputs, step.source))
        return True

    def _copying_kernel(self, step: Step) -> Kernel | None:
        try:
            return write_copy(self.facts, "copy", step, list(dict.fromkeys(memories(self.facts, step))))
        except UnfusableError:
            return None

    def _copy_reshapes(self, step: Step) -> bool:
        """Put operands that are reshapes of what isn't contiguous into memory; whether there was one."""
        found = False
        for variable in step.inputs:
            view = self.facts.views.get(variable)
            is_reshape = view is not None and isinstance(view.kernel, View) and isinstance(view.kernel.how, Reshape)
            if view is not None and is_reshape and view not in self.placed:
                self._place_alone(view)
                found = found or variable not in self.facts.views
        return found

    def _can_wait(self, step: Step) -> bool:
        kernel = step.kernel
        if isinstance(kernel, View):
            return self._fold(step, kernel)
        if not isinstance(kernel, Map | Reduction) and not (
            isinstance(kernel, Library) and kernel.name in EXPANSIONS
        ):
            return False
        try:
            if isinstance(kernel, Map):
                return self._allows(step, kernel)
            Builder(self.facts).add(step)
        except UnfusableError:
            return False
        return True

    def _allows(self, step: Step, kernel: Map) -> bool:
        facts = self.facts
        variables = (*step.inputs, *step.outputs)
        for variable in variables:
            facts.shape(variable)
        if not facts.opaque.isdisjoint(variables):
            return False
        dtypes = tuple([facts.dtype(variable) for variable in step.inputs])
        return facts.allows(kernel.function.name, dtypes, facts.dtype(step.outputs[0]))

    def _fold(self, step: Step, kernel: View) -> bool:
        """Whether a view is only another way to count; then whoever reads it counts so."""
        output = step.outputs[0]
        try:
            self.facts.views[output] = step
            Builder(self.facts).term(output)
        except UnfusableError:
            del self.facts.views[output]
            self._note_strides(step, kernel)
            return False
        return True

    def _note_strides(self, step: Step, kernel: View) -> None:
        output = step.outputs[0]
        try:
            if isinstance(kernel.how, Reshape) and is_contiguous(self.facts, step.inputs[0]):
                return
            self.facts.strides[output] = slice_strides(self.facts, step, kernel)
        except UnfusableError:
            self.facts.opaque.add(output)

    # ---- placing ----

    def _need(self, variable: Variable) -> None:
        """See to it that a variable is in memory after what is placed so far."""
        step = self.maker.get(variable)
        if step is None:
            return
        if step not in self.placed:
            self._place(step)
            return
        entry = self.entries[self.placed[step]]
        if isinstance(entry, Group) and variable not in entry.outputs and not self.store(entry, variable):
            self._make(step, {step}, self.computed_again({step}, None), limited=False)

    def _place_alone(self, step: Step) -> None:
        for position, variable in enumerate(step.inputs):
            if not (position and isinstance(step.kernel, View) and self.facts.known(variable) is not None):
                self._need(variable)  # sizes and bounds that are known nobody reads
        self.placed[step] = len(self.entries)
        self.entries.append(self._as_copy(step) or step)

    def _as_copy(self, step: Step) -> Group | None:
        """Return the kernel that copies, if a step is a reshape of what isn't contiguous."""
        how, output = getattr(step.kernel, "how", None), step.outputs[0]
        if not isinstance(how, Reshape) or output not in self.facts.views:
            return None
        if is_contiguous(self.facts, step.inputs[0]):
            return None
        nest = analyse(Builder(self.facts), [output])
        del self.facts.views[output]
        self.read.clear()
        self.producers.clear()
        self.refusals.forget_variables()
        return Group({step: None}, {output: None}, nest, {step})

    def _place(self, step: Step) -> None:
        """Make a kernel of a waiting step and of what waits before it."""
        if isinstance(step.kernel, View):
            self._place_alone(step)
            return
        tried: set[tuple[int, int, Step]] = set()
        while step not in self.placed:
            closure = self._unplaced(step)
            if self._join(step, closure):
                return
            extra = self.computed_again(closure, None)
            try:
                self._make(step, closure, extra)
            except UnfusableError as error:
                blamed = getattr(error, "step", None) or step
                if (len(closure), len(extra), blamed) in tried:
                    self._place_alone(step)
                    return
                tried.add((len(closure), len(extra), blamed))
                self._give_way(step, closure, blamed, getattr(error, "alone", False))

    def _unplaced(self, step: Step) -> set[Step]:
        """Return the step and what it needs that isn't placed yet."""
        allowed, found, pending = self.waiting[step], {step}, [step]
        while pending:
            for producer in self.producers_of(pending.pop()):
                if producer not in found and producer not in self.placed and producer in allowed:
                    found.add(producer)
                    pending.append(producer)
        return found

    def _make(self, step: Step, closure: set[Step], extra: set[Step], limited: bool = True) -> None:
        steps = closure | extra
        outputs = {step.outputs[0]: None}
        nest = self.analysed(steps, outputs, limited)
        ordered = dict.fromkeys(sorted(steps, key=self.position.__getitem__))
        self.note_readers(nest, len(self.entries))
        for member in closure:
            self.placed[member] = len(self.entries)
        self.entries.append(Group(ordered, outputs, nest, closure))

    def _give_way(self, step: Step, closure: set[Step], blamed: Step, alone: bool) -> None:
        """Place before a step what doesn't fit into one kernel with it; store what would be computed again."""
        if blamed in self.placed:
            self._need(blamed.outputs[0])
            return
        if len(closure) == 1:
            again = [variable for variable in self.memories_of(step) if self._is_computed_again(variable)]
            for variable in again:
                self._need(variable)
            if not again:
                self._place_alone(step)
            return
        first = [producer for producer in self.producers_of(blamed) if producer in closure]
        if alone or not first:
            first = [blamed]
        if first == [step]:
            first = self._reductions_before(step, closure) or [
                producer for producer in self.producers_of(step) if producer in closure
            ]
        for producer in sorted(first, key=self.position.__getitem__):
            if producer not in self.placed:
                self._place(producer)

    def _is_computed_again(self, variable: Variable) -> bool:
        """Whether a value is part of a kernel that doesn't store it."""
        maker = self.maker.get(variable)
        group = self.entries[self.placed[maker]] if maker in self.placed else None  # type: ignore[index]
        return isinstance(group, Group) and variable not in group.outputs

    def _reductions_before(self, step: Step, closure: set[Step]) -> list[Step]:
        """Return the reductions that a step needs, if what lies between costs little; else none."""
        found, cost, pending, seen = [], 0, [step], {step}
        while pending:
            for producer in self.producers_of(pending.pop()):
                if producer not in closure or producer in seen:
                    continue
                seen.add(producer)
                if isinstance(producer.kernel, Reduction):
                    found.append(producer)
                elif isinstance(producer.kernel, Map):
                    cost += COSTS.get(producer.kernel.function.name, 1)
                    pending.append(producer)
                elif not is_free(producer):
                    return []
        return found if cost <= CHEAP else []

    # ---- joining ----

    def _join(self, step: Step, closure: set[Step]) -> bool:
        """Add a step, and what waits before it, to the latest group that it depends on; whether that was possible.

        Or to a later group that reads the same operand, so that it is read once.
        """
        if not self.fusion:
            return False
        before = [self.placed[p] for s in closure for p in self.producers_of(s) if p in self.placed]
        number = max(before, default=-1)
        together = self._reads_the_same(step, closure)
        number = max(number, together)
        group = self.entries[number] if number >= 0 else None
        if not isinstance(group, Group):
            return False
        extra = self.computed_again(closure, group)
        try:
            nest = self.analysed({*group.steps, *closure, *extra}, (*group.outputs, step.outputs[0]))
        except UnfusableError:
            return False
        if nest.inner and not group.nest.inner and not _is_short(nest):
            return False
        if number == together and nest.elements > group.nest.elements:
            return False
        self.note_readers(nest, number)
        group.steps = dict.fromkeys(sorted({*group.steps, *closure, *extra}, key=self.position.__getitem__))
        group.outputs[step.outputs[0]] = None
        group.nest = nest
        group.own |= closure
        for member in closure:
            self.placed[member] = number
        return True

    def _reads_the_same(self, step: Step, closure: set[Step]) -> int:
        """Return the latest group that reads a large operand of some steps; -1 if none does.

        What may become an update in place of a shared variable stays alone.
        """
        size, found = self.elements(step.outputs[0]), -1
        for variable in {variable for member in closure for variable in self.memories_of(member)}:
            elements = self.elements(variable)
            if isinstance(variable, SharedVariable) and elements == size:
                return -1
            if elements >= size:
                found = max(found, self.reader.get(variable, -1))
        return found

def _is_short(nest: Nest) -> bool:
    """Whether the inner loops are short, or go over neighbours in memory."""
    rounds = prod([dim.size if isinstance(dim.size, int) else 1000 for dim in nest.inner])
    return rounds <= LARGEST_SERIAL
