"""Many calls of one program without the host: rows of the arguments and results are copied by kernels that count.

A captured step takes row k of each sequence, runs the tape, writes row k of each result, and k is a number on the
device. Where the sequences and results are stands in a table on the device too, so one captured graph serves all calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad.backends.cupy.devices.device import Device
from symgrad.backends.cupy.prelude import PRELUDE
from symgrad.backends.cupy.programs.loading import Loaded
from symgrad.backends.cupy.tapes.tape import Tape

TOGETHER = 8
"""So many steps are captured in one graph, as long as that has at most `MOST_TOGETHER` launches."""
MOST_TOGETHER = 2000
MOST_BYTES = 1 << 28
"""Sequences and results are on the device at most so much at a time."""
SHORT_BYTES = 1 << 14
"""Rows up to this size are copied by one block, which counts the step as well."""
THREADS = 256

TEXT = f"""\
static __device__ __forceinline__ void copy_row(const u8* source, u8* target, u64 bytes, u64 first, u64 stride) {{
    if (((u64) source | (u64) target | bytes) & 15) {{
        for (u64 k = first; k < bytes; k += stride) target[k] = source[k];
        return;
    }}
    for (u64 k = first; k < bytes / 16; k += stride) {{
        ((u64*) target)[2 * k] = ((const u64*) source)[2 * k];
        ((u64*) target)[2 * k + 1] = ((const u64*) source)[2 * k + 1];
    }}
}}

extern "C" __global__ void __launch_bounds__({THREADS})
take_rows(const u64* table, i64 count, i64* step, i64 counts, i32* status) {{
    GUARD
    u64 number = *step;
    for (i64 k = 0; k < count; k++)
        copy_row((const u8*) table[3 * k] + number * table[3 * k + 2], (u8*) table[3 * k + 1], table[3 * k + 2],
                 (u64) blockIdx.x * blockDim.x + threadIdx.x, (u64) gridDim.x * blockDim.x);
    if (!counts) return;
    __syncthreads();
    if (threadIdx.x == 0) *step = number + 1;
}}

extern "C" __global__ void __launch_bounds__({THREADS})
put_rows(const u64* table, i64 count, const i64* step, i32* status) {{
    GUARD
    u64 number = *step - 1;
    for (i64 k = 0; k < count; k++)
        copy_row((const u8*) table[3 * k + 1], (u8*) table[3 * k] + number * table[3 * k + 2], table[3 * k + 2],
                 (u64) blockIdx.x * blockDim.x + threadIdx.x, (u64) gridDim.x * blockDim.x);
}}
"""
"""``table`` has three words for each array: where its rows are, where the current one is, and the bytes of a row."""


class Stepping:
    """Repeated steps of one program, for shared variables at certain addresses.

    Parameters
    ----------
    device : Device
        Where.
    tape : Tape
        What a step does.
    loaded : Loaded
        What the program has on the device.
    shared : sequence of int
        The addresses of the shared variables.
    """

    def __init__(self, device: Device, tape: Tape, loaded: Loaded, shared: Sequence[int]) -> None:
        self.device, self.tape, self.loaded, self.shared = device, tape, loaded, tuple(shared)
        self.functions = device.kernels(PRELUDE + TEXT, ["take_rows", "put_rows"], "repeat")
        staging = loaded.staging
        kinds = [*staging.input_kinds, *staging.output_kinds]
        self.sizes = [int(np.prod(kind.shape)) * kind.numpy_dtype.itemsize for kind in kinds]
        self.table = device.allocate(24 * len(kinds))
        self.step = device.allocate(8)
        self.graphs: dict[int, Any] = {}
        self.together = TOGETHER if tape.launches() * TOGETHER <= MOST_TOGETHER else 1
        self._load()

    def _load(self) -> None:
        """Launch the kernels once, for no rows: CUDA loads them then, which it can't do during a capture."""
        table, step, status = int(self.table.ptr), int(self.step.ptr), self.loaded.staging.status_address
        self._launch("take_rows", 0, table, 0, step, 0, status)
        self._launch("put_rows", 0, table, 0, step, status)

    def run(self, sequences: Sequence[np.ndarray], results: Sequence[np.ndarray], count: int) -> int:
        """Run `count` steps and return how many were done: fewer, if one found something that it can't do."""
        done, most = 0, max(MOST_BYTES // max(sum(self.sizes), 1), 1)
        while done < count:
            now = min(most, count - done)
            part = slice(done, done + now)
            try:
                finished = self._run([rows[part] for rows in sequences], [rows[part] for rows in results], now)
            except self.device.out_of_memory:
                if now == 1:
                    raise
                most = now // 2  # nothing was enqueued
                continue
            done += finished
            if finished < now:
                break
        return done

    def _run(self, sequences: Sequence[np.ndarray], results: Sequence[np.ndarray], count: int) -> int:
        device, staging = self.device, self.loaded.staging
        rows = [device.upload(sequence) for sequence in sequences]
        stacks = [device.empty(result.shape, result.dtype) for result in results]
        table = [
            (int(array.data.ptr), address, size)
            for array, address, size in zip(
                [*rows, *stacks], [*staging.inputs, *staging.outputs], self.sizes, strict=True)
        ]  # fmt: skip
        device.write(int(self.table.ptr), np.array(table, np.uint64))
        device.clear(int(self.step.ptr), 8)
        staging.clear_status()
        for together in (self.together, 1):
            while count >= together:
                self._graph(together).launch()
                count -= together
        step, status = np.zeros((), np.int64), np.zeros((), np.int32)
        read = [np.empty(stack.shape, stack.dtype) for stack in stacks]
        addresses = [int(self.step.ptr), staging.status_address, *[int(stack.data.ptr) for stack in stacks]]
        device.read(addresses, [step, status, *read])
        finished = int(step) - bool(status)
        for result, found in zip(results, read, strict=True):
            result[:finished] = found[:finished]
        return finished

    def _graph(self, together: int) -> Any:
        """Return the graph of so many steps."""
        found = self.graphs.get(together)
        if found is None:
            with self.device.capture() as found:
                for _ in range(together):
                    self._enqueue()
            self.graphs[together] = found
        return found

    def _enqueue(self) -> None:
        """Enqueue one step."""
        inputs = len(self.loaded.staging.input_kinds)
        table, step, status = int(self.table.ptr), int(self.step.ptr), self.loaded.staging.status_address
        large = max(self.sizes[:inputs], default=0) > SHORT_BYTES
        if large:
            self._launch("take_rows", max(self.sizes[:inputs]), table, inputs, step, 0, status)
        self._launch("take_rows", 0, table, 0 if large else inputs, step, 1, status)
        player = self.loaded.player
        play = player.play_arranged if self.together > 1 else player.play
        play(self.tape, self.loaded.addresses(self.shared))
        outputs = len(self.sizes) - inputs
        if outputs:
            largest = max(self.sizes[inputs:])
            self._launch("put_rows", largest, table + 24 * inputs, outputs, step, status)

    def _launch(self, name: str, size: int, *arguments: int) -> None:
        blocks = min(-(-size // (16 * THREADS)), 1024) if size > SHORT_BYTES else 1
        self.device.launch(self.functions[name], (blocks, 1, 1), THREADS, arguments)
