"""Writing into parts: `set_subtensor` and `inc_subtensor` against NumPy, their gradients and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from oracle import compare_built, filled

import symgrad
import symgrad.tensor as T
from symgrad.errors import DTypeError, ShapeError

WRITTEN = [
    np.s_[1],
    np.s_[:],
    np.s_[...],
    np.s_[::-2],
    np.s_[1:3, 0],
    np.s_[:, 1:],
    np.s_[[0, 2]],
    np.s_[[0, 2, 2], [1, 1, 1]],
    np.s_[:, [0, 1]],
    np.s_[np.array([True, False, True, True])],
    np.s_[1:1],
    np.s_[-1, -1],
]


@pytest.mark.parametrize("mode", ["none", "default"])
@pytest.mark.parametrize("key", WRITTEN, ids=str)
def test_writing_is_numpy_s(key: Any, mode: str) -> None:
    value = filled((4, 3))
    part = value[key]
    for written in (np.array(7.0), part + 0.5, part[..., :1] if part.ndim and part.shape[-1] > 0 else part):
        replaced, added = value.copy(), value.copy()
        replaced[key] = written
        np.add.at(added, key, written)
        compare_built(
            lambda x, y=written: T.set_subtensor(x[key], T.constant(y, dtype="float64")), value, replaced, mode
        )
        compare_built(lambda x, y=written: T.inc_subtensor(x[key], T.constant(y, dtype="float64")), value, added, mode)


def test_writing_keeps_the_original_and_the_dtype() -> None:
    x, i = T.fmatrix("x"), T.lscalar("i")
    f = symgrad.function([x, i], [T.set_subtensor(x[i], 2), T.inc_subtensor(x[:, i], 0.5), x])
    value = np.ones((2, 2), "float32")
    replaced, added, same = f(value, 1)
    assert replaced.dtype == added.dtype == "float32"
    np.testing.assert_array_equal(replaced, [[1, 1], [2, 2]])
    np.testing.assert_array_equal(added, [[1, 1.5], [1, 1.5]])
    np.testing.assert_array_equal(same, np.ones((2, 2)))
    with pytest.raises(DTypeError, match="float64 can't be written into float32 without loss"):
        T.set_subtensor(x[0], T.dvector())
    with pytest.raises(TypeError, match="set_subtensor takes a part written as an index"):
        T.set_subtensor(x, 1)
    with pytest.raises(ShapeError, match="set_subtensor got sizes 3 and 2 on axis 0"):
        T.set_subtensor(T.zeros((2, 2))[0], np.ones(3, "float32"))


def test_writing_into_a_stack_of_scalars() -> None:
    a, b = T.dscalars("a", "b")
    assert T.set_subtensor(T.stack([a, b])[0], 5).eval({a: 1.0, b: 2.0}).tolist() == [5, 2]


def test_writing_through_new_axes_and_transposes() -> None:
    value = filled((3, 2))
    for part, key in ((lambda x: x[None, 1], np.s_[None, 1]), (lambda x: x[1:].T, np.s_[1:])):
        expected = value.copy()
        expected[key] = 9
        compare_built(lambda x, part=part: T.set_subtensor(part(x), 9), value, expected)


@pytest.mark.parametrize("mode", ["none", "default"])
def test_what_is_written_stretches_only_if_the_graph_knows(mode: str) -> None:
    x, y, k = T.dvector("x"), T.dvector("y"), T.lscalar("k")
    for target in (x[:], x[k:], x[T.arange(x.shape[0])]):
        f = symgrad.function([x, y, k], T.inc_subtensor(target, y[:k]), mode=mode, on_unused_input="ignore")
        with pytest.raises(ShapeError, match="Input dimension mis-match: inc_subtensor got sizes 1 and "):
            f(np.ones(4), np.ones(3), 1)
    pairs = T.dmatrix("m")
    rows, columns = T.lvectors("rows", "columns")
    f = symgrad.function([pairs, rows, columns, k], pairs[rows[:k], columns], mode=mode)
    with pytest.raises(ShapeError, match="the index arrays got sizes 1 and 3 on axis 0"):
        f(np.ones((4, 4)), [0, 1, 2], [0, 1, 2], 1)


def test_gradient_of_replacing_goes_to_what_stays() -> None:
    x, y, i = T.dvector("x"), T.dvector("y"), T.lvector("i")
    weights = np.array([1.0, 10.0, 100.0])
    cost = (T.set_subtensor(x[i], y) * weights).sum()
    f = symgrad.function([x, y, i], symgrad.grad(cost, [x, y]), on_unused_input="ignore")
    of_x, of_y = f(np.ones(3), np.ones(3), [0, 2, 2])
    np.testing.assert_array_equal(of_x, [0, 10, 0])
    np.testing.assert_array_equal(of_y, [1, 0, 100])


def test_a_failed_write_leaves_shared_variables_alone() -> None:
    first, second = symgrad.shared(np.zeros(3), "first"), symgrad.shared(np.zeros(3), "second")
    i, k = T.lvector("i"), T.lscalar("k")
    updates = [(first, first + 1), (second, T.set_subtensor(second[i], T.ones([k], "float64")))]
    f = symgrad.function([i, k], updates=updates)
    for positions, count in (([5], 1), ([0, 1], 1)):
        with pytest.raises(ValueError if count == 1 and len(positions) == 2 else IndexError):
            f(positions, count)
        assert not first.get_value().any() and not second.get_value().any()


def test_an_element_of_a_vector_made_of_integers_can_be_written() -> None:
    i, j = T.lscalars("i", "j")
    changed = T.set_subtensor(T.stack([i, j])[-2], 9)
    np.testing.assert_array_equal(changed.eval({i: 1, j: 2}), [9, 2])
