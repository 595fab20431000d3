"""Convolution with bias, pooling and activation in one kernel: windows lie along the lanes, channels in registers.

A tile holds, for some vectors of windows, every place of the window and some output channels, one register of sums.
A pixel vector is loaded once for all channels of the tile, a weight once for all windows. When the sums are complete,
the maximum over the window's places, bias and activation need no memory: they are between registers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from symgrad.backends.correlation import Correlation
from symgrad.backends.native.convolutions.addresses import (
    affine,
    aligned,
    bytes_of,
    element_at,
    minimum,
    part_of_scratch,
    quotient,
)
from symgrad.backends.native.convolutions.patches import copy_run
from symgrad.backends.native.convolutions.planes import Planes
from symgrad.backends.native.convolutions.tiles import choose
from symgrad.backends.native.kernel import buffer_pointer, kernel_function
from symgrad.backends.native.llvm.text import Function, Value, byte_size, index, literal, vector_type
from symgrad.backends.native.scalars import emit_scalar

BIAS, POSITIONS = 1, 2
"""Among the buffers besides image and weights: output, bias, positions, linear."""


@dataclass(frozen=True)
class Finish:
    """What happens to the sums before they are stored.

    Attributes
    ----------
    bias : {"none", "before", "after"}
        Whether a vector of one number for each output channel is added, before or after the maximum is taken.
    activation : str
        A function of the grammar, applied to the maximum; or "none".
    has_positions, has_linear : bool
        Whether the place of the maximum, and what stands there before the activation, are outputs too.
    activation_first : bool
        Whether the activation comes before the maximum.
    """

    bias: str = "none"
    activation: str = "none"
    has_positions: bool = False
    has_linear: bool = False
    activation_first: bool = False


@dataclass(frozen=True)
class Buffers:
    """The numbers of a kernel's buffers; None for those that it doesn't have."""

    image: int
    weights: int
    output: int
    bias: int | None = None
    positions: int | None = None
    linear: int | None = None


class Forward:
    """Writes the kernel of one correlation."""

    def __init__(
        self, name: str, correlation: Correlation, finish: Finish, buffers: Buffers, dtype: str, element: str,
        vector_bytes: int,
    ) -> None:  # fmt: skip
        self.of, self.finish, self.buffers, self.dtype, self.element = correlation, finish, buffers, dtype, element
        self.tiling = choose(correlation, element, vector_bytes)
        self.lanes, self.channels, self.vectors = self.tiling.lanes, self.tiling.channels, self.tiling.vectors
        self.windows = self.tiling.images * self.tiling.rows * correlation.result[1]
        self.full = vector_bytes // byte_size(element)
        self.kind = vector_type(element, self.lanes)
        self.places = [(i, j) for i in range(correlation.window[0]) for j in range(correlation.window[1])]
        self.planes = Planes(correlation, self.tiling.rows, element, self.full, self.tiling.images)
        self.function = kernel_function(name)

    @property
    def units(self) -> int:
        """Blocks of images times blocks of rows times parts of the channels."""
        return prod(self.tiling.blocks(self.of)) * self.tiling.parts

    @property
    def scratch(self) -> int:
        """Bytes of scratch memory: the planes, and the results of a tile where several images share vectors."""
        return aligned(self.planes.size) + (3 * self._tile_bytes if self.tiling.images > 1 else 0)

    @property
    def _tile_bytes(self) -> int:
        return aligned(bytes_of(self.element, self.channels * self.windows))

    def write(self) -> Function:
        """Write the whole function."""
        function = self.function
        numbers = self.buffers
        image, weights = buffer_pointer(function, numbers.image), buffer_pointer(function, numbers.weights)
        optional = (numbers.output, numbers.bias, numbers.positions, numbers.linear)
        outputs = [None if number is None else buffer_pointer(function, number) for number in optional]
        _, _, begin, end, _ = function.parameters
        planes = part_of_scratch(function, 0)
        height, width = self.of.image
        with function.loop(begin, end, hint="unit") as unit:
            rest, part = quotient(function, unit.index, self.tiling.parts)
            block_of_images, block_of_rows = quotient(function, rest, self.tiling.blocks(self.of)[1])
            number = self._first(block_of_images, self.tiling.images, self.of.count)
            first_row = self._first(block_of_rows, self.tiling.rows, self.of.result[0])
            with function.loop(index(0), index(self.of.groups), hint="group") as group:
                channels = self.of.inputs * height * width
                pixels = element_at(
                    function, image, self.element, (number, self.of.groups * channels), (group.index, channels)
                )
                self.planes.fill(function, planes, pixels, first_row)
                self._group(planes, weights, outputs, number, first_row, group.index, part)
        function.give(Value("0", "i32"))
        return function

    def _first(self, block: Value, size: int, count: int) -> Value:
        """Return where a block starts; the last may overlap the one before, with the same results."""
        if size >= count:
            return index(0)
        first = affine(self.function, (block, size))
        return minimum(self.function, first, index(count - size)) if count % size else first

    def _group(
        self,
        planes: Value,
        weights: Value,
        outputs: Sequence[Value | None],
        number: Value,
        first_row: Value,
        group: Value,
        part: Value,
    ) -> None:
        """Write the loops over tiles; the last tile of an axis may overlap the one before, with the same results."""
        function, of, parts = self.function, self.of, self.tiling.parts
        step = self.lanes * self.vectors
        size = -(-of.outputs // (self.channels * parts)) * self.channels
        first = affine(function, (part, size))
        last = minimum(function, affine(function, (first, 1), start=size), index(of.outputs))
        with function.loop(first, last, self.channels, hint="channels") as channels:
            channel = channels.index
            if of.outputs % self.channels:
                channel = minimum(function, channel, index(of.outputs - self.channels))
            filters = element_at(function, weights, self.element, (group, of.weights[0]), (channel, of.weights[1]))
            channel_number = affine(function, (group, of.outputs), (channel, 1))
            plane = of.result[0] * of.result[1]
            place = affine(
                function, (number, of.groups * of.outputs * plane), (channel_number, plane), (first_row, of.result[1])
            )
            with function.loop(index(0), index(self.windows), step, hint="windows") as windows:
                window = windows.index
                if self.windows % step:
                    window = minimum(function, window, index(self.windows - step))
                sums = self._sums(function.offset(planes, window, self.element), filters)
                if self.tiling.images == 1:
                    self._finish(sums, outputs, channel_number, affine(function, (place, 1), (window, 1)), plane)
                else:
                    self._finish(sums, self._tile_outputs(outputs), channel_number, window, self.windows)
            if self.tiling.images > 1:
                self._distribute(outputs, place)

    # ---- several images that share vectors ----

    def _tile_outputs(self, outputs: Sequence[Value | None]) -> list[Value | None]:
        """Return where the results of a tile are kept; the bias stays what it is."""
        begin = aligned(self.planes.size)
        found: list[Value | None] = []
        for number, output in enumerate(outputs):
            is_kept = output is None or number == BIAS
            found.append(output if is_kept else part_of_scratch(self.function, begin))
            begin += 0 if is_kept else self._tile_bytes
        return found

    def _distribute(self, outputs: Sequence[Value | None], place: Value) -> None:
        """Copy the results of a tile to their images: there, a row of windows of all images is one run."""
        function, of, images = self.function, self.of, self.tiling.images
        rows, columns = of.result
        with (
            function.loop(index(0), index(self.channels), hint="channel") as channel,
            function.loop(index(0), index(images), hint="image") as image,
            function.loop(index(0), index(rows), hint="row") as row,
        ):
            start = affine(
                function, (channel.index, self.windows), (image.index, columns), (row.index, images * columns)
            )
            to = affine(
                function, (place, 1), (channel.index, rows * columns), (row.index, columns),
                (image.index, of.groups * of.outputs * rows * columns),
            )  # fmt: skip
            for number, (source, target) in enumerate(zip(self._tile_outputs(outputs), outputs, strict=True)):
                if source is not None and target is not None and number != BIAS:
                    element = "i8" if number == POSITIONS else self.element
                    there = function.offset(target, to, element)
                    copy_run(function, there, function.offset(source, start, element), element, columns, self.full)

    # ---- sums of products ----

    def _sums(self, pixels: Value, filters: Value) -> list[Value]:
        """Return the tile's sums: by place, vector and channel, in this order.

        Any order of the terms is as good as another. This one, from the last channel and row of taps to the first, has
        the roundings with which the reference nets in float32 stay on their trajectories: there, inputs of ReLU units
        come closer to zero than float32 can tell.
        """
        function, of = self.function, self.of
        count = len(self.places) * self.vectors * self.channels
        zeros = [literal(0, self.kind)] * count
        taps = of.taps[0] * of.taps[1]
        with function.loop(index(0), index(of.inputs), 1, zeros, hint="input") as input_:
            channel = function.subtract(index(of.inputs - 1), input_.index)
            planes = element_at(function, pixels, self.element, (channel, self.planes.channel))
            weights = element_at(
                function, filters, self.element, (channel, of.weights[2]), start=taps - 1 if of.flip else 0
            )
            with function.loop(index(0), index(of.taps[0]), 1, input_.carried, hint="tap") as tap:
                sign = -1 if of.flip else 1
                number = function.subtract(index(of.taps[0] - 1), tap.index)
                row = element_at(function, weights, self.element, (number, sign * of.taps[1]))
                lines = [self._line(planes, number, place) for place in range(of.window[0])]
                tap.next = self._tap_row(lines, row, sign, tap.carried)
            input_.next = tap.results
        return input_.results

    def _line(self, planes: Value, tap: Value, place: int) -> Value:
        """Return where the pixels of a row of taps start, for a row of the window."""
        function, of = self.function, self.of
        row = function.multiply(tap, index(of.dilation[0])) if of.dilation[0] > 1 else tap
        if place:
            row = function.add(row, index(place * of.stride[0]))
        above, remainder = quotient(function, row, of.step[0])
        return element_at(
            function, planes, self.element, (remainder, self.planes.remainder), (above, self.planes.line)
        )  # fmt: skip

    def _tap_row(self, lines: Sequence[Value], weights: Value, sign: int, sums: Sequence[Value]) -> list[Value]:
        """Add the products of one row of taps."""
        function, of = self.function, self.of
        unit, plane = self.planes.unit, self.planes.plane
        with function.loop(index(0), index(of.taps[1]), 1, sums, hint="tap") as tap:
            under = [
                element_at(function, line, self.element, (tap.index, of.dilation[1] // unit * plane)) for line in lines
            ]
            factors = []
            for i, j in self.places:
                for vector in range(self.vectors):
                    start = j * of.stride[1] // unit * plane + vector * self.lanes
                    address = element_at(function, under[i], self.element, start=start)
                    factors.append(function.load(address, self.kind))
            row = element_at(function, weights, self.element, (tap.index, sign))
            total = list(tap.carried)
            for channel in range(self.channels):
                address = element_at(function, row, self.element, start=channel * of.weights[1])
                weight = function.splat(function.load(address, self.element), self.lanes)
                for number, factor in enumerate(factors):
                    position = number * self.channels + channel
                    total[position] = function.fma(factor, weight, total[position])
            tap.next = total
        return tap.results

    # ---- maximum, bias, activation ----

    def _finish(
        self, sums: Sequence[Value], outputs: Sequence[Value | None], channel: Value, place: Value, plane: int
    ) -> None:
        """Store the results of a tile from `place` on; channels are `plane` elements apart."""
        function = self.function
        output, bias, positions, linear = outputs
        assert output is not None
        for number in range(self.channels):
            shift = None
            if bias is not None:
                address = element_at(function, bias, self.element, (channel, 1), start=number)
                shift = function.splat(function.load(address, self.element), self.lanes)
            for vector in range(self.vectors):
                start = number * plane + vector * self.lanes
                result, where, before = self._result(sums, number, vector, shift)
                if positions is not None:
                    function.store(where, element_at(function, positions, "i8", (place, 1), start=start))
                if linear is not None:
                    function.store(before, element_at(function, linear, self.element, (place, 1), start=start))
                function.store(result, element_at(function, output, self.element, (place, 1), start=start))

    def _activated(self, value: Value) -> Value:
        name = self.finish.activation
        return value if name == "none" else emit_scalar(self.function, name, [value], [self.dtype], self.dtype)

    def _result(
        self, sums: Sequence[Value], channel: int, vector: int, bias: Value | None
    ) -> tuple[Value, Value, Value]:
        """Return a window's result, its place, and what stands there before the activation.

        The first of several maxima counts, and nan before numbers.
        """
        function, finish = self.function, self.finish
        values = [
            sums[(place * self.vectors + vector) * self.channels + channel] for place in range(len(self.places))
        ]  # fmt: skip
        if bias is not None and finish.bias == "before":
            values = [function.add(value, bias) for value in values]
        compared = [self._activated(value) for value in values] if finish.activation_first else values
        largest, before = compared[0], values[0]
        bits = vector_type(f"i{8 * byte_size(self.element)}", self.lanes)
        where = literal(0, bits)
        for number, value in enumerate(compared[1:], 1):
            is_larger = function.compare("ugt", value, largest)
            is_number = function.compare("ord", largest, largest)
            wins = function.binary("and", is_larger, is_number)
            largest = function.select(wins, value, largest)
            if finish.has_positions:
                where = function.select(wins, literal(number, bits), where)
            if finish.activation_first and finish.has_linear:
                before = function.select(wins, values[number], before)
        where = function.convert("trunc", where, vector_type("i8", self.lanes))
        if finish.activation_first:
            return largest, where, before
        if bias is not None and finish.bias == "after":
            largest = function.add(largest, bias)
        return self._activated(largest), where, largest
