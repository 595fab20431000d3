"""Samples in a graph: sizes, parameters, dtypes, mistakes, gradients and rewriting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.errors import DisconnectedInputError, DTypeError, RangeError, ShapeError
from symgrad.graph.op import Operand, registry
from symgrad.graph.types import TensorType
from symgrad.kernels import philox
from symgrad.kernels.random_sample import COUNT_DTYPES, DISTRIBUTIONS
from symgrad.ops.random import RandomSample, sample_from
from symgrad.random import RandomStreams
from symgrad.rewriting.engine import RULES

SEED = 20240229


def drawn(variable, **options):
    return symgrad.function([], variable, **options)()


def same(left, right):
    return len(left) == len(right) and all(map(np.array_equal, left, right))


# ---- sizes and parameters -------------------------------------------------------------------------------------------


def test_known_sizes_are_in_the_type_and_symbolic_ones_follow_the_call():
    streams = RandomStreams(SEED)
    n, x = T.lscalar("n"), T.matrix("x")
    assert streams.uniform(4).type == TensorType("float32", (4,))
    assert streams.uniform(()).type == TensorType("float32", ())
    assert streams.uniform((2, n)).type == TensorType("float32", (2, None))
    assert streams.multinomial((n,), 3, [0.5, 0.5]).type == TensorType("int64", (None, 2))
    assert streams.permutation((3,), n).type == TensorType("int64", (3, None))
    draw = symgrad.function([n, x], [streams.normal((2, n)), streams.uniform(x.shape), streams.permutation((2,), n)])
    for count in (0, 1, 5):
        shapes = [sample.shape for sample in draw(count, np.zeros((count, 3), "float32"))]
        assert shapes == [(2, count), (count, 3), (2, count)]


def test_an_array_begins_alike_whatever_its_size():
    n = T.lscalar("n")
    draw = symgrad.function([n], RandomStreams(SEED).normal((n,)), no_default_updates=True)
    assert np.array_equal(draw(3), draw(10)[:3])


def test_a_vector_of_unknown_length_needs_ndim():
    size = T.lvector("size")
    streams = RandomStreams(SEED)
    with pytest.raises(ShapeError, match="uniform needs to know how many sizes"):
        streams.uniform(size)
    draw = symgrad.function([size], streams.uniform(size, ndim=2))
    assert draw([2, 3]).shape == (2, 3)
    with pytest.raises(ShapeError):
        draw([2, 3, 4])
    with pytest.raises(ShapeError, match="got 2 sizes and ndim=3"):
        streams.uniform((2, 3), ndim=3)


def test_without_a_size_parameters_broadcast():
    streams = RandomStreams(SEED)
    column, row, mean = T.col("column"), T.row("row"), T.vector("mean")
    sample = streams.normal(None, column, 1e-3 + 0 * row)
    assert sample.type.ndim == 2
    found = symgrad.function([column, row], sample)([[0], [10]], [[1, 2, 3]])
    assert np.abs(found - [[0] * 3, [10] * 3]).max() < 0.1
    assert symgrad.function([mean], streams.uniform(None, mean, mean + 1))([1, 2]).astype(int).tolist() == [1, 2]
    assert streams.normal(None, np.zeros(3), ndim=2).type.shape == (1, 3)
    assert drawn(streams.binomial(p=[0.0, 1.0])).tolist() == [0, 1]


def test_symbolic_parameters_of_every_distribution():
    streams = RandomStreams(SEED)
    low, high, n, p = T.fvector("low"), T.scalar("high"), T.lvector("n"), T.fmatrix("p")
    samples = [
        streams.uniform((2, 3), low, high), streams.normal((2, 3), low, high),
        streams.binomial((2, 3), n, p), streams.random_integers((2, 3), -n, n),
        streams.multinomial((2,), n[:2], p), streams.choice((4,), n), streams.choice((4,), 3, p=p[0]),
        streams.permutation((), n[0]),
    ]  # fmt: skip
    values = [[-5, -6, -7], 2.0, [3, 1, 2], [[0, 1, 0], [1, 0, 0]]]
    found = symgrad.function([low, high, n, p], samples)(*values)
    assert (found[0] >= values[0]).all() and (found[0] < 2).all()
    assert found[2].tolist() == [[0, 1, 0], [3, 0, 0]]
    assert (np.abs(found[3]) <= values[2]).all()
    assert found[4].tolist() == [[0, 3, 0], [1, 0, 0]]
    assert set(found[5]) <= {1, 2, 3}
    assert found[6].tolist() == [1] * 4
    assert sorted(found[7]) == [0, 1, 2]


def test_a_size_that_is_1_only_at_run_time_does_not_stretch():
    n, p = T.lscalar("n"), T.vector("p")
    draw = symgrad.function([n, p], RandomStreams(SEED).bernoulli((n,), p))
    assert draw(2, [0, 1]).tolist() == [0, 1]
    with pytest.raises(ShapeError, match="bernoulli got sizes 1 and 3 on axis 0"):
        draw(3, [0.5])


@pytest.mark.parametrize("dtype", COUNT_DTYPES)
def test_counts_come_in_the_dtype_that_is_asked_for(dtype):
    def counts(dtype):
        streams = RandomStreams(SEED)
        return drawn([streams.bernoulli((9,), dtype=dtype), streams.binomial((9,), [n], dtype=dtype)])

    n = 1 if dtype == "bool" else 9
    for found, wanted in zip(counts(dtype), counts("int64"), strict=True):
        assert found.dtype == dtype
        assert np.array_equal(found, wanted)


def test_the_default_dtype_of_real_numbers_is_floatX():
    with symgrad.config.change_flags(floatX="float64"):
        assert RandomStreams(1).uniform((2,)).dtype == "float64"
        assert RandomStreams(1).normal((2,)).dtype == "float64"
    assert RandomStreams(1).uniform((2,)).dtype == "float32"
    assert RandomStreams(1).choice((2,), np.float32([1, 2])).dtype == "float32"
    assert RandomStreams(1).permutation(n=3, dtype="int8").dtype == "int8"


def test_the_mask_is_the_same_for_both_floatX():
    def mask():
        return drawn(T.cast(RandomStreams(SEED).binomial((1000,), 1, 0.1), "floatX"))

    with symgrad.config.change_flags(floatX="float64"):
        wide = mask()
    assert np.array_equal(wide, mask())


# ---- errors ---------------------------------------------------------------------------------------------------------


MISTAKES = [
    (lambda s: s.normal((3,), std=-1.0), RangeError, "std must not be negative; got -1"),
    (lambda s: s.uniform((3,), 2.0, 1.0), RangeError, "high - low must be finite and not negative"),
    (lambda s: s.binomial((3,), p=1.5), RangeError, "p must lie between 0 and 1; got 1.5"),
    (lambda s: s.multinomial(pvals=[0.5, 0.2]), RangeError, "pvals must add up to 1"),
    (lambda s: s.uniform((3,), np.zeros((2, 3))), ShapeError, "too few sizes"),
    (lambda s: s.uniform((3,), np.zeros(2)), ShapeError, r"can't draw \(3,\) with low of float32 \(2,\)"),
    (lambda s: s.uniform(None, np.zeros(2), np.ones(3)), ShapeError, "with high of"),
    (lambda s: s.uniform((-1,)), ShapeError, r"negative size: \(-1,\)"),
    (lambda s: s.permutation(n=[3, 4]), ShapeError, "n of permutation must be a scalar"),
    (lambda s: s.permutation(n=300, dtype="int8"), RangeError, "a position may reach 299, which doesn't fit int8"),
    (lambda s: s.multinomial(n=300, dtype="uint8"), RangeError, "a count may reach 300, which doesn't fit uint8"),
    (lambda s: s.choice((4,), 3, replace=False), RangeError, "can't choose 4 elements without replacement from 3"),
    (lambda s: s.choice((4,), 3, p=[0.5, 0.5]), ShapeError, "one probability for each of 3"),
    (lambda s: s.choice((4,), np.zeros((2, 2))), ShapeError, "an integer or a vector"),
    (lambda s: s.shuffle_row_elements(3.0), ShapeError, "got a scalar"),
    (lambda s: s.uniform((2.5,)), DTypeError, "integers as sizes"),
    (lambda s: s.uniform((3,), dtype="int32"), DTypeError, "uniform can't be int32; it can be float32, float64"),
    (lambda s: s.binomial((3,), dtype="complex64"), DTypeError, "bernoulli can't be complex64"),
    (lambda s: s.random_integers((3,), dtype="float32"), DTypeError, "can't be float32"),
    (lambda s: s.binomial((3,), n=0.5), DTypeError, "n of binomial must be an integer, got float64"),
    (lambda s: s.uniform((3,), "low"), DTypeError, "expected a symbolic variable, a number or an array"),
    (lambda s: RandomStreams(1.5), DTypeError, "a seed must be an integer"),
    (lambda s: RandomStreams(-1), RangeError, r"between 0 and 2\*\*64 - 1, got -1"),
]


@pytest.mark.parametrize(("mistake", "error", "text"), MISTAKES)
def test_mistakes_are_errors_on_the_line_that_makes_them(mistake, error, text):
    streams = RandomStreams(SEED)
    with pytest.raises(error, match=text):
        mistake(streams)
    assert streams.state_updates == []


def test_an_error_shows_the_line_and_the_parameters_by_name():
    with pytest.raises(ShapeError) as caught:
        RandomStreams(SEED).normal((3,), np.zeros(2), 1.0)
    text = str(caught.value)
    assert "RandomStreams(SEED).normal((3,), np.zeros(2), 1.0)" in text
    assert "avg   float32 (2,)" in text
    assert "uint64" not in text


# ---- in a graph -----------------------------------------------------------------------------------------------------


def test_the_gradient_flows_through_a_masked_value():
    streams = RandomStreams(SEED)
    x = T.matrix("x")
    mask = streams.binomial(size=x.shape, n=1, p=0.5)
    scaled = x * T.cast(mask, "floatX")
    train = symgrad.function([x], [mask, symgrad.grad((scaled**2).sum(), x)])
    value = np.arange(12, dtype="float32").reshape(3, 4) + 1
    for _ in range(2):
        found, gradient = train(value)
        assert np.array_equal(gradient, 2 * value * found)
        assert 0 < found.sum() < 12


def test_a_sample_is_constant_to_the_gradient_and_the_error_says_what_to_write():
    mean = T.vector("mean")
    streams = RandomStreams(SEED)
    with pytest.raises(DisconnectedInputError, match=r"normal cut the path.*avg \+ std \* normal"):
        symgrad.grad(streams.normal((3,), mean).sum(), mean)
    noise = streams.normal((3,))
    assert np.array_equal(symgrad.grad((mean + 2 * noise).sum(), mean).eval({mean: [1, 2, 3]}), [1, 1, 1])


def test_the_gradient_flows_to_what_a_choice_chooses_from():
    values = T.vector("values")
    chosen = RandomStreams(SEED).choice((100,), values)
    both = symgrad.function([values], [chosen, symgrad.grad(chosen.sum(), values)])
    found, gradient = both([1, 2, 3])
    assert gradient.tolist() == [np.sum(found == value) for value in (1, 2, 3)]


def test_rows_are_shuffled_each_on_its_own():
    rows = np.tile(np.arange(8), (50, 1)) + 100 * np.arange(50)[:, None]
    x = T.lmatrix("x")
    shuffled = RandomStreams(SEED).shuffle_row_elements(x)
    found, order = symgrad.function([x], [shuffled, shuffled.tag.permutation])(rows)
    assert np.array_equal(np.sort(found, axis=1), rows)
    assert np.array_equal(np.take_along_axis(rows, order, axis=1), found)
    assert len(np.unique(order, axis=0)) > 40
    cube = RandomStreams(SEED).shuffle_row_elements(np.arange(24).reshape(2, 3, 4))
    assert cube.type.shape == (2, 3, 4)
    assert np.array_equal(np.sort(drawn(cube), axis=-1), np.arange(24).reshape(2, 3, 4))


def test_a_mask_is_drawn_in_the_dtype_it_is_used_in():
    rule = "cast_of_bernoulli_draw_is_drawn_in_that_dtype"
    assert rule in RULES

    def compiled(mode):
        x = T.matrix("x")
        mask = T.cast(RandomStreams(SEED).binomial(x.shape, 1, 0.5), "floatX")
        return symgrad.function([x], x * mask + mask, mode=mode)

    def drawn_dtypes(function):
        return [node.op.dtype for node in function.rewritten.order if isinstance(node.op, RandomSample)]

    with_rule, without = compiled("default"), compiled(symgrad.Mode.named("default").excluding(rule))
    assert drawn_dtypes(with_rule) == ["float32"]
    assert drawn_dtypes(without) == ["int64"]
    value = np.ones((4, 5), "float32")
    assert same([with_rule(value) for _ in range(3)], [without(value) for _ in range(3)])


def test_a_mask_used_in_two_dtypes_is_drawn_once():
    mask = RandomStreams(SEED).bernoulli((20,))
    draw = symgrad.function([], [mask, T.cast(mask, "float32"), T.cast(mask, "int8")])
    assert sum(isinstance(node.op, RandomSample) for node in draw.rewritten.order) == 1
    found = draw()
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])


def test_a_size_of_a_sample_draws_nothing():
    n = T.lscalar("n")
    sample = RandomStreams(SEED).uniform((3, n))
    shape = symgrad.function([n], sample.shape, no_default_updates=True, on_unused_input="ignore")
    assert shape(5).tolist() == [3, 5]
    assert not any(isinstance(node.op, RandomSample) for node in shape.rewritten.order)


def test_the_samples_of_the_op_hold():
    assert registry.ops["RandomSample"] is RandomSample
    for op, sample in RandomSample.samples():
        operands = [Operand(TensorType(a.dtype, a.shape)) for a in sample.arguments]
        if sample.error is not None:
            state, *rest = [operand.type() for operand in operands]
            with pytest.raises(sample.error):
                op(state, *rest)
            continue
        (kind,), (value,) = op.infer(*operands), op.evaluate(*sample.arguments)
        assert kind.dtype == value.dtype
        assert all(size in (None, found) for size, found in zip(kind.shape, value.shape, strict=True))
        variables = [operand.type() for operand in operands]
        compute = symgrad.function(variables, op(*variables))
        assert np.array_equal(compute(*sample.arguments), value)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(0, 4), max_size=3), st.sampled_from(sorted(DISTRIBUTIONS)), st.integers(0, 2**32))
def test_compiled_samples_are_what_the_op_means(sizes, distribution, seed):
    declared = DISTRIBUTIONS[distribution]
    values = {"low": 0, "high": 3, "avg": 1, "std": 2, "p": 0.5, "n": 3, "a": 70}
    parameters = [values.get(parameter.name) for parameter in declared.parameters]
    if declared.parameters[-1].own_axes:
        parameters[-1] = np.full(70, 1 / 70)
    state = symgrad.shared(philox.initial_state(seed), shape=(3,))
    symbolic = T.lvector("sizes")
    sample = sample_from(distribution, state, symbolic, parameters, declared.dtypes[-1], ndim=len(sizes))
    expected = declared.sample(state.get_value(), tuple(sizes), parameters, declared.dtypes[-1])
    found = symgrad.function([symbolic], sample, on_unused_input="ignore")(np.array(sizes, dtype="int64"))
    assert np.array_equal(found, expected)
    assert found.dtype == expected.dtype
