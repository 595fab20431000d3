"""Elements picked by position, grids, diagonals, triangles, and what the graph alone knows: against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from oracle import compare_built, filled

import symgrad
import symgrad.tensor as T
from symgrad.errors import DTypeError, IndexingError, NotScalarConstantError, ShapeError
from symgrad.graph.types import TensorType

FEW = settings(max_examples=12)
SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, max_side=4)
SHAPES_AND_AXES = SHAPES.flatmap(lambda s: st.tuples(st.just(s), st.integers(-len(s), len(s) - 1)))
MATRICES = arrays.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=4)


def compare_with_gradient(build: Any, value: np.ndarray, expected: np.ndarray) -> None:
    """Compare with NumPy, and the gradient with finite differences, which are exact for what is linear."""
    compare_built(build, value, expected)
    if value.size and np.size(expected):
        symgrad.verify_grad(build, [value], n_tests=1)


# ---- positions -------------------------------------------------------------------------------------------------------


@FEW
@given(SHAPES_AND_AXES, st.data(), st.sampled_from(["raise", "wrap", "clip"]))
def test_take(case: Any, data: Any, mode: str) -> None:
    shape, axis = case
    value = filled(shape)
    reach = (-shape[axis], shape[axis] - 1) if mode == "raise" else (-9, 9)
    indices = data.draw(arrays.arrays("int64", arrays.array_shapes(min_dims=0, max_dims=2, max_side=3),
                                      elements=st.integers(*reach)))  # fmt: skip
    compare_with_gradient(lambda x: T.take(x, indices, axis, mode), value, np.take(value, indices, axis, mode=mode))
    compare_built(lambda x: x.take(indices.tolist(), mode="wrap"), value, np.take(value, indices, mode="wrap"))
    late = TensorType("int64", [1 if n == 1 else None for n in indices.shape])()
    x = oracle.variables_for(value)[1]
    f = symgrad.function([x, late], T.take(x, late, axis, mode))
    oracle.assert_same(f(value, indices), np.asarray(np.take(value, indices, axis, mode=mode)))


def test_take_of_lists_and_mistakes() -> None:
    x = T.dvector("x")
    assert T.take(x, []).eval({x: [1.0]}).shape == (0,) and T.take([5, 6], [1]).eval().tolist() == [6]
    with pytest.raises(ValueError, match="take knows the modes 'raise', 'wrap', 'clip', got 'nearest'"):
        T.take(x, [0], mode="nearest")
    with pytest.raises(DTypeError, match="take needs integers as positions, got float"):
        T.take(x, [0.5])
    with pytest.raises(ShapeError, match="take got axis 1"):
        T.take(x, [0], axis=1)


@FEW
@given(SHAPES, st.integers(1, 4), st.data(), st.sampled_from(["raise", "wrap", "clip"]), st.booleans())
def test_choose(shape: tuple[int, ...], count: int, data: Any, mode: str, late: bool) -> None:
    reach = (0, count - 1) if mode == "raise" else (-7, 7)
    own_shape = shape[data.draw(st.integers(0, len(shape))) :]
    numbers = data.draw(arrays.arrays("int64", own_shape, elements=st.integers(*reach)))
    value = filled((count, *shape))
    expected = np.choose(numbers, value, mode=mode)
    if late:
        compare_with_gradient(lambda x: T.choose(numbers, x, mode), value, expected)
    else:
        compare_with_gradient(lambda x: T.choose(numbers, [x[k] for k in range(count)], mode), value, expected)


def test_choices_broadcast_and_have_dtypes() -> None:
    i = T.bvector("i")
    chosen = i.choose([T.constant([1, 2, 3]), 7.5])
    oracle.assert_same(chosen.eval({i: [0, 1, 0]}), np.array([1, 7.5, 3], "float32"))
    for bad in ([], T.scalar()):
        with pytest.raises(ShapeError, match="choose needs"):
            i.choose(bad)


@FEW
@given(SHAPES_AND_AXES, st.data())
def test_compress(case: Any, data: Any) -> None:
    shape, axis = case
    value = filled(shape)
    condition = data.draw(st.lists(st.booleans(), min_size=1, max_size=shape[axis]))
    expected = np.compress(condition, value, axis)
    assume(expected.size)
    compare_with_gradient(lambda x: T.compress(condition, x, axis), value, expected)
    compare_built(lambda x: x.compress(condition), value, np.compress(condition, value))


@FEW
@given(SHAPES_AND_AXES, st.data())
def test_take_along_axis(case: Any, data: Any) -> None:
    shape, axis = list(case[0]), case[1]
    value = filled(tuple(shape))
    size, shape[axis] = shape[axis], data.draw(st.integers(1, 3))
    indices = data.draw(arrays.arrays("int64", tuple(shape), elements=st.integers(-size, size - 1)))
    expected = np.take_along_axis(value, indices, axis)
    compare_with_gradient(lambda x: T.take_along_axis(x, indices, axis), value, expected)
    compare_built(lambda x: T.take_along_axis(x, indices.ravel() % size, None), value,
                  np.take_along_axis(value, indices.ravel() % size, None))  # fmt: skip


@FEW
@given(arrays.array_shapes(min_dims=1, max_dims=3, max_side=4), st.data())
def test_rows_are_permuted_and_put_back(shape: tuple[int, ...], data: Any) -> None:
    value = filled(shape)
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    order = random.permuted(np.broadcast_to(np.arange(shape[-1]), shape), axis=-1)
    expected = np.take_along_axis(value, order, -1)
    compare_with_gradient(lambda x: T.permute_row_elements(x, order), value, expected)
    compare_built(lambda x: T.permute_row_elements(T.permute_row_elements(x, order), order, inverse=1), value, value)
    one = order[(0,) * (order.ndim - 1)]
    compare_with_gradient(lambda x: T.permute_row_elements(x, one), value, value[..., one])
    oracle.assert_same(T.inverse_permutation(T.constant(order)).eval(), np.argsort(order, -1))


@given(arrays.arrays("int8", arrays.array_shapes(max_dims=3, min_side=0), elements=st.integers(-1, 1)))
@FEW
def test_nonzero(value: np.ndarray) -> None:
    for found, expected in zip(T.constant(value).nonzero(), value.nonzero(), strict=True):
        oracle.assert_same(found.eval(), expected)
    compare_built(lambda x: x.nonzero(return_matrix=True), value, np.array(value.nonzero()))
    compare_built(T.flatnonzero, value, np.flatnonzero(value))
    compare_built(T.nonzero_values, value, value[value.nonzero()])
    compare_built(lambda x: x[x.nonzero()], value, value[value.nonzero()])


def test_nonzero_has_gradients_through_the_values_only() -> None:
    x = T.dvector("x")
    gradient = symgrad.grad((x.nonzero_values() ** 2).sum(), x)
    np.testing.assert_array_equal(gradient.eval({x: [0.0, 3.0, -1.0]}), [0, 6, -2])
    with pytest.raises(ShapeError, match="nonzero needs at least one axis"):
        T.scalar().nonzero()


@FEW
@given(SHAPES, st.data(), st.sampled_from("CF"))
def test_positions_in_the_vector_of_elements(shape: tuple[int, ...], data: Any, order: Any) -> None:
    size = int(np.prod(shape))
    flat = data.draw(arrays.arrays("int64", (3,), elements=st.integers(0, size - 1)))
    places = np.unravel_index(flat, shape, order=order)
    i, sizes = T.lvector("i"), T.lvector("sizes")
    for found in (T.unravel_index(i, shape, order), T.unravel_index(i, sizes, order, ndim=len(shape))):
        f = symgrad.function([i, sizes], list(found), on_unused_input="ignore")
        for result, expected in zip(f(flat, shape), places, strict=True):
            oracle.assert_same(result, expected)
    back = T.ravel_multi_index([T.constant(place) for place in places], shape, order=order)
    oracle.assert_same(back.eval(), flat)
    moved = [place + 5 for place in places]
    for mode in ("wrap", "clip"):
        oracle.assert_same(T.ravel_multi_index(moved, shape, mode, order).eval(),
                           np.ravel_multi_index(moved, shape, mode=mode, order=order))  # fmt: skip


def test_bad_positions() -> None:
    with pytest.raises(IndexingError, match=r"(?s)ravel_multi_index.*test_picking\.py"):
        T.ravel_multi_index([[3], [0]], (3, 4)).eval()
    with pytest.raises(ShapeError, match="unravel_index needs to know how many sizes"):
        T.unravel_index([1], T.lvector())
    with pytest.raises(ValueError, match="unravel_index knows the orders"):
        T.unravel_index([1], (3,), order="A")
    with pytest.raises(ValueError, match="ravel_multi_index knows"):
        T.ravel_multi_index([[1]], (3,), mode="nearest")


def test_one_hot() -> None:
    y, count = T.ivector("y"), T.lscalar("n")
    f = symgrad.function([y, count], [T.to_one_hot(y, count), T.to_one_hot(y, 4, "int8")])
    first, second = f([2, 0, 1], 3)
    oracle.assert_same(first, np.eye(3, dtype="float32")[[2, 0, 1]])
    oracle.assert_same(second, np.eye(4, dtype="int8")[[2, 0, 1]])
    with pytest.raises(IndexingError, match="index 3 is out of bounds"):
        f([3], 3)
    with pytest.raises(DTypeError, match="to_one_hot takes a vector of integers"):
        T.to_one_hot(T.vector(), 3)


# ---- diagonals and triangles -----------------------------------------------------------------------------------------


@FEW
@given(MATRICES, st.integers(-5, 5), st.data())
def test_diagonals(shape: tuple[int, ...], offset: int, data: Any) -> None:
    value = filled(shape)
    axes = data.draw(st.permutations(range(len(shape))))[:2]
    expected = value.diagonal(offset, *axes)
    compare_with_gradient(lambda x: x.diagonal(offset, *axes), value, expected)
    compare_built(lambda x: x.trace(offset, *axes), value, np.asarray(value.trace(offset, *axes)))
    x, k = T.tensor("float64", (None,) * len(shape)), T.lscalar()
    f = symgrad.function([x, k], [T.diagonal(x, k, *axes), T.tril(x, k), T.triu(x, k)])
    for found, wanted in zip(f(value, offset), [expected, np.tril(value, offset), np.triu(value, offset)], strict=True):
        oracle.assert_same(found, wanted)
    compare_with_gradient(lambda x: T.tril(x, offset), value, np.tril(value, offset))
    compare_with_gradient(lambda x: T.triu(x, offset), value, np.triu(value, offset))


@FEW
@given(SHAPES, st.integers(-3, 3))
def test_matrices_of_diagonals(shape: tuple[int, ...], offset: int) -> None:
    value = filled(shape) + 1
    side = shape[-1] + abs(offset)
    places = np.arange(shape[-1])
    expected = np.zeros((*shape[:-1], side, side))
    expected[..., places + max(-offset, 0), places + max(offset, 0)] = value

    def build(x: Any) -> Any:
        return T.alloc_diag(x, offset, -2, -1)

    compare_with_gradient(build, value, expected)
    compare_built(lambda x: T.diagonal(build(x), offset, -2, -1), value, value)
    compare_built(lambda x: T.alloc_diag(x, offset), value, np.moveaxis(expected, (-2, -1), (0, 1)))
    if len(shape) == 1:
        compare_built(lambda x: T.diag(x, offset), value, np.diag(value, offset))
        compare_built(lambda x: T.diag(T.diag(x, offset), offset), value, value)


def test_triangles_of_ones_and_what_is_left_out() -> None:
    n, m, k = T.lscalars("n", "m", "k")
    f = symgrad.function([n, m, k], [T.tri(n, m, k), T.eye(n, m, k), T.tri(n, dtype="int8")])
    for rows, columns, number in ((3, 4, 0), (4, 2, -1), (2, 5, 2), (0, 3, 1)):
        found = f(rows, columns, number)
        for result, expected in zip(found, [np.tri(rows, columns, number, "float32"),
                                            np.eye(rows, columns, number, "float32"),
                                            np.tri(rows, dtype="int8")], strict=True):  # fmt: skip
            oracle.assert_same(result, expected)
    oracle.assert_same(T.tri(2, 3, 1, "int64").eval(), np.tri(2, 3, 1, "int64"))
    value = np.full((2, 2), np.nan)
    assert T.tril(T.constant(value)).eval()[0, 1] == T.triu(T.constant(value)).eval()[1, 0] == 0


@FEW
@given(arrays.array_shapes(min_dims=2, max_dims=2, max_side=5), st.integers(-6, 6))
def test_diagonals_are_filled(shape: tuple[int, int], offset: int) -> None:
    value, filling = filled(shape), -1.0
    expected = value.copy()
    places = np.arange(min(shape))
    expected[places, places] = filling
    compare_with_gradient(lambda x: T.fill_diagonal(x, filling), value, expected)
    wanted = np.where(np.eye(*shape, offset) > 0, filling, value)
    compare_with_gradient(lambda x: T.fill_diagonal_offset(x, filling, offset), value, wanted)
    x, y, k = T.dmatrix(), T.dscalar(), T.lscalar()
    gradient = symgrad.grad((T.fill_diagonal_offset(x, y, k) * x).sum(), y)
    f = symgrad.function([x, y, k], gradient, on_unused_input="ignore")
    assert float(f(value, filling, offset)) == pytest.approx(value.diagonal(offset).sum())
    if shape[0] == shape[1]:
        cube = filled((*shape, shape[0]))
        kept = cube.copy()
        np.fill_diagonal(kept, filling)
        compare_built(lambda x: T.fill_diagonal(x, filling), cube, kept)


def test_diagonals_that_cannot_be() -> None:
    x = T.dmatrix("x")
    for build, text in (
        (lambda: T.diagonal(T.vector()), "diagonal needs a matrix"),
        (lambda: T.diagonal(x, 0, 1, 1), "two different axes"),
        (lambda: T.diag(T.scalar()), "diag needs a vector or a matrix"),
        (lambda: T.fill_diagonal(x, T.dvector()), "fill_diagonal puts a scalar"),
        (lambda: T.fill_diagonal(T.zeros((2, 2, 3)), 1), "needs equal sizes"),
        (lambda: T.fill_diagonal_offset(T.dtensor3(), 1, 0), "needs a matrix"),
        (lambda: T.tril(T.vector()), "tril needs a matrix"),
        (lambda: T.alloc_diag(T.scalar()), "alloc_diag needs at least one axis"),
    ):
        with pytest.raises(ShapeError, match=text):
            build()
    with pytest.raises(DTypeError, match="numbers diagonals by integers"):
        T.diagonal(x, 0.5)


# ---- ranges and grids ------------------------------------------------------------------------------------------------


@settings(max_examples=8)
@given(st.floats(-5, 5, width=32), st.floats(-5, 5, width=32), st.integers(0, 6), st.booleans())
def test_even_distances(start: float, stop: float, count: int, endpoint: bool) -> None:
    ends = np.array(start, "float64"), np.array(stop, "float64")
    a, b, n = T.dscalar(), T.dscalar(), T.lscalar()
    expected = np.linspace(start, stop, count, endpoint)
    f = symgrad.function([a, b, n], [T.linspace(a, b, count, endpoint), T.linspace(a, b, n, endpoint),
                                     T.logspace(a, b, n, endpoint, 2.0)])  # fmt: skip
    known, late, powers = f(*ends, count)
    oracle.assert_same(known, expected)
    oracle.assert_same(late, expected)
    oracle.assert_same(powers, 2.0**expected)
    if count > 1:
        found = T.geomspace(1 + start**2, 1 + stop**2, count, dtype="float64").eval()
        np.testing.assert_allclose(found, np.geomspace(1 + start**2, 1 + stop**2, count), rtol=1e-6)


def test_ranges_of_rows_and_dtypes() -> None:
    low, high = filled((3,)), filled((2, 1)) + 10
    compare_built(lambda x: T.linspace(x, T.constant(high), 4), low, np.linspace(low, high, 4))
    symgrad.verify_grad(lambda a, b: T.linspace(a, b, 5), [np.array(0.5), np.array(2.0)])
    symgrad.verify_grad(lambda a, b: T.arange(a, 3.1, b), [np.array(0.5), np.array(0.75)])
    assert T.linspace(0, 1).dtype == "float32" and T.linspace(0, 9, 10, dtype="int8").dtype == "int8"
    with pytest.raises(ShapeError, match="linspace can't make -1 numbers"):
        T.linspace(0, 1, -1)
    one, two, three = [T.tensor("uint8", ()) for _ in range(3)]
    assert T.arange(one, two, three).dtype == "uint64" and T.arange(one).dtype == "int64"
    assert T.arange(np.float32(1), 3).dtype == "float32" and T.arange(T.dscalar(), 3).dtype == "float64"
    with symgrad.config.change_flags(cast_policy="custom"):
        assert T.arange(T.fscalar()).dtype == "float32" and T.arange(T.bscalar()).dtype == "int64"


def test_grids() -> None:
    x, y, z = np.arange(2.0), np.arange(3.0), np.arange(4.0)
    for indexing in ("xy", "ij"):
        for sparse in (False, True):
            for vectors in ((x,), (x, y), (x, y, z)):
                options = {"indexing": indexing, "sparse": sparse}
                found = T.meshgrid(*vectors, **options)
                for result, expected in zip(found, np.meshgrid(*vectors, **options), strict=True):
                    oracle.assert_same(result.eval(), expected)
    n = T.lscalar("n")
    for ours, theirs in ((T.mgrid[0:n, 1:7:2], np.mgrid[0:3, 1:7:2]), (T.ogrid[0:n, 1:7:2], np.ogrid[0:3, 1:7:2]),
                         (T.mgrid[0:1:3j, 0:n], np.mgrid[0:1:3j, 0:3])):  # fmt: skip
        results = symgrad.function([n], list(ours), on_unused_input="ignore")(3)
        for result, expected in zip(results, theirs, strict=True):
            np.testing.assert_allclose(result, expected)
    oracle.assert_same(T.mgrid[2:5].eval(), np.mgrid[2:5])
    for bad in (lambda: T.mgrid[3], lambda: T.mgrid[0:3, 1], lambda: T.ogrid[1:]):
        with pytest.raises(DTypeError, match="grid"):
            bad()
    with pytest.raises(ValueError, match="meshgrid knows the orders"):
        T.meshgrid(x, y, indexing="yx")
    with pytest.raises(ShapeError, match="meshgrid takes vectors"):
        T.meshgrid(T.matrix())


# ---- what the graph knows --------------------------------------------------------------------------------------------


def test_numbers_that_the_graph_tells() -> None:
    n, x = T.lscalar("n"), T.dvector("x")
    for expression, value in (
        (T.constant(3), 3), (2.5, 2.5), (T.alloc(2, n, 3), 2), (T.ones_like(x), 1), (T.constant(2) * 3 + 1, 7),
        (T.constant([4, 4]), 4), (T.stack([n, 5])[1], 5), (T.zeros((n,))[0], 0), (T.constant([[7]]).flatten()[0], 7),
        (T.tensor("int8", (4, None)).shape[0], 4), (T.constant(2.0).astype("int8"), 2),
    ):  # fmt: skip
        found = T.get_scalar_constant_value(expression)
        assert found.shape == () and found == value and T.extract_constant(expression) == value
    for unknown in (n, x.shape[0], T.constant([1, 2]), x[0], T.stack([n, 5])[0], None, n * 2):
        with pytest.raises(NotScalarConstantError):
            T.get_scalar_constant_value(unknown)
        assert T.extract_constant(unknown) is unknown
    with pytest.raises(NotScalarConstantError):
        T.get_scalar_constant_value(T.constant(2) + T.alloc(1, n), elemwise=False)


def test_lengths_and_kinds() -> None:
    x = T.tensor3("x")
    assert T.get_vector_length(x.shape) == T.get_vector_length([1, 2, 3]) == 3
    assert T.is_flat(T.vector()) and T.is_flat(x, 3) and not T.is_flat(x)
    for bad in (x, T.lvector()):
        with pytest.raises(ValueError, match=r"get_vector_length|length of"):
            T.get_vector_length(bad)
    s = T.scalar()
    assert T.tensor_from_scalar(s) is T.scalar_from_tensor(s) is s
    with pytest.raises(ShapeError, match="scalar_from_tensor takes a tensor with no axes"):
        T.scalar_from_tensor(x)
    assert T.itensor6().ndim == 6 and T.tensor7("x").ndim == 7 and len(T.dtensor6s(2)) == 2


def test_tensors_of_a_wanted_number_of_axes() -> None:
    row = T.row("row")
    assert T.as_tensor_variable(row, ndim=1).type.shape == (None,) and T.as_tensor(row, ndim=3).ndim == 3
    assert T.as_tensor_variable(row, ndim=2) is row and T.constant([1, 2], ndim=3).type.shape == (1, 1, 2)
    assert T.constant(3, dtype="floatX").dtype == "float32"
    for build in (lambda: T.as_tensor_variable(T.matrix(), ndim=1), lambda: T.constant([[1]], ndim=1)):
        with pytest.raises(ShapeError, match="can't have 1"):
            build()


def test_sizes_that_are_said() -> None:
    x, n = T.dmatrix("x"), T.lscalar("n")
    value = filled((2, 3))
    for shape in ((n, 3), (n, None), [n, T.constant(3)], T.stack([n, 3])):
        y = T.specify_shape(x, shape)
        f = symgrad.function([x, n], [y, symgrad.grad((y**2).sum(), x)])
        oracle.assert_same(f(value, 2)[1], 2 * value)
        with pytest.raises(ShapeError, match="axis 0 was said to have size 4, and has 2"):
            f(value, 4)
    with pytest.raises(ShapeError, match="specify_shape needs to know how many sizes"):
        T.specify_shape(x, T.lvector())
    assert T.patternbroadcast(x, (True, False)).broadcastable == (True, False)
    assert T.patternbroadcast(T.row(), (False, False)).broadcastable == (False, False)
    with pytest.raises(ShapeError, match="patternbroadcast got 1 axes"):
        T.patternbroadcast(x, (True,))


def test_tensors_stretch_together() -> None:
    x, y = T.tensor("float64", (None, 1)), T.tensor("float64", (4,))
    first, second = T.broadcast_arrays(x, y)
    assert first.type.shape == second.type.shape == (None, 4)
    f = symgrad.function([x, y], [first, second])
    for found, expected in zip(f(filled((2, 1)), filled((4,))),
                               np.broadcast_arrays(filled((2, 1)), filled((4,))), strict=True):  # fmt: skip
        oracle.assert_same(found, expected)
    with pytest.raises(ShapeError, match="broadcast_arrays got sizes 4 and 3 on axis 0"):
        T.broadcast_arrays(y, T.zeros((3,)))


def test_indexing_by_name() -> None:
    x = T.dmatrix("x")
    value = filled((3, 2))
    expected = value.copy()
    expected[[0, 2], 1] += 5
    compare_built(lambda x: T.advanced_subtensor(x, [0, 2], 1), value, value[[0, 2], 1])
    compare_built(lambda x: T.advanced_subtensor1(x, [2, 0]), value, value[[2, 0]])
    compare_built(lambda x: T.advanced_inc_subtensor(x, 5, [0, 2], 1), value, expected)
    compare_built(lambda x: T.advanced_set_subtensor1(x, 0, [0, 1, 2]), value, np.zeros((3, 2)))
    assert T.adv_index_broadcastable_pattern(x, (slice(None), [1])) == (False, True)
    compare_built(lambda x: x[T.make_slice(1, None)], value, value[1:])
