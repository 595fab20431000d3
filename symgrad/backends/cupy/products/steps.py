"""A step on a matrix of weights together with what else reads it: each element is read and written once.

A block takes a few rows of the matrix c. Its threads go along the columns. The piece of b that a thread holds serves
twice: for the products ``b @ c.T`` with the old c, and for the step ``alpha * a @ b``. The products are then added up
over the threads, as in `lanes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symgrad.backends.cupy.kernel import CudaKernel, Target, element
from symgrad.backends.cupy.products.folding import Folding
from symgrad.backends.cupy.products.text import (
    FLOATS,
    Task,
    aligned_test,
    factors_text,
    made_kernel,
    narrowed,
    pack,
    packed,
    pointer,
    size_words,
    step_parameters,
    stepped,
    times,
    vector_of,
    widened,
)
from symgrad.backends.matrices import Matrix
from symgrad.kernels.ir.functions import DTYPES as BYTES

MOST_ROWS_OF_B = 32
"""More don't fit into registers."""

MOST_SUMS = 96
"""Of a thread, of 4 bytes: with the pieces of b and c they fill its registers."""

NARROWEST = 32
"""With fewer columns most threads of a block would have nothing to do."""


LARGEST_OF_FEW_ROWS = 1 << 18
"""Elements of c, if it has fewer rows than there are multiprocessors."""

SMALL_READS = 1 << 22
"""Elements of b that all blocks together may read in any case: a launch takes as long."""


@dataclass(frozen=True)
class Readers:
    """What else is computed of the old matrix.

    Parameters
    ----------
    product, squares : Matrix or None
        Where ``b @ c.T`` goes, and the sums of squares of c's rows (`rows` is their step).
    """

    product: Matrix | None
    squares: Matrix | None


NO_READERS = Readers(None, None)


@dataclass(frozen=True)
class Block:
    """How a block's work is divided: rows of c, columns that a thread takes at once, threads."""

    rows: int
    vector: int
    threads: int


def is_suited(task: Task, readers: Readers, target: Target) -> bool:
    """Whether the kernel here does a step well.

    Rows have to lie in one piece, there have to be few rows of b, and enough of c for many blocks. Each block reads all
    of b: in a large step that mustn't be much more than c.
    """
    problem = task.problem
    if problem.added is None or problem.stack or task.sums not in FLOATS:
        return False
    if not (0 < problem.k <= MOST_ROWS_OF_B and problem.n >= NARROWEST and problem.m > 0):
        return False
    if not problem.added.columns == problem.right.columns == problem.output.columns == 1:
        return False
    if 2 * problem.m < target.multiprocessors and problem.m * problem.n > LARGEST_OF_FEW_ROWS:
        return False
    blocks = -(-problem.m // block_of(task, readers, target).rows)
    return blocks * problem.k <= max(2 * problem.m, SMALL_READS // problem.n)


def block_of(task: Task, readers: Readers, target: Target) -> Block:
    """Return a division of work that keeps all multiprocessors busy."""
    problem = task.problem
    added, right = problem.added, problem.right
    assert added is not None
    batch = problem.k if readers.product is not None else 0
    vector = 4 if problem.k <= 16 else 2
    for matrix, size in ((added, problem.m), (right, problem.k), (problem.output, problem.m)):
        vector = min(vector, vector_of(task.dtypes[matrix.buffer], problem.n, [(size, matrix.rows)]))
    sums = batch + (readers.squares is not None)
    most = max(1, min(8, MOST_SUMS * 4 // (BYTES[task.sums] * max(sums, 10)), problem.m))
    waves = -(-problem.m // (most * target.multiprocessors))
    rows = min(most, -(-problem.m // (waves * target.multiprocessors)))
    threads = min(256, -(-problem.n // (vector * 32)) * 32)
    return Block(rows, vector, threads)


def step_kernel(
    task: Task, readers: Readers, outputs: Sequence[tuple[str, str]], buffers: Sequence[int], target: Target
) -> tuple[CudaKernel, list[int]]:  # fmt: skip
    """Return the kernel of ``c + (beta * c + alpha * a @ b)`` and of what else is computed of c, and its buffers.

    Parameters
    ----------
    task : Task
        The step.
    readers : Readers
        What else.
    outputs : sequence of (str, str)
        Dtype and name (``"output"``, ``"product"``, ``"squares"``) of the outputs.
    buffers : sequence of int
        Their numbers.
    target : Target
        The device.
    """
    problem, block = task.problem, block_of(task, readers, target)
    batch = problem.k if readers.product is not None else 0
    each = batch + (readers.squares is not None)
    folding = Folding(block.rows * each, 1, block.threads, element(task.sums)) if each else None
    parameters = [
        (pointer(task.left), "left"), (pointer(task.right), "right"), *step_parameters(task),
        *[(f"{element(dtype)}*", name) for dtype, name in outputs],
    ]  # fmt: skip
    assert problem.added is not None
    arguments = "left_rows, right, old, output, sums, row, by, keep"
    sums, names = element(task.sums), {name: dtype for dtype, name in outputs}
    copied = block.rows * problem.k
    place = f"{times('at', problem.left.rows)} + {times(f'(number / {block.rows})', problem.left.columns)}"
    otherwise = f"    else\n        NAME_rows<1>({arguments});\n" if block.vector > 1 else ""
    body = f"""\
    __shared__ {sums} left_rows[{problem.k}][{block.rows}];
    const {task.index} row = ({task.index})blockIdx.x * {block.rows};
{factors_text(task)}\
    for (int number = threadIdx.x; number < {copied}; number += {block.threads}) {{
        {task.index} at = row + number % {block.rows};
        at = at < {problem.m} ? at : {problem.m - 1};
        left_rows[number / {block.rows}][number % {block.rows}] = {widened(task.left, f"left[{place}]", task.sums)};
    }}
    {sums} sums[{folding.padded if folding else 1}] = {{}};
    if ({aligned_test([(name, block.vector) for name in ("right", "old", "output")])})
        NAME_rows<{block.vector}>({arguments});
{otherwise}\
{folding.text() if folding else ""}\
{_ending(task, readers, block, each, folding, names) if folding else ""}"""
    moved = (2 * problem.m * problem.n + problem.k * (problem.m + problem.n)) * BYTES[task.output]
    words = ["step", *[name for _, name in outputs[1:]], task.output, *size_words(problem)]
    blocks = -(-problem.m // block.rows)
    flops = problem.flops * (2 if batch else 1)
    kernel = made_kernel(words, _helpers(task, readers, block, each, folding), parameters, body, block.threads, blocks,
                         flops, moved)  # fmt: skip
    operands = [problem.left.buffer, problem.right.buffer, problem.added.buffer, problem.alpha, problem.beta]
    return kernel, [*operands, *buffers]


def _helpers(task: Task, readers: Readers, block: Block, each: int, folding: Folding | None) -> str:
    """Return the function that goes over the columns of a block's rows."""
    problem, sums, index = task.problem, element(task.sums), task.index
    added = problem.added
    assert added is not None
    vector, rows, batch = block.vector, block.rows, problem.k
    old = task.dtypes[added.buffer]

    def read(name: str, dtype: str, place: str, target: str) -> str:
        return f"""\
                const auto pack = {packed(name, place, dtype, "WIDTH")};
                #pragma unroll
                for (int j = 0; j < WIDTH; ++j) {target} = {widened(dtype, "pack.at[j]", task.sums)};
"""

    rounds = -(-problem.n // (block.threads * vector))
    last = f"(row + i < {problem.m} ? row + i : {problem.m - 1})"
    return f"""\
template <int WIDTH>
static __device__ __forceinline__ void NAME_rows(
    const {sums} (&left_rows)[{batch}][{rows}], const {element(task.right)}* __restrict__ right,
    const {element(old)}* old, {element(task.output)}* output, {sums} (&sums)[{folding.padded if folding else 1}],
    {index} row, {sums} by, {sums} keep
) {{
    #pragma unroll 1
    for (int round = 0; round < {rounds}; ++round) {{
        const {index} first = (round * {block.threads} + (int)threadIdx.x) * {vector};
        #pragma unroll 1
        for (int late = 0; late < {vector}; late += WIDTH) {{
            // Threads behind the last column read the first one, for nothing.
            const {index} column = first < {problem.n} ? first + late : 0;
            {sums} of_right[{batch}][WIDTH], before[{rows}][WIDTH];
            #pragma unroll
            for (int i = 0; i < {rows}; ++i) {{
                // Rows behind the last are the last once more; nothing of them is stored.
{read("old", old, f"{times(last, added.rows)} + column", "before[i][j]")}\
            }}
            #pragma unroll
            for (int number = 0; number < {batch}; ++number) {{
{read("right", task.right, f"{times('number', problem.right.rows)} + column", "of_right[number][j]")}\
            }}
            if (round == 0 && late == 0) __syncthreads();  // only now what comes from left is needed
            if (first >= {problem.n}) continue;
{_computing(task, readers, block, each)}\
        }}
    }}
}}
"""


def _computing(task: Task, readers: Readers, block: Block, each: int) -> str:
    """Return the loop over a block's rows: what their elements add to the sums, and what becomes of them."""
    problem, sums = task.problem, element(task.sums)
    rows, batch = block.rows, problem.k
    result = narrowed(task.output, stepped("before[i][j]", "total[j]"), task.sums)
    product = f"""\
                #pragma unroll
                for (int number = 0; number < {batch}; ++number)
                    #pragma unroll
                    for (int j = 0; j < WIDTH; ++j) sums[i * {each} + number] += of_right[number][j] * before[i][j];
""" if readers.product is not None else ""  # fmt: skip
    squares = f"""\
                #pragma unroll
                for (int j = 0; j < WIDTH; ++j) sums[i * {each} + {each - 1}] += before[i][j] * before[i][j];
""" if readers.squares is not None else ""  # fmt: skip
    return f"""\
            #pragma unroll
            for (int i = 0; i < {rows}; ++i) {{
                {sums} total[WIDTH] = {{}};
                #pragma unroll
                for (int number = 0; number < {batch}; ++number) {{
                    const {sums} factor = left_rows[number][i];
                    #pragma unroll
                    for (int j = 0; j < WIDTH; ++j) total[j] += factor * of_right[number][j];
                }}
{product}{squares}\
                if (row + i >= {problem.m}) continue;
                {pack(task.output, "WIDTH")} result;
                #pragma unroll
                for (int j = 0; j < WIDTH; ++j) result.at[j] = {result};
                *({pack(task.output, "WIDTH")}*)(output + {times("(row + i)", problem.output.rows)} + column) = result;
            }}
"""


def _ending(
    task: Task, readers: Readers, block: Block, each: int, folding: Folding, dtypes: dict[str, str]
) -> str:  # fmt: skip
    """Return the text that adds up what the warps have, and writes it."""
    problem, writes = task.problem, []
    if readers.product is not None:
        place = f"{times('at', readers.product.columns)} + {times('kind', readers.product.rows)}"
        writes.append((f"kind < {problem.k}", f"product[{place}] = {narrowed(dtypes['product'], 'total', task.sums)};"))
    if readers.squares is not None:
        place = times("at", readers.squares.rows)
        writes.append((f"kind == {each - 1}", f"squares[{place}] = {narrowed(dtypes['squares'], 'total', task.sums)};"))
    lines = "".join([f"        if ({condition}) {write}\n" for condition, write in writes])
    return f"""\
{folding.sharing()}\
    for (int number = threadIdx.x; number < {block.rows * each}; number += {block.threads}) {{
        const int kind = number / {block.rows};
        const {task.index} at = row + number % {block.rows};
        if (at >= {problem.m}) continue;
        {folding.total(f"number % {block.rows} * {each} + kind", "0")}
{lines}\
    }}
"""
