"""What the fake devices consist of, and a record of what was asked of them."""

from __future__ import annotations

import bisect
import ctypes
import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from gpu.shim.fake_cupy.errors import CUDARuntimeError, MisuseError
from gpu.shim.memory import Guarded

ALIGNMENT = 256
MOST_FREED = 512
"""So many buffers that were freed are remembered, so that their use is an error that says so."""


class Region:
    """Device memory as CUDA gives it out."""

    def __init__(self, size: int, device: int) -> None:
        self.size, self.device, self.is_freed = size, device, False
        self.guarded = Guarded(size, ALIGNMENT, poison=0xFF, canary=0xCC)
        self.address = self.guarded.address

    def free(self) -> None:
        """Let nobody touch it any more."""
        self.is_freed = True
        self.guarded.discard()


class Transfer(NamedTuple):
    """A copy ``up`` to a device or ``down`` from it."""

    direction: str
    bytes: int


@dataclass(repr=False)
class World:
    """All devices and the host's page-locked memory.

    Attributes
    ----------
    count, memory_bytes, capability, multiprocessors : int
        How many devices there are, and of which kind.
    order : str
        The order of threads and blocks; empty for each in turn, launch by launch.
    transfers : list of Transfer
        Copies between host and devices that were asked for; those of a graph with each of its launches.
    launches, graph_launches : int
        How many launches of single kernels, outside of captures, and of graphs were asked for.
    kernels : list of str
        The kernels that were run, by name.
    enqueued : int
        How much work was asked for, with each graph as one.
    texts : list of str
        The modules that were loaded.
    libraries : dict
        What stands for ``cublas`` and others.
    """

    count: int = 2
    memory_bytes: int = 8 << 30
    capability: int = 80
    multiprocessors: int = 16
    order: str = ""
    transfers: list[Transfer] = field(default_factory=list)
    launches: int = 0
    graph_launches: int = 0
    kernels: list[str] = field(default_factory=list)
    enqueued: int = 0
    texts: list[str] = field(default_factory=list)
    libraries: dict[str, Any] = field(default_factory=dict)
    random: random.Random = field(default_factory=partial(random.Random, 0))
    starts: list[int] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)
    freed: deque[Region] = field(default_factory=deque)
    pinned: dict[int, int] = field(default_factory=dict)
    queues: dict[int, Queue] = field(default_factory=dict)

    def new_region(self, size: int, device: int) -> Region:
        """Return fresh, poisoned memory."""
        region = Region(size, device)
        place = bisect.bisect(self.starts, region.address)
        self.starts.insert(place, region.address)
        self.regions.insert(place, region)
        return region

    def free(self, region: Region) -> None:
        """Take memory back."""
        check_whole(region)
        region.free()
        self.freed.append(region)
        if len(self.freed) > MOST_FREED:
            place = bisect.bisect(self.starts, self.freed.popleft().address) - 1
            del self.starts[place], self.regions[place]

    def region_at(self, address: int) -> Region | None:
        """Return the device memory that an address is in, or just behind."""
        place = bisect.bisect(self.starts, address) - 1
        if place < 0:
            return None
        region = self.regions[place]
        return region if address <= region.address + region.size else None

    def checked(self, address: int, size: int, device: int | None = None) -> Region:
        """Return the region of some bytes; it is an error if they aren't device memory that is there."""
        region = self.region_at(address)
        if region is None or address + size > region.address + region.size:
            raise MisuseError(f"{size} bytes at {self.describe(address)}: no memory of a device")
        if region.is_freed:
            raise MisuseError(f"{size} bytes of a device's memory that was freed")
        if device is not None and region.device != device:
            raise MisuseError(f"memory of device {region.device} used on device {device}")
        return region

    def describe(self, address: int) -> str:
        """Say what is at an address."""
        for region in self.regions:
            if region.guarded.covers(address):
                state = "freed " if region.is_freed else ""
                return f"{state}memory of device {region.device}, {region.guarded.place(address)}"
        return f"address {address:#x}, which no device has"

    def has(self, region: Region) -> bool:
        """Tell whether memory is of this world, not of one that was before."""
        return self.region_at(region.address) is region

    def is_pinned(self, address: int, size: int) -> bool:
        """Tell whether bytes of the host are page-locked."""
        pinned = self.pinned.copy()  # finalizers change it, and other dictionaries, at any moment
        return any(start <= address and address + size <= start + length for start, length in pinned.items())

    def finish(self) -> None:
        """Do all that was asked for."""
        for queue in self.queues.copy().values():
            queue.run()

    def forget(self) -> None:
        """Clear the record."""
        self.transfers.clear()
        self.kernels.clear()
        self.launches = self.graph_launches = self.enqueued = 0


def check_whole(region: Region) -> None:
    """Raise an error if something was written beside device memory."""
    if not region.is_freed and not region.guarded.whole():
        raise MisuseError(f"something was written beyond {region.size} bytes of device {region.device}")


class Marker:
    """A place in a queue."""

    def __init__(self) -> None:
        self.is_passed = False


Work = Callable[[], None]


class Capture:
    """What is recorded: pieces of work, and for each those that have to be done before it."""

    def __init__(self, origin: Queue) -> None:
        self.origin = origin
        self.work: list[tuple[Work, frozenset[int]]] = []
        self.copies: list[Transfer] = []
        self.poisoned: list[tuple[int, int]] = []

    def add(self, queue: Queue, work: Work) -> None:
        """Record work on one of the streams that take part."""
        self.work.append((work, frozenset(queue.before)))
        queue.before = {len(self.work) - 1}

    def reached(self, last: set[int]) -> set[int]:
        """Return these pieces of work and all that are done before them."""
        found, pending = set(last), list(last)
        while pending:
            new = self.work[pending.pop()][1] - found
            found |= new
            pending += new
        return found


class Queue:
    """The work of one stream: done when something waits for it."""

    def __init__(self, pointer: int, device: int, blocking: bool) -> None:
        self.pointer, self.device, self.blocking = pointer, device, blocking
        self.waiting: deque[Work | Marker] = deque()
        self.captured: Capture | None = None
        self.before: set[int] = set()
        self.is_invalid = False
        self.mode = 0

    def run(self, until: Marker | None = None) -> None:
        """Do the work, all of it or up to a place."""
        while self.waiting and not (until is not None and until.is_passed):
            item = self.waiting.popleft()
            if isinstance(item, Marker):
                item.is_passed = True
                continue
            try:
                item()
            except BaseException:
                self.waiting.clear()
                raise

    def mark(self) -> Marker:
        """Return the place behind the work so far."""
        marker = Marker()
        self.waiting.append(marker)
        return marker


world = World()
former_streams: set[int] = set()
"""Streams of devices that are gone: of programs that live longer."""
_here = threading.local()


def current_device() -> int:
    """Return the number of the device that this thread uses."""
    return getattr(_here, "device", 0)


def set_device(number: int) -> None:
    """Use a device in this thread."""
    if not 0 <= number < world.count:
        raise CUDARuntimeError(101)
    _here.device = number


def queue_of(pointer: int, device: int | None = None) -> Queue:
    """Return a stream's queue; each device has a default one."""
    if pointer == 0:
        number = current_device() if device is None else device
        pointer = -1 - number
        if pointer not in world.queues:
            world.queues[pointer] = Queue(0, number, True)
    if pointer in world.queues:
        return world.queues[pointer]
    if pointer in former_streams:
        return Queue(pointer, -1, False)  # what is still put there is never done
    raise CUDARuntimeError(400)


def capturing() -> Queue | None:
    """Return the queue that is captured, if there is one."""
    return next((queue for queue in world.queues.copy().values() if queue.captured is not None), None)


def forbid_in_capture(allocation: bool = False) -> None:
    """Raise CUDA's error if a stream is captured: that capture is lost."""
    queue = capturing()
    if queue is not None and not (allocation and queue.mode == 2):
        assert queue.captured is not None
        queue.captured.origin.is_invalid = True
        raise CUDARuntimeError(900)


def enqueue(
    pointer: int, work: Work, copies: Sequence[Transfer] = (), poisoned: Sequence[tuple[int, int]] = ()
) -> None:
    """Put work on a stream.

    Parameters
    ----------
    pointer : int
        The stream's handle.
    work : callable
        Called without arguments when the stream gets there.
    copies : sequence of Transfer
        What to note as transfers between host and device.
    poisoned : sequence of (int, int)
        Address and size of host memory that the work writes: what is there in the meantime can't be relied on.
    """
    queue = queue_of(pointer)
    captured = capturing()
    if captured is not None and queue.pointer == 0:
        assert captured.captured is not None
        captured.captured.origin.is_invalid = True
        raise CUDARuntimeError(906)
    if queue.captured is not None:
        queue.captured.add(queue, work)
        queue.captured.copies += copies
        queue.captured.poisoned += poisoned
        return
    world.enqueued += 1
    world.transfers += copies
    for address, size in poisoned:
        ctypes.memset(address, 0xAB, size)
    _keep_order(queue)
    queue.waiting.append(work)


def _keep_order(queue: Queue) -> None:
    """The default stream and blocking streams of a device wait for each other."""
    if not queue.blocking:
        return
    for other in world.queues.copy().values():
        pair = other.pointer == 0 or queue.pointer == 0
        if other is not queue and other.blocking and other.device == queue.device and pair and other.waiting:
            marker = other.mark()
            queue.waiting.append(_waiting_for(other, marker))


def _waiting_for(queue: Queue, marker: Marker) -> Work:
    return lambda: queue.run(marker)


def device_array(
    address: int, shape: Sequence[int], dtype: Any, strides: Sequence[int] | None = None, device: int | None = None
) -> np.ndarray:
    """Return device memory as a NumPy array: for work that stands for a kernel, while the stream does it.

    Parameters
    ----------
    address : int
        Of the first element.
    shape, dtype, strides
        As NumPy has them.
    device : int, optional
        The device that must have this memory.
    """
    kind = np.dtype(dtype)
    sizes = tuple(int(size) for size in shape)
    steps = plain_strides(sizes, kind.itemsize) if strides is None else tuple(strides)
    if 0 in sizes:
        return np.empty(sizes, kind)
    reach = [(size - 1) * step for size, step in zip(sizes, steps, strict=True)]
    low = sum(step for step in reach if step < 0)
    high = sum(step for step in reach if step > 0) + kind.itemsize
    world.checked(address + low, high - low, device)
    memory = (ctypes.c_char * (high - low)).from_address(address + low)
    return np.ndarray(sizes, kind, memory, -low, steps)


def plain_strides(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Return the strides of a C-contiguous array."""
    strides, step = [], itemsize
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))
