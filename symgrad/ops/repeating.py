"""Elements once more: tiles, repeats, rotations, paddings, reversed axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, register, user_error
from symgrad.graph.types import TensorType
from symgrad.ops.axes import checked_axes, checked_axis, dimshuffle, shape_padleft, swapaxes
from symgrad.ops.elementwise import maximum
from symgrad.ops.indexing import get_item
from symgrad.ops.joining import concatenate
from symgrad.ops.promotion import as_operand, is_discrete, listed, scalar_constant, whole_number
from symgrad.ops.sampling import number, spread
from symgrad.ops.shape import alloc, elements_of, flatten, reshape
from symgrad.ops.sizes import known_size, size_of, specify_shape

EVERYTHING = slice(None)


def integer_scalar(value: Any, where: str) -> Any:
    """Return an int, or an integer scalar that only a call knows; raise for anything else."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    variable = as_operand(value)
    if variable.type.ndim or not is_discrete(variable.type.dtype):
        raise user_error(DTypeError, f"{where} needs integer scalars, got {variable.type}", [variable])
    return int(variable.known) if variable.known is not None else variable


def tile(x: Any, reps: Any, ndim: int | None = None) -> Any:
    """Return a tensor put side by side with itself, as `numpy.tile`.

    Parameters
    ----------
    x : tensor
        What to repeat as a whole.
    reps : int, integer scalar, list of them, or integer vector (`ndim` is needed if its length isn't known)
        How often along each axis, counted from the last; missing ones are 1, more than there are make new axes in
        front.
    ndim : int, optional
        Number of axes of the result, at least those of `x` and `reps`.

    Notes
    -----
    Keeps the behaviour of Theano's ``tile``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.tile(T.constant([1, 2]), (2, 2)).eval())
    [[1 2 1 2]
     [1 2 1 2]]
    """
    x = as_operand(x)
    if not isinstance(reps, list | tuple):
        reps = _counts(as_operand(reps), ndim)
    counts = [integer_scalar(count, "tile") for count in reps]
    wanted = max(x.type.ndim, len(counts))
    ndim = None if ndim is None else whole_number(ndim, "tile", "ndim")
    if ndim is not None and ndim < wanted:
        raise user_error(ShapeError, f"tile can't make {ndim} axes of {x.type} and {len(counts)} repetitions", [x])
    wanted = wanted if ndim is None else ndim
    counts = [1] * (wanted - len(counts)) + counts
    x = shape_padleft(x, wanted - x.type.ndim)
    return _repeated(x, [(count, axis, axis) for axis, count in enumerate(counts)])


def _counts(reps: Any, ndim: int | None) -> list[Any]:
    """Return the elements of a vector; of one of unknown length `ndim` of them, those that are missing in front 1."""
    if ndim is None or reps.type.shape != (None,):
        return elements_of(reps, "tile")
    ones = alloc(scalar_constant(1, reps.type.dtype), ndim - size_of(reps, 0))
    return elements_of(specify_shape(concatenate([ones, reps]), (ndim,)), "tile")


def _repeated(x: Any, repeats: Sequence[tuple[Any, int, int]]) -> Any:
    """Repeat axes: each a count, the axis, and the place of the new axis along which it is stretched.

    A new axis before the old one repeats it as a whole, one behind it each element.
    """
    sizes = [known_size(x, axis) for axis in range(x.type.ndim)]
    order: list[Any] = list(range(x.type.ndim))
    stretched, joined = list(sizes), list(sizes)
    for count, axis, place in reversed(repeats):
        if isinstance(count, int) and count < 0:
            raise user_error(ShapeError, f"an axis can't be repeated {count} times", [x])
        if not isinstance(count, int) or count != 1:
            order.insert(place, "x")
            stretched.insert(place, count)
            joined[axis] = sizes[axis] * count
    return x if len(order) == x.type.ndim else reshape(alloc(dimshuffle(x, *order), stretched), joined)


@register
@dataclass(frozen=True)
class RepeatedPositions(Op):
    """Positions of which each stands as often as its count says: ``[0] * counts[0] + [1] * counts[1] + ...``."""

    @property
    def name(self) -> str:
        return "repeated_positions"

    def infer(self, counts: Any, size: Any) -> list[TensorType]:
        if counts.type.ndim != 1 or size.type.ndim or not is_discrete(counts.type.dtype):
            raise InferenceError(DTypeError, f"repeat needs integers as counts, got {counts.type}")
        _check_counts(counts.type.shape[0], None if size.known is None else int(size.known), counts.known)
        return [TensorType("int64", (None if counts.known is None else int(counts.known.sum()),), (False,))]

    def evaluate(self, counts: np.ndarray, size: np.ndarray) -> list[np.ndarray]:
        _check_counts(len(counts), int(size), counts)
        return [np.repeat(np.arange(len(counts)), counts)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [Disconnected("it is a count")] * 2

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(), Sample((np.array([2, 0, 1]), number(3)))
        yield cls(), Sample((np.array([], "int32"), number(0)))
        yield cls(), Sample((np.array([True, False]), number(2)))
        yield cls(), Sample((np.array([2, 1]), number(3)), ShapeError)
        yield cls(), Sample((np.array([2, -1]), number(2)), ShapeError)
        yield cls(), Sample((spread(2), number(2)), DTypeError)


def _check_counts(length: int | None, size: int | None, counts: Any) -> None:
    if None not in (length, size) and length != size:
        raise InferenceError(ShapeError, f"repeat needs one count for each of {size} elements, got {length}")
    if counts is not None and (counts < 0).any():
        raise InferenceError(ShapeError, f"repeat needs counts of 0 or more, got {counts.min()}")


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Return a tensor in which each element along an axis stands several times.

    Parameters
    ----------
    x : tensor
        Where the elements come from.
    repeats : int, integer scalar, or integer vector
        How often: each one the same, or a count for each position along the axis.
    axis : int, optional
        Along which axis; None repeats the elements of the flattened tensor.

    Raises
    ------
    ShapeError
        If there are more or fewer counts than positions, or a negative one.

    Notes
    -----
    Keeps the behaviour of Theano's ``repeat``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.ivector('x')
    >>> print(T.repeat(x, 2).eval({x: [7, 8]}), T.repeat(x, [2, 1]).eval({x: [7, 8]}))
    [7 7 8 8] [7 7 8]
    """
    x = as_operand(x)
    if axis is None:
        x, axis = flatten(x), 0
    axis = checked_axis(axis, x, "repeat")
    counts = as_operand(repeats)
    if not is_discrete(counts.type.dtype) or counts.type.ndim > 1:
        raise user_error(DTypeError, f"repeat needs an integer scalar or vector, got {counts.type}", [x, counts])
    if counts.type.ndim == 0 or counts.type.broadcastable == (True,):
        count = counts if counts.type.ndim == 0 else counts[0]
        return _repeated(x, [(integer_scalar(count, "repeat"), axis, axis + 1)])
    return get_item(x, (*[EVERYTHING] * axis, RepeatedPositions()(counts, size_of(x, axis))))


def roll(x: Any, shift: Any, axis: Any = None) -> Any:
    """Return a tensor whose elements moved on along an axis; those that leave at the end come in at the start.

    Parameters
    ----------
    x : tensor
        What to roll.
    shift : int or integer scalar, or list of them
        By how many places; negative ones roll backward.
    axis : int or list of int, optional
        Along which axis, one for each shift; None rolls the flattened tensor and gives it back its shape.

    Notes
    -----
    Keeps the behaviour of Theano's ``roll``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.ivector('x')
    >>> print(T.roll(x, 1).eval({x: [1, 2, 3]}))
    [3 1 2]
    """
    x = as_operand(x)
    if axis is None:
        sizes = [known_size(x, number) for number in range(x.type.ndim)]
        return reshape(roll(flatten(x), shift, 0), sizes)
    axes = list(axis) if isinstance(axis, list | tuple) else [axis]
    shifts = list(shift) if isinstance(shift, list | tuple) else [shift] * len(axes)
    axes = axes * len(shifts) if len(axes) == 1 else axes
    if len(shifts) != len(axes):
        raise user_error(ShapeError, f"roll got {len(shifts)} shifts for {len(axes)} axes", [x])
    for each, number_of_axis in zip(shifts, axes, strict=True):
        x = _rolled(x, integer_scalar(each, "roll"), checked_axis(number_of_axis, x, "roll"))
    return x


def _rolled(x: Any, shift: Any, axis: int) -> Any:
    size = known_size(x, axis)
    if isinstance(size, int) and (size == 0 or (isinstance(shift, int) and shift % size == 0)):
        return x
    cut = size - shift % (size if isinstance(size, int) else maximum(size, 1))
    along = (EVERYTHING,) * axis
    rolled = concatenate([x[(*along, slice(cut, None))], x[(*along, slice(None, cut))]], axis)
    return specify_shape(rolled, x.type.shape)


def flip(x: Any, axis: Any = None) -> Any:
    """Return a tensor with axes reversed (all, unless given), as `numpy.flip`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.flip([1, 2, 3]).eval())
    [3 2 1]
    """
    x = as_operand(x)
    reversed_axes = checked_axes(axis, x, "flip")
    return x[tuple([slice(None, None, -1) if n in reversed_axes else EVERYTHING for n in range(x.type.ndim)])]


def flipud(x: Any) -> Any:
    """Return a tensor with its first axis reversed, as `numpy.flipud`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.flipud([[1, 2], [3, 4]]).eval())
    [[3 4]
     [1 2]]
    """
    return flip(x, 0)


def fliplr(x: Any) -> Any:
    """Return a tensor with its second axis reversed, as `numpy.fliplr`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.fliplr([[1, 2], [3, 4]]).eval())
    [[2 1]
     [4 3]]
    """
    return flip(x, 1)


def rot90(x: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> Any:
    """Return a tensor turned by `k` times 90 degrees in the plane of two axes, as `numpy.rot90`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.rot90([[1, 2], [3, 4]]).eval())
    [[2 4]
     [1 3]]
    """
    x = as_operand(x)
    plane = [checked_axis(axis, x, "rot90") for axis in listed(axes, "rot90", "axes")]
    first, second = plane if len(plane) == 2 else (0, 0)
    if first == second:
        raise user_error(ShapeError, f"rot90 needs two different axes, got {tuple(axes)}", [x])
    k = whole_number(k, "rot90", "k")
    if k % 2 == 0:
        return flip(x, (first, second)) if k % 4 else x
    return swapaxes(flip(x, second), first, second) if k % 4 == 1 else flip(swapaxes(x, first, second), second)


__all__ = ["flip", "fliplr", "flipud", "repeat", "roll", "rot90", "tile"]
