"""Convolution by BLAS: patches of the images become the columns of a matrix, and the filters the rows of another.

A kernel object is made once for given shapes: it owns its scratch memory and every view of it, so that a call is a few
copies and matrix products into preallocated memory. Inside, the batch is the fastest axis (C, H, W, N): a patch is then
a run of ``W' * N`` numbers, which copies at memory speed where rows of a small image would not. The batch, and large
images also by rows, go through in blocks whose patches stay in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import DTypeLike

from symgrad.kernels.reference import NO_PADDING, Padding, Pair, conv2d_output_shape

Array = np.ndarray[Any, Any]
Shape4 = tuple[int, int, int, int]

# A block's patches and outputs fill about this much memory; but the filters are read again for each block, so a block
# never has fewer columns than would make that cheap.
BLOCK_BYTES = 1 << 21
FEWEST_COLUMNS = 512


@dataclass(frozen=True)
class Conv2dGeometry:
    """The shapes and attributes of one convolution; its kernels are made from it.

    Parameters
    ----------
    input_shape : (N, C, H, W)
    filter_shape : (K, C / groups, height, width)
    padding, stride, dilation, groups, flip
        As `symgrad.kernels.reference.conv2d` takes them.

    Examples
    --------
    >>> Conv2dGeometry((10, 1, 28, 28), (20, 1, 5, 5)).output_shape
    (10, 20, 24, 24)
    """

    input_shape: Shape4
    filter_shape: Shape4
    padding: Padding = NO_PADDING
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    groups: int = 1
    flip: bool = True

    @property
    def output_shape(self) -> Shape4:
        """(N, K, H', W')."""
        return conv2d_output_shape(self.input_shape, self.filter_shape, self.padding, self.stride, self.dilation)

    @property
    def filter_matrix_shape(self) -> tuple[int, int, int]:
        """(groups, K / groups, C / groups * height * width): the filters as one matrix a group."""
        count, channels, height, width = self.filter_shape
        return self.groups, count // self.groups, channels * height * width

    @property
    def windows_overlap(self) -> bool:
        """Whether an input pixel can belong to more than one output."""
        axes = zip(self.filter_shape[2:], self.stride, self.dilation, self.output_shape[2:], strict=True)
        return any(outputs > 1 and stride < (size - 1) * step + 1 for size, stride, step, outputs in axes)

    def block_sizes(self, itemsize: int) -> Pair:
        """Return how many images, and how many output rows of each, make one block."""
        count, _, height, width = self.output_shape
        column_size = self.input_shape[1] * self.filter_shape[2] * self.filter_shape[3] + self.filter_shape[0]
        columns = max(FEWEST_COLUMNS, BLOCK_BYTES // max(1, column_size * itemsize))
        images = min(max(1, columns // max(1, height * width)), max(1, count))
        if images > 1:
            blocks = -(-count // images)
            return -(-count // blocks), height
        return 1, min(height, max(1, columns // max(1, width)))


class Workspace:
    """Scratch memory that kernels share, because each needs it only during its own call.

    Kernels that run at the same time must not share one.

    Examples
    --------
    >>> Workspace().array(0, (2, 3), np.float32).shape
    (2, 3)
    """

    def __init__(self) -> None:
        self._buffers: dict[int, Array] = {}

    def array(self, slot: int, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an array over one slot's memory; arrays of different slots don't overlap."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        buffer = self._buffers.get(slot)
        if buffer is None or buffer.size < size:
            buffer = self._buffers[slot] = np.empty(size, np.uint8)
        return buffer[:size].view(dtype).reshape(shape)


class _RowBlock:
    """Some output rows of a block of images: the views that a kernel needs to compute them.

    Attributes
    ----------
    windows : (C, height, width, rows, W', images)
        For each tap of the filter the pixels it meets: overlapping views of the images.
    patches : same shape
        Contiguous scratch for `windows`, and the same memory as `patch_matrix` (groups, taps, columns).
    outputs : (images, K, rows, W')
        View of scratch which is `output_matrix` (groups, K / groups, columns).
    """

    def __init__(self, geometry: Conv2dGeometry, rows: slice, images: Array, workspace: Workspace) -> None:
        self.rows = rows
        groups, filters, filter_size = geometry.filter_matrix_shape
        count = images.shape[3]
        width = geometry.output_shape[3]
        columns = (rows.stop - rows.start) * width * count
        self.windows = _windows(geometry, rows, images)
        self.patch_matrix = workspace.array(0, (groups, filter_size, columns), images.dtype)
        self.patches = self.patch_matrix.reshape(self.windows.shape)
        self.output_matrix = workspace.array(1, (groups, filters, columns), images.dtype)
        output_rows = self.output_matrix.reshape(groups * filters, rows.stop - rows.start, width, count)
        self.outputs = output_rows.transpose(3, 0, 1, 2)
        height, width = geometry.filter_shape[2:]
        self.taps = [(self.windows[:, i, j], self.patches[:, i, j]) for i in range(height) for j in range(width)]


def _windows(geometry: Conv2dGeometry, rows: slice, images: Array) -> Array:
    """Return the pixels under each tap as a view; a flipped filter meets the window's pixels in reverse."""
    (_, channels, _, _), (_, _, height, width) = geometry.input_shape, geometry.filter_shape
    channel_step, row_step, column_step, image_step = images.strides
    tap_row_step, tap_column_step = row_step * geometry.dilation[0], column_step * geometry.dilation[1]
    corner = images[:, rows.start * geometry.stride[0] :]
    if geometry.flip:
        corner = corner[:, (height - 1) * geometry.dilation[0] :, (width - 1) * geometry.dilation[1] :]
        tap_row_step, tap_column_step = -tap_row_step, -tap_column_step
    shape = (channels, height, width, rows.stop - rows.start, geometry.output_shape[3], images.shape[3])
    output_steps = (row_step * geometry.stride[0], column_step * geometry.stride[1], image_step)
    return as_strided(corner, shape, (channel_step, tap_row_step, tap_column_step, *output_steps))


class _ImageBlock:
    """A block of images with the batch as the fastest axis, in a zero frame of padding."""

    def __init__(self, geometry: Conv2dGeometry, count: int, rows: int, dtype: DTypeLike, workspace: Workspace) -> None:
        _, channels, height, width = geometry.input_shape
        (top, bottom), (left, right) = geometry.padding
        self.padded = np.zeros((channels, height + top + bottom, width + left + right, count), dtype)
        self.images = self.padded[:, top : top + height, left : left + width].transpose(3, 0, 1, 2)
        output_height = geometry.output_shape[2]
        slices = [slice(start, min(start + rows, output_height)) for start in range(0, output_height, rows or 1)]
        self.row_blocks = [_RowBlock(geometry, part, self.padded, workspace) for part in slices]


class _Conv2dKernel:
    """What the three kernels share: the blocks of their geometry."""

    def __init__(self, geometry: Conv2dGeometry, dtype: DTypeLike, workspace: Workspace | None = None) -> None:
        self.geometry = geometry
        self.dtype = np.dtype(dtype)
        self._workspace = workspace or Workspace()
        self._is_empty = 0 in geometry.output_shape or 0 in geometry.input_shape or 0 in geometry.filter_shape
        self._blocks = [] if self._is_empty else list(self._make_blocks())

    def _make_blocks(self) -> Iterator[tuple[slice, _ImageBlock]]:
        """Yield each block's slice of the batch, and its memory: the same for all but a smaller last one."""
        count = self.geometry.input_shape[0]
        images, rows = self.geometry.block_sizes(self.dtype.itemsize)
        blocks: dict[int, _ImageBlock] = {}
        for start in range(0, count, images):
            size = min(images, count - start)
            if size not in blocks:
                blocks[size] = _ImageBlock(self.geometry, size, rows, self.dtype, self._workspace)
            yield slice(start, start + size), blocks[size]

    def _output(self, out: Array | None, shape: Shape4) -> Array:
        return np.empty(shape, self.dtype) if out is None else out

    def _filter_matrix(self, filters: Array) -> Array:
        return filters.reshape(self.geometry.filter_matrix_shape)


class Conv2dForward(_Conv2dKernel):
    """The convolution of given shapes; see `symgrad.kernels.reference.conv2d` for its meaning.

    Parameters
    ----------
    geometry : Conv2dGeometry
    dtype : float dtype
        Of images, filters and output.
    workspace : Workspace, optional
        Scratch memory to share with other kernels that don't run at the same time.

    Examples
    --------
    >>> kernel = Conv2dForward(Conv2dGeometry((1, 1, 1, 4), (1, 1, 1, 2)), np.float64)
    >>> kernel(np.arange(4.0).reshape(1, 1, 1, 4), np.array([[[[1.0, 10.0]]]]))
    array([[[[ 1., 12., 23.]]]])
    """

    def __call__(self, images: Array, filters: Array, out: Array | None = None) -> Array:
        """Return the (N, K, H', W') output, in `out` if given."""
        output = self._output(out, self.geometry.output_shape)
        if self._is_empty:
            output.fill(0)
            return output
        filter_matrix = self._filter_matrix(filters)
        for batch, block in self._blocks:
            np.copyto(block.images, images[batch])
            for part in block.row_blocks:
                np.copyto(part.patches, part.windows)
                np.matmul(filter_matrix, part.patch_matrix, out=part.output_matrix)
                np.copyto(output[batch, :, part.rows], part.outputs)
        return output


class Conv2dInputGradient(_Conv2dKernel):
    """The gradient of a convolution with respect to its images; see `symgrad.kernels.reference.conv2d_input_gradient`.

    Parameters
    ----------
    geometry : Conv2dGeometry
        Of the convolution itself.
    dtype : float dtype
        Of cotangent, filters and gradient.
    workspace : Workspace, optional
        Scratch memory to share with other kernels that don't run at the same time.
    """

    def __call__(self, cotangent: Array, filters: Array, out: Array | None = None) -> Array:
        """Return the (N, C, H, W) gradient, in `out` if given."""
        gradient = self._output(out, self.geometry.input_shape)
        if self._is_empty:
            gradient.fill(0)
            return gradient
        transposed = self._filter_matrix(filters).transpose(0, 2, 1)
        overlap = self.geometry.windows_overlap
        # With one filter a group each product is an outer one, and matmul is slow at those.
        product = np.multiply if transposed.shape[2] == 1 else np.matmul
        for batch, block in self._blocks:
            block.padded.fill(0)
            for part in block.row_blocks:
                np.copyto(part.outputs, cotangent[batch, :, part.rows])
                product(transposed, part.output_matrix, out=part.patch_matrix)
                if overlap:
                    for pixels, patch in part.taps:
                        np.add(pixels, patch, out=pixels)
                else:
                    np.copyto(part.windows, part.patches)
            np.copyto(gradient[batch], block.images)
        return gradient


class Conv2dFilterGradient(_Conv2dKernel):
    """The gradient of a convolution with respect to its filters, `symgrad.kernels.reference.conv2d_filter_gradient`.

    Parameters
    ----------
    geometry : Conv2dGeometry
        Of the convolution itself.
    dtype : float dtype
        Of images, cotangent and gradient.
    workspace : Workspace, optional
        Scratch memory to share with other kernels that don't run at the same time.
    """

    def __init__(self, geometry: Conv2dGeometry, dtype: DTypeLike, workspace: Workspace | None = None) -> None:
        super().__init__(geometry, dtype, workspace)
        self._sum = np.empty(geometry.filter_matrix_shape, self.dtype)
        self._term = np.empty_like(self._sum)

    def __call__(self, images: Array, cotangent: Array, out: Array | None = None) -> Array:
        """Return the (K, C / groups, height, width) gradient, in `out` if given."""
        gradient = self._output(out, self.geometry.filter_shape)
        if self._is_empty:
            gradient.fill(0)
            return gradient
        target = self._sum
        for batch, block in self._blocks:
            np.copyto(block.images, images[batch])
            for part in block.row_blocks:
                np.copyto(part.patches, part.windows)
                np.copyto(part.outputs, cotangent[batch, :, part.rows])
                np.matmul(part.output_matrix, part.patch_matrix.transpose(0, 2, 1), out=target)
                if target is self._term:
                    np.add(self._sum, self._term, out=self._sum)
                target = self._term
        np.copyto(gradient, self._sum.reshape(gradient.shape))
        return gradient
