"""From a library step to a kernel: which way of multiplying suits the sizes and the memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from operator import itemgetter
from typing import Any

from symgrad.backends.native.kernel import NativeKernel
from symgrad.backends.native.products.direct import (
    broadcast_kernel,
    broadcast_tile_shape,
    copies_right,
    dot_kernel,
    dot_tile_shape,
    inner_product_kernel,
    packs,
)
from symgrad.backends.native.products.layout import Layout, Matrix, Problem, matrix_of, problem_of
from symgrad.backends.native.products.tiles import Numbers
from symgrad.backends.native.products.update import is_suited, update_kernel

PRODUCTS = frozenset(("dot", "matmul", "gemm", "gemm_and_product"))
"""The library steps that there are kernels for."""

NUMBERS = frozenset(("float32", "float64"))

FUSED_ROWS = 32
"""With more rows of b a matrix is read often enough from the caches: a kernel for each result does as well."""

LONGEST_COPY = 1 << 16
"""Rows of a strip of columns that are copied at most."""

Way = Callable[[str, Problem, Numbers], NativeKernel]


def product_kernel(
    name: str, operands: Sequence[Layout], output: Layout, vector_bytes: int
) -> NativeKernel | None:
    """Return the kernel of ``dot``, ``matmul`` or ``gemm``, or None if there is none for these layouts."""
    layouts = [*operands, output]
    problem = problem_of(name, operands, output) if _has_numbers(layouts) else None
    numbers = Numbers.of(output.dtype, vector_bytes)
    choices = ways(problem, numbers) if problem is not None else []
    if not choices:
        return None
    _, write, chosen = min(choices, key=itemgetter(0))
    kernel = write(symbol_of(name, layouts, vector_bytes), chosen, numbers)
    return replace(kernel, bytes=touched(layouts, numbers))


def _has_numbers(layouts: Sequence[Layout]) -> bool:
    dtypes = {layout.dtype for layout in layouts}
    return len(dtypes) == 1 and dtypes <= NUMBERS


def touched(layouts: Sequence[Layout], numbers: Numbers) -> int:
    """Return the bytes that are read or written at the least."""
    return sum(prod(layout.shape) for layout in layouts) * numbers.bytes


def product_kernels(
    name: str, attributes: dict[str, Any], operands: Sequence[Layout], outputs: Sequence[Layout], vector_bytes: int
) -> list[tuple[NativeKernel, tuple[int, ...]]] | None:
    """Return the kernels of a step, in the order in which they run, or None if there are none for these layouts.

    Parameters
    ----------
    name : str
        One of `PRODUCTS`.
    attributes : dict
        The step's attributes.
    operands : sequence of Layout
        Of the step's operands; those of ``gemm`` and ``gemm_and_product`` are c, alpha, a, b, beta.
    outputs : sequence of Layout
        Of the outputs, of which the first may be the memory of c; those of ``gemm_and_product`` are the new c,
        ``b @ c.T`` and, if the attribute ``squares`` is true, the sums of squares of c's rows.
    vector_bytes : int
        The processor's vectors: 64, 32 or 16 bytes.

    Returns
    -------
    list of (NativeKernel, tuple of int), or None
        Kernels, and which of the operands and outputs are their buffers.
    """
    layouts = [*operands, *outputs]
    if name != "gemm_and_product":
        kernel = product_kernel(name, operands, outputs[0], vector_bytes)
        return None if kernel is None else [(kernel, tuple(range(len(layouts))))]
    if not _has_numbers(layouts):
        return None
    step, numbers = problem_of("gemm", operands, outputs[0]), Numbers.of(outputs[0].dtype, vector_bytes)
    if step is None or not is_suited(step) or step.k > FUSED_ROWS:
        return _one_by_one(operands, outputs, vector_bytes)
    squares = Matrix(7, outputs[2].strides[0], 0) if attributes["squares"] else None
    kernel = update_kernel(symbol_of(name, layouts, vector_bytes), step, numbers, matrix_of(outputs[1], 6), squares)
    return [(replace(kernel, bytes=touched(layouts, numbers)), tuple(range(len(layouts))))]


def _one_by_one(
    operands: Sequence[Layout], outputs: Sequence[Layout], vector_bytes: int
) -> list[tuple[NativeKernel, tuple[int, ...]]] | None:
    """Return a kernel for each result; that of the step comes last, for it may overwrite c."""
    c, b = operands[0], operands[3]
    found: list[tuple[NativeKernel | None, tuple[int, ...]]] = []
    found.append((product_kernel("dot", [b, c.transposed], outputs[1], vector_bytes), (3, 0, 6)))
    if len(outputs) > 2:
        (rows, columns), (row, column), (step,) = c.shape, c.strides, outputs[2].strides
        each_row = Layout(c.dtype, (rows, 1, columns), (row, 0, column))
        each_turned = Layout(c.dtype, (rows, columns, 1), (row, column, 0))
        goal = Layout(c.dtype, (rows, 1, 1), (step, 0, 0))
        found.append((product_kernel("matmul", [each_row, each_turned], goal, vector_bytes), (0, 0, 7)))
    found.append((product_kernel("gemm", operands, outputs[0], vector_bytes), (0, 1, 2, 3, 4, 5)))
    kernels = [(kernel, buffers) for kernel, buffers in found if kernel is not None]
    return kernels if len(kernels) == len(found) else None


def symbol_of(name: str, layouts: Sequence[Layout], vector_bytes: int) -> str:
    """Return a name that says what the kernel does: `name`, the number's bits, sizes, and what isn't in C order."""
    words = [name, layouts[-1].dtype]
    for layout in layouts:
        if layout.shape:
            sizes = "x".join(str(size) for size in layout.shape)
            steps = "x".join(str(step) for step in layout.strides)
            plain = layout == Layout.contiguous(layout.dtype, layout.shape)
            words.append(sizes if plain else f"{sizes}by{steps}".replace("-", "m"))
    return "_".join([*words, str(vector_bytes)])


def ways(problem: Problem, numbers: Numbers) -> list[tuple[float, Way, Problem]]:
    """Return the ways to compute a product: about how many cycles each takes, what writes it, and its problem."""
    found: list[tuple[float, Way, Problem]] = []
    if 1 not in (problem.output.rows, problem.output.columns):
        return found
    for turned in (problem, problem.transposed):
        m, n, k, is_turned = turned.m, turned.n, turned.k, turned.output.columns != 1
        if m == n == 1 and turned.left.columns == 1 and turned.right.rows == 1 and not turned.stack:
            found.append((0, inner_product_kernel, turned))
        if is_suited(turned):
            found.append((0, update_kernel, turned))
        if not copies_right(turned) or k <= LONGEST_COPY:
            cycles = broadcast_tile_shape(turned, numbers)[0] * k + m * n / numbers.lanes * (6 if is_turned else 1)
            found.append((cycles + (copy_cycles(turned.right, k * n) if copies_right(turned) else 0),
                          broadcast_kernel, turned))  # fmt: skip
        if turned.right.rows == 1 and (turned.left.columns == 1 or packs(turned)):
            cycles = dot_tile_shape(turned, numbers)[0] * -(-k // numbers.lanes) + 1.5 * m * n + 0.02 * m * k
            found.append((cycles + (copy_cycles(turned.left, m * k) if packs(turned) else 0), dot_kernel, turned))
    return found


def copy_cycles(matrix: Matrix, elements: int) -> float:
    """Return how long it takes to copy elements of a matrix, in cycles."""
    return (0.3 if 1 in (matrix.rows, matrix.columns) else 2.0) * elements
