"""Multinomial counts, permutations and choices from counter-based bits.

State, shape, parameters and ``out`` are as in `symgrad.kernels.distributions`, and so is the promise: each row depends
only on the state, on where it is and on its own parameters, through IEEE-exact operations in a fixed order. Sums run
from left to right. ``fraction`` and ``open_fraction`` are those of `symgrad.kernels.distributions`.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from symgrad.kernels.binomial import binomial_at, trial_counts
from symgrad.kernels.distributions import fraction, open_fraction, random_integers
from symgrad.kernels.normal_quantile import natural_logarithm
from symgrad.kernels.philox import Lanes, lanes_at, random_bits64
from symgrad.kernels.random_parameters import Shape, allocate, flat_parameter, require, sizes_of

CATEGORY_DRAW = 255  # binomial counts, which rows of several trials are made of, use the draws below

SUM_TOLERANCE = 1e-3
_ROWS_PER_CHUNK = 1 << 12


def multinomial(
    state: Lanes,
    shape: Shape | None,
    n: ArrayLike,
    pvals: ArrayLike,
    dtype: DTypeLike = np.int64,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return, for each row, how often each of k categories comes up in `n` trials.

    For ``n = 1`` a row is one-hot: with sums ``c_j = c_(j-1) + p_j`` in float64, the category is the number of
    ``c_j <= fraction(lane) * c_(k-1)``. Otherwise category ``j`` gets a binomial count of the trials that are left, of
    probability ``p_j / (p_j + ... + p_(k-1))`` (sums from the right), with the bits of element ``row * k + j``.

    Parameters
    ----------
    state : ndarray of uint64, shape (3,)
        The state of the stream.
    shape : int, sequence of int or None
        The shape of the rows; None takes it from `pvals`.
    n : array_like of integers
        The number of trials, 0 to ``2**40``; broadcasts against `shape`.
    pvals : array_like, shape (..., k)
        The probabilities of the categories; ``pvals.shape[:-1]`` broadcasts against `shape`. A row need only add up to
        1 within 1e-3 (rounding of float32), and is normalised.
    dtype : dtype
        The dtype of the result.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray of `dtype`, shape ``shape + (k,)``

    Raises
    ------
    TypeError
        If `n` is not an integer.
    ValueError
        If `n` is out of range, a probability is negative or not finite, or a row doesn't add up to 1; if parameters or
        `out` don't fit the shape.

    Examples
    --------
    >>> from symgrad.kernels.philox import initial_state
    >>> multinomial(initial_state(0), None, 1, [[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]])
    array([[0, 1, 0],
           [1, 0, 0]])
    """
    weights = np.asarray(pvals, dtype=np.float64)
    if weights.ndim == 0 or weights.shape[-1] == 0:
        raise ValueError(f"pvals needs at least one category along its last axis, got shape {weights.shape}")
    _require_distribution("pvals", weights)
    sizes = weights.shape[:-1] if shape is None else sizes_of(shape)
    categories = weights.shape[-1]
    result, flat = allocate((*sizes, categories), dtype, out)
    rows = flat_parameter("pvals", weights, result.shape, np.float64).reshape(-1, categories)
    counts = flat.reshape(-1, categories)
    trials = np.broadcast_to(trial_counts(n, sizes), counts.shape[:1])
    for start in range(0, len(counts), _ROWS_PER_CHUNK):
        chunk = np.arange(start, min(start + _ROWS_PER_CHUNK, len(counts)))
        single, several = chunk[trials[chunk] == 1], chunk[trials[chunk] != 1]
        counts[single] = _one_hot_rows(state, single, rows[single])
        counts[several] = _count_rows(state, several, trials[several], rows[several])
    return result


def permutation(
    state: Lanes, shape: Shape, n: int, dtype: DTypeLike = np.int64, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Return independent random permutations of ``0 .. n - 1``, each along the last axis.

    A permutation is the stable order of its elements' lanes; element ``j`` of row ``i`` has lane ``i * n + j``.

    Parameters
    ----------
    state : ndarray of uint64, shape (3,)
        The state of the stream.
    shape : int or sequence of int
        The shape of the rows; ``()`` for one permutation.
    n : int
        The number of elements.
    dtype : integer dtype
        The dtype of the result.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray of `dtype`, shape ``shape + (n,)``

    Raises
    ------
    ValueError
        If `n` is negative or `out` doesn't fit.

    Examples
    --------
    >>> from symgrad.kernels.philox import initial_state
    >>> permutation(initial_state(0), (), 5)
    array([3, 4, 2, 1, 0])
    """
    size = operator.index(n)
    if size < 0:
        raise ValueError(f"a permutation needs n >= 0, got {size}")
    result, flat = allocate((*sizes_of(shape), size), dtype, out)
    result[...] = np.argsort(random_bits64(state, flat.size).reshape(result.shape), axis=-1, kind="stable")
    return result


def choice(
    state: Lanes,
    shape: Shape,
    a: int | NDArray[Any],
    replace: bool = True,
    p: ArrayLike | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return random elements of `a`.

    ===========  =====  ====================================================================================
    replace      p      position in `a`
    ===========  =====  ====================================================================================
    True         None   `symgrad.kernels.distributions.random_integers` from 0 to ``len(a) - 1``
    True         given  the number of cumulative sums of p that are at most ``fraction(lane) * total``
    False        None   the beginning of a `permutation`
    False        given  the order of ``-log(open_fraction(lane)) / p``, smallest first: the same as drawing one
                        after the other from what is left, with probabilities in the proportions of p
    ===========  =====  ====================================================================================

    Parameters
    ----------
    state : ndarray of uint64, shape (3,)
        The state of the stream.
    shape : int or sequence of int
        The shape of the result.
    a : int or ndarray, shape (m,)
        What to choose from; an int m stands for ``0 .. m - 1``.
    replace : bool
        Whether an element may come up more than once.
    p : array_like, shape (m,), optional
        The probabilities, by default all equal. They need only add up to 1 within 1e-3, and are normalised.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray of the dtype of `a`, or of int64

    Raises
    ------
    ValueError
        If there is nothing to choose from, or less than is asked for without replacement; if `p` is not a distribution
        over `a`; if `out` doesn't fit.

    Notes
    -----
    Source of the weighted order: P. Efraimidis, P. Spirakis, "Weighted random sampling with a reservoir", Information
    Processing Letters 97 (2006).

    Examples
    --------
    >>> from symgrad.kernels.philox import initial_state
    >>> choice(initial_state(0), 4, 10, replace=False)
    array([3, 5, 4, 2])
    """
    population = np.asarray(a)
    if population.ndim > 1 or (population.ndim == 0 and population.dtype.kind not in "iu"):
        raise ValueError(f"a must be an integer or a vector, got {population.dtype} of shape {population.shape}")
    population_size = len(population) if population.ndim else max(int(population), 0)
    result, flat = allocate(shape, population.dtype if population.ndim else np.int64, out)
    weights = None if p is None else _choice_weights(p, population_size)
    available = population_size if weights is None else np.count_nonzero(weights)
    if flat.size > (available if not replace else 0 if not available else flat.size):
        kind = "with" if replace else "without"
        raise ValueError(f"can't choose {flat.size} elements {kind} replacement from {available}")
    positions = _positions(state, flat.size, population_size, replace, weights)
    flat[...] = population[positions] if population.ndim else positions
    return result


def _positions(state: Lanes, count: int, size: int, replace: bool, weights: NDArray[Any] | None) -> NDArray[np.int64]:
    """Return the positions that `choice` picks; the arguments are checked."""
    if not count:
        return np.empty(0, dtype=np.int64)
    if weights is None:
        return random_integers(state, count, 0, size - 1) if replace else permutation(state, (), size)[:count]
    if replace:
        sums = np.cumsum(weights)
        thresholds = fraction(random_bits64(state, count)) * sums[-1]
        return np.asarray(np.searchsorted(sums, thresholds, side="right"), dtype=np.int64)
    waiting = -natural_logarithm(open_fraction(random_bits64(state, size)))
    times = np.divide(waiting, weights, out=np.full(size, np.inf), where=weights > 0)
    return np.asarray(np.argsort(times, kind="stable")[:count], dtype=np.int64)


def _choice_weights(p: ArrayLike, population_size: int) -> NDArray[np.float64]:
    """Return the probabilities of a choice, checked."""
    weights = np.asarray(p, dtype=np.float64)
    if weights.shape != (population_size,):
        raise ValueError(
            f"p must have one probability for each of {population_size} elements, got shape {weights.shape}"
        )
    _require_distribution("p", weights)
    return weights


def _require_distribution(name: str, weights: NDArray[np.float64]) -> None:
    """Raise ValueError unless every row is non-negative and adds up to one."""
    require(f"{name} must be finite and not negative", weights, (weights >= 0) & (weights < np.inf))
    sums = weights.sum(axis=-1)
    require(f"{name} must add up to 1 along the last axis", sums, np.abs(sums - 1) <= SUM_TOLERANCE)


def _one_hot_rows(state: Lanes, rows: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return one-hot rows; `weights` has the same rows."""
    sums = np.cumsum(weights, axis=1)
    thresholds = fraction(lanes_at(state, rows, CATEGORY_DRAW)) * sums[:, -1]
    category = np.count_nonzero(sums <= thresholds[:, None], axis=1)
    one_hot: NDArray[np.bool_] = np.arange(weights.shape[1]) == category[:, None]
    return one_hot


def _count_rows(
    state: Lanes, rows: NDArray[np.int64], trials: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return rows of counts by conditional binomials; `trials` and `weights` have the same rows."""
    categories = weights.shape[1]
    sums = np.cumsum(weights[:, ::-1], axis=1)[:, ::-1]
    chances = np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0)
    counts = np.empty(weights.shape, dtype=np.int64)
    left = trials.copy()
    for category in range(categories):
        elements = rows * categories + category
        counts[:, category] = binomial_at(state, elements, left, chances[:, category])
        left -= counts[:, category]
    return counts
