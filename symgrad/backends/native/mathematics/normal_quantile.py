"""Normal variates from random bits, operation by operation as `symgrad.kernels.normal_quantile` defines them.

Nothing is fused, so every bit is that of the NumPy backend. Centre and tail are both computed and one is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.backends.native.llvm.text import Value, with_element
from symgrad.backends.native.mathematics.arithmetic import Arithmetic
from symgrad.kernels.normal_quantile import CENTRAL_SQUARE, DOUBLE, SINGLE, TAIL_SHIFT, QuantileTable


def normal_from_bits(m: Arithmetic, bits: Value) -> Value:
    """Return the standard normal variate of each random element, an integer of the type's width."""
    table = SINGLE if m.is_single else DOUBLE
    width = 8 * table.bits_dtype.itemsize
    scale = 2.0 ** -(width + 1)
    sign = m.integers("ashr", bits, width - 1)
    odd = m.integers("or", m.integers("shl", m.integers("xor", bits, sign), 1), 1)
    quantile = m.multiply(m.function.convert("uitofp", odd, m.kind), scale)
    square = m.multiply(quantile, quantile)
    ratio = _ratio(
        m, table.central_numerator, table.central_denominator, m.subtract(CENTRAL_SQUARE, square))  # fmt: skip
    centre = m.multiply(quantile, m.add(m.multiply(square, ratio), table.sqrt_two_pi))
    rest = m.function.subtract(m.integer(0), odd)
    tail = _tail_quantile(m, table, m.multiply(m.function.convert("uitofp", rest, m.kind), scale))
    is_tail = m.function.compare("ugt", odd, m.integer(13 << width - 4))
    return m.with_sign(m.select(is_tail, tail, centre), m.from_bits(sign))


def _natural_logarithm(m: Arithmetic, table: QuantileTable, x: Value) -> Value:
    offset = m.integers("sub", m.bits(x), table.sqrt_half_bits)
    count = m.integers("ashr", offset, table.mantissa_bits)
    # It is small; processors convert 32 bits more readily than 64.
    small = count if m.is_single else m.function.convert("trunc", count, with_element(m.kind, "i32"))
    exponent = m.function.convert("sitofp", small, m.kind)
    mantissa = m.integers("and", offset, (1 << table.mantissa_bits) - 1)
    fraction = m.subtract(m.from_bits(m.integers("add", mantissa, table.sqrt_half_bits)), 1.0)
    ratio = m.divide(fraction, m.add(fraction, 2.0))
    square = m.multiply(ratio, ratio)
    half_square = m.multiply(m.multiply(fraction, 0.5), fraction)
    correction = m.multiply(_polynomial(m, table.logarithm, square), square)
    correction = m.multiply(m.add(correction, half_square), ratio)
    result = m.subtract(fraction, m.subtract(half_square, correction))
    return m.add(m.multiply(exponent, table.ln2), result)


def _tail_quantile(m: Arithmetic, table: QuantileTable, probability: Value) -> Value:
    """Return the point above which a standard normal lies with the given probability."""
    root = m.sqrt(m.negate(_natural_logarithm(m, table, probability)))
    shifted = m.subtract(root, TAIL_SHIFT)
    return m.add(root, _ratio(m, table.tail_numerator, table.tail_denominator, shifted))


def _ratio(m: Arithmetic, numerator: Sequence[float], denominator: Sequence[float], x: Value) -> Value:
    return m.divide(_polynomial(m, numerator, x), _polynomial(m, denominator, x))


def _polynomial(m: Arithmetic, coefficients: Sequence[float], x: Value) -> Value:
    """Return a polynomial by Horner's rule, products and sums rounded each."""
    result = m.multiply(x, coefficients[-1])
    for coefficient in coefficients[-2:0:-1]:
        result = m.multiply(m.add(result, coefficient), x)
    return m.add(result, coefficients[0])
