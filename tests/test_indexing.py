"""Indexing against NumPy, over random shapes and index expressions: reading, writing, and all their derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracle import compare_built, filled
from random_indices import Key, indexed, is_accepted

import symgrad
import symgrad.tensor as T
from symgrad.errors import DTypeError, IndexingError, ShapeError
from symgrad.graph.types import TensorType

DTYPES = ("float64", "float32", "int8", "uint16", "bool", "complex128")


def input_like(value: np.ndarray, static: bool, name: str) -> Any:
    return TensorType(value.dtype, [n if static or n == 1 else None for n in value.shape])(name)


def what_to_write(part: np.ndarray, stretched: int) -> np.ndarray:
    """Return numbers that stretch to a part: some axes of size 1, or missing."""
    shape = [1 if stretched >> axis & 1 else size for axis, size in enumerate(part.shape)]
    shape = shape[1:] if stretched & 16 else shape
    return 10 + np.arange(float(np.prod(shape))).reshape(shape)


class Case:
    """A random index with what it is applied to, and NumPy's results."""

    def __init__(
        self, shape: tuple[int, ...], key: Key, static: bool, stretched: int, dtype: str = "float64"
    ) -> None:
        self.key, self.place = key, tuple(key.numpy)
        self.value = filled(shape).astype(dtype)
        self.part = np.asarray(self.value[self.place])
        self.written = what_to_write(self.part, stretched).astype(dtype)
        self.x, self.y = input_like(self.value, static, "x"), input_like(self.written, static, "y")
        self.inputs = [self.x, self.y, *key.inputs]
        self.symbol = self.x[tuple(key.symbolic)]

    def run(self, outputs: list[Any], x: Any = None, y: Any = None, mode: str = "default") -> list[np.ndarray]:
        f = symgrad.function(self.inputs, outputs, mode=mode, on_unused_input="ignore")
        return f(self.value if x is None else x, self.written if y is None else y, *self.key.values)


@settings(max_examples=60)
@given(indexed(), st.booleans(), st.integers(0, 31), st.sampled_from(["none", "default"]), st.sampled_from(DTYPES))
def test_random_indices_read_and_write_as_numpy_s(
    case: Any, static: bool, stretched: int, mode: str, dtype: str
) -> None:
    shape, key = case
    assume(is_accepted(shape, key))
    it = Case(shape, key, static, stretched, dtype)
    oracle.check_type(it.symbol.type, it.part)
    replaced, added, added_once = [it.value.copy() for _ in range(3)]
    replaced[it.place] = it.written
    np.add.at(added, it.place, it.written)
    added_once[it.place] += it.written
    outputs = [it.symbol, T.set_subtensor(it.symbol, it.y), T.inc_subtensor(it.symbol, it.y),
               T.inc_subtensor(it.symbol, it.y, ignore_duplicates=True)]  # fmt: skip
    for found, expected in zip(it.run(outputs, mode=mode), [it.part, replaced, added, added_once], strict=True):
        oracle.assert_same(found, expected, what=f"{shape} {it.place}")


@settings(max_examples=30)
@given(indexed(), st.integers(0, 31), st.sampled_from(["set", "inc", "read"]))
def test_random_indices_have_derivatives_of_all_orders(case: Any, stretched: int, kind: str) -> None:
    """Writing squares into squares makes a quadratic function: differences of its gradient are exact."""
    shape, key = case
    assume(is_accepted(shape, key))
    it = Case(shape, key, False, stretched)
    random = np.random.default_rng(7)
    result = it.symbol
    if kind != "read":
        result = (T.set_subtensor if kind == "set" else T.inc_subtensor)(it.symbol, it.y)
    (size,) = it.run([result.shape.prod()])
    weights = T.constant(random.normal(size=int(size)))
    cost = (weights.reshape(result.shape, ndim=result.ndim) * result**2).sum()
    wrt = [it.x, it.y]
    gradient = symgrad.grad(cost, wrt, disconnected_inputs="ignore")
    dx, dy = [random.normal(size=value.shape) for value in (it.value, it.written)]
    directions = [T.constant(d) for d in (dx, dy)]
    along = sum((g * d).sum() for g, d in zip(gradient, directions, strict=True))
    second = symgrad.grad(along, wrt, disconnected_inputs="ignore")
    forward = symgrad.Rop([cost], wrt, directions)
    before = it.run([cost, along, *forward, *second])
    ahead = it.run([cost], it.value + dx, it.written + dy)[0]
    behind = it.run([cost], it.value - dx, it.written - dy)[0]
    assert float(before[1]) == pytest.approx((ahead - behind) / 2, rel=1e-9, abs=1e-8)
    assert float(before[2]) == pytest.approx(float(before[1]), rel=1e-9, abs=1e-8)
    moved = it.run([along], it.value + dx, it.written + dy)[0] - before[1]
    curved = np.sum(before[3] * dx) + np.sum(before[4] * dy)
    assert float(moved) == pytest.approx(float(curved), rel=1e-9, abs=1e-8)


# ---- writing into what was made of a part, and into parts of parts ---------------------------------------------------


@pytest.mark.parametrize(
    ("part", "key", "written"),
    [
        (lambda x: x[None], np.s_[None], filled((1, 3, 4))),
        (lambda x: x[..., None], np.s_[..., None], filled((4, 1))),
        (lambda x: x[None, [0, 2, 0]], np.s_[None, [0, 2, 0]], filled((3, 4))),
        (lambda x: x[[0, 2], None, [1, 1]], np.s_[[0, 2], None, [1, 1]], np.array(5.0)),
        (lambda x: x[:, None, T.constant([True, False, True, True])], np.s_[:, None, [True, False, True, True]],
         filled((1, 3))),
        (lambda x: x[1:][None], np.s_[1:], np.array(3.0)),
        (lambda x: x[()], np.s_[()], filled((4,))),
        (lambda x: x[:, [1]].dimshuffle(0), np.s_[:, 1], filled((3,))),
    ],
)  # fmt: skip
def test_new_and_dropped_axes_of_a_part_are_written_through(part: Any, key: Any, written: np.ndarray) -> None:
    value = filled((3, 4))
    replaced, added = value.copy(), value.copy()
    replaced[key] = written
    np.add.at(added, key, written)
    constant = T.constant(written)
    compare_built(lambda x: T.set_subtensor(part(x), constant), value, replaced)
    compare_built(lambda x: T.inc_subtensor(part(x), constant), value, added)


def test_what_is_indexed_is_what_is_written() -> None:
    value = filled((3, 4))
    transposed, flat, joined = value.T.copy(), value.ravel().copy(), value.copy()
    transposed[1] = [7, 8, 9]
    flat[[2, 5]] += 1
    joined[:2] = [[0, 1, 2, 3], [4, 5, 6, 7]]
    compare_built(lambda x: T.set_subtensor(x.T[1], [7, 8, 9]), value, transposed)
    compare_built(lambda x: T.inc_subtensor(x.flatten()[[2, 5]], 1), value, flat)
    compare_built(lambda x: T.set_subtensor(x[:2].flatten(), np.arange(8.0)), value, joined)
    compare_built(lambda x: T.set_subtensor(x[:2].T, np.arange(8.0).reshape(2, 4).T), value, joined)
    compare_built(lambda x: T.set_subtensor(x[(x > 4).nonzero()], -1), value, np.where(value > 4, -1, value))
    compare_built(lambda x: T.set_subtensor(x.shape[0], 9), value, np.array([9, 4]))


def test_writes_nest() -> None:
    value = filled((4,))
    expected = value.copy()
    np.add.at(expected, [0, 0, 3], 1.0)
    expected[1:3] += 5
    expected[-1] = 2
    compare_built(
        lambda x: T.set_subtensor(T.inc_subtensor(T.inc_subtensor(x[[0, 0, 3]], 1)[1:3], 5)[-1], 2), value, expected
    )


def test_a_repeated_position_accumulates_or_counts_once() -> None:
    value, positions = np.zeros(3), [1, 1, 2]
    compare_built(lambda x: T.inc_subtensor(x[positions], [1, 2, 3]), value, np.array([0.0, 3, 3]))
    once = np.array([0, 2.0, 3])
    for options in ({"ignore_duplicates": True}, {"set_instead_of_inc": True}):
        compare_built(lambda x, options=options: T.inc_subtensor(x[positions], [1, 2, 3], **options), value, once)


def test_a_range_may_count_through_negative_positions() -> None:
    x, y = T.dvector("x"), T.dvector("y")
    cost = (T.set_subtensor(x[T.arange(-2, 2)], y) ** 2).sum()
    gradient = symgrad.grad(cost, y).eval({x: np.zeros(3), y: [1.0, 2, 3, 4]})
    np.testing.assert_array_equal(gradient, [0, 4, 6, 8])


def test_the_dtype_of_what_is_written() -> None:
    x, y = T.fvector("x"), T.dvector("y")
    with pytest.raises(DTypeError, match="float64 can't be written into float32"):
        T.set_subtensor(x[:], y)
    with symgrad.config.change_flags(cast_policy="custom", floatX="float64"):
        assert T.set_subtensor(x[:], y).dtype == T.inc_subtensor(x[:], T.lvector()).dtype == "float32"
        with pytest.raises(DTypeError, match="float64 can't be written into int64"):
            T.set_subtensor(T.lvector()[:], y)
    with pytest.raises(DTypeError, match="can't be written into int64"):
        T.set_subtensor(T.lvector()[0], 0.5)


def test_a_part_that_begins_where_only_the_call_knows_is_the_caller_s_own() -> None:
    """Even if it is as large as what it is a part of, its memory can't be allocated for the caller."""
    i = T.lscalar("i")
    for size in (1, 2):
        x = T.tensor("float64", (size,), "x")
        f = symgrad.function([x, i], [(x * 2)[i], (x * 3)[i : i + 1]])
        for value in (1.0, 5.0):
            assert [float(found.item()) for found in f([value] * size, 0)] == [2 * value, 3 * value]


# ---- mistakes --------------------------------------------------------------------------------------------------------


def test_bad_indices_are_named() -> None:
    x = T.tensor("float64", (4, 3), "x")
    for build, text in (
        (lambda: x[[True, False, True]], "a mask of size 3 doesn't fit size 4"),
        (lambda: x[0, [True, False]], "a mask of size 2 doesn't fit size 3"),
        (lambda: x[np.ones((4, 3, 1), bool)], "a mask of 3 axes doesn't fit"),
        (lambda: x[:, 0, [0]], "too many indices"),
        (lambda: x[np.ones((4, 3), bool), 0], "too many indices"),
        (lambda: x[1.0], "an index must be made of integers or bools, got float"),
        (lambda: x[[0.5]], "an index must be made of integers or bools, got float"),
        (lambda: x[T.matrix()], "an index must be made of integers or bools, got float"),
    ):
        with pytest.raises(IndexError, match=text) as caught:
            build()
        assert "test_indexing.py" in str(caught.value)
    with pytest.raises(DTypeError, match="the bounds of a slice must be integer scalars"):
        x[1.5:]
    for write in (T.set_subtensor, T.inc_subtensor):
        with pytest.raises(TypeError, match="takes a part written as an index"):
            write(x, 0)
        with pytest.raises(TypeError, match="takes a part written as an index"):
            write(x.flatten(), 0)
        with pytest.raises(ShapeError, match="too many axes"):
            write(x[0], T.zeros((1, 3), "float64"))
        with pytest.raises(ShapeError, match="too many axes"):
            write(x[:, :1].dimshuffle(0), T.zeros((1, 4), "float64"))
        with pytest.raises(ShapeError, match="subtensor got sizes 4 and 1 on axis 0"):
            write(x[None], T.zeros((4, 4, 3), "float64"))


@pytest.mark.parametrize("mode", ["none", "default"])
def test_indices_that_only_a_call_knows_to_be_bad(mode: str) -> None:
    x, i, mask, step = T.dmatrix("x"), T.lvector("i"), T.tensor("bool", (None,), "mask"), T.lscalar("step")
    value = np.ones((4, 3))
    for expression, values in (
        (x[i], {i: [4]}),
        (x[:, i, None], {i: [0, -4]}),
        (T.set_subtensor(x[i, i], 0), {i: [0, 3]}),
        (T.inc_subtensor(x[i], 1), {i: [-5]}),
        (x[mask], {mask: [True, False]}),
        (T.set_subtensor(x[:, mask], 0), {mask: [True]}),
        (T.take(x, i), {i: [12]}),
        (T.choose(i, [x[0], x[1]]), {i: [0, 2, 0]}),
        (T.choose(i, [x[0], x[1]]), {i: [0, -1, 0]}),
    ):
        f = symgrad.function([x, *values], expression, mode=mode)
        with pytest.raises(IndexingError, match=r"test_indexing\.py"):
            f(value, *values.values())
    with pytest.raises(ValueError, match="step"):
        symgrad.function([x, step], x[::step], mode=mode)(value, 0)


def test_iteration() -> None:
    value = filled((3, 2))
    compare_built(lambda x: sum(row * k for k, row in enumerate(T.specify_shape(x, (3, None)))), value,
                  value[1] + 2 * value[2])  # fmt: skip
    assert [size.eval({x: value}) for x in [T.dmatrix()] for size in x.shape] == [3, 2]
    for use in (iter, len, bool):
        with pytest.raises(TypeError):
            use(T.vector())


# ---- updates in place ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sets", [False, True])
def test_rows_that_were_read_are_updated_where_they_are(sets: bool) -> None:
    """Reading has checked the positions, so writing can't fail: it needs no copy of the table."""
    table = np.arange(12.0).reshape(4, 3)
    W, i = symgrad.shared(table.copy(), "W"), T.lvector("i")
    rows = W[i]
    cost = (rows**2).sum()
    step = (T.set_subtensor if sets else T.inc_subtensor)(rows, -0.5 * symgrad.grad(cost, rows))
    f = symgrad.function([i], cost, updates=[(W, step)])
    expected = table.copy()
    for positions in ([0, 2], [1, -1], [3, 3], [0, 2]):
        assert float(f(positions)) == pytest.approx((expected[positions] ** 2).sum())
        change = -expected[positions]
        if sets:
            expected[positions] = change
        else:
            np.add.at(expected, positions, change)
        np.testing.assert_allclose(W.get_value(), expected)
    for bad in ([4, 0], [0, -5]):
        with pytest.raises(IndexingError):
            f(bad)
        np.testing.assert_allclose(W.get_value(), expected)
    if symgrad.config.backend != "numpy":
        assert "in place of W" in f.source()


def test_writes_in_place_leave_the_rest_alone() -> None:
    """Results in memory of the program's own are written into as well, if nothing needs them any more."""
    x, i, j = T.dmatrix("x"), T.lvector("i"), T.lscalar("j")
    doubled = x * 2
    kept = T.inc_subtensor(doubled[i], 1.0)
    once = T.set_subtensor(T.inc_subtensor((x * 3)[i], 1.0)[j], x[0])
    nothing = T.set_subtensor(x[1:1], 5.0)
    f = symgrad.function([x, i, j], [T.inc_subtensor(kept[:, j], kept[:, 0]), doubled, once, nothing])
    value = filled((3, 4))
    for _ in range(2):
        first, second, third, same = f(value, [0, 0], 1)
        expected = 2 * value
        expected[0] += 2
        expected[:, 1] += expected[:, 0]
        np.testing.assert_array_equal(first, expected)
        np.testing.assert_array_equal(second, 2 * value)
        expected = 3 * value
        expected[0] += 2
        expected[1] = value[0]
        np.testing.assert_array_equal(third, expected)
        np.testing.assert_array_equal(same, value)


def test_of_writes_that_may_fail_one_is_in_place_and_none_is_left_half_done() -> None:
    W, V, n = symgrad.shared(np.zeros(4), "W"), symgrad.shared(np.zeros(5), "V"), symgrad.shared(0, "n")
    i, k = T.lvector("i"), T.lscalar("k")
    updates = [(W, T.inc_subtensor(W[i], 1.0)), (V, T.set_subtensor(V[k], W[0] + 7)), (n, n + 1)]
    f = symgrad.function([i, k], n + V[0], updates=updates)
    f([0, 0, -1], 2)
    for _ in range(2):
        np.testing.assert_array_equal(W.get_value(), [2, 0, 0, 1])
        np.testing.assert_array_equal(V.get_value(), [0, 0, 7, 0, 0])
        assert n.get_value() == 1
        for bad in (([0, 4], 1), ([0, 1], 5), ([-5], 9)):
            with pytest.raises(IndexingError):
                f(*bad)
    if symgrad.config.backend != "numpy":
        text = f.source()
        assert ("in place of V" in text) != ("in place of W" in text) and "in place of n" in text
    f([1], 0)
    np.testing.assert_array_equal(V.get_value(), [9, 0, 7, 0, 0])


def test_many_steps_stop_before_the_one_that_cannot_write() -> None:
    H, n = symgrad.shared(np.zeros((4, 2)), "H"), symgrad.shared(0, "n")
    row, k = T.dvector("row"), T.lscalar("k")
    f = symgrad.function([row, k], row.sum(), updates=[(H, T.set_subtensor(H[k], row)), (n, n + 1)])
    rows = filled((6, 2)) + 1
    np.testing.assert_array_equal(f.repeat(rows[:3], [2, 0, -1]), rows[:3].sum(1))
    np.testing.assert_array_equal(H.get_value(), [rows[1], [0, 0], rows[0], rows[2]])
    with pytest.raises(IndexingError):
        f.repeat(rows[3:], [1, 7, 0])
    np.testing.assert_array_equal(H.get_value(), [rows[1], rows[3], rows[0], rows[2]])
    assert n.get_value() == 4
