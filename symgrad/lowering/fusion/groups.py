"""Groups of steps that become kernels: what they read and store, and whether they fit into one loop nest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod

from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Map
from symgrad.lowering.fusion.axes import UnfusableError
from symgrad.lowering.fusion.building import Builder, Facts
from symgrad.lowering.fusion.kernels import remember_nest
from symgrad.lowering.fusion.nest import LevelError, MeetingError, Nest, analyse, output_of
from symgrad.lowering.fusion.operands import is_free, memories, operand_strides, with_views
from symgrad.lowering.fusion.refusals import Refusals
from symgrad.lowering.fusion.terms import CHEAP, COSTS, Apply, Leaf, Term
from symgrad.lowering.steps import Fused, Step

MOST_CALLS = 56
MOST_BUFFERS = 14
MUCH_SMALLER = 8
"""A value that has this many times fewer elements is worth storing rather than computing again."""


@dataclass(eq=False)
class Group:
    """Steps that become one kernel, and those of their results that are stored."""

    steps: dict[Step, None]
    outputs: dict[Variable, None]
    nest: Nest
    own: set[Step] = field(default_factory=set)
    """Without those computed again."""


class Groups:
    """All groups so far, in order, and where each step is.

    Parameters
    ----------
    facts : Facts
        What is known about variables.
    steps : sequence of Step
        Causes first.

    Attributes
    ----------
    entries : list
        Groups, and steps that aren't fused.
    placed : dict
        The number of the entry that each step is in.
    maker, position : dict
        The step that makes each variable, and each step's place among all.
    reader : dict
        The number of the last group that reads each operand.
    read, producers : dict
        What each step reads, and the steps that make that, as far as somebody asked.
    refusals : Refusals
        What was found not to fit.
    """

    def __init__(self, facts: Facts, steps: Sequence[Step]) -> None:
        self.facts = facts
        self.steps = steps
        self.maker = {output: step for step in steps for output in step.outputs}
        self.position = {step: number for number, step in enumerate(steps)}
        self.placed: dict[Step, int] = {}
        self.entries: list[Group | Step] = []
        self.reader: dict[Variable, int] = {}
        self.read: dict[Step, list[Variable]] = {}
        self.producers: dict[Step, list[Step]] = {}
        self.refusals = Refusals(facts)

    def memories_of(self, step: Step) -> list[Variable]:
        """Return the variables in whose memory a fused step reads."""
        found = self.read.get(step)
        if found is None:
            found = self.read[step] = memories(self.facts, step)
        return found

    def producers_of(self, step: Step) -> list[Step]:
        """Return the steps that make what a fused step reads."""
        found = self.producers.get(step)
        if found is None:
            makers = [self.maker.get(variable) for variable in self.memories_of(step)]
            found = self.producers[step] = [maker for maker in dict.fromkeys(makers) if maker is not None]
        return found

    def elements(self, variable: Variable) -> int:
        """Return how many elements a variable has; open sizes count as 1000."""
        shape = self.facts.shape(variable)
        return prod([size if isinstance(size, int) else 1000 for size in shape])

    def analysed(self, steps: Iterable[Step], outputs: Iterable[Variable], limited: bool = True) -> Nest:
        """Return the nest of steps that store `outputs`, or raise `LevelError`."""
        ordered = sorted(steps, key=self.position.__getitem__)
        outputs = list(outputs)
        key = (limited, self.refusals.key(ordered, outputs))
        self.refusals.check(key, ordered)
        try:
            return self._nest_within_limits(ordered, outputs, limited)
        except UnfusableError as error:
            self.refusals.note(key, ordered, error)
            raise

    def _nest_within_limits(self, ordered: Sequence[Step], outputs: Sequence[Variable], limited: bool) -> Nest:
        try:
            nest = self._nest(ordered, outputs, shared=True)
        except MeetingError:
            nest = self._nest(ordered, outputs, shared=False)
        calls = sum(isinstance(node, Apply) for node in nest.nodes)
        buffers = len({node.variable for node in nest.nodes if isinstance(node, Leaf)}) + len(nest.outputs)
        if limited and (calls > MOST_CALLS or buffers > MOST_BUFFERS):
            raise LevelError("too much for one kernel", None)
        return nest

    def _nest(self, steps: Sequence[Step], outputs: Sequence[Variable], shared: bool) -> Nest:
        builder = Builder(self.facts, shared)
        for step in steps:
            try:
                builder.add(step)
            except UnfusableError as error:
                raise LevelError(str(error), step) from None
        return analyse(builder, outputs, len(steps) == 1)

    def store(self, group: Group, variable: Variable) -> bool:
        """Make a value of a group one of its outputs; whether that is possible."""
        nest = group.nest
        try:
            term = nest.builder.term(variable)
            output = output_of(nest, variable, Term(nest.become[term.node], term.axes))
        except (UnfusableError, KeyError):
            return False
        nest.outputs.append(output)
        group.outputs[variable] = None
        return True

    def store_only(self, group: Group, read: set[Variable]) -> None:
        """Drop outputs that nobody reads, and the steps that only they needed."""
        if all(output in read for output in group.outputs):
            return
        outputs = {output: None for output in group.outputs if output in read}
        needed = dict.fromkeys(self.maker[output] for output in outputs)
        pending = list(needed)
        while pending:
            for producer in self.producers_of(pending.pop()):
                if producer in group.steps and producer not in needed:
                    needed[producer] = None
                    pending.append(producer)
        steps = {step: None for step in group.steps if step in needed}
        try:
            if outputs:
                group.nest = self.analysed(steps, outputs, limited=False)
        except UnfusableError:  # the rest doesn't make a kernel alone
            return
        group.steps, group.outputs = steps, outputs

    def note_readers(self, nest: Nest, number: int) -> None:
        """Note that entry `number` reads the operands of a nest."""
        for node in nest.nodes:
            if isinstance(node, Leaf):
                self.reader[node.variable] = max(number, self.reader.get(node.variable, -1))

    def computed_again(self, closure: Iterable[Step], target: Group | None) -> set[Step]:
        """Return steps of earlier groups that are computed once more, after all else is stored that is read."""
        found: set[Step] = set()
        pending = [variable for step in closure for variable in self.memories_of(step)]
        while pending:
            variable = pending.pop()
            step = self.maker.get(variable)
            if step is None or step not in self.placed or step in found:
                continue
            group = self.entries[self.placed[step]]
            if not isinstance(group, Group) or group is target or variable in group.outputs:
                continue
            if step in group.own and not self._is_cheap(step, group) and self.store(group, variable):
                continue
            found.add(step)
            pending.extend(self.memories_of(step))
        return found

    def _is_cheap(self, step: Step, group: Group) -> bool:
        """Whether to compute a value again: a few additions of what is in memory anyway, or is much smaller."""
        size, cost, large = self.elements(step.outputs[0]), 0, set()
        pending, seen = [step], {step}
        while pending:
            current = pending.pop()
            if not isinstance(current.kernel, Map):
                return False
            cost += COSTS.get(current.kernel.function.name, 1)
            if cost > CHEAP:
                return False
            for variable in self.memories_of(current):
                maker = self.maker.get(variable)
                if self.elements(variable) * MUCH_SMALLER <= size:
                    continue
                if maker in group.own and variable not in group.outputs:
                    assert maker is not None
                    if maker not in seen:
                        seen.add(maker)
                        pending.append(maker)
                else:
                    large.add(variable)
        return len(large) <= 2


def as_step(facts: Facts, group: Group) -> Step:
    """Return the step of a group."""
    variables = dict.fromkeys(node.variable for node in group.nest.nodes if isinstance(node, Leaf))
    made = {output for step in group.steps for output in step.outputs}
    for step in group.steps:  # an operand may be unused: a product along an axis of size 1 doesn't need its factors
        variables.update(dict.fromkeys(v for v in memories(facts, step) if v not in made))
    inputs, outputs = tuple(variables), tuple(group.outputs)
    steps = with_views(facts, group.steps)
    name = "+".join(dict.fromkeys(step.name for step in steps if not is_free(step)))
    kernel = Fused(tuple(steps), operand_strides(facts, inputs), bool(group.nest.checks))
    made_step = Step(kernel, name, inputs, outputs, steps[-1].source)
    remember_nest(made_step, group.nest)
    return made_step
