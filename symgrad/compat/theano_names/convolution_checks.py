"""Checks of the shapes of convolutions, as Theano's ``nnet.abstract_conv`` names them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad import tensor as T
from symgrad.compat.theano_names.configuration import theano_config
from symgrad.compat.theano_names.convolution import get_conv_output_shape
from symgrad.custom import Assert
from symgrad.errors import NotScalarConstantError


def _known(size: Any) -> int | None:
    """Return a size as a number, or None if only a call says it."""
    if size is None:
        return None
    if isinstance(size, int | np.integer):
        return int(size)
    try:
        return int(T.get_scalar_constant_value(size))
    except NotScalarConstantError:
        return None


def check_conv_gradinputs_shape(
    image_shape: Sequence[Any],
    kernel_shape: Sequence[Any],
    output_shape: Sequence[Any],
    border_mode: Any,
    subsample: Sequence[int],
    filter_dilation: Sequence[int] | None = None,
) -> bool:
    """Whether a convolution of such images can have such a result; sizes that aren't known fit.

    Examples
    --------
    >>> check_conv_gradinputs_shape((2, 3, 7, 7), (4, 3, 3, 3), (None, 4, 5, 5), "valid", (1, 1))
    True
    """
    counts = {len(image_shape), len(kernel_shape), len(output_shape), len(subsample) + 2}
    if len(counts) > 1 or (filter_dilation is not None and len(filter_dilation) != len(subsample)):
        return False
    images, kernels, given = [tuple(map(_known, shape)) for shape in (image_shape, kernel_shape, output_shape)]
    sizes = get_conv_output_shape(images, kernels, border_mode, subsample, filter_dilation)
    return all(a is None or b is None or a == b for a, b in zip(given, sizes, strict=True))


def assert_conv_shape(shape: Sequence[Any]) -> list[Any]:
    """Return sizes of a convolution's operand, checked in every call: the first two from 0, the others from 1.

    Raises
    ------
    ValueError
        If a size that is known isn't possible.

    Examples
    --------
    >>> assert_conv_shape((2, 3, 7, 7))
    [2, 3, 7, 7]
    """
    checked: list[Any] = []
    for axis, size in enumerate(shape):
        least = 0 if axis < 2 else 1
        message = f"a convolution needs sizes of at least {least} along axis {axis}"
        known = _known(size)
        if known is not None and known < least:
            raise ValueError(f"{message}, got {known}")
        checked.append(size if known is not None else Assert(message)(size, T.ge(size, least)))
    return checked


def assert_shape(x: Any, expected_shape: Sequence[Any] | None, msg: str = "Unexpected shape.") -> Any:
    """Return `x`; with the setting ``conv.assert_shape``, calls check its sizes, except where None is expected."""
    if expected_shape is None or not theano_config.conv.assert_shape:
        return x
    fits = [T.eq(x.shape[axis], size) for axis, size in enumerate(expected_shape) if size is not None]
    return Assert(msg)(x, *fits) if fits else x


__all__ = ["assert_conv_shape", "assert_shape", "check_conv_gradinputs_shape"]
