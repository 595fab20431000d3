"""Counter-based random bits: Philox4x32-10, and the layout of its key and counter.

Philox is a function, not a sequence: it maps a 64-bit key and a 128-bit counter to four 32-bit words. An element's
random bits therefore depend on where the element is and on nothing else, neither on the order of evaluation nor on the
number of threads nor on the device. Every backend that computes the layout below produces the same bits.

**State.** The state of one random stream is ``uint64[3]``: ``[key, stream, step]``. It is an ordinary array, so it
lives in a shared variable and in a checkpoint. `initial_state` makes it, `advance` returns the state of the next call.

========  ======  =======================================================================
field     bits    meaning
========  ======  =======================================================================
key       64      the seed: key word 0 is its low half, key word 1 its high half
stream    32      the place in the graph that draws; two places have two streams
step      48      how often that place has drawn before
draw      8       which independent family of bits within one call (0 unless a distribution
                  needs more than one, see `symgrad.kernels.binomial`)
block     40      which group of 128 bits within one array
========  ======  =======================================================================

**Counter.** Four 32-bit words, and so a bijection from (block, draw, step, stream)::

    word 0 = block[0:32]
    word 1 = block[32:40] | draw << 8 | step[32:48] << 16
    word 2 = step[0:32]
    word 3 = stream

**Words and lanes.** A block yields words ``w0 w1 w2 w3``. 32-bit element ``k`` of an array, counted in C order, is word
``k % 4`` of block ``k // 4``. 64-bit element ``k`` (a lane) is lane ``k % 2`` of block ``k // 2``, where lane 0 is
``w0 | w1 << 32`` and lane 1 is ``w2 | w3 << 32``. The first elements of an array are hence the same whatever its size.

**Rounds.** Ten times, with 32-bit arithmetic and ``(high, low)`` the halves of a 64-bit product::

    (h0, l0) = 0xD2511F53 * c0;   (h1, l1) = 0xCD9E8D57 * c2
    c0, c1, c2, c3 = h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0
    k0 += 0x9E3779B9;   k1 += 0xBB67AE85

Source: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_INCREMENTS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10

KEY_BITS = 64
STREAM_BITS = 32
STEP_BITS = 48
DRAW_BITS = 8
BLOCK_BITS = 40

# The scratch of this many blocks, some 700 KiB, stays within the level-2 cache of most cores.
BLOCKS_PER_CHUNK = 8192

# NumPy takes an array without dimensions as an operand in half the time that it takes a scalar.
_LOW_HALF = np.array(0xFFFFFFFF, dtype=np.uint64)
_HALF = np.array(32, dtype=np.uint64)

Words = NDArray[np.uint32]
Lanes = NDArray[np.uint64]
RoundKeys = tuple[tuple[Lanes, Lanes], ...]


def initial_state(seed: int, stream: int = 0) -> Lanes:
    """Return the state of a stream that has not drawn yet.

    Parameters
    ----------
    seed : int
        The key, ``0 <= seed < 2**64``. Distinct seeds give distinct keys.
    stream : int
        The number of the place that draws, ``0 <= stream < 2**32``.

    Returns
    -------
    ndarray of uint64, shape (3,)
        ``[key, stream, step]`` with step 0.

    Raises
    ------
    ValueError
        If the seed or the stream is out of range.
    TypeError
        If either is not an integer.

    Examples
    --------
    >>> initial_state(1234, stream=7)
    array([1234,    7,    0], dtype=uint64)
    """
    key = _bounded("seed", seed, KEY_BITS)
    return np.array([key, _bounded("stream", stream, STREAM_BITS), 0], dtype=np.uint64)


def advance(state: Lanes) -> Lanes:
    """Return the state of the next call: the same key and stream, the step one higher.

    Parameters
    ----------
    state : ndarray of uint64, shape (3,)
        The state of this call; it is left as it is.

    Returns
    -------
    ndarray of uint64, shape (3,)

    Raises
    ------
    OverflowError
        After ``2**48`` calls.

    Examples
    --------
    >>> advance(initial_state(5))
    array([5, 0, 1], dtype=uint64)
    """
    _, _, step = _fields(state)
    if step + 1 >> STEP_BITS:
        raise OverflowError(f"this random stream has made all of its 2**{STEP_BITS} calls; take another seed or stream")
    following = state.copy()
    following[2] = step + 1
    return following


def philox4x32(counter: Words, key: int) -> Words:
    """Return the four words of each counter: the bare bijection, without symgrad's counter layout.

    Parameters
    ----------
    counter : ndarray of uint32, shape (..., 4)
        Counter words 0 to 3.
    key : int
        64 bits; key word 0 is the low half.

    Returns
    -------
    ndarray of uint32, shape (..., 4)

    Examples
    --------
    >>> [hex(word) for word in philox4x32(np.zeros(4, dtype=np.uint32), 0)]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    counters = np.asarray(counter, dtype=np.uint32)
    if counters.shape[-1:] != (4,):
        raise ValueError(f"counters need four words along the last axis, got shape {counters.shape}")
    rows = counters.reshape(-1, 4).T.astype(np.uint64)
    lanes = np.empty((rows.shape[1], 2), dtype=np.uint64)
    _apply_rounds(rows[0::2].copy(), rows[1::2].copy(), _round_keys(_bounded("key", key, KEY_BITS)), lanes)
    return lanes.view(np.uint32).reshape(counters.shape)


def random_bits(state: Lanes, count: int, *, first: int = 0, draw: int = 0, out: Words | None = None) -> Words:
    """Return 32-bit elements ``first`` to ``first + count - 1`` of a call.

    Parameters
    ----------
    state : ndarray of uint64, shape (3,)
        Key, stream and step.
    count : int
        The number of elements.
    first : int
        The index of the first element, so that several threads can fill one array.
    draw : int
        The family of bits, ``0 <= draw < 256``.
    out : ndarray of uint32, shape (count,), optional
        Where to write.

    Returns
    -------
    ndarray of uint32, shape (count,)

    Raises
    ------
    ValueError
        If an index does not fit the counter, or if `out` does not fit.

    Examples
    --------
    >>> state = initial_state(0)
    >>> bool(np.all(random_bits(state, 3, first=2) == random_bits(state, 5)[2:]))
    True
    """
    return _collect(state, count, first, draw, np.dtype(np.uint32), out)


def random_bits64(state: Lanes, count: int, *, first: int = 0, draw: int = 0, out: Lanes | None = None) -> Lanes:
    """Return 64-bit elements (lanes) ``first`` to ``first + count - 1`` of a call; arguments as in `random_bits`.

    Examples
    --------
    >>> state = initial_state(0)
    >>> words = random_bits(state, 2)
    >>> int(random_bits64(state, 1)[0]) == int(words[0]) | int(words[1]) << 32
    True
    """
    return _collect(state, count, first, draw, np.dtype(np.uint64), out)


def blocks_at(state: Lanes, block_indices: NDArray[np.integer[Any]], draw: int = 0) -> Lanes:
    """Return both 64-bit lanes of the given blocks.

    Parameters
    ----------
    state : ndarray of uint64, shape (3,)
        Key, stream and step.
    block_indices : ndarray of an integer dtype, shape (m,)
        Which blocks, each below ``2**40``.
    draw : int
        The family of bits, ``0 <= draw < 256``.

    Returns
    -------
    ndarray of uint64, shape (m, 2)

    Examples
    --------
    >>> state = initial_state(0)
    >>> bool(np.all(blocks_at(state, np.array([3])) == random_bits64(state, 2, first=6)))
    True
    """
    indices = np.asarray(block_indices, dtype=np.uint64)
    lanes = np.empty((indices.size, 2), dtype=np.uint64)
    for start in range(0, indices.size, BLOCKS_PER_CHUNK):
        chunk = slice(start, start + BLOCKS_PER_CHUNK)
        _fill_blocks(state, indices[chunk], draw, lanes[chunk])
    return lanes


def lanes_at(state: Lanes, elements: NDArray[np.int64], draw: int = 0) -> Lanes:
    """Return the 64-bit elements with the given indices, in any order; arguments as in `blocks_at`."""
    lanes: Lanes = blocks_at(state, elements >> 1, draw)[np.arange(elements.size), elements & 1]
    return lanes


def words_at(state: Lanes, elements: NDArray[np.int64], draw: int = 0) -> Words:
    """Return the 32-bit elements with the given indices, in any order; arguments as in `blocks_at`."""
    words: Words = blocks_at(state, elements >> 2, draw).view(np.uint32)[np.arange(elements.size), elements & 3]
    return words


def bit_chunks(
    state: Lanes, count: int, dtype: np.dtype, *, first: int = 0, draw: int = 0
) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """Yield ``(start, stop, bits)`` over the elements of a call, in pieces that stay in cache.

    Parameters
    ----------
    state, count, first, draw
        As in `random_bits`.
    dtype : numpy.dtype
        ``uint32`` for words, ``uint64`` for lanes.

    Yields
    ------
    start, stop : int
        The piece is elements ``first + start`` to ``first + stop - 1``.
    bits : ndarray of `dtype`, shape (stop - start,)
        Scratch: the caller may overwrite it, and the next piece reuses it.
    """
    per_block = 16 // dtype.itemsize
    end = first + count
    if first < 0 or count < 0 or end > per_block << BLOCK_BITS:
        raise ValueError(f"elements {first} to {end - 1} don't fit a random array of {per_block}*2**{BLOCK_BITS}")
    first_block, last_block = first // per_block, -(-end // per_block)
    lanes = np.empty((min(BLOCKS_PER_CHUNK, last_block - first_block), 2), dtype=np.uint64)
    elements = lanes.reshape(-1).view(dtype)  # little-endian: the low word of a lane comes first
    for block in range(first_block, last_block, BLOCKS_PER_CHUNK):
        block_count = min(BLOCKS_PER_CHUNK, last_block - block)
        _fill_blocks(state, np.arange(block, block + block_count, dtype=np.uint64), draw, lanes[:block_count])
        start, stop = max(first, block * per_block), min(end, (block + block_count) * per_block)
        yield start - first, stop - first, elements[start - block * per_block : stop - block * per_block]


def _collect(
    state: Lanes, count: int, first: int, draw: int, dtype: np.dtype, out: NDArray[Any] | None
) -> NDArray[Any]:
    """Return the chunks of a call as one array."""
    if out is None:
        out = np.empty(count, dtype=dtype)
    elif out.dtype != dtype or out.shape != (count,):
        raise ValueError(f"out must be {dtype} of shape ({count},), got {out.dtype} {out.shape}")
    for start, stop, bits in bit_chunks(state, count, dtype, first=first, draw=draw):
        out[start:stop] = bits
    return out


def _fill_blocks(state: Lanes, block_indices: Lanes, draw: int, lanes: Lanes) -> None:
    """Write both lanes of each block into `lanes`, following the counter layout of the module."""
    key, stream, step = _fields(state)
    tag = _bounded("draw", draw, DRAW_BITS) << 8 | step >> 32 << 16
    even = np.empty((2, block_indices.size), dtype=np.uint64)
    odd = np.empty_like(even)
    np.bitwise_and(block_indices, _LOW_HALF, out=even[0])
    even[1] = step & 0xFFFFFFFF
    np.right_shift(block_indices, _HALF, out=odd[0])
    odd[0] |= np.uint64(tag)
    odd[1] = stream
    _apply_rounds(even, odd, _round_keys(key), lanes)


def _apply_rounds(even: Lanes, odd: Lanes, round_keys: RoundKeys, lanes: Lanes) -> None:
    """Run the ten rounds; words 0 and 2 are the rows of `even`, words 1 and 3 those of `odd`, all below ``2**32``.

    Both are overwritten. A round sends the product of words 0 and 1 to the place of words 2 and 3 and the other way
    round. Instead of moving rows, the roles of the rows change, so that most calls run over one contiguous piece of
    memory; NumPy copies small operands that are broadcast or reversed, which costs twice as much.
    """
    multipliers = np.empty((3, even.shape[1]), dtype=np.uint64)
    multipliers[0::2] = MULTIPLIERS[0]
    multipliers[1] = MULTIPLIERS[1]
    products = np.empty_like(even)
    factors, other_factors = multipliers[:2], multipliers[1:]
    even_first, even_second, odd_first, odd_second = even[0], even[1], odd[0], odd[1]
    for key_0, key_1 in round_keys:
        np.multiply(even, factors, products)
        np.right_shift(products, _HALF, even)
        np.bitwise_xor(even_second, odd_first, even_second)
        np.bitwise_xor(even_second, key_0, even_second)
        np.bitwise_xor(even_first, odd_second, even_first)
        np.bitwise_xor(even_first, key_1, even_first)
        np.bitwise_and(products, _LOW_HALF, odd)
        factors, other_factors = other_factors, factors
        even_first, even_second, odd_first, odd_second = even_second, even_first, odd_second, odd_first
    np.left_shift(odd, _HALF, out=odd)
    np.bitwise_or(even, odd, out=lanes.T)  # after an even number of rounds the rows are back in their places


@lru_cache(maxsize=64)
def _round_keys(key: int) -> RoundKeys:
    """Return the two key words of every round."""
    low, high = key & 0xFFFFFFFF, key >> 32
    return tuple(
        (
            np.array((low + index * KEY_INCREMENTS[0]) & 0xFFFFFFFF, dtype=np.uint64),
            np.array((high + index * KEY_INCREMENTS[1]) & 0xFFFFFFFF, dtype=np.uint64),
        )
        for index in range(ROUNDS)
    )


def _fields(state: Lanes) -> tuple[int, int, int]:
    """Return key, stream and step of a state, checked."""
    if not isinstance(state, np.ndarray) or state.dtype != np.uint64 or state.shape != (3,):
        described = f"{state.dtype} {state.shape}" if isinstance(state, np.ndarray) else type(state).__name__
        raise TypeError(f"a random state is uint64 of shape (3,): key, stream, step; got {described}")
    key, stream, step = state.tolist()
    if stream >> STREAM_BITS or step >> STEP_BITS:
        raise ValueError(f"not a random state: stream {stream} or step {step} is out of range")
    return key, stream, step


def _bounded(name: str, value: int, bits: int) -> int:
    """Return `value` as an int of so many bits, or say what is wrong with it."""
    number = operator.index(value)
    if number < 0 or number >> bits:
        raise ValueError(f"{name} must be an integer from 0 to 2**{bits} - 1, got {number}")
    return number
