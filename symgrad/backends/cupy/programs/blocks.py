"""The inputs and outputs of a program: two blocks on the device, and page-locked memory beside them on the host.

The copies are asynchronous. What is large goes another way, in pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from math import prod
from typing import Any

import numpy as np

from symgrad.backends.cupy.devices.device import Device
from symgrad.backends.cupy.tapes.places import aligned
from symgrad.lowering.plan import Plan

LARGE_BYTES = 1 << 22
"""Blocks above this size have no page-locked memory of their own."""
STATUS_BYTES = 256


class Staging:
    """The inputs and outputs of one program.

    Parameters
    ----------
    plan : Plan
        It tells their types.
    device : Device
        Where the blocks are.
    staying : set of int
        The outputs that are returned as arrays of the device.

    Attributes
    ----------
    inputs, outputs : list of int
        The address of each on the device.
    status_address : int
        That of the status word, in front of the outputs.
    """

    def __init__(self, plan: Plan, device: Device, staying: frozenset[int] = frozenset()) -> None:
        self.device, self._is_under_way = device, False
        self.input_kinds = [plan.type_of(variable) for variable in plan.graph.inputs]
        self.output_kinds = [plan.type_of(variable) for variable in plan.graph.outputs]
        self.leaving = [number for number in range(len(self.output_kinds)) if number not in staying]
        self.staying = sorted(staying)
        self._fresh: list[Any] = []
        self._up = _Block(device, self.input_kinds, 0)
        self._down = _Block(device, [self.output_kinds[number] for number in self.leaving], STATUS_BYTES)
        self._kept = _Block(device, [self.output_kinds[number] for number in self.staying], 0, is_copied=False)
        numbers, addresses = [*self.leaving, *self.staying], [*self._down.addresses, *self._kept.addresses]
        self.inputs = self._up.addresses
        self.outputs = [address for _, address in sorted(zip(numbers, addresses, strict=True))]
        self.status_address = self._down.address

    def send(self, arrays: Sequence[Any]) -> None:
        """Enqueue the copies of the arguments of the next call, and take memory for the outputs that stay.

        Of arrays that lie on a device, the caller's own work has to be awaited before and to wait afterwards.
        """
        if self._is_under_way:
            self._wait()  # the device may still read those of the last one
        self._is_under_way = True
        kinds = [self.output_kinds[number] for number in self.staying]
        self._fresh = [self.device.empty(kind.shape, kind.numpy_dtype) for kind in kinds]
        lent = []
        for number, (array, kind) in enumerate(zip(arrays, self.input_kinds, strict=True)):
            if not isinstance(array, np.ndarray):
                lent.append((self.inputs[number], self.device.cupy.ascontiguousarray(self.device.borrow(array))))
            elif self._up.host is None:
                self.device.write(self.inputs[number], array)
            else:
                self._up.view(number, kind)[...] = array
        if len(lent) < len(arrays):
            self._up.enqueue(upward=True)
        for address, array in lent:
            self.device.move(address, int(array.data.ptr), array.nbytes)

    def argument_places(self) -> list[np.ndarray] | None:
        """Return the page-locked memory of the inputs, once the device doesn't read it any more; None without any."""
        if self._up.host is None or self._down.host is None:
            return None
        if self._is_under_way:
            self._wait()
        return [self._up.view(number, kind) for number, kind in enumerate(self.input_kinds)]

    def send_places(self) -> None:
        """Enqueue the copy of the arguments that are in page-locked memory."""
        self._is_under_way = True
        self._up.enqueue(upward=True)

    def _wait(self) -> None:
        self.device.synchronize()
        self._is_under_way = False

    def __del__(self) -> None:
        if self._is_under_way:  # the device may still use the memory, unless there is none any more
            with suppress(Exception):
                self.device.synchronize()

    def clear_status(self) -> None:
        """Enqueue the clearing of the status word."""
        self.device.clear(self.status_address, 8)

    def enqueue_outputs(self) -> None:
        """Enqueue the copy of status word and outputs."""
        self._down.enqueue(upward=False)

    def status(self) -> int:
        """Wait for the call, and return the status word."""
        found = np.zeros((), np.int32)
        if self._down.host is None:
            self.device.read([self.status_address], [found])
            return int(found)
        self._wait()
        return int(self._down.host[:4].view(np.int32)[0])

    def results(self) -> list[Any]:
        """Return the outputs, those that stay on the device as its arrays; without any others, don't wait."""
        found: list[Any] = [None] * len(self.output_kinds)
        for number, array in zip(self.staying, self._fresh, strict=True):
            self.device.move(int(array.data.ptr), self.outputs[number], array.nbytes)
            found[number] = array
        self._fresh = []
        if not self.leaving:
            return found
        if self._down.host is None:
            for number in self.leaving:
                found[number] = np.empty(self.output_kinds[number].shape, self.output_kinds[number].numpy_dtype)
            self.device.read(self._down.addresses, [found[number] for number in self.leaving])
            self._is_under_way = False
        else:
            self._wait()
            for place, number in enumerate(self.leaving):
                found[number] = self._down.view(place, self.output_kinds[number]).copy()
        return found


class _Block:
    """Arrays one behind the other on the device, and the same in page-locked memory unless they are large."""

    def __init__(self, device: Device, kinds: Sequence[Any], front: int, is_copied: bool = True) -> None:
        self.device = device
        self.offsets: list[int] = []
        self.bytes = front
        for kind in kinds:
            self.offsets.append(self.bytes)
            self.bytes += aligned(prod(kind.shape) * kind.numpy_dtype.itemsize)
        self.memory = device.allocate(self.bytes)
        self.address = int(self.memory.ptr)
        self.addresses = [self.address + offset for offset in self.offsets]
        self.host: np.ndarray | None = None
        if is_copied and self.bytes <= LARGE_BYTES:
            self._pinned = device.cupy.cuda.alloc_pinned_memory(max(self.bytes, 1))
            self.host = np.frombuffer(self._pinned, np.uint8, max(self.bytes, 1))

    def view(self, number: int, kind: Any) -> np.ndarray:
        """Return the page-locked memory of one array."""
        assert self.host is not None
        start = self.offsets[number]
        size = prod(kind.shape) * kind.numpy_dtype.itemsize
        return self.host[start : start + size].view(kind.numpy_dtype).reshape(kind.shape)

    def enqueue(self, upward: bool) -> None:
        """Enqueue the copy of the whole block, if it goes through page-locked memory."""
        if self.host is None or not self.bytes:
            return
        runtime = self.device.cupy.cuda.runtime
        host, stream = self.host.ctypes.data, self.device.stream.ptr
        if upward:
            runtime.memcpyAsync(self.address, host, self.bytes, runtime.memcpyHostToDevice, stream)
        else:
            runtime.memcpyAsync(host, self.address, self.bytes, runtime.memcpyDeviceToHost, stream)
