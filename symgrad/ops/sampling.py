"""Arrays for the samples of ops: the same in every run, no two elements equal."""

from __future__ import annotations

from math import prod

import numpy as np

_GOLDEN = 0.6180339887498949


def spread(*shape: int, low: float = -2.0, high: float = 2.0, dtype: str = "float64", start: int = 0) -> np.ndarray:
    """Return numbers spread evenly between `low` and `high`, in no order; of integers, those in between.

    Parameters
    ----------
    *shape : int
        Sizes.
    low, high : float
        The interval.
    dtype : str
        Element type; unsigned integers and bools start at 0.
    start : int
        Where the sequence begins: another start gives other numbers.

    Examples
    --------
    >>> spread(3, low=0, high=1).round(3)
    array([0.618, 0.236, 0.854])
    """
    steps = (np.arange(start + 1, start + 1 + prod(shape)) * _GOLDEN) % 1.0
    kind = np.dtype(dtype).kind
    if kind in "iu":
        lowest = np.ceil(max(low, 0.0) if kind == "u" else low)
        return (lowest + np.floor(steps * (np.floor(high) - lowest + 1))).astype(dtype).reshape(shape)
    if kind == "b":
        return (steps < 0.5).reshape(shape)
    numbers = low + steps * (high - low)
    if kind == "c":
        numbers = numbers + 1j * (low + ((steps + 0.37) % 1.0) * (high - low))
    return numbers.astype(dtype).reshape(shape)


def number(value: float, dtype: str = "int64") -> np.ndarray:
    """Return a 0-d array: a size, a bound or a scale."""
    return np.array(value, dtype)
