"""Copies of parts of matrices, in the order in which they are read."""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.backends.matrices import Matrix
from symgrad.backends.native.llvm.text import Function, Value, index
from symgrad.backends.native.products.tiles import Numbers, at, over_tiles, scaled


def copy_into(
    function: Function, numbers: Numbers, source: Value, matrix: Matrix, sizes: tuple[int, int],
    target: Value, padded: int,
) -> None:  # fmt: skip
    """Copy a matrix of `sizes` from `source` on into memory with rows of `padded` elements.

    The ends of rows may be filled up to a whole vector.
    """
    if matrix.columns == 1:
        _copy_rows(function, numbers, source, sizes, matrix.rows, target, padded)
    elif matrix.rows == 1:
        _copy_columns(function, numbers, source, sizes, matrix.columns, target, padded)
    else:
        _copy_elements(function, numbers, source, matrix, sizes, target, padded)


def _copy_rows(
    function: Function, numbers: Numbers, source: Value, sizes: tuple[int, int], stride: int, target: Value, padded: int
) -> None:
    with function.loop(index(0), index(sizes[0]), hint="copy") as loop:
        place = function.offset(source, scaled(function, loop.index, stride), numbers.element)
        goal = function.offset(target, scaled(function, loop.index, padded), numbers.element)
        for number, width in enumerate(numbers.widths(sizes[1])):
            vector = numbers.load(function, at(function, place, number * numbers.lanes, numbers.element), width)
            function.store(vector, at(function, goal, number * numbers.lanes, numbers.element))


def _copy_columns(
    function: Function, numbers: Numbers, source: Value, sizes: tuple[int, int], stride: int, target: Value, padded: int
) -> None:
    lanes, element = numbers.lanes, numbers.element

    def block(column: Value, width: int, row: Value, height: int) -> None:
        place = function.offset(source, function.add(scaled(function, column, stride), row), element)
        vectors = [
            numbers.load(function, at(function, place, number * stride, element), height) for number in range(width)
        ]
        goal = function.offset(target, function.add(column, scaled(function, row, padded)), element)
        for number, vector in enumerate(transposed(function, vectors, lanes)[:height]):
            function.store(vector, at(function, goal, number * padded, element))

    def columns(column: Value, width: int) -> None:
        over_tiles(function, sizes[0], lanes, lambda row, height: block(column, width, row, height))

    over_tiles(function, sizes[1], lanes, columns)


def _copy_elements(
    function: Function, numbers: Numbers, source: Value, matrix: Matrix, sizes: tuple[int, int],
    target: Value, padded: int,
) -> None:  # fmt: skip
    with function.loop(index(0), index(sizes[0]), hint="row") as row:
        place = function.offset(source, scaled(function, row.index, matrix.rows), numbers.element)
        goal = function.offset(target, scaled(function, row.index, padded), numbers.element)
        with function.loop(index(0), index(sizes[1]), hint="column") as column:
            distance = scaled(function, column.index, matrix.columns)
            found = function.load(function.offset(place, distance, numbers.element), numbers.element)
            function.store(found, function.offset(goal, column.index, numbers.element))


def transposed(function: Function, vectors: Sequence[Value], lanes: int) -> list[Value]:
    """Return one vector for each lane of `vectors` (at most as many as lanes): ``result[i][j] = vectors[j][i]``.

    Further lanes have no meaning.
    """
    rows = [*vectors, *[vectors[-1]] * (lanes - len(vectors))]
    low = [half * lanes + lane for lane in range(lanes // 2) for half in (0, 1)]
    high = [pick + lanes // 2 for pick in low]
    # Interleaving row i with row i + lanes/2, log2(lanes) times, is the perfect shuffle that transposes. It is a loop
    # because the code generator takes very long over shuffles of shuffles.
    with function.loop(index(0), index(lanes.bit_length() - 1), 1, rows, hint="transpose") as loop:
        half = lanes // 2
        pairs = zip(loop.carried[:half], loop.carried[half:], strict=True)
        loop.next = [function.shuffle(a, b, picks) for a, b in pairs for picks in (low, high)]
    return loop.results
