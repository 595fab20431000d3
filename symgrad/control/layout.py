"""Which operand of a loop is what: the order that `symgrad.kernels.grammar.Loop` declares, by names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from symgrad.kernels.grammar import State

Item = TypeVar("Item")


@dataclass(frozen=True)
class Layout:
    """How many sequences, stacked values and constants a loop has, and which states.

    Parameters
    ----------
    sequences : int
        Operands of which each round gets a row.
    states : tuple of State
        What a round hands to the next.
    stacked : int
        Outputs of the body that are only collected.
    constants : int
        Operands that each round gets whole.
    until : bool
        Whether the body's last output ends the loop.
    """

    sequences: int
    states: tuple[State, ...]
    stacked: int
    constants: int
    until: bool = False

    def operands(self, operands: Sequence[Item]) -> Operands[Item]:
        """Return the operands by names."""
        first = 1 + self.sequences
        second = first + len(self.states)
        return Operands(operands[0], tuple(operands[1:first]), tuple(operands[first:second]), tuple(operands[second:]))

    def inner(self, inputs: Sequence[Item]) -> Inner[Item]:
        """Return the inputs of the body by names."""
        position = self.sequences
        taps = []
        for state in self.states:
            taps.append(tuple(inputs[position : position + len(state.taps)]))
            position += len(state.taps)
        return Inner(tuple(inputs[: self.sequences]), tuple(taps), tuple(inputs[position:]))

    def results(self, outputs: Sequence[Item]) -> Results[Item]:
        """Return the outputs, of the loop or of its body, by names."""
        count = len(self.states)
        ends = outputs[count + self.stacked] if len(outputs) > count + self.stacked else None
        return Results(tuple(outputs[:count]), tuple(outputs[count : count + self.stacked]), ends)


@dataclass(frozen=True)
class Operands(Generic[Item]):
    """The operands of a loop."""

    rounds: Item
    sequences: tuple[Item, ...]
    initial: tuple[Item, ...]
    constants: tuple[Item, ...]

    def flat(self) -> list[Item]:
        """Return them in the loop's order."""
        return [self.rounds, *self.sequences, *self.initial, *self.constants]


@dataclass(frozen=True)
class Inner(Generic[Item]):
    """The inputs of a loop's body; of each state, its value at each tap."""

    rows: tuple[Item, ...]
    taps: tuple[tuple[Item, ...], ...]
    constants: tuple[Item, ...]

    def flat(self) -> list[Item]:
        """Return them in the body's order."""
        return [*self.rows, *[value for taps in self.taps for value in taps], *self.constants]


@dataclass(frozen=True)
class Results(Generic[Item]):
    """The outputs of a loop, or of its body, which may also say that the loop ends."""

    states: tuple[Item, ...]
    stacked: tuple[Item, ...]
    ends: Any = None

    def flat(self) -> list[Item]:
        """Return them in order."""
        return [*self.states, *self.stacked, *([] if self.ends is None else [self.ends])]
