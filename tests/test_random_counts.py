"""Counts, permutations and choices against their laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from symgrad.kernels.binomial import LARGEST_TRIALS, binomial
from symgrad.kernels.categorical import choice, multinomial, permutation
from symgrad.kernels.distributions import bernoulli, random_integers
from symgrad.kernels.philox import advance, initial_state

STATE = initial_state(20240229, stream=3)
SIGNIFICANCE = 1e-4


def assert_counts_follow(observed, probabilities):
    """Chi-squared test, with rare cells pooled."""
    expected = np.asarray(probabilities) * np.sum(observed)
    rare = expected < 5
    observed = np.append(np.asarray(observed)[~rare], np.sum(np.asarray(observed)[rare]))
    expected = np.append(expected[~rare], max(np.sum(expected[rare]), 1e-300))
    statistic = np.sum((observed - expected) ** 2 / np.maximum(expected, 1))
    assert stats.chi2.sf(statistic, max(len(expected) - 1, 1)) > SIGNIFICANCE


def test_integers_are_uniform():
    values = random_integers(STATE, 60_000, -2, 4, dtype=np.int8)
    assert_counts_follow(np.bincount(values + 2, minlength=7), np.full(7, 1 / 7))


@pytest.mark.parametrize(
    ("n", "p"),
    [
        (2, 0.5),
        (12, 0.03),
        (15, 0.97),
        (19, 0.5),
        (20, 0.5),
        (60, 0.2),
        (200, 0.5),
        (5000, 0.9),
        (10**8, 1e-8),
        (10**8, 3e-7),
    ],
)
def test_binomial_follows_its_law(n, p):
    values = binomial(initial_state(n), 500_000, n, p)  # enough to see a wrong constant of the rejection
    law = stats.binom(n, p)
    edges = np.unique(np.concatenate([[-1], law.ppf(np.linspace(0.002, 0.998, 80)), [n]]))
    assert_counts_follow(np.histogram(values, edges + 0.5)[0], np.diff(law.cdf(edges)))


def test_binomial_of_huge_n_has_the_moments():
    values = binomial(STATE, 60_000, LARGEST_TRIALS, 0.25)
    scaled = (values - LARGEST_TRIALS * 0.25) / math.sqrt(LARGEST_TRIALS * 0.25 * 0.75)
    assert stats.kstest(scaled, "norm").pvalue > SIGNIFICANCE


def test_binomial_elements_depend_on_their_own_parameters_only():
    n = np.array([0, 1, 1, 7, 19, 20, 21, 400, 400, 10**6] * 30)
    p = np.resize([0.0, 0.3, 1.0, 0.5, 0.6, 0.05, 0.999], 300)
    values = binomial(STATE, 300, n, p)
    for element in range(300):
        alone = binomial(STATE, element + 1, int(n[element]), p[element])[-1]
        assert values[element] == alone
    assert np.array_equal(binomial(STATE, 50, 1, 0.3), bernoulli(STATE, 50, 0.3))
    assert np.all(binomial(STATE, 50, 400, 1.0) == 400) and np.all(binomial(STATE, 50, 400, 0.0) == 0)
    assert binomial(STATE, 5, 3, 0.5, dtype=np.float32).dtype == np.float32


def test_single_trial_multinomial_is_one_hot():
    pvals = np.array([[0.0, 0.25, 0.0, 0.75], [1.0, 0.0, 0.0, 0.0]], dtype=np.float32)
    rows = multinomial(STATE, (40_000, 2), 1, pvals)
    assert rows.shape == (40_000, 2, 4) and np.all(rows.sum(axis=-1) == 1) and np.all((rows == 0) | (rows == 1))
    assert np.all(rows[:, 1, 0] == 1) and not rows[:, 0, [0, 2]].any()
    assert_counts_follow(rows[:, 0].sum(axis=0)[[1, 3]], [0.25, 0.75])
    assert np.array_equal(multinomial(STATE, None, 1, pvals), rows[0])


def test_multinomial_counts_add_up_and_follow_their_law():
    pvals = np.array([0.1, 0.0, 0.45, 0.45])
    rows = multinomial(STATE, 30_000, 12, pvals)
    assert np.all(rows.sum(axis=1) == 12) and not rows[:, 1].any()
    for category in (0, 2, 3):
        law = stats.binom(12, pvals[category]).pmf(np.arange(13))
        assert_counts_follow(np.bincount(rows[:, category], minlength=13), law)
    assert np.corrcoef(rows[:, 2], rows[:, 3])[0, 1] == pytest.approx(-0.45 / 0.55, abs=0.02)
    mixed = multinomial(STATE, 200, np.resize([12, 1, 0], 200), pvals)
    assert np.array_equal(mixed[::3], rows[:200:3]) and not mixed[2::3].any()
    assert np.array_equal(mixed[1::3], multinomial(STATE, 200, 1, pvals)[1::3])


def test_permutations_are_permutations_and_equally_likely():
    rows = permutation(STATE, 24_000, 4)
    assert np.array_equal(np.sort(rows, axis=1), np.tile(np.arange(4), (24_000, 1)))
    codes = rows @ np.array([64, 16, 4, 1])
    assert_counts_follow(np.unique(codes, return_counts=True)[1], np.full(24, 1 / 24))
    assert permutation(STATE, (2, 0), 3).shape == (2, 0, 3) and permutation(STATE, (), 0).shape == (0,)


def test_choice_with_replacement_follows_p():
    values = np.array([2.5, -1.0, 8.0, 0.0], dtype=np.float32)
    chosen = choice(STATE, (200, 200), values, p=[0.5, 0.0, 0.2, 0.3])
    assert chosen.dtype == np.float32 and set(np.unique(chosen)) == {2.5, 8.0, 0.0}
    assert_counts_follow([np.sum(chosen == value) for value in (2.5, 8.0, 0.0)], [0.5, 0.2, 0.3])
    assert_counts_follow(np.bincount(choice(STATE, 40_000, 5), minlength=5), np.full(5, 0.2))


def test_choice_without_replacement_draws_one_after_the_other():
    weights = np.array([0.1, 0.2, 0.7, 0.0])
    pairs = np.zeros((4, 4))
    state = STATE
    for _ in range(3000):
        first, second = choice(state, 2, 4, replace=False, p=weights)
        pairs[first, second] += 1
        state = advance(state)
    law = weights[:, None] * weights / (1 - weights[:, None]) * (1 - np.eye(4))
    assert_counts_follow(pairs.ravel(), law.ravel())
    everything = choice(STATE, (4, 5), 20, replace=False)
    assert np.array_equal(np.sort(everything, axis=None), np.arange(20))
