"""Inverse trigonometric functions: minimax polynomials up to 1/2, and identities that lead there."""

from __future__ import annotations

import math
from collections.abc import Callable

from symgrad.backends.native.llvm.text import Value
from symgrad.backends.native.mathematics.arithmetic import Arithmetic

_ARCTANGENT_SINGLE = (
    -0.333333283662796, 0.19999554753303528, -0.14273102581501007, 0.1094832792878151, -0.08008591085672379,
    0.039033036679029465,
)  # fmt: skip
_ARCTANGENT_DOUBLE = (
    -0.33333333333333315, 0.19999999999993753, -0.14285714284995898, 0.11111111069888066, -0.09090907700017477,
    0.07692277528261543, -0.0666622347893076, 0.05877802011726434, -0.05229963815032294, 0.045892029179543485,
    -0.037111606651954565, 0.023643576861031967, -0.008357821481494599,
)  # fmt: skip
"""``(arctan t - t) / t**3`` in ``t**2``."""

_ARCSINE_SINGLE = (
    0.16666659712791443, 0.07500515878200531, 0.04451518878340721, 0.03182012960314751, 0.01439724862575531,
    0.03756935894489288,
)  # fmt: skip
_ARCSINE_DOUBLE = (
    0.16666666666666763, 0.07499999999970408, 0.04464285717485224, 0.030381942699883157, 0.02237221514969177,
    0.01735160974253668, 0.013980843543327504, 0.01139873975788131, 0.010781205366112464, 0.003702664950208164,
    0.02171726206188929, -0.021014318248371376, 0.03263918970290381,
)  # fmt: skip
"""``(arcsin t - t) / t**3`` in ``t**2``."""

_Pair = tuple[float, float]


def _quarters(m: Arithmetic, count: int) -> _Pair:
    """Return a multiple of ``pi / 4``, up to 4, in two parts."""
    if m.is_single:
        high, low = {1: (0.7853981852531433, -2.1855695000931213e-08), 2: (1.5707963705062866, -4.3711390001862426e-08),
                     3: (2.356194496154785, -5.962440227403018e-09), 4: (3.1415927410125732, -8.742278000372485e-08),
                     }[count]  # fmt: skip
        return high, low
    return count * math.pi / 4, {1: 3.061616997868383e-17, 2: 6.123233995736766e-17, 3: 9.184850993605148e-17,
                                 4: 1.2246467991473532e-16}[count]  # fmt: skip


def _without_first_term(m: Arithmetic, t: Value, square: Value, coefficients: tuple[float, ...]) -> Value:
    return m.multiply(m.multiply(square, t), m.polynomial(square, coefficients))


def _arctangent_tail(m: Arithmetic, t: Value) -> Value:
    """Return ``arctan t - t`` for t up to 1/2 in size."""
    return _without_first_term(
        m, t, m.multiply(t, t), _ARCTANGENT_SINGLE if m.is_single else _ARCTANGENT_DOUBLE)  # fmt: skip


def arctan(m: Arithmetic, x: Value) -> Value:
    """Inverse tangent: of ``(x - 1) / (x + 1)`` from 1/2, of ``-1 / x`` from 2 on."""
    size = m.absolute(x)
    is_large, is_small = m.less(2.0, size), m.less(size, 0.5)
    numerator = m.select(is_small, size, m.select(is_large, -1.0, m.subtract(size, 1.0)))
    denominator = m.select(is_small, 1.0, m.select(is_large, size, m.add(size, 1.0)))
    t = m.divide(numerator, denominator)
    middle, right = _quarters(m, 1), _quarters(m, 2)
    high = m.select(is_small, 0.0, m.select(is_large, right[0], middle[0]))
    low = m.select(is_small, 0.0, m.select(is_large, right[1], middle[1]))
    tail = m.add(_arctangent_tail(m, t), low)
    # The larger of both first: then what its rounding loses is known.
    whole = m.add(high, t)
    lost = m.subtract(t, m.subtract(whole, high))
    return m.with_sign(m.add(whole, m.add(lost, tail)), x)


def arctan2(m: Arithmetic, y: Value, x: Value) -> Value:
    """Angle of the point (x, y): the arctangent of the smaller coordinate over the larger, turned and mirrored."""
    if m.is_single:
        return m.through_double(arctan2, y, x)
    function = m.function
    is_steep = m.less(m.absolute(x), m.absolute(y))
    small = m.select(is_steep, m.absolute(x), m.absolute(y))
    large = m.select(is_steep, m.absolute(y), m.absolute(x))
    is_infinite = m.equal(large, math.inf)
    small = m.select(is_infinite, m.select(m.equal(small, math.inf), 1.0, 0.0), small)
    large = m.select(is_infinite, 1.0, m.select(m.equal(large, 0.0), 1.0, large))
    is_huge = m.less(2.0**1000, large)
    small = m.select(is_huge, m.multiply(small, 0.25), small)
    large = m.select(is_huge, m.multiply(large, 0.25), large)
    is_middle = m.less(m.multiply(large, 0.5), small)
    t = m.divide(m.select(is_middle, m.subtract(small, large), small),
                 m.select(is_middle, m.add(small, large), large))  # fmt: skip
    is_left = function.compare("slt", m.bits(x), m.integer(0))
    # angle = quarters * pi / 4 + t or - t; every mirror changes the sign of t.
    quarters = m.select(is_middle, 1.0, 0.0)
    quarters = m.select(is_steep, m.subtract(2.0, quarters), quarters)
    quarters = m.select(is_left, m.subtract(4.0, quarters), quarters)
    is_mirrored = function.binary("xor", is_steep, is_left)
    t = m.select(is_mirrored, m.negate(t), t)
    high, low = m.multiply(quarters, math.pi / 4), m.multiply(quarters, _quarters(m, 1)[1])
    whole = m.add(high, t)
    lost = m.subtract(t, m.subtract(whole, high))
    angle = m.add(whole, m.add(lost, m.add(_arctangent_tail(m, t), low)))
    return m.select(function.compare("uno", x, y), m.add(x, y), m.with_sign(angle, y))


def _arcsine_parts(m: Arithmetic, x: Value) -> tuple[Value, Value, Value]:
    """Return whether ``|x| < 1/2``, and t and ``arcsin t - t`` with t = |x|, or else ``sqrt((1 - |x|) / 2)``."""
    size = m.absolute(x)
    is_small = m.less(size, 0.5)
    square = m.select(is_small, m.multiply(size, size), m.multiply(m.subtract(1.0, size), 0.5))
    t = m.select(is_small, size, m.sqrt(square))
    return is_small, t, _without_first_term(m, t, square, _ARCSINE_SINGLE if m.is_single else _ARCSINE_DOUBLE)


def arcsin(m: Arithmetic, x: Value) -> Value:
    """Inverse sine: ``pi / 2 - 2 arcsin sqrt((1 - x) / 2)`` from 1/2 on."""
    is_small, t, tail = _arcsine_parts(m, x)
    high, low = _quarters(m, 2)
    first = m.subtract(high, m.add(t, t))
    lost = m.subtract(m.subtract(high, first), m.add(t, t))
    far = m.add(first, m.add(lost, m.subtract(low, m.add(tail, tail))))
    return m.with_sign(m.select(is_small, m.add(t, tail), far), x)


def arccos(m: Arithmetic, x: Value) -> Value:
    """Inverse cosine: ``2 arcsin sqrt((1 - |x|) / 2)`` from 1/2 on, that less than pi below -1/2."""
    is_small, t, tail = _arcsine_parts(m, x)
    is_negative = m.less(x, 0.0)
    # angle = base - factor * (t + tail), where the factor is 1, -1, 2 or -2.
    right, straight = _quarters(m, 2), _quarters(m, 4)
    high = m.select(is_small, right[0], m.select(is_negative, straight[0], 0.0))
    low = m.select(is_small, right[1], m.select(is_negative, straight[1], 0.0))
    factor = m.select(is_small, m.with_sign(m.constant(1.0), x), m.select(is_negative, 2.0, -2.0))
    part, rest = m.multiply(t, factor), m.multiply(tail, factor)
    whole = m.subtract(high, part)
    is_near = m.equal(high, 0.0)
    lost = m.select(is_near, 0.0, m.subtract(m.subtract(high, whole), part))
    return m.add(whole, m.add(lost, m.subtract(low, rest)))


FUNCTIONS: dict[str, Callable[..., Value]] = {"arctan": arctan, "arctan2": arctan2, "arcsin": arcsin, "arccos": arccos}
