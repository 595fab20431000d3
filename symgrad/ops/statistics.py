"""Statistics made of reductions, and windows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from symgrad.config import config
from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.op import user_error
from symgrad.ops.axes import checked_axes, dimshuffle, shape_padleft, squeeze
from symgrad.ops.casting import cast
from symgrad.ops.comparison import eq, invert, isnan, le
from symgrad.ops.complex_numbers import conj
from symgrad.ops.creation import arange
from symgrad.ops.elementwise import maximum, switch
from symgrad.ops.joining import concatenate
from symgrad.ops.linalg import dot
from symgrad.ops.promotion import as_operand, float_of, is_discrete
from symgrad.ops.reduction import all as all_over
from symgrad.ops.reduction import max as max_over
from symgrad.ops.reduction import mean
from symgrad.ops.reduction import min as min_over
from symgrad.ops.reduction import sum as sum_over
from symgrad.ops.shape import flatten
from symgrad.ops.sizes import size_of
from symgrad.ops.sorting import sort


def average(x: Any, axis: Any = None, weights: Any = None, keepdims: bool = False) -> Any:
    """Return the mean over axes, weighted if `weights` are given, as `numpy.average`.

    Parameters
    ----------
    x : tensor
        Any dtype; the average of integers is a float.
    axis : int, sequence of int or None
        Axes to average over; None is all.
    weights : tensor, optional
        Of the sizes of `x`, or a vector along the only axis.
    keepdims : bool
        Whether the axes stay, with size 1.

    Returns
    -------
    tensor
        ``sum(weights * x) / sum(weights)``.

    Raises
    ------
    ShapeError
        If the weights have neither as many axes as `x` nor one along one axis.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dmatrix('x')
    >>> T.average(x, axis=1, weights=[1, 3]).eval({x: [[0, 4], [2, 2]]})
    array([3., 2.])
    """
    x = as_operand(x)
    axes = checked_axes(axis, x, "average")
    if weights is None:
        return mean(x, axes, keepdims=keepdims)
    weights = as_operand(weights, [x.type.dtype])
    if weights.type.ndim != x.type.ndim:
        if weights.type.ndim != 1 or len(axes) != 1:
            fault = "average needs weights with as many axes as x, or a vector along one axis"
            raise user_error(ShapeError, fault, [x, weights])
        weights = dimshuffle(weights, *[0 if place == axes[0] else "x" for place in range(x.type.ndim)])
    total = sum_over(weights * cast(x, float_of(x.type.dtype)), axes, keepdims=keepdims)
    return total / sum_over(weights + 0 * x, axes, keepdims=keepdims)


def median(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Return the middle element along an axis (the mean of the two in the middle), nan if one is nan.

    Parameters
    ----------
    x : tensor
        Any real dtype; the median of integers is a float.
    axis : int or None
        None takes that of all elements.
    keepdims : bool
        Whether the axis stays, with size 1.

    Returns
    -------
    tensor

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dmatrix('x')
    >>> T.median(x, axis=1).eval({x: [[5, 1, 3], [2, 8, 4]]})
    array([3., 4.])
    """
    x = as_operand(x)
    axes = checked_axes(axis, x, "median")
    if axis is not None and len(axes) != 1:
        raise user_error(ShapeError, f"median takes one axis, or None for all elements, got {axis}", [x])
    line, place = (flatten(x), 0) if axis is None else (x, axes[0])
    ordered = sort(cast(line, float_of(line.type.dtype)), place)
    count = size_of(line, place)
    whole = (slice(None),) * place
    low, high, last = [ordered[(*whole, part)] for part in ((count - 1) // 2, count // 2, -1)]
    middle = switch(isnan(last), last, (low + high) / 2)  # nan is sorted behind all numbers
    if not keepdims:
        return middle
    rest = iter(range(middle.type.ndim))
    return dimshuffle(middle, *["x" if number in axes else next(rest) for number in range(x.type.ndim)])


def nansum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the sum over axes of all that isn't nan, as `numpy.nansum`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.nansum([1., float('nan'), 3.]).eval())
    4.0
    """
    x = as_operand(x)
    return sum_over(switch(isnan(x), 0, x), axis, keepdims=keepdims)


def nanmean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the mean over axes of all that isn't nan, as `numpy.nanmean`; nan where nothing is left.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.nanmean([1., float('nan'), 3.]).eval())
    2.0
    """
    x = as_operand(x)
    total = nansum(x, axis, keepdims)
    count = sum_over(cast(invert(isnan(x)), "int64"), axis, keepdims=keepdims)
    return total / cast(count, float_of(x.type.dtype))


def nanmax(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the largest element over axes of all that isn't nan, as `numpy.nanmax`; nan where nothing is left.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.nanmax([1., float('nan'), 3.]).eval())
    3.0
    """
    return _extreme_of_numbers(max_over, as_operand(x), axis, keepdims, -math.inf)


def nanmin(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the smallest element over axes of all that isn't nan, as `numpy.nanmin`; nan where nothing is left.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.nanmin([1., float('nan'), 3.]).eval())
    1.0
    """
    return _extreme_of_numbers(min_over, as_operand(x), axis, keepdims, math.inf)


def _extreme_of_numbers(extreme: Callable[..., Any], x: Any, axis: Any, keepdims: bool, neutral: float) -> Any:
    if is_discrete(x.type.dtype):
        return extreme(x, axis, keepdims)
    found = extreme(switch(isnan(x), neutral, x), axis, keepdims)
    return switch(all_over(isnan(x), axis, keepdims), math.nan, found)


def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
) -> Any:
    """Return the covariance matrix of variables that were observed together.

    Parameters
    ----------
    m : vector or matrix
        Each row is a variable, each column an observation; a vector is one variable.
    y : vector or matrix, optional
        More variables.
    rowvar : bool
        False if each column is a variable.
    bias : bool
        Whether to divide by the number n of observations instead of n - 1.
    ddof : int, optional
        Divide by n - ddof, whatever `bias` says.
    fweights : vector of integers, optional
        How often each observation was made.
    aweights : vector, optional
        How much each observation counts.

    Returns
    -------
    matrix
        A scalar if there is one variable.

    Raises
    ------
    ShapeError
        If `m` or `y` has more than two axes.

    Notes
    -----
    Keeps the behaviour of Theano's ``cov``, which has no weights; they are as in `numpy.cov`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dmatrix('x')
    >>> T.cov(x).eval({x: [[1, 2, 3], [3, 2, 1]]})
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    observed = _variables_in_rows(m, rowvar)
    if y is not None:
        observed = concatenate([observed, _variables_in_rows(y, rowvar)], axis=0)
    ddof = (0 if bias else 1) if ddof is None else ddof
    if not isinstance(ddof, int):
        raise user_error(ValueError, f"cov needs an integer as ddof, got {ddof!r}", [observed])
    kind = observed.type.dtype
    weights = None
    for given in (fweights, aweights):
        if given is not None:
            given = cast(as_operand(given), kind)
            weights = given if weights is None else weights * given
    if weights is None:
        deviation = observed - mean(observed, axis=1, keepdims=True)
        weighted, divisor = deviation, cast(size_of(observed, 1) - ddof, kind)
    else:
        total = sum_over(weights)
        deviation = observed - (sum_over(observed * weights, axis=1) / total).dimshuffle(0, "x")
        weighted = deviation * weights
        lost = ddof if aweights is None else ddof * sum_over(weights * cast(as_operand(aweights), kind)) / total
        divisor = total - lost
    return squeeze(dot(weighted, conj(deviation).T) / divisor)


def _variables_in_rows(x: Any, rowvar: bool) -> Any:
    x = as_operand(x)
    if x.type.ndim > 2:
        raise user_error(ShapeError, "cov takes vectors and matrices", [x])
    x = cast(x, float_of("int64")) if is_discrete(x.type.dtype) else x
    if x.type.ndim < 2:
        return shape_padleft(x, 2 - x.type.ndim)
    return x if rowvar else x.T


def bartlett(M: Any) -> Any:
    """Return the Bartlett window of `M` points: a triangle that begins and ends with 0.

    Parameters
    ----------
    M : int or integer scalar
        Number of points; below 1 the window is empty, and of one point it is 1.

    Returns
    -------
    vector
        Of ``floatX``.

    Raises
    ------
    DTypeError
        If `M` isn't an integer scalar.

    Notes
    -----
    Keeps the behaviour of Theano's ``bartlett``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> T.bartlett(5).eval()
    array([0. , 0.5, 1. , 0.5, 0. ], dtype=float32)
    """
    M = as_operand(M)
    if M.type.ndim or not is_discrete(M.type.dtype):
        raise user_error(DTypeError, "bartlett takes an integer scalar", [M])
    count = maximum(cast(M, "int64"), 0)
    last = cast(maximum(count - 1, 1), config.floatX)
    n = cast(arange(count), config.floatX)
    slope = 2 * n / last
    return switch(eq(count, 1), 1, switch(le(2 * n, last), slope, 2 - slope))


__all__ = ["average", "bartlett", "cov", "median", "nanmax", "nanmean", "nanmin", "nansum"]
