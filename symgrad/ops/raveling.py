"""Positions in a tensor and in the vector of its elements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, IndexingError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, apply_op, register, user_error
from symgrad.graph.types import TensorType
from symgrad.ops.elementwise_op import broadcast_shapes
from symgrad.ops.promotion import as_operand, is_discrete, listed, whole_number
from symgrad.ops.sampling import spread

MODES = ("raise", "wrap", "clip")
ORDERS = ("C", "F")


@register
@dataclass(frozen=True)
class RavelMultiIndex(Op):
    """Positions in the vector of elements: the first operand holds the sizes, the others a position for each axis."""

    mode: str
    order: str

    @property
    def name(self) -> str:
        return "ravel_multi_index"

    def infer(self, dims: Any, *places: Any) -> list[TensorType]:
        _check_dims("ravel_multi_index", dims, len(places))
        for place in places:
            if not is_discrete(place.type.dtype):
                raise InferenceError(DTypeError, f"ravel_multi_index needs integers, got {place.type}")
        shape, pattern = broadcast_shapes("ravel_multi_index", [place.type for place in places])
        return [TensorType("int64", shape, pattern)]

    def evaluate(self, dims: np.ndarray, *places: np.ndarray) -> list[np.ndarray]:
        _check_length("ravel_multi_index", dims, len(places))
        try:
            found = np.ravel_multi_index(
                tuple([place.astype("int64") for place in places]), tuple(dims.tolist()), mode=self.mode,  # type: ignore[call-overload]
                order=self.order,
            )  # fmt: skip
        except ValueError as error:
            raise IndexingError(f"ravel_multi_index: {error}") from None
        return [np.asarray(found)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [Disconnected("positions have no gradient")] * len(inputs)

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        sizes = np.array([3, 4])
        yield cls("raise", "C"), Sample((sizes, np.array([2, 0]), np.array([[3], [1]], "int8")))
        yield cls("wrap", "F"), Sample((sizes, np.array([5, -1]), np.array([3, 9])))
        yield cls("clip", "C"), Sample((sizes, np.array(5), np.array(-3)))
        yield cls("raise", "C"), Sample((sizes, np.array([3]), np.array([0])), IndexingError)
        yield cls("raise", "C"), Sample((sizes, np.array([0])), ShapeError)
        yield cls("raise", "C"), Sample((sizes, spread(2), np.array([0, 1])), DTypeError)


@register
@dataclass(frozen=True)
class UnravelIndex(Op):
    """For each axis of a tensor of the sizes in the second operand, where the elements at flat positions are."""

    ndim: int
    order: str

    @property
    def name(self) -> str:
        return "unravel_index"

    def infer(self, positions: Any, dims: Any) -> list[TensorType]:
        _check_dims("unravel_index", dims, self.ndim)
        if not is_discrete(positions.type.dtype):
            raise InferenceError(DTypeError, f"unravel_index needs integers, got {positions.type}")
        return [positions.type.with_dtype("int64")] * self.ndim

    def evaluate(self, positions: np.ndarray, dims: np.ndarray) -> list[np.ndarray]:
        _check_length("unravel_index", dims, self.ndim)
        try:
            found = np.unravel_index(positions.astype("int64"), tuple(dims.tolist()), order=self.order)  # type: ignore[call-overload]
        except ValueError as error:
            raise IndexingError(f"unravel_index: {error}") from None
        return [np.array(places) for places in found]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [Disconnected("positions have no gradient")] * 2

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        sizes = np.array([3, 4])
        yield cls(2, "C"), Sample((np.array([[11, 0], [5, 6]]), sizes))
        yield cls(2, "F"), Sample((np.array(7, "int8"), sizes))
        yield cls(1, "C"), Sample((np.array([], "int64"), np.array([3], "int32")))
        yield cls(2, "C"), Sample((np.array([12]), sizes), IndexingError)
        yield cls(3, "C"), Sample((np.array([1]), sizes), ShapeError)
        yield cls(2, "C"), Sample((spread(2), sizes), DTypeError)


def _check_dims(name: str, dims: Any, count: int) -> None:
    if dims.type.ndim != 1 or not is_discrete(dims.type.dtype):
        raise InferenceError(DTypeError, f"{name} needs sizes as a vector of integers, got {dims.type}")
    _check_length(name, dims.type.shape, count)


def _check_length(name: str, dims: Any, count: int) -> None:
    length = dims[0] if isinstance(dims, tuple) else len(dims)
    if length not in (None, count):
        raise InferenceError(ShapeError, f"{name} got {length} sizes for {count} axes")


def ravel_multi_index(multi_index: Any, dims: Any, mode: str = "raise", order: str = "C") -> Any:
    """Return positions in the vector of a tensor's elements, as `numpy.ravel_multi_index`.

    Parameters
    ----------
    multi_index : list of integer tensors, or tensor whose first axis is known
        The position along each axis.
    dims : list of int and integer scalars, or integer vector
        The sizes of the tensor.
    mode : {'raise', 'wrap', 'clip'}
        What a position outside does.
    order : {'C', 'F'}
        Whether the last axis runs fastest, or the first.

    Notes
    -----
    Keeps the behaviour of Theano's ``ravel_multi_index``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.ravel_multi_index([[1, 0], [2, 1]], (2, 3)).eval())
    [5 1]
    """
    if mode not in MODES or order not in ORDERS:
        raise user_error(ValueError, f"ravel_multi_index knows {MODES} and {ORDERS}, got {mode!r} and {order!r}")
    places = [as_operand(place) for place in listed(multi_index, "ravel_multi_index", "positions")]
    if not places:
        raise user_error(ShapeError, "ravel_multi_index needs a position along each axis, got none")
    return apply_op(RavelMultiIndex(mode, order), [as_operand(dims), *places]).outputs[0]


def unravel_index(indices: Any, dims: Any, order: str = "C", ndim: int | None = None) -> tuple[Any, ...]:
    """Return for each axis of a tensor where the elements at flat positions are, as `numpy.unravel_index`.

    Parameters
    ----------
    indices : integer tensor
        Positions in the vector of elements.
    dims : list of int and integer scalars, or integer vector
        The sizes of the tensor.
    order : {'C', 'F'}
        Whether the last axis runs fastest, or the first.
    ndim : int, optional
        How many sizes there are, for a vector of unknown length.

    Notes
    -----
    Keeps the behaviour of Theano's ``unravel_index``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> rows, columns = T.unravel_index([5, 1], (2, 3))
    >>> print(rows.eval(), columns.eval())
    [1 0] [2 1]
    """
    if order not in ORDERS:
        raise user_error(ValueError, f"unravel_index knows the orders {ORDERS}, got {order!r}")
    sizes = as_operand(dims)
    count = ndim if ndim is not None or sizes.type.ndim != 1 else sizes.type.shape[0]
    if count is None and sizes.type.ndim == 1:
        raise user_error(
            ShapeError, f"unravel_index needs to know how many sizes there are, got {sizes.type}", [sizes], "Pass ndim."
        )
    count = 1 if count is None else whole_number(count, "unravel_index", "ndim")
    return apply_op(UnravelIndex(count, order), [as_operand(indices), sizes]).outputs


__all__ = ["ravel_multi_index", "unravel_index"]
