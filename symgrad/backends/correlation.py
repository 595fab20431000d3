"""The sizes of a convolution, and a convolution as one correlation that says where its weights lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Pair = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """All static sizes of a convolution of images (N, C, H, W) with filters (K, C / groups, h, w)."""

    image: tuple[int, int, int, int]
    filters: tuple[int, int, int, int]
    padding: tuple[Pair, Pair]
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    groups: int = 1
    flip: bool = True

    @classmethod
    def of(cls, image: Sequence[int], filters: Sequence[int], attributes: Mapping[str, Any]) -> Geometry:
        """Take sizes and the attributes of a kernel of the grammar."""
        names = ("padding", "stride", "dilation", "groups", "flip")
        parameters = {name: attributes[name] for name in names if name in attributes}
        return cls(tuple(image), tuple(filters), **parameters)  # type: ignore[arg-type]

    @property
    def taps(self) -> int:
        """How many weights one channel of a filter has."""
        return self.filters[2] * self.filters[3]

    @property
    def output(self) -> Pair:
        """Height and width of the output."""
        down, across = (
            max((self.image[2 + axis] + sum(self.padding[axis]) - self.reach(axis)) // self.stride[axis] + 1, 0)
            for axis in (0, 1)
        )
        return down, across

    def reach(self, axis: int) -> int:
        """Return how many pixels a filter covers along an axis."""
        return (self.filters[2 + axis] - 1) * self.dilation[axis] + 1


@dataclass(frozen=True)
class Correlation:
    """A sum over channels and taps of pixels times weights, without flipping, for windows of outputs.

    Output (y, x), window place (i, j) and tap (a, b) meet the pixel at row ``(y * window + i) * stride + a * dilation``
    of the image after padding; the image's own pixels lie `spread` apart in it, with zeros between.

    Attributes
    ----------
    count, groups : int
        Images; groups of channels.
    inputs, outputs : int
        Channels of the image and of the result, in each group.
    image : (int, int)
        Height and width.
    result : (int, int)
        Height and width of the result, in windows.
    before : (int, int)
        At which row and column of the padded image its first pixel lies; may be negative, then pixels are cut off.
    taps, stride, dilation, spread, window : (int, int)
        Along both axes.
    weights : (int, int, int)
        Distances between the weights of two groups, outputs and inputs.
    flip : bool
        Whether the taps of an input lie in memory with the last first.
    """

    count: int
    groups: int
    inputs: int
    outputs: int
    image: Pair
    result: Pair
    before: Pair
    taps: Pair
    stride: Pair
    dilation: Pair
    spread: Pair
    window: Pair
    weights: tuple[int, int, int]
    flip: bool

    @property
    def step(self) -> Pair:
        """Rows and columns of the padded image between two windows."""
        return self.window[0] * self.stride[0], self.window[1] * self.stride[1]

    def shifts(self, axis: int) -> list[int]:
        """Return at which distances from its window's first pixel an axis is read."""
        return sorted({
            place * self.stride[axis] + tap * self.dilation[axis]
            for place in range(self.window[axis]) for tap in range(self.taps[axis])
        })  # fmt: skip

    @property
    def is_padded(self) -> bool:
        """Whether a pixel outside the image, or between its own, is ever met."""
        for axis in (0, 1):
            end = (self.result[axis] - 1) * self.step[axis] + self.shifts(axis)[-1] + 1
            if self.before[axis] > 0 or end > self.before[axis] + self.image[axis] or self.spread[axis] > 1:
                return True
        return False

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        places = self.result[0] * self.result[1] * self.window[0] * self.window[1]
        taps = self.taps[0] * self.taps[1]
        return 2 * self.count * self.groups * self.inputs * self.outputs * taps * places


def forward(geometry: Geometry, window: Pair = (1, 1)) -> Correlation:
    """Return a convolution, for whole windows of outputs."""
    count, _, height, width = geometry.image
    filters, inputs, *taps = geometry.filters
    rows, columns = geometry.output
    per_group = filters // geometry.groups
    return Correlation(
        count, geometry.groups, inputs, per_group, (height, width), (rows // window[0], columns // window[1]),
        (geometry.padding[0][0], geometry.padding[1][0]), (taps[0], taps[1]), geometry.stride, geometry.dilation,
        (1, 1), window, (per_group * inputs * geometry.taps, inputs * geometry.taps, geometry.taps), geometry.flip,
    )  # fmt: skip


def of_inputs(geometry: Geometry) -> Correlation:
    """Return the gradient of the images as a correlation of the cotangent, spread by the stride, with mirrored taps."""
    count, _, height, width = geometry.image
    filters, inputs, *taps = geometry.filters
    per_group = filters // geometry.groups
    before = [geometry.reach(axis) - 1 - geometry.padding[axis][0] for axis in (0, 1)]
    return Correlation(
        count, geometry.groups, per_group, inputs, geometry.output, (height, width), (before[0], before[1]),
        (taps[0], taps[1]), (1, 1), geometry.dilation, geometry.stride, (1, 1),
        (per_group * inputs * geometry.taps, geometry.taps, inputs * geometry.taps), not geometry.flip,
    )  # fmt: skip
