"""What is done around a convolution that knows neither pooling nor places: before it, after it, and to its filters."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from symgrad.backends.correlation import Pair
from symgrad.backends.cupy.convolutions.correlations import Finish, pair
from symgrad.backends.cupy.convolutions.writing import (
    THREADS,
    Buffer,
    Dtypes,
    blocks,
    element_bytes,
    written_kernel,
)
from symgrad.backends.cupy.kernel import CudaKernel

FINISH = """
    i64 number = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (number >= (i64)PLANES * DOWN * ACROSS) return;
    int x = number % ACROSS, y = number / ACROSS % DOWN;
    i64 plane = number / (ACROSS * DOWN);
    A sums[PLACES];
    #pragma unroll
    for (int place = 0; place < PLACES; ++place) {
        int row = y * WINDOW_DOWN + place / WINDOW_ACROSS, column = x * WINDOW_ACROSS + place % WINDOW_ACROSS;
        sums[place] = read(images[(plane * HEIGHT + row) * WIDTH + column]);
    }
    finish(sums, plane % CHANNELS, number);
"""

TURN = """
    i64 number = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (number >= COUNT) return;
    result[number] = written(read(filters[number - number % TAPS + TAPS - 1 - number % TAPS]));
"""

WIDEN = """
    // Several loads of a thread are on their way at once.
    i64 first = (i64)blockIdx.x * blockDim.x * EACH + threadIdx.x;
    #pragma unroll
    for (int k = 0; k < EACH; ++k) {
        i64 number = first + k * blockDim.x;
        if (number < COUNT) result[number] = written(read(numbers[number]));
    }
"""

EACH = 4
"""Numbers that a thread makes wider."""


def finishing_kernel(label: str, image: Sequence[int], window: Pair, finish: Finish, dtype: str) -> CudaKernel:
    """Return a kernel that pools images and does what follows.

    Parameters
    ----------
    label : str
        What its name begins with.
    image : (N, K, H, W)
        Of the images; rows and columns that no window covers are left out.
    window : (int, int)
    finish : Finish
    dtype : str
    """
    down, across = image[2] // window[0], image[3] // window[1]
    named = {
        "PLANES": image[0] * image[1], "CHANNELS": image[1], "HEIGHT": image[2], "WIDTH": image[3], "DOWN": down,
        "ACROSS": across, "PLACES": prod(window), **pair("WINDOW", window), **finish.constants,
    }  # fmt: skip
    count = image[0] * image[1] * down * across
    buffers = [Buffer("images"), *finish.inputs, *finish.outputs]
    return written_kernel(
        f"{label}_finish", dtype, buffers, named, finish.text + FINISH, blocks(count), activation=finish.activation,
        flops=count * prod(window), bytes=(prod(image) + count) * element_bytes(dtype),
    )  # fmt: skip


def turning_kernel(label: str, filters: Sequence[int], dtypes: Dtypes) -> CudaKernel:
    """Return a kernel that turns filters around: the last tap becomes the first. They may become wider, too."""
    buffers = [Buffer("filters"), Buffer("result", "R", is_read=False)]
    named = {"COUNT": prod(filters), "TAPS": filters[2] * filters[3]}
    size = prod(filters) * (element_bytes(dtypes.operands) + element_bytes(dtypes.results))
    return written_kernel(f"{label}_turn", dtypes, buffers, named, TURN, blocks(prod(filters)), bytes=size)


def widening_kernel(label: str, shape: Sequence[int], dtypes: Dtypes) -> CudaKernel:
    """Return a kernel that copies operands as numbers of the dtype of results."""
    buffers = [Buffer("numbers"), Buffer("result", "R", is_read=False)]
    count = prod(shape)
    size = count * (element_bytes(dtypes.operands) + element_bytes(dtypes.results))
    grid = blocks(count, EACH * THREADS)
    named = {"COUNT": count, "EACH": EACH}
    return written_kernel(f"{label}_widen", dtypes, buffers, named, WIDEN, grid, bytes=size)
