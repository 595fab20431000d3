"""Sorting, counting and running totals against NumPy, and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from oracle import compare_built

import symgrad
import symgrad.tensor as T
from symgrad.errors import DTypeError, IndexingError, RangeError, ShapeError

DTYPES = ["bool", "int8", "uint16", "int64", "float16", "float32", "float64"]
few = settings(max_examples=20, deadline=None)


def tensors(dtypes: list[str], min_dims: int = 1, min_side: int = 0) -> Any:
    """Small arrays with many equal elements."""
    shapes = arrays.array_shapes(min_dims=min_dims, max_dims=3, min_side=min_side, max_side=4)
    return st.sampled_from(dtypes).flatmap(lambda dtype: arrays.arrays(dtype, shapes, elements=_elements(dtype)))


def _elements(dtype: str) -> Any:
    if dtype == "bool":
        return st.booleans()
    return st.integers(0 if dtype.startswith("u") else -3, 5).map(np.dtype(dtype).type)


def an_axis(values: np.ndarray, number: int) -> int | None:
    return [None, *range(-values.ndim, values.ndim)][number % (2 * values.ndim + 1)]


@few
@given(tensors(DTYPES), st.integers(0, 20))
def test_sort_and_argsort(values: np.ndarray, number: int) -> None:
    axis = an_axis(values, number)
    compare_built(lambda x: T.sort(x, axis), values, np.sort(values, axis))
    compare_built(lambda x: x.argsort(axis), values, np.argsort(values, axis, kind="stable"))


@few
@given(tensors(DTYPES, min_side=2), st.integers(0, 20), st.sampled_from([1, 2, -1, -2]))
def test_topk(values: np.ndarray, number: int, k: int) -> None:
    axis = an_axis(values, number)
    flat = values.ravel() if axis is None else values
    ascending = np.sort(flat, axis=axis or 0 if axis is None else axis)
    place = 0 if axis is None else axis
    expected = np.take(ascending, range(-1, -k - 1, -1) if k > 0 else range(-k), place)
    compare_built(lambda x: T.topk(x, k, axis), values, expected)
    x = T.tensor(values.dtype.name, (None,) * values.ndim)
    found, positions = symgrad.function([x], T.topk_and_argtopk(x, k, axis, idx_dtype="int32"))(values)
    assert positions.dtype == "int32"
    np.testing.assert_array_equal(np.take_along_axis(flat, positions.astype(int), place), found)


def test_how_many_may_be_known_only_in_a_call() -> None:
    x, k = T.dvector("x"), T.lscalar("k")
    f = symgrad.function([x, k], T.topk(x, k))
    assert f([3, 1, 2], 2).tolist() == [3, 2] and f([3, 1, 2], -1).tolist() == [1]
    with pytest.raises(RangeError, match="4 elements of an axis of size 3"):
        f([3, 1, 2], 4)


@few
@given(tensors(["int8", "float32", "float64"]), st.integers(0, 20))
def test_cumulative(values: np.ndarray, number: int) -> None:
    axis = an_axis(values, number)
    compare_built(lambda x: T.cumsum(x, axis), values, np.cumsum(values, axis, dtype=values.dtype))
    compare_built(lambda x: x.cumprod(axis), values, np.cumprod(values, axis, dtype=values.dtype))


@few
@given(tensors(DTYPES), st.integers(0, 3), st.integers(0, 20))
def test_diff(values: np.ndarray, n: int, number: int) -> None:
    axis = number % values.ndim
    compare_built(lambda x: T.diff(x, n, axis), values, np.diff(values, n, axis))


@few
@given(tensors(["int8", "int64", "uint16"]), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 20))
def test_unique(values: np.ndarray, index: bool, inverse: bool, counts: bool, number: int) -> None:
    axis = an_axis(values, number)
    axis = None if axis is None else axis % values.ndim
    x = T.tensor(values.dtype.name, (None,) * values.ndim)
    if axis is not None and values.size == 0:
        return
    found = symgrad.function([x], T.unique(x, index, inverse, counts, axis))(values)
    expected = np.unique(values, index, inverse, counts, axis)
    if not isinstance(expected, tuple):
        found, expected = [found], (expected,)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other.reshape(-1) if other.ndim > values.ndim or one.ndim == 1 else other)


@few
@given(arrays.arrays("int32", st.integers(0, 6), elements=st.integers(0, 5)), st.integers(0, 8), st.booleans())
def test_bincount(values: np.ndarray, least: int, weighted: bool) -> None:
    weights = np.linspace(-1, 1, values.size) if weighted else None
    x = T.ivector("x")
    found = symgrad.function([x], T.bincount(x, weights, least))(values)
    np.testing.assert_allclose(found, np.bincount(values, weights, least))
    assert found.dtype == ("float64" if weighted else "int64")


@few
@given(
    st.lists(st.integers(-4, 4), max_size=6), st.lists(st.integers(-5, 5), max_size=4),
    st.sampled_from(["left", "right"]),
)  # fmt: skip
def test_searchsorted(steps: list[int], wanted: list[int], side: str) -> None:
    x, v = T.dvector("x"), T.lvector("v")
    ordered = np.sort(np.array(steps, "float64"))
    f = symgrad.function([x, v], x.searchsorted(v, side=side))
    np.testing.assert_array_equal(f(ordered, np.array(wanted, "int64")), np.searchsorted(ordered, wanted, side))
    mixed = np.array(steps, "float64")
    found = symgrad.function([x, v], T.searchsorted(x, v, side, sorter=T.argsort(x)))(mixed, np.array(wanted, "int64"))
    np.testing.assert_array_equal(found, np.searchsorted(ordered, wanted, side))


def test_digitize() -> None:
    bins, values = np.array([0.0, 1.0, 2.0]), np.array([-1.0, 0.0, 1.5, 2.0, 3.0])
    x = T.dvector("x")
    for right in (False, True):
        np.testing.assert_array_equal(T.digitize(x, bins, right).eval({x: values}), np.digitize(values, bins, right))


# ---- gradients ------------------------------------------------------------------------------------------------------

GRADIENTS: dict[str, Any] = {
    "sort": lambda x: T.sort(x, axis=0),
    "sort of all": lambda x: T.sort(x, axis=None),
    "topk": lambda x: T.topk(x, -2, axis=1),
    "cumsum": lambda x: T.cumsum(x, axis=1) * x,
    "cumprod": lambda x: T.cumprod(x, axis=0) * x,
    "cumprod of all": T.cumprod,
    "diff": lambda x: T.diff(x * x, n=2),
    "unique": T.unique,
    "bincount": lambda x: T.bincount([1, 0, 1, 3], weights=x[0] ** 2, minlength=6),
}


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name: str, zeros: bool) -> None:
    values = np.random.default_rng(1).permutation(12).reshape(3, 4) * 0.3 - 0.3 * (4 if zeros else 4.5)
    build = GRADIENTS[name]
    symgrad.verify_grad(build, [values])
    weights = np.random.default_rng(2).normal(size=(3, 4))
    symgrad.verify_grad(lambda x: symgrad.grad(T.sum(build(x) ** 2), x) * weights, [values])


def test_the_first_of_equal_elements_comes_first() -> None:
    x = T.dvector("x")
    values = np.array([2.0, 5.0, 2.0, 5.0])
    assert T.argsort(x, kind="heapsort").eval({x: values}).tolist() == [0, 2, 1, 3]
    assert T.argtopk(x, 2).eval({x: values}).tolist() == [1, 3]
    assert T.argtopk(x, -3).eval({x: values}).tolist() == [0, 2, 1]


# ---- mistakes -------------------------------------------------------------------------------------------------------


def test_mistakes() -> None:
    x, n = T.dmatrix("x"), T.lvector("n")
    for wrong in (lambda: T.sort(x, 2), lambda: T.cumsum(x, -3), lambda: T.topk(x, 1, 5), lambda: T.unique(x, axis=2),
                  lambda: T.diff(x, 1, 2), lambda: T.searchsorted(x, 1.0)):  # fmt: skip
        with pytest.raises(ShapeError):
            wrong()
    for wrong in (lambda: T.topk(x, 1.5), lambda: T.bincount(x[0]), lambda: T.topk(T.zvector(), 1)):
        with pytest.raises(DTypeError):
            wrong()
    for wrong in (lambda: T.sort(x, kind="bubble"), lambda: T.sort(x, order="f"), lambda: T.diff(x, -1),
                  lambda: T.searchsorted(n, n, side="middle"), lambda: T.topk(x, 0)):  # fmt: skip
        with pytest.raises(ValueError, match=r"test_sorting\.py"):
            wrong()
    with pytest.raises(RangeError, match="numbers from 0 on, got -1"):
        T.bincount(n).eval({n: [2, -1]})
    with pytest.raises(IndexingError, match="out of the range"):
        T.searchsorted(n, n, sorter=[5, 0]).eval({n: [2, 3]})
