"""CUDA kernels for pooling against the ops' own meaning, on the CPU: all windows, strides, pads, modes and dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gpu.image_checks import calls_of, check, dtypes, few, normal, seeds, sizes_of, windows
from gpu.shim.kernels import check_found
from symgrad.backends.cupy.kernel import Target
from symgrad.ops.pool import MODES, MaxPoolGradient, MaxPoolPushforward, Pool2d, SumPoolGradient


@st.composite
def poolings(draw: Any) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Draw parameters of pooling, and the images' shape."""
    window = draw(windows)
    ignore_border = draw(st.booleans())
    pad = tuple(draw(st.integers(0, size - 1)) if ignore_border else 0 for size in window)
    stride = draw(st.one_of(st.just(window), st.tuples(st.integers(1, 5), st.integers(1, 5))))
    shape = draw(st.integers(0, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 12)), draw(st.integers(1, 40))
    return {"window": window, "stride": stride, "pad": pad, "ignore_border": ignore_border}, shape


@few
@given(poolings(), st.sampled_from(MODES), dtypes, seeds)
def test_pooling(case: Any, mode: str, dtype: str, seed: int) -> None:
    parameters, shape = case
    check(Pool2d(**parameters, mode=mode), [np.round(normal(seed, shape, dtype), 1)])


@few
@given(poolings(), st.sampled_from(["max", "sum"]), st.sampled_from(["int8", "uint16", "int32", "int64"]), seeds)
def test_pooling_of_integers(case: Any, mode: str, dtype: str, seed: int) -> None:
    parameters, shape = case
    images = np.random.RandomState(seed).randint(0, 120, shape).astype(dtype)
    (expected,) = Pool2d(**parameters, mode=mode).evaluate(images)
    output = np.empty_like(expected)
    found = calls_of(Pool2d(**parameters, mode=mode), [images], [output], Target())
    assert found is not None and check_found(found, [images, output]) == 0
    np.testing.assert_array_equal(output, expected)


@few
@given(poolings(), dtypes, seeds, st.booleans())
def test_derivatives_of_the_maximum(case: Any, dtype: str, seed: int, has_nan: bool) -> None:
    parameters, shape = case
    images = np.round(normal(seed, shape, dtype))
    if has_nan and images.size:
        images.flat[:: max(images.size // 3, 1)] = np.nan
    (output,) = Pool2d(**parameters).evaluate(images)
    check(MaxPoolGradient(**parameters), [images, output, normal(seed + 1, output.shape, dtype)])
    check(MaxPoolPushforward(**parameters), [images, output, normal(seed + 1, shape, dtype)])


@few
@given(poolings(), st.sampled_from(MODES[1:]), dtypes, seeds)
def test_gradient_of_sums(case: Any, mode: str, dtype: str, seed: int) -> None:
    parameters, shape = case
    op = SumPoolGradient(**parameters, mode=mode)
    (output,) = Pool2d(**parameters, mode=mode).evaluate(np.zeros(shape))
    check(op, [normal(seed, output.shape, dtype), *sizes_of(shape)])
