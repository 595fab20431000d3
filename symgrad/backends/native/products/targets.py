"""What becomes of the sums that a tile holds: they are stored, or added to a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from symgrad.backends.native.llvm.text import Function, Value, index
from symgrad.backends.native.products.copies import transposed
from symgrad.backends.native.products.tiles import Numbers, Rows, at, sums_of_lanes


@dataclass(frozen=True)
class Target:
    """Where the sums go.

    Parameters
    ----------
    numbers : Numbers
        What is stored.
    output : Value
        The address of the output.
    added : Value or None
        The address of the matrix to add to; it has the output's strides.
    alpha, beta : Value or None
        Vectors of the factors of the sums, and of `added`; None is 1, and 0.
    """

    numbers: Numbers
    output: Value
    added: Value | None = None
    alpha: Value | None = None
    beta: Value | None = None

    def moved(self, function: Function, count: Value) -> Target:
        """Return the target from element `count` on."""
        added = None if self.added is None else function.offset(self.added, count, self.numbers.element)
        return replace(self, output=function.offset(self.output, count, self.numbers.element), added=added)

    def put(self, function: Function, sums: Value, distance: int, width: int) -> Value:
        """Write `width` sums, side by side in memory, at a known distance; return what they were added to."""
        numbers, old = self.numbers, self.numbers.zeros
        if self.added is not None:
            old = numbers.load(function, at(function, self.added, distance, numbers.element), width)
            step = sums if self.alpha is None else function.multiply(self.alpha, sums)
            step = step if self.beta is None else function.fma(self.beta, old, step)
            sums = function.add(old, step)
        numbers.store(function, sums, at(function, self.output, distance, numbers.element), width)
        return old


def put_tile(function: Function, target: Target, sums: Rows, widths: Sequence[int], strides: tuple[int, int]) -> None:
    """Write a tile of vectors along the columns; transpose it first if the output's rows are the contiguous axis."""
    lanes = target.numbers.lanes
    if strides[1] == 1:
        pieces = [list(zip(vectors, widths, strict=True)) for vectors in sums]
        put_rows(function, target, pieces, strides[0])
        return
    for first in range(0, len(sums), lanes):
        group = sums[first : first + lanes]
        pieces = []
        for column, width in enumerate(widths):
            turned = transposed(function, [vectors[column] for vectors in group], lanes)
            pieces += [[(vector, len(group))] for vector in turned[:width]]
        put_rows(function, target.moved(function, index(first * strides[0])), pieces, strides[1])


def put_rows(
    function: Function, target: Target, rows: Sequence[Sequence[tuple[Value, int]]], stride: int
) -> None:
    """Write rows, each of vectors of which the first lanes count, side by side; adjacent rows are written as one."""
    length = sum(width for _, width in rows[0])
    if stride == length:
        rows, stride = [[piece for row in rows for piece in row]], 0
    for number, row in enumerate(rows):
        full = whole_vectors(function, row, target.numbers.lanes)
        for column, (vector, width) in enumerate(full):
            target.put(function, vector, number * stride + column * target.numbers.lanes, width)


def whole_vectors(function: Function, pieces: Sequence[tuple[Value, int]], lanes: int) -> list[tuple[Value, int]]:
    """Return the lanes that count of all pieces, one after the other, in vectors filled up to the last."""
    found: list[tuple[Value, int]] = []
    for vector, width in pieces:
        start = 0
        if found and found[-1][1] < lanes:
            filled, used = found[-1]
            start = min(lanes - used, width)
            picks = [*range(used), *range(lanes, lanes + start)]
            found[-1] = (function.shuffle(filled, vector, _padded(picks, lanes)), used + start)
        if start < width:
            rest = function.shuffle(vector, vector, _padded(range(start, width), lanes)) if start else vector
            found.append((rest, width - start))
    return found


def _padded(picks: Sequence[int], lanes: int) -> list[int]:
    return [*picks, *[picks[-1]] * (lanes - len(picks))]


def put_sums(function: Function, target: Target, sums: Rows, strides: tuple[int, int]) -> None:
    """Sum the lanes of a tile's vectors and write the sums."""
    lanes = target.numbers.lanes
    if strides[1] != 1:
        sums, strides = [list(column) for column in zip(*sums, strict=True)], strides[::-1]
    flat = [vector for row in sums for vector in row]
    totals = [(sums_of_lanes(function, flat[first : first + lanes], lanes), min(lanes, len(flat) - first))
              for first in range(0, len(flat), lanes)]  # fmt: skip
    if strides[0] == len(sums[0]):
        put_rows(function, target, [totals], 0)
        return
    for number, row in enumerate(sums):
        put_rows(function, target.moved(function, index(number * strides[0])),
                 [_cut(function, totals, number * len(row), len(row), lanes)], 0)  # fmt: skip


def _cut(
    function: Function, vectors: Sequence[tuple[Value, int]], start: int, count: int, lanes: int
) -> list[tuple[Value, int]]:
    """Return `count` lanes from lane `start` of vectors side by side."""
    pieces = []
    while count:
        number, lane = divmod(start, lanes)
        width = min(lanes - lane, count)
        vector = vectors[number][0]
        if lane:
            picks = [*range(lane, lane + width), *[lane] * (lanes - width)]
            vector = function.shuffle(vector, vector, picks)
        pieces.append((vector, width))
        start, count = start + width, count - width
    return pieces
