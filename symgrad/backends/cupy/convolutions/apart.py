"""What is done around a convolution that knows neither pooling nor places: before it, after it, and to its filters."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from symgrad.backends.correlation import Pair
from symgrad.backends.cupy.convolutions.correlations import Finish, pair
from symgrad.backends.cupy.convolutions.writing import Buffer, blocks, element_bytes, written_kernel
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
    result[number] = filters[number - number % TAPS + TAPS - 1 - number % TAPS];
"""


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


def turning_kernel(label: str, filters: Sequence[int], dtype: str) -> CudaKernel:
    """Return a kernel that turns filters around: the last tap becomes the first."""
    buffers = [Buffer("filters"), Buffer("result", is_read=False)]
    named = {"COUNT": prod(filters), "TAPS": filters[2] * filters[3]}
    size = 2 * prod(filters) * element_bytes(dtype)
    return written_kernel(f"{label}_turn", dtype, buffers, named, TURN, blocks(prod(filters)), bytes=size)
