"""Tests of the harness that runs CUDA kernels on the CPU: mistakes that are planted are caught, right kernels pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu.shim.build import BuildError, text_for_cpu
from gpu.shim.kernels import KernelError, check_found, check_kernel, run_kernel
from gpu.shim.launches import ORDERS
from symgrad.backends.cupy.calls import Temporary
from symgrad.backends.cupy.kernel import CudaKernel, kernel_text

READ, WRITTEN = ("const f32* __restrict__", "x"), ("f32*", "y")


def kernel(
    body: str, threads: int = 32, blocks: int = 1, parameters: Sequence[tuple[str, str]] = (READ, WRITTEN), **more: Any
) -> CudaKernel:
    """Return a kernel from x to y."""
    text = kernel_text("tried", parameters, body, threads)
    return CudaKernel("tried", text, (blocks, 1, 1), threads, **more)


def run(body: str, size: int = 32, **more: Any) -> np.ndarray:
    """Run a kernel in all orders on the numbers from 1 on, and return what it writes."""
    x, y = np.arange(1, size + 1, dtype=np.float32), np.empty(size, np.float32)
    check_kernel(kernel(body, **more), [x, y])
    return y


REVERSED = """\
    __shared__ f32 tile[32];
    tile[threadIdx.x] = x[threadIdx.x];
    {barrier}
    y[threadIdx.x] = tile[31 - threadIdx.x];"""
DYNAMIC = """\
    extern __shared__ f32 tile[];
    tile[threadIdx.x + {beyond}] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = tile[31 - threadIdx.x];"""
WARP_SUM = """\
    f32 sum = x[threadIdx.x];
    for (i32 offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    y[threadIdx.x] = sum;"""


def test_right_kernels_pass() -> None:
    backwards = np.arange(32, 0, -1)
    np.testing.assert_array_equal(run(REVERSED.format(barrier="__syncthreads();")), backwards)
    np.testing.assert_array_equal(run(REVERSED.format(barrier="__syncwarp();")), backwards)
    np.testing.assert_array_equal(run(DYNAMIC.format(beyond=0), shared_bytes=128), backwards)
    np.testing.assert_array_equal(run(WARP_SUM), np.full(32, 32 * 33 / 2))


PLANTED = {
    "a missing barrier": (REVERSED.format(barrier=""), "order of the threads"),
    "a missing second barrier": (
        REVERSED.format(barrier="__syncthreads();") + "\n    tile[threadIdx.x] = 0;\n    __syncthreads();",
        "order",
    ),
    "two threads write one element": (
        "    y[threadIdx.x / 2] = x[threadIdx.x];\n    y[16 + threadIdx.x / 2] = 0;",
        "order",
    ),
    "a store one beyond": ("    y[threadIdx.x + 1] = x[threadIdx.x];", "writes out of bounds: buffer 1, 0 bytes"),
    "a store one before": ("    y[(i64)threadIdx.x - 1] = x[threadIdx.x];", "4 bytes before|beyond buffer 1"),
    "a load one beyond": ("    y[threadIdx.x] = x[threadIdx.x + 1];", "reads out of bounds: buffer 0, 0 bytes behind"),
    "a load one before": ("    y[threadIdx.x] = x[(i64)threadIdx.x - 1];", "buffer 0, 4 bytes before its start"),
    "a load far away": ("    y[threadIdx.x] = x[(i64)threadIdx.x - (1ll << 40)];", "out of bounds"),
    "a store into a constant": ("    ((f32*)x)[threadIdx.x] = 1;", "writes out of bounds: buffer 0, at byte 0"),
    "shared memory one beyond": (
        "    __shared__ f32 tile[32];\n    tile[threadIdx.x + 1] = x[threadIdx.x];\n    y[threadIdx.x] = 0;",
        "own array",
    ),
    "local memory one beyond": (
        "    f32 own[4];\n    for (i32 k = 0; k < 4; k++) own[k] = x[k];\n    y[threadIdx.x] = own[threadIdx.x];",
        "own array",
    ),
    "dynamic shared memory one beyond": (DYNAMIC.format(beyond=1), "dynamic shared memory, 0 bytes behind"),
    "a vector that isn't aligned": (
        "    ((float2*)(y + 1))[threadIdx.x % 15] = make_float2(1, 2);\n    y[0] = y[31] = 0;",
        "aligned",
    ),
    "a barrier that some don't reach": (
        "    if (threadIdx.x < 5) __syncthreads();\n    y[threadIdx.x] = x[threadIdx.x];",
        "5 of 32 threads reach",
    ),
    "a barrier that some can't reach": (
        "    if (threadIdx.x > 7) return;\n    __syncthreads();\n    y[threadIdx.x] = x[threadIdx.x];",
        "24 have ended",
    ),
    "two barriers for one": (
        "    if (threadIdx.x < 5) __syncthreads();\n    else\n        __syncthreads();\n    y[threadIdx.x] = 0;",
        "divergent",
    ),
    "a shuffle without all lanes": (
        "    if (threadIdx.x > 7) return;\n    y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, x[threadIdx.x], 1);",
        "lane",
    ),
    "a shuffle outside of its mask": ("    y[threadIdx.x] = __shfl_sync(1u, x[threadIdx.x], 0);", "its own mask"),
    "a shuffle from a lane that isn't in the mask": (
        "    if (threadIdx.x > 7) return;\n    y[threadIdx.x] = __shfl_sync(255u, x[threadIdx.x], 8);",
        "isn't in the mask",
    ),
    "elements that nobody writes": ("    if (threadIdx.x < 31) y[threadIdx.x] = x[threadIdx.x];", "order"),
    "an output that is read": ("    y[threadIdx.x] += x[threadIdx.x];", "order"),
    "shared memory that is read first": (
        "    __shared__ f32 tile[32];\n    tile[threadIdx.x] += x[0];\n    y[threadIdx.x] = tile[threadIdx.x];",
        "order",
    ),
    "a division by zero": ("    y[threadIdx.x] = 7 / *status;", "division by zero"),
    "a trap": ("    __trap();", "__trap"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_caught(name: str) -> None:
    body, told = PLANTED[name]
    with pytest.raises(KernelError, match=told) as caught:
        run(body, shared_bytes=128 if "dynamic" in name else 0)
    assert "tried" in str(caught.value)


@pytest.mark.parametrize("size", [1, 3, 5, 31])
def test_one_element_beyond_is_caught_at_odd_sizes(size: int) -> None:
    body = f"    if (threadIdx.x < {size + 1}) y[threadIdx.x] = x[threadIdx.x];"
    with pytest.raises(KernelError, match=r"buffer \d"):
        run(body, size=size)


def test_blocks_that_read_what_others_write_are_caught() -> None:
    body = "    if (threadIdx.x == 0) y[blockIdx.x] = blockIdx.x ? y[blockIdx.x - 1] + 1 : 1;"
    with pytest.raises(KernelError, match="order of the threads"):
        run(body, blocks=32)


def test_too_many_threads_are_caught() -> None:
    text = kernel_text("tried", [READ, WRITTEN], "    y[threadIdx.x] = 0;", 32)
    with pytest.raises(KernelError, match="64 threads, of at most 32"):
        run_kernel(CudaKernel("tried", text, (1, 1, 1), 64), [np.zeros(64, np.float32)] * 2)


def test_elements_of_another_size_are_caught() -> None:
    with pytest.raises(KernelError, match="elements of 8 bytes, not 4"):
        run_kernel(kernel("    y[0] = x[0];"), [np.zeros(1), np.zeros(1, np.float32)])


def test_what_isnt_cpp_is_told_with_the_text() -> None:
    with pytest.raises(BuildError, match="sine"):
        run("    y[threadIdx.x] = sine(x[threadIdx.x]);")


def test_a_block_that_fails_while_another_begins_does_no_harm() -> None:
    """Blocks run one after another here, side by side on a device: so it is the text that is looked at."""
    body = "    if (x[0] > 1) FAIL(1);\n    __syncthreads();\n    y[threadIdx.x] = x[threadIdx.x];"
    alone = kernel(body, may_fail=True)
    with pytest.raises(BuildError, match="GUARD_TOGETHER"):
        text_for_cpu(alone.text)
    text_for_cpu(alone.text.replace("GUARD", "GUARD_TOGETHER"))


def test_the_text_stays_as_it_is() -> None:
    text = kernel(WARP_SUM).text
    ours, kernels = text_for_cpu(text)
    assert ours.startswith(text)
    assert kernels == [("tried", 32)]


def test_a_failure_is_in_the_status_word_and_is_no_divergence() -> None:
    body = "    if (threadIdx.x == 7) FAIL(5);\n    __syncthreads();\n    y[threadIdx.x] = x[threadIdx.x];"
    x, y = np.ones(32, np.float32), np.empty(32, np.float32)
    failing = kernel(body)
    failing = replace(failing, text=failing.text.replace("GUARD", "GUARD_TOGETHER"))
    assert check_kernel(failing, [x, y]) == 5
    np.testing.assert_array_equal(x, y)


def test_temporaries_are_poisoned_and_guarded() -> None:
    first = kernel("    y[threadIdx.x] = 2 * x[threadIdx.x];")
    second = kernel("    y[threadIdx.x] = x[31 - threadIdx.x];")
    x, y, between = np.arange(32, dtype=np.float32), np.empty(32, np.float32), Temporary(128)
    assert check_found([(first, (0, between)), (second, (between, 1))], [x, y]) == 0
    np.testing.assert_array_equal(y, 2 * x[::-1])
    with pytest.raises(KernelError, match="order"):
        check_found([(second, (between, 1))], [x, y])
    with pytest.raises(KernelError, match="temporary of 124 bytes"):
        check_found([(first, (0, Temporary(124)))], [x, y])


def test_in_place_and_strided_operands_are_as_in_memory() -> None:
    body = "    y[threadIdx.x] = 2 * x[threadIdx.x];"
    both = np.arange(32, dtype=np.float32)
    check_kernel(kernel(body, parameters=[("const f32*", "x"), WRITTEN]), [both, both])
    np.testing.assert_array_equal(both, 2 * np.arange(32))
    backwards, y = np.arange(64, dtype=np.float32)[::-2], np.empty(32, np.float32)
    check_kernel(kernel("    y[threadIdx.x] = x[-2 * (i64)threadIdx.x];"), [backwards, y])
    np.testing.assert_array_equal(y, backwards)


@settings(max_examples=25)
@given(threads=st.integers(1, 200), blocks=st.integers(1, 5), count=st.integers(1, 700), seed=st.integers(0, 9))
def test_every_element_of_any_grid_is_computed_once(threads: int, blocks: int, count: int, seed: int) -> None:
    first, step = "(i64)blockIdx.x * blockDim.x + threadIdx.x", "(i64)gridDim.x * blockDim.x"
    body = f"    for (i64 k = {first}; k < n; k += {step}) y[k] += x[k];"
    # The text is the same whatever the sizes: it is compiled once.
    parameters = [READ, WRITTEN, ("i64", "n")]
    tried = CudaKernel("tried", kernel_text("tried", parameters, body, 200), (blocks, 1, 1), threads)
    x, y = np.arange(count, dtype=np.float32), np.ones(count, np.float32)
    check_kernel(tried, [x, y], (count,), updated=[1], seed=seed)
    np.testing.assert_array_equal(y, x + 1)


SHUFFLES = """\
    i32 lane = threadIdx.x % 32;
    y[threadIdx.x] = __shfl_sync(0xffffffffu, x[threadIdx.x], lane * 7 + 3, width);
    up[threadIdx.x] = __shfl_up_sync(0xffffffffu, x[threadIdx.x], 3, width);
    down[threadIdx.x] = __shfl_down_sync(0xffffffffu, x[threadIdx.x], 3, width);
    other[threadIdx.x] = __shfl_xor_sync(0xffffffffu, x[threadIdx.x], 5, width);"""


@pytest.mark.parametrize(
    ("dtype", "kind"), [("int32", "i32"), ("float32", "f32"), ("float64", "f64"), ("uint64", "u64")]
)
@pytest.mark.parametrize("width", [8, 16, 32])
def test_shuffles_are_those_of_cuda(dtype: str, kind: str, width: int) -> None:
    parameters = [
        (f"const {kind}*", "x"),
        *[(f"{kind}*", name) for name in ("y", "up", "down", "other")],
        ("i64", "width"),
    ]
    x = np.random.default_rng(1).integers(0, 1 << 30, 64).astype(dtype)
    outputs = [np.empty_like(x) for _ in range(4)]
    check_kernel(kernel(SHUFFLES, threads=64, parameters=parameters), [x, *outputs], (width,))
    rows, lane = x.reshape(-1, width), np.arange(width)
    expected = (
        np.stack([row[(np.arange(32)[k * width % 32 :][:width] * 7 + 3) % width] for k, row in enumerate(rows)]),
        rows[:, np.where(lane < 3, lane, lane - 3)],
        rows[:, np.where(lane + 3 >= width, lane, lane + 3)],
        rows[:, lane ^ 5],
    )
    for found, wanted in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(found.reshape(-1, width), wanted)


VOTES = """\
    bool odd = x[threadIdx.x] & 1;
    y[threadIdx.x] = __ballot_sync(0xffffffffu, odd);
    y[32 + threadIdx.x] = __any_sync(0xffffffffu, threadIdx.x == 3) + 2 * __all_sync(0xffffffffu, threadIdx.x < 32);
    y[64 + threadIdx.x] = __syncthreads_count(odd) + 100 * __syncthreads_or(threadIdx.x == 9);
    y[96 + threadIdx.x] = __reduce_add_sync(0xffffffffu, x[threadIdx.x]) + __syncthreads_and(threadIdx.x < 31);
    y[128 + threadIdx.x] = __match_any_sync(0xffffffffu, x[threadIdx.x] & 3u);"""


def test_votes_are_those_of_cuda() -> None:
    x, y = np.arange(5, 37, dtype=np.uint32), np.empty(160, np.uint32)
    check_kernel(kernel(VOTES, parameters=[("const u32*", "x"), ("u32*", "y")]), [x, y])
    bits = 1 << np.arange(32, dtype=np.uint64)
    assert set(y[:32]) == {int(bits[x % 2 == 1].sum())}
    assert set(y[32:64]) == {3}
    assert set(y[64:96]) == {116}
    assert set(y[96:128]) == {int(x.sum())}
    np.testing.assert_array_equal(y[128:], [int(bits[x % 4 == value % 4].sum()) for value in x])


def test_the_orders_are_different() -> None:
    body = "    y[atomicAdd((i32*)x, 1)] = threadIdx.x;"
    orders = []
    for order in ORDERS:
        count, y = np.zeros(1, np.int32), np.empty(32, np.float32)
        run_kernel(kernel(body, parameters=[("i32*", "x"), WRITTEN]), [count, y], updated=[0], order=order)
        orders.append(tuple(y))
    assert orders[0] == tuple(range(32))
    assert orders[1] == tuple(reversed(range(32)))
    assert len(set(orders)) == 3
    assert sorted(orders[2]) == sorted(orders[0])
