"""``mode = DebugMode`` on the native backend: fused kernels are compared with what all their parts mean."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.debug import checks
from symgrad.errors import KernelDifferenceError

pytest.importorskip("llvmlite")


@pytest.fixture(autouse=True)
def on_the_native_backend() -> Iterator[None]:
    with symgrad.config.change_flags(backend="native"):
        yield


def layer() -> tuple[Any, Any, Any]:
    x = T.fmatrix("x")
    w = symgrad.shared(np.random.RandomState(0).normal(size=(5, 4)).astype("float32"), name="w")
    y = T.tanh(T.dot(x, w) * 2)  # the first line
    z = T.exp(y) + y  # the second line
    return x, w, z


def test_a_training_step_passes_and_does_what_it_does_elsewhere() -> None:
    states = []
    for mode in ("DebugMode", "default"):
        x, w, z = layer()
        cost = T.mean(z) + T.sum(w**2)
        f = symgrad.function([x], [cost, z], updates=[(w, w - 0.1 * symgrad.grad(cost, w))], mode=mode)
        batch = np.random.RandomState(1).normal(size=(7, 5)).astype("float32")
        states.append([*f(batch), *f(batch), w.get_value()])
    for checked, plain in zip(*states, strict=True):
        np.testing.assert_allclose(checked, plain, rtol=1e-5)


def test_a_fused_kernel_that_differs_is_named_with_all_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate = checks.evaluate
    monkeypatch.setattr(checks, "evaluate", lambda *given: [1.01 * value for value in evaluate(*given)])
    x, w, z = layer()
    f = symgrad.function([x], z, updates=[(w, w + 1)], mode="DebugMode")
    before = w.get_value()
    with pytest.raises(KernelDifferenceError) as caught:
        f(np.ones((3, 5), "float32"))
    assert "# the first line" in str(caught.value) and "# the second line" in str(caught.value)
    assert "12 of 12 elements are wrong" in str(caught.value)
    np.testing.assert_array_equal(w.get_value(), before)


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_slice_that_ends_too_early_is_checked_as_well(number: int) -> None:
    data = symgrad.shared(np.arange(25.0).reshape(5, 5), name="data")
    i = T.lscalar("i")
    f = symgrad.function([i], T.sum(T.sqr(data[i * 2 : (i + 1) * 2]), axis=1), mode="DebugMode")
    expected = np.sum(data.get_value()[number * 2 : number * 2 + 2] ** 2, axis=1)
    np.testing.assert_allclose(f(number), expected)


@cache
def cancelling() -> symgrad.Function:
    x, y = T.dvector("x"), T.dscalar("y")
    return symgrad.function([x, y], (x * y) * T.exp(y - x) - T.exp(y) * (x * y) / T.exp(x), mode="DebugMode")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.1, 10.0), min_size=1, max_size=9), st.floats(0.1, 10.0))
def test_digits_that_cancel_inside_a_fused_kernel_are_no_difference(numbers: list[float], a: float) -> None:
    assert np.abs(cancelling()(numbers, a)).max() < 1e-8


def test_what_kernels_do_not_hold_is_evaluated() -> None:
    """A view of float16 in DebugMode: no native kernel copies its elements."""
    x = T.tensor("float16", (None, None), "x")
    y = symgrad.grad(T.nnet.max_pool_2d_same_size(x, (2, 2)).sum(), x)
    values = np.arange(6, dtype="float16").reshape(3, 2)
    expected = symgrad.function([x], y, mode="none")(values)
    for mode in ("default", "DebugMode"):
        np.testing.assert_array_equal(symgrad.function([x], y, mode=mode)(values), expected)
