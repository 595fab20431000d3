"""Products of larger matrices: tiles of both operands in shared memory, sums in registers.

While a block multiplies one pair of tiles, the next is on its way into registers; it goes into the other half of shared
memory, so one barrier for each pair is enough. Rows and columns of a thread come in groups of four, which makes all
reads of shared memory vectors without bank conflicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from symgrad.backends.cupy.kernel import CudaKernel, element
from symgrad.backends.cupy.products.text import (
    Goal,
    Task,
    added,
    aligned_test,
    block_places,
    either,
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

GROUP = 4
"""Neighbouring rows, or columns, of a thread."""


@dataclass(frozen=True)
class Tile:
    """The part of the output that a block computes.

    Parameters
    ----------
    rows, columns : int
        Its sizes.
    deep : int
        How far a pair of tiles of the operands goes along k.
    own_rows, own_columns : int
        Sums of a thread; 4 or 8.
    splits : int
        Blocks that share k.
    """

    rows: int
    columns: int
    deep: int
    own_rows: int
    own_columns: int
    splits: int = 1

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.rows * self.columns // (self.own_rows * self.own_columns)

    @property
    def is_light(self) -> bool:
        """Whether registers are left to read what the product is added to beforehand."""
        return self.own_rows * self.own_columns <= 16


@dataclass(frozen=True)
class Side:
    """How the tiles of one operand are read.

    Parameters
    ----------
    name : str
        ``"left"`` or ``"right"``.
    dtype : str
        Of its elements.
    offset, along : int
        Strides: along the rows or columns of the output, and along k.
    extent : int
        How many rows or columns there are.
    size, deep : int
        Sizes of the tile.
    vector : int
        Elements that are read at once.
    by_depth : bool
        Whether neighbouring threads read along k.
    """

    name: str
    dtype: str
    offset: int
    along: int
    extent: int
    size: int
    deep: int
    vector: int
    by_depth: bool

    @classmethod
    def of(cls, task: Task, tile: Tile, name: str) -> Side:
        """Return how an operand of a product is read."""
        problem = task.problem
        if name == "left":
            matrix, extent, size = problem.left, problem.m, tile.rows
            offset, along = matrix.rows, matrix.columns
        else:
            matrix, extent, size = problem.right, problem.n, tile.columns
            offset, along = matrix.columns, matrix.rows
        dtype = task.dtypes[matrix.buffer]
        by_depth = abs(along) < abs(offset) if along and offset else along != 0
        vector, most = 1, 16 if BYTES[dtype] > 2 else 8
        if by_depth and along == 1:
            vector = vector_of(dtype, problem.k, other_steps(problem, matrix, extent, offset), most)
        elif not by_depth and offset == 1:
            vector = vector_of(dtype, extent, other_steps(problem, matrix, problem.k, along), most)
        return cls(name, dtype, offset, along, extent, size, tile.deep, min(vector, 4), by_depth)

    @property
    def vectors(self) -> int:
        """How many there are in a tile."""
        return self.size * self.deep // self.vector

    def each(self, threads: int) -> int:
        """Return how many vectors a thread reads."""
        return -(-self.vectors // threads)

    def place(self, threads: int) -> str:
        """Return the statements that find vector `number` of a thread: `depth` and `side` in the tile."""
        inner, size = ("depth", self.deep) if self.by_depth else ("side", self.size)
        outer = "side" if self.by_depth else "depth"
        steps = size // self.vector
        return f"""\
        const int vector = number * {threads} + (int)threadIdx.x;
        const int {inner} = vector % {steps} * {self.vector}, {outer} = vector / {steps};
"""


def tiles_kernel(task: Task, tile: Tile) -> tuple[CudaKernel, list[int]]:
    """Return the kernel, and which operands its buffers are before the output."""
    problem, goal = task.problem, Goal(task, tile.splits)
    left, right = Side.of(task, tile, "left"), Side.of(task, tile, "right")
    counts = -(-problem.m // tile.rows), -(-problem.n // tile.columns)
    blocks = counts[0] * counts[1] * tile.splits * prod(problem.stack)
    ending = _Ending(task, tile, goal)
    helpers = "".join([_reading(task, tile, side) + _storing(task, tile, side) for side in (left, right)])
    tests = [(side.name, side.vector) for side in (left, right)] + ending.tests
    body = f"""\
{block_places(task, counts, (tile.rows, tile.columns), tile.splits)}\
    const bool aligned = {aligned_test(tests)};
{_main(task, tile, left, right, ending)}"""
    moved = sum(BYTES[side.dtype] * side.extent * problem.k for side in (left, right))
    moved += task.elements * BYTES[task.output] * (2 if goal.is_step else 1)
    words = ["step_tiles" if goal.is_step else "tiles", task.output, *size_words(problem)]
    kernel = made_kernel(words, helpers, goal.parameters, body, tile.threads, blocks, problem.flops, moved)
    return kernel, goal.buffers


def _reading(task: Task, tile: Tile, side: Side) -> str:
    """Return the function that reads a thread's part of a tile into registers; behind the ends there are zeros."""
    index, sums = task.index, element(task.sums)
    count, each = side.each(tile.threads), side.vector
    inside = [f"at < {side.extent}", "deep < end"]
    if side.vectors % tile.threads:
        inside.append(f"vector < {side.vectors}")
    at = f"{times('at', side.offset)} + {times('deep', side.along)}"
    step = side.along if side.by_depth else side.offset
    single = widened(side.dtype, f"{side.name}[{at} + {times('element', step)}]", task.sums)
    reading = f"""\
            #pragma unroll
            for (int element = 0; element < {each}; ++element) values[number * {each} + element] = {single};
"""
    if each > 1:
        wide = f"""\
            const auto found = {packed(side.name, at, side.dtype, each)};
            #pragma unroll
            for (int element = 0; element < {each}; ++element)
                values[number * {each} + element] = {widened(side.dtype, "found.at[element]", task.sums)};
"""
        reading = either(wide, reading, 12)
    return f"""\
static __device__ __forceinline__ void NAME_read_{side.name}(
    const {element(side.dtype)}* __restrict__ {side.name}, {index} start, {index} depth_start, {index} end,
    bool aligned, {sums} (&values)[{count * each}]
) {{
    #pragma unroll
    for (int number = 0; number < {count}; ++number) {{
{side.place(tile.threads)}\
        const {index} at = start + side, deep = depth_start + depth;
        if ({" && ".join(inside)}) {{
{reading}\
        }} else {{
            #pragma unroll
            for (int element = 0; element < {each}; ++element) values[number * {each} + element] = 0;
        }}
    }}
}}
"""


def _storing(task: Task, tile: Tile, side: Side) -> str:
    """Return the function that puts a thread's part of a tile into shared memory."""
    sums, count, each = element(task.sums), side.each(tile.threads), side.vector
    groups = side.size // GROUP + 1
    guard = f"        if (vector >= {side.vectors}) continue;\n" if side.vectors % tile.threads else ""
    if side.by_depth:
        put = f"shared[depth + element][side / {GROUP}].at[side % {GROUP}]"
    else:
        put = f"shared[depth][(side + element) / {GROUP}].at[(side + element) % {GROUP}]"
    return f"""\
static __device__ __forceinline__ void NAME_put_{side.name}(
    {pack(task.sums, GROUP)} (*shared)[{groups}], const {sums} (&values)[{count * each}]
) {{
    #pragma unroll
    for (int number = 0; number < {count}; ++number) {{
{side.place(tile.threads)}{guard}\
        #pragma unroll
        for (int element = 0; element < {each}; ++element) {put} = values[number * {each} + element];
    }}
}}
"""


def _main(task: Task, tile: Tile, left: Side, right: Side, ending: _Ending) -> str:
    """Return the statements that compute a tile."""
    problem, index, sums = task.problem, task.index, element(task.sums)
    rows, columns, group = tile.own_rows, tile.own_columns, pack(task.sums, GROUP)
    per_part = -(-problem.k // (tile.splits * tile.deep)) * tile.deep
    if tile.splits == 1:
        bounds = f"    const {index} start = 0, end = {problem.k};\n"
        rounds = str(-(-problem.k // tile.deep))
    else:
        bounds = f"""\
    const {index} start = ({index})part * {per_part};
    const {index} end = start + {per_part} < {problem.k} ? start + {per_part} : {problem.k};
"""
        rounds = f"end > start ? (int)((end - start + {tile.deep - 1}) / {tile.deep}) : 0"
    across = tile.columns // columns
    values = [f"values_{side.name}[{side.each(tile.threads) * side.vector}]" for side in (left, right)]
    product = added(
        task, "sums[i][j]", f"of_x[i / {GROUP}].at[i % {GROUP}]", f"of_y[j / {GROUP}].at[j % {GROUP}]")  # fmt: skip

    def read(name: str, place: str, step: str) -> str:
        return f"NAME_read_{name}({name}, {place}, start{step}, end, aligned, values_{name});"

    step = f" + (round + 1) * {tile.deep}"
    sizes = f"{tile.deep}][{tile.rows // GROUP + 1}", f"{tile.deep}][{tile.columns // GROUP + 1}"
    return f"""\
    __shared__ {group} x[2][{sizes[0]}], y[2][{sizes[1]}];
{bounds}\
    const int rounds = {rounds}, down = (int)threadIdx.x / {across}, across = (int)threadIdx.x % {across};
    left += {stack_offset(problem.left, problem.stack, "stack")};
    right += {stack_offset(problem.right, problem.stack, "stack")};
    {sums} {", ".join(values)}, sums[{rows}][{columns}] = {{}};
{ending.before()}\
    {read("left", "row", "")}
    {read("right", "column", "")}
    NAME_put_left(x[0], values_left);
    NAME_put_right(y[0], values_right);
    __syncthreads();
    for (int round = 0; round < rounds; ++round) {{
        if (round + 1 < rounds) {{
            {read("left", "row", step)}
            {read("right", "column", step)}
        }}
        const int now = round & 1;
        #pragma unroll
        for (int depth = 0; depth < {tile.deep}; ++depth) {{
            {group} of_x[{rows // GROUP}], of_y[{columns // GROUP}];
            #pragma unroll
            for (int group = 0; group < {rows // GROUP}; ++group)
                of_x[group] = x[now][depth][down + group * {tile.rows // rows}];
            #pragma unroll
            for (int group = 0; group < {columns // GROUP}; ++group)
                of_y[group] = y[now][depth][across + group * {across}];
            #pragma unroll
            for (int i = 0; i < {rows}; ++i)
                #pragma unroll
                for (int j = 0; j < {columns}; ++j)
                    {product}
        }}
        if (round + 1 < rounds) {{
            NAME_put_left(x[now ^ 1], values_left);
            NAME_put_right(y[now ^ 1], values_right);
        }}
        __syncthreads();
    }}
{ending.after()}"""


class _Ending:
    """What a thread does with its sums; a matrix that they are added to is read before there are any."""

    def __init__(self, task: Task, tile: Tile, goal: Goal) -> None:
        self.task, self.tile, self.goal = task, tile, goal
        problem, matrix = task.problem, goal.matrix
        steps = other_steps(problem, matrix, problem.m, matrix.rows)
        if goal.is_partial:
            steps.append((tile.splits, task.elements))
        self.vector = 1
        if matrix.columns == 1 and problem.n % GROUP == 0:
            self.vector = vector_of(goal.dtype, problem.n, steps, GROUP * BYTES[goal.dtype])
        self.vector = self.vector if self.vector == GROUP else 1
        self.tests = [("output", self.vector), *([("old", self.vector)] if goal.is_step else [])]

    def before(self) -> str:
        """Return the text that comes before the first tile is read."""
        goal, task = self.goal, self.task
        text = f"    output += {goal.offset('stack', f'({task.index})part')};\n"
        if not goal.is_step:
            return text
        assert task.problem.added is not None
        text += f"    old += {stack_offset(task.problem.added, task.problem.stack, 'stack')};\n{factors_text(task)}"
        if self.tile.is_light:
            text += f"    {element(task.sums)} before[{self.tile.own_rows}][{self.tile.own_columns}];\n"
            text += self._over_output(self._read_old())
        return text

    def after(self) -> str:
        """Return the text that comes after the last tile."""
        reading = self._read_old() if self.goal.is_step and not self.tile.is_light else ""
        if reading:
            before = f"            {element(self.task.sums)} before[1][{GROUP}];\n"
            return self._over_output(before + reading + self._write("before[0][number]"))
        return self._over_output(self._write("before[i][j + number]"))

    def _over_output(self, inner: str) -> str:
        """Return loops over a thread's rows and groups of columns: `at_row` and `at_column` are their places."""
        tile, index = self.tile, self.task.index
        across = tile.columns // tile.own_columns
        down = tile.rows // tile.own_rows
        return f"""\
    #pragma unroll
    for (int i = 0; i < {tile.own_rows}; ++i) {{
        const {index} at_row = row + (down + i / {GROUP} * {down}) * {GROUP} + i % {GROUP};
        #pragma unroll
        for (int j = 0; j < {tile.own_columns}; j += {GROUP}) {{
            const {index} at_column = column + (across + j / {GROUP} * {across}) * {GROUP};
            if (at_row >= {self.task.problem.m} || at_column >= {self.task.problem.n}) continue;
{inner}\
        }}
    }}
"""

    def _each(self, statement: str) -> str:
        """Return the loop over a group's columns, one by one."""
        n, head = self.task.problem.n, f"            for (int number = 0; number < {GROUP}; ++number)\n"
        condition = "" if n % GROUP == 0 else f"if (at_column + number < {n}) "
        return f"            #pragma unroll\n{head}                {condition}{statement}\n"

    def _read_old(self) -> str:
        task, matrix = self.task, self.task.problem.added
        assert matrix is not None
        dtype = task.dtypes[matrix.buffer]
        target = "before[i][j + number]" if self.tile.is_light else "before[0][number]"
        place = f"{times('at_row', matrix.rows)} + {times('(at_column + number)', matrix.columns)}"
        single = self._each(f"{target} = {widened(dtype, f'old[{place}]', task.sums)};")
        if self.vector == 1:
            return single
        wide = f"""\
            const auto found = {packed("old", f"{times('at_row', matrix.rows)} + at_column", dtype, GROUP)};
{self._each(f"{target} = {widened(dtype, 'found.at[number]', task.sums)};")}"""
        return either(wide, single, 12)

    def _write(self, before: str) -> str:
        goal, task, matrix = self.goal, self.task, self.goal.matrix
        value = "sums[i][j + number]"
        value = narrowed(goal.dtype, stepped(before, value) if goal.is_step else value, task.sums)
        place = f"{times('at_row', matrix.rows)} + {times('(at_column + number)', matrix.columns)}"
        single = self._each(f"output[{place}] = {value};")
        if self.vector == 1:
            return single
        wide = f"""\
            {pack(goal.dtype, GROUP)} result;
{self._each(f"result.at[number] = {value};")}\
            *({pack(goal.dtype, GROUP)}*)(output + {times("at_row", matrix.rows)} + at_column) = result;
"""
        return either(wide, single, 12)
