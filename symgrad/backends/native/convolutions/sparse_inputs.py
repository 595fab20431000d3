"""The gradient of images from filters, the cotangent of pooled outputs and the places of the maxima.

For each window and each of its places, the filters whose maximum lies there are added up, each times its cotangent, in
registers; only their sum goes to the pixels that the place meets. Pixels and weights have their channels side by side,
so that a row of taps is one run of memory; at the end the image is put into the usual order.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.backends.native.convolutions.addresses import (
    aligned,
    bytes_of,
    element_at,
    fill_with_zeros,
    part_of_scratch,
    quotient,
    registers_of,
    row_parts,
)
from symgrad.backends.native.convolutions.geometry import Geometry, Pair
from symgrad.backends.native.convolutions.transposes import transpose
from symgrad.backends.native.kernel import buffer_pointer, kernel_function
from symgrad.backends.native.llvm.text import Function, Value, byte_size, index, literal, vector_type

ENTRY = 16
"""Bytes of an entry of a list: where a filter's weights are, and its cotangent."""


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
    def _parts(self) -> list[int]:
        """Bytes of the parts of scratch memory: weights, pixels, lists, how many entries they have."""
        filters, _, height, _ = self.geometry.filters
        weights = (filters * height * self.line + self.lanes) * byte_size(self.element)
        return [
            aligned(weights), aligned(bytes_of(self.element, self._pixels)),
            aligned(self.places * filters * ENTRY), aligned(8 * self.places),
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
        plane = self.pooled[0] * self.pooled[1]
        with function.loop(begin, end, hint="image") as number:
            fill_with_zeros(function, pixels, element, self._pixels, self.lanes)
            with (
                function.loop(index(0), index(self.pooled[0]), hint="row") as row,
                function.loop(index(0), index(self.pooled[1]), hint="column") as column,
            ):
                terms = [
                    (number.index, self.geometry.filters[0] * plane), (row.index, self.pooled[1]), (column.index, 1)
                ]  # fmt: skip
                there = (
                    element_at(function, cotangent, element, *terms),
                    element_at(function, positions, "i8", *terms),
                )
                self._list(lists, counts, *there)
                with function.loop(index(0), index(self.places), hint="place") as place:
                    down, across = quotient(function, place.index, self.window[1])
                    step = channels * self.padded[1]
                    target = element_at(
                        function, pixels, element, (row.index, self.window[0] * step), (down, step),
                        (column.index, self.window[1] * channels), (across, channels),
                    )  # fmt: skip
                    self._add(target, weights, lists, counts, place.index)
            image = element_at(function, output, element, (number.index, channels * height * width))
            self._put(image, pixels)
        function.give(Value("0", "i32"))
        return function

    def _take_weights(self, weights: Value, filters: Value) -> None:
        """Put the channels of each tap side by side, taps in the order of the pixels that they meet."""
        function, element = self.function, self.element
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
        size = self.geometry.filters[0] * ENTRY
        address = element_at(self.function, lists, "i8", (place, size), (number, ENTRY))
        return address, element_at(self.function, address, "i8", start=8)

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
            function.store(function.multiply(number.index, index(self.geometry.filters[2] * self.line)), where)
            function.store(value, what)
            is_some = function.convert("zext", function.compare("une", value, literal(0, element)), "i64")
            function.store(function.add(count, is_some), counter)

    def _add(self, target: Value, weights: Value, lists: Value, counts: Value, place: Value) -> None:
        """Add up the weights of the filters of one place, some vectors at a time, and add the sums to the pixels."""
        function, element = self.function, self.element
        count = function.load(function.offset(counts, place, "i64"), "i64")
        with function.when(function.compare("ne", count, index(0))):
            height, step = self.geometry.filters[2], self.padded[1] * self.geometry.image[1]
            together, parts = row_parts(height, self.line // self.lanes, self.most)
            with function.loop(index(0), index(height), together, hint="tap") as tap:
                there = element_at(function, target, element, (tap.index, step))
                first = element_at(function, weights, element, (tap.index, self.line))
                for part in parts:
                    vectors = [(row, vector * self.lanes) for row in range(together) for vector in part]
                    self._add_part(there, first, vectors, lists, place, count)

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
            filter_ = function.offset(weights, function.load(where, "i64"), element)
            factor = function.splat(function.load(what, element), self.lanes)
            entry.next = [
                function.fma(self._vector(filter_, row * self.line + start), factor, total)
                for (row, start), total in zip(vectors, entry.carried, strict=True)
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
