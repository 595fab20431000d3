"""Sparse matrices: SciPy's values for all formats, gradients with respect to data, and how functions hold them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from combinations import Combination
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.sparse as S
import symgrad.tensor as T
from symgrad.debug.printing import debugprint, pp
from symgrad.errors import CallError, DTypeError, GradientError, IndexingError, ShapeError

FORMATS = st.sampled_from(["csr", "csc"])
DTYPES = st.sampled_from(["float32", "float64", "int32", "complex128"])
SHAPES = st.sampled_from([(3, 4), (4, 2), (1, 3), (5, 5), (0, 3), (2, 0)])


def sparse(
    shape: tuple[int, int], format: str = "csr", dtype: str = "float64", seed: int = 0, density: float = 0.5
) -> Any:
    """Return a sparse matrix of numbers between 0.1 and 0.9 (integers: 1 to 4)."""
    random = np.random.default_rng([*shape, seed])
    values = random.uniform(0.1, 0.9, shape) if dtype[0] != "i" else random.integers(1, 5, shape)
    dense = np.where(random.random(shape) < density, values, 0)
    if dtype.startswith("c"):
        dense = dense * (1 + 0.5j)
    return getattr(scipy.sparse, f"{format}_matrix")(dense.astype(dtype))


def shuffled(x: Any) -> Any:
    """Return the same matrix with unsorted indices, and an element in two parts."""
    coo = x.tocoo()
    order = np.random.default_rng(0).permutation(coo.nnz)
    kind = type(x)
    rows, columns, data = coo.row[order], coo.col[order], coo.data[order]
    lines, inner = (rows, columns) if x.format == "csr" else (columns, rows)
    lines, inner, data = [np.append(v, extra) for v, extra in ((lines, lines[0]), (inner, inner[0]), (data, 0.25))]
    by_line = np.argsort(lines, kind="stable")
    counts = np.bincount(lines, minlength=x.shape[0 if x.format == "csr" else 1])
    return kind((data[by_line], inner[by_line], np.concatenate([[0], np.cumsum(counts)])), shape=x.shape)


def dense(x: Any) -> np.ndarray:
    return x.toarray() if scipy.sparse.issparse(x) else np.asarray(x)


def variable_for(value: Any) -> Any:
    if scipy.sparse.issparse(value):
        return S.matrix(value.format, dtype=value.dtype.name)
    return T.tensor(value.dtype.name, (None,) * value.ndim)


def computed(build: Callable[..., Any], *values: Any) -> Any:
    variables = [variable_for(value) for value in values]
    output = build(*variables)
    found = symgrad.function(variables, output, on_unused_input="ignore")(*values)
    kind = output.type
    assert found.dtype.name == kind.dtype
    if isinstance(kind, S.SparseType):
        assert type(found) is kind.scipy_class
        found.check_format(full_check=True)
    else:
        assert isinstance(found, np.ndarray) and found.ndim == kind.ndim
    return found


def same(found: Any, expected: Any) -> None:
    found, expected = dense(found), dense(expected)
    tolerance = 1e-5 if found.dtype in ("float32", "complex64") else 1e-10
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


# ---- values ----

STRUCTURED = {
    "sin": np.sin, "tan": np.tan, "arcsin": np.arcsin, "arctan": np.arctan, "sinh": np.sinh, "arcsinh": np.arcsinh,
    "tanh": np.tanh, "arctanh": np.arctanh, "rint": np.rint, "ceil": np.ceil, "floor": np.floor, "trunc": np.trunc,
    "sgn": np.sign, "sqr": np.square, "sqrt": np.sqrt, "log1p": np.log1p, "expm1": np.expm1, "deg2rad": np.deg2rad,
    "rad2deg": np.rad2deg, "conj": np.conj, "structured_exp": np.exp, "structured_log": np.log,
    "structured_abs": np.abs, "structured_sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}  # fmt: skip


@pytest.mark.parametrize("name", list(STRUCTURED))
def test_functions_of_the_stored_elements(name: str) -> None:
    for format in ("csr", "csc"):
        x = sparse((4, 3), format)
        full = x.toarray()
        with np.errstate(divide="ignore"):
            expected = np.where(full != 0, STRUCTURED[name](full), 0)
        found = computed(getattr(S, name), x)
        assert found.nnz == x.nnz and found.format == format
        same(found, expected)


def test_functions_of_tensors_know_sparse_matrices() -> None:
    x = S.csr_matrix("x", "float64")
    value = sparse((3, 4))
    same(T.tanh(x).eval({x: value}), np.tanh(value.toarray()))
    same(T.sqr(x).eval({x: value}), value.toarray() ** 2)
    with pytest.raises(DTypeError, match="structured_exp"):
        T.exp(x)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("structured_pow", np.power), ("structured_minimum", np.minimum), ("structured_maximum", np.maximum),
        ("structured_add", np.add),
    ],
)  # fmt: skip
def test_functions_of_the_stored_elements_and_a_number(name: str, function: Any) -> None:
    x = sparse((4, 3), "csc")
    expected = np.where(x.toarray() != 0, function(x.toarray(), 0.5), 0)
    same(computed(lambda x: getattr(S, name)(x, 0.5), x), expected)
    same(computed(getattr(S, name), x, np.array(0.5)), expected)


def numbers(*shape: int, dtype: str = "float64") -> np.ndarray:
    found = np.random.default_rng([*shape, 7]).uniform(-2, 2, shape)
    return found.astype(dtype) if dtype[0] != "c" else found * (1 - 2j)


BINARY: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "add": (lambda x, y: x + y, np.add),
    "sub": (lambda x, y: x - y, np.subtract),
    "mul": (lambda x, y: x * y, np.multiply),
    "eq": (S.eq, np.equal),
    "neq": (S.neq, np.not_equal),
    "lt": (lambda x, y: x < y, np.less),
    "gt": (lambda x, y: x > y, np.greater),
    "le": (lambda x, y: x <= y, np.less_equal),
    "ge": (lambda x, y: x >= y, np.greater_equal),
}


@settings(max_examples=30)
@given(st.sampled_from(list(BINARY)), SHAPES, FORMATS, FORMATS, DTYPES, st.sampled_from(["ss", "sd", "ds"]))
def test_arithmetic_and_comparisons(name: str, shape: Any, one: str, other: str, dtype: str, kinds: str) -> None:
    if name in ("lt", "gt", "le", "ge") and dtype.startswith("c"):
        return
    build, function = BINARY[name]
    x: Any = sparse(shape, one, dtype)
    y: Any = sparse(shape, other, dtype, seed=1)
    expected = function(x.toarray(), y.toarray())
    x, y = x if kinds[0] == "s" else x.toarray(), y if kinds[1] == "s" else y.toarray()
    found = computed(build, x, y)
    same(found, expected)
    assert scipy.sparse.issparse(found) == (kinds == "ss" or name == "mul")
    if expected.dtype == bool:
        assert found.dtype == np.uint8


@pytest.mark.parametrize("name", ["equal", "not_equal", "less_than", "greater_than", "less_equal", "greater_equal"])
def test_comparisons_by_their_longer_names(name: str) -> None:
    x, y = sparse((3, 4)), sparse((3, 4), "csc", seed=1)
    function = getattr(np, {"less_than": "less", "greater_than": "greater"}.get(name, name))
    expected = function(x.toarray(), y.toarray())
    found = computed(getattr(S, f"{name}_s_s"), x, y)
    assert found.format == "csr" and found.dtype == np.uint8
    same(found, expected)
    np.testing.assert_array_equal(computed(getattr(S, f"{name}_s_d"), x, y.toarray()), expected)


@given(FORMATS)
@settings(max_examples=4)
def test_scaled_by_vectors_and_numbers(format: str) -> None:
    x = sparse((3, 4), format)
    row, column = numbers(4), numbers(3)
    full = x.toarray()
    for build in (S.col_scale, S.mul_s_v, S.mul, lambda x, v: v * x):
        same(computed(build, x, row), full * row)
    same(computed(S.row_scale, x, column), full * column[:, np.newaxis])
    same(computed(S.structured_add_s_v, x, row), np.where(full != 0, full + row, 0))
    same(computed(lambda x, v: x * v.dimshuffle(0, "x"), x, column), full * column[:, np.newaxis])
    same(computed(lambda x, v: x * v.dimshuffle("x", 0), x, row), full * row)
    same(computed(lambda x: 2 * x / 4 - x, x), -full / 2)
    same(computed(lambda x: -x, x), -full)
    same(computed(lambda x: abs(x), -x), full)
    same(computed(lambda x, v: x / v, x, row), full / row)
    same(computed(S.add_s_s_data, x, 2 * x), 3 * full)
    assert scipy.sparse.issparse(computed(lambda x: sum([x, x]), x))


@settings(max_examples=30)
@given(SHAPES, FORMATS, FORMATS, st.integers(0, 3), st.sampled_from(["float32", "float64", "int32", "complex128"]))
def test_products(shape: Any, one: str, other: str, columns: int, dtype: str) -> None:
    x, y = sparse(shape, one, dtype), sparse((shape[1], columns), other, dtype, seed=1)
    right, vector = numbers(shape[1], columns, dtype=dtype), numbers(shape[1], dtype=dtype)
    left = numbers(columns, shape[0], dtype=dtype)
    full = x.toarray()
    for function in (S.dot, S.structured_dot, T.dot, lambda a, b: a @ b):
        same(computed(function, x, right), full @ right)
        same(computed(function, x, vector), full @ vector)
        same(computed(function, left, x), left @ full)
        same(computed(function, x, y), full @ y.toarray())
    assert computed(S.structured_dot, x, y).format == one
    for values in ((x, y), (x, right)):
        found = computed(S.true_dot, *values)
        assert found.format == one
        same(found, full @ dense(values[1]))
    z = numbers(shape[0], columns, dtype=dtype)
    same(computed(lambda x, y, z: S.usmm(3, x, y, z), x, right, z), 3 * (full @ right) + z)


def test_products_of_different_dtypes() -> None:
    found = computed(S.dot, sparse((3, 4), dtype="int32"), numbers(4, 2))
    same(found, sparse((3, 4), dtype="int32").toarray() @ numbers(4, 2))


@given(FORMATS)
@settings(max_examples=4)
def test_sampling_dot(format: str) -> None:
    p, x, y = sparse((3, 4), format), numbers(3, 2), numbers(4, 2)
    same(computed(S.sampling_dot, x, y, p), p.toarray() * (x @ y.T))
    large = sparse((300, 200), format, density=0.3)
    x, y = numbers(300, 7), numbers(200, 7)
    same(computed(S.sampling_dot, x, y, large), large.toarray() * (x @ y.T))


@settings(max_examples=20)
@given(SHAPES, FORMATS, DTYPES)
def test_sums_conversions_and_parts(shape: Any, format: str, dtype: str) -> None:
    x = sparse(shape, format, dtype)
    full = x.toarray()
    for axis in (None, 0, 1, -1):
        same(computed(lambda x, axis=axis: S.sp_sum(x, axis), x), full.sum(axis).astype(dtype))
    same(computed(S.dense_from_sparse, x), full)
    same(computed(lambda x: x.T, x), full.T)
    for target in ("csr", "csc"):
        found = computed(getattr(S, f"{target}_from_dense"), full)
        assert found.format == target
        same(found, full)
        same(computed(lambda x, target=target: x.asformat(target), x), full)
    for name, value in zip(("data", "indices", "indptr", "shape"), (x.data, x.indices, x.indptr, x.shape), strict=True):
        np.testing.assert_array_equal(computed(getattr(S, f"csm_{name}"), x), value)
    build = S.CSR if format == "csr" else S.CSC
    same(computed(lambda x: build(*S.csm_properties(x)), x), full)
    np.testing.assert_array_equal(computed(lambda x: x.shape, x), shape)
    assert computed(lambda x: x.size, x) == full.size
    assert computed(S.sp_zeros_like, x).nnz == 0
    same(computed(S.sp_ones_like, x), full != 0)


def test_casts() -> None:
    x = sparse((3, 4))
    casts = {
        "bcast": "int8", "wcast": "int16", "icast": "int32", "lcast": "int64", "fcast": "float32", "dcast": "float64",
        "ccast": "complex64", "zcast": "complex128",
    }  # fmt: skip
    for name, dtype in casts.items():
        found = computed(getattr(S, name), x * 9)
        assert found.dtype == dtype
        same(found, (x.toarray() * 9).astype(dtype))
    assert computed(lambda x: S.cast(x, "floatX"), x).dtype == symgrad.config.floatX


@given(FORMATS)
@settings(max_examples=4)
def test_unsorted_and_doubled_elements(format: str) -> None:
    x = shuffled(sparse((4, 5), format))
    y = sparse((4, 5), "csr", seed=3)
    full = x.toarray()
    assert not np.array_equal(full, sparse((4, 5), format).toarray()) and not x.has_sorted_indices
    same(computed(S.add, x, y), full + y.toarray())
    same(computed(S.mul, y, x), full * y.toarray())
    for axis in (None, 0, 1):
        same(computed(lambda x, axis=axis: S.sp_sum(x, axis), x), full.sum(axis))
    same(computed(S.dot, x, numbers(5)), full @ numbers(5))
    same(computed(lambda x: x[[2, 1], [0, 3]], x), full[[2, 1], [0, 3]])
    assert not x.has_sorted_indices  # nothing changes an argument
    found = computed(S.ensure_sorted_indices, x)
    assert found.has_sorted_indices and not x.has_sorted_indices
    same(found, full)


def test_stored_zeros_are_removed() -> None:
    x = sparse((3, 4))
    x.data[0] = 0
    assert computed(S.remove0, x).nnz == computed(S.clean, x).nnz == x.nnz - 1


@given(FORMATS, FORMATS, st.sampled_from(["csr", "csc", None]))
@settings(max_examples=10)
def test_stacks(one: str, other: str, format: Any) -> None:
    x, y, z = sparse((3, 4), one), sparse((3, 2), other, "float32"), sparse((2, 4), other)
    found = computed(lambda *blocks: S.hstack(blocks, format), x, y)
    assert found.format == (format or one)
    same(found, np.hstack([x.toarray(), y.toarray()]))
    found = computed(lambda *blocks: S.vstack(blocks, format, "float32"), x, z, x)
    same(found, np.vstack([x.toarray(), z.toarray(), x.toarray()]))


@given(FORMATS)
@settings(max_examples=4)
def test_diagonals(format: str) -> None:
    x = sparse((4, 4), format)
    same(computed(S.diag, x), np.diag(x.toarray()))
    found = computed(S.square_diagonal, numbers(3))
    assert found.format == "csc"
    same(found, np.diag(numbers(3)))


@given(FORMATS)
@settings(max_examples=4)
def test_indexing(format: str) -> None:
    x = sparse((5, 4), format)
    full = x.toarray()
    slices: list[Any] = [
        slice(1, 3), (slice(1, 3), slice(None, -1)), (slice(None), slice(0, 2)),
        (slice(None, None, -2), slice(3, 0, -1)), [2, 0, 2], ([1, -1], slice(1, 3)), (slice(0, 4), [0, 3]),
    ]  # fmt: skip
    for key in slices:
        found = computed(lambda x, key=key: x[key], x)
        assert found.format == format
        same(found, full[key])
    same(computed(lambda x: x[1, -2], x), full[1, -2])
    same(computed(lambda x: x[[0, 1, 4], [3, -1, 0]], x), full[[0, 1, 4], [3, -1, 0]])
    rows, start = np.array([3, 1]), np.array(2)
    same(computed(lambda x, rows: x[rows], x, rows), full[rows])
    same(computed(lambda x, start: x[start:, :start], x, start), full[2:, :2])
    same(computed(lambda x, start: x[start, start], x, start), full[2, 2])


def test_rows_put_into_a_sparse_matrix() -> None:
    found = computed(S.construct_sparse_from_list, numbers(4, 3), numbers(2, 3), np.array([3, 1]))
    expected = np.zeros((4, 3))
    expected[[3, 1]] = numbers(2, 3)
    assert found.format == "csc"
    same(found, expected)


def test_blocks() -> None:
    x = scipy.sparse.bsr_matrix(np.kron(np.eye(2), numbers(2, 2)))
    full = x.toarray()
    same(computed(S.dense_from_sparse, x), full)
    same(computed(S.dot, x, numbers(4, 3)), full @ numbers(4, 3))
    same(computed(S.tanh, x), np.tanh(full))
    same(computed(lambda x: x.T + x, x), full.T + full)
    variable = S.bsr_dmatrix("x")
    gradient = symgrad.grad(S.sp_sum(variable * variable, sparse_grad=True), variable).eval({variable: x})
    same(gradient, 2 * full)


# ---- gradients ----

COSTS: dict[str, Callable[..., Any]] = {
    "dense": lambda x: (S.dense_from_sparse(x) ** 2).sum(),
    "dense, all elements": lambda x: (S.dense_from_sparse(x, sparse_grad=False) ** 2).sum(),
    "sum": lambda x: S.sp_sum(x * x),
    "sums of columns": lambda x: (S.sp_sum(x, 0) ** 3).sum(),
    "sums of rows": lambda x: (S.sp_sum(x, 1, sparse_grad=True) ** 3).sum(),
    "sum, structured": lambda x: S.sp_sum(x * x, sparse_grad=True),
    "tanh": lambda x: S.sp_sum(S.tanh(x) * S.structured_exp(x)),
    "power": lambda x: S.sp_sum(S.structured_pow(x, 3) - S.structured_log(x)),
    "dot": lambda x: (S.dot(x, T.constant(numbers(4, 2))) ** 2).sum(),
    "structured dot": lambda x: (S.structured_dot(x, T.constant(numbers(4, 2))) ** 2).sum(),
    "dot of vectors": lambda x: (S.structured_dot(x, T.constant(numbers(4))) ** 2).sum(),
    "dense first": lambda x: (S.structured_dot(T.constant(numbers(2, 3)), x) ** 2).sum(),
    "product of itself": lambda x: (S.true_dot(x, x.T).toarray() ** 2).sum(),
    "dot of sparse ones": lambda x: (S.dot(x.T, x) ** 2).sum(),
    "add": lambda x: ((x + 2 * x.T.T + S.constant(sparse((3, 4), seed=5))).toarray() ** 2).sum(),
    "other formats": lambda x: ((x.asformat("csc") - x.asformat("csr")).toarray() * x.toarray() + x.toarray()).sum(),
    "mul": lambda x: S.sp_sum(x * S.constant(sparse((3, 4), seed=5)) * x),
    "mul dense": lambda x: S.sp_sum(x * x.toarray() * T.constant(numbers(4))),
    "div": lambda x: S.sp_sum(x / (2 + x.toarray())),
    "scaled": lambda x: (S.row_scale(S.col_scale(x, S.sp_sum(x, 0)), S.sp_sum(x, 1)).toarray() ** 2).sum(),
    "slices": lambda x: (x[1:, ::-2].toarray() ** 2).sum() + x[0, 1] ** 2 + (x[[0, 2, 0], [1, 1, 3]] ** 2).sum(),
    "rows": lambda x: (x[[2, 0, 2]].toarray() ** 2).sum(),
    "stacks": lambda x: (S.vstack([S.hstack([x, S.sqr(x)]), S.hstack([2 * x, x], "csc")]).toarray() ** 2).sum(),
    "diag": lambda x: (S.diag(S.true_dot(x, x.T)) ** 2).sum(),
    "square_diagonal": lambda x: (S.square_diagonal(S.sp_sum(x, 0)).toarray() ** 3).sum(),
    "sampling_dot": lambda x: (S.sampling_dot(x.toarray() + 1, T.constant(numbers(5, 4)),
                                              S.constant(sparse((3, 5)))).toarray() ** 2).sum(),
    "pattern of sampling_dot": lambda x: S.sp_sum(S.sqr(S.sampling_dot(
        T.constant(numbers(3, 2)), T.constant(numbers(4, 2)), x))),
    "usmm": lambda x: (S.usmm(2.0, x, T.constant(numbers(4, 2)), S.sp_sum(x, 1).dimshuffle(0, "x")) ** 2).sum(),
    "rows of a list": lambda x: (S.construct_sparse_from_list(
        T.zeros((5, 4)), x.toarray(), [4, 0, 1]).toarray() ** 3).sum(),
    "tidied": lambda x: S.sp_sum(S.sqr(S.clean(x))),
    "same places": lambda x: S.sp_sum(S.sqr(S.add_s_s_data(x, S.sqr(x)))),
}  # fmt: skip


@pytest.mark.parametrize("format", ["csr", "csc"])
@pytest.mark.parametrize("name", list(COSTS))
def test_gradients_of_data(name: str, format: str) -> None:
    """Against finite differences; forward mode gives the same, and so does the gradient of the gradient."""
    value = sparse((3, 4), format)
    places = value.indices, value.indptr, value.shape
    build = S.CSR if format == "csr" else S.CSC

    def cost(data: Any) -> Any:
        return COSTS[name](build(data, *places))

    symgrad.verify_grad(cost, [value.data], n_tests=1, rng=np.random.default_rng(0))
    data, v = T.dvectors("data", "v")
    gradient = symgrad.grad(cost(data), data)
    forward = symgrad.Rop(cost(data), data, v)
    second = symgrad.grad((gradient * v).sum(), data, disconnected_inputs="ignore")
    function = symgrad.function([data, v], [forward, (gradient * v).sum(), gradient, second])
    direction = numbers(value.nnz)
    one, other, _, curvature = function(value.data, direction)
    assert one == pytest.approx(other, rel=1e-9)
    up, down = [function(value.data + sign * 1e-6 * direction, direction)[2] for sign in (1, -1)]
    np.testing.assert_allclose(curvature, (up - down) / 2e-6, rtol=1e-5, atol=1e-5)


def test_gradients_of_the_dense_operand() -> None:
    x = S.constant(sparse((3, 4)))
    for build in (S.dot, S.structured_dot):
        symgrad.verify_grad(lambda y, build=build: build(x, y), [numbers(4, 2)])
        symgrad.verify_grad(lambda y, build=build: build(x, y), [numbers(4)])
        symgrad.verify_grad(lambda y, build=build: build(y, x), [numbers(2, 3)])
    symgrad.verify_grad(lambda y: (x * y).toarray(), [numbers(3, 4)])
    symgrad.verify_grad(lambda y: x + y, [numbers(3, 4)])
    symgrad.verify_grad(lambda v: S.col_scale(x, v).toarray(), [numbers(4)])
    symgrad.verify_grad(lambda y: S.csr_from_dense(y).toarray(), [numbers(3, 4)])
    symgrad.verify_grad(lambda a, b: S.sampling_dot(a, b, x).toarray(), [numbers(3, 2), numbers(4, 2)])


def test_gradients_have_the_places_of_the_matrix_where_they_are_structured() -> None:
    """As in Theano: all elements after `dot` and `sp_sum`, those of the matrix after the structured functions."""
    x, y = S.csr_matrix("x", "float64"), T.dmatrix("y")
    value, right = sparse((3, 4)), numbers(4, 2)
    full = np.ones((3, 2)) @ right.T
    for build, is_structured in ((S.structured_dot, True), (S.dot, False)):
        gradient = symgrad.grad(build(x, y).sum(), x)
        assert gradient.type == x.type
        found = gradient.eval({x: value, y: right})
        same(found, np.where(value.toarray() != 0, full, 0) if is_structured else full)
    for structured in (True, False):
        found = symgrad.grad(S.sp_sum(x, sparse_grad=structured), x).eval({x: value})
        same(found, value.toarray() != 0 if structured else np.ones((3, 4)))
        found = symgrad.grad(S.dense_from_sparse(x, structured).sum(), x).eval({x: value})
        same(found, value.toarray() != 0 if structured else np.ones((3, 4)))


def test_theano_s_gradient_functions() -> None:
    x, g, right = sparse((3, 4)), numbers(3, 2), numbers(4, 2)
    expected = np.where(x.toarray() != 0, g @ right.T, 0)
    same(computed(S.structured_dot_grad, x, right, g), expected)
    for format, function in (("csr", S.sdg_csr), ("csc", S.sdg_csc)):
        held = x.asformat(format)
        found = computed(function, held.indices, held.indptr, right, g)
        same(type(held)((found, held.indices, held.indptr), shape=x.shape), expected)
    rows = computed(lambda x, gz: S.get_item_list_grad(x, [2, 0, 2], gz), x, sparse((3, 4), seed=4))
    wanted = np.zeros((3, 4))
    np.add.at(wanted, [2, 0, 2], sparse((3, 4), seed=4).toarray())
    same(rows, wanted)
    found = computed(lambda x, gz: S.get_item_2lists_grad(x, [2, 0], [1, 1], gz), x, np.array([5.0, 7.0]))
    same(found, np.array([[0, 7, 0, 0], [0, 0, 0, 0], [0, 5.0, 0, 0]]))


def test_complex_products_have_conjugate_gradients() -> None:
    places = sparse((3, 4))

    def cost(re: Any, im: Any) -> Any:
        x = S.CSR(T.complex(re, im), places.indices, places.indptr, places.shape)
        y = S.structured_dot(x, T.constant(numbers(4, 2, dtype="complex128")))
        return (T.real(y) ** 2 + T.imag(y) ** 3).sum() + T.real(S.sp_sum(S.true_dot(x, S.conj(x).T)))

    symgrad.verify_grad(cost, [places.data, places.data[::-1].copy()])


def test_a_disconnected_matrix_has_a_gradient_without_elements() -> None:
    x, y = S.csr_matrix("x", "float64"), T.dscalar("y")
    gradient = symgrad.grad(y**2, x, disconnected_inputs="ignore")
    assert gradient.eval({x: sparse((3, 4))}).nnz == 0


def test_a_linear_model_trains_on_sparse_rows() -> None:
    random = np.random.default_rng(0)
    inputs = sparse((60, 8), density=0.3)
    truth = random.normal(size=8)
    rows, targets = S.csr_matrix("rows", "float64"), T.dvector("targets")
    weights = symgrad.shared(np.zeros(8), "weights")
    cost = ((S.structured_dot(rows, weights) - targets) ** 2).mean()
    step = symgrad.function([rows, targets], cost, updates=[(weights, weights - symgrad.grad(cost, weights))])
    for _ in range(600):
        step(inputs, inputs @ truth)
    np.testing.assert_allclose(weights.get_value(), truth, atol=1e-3)


# ---- functions ----


def test_functions_take_and_return_sparse_matrices(combination: Combination) -> None:
    x, y = S.csr_matrix("x", "float64"), S.csc_matrix("y", "float32")
    function = symgrad.function([x, y], [x, x * 2, T.exp(x.toarray()) + y.sum()])
    for shape in ((3, 4), (3, 4), (5, 2), (2, 5)):
        value, other = sparse(shape), sparse(shape, "csr", "float32")
        same_one, double, dense_one = function(value, other)
        same(same_one, value)
        same(double, 2 * value)
        np.testing.assert_allclose(dense_one, np.exp(value.toarray()) + other.sum(), rtol=1e-6)
        assert same_one is not value and not np.shares_memory(same_one.data, value.data)
    same(function(value.toarray(), scipy.sparse.coo_array(other))[1], 2 * value)
    with pytest.raises(CallError, match="lose information"):
        function(value, value)
    with pytest.raises(CallError, match="axes"):
        function(np.zeros(3), other)


def test_shared_matrices_are_updated(combination: Combination) -> None:
    start = sparse((3, 4), "csc", "float32")
    weights = symgrad.shared(start, "weights")
    assert isinstance(weights, S.SparseSharedVariable) and str(weights) == "weights"
    seen = symgrad.shared(0)
    gradient = symgrad.grad(S.sp_sum(weights * weights, sparse_grad=True), weights)
    step = symgrad.function([], S.sp_sum(weights), updates=[(weights, weights - 0.25 * gradient), (seen, seen + 1)])
    for count in range(3):
        assert float(step()) == pytest.approx(float(start.sum()) / 2**count, rel=1e-6)
    value = weights.get_value()
    same(value, start / 8)
    assert value.format == "csc" and value.dtype == "float32" and seen.get_value() == 3
    value.data[:] = 0
    same(weights.get_value(), start / 8)
    weights.set_value(sparse((2, 2), "csr", "float32"))
    same(weights.get_value(), sparse((2, 2)))
    assert weights.get_value(borrow=True) is weights.container.value
    with pytest.raises(DTypeError, match="can't be set"):
        weights.set_value(sparse((2, 2)))


def test_two_shared_matrices_change_places() -> None:
    a, b = S.shared(sparse((2, 3))), S.shared(sparse((3, 2)))
    symgrad.function([], updates=[(a, b), (b, a)])()
    same(a.get_value(), sparse((3, 2)))
    same(b.get_value(), sparse((2, 3)))


def test_givens_and_defaults() -> None:
    x, y = S.csr_matrix("x", "float64"), S.csr_matrix("y", "float64")
    function = symgrad.function([y], S.sp_sum(x), givens=[(x, y * 3)])
    assert function(sparse((3, 4))) == pytest.approx(3 * sparse((3, 4)).sum())
    with pytest.raises(DTypeError, match="must be sparse csr float64"):
        symgrad.function([y], S.sp_sum(x), givens=[(x, y.T)])
    function = symgrad.function([symgrad.In(x, value=sparse((2, 2)))], S.sp_sum(x))
    assert function() == pytest.approx(sparse((2, 2)).sum())


@pytest.mark.parametrize("mode", ["none", "default", "DebugMode", "NanGuard"])
def test_modes(mode: str) -> None:
    x, w = S.csr_matrix("x", "float64"), T.dvector("w")
    cost = (T.tanh(S.structured_dot(x, w)) ** 2).sum() + S.sp_sum(S.constant(sparse((3, 4))) + x)
    function = symgrad.function([x, w], [cost, *symgrad.grad(cost, [x, w])], mode=mode)
    found = function(sparse((3, 4), seed=2), numbers(4))
    expected = symgrad.function([x, w], [cost, *symgrad.grad(cost, [x, w])], mode="none")(
        sparse((3, 4), seed=2), numbers(4))  # fmt: skip
    for one, other in zip(found, expected, strict=True):
        same(one, other)


def test_graphs_print_and_pickle() -> None:
    x = S.csr_matrix("x", "float64")
    weights = S.shared(sparse((3, 4)), "weights")
    y = S.structured_dot((x + weights + S.constant(sparse((3, 4), seed=1))).T, T.ones(3, "float64"))
    text = debugprint(y, file="str")
    assert "add_s_s" in text and "weights" in text and "structured_dot" in pp(y)
    x_again, y_again = pickle.loads(pickle.dumps((x, y)))
    assert isinstance(x_again, S.SparseVariable)
    same(y_again.eval({x_again: sparse((3, 4))}), y.eval({x: sparse((3, 4))}))
    function = symgrad.function([x], y, updates=[(weights, weights * 2)])
    again = pickle.loads(pickle.dumps(function))
    for _ in range(2):
        same(again(sparse((3, 4))), function(sparse((3, 4))))
    copy = function.copy(swap={weights: S.shared(sparse((3, 4)))})
    same(copy(sparse((3, 4))), (2 * sparse((3, 4)) + sparse((3, 4), seed=1)).T @ np.ones(3))


def test_types_are_values() -> None:
    kind = S.SparseType("csr", "float32")
    assert kind == S.SparseType("csr", "float32") != S.SparseType("csc", "float32")
    assert hash(kind) == hash(pickle.loads(pickle.dumps(kind)))
    assert S.csr_fmatrix().type == kind and S.csc_dmatrix("x").name == "x"
    assert S.csr_matrix().dtype == symgrad.config.floatX and S.csr_matrix().format == "csr"
    with pytest.raises(AttributeError, match="can't be changed"):
        kind.format = "csc"
    with pytest.raises(DTypeError, match="formats"):
        S.SparseType("coo", "float32")


def test_loops_choices_and_graphs_as_ops() -> None:
    x, v, count = S.csr_matrix("x", "float64"), T.dvector("v"), T.lscalar("count")
    value, start = sparse((3, 3)), numbers(3)
    states, _ = symgrad.scan(lambda h, a: S.structured_dot(a, h), outputs_info=[v], non_sequences=[x], n_steps=count)
    last = states[-1]
    gradient = symgrad.grad(last.sum(), v)
    found = symgrad.function([x, v, count], [last, gradient])(value, start, 3)
    cube = np.linalg.matrix_power(value.toarray(), 3)
    same(found[0], cube @ start)
    same(found[1], cube.sum(axis=0))
    assert len(symgrad.function([x, v, count], states)(value, start, 0)) == 0
    with pytest.raises(GradientError, match="hand in its parts"):
        symgrad.grad(last.sum(), x)

    chosen = symgrad.ifelse(T.gt(v.sum(), 0), x * 2, x)
    function = symgrad.function([x, v], [chosen, symgrad.grad(S.sp_sum(chosen, sparse_grad=True), x)])
    for sign, factor in ((1, 2), (-1, 1)):
        for result, expected in zip(function(value, np.full(3, sign * 1.0)), (value, value != 0), strict=True):
            same(result, factor * dense(expected))
    with pytest.raises(DTypeError, match="Convert one"):
        symgrad.ifelse(T.gt(v.sum(), 0), x, x.T)
    twice = symgrad.OpFromGraph([x, v], [S.dot(x, S.dot(x, v))])
    found = symgrad.function([x, v], [twice(x, v), symgrad.jacobian(twice(x, v), v)])(value, start)
    same(found[0], value @ (value @ start))
    same(found[1], (value @ value).toarray())


# ---- errors ----


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda x: T.sum(x), DTypeError, "no sparse matrices"),
        (lambda x: T.as_tensor_variable(x), DTypeError, "expected a tensor, got sparse csr float64"),
        (lambda x: T.concatenate([x, x]), DTypeError, "no sparse matrices"),
        (lambda x: S.sp_sum(T.dmatrix()), DTypeError, "csr_from_dense"),
        (lambda x: S.sp_sum(x, 2), ShapeError, "0 or 1"),
        (lambda x: S.dot(T.dmatrix(), T.dmatrix()), DTypeError, "symgrad.tensor.dot"),
        (lambda x: S.add(T.dmatrix(), 1), DTypeError, "at least one sparse"),
        (lambda x: S.dot(x, T.dtensor3()), ShapeError, "vector or matrix"),
        (lambda x: x[0], IndexingError, "not a vector"),
        (lambda x: x[0, 1, 2], IndexingError, "one or two"),
        (lambda x: x["a"], IndexingError, "can't index"),
        (lambda x: 1 / T.exp(x), DTypeError, "doesn't keep zeros"),
        (lambda x: x / x, DTypeError, "Make it dense"),
        (lambda x: S.col_scale(x, T.dmatrix()), ShapeError, "vector"),
        (lambda x: S.square_diagonal(T.dmatrix()), ShapeError, "vector"),
        (lambda x: S.hstack([]), ShapeError, "at least one"),
        (lambda x: S.as_format(x, "coo"), DTypeError, "formats"),
        (lambda x: S.cast(T.dmatrix(), "int8"), DTypeError, "symgrad.tensor.cast"),
        (lambda x: S.CSR(T.dmatrix(), [0], [0, 1], (1, 1)), DTypeError, "vector as data"),
        (lambda x: S.CSR(T.dvector(), T.dvector(), [0, 1], (1, 1)), DTypeError, "vector as indices"),
        (lambda x: S.constant(np.zeros((2, 2))), DTypeError, "scipy.sparse"),
    ],
)
def test_mistakes_are_explained(build: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        build(S.csr_matrix("x", "float64"))
    assert "test_sparse.py" in str(caught.value)


def test_mistakes_in_values_name_the_user_s_line() -> None:
    x, y, data = S.csr_matrix("x", "float64"), S.csr_matrix("y", "float64"), T.dvector("data")
    cases: list[tuple[list[Any], Any, list[Any], type[Exception], str]] = [
        ([x, y], x + y, [sparse((3, 4)), sparse((4, 3))], ShapeError, "sizes"),
        ([x, y], S.dot(x, y), [sparse((3, 4)), sparse((3, 4))], ShapeError, "inner sizes"),
        ([x, data], S.dot(x, data), [sparse((3, 4)), np.zeros(3)], ShapeError, "inner sizes"),
        ([x, y], x * y, [sparse((3, 4)), sparse((4, 3))], ShapeError, "sizes"),
        ([x], x[[0, 7]], [sparse((3, 4))], IndexingError, "row 7 is out of bounds for 3 rows"),
        ([x], x[0, 9], [sparse((3, 4))], IndexingError, "column 9"),
        ([data], S.CSR(data, [0, 9], [0, 2], (1, 3)).toarray(), [np.zeros(2)], ShapeError, "parts of a csr"),
        ([x, y], S.vstack([x, y]), [sparse((3, 4)), sparse((4, 3))], ShapeError, "same width"),
    ]
    for inputs, output, values, error, words in cases:
        with pytest.raises(error, match=words) as caught:
            symgrad.function(inputs, output)(*values)
        assert "test_sparse.py" in str(caught.value)


def test_sparse_matrices_need_their_module() -> None:
    with pytest.raises(TypeError, match="can't be iterated"):
        list(S.csr_matrix("x"))
    with pytest.raises(TypeError, match="boolean"):
        bool(S.csr_matrix("x"))
    with pytest.raises(TypeError, match=r"symgrad\.shared"):
        S.shared(np.zeros((2, 2)))


NAMES = """
add add_s_d add_s_s add_s_s_data arcsin arcsinh arctan arctanh as_sparse as_sparse_or_tensor_variable bcast bsr_dmatrix
bsr_fmatrix bsr_matrix cast ccast ceil clean col_scale conj constant construct_sparse_from_list csc_dmatrix csc_fmatrix
csc_from_dense csc_matrix csm_data csm_indices csm_indptr csm_properties csm_shape csr_dmatrix csr_fmatrix
csr_from_dense csr_matrix dcast deg2rad dense_from_sparse diag dot ensure_sorted_indices eq equal_s_d equal_s_s expm1
fcast floor ge get_item_2d get_item_2lists get_item_2lists_grad get_item_list get_item_list_grad get_item_scalar
greater_equal_s_d greater_equal_s_s greater_than_s_d greater_than_s_s gt hstack icast lcast le less_equal_s_d
less_equal_s_s less_than_s_d less_than_s_s log1p lt matrix mul mul_s_d mul_s_s mul_s_v neg neq not_equal_s_d
not_equal_s_s rad2deg remove0 rint row_scale sampling_dot sdg_csc sdg_csr sgn shared sin sinh sp_ones_like sp_sum
sp_zeros_like sqr sqrt square_diagonal structured_add structured_add_s_v structured_dot structured_dot_grad
structured_exp structured_log structured_maximum structured_minimum structured_monoid structured_pow structured_sigmoid
sub tan tanh transpose true_dot trunc usmm vstack wcast zcast
"""


def test_theano_s_names_are_there() -> None:
    assert [name for name in NAMES.split() if not callable(getattr(S, name, None))] == []
