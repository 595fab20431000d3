"""Max pooling after convolution: both, and their gradients, in one layout that spares the copies between them."""

from __future__ import annotations

from math import prod
from typing import Any

from symgrad.graph.variables import Apply, Variable
from symgrad.ops.conv import Conv2d, Conv2dFilterGradient, Conv2dInputGradient
from symgrad.ops.conv_pool import (
    ImagesOfWindows,
    WindowedConv2d,
    WindowedFilterGradient,
    WindowedInputGradient,
    WindowMaximum,
    WindowMaximumGradient,
)
from symgrad.ops.pool import MaxPoolGradient, Pool2d
from symgrad.rewriting.engine import Context, rule
from symgrad.rewriting.patterns import is_plain_convolution, made_by

# The copied pixels and the outputs of one block of images should stay in the cache. Where a single image takes more
# than the limit, kernels that go by parts of images are better; where a row of all images in a block has fewer outputs
# than the least, kernels that make whole images by one product are.
BLOCK_BYTES = 3 << 19
LIMIT_BYTES = 1 << 22
LEAST_COLUMNS = 40


@rule("specialize", Pool2d, MaxPoolGradient, backends=("numpy",),
      reason="a maximum over windows is one over a few slices of the product, which is never reordered")  # fmt: skip
def max_pooling_of_a_convolution_keeps_window_positions_apart(node: Apply, context: Context) -> Any:
    """``pool(conv2d(x, w))`` and its gradient, if nothing else uses the convolution (it would be computed twice)."""
    convolution = made_by(node.inputs[0], Conv2d)
    if convolution is None or not _covers_each_pixel_once(node):
        return None
    if not _only_pooled(node.inputs[0], node, context):
        return None
    if isinstance(node.op, Pool2d):
        windows = _windowed(convolution, node.op.window)
        return None if windows is None else WindowMaximum()(windows)
    pooling = made_by(node.inputs[1], WindowMaximum)
    known = None if pooling is None else made_by(pooling.inputs[0], WindowedConv2d)
    if pooling is None or known is None or list(known.inputs) != list(convolution.inputs):
        return None
    op: Any = known.op
    if op.convolution != convolution.op or op.window != node.op.window:  # type: ignore[attr-defined]
        return None
    size = _type(node.outputs[0]).shape[2:]
    return ImagesOfWindows(size)(WindowMaximumGradient()(pooling.inputs[0], pooling.outputs[0], node.inputs[2]))


@rule("specialize", Conv2dFilterGradient, Conv2dInputGradient, backends=("numpy",),
      reason="the gradient of pooling is never put in the order of images")  # fmt: skip
def gradients_of_a_convolution_take_window_positions_apart(node: Apply, context: Context) -> Any:
    """Both gradients of a convolution, with respect to filters and images, of a cotangent that is made of windows."""
    images = made_by(node.inputs[1], ImagesOfWindows)
    first, output, op = _type(node.inputs[0]), _type(node.outputs[0]), node.op
    if images is None or not is_plain_convolution(op) or not (_is_static(first) and _is_static(output)):
        return None
    (windows,) = images.inputs
    shape = _type(windows).shape
    is_of_filters = isinstance(op, Conv2dFilterGradient)
    image, filters = (first, output) if is_of_filters else (output, first)
    plain = Conv2d(op.padding, flip=op.flip)  # type: ignore[attr-defined]
    if plain.output_shape(image.shape, filters.shape) != list(_type(images.outputs[0]).shape):
        return None
    parameters = (plain.padding, plain.flip, (shape[2], shape[4]), shape[6])
    if is_of_filters:
        return WindowedFilterGradient(*parameters, filters.shape[2:])(node.inputs[0], windows)
    return WindowedInputGradient(*parameters, image.shape[2:])(node.inputs[0], windows)


def _covers_each_pixel_once(node: Apply) -> bool:
    """Whether a node is max pooling, or its gradient, of whole windows side by side."""
    op: Any = node.op
    if getattr(op, "mode", "max") != "max" or op.stride != op.window or op.pad != (0, 0):
        return False
    kind = _type(node.inputs[0])
    if not _is_static(kind):
        return False
    sizes = list(zip(kind.shape[2:], op.window, strict=True))
    is_whole = op.ignore_border or all(size % step == 0 for size, step in sizes)
    return is_whole and all(size >= step for size, step in sizes)


def _only_pooled(output: Variable, node: Apply, context: Context) -> bool:
    """Whether each use of a convolution's output is max pooling, or its gradient, by the same windows as `node`'s."""
    op: Any = node.op
    users = context.users(output)
    for user, position in users:
        if position != 0 or not isinstance(user.op, Pool2d | MaxPoolGradient):
            return False
        if user.op.window != op.window or not _covers_each_pixel_once(user):
            return False
    return len(users) == context.uses(output)


def _type(variable: Variable) -> Any:
    return variable.type


def _is_static(kind: Any) -> bool:
    return bool(kind.dtype in ("float32", "float64") and kind.is_static and 0 not in kind.shape)


def _windowed(convolution: Apply, window: tuple[int, int]) -> Any:
    """Return a convolution's output as windows, or None if its kernels can't make them (well)."""
    op: Any = convolution.op
    image, filters = (_type(variable) for variable in convolution.inputs)
    if not is_plain_convolution(op) or not (_is_static(image) and _is_static(filters)) or image.dtype != filters.dtype:
        return None
    count, filter_count, rows, columns = _type(convolution.outputs[0]).shape
    _, channels, taps_down, taps_across = filters.shape
    outputs = prod((filter_count, rows, columns))
    copies = prod((rows + taps_down - 1, channels, taps_across, columns))
    images = _images_of_a_block(count, (outputs + copies) * image.numpy_dtype.itemsize)
    if images is None or images * columns < LEAST_COLUMNS:
        return None
    return WindowedConv2d(op.padding, op.flip, window, images)(*convolution.inputs)


def _images_of_a_block(count: int, size: int) -> int | None:
    """Return the divisor of `count` whose blocks of images, of `size` bytes each, come closest to `BLOCK_BYTES`."""
    divisors = [n for n in range(1, min(count, LIMIT_BYTES // size) + 1) if count % n == 0]
    if not divisors:
        return None
    aim = max(1.0, BLOCK_BYTES / size)
    return min(divisors, key=lambda n: max(n / aim, aim / n))
