"""Random bits, uniform and normal numbers against scalar references; values that depend on their place alone."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import ndtri

from symgrad.kernels import philox
from symgrad.kernels.binomial import LARGEST_TRIALS, binomial
from symgrad.kernels.categorical import choice, multinomial, permutation
from symgrad.kernels.distributions import bernoulli, normal, random_integers, scale_lanes, uniform
from symgrad.kernels.normal_quantile import DOUBLE, natural_logarithm, normal_from_bits
from symgrad.kernels.philox import advance, blocks_at, initial_state, philox4x32, random_bits, random_bits64

STATE = initial_state(20240229, stream=3)
SIGNIFICANCE = 1e-4

seeds = st.integers(0, 2**64 - 1)
states = st.builds(
    lambda seed, stream, step: np.array([seed, stream, step], dtype=np.uint64),
    seeds,
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**48 - 1),
)


def reference_block(state, block, draw=0):
    """The four words of a block, with Python integers and one counter at a time."""
    key, stream, step = (int(field) for field in state)
    counter = block | draw << 40 | (step >> 32) << 48 | (step & 0xFFFFFFFF) << 64 | stream << 96
    words = [counter >> shift & 0xFFFFFFFF for shift in (0, 32, 64, 96)]
    key_0, key_1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        first, second = 0xD2511F53 * words[0], 0xCD9E8D57 * words[2]
        words = [
            second >> 32 ^ words[1] ^ key_0,
            second & 0xFFFFFFFF,
            first >> 32 ^ words[3] ^ key_1,
            first & 0xFFFFFFFF,
        ]
        key_0, key_1 = (key_0 + 0x9E3779B9) & 0xFFFFFFFF, (key_1 + 0xBB67AE85) & 0xFFFFFFFF
    return words


def reference_lane(state, element, draw=0):
    """One 64-bit element."""
    words = reference_block(state, element // 2, draw)
    return words[2 * (element % 2)] | words[2 * (element % 2) + 1] << 32


def reference_polynomial(coefficients, argument):
    result = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        result = result * argument + coefficient
    return result


def reference_logarithm(value):
    offset = struct.unpack("<q", struct.pack("<d", value))[0] - 0x3FE6A09E667F3BCD
    (scaled,) = struct.unpack("<d", struct.pack("<q", (offset & (1 << 52) - 1) + 0x3FE6A09E667F3BCD))
    f = scaled - 1.0
    s = f / (2.0 + f)
    z = s * s
    h = 0.5 * f * f
    return (offset >> 52) * DOUBLE.ln2 + (f - (h - s * (h + z * reference_polynomial(DOUBLE.logarithm, z))))


def reference_normal(lane):
    """The float64 formula of the module's docstring in Python's floats."""
    signed = lane - (1 << 64 if lane >> 63 else 0)
    a = 2 * (signed if signed >= 0 else -signed - 1) + 1
    if a <= 13 << 60:
        q = float(a) * 2.0**-65
        y = q * q
        x = 169 / 1024 - y
        ratio = reference_polynomial(DOUBLE.central_numerator, x) / reference_polynomial(DOUBLE.central_denominator, x)
        value = q * (y * ratio + DOUBLE.sqrt_two_pi)
    else:
        r = math.sqrt(-reference_logarithm(float((1 << 64) - a) * 2.0**-65))
        x = r - 1.5
        value = r + reference_polynomial(DOUBLE.tail_numerator, x) / reference_polynomial(DOUBLE.tail_denominator, x)
    return -value if signed < 0 else value


# --- bits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, 2**64 - 1, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            0x299F31D0_A4093822,
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers_of_random123(counter, key, expected):
    counters = np.tile(np.array(counter, dtype=np.uint32), (2, 3, 1))
    assert np.array_equal(philox4x32(counters, key), np.tile(np.array(expected, dtype=np.uint32), (2, 3, 1)))


@given(states, st.integers(0, 2**42 - 40), st.integers(0, 40), st.integers(0, 255))
@example(np.array([1, 2, 3], dtype=np.uint64), 2**34 - 6, 12, 7)
def test_words_follow_the_counter_layout(state, first, count, draw):
    words = [reference_block(state, element // 4, draw)[element % 4] for element in range(first, first + count)]
    assert random_bits(state, count, first=first, draw=draw).tolist() == words


@given(states, st.integers(0, 2**41 - 40), st.integers(0, 40), st.integers(0, 255))
def test_lanes_follow_the_counter_layout(state, first, count, draw):
    lanes = [reference_lane(state, element, draw) for element in range(first, first + count)]
    assert random_bits64(state, count, first=first, draw=draw).tolist() == lanes


@given(st.lists(st.integers(0, 2**40 - 1), max_size=20))
def test_blocks_are_found_in_any_order(blocks):
    lanes = blocks_at(STATE, np.array(blocks, dtype=np.uint64))
    assert lanes.tolist() == [
        [reference_lane(STATE, 2 * block), reference_lane(STATE, 2 * block + 1)] for block in blocks
    ]


def test_chunks_do_not_show(monkeypatch):
    whole = random_bits(STATE, 1000)
    monkeypatch.setattr(philox, "BLOCKS_PER_CHUNK", 7)
    assert np.array_equal(random_bits(STATE, 1000), whole)
    assert np.array_equal(random_bits(STATE, 500, first=123), whole[123:623])
    assert np.array_equal(blocks_at(STATE, np.arange(250)).view(np.uint32).ravel(), whole)


def test_states_advance_by_step_only():
    state = initial_state(9, stream=4)
    following = advance(state)
    assert state.tolist() == [9, 4, 0] and following.tolist() == [9, 4, 1] and following.dtype == np.uint64
    last = np.array([9, 4, 2**48 - 1], dtype=np.uint64)
    assert random_bits(last, 4).tolist() == reference_block(last, 0)
    with pytest.raises(OverflowError, match="seed or stream"):
        advance(last)


def test_seeds_streams_steps_and_draws_are_unrelated():
    variants = [
        random_bits(STATE, 4000),
        random_bits(advance(STATE), 4000),
        random_bits(initial_state(20240229, stream=4), 4000),
        random_bits(initial_state(20240230, stream=3), 4000),
        random_bits(STATE, 4000, draw=1),
    ]
    correlations = np.corrcoef(np.array(variants, dtype=np.float64))[np.triu_indices(5, 1)]
    assert np.all(np.abs(correlations) < 4 / math.sqrt(4000))
    assert len({int(word) for words in variants for word in words}) > 19_990


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: initial_state(-1), ValueError, "seed"),
        (lambda: initial_state(2**64), ValueError, "seed"),
        (lambda: initial_state(0, 2**32), ValueError, "stream"),
        (lambda: initial_state(1.5), TypeError, "float"),
        (lambda: random_bits(np.zeros(3), 2), TypeError, "float64"),
        (lambda: random_bits(np.array([0, 2**32, 0], dtype=np.uint64), 2), ValueError, "stream"),
        (lambda: random_bits(STATE, 2, draw=256), ValueError, "draw"),
        (lambda: random_bits(STATE, 5, first=2**42 - 4), ValueError, "don't fit"),
        (lambda: random_bits(STATE, 5, out=np.empty(4, dtype=np.uint32)), ValueError, "out"),
        (lambda: philox4x32(np.zeros(3, dtype=np.uint32), 0), ValueError, "four words"),
    ],
)
def test_bad_states_and_indices_are_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()


# --- what all distributions promise -------------------------------------------------------------------------------

DISTRIBUTIONS = {
    "uniform": lambda state, shape, **kwargs: uniform(state, shape, -2.0, 5.0, **kwargs),
    "uniform64": lambda state, shape, **kwargs: uniform(state, shape, dtype=np.float64, **kwargs),
    "normal": lambda state, shape, **kwargs: normal(state, shape, 1.0, 3.0, **kwargs),
    "normal64": lambda state, shape, **kwargs: normal(state, shape, dtype=np.float64, **kwargs),
    "bernoulli": lambda state, shape, **kwargs: bernoulli(state, shape, 0.3, **kwargs),
    "integers": lambda state, shape, **kwargs: random_integers(state, shape, -5, 2**62, **kwargs),
    "inversion": lambda state, shape, **kwargs: binomial(state, shape, 9, 0.8, **kwargs),
    "rejection": lambda state, shape, **kwargs: binomial(state, shape, 1000, 0.4, **kwargs),
    "category": lambda state, shape, **kwargs: multinomial(state, shape, 1, [0.2, 0.3, 0.5], **kwargs),
    "counts": lambda state, shape, **kwargs: multinomial(state, shape, 30, [0.2, 0.3, 0.5], **kwargs),
    "permutation": lambda state, shape, **kwargs: permutation(state, shape, 4, **kwargs),
    "choice": lambda state, shape, **kwargs: choice(state, shape, 12, **kwargs),
    "weighted": lambda state, shape, **kwargs: choice(state, shape, 3, p=[0.1, 0.2, 0.7], **kwargs),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_first_elements_do_not_depend_on_shape_or_chunks(name, monkeypatch):
    draw = DISTRIBUTIONS[name]
    whole = draw(STATE, 40_000)
    assert np.array_equal(draw(STATE, (7, 11)).reshape(77, *whole.shape[1:]), whole[:77])
    assert np.array_equal(draw(STATE, ()), whole[0])
    monkeypatch.setattr(philox, "BLOCKS_PER_CHUNK", 5)
    assert np.array_equal(draw(STATE, 300), whole[:300])
    assert not np.array_equal(draw(advance(STATE), 77), whole[:77])


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_out_is_filled_and_empty_shapes_are_empty(name):
    draw = DISTRIBUTIONS[name]
    expected = draw(STATE, (3, 4))
    out = np.empty_like(expected)
    assert draw(STATE, (3, 4), out=out) is out
    assert np.array_equal(out, expected)
    assert draw(STATE, (0, 3)).shape[:2] == (0, 3)
    for wrong in (np.empty_like(expected)[:2], np.empty(expected.shape, dtype=np.int8), np.asfortranarray(expected)):
        with pytest.raises(ValueError, match="out must be"):
            draw(STATE, (3, 4), out=wrong)


def test_seed_gives_these_numbers_for_ever():
    state = initial_state(1234, stream=1)
    assert uniform(state, 3).view(np.uint32).tolist() == [1063547073, 1040164360, 1058717334]
    assert normal(state, 3).view(np.uint32).tolist() == [3196838480, 1050863971, 3214988390]
    assert normal(state, 3, dtype=np.float64).view(np.uint64).tolist() == [
        4599403564737650040,
        13831638819898407770,
        13826511767772343788,
    ]
    assert random_integers(state, 8, 0, 99).tolist() == [12, 60, 79, 91, 27, 31, 13, 83]
    assert binomial(state, 5, [0, 1, 20, 300, 10**9], 0.4).tolist() == [0, 1, 8, 124, 399971322]
    assert multinomial(state, 2, 50, [0.1, 0.2, 0.3, 0.4]).tolist() == [[6, 12, 9, 23], [6, 14, 11, 19]]
    assert multinomial(state, 6, 1, [0.25, 0.25, 0.5]).argmax(axis=1).tolist() == [1, 0, 1, 1, 2, 1]
    assert permutation(state, (), 8).tolist() == [0, 6, 4, 5, 1, 2, 7, 3]
    assert choice(state, 3, 6, replace=False, p=[0.1, 0.1, 0.1, 0.2, 0.2, 0.3]).tolist() == [3, 2, 5]


# --- uniform ------------------------------------------------------------------------------------------------------


def test_uniform_is_uniform():
    for dtype, resolution in ((np.float32, 24), (np.float64, 53)):
        values = uniform(STATE, 200_000, dtype=dtype)
        assert values.dtype == dtype and values.min() >= 0 and values.max() < 1
        assert np.all(values.astype(np.float64) * 2.0**resolution % 1 == 0)
        assert stats.kstest(values, "uniform").pvalue > SIGNIFICANCE
    assert uniform(STATE, 3, dtype=np.float64).tolist() == [
        (reference_lane(STATE, k) >> 11) * 2.0**-53 for k in range(3)
    ]


@given(st.data(), st.sampled_from([np.float32, np.float64]))
def test_uniform_stays_in_its_interval(data, dtype):
    floats = st.floats(-(2.0**100), 2.0**100, width=32 if dtype == np.float32 else 64)
    low, high = sorted((data.draw(floats), data.draw(floats)))
    if data.draw(st.booleans()):
        high = float(np.nextafter(dtype(low), dtype(np.inf)))
    values = uniform(STATE, 300, low, high, dtype=dtype)
    assert np.all(values >= low)
    assert np.all(values == low) if low == high else np.all(values < high)


def test_uniform_takes_arrays_of_bounds():
    low = np.array([[0.0], [10.0]])
    values = uniform(STATE, (2, 500), low, [11.0] * 500)
    unit = uniform(STATE, (2, 500))
    assert np.array_equal(
        values[1], np.minimum(unit[1] * np.float32(1) + np.float32(10), np.nextafter(np.float32(11), 0))
    )
    assert values[0].min() < 1 and values[0].max() > 10


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: uniform(STATE, 3, 2.0, 1.0), ValueError, "high - low"),
        (lambda: uniform(STATE, 3, -3e38, 3e38), ValueError, "finite"),
        (lambda: uniform(STATE, 3, np.nan, 1.0), ValueError, "finite"),
        (lambda: uniform(STATE, 3, dtype=np.int64), TypeError, "int64"),
        (lambda: uniform(STATE, (2, 3), np.zeros(2)), ValueError, "low of shape"),
        (lambda: normal(STATE, 3, 0.0, [1.0, -1.0, 1.0]), ValueError, "std"),
        (lambda: bernoulli(STATE, 3, 1.0001), ValueError, r"1\.0001"),
        (lambda: bernoulli(STATE, 3, np.nan), ValueError, "p must"),
        (lambda: random_integers(STATE, 3, 5, 4), ValueError, "below low"),
        (lambda: random_integers(STATE, 3, 0.5, 4), TypeError, "integer"),
        (lambda: random_integers(STATE, 3, 0, 200, dtype=np.int8), ValueError, "int8"),
        (lambda: random_integers(STATE, 3, 0, 2**63), ValueError, "int64"),
        (lambda: random_integers(STATE, 3, 0, 2, dtype=np.float32), TypeError, "float32"),
        (lambda: binomial(STATE, 3, -1, 0.5), ValueError, "n must"),
        (lambda: binomial(STATE, 3, LARGEST_TRIALS + 1, 0.5), ValueError, "n must"),
        (lambda: binomial(STATE, 3, 2.0, 0.5), TypeError, "integer"),
        (lambda: binomial(STATE, 3, 5, -0.1), ValueError, "p must"),
        (lambda: multinomial(STATE, None, 1, [0.5, 0.6]), ValueError, "add up"),
        (lambda: multinomial(STATE, None, 1, [1.5, -0.5]), ValueError, "negative"),
        (lambda: multinomial(STATE, None, 1, 1.0), ValueError, "category"),
        (lambda: permutation(STATE, (), -1), ValueError, "n >= 0"),
        (lambda: choice(STATE, 3, 0), ValueError, "from 0"),
        (lambda: choice(STATE, 3, 2, replace=False), ValueError, "without replacement from 2"),
        (lambda: choice(STATE, 2, 3, replace=False, p=[1.0, 0.0, 0.0]), ValueError, "from 1"),
        (lambda: choice(STATE, 2, 3, p=[0.5, 0.5]), ValueError, "each of 3"),
        (lambda: choice(STATE, 2, 1.5), ValueError, "vector"),
    ],
)
def test_bad_parameters_are_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()


# --- normal -------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**64 - 1))
@example(0)
@example(2**63 - 1)
@example(2**63)
@example((13 << 59) - 1)
@example(13 << 59)
def test_double_normal_is_the_documented_formula(lane):
    value = normal_from_bits(np.array([lane], dtype=np.uint64), np.empty(1))[0]
    assert value == reference_normal(lane)


def words_of_all_magnitudes(bits, count):
    """Positive signed integers: evenly spread, close to 0, close to the largest, and around the seam."""
    largest = 2 ** (bits - 1) - 1
    powers = np.unique(np.exp2(np.linspace(0, bits - 2, count)).astype(np.uint64))
    seam = 13 << bits - 5
    spread = np.linspace(0, largest * 0.999, count).astype(np.uint64)
    seam_values = np.arange(seam - 1000, seam + 1000, dtype=np.uint64)
    return np.concatenate([spread, powers, np.uint64(largest) - powers, seam_values, np.uint64([0, largest])])


def test_single_normal_is_within_four_ulp():
    words = words_of_all_magnitudes(32, 200_000)
    exact = -ndtri((2.0**32 - (2.0 * words + 1)) / 2**33)
    values = normal_from_bits(words.astype(np.uint32), np.empty(words.size, dtype=np.float32))
    assert np.max(np.abs(values - exact) / np.spacing(exact.astype(np.float32))) < 3.5
    assert values.max() > 6.33
    mirrored = normal_from_bits(~words.astype(np.uint32), np.empty(words.size, dtype=np.float32))
    assert np.array_equal(mirrored, -values)


def test_double_normal_agrees_with_scipy():
    lanes = words_of_all_magnitudes(64, 50_000)
    values = normal_from_bits(lanes.copy(), np.empty(lanes.size))
    odd = 2 * lanes + np.uint64(1)
    is_tail = odd > np.uint64(2**63)
    exact = np.where(is_tail, -ndtri(np.negative(odd) * 2.0**-65), -ndtri(0.5 - odd * 2.0**-65))
    assert np.max(np.abs(values - exact)) < 2e-14
    assert values.max() > 9.15


def test_logarithm_is_within_an_ulp_or_so():
    rng = np.random.default_rng(0)
    for dtype, limit in ((np.float32, 80), (np.float64, 700)):
        values = np.concatenate([np.exp(rng.uniform(-limit, limit, 20_000)), rng.uniform(0.5, 2, 20_000)]).astype(dtype)
        exact = np.log(values.astype(np.longdouble))
        spacing = np.spacing(np.abs(exact).astype(dtype))
        assert np.max(np.abs(natural_logarithm(values) - exact) / spacing) < 1.5
        assert natural_logarithm(np.ones(1, dtype=dtype))[0] == 0


def test_normal_is_normal():
    for dtype in (np.float32, np.float64):
        values = normal(STATE, 200_000, dtype=dtype)
        assert values.dtype == dtype
        assert stats.kstest(values, "norm").pvalue > SIGNIFICANCE
        assert abs(stats.kurtosis(values)) < 0.05 and abs(stats.skew(values)) < 0.03
        scaled = normal(STATE, (2, 100_000), [[5.0], [0.0]], [[0.5], [2.0]], dtype=dtype)
        expected = values.reshape(2, -1) * dtype([[0.5], [2.0]]) + dtype([[5.0], [0.0]])
        assert np.array_equal(scaled, expected)
    assert np.all(normal(STATE, 5, 3.0, 0.0) == 3)


# --- Bernoulli and integers -----------------------------------------------------------------------------------------


@given(st.floats(0, 1))
@example(0.0)
@example(1.0)
@example(2.0**-24)
@example(np.nextafter(2.0**-24, 1))
@example(1e-12)
def test_bernoulli_is_uniform_below_p(p):
    below = uniform(STATE, 500).astype(np.float64) < p
    for dtype in (np.int64, np.float32, np.bool_):
        values = bernoulli(STATE, 500, p, dtype=dtype)
        assert values.dtype == dtype and np.array_equal(values, below)
    assert np.array_equal(bernoulli(STATE, 500, np.full(500, p)), below)


def test_bernoulli_is_strictly_below_p():
    values = uniform(STATE, 50)
    for element, value in enumerate(values.astype(np.float64)):
        assert not bernoulli(STATE, 50, value)[element]
        assert bernoulli(STATE, 50, np.nextafter(value, 1))[element]
    assert not bernoulli(STATE, 50, values).any()


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
@example(-(2**63), 2**63 - 1)
@example(-(2**62), 2**62)
@example(7, 7)
@settings(max_examples=50)
def test_integers_follow_the_documented_rejection(one, other):
    low, high = sorted((one, other))
    size = high - low + 1
    expected = []
    for element in range(20):
        draw = 0
        while size * reference_lane(STATE, element, draw) % 2**64 < 2**64 % size:
            draw += 1
        expected.append(low + (size * reference_lane(STATE, element, draw) >> 64))
    assert random_integers(STATE, 20, low, high).tolist() == expected
    assert random_integers(STATE, 20, [low] * 20, high).tolist() == expected


@given(st.integers(0, 2**64 - 1), st.integers(1, 2**64 - 1))
def test_lanes_are_scaled_in_128_bits(lane, size):
    offsets, accepted = scale_lanes(np.array([lane], dtype=np.uint64), np.array(size, dtype=np.uint64))
    assert int(offsets[0]) == lane * size >> 64
    assert bool(accepted[0]) == (lane * size % 2**64 >= 2**64 % size)
