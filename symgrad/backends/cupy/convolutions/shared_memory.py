"""Where numbers lie in shared memory, so that the threads of a warp meet in few of its banks."""

from __future__ import annotations

from collections.abc import Callable

from symgrad.backends.cupy.kernel import Target

BANKS = 32
WARP = 32
SHARED_BYTES = {75: 64 << 10, 80: 164 << 10, 90: 228 << 10, 100: 228 << 10}
"""Shared memory of a multiprocessor, by compute capability; others have `USUAL_BYTES`."""
USUAL_BYTES = 100 << 10


def resident_blocks(target: Target, shared_bytes: int, threads: int, most: int) -> int:
    """Return how many blocks a multiprocessor runs at once, at most `most`, as far as memory and threads limit it."""
    memory = SHARED_BYTES.get(target.capability, USUAL_BYTES)
    return max(1, min(most, memory // (shared_bytes + 1024), 1536 // threads, 16))


def conflicts(addresses: list[int]) -> int:
    """Return in how many turns a warp reads these numbers: threads with the same one share a turn.

    Examples
    --------
    >>> conflicts([0, 1, 2, 3]), conflicts([5, 5, 5]), conflicts([0, 32, 64])
    (1, 1, 3)
    """
    turns = [0] * BANKS
    for address in set(addresses):
        turns[address % BANKS] += 1
    return max(turns)


def fewest_conflicts(
    address: Callable[[int, int, int], int], threads: int, rows: int, columns: int, more_columns: int, more: int
) -> tuple[int, int]:
    """Return distances between the rows, and between the planes, of (rows, columns) pictures.

    Parameters
    ----------
    address : callable
        ``address(thread, pitch, plane)``: what a thread reads first.
    threads : int
        Of the block; only its first two warps are looked at.
    rows, columns : int
        Of a picture.
    more_columns : int
        How much larger than `columns` the distance of rows may be.
    more : int
        How many distances of planes are tried.
    """
    warps = [range(start, min(start + WARP, threads)) for start in range(0, min(threads, 2 * WARP), WARP)]
    best, least = (columns, rows * columns), BANKS * len(warps) + 1
    for pitch in range(columns, columns + more_columns + 1):
        for plane in range(rows * pitch, rows * pitch + more):
            turns = sum(conflicts([address(thread, pitch, plane) for thread in warp]) for warp in warps)
            if turns < least:
                best, least = (pitch, plane), turns
            if turns == len(warps):
                return best
    return best
