"""How the work of a correlation is cut: images and rows in a block, channels and vectors in a tile of registers."""

from __future__ import annotations

from dataclasses import dataclass

from symgrad.backends.correlation import Correlation
from symgrad.backends.native.convolutions.addresses import power_below, registers_of
from symgrad.backends.native.convolutions.planes import Planes
from symgrad.backends.native.kernel import SINGLE_THREAD_WORK
from symgrad.backends.native.llvm.text import byte_size

PLANE_BYTES = 1 << 19
"""Images whose planes take more are computed in blocks of rows, so that planes stay in the cache."""

LEAST_ROWS = 4
"""Neighbouring blocks share rows of pixels: with fewer rows, blocks may take twice as much."""

ENOUGH_UNITS = 4
"""With so many parts, threads can share the work."""

MOST_IMAGES = 16
"""So many small images may share vectors."""


@dataclass(frozen=True)
class Tiling:
    """The cuts.

    Attributes
    ----------
    images, rows : int
        Of a block: several images, with all their rows, or some rows of one.
    lanes : int
        Of a vector of windows.
    channels, vectors : int
        Of a tile: output channels, and vectors of windows.
    parts : int
        Into how many units the output channels of a group fall.
    """

    images: int
    rows: int
    lanes: int
    channels: int
    vectors: int
    parts: int

    def blocks(self, of: Correlation) -> tuple[int, int]:
        """Return how many blocks there are: of images, and of rows."""
        return -(-of.count // self.images), -(-of.result[0] // self.rows)


def choose(of: Correlation, element: str, vector_bytes: int) -> Tiling:
    """Return the cuts that take the fewest cycles, by a simple count."""
    full = vector_bytes // byte_size(element)
    rows = _rows_of_a_block(of, element, full)
    best, found = float("inf"), (1, 1, 1, 1)
    for images in range(1, min(of.count, MOST_IMAGES if rows == of.result[0] else 1) + 1):
        windows = images * rows * of.result[1]
        if images > 1 and (windows > 4 * full or Planes(of, rows, element, full, images).size > PLANE_BYTES):
            break
        lanes = power_below(windows, full)
        cycles, channels, vectors = _tile(of, windows // lanes, -(-windows // lanes), registers_of(vector_bytes))
        total = cycles * -(-of.count // images)
        if total < 0.9 * best:
            best, found = total, (images, lanes, channels, vectors)
    images, lanes, channels, vectors = found
    units = -(-of.count // images) * -(-of.result[0] // rows)
    return Tiling(images, rows, lanes, channels, vectors, _parts_of_channels(of, units, channels))


def _rows_of_a_block(of: Correlation, element: str, lanes: int) -> int:
    """Return how many rows of windows have planes that fit into the cache; all blocks are of this size."""
    rows = of.result[0]
    for blocks in range(1, rows + 1):
        size = -(-rows // blocks)
        limit = PLANE_BYTES if size >= LEAST_ROWS else 2 * PLANE_BYTES
        if Planes(of, size, element, lanes).size <= limit:
            return size
    return 1


def _parts_of_channels(of: Correlation, units: int, tile: int) -> int:
    """Return into how many parts the channels of a group fall where units are few and there is much to do."""
    if units >= ENOUGH_UNITS or of.flops < SINGLE_THREAD_WORK * ENOUGH_UNITS:
        return 1
    return max(1, min(ENOUGH_UNITS // units, of.outputs // tile))


def _tile(of: Correlation, whole_vectors: int, vectors: int, registers: int) -> tuple[float, int, int]:
    """Return the cycles of a tap in a block, and how many channels and vectors of windows a tile has.

    Two products and two loads go through in a cycle, and only eight sums that don't wait for each other keep it busy.
    """
    places = of.window[0] * of.window[1]
    best, found = float("inf"), (1, 1)
    for width in range(1, min(4, whole_vectors) + 1):
        for channels in range(1, min(12, of.outputs) + 1):
            size = places * width * channels
            if size > max(registers * 3 // 4, places):
                continue
            loads = places * width + channels
            cycles = max(size / 2, loads / 2, 4) + loads / 10
            total = cycles * -(-of.outputs // channels) * -(-vectors // width)
            if total < best:
                best, found = total, (channels, width)
    return best, *found
