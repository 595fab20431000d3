"""The elementwise functions: one declaration each.

Under each declaration stand its partial derivatives: called with the inputs and the output, the function returns for
each input a variable, a number, a `Chosen`, an `Over`, or None where the derivative is zero or doesn't exist.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.graph.variables import Constant
from symgrad.kernels import scalar_functions
from symgrad.ops.comparison import and_, eq, ge, gt, le, lt, or_
from symgrad.ops.complex_numbers import Along
from symgrad.ops.elementwise_op import (
    Chosen,
    Over,
    arithmetic,
    elementwise,
    floating,
    modulus,
    numeric,
    quotient,
    selection,
)
from symgrad.ops.promotion import as_operand, is_complex

REALS = "iubf"
SIGNED = "iufc"


@dataclass(frozen=True)
class _RectifySlope:
    """The derivative of `rectify` at `x`; the cotangent passes through in one operation."""

    x: Any

    def apply(self, cotangent: Any) -> Any:
        return rectify_gradient(self.x, cotangent)


# ---- arithmetic -----------------------------------------------------------------------------------------------------


@elementwise(np.add, arithmetic, symbol="+")
def add(x, y, output):
    """Sum ``x + y``. On bools: or."""
    return 1, 1


@elementwise(np.subtract, arithmetic, kinds=SIGNED, symbol="-")
def subtract(x, y, output):
    """Difference ``x - y``. Not defined for bools."""
    return 1, -1


@elementwise(np.multiply, arithmetic, symbol="*")
def multiply(x, y, output):
    """Product ``x * y``. On bools: and."""
    return y, x


@elementwise(np.true_divide, quotient, symbol="/", domain=(0.3, 2))
def true_divide(x, y, output):
    """Quotient ``x / y``, as a float: integers become ``floatX`` first (under both cast policies)."""
    return Over(y), -output / y


@elementwise(np.floor_divide, numeric, kinds=REALS, symbol="//", domain=(0.3, 2))
def floor_divide(x, y, output):
    """Quotient rounded towards minus infinity, ``floor(x / y)``."""
    return None, None


@elementwise(np.remainder, numeric, kinds=REALS, symbol="%", domain=(0.3, 2))
def mod(x, y, output):
    """Remainder of `floor_divide`, with the sign of `y`."""
    return 1, -floor_divide(x, y)


@elementwise(np.power, numeric, symbol="**", domain=(0.3, 2))
def power(x, y, output):
    """Power ``x ** y``."""
    slope = y * x ** (y - 1)
    if not (isinstance(y, Constant) and np.all(y.data)):
        slope = switch(eq(y, 0), 0, slope)
    return slope, output * switch(eq(x, 0), 0, log(x))


@elementwise(np.negative, arithmetic, kinds=SIGNED)
def negative(x, output):
    """Negation ``-x``. Not defined for bools."""
    return -1


@elementwise(np.reciprocal, floating, domain=(0.3, 2))
def reciprocal(x, output):
    """Reciprocal ``1 / x``, as a float."""
    return -output * output


@elementwise(np.absolute, modulus)
def abs_(x, output):
    """Absolute value; of complex numbers the modulus, a float. The derivative at 0 is 0."""
    if is_complex(x.type.dtype):
        return Along(x / switch(eq(output, 0), 1, output))
    return sign(x)


@elementwise(np.sign, arithmetic, kinds="iuf")
def sign(x, output):
    """Sign: -1, 0 or 1."""
    return None


@elementwise(np.square, numeric)
def sqr(x, output):
    """Square ``x * x``."""
    return 2 * x


@elementwise(np.sqrt, floating, domain=(0.1, 2))
def sqrt(x, output):
    """Square root. The derivative at 0 is inf."""
    return Over(2 * output)


# ---- rounding -------------------------------------------------------------------------------------------------------


@elementwise(np.floor, arithmetic, kinds=REALS)
def floor(x, output):
    """Largest integer not above `x`, in the dtype of `x`."""
    return None


@elementwise(np.ceil, arithmetic, kinds=REALS)
def ceil(x, output):
    """Smallest integer not below `x`, in the dtype of `x`."""
    return None


@elementwise(np.trunc, arithmetic, kinds=REALS)
def trunc(x, output):
    """`x` without its fraction, in the dtype of `x`."""
    return None


@elementwise(np.rint, floating)
def rint(x, output):
    """Nearest integer, halves to even."""
    return None


# ---- exponentials and logarithms ------------------------------------------------------------------------------------


@elementwise(np.exp, floating)
def exp(x, output):
    """Exponential ``e ** x``."""
    return output


@elementwise(np.exp2, floating, kinds=REALS)
def exp2(x, output):
    """Power of two ``2 ** x``."""
    return output * math.log(2)


@elementwise(np.expm1, floating)
def expm1(x, output):
    """``exp(x) - 1``, exact for small `x`."""
    return exp(x)


@elementwise(np.log, floating, domain=(0.1, 3))
def log(x, output):
    """Natural logarithm."""
    return Over(x)


@elementwise(np.log2, floating, domain=(0.1, 3))
def log2(x, output):
    """Logarithm to base 2."""
    return Over(x * math.log(2))


@elementwise(np.log10, floating, domain=(0.1, 3))
def log10(x, output):
    """Logarithm to base 10."""
    return Over(x * math.log(10))


@elementwise(np.log1p, floating, domain=(-0.8, 2))
def log1p(x, output):
    """``log(1 + x)``, exact for small `x`."""
    return Over(1 + x)


@elementwise(np.logaddexp, floating, kinds=REALS)
def logaddexp(x, y, output):
    """``log(exp(x) + exp(y))`` without overflow."""
    return sigmoid(x - y), sigmoid(y - x)


# ---- trigonometry and hyperbolic functions --------------------------------------------------------------------------


@elementwise(np.sin, floating)
def sin(x, output):
    """Sine."""
    return cos(x)


@elementwise(np.cos, floating)
def cos(x, output):
    """Cosine."""
    return -sin(x)


@elementwise(np.tan, floating, domain=(-1.2, 1.2))
def tan(x, output):
    """Tangent."""
    return 1 + sqr(output)


@elementwise(np.arcsin, floating, domain=(-0.9, 0.9))
def arcsin(x, output):
    """Inverse sine."""
    return Over(sqrt(1 - sqr(x)))


@elementwise(np.arccos, floating, domain=(-0.9, 0.9))
def arccos(x, output):
    """Inverse cosine."""
    return -1 / sqrt(1 - sqr(x))


@elementwise(np.arctan, floating)
def arctan(x, output):
    """Inverse tangent."""
    return Over(1 + sqr(x))


@elementwise(np.arctan2, floating, kinds=REALS)
def arctan2(x, y, output):
    """Angle of the point (`y`, `x`): inverse tangent of ``x / y`` in the right quadrant."""
    norm = sqr(x) + sqr(y)
    return y / norm, -x / norm


@elementwise(np.sinh, floating)
def sinh(x, output):
    """Hyperbolic sine."""
    return cosh(x)


@elementwise(np.cosh, floating)
def cosh(x, output):
    """Hyperbolic cosine."""
    return sinh(x)


@elementwise(np.tanh, floating)
def tanh(x, output):
    """Hyperbolic tangent."""
    return 1 - sqr(output)


@elementwise(np.arcsinh, floating)
def arcsinh(x, output):
    """Inverse hyperbolic sine."""
    return Over(sqrt(sqr(x) + 1))


@elementwise(np.arccosh, floating, domain=(1.2, 3))
def arccosh(x, output):
    """Inverse hyperbolic cosine."""
    if is_complex(x.type.dtype):  # the root of the product would be on the wrong side for a negative real part
        return Over(sqrt(x - 1) * sqrt(x + 1))
    return Over(sqrt(sqr(x) - 1))


@elementwise(np.arctanh, floating, domain=(-0.9, 0.9))
def arctanh(x, output):
    """Inverse hyperbolic tangent."""
    return Over(1 - sqr(x))


@elementwise(np.deg2rad, floating, kinds=REALS)
def deg2rad(x, output):
    """Degrees to radians."""
    return math.pi / 180


@elementwise(np.rad2deg, floating, kinds=REALS)
def rad2deg(x, output):
    """Radians to degrees."""
    return 180 / math.pi


# ---- activations and special functions ------------------------------------------------------------------------------


@elementwise("scipy.special:expit", floating, kinds=REALS)
def sigmoid(x, output):
    """Logistic function ``1 / (1 + exp(-x))``."""
    return output * (1 - output)


@elementwise(scalar_functions.softplus, floating, kinds=REALS)
def softplus(x, output):
    """``log(1 + exp(x))`` without overflow."""
    return sigmoid(x)


@elementwise(scalar_functions.relu, arithmetic, kinds="iuf")
def rectify(x, output):
    """``max(x, 0)``. The derivative at 0 is 0.5, as in Theano."""
    return _RectifySlope(x)


@elementwise(scalar_functions.rectify_gradient, arithmetic, kinds="iuf")
def rectify_gradient(x, cotangent, output):
    """``cotangent * step(x)``: the cotangent where `x` is positive, half of it at 0, and 0 elsewhere."""
    return None, step(x)


@elementwise(scalar_functions.step, floating, kinds=REALS)
def step(x, output):
    """Step function: 0 below 0, 0.5 at 0, 1 above; the derivative of `rectify`."""
    return None


@elementwise("scipy.special:erf", floating, kinds=REALS)
def erf(x, output):
    """Error function ``2 / sqrt(pi) * integral of exp(-t * t) from 0 to x``."""
    return (2 / math.sqrt(math.pi)) * exp(-sqr(x))


@elementwise("scipy.special:erfc", floating, kinds=REALS)
def erfc(x, output):
    """Complement of the error function, ``1 - erf(x)``, exact for large `x`."""
    return (-2 / math.sqrt(math.pi)) * exp(-sqr(x))


# ---- choices --------------------------------------------------------------------------------------------------------


@elementwise(np.maximum, arithmetic, kinds=REALS)
def maximum(x, y, output):
    """The larger operand; nan if either is. At a tie the whole gradient goes to the first."""
    first = ge(x, y)
    return Chosen(first), Chosen(first, negated=True)


@elementwise(np.minimum, arithmetic, kinds=REALS)
def minimum(x, y, output):
    """The smaller operand; nan if either is. At a tie the whole gradient goes to the first."""
    first = le(x, y)
    return Chosen(first), Chosen(first, negated=True)


@elementwise(np.clip, arithmetic, kinds="iuf")
def clip(x, low, high, output):
    """`x` limited to the range from `low` to `high` (which wins over `low`). The derivative at both edges is 1."""
    inside = and_(ge(x, low), le(x, high))
    return Chosen(inside), Chosen(and_(lt(x, low), le(low, high))), Chosen(or_(gt(x, high), gt(low, high)))


@elementwise(scalar_functions.switch, selection)
def switch(condition, yes, no, output):
    """`yes` where `condition` holds (isn't 0), else `no`; both are computed."""
    return None, Chosen(condition), Chosen(condition, negated=True)


# ---- functions made of these ----------------------------------------------------------------------------------------


def relu(x: Any, alpha: Any = 0) -> Any:
    """Rectified linear function: `x` where positive, ``alpha * x`` elsewhere.

    Parameters
    ----------
    x : tensor
        Any real dtype and shape.
    alpha : number or tensor
        Slope for negative `x`.

    Returns
    -------
    tensor
        Same shape as `x`. The derivative at 0 is ``(1 + alpha) / 2``, as in Theano's ``nnet.relu``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.relu([-2., 3.], alpha=0.5).eval())
    [-1.  3.]
    """
    x = as_operand(x)
    alpha = alpha if isinstance(alpha, int | float) else as_operand(alpha)
    if isinstance(alpha, int | float) and alpha == 0:
        return rectify(x)
    return 0.5 * (1 + alpha) * x + 0.5 * (1 - alpha) * abs_(x)


sub = subtract
mul = multiply
true_div = true_divide
int_div = floor_divide
floor_div = floor_divide
pow = power
neg = negative
inv = reciprocal
square = sqr
sgn = sign
where = switch
abs = abs_

__all__ = [
    "abs", "abs_", "add", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "ceil", "clip",
    "cos", "cosh", "deg2rad", "erf", "erfc", "exp", "exp2", "expm1", "floor", "floor_div", "floor_divide",
    "int_div", "inv", "log", "log1p", "log2", "log10", "logaddexp", "maximum", "minimum", "mod", "mul", "multiply",
    "neg", "negative", "pow", "power", "rad2deg", "reciprocal", "rectify", "rectify_gradient", "relu", "rint",
    "sgn", "sigmoid", "sign", "sin", "sinh", "softplus", "sqr", "sqrt", "square", "step", "sub",
    "subtract", "switch", "tan", "tanh", "true_div", "true_divide", "trunc", "where",
]  # fmt: skip
