"""A gradient step on a matrix together with the product that passes the gradient on: the matrix is read once."""

from __future__ import annotations

from symgrad.backends.native.kernel import NativeKernel, buffer_pointer, kernel_function
from symgrad.backends.native.llvm.text import Value, index
from symgrad.backends.native.products.direct import Buffers, choose_tile, over_units, put_sums
from symgrad.backends.native.products.layout import Matrix, Problem
from symgrad.backends.native.products.tiles import (
    Numbers,
    Target,
    broadcast_tile,
    dot_tile,
    over_tiles,
    put_tile,
    scaled,
)


def update_and_product_kernel(
    name: str, step: Problem, product: Matrix, squares: int | None, numbers: Numbers
) -> NativeKernel:
    """Return the kernel of ``c + (beta * c + alpha * a @ b)`` and ``b @ c.T``, for c and b with contiguous rows.

    Parameters
    ----------
    name : str
        Its symbol.
    step : Problem
        The step on c.
    product : Matrix
        Where ``b @ c.T`` goes.
    squares : int or None
        The buffer of the sums of squares of c's rows, if they are wanted.
    numbers : Numbers
        The numbers and vectors.
    """
    function = kernel_function(name)
    buffers = Buffers(function, step, numbers)
    goal = Target(numbers, buffer_pointer(function, product.buffer))
    of_squares = None if squares is None else Target(numbers, buffer_pointer(function, squares))
    rows, vectors = choose_tile(step.m, len(numbers.widths(step.n)), numbers.registers)
    height, width = choose_tile(step.k, step.m, numbers.registers)
    block = rows

    def inner_products(first: Value, row: Value, count: int, column: Value, size: int) -> None:
        """Rows of b from `first` on with rows of c from `row` on."""
        left = buffers.inside(buffers.right, step.right, [], first, index(0))

    def products(row: Value, count: int) -> None:
        def tile(column: Value, across: int) -> None:
            place = function.add(row, column)
            from_c = function.offset(buffers.target.added, scaled(function, place, step.output.rows), numbers.element)

            def of_b(first: Value, down: int) -> None:
                from_b = buffers.inside(buffers.right, step.right, [], first, index(0))
                sums = dot_tile(function, numbers, from_b, from_c, step.n, down, across, step.right.rows, step.output.rows)
                distance = function.add(scaled(function, first, product.rows), scaled(function, place, product.columns))
                put_sums(function, goal.moved(function, distance), sums, (product.rows, product.columns))

            over_tiles(function, step.k, height, of_b)

        over_tiles(function, count, width, tile)

    def update(row: Value, count: int) -> None:
        def tile(column: Value, across: int) -> None:
            left = buffers.inside(buffers.left, step.left, [], row, index(0))
            right = buffers.inside(buffers.right, step.right, [], index(0), column)
            widths = numbers.widths(across)
            sums = broadcast_tile(
                function, numbers, left, right, index(step.k), count, widths,
                (step.left.rows, step.left.columns), step.right.rows,
            )  # fmt: skip
            target = buffers.target.moved(function, buffers.distance(step.output, [], row, column))
            put_tile(function, target, sums, widths, (step.output.rows, step.output.columns))

        over_tiles(function, step.n, vectors * numbers.lanes, tile)

    def unit(indices: list[Value], row: Value, count: int) -> None:
        products(row, count)
        update(row, count)

    units = over_units(function, (), step.m, block, unit)
    function.give(Value("0", "i32"))
    return NativeKernel(name, [function], units, flops=2 * step.flops)
