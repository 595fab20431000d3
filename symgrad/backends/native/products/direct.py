"""Products that read both matrices where they are: for skinny batches, and whatever isn't worth packing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from math import prod

from symgrad.backends.native.kernel import NativeKernel, buffer_pointer, kernel_function
from symgrad.backends.native.llvm.text import Function, Value, index
from symgrad.backends.native.products.layout import Matrix, Problem
from symgrad.backends.native.products.tiles import (
    Numbers,
    Rows,
    Target,
    at,
    broadcast_tile,
    copy_into,
    dot_tile,
    over_tiles,
    put_rows,
    put_tile,
    scaled,
    sums_of_lanes,
    transpose_into,
)

SUMS_AT_A_TIME = 8
"""Sums of an inner product: two are added to in a cycle, and each can be added to again after four."""

FIRST_CACHE = 1 << 15
"""Bytes that stay in the first cache."""

PACKED_SIZE = 1 << 15
"""Elements of a matrix that each thread may copy into scratch memory as a whole."""


@lru_cache(maxsize=4096)
def choose_tile(
    m: int, n: int, registers: int, overlap: bool, row_load: float = 0.0
) -> tuple[float, tuple[int, int]]:
    """Return how many rows and columns of sums to keep in registers, to cover m rows and n columns in the fewest cycles.

    A step of the inner loop does two products of vectors in a cycle, and can add to the same sum every four cycles.
    Loads go on beside them, but not for nothing, least of all those of columns, which come from farther away.

    Parameters
    ----------
    m, n, registers : int
        Rows, columns (of sums, each a vector), and vectors that fit into the registers.
    overlap : bool
        Whether the last tile may overlap the one before.
    row_load : float
        What the load of a row costs, beside that of other loads.

    Returns
    -------
    cycles, (rows, columns) : float, (int, int)
        The cycles of one step of the inner loop for all tiles, and the tile.
    """
    best: tuple[float, float, tuple[int, int]] = (float("inf"), 0.0, (1, 1))
    for across in range(1, min(max(n, 1), 8) + 1):
        for down in range(1, min(max(m, 1), (registers - 1 - across) // across) + 1):
            rows, columns = _parts(m, down, overlap), _parts(n, across, overlap)
            tiles = [(r, c, count * times) for r, count in rows for c, times in columns]
            cycles = sum(count * tile_cycles(r, c, row_load) for r, c, count in tiles)
            text = sum(r * c for r, c, _ in tiles)
            best = min(best, (cycles * (1 + text / 1000), cycles, (down, across)))
    return best[1:]


def _parts(count: int, size: int, overlap: bool) -> list[tuple[int, int]]:
    """Return the sizes that tiles of `size` leave of `count`, and how often each comes."""
    full, rest = divmod(count, size)
    if overlap or not rest:
        return [(size, full + (rest > 0))]
    return [(size, full), (rest, 1)]


def tile_cycles(rows: int, columns: int, row_load: float = 0.0) -> float:
    """Return the cycles of one step of a tile, in which the load of a row may have to come from the second cache."""
    if not rows or not columns:
        return 0
    return max(rows * columns / 2, 0.6 * (rows + columns), 4) + 0.35 * columns + row_load * rows


def over_units(
    function: Function, stack: tuple[int, ...], count: int, size: int, emit: Callable[..., None], overlap: bool = False
) -> int:
    """Write the loop over units, each a tile of `size` out of `count` in one matrix of the stack; returns their number.

    `emit` gets the indices of the stack, the first row (or column) and how many there are. With `overlap` the last unit
    starts earlier, so that it is a whole one.
    """
    full, rest = divmod(count, size)
    each = full + (rest > 0)
    begin, end = function.parameters[2:4]
    with function.loop(begin, end, hint="unit") as loop:
        place, unit = loop.index, loop.index
        if stack:
            place, unit = (function.binary(name, place, index(each)) for name in ("udiv", "urem"))
        indices: list[Value] = []
        for size_of_axis in reversed(stack):
            indices.insert(0, function.binary("urem", place, index(size_of_axis)))
            place = function.binary("udiv", place, index(size_of_axis))
        if not full:
            emit(indices, index(0), rest)
        elif not rest:
            emit(indices, scaled(function, unit, size), size)
        elif overlap:
            first = function.intrinsic("smin", "i64", scaled(function, unit, size), index(count - size))
            emit(indices, first, size)
        else:
            with function.when(function.compare("slt", unit, index(full))):
                emit(indices, scaled(function, unit, size), size)
            with function.when(function.compare("sge", unit, index(full))):
                emit(indices, index(full * size), rest)
    return each * prod(stack)


class Buffers:
    """The addresses that a kernel works on, loaded at its start."""

    def __init__(self, function: Function, problem: Problem, numbers: Numbers) -> None:
        self.function, self.problem, self.numbers = function, problem, numbers
        self.left = buffer_pointer(function, problem.left.buffer)
        self.right = buffer_pointer(function, problem.right.buffer)
        output = buffer_pointer(function, problem.output.buffer)
        self.target = Target(numbers, output)
        if problem.added is not None:
            added = buffer_pointer(function, problem.added.buffer)
            scalars = [function.load(buffer_pointer(function, b), numbers.element) for b in (problem.alpha, problem.beta)]
            self.target = Target(numbers, output, added, *[function.splat(s, numbers.lanes) for s in scalars])

    def inside(self, pointer: Value, matrix: Matrix, indices: list[Value], row: Value, column: Value) -> Value:
        """Return the address of an element."""
        return self.function.offset(pointer, self.distance(matrix, indices, row, column), self.numbers.element)

    def distance(self, matrix: Matrix, indices: list[Value], row: Value, column: Value) -> Value:
        """Return how far behind the first element an element is."""
        function = self.function
        terms = [scaled(function, row, matrix.rows), scaled(function, column, matrix.columns)]
        terms += [scaled(function, i, s) for i, s in zip(indices, matrix.stack, strict=True) if s]
        total = index(sum(int(term.text) for term in terms if not term.text.startswith("%")))
        for term in terms:
            if term.text.startswith("%"):
                total = term if total.text == "0" else function.add(total, term)
        return total


def broadcast_kernel(name: str, problem: Problem, numbers: Numbers) -> NativeKernel:
    """Return the kernel that reads right along its rows and spreads each number of left.

    A large right matrix is cut into columns, so that it is streamed once; a large output into rows, for the same
    reason. Columns that aren't side by side in memory, or that lie in the same few places of the caches, are copied into
    scratch memory first.
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
            function, numbers, left, from_right, index(problem.k), height, widths,
            (problem.left.rows, problem.left.columns), stride,
        )  # fmt: skip
        target = buffers.target.moved(function, buffers.distance(problem.output, indices, row, column))
        put_tile(function, target, sums, widths, (problem.output.rows, problem.output.columns))

    def columns_of(indices: list[Value], column: Value, width: int) -> None:
        if copies:
            source = buffers.inside(buffers.right, problem.right, indices, index(0), column)
            copy = copy_into if problem.right.columns == 1 else transpose_into
            sizes = (problem.k, width) if problem.right.columns == 1 else (width, problem.k)
            step = problem.right.rows if problem.right.columns == 1 else problem.right.columns
            copy(function, numbers, source, *sizes, step, right, block)
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
    tiles = [count * tile_cycles(size, 1) for size, count in _parts(problem.m, rows, overlap)]
    return vectors * sum(tiles), (rows, 1)


def copies_right(problem: Problem) -> bool:
    """Whether `broadcast_kernel` copies its right matrix, column by column."""
    crowded = problem.right.rows * 4 % 1024 == 0 and problem.k > 256 and problem.m > 64
    return problem.right.columns != 1 or crowded


def packs(problem: Problem) -> bool:
    """Whether `dot_kernel` has to turn left round in scratch memory first, and can."""
    small = problem.m * problem.k <= PACKED_SIZE and not problem.stack
    return problem.left.columns != 1 and problem.left.rows == 1 and small


def dot_tile_shape(problem: Problem, numbers: Numbers) -> tuple[float, tuple[int, int]]:
    """Return the cycles of a step of `dot_kernel`, and its tile."""
    return choose_tile(problem.m, problem.n, numbers.registers, problem.added is None, row_load(problem.m, problem.k, numbers))


def row_load(m: int, k: int, numbers: Numbers) -> float:
    """Return what the load of a row of a left matrix costs: something if they don't stay in the first cache."""
    return 0.0 if m * k * numbers.bytes <= FIRST_CACHE else 0.2


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
        transpose_into(function, numbers, buffers.left, problem.k, problem.m, problem.left.columns,
                       function.parameters[4], padded)  # fmt: skip
        buffers.left, problem = function.parameters[4], replace(problem, left=packed)
        scratch = problem.m * padded * numbers.bytes
    overlap = problem.added is None
    _, (rows, columns) = dot_tile_shape(problem, numbers)

    def tile(indices: list[Value], row: Value, column: Value, height: int, width: int) -> None:
        left = buffers.inside(buffers.left, problem.left, indices, row, index(0))
        right = buffers.inside(buffers.right, problem.right, indices, index(0), column)
        sums = dot_tile(function, numbers, left, right, problem.k, height, width,
                        problem.left.rows, problem.right.columns)  # fmt: skip
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


def put_sums(function: Function, target: Target, sums: Rows, strides: tuple[int, int]) -> None:
    """Sum the lanes of a tile's vectors and write the sums."""
    lanes = target.numbers.lanes
    if strides[1] != 1:
        sums, strides = [list(column) for column in zip(*sums, strict=True)], strides[::-1]
    flat = [vector for row in sums for vector in row]
    totals = [(sums_of_lanes(function, flat[first : first + lanes], lanes), min(lanes, len(flat) - first))
              for first in range(0, len(flat), lanes)]  # fmt: skip
    if strides[0] == len(sums[0]):
        put_rows(function, target, [totals], 0)
        return
    for number, row in enumerate(sums):
        put_rows(function, target.moved(function, index(number * strides[0])),
                 [_cut(function, totals, number * len(row), len(row), lanes)], 0)  # fmt: skip


def _cut(
    function: Function, vectors: Sequence[tuple[Value, int]], start: int, count: int, lanes: int
) -> list[tuple[Value, int]]:
    """Return `count` lanes from lane `start` of vectors side by side."""
    pieces = []
    while count:
        number, lane = divmod(start, lanes)
        width = min(lanes - lane, count)
        vector = vectors[number][0]
        if lane:
            picks = [*range(lane, lane + width), *[lane] * (lanes - width)]
            vector = function.shuffle(vector, vector, picks)
        pieces.append((vector, width))
        start, count = start + width, count - width
    return pieces
