"""How often values occur, and which ones do: results whose sizes depend on the values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, RangeError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, register, user_error
from symgrad.graph.types import TensorType
from symgrad.ops.axes import checked_axis
from symgrad.ops.creation import zeros_like
from symgrad.ops.indexing import inc_subtensor
from symgrad.ops.picking import take
from symgrad.ops.promotion import as_operand, is_complex, is_discrete
from symgrad.ops.sampling import number, spread
from symgrad.ops.shape import flatten, reshape
from symgrad.ops.sizes import size_of


@register
@dataclass(frozen=True)
class BinCount(Op):
    """How often each whole number from 0 on occurs in a vector, or the sum of the weights where it does.

    Operands are the vector, the least number of bins, and the weights, if there are any.
    """

    @property
    def name(self) -> str:
        return "bincount"

    def infer(self, x: Any, minlength: Any, *weights: Any) -> list[TensorType]:
        for operand, what, ndim in ((x, "numbers", 1), (minlength, "least number of bins", 0)):
            if not is_discrete(operand.type.dtype):
                raise InferenceError(DTypeError, f"bincount counts integers; its {what} are {operand.type.dtype}")
            if operand.type.ndim != ndim:
                raise InferenceError(ShapeError, f"bincount counts in a vector, got {operand.type} as {what}")
        for weight in weights:
            if weight.type.ndim != 1:
                raise InferenceError(ShapeError, f"bincount needs one weight for each number, got {weight.type}")
            if None not in (*weight.type.shape, *x.type.shape) and weight.type.shape != x.type.shape:
                raise InferenceError(ShapeError, _weights_fault(weight.type.shape[0], x.type.shape[0]))
        return [TensorType(weights[0].type.dtype if weights else "int64", [None])]

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        """Counts aren't sizes."""
        return None

    def evaluate(self, x: np.ndarray, minlength: np.ndarray, *weights: np.ndarray) -> list[np.ndarray]:
        if minlength < 0:
            raise RangeError(f"bincount got {minlength} as least number of bins")
        if x.size and x.min() < 0:
            raise RangeError(f"bincount counts numbers from 0 on, got {x.min()}")
        numbers = x.astype("int64", copy=False)
        if not weights:
            return [np.bincount(numbers, minlength=int(minlength)).astype("int64", copy=False)]
        (weight,) = weights
        if weight.shape != x.shape:
            raise ShapeError(_weights_fault(weight.shape[0], x.shape[0]))
        if weight.dtype.kind == "f":
            return [np.bincount(numbers, weight, int(minlength)).astype(weight.dtype, copy=False)]
        sums = np.zeros(max(int(minlength), int(numbers.max(initial=-1)) + 1), weight.dtype)
        np.add.at(sums, numbers, weight)
        return [sums]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        x, minlength, *weights = inputs
        cut = [Disconnected(f"{variable} is {variable.type.dtype}") for variable in (x, minlength)]
        if weights and is_discrete(weights[0].type.dtype):
            return [*cut, Disconnected(f"{weights[0]} is {weights[0].type.dtype}")]
        return [*cut, *[take(cotangents[0], x) for _ in weights]]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Sum the weights' tangents likewise."""
        return [None if tangents[-1] is None else self(*inputs[:2], tangents[-1])]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        x = np.array([1, 3, 1, 0])
        yield cls(), Sample((x, number(0)))
        yield cls(), Sample((x.astype("uint8"), number(6)))
        yield cls(), Sample((x > 0, number(0)))
        yield cls(), Sample((np.zeros(0, "int32"), number(2)))
        yield cls(), Sample((np.array([2]), number(0)))
        for dtype in ("float64", "float32", "int8", "complex64"):
            yield cls(), Sample((x, number(0), spread(4, dtype=dtype)))
        yield cls(), Sample((np.zeros(0, "int64"), number(2), spread(0)))
        yield cls(), Sample((np.array([1, -1]), number(0)), RangeError)
        yield cls(), Sample((x, number(-1)), RangeError)
        yield cls(), Sample((x, number(0), spread(3)), ShapeError)
        yield cls(), Sample((spread(3), number(0)), DTypeError)
        yield cls(), Sample((np.array([[1, 2]]), number(0)), ShapeError)


def _weights_fault(found: int | None, wanted: int | None) -> str:
    return f"bincount needs one weight for each number, got {found} weights for {wanted} numbers"


@register
@dataclass(frozen=True)
class Unique(Op):
    """The different values of a tensor in ascending order; with `axis`, its different parts along that axis.

    Further outputs, as asked for: where each one stands first; for each element, which one it is; how often it occurs.
    """

    axis: int | None = None
    index: bool = False
    inverse: bool = False
    counts: bool = False

    @property
    def name(self) -> str:
        return "unique"

    def infer(self, x: Any) -> list[TensorType]:
        if self.axis is not None and self.axis >= x.type.ndim:
            raise InferenceError(ShapeError, f"unique got axis {self.axis} of {x.type}")
        sizes = [None] if self.axis is None else [None if a == self.axis else n for a, n in enumerate(x.type.shape)]
        pattern = [False if n is None or a == self.axis else x.type.broadcastable[a] for a, n in enumerate(sizes)]
        types = [TensorType(x.type.dtype, sizes, pattern)]
        known = x.type.shape if self.axis is None else [x.type.shape[self.axis]]
        count = None if None in known else int(np.prod(known, dtype=int))
        types += [TensorType("int64", [None])] * self.index
        types += [TensorType("int64", [count])] * self.inverse
        return types + [TensorType("int64", [None])] * self.counts

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        """The values that occur aren't sizes."""
        return None

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        find: Any = np.unique
        found = find(x, self.index, self.inverse, self.counts, self.axis)
        values, *rest = found if isinstance(found, tuple) else (found,)
        return [values, *[array.astype("int64", copy=False).reshape(-1) for array in rest]]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x,) = inputs
        if is_discrete(x.type.dtype):
            return [Disconnected(f"{x} is {x.type.dtype}")]
        if cotangents[0] is None:
            return [Disconnected("positions and counts don't change with small changes of values")]
        axis = self.axis or 0
        zeros = zeros_like(flatten(x) if self.axis is None else x)
        part = zeros[(*[slice(None)] * axis, self._first(x, outputs))]
        scattered = inc_subtensor(part, cotangents[0])
        if self.axis is None:
            scattered = reshape(scattered, [size_of(x, a) for a in range(x.type.ndim)], ndim=x.type.ndim)
        return [scattered]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Take the tangents of those that stand first."""
        rest = [None] * (len(outputs) - 1)
        if tangents[0] is None:
            return [None, *rest]
        return [take(tangents[0], self._first(inputs[0], outputs), self.axis), *rest]

    def _first(self, x: Any, outputs: Sequence[Any]) -> Any:
        """Where each of the values stands first."""
        return outputs[1] if self.index else Unique(self.axis, index=True)(x)[1]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        rows = np.array([[1.0, 2.0], [0.5, 1.5], [1.0, 2.0]])
        yield cls(), Sample((spread(2, 3),))
        yield cls(None, True, True, True), Sample((spread(2, 3, dtype="int8"),))
        yield cls(None, False, True, False), Sample((rows,), differentiable=False)
        yield cls(0, True, True, True), Sample((rows,), differentiable=False)
        yield cls(1), Sample((spread(2, 3),))
        yield cls(None, False, False, True), Sample((spread(5, dtype="bool"),))
        yield cls(None, True), Sample((np.zeros(0),))
        yield cls(), Sample((spread(1, 1, dtype="complex64"),))
        yield cls(2), Sample((spread(2, 3),), ShapeError)


# ---- functions ------------------------------------------------------------------------------------------------------


def bincount(x: Any, weights: Any = None, minlength: Any = None, assert_nonneg: bool = False) -> Any:
    """Return how often each whole number 0, 1, 2, ... occurs.

    Parameters
    ----------
    x : vector
        Integers from 0 on.
    weights : vector, optional
        What each number counts.
    minlength : int or integer scalar, optional
        The least size of the result, which otherwise is the largest number plus 1.
    assert_nonneg : bool
        Accepted for Theano's sake: negative numbers are always refused.

    Returns
    -------
    vector
        int64, or of the dtype of the weights.

    Raises
    ------
    RangeError
        In a call, if a number is negative.

    Notes
    -----
    Keeps the behaviour of Theano's ``bincount``, but for the dtype of the counts, which there is that of `x`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.lvector('x')
    >>> T.bincount(x).eval({x: [1, 3, 1]}), T.bincount(x, weights=[0.5, 2, 1]).eval({x: [1, 3, 1]})
    (array([0, 2, 0, 1]), array([0. , 1.5, 0. , 2. ], dtype=float32))
    """
    least = as_operand(0 if minlength is None else minlength)
    return BinCount()(as_operand(x), least, *([] if weights is None else [as_operand(weights)]))


def unique(
    x: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
) -> Any:
    """Return the different values of a tensor, in ascending order.

    Parameters
    ----------
    x : tensor
        Any dtype.
    return_index, return_inverse, return_counts : bool
        Whether to return where each value stands first (in the flattened tensor), for each element of the flattened
        tensor which value it is, and how often each value occurs; as int64 vectors.
    axis : int or None
        Along which axis parts are compared as a whole; None compares elements.

    Returns
    -------
    tensor, or tuple of tensors
        The gradient of a value goes to the element that stands first.

    Raises
    ------
    ShapeError
        If there is no such axis.

    Notes
    -----
    Does what Theano's ``Unique`` does.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x = T.lvector('x')
    >>> symgrad.function([x], T.unique(x, return_counts=True))([3, 1, 3])
    [array([1, 3]), array([1, 2])]
    """
    x = as_operand(x)
    where = None if axis is None else checked_axis(axis, x, "unique")
    if where is not None and is_complex(x.type.dtype):
        raise user_error(DTypeError, "unique along an axis doesn't take complex numbers", [x])
    return Unique(where, bool(return_index), bool(return_inverse), bool(return_counts))(x)


__all__ = ["bincount", "unique"]
