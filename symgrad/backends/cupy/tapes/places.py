"""Where a program's memories are: a table of kinds and numbers, which become addresses when the program runs."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from symgrad.backends.cupy.calls import Temporary
from symgrad.backends.layouts import Layouts
from symgrad.graph.variables import Variable
from symgrad.kernels.ir.functions import DTYPES
from symgrad.lowering.plan import Home, Plan

ALIGNMENT = 256


class Kind(enum.Enum):
    """What a memory is a part of."""

    OWN = "own"
    """The program's block: arena, results, temporaries."""
    INPUT = "input"
    OUTPUT = "output"
    SHARED = "shared"
    CONSTANT = "constant"


@dataclass(frozen=True)
class Place:
    """Where something begins.

    Attributes
    ----------
    kind : Kind
        What it is a part of.
    number : int
        Which input, output, shared variable or constant; 0 for the program's block.
    offset : int
        Bytes from there.
    """

    kind: Kind
    number: int = 0
    offset: int = 0

    @property
    def memory(self) -> tuple[Kind, int]:
        """What it is a part of."""
        return self.kind, self.number

    def behind(self, offset: int) -> Place:
        """Return the place some bytes further on."""
        return Place(self.kind, self.number, self.offset + offset)


@dataclass(frozen=True)
class Addresses:
    """The addresses of all memories in one run, or in one round of a loop.

    Attributes
    ----------
    own : int
        Of the program's block.
    inputs, outputs, shared, constants : sequence of int
        Of each.
    status : int
        Of the status word.
    """

    own: int
    inputs: Sequence[int]
    outputs: Sequence[int]
    shared: Sequence[int]
    constants: Sequence[int]
    status: int

    def of(self, place: Place) -> int:
        """Return the address of a place."""
        if place.kind is Kind.OWN:
            return self.own + place.offset
        table: Sequence[int] = getattr(self, _TABLES[place.kind])
        return table[place.number] + place.offset


_TABLES = {Kind.INPUT: "inputs", Kind.OUTPUT: "outputs", Kind.SHARED: "shared", Kind.CONSTANT: "constants"}


@dataclass(frozen=True)
class Extent:
    """Memory that a call reads or writes.

    Attributes
    ----------
    begin : Place
        Where it begins.
    bytes : int
        How much it is.
    """

    begin: Place
    bytes: int


class Block:
    """The program's own memory: hands out parts of it, before there is any.

    Attributes
    ----------
    bytes : int
        How much has been handed out.
    labels : list of (int, Variable)
        The size of each result's part, for errors about memory.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self.labels: list[tuple[int, Variable]] = []

    def take(self, size: int) -> Place:
        """Return where the next `size` bytes are."""
        place = Place(Kind.OWN, 0, self.bytes)
        self.bytes += aligned(size)
        return place


def aligned(size: int) -> int:
    """Return a size rounded up so that what follows is aligned."""
    return -(-max(size, 1) // ALIGNMENT) * ALIGNMENT


class Places:
    """The places of all variables of one plan.

    Parameters
    ----------
    plan : Plan
        What is laid out.
    layouts : Layouts
        Where each variable is in its memory; views are in.
    block : Block
        The program's own memory.
    temporaries : int
        Bytes of the temporaries: of that step which has most of them, or of all.
    reuses : bool
        Whether the temporaries of a step take the place of those of the one before.
    """

    def __init__(self, plan: Plan, layouts: Layouts, block: Block, temporaries: int, reuses: bool) -> None:
        self.plan, self.layouts, self.block = plan, layouts, block
        self.constants = list(plan.graph.constants())
        self._memories: dict[Variable, Place] = {}
        for kind, variables in (
            (Kind.INPUT, plan.graph.inputs), (Kind.SHARED, plan.shared), (Kind.CONSTANT, self.constants)
        ):  # fmt: skip
            for number, variable in enumerate(variables):
                self._memories[variable] = Place(kind, number)
        self._slots: dict[Variable, Place] = {}
        self._place_results()
        self._temporary_start = block.take(temporaries)
        self._temporaries: dict[Temporary, Place] = {}
        self._lasting: dict[Temporary, Place] = {}
        self._used, self._reuses = 0, reuses

    def _place_results(self) -> None:
        """Give a place to what steps make; outputs that aren't copied are made where the caller looks for them."""
        arena = self.block.take(self.plan.arena_size)
        handed = {
            self.layouts.of(output).memory: Place(Kind.OUTPUT, number)
            for number, output in enumerate(self.plan.graph.outputs) if self.is_made_in_place(number)
        }  # fmt: skip
        for action in self.plan.actions:
            for number, (output, home) in enumerate(zip(action.step.outputs, action.homes, strict=True)):
                size = self.bytes_of(output)
                place = action.places[number]
                if home is Home.STORAGE:
                    target = action.targets[number]
                    assert target is not None
                    self._memories[output] = self._memories[target]
                elif home is Home.VIEW:
                    if output in self.layouts.starts:
                        self._slots[output] = self.block.take(8)
                elif place is not None:
                    self._memories[output] = arena.behind(place.offset)
                    self.block.labels.append((size, output))
                else:
                    self._memories[output] = handed.get(output) or self.block.take(size)
                    self.block.labels.append((size, output))

    def is_made_in_place(self, number: int) -> bool:
        """Whether an output is made where the caller looks for it, and so needn't be copied there."""
        output = self.plan.graph.outputs[number]
        location = self.layouts.of(output)
        return (
            not self.plan.copied_outputs[number] and location.is_contiguous and location.offset == 0
            and location.memory not in self.layouts.starts
        )  # fmt: skip

    def item_bytes(self, variable: Variable) -> int:
        """Return the size of an element of a variable."""
        kind: Any = self.plan.types[variable].type
        return DTYPES[kind.dtype]

    def bytes_of(self, variable: Variable) -> int:
        """Return the size of a variable in memory."""
        return prod(self.layouts.shape(variable)) * self.item_bytes(variable)

    def of(self, variable: Variable) -> Place:
        """Return where the first element of a variable is, if the program's starts are 0."""
        location = self.layouts.of(variable)
        offset = location.offset
        while location.memory in self.layouts.starts:
            location = self.layouts.starts[location.memory][0]
            offset += location.offset
        return self._memories[location.memory].behind(offset * self.item_bytes(variable))

    def start_of(self, variable: Variable) -> Place | None:
        """Return where the program keeps how many elements later a variable starts; None if it doesn't."""
        return self._slots.get(self.layouts.of(variable).memory)

    def extent_of(self, variable: Variable) -> Extent:
        """Return the memory that holds all elements of a variable: if it starts late, all that it may be a part of."""
        location = self.layouts.of(variable)
        if location.memory in self.layouts.starts:
            while location.memory in self.layouts.starts:
                location = self.layouts.starts[location.memory][0]
            return Extent(self.of(location.memory), self.bytes_of(location.memory))
        if 0 in location.shape:
            return Extent(self.of(variable), 0)
        item = self.item_bytes(variable)
        reach = [(size - 1) * stride for size, stride in zip(location.shape, location.strides, strict=True)]
        before, behind = sum(min(step, 0) for step in reach), sum(max(step, 0) for step in reach)
        return Extent(self.of(variable).behind(before * item), (behind - before + 1) * item)

    # ---- temporaries of one step ----

    def begin_step(self) -> None:
        """Let the temporaries of the next step take the place of those of the last one, if they are to."""
        self._temporaries = {}
        if self._reuses:
            self._used = 0

    def temporary(self, temporary: Temporary) -> Place:
        """Return where a temporary is: one of the step, or one that lasts."""
        place = self._temporaries.get(temporary) or self._lasting.get(temporary)
        if place is None and temporary.lasts:
            place = self._lasting[temporary] = self.block.take(temporary.bytes)
        elif place is None:
            place = self._temporaries[temporary] = self._temporary_start.behind(self._used)
            self._used += aligned(temporary.bytes)
        return place
