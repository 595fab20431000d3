"""Convolutions whose output stays sorted by position in the pooling window, from product to product.

Max pooling a batch of small images spends its time on strided elements, and so does moving the batch in and out of the
order that BLAS works in. Here the convolution's output is never put into (N, K, H, W): it stays as products make it,

    windows[b, y, i, k, j, x, n] = output[b * images + n, k, y * window[0] + i, x * window[1] + j]

where b counts blocks of the batch. All that belongs to one output row is one matrix (k; j, x, n), and the maximum of a
window is that of a few slices, each of long runs.

The pixels under each row of filter taps are copied once, as matrices (c, tap column; j, x, n), one for each image row.
The patches of an output row are those matrices from as many image rows as the filter has, which lie one after another:
one bigger matrix, without a copy. So an image is copied as often as a filter has columns, not as often as it has taps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import DTypeLike

from symgrad.backends.numpy.convolution import Workspace
from symgrad.backends.numpy.library import GEMM, Attributes, cached, plain_call, routine
from symgrad.errors import ShapeError
from symgrad.kernels.reference import Padding, Pair, conv2d_output_shape

Array = np.ndarray[Any, Any]
Shape4 = tuple[int, int, int, int]

# Small products, one for each output row, are made by one call and then summed, if they take no more memory than this;
# gemm sums bigger ones itself.
PRODUCT_BYTES = 1 << 17


@dataclass(frozen=True)
class WindowedGeometry:
    """The shapes and attributes of one convolution of stride 1 and its pooling windows.

    Parameters
    ----------
    image_shape : (N, C, H, W)
    filter_shape : (K, C, height, width)
    padding : pair of (int, int)
        Zeros before and after, for each axis.
    flip : bool
        Whether the filters are mirrored.
    window : (int, int)
        Sizes of the pooling windows.
    images : int
        How many images make one block; it divides N.

    Examples
    --------
    >>> WindowedGeometry((10, 1, 28, 28), (20, 1, 5, 5), ((0, 0), (0, 0)), True, (2, 2), 5).windows_shape
    (2, 12, 2, 20, 2, 12, 5)
    """

    image_shape: Shape4
    filter_shape: Shape4
    padding: Padding
    flip: bool
    window: Pair
    images: int

    def __post_init__(self) -> None:
        if self.image_shape[0] % self.images:
            raise ShapeError(f"{self.image_shape[0]} images don't fall into blocks of {self.images}")

    @property
    def windows_shape(self) -> tuple[int, ...]:
        """(blocks, Y, window height, K, window width, X, images)."""
        count, filters, height, width = conv2d_output_shape(self.image_shape, self.filter_shape, self.padding)
        (tall, wide), images = self.window, self.images
        return count // images, height // tall, tall, filters, wide, width // wide, images

    @property
    def output_rows(self) -> int:
        """How many rows of the convolution's output lie in windows."""
        return self.windows_shape[1] * self.window[0]

    @property
    def columns(self) -> int:
        """How many outputs one row has, in all images of a block."""
        _, _, _, _, wide, across, images = self.windows_shape
        return wide * across * images

    def matrices(self, windows: Array) -> Array:
        """Return windows as (blocks, output rows, K, columns)."""
        return np.ascontiguousarray(windows).reshape(-1, self.output_rows, self.filter_shape[0], self.columns)

    def blocks(self, images: Array) -> Array:
        """Return images as a view (blocks, C, H, W, images)."""
        _, channels, height, width = self.image_shape
        return images.reshape(-1, self.images, channels, height, width).transpose(0, 2, 3, 4, 1)

    def correlating(self, filters: Array) -> Array:
        """Return filters as a view that correlates where the filters convolve."""
        return filters[:, :, ::-1, ::-1] if self.flip else filters


class _Patches:
    """The memory for one block of images, and the views with which it is filled and read.

    Attributes
    ----------
    rows : (image rows, C * width, columns)
        For each row of the padded images what the taps of one filter row meet.
    matrices : (output rows, height * C * width, columns)
        The patches of each output row: overlapping views of `rows`.
    """

    def __init__(self, geometry: WindowedGeometry, dtype: DTypeLike, workspace: Workspace) -> None:
        _, channels, height, width = geometry.image_shape
        (top, bottom), (left, right) = geometry.padding
        taps_down, taps_across = geometry.filter_shape[2:]
        _, _, _, _, wide, across, images = geometry.windows_shape
        # Columns of images that are a window's width apart lie side by side, and the batch is the fastest axis.
        frame_width = -(-(left + width + right) // wide)
        self.frame = np.zeros((wide, channels, top + height + bottom, frame_width, images), dtype)
        self._insides: list[tuple[Array, slice]] = []
        for phase in range(wide):
            first = max(0, -((phase - left) // wide))
            columns = slice(phase + wide * first - left, width, wide)
            count = len(range(*columns.indices(width)))
            self._insides.append((self.frame[phase, :, top : top + height, first : first + count], columns))
        used = geometry.output_rows + taps_down - 1
        self.rows = workspace.array(0, (used, channels * taps_across, geometry.columns), dtype)
        by_tap = self.rows.reshape(used, channels, taps_across, wide, across, images).transpose(2, 3, 1, 0, 4, 5)
        self._shifts: list[tuple[Array, Array]] = []
        for tap in range(taps_across):
            for j in range(wide):
                first, phase = divmod(tap + j, wide)
                self._shifts.append((by_tap[tap, j], self.frame[phase, :, :used, first : first + across]))
        size = taps_down * channels * taps_across
        self.matrices = as_strided(self.rows, (geometry.output_rows, size, geometry.columns), self.rows.strides)

    def fill(self, images: Array) -> None:
        """Copy the pixels of images (C, H, W, images) to where the taps meet them."""
        for inside, columns in self._insides:
            np.copyto(inside, images[:, :, columns])
        for patch, pixels in self._shifts:
            np.copyto(patch, pixels)

    def add_up(self, images: Array) -> None:
        """Write into images (C, H, W, images) the sum of what `rows` holds for each pixel."""
        self.frame.fill(0)
        for patch, pixels in self._shifts:
            np.add(pixels, patch, out=pixels)
        for inside, columns in self._insides:
            np.copyto(images[:, :, columns], inside)


class _WindowedKernel:
    """What the three kernels share.

    Parameters
    ----------
    geometry : WindowedGeometry
    dtype : float dtype
        Of all operands and results.
    workspace : Workspace
        Scratch memory that kernels share which don't run at the same time.
    """

    def __init__(self, geometry: WindowedGeometry, dtype: DTypeLike, workspace: Workspace) -> None:
        self.geometry = geometry
        self._patches = _Patches(geometry, dtype, workspace)
        count, channels, height, width = geometry.filter_shape
        self._taps = np.empty((height, channels, width, count), dtype)


class WindowedForward(_WindowedKernel):
    """The convolution, sorted by windows."""

    def __call__(self, images: Array, filters: Array, out: Array | None = None) -> Array:
        """Return the windows, in `out` if given."""
        geometry, patches = self.geometry, self._patches
        result = np.empty(geometry.windows_shape, images.dtype) if out is None else out
        np.copyto(self._taps, geometry.correlating(filters).transpose(2, 1, 3, 0))
        filter_matrix = self._taps.reshape(-1, geometry.filter_shape[0]).T
        for block, product in zip(geometry.blocks(images), geometry.matrices(result), strict=True):
            patches.fill(block)
            np.matmul(filter_matrix, patches.matrices, out=product)
        return result


class WindowedFilterGradient(_WindowedKernel):
    """The gradient of the convolution with respect to its filters, from cotangents sorted by windows."""

    def __init__(self, geometry: WindowedGeometry, dtype: DTypeLike, workspace: Workspace) -> None:
        super().__init__(geometry, dtype, workspace)
        self._sum = self._taps.reshape(-1, geometry.filter_shape[0])
        self._gemm = GEMM[self._sum.dtype]
        self._columns = [patches.T for patches in self._patches.matrices]
        self._products: Array | None = None
        if geometry.output_rows * self._sum.nbytes <= PRODUCT_BYTES:
            self._products = workspace.array(1, (geometry.output_rows, *self._sum.shape), dtype)

    def __call__(self, images: Array, cotangent: Array, out: Array | None = None) -> Array:
        """Return the (K, C, height, width) gradient, in `out` if given."""
        geometry = self.geometry
        result = np.empty(geometry.filter_shape, images.dtype) if out is None else out
        self._sum.fill(0)
        for block, factors in zip(geometry.blocks(images), geometry.matrices(cotangent), strict=True):
            self._patches.fill(block)
            if self._products is None:
                self._add_each(factors)
            else:
                np.matmul(self._patches.matrices, factors.transpose(0, 2, 1), out=self._products)
                self._sum += np.add.reduce(self._products, 0)
        np.copyto(geometry.correlating(result).transpose(2, 1, 3, 0), self._taps)
        return result

    def _add_each(self, factors: Array) -> None:
        """Let gemm add each row's product to the sum; BLAS counts columns first, so it sees all transposed."""
        for factor, columns in zip(factors, self._columns, strict=True):
            self._gemm(1.0, factor.T, columns, 1.0, self._sum.T, 1, 0, 1)


class WindowedInputGradient(_WindowedKernel):
    """The gradient of the convolution with respect to its images, from cotangents sorted by windows.

    What an image row gets comes from as many output rows as the filter has, which lie one after another: their sum is
    one product, and only the filter's columns are left to add up.
    """

    def __init__(self, geometry: WindowedGeometry, dtype: DTypeLike, workspace: Workspace) -> None:
        super().__init__(geometry, dtype, workspace)
        count, channels, height, width = geometry.filter_shape
        self._stacked = self._taps.reshape(channels, width, height, count)  # the same memory in another order
        taps = self._stacked.reshape(channels * width, height * count)
        self._products: list[tuple[Array, slice, Array]] = []
        for row, target in enumerate(self._patches.rows):
            first = row - height + 1
            start, stop = max(first, 0), min(row + 1, geometry.output_rows)
            factor = taps[:, (start - first) * count : (stop - first) * count]
            self._products.append((factor, slice(start * count, stop * count), target))

    def __call__(self, filters: Array, cotangent: Array, out: Array | None = None) -> Array:
        """Return the (N, C, H, W) gradient, in `out` if given."""
        geometry = self.geometry
        result = np.empty(geometry.image_shape, filters.dtype) if out is None else out
        np.copyto(self._stacked, geometry.correlating(filters)[:, :, ::-1].transpose(1, 3, 2, 0))
        for block, factors in zip(geometry.blocks(result), geometry.matrices(cotangent), strict=True):
            stacked = factors.reshape(-1, geometry.columns)
            for taps, rows, target in self._products:
                np.dot(taps, stacked[rows], target)
            self._patches.add_up(block)
        return result


# ---- pooling --------------------------------------------------------------------------------------------------------


def _pooled_blocks(images: Array, windows: Array) -> Array:
    """Return pooled images (N, K, Y, X) as a view (blocks, K, Y, X, images)."""
    return images.reshape(len(windows), -1, *images.shape[1:]).transpose(0, 2, 3, 4, 1)


def _maximum_of(slices: Sequence[Array], out: Array) -> None:
    if len(slices) == 1:
        np.copyto(out, slices[0])
        return
    np.maximum(slices[0], slices[1], out=out)
    for part in slices[2:]:
        np.maximum(out, part, out=out)


class WindowMaximum:
    """The maximum of each window.

    Parameters
    ----------
    shape : tuple of int
        Of the windows: (blocks, Y, window height, K, window width, X, images).
    dtype : float dtype
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        blocks, down, _, filters, wide, across, images = shape
        self._shape = (blocks * images, filters, down, across)
        self._rows = np.empty((down, filters, wide, across, images), dtype)
        self._pooled = np.empty((filters, down, across, images), dtype)

    def __call__(self, windows: Array, out: Array | None = None) -> Array:
        """Return the (N, K, Y, X) maxima, in `out` if given."""
        result = np.empty(self._shape, windows.dtype) if out is None else out
        rows = [self._rows[:, :, j] for j in range(self._rows.shape[2])]
        for block, target in zip(windows, _pooled_blocks(result, windows), strict=True):
            _maximum_of([block[:, i] for i in range(block.shape[1])], self._rows)
            _maximum_of(rows, self._pooled.transpose(1, 0, 2, 3))
            np.copyto(target, self._pooled)
        return result


class WindowMaximumGradient:
    """Each window's cotangent at its first maximum, sorted by windows.

    Parameters
    ----------
    shape, dtype
        As `WindowMaximum` takes them.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._shape = shape
        _, down, tall, filters, wide, across, images = shape
        self._places = [(slice(None), i, slice(None), j) for i in range(tall) for j in range(wide)]
        self._maximum = np.empty((down, filters, across, images), dtype)
        self._rest = np.empty_like(self._maximum)
        self._wins = np.empty(self._maximum.shape, bool)

    def __call__(self, windows: Array, maximum: Array, cotangent: Array, out: Array | None = None) -> Array:
        """Return the gradient, of the windows' shape, in `out` if given."""
        result = np.empty(self._shape, windows.dtype) if out is None else out
        views = (_pooled_blocks(maximum, windows), _pooled_blocks(cotangent, windows))
        for block, largest, part, gradient in zip(windows, *views, result, strict=True):
            np.copyto(self._maximum, largest.transpose(1, 0, 2, 3))
            np.copyto(self._rest, part.transpose(1, 0, 2, 3))
            self._spread(block, gradient)
        return result

    def _spread(self, windows: Array, gradient: Array) -> None:
        """Give each position in turn what it wins, and keep the rest for those after it.

        Numbers are taken apart as bits: ``rest * wins`` is all of a number or none, also of infinities and NaN.
        """
        maximum, wins = self._maximum, self._wins
        bits = np.dtype(f"u{maximum.itemsize}")
        rest, spread = self._rest.view(bits), gradient.view(bits)
        flat = maximum.reshape(-1)
        may_be_nan = bool(np.isnan(np.dot(flat, flat)))
        *places, last = self._places
        for place in places:
            np.equal(windows[place], maximum, out=wins)
            if may_be_nan:
                np.logical_or(wins, np.isnan(windows[place]), out=wins)
            np.multiply(rest, wins.view("u1"), out=spread[place])
            np.bitwise_xor(rest, spread[place], out=spread[last] if place is places[-1] else rest)
        if not places:
            np.copyto(spread[last], rest)


# ---- routines -------------------------------------------------------------------------------------------------------


@routine
def windowed_conv2d(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """Convolution, sorted by pooling windows."""

    def make(images: Array, filters: Array) -> Any:
        return WindowedForward(WindowedGeometry(images.shape, filters.shape, **attributes), images.dtype, workspace)

    return cached(make, plain_call)


@routine
def windowed_filter_gradient(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """The cotangent of a convolution's filters, from one that is sorted by pooling windows."""
    height, width = attributes.pop("filter_size")

    def make(images: Array, cotangent: Array) -> Any:
        shape = (cotangent.shape[3], images.shape[1], height, width)
        return WindowedFilterGradient(WindowedGeometry(images.shape, shape, **attributes), images.dtype, workspace)

    return cached(make, plain_call)


@routine
def windowed_input_gradient(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """The cotangent of a convolution's images, from one that is sorted by pooling windows."""
    height, width = attributes.pop("image_size")

    def make(filters: Array, cotangent: Array) -> Any:
        shape = (cotangent.shape[0] * cotangent.shape[6], filters.shape[1], height, width)
        return WindowedInputGradient(WindowedGeometry(shape, filters.shape, **attributes), filters.dtype, workspace)

    return cached(make, plain_call)


@routine
def window_maximum(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """The maximum of each window."""

    def make(windows: Array) -> Any:
        return WindowMaximum(windows.shape, windows.dtype)

    return cached(make, plain_call)


@routine
def window_maximum_gradient(attributes: Attributes, workspace: Workspace) -> Callable[..., Any]:
    """Each window's cotangent at its first maximum."""

    def make(windows: Array, maximum: Array, cotangent: Array) -> Any:
        return WindowMaximumGradient(windows.shape, windows.dtype)

    return cached(make, plain_call)
