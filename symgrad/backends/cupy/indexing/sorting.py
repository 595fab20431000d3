"""Stable sorts of keys on the device, by counting and merging: no atomics, and only memory that the plan gives.

Short rows are sorted by one kernel: an element's place is the number of those that go before it. Longer ones are sorted
in tiles like this, and tiles are merged two by two: an element's place in the union is its own place plus what it finds
by bisection in the other tile. Every pass is a launch; nothing depends on the order of threads.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.backends.cupy.calls import Temporary
from symgrad.backends.cupy.kernel import CudaKernel, element
from symgrad.backends.cupy.texts import Launch, blocks_of, kernel, stored

THREADS = 128
WARPS = THREADS // 32
PER_WARP = 8
"""Elements that a warp counts for at once; each key that it reads is compared with all of them."""
TILE = 2048
LARGEST_COUNTED = 4096
"""Rows up to here are one tile."""

Pass = tuple[CudaKernel, Sequence[int | Temporary]]


def order_passes(
    rows: int, length: int, keys: int | Temporary, order: int | Temporary, dtype: str, kept: Temporary | None = None,
    limit: int | None = None,
) -> list[Pass]:
    """Return the kernels that sort each row of keys, stably.

    Parameters
    ----------
    rows, length : int
        How many rows, and how long they are; at least 1 each.
    keys : int or Temporary
        The keys, ``uint64[rows, length]``. They may be overwritten.
    order : int or Temporary
        Where the positions of the sorted keys go.
    dtype : str
        The dtype of these positions.
    kept : Temporary, optional
        Where the sorted keys go, if they are wanted.
    limit : int, optional
        How many positions of each row are wanted, where not all are.
    """
    wanted = length if limit is None else limit
    if length <= LARGEST_COUNTED:
        buffers = [keys, order, *([] if kept is None else [kept])]
        return [(_tiles(rows, length, length, dtype, wanted, kept is not None), buffers)]
    spare = Temporary(rows * length * 8)
    positions = [Temporary(rows * length * 4) for _ in range(2)]
    passes: list[Pass] = [(_tiles(rows, length, TILE, "int32", length, True), [keys, positions[0], spare])]
    source, other, run = spare, keys, TILE
    while run < length:
        is_last = 2 * run >= length
        target = order if is_last else positions[1]
        merged = _merge(rows, length, run, dtype if is_last else "int32", wanted if is_last else length,
                        not is_last or kept is not None)  # fmt: skip
        buffers = [source, positions[0], target]
        if not is_last:
            buffers.append(other)
        elif kept is not None:
            buffers.append(kept)
        passes.append((merged, buffers))
        source, other = other, source  # type: ignore[assignment]
        positions.reverse()
        run *= 2
    return passes


def _tiles(rows: int, length: int, tile: int, dtype: str, wanted: int, keeps: bool) -> CudaKernel:
    """Return the kernel that sorts each tile of each row; a warp counts for some elements, its lanes share the keys."""
    per_block = WARPS * PER_WARP
    body = f"""
    const i64 row = blockIdx.y;
    const i32 lane = threadIdx.x % 32;
    const i32 tile = blockIdx.x / {blocks_of(tile, per_block)} * {tile};
    const i32 size = {length} - tile < {tile} ? {length} - tile : {tile};
    const i32 first = blockIdx.x % {blocks_of(tile, per_block)} * {per_block} + threadIdx.x / 32 * {PER_WARP};
    if (first >= size) return;
    const u64* mine = keys + row * {length} + tile;
    u64 own[{PER_WARP}];
    i32 before[{PER_WARP}];
    #pragma unroll
    for (i32 number = 0; number < {PER_WARP}; ++number) {{
        own[number] = first + number < size ? mine[first + number] : 0;
        before[number] = 0;
    }}
    for (i32 other = lane; other < size; other += 32) {{
        const u64 key = mine[other];
        #pragma unroll
        for (i32 number = 0; number < {PER_WARP}; ++number)
            before[number] += key < own[number] || (key == own[number] && other < first + number);
    }}
    #pragma unroll
    for (i32 number = 0; number < {PER_WARP}; ++number)
        for (i32 distance = 16; distance; distance /= 2)
            before[number] += __shfl_xor_sync(0xffffffffu, before[number], distance);
    #pragma unroll
    for (i32 number = 0; number < {PER_WARP}; ++number) {{
        if (lane != number || first + number >= size) continue;
        const i32 to = tile + before[number];
        if (to < {wanted}) order[row * {wanted} + to] = {stored(dtype, "tile + first + number")};
        {f"sorted[row * {length} + to] = own[number];" if keeps else ""}
    }}
"""
    blocks = blocks_of(length, tile) * blocks_of(tile, per_block)
    parameters = [("const u64*", "keys"), (f"{element(dtype)}*", "order"), *([("u64*", "sorted")] if keeps else [])]
    return kernel("sort_tiles", parameters, body, Launch((blocks, rows, 1), THREADS, bytes=12 * rows * length))


def _merge(rows: int, length: int, run: int, dtype: str, wanted: int, keeps: bool) -> CudaKernel:
    """Return the kernel that merges sorted runs two by two; of equal keys those of the left run come first."""
    body = f"""
    const i64 row = blockIdx.y;
    const i64 at = (i64)blockIdx.x * {THREADS} + threadIdx.x;
    if (at >= {length}) return;
    const u64* mine = keys + row * {length};
    const u64 key = mine[at];
    const i64 begin = at / {2 * run} * {2 * run};
    const bool is_left = at - begin < {run};
    const i64 middle = begin + {run} < {length} ? begin + {run} : {length};
    const i64 end = begin + {2 * run} < {length} ? begin + {2 * run} : {length};
    i64 low = is_left ? middle : begin, high = is_left ? end : middle;
    const i64 other = low;
    while (low < high) {{
        const i64 half = (low + high) / 2;
        if (mine[half] < key || (!is_left && mine[half] == key)) low = half + 1;
        else high = half;
    }}
    const i64 to = begin + (at - (is_left ? begin : middle)) + (low - other);
    if (to < {wanted}) order[row * {wanted} + to] = {stored(dtype, f"from[row * {length} + at]")};
    {f"sorted[row * {length} + to] = key;" if keeps else ""}
"""
    parameters = [("const u64*", "keys"), ("const i32*", "from"), (f"{element(dtype)}*", "order"),
                  *([("u64*", "sorted")] if keeps else [])]  # fmt: skip
    launch = Launch((blocks_of(length, THREADS), rows, 1), THREADS, bytes=24 * rows * length)
    return kernel("sort_merge", parameters, body, launch)
