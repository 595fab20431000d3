"""Elementary functions in the 80 bits of ``long double``: what the native ones are measured by.

Where a machine's ``long double`` has no more than 64 bits, only float32 can be measured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgrad.ops.elementwise_op import rows

Wide = np.longdouble
IS_WIDER = np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant

# Their last digits must not come from float64.
_ROOT_OF_PI = np.sqrt(np.arctan(Wide(1)) * 4)


def sigmoid(x: Any) -> Any:
    """Logistic function."""
    decay = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + decay), decay / (1 + decay))


def _gaussian(x: Any) -> Any:
    """``exp(-x**2)``; x is a float64, of which the square of the first half of the bits is exact."""
    half = (x.astype(np.float64).view(np.int64) & -(1 << 27)).view(np.float64).astype(x.dtype)
    return np.exp(-half * half) * np.exp((half - x) * (half + x))


def erf(x: Any) -> Any:
    """Error function, by a series whose terms are all positive."""
    size = np.minimum(np.abs(x), 7)
    term = total = size
    for number in range(1, 200):
        term = term * (2 * size * size) / (2 * number + 1)
        total = total + term
    near = 2 / _ROOT_OF_PI * _gaussian(size) * total
    return np.copysign(np.where(size > 6.5, 1, near), x)


def erfc(x: Any) -> Any:
    """Complement of the error function, by its continued fraction from 2 on."""
    size = np.clip(x, 1, 30)
    fraction = np.zeros_like(size)
    for number in range(600, 0, -1):
        fraction = number / (2 * (size + fraction))
    return np.where(x > 2, _gaussian(size) / (size + fraction) / _ROOT_OF_PI, 1 - erf(x))


def xlogy0(x: Any, y: Any) -> Any:
    """``x log y``, and 0 where x is 0 and y a number."""
    return np.where((x == 0) & ~np.isnan(y), 0, x * np.log(y))


def xlogx(x: Any) -> Any:
    """``x log x``, and 0 at 0."""
    return xlogy0(x, x)


_OWN: dict[str, Callable[..., Any]] = {
    "sigmoid": sigmoid, "erf": erf, "erfc": erfc, "xlogx": xlogx, "xlogy0": xlogy0,
}  # fmt: skip


def exact(name: str, *operands: np.ndarray) -> np.ndarray:
    """Return a function in more precision than the operands have."""
    function = _OWN.get(name) or rows[name].function.numpy
    with np.errstate(all="ignore"):
        wide = [operand.astype(Wide if IS_WIDER else np.float64) for operand in operands]
        return np.asarray(function(*wide))


def units_in_the_last_place(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return errors in units of the last place of the expected numbers; inf for a wrong nan, infinity or sign."""
    with np.errstate(all="ignore"):
        rounded = expected.astype(found.dtype)
        errors = (np.abs(found - expected) / np.spacing(np.abs(rounded))).astype(np.float64)
    wrong = (np.isnan(found) != np.isnan(rounded)) | (np.isinf(found) != np.isinf(rounded))
    wrong |= ~np.isnan(found) & (np.signbit(found) != np.signbit(rounded))
    return np.where(wrong, np.inf, np.where(np.isfinite(rounded), errors, 0))
