"""From a library step to work for the device: which way of multiplying suits the sizes and the memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.backends.cupy.calls import Found, LibraryCall, Temporary
from symgrad.backends.cupy.kernel import CudaKernel, Target
from symgrad.backends.cupy.products.costs import Way, cheapest
from symgrad.backends.cupy.products.lanes import Shape, lanes_kernel
from symgrad.backends.cupy.products.library import library_product, suits_library
from symgrad.backends.cupy.products.steps import NO_READERS, Readers, is_suited, step_kernel
from symgrad.backends.cupy.products.text import FLOATS, Task
from symgrad.backends.cupy.products.tiles import tiles_kernel
from symgrad.backends.cupy.products.totals import totals_kernel
from symgrad.backends.matrices import Layout, Matrix, matrix_of, problem_of
from symgrad.kernels.ir.functions import DTYPES as BYTES

PRODUCTS = frozenset(("dot", "matmul", "gemm", "matrix_step"))
"""The library steps that there are kernels for."""

Work = list[tuple[CudaKernel | LibraryCall, Sequence[int | Temporary]]]


def product_calls(
    name: str, attributes: dict[str, Any], operands: Sequence[Layout], outputs: Sequence[Layout], target: Target,
    guarded: bool,
) -> Found:  # fmt: skip
    """Return the work of a step, in the order in which it is done, or None if there is none for these layouts.

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
    target : Target
        The device.
    guarded : bool
        Whether only kernels, which look at the status word, may write the outputs.

    Returns
    -------
    sequence of (CudaKernel or LibraryCall, sequence of int or Temporary), or None
        The work, and which of the operands and outputs, or temporaries, are its buffers.
    """
    dtypes = tuple([layout.dtype for layout in (*operands, *outputs)])
    if not _has_products(dtypes):
        return None
    if name == "matrix_step":
        return _matrix_step(attributes, operands, outputs, target, guarded)
    problem = problem_of(name, operands, outputs[0])
    return None if problem is None else _product(Task(problem, dtypes), len(operands), target, guarded)


def _has_products(dtypes: Sequence[str]) -> bool:
    """Whether there are products of these dtypes: of floats, mixed or not, and of integers all alike."""
    return FLOATS.issuperset(dtypes) or (len(set(dtypes)) == 1 and dtypes[0] in BYTES)


def _product(task: Task, output: int, target: Target, guarded: bool) -> Work:
    """Return the work of a product, or of a step on a matrix; `output` is the number of its buffer."""
    problem = task.problem
    if task.elements == 0:
        return []
    if problem.k == 0:
        return _totals(task, 0, task.sums, [], output, target)
    if target.cublas and suits_library(task, target):
        return _by_library(task, output, target, guarded)
    if problem.added is not None and is_suited(task, NO_READERS, target):
        kernel, buffers = step_kernel(task, NO_READERS, [(task.output, "output")], [output], target)
        return [(kernel, buffers)]
    way = cheapest(task, target)
    return by_kernels(way, output, target)


def by_kernels(way: Way, output: int, target: Target) -> Work:
    """Return the work of a product that is done in a certain way."""
    task, splits = way.task, way.shape.splits
    made = lanes_kernel(task, way.shape) if isinstance(way.shape, Shape) else tiles_kernel(task, way.shape)
    kernel, buffers = made
    if splits == 1:
        return [(kernel, [*buffers, output])]
    parts = Temporary(splits * task.elements * BYTES[task.sums])
    return [(kernel, [*buffers, parts]), *_totals(task, splits, task.sums, [parts], output, target)]


def _totals(task: Task, splits: int, parts: str, buffers: list[Temporary], output: int, target: Target) -> Work:
    kernel, operands = totals_kernel(task, splits, parts, target)
    return [(kernel, [*buffers, *operands, output])]


def _by_library(task: Task, output: int, target: Target, guarded: bool) -> Work:
    """Return the call of cuBLAS.

    It knows no status word, and its ``alpha * a @ b + beta * c`` rounds c twice; so where the output is guarded, or a
    step on a matrix, it multiplies into temporary memory, and a kernel does the rest.
    """
    if task.problem.added is None and not guarded:
        call, buffers = library_product(task, target, direct=True)
        return [(call, [*buffers, output])]
    product = Temporary(task.elements * BYTES[task.sums])
    call, buffers = library_product(task, target, direct=False)
    return [(call, [*buffers, product]), *_totals(task, 1, task.sums, [product], output, target)]


# ---- matrices that take a step and are read besides ----


def _matrix_step(
    attributes: dict[str, Any], operands: Sequence[Layout], outputs: Sequence[Layout], target: Target, guarded: bool
) -> Work | None:
    """Return the work of a step on a matrix and of what else reads it; the step comes last.

    What the kernel of the step can't do, or not well, gets a kernel of its own.
    """
    c, b, layouts = operands[0], operands[3], [*operands, *outputs]
    dtypes = tuple([layout.dtype for layout in layouts])
    wanted = [key for key in ("product", "squares") if attributes[key]]
    goals = {key: len(operands) + 1 + number for number, key in enumerate(wanted)}
    problem = problem_of("gemm", operands, outputs[0])
    if problem is None:
        return None
    step = Task(problem, dtypes)
    readers = Readers(
        matrix_of(layouts[goals["product"]], goals["product"]) if "product" in goals else None,
        Matrix(goals["squares"], layouts[goals["squares"]].strides[0], 0) if "squares" in goals else None,
    )
    if step.elements and problem.k and is_suited(step, readers, target):
        names = ["output", *goals]
        written = [(layouts[len(operands) + number].dtype, name) for number, name in enumerate(names)]
        kernel, buffers = step_kernel(step, readers, written, range(len(operands), len(layouts)), target)
        return [(kernel, buffers)]
    work: Work = []
    for key, goal in goals.items():
        made = (
            product_calls("dot", {}, [b, c.transposed], [layouts[goal]], target, guarded) if key == "product"
            else _squares(c, layouts[goal], target)
        )  # fmt: skip
        if made is None:
            return None
        given = [3 if key == "product" else 0, 0, goal]
        work += [(one, [given[n] if isinstance(n, int) else n for n in numbers]) for one, numbers in made]
    return [*work, *_product(step, len(operands), target, guarded)]


def _squares(c: Layout, output: Layout, target: Target) -> Found:
    """Return the work of the inner products of a matrix's rows with themselves."""
    (rows, columns), (row, column) = c.shape, c.strides
    each = Layout(c.dtype, (rows, 1, columns), (row, 0, column))
    turned = Layout(c.dtype, (rows, columns, 1), (row, column, 0))
    goal = Layout(output.dtype, (rows, 1, 1), (output.strides[0], 0, 0))
    without_library = Target(target.capability, target.multiprocessors, target.shared_bytes)
    return product_calls("matmul", {}, [each, turned], [goal], without_library, True)
