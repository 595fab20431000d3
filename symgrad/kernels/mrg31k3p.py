"""The random generator MRG31k3p: many streams side by side, each a pair of linear recurrences of order 3.

P. L'Ecuyer and R. Touzin, "Fast combined multiple recursive generators with multipliers of the form a = 2^q +/- 2^r",
Winter Simulation Conference 2000. A stream's state is six numbers below 2**31, three of each recurrence, the latest
first. Numbers and streams are those of Theano's ``MRG_RandomStreams``.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

M1 = 2147483647
"""The modulus of the first recurrence."""
M2 = 2147462579
"""The modulus of the second recurrence."""
SECOND_FACTOR = 21069
"""``2**31 - M2``: what a bit beyond the 31st counts for in the second recurrence."""
SCALE64 = 2.0**-31
SCALE32 = np.float32(4.6566126e-10)
"""The largest factor that keeps ``M1`` times it below 1 in float32."""
SUBSTREAM_POWER = 72
"""Streams of one variable lie ``2**72`` numbers apart."""
STREAM_POWER = 134
"""Variables lie ``2**134`` numbers apart."""

_FIRST = ((0, 4194304, 129), (1, 0, 0), (0, 1, 0))
_SECOND = ((32768, 0, 32769), (1, 0, 0), (0, 1, 0))


def advance(state: np.ndarray, power: int) -> np.ndarray:
    """Return states that lie ``2**power`` numbers further on.

    Parameters
    ----------
    state : int array, shape (..., 6)
        States.
    power : int
        The logarithm of the distance.

    Examples
    --------
    >>> advance(np.full(6, 234, "int32"), 0).tolist()
    [981497322, 234, 234, 15335658, 234, 234]
    """
    first, second = _jump(_FIRST, M1, power), _jump(_SECOND, M2, power)
    wide = np.asarray(state, "int64")
    halves = [_times(first, wide[..., :3], M1), _times(second, wide[..., 3:], M2)]
    return np.concatenate(halves, axis=-1).astype("int32")


def substreams(state: np.ndarray, count: int) -> np.ndarray:
    """Return the states of `count` streams, the first at `state`, each ``2**72`` numbers after the one before.

    Returns
    -------
    int32 array, shape (count, 6)
    """
    found = np.asarray(state, "int32").reshape(1, 6)
    power = SUBSTREAM_POWER
    while len(found) < count:
        found = np.concatenate([found, advance(found, power)])
        power += 1
    return found[:count]


def draw(states: np.ndarray, count: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the new states and `count` numbers in the open interval (0, 1): one of each stream in turn.

    Parameters
    ----------
    states : int32 array, shape (streams, 6)
        Isn't changed.
    count : int
        How many numbers.
    dtype : {'float32', 'float64'}
        Their dtype.
    """
    states = np.array(states, "int32")
    numbers = np.empty(count, "int64")
    for begin in range(0, count, len(states)):
        end = min(begin + len(states), count)
        numbers[begin:end] = _next(states[: end - begin])
    if dtype == "float32":
        return states, numbers.astype("float32") * SCALE32
    return states, numbers * SCALE64


def _next(states: np.ndarray) -> np.ndarray:
    """Move streams on by one number, in place, and return the numbers, between 1 and M1."""
    words = states.astype("int64")
    (x12, x13), (x21, x23) = words[:, 1:3].T, words[:, 3:6:2].T
    y1 = ((x12 & 511) << 22) + (x12 >> 9) + ((x13 & 0xFFFFFF) << 7) + (x13 >> 24)
    new1 = _below(_below(y1, M1) + x13, M1)
    y1 = _below(((x21 & 0xFFFF) << 15) + SECOND_FACTOR * (x21 >> 16), M2)
    y2 = _below(((x23 & 0xFFFF) << 15) + SECOND_FACTOR * (x23 >> 16), M2)
    new2 = _below(_below(y2 + x23, M2) + y1, M2)
    states[:, 1:3], states[:, 4:6] = states[:, 0:2].copy(), states[:, 3:5].copy()
    states[:, 0], states[:, 3] = new1, new2
    difference = new1 - new2
    return np.where(difference <= 0, difference + M1, difference)


def _below(number: np.ndarray, modulus: int) -> np.ndarray:
    """Return a number of less than two moduli, less one of them if it reaches it."""
    return np.where(number >= modulus, number - modulus, number)


def _times(matrix: np.ndarray, vectors: np.ndarray, modulus: int) -> np.ndarray:
    """Return ``matrix @ vector`` for each vector; products stay below 2**62, so each is reduced before the sum."""
    return (vectors[..., None, :] * matrix % modulus).sum(-1) % modulus


@lru_cache(maxsize=256)
def _jump(matrix: tuple[tuple[int, ...], ...], modulus: int, power: int) -> np.ndarray:
    """Return the matrix to the power of ``2**power``."""
    found = np.array(matrix, dtype=object)
    for _ in range(power):
        found = found @ found % modulus
    return found.astype("int64")
