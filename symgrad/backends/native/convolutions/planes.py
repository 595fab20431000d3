"""Pixels laid out so that those that neighbouring windows meet under one tap are neighbours in memory.

For a block of rows of windows, scratch memory holds

    planes[c, r, s, u, x] = padded[c, u * step + r, x * step + shift[s]]

with the rows split by their remainder r modulo the vertical step. The pixels of tap (a, b) for all windows of the block
are then one run of memory, so windows can be counted without regard to rows, and vectors are full. Small images share
a block: then a row of a plane holds that row of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from symgrad.backends.correlation import Correlation
from symgrad.backends.native.convolutions.addresses import (
    bytes_of,
    element_at,
    fill_with_zeros,
    pieces,
    power_below,
    quotient,
)
from symgrad.backends.native.llvm.text import Function, Value, index, vector_type


@dataclass(frozen=True)
class Planes:
    """The planes of the channels of one group, for blocks of `rows` rows of windows, or of several whole images."""

    of: Correlation
    rows: int
    element: str
    lanes: int
    images: int = 1

    @property
    def line(self) -> int:
        """Windows in a row of a block: those of all its images, one image after the other."""
        return self.images * self.of.result[1]

    @property
    def unit(self) -> int:
        """What all horizontal distances at which pixels are met are multiples of."""
        return gcd(*self.of.shifts(1)) or 1

    @property
    def shifts(self) -> range:
        """The horizontal distances that have planes."""
        return range(0, self.of.shifts(1)[-1] + 1, self.unit)

    @property
    def pixel_rows(self) -> int:
        """How many rows of the padded image a block meets."""
        return (self.rows - 1) * self.of.step[0] + self.of.shifts(0)[-1] + 1

    @property
    def plane(self) -> int:
        """Elements of one plane."""
        return -(-self.pixel_rows // self.of.step[0]) * self.line

    @property
    def remainder(self) -> int:
        """Elements of the planes of one remainder."""
        return len(self.shifts) * self.plane

    @property
    def channel(self) -> int:
        """Elements of the planes of one channel."""
        return self.of.step[0] * self.remainder

    @property
    def elements(self) -> int:
        """Elements of all planes, in whole vectors."""
        return -(-self.of.inputs * self.channel // self.lanes) * self.lanes

    @property
    def size(self) -> int:
        """Bytes of all planes."""
        return bytes_of(self.element, self.elements)

    def fill(self, function: Function, planes: Value, image: Value, first_row: Value) -> None:
        """Write code that lays out the channels that start at `image`, for the block from row `first_row` on."""
        height, width = self.of.image
        if self.of.is_padded:
            fill_with_zeros(function, planes, self.element, self.elements, self.lanes)
        top = function.subtract(
            function.multiply(first_row, index(self.of.step[0])), index(self.of.before[0])
        )  # fmt: skip
        size = self.of.inputs * height * width
        with (
            function.loop(index(0), index(self.images), hint="image") as number,
            function.loop(index(0), index(self.of.inputs), hint="channel") as channel,
            function.loop(index(0), index(self.pixel_rows), hint="row") as row,
        ):
            above, remainder = quotient(function, row.index, self.of.step[0])
            target = element_at(
                function, planes, self.element, (channel.index, self.channel), (remainder, self.remainder),
                (above, self.line), (number.index, self.of.result[1]),
            )  # fmt: skip
            place = function.add(top, row.index)
            terms = (number.index, self.of.groups * size), (channel.index, height * width)
            pixels = element_at(function, image, self.element, *terms)
            if self.of.is_padded:
                self._copy_padded_row(function, target, pixels, place)
            else:
                self._copy_row(function, target, element_at(function, pixels, self.element, (place, width)))

    def _copy_padded_row(self, function: Function, target: Value, pixels: Value, place: Value) -> None:
        """Copy a row of the padded image if it is one of the image's own; the others are zeros already."""
        height, width = self.of.image
        spread = self.of.spread[0]
        with function.when(function.compare("ult", place, index(height * spread))):
            row, rest = quotient(function, place, spread)
            with function.when(function.compare("eq", rest, index(0))):
                self._copy_row(function, target, element_at(function, pixels, self.element, (row, width)))

    def _copy_row(self, function: Function, target: Value, source: Value) -> None:
        """Copy the pixels of one row under all shifts; only those that lie in the image."""
        width, step, spread = self.of.image[1], self.of.step[1], self.of.spread[1]
        if not self.of.is_padded:
            with function.loop(index(0), index(len(self.shifts)), hint="shift") as shifts:
                start = -self.of.before[1]
                shifted = element_at(function, source, self.element, (shifts.index, self.unit), start=start)
                plane = element_at(function, target, self.element, (shifts.index, self.plane))
                self._copy_run(function, plane, shifted, 0, 0, self.of.result[1])
            return
        for number, shift in enumerate(self.shifts):
            offset = shift - self.of.before[1]
            start = number * self.plane
            if spread > 1:
                self._spread_row(function, target, source, start, offset)
                continue
            first = max(0, (step - 1 - offset) // step)
            last = min(self.of.result[1], (width - 1 - offset) // step + 1)
            if first < last:
                self._copy_run(function, target, source, start + first, first * step + offset, last - first)

    def _copy_run(self, function: Function, target: Value, source: Value, to: int, origin: int, count: int) -> None:
        """Copy `count` pixels that lie a step apart to neighbouring places."""
        step = self.of.step[1]
        if step > 2 or count > 8 * self.lanes:
            self._copy_long_run(function, target, source, to, origin, count)
            return
        for begin, lanes in pieces(count, self.lanes):
            pixels = self._every(
                function, element_at(function, source, self.element, start=origin + begin * step), lanes
            )
            function.store(pixels, element_at(function, target, self.element, start=to + begin))

    def _copy_long_run(
        self, function: Function, target: Value, source: Value, to: int, origin: int, count: int
    ) -> None:
        """Copy a run in a loop of vectors; the last one may overlap the one before."""
        step = self.of.step[1]
        lanes = power_below(count, self.lanes) if step <= 2 else 1
        with function.loop(index(0), index(count), lanes, hint="run") as run:
            begin = run.index
            if count % lanes:
                begin = function.intrinsic("smin", "i64", begin, index(count - lanes))
            pixels = self._every(
                function, element_at(function, source, self.element, (begin, step), start=origin), lanes
            )
            function.store(pixels, element_at(function, target, self.element, (begin, 1), start=to))

    def _every(self, function: Function, source: Value, lanes: int) -> Value:
        """Load pixels that lie a step of 1 or 2 apart (or a single one), and nothing behind the last."""
        kind = vector_type(self.element, lanes)
        low = function.load(source, kind)
        if self.of.step[1] == 1 or lanes == 1:
            return low
        high = function.load(element_at(function, source, self.element, start=lanes - 1), kind)
        return function.shuffle(low, high, [2 * n if 2 * n < lanes else 2 * n + 1 for n in range(lanes)])

    def _spread_row(self, function: Function, target: Value, source: Value, start: int, offset: int) -> None:
        """Copy pixels to places `spread` apart: pixel p stands at place ``p * spread - offset``."""
        spread = self.of.spread[1]
        first = max(0, -(-offset // spread))
        last = min(self.of.image[1], (self.of.result[1] - 1 + offset) // spread + 1)
        if first >= last:
            return
        with function.loop(index(first), index(last), hint="pixel") as pixel:
            value = function.load(function.offset(source, pixel.index, self.element), self.element)
            function.store(
                value, element_at(function, target, self.element, (pixel.index, spread), start=start - offset)
            )
