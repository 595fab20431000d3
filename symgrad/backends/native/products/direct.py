"""The kernels of products: by spreading numbers over vectors, by inner products of vectors, and of just two vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from symgrad.backends.matrices import Problem
from symgrad.backends.native.kernel import NativeKernel, kernel_function
from symgrad.backends.native.llvm.text import Value, index
from symgrad.backends.native.products.copies import copy_into
from symgrad.backends.native.products.targets import put_sums, put_tile
from symgrad.backends.native.products.tiles import (
    Numbers,
    at,
    broadcast_tile,
    dot_tile,
    over_tiles,
    sums_of_lanes,
)
from symgrad.backends.native.products.units import Buffers, choose_tile, over_units, parts, row_load, tile_cycles

SUMS_AT_A_TIME = 8
"""Sums of an inner product: two are added to in a cycle, and each can be added to again after four."""

PACKED_SIZE = 1 << 15
"""Elements of a matrix that each thread may copy into scratch memory as a whole."""


STREAMED_BYTES = 1 << 14
"""Operands of this size may come from memory, where the processor's own guesses end with each page."""


def empty_kernel(name: str, problem: Problem, numbers: Numbers) -> NativeKernel:
    """Return the kernel of a product without elements."""
    function = kernel_function(name)
    function.give(Value("0", "i32"))
    return NativeKernel(name, [function])


def broadcast_kernel(name: str, problem: Problem, numbers: Numbers) -> NativeKernel:
    """Return the kernel that reads right along its rows and spreads each number of left.

    A large right matrix is cut into columns, so that it is streamed once; a large output into rows, for the same
    reason. Columns that aren't side by side in memory, or that would lie in the same few places of the caches, are
    copied into scratch memory first.
    """
    function = kernel_function(name)
    buffers = Buffers(function, problem, numbers)
    _, (rows, vectors) = broadcast_tile_shape(problem, numbers)
    block, overlap = vectors * numbers.lanes, problem.added is None
    right, stride, scratch = buffers.right, problem.right.rows, 0
    copies = copies_right(problem)
    if copies:
        right, stride, scratch = function.parameters[4], block, problem.k * block * numbers.bytes

    def tile(indices: list[Value], row: Value, column: Value, height: int, width: int) -> None:
        left = buffers.inside(buffers.left, problem.left, indices, row, index(0))
        from_right = right if copies else buffers.inside(right, problem.right, indices, index(0), column)
        widths = numbers.widths(width)
        sums = broadcast_tile(
            function, numbers, left, from_right, problem.k, height, widths,
            (problem.left.rows, problem.left.columns), stride,
        )  # fmt: skip
        target = buffers.target.moved(function, buffers.distance(problem.output, indices, row, column))
        put_tile(function, target, sums, widths, (problem.output.rows, problem.output.columns))

    def columns_of(indices: list[Value], column: Value, width: int) -> None:
        if copies:
            source = buffers.inside(buffers.right, problem.right, indices, index(0), column)
            copy_into(function, numbers, source, problem.right, (problem.k, width), right, block)
        over_tiles(function, problem.m, rows, lambda row, height: tile(indices, row, column, height, width), overlap)

    def rows_of(indices: list[Value], row: Value, height: int) -> None:
        over_tiles(function, problem.n, block, lambda column, width: tile(indices, row, column, height, width), overlap)

    if copies or problem.m <= problem.k or problem.output.columns != 1:
        units = over_units(function, problem.stack, problem.n, block, columns_of, overlap)
    else:
        units = over_units(function, problem.stack, problem.m, rows, rows_of, overlap)
    function.give(Value("0", "i32"))
    return NativeKernel(name, [function], units, scratch=scratch, flops=problem.flops)


def broadcast_tile_shape(problem: Problem, numbers: Numbers) -> tuple[float, tuple[int, int]]:
    """Return the cycles of a step of `broadcast_kernel`, and its tile: one vector if tiles have to be transposed."""
    vectors, overlap = len(numbers.widths(problem.n)), problem.added is None
    if problem.output.columns == 1:
        return choose_tile(problem.m, vectors, numbers.registers - 2 * copies_right(problem), overlap)
    rows = min(max(problem.m, 1), numbers.lanes)
    tiles = [count * tile_cycles(size, 1) for size, count in parts(problem.m, rows, overlap)]
    return vectors * sum(tiles), (rows, 1)


def copies_right(problem: Problem) -> bool:
    """Whether `broadcast_kernel` copies its right matrix, strip by strip."""
    crowded = problem.right.rows % 256 == 0 and problem.k > 256 and problem.m > 64
    return problem.right.columns != 1 or crowded


def packs(problem: Problem) -> bool:
    """Whether `dot_kernel` has to turn left round in scratch memory first, and can."""
    return problem.left.columns != 1 and problem.m * problem.k <= PACKED_SIZE and not problem.stack


def dot_tile_shape(problem: Problem, numbers: Numbers) -> tuple[float, tuple[int, int]]:
    """Return the cycles of a step of `dot_kernel`, and its tile."""
    load = row_load(problem.m, problem.k, numbers)
    return choose_tile(problem.m, problem.n, numbers.registers, problem.added is None, load)


def dot_kernel(name: str, problem: Problem, numbers: Numbers) -> NativeKernel:
    """Return the kernel for left with contiguous rows and right with contiguous columns: inner products.

    A small left with contiguous columns is turned round first.
    """
    function = kernel_function(name)
    buffers = Buffers(function, problem, numbers)
    scratch = 0
    if packs(problem):
        padded = -(-problem.k // numbers.lanes) * numbers.lanes
        packed = replace(problem.left, rows=padded, columns=1)
        sizes = (problem.m, problem.k)
        copy_into(function, numbers, buffers.left, problem.left, sizes, function.parameters[4], padded)
        buffers.left, problem = function.parameters[4], replace(problem, left=packed)
        scratch = problem.m * padded * numbers.bytes
    overlap = problem.added is None
    is_streamed = problem.n * problem.k * numbers.bytes > STREAMED_BYTES
    _, (rows, columns) = dot_tile_shape(problem, numbers)

    def tile(indices: list[Value], row: Value, column: Value, height: int, width: int) -> None:
        left = buffers.inside(buffers.left, problem.left, indices, row, index(0))
        right = buffers.inside(buffers.right, problem.right, indices, index(0), column)
        sums = dot_tile(function, numbers, left, right, problem.k, height, width,
                        problem.left.rows, problem.right.columns, is_streamed)  # fmt: skip
        target = buffers.target.moved(function, buffers.distance(problem.output, indices, row, column))
        put_sums(function, target, sums, (problem.output.rows, problem.output.columns))

    def columns_of(indices: list[Value], column: Value, width: int) -> None:
        over_tiles(function, problem.m, rows, lambda row, height: tile(indices, row, column, height, width), overlap)

    units = over_units(function, problem.stack, problem.n, columns, columns_of, overlap)
    function.give(Value("0", "i32"))
    return NativeKernel(name, [function], units, scratch=scratch, flops=problem.flops)


def inner_product_kernel(name: str, problem: Problem, numbers: Numbers) -> NativeKernel:
    """Return the kernel of two contiguous vectors: many sums at a time, for one would wait for itself."""
    function = kernel_function(name)
    buffers = Buffers(function, problem, numbers)
    begin, end = function.parameters[2:4]
    with function.when(function.compare("slt", begin, end)):
        step = SUMS_AT_A_TIME * numbers.lanes
        full, rest = divmod(problem.k, step)
        with function.loop(index(0), index(full * step), step, [numbers.zeros] * SUMS_AT_A_TIME) as loop:
            loop.next = _add_products(buffers, loop.index, loop.carried, [numbers.lanes] * SUMS_AT_A_TIME)
        sums = _add_products(buffers, index(full * step), loop.results, numbers.widths(rest))
        while len(sums) > 1:
            sums = [function.add(a, b) for a, b in zip(sums[::2], sums[1::2], strict=True)]
        buffers.target.put(function, sums_of_lanes(function, sums, numbers.lanes), 0, 1)
    function.give(Value("0", "i32"))
    return NativeKernel(name, [function], flops=problem.flops)


def _add_products(buffers: Buffers, first: Value, sums: Sequence[Value], widths: Sequence[int]) -> list[Value]:
    function, numbers = buffers.function, buffers.numbers
    pointers = [function.offset(pointer, first, numbers.element) for pointer in (buffers.left, buffers.right)]
    found = [*sums]
    for number, width in enumerate(widths):
        places = [at(function, pointer, number * numbers.lanes, numbers.element) for pointer in pointers]
        a, b = (numbers.load(function, place, width) for place in places)
        found[number] = function.fma(a, b, found[number])
    return found
