"""The gradient of filters from the cotangent of pooled outputs and the places of the maxima.

Only one pixel of each window has a cotangent, so the gradient of a filter is a sum of as many patches as there are
windows, each times one number. The sums of a filter's gradient stay in registers while patches go by: rows of taps of
all channels in turn, or, where channels are few, all taps at once and straight from the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from symgrad.backends.correlation import Geometry, Pair
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
    row_parts,
)
from symgrad.backends.native.convolutions.patches import PaddedImage, RowPatches, put_filter, tap_vector
from symgrad.backends.native.kernel import buffer_pointer, kernel_function
from symgrad.backends.native.llvm.text import Function, Value, byte_size, index, literal, vector_type

PATCH_BYTES = 1 << 18
"""Rows of patches are made for blocks of windows that take no more than this."""

LIST_BYTES = 1 << 14
"""Lists are made for so many filters at a time that they take no more than this."""


class SparseFilterGradient:
    """Writes the kernel; a unit is one output channel.

    Images come one after the other, in the same order for each channel, so the sums don't depend on how units are cut.
    """

    def __init__(
        self, name: str, geometry: Geometry, window: Pair, output: int, element: str, vector_bytes: int
    ) -> None:
        self.geometry, self.window, self.element, self.number = geometry, window, element, output
        self.lanes = vector_bytes // byte_size(element)
        self.pooled = (geometry.output[0] // window[0], geometry.output[1] // window[1])
        self.image = PaddedImage(geometry, element, self.lanes)
        _, channels, height, width = geometry.filters
        self.taps = tap_vector(width, self.lanes)
        self.is_direct = channels * height <= 12 and width <= self.lanes
        self.rows = self.pooled[0] if self.is_direct else self._rows_of_a_block()
        covered = self.rows * window[0] + height - 1
        self.patches = RowPatches(self.image, covered, self.pooled[1] * window[1])
        self.vectors = self.patches.patch // self.lanes
        self.width = self.taps if self.is_direct else self.lanes
        self.most = registers_of(vector_bytes) * 5 // 8
        size = self.image.height * self.image.width
        self.places = [c * size + a * self.image.width for c in range(channels) for a in range(height)]
        self.entry = 2 * byte_size(element)
        self.per_list = self.rows * self.pooled[1] * self.entry
        self.together = max(1, min(geometry.filters[0], LIST_BYTES // self.per_list))
        self.function = kernel_function(name)

    def _rows_of_a_block(self) -> int:
        rows, height = self.pooled[0], self.geometry.filters[2]
        while rows > 1:
            covered = rows * self.window[0] + height - 1
            if RowPatches(self.image, covered, self.pooled[1] * self.window[1]).size <= PATCH_BYTES:
                break
            rows = -(-rows // 2)
        return rows

    # ---- memory ----

    @property
    def units(self) -> int:
        """Output channels."""
        return self.geometry.filters[0]

    @property
    def sums(self) -> int:
        """Elements of the sums of one channel."""
        return self.width * (len(self.places) if self.is_direct else self.geometry.filters[2] * self.vectors)

    @property
    def _parts(self) -> list[int]:
        """Bytes of the parts of scratch memory: image, sums, patches, lists of entries, how many they have."""
        sums = bytes_of(self.element, -(-self.units * self.sums // self.lanes) * self.lanes)
        if self.is_direct:
            return [aligned(self.image.size), aligned(sums)]
        lists, counts = self.together * self.per_list, self.together * 8
        sizes = self.image.size, sums, self.patches.size, lists, counts
        return [aligned(size) for size in sizes]

    @property
    def scratch(self) -> int:
        """Bytes of scratch memory."""
        return sum(self._parts)

    # ---- the kernel ----

    def write(self) -> Function:
        """Write the whole function."""
        function, element = self.function, self.element
        image, cotangent, positions, output = (buffer_pointer(function, number) for number in (0, 1, 2, self.number))
        _, _, begin, end, _ = function.parameters
        parts = [part_of_scratch(function, sum(self._parts[:number])) for number in range(len(self._parts))]
        padded, sums = parts[:2]
        fill_with_zeros(function, sums, element, self._parts[1] // byte_size(element), self.lanes)
        self.image.clear(function, padded)
        if not self.is_direct:
            self.patches.clear(function, parts[2])
        count, channels, height, width = self.geometry.image
        with function.loop(index(0), index(count), hint="image") as number:
            pixels = element_at(function, image, element, (number.index, channels * height * width))
            self.image.fill(function, padded, pixels)
            with function.loop(index(0), index(self.pooled[0]), self.rows, hint="block") as block:
                if not self.is_direct:
                    self._fill_patches(parts[2], padded, block.index)
                terms = (number.index, self.units * self.pooled[0] * self.pooled[1]), (block.index, self.pooled[1])
                of_block = (
                    element_at(function, cotangent, element, *terms),
                    element_at(function, positions, "i8", *terms),
                )
                if self.is_direct:
                    with function.loop(begin, end, hint="filter") as filter_:
                        of_filter = element_at(function, sums, element, (filter_.index, self.sums))
                        self._add_directly(of_filter, padded, *self._of_filter(of_block, filter_.index))
                else:
                    self._add_block(parts, of_block, block.index)
        per_channel, per_row = (
            (self.geometry.filters[2] * self.width, self.width)
            if self.is_direct
            else (self.geometry.filters[3], self.patches.patch)
        )
        with function.loop(begin, end, hint="filter") as filter_:
            source = element_at(function, sums, element, (filter_.index, self.sums))
            target = element_at(function, output, element, (filter_.index, prod(self.geometry.filters[1:])))
            put_filter(function, target, source, self.geometry, element, self.lanes, (per_channel, per_row))
        function.give(Value("0", "i32"))
        return function

    def _of_filter(self, of_block: Sequence[Value], number: Value) -> list[Value]:
        """Return where a filter's part of cotangent and positions is."""
        step = number, self.pooled[0] * self.pooled[1]
        return [
            element_at(self.function, pointer, element, step)
            for pointer, element in zip(of_block, (self.element, "i8"), strict=True)
        ]

    def _fill_patches(self, patches: Value, padded: Value, first: Value) -> None:
        function = self.function
        row = function.multiply(first, index(self.window[0]))
        left = function.subtract(index(self.pooled[0] * self.window[0] + self.geometry.filters[2] - 1), row)
        self.patches.fill(function, patches, padded, row, minimum(function, left, index(self.patches.rows)))

    def _place(self, position: Value, row: int, patch: int) -> Value:
        """Return how far the patch of a place of the window is from that of its first place."""
        down, across = quotient(self.function, position, self.window[1])
        return affine(self.function, (down, row), (across, patch))

    # ---- all taps at once, straight from the image ----

    def _add_directly(self, sums: Value, padded: Value, cotangent: Value, positions: Value) -> None:
        """Add all patches; several windows have registers of their own, so that sums wait less for each other."""
        function, element, columns = self.function, self.element, self.pooled[1]
        kind = vector_type(element, self.width)
        fitting = [n for n in (1, 2, 3, 4) if columns % n == 0 and (n == 1 or n * len(self.places) <= self.most)]
        together = fitting[-1]
        zeros = [literal(0, kind)] * (together * len(self.places))
        with function.loop(index(0), index(self.pooled[0]), 1, zeros, hint="row") as row:
            pixels = element_at(function, padded, element, (row.index, self.window[0] * self.image.width))
            with function.loop(index(0), index(columns), together, row.carried, hint="column") as column:
                total = list(column.carried)
                for number in range(together):
                    window = affine(function, (row.index, columns), (column.index, 1), start=number)
                    place = function.load(function.offset(positions, window, "i8"), "i8")
                    shift = self._place(function.convert("zext", place, "i64"), self.image.width, 1)
                    patch = element_at(
                        function,
                        pixels,
                        element,
                        (column.index, self.window[1]),
                        (shift, 1),
                        start=number * self.window[1],
                    )
                    value = function.load(function.offset(cotangent, window, element), element)
                    part = slice(number * len(self.places), (number + 1) * len(self.places))
                    total[part] = self._products(total[part], patch, self.places, value)
                column.next = total
            row.next = column.results
        self._store_total(sums, row.results)

    def _store_total(self, sums: Value, parts: Sequence[Value]) -> None:
        """Add what the registers of several windows hold to the sums in memory."""
        function, element = self.function, self.element
        for number in range(len(self.places)):
            address = element_at(function, sums, element, start=number * self.width)
            value = function.load(address, parts[number].type)
            for other in parts[number :: len(self.places)]:
                value = function.add(value, other)
            function.store(value, address)

    def _products(self, sums: Sequence[Value], patch: Value, places: Sequence[int], value: Value) -> list[Value]:
        """Add a patch times a number."""
        function = self.function
        factor = function.splat(value, self.width)
        kind = vector_type(self.element, self.width)
        return [
            function.fma(function.load(element_at(function, patch, self.element, start=place), kind), factor, total)
            for total, place in zip(sums, places, strict=True)
        ]

    # ---- rows of taps in turn, from patches ----

    def _add_block(self, parts: Sequence[Value], of_block: Sequence[Value], first_row: Value) -> None:
        """List the patches whose cotangent isn't 0 for some filters, and add them.

        Rows of taps come outermost: the patches of one stay in the cache while filters go by.
        """
        function, element, height = self.function, self.element, self.geometry.filters[2]
        _, sums, patches, lists, counts = parts
        _, _, begin, end, _ = function.parameters
        rows = minimum(function, index(self.rows), function.subtract(index(self.pooled[0]), first_row))
        together, chunks = row_parts(height, self.vectors, self.most)
        with function.loop(begin, end, self.together, hint="filters") as some:
            last = minimum(function, end, affine(function, (some.index, 1), start=self.together))
            here = function.subtract(last, some.index)
            with function.loop(index(0), here, hint="filter") as filter_:
                number = affine(function, (some.index, 1), (filter_.index, 1))
                entries = element_at(function, lists, "i8", (filter_.index, self.per_list))
                values, places = self._of_filter(of_block, number)
                count = self._list(entries, values, places, rows)
                function.store(count, function.offset(counts, filter_.index, "i64"))
            with (
                function.loop(index(0), index(height), together, hint="tap") as tap,
                function.loop(index(0), here, hint="filter") as filter_,
            ):
                number = affine(function, (some.index, 1), (filter_.index, 1))
                entries = element_at(function, lists, "i8", (filter_.index, self.per_list))
                count = function.load(function.offset(counts, filter_.index, "i64"), "i64")
                line = self.patches.patch
                target = element_at(function, sums, element, (number, self.sums), (tap.index, line))
                under = element_at(function, patches, element, (tap.index, self.patches.row))
                for chunk in chunks:
                    vectors = [(row, vector * self.lanes) for row in range(together) for vector in chunk]
                    starts = [row * line + start for row, start in vectors]
                    offsets = [row * self.patches.row + start for row, start in vectors]
                    self._add_part(target, starts, under, offsets, entries, count)

    def _add_part(
        self, sums: Value, starts: Sequence[int], patches: Value, places: Sequence[int], entries: Value, count: Value
    ) -> None:
        """Add the patches of all entries to some vectors of the sums."""
        function, element = self.function, self.element
        kind = vector_type(element, self.width)
        addresses = [element_at(function, sums, element, start=start) for start in starts]
        before = [function.load(address, kind) for address in addresses]
        with function.loop(index(0), count, 1, before, hint="entry") as entry:
            place, value = self._entry(entries, entry.index)
            start = function.convert("zext", function.load(place, "i32"), "i64")
            patch = function.offset(patches, start, element)
            entry.next = self._products(entry.carried, patch, places, function.load(value, element))
        for address, total in zip(addresses, entry.results, strict=True):
            function.store(total, address)

    def _entry(self, entries: Value, number: Value) -> tuple[Value, Value]:
        """Return where an entry of a list is: the place of its patch, and its cotangent."""
        address = element_at(self.function, entries, "i8", (number, self.entry))
        return address, element_at(self.function, address, "i8", start=self.entry // 2)

    def _list(self, entries: Value, cotangent: Value, positions: Value, rows: Value) -> Value:
        """Write the list, and return how many entries it has; what is 0 the next entry overwrites."""
        function, element, columns = self.function, self.element, self.pooled[1]
        row_step, patch_step = self.patches.row, self.patches.patch
        with function.loop(index(0), rows, 1, [index(0)], hint="row") as row:
            with function.loop(index(0), index(columns), 1, row.carried, hint="column") as column:
                window = affine(function, (row.index, columns), (column.index, 1))
                value = function.load(function.offset(cotangent, window, element), element)
                place = function.load(function.offset(positions, window, "i8"), "i8")
                shift = self._place(function.convert("zext", place, "i64"), row_step, patch_step)
                terms = [
                    (row.index, self.window[0] * row_step),
                    (column.index, self.window[1] * patch_step),
                    (shift, 1),
                ]
                where, what = self._entry(entries, column.carried[0])
                function.store(function.convert("trunc", affine(function, *terms), "i32"), where)
                function.store(value, what)
                counts = function.compare("une", value, literal(0, element))
                column.next = [function.add(column.carried[0], function.convert("zext", counts, "i64"))]
            row.next = column.results
        return row.results[0]
