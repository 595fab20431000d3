"""The exponential and what is made of it.

With ``n`` the integer nearest to ``x / ln 2`` and ``r = x - n ln 2``, at most 0.35 in size, ``exp x = 2**n exp r``; the
minimax polynomial for ``exp r`` (Remez exchange in the relative error of the result, coefficients rounded one after the
other) starts with ``1 + r`` exactly. ``ln 2`` is subtracted in two parts, the first so short that ``n`` times it is
exact. ``2**n`` is multiplied in as two factors where the result may be subnormal or overflow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from symgrad.backends.native.llvm.text import Value
from symgrad.backends.native.mathematics.arithmetic import Arithmetic

LOG2_E = 1.4426950408889634
LN_2 = 0.6931471805599453


@dataclass(frozen=True)
class _Table:
    """The constants of one precision.

    Attributes
    ----------
    ln2 : pair of float
        ``ln 2`` in two parts.
    exponential : tuple of float
        ``(exp r - 1 - r) / r**2``, from the constant term.
    hyperbolic_sine : tuple of float
        ``(sinh x - x) / x**3`` in ``x**2``, for x up to 1.
    tangent_numerator, tangent_denominator : tuple of float
        P and Q with ``(tanh x - x) / x**3 = P / Q`` in ``x**2``, for x up to 0.55.
    lowest, highest : float
        Beyond these the exponential is 0 or infinite.
    saturated : float
        From here on ``1 + exp(-x)`` is 1.
    """

    ln2: tuple[float, float]
    exponential: tuple[float, ...]
    hyperbolic_sine: tuple[float, ...]
    tangent_numerator: tuple[float, ...]
    tangent_denominator: tuple[float, ...]
    lowest: float
    highest: float
    saturated: float


_SINGLE = _Table(
    ln2=(0.693145751953125, 1.4286068203094172e-06),
    exponential=(
        0.5, 0.16666540503501892, 0.04166647791862488, 0.008366838097572327, 0.0013933710288256407,
    ),
    hyperbolic_sine=(0.1666666716337204, 0.008333316072821617, 0.00019841419998556376, 2.7915382361243246e-06),
    tangent_numerator=(-0.33333322405815125, -0.0015515901613980532),
    tangent_denominator=(1.0, 0.40464723110198975),
    lowest=-104.0,
    highest=89.0,
    saturated=20.0,
)  # fmt: skip

_DOUBLE = _Table(
    ln2=(0.6931471803691238, 1.9082149292705877e-10),
    exponential=(
        0.5, 0.16666666666666677, 0.04166666666666668, 0.008333333333321428, 0.0013888888888877432,
        0.00019841269886631242, 2.4801587340668924e-05, 2.7557243702649166e-06, 2.755725914106419e-07,
        2.510921428216453e-08, 2.0919526883209687e-09,
    ),
    hyperbolic_sine=(
        0.16666666666666669, 0.00833333333333297, 0.00019841269841531202, 2.755731913037927e-06,
        2.5052126856094766e-08, 1.605700052085293e-10, 7.765897596002476e-13,
    ),
    tangent_numerator=(-0.3333333333333333, -0.020500373620928606, -0.0001992478179865291),
    tangent_denominator=(1.0, 0.46150112086278156, 0.023293429894404354, 0.00020660847319946504),
    lowest=-746.0,
    highest=710.0,
    saturated=40.0,
)  # fmt: skip


def _table(m: Arithmetic) -> _Table:
    return _SINGLE if m.is_single else _DOUBLE


def _reduced(m: Arithmetic, x: Value) -> tuple[Value, Value]:
    """Return the remainder r and n as an integer of which the low bits are right."""
    count, bits = m.nearest_multiple(x, LOG2_E)
    high, low = _table(m).ln2
    return m.fma(count, -low, m.fma(count, -high, x)), bits


def _exponential_of_remainder(m: Arithmetic, r: Value) -> Value:
    return m.polynomial(r, (1.0, 1.0, *_table(m).exponential))


def _less_one_of_remainder(m: Arithmetic, r: Value) -> Value:
    """Return ``exp r - 1``, with a small relative error."""
    return m.fma(m.multiply(r, r), m.polynomial(r, _table(m).exponential), r)


def _scaled(m: Arithmetic, value: Value, exponent: Value) -> Value:
    """Return ``value * 2**exponent`` for any exponent that the bounds allow, rounded once."""
    half = m.integers("lshr", exponent, 1)
    rest = m.integers("sub", exponent, half)
    return m.multiply(m.multiply(value, m.power_of_two(half)), m.power_of_two(rest))


def exp(m: Arithmetic, x: Value) -> Value:
    """Exponential."""
    table = _table(m)
    r, exponent = _reduced(m, m.at_most(m.at_least(x, table.lowest), table.highest))
    return _scaled(m, _exponential_of_remainder(m, r), exponent)


def exp_below_one(m: Arithmetic, x: Value) -> Value:
    """Exponential of what is at most 0, such as logits less the largest of them; 0 where it would be subnormal."""
    r, exponent = _reduced(m, x)
    value = m.multiply(_exponential_of_remainder(m, r), m.power_of_two(exponent))
    return m.select(m.less(x, -86.0 if m.is_single else -707.0), 0.0, value)


def exp_of_sum(m: Arithmetic, high: Value, low: Value, factor: Value) -> Value:
    """Return ``factor * exp(high + low)`` for a `low` that is small, with hardly the error of the factor more."""
    table = _table(m)
    r, exponent = _reduced(m, m.at_most(m.at_least(high, table.lowest), table.highest))
    return _scaled(m, m.fma(factor, _less_one_of_remainder(m, m.add(r, low)), factor), exponent)


def exp2(m: Arithmetic, x: Value) -> Value:
    """Power of two."""
    bound = 160.0 if m.is_single else 1100.0
    x = m.at_most(m.at_least(x, -bound), bound)
    count, exponent = m.nearest(x)
    r = m.multiply(m.subtract(x, count), LN_2)
    return _scaled(m, _exponential_of_remainder(m, r), exponent)


def expm1(m: Arithmetic, x: Value) -> Value:
    """``exp(x) - 1``."""
    table = _table(m)
    r, exponent = _reduced(m, m.at_most(m.at_least(x, -table.saturated), table.highest))
    # Half of it, since 2**128 is no float32.
    scale = m.power_of_two(m.integers("sub", exponent, 1))
    half = m.fma(scale, _less_one_of_remainder(m, r), m.subtract(scale, 0.5))
    return m.with_sign(m.add(half, half), x)


def sigmoid(m: Arithmetic, x: Value) -> Value:
    """``1 / (1 + exp(-x))``, as ``2**-n / (2**-n + exp r)`` with ``-x = n ln 2 + r``; the power is kept normal."""
    table = _table(m)
    shift = 30 if m.is_single else 60
    x = m.at_most(m.at_least(x, table.lowest), table.saturated)
    count, bits = m.nearest_multiple(x, -LOG2_E)
    r = m.fma(count, -table.ln2[1], m.fma(count, -table.ln2[0], m.negate(x)))
    mantissa_bits = m.precision.mantissa_bits
    highest = m.integer((shift + m.precision.bias) << mantissa_bits)
    scale = m.from_bits(m.function.subtract(highest, m.integers("shl", bits, mantissa_bits)))
    # The large terms last: of what is rounded before, little is left.
    denominator = m.add(m.fma(scale, 2.0**-shift, _less_one_of_remainder(m, r)), 1.0)
    return m.multiply(m.divide(scale, denominator), 2.0**-shift)


def tanh(m: Arithmetic, x: Value) -> Value:
    """Hyperbolic tangent: ``1 - 2 / (exp(2 |x|) + 1)``, and for small x ``x + x**3 P(x**2) / Q(x**2)``.

    Both have one division, so one division does for both.
    """
    table = _table(m)
    size = m.absolute(x)
    r, exponent = _reduced(m, m.at_most(m.add(size, size), table.saturated))
    denominator = m.fma(_exponential_of_remainder(m, r), m.power_of_two(exponent), 1.0)
    square = m.multiply(size, size)
    is_small = m.less(size, 0.55)
    small = m.multiply(m.multiply(size, square), m.polynomial(square, table.tangent_numerator))
    numerator = m.select(is_small, small, -2.0)
    denominator = m.select(is_small, m.polynomial(square, table.tangent_denominator), denominator)
    result = m.add(m.select(is_small, size, 1.0), m.divide(numerator, denominator))
    return m.with_sign(result, x)


def _quarter_exponential(m: Arithmetic, size: Value) -> Value:
    """Return ``exp(size) / 4``: sinh and cosh are finite a little longer than exp."""
    r, exponent = _reduced(m, m.at_most(size, _table(m).highest + 1.0))
    return m.multiply(_exponential_of_remainder(m, r), m.power_of_two(m.integers("sub", exponent, 2)))


def cosh(m: Arithmetic, x: Value) -> Value:
    """Hyperbolic cosine."""
    quarter = _quarter_exponential(m, m.absolute(x))
    half = m.add(quarter, m.divide(0.0625, quarter))
    return m.add(half, half)


def sinh(m: Arithmetic, x: Value) -> Value:
    """Hyperbolic sine."""
    size = m.absolute(x)
    quarter = _quarter_exponential(m, size)
    half = m.subtract(quarter, m.divide(0.0625, quarter))
    square = m.multiply(x, x)
    small = m.fma(m.multiply(square, x), m.polynomial(square, _table(m).hyperbolic_sine), x)
    return m.with_sign(m.select(m.less(size, 1.0), small, m.add(half, half)), x)


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "exp": exp, "exp_below_one": exp_below_one, "exp2": exp2, "expm1": expm1, "sigmoid": sigmoid, "tanh": tanh,
    "cosh": cosh, "sinh": sinh,
}  # fmt: skip
