"""Products with few rows or few columns: threads share k, and add up what they have at the end.

A block computes a few rows and columns of the output. Its threads stand along k (and, where the right matrix has
contiguous rows, a few of them along its columns), so that even ten rows keep all multiprocessors busy without a second
launch. The right matrix, the larger one, is read once, in vectors. Each thread keeps all sums of the block's tile in
registers. Then neighbours exchange halves of them until each has the total of a few, and the warps' totals are added
in shared memory, in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from symgrad.backends.cupy.kernel import CudaKernel, element
from symgrad.backends.cupy.products.folding import Folding
from symgrad.backends.cupy.products.text import (
    Goal,
    Task,
    aligned_test,
    block_places,
    factors_text,
    made_kernel,
    narrowed,
    other_steps,
    pack,
    packed,
    size_words,
    stack_offset,
    stepped,
    times,
    vector_of,
    widened,
)
from symgrad.kernels.ir.functions import DTYPES as BYTES

MOST_SUMS = 48
"""Sums of a thread: with their factors they have to fit into registers."""

ARGUMENTS = "left, right, sums, rows, columns"

LONGEST_UNROLLED = 4
"""Rounds that are written out, so that all their loads are under way before the first is used."""


@dataclass(frozen=True)
class Shape:
    """How a block's work is divided.

    Parameters
    ----------
    rows, columns : int
        Sums of a thread; the columns are `vector` neighbours, again and again.
    vector : int
        Columns of the right matrix that are read at once.
    deep : int
        Elements along k that a thread takes at once.
    across : int
        Threads along columns.
    threads : int
        All threads of a block.
    splits : int
        Blocks that share k.
    """

    rows: int
    columns: int
    vector: int
    deep: int
    across: int
    threads: int
    splits: int = 1

    @property
    def along(self) -> int:
        """Threads along k."""
        return self.threads // self.across

    @property
    def width(self) -> int:
        """Columns of a block."""
        return self.columns * self.across

    def rounds(self, k: int) -> int:
        """How often each thread takes a piece of k, at the most."""
        return -(-k // (self.along * self.deep * self.splits))


@dataclass(frozen=True)
class Vectors:
    """Which operands are read in vectors.

    Parameters
    ----------
    left, right : bool
        Whether several elements along k are read at once.
    columns : int
        How many columns of the right matrix are.
    deep : int
        How many elements along k.
    """

    left: bool
    right: bool
    columns: int
    deep: int

    @classmethod
    def of(cls, task: Task) -> Vectors:
        """Return what suits a product."""
        problem = task.problem
        left, right = problem.left, problem.right
        along_left = along_right = across = 1
        if left.columns == 1 and problem.k > 1:
            along_left = vector_of(task.left, problem.k, other_steps(problem, left, problem.m, left.rows))
        if right.columns == 1 and problem.n > 1:
            across = vector_of(task.right, problem.n, other_steps(problem, right, problem.k, right.rows))
        elif right.rows == 1 and problem.k > 1:
            along_right = vector_of(task.right, problem.k, other_steps(problem, right, problem.n, right.columns))
        deep = min(4, along_right if right.columns != 1 or problem.n == 1 else along_left)
        return cls(along_left >= deep > 1, along_right >= deep > 1, min(4, across), deep)


def lanes_kernel(task: Task, shape: Shape) -> tuple[CudaKernel, list[int]]:
    """Return the kernel, and which operands its buffers are before the output."""
    problem, goal = task.problem, Goal(task, shape.splits)
    vectors, sums = Vectors.of(task), element(task.sums)
    tiles = -(-problem.m // shape.rows), -(-problem.n // shape.width)
    blocks = tiles[0] * tiles[1] * shape.splits * prod(problem.stack)
    folding = Folding(shape.rows * shape.columns, shape.across, shape.threads, sums)
    helpers = _helpers(task, shape, vectors, folding.padded)
    tests = [("left", shape.deep if vectors.left else 1), ("right", shape.deep if vectors.right else shape.vector)]
    otherwise = "    else\n        NAME_sum<false>(left, right, sums, row, column, part, along, across);\n"
    otherwise = "" if all(width == 1 for _, width in tests) else otherwise
    body = f"""\
    const int along = threadIdx.x / {shape.across}, across = threadIdx.x % {shape.across};
{block_places(task, tiles, (shape.rows, shape.width), shape.splits)}\
    left += {stack_offset(problem.left, problem.stack, "stack")};
    right += {stack_offset(problem.right, problem.stack, "stack")};
    {sums} sums[{folding.padded}] = {{}};
    if ({aligned_test(tests)})
        NAME_sum<true>(left, right, sums, row, column, part, along, across);
{otherwise}\
{folding.text()}\
{_ending(task, shape, goal, folding)}"""
    moved = (problem.k * problem.n + problem.m * problem.k) * BYTES[task.right] + task.elements * BYTES[task.output]
    words = ["step_lanes" if goal.is_step else "lanes", task.output, *size_words(problem)]
    kernel = made_kernel(words, helpers, goal.parameters, body, shape.threads, blocks, problem.flops, moved)
    return kernel, goal.buffers


def _helpers(task: Task, shape: Shape, vectors: Vectors, padded: int) -> str:
    """Return the functions that add one piece of k to the sums of a thread."""
    index, sums = task.index, element(task.sums)
    parameters = f"""\
    const {element(task.left)}* __restrict__ left, const {element(task.right)}* __restrict__ right,
    {sums} (&sums)[{padded}], const {index} (&rows)[{shape.rows}], const {index} (&columns)[{shape.columns}], {index} k,
    bool inside
"""
    return f"""\
template <int DEEP, int VECTOR>
static __device__ __forceinline__ void NAME_add(
{parameters}) {{
    {sums} x[{shape.rows}][DEEP], y[DEEP][{shape.columns}];
{_reading_right(task, shape, vectors)}{_reading_left(task, shape, vectors)}\
    #pragma unroll
    for (int row = 0; row < {shape.rows}; ++row)
        #pragma unroll
        for (int column = 0; column < {shape.columns}; ++column)
            #pragma unroll
            for (int deep = 0; deep < DEEP; ++deep)
                sums[row * {shape.columns} + column] += x[row][deep] * y[deep][column];
}}
template <bool ALIGNED>
static __device__ __forceinline__ void NAME_round(
{parameters}) {{
    if (ALIGNED) {{
        NAME_add<{shape.deep}, {shape.vector}>({ARGUMENTS}, k, inside);
    }} else {{
        #pragma unroll 1
        for (int deep = 0; deep < {shape.deep}; ++deep)
            NAME_add<1, 1>({ARGUMENTS}, k + deep, inside);
    }}
}}
{_summing(task, shape, padded)}"""


def _summing(task: Task, shape: Shape, padded: int) -> str:
    """Return the function that forms the sums of one thread."""
    problem, index = task.problem, task.index
    own = -(-problem.k // (shape.splits * shape.deep)) * shape.deep
    stride = shape.along * shape.deep
    if shape.splits == 1:
        whole, rest = str(problem.k // stride), problem.k % stride != 0
        bounds = f"    {index} k = along * {shape.deep};\n"
    else:
        whole, rest = f"(int)((end - start) / {stride})", True
        bounds = f"""\
    const {index} start = ({index})part * {own};
    const {index} end = start + {own} < {problem.k} ? start + {own} : {problem.k};
    {index} k = start + along * {shape.deep};
"""
    unroll = LONGEST_UNROLLED if shape.splits > 1 else min(max(problem.k // stride, 1), LONGEST_UNROLLED)
    end = str(problem.k) if shape.splits == 1 else "end"
    tail = f"    NAME_round<ALIGNED>({ARGUMENTS}, k, k < {end});\n" if rest else ""
    return f"""\
template <bool ALIGNED>
static __device__ __forceinline__ void NAME_sum(
    const {element(task.left)}* __restrict__ left, const {element(task.right)}* __restrict__ right,
    {element(task.sums)} (&sums)[{padded}], {index} row, {index} column, int part, int along, int across
) {{
    // Rows and columns behind the last are the last once more; what they sum up is not stored.
    {index} rows[{shape.rows}], columns[{shape.columns}];
    #pragma unroll
    for (int number = 0; number < {shape.rows}; ++number) {{
        const {index} place = row + number < {problem.m} ? row + number : {problem.m - 1};
        rows[number] = {times("place", problem.left.rows)};
    }}
    #pragma unroll
    for (int number = 0; number < {shape.columns}; ++number) {{
        const {index} place = column + (number / {shape.vector} * {shape.across} + across) * {shape.vector};
        columns[number] = {times(_clamped(problem.n, shape.vector), problem.right.columns)};
    }}
{bounds}    const int whole = {whole};
    #pragma unroll(ALIGNED ? {unroll} : 1)
    for (int round = 0; round < whole; ++round, k += {stride})
        NAME_round<ALIGNED>({ARGUMENTS}, k, true);
{tail}}}
"""


def _clamped(n: int, vector: int) -> str:
    last = n - vector
    inside = f"(place < {last} ? place : {last})"
    return inside if vector == 1 else f"({inside} + number % {vector})"


def _reading_right(task: Task, shape: Shape, vectors: Vectors) -> str:
    value = widened(task.right, "pack.at[number]", task.sums)
    if vectors.right:
        return f"""\
    #pragma unroll
    for (int column = 0; column < {shape.columns}; ++column) {{
        const auto pack = {_inside("right", "k + columns[column]", task.right, "DEEP")};
        #pragma unroll
        for (int number = 0; number < DEEP; ++number) y[number][column] = {value};
    }}
"""
    place = f"{times('(k + deep)', task.problem.right.rows)} + columns[column]"
    return f"""\
    #pragma unroll
    for (int deep = 0; deep < DEEP; ++deep)
        #pragma unroll
        for (int column = 0; column < {shape.columns}; column += VECTOR) {{
            const auto pack = {_inside("right", place, task.right, "VECTOR")};
            #pragma unroll
            for (int number = 0; number < VECTOR; ++number) y[deep][column + number] = {value};
        }}
"""


def _reading_left(task: Task, shape: Shape, vectors: Vectors) -> str:
    if vectors.left:
        return f"""\
    #pragma unroll
    for (int row = 0; row < {shape.rows}; ++row) {{
        const auto pack = {_inside("left", "rows[row] + k", task.left, "DEEP")};
        #pragma unroll
        for (int deep = 0; deep < DEEP; ++deep) x[row][deep] = {widened(task.left, "pack.at[deep]", task.sums)};
    }}
"""
    place = f"rows[row] + {times('(k + deep)', task.problem.left.columns)}"
    return f"""\
    #pragma unroll
    for (int row = 0; row < {shape.rows}; ++row)
        #pragma unroll
        for (int deep = 0; deep < DEEP; ++deep) {{
            const auto pack = {_inside("left", place, task.left, "1")};
            x[row][deep] = {widened(task.left, "pack.at[0]", task.sums)};
        }}
"""


def _inside(name: str, place: str, dtype: str, width: str) -> str:
    """Return neighbours, or zeros behind the end of k: so there is no branch, and all loads can be under way."""
    return f"inside ? {packed(name, place, dtype, width)} : {pack(dtype, width)}{{}}"


def _ending(task: Task, shape: Shape, goal: Goal, folding: Folding) -> str:
    """Return the text that adds up the totals of the warps, in order, and writes them."""
    problem, sums = task.problem, element(task.sums)
    matrix, count = goal.matrix, shape.rows * shape.width
    place = f"{times('at_row', matrix.rows)} + {times('at_column', matrix.columns)}"
    value, before, factors = "total", "", ""
    if goal.is_step:
        assert problem.added is not None
        dtype = task.dtypes[problem.added.buffer]
        old_place = f"{times('at_row', problem.added.rows)} + {times('at_column', problem.added.columns)}"
        offset = stack_offset(problem.added, problem.stack, "stack")
        before = f"        const {sums} before = {widened(dtype, f'old[{offset} + {old_place}]', task.sums)};\n"
        value, factors = stepped("before", "total"), factors_text(task)
    group = f"group / {shape.across}"
    value = narrowed(goal.dtype, value, task.sums)
    return f"""\
{folding.sharing()}\
    output += {goal.offset("stack", f"({task.index})part")};
{factors}\
    for (int number = threadIdx.x; number < {count}; number += {shape.threads}) {{
        const int own = number % {shape.width}, group = own / {shape.vector};
        const {task.index} at_row = row + number / {shape.width};
        const {task.index} at_column = column + own;
        if (at_row >= {problem.m} || at_column >= {problem.n}) continue;
        {folding.total(f"number / {shape.width} * {shape.columns} + {group} * {shape.vector} + own % {shape.vector}",
                       f"group % {shape.across}")}
{before}\
        output[{place}] = {value};
    }}
"""
