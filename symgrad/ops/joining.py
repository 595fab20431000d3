"""Tensors joined, and split again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, RankError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, apply_op, register, user_error
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply, Variable
from symgrad.kernels.grammar import Kernel, Library
from symgrad.ops.axes import atleast_1d, atleast_2d, atleast_3d, checked_axis, shape_padaxis
from symgrad.ops.casting import cast, cast_operands
from symgrad.ops.creation import zeros_like
from symgrad.ops.promotion import as_operand, as_operands, is_discrete, listed, upcast, whole_number
from symgrad.ops.sampling import number, spread
from symgrad.ops.sizes import MakeVector, size_of, specify_shape


@register
@dataclass(frozen=True)
class Concatenate(Op):
    """Tensors joined along an axis."""

    axis: int

    @property
    def name(self) -> str:
        return f"concatenate{{{self.axis}}}"

    def infer(self, *parts: Any) -> list[TensorType]:
        types = [part.type for part in parts]
        if len({kind.ndim for kind in types}) > 1:
            counts = " and ".join(str(kind.ndim) for kind in types)
            raise InferenceError(RankError, f"concatenate needs equal numbers of axes, got {counts}")
        shape: list[int | None] = []
        for axis in range(types[0].ndim):
            sizes: list[Any] = [kind.shape[axis] for kind in types]
            if axis == self.axis:
                shape.append(None if None in sizes else sum(sizes))
                continue
            known = sorted({size for size in sizes if size is not None})
            if len(known) > 1:
                raise InferenceError(
                    ShapeError, f"concatenate along axis {self.axis} needs equal sizes on axis {axis}, got {known}"
                )
            shape.append(known[0] if known else None)
        return [TensorType(upcast(*[kind.dtype for kind in types]), shape)]

    def evaluate(self, *parts: np.ndarray) -> list[np.ndarray]:
        return [np.concatenate(parts, axis=self.axis)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Each part gets its piece of the cotangent."""
        results: list[Any] = []
        start: Any = 0
        for part in inputs:
            stop = start + size_of(part, self.axis)
            if is_discrete(part.type.dtype):
                results.append(Disconnected(f"{part} is {part.type.dtype}"))
            else:
                piece = cotangents[0][(slice(None),) * self.axis + (slice(start, stop),)]
                results.append(cast(specify_shape(piece, part.type.shape), part.type.dtype))
            start = stop
        return results

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Join the tangents likewise."""
        dtype = outputs[0].type.dtype
        parts = [
            zeros_like(part, dtype) if tangent is None else cast(tangent, dtype)
            for part, tangent in zip(inputs, tangents, strict=True)
        ]
        return [self(*parts)]

    def lower(self, apply: Apply) -> Kernel:
        return Library("concatenate", (("axis", self.axis),))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(0), Sample((spread(2, 3), spread(1, 3, start=6)))
        yield cls(1), Sample((spread(2, 1), spread(2, 0), spread(2, 2, start=2)))
        yield cls(0), Sample((spread(2, dtype="int8"),))
        yield cls(0), Sample((spread(0, dtype="float32"), spread(2, dtype="float32")))
        yield cls(0), Sample((spread(1, 0), spread(2, 0)))
        yield cls(0), Sample((spread(0),))
        yield cls(0), Sample((spread(2, 3), spread(2, 2)), ShapeError)
        yield cls(0), Sample((spread(2, 3), spread(3)), ShapeError)


def concatenate(tensors: Any, axis: int = 0) -> Any:
    """Join tensors along an axis that they have; all other sizes must be equal.

    Parameters
    ----------
    tensors : list of tensors
        All with the same number of axes. Their dtypes meet in the common one.
    axis : int
        Along which axis; negative ones count from the last.

    Notes
    -----
    Keeps the behaviour of Theano's ``concatenate``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.ivector('x')
    >>> print(T.concatenate([x, [7, 8]]).eval({x: [1]}))
    [1 7 8]
    """
    if isinstance(tensors, Variable):
        raise user_error(TypeError, f"concatenate takes a list of tensors, got {tensors.type}", [tensors])
    parts = _common(listed(tensors, "concatenate", "tensors"), "concatenate")
    if parts[0].type.ndim == 0:
        raise user_error(RankError, "concatenate joins along an axis, and scalars have none", parts, "Use T.stack.")
    return Concatenate(checked_axis(axis, parts[0], "concatenate"))(*parts)


def join(axis: int, *tensors_list: Any) -> Any:
    """Join tensors along an axis that they have: `concatenate` in Theano's order of arguments.

    A single tensor stays as it is.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.join(0, [1, 2], [3]).eval())
    [1 2 3]
    """
    if len(tensors_list) == 1 and not isinstance(tensors_list[0], list | tuple):
        return as_operand(tensors_list[0])
    if isinstance(axis, Variable) and axis.known is not None and axis.known.ndim == 0:  # as `T.constant(0)`
        axis = axis.known.tolist()
    return concatenate(tensors_list[0] if len(tensors_list) == 1 else tensors_list, axis)


def stack(*tensors: Any, axis: int = 0) -> Any:
    """Join tensors along a new axis: ``stack([a, b], axis=0)``, or ``stack(a, b)``.

    Parameters
    ----------
    *tensors : tensors, or one list of them
        All with the same number of axes and the same sizes. Their dtypes meet in the common one.
    axis : int
        Which axis of the result counts the tensors. Behind a list it may be given by position.

    Notes
    -----
    Keeps the behaviour of Theano's ``stack``, with both of its forms.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.ivector('x')
    >>> print(T.stack([x, x + 1], axis=1).eval({x: [1, 5]}))
    [[1 2]
     [5 6]]
    """
    parts = list(tensors)
    if parts and isinstance(parts[0], list | tuple):
        axis = parts[1] if len(parts) == 2 and isinstance(parts[1], int) else axis
        parts = list(parts[0])
    parts = _common(parts, "stack")
    if all(part.type.ndim == 0 for part in parts):
        checked_axis(axis, parts[0], "stack", 1)
        return MakeVector(parts[0].type.dtype)(*parts)
    return concatenate([shape_padaxis(part, axis) for part in parts], axis)


def stacklists(arg: Any) -> Any:
    """Return nested lists of tensors as one tensor: each level of lists becomes an axis, in front.

    Notes
    -----
    Keeps the behaviour of Theano's ``stacklists``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> a, b = T.iscalars('a', 'b')
    >>> print(T.stacklists([[a, b], [b, a]]).eval({a: 1, b: 2}))
    [[1 2]
     [2 1]]
    """
    return stack([stacklists(row) for row in arg]) if isinstance(arg, list | tuple) else as_operand(arg)


def _common(parts: list[Any], where: str) -> list[Any]:
    if not parts:
        raise user_error(ShapeError, f"{where} needs at least one tensor")
    parts = as_operands(*parts)
    dtype = upcast(*[part.type.dtype for part in parts])
    return cast_operands(parts, [dtype] * len(parts))


def horizontal_stack(*args: Any) -> Any:
    """Join matrices side by side.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.horizontal_stack([[1], [2]], [[3], [4]]).eval())
    [[1 3]
     [2 4]]
    """
    return concatenate(args, axis=1)


def vertical_stack(*args: Any) -> Any:
    """Join matrices one above the other.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.vertical_stack([[1, 2]], [[3, 4]]).eval())
    [[1 2]
     [3 4]]
    """
    return concatenate(args, axis=0)


def hstack(tensors: Any) -> Any:
    """Join tensors along the second axis, vectors along their only one, as `numpy.hstack`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.hstack([[1, 2], [3]]).eval())
    [1 2 3]
    """
    parts = [atleast_1d(tensor) for tensor in listed(tensors, "hstack", "tensors")]
    return concatenate(parts, axis=0 if parts and parts[0].type.ndim == 1 else 1)


def vstack(tensors: Any) -> Any:
    """Join tensors along the first axis, vectors as rows, as `numpy.vstack`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.vstack([[1, 2], [3, 4]]).eval())
    [[1 2]
     [3 4]]
    """
    return concatenate([atleast_2d(tensor) for tensor in listed(tensors, "vstack", "tensors")], axis=0)


def dstack(tensors: Any) -> Any:
    """Join tensors along the third axis, as `numpy.dstack`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.dstack([[1, 2], [3, 4]]).eval())
    [[[1 3]
      [2 4]]]
    """
    return concatenate([atleast_3d(tensor) for tensor in listed(tensors, "dstack", "tensors")], axis=2)


def column_stack(tensors: Any) -> Any:
    """Join vectors as columns, and matrices side by side, as `numpy.column_stack`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.column_stack([[1, 2], [3, 4]]).eval())
    [[1 3]
     [2 4]]
    """
    parts = [as_operand(tensor) for tensor in listed(tensors, "column_stack", "tensors")]
    return concatenate([shape_padaxis(part, 1) if part.type.ndim == 1 else part for part in parts], axis=1)


# ---- the way back ---------------------------------------------------------------------------------------------------


@register
@dataclass(frozen=True)
class Split(Op):
    """A tensor cut along an axis into parts of sizes that only the call knows: the elements of a vector."""

    axis: int
    count: int

    @property
    def name(self) -> str:
        return f"split{{{self.axis}}}"

    def infer(self, x: Any, sizes: Any) -> list[TensorType]:
        if sizes.type.ndim != 1 or not is_discrete(sizes.type.dtype):
            raise InferenceError(DTypeError, f"split needs a vector of integers as sizes, got {sizes.type}")
        if sizes.type.shape[0] not in (None, self.count):
            raise InferenceError(ShapeError, f"split got {sizes.type.shape[0]} sizes for {self.count} parts")
        parts: list[int | None] = [None] * self.count
        if sizes.known is not None:
            parts = [int(size) for size in sizes.known]
            _check_split(parts, x.type.shape[self.axis])
        before, after = x.type.shape[: self.axis], x.type.shape[self.axis + 1 :]
        return [TensorType(x.type.dtype, (*before, size, *after)) for size in parts]

    def evaluate(self, x: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
        if len(sizes) != self.count:
            raise ShapeError(f"split got {len(sizes)} sizes for {self.count} parts")
        _check_split([int(size) for size in sizes], x.shape[self.axis])
        return [part.copy() for part in np.split(x, np.cumsum(sizes)[:-1], axis=self.axis)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Join the cotangents of the parts again."""
        x, _ = inputs
        if is_discrete(x.type.dtype):
            return [Disconnected(f"{x} is {x.type.dtype}")] * 2
        parts = [zeros_like(o) if c is None else c for o, c in zip(outputs, cotangents, strict=True)]
        return [specify_shape(Concatenate(self.axis)(*parts), x.type.shape), Disconnected("they are sizes")]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Split the tangent likewise."""
        if tangents[0] is None:
            return [None] * self.count
        return list(apply_op(self, [tangents[0], inputs[1]]).outputs)

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(0, 3), Sample((spread(6), np.array([1, 3, 2])))
        yield cls(1, 2), Sample((spread(2, 3, 1), np.array([0, 3], "int8")))
        yield cls(1, 2), Sample((spread(2, 0, dtype="float32"), np.array([0, 0])))
        yield cls(0, 1), Sample((spread(3, dtype="int16"), np.array([3])))
        yield cls(0, 2), Sample((spread(6), np.array([1, 3])), ShapeError)
        yield cls(0, 2), Sample((spread(6), np.array([-1, 7])), ShapeError)
        yield cls(0, 2), Sample((spread(6), np.array([1, 2, 3])), ShapeError)
        yield cls(0, 2), Sample((spread(6), number(3)), DTypeError)
        yield cls(0, 2), Sample((spread(6), np.array([3.0, 3.0])), DTypeError)


def _check_split(sizes: Sequence[int | None], size: int | None) -> None:
    """Raise unless known sizes of parts are sizes and fill an axis."""
    known = [part for part in sizes if part is not None]
    if any(part < 0 for part in known):
        raise InferenceError(ShapeError, f"split can't make a negative size, got {known}")
    if len(known) == len(sizes) and size is not None and sum(known) != size:
        raise InferenceError(ShapeError, f"split: the sizes {known} sum to {sum(known)}, expected {size}")


def split(x: Any, splits_size: Any, n_splits: int | None = None, axis: int = 0) -> Any:
    """Cut a tensor into parts along an axis.

    Parameters
    ----------
    x : tensor
        With at least one axis.
    splits_size : list of int and integer scalars, or integer vector
        The size of each part; together the size of the axis. An int alone says how many equal parts to make.
    n_splits : int, optional
        How many parts there are: needed for a vector of unknown length.
    axis : int
        Along which axis.

    Returns
    -------
    list of tensors
        The parts; if there is one, that tensor itself.

    Raises
    ------
    ShapeError
        If the sizes don't fill the axis, as far as they are known; else when the compiled function is called.

    Notes
    -----
    Keeps the behaviour of Theano's ``split``.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x = T.dvector('x')
    >>> first, second = T.split(x, [1, 2], 2)
    >>> print(second.eval({x: [1., 2., 3.]}))
    [2. 3.]
    """
    x = as_operand(x)
    axis = checked_axis(axis, x, "split")
    if n_splits is None and isinstance(splits_size, int | np.integer):
        splits_size = [size_of(x, axis) // int(splits_size)] * int(splits_size)
    if isinstance(splits_size, list | tuple) and not splits_size:  # what has no elements has no dtype
        raise user_error(ShapeError, "split needs at least one part", [x])
    sizes = as_operand(splits_size)
    count = sizes.type.shape[0] if n_splits is None and sizes.type.ndim == 1 else n_splits
    if sizes.type.ndim != 1:
        raise user_error(ShapeError, f"split needs a vector of sizes, got {sizes.type}", [x, sizes])
    if count is None:
        raise user_error(
            ShapeError, f"split needs to know how many parts there are, got {sizes.type}", [x, sizes], "Pass n_splits."
        )
    count = whole_number(count, "split", "n_splits")
    if count < 1:
        raise user_error(ShapeError, "split needs at least one part", [x])
    parts: Any = apply_op(Split(axis, count), [x, sizes]).outputs
    if sizes.known is not None:
        parts = _pieces(x, [int(size) for size in sizes.known], axis)
    return list(parts) if len(parts) > 1 else parts[0]


def _pieces(x: Any, sizes: Sequence[int], axis: int) -> list[Any]:
    """Return slices of known sizes that follow each other; that they fill the axis is checked at run time."""
    whole = specify_shape(x, [sum(sizes) if number == axis else None for number in range(x.type.ndim)])
    ends = np.cumsum([0, *sizes]).tolist()
    along = (slice(None),) * axis
    return [whole[(*along, slice(start, stop))] for start, stop in pairwise(ends)]


__all__ = [
    "column_stack", "concatenate", "dstack", "horizontal_stack", "hstack", "join", "split", "stack", "stacklists",
    "vertical_stack", "vstack",
]  # fmt: skip
