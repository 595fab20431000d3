"""Sine, cosine and tangent: minimax polynomials on an eighth of the circle.

Angles of float32 are reduced in float64, and the tangent is computed there.
"""

from __future__ import annotations

from collections.abc import Callable

from symgrad.backends.native.llvm.text import Value, with_element
from symgrad.backends.native.mathematics.angles import reduced
from symgrad.backends.native.mathematics.arithmetic import Arithmetic

_SINE_SINGLE = (-0.16666655242443085, 0.008332190103828907, -0.00019518380577210337)
_SINE_DOUBLE = (
    -0.16666666666666632, 0.008333333333322441, -0.00019841269829794805, 2.755731367916977e-06,
    -2.5050755155707028e-08, 1.5896579795369716e-10,
)  # fmt: skip
"""``(sin r - r) / r**3`` in ``r**2``."""

_COSINE_SINGLE = (0.04166664555668831, -0.0013887311797589064, 2.4432729333057068e-05)
_COSINE_DOUBLE = (
    0.041666666666666595, -0.001388888888887342, 2.4801587289074612e-05, -2.7557314241103813e-07,
    2.087570880370723e-09, -1.1358924046113629e-11,
)  # fmt: skip
"""``(cos r - 1 + r**2 / 2) / r**4`` in ``r**2``."""

_TANGENT_NUMERATOR = (0.3333333333333313, -0.020538681027673273, 0.0002009530550575416)
_TANGENT_DENOMINATOR = (1.0, -0.46161604308319854, 0.023344514495447628, -0.00020843586765242165)
"""``(tan r - r) / r**3`` in ``r**2``."""


def _reduced(m: Arithmetic, x: Value) -> tuple[Value, Value, Value]:
    """Return the reduced angle in two parts (of float32: one, and 0) and the quadrant, in the type's own width."""
    if not m.is_single:
        return reduced(m, x)
    function = m.function
    wide = with_element(m.kind, "double")
    high, _, quadrant = reduced(Arithmetic(function, wide), function.convert("fpext", x, wide))
    return function.convert("fptrunc", high, m.kind), m.constant(0.0), function.convert(
        "trunc", quadrant, m.integer_kind)  # fmt: skip


def _sine_and_cosine(m: Arithmetic, high: Value, low: Value) -> tuple[Value, Value]:
    """Return sine and cosine of ``high + low``."""
    square = m.multiply(high, high)
    cube = m.multiply(square, high)
    polynomial = m.polynomial(square, _SINE_SINGLE if m.is_single else _SINE_DOUBLE)
    sine = m.add(m.fma(cube, polynomial, low), high)
    polynomial = m.polynomial(square, _COSINE_SINGLE if m.is_single else _COSINE_DOUBLE)
    half_square = m.multiply(square, 0.5)
    near = m.subtract(1.0, half_square)
    error = m.subtract(m.subtract(1.0, near), half_square)
    small = m.fma(m.multiply(square, square), polynomial, m.fma(m.negate(high), low, error))
    return sine, m.add(near, small)


def _quarter_turned(m: Arithmetic, x: Value, quarters: int) -> Value:
    """Return ``sin(x + quarters * pi / 2)``."""
    high, low, quadrant = _reduced(m, x)
    sine, cosine = _sine_and_cosine(m, high, low)
    turned = m.integers("add", quadrant, quarters) if quarters else quadrant
    is_odd = m.function.compare("ne", m.integers("and", turned, 1), m.integer(0))
    chosen = m.select(is_odd, cosine, sine)
    sign = m.integers("shl", m.integers("and", turned, 2), 30 if m.is_single else 62)
    return m.from_bits(m.integers("xor", m.bits(chosen), sign))


def sin(m: Arithmetic, x: Value) -> Value:
    """Sine."""
    return m.select(m.equal(x, 0.0), x, _quarter_turned(m, x, 0))


def cos(m: Arithmetic, x: Value) -> Value:
    """Cosine."""
    return _quarter_turned(m, x, 1)


def tan(m: Arithmetic, x: Value) -> Value:
    """Tangent: ``r + r**3 P / Q`` or, in odd quadrants, ``-Q / (r Q + r**3 P)``, with one division for both."""
    if m.is_single:
        return m.through_double(tan, x)
    high, low, quadrant = reduced(m, x)
    square = m.multiply(high, high)
    numerator = m.multiply(m.multiply(square, high), m.polynomial(square, _TANGENT_NUMERATOR))
    denominator = m.polynomial(square, _TANGENT_DENOMINATOR)
    is_odd = m.function.compare("ne", m.integers("and", quadrant, 1), m.integer(0))
    # The lower part of the angle counts (1 + tan**2) times; its share of the whole is the same in both.
    total = m.fma(high, denominator, m.fma(low, denominator, numerator))
    quotient = m.divide(
        m.select(is_odd, m.negate(denominator), m.fma(low, denominator, numerator)),
        m.select(is_odd, total, denominator),
    )
    result = m.add(quotient, m.select(is_odd, 0.0, high))
    return m.select(m.equal(x, 0.0), x, result)


FUNCTIONS: dict[str, Callable[..., Value]] = {"sin": sin, "cos": cos, "tan": tan}
