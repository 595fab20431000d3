"""Gradients of filters with many channels as products of matrices, one for each tap, summed over all positions.

Rows are output channels and columns input channels; the sum runs over the positions of all images, whose cotangents and
pixels under the tap a block reads side by side. Stages are shared out among blocks, so that few channels fill a device
too; a second kernel adds their sums in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, prod

from symgrad.backends.correlation import Correlation
from symgrad.backends.cupy.calls import Temporary
from symgrad.backends.cupy.convolutions.choosing import quickest
from symgrad.backends.cupy.convolutions.correlations import Source, correlation_constants
from symgrad.backends.cupy.convolutions.plain_filters import Pieces, sum_of_parts
from symgrad.backends.cupy.convolutions.shared_memory import MOST_BLOCKS, resident_blocks
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
    // Rows are four numbers longer than they must be: neighbours down a column lie in other banks.
    __shared__ __align__(16) A left[2][STAGE][TALL + 4];
    __shared__ __align__(16) A right[2][STAGE][WIDE + 4];
    constexpr int LEFT_EACH = STAGE * TALL / THREADS, RIGHT_EACH = STAGE * WIDE / THREADS;
    int across = threadIdx.x % 16, down = threadIdx.x / 16;
    int first_output = blockIdx.x / BLOCKS_ACROSS * TALL, first_input = blockIdx.x % BLOCKS_ACROSS * WIDE;
    int tap = blockIdx.y, group = blockIdx.z % GROUPS, share = blockIdx.z / GROUPS;
    int a = tap / TAPS_ACROSS * DILATION_DOWN, b = tap % TAPS_ACROSS * DILATION_ACROSS;
    int first_stage = (i64)STAGES * share / SHARES, last_stage = (i64)STAGES * (share + 1) / SHARES;
    int own_place = threadIdx.x % STAGE, own_channel = threadIdx.x / STAGE;

    A next_left[LEFT_EACH], next_right[RIGHT_EACH];
    auto fetch = [&](int stage) {
        i64 number = (i64)stage * STAGE + own_place, image = number / POSITIONS;
        int position = number % POSITIONS;
        bool is_inside = image < IMAGES;
        int located = locate(position / RESULT_ACROSS * STRIDE_DOWN + a, position % RESULT_ACROSS * STRIDE_ACROSS + b);
        if (!is_inside) located = -1;
        #pragma unroll
        for (int k = 0; k < LEFT_EACH; ++k) {
            int output = first_output + own_channel + k * (THREADS / STAGE);
            i64 at = ((image * GROUPS + group) * OUTPUTS + output) * POSITIONS + position;
            next_left[k] = is_inside && output < OUTPUTS ? A(read(values[at])) : A(0);
        }
        #pragma unroll
        for (int k = 0; k < RIGHT_EACH; ++k) {
            int input = first_input + own_channel + k * (THREADS / STAGE);
            next_right[k] = pixel((image * GROUPS + group) * INPUTS + input, input < INPUTS ? located : -1);
        }
    };
    auto keep = [&](int buffer) {
        #pragma unroll
        for (int k = 0; k < LEFT_EACH; ++k)
            left[buffer][own_place][own_channel + k * (THREADS / STAGE)] = next_left[k];
        #pragma unroll
        for (int k = 0; k < RIGHT_EACH; ++k)
            right[buffer][own_place][own_channel + k * (THREADS / STAGE)] = next_right[k];
    };
    A sums[TALL / 16][WIDE / 16] = {};
    fetch(first_stage);
    keep(0);
    __syncthreads();
    #pragma unroll 1
    for (int stage = first_stage; stage < last_stage; ++stage) {
        int buffer = (stage - first_stage) % 2;
        if (stage + 1 < last_stage) fetch(stage + 1);
        #pragma unroll
        for (int k = 0; k < STAGE; ++k) {
            A factors[TALL / 16], pixels[WIDE / 16];
            #pragma unroll
            for (int i = 0; i < TALL / 16; ++i)
                factors[i] = left[buffer][k][i / LEFT_PACK * 16 * LEFT_PACK + down * LEFT_PACK + i % LEFT_PACK];
            #pragma unroll
            for (int j = 0; j < WIDE / 16; ++j)
                pixels[j] = right[buffer][k][j / RIGHT_PACK * 16 * RIGHT_PACK + across * RIGHT_PACK + j % RIGHT_PACK];
            #pragma unroll
            for (int i = 0; i < TALL / 16; ++i)
                #pragma unroll
                for (int j = 0; j < WIDE / 16; ++j) sums[i][j] += factors[i] * pixels[j];
        }
        if (stage + 1 < last_stage) keep(1 - buffer);
        __syncthreads();
    }
    #pragma unroll
    for (int i = 0; i < TALL / 16; ++i)
        #pragma unroll
        for (int j = 0; j < WIDE / 16; ++j) {
            int output = first_output + i / LEFT_PACK * 16 * LEFT_PACK + down * LEFT_PACK + i % LEFT_PACK;
            int input = first_input + j / RIGHT_PACK * 16 * RIGHT_PACK + across * RIGHT_PACK + j % RIGHT_PACK;
            if (output >= OUTPUTS || input >= INPUTS) continue;
            int place = FLIP ? TAPS - 1 - tap : tap;
            i64 weight = ((i64)(group * OUTPUTS + output) * INPUTS + input) * TAPS + place;
            A total = sums[i][j];
            $STORE
        }
"""

THREADS = 256
STAGE = 16
LATENCY = 900
"""Cycles until the first stage is in shared memory."""
LAUNCH = 2500
"""Cycles that a second kernel costs."""
FEWEST_WARPS = 12
"""So many hide each other's waiting."""
MOST_SHARES = 256


@dataclass(frozen=True)
class FilterProduct:
    """How the products are cut: into blocks of rows and columns, a power of two times 16 of each, and shares."""

    of: Correlation
    bytes_each: int
    tall: int
    wide: int
    shares: int

    @property
    def stages(self) -> int:
        """Of the whole sum."""
        return ceil(self.of.count * prod(self.of.result) / STAGE)

    @property
    def blocks(self) -> tuple[int, int]:
        """Of rows and columns."""
        return ceil(self.of.outputs / self.tall), ceil(self.of.inputs / self.wide)

    @property
    def grid(self) -> tuple[int, int, int]:
        """Blocks."""
        return prod(self.blocks), prod(self.of.taps), self.of.groups * self.shares

    @property
    def weights(self) -> int:
        """How many numbers the result has."""
        return self.of.groups * self.of.outputs * self.of.inputs * prod(self.of.taps)

    @property
    def shared_bytes(self) -> int:
        """Of a block."""
        return 2 * STAGE * (self.tall + self.wide + 8) * self.bytes_each

    def cycles(self, target: Target) -> float:
        """Return about how long the products take."""
        tall, wide = self.tall // 16, self.wide // 16
        loads = 2 * ceil((tall + wide) * self.bytes_each / 16)
        moved = STAGE * (self.tall + self.wide) / THREADS
        stage = STAGE * (tall * wide * (self.bytes_each // 4) + loads) + 9 * moved + 50
        instructions = ceil(self.stages / self.shares) * stage + 12 * tall * wide
        share = ceil(prod(self.grid) / target.multiprocessors)
        resident = resident_blocks(target, self.shared_bytes, THREADS, min(share, 2))
        warps = THREADS // 32
        busy = share * warps * instructions / 4 / min(1, resident * warps / FEWEST_WARPS)
        waves = ceil(share / resident) * (2 * instructions + LATENCY)
        second = LAUNCH + self.shares * 40 if self.shares > 1 else 0
        return max(busy, waves) + 0.2 * busy + second + self.shares * self.weights / 8 / target.multiprocessors

    def constants(self) -> dict[str, int]:
        """Return what the text speaks of."""
        return {
            "TAPS": prod(self.of.taps), "STAGE": STAGE, "STAGES": self.stages, "TALL": self.tall, "WIDE": self.wide,
            "THREADS": THREADS, "SHARES": self.shares, "BLOCKS_ACROSS": self.blocks[1],
            "POSITIONS": prod(self.of.result), "LEFT_PACK": min(4, self.tall // 16),
            "RIGHT_PACK": min(4, self.wide // 16),
        }  # fmt: skip


def filter_products(of: Correlation, bytes_each: int, target: Target) -> Iterator[FilterProduct]:
    """Yield all ways to cut that are worth a thought."""
    if min(of.outputs, of.inputs) < 16 or prod(of.taps) > MOST_BLOCKS:
        return
    for tall in (32, 64, 128):
        for wide in (32, 64, 128):
            if tall * wide * bytes_each > 128 * 128 * 4:
                continue
            alone = FilterProduct(of, bytes_each, tall, wide, 1)
            most = min(MOST_SHARES, alone.stages)
            wanted = [ceil(waves * target.multiprocessors / prod(alone.grid)) for waves in (0, 1, 2, 4)]
            for shares in sorted({max(1, min(count, most)) for count in wanted}):
                if of.groups * shares <= MOST_BLOCKS:
                    yield FilterProduct(of, bytes_each, tall, wide, shares)


def best_filter_product(of: Correlation, dtype: str, target: Target) -> FilterProduct | None:
    """Return the way to cut that promises to be fastest; None if there is none."""
    found = [
        product for product in filter_products(of, arithmetic_bytes(dtype), target)
        if product.shared_bytes <= target.shared_bytes
    ]  # fmt: skip
    return quickest(found, target)


def filter_product_kernels(
    label: str, source: Source, dtypes: Dtypes, product: FilterProduct, operands: Sequence[int | Temporary],
    output: int | Temporary,
) -> Pieces:
    """Return the kernels of the gradient of a correlation's filters, from plain images and cotangents.

    Parameters
    ----------
    label : str
        What their names begin with.
    source : Source
        The correlation.
    dtypes : Dtypes
    product : FilterProduct
    operands : sequence of int or Temporary
        Images and cotangents.
    output : int or Temporary
    """
    of, weights, is_alone = product.of, product.weights, product.shares == 1
    store = "result[weight] = written(total);" if is_alone else f"result[(i64)share * {weights} + weight] = total;"
    result = Buffer("result", "R" if is_alone else arithmetic(dtypes.results), is_read=False)
    read = source.elements + of.count * of.groups * of.outputs * prod(of.result)
    kernel = written_kernel(
        label, dtypes, [Buffer("images"), Buffer("values"), result],
        source.constants | correlation_constants(of) | product.constants(), source.text + BODY.replace("$STORE", store),
        product.grid, THREADS, flops=of.flops,
        bytes=read * element_bytes(dtypes.operands) + weights * element_bytes(dtypes.results),
    )  # fmt: skip
    if is_alone:
        return [(kernel, [*operands, output])]
    partial = Temporary(product.shares * weights * arithmetic_bytes(dtypes.results))
    total = sum_of_parts(label, weights, product.shares, dtypes.results)
    return [(kernel, [*operands, partial]), (total, [partial, output])]
