"""Kernel IR as CUDA C++: random kernels against the interpreter, scalar functions against NumPy, layouts and forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from gpu.kernels_of_nests import KERNELS, Maker, operands_of
from gpu.shim.kernels import check_kernel, run_kernel
from gpu.shim.nvrtc import check_compiles, nvrtc
from symgrad.backends.base import UnsupportedError
from symgrad.backends.cupy.emit import emit_kernel, is_supported
from symgrad.backends.cupy.kernel import CudaKernel, Target
from symgrad.backends.cupy.prelude import PRELUDE, TYPES
from symgrad.kernels.ir.builder import KernelBuilder
from symgrad.kernels.ir.functions import FUNCTIONS, Rule
from symgrad.kernels.ir.grammar import Buffer, Call, Cast, Kernel, Kind, Load, Loop, Ref, Role, Store
from symgrad.kernels.ir.interpreter import interpret, numpy_function
from symgrad.kernels.ir.printer import print_kernel

EXAMPLES = 16
TARGETS = (Target(), Target(multiprocessors=1))
"""A device with more processors than these kernels have work for, and one with less: layouts differ."""
ARCHITECTURES = (75, 120)
DTYPES = [dtype for dtype in TYPES if dtype != "bfloat16"]


def in_one_module(kernels: Sequence[CudaKernel]) -> list[CudaKernel]:
    """Return kernels that share their text, which is then compiled once."""
    text = "\n".join({kernel.name: kernel.text for kernel in kernels}.values())
    return [replace(kernel, text=text) for kernel in kernels]


def drawn(family: str, examples: int) -> list[tuple[Maker, Kernel]]:
    """Return random kernels of a family with their arrays."""
    found: list[tuple[Maker, Kernel]] = []

    @settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(KERNELS[family]())
    def collect(maker: Maker) -> None:
        found.append((maker, maker.builder.kernel()))

    collect()
    return found


def roles_of(kernel: Kernel) -> list[Role]:
    return [buffer.role for buffer in kernel.buffers if buffer.role is not Role.SCRATCH]


def check(maker: Maker, kernel: Kernel, emitted: CudaKernel) -> None:
    """Compare a kernel with the interpreter, in all orders of threads."""
    roles = roles_of(kernel)
    wanted = [array.copy() for array in maker.arrays]
    code = interpret(kernel, [array.reshape(-1) for array in wanted], maker.sizes)
    arrays = [array.copy() for array in maker.arrays]
    sizes = [maker.sizes[name] for name in kernel.sizes]
    outputs = [place for place, role in enumerate(roles) if role is Role.OUTPUT]
    if code:
        assert emitted.may_fail
        for order in ("ascending", "descending", "shuffled"):
            assert run_kernel(emitted, arrays, sizes, updated=outputs, order=order) == code
        return
    assert check_kernel(emitted, arrays, sizes, updated=outputs) == 0
    for role, before, found, expected in zip(roles, maker.arrays, arrays, wanted, strict=True):
        np.testing.assert_allclose(
            found, before if role is Role.INPUT else expected, rtol=2e-5, atol=1e-5, strict=True,
            err_msg=print_kernel(kernel),
        )  # fmt: skip


@pytest.mark.parametrize("family", KERNELS)
def test_random_kernels_equal_the_interpreter(family: str) -> None:
    found = drawn(family, EXAMPLES)
    cases = [
        (maker, kernel, TARGETS[number % 2], None if number % 3 else ()) for number, (maker, kernel) in enumerate(found)
    ]
    emitted = in_one_module([emit_kernel(k, m.sizes, t, meeting=meeting) for m, k, t, meeting in cases])
    for (maker, kernel, _, _), one in zip(cases, emitted, strict=True):
        check(maker, kernel, one)
    if nvrtc() is not None:
        check_compiles(PRELUDE + emitted[0].text, ARCHITECTURES[:1] if len(family) % 2 else ARCHITECTURES[1:])


# ---- scalar functions -----------------------------------------------------------------------------------------------


def applied(name: str, dtypes: Sequence[str], dtype: str, count: int) -> Kernel:
    """Return the kernel that applies a function to arrays, element by element."""
    buffers = [Buffer(f"x{k}", kind, (count,), (1,), Role.INPUT) for k, kind in enumerate(dtypes)]
    operands = tuple([Load(buffer.name, (Ref("i"),)) for buffer in buffers])
    value = Cast(operands[0], dtype) if name.startswith("cast_") else Call(name, operands, dtype)
    body = Loop("i", count, Kind.VECTOR, (Store("y", (Ref("i"),), value),))
    y = Buffer("y", dtype, (count,), (1,), Role.OUTPUT)
    return Kernel(f"{name}_of_{dtypes[-1]}", (*buffers, y), (), (body,))


def check_functions(cases: Sequence[tuple[str, list[str], str, list[np.ndarray]]], ulps: int) -> None:
    kernels = [emit_kernel(applied(name, kinds, to, xs[0].size), {}, Target()) for name, kinds, to, xs in cases]
    for (name, kinds, to, xs), kernel in zip(cases, in_one_module(kernels), strict=True):
        with np.errstate(all="ignore"):
            wanted = np.asarray(xs[0] if name.startswith("cast_") else numpy_function(name)(*xs)).astype(to)
        found = np.zeros(wanted.size, to)
        run_kernel(kernel, [*xs, found])
        if np.dtype(to).kind != "f":
            np.testing.assert_array_equal(found, wanted, f"{name} of {kinds}")
            continue
        with np.errstate(all="ignore"):
            gap = np.abs(found.astype("f8") - wanted.astype("f8")) <= ulps * np.spacing(np.abs(wanted)).astype("f8")
        same = (found == wanted) | (np.isnan(found) & np.isnan(wanted)) | gap
        where = np.flatnonzero(~same)[:3]
        assert same.all(), f"{name} of {kinds} at {[x[where] for x in xs]}: {found[where]}, not {wanted[where]}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_functions_equal_numpys(dtype: str) -> None:
    cases = []
    for name, (arity, rule) in FUNCTIONS.items():
        dtypes = ["bool", dtype, dtype] if rule is Rule.SELECTION else [dtype] * arity
        result = "bool" if rule is Rule.COMPARISON else dtype
        if rule is Rule.BITS or not is_supported(name, dtypes, result):
            continue
        operands = operands_of(dtype, 2 if rule is Rule.SELECTION else arity, seed=len(name))
        if rule is Rule.SELECTION:
            operands = [np.arange(operands[0].size) % 3 == 0, *operands]
        cases.append((name, dtypes, result, operands))
    assert len(cases) > 15
    check_functions(cases, 4)


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_casts_equal_astype(source: str) -> None:
    cases = []
    for target in DTYPES:
        (values,) = operands_of(source, 1, seed=3)
        if "float" in source and target == "uint32":  # beyond int64 NumPy's own answer differs from element to element
            values = values[np.abs(values) < 2.0**31]
        cases.append((f"cast_{target}", [source], target, [values]))
    check_functions(cases, 0)


def test_bfloat16_is_rounded_to_the_nearest_even_number() -> None:
    bits = np.random.default_rng(0).integers(0, 1 << 32, 4000, dtype=np.uint32)
    edges = np.array([0x3F808000, 0x3F818000, 0x7F7FFFFF, 0x7F800000, 0xFF800000, 0x00008000], np.uint32)
    values = np.concatenate([bits, edges]).view(np.float32)
    text = """\
extern "C" __global__ void halves(const f32* x, const f64* wide, bf16* y, f32* back, bf16* of_wide, i32* status) {
    const int i = blockIdx.x * 32 + threadIdx.x;
    y[i] = to_bf16(x[i]);
    back[i] = to_f32(y[i]);
    of_wide[i] = to_bf16(wide[i]);
}
"""
    count = values.size // 32 * 32
    values = values[-count:]
    found, back, of_wide = np.zeros(count, "u2"), np.zeros(count, "f4"), np.zeros(count, "u2")
    with np.errstate(all="ignore"):
        wide = values.astype("f8")
        run_kernel(CudaKernel("halves", text, (count // 32, 1, 1), 32), [values, wide, found, back, of_wide])
    whole = values.view(np.uint32).astype(np.uint64)
    wanted = ((whole + 0x7FFF + (whole >> np.uint64(16) & np.uint64(1))) >> np.uint64(16)).astype("u2")
    numbers = ~np.isnan(values)
    np.testing.assert_array_equal(found[numbers], wanted[numbers])
    np.testing.assert_array_equal(of_wide[numbers], wanted[numbers])
    np.testing.assert_array_equal(back[numbers].view(np.uint32) >> 16, wanted[numbers])
    assert np.isnan(back[~numbers]).all()


# ---- what a kernel is asked for -------------------------------------------------------------------------------------


def scaled_rows(rows: Any, columns: Any) -> Kernel:
    """Each row less its largest element; the output may be the memory of the operand."""
    b = KernelBuilder("scaled_rows")
    rows, columns = (b.size(size) if isinstance(size, str) else size for size in (rows, columns))
    x, y = b.input("x", "float32", (rows, columns)), b.output("y", "float32", (rows, columns))
    with b.parallel(rows) as i:
        with b.vector(columns, largest=("maximum", b.literal(-np.inf, "float32"))) as j:
            j.carry("largest", x[i.index, j.index])
        with b.vector(columns) as k:
            y[i.index, k.index] = x[i.index, k.index] - j["largest"]
    return b.kernel()


def shifted(extent: Any, dtype: str) -> Kernel:
    """Elements and one more."""
    b = KernelBuilder("shifted")
    n = b.size(extent) if isinstance(extent, str) else extent
    x, y = b.input("x", dtype, (n,)), b.output("y", dtype, (n,))
    with b.vector(n) as i:
        y[i.index] = x[i.index] + 1
    return b.kernel()


@pytest.mark.parametrize("columns", [3, 10, 40, 300, 2000])
def test_an_output_may_be_the_memory_of_an_operand(columns: int) -> None:
    x = np.random.default_rng(columns).standard_normal((7, columns)).astype("float32")
    wanted = x - x.max(1, keepdims=True)
    kernel = emit_kernel(scaled_rows(7, columns), {}, Target())
    assert check_kernel(kernel, [x, x], updated=[0, 1]) == 0
    np.testing.assert_array_equal(x, wanted)


@pytest.mark.parametrize("count", [1, 255, 5000, 40_003])
@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8"])
def test_neighbours_are_read_together_whatever_their_alignment(dtype: str, count: int) -> None:
    kernel = emit_kernel(shifted("n", dtype), {"n": count}, Target(multiprocessors=1))
    assert "load_pack" in kernel.text
    for start in (0, 1):
        memory = np.arange(count + 1).astype(dtype)
        y = np.zeros(count + 1, dtype)
        assert check_kernel(kernel, [memory[start : start + count], y[:count]], [count]) == 0
        np.testing.assert_array_equal(y[:count], (memory[start : start + count] + np.array(1, dtype)).astype(dtype))


def test_nothing_is_read_behind_the_last_element() -> None:
    b = KernelBuilder("every_second")
    n = b.size("n")
    x, y = b.input("x", "float32", (n,), (2,)), b.output("y", "float32", (n,))
    with b.vector(n) as i:
        y[i.index] = x[i.index] * 2
    kernel = emit_kernel(b.kernel(), {"n": 4001}, Target(multiprocessors=1))
    assert "store_pack" in kernel.text
    memory, found = np.arange(8001, dtype="float32"), np.zeros(4001, "float32")
    assert check_kernel(kernel, [memory, found], [4001]) == 0
    np.testing.assert_array_equal(found, 2 * memory[::2])


@pytest.mark.parametrize("packed", [False, True])
def test_a_buffer_may_begin_where_the_device_says(packed: bool) -> None:
    n = 30_000 if packed else 100
    kernel = emit_kernel(shifted(n, "float32"), {}, Target(multiprocessors=1), moving={0})
    memory, y = np.arange(n + 30, dtype="float32"), np.zeros(n, "float32")
    assert ("load_pack" in kernel.text) == packed
    run_kernel(kernel, [memory, y, np.array([17])])
    np.testing.assert_array_equal(y, memory[17 : 17 + n] + 1)


def test_the_text_does_not_depend_on_open_sizes() -> None:
    kernels = [emit_kernel(scaled_rows("m", "n"), {"m": m, "n": n}, Target()) for m, n in ((0, 3), (5, 7), (900, 2000))]
    assert len({(kernel.name, kernel.text, kernel.threads) for kernel in kernels}) == 1
    assert [kernel.grid[0] for kernel in kernels] == [1, 5, 900]


def test_names_differ_where_texts_do() -> None:
    still, moving = (emit_kernel(shifted(100, "float32"), {}, Target(), moving=which) for which in ((), {0}))
    assert still.name != moving.name
    assert still.name in still.text


def test_scratch_memory_that_lanes_share_must_fit() -> None:
    b = KernelBuilder("reversed_rows")
    x, y = b.input("x", "float64", (3, 9000)), b.output("y", "float64", (3, 9000))
    kept = b.scratch("kept", "float64", (9000,))
    with b.parallel(3) as i:
        with b.vector(9000) as j:
            kept[j.index] = x[i.index, j.index]
        with b.vector(9000) as k:
            y[i.index, k.index] = kept[b.literal(8999, "int64") - k.index]
    with pytest.raises(UnsupportedError, match="72000 bytes of shared memory"):
        emit_kernel(b.kernel(), {}, Target())


@pytest.mark.parametrize("width", [10, 40, 300])
def test_lanes_read_scratch_memory_that_other_lanes_have_written(width: int) -> None:
    b = KernelBuilder("reversed_rows")
    x, y = b.input("x", "float32", (9, width)), b.output("y", "float32", (9, width))
    kept = b.scratch("kept", "float32", (width,))
    with b.parallel(9) as i:
        with b.vector(width) as j:
            kept[j.index] = x[i.index, j.index] * 2
        with b.vector(width) as k:
            y[i.index, k.index] = kept[b.literal(width - 1, "int64") - k.index]
    x_values = np.random.default_rng(0).standard_normal((9, width)).astype("float32")
    found = np.zeros_like(x_values)
    kernel = emit_kernel(b.kernel(), {}, Target())
    assert check_kernel(kernel, [x_values, found]) == 0
    np.testing.assert_array_equal(found, 2 * x_values[:, ::-1])


def test_the_largest_element_is_found_again_bit_by_bit() -> None:
    """A product and a sum that are compared with themselves are never fused in one place only."""
    b = KernelBuilder("place_of_largest")
    x, y = b.input("x", "float32", (4, 50)), b.output("y", "int64", (4,))
    with b.parallel(4) as i:
        with b.vector(50, largest=("maximum", b.literal(-np.inf, "float32"))) as j:
            j.carry("largest", x[i.index, j.index] * 0.3 + 1.7)
        with b.vector(50, place=("minimum", b.literal(50, "int64"))) as k:
            is_largest = b.call("eq", x[i.index, k.index] * 0.3 + 1.7, j["largest"])
            k.carry("place", b.call("switch", is_largest, k.index, b.literal(50, "int64")))
        y[i.index] = k["place"]
    kernel = emit_kernel(b.kernel(), {}, Target())
    assert "__fmul_rn" in kernel.text
    assert "__fadd_rn" in kernel.text
    values, found = np.random.default_rng(1).standard_normal((4, 50)).astype("float32"), np.zeros(4, "int64")
    check_kernel(kernel, [values, found])
    np.testing.assert_array_equal(found, values.argmax(1))


def test_what_is_not_supported_says_so() -> None:
    assert not is_supported("add", ["complex64", "complex64"], "complex64")
    assert not is_supported("subtract", ["bool", "bool"], "bool")
    assert not is_supported("gammaln", ["float32"], "float32")
    assert is_supported("cast_bfloat16", ["float32"], "bfloat16")
    assert is_supported("exp", ["float16"], "float16")
