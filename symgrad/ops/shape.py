"""The same elements in other sizes, and elements stretched to sizes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, register, user_error
from symgrad.graph.types import TensorType, shape_text
from symgrad.graph.variables import Apply, Constant, Variable
from symgrad.kernels.checks import mismatch
from symgrad.kernels.grammar import Broadcast, Reshape, View
from symgrad.ops.casting import cast
from symgrad.ops.promotion import as_operand, is_discrete, listed, whole_number
from symgrad.ops.sampling import number, spread
from symgrad.ops.sizes import MakeVector, Sizes, size_of, sizes_product


@register
@dataclass(frozen=True)
class ReshapeTo(Op):
    """The same elements in other sizes; ``sizes`` holds known sizes, None for one that arrives as an operand."""

    sizes: Sizes

    @property
    def name(self) -> str:
        return "reshape"

    def infer(self, x: Any, *operands: Any) -> list[TensorType]:
        sizes = _fill(self.sizes, operands)
        if sum(size == -1 for size in sizes) > 1:
            raise InferenceError(ShapeError, f"reshape can work out one size, got {shape_text(sizes)}")
        _check_not_negative("reshape", sizes, -1)
        known = [size for size in sizes if size is not None and size != -1]
        total = prod(x.type.shape) if x.type.is_static else None  # type: ignore[arg-type]
        if total is not None and None not in sizes:
            rest = prod(known)
            if (-1 not in sizes and rest != total) or (-1 in sizes and (rest == 0 or total % rest)):
                raise InferenceError(
                    ShapeError, f"reshape can't turn {shape_text(x.type.shape)} into {shape_text(sizes)}"
                )
            sizes = tuple([total // rest if size == -1 else size for size in sizes])
        elif None not in sizes and -1 not in sizes:
            _check_divisible(x.type, sizes)
        return [TensorType(x.type.dtype, [None if size == -1 else size for size in sizes])]

    def known_value(self, x: Any, *operands: Any) -> np.ndarray | None:
        return None if len(self.sizes) > 1 else super().known_value(x, *operands)

    def evaluate(self, x: np.ndarray, *operands: np.ndarray) -> list[np.ndarray]:
        given = iter(operands)
        return [x.reshape([int(next(given)) if size is None else size for size in self.sizes])]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        x, *operands = inputs
        restored = reshape(cotangents[0], [size_of(x, axis) for axis in range(x.type.ndim)])
        return [restored, *[Disconnected("it is a size") for _ in operands]]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Reshape the tangent likewise."""
        return [None if tangents[0] is None else self(tangents[0], *inputs[1:])]

    def lower(self, apply: Apply) -> View:
        return View(Reshape(self.sizes))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls((3, 2)), Sample((spread(2, 3),))
        yield cls((-1,)), Sample((spread(2, 3),))
        yield cls(()), Sample((spread(1, 1),))
        yield cls((None, 1, -1)), Sample((spread(2, 3), number(3)))
        yield cls((None, None)), Sample((spread(4, dtype="int8"), number(2), number(2, "int32")))
        yield cls((2, 0)), Sample((spread(0, 3),))
        yield cls((4, 2)), Sample((spread(2, 3),), ShapeError)
        yield cls((4, -1)), Sample((spread(2, 3),), ShapeError)
        yield cls((-1, -1)), Sample((spread(2, 3),), ShapeError)
        yield cls((-2, 3)), Sample((spread(2, 3),), ShapeError)
        yield cls((None, 2)), Sample((spread(2, 3), number(5)), ShapeError)


def _check_divisible(kind: TensorType, sizes: Sizes) -> None:
    known = prod(size for size in kind.shape if size is not None)
    total = prod(size for size in sizes if size is not None)
    if known and total % known:
        raise InferenceError(ShapeError, f"reshape can't turn {shape_text(kind.shape)} into {shape_text(sizes)}")


def _check_not_negative(name: str, sizes: Sizes, least: int) -> None:
    if any(size is not None and size < least for size in sizes):
        raise InferenceError(ShapeError, f"{name} can't make a negative size, got {shape_text(sizes)}")


def _fill(sizes: Sizes, operands: Sequence[Any]) -> Sizes:
    """Put the operands whose values are known into the places that wait for one."""
    given = iter(operands)
    filled: list[int | None] = []
    for size in sizes:
        if size is None:
            value = next(given).known
            size = None if value is None else int(value)
        filled.append(size)
    return tuple(filled)


def split_sizes(sizes: Any, where: str) -> tuple[Sizes, list[Any]]:
    """Split sizes into what is known now and the scalars that are known later.

    Returns
    -------
    tuple
        Known sizes with None in the gaps, and one integer scalar for each gap.
    """
    if isinstance(sizes, Variable):
        sizes = elements_of(sizes, where)
    elif not isinstance(sizes, list | tuple | np.ndarray):
        sizes = [sizes]
    known: list[int | None] = []
    operands = []
    for size in sizes:
        if isinstance(size, Variable):
            if size.type.ndim != 0 or not is_discrete(size.type.dtype):  # type: ignore[attr-defined]
                raise user_error(DTypeError, f"{where} needs integer scalars as sizes, got {size.type}", [size])
            value = None if size.known is None else int(size.known)
            known.append(value)
            if value is None:
                operands.append(size)
        elif isinstance(size, int | np.integer) or (isinstance(size, np.ndarray) and size.ndim == 0):
            known.append(int(size))
        else:
            raise user_error(DTypeError, f"{where} needs integers as sizes, got {type(size).__name__} {size!r:.60}")
    return tuple(known), operands


def elements_of(vector: Any, where: str) -> list[Any]:
    """Return the scalars that a symbolic vector of known length is made of."""
    if vector.type.ndim == 0:
        return [vector]
    if isinstance(vector, Constant):
        return [int(value) for value in vector.data]
    if vector.owner is not None and isinstance(vector.owner.op, MakeVector):
        return list(vector.owner.inputs)
    if vector.type.ndim != 1 or vector.type.shape[0] is None:
        raise user_error(
            ShapeError, f"{where} needs to know how many sizes there are, got {vector.type}", [vector],
            "Pass a list, or ndim where it is taken.",
        )  # fmt: skip
    return [vector[index] for index in range(vector.type.shape[0])]


def reshape(x: Any, newshape: Any, ndim: int | None = None) -> Any:
    """Return the elements of `x`, in order, in other sizes.

    Parameters
    ----------
    x : tensor
        Any shape.
    newshape : list of int and integer scalars, or an integer vector
        The new sizes; one may be -1 and is worked out.
    ndim : int, optional
        How many sizes there are, where `newshape` is a vector of unknown length.

    Raises
    ------
    ShapeError
        If the number of elements can't fit, as far as sizes are known; else when the compiled function is called.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.reshape([1, 2, 3, 4], (2, -1)).eval())
    [[1 2]
     [3 4]]
    """
    x = as_operand(x)
    ndim = None if ndim is None else whole_number(ndim, "reshape", "ndim")
    if ndim is not None and isinstance(newshape, Variable) and newshape.type.ndim == 1:  # type: ignore[attr-defined]
        newshape = elements_of(newshape, "reshape") if newshape.type.shape[0] is not None else [  # type: ignore[attr-defined]
            newshape[index] for index in range(ndim)]  # type: ignore[index]  # fmt: skip
    sizes, operands = split_sizes(newshape, "reshape")
    if ndim is not None and len(sizes) != ndim:
        raise user_error(ShapeError, f"reshape got {len(sizes)} sizes for {ndim} axes", [x])
    return ReshapeTo(sizes)(x, *operands)


def flatten(x: Any, ndim: int = 1, outdim: int | None = None) -> Any:
    """Return `x` with its last axes joined, so that `ndim` axes remain (Theano's ``flatten``).

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.flatten([[1, 2], [3, 4]]).eval())
    [1 2 3 4]
    """
    x = as_operand(x)
    ndim = outdim if outdim is not None else ndim
    if not isinstance(ndim, int | np.integer) or not 1 <= ndim <= max(x.type.ndim, 1):
        raise user_error(ShapeError, f"flatten can leave 1 to {max(x.type.ndim, 1)} axes of {x.type}, got {ndim}", [x])
    if ndim == x.type.ndim:
        return x
    sizes = [size_of(x, axis) for axis in range(x.type.ndim)]
    last = -1 if ndim == 1 and not x.type.is_static else sizes_product(sizes[ndim - 1 :])
    return reshape(x, [*sizes[: ndim - 1], last])


def ravel(x: Any) -> Any:
    """Return `x` as a vector.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.ravel([[1, 2], [3, 4]]).eval())
    [1 2 3 4]
    """
    return flatten(x, 1)


@register
@dataclass(frozen=True)
class BroadcastTo(Op):
    """A value stretched to sizes; axes that stretch must be known to have size 1."""

    sizes: Sizes

    @property
    def name(self) -> str:
        return "alloc"

    def infer(self, x: Any, *operands: Any) -> list[TensorType]:
        sizes = _fill(self.sizes, operands)
        _check_not_negative("alloc", sizes, 0)
        if x.type.ndim > len(sizes):
            raise InferenceError(ShapeError, f"alloc can't turn {x.type} into {shape_text(sizes)}: too few sizes")
        for axis in range(-x.type.ndim, 0):
            found, wanted = x.type.shape[axis], sizes[axis]
            if not x.type.broadcastable[axis] and None not in (found, wanted) and found != wanted:
                raise mismatch("alloc", (found, wanted), axis + len(sizes))
        return [TensorType(x.type.dtype, sizes)]

    def known_value(self, *operands: Any) -> np.ndarray | None:
        return None

    def evaluate(self, x: np.ndarray, *operands: np.ndarray) -> list[np.ndarray]:
        given = iter(operands)
        sizes = [int(next(given)) if size is None else size for size in self.sizes]
        return [np.broadcast_to(x, sizes).copy()]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        x, *operands = inputs
        return [sum_to_type(cotangents[0], x), *[Disconnected("it is a size") for _ in operands]]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Stretch the tangent likewise."""
        return [None if tangents[0] is None else self(tangents[0], *inputs[1:])]

    def lower(self, apply: Apply) -> View:
        kind: Any = apply.inputs[0].type
        fixed = [
            axis for axis in range(-kind.ndim, 0)
            if not kind.broadcastable[axis] and (kind.shape[axis] is None or self.sizes[axis] is None)
        ]  # fmt: skip
        return View(Broadcast(self.sizes, tuple(fixed)))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls((2, 3)), Sample((spread(),))
        yield cls((2, 2, 3)), Sample((spread(2, 1),))
        yield cls((None, 3)), Sample((spread(3), number(4)))
        yield cls((0, None)), Sample((spread(1, 1, dtype="int16"), number(2)))
        yield cls((3,)), Sample((spread(2, 3),), ShapeError)
        yield cls((2, 2)), Sample((spread(2, 3),), ShapeError)
        yield cls((None,)), Sample((spread(2), number(3)), ShapeError)
        yield cls((-1,)), Sample((spread(1),), ShapeError)


def alloc(value: Any, *sizes: Any) -> Any:
    """Return `value` stretched to `sizes` (ints or integer scalars), following the rules of broadcasting.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.alloc([1, 2], 3, 2).eval())
    [[1 2]
     [1 2]
     [1 2]]
    """
    if len(sizes) == 1 and (isinstance(sizes[0], list | tuple) or getattr(sizes[0], "ndim", 0) == 1):
        sizes = sizes[0]
    known, operands = split_sizes(sizes, "alloc")
    value = as_operand(value)
    if None not in known and value.type.shape == known:
        return value
    return BroadcastTo(known)(value, *operands)


def broadcast_to(x: Any, shape: Any) -> Any:
    """Return `x` stretched to `shape`, as `numpy.broadcast_to`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.broadcast_to([1, 2], (2, 2)).eval())
    [[1 2]
     [1 2]]
    """
    return alloc(x, shape if isinstance(shape, Variable) else listed(shape, "broadcast_to", "sizes"))


def broadcast_arrays(*tensors: Any, where: str = "broadcast_arrays") -> list[Any]:
    """Return tensors stretched to the sizes that they have together, as `numpy.broadcast_arrays`.

    Axes stretch only if the graph knows that their size is 1.

    Raises
    ------
    ShapeError
        If two sizes are known and differ; else when the compiled function is called.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x, y = T.broadcast_arrays(T.ones((2, 1)), T.zeros((1, 3)))
    >>> x.type.shape
    (2, 3)
    """
    operands = [as_operand(tensor) for tensor in tensors]
    ndim = max([operand.type.ndim for operand in operands], default=0)
    sizes: list[Any] = []
    for axis in range(-ndim, 0):
        given = [x for x in operands if x.type.ndim >= -axis and not x.type.broadcastable[axis]]
        known = dict.fromkeys(x.type.shape[axis] for x in given if x.type.shape[axis] is not None)
        if len(known) > 1:
            error = mismatch(where, known, axis + ndim)
            raise user_error(error.error, error.headline, operands, error.remedy)
        sizes.append(1 if not given else next(iter(known)) if known else size_of(given[0], given[0].type.ndim + axis))
    return [alloc(operand, *sizes) if sizes else operand for operand in operands]


def stretch_to(tangent: Any, output: Any) -> Any:
    """Give a tangent the dtype and sizes of the output that it belongs to."""
    tangent = cast(tangent, output.type.dtype)
    if tangent.type.broadcastable == output.type.broadcastable:
        return tangent
    return alloc(tangent, *[size_of(output, axis) for axis in range(output.type.ndim)])


def sum_to_type(cotangent: Any, variable: Any) -> Any:
    """Sum a cotangent over the axes along which `variable` was stretched."""
    from symgrad.ops.reduction import sum as sum_over

    target, found = variable.type, cotangent.type
    if target.broadcastable == found.broadcastable and target.dtype == found.dtype:
        return cotangent
    leading = found.ndim - target.ndim
    if leading:
        cotangent = sum_over(cotangent, axis=tuple(range(leading)))
    stretched = tuple(
        axis for axis in range(target.ndim)
        if target.broadcastable[axis] and not cotangent.type.broadcastable[axis]
    )  # fmt: skip
    if stretched:
        cotangent = sum_over(cotangent, axis=stretched, keepdims=True)
    missing = [not t and f for t, f in zip(target.broadcastable, cotangent.type.broadcastable, strict=True)]
    if any(missing):
        cotangent = alloc(cotangent, *[size_of(variable, axis) for axis in range(target.ndim)])
    return cast(cotangent, target.dtype)


__all__ = ["alloc", "broadcast_arrays", "broadcast_to", "flatten", "ravel", "reshape"]
