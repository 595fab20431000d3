"""The gradient of images from filters, the cotangent of pooled outputs and the places of the maxima.

For each window and each of its places, the filters whose maximum lies there are added up, each times its cotangent, in
registers; only their sum goes to the pixels that the place meets. Pixels and weights have their channels side by side,
so that a row of taps is one run of memory; at the end the image is put into the usual order.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from symgrad.backends.native.convolutions.transposes import transpose
from symgrad.backends.native.kernel import buffer_pointer, kernel_function
from symgrad.backends.native.llvm.text import Function, Value, byte_size, index, literal, vector_type

LIST_BYTES = 1 << 16
"""Lists are made for blocks of rows of windows that take no more than this."""


class SparseInputGradient:
    """Writes the kernel; a unit is one image."""

    def __init__(
        self, name: str, geometry: Geometry, window: Pair, output: int, element: str, vector_bytes: int
    ) -> None:
        self.geometry, self.window, self.element, self.number = geometry, window, element, output
        self.lanes = vector_bytes // byte_size(element)
        self.pooled = (geometry.output[0] // window[0], geometry.output[1] // window[1])
        self.places = window[0] * window[1]
        (top, bottom), (left, right) = geometry.padding
        self.padded = (geometry.image[2] + top + bottom, geometry.image[3] + left + right)
        self.run = geometry.filters[1] * geometry.filters[3]
        self.line = -(-self.run // self.lanes) * self.lanes
        self.most = registers_of(vector_bytes) * 5 // 8
        self.kind = vector_type(element, self.lanes)
        self.entry = 2 * byte_size(element)
        per_row = self.pooled[1] * self.places * geometry.filters[0] * self.entry
        self.rows = max(1, min(self.pooled[0], LIST_BYTES // per_row))
        self.function = kernel_function(name)

    @property
    def units(self) -> int:
        """Images."""
        return self.geometry.image[0]

    @property
    def _pixels(self) -> int:
        count = self.padded[0] * self.padded[1] * self.geometry.image[1]
        return (-(-count // self.lanes) + 1) * self.lanes

    @property
    def _weights(self) -> int:
        filters, _, height, _ = self.geometry.filters
        return filters * height * self.line + self.lanes

    @property
    def _parts(self) -> list[int]:
        """Bytes of the parts of scratch memory: weights, pixels, lists, how many entries they have."""
        filters = self.geometry.filters[0]
        return [
            aligned(bytes_of(self.element, self._weights)), aligned(bytes_of(self.element, self._pixels)),
            aligned(self.rows * self.pooled[1] * self.places * filters * self.entry),
            aligned(self.rows * self.pooled[1] * self.places * 8),
        ]  # fmt: skip

    @property
    def scratch(self) -> int:
        """Bytes of scratch memory."""
        return sum(self._parts)

    def write(self) -> Function:
        """Write the whole function."""
        function, element = self.function, self.element
        filters, cotangent, positions, output = (buffer_pointer(function, number) for number in (0, 1, 2, self.number))
        _, _, begin, end, _ = function.parameters
        weights, pixels, lists, counts = (
            part_of_scratch(function, sum(self._parts[:number])) for number in range(len(self._parts))
        )
        self._take_weights(weights, filters)
        _, channels, height, width = self.geometry.image
        rows, columns = self.pooled
        with function.loop(begin, end, hint="image") as number:
            fill_with_zeros(function, pixels, element, self._pixels, self.lanes)
            with function.loop(index(0), index(rows), self.rows, hint="block") as block:
                here = minimum(function, index(self.rows), function.subtract(index(rows), block.index))
                with function.loop(index(0), function.multiply(here, index(columns)), hint="window") as window:
                    terms = (
                        (number.index, self.geometry.filters[0] * rows * columns),
                        (block.index, columns),
                        (window.index, 1),
                    )
                    value, place = (
                        element_at(function, cotangent, element, *terms),
                        element_at(function, positions, "i8", *terms),
                    )
                    self._list(self._lists(lists, window.index), self._counts(counts, window.index), value, place)
                self._add(pixels, weights, lists, counts, block.index, here)
            image = element_at(function, output, element, (number.index, channels * height * width))
            self._put(image, pixels)
        function.give(Value("0", "i32"))
        return function

    def _lists(self, lists: Value, window: Value) -> Value:
        return element_at(self.function, lists, "i8", (window, self.places * self.geometry.filters[0] * self.entry))

    def _counts(self, counts: Value, window: Value) -> Value:
        return element_at(self.function, counts, "i64", (window, self.places))

    def _take_weights(self, weights: Value, filters: Value) -> None:
        """Put the channels of each tap side by side, taps in the order of the pixels that they meet, then zeros."""
        function, element = self.function, self.element
        fill_with_zeros(function, weights, element, self._weights, self.lanes)
        count, channels, height, width = self.geometry.filters
        taps = height * width
        with (
            function.loop(index(0), index(count), hint="filter") as number,
            function.loop(index(0), index(height), hint="tap") as row,
        ):
            flip = self.geometry.flip
            step, start = (-width, (height - 1) * width) if flip else (width, 0)
            source = element_at(
                function, filters, element, (number.index, channels * taps), (row.index, step), start=start
            )
            target = element_at(function, weights, element, (number.index, height * self.line), (row.index, self.line))
            transpose(function, target, source, element, (channels, width), (taps, channels), self.lanes, flip)

    def _entry(self, lists: Value, place: Value, number: Value) -> tuple[Value, Value]:
        """Return where an entry of a window's list is: the place of the filter's weights, and the cotangent."""
        size = self.geometry.filters[0] * self.entry
        address = element_at(self.function, lists, "i8", (place, size), (number, self.entry))
        return address, element_at(self.function, address, "i8", start=self.entry // 2)

    def _list(self, lists: Value, counts: Value, cotangent: Value, positions: Value) -> None:
        """List for each place the filters whose maximum lies there; what is 0 the next entry overwrites."""
        function, element = self.function, self.element
        plane = self.pooled[0] * self.pooled[1]
        for counter_number in range(self.places):
            function.store(index(0), function.offset(counts, index(counter_number), "i64"))
        with function.loop(index(0), index(self.geometry.filters[0]), hint="filter") as number:
            value = function.load(element_at(function, cotangent, element, (number.index, plane)), element)
            position = function.load(element_at(function, positions, "i8", (number.index, plane)), "i8")
            place = function.convert("zext", position, "i64")
            counter = function.offset(counts, place, "i64")
            count = function.load(counter, "i64")
            where, what = self._entry(lists, place, count)
            start = function.multiply(number.index, index(self.geometry.filters[2] * self.line))
            function.store(function.convert("trunc", start, "i32"), where)
            function.store(value, what)
            is_some = function.convert("zext", function.compare("une", value, literal(0, element)), "i64")
            function.store(function.add(count, is_some), counter)

    def _add(self, pixels: Value, weights: Value, lists: Value, counts: Value, first: Value, rows: Value) -> None:
        """Add up what all windows of a block give to the pixels.

        Rows of taps come outermost: one row of all weights stays in the cache while windows go by.
        """
        function, element, window = self.function, self.element, self.window
        height, channels = self.geometry.filters[2], self.geometry.image[1]
        step = channels * self.padded[1]
        together, parts = row_parts(height, self.line // self.lanes, self.most)
        with (
            function.loop(index(0), index(height), together, hint="tap") as tap,
            function.loop(index(0), rows, hint="row") as row,
            function.loop(index(0), index(self.pooled[1]), hint="column") as column,
            function.loop(index(0), index(self.places), hint="place") as place,
        ):
            number = affine(function, (row.index, self.pooled[1]), (column.index, 1))
            count = function.load(function.offset(self._counts(counts, number), place.index, "i64"), "i64")
            with function.when(function.compare("ne", count, index(0))):
                down, across = quotient(function, place.index, window[1])
                target = element_at(
                    function, pixels, element, (first, window[0] * step), (row.index, window[0] * step), (down, step),
                    (tap.index, step), (column.index, window[1] * channels), (across, channels),
                )  # fmt: skip
                under = element_at(function, weights, element, (tap.index, self.line))
                for part in parts:
                    vectors = [(line, vector * self.lanes) for line in range(together) for vector in part]
                    self._add_part(target, under, vectors, self._lists(lists, number), place.index, count)

    def _add_part(
        self,
        target: Value,
        weights: Value,
        vectors: Sequence[tuple[int, int]],
        lists: Value,
        place: Value,
        count: Value,
    ) -> None:
        """Add up some vectors of the listed weights, given by row and first element, and add them to the pixels."""
        function, element = self.function, self.element
        zeros = [literal(0, self.kind)] * len(vectors)
        with function.loop(index(0), count, 1, zeros, hint="entry") as entry:
            where, what = self._entry(lists, place, entry.index)
            start = function.convert("zext", function.load(where, "i32"), "i64")
            filter_ = function.offset(weights, start, element)
            factor = function.splat(function.load(what, element), self.lanes)
            entry.next = [
                function.fma(self._vector(filter_, row * self.line + first), factor, total)
                for (row, first), total in zip(vectors, entry.carried, strict=True)
            ]
        self._add_to_pixels(target, vectors, entry.results)

    def _vector(self, pointer: Value, start: int) -> Value:
        return self.function.load(element_at(self.function, pointer, self.element, start=start), self.kind)

    def _add_to_pixels(self, target: Value, vectors: Sequence[tuple[int, int]], sums: Sequence[Value]) -> None:
        """Add sums to pixels; lanes behind a row of taps, which belong to other pixels, get nothing."""
        function = self.function
        step = self.padded[1] * self.geometry.image[1]
        for (row, start), total in zip(vectors, sums, strict=True):
            address = element_at(function, target, self.element, start=row * step + start)
            pixels = function.load(address, self.kind)
            result = function.add(pixels, total)
            inside = self.run - start
            if inside < self.lanes:
                lanes = [lane if lane < inside else self.lanes + lane for lane in range(self.lanes)]
                result = function.shuffle(result, pixels, lanes)
            function.store(result, address)

    def _put(self, image: Value, pixels: Value) -> None:
        """Write the image in the order of images, without its padding."""
        function, element = self.function, self.element
        _, channels, height, width = self.geometry.image
        (top, _), (left, _) = self.geometry.padding
        with function.loop(index(0), index(height), hint="row") as row:
            source = element_at(
                function, pixels, element, (row.index, self.padded[1] * channels),
                start=(top * self.padded[1] + left) * channels,
            )  # fmt: skip
            target = element_at(function, image, element, (row.index, width))
            transpose(function, target, source, element, (width, channels), (channels, height * width), self.lanes)
