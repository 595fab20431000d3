"""Running sums and products, recurrences and shifts along an axis, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.errors import ShapeError

CUMULATIVE: dict[str, np.ufunc] = {"cumsum": np.add, "cumprod": np.multiply}


def cumulative(function: str, axis: int, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return the sums (products) of the first 1, 2, 3, ... elements, in the operand's dtype."""
    return CUMULATIVE[function].accumulate(x, axis, x.dtype, out)


def linear_recurrence(
    axis: int, reverse: bool, a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None
) -> np.ndarray:
    """Return ``y[k] = a[k] * y[k - 1] + b[k]``; in reverse, ``y[k] = a[k + 1] * y[k + 1] + b[k]``."""
    if a.shape != b.shape:
        raise ShapeError(f"a recurrence needs factors like its terms, got shapes {a.shape} and {b.shape}")
    output = np.empty(b.shape, b.dtype) if out is None else out
    factors, terms, values = [np.moveaxis(array, axis, 0) for array in (a, b, output)]
    places = range(len(terms))
    last: Any = None
    for place in reversed(places) if reverse else places:
        value = terms[place] if last is None else factors[place + reverse] * last + terms[place]
        values[place] = last = value
    return output


def shifted(axis: int, by: int, fill: float, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return the elements moved `by` places; `fill` where none arrive."""
    output = np.empty(x.shape, x.dtype) if out is None else out
    source, target = [np.moveaxis(array, axis, 0) for array in (x, output)]
    count = max(len(source) - abs(by), 0)
    start = len(source) - count if by > 0 else 0
    target[:start] = target[start + count :] = fill
    target[start : start + count] = source[len(source) - start - count :][:count]
    return output
