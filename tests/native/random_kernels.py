"""Random kernels of kernel IR, compiled and compared with the interpreter, on memory between guard pages.

Run as a program, so that a kernel that leaves its buffers ends this process and not the tests:
``python random_kernels.py FAMILY LEVEL EXAMPLES``; the family ``all`` is each in turn.
"""

from __future__ import annotations

import ctypes
import faulthandler
import itertools
import sys
from typing import Any

import numpy as np
from guarded import guarded_copy
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from symgrad.backends.native.emit import emit_kernel
from symgrad.backends.native.llvm.host import Processor, host
from symgrad.backends.native.llvm.jit import load
from symgrad.backends.native.llvm.text import module_text
from symgrad.kernels.ir.builder import KernelBuilder, Memory, Term, call, cast, lifted
from symgrad.kernels.ir.grammar import Kernel, Role
from symgrad.kernels.ir.interpreter import interpret
from symgrad.kernels.ir.printer import print_kernel

ENTRY = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)  # fmt: skip
EXTENTS = st.sampled_from((0, 1, 2, 3, 5, 8, 9, 15, 16, 17, 31, 33, 64, 65, 100, 130, 257))
FEW = st.sampled_from((0, 1, 2, 3, 5))
DTYPES = st.sampled_from(("float32", "float32", "float64", "int32", "int64", "uint8", "int16", "bool"))
NUMBERS = st.sampled_from(("float32", "float32", "float64", "int32", "int64", "int8"))
BINARY = ("add", "subtract", "multiply", "maximum", "minimum", "lt", "eq", "switch")


# ---- making kernels ----


class Maker:
    """Draws the parts of a kernel, and the arrays for it."""

    def __init__(self, draw: Any, name: str) -> None:
        self.draw = draw
        self.builder = KernelBuilder(name)
        self.sizes: dict[str, int] = {}
        self.arrays: list[np.ndarray] = []
        self.random = np.random.default_rng(draw(st.integers(0, 1000)))

    def extent(self, strategy: Any = EXTENTS) -> tuple[Any, int]:
        """Return an extent as the kernel knows it, a number or a name, and its value."""
        value = self.draw(strategy)
        if self.draw(st.booleans()):
            name = self.builder.size()
            self.sizes[name] = value
            return name, value
        return value, value

    def values(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """Return small whole numbers, so that sums are exact, and now and then a nan."""
        if dtype == "bool":
            return self.random.random(shape) < 0.5
        values = self.random.integers(0 if dtype.startswith("u") else -3, 4, shape).astype(dtype)
        if dtype.startswith("float") and values.size and self.draw(st.integers(0, 5)) == 0:
            values.flat[self.random.integers(values.size)] = np.nan
        return values

    def operand(self, extents: list[tuple[Any, int]], indices: list[Term], dtype: str, at: str = "x") -> Term:
        """Return an element of a new input that is contiguous, stretched, strided, reversed or transposed."""
        order = self.draw(st.permutations(range(len(extents))))
        how = [self.draw(st.sampled_from(("all", "all", "stretched", "reversed", "strided"))) for _ in extents]
        steps = [self.draw(st.integers(2, 3)) if each == "strided" else 1 for each in how]
        kept = [1 if each == "stretched" else size[1] * step for each, size, step in zip(how, extents, steps)]
        shape = tuple(kept[axis] for axis in order)
        memory = np.zeros(shape, dtype)
        memory[...] = self.values(shape, dtype)
        strides = [0] * len(extents)
        for position, axis in enumerate(order):
            stride = int(np.prod(shape[position + 1 :], dtype=int))
            strides[axis] = 0 if how[axis] == "stretched" else stride * steps[axis]
        self.arrays.append(memory)
        buffer = self.builder.input(at, dtype, [size for size, _ in extents], strides)
        places = [
            (lifted(size, "int64") - 1) - place if each == "reversed" else place
            for each, (size, _), place in zip(how, extents, indices)
        ]
        return self.load(buffer, places, indices)

    def load(self, buffer: Memory, places: list[Term], indices: list[Term]) -> Term:
        """Load, sometimes only where a mask holds."""
        if self.draw(st.integers(0, 3)) or not indices:
            return buffer[tuple(places)]
        place = indices[self.draw(st.integers(0, len(indices) - 1))]
        return buffer.load(tuple(places), mask=place < self.draw(st.integers(0, 40)))

    def output(self, extents: list[tuple[Any, int]], dtype: str, reverse: bool = False) -> Memory:
        """Declare an output of these sizes."""
        shape = tuple(value for _, value in extents)
        sizes = [max(value, 1) for value in shape]
        strides = [int(np.prod(sizes[axis + 1 :], dtype=int)) for axis in range(len(shape))]
        if reverse:
            strides = [int(np.prod(sizes[:axis], dtype=int)) for axis in range(len(shape))]
        self.arrays.append(np.full(shape, 7, dtype))
        return self.builder.output("y", dtype, [size for size, _ in extents], strides)

    def chain(self, terms: list[Term], length: int) -> Term:
        """Combine terms by random functions; results may be shared."""
        terms = list(terms)
        for _ in range(length):
            first, second = (terms[self.draw(st.integers(0, len(terms) - 1))] for _ in range(2))
            terms.append(self.applied(self.draw(st.sampled_from(BINARY)), first, second))
            if self.draw(st.booleans()):
                terms[-1] = self.builder.let("t", terms[-1])
        return terms[-1]

    def applied(self, name: str, first: Term, second: Term) -> Term:
        if first.dtype == "bool":
            return call("or", first, cast(second, "bool")) if self.draw(st.booleans()) else cast(first, "float32")
        second = cast(second, first.dtype)
        if name == "switch":
            return call("switch", first < second, second, first * 2)
        return call(name, first, second)


@st.composite
def elementwise(draw: Any) -> Maker:
    """One function after the other over one or two axes."""
    maker = Maker(draw, "elementwise")
    extents = [maker.extent(FEW), maker.extent()] if draw(st.booleans()) else [maker.extent()]
    if len(extents) == 1 and draw(st.booleans()):
        extents = [maker.extent(st.just(9000))]
    b = maker.builder

    def body(indices: list[Term]) -> None:
        terms = [maker.operand(extents, indices, draw(DTYPES)) for _ in range(draw(st.integers(1, 3)))]
        if draw(st.integers(0, 3)) == 0:
            terms.append(cast(indices[-1], draw(NUMBERS)))
        terms.append(b.literal(draw(st.integers(0, 3)), draw(NUMBERS)))
        value = maker.chain(terms, draw(st.integers(1, 4)))
        dtype = draw(DTYPES)
        if value.dtype.startswith("float") and not dtype.startswith(("float", "bool")):
            dtype = value.dtype
        y = maker.output(extents, dtype, reverse=draw(st.booleans()))
        mask = None if draw(st.integers(0, 3)) else indices[-1] < draw(st.integers(0, 40))
        y.store(tuple(indices), cast(value, dtype), mask)

    if len(extents) == 1:
        with b.vector(extents[0][0]) as only:
            body([only.index])
        return maker
    with b.parallel(extents[0][0]) as outer, b.vector(extents[1][0]) as inner:
        body([outer.index, inner.index])
    return maker


@st.composite
def row_reductions(draw: Any) -> Maker:
    """Reductions along rows, perhaps of rows kept in scratch memory, and their use in a second pass over the row."""
    maker = Maker(draw, "rows")
    b = maker.builder
    extents = [maker.extent(FEW), maker.extent()]
    dtype, how = draw(st.sampled_from((
        ("float32", "add"), ("float64", "add"), ("int32", "add"), ("float32", "maximum"), ("int64", "minimum"),
        ("float32", "minimum"), ("bool", "and"), ("bool", "or"), ("uint8", "maximum"), ("float64", "multiply"),
        ("uint64", "minimum"), ("int8", "maximum"),
    )))  # fmt: skip
    start = {"add": 0, "multiply": 1, "and": 1, "or": 0}.get(how, 1)
    how_kept = draw(st.sampled_from(("not", "scratch", "output")))
    kept = None
    if how_kept == "scratch" and isinstance(extents[1][0], int):
        kept = b.scratch("row", dtype, [extents[1][1]])
    elif how_kept == "output":
        kept = maker.output(extents, dtype)
    outer_loop = b.parallel if draw(st.booleans()) else b.serial
    with outer_loop(extents[0][0]) as outer:
        with b.vector(extents[1][0], total=(how, b.literal(start, dtype))) as inner:
            indices = [outer.index, inner.index]
            terms = [maker.operand(extents, indices, dtype) for _ in range(draw(st.integers(1, 2)))]
            value = b.let("value", cast(maker.chain(terms, draw(st.integers(0, 2))), dtype))
            if kept is not None:
                kept[(outer.index, inner.index)[-len(kept.buffer.shape) :]] = value
            inner.carry("total", value)
        maker.output([extents[0]], dtype)
        y = Memory(b._buffers[-1], b)
        y[outer.index] = inner["total"]
        if draw(st.booleans()):
            z = maker.output(extents, dtype)
            with b.vector(extents[1][0]) as again:
                indices = [outer.index, again.index]
                if kept is None:
                    element = maker.operand(extents, indices, dtype)
                else:
                    element = kept[tuple(indices[-len(kept.buffer.shape) :])]
                z[outer.index, again.index] = call("or" if dtype == "bool" else "add", element, inner["total"])
    return maker


@st.composite
def column_reductions(draw: Any) -> Maker:
    """Reductions along columns: a serial or unrolled loop in a vector loop."""
    maker = Maker(draw, "columns")
    b = maker.builder
    unrolled = draw(st.booleans())
    rows = (3, 3) if unrolled else maker.extent(FEW)
    columns = maker.extent()
    dtype, how = draw(st.sampled_from((("float32", "add"), ("float64", "maximum"), ("int16", "add"), ("bool", "or"))))
    inner_loop = b.unrolled if unrolled else b.serial
    with b.vector(columns[0]) as outer:
        with inner_loop(rows[0], total=(how, b.literal(0, dtype))) as inner:
            inner.carry("total", maker.operand([rows, columns], [inner.index, outer.index], dtype))
        y = maker.output([columns], dtype)
        y[outer.index] = inner["total"]
    return maker


@st.composite
def full_reductions(draw: Any) -> Maker:
    """Everything summed: one vector loop, or vector loops in a loop that carries."""
    maker = Maker(draw, "full")
    b = maker.builder
    dtype = draw(st.sampled_from(("float32", "float64", "int64", "int8")))
    extents = [maker.extent(FEW), maker.extent(st.one_of(EXTENTS, st.just(17_003)))]
    maker.output([], dtype)
    y = Memory(b._buffers[-1], b)
    zero = b.literal(0, dtype)
    if draw(st.booleans()):
        with b.vector(extents[1][0], total=("add", zero)) as only:
            only.carry("total", maker.operand(extents[1:], [only.index], dtype))
        y[()] = only["total"]
        return maker
    if draw(st.booleans()):
        with b.parallel(extents[0][0], total=("add", zero)) as outer:
            with b.vector(extents[1][0], part=("add", zero)) as inner:
                inner.carry("part", maker.operand(extents, [outer.index, inner.index], dtype))
            outer.carry("total", inner["part"])
        y[()] = outer["total"]
        return maker
    with b.serial(extents[0][0], total=(None, zero)) as outer:
        with b.vector(extents[1][0], part=("add", outer["total"]), least=("minimum", zero)) as inner:
            indices = [outer.index, inner.index]
            value = b.let("value", maker.operand(extents, indices, dtype))
            inner.carry("part", value * 2)
            inner.carry("least", value)
        outer.carry("total", inner["part"] + inner["least"])
    y[()] = outer["total"]
    return maker


@st.composite
def gathers(draw: Any) -> Maker:
    """Rows or elements of a table by positions that are checked first."""
    maker = Maker(draw, "gather")
    b = maker.builder
    count, width = maker.extent(), maker.extent(st.sampled_from((1, 3, 16, 40)))
    height = draw(st.integers(1, 5))
    dtype = draw(DTYPES)
    bad = draw(st.integers(0, 3)) == 0
    position_dtype = draw(st.sampled_from(("int64", "int32", "uint8")))
    positions = maker.random.integers(0, height + bad, count[1]).astype(position_dtype)
    maker.arrays += [positions, maker.values((height, width[1]), dtype)]
    where = b.input("where", position_dtype, [count[0]])
    table = b.input("table", dtype, [height, width[0]])
    by_element = draw(st.booleans())

    def place(row: Term) -> Term:
        position = b.let("position", cast(where[row], "int64"))
        b.check((position >= 0) & (position < height), 3)
        return position

    if by_element:
        y = maker.output([count], dtype)
        with b.vector(count[0]) as only:
            y[only.index] = table[place(only.index), lifted(width[0], "int64") - 1]
        return maker
    y = maker.output([count, width], dtype)
    with b.parallel(count[0]) as outer:
        position = place(outer.index)
        with b.vector(width[0]) as inner:
            y[outer.index, inner.index] = table[position, inner.index]
    return maker


FAMILIES = {
    "elementwise": elementwise, "rows": row_reductions, "columns": column_reductions, "full": full_reductions,
    "gathers": gathers,
}  # fmt: skip


# ---- running them ----


def compiled(kernel: Kernel, processor: Processor, streaming: bool | None = None) -> Any:
    """Return ``run(arrays, sizes, cuts)``, which does the units piece by piece and returns the first code."""
    native = emit_kernel(kernel, processor.vector_bytes, processor.masked, streaming)
    address = load(module_text(native.functions), [native.name], processor=processor)[native.name]
    entry = ENTRY(address)

    def run(arrays: list[np.ndarray], sizes: dict[str, int], pieces: int = 1) -> int:
        pointers = (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])
        given_sizes = (ctypes.c_int64 * max(len(sizes), 1))(*[sizes[name] for name in kernel.sizes])
        scratch = np.zeros(native.scratch // 8 + 16)
        aligned = -(-scratch.ctypes.data // 64) * 64
        units = native.units if isinstance(native.units, int) else -(-sizes[native.units] // native.unit_block)
        cuts = [units * piece // pieces for piece in range(pieces + 1)]
        for begin, end in itertools.pairwise(cuts):
            if begin < end and (code := entry(pointers, given_sizes, begin, end, aligned)):
                return int(code)
        return 0

    return run


def check(maker: Maker, processor: Processor, at_end: bool, streaming: bool) -> None:
    """Compare a compiled kernel with the interpreter; units in one piece and in three give the same bits."""
    kernel = maker.builder.kernel()
    roles = [buffer.role for buffer in kernel.buffers if buffer.role is not Role.SCRATCH]
    expected = [array.copy() for array in maker.arrays]
    code = interpret(kernel, [array.reshape(-1) for array in expected], maker.sizes)
    run = compiled(kernel, processor, streaming)
    for pieces in (1, 3):
        arrays = [guarded_copy(array, at_end) for array in maker.arrays]
        print(print_kernel(kernel), maker.sizes, processor.name, file=sys.stderr, flush=True)
        found = run(arrays, maker.sizes, pieces)
        assert found == code, (found, code)
        if code:
            continue
        for role, before, array, wanted in zip(roles, maker.arrays, arrays, expected):
            np.testing.assert_allclose(array, before if role is Role.INPUT else wanted, rtol=1e-5, strict=True)


def main(family: str, level: str, examples: int) -> None:
    """Check random kernels of a family on a level of processor features."""
    faulthandler.enable()
    processor = host(level)

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=False, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(FAMILIES[family](), st.booleans(), st.booleans())
    def run(maker: Maker, at_end: bool, streaming: bool) -> None:
        check(maker, processor, at_end, streaming)

    run()


if __name__ == "__main__":
    for each in FAMILIES if sys.argv[1] == "all" else [sys.argv[1]]:
        main(each, sys.argv[2], int(sys.argv[3]))
