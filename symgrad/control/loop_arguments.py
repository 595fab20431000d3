"""What the user gives to `scan`: sequences with taps, initial values with taps, the number of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from symgrad.config import config
from symgrad.control.patterns import row_type
from symgrad.control.step_results import loop_error
from symgrad.errors import LoopTypeError, RangeError, ShapeError
from symgrad.graph.op import user_error
from symgrad.graph.test_values import get_debug_values
from symgrad.ops.axes import shape_padleft
from symgrad.ops.casting import cast
from symgrad.ops.elementwise import minimum
from symgrad.ops.promotion import as_operand, is_discrete
from symgrad.ops.sizes import size_of


@dataclass(eq=False)
class Row:
    """A sequence, and the variable that stands for one row of it."""

    sequence: Any
    variable: Any


@dataclass(eq=False)
class Recurrence:
    """A recurrent output: its first values, and the variables that stand for its earlier values.

    Attributes
    ----------
    given, initial : Variable
        The first values, as the user gives them, and with an axis for the rounds.
    taps : tuple of int
        Which earlier values a step gets.
    is_number : bool
        Whether the user gave a Python number.
    taken : list of Variable
        What stands for the earlier values.
    """

    given: Any
    initial: Any
    taps: tuple[int, ...]
    is_number: bool
    taken: list[Any] = field(default_factory=list)

    def retake(self) -> None:
        """Make variables for the taps."""
        name = self.initial.name or "state"
        self.taken = [_row_of(self.initial, f"{name}[t{tap}]", tap - min(self.taps)) for tap in self.taps]


def _row_of(stack: Any, name: str, first: int = 0) -> Any:
    """Return a variable that stands for a row of a stack; in the first round, for row `first`."""
    variable = row_type(stack.type)(name)
    if stack.expected != stack.type:
        variable._expected = row_type(stack.expected)
    if config.compute_test_value != "off":
        for (value,) in get_debug_values(stack):
            variable.tag.test_value = value[first]
    return variable


def _taps_of(entry: Mapping[str, Any], default: list[int], where: str) -> list[int]:
    taps = entry.get("taps")
    if taps is None:
        return default
    found = [taps] if isinstance(taps, int) else list(taps)
    if not found or not all(isinstance(tap, int) for tap in found):
        raise user_error(TypeError, f"the taps of {where} must be integers, got {taps!r:.60}")
    return found


def rows_of(entry: Any, go_backwards: bool) -> list[Row]:
    """Return the rows that a step gets of one sequence: one for each tap."""
    taps = [0]
    if isinstance(entry, Mapping):
        if entry.get("input") is None:
            raise user_error(TypeError, f"a sequence given as a dict needs 'input', got the keys {sorted(entry)}")
        taps = _taps_of(entry, [0], "a sequence")
        entry = entry["input"]
    sequence = as_operand(entry)
    if sequence.type.ndim == 0:
        raise loop_error(
            ShapeError, "a sequence must have at least one axis to go through, got a scalar", {"sequence": sequence},
            "Pass what stays the same in all steps as non_sequences.",
        )  # fmt: skip
    least, largest = min(*taps, 0), max(*taps, 0)
    rows = []
    for tap in taps:
        part = sequence
        if least or largest:
            part = sequence[tap - least : None if tap == largest else tap - largest]
        name = f"{sequence.name or 'sequence'}[t{f'{tap:+d}' if tap else ''}]"
        if go_backwards:
            part = part[::-1]
        rows.append(Row(part, _row_of(part, name)))
    return rows


def recurrence_of(number: int, entry: Any) -> Recurrence | None:
    taps = [-1]
    if isinstance(entry, Mapping):
        if "return_steps" in entry:
            raise user_error(ValueError, "outputs_info has no 'return_steps': index the output instead")
        if entry.get("initial") is None:
            if entry.get("taps"):
                raise user_error(
                    ValueError, f"output {number} has taps, and so needs 'initial': its values before the first step"
                )
            return None
        taps = _taps_of(entry, [-1], f"output {number}")
        entry = entry["initial"]
    if entry is None:
        return None
    initial = as_operand(entry)
    if max(taps) >= 0:
        raise user_error(
            ValueError, f"the taps of output {number} must be negative, got {taps}: a step knows earlier values only"
        )
    if len(set(taps)) < len(taps):
        raise user_error(ValueError, f"the taps of output {number} must differ from each other, got {taps}")
    if taps == [-1]:
        first = shape_padleft(initial)
        first.name = initial.name
    else:
        first = _first_rows(number, initial, taps)
    state = Recurrence(initial, first, tuple(taps), isinstance(entry, int | float) and not isinstance(entry, bool))
    state.retake()
    return state


def _first_rows(number: int, initial: Any, taps: Sequence[int]) -> Any:
    """Return as many rows of the initial values as the taps need."""
    depth = -min(taps)
    if initial.type.ndim == 0:
        raise loop_error(
            ShapeError, f"output {number} has taps {list(taps)}, so its initial values need {depth} rows, got a scalar",
            {"initial": initial},
        )  # fmt: skip
    length = initial.type.shape[0]
    if length is not None and length < depth:
        raise loop_error(
            ShapeError, f"output {number} has taps {list(taps)}, so its initial values need {depth} rows, got {length}",
            {"initial": initial}, "The first row is the oldest value.",
        )  # fmt: skip
    first = initial if length == depth else initial[:depth]
    first.name = first.name or initial.name
    return first


def number_of_steps(n_steps: Any, sequences: Sequence[Any]) -> Any:
    if n_steps is None:
        if not sequences:
            raise user_error(
                ValueError, "scan doesn't know how many steps to take", (), "Pass n_steps, or a sequence to go through."
            )
        lengths = [size_of(sequence, 0) for sequence in sequences]
        least = lengths[0]
        for length in lengths[1:]:
            least = length if length is least else minimum(least, length)
        return least
    if isinstance(n_steps, float) and n_steps.is_integer():
        n_steps = int(n_steps)
    rounds = as_operand(n_steps)
    if rounds.type.ndim or not is_discrete(rounds.type.dtype) or rounds.type.dtype == "bool":
        raise loop_error(LoopTypeError, f"n_steps must be an integer scalar, got {rounds.type}", {"n_steps": rounds})
    if rounds.known is not None and int(rounds.known) < 0:
        raise user_error(
            RangeError, f"n_steps can't be negative, got {int(rounds.known)}", (),
            "To go through sequences from their ends, pass go_backwards=True.",
        )  # fmt: skip
    return cast(rounds, "int64")
