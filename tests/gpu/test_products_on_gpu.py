"""Matrix products on the GPU against NumPy in float64: all shapes, strides, number types, ways, and steps in place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from gpu.shim import kernels
from gpu.shim.fake_cupy import fake_devices
from gpu.shim.kernels import check_found
from gpu.shim.nvrtc import check_compiles, nvrtc
from symgrad.backends.cupy.calls import LibraryCall, Temporary
from symgrad.backends.cupy.devices.device import Device, find_device
from symgrad.backends.cupy.kernel import CudaKernel, Target, kernel_text
from symgrad.backends.cupy.libraries import cublas
from symgrad.backends.cupy.prelude import PRELUDE
from symgrad.backends.cupy.products import library, product_calls
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
    m=st.integers(1, 40), k=st.sampled_from([1, 10, 64, 130]), n=st.integers(1, 70), dtype=floats, left=orders,
    right=orders, number=st.integers(0, 10**6),
)  # fmt: skip
def test_every_way_gives_the_product(
    m: int, k: int, n: int, dtype: str, left: str, right: str, number: int
) -> None:
    """Not only the chosen way: rows and columns exchanged, all tiles, threads along k, with and without parts."""
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


@pytest.mark.parametrize("dtypes", [("float16", "float32"), ("float32", "bfloat16"), ("bfloat16", "float16")])
def test_product_of_different_floats(dtypes: tuple[str, str]) -> None:
    for m, k, n in ((10, 96, 64), (40, 32, 72)):
        x, y, output = spread((m, k), dtypes[0], 1), spread((k, n), dtypes[1], 2), output_of((m, n), "float32")
        run("dot", [x, y], [output])
        close_to(output, x.values @ y.values, abs(x.values) @ abs(y.values), k)


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
    a, b = spread((m, k), dtype, 2, orders[0]), spread((k, n), dtype, 3, orders[1])
    c = spread((m, n), dtype, 1, orders[2])
    alpha, beta = [Buffer(np.asarray(factor), dtype) for factor in factors]
    product = a.values @ b.values
    exact = c.values + (beta.values * c.values + alpha.values * product)
    scale = 2 * abs(c.values) + abs(beta.values * c.values) + abs(alpha.values) * (abs(a.values) @ abs(b.values))
    output = c if in_place else output_of((m, n), dtype).seen(orders[2])
    found = run("gemm", [c, alpha, a, b, beta], [output], in_place=in_place)
    close_to(output, exact, scale, k)
    return found


@contextmanager
def moved_by_one_element() -> Iterator[None]:
    """Have buffers lie where no vector is aligned, as views of arrays may."""
    plain = kernels._Buffers._new

    def moved(buffers: Any, nbytes: int, alignment: int, written: bool = True) -> Any:
        step = min(alignment, 4)
        return plain(buffers, nbytes + step, step, written)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels._Buffers, "_new", moved)
        yield


@pytest.mark.parametrize(
    ("name", "m", "k", "n", "turned"),
    [("dot", 10, 64, 96, "NN"), ("dot", 10, 64, 96, "NT"), ("dot", 72, 40, 72, "NN"), ("dot", 4, 4096, 4, "NT"),
     ("gemm", 72, 40, 72, "NN"), ("gemm", 96, 10, 64, "TN"), ("gemm", 8, 2048, 640, "NN")],
)  # fmt: skip
def test_the_place_in_memory_changes_no_bit(name: str, m: int, k: int, n: int, turned: str) -> None:
    x, y = spread((m, k), "float32", 1, "CF"[turned[0] == "T"]), spread((k, n), "float32", 2, "CF"[turned[1] == "T"])
    c, factor = spread((m, n), "float32", 3), Buffer(np.asarray(0.3), "float32")
    operands = [x, y] if name == "dot" else [c, factor, x, y, factor]
    results = []
    for place in (nullcontext(), moved_by_one_element()):
        output = output_of((m, n), "float32")
        with place:
            run(name, operands, [output])
        results.append(output.array)
    np.testing.assert_array_equal(*results)
    assert results[0].any()


@quick
@given(
    rows=st.one_of(st.integers(0, 30), st.just(61)), columns=st.one_of(st.integers(0, 140), st.just(300)),
    batch=st.integers(0, 40), dtype=floats, product=st.booleans(), squares=st.booleans(), in_place=st.booleans(),
    order=st.sampled_from(["C", "C", "C", "F"]),
)  # fmt: skip
def test_step_with_what_else_reads_the_matrix(
    rows: int, columns: int, batch: int, dtype: str, product: bool, squares: bool, in_place: bool, order: str
) -> None:
    c, h = spread((rows, columns), dtype, 1, order), spread((batch, rows), dtype, 2)
    b = spread((batch, columns), dtype, 3)
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


@pytest.mark.parametrize(("m", "k", "n"), [(40, 10, 64), (8, 2048, 640), (72, 40, 72), (9, 5, 7), (3, 0, 5)])
def test_nothing_is_written_after_a_failure(m: int, k: int, n: int) -> None:
    x, y, c = spread((m, k), "float32", 1), spread((k, n), "float32", 2), spread((m, n), "float32", 3)
    factor, before = Buffer(np.asarray(0.3), "float32"), c.array.copy()
    buffers = [c, factor, x, y, factor, c]
    layouts = [buffer.layout for buffer in buffers]
    found = product_calls("gemm", {}, layouts[:5], layouts[5:], SMALL, True)
    assert found is not None
    failing = CudaKernel("failing", kernel_text("failing", [], "    FAIL(1);", 32), threads=32)
    arrays = [buffer.array for buffer in buffers]
    assert check_found([(failing, []), *found], arrays, updated=[0, 5]) == 1
    np.testing.assert_array_equal(c.array, before)


# ---- cuBLAS ----

WITH_LIBRARY = Target(multiprocessors=6, cublas=True)


def by_library(
    name: str, layouts: Sequence[Layout], count: int, guarded: bool, target: Target = WITH_LIBRARY
) -> Any:  # fmt: skip
    """Return the work of a step if cuBLAS does every product that it can."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "LEAST_FLOPS", 0)
        patch.setattr(library, "LEAST_SIZE", 0)
        return product_calls(name, {}, layouts[:count], layouts[count:], target, guarded)


def run_on_device(device: Device, found: Any, buffers: Sequence[Buffer]) -> None:
    """Run work on a device, and copy the buffers back."""
    memories: dict[Any, Any] = {}
    for buffer in buffers:
        whole = whole_of(buffer.array)
        if id(whole) not in memories:
            memories[id(whole)] = device.allocate(whole.nbytes)
            device.write(memories[id(whole)].ptr, whole)

    def address(place: int | Temporary) -> int:
        if isinstance(place, Temporary):
            return int(memories.setdefault(place, device.allocate(place.bytes)).ptr)
        array = buffers[place].array
        return int(memories[id(whole_of(array))].ptr) + array.ctypes.data - whole_of(array).ctypes.data

    status = device.allocate(4)
    device.clear(status.ptr, 4)
    for work, places in found:
        addresses = [address(place) for place in places]
        if isinstance(work, CudaKernel):
            kernel = device.kernels(PRELUDE + work.text, [work.name])[work.name]
            device.launch(kernel, work.grid, work.threads, [*addresses, status.ptr], work.shared_bytes)
        else:
            work.run(device, *addresses)
    for buffer in buffers:
        whole = whole_of(buffer.array)
        device.read([memories[id(whole)].ptr], [whole])


def whole_of(array: np.ndarray) -> np.ndarray:
    """Return the array that owns the memory of a view."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


@quick
@given(
    stack=st.sampled_from([(), (), (3,), (2, 2)]), m=st.integers(1, 9), k=st.integers(1, 9), n=st.integers(1, 9),
    dtype=floats, left=st.sampled_from(["C", "F", "padded"]), right=st.sampled_from(["C", "F", "padded"]),
    goal=st.sampled_from(["C", "F"]), guarded=st.booleans(), shared=st.booleans(),
)  # fmt: skip
def test_products_by_the_library(
    stack: tuple[int, ...], m: int, k: int, n: int, dtype: str, left: str, right: str, goal: str,
    guarded: bool, shared: bool,
) -> None:  # fmt: skip
    x, y = spread((*stack, m, k), dtype, 1, left), spread((*([] if shared else stack), k, n), dtype, 2, right)
    output = output_of((*stack, m, n), dtype).seen(goal)
    found = by_library("matmul", [buffer.layout for buffer in (x, y, output)], 2, guarded)
    assert [isinstance(work, CudaKernel) for work, _ in found] == [False, True][: 1 + guarded]
    with fake_devices(count=1, capability=90) as world:
        device = find_device("cuda")
        run_on_device(device, found, [x, y, output])
        assert len(world.libraries["cublas"].products) == 1
    close_to(output, x.values @ y.values, abs(x.values) @ abs(y.values), k)


@quick
@given(m=st.integers(1, 9), k=st.integers(1, 9), n=st.integers(1, 9), dtype=floats, order=st.sampled_from("CF"))
def test_steps_by_the_library_round_once(
    m: int, k: int, n: int, dtype: str, order: str
) -> None:
    a, b, c = spread((m, k), dtype, 2, "F"), spread((k, n), dtype, 3), spread((m, n), dtype, 1, order)
    alpha, beta = [Buffer(np.asarray(factor), dtype) for factor in (-0.25, -0.001)]
    exact = c.values + (beta.values * c.values + alpha.values * (a.values @ b.values))
    scale = abs(c.values) + 0.01 * abs(c.values) + abs(a.values) @ abs(b.values)
    buffers = [c, alpha, a, b, beta, c]
    found = by_library("gemm", [buffer.layout for buffer in buffers], 5, True)
    assert len(found) == 2
    with fake_devices(count=1):
        run_on_device(find_device("cuda"), found, buffers)
    close_to(c, exact, scale, k)


def test_tf32_only_if_allowed() -> None:
    x, y = spread((40, 64), "float32", 1), spread((64, 30), "float32", 2)
    for allowed in (False, True):
        output = output_of((40, 30), "float32")
        target = Target(multiprocessors=6, cublas=True, allow_tf32=allowed)
        found = by_library("dot", [buffer.layout for buffer in (x, y, output)], 2, False, target)
        with fake_devices(count=1):
            run_on_device(find_device("cuda"), found, [x, y, output])
        error = abs(output.values - x.values @ y.values).max()
        assert (1e-4 < error < 0.1) if allowed else error < 1e-4


def test_calls_can_be_captured_because_the_workspace_is_there() -> None:
    gemm = cublas.Gemm(2, 2, 2, *[cublas.Operand("float32", False, 2)] * 3)
    with fake_devices(count=1):
        device = find_device("cuda")
        handle, memory = cublas.handle_of(device), device.allocate(48)
        with device.capture() as graph:
            handle.multiply(gemm, memory.ptr, memory.ptr + 16, memory.ptr + 32)
        device.write(memory.ptr, np.arange(12, dtype="float32"))
        graph.launch()
        result = np.empty(12, "float32")
        device.read([memory.ptr], [result])
        np.testing.assert_array_equal(result[8:].reshape(2, 2), result[4:8].reshape(2, 2) @ result[:4].reshape(2, 2))
        fake = handle._functions["cublasSetStream_v2"]
        fake(handle._handle, device.stream.ptr)  # takes the workspace away
        with pytest.raises(cublas.CublasError, match="ALLOC_FAILED"), device.capture():
            handle.multiply(gemm, memory.ptr, memory.ptr + 16, memory.ptr + 32)


def test_the_library_says_what_it_refuses() -> None:
    gemm = cublas.Gemm(4, 2, 2, *[cublas.Operand("float32", False, 2)] * 3)
    with fake_devices(count=1):
        device = find_device("cuda")
        handle, memory = cublas.handle_of(device), device.allocate(64)
        assert handle.version > 120000
        with pytest.raises(cublas.CublasError, match="cublasGemmEx failed: CUBLAS_STATUS_INVALID_VALUE"):
            handle.multiply(gemm, memory.ptr, memory.ptr, memory.ptr)
        handle.close()


def trained() -> tuple[list[float], list[np.ndarray]]:
    """Return the costs and weights of some steps of a network with two layers."""
    random = np.random.default_rng(0)
    shapes = [(64, 100), (100, 10)]
    weights = [symgrad.shared((0.1 * random.normal(size=shape)).astype("float32")) for shape in shapes]
    x, y = T.fmatrix("x"), T.lvector("y")
    outputs = T.nnet.softmax(T.dot(T.tanh(T.dot(x, weights[0])), weights[1]))
    cost = -T.mean(T.log(outputs)[T.arange(y.shape[0]), y]) + 0.01 * (weights[0] ** 2).sum()
    updates = [(w, w - 0.1 * symgrad.grad(cost, w)) for w in weights]
    step = symgrad.function([x, y], cost, updates=updates)
    costs = [
        float(step(random.normal(size=(12, 64)).astype("float32"), random.integers(0, 10, 12))) for _ in range(4)
    ]
    return costs, [w.get_value() for w in weights]


@pytest.mark.parametrize("by_library", [False, True])
def test_a_network_learns_as_on_the_cpu(gpu: Any, by_library: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if by_library:
        monkeypatch.setattr(library, "LEAST_FLOPS", 0)
        monkeypatch.setattr(library, "LEAST_SIZE", 0)
    costs, weights = trained()
    assert gpu.graph_launches == 3
    assert bool(gpu.libraries["cublas"].products) == by_library
    with symgrad.config.change_flags(device="cpu", backend="numpy"):
        expected, wanted = trained()
    np.testing.assert_allclose(costs, expected, rtol=1e-5)
    for found, exact in zip(weights, wanted, strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-3, atol=1e-6)


# ---- what is chosen, and that it compiles for devices ----

NETWORKS = {
    "hidden layer": ("dot", [(10, 640), (640, 1000)], "NN"), "its cotangent": ("dot", [(10, 1000), (1000, 640)], "NT"),
    "output layer": ("dot", [(10, 1000), (1000, 10)], "NN"), "large batch": ("dot", [(500, 800), (800, 500)], "NN"),
    "stack": ("matmul", [(64, 64, 64), (64, 64, 64)], "NT"), "odd": ("dot", [(37, 129), (129, 53)], "TN"),
    "vector": ("dot", [(4096, 4096), (4096,)], "NN"),
}  # fmt: skip


def layouts_of(shapes: Sequence[tuple[int, ...]], turned: str, dtype: str) -> list[Layout]:
    """Return layouts in C order, or of transposed views where `turned` says T."""
    found = []
    for shape, letter in zip(shapes, turned, strict=True):
        layout = Layout.contiguous(dtype, shape if letter == "N" else (*shape[:-2], shape[-1], shape[-2]))
        *stack, rows, columns = layout.strides if len(shape) > 1 else (0, *layout.strides)
        found.append(layout if letter == "N" else Layout(dtype, shape, (*stack, columns, rows)))
    return found


@pytest.mark.skipif(nvrtc() is None, reason="the wheel nvidia-cuda-nvrtc isn't installed")
@pytest.mark.parametrize("case", NETWORKS)
def test_kernels_compile_for_all_devices(case: str) -> None:
    name, shapes, turned = NETWORKS[case]
    sizes = np.matmul(*[np.empty(shape, "u1") for shape in shapes]).shape
    texts = {}
    for dtype in ("float32", "bfloat16"):
        operands, outputs = layouts_of(shapes, turned, dtype), [Layout.contiguous(dtype, sizes)]
        found = product_calls(name, {}, operands, outputs, Target(), False)
        assert found
        texts.update({work.name: work.text for work, _ in found})
    check_compiles(PRELUDE + "".join(texts.values()))


@pytest.mark.skipif(nvrtc() is None, reason="the wheel nvidia-cuda-nvrtc isn't installed")
@pytest.mark.parametrize(("examples", "dtype"), [(10, "float32"), (16, "bfloat16"), (32, "float32"), (10, "float64")])
def test_steps_compile_for_all_devices(examples: int, dtype: str) -> None:
    rows, columns = 640, 1000
    c, number = Layout.contiguous(dtype, (rows, columns)), Layout.contiguous(dtype, ())
    a, b = Layout.contiguous(dtype, (examples, rows)).transposed, Layout.contiguous(dtype, (examples, columns))
    outputs = [c, Layout.contiguous(dtype, (examples, rows)), Layout.contiguous(dtype, (rows,))]
    attributes = {"product": True, "squares": True}
    found = product_calls("matrix_step", attributes, [c, number, a, b, number], outputs, Target(), False)
    assert found is not None and (len(found) == 1) == (examples <= 16)
    check_compiles(PRELUDE + "".join([work.text for work, _ in found]))


def test_few_rows_keep_the_device_busy_in_one_launch() -> None:
    for shapes, turned in (([(10, 640), (640, 1000)], "NN"), ([(10, 1000), (1000, 640)], "NT")):
        operands = layouts_of(shapes, turned, "float32")
        output = Layout.contiguous("float32", (10, shapes[1][1]))
        found = product_calls("dot", {}, operands, [output], Target(90, 132), False)
        assert found is not None and len(found) == 1
        assert 80 <= found[0][0].grid[0] <= 264


def test_large_products_are_the_librarys_and_small_ones_are_not() -> None:
    for size, large in ((64, False), (1024, True)):
        layouts = [Layout.contiguous("float32", (size, size))] * 3
        for guarded in (False, True):
            found = product_calls("dot", {}, layouts[:2], layouts[2:], Target(90, 132, cublas=True), guarded)
            assert found is not None
            assert isinstance(found[0][0], LibraryCall) == large
            assert isinstance(found[-1][0], CudaKernel) == (guarded or not large)


def test_what_there_is_no_product_of() -> None:
    complex_layout, plain = [Layout.contiguous(dtype, (3, 3)) for dtype in ("complex64", "float32")]
    assert product_calls("dot", {}, [complex_layout] * 2, [complex_layout], SMALL, False) is None
    assert product_calls("dot", {}, [plain, Layout.contiguous("int32", (3, 3))], [plain], SMALL, False) is None
