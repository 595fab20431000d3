"""Functions that take one or more axes away: sums, products, extremes, and what is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.errors import DTypeError
from symgrad.graph.dtypes import kind_of, widened
from symgrad.graph.op import user_error
from symgrad.graph.types import dtype_name
from symgrad.ops.axes import checked_axes, dimshuffle
from symgrad.ops.casting import cast
from symgrad.ops.comparison import isinf, neq
from symgrad.ops.complex_numbers import imag, real
from symgrad.ops.elementwise import abs_, log, power, sqr, sqrt, switch
from symgrad.ops.elementwise import exp as exp_
from symgrad.ops.identity import StopGradient
from symgrad.ops.promotion import (
    as_operand,
    float_of,
    is_complex,
    is_continuous,
    real_of,
    scalar_constant,
    whole_number,
)
from symgrad.ops.reduction_op import ArgExtreme, Reduction
from symgrad.ops.sizes import size_of, sizes_product


def _reduce(function: str, x: Any, axis: Any, keepdims: bool, dtype: str) -> Any:
    return Reduction(function, checked_axes(axis, x, function), bool(keepdims), dtype)(x)


def _sum_dtype(dtype: str, wanted: str | None) -> str:
    """Sums and products of integers are int64 (unsigned: uint64), as in Theano."""
    if wanted is not None:
        return dtype_name(wanted)
    kind = kind_of(dtype)
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

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.sum([[1, 2], [3, 4]], axis=0).eval())
    [4 6]
    """
    return _accumulated("sum", x, axis, dtype, keepdims, acc_dtype)


def prod(
    x: Any,
    axis: Any = None,
    dtype: str | None = None,
    keepdims: bool = False,
    acc_dtype: Any = None,
    no_zeros_in_input: bool = False,
) -> Any:
    """Product over axes; arguments as `sum`.

    The gradient is right also where factors are zero, so `no_zeros_in_input` changes nothing.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.prod([[1, 2], [3, 4]], axis=1).eval())
    [ 2 12]
    """
    return _accumulated("prod", x, axis, dtype, keepdims, acc_dtype)


def _accumulated(function: str, x: Any, axis: Any, dtype: str | None, keepdims: bool, acc_dtype: Any) -> Any:
    x = as_operand(x)
    result = _sum_dtype(x.type.dtype, dtype)
    in_dtype = dtype_name(acc_dtype or widened(result))
    if is_complex(x.type.dtype) and not is_complex(in_dtype):
        raise user_error(DTypeError, f"{function} of complex numbers can't be accumulated in {in_dtype}", [x])
    return cast(_reduce(function, x, axis, keepdims, in_dtype), result)


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Largest element over axes; nan if one is nan. Every tied element gets the full gradient.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.max([[1, 5], [7, 0]], axis=1).eval())
    [5 7]
    """
    x = as_operand(x)
    return _reduce("max", x, axis, keepdims, x.type.dtype)


def min(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Smallest element over axes; nan if one is nan. Every tied element gets the full gradient.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.min([[1, 5], [7, 0]], axis=1).eval())
    [1 0]
    """
    x = as_operand(x)
    return _reduce("min", x, axis, keepdims, x.type.dtype)


def all(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether all elements over axes are true (not 0).

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.all([[1, 0], [2, 3]], axis=1).eval())
    [False  True]
    """
    return _reduce("all", as_operand(x), axis, keepdims, "bool")


def any(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether any element over axes is true (not 0).

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.any([[1, 0], [0, 0]], axis=1).eval())
    [ True False]
    """
    return _reduce("any", as_operand(x), axis, keepdims, "bool")


def _count(x: Any, axes: tuple[int, ...]) -> Any:
    """How many elements a reduction joins: a number if the graph knows, else a scalar made of sizes."""
    return sizes_product([n if n is not None else size_of(x, a) for a, n in enumerate(x.type.shape) if a in axes])


def mean(x: Any, axis: Any = None, dtype: str | None = None, keepdims: bool = False, acc_dtype: Any = None) -> Any:
    """Arithmetic mean over axes; of integers as a float. Arguments as `sum`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.mean([[1., 2.], [3., 5.]], axis=0).eval())
    [2.  3.5]
    """
    x = as_operand(x)
    axis = checked_axes(axis, x, "mean")
    result = dtype_name(dtype or (x.type.dtype if is_continuous(x.type.dtype) else float_of("int64")))
    wide = widened(result)  # the sum may be out of its range
    total = sum(x, axis, dtype=wide, keepdims=keepdims, acc_dtype=acc_dtype)
    count = _count(x, axis)
    return cast(total / (scalar_constant(count, wide) if isinstance(count, int) else cast(count, wide)), result)


def var(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False) -> Any:
    """Variance over axes: the mean of squared deviations; the divisor is the count minus `ddof`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.var([1., 3.], ddof=1).eval())
    2.0
    """
    x = as_operand(x)
    axis = checked_axes(axis, x, "var")
    deviation = x - mean(x, axis, keepdims=True)
    total = sum(square_of_modulus(deviation), axis, keepdims=keepdims)
    count = _count(x, axis) - whole_number(ddof, "var", "ddof")
    variance = total / (scalar_constant(count, total.type.dtype) if isinstance(count, int) else
                        cast(count, total.type.dtype))  # fmt: skip
    if corrected:
        error = mean(deviation, axis, keepdims=keepdims)
        variance = variance - square_of_modulus(error)
    return variance


def square_of_modulus(x: Any) -> Any:
    """Return ``x * conj(x)``, which is real, so that sums of squares are recognized."""
    return sqr(real(x)) + sqr(imag(x)) if is_complex(x.type.dtype) else sqr(x)


def std(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False) -> Any:
    """Standard deviation over axes, the square root of `var`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.std([1., 3.]).eval())
    1.0
    """
    x = as_operand(x)
    return sqrt(var(x, checked_axes(axis, x, "std"), ddof, keepdims, corrected))


def _arg(function: str, x: Any, axis: Any, keepdims: bool) -> Any:
    x = as_operand(x)
    return ArgExtreme(function, checked_axes(axis, x, function), bool(keepdims))(x)


def argmax(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Position of the largest element along `axis` (the first at a tie), as int64; None: of the flattened tensor.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.argmax([[1, 5, 2], [7, 0, 7]], axis=1).eval())
    [1 0]
    """
    return _arg("argmax", x, axis, keepdims)


def argmin(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Position of the smallest element along `axis` (the first at a tie), as int64; None: of the flattened tensor.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.argmin([[1, 5, 2], [7, 0, 7]], axis=1).eval())
    [0 1]
    """
    return _arg("argmin", x, axis, keepdims)


def max_and_argmax(x: Any, axis: Any = None, keepdims: bool = False) -> tuple[Any, Any]:
    """Return `max` and `argmax`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> largest, where = T.max_and_argmax([3, 8, 5])
    >>> print(largest.eval(), where.eval())
    8 1
    """
    return max(x, axis, keepdims), argmax(x, axis, keepdims)


def ptp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Range of values over axes: largest minus smallest.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.ptp([[1, 5], [7, 0]], axis=1).eval())
    [4 7]
    """
    x = as_operand(x)
    axis = checked_axes(axis, x, "ptp")
    return max(x, axis, keepdims) - min(x, axis, keepdims)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """``log(sum(exp(x)))`` over axes, without overflow.

    Computed as ``m + log(sum(exp(x - m)))`` with the largest element m, which is the result where it is infinite.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.logsumexp([1000., 1000.]).eval().round(2))
    1000.69
    """
    x = as_operand(x)
    axis = checked_axes(axis, x, "logsumexp")
    largest = StopGradient()(max(x, axis, keepdims=True))
    total = log(sum(exp_(x - largest), axis, keepdims=True)) + largest
    total = switch(isinf(largest), largest, total)
    if keepdims:
        return total
    return dimshuffle(total, *[number for number in range(x.type.ndim) if number not in axis])


def norm(x: Any, ord: Any = 2, axis: Any = None, keepdims: bool = False) -> Any:
    """The `ord`-norm of the elements over axes.

    Parameters
    ----------
    x : tensor
        Any dtype.
    ord : number, 'fro' or None
        1 sums moduli, 2 (also ``'fro'`` and None) is the root of the sum of squares, inf is the largest modulus, -inf
        the smallest, 0 counts what isn't 0; any other number p is ``sum(abs(x) ** p) ** (1 / p)``.
    axis : int, sequence of int or None
        Axes to take away; None is all.
    keepdims : bool
        Whether the axes stay, with size 1.

    Returns
    -------
    tensor
        Of floats. At zero the gradient of the 2-norm is nan.

    Raises
    ------
    ValueError
        If `ord` is nothing of that.

    Notes
    -----
    Keeps the behaviour of the method ``norm`` of Theano's tensors.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.norm([3., -4.]).eval())
    5.0
    """
    x = as_operand(x)
    axis = checked_axes(axis, x, "norm")
    x = x if is_continuous(x.type.dtype) else cast(x, float_of(x.type.dtype))
    if ord in (2, "fro", None):
        return sqrt(sum(square_of_modulus(x), axis, keepdims=keepdims))
    if not isinstance(ord, int | float | np.number):
        raise user_error(ValueError, f"norm has no ord {ord!r}", [x], "It is a number, or 'fro'.")
    if ord == 1:
        return sum(abs_(x), axis, keepdims=keepdims)
    if ord == 0:
        return sum(cast(neq(x, 0), real_of(x.type.dtype)), axis, keepdims=keepdims)
    if ord in (float("inf"), float("-inf")):
        return (max if ord > 0 else min)(abs_(x), axis, keepdims)
    return power(sum(power(abs_(x), ord), axis, keepdims=keepdims), 1 / ord)


__all__ = [
    "all", "any", "argmax", "argmin", "logsumexp", "max", "max_and_argmax", "mean", "min", "norm", "prod", "ptp",
    "std", "sum", "var",
]  # fmt: skip
