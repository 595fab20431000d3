"""A plan as a tape: what is enqueued, one after the other, on the device's stream.

The tape says where operands are by `Place`, so that it can be played for other addresses: for the body of a loop, once
for each round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from symgrad.backends.base import UnsupportedError
from symgrad.backends.cupy.calls import ArrayCall, Call, HostCall, LibraryCall, Temporary
from symgrad.backends.cupy.kernel import CudaKernel, Target, unguarded, written_parameters
from symgrad.backends.cupy.prelude import TYPES
from symgrad.backends.cupy.selection import Selection
from symgrad.backends.cupy.tapes.places import Addresses, Block, Extent, Kind, Place, Places, aligned
from symgrad.backends.cupy.tapes.rounds import Branching, Rounds, branching_of, rounds_of
from symgrad.backends.cupy.tapes.starts import start_kernel
from symgrad.backends.cupy.traits import may_fail
from symgrad.backends.layouts import Layouts
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Loop
from symgrad.lowering.open_sizes import OpenSizes
from symgrad.lowering.plan import Action, Change, Home, Plan
from symgrad.lowering.steps import Bound, Step

MOST_APART = 1 << 26
"""Up to so many bytes, the temporaries of each step have memory of their own."""


@dataclass(frozen=True)
class Described:
    """Dtype and shape of a buffer, for calls that need more than its address."""

    dtype: np.dtype
    shape: tuple[int, ...]


@dataclass(eq=False)
class Piece:
    """One call, with the places of its buffers.

    Attributes
    ----------
    call : Call
        What is done.
    buffers : sequence of Place
        Operands, then outputs.
    extents : sequence of Extent
        The memory of the buffers.
    starts : sequence of Place
        For a kernel, where the starts of those operands are that start late.
    described : sequence of Described
        The buffers, for what works on arrays.
    """

    call: Call
    buffers: Sequence[Place]
    extents: Sequence[Extent]
    starts: Sequence[Place] = ()
    described: Sequence[Described] = ()

    @property
    def step(self) -> Step | None:
        """What it does a part of."""
        return self.call.step

    def writes(self) -> list[bool]:
        """Return for each buffer whether it may be written."""
        work = self.call.work
        if isinstance(work, CudaKernel):
            return list(written_parameters(work)[: len(self.buffers)])
        outputs = () if self.step is None else self.step.outputs
        return [isinstance(buffer, Temporary) or buffer in outputs for buffer in self.call.buffers]

    def arguments(self, addresses: Addresses) -> list[int]:
        """Return the arguments of a kernel."""
        places = [addresses.of(place) for place in (*self.buffers, *self.starts)]
        return [*places, *self.call.sizes, addresses.status]


Item = Piece | Rounds | Branching


@dataclass(eq=False)
class Tape:
    """What a plan does, in order.

    Attributes
    ----------
    plan : Plan
        The plan.
    items : list of Item
        What is enqueued.
    block : Block
        The program's own memory.
    constants : sequence of ndarray
        What has to be on the device.
    resized : list of (int, Variable, Place)
        Shared variables that get another size: their number, the new value, and where that is.
    """

    plan: Plan
    items: list[Item] = field(default_factory=list)
    block: Block = field(default_factory=Block)
    constants: Sequence[np.ndarray] = ()
    resized: list[tuple[int, Variable, Place]] = field(default_factory=list)

    def pieces(self) -> list[Piece]:
        """Return all calls, those inside loops and branches too, each once."""
        found: list[Piece] = []
        for item in self.items:
            if isinstance(item, Piece):
                found.append(item)
            else:
                found += [piece for tape in item.tapes for piece in tape.pieces()]
        return found

    def kernels(self) -> dict[str, CudaKernel]:
        """Return all kernels by their names."""
        works = [piece.call.work for piece in self.pieces()]
        return {work.name: work for work in works if isinstance(work, CudaKernel)}

    @property
    def may_fail(self) -> bool:
        """Whether a kernel may set the status word."""
        return any(kernel.may_fail for kernel in self.kernels().values())

    def launches(self) -> int:
        """Return how many calls one run makes, at most."""
        return sum(item.launches() if not isinstance(item, Piece) else 1 for item in self.items)

    def obstacle(self) -> str:
        """Return why the tape can't be captured in a CUDA graph; empty if it can."""
        if self.resized:
            return "a shared variable changes its size"
        for item in self.items:
            if isinstance(item, Branching):
                return "a choice is made on the host"
            if isinstance(item, Rounds):
                reason = item.tapes[0].obstacle()
                if reason:
                    return reason
            elif isinstance(item.call.work, ArrayCall):
                return f"{item.call.work.name} runs through CuPy, which allocates memory"
            elif isinstance(item.call.work, HostCall):
                return f"{item.call.work.name} runs on the host"
            elif isinstance(item.call.work, LibraryCall) and not item.call.work.can_be_captured:
                return f"{item.call.work.name} can't be captured"
        return ""


def write_tape(plan: Plan, target: Target) -> Tape:
    """Return the tape of a plan.

    Raises
    ------
    UnsupportedError
        If a step can't be a part of a CUDA program.
    """
    return _Writer(plan, target).write()


class _Writer:
    def __init__(self, plan: Plan, target: Target) -> None:
        self.plan = plan
        steps = [action.step for action in plan.actions]
        used = [variable for step in steps for variable in (*step.inputs, *step.outputs)]
        variables = [*plan.graph.inputs, *plan.graph.outputs, *used]
        if any(getattr(plan.type_of(variable), "dtype", None) not in TYPES for variable in variables):
            raise UnsupportedError("a GPU knows arrays of real numbers only")
        self.layouts = Layouts(plan.types)
        self.layouts.add_views(steps)
        self.selection = Selection(self.layouts, plan.sizes or OpenSizes(plan.types), target)
        self.calls = self._choose()
        self.tape = Tape(plan)
        sizes = [_temporary_bytes(calls) for calls in self.calls.values()]
        reuses = sum(sizes) > MOST_APART  # else steps have nothing in common that would keep them in order
        most = max(sizes, default=0) if reuses else sum(sizes)
        self.places = Places(plan, self.layouts, self.tape.block, most, reuses)
        self.tape.constants = [np.require(c.data, requirements=["C", "A"]) for c in self.places.constants]

    def _choose(self) -> dict[Step, Sequence[Call]]:
        """Choose the work of all steps."""
        overwriting = self.plan.overwriting_steps()
        actions = [action for action in self.plan.actions if action.homes != (Home.VIEW,)]
        fails = any(may_fail(action.step.kernel) for action in self.plan.actions)
        return {
            action.step: self.selection.calls_of(
                action.step, action.step in overwriting, fails and Home.STORAGE in action.homes)
            for action in actions
        }  # fmt: skip

    def write(self) -> Tape:
        """Lay out steps, then what is handed out, then updates."""
        live = self._live_steps()
        for action in self.plan.actions:
            if action.step in live:
                self._add_action(action)
                continue
            for call in _lasting(self.calls.get(action.step, ())):
                self._add(call)
        self._hand_out()
        self._commit()
        self._without_needless_guards()
        return self.tape

    def _live_steps(self) -> set[Step]:
        """Return the steps whose results something reads, and those that may fail: their errors are results, too."""
        roots = [*self.plan.graph.outputs, *[commit.value for commit in self.plan.commits]]
        read = {self.layouts.of(variable).memory for variable in roots}
        live: set[Step] = set()
        for action in reversed(self.plan.actions):
            step = action.step
            is_view = step not in self.calls
            if is_view and step.outputs[0] not in self.layouts.starts:
                continue
            calls = self.calls.get(step, ())
            if read.isdisjoint(step.outputs) and not may_fail(step.kernel):
                calls = _lasting(calls)
            else:
                live.add(step)
            buffers = [b for call in calls for b in call.buffers if isinstance(b, Variable)]
            if step in live and (is_view or isinstance(step.kernel, Bound)):
                buffers += step.inputs
            read |= {self.layouts.of(variable).memory for variable in buffers}
        return live

    def _without_needless_guards(self) -> None:
        """Let only those kernels look at the status word that must.

        They are those that may write storage (a loop's result may be storage too), and those of a step that may fail:
        what one of its kernels has checked, the next ones count on.
        """
        stored = {self.places.of(commit.target).memory for commit in self.plan.commits}
        pieces = [item for item in self.tape.items if isinstance(item, Piece)]
        failing = {item.step for item in pieces if getattr(item.call.work, "may_fail", False)}
        for item in pieces:
            if isinstance(item.call.work, CudaKernel) and item.step not in failing:
                written = zip(item.buffers, item.writes(), strict=True)
                memories = {place.memory for place, is_written in written if is_written}
                if stored.isdisjoint(memories) and all(kind is not Kind.OUTPUT for kind, _ in memories):
                    item.call = replace(item.call, work=unguarded(item.call.work))

    # ---- steps ----

    def _add_action(self, action: Action) -> None:
        step = action.step
        if action.homes == (Home.VIEW,):
            if step.outputs[0] in self.layouts.starts:
                self._add_start(step)
            return
        self.places.begin_step()
        for call in self.calls[step]:
            self._add(call)
        if isinstance(step.kernel, Bound):
            copied = {call.buffers[0]: call.buffers[1] for call in self.calls[step]}
            write = rounds_of if isinstance(step.kernel.kernel, Loop) else branching_of
            self.tape.items += write(step, self.places, copied, self._copy_bytes)

    def _add_start(self, step: Step) -> None:
        """Compute where a view starts."""
        output = step.outputs[0]
        starts = self.layouts.starts[output][1]
        if any(start.limit < 0 for start in starts):
            raise UnsupportedError("a slice is longer than what it is taken from")
        continued = self.places.start_of(step.inputs[0])
        slot = self.places.start_of(output)
        assert slot is not None
        places = [*[self.places.of(start.scalar) for start in starts], *([continued] if continued else []), slot]
        call = Call(start_kernel(starts, continued is not None), (), step=step)
        self.tape.items.append(Piece(call, places, [Extent(place, 8) for place in places]))

    def _add(self, call: Call) -> None:
        starts = [self.places.start_of(b) for b in call.buffers if isinstance(b, Variable)]
        places = [self.place_of(buffer) for buffer in call.buffers]
        described: list[Described] = []
        if isinstance(call.work, ArrayCall | HostCall):
            assert call.step is not None
            described = [self._described(variable) for variable in (*call.step.inputs, *call.step.outputs)]
        extents = [self._extent(buffer) for buffer in call.buffers]
        late = [start for start in starts if start is not None]
        self.tape.items.append(Piece(call, places, extents, late, described))

    def _extent(self, buffer: Variable | Temporary) -> Extent:
        if isinstance(buffer, Temporary):
            return Extent(self.places.temporary(buffer), buffer.bytes)
        return self.places.extent_of(buffer)

    def place_of(self, buffer: Variable | Temporary) -> Place:
        """Return where a buffer is."""
        return self.places.temporary(buffer) if isinstance(buffer, Temporary) else self.places.of(buffer)

    def _described(self, variable: Variable) -> Described:
        kind: Any = self.plan.types[variable].type
        return Described(kind.numpy_dtype, tuple(kind.shape))

    def _copy_bytes(self, source: Place, target: Place, count: int, step: Step | None) -> Piece:
        """Return the copy of some bytes."""
        kernel = self.selection.copying_elements(count, "uint8") if count % 4 else self.selection.copying_elements(
            count // 4, "uint32")  # fmt: skip
        return Piece(Call(kernel, (), step=step), [source, target], [Extent(source, count), Extent(target, count)])

    # ---- results ----

    def _hand_out(self) -> None:
        """Copy those outputs to where the caller looks for them that aren't made there."""
        for number, output in enumerate(self.plan.graph.outputs):
            if not self.places.is_made_in_place(number):
                self._copy(output, Place(Kind.OUTPUT, number))

    def _commit(self) -> None:
        """Carry out the updates that no step has: all copies of what may be storage first."""
        commits = [commit for commit in self.plan.commits if commit.change is not Change.WRITTEN]
        ready: list[tuple[Variable, Place, int]] = []
        for commit in commits:
            place = None
            if commit.change is Change.SNAPSHOT or not self.layouts.of(commit.value).is_contiguous or (
                self.places.start_of(commit.value) is not None
            ):  # fmt: skip
                place = self.tape.block.take(self.places.bytes_of(commit.value))
                self._copy(commit.value, place)
            found = place or self.places.of(commit.value)
            number = self.plan.shared.index(commit.target)
            if self.plan.type_of(commit.value).shape != self.plan.type_of(commit.target).shape:
                self.tape.resized.append((number, commit.value, found))
            else:
                ready.append((commit.target, found, self.places.bytes_of(commit.value)))
        for target, place, count in ready:
            self.tape.items.append(self._copy_bytes(place, self.places.of(target), count, None))

    def _copy(self, variable: Variable, target: Place) -> None:
        """Copy a variable to contiguous memory."""
        start = self.places.start_of(variable)
        call = Call(self.selection.copying(variable), (), step=None)
        extents = [self.places.extent_of(variable), Extent(target, self.places.bytes_of(variable))]
        late = [] if start is None else [start]
        self.tape.items.append(Piece(call, [self.places.of(variable), target], extents, late))


def _lasting(calls: Sequence[Call]) -> list[Call]:
    """Return the copies that later steps may count on, whoever wants the step that they were made for."""
    targets = [(call, call.buffers[-1]) for call in calls]
    return [call for call, target in targets if isinstance(target, Temporary) and target.lasts]


def _temporary_bytes(calls: Sequence[Call]) -> int:
    found = [b for call in calls for b in call.buffers]
    temporaries = dict.fromkeys(b for b in found if isinstance(b, Temporary) and not b.lasts)
    return sum(aligned(temporary.bytes) for temporary in temporaries)
