"""Gradients of filters of any sizes by the simplest kernel: a thread for each weight and each part of the images.

It serves sizes for which the faster kernels have no tile. Parts are added by a second kernel, always in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.backends.cupy.calls import Temporary
from symgrad.backends.cupy.convolutions.correlations import Source, correlation_constants
from symgrad.backends.cupy.convolutions.writing import (
    Buffer,
    Dtypes,
    arithmetic,
    arithmetic_bytes,
    blocks,
    written_kernel,
)
from symgrad.backends.cupy.kernel import CudaKernel

Pieces = list[tuple[CudaKernel, list[int | Temporary]]]

BODY = """
    i64 number = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (number >= (i64)PARTS * WEIGHTS) return;
    int part = number / WEIGHTS, weight = number % WEIGHTS;
    int tap = weight % (TAPS_DOWN * TAPS_ACROSS), input = weight / (TAPS_DOWN * TAPS_ACROSS) % INPUTS;
    int channel = weight / (TAPS_DOWN * TAPS_ACROSS * INPUTS), group = channel / OUTPUTS;
    if (FLIP) tap = TAPS_DOWN * TAPS_ACROSS - 1 - tap;
    int a = tap / TAPS_ACROSS * DILATION_DOWN, b = tap % TAPS_ACROSS * DILATION_ACROSS;
    A total = 0;
    for (i64 image = part; image < IMAGES; image += PARTS) {
        i64 plane = image * GROUPS * OUTPUTS + channel, source = (image * GROUPS + group) * INPUTS + input;
        for (int y = 0; y < ROWS; ++y)
            for (int x = 0; x < COLUMNS; ++x) {
                $TERM
            }
    }
    $STORE
"""

DENSE_TERM = """\
A value = read(values[(plane * ROWS + y) * COLUMNS + x]);
                total += value * pixel(source, locate(y * STRIDE_DOWN + a, x * STRIDE_ACROSS + b));"""

SPARSE_TERM = """\
i64 window = (plane * ROWS + y) * COLUMNS + x;
                int place = places[window];
                int row = y * SPARSE_DOWN + place / SPARSE_ACROSS, column = x * SPARSE_ACROSS + place % SPARSE_ACROSS;
                total += A(read(values[window])) * pixel(source, locate(row + a, column + b));"""

SUM = """
    i64 number = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (number >= WEIGHTS) return;
    A total = 0;
    #pragma unroll 8
    for (int part = 0; part < PARTS; ++part) total += partial[(i64)part * WEIGHTS + number];
    result[number] = written(total);
"""

FEWEST_THREADS = 1 << 16
"""So many keep a device busy."""


def plain_filter_gradient(
    label: str, source: Source, sparse: tuple[int, int] | None, dtypes: Dtypes, operands: Sequence[int | Temporary],
    output: int | Temporary,
) -> Pieces:
    """Return the kernels of the gradient of a correlation's filters.

    Parameters
    ----------
    label : str
        What their names begin with.
    source : Source
        The correlation, with plain images.
    sparse : (int, int), optional
        The pooling windows whose values at places make the cotangent.
    dtypes : Dtypes
    operands : sequence of int or Temporary
        Images and cotangents, or images, values and places.
    output : int or Temporary
    """
    of = source.correlation
    weights = of.groups * of.outputs * of.inputs * of.taps[0] * of.taps[1]
    parts = max(1, min(of.count, FEWEST_THREADS // weights))
    rows, columns = of.result if sparse is None else (of.result[0] // sparse[0], of.result[1] // sparse[1])
    named = source.constants | correlation_constants(of) | {
        "WEIGHTS": weights, "PARTS": parts, "ROWS": rows, "COLUMNS": columns,
    }  # fmt: skip
    buffers = [Buffer("images"), Buffer("values")]
    if sparse is not None:
        named |= {"SPARSE_DOWN": sparse[0], "SPARSE_ACROSS": sparse[1]}
        buffers.append(Buffer("places", "u8"))
    store = "result[number] = written(total);" if parts == 1 else "result[number] = total;"
    body = source.text + BODY.replace("$TERM", DENSE_TERM if sparse is None else SPARSE_TERM).replace("$STORE", store)
    result = Buffer("result", "R" if parts == 1 else arithmetic(dtypes.results), is_read=False)
    kernel = written_kernel(
        label, dtypes, [*buffers, result], named, body, blocks(parts * weights), flops=of.flops,
    )  # fmt: skip
    if parts == 1:
        return [(kernel, [*operands, output])]
    partial = Temporary(parts * weights * arithmetic_bytes(dtypes.results))
    total = sum_of_parts(label, weights, parts, dtypes.results)
    return [(kernel, [*operands, partial]), (total, [partial, output])]


def sum_of_parts(label: str, weights: int, parts: int, dtype: str) -> CudaKernel:
    """Return a kernel that adds parts (parts, weights), the first first; its result is of this dtype."""
    buffers = [Buffer("partial", arithmetic(dtype)), Buffer("result", is_read=False)]
    return written_kernel(
        f"{label}_sum", dtype, buffers, {"WEIGHTS": weights, "PARTS": parts}, SUM, blocks(weights),
        flops=weights * parts, bytes=weights * (parts + 1) * arithmetic_bytes(dtype),
    )  # fmt: skip
