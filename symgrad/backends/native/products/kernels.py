"""From a library step to kernels: which way of multiplying suits the sizes and the memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from operator import itemgetter
from typing import Any

from symgrad.backends.matrices import Layout, Matrix, Problem, matrix_of, problem_of
from symgrad.backends.native.kernel import NativeKernel
from symgrad.backends.native.products.blocked import blocked_kernel, is_large
from symgrad.backends.native.products.direct import (
    broadcast_kernel,
    broadcast_tile_shape,
    copies_right,
    dot_kernel,
    dot_tile_shape,
    empty_kernel,
    inner_product_kernel,
    packs,
)
from symgrad.backends.native.products.tiles import Numbers
from symgrad.backends.native.products.update import is_suited, update_kernel

PRODUCTS = frozenset(("dot", "matmul", "gemm", "matrix_step"))
"""The library steps that there are kernels for."""

NUMBERS = frozenset(("float32", "float64"))

FUSED_ROWS = 32
"""With more rows of b a matrix is read often enough from the caches: a kernel for each result does as well."""

LONGEST_COPY = 1 << 16
"""Rows of a strip of columns that are copied at most."""

Way = Callable[[str, Problem, Numbers], NativeKernel]
Chosen = list[tuple[NativeKernel | None, tuple[int, ...]]]


def product_kernels(
    name: str, attributes: dict[str, Any], operands: Sequence[Layout], outputs: Sequence[Layout],
    vector_bytes: int, registers: int,
) -> list[tuple[NativeKernel, tuple[int, ...]]] | None:  # fmt: skip
    """Return the kernels of a step, in the order in which they run, or None if there are none for these layouts.

    Parameters
    ----------
    name : str
        One of `PRODUCTS`.
    attributes : dict
        The step's attributes.
    operands : sequence of Layout
        Of the step's operands; those of ``gemm`` and ``matrix_step`` are c, alpha, a, b, beta.
    outputs : sequence of Layout
        Of the outputs, of which the first may be the memory of c; those of ``matrix_step`` are the new c, then
        ``b @ c.T`` and the sums of squares of c's rows, as far as the attributes ``product`` and ``squares`` say so.
    vector_bytes : int
        The processor's vectors: 64, 32 or 16 bytes.
    registers : int
        How many of them its registers hold.

    Returns
    -------
    list of (NativeKernel, tuple of int), or None
        Kernels, and which of the operands and outputs are their buffers.
    """
    layouts = [*operands, *outputs]
    dtypes = {layout.dtype for layout in layouts}
    if len(dtypes) != 1 or not dtypes <= NUMBERS:
        return None
    numbers = Numbers.of(dtypes.pop(), vector_bytes, registers)
    if name == "matrix_step":
        found = _matrix_step(attributes, operands, outputs, numbers)
    else:
        found = [(product_kernel(name, operands, outputs[0], numbers), tuple(range(len(layouts))))]
    kernels = [(kernel, buffers) for kernel, buffers in found if kernel is not None]
    return kernels if len(kernels) == len(found) else None


def product_kernel(name: str, operands: Sequence[Layout], output: Layout, numbers: Numbers) -> NativeKernel | None:
    """Return the kernel of ``dot``, ``matmul`` or ``gemm``, or None for odd layouts."""
    layouts = [*operands, output]
    problem = problem_of(name, operands, output)
    choices = ways(problem, numbers) if problem is not None else []
    if not choices:
        return None
    _, write, chosen = min(choices, key=itemgetter(0))
    kernel = write(symbol_of(name, layouts, numbers), chosen, numbers)
    return replace(kernel, bytes=touched(layouts, numbers))


def _matrix_step(
    attributes: dict[str, Any], operands: Sequence[Layout], outputs: Sequence[Layout], numbers: Numbers
) -> Chosen:
    """Return the kernels of a step on a matrix and of what else reads it; that of the step is the last.

    What the kernel of the step can't do, or not well, gets a kernel of its own.
    """
    c, b, layouts = operands[0], operands[3], [*operands, *outputs]
    wanted = [key for key in ("product", "squares") if attributes[key]]
    goals = {key: len(operands) + 1 + number for number, key in enumerate(wanted)}
    step = problem_of("gemm", operands, outputs[0])
    suited = step is not None and is_suited(step)
    found: Chosen = []
    if "product" in goals and not (suited and b.shape[0] <= FUSED_ROWS):
        goal = goals.pop("product")
        found.append((product_kernel("dot", [b, c.transposed], layouts[goal], numbers), (3, 0, goal)))
    if "squares" in goals and not suited:
        goal = goals.pop("squares")
        found.append((_squares_kernel(c, layouts[goal], numbers), (0, 0, goal)))
    if step is None or not goals:
        return [*found, (product_kernel("gemm", operands, outputs[0], numbers), (0, 1, 2, 3, 4, 5))]
    product = matrix_of(layouts[goals["product"]], goals["product"]) if "product" in goals else None
    squares = Matrix(goals["squares"], layouts[goals["squares"]].strides[0], 0) if "squares" in goals else None
    symbol = symbol_of("_".join(["step", *goals]), layouts, numbers)
    kernel = update_kernel(symbol, step, numbers, product, squares)
    return [*found, (replace(kernel, bytes=touched(layouts, numbers)), tuple(range(len(layouts))))]


def _squares_kernel(c: Layout, output: Layout, numbers: Numbers) -> NativeKernel | None:
    """Return the kernel of the inner products of a matrix's rows with themselves."""
    (rows, columns), (row, column) = c.shape, c.strides
    each = Layout(c.dtype, (rows, 1, columns), (row, 0, column))
    turned = Layout(c.dtype, (rows, columns, 1), (row, column, 0))
    goal = Layout(c.dtype, (rows, 1, 1), (output.strides[0], 0, 0))
    return product_kernel("matmul", [each, turned], goal, numbers)


def touched(layouts: Sequence[Layout], numbers: Numbers) -> int:
    """Return the bytes that are read or written at the least."""
    return sum(prod(layout.shape) for layout in layouts) * numbers.bytes


def symbol_of(name: str, layouts: Sequence[Layout], numbers: Numbers) -> str:
    """Return a name that says what the kernel does: `name`, the number's bits, sizes, and what isn't in C order."""
    words = [name, layouts[-1].dtype]
    for layout in layouts:
        if layout.shape:
            sizes = "x".join(str(size) for size in layout.shape)
            steps = "x".join(str(step) for step in layout.strides)
            plain = layout == Layout.contiguous(layout.dtype, layout.shape)
            words.append(sizes if plain else f"{sizes}by{steps}".replace("-", "m"))
    return "_".join([*words, f"{numbers.registers}x{numbers.lanes * numbers.bytes}"])


def ways(problem: Problem, numbers: Numbers) -> list[tuple[float, Way, Problem]]:
    """Return the ways to compute a product: about how many cycles each takes, what writes it, and its problem."""
    found: list[tuple[float, Way, Problem]] = []
    if 0 in (problem.m, problem.n, *problem.stack):
        return [(0, empty_kernel, problem)]
    if 1 not in (problem.output.rows, problem.output.columns):
        return found
    for turned in (problem, problem.transposed):
        m, n, k, is_turned = turned.m, turned.n, turned.k, turned.output.columns != 1
        if m == n == 1 and turned.left.columns == 1 and turned.right.rows == 1 and not turned.stack:
            found.append((0, inner_product_kernel, turned))
        if is_large(turned):
            found.append((-1, blocked_kernel, turned))
        if is_suited(turned):
            found.append((0, update_kernel, turned))
        if not copies_right(turned) or k <= LONGEST_COPY:
            cycles = broadcast_tile_shape(turned, numbers)[0] * k + m * n / numbers.lanes * (6 if is_turned else 1)
            cycles += copy_cycles(turned.right, k * n) if copies_right(turned) else 0
            found.append((cycles, broadcast_kernel, turned))
        if turned.right.rows == 1 and (turned.left.columns == 1 or packs(turned)):
            cycles = dot_tile_shape(turned, numbers)[0] * -(-k // numbers.lanes) + 1.5 * m * n + 0.02 * m * k
            found.append((cycles + (copy_cycles(turned.left, m * k) if packs(turned) else 0), dot_kernel, turned))
    return found


def copy_cycles(matrix: Matrix, elements: int) -> float:
    """Return how long it takes to copy elements of a matrix, in cycles."""
    return (0.3 if 1 in (matrix.rows, matrix.columns) else 2.0) * elements
