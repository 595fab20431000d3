"""Register tiles: the inner loops of matrix products, and what is done with their sums."""

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
    def of(cls, dtype: str, vector_bytes: int) -> Numbers:
        """Return the numbers of a dtype for vectors of `vector_bytes` bytes."""
        element, size = ("float", 4) if dtype == "float32" else ("double", 8)
        return cls(element, vector_bytes // size, 32 if vector_bytes >= 64 else 16)

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


# ---- sums of products -----------------------------------------------------------------------------------------------


def broadcast_tile(
    function: Function, numbers: Numbers, left: Value, right: Value, steps: Value,
    rows: int, widths: Sequence[int], left_strides: tuple[int, int], right_stride: int, sums: Rows | None = None,
) -> Rows:  # fmt: skip
    """Write ``sums[r][v] += left[r, k] * right[k, v-th vector]`` for all k, the sums in registers.

    Each number of `left` is spread over a vector; `right` is read along its rows.
    """
    before = sums or [[numbers.zeros] * len(widths) for _ in range(rows)]
    carried = [left, right, *[value for row in before for value in row]]
    with function.loop(index(0), steps, 1, carried, hint="k") as loop:
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
    rows: int, columns: int, left_stride: int, right_stride: int,
) -> Rows:  # fmt: skip
    """Write inner products of `rows` rows of left with `columns` rows of right; returns vectors of partial sums."""
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
        if len(groups) == 1:
            groups.append(groups[0])
        elif len(groups) % 2:
            groups.append(groups[-1])
        half = group // 2
        starts = [base + start for base in (0, lanes) for start in range(0, lanes, group)]
        low = [start + lane for start in starts for lane in range(half)]
        # Afterwards the lanes of one vector hold the halves of two: sorted so that they stay in the vectors' order.
        pairs = []
        for a, b in zip(groups[::2], groups[1::2], strict=True):
            high = [lane + half for lane in low]
            pairs.append(function.add(function.shuffle(a, b, low), function.shuffle(a, b, high)))
        groups, group = pairs, half
    return groups[0]


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
        loop.next = [
            function.shuffle(loop.carried[i], loop.carried[i + half], picks) for i in range(half) for picks in (low, high)
        ]
    return loop.results


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


def transpose_into(
    function: Function, numbers: Numbers, source: Value, rows: int, columns: int, stride: int, target: Value, padded: int,
) -> None:  # fmt: skip
    """Write the transpose of a matrix with contiguous rows into memory with rows of `padded` elements.

    The rows' ends, up to a whole vector, are filled as well.
    """
    lanes, element = numbers.lanes, numbers.element

    def block(row: Value, height: int, column: Value, width: int) -> None:
        place = function.offset(source, function.add(scaled(function, row, stride), column), element)
        vectors = [
            numbers.load(function, at(function, place, number * stride, element), width) for number in range(height)
        ]
        goal = function.offset(target, function.add(row, scaled(function, column, padded)), element)
        for number, vector in enumerate(transposed(function, vectors, lanes)[:width]):
            function.store(vector, at(function, goal, number * padded, element))

    def strip(row: Value, height: int) -> None:
        over_tiles(function, columns, lanes, lambda column, width: block(row, height, column, width))

    over_tiles(function, rows, lanes, strip)


def copy_into(
    function: Function, numbers: Numbers, source: Value, rows: int, columns: int, stride: int, target: Value, padded: int,
) -> None:  # fmt: skip
    """Copy a matrix with contiguous rows into memory with rows of `padded` elements, as far as whole vectors go."""
    with function.loop(index(0), index(rows), hint="copy") as loop:
        place = function.offset(source, scaled(function, loop.index, stride), numbers.element)
        goal = function.offset(target, scaled(function, loop.index, padded), numbers.element)
        for number, width in enumerate(numbers.widths(columns)):
            vector = numbers.load(function, at(function, place, number * numbers.lanes, numbers.element), width)
            function.store(vector, at(function, goal, number * numbers.lanes, numbers.element))


# ---- what becomes of the sums ---------------------------------------------------------------------------------------


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
    alpha : Value or None
        A vector of the factor of the sums; None is 1.
    beta : Value
        A vector of the factor of `added`.
    """

    numbers: Numbers
    output: Value
    added: Value | None = None
    alpha: Value | None = None
    beta: Value = index(0)

    def moved(self, function: Function, count: Value) -> Target:
        """Return the target from element `count` on."""
        added = None if self.added is None else function.offset(self.added, count, self.numbers.element)
        output = function.offset(self.output, count, self.numbers.element)
        return Target(self.numbers, output, added, self.alpha, self.beta)

    def put(self, function: Function, sums: Value, distance: int, width: int) -> None:
        """Write `width` sums, side by side in memory, at a known distance."""
        numbers = self.numbers
        if self.added is not None:
            old = numbers.load(function, at(function, self.added, distance, numbers.element), width)
            scaled_sums = sums if self.alpha is None else function.multiply(self.alpha, sums)
            step = function.fma(self.beta, old, scaled_sums)
            sums = function.add(old, step)
        numbers.store(function, sums, at(function, self.output, distance, numbers.element), width)


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

