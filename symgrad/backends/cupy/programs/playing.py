"""Plays tapes: enqueues their calls on the device's stream, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from symgrad.backends.cupy.calls import ArrayCall, HostCall, LibraryCall, StoppedError
from symgrad.backends.cupy.devices.device import Device
from symgrad.backends.cupy.kernel import CudaKernel
from symgrad.backends.cupy.tapes.ordering import Access, arranged
from symgrad.backends.cupy.tapes.places import Addresses
from symgrad.backends.cupy.tapes.rounds import Branching, Rounds
from symgrad.backends.cupy.tapes.tape import Described, Item, Piece, Tape


class Player:
    """Enqueues the work of one program.

    Parameters
    ----------
    device : Device
        Where.
    functions : mapping
        The loaded kernels, by name.
    """

    def __init__(self, device: Device, functions: Mapping[str, Any]) -> None:
        self.device, self.functions = device, functions
        self.watch: Callable[[Piece], Any] | None = None
        self._stream = device.stream
        self._play: dict[type, Callable[[Piece, Addresses], None]] = {
            CudaKernel: self._kernel, LibraryCall: self._library, ArrayCall: self._arrays, HostCall: self._host,
        }  # fmt: skip

    def play(self, tape: Tape, addresses: Addresses) -> None:
        """Enqueue a tape. The device must be active.

        Raises
        ------
        StoppedError
            If a step on the host or in CuPy has no result, or isn't carried out because the call has failed before it.
        """
        for item in tape.items:
            self._item(item, addresses)

    def play_arranged(self, tape: Tape, addresses: Addresses) -> None:
        """Enqueue a tape during a capture, with calls that may run side by side on several streams."""
        calls = list(_calls(tape, addresses))
        accesses = [_accesses(piece, places) for piece, places in calls]
        turns = arranged(accesses, [not isinstance(piece.call.work, CudaKernel) for piece, _ in calls])
        device = self.device
        streams = [device.stream, *device.side_streams(max((turn.stream for turn in turns), default=0))]
        begin, events, joined = device.mark(device.stream), dict[int, Any](), {0}
        try:
            for number, (turn, (piece, places)) in enumerate(zip(turns, calls, strict=True)):
                self._stream = streams[turn.stream]
                if turn.stream not in joined:
                    joined.add(turn.stream)
                    self._stream.wait_event(begin)
                for cause in turn.waits:
                    self._stream.wait_event(events[cause])
                self._piece(piece, places)
                if turn.is_awaited:
                    events[number] = device.mark(self._stream)
        finally:
            self._stream = device.stream
        for stream in joined - {0}:
            device.stream.wait_event(device.mark(streams[stream]))

    def _item(self, item: Item, addresses: Addresses) -> None:
        if isinstance(item, Rounds):
            for number in range(item.rounds):
                self.play(item.tapes[0], item.addresses(number, addresses))
        elif isinstance(item, Branching):
            condition = np.empty((), np.bool_)
            self.device.read([addresses.of(item.condition)], [condition])
            side = 0 if condition else 1
            self.play(item.tapes[side], item.addresses(side, addresses))
        else:
            self._piece(item, addresses)

    def _piece(self, piece: Piece, addresses: Addresses) -> None:
        try:
            self._play[type(piece.call.work)](piece, addresses)
        except self.device.failures as error:
            error.symgrad_step = piece.step  # type: ignore[attr-defined]
            raise
        if self.watch is not None:
            self.watch(piece)

    def _kernel(self, piece: Piece, addresses: Addresses) -> None:
        kernel = piece.call.work
        assert isinstance(kernel, CudaKernel)
        arguments = piece.arguments(addresses)
        function = self.functions[kernel.name]
        self.device.launch(function, kernel.grid, kernel.threads, arguments, kernel.shared_bytes, self._stream)

    def _library(self, piece: Piece, addresses: Addresses) -> None:
        work = piece.call.work
        assert isinstance(work, LibraryCall)
        work.run(self.device, *[addresses.of(place) for place in piece.buffers])

    def _arrays(self, piece: Piece, addresses: Addresses) -> None:
        """Call a function of CuPy arrays, and copy what it returns to where the plan wants it."""
        work = piece.call.work
        assert isinstance(work, ArrayCall)
        operands, results = self._described(piece, addresses)
        arrays = [self._array(address, described) for address, described in operands]
        for (address, described), array in zip(results, work.run(self.device.cupy, *arrays), strict=True):
            self._array(address, described)[...] = array

    def _array(self, address: int, described: Described) -> Any:
        """Return device memory that somebody else holds as an array."""
        cupy = self.device.cupy
        size = max(prod(described.shape), 1) * described.dtype.itemsize
        memory = cupy.cuda.UnownedMemory(address, size, self, self.device.number)
        return cupy.ndarray(described.shape, described.dtype, cupy.cuda.MemoryPointer(memory, 0))

    def _host(self, piece: Piece, addresses: Addresses) -> None:
        """Carry out a step on the host."""
        work = piece.call.work
        assert isinstance(work, HostCall)
        operands, results = self._described(piece, addresses)
        status = np.zeros((), np.int32)
        arrays = [_host_array(described) for _, described in operands]
        self.device.read([addresses.status, *[address for address, _ in operands]], [status, *arrays])
        if status:
            raise StoppedError
        try:
            made = work.run(*arrays)
        except Exception:  # the substitute backend runs into it again, and tells the user's line
            raise StoppedError from None
        for (address, described), found in zip(results, made, strict=True):
            self.device.write(address, np.asarray(found, _host_array(described).dtype))

    def _described(
        self, piece: Piece, addresses: Addresses
    ) -> tuple[Sequence[tuple[int, Described]], Sequence[tuple[int, Described]]]:
        """Return address and description of the operands, and of the results."""
        pairs = [(addresses.of(place), described)
                 for place, described in zip(piece.buffers, piece.described, strict=True)]  # fmt: skip
        assert piece.step is not None
        count = len(piece.step.inputs)
        return pairs[:count], pairs[count:]


def _calls(tape: Tape, addresses: Addresses) -> Iterator[tuple[Piece, Addresses]]:
    """Yield the calls of a tape without choices, in order, with the addresses of each."""
    for item in tape.items:
        if isinstance(item, Rounds):
            for number in range(item.rounds):
                yield from _calls(item.tapes[0], item.addresses(number, addresses))
        else:
            assert isinstance(item, Piece)
            yield item, addresses


def _accesses(piece: Piece, addresses: Addresses) -> list[Access]:
    """Return what a call reads and may write: its buffers, starts, and the status word."""
    found = []
    for extent, writes in zip(piece.extents, piece.writes(), strict=True):
        begin = addresses.of(extent.begin)
        found.append(Access(begin, begin + extent.bytes, writes))
    starts = [addresses.of(place) for place in piece.starts]
    found += [Access(start, start + 8, False) for start in starts]
    work = piece.call.work
    if isinstance(work, CudaKernel) and (work.may_fail or "GUARD" in work.text):
        found.append(Access(addresses.status, addresses.status + 4, work.may_fail))
    return found


def _host_array(described: Described) -> np.ndarray:
    return np.empty(described.shape, described.dtype)
