"""What the texts of all products have in common: types, positions, and what becomes of a sum."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from symgrad.backends.cupy.kernel import CudaKernel, element, kernel_text
from symgrad.backends.matrices import Layout, Matrix, Problem
from symgrad.kernels.ir.functions import DTYPES as BYTES

FLOATS = frozenset(("float16", "bfloat16", "float32", "float64"))

HALVES = frozenset(("float16", "bfloat16"))
"""Only stored; sums of their products are float32."""


@dataclass(frozen=True)
class Task:
    """A product with the dtypes of its buffers.

    Parameters
    ----------
    problem : Problem
        What is computed, of which buffers.
    dtypes : tuple of str
        Of all operands and outputs of the step.
    """

    problem: Problem
    dtypes: tuple[str, ...]

    @property
    def left(self) -> str:
        """The dtype of the left operand."""
        return self.dtypes[self.problem.left.buffer]

    @property
    def right(self) -> str:
        """The dtype of the right operand."""
        return self.dtypes[self.problem.right.buffer]

    @property
    def output(self) -> str:
        """The dtype of the output."""
        return self.dtypes[self.problem.output.buffer]

    @property
    def sums(self) -> str:
        """The dtype in which products are summed."""
        return sum_dtype((self.left, self.right, self.output))

    @property
    def transposed(self) -> Task:
        """The same problem with rows and columns exchanged."""
        return replace(self, problem=self.problem.transposed)

    @property
    def elements(self) -> int:
        """How many elements the output has."""
        return prod(self.problem.stack) * self.problem.m * self.problem.n

    @property
    def index(self) -> str:
        """The C++ type in which all positions fit."""
        problem = self.problem
        sizes = {"left": (problem.m, problem.k), "right": (problem.k, problem.n), "output": (problem.m, problem.n)}
        matrices = {"left": problem.left, "right": problem.right, "output": problem.output}
        reach = [_reach(matrix, (*problem.stack, *sizes[name])) for name, matrix in matrices.items()]
        return "i32" if max(*reach, 2 * self.elements, 2 * problem.k) < 1 << 30 else "i64"


def sum_dtype(dtypes: Sequence[str]) -> str:
    """Return the dtype in which products of these are summed; integers wrap around, so unsigned ones do."""
    if "float64" in dtypes:
        return "float64"
    if FLOATS.intersection(dtypes):
        return "float32"
    return "uint64" if max(BYTES[dtype] for dtype in dtypes) == 8 else "uint32"


def _reach(matrix: Matrix, shape: Sequence[int]) -> int:
    strides = (*matrix.stack, matrix.rows, matrix.columns)
    return sum(abs(stride) * size for stride, size in zip(strides, shape, strict=True))


# ---- names and kernels ----


def made_kernel(
    words: Sequence[str], helpers: str, parameters: Sequence[tuple[str, str]], body: str, threads: int, blocks: int,
    flops: int, moved: int,
) -> CudaKernel:  # fmt: skip
    """Return a kernel named by `words` and a digest of its text; ``NAME`` in the text stands for the name."""
    draft = helpers + kernel_text("NAME", parameters, body, threads)
    digest = hashlib.sha256(draft.encode()).hexdigest()[:10]
    name = re.sub(r"\W", "m", "_".join([*words, digest]))
    return CudaKernel(name, draft.replace("NAME", name), (blocks, 1, 1), threads, flops=flops, bytes=moved)


def size_words(problem: Problem) -> list[str]:
    """Return the sizes of a problem for a kernel's name."""
    stack = ["x".join(str(size) for size in problem.stack)] if problem.stack else []
    return [*stack, f"{problem.m}x{problem.k}x{problem.n}"]


def pointer(dtype: str, alone: bool = True) -> str:
    """Return the type of a parameter that is only read; `alone` if nothing is written into the same memory."""
    return f"const {element(dtype)}*{' __restrict__' if alone else ''}"


# ---- values ----


def widened(dtype: str, value: str, sums: str) -> str:
    """Return an element as a number that is computed with."""
    if dtype in HALVES:
        return f"to_f32({value})" if sums == "float32" else f"({element(sums)})to_f32({value})"
    return value if dtype == sums else f"({element(sums)}){value}"


def narrowed(dtype: str, value: str, sums: str) -> str:
    """Return a number as an element in memory."""
    if dtype in HALVES:
        return f"to_{element(dtype)}({value})"
    if dtype == "bool":
        return f"({value}) != 0"
    return value if dtype == sums else f"({element(dtype)})({value})"


def added(task: Task, total: str, left: str, right: str) -> str:
    """Return the statement that adds a product to a total: for truth values, whether there is any pair of true ones."""
    if task.output == "bool":
        return f"{total} |= {left} & {right};"
    return f"{total} += {left} * {right};"


# ---- positions ----


def constant(value: int) -> str:
    """Return an integer literal."""
    return str(value) if -(1 << 31) < value < 1 << 31 else f"{value}LL"


def times(expression: str, stride: int) -> str:
    """Return a stride times an index."""
    if stride == 0:
        return "0"
    return expression if stride == 1 else f"{expression} * {constant(stride)}"


def block_places(task: Task, tiles: tuple[int, int], sizes: tuple[int, int], splits: int) -> str:
    """Return the statements that say what a block does: its row, column, part of k and matrix of the stack.

    Parameters
    ----------
    task : Task
        The product.
    tiles : tuple of int
        How many blocks there are along rows and columns.
    sizes : tuple of int
        Rows and columns of a block.
    splits : int
        Blocks that share k.
    """
    index = task.index
    part = f"block % {splits}" if splits > 1 else "0"
    stack = f"    const {index} stack = block / {splits};\n" if task.problem.stack else ""
    return f"""\
    {index} block = blockIdx.x;
    const {index} column = block % {tiles[1]} * {sizes[1]};
    block /= {tiles[1]};
    const {index} row = block % {tiles[0]} * {sizes[0]};
    block /= {tiles[0]};
    const int part = {part};
{stack}"""


def stack_offset(matrix: Matrix, sizes: Sequence[int], number: str) -> str:
    """Return the offset of a matrix in its stack, given its number, counted through."""
    terms, step = [], 1
    for size, stride in reversed(list(zip(sizes, matrix.stack, strict=True))):
        if size > 1 and stride:
            place = number if step == 1 else f"{number} / {step}"
            inside = place if step * size == prod(sizes) else f"{place} % {size}"
            terms.append(times(f"({inside})", stride))
        step *= size
    return " + ".join(terms) or "0"


def vector_of(dtype: str, extent: int, steps: Sequence[tuple[int, int]], most: int = 16) -> int:
    """Return how many elements can be read at once along a contiguous axis.

    Parameters
    ----------
    dtype : str
        Of the elements.
    extent : int
        The size of the axis: vectors never go over its end.
    steps : sequence of (int, int)
        Size and stride of all other axes.
    most : int
        Bytes of a vector at the most.
    """
    width = most // BYTES[dtype]
    while width > 1 and (extent % width or any(size > 1 and stride % width for size, stride in steps)):
        width //= 2
    return max(width, 1)


def other_steps(problem: Problem, matrix: Matrix, size: int, stride: int) -> list[tuple[int, int]]:
    """Return size and stride of the axes that vectors of a matrix don't run along."""
    return [(size, stride), *zip(problem.stack, matrix.stack, strict=True)]


def pack(dtype: str, width: int | str) -> str:
    """Return the C++ type of neighbours that are read together."""
    return f"Pack<{element(dtype)}, {width}>"


def packed(name: str, place: str, dtype: str, width: int | str) -> str:
    """Return the expression that reads neighbours at an aligned place."""
    return f"*(const {pack(dtype, width)}*)({name} + {place})"


def aligned_test(pointers: Sequence[tuple[str, int]]) -> str:
    """Return the expression that says whether addresses suit reads of so many neighbours."""
    tests = [f"is_aligned<{width}>({name})" for name, width in pointers if width > 1]
    return " && ".join(tests) or "true"


def either(together: str, singly: str, indent: int) -> str:
    """Return the text with packs where all addresses are ``aligned``, and without them elsewhere."""
    space = " " * indent
    inner = ["".join([f"    {line}\n" for line in text.splitlines()]) for text in (together, singly)]
    return f"{space}if (aligned) {{\n{inner[0]}{space}}} else {{\n{inner[1]}{space}}}\n"


# ---- what becomes of sums ----


@dataclass(frozen=True)
class Goal:
    """Where the sums of a kernel go: into the output, or, if k is split, beside those of the other parts.

    Parameters
    ----------
    task : Task
        The product.
    splits : int
        Into how many parts k falls.
    """

    task: Task
    splits: int = 1

    @property
    def is_partial(self) -> bool:
        """Whether a second kernel has to add sums up."""
        return self.splits > 1

    @property
    def is_step(self) -> bool:
        """Whether the product is added to a matrix here."""
        return self.task.problem.added is not None and not self.is_partial

    @property
    def dtype(self) -> str:
        """Of the elements that are written."""
        return self.task.sums if self.is_partial else self.task.output

    @property
    def matrix(self) -> Matrix:
        """Where sums go in memory."""
        problem = self.task.problem
        if not self.is_partial:
            return problem.output
        layout = Layout.contiguous(self.dtype, (*problem.stack, problem.m, problem.n))
        return Matrix(0, problem.n, 1, layout.strides[:-2])

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The kernel's parameters."""
        task, problem = self.task, self.task.problem
        found = [(pointer(task.left), "left"), (pointer(task.right), "right")]
        if self.is_step:
            assert problem.added is not None
            found += step_parameters(task)
        return [*found, (f"{element(self.dtype)}*", "output")]

    @property
    def buffers(self) -> list[int]:
        """Which operands the parameters are, without the output."""
        problem = self.task.problem
        step = [problem.added.buffer, problem.alpha, problem.beta] if self.is_step and problem.added else []
        return [problem.left.buffer, problem.right.buffer, *step]

    def offset(self, stack: str, split: str) -> str:
        """Return the offset of a part's matrix."""
        place = stack_offset(self.matrix, self.task.problem.stack, stack)
        return f"{place} + {times(split, self.task.elements)}" if self.is_partial else place


def step_parameters(task: Task) -> list[tuple[str, str]]:
    """Return the parameters for the matrix that is added to, and the two factors."""
    problem = task.problem
    assert problem.added is not None
    return [
        (pointer(task.dtypes[problem.added.buffer], alone=False), "old"),
        (pointer(task.dtypes[problem.alpha]), "alpha"), (pointer(task.dtypes[problem.beta]), "beta"),
    ]  # fmt: skip


def factors_text(task: Task) -> str:
    """Return the statements that read the two factors of a step."""
    problem, sums = task.problem, element(task.sums)
    alpha = widened(task.dtypes[problem.alpha], "alpha[0]", task.sums)
    beta = widened(task.dtypes[problem.beta], "beta[0]", task.sums)
    return f"    const {sums} by = {alpha}, keep = {beta};\n"


def stepped(old: str, total: str) -> str:
    """Return what a matrix becomes; the small step is put together first, so that the matrix is rounded once."""
    return f"{old} + (keep * {old} + by * {total})"
