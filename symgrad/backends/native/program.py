"""Native programs: a plan as one native call."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from symgrad.backends.base import MISS, Number, Program, Turn
from symgrad.backends.native.entries import parallel, runtime
from symgrad.backends.native.making import Making
from symgrad.backends.native.objects import api_table, builtin
from symgrad.backends.native.records import Api, Array, Header, Move
from symgrad.backends.native.table import Table
from symgrad.backends.native.turns import NativeTurn
from symgrad.graph.variables import Container
from symgrad.lowering.plan import Plan

if TYPE_CHECKING:
    from symgrad.backends.native.timing import NativeStopwatch

CHUNK_SECONDS = 0.02
"""About how long repeated steps run before Python may react to an interrupt."""


class NativeProgram:
    """The program of one plan.

    Parameters
    ----------
    plan : Plan
        What it does.
    table : Table
        Its records.
    making : Making
        How it was made, for those who want to read it.
    containers : sequence of Container
        Of the shared variables, in the plan's order.
    reference : callable
        Returns the NumPy backend's program of the same graph and sizes: it explains what native code only detects.
    """

    device = None

    def __init__(
        self,
        plan: Plan,
        table: Table,
        making: Making,
        containers: Sequence[Container],
        reference: Callable[[], Program],
    ) -> None:
        self.table = table
        self._making = making
        self._containers = containers
        self._argument_count = len(plan.graph.inputs)
        positions = {shared: number for number, shared in enumerate(plan.shared)}
        self._written = [positions[target] for target in plan.graph.targets]
        self._make_reference = reference
        self._reference: Program | None = None
        api = api_table().copy()
        table.kept.append(api)
        addresses = runtime()
        api[Api.PARALLEL] = parallel() if table.is_parallel else 0
        words = table.words
        words[Header.CALLS] = api.ctypes.data
        words[Header.MISS] = id(MISS)
        words[Header.AS_LIST] = 1
        self.take_turns(NativeTurn())
        handle = table.handle()
        self._call = builtin(addresses["symgrad_entry"], handle)
        self._taken_call = builtin(addresses["symgrad_taken_entry"], handle)

    # ---- looking inside ----

    @property
    def source(self) -> str:
        """The kernels in order, with the user's lines."""
        from symgrad.backends.native.listing import listing

        self._making.recall(self.table.plan)
        return listing(self.table)

    @property
    def llvm(self) -> str:
        """The LLVM text of its kernels."""
        return self._making.llvm(self.table.plan, self.table.layouts)

    @property
    def memory(self) -> int:
        """The bytes that it keeps for intermediate results and as scratch."""
        return self.table.memory

    def timed(self) -> NativeStopwatch:
        """Time its kernels from now on, until the stopwatch is stopped."""
        from symgrad.backends.native.timing import NativeStopwatch

        return NativeStopwatch(self.table)

    def last_rounds(self) -> tuple[int, bool]:
        """Return how many rounds its only loop has carried out in the last call, and whether its body ended it."""
        return self.table.last_rounds()

    # ---- calling ----

    def take_turns(self, turn: NativeTurn) -> None:
        """Never run at the same time as the other programs that take turns with it."""
        self._turn = turn
        self.table.kept.append(turn)
        self.table.words[Header.BUSY] = turn.address

    def entry(self, numbers: Sequence[int], as_list: bool, turn: Turn) -> Callable[..., Any]:
        """Return what answers a call, or `MISS`.

        Parameters
        ----------
        numbers : sequence of int
            For each input, which Python numbers it takes (`symgrad.backends.native.records.Number`).
        as_list : bool
            Whether the results come as a list; if not, the only one comes itself.
        turn : Turn
            What all programs of the function share.
        """
        for position, number in enumerate(numbers):
            self.table.array_records[position, Array.NUMBER] = number
            if number == Number.ARRAY:
                self.table.array_records[position, Array.SCALAR_TYPE] = 0
        self.table.words[Header.AS_LIST] = int(as_list)
        if isinstance(turn, NativeTurn) and turn is not self._turn:
            self.take_turns(turn)
        return self._call

    def run(self, *arrays: np.ndarray) -> Sequence[np.ndarray]:
        """Compute the outputs from inputs and shared values, and carry out the updates: any arrays of the right sizes.

        What isn't contiguous, aligned, writeable or apart from the rest is copied. The caller has the turn.
        """
        arguments = [_plain(np.require(array, requirements=["C", "A"])) for array in arrays[: self._argument_count]]
        self._tidy_containers()
        stored = [self._containers[number].value for number in self._written]
        arguments = [
            array.copy() if any(np.may_share_memory(array, other) for other in stored) else array
            for array in arguments
        ]  # fmt: skip
        results = self._taken_call(*arguments)
        if results is not MISS:
            return results if self.table.words[Header.AS_LIST] else (results,)
        # The reference program raises the error that native code found, or does what native code can't.
        values, bound = [container.value for container in self._containers], arrays[self._argument_count :]
        if any(value.shape != array.shape for value, array in zip(values, bound, strict=True)):
            values = list(bound)  # another thread has just put a value of other sizes there
        return self.reference.run(*arguments, *values)

    @property
    def reference(self) -> Program:
        """The NumPy backend's program of the same graph and sizes."""
        if self._reference is None:
            self._reference = self._make_reference()
        return self._reference

    def _tidy_containers(self) -> None:
        """Give shared variables whose arrays aren't plain, or share memory with an updated one, arrays of their own."""
        for container in self._containers:
            container.value = _plain(container.value)
            if not (container.value.flags.c_contiguous and container.value.flags.aligned):
                container.value = np.array(container.value, order="C")
        for number in self._written:
            mine = self._containers[number]
            others = [other.value for other in self._containers if other is not mine]
            if not mine.value.flags.writeable or any(np.may_share_memory(mine.value, other) for other in others):
                mine.value = mine.value.copy()

    def repeat(self, sequences: Sequence[np.ndarray], results: Sequence[np.ndarray], count: int) -> int:
        """Run `count` steps; step k gets row k of each sequence and writes row k of each result.

        The program must have been called just before, with the same shared variables; the caller has the turn. Returns
        how many steps were done: fewer if one found something that it can't do.
        """
        moves = self._moves(sequences, results)
        words = self.table.words
        function = ctypes.CFUNCTYPE(
            ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
            ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64,
        )(runtime()["symgrad_repeat"])  # fmt: skip
        held = [container.value for container in self._containers]
        if self.table.moved(held):
            return 0
        finished, done, chunk = ctypes.c_int64(0), 0, 1
        while done < count:
            now = min(chunk, count - done)
            finished.value, before = 0, time.perf_counter()
            try:
                code = function(words.ctypes.data, now, moves.ctypes.data, len(moves), 0, None,
                                ctypes.byref(finished), 0)  # fmt: skip
            except SystemError as error:  # ctypes found that an exception was raised in a loop inside
                raise error.__cause__ or error from None
            done += finished.value
            moves[:, Move.ADDRESS] += finished.value * moves[:, Move.STRIDE]
            if code:
                break
            if time.perf_counter() - before < CHUNK_SECONDS:
                chunk *= 2
        return done

    def _moves(self, sequences: Sequence[np.ndarray], results: Sequence[np.ndarray]) -> np.ndarray:
        """Return the words of `Move` of everything that steps on."""
        moves = self.table.moves()
        for move, array in zip(moves, [*sequences, *results], strict=True):
            move[Move.ADDRESS], move[Move.STRIDE] = array.ctypes.data, array.strides[0]
        return moves


def _plain(array: np.ndarray) -> np.ndarray:
    """Return an array whose dtype is NumPy's own object for it, as the entry expects: files give equal ones."""
    dtype = np.dtype(array.dtype.type)
    return array if array.dtype is dtype or array.dtype != dtype else array.view(dtype)
