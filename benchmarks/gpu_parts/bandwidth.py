"""How fast the device copies its own memory: the yardstick of elementwise work."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

ELEMENTS = (10_000_000, 250_000_000)
ROUNDS = 9
COPIES = 20


def copy_rates(tiny: bool) -> dict[str, float]:
    """Return bytes a second, read and written, of copies of so many float32 from one place to another.

    Parameters
    ----------
    tiny : bool
        Whether this is a trial: NumPy copies a little.
    """
    if tiny:
        import numpy

        return {"1000": _rate(numpy, 1000, lambda: None)}
    import cupy

    found = {}
    for elements in ELEMENTS:
        found[str(elements)] = _rate(cupy, elements, cupy.cuda.Device().synchronize)
        cupy.get_default_memory_pool().free_all_blocks()
    return found


def _rate(module: Any, elements: int, wait: Any) -> float:
    """Return the median rate of some rounds."""
    source, target = module.ones(elements, "float32"), module.zeros(elements, "float32")
    rates = []
    for _ in range(ROUNDS):
        wait()
        began = time.perf_counter()
        for _ in range(COPIES):
            module.copyto(target, source)
        wait()
        rates.append(COPIES * 2.0 * 4 * elements / (time.perf_counter() - began))
    return median(rates)
