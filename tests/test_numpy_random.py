"""Samples of NumPy's ``RandomState`` from states that are arrays: number for number, and the state after them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from symgrad.kernels.numpy_random import draw, words_of

probabilities = st.one_of(st.sampled_from([0.0, 1.0, 0.5, 1e-300, 1 - 2**-53]), st.floats(0, 1))


@settings(max_examples=60, deadline=None)
@given(probabilities, st.lists(st.integers(0, 40), max_size=2), st.integers(0, 1000), st.integers(0, 3))
def test_single_trials_are_drawn_as_numpy_draws_them(p, size, seed, before):
    generator = np.random.RandomState(seed)
    generator.normal(size=before)
    sample, words = draw("binomial", words_of(generator), size, (np.array(1), np.array(p)), "int64")
    expected = generator.binomial(1, p, size=tuple(size))
    np.testing.assert_array_equal(sample, expected)
    np.testing.assert_array_equal(words, words_of(generator))


def test_a_sample_leaves_no_trace_in_the_next():
    one, other = np.random.RandomState(1), np.random.RandomState(2)
    first = [draw("normal", words_of(one), (3,), (np.array(0.0), np.array(1.0)), "float64")[0] for _ in range(2)]
    draw("normal", words_of(other), (3,), (np.array(0.0), np.array(1.0)), "float64")
    again, _ = draw("normal", words_of(one), (3,), (np.array(0.0), np.array(1.0)), "float64")
    np.testing.assert_array_equal(first[0], first[1])
    np.testing.assert_array_equal(first[0], again)
