"""Native kernels that go along an axis: running sums and products, recurrences, shifts, on all sorts of memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import assert_same

import symgrad
import symgrad.tensor as T
from symgrad.kernels import running
from symgrad.ops.cumulative import LinearRecurrence, Shift

VIEWS: dict[str, Any] = {
    "as it is": lambda x: x,
    "transposed": lambda x: x.T,
    "backwards": lambda x: x[::-1],
    "every other": lambda x: x[..., ::2],
    "stretched": lambda x: np.broadcast_to(x[0], x.shape) if isinstance(x, np.ndarray)
    else T.alloc(x[0], *[x.shape[axis] for axis in range(x.ndim)]),
}  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(0, 2), st.sampled_from(list(VIEWS)),
    st.sampled_from(["float32", "float64", "int8", "uint32"]), st.integers(-6, 6), st.booleans(), st.booleans(),
)  # fmt: skip
def test_kernels_along_an_axis(
    shape: list[int], number: int, view: str, dtype: str, by: int, reverse: bool, static: bool
) -> None:
    values = (np.random.default_rng(len(view)).normal(size=shape) * 3).astype(dtype)
    seen = VIEWS[view](values)
    axis = number % values.ndim
    x = T.TensorType(dtype, [n if static or n == 1 else None for n in shape])()
    y = VIEWS[view](x)
    outputs = [T.cumsum(y, axis), T.cumprod(y, axis), LinearRecurrence(axis, reverse)(y, y + 1), Shift(axis, by, 2)(y)]
    one = np.array(1, dtype)
    with np.errstate(all="ignore"):  # integers wrap around
        expected = [
            running.cumulative("cumsum", axis, seen), running.cumulative("cumprod", axis, seen),
            running.linear_recurrence(axis, reverse, seen, seen + one), running.shifted(axis, by, 2, seen),
        ]  # fmt: skip
    function = symgrad.function([x], outputs)
    for found, wanted in zip(function(values), expected, strict=True):
        assert_same(found, wanted)


@pytest.mark.parametrize("axis", [0, 1])
def test_running_sums_and_their_gradients_are_native(axis: int) -> None:
    x = T.dmatrix()
    cost = T.sum(T.sqr(T.cumsum(x, axis)) + T.cumprod(x, axis))
    function = symgrad.function([x], symgrad.grad(cost, x))
    assert function(np.ones((3, 4))).shape == (3, 4)
    assert function.source().startswith("# native")
    assert "serial" in function.source()


def test_an_empty_axis() -> None:
    x = T.dmatrix()
    function = symgrad.function([x], [T.cumsum(x, 1), Shift(0, 1)(x)])
    for shape in ((2, 0), (0, 2)):
        assert [found.shape for found in function(np.zeros(shape))] == [shape, shape]


def test_a_long_line_is_summed_in_order() -> None:
    values = np.random.default_rng(0).normal(size=100_000).astype("float32")
    x = T.fvector()
    np.testing.assert_array_equal(symgrad.function([x], T.cumsum(x))(values), np.cumsum(values, dtype="float32"))
