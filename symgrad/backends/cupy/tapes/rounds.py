"""Loops and choices on a tape: other tapes, whose arguments and results are parts of this one's memory.

A round of a loop reads rows of the sequences and earlier values of the states where they are, and writes the new values
where they stay: a state that is kept as a whole, straight into the loop's result; one of which only the last values are
wanted, into a ring of one row more than it looks back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from symgrad.backends.base import UnsupportedError
from symgrad.backends.cupy.tapes.places import Addresses, Place, Places
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Branch, Loop, State
from symgrad.lowering.steps import Bound, Step

if TYPE_CHECKING:
    from symgrad.backends.cupy.tapes.tape import Piece, Tape

Copy = Callable[[Place, Place, int, Step | None], "Piece"]


@dataclass(frozen=True)
class Track:
    """Where something is in each round: at first from one place on, then, if it goes on, from another.

    Attributes
    ----------
    begin : Place
        In round 0.
    stride : int
        Bytes from round to round.
    rounds : int or None
        After so many rounds it goes on at `then`, from round to round again by `then_stride`.
    period : int
        After so many rounds there it comes back to `then`; 0 is never.
    """

    begin: Place
    stride: int = 0
    rounds: int | None = None
    then: Place | None = None
    then_stride: int = 0
    period: int = 0

    def at(self, number: int) -> Place:
        """Return the place in a round."""
        if self.rounds is None or self.then is None or number < self.rounds:
            return self.begin.behind(number * self.stride)
        later = number - self.rounds
        return self.then.behind((later % self.period if self.period else later) * self.then_stride)


@dataclass(eq=False)
class Rounds:
    """A loop: the tape of its body, played for each round."""

    step: Step
    rounds: int
    tapes: Sequence[Tape]
    own: Place
    arguments: list[Track] = field(default_factory=list)
    results: list[Track] = field(default_factory=list)
    constants: Sequence[int] = ()

    def launches(self) -> int:
        """Return how many calls it makes."""
        return self.rounds * self.tapes[0].launches()

    def addresses(self, number: int, outer: Addresses) -> Addresses:
        """Return the addresses of the body's memories in a round."""
        return Addresses(
            outer.of(self.own), [outer.of(track.at(number)) for track in self.arguments],
            [outer.of(track.at(number)) for track in self.results], (), self.constants, outer.status,
        )  # fmt: skip


@dataclass(eq=False)
class Branching:
    """A choice: two tapes, of which one is played."""

    step: Step
    condition: Place
    tapes: Sequence[Tape]
    owns: Sequence[Place]
    arguments: Sequence[Place]
    results: Sequence[Place]
    constants: Sequence[Sequence[int]] = ((), ())

    def launches(self) -> int:
        """Return how many calls it makes, at most."""
        return max(tape.launches() for tape in self.tapes)

    def addresses(self, side: int, outer: Addresses) -> Addresses:
        """Return the addresses of one side's memories."""
        return Addresses(
            outer.of(self.owns[side]), [outer.of(place) for place in self.arguments],
            [outer.of(place) for place in self.results], (), self.constants[side], outer.status,
        )  # fmt: skip


@dataclass(frozen=True)
class _Rows:
    """Where a memory begins, and bytes from row to row."""

    begin: Place
    stride: int

    def row(self, number: int) -> Place:
        return self.begin.behind(number * self.stride)


def branching_of(step: Step, places: Places, copied: Mapping[Any, Any], copy: Copy) -> list[Any]:
    """Return the items of a choice; `copied` are operands that have been copied."""
    bound = step.kernel
    assert isinstance(bound, Bound) and isinstance(bound.kernel, Branch)
    tapes = [program.tape for program in bound.programs]
    arguments = [_operand(places, copied, variable).begin for variable in step.inputs[1:]]
    results = [places.of(output) for output in step.outputs]
    owns = [places.block.take(tape.block.bytes) for tape in tapes]
    return [Branching(step, places.of(step.inputs[0]), tapes, owns, arguments, results)]


def rounds_of(step: Step, places: Places, copied: Mapping[Any, Any], copy: Copy) -> list[Any]:
    """Return the items of a loop; `copied` are operands that have been copied."""
    return _Writer(step, places, copied, copy).write()


def _operand(places: Places, copied: Mapping[Any, Any], variable: Variable) -> _Rows:
    """Return where an operand is."""
    shape = places.layouts.shape(variable)
    temporary = copied.get(variable)
    if temporary is not None:
        stride = places.bytes_of(variable) // max(shape[0], 1) if shape else 0
        return _Rows(places.temporary(temporary), stride)
    strides = places.layouts.of(variable).strides
    item = places.item_bytes(variable)
    return _Rows(places.of(variable), strides[0] * item if strides else 0)


class _Writer:
    """Writes the items of one loop."""

    def __init__(self, step: Step, places: Places, copied: Mapping[Any, Any], copy: Copy) -> None:
        bound = step.kernel
        assert isinstance(bound, Bound) and isinstance(bound.kernel, Loop)
        self.step, self.places, self.copied, self.copy = step, places, copied, copy
        self.kernel: Loop = bound.kernel
        self.rounds = bound.rounds
        tape: Tape = bound.programs[0].tape
        if tape.resized:
            raise UnsupportedError("a value changes its size from round to round")
        self.item = Rounds(step, bound.rounds, [tape], places.block.take(tape.block.bytes))

    def write(self) -> list[Any]:
        """Return the loop, then the copies of the last values of states that keep no others."""
        kernel, operands = self.kernel, self.step.inputs
        if kernel.until:
            raise UnsupportedError("a loop that ends by itself is carried out from the host")
        count, states = kernel.sequences, len(kernel.states)
        for sequence in operands[:count]:
            if self.places.layouts.shape(sequence)[0] < self.rounds:
                raise UnsupportedError("a sequence is too short")
            rows = _operand(self.places, self.copied, sequence)
            self.item.arguments.append(Track(rows.begin, rows.stride))
        copies = []
        for output, state, first in zip(self.step.outputs, kernel.states, operands[count:], strict=False):
            copies += self._state(output, state, first)
        for constant in operands[count + states :]:
            self.item.arguments.append(Track(_operand(self.places, self.copied, constant).begin))
        for output in self.step.outputs[states:]:
            self.item.results.append(Track(self.places.of(output), self._row_bytes(output)))
        return [*([self.item] if self.rounds else []), *copies]

    def _state(self, output: Variable, state: State, first: Variable) -> list[Piece]:
        """Let the body read a state's values and write new ones; return the copies of its last values."""
        if self.places.layouts.shape(first)[0] != state.depth:
            raise UnsupportedError("a state begins with another number of values")
        start, size = _operand(self.places, self.copied, first), self._row_bytes(output)
        period = 0 if state.keeps_all else state.depth + 1
        kept = _Rows(self.places.of(output) if state.keeps_all else self.places.block.take(period * size), size)
        for tap in state.taps:
            read = Track(start.row(state.depth + tap), start.stride, -tap, kept.begin, size, period)
            self.item.arguments.append(read)
        ring = Track(kept.begin, size, period, kept.begin, size, period) if period else Track(kept.begin, size)
        self.item.results.append(ring)
        if state.keeps_all:
            return []
        values = range(self.rounds - state.depth, self.rounds)
        rows = [kept.row(value % period) if value >= 0 else start.row(value + state.depth) for value in values]
        result = self.places.of(output)
        return [self.copy(row, result.behind(number * size), size, self.step) for number, row in enumerate(rows)]

    def _row_bytes(self, variable: Variable) -> int:
        """Return the bytes of a row of a result."""
        rows = self.places.layouts.shape(variable)[0]
        return self.places.bytes_of(variable) // rows if rows else 0
