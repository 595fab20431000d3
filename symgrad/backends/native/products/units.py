"""How work is cut into tiles and units, and where their parts of the matrices are."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod

from symgrad.backends.matrices import Matrix, Problem
from symgrad.backends.native.kernel import buffer_pointer
from symgrad.backends.native.llvm.text import Function, Value, index
from symgrad.backends.native.products.targets import Target
from symgrad.backends.native.products.tiles import Numbers, scaled

FIRST_CACHE = 1 << 15
"""Bytes that stay in the first cache."""


@lru_cache(maxsize=4096)
def choose_tile(
    m: int, n: int, registers: int, overlap: bool, row_load: float = 0.0
) -> tuple[float, tuple[int, int]]:
    """Return how many rows and columns of sums to keep in registers, so as to cover m rows and n columns soon.

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
            rows, columns = parts(m, down, overlap), parts(n, across, overlap)
            tiles = [(r, c, count * times) for r, count in rows for c, times in columns]
            cycles = sum(count * tile_cycles(r, c, row_load) for r, c, count in tiles)
            text = sum(r * c for r, c, _ in tiles)
            best = min(best, (cycles * (1 + text / 1000), cycles, (down, across)))
    return best[1:]


def parts(count: int, size: int, overlap: bool) -> list[tuple[int, int]]:
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
            pointers = [buffer_pointer(function, number) for number in (problem.alpha, problem.beta)]
            scalars = [function.splat(function.load(p, numbers.element), numbers.lanes) for p in pointers]
            self.target = Target(numbers, output, added, *scalars)

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


def row_load(m: int, k: int, numbers: Numbers) -> float:
    """Return what the load of a row of a left matrix costs: something if they don't stay in the first cache."""
    return 0.0 if m * k * numbers.bytes <= FIRST_CACHE else 0.2
