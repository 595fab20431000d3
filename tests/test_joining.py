"""Joining, splitting, tiling, repeating, rolling, padding and turning tensors: NumPy's results and exact gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from oracle import compare_built, filled

import symgrad
import symgrad.tensor as T
from symgrad.errors import DTypeError, ShapeError

SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
SHAPES_AND_AXES = SHAPES.flatmap(lambda s: st.tuples(st.just(s), st.integers(-len(s), len(s) - 1)))
FEW = settings(max_examples=20)


def _call(inputs: list[Any], outputs: Any, *values: Any) -> Any:
    return symgrad.function(inputs, outputs, on_unused_input="ignore")(*values)


def compare_linear(build: Callable[[Any], Any], value: np.ndarray, expected: np.ndarray) -> None:
    """Compare with NumPy; and as the function is linear, its gradient and pushforward with the function itself."""
    compare_built(build, value, expected)
    x = oracle.variables_for(value)[1]
    y = build(x)
    random = np.random.default_rng(3)
    weights, direction = random.normal(size=expected.shape), random.normal(size=value.shape)
    gradient = symgrad.grad((y * T.constant(weights)).sum(), x)
    forward = symgrad.Rop(y, x, T.constant(direction))
    cotangent, tangent, moved = _call([x], [gradient, forward, build(T.constant(direction))], value)
    oracle.assert_same(tangent, moved)
    assert cotangent.shape == value.shape
    assert float((cotangent * direction).sum()) == pytest.approx(float((weights * moved).sum()), abs=1e-9)


@FEW
@given(SHAPES_AND_AXES, st.lists(st.integers(0, 3), min_size=1, max_size=4), st.booleans())
def test_what_is_split_is_what_was_joined(case: Any, sizes: list[int], late: bool) -> None:
    shape, axis = list(case[0]), case[1]
    shape[axis] = sum(sizes)
    value = filled(tuple(shape))
    expected = np.split(value, np.cumsum(sizes)[:-1], axis)
    given_sizes = T.lvector("sizes") if late else sizes
    for x in oracle.variables_for(value):
        parts = T.split(x, given_sizes, len(sizes), axis=axis)
        parts = [parts] if len(sizes) == 1 else parts
        joined = T.concatenate([part * (k + 1) for k, part in enumerate(parts)], axis)
        gradient = symgrad.grad(joined.sum(), x)
        f = symgrad.function([x, *([given_sizes] if late else [])], [*parts, joined, gradient])
        *found, whole, cotangent = f(value, *([sizes] if late else []))
        for part, wanted in zip(found, expected, strict=True):
            oracle.assert_same(part, wanted)
        scaled = np.concatenate([part * (k + 1) for k, part in enumerate(expected)], axis)
        oracle.assert_same(whole, scaled)
        scale = np.concatenate([np.full(part.shape, k + 1.0) for k, part in enumerate(expected)], axis)
        oracle.assert_same(cotangent, scale)


def test_a_gradient_of_one_part_only() -> None:
    x, sizes = T.dvector("x"), T.lvector("sizes")
    first, _ = T.split(x, sizes, 2)
    gradient = symgrad.grad((first**2).sum(), x)
    oracle.assert_same(gradient.eval({x: [1.0, 2, 3], sizes: [2, 1]}), np.array([2.0, 4, 0]))


def test_equal_parts_and_bad_splits() -> None:
    value = filled((6, 2))
    compare_built(lambda x: T.split(x, 3)[1], value, value[2:4])
    compare_built(lambda x: T.split(x, [6], 1), value, value)
    x, sizes = T.dmatrix("x"), T.lvector("sizes")
    known = T.tensor("float64", (6, 2))
    for build, text in (
        (lambda: T.split(known, [2, 3], 2), r"split: the sizes \[2, 3\] sum to 5, expected 6"),
        (lambda: T.split(x, [-1, 7], 2), "negative size"),
        (lambda: T.split(x, [1, 2], 3), "split got 2 sizes for 3 parts"),
        (lambda: T.split(x, sizes), "how many parts"),
        (lambda: T.split(x, []), "at least one part"),
        (lambda: T.split(x, [1, 2], axis=2), "axis 2"),
    ):
        with pytest.raises(ShapeError, match=text):
            build()
    with pytest.raises(DTypeError, match="split needs a vector of integers"):
        T.split(x, [1.5, 2.5])
    for given_sizes in (sizes, [2, 3], 4):
        part = T.split(x, given_sizes, None if given_sizes == 4 else 2)[1]
        f = symgrad.function([x, sizes], part, on_unused_input="ignore")
        with pytest.raises(ShapeError, match=r"test_joining\.py"):
            f(value, [2, 3])


@FEW
@given(SHAPES, st.lists(st.integers(0, 3), max_size=4), st.booleans())
def test_tiles(shape: tuple[int, ...], reps: list[int], late: bool) -> None:
    value = filled(shape)
    expected = np.tile(value, reps)
    compare_linear(lambda x: T.tile(x, reps), value, expected)
    if late and reps:
        counts = T.lscalars(len(reps))
        x = T.tensor("float64", (None,) * len(shape))
        oracle.assert_same(_call([x, *counts], T.tile(x, counts), value, *reps), expected)
        oracle.assert_same(_call([x, *counts], T.tile(x, T.stack(counts)), value, *reps), expected)


def test_tiles_with_more_axes_than_asked_for() -> None:
    value = filled((2, 3))
    compare_linear(lambda x: T.tile(x, 2, ndim=3), value, np.tile(value, (1, 1, 2)))
    with pytest.raises(ShapeError, match="tile can't make 1 axes"):
        T.tile(T.matrix(), 2, ndim=1)
    with pytest.raises(DTypeError, match="tile needs integer scalars"):
        T.tile(T.matrix(), (2.5,))
    with pytest.raises(ShapeError, match="can't be repeated -1 times"):
        T.tile(T.matrix(), -1)
    with pytest.raises(ShapeError, match="tile needs to know how many"):
        T.tile(T.matrix(), T.lvector())


@FEW
@given(SHAPES_AND_AXES, st.integers(0, 3), st.data())
def test_repeats(case: Any, count: int, data: Any) -> None:
    shape, axis = case
    value = filled(shape)
    compare_linear(lambda x: T.repeat(x, count, axis), value, value.repeat(count, axis))
    compare_linear(lambda x: x.repeat(count), value, value.repeat(count))
    counts = data.draw(st.lists(st.integers(0, 3), min_size=shape[axis], max_size=shape[axis]))
    if shape[axis] != 1:
        compare_linear(lambda x: T.repeat(x, np.array(counts, "int64"), axis), value, value.repeat(counts, axis))
        x, each = T.tensor("float64", (None,) * len(shape)), T.lvector()
        oracle.assert_same(symgrad.function([x, each], x.repeat(each, axis))(value, counts), value.repeat(counts, axis))
    x, once = T.tensor("float64", (None,) * len(shape)), T.lscalar()
    oracle.assert_same(symgrad.function([x, once], x.repeat(once, axis))(value, count), value.repeat(count, axis))


def test_bad_repeats() -> None:
    x, counts = T.dvector("x"), T.lvector("counts")
    f = symgrad.function([x, counts], T.repeat(x, counts))
    for bad in ([1, 2], [1, -1, 0]):
        with pytest.raises(ShapeError, match=r"(?s)repeat needs .*test_joining\.py"):
            f([1.0, 2.0, 3.0], bad)
    with pytest.raises(DTypeError, match="repeat needs an integer scalar or vector"):
        T.repeat(x, 1.5)
    with pytest.raises(ShapeError, match="axis 1"):
        T.repeat(x, 2, axis=1)


@FEW
@given(SHAPES_AND_AXES, st.integers(-9, 9))
def test_rolls(case: Any, shift: int) -> None:
    shape, axis = case
    value = filled(shape)
    compare_linear(lambda x: T.roll(x, shift, axis), value, np.roll(value, shift, axis))
    compare_built(lambda x: T.roll(x, shift), value, np.roll(value, shift))
    x, late = T.tensor("float64", (None,) * len(shape)), T.lscalar()
    oracle.assert_same(symgrad.function([x, late], T.roll(x, late, axis))(value, shift), np.roll(value, shift, axis))


def test_several_rolls() -> None:
    value = filled((3, 4))
    compare_built(lambda x: T.roll(x, (1, -1), (0, 1)), value, np.roll(value, (1, -1), (0, 1)))
    compare_built(lambda x: T.roll(x, 2, (0, 1)), value, np.roll(value, 2, (0, 1)))
    with pytest.raises(ShapeError, match="roll got 2 shifts for 3 axes"):
        T.roll(T.tensor3(), (1, 2), (0, 1, 2))


@FEW
@given(
    arrays.array_shapes(min_dims=1, max_dims=3, max_side=4), st.data(),
    st.sampled_from(["constant", "edge", "reflect", "symmetric", "wrap"]),
)  # fmt: skip
def test_paddings(shape: tuple[int, ...], data: Any, mode: str) -> None:
    width = st.integers(0, 5)
    widths = data.draw(st.lists(st.tuples(width, width), min_size=len(shape), max_size=len(shape)))
    value = filled(shape)
    expected = np.pad(value, widths, mode)  # type: ignore[call-overload]
    compare_linear(lambda x: T.pad(x, widths, mode), value, expected)
    x, late = T.tensor("float64", (None,) * len(shape)), T.lscalars(2 * len(shape))
    pairs = list(zip(late[::2], late[1::2], strict=True))
    f = symgrad.function([x, *late], T.pad(x, pairs, mode))
    oracle.assert_same(f(value, *[width for pair in widths for width in pair]), expected)


def test_forms_of_padding() -> None:
    value = filled((2, 3))
    for widths in (2, (1, 2), ((1, 0), (0, 2)), ((1, 2),), np.array([[1, 0], [2, 1]])):
        compare_built(lambda x, w=widths: T.pad(x, w), value, np.pad(value, widths))
    values = ((7.0, 8.0), (1.0, 2.0))
    compare_built(lambda x: T.pad(x, 1, constant_values=values), value, np.pad(value, 1, constant_values=values))
    compare_built(lambda x: T.pad(x, 1, constant_values=x.sum()), value, np.pad(value, 1, constant_values=value.sum()))
    with pytest.raises(ValueError, match="pad knows the modes 'constant', 'edge'"):
        T.pad(T.matrix(), 1, "mean")
    with pytest.raises(ShapeError, match="pad needs widths of 0 or more"):
        T.pad(T.matrix(), (1, -1))
    with pytest.raises(ShapeError, match="pad needs a pair of widths for each of 2 axes"):
        T.pad(T.matrix(), ((1, 1), (1, 1), (1, 1)))
    with pytest.raises(ShapeError, match="pad can't fill axis 0 from nothing"):
        T.pad(T.zeros((0,)), 1, "edge")


@FEW
@given(SHAPES, st.integers(-5, 5))
def test_reversals_and_turns(shape: tuple[int, ...], k: int) -> None:
    value = filled(shape)
    compare_linear(T.flip, value, np.flip(value))
    compare_linear(T.flipud, value, np.flipud(value))
    if len(shape) > 1:
        compare_built(T.fliplr, value, np.fliplr(value))
        compare_linear(lambda x: T.rot90(x, k), value, np.rot90(value, k))
        compare_built(lambda x: T.rot90(x, k, (1, 0)), value, np.rot90(value, k, (1, 0)))
        compare_built(lambda x: T.flip(x, (0, 1)), value, np.flip(value, (0, 1)))


def test_stacks_of_other_forms() -> None:
    vector, matrix, cube = filled((3,)), filled((2, 3)), filled((2, 3, 1))
    for value in (vector, matrix, cube):
        compare_built(lambda x: T.hstack([x, x + 1]), value, np.hstack([value, value + 1]))
        compare_built(lambda x: T.vstack([x, x + 1]), value, np.vstack([value, value + 1]))
        compare_built(lambda x: T.dstack([x, x + 1]), value, np.dstack([value, value + 1]))
        for name in ("atleast_1d", "atleast_2d", "atleast_3d"):
            compare_built(getattr(T, name), value, getattr(np, name)(value))
    compare_built(T.atleast_3d, np.array(2.0), np.atleast_3d(2.0))
    compare_built(lambda x: T.column_stack([x, x, T.stack([x, x], 1)]), vector,
                  np.column_stack([vector, vector, np.stack([vector, vector], 1)]))  # fmt: skip
    compare_built(lambda x: T.horizontal_stack(x, x), matrix, np.hstack([matrix, matrix]))
    compare_built(lambda x: T.vertical_stack(x, x), matrix, np.vstack([matrix, matrix]))
    compare_built(lambda x: T.stack([x, x], 1), matrix, np.stack([matrix, matrix], 1))
    compare_built(lambda x: T.stack([x, x], axis=-1), matrix, np.stack([matrix, matrix], -1))
    compare_built(lambda x: T.join(0, x), matrix, matrix)
    compare_built(lambda x: T.join(-1, x, x), matrix, np.hstack([matrix, matrix]))
    compare_built(lambda x: T.stacklists([[x, x + 1], [x, x]]), vector,
                  np.array([[vector, vector + 1], [vector, vector]]))  # fmt: skip
    with pytest.raises(TypeError, match="concatenate takes a list of tensors, got float32"):
        T.concatenate(T.tensor3())


def test_dtypes_meet_when_tensors_are_joined() -> None:
    x, y = T.bvector("x"), T.fvector("y")
    assert T.concatenate([x, y]).dtype == T.join(0, x, y).dtype == T.stack([x, y]).dtype == "float32"
    assert T.concatenate([x, T.wvector()]).dtype == "int16"
    with symgrad.config.change_flags(cast_policy="custom", floatX="float64"):
        assert T.concatenate([T.ivector(), y]).dtype == "float64" and T.stack([x, y]).dtype == "float32"
    gradient = symgrad.grad((T.concatenate([x, y]) ** 2).sum(), y)
    oracle.assert_same(gradient.eval({x: [1, 2], y: [3.0]}), np.array([6], "float32"))


def test_axes_that_roll() -> None:
    value = filled((2, 3, 4))
    for axis in range(-3, 3):
        for start in range(-3, 4):
            compare_built(lambda x, a=axis, s=start: T.rollaxis(x, a, s), value, np.rollaxis(value, axis, start))
