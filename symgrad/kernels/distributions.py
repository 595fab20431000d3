"""Uniform, normal, Bernoulli and integer arrays from the counter-based bits of `symgrad.kernels.philox`.

Every function takes the state of a stream, a shape and the parameters, and leaves the state as it is; the caller goes
on with `symgrad.kernels.philox.advance`. Element ``k`` of the result, counted in C order, depends only on the state, on
``k`` and on the parameters at ``k``. Only IEEE-exact operations are used, in the order that each docstring gives and
without fused multiply-adds, so every backend can produce the same bits.

Parameters are numbers, or arrays that broadcast against the shape. ``out``, where given, is a C-contiguous array of the
result's shape and dtype, and is returned.

==============  ==================  =========================================================================
distribution    bits of element k   value
==============  ==================  =========================================================================
uniform         word or lane k      its top 24 (float32) or 53 (float64) bits as a fraction, then low and high
normal          word or lane k      quantile, see `symgrad.kernels.normal_quantile`
Bernoulli       word k              1 where the float32 uniform is below p
integers        lane k              high half of lane times range, rejected lanes drawn again
==============  ==================  =========================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from symgrad.kernels.normal_quantile import normal_from_bits
from symgrad.kernels.philox import DRAW_BITS, Lanes, bit_chunks, lanes_at
from symgrad.kernels.random_parameters import (
    Shape,
    allocate,
    flat_parameter,
    integer_parameter,
    part,
    pick,
    probabilities,
    require,
)

_WORD = np.dtype(np.uint32)
_LANE = np.dtype(np.uint64)
_BITS_OF_FLOAT: dict[np.dtype[Any], np.dtype[Any]] = {np.dtype(np.float32): _WORD, np.dtype(np.float64): _LANE}
_FRACTION_BITS = {_WORD: 24, _LANE: 53}


def uniform(
    state: Lanes,
    shape: Shape,
    low: ArrayLike = 0.0,
    high: ArrayLike = 1.0,
    dtype: DTypeLike = np.float32,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return independent uniform numbers from the half-open interval ``[low, high)``.

    With ``u = (word >> 8) * 2**-24`` in float32 and ``u = (lane >> 11) * 2**-53`` in float64::

        min(u * (high - low) + low, the largest number below high)

    Parameters
    ----------
    state : ndarray of uint64, shape (3,)
        The state of the stream.
    shape : int or sequence of int
        The shape of the result.
    low, high : array_like
        The bounds, converted to `dtype` first. Where both are equal, so is the result.
    dtype : float32 or float64
        The dtype of the result, and of the arithmetic.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray of `dtype`

    Raises
    ------
    TypeError
        If `dtype` is not float32 or float64.
    ValueError
        If `high` is below `low`, or their distance is not a finite number; if parameters or `out` don't fit the shape.

    Examples
    --------
    >>> from symgrad.kernels.philox import initial_state
    >>> uniform(initial_state(0), 2).round(4)
    array([0.399 , 0.8805], dtype=float32)
    """
    result, flat, bits_dtype = _float_result(shape, dtype, out)
    lows = flat_parameter("low", low, result.shape, result.dtype)
    highs = flat_parameter("high", high, result.shape, result.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        spans = highs - lows
    require("high - low must be finite and not negative", spans, (spans >= 0) & (spans < np.inf))
    limits = np.nextafter(highs, lows)
    is_unit = lows.ndim == 0 and highs.ndim == 0 and lows == 0 and highs == 1
    for start, stop, bits in bit_chunks(state, flat.size, bits_dtype):
        piece = flat[start:stop]
        _unit_uniform(bits, piece)
        if not is_unit:
            piece *= part(spans, start, stop)
            piece += part(lows, start, stop)
            np.minimum(piece, part(limits, start, stop), out=piece)
    return result


def normal(
    state: Lanes,
    shape: Shape,
    avg: ArrayLike = 0.0,
    std: ArrayLike = 1.0,
    dtype: DTypeLike = np.float32,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return independent normal numbers: ``z * std + avg`` with the standard normal ``z`` of each element's bits.

    Parameters
    ----------
    state : ndarray of uint64, shape (3,)
        The state of the stream.
    shape : int or sequence of int
        The shape of the result.
    avg, std : array_like
        Mean and standard deviation, converted to `dtype` first.
    dtype : float32 or float64
        The dtype of the result, and of the arithmetic. ``z`` reaches 6.3 in float32 and 9.1 in float64.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray of `dtype`

    Raises
    ------
    TypeError
        If `dtype` is not float32 or float64.
    ValueError
        If `std` is negative; if parameters or `out` don't fit the shape.

    Examples
    --------
    >>> from symgrad.kernels.philox import initial_state
    >>> normal(initial_state(0), 2).round(4)
    array([ 1.2761, -0.3041], dtype=float32)
    """
    result, flat, bits_dtype = _float_result(shape, dtype, out)
    averages = flat_parameter("avg", avg, result.shape, result.dtype)
    deviations = flat_parameter("std", std, result.shape, result.dtype)
    require("std must not be negative", deviations, deviations >= 0)
    is_standard = averages.ndim == 0 and deviations.ndim == 0 and averages == 0 and deviations == 1
    for start, stop, bits in bit_chunks(state, flat.size, bits_dtype):
        piece = flat[start:stop]
        normal_from_bits(bits, piece)
        if not is_standard:
            piece *= part(deviations, start, stop)
            piece += part(averages, start, stop)
    return result


def bernoulli(
    state: Lanes,
    shape: Shape,
    p: ArrayLike = 0.5,
    dtype: DTypeLike = np.int64,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return ones with probability `p` and zeros elsewhere: exactly ``uniform(state, shape) < p``.

    No floating point number is made for an element: with ``c = ceil(p * 2**24)``, computed in float64, the result is
    ``word < c * 2**8``. The probability is therefore `p` rounded up to a multiple of ``2**-24``.

    Parameters
    ----------
    state : ndarray of uint64, shape (3,)
        The state of the stream.
    shape : int or sequence of int
        The shape of the result.
    p : array_like
        The probability, between 0 and 1; taken as the real number that it is, whatever its dtype.
    dtype : dtype
        Any boolean, integer or floating point dtype.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray of `dtype`

    Raises
    ------
    ValueError
        If `p` is below 0, above 1 or NaN; if parameters or `out` don't fit the shape.

    Examples
    --------
    >>> from symgrad.kernels.philox import initial_state
    >>> bernoulli(initial_state(0), 8, p=0.5)
    array([1, 0, 0, 0, 0, 1, 0, 1])
    """
    result, flat = allocate(shape, dtype, out)
    thresholds = bernoulli_thresholds(probabilities(p, result.shape))
    for start, stop, bits in bit_chunks(state, flat.size, _WORD):
        piece = part(thresholds, start, stop)
        if piece.ndim:
            flat[start:stop] = bits < piece
        elif piece:
            flat[start:stop] = bits <= np.uint32(int(piece) - 1)  # 2**32 itself is no uint32
        else:
            flat[start:stop] = 0
    return result


def random_integers(
    state: Lanes,
    shape: Shape,
    low: ArrayLike = 0,
    high: ArrayLike = 1,
    dtype: DTypeLike = np.int64,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return integers from `low` to `high`, both included, each exactly equally likely.

    With ``r = high - low + 1`` and the 128-bit product of lane and ``r``, the value is `low` plus the product's high
    half. Where the product's low half is below ``2**64 mod r``, the lane would favour some values; the element then
    takes the lane of the next draw (attempt ``j`` uses draw ``j``). That happens with probability below ``r * 2**-64``.

    Parameters
    ----------
    state : ndarray of uint64, shape (3,)
        The state of the stream.
    shape : int or sequence of int
        The shape of the result.
    low, high : array_like of integers
        The bounds, any int64 numbers.
    dtype : integer dtype
        The dtype of the result.
    out : ndarray, optional
        Where to write.

    Returns
    -------
    ndarray of `dtype`

    Raises
    ------
    TypeError
        If a bound or `dtype` is not of an integer kind.
    ValueError
        If `high` is below `low` or a bound does not fit `dtype`; if parameters or `out` don't fit the shape.

    Notes
    -----
    Source: D. Lemire, "Fast random integer generation in an interval", ACM TOMACS 29 (2019).

    Examples
    --------
    >>> from symgrad.kernels.philox import initial_state
    >>> random_integers(initial_state(0), 5, low=1, high=6)
    array([6, 4, 3, 1, 2])
    """
    result, flat = allocate(shape, dtype, out)
    lows = integer_parameter("low", low, result.shape)
    highs = integer_parameter("high", high, result.shape)
    if result.dtype.kind not in "iu":
        raise TypeError(f"random integers need an integer dtype, got {result.dtype}")
    limits = np.iinfo(result.dtype)
    require("high must not be below low", highs, highs >= lows)
    require(f"low must fit {result.dtype}", lows, lows >= limits.min)
    require(f"high must fit {result.dtype}", highs, highs <= limits.max)
    # Modulo 2**64, so that 0 stands for 2**64; these functions, unlike + and -, don't warn about it.
    ranges = np.add(np.subtract(highs, lows), 1).view(np.uint64)
    for start, stop, lanes in bit_chunks(state, flat.size, _LANE):
        piece_ranges = part(ranges, start, stop)
        offsets, accepted = scale_lanes(lanes, piece_ranges)
        _redraw_rejected(state, start, offsets, accepted, piece_ranges)
        flat[start:stop] = offsets.view(np.int64) + part(lows, start, stop)
    return result


def fraction(lanes: Lanes) -> NDArray[np.float64]:
    """Return lanes as numbers in [0, 1): ``(lane >> 11) * 2**-53``."""
    return (lanes >> np.uint64(11)).astype(np.float64) * 2.0**-53


def open_fraction(lanes: Lanes) -> NDArray[np.float64]:
    """Return lanes as numbers in (0, 1), symmetric about 1/2: ``(2 * (lane >> 12) + 1) * 2**-53``."""
    return ((lanes >> np.uint64(12)).astype(np.float64) * 2.0 + 1.0) * 2.0**-53


def scale_lanes(lanes: Lanes, ranges: Lanes) -> tuple[Lanes, NDArray[np.bool_]]:
    """Return the high half of lane times range, and whether the low half keeps the result unbiased.

    Parameters
    ----------
    lanes : ndarray of uint64
        Random lanes.
    ranges : ndarray of uint64
        The numbers of values, with 0 for ``2**64``; broadcasts against `lanes`.

    Returns
    -------
    offsets : ndarray of uint64
        Below the range.
    accepted : ndarray of bool
    """
    half, low_half = np.uint64(32), np.uint64(0xFFFFFFFF)
    lane_low, lane_high = lanes & low_half, lanes >> half
    range_low, range_high = ranges & low_half, ranges >> half
    middle = lane_high * range_low + (lane_low * range_low >> half)
    other_middle = lane_low * range_high + (middle & low_half)
    offsets = lane_high * range_high + (middle >> half) + (other_middle >> half)
    rejected_below = np.negative(ranges) % np.maximum(ranges, np.uint64(1))
    return np.where(ranges == 0, lanes, offsets), lanes * ranges >= rejected_below


def bernoulli_thresholds(chances: NDArray[np.float64]) -> Lanes:
    """Return the bound below which a word means 1, between 0 and ``2**32``."""
    return np.asarray(np.ceil(chances * 2.0**24)).astype(np.uint64) << np.uint64(8)


def _float_result(
    shape: Shape, dtype: DTypeLike, out: NDArray[Any] | None
) -> tuple[NDArray[Any], NDArray[Any], np.dtype[Any]]:
    """Return the result, its flat view, and the dtype of the bits that make one element."""
    bits_dtype = _BITS_OF_FLOAT.get(np.dtype(dtype))
    if bits_dtype is None:
        raise TypeError(f"random real numbers are float32 or float64, got {np.dtype(dtype)}")
    result, flat = allocate(shape, dtype, out)
    return result, flat, bits_dtype


def _unit_uniform(bits: NDArray[Any], out: NDArray[Any]) -> None:
    """Write the top bits of each element as a fraction in [0, 1); `bits` is used as scratch."""
    fraction_bits = _FRACTION_BITS[bits.dtype]
    np.right_shift(bits, bits.dtype.type(8 * bits.itemsize - fraction_bits), out=bits)
    out[...] = bits.view(f"i{bits.itemsize}")  # below 2**53, and conversions from signed integers are faster
    out *= 2.0**-fraction_bits


def _redraw_rejected(state: Lanes, start: int, offsets: Lanes, accepted: NDArray[np.bool_], ranges: Lanes) -> None:
    """Replace rejected offsets by those of later draws; ``2**DRAW_BITS`` rejections in a row don't happen."""
    pending = np.flatnonzero(~accepted)
    for draw in range(1, 1 << DRAW_BITS):
        if not pending.size:
            return
        lanes = lanes_at(state, pending + start, draw)
        offsets[pending], accepted_now = scale_lanes(lanes, pick(ranges, pending))
        pending = pending[~accepted_now]
