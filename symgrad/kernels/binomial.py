"""Binomial counts from counter-based bits.

State, shape, parameters and ``out`` are as in `symgrad.kernels.distributions`, and so is the promise: element ``k``
depends only on the state, on ``k`` and on the parameters at ``k``, through IEEE-exact operations in a fixed order. The
counter's ``draw`` field keeps the bits of the three methods and of the attempts apart:

=======  ============================================================================
draw     used for
=======  ============================================================================
0        a single trial (word ``k``)
1        inversion (lane ``k``)
2-254    rejection: both lanes of block ``k``, one draw an attempt
=======  ============================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from symgrad.kernels.distributions import bernoulli, bernoulli_thresholds, fraction, open_fraction
from symgrad.kernels.normal_quantile import natural_logarithm
from symgrad.kernels.philox import Lanes, blocks_at, lanes_at, words_at
from symgrad.kernels.random_parameters import Shape, allocate, integer_parameter, part, pick, probabilities, require

LARGEST_TRIALS = 2**40
INVERSION_MEAN = 10.0
LARGEST_INVERSION = 128

SINGLE_TRIAL_DRAW = 0
INVERSION_DRAW = 1
REJECTION_DRAWS = range(2, 255)

_ELEMENTS_PER_CHUNK = 1 << 14

# log k! - ((k + 1/2) log(k + 1) - (k + 1) + log(2 pi) / 2) for k = 0 to 9.
STIRLING_CORRECTIONS = np.array(
    [
        0.08106146679532726,
        0.0413406959554093,
        0.02767792568499834,
        0.020790672103765093,
        0.016644691189821193,
        0.013876128823070748,
        0.01189670994589177,
        0.010411265261972096,
        0.009255462182712733,
        0.00833056343336287,
    ]
)


def binomial(
    state: Lanes,
    shape: Shape,
    n: ArrayLike = 1,
    p: ArrayLike = 0.5,
    dtype: DTypeLike = np.int64,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return the numbers of successes in `n` independent trials of probability `p`.

    * ``n = 1`` is `symgrad.kernels.distributions.bernoulli`, bit for bit.
    * Otherwise ``p`` is replaced by ``1 - p`` and the count by ``n - count`` where ``p > 1/2``. For ``n * p < 10`` the
      count is then the number of ``j < min(n, 128)`` whose cumulative probability is at most ``fraction(lane)``. The
      probabilities are ``f_0 = (1 - p)**n`` by repeated squaring and ``f_j = f_(j-1) * ((n + 1) * s / j - s)`` with
      ``s = p / (1 - p)``, and are added in order.
    * For ``n * p >= 10``, transformed rejection (algorithm BTRS), which is exact for any mean. It takes about 1.3
      attempts, each from both lanes of one block.

    Parameters
    ----------
    state : ndarray of uint64, shape (3,)
        The state of the stream.
    shape : int or sequence of int
        The shape of the result.
    n : array_like of integers
        The number of trials, 0 to ``2**40``.
    p : array_like
        The probability of a success, between 0 and 1.
    dtype : dtype
        The dtype of the result.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray of `dtype`

    Raises
    ------
    TypeError
        If `n` is not an integer.
    ValueError
        If `n` or `p` is out of range; if parameters or `out` don't fit the shape.

    Notes
    -----
    Source of the rejection method: W. Hoermann, "The generation of binomial random variates", Journal of Statistical
    Computation and Simulation 46 (1993).

    Examples
    --------
    >>> from symgrad.kernels.philox import initial_state
    >>> binomial(initial_state(0), 6, n=100, p=0.25)
    array([22, 30, 25, 28, 33, 26])
    """
    result, flat = allocate(shape, dtype, out)
    trials = trial_counts(n, result.shape)
    if trials.ndim == 0 and trials == 1:
        return bernoulli(state, result.shape, p, result.dtype, result)
    chances = probabilities(p, result.shape)
    for start in range(0, flat.size, _ELEMENTS_PER_CHUNK):
        stop = min(start + _ELEMENTS_PER_CHUNK, flat.size)
        flat[start:stop] = binomial_at(
            state, np.arange(start, stop), part(trials, start, stop), part(chances, start, stop)
        )
    return result


def trial_counts(n: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the number of trials, checked."""
    trials = integer_parameter("n", n, shape)
    require(f"n must lie between 0 and {LARGEST_TRIALS}", trials, (trials >= 0) & (trials <= LARGEST_TRIALS))
    return trials


def binomial_at(
    state: Lanes, elements: NDArray[np.int64], trials: NDArray[np.int64], chances: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return binomial counts of the given elements; parameters have no dimensions or one entry an element."""
    is_flipped = chances > 0.5
    rarer = np.where(is_flipped, 1.0 - chances, chances)
    is_single = trials == 1
    is_small = ~is_single & (trials * rarer < INVERSION_MEAN)
    is_large = ~is_single & ~is_small
    counts = np.empty(elements.shape, dtype=np.int64)
    for is_member, sampler in ((is_small, _by_inversion), (is_large, _by_rejection)):
        member = np.flatnonzero(np.broadcast_to(is_member, elements.shape))
        if member.size:
            member_trials, member_flipped = pick(trials, member), pick(is_flipped, member)
            sampled = sampler(state, elements[member], member_trials, pick(rarer, member))
            counts[member] = np.where(member_flipped, member_trials - sampled, sampled)
    member = np.flatnonzero(np.broadcast_to(is_single, elements.shape))
    if member.size:
        words = words_at(state, elements[member], SINGLE_TRIAL_DRAW)
        counts[member] = words < bernoulli_thresholds(pick(chances, member))
    return counts


def _by_inversion(
    state: Lanes, elements: NDArray[np.int64], trials: NDArray[np.int64], chances: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return counts of mean below 10 by adding probabilities up to a uniform number."""
    uniforms = fraction(lanes_at(state, elements, INVERSION_DRAW))
    odds = chances / (1.0 - chances)
    scaled_odds = (trials + 1) * odds
    probability = _integer_power(1.0 - chances, trials)
    cumulative = probability.copy()
    counts = np.zeros(elements.shape, dtype=np.int64)
    for successes in range(1, LARGEST_INVERSION + 1):
        is_above = cumulative <= uniforms
        if not np.any(is_above):
            break
        counts += is_above
        probability = probability * (scaled_odds / successes - odds)
        cumulative = cumulative + probability
    return np.minimum(counts, trials)


def _integer_power(base: NDArray[np.float64], exponent: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return ``base ** exponent`` by squaring, from the lowest bit of the exponent up."""
    power = np.ones(np.broadcast_shapes(base.shape, exponent.shape))
    while np.any(exponent):
        power = np.where(exponent & 1, power * base, power)
        base = base * base
        exponent = exponent >> 1
    return np.asarray(power)


def _by_rejection(
    state: Lanes, elements: NDArray[np.int64], trials: NDArray[np.int64], chances: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return counts of mean 10 or more; an element without an accepted attempt, which doesn't happen, gets the mode."""
    counts = np.broadcast_to(np.floor((trials + 1) * chances), elements.shape).astype(np.int64)
    pending = np.arange(elements.size)
    for draw in REJECTION_DRAWS:
        if not pending.size:
            break
        lanes = blocks_at(state, elements[pending], draw)
        proposals, accepted = _attempt(
            open_fraction(lanes[:, 0]),
            open_fraction(lanes[:, 1]),
            pick(trials, pending).astype(np.float64),
            pick(chances, pending),
        )
        counts[pending[accepted]] = proposals[accepted]
        pending = pending[~accepted]
    return counts


def _attempt(
    position: NDArray[np.float64],
    height: NDArray[np.float64],
    trials: NDArray[np.float64],
    chances: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return one proposal of transformed rejection for each element, and whether it is accepted."""
    deviation = np.sqrt(trials * chances * (1.0 - chances))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * chances
    centred = position - 0.5
    margin = 0.5 - np.abs(centred)
    proposals = np.floor((2.0 * a / margin + b) * centred + (trials * chances + 0.5))
    accepted = (margin >= 0.07) & (height <= 0.92 - 4.2 / b)
    undecided = np.flatnonzero(~accepted & (proposals >= 0.0) & (proposals <= trials))
    if undecided.size:
        a, b, deviation, trials, chances = (pick(value, undecided) for value in (a, b, deviation, trials, chances))
        margin = margin[undecided]
        scaled = height[undecided] * ((2.83 + 5.1 / b) * deviation) / (a / (margin * margin) + b)
        accepted[undecided] = natural_logarithm(scaled) <= _log_ratio_to_mode(proposals[undecided], trials, chances)
    return proposals, accepted


def _log_ratio_to_mode(
    counts: NDArray[np.float64], trials: NDArray[np.float64], chances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the logarithm of the probability of a count over that of the most likely count."""
    odds = chances / (1.0 - chances)
    mode = np.floor((trials + 1.0) * chances)
    mode_failures, failures = trials - mode + 1.0, trials - counts + 1.0
    result: NDArray[np.float64] = (mode + 0.5) * natural_logarithm((mode + 1.0) / (odds * mode_failures))
    result = result + (trials + 1.0) * natural_logarithm(mode_failures / failures)
    result = result + (counts + 0.5) * natural_logarithm(failures * odds / (counts + 1.0))
    result = result + _stirling_correction(mode) + _stirling_correction(trials - mode)
    result = result - _stirling_correction(counts) - _stirling_correction(trials - counts)
    return result


def _stirling_correction(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what Stirling's formula for ``log k!`` lacks, by table below 10 and by its series above."""
    following = values + 1.0
    square = following * following
    series = (1.0 / 12 - (1.0 / 360 - (1.0 / 1260) / square) / square) / following
    table = STIRLING_CORRECTIONS[np.minimum(values, len(STIRLING_CORRECTIONS) - 1).astype(np.int64)]
    return np.where(values < len(STIRLING_CORRECTIONS), table, series)
