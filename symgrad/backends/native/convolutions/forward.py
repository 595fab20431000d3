"""Convolution with bias, pooling and activation in one kernel: windows lie along the lanes, channels in registers.

A tile holds, for some vectors of windows, every place of the window and some output channels, one register of sums.
A pixel vector is loaded once for all channels of the tile, a weight once for all windows. When the sums are complete,
the maximum over the window's places, bias and activation need no memory: they are between registers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symgrad.backends.native.convolutions.addresses import (
    aligned,
    element_at,
    minimum,
    part_of_scratch,
    power_below,
    quotient,
    registers_of,
)
from symgrad.backends.native.convolutions.geometry import Correlation
from symgrad.backends.native.convolutions.planes import Planes
from symgrad.backends.native.kernel import SINGLE_THREAD_WORK, buffer_pointer, kernel_function
from symgrad.backends.native.llvm.text import Function, Value, byte_size, index, literal, vector_type
from symgrad.backends.native.scalars import emit_scalar

ENOUGH_UNITS = 4
"""With so many parts, threads can share the work."""

PLANE_BYTES = 1 << 18
"""Images whose planes take more are computed in blocks of rows, so that planes stay in the cache."""


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
        Whether the place of the maximum, and the maximum before the activation, are outputs too.
    """

    bias: str = "none"
    activation: str = "none"
    has_positions: bool = False
    has_linear: bool = False


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
        full = vector_bytes // byte_size(element)
        rows, columns = correlation.result
        self.rows = _rows_of_a_block(correlation, element, full)
        self.blocks = -(-rows // self.rows)
        self.windows = self.rows * columns
        self.lanes = power_below(self.windows, full)
        self.kind = vector_type(element, self.lanes)
        self.places = [(i, j) for i in range(correlation.window[0]) for j in range(correlation.window[1])]
        self.channels, self.vectors = _tile(
            correlation, len(self.places), -(-self.windows // self.lanes), self.windows // self.lanes,
            registers_of(vector_bytes) * 3 // 4,
        )  # fmt: skip
        self.parts = _parts_of_channels(correlation, self.blocks, self.channels)
        self.planes = Planes(correlation, self.rows, element, full)
        self.function = kernel_function(name)

    @property
    def units(self) -> int:
        """Images times blocks of rows times parts of the channels."""
        return self.of.count * self.blocks * self.parts

    @property
    def scratch(self) -> int:
        """Bytes of scratch memory: the planes, and a vector behind them."""
        return aligned(self.planes.size) + 64

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
            rest, part = quotient(function, unit.index, self.parts)
            number, block = quotient(function, rest, self.blocks)
            first_row = function.multiply(block, index(self.rows)) if self.blocks > 1 else index(0)
            if self.of.result[0] % self.rows:
                first_row = minimum(function, first_row, index(self.of.result[0] - self.rows))
            with function.loop(index(0), index(self.of.groups), hint="group") as group:
                channels = self.of.inputs * height * width
                pixels = element_at(
                    function, image, self.element, (number, self.of.groups * channels), (group.index, channels)
                )
                self.planes.fill(function, planes, pixels, first_row)
                self._group(planes, weights, outputs, number, first_row, group.index, part)
        function.give(Value("0", "i32"))
        return function

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
        function, of = self.function, self.of
        step = self.lanes * self.vectors
        size = -(-of.outputs // (self.channels * self.parts)) * self.channels
        first = function.multiply(part, index(size)) if self.parts > 1 else index(0)
        last = minimum(function, function.add(first, index(size)), index(of.outputs)) if self.parts > 1 else index(size)
        with function.loop(first, last, self.channels, hint="channels") as channels:
            channel = channels.index
            if of.outputs % self.channels:
                channel = minimum(function, channel, index(of.outputs - self.channels))
            filters = element_at(function, weights, self.element, (group, of.weights[0]), (channel, of.weights[1]))
            with function.loop(index(0), index(self.windows), step, hint="windows") as windows:
                window = windows.index
                if self.windows % step:
                    window = minimum(function, window, index(self.windows - step))
                sums = self._sums(function.offset(planes, window, self.element), filters)
                channel_number = function.add(function.multiply(group, index(of.outputs)), channel)
                plane = of.result[0] * of.result[1]
                place = function.add(
                    function.multiply(
                        function.add(function.multiply(number, index(of.groups * of.outputs)), channel_number),
                        index(plane),
                    ),
                    function.add(function.multiply(first_row, index(of.result[1])), window),
                )
                self._finish(sums, outputs, channel_number, place)

    # ---- sums of products ----

    def _sums(self, pixels: Value, filters: Value) -> list[Value]:
        """Return the tile's sums: by place, vector and channel, in this order."""
        function, of = self.function, self.of
        count = len(self.places) * self.vectors * self.channels
        zeros = [literal(0, self.kind)] * count
        taps = of.taps[0] * of.taps[1]
        with function.loop(index(0), index(of.inputs), 1, zeros, hint="input") as input_:
            planes = element_at(function, pixels, self.element, (input_.index, self.planes.channel))
            weights = element_at(
                function, filters, self.element, (input_.index, of.weights[2]), start=taps - 1 if of.flip else 0
            )
            with function.loop(index(0), index(of.taps[0]), 1, input_.carried, hint="tap") as tap:
                sign = -1 if of.flip else 1
                row = element_at(function, weights, self.element, (tap.index, sign * of.taps[1]))
                lines = [self._line(planes, tap.index, place) for place in range(of.window[0])]
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
            function, planes, self.element, (remainder, self.planes.remainder), (above, of.result[1])
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

    def _finish(self, sums: Sequence[Value], outputs: Sequence[Value | None], channel: Value, place: Value) -> None:
        function = self.function
        output, bias, positions, linear = outputs
        assert output is not None
        plane = self.of.result[0] * self.of.result[1]
        for number in range(self.channels):
            shift = None
            if bias is not None:
                address = element_at(function, bias, self.element, (channel, 1), start=number)
                shift = function.splat(function.load(address, self.element), self.lanes)
            for vector in range(self.vectors):
                start = number * plane + vector * self.lanes
                result, where = self._result(sums, number, vector, shift)
                if positions is not None:
                    function.store(where, element_at(function, positions, "i8", (place, 1), start=start))
                if linear is not None:
                    function.store(result, element_at(function, linear, self.element, (place, 1), start=start))
                if self.finish.activation != "none":
                    result = emit_scalar(function, self.finish.activation, [result], [self.dtype], self.dtype)
                function.store(result, element_at(function, output, self.element, (place, 1), start=start))

    def _result(self, sums: Sequence[Value], channel: int, vector: int, bias: Value | None) -> tuple[Value, Value]:
        """Return the maximum of a window with its bias, and its place: the first of several, nan before numbers."""
        function = self.function
        values = [
            sums[(place * self.vectors + vector) * self.channels + channel] for place in range(len(self.places))
        ]  # fmt: skip
        if bias is not None and self.finish.bias == "before":
            values = [function.add(value, bias) for value in values]
        largest = values[0]
        bits = vector_type(f"i{8 * byte_size(self.element)}", self.lanes)
        where = literal(0, bits)
        for number, value in enumerate(values[1:], 1):
            is_larger = function.compare("ugt", value, largest)
            is_number = function.compare("ord", largest, largest)
            wins = function.binary("and", is_larger, is_number)
            largest = function.select(wins, value, largest)
            if self.finish.has_positions:
                where = function.select(wins, literal(number, bits), where)
        if bias is not None and self.finish.bias == "after":
            largest = function.add(largest, bias)
        return largest, function.convert("trunc", where, vector_type("i8", self.lanes))


def _rows_of_a_block(correlation: Correlation, element: str, lanes: int) -> int:
    """Return how many rows of windows have planes of at most `PLANE_BYTES`; blocks are of equal size but the last."""
    rows = correlation.result[0]
    for blocks in range(1, rows + 1):
        size = -(-rows // blocks)
        if Planes(correlation, size, element, lanes).size <= PLANE_BYTES:
            return size
    return 1


def _parts_of_channels(correlation: Correlation, blocks: int, tile: int) -> int:
    """Return into how many parts the channels of a group fall where images are few and there is much to do."""
    units = correlation.count * blocks
    if units >= ENOUGH_UNITS or correlation.flops < SINGLE_THREAD_WORK * ENOUGH_UNITS:
        return 1
    return max(1, min(ENOUGH_UNITS // units, correlation.outputs // tile))


def _tile(correlation: Correlation, places: int, vectors: int, most_vectors: int, sums: int) -> tuple[int, int]:
    """Return how many channels and vectors of windows a tile has: what takes the fewest cycles by a simple count.

    Two products and two loads go through in a cycle, and only eight sums that don't wait for each other keep it busy.
    """
    best, found = float("inf"), (1, 1)
    for width in range(1, min(4, most_vectors) + 1):
        for channels in range(1, min(12, correlation.outputs) + 1):
            size = places * width * channels
            if size > max(sums, places):
                continue
            loads = places * width + channels
            cycles = max(size / 2, loads / 2, 4) + loads / 10
            total = cycles * -(-correlation.outputs // channels) * -(-vectors // width)
            if total < best:
                best, found = total, (channels, width)
    return found
