"""Pooling as two poolings along one axis each, first within rows and then across them.

A kernel object is made once for given shapes: it owns its scratch memory, so that a call allocates nothing. Every step
is one NumPy function over all windows at once, for one place in the window; an axis with windows of size w takes w
steps, so the kernels take the sum of the window's sizes, not their product.

The maximum of a window is the maximum of its rows' maxima, and the first pixel in row-major order that equals it is the
first in the first row that holds it: so the gradient, too, goes axis by axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from symgrad.kernels.reference_pooling import (
    Pair,
    PoolMode,
    Ties,
    pool_counts,
    pool_divisors,
    pool_output_shape,
    pool_output_size,
)

Array = np.ndarray[Any, Any]
Index = tuple[Any, ...]

# The batch goes through in blocks of about this much memory, so that the scratch arrays stay in the cache.
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Pool2dGeometry:
    """The shapes and attributes of one pooling of the last two axes; its kernels are made from it.

    Parameters
    ----------
    input_shape : (..., H, W)
    window : (int, int)
    stride : (int, int), optional
        `window` when not given.
    pad : (int, int)
    ignore_border : bool
        As `symgrad.kernels.reference_pooling.pool2d` takes them.

    Examples
    --------
    >>> Pool2dGeometry((10, 20, 24, 24), (2, 2)).output_shape
    (10, 20, 12, 12)
    """

    input_shape: tuple[int, ...]
    window: Pair
    stride: Pair | None = None
    pad: Pair = (0, 0)
    ignore_border: bool = True

    @property
    def steps(self) -> Pair:
        """The stride of each axis."""
        return self.stride or self.window

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(..., H', W')."""
        return pool_output_shape(self.input_shape, self.window, self.stride, self.pad, self.ignore_border)


class _Axis:
    """The windows of one axis, seen place by place.

    Attributes
    ----------
    places : list of (index of the pooled array, index of the unpooled array)
        For each place in the window, the windows that have a pixel there, and these pixels.
    is_whole : bool
        Whether every window has all its pixels: nothing padded, nothing hanging over.
    is_scattered : bool
        Whether the pixels at one place are apart in memory.
    is_disjoint, is_partition : bool
        Whether every pixel is in at most one window; in exactly one.
    """

    def __init__(self, geometry: Pool2dGeometry, axis: int) -> None:
        size, window, pad = geometry.input_shape[axis], geometry.window[axis], geometry.pad[axis]
        stride = geometry.steps[axis]
        count = pool_output_size(size, window, stride, pad, geometry.ignore_border)
        suffix = (slice(None),) * (-1 - axis)
        self.places: list[tuple[Index, Index]] = []
        for place in range(window):
            first = max(0, -((place - pad) // stride))
            last = min(count, (size - 1 + pad - place) // stride + 1)
            if first < last:
                start = first * stride - pad + place
                pixels = slice(start, start + (last - first - 1) * stride + 1, stride)
                self.places.append(((..., slice(first, last), *suffix), (..., pixels, *suffix)))
        counts = pool_counts(size, window, stride, pad, geometry.ignore_border, "average_exc_pad")
        self.is_whole = bool(np.all(counts == window))
        self.is_scattered = axis == -1 and stride > 1
        self.is_disjoint = stride >= window
        self.is_partition = self.is_disjoint and int(counts.sum()) == size
        self.window = window

    def reduce(self, function: np.ufunc, identity: float, pixels: Array, out: Array, scratch: Array) -> None:
        """Combine the pixels of each window into `out`, with the help of `scratch` of the same shape."""
        places = self.places
        if self.is_whole:
            np.copyto(out, pixels[places[0][1]])
            places = places[1:]
        else:
            out.fill(identity)
        for windows, index in places:
            target, operand = out[windows], pixels[index]
            if self.is_scattered and function is np.maximum:
                # A maximum of neighbours in memory is one vector instruction, of scattered numbers a branch for each.
                operand = scratch[windows]
                np.copyto(operand, pixels[index])
            function(target, operand, out=target)

    def spread(self, values: Array, out: Array) -> None:
        """Add each window's value to all of its pixels: the adjoint of a sum."""
        if not self.is_partition:
            out.fill(0)
        for windows, index in self.places:
            if self.is_disjoint:
                np.copyto(out[index], values[windows])
            else:
                target = out[index]
                np.add(target, values[windows], out=target)


class _Winners:
    """Selects, place by place along one axis, the pixels that equal their window's maximum.

    A mask is an integer of the float's width with all bits set or none, so that `and` with a float's bits selects it
    exactly: a product would turn an infinite cotangent into NaN everywhere else in its window.
    """

    def __init__(self, axis: _Axis, shape: tuple[int, ...], dtype: np.dtype[Any], ties: Ties) -> None:
        self._axis = axis
        self._first_only = ties == "first"
        self._bits = np.dtype(f"i{dtype.itemsize}")
        self._wins = np.empty(shape, np.int8)
        self._open = np.empty(shape, np.int8)
        self._mask = np.empty(shape, self._bits)
        self._selected = np.empty(shape, dtype)

    def scatter(self, pixels: Array, maximum: Array, cotangent: Array, out: Array) -> None:
        """Add each window's cotangent to its winner's gradient in `out`."""
        axis = self._axis
        if not axis.is_partition:
            out.fill(0)
        cotangent_bits, out_bits = cotangent.view(self._bits), out.view(self._bits)
        for windows, index, mask in self._masks(pixels, maximum):
            if axis.is_disjoint:
                np.bitwise_and(cotangent_bits[windows], mask, out=out_bits[index])
            else:
                selected, target = self._selected[: len(maximum)][windows], out[index]
                np.bitwise_and(cotangent_bits[windows], mask, out=selected.view(self._bits))
                np.add(target, selected, out=target)

    def gather(self, pixels: Array, maximum: Array, tangent: Array, out: Array) -> None:
        """Put the sum of the winners' tangents into `out`, for each window."""
        out.fill(0)
        tangent_bits = tangent.view(self._bits)
        for windows, index, mask in self._masks(pixels, maximum):
            selected, target = self._selected[: len(maximum)][windows], out[windows]
            np.bitwise_and(tangent_bits[index], mask, out=selected.view(self._bits))
            np.add(target, selected, out=target)

    def _masks(self, pixels: Array, maximum: Array) -> Iterator[tuple[Index, Index, Array]]:
        """Yield for each place its windows, its pixels, and the mask of the windows whose winner is there."""
        has_nan = bool(np.isnan(maximum.min()))
        count = len(maximum)
        self._open.fill(1)
        for place, (windows, index) in enumerate(self._axis.places):
            wins, still_open = self._wins[:count][windows], self._open[:count][windows]
            mask = self._mask[:count][windows]
            if self._first_only and place == self._axis.window - 1:
                wins = still_open  # whoever found no winner before finds it at the last place
            else:
                self._find(pixels[index], maximum[windows], wins.view(bool), still_open.view(bool), has_nan)
            np.negative(wins, out=wins)
            np.copyto(mask, wins)
            yield windows, index, mask

    def _find(self, pixels: Array, maximum: Array, wins: Array, still_open: Array, has_nan: bool) -> None:
        """Set `wins` where a pixel is its window's winner, and close these windows if only the first may win."""
        np.equal(pixels, maximum, out=wins)
        if has_nan:
            np.logical_or(wins, np.isnan(pixels), out=wins)
        if self._first_only:
            np.logical_and(wins, still_open, out=wins)
            np.greater(still_open, wins, out=still_open)


class _Pool2dKernel:
    """What the kernels share: their axes, and the blocks in which they go through the batch."""

    def __init__(self, geometry: Pool2dGeometry, dtype: DTypeLike) -> None:
        self.geometry = geometry
        self.dtype = np.dtype(dtype)
        self._is_empty = 0 in geometry.output_shape or 0 in geometry.input_shape
        self._across, self._within = _Axis(geometry, -2), _Axis(geometry, -1)
        batch = geometry.input_shape[:-2] or (1,)
        image_bytes = prod((*batch[1:], *geometry.input_shape[-2:])) * self.dtype.itemsize
        size = max(1, min(batch[0], BLOCK_BYTES // max(1, image_bytes)))
        self._slices = [slice(start, start + size) for start in range(0, batch[0], size)]
        self._block_shape = (size, *batch[1:], *geometry.output_shape[-2:])
        self._rows_shape = (*self._block_shape[:-2], geometry.input_shape[-2], geometry.output_shape[-1])

    def _parts(self, *arrays: Array) -> Iterator[tuple[Array, ...]]:
        """Yield the arrays' parts that belong to one block; a single image is a block."""
        if self._is_empty:
            return
        if len(self.geometry.input_shape) == 2:
            yield tuple(array[None] for array in arrays)
            return
        for part in self._slices:
            yield tuple(array[part] for array in arrays)

    def _output(self, out: Array | None, shape: tuple[int, ...]) -> Array:
        output = np.empty(shape, self.dtype) if out is None else out
        if self._is_empty:
            output.fill(0)
        return output

    def _divisors(self, mode: PoolMode) -> Array | None:
        """Return what averages divide by: one number if all windows agree, None for sums."""
        if mode not in ("average_inc_pad", "average_exc_pad"):
            return None
        geometry = self.geometry
        counts = pool_divisors(
            geometry.input_shape, geometry.window, geometry.steps, geometry.pad, geometry.ignore_border, mode
        ).astype(self.dtype)
        return counts.flat[0] if counts.size and np.all(counts == counts.flat[0]) else counts


class Pool2dForward(_Pool2dKernel):
    """Max, sum or average pooling of given shapes; see `symgrad.kernels.reference_pooling.pool2d` for its meaning.

    Parameters
    ----------
    geometry : Pool2dGeometry
    dtype : float dtype
        Of images and output.
    mode : {"max", "sum", "average_inc_pad", "average_exc_pad"}

    Examples
    --------
    >>> Pool2dForward(Pool2dGeometry((4, 4), (2, 2)), np.float64)(np.arange(16.0).reshape(4, 4))
    array([[ 5.,  7.],
           [13., 15.]])
    """

    def __init__(self, geometry: Pool2dGeometry, dtype: DTypeLike, mode: PoolMode = "max") -> None:
        super().__init__(geometry, dtype)
        self._function: np.ufunc = np.maximum if mode == "max" else np.add
        self._identity = -np.inf if mode == "max" else 0.0
        self._divisors_of_mode = self._divisors(mode)
        self._columns = np.empty((*self._block_shape[:-1], geometry.input_shape[-1]), self.dtype)
        self._scratch = np.empty(self._block_shape, self.dtype)

    def __call__(self, images: Array, out: Array | None = None) -> Array:
        """Return the (..., H', W') output, in `out` if given."""
        output = self._output(out, self.geometry.output_shape)
        function, identity = self._function, self._identity
        for pixels, pooled in self._parts(images, output):
            columns, scratch = self._columns[: len(pixels)], self._scratch[: len(pixels)]
            self._across.reduce(function, identity, pixels, columns, scratch)
            self._within.reduce(function, identity, columns, pooled, scratch)
            if self._divisors_of_mode is not None:
                np.divide(pooled, self._divisors_of_mode, out=pooled)
        return output


class SumPool2dGradient(_Pool2dKernel):
    """The gradient of sum and average pooling; see `symgrad.kernels.reference_pooling.sum_pool_gradient`.

    Parameters
    ----------
    geometry : Pool2dGeometry
    dtype : float dtype
        Of cotangent and gradient.
    mode : {"sum", "average_inc_pad", "average_exc_pad"}
    """

    def __init__(self, geometry: Pool2dGeometry, dtype: DTypeLike, mode: PoolMode) -> None:
        super().__init__(geometry, dtype)
        self._divisors_of_mode = self._divisors(mode)
        self._shares = np.empty(self._block_shape, self.dtype)
        self._rows = np.empty(self._rows_shape, self.dtype)

    def __call__(self, cotangent: Array, out: Array | None = None) -> Array:
        """Return the (..., H, W) gradient, in `out` if given."""
        gradient = self._output(out, self.geometry.input_shape)
        for part, pixels in self._parts(cotangent, gradient):
            rows = self._rows[: len(part)]
            if self._divisors_of_mode is None:
                shares = part
            else:
                shares = np.divide(part, self._divisors_of_mode, out=self._shares[: len(part)])
            self._across.spread(shares, rows)
            self._within.spread(rows, pixels)
        return gradient


class _MaxPool2dDerivative(_Pool2dKernel):
    """What both derivatives of max pooling share: the selection of winners along each axis."""

    def __init__(self, geometry: Pool2dGeometry, dtype: DTypeLike, ties: Ties = "first") -> None:
        super().__init__(geometry, dtype)
        self._rows = np.empty(self._rows_shape, self.dtype)
        self._row_derivative = np.empty(self._rows_shape, self.dtype)
        self._across_winners = _Winners(self._across, self._block_shape, self.dtype, ties)
        self._within_winners = _Winners(self._within, self._rows_shape, self.dtype, ties)


class MaxPool2dGradient(_MaxPool2dDerivative):
    """The gradient of max pooling; see `symgrad.kernels.reference_pooling.max_pool_gradient` for its meaning.

    Parameters
    ----------
    geometry : Pool2dGeometry
    dtype : float dtype
        Of images, output, cotangent and gradient.
    ties : {"first", "every"}
        Which of several equal maxima get a window's cotangent.

    Examples
    --------
    >>> kernel = MaxPool2dGradient(Pool2dGeometry((1, 2), (1, 2)), np.float64)
    >>> kernel(np.array([[3.0, 3.0]]), np.array([[3.0]]), np.array([[1.0]]))
    array([[1., 0.]])
    """

    def __call__(self, images: Array, output: Array, cotangent: Array, out: Array | None = None) -> Array:
        """Return the (..., H, W) gradient, in `out` if given."""
        gradient = self._output(out, self.geometry.input_shape)
        for pixels, maximum, part, spread in self._parts(images, output, cotangent, gradient):
            rows, row_gradient = self._rows[: len(part)], self._row_derivative[: len(part)]
            self._within.reduce(np.maximum, -np.inf, pixels, rows, row_gradient)
            self._across_winners.scatter(rows, maximum, part, row_gradient)
            self._within_winners.scatter(pixels, rows, row_gradient, spread)
        return gradient


class MaxPool2dPushforward(_MaxPool2dDerivative):
    """The tangent of max pooling; see `symgrad.kernels.reference_pooling.max_pool_pushforward` for its meaning.

    Parameters
    ----------
    geometry : Pool2dGeometry
    dtype : float dtype
        Of images, output, tangent and result.
    ties : {"first", "every"}
        Which of several equal maxima count.
    """

    def __call__(self, images: Array, output: Array, tangent: Array, out: Array | None = None) -> Array:
        """Return the (..., H', W') tangents of the output, in `out` if given."""
        result = self._output(out, self.geometry.output_shape)
        for pixels, maximum, part, pooled in self._parts(images, output, tangent, result):
            rows, row_tangent = self._rows[: len(part)], self._row_derivative[: len(part)]
            self._within.reduce(np.maximum, -np.inf, pixels, rows, row_tangent)
            self._within_winners.gather(pixels, rows, part, row_tangent)
            self._across_winners.gather(rows, maximum, row_tangent, pooled)
        return result
