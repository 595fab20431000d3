"""Convolution along one axis: images that are one row high."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.errors import ShapeError
from symgrad.graph.op import user_error
from symgrad.ops import conv_arguments as arguments
from symgrad.ops.axes import dimshuffle
from symgrad.ops.conv import conv2d
from symgrad.ops.windows import zero_padded


def conv1d(
    input: Any,
    filters: Any,
    input_shape: Sequence[Any] | None = None,
    filter_shape: Sequence[Any] | None = None,
    border_mode: Any = "valid",
    subsample: int = 1,
    filter_flip: bool = True,
    filter_dilation: int = 1,
    num_groups: int = 1,
    unshared: bool = False,
) -> Any:
    """Convolve sequences with filters.

    ``out[n, k, i] = sum over c, a of input[n, c, i * s + a] * filters[k, c, l - 1 - a]``

    Parameters
    ----------
    input : float tensor of shape (N, C, L)
        Sequences.
    filters : float tensor of shape (K, C, l)
        Filters; (K, L', C, l) if they are unshared.
    input_shape, filter_shape : three sizes, optional
        Sizes that the graph doesn't know by itself; None leaves one open.
    border_mode : {'valid', 'full', 'half'}, int, or pair of int
        Zeros at both ends; a pair is the numbers before and after.
    subsample, filter_dilation : int
        Steps of the output, and between filter elements.
    filter_flip : bool
        True (default) is convolution; False correlates.
    num_groups : int
        Independent groups of channels.
    unshared : bool
        Whether each place of the output has filters of its own.

    Returns
    -------
    tensor of shape (N, K, (L + padding - l) // stride + 1)

    Raises
    ------
    ShapeError
        If axes, channels or sizes don't fit.

    Examples
    --------
    >>> import numpy as np, symgrad.tensor as T
    >>> print(T.nnet.conv1d(np.arange(4.0).reshape(1, 1, 4), np.array([[[1.0, 10.0]]])).eval())
    [[[ 1. 12. 23.]]]
    """
    return _conv1d("conv1d", input, filters, input_shape, filter_shape, border_mode, subsample, filter_flip,
                   filter_dilation, num_groups, unshared)  # fmt: skip


def causal_conv1d(
    input: Any,
    filters: Any,
    filter_shape: Sequence[Any] | None = None,
    input_shape: Sequence[Any] | None = None,
    subsample: int = 1,
    filter_flip: bool = True,
    filter_dilation: int = 1,
    num_groups: int = 1,
    unshared: bool = False,
) -> Any:
    """Convolve sequences with filters that see the present and the past only: the zeros come before the sequence.

    Parameters
    ----------
    input : float tensor of shape (N, C, L)
        Sequences.
    filters : float tensor of shape (K, C, l)
        Filters.
    filter_shape, input_shape, subsample, filter_flip, filter_dilation, num_groups, unshared
        As `conv1d` has them.

    Returns
    -------
    tensor of shape (N, K, (L - 1) // stride + 1)

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.abstract_conv.causal_conv1d``.

    Examples
    --------
    >>> import numpy as np, symgrad.tensor as T
    >>> print(T.nnet.causal_conv1d(np.arange(4.0).reshape(1, 1, 4), np.array([[[1.0, 10.0]]])).eval())
    [[[ 0.  1. 12. 23.]]]
    """
    name = "causal_conv1d"
    signal, filters = arguments.operands(input, filters)
    filters = arguments.with_sizes(filters, filter_shape, "filter_shape", name)
    (step,) = arguments.steps(filter_dilation, 1, "filter_dilation", name)
    (window,) = arguments.window_of(filters, 1) if filters.type.ndim in (3, 4) else (1,)
    sides = (window - 1) * step, 0
    if signal.type.ndim == 3 and not arguments.are_numbers((sides,)):
        signal = arguments.with_sizes(signal, input_shape, "input_shape", name)
        signal, input_shape, sides = zero_padded(signal, {2: sides}), None, (0, 0)
    return _conv1d(name, signal, filters, input_shape, None, sides, subsample, filter_flip, step, num_groups, unshared)


def _conv1d(
    name: str, input: Any, filters: Any, input_shape: Any, filter_shape: Any, border_mode: Any, subsample: Any,
    flip: bool, dilation: Any, num_groups: int, unshared: bool,
) -> Any:  # fmt: skip
    signal, filters = arguments.operands(input, filters)
    if signal.type.ndim != 3 or filters.type.ndim != (4 if unshared else 3):
        taken = "(K, L', C, l)" if unshared else "(K, C, l)"
        raise user_error(
            ShapeError, f"{name} takes sequences (N, C, L) and filters {taken}, got {signal.type} and {filters.type}",
            [signal, filters],
        )  # fmt: skip
    signal = arguments.with_sizes(signal, input_shape, "input_shape", name)
    filters = arguments.with_sizes(filters, filter_shape, "filter_shape", name)
    filters = arguments.settled(filters, [border_mode], 3 if unshared else 2)
    (step,) = arguments.steps(dilation, 1, "filter_dilation", name)
    (stride,) = arguments.steps(subsample, 1, "subsample", name)
    modes = border_mode if isinstance(border_mode, list) and len(border_mode) == 1 else [border_mode]
    (sides,) = arguments.border(modes, arguments.window_of(filters, 1), [step], name)
    if not arguments.are_numbers((sides,)):
        signal, sides = zero_padded(signal, {2: sides}), (0, 0)
    rows = dimshuffle(filters, 0, "x", 1, 2, "x", 3) if unshared else dimshuffle(filters, 0, 1, "x", 2)
    output = conv2d(
        dimshuffle(signal, 0, 1, "x", 2), rows, None, None, ((0, 0), sides), (1, stride), flip, None, (1, step),
        num_groups, unshared,
    )  # fmt: skip
    return dimshuffle(output, 0, 1, 3)


__all__ = ["causal_conv1d", "conv1d"]
