"""Statistics, norms, windows: values as NumPy's, gradients, dtypes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.errors import DTypeError, ShapeError

VALUES = np.random.default_rng(5).normal(size=(3, 4, 2))


def evaluated(build: Any, *values: np.ndarray) -> Any:
    inputs = [T.tensor(v.dtype.name, (None,) * v.ndim) for v in values]
    return symgrad.function(inputs, build(*inputs), on_unused_input="ignore")(*values)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axes", [None, 1, -1, (0, 2), [2, 1], (0, 1, 2)])
def test_largest_and_its_place(axes: Any, keepdims: bool) -> None:
    found, place = evaluated(lambda x: T.max_and_argmax(x, axes, keepdims), VALUES)
    taken = tuple(range(3)) if axes is None else tuple(np.atleast_1d(axes) % 3)
    np.testing.assert_array_equal(found, VALUES.max(tuple(taken), keepdims=keepdims))
    kept = [axis for axis in range(3) if axis not in taken]
    joined = VALUES.transpose(*kept, *sorted(taken)).reshape([VALUES.shape[axis] for axis in kept] + [-1])
    np.testing.assert_array_equal(place.ravel(), joined.argmax(-1).ravel())
    assert place.shape == found.shape and place.dtype == "int64"


ORDERS = [0, 1, 2, 3, 0.5, np.inf, -np.inf, "fro", None]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("axis", [None, 1, (0, 2)])
def test_norms(order: Any, axis: Any) -> None:
    found = evaluated(lambda x: x.norm(order, axis, keepdims=True), VALUES)
    taken = tuple(range(3)) if axis is None else tuple(np.atleast_1d(axis))
    kept = [a for a in range(3) if a not in taken]
    joined = VALUES.transpose(*kept, *taken).reshape([VALUES.shape[a] for a in kept] + [-1])
    expected = np.linalg.norm(joined, None if order == "fro" else order, axis=-1)
    np.testing.assert_allclose(found.ravel(), expected.ravel())
    assert found.ndim == 3
    if order != 0:
        symgrad.verify_grad(lambda x: x.norm(order, axis), [VALUES])


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([(3, 5), (1, 4), (5,)]), st.booleans(), st.booleans(), st.sampled_from([None, 0, 1, 2]),
    st.booleans(), st.sampled_from(["", "f", "a", "fa"]),
)  # fmt: skip
def test_covariance(shape: Any, rowvar: bool, bias: bool, ddof: int | None, with_y: bool, weights: str) -> None:
    random = np.random.default_rng(7)
    m, y = random.normal(size=shape), random.normal(size=shape)
    rowvar = rowvar or shape[0] == 1
    count = shape[-1] if rowvar or len(shape) == 1 else shape[0]
    given_weights = {
        "fweights": np.arange(1, count + 1) if "f" in weights else None,
        "aweights": random.uniform(0.5, 2, count) if "a" in weights else None,
    }
    options: Any = {"rowvar": rowvar, "bias": bias, "ddof": ddof, **given_weights}
    expected = np.cov(m, y if with_y else None, **options)
    found = evaluated(lambda m, y: T.cov(m, y if with_y else None, **options), m, y)
    np.testing.assert_allclose(found.reshape(expected.shape), expected)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_median(axis: int | None) -> None:
    holes = VALUES.copy()
    holes[0, 1, 1] = np.nan
    for values in (VALUES, VALUES[:, :3], holes, (VALUES * 10).astype("int64")):
        for keepdims in (False, True):
            found = evaluated(lambda x, keepdims=keepdims: T.median(x, axis, keepdims), values)
            np.testing.assert_allclose(found, np.median(values, axis, keepdims=keepdims), rtol=1e-6)
    symgrad.verify_grad(lambda x: T.median(x, axis), [VALUES])


@pytest.mark.parametrize("axis", [None, 0, (1, 2)])
@pytest.mark.parametrize("name", ["nansum", "nanmean", "nanmax", "nanmin"])
def test_what_is_not_nan(name: str, axis: Any) -> None:
    holes = VALUES.copy()
    holes[0, 1:, 1] = holes[1] = np.nan
    with warnings.catch_warnings(action="ignore"):
        expected = getattr(np, name)(holes, axis, keepdims=True)
    found = evaluated(lambda x: getattr(T, name)(x, axis, keepdims=True), holes)
    np.testing.assert_allclose(found, expected)
    whole = (VALUES * 10).astype("int16")
    found = evaluated(lambda x: getattr(T, name)(x, axis), whole)
    np.testing.assert_allclose(found, getattr(np, name)(whole, axis), 1e-6)


@pytest.mark.parametrize("name", ["nansum", "nanmean", "nanmax", "nanmin"])
def test_no_gradient_goes_to_nan(name: str) -> None:
    x = T.dmatrix("x")
    holes = np.where(VALUES[:, :, 0] > 1, np.nan, VALUES[:, :, 0])
    gradient = symgrad.grad(T.sum(getattr(T, name)(x, axis=1) ** 2), x).eval({x: holes})
    assert np.isnan(holes).any() and np.isfinite(gradient).all() and (gradient[np.isnan(holes)] == 0).all()


def test_gradient_of_covariance() -> None:
    matrix = VALUES[:, :, 0]
    symgrad.verify_grad(T.cov, [matrix])
    symgrad.verify_grad(lambda m: T.cov(m, rowvar=False, aweights=[1.0, 2.0, 0.5]), [matrix])


def test_average() -> None:
    weights = np.array([1.0, 2.0, 0.5, 0.1])
    for axis, w in ((1, weights), (None, np.abs(VALUES)), (-2, np.abs(VALUES)), (None, None)):
        found = evaluated(lambda x, axis=axis, w=w: T.average(x, axis, w), VALUES)
        np.testing.assert_allclose(found, np.average(VALUES, axis, w))
    whole = evaluated(lambda x: T.average(x, 0, [1, 2, 1]), np.arange(6).reshape(3, 2))
    np.testing.assert_allclose(whole, np.average(np.arange(6).reshape(3, 2), 0, [1, 2, 1]))
    symgrad.verify_grad(lambda x: T.average(x, 1, weights), [VALUES])
    with pytest.raises(ShapeError, match="weights"):
        T.average(T.tensor3(), None, [1.0, 2.0])


@pytest.mark.parametrize("count", [-1, 0, 1, 2, 5, 8])
def test_bartlett(count: int) -> None:
    n = T.lscalar("n")
    with symgrad.config.change_flags(floatX="float64"):
        for window in (T.bartlett(n).eval({n: count}), T.bartlett(count).eval()):
            np.testing.assert_allclose(window, np.bartlett(count))
    with pytest.raises(DTypeError):
        T.bartlett(2.5)


@pytest.mark.parametrize("ddof", [0, 1, 2])
@pytest.mark.parametrize("axis", [None, 1, (0, 2)])
def test_degrees_of_freedom(axis: Any, ddof: int) -> None:
    for name in ("var", "std"):
        found = evaluated(lambda x, name=name: getattr(x, name)(axis, ddof, keepdims=True), VALUES)
        np.testing.assert_allclose(found, getattr(np, name)(VALUES, axis, ddof=ddof, keepdims=True))
    corrected = evaluated(lambda x: x.var(axis, ddof, corrected=True), VALUES.astype("float32") + 1000)
    np.testing.assert_allclose(corrected, VALUES.var(axis, ddof=ddof), rtol=1e-3)


def test_range_of_values() -> None:
    found = evaluated(lambda x: x.ptp(0, keepdims=True), VALUES)
    np.testing.assert_array_equal(found, np.ptp(VALUES, 0, keepdims=True))


def test_sums_of_halves_are_accumulated_in_more_bits() -> None:
    ones = np.ones((5000, 2), "float16")
    total = evaluated(lambda x: T.sum(x, axis=0), ones)
    assert total.dtype == "float16" and total.tolist() == [5000, 5000]
    assert evaluated(lambda x: T.mean(x, axis=0), ones * 16).tolist() == [16, 16]


def test_axes_may_be_constants_and_arrays() -> None:
    for axis in (T.constant(1), np.array(1), np.int8(1), T.constant([0, 1]), np.array([0, 1])):
        said = axis.data if hasattr(axis, "type") else np.asarray(axis)
        expected = VALUES.sum(tuple(np.atleast_1d(said).tolist()))
        np.testing.assert_allclose(evaluated(lambda x, axis=axis: x.sum(axis), VALUES), expected)


def test_complex_sums_are_not_accumulated_in_reals() -> None:
    with pytest.raises(DTypeError, match="accumulated in float64"):
        T.sum(T.zvector(), acc_dtype="float64")
