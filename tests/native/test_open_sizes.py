"""Kernels for any sizes: from the second combination of argument sizes on, nothing more is compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.backends.native.llvm import jit
from symgrad.backends.native.program import NativeProgram

pytest.importorskip("llvmlite")


@pytest.fixture(autouse=True)
def on_the_native_backend() -> Iterator[None]:
    with symgrad.config.change_flags(backend="native"):
        yield


Graph = tuple[list[Any], list[Any]]
Sizes = tuple[int, int]


def matrix_and_vector() -> tuple[Any, Any]:
    return T.dmatrix("x"), T.dvector("v")


def elementwise() -> Graph:
    x, v = matrix_and_vector()
    return [x, v], [T.tanh(x * v + 1), x - v, T.switch(x > v, x, v), T.sqr(x)]


def reductions() -> Graph:
    x, v = matrix_and_vector()
    return [x, v], [x.sum(), x.sum(0), x.sum(1), (x * v).sum(axis=1, keepdims=True), T.prod(T.cos(x), axis=0), v.sum()]


def softmaxes() -> Graph:
    x, v = matrix_and_vector()
    return [x, v], [T.softmax(x + v), T.log(T.softmax(x)), T.sum(T.sqr(T.softmax(x * v)))]


def views() -> Graph:
    x, v = matrix_and_vector()
    return [x, v], [x[::-1] + v, x.T * 2, x[1:] - v, x[:, ::2] + 1, T.exp(x)[:2], T.sqr(x).T, x.reshape((-1,)) * 3]


def products() -> Graph:
    x, v = matrix_and_vector()
    return [x, v], [T.dot(x, v), T.dot(x.T, x), T.dot(T.tanh(x), v * 2)]


def gradients() -> Graph:
    x, v = matrix_and_vector()
    cost = T.sum(T.log(1 + T.exp(x * v)) * T.cos(x)) + T.sum(T.softmax(x) * x)
    return [x, v], [cost, *symgrad.grad(cost, [x, v])]


def sizes_as_numbers() -> Graph:
    x, v = matrix_and_vector()
    return [x, v], [x.shape[0] * v, T.ones_like(x) * x.shape[1], T.zeros((x.shape[1], 2)) + v[:, None], T.mean(x + v)]


def read_twice() -> Graph:
    """One operand along two axes: its memory is no array of the loops' axes."""
    x, v = matrix_and_vector()
    return [x, v], [T.outer(v, v), T.outer(v, v + 1).sum(0), x.sum()]


def products_of_sizes() -> Graph:
    """More open axes than one stride has a name for."""
    x, v = matrix_and_vector()
    cube = x.dimshuffle(0, 1, "x")
    cubes = [cube + v.dimshuffle("x", "x", 0), T.stack([x, x + 1], axis=2), T.exp(cube * v)]
    return [x, v], [*cubes, v * x[::-1] + v[::-1]]


GRAPHS: list[Callable[[], Graph]] = [
    elementwise, reductions, softmaxes, views, products, gradients, sizes_as_numbers, read_twice, products_of_sizes,
]  # fmt: skip
COMPILED_ONCE = [elementwise, reductions, softmaxes, gradients, read_twice]
"""Those without kernels that are written for certain sizes, such as products of matrices."""


@cache
def functions_of(make: Callable[[], Graph]) -> tuple[Any, Any]:
    """Return a function that has seen two combinations of sizes already, and the same one in NumPy."""
    inputs, outputs = make()
    with symgrad.config.change_flags(backend="numpy"):
        reference = symgrad.function(inputs, outputs, on_unused_input="ignore")
    with symgrad.config.change_flags(backend="native"):
        f = symgrad.function(inputs, outputs, on_unused_input="ignore")
        for sizes in ((3, 4), (5, 2)):
            f(*arguments_of(sizes))
    return f, reference


def arguments_of(sizes: Sizes, seed: int = 0) -> Sequence[np.ndarray]:
    numbers = np.random.default_rng([seed, *sizes])
    return numbers.normal(size=sizes), numbers.normal(size=sizes[1])


def check(make: Callable[[], Graph], sizes: Sizes) -> None:
    f, reference = functions_of(make)
    given_ = arguments_of(sizes)
    with np.errstate(all="ignore"):
        for found, wanted in zip(f(*given_), reference(*given_), strict=True):
            assert found.dtype == wanted.dtype and found.shape == wanted.shape
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


sizes_of_axes = st.one_of(st.integers(0, 9), st.integers(10, 70), st.sampled_from([0, 1, 16, 17, 255, 256, 300]))


@pytest.mark.parametrize("make", GRAPHS)
@settings(max_examples=40)
@given(sizes=st.tuples(sizes_of_axes, sizes_of_axes))
def test_any_sizes_give_what_numpy_gives(make: Callable[[], Graph], sizes: Sizes) -> None:
    check(make, sizes)


@pytest.mark.parametrize("make", COMPILED_ONCE)
def test_nothing_is_compiled_from_the_third_combination_on(make: Callable[[], Graph]) -> None:
    f, _ = functions_of(make)
    before = len(jit._loaded)
    for sizes in ((7, 9), (70, 33), (1, 1), (1, 6), (6, 1), (2000, 3), (2, 3), (33, 257)):
        check(make, sizes)
        program = list(f._programs.values())[-1][1]
        assert isinstance(program, NativeProgram)
    assert len(jit._loaded) == before


def test_the_first_sizes_and_their_return_are_served() -> None:
    x, v = matrix_and_vector()
    f = symgrad.function([x, v], T.sum(T.cosh(x) - v, axis=1))
    for sizes in ((3, 4), (5, 6), (3, 4), (8, 8), (3, 4), (5, 6)):
        a, b = arguments_of(sizes)
        np.testing.assert_allclose(f(a, b), (np.cosh(a) - b).sum(1), rtol=1e-12)


def test_shared_variables_of_other_sizes() -> None:
    w, x = symgrad.shared(np.ones((3, 4))), T.dvector("x")
    f = symgrad.function([x], [T.sum(w * x), T.tanh(w + x)], updates=[(w, w * 0.5 + x)])
    for rows, columns in ((3, 4), (3, 5), (6, 4), (1, 1), (0, 3), (40, 70)):
        value, given_ = np.full((rows, columns), 2.0), np.arange(float(columns))
        w.set_value(value)
        for _ in range(2):
            total, values = f(given_)
            assert float(total) == pytest.approx((value * given_).sum())
            np.testing.assert_allclose(values, np.tanh(value + given_), rtol=1e-12)
            value = value * 0.5 + given_
        np.testing.assert_array_equal(w.get_value(), value)
