"""CuPy's memory: pointers, the pool of each device, and page-locked memory of the host."""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

from gpu.shim.fake_cupy.errors import OutOfMemoryError
from gpu.shim.fake_cupy.world import Region, current_device, forbid_in_capture, queue_of, world

UNIT = 512


class Memory:
    """Memory of the pool, given back when nothing holds it: after the work that its stream has by then."""

    def __init__(self, region: Region, pool: MemoryPool, size: int, stream: int) -> None:
        self.ptr, self.size, self.device_id = region.address, region.size, region.device
        self._free = weakref.finalize(self, _give_back, region, pool, size, stream)
        self._free.atexit = False


def _give_back(region: Region, pool: MemoryPool, size: int, stream: int) -> None:
    if world.has(region):
        pool.used[region.device] -= size
        pool.kept[region.device].append(size)
        queue_of(stream, region.device).waiting.append(lambda: world.free(region))


class UnownedMemory:
    """Memory that somebody else holds."""

    def __init__(self, ptr: int, size: int, owner: Any, device_id: int = -1) -> None:
        self.ptr, self.size, self._owner = ptr, size, owner
        self.device_id = world.checked(ptr, size).device if device_id < 0 else device_id


class MemoryPointer:
    """A place in memory."""

    def __init__(self, mem: Any, offset: int) -> None:
        self.mem, self.ptr = mem, mem.ptr + offset

    @property
    def device_id(self) -> int:
        """The device that has it."""
        return int(self.mem.device_id)

    @property
    def device(self) -> Any:
        """The device that has it."""
        from gpu.shim.fake_cupy.devices import Device

        return Device(self.device_id)

    def __int__(self) -> int:
        return int(self.ptr)

    def __add__(self, offset: int) -> MemoryPointer:
        return MemoryPointer(self.mem, self.ptr - self.mem.ptr + offset)

    __radd__ = __add__

    def __sub__(self, offset: int) -> MemoryPointer:
        return self + -offset


class MemoryPool:
    """The pool of each device: what is freed stays in it, and is given out again to what has the same size."""

    def __init__(self) -> None:
        self.used = dict.fromkeys(range(16), 0)
        self.kept: dict[int, list[int]] = {number: [] for number in range(16)}
        self.limits = dict.fromkeys(range(16), 0)

    def malloc(self, size: int) -> MemoryPointer:
        """Return memory."""
        device = current_device()
        forbid_in_capture(allocation=True)
        wanted = -(-max(size, 1) // UNIT) * UNIT
        kept = self.kept[device]
        if wanted in kept:
            kept.remove(wanted)
        elif self.total_bytes() + wanted > self._most():
            self.free_all_blocks()
            if self.total_bytes() + wanted > self._most():
                raise OutOfMemoryError(wanted, self.total_bytes(), self.limits[device])
        self.used[device] += wanted
        from gpu.shim.fake_cupy.streams import get_current_stream

        memory = Memory(world.new_region(max(size, 1), device), self, wanted, get_current_stream().ptr)
        return MemoryPointer(memory, 0)

    def _most(self) -> int:
        return self.limits[current_device()] or world.memory_bytes

    def used_bytes(self) -> int:
        """Return how much is given out."""
        return self.used[current_device()]

    def free_bytes(self) -> int:
        """Return how much lies in the pool."""
        return sum(self.kept[current_device()])

    def n_free_blocks(self) -> int:
        """Return in how many pieces that is."""
        return len(self.kept[current_device()])

    def total_bytes(self) -> int:
        """Return how much the pool has taken from the device."""
        return self.used_bytes() + self.free_bytes()

    def free_all_blocks(self, stream: Any = None) -> None:
        """Return what lies in the pool to the device."""
        forbid_in_capture()
        self.kept[current_device()].clear()

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        """Let the pool take no more than this from the device."""
        assert (size is None) != (fraction is None)
        self.limits[current_device()] = int(fraction * world.memory_bytes) if fraction is not None else int(size or 0)

    def get_limit(self) -> int:
        """Return the limit, 0 if there is none."""
        return self.limits[current_device()]


pool = MemoryPool()


def alloc(size: int) -> MemoryPointer:
    """Return device memory of the current device."""
    return pool.malloc(size)


def alloc_pinned_memory(size: int) -> Any:
    """Return page-locked memory: its address is ``ptr``, and it is a buffer."""
    forbid_in_capture(allocation=True)
    kind = type(
        "PinnedMemoryPointer", (ctypes.c_char * size,), {"ptr": property(ctypes.addressof), "size": lambda _: size}
    )
    memory = kind()
    address = ctypes.addressof(memory)
    ctypes.memset(address, 0xAB, size)
    world.pinned[address] = size
    weakref.finalize(memory, world.pinned.pop, address, None).atexit = False
    return memory
