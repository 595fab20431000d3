"""Rounding, whole quotients, logic, closeness and choices made of elementwise functions; and tensors' methods."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.graph.types import NUMPY_DTYPES

NEAR_HALF = 0.49999999999999994
HALVES = np.array([-2.5, -1.5, -0.5, -NEAR_HALF, 0.0, NEAR_HALF, 0.5, 1.5, 2.5, 2.0**52 + 1, np.inf])
few = settings(max_examples=30, deadline=None)
floats = st.one_of(st.floats(-10, 10), st.sampled_from([np.inf, -np.inf, np.nan, 0.0, 1.0, 1 + 1e-9, 1e-9]))
integers = st.integers(-(2**31), 2**31 - 1)


def away(values: np.ndarray) -> np.ndarray:
    whole = np.trunc(values)
    with np.errstate(invalid="ignore"):
        return whole + np.sign(values) * (np.abs(values - whole) >= 0.5)


def test_rounding() -> None:
    x = T.dvector("x")
    finite = HALVES[:-1]
    modes: Any = [x.round(), T.round(x, "half_to_even"), T.round_half_away_from_zero(x)]
    modes.append(T.round(x, "half_away_from_zero"))
    for found, expected in zip(symgrad.function([x], modes)(HALVES), [np.rint, np.rint, away, away], strict=True):
        np.testing.assert_array_equal(found, expected(HALVES))
    np.testing.assert_array_equal(T.iround(x).eval({x: finite}), away(finite).astype("int64"))
    np.testing.assert_array_equal(T.iround(x, "half_to_even").eval({x: finite}), np.rint(finite).astype("int64"))
    assert T.iround(T.fvector()).dtype == "int64"
    with pytest.raises(ValueError, match="no mode 'up'"):
        T.round(x, "up")
    with pytest.raises(symgrad.errors.DisconnectedInputError):
        symgrad.grad(T.sum(T.round(x, "half_away_from_zero")), x)


@few
@given(st.lists(st.tuples(integers, integers), min_size=1, max_size=8))
def test_whole_quotients(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs, "int64").T
    b = np.where(b == 0, 3, b)
    x, y = T.lvectors("x", "y")
    quotient, rest, up = symgrad.function([x, y], [*T.divmod(x, y), T.ceil_intdiv(x, y)])(a, b)
    np.testing.assert_array_equal(quotient, a // b)
    np.testing.assert_array_equal(rest, a % b)
    np.testing.assert_array_equal(up, -((-a) // b))
    assert T.div_proxy(x, y).owner.op.name == "floor_divide" and T.div_proxy(x, 2.0).owner.op.name == "true_divide"


@few
@given(st.sampled_from([name for name, kind in NUMPY_DTYPES.items() if kind.kind in "iu"]), st.integers(0, 2**32))
def test_shifts(dtype: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    limits = np.iinfo(dtype)
    a = random.integers(limits.min, limits.max, 20, dtype, endpoint=True)
    b = random.integers(-3 if limits.min else 0, 70, 20).astype(dtype)
    x, y = T.tensor(dtype, (None,)), T.tensor(dtype, (None,))
    left, right = symgrad.function([x, y], [x << y, x >> y])(a, b)
    np.testing.assert_array_equal(left, np.left_shift(a, b))
    np.testing.assert_array_equal(right, np.right_shift(a, b))
    assert (1 << T.constant(3)).eval() == 8 and (16 >> T.constant(3)).eval() == 2


def test_how_they_are_written() -> None:
    x, y, d = T.lvector("x"), T.lvector("y"), T.dvector("d")
    written = {
        "x << y + 1": x << (y + 1), "(x << y) + 1": (x << y) + 1, "x >> y & 3": (x >> y) & 3,
        "sort(x, axis=0)": T.sort(x), "argsort(x, axis=0)": x.argsort(), "cumsum(x, axis=0)": x.cumsum(),
        "real(complex(d, d))": T.real(T.complex(d, d)),
    }  # fmt: skip
    for text, variable in written.items():
        assert symgrad.pp(variable) == text


def test_logic() -> None:
    a, b = np.array([0, 0, 2, 3]), np.array([0.0, -1.0, 0.0, np.nan])
    x, y = T.lvector("x"), T.dvector("y")
    for name in ("logical_and", "logical_or", "logical_xor"):
        np.testing.assert_array_equal(getattr(T, name)(x, y).eval({x: a, y: b}), getattr(np, name)(a, b))
    np.testing.assert_array_equal(T.logical_not(x).eval({x: a}), np.logical_not(a))


@few
@given(st.lists(st.tuples(floats, floats), min_size=1, max_size=8), st.booleans(), st.sampled_from([1e-5, 0.0, 0.5]))
def test_closeness(pairs: list[tuple[float, float]], equal_nan: bool, rtol: float) -> None:
    a, b = np.array(pairs).T
    x, y = T.dvectors("x", "y")
    outputs = [T.isclose(x, y, rtol, 1e-8, equal_nan), T.allclose(x, y, rtol, 1e-8, equal_nan)]
    close, every = symgrad.function([x, y], outputs)(a, b)
    np.testing.assert_array_equal(close, np.isclose(a, b, rtol, 1e-8, equal_nan))
    assert every == np.allclose(a, b, rtol, 1e-8, equal_nan)


def test_closeness_of_other_dtypes() -> None:
    n, u, z = T.lvector(), T.tensor("uint8", (None,)), T.zvector()
    assert T.isclose(n, n + 1).eval({n: [2**40, 3]}).tolist() == [True, False]
    assert T.isclose(u, 3).eval({u: [2, 3]}).tolist() == [False, True]
    assert T.isclose(z, z + 1e-9j).eval({z: [1j, 2]}).all()
    assert T.allclose(T.constant(True), 1).eval()


def test_smallest_and_largest() -> None:
    x, y = T.dvectors("x", "y")
    a, b = np.array([1.0, 5.0, 2.0]), np.array([3.0, 1.0, 2.0])
    small, large = symgrad.function([x, y], [T.smallest(x, y, 2.5), T.largest(x, 1.5, y)])(a, b)
    assert small.tolist() == [1.0, 1.0, 2.0] and large.tolist() == [3.0, 5.0, 2.0]
    assert symgrad.grad(T.sum(T.largest(x, y, 1.5)), x).eval({x: a, y: b}).tolist()[:2] == [0.0, 1.0]
    assert T.largest(x) is x
    with pytest.raises(TypeError, match="at least one"):
        T.smallest()


def test_defaults_and_copies() -> None:
    x = T.dvector("x")
    assert T.default(x, 3) is x and T.default(None, 3.0).eval() == 3.0
    duplicate = T.tensor_copy(x)
    assert duplicate is not x and duplicate.type == x.type


METHODS = ["exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "sin", "cos", "tan", "arcsin", "arccos",
           "arctan", "sinh", "cosh", "tanh", "arcsinh", "arctanh", "deg2rad", "rad2deg", "floor", "ceil", "trunc",
           "conj", "conjugate"]  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_methods(name: str) -> None:
    x = T.dvector("x")
    values = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(getattr(x, name)().eval({x: values}), getattr(np, name)(values), rtol=1e-14)


def test_pythons_rounding() -> None:
    x = T.dvector("x")
    values = np.array([-1.5, 0.5])
    for function, expected in ((math.floor, np.floor), (math.ceil, np.ceil), (math.trunc, np.trunc)):
        np.testing.assert_array_equal(function(x).eval({x: values}), expected(values))


def test_place_in_the_graph() -> None:
    x = T.dvector("x")
    y = x + 1
    x.tag.note = "mine"
    copy = x.clone()
    assert copy is not x and copy.type == x.type and copy.name == "x" and copy.tag.note == "mine"
    assert y.clone().owner is None and y.get_parents() == [y.owner] and x.get_parents() == []
    assert T.constant(2.0).clone().data == 2.0
    state = symgrad.shared(np.zeros(2), "state")
    twin = state.clone()
    twin.set_value(np.ones(2))
    assert state.get_value().tolist() == [1, 1] and twin.name == "state"
    assert len({x.auto_name, y.auto_name, copy.auto_name}) == 3 and x.auto_name == x.auto_name
    assert x.transfer("cpu") is x


@pytest.mark.parametrize("dtype", [name for name, kind in NUMPY_DTYPES.items() if kind.kind in "iu"])
def test_arithmetic_keeps_the_dtype(dtype: str) -> None:
    x = T.tensor(dtype, (None,))
    for y in (x + x, x * x, x - x, x // x, x % x, x**x, abs(x), x & x, x | x, x ^ x, ~x, T.sqr(x), T.maximum(x, x),
              T.clip(x, 0, 1), T.sgn(x), T.floor(x), T.left_shift(x, 1)):  # fmt: skip
        assert y.dtype == dtype
