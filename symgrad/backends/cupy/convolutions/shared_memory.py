"""Where numbers lie in shared memory, so that the threads of a warp meet in few of its banks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil

from symgrad.backends.cupy.kernel import Target

BANK_BYTES = 128
WARP = 32
MOST_BLOCKS = 65535
"""Along the second and third axis of a grid."""
SHARED_BYTES = {75: 64 << 10, 80: 164 << 10, 90: 228 << 10, 100: 228 << 10}
"""Shared memory of a multiprocessor, by compute capability; others have `USUAL_BYTES`."""
USUAL_BYTES = 100 << 10


def resident_blocks(target: Target, shared_bytes: int, threads: int, most: int) -> int:
    """Return how many blocks a multiprocessor runs at once, at most `most`, as far as memory and threads limit it."""
    memory = SHARED_BYTES.get(target.capability, USUAL_BYTES)
    return max(1, min(most, memory // (shared_bytes + 1024), 1536 // threads, 16))


def turns(addresses: Sequence[int], size: int = 4) -> int:
    """Return in how many turns a warp reads packs of `size` bytes at these addresses, counted in packs.

    Threads with the same address share a turn. A turn brings 128 bytes, each bank's own.

    Examples
    --------
    >>> turns(range(32)), turns([5] * 32), turns(range(0, 64, 2)), turns(range(32), 16)
    (1, 1, 2, 4)
    """
    slots, total = BANK_BYTES // size, 0
    for start in range(0, len(addresses), slots):
        together = [0] * slots
        for address in set(addresses[start : start + slots]):
            together[address % slots] += 1
        total += max(together)
    return total


def fewest_turns(
    address: Callable[[int, int, int], int], threads: int, picture: tuple[int, int], more: tuple[int, int], pack: int,
    bytes_each: int,
) -> tuple[int, int]:  # fmt: skip
    """Return distances between the rows, and between the planes, of pictures; both are a whole number of packs.

    Parameters
    ----------
    address : callable
        ``address(thread, pitch, plane)``: which number a thread reads first, the first of a pack.
    threads : int
        Of the block; only its first two warps are looked at.
    picture : (int, int)
        Rows and columns.
    more : (int, int)
        How much larger than it must be each of the distances may become.
    pack : int
        How many numbers a thread reads at once.
    bytes_each : int
        Of a number.
    """
    rows, columns = picture
    warps = [range(start, min(start + WARP, threads)) for start in range(0, min(threads, 2 * WARP), WARP)]
    fewest = sum(ceil(len(warp) * pack * bytes_each / BANK_BYTES) for warp in warps)
    first = ceil(columns / pack) * pack
    best, least = (first, ceil(rows * first / pack) * pack), WARP * len(warps) + 1
    for pitch in range(first, max(columns + more[0], first) + 1, pack):
        start = ceil(rows * pitch / pack) * pack
        for plane in range(start, start + more[1], pack):
            packs = [[address(thread, pitch, plane) // pack for thread in warp] for warp in warps]
            found = sum(turns(warp, pack * bytes_each) for warp in packs)
            if found < least:
                best, least = (pitch, plane), found
            if found <= fewest:
                return best
    return best
