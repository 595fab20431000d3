"""`symgrad.random.RandomStreams`: laws, determinism, default updates, givens, pickles and copies."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import symgrad
import symgrad.tensor as T
from symgrad.errors import RangeError, ShapeError
from symgrad.kernels import philox
from symgrad.kernels.random_sample import DISTRIBUTIONS
from symgrad.ops.random import advanced
from symgrad.random import RandomStreams

SIGNIFICANCE = 1e-4
SEED = 20240229


def drawn(variable, **options):
    return symgrad.function([], variable, **options)()


def everything(streams):
    """One sample of each method."""
    return [
        streams.uniform((3, 2), -1.0, 2.0),
        streams.normal((4,), 1.0, 0.5, dtype="float64"),
        streams.bernoulli((5,), 0.3),
        streams.binomial((5,), 20, 0.3),
        streams.random_integers((6,), 1, 6),
        streams.choice((3,), 10, replace=False),
        streams.choice((3,), [0.5, 1.5, 2.5], p=[0.2, 0.3, 0.5]),
        streams.permutation((2,), 5),
        streams.multinomial((3,), 4, [0.1, 0.2, 0.7]),
        streams.shuffle_row_elements(np.arange(6).reshape(2, 3)),
    ]


def same(left, right):
    return len(left) == len(right) and all(map(np.array_equal, left, right))


# ---- laws -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_and_normal_follow_their_laws(dtype):
    streams = RandomStreams(SEED)
    uniform, normal = drawn([
        streams.uniform((40_000,), -2.0, 6.0, dtype=dtype), streams.normal((200, 200), 3.0, 0.5, dtype=dtype),
    ])  # fmt: skip
    assert uniform.dtype == normal.dtype == dtype
    assert uniform.min() >= -2 and uniform.max() < 6
    assert stats.kstest(uniform, stats.uniform(-2, 8).cdf).pvalue > SIGNIFICANCE
    assert stats.kstest(normal.ravel(), stats.norm(3, 0.5).cdf).pvalue > SIGNIFICANCE


def test_counts_have_the_moments_of_their_laws():
    streams = RandomStreams(SEED)
    size = (50_000,)
    samples = drawn([
        streams.bernoulli(size, 0.2), streams.binomial(size, 1, 0.7), streams.binomial(size, 30, 0.4),
        streams.random_integers(size, -2, 7), streams.choice(size, 4, p=[0.1, 0.2, 0.3, 0.4]),
    ])  # fmt: skip
    moments = [(0.2, 0.16), (0.7, 0.21), (12, 7.2), (2.5, 99 / 12), (2, 1)]
    for sample, (mean, variance) in zip(samples, moments, strict=True):
        assert sample.dtype == "int64"
        assert abs(sample.mean() - mean) < 5 * np.sqrt(variance / size[0])
        assert abs(sample.var() - variance) < 0.03 * variance


def test_multinomial_rows_permutations_and_choices_are_what_they_say():
    streams = RandomStreams(SEED)
    pvals = np.array([[0.5, 0.5, 0.0], [0.1, 0.2, 0.7]])
    counts, orders, few = drawn([
        streams.multinomial(None, 1000, pvals), streams.permutation((300,), 4), streams.choice((5,), 6, replace=False),
    ])  # fmt: skip
    assert counts.sum(axis=1).tolist() == [1000, 1000]
    assert counts[0, 2] == 0
    assert np.abs(counts - 1000 * pvals).max() < 80
    assert (np.sort(orders, axis=1) == np.arange(4)).all()
    assert len(np.unique(orders, axis=0)) == 24
    assert len(set(few)) == 5 and set(few) <= set(range(6))


def test_every_draw_has_the_bits_of_its_kernel():
    streams = RandomStreams(7)
    sample, wide = streams.uniform((3,)), streams.binomial((2, 3), 9, np.float32([[0.25], [0.5]]))
    states = [philox.initial_state(7, stream) for stream in range(2)]
    found = drawn([sample, wide])
    assert np.array_equal(found[0], DISTRIBUTIONS["uniform"].sample(states[0], (3,), [0, 1], "float32"))
    assert np.array_equal(found[1], DISTRIBUTIONS["binomial"].sample(states[1], (2, 3), [9, [[0.25], [0.5]]], "int64"))


# ---- determinism, streams, updates ----------------------------------------------------------------------------------


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 2**64 - 1))
def test_the_same_seed_gives_the_same_numbers_and_another_gives_others(seed):
    results = []
    for key in (seed, seed, seed ^ 1):
        samples = everything(RandomStreams(key))
        draw = symgrad.function([], samples)
        results.append([*draw(), *draw()])
    assert same(results[0], results[1])
    assert not np.array_equal(results[0][0], results[2][0])


def test_rewriting_changes_no_number():
    first, second = [drawn(everything(RandomStreams(SEED)), mode=mode) for mode in ("none", "default")]
    assert same(first, second)


def test_calls_of_a_method_are_different_draws_and_one_variable_is_one_draw():
    streams = RandomStreams(SEED)
    first, second = streams.uniform((4,)), streams.uniform((4,))
    a, b, a_again, difference = drawn([first, second, first + 0, first - first])
    assert not np.any(a == b)
    assert np.array_equal(a, a_again)
    assert not np.any(difference)


def test_each_call_of_a_function_draws_anew_unless_default_updates_are_left_out():
    streams = RandomStreams(SEED)
    first, second = streams.normal((4,)), streams.normal((4,))
    moving = symgrad.function([], [first, second])
    repeating = symgrad.function([], first, no_default_updates=True)
    state_of_first = streams.state_updates[0][0]
    half = symgrad.function([], [first, second], no_default_updates=[state_of_first])
    assert np.array_equal(repeating(), repeating())
    start = moving()
    assert not np.any(start[0] == repeating())
    before, after = half(), half()
    assert np.array_equal(before[0], after[0])
    assert not np.any(before[1] == after[1])
    assert [int(state.get_value()[2]) for state, _ in streams.state_updates] == [1, 3]


def test_functions_of_one_stream_take_turns():
    def alternating(count):
        sample = RandomStreams(3).uniform((2,))
        functions = [symgrad.function([], sample) for _ in range(count)]
        return [functions[turn % count]() for turn in range(4)]

    assert same(alternating(1), alternating(2))


def test_updates_may_be_passed_as_theano_programs_do():
    def two_calls(**options):
        streams = RandomStreams(5)
        sample = streams.uniform((3,))
        streams.normal((2,))
        draw = symgrad.function([], sample, **({"updates": streams.updates()} if options else {}))
        return streams, [draw(), draw()]

    passed, found = two_calls(updates=True)
    assert same(found, two_calls()[1])
    assert [int(state.get_value()[2]) for state, _ in passed.state_updates] == [2, 2]


def test_seeding_starts_all_streams_again():
    streams = RandomStreams(11)
    draw = symgrad.function([], everything(streams))
    start = draw()
    streams.seed()
    assert same(start, draw())
    streams.seed(12)
    twelve = RandomStreams(12)
    assert same(draw(), drawn(everything(twelve)))
    assert np.array_equal(drawn(streams.uniform((3,))), drawn(twelve.uniform((3,))))


def test_a_seed_from_the_system_can_be_read_and_used_again():
    streams = RandomStreams()
    assert streams.default_instance_seed != RandomStreams().default_instance_seed
    again = RandomStreams(streams.default_instance_seed)
    assert np.array_equal(drawn(streams.uniform((5,))), drawn(again.uniform((5,))))


def test_restored_states_continue_where_the_program_was():
    streams = RandomStreams(SEED)
    draw = symgrad.function([], everything(streams))
    draw()
    saved = [state.get_value() for state, _ in streams.state_updates]
    expected = [*draw(), *draw()]
    fresh = RandomStreams(0)
    continued = symgrad.function([], everything(fresh))
    for (state, _), value in zip(fresh.state_updates, saved, strict=True):
        state.set_value(value)
    assert same(expected, [*continued(), *continued()])


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**48 - 2))
def test_the_update_is_the_kernels_advance(key, stream, step):
    state = np.array([key, stream, step], dtype=np.uint64)
    variable = T.tensor("uint64", (3,))
    assert np.array_equal(advanced(variable).eval({variable: state}), philox.advance(state))


def test_a_call_that_fails_draws_nothing():
    streams = RandomStreams(SEED)
    p = T.vector("p")
    draw = symgrad.function([p], streams.bernoulli(p=p))
    with pytest.raises(RangeError, match=r"p must lie between 0 and 1; got 1\.5") as caught:
        draw([0.5, 1.5])
    assert "streams.bernoulli(p=p)" in str(caught.value)
    assert int(streams.state_updates[0][0].get_value()[2]) == 0


def test_a_state_that_is_none_is_refused():
    streams = RandomStreams(SEED)
    draw = symgrad.function([], streams.uniform((2,)))
    state = streams.state_updates[0][0]
    with pytest.raises(ShapeError):
        state.set_value(np.zeros(2, dtype=np.uint64))
    state.set_value(np.array([1, 2**40, 0], dtype=np.uint64))
    with pytest.raises(RangeError, match="not a random state"):
        draw()


# ---- functions: givens, pickles, copies -----------------------------------------------------------------------------


def test_givens_may_replace_a_draw_or_its_state():
    streams = RandomStreams(SEED)
    mask = streams.binomial((3,))
    state = streams.state_updates[0][0]
    assert drawn(mask + 1, givens={mask: np.array([5, 6, 7])}).tolist() == [6, 7, 8]
    fixed = symgrad.function([], mask, givens={state: philox.initial_state(1)}, no_default_updates=True)
    assert np.array_equal(fixed(), fixed())
    assert np.array_equal(fixed(), drawn(RandomStreams(1).binomial((3,))))


def test_a_function_with_streams_pickles_with_its_state():
    streams = RandomStreams(SEED)
    draw = symgrad.function([], everything(streams))
    draw()
    restored, restored_streams = pickle.loads(pickle.dumps((draw, streams)))
    assert same(draw(), restored())
    states, restored_states = [[s.get_value() for s, _ in x.state_updates] for x in (streams, restored_streams)]
    assert same(states, restored_states)
    restored_streams.seed()
    streams.seed()
    assert same(draw(), restored())


def test_a_pickled_shuffle_keeps_the_permutation_in_its_own_graph():
    restored = pickle.loads(pickle.dumps(RandomStreams(SEED).shuffle_row_elements(np.arange(9))))
    found, order = drawn([restored, restored.tag.permutation])
    assert np.array_equal(found, order)


def test_a_copy_with_another_state_draws_from_that():
    streams = RandomStreams(1)
    draw = symgrad.function([], streams.normal((3,)))
    other = RandomStreams(2)
    expected = drawn(other.normal((3,)))
    other.seed()
    copied = draw.copy(swap={streams.state_updates[0][0]: other.state_updates[0][0]})
    assert np.array_equal(copied(), expected)
    assert int(streams.state_updates[0][0].get_value()[2]) == 0
    assert int(other.state_updates[0][0].get_value()[2]) == 1
