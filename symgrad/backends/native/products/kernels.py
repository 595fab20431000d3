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
from symgrad.backends.native.products.layout import Layout, Problem, problem_of
from symgrad.backends.native.products.tiles import Numbers
from symgrad.backends.native.products.update import is_suited, update_kernel

LONGEST_COPY = 4096
"""Rows that are copied of a strip of columns, so that it stays in the second cache."""

Way = Callable[[str, Problem, Numbers], NativeKernel]


def product_kernel(
    name: str, attributes: dict[str, Any], operands: Sequence[Layout], output: Layout, vector_bytes: int,
    symbol: str | None = None,
) -> NativeKernel | None:  # fmt: skip
    """Return the kernel of a product, or None if there is none for these layouts.

    Parameters
    ----------
    name : str
        ``"dot"``, ``"matmul"`` or ``"gemm"``, as `symgrad.kernels.grammar.Library` names them.
    attributes : dict
        The step's attributes.
    operands : sequence of Layout
        Of the step's operands; those of ``gemm`` are c, alpha, a, b, beta.
    output : Layout
        Of the output, which for ``gemm`` may be the memory of c.
    vector_bytes : int
        The processor's vectors: 64, 32 or 16 bytes.
    symbol : str, optional
        The kernel's name; by default made from the sizes.
    """
    layouts = [*operands, output]
    if output.dtype not in ("float32", "float64") or any(layout.dtype != output.dtype for layout in layouts):
        return None
    if not all(layout.is_static for layout in layouts):
        return None
    problem = problem_of(name, operands, output)
    numbers = Numbers.of(output.dtype, vector_bytes)
    choices = ways(problem, numbers) if problem is not None else []
    if not choices:
        return None
    _, write, chosen = min(choices, key=itemgetter(0))
    kernel = write(symbol or symbol_of(name, layouts, vector_bytes), chosen, numbers)
    touched = sum(prod(layout.shape) for layout in layouts)  # type: ignore[arg-type]
    return replace(kernel, bytes=touched * numbers.bytes)


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
    """Return the ways to compute a product: about how many cycles each takes, what writes it, and the problem for it."""
    found: list[tuple[float, Way, Problem]] = []
    for turned in (problem, problem.transposed):
        m, n, k, is_turned = turned.m, turned.n, turned.k, turned.output.columns != 1
        if m == n == 1 and turned.left.columns == 1 and turned.right.rows == 1 and not turned.stack:
            found.append((0, inner_product_kernel, turned))
        if is_suited(turned):
            found.append((0, update_kernel, turned))
        if 1 in (turned.right.columns, turned.right.rows) and (not copies_right(turned) or k <= LONGEST_COPY):
            cycles = broadcast_tile_shape(turned, numbers)[0] * k + m * n / numbers.lanes * (6 if is_turned else 1)
            found.append((cycles + (0.3 * k * n if copies_right(turned) else 0), broadcast_kernel, turned))
        if turned.right.rows == 1 and (turned.left.columns == 1 or packs(turned)):
            cycles = dot_tile_shape(turned, numbers)[0] * -(-k // numbers.lanes) + 1.5 * m * n + 0.02 * m * k
            found.append((cycles + (0.4 * m * k if packs(turned) else 0), dot_kernel, turned))
    return found
