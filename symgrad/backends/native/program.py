"""Native programs: a plan as one native call."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgrad.backends.base import MISS, Program
from symgrad.backends.native.listing import listing
from symgrad.backends.native.objects import api_table, builtin, drop_reference
from symgrad.backends.native.pool import parallel
from symgrad.backends.native.records import Api, Array, Header, Move, Output
from symgrad.backends.native.runtime import runtime
from symgrad.backends.native.table import Table
from symgrad.backends.native.timing import NativeStopwatch
from symgrad.graph.variables import Container
from symgrad.lowering.plan import Plan

BUSY_WAIT = 5e-5
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
    text : str
        Its kernels.
    containers : sequence of Container
        Of the shared variables, in the plan's order.
    reference : callable
        Returns the NumPy backend's program of the same graph and sizes: it explains what native code only detects.
    """

    def __init__(
        self, plan: Plan, table: Table, text: str, containers: Sequence[Container], reference: Callable[[], Program]
    ) -> None:
        self.table = table
        self.llvm = text
        self._containers = containers
        self._argument_count = len(plan.graph.inputs)
        self._written = [plan.shared.index(target) for target in plan.graph.targets]
        self._make_reference = reference
        self._reference: Program | None = None
        self._api = api_table().copy()
        addresses = runtime()
        self._api[Api.PARALLEL] = parallel()
        words = table.words
        words[Header.CALLS] = self._api.ctypes.data
        words[Header.MISS] = id(MISS)
        words[Header.AS_LIST] = 1
        self._call = builtin(addresses["symgrad_entry"], words)

    # ---- looking inside ----

    @property
    def source(self) -> str:
        """The kernels in order, with the user's lines."""
        return listing(self.table)

    @property
    def memory(self) -> int:
        """The bytes that it keeps for intermediate results and as scratch."""
        return self.table.memory

    def timed(self) -> NativeStopwatch:
        """Time its kernels from now on, until the stopwatch is stopped."""
        return NativeStopwatch(self.table)

    # ---- calling ----

    def entry(self, numbers: Sequence[int], as_list: bool) -> Callable[..., Any]:
        """Return what answers a call, or `MISS`.

        Parameters
        ----------
        numbers : sequence of int
            For each input, which Python numbers it takes (`symgrad.backends.native.records.Number`).
        as_list : bool
            Whether the results come as a list; if not, the only one comes itself.
        """
        for position, number in enumerate(numbers):
            self.table.array_records[position, Array.NUMBER] = number
        self.table.words[Header.AS_LIST] = int(as_list)
        return self._call

    def run(self, *arrays: np.ndarray) -> Sequence[np.ndarray]:
        """Compute the outputs from inputs and shared values, and carry out the updates: any arrays of the right sizes.

        What isn't contiguous, aligned, writeable or apart from the rest is copied.
        """
        arguments = [np.require(array, requirements=["C", "A"]) for array in arrays[: self._argument_count]]
        self._tidy_containers()
        stored = [self._containers[number].value for number in self._written]
        arguments = [
            array.copy() if any(np.may_share_memory(array, other) for other in stored) else array
            for array in arguments
        ]  # fmt: skip
        words = self.table.words
        while True:
            words[Header.ERROR] = 0
            results = self._call(*arguments)
            if results is not MISS:
                return results if words[Header.AS_LIST] else (results,)
            if words[Header.ERROR]:
                return self._explained(arguments)
            if not words[Header.BUSY]:
                return self._explained(arguments)
            time.sleep(BUSY_WAIT)

    def _explained(self, arguments: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """Run the reference program: it raises the error that native code found, or does what native code can't."""
        values = [container.value for container in self._containers]
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
            if not (container.value.flags.c_contiguous and container.value.flags.aligned):
                container.value = np.array(container.value, order="C")
        for number in self._written:
            mine = self._containers[number]
            others = [other.value for other in self._containers if other is not mine]
            if not mine.value.flags.writeable or any(np.may_share_memory(mine.value, other) for other in others):
                mine.value = mine.value.copy()

    def repeat(self, sequences: Sequence[np.ndarray], results: Sequence[np.ndarray], count: int) -> int:
        """Run `count` steps; step k gets row k of each sequence and writes row k of each result.

        The program must have been called just before, with the same shared variables. Returns how many steps were
        done: fewer if one found something that it can't do.
        """
        moves = self._moves(sequences, results)
        words = self.table.words
        function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64,
                                    ctypes.c_void_p)(runtime()["symgrad_repeat"])  # fmt: skip
        held = [container.value for container in self._containers]
        if self.table.moved(held):
            return 0
        finished, done, chunk = ctypes.c_int64(0), 0, 1
        words[Header.BUSY] = 1
        try:
            while done < count:
                now = min(chunk, count - done)
                finished.value, before = 0, time.perf_counter()
                code = function(words.ctypes.data, now, moves.ctypes.data, len(moves), ctypes.byref(finished))
                done += finished.value
                moves[:, Move.ADDRESS] += finished.value * moves[:, Move.STRIDE]
                if code:
                    break
                if time.perf_counter() - before < CHUNK_SECONDS:
                    chunk *= 2
        finally:
            words[Header.BUSY] = 0
            del held
        return done

    def _moves(self, sequences: Sequence[np.ndarray], results: Sequence[np.ndarray]) -> np.ndarray:
        """Return the words of `Move` of everything that steps on."""
        moves = np.zeros((len(sequences) + len(results), Move.SIZE), np.int64)
        arrays, outputs = self.table.array_records, self.table.output_records
        for number, array in enumerate(sequences):
            record = arrays[number]
            scalar = record[Array.SCALAR]
            moves[number, Move.TARGET] = scalar or record[Array.SLOT]
            moves[number, Move.SCALAR_BYTES] = record[Array.BYTES] if scalar else 0
            moves[number, Move.PATCHES : Move.PATCH_COUNT + 1] = record[[Array.PATCHES, Array.PATCH_COUNT]]
            moves[number, Move.ADDRESS], moves[number, Move.STRIDE] = array.ctypes.data, array.strides[0]
        for number, array in enumerate(results, len(sequences)):
            record = outputs[number - len(sequences)]
            moves[number, Move.TARGET] = record[Output.SLOT]
            moves[number, Move.PATCHES : Move.PATCH_COUNT + 1] = record[[Output.PATCHES, Output.PATCH_COUNT]]
            moves[number, Move.ADDRESS], moves[number, Move.STRIDE] = array.ctypes.data, array.strides[0]
        return moves

    def __del__(self) -> None:
        table = getattr(self, "table", None)
        if table is not None:
            for kept in table.output_records[:, Output.KEPT]:
                if kept:
                    drop_reference(int(kept))
            table.output_records[:, Output.KEPT] = 0
