"""About how long each way of multiplying takes, in cycles of a multiprocessor.

None of the constants is exact. What matters is which way wins by a factor: whether a product is bound by its longest
chain of loads (small ones), by what passes through the caches (few rows), or by multiplications (the rest).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, prod

from symgrad.backends.cupy.kernel import Target
from symgrad.backends.cupy.products.folding import WARP
from symgrad.backends.cupy.products.lanes import LONGEST_UNROLLED, MOST_SUMS, Shape, Vectors
from symgrad.backends.cupy.products.text import FLOATS, Task
from symgrad.backends.cupy.products.tiles import Tile
from symgrad.kernels.ir.functions import DTYPES as BYTES

LAUNCH = 2500
"""Another kernel in a graph: about 1.5 microseconds."""

TRIP = 700
"""A load from the second cache or from memory, until its value is there."""

BARRIER = 60
"""Until all warps of a block have met."""

BYTES_A_CYCLE = 40
"""What the second cache gives one multiprocessor."""

MOST_PARTS = 256
"""Of k. More would make the second stage long."""

LARGEST_PARTIAL = 1 << 27
"""Elements of all partial sums at the most."""


@dataclass(frozen=True)
class Way:
    """A way of computing a product: of a task, perhaps with rows and columns exchanged, divided in a certain shape."""

    task: Task
    shape: Shape | Tile


def cheapest(task: Task, target: Target) -> Way:
    """Return the way that takes least time."""
    return min(all_ways(task, target), key=lambda way: cycles_of(way, target))


def all_ways(task: Task, target: Target) -> list[Way]:
    """Return the ways that come into question, rows and columns as they are first."""
    ways: list[Way] = []
    for turned in (task, task.transposed):
        ways += [Way(turned, tile) for tile in _tiles(turned, target)]
        if task.sums in FLOATS:
            ways += [Way(turned, shape) for shape in _shapes(turned, target)]
    return ways


def cycles_of(way: Way, target: Target) -> float:
    """Return about how long a way takes."""
    shape = way.shape
    return lanes_cycles(way.task, shape, target) if isinstance(shape, Shape) else tiles_cycles(way.task, shape, target)


def _splits(task: Task, blocks: int, rounds: int, target: Target) -> list[int]:
    """Return into how many parts k may fall: none, and so many that all multiprocessors have something to do."""
    most = min(rounds, MOST_PARTS, LARGEST_PARTIAL // max(task.elements, 1))
    wanted = {1, *[min(most, ceil(factor * target.multiprocessors / blocks)) for factor in (1, 2)]}
    return sorted([parts for parts in wanted if parts >= 1])


def _blocks(task: Task, rows: int, columns: int) -> int:
    problem = task.problem
    return prod(problem.stack) * ceil(problem.m / rows) * ceil(problem.n / columns)


# ---- threads along k ----


def _shapes(task: Task, target: Target) -> Iterator[Shape]:
    """Give the shapes of blocks in which threads share k."""
    problem, vectors = task.problem, Vectors.of(task)
    if problem.m > 4 * WARP or (problem.m > WARP and problem.k < 256):
        return
    for rows in sorted({min(problem.m, most) for most in (1, 2, 4, 5, 8, 10, 16)}):
        for columns in (1, 2, 4, 8):
            if rows * columns > MOST_SUMS or columns % vectors.columns or columns >= 2 * problem.n:
                continue
            for across in (1, 2, 4, 8) if vectors.deep == 1 or not vectors.right else (1,):
                if across > 1 and columns * across >= 2 * problem.n:
                    continue
                yield from _divided(task, (rows, columns, across), vectors, target)


def _divided(task: Task, size: tuple[int, int, int], vectors: Vectors, target: Target) -> Iterator[Shape]:
    """Give the shapes of one size, for different numbers of threads along k and of blocks."""
    rows, columns, across = size
    pieces = -(-task.problem.k // vectors.deep)
    blocks = _blocks(task, rows, columns * across)
    for rounds in (1, 2, 4, 8):
        along = min(256, max(WARP // across, -(-pieces // rounds)))
        threads = min(256, -(-along * across // WARP) * WARP)
        for splits in _splits(task, blocks, -(-pieces * across // threads), target):
            yield Shape(rows, columns, vectors.columns, vectors.deep, across, threads, splits)
        if threads <= WARP:
            return


def lanes_cycles(task: Task, shape: Shape, target: Target) -> float:
    """Return how long the kernel in which threads share k takes."""
    problem, vectors = task.problem, Vectors.of(task)
    warps, rounds = shape.threads // WARP, shape.rounds(problem.k)
    sums = shape.rows * shape.columns
    slow = _slowness(task, target)
    right = BYTES[task.right] * shape.columns * shape.deep * WARP
    loads = shape.columns * shape.deep / (shape.deep if vectors.right else shape.vector)
    loads += shape.rows * (1 if vectors.left else shape.deep)
    strided = not vectors.right and problem.right.columns != 1 and problem.right.rows != 1
    passed = max(right / 128, loads) * (4 if strided else 1)
    work = warps * rounds * (slow * sums * shape.deep / 4 + passed)
    folding = warps * sums * 1.2 + 2 * BARRIER
    chain = TRIP * ceil(rounds / LONGEST_UNROLLED) + rounds * sums * shape.deep / 2 + sums * 3 + 2 * BARRIER
    bytes_ = warps * rounds * (right + BYTES[task.left] * shape.rows * shape.deep * WARP / shape.across)
    blocks = _blocks(task, shape.rows, shape.width) * shape.splits
    cost = max(work + folding, bytes_ / BYTES_A_CYCLE)
    return _total(task, target, blocks, 1024 // shape.threads, chain, cost, shape.splits)


# ---- tiles ----


def _tiles(task: Task, target: Target) -> Iterator[Tile]:
    """Give the tiles that there are kernels for."""
    problem = task.problem
    sizes = [(64, 64, 16, 4, 4), (32, 32, 16, 4, 4), (16, 64, 16, 4, 4)]
    if BYTES[task.sums] == 4:
        sizes += [(128, 64, 8, 8, 4), (128, 128, 8, 8, 8)]
    for rows, columns, deep, down, across in sizes:
        if rows * columns > 1024 and rows * columns >= 4 * 1024 * max(1, problem.m * problem.n // 1024):
            continue
        rounds = -(-problem.k // deep)
        for splits in _splits(task, _blocks(task, rows, columns), -(-rounds // 2), target):
            yield Tile(rows, columns, deep, down, across, splits)


def tiles_cycles(task: Task, tile: Tile, target: Target) -> float:
    """Return how long the kernel with tiles in shared memory takes."""
    problem, warps = task.problem, tile.threads / WARP
    rounds = ceil(problem.k / (tile.deep * tile.splits))
    sums, slow = tile.own_rows * tile.own_columns, _slowness(task, target)
    reads = (tile.own_rows + tile.own_columns) / 4 * 2 * BYTES[task.sums] / 4
    work = rounds * warps * tile.deep * (slow * sums / 4 + reads) * 1.1
    read = (tile.rows * BYTES[task.left] + tile.columns * BYTES[task.right]) * tile.deep * rounds
    written = tile.rows * tile.columns * BYTES[task.output] * (2 if problem.added is not None else 1)
    chain = 2 * TRIP + rounds * max(TRIP / 2 + 2 * BARRIER, tile.deep * (sums + 20) * warps / 8)
    blocks = _blocks(task, tile.rows, tile.columns) * tile.splits
    resident = max(1, min(2048 // tile.threads, 65536 // (tile.threads * (2 * sums + 40))))
    cost = max(work, (read + written) / BYTES_A_CYCLE)
    return _total(task, target, blocks, resident, chain, cost, tile.splits)


def _slowness(task: Task, target: Target) -> float:
    """Return cycles of a multiplication of a warp on one of a multiprocessor's four parts."""
    if task.sums == "float64":
        return 2 if target.capability in (80, 90, 100) else 32
    return 1 if task.sums in FLOATS or BYTES[task.sums] == 4 else 4


def _total(
    task: Task, target: Target, blocks: int, resident: int, chain: float, work: float, splits: int
) -> float:  # fmt: skip
    """Return the time of all blocks: `chain` passes for all that run together, `work` for one after the other."""
    each = ceil(blocks / target.multiprocessors)
    cycles = max(ceil(each / max(resident, 1)) * chain, each * work + TRIP)
    if splits > 1:
        parts = task.elements * splits * BYTES[task.sums] * 2
        cycles += LAUNCH + 2 * TRIP + parts / (BYTES_A_CYCLE * target.multiprocessors)
    return cycles
