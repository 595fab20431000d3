"""Products by cuBLAS: which ones, and how they are asked for."""

from __future__ import annotations

from math import prod
from typing import Any

from symgrad.backends.cupy.calls import LibraryCall
from symgrad.backends.cupy.kernel import Target
from symgrad.backends.cupy.libraries.cublas import Gemm, Operand, handle_of
from symgrad.backends.cupy.products.text import FLOATS, HALVES, Task
from symgrad.backends.matrices import Layout, Matrix
from symgrad.kernels.ir.functions import DTYPES as BYTES

LEAST_FLOPS = 1 << 27
"""With fewer operations a launch takes as long as the product: cuBLAS has no advantage, and may need two."""

LEAST_SIZE = 48
"""With fewer rows, columns or steps along k the matrices only pass by: kernels that read them once are best."""


def suits_library(task: Task, target: Target) -> bool:
    """Whether cuBLAS can do a product, and better than the kernels here.

    Half precision and TF32 go through tensor cores, which only cuBLAS uses, so there it pays earlier.
    """
    problem = task.problem
    if task.sums not in FLOATS or task.left != task.right or not is_possible(task):
        return False
    if task.left == "bfloat16" and target.capability < 80:
        return False
    tensor_cores = task.left in HALVES or (task.left == "float32" and target.allow_tf32)
    factor = 8.0 if tensor_cores else 1.0
    if min(problem.m, problem.n, problem.k) * (2 if tensor_cores else 1) < LEAST_SIZE:
        return False
    if problem.added is not None:
        factor /= 4  # the product has to be added in another pass, which the kernels here don't need
    return problem.flops * factor >= LEAST_FLOPS


def is_possible(task: Task) -> bool:
    """Whether cuBLAS takes matrices that lie so."""
    problem = task.problem
    if task.output not in {task.left, "float32"} or task.left not in FLOATS:
        return False
    shapes = ((problem.left, problem.m, problem.k), (problem.right, problem.k, problem.n),
              (problem.output, problem.m, problem.n))  # fmt: skip
    if any(_leading(matrix, rows, columns) is None for matrix, rows, columns in shapes):
        return False
    if any(_stack_step(matrix, problem.stack) is None for matrix, _, _ in shapes):
        return False
    return max(problem.m, problem.n, problem.k, prod(problem.stack)) < 1 << 31


def _leading(matrix: Matrix, rows: int, columns: int) -> tuple[bool, int] | None:
    """Return whether columns are contiguous, not rows, and the stride of the other axis; None if neither is."""
    if matrix.columns == 1 and matrix.rows >= max(columns, 1) and matrix.rows < 1 << 31:
        return False, matrix.rows
    if matrix.rows == 1 and matrix.columns >= max(rows, 1) and matrix.columns < 1 << 31:
        return True, matrix.columns
    return None


def _stack_step(matrix: Matrix, sizes: tuple[int, ...]) -> int | None:
    """Return the stride from matrix to matrix if there is one for the whole stack."""
    step, length, found = None, 1, 0
    for size, stride in reversed(list(zip(sizes, matrix.stack, strict=True))):
        if size == 1:
            continue
        if step is None:
            step = found = stride
        elif stride != step * length:
            return None
        length *= size
    return found if found >= 0 else None


def library_product(task: Task, target: Target, direct: bool) -> tuple[LibraryCall, list[int]]:
    """Return the call for a product, and which operands it takes before the output.

    The output is the task's, or, if not `direct`, contiguous memory for its sums.

    cuBLAS counts along columns first. A matrix in C order is to it the transposed one, so it is asked for
    ``output.T = right.T @ left.T``.
    """
    problem = task.problem
    output, dtype = problem.output, task.output
    if not direct:
        layout = Layout.contiguous(task.sums, (*problem.stack, problem.m, problem.n))
        output, dtype = Matrix(0, problem.n, 1, layout.strides[:-2]), task.sums
    elif _is_turned(output, problem.m, problem.n):
        task, problem, output = task.transposed, problem.transposed, output.transposed
    gemm = Gemm(
        problem.n, problem.m, problem.k,
        _operand(problem.right, problem.k, problem.n, problem.stack, task.right),
        _operand(problem.left, problem.m, problem.k, problem.stack, task.left),
        _operand(output, problem.m, problem.n, problem.stack, dtype),
        prod(problem.stack), target.allow_tf32,
    )  # fmt: skip

    def run(device: Any, left: int, right: int, goal: int) -> None:
        with device.active():
            handle_of(device).multiply(gemm, right, left, goal)

    elements = prod(problem.stack) * (problem.m * problem.k + problem.k * problem.n + problem.m * problem.n)
    call = LibraryCall("cublasGemmEx", run, True, problem.flops, elements * BYTES[task.left])
    return call, [problem.left.buffer, problem.right.buffer]


def _is_turned(matrix: Matrix, rows: int, columns: int) -> bool:
    found = _leading(matrix, rows, columns)
    return found is not None and found[0]


def _operand(matrix: Matrix, rows: int, columns: int, sizes: tuple[int, ...], dtype: str) -> Operand:
    leading, step = _leading(matrix, rows, columns), _stack_step(matrix, sizes)
    assert leading is not None and step is not None
    return Operand(dtype, leading[0], leading[1], step)
