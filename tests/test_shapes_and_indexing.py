"""Axes, sizes, indexing, writing and joining: NumPy's results, static knowledge, and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from oracle import compare_built, filled

import symgrad
import symgrad.tensor as T
from symgrad.errors import DTypeError, IndexingError, ShapeError

SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


# ---- axes -----------------------------------------------------------------------------------------------------------


@given(SHAPES.flatmap(lambda shape: st.tuples(st.just(shape), st.permutations(range(len(shape))))))
def test_transpositions_are_numpy_s(case: Any) -> None:
    shape, order = case
    value = filled(shape)
    compare_built(lambda x: x.T, value, value.T)
    compare_built(lambda x: x.transpose(*order), value, value.transpose(order))
    compare_built(lambda x: T.transpose(x, tuple(order)), value, value.transpose(order))
    compare_built(lambda x: x.dimshuffle("x", *order, "x"), value, value.transpose(order)[None, ..., None])
    if shape:
        compare_built(lambda x: x.swapaxes(0, -1), value, value.swapaxes(0, -1))
        compare_built(lambda x: T.moveaxis(x, 0, -1), value, np.moveaxis(value, 0, -1))
        compare_built(lambda x: T.moveaxis(x, tuple(order), tuple(range(len(shape)))), value, value.transpose(order))


def test_axes_are_put_in_and_taken_out() -> None:
    value = filled((1, 3, 1, 2))
    compare_built(lambda x: x.squeeze(), value, value.squeeze())
    compare_built(lambda x: x.squeeze(0), value, value.squeeze(0))
    compare_built(lambda x: T.squeeze(x, (0, -2)), value, value.squeeze((0, -2)))
    compare_built(lambda x: T.expand_dims(x, (0, -1)), value, np.expand_dims(value, (0, -1)))
    compare_built(lambda x: T.shape_padleft(x, 2), value, value[None, None])
    compare_built(lambda x: T.shape_padright(x), value, value[..., None])
    compare_built(lambda x: T.shape_padaxis(x, -2), value, np.expand_dims(value, -2))


def test_wrong_axes() -> None:
    x = T.matrix("x")
    for build in (
        lambda: x.dimshuffle(0, 2),
        lambda: x.dimshuffle(0, 0, 1),
        lambda: x.swapaxes(0, 2),
        lambda: T.expand_dims(x, 4),
        lambda: x.dimshuffle(0),
        lambda: x.squeeze(0),
        lambda: x.transpose(0, 0),
        lambda: T.moveaxis(x, 0, 3),
        lambda: T.addbroadcast(x, 2),
        lambda: T.moveaxis(x, (0, 1), 0),
    ):
        with pytest.raises(ShapeError, match=r"test_shapes_and_indexing.py"):
            build()


# ---- sizes ----------------------------------------------------------------------------------------------------------


@given(SHAPES, st.data())
def test_reshapes_are_numpy_s(shape: tuple[int, ...], data: Any) -> None:
    value = filled(shape)
    target = list(data.draw(st.permutations(shape)))
    compare_built(lambda x: x.reshape(tuple(target)), value, value.reshape(target))
    if target and value.size:
        target[data.draw(st.integers(0, len(target) - 1))] = -1
        compare_built(lambda x: x.reshape(target), value, value.reshape(target))
    compare_built(lambda x: x.flatten(), value, value.reshape(-1))
    compare_built(lambda x: x.ravel(), value, value.reshape(-1))
    for ndim in range(1, len(shape) + 1):
        wanted = (*shape[: ndim - 1], int(np.prod(shape[ndim - 1 :])))
        compare_built(lambda x, ndim=ndim: T.flatten(x, ndim), value, value.reshape(wanted))


def test_sizes_are_symbols() -> None:
    value = filled((2, 3))
    compare_built(lambda x: x.shape, value, np.array([2, 3]))
    compare_built(lambda x: x.shape[-1] + 1, value, np.int64(4))
    compare_built(lambda x: x.size, value, np.int64(6))
    compare_built(lambda x: x.reshape((x.shape[1], x.shape[0])), value, value.reshape(3, 2))
    compare_built(lambda x: x.reshape(x.shape[::-1], ndim=2), value, value.reshape(3, 2))
    compare_built(lambda x: T.zeros((x.shape[0], 1)), value, np.zeros((2, 1), "float32"))
    compare_built(lambda x: T.arange(x.shape[0] * x.shape[1]), value, np.arange(6))
    assert T.matrix().shape[0].dtype == "int64" and len(T.tensor("int8", (4, None))) == 4
    sizes = T.lvector("sizes")
    x = T.dmatrix("x")
    f = symgrad.function([x, sizes], T.reshape(x, sizes, ndim=3))
    assert f(filled((4, 3)), [2, 2, 3]).shape == (2, 2, 3)
    assert x.reshape(sizes, 3).ndim == x.reshape((2, 6), 2).ndim + 1 == x.reshape(2, 6, 1).ndim
    with pytest.raises(ShapeError, match="reshape needs to know how many sizes there are"):
        x.reshape(sizes)
    with pytest.raises(ShapeError, match="reshape got 2 sizes for 3 axes"):
        x.reshape((2, 6), ndim=3)


def test_reshapes_that_cannot_be() -> None:
    x, n = T.tensor("float32", (4, 3), "x"), T.lscalar("n")
    for sizes in ((5, 2), (5, -1), (-1, -1), (-3, 4), (4, 0)):
        with pytest.raises(ShapeError, match="reshape can"):
            x.reshape(sizes)
    with pytest.raises(DTypeError, match=r"reshape needs integers as sizes, got float 2.0"):
        x.reshape((2.0, 6))
    with pytest.raises(DTypeError, match="reshape needs integer scalars as sizes, got float32"):
        x.reshape((T.fscalar("s"), 6))
    f = symgrad.function([x, n], x.reshape((n, 6)))
    assert f(np.ones((4, 3), "float32"), 2).shape == (2, 6)
    with pytest.raises(ShapeError, match="reshape"):
        f(np.ones((4, 3), "float32"), 3)
    y = T.matrix("y")
    with pytest.raises(ShapeError, match=r"reshape can't turn \(3, 3\) into \(2, -1\)"):
        symgrad.function([y], y.reshape((2, -1)))(np.ones((3, 3), "float32"))


def test_a_reshape_of_a_view_that_is_not_contiguous_is_made_anew_in_each_call() -> None:
    x, y = T.dvector(), T.dvector()
    f = symgrad.function([x, y], T.broadcast_to(T.concatenate([x, y]), (2, 3)).reshape((6, 1)) + 0)
    for scale in (1.0, 2.0):
        np.testing.assert_array_equal(f([scale, 2.0], [3.0])[:, 0], [scale, 2, 3, scale, 2, 3])


def test_stretching_follows_the_graph() -> None:
    compare_built(lambda x: T.alloc(x, 2, 3), np.array(1.5), np.full((2, 3), 1.5))
    compare_built(lambda x: T.broadcast_to(x, (4, 2, 3)), filled((2, 1)), np.broadcast_to(filled((2, 1)), (4, 2, 3)))
    x, y, k = T.dvector("x"), T.dvector("y"), T.lscalar("k")
    with pytest.raises(ShapeError, match="alloc got sizes 2 and 3 on axis 0"):
        T.alloc(T.zeros((2,)), 3)
    f = symgrad.function([x, y], T.alloc(x, y.shape[0]))
    with pytest.raises(ShapeError, match="Input dimension mis-match: alloc got sizes 1 and 3 on axis 0"):
        f([1.0], [1.0, 2.0, 3.0])
    with pytest.raises(ShapeError, match="Input dimension mis-match: alloc got sizes 1 and 3 on axis 0"):
        symgrad.function([x, y, k], T.alloc(x[:k], y.shape[0]))([1.0, 2.0], [1.0, 2.0, 3.0], 1)


@pytest.mark.parametrize("mode", ["none", "default"])
def test_what_was_stretched_keeps_its_size_and_pattern(mode: str) -> None:
    """Written-out copies may be saved only where the operand would stretch to the same sizes by itself."""
    x, y, n = T.dmatrix("x"), T.dmatrix("y"), T.lscalar("n")
    column = symgrad.function([x, y], T.broadcast_to(y, (3, 1)) + x, mode=mode)
    np.testing.assert_array_equal(column(np.ones((3, 2)), np.full((3, 1), 2.0)), np.full((3, 2), 3.0))
    rows = symgrad.function([x, n], T.alloc(0.5, n, 2) + x, mode=mode)
    np.testing.assert_array_equal(rows(np.ones((3, 2)), 3), np.full((3, 2), 1.5))
    with pytest.raises(ShapeError, match="Input dimension mis-match: add got sizes 4 and 3 on axis 0"):
        rows(np.ones((3, 2)), 4)


def test_what_the_user_vouches_for_is_checked() -> None:
    x = T.dmatrix("x")
    y = T.specify_shape(x, (2, None))
    assert y.type.shape == (2, None)
    f = symgrad.function([x], [y * 2, T.addbroadcast(x, -1) + np.ones(3)])
    assert f(np.ones((2, 1)))[1].shape == (2, 3)
    with pytest.raises(ShapeError, match="axis 0 was said to have size 2, and has 3"):
        f(np.ones((3, 1)))
    with pytest.raises(ShapeError, match="axis 0 was said to have size 3, and has 2"):
        T.specify_shape(y, (3, 1))
    with pytest.raises(ShapeError, match="specify_shape got 1 sizes for float64"):
        T.specify_shape(x, (2,))


def test_a_vouched_for_result_is_the_caller_s_own() -> None:
    """An intermediate that is only looked at must not be handed out while its memory is used again."""
    x, k = T.dvector("x"), T.lscalar("k")
    inner = T.specify_shape((x + 1)[k:], (2,))
    f = symgrad.function([x, k], [inner, T.exp(x * 3).sum()])
    first, _ = f([1.0, 2.0, 3.0], 1)
    f([5.0, 6.0, 7.0], 1)
    np.testing.assert_array_equal(first, [3.0, 4.0])


# ---- indexing -------------------------------------------------------------------------------------------------------


@given(
    arrays.array_shapes(min_dims=1, max_dims=4, max_side=4).flatmap(
        lambda shape: st.tuples(st.just(shape), arrays.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    )
)
def test_basic_indexing_is_numpy_s(case: Any) -> None:
    shape, key = case
    value = filled(shape)
    compare_built(lambda x: x[key], value, value[key])


@given(
    arrays.array_shapes(min_dims=1, max_dims=3, max_side=4).flatmap(
        lambda shape: st.tuples(
            st.just(shape), arrays.integer_array_indices(shape, result_shape=st.just((2,))), st.booleans()
        )
    )
)
def test_indexing_with_arrays_is_numpy_s(case: Any) -> None:
    shape, key, late = case
    value = filled(shape)
    compare_built(lambda x: x[key], value, value[key])
    if late:
        x, symbols = T.tensor("float64", (None,) * len(shape)), [T.lvector() for _ in key]
        found = symgrad.function([x, *symbols], x[tuple(symbols)])(value, *key)
        oracle.assert_same(found, value[key])


@pytest.mark.parametrize(
    "key",
    [np.s_[[0, 2]], np.s_[[]], np.s_[:, [1, 0, 1]], np.s_[[0, 1], :, [1, 2]], np.s_[0, :, [1, 2]], np.s_[:, 0, [1, 2]],
     np.s_[[0, 1], None], np.s_[None, [0, 1], ..., None], np.s_[[0, 1], None, [1, 2]], np.s_[[[0], [1]], [0, 1, 2]],
     np.s_[..., [0, 3]], np.s_[1, ..., [0, 2], :-1], np.s_[np.array([True, False, True])],
     np.s_[:, np.array([True, False, True])], np.s_[np.eye(3, dtype=bool)], np.s_[np.int8(-1), np.uint8(1)], np.s_[()]],
)  # fmt: skip
def test_keys_of_all_kinds(key: Any) -> None:
    value = filled((3, 3, 4))[:, :, :]
    compare_built(lambda x: x[key], value, value[key])


def test_symbolic_positions() -> None:
    x, i, j, labels = T.dmatrix("x"), T.lscalar("i"), T.bscalar("j"), T.ivector("y")
    value = filled((4, 3))
    f = symgrad.function([x, i, j, labels],
                         [x[i], x[i, j], x[i:, ::j], x[i - 1 : i + 1], x[T.arange(labels.shape[0]), labels], x[[i, j]],
                          x[:, labels], x[x.sum(1) > 12]], on_unused_input="ignore")  # fmt: skip
    found = f(value, 2, -1, [2, 0, 1, 1])
    expected = [value[2], value[2, -1], value[2:, ::-1], value[1:3], value[np.arange(4), [2, 0, 1, 1]], value[[2, -1]],
                value[:, [2, 0, 1, 1]], value[value.sum(1) > 12]]  # fmt: skip
    for result, wanted in zip(found, expected, strict=True):
        oracle.assert_same(result, np.asarray(wanted))


def test_indices_that_cannot_be() -> None:
    x = T.tensor("float64", (4, 3), "x")
    for build, text in (
        (lambda: x[4], "index 4 is out of bounds for size 4"),
        (lambda: x[0, -4], "index -4 is out of bounds for size 3"),
        (lambda: x[0, 0, 0], "too many indices"),
        (lambda: x[::0], "a slice needs a step other than 0"),
        (lambda: x[0.5], "an index must be made of integers or bools"),
        (lambda: x[..., ...], "one ellipsis"),
        (lambda: x[T.dvector()], "an index must be made of integers or bools"),
        (lambda: x[np.array([True, False])], "a mask of size 2 doesn't fit size 4"),
        (lambda: x[[0], [0], [0]], "too many indices"),
    ):
        with pytest.raises(IndexError, match=text):
            build()
    with pytest.raises(DTypeError, match="the bounds of a slice must be integer scalars, got float64"):
        x[: T.dscalar()]
    i, y = T.lscalar("i"), T.lvector("y")
    for expression, argument in ((x[i], 4), (x[:, i], -4)):
        with pytest.raises(IndexingError, match=r"subtensor.* failed: index -?4 is out of bounds"):
            symgrad.function([x, i], expression)(np.ones((4, 3)), argument)
    with pytest.raises(IndexingError, match="index 7 is out of bounds for axis 0 with size 4"):
        symgrad.function([x, y], x[y])(np.ones((4, 3)), [0, 7])


def test_variables_are_not_lists() -> None:
    x = T.tensor("float64", (3, None), "x")
    assert len(list(x)) == 3
    for build in (
        lambda: len(T.vector()),
        lambda: list(T.vector()),
        lambda: 1 in x,
        lambda: float(T.dscalar()),
        lambda: len(T.scalar()),
    ):
        with pytest.raises(TypeError):
            build()
    with pytest.raises(TypeError, match="set_subtensor"):
        x[0] = 1.0


def test_gradient_reaches_each_picked_element_as_often_as_it_was_picked() -> None:
    x = T.dvector("x")
    for mode in ("none", "default"):
        f = symgrad.function([x], symgrad.grad(x[[0, 2, 2, -1]].sum() + x[::-2].sum(), x), mode=mode)
        np.testing.assert_array_equal(f(np.ones(4)), [1, 1, 2, 2])


# ---- making and joining ---------------------------------------------------------------------------------------------


@given(st.integers(-5, 9), st.integers(-5, 9), st.integers(-3, 3).filter(bool))
def test_arange_is_numpy_s(start: int, stop: int, step: int) -> None:
    expected = np.arange(start, stop, step)
    known = T.arange(start, stop, step)
    assert known.type.shape == expected.shape
    symbols = T.lscalars("start", "stop", "step")
    oracle.assert_same(symgrad.function(symbols, T.arange(*symbols))(start, stop, step), expected)
    oracle.assert_same(known.eval(), expected)


def test_arange_dtypes() -> None:
    assert T.arange(3).dtype == T.arange(T.iscalar()).dtype == "int64"
    assert T.arange(0.5, 2).dtype == "float32" and T.arange(3, dtype="int8").dtype == "int8"
    np.testing.assert_allclose(T.arange(0.5, 2.0, 0.5).eval(), [0.5, 1.0, 1.5])


def test_making() -> None:
    n = T.lscalar("n")
    cases = [
        (T.zeros((2, 3)), np.zeros((2, 3), "float32")),
        (T.ones(3, "int8"), np.ones(3, "int8")),
        (T.eye(2, 3, 1), np.eye(2, 3, 1, "float32")),
        (T.full((2,), 7), np.full(2, 7, "int8")),
        (T.full((2,), 1.5), np.full(2, 1.5, "float32")),
        (T.zeros_like(T.constant([1, 2])), np.zeros(2, "int8")),
        (T.ones_like(T.constant([1, 2]), "float64"), np.ones(2)),
        (T.full_like(T.constant([1.0, 2.0]), 3), np.full(2, 3, "float32")),
        (T.identity_like(T.zeros((2, 2))), np.eye(2, dtype="float32")),
    ]
    for expression, expected in cases:
        oracle.assert_same(expression.eval(), expected)
    f = symgrad.function([n], [T.zeros((n, 2)), T.alloc(np.float32(3), n), T.eye(n)])
    assert [value.shape for value in f(3)] == [(3, 2), (3,), (3, 3)]


@given(
    arrays.array_shapes(min_dims=1, max_dims=3, max_side=3).flatmap(
        lambda s: st.tuples(st.just(s), st.integers(-len(s), len(s) - 1))
    )
)
def test_joining_is_numpy_s(case: Any) -> None:
    shape, axis = case
    value = filled(shape)
    compare_built(
        lambda x: T.concatenate([x, x + 1, x], axis=axis), value, np.concatenate([value, value + 1, value], axis)
    )
    compare_built(lambda x: T.join(axis, x, x), value, np.concatenate([value, value], axis))
    compare_built(lambda x: T.stack([x, x + 1], axis=axis), value, np.stack([value, value + 1], axis))
    compare_built(lambda x: T.stack(x, x), value, np.stack([value, value]))


def test_lists_of_variables_are_stacked() -> None:
    x = T.dvector("x")
    assert T.as_tensor_variable([[x[0], 1], [2, 3]]).eval({x: [7.0]}).tolist() == [[7, 1], [2, 3]]
    assert T.sum([x[0], x[1], 3.0]).eval({x: [7.0, 1.0]}) == 11
    assert T.dot(x, [x[1], 0]).eval({x: [7.0, 2.0]}) == 14
    assert x[[T.constant(1), 0]].eval({x: [7.0, 2.0]}).tolist() == [2, 7]


def test_joining_of_kinds() -> None:
    x, s = T.imatrix("x"), T.iscalar("s")
    assert T.concatenate([x, T.fmatrix()]).dtype == "float32" and T.stack([s, 1.5]).dtype == "float32"
    assert T.stack([s, 2]).eval({s: 7}).tolist() == [7, 2]
    assert T.as_tensor_variable([s, 2, 3]).eval({s: 7}).tolist() == [7, 2, 3]
    for build, text in (
        (lambda: T.concatenate([x, T.ivector()]), "concatenate needs equal numbers of axes, got 2 and 1"),
        (lambda: T.concatenate([x, x], axis=2), "concatenate got axis 2 for a tensor of 2 axes"),
        (lambda: T.concatenate([s, s]), "scalars have none"), (lambda: T.stack([]), "stack needs at least one tensor"),
        (lambda: T.concatenate([T.zeros((2, 3)), T.zeros((2, 4))]), "needs equal sizes on axis 1"),
        (lambda: T.stack([s, s], axis=1), "stack got axis 1 for a tensor of 1 axes"),
    ):  # fmt: skip
        with pytest.raises(ShapeError, match=text):
            build()
    with pytest.raises(ValueError, match="concatenate"):
        symgrad.function([x], T.concatenate([x, x[:, 1:]]))(np.ones((2, 3), "int32"))
