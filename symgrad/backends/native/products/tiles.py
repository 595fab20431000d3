"""Register tiles: the inner loops of matrix products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from symgrad.backends.native.llvm.text import Function, Value, index, literal, vector_type

Rows = list[list[Value]]


@dataclass(frozen=True)
class Numbers:
    """The numbers that a kernel computes with, and the processor's vectors of them.

    Parameters
    ----------
    element : str
        ``"float"`` or ``"double"``.
    lanes : int
        Elements of one vector.
    registers : int
        How many vectors the processor's registers hold.
    """

    element: str
    lanes: int
    registers: int

    @classmethod
    def of(cls, dtype: str, vector_bytes: int, registers: int) -> Numbers:
        """Return the numbers of a dtype for so many vectors of `vector_bytes` bytes."""
        element, size = ("float", 4) if dtype == "float32" else ("double", 8)
        return cls(element, vector_bytes // size, registers)

    @property
    def bytes(self) -> int:
        """The size of one number."""
        return 4 if self.element == "float" else 8

    @property
    def vector(self) -> str:
        """The type of a vector."""
        return vector_type(self.element, self.lanes)

    @property
    def zeros(self) -> Value:
        """A vector of zeros."""
        return literal(0, self.vector)

    def widths(self, count: int) -> list[int]:
        """Split `count` elements into vectors: the last may be filled in part."""
        full, rest = divmod(count, self.lanes)
        return [self.lanes] * full + [rest] * (rest > 0)

    def load(self, function: Function, pointer: Value, width: int) -> Value:
        """Load the first `width` lanes; the others are zero."""
        if width == self.lanes:
            return function.load(pointer, self.vector)
        return function.masked_load(pointer, self.vector, _first(width, self.lanes), self.zeros)

    def store(self, function: Function, value: Value, pointer: Value, width: int) -> None:
        """Store the first `width` lanes."""
        if width == self.lanes:
            function.store(value, pointer)
        else:
            function.masked_store(value, pointer, _first(width, self.lanes))


def _first(width: int, lanes: int) -> Value:
    """Return the mask of the first `width` lanes."""
    bits = ", ".join(f"i1 {'true' if lane < width else 'false'}" for lane in range(lanes))
    return Value(f"<{bits}>", vector_type("i1", lanes))


def scaled(function: Function, number: Value, factor: int) -> Value:
    """Return ``number * factor``; known at once if both are."""
    if not number.text.startswith("%"):
        return index(int(number.text) * factor)
    return number if factor == 1 else function.multiply(number, index(factor))


def at(function: Function, pointer: Value, count: int, element: str) -> Value:
    """Return the address of an element at a known distance."""
    return pointer if count == 0 else function.offset(pointer, index(count), element)


def over_tiles(
    function: Function, count: int, size: int, emit: Callable[[Value, int], None], overlap: bool = False
) -> None:
    """Write a loop over tiles of `size`, and then the tile that is left; `emit` gets the first position and the size.

    With `overlap` the last tile starts earlier instead, so that it is a whole one: there is only one to write.
    """
    full, rest = divmod(count, size)
    if full and rest and overlap:
        with function.loop(index(0), index(count), size, hint="tile") as loop:
            emit(function.intrinsic("smin", "i64", loop.index, index(count - size)), size)
        return
    if full == 1:
        emit(index(0), size)
    elif full:
        with function.loop(index(0), index(full * size), size, hint="tile") as loop:
            emit(loop.index, size)
    if rest:
        emit(index(full * size), rest)


# ---- sums of products -----------------------------------------------------------------------------------------------


def broadcast_tile(
    function: Function, numbers: Numbers, left: Value, right: Value, steps: int,
    rows: int, widths: Sequence[int], left_strides: tuple[int, int], right_stride: int,
) -> Rows:  # fmt: skip
    """Write the sums over k of ``left[r, k] * right[k, v-th vector]``, for each row r and vector v.

    Each number of `left` is spread over a vector; `right` is read along its rows.
    """
    carried = [left, right, *[numbers.zeros] * (rows * len(widths))]
    with function.loop(index(0), index(steps), 1, carried, hint="k") as loop:
        from_left, from_right, *flat = loop.carried
        vectors = [
            numbers.load(function, at(function, from_right, number * numbers.lanes, numbers.element), width)
            for number, width in enumerate(widths)
        ]
        for row in range(rows):
            place = at(function, from_left, row * left_strides[0], numbers.element)
            spread = function.splat(function.load(place, numbers.element), numbers.lanes)
            for column, vector in enumerate(vectors):
                number = row * len(vectors) + column
                flat[number] = function.fma(spread, vector, flat[number])
        loop.next = [
            function.offset(from_left, index(left_strides[1]), numbers.element),
            function.offset(from_right, index(right_stride), numbers.element), *flat,
        ]  # fmt: skip
    found = loop.results[2:]
    return [list(found[row * len(widths) : (row + 1) * len(widths)]) for row in range(rows)]


def dot_tile(
    function: Function, numbers: Numbers, left: Value, right: Value, steps: int,
    rows: int, columns: int, left_stride: int, right_stride: int, is_streamed: bool = False,
) -> Rows:  # fmt: skip
    """Write inner products of `rows` rows of left with `columns` rows of right; returns vectors of partial sums.

    If right is streamed from memory, the rows of the next tile are asked for meanwhile.
    """
    carried = [left, right, *[numbers.zeros] * (rows * columns)]

    def add_products(pointers: Sequence[Value], sums: list[Value], width: int) -> list[Value]:
        vectors = [
            numbers.load(function, at(function, pointers[1], column * right_stride, numbers.element), width)
            for column in range(columns)
        ]
        for row in range(rows):
            vector = numbers.load(function, at(function, pointers[0], row * left_stride, numbers.element), width)
            for column in range(columns):
                number = row * columns + column
                sums[number] = function.fma(vector, vectors[column], sums[number])
        return sums

    full, rest = divmod(steps, numbers.lanes)
    with function.loop(index(0), index(full), 1, carried, hint="k") as loop:
        for column in range(columns, 2 * columns if is_streamed else columns):
            function.prefetch(at(function, loop.carried[1], column * right_stride, numbers.element))
        sums = add_products(loop.carried[:2], loop.carried[2:], numbers.lanes)
        loop.next = [*[at(function, p, numbers.lanes, numbers.element) for p in loop.carried[:2]], *sums]
    sums = loop.results[2:]
    if rest:
        sums = add_products(loop.results[:2], sums, rest)
    return [sums[row * columns : (row + 1) * columns] for row in range(rows)]


def sums_of_lanes(function: Function, vectors: Sequence[Value], lanes: int) -> Value:
    """Return a vector whose lane i is the sum of the lanes of ``vectors[i]``; further lanes have no meaning.

    Always halves are added to halves, so a sum doesn't depend on how many vectors are summed together.
    """
    groups = [*vectors]
    group = lanes
    while group > 1:
        if len(groups) % 2:
            groups.append(groups[-1])
        half = group // 2
        starts = [base + start for base in (0, lanes) for start in range(0, lanes, group)]
        low = [start + lane for start in starts for lane in range(half)]
        high = [lane + half for lane in low]
        # Afterwards the lanes of one vector hold the halves of two, in the vectors' order.
        pairs = []
        for a, b in zip(groups[::2], groups[1::2], strict=True):
            pairs.append(function.add(function.shuffle(a, b, low), function.shuffle(a, b, high)))
        groups, group = pairs, half
    return groups[0]
