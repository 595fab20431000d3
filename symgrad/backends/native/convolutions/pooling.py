"""Pooling alone, and its gradients: loops over windows, cut at the border, for every mode, stride and pad."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from symgrad.backends.correlation import Pair
from symgrad.backends.native.convolutions.addresses import affine, element_at, minimum
from symgrad.backends.native.kernel import buffer_pointer, kernel_function
from symgrad.backends.native.llvm.text import Function, Value, index, literal, vector_type


@dataclass(frozen=True)
class Windows:
    """The windows of images (count, height, width): ``size`` of them along each axis."""

    count: int
    image: Pair
    size: Pair
    window: Pair
    stride: Pair
    pad: Pair

    @classmethod
    def of(cls, count: int, image: Pair, size: Pair, attributes: Mapping[str, Any]) -> Windows:
        """Take the attributes of a kernel of the grammar."""
        return cls(count, image, size, attributes["window"], attributes["stride"], attributes["pad"])

    def is_inside(self, axis: int) -> bool:
        """Whether no window of an axis hangs over the image."""
        last = (self.size[axis] - 1) * self.stride[axis] + self.window[axis]
        return self.pad[axis] == 0 and last <= self.image[axis]


@dataclass(frozen=True)
class Span:
    """The pixels of one window along one axis: from begin to end, which the image cuts off; start isn't cut off."""

    start: Value
    begin: Value
    end: Value


@dataclass
class Pixels:
    """The loops over the pixels of one window: where the pixel is in its image, and the values that they carry."""

    place: Value
    carried: Sequence[Value]
    next: Sequence[Value] = ()
    results: Sequence[Value] = ()


class Pooling:
    """Writes one kernel; a unit is one image."""

    def __init__(self, name: str, windows: Windows, element: str, vector_bytes: int) -> None:
        self.of, self.element = windows, element
        self.zero = literal(0, element)
        self.lanes = vector_bytes // {"float": 4, "double": 8}[element]
        self.function = kernel_function(name)

    @property
    def units(self) -> int:
        """Images: all axes but the last two."""
        return self.of.count

    # ---- kernels ----

    def pool(self, mode: str) -> Function:
        """Write the maximum, sum or average of each window."""
        function = self.function
        images, output = (buffer_pointer(function, number) for number in range(2))
        with self._windows() as (unit, window, rows, columns):
            image = self._image(images, unit)
            start = literal(float("-inf"), self.element) if mode == "max" else self.zero
            with self._pixels(rows, columns, start) as pixels:
                value = function.load(function.offset(image, pixels.place, self.element), self.element)
                total = pixels.carried[0]
                pixels.next = [self._larger(value, total) if mode == "max" else function.add(total, value)]
            result = self._averaged(pixels.results[0], mode, rows, columns)
            function.store(result, function.offset(output, window, self.element))
        return self._end()

    def max_gradient(self) -> Function:
        """Write the gradient of the maximum: each window's cotangent at its first maximum."""
        function = self.function
        images, output, cotangent, gradient = (buffer_pointer(function, number) for number in range(4))
        self._clear(gradient)
        with self._windows() as (unit, window, rows, columns):
            place = self._winner(self._image(images, unit), output, window, rows, columns)
            with function.when(function.compare("sge", place, index(0))):
                value = function.load(function.offset(cotangent, window, self.element), self.element)
                self._add_to(function.offset(self._image(gradient, unit), place, self.element), value)
        return self._end()

    def max_pushforward(self) -> Function:
        """Write each window's tangent at its first maximum."""
        function = self.function
        images, output, tangent, result = (buffer_pointer(function, number) for number in range(4))
        with self._windows() as (unit, window, rows, columns):
            place = self._winner(self._image(images, unit), output, window, rows, columns)
            target = function.offset(result, window, self.element)
            function.store(self.zero, target)
            with function.when(function.compare("sge", place, index(0))):
                address = function.offset(self._image(tangent, unit), place, self.element)
                function.store(function.load(address, self.element), target)
        return self._end()

    def sum_gradient(self, mode: str, output: int) -> Function:
        """Write the gradient of sums or averages: each window's cotangent, or its part, at each of its pixels."""
        function = self.function
        cotangent, gradient = buffer_pointer(function, 0), buffer_pointer(function, output)
        self._clear(gradient)
        with self._windows() as (unit, window, rows, columns):
            value = function.load(function.offset(cotangent, window, self.element), self.element)
            value = self._averaged(value, mode, rows, columns)
            image = self._image(gradient, unit)
            with self._pixels(rows, columns) as pixels:
                self._add_to(function.offset(image, pixels.place, self.element), value)
        return self._end()

    def at_places(self, output: int) -> Function:
        """Write images of zeros with each window's value at its place."""
        function = self.function
        values, places, images = (buffer_pointer(function, number) for number in (0, 1, output))
        self._clear(images)
        with self._windows() as (unit, window, rows, columns):
            value = function.load(function.offset(values, window, self.element), self.element)
            place = function.convert("zext", function.load(function.offset(places, window, "i8"), "i8"), "i64")
            down = function.binary("udiv", place, index(self.of.window[1]))
            across = function.binary("urem", place, index(self.of.window[1]))
            width = self.of.image[1]
            pixel = affine(function, (rows.start, width), (columns.start, 1), (down, width), (across, 1))
            function.store(value, function.offset(self._image(images, unit), pixel, self.element))
        return self._end()

    # ---- parts ----

    def _end(self) -> Function:
        self.function.give(Value("0", "i32"))
        return self.function

    def _image(self, images: Value, unit: Value) -> Value:
        return element_at(self.function, images, self.element, (unit, self.of.image[0] * self.of.image[1]))

    def _clear(self, images: Value) -> None:
        """Write zeros over the images of these units."""
        function = self.function
        _, _, begin, end, _ = function.parameters
        size = self.of.image[0] * self.of.image[1]
        first, last = (function.multiply(unit, index(size)) for unit in (begin, end))
        whole = function.subtract(last, index(self.lanes - 1))
        zeros = literal(0, vector_type(self.element, self.lanes))
        with function.loop(first, whole, self.lanes, [first], hint="zeros") as loop:
            function.store(zeros, function.offset(images, loop.index, self.element))
            loop.next = [function.add(loop.index, index(self.lanes))]
        with function.loop(loop.results[0], last, hint="zero") as loop:
            function.store(self.zero, function.offset(images, loop.index, self.element))

    @contextmanager
    def _windows(self) -> Iterator[tuple[Value, Value, Span, Span]]:
        """Write a loop over all windows of all units; give unit, number of the window, and its rows and columns."""
        function = self.function
        _, _, begin, end, _ = function.parameters
        down, across = self.of.size
        with (
            function.loop(begin, end, hint="unit") as unit,
            function.loop(index(0), index(down), hint="down") as y,
        ):
            rows = self._span(y.index, 0)
            with function.loop(index(0), index(across), hint="across") as x:
                window = affine(function, (unit.index, down * across), (y.index, across), (x.index, 1))
                yield unit.index, window, rows, self._span(x.index, 1)

    def _span(self, number: Value, axis: int) -> Span:
        """Return the pixels of a window along an axis."""
        function, of = self.function, self.of
        start = affine(function, (number, of.stride[axis]), start=-of.pad[axis])
        end = function.add(start, index(of.window[axis]))
        if of.is_inside(axis):
            return Span(start, start, end)
        begin = function.intrinsic("smax", "i64", start, index(0))
        return Span(start, begin, minimum(function, end, index(of.image[axis])))

    @contextmanager
    def _pixels(self, rows: Span, columns: Span, *carried: Value) -> Iterator[Pixels]:
        """Write loops over the pixels of a window."""
        function = self.function
        with function.loop(rows.begin, rows.end, 1, carried, hint="row") as row:
            with function.loop(columns.begin, columns.end, 1, row.carried, hint="pixel") as column:
                pixels = Pixels(affine(function, (row.index, self.of.image[1]), (column.index, 1)), column.carried)
                yield pixels
                column.next = list(pixels.next)
            row.next = column.results
        pixels.results = row.results

    def _winner(self, image: Value, output: Value, window: Value, rows: Span, columns: Span) -> Value:
        """Return the first pixel of a window that is its maximum, or nan; -1 if there is none."""
        function = self.function
        maximum = function.load(function.offset(output, window, self.element), self.element)
        with self._pixels(rows, columns, index(-1)) as pixels:
            (found,) = pixels.carried
            value = function.load(function.offset(image, pixels.place, self.element), self.element)
            is_nan = function.compare("uno", value, value)
            wins = function.binary("or", is_nan, function.compare("oeq", value, maximum))
            is_first = function.compare("slt", found, index(0))
            pixels.next = [function.select(function.binary("and", wins, is_first), pixels.place, found)]
        return pixels.results[0]

    def _larger(self, value: Value, maximum: Value) -> Value:
        """Return the larger of two numbers; nan, if the one or the other is."""
        function = self.function
        is_larger = function.compare("ugt", value, maximum)
        is_number = function.compare("ord", maximum, maximum)
        return function.select(function.binary("and", is_larger, is_number), value, maximum)

    def _averaged(self, value: Value, mode: str, rows: Span, columns: Span) -> Value:
        """Divide by the number of pixels: those of the image, or with ``average_inc_pad`` those of the pad too."""
        function, of = self.function, self.of
        if not mode.startswith("average"):
            return value
        counts = []
        for axis, span in enumerate((rows, columns)):
            first, last = span.begin, span.end
            if mode == "average_inc_pad":
                first = span.start
                whole = function.add(first, index(of.window[axis]))
                last = minimum(function, whole, index(of.image[axis] + of.pad[axis]))
            counts.append(function.subtract(last, first))
        count = function.convert("sitofp", function.multiply(*counts), self.element)
        return function.divide(value, count)

    def _add_to(self, address: Value, value: Value) -> None:
        function = self.function
        function.store(function.add(function.load(address, self.element), value), address)
