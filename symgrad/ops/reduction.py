"""Ops that take one or more axes away: sums, products, extremes, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, register
from symgrad.graph.types import NUMPY_DTYPES, TensorType
from symgrad.graph.variables import Apply
from symgrad.kernels.grammar import Kernel, Library, ScalarFunction
from symgrad.kernels.grammar import Reduction as ReductionKernel
from symgrad.ops.axes import dimshuffle
from symgrad.ops.casting import cast
from symgrad.ops.elementwise import abs_, eq, isinf, log, power, sqr, sqrt, switch
from symgrad.ops.elementwise import exp as exp_
from symgrad.ops.identity import StopGradient
from symgrad.ops.promotion import as_operand, float_of, is_continuous, is_discrete, scalar_constant
from symgrad.ops.shape import alloc
from symgrad.ops.sizes import size_of

FUNCTIONS = {
    "sum": ScalarFunction("add", np.add),
    "prod": ScalarFunction("multiply", np.multiply),
    "max": ScalarFunction("maximum", np.maximum),
    "min": ScalarFunction("minimum", np.minimum),
    "all": ScalarFunction("logical_and", np.logical_and),
    "any": ScalarFunction("logical_or", np.logical_or),
}


@register
@dataclass(frozen=True)
class Reduction(Op):
    """An associative function accumulated along `axes`.

    Parameters
    ----------
    function : str
        One of `FUNCTIONS`.
    axes : tuple of int
        Axes that are taken away, ascending.
    keepdims : bool
        Whether they stay, with size 1.
    dtype : str
        Of the result, in which it is accumulated.
    """

    function: str
    axes: tuple[int, ...]
    keepdims: bool
    dtype: str

    @property
    def name(self) -> str:
        axes = ",".join(map(str, self.axes))
        return f"{self.function}{{{axes}}}"

    def infer(self, x: Any) -> list[TensorType]:
        if self.axes and self.axes[-1] >= x.type.ndim:
            raise InferenceError(ShapeError, f"{self.function} got axis {self.axes[-1]} of {x.type}")
        if self.function in ("max", "min") and 0 in [x.type.shape[axis] for axis in self.axes]:
            raise InferenceError(ShapeError, f"{self.function} of an empty axis has no value: {x.type}")
        return [TensorType(self.dtype, *self._remaining(x.type))]

    def _remaining(self, kind: TensorType) -> tuple[list[int | None], list[bool]]:
        shape: list[int | None] = []
        pattern: list[bool] = []
        for axis, (size, ones) in enumerate(zip(kind.shape, kind.broadcastable, strict=True)):
            if axis not in self.axes:
                shape.append(size)
                pattern.append(ones)
            elif self.keepdims:
                shape.append(1)
                pattern.append(True)
        return shape, pattern

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        ufunc: Any = FUNCTIONS[self.function].numpy
        if self.function in ("max", "min") and 0 in [x.shape[axis] for axis in self.axes]:
            raise ShapeError(f"{self.function} of an empty axis has no value: shape {x.shape}")
        options = {} if ufunc in (np.logical_and, np.logical_or) else {"dtype": self.dtype}
        with np.errstate(all="ignore"):
            return [np.asarray(ufunc.reduce(x, axis=self.axes, keepdims=self.keepdims, **options))]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x,), (output,), (cotangent,) = inputs, outputs, cotangents
        if is_discrete(x.type.dtype):
            return [Disconnected(f"{x} is {x.type.dtype}")]
        if self.function in ("all", "any"):
            return [Disconnected(f"{self.function} has a derivative of zero")]
        cotangent = self._stretchable(cotangent, x)
        if self.function == "sum":
            stretched = alloc(cotangent, *[size_of(x, axis) for axis in range(x.type.ndim)])
        elif self.function == "prod":
            stretched = cotangent * _product_of_the_others(self, x)
        else:
            stretched = switch(eq(x, self._stretchable(output, x)), cotangent, 0)
        return [cast(stretched, x.type.dtype)]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangent of the result: a sum of the tangents, weighted with the partial derivatives."""
        (x,), (output,), (tangent,) = inputs, outputs, tangents
        if tangent is None or self.function in ("all", "any"):
            return [None]
        if self.function == "prod":
            tangent = tangent * _product_of_the_others(self, x)
        elif self.function != "sum":
            tangent = switch(eq(x, self._stretchable(output, x)), tangent, 0)
        return [Reduction("sum", self.axes, self.keepdims, self.dtype)(tangent)]

    def _stretchable(self, reduced: Any, x: Any) -> Any:
        """Put axes of size 1 where axes were taken away."""
        if self.keepdims:
            return reduced
        remaining = iter(range(reduced.type.ndim))
        return dimshuffle(reduced, *["x" if a in self.axes else next(remaining) for a in range(x.type.ndim)])

    def lower(self, apply: Apply) -> ReductionKernel:
        return ReductionKernel(FUNCTIONS[self.function], self.axes, self.keepdims, self.dtype)


def _product_of_the_others(op: Reduction, x: Any) -> Any:
    """The derivative of a product: right also where factors are zero."""
    zero = eq(x, 0)
    zeros = Reduction("sum", op.axes, True, "int64")(cast(zero, "int64"))
    factors = switch(zero, 1, x)
    product = Reduction("prod", op.axes, True, op.dtype)(factors)
    without_zeros = switch(eq(zeros, 0), product / factors, 0)
    return switch(zero, switch(eq(zeros, 1), product, 0), without_zeros)


def _axes(axis: Any, ndim: int, where: str) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    axes = [axis] if isinstance(axis, int | np.integer) else list(axis)
    for number in axes:
        if not -ndim <= number < ndim:
            raise ShapeError(f"{where} got axis {number} for a tensor of {ndim} axes")
    found = sorted({int(number) % ndim for number in axes})
    if len(found) != len(axes):
        raise ShapeError(f"{where} got an axis twice: {tuple(axes)}")
    return tuple(found)


def _reduce(function: str, x: Any, axis: Any, keepdims: bool, dtype: str) -> Any:
    return Reduction(function, _axes(axis, x.type.ndim, function), keepdims, dtype)(x)


def _sum_dtype(dtype: str, wanted: str | None) -> str:
    """Sums and products of integers are int64 (unsigned: uint64), as in Theano."""
    if wanted is not None:
        return np.dtype(wanted).name
    kind = NUMPY_DTYPES[dtype].kind
    return {"b": "int64", "i": "int64", "u": "uint64"}.get(kind, dtype)


def sum(x: Any, axis: Any = None, dtype: str | None = None, keepdims: bool = False, acc_dtype: Any = None) -> Any:
    """Sum over axes.

    Parameters
    ----------
    x : tensor
        Any dtype and shape.
    axis : int, sequence of int or None
        Axes to sum over; None is all.
    dtype : str, optional
        Of the result; by default that of `x`, and int64 (uint64) for integers.
    keepdims : bool
        Whether the axes stay, with size 1.
    acc_dtype : str, optional
        The dtype in which the sum is accumulated, if another.

    Returns
    -------
    tensor
    """
    x = as_operand(x)
    result = _sum_dtype(x.type.dtype, dtype)
    return cast(_reduce("sum", x, axis, keepdims, acc_dtype or result), result)


def prod(x: Any, axis: Any = None, dtype: str | None = None, keepdims: bool = False, acc_dtype: Any = None) -> Any:
    """Product over axes; arguments as `sum`. The gradient is right also where factors are zero."""
    x = as_operand(x)
    result = _sum_dtype(x.type.dtype, dtype)
    return cast(_reduce("prod", x, axis, keepdims, acc_dtype or result), result)


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Largest element over axes; nan if one is nan. Every tied element gets the full gradient."""
    x = as_operand(x)
    return _reduce("max", x, axis, keepdims, x.type.dtype)


def min(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Smallest element over axes; nan if one is nan. Every tied element gets the full gradient."""
    x = as_operand(x)
    return _reduce("min", x, axis, keepdims, x.type.dtype)


def all(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether all elements over axes are true (not 0)."""
    return _reduce("all", as_operand(x), axis, keepdims, "bool")


def any(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether any element over axes is true (not 0)."""
    return _reduce("any", as_operand(x), axis, keepdims, "bool")


def _count(x: Any, axis: Any, where: str) -> Any:
    """How many elements a reduction joins: a number if the graph knows, else a scalar made of sizes."""
    count: Any = 1
    for number in _axes(axis, x.type.ndim, where):
        size = x.type.shape[number]
        count = count * (size if size is not None else size_of(x, number))
    return count


def mean(x: Any, axis: Any = None, dtype: str | None = None, keepdims: bool = False, acc_dtype: Any = None) -> Any:
    """Arithmetic mean over axes; of integers as a float. Arguments as `sum`."""
    x = as_operand(x)
    result = dtype or (x.type.dtype if is_continuous(x.type.dtype) else float_of("int64"))
    total = sum(x, axis, dtype=result, keepdims=keepdims, acc_dtype=acc_dtype)
    count = _count(x, axis, "mean")
    return total / (scalar_constant(count, result) if isinstance(count, int) else cast(count, result))


def var(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False) -> Any:
    """Variance over axes: the mean of squared deviations; the divisor is the count minus `ddof`."""
    x = as_operand(x)
    deviation = x - mean(x, axis, keepdims=True)
    total = sum(sqr(deviation), axis, keepdims=keepdims)
    count = _count(x, axis, "var") - ddof
    variance = total / (scalar_constant(count, total.type.dtype) if isinstance(count, int) else
                        cast(count, total.type.dtype))  # fmt: skip
    if corrected:
        error = mean(deviation, axis, keepdims=keepdims)
        variance = variance - sqr(error)
    return variance


def std(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False) -> Any:
    """Standard deviation over axes, the square root of `var`."""
    return sqrt(var(x, axis, ddof, keepdims, corrected))


@register
@dataclass(frozen=True)
class ArgExtreme(Op):
    """Position of the first largest (smallest) element along axes, counted over those axes joined."""

    function: str
    axes: tuple[int, ...]
    keepdims: bool

    @property
    def name(self) -> str:
        return f"{self.function}{{{','.join(map(str, self.axes))}}}"

    def infer(self, x: Any) -> list[TensorType]:
        if x.type.dtype.startswith("complex"):
            raise InferenceError(DTypeError, f"{self.function} doesn't take complex numbers, which have no order")
        if 0 in [x.type.shape[axis] for axis in self.axes]:
            raise InferenceError(ShapeError, f"{self.function} of an empty axis has no value: {x.type}")
        shape, pattern = Reduction("max", self.axes, self.keepdims, "int64")._remaining(x.type)
        return [TensorType("int64", shape, pattern)]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        kept = [axis for axis in range(x.ndim) if axis not in self.axes]
        joined = x.transpose(*kept, *self.axes).reshape([x.shape[axis] for axis in kept] + [-1])
        if joined.shape[-1] == 0:
            raise ShapeError(f"{self.function} of an empty axis has no value: shape {x.shape}")
        result = getattr(np, self.function)(joined, axis=-1)
        if self.keepdims:
            result = np.expand_dims(result, self.axes)
        return [np.asarray(result, dtype="int64")]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [Disconnected(f"{self.function} gives positions, which don't change with small changes of values")]

    def lower(self, apply: Apply) -> Kernel:
        if len(self.axes) == 1 or len(self.axes) == apply.inputs[0].type.ndim:  # type: ignore[attr-defined]
            axis = self.axes[0] if len(self.axes) == 1 else None
            return Library(self.function, (("axis", axis), ("keepdims", self.keepdims)))
        return super().lower(apply)


def _arg(function: str, x: Any, axis: Any, keepdims: bool) -> Any:
    x = as_operand(x)
    return ArgExtreme(function, _axes(axis, x.type.ndim, function), keepdims)(x)


def argmax(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Position of the largest element along `axis` (the first at a tie), as int64; None: of the flattened tensor."""
    return _arg("argmax", x, axis, keepdims)


def argmin(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Position of the smallest element along `axis` (the first at a tie), as int64; None: of the flattened tensor."""
    return _arg("argmin", x, axis, keepdims)


def max_and_argmax(x: Any, axis: Any = None, keepdims: bool = False) -> tuple[Any, Any]:
    """Return `max` and `argmax`."""
    return max(x, axis, keepdims), argmax(x, axis, keepdims)


def ptp(x: Any, axis: Any = None) -> Any:
    """Range of values over axes: largest minus smallest."""
    return max(x, axis) - min(x, axis)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """``log(sum(exp(x)))`` over axes, without overflow.

    Computed as ``m + log(sum(exp(x - m)))`` with the largest element m, which counts as 0 where it is infinite, so
    that a slice of -inf gives -inf.
    """
    x = as_operand(x)
    largest = max(x, axis, keepdims=True)
    shift = switch(isinf(largest), scalar_constant(0, largest.type.dtype), largest)
    shift = StopGradient()(shift)
    total = log(sum(exp_(x - shift), axis, keepdims=True)) + shift
    if keepdims:
        return total
    axes = _axes(axis, x.type.ndim, "logsumexp")
    return dimshuffle(total, *[number for number in range(x.type.ndim) if number not in axes])


@register
@dataclass(frozen=True)
class SumOfSquares(Op):
    """Sum of the squares of all elements. Made by rewriting only."""

    @property
    def name(self) -> str:
        return "sum_of_squares"

    def infer(self, x: Any) -> list[TensorType]:
        return [TensorType(x.type.dtype, ())]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        return [np.asarray(np.sum(np.square(x)), dtype=x.dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [2 * inputs[0] * cotangents[0]]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Twice the inner product of operand and tangent."""
        return [None if tangents[0] is None else sum(2 * inputs[0] * tangents[0])]

    def lower(self, apply: Apply) -> Kernel:
        return Library("sum_of_squares")


def norm(x: Any, ord: Any = 2, axis: Any = None) -> Any:
    """The `ord`-norm over axes: 1, 2 (also ``'fro'``), any positive number, or inf."""
    if ord in (2, "fro", None):
        return sqrt(sum(sqr(x), axis))
    if ord == 1:
        return sum(abs_(x), axis)
    if ord == float("inf"):
        return max(abs_(x), axis)
    return power(sum(power(abs_(x), ord), axis), 1 / ord)


__all__ = [
    "all", "any", "argmax", "argmin", "logsumexp", "max", "max_and_argmax", "mean", "min", "norm", "prod", "ptp",
    "std", "sum", "var",
]  # fmt: skip
