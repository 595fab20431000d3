"""Addresses, copies and tiles: what all kernels for images share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from symgrad.backends.native.llvm.text import Function, Value, byte_size, index, literal, vector_type

ELEMENTS = {"float32": "float", "float64": "double"}
"""The LLVM type of each dtype that these kernels compute in."""

ALIGNMENT = 64
"""Parts of scratch memory start at multiples of it."""


def aligned(size: int) -> int:
    """Return a size rounded up to a multiple of `ALIGNMENT`."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def registers_of(vector_bytes: int) -> int:
    """Return how many vector registers there are: 32 with vectors of 64 bytes, else 16 are sure."""
    return 32 if vector_bytes >= 64 else 16


def power_below(size: int, limit: int) -> int:
    """Return the largest power of two that exceeds neither `size` nor `limit`.

    Examples
    --------
    >>> power_below(12, 16), power_below(40, 16)
    (8, 16)
    """
    power = 1
    while 2 * power <= min(size, limit):
        power *= 2
    return power


def affine(function: Function, *terms: tuple[Value, int], start: int = 0) -> Value:
    """Return ``start + value * factor + ...``; constants are folded."""
    total: Value | None = None
    for value, factor in terms:
        if not value.text.startswith("%"):
            start += int(value.text) * factor
        elif factor != 0:
            product = value if factor == 1 else function.multiply(value, index(factor))
            total = product if total is None else function.add(total, product)
    if total is None:
        return index(start)
    return function.add(total, index(start)) if start else total


def element_at(function: Function, pointer: Value, element: str, *terms: tuple[Value, int], start: int = 0) -> Value:
    """Return the address of the element at an affine position."""
    return function.offset(pointer, affine(function, *terms, start=start), element)


def part_of_scratch(function: Function, begin: int) -> Value:
    """Return the address of a part of this thread's scratch memory, by its byte."""
    return function.offset(function.parameters[4], index(begin), "i8")


def minimum(function: Function, a: Value, b: Value) -> Value:
    """The lesser of two indices."""
    return function.intrinsic("smin", "i64", a, b)


def quotient(function: Function, value: Value, divisor: int) -> tuple[Value, Value]:
    """Return quotient and remainder of an index that isn't negative."""
    if not value.text.startswith("%"):
        return index(int(value.text) // divisor), index(int(value.text) % divisor)
    if divisor == 1:
        return value, index(0)
    return function.binary("udiv", value, index(divisor)), function.binary("urem", value, index(divisor))


def pieces(count: int, lanes: int) -> Iterable[tuple[int, int]]:
    """Yield (begin, lanes) of vectors that cover `count` elements; the last may overlap the one before.

    Examples
    --------
    >>> list(pieces(12, 8)), list(pieces(3, 8))
    ([(0, 8), (4, 8)], [(0, 2), (1, 2)])
    """
    width = power_below(count, lanes)
    for begin in range(0, count, width):
        yield min(begin, count - width), width


def row_parts(rows: int, vectors: int, registers: int) -> tuple[int, list[range]]:
    """Return how rows of vectors go into registers: some rows at a time, by parts of their vectors.

    The number of rows divides `rows`. Six sums that don't wait for each other are enough to be fast.

    Examples
    --------
    >>> row_parts(5, 7, 20), row_parts(4, 2, 20), row_parts(3, 24, 20)
    ((1, [range(0, 7)]), (4, [range(0, 2)]), (1, [range(0, 12), range(12, 24)]))
    """
    count = -(-vectors // registers)
    size = -(-vectors // count)
    fitting = [n for n in range(1, rows + 1) if rows % n == 0 and n * size <= registers]
    together = next((n for n in fitting if n * size >= 6), fitting[-1])
    return together, [range(begin, min(begin + size, vectors)) for begin in range(0, vectors, size)]


def fill_with_zeros(function: Function, pointer: Value, element: str, count: int, lanes: int) -> None:
    """Write zeros over `count` elements, which must be a multiple of the lanes."""
    zero = literal(0, vector_type(element, lanes))
    with function.loop(index(0), index(count), lanes, hint="zeros") as loop:
        function.store(zero, function.offset(pointer, loop.index, element))


def transposed(function: Function, rows: Sequence[Value]) -> list[Value]:
    """Return the columns of a square tile whose rows are vectors; its size is a power of two."""
    size, step = len(rows), 1
    tile = list(rows)
    while step < size:
        swapped = list(tile)
        low = [lane if not lane & step else size + lane - step for lane in range(size)]
        high = [lane + step if not lane & step else size + lane for lane in range(size)]
        for row in range(size):
            if not row & step:
                swapped[row] = function.shuffle(tile[row], tile[row + step], low)
                swapped[row + step] = function.shuffle(tile[row], tile[row + step], high)
        tile, step = swapped, 2 * step
    return tile


def bytes_of(element: str, count: int) -> int:
    """Return the size of `count` elements."""
    return count * byte_size(element)
