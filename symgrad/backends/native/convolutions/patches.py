"""Padded images, and rows of patches: the pixels under one row of taps, for all channels, side by side in memory."""

from __future__ import annotations

from dataclasses import dataclass

from symgrad.backends.correlation import Geometry
from symgrad.backends.native.convolutions.addresses import (
    bytes_of,
    element_at,
    fill_with_zeros,
    minimum,
    power_below,
)
from symgrad.backends.native.llvm.text import Function, Value, index, vector_type


def copy_run(function: Function, target: Value, source: Value, element: str, count: int, lanes: int) -> None:
    """Copy elements from one run of memory to another; the last vector may overlap the one before."""
    if count == 0:
        return
    width = power_below(count, lanes)
    kind = vector_type(element, width)
    with function.loop(index(0), index(count), width, hint="copy") as copy:
        begin = minimum(function, copy.index, index(count - width)) if count % width else copy.index
        vector = function.load(function.offset(source, begin, element), kind)
        function.store(vector, function.offset(target, begin, element))


@dataclass(frozen=True)
class PaddedImage:
    """All channels (C, H, W) of one image, with zeros around, in scratch memory; there are 2 vectors behind them."""

    geometry: Geometry
    element: str
    lanes: int

    @property
    def height(self) -> int:
        """Rows with padding."""
        return self.geometry.image[2] + sum(self.geometry.padding[0])

    @property
    def width(self) -> int:
        """Columns with padding."""
        return self.geometry.image[3] + sum(self.geometry.padding[1])

    @property
    def elements(self) -> int:
        """How many elements there are, in whole vectors."""
        count = self.geometry.image[1] * self.height * self.width
        return (-(-count // self.lanes) + 2) * self.lanes

    @property
    def size(self) -> int:
        """Bytes."""
        return bytes_of(self.element, self.elements)

    def clear(self, function: Function, padded: Value) -> None:
        """Write zeros everywhere: once for all images."""
        fill_with_zeros(function, padded, self.element, self.elements, self.lanes)

    def fill(self, function: Function, padded: Value, image: Value) -> None:
        """Copy an image to its place."""
        _, channels, height, width = self.geometry.image
        (top, bottom), (left, right) = self.geometry.padding
        if top + bottom + left + right == 0:
            copy_run(function, padded, image, self.element, channels * height * width, self.lanes)
            return
        start = top * self.width + left
        with (
            function.loop(index(0), index(channels), hint="channel") as channel,
            function.loop(index(0), index(height), hint="row") as row,
        ):
            source = element_at(function, image, self.element, (channel.index, height * width), (row.index, width))
            target = element_at(
                function, padded, self.element, (channel.index, self.height * self.width), (row.index, self.width),
                start=start,
            )  # fmt: skip
            copy_run(function, target, source, self.element, width, self.lanes)


@dataclass(frozen=True)
class RowPatches:
    """``patches[y, x, c, b] = padded[c, y, x * stride + b * dilation]``, each (y, x) in whole vectors.

    Attributes
    ----------
    image : PaddedImage
        Where the pixels come from.
    rows, columns : int
        Rows of pixels, and how many outputs a row has.
    """

    image: PaddedImage
    rows: int
    columns: int

    @property
    def patch(self) -> int:
        """Elements from one patch to the next."""
        geometry = self.image.geometry
        lanes = self.image.lanes
        return -(-geometry.image[1] * geometry.filters[3] // lanes) * lanes

    @property
    def row(self) -> int:
        """Elements of a row of patches."""
        return self.columns * self.patch

    @property
    def elements(self) -> int:
        """How many elements there are, and some vectors that may be written or read over the last patch's end."""
        return self.rows * self.row + 4 * self.image.lanes

    @property
    def size(self) -> int:
        """Bytes."""
        return bytes_of(self.image.element, self.elements)

    def clear(self, function: Function, patches: Value) -> None:
        """Write zeros everywhere, once: what lies between patches is multiplied too, and strange numbers are slow."""
        fill_with_zeros(function, patches, self.image.element, self.elements, self.image.lanes)

    def fill(self, function: Function, patches: Value, padded: Value, first_row: Value, count: Value) -> None:
        """Copy `count` rows of pixels from `first_row` on. What is written past a patch, the next one overwrites."""
        image, geometry = self.image, self.image.geometry
        element, plane = image.element, image.height * image.width
        stride = geometry.stride[1]
        with function.loop(index(0), count, hint="row") as row:
            pixels = element_at(
                function, padded, element, (function.add(first_row, row.index), image.width)
            )  # fmt: skip
            target = element_at(function, patches, element, (row.index, self.row))
            with function.loop(index(0), index(self.columns), hint="column") as column:
                patch = element_at(function, target, element, (column.index, self.patch))
                place = element_at(function, pixels, element, (column.index, stride))
                with function.loop(index(0), index(geometry.image[1]), hint="channel") as channel:
                    source = element_at(function, place, element, (channel.index, plane))
                    run = element_at(function, patch, element, (channel.index, geometry.filters[3]))
                    self._copy_taps(function, run, source)

    def _copy_taps(self, function: Function, target: Value, source: Value) -> None:
        """Copy one pixel for each tap of a row; more than that where whole vectors are faster."""
        geometry, element = self.image.geometry, self.image.element
        taps, step = geometry.filters[3], geometry.dilation[1]
        width = tap_vector(taps, self.image.lanes) if step == 1 else 1
        for begin in range(0, taps, width):
            pixels = function.load(
                element_at(function, source, element, start=begin * step), vector_type(element, width)
            )
            function.store(pixels, element_at(function, target, element, start=begin))


def tap_vector(taps: int, lanes: int) -> int:
    """Return of how many lanes a vector is that holds a row of taps: a power of two.

    Examples
    --------
    >>> tap_vector(5, 16), tap_vector(3, 2), tap_vector(1, 16)
    (8, 2, 1)
    """
    width = 1
    while width < min(taps, lanes):
        width *= 2
    return width


def put_filter(
    function: Function,
    target: Value,
    source: Value,
    geometry: Geometry,
    element: str,
    lanes: int,
    steps: tuple[int, int],
) -> None:
    """Write the gradient of one filter, whose taps are in the order of the pixels, in the order of the filters.

    `steps` are the distances in `source` from one channel to the next, and from one row of taps to the next.
    """
    _, channels, height, width = geometry.filters
    with (
        function.loop(index(0), index(channels), hint="channel") as channel,
        function.loop(index(0), index(height), hint="tap") as row,
    ):
        taps = element_at(function, source, element, (channel.index, steps[0]), (row.index, steps[1]))
        step, start = (-width, (height - 1) * width) if geometry.flip else (width, 0)
        there = element_at(function, target, element, (channel.index, height * width), (row.index, step), start=start)
        _put_row(function, there, taps, element, width, lanes, geometry.flip)


def _put_row(
    function: Function, target: Value, source: Value, element: str, width: int, lanes: int, is_flipped: bool
) -> None:
    """Copy a row of taps, the last first if it is flipped."""
    if width <= lanes:
        taps = function.load(source, vector_type(element, width))
        if is_flipped and width > 1:
            taps = function.shuffle(taps, taps, range(width)[::-1])
        function.store(taps, target)
        return
    with function.loop(index(0), index(width), hint="tap") as tap:
        value = function.load(function.offset(source, tap.index, element), element)
        place = function.subtract(index(width - 1), tap.index) if is_flipped else tap.index
        function.store(value, function.offset(target, place, element))
