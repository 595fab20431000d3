"""Running sums and products, linear recurrences and shifts on the GPU, along any axis, in lines short and long."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu.shim.kernels import check_found, run_found
from gpu.shim.nvrtc import check_compiles, nvrtc
from symgrad.backends.cupy.kernel import Target
from symgrad.backends.cupy.prelude import PRELUDE
from symgrad.backends.cupy.recurrences import SMALLEST_SPLIT, recurrence_calls
from symgrad.kernels import running

quick = settings(max_examples=12, deadline=None)
SHAPES = st.sampled_from([((1,), 0), ((5,), 0), ((33,), 0), ((2, 1100), 1), ((40, 3), 0), ((2, 37, 3), 1), ((3, 0), 1)])
DTYPES = ["float32", "float64", "float16", "int8", "int64", "uint16"]
NARROW = Target(multiprocessors=1)
"""On a device with one multiprocessor a few lines are many."""


def results(
    name: str, attributes: dict[str, Any], operands: list[np.ndarray], target: Target, check: Any = check_found
) -> np.ndarray:
    """Return what the kernels compute."""
    arrays = [*operands, np.empty_like(operands[0])]
    found = recurrence_calls(name, attributes, [a.shape for a in arrays], [a.dtype.name for a in arrays],
                             len(operands), target)  # fmt: skip
    assert found is not None
    if found:
        assert check(found, arrays) == 0
    return arrays[-1]


def numbers(dtype: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype).kind
    return (rng.random(shape) * 1.6 - 0.8 if kind == "f" else rng.integers(-4 * (kind == "i"), 5, shape)).astype(dtype)


def compare(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> None:
    if wanted.dtype.kind == "f":
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)
    else:
        assert np.array_equal(found, wanted)


@quick
@given(SHAPES, st.sampled_from(DTYPES), st.sampled_from(["cumsum", "cumprod"]), st.booleans(), st.integers(0, 99))
def test_running_sums_and_products(where: Any, dtype: str, function: str, is_narrow: bool, seed: int) -> None:
    (shape, axis), target = where, NARROW if is_narrow else Target()
    x = numbers(dtype, shape, seed)
    found = results("cumulative", {"axis": axis, "function": function}, [x], target)
    compare(found, running.cumulative(function, axis, x), {"float64": 1e-12, "float32": 1e-4}.get(dtype, 0.2))


def test_a_very_long_line_is_scanned_in_parts() -> None:
    x = numbers("int64", (SMALLEST_SPLIT + 4321,), 1)
    found = results("cumulative", {"axis": 0, "function": "cumsum"}, [x], Target(), run_found)
    assert np.array_equal(found, np.cumsum(x))


@quick
@given(SHAPES, st.sampled_from(DTYPES), st.booleans(), st.booleans(), st.integers(0, 99))
def test_linear_recurrences(where: Any, dtype: str, reverse: bool, is_narrow: bool, seed: int) -> None:
    (shape, axis), target = where, NARROW if is_narrow else Target()
    a, b = numbers(dtype, shape, seed), numbers(dtype, shape, seed + 1)
    found = results("linear_recurrence", {"axis": axis, "reverse": reverse}, [a, b], target)
    with np.errstate(over="ignore"):
        wanted = running.linear_recurrence(axis, reverse, a, b)
    assert found.tobytes() == wanted.tobytes()


@quick
@given(SHAPES, st.sampled_from([*DTYPES, "bool"]), st.sampled_from([0, 1, -1, 3, -36, 2000]), st.sampled_from([0, 1]))
def test_shifts(where: Any, dtype: str, by: int, fill: int) -> None:
    shape, axis = where
    x = numbers(dtype, shape, 3)
    found = results("shift", {"axis": axis, "by": by, "fill": fill}, [x], Target())
    assert np.array_equal(found, running.shifted(axis, by, fill, x))


@pytest.mark.parametrize("name", ["cumulative", "linear_recurrence"])
def test_what_has_no_kernel(name: str) -> None:
    attributes = {"axis": 0, "function": "cumsum", "reverse": False}
    assert recurrence_calls(name, attributes, [(3,)] * 3, ["bool"] * 3, 2, Target()) is None
    assert recurrence_calls(name, attributes, [(3,), (1,), (3,)], ["float32"] * 3, 2, Target()) is None


@pytest.mark.skipif(nvrtc() is None, reason="the wheel nvidia-cuda-nvrtc isn't installed")
def test_all_kernels_compile() -> None:
    texts = []
    for dtype in ("float16", "uint8"):
        for shape in ((SMALLEST_SPLIT + 1,), (2, 1100, 3), (9, 5)):
            for name, count in (("cumulative", 1), ("linear_recurrence", 2), ("shift", 1)):
                attributes = {"axis": 0, "function": "cumprod", "reverse": True, "by": 1, "fill": 2}
                operands = [shape] * (count + 1), [dtype] * (count + 1)
                texts += [work.text for work, _ in recurrence_calls(name, attributes, *operands, count, Target()) or ()]
    check_compiles("\n".join([PRELUDE, *dict.fromkeys(texts)]))
