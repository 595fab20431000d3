"""Theano's random streams, whose numbers are NumPy's."""

from __future__ import annotations

import copy
import importlib
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symgrad.compat.theano_names.activation import activated
from symgrad.compat.theano_names.random_streams import RandomStreams
from symgrad.kernels.numpy_random import generator_of, words_of


@pytest.fixture(autouse=True)
def theano() -> Iterator[Any]:
    with activated() as module:
        yield module


def generators(seed: int, count: int) -> list[np.random.RandomState]:
    """Return the generators of the streams that an object makes one after the other."""
    seeds = np.random.RandomState(seed)
    return [np.random.RandomState(int(seeds.randint(2**30))) for _ in range(count)]


DRAWS: dict[str, tuple[Callable[[RandomStreams], Any], Callable[[np.random.RandomState], Any]]] = {
    "uniform": (lambda s: s.uniform((2, 3), -1, 1), lambda g: g.uniform(-1, 1, (2, 3))),
    "normal": (lambda s: s.normal((3,), -1, 2), lambda g: g.normal(-1, 2, 3)),
    "odd normal": (lambda s: s.normal((5, 1)), lambda g: g.normal(size=(5, 1))),
    "binomial": (lambda s: s.binomial((4, 5), 10, 0.3), lambda g: g.binomial(10, 0.3, (4, 5))),
    "integers": (lambda s: s.random_integers((20,), -5, 5), lambda g: g.randint(-5, 6, 20)),
    "choice": (lambda s: s.choice((4, 2), 10), lambda g: g.choice(10, (4, 2))),
    "no replacement": (lambda s: s.choice((4,), 10, False), lambda g: g.choice(10, 4, False)),
    "weights": (lambda s: s.choice((4,), 2, True, [0.2, 0.8]), lambda g: g.choice(2, 4, True, [0.2, 0.8])),
    "poisson": (lambda s: s.poisson((6,), lam=5.0), lambda g: g.poisson(5.0, 6)),
    "permutation": (lambda s: s.permutation((3,), 6), lambda g: np.array([g.permutation(6) for _ in range(3)])),
    "multinomial": (lambda s: s.multinomial((3,), 4, [0.25] * 4), lambda g: g.multinomial(4, [0.25] * 4, 3)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_numbers_are_numpys(theano: Any, name: str) -> None:
    draw, expected = DRAWS[name]
    streams = RandomStreams(77)
    f = theano.function([], draw(streams), updates=streams.updates())
    [generator] = generators(77, 1)
    for _ in range(3):
        np.testing.assert_allclose(f(), expected(generator))


def test_streams_are_seeded_one_by_one(theano: Any) -> None:
    streams = RandomStreams(234)
    both = theano.function([], [streams.uniform((2,)), streams.normal((2,))])
    first, second = generators(234, 2)
    u, n = both()
    np.testing.assert_allclose(u, first.uniform(size=2))
    np.testing.assert_allclose(n, second.normal(size=2))
    streams.seed(5)
    np.testing.assert_allclose(both()[0], generators(5, 1)[0].uniform(size=2))


def test_generators_are_taken_out_and_put_in(theano: Any) -> None:
    streams = RandomStreams(234)
    out = streams.uniform((2,))
    f = theano.function([], out)
    state = streams[out.rng].get_state()
    value = f()
    streams[out.rng] = np.random.RandomState(33)
    np.testing.assert_allclose(f(), np.random.RandomState(33).uniform(size=2))
    generator = out.rng.get_value()
    generator.set_state(state)
    out.rng.set_value(generator)
    np.testing.assert_array_equal(f(), value)
    with pytest.raises(TypeError):
        out.rng.set_value(3)
    with pytest.raises(KeyError):
        streams[theano.shared(0)]


def test_sizes_may_be_symbolic(theano: Any) -> None:
    T = theano.tensor
    streams = RandomStreams(1)
    shape, count = T.lvector(), T.lscalar()
    f = theano.function([shape], streams.uniform(size=shape, ndim=2))
    assert f([2, 3]).shape == (2, 3) and f([4, 0]).shape == (4, 0)
    with pytest.raises(ValueError):
        f([2])
    g = streams.uniform(size=(count, 1))
    assert g.broadcastable == (False, True)
    assert theano.function([count], g)(3).shape == (3, 1)
    with pytest.raises(ValueError, match="2 sizes and ndim=1"):
        streams.uniform((2, 3), ndim=1)


def test_parameters_broadcast(theano: Any) -> None:
    T = theano.tensor
    low, high = T.dvector(), T.dcol()
    f = theano.function([low, high], RandomStreams(3).uniform(low=low, high=high))
    lows, highs = np.array([-5.0, 0.5]), np.array([[1.0], [2.0], [3.0]])
    np.testing.assert_allclose(f(lows, highs), generators(3, 1)[0].uniform(lows, highs))
    n, rows = T.lvector(), T.dmatrix()
    g = theano.function([n, rows], RandomStreams(3).multinomial(n=n, pvals=rows))
    assert g([1, 5], [[0.2, 0.8], [0.5, 0.5]]).sum(axis=1).tolist() == [1, 5]


def test_rows_are_shuffled_by_a_permutation(theano: Any) -> None:
    m = theano.tensor.dmatrix()
    shuffled = RandomStreams(9).shuffle_row_elements(m)
    rows, order = theano.function([m], [shuffled, shuffled.permutation])(np.arange(12.0).reshape(3, 4) ** 2)
    np.testing.assert_array_equal(rows, np.take_along_axis(np.arange(12.0).reshape(3, 4) ** 2, order, 1))


def test_copies_draw_the_same(theano: Any) -> None:
    f = theano.function([], RandomStreams(4).normal((3,)))
    others = [copy.deepcopy(f), pickle.loads(pickle.dumps(f))]
    expected = [f(), f()]
    for other in others:
        np.testing.assert_array_equal([other(), other()], expected)


def test_states_as_arguments(theano: Any) -> None:
    from theano.tensor.raw_random import RandomFunction, normal, random_state_type

    state = random_state_type()
    after, out = normal(state, (4,), 0.0, 1.0)
    f = theano.function([theano.In(state, value=np.random.RandomState(8), update=after, mutable=True)], out)
    generator = np.random.RandomState(8)
    for _ in range(2):
        np.testing.assert_allclose(f(), generator.normal(size=4))
    _, same = RandomFunction("normal", theano.tensor.dvector)(state, (4,), 0.0, 1.0)
    np.testing.assert_allclose(same.eval({state: np.random.RandomState(8)}), np.random.RandomState(8).normal(size=4))


def test_bad_parameters_are_a_value_error(theano: Any) -> None:
    p = theano.tensor.dscalar("p")
    f = theano.function([p], RandomStreams(1).binomial((2,), 1, p))
    with pytest.raises(ValueError, match="binomial"):
        f(1.5)


def test_a_draw_in_a_loop_advances_in_every_step(theano: Any) -> None:
    streams = RandomStreams(6)
    drawn, updates = theano.scan(lambda: streams.uniform((2,)), n_steps=4)
    f = theano.function([], drawn, updates=updates)
    generator = generators(6, 1)[0]
    for _ in range(2):
        np.testing.assert_allclose(f(), generator.uniform(size=(4, 2)))


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(0, 1300))
def test_states_survive_the_way_through_words(seed: int, draws: int) -> None:
    generator = np.random.RandomState(seed)
    generator.normal(size=draws)
    again = generator_of(words_of(generator))
    assert again.normal() == generator.normal() and again.uniform() == generator.uniform()


def test_each_generator_is_the_callers_own(theano: Any) -> None:
    first, second = theano.shared(np.random.RandomState(1)), theano.shared(np.random.RandomState(2))
    taken, other = first.get_value(), second.get_value()
    assert taken is not other and taken.randn() == np.random.RandomState(1).randn()
    draw = theano.function([], RandomStreams(3).uniform((2,)))
    draw()
    assert other.randn() == np.random.RandomState(2).randn()


def test_sizes_of_raw_random_that_parameters_tell(theano: Any) -> None:
    raw, T = importlib.import_module("theano.tensor.raw_random"), theano.tensor
    state = raw.random_state_type()
    low = T.TensorType("float64", (False, True, True))("low")
    _, drawn = raw.uniform(state, size=None, low=low, high=np.zeros((1, 1, 1, 2)), ndim=2)
    assert drawn.eval({state: np.random.RandomState(0), low: -np.ones((3, 1, 1))}).shape == (1, 3, 1, 2)
    pvals = T.dmatrix("pvals")
    _, counts = raw.multinomial(state, size=(2, -1), n=4, pvals=pvals)
    assert counts.eval({state: np.random.RandomState(0), pvals: np.full((3, 2), 0.5)}).shape == (2, 3, 2)
    _, order = raw.permutation(state, size=None, n=5, ndim=1)
    np.testing.assert_array_equal(np.sort(order.eval({state: np.random.RandomState(0)})), np.arange(5))
    with pytest.raises(TypeError, match="one axis"):
        raw.permutation(state, size=None, n=5, ndim=2)


def test_states_are_compared_as_generators(theano: Any) -> None:
    kind = importlib.import_module("theano.tensor.raw_random").random_state_type
    assert kind.values_eq(np.random.RandomState(1), words_of(np.random.RandomState(1)))
    assert not kind.values_eq(np.random.RandomState(1), np.random.RandomState(2))
