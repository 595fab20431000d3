"""The gradients of a convolution of images as functions of their own, and transposed convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.ops import conv_arguments as arguments
from symgrad.ops.conv import Conv2dFilterGradient, Conv2dInputGradient
from symgrad.ops.conv_unshared import unshared_filter_gradient, unshared_input_gradient
from symgrad.ops.promotion import as_operand
from symgrad.ops.sizes import specify_shape
from symgrad.ops.windows import without_sides, zero_padded

_NONE = ((0, 0), (0, 0))


def conv2d_grad_wrt_inputs(
    output_grad: Any,
    filters: Any,
    input_shape: Any,
    filter_shape: Sequence[Any] | None = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Any:
    """Return the gradient of a cost with respect to the images of a `conv2d`, from that with respect to its output.

    Parameters
    ----------
    output_grad : float tensor of shape (N, K, H', W')
        Gradient with respect to the output.
    filters : float tensor of shape (K, C, h, w)
        The filters of the convolution; (K, H', W', C, h, w) if they are unshared.
    input_shape : four sizes
        Those of the images, as numbers or integer scalars. The first two may be None; the others can't, because with
        a stride several sizes of an image give the same output.
    filter_shape, border_mode, subsample, filter_flip, filter_dilation, num_groups, unshared
        As `conv2d` had them.

    Returns
    -------
    tensor of shape (N, C, H, W)

    Raises
    ------
    ShapeError
        If the sizes aren't those of such a convolution.

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.abstract_conv.conv2d_grad_wrt_inputs``.

    Examples
    --------
    >>> import numpy as np, symgrad.tensor as T
    >>> y, w = np.ones((1, 1, 1, 3)), np.array([[[[1.0, 10.0]]]])
    >>> print(T.nnet.conv2d_grad_wrt_inputs(y, w, (1, 1, 1, 4)).eval().ravel())
    [10. 11. 11.  1.]
    """
    function = "conv2d_grad_wrt_inputs"
    cotangent, filters = arguments.operands(output_grad, filters)
    filters = arguments.with_sizes(filters, filter_shape, "filter_shape", function)
    sizes = arguments.asked_sizes(input_shape, 4, 2, "input_shape", function)
    dilation = arguments.steps(filter_dilation, 2, "filter_dilation", function)
    stride = arguments.steps(subsample, 2, "subsample", function)
    groups = arguments.groups_of(num_groups, function)
    sides = arguments.border(border_mode, arguments.window_of(filters, 2), dilation, function)
    whole = sizes[2:]
    if unshared or not arguments.are_numbers(sides):
        whole = [size + before + after for size, (before, after) in zip(whole, sides, strict=True)]
    if unshared:
        result = unshared_input_gradient(cotangent, filters, whole, stride, bool(filter_flip), dilation, groups)
    else:
        padding: Any = sides if arguments.are_numbers(sides) else _NONE
        gradient = Conv2dInputGradient(padding, stride, dilation, groups, bool(filter_flip))
        result = gradient(filters, cotangent, *map(as_operand, whole))
    if unshared or not arguments.are_numbers(sides):
        result = without_sides(result, {2: sides[0], 3: sides[1]})
    return specify_shape(result, arguments.numbers_in(sizes))


def conv2d_grad_wrt_weights(
    input: Any,
    output_grad: Any,
    filter_shape: Any,
    input_shape: Sequence[Any] | None = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Any:
    """Return the gradient of a cost with respect to the filters of a `conv2d`, from that with respect to its output.

    Parameters
    ----------
    input : float tensor of shape (N, C, H, W)
        The images.
    output_grad : float tensor of shape (N, K, H', W')
        Gradient with respect to the output.
    filter_shape : four sizes; six if the filters are unshared
        Those of the filters, as numbers or integer scalars. All but the last two may be None.
    input_shape, border_mode, subsample, filter_flip, filter_dilation, num_groups, unshared
        As `conv2d` had them.

    Returns
    -------
    tensor of shape (K, C, h, w)

    Raises
    ------
    ShapeError
        If the sizes aren't those of such a convolution.

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.abstract_conv.conv2d_grad_wrt_weights``.

    Examples
    --------
    >>> import numpy as np, symgrad.tensor as T
    >>> x, y = np.arange(4.0).reshape(1, 1, 1, 4), np.ones((1, 1, 1, 3))
    >>> print(T.nnet.conv2d_grad_wrt_weights(x, y, (1, 1, 1, 2)).eval().ravel())
    [6. 3.]
    """
    function = "conv2d_grad_wrt_weights"
    image, cotangent = arguments.operands(input, output_grad)
    image = arguments.with_sizes(image, input_shape, "input_shape", function)
    sizes = arguments.asked_sizes(filter_shape, 6 if unshared else 4, 2, "filter_shape", function)
    window = sizes[-2:]
    dilation = arguments.steps(filter_dilation, 2, "filter_dilation", function)
    stride = arguments.steps(subsample, 2, "subsample", function)
    groups = arguments.groups_of(num_groups, function)
    padding: Any = arguments.border(border_mode, window, dilation, function)
    if unshared or not arguments.are_numbers(padding):
        image, padding = zero_padded(image, {2: padding[0], 3: padding[1]}), _NONE
    if unshared:
        result = unshared_filter_gradient(image, cotangent, window, stride, bool(filter_flip), dilation, groups)
    else:
        gradient = Conv2dFilterGradient(padding, stride, dilation, groups, bool(filter_flip))
        result = gradient(image, cotangent, *map(as_operand, window))
    return specify_shape(result, arguments.numbers_in(sizes))


def conv2d_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    filter_shape: Sequence[Any] | None = None,
    border_mode: Any = "valid",
    input_dilation: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Any:
    """Transposed convolution: the linear map that is the transpose of a `conv2d`.

    Parameters
    ----------
    input : float tensor of shape (N, K, H', W')
        Images of the size that the `conv2d` puts out.
    filters : float tensor of shape (K, C, h, w)
        Filters of the `conv2d`: the first size is the number of channels that come in, the second of those that go
        out.
    output_shape : four sizes
        Of the result; the last two are needed, None leaves the others open.
    input_dilation : int or pair of int
        The stride of the `conv2d`: steps between the input's pixels in the result.
    filter_shape, border_mode, filter_flip, filter_dilation, num_groups, unshared
        As of the `conv2d`.

    Returns
    -------
    tensor of shape (N, C, H, W)

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.conv2d_transpose``.

    Examples
    --------
    >>> import numpy as np, symgrad.tensor as T
    >>> x, w = np.array([[[[1.0, 2.0]]]]), np.array([[[[1.0, 10.0]]]])
    >>> print(T.nnet.conv2d_transpose(x, w, (1, 1, 1, 4), input_dilation=(1, 2)).eval().ravel())
    [10.  1. 20.  2.]
    """
    return conv2d_grad_wrt_inputs(
        input, filters, output_shape, filter_shape, border_mode, input_dilation, filter_flip, filter_dilation,
        num_groups, unshared,
    )  # fmt: skip


__all__ = ["conv2d_grad_wrt_inputs", "conv2d_grad_wrt_weights", "conv2d_transpose"]
