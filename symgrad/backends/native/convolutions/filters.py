"""The gradient of filters from dense cotangents, for every padding, stride, dilation and number of groups.

For a row of taps, the sums of a tile of filters and some vectors of (channel, tap) stay in registers while patches and
cotangents go by: a product of matrices whose left side is never written as one.
"""

from __future__ import annotations

from math import prod

from symgrad.backends.correlation import Geometry
from symgrad.backends.native.convolutions.addresses import (
    affine,
    aligned,
    bytes_of,
    element_at,
    fill_with_zeros,
    minimum,
    part_of_scratch,
    quotient,
    registers_of,
)
from symgrad.backends.native.convolutions.patches import PaddedImage, RowPatches, put_filter
from symgrad.backends.native.kernel import buffer_pointer, kernel_function
from symgrad.backends.native.llvm.text import Function, Value, byte_size, index, vector_type

PATCH_BYTES = 1 << 18
"""Rows of patches are made for blocks of rows of the output that take no more than this."""


class FilterGradient:
    """Writes the kernel; a unit is a tile of filters of one group.

    Images come one after the other, in the same order for each filter, so the sums don't depend on how units are cut.
    The last tile of a group may overlap the one before it: both then write the same numbers.
    """

    def __init__(self, name: str, geometry: Geometry, output: int, element: str, vector_bytes: int) -> None:
        self.geometry, self.element, self.number = geometry, element, output
        self.lanes = vector_bytes // byte_size(element)
        self.kind = vector_type(element, self.lanes)
        self.filters = geometry.filters[0] // geometry.groups
        self.image = PaddedImage(geometry, element, self.lanes)
        vectors = -(-geometry.filters[1] * geometry.filters[3] // self.lanes)
        self.tile, self.together = _tile(self.filters, vectors, registers_of(vector_bytes) * 3 // 4)
        self.line = -(-vectors // self.together) * self.together * self.lanes
        self.tiles = -(-self.filters // self.tile)
        self.rows = geometry.output[0]
        while self.rows > 1 and self._patches(self.rows).size > PATCH_BYTES:
            self.rows = -(-self.rows // 2)
        self.patches = self._patches(self.rows)
        self.function = kernel_function(name)

    def _patches(self, rows: int) -> RowPatches:
        covered = (rows - 1) * self.geometry.stride[0] + self.geometry.reach(0)
        return RowPatches(self.image, covered, self.geometry.output[1])

    @property
    def units(self) -> int:
        """Groups times tiles of filters."""
        return self.geometry.groups * self.tiles

    @property
    def per_filter(self) -> int:
        """Elements of the sums of one filter."""
        return self.geometry.filters[2] * self.line

    @property
    def _parts(self) -> list[int]:
        """Bytes of the parts of scratch memory: image, sums, patches."""
        sums = bytes_of(self.element, self.units * self.tile * self.per_filter)
        return [aligned(self.image.size), aligned(sums), aligned(self.patches.size)]

    @property
    def scratch(self) -> int:
        """Bytes of scratch memory."""
        return sum(self._parts)

    def write(self) -> Function:
        """Write the whole function."""
        function, element, geometry = self.function, self.element, self.geometry
        image, cotangent, output = (buffer_pointer(function, number) for number in (0, 1, self.number))
        _, _, begin, end, _ = function.parameters
        padded, sums, patches = (part_of_scratch(function, sum(self._parts[:number])) for number in range(3))
        fill_with_zeros(function, sums, element, self._parts[1] // byte_size(element), self.lanes)
        self.image.clear(function, padded)
        self.patches.clear(function, patches)
        count, channels, height, width = geometry.image
        rows, columns = geometry.output
        with function.loop(index(0), index(count), hint="image") as number:
            pixels = element_at(function, image, element, (number.index, channels * height * width))
            self.image.fill(function, padded, pixels)
            values = element_at(function, cotangent, element, (number.index, geometry.filters[0] * rows * columns))
            with function.loop(index(0), index(rows), self.rows, hint="block") as block:
                left = function.subtract(index(rows), block.index)
                here = minimum(function, index(self.rows), left)
                first = function.multiply(block.index, index(geometry.stride[0]))
                taken = affine(function, (here, geometry.stride[0]), start=geometry.reach(0) - geometry.stride[0])
                self.patches.fill(function, patches, padded, first, taken)
                with function.loop(begin, end, hint="tile") as tile:
                    of_tile = element_at(function, sums, element, (tile.index, self.tile * self.per_filter))
                    group, filter_ = self._filter(tile.index)
                    there = element_at(
                        function, values, element, (filter_, rows * columns), (block.index, columns)
                    )  # fmt: skip
                    of_group = element_at(
                        function, patches, element, (group, geometry.filters[1] * geometry.filters[3])
                    )  # fmt: skip
                    self._add(of_tile, of_group, there, here)
        with function.loop(begin, end, hint="tile") as tile:
            self._put(output, sums, tile.index)
        function.give(Value("0", "i32"))
        return function

    def _filter(self, tile: Value) -> tuple[Value, Value]:
        """Return the group of a tile, and its first filter."""
        function = self.function
        group, number = quotient(function, tile, self.tiles)
        first = function.multiply(number, index(self.tile))
        if self.filters % self.tile:
            first = minimum(function, first, index(self.filters - self.tile))
        return group, affine(function, (group, self.filters), (first, 1))

    def _add(self, sums: Value, patches: Value, cotangent: Value, rows: Value) -> None:
        """Add the products of all outputs of a block to the sums of a tile."""
        function, element, geometry = self.function, self.element, self.geometry
        step = self.together * self.lanes
        with (
            function.loop(index(0), index(geometry.filters[2]), hint="tap") as tap,
            function.loop(index(0), index(self.line), step, hint="vectors") as vectors,
        ):
            there = element_at(function, sums, element, (tap.index, self.line), (vectors.index, 1))
            addresses = [
                element_at(function, there, element, start=filter_ * self.per_filter + vector * self.lanes)
                for filter_ in range(self.tile)
                for vector in range(self.together)
            ]
            total = [function.load(address, self.kind) for address in addresses]
            pixels = element_at(
                function, patches, element, (tap.index, geometry.dilation[0] * self.patches.row), (vectors.index, 1)
            )
            total = self._sums(total, pixels, cotangent, rows)
            for address, value in zip(addresses, total, strict=True):
                function.store(value, address)

    def _sums(self, sums: list[Value], patches: Value, cotangent: Value, rows: Value) -> list[Value]:
        """Return the sums after all outputs of a block."""
        function, element, geometry = self.function, self.element, self.geometry
        down, columns = geometry.output
        with function.loop(index(0), rows, 1, sums, hint="row") as row:
            of_row = element_at(function, patches, element, (row.index, geometry.stride[0] * self.patches.row))
            values = element_at(function, cotangent, element, (row.index, columns))
            with function.loop(index(0), index(columns), 1, row.carried, hint="column") as column:
                patch = element_at(function, of_row, element, (column.index, self.patches.patch))
                pixels = [
                    function.load(element_at(function, patch, element, start=vector * self.lanes), self.kind)
                    for vector in range(self.together)
                ]
                value = function.offset(values, column.index, element)
                for filter_ in range(self.tile):
                    address = element_at(function, value, element, start=filter_ * down * columns)
                    factor = function.splat(function.load(address, element), self.lanes)
                    for vector in range(self.together):
                        before = column.carried[filter_ * self.together + vector]
                        column.next.append(function.fma(pixels[vector], factor, before))
            row.next = column.results
        return row.results

    def _put(self, output: Value, sums: Value, tile: Value) -> None:
        function, element = self.function, self.element
        size = prod(self.geometry.filters[1:])
        _, first = self._filter(tile)
        with function.loop(index(0), index(self.tile), hint="filter") as filter_:
            source = element_at(
                function, sums, element, (tile, self.tile * self.per_filter), (filter_.index, self.per_filter)
            )  # fmt: skip
            target = element_at(function, output, element, (first, size), (filter_.index, size))
            steps = self.geometry.filters[3], self.line
            put_filter(function, target, source, self.geometry, element, self.lanes, steps)


def _tile(filters: int, vectors: int, sums: int) -> tuple[int, int]:
    """Return how many filters and vectors a tile has: what takes the fewest cycles by a simple count."""
    best, found = float("inf"), (1, 1)
    for together in range(1, 5):
        for tile in range(1, min(12, filters) + 1):
            size = together * tile
            if size > sums:
                continue
            cycles = max(size / 2, (together + tile) / 2, 4) + (together + tile) / 10
            total = cycles * -(-filters // tile) * -(-vectors // together)
            if total < best:
                best, found = total, (tile, together)
    return found
