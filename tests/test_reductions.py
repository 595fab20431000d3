"""Reductions: values and dtypes as NumPy's, gradients at ties and zero factors, empty axes, axis arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import symgrad
import symgrad.tensor as T
from symgrad.errors import DTypeError, ShapeError

REDUCTIONS = ["sum", "prod", "max", "min", "mean", "var", "std", "all", "any", "argmax", "argmin"]


def shapes_and_axes() -> Any:
    """Arrays without empty axes, with an axis argument that fits."""

    def with_axes(array: np.ndarray) -> Any:
        one = st.integers(-array.ndim, array.ndim - 1) if array.ndim else st.none()
        several = st.lists(st.integers(0, max(array.ndim - 1, 0)), unique=True, max_size=array.ndim).map(tuple)
        return st.tuples(st.just(array), st.one_of(st.none(), one, several if array.ndim else st.none()), st.booleans())

    dtypes = st.sampled_from(["int8", "int64", "uint8", "bool", "float64"])
    values = dtypes.flatmap(
        lambda dtype: arrays.arrays(
            dtype, arrays.array_shapes(min_dims=0, max_dims=3, max_side=3),
            elements=st.floats(-8, 8, width=16) if dtype == "float64" else None,
        )
    )  # fmt: skip
    return values.flatmap(with_axes)


@pytest.mark.parametrize("name", REDUCTIONS)
@given(case=shapes_and_axes())
def test_reduction_is_numpy_s(name: str, case: Any) -> None:
    array, axis, keepdims = case
    if name.startswith("arg") and isinstance(axis, tuple):
        axis = axis[0] if axis else None
    x = T.tensor(array.dtype.name, (None,) * array.ndim)
    with symgrad.config.change_flags(floatX="float64"):
        y = getattr(T, name)(x, axis=axis, keepdims=keepdims)
        found = symgrad.function([x], y, on_unused_input="ignore")(array)
    with np.errstate(all="ignore"):
        expected = np.asarray(getattr(np, name)(array, axis=axis, keepdims=keepdims))
    if expected.dtype.kind in "iu":
        assert found.dtype == ("uint64" if array.dtype == "uint8" and name in ("sum", "prod") else found.dtype)
        expected = expected.astype(found.dtype)
    oracle.assert_same(found, expected)
    assert y.ndim == expected.ndim


def test_dtypes_of_sums() -> None:
    for dtype, total in (
        ("bool", "int64"),
        ("int8", "int64"),
        ("int32", "int64"),
        ("uint8", "uint64"),
        ("float32", "float32"),
    ):
        x = T.tensor(dtype, (None,))
        assert x.sum().dtype == x.prod().dtype == total
    x = T.bvector()
    assert x.max().dtype == "int8" and x.argmax().dtype == "int64" and T.any(x).dtype == "bool"
    assert x.sum(dtype="floatX").dtype == x.mean().dtype == x.var().dtype == "float32"
    assert x.mean(dtype="float64").dtype == "float64"
    assert T.fvector().sum(acc_dtype="float64").dtype == "float32"
    many = np.full(1000, 127, "int8")
    assert symgrad.function([x], x.sum())(many) == 127000
    with symgrad.config.change_flags(cast_policy="custom", floatX="float32"):
        assert T.ivector().mean().dtype == "float64"


def test_float32_sums_can_accumulate_in_float64() -> None:
    x = T.fvector()
    f = symgrad.function([x], [x.sum(acc_dtype="float64"), x.mean(acc_dtype="float64")])
    values = np.concatenate([[1e8], np.ones(1000)]).astype("float32")
    assert f(values)[0] == np.float32(1e8 + 1000)


# ---- gradients ------------------------------------------------------------------------------------------------------


def gradient(build: Any, value: Any) -> list[float]:
    x = T.tensor("float64", (None,) * np.ndim(value))
    expression = symgrad.grad(build(x).sum(), x)
    found = [symgrad.function([x], expression, mode=mode)(value) for mode in ("none", "default")]
    oracle.assert_same(found[1], found[0])
    return found[0].tolist()


def test_every_tied_element_of_an_extreme_gets_the_full_gradient() -> None:
    assert gradient(T.max, [1.0, 3.0, 3.0, 2.0]) == [0, 1, 1, 0]
    assert gradient(T.min, [1.0, 3.0, 1.0]) == [1, 0, 1]
    assert gradient(lambda x: T.max(x, axis=0), [[1.0, 2.0], [1.0, 0.0]]) == [[1, 1], [1, 0]]
    assert gradient(T.ptp, [2.0, 2.0]) == [0, 0]


def test_gradient_of_a_product_is_right_with_zeros() -> None:
    assert gradient(T.prod, [2.0, 3.0, 4.0]) == [12, 8, 6]
    assert gradient(T.prod, [2.0, 0.0, 4.0]) == [0, 8, 0]
    assert gradient(T.prod, [0.0, 0.0, 4.0]) == [0, 0, 0]
    assert gradient(lambda x: T.prod(x, axis=1), [[0.0, 3.0], [2.0, 5.0]]) == [[3, 0], [5, 2]]
    assert gradient(T.prod, [[5.0]]) == [[1]]
    assert gradient(T.prod, np.ones((0,))) == []


def test_hessian_of_a_product_is_right_with_zeros() -> None:
    x = T.dvector()
    slope = symgrad.grad(T.prod(x), x)
    hessian = T.stack([symgrad.grad(slope[i], x) for i in range(3)])
    third = symgrad.grad(hessian[0, 1], x)
    f = symgrad.function([x], [hessian, third])
    for values in ([0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0], [1.0, 2.0, 3.0]):
        a, b, c = values
        found, last = f(values)
        np.testing.assert_allclose(found, [[0, c, b], [c, 0, a], [b, a, 0]], atol=1e-12)
        np.testing.assert_allclose(last, [0, 0, 1], atol=1e-12)


def test_gradients_of_what_has_none() -> None:
    x = T.dvector("x")
    for build in (T.argmax, lambda v: T.all(v).astype("float64"), lambda v: v.sum(dtype="int64").astype("float64")):
        with pytest.raises(symgrad.errors.DisconnectedInputError):
            symgrad.grad(build(x).astype("float64"), x)


def test_logsumexp_is_stable() -> None:
    x = T.dmatrix()
    f = symgrad.function([x], [T.logsumexp(x, axis=1), symgrad.grad(T.logsumexp(x, axis=1).sum(), x)])
    values = np.array([[1000.0, 1000.0], [-1000.0, -1001.0], [0.0, -np.inf]])
    found, slopes = f(values)
    np.testing.assert_allclose(found, scipy.special.logsumexp(values, axis=1))
    np.testing.assert_allclose(slopes, scipy.special.softmax(values, axis=1))
    assert T.logsumexp(x).eval({x: [[-np.inf, -np.inf]]}) == -np.inf
    assert T.logsumexp(x, 0, True).eval({x: [[np.inf, 0.0]]}).tolist() == [[np.inf, 0.0]]


def test_nan_comes_through() -> None:
    x = T.dvector()
    f = symgrad.function([x], [x.max(), x.min(), x.argmax(), x.sum(), T.maximum(x, 0)])
    largest, smallest, place, total, rectified = f([1.0, np.nan, 2.0])
    assert np.isnan([largest, smallest, total, rectified[1]]).all() and place == 1


# ---- empty axes and wrong axes --------------------------------------------------------------------------------------


def test_empty_axes() -> None:
    x = T.dmatrix("x")
    f = symgrad.function([x], [x.sum(0), x.prod(0), T.all(x, 0), T.any(x, 0), x.max(1), x.argmin(1)])
    found = f(np.ones((0, 3)))
    for value, expected in zip(found, [[0] * 3, [1] * 3, [True] * 3, [False] * 3, [], []], strict=True):
        assert value.tolist() == expected
    for name in ("max", "min", "argmax", "argmin"):
        with pytest.raises(ShapeError, match=f"{name} of an empty axis has no value"):
            symgrad.function([x], getattr(x, name)(axis=0))(np.ones((0, 3)))
        with pytest.raises(ShapeError, match=f"{name} of an empty axis has no value"):
            getattr(T.zeros((2, 0)), name)()
    k = T.lscalar("k")
    with pytest.raises(ShapeError, match=r"max of an empty axis|no identity"):
        symgrad.function([x, k], x[:k].max())(np.ones((2, 3)), 0)


@pytest.mark.parametrize("axis", [2, -3, (0, 2)])
def test_an_axis_that_does_not_exist(axis: Any) -> None:
    for name in REDUCTIONS:
        with pytest.raises(ShapeError, match=r"got axis -?[23] for a tensor of 2 axes"):
            getattr(T.matrix("x"), name)(axis=axis)


def test_wrong_axes() -> None:
    x = T.matrix("x")
    with pytest.raises(ShapeError, match="sum got an axis twice"):
        x.sum(axis=(0, -2))
    with pytest.raises(TypeError, match=r"sum needs integers as axes, got float 0.0"):
        x.sum(axis=0.0)
    with pytest.raises(DTypeError, match="max doesn't take complex numbers"):
        T.cvector().max()


def test_numpy_s_ways_to_say_axes() -> None:
    x = T.dtensor3()
    value = np.random.default_rng(0).normal(size=(2, 3, 4))
    cases = [
        (x.mean(axis=(0, 1)), value.mean(axis=(0, 1))), (x.sum((-1, 0)), value.sum((-1, 0))),
        (x.sum([0, 1]), value.sum((0, 1))), (x.max(-1, keepdims=True), value.max(-1, keepdims=True)),
        (x.sum(axis=np.int64(1)), value.sum(axis=1)), (x.sum(axis=()), value.sum(axis=())),
        (x.var(axis=1, ddof=1), value.var(axis=1, ddof=1)), (x.std((0, 2), 1), value.std((0, 2), ddof=1)),
        (T.max_and_argmax(x, 1)[1], value.argmax(1)), (T.norm(x, np.inf, 0), np.abs(value).max(0)),
        (x.norm(3, axis=2), np.linalg.norm(value, 3, axis=2)),
    ]  # fmt: skip
    for expression, expected in cases:
        oracle.assert_same(expression.eval({x: value}), np.asarray(expected))
    joined = x.argmax(axis=(0, 2)).eval({x: value})
    np.testing.assert_array_equal(joined, value.transpose(1, 0, 2).reshape(3, 8).argmax(1))
