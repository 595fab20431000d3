"""Kernel IR as machine code: random kernels against the interpreter, and the forms that the text must have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from guarded import guarded_array
from random_kernels import FAMILIES, compiled

from symgrad.backends.native.emit import emit_kernel
from symgrad.backends.native.llvm.host import host, target
from symgrad.backends.native.llvm.jit import compile_object
from symgrad.backends.native.llvm.text import module_text
from symgrad.kernels.ir.builder import KernelBuilder, call, cast
from symgrad.kernels.ir.grammar import Kernel

LEVELS = ("avx512", "avx2", "sse2", "neon")
EXAMPLES = 30


def run_program(*words: str) -> subprocess.CompletedProcess[str]:
    program = Path(__file__).parent / "random_kernels.py"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, str(program), *words], capture_output=True, text=True, check=False, env=environment
    )


@pytest.mark.parametrize("level", ["all", "avx2", "sse2"])
def test_random_kernels_equal_the_interpreter_and_stay_in_their_buffers(level: str) -> None:
    result = run_program("all", "auto" if level == "all" else level, str(EXAMPLES))
    assert result.returncode == 0, result.stderr[-4000:]


def test_guard_pages_stop_a_kernel_that_leaves_its_buffer() -> None:
    text = (
        "from guarded import guarded_array\nimport ctypes\n"
        "array = guarded_array(3, 'f8', at_end={})\nctypes.c_double.from_address(array.ctypes.data + {}).value = 1"
    )
    for at_end, place in ((True, 24), (False, -8)):
        program = text.format(at_end, place)
        result = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parent, check=False)
        assert result.returncode < 0
        inside = subprocess.run(
            [sys.executable, "-c", text.format(at_end, 16)], cwd=Path(__file__).parent, check=False
        )
        assert inside.returncode == 0


def scaled_rows(extent: int | None = None) -> Kernel:
    """Each row multiplied with a scalar and a row, and its sum."""
    b = KernelBuilder("scaled_rows")
    rows, columns = b.size("m"), b.size("n") if extent is None else extent
    x = b.input("x", "float32", (rows, columns))
    scale = b.input("scale", "float32", ())
    y = b.output("y", "float32", (rows,))
    with b.parallel(rows) as i:
        with b.vector(columns, total=("add", b.literal(0, "float32"))) as j:
            j.carry("total", x[i.index, j.index] * call("exp", scale[()]))
        y[i.index] = j["total"]
    return b.kernel()


@pytest.mark.parametrize("level", LEVELS)
def test_every_processor_gets_code(level: str) -> None:
    triple = "aarch64-unknown-linux-gnu" if level == "neon" else "x86_64-unknown-linux-gnu"
    processor = target(triple, level)
    native = emit_kernel(scaled_rows(), processor.vector_bytes, processor.masked)
    assert len(compile_object(module_text(native.functions), processor)) > 500


def test_what_no_loop_changes_is_computed_before_the_loops() -> None:
    text = module_text(emit_kernel(scaled_rows(), 64, True).functions)
    entry = text.split("entry:")[1].split("br label")[0]
    loops = text.split("entry:")[1].split("br label", 1)[1]
    assert "load  float" in entry
    assert "fdiv" not in loops and loops.count("load  float") == 0


def test_lanes_follow_the_width_of_the_processor() -> None:
    for vector_bytes in (16, 32, 64):
        text = module_text(emit_kernel(scaled_rows(), vector_bytes, True).functions)
        assert f"<{vector_bytes // 4 * 4} x float>" in text


def test_only_as_many_lanes_as_there_are_elements() -> None:
    text = module_text(emit_kernel(scaled_rows(10), 64, True).functions)
    assert "<16 x float>" in text and "<32 x float>" not in text
    assert "masked" not in module_text(emit_kernel(scaled_rows(64), 64, True).functions)


def test_a_sum_doesnt_depend_on_where_its_row_lies() -> None:
    random = np.random.default_rng(3)
    run = compiled(scaled_rows(), host())
    row = random.normal(size=77).astype("f")
    x, y = np.tile(row, (5, 1)), np.zeros(5, "f")
    assert run([x, np.array(0.3, "f"), y], {"m": 5, "n": 77}, 2) == 0
    assert len(set(y.tolist())) == 1


def test_a_kernel_without_rounds_reads_nothing() -> None:
    """The scalar operand of an empty loop may be an empty buffer's element."""
    b = KernelBuilder("first")
    n = b.size()
    x = b.input("x", "float64", (n,))
    y = b.output("y", "float64", (n,))
    with b.serial(1), b.vector(n) as j:
        y[j.index] = x[j.index] - x[0]
    empty = guarded_array(0, "f8")
    assert compiled(b.kernel(), host())([empty, guarded_array(0, "f8")], {"n": 0}) == 0


def test_serial_loops_carry_what_a_round_leaves() -> None:
    b = KernelBuilder("fibonacci")
    y = b.output("y", "int64", (30,))
    one = b.literal(1, "int64")
    with b.serial(30, a=(None, one), b=(None, one)) as i:
        y[i.index] = i["a"]
        i.carry("a", i["b"])
        i.carry("b", i["a"] + i["b"])
    result = np.zeros(30, "i8")
    assert compiled(b.kernel(), host())([result], {}) == 0
    np.testing.assert_array_equal(result[2:], result[1:-1] + result[:-2])
    assert result[29] == 832040


def test_bits_of_integers() -> None:
    b = KernelBuilder("bits")
    x = b.input("x", "uint32", (19,))
    y = b.output("y", "uint32", (19,))
    with b.vector(19) as i:
        v = x[i.index]
        high = call("multiply_high", v, b.literal(0xD2511F53, "uint32"))
        y[i.index] = call("xor", call("shift_left", high, b.literal(3, "uint32")), call("shift_right", v, v % 32))
    random = np.random.default_rng(0).integers(0, 1 << 32, 19).astype("u4")
    result = np.zeros(19, "u4")
    assert compiled(b.kernel(), host())([random, result], {}) == 0
    wide = (random.astype("u8") * np.uint64(0xD2511F53)) >> np.uint64(32)
    np.testing.assert_array_equal(result, (wide.astype("u4") << np.uint32(3)) ^ (random >> (random % 32)))


@pytest.mark.parametrize("dtype", ["float64", "int64"])
@pytest.mark.parametrize("named", [False, True])
def test_deep_and_shared_expressions(dtype: str, named: bool) -> None:
    b = KernelBuilder("deep")
    x, y = b.input("x", dtype, (21,)), b.output("y", dtype, (21,))
    with b.vector(21) as i:
        value = x[i.index]
        for number in range(1000):
            value = value - value * value if number % 2 else value + value
            value = b.let("v", value) if named else value
        y[i.index] = value
    expected = np.linspace(0.1, 0.4, 21) if dtype == "float64" else np.arange(21)
    array, result = expected.copy(), np.zeros(21, dtype)
    for number in range(1000):
        expected = expected - expected * expected if number % 2 else expected + expected
    assert compiled(b.kernel(), host())([array, result], {}) == 0
    assert np.isfinite(expected).all() and ((result > 0) == (expected > 0)).all()
    if dtype == "int64":
        np.testing.assert_array_equal(result, expected)


def test_units_are_blocks_of_flat_loops_and_rounds_of_parallel_ones() -> None:
    def flat(extent: int | None) -> Kernel:
        b = KernelBuilder("flat")
        n = b.size() if extent is None else extent
        x, y = b.input("x", "float32", (n,)), b.output("y", "float64", (n,))
        with b.vector(n) as i:
            y[i.index] = cast(x[i.index], "float64")
        return b.kernel()

    open_size, fixed, small = (emit_kernel(flat(extent), 64, True) for extent in (None, 100_000, 100))
    assert open_size.units == "n" and open_size.unit_block > 1
    assert fixed.units == -(-100_000 // fixed.unit_block) and small.units == 1
    assert emit_kernel(scaled_rows(), 64, True).units == "m"


def test_large_outputs_are_written_past_the_caches() -> None:
    def doubled(extent: int, again: bool = False) -> str:
        b = KernelBuilder("doubled")
        x, y = b.input("x", "float32", (extent,)), b.output("y", "float32", (extent,))
        with b.vector(extent) as i:
            y[i.index] = x[i.index] * 2
        if again:
            with b.vector(extent) as j:
                y[j.index] = y[j.index] + 1
        return module_text(emit_kernel(b.kernel(), 64, True).functions)

    assert "nontemporal" in doubled(10_000_000) and "fence" in doubled(10_000_000)
    assert "nontemporal" not in doubled(10_000) and "nontemporal" not in doubled(10_000_000, again=True)


def test_long_sums_keep_their_digits() -> None:
    b = KernelBuilder("long_sum")
    n = b.size()
    x, y = b.input("x", "float32", (n,)), b.output("y", "float32", ())
    with b.vector(n, total=("add", b.literal(0, "float32"))) as i:
        i.carry("total", x[i.index])
    y[()] = i["total"]
    values = np.random.default_rng(0).random(3_000_000, "f")
    result = np.zeros((), "f")
    assert compiled(b.kernel(), host())([values, result], {"n": values.size}) == 0
    np.testing.assert_allclose(result, values.sum(dtype="d"), rtol=4e-7)


@pytest.mark.parametrize("extent", [1, 16, 77, 5000])
@pytest.mark.parametrize("level", ["auto", "avx2", "sse2"])
def test_an_elementwise_output_may_be_the_memory_of_an_input(extent: int, level: str) -> None:
    b = KernelBuilder("in_place")
    x, w = b.input("x", "float32", (extent,)), b.input("w", "float32", (extent,))
    y = b.output("y", "float32", (extent,))
    with b.vector(extent) as i:
        y[i.index] = x[i.index] * w[i.index] + x[i.index]
    values = np.arange(extent, dtype="f")
    expected = values * 3 + values
    assert compiled(b.kernel(), host(level))([values, np.full(extent, 3, "f"), values], {}, 3) == 0
    np.testing.assert_array_equal(values, expected)


def test_families_are_all_run() -> None:
    assert set(FAMILIES) == {"elementwise", "rows", "columns", "full", "gathers"}
