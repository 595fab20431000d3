"""Correlations with many channels as a product of matrices whose right one, the patches, is never written out.

Rows are output channels, columns all positions of all images; with pooling, the places of a window are neighbouring
columns of one thread. The sum runs over taps, and within one over input channels, so that a stage reads one tap's
pixels of some channels: whether they are in the image is the same for all of them. A first kernel brings the filters
into that order, padded with zeros. While a stage is computed, the next one is on its way into registers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, prod

from symgrad.backends.correlation import Correlation
from symgrad.backends.cupy.calls import Temporary
from symgrad.backends.cupy.convolutions.choosing import quickest
from symgrad.backends.cupy.convolutions.correlations import Task, correlation_constants
from symgrad.backends.cupy.convolutions.shared_memory import MOST_BLOCKS, resident_blocks
from symgrad.backends.cupy.convolutions.writing import (
    Buffer,
    arithmetic,
    arithmetic_bytes,
    blocks,
    written_kernel,
)
from symgrad.backends.cupy.kernel import CudaKernel, Target

ARRANGE = """
    int number = blockIdx.x * blockDim.x + threadIdx.x;
    if (number >= GROUPS * TAPS * DEPTH * HEIGHT_OF_ALL) return;
    int output = number % HEIGHT_OF_ALL, input = number / HEIGHT_OF_ALL % DEPTH;
    int tap = number / (HEIGHT_OF_ALL * DEPTH) % TAPS, group = number / (HEIGHT_OF_ALL * DEPTH * TAPS);
    A value = 0;
    if (output < OUTPUTS && input < INPUTS)
        value = read(filters[(i64)group * GROUP_STEP + (i64)output * OUTPUT_STEP + (i64)input * INPUT_STEP
                             + (FLIP ? TAPS - 1 - tap : tap)]);
    arranged[number] = value;
"""

BODY = """
    __shared__ __align__(16) A left[2][STAGE][TALL];
    __shared__ __align__(16) A right[2][STAGE][WIDE];
    constexpr int POSITIONS = RESULT_DOWN * RESULT_ACROSS;
    constexpr int CHUNKS = DEPTH / STAGE, STAGES = TAPS * CHUNKS;
    constexpr int LEFT_EACH = STAGE * TALL / THREADS, RIGHT_EACH = STAGE * WIDE / THREADS;
    int across = threadIdx.x % 16, down = threadIdx.x / 16;
    int group = blockIdx.z, first_output = blockIdx.y * TALL;
    i64 first_column = (i64)blockIdx.x * WIDE;

    // The column that this thread reads pixels of.
    int own_column = threadIdx.x % WIDE, own_channel = threadIdx.x / WIDE;
    i64 column = first_column + own_column;
    bool is_inside = column < ALL_COLUMNS;
    int place = column % PLACES;
    i64 window = column / PLACES, image = window / POSITIONS;
    int position = window % POSITIONS;
    int y = (position / RESULT_ACROSS * WINDOW_DOWN + place / WINDOW_ACROSS) * STRIDE_DOWN;
    int x = (position % RESULT_ACROSS * WINDOW_ACROSS + place % WINDOW_ACROSS) * STRIDE_ACROSS;

    A next_left[LEFT_EACH], next_right[RIGHT_EACH];
    auto fetch = [&](int stage) {
        int tap = stage / CHUNKS, first_input = stage % CHUNKS * STAGE;
        const A* rows = arranged + ((i64)(group * TAPS + tap) * DEPTH + first_input) * HEIGHT_OF_ALL + first_output;
        #pragma unroll
        for (int k = 0; k < LEFT_EACH; ++k) {
            int number = threadIdx.x * LEFT_EACH + k;
            next_left[k] = rows[number / TALL * HEIGHT_OF_ALL + number % TALL];
        }
        int located = locate(y + tap / TAPS_ACROSS * DILATION_DOWN, x + tap % TAPS_ACROSS * DILATION_ACROSS);
        if (!is_inside) located = -1;
        #pragma unroll
        for (int k = 0; k < RIGHT_EACH; ++k) {
            int input = first_input + own_channel + k * (THREADS / WIDE);
            bool is_channel = INPUTS % STAGE == 0 || input < INPUTS;
            next_right[k] = pixel((image * GROUPS + group) * INPUTS + input, is_channel ? located : -1);
        }
    };
    auto keep = [&](int buffer) {
        #pragma unroll
        for (int k = 0; k < LEFT_EACH; ++k) {
            int number = threadIdx.x * LEFT_EACH + k;
            left[buffer][number / TALL][number % TALL] = next_left[k];
        }
        #pragma unroll
        for (int k = 0; k < RIGHT_EACH; ++k)
            right[buffer][own_channel + k * (THREADS / WIDE)][own_column] = next_right[k];
    };
    A sums[TALL / 16][WIDE / 16 / PLACES][PLACES] = {};
    fetch(0);
    keep(0);
    __syncthreads();
    #pragma unroll 1
    for (int stage = 0; stage < STAGES; ++stage) {
        int buffer = stage % 2;
        if (stage + 1 < STAGES) fetch(stage + 1);
        #pragma unroll
        for (int k = 0; k < STAGE; ++k) {
            A weights[TALL / 16], pixels[WIDE / 16];
            #pragma unroll
            for (int i = 0; i < TALL / 16; ++i)
                weights[i] = left[buffer][k][i / LEFT_PACK * 16 * LEFT_PACK + down * LEFT_PACK + i % LEFT_PACK];
            #pragma unroll
            for (int j = 0; j < WIDE / 16; ++j)
                pixels[j] = right[buffer][k][j / RIGHT_PACK * 16 * RIGHT_PACK + across * RIGHT_PACK + j % RIGHT_PACK];
            #pragma unroll
            for (int i = 0; i < TALL / 16; ++i)
                #pragma unroll
                for (int j = 0; j < WIDE / 16; ++j) sums[i][j / PLACES][j % PLACES] += weights[i] * pixels[j];
        }
        if (stage + 1 < STAGES) keep(1 - buffer);
        __syncthreads();
    }
    #pragma unroll
    for (int i = 0; i < TALL / 16; ++i) {
        int output = first_output + i / LEFT_PACK * 16 * LEFT_PACK + down * LEFT_PACK + i % LEFT_PACK;
        #pragma unroll
        for (int j = 0; j < WIDE / 16; j += PLACES) {
            i64 of_sums = first_column + j / RIGHT_PACK * 16 * RIGHT_PACK + across * RIGHT_PACK + j % RIGHT_PACK;
            if (output >= OUTPUTS || of_sums >= ALL_COLUMNS) continue;
            i64 of_window = of_sums / PLACES, plane = (of_window / POSITIONS * GROUPS + group) * OUTPUTS + output;
            finish(sums[i][j / PLACES], group * OUTPUTS + output, plane * POSITIONS + of_window % POSITIONS);
        }
    }
"""

THREADS = 256
STAGE = 8
LATENCY = 900
"""Cycles until the first stage is in shared memory."""
LAUNCH = 2500
"""Cycles that a second kernel costs."""
FEWEST_WARPS = 12
"""So many hide each other's waiting."""
PLACES = (1, 2, 4, 8)
"""Windows whose places fit into a thread's columns."""


@dataclass(frozen=True)
class Product:
    """How a product is cut: into blocks of rows and columns, a power of two times 16 of each."""

    of: Correlation
    bytes_each: int
    tall: int
    wide: int

    @property
    def places(self) -> int:
        """Of a window."""
        return prod(self.of.window)

    @property
    def columns(self) -> int:
        """Of the whole product."""
        return self.of.count * prod(self.of.result) * self.places

    @property
    def depth(self) -> int:
        """Input channels, with zeros to a whole number of stages."""
        return ceil(self.of.inputs / STAGE) * STAGE

    @property
    def rows(self) -> int:
        """Output channels, with zeros to a whole number of blocks."""
        return ceil(self.of.outputs / self.tall) * self.tall

    @property
    def grid(self) -> tuple[int, int, int]:
        """Blocks."""
        return ceil(self.columns / self.wide), self.rows // self.tall, self.of.groups

    @property
    def shared_bytes(self) -> int:
        """Of a block."""
        return 2 * STAGE * (self.tall + self.wide) * self.bytes_each

    @property
    def arranged(self) -> int:
        """How many numbers the arranged filters are."""
        return self.of.groups * prod(self.of.taps) * self.depth * self.rows

    def cycles(self, target: Target) -> float:
        """Return about how long the product takes."""
        stages = prod(self.of.taps) * self.depth // STAGE
        tall, wide = self.tall // 16, self.wide // 16
        loads = 2 * ceil((tall + wide) * self.bytes_each / 16)
        moved = STAGE * (self.tall + self.wide) / THREADS
        instructions = stages * (STAGE * (tall * wide * (self.bytes_each // 4) + loads) + 6 * moved + 40)
        instructions += 12 * tall * wide / self.places
        share = ceil(prod(self.grid) / target.multiprocessors)
        resident = resident_blocks(target, self.shared_bytes, THREADS, min(share, 2))
        warps = THREADS // 32
        busy = share * warps * instructions / 4 / min(1, resident * warps / FEWEST_WARPS)
        waves = ceil(share / resident) * (2 * instructions + LATENCY)
        return max(busy, waves) + 0.2 * busy + LAUNCH

    def constants(self) -> dict[str, int]:
        """Return what the text speaks of."""
        return {
            "TAPS": prod(self.of.taps), "DEPTH": self.depth, "HEIGHT_OF_ALL": self.rows, "STAGE": STAGE,
            "TALL": self.tall, "WIDE": self.wide, "THREADS": THREADS, "ALL_COLUMNS": self.columns,
            "LEFT_PACK": min(4, self.tall // 16), "RIGHT_PACK": max(self.places, min(4, self.wide // 16)),
        }  # fmt: skip


def products(of: Correlation, bytes_each: int) -> Iterator[Product]:
    """Yield all ways to cut that are worth a thought."""
    places = prod(of.window)
    if places not in PLACES or of.groups > MOST_BLOCKS or of.inputs < STAGE:
        return
    for tall in (32, 64, 128):
        for wide in (32, 64, 128):
            product = Product(of, bytes_each, tall, wide)
            is_wasteful = tall > 32 and tall >= 2 * of.outputs
            is_large = tall * wide * bytes_each > 128 * 128 * 4 or max(product.columns, product.arranged) >= 2**31
            if wide // 16 >= places and not is_wasteful and not is_large:
                yield product


def best_product(task: Task, target: Target) -> Product | None:
    """Return the way to cut that promises to be fastest; None if there is none."""
    found = [
        product for product in products(task.correlation, arithmetic_bytes(task.dtypes.operands))
        if product.shared_bytes <= target.shared_bytes
    ]  # fmt: skip
    return quickest(found, target)


def product_kernels(
    label: str, task: Task, product: Product
) -> tuple[tuple[CudaKernel, Temporary], CudaKernel]:
    """Return a correlation's kernels: the first arranges the filters in a temporary, which the second reads for them.

    Parameters
    ----------
    label : str
        What their names begin with.
    task : Task
    product : Product
        Of the task's correlation.
    """
    arranged = Buffer("arranged", arithmetic(task.dtypes.operands), is_read=False)
    first = written_kernel(
        f"{label}_filters", task.dtypes, [Buffer("filters"), arranged],
        correlation_constants(task.correlation) | product.constants(), ARRANGE, blocks(product.arranged),
    )  # fmt: skip
    read = replace(arranged, is_read=True)
    buffers = [read if buffer.name == "filters" else buffer for buffer in task.buffers]
    second = written_kernel(
        label, task.dtypes, buffers, task.constants | product.constants(), task.source.text + task.finish.text + BODY,
        product.grid, THREADS, task.finish.activation, task.correlation.flops, task.bytes,
    )  # fmt: skip
    return (first, Temporary(product.arranged * arithmetic_bytes(task.dtypes.operands))), second
