"""Correlations with few channels: a block holds a tile of the image and of the filters in shared memory.

A thread computes all places of one window for several filters, so that a pixel and a weight that it has loaded serve
several products each. Where nothing is pooled, a window is some neighbours of the result. Threads of a block share the
work along three axes: windows, teams of filters, and parts of the input channels, whose sums are added in the end, the
first part first. Many parts make small batches fill a device.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product
from math import ceil, gcd, prod

from symgrad.backends.correlation import Correlation
from symgrad.backends.cupy.convolutions.choosing import quickest
from symgrad.backends.cupy.convolutions.correlations import Task, pair
from symgrad.backends.cupy.convolutions.shared_memory import MOST_BLOCKS, fewest_turns, resident_blocks
from symgrad.backends.cupy.convolutions.writing import arithmetic_bytes, written_kernel
from symgrad.backends.cupy.kernel import CudaKernel, Target

BODY = """
    __shared__ __align__(16) A memory[MEMORY];
    A* pixels = memory;
    A* weights = memory + CHANNELS * PLANE;
    int slot = threadIdx.x % (WINDOWS * TEAMS), part = threadIdx.x / (WINDOWS * TEAMS);
    int window = slot % WINDOWS, team = slot / WINDOWS;
    i64 image = blockIdx.x / (TILES_DOWN * TILES_ACROSS);
    int tile = blockIdx.x % (TILES_DOWN * TILES_ACROSS), group = blockIdx.z, first_filter = blockIdx.y * FILTERS;
    int first_row = tile / TILES_ACROSS * ROWS, first_column = tile % TILES_ACROSS * COLUMNS;
    int row = window / COLUMNS, column = window % COLUMNS;
    const A* own_pixels = pixels + row * STEP_DOWN * PITCH + column * STEP_ACROSS;
    A sums[EACH][SUMS] = {};
    for (int first = 0; first < INPUTS; first += CHANNELS) {
        if (first) __syncthreads();
        #pragma unroll 4
        for (int number = threadIdx.x; number < CHANNELS * PATCH_DOWN * PATCH_ACROSS; number += THREADS) {
            int x = number % PATCH_ACROSS, y = number / PATCH_ACROSS % PATCH_DOWN;
            int channel = number / (PATCH_ACROSS * PATCH_DOWN);
            A value = 0;
            if (first + channel < INPUTS)
                value = pixel((image * GROUPS + group) * INPUTS + first + channel,
                              locate(first_row * STEP_DOWN + y, first_column * STEP_ACROSS + x));
            pixels[channel * PLANE + y * PITCH + x] = value;
        }
        #pragma unroll 4
        for (int number = threadIdx.x; number < CHANNELS * TAPS * FILTERS; number += THREADS) {
            int filter = number % FILTERS, tap = number / FILTERS % TAPS, channel = number / (FILTERS * TAPS);
            A value = 0;
            if (first + channel < INPUTS && first_filter + filter < OUTPUTS)
                value = read(filters[(i64)group * GROUP_STEP + (i64)(first_filter + filter) * OUTPUT_STEP
                                     + (i64)(first + channel) * INPUT_STEP + (FLIP ? TAPS - 1 - tap : tap)]);
            weights[number] = value;
        }
        __syncthreads();
        #pragma unroll 1
        for (int channel = part; channel < CHANNELS; channel += PARTS) {
            #pragma unroll UNROLLED
            for (int a = 0; a < TAPS_DOWN; ++a) {
                #pragma unroll
                for (int i = 0; i < WINDOW_DOWN; ++i) {
                    const A* line = own_pixels + channel * PLANE + (i * STRIDE_DOWN + a * DILATION_DOWN) * PITCH;
                    A loaded[REACH];
                    #pragma unroll
                    for (int x = 0; x < REACH; ++x) loaded[x] = line[x];
                    #pragma unroll
                    for (int b = 0; b < TAPS_ACROSS; ++b) {
                        #pragma unroll
                        for (int each = 0; each < EACH; ++each) {
                            A weight = weights[((channel * TAPS_DOWN + a) * TAPS_ACROSS + b) * FILTERS
                                               + team * EACH + each];
                            #pragma unroll
                            for (int j = 0; j < WINDOW_ACROSS; ++j)
                                sums[each][i * WINDOW_ACROSS + j] +=
                                    weight * loaded[j * STRIDE_ACROSS + b * DILATION_ACROSS];
                        }
                    }
                }
            }
        }
    }
    bool is_inside = first_row + row < RESULT_DOWN && first_column + column < RESULT_ACROSS;
    auto finish_filter = [&](const A (&of_filter)[SUMS], int each) {
        int filter = first_filter + team * EACH + each;
        if (!is_inside || filter >= OUTPUTS) return;
        i64 plane = (image * GROUPS + group) * OUTPUTS + filter;
$FINISH    };
"""

POOLED = """\
        i64 place = (plane * RESULT_DOWN + first_row + row) * RESULT_ACROSS + first_column + column;
        finish(of_filter, group * OUTPUTS + filter, place);
"""

APART = """\
        #pragma unroll
        for (int place = 0; place < SUMS; ++place) {
            int y = (first_row + row) * WINDOW_DOWN + place / WINDOW_ACROSS;
            int x = (first_column + column) * WINDOW_ACROSS + place % WINDOW_ACROSS;
            A sum[1] = {of_filter[place]};
            if (y < WHOLE_DOWN && x < WHOLE_ACROSS)
                finish(sum, group * OUTPUTS + filter, (plane * WHOLE_DOWN + y) * WHOLE_ACROSS + x);
        }
"""

ALONE = """
    #pragma unroll
    for (int each = 0; each < EACH; ++each) finish_filter(sums[each], each);
"""

TOGETHER = """
    __syncthreads();
    #pragma unroll
    for (int each = 0; each < EACH; ++each)
        #pragma unroll
        for (int place = 0; place < SUMS; ++place)
            memory[((part * EACH + each) * SUMS + place) * (WINDOWS * TEAMS) + slot] = sums[each][place];
    __syncthreads();
    for (int each = part; each < EACH; each += PARTS) {
        A totals[SUMS] = {};
        #pragma unroll
        for (int place = 0; place < SUMS; ++place)
            #pragma unroll
            for (int other = 0; other < PARTS; ++other)
                totals[place] += memory[((other * EACH + each) * SUMS + place) * (WINDOWS * TEAMS) + slot];
        finish_filter(totals, each);
    }
"""

MOST_THREADS = 512
ENOUGH_THREADS = 1024
"""So many keep a multiprocessor busy."""
MOST_SUMS = 40
"""Sums that a thread keeps in registers."""
MOST_UNROLLED = 1600
"""Products that are written out."""
LATENCY = 900
"""Cycles until the first pixels and weights are in shared memory."""
FEWEST_WARPS = 12
"""So many hide each other's waiting."""
BYTES_PER_CYCLE = 32
"""What a multiprocessor gets from the second cache."""


def last_shift(of: Correlation, axis: int) -> int:
    """Return how far from its window's first pixel an axis is read."""
    return (of.window[axis] - 1) * of.stride[axis] + (of.taps[axis] - 1) * of.dilation[axis]


@lru_cache(64)
def _lines(of: Correlation) -> int:
    """Return how many rows of the image a window reads."""
    return len(of.shifts(0))


@dataclass(frozen=True)
class Tile:
    """How a correlation is cut.

    Attributes
    ----------
    of : Correlation
    bytes_each, most_bytes : int
        Of a number in shared memory; how many bytes of it a block may have.
    rows, columns : int
        Windows of a block.
    each, teams : int
        Filters of a thread; how many teams of threads have their own.
    parts : int
        Among how many threads the input channels of a window are divided.
    """

    of: Correlation
    bytes_each: int
    most_bytes: int
    rows: int
    columns: int
    each: int
    teams: int
    parts: int

    @cached_property
    def threads(self) -> int:
        """Of a block."""
        return self.rows * self.columns * self.teams * self.parts

    @cached_property
    def filters(self) -> int:
        """Of a block."""
        return self.each * self.teams

    @cached_property
    def taps(self) -> int:
        """Of one filter and channel."""
        return self.of.taps[0] * self.of.taps[1]

    @cached_property
    def patch(self) -> tuple[int, int]:
        """Rows and columns of the image that a block needs."""
        tile, step = (self.rows, self.columns), self.of.step
        down, across = (1 + (tile[axis] - 1) * step[axis] + last_shift(self.of, axis) for axis in (0, 1))
        return down, across

    @cached_property
    def grid(self) -> tuple[int, int, int]:
        """Blocks."""
        of = self.of
        tiles = ceil(of.result[0] / self.rows) * ceil(of.result[1] / self.columns)
        return of.count * tiles, ceil(of.outputs / self.filters), of.groups

    @cached_property
    def reduction(self) -> int:
        """Numbers in shared memory that adding the parts needs."""
        places = self.of.window[0] * self.of.window[1]
        return self.threads * self.each * places if self.parts > 1 else 0

    @cached_property
    def channels(self) -> int:
        """Input channels that are in shared memory at once, a multiple of the parts; 0 if not even those fit."""
        down, across = self.patch
        # Room for the distances that `layout` chooses.
        one = down * (across + 8) + 36 + self.taps * self.filters
        fitting = self.most_bytes // self.bytes_each // one
        whole = ceil(self.of.inputs / self.parts) * self.parts
        rounds = ceil(whole / max(fitting, 1))
        fewest = ceil(ceil(whole / rounds) / self.parts) * self.parts
        return fewest if fewest <= fitting else fitting // self.parts * self.parts

    @property
    def fits(self) -> bool:
        """Whether a block can be that large."""
        is_launched = max(self.grid[1:]) <= MOST_BLOCKS
        return is_launched and self.channels > 0 and self.reduction * self.bytes_each <= self.most_bytes

    @cached_property
    def layout(self) -> tuple[int, int]:
        """Distance between two rows and between two channels of pixels in shared memory."""
        down, across = self.patch
        step = self.of.step

        def address(thread: int, pitch: int, plane: int) -> int:
            slot, part = thread % (self.rows * self.columns * self.teams), thread // (self.threads // self.parts)
            row, column = divmod(slot % (self.rows * self.columns), self.columns)
            return part * plane + row * step[0] * pitch + column * step[1]

        # Neighbours along a line that start at a multiple of a pack are read as packs.
        pack = gcd(step[1], 16 // self.bytes_each)
        return fewest_turns(
            address, self.threads, (down, across), (8, 32 if self.parts > 1 else 1), pack, self.bytes_each
        )

    @cached_property
    def instructions(self) -> float:
        """About how many instructions a thread needs."""
        of = self.of
        places = of.window[0] * of.window[1]
        lines = _lines(of) if self.unrolled > 1 else of.taps[0] * of.window[0]
        loads = lines * (last_shift(of, 1) + 1) + self.taps * ceil(self.each * self.bytes_each / 16)
        per_channel = 2 * loads + self.taps * places * self.each * (self.bytes_each // 4)
        down, across = self.patch
        filled = self.channels * (down * across + self.taps * self.filters) / self.threads
        total = ceil(of.inputs / self.channels) * (self.channels / self.parts * per_channel + 14 * ceil(filled))
        if self.parts > 1:
            total += 2 * self.each * places + self.parts * places
        return total + 12 * ceil(self.each / self.parts)

    def cycles(self, target: Target) -> float:
        """Return about how long the correlation takes."""
        of = self.of
        down, across = self.patch
        rounds = ceil(of.inputs / self.channels)
        filled = self.channels * (down * across + self.taps * self.filters)
        blocks = prod(self.grid)
        share = ceil(blocks / target.multiprocessors)
        warps = ceil(self.threads / 32)
        shared = max(filled, self.reduction) * self.bytes_each
        resident = resident_blocks(target, shared, self.threads, share)
        # Few warps leave gaps while they wait; a wave of blocks takes as long as its slowest thread.
        busy = share * warps * self.instructions / 4 / min(1, resident * warps / FEWEST_WARPS)
        waves = ceil(share / resident) * (2 * self.instructions + rounds * LATENCY)
        written = of.count * of.groups * of.outputs * prod(of.result) * self.bytes_each
        moved = blocks * rounds * filled * self.bytes_each + 3 * written * max(1, 8 / (self.columns * of.window[1]))
        return max(busy, waves) + 0.2 * busy + moved / (BYTES_PER_CYCLE * target.multiprocessors)

    @cached_property
    def unrolled(self) -> int:
        """How many rows of taps are written out."""
        places = self.of.window[0] * self.of.window[1]
        return self.of.taps[0] if self.taps * places * self.each <= MOST_UNROLLED else 1

    def constants(self) -> dict[str, int]:
        """Return what the text speaks of."""
        of = self.of
        down, across = self.patch
        pitch, plane = self.layout
        tiles = ceil(of.result[0] / self.rows), ceil(of.result[1] / self.columns)
        memory = max(self.channels * (plane + self.taps * self.filters), self.reduction)
        return {
            "MEMORY": memory, "CHANNELS": self.channels, "PLANE": plane, "PITCH": pitch, "ROWS": self.rows,
            "COLUMNS": self.columns, "WINDOWS": self.rows * self.columns, "TEAMS": self.teams, "EACH": self.each,
            "PARTS": self.parts, "FILTERS": self.filters, "THREADS": self.threads, "TAPS": self.taps,
            **pair("RESULT", of.result), **pair("WINDOW", of.window), "SUMS": prod(of.window),
            "TILES_DOWN": tiles[0], "TILES_ACROSS": tiles[1], "STEP_DOWN": of.step[0], "STEP_ACROSS": of.step[1],
            "PATCH_DOWN": down, "PATCH_ACROSS": across, "UNROLLED": self.unrolled, "REACH": last_shift(of, 1) + 1,
        }  # fmt: skip


def tiles(of: Correlation, bytes_each: int, target: Target) -> Iterator[Tile]:
    """Yield all tiles that are worth a thought."""
    places = prod(of.window)
    for each in (1, 2, 4, 8):
        if each > 1 and (each * places * bytes_each // 4 > MOST_SUMS or each >= 2 * of.outputs):
            continue
        for columns, rows in product(_cuts(of.result[1], 64), _cuts(of.result[0], 64)):
            for teams in (1, 2, 4, 5, 8, 10):
                if teams > 1 and _is_wasteful(of.outputs, teams * each):
                    continue
                for parts in (1, 2, 4, 5, 8, 10, 16):
                    if parts > 1 and _is_wasteful(of.inputs, parts):
                        continue
                    if rows * columns * teams * parts > MOST_THREADS:
                        break
                    yield (tile := Tile(of, bytes_each, target.shared_bytes, rows, columns, each, teams, parts))
                    if prod(tile.grid) * tile.threads > ENOUGH_THREADS * target.multiprocessors:
                        break  # parts are for what doesn't fill the device without them


def _is_wasteful(size: int, step: int) -> bool:
    """Whether much of a whole number of steps lies beyond a size."""
    return ceil(size / step) * step > 1.25 * size


def _windows(of: Correlation) -> list[Correlation]:
    """Return a correlation with the windows that a thread may compute: its own, or neighbours if it pools nothing."""
    if prod(of.window) > 1:
        return [of]
    windows = [(1, 1), (1, 2), (2, 2)]
    return [
        replace(of, window=window, result=(ceil(of.result[0] / window[0]), ceil(of.result[1] / window[1])))
        for window in windows if window[0] <= max(of.result[0], 1) and window[1] <= max(of.result[1], 1)
    ]  # fmt: skip


def _cuts(size: int, most: int) -> list[int]:
    """Return into what parts an axis may be cut: equal ones, as far as that goes."""
    return sorted({ceil(size / count) for count in (1, 2, 3, 4, 8, ceil(size / 32), ceil(size / 16))
                   if 0 < ceil(size / max(count, 1)) <= most})  # fmt: skip


@lru_cache(256)
def best_tile(of: Correlation, bytes_each: int, target: Target) -> Tile | None:
    """Return the tile that promises to be fastest; None if none fits into a block."""
    found = [tile for cut in _windows(of) for tile in tiles(cut, bytes_each, target) if tile.fits]
    large = [tile for tile in found if tile.threads >= 64] or found
    return quickest(large, target)


def tiled_correlation(label: str, task: Task, tile: Tile) -> CudaKernel:
    """Return the kernel of a correlation, cut into tiles.

    Parameters
    ----------
    label : str
        What its name begins with.
    task : Task
    tile : Tile
        Of the task's correlation.
    """
    own = task.correlation
    body = BODY.replace("$FINISH", POOLED if tile.of == own else APART) + (ALONE if tile.parts == 1 else TOGETHER)
    named = task.constants | tile.constants() | {"WHOLE_DOWN": own.result[0], "WHOLE_ACROSS": own.result[1]}
    return written_kernel(
        label, task.dtypes, task.buffers, named, task.source.text + task.finish.text + body, tile.grid, tile.threads,
        task.finish.activation, task.correlation.flops, task.bytes,
    )  # fmt: skip


def tile_of(task: Task, target: Target) -> Tile | None:
    """Return how a task is best cut, or None if it can't be."""
    return best_tile(task.correlation, arithmetic_bytes(task.dtypes.operands), target)
