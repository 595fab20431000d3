"""Transposes of matrices in memory, by small square tiles in registers."""

from __future__ import annotations

from symgrad.backends.correlation import Pair
from symgrad.backends.native.convolutions.addresses import element_at, minimum, power_below, transposed
from symgrad.backends.native.llvm.text import Function, Value, index, vector_type

TILE = 4
"""The largest tile; larger ones take more code than they save time."""


def transpose(
    function: Function, target: Value, source: Value, element: str, sizes: Pair, steps: Pair, lanes: int,
    is_mirrored: bool = False,
) -> None:  # fmt: skip
    """Write code for ``target[j, i] = source[i, j]``; or ``target[columns - 1 - j, i]`` if it is mirrored.

    Parameters
    ----------
    sizes : (int, int)
        Rows and columns of the source.
    steps : (int, int)
        Elements from one row to the next, of the source and of the target.
    lanes : int
        Lanes of a full vector.
    """
    rows, columns = sizes
    size = power_below(min(rows, columns), min(TILE, lanes))
    kind = vector_type(element, size)
    with function.loop(index(0), index(rows), size, hint="tiles") as down:
        row = minimum(function, down.index, index(rows - size)) if rows % size else down.index
        with function.loop(index(0), index(columns), size, hint="tile") as across:
            column = minimum(function, across.index, index(columns - size)) if columns % size else across.index
            corner = element_at(function, source, element, (row, steps[0]), (column, 1))
            tile = [
                function.load(element_at(function, corner, element, start=number * steps[0]), kind)
                for number in range(size)
            ]
            if is_mirrored:
                place = element_at(
                    function, target, element, (column, -steps[1]), (row, 1), start=(columns - 1) * steps[1]
                )
            else:
                place = element_at(function, target, element, (column, steps[1]), (row, 1))
            step = -steps[1] if is_mirrored else steps[1]
            for number, vector in enumerate(transposed(function, tile)):
                function.store(vector, element_at(function, place, element, start=number * step))
