"""Running sums and products, and differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, register, user_error
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.kernels import running
from symgrad.kernels.grammar import Library
from symgrad.ops.axes import check_axis, checked_axis
from symgrad.ops.casting import cast
from symgrad.ops.comparison import neq
from symgrad.ops.complex_numbers import conj
from symgrad.ops.indexing import get_item
from symgrad.ops.promotion import as_operand, is_discrete, whole_number
from symgrad.ops.sampling import number, spread
from symgrad.ops.shape import flatten


@register
@dataclass(frozen=True)
class Cumulative(Op):
    """Sums (products) of the first 1, 2, 3, ... elements along `axis`, in the operand's dtype."""

    function: str
    axis: int

    @property
    def name(self) -> str:
        return f"{self.function}{{{self.axis}}}"

    def infer(self, x: Any) -> list[TensorType]:
        check_axis(self.function, self.axis, x)
        return [x.type]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        with np.errstate(all="ignore"):
            return [running.cumulative(self.function, self.axis, x)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x,), (output,), (cotangent,) = inputs, outputs, cotangents
        if is_discrete(x.type.dtype):
            return [Disconnected(f"{x} is {x.type.dtype}")]
        if self.function == "cumsum":
            return [_flipped(self(_flipped(cotangent, self.axis)), self.axis)]
        from_later = LinearRecurrence(self.axis, True)(conj(x), cotangent)
        return [from_later * conj(self._product_before(output))]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The sum of the tangents; of a product, each weighted with all other factors."""
        (x,), (output,), (tangent,) = inputs, outputs, tangents
        if tangent is None:
            return [None]
        if self.function == "cumsum":
            return [self(tangent)]
        return [LinearRecurrence(self.axis, False)(x, tangent * self._product_before(output))]

    def lower(self, apply: Apply) -> Library:
        return Library("cumulative", (("function", self.function), ("axis", self.axis)))

    def _product_before(self, output: Any) -> Any:
        """The product of the elements before each one; 1 before the first."""
        return Shift(self.axis, 1, 1)(output)

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for function in running.CUMULATIVE:
            yield cls(function, 0), Sample((spread(5),))
            yield cls(function, 1), Sample((spread(2, 4, 3),))
            yield cls(function, 1), Sample((spread(2, 1),))
            yield cls(function, 0), Sample((spread(0, 2),))
            yield cls(function, 0), Sample((np.array([2.0, 0.0, 3.0, 0.0, 0.5]),))
            for dtype in ("int8", "uint16", "int64", "float16", "float32", "complex64"):
                yield cls(function, 1), Sample((spread(2, 6, low=1, high=3, dtype=dtype),))
            yield cls(function, 0), Sample((number(1.5, "float64"),), ShapeError)


@register
@dataclass(frozen=True)
class LinearRecurrence(Op):
    """``y[k] = a[k] * y[k - 1] + b[k]`` along `axis`, with 0 before the first.

    In reverse it is the transposed map, from the last to the first: ``y[k] = a[k + 1] * y[k + 1] + b[k]``. The
    derivatives of running products are made of these, also where factors are 0.
    """

    axis: int
    reverse: bool

    @property
    def name(self) -> str:
        return f"linear_recurrence{{{'-' if self.reverse else ''}{self.axis}}}"

    def infer(self, a: Any, b: Any) -> list[TensorType]:
        check_axis("a recurrence", self.axis, b)
        if a.type.dtype != b.type.dtype or a.type.ndim != b.type.ndim:
            raise InferenceError(DTypeError, f"a recurrence needs factors like its terms, got {a.type} and {b.type}")
        sizes = [other if size is None else size for size, other in zip(a.type.shape, b.type.shape, strict=True)]
        if any(None not in pair and pair[0] != pair[1] for pair in zip(sizes, b.type.shape, strict=True)):
            raise InferenceError(ShapeError, f"a recurrence needs factors like its terms, got {a.type} and {b.type}")
        pattern = [one or other for one, other in zip(a.type.broadcastable, b.type.broadcastable, strict=True)]
        return [TensorType(b.type.dtype, sizes, pattern)]

    def evaluate(self, a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
        with np.errstate(all="ignore"):
            return [running.linear_recurrence(self.axis, self.reverse, a, b)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (a, _), (output,), (cotangent,) = inputs, outputs, cotangents
        of_terms = LinearRecurrence(self.axis, not self.reverse)(conj(a), cotangent)
        shift = Shift(self.axis, 1)
        if self.reverse:
            return [shift(of_terms) * conj(output), of_terms]
        return [of_terms * conj(shift(output)), of_terms]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The same recurrence, of the terms' changes and what the factors' changes add."""
        (a, _), (output,), (of_factors, of_terms) = inputs, outputs, tangents
        if of_factors is None:
            return [None if of_terms is None else self(a, of_terms)]
        if self.reverse:
            added = Shift(self.axis, -1)(of_factors * output)
        else:
            added = of_factors * Shift(self.axis, 1)(output)
        return [self(a, added if of_terms is None else of_terms + added)]

    def lower(self, apply: Apply) -> Library:
        return Library("linear_recurrence", (("axis", self.axis), ("reverse", self.reverse)))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for reverse in (False, True):
            yield cls(0, reverse), Sample((spread(5), spread(5, start=9)))
            yield cls(1, reverse), Sample((spread(2, 4, 3), spread(2, 4, 3, start=9)))
            yield cls(1, reverse), Sample((spread(2, 1, dtype="float32"), spread(2, 1, dtype="float32")))
            yield cls(0, reverse), Sample((spread(0, 2), spread(0, 2)))
        yield cls(0, False), Sample((spread(3), spread(3, dtype="float32")), DTypeError)
        yield cls(0, False), Sample((spread(3), spread(4)), ShapeError)
        yield cls(0, False), Sample((spread(1), spread(4)), ShapeError)


@register
@dataclass(frozen=True)
class Shift(Op):
    """Elements moved `by` places along `axis`; `fill` where none arrive."""

    axis: int
    by: int
    fill: int = 0

    @property
    def name(self) -> str:
        return f"shift{{{self.axis},{self.by}}}"

    def infer(self, x: Any) -> list[TensorType]:
        check_axis("shift", self.axis, x)
        return [x.type]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        return [running.shifted(self.axis, self.by, self.fill, x)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x,) = inputs
        if is_discrete(x.type.dtype):
            return [Disconnected(f"{x} is {x.type.dtype}")]
        return [Shift(self.axis, -self.by)(cotangents[0])]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Shift the tangent likewise."""
        return [None if tangents[0] is None else Shift(self.axis, self.by)(tangents[0])]

    def lower(self, apply: Apply) -> Library:
        return Library("shift", (("axis", self.axis), ("by", self.by), ("fill", self.fill)))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(0, 1), Sample((spread(4),))
        yield cls(1, -2), Sample((spread(2, 3, 2),))
        yield cls(1, 1, 1), Sample((spread(2, 3, 2),))
        yield cls(0, 3), Sample((spread(2, 2, dtype="int32"),))
        yield cls(0, -3), Sample((spread(2),))
        yield cls(0, 1), Sample((spread(0, 2, dtype="bool"),))
        yield cls(1, 1), Sample((spread(2, 1, dtype="complex64"),))
        yield cls(1, 1), Sample((spread(2),), ShapeError)


def _flipped(x: Any, axis: int) -> Any:
    return get_item(x, (*[slice(None)] * axis, slice(None, None, -1)))


def _cumulative(function: str, x: Any, axis: int | None) -> Any:
    x = as_operand(x)
    x = cast(x, "int64") if x.type.dtype == "bool" else x
    if axis is None:
        return Cumulative(function, 0)(flatten(x))
    return Cumulative(function, checked_axis(axis, x, function))(x)


def cumsum(x: Any, axis: int | None = None) -> Any:
    """Return the sums of the first 1, 2, 3, ... elements along an axis.

    Parameters
    ----------
    x : tensor
        Any dtype; bools count as int64, all others keep their dtype (int8 wraps around).
    axis : int or None
        None sums along the flattened tensor.

    Returns
    -------
    tensor
        Of the sizes of `x`; a vector if `axis` is None.

    Raises
    ------
    ShapeError
        If there is no such axis.

    Notes
    -----
    Keeps the behaviour of Theano's ``cumsum``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dmatrix('x')
    >>> T.cumsum(x, axis=1).eval({x: [[1, 2, 3], [4, 5, 6]]})
    array([[ 1.,  3.,  6.],
           [ 4.,  9., 15.]])
    """
    return _cumulative("cumsum", x, axis)


def cumprod(x: Any, axis: int | None = None) -> Any:
    """Return the products of the first 1, 2, 3, ... elements along an axis; arguments as `cumsum`.

    The gradient is right also where factors are zero.

    Notes
    -----
    Keeps the behaviour of Theano's ``cumprod``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.cumprod([1, 2, 3, 4]).eval())
    [ 1  2  6 24]
    """
    return _cumulative("cumprod", x, axis)


def diff(x: Any, n: int = 1, axis: int = -1) -> Any:
    """Return the differences of neighbours along an axis, taken `n` times; of bools, whether they differ.

    Parameters
    ----------
    x : tensor
        Any dtype.
    n : int
        How often; the axis gets so many elements shorter.
    axis : int
        Along which axis.

    Returns
    -------
    tensor
        Of the dtype of `x`.

    Raises
    ------
    ShapeError
        If there is no such axis.
    ValueError
        If `n` is negative.

    Notes
    -----
    Keeps the behaviour of Theano's ``diff``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.lvector('x')
    >>> T.diff(x).eval({x: [1, 4, 9, 16]}), T.diff(x, 2).eval({x: [1, 4, 9, 16]})
    (array([3, 5, 7]), array([2, 2]))
    """
    x = as_operand(x)
    axis, n = checked_axis(axis, x, "diff"), whole_number(n, "diff", "n")
    if n < 0:
        raise user_error(ValueError, f"diff takes differences n times, got n={n}", [x])
    for _ in range(n):
        later, earlier = [get_item(x, (*[slice(None)] * axis, part)) for part in (slice(1, None), slice(None, -1))]
        x = neq(later, earlier) if x.type.dtype == "bool" else later - earlier
    return x


__all__ = ["cumprod", "cumsum", "diff"]
