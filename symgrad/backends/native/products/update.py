"""A gradient step on a matrix together with the product that passes the gradient on: the matrix is read once.

Rows of the matrix c are taken a few at a time. First their inner products with the rows of b are formed, then, while
they are still in the first cache, they take their step.
"""

from __future__ import annotations

from dataclasses import replace

from symgrad.backends.native.kernel import NativeKernel, buffer_pointer, kernel_function
from symgrad.backends.native.llvm.text import Value, index
from symgrad.backends.native.products.direct import Buffers, over_units, put_sums, tile_cycles
from symgrad.backends.native.products.layout import Matrix, Problem
from symgrad.backends.native.products.tiles import (
    Numbers,
    Target,
    at,
    broadcast_tile,
    dot_tile,
    over_tiles,
    put_tile,
    scaled,
)

FUSED_ROWS = 32
"""With more rows of b than these, a matrix in the second cache is read often enough: two kernels do as well."""


def is_suited(step: Problem) -> bool:
    """Whether a step and a product are better done at once: c and b have contiguous rows, and b has few of them."""
    assert step.added is not None
    contiguous = step.added.columns == step.right.columns == step.left.rows == 1
    return contiguous and not step.stack and step.k <= FUSED_ROWS


def update_and_product_kernel(
    name: str, step: Problem, product: Matrix, squares: Matrix | None, numbers: Numbers
) -> NativeKernel:
    """Return the kernel of ``c + (beta * c + alpha * a @ b)`` and ``b @ c.T``.

    Parameters
    ----------
    name : str
        Its symbol.
    step : Problem
        The step on c.
    product : Matrix
        Where ``b @ c.T`` goes, of the old c.
    squares : Matrix or None
        Where the sums of squares of the old c's rows go (its `rows` is their step), if they are wanted.
    numbers : Numbers
        The numbers and vectors.
    """
    writer = _Writer(name, step, product, squares, numbers)
    units = over_units(writer.function, (), step.m, writer.rows, writer.unit)
    writer.function.give(Value("0", "i32"))
    factors = step.k * writer.stride * numbers.bytes
    return NativeKernel(
        name, [writer.function], units, scratch=factors + writer.rows * numbers.lanes * numbers.bytes, flops=2 * step.flops
    )  # fmt: skip


class _Writer:
    """Writes the parts of the kernel; `rows` of c are one unit."""

    def __init__(self, name: str, step: Problem, product: Matrix, squares: Matrix | None, numbers: Numbers) -> None:
        self.function = kernel_function(name)
        self.step, self.product, self.numbers = step, product, numbers
        self.buffers = Buffers(self.function, step, numbers)
        self.goal = Target(numbers, buffer_pointer(self.function, product.buffer))
        self.rows, self.vectors, self.tile = _shapes(step, numbers)
        self.stride = -(-self.rows // numbers.lanes) * numbers.lanes
        self.squares_step = 0 if squares is None else squares.rows
        self.squares = None if squares is None else Target(numbers, buffer_pointer(self.function, squares.buffer))
        self.factors = self.function.parameters[4]
        self.sums = self.function.offset(self.factors, index(step.k * self.stride), numbers.element)

    def unit(self, indices: list[Value], row: Value, count: int) -> None:
        """Write what is done with `count` rows of c from `row` on."""
        function, numbers, step = self.function, self.numbers, self.step
        over_tiles(function, count, self.tile[1], lambda first, down: self.products(row, first, down))
        self.scale_factors(row, count)
        if self.squares is not None:
            for number in range(count):
                function.store(numbers.zeros, at(function, self.sums, number * numbers.lanes, numbers.element))
        over_tiles(function, step.n, self.vectors * numbers.lanes,
                   lambda column, width: self.update(row, count, column, width))  # fmt: skip
        if self.squares is not None:
            self.put_squares(row, count)

    def products(self, row: Value, first: Value, down: int) -> None:
        """Write the inner products of rows of c with all rows of b."""
        function, step = self.function, self.step
        row = function.add(row, first)
        assert self.buffers.target.added is not None
        from_c = function.offset(
            self.buffers.target.added, scaled(function, row, step.output.rows), self.numbers.element)  # fmt: skip

        def with_rows_of_b(column: Value, across: int) -> None:
            from_b = self.buffers.inside(self.buffers.right, step.right, [], column, index(0))
            sums = dot_tile(
                function, self.numbers, from_b, from_c, step.n, across, down, step.right.rows, step.output.rows
            )
            distance = self.buffers.distance(self.product, [], column, row)
            put_sums(function, self.goal.moved(function, distance), sums, (self.product.rows, self.product.columns))

        over_tiles(function, step.k, self.tile[0], with_rows_of_b)

    def scale_factors(self, row: Value, count: int) -> None:
        """Copy alpha times the rows' factors into scratch memory, side by side."""
        function, numbers, step = self.function, self.numbers, self.step
        place = function.offset(self.buffers.left, row, numbers.element)
        with function.loop(index(0), index(step.k), hint="factors") as loop:
            source = function.offset(place, scaled(function, loop.index, step.left.columns), numbers.element)
            goal = function.offset(self.factors, scaled(function, loop.index, self.stride), numbers.element)
            for number, width in enumerate(numbers.widths(count)):
                vector = numbers.load(function, at(function, source, number * numbers.lanes, numbers.element), width)
                vector = function.multiply(self.buffers.target.alpha, vector)
                function.store(vector, at(function, goal, number * numbers.lanes, numbers.element))

    def update(self, row: Value, count: int, column: Value, width: int) -> None:
        """Write the step of a tile of c."""
        function, numbers, step = self.function, self.numbers, self.step
        right = self.buffers.inside(self.buffers.right, step.right, [], index(0), column)
        widths = numbers.widths(width)
        sums = broadcast_tile(
            function, numbers, self.factors, right, index(step.k), count, widths, (1, self.stride), step.right.rows
        )
        distance = self.buffers.distance(step.output, [], row, column)
        target = replace(self.buffers.target.moved(function, distance), alpha=None)
        if self.squares is not None:
            self.add_squares(target, widths, count)
        put_tile(function, target, sums, widths, (step.output.rows, step.output.columns))

    def add_squares(self, target: Target, widths: list[int], count: int) -> None:
        """Add the squares of a tile of the old c to its rows' sums."""
        function, numbers = self.function, self.numbers
        assert target.added is not None
        for number in range(count):
            place = at(function, self.sums, number * numbers.lanes, numbers.element)
            total = numbers.load(function, place, numbers.lanes)
            for position, width in enumerate(widths):
                distance = number * self.step.output.rows + position * numbers.lanes
                old = numbers.load(function, at(function, target.added, distance, numbers.element), width)
                total = function.fma(old, old, total)
            function.store(total, place)

    def put_squares(self, row: Value, count: int) -> None:
        """Sum up and write the squares of rows."""
        function, numbers = self.function, self.numbers
        assert self.squares is not None
        target = self.squares.moved(function, scaled(function, row, self.squares_step))
        places = [at(function, self.sums, number * numbers.lanes, numbers.element) for number in range(count)]
        vectors = [[numbers.load(function, place, numbers.lanes) for place in places]]
        put_sums(function, target, vectors, (0, self.squares_step))


def _shapes(step: Problem, numbers: Numbers) -> tuple[int, int, tuple[int, int]]:
    """Return the rows of c that are one unit, the vectors of an update's tile, and the tile (of b, of c) of products.

    Units that leave no rows over, and tiles that leave none of a unit, need the least text.
    """
    registers = numbers.registers
    found = []
    for rows in range(1, min(step.m, registers // 2) + 1):
        vectors = min((registers - 1) // (rows + 1), len(numbers.widths(step.n)))
        cost = tile_cycles(rows, vectors) / (rows * vectors)
        for across in [size for size in range(1, rows + 1) if rows % size == 0]:
            down = min((registers - 1 - across) // across, step.k)
            if down > 0:
                tiles = -(-step.k // down)
                down = -(-step.k // tiles)
                cost_of_products = tile_cycles(down, across, 0.35) * tiles / (step.k * across)
                leftover = 1.2 if step.m % rows else 1.0
                found.append(((cost + cost_of_products) * leftover, rows, vectors, (down, across)))
    _, rows, vectors, tile = min(found)
    return rows, vectors, tile
