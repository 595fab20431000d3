"""Native elementary functions against 80-bit arithmetic: at most 2 units in the last place, everywhere."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from extended_functions import IS_WIDER, exact, units_in_the_last_place
from hypothesis import given, settings
from hypothesis import strategies as st
from scalar_kernels import apply, scalar_text

from symgrad.backends.native.llvm.host import host
from symgrad.backends.native.llvm.jit import load
from symgrad.backends.native.llvm.text import Function, module_text
from symgrad.backends.native.mathematics.table import FUNCTIONS
from symgrad.backends.native.scalars import emit_scalar
from symgrad.ops.elementwise_op import rows

EXACT = ("floor", "ceil", "trunc", "rint", "mod", "floor_divide")  # test_scalars.py has these
NAMES = [name for name in FUNCTIONS if name not in (*EXACT, "exp_below_one")]
DTYPES = ["float32", pytest.param("float64", marks=pytest.mark.skipif(not IS_WIDER, reason="no wider numbers"))]

SPECIAL = [0.0, 0.25, 0.5, 0.75, 0.8, 1.0, 1.5, 2.0, 3.0, 17.0, 2.0**23, 2.0**24 + 1, 2.0**53, 2.0**60, np.inf]


def operands(name: str, dtype: str, count: int, seed: int = 0) -> list[np.ndarray]:
    """Return numbers of all sizes and signs, most where functions change, and special ones."""
    generator = np.random.default_rng(seed)
    limits: Any = np.finfo(dtype)
    edge = -np.log(float(limits.smallest_subnormal))
    arrays = []
    for _ in range(rows[name].arity):
        bits = generator.integers(0, 256, count * np.dtype(dtype).itemsize, dtype=np.uint8).view(dtype)
        spans = [generator.uniform(-span, span, count) for span in (1e-3, 0.3, 1, 3, 30, 1000, edge)]
        sizes = np.exp(generator.uniform(-edge, edge * 0.9, count)) * generator.choice([-1, 1], count)
        near_one = 1 + generator.normal(0, 1e-3, count)
        edges = [*SPECIAL, limits.max, limits.tiny, limits.smallest_subnormal, 1 - limits.epsneg, 1 + limits.eps]
        special = np.array([*edges, np.nan])
        special = np.concatenate([special, -special])
        with np.errstate(over="ignore"):
            parts = [part.astype(dtype) for part in (*spans, sizes, near_one, special)]
        arrays.append(generator.permutation(np.concatenate([bits, *parts])))
    return arrays


def largest_error(name: str, arrays: list[np.ndarray], lanes: int, cap: str | None = None) -> float:
    """Return the largest error of a function, in units of the last place."""
    dtype = arrays[0].dtype.name
    found = apply(name, arrays, dtype, lanes, host(cap) if cap else None)
    expected = exact(name, *arrays)
    errors = units_in_the_last_place(found, expected)
    if name == "logaddexp":  # it cancels; its error is measured by the larger operand, of which it is a correction
        scale = np.maximum(np.abs(arrays[0]), np.abs(arrays[1]))
        with np.errstate(all="ignore"):
            ratio = np.spacing(np.abs(expected.astype(dtype))) / np.spacing(scale)
            errors = np.where(ratio < 1, errors * ratio, errors)
    return float(errors.max())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_two_units_in_the_last_place(name: str, dtype: str) -> None:
    arrays = operands(name, dtype, 5000)
    assert largest_error(name, arrays, 16 if dtype == "float32" else 8) <= 2


@pytest.mark.parametrize("cap", [None, "sse2"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_exponential_of_what_is_at_most_zero(dtype: str, cap: str | None) -> None:
    lowest = -86.0 if dtype == "float32" else -707.0
    x = np.random.default_rng(3).uniform(lowest, 0, 5000).astype(dtype)
    x = np.concatenate([x, np.array([0.0, -0.0, lowest, -1e-30, np.nan], dtype)])
    lanes = 16 if dtype == "float32" else 8
    processor = host(cap) if cap else None
    errors = units_in_the_last_place(apply("exp_below_one", [x], dtype, lanes, processor), exact("exp", x))
    assert errors.max() <= (2 if cap is None else 3)
    far = np.array([2 * lowest, -1e4, -np.inf, np.finfo(dtype).min], dtype)
    assert apply("exp_below_one", [far], dtype, lanes, processor).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_without_fused_operations(name: str, dtype: str) -> None:
    arrays = operands(name, dtype, 1000, seed=1)
    assert largest_error(name, arrays, 4 if dtype == "float32" else 2, "sse2") <= 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [*NAMES, *EXACT])
def test_every_width_gives_the_same_bits(name: str, dtype: str) -> None:
    arrays = operands(name, dtype, 200, seed=2)
    integer = f"u{np.dtype(dtype).itemsize}"
    found = [apply(name, arrays, dtype, lanes) for lanes in (1, 4, 16)]
    numbers = ~np.isnan(found[0])
    for other in found[1:]:
        np.testing.assert_array_equal(np.isnan(other), ~numbers)
        np.testing.assert_array_equal(other[numbers].view(integer), found[0][numbers].view(integer))


@settings(max_examples=100, deadline=None)
@given(x=st.floats(width=32), place=st.integers(0, 15), name=st.sampled_from(["sin", "power", "mod", "tanh", "log"]))
def test_a_lane_does_not_depend_on_its_neighbours(x: float, place: int, name: str) -> None:
    arity = rows[name].arity
    alone = apply(name, [np.full(16, x, "float32")] * arity, "float32", 16)[place]
    among = np.linspace(-3e20, 2, 16, dtype="float32")
    among[place] = x
    found = apply(name, [among] * arity, "float32", 16)[place]
    assert found == alone or (np.isnan(found) and np.isnan(alone))


@pytest.mark.parametrize("name", NAMES)
def test_no_function_is_called(name: str) -> None:
    dtypes = ["float32"] * rows[name].arity
    text = scalar_text(name, dtypes, "float32", 16)
    called = {line.split("@")[1].split("(")[0] for line in text.splitlines() if " call " in line}
    assert all(callee.startswith("llvm.") or callee == "symgrad_far_angle" for callee in called)


def test_a_module_has_a_helper_once() -> None:
    functions = []
    for name in ("sin", "cos", "tan"):
        function = Function(name, [("double", "x")], "double")
        function.give(emit_scalar(function, name, function.parameters, ["float64"], "float64"))
        functions.append(function)
    text = module_text(functions)
    assert text.count("define internal") == 1
    address = load(text, ["sin", "cos", "tan"])
    # The double nearest to an odd multiple of a right angle; the values are from 1500-bit arithmetic.
    nearest = 6381956970095103 * 2.0**797
    for name, expected in (("sin", 1.0), ("cos", -4.6871659242546276e-19), ("tan", -2.1334853857537038e18)):
        native = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(address[name])
        assert native(nearest) == pytest.approx(expected, rel=3e-16)


@given(st.floats(-700, 700))
@settings(max_examples=200, deadline=None)
def test_identities(x: float) -> None:
    value = np.array([x])
    plus, minus = (apply("sigmoid", [sign * value], "float64", 1)[0] for sign in (1, -1))
    assert abs(plus + minus - 1) <= 4e-16
    for odd in ("tanh", "sinh", "arctan", "erf", "sin", "expm1"):
        result = apply(odd, [value], "float64", 1)
        if odd != "expm1":
            assert apply(odd, [-value], "float64", 1) == -result
        assert result[0] == 0 or np.sign(result[0]) == np.sign(x) or odd == "sin"
