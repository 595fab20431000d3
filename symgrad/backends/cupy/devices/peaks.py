"""What a GPU can do at the most, measured: the yardstick of profiles."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import inf
from typing import Any

from symgrad.backends.cupy.devices.device import Device, find_device

MATRIX_SIZE = 4096
COPIED_BYTES = 1 << 28
"""More than caches hold."""
ROUNDS = 5


def gpu_speeds(name: str) -> tuple[float, float]:
    """Return operations a second of a float32 product of large matrices, and bytes read and written a second of a copy.

    Parameters
    ----------
    name : str
        The device's name, as ``cuda0``.

    Returns
    -------
    tuple of float
        Infinite where CuPy has no cuBLAS to measure with: no share of the peak is told then.
    """
    device = find_device(name)
    return _product_speed(device), _copy_speed(device)


def _product_speed(device: Device) -> float:
    cupy = device.cupy
    unusable: tuple[type[Exception], ...] = (ImportError, AttributeError, *device.failures)
    with device.active():
        try:
            left = cupy.ones((MATRIX_SIZE, MATRIX_SIZE), "float32")
            result = cupy.empty_like(left)
            cupy.matmul(left, left, out=result)
        except unusable:
            return inf
        return 2.0 * MATRIX_SIZE**3 / _shortest(device, lambda: cupy.matmul(left, left, out=result))


def _copy_speed(device: Device) -> float:
    source, target = device.allocate(COPIED_BYTES), device.allocate(COPIED_BYTES)
    with device.active():
        device.clear(int(source.ptr), COPIED_BYTES)
        seconds = _shortest(device, lambda: device.move(int(target.ptr), int(source.ptr), COPIED_BYTES))
    return 2.0 * COPIED_BYTES / seconds


def _shortest(device: Device, work: Callable[[], Any]) -> float:
    """Return the shortest time of some runs on the device, in seconds."""
    events = [device.stream.record()]
    for _ in range(ROUNDS):
        work()
        events.append(device.stream.record())
    device.synchronize()
    elapsed = device.cupy.cuda.get_elapsed_time
    times = [elapsed(before, after) for before, after in pairwise(events)]
    return max(min(times[1:]) / 1e3, 1e-9)
