"""Matrix products against NumPy in float64: all shapes, transposes, number types and vector sizes."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symgrad.backends.matrices import Layout, problem_of
from symgrad.backends.native.kernel import NativeKernel
from symgrad.backends.native.llvm.jit import load
from symgrad.backends.native.llvm.text import module_text
from symgrad.backends.native.products.kernels import product_kernels, ways
from symgrad.backends.native.products.tiles import Numbers
from symgrad.ops.fused_products import MatrixStep

CALL = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)  # fmt: skip

REGISTERS = {64: 32, 32: 16, 16: 16}

PADDING = 32
"""Elements before and after each array: NaN, so that a kernel that reads or writes there is found out."""

sizes = st.one_of(st.integers(0, 40), st.sampled_from([1, 10, 16, 31, 33, 64, 100]))
dtypes = st.sampled_from(["float32", "float64"])
vectors = st.sampled_from([16, 32, 64])
orders = st.sampled_from("CF")
views = st.sampled_from(["stretched", "sliced", "reversed"])


def guarded(values: np.ndarray, order: str = "C") -> np.ndarray:
    """Return a copy in the given order, with NaN around it in memory."""
    whole = np.full(values.size + 2 * PADDING, np.nan, values.dtype)
    inside = whole[PADDING : PADDING + values.size]
    copy = inside.reshape(values.shape) if order == "C" else inside.reshape(values.shape[::-1]).T
    copy[...] = values
    return copy


def check_guards(array: np.ndarray) -> None:
    """Fail if anything was written around an array that `guarded` made."""
    whole = array
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    assert np.isnan(whole[:PADDING]).all()
    assert np.isnan(whole[PADDING + array.size :]).all()


def layout_of(array: np.ndarray) -> Layout:
    return Layout(array.dtype.name, array.shape, tuple(step // array.itemsize for step in array.strides))


def call(kernel: NativeKernel, arrays: Sequence[np.ndarray], one_by_one: bool = False) -> None:
    """Run a kernel: all units at once, or one after the other from the last to the first."""
    function = CALL(load(module_text(kernel.functions), [kernel.name])[kernel.name])
    pointers = (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])
    scratch = np.full(kernel.scratch + 256, 0xFF, "u1")
    begin_of_scratch = -scratch.ctypes.data % 64
    place = ctypes.c_void_p(scratch.ctypes.data + begin_of_scratch)
    parts = [(u, u + 1) for u in reversed(range(kernel.units))] if one_by_one else [(0, kernel.units)]
    for begin, end in parts:
        assert function(pointers, None, begin, end, place) == 0
    assert (scratch[begin_of_scratch + kernel.scratch :] == 0xFF).all()


def made(name: str, operands: Sequence[np.ndarray], output: np.ndarray, vector_bytes: int) -> NativeKernel:
    layouts = [layout_of(x) for x in operands]
    found = product_kernels(name, {}, layouts, [layout_of(output)], vector_bytes, REGISTERS[vector_bytes])
    assert found is not None
    ((kernel, buffers),) = found
    assert list(buffers) == list(range(len(operands) + 1))
    return kernel


def check_product(operands: Sequence[np.ndarray], name: str, vector_bytes: int) -> None:
    """Compare a product with NumPy's in float64, and units at once with units one by one."""
    x, y = operands
    multiply: Any = np.matmul if name == "matmul" else np.dot
    exact = multiply(x.astype("float64"), y.astype("float64"))
    bound = multiply(abs(x).astype("float64"), abs(y).astype("float64")) * np.finfo(x.dtype).eps * (x.shape[-1] + 2)
    results = []
    for one_by_one in (False, True):
        output = guarded(np.full(exact.shape, np.nan, x.dtype))
        call(made(name, operands, output, vector_bytes), [*operands, output], one_by_one)
        check_guards(output)
        results.append(output)
    assert (abs(results[0] - exact) <= bound).all()
    np.testing.assert_array_equal(*results)


@settings(deadline=None, max_examples=25)
@given(m=sizes, k=sizes, n=sizes, vector_bytes=vectors, left=orders, right=orders)
def test_all_ways_give_the_product(m: int, k: int, n: int, vector_bytes: int, left: str, right: str) -> None:
    x, y = guarded(spread((m, k), "float64", 1), left), guarded(spread((k, n), "float64", 2), right)
    output = np.zeros((m, n))
    problem = problem_of("dot", [layout_of(x), layout_of(y)], layout_of(output))
    assert problem is not None
    numbers = Numbers.of("float64", vector_bytes, REGISTERS[vector_bytes])
    for number, (_, write, turned) in enumerate(ways(problem, numbers)):
        output[...] = np.nan
        call(write(f"way{number}", turned, numbers), [x, y, output])
        np.testing.assert_allclose(output, x @ y, rtol=1e-12, atol=1e-12 * (k + 1))


def spread(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@settings(deadline=None, max_examples=80)
@given(m=sizes, k=sizes, n=sizes, dtype=dtypes, vector_bytes=vectors, left=orders, right=orders)
def test_product_of_matrices(m: int, k: int, n: int, dtype: str, vector_bytes: int, left: str, right: str) -> None:
    operands = guarded(spread((m, k), dtype, 1), left), guarded(spread((k, n), dtype, 2), right)
    check_product(operands, "dot", vector_bytes)


@pytest.mark.parametrize("vector_bytes", [16, 32, 64])
@pytest.mark.parametrize(
    ("m", "k", "n", "left", "right"),
    [(10, 200, 300, "C", "C"), (10, 300, 200, "C", "F"), (120, 90, 10, "C", "C"), (90, 300, 256, "C", "C"),
     (90, 260, 120, "F", "F"), (256, 10, 300, "F", "C"), (300, 10, 64, "C", "F"), (70, 1100, 90, "F", "C"),
     (200, 1200, 300, "F", "F"), (64, 4200, 65, "C", "C"), (100, 4200, 64, "C", "F"),
     (10, 4100, 100, "C", "C"), (100, 4100, 9, "F", "C")],
)  # fmt: skip
def test_product_of_larger_matrices(m: int, k: int, n: int, left: str, right: str, vector_bytes: int) -> None:
    operands = guarded(spread((m, k), "float32", 1), left), guarded(spread((k, n), "float32", 2), right)
    check_product(operands, "dot", vector_bytes)


@settings(deadline=None, max_examples=30)
@given(m=sizes, k=sizes, dtype=dtypes, vector_bytes=vectors, order=orders, case=st.sampled_from(["mv", "vm", "vv"]))
def test_product_with_vectors(m: int, k: int, dtype: str, vector_bytes: int, order: str, case: str) -> None:
    matrix, vector = guarded(spread((m, k), dtype, 1), order), guarded(spread((k,), dtype, 2))
    operands = {"mv": (matrix, vector), "vm": (vector, matrix.T), "vv": (vector, guarded(spread((k,), dtype, 3)))}
    check_product(operands[case], "dot", vector_bytes)


def test_long_inner_product() -> None:
    operands = guarded(spread((5003,), "float32", 1)), guarded(spread((5003,), "float32", 2))
    check_product(operands, "dot", 64)


@settings(deadline=None, max_examples=30)
@given(
    stacks=st.sampled_from([((3,), (3,)), ((2, 3), (2, 3)), ((3,), ()), ((), (4,)), ((2, 1), (1, 3)), ((0,), (1,))]),
    m=st.integers(0, 20), k=st.integers(0, 20), n=st.integers(0, 20), dtype=dtypes, vector_bytes=vectors,
    turned=st.tuples(st.booleans(), st.booleans()),
)  # fmt: skip
def test_product_of_stacks(
    stacks: Any, m: int, k: int, n: int, dtype: str, vector_bytes: int, turned: tuple[bool, bool]
) -> None:
    pairs = [(m, k), (k, n)]
    operands = []
    for stack, (rows, columns), turn in zip(stacks, pairs, turned, strict=True):
        shape = (*stack, columns, rows) if turn else (*stack, rows, columns)
        array = guarded(spread(shape, dtype, len(operands)))
        operands.append(np.swapaxes(array, -1, -2) if turn else array)
    check_product(operands, "matmul", vector_bytes)


@settings(deadline=None, max_examples=60)
@given(m=sizes, k=sizes, n=sizes, dtype=dtypes, vector_bytes=vectors, left=orders, right=orders, in_place=st.booleans())
def test_gemm(
    m: int, k: int, n: int, dtype: str, vector_bytes: int, left: str, right: str, in_place: bool
) -> None:
    check_gemm(m, k, n, dtype, vector_bytes, left, right, in_place)


@pytest.mark.parametrize(("m", "k", "n"), [(300, 10, 200), (200, 60, 10), (90, 100, 110), (70, 1100, 67)])
def test_gemm_of_larger_matrices(m: int, k: int, n: int) -> None:
    check_gemm(m, k, n, "float32", 64, "F", "C", True)


def check_gemm(
    m: int, k: int, n: int, dtype: str, vector_bytes: int, left: str, right: str, in_place: bool
) -> None:
    a, b = guarded(spread((m, k), dtype, 2), left), guarded(spread((k, n), dtype, 3), right)
    c = spread((m, n), dtype, 1)
    alpha, beta = np.array(-0.25, dtype), np.array(-0.001, dtype)
    step = beta * c.astype("float64") + alpha * (a.astype("float64") @ b.astype("float64"))
    epsilon = np.finfo(c.dtype).eps
    bound = epsilon * (abs(c) + abs(alpha) * (abs(a).astype("float64") @ abs(b)) * (k + 3) + abs(beta * c) * 3)
    results = []
    for one_by_one in (False, True):
        old = guarded(c)
        output = old if in_place else guarded(np.full_like(c, np.nan))
        operands = [old, alpha, a, b, beta]
        call(made("gemm", operands, output, vector_bytes), [*operands, output], one_by_one)
        check_guards(output)
        results.append(output)
    assert (abs(results[0] - (c + step)) <= bound).all()
    np.testing.assert_array_equal(*results)


@settings(deadline=None, max_examples=30)
@given(
    m=st.integers(1, 20), k=st.integers(1, 20), n=st.integers(1, 40), vector_bytes=vectors, dtype=dtypes,
    left=views, right=views,
)  # fmt: skip
def test_product_of_views(m: int, k: int, n: int, vector_bytes: int, dtype: str, left: str, right: str) -> None:
    operands = view((m, k), dtype, left, 1), view((k, n), dtype, right, 2)
    check_product(operands, "dot", vector_bytes)


def view(shape: tuple[int, int], dtype: str, kind: str, seed: int) -> np.ndarray:
    """Return a matrix in which neither axis has elements side by side."""
    if kind == "stretched":
        return np.broadcast_to(guarded(spread((shape[0], 1), dtype, seed)), shape)
    if kind == "sliced":
        return guarded(spread((2 * shape[0], 3 * shape[1]), dtype, seed))[::2, 1::3]
    return guarded(spread((shape[0], 2 * shape[1]), dtype, seed))[::-1, ::-2]


@settings(deadline=None, max_examples=40)
@given(
    rows=st.one_of(st.integers(1, 30), st.just(100)), columns=st.one_of(st.integers(0, 140), st.just(300)),
    batch=st.integers(0, 40), dtype=dtypes, vector_bytes=vectors,
    product=st.booleans(), squares=st.booleans(), in_place=st.booleans(),
)  # fmt: skip
def test_matrix_step(
    rows: int, columns: int, batch: int, dtype: str, vector_bytes: int, product: bool, squares: bool, in_place: bool
) -> None:
    c, h, b = spread((rows, columns), dtype, 1), spread((batch, rows), dtype, 2), spread((batch, columns), dtype, 3)
    alpha, beta = np.array(-0.25, dtype), np.array(-0.001, dtype)
    exact = MatrixStep(product, squares).evaluate(*[x.astype("float64") for x in (c, alpha, h.T, b, beta)])
    found = []
    for one_by_one in (False, True):
        old = guarded(c)
        outputs = [guarded(np.full(x.shape, np.nan, dtype)) for x in exact]
        if in_place:
            outputs[0] = old
        arrays = [old, alpha, guarded(h).T, guarded(b), beta, *outputs]
        layouts = [layout_of(x) for x in arrays]
        attributes = {"product": product, "squares": squares}
        kernels = product_kernels("matrix_step", attributes, layouts[:5], layouts[5:], vector_bytes, 32)
        assert kernels is not None
        for kernel, buffers in kernels:
            call(kernel, [arrays[number] for number in buffers], one_by_one)
        for output in outputs:
            check_guards(output)
        found.append(outputs)
    tolerance = np.finfo(dtype).eps * (max(columns, batch) + 4) * 8
    for output, expected in zip(found[0], exact, strict=True):
        np.testing.assert_allclose(output, expected, rtol=tolerance, atol=tolerance * 8)
    for at_once, single in zip(*found, strict=True):
        np.testing.assert_array_equal(at_once, single)
