"""Correlations of any sizes by the simplest kernel: each thread computes one window, straight from device memory.

It serves sizes for which the faster kernels have no tile.
"""

from __future__ import annotations

from symgrad.backends.cupy.convolutions.correlations import Task
from symgrad.backends.cupy.convolutions.writing import THREADS, blocks, written_kernel
from symgrad.backends.cupy.kernel import CudaKernel

BODY = """
    i64 number = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (number >= (i64)IMAGES * GROUPS * OUTPUTS * RESULT_DOWN * RESULT_ACROSS) return;
    int x = number % RESULT_ACROSS, y = number / RESULT_ACROSS % RESULT_DOWN;
    i64 plane = number / (RESULT_ACROSS * RESULT_DOWN);
    int channel = plane % (GROUPS * OUTPUTS), group = channel / OUTPUTS;
    i64 image = plane / (GROUPS * OUTPUTS);
    const T* weights = filters + (i64)group * GROUP_STEP + (i64)(channel % OUTPUTS) * OUTPUT_STEP;
    A sums[PLACES] = {};
    for (int input = 0; input < INPUTS; ++input) {
        i64 source = (image * GROUPS + group) * INPUTS + input;
        for (int tap = 0; tap < TAPS_DOWN * TAPS_ACROSS; ++tap) {
            int a = tap / TAPS_ACROSS, b = tap % TAPS_ACROSS;
            A weight = read(weights[(i64)input * INPUT_STEP + (FLIP ? TAPS_DOWN * TAPS_ACROSS - 1 - tap : tap)]);
            #pragma unroll
            for (int place = 0; place < PLACES; ++place) {
                int row = (y * WINDOW_DOWN + place / WINDOW_ACROSS) * STRIDE_DOWN + a * DILATION_DOWN;
                int column = (x * WINDOW_ACROSS + place % WINDOW_ACROSS) * STRIDE_ACROSS + b * DILATION_ACROSS;
                sums[place] += weight * pixel(source, locate(row, column));
            }
        }
    }
    finish(sums, channel, number);
"""


def plain_correlation(label: str, task: Task) -> CudaKernel:
    """Return a kernel for a correlation.

    Parameters
    ----------
    label : str
        What its name begins with.
    task : Task
    """
    return written_kernel(
        label, task.dtypes, task.buffers, task.constants, task.source.text + task.finish.text + BODY,
        blocks(task.windows), THREADS, task.finish.activation, task.correlation.flops, task.bytes,
    )  # fmt: skip
