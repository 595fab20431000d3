"""Axes in another order, new axes, axes taken away: views of the same elements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import AxisError, ShapeError
from symgrad.graph.op import InferenceError, Op, Sample, register, user_error
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply, Constant
from symgrad.kernels.grammar import Permute, View
from symgrad.ops.promotion import as_operand, whole_number
from symgrad.ops.sampling import spread


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
        return [np.asarray(permuted[tuple(np.newaxis if axis is None else slice(None) for axis in self.order)])]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x,) = inputs
        inverse = [self.order.index(axis) if axis in self.order else None for axis in range(x.type.ndim)]
        return [dimshuffle(cotangents[0], inverse)]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Shuffle the tangent likewise."""
        return [None if tangents[0] is None else self(tangents[0])]

    def lower(self, apply: Apply) -> View:
        return View(Permute(self.order))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls((1, 0)), Sample((spread(2, 3),))
        yield cls((2, None, 0, 1, None)), Sample((spread(2, 0, 3),))
        yield cls((1,)), Sample((spread(1, 3),))
        yield cls(()), Sample((spread(1, 1, dtype="int32"),))
        yield cls((None, None)), Sample((spread(),))
        yield cls((0,)), Sample((spread(2, 3),), ShapeError)
        yield cls((0, 1, 2)), Sample((spread(2, 3),), ShapeError)


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

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> T.dimshuffle(T.matrix(), 1, 'x', 0).broadcastable
    (False, True, False)
    """
    x = as_operand(x)
    if len(pattern) == 1 and isinstance(pattern[0], list | tuple):
        pattern = tuple(pattern[0])
    order = tuple([None if a is None or a == "x" else checked_axis(a, x, "dimshuffle") for a in pattern])
    axes = [axis for axis in order if axis is not None]
    if len(set(axes)) != len(axes):
        raise user_error(ShapeError, f"dimshuffle names an axis twice: {pattern}", [x])
    if order == tuple(range(x.type.ndim)):
        return x
    return DimShuffle(order)(x)


def transpose(x: Any, *axes: Any) -> Any:
    """Return `x` with its axes permuted; reversed if no axes are given, as in `numpy.transpose`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.transpose([[1, 2], [3, 4]]).eval())
    [[1 3]
     [2 4]]
    """
    x = as_operand(x)
    if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], list | tuple)):
        axes = () if axes[0] is None else tuple(axes[0])
    order = tuple(axes) or tuple(reversed(range(x.type.ndim)))
    if sorted([checked_axis(axis, x, "transpose") for axis in order]) != list(range(x.type.ndim)):
        raise user_error(ShapeError, f"transpose needs each of the {x.type.ndim} axes once, got {order}", [x])
    return dimshuffle(x, *order)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Return `x` with two axes exchanged.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.swapaxes([[1, 2], [3, 4]], 0, 1).eval())
    [[1 3]
     [2 4]]
    """
    x = as_operand(x)
    first, second = [checked_axis(axis, x, "swapaxes") for axis in (axis1, axis2)]
    order = list(range(x.type.ndim))
    order[first], order[second] = second, first
    return dimshuffle(x, *order)


def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """Return `x` with axes moved to other places, as `numpy.moveaxis`; the others stay in order.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> T.moveaxis(T.tensor('float64', (2, 3, 4)), 0, -1).type.shape
    (3, 4, 2)
    """
    x = as_operand(x)
    sources, destinations = [
        [checked_axis(axis, x, "moveaxis") for axis in (axes if isinstance(axes, list | tuple) else [axes])]
        for axes in (source, destination)
    ]
    if len(set(sources)) != len(destinations) or len(set(destinations)) != len(sources):
        raise user_error(ShapeError, f"moveaxis needs different axes, one place each: {source} to {destination}", [x])
    order = [axis for axis in range(x.type.ndim) if axis not in sources]
    for place, axis in sorted(zip(destinations, sources, strict=True)):
        order.insert(place, axis)
    return dimshuffle(x, *order)


def shape_padleft(x: Any, n_ones: int = 1) -> Any:
    """Return `x` with `n_ones` new axes of size 1 in front.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.shape_padleft([1, 2]).eval())
    [[1 2]]
    """
    x = as_operand(x)
    return dimshuffle(x, *_new_axes(n_ones, "shape_padleft"), *range(x.type.ndim))


def shape_padright(x: Any, n_ones: int = 1) -> Any:
    """Return `x` with `n_ones` new axes of size 1 at the end.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.shape_padright([1, 2]).eval())
    [[1]
     [2]]
    """
    x = as_operand(x)
    return dimshuffle(x, *range(x.type.ndim), *_new_axes(n_ones, "shape_padright"))


def _new_axes(count: Any, where: str) -> list[str]:
    return ["x"] * whole_number(count, where, "n_ones")


def shape_padaxis(x: Any, axis: int) -> Any:
    """Return `x` with a new axis of size 1 that becomes axis `axis` of the result.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.shape_padaxis([1, 2], 1).eval())
    [[1]
     [2]]
    """
    x = as_operand(x)
    order: list[Any] = list(range(x.type.ndim))
    order.insert(checked_axis(axis, x, "shape_padaxis", x.type.ndim + 1), "x")
    return dimshuffle(x, *order)


def expand_dims(x: Any, axis: int | Sequence[int]) -> Any:
    """Return `x` with new axes of size 1, at places of the result, as `numpy.expand_dims`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.expand_dims([1, 2], 1).eval())
    [[1]
     [2]]
    """
    x = as_operand(x)
    axes = list(axis) if isinstance(axis, list | tuple) else [axis]
    ndim = x.type.ndim + len(axes)
    places = {checked_axis(number, x, "expand_dims", ndim) for number in axes}
    if len(places) != len(axes):
        raise user_error(ShapeError, f"expand_dims got an axis twice: {axis}", [x])
    rest = iter(range(x.type.ndim))
    return dimshuffle(x, *["x" if number in places else next(rest) for number in range(ndim)])


def squeeze(x: Any, axis: int | Sequence[int] | None = None) -> Any:
    """Return `x` without the axes that the graph knows to have size 1 (or without `axis`).

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.squeeze([[[1, 2]]]).eval())
    [1 2]
    """
    x = as_operand(x)
    if axis is None:
        dropped = [number for number, ones in enumerate(x.type.broadcastable) if ones]
    else:
        dropped = list(checked_axes(axis, x, "squeeze"))
    return dimshuffle(x, *[number for number in range(x.type.ndim) if number not in dropped])


def rollaxis(x: Any, axis: int, start: int = 0) -> Any:
    """Return `x` with an axis moved to before axis `start`, as `numpy.rollaxis`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> T.rollaxis(T.tensor('float64', (2, 3, 4)), 2).type.shape
    (4, 2, 3)
    """
    x = as_operand(x)
    axis = checked_axis(axis, x, "rollaxis")
    place = start if start == x.type.ndim else checked_axis(start, x, "rollaxis")
    order = [number for number in range(x.type.ndim) if number != axis]
    order.insert(place - (axis < place), axis)
    return dimshuffle(x, *order)


def atleast_1d(x: Any) -> Any:
    """Return `x`, a scalar as a vector of one element, as `numpy.atleast_1d`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> T.atleast_1d(T.scalar()).ndim
    1
    """
    x = as_operand(x)
    return shape_padleft(x) if x.type.ndim == 0 else x


def atleast_2d(x: Any) -> Any:
    """Return `x`, a vector as a row, as `numpy.atleast_2d`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.atleast_2d([1, 2]).eval())
    [[1 2]]
    """
    x = as_operand(x)
    return shape_padleft(x, 2 - x.type.ndim) if x.type.ndim < 2 else x


def atleast_3d(x: Any) -> Any:
    """Return `x` with at least three axes: vectors become ``(1, n, 1)``, matrices ``(m, n, 1)``, as in NumPy.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.atleast_3d([1, 2]).shape.eval())
    [1 2 1]
    """
    x = atleast_2d(x)
    return shape_padright(x) if x.type.ndim < 3 else x


def check_axis(name: str, axis: int, x: Any) -> None:
    """Raise, inside of `infer`, unless `x` has an axis of this number, which counts from the first."""
    if axis >= x.type.ndim:
        raise InferenceError(ShapeError, f"{name} got axis {axis} of {x.type}")


def checked_axis(axis: Any, x: Any, where: str, ndim: int | None = None) -> int:
    """Return an axis of `x`, counted from the first; `ndim` is the number of axes if not that of `x`."""
    count = x.type.ndim if ndim is None else ndim
    axis = _number(axis)
    if not isinstance(axis, int | np.integer) or isinstance(axis, bool):
        raise user_error(TypeError, f"{where} needs integers as axes, got {type(axis).__name__} {axis!r:.60}", [x])
    if not -count <= axis < count:
        raise user_error(AxisError, f"{where} got axis {int(axis)} for a tensor of {count} axes", [x])
    return int(axis) % count


def _number(axis: Any) -> Any:
    """Return what a constant or an array says, as numbers."""
    value = axis.data if isinstance(axis, Constant) else axis
    return value.tolist() if isinstance(value, np.ndarray) else value


def checked_axes(axis: Any, x: Any, where: str) -> tuple[int, ...]:
    """Return axes of `x`, ascending: of an integer, of several, or all for None."""
    axis = _number(axis)
    if axis is None:
        return tuple(range(x.type.ndim))
    axes = list(axis) if isinstance(axis, list | tuple | np.ndarray) else [axis]
    found = sorted([checked_axis(number, x, where) for number in axes])
    if len(set(found)) != len(found):
        raise user_error(ShapeError, f"{where} got an axis twice: {tuple(axes)}", [x])
    return tuple(found)


__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "dimshuffle", "expand_dims", "moveaxis", "rollaxis", "shape_padaxis",
    "shape_padleft", "shape_padright", "squeeze", "swapaxes", "transpose",
]  # fmt: skip
