"""The kernel of products that are too large for the caches: blocks of both matrices are copied, and used many times."""

from __future__ import annotations

from dataclasses import replace

from symgrad.backends.matrices import Problem
from symgrad.backends.native.kernel import NativeKernel, kernel_function
from symgrad.backends.native.llvm.text import Value, index
from symgrad.backends.native.products.copies import copy_into
from symgrad.backends.native.products.tiles import Numbers, at, broadcast_tile, over_tiles, scaled
from symgrad.backends.native.products.units import Buffers, tile_cycles

STEPS = 384
"""Of the inner size in one block: a tile's rows of left stay in the first cache, a block of right in the second."""

COLUMNS = 1 << 10
"""Bytes of a row of right in one block."""

ROWS = 160
"""Rows of left in one block."""


def is_large(problem: Problem) -> bool:
    """Whether a product has so many steps, or reads left in such small parts, that blocks pay."""
    if problem.stack or problem.n < 64:
        return False
    scattered = problem.left.columns != 1 and problem.m >= 64
    return problem.m >= 4 and problem.k > (1024 if scattered else 4096)


def blocked_kernel(name: str, problem: Problem, numbers: Numbers) -> NativeKernel:
    """Return the kernel of a large product.

    A unit is a block of the output. Its sums are collected in scratch memory, and written when they are complete. The
    last blocks overlap those before, so that all have the same size, but each unit writes its own part only.
    """
    return _Writer(name, problem, numbers).kernel()


class _Writer:
    """Writes the parts of the kernel: `height` x `width` sums are one unit, `rows` x `panel` of them one tile."""

    def __init__(self, name: str, problem: Problem, numbers: Numbers) -> None:
        self.function = kernel_function(name)
        self.problem, self.numbers = problem, numbers
        self.buffers = Buffers(self.function, problem, numbers)
        self.panel = 2 * numbers.lanes
        most = min((numbers.registers - 5) // 2, problem.m)
        self.rows = min(range(most, 0, -1), key=lambda rows: _cycles(problem.m, rows))
        self.height = _even_parts(problem.m, ROWS, self.rows)
        self.width, self.copied = _columns(problem.n, COLUMNS // numbers.bytes, self.panel)
        self.padded = -(-self.rows // numbers.lanes) * numbers.lanes
        self.stride = self.width + numbers.lanes
        sizes = [STEPS * self.stride, STEPS * self.padded, self.height * self.width]
        self.scratch = sum(sizes) * numbers.bytes
        self.right, self.left, self.sums = [
            at(self.function, self.function.parameters[4], sum(sizes[:number]), numbers.element) for number in range(3)
        ]

    def kernel(self) -> NativeKernel:
        """Write the loop over units."""
        function, problem = self.function, self.problem
        down, across = -(-problem.m // self.height), -(-problem.n // self.copied)
        begin, end = function.parameters[2:4]
        with function.loop(begin, end, hint="unit") as loop:
            row = scaled(function, function.binary("udiv", loop.index, index(across)), self.height)
            column = scaled(function, function.binary("urem", loop.index, index(across)), self.copied)
            self.unit(row, column)
        function.give(Value("0", "i32"))
        units = down * across
        return NativeKernel(function.name, [function], units, scratch=self.scratch, flops=problem.flops)

    def unit(self, row: Value, column: Value) -> None:
        """Write how a block's sums are formed and written; `row` and `column` are where the unit's own part starts."""
        function, numbers, problem = self.function, self.numbers, self.problem
        first_row = function.intrinsic("smin", "i64", row, index(problem.m - self.height))
        first_column = function.intrinsic("smin", "i64", column, index(problem.n - self.copied))
        with function.loop(index(0), index(self.height * self.width), numbers.lanes, hint="clear") as loop:
            function.store(numbers.zeros, function.offset(self.sums, loop.index, numbers.element))
        over_tiles(function, problem.k, STEPS, lambda step, count: self.add(first_row, first_column, step, count))
        self.put(row, column, function.subtract(row, first_row), function.subtract(column, first_column))

    def add(self, row: Value, column: Value, step: Value, count: int) -> None:
        """Add the products of `count` steps to the sums."""
        function, numbers, problem = self.function, self.numbers, self.problem
        source = self.buffers.inside(self.buffers.right, problem.right, [], step, column)
        copy_into(function, numbers, source, problem.right, (count, self.copied), self.right, self.stride)
        with function.loop(index(0), index(self.height), self.rows, hint="tile") as loop:
            place = function.add(row, loop.index)
            source = self.buffers.inside(self.buffers.left, problem.left, [], place, step)
            turned = problem.left.transposed
            copy_into(function, numbers, source, turned, (count, self.rows), self.left, self.padded)
            with function.loop(index(0), index(self.width), self.panel, hint="panel") as panel:
                self.tile(loop.index, panel.index, count)

    def tile(self, row: Value, column: Value, count: int) -> None:
        """Add the products of a tile."""
        function, numbers = self.function, self.numbers
        from_right = function.offset(self.right, column, numbers.element)
        widths = numbers.widths(self.panel)
        found = broadcast_tile(
            function, numbers, self.left, from_right, count, self.rows, widths, (1, self.padded), self.stride
        )
        distance = function.add(scaled(function, row, self.width), column)
        start = function.offset(self.sums, distance, numbers.element)
        for number, vectors in enumerate(found):
            for position, vector in enumerate(vectors):
                place = at(function, start, number * self.width + position * numbers.lanes, numbers.element)
                function.store(function.add(function.load(place, numbers.vector), vector), place)

    def put(self, row: Value, column: Value, before: Value, left_of: Value) -> None:
        """Write the unit's own part, in front of which are `before` rows and `left_of` columns of other units."""
        function, numbers, problem = self.function, self.numbers, self.problem
        rows, columns = function.subtract(index(self.height), before), function.subtract(index(self.copied), left_of)
        target = self.buffers.target
        single = replace(numbers, lanes=1)
        factors = [None if f is None else function.extract(f, 0) for f in (target.alpha, target.beta)]
        scalar = replace(target, numbers=single, alpha=factors[0], beta=factors[1])
        step = problem.output.columns
        whole = function.binary("and", columns, index(-numbers.lanes if step == 1 else 0))
        with function.loop(index(0), rows, hint="row") as loop:
            start = function.add(scaled(function, function.add(loop.index, before), self.width), left_of)
            distance = self.buffers.distance(problem.output, [], function.add(row, loop.index), column)
            for part, first, last in ((target, index(0), whole), (scalar, whole, columns)):
                with function.loop(first, last, part.numbers.lanes, hint="put") as inner:
                    place = function.offset(self.sums, function.add(start, inner.index), numbers.element)
                    found = function.load(place, part.numbers.vector)
                    goal = part.moved(function, function.add(distance, scaled(function, inner.index, step)))
                    goal.put(function, found, 0, part.numbers.lanes)


def _cycles(m: int, rows: int) -> float:
    """Return how long a step takes, for all tiles of `rows` rows, those that overlap included."""
    height = _even_parts(m, ROWS, rows)
    return -(-m // height) * height // rows * tile_cycles(rows, 2)


def _columns(n: int, most: int, panel: int) -> tuple[int, int]:
    """Return the columns of a block of sums, whole panels, and how many of them are columns of the matrix."""
    width = -(-n // panel) * panel if n <= most else _even_parts(n, most, panel)
    return width, min(width, n)


def _even_parts(count: int, most: int, step: int) -> int:
    """Return the size of parts of `count`: about `most`, as even as possible, a multiple of `step`, all within it."""
    parts = -(-count // most)
    return min(-(-count // (parts * step)), count // step) * step
