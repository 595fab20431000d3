"""Loops taken apart, changed, and put together again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from symgrad.control.bodies import Body, constant_key, make_body
from symgrad.control.layout import Layout
from symgrad.control.patterns import as_outputs
from symgrad.graph.traversal import applies_before, substitute
from symgrad.graph.variables import Apply, Constant, Variable
from symgrad.kernels.grammar import State


@dataclass(eq=False)
class DraftStack:
    """A value of the body that is only collected, and the outputs of the original loop that its stack stands for."""

    value: Any
    meant: list[Any] = field(default_factory=list)


@dataclass(eq=False)
class DraftState(DraftStack):
    """A state of a loop that is being changed: its value is what the body makes of it.

    Attributes
    ----------
    state : State
        Its taps, and whether all values are returned.
    initial : Variable
        The operand with its first values.
    taps : list of Variable
        Inputs of the body.
    """

    state: State = field(kw_only=True)
    initial: Any = field(kw_only=True)
    taps: list[Any] = field(kw_only=True)


@dataclass(eq=False)
class Draft:
    """A loop that is being changed: operands and inputs of the body side by side.

    Attributes
    ----------
    op : Scan
        The loop that it was.
    rounds : Variable
        How often it goes round.
    sequences, constants : list of (operand, input of the body)
        What each round gets a row of, and what it gets whole.
    states : list of DraftState
        What is handed on.
    stacks : list of DraftStack
        What is collected.
    ends : Variable or None
        The condition that ends the loop.
    """

    op: Any
    rounds: Any
    sequences: list[tuple[Any, Any]]
    states: list[DraftState]
    stacks: list[DraftStack]
    constants: list[tuple[Any, Any]]
    ends: Any = None

    @classmethod
    def of(cls, node: Apply, inputs: Sequence[Any] | None = None) -> Draft:
        """Take a node apart; `inputs` are its operands, or what has replaced them."""
        op: Any = node.op
        operands, inner = op.layout.operands(inputs or node.inputs), op.layout.inner(op.body.inputs)
        made, outputs = op.layout.results(op.body.outputs), op.layout.results(node.outputs)
        states = [
            DraftState(value, [output], state=state, initial=initial, taps=list(taps))
            for state, initial, taps, value, output in zip(
                op.layout.states, operands.initial, inner.taps, made.states, outputs.states, strict=True
            )
        ]
        stacks = [DraftStack(value, [output]) for value, output in zip(made.stacked, outputs.stacked, strict=True)]
        return cls(
            op, operands.rounds,
            list(zip(operands.sequences, inner.rows, strict=True)), states, stacks,
            list(zip(operands.constants, inner.constants, strict=True)), made.ends,
        )  # fmt: skip

    @property
    def items(self) -> list[DraftStack]:
        """The states and what is collected, in order."""
        return [*self.states, *self.stacks]

    @property
    def roots(self) -> list[Any]:
        """The outputs of the body."""
        return [*[item.value for item in self.items], *([] if self.ends is None else [self.ends])]

    @property
    def inputs(self) -> list[Any]:
        """The inputs of the body."""
        taps = [tap for state in self.states for tap in state.taps]
        return [*[row for _, row in self.sequences], *taps, *[one for _, one in self.constants]]

    @property
    def body(self) -> Body:
        """The body as it is now."""
        return make_body(self.inputs, self.roots)

    def put(self, replacements: Mapping[Any, Any]) -> None:
        """Replace variables of the body."""
        if not replacements:
            return
        values = substitute(self.roots, dict(replacements))
        for item, value in zip(self.items, values, strict=False):
            item.value = value
        if self.ends is not None:
            self.ends = values[-1]

    def build(self) -> dict[Any, Any]:
        """Return what the outputs of the original loop became."""
        layout = Layout(
            len(self.sequences), tuple([state.state for state in self.states]), len(self.stacks), len(self.constants),
            self.ends is not None,
        )  # fmt: skip
        op = replace(self.op, body=self.body, layout=layout)
        made = as_outputs(op(
            self.rounds, *[operand for operand, _ in self.sequences], *[state.initial for state in self.states],
            *[operand for operand, _ in self.constants],
        ))  # fmt: skip
        return {old: new for item, new in zip(self.items, made, strict=True) for old in item.meant}


def equal_values(inputs: Sequence[Variable], roots: Sequence[Variable], same: Mapping[Variable, Any]) -> list[Any]:
    """Return a number for each root, equal for roots that compute the same.

    Parameters
    ----------
    inputs : sequence of Variable
        Where the walk ends.
    roots : sequence of Variable
        What is compared.
    same : mapping
        For inputs that count as equal, what they are equal by.
    """
    places: dict[Any, int] = {}
    numbers: dict[Variable, int] = {}

    def number(variable: Variable) -> int:
        if variable not in numbers:
            key: Any = same.get(variable, variable)
            if isinstance(variable, Constant):
                key = constant_key(variable)
            numbers[variable] = places.setdefault(("leaf", key), len(places))
        return numbers[variable]

    for node in applies_before(roots, stop_at=inputs):
        key = (node.op, *map(number, node.inputs))
        for position, output in enumerate(node.outputs):
            numbers[output] = places.setdefault((position, key), len(places))
    return [number(root) for root in roots]
