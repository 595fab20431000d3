"""How the operands of a product lie in memory, and the one form that all products are brought into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod


@dataclass(frozen=True)
class Layout:
    """How a buffer is read.

    Parameters
    ----------
    dtype : str
        ``"float32"``, ``"float64"``, or another that there are no kernels for.
    shape : tuple of int
        Sizes.
    strides : tuple of int
        Steps in elements.
    """

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def contiguous(cls, dtype: str, shape: Sequence[int]) -> Layout:
        """Return the layout of an array in C order.

        Examples
        --------
        >>> Layout.contiguous("float32", (2, 3, 4)).strides
        (12, 4, 1)
        """
        return cls(dtype, tuple(shape), tuple([prod(shape[axis + 1 :]) for axis in range(len(shape))]))

    @property
    def transposed(self) -> Layout:
        """The same memory with the axes in reverse order."""
        return Layout(self.dtype, self.shape[::-1], self.strides[::-1])


@dataclass(frozen=True)
class Matrix:
    """A matrix, or a stack of them, in a buffer: element ``[i, j]`` is ``rows * i + columns * j`` elements behind.

    Parameters
    ----------
    buffer : int
        Number of the buffer.
    rows, columns : int
        Strides, in elements.
    stack : tuple of int
        Strides of the leading axes; 0 where the matrix is the same for all indices.
    """

    buffer: int
    rows: int
    columns: int
    stack: tuple[int, ...] = ()

    @property
    def transposed(self) -> Matrix:
        """The same memory with the axes swapped."""
        return replace(self, rows=self.columns, columns=self.rows)


@dataclass(frozen=True)
class Problem:
    """``output = left @ right``, or ``added + (beta * added + alpha * left @ right)``; all sizes known.

    Parameters
    ----------
    m, n, k : int
        Sizes: left is m x k, right k x n.
    left, right, output : Matrix
        Where they are.
    stack : tuple of int
        Sizes of the leading axes.
    added, alpha, beta : Matrix, int, int
        The matrix that the product is added to, with the strides of `output`, and the buffers of the two scalars.
    """

    m: int
    n: int
    k: int
    left: Matrix
    right: Matrix
    output: Matrix
    stack: tuple[int, ...] = ()
    added: Matrix | None = None
    alpha: int = 0
    beta: int = 0

    @property
    def transposed(self) -> Problem:
        """The same problem read as ``output.T = right.T @ left.T``."""
        added = None if self.added is None else self.added.transposed
        return replace(
            self, m=self.n, n=self.m, left=self.right.transposed, right=self.left.transposed,
            output=self.output.transposed, added=added,
        )  # fmt: skip

    @property
    def flops(self) -> int:
        """Operations: a product and a sum for each element of left and right that meet."""
        return 2 * self.m * self.n * self.k * prod(self.stack)


def problem_of(name: str, operands: Sequence[Layout], output: Layout) -> Problem | None:
    """Return a step's problem: buffers are numbered as its operands, then the output; None if nothing here fits it.

    Vectors are matrices of one row (on the left) or of one column (on the right).
    """
    number = len(operands)
    if name == "gemm":
        c, _, a, b, _ = operands
        whole, added = _problem(a, 2, b, 3, output, number), matrix_of(c, 0)
        if replace(whole.output, buffer=0) != added:
            return None
        return replace(whole, added=added, alpha=1, beta=4)
    x, y = operands
    if name == "matmul":
        return _problem(x, 0, y, 1, output, number)
    rows = x if len(x.shape) == 2 else Layout(x.dtype, (1, *x.shape), (0, *x.strides))
    columns = y if len(y.shape) == 2 else Layout(y.dtype, (*y.shape, 1), (*y.strides, 0))
    strides = [*output.strides]
    if len(x.shape) == 1:
        strides.insert(0, 0)
    if len(y.shape) == 1:
        strides.append(0)
    sizes = (rows.shape[0], columns.shape[1])
    return _problem(rows, 0, columns, 1, Layout(output.dtype, sizes, tuple(strides)), number)


def _problem(left: Layout, left_buffer: int, right: Layout, right_buffer: int, output: Layout, number: int) -> Problem:
    stack: tuple[int, ...] = output.shape[:-2]
    (m, k), n = left.shape[-2:], right.shape[-1]
    x, y = matrix_of(left, left_buffer, len(stack)), matrix_of(right, right_buffer, len(stack))
    return Problem(m, n, k, x, y, matrix_of(output, number, len(stack)), stack)


def matrix_of(layout: Layout, buffer: int, axes: int = 0) -> Matrix:
    """Return a layout as a stack with `axes` leading axes, of which the first may be missing in the layout."""
    *_, rows, columns = layout.shape
    *steps, row_step, column_step = layout.strides
    lead = [0 if size == 1 else step for size, step in zip(layout.shape[:-2], steps, strict=True)]
    lead = [0] * (axes - len(lead)) + lead
    # The step of an axis of size 1 is never taken; 1 or the other axis's whole length makes it contiguous.
    if columns == 1:
        column_step = 1 if row_step != 1 or rows == 1 else rows
    if rows == 1:
        row_step = columns if column_step == 1 else 1
    return Matrix(buffer, row_step, column_step, tuple(lead))
