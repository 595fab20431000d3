"""Activation functions that are made of elementwise functions; the compiler makes one loop of each."""

from __future__ import annotations

from typing import Any

from symgrad.ops.casting import as_floats, cast
from symgrad.ops.comparison import gt, lt
from symgrad.ops.elementwise import abs_, clip, expm1, minimum, switch
from symgrad.ops.promotion import scalar_constant

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def elu(x: Any, alpha: Any = 1) -> Any:
    """Exponential linear unit: `x` where positive, ``alpha * (exp(x) - 1)`` elsewhere.

    Parameters
    ----------
    x : tensor
        Any real dtype and shape; integers become floats.
    alpha : number or tensor
        Minus the limit towards minus infinity.

    Returns
    -------
    tensor
        Same shape as `x`. The derivative at 0 is `alpha`.

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.elu``.

    Examples
    --------
    >>> import numpy as np, symgrad.tensor as T
    >>> print(T.nnet.elu(np.array([-1.0, 0.0, 2.0])).eval().round(3))
    [-0.632  0.     2.   ]
    """
    x = as_floats(x)
    return switch(gt(x, 0), x, alpha * expm1(minimum(x, 0)))


def selu(x: Any) -> Any:
    """Scaled `elu` that keeps mean 0 and variance 1 through layers (Klambauer et al., 2017).

    Parameters
    ----------
    x : tensor
        Any real dtype and shape; integers become floats.

    Returns
    -------
    tensor
        ``1.0507 * elu(x, 1.6733)``, with the constants in full.

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.selu``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.nnet.selu([-1., 0., 1.]).eval().round(3))
    [-1.111  0.     1.051]
    """
    return SELU_SCALE * elu(x, SELU_ALPHA)


def softsign(x: Any) -> Any:
    """``x / (1 + abs(x))``, between -1 and 1.

    Parameters
    ----------
    x : tensor
        Any real dtype and shape; integers become floats.

    Examples
    --------
    >>> import numpy as np, symgrad.tensor as T
    >>> print(T.nnet.softsign(np.array([-1.0, 0.0, 3.0])).eval())
    [-0.5   0.    0.75]
    """
    x = as_floats(x)
    return x / (1 + abs_(x))


def hard_sigmoid(x: Any) -> Any:
    """Three straight lines in place of `sigmoid`: ``0.2 * x + 0.5``, limited to the range from 0 to 1.

    Parameters
    ----------
    x : tensor
        Any real dtype and shape; integers become floats.

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.hard_sigmoid``.

    Examples
    --------
    >>> import numpy as np, symgrad.tensor as T
    >>> print(T.nnet.hard_sigmoid(np.array([-3.0, 0.0, 1.0])).eval())
    [0.  0.5 0.7]
    """
    x = as_floats(x)
    slope, middle = [scalar_constant(number, x.type.dtype) for number in (0.2, 0.5)]
    return clip(x * slope + middle, 0, 1)


def ultra_fast_sigmoid(x: Any) -> Any:
    """A quotient, a line and a constant in place of `sigmoid`; it is never further from it than 0.03.

    With ``y = abs(x) / 2``, its distance from 0.5 is half of ``1.5 * y / (1 + y)`` below ``y = 1.7``, of
    ``0.935409070603099 + 0.0458812946797165 * (y - 1.7)`` below 3, and of 0.99505475368673 above.

    Parameters
    ----------
    x : tensor
        Any real dtype and shape; integers become floats.

    Returns
    -------
    tensor
        Same shape. Its derivative is that of these pieces.

    Notes
    -----
    Keeps the values of Theano's ``nnet.ultra_fast_sigmoid``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.nnet.ultra_fast_sigmoid([0.]).eval())
    [0.5]
    """
    x = as_floats(x)
    dtype = x.type.dtype
    half, bend, slope, low, rise, top = [
        scalar_constant(number, dtype)
        for number in (0.5, 1.7, 1.5, 0.935409070603099, 0.0458812946797165, 0.99505475368673)
    ]
    side = cast(switch(lt(x, 0), -1, 1), dtype)
    y = x * half * side  # not abs: its derivative at 0 is 0
    above = switch(lt(y, bend), slope * y / (1 + y), switch(lt(y, 3), low + rise * (y - bend), top))
    return half * (side * above + 1)


__all__ = ["elu", "hard_sigmoid", "selu", "softsign", "ultra_fast_sigmoid"]
