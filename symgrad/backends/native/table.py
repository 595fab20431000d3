"""Lays out a plan as the records that the native entry reads, with all addresses that never change filled in."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import finalize

import numpy as np

from symgrad.backends.base import UnsupportedError
from symgrad.backends.layouts import Layouts, Location, bytes_of, contiguous
from symgrad.backends.native.calls import Call, Label, Temporary
from symgrad.backends.native.kernel import SINGLE_THREAD_WORK, NativeKernel
from symgrad.backends.native.objects import drop_reference, slot_offset
from symgrad.backends.native.records import (
    WORD,
    Array,
    Header,
    Move,
    Output,
    Overlap,
    Patch,
    Step,
    StepKind,
    Term,
)
from symgrad.backends.native.regions import add_region
from symgrad.graph.variables import Container, Variable
from symgrad.lowering.plan import Action, Change, Home, Place, Plan
from symgrad.lowering.steps import Bound
from symgrad.lowering.steps import Step as PlannedStep

CACHE_LINE = 64
KEPT_BYTES = 1 << 17
"""Outputs of at least this size are used again once the caller has dropped them."""
RELEASE_WORK = 1 << 19
"""Programs with at least so many operations let other Python threads run meanwhile."""


@dataclass(eq=False)
class _Memory:
    """A word that holds an address, and who must know when it changes."""

    slot: int
    is_fixed: bool
    patches: list[tuple[int, int]] = field(default_factory=list)


class Words(np.ndarray):
    """A program's words, for those who only hold these: with its table, and so with all memory that they point to."""

    table: Table


class Table:
    """The records of one program, and the memory that it owns.

    Parameters
    ----------
    plan : Plan
        What is laid out.
    layouts : Layouts
        Where each variable is.
    calls : mapping
        The native kernels of each step that isn't a view.
    copies : mapping
        The kernels that copy variables which aren't contiguous to where they are handed out.
    functions : mapping
        The address of each kernel.
    containers : sequence of Container
        Of the plan's shared variables, in order.
    threads : int
        How many threads large kernels may use.
    """

    def __init__(
        self, plan: Plan, layouts: Layouts, calls: Mapping[PlannedStep, Sequence[Call]],
        copies: Mapping[Variable, NativeKernel], functions: Mapping[str, int],
        containers: Sequence[Container], threads: int,
    ) -> None:  # fmt: skip
        self.plan, self.layouts, self.functions, self.threads = plan, layouts, functions, threads
        self.containers, self.copies = containers, copies
        self.kept: list[Any] = []
        self.memory = 0
        self.times: np.ndarray | None = None
        self.labels: list[Label] = []
        self._memories: dict[Variable, _Memory] = {}
        self._slots = np.zeros(_slot_bound(plan), np.int64)
        self._slot_count = 0
        own = max((_temporary_bytes(each) for each in calls.values()), default=0)
        self.own_bytes = _aligned_size(plan.arena_size) + _aligned_size(own)
        self._arena = self.allocate(self.own_bytes)
        self._temporaries = self._arena + _aligned_size(plan.arena_size)
        scratch = max((call.kernel.scratch for each in calls.values() for call in each), default=0)
        self.scratch_stride = _aligned_size(scratch) + CACHE_LINE
        self._scratch = self.allocate(self.scratch_stride * threads)
        self.zero = self.array([0])
        self._place_leaves()
        self._place_results()
        self._steps: list[list[int]] = []
        self._used, self._temporary_places = 0, dict[Temporary, int]()
        self._moving: list[tuple[list[int], _Memory]] = []
        self.work = sum(call.kernel.flops + call.kernel.bytes for each in calls.values() for call in each)
        for action in plan.actions:
            self._add_action(action, calls)
        self._add_commits()
        self.words = self._header()
        finalize(self, _drop_kept, self.output_records)

    # ---- memory ----

    def allocate(self, size: int) -> int:
        """Return the address of `size` bytes on a cache line, which live as long as the table."""
        raw = np.zeros(size + CACHE_LINE, np.uint8)
        self.kept.append(raw)
        self.memory += size
        return -(-raw.ctypes.data // CACHE_LINE) * CACHE_LINE

    def array(self, words: Sequence[int] | Sequence[Sequence[int]] | np.ndarray) -> int:
        """Return the address of words, which live as long as the table."""
        array = np.array(words, np.int64).reshape(-1)
        self.kept.append(array)
        return int(array.ctypes.data)

    def _new_memory(self, variable: Variable, address: int | None = None) -> _Memory:
        memory = _Memory(self._slots.ctypes.data + WORD * self._slot_count, address is not None)
        self._slots[self._slot_count] = address or 0
        self._slot_count += 1
        self._memories[variable] = memory
        return memory

    def _place_leaves(self) -> None:
        """Give a place to arguments, shared variables and constants."""
        self.scalars: dict[Variable, int] = {}
        for variable in self.plan.graph.inputs:
            if not self.layouts.shape(variable):
                self.scalars[variable] = self.allocate(CACHE_LINE)
            self._new_memory(variable, self.scalars.get(variable))
        for shared in self.plan.shared:
            self._new_memory(shared)
        for constant in self.plan.graph.constants():
            data = np.require(constant.data, requirements=["C", "A"])
            self.kept.append(data)
            self._new_memory(constant, data.ctypes.data)

    def _place_results(self) -> None:
        """Give a place to what steps make; outputs that aren't copied live in the array that the caller gets."""
        self.outputs: list[_Memory] = []
        handed: dict[Variable, _Memory] = {}
        for output, copied in zip(self.plan.graph.outputs, self.plan.copied_outputs, strict=True):
            memory = self._new_memory(Variable(output.type))
            self.outputs.append(memory)
            if not copied and output not in self.copies:
                handed[self.layouts.of(output).memory] = memory
        for action in self.plan.actions:
            results = zip(action.step.outputs, action.homes, action.places, strict=True)
            for number, (output, home, place) in enumerate(results):
                if home is Home.STORAGE:
                    target = action.targets[number]
                    assert target is not None
                    self._memories[output] = self._memories[target]
                elif home is Home.VIEW:
                    if output in self.layouts.starts:
                        self._new_memory(output)
                elif output in handed:
                    self._memories[output] = handed[output]
                else:
                    self._new_memory(output, self._own_address(output, place))

    def _own_address(self, output: Variable, place: Place | None) -> int:
        if place is not None:
            return self._arena + place.offset
        return self.allocate(bytes_of(self.plan.types, output))

    def where(self, variable: Variable) -> tuple[int, int]:
        """Return the address of the slot of a variable's memory, and the bytes from there to its first element."""
        location = self.layouts.of(variable)
        return self._memories[location.memory].slot, self._bytes(location, variable)

    def _bytes(self, location: Location, variable: Variable) -> int:
        kind: Any = variable.type
        return int(location.offset * np.dtype(kind.dtype).itemsize)

    # ---- steps ----

    def _add_action(self, action: Action, calls: Mapping[PlannedStep, Sequence[Call]]) -> None:
        step = action.step
        if action.homes == (Home.VIEW,):
            if step.outputs[0] in self.layouts.starts:
                self._add_view(step)
            return
        self._used, self._temporary_places = 0, {}
        found = calls.get(step, ()) if isinstance(step.kernel, Bound) else calls[step]
        for call in found:
            self._add_call(call)
        if isinstance(step.kernel, Bound):
            add_region(self, step, {call.buffers[0]: call.buffers[1] for call in found})

    def _add_call(self, call: Call) -> None:
        buffers = np.zeros(max(len(call.buffers), 1), np.int64)
        self.kept.append(buffers)
        base = int(buffers.ctypes.data)
        for number, buffer in enumerate(call.buffers):
            if isinstance(buffer, Temporary):
                buffers[number] = self.temporary_place(buffer)
                continue
            location = self.layouts.of(buffer)
            memory, offset = self._memories[location.memory], self._bytes(location, buffer)
            if memory.is_fixed:
                buffers[number] = self._address_in(memory) + offset
            else:
                memory.patches.append((base + WORD * number, offset))
        kernel = call.kernel
        large = kernel.flops + kernel.bytes >= SINGLE_THREAD_WORK
        record = [0] * Step.SIZE
        record[Step.KIND] = StepKind.KERNEL
        record[Step.FUNCTION] = self.functions[kernel.name]
        record[Step.BUFFERS] = base
        record[Step.SIZES] = self.array(list(call.sizes) or [0])
        record[Step.UNITS] = call.units
        record[Step.THREADS] = min(self.threads, call.units) if large else 1
        self.add_step(record, Label(kernel.name, call.step, kernel, call.buffers))

    def temporary_place(self, temporary: Temporary) -> int:
        """Return the address of a temporary of the step that is being laid out."""
        place = self._temporary_places.get(temporary)
        if place is None:
            place = self._temporary_places[temporary] = self._temporaries + self._used
            self._used += _aligned_size(temporary.bytes)
        return place

    def add_step(self, record: list[int], label: Label) -> None:
        """Add a record, and what people are told of it."""
        self._steps.append(record)
        self.labels.append(label)

    def units_of(self, number: int) -> int:
        """Return how many units a kernel's record has."""
        return self._steps[number][Step.UNITS]

    def threads_of(self, number: int) -> int:
        """Return how many threads run a record."""
        record = self._steps[number]
        return record[Step.THREADS] if record[Step.KIND] == StepKind.KERNEL else 1

    @property
    def is_parallel(self) -> bool:
        """Whether any of its kernels runs on several threads."""
        return any(self.threads_of(number) > 1 for number in range(len(self._steps)))

    def last_rounds(self) -> tuple[int, bool]:
        """Return how many rounds the first loop has carried out in the last call, and whether its body ended it."""
        number = next(number for number, label in enumerate(self.labels) if label.program is not None)
        flag = self._steps[number][Step.FLAG]
        ended = bool(flag) and bool(ctypes.c_uint8.from_address(flag).value)
        return int(self.labels[number].program.table.words[Header.ROUNDS]), ended

    def _address_in(self, memory: _Memory) -> int:
        return int(self._slots[(memory.slot - self._slots.ctypes.data) // WORD])

    def _add_view(self, step: PlannedStep) -> None:
        output = step.outputs[0]
        base, starts = self.layouts.starts[output]
        item = np.dtype(self.plan.types[output].type.dtype).itemsize  # type: ignore[attr-defined]
        terms = []
        for start in starts:
            place = self.layouts.of(start.scalar)
            term = [0] * Term.SIZE
            term[Term.SLOT] = self._memories[place.memory].slot
            term[Term.OFFSET] = self._bytes(place, start.scalar)
            term[Term.STRIDE] = start.stride * item
            term[Term.LIMIT] = start.limit
            term[Term.WRAP] = start.size
            terms.append(term)
        record = [0] * Step.SIZE
        record[Step.KIND] = StepKind.VIEW
        record[Step.SOURCE] = self._memories[base.memory].slot
        record[Step.TARGET] = self._memories[output].slot
        record[Step.SOURCE_OFFSET] = base.offset * item
        record[Step.TERMS] = self.array(terms)
        record[Step.TERM_COUNT] = len(terms)
        self.add_step(record, Label("view", step, None, step.inputs))
        self._moving.append((record, self._memories[output]))

    def _add_copy(
        self, target: _Memory, source: Variable, memory: _Memory | None = None, update: Variable | None = None
    ) -> None:
        """Copy a variable, or with `memory` a copy of it, to a slot: that of the shared variable `update`, if given."""
        location = self.layouts.of(source)
        if memory is None and source in self.copies:
            self._add_copy_kernel(target, source)
            return
        record = [0] * Step.SIZE
        record[Step.KIND] = StepKind.COPY
        record[Step.SOURCE] = (memory or self._memories[location.memory]).slot
        record[Step.SOURCE_OFFSET] = 0 if memory else self._bytes(location, source)
        record[Step.TARGET] = target.slot
        record[Step.BYTES] = bytes_of(self.plan.types, source)
        self.add_step(record, Label("copy", None, None, (source,) if update is None else (source, update)))

    def _add_copy_kernel(self, target: _Memory, source: Variable) -> None:
        stand_in = Variable(source.type)
        self.layouts.found[stand_in] = Location(stand_in, 0, *_row_major(self.layouts.shape(source)))
        self._memories[stand_in] = target
        kernel = self.copies[source]
        assert isinstance(kernel.units, int)
        self._add_call(Call(kernel, (source, stand_in), kernel.units))

    def _add_commits(self) -> None:
        """Copy outputs first, then new values: nothing is read after it was overwritten."""
        for output, copied, memory in zip(
            self.plan.graph.outputs, self.plan.copied_outputs, self.outputs, strict=True
        ):
            if copied or output in self.copies:
                self._add_copy(memory, output)
        snapshots = []
        for commit in self.plan.commits:
            if commit.change is Change.WRITTEN:
                continue
            if self.layouts.shape(commit.value) != self.layouts.shape(commit.target):
                raise UnsupportedError("an update changes the sizes of a shared variable")
            if commit.change is Change.SNAPSHOT:
                size = bytes_of(self.plan.types, commit.value)
                own = self._new_memory(Variable(commit.value.type), self.allocate(size))
                self._add_copy(own, commit.value)
                snapshots.append((commit.target, commit.value, own))
        for commit in self.plan.commits:
            if commit.change is Change.COPIED:
                self._add_copy(self._memories[commit.target], commit.value, update=commit.target)
        for target, value, own in snapshots:
            self._add_copy(self._memories[target], value, own, target)

    # ---- the whole ----

    def handle(self) -> Words:
        """Return the program's words; whoever holds them holds all its records."""
        words = self.words.view(Words)
        words.table = self
        return words

    def moves(self) -> np.ndarray:
        """Return a `Move` for each argument and then each output; where they start and step to is to be filled in."""
        arguments = self.array_records[: len(self.plan.graph.inputs)]
        results = self.output_records[: len(self.plan.graph.outputs)]
        moves = np.zeros((len(arguments) + len(results), Move.SIZE), np.int64)
        for move, record in zip(moves, arguments, strict=False):
            scalar = record[Array.SCALAR]
            move[Move.TARGET] = scalar or record[Array.SLOT]
            move[Move.SCALAR_BYTES] = record[Array.BYTES] if scalar else 0
            move[Move.PATCHES], move[Move.PATCH_COUNT] = record[Array.PATCHES], record[Array.PATCH_COUNT]
        for move, record in zip(moves[len(arguments) :], results, strict=True):
            move[Move.TARGET] = record[Output.SLOT]
            move[Move.PATCHES], move[Move.PATCH_COUNT] = record[Output.PATCHES], record[Output.PATCH_COUNT]
        moves[:, Move.BASE] = self.zero
        return moves

    def moved(self, arrays: Sequence[np.ndarray]) -> bool:
        """Whether a shared variable's array isn't where, or what, the last call found."""
        records = self.array_records[len(self.plan.graph.inputs) :, Array.SLOT]
        for slot, shared, array in zip(records.tolist(), self.plan.shared, arrays, strict=False):
            found = self._slots[(slot - self._slots.ctypes.data) // WORD]
            is_plain = array.flags.c_contiguous and array.shape == self.layouts.shape(shared)
            if found != array.ctypes.data or not is_plain:
                return True
        return False

    def _patches(self, memory: _Memory) -> tuple[int, int]:
        rows = []
        for location, offset in memory.patches:
            row = [0] * Patch.SIZE
            row[Patch.LOCATION], row[Patch.OFFSET] = location, offset
            rows.append(row)
        return self.array(rows or [[0]]), len(rows)

    def _described(self, variable: Variable) -> tuple[int, int, int]:
        """Return descriptor, rank and dimensions as records hold them."""
        kind: Any = self.plan.types[variable].type
        descriptor = np.dtype(kind.dtype)
        self.kept.append(descriptor)
        shape = self.layouts.shape(variable)
        return id(descriptor), len(shape), self.array(list(shape) or [0])

    def _array_record(self, variable: Variable, written: bool, source: int) -> list[int]:
        memory = self._memories[variable]
        record = [0] * Array.SIZE
        record[Array.SOURCE] = source
        record[Array.DESCRIPTOR], record[Array.RANK], record[Array.DIMENSIONS] = self._described(variable)
        record[Array.SLOT] = memory.slot
        record[Array.SCALAR] = self.scalars.get(variable, 0)
        record[Array.BYTES] = bytes_of(self.plan.types, variable)
        record[Array.PATCHES], record[Array.PATCH_COUNT] = self._patches(memory)
        record[Array.WRITTEN] = int(written)
        if variable in self.scalars:
            record[Array.SCALAR_TYPE] = id(np.dtype(variable.type.dtype).type)  # type: ignore[attr-defined]
        return record

    def _overlaps(self) -> list[list[int]]:
        """Return all pairs of a written shared variable and another memory of the caller's."""
        leaves = [v for v in (*self.plan.graph.inputs, *self.plan.shared) if v not in self.scalars]
        pairs = []
        for target in self.plan.graph.targets:
            for other in leaves:
                sizes = [bytes_of(self.plan.types, v) for v in (target, other)]
                if other is target or not all(sizes):
                    continue
                pair = [0] * Overlap.SIZE
                pair[Overlap.FIRST], pair[Overlap.FIRST_BYTES] = self._memories[target].slot, sizes[0]
                pair[Overlap.SECOND], pair[Overlap.SECOND_BYTES] = self._memories[other].slot, sizes[1]
                pairs.append(pair)
        return pairs

    def _output_records(self) -> list[list[int]]:
        records = []
        for output, memory in zip(self.plan.graph.outputs, self.outputs, strict=True):
            record = [0] * Output.SIZE
            record[Output.DESCRIPTOR], record[Output.RANK], record[Output.DIMENSIONS] = self._described(output)
            record[Output.SLOT] = memory.slot
            record[Output.PATCHES], record[Output.PATCH_COUNT] = self._patches(memory)
            record[Output.KEEPS] = int(bytes_of(self.plan.types, output) >= KEPT_BYTES)
            records.append(record)
        return records

    def _header(self) -> np.ndarray:
        """Return the program's words; what the entry needs besides is filled in by the program."""
        targets = set(self.plan.graph.targets)
        arrays = [self._array_record(variable, False, 0) for variable in self.plan.graph.inputs]
        for shared, container in zip(self.plan.shared, self.containers, strict=True):
            place = id(container) + slot_offset(Container, "value")
            arrays.append(self._array_record(shared, shared in targets, place))
        for record, memory in self._moving:
            record[Step.PATCHES], record[Step.PATCH_COUNT] = self._patches(memory)
        self.array_records = np.array(arrays or [[0] * Array.SIZE], np.int64)
        self.output_records = np.array(self._output_records() or [[0] * Output.SIZE], np.int64)
        overlaps = self._overlaps()
        words = np.zeros(Header.SIZE, np.int64)
        words[Header.ARGUMENT_COUNT] = len(self.plan.graph.inputs)
        words[Header.ARRAYS], words[Header.ARRAY_COUNT] = self.array_records.ctypes.data, len(arrays)
        words[Header.OUTPUTS] = self.output_records.ctypes.data
        words[Header.OUTPUT_COUNT] = len(self.plan.graph.outputs)
        words[Header.STEPS], words[Header.STEP_COUNT] = self.array(self._steps or [[0]]), len(self._steps)
        words[Header.SLOTS] = self._slots.ctypes.data
        words[Header.OVERLAPS], words[Header.OVERLAP_COUNT] = self.array(overlaps or [[0]]), len(overlaps)
        words[Header.RELEASES] = int(self.work >= RELEASE_WORK)
        words[Header.SCRATCH], words[Header.SCRATCH_STRIDE] = self._scratch, self.scratch_stride
        return words


def _slot_bound(plan: Plan) -> int:
    """Return a number that slots can't exceed."""
    graph = plan.graph
    results = sum(len(action.step.outputs) for action in plan.actions)
    return 1 + results + len(graph.inputs) + len(plan.shared) + len(list(graph.constants())) + len(
        graph.outputs) + len(plan.commits)  # fmt: skip


def _drop_kept(output_records: np.ndarray) -> None:
    """Give back the arrays that were kept to be used again."""
    for record in output_records:
        kept, record[Output.KEPT] = int(record[Output.KEPT]), 0
        if kept:
            drop_reference(kept)


def _row_major(shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return shape, contiguous(shape)


def _aligned_size(size: int) -> int:
    return -(-size // CACHE_LINE) * CACHE_LINE


def _temporary_bytes(calls: Sequence[Call]) -> int:
    """Return the size of all temporaries of one step."""
    found = dict.fromkeys(buffer for call in calls for buffer in call.buffers if isinstance(buffer, Temporary))
    return sum(_aligned_size(buffer.bytes) for buffer in found)
