"""CuPy's devices, and the functions of CUDA's runtime and driver."""

from __future__ import annotations

import ctypes
import threading
from types import SimpleNamespace
from typing import Any

from gpu.shim.fake_cupy.errors import CUDADriverError, CUDARuntimeError, MisuseError
from gpu.shim.fake_cupy.memory import pool
from gpu.shim.fake_cupy.world import Transfer, current_device, enqueue, forbid_in_capture, queue_of, set_device, world

_here = threading.local()
dynamic_limits: dict[int, int] = {}
"""The dynamic shared memory that each kernel was given leave for."""


class Device:
    """A device; as a context it is the current one."""

    def __init__(self, device: int | Device | None = None) -> None:
        self.id = current_device() if device is None else int(device)

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return self.id

    def __enter__(self) -> Device:
        _here.__dict__.setdefault("stack", []).append(current_device())
        set_device(self.id)
        return self

    def __exit__(self, *error: object) -> None:
        set_device(_here.stack.pop())

    def use(self) -> None:
        """Make it the current one."""
        set_device(self.id)

    def synchronize(self) -> None:
        """Wait for all work of the device."""
        with self:
            deviceSynchronize()

    @property
    def compute_capability(self) -> str:
        """As ``80``."""
        return str(world.capability)

    @property
    def mem_info(self) -> tuple[int, int]:
        """Free and whole memory."""
        with self:
            return memGetInfo()

    @property
    def attributes(self) -> dict[str, Any]:
        """What CUDA tells about it."""
        return {
            "ComputeCapabilityMajor": world.capability // 10, "ComputeCapabilityMinor": world.capability % 10,
            "MultiProcessorCount": world.multiprocessors, "WarpSize": 32, "MaxThreadsPerBlock": 1024,
            "MaxSharedMemoryPerBlock": 48 << 10, "MaxSharedMemoryPerBlockOptin": most_shared(),
        }  # fmt: skip


def most_shared() -> int:
    """Return the shared memory that a block can have."""
    return {75: 64, 80: 163, 90: 227, 120: 99}.get(world.capability, 99) << 10


def getDevice() -> int:
    return current_device()


def setDevice(device: int) -> None:
    set_device(device)


def getDeviceCount() -> int:
    return world.count


def driverGetVersion() -> int:
    return 13000


def runtimeGetVersion() -> int:
    return 13000


def getDeviceProperties(device: int) -> dict[str, Any]:
    if not 0 <= device < world.count:
        raise CUDARuntimeError(101)
    return {
        "name": b"CPU that stands for a GPU", "major": world.capability // 10, "minor": world.capability % 10,
        "multiProcessorCount": world.multiprocessors, "totalGlobalMem": world.memory_bytes, "warpSize": 32,
        "maxThreadsPerBlock": 1024, "sharedMemPerBlock": 48 << 10, "sharedMemPerBlockOptin": most_shared(),
        "maxGridSize": (2**31 - 1, 65535, 65535),
    }  # fmt: skip


def memGetInfo() -> tuple[int, int]:
    return world.memory_bytes - pool.total_bytes(), world.memory_bytes


def deviceSynchronize() -> None:
    forbid_in_capture()
    for queue in world.queues.copy().values():
        if queue.device == current_device():
            queue.run()


def streamSynchronize(stream: int) -> None:
    forbid_in_capture()
    queue_of(stream).run()


def streamIsCapturing(stream: int) -> bool:
    return queue_of(stream).captured is not None


def memsetAsync(ptr: int, value: int, size: int, stream: int) -> None:
    world.checked(ptr, size)

    def work() -> None:
        world.checked(ptr, size)
        ctypes.memset(ptr, value, size)

    enqueue(stream, work)


def memcpyAsync(dst: int, src: int, size: int, kind: int, stream: int) -> None:
    """Copy as the kind says; what the host has and isn't page-locked is copied at once, as CUDA does."""
    if kind not in (1, 2, 3):
        raise MisuseError(f"a copy of kind {kind}")
    host = {1: src, 2: dst}.get(kind)
    sides = [address for address, is_host in ((dst, kind == 2), (src, kind == 1)) if not is_host]
    _check_copy(host, sides, size)
    pageable = host is not None and not world.is_pinned(host, size)
    kept = None
    if pageable:
        forbid_in_capture()
        if kind == 1:
            kept = ctypes.create_string_buffer(ctypes.string_at(src, size), size)
            src = ctypes.addressof(kept)

    def work() -> None:
        for address in sides:
            world.checked(address, size)
        if host is not None and not pageable and not world.is_pinned(host, size):
            raise MisuseError("page-locked memory was freed before a copy that uses it")
        ctypes.memmove(dst, ctypes.addressof(kept) if kept is not None else src, size)

    copies = [Transfer("up" if kind == 1 else "down", size)] if kind != 3 else []
    enqueue(stream, work, copies, [(dst, size)] if kind == 2 and not pageable else [])
    if pageable and kind == 2:
        queue_of(stream).run()


def _check_copy(host: int | None, sides: list[int], size: int) -> None:
    for address in sides:
        world.checked(address, size)
    if host is not None and world.region_at(host) is not None:
        raise MisuseError("a copy between host and device, and both addresses are a device's")


def memcpyPeerAsync(dst: int, dstDevice: int, src: int, srcDevice: int, size: int, stream: int) -> None:
    """Copy from device to device."""

    def work() -> None:
        world.checked(dst, size, dstDevice)
        world.checked(src, size, srcDevice)
        ctypes.memmove(dst, src, size)

    world.checked(dst, size, dstDevice)
    world.checked(src, size, srcDevice)
    enqueue(stream, work)


runtime = SimpleNamespace(
    CUDARuntimeError=CUDARuntimeError, memcpyHostToDevice=1, memcpyDeviceToHost=2, memcpyDeviceToDevice=3,
    streamCaptureModeGlobal=0, streamCaptureModeThreadLocal=1, streamCaptureModeRelaxed=2,
    **{function.__name__: function for function in (
        getDevice, setDevice, getDeviceCount, driverGetVersion, runtimeGetVersion, getDeviceProperties, memGetInfo,
        deviceSynchronize, streamSynchronize, streamIsCapturing, memsetAsync, memcpyAsync, memcpyPeerAsync)},
)  # fmt: skip


def funcSetAttribute(f: int, attribute: int, value: int) -> None:
    """Give a kernel leave for more dynamic shared memory."""
    if attribute != 8 or value > most_shared():
        raise CUDADriverError(1)
    dynamic_limits[f] = value


driver = SimpleNamespace(CUDADriverError=CUDADriverError, funcSetAttribute=funcSetAttribute)
