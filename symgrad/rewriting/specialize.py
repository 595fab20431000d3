"""Special forms: common patterns replaced by one op that does the whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symgrad.graph.variables import Apply
from symgrad.kernels.grammar import FromArray
from symgrad.ops.advanced_subtensor import AdvancedIncSubtensor, AdvancedSubtensor
from symgrad.ops.axes import DimShuffle
from symgrad.ops.casting import Cast
from symgrad.ops.creation import ARange
from symgrad.ops.elementwise_op import Elementwise
from symgrad.ops.linalg import Dot, Gemm
from symgrad.ops.reduction_op import Reduction, SumOfSquares
from symgrad.ops.shape import BroadcastTo
from symgrad.ops.sizes import Size
from symgrad.ops.softmax import LabelGradient, LogSoftmax, LogSoftmaxAt, Softmax
from symgrad.rewriting.engine import Context, rule
from symgrad.rewriting.patterns import (
    call,
    fills,
    is_function,
    is_number,
    is_zeros,
    made_by,
    made_by_function,
    number_like,
    scalar_value,
)

ROW_AND_LABEL = (FromArray(), FromArray())


@rule("specialize", Elementwise, functions=("power",),
      reason="a square costs one product, a power an exponential and a logarithm")  # fmt: skip
def power_two_is_square(node: Apply, context: Context) -> Any:
    if not is_function(node, "power") or node.inputs[1].type.ndim > node.inputs[0].type.ndim:  # type: ignore[attr-defined]
        return None
    exponent = scalar_value(node.inputs[1])
    if exponent == 2:
        return call("sqr", node.inputs[0])
    is_float = node.outputs[0].type.dtype.startswith("float")  # type: ignore[attr-defined]
    if exponent == 0.5 and is_float:
        return call("sqrt", node.inputs[0])
    return call("reciprocal", node.inputs[0]) if exponent == -1 and is_float else None


@rule("specialize", Reduction, reason="one pass over x, and no square of it in memory")
def sum_of_squares_is_one_op(node: Apply, context: Context) -> Any:
    op: Any = node.op
    square = made_by_function(node.inputs[0], "sqr")
    if square is None or op.function != "sum" or op.keepdims or context.uses(node.inputs[0]) > 1:
        return None
    kind: Any = square.inputs[0].type
    if op.dtype != kind.dtype or kind.dtype not in ("float32", "float64") or len(op.axes) != kind.ndim:
        return None
    return SumOfSquares()(square.inputs[0])


@rule("specialize", Elementwise, functions=("multiply", "true_divide", "negative"),
      reason="factors that are numbers are multiplied at compile time")  # fmt: skip
def constant_factors_meet(node: Apply, context: Context) -> Any:
    """``a * (b * x)`` is ``(a * b) * x`` for numbers a, b; minus counts as -1, division by a number too."""
    outer = _number_times(node)
    inner = None if outer is None or outer[1].owner is None else _number_times(outer[1].owner)
    if outer is None or inner is None or context.uses(outer[1]) > 1:
        return None
    factor = np.asarray(outer[0], "float64") * np.asarray(inner[0], "float64")
    return call("multiply", number_like(float(factor), node.outputs[0]), inner[1])


def _number_times(node: Apply) -> tuple[Any, Any] | None:
    """Return (number, x) if a float node is number * x, x / number or -x, of the same axes as x."""
    output: Any = node.outputs[0]
    if not output.type.dtype.startswith("float") or not isinstance(node.op, Elementwise):
        return None
    if is_function(node, "negative"):
        return -1.0, node.inputs[0]
    if is_function(node, "multiply"):
        for number, other in (node.inputs, node.inputs[::-1]):
            value = scalar_value(number)
            if value is not None and fills(other, output):
                return float(value), other
    if is_function(node, "true_divide"):
        value = scalar_value(node.inputs[1])
        if value is not None and value != 0 and fills(node.inputs[0], output):
            return 1.0 / float(value), node.inputs[0]
    return None


def _counts_rows(rows: Any, labels: Any, table: Any) -> bool | None:
    """Whether there may be fewer labels than rows in `table`; None if `rows` isn't ``arange`` with as many labels.

    ``arange(labels.shape[0])`` may well stop before the last row. Of another size, such as that of the table's
    factors, it is taken that it is the number of rows: if it isn't, the call raises.
    """
    node = made_by(rows, ARange)
    if node is None or not is_number(node.inputs[0], 0) or not is_number(node.inputs[2], 1):
        return None
    if rows.type.broadcastable != labels.type.broadcastable or labels.type.dtype == "bool":
        return None
    size = made_by(node.inputs[1], Size)
    if size is not None:
        return size.op.axis == 0 and _without_casts(size.inputs[0]) is _without_casts(labels)  # type: ignore[attr-defined]
    sizes = rows.type.shape[0], labels.type.shape[0], table.type.shape[0]
    return None if None in sizes or sizes[0] != sizes[1] or sizes[1] > sizes[2] else sizes[1] < sizes[2]


def _without_casts(x: Any) -> Any:
    while (node := made_by(x, Cast)) is not None:
        x = node.inputs[0]
    return x


@rule("specialize", AdvancedSubtensor, reason="only one element of each row is wanted")
def picked_log_softmax_is_one_op(node: Apply, context: Context) -> Any:
    """``log_softmax(x)[arange(n), y]`` needs no matrix of logarithms."""
    logarithms = made_by(node.inputs[0], LogSoftmax)
    if logarithms is None or node.op.index != ROW_AND_LABEL or logarithms.op.axis != 1:  # type: ignore[attr-defined]
        return None
    rows, labels = node.inputs[1:]
    if labels.type.ndim != 1:  # type: ignore[attr-defined]
        return None
    fewer = _counts_rows(rows, labels, node.inputs[0])
    return None if fewer is None else LogSoftmaxAt(fewer)(logarithms.inputs[0], labels)


@rule("specialize", Elementwise, functions=("subtract",),
      reason="scattering, summing, multiplying and subtracting is one pass over p")  # fmt: skip
def softmax_minus_one_hot_is_one_op(node: Apply, context: Context) -> Any:
    """``c - p * sum(c, axis=1)`` with c = zeros[arange(n), y] += s is ``-s * (p - one_hot(y))``."""
    if not is_function(node, "subtract"):
        return None
    scattered = made_by(node.inputs[0], AdvancedIncSubtensor)
    product = made_by_function(node.inputs[1], "multiply")
    if scattered is None or product is None or not is_zeros(scattered.inputs[0]):
        return None
    for p, total in (product.inputs, product.inputs[::-1]):
        if _is_row_sum(total, node.inputs[0]) and made_by(p, Softmax):
            fewer = _fewer_labels(scattered)
            if fewer is not None:
                scale = _row_scale(scattered.inputs[1])
                return LabelGradient(fewer)(p, scattered.inputs[3], call("negative", scale))
    return None


def _is_row_sum(total: Any, matrix: Any) -> bool:
    node = made_by(total, Reduction)
    if node is None:
        return False
    op: Any = node.op
    return op.function == "sum" and op.axes == (1,) and op.keepdims and node.inputs[0] is matrix


def _fewer_labels(node: Apply) -> bool | None:
    op: Any = node.op
    labels: Any = node.inputs[-1]
    if op.sets or op.index != ROW_AND_LABEL or labels.type.ndim != 1:
        return None
    return _counts_rows(node.inputs[2], labels, node.inputs[0])


def _row_scale(scale: Any) -> Any:
    """Return the number that was stretched to one for each row, or the rows' numbers."""
    stretched = made_by(scale, BroadcastTo)
    if stretched is None:
        return scale
    inner: Any = stretched.inputs[0]
    return DimShuffle(())(inner) if all(inner.type.broadcastable) and inner.type.ndim else inner


# ---- a gradient step on a matrix is one gemm ------------------------------------------------------------------------


@dataclass
class _Terms:
    """``sum of coefficient * matrix``, as found under an addition.

    Attributes
    ----------
    products : list
        Coefficients and factors of matrix products.
    wholes : dict
        How often a matrix stands there as it is.
    scaled : dict
        The sum of a matrix's other coefficients.
    """

    products: list[tuple[Any, tuple[Any, Any]]] = field(default_factory=list)
    wholes: dict[Any, int] = field(default_factory=dict)
    scaled: dict[Any, Any] = field(default_factory=dict)
    visited: int = 0

    def add_matrix(self, matrix: Any, coefficient: Any) -> None:
        """Add ``coefficient * matrix``."""
        self.wholes.setdefault(matrix, 0)
        if is_number(coefficient, 1):
            self.wholes[matrix] += 1
            return
        known = self.scaled.get(matrix)
        self.scaled[matrix] = coefficient if known is None else call("add", known, coefficient)

    def change_of(self, matrix: Any) -> Any:
        """Return the sum of a matrix's coefficients, less one."""
        rest = number_like(self.wholes[matrix] - 1, matrix)
        scaled = self.scaled.get(matrix)
        if scaled is None:
            return rest
        return scaled if is_number(rest, 0) else call("add", scaled, rest)


@rule("specialize", Elementwise, functions=("add", "subtract"),
      reason="W + (beta * W + alpha * h.T @ d) in place: the gradient is never a buffer of its own")  # fmt: skip
def step_on_a_matrix_is_one_gemm(node: Apply, context: Context) -> Any:
    """``a * W - b * (dot(h, d) + c * W)`` is ``gemm(W, -b, h, d, a - 1 - b * c)``."""
    output: Any = node.outputs[0]
    if output.type.ndim != 2 or output.type.dtype not in ("float32", "float64"):
        return None
    terms = _Terms()
    if not _collect(output, number_like(1, output), terms, context, is_root=True):
        return None
    if len(terms.products) != 1 or len(terms.wholes) != 1:
        return None
    ((alpha, product),) = terms.products
    (matrix,) = terms.wholes
    if matrix.type.broadcastable != output.type.broadcastable or True in output.type.broadcastable:
        return None
    return Gemm()(matrix, alpha, *product, terms.change_of(matrix))


def _collect(variable: Any, coefficient: Any, terms: _Terms, context: Context, is_root: bool = False) -> bool:
    """Split a variable into products and matrices; False if a term stretches or there are too many."""
    terms.visited += 1
    if terms.visited > 32 or variable.type.ndim != 2 or True in variable.type.broadcastable:
        return False
    node = variable.owner
    may_open = is_root or context.uses(variable) == 1
    if node is not None and may_open:
        if is_function(node, "add", "subtract"):
            right = call("negative", coefficient) if is_function(node, "subtract") else coefficient
            left = _collect(node.inputs[0], coefficient, terms, context)
            return left and _collect(node.inputs[1], right, terms, context)
        if is_function(node, "negative"):
            return _collect(node.inputs[0], call("negative", coefficient), terms, context)
        if is_function(node, "multiply", "true_divide"):
            opened = _scaled(node)
            if opened is not None:
                inner, factor = opened
                return _collect(inner, call(node.op.function, coefficient, factor), terms, context)  # type: ignore[attr-defined]
        if isinstance(node.op, Dot) and all(v.type.ndim == 2 for v in node.inputs):  # type: ignore[attr-defined]
            terms.products.append((coefficient, (node.inputs[0], node.inputs[1])))
            return True
        if isinstance(node.op, Gemm):
            matrix, alpha, left_factor, right_factor, beta = node.inputs
            terms.products.append((call("multiply", coefficient, alpha), (left_factor, right_factor)))
            terms.add_matrix(matrix, coefficient)
            if not is_number(beta, 0):
                terms.add_matrix(matrix, call("multiply", coefficient, beta))
            return True
    terms.add_matrix(variable, coefficient)
    return True


def _scaled(node: Apply) -> tuple[Any, Any] | None:
    """Return the matrix and the scalar of ``scalar * matrix`` or ``matrix / scalar``."""
    left, right = node.inputs
    if left.type.dtype != right.type.dtype:  # type: ignore[attr-defined]
        return None
    scalar = _as_scalar(right)
    if scalar is not None:
        return left, scalar
    scalar = None if is_function(node, "true_divide") else _as_scalar(left)
    return None if scalar is None else (right, scalar)


def _as_scalar(variable: Any) -> Any:
    """Return the 0-d variable behind a scalar that was given axes of size 1, or None."""
    if variable.type.ndim == 0:
        return variable
    value = scalar_value(variable)
    if value is not None and all(variable.type.broadcastable):
        return number_like(float(np.asarray(value)), variable)
    shuffled = made_by(variable, DimShuffle)
    if shuffled is not None and shuffled.inputs[0].type.ndim == 0:  # type: ignore[attr-defined]
        return shuffled.inputs[0]
    return None
