"""MRG31k3p: numbers against a plain transcription of the recurrences, streams, distributions and states."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.errors import DTypeError, RangeError, ShapeError
from symgrad.kernels.mrg31k3p import M1, M2, advance, draw, substreams
from symgrad.random import MRG_RandomStreams

FIRST = [[0, 4194304, 129], [1, 0, 0], [0, 1, 0]]
SECOND = [[32768, 0, 32769], [1, 0, 0], [0, 1, 0]]


def slow_number(state):
    """Return the next state and number, in Python's own integers."""
    new1 = (4194304 * state[1] + 129 * state[2]) % M1
    new2 = (32768 * state[3] + 32769 * state[5]) % M2
    difference = new1 - new2
    return [new1, *state[:2], new2, *state[3:5]], (difference + M1 if difference <= 0 else difference)


def slow_power(matrix, exponent, modulus):
    """Return a matrix to a power by multiplying Python's own integers."""
    found = [[int(i == j) for j in range(3)] for i in range(3)]
    base = matrix
    while exponent:
        if exponent & 1:
            found = product(found, base, modulus)
        base = product(base, base, modulus)
        exponent >>= 1
    return found


def product(a, b, modulus):
    return [[sum(a[i][k] * b[k][j] for k in range(3)) % modulus for j in range(3)] for i in range(3)]


states = st.tuples(*[st.integers(1, M2 - 1)] * 6).map(list)


@settings(max_examples=30)
@given(states, st.integers(1, 40))
def test_numbers_follow_the_recurrences(state, count):
    new_states, numbers = draw(np.array([state], "int32"), count, "float64")
    for number in numbers:
        state, expected = slow_number(state)
        assert number == expected / 2**31
    assert new_states.tolist() == [state]


@settings(max_examples=20)
@given(states, st.integers(0, 140))
def test_a_jump_is_as_many_single_steps(state, power):
    moved = advance(np.array(state, "int32"), power).tolist()
    for half, matrix, modulus in ((slice(0, 3), FIRST, M1), (slice(3, 6), SECOND, M2)):
        jump = slow_power(matrix, 2**power, modulus)
        expected = [sum(a * b for a, b in zip(row, state[half], strict=True)) % modulus for row in jump]
        assert moved[half] == expected


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 200), st.integers(0, 700), st.sampled_from(["float32", "float64"]))
def test_native_code_draws_the_same_bits(streams, count, dtype):
    seeds = substreams(np.full(6, 99, "int32"), streams)
    expected_states, expected = draw(seeds, count, dtype)
    table = symgrad.shared(seeds, name="table")
    from symgrad.ops.mrg import mrg_sample

    with symgrad.config.change_flags(backend="native"):
        f = symgrad.function([], list(mrg_sample(table, (count,), dtype)))
        new_states, numbers = f()
    assert f.source().startswith("# native:")
    np.testing.assert_array_equal(numbers, expected)
    np.testing.assert_array_equal(new_states, expected_states)
    assert count == 0 or 0 < numbers.min() <= numbers.max() < 1


def test_first_numbers_of_a_well_known_seed():
    with symgrad.config.change_flags(floatX="float64"):
        streams = MRG_RandomStreams(234)
        f = symgrad.function([], streams.uniform((2,)))
    np.testing.assert_allclose(f(), [0.4499, 0.30625], atol=5e-5)
    second = f()
    streams.seed()
    assert not np.array_equal(f(), second)
    np.testing.assert_array_equal(f(), second)


def test_variables_are_independent_and_states_can_be_kept():
    streams = MRG_RandomStreams(7)
    first, second = streams.uniform((5,)), streams.uniform((5,))
    f = symgrad.function([], [first, first + 0, second])
    a, again, b = f()
    np.testing.assert_array_equal(a, again)
    assert np.abs(a - b).max() > 0
    kept = [entry[0].get_value() for entry in streams.updates()]
    following = f()
    for entry, value in zip(streams.updates(), kept, strict=True):
        entry[0].set_value(value)
    for found, expected in zip(f(), following, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("size", "streams"), [((2,), 2), ((6,), 6), ((7,), 1), ((100, 10), 166), ((10**6,), 15360)])
def test_number_of_streams(size, streams):
    assert MRG_RandomStreams(1).n_streams(size) == streams


def test_sizes_that_only_the_call_knows():
    n = T.lscalar("n")
    f = symgrad.function([n], MRG_RandomStreams(3).normal((n, 3)))
    assert f(5).shape == (5, 3)
    assert f(4).shape == (4, 3)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_distributions(backend):
    with symgrad.config.change_flags(floatX="float64", backend=backend):
        streams = MRG_RandomStreams(11)
        pvals = np.array([[0.2, 0.5, 0.3]] * 4000)
        f = symgrad.function([], [
            streams.normal((101, 99), avg=2.0, std=3.0), streams.truncated_normal((20000,), std=2.0),
            streams.binomial((200, 100), p=0.3), streams.multinomial(pvals=pvals),
            streams.multinomial(n=4, pvals=pvals),
            streams.choice(size=2, p=pvals, replace=False), streams.uniform((100, 100), low=-1.0, high=3.0),
        ])  # fmt: skip
        normal, truncated, ones, rows, counts, pairs, uniform = f()
    assert abs(normal.mean() - 2) < 0.1 and abs(normal.std() - 3) < 0.1
    assert abs(truncated.std() - 2) < 0.05 and abs(truncated).max() <= 2 * 2 / 0.879
    assert abs(ones.mean() - 0.3) < 0.02 and set(np.unique(ones)) == {0, 1}
    np.testing.assert_allclose(rows.mean(axis=0), pvals[0], atol=0.03)
    assert (rows.sum(axis=1) == 1).all() and (counts.sum(axis=1) == 4).all()
    np.testing.assert_allclose(counts.mean(axis=0), 4 * pvals[0], atol=0.1)
    assert (pairs[:, 0] != pairs[:, 1]).all()
    np.testing.assert_allclose(np.bincount(pairs[:, 0]) / 4000, pvals[0], atol=0.03)
    assert uniform.min() >= -1 and uniform.max() <= 3 and abs(uniform.mean() - 1) < 0.05


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: MRG_RandomStreams(0), RangeError),
        (lambda: MRG_RandomStreams(M2), RangeError),
        (lambda: MRG_RandomStreams("a"), DTypeError),
        (lambda: MRG_RandomStreams([1, 2, 3]), RangeError),
        (lambda: MRG_RandomStreams([0, 0, 0, 1, 1, 1]), RangeError),
        (lambda: MRG_RandomStreams(1).uniform((2, -1)), ShapeError),
        (lambda: MRG_RandomStreams(1).uniform(None), ShapeError),
        (lambda: MRG_RandomStreams(1).uniform((2,), dtype="float16"), DTypeError),
        (lambda: MRG_RandomStreams(1).binomial((2,), n=3), RangeError),
        (lambda: MRG_RandomStreams(1).multinomial(pvals=[0.5, 0.5]), ShapeError),
        (lambda: MRG_RandomStreams(1).choice(p=[[0.5, 0.5]], a=[1, 2]), DTypeError),
    ],
)
def test_mistakes(make, error):
    with pytest.raises(error):
        make()
