"""Functions that take one or more axes away: sums, products, extremes, and what is made of them."""

from __future__ import annotations

from typing import Any

from symgrad.graph.types import NUMPY_DTYPES, dtype_name
from symgrad.ops.axes import checked_axes, dimshuffle
from symgrad.ops.casting import cast
from symgrad.ops.comparison import isinf
from symgrad.ops.elementwise import abs_, log, power, sqr, sqrt, switch
from symgrad.ops.elementwise import exp as exp_
from symgrad.ops.identity import StopGradient
from symgrad.ops.promotion import as_operand, float_of, is_continuous, scalar_constant
from symgrad.ops.reduction_op import ArgExtreme, Reduction
from symgrad.ops.sizes import size_of, sizes_product


def _reduce(function: str, x: Any, axis: Any, keepdims: bool, dtype: str) -> Any:
    return Reduction(function, checked_axes(axis, x, function), keepdims, dtype)(x)


def _sum_dtype(dtype: str, wanted: str | None) -> str:
    """Sums and products of integers are int64 (unsigned: uint64), as in Theano."""
    if wanted is not None:
        return dtype_name(wanted)
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
    return cast(_reduce("sum", x, axis, keepdims, dtype_name(acc_dtype or result)), result)


def prod(x: Any, axis: Any = None, dtype: str | None = None, keepdims: bool = False, acc_dtype: Any = None) -> Any:
    """Product over axes; arguments as `sum`. The gradient is right also where factors are zero."""
    x = as_operand(x)
    result = _sum_dtype(x.type.dtype, dtype)
    return cast(_reduce("prod", x, axis, keepdims, dtype_name(acc_dtype or result)), result)


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


def _count(x: Any, axes: tuple[int, ...]) -> Any:
    """How many elements a reduction joins: a number if the graph knows, else a scalar made of sizes."""
    return sizes_product([n if n is not None else size_of(x, a) for a, n in enumerate(x.type.shape) if a in axes])


def mean(x: Any, axis: Any = None, dtype: str | None = None, keepdims: bool = False, acc_dtype: Any = None) -> Any:
    """Arithmetic mean over axes; of integers as a float. Arguments as `sum`."""
    x = as_operand(x)
    axis = checked_axes(axis, x, "mean")
    result = dtype_name(dtype or (x.type.dtype if is_continuous(x.type.dtype) else float_of("int64")))
    total = sum(x, axis, dtype=result, keepdims=keepdims, acc_dtype=acc_dtype)
    count = _count(x, axis)
    return total / (scalar_constant(count, result) if isinstance(count, int) else cast(count, result))


def var(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False) -> Any:
    """Variance over axes: the mean of squared deviations; the divisor is the count minus `ddof`."""
    x = as_operand(x)
    axis = checked_axes(axis, x, "var")
    deviation = x - mean(x, axis, keepdims=True)
    total = sum(sqr(deviation), axis, keepdims=keepdims)
    count = _count(x, axis) - ddof
    variance = total / (scalar_constant(count, total.type.dtype) if isinstance(count, int) else
                        cast(count, total.type.dtype))  # fmt: skip
    if corrected:
        error = mean(deviation, axis, keepdims=keepdims)
        variance = variance - sqr(error)
    return variance


def std(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False) -> Any:
    """Standard deviation over axes, the square root of `var`."""
    x = as_operand(x)
    return sqrt(var(x, checked_axes(axis, x, "std"), ddof, keepdims, corrected))


def _arg(function: str, x: Any, axis: Any, keepdims: bool) -> Any:
    x = as_operand(x)
    return ArgExtreme(function, checked_axes(axis, x, function), keepdims)(x)


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
    x = as_operand(x)
    axis = checked_axes(axis, x, "ptp")
    return max(x, axis) - min(x, axis)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """``log(sum(exp(x)))`` over axes, without overflow.

    Computed as ``m + log(sum(exp(x - m)))`` with the largest element m, which is the result where it is infinite.
    """
    x = as_operand(x)
    axis = checked_axes(axis, x, "logsumexp")
    largest = StopGradient()(max(x, axis, keepdims=True))
    total = log(sum(exp_(x - largest), axis, keepdims=True)) + largest
    total = switch(isinf(largest), largest, total)
    if keepdims:
        return total
    return dimshuffle(total, *[number for number in range(x.type.ndim) if number not in axis])


def norm(x: Any, ord: Any = 2, axis: Any = None) -> Any:
    """The `ord`-norm over axes: 1, 2 (also ``'fro'``), any positive number, or inf."""
    x = as_operand(x)
    axis = checked_axes(axis, x, "norm")
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
