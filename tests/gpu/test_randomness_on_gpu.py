"""Random samples on the GPU are, bit by bit, those of the NumPy backend: every distribution, over shapes and dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu.shim.kernels import ORDERS, check_found, run_found
from gpu.shim.nvrtc import check_compiles, nvrtc
from symgrad.backends.cupy.kernel import Target
from symgrad.backends.cupy.prelude import PRELUDE
from symgrad.backends.cupy.randomness import mrg_calls, random_calls
from symgrad.errors import RangeError
from symgrad.kernels.mrg31k3p import draw, substreams
from symgrad.kernels.philox import initial_state
from symgrad.kernels.random_sample import COUNT_DTYPES, DISTRIBUTIONS, FLOAT_DTYPES, INTEGER_DTYPES

quick = settings(max_examples=12, deadline=None)
SIZES = st.sampled_from([(), (1,), (3,), (7, 5), (2, 3, 4), (0, 3), (517,), (1030,)])
seeds = st.integers(0, 2**64 - 1)


def state_of(seed: int) -> np.ndarray:
    """Return a state whose fields are all far from 0."""
    state = initial_state(seed, stream=2**32 - 1 - seed % 7)
    state[2] = 2**40 + seed % 1000
    return state


def same(distribution: str, dtype: str, sizes: tuple[int, ...], state: np.ndarray, *parameters: Any) -> None:
    """Check that the kernels draw what the reference draws, and fail where that raises, in each order of threads."""
    arrays = [np.asarray(parameter) for parameter in parameters]
    declared = DISTRIBUTIONS[distribution]
    try:
        wanted = declared.sample(state, sizes, arrays, dtype)
    except RangeError:
        wanted = None
    own = arrays[1].shape[-1:] if distribution == "multinomial" else ()
    own = (int(arrays[0]),) if distribution == "permutation" else own
    operands = [state, *arrays]
    output = np.empty((*sizes, *own), dtype)
    buffers = [*operands, output]
    attributes = {"distribution": distribution, "dtype": dtype, "sizes": sizes}
    found = random_calls("random_sample", attributes, [b.shape for b in buffers], [b.dtype.name for b in buffers],
                         len(operands), Target())  # fmt: skip
    if found is None:
        assert output.size == 0 and distribution != "permutation"
        return
    for order in ORDERS if output.size < 600 else ORDERS[-1:]:
        status = run_found(found, buffers, order=order)
        assert (status != 0) == (wanted is None)
        if wanted is not None:
            assert output.dtype == wanted.dtype and output.tobytes() == wanted.tobytes()


def column(sizes: tuple[int, ...], values: np.ndarray, stretches: bool) -> np.ndarray:
    """Return values for the first axis, as a column that stretches, or the first of them as a number."""
    if not stretches or not sizes:
        return values[0]
    return np.resize(values, sizes[0]).reshape(sizes[0], *[1] * (len(sizes) - 1))


@quick
@given(SIZES, seeds, st.sampled_from(FLOAT_DTYPES), st.sampled_from(["float64", "float32", "int8", "uint64"]),
       st.booleans(), st.sampled_from([(0, 1), (-3, 5), (-2, 0), (4, 4), (0, 0), (3, 2)]))  # fmt: skip
def test_uniform_samples_have_the_same_bits(
    sizes: Any, seed: int, dtype: str, kind: str, stretches: bool, bounds: tuple[int, int]
) -> None:
    low, high = np.sort(np.abs(bounds)) if kind == "uint64" else bounds
    lows = column(sizes, np.array([low, low - (kind != "uint64"), low]).astype(kind), stretches)
    same("uniform", dtype, sizes, state_of(seed), lows, np.array(high).astype(kind))


@quick
@given(SIZES, seeds, st.sampled_from(FLOAT_DTYPES), st.booleans(), st.sampled_from([1.0, 0.25, 0.0, -1.0, np.nan]))
def test_normal_samples_have_the_same_bits(
    sizes: Any, seed: int, dtype: str, stretches: bool, deviation: float
) -> None:
    average = column(sizes, np.array([-1.5, 0.1, 0.0]), stretches)
    same("normal", dtype, sizes, state_of(seed), average, np.array(deviation, "float32"))


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_both_parts_of_the_normal_quantile_have_the_same_bits(dtype: str) -> None:
    same("normal", dtype, (20000,), state_of(3), np.array(0.0), np.array(1.0))


@quick
@given(SIZES, seeds, st.sampled_from(COUNT_DTYPES), st.booleans(), st.sampled_from([0.0, 1.0, 0.3, 1.0001, np.nan]))
def test_bernoulli_samples_have_the_same_bits(
    sizes: Any, seed: int, dtype: str, stretches: bool, chance: float
) -> None:
    same("bernoulli", dtype, sizes, state_of(seed), column(sizes, np.array([chance, 0.5, 0.9]), stretches))


@quick
@given(SIZES, seeds, st.sampled_from(INTEGER_DTYPES), st.booleans(), st.data())
def test_random_integers_have_the_same_bits(
    sizes: Any, seed: int, dtype: str, stretches: bool, data: st.DataObject
) -> None:
    limits = np.iinfo(dtype)
    least, most = max(limits.min, -(2**63)), min(limits.max, 2**63 - 1)
    low = data.draw(st.sampled_from([0, 1, least, least - 1 if dtype == "int8" else least]))
    high = data.draw(st.sampled_from([low, 1, 100, most, most + 1 if dtype == "uint8" else most]))
    lows = column(sizes, np.array([low, low, low], "int64"), stretches)
    same("random_integers", dtype, sizes, state_of(seed), lows, np.array(high, "int64"))


def test_rejected_lanes_are_drawn_again() -> None:
    """With a range of two thirds of 2**64, a third of the lanes is rejected."""
    same("random_integers", "int64", (400,), state_of(1), np.array(-(2**62)), np.array(2**63 - 3 - 2**60))


@quick
@given(SIZES, seeds, st.sampled_from(["int64", "bool", "int8", "float32", "uint64"]), st.booleans(),
       st.sampled_from([0, 1, 2, 5, 30, 100, 1000, 2**33, 2**41, -1]),
       st.sampled_from([0.0, 0.02, 0.4, 0.9, 1.0]))  # fmt: skip
def test_binomial_counts_have_the_same_bits(
    sizes: Any, seed: int, dtype: str, stretches: bool, trials: int, chance: float
) -> None:
    chances = column(sizes, np.array([chance, 0.01, 0.7]), stretches)
    same("binomial", dtype, sizes, state_of(seed), np.array(trials), chances)


@quick
@given(st.sampled_from([(), (3,), (2, 5), (0,)]), seeds, st.sampled_from(["int64", "float64", "uint8"]),
       st.sampled_from([1, 0, 7, 200, 300]), st.integers(1, 9), st.sampled_from([1.0, 1.1]), st.booleans())  # fmt: skip
def test_counts_of_categories_have_the_same_bits(
    sizes: Any, seed: int, dtype: str, trials: int, categories: int, total: float, stretches: bool
) -> None:
    rows = sizes[-1] if stretches and sizes and sizes[-1] else 1
    weights = np.random.default_rng(seed).random((rows, categories))
    weights[0, : categories - 1 : 2] = 0
    weights *= total / weights.sum(-1, keepdims=True)
    weights = weights if len(weights) > 1 else weights[0]
    same("multinomial", dtype, sizes, state_of(seed), np.array(trials), weights.astype("float32"))


@quick
@given(st.sampled_from([(), (3,), (2, 2)]), seeds, st.sampled_from(["int64", "uint8", "int32"]),
       st.sampled_from([0, 1, 2, 37, 300]))  # fmt: skip
def test_permutations_are_the_same(sizes: Any, seed: int, dtype: str, length: int) -> None:
    same("permutation", dtype, sizes, state_of(seed), np.array(length))


def test_long_permutations_are_merged() -> None:
    same("permutation", "int64", (), state_of(9), np.array(9001))


@quick
@given(st.sampled_from([(), (7,), (3, 5), (0,)]), seeds, st.sampled_from(["int64", "uint8", "int32"]),
       st.sampled_from([1, 2, 37, 300, 0, -3]))  # fmt: skip
def test_choices_are_the_same(sizes: Any, seed: int, dtype: str, size: int) -> None:
    same("choice", dtype, sizes, state_of(seed), np.array(size))


@quick
@given(st.sampled_from([(), (7,), (3, 5)]), seeds, st.booleans(), st.sampled_from([1, 20, 1500]),
       st.sampled_from([1.0, 0.9]))  # fmt: skip
def test_weighted_choices_are_the_same(sizes: Any, seed: int, replaces: bool, size: int, total: float) -> None:
    weights = np.random.default_rng(seed).random(size)
    weights[: size // 3] = 0
    weights *= total / weights.sum()
    count = int(np.prod(sizes))
    if not replaces and count > size:
        return
    name = "weighted_choice" if replaces else "weighted_choice_without_replacement"
    same(name, "int64", sizes, state_of(seed), np.array(size), weights)


def test_a_state_out_of_range_stops_the_call() -> None:
    state = initial_state(1)
    state[2] = 2**48  # the reference raises as well
    same("uniform", "float32", (3,), state, np.array(0.0), np.array(1.0))


@quick
@given(st.integers(1, 300), st.sampled_from([(), (0,), (5,), (7, 41), (700,)]), st.sampled_from(FLOAT_DTYPES),
       st.booleans())  # fmt: skip
def test_streams_of_mrg31k3p_go_on_alike(streams: int, sizes: tuple[int, ...], dtype: str, in_place: bool) -> None:
    states = substreams(np.array([11, 2, 333, 4444, 5, 66]), streams)
    wanted_states, wanted = draw(states, int(np.prod(sizes)), dtype)
    buffers = [states.copy(), np.empty_like(states), np.empty(sizes, dtype)]
    found = mrg_calls("mrg_sample", {}, [b.shape for b in buffers], [b.dtype.name for b in buffers], 1, Target())
    assert found is not None
    if in_place:
        found = [(work, [0 if place == 1 else place for place in places]) for work, places in found]
    check_found(found, buffers, updated=[0])
    assert np.array_equal(buffers[0 if in_place else 1], wanted_states)
    assert buffers[2].tobytes() == wanted.tobytes()


@pytest.mark.skipif(nvrtc() is None, reason="the wheel nvidia-cuda-nvrtc isn't installed")
def test_all_kernels_compile() -> None:
    texts = []
    for declared in DISTRIBUTIONS.values():
        own = {"permutation": (5000,), "multinomial": (7,)}.get(declared.name, ())
        shapes = [(7,) if parameter.own_axes else () for parameter in declared.parameters]
        shapes[0] = (6,) if declared.parameters[0].stretches else ()
        dtype = "float16" if declared.name == "binomial" else declared.dtypes[-1]
        attributes = {"distribution": declared.name, "dtype": dtype, "sizes": (6,)}
        found = random_calls("random_sample", attributes, [(3,), *shapes, (6, *own)],
                             ["uint64", *["bfloat16"] * len(shapes), dtype], 1 + len(shapes), Target())  # fmt: skip
        assert (found is None) == (declared.name == "choice_without_replacement")
        texts += [work.text for work, _ in found or ()]
    for dtype in FLOAT_DTYPES:
        found = mrg_calls("mrg_sample", {}, [(5, 6), (5, 6), (7,)], ["int32", "int32", dtype], 1, Target())
        texts += [work.text for work, _ in found or ()]
    check_compiles("\n".join([PRELUDE, *dict.fromkeys(texts)]))
