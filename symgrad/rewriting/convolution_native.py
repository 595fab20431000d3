"""Pooled convolution as one op that keeps the places of its maxima, for backends with kernels for it.

It grows outwards: pooling takes the convolution in, then bias and activation join. The gradients need the places only.
While it grows, they may still ask an op that has grown since; then they turn to the larger one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

from symgrad.graph.dtypes import HALVES
from symgrad.graph.variables import Apply, Variable
from symgrad.kernels.reference_conv_pool import ACTIVATIONS
from symgrad.ops.axes import DimShuffle
from symgrad.ops.casting import Cast
from symgrad.ops.conv import Conv2d, Conv2dFilterGradient, Conv2dInputGradient
from symgrad.ops.conv_bias import ConvBias
from symgrad.ops.conv_pool_fused import AtPlaces, ConvPool, ConvPoolFilterGradient, ConvPoolInputGradient
from symgrad.ops.elementwise_op import Elementwise
from symgrad.ops.pool import MaxPoolGradient, Pool2d
from symgrad.ops.reduction_op import Reduction
from symgrad.ops.sizes import Size, size_of
from symgrad.rewriting.engine import Context, rule
from symgrad.rewriting.patterns import is_plain_convolution, made_by, made_by_function

NATIVE = ("native", "cuda")
MOST_PLACES = 16
"""Larger windows have more places than a kernel has registers."""


@rule("specialize", Pool2d, MaxPoolGradient, backends=NATIVE,
      reason="the maximum of a window is taken in registers, and its gradient is one number and its place")  # fmt: skip
def max_pooling_of_a_convolution_keeps_places(node: Apply, context: Context) -> Any:
    """``pool(conv2d(x, w))``, also with bias and activation inside, if nothing else needs the large images."""
    images = _images(node.inputs[0])
    if images is None or not is_plain_convolution(images.convolution.op) or not _is_plain_pooling(node):
        return None
    op: Any = node.op
    if isinstance(op, Pool2d):
        if not _only_pooled(node.inputs[0], node, context) or not _is_inner(images, context):
            return None
        has_linear = images.activation != "none" and context.uses(images.linear) > 1
        return images.pooled(op.window, has_linear)(*images.inputs)[0]
    pooling = made_by(node.inputs[1], ConvPool)
    if pooling is None or not images.are_pooled_by(pooling, op.window):
        return None
    sizes = [size_of(node.inputs[0], axis) for axis in (2, 3)]
    return AtPlaces(pooling.op.window)(node.inputs[2], pooling.outputs[1], *sizes)  # type: ignore[attr-defined]


@rule("specialize", Elementwise, functions=("rectify_gradient",), backends=NATIVE,
      reason="where there is no cotangent, no slope is needed")  # fmt: skip
def slope_of_values_at_places_is_needed_there_only(node: Apply, context: Context) -> Any:
    """The gradient of ``pool(relu(conv2d(x, w) + b))``."""
    dense = made_by(node.inputs[1], AtPlaces)
    pooling = None if dense is None else made_by(dense.inputs[1], ConvPool)
    activated = [user for user, _ in context.users(node.inputs[0]) if _is_function_of(user, "rectify")]
    if dense is None or pooling is None or not pooling.op.has_linear:  # type: ignore[attr-defined]
        return None
    images = _images(node.inputs[0])
    if images is None or not activated or not images.activated("rectify").are_pooled_by(pooling, dense.op.window):  # type: ignore[attr-defined]
        return None
    return dense.op(node.op(pooling.outputs[2], dense.inputs[0]), *dense.inputs[1:])


@rule("specialize", Conv2dFilterGradient, Conv2dInputGradient, backends=NATIVE,
      reason="three quarters and more of a cotangent behind max pooling are zeros")  # fmt: skip
def gradients_of_a_convolution_take_values_at_places(node: Apply, context: Context) -> Any:
    """Both gradients of a convolution, with respect to filters and images, of a cotangent behind max pooling."""
    op: Any = node.op
    dense = made_by(node.inputs[1], AtPlaces)
    if dense is None or not is_plain_convolution(op) or not _is_float(node.inputs[0]):
        return None
    gradient = ConvPoolFilterGradient if isinstance(op, Conv2dFilterGradient) else ConvPoolInputGradient
    made = gradient(op.padding, op.flip, dense.op.window)  # type: ignore[attr-defined]
    return made(node.inputs[0], *dense.inputs[:2], *node.inputs[2:])


@rule("specialize", Cast, backends=NATIVE, reason="zeros between the values needn't be rounded")
def rounding_of_values_at_places_is_of_the_values(node: Apply, context: Context) -> Any:
    """The cotangent of a convolution in mixed precision."""
    narrow = made_by(node.inputs[0], Cast)
    dense = None if narrow is None else made_by(narrow.inputs[0], AtPlaces)
    if dense is None or not _is_float(node.outputs[0]) or _type(node.inputs[0]).dtype not in HALVES:
        return None
    return dense.op(node.op(narrow.op(dense.inputs[0])), *dense.inputs[1:])  # type: ignore[union-attr]


@rule("specialize", Reduction, backends=NATIVE, reason="zeros between the values add nothing")
def sum_of_values_at_places_is_the_sum_of_values(node: Apply, context: Context) -> Any:
    """The gradient of a bias that is added before pooling."""
    op: Any = node.op
    dense = made_by(node.inputs[0], AtPlaces)
    if dense is None or op.function != "sum" or not {2, 3} <= set(op.axes):
        return None
    return op(dense.inputs[0])


@rule("specialize", Elementwise, functions=("add",), backends=NATIVE,
      reason="a bias costs nothing while sums are in registers")  # fmt: skip
def bias_joins_a_convolution(node: Apply, context: Context) -> Any:
    """``conv2d(x, w) + b``; if that is pooled, pooling comes first and takes in both."""
    images = _images(node.outputs[0])
    if images is None or images.bias is None or context.uses(images.convolution.outputs[0]) > 1:
        return None
    is_pooled = is_plain_convolution(images.convolution.op) and _is_pooled(node.outputs[0], context)
    return None if is_pooled else ConvBias(images.convolution.op)(*images.inputs)  # type: ignore[arg-type]


@rule("specialize", Elementwise, functions=("add",), backends=NATIVE,
      reason="a bias costs nothing while the maximum is still in a register")  # fmt: skip
def bias_joins_a_pooled_convolution(node: Apply, context: Context) -> Any:
    return _with_bias(node, context)


@rule("specialize", Elementwise, functions=tuple(ACTIVATIONS), backends=NATIVE,
      reason="an activation costs little while its operand is still in a register")  # fmt: skip
def activation_joins_a_convolution(node: Apply, context: Context) -> Any:
    op: Any = node.op
    pooling = made_by(node.inputs[0], ConvPool) or made_by(node.inputs[0], ConvBias)
    if pooling is None or pooling.op.activation != "none" or node.inputs[0] is not pooling.outputs[0]:  # type: ignore[attr-defined]
        return None
    users = context.users(node.inputs[0])
    others = [user for user, position in users if not _is_function_of(user, op.function)]
    if len(users) != context.uses(node.inputs[0]) or not all(_is_slope(user) for user in others):
        return None
    made = replace(pooling.op, activation=op.function, has_linear=bool(others))(*pooling.inputs)  # type: ignore[type-var]
    return made[0] if isinstance(made, tuple) else made


@rule("specialize", AtPlaces, ConvPoolFilterGradient, ConvPoolInputGradient, backends=NATIVE,
      reason="a pooled convolution and the same with a bias need not both be computed")  # fmt: skip
def places_come_from_the_largest_op(node: Apply, context: Context) -> Any:
    position = 1 if isinstance(node.op, AtPlaces) else 2
    larger = _larger(node.inputs[position], 1, context)
    if larger is None:
        return None
    inputs = list(node.inputs)
    inputs[position] = larger.outputs[1]
    return node.op(*inputs)


@rule("specialize", Elementwise, functions=("rectify_gradient",), backends=NATIVE,
      reason="a pooled convolution need not be computed again for the slope of its activation")  # fmt: skip
def slope_comes_from_the_largest_op(node: Apply, context: Context) -> Any:
    larger = _larger(node.inputs[0], 0, context)
    if larger is None or not larger.op.has_linear:  # type: ignore[attr-defined]
        return None
    return node.op(larger.outputs[-1], *node.inputs[1:])


# ---- parts of the patterns ----


def _type(variable: Variable) -> Any:
    return variable.type


def _is_float(variable: Variable) -> bool:
    return _type(variable).dtype in ("float32", "float64")


@dataclass(frozen=True)
class _Images:
    """The output of a convolution, perhaps with a bias and an activation; `linear` is the output before that."""

    convolution: Apply
    bias: Any
    activation: str
    linear: Variable

    @property
    def inputs(self) -> list[Any]:
        """Image, filters, bias."""
        return [*self.convolution.inputs, *([] if self.bias is None else [self.bias])]

    def activated(self, activation: str) -> _Images:
        """Return the images after an activation."""
        return replace(self, activation=activation)

    def pooled(self, window: tuple[int, int], has_linear: bool) -> ConvPool:
        """Return the op that pools them."""
        op: Any = self.convolution.op
        position = "none" if self.bias is None else "before"
        is_first = self.activation != "none"
        return ConvPool(op.padding, op.flip, window, position, self.activation, has_linear, is_first)

    def are_pooled_by(self, pooling: Apply, window: tuple[int, int]) -> bool:
        """Whether a node pools these very images."""
        op: Any = pooling.op
        is_same = op == self.pooled(window, op.has_linear) and len(pooling.inputs) == len(self.inputs)
        return is_same and all(one is other for one, other in zip(pooling.inputs, self.inputs, strict=True))


def _images(variable: Variable) -> _Images | None:
    """Return the convolution that makes a variable, and what is done to it after."""
    activation = made_by_function(variable, *ACTIVATIONS)
    linear = variable if activation is None else activation.inputs[0]
    convolution, bias = made_by(linear, Conv2d), None
    total = made_by_function(linear, "add")
    if total is not None:
        for term, other in (total.inputs, total.inputs[::-1]):
            maker = made_by(term, Conv2d)
            bias = None if maker is None else _bias(other, term)
            if bias is not None:
                convolution = maker
                break
    if convolution is None or not _is_float(convolution.inputs[0]):
        return None
    if _type(convolution.inputs[0]).dtype != _type(convolution.inputs[1]).dtype:
        return None
    name = "none" if activation is None else activation.op.function  # type: ignore[attr-defined]
    return _Images(convolution, bias, name, linear)


def _is_inner(images: _Images, context: Context) -> bool:
    """Whether what lies between a convolution and its pooling is needed for that only, and for `rectify`'s slope."""
    if images.bias is not None and context.uses(images.convolution.outputs[0]) > 1:
        return False
    users = context.users(images.linear)
    if images.activation == "none":
        return True
    for user, position in users:
        if _is_function_of(user, images.activation):
            continue
        is_slope = position == 0 and _is_slope(user)
        if not is_slope or not isinstance(getattr(user.inputs[1].owner, "op", None), MaxPoolGradient | AtPlaces):
            return False
    return len(users) == context.uses(images.linear)


def _bias(variable: Variable, images: Variable) -> Any:
    """Return the vector that a variable adds to the channels of images, or None if it isn't that."""
    shuffled = made_by(variable, DimShuffle)
    if shuffled is None or shuffled.op.order != (None, 0, None, None):  # type: ignore[attr-defined]
        return None
    (vector,) = shuffled.inputs
    kind, channels = _type(vector), _type(images).shape[1]
    is_stretched = kind.broadcastable[0] if channels is None else kind.shape[0] not in (channels, None)
    return None if kind.ndim != 1 or is_stretched or kind.dtype != _type(images).dtype else vector


def _is_plain_pooling(node: Apply) -> bool:
    """Whether a node is max pooling, or its gradient, of whole windows side by side."""
    op: Any = node.op
    if getattr(op, "mode", "max") != "max" or op.stride != op.window or op.pad != (0, 0):
        return False
    if not 1 < prod(op.window) <= MOST_PLACES:
        return False
    sizes = _type(node.inputs[0]).shape[2:]
    return op.ignore_border or all(
        size is not None and size % step == 0 for size, step in zip(sizes, op.window, strict=True)
    )


def _has_sparse_gradient(images: Variable) -> bool:
    """Whether the gradient stays at the places of the maxima: the slope of `rectify` is known there, too."""
    return made_by_function(images, *ACTIVATIONS) is None or made_by_function(images, "rectify") is not None


def _only_pooled(images: Variable, node: Apply, context: Context) -> bool:
    """Whether images are needed only for max pooling by the same windows as `node`'s, and for its gradient."""
    op: Any = node.op
    users = context.users(images)
    kinds = Pool2d | MaxPoolGradient if _has_sparse_gradient(images) else Pool2d
    for user, position in users:
        if isinstance(user.op, Size):
            continue
        if position != 0 or not isinstance(user.op, kinds):
            return False
        if user.op.window != op.window or not _is_plain_pooling(user):
            return False
    return len(users) == context.uses(images)


def _with_bias(node: Apply, context: Context) -> Any:
    for pooled, other in (node.inputs, node.inputs[::-1]):
        pooling = made_by(pooled, ConvPool)
        if pooling is None or pooled is not pooling.outputs[0] or context.uses(pooled) > 1:
            continue
        bias = _bias(other, pooled)
        if bias is not None and pooling.op.bias == pooling.op.activation == "none":  # type: ignore[attr-defined]
            return replace(pooling.op, bias="after")(*pooling.inputs, bias)[0]  # type: ignore[type-var]
    return None


def _is_function_of(user: Apply, function: str) -> bool:
    return isinstance(user.op, Elementwise) and user.op.function == function


def _is_slope(user: Apply) -> bool:
    """Whether a node multiplies by the slope of `rectify`; the slopes of other activations need their values only."""
    return _is_function_of(user, "rectify_gradient")


def _larger(output: Variable, number: int, context: Context) -> Apply | None:
    """Return the node that computes what `output`, output `number` of a fused convolution, needs, and more.

    It must have the very same inputs: a node from before this pass may have others, until a later pass.
    """
    made = made_by(output, ConvPool) or made_by(output, ConvBias)
    if made is None or output is not made.outputs[number] or (number and context.users(made.outputs[0])):
        return None
    for user, _ in context.users(made.inputs[0]):
        if type(user.op) is not type(made.op) or not _extends(user.op, made.op):
            continue
        if all(one is other for one, other in zip(user.inputs, made.inputs, strict=False)):
            return user
    return None


def _extends(one: Any, other: Any) -> bool:
    """Whether an op computes all that another of its class does, with bias or activation added after."""
    if one == other or other.activation not in (one.activation, "none"):
        return False
    if isinstance(one, ConvBias):
        return bool(one.convolution == other.convolution)
    if (one.padding, one.flip, one.window) != (other.padding, other.flip, other.window) or one.activation_first:
        return False
    is_bias_added = other.bias == "none" and one.bias == "after" and other.activation == "none"
    return bool(one.bias == other.bias or is_bias_added)


def _is_pooled(images: Variable, context: Context) -> bool:
    """Whether images are pooled, at once or after an activation, in a way that can take in what makes them."""
    users = [user for user, _ in context.users(images)]
    activated = [user for user in users if isinstance(user.op, Elementwise) and user.op.function in ACTIVATIONS]
    users += [after for user in activated for after, _ in context.users(user.outputs[0])]
    return any(isinstance(user.op, Pool2d | MaxPoolGradient) and _is_plain_pooling(user) for user in users)
