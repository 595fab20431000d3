"""Simpler loops that mean the same: one step after another, on a draft of the loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from symgrad.control.drafts import Draft, DraftStack, DraftState, equal_values
from symgrad.control.patterns import fit_pattern
from symgrad.control.users import Users
from symgrad.graph.traversal import applies_before, substitute
from symgrad.graph.variables import Apply, Constant, Variable, make_constant
from symgrad.kernels.grammar import Fixed
from symgrad.ops.axes import shape_padleft
from symgrad.ops.joining import concatenate
from symgrad.ops.subtensor import Subtensor

MOVED_SIZE = 4096
"""Constants of at most so many elements are put into the body, where they may be folded."""


@dataclass(frozen=True)
class Simplified:
    """What a loop became.

    Attributes
    ----------
    outputs : dict
        What replaces its outputs.
    readers : dict
        Nodes that read the last values of a state, and the last values, which are all that is left.
    """

    outputs: dict[Any, Any]
    readers: dict[Apply, Any] = field(default_factory=dict)


def simplified(node: Apply, operands: Sequence[Any], users: Users) -> Simplified | None:
    """Return a simpler loop; None if it can't be simpler.

    Parameters
    ----------
    node : Apply
        The loop.
    operands : sequence of Variable
        Its operands, or what has replaced them.
    users : Users
        Of the graph that it is in.
    """
    draft = Draft.of(node, operands)
    if not any(users.is_used(output) for output in node.outputs):
        return None
    if draft.rounds.known is not None and int(draft.rounds.known) == 1:
        return Simplified(_one_round(draft))
    changed = [
        _constants_go_inside(draft),
        _inputs_are_merged(draft),
        _states_are_merged(draft),
        _stacks_are_merged(draft),
        _unused_is_left_out(draft, users),
    ]
    last = [state for state in draft.states if _only_last_is_used(state, users)]
    if not any(changed) and not last:
        return None
    for state in last:
        state.state = replace(state.state, keeps_all=False)
    found = draft.build()
    kept = {output: found.pop(output) for state in last for output in state.meant}
    return Simplified(found, {reader: rows for output, rows in kept.items() for reader in users.of(output)})


def _constants_go_inside(draft: Draft) -> bool:
    """Constants, and integers that the graph knows, are put into the body."""
    inside = {}
    for operand, variable in draft.constants:
        if isinstance(operand, Constant) and operand.data.size <= MOVED_SIZE:
            inside[variable] = fit_pattern(operand, variable.type)
        elif operand.known is not None:
            inside[variable] = fit_pattern(make_constant(operand.known), variable.type)
    draft.constants = [(operand, variable) for operand, variable in draft.constants if variable not in inside]
    draft.put(inside)
    return bool(inside)


def _inputs_are_merged(draft: Draft) -> bool:
    """What comes in twice comes in once."""
    same: dict[Any, Any] = {}
    for pairs in (draft.sequences, draft.constants):
        first: dict[Any, Any] = {}
        for operand, variable in pairs:
            known = first.setdefault((operand, variable.type), variable)
            if known is not variable:
                same[variable] = known
        pairs[:] = [pair for pair in pairs if pair[1] not in same]
    draft.put(same)
    return bool(same)


def _states_are_merged(draft: Draft) -> bool:
    """States that begin alike and of which a round makes the same, if they were the same before, are one.

    States are put into classes by how they begin; a class falls apart where its states' new values differ although
    members of one class count as equal. What holds together in the end is equal after each round.
    """
    classes = _numbered([
        (state.initial, state.state, tuple([tap.type for tap in state.taps])) for state in draft.states
    ])  # fmt: skip
    while len(set(classes)) < len(classes):
        same = {
            tap: (number, position) for number, state in zip(classes, draft.states, strict=True)
            for position, tap in enumerate(state.taps)
        }  # fmt: skip
        values = equal_values(draft.inputs, [state.value for state in draft.states], same)
        finer = _numbered(list(zip(classes, values, strict=True)))
        if finer == classes:
            break
        classes = finer
    if len(set(classes)) == len(classes):
        return False
    first: dict[int, DraftState] = {}
    same_taps: dict[Any, Any] = {}
    for entry, state in zip(classes, draft.states, strict=True):
        known = first.setdefault(entry, state)
        if known is not state:
            same_taps.update(zip(state.taps, known.taps, strict=True))
            known.meant += state.meant
    draft.states = list(first.values())
    draft.put(same_taps)
    return True


def _numbered(keys: Sequence[Any]) -> list[int]:
    """Return the same number for equal keys."""
    numbers: dict[Any, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def _stacks_are_merged(draft: Draft) -> bool:
    """What is collected twice is collected once; the values of a state needn't be collected besides."""
    first: dict[Any, Any] = {state.value: state for state in draft.states if state.state.keeps_all}
    kept: list[DraftStack] = []
    for stack in draft.stacks:
        known = first.setdefault(stack.value, stack)
        if known is stack:
            kept.append(stack)
        else:
            known.meant += stack.meant
    changed = len(kept) < len(draft.stacks)
    draft.stacks = kept
    return changed


def _unused_is_left_out(draft: Draft, users: Users) -> bool:
    """Results, states and inputs that nothing needs go; so do the values of states of which nothing is used outside."""
    before = [len(draft.sequences), len(draft.states), len(draft.stacks), len(draft.constants)]
    wanted = {id(item) for item in draft.items if any(map(users.is_used, item.meant))}
    draft.stacks = [stack for stack in draft.stacks if id(stack) in wanted]
    needed = {id(state): state for state in draft.states if id(state) in wanted}
    while True:
        roots = [state.value for state in needed.values()] + [stack.value for stack in draft.stacks]
        read = _read_by([*roots, *([] if draft.ends is None else [draft.ends])], draft.inputs)
        more = {id(state): state for state in draft.states if read.intersection(state.taps) and id(state) not in needed}
        if not more:
            break
        needed |= more
    draft.states = [state for state in draft.states if id(state) in needed]
    draft.sequences = [pair for pair in draft.sequences if pair[1] in read]
    draft.constants = [pair for pair in draft.constants if pair[1] in read]
    silent = [state for state in draft.states if state.state.keeps_all and id(state) not in wanted]
    for state in silent:
        state.state = replace(state.state, keeps_all=False)
    after = [len(draft.sequences), len(draft.states), len(draft.stacks), len(draft.constants)]
    return bool(silent) or before != after


def _read_by(roots: Sequence[Variable], inputs: Sequence[Variable]) -> set[Variable]:
    """Return the inputs that the roots depend on."""
    read = set(roots)
    for node in applies_before(roots, stop_at=inputs):
        read.update(node.inputs)
    return read.intersection(inputs)


def _only_last_is_used(state: DraftState, users: Users) -> bool:
    """Whether of all values of a state only some are used that the loop has at its end anyway."""
    if not state.state.keeps_all:
        return False
    readers = [reader for output in state.meant for reader in users.of(output)]
    return not users.roots.intersection(state.meant) and all(
        isinstance(reader.op, Subtensor) and reader.op.index and isinstance(reader.op.index[0], Fixed)
        and -state.state.depth <= reader.op.index[0].value < 0 and reader.inputs[0] in state.meant
        for reader in readers
    )  # fmt: skip


def read_last(reader: Apply, kept: Any, inputs: Sequence[Any]) -> Any:
    """Return what a node reads of all values of a state, read from the last ones."""
    first, *rest = reader.op.index  # type: ignore[attr-defined]
    return Subtensor((Fixed(kept.type.shape[0] + first.value), *rest))(kept, *inputs[1:])


def _one_round(draft: Draft) -> dict[Any, Any]:
    """A loop of one round is its body."""
    inside = {row: fit_pattern(operand[0], row.type) for operand, row in draft.sequences}
    inside |= {variable: fit_pattern(operand, variable.type) for operand, variable in draft.constants}
    for state in draft.states:
        pairs = zip(state.state.taps, state.taps, strict=True)
        inside |= {tap: fit_pattern(state.initial[state.state.depth + back], tap.type) for back, tap in pairs}
    values = substitute(draft.roots, inside)
    found = {}
    for item, value in zip(draft.items, values, strict=False):
        stack = shape_padleft(value)
        if isinstance(item, DraftState) and not item.state.keeps_all and item.state.depth > 1:
            stack = concatenate([item.initial[1:], stack])
        found.update(dict.fromkeys(item.meant, stack))
    return found
