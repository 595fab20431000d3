"""How each op does its work for many rows at once: its operands, and so its outputs, gain a leading axis.

A rule gets the op, its node, the new inputs, and which of them have rows (the others are as they were). It returns the
new outputs; one that is the same for all rows, such as a size, as a `Single`. What has no rule runs row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import singledispatch
from typing import Any, NamedTuple

from symgrad.gradient.row_by_row import RowByRow
from symgrad.graph.op import Op
from symgrad.graph.variables import Apply
from symgrad.ops.axes import DimShuffle, dimshuffle
from symgrad.ops.casting import Cast, cast
from symgrad.ops.conv import Conv2d, Conv2dFilterGradient, Conv2dInputGradient
from symgrad.ops.elementwise import maximum
from symgrad.ops.elementwise_op import Elementwise
from symgrad.ops.identity import Identity
from symgrad.ops.joining import Concatenate, Split, concatenate
from symgrad.ops.linalg import BatchedMatrixProduct, Dot, batched_dot, dot, matmul
from symgrad.ops.pool import MaxPoolGradient, MaxPoolPushforward, Pool2d, SumPoolGradient
from symgrad.ops.reduction_op import ArgExtreme, ProductOfOthers, Reduction
from symgrad.ops.shape import BroadcastTo, ReshapeTo, alloc, reshape
from symgrad.ops.sizes import (
    CheckSizes,
    MakeVector,
    Size,
    SpecifyShape,
    Unbroadcast,
    size_of,
    sizes_product,
    specify_shape,
)
from symgrad.ops.softmax import LogSoftmax, Softmax, SoftmaxGradient
from symgrad.ops.windows import Windows, WindowSums

Outputs = Sequence[Any]


class Single(NamedTuple):
    """An output that is the same for all rows, and has no axis for them."""

    variable: Any


class Rows:
    """What rules know about the rows: how many there are (a number, or an integer scalar)."""

    def __init__(self, count: Any) -> None:
        self.count = count

    def repeated(self, x: Any) -> Any:
        """Return `x` for each row."""
        return alloc(x, self.count, *[size_of(x, axis) for axis in range(x.type.ndim)])

    def all_repeated(self, inputs: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
        """Return inputs that all have rows."""
        return [x if has_rows else self.repeated(x) for x, has_rows in zip(inputs, batched, strict=True)]


@singledispatch
def with_leading_axis(op: Op, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    """Return the outputs of an op for all rows."""
    return RowByRow.apply(op, node, inputs, batched)


def padded(x: Any, ndim: int) -> Any:
    """Return `x`, whose rows get axes of size 1 in front until they have `ndim`."""
    missing = ndim - (x.type.ndim - 1)
    return dimshuffle(x, 0, *["x"] * missing, *range(1, x.type.ndim)) if missing > 0 else x


# ---- elementwise, axes and sizes ----


@with_leading_axis.register
def _(op: Elementwise, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    ndim: int = node.outputs[0].type.ndim  # type: ignore[attr-defined]
    return [op(*[padded(x, ndim) if has_rows else x for x, has_rows in zip(inputs, batched, strict=True)])]


@with_leading_axis.register
def _(op: Cast, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    return [op(*inputs)]


@with_leading_axis.register
def _(op: Identity, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    x, *others = inputs
    return [op(x if batched[0] else rows.repeated(x), *others)]


@with_leading_axis.register
def _(op: DimShuffle, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    return [DimShuffle((0, *[None if axis is None else axis + 1 for axis in op.order]))(*inputs)]


@with_leading_axis.register
def _(op: Size, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    return [Single(size_of(inputs[0], op.axis + 1))]


@with_leading_axis.register
def _(op: MakeVector, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    scalars = rows.all_repeated(inputs, batched)
    return [concatenate([cast(dimshuffle(scalar, 0, "x"), op.dtype) for scalar in scalars], axis=1)]


@with_leading_axis.register
def _(op: SpecifyShape, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    return [SpecifyShape((None, *op.sizes))(*inputs)]


@with_leading_axis.register
def _(op: Unbroadcast, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    return [Unbroadcast(tuple([axis + 1 for axis in op.axes]))(*inputs)]


@with_leading_axis.register
def _(op: ReshapeTo, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    if any(batched[1:]):
        return RowByRow.apply(op, node, inputs, batched)
    x, *operands = inputs
    given = iter(operands)
    promised: Sequence[int | None] = node.outputs[0].type.shape  # type: ignore[attr-defined]
    sizes = [next(given) if size is None else size for size in op.sizes]
    sizes = [size if known is None else known for size, known in zip(sizes, promised, strict=True)]
    numbers = [size for size in sizes if not isinstance(size, int) or size != -1]
    if len(numbers) < len(sizes):  # without rows, reshape couldn't work it out
        total = sizes_product([size_of(x, axis) for axis in range(1, x.type.ndim)])
        sizes[sizes.index(-1)] = total // maximum(sizes_product(numbers), 1)
    return [reshape(x, [rows.count, *sizes])]


@with_leading_axis.register
def _(op: BroadcastTo, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    if any(batched[1:]):
        return RowByRow.apply(op, node, inputs, batched)
    x, *operands = inputs
    given = iter(operands)
    sizes = [next(given) if size is None else size for size in op.sizes]
    return [alloc(padded(x, len(sizes)), rows.count, *sizes)]


@with_leading_axis.register
def _(op: Concatenate, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    return [Concatenate(op.axis + 1)(*rows.all_repeated(inputs, batched))]


# ---- reductions, and what works along an axis ----


def _later(axes: Sequence[int]) -> tuple[int, ...]:
    return tuple([axis + 1 for axis in axes])


@with_leading_axis.register(Reduction)
@with_leading_axis.register(ProductOfOthers)
@with_leading_axis.register(ArgExtreme)
def _(op: Any, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    return [replace(op, axes=_later(op.axes))(*inputs)]


@with_leading_axis.register(Softmax)
@with_leading_axis.register(LogSoftmax)
@with_leading_axis.register(SoftmaxGradient)
def _(op: Any, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    return [replace(op, axis=op.axis + 1)(*rows.all_repeated(inputs, batched))]


@with_leading_axis.register(Split)
@with_leading_axis.register(Windows)
@with_leading_axis.register(WindowSums)
def _(op: Any, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    if batched[1]:
        return RowByRow.apply(op, node, inputs, batched)
    results: Any = replace(op, axis=op.axis + 1)(*inputs)
    return results if isinstance(results, tuple) else [results]


@with_leading_axis.register
def _(op: CheckSizes, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    if any(batched[1:]):
        return RowByRow.apply(op, node, inputs, batched)
    return [replace(op, axes=_later(op.axes))(*inputs)]


# ---- products ----


@with_leading_axis.register
def _(op: Dot, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    x, y = inputs
    if all(batched):
        return [batched_dot(x, y)]
    if batched[0]:
        return [dot(x, y)]
    if x.type.ndim == 1:
        return [dot(x, y) if y.type.ndim == 3 else dot(y, x)]
    return [dot(y, x.T) if y.type.ndim == 2 else matmul(x, y)]


@with_leading_axis.register
def _(
    op: BatchedMatrixProduct, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows
) -> Outputs:
    ndim: int = node.outputs[0].type.ndim  # type: ignore[attr-defined]
    return [op(*[padded(x, ndim) if has_rows else x for x, has_rows in zip(inputs, batched, strict=True)])]


# ---- convolution and pooling ----


def _joined(x: Any, axis: int) -> Any:
    """Put the rows into an axis of the row, in front of its own elements."""
    order = [*range(1, axis + 1), 0, *range(axis + 1, x.type.ndim)]
    sizes = [size_of(x, a) for a in range(x.type.ndim)]
    return reshape(dimshuffle(x, *order), [*sizes[1 : axis + 1], sizes[0] * sizes[axis + 1], *sizes[axis + 2 :]])


def _parted(x: Any, axis: int, rows: Rows, own: Any, like: Any) -> Any:
    """Undo `_joined`; `own` is the size of that axis of a row, and `like` has the sizes of one row."""
    sizes = [size_of(x, a) for a in range(x.type.ndim)]
    parted = reshape(x, [*sizes[:axis], rows.count, own, *sizes[axis + 1 :]])
    order = [axis, *range(axis), *range(axis + 1, parted.type.ndim)]
    return specify_shape(dimshuffle(parted, *order), [None, *like.type.shape])


@with_leading_axis.register
def _(op: Conv2d, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    image, filters = inputs
    if batched[0] and not batched[1]:
        return [_parted(op(_joined(image, 0), filters), 0, rows, size_of(image, 1), node.out)]
    if batched[1] and not batched[0] and op.groups == 1:
        return [_parted(op(image, _joined(filters, 0)), 1, rows, size_of(filters, 1), node.out)]
    if all(batched) and isinstance(rows.count, int):
        grouped = replace(op, groups=op.groups * rows.count)
        joined = grouped(_joined(image, 1), _joined(filters, 0))
        return [_parted(joined, 1, rows, size_of(filters, 1), node.out)]
    return RowByRow.apply(op, node, inputs, batched)


@with_leading_axis.register
def _(
    op: Conv2dInputGradient, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows
) -> Outputs:
    filters, cotangent, *sizes = inputs
    if list(batched) == [False, True, False, False]:
        joined = op(filters, _joined(cotangent, 0), *sizes)
        return [_parted(joined, 0, rows, size_of(cotangent, 1), node.out)]
    if list(batched) == [True, True, False, False] and isinstance(rows.count, int):
        grouped = replace(op, groups=op.groups * rows.count)
        joined = grouped(_joined(filters, 0), _joined(cotangent, 1), *sizes)
        return [_parted(joined, 1, rows, size_of(filters, 2) * op.groups, node.out)]
    return RowByRow.apply(op, node, inputs, batched)


@with_leading_axis.register
def _(
    op: Conv2dFilterGradient, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows
) -> Outputs:
    image, cotangent, *sizes = inputs
    if list(batched) == [False, True, False, False] and op.groups == 1:
        joined = op(image, _joined(cotangent, 1), *sizes)
        return [_parted(joined, 0, rows, size_of(cotangent, 2), node.out)]
    if list(batched) == [True, True, False, False] and isinstance(rows.count, int):
        grouped = replace(op, groups=op.groups * rows.count)
        joined = grouped(_joined(image, 1), _joined(cotangent, 1), *sizes)
        return [_parted(joined, 0, rows, size_of(cotangent, 2), node.out)]
    return RowByRow.apply(op, node, inputs, batched)


@with_leading_axis.register(Pool2d)
@with_leading_axis.register(MaxPoolGradient)
@with_leading_axis.register(MaxPoolPushforward)
def _(op: Any, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    return [op(*rows.all_repeated(inputs, batched))]


@with_leading_axis.register
def _(op: SumPoolGradient, node: Apply, inputs: Sequence[Any], batched: Sequence[bool], rows: Rows) -> Outputs:
    return RowByRow.apply(op, node, inputs, batched) if any(batched[1:]) else [op(*inputs)]
