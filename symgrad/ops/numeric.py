"""Functions made of elementwise ones: rounding, whole quotients, closeness, the largest and smallest of several."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

from symgrad.graph.op import user_error
from symgrad.ops.casting import cast, cast_operands
from symgrad.ops.comparison import and_, eq, ge, gt, invert, isfinite, isnan, le, lt, neq, or_, xor
from symgrad.ops.elementwise import abs_, floor_divide, mod, rint, sign, switch, true_divide, trunc
from symgrad.ops.promotion import as_operand, as_operands, is_complex, is_discrete, upcast
from symgrad.ops.reduction import all as all_of
from symgrad.ops.sizes import SpecifyShape

# ---- rounding -------------------------------------------------------------------------------------------------------


def round_half_to_even(x: Any) -> Any:
    """Nearest integer, halves to even, as a float.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.round_half_to_even([0.5, 1.5, 2.5]).eval())
    [0. 2. 2.]
    """
    return rint(x)


def round_half_away_from_zero(x: Any) -> Any:
    """Nearest integer, halves away from zero, in the dtype of `x`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.round_half_away_from_zero([0.5, 1.5, 2.5]).eval())
    [1. 2. 3.]
    """
    x = as_operand(x)
    whole = trunc(x)
    return whole + sign(x) * cast(ge(abs_(x - whole), 0.5), x.type.dtype)


def round(x: Any, mode: str | None = None) -> Any:
    """Return the nearest integers, as floats.

    Parameters
    ----------
    x : tensor
        Any real dtype and shape.
    mode : {'half_to_even', 'half_away_from_zero'}, optional
        Where halves go; by default to the even neighbour.

    Returns
    -------
    tensor
        Its gradient is zero.

    Raises
    ------
    ValueError
        If there is no such mode.

    Notes
    -----
    Keeps the behaviour of Theano's ``round``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dvector('x')
    >>> T.round(x).eval({x: [0.5, 1.5, -2.5]}), T.round(x, "half_away_from_zero").eval({x: [0.5, 1.5, -2.5]})
    (array([ 0.,  2., -2.]), array([ 1.,  2., -3.]))
    """
    if mode in (None, "half_to_even"):
        return round_half_to_even(x)
    if mode == "half_away_from_zero":
        return round_half_away_from_zero(x)
    remedy = "It has half_to_even and half_away_from_zero."
    raise user_error(ValueError, f"round has no mode {mode!r}", [as_operand(x)], remedy)


def iround(x: Any, mode: str = "half_away_from_zero") -> Any:
    """Return the nearest integers as int64; by default halves go away from zero.

    Notes
    -----
    Keeps the behaviour of Theano's ``iround``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.iround([0.5, 1.5, -2.5]).eval())
    [ 1  2 -3]
    """
    return cast(round(x, mode), "int64")


# ---- whole quotients ------------------------------------------------------------------------------------------------


def divmod(x: Any, y: Any) -> tuple[Any, Any]:
    """Return `floor_divide` and `mod` of `x` and `y`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> quotient, rest = T.divmod([7, -7], 2)
    >>> print(quotient.eval(), rest.eval())
    [ 3 -4] [1 1]
    """
    return floor_divide(x, y), mod(x, y)


def ceil_intdiv(x: Any, y: Any) -> Any:
    """Return the quotient of integers rounded upwards.

    Notes
    -----
    Keeps the behaviour of Theano's ``ceil_intdiv``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> n = T.lvector('n')
    >>> T.ceil_intdiv(n, 4).eval({n: [7, 8, 9]})
    array([2, 2, 3])
    """
    quotient = floor_divide(x, y)
    return quotient + cast(neq(mod(x, y), 0), quotient.type.dtype)


def div_proxy(x: Any, y: Any) -> Any:
    """Return the quotient as Python 2 has it: of integers `floor_divide`, of all else `true_divide`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.div_proxy(7, 2).eval())
    3
    """
    x, y = as_operands(x, y)
    whole = is_discrete(x.type.dtype) and is_discrete(y.type.dtype)
    return floor_divide(x, y) if whole else true_divide(x, y)


mod_check = mod

# ---- logic ----------------------------------------------------------------------------------------------------------


def logical_and(x: Any, y: Any) -> Any:
    """Whether both are true (not 0), as `numpy.logical_and`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.logical_and([0, 1, 2], [1, 1, 0]).eval())
    [False  True False]
    """
    return and_(_truth(x), _truth(y))


def logical_or(x: Any, y: Any) -> Any:
    """Whether one or both are true (not 0), as `numpy.logical_or`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.logical_or([0, 1, 2], [0, 1, 0]).eval())
    [False  True  True]
    """
    return or_(_truth(x), _truth(y))


def logical_xor(x: Any, y: Any) -> Any:
    """Whether exactly one is true (not 0), as `numpy.logical_xor`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.logical_xor([0, 1, 2], [0, 1, 0]).eval())
    [False False  True]
    """
    return xor(_truth(x), _truth(y))


def logical_not(x: Any) -> Any:
    """Whether `x` is false (0), as `numpy.logical_not`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.logical_not([0, 1, 2]).eval())
    [ True False False]
    """
    return invert(_truth(x))


def _truth(x: Any) -> Any:
    x = as_operand(x)
    return x if x.type.dtype == "bool" else neq(x, 0)


# ---- closeness ------------------------------------------------------------------------------------------------------


def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Return where ``|a - b| <= atol + rtol * |b|``, elementwise.

    Parameters
    ----------
    a, b : tensor
        What to compare; they broadcast. Integers are compared in float64.
    rtol, atol : float or scalar
        What may differ, relative to `b` and absolutely.
    equal_nan : bool
        Whether nan counts as equal to nan.

    Returns
    -------
    tensor of bool
        Infinities are close to themselves only.

    Notes
    -----
    Keeps the behaviour of Theano's ``isclose``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dvector('x')
    >>> T.isclose(x, 1.0).eval({x: [1.0, 1.000001, 1.1]})
    array([ True,  True, False])
    """
    a, b = as_operands(a, b)
    common = upcast(a.type.dtype, b.type.dtype)
    a, b = cast_operands([a, b], ["float64" if is_discrete(common) else common] * 2)
    near = and_(le(abs_(a - b), atol + rtol * abs_(b)), isfinite(b))
    close = or_(near, eq(a, b))
    return or_(close, and_(isnan(a), isnan(b))) if equal_nan else close


def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Return whether all elements are close; see `isclose`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.allclose([1., 2.], [1., 2.000001]).eval())
    True
    """
    return all_of(isclose(a, b, rtol, atol, equal_nan))


# ---- choices --------------------------------------------------------------------------------------------------------


def smallest(*tensors: Any) -> Any:
    """Return the elementwise smallest of several tensors.

    Notes
    -----
    Keeps the behaviour of Theano's ``smallest``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.lvector('x')
    >>> T.smallest(x, 2, 3 - x).eval({x: [0, 1, 5]})
    array([ 0,  1, -2])
    """
    return _best(lt, tensors, "smallest")


def largest(*tensors: Any) -> Any:
    """Return the elementwise largest of several tensors; see `smallest`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.largest([1, 5], [4, 2], [3, 3]).eval())
    [4 5]
    """
    return _best(gt, tensors, "largest")


def _best(is_better: Callable[[Any, Any], Any], tensors: tuple[Any, ...], name: str) -> Any:
    if not tensors:
        raise user_error(TypeError, f"{name} needs at least one tensor")
    variables = as_operands(*tensors)
    for variable in variables:
        if is_complex(variable.type.dtype):
            raise user_error(TypeError, f"{name} doesn't take complex numbers, which have no order", variables)
    return reduce(lambda best, other: switch(is_better(best, other), best, other), variables)


def default(x: Any, default: Any) -> Any:
    """Return `x` as a tensor, or if it is None, `default`.

    Notes
    -----
    Keeps the behaviour of Theano's ``default`` where it is known while the graph is built whether `x` is None.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.default(None, 5).eval())
    5
    """
    return as_operand(default if x is None else x)


def tensor_copy(x: Any) -> Any:
    """Return another variable of the same value.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.tensor_copy([1, 2]).eval())
    [1 2]
    """
    x = as_operand(x)
    return SpecifyShape((None,) * x.type.ndim)(x)


__all__ = [
    "allclose", "ceil_intdiv", "default", "div_proxy", "divmod", "iround", "isclose", "largest", "logical_and",
    "logical_not", "logical_or", "logical_xor", "mod_check", "round", "round_half_away_from_zero",
    "round_half_to_even", "smallest", "tensor_copy",
]  # fmt: skip
