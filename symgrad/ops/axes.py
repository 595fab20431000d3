"""Axes in another order, new axes, axes taken away: views of the same elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import ShapeError
from symgrad.graph.op import InferenceError, Op, register
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.kernels.grammar import Permute, View
from symgrad.ops.promotion import as_operand


@register
@dataclass(frozen=True)
class DimShuffle(Op):
    """Reorder axes, insert axes of size 1, drop axes of size 1.

    ``order[k]`` is the input axis that becomes axis k, or None for a new axis.
    """

    order: tuple[int | None, ...]

    @property
    def name(self) -> str:
        return f"dimshuffle{{{','.join('x' if axis is None else str(axis) for axis in self.order)}}}"

    def infer(self, x: Any) -> list[TensorType]:
        for axis in self.order:
            if axis is not None and axis >= x.type.ndim:
                raise InferenceError(ShapeError, f"dimshuffle names axis {axis} of a tensor of {x.type.ndim} axes")
        for axis in set(range(x.type.ndim)) - set(self.order):
            if not x.type.broadcastable[axis]:
                size = x.type.shape[axis]
                raise InferenceError(
                    ShapeError,
                    f"dimshuffle can't drop axis {axis}: its size is {'not known to be 1' if size is None else size}",
                    "Index it (x[0]), or say that its size is 1 with T.addbroadcast(x, axis).",
                )
        shape = [1 if axis is None else x.type.shape[axis] for axis in self.order]
        pattern = [True if axis is None else x.type.broadcastable[axis] for axis in self.order]
        return [TensorType(x.type.dtype, shape, pattern)]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        kept = [axis for axis in self.order if axis is not None]
        dropped = tuple(axis for axis in range(x.ndim) if axis not in kept)
        permuted = x.transpose(*kept, *dropped).reshape([x.shape[axis] for axis in kept])
        return [permuted[tuple(np.newaxis if axis is None else slice(None) for axis in self.order)]]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x,) = inputs
        inverse = [self.order.index(axis) if axis in self.order else None for axis in range(x.type.ndim)]
        return [dimshuffle(cotangents[0], inverse)]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Shuffle the tangent likewise."""
        return [None if tangents[0] is None else self(tangents[0])]

    def lower(self, apply: Apply) -> View:
        return View(Permute(self.order))


def dimshuffle(x: Any, *pattern: Any) -> Any:
    """Return `x` with its axes in another order.

    Parameters
    ----------
    x : tensor
        Any shape.
    *pattern : int or 'x'
        For each axis of the result the axis of `x`, or ``'x'`` for a new axis of size 1, which stretches. Axes that
        are left out must be known to have size 1. A single list is accepted too.

    Returns
    -------
    tensor
        A view in compiled code.

    Raises
    ------
    ShapeError
        If an axis doesn't exist, or one that isn't known to be 1 is dropped.
    """
    x = as_operand(x)
    if len(pattern) == 1 and isinstance(pattern[0], list | tuple):
        pattern = tuple(pattern[0])
    order = tuple([None if a in ("x", None) else _axis(a, x.type.ndim, "dimshuffle") for a in pattern])
    axes = [axis for axis in order if axis is not None]
    if len(set(axes)) != len(axes):
        raise ShapeError(f"dimshuffle names an axis twice: {pattern}")
    if order == tuple(range(x.type.ndim)):
        return x
    return DimShuffle(order)(x)


def transpose(x: Any, *axes: Any) -> Any:
    """Return `x` with its axes permuted; reversed if no axes are given, as in `numpy.transpose`."""
    x = as_operand(x)
    if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], list | tuple)):
        axes = () if axes[0] is None else tuple(axes[0])
    order = tuple(axes) or tuple(reversed(range(x.type.ndim)))
    if sorted(_axis(axis, x.type.ndim, "transpose") for axis in order) != list(range(x.type.ndim)):
        raise ShapeError(f"transpose needs each of the {x.type.ndim} axes once, got {order}")
    return dimshuffle(x, *order)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Return `x` with two axes exchanged."""
    x = as_operand(x)
    order = list(range(x.type.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return dimshuffle(x, *order)


def moveaxis(x: Any, source: int, destination: int) -> Any:
    """Return `x` with one axis moved to another place."""
    x = as_operand(x)
    order = list(range(x.type.ndim))
    axis = order.pop(_axis(source, x.type.ndim, "moveaxis"))
    order.insert(_axis(destination, x.type.ndim, "moveaxis"), axis)
    return dimshuffle(x, *order)


def shape_padleft(x: Any, n_ones: int = 1) -> Any:
    """Return `x` with `n_ones` new axes of size 1 in front."""
    x = as_operand(x)
    return dimshuffle(x, *["x"] * n_ones, *range(x.type.ndim))


def shape_padright(x: Any, n_ones: int = 1) -> Any:
    """Return `x` with `n_ones` new axes of size 1 at the end."""
    x = as_operand(x)
    return dimshuffle(x, *range(x.type.ndim), *["x"] * n_ones)


def shape_padaxis(x: Any, axis: int) -> Any:
    """Return `x` with a new axis of size 1 that becomes axis `axis` of the result."""
    x = as_operand(x)
    order: list[Any] = list(range(x.type.ndim))
    order.insert(_axis(axis, x.type.ndim + 1, "shape_padaxis"), "x")
    return dimshuffle(x, *order)


def expand_dims(x: Any, axis: int) -> Any:
    """Return `x` with a new axis of size 1, as `numpy.expand_dims`."""
    return shape_padaxis(x, axis)


def squeeze(x: Any, axis: int | Sequence[int] | None = None) -> Any:
    """Return `x` without the axes that the graph knows to have size 1 (or without `axis`)."""
    x = as_operand(x)
    if axis is None:
        dropped = {number for number, ones in enumerate(x.type.broadcastable) if ones}
    else:
        axes = [axis] if isinstance(axis, int) else axis
        dropped = {_axis(number, x.type.ndim, "squeeze") for number in axes}
    return dimshuffle(x, *[number for number in range(x.type.ndim) if number not in dropped])


def _axis(axis: Any, ndim: int, where: str) -> int:
    number = int(axis)
    if not -ndim <= number < ndim:
        raise ShapeError(f"{where} got axis {number} for a tensor of {ndim} axes")
    return number % ndim


__all__ = [
    "dimshuffle", "expand_dims", "moveaxis", "shape_padaxis", "shape_padleft", "shape_padright", "squeeze", "swapaxes",
    "transpose",
]  # fmt: skip
