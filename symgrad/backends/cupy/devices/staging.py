"""Copies between the host and a device through page-locked memory, asynchronous but independent of the caller's array.

A copy from ordinary host memory makes the driver wait for the stream. So bytes go through pieces of page-locked memory,
which the device reads by itself while the host goes on. A piece is written again only when the device has passed an
event behind its last copy. Arrays of any size fit: they go piece by piece, and the copies overlap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

PIECE_BYTES = 1 << 22
PIECES = 3
_ALIGNMENT = 64


class _Piece:
    """Page-locked memory, and the event after which the device doesn't use it any more."""

    def __init__(self, cupy: Any) -> None:
        self._memory = cupy.cuda.alloc_pinned_memory(PIECE_BYTES)
        self.address = int(self._memory.ptr)
        self.bytes = np.frombuffer(self._memory, np.uint8, PIECE_BYTES)
        self.event = cupy.cuda.Event(disable_timing=True)
        self.in_use = False

    def mark(self, stream: Any) -> None:
        self.event.record(stream)
        self.in_use = True

    def wait(self) -> None:
        if self.in_use:
            self.event.synchronize()
            self.in_use = False


class Upward:
    """Copies from the host to one device."""

    def __init__(self, cupy: Any, stream: Any) -> None:
        self._cupy, self._stream = cupy, stream
        self._pieces: list[_Piece] = []
        self._current = self._used = 0

    def copy(self, address: int, array: np.ndarray) -> None:
        """Enqueue a copy of `array`, in C order, to an address of the device; `array` may be changed right after."""
        if array.nbytes > PIECE_BYTES:
            flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            for start in range(0, flat.size, PIECE_BYTES):
                self._send(address + start, flat[start : start + PIECE_BYTES])
        elif array.nbytes:
            self._send(address, array)

    def _send(self, address: int, array: np.ndarray) -> None:
        size = array.nbytes
        piece, start = self._room(size)
        room = piece.bytes[start : start + size].view(array.dtype).reshape(array.shape)
        room[...] = array
        runtime = self._cupy.cuda.runtime
        runtime.memcpyAsync(address, piece.address + start, size, runtime.memcpyHostToDevice, self._stream.ptr)

    def _room(self, size: int) -> tuple[_Piece, int]:
        """Return a piece with `size` bytes that the device doesn't read any more, and where they begin."""
        if not self._pieces:
            self._pieces = [_Piece(self._cupy) for _ in range(PIECES)]
        if self._used + size > PIECE_BYTES:
            self._pieces[self._current].mark(self._stream)
            self._current, self._used = (self._current + 1) % PIECES, 0
            self._pieces[self._current].wait()
        start = self._used
        self._used += -(-size // _ALIGNMENT) * _ALIGNMENT
        return self._pieces[self._current], start


class Downward:
    """Copies from one device to the host."""

    def __init__(self, cupy: Any, stream: Any) -> None:
        self._cupy, self._stream = cupy, stream
        self._pieces: list[_Piece] = []

    def copy(self, addresses: Sequence[int], arrays: Sequence[np.ndarray]) -> None:
        """Fill `arrays`, all in C order, with what the stream leaves at `addresses`; waits until all is there."""
        if not self._pieces:
            self._pieces = [_Piece(self._cupy) for _ in range(PIECES)]
        runtime = self._cupy.cuda.runtime
        under_way: deque[tuple[_Piece, list[tuple[np.ndarray, int]]]] = deque()
        for number, load in enumerate(_loads(addresses, arrays)):
            if len(under_way) == PIECES:
                _unload(*under_way.popleft())
            piece = self._pieces[number % PIECES]
            for address, part, start in load:
                source, size = piece.address + start, part.nbytes
                runtime.memcpyAsync(source, address, size, runtime.memcpyDeviceToHost, self._stream.ptr)
            piece.mark(self._stream)
            under_way.append((piece, [(part, start) for _, part, start in load]))
        while under_way:
            _unload(*under_way.popleft())


def _loads(addresses: Sequence[int], arrays: Sequence[np.ndarray]) -> Iterator[list[tuple[int, np.ndarray, int]]]:
    """Yield what goes into one piece together: addresses on the device, parts of the arrays, places in the piece."""
    load: list[tuple[int, np.ndarray, int]] = []
    used = 0
    for address, array in zip(addresses, arrays, strict=True):
        flat = array.reshape(-1).view(np.uint8)
        for begin in range(0, flat.size, PIECE_BYTES):
            part = flat[begin : begin + PIECE_BYTES]
            if used + part.size > PIECE_BYTES:
                yield load
                load, used = [], 0
            load.append((address + begin, part, used))
            used += -(-part.size // _ALIGNMENT) * _ALIGNMENT
    if load:
        yield load


def _unload(piece: _Piece, load: list[tuple[np.ndarray, int]]) -> None:
    piece.wait()
    for part, start in load:
        part[...] = piece.bytes[start : start + part.size]
