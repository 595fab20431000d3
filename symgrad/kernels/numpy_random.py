"""Samples as NumPy's own ``RandomState`` draws them, from a state that is an array.

The state of a generator is a vector of 628 words of 32 bits: the 624 of the Mersenne Twister, the position in them,
whether a normal number is left over from the last pair, and that number's two halves.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

WORDS = 628
_KEY = 624


_own = threading.local()


def words_of(generator: np.random.RandomState) -> np.ndarray:
    """Return the state of a generator as words.

    Examples
    --------
    >>> words = words_of(np.random.RandomState(3))
    >>> bool(generator_of(words).uniform() == np.random.RandomState(3).uniform())
    True
    """
    _, key, position, has_normal, normal = generator.get_state()  # type: ignore[misc]
    words = np.empty(WORDS, np.uint32)
    words[:_KEY] = key
    words[_KEY : _KEY + 2] = position, has_normal
    words[_KEY + 2 :] = np.array([normal], np.float64).view(np.uint32)
    return words


def generator_of(words: np.ndarray) -> np.random.RandomState:
    """Return this thread's generator, with the state of `words`: to make one takes longer than most samples."""
    generator: np.random.RandomState | None = getattr(_own, "generator", None)
    if generator is None:
        generator = _own.generator = np.random.RandomState(0)
    left_over = np.ascontiguousarray(words[_KEY + 2 :]).view(np.float64)[0]
    generator.set_state(("MT19937", words[:_KEY], int(words[_KEY]), int(words[_KEY + 1]), float(left_over)))
    return generator


def _one_by_one(draw: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """Return a function that calls `draw` for each element of what its parameters broadcast to, in order."""

    def draw_all(generator: np.random.RandomState, sizes: Sequence[int], *parameters: np.ndarray) -> np.ndarray:
        parts = [np.broadcast_to(parameter, tuple(sizes)).reshape(-1) for parameter in parameters]
        drawn = [draw(generator, *values) for values in zip(*parts, strict=True)]
        return np.array(drawn, np.int64).reshape(tuple(sizes))

    return draw_all


def _method(name: str) -> Callable[..., np.ndarray]:
    def draw(generator: np.random.RandomState, sizes: Sequence[int], *parameters: np.ndarray) -> np.ndarray:
        return np.asarray(getattr(generator, name)(*parameters, size=tuple(sizes)))

    return draw


def _binomial(
    generator: np.random.RandomState, sizes: Sequence[int], n: np.ndarray, p: np.ndarray
) -> np.ndarray:
    """Draw as the generator does; single trials of one probability, which masks are made of, many at a time.

    It inverts the distribution: one uniform number each, and once in 2**53 another one.
    """
    if n.ndim or p.ndim or n != 1 or not 0 <= p <= 1:
        return np.asarray(generator.binomial(n, p, size=tuple(sizes)))
    state = generator.get_state(legacy=False)
    chance = float(p) if p <= 0.5 else 1.0 - float(p)
    none = math.exp(math.log(1.0 - chance))
    drawn = generator.random_sample(tuple(sizes))
    if np.any(drawn - none > chance * none / (1.0 - chance)):
        generator.set_state(state)
        return np.asarray(generator.binomial(1, float(p), size=tuple(sizes)))
    return ((drawn > none) == (p <= 0.5)).astype(np.int64)


def _integer(generator: np.random.RandomState, low: int, high: int) -> int:
    return int(generator.randint(low, high + 1))


def _permutation(generator: np.random.RandomState, sizes: Sequence[int], n: np.ndarray) -> np.ndarray:
    count = int(np.prod(sizes, dtype=int))
    drawn = [generator.permutation(int(n)) for _ in range(count)]
    return np.array(drawn, np.int64).reshape((*sizes, int(n)))


def _multinomial(
    generator: np.random.RandomState, sizes: Sequence[int], n: np.ndarray, pvals: np.ndarray
) -> np.ndarray:
    rows = np.broadcast_to(pvals, (*sizes, pvals.shape[-1])).reshape(-1, pvals.shape[-1])
    counts = np.broadcast_to(n, tuple(sizes)).reshape(-1)
    drawn = [generator.multinomial(count, row.astype(np.float64)) for count, row in zip(counts, rows, strict=True)]
    return np.array(drawn, np.int64).reshape((*sizes, pvals.shape[-1]))


def _choice(replace: bool, weighted: bool) -> Callable[..., np.ndarray]:
    def draw(generator: np.random.RandomState, sizes: Sequence[int], a: np.ndarray, *p: np.ndarray) -> np.ndarray:
        population = int(a) if a.ndim == 0 else a
        weights = p[0].astype(np.float64) if weighted else None
        return np.asarray(generator.choice(population, size=tuple(sizes), replace=replace, p=weights))

    return draw


DRAWS: dict[str, Callable[..., np.ndarray]] = {
    "uniform": _method("uniform"),
    "normal": _method("normal"),
    "binomial": _binomial,
    "poisson": _method("poisson"),
    "random_integers": _one_by_one(_integer),
    "permutation": _permutation,
    "multinomial": _multinomial,
    "choice": _choice(True, False),
    "choice_without_replacement": _choice(False, False),
    "weighted_choice": _choice(True, True),
    "weighted_choice_without_replacement": _choice(False, True),
}
"""For each distribution, a function of a generator, sizes and parameters. It moves the generator on."""


def draw(
    distribution: str, words: np.ndarray, sizes: Sequence[int], parameters: Sequence[np.ndarray], dtype: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return a sample, and the words of the state after it.

    Examples
    --------
    >>> sample, _ = draw("uniform", words_of(np.random.RandomState(1)), (2,), (np.array(0.0), np.array(1.0)), "float64")
    >>> bool((sample == np.random.RandomState(1).uniform(size=2)).all())
    True
    """
    generator = generator_of(words)
    sample = DRAWS[distribution](generator, tuple(sizes), *parameters)
    return np.asarray(sample, order="C").astype(dtype), words_of(generator)
