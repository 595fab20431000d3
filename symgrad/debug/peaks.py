"""What this machine can do at the most, measured: the yardstick of profiles."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np

from symgrad.backends.numpy.threads import BlasThreads

MATRIX_SIZE = 512
COPIED_BYTES = 1 << 26
"""More than caches hold."""
ROUNDS = 8


@dataclass(frozen=True)
class Peak:
    """The most that some threads of this machine reach.

    Attributes
    ----------
    flops : float
        Floating-point operations a second, of a float32 product of 512 x 512 matrices.
    bandwidth : float
        Bytes read and written a second, of a copy of arrays larger than the caches.
    """

    flops: float
    bandwidth: float


@cache
def machine_peak(threads: int) -> Peak:
    """Return the peak of so many threads; it takes about a tenth of a second, once per process.

    Examples
    --------
    >>> peak = machine_peak(1)
    >>> peak.flops > 1e8 and peak.bandwidth > 1e7
    True
    """
    return Peak(_product_speed(threads), _copy_speed(threads))


def peak_of(device: str, threads: int) -> Peak:
    """Return the peak of so many threads of this machine, or of a GPU as a whole."""
    return machine_peak(threads) if device == "cpu" else _gpu_peak(device)


@cache
def _gpu_peak(device: str) -> Peak:
    from symgrad.backends.cupy.devices.peaks import gpu_speeds

    return Peak(*gpu_speeds(device))


def _product_speed(threads: int) -> float:
    left = np.full((MATRIX_SIZE, MATRIX_SIZE), 0.5, np.float32)
    result = np.empty_like(left)

    def product() -> None:
        np.dot(left, left, result)

    with BlasThreads(threads):
        return 2.0 * MATRIX_SIZE**3 / _shortest(product)


def _copy_speed(threads: int) -> float:
    source = np.ones(COPIED_BYTES, np.uint8)
    target = np.empty_like(source)
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    if threads == 1:
        return 2.0 * COPIED_BYTES / _shortest(lambda: np.copyto(target, source))
    with ThreadPoolExecutor(threads) as pool:

        def copy() -> None:
            list(pool.map(np.copyto, *zip(*parts, strict=True)))

        return 2.0 * COPIED_BYTES / _shortest(copy)


def _shortest(work: Callable[[], object]) -> float:
    """Return the shortest time of some runs, in seconds."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)
