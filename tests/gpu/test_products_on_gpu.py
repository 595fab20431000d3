"""Matrix products on the GPU against NumPy in float64: all shapes, strides, number types, ways, and steps in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from gpu.shim.kernels import check_found, run_found
from hypothesis import given, settings
from hypothesis import strategies as st

from symgrad.backends.cupy.kernel import Target
from symgrad.backends.cupy.products import product_calls
from symgrad.backends.cupy.products.costs import all_ways
from symgrad.backends.cupy.products.kernels import by_kernels
from symgrad.backends.cupy.products.text import Task
from symgrad.backends.matrices import Layout, problem_of
from symgrad.ops.fused_products import MatrixStep

quick = settings(max_examples=10, deadline=None)
SMALL = Target(multiprocessors=6)
sizes = st.one_of(st.integers(0, 20), st.sampled_from([1, 10, 16, 31, 33, 64, 67]))
floats = st.sampled_from(["float32", "float64", "float16", "bfloat16"])
orders = st.sampled_from(["C", "F", "sliced", "reversed", "padded"])
INTEGERS = ["bool", "int8", "uint16", "int32", "int64"]
EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}


class Buffer:
    """An array with the name of its dtype: NumPy has no bfloat16, whose bits are in an array of uint16."""

    def __init__(self, values: np.ndarray, dtype: str) -> None:
        self.dtype = dtype
        self.array = bits_of(values) if dtype == "bfloat16" else values.astype(dtype)

    @property
    def values(self) -> np.ndarray:
        """The numbers, as float64 or as they are."""
        if self.dtype == "bfloat16":
            return (self.array.astype("uint32") << 16).view("float32").astype("float64")
        return self.array.astype("float64") if self.dtype in EPSILON else self.array

    @property
    def layout(self) -> Layout:
        """How the array lies."""
        steps = tuple([step // self.array.itemsize for step in self.array.strides])
        return Layout(self.dtype, self.array.shape, steps)

    def seen(self, order: str) -> Buffer:
        """Return the same numbers, otherwise in memory."""
        other = object.__new__(Buffer)
        other.dtype, other.array = self.dtype, arranged(self.array, order)
        return other

    @property
    def transposed(self) -> Buffer:
        """The same memory with the last two axes swapped."""
        other = object.__new__(Buffer)
        other.dtype, other.array = self.dtype, np.swapaxes(self.array, -1, -2)
        return other


def bits_of(values: np.ndarray) -> np.ndarray:
    """Return numbers rounded to bfloat16, as its bits."""
    bits = values.astype("float32").view("uint32").astype("uint64")
    return np.asarray((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("uint16")


def arranged(array: np.ndarray, order: str) -> np.ndarray:
    """Return a copy of an array whose elements lie in memory as `order` says."""
    *lead, rows, columns = array.shape
    if order == "C":
        return np.ascontiguousarray(array).reshape(array.shape)
    if order == "F":
        return np.swapaxes(np.ascontiguousarray(np.swapaxes(array, -1, -2)), -1, -2)
    if order == "padded":
        view = np.zeros((*lead, rows, columns + 3), array.dtype)[..., :columns]
    elif order == "sliced":
        view = np.zeros((*lead, 2 * rows, 3 * columns), array.dtype)[..., ::2, 1::3]
    else:
        view = np.zeros((*lead, rows, 2 * columns), array.dtype)[..., ::-1, ::-2]
    view[...] = array
    return view


def spread(shape: Sequence[int], dtype: str, seed: int, order: str = "C") -> Buffer:
    """Return random numbers."""
    generator = np.random.default_rng(seed)
    if dtype in EPSILON:
        values = generator.standard_normal(shape)
    elif dtype == "bool":
        values = generator.random(shape) < 0.2
    else:
        values = generator.integers(0, 256, shape)
    found = Buffer(np.asarray(values), dtype)
    return found.seen(order) if len(shape) >= 2 else found


def output_of(shape: Sequence[int], dtype: str) -> Buffer:
    """Return an array to be written."""
    return Buffer(np.zeros(shape, dtype="float64"), dtype)


def run(
    name: str, operands: Sequence[Buffer], outputs: Sequence[Buffer], target: Target = SMALL, in_place: bool = False,
    guarded: bool = False, **attributes: Any,
) -> Any:  # fmt: skip
    """Run a step in all orders of threads, and return its work."""
    found = product_calls(
        name, attributes, [x.layout for x in operands], [x.layout for x in outputs], target, guarded)  # fmt: skip
    assert found is not None
    arrays = [x.array for x in (*operands, *outputs)]
    if found:
        check_found(found, arrays, updated=[0, len(operands)] if in_place else [])
    return found


def check_product(name: str, x: Buffer, y: Buffer, target: Target = SMALL) -> Any:
    """Compare a product with NumPy's."""
    multiply: Any = np.matmul if name == "matmul" else np.dot
    exact = multiply(x.values, y.values)
    output = output_of(exact.shape, x.dtype)
    found = run(name, [x, y], [output], target)
    if x.dtype not in EPSILON:
        np.testing.assert_array_equal(output.array, exact.astype(x.dtype))
        return found
    close_to(output, exact, multiply(abs(x.values), abs(y.values)), x.array.shape[-1])
    return found


@quick
@given(m=sizes, k=sizes, n=sizes, dtype=floats, left=orders, right=orders)
def test_product_of_matrices(m: int, k: int, n: int, dtype: str, left: str, right: str) -> None:
    check_product("dot", spread((m, k), dtype, 1, left), spread((k, n), dtype, 2, right))


@quick
@given(
    m=st.integers(1, 40), k=st.sampled_from([1, 10, 64, 130]), n=st.integers(1, 70), dtype=floats, left=orders, right=orders,
    number=st.integers(0, 10**6),
)  # fmt: skip
def test_every_way_gives_the_product(
    m: int, k: int, n: int, dtype: str, left: str, right: str, number: int
) -> None:
    """Not only the way that is chosen: rows and columns exchanged, all tiles, threads along k, with and without parts."""
    x, y = spread((m, k), dtype, 1, left), spread((k, n), dtype, 2, right)
    output = output_of((m, n), dtype)
    layouts = [buffer.layout for buffer in (x, y, output)]
    problem = problem_of("dot", layouts[:2], layouts[2])
    assert problem is not None
    task = Task(problem, (dtype,) * 3)
    ways = all_ways(task, SMALL)
    found = by_kernels(ways[number % len(ways)], 2, SMALL)
    check_found(found, [x.array, y.array, output.array])
    close_to(output, x.values @ y.values, np.abs(x.values) @ np.abs(y.values), k)


def close_to(output: Buffer, exact: np.ndarray, sizes: np.ndarray, terms: int) -> None:
    """Fail if a result is further from the exact one than its sums and its own rounding explain."""
    summed = 2.0**-52 if output.dtype == "float64" else 2.0**-23
    bound = sizes * summed * (terms + 3) + abs(exact) * EPSILON[output.dtype] + 1e-30
    assert (abs(output.values - exact) <= bound).all()


@quick
@given(
    stacks=st.sampled_from([((3,), (3,)), ((2, 3), (2, 3)), ((3,), ()), ((), (4,)), ((2, 1), (1, 3)), ((0,), (1,))]),
    m=st.integers(0, 20), k=st.integers(0, 40), n=st.integers(0, 20), dtype=st.sampled_from([*EPSILON, *INTEGERS]),
    left=orders, right=orders,
)  # fmt: skip
def test_product_of_stacks(stacks: Any, m: int, k: int, n: int, dtype: str, left: str, right: str) -> None:
    x, y = spread((*stacks[0], m, k), dtype, 1, left), spread((*stacks[1], k, n), dtype, 2, right)
    check_product("matmul", x, y)


@quick
@given(m=sizes, k=sizes, dtype=st.sampled_from([*EPSILON, *INTEGERS]), order=orders, case=st.sampled_from("lrb"))
def test_product_with_vectors(m: int, k: int, dtype: str, order: str, case: str) -> None:
    matrix, vector = spread((m, k), dtype, 1, order), spread((k,), dtype, 2)
    operands = {"r": (matrix, vector), "l": (vector, matrix.transposed), "b": (vector, spread((k,), dtype, 3))}
    check_product("dot", *operands[case])


@pytest.mark.parametrize("dtype", ["float32", "bool", "int64"])
def test_long_inner_product_takes_two_stages(dtype: str) -> None:
    found = check_product("dot", spread((50021,), dtype, 1), spread((50021,), dtype, 2))
    assert len(found) == 2


@quick
@given(
    m=sizes, k=sizes, n=sizes, dtype=floats, left=orders, right=orders, order=st.sampled_from("CF"),
    in_place=st.booleans(), alpha=st.sampled_from([0.0, 1.0, -0.25]), beta=st.sampled_from([0.0, -0.001, 1.0]),
)  # fmt: skip
def test_step_on_a_matrix(
    m: int, k: int, n: int, dtype: str, left: str, right: str, order: str, in_place: bool, alpha: float, beta: float
) -> None:
    check_step((m, k, n), dtype, (left, right, order), in_place, (alpha, beta))


@pytest.mark.parametrize("shape", [(130, 10, 70), (200, 5, 40), (9, 400, 12), (70, 33, 70), (140, 40, 132), (3, 0, 5)])
def test_steps_of_several_ways(shape: tuple[int, int, int]) -> None:
    check_step(shape, "float32", ("F", "C", "C"), True, (-0.5, -0.01))


def check_step(
    shape: tuple[int, int, int], dtype: str, orders: tuple[str, str, str], in_place: bool, factors: tuple[float, float]
) -> Any:
    m, k, n = shape
    a, b, c = spread((m, k), dtype, 2, orders[0]), spread((k, n), dtype, 3, orders[1]), spread((m, n), dtype, 1, orders[2])
    alpha, beta = [Buffer(np.asarray(factor), dtype) for factor in factors]
    product = a.values @ b.values
    exact = c.values + (beta.values * c.values + alpha.values * product)
    scale = 2 * abs(c.values) + abs(beta.values * c.values) + abs(alpha.values) * (abs(a.values) @ abs(b.values))
    output = c if in_place else output_of((m, n), dtype).seen(orders[2])
    found = run("gemm", [c, alpha, a, b, beta], [output], in_place=in_place)
    close_to(output, exact, scale, k)
    return found


@quick
@given(
    rows=st.one_of(st.integers(0, 30), st.just(61)), columns=st.one_of(st.integers(0, 140), st.just(300)),
    batch=st.integers(0, 40), dtype=floats, product=st.booleans(), squares=st.booleans(), in_place=st.booleans(),
    order=st.sampled_from(["C", "C", "C", "F"]),
)  # fmt: skip
def test_step_with_what_else_reads_the_matrix(
    rows: int, columns: int, batch: int, dtype: str, product: bool, squares: bool, in_place: bool, order: str
) -> None:
    c, h, b = spread((rows, columns), dtype, 1, order), spread((batch, rows), dtype, 2), spread((batch, columns), dtype, 3)
    alpha, beta = [Buffer(np.asarray(factor), dtype) for factor in (-0.25, -0.001)]
    operands = [c, alpha, h.transposed, b, beta]
    exact = MatrixStep(product, squares).evaluate(*[x.values for x in operands])
    scales = [3 * abs(c.values) + abs(h.values).T @ abs(b.values), *[abs(b.values) @ abs(c.values).T] * product,
              *[exact[-1]] * squares]  # fmt: skip
    outputs = [output_of(x.shape, dtype) for x in exact]
    outputs[0] = c if in_place else outputs[0].seen(order)
    run("matrix_step", operands, outputs, in_place=in_place, product=product, squares=squares)
    for output, wanted, scale in zip(outputs, exact, scales, strict=True):
        close_to(output, wanted, scale, max(columns, batch))
