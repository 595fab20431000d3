"""Powers of floats: ``exp(y log x)`` with a logarithm of some 66 bits.

``log x = e ln 2 + 2 artanh s`` with ``s = f / (2 + f)``; s, its square and the first two terms of the series are kept
in two parts each. float32 needs no more than a float64 logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from symgrad.backends.native.llvm.text import Value
from symgrad.backends.native.mathematics.arithmetic import Arithmetic
from symgrad.backends.native.mathematics.exponential import exp, exp_of_sum
from symgrad.backends.native.mathematics.logarithm import log, normal_parts
from symgrad.backends.native.mathematics.rounding import rint

_SERIES = (
    0.4000000000000229, 0.285714285700834, 0.22222222522877103, 0.18181784101850773, 0.15386769878507578,
    0.1325651788974786, 0.13199182130838238,
)  # fmt: skip
"""``((2 artanh s / s - 2) / s**2 - 2 / 3) / s**2`` in ``s**2``."""

_TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)
_LN2 = (0.6931471805592082, 7.371002565167799e-13)
"""The first part has 40 bits."""

_Pair = tuple[Value, Value]


def _sum(m: Arithmetic, a: Value, b: Value) -> _Pair:
    """Return ``a + b`` and what its rounding lost, for any two numbers."""
    total = m.add(a, b)
    of_b = m.subtract(total, a)
    return total, m.add(m.subtract(a, m.subtract(total, of_b)), m.subtract(b, of_b))


def _product(m: Arithmetic, a: Value, b: Value) -> _Pair:
    """Return ``a * b`` and what its rounding lost, by halves, since not every processor fuses."""
    total = m.multiply(a, b)
    (a_high, a_low), (b_high, b_low) = _halves(m, a), _halves(m, b)
    rest = m.subtract(m.multiply(a_high, b_high), total)
    rest = m.add(m.add(rest, m.multiply(a_high, b_low)), m.multiply(a_low, b_high))
    return total, m.add(rest, m.multiply(a_low, b_low))


def _halves(m: Arithmetic, a: Value) -> _Pair:
    high = m.from_bits(m.integers("and", m.bits(a), -(1 << 27)))
    return high, m.subtract(a, high)


def _pair_product(m: Arithmetic, a: _Pair, b: _Pair) -> _Pair:
    """Return the product of two numbers in two parts each."""
    total, rest = _product(m, a[0], b[0])
    return total, m.add(rest, m.add(m.multiply(a[0], b[1]), m.multiply(a[1], b[0])))


def _logarithm(m: Arithmetic, x: Value) -> _Pair:
    """Return the logarithm of a positive finite number in two parts."""
    exponent, f = normal_parts(m, x)
    below = m.add(f, 2.0)
    below_low = m.subtract(f, m.subtract(below, 2.0))
    ratio = m.divide(f, below)
    product, lost = _product(m, ratio, below)
    rest = m.subtract(m.subtract(m.subtract(f, product), lost), m.multiply(ratio, below_low))
    s = ratio, m.divide(rest, below)
    square = _pair_product(m, s, s)
    third = _pair_product(m, square, (m.constant(_TWO_THIRDS[0]), m.constant(_TWO_THIRDS[1])))
    tail = m.multiply(m.multiply(square[0], square[0]), m.polynomial(square[0], _SERIES))
    high, low = _sum(m, third[0], tail)
    head, head_low = _sum(m, m.constant(2.0), high)
    factor = head, m.add(head_low, m.add(low, third[1]))
    of_fraction = _pair_product(m, s, factor)
    total, lost = _sum(m, m.multiply(exponent, _LN2[0]), of_fraction[0])
    rest = m.add(lost, m.fma(exponent, _LN2[1], of_fraction[1]))
    whole = m.add(total, rest)
    return whole, m.add(m.subtract(total, whole), rest)


def _of_positive(m: Arithmetic, x: Value, y: Value) -> Value:
    """Return ``x ** y`` for a positive finite x and a finite y."""
    logarithm = _logarithm(m, x)
    # Such a y makes every power of a number other than 1 zero or infinite.
    y = m.at_most(m.at_least(y, -(2.0**66)), 2.0**66)
    high, low = _product(m, logarithm[0], y)
    low = m.add(low, m.multiply(logarithm[1], y))
    low = m.select(m.less(m.absolute(high), 1000.0), low, 0.0)
    return exp_of_sum(m, high, low, m.constant(1.0))


def power(m: Arithmetic, x: Value, y: Value) -> Value:
    """Power."""
    if m.is_single:
        wide = m.widened(x), m.widened(y)
        m = m.double()
        size = m.absolute(wide[0])
        return m.narrowed(_signed(m, *wide, exp(m, m.multiply(wide[1], log(m, size)))))
    size = m.absolute(x)
    is_ordinary = m.function.binary("and", m.less(0.0, size), m.less(size, math.inf))
    ordinary = _of_positive(m, m.select(is_ordinary, size, 1.0), y)
    # 0 and infinity become one or the other.
    is_infinite = m.function.binary("xor", m.less(y, 0.0), m.less(1.0, size))
    extreme = m.select(is_infinite, math.inf, 0.0)
    return _signed(m, x, y, m.select(is_ordinary, ordinary, extreme))


def _signed(m: Arithmetic, x: Value, y: Value, power_of_size: Value) -> Value:
    """Return the power of x, given that of ``|x|`` where neither is 1, 0 or nan."""
    function = m.function
    is_whole = m.equal(rint(m, y), y)
    half = m.multiply(y, 0.5)
    is_odd = function.binary("and", is_whole, function.compare("one", rint(m, half), half))
    size = m.absolute(x)
    result = m.select(m.equal(size, 1.0), 1.0, power_of_size)
    is_negative = function.compare("slt", m.bits(x), m.integer(0))
    result = m.select(function.binary("and", is_odd, is_negative), m.negate(result), result)
    has_none = function.binary("and", m.less(x, 0.0), m.less(size, math.inf))
    has_none = function.binary("and", has_none, function.binary("xor", is_whole, m.function.compare("ord", y, y)))
    result = m.select(has_none, math.nan, result)
    result = m.select(function.compare("uno", x, y), math.nan, result)
    is_one = function.binary("or", m.equal(x, 1.0), m.equal(y, 0.0))
    return m.select(is_one, 1.0, result)


FUNCTIONS: dict[str, Callable[..., Value]] = {"power": power}
