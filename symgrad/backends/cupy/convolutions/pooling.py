"""Pooling alone, and its gradients: a thread for each number of the result, which it gathers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from symgrad.backends.cupy.convolutions.correlations import pair
from symgrad.backends.cupy.convolutions.writing import Buffer, blocks, element_bytes, written_kernel
from symgrad.backends.cupy.kernel import CudaKernel

SPANS = """
    // Rows and columns of a window: [top, bottom) and [left, right), which the image cuts off.
    auto top = [](int y) { int start = y * STRIDE_DOWN - PAD_DOWN; return start < 0 ? 0 : start; };
    auto left = [](int x) { int start = x * STRIDE_ACROSS - PAD_ACROSS; return start < 0 ? 0 : start; };
    auto bottom = [](int y) {
        int end = y * STRIDE_DOWN - PAD_DOWN + WINDOW_DOWN;
        return end < HEIGHT ? end : HEIGHT;
    };
    auto right = [](int x) {
        int end = x * STRIDE_ACROSS - PAD_ACROSS + WINDOW_ACROSS;
        return end < WIDTH ? end : WIDTH;
    };
    // By how many pixels an average divides: with INC_PAD those of the pad count, what hangs over doesn't.
    auto count = [&](int y, int x) {
        if (!INC_PAD) return A((bottom(y) - top(y)) * (right(x) - left(x)));
        int rows = HEIGHT + 2 * PAD_DOWN - y * STRIDE_DOWN, columns = WIDTH + 2 * PAD_ACROSS - x * STRIDE_ACROSS;
        return A((rows < WINDOW_DOWN ? rows : WINDOW_DOWN) * (columns < WINDOW_ACROSS ? columns : WINDOW_ACROSS));
    };
"""

WINNER = """
    // Where in its plane a window's maximum is: the first pixel that equals it or is nan; -1 if there is none.
    auto winner = [&](const T* pixels, int y, int x, A maximum) {
        for (int row = top(y); row < bottom(y); ++row)
            for (int column = left(x); column < right(x); ++column) {
                A value = read(pixels[row * WIDTH + column]);
                if (value != value || value == maximum) return row * WIDTH + column;
            }
        return -1;
    };
"""

WINDOW = """
    i64 number = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (number >= (i64)PLANES * DOWN * ACROSS) return;
    int x = number % ACROSS, y = number / ACROSS % DOWN;
    i64 plane = number / (DOWN * ACROSS);
"""

POOL = WINDOW + """
    const T* pixels = images + plane * (HEIGHT * WIDTH);
    A total = IS_MAXIMUM ? A(read(pixels[top(y) * WIDTH + left(x)])) : A(0);  // no window is empty
    for (int row = top(y); row < bottom(y); ++row)
        for (int column = left(x); column < right(x); ++column) {
            A value = read(pixels[row * WIDTH + column]);
            if (!IS_MAXIMUM) total += value;
            else if (total == total && !(value <= total)) total = value;
        }
    result[number] = written(IS_AVERAGE ? total / count(y, x) : total);
"""

PUSHFORWARD = WINDOW + """
    int place = winner(images + plane * (HEIGHT * WIDTH), y, x, read(maxima[number]));
    result[number] = place < 0 ? written(A(0)) : tangent[plane * (HEIGHT * WIDTH) + place];
"""

PIXEL = """
    i64 number = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (number >= (i64)PLANES * HEIGHT * WIDTH) return;
    int column = number % WIDTH, row = number / WIDTH % HEIGHT;
    i64 plane = number / (HEIGHT * WIDTH);
    // The windows that cover the pixel.
    int first_y = row + PAD_DOWN < WINDOW_DOWN ? 0 : (row + PAD_DOWN - WINDOW_DOWN) / STRIDE_DOWN + 1;
    int first_x = column + PAD_ACROSS < WINDOW_ACROSS ? 0 : (column + PAD_ACROSS - WINDOW_ACROSS) / STRIDE_ACROSS + 1;
    int last_y = (row + PAD_DOWN) / STRIDE_DOWN, last_x = (column + PAD_ACROSS) / STRIDE_ACROSS;
    last_y = last_y < DOWN ? last_y : DOWN - 1;
    last_x = last_x < ACROSS ? last_x : ACROSS - 1;
    A total = 0;
    for (int y = first_y; y <= last_y; ++y)
        for (int x = first_x; x <= last_x; ++x) {
            i64 window = (plane * DOWN + y) * ACROSS + x;
"""

MAX_GRADIENT = PIXEL + """
            // Cheap first: only a pixel that equals the maximum, or is nan, can be its window's first.
            A maximum = read(maxima[window]), own = read(images[number]);
            if (own == own && own != maximum) continue;
            if (winner(images + plane * (HEIGHT * WIDTH), y, x, maximum) != row * WIDTH + column) continue;
            total += read(cotangent[window]);
        }
    result[number] = written(total);
"""

SUM_GRADIENT = PIXEL + """
            A value = read(cotangent[window]);
            total += IS_AVERAGE ? value / count(y, x) : value;
        }
    result[number] = written(total);
"""

AT_PLACES = """
    i64 number = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (number >= (i64)PLANES * HEIGHT * WIDTH) return;
    int column = number % WIDTH, row = number / WIDTH % HEIGHT;
    int y = row / WINDOW_DOWN, x = column / WINDOW_ACROSS;
    T value = written(A(0));
    if (y < DOWN && x < ACROSS) {
        i64 window = (number / (HEIGHT * WIDTH) * DOWN + y) * ACROSS + x;
        int place = (row - y * WINDOW_DOWN) * WINDOW_ACROSS + column - x * WINDOW_ACROSS;
        if (places[window] == place) value = values[window];
    }
    result[number] = value;
"""


def pooling_kernel(
    name: str, attributes: Mapping[str, Any], image: Sequence[int], pooled: Sequence[int], dtype: str
) -> CudaKernel:
    """Return the kernel of one of the routines of pooling.

    Parameters
    ----------
    name : {"pool2d", "max_pool_gradient", "max_pool_pushforward", "sum_pool_gradient", "at_places"}
    attributes : mapping
        Of the routine.
    image, pooled : shape
        Of the images and of what pooling makes of them.
    dtype : str
        Of both.
    """
    result = Buffer("result", is_read=False)
    maximum = [Buffer("images"), Buffer("maxima")]
    buffers, body = {
        "pool2d": ([Buffer("images")], SPANS + POOL),
        "max_pool_gradient": ([*maximum, Buffer("cotangent")], SPANS + WINNER + MAX_GRADIENT),
        "max_pool_pushforward": ([*maximum, Buffer("tangent")], SPANS + WINNER + PUSHFORWARD),
        "sum_pool_gradient": ([Buffer("cotangent")], SPANS + SUM_GRADIENT),
        "at_places": ([Buffer("values"), Buffer("places", "u8")], AT_PLACES),
    }[name]
    mode = attributes.get("mode", "max")
    constants = {
        "PLANES": prod(image[:-2]), "HEIGHT": image[-2], "WIDTH": image[-1], "DOWN": pooled[-2], "ACROSS": pooled[-1],
        "IS_MAXIMUM": int(mode == "max"), "IS_AVERAGE": int(mode.startswith("average")),
        "INC_PAD": int(mode == "average_inc_pad"),
    }  # fmt: skip
    window = attributes["window"]
    constants |= pair("WINDOW", window) | pair("STRIDE", attributes.get("stride") or window)
    constants |= pair("PAD", attributes.get("pad", (0, 0)))
    is_pooled = name in ("pool2d", "max_pool_pushforward")
    count = prod(pooled) if is_pooled else prod(image)
    size = (sum(prod(pooled) if buffer.name in POOLED else prod(image) for buffer in buffers) + count)
    return written_kernel(
        name, dtype, [*buffers, result], constants, body, blocks(count), flops=prod(pooled) * prod(window),
        bytes=size * element_bytes(dtype),
    )  # fmt: skip


POOLED = frozenset(("maxima", "cotangent", "values", "places"))
"""The buffers that have a number for each window."""
