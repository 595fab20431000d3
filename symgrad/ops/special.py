"""Special functions, elementwise: they run through SciPy.

Under each declaration stand its partial derivatives, as in `symgrad.ops.elementwise`.
"""

from __future__ import annotations

import math

from symgrad.graph.op import Undefined
from symgrad.kernels import special_functions
from symgrad.ops.comparison import eq
from symgrad.ops.elementwise import exp, expm1, log, sigmoid, sqr, switch
from symgrad.ops.elementwise_op import Over, elementwise, floating

REALS = "iubf"


# ---- the gamma function and its relatives ---------------------------------------------------------------------------


@elementwise("scipy.special:gamma", floating, kinds=REALS, domain=(0.3, 3))
def gamma(x, output):
    """Gamma function: ``(x - 1)!`` for whole numbers."""
    return output * psi(x)


@elementwise("scipy.special:gammaln", floating, kinds=REALS, domain=(0.3, 3))
def gammaln(x, output):
    """Logarithm of the absolute value of the gamma function."""
    return psi(x)


@elementwise("scipy.special:psi", floating, kinds=REALS, domain=(0.3, 3))
def psi(x, output):
    """Digamma function: the derivative of `gammaln`."""
    return tri_gamma(x)


@elementwise(special_functions.tri_gamma, floating, kinds=REALS, domain=(0.3, 3))
def tri_gamma(x, output):
    """Trigamma function: the derivative of `psi`."""
    return polygamma(2, x)


@elementwise(special_functions.polygamma, floating, kinds=REALS, domain=(0.3, 3), differentiable=False)
def polygamma(order, x, output):
    """Derivative of `psi` of order `order` = 0, 1, 2, ..."""
    return Undefined("polygamma is defined for whole orders only"), polygamma(order + 1, x)


def _gamma_density(k, x):
    """``x ** (k - 1) * exp(-x) / gamma(k)``, the derivative of `gammainc` with respect to x."""
    return exp((k - 1) * log(x) - x - gammaln(k))


_NO_ORDER = Undefined("no derivative with respect to the order is known in closed form")


@elementwise("scipy.special:gammainc", floating, kinds=REALS, domain=(0.3, 3), differentiable=False)
def gammainc(k, x, output):
    """Regularised lower incomplete gamma function: ``integral from 0 to x of t**(k-1) exp(-t) dt / gamma(k)``."""
    return _NO_ORDER, _gamma_density(k, x)


@elementwise("scipy.special:gammaincc", floating, kinds=REALS, domain=(0.3, 3), differentiable=False)
def gammaincc(k, x, output):
    """Regularised upper incomplete gamma function, ``1 - gammainc(k, x)``."""
    return _NO_ORDER, -_gamma_density(k, x)


@elementwise(special_functions.lower_gamma, floating, kinds=REALS, domain=(0.3, 3), differentiable=False)
def gammal(k, x, output):
    """Lower incomplete gamma function: ``integral from 0 to x of t**(k-1) exp(-t) dt``."""
    return _NO_ORDER, exp((k - 1) * log(x) - x)


@elementwise(special_functions.upper_gamma, floating, kinds=REALS, domain=(0.3, 3), differentiable=False)
def gammau(k, x, output):
    """Upper incomplete gamma function: ``integral from x to infinity of t**(k-1) exp(-t) dt``."""
    return _NO_ORDER, -exp((k - 1) * log(x) - x)


@elementwise(special_functions.chi2sf, floating, kinds=REALS, domain=(0.3, 3), differentiable=False)
def chi2sf(x, k, output):
    """Probability that a chi-squared variable with `k` degrees of freedom is above `x`."""
    return -0.5 * _gamma_density(0.5 * k, 0.5 * x), _NO_ORDER


# ---- the error function's relatives ---------------------------------------------------------------------------------


@elementwise("scipy.special:erfinv", floating, kinds=REALS, domain=(-0.9, 0.9))
def erfinv(x, output):
    """Inverse of the error function, for `x` between -1 and 1."""
    return (math.sqrt(math.pi) / 2) * exp(sqr(output))


@elementwise("scipy.special:erfcinv", floating, kinds=REALS, domain=(0.1, 1.9))
def erfcinv(x, output):
    """Inverse of the complementary error function, for `x` between 0 and 2."""
    return (-math.sqrt(math.pi) / 2) * exp(sqr(output))


@elementwise("scipy.special:erfcx", floating, kinds=REALS)
def erfcx(x, output):
    """Scaled complementary error function ``exp(x * x) * erfc(x)``, which doesn't underflow."""
    return 2 * x * output - 2 / math.sqrt(math.pi)


# ---- Bessel functions -----------------------------------------------------------------------------------------------


@elementwise("scipy.special:jv", floating, kinds=REALS, domain=(0.3, 3), differentiable=False)
def jv(order, x, output):
    """Bessel function of the first kind, of real order."""
    return _NO_ORDER, 0.5 * (jv(order - 1, x) - jv(order + 1, x))


@elementwise("scipy.special:j0", floating, kinds=REALS)
def j0(x, output):
    """Bessel function of the first kind of order 0."""
    return -j1(x)


@elementwise("scipy.special:j1", floating, kinds=REALS)
def j1(x, output):
    """Bessel function of the first kind of order 1."""
    return 0.5 * (j0(x) - jv(2, x))


@elementwise("scipy.special:iv", floating, kinds=REALS, domain=(0.3, 3), differentiable=False)
def iv(order, x, output):
    """Modified Bessel function of the first kind, of real order."""
    return _NO_ORDER, 0.5 * (iv(order - 1, x) + iv(order + 1, x))


@elementwise("scipy.special:i0", floating, kinds=REALS)
def i0(x, output):
    """Modified Bessel function of the first kind of order 0."""
    return i1(x)


@elementwise("scipy.special:i1", floating, kinds=REALS)
def i1(x, output):
    """Modified Bessel function of the first kind of order 1."""
    return 0.5 * (i0(x) + iv(2, x))


# ---- logarithms of what may be 0 ------------------------------------------------------------------------------------


@elementwise("scipy.special:logit", floating, kinds=REALS, domain=(0.1, 0.9))
def logit(x, output):
    """Inverse of the logistic function: ``log(x / (1 - x))``."""
    return Over(x * (1 - x))


@elementwise(special_functions.log1mexp, floating, kinds=REALS, domain=(-3, -0.1))
def log1mexp(x, output):
    """``log(1 - exp(x))`` for negative `x`, exact for small and for large ones."""
    return -1 / expm1(-x)


@elementwise(special_functions.xlogx, floating, kinds=REALS, domain=(0.1, 3))
def xlogx(x, output):
    """``x * log(x)``, and 0 at 0."""
    return log(x) + 1


@elementwise("scipy.special:xlogy", floating, kinds=REALS, domain=(0.1, 3))
def xlogy0(x, y, output):
    """``x * log(y)``, and 0 where `x` is 0."""
    return log(y), switch(eq(x, 0), 0, x / y)


digamma = psi
trigamma = tri_gamma
jn = jv
expit = sigmoid
xlogy = xlogy0

__all__ = [
    "chi2sf", "digamma", "erfcinv", "erfcx", "erfinv", "expit", "gamma", "gammainc", "gammaincc", "gammal", "gammaln",
    "gammau", "i0", "i1", "iv", "j0", "j1", "jn", "jv", "log1mexp", "logit", "polygamma", "psi", "tri_gamma",
    "trigamma", "xlogx", "xlogy", "xlogy0",
]  # fmt: skip
