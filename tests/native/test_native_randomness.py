"""Native random samples: the same bits as the NumPy backend's, at any size, width and number of units."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scalar_kernels import entry_of

from symgrad.backends.native.kernel import NativeKernel
from symgrad.backends.native.llvm.host import host
from symgrad.backends.native.llvm.text import module_text
from symgrad.backends.native.randomness import ELEMENTS_PER_UNIT, random_kernel
from symgrad.kernels.philox import initial_state
from symgrad.kernels.random_sample import COUNT_DTYPES, DISTRIBUTIONS

GUARD = 64


def call(
    kernel: NativeKernel, operands: Sequence[np.ndarray], out: np.ndarray, begin: int, end: int, cap: str | None = None
) -> int:
    """Call a kernel for some units."""
    text = module_text(kernel.functions).replace(f"@{kernel.name}(", "@k(")
    entry = entry_of(text, host(cap) if cap else None)
    scratch = np.zeros(kernel.scratch + 64, np.uint8)
    start = -scratch.ctypes.data % 64
    addresses = (ctypes.c_void_p * (len(operands) + 1))(*[x.ctypes.data for x in operands], out.ctypes.data)
    sizes = np.array([out.size], np.int64)
    return int(entry(addresses, sizes.ctypes.data, begin, end, scratch.ctypes.data + start))


def sample(
    distribution: str, state: np.ndarray, count: int, parameters: Sequence[float], dtype: str, cap: str = "",
    parameter_dtype: str = "float64", is_open: bool = False,
) -> np.ndarray:  # fmt: skip
    """Return a native sample; raises ValueError where the kernel fails."""
    processor = host(cap or None)
    operands = [state, *[np.array(value, parameter_dtype) for value in parameters]]
    kernel = random_kernel(
        distribution, dtype, "n" if is_open else count, [parameter_dtype] * len(parameters), processor.vector_bytes)
    assert kernel is not None
    padded = np.full(count + 2 * GUARD, 7, dtype)
    out = padded[GUARD : GUARD + count]
    before = padded.copy()
    # Units in any order give the same.
    for unit in reversed(range(max(-(-count // kernel.unit_block), 1))):
        if call(kernel, operands, out, unit, unit + 1, cap or None):
            raise ValueError(distribution)
    np.testing.assert_array_equal(padded[:GUARD], before[:GUARD], "it wrote before the sample")
    np.testing.assert_array_equal(padded[GUARD + count :], before[GUARD + count :], "it wrote after the sample")
    return out


def bits(array: np.ndarray) -> np.ndarray:
    """Return the bytes of an array."""
    return array.view(np.uint8)


PARAMETERS: dict[str, list[tuple[float, ...]]] = {
    "bernoulli": [(0.5,), (0.0,), (1.0,), (1e-9,), (0.3,), (1 - 2.0**-25,)],
    "uniform": [(0.0, 1.0), (-3.5, 2.25), (1.0, 1.0), (-1.0, 0.0), (-5.0, -4.0), (0.0, 1e-30)],
    "normal": [(0.0, 1.0), (-2.0, 0.3), (1.0, 0.0)],
}


@pytest.mark.parametrize("cap", ["", "avx2", "sse2"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("distribution", PARAMETERS)
def test_a_sample_has_the_bits_of_numpys(distribution: str, dtype: str, cap: str) -> None:
    for seed, parameters in enumerate(PARAMETERS[distribution]):
        state = initial_state(0x9E3779B97F4A7C15 + seed, stream=0xFFFFFFFE)
        state[2] = (1 << 47) + 12345 + seed
        count = ELEMENTS_PER_UNIT + 77
        expected = DISTRIBUTIONS[distribution].sample(state, (count,), parameters, dtype)
        found = sample(distribution, state, count, parameters, dtype, cap)
        np.testing.assert_array_equal(bits(found), bits(expected))


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(0, 200),
    distribution=st.sampled_from(sorted(PARAMETERS)),
    dtype=st.sampled_from(["float32", "float64"]),
    key=st.integers(0, 2**64 - 1),
    step=st.integers(0, 2**48 - 1),
    is_open=st.booleans(),
)
def test_any_size_and_state(
    count: int, distribution: str, dtype: str, key: int, step: int, is_open: bool
) -> None:
    state = np.array([key, 3, step], np.uint64)
    parameters = PARAMETERS[distribution][-1]
    count = count if is_open else count // 40 * 17  # few texts
    expected = DISTRIBUTIONS[distribution].sample(state, (count,), parameters, dtype)
    found = sample(distribution, state, count, parameters, dtype, is_open=is_open)
    np.testing.assert_array_equal(bits(found), bits(expected))


@pytest.mark.parametrize("dtype", COUNT_DTYPES)
def test_bernoulli_of_any_dtype(dtype: str) -> None:
    state = initial_state(5)
    expected = DISTRIBUTIONS["bernoulli"].sample(state, (333,), [0.4], dtype)
    np.testing.assert_array_equal(sample("bernoulli", state, 333, [0.4], dtype), expected)


@pytest.mark.parametrize("kind", ["bool", "int8", "uint64", "float32"])
def test_parameters_of_other_dtypes(kind: str) -> None:
    state = initial_state(6)
    for distribution, parameters in (("bernoulli", [1]), ("uniform", [0, 1]), ("normal", [1, 1])):
        values = [np.array(value, kind) for value in parameters]
        expected = DISTRIBUTIONS[distribution].sample(state, (50,), values, "float64")
        found = sample(distribution, state, 50, parameters, "float64", parameter_dtype=kind)
        np.testing.assert_array_equal(bits(found), bits(expected))


@pytest.mark.parametrize(
    ("distribution", "parameters"),
    [
        ("bernoulli", [1.5]), ("bernoulli", [-1e-9]), ("bernoulli", [np.nan]), ("uniform", [1.0, 0.0]),
        ("uniform", [0.0, np.inf]), ("uniform", [np.nan, 1.0]), ("normal", [0.0, -1.0]), ("normal", [0.0, np.nan]),
    ],
)  # fmt: skip
def test_parameters_out_of_range_are_found(distribution: str, parameters: list[float]) -> None:
    with pytest.raises(ValueError, match=distribution):
        sample(distribution, initial_state(1), 10, parameters, "float32")


@pytest.mark.parametrize("place", [1, 2])
def test_a_state_that_is_none_is_found(place: int) -> None:
    state = initial_state(1)
    state[place] = 2**60
    with pytest.raises(ValueError, match="uniform"):
        sample("uniform", state, 10, [0.0, 1.0], "float32")


def test_what_has_no_native_code_says_so() -> None:
    assert random_kernel("binomial", "int64", 10, ["int64", "float64"], 64) is None
    assert random_kernel("uniform", "float32", 10, ["float16", "float32"], 64) is None
    assert random_kernel("bernoulli", "complex64", 10, ["float32"], 64) is None


def test_samples_of_several_sizes_share_their_code() -> None:
    kernels = [random_kernel("bernoulli", "float32", count, ["float64"], 64) for count in (10, 20, 30)]
    text = module_text([function for kernel in kernels if kernel for function in kernel.functions])
    assert text.count("\ndefine i32") == 3
    assert text.count("\ndefine internal") == 1
