"""Logarithms and what is made of them.

A positive number is ``2**e (1 + f)`` with ``1 + f`` from ``sqrt(1/2)`` to ``sqrt(2)``, by integer operations on its
bits. In float32 ``log(1 + f) = f - f**2 / 2 + f**3 P(f)``; in float64, as in K. C. Ng's FDLIBM (Sun Microsystems,
1993), ``f - (h - s (h + z R(z)))`` with ``h = f**2 / 2``, ``s = f / (2 + f)`` and ``z = s**2``. The polynomials are
minimax in the relative error of ``log(1 + f)``. ``ln 2`` is added in two parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from symgrad.backends.native.llvm.text import Value
from symgrad.backends.native.mathematics.arithmetic import Arithmetic
from symgrad.backends.native.mathematics.exponential import exp

_LN2_SINGLE = (0.693145751953125, 1.4286068203094172e-06)
_LN2_DOUBLE = (0.6931471803691238, 1.9082149292705877e-10)

_SINGLE = (
    0.3333331048488617, -0.25000321865081787, 0.20002509653568268, -0.16651158034801483, 0.1419738084077835,
    -0.12681357562541962, 0.12333831936120987, -0.10241958498954773, 0.04010065272450447,
)  # fmt: skip
"""P, from the constant term."""

_DOUBLE = (
    0.6666666666666735, 0.39999999999408736, 0.2857142874391388, 0.22222198398572085, 0.18183574238450106,
    0.15313777258886627, 0.14798868160447035,
)  # fmt: skip
"""R, from the constant term."""

_LOG2_E = (1.4426950407214463, 1.6751713164886512e-10)
_LOG10_E = (0.4342944818781689, 2.5082946711645275e-11)
_LOG10_2 = (0.3010299955494702, 1.1451100898021838e-10)
"""In two parts; the first has 32 bits."""


def _parts(m: Arithmetic, x: Value) -> tuple[Value, Value, Value]:
    """Return e, f and the biased exponent as an integer, of a positive normal number."""
    bits = m.precision.mantissa_bits
    half = m.bits_of(math.sqrt(0.5))
    moved = m.integers("add", m.bits(x), (m.precision.bias << bits) - half)
    biased = m.integers("lshr", moved, bits)
    mantissa = m.integers("add", m.integers("and", moved, (1 << bits) - 1), half)
    # An integer in the low bits of 2**mantissa_bits: a conversion that every processor has for vectors.
    number = m.from_bits(m.integers("or", biased, m.bits_of(2.0**bits)))
    exponent = m.subtract(number, 2.0**bits + m.precision.bias)
    return exponent, m.subtract(m.from_bits(mantissa), 1.0), biased


def normal_parts(m: Arithmetic, x: Value) -> tuple[Value, Value]:
    """Return e and f of a positive number that may be subnormal."""
    bits = m.precision.mantissa_bits
    is_subnormal = m.less(x, 2.0 ** (1 - m.precision.bias))
    exponent, f, _ = _parts(m, m.select(is_subnormal, m.multiply(x, 2.0**bits), x))
    return m.select(is_subnormal, m.subtract(exponent, float(bits)), exponent), f


def _correction(m: Arithmetic, f: Value) -> Value:
    """Return ``log(1 + f) - f``; of double precision its negative, which rounds better there."""
    square = m.multiply(f, f)
    if m.is_single:
        tail = m.multiply(m.multiply(square, f), m.polynomial(f, _SINGLE))
        return m.fma(square, -0.5, tail)
    half_square = m.multiply(square, 0.5)
    ratio = m.divide(f, m.add(f, 2.0))
    z = m.multiply(ratio, ratio)
    series = m.multiply(z, m.polynomial(z, _DOUBLE))
    return m.fma(ratio, m.negate(m.add(half_square, series)), half_square)


def _sum(m: Arithmetic, exponent: Value, f: Value) -> Value:
    """Return ``e ln 2 + log(1 + f)``."""
    correction = _correction(m, f)
    if m.is_single:
        high, low = _LN2_SINGLE
        return m.fma(exponent, high, m.add(f, m.fma(exponent, low, correction)))
    high, low = _LN2_DOUBLE
    below = m.subtract(m.subtract(correction, m.multiply(exponent, low)), f)
    return m.subtract(m.multiply(exponent, high), below)


def _at_the_edges(m: Arithmetic, x: Value, result: Value) -> Value:
    """Return the result for positive finite numbers, and what a logarithm is for all others."""
    infinity = m.bits_of(math.inf)
    is_ordinary = m.function.compare("ult", m.integers("sub", m.bits(x), 1), m.integer(infinity - 1))
    other = m.select(m.equal(x, 0.0), -math.inf, m.select(m.less(x, 0.0), math.nan, x))
    return m.select(is_ordinary, result, other)


def log(m: Arithmetic, x: Value) -> Value:
    """Natural logarithm."""
    return _at_the_edges(m, x, _sum(m, *normal_parts(m, x)))


def _with_base(m: Arithmetic, x: Value, scale: tuple[float, float], unit: tuple[float, float]) -> Value:
    """Return the logarithm to another base, of which `scale` is ``1 / ln base`` and `unit` the logarithm of 2."""
    exponent, f = normal_parts(m, x)
    correction = _correction(m, f)
    # log(1 + f) in two parts, the first short enough for an exact product.
    high = m.from_bits(m.integers("and", m.bits(m.subtract(f, correction)), -(1 << 32)))
    low = m.subtract(m.subtract(f, high), correction)
    main = m.multiply(high, scale[0])
    rest = m.fma(low, scale[0], m.fma(m.add(high, low), scale[1], m.multiply(exponent, unit[1])))
    whole = m.multiply(exponent, unit[0])
    total = m.add(whole, main)
    rest = m.add(rest, m.add(m.subtract(whole, total), main))
    return _at_the_edges(m, x, m.add(total, rest))


def log2(m: Arithmetic, x: Value) -> Value:
    """Logarithm to base 2."""
    if m.is_single:
        return m.through_double(log2, x)
    return _with_base(m, x, _LOG2_E, (1.0, 0.0))


def log10(m: Arithmetic, x: Value) -> Value:
    """Logarithm to base 10."""
    if m.is_single:
        return m.through_double(log10, x)
    return _with_base(m, x, _LOG10_E, _LOG10_2)


def log_of_sum(m: Arithmetic, high: Value, low: Value) -> Value:
    """Return ``log(high + low)`` for a positive `high` that is normal or infinite, and a `low` that is small to it."""
    exponent, f, biased = _parts(m, high)
    bits = m.precision.mantissa_bits
    inverse = m.function.subtract(m.integer(2 * m.precision.bias << bits), m.integers("shl", biased, bits))
    # Where the inverse of the power of two would be no normal number, `low` is too small to count.
    scale = m.select(m.less(high, 2.0**100), m.from_bits(inverse), 0.0)
    return _sum(m, exponent, m.fma(low, scale, f))


def log_one_plus(m: Arithmetic, x: Value) -> Value:
    """Return ``log(1 + x)`` for x from 0 to 1; for nan something else."""
    total = m.add(x, 1.0)
    return log_of_sum(m, total, m.subtract(x, m.subtract(total, 1.0)))


def log1p(m: Arithmetic, x: Value) -> Value:
    """``log(1 + x)``."""
    total = m.add(x, 1.0)
    rest_of_one = m.subtract(1.0, m.subtract(total, x))
    rest_of_x = m.subtract(x, m.subtract(total, 1.0))
    low = m.select(m.less(x, 1.0), rest_of_x, rest_of_one)
    return m.with_sign(_at_the_edges(m, total, log_of_sum(m, total, low)), x)


def softplus(m: Arithmetic, x: Value) -> Value:
    """``log(1 + exp(x))``."""
    decaying = exp(m, m.negate(m.absolute(x)))
    return m.add(m.at_least(x, 0.0), log_one_plus(m, decaying))


def logaddexp(m: Arithmetic, x: Value, y: Value) -> Value:
    """``log(exp(x) + exp(y))``."""
    distance = m.select(m.equal(x, y), 0.0, m.subtract(x, y))
    decaying = exp(m, m.negate(m.absolute(distance)))
    result = m.add(m.select(m.less(y, x), x, y), log_one_plus(m, decaying))
    return m.select(m.is_nan(distance), distance, result)


def arcsinh(m: Arithmetic, x: Value) -> Value:
    """Inverse hyperbolic sine: ``log1p(|x| + x**2 / (1 + sqrt(1 + x**2)))``, and ``log(2 |x|)`` for large x."""
    if m.is_single:
        return m.through_double(arcsinh, x)
    size = m.absolute(x)
    is_large = m.less(2.0**60, size)
    square = m.multiply(size, size)
    root = m.sqrt(m.add(square, 1.0))
    small = m.add(size, m.divide(square, m.add(root, 1.0)))
    result = log1p(m, m.select(is_large, size, small))
    return m.with_sign(m.add(result, m.select(is_large, math.log(2), 0.0)), x)


def arccosh(m: Arithmetic, x: Value) -> Value:
    """Inverse hyperbolic cosine: ``log1p(t + sqrt(2 t + t**2))`` with ``t = x - 1``, ``log(2 x)`` for large x."""
    if m.is_single:
        return m.through_double(arccosh, x)
    is_large = m.less(2.0**60, x)
    t = m.subtract(x, 1.0)
    small = m.add(t, m.sqrt(m.fma(t, t, m.add(t, t))))
    result = m.add(log1p(m, m.select(is_large, x, small)), m.select(is_large, math.log(2), 0.0))
    return m.select(m.less(x, 1.0), math.nan, result)


def arctanh(m: Arithmetic, x: Value) -> Value:
    """Inverse hyperbolic tangent: ``log1p(2 |x| / (1 - |x|)) / 2``."""
    if m.is_single:
        return m.through_double(arctanh, x)
    size = m.absolute(x)
    ratio = m.divide(m.add(size, size), m.subtract(1.0, size))
    return m.with_sign(m.multiply(log1p(m, ratio), 0.5), x)


def xlogx(m: Arithmetic, x: Value) -> Value:
    """``x log x``, and 0 at 0."""
    return m.select(m.equal(x, 0.0), 0.0, m.multiply(x, log(m, x)))


def xlogy0(m: Arithmetic, x: Value, y: Value) -> Value:
    """``x log y``, and 0 where x is 0 and y a number."""
    is_zero = m.function.binary("and", m.equal(x, 0.0), m.equal(y, y))
    return m.select(is_zero, 0.0, m.multiply(x, log(m, y)))


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "log": log, "log2": log2, "log10": log10, "log1p": log1p, "softplus": softplus, "logaddexp": logaddexp,
    "arcsinh": arcsinh, "arccosh": arccosh, "arctanh": arctanh, "xlogx": xlogx, "xlogy0": xlogy0,
}  # fmt: skip
