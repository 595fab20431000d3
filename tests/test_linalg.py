"""Products of vectors, matrices and stacks: NumPy's values, gradients, and errors in the user's terms."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.errors import ShapeError

SIZES = st.integers(0, 4)


def numbers(*shape: int, dtype: str = "float64") -> np.ndarray:
    random = np.random.default_rng(sum(shape) + len(shape))
    return (
        random.normal(size=shape).astype(dtype)
        if dtype.startswith("f")
        else random.integers(-9, 9, shape).astype(dtype)
    )


def evaluated(build: Any, *values: np.ndarray) -> np.ndarray:
    """Compute in both modes, with all sizes known and with none."""
    results = []
    for mode in ("none", "default"):
        for known in (True, False):
            variables = [T.tensor(v.dtype.name, v.shape if known else (None,) * v.ndim) for v in values]
            results.append(symgrad.function(variables, build(*variables), mode=mode)(*values))
    for result in results[1:]:
        oracle.assert_same(result, results[0])
    return results[0]


@given(SIZES, SIZES, SIZES, st.sampled_from(["float64", "float32", "int32"]), st.booleans(), st.booleans())
def test_dot_is_numpy_s(rows: int, inner: int, columns: int, dtype: str, left_vector: bool, right_vector: bool) -> None:
    x = numbers(inner, dtype=dtype) if left_vector else numbers(rows, inner, dtype=dtype)
    y = numbers(inner, dtype=dtype) if right_vector else numbers(inner, columns, dtype=dtype)
    expected = np.asarray(np.dot(x, y))
    for build in (T.dot, T.matmul, lambda a, b: a.dot(b), lambda a, b: a @ b):
        oracle.assert_same(evaluated(build, x, y), expected)


@pytest.mark.parametrize(
    "shapes", [((), (3,)), ((2, 3), ()), ((2, 3, 4), (4,)), ((3,), (2, 3, 4)), ((2, 3, 4), (5, 4, 2))]
)
def test_dot_of_other_ranks_is_numpy_s(shapes: Any) -> None:
    x, y = numbers(*shapes[0]), numbers(*shapes[1])
    oracle.assert_same(evaluated(T.dot, x, y), np.asarray(np.dot(x, y)))


@pytest.mark.parametrize(
    "shapes",
    [((2, 3, 4), (2, 4, 5)), ((3, 4), (2, 4, 5)), ((4,), (2, 4, 5)), ((2, 3, 4), (4,)), ((3, 1, 2, 2), (4, 2, 3))],
)
def test_matmul_is_numpy_s(shapes: Any) -> None:
    x, y = numbers(*shapes[0]), numbers(*shapes[1])
    variables = [T.tensor("float64", shape) for shape in shapes]
    oracle.assert_same(T.matmul(*variables).eval(dict(zip(variables, (x, y), strict=True))), np.matmul(x, y))


@pytest.mark.parametrize(
    "shapes",
    [((3,), (3,)), ((3,), (3, 4)), ((3, 4), (3,)), ((3, 4), (3, 4)), ((3, 4), (3, 4, 2)), ((3, 2, 4), (3, 4)),
     ((3, 2, 4), (3, 4, 2)), ((3, 2, 5, 4), (3, 4, 2)), ((3, 2, 4), (3, 6, 4, 2)), ((0, 2, 4), (0, 4, 2))],
)  # fmt: skip
def test_batched_dot_is_a_dot_for_each_index(shapes: Any) -> None:
    x, y = numbers(*shapes[0]), numbers(*shapes[1])
    dots = [np.dot(a, b) for a, b in zip(x, y, strict=True)]
    expected = np.stack(dots) if dots else np.zeros((0, 2, 2))
    oracle.assert_same(evaluated(T.batched_dot, x, y), expected)


@pytest.mark.parametrize(
    ("shapes", "axes"),
    [(((2, 3, 4), (3, 4, 5)), 2), (((2, 3), (3, 4)), 1), (((2,), (3,)), 0), (((2, 3, 4), (4, 2)), [[0, 2], [1, 0]]),
     (((2, 3, 4), (4, 2)), [[-1, 0], [0, -1]]), (((2, 3), (2, 3)), [(0, 1), (0, 1)]), (((2, 3), (3,)), [1, 0]),
     (((0, 3), (3, 2)), 1)],
)  # fmt: skip
def test_tensordot_is_numpy_s(shapes: Any, axes: Any) -> None:
    x, y = numbers(*shapes[0]), numbers(*shapes[1])
    oracle.assert_same(evaluated(lambda a, b: T.tensordot(a, b, axes), x, y), np.asarray(np.tensordot(x, y, axes)))


def test_batched_tensordot_contracts_within_each_index() -> None:
    x, y = numbers(2, 3, 4, 5), numbers(2, 5, 4, 6)
    expected = np.einsum("bijk,bkjl->bil", x, y)
    oracle.assert_same(evaluated(lambda a, b: T.batched_tensordot(a, b, [[2, 3], [2, 1]]), x, y), expected)


@pytest.mark.parametrize(
    "build",
    [T.dot, T.outer, lambda x, y: T.tensordot(x, y, 1), lambda x, y: T.dot(x.T, y.T), lambda x, y: x[None] @ y[None],
     T.batched_dot, lambda x, y: T.tensordot(x, y, [[1, 0], [0, 1]]), lambda x, y: x[0] @ y, lambda x, y: x @ y[0]],
)  # fmt: skip
def test_gradients_of_products(build: Any) -> None:
    symgrad.verify_grad(build, [numbers(3, 3), numbers(3, 3)])


def test_gradient_of_a_row_times_a_matrix_keeps_its_shape() -> None:
    row, matrix = T.drow(), T.dmatrix()
    gradients = symgrad.grad(T.dot(row, matrix).sum(), [row, matrix])
    assert gradients[0].broadcastable == (True, False)
    found = symgrad.function([row, matrix], gradients)(numbers(1, 3), numbers(3, 2))
    assert [value.shape for value in found] == [(1, 3), (3, 2)]


def test_mixed_dtypes_meet() -> None:
    assert T.dot(T.fmatrix(), T.imatrix()).dtype == "float32"
    assert T.dot(T.bmatrix(), T.ivector()).dtype == "int32"
    x = T.bmatrix()
    assert T.dot(x, x).eval({x: np.full((2, 2), 100, "int8")}).dtype == "int8"
    found = symgrad.grad(T.dot(T.imatrix("i"), x := T.dvector("x")).sum(), x)
    assert found.dtype == "float64"


def test_inner_sizes_must_agree() -> None:
    x, w = T.tensor("float32", (10, 784), "x"), symgrad.shared(np.zeros((256, 30), "float32"), "w")
    with pytest.raises(ShapeError, match="dot needs matching inner sizes, got 784 and 256"):
        T.dot(x, w)
    y = T.matrix("y")
    f = symgrad.function([y], T.dot(y, w))
    with pytest.raises(ShapeError, match="dot needs matching inner sizes, got 784 and 256"):
        f(np.zeros((10, 784), "float32"))
    k = T.lscalar("k")
    late = symgrad.function([y, k], T.dot(y[:, :k], w))
    with pytest.raises(ShapeError, match=r"dot failed|dot needs matching inner sizes"):
        late(np.zeros((10, 784), "float32"), 100)
    for build in (lambda: T.matmul(T.scalar(), w), lambda: T.batched_dot(T.scalar(), w), lambda: T.tensordot(x, w, 3),
                  lambda: T.tensordot(x, w, [[5], [0]]), lambda: T.tensordot(x, w, [[0, 1], [0]]),
                  lambda: T.tensordot(x, w, [[0], [0]]), lambda: T.tensordot(x, x, [[0, 0], [0, 0]])):  # fmt: skip
        with pytest.raises(ShapeError):
            build()


@pytest.mark.parametrize("mode", ["none", "default"])
def test_stacks_of_size_one_known_only_to_the_call_do_not_stretch(mode: str) -> None:
    x, y, k = T.dtensor3("x"), T.dtensor3("y"), T.lscalar("k")
    for function, arguments in (
        (symgrad.function([x, y], T.matmul(x, y), mode=mode), (np.ones((1, 2, 2)), np.ones((3, 2, 2)))),
        (symgrad.function([x, y, k], T.matmul(x[:k], y), mode=mode), (np.ones((3, 2, 2)), np.ones((3, 2, 2)), 1)),
    ):
        with pytest.raises(ShapeError, match="Input dimension mis-match: matmul got sizes 1 and 3 on axis 0"):
            function(*arguments)


def test_a_column_that_stretches_does_not_become_part_of_a_gemm() -> None:
    x, w = T.tensor("float64", (3, None)), symgrad.shared(numbers(6, 1), shape=(6, 1))
    f = symgrad.function([x], x + T.dot(x, w))
    np.testing.assert_allclose(f(numbers(3, 6)), numbers(3, 6) + numbers(3, 6) @ numbers(6, 1))
