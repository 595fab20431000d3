"""A gradient step on a matrix together with the product that passes the gradient on: the matrix is read once.

Rows of the matrix c are taken a few at a time. First their inner products with the rows of b are formed, then, while
they are still in the first cache, they take their step.
"""

from __future__ import annotations

from dataclasses import replace

from symgrad.backends.matrices import Matrix, Problem
from symgrad.backends.native.kernel import NativeKernel, buffer_pointer, kernel_function
from symgrad.backends.native.llvm.text import Value, index
from symgrad.backends.native.products.targets import Target, put_sums
from symgrad.backends.native.products.tiles import Numbers, at, broadcast_tile, dot_tile, over_tiles, scaled
from symgrad.backends.native.products.units import Buffers, choose_tile, over_units, row_load, tile_cycles

LONGEST_STEP = 512
"""With more columns of a than these, copying its factors doesn't pay."""

NARROWEST = 64
"""A narrower c is better updated as its transpose."""


def is_suited(step: Problem) -> bool:
    """Whether the kernels here can do a step, and well: c, b and a.T have contiguous rows, and c is larger than b."""
    if step.added is None or step.stack or not 0 < step.k <= min(step.m, LONGEST_STEP) or step.n < NARROWEST:
        return False
    return step.added.columns == step.right.columns == step.left.rows == 1


def update_kernel(
    name: str, step: Problem, numbers: Numbers, product: Matrix | None = None, squares: Matrix | None = None
) -> NativeKernel:
    """Return the kernel of ``c + (beta * c + alpha * a @ b)``, and of what else is wanted of c.

    Parameters
    ----------
    name : str
        Its symbol.
    step : Problem
        The step on c.
    numbers : Numbers
        The numbers and vectors.
    product : Matrix, optional
        Where ``b @ c.T`` goes, of the old c.
    squares : Matrix, optional
        Where the sums of squares of the old c's rows go; its `rows` is their step.
    """
    writer = _Writer(name, step, numbers, product, squares)
    units = over_units(writer.function, (), step.m, writer.rows, writer.unit)
    writer.function.give(Value("0", "i32"))
    scratch = (step.k * writer.stride + writer.rows * numbers.lanes) * numbers.bytes
    flops = step.flops * (1 if product is None else 2)
    return NativeKernel(name, [writer.function], units, scratch=scratch, flops=flops)


class _Writer:
    """Writes the parts of the kernel; `rows` of c are one unit."""

    def __init__(
        self, name: str, step: Problem, numbers: Numbers, product: Matrix | None, squares: Matrix | None
    ) -> None:
        self.function = kernel_function(name)
        self.step, self.product, self.numbers = step, product, numbers
        self.buffers = Buffers(self.function, step, numbers)
        self.rows, self.vectors, self.tile = _shapes(step, numbers, product is not None)
        self.stride = -(-self.rows // numbers.lanes) * numbers.lanes
        self.squares_step = 0 if squares is None else squares.rows
        self.squares = None if squares is None else Target(numbers, buffer_pointer(self.function, squares.buffer))
        self.factors = self.function.parameters[4]
        self.totals = self.function.offset(self.factors, index(step.k * self.stride), numbers.element)

    def unit(self, indices: list[Value], row: Value, count: int) -> None:
        """Write what is done with `count` rows of c from `row` on."""
        function, numbers, step = self.function, self.numbers, self.step
        if self.product is not None:
            goal = Target(numbers, buffer_pointer(function, self.product.buffer))
            over_tiles(function, count, self.tile[1], lambda first, down: self.products(goal, row, first, down))
        self.scale_factors(row, count)
        places = [at(function, self.totals, number * numbers.lanes, numbers.element) for number in range(count)]
        if self.squares is not None:
            for place in places:
                function.store(numbers.zeros, place)
        over_tiles(function, step.n, self.vectors * numbers.lanes,
                   lambda column, width: self.update(row, count, column, width))  # fmt: skip
        if self.squares is not None:
            target = self.squares.moved(function, scaled(function, row, self.squares_step))
            totals = [numbers.load(function, place, numbers.lanes) for place in places]
            put_sums(function, target, [totals], (0, self.squares_step))

    def products(self, goal: Target, row: Value, first: Value, down: int) -> None:
        """Write the inner products of rows of c with all rows of b."""
        function, step, product = self.function, self.step, self.product
        row = function.add(row, first)
        assert self.buffers.target.added is not None and product is not None
        from_c = function.offset(
            self.buffers.target.added, scaled(function, row, step.output.rows), self.numbers.element)  # fmt: skip

        def with_rows_of_b(column: Value, across: int) -> None:
            from_b = self.buffers.inside(self.buffers.right, step.right, [], column, index(0))
            sums = dot_tile(
                function, self.numbers, from_b, from_c, step.n, across, down, step.right.rows, step.output.rows
            )
            distance = self.buffers.distance(product, [], column, row)
            put_sums(function, goal.moved(function, distance), sums, (product.rows, product.columns))

        over_tiles(function, step.k, self.tile[0], with_rows_of_b, overlap=True)

    def scale_factors(self, row: Value, count: int) -> None:
        """Copy alpha times the rows' factors into scratch memory, side by side."""
        function, numbers, step = self.function, self.numbers, self.step
        place, alpha = function.offset(self.buffers.left, row, numbers.element), self.buffers.target.alpha
        assert alpha is not None
        with function.loop(index(0), index(step.k), hint="factors") as loop:
            source = function.offset(place, scaled(function, loop.index, step.left.columns), numbers.element)
            goal = function.offset(self.factors, scaled(function, loop.index, self.stride), numbers.element)
            for number, width in enumerate(numbers.widths(count)):
                vector = numbers.load(function, at(function, source, number * numbers.lanes, numbers.element), width)
                vector = function.multiply(alpha, vector)
                function.store(vector, at(function, goal, number * numbers.lanes, numbers.element))

    def update(self, row: Value, count: int, column: Value, width: int) -> None:
        """Write the step of a tile of c."""
        function, numbers, step = self.function, self.numbers, self.step
        right = self.buffers.inside(self.buffers.right, step.right, [], index(0), column)
        widths = numbers.widths(width)
        sums = broadcast_tile(
            function, numbers, self.factors, right, step.k, count, widths, (1, self.stride), step.right.rows
        )
        distance = self.buffers.distance(step.output, [], row, column)
        target = replace(self.buffers.target.moved(function, distance), alpha=None)
        for number, vectors in enumerate(sums):
            start = number * step.output.rows
            olds = [
                target.put(function, vector, start + position * numbers.lanes, size)
                for position, (vector, size) in enumerate(zip(vectors, widths, strict=True))
            ]
            if self.squares is not None:
                place = at(function, self.totals, number * numbers.lanes, numbers.element)
                total = numbers.load(function, place, numbers.lanes)
                for old in olds:
                    total = function.fma(old, old, total)
                function.store(total, place)


def _shapes(step: Problem, numbers: Numbers, with_product: bool) -> tuple[int, int, tuple[int, int]]:
    """Return the rows of c that are one unit, the vectors of an update's tile, and the tile (of b, of c) of products.

    Units that leave no rows over, and tiles that leave none of a unit, need the least text.
    """
    registers = numbers.registers
    found = []
    for rows in range(1, min(step.m, registers // 2) + 1):
        vectors = min((registers - 1) // (rows + 1), len(numbers.widths(step.n)))
        cost, tile = tile_cycles(rows, vectors) / (rows * vectors), (1, 1)
        if with_product:
            load = row_load(step.k, step.n, numbers)
            divisors = [across for across in range(1, rows + 1) if rows % across == 0]
            tiles = [(across, choose_tile(step.k, across, registers, True, load)) for across in divisors]
            across, (cycles, tile) = min(tiles, key=lambda found: found[1][0] / found[0])
            cost += cycles / (step.k * across)
        found.append((cost * (1.1 if step.m % rows else 1.0), rows, vectors, tile))
    _, rows, vectors, tile = min(found)
    return rows, vectors, tile
