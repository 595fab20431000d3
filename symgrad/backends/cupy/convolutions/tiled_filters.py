"""Gradients of filters with few channels: a thread has its own tap and some filters, and goes through all positions.

A block holds some images, or some rows of one, in shared memory, and the cotangents of its filters there. Of a
cotangent behind max pooling it holds each window's value and where in the image that meets the first tap, so that zeros
cost nothing. Threads of a block share the work along three axes: taps, teams of filters, and parts of the rows. Where
that doesn't fill the device, images are shared out among blocks, and a second kernel adds their sums in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, prod

from symgrad.backends.correlation import Correlation, Pair
from symgrad.backends.cupy.calls import Temporary
from symgrad.backends.cupy.convolutions.choosing import quickest
from symgrad.backends.cupy.convolutions.correlations import Source, correlation_constants
from symgrad.backends.cupy.convolutions.plain_filters import Pieces, sum_of_parts
from symgrad.backends.cupy.convolutions.shared_memory import MOST_BLOCKS, fewest_turns, resident_blocks
from symgrad.backends.cupy.convolutions.writing import (
    Buffer,
    Dtypes,
    arithmetic,
    arithmetic_bytes,
    element_bytes,
    written_kernel,
)
from symgrad.backends.cupy.kernel import Target

BODY = """
    __shared__ __align__(16) A memory[MEMORY];
    A* pixels = memory;
    A* cotangents = memory + PICTURES * CHANNELS * PLANE;
    int slot = threadIdx.x % (CHANNELS * TAPS * TEAMS), part = threadIdx.x / (CHANNELS * TAPS * TEAMS);
    int tap = slot % TAPS, channel = slot / TAPS % CHANNELS, team = slot / (TAPS * CHANNELS);
    int first_input = blockIdx.x % CHANNEL_BLOCKS * CHANNELS, share = blockIdx.x / CHANNEL_BLOCKS;
    int first_filter = blockIdx.y * FILTERS, group = blockIdx.z;
    const A* own_pixels =
        pixels + channel * PLANE + tap / TAPS_ACROSS * DILATION_DOWN * PITCH + tap % TAPS_ACROSS * DILATION_ACROSS;
    A sums[EACH] = {};
    for (i64 unit = share; unit < UNITS; unit += SHARES) {
        i64 first_image = unit / ROUNDS * PICTURES;
        int first_row = unit % ROUNDS * ROWS;
        if (unit >= SHARES) __syncthreads();
        #pragma unroll 4
        for (int number = threadIdx.x; number < PICTURES * CHANNELS * PATCH_DOWN * PATCH_ACROSS; number += THREADS) {
            int x = number % PATCH_ACROSS, y = number / PATCH_ACROSS % PATCH_DOWN;
            int plane = number / (PATCH_ACROSS * PATCH_DOWN), input = first_input + plane % CHANNELS;
            i64 image = first_image + plane / CHANNELS;
            A value = 0;
            if (image < IMAGES && input < INPUTS)
                value = pixel((image * GROUPS + group) * INPUTS + input, locate(first_row * STEP_DOWN + y, x));
            pixels[plane * PLANE + y * PITCH + x] = value;
        }
        #pragma unroll 4
        for (int number = threadIdx.x; number < PICTURES * ROWS * COLUMNS * FILTERS; number += THREADS) {
            int filter = first_filter + number % FILTERS, x = number / FILTERS % COLUMNS;
            int line = number / (FILTERS * COLUMNS), y = line % ROWS;
            i64 image = first_image + line / ROWS;
            i64 from = (((image * GROUPS + group) * OUTPUTS + filter) * ALL_ROWS + first_row + y) * COLUMNS + x;
            bool is_inside = image < IMAGES && filter < OUTPUTS && first_row + y < ALL_ROWS;
            cotangents[number] = is_inside ? A(read(values[from])) : A(0);
$FILL        }
        __syncthreads();
        for (int line = part; line < PICTURES * ROWS; line += PARTS) {
            int begin = line / ROWS * CHANNELS * PLANE + line % ROWS * STEP_DOWN * PITCH;
            #pragma unroll 4
            for (int x = 0; x < COLUMNS; ++x) {
                int position = (line * COLUMNS + x) * FILTERS + team * EACH;
$PRODUCTS            }
        }
    }
    auto store = [&](A total, int each) {
        int filter = first_filter + team * EACH + each, input = first_input + channel;
        if (filter >= OUTPUTS || input >= INPUTS) return;
        int place = FLIP ? TAPS - 1 - tap : tap;
        i64 weight = ((i64)(group * OUTPUTS + filter) * INPUTS + input) * TAPS + place;
        $STORE
    };
"""

DENSE_PRODUCTS = """\
                A value = own_pixels[begin + x * STEP_ACROSS];
                #pragma unroll
                for (int each = 0; each < EACH; ++each) sums[each] += value * cotangents[position + each];
"""

SPARSE_FILL = """\
            int place = is_inside ? places[from] : 0;
            offsets[number] = place / SPARSE_ACROSS * PITCH + place % SPARSE_ACROSS + x * STEP_ACROSS;
"""

SPARSE_PRODUCTS = """\
                #pragma unroll
                for (int each = 0; each < EACH; ++each)
                    sums[each] += own_pixels[begin + offsets[position + each]] * cotangents[position + each];
"""

SPARSE_MEMORY = "    __shared__ __align__(16) int offsets[PICTURES * ROWS * COLUMNS * FILTERS];\n"

ALONE = """
    #pragma unroll
    for (int each = 0; each < EACH; ++each) store(sums[each], each);
"""

TOGETHER = """
    __syncthreads();
    #pragma unroll
    for (int each = 0; each < EACH; ++each)
        memory[(part * EACH + each) * (CHANNELS * TAPS * TEAMS) + slot] = sums[each];
    __syncthreads();
    for (int each = part; each < EACH; each += PARTS) {
        A total = 0;
        #pragma unroll
        for (int other = 0; other < PARTS; ++other)
            total += memory[(other * EACH + each) * (CHANNELS * TAPS * TEAMS) + slot];
        store(total, each);
    }
"""

MOST_THREADS = 512
MOST_SHARES = 256
LATENCY = 900
"""Cycles until a unit is in shared memory."""
LAUNCH = 2500
"""Cycles that a second kernel costs."""
FEWEST_WARPS = 12
"""So many hide each other's waiting."""


@dataclass(frozen=True)
class FilterTile:
    """How the gradient of filters is cut.

    Attributes
    ----------
    of : Correlation
    sparse : (int, int), optional
        The pooling windows whose values at places make the cotangent.
    bytes_each : int
        Of a number in shared memory.
    channels : int
        Input channels of a block.
    each, teams : int
        Filters of a thread; how many teams of threads have their own.
    parts : int
        Among how many threads the rows are divided.
    pictures, rows : int
        Images that are in shared memory at once, or rows of one.
    shares : int
        Among how many blocks the images are divided.
    """

    of: Correlation
    sparse: Pair | None
    bytes_each: int
    channels: int
    each: int
    teams: int
    parts: int
    pictures: int
    rows: int
    shares: int

    @cached_property
    def taps(self) -> int:
        """Of one filter and channel."""
        return self.of.taps[0] * self.of.taps[1]

    @cached_property
    def threads(self) -> int:
        """Of a block."""
        return self.channels * self.taps * self.teams * self.parts

    @cached_property
    def filters(self) -> int:
        """Of a block."""
        return self.each * self.teams

    @cached_property
    def positions(self) -> Pair:
        """Rows and columns of the cotangent that there are numbers for."""
        return positions(self.of, self.sparse)

    @property
    def step(self) -> Pair:
        """Pixels between two of them."""
        return self.of.stride if self.sparse is None else self.sparse

    @cached_property
    def patch(self) -> Pair:
        """Rows and columns of an image that are in shared memory."""
        return patch(self.of, self.sparse, self.rows)

    @cached_property
    def units(self) -> int:
        """How often shared memory is filled."""
        return ceil(self.of.count / self.pictures) * ceil(self.positions[0] / self.rows)

    @cached_property
    def grid(self) -> tuple[int, int, int]:
        """Blocks."""
        of = self.of
        return self.shares * ceil(of.inputs / self.channels), ceil(of.outputs / self.filters), of.groups

    @cached_property
    def cotangents(self) -> int:
        """Numbers of the cotangent that are in shared memory."""
        return self.pictures * self.rows * self.positions[1] * self.filters

    @cached_property
    def reduction(self) -> int:
        """Numbers in shared memory that adding the parts needs."""
        return self.threads * self.each if self.parts > 1 else 0

    @cached_property
    def layout(self) -> Pair:
        """Distance between two rows and between two channels of pixels in shared memory."""
        down, across = self.patch
        taps_across = self.of.taps[1]

        def address(thread: int, pitch: int, plane: int) -> int:
            part, slot = divmod(thread, self.channels * self.taps * self.teams)
            tap, channel = slot % self.taps, slot // self.taps % self.channels
            row = tap // taps_across * self.of.dilation[0] + part % self.rows * self.step[0]
            return channel * plane + row * pitch + tap % taps_across * self.of.dilation[1]

        more = MORE_COLUMNS, 32 if self.channels > 1 else 1
        return fewest_turns(address, self.threads, (down, across), more, 1, self.bytes_each)

    def cycles(self, target: Target) -> float:
        """Return about how long the gradient takes."""
        columns = self.positions[1]
        width = self.each * self.bytes_each / 16
        per_position = 3 + 2 * ceil(width) + self.each if self.sparse is None else 1 + 4 * ceil(width) + 5 * self.each
        units = ceil(self.units / self.shares)
        filled = self.pictures * self.channels * prod(self.patch) + (1 if self.sparse is None else 2) * self.cotangents
        lines = ceil(self.pictures * self.rows / self.parts)
        instructions = units * (lines * columns * per_position + 14 * ceil(filled / self.threads))
        instructions += (2 + self.parts) * self.each if self.parts > 1 else 0
        share = ceil(prod(self.grid) / target.multiprocessors)
        warps = ceil(self.threads / 32)
        resident = resident_blocks(target, filled * self.bytes_each, self.threads, share)
        busy = share * warps * instructions / 4 / min(1, resident * warps / FEWEST_WARPS)
        waves = ceil(share / resident) * (2 * instructions + units * LATENCY)
        second = LAUNCH + self.shares * 40 if self.shares > 1 else 0
        return max(busy, waves) + 0.2 * busy + second

    def constants(self) -> dict[str, int]:
        """Return what the text speaks of."""
        of = self.of
        pitch, plane = self.layout
        memory = max(self.pictures * self.channels * plane + self.cotangents, self.reduction)
        named = {
            "MEMORY": memory, "CHANNELS": self.channels, "PLANE": plane, "PITCH": pitch, "TEAMS": self.teams,
            "EACH": self.each, "PARTS": self.parts, "FILTERS": self.filters, "THREADS": self.threads,
            "TAPS": self.taps, "PICTURES": self.pictures, "ROWS": self.rows, "ALL_ROWS": self.positions[0],
            "COLUMNS": self.positions[1], "ROUNDS": ceil(self.positions[0] / self.rows), "UNITS": self.units,
            "SHARES": self.shares, "CHANNEL_BLOCKS": ceil(of.inputs / self.channels), "STEP_DOWN": self.step[0],
            "STEP_ACROSS": self.step[1], "PATCH_DOWN": self.patch[0], "PATCH_ACROSS": self.patch[1],
        }  # fmt: skip
        return named if self.sparse is None else named | {"SPARSE_ACROSS": self.sparse[1]}


MORE_COLUMNS = 12
"""How much longer than a row of pixels its distance from the next may be."""


def positions(of: Correlation, sparse: Pair | None) -> Pair:
    """Return rows and columns of the numbers of a cotangent."""
    return of.result if sparse is None else (of.result[0] // sparse[0], of.result[1] // sparse[1])


def patch(of: Correlation, sparse: Pair | None, rows: int) -> Pair:
    """Return rows and columns of an image that some rows of a cotangent meet."""
    columns = positions(of, sparse)[1]
    window, step = (sparse, sparse) if sparse else ((1, 1), of.stride)
    down = (rows - 1) * step[0] + (of.taps[0] - 1) * of.dilation[0] + window[0]
    return down, (columns - 1) * step[1] + (of.taps[1] - 1) * of.dilation[1] + window[1]


def filter_tiles(of: Correlation, sparse: Pair | None, bytes_each: int, target: Target) -> Iterator[FilterTile]:
    """Yield all tiles that are worth a thought."""
    taps = of.taps[0] * of.taps[1]
    for channels in sorted({ceil(of.inputs / cut) for cut in (1, 2, 3, 4, 5, 8, 10, 16, 20, 32, of.inputs)}):
        for each in (1, 2, 4, 8):
            for teams in (1, 2, 3, 4, 5):
                threads = channels * taps * teams
                if ((teams > 1 or each > 1) and (2 * teams - 1) * each >= 2 * of.outputs) or threads > MOST_THREADS:
                    break
                fill = _filling(of, sparse, bytes_each, channels, each * teams, target.shared_bytes)
                if fill is None:
                    break
                for parts in (1, 2, 3, 4, 8, 16):
                    if parts > 1 and (threads * parts > MOST_THREADS or parts > prod(fill)):
                        break
                    tile = FilterTile(of, sparse, bytes_each, channels, each, teams, parts, *fill, 1)
                    if tile.reduction * bytes_each <= target.shared_bytes // 2:
                        yield from _shared_out(tile, target)


def _shared_out(tile: FilterTile, target: Target) -> Iterator[FilterTile]:
    """Yield a tile with its images shared out among no other blocks, or as many as fill the device."""
    wanted = [ceil(waves * target.multiprocessors / prod(tile.grid)) for waves in (0, 1, 2, 4)]
    for shares in sorted({max(1, min(tile.units, MOST_SHARES, count)) for count in wanted}):
        yield replace(tile, shares=shares)


def _filling(
    of: Correlation, sparse: Pair | None, bytes_each: int, channels: int, filters: int, shared_bytes: int
) -> Pair | None:
    """Return how many images, and how many rows of each, fit into shared memory; None if not even one row does."""
    rows, columns = positions(of, sparse)
    most = shared_bytes - 1024

    def needed(pictures: int, lines: int) -> int:
        down, across = patch(of, sparse, lines)
        pixels = channels * (down * (across + MORE_COLUMNS) + 32) * bytes_each
        return pictures * (pixels + lines * columns * filters * (bytes_each + (4 if sparse else 0)))

    if needed(1, rows) <= most:
        return max(min(most // needed(1, rows), of.count, 4), 1), rows
    lines = rows
    while lines > 1 and needed(1, lines) > most:
        lines = ceil(lines / 2)
    return (1, lines) if needed(1, lines) <= most else None


def best_filter_tile(source: Source, sparse: Pair | None, dtype: str, target: Target) -> FilterTile | None:
    """Return the tile that promises to be fastest; None if none fits into a block."""
    found = [
        tile for tile in filter_tiles(source.correlation, sparse, arithmetic_bytes(dtype), target)
        if max(tile.grid[1:]) <= MOST_BLOCKS
    ]  # fmt: skip
    return quickest(found, target)


def tiled_filter_gradient(
    label: str, source: Source, dtypes: Dtypes, tile: FilterTile, operands: Sequence[int | Temporary],
    output: int | Temporary,
) -> Pieces:
    """Return the kernels of the gradient of a correlation's filters, cut into tiles.

    Parameters
    ----------
    label : str
        What their names begin with.
    source : Source
        The correlation, with plain images.
    dtypes : Dtypes
    tile : FilterTile
    operands : sequence of int or Temporary
        Images and cotangents, or images, values and places.
    output : int or Temporary
    """
    of, sparse = tile.of, tile.sparse
    weights = of.groups * of.outputs * of.inputs * tile.taps
    is_alone = tile.shares == 1
    buffers = [Buffer("images"), Buffer("values"), *([] if sparse is None else [Buffer("places", "u8")])]
    store = "result[weight] = written(total);" if is_alone else f"result[(i64)share * {weights} + weight] = total;"
    body = BODY.replace("$FILL", "" if sparse is None else SPARSE_FILL).replace("$STORE", store)
    body = body.replace("$PRODUCTS", DENSE_PRODUCTS if sparse is None else SPARSE_PRODUCTS)
    body = source.text + ("" if sparse is None else SPARSE_MEMORY) + body + (ALONE if tile.parts == 1 else TOGETHER)
    read = source.elements + of.count * of.groups * of.outputs * prod(tile.positions)
    kernel = written_kernel(
        label, dtypes, [*buffers, Buffer("result", "R" if is_alone else arithmetic(dtypes.results), is_read=False)],
        source.constants | correlation_constants(of) | tile.constants(), body, tile.grid, tile.threads,
        flops=2 * weights * of.count * prod(tile.positions),
        bytes=read * element_bytes(dtypes.operands) + weights * element_bytes(dtypes.results),
    )  # fmt: skip
    if is_alone:
        return [(kernel, [*operands, output])]
    partial = Temporary(tile.shares * weights * arithmetic_bytes(dtypes.results))
    total = sum_of_parts(label, weights, tile.shares, dtypes.results)
    return [(kernel, [*operands, partial]), (total, [partial, output])]
