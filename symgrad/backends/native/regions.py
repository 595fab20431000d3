"""Loops and branches as records: other programs, whose arguments and outputs are parts of this one's memory.

A round of a loop reads rows of the sequences and earlier values of the states where they are, and writes the new values
where they stay: a state that is kept as a whole, straight into the loop's result; one of which only the last values are
wanted, into a ring of one row more than it looks back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from symgrad.backends.base import UnsupportedError
from symgrad.backends.layouts import Layouts, bytes_of, contiguous
from symgrad.backends.native.calls import Call, Label, Temporary
from symgrad.backends.native.records import Move, StepKind
from symgrad.backends.native.records import Step as Record
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Branch, Loop, State
from symgrad.lowering.steps import Bound, Step

if TYPE_CHECKING:
    from symgrad.backends.native.table import Table


def region_copies(step: Step, layouts: Layouts) -> list[Call]:
    """Return the copies of those operands that the programs of a loop or branch can't read where they are."""
    from symgrad.backends.native.copies import copy_kernel

    calls = []
    for variable, by_row in _operands(step):
        location = layouts.of(variable)
        expected = contiguous(location.shape)
        pairs = list(zip(location.shape, location.strides, expected, strict=True))[by_row:]
        if all(size == 1 or stride == row_major for size, stride, row_major in pairs) or 0 in location.shape:
            continue
        dtype = layouts.types[variable].type.dtype  # type: ignore[attr-defined]
        kernel = copy_kernel(location, dtype)
        assert isinstance(kernel.units, int)
        calls.append(Call(kernel, (variable, Temporary(bytes_of(layouts.types, variable))), kernel.units, step=step))
    return calls


def _operands(step: Step) -> list[tuple[Variable, bool]]:
    """Return the operands that programs read, each once, and whether they read it row by row."""
    assert isinstance(step.kernel, Bound)
    kernel = step.kernel.kernel
    by_rows = kernel.sequences + len(kernel.states) if isinstance(kernel, Loop) else 0
    found: dict[Variable, bool] = {}
    for number, variable in enumerate(step.inputs if isinstance(kernel, Loop) else step.inputs[1:]):
        found[variable] = found.get(variable, True) and number < by_rows
    return list(found.items())


def add_region(table: Table, step: Step, copied: Mapping[Any, Any]) -> None:
    """Add the records of a loop or branch to a table; `copied` are operands that have been copied."""
    writer = _Writer(table, step, copied)
    kernel = step.kernel.kernel  # type: ignore[attr-defined]
    if isinstance(kernel, Loop):
        writer.loop(kernel)
    else:
        writer.branch(kernel)


class _Place:
    """Where a memory is: the address of a word, bytes to add to what it holds, and bytes from row to row."""

    def __init__(self, base: int, address: int, stride: int = 0) -> None:
        self.base, self.address, self.stride = base, address, stride

    def row(self, number: int) -> _Place:
        """Return where a row begins."""
        return _Place(self.base, self.address + number * self.stride, self.stride)


class _Writer:
    """Writes the records of one step."""

    def __init__(self, table: Table, step: Step, copied: Mapping[Any, Any]) -> None:
        self.table, self.step, self.copied = table, step, copied
        bound = step.kernel
        assert isinstance(bound, Bound)
        self.bound = bound
        for program in bound.programs:
            table.kept.append(program)
            table.memory += program.memory

    # ---- places ----

    def place_of(self, variable: Variable) -> _Place:
        """Return where an operand is; its stride is that of its first axis."""
        table, types = self.table, self.table.plan.types
        item = np.dtype(types[variable].type.dtype).itemsize  # type: ignore[attr-defined]
        temporary = self.copied.get(variable)
        if temporary is not None:
            strides = contiguous(table.layouts.shape(variable))
            return _Place(table.zero, table.temporary_place(temporary), strides[0] * item if strides else 0)
        base, offset = table.where(variable)
        strides = table.layouts.of(variable).strides
        return _Place(base, offset, strides[0] * item if strides else 0)

    def row_bytes(self, variable: Variable) -> int:
        """Return the bytes of a row of a result."""
        kind: Any = self.table.plan.types[variable].type
        return int(prod(kind.shape[1:])) * int(np.dtype(kind.dtype).itemsize)

    # ---- records ----

    def loop(self, kernel: Loop) -> None:
        """Write a loop: a region, then copies of the last values of states that keep no others."""
        rounds, program = self.bound.rounds, self.bound.programs[0]
        operands = self.step.inputs
        sequences = operands[: kernel.sequences]
        firsts = operands[kernel.sequences : kernel.sequences + len(kernel.states)]
        constants = operands[kernel.sequences + len(kernel.states) :]
        if any(self.table.layouts.shape(sequence)[0] < rounds for sequence in sequences):
            raise UnsupportedError("a sequence is too short")
        moves, arguments, results = _moves(program)
        for sequence in sequences:
            _begin(next(arguments), self.place_of(sequence))
        copies: list[tuple[Variable, int, _Place]] = []
        for output, state, first in zip(self.step.outputs, kernel.states, firsts, strict=False):
            copies += self.state(output, state, first, arguments, results)
        fixed = [_begin(next(arguments), _still(self.place_of(constant))) for constant in constants]
        for output in self.step.outputs[len(kernel.states) :]:
            base, offset = self.table.where(output)
            _begin(next(results), _Place(base, offset, self.row_bytes(output)))
        flag = 0
        if kernel.until:
            flag = self.table.array([0])
            _begin(next(results), _Place(self.table.zero, flag))
        if rounds:
            ordered = fixed + [number for number in range(len(moves)) if number not in set(fixed)]
            count = self.table.array([self.table.array([rounds])])
            self.region(StepKind.REGION, program, moves[ordered], len(fixed), (count, 0), flag)
        for output, number, row in copies:
            self.copy_row(output, number, row)
        self.table.work += rounds * program.table.work

    def state(
        self, output: Variable, state: State, first: Variable, arguments: _Numbered, results: _Numbered
    ) -> list[tuple[Variable, int, _Place]]:
        """Let the body read a state's values and write new ones; return which rows are to be copied to the result."""
        if self.table.layouts.shape(first)[0] != state.depth:
            raise UnsupportedError("a state begins with another number of values")
        kept, start, rounds = self.kept_values(state, output), self.place_of(first), self.bound.rounds
        for tap in state.taps:
            _read_state(next(arguments), state.depth, -tap, start, kept)
        _write_state(next(results), kept)
        if state.keeps_all:
            return []
        values = range(rounds - state.depth, rounds)
        rows = [kept[0].row(value % kept[1]) if value >= 0 else start.row(value + state.depth) for value in values]
        return [(output, number, row) for number, row in enumerate(rows)]

    def kept_values(self, state: State, output: Variable) -> tuple[_Place, int]:
        """Return where a state's values go, and after how many rounds they go there again; 0 is never."""
        size = self.row_bytes(output)
        if state.keeps_all:
            base, offset = self.table.where(output)
            return _Place(base, offset, size), 0
        rows = state.depth + 1
        memory = self.table.allocate(rows * max(size, 1))
        return _Place(self.table.array([memory]), 0, size), rows

    def copy_row(self, output: Variable, number: int, row: _Place) -> None:
        """Copy one of the last values of a state to where the loop's result is."""
        size = self.row_bytes(output)
        base, offset = self.table.where(output)
        record = [0] * Record.SIZE
        record[Record.KIND] = StepKind.COPY
        record[Record.SOURCE], record[Record.SOURCE_OFFSET] = row.base, row.address
        record[Record.TARGET], record[Record.TARGET_OFFSET] = base, offset + number * size
        record[Record.BYTES] = size
        self.table.add_step(record, Label("last values", self.step, None, (output,)))

    def branch(self, kernel: Branch) -> None:
        """Write a branch: two choices, of which one is carried out."""
        condition, *operands = self.step.inputs
        for wanted, program in zip((1, 0), self.bound.programs, strict=True):
            moves, arguments, results = _moves(program)
            for operand in operands:
                _begin(next(arguments), _still(self.place_of(operand)))
            for output in self.step.outputs:
                base, offset = self.table.where(output)
                _begin(next(results), _Place(base, offset))
            self.region(StepKind.CHOICE, program, moves, len(moves), self.table.where(condition), wanted)
        self.table.work += max(program.table.work for program in self.bound.programs)

    def region(
        self, kind: int, program: Any, moves: np.ndarray, fixed: int, count: tuple[int, int], flag: int
    ) -> None:
        """Write the record of a region or choice."""
        record = [0] * Record.SIZE
        record[Record.KIND] = kind
        record[Record.PROGRAM] = program.table.words.ctypes.data
        record[Record.MOVES], record[Record.MOVE_COUNT] = self.table.array(moves), len(moves)
        record[Record.COUNT], record[Record.COUNT_OFFSET] = count
        record[Record.FIXED], record[Record.FLAG] = fixed, flag
        self.table.add_step(record, Label("rounds", self.step, None, self.step.inputs, program))


def _moves(program: Any) -> tuple[np.ndarray, _Numbered, _Numbered]:
    """Return the moves of a program, and the numbers of those of its arguments, and of its results."""
    moves = program.table.moves()
    arguments = len(program.table.plan.graph.inputs)
    return moves, _Numbered(moves, range(arguments)), _Numbered(moves, range(arguments, len(moves)))


class _Numbered:
    """Gives out the rows of an array, one after the other."""

    def __init__(self, moves: np.ndarray, rows: Sequence[int]) -> None:
        self.moves, self.rows = moves, iter(rows)

    def __next__(self) -> tuple[np.ndarray, int]:
        row = next(self.rows)
        return self.moves[row], row


def _begin(numbered: tuple[np.ndarray, int], place: _Place) -> int:
    """Let a move begin at a place and step on by its stride; return its number."""
    move, number = numbered
    move[Move.BASE], move[Move.ADDRESS], move[Move.STRIDE] = place.base, place.address, place.stride
    return number


def _still(place: _Place) -> _Place:
    return _Place(place.base, place.address)


def _go_on(move: np.ndarray, rounds: int, place: _Place, period: int) -> None:
    """Let a move go to a place after some rounds, and then come back there every `period` rounds."""
    move[Move.LENGTH] = rounds
    move[Move.NEXT_BASE], move[Move.NEXT_ADDRESS], move[Move.NEXT_STRIDE] = place.base, place.address, place.stride
    move[Move.NEXT_LENGTH] = period


def _read_state(
    numbered: tuple[np.ndarray, int], depth: int, back: int, start: _Place, kept: tuple[_Place, int]
) -> None:
    """Let a body read the value `back` rounds ago: of the first values, as long as there is no later one."""
    _begin(numbered, start.row(depth - back))
    _go_on(numbered[0], back, *kept)


def _write_state(numbered: tuple[np.ndarray, int], kept: tuple[_Place, int]) -> None:
    _begin(numbered, kept[0])
    if kept[1]:
        _go_on(numbered[0], kept[1], *kept)
