"""Canonical form: what says nothing disappears, sizes are worked out without values, parts are taken early."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symgrad.graph.op import Op
from symgrad.graph.variables import Apply
from symgrad.kernels.grammar import Range
from symgrad.ops.advanced_subtensor import AdvancedIncSubtensor
from symgrad.ops.axes import DimShuffle
from symgrad.ops.casting import Cast
from symgrad.ops.conv import Conv2d
from symgrad.ops.creation import ARange
from symgrad.ops.cumulative import Cumulative, LinearRecurrence, Shift
from symgrad.ops.elementwise_op import Elementwise
from symgrad.ops.identity import (
    ClipGradient,
    Identity,
    ScaleGradient,
    StopGradient,
    Transfer,
    UndefinedGradient,
    WithInputs,
    ZeroGradient,
)
from symgrad.ops.linalg import Dot
from symgrad.ops.pool import MaxPoolGradient
from symgrad.ops.promotion import scalar_constant
from symgrad.ops.rounding import RoundedGradient
from symgrad.ops.shape import BroadcastTo, ReshapeTo
from symgrad.ops.sizes import MakeVector, Size, SpecifyShape, size_of
from symgrad.ops.softmax import LogSoftmax, Softmax, SoftmaxGradient
from symgrad.ops.sorting import ArgSort, Sort
from symgrad.ops.subtensor import IncSubtensor, Subtensor
from symgrad.rewriting.engine import Context, rule
from symgrad.rewriting.integers import polynomial_form
from symgrad.rewriting.patterns import call, fills, is_function, is_number, made_by, made_by_function

KEEPS_SHAPE: tuple[type[Op], ...] = (
    Cast, IncSubtensor, AdvancedIncSubtensor, LogSoftmax, Softmax, Identity, SpecifyShape, MaxPoolGradient,
    Sort, ArgSort, Cumulative, LinearRecurrence, Shift,
)  # fmt: skip


@rule("canonicalize", Size, reason="a size needs no values: it is a size of what the tensor is made of")
def size_of_a_result_is_a_size_of_its_operand(node: Apply, context: Context) -> Any:
    variable, axis = node.inputs[0], node.op.axis  # type: ignore[attr-defined]
    start = variable
    while variable.owner is not None:
        found = _size_before(variable.owner, axis)
        if found is None:
            break
        if not isinstance(found, tuple):
            return found
        variable, axis = found
        if variable.type.shape[axis] is not None:  # type: ignore[attr-defined]
            return scalar_constant(variable.type.shape[axis], "int64")  # type: ignore[attr-defined]
    return None if variable is start else size_of(variable, axis)


def _size_before(node: Apply, axis: int) -> Any:
    """Return (operand, axis) with the same size as axis `axis` of a node's output, or a scalar that is it."""
    if isinstance(node.op, Elementwise):
        return _stretching_operand(node, axis)
    if isinstance(node.op, KEEPS_SHAPE):
        return node.inputs[0], axis
    if isinstance(node.op, SoftmaxGradient):
        return node.inputs[1], axis
    for op, answer in SIZE_ANSWERS.items():
        if isinstance(node.op, op):
            return answer(node, axis)
    return None


def _stretching_operand(node: Apply, axis: int) -> Any:
    ndim = node.outputs[0].type.ndim  # type: ignore[attr-defined]
    for variable in node.inputs:
        kind: Any = variable.type
        own = axis - (ndim - kind.ndim)
        if own >= 0 and not kind.broadcastable[own]:
            return variable, own
    return None


def _size_before_dimshuffle(node: Apply, axis: int) -> Any:
    own = node.op.order[axis]  # type: ignore[attr-defined]
    return None if own is None else (node.inputs[0], own)


def _size_before_dot(node: Apply, axis: int) -> Any:
    left = node.inputs[0].type.ndim - 1  # type: ignore[attr-defined]
    return (node.inputs[0], axis) if axis < left else (node.inputs[1], 1)


def _given_size(node: Apply, axis: int) -> Any:
    sizes = node.op.sizes  # type: ignore[attr-defined]
    if sizes[axis] is not None:
        return None
    return _int64(node.inputs[1 + sum(size is None for size in sizes[:axis])])


def _size_before_slice(node: Apply, axis: int) -> Any:
    kept = -1
    for own, entry in enumerate(node.op.index):  # type: ignore[attr-defined]
        kept += isinstance(entry, Range)
        if kept == axis:
            return (node.inputs[0], own) if entry == Range() else None
    return node.inputs[0], axis - kept - 1 + len(node.op.index)  # type: ignore[attr-defined]


def _size_before_conv(node: Apply, axis: int) -> Any:
    return (node.inputs[axis], 0) if axis < 2 else None


def _size_of_arange(node: Apply, axis: int) -> Any:
    start, stop, step = node.inputs
    is_count = is_number(start, 0) and is_number(step, 1) and made_by(_uncast(stop), Size)
    return _int64(stop) if is_count else None


def _uncast(variable: Any) -> Any:
    cast_node = made_by(variable, Cast)
    return variable if cast_node is None else cast_node.inputs[0]


def _int64(scalar: Any) -> Any:
    return scalar if scalar.type.dtype == "int64" else Cast("int64")(scalar)


SIZE_ANSWERS: dict[type[Op], Callable[[Apply, int], Any]] = {
    DimShuffle: _size_before_dimshuffle,
    Dot: _size_before_dot,
    ReshapeTo: _given_size,
    BroadcastTo: _given_size,
    Subtensor: _size_before_slice,
    Conv2d: _size_before_conv,
    ARange: _size_of_arange,
}


@rule("canonicalize", StopGradient, ZeroGradient, UndefinedGradient, ScaleGradient, ClipGradient, WithInputs,
      RoundedGradient, Transfer,
      reason="when a function is compiled, its gradients have been taken")  # fmt: skip
def what_changes_only_the_gradient_is_its_operand(node: Apply, context: Context) -> Any:
    return node.inputs[0]


@rule("canonicalize", ReshapeTo, BroadcastTo, reason="a size that became known is part of the op, and of the type")
def known_sizes_move_into_the_op(node: Apply, context: Context) -> Any:
    sizes = list(node.op.sizes)  # type: ignore[attr-defined]
    operands = []
    gaps = [position for position, size in enumerate(sizes) if size is None]
    for position, operand in zip(gaps, node.inputs[1:], strict=True):
        if operand.known is None:
            operands.append(operand)
        else:
            sizes[position] = int(operand.known)
    if len(operands) == len(gaps):
        return None
    return type(node.op)(tuple(sizes))(node.inputs[0], *operands)  # type: ignore[call-arg]


@rule("canonicalize", Elementwise, functions=("add", "subtract", "multiply"),
      reason="index arithmetic such as (i + 1) * b - i * b is just b")  # fmt: skip
def integer_arithmetic_is_a_polynomial(node: Apply, context: Context) -> Any:
    if is_function(node, "add", "subtract", "multiply") and node.outputs[0].type.ndim == 0:  # type: ignore[attr-defined]
        return polynomial_form(node.outputs[0])
    return None


@rule("canonicalize", Subtensor, reason="one element of a vector of scalars is that scalar")
def element_of_a_made_vector_is_the_scalar(node: Apply, context: Context) -> Any:
    made = made_by(node.inputs[0], MakeVector)
    index = node.op.index  # type: ignore[attr-defined]
    if made is None or len(index) != 1 or not hasattr(index[0], "value"):
        return None
    scalar = made.inputs[index[0].value]
    return scalar if scalar.type == node.outputs[0].type else Cast(made.op.dtype)(scalar)  # type: ignore[attr-defined]


@rule("canonicalize", Subtensor, reason="only the part that is used is computed: slice first, then cast or apply")
def slice_comes_before_cast_and_functions_of_one_operand(node: Apply, context: Context) -> Any:
    inner = node.inputs[0].owner
    if inner is None or len(inner.inputs) != 1 or not isinstance(inner.op, Cast | Elementwise):
        return None
    return inner.op(node.op(inner.inputs[0], *node.inputs[1:]))


@rule("canonicalize", DimShuffle, reason="two reorderings of axes are one")
def dimshuffle_of_dimshuffle_is_one(node: Apply, context: Context) -> Any:
    inner = made_by(node.inputs[0], DimShuffle)
    order = node.op.order  # type: ignore[attr-defined]
    if inner is not None:
        order = tuple([None if axis is None else inner.op.order[axis] for axis in order])  # type: ignore[attr-defined]
    source = node.inputs[0] if inner is None else inner.inputs[0]
    if order == tuple(range(source.type.ndim)):  # type: ignore[attr-defined]
        return source
    return None if inner is None else DimShuffle(order)(source)


@rule("canonicalize", ReshapeTo, reason="only the last of several reshapes counts")
def reshape_of_reshape_is_one(node: Apply, context: Context) -> Any:
    inner = made_by(node.inputs[0], ReshapeTo)
    if inner is None or -1 in inner.op.sizes:  # type: ignore[attr-defined]
        return None
    settled = node.outputs[0].type.is_static and inner.inputs[0].type.is_static  # type: ignore[attr-defined]
    return node.op(inner.inputs[0], *node.inputs[1:]) if settled else None


@rule("canonicalize", Cast, SpecifyShape, ReshapeTo, BroadcastTo,
      reason="a conversion to the type that is there already does nothing")  # fmt: skip
def conversion_to_the_same_type_disappears(node: Apply, context: Context) -> Any:
    (output,) = node.outputs
    same = node.inputs[0].type == output.type
    settled = isinstance(node.op, Cast) or output.type.is_static  # type: ignore[attr-defined]
    return node.inputs[0] if same and settled else None


@rule("canonicalize", Elementwise, functions=("add", "multiply", "subtract", "true_divide", "power"),
      reason="adding 0, multiplying with 1, dividing by 1 and the power 1 do nothing")  # fmt: skip
def neutral_operands_disappear(node: Apply, context: Context) -> Any:
    (output,) = node.outputs
    if is_function(node, "add", "multiply"):
        neutral = 0 if is_function(node, "add") else 1
        for number, other in (node.inputs, node.inputs[::-1]):
            if is_number(number, neutral) and other.type.dtype == output.type.dtype and fills(other, output):  # type: ignore[attr-defined]
                return other
    if is_function(node, "subtract", "true_divide", "power"):
        left, right = node.inputs
        neutral = 0 if is_function(node, "subtract") else 1
        if is_number(right, neutral) and left.type.dtype == output.type.dtype and fills(left, output):  # type: ignore[attr-defined]
            return left
    return None


@rule("canonicalize", Elementwise, functions=("negative", "add", "subtract"),
      reason="minus minus x is x")  # fmt: skip
def negations_cancel(node: Apply, context: Context) -> Any:
    if is_function(node, "negative"):
        inner = made_by_function(node.inputs[0], "negative")
        return None if inner is None else inner.inputs[0]
    if is_function(node, "add", "subtract"):
        left, right = node.inputs
        inner = made_by_function(right, "negative")
        if inner is not None and fills(inner.inputs[0], right):
            return call("subtract" if is_function(node, "add") else "add", left, inner.inputs[0])
    return None


@rule("canonicalize", Elementwise, reason="an operand stretches by itself: no need to write out its copies")
def stretched_operands_stay_small(node: Apply, context: Context) -> Any:
    (output,) = node.outputs
    for position, variable in enumerate(node.inputs):
        stretched = made_by(variable, BroadcastTo)
        if stretched is None:
            continue
        operands = list(node.inputs)
        operands[position] = stretched.inputs[0]
        others = [other for other in operands if other is not stretched.inputs[0]]
        if any(fills(other, output) and _stretches_to(stretched, other) for other in others):
            return node.op(*operands)
    return None


def _stretches_to(stretched: Apply, other: Any) -> bool:
    """Whether an operand would stretch by itself to the sizes that it was given: those of `other`."""
    inner: Any = stretched.inputs[0]
    kind: Any = stretched.outputs[0].type
    for axis in range(-kind.ndim, 0):
        stays = inner.type.ndim >= -axis and not inner.type.broadcastable[axis]
        if stays and kind.broadcastable[axis]:
            return False
        if stays or kind.broadcastable[axis]:
            continue
        sizes = kind.shape[axis], other.type.shape[axis]
        if None in sizes:
            given = _given_size(stretched, axis + kind.ndim)
            if given is None or _origin_of_size(given) != _origin_of_size(size_of(other, axis + other.type.ndim)):
                return False
    return True


def _origin_of_size(scalar: Any) -> Any:
    """Return the variable and axis whose size a scalar is, as far back as that goes; or the scalar itself."""
    node = made_by(scalar, Size)
    while node is not None:
        variable, axis = node.inputs[0], node.op.axis  # type: ignore[attr-defined]
        found = None if variable.owner is None else _size_before(variable.owner, axis)
        if found is None:
            return variable, axis
        if not isinstance(found, tuple):
            return _origin_of_size(found)
        node = size_of(*found).owner
    return scalar


@rule("canonicalize", Elementwise, Cast, reason="a function of copies is copies of the function")
def function_of_a_stretched_operand_is_stretched(node: Apply, context: Context) -> Any:
    if len(node.inputs) != 1:
        return None
    stretched = made_by(node.inputs[0], BroadcastTo)
    return None if stretched is None else stretched.op(node.op(stretched.inputs[0]), *stretched.inputs[1:])
