"""Logarithm and normal quantile from IEEE-exact operations only, so that every backend computes the same bits.

The mathematical functions of C libraries, of NumPy and of CUDA differ in the last bits. Here each result is made of
additions, subtractions, multiplications, divisions, square roots, conversions and integer operations, every one rounded
to nearest, in the order written below; a backend repeats them one by one, and must not contract a product and a sum
into a fused multiply-add. Polynomials are evaluated by Horner's rule: ``(c2 * x + c1) * x + c0``.

**Logarithm.** ``x = 2**e * m`` with ``sqrt(1/2) <= m < sqrt(2)`` by integer operations on the bits of a positive normal
number; then with ``f = m - 1``, ``s = f / (2 + f)``, ``z = s * s``, ``h = (0.5 * f) * f``::

    log x = e * ln2 + (f - (h - s * (h + z * L(z))))

**Normal variate from random bits.** The b-bit element (b = 32 for float32, 64 for float64) is read as a signed integer
``i`` in two's complement; the variate is the standard normal quantile of ``1/2 + (i + 1/2) / 2**b``. With
``a = 2 * (i if i >= 0 else -i - 1) + 1``, an odd integer below ``2**b``::

    a <= 13 * 2**(b - 4):   q = float(a) * 2**-(b+1);        y = q * q;   x = 169/1024 - y
                            |value| = q * (y * (A(x) / B(x)) + sqrt(2 pi))
    otherwise:              t = float(2**b - a) * 2**-(b+1);   r = sqrt(-log t);   x = r - 1.5
                            |value| = r + C(x) / D(x)

and the value is negative where ``i`` is. Both conversions to floating point round to nearest. The tail is converted
from its own integer, so it keeps full relative precision: values reach 6.3 in float32 and 9.1 in float64.

The rational parts are small corrections to a leading term, so that their rounding hardly counts. Their coefficients
are minimax in the relative error of the value (Remez exchange at 50 digits): A/B 1.5e-8 and 1.1e-16, C/D 1.7e-8 and
3.4e-17, before rounding of coefficients and arithmetic. The split into a centre in ``q * q`` and a tail in
``sqrt(-log t)`` follows M. J. Wichura, "Algorithm AS 241", Applied Statistics 37 (1988); the form of the logarithm is
that of K. C. Ng in the freely distributable mathematics library FDLIBM (Sun Microsystems, 1993).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CENTRAL_SQUARE = 169 / 1024
TAIL_SHIFT = 1.5


@dataclass(frozen=True)
class QuantileTable:
    """The constants of one precision; coefficients start with the constant term.

    Attributes
    ----------
    value_dtype, bits_dtype, signed_dtype : numpy.dtype
        The floating point dtype, and the unsigned and signed integers of the same size.
    mantissa_bits : int
        Stored bits of the significand.
    sqrt_half_bits : int
        The bits of ``sqrt(1/2)``.
    ln2, sqrt_two_pi : float
        The natural logarithm of 2 and the square root of 2 pi, rounded.
    logarithm, central_numerator, central_denominator, tail_numerator, tail_denominator : tuple of float
        The polynomials L, A, B, C and D.
    """

    value_dtype: np.dtype
    bits_dtype: np.dtype
    signed_dtype: np.dtype
    mantissa_bits: int
    sqrt_half_bits: int
    ln2: float
    sqrt_two_pi: float
    logarithm: tuple[float, ...]
    central_numerator: tuple[float, ...]
    central_denominator: tuple[float, ...]
    tail_numerator: tuple[float, ...]
    tail_denominator: tuple[float, ...]


SINGLE = QuantileTable(
    value_dtype=np.dtype(np.float32),
    bits_dtype=np.dtype(np.uint32),
    signed_dtype=np.dtype(np.int32),
    mantissa_bits=23,
    sqrt_half_bits=0x3F3504F3,
    ln2=0.6931471824645996,
    sqrt_two_pi=2.5066282749176025,
    logarithm=(0.6666668653488159, 0.39988765120506287, 0.29580509662628174),
    central_numerator=(
        4.469888210296631,
        44.70632553100586,
        73.0320053100586,
    ),
    central_denominator=(
        1.0,
        15.154926300048828,
        57.72650909423828,
        44.05518341064453,
    ),
    tail_numerator=(
        -0.2486269623041153,
        0.521240770816803,
        0.4449694752693176,
        0.07116550952196121,
    ),
    tail_denominator=(
        1.0,
        0.8563308119773865,
        0.16960948705673218,
        8.79959188750945e-05,
    ),
)

DOUBLE = QuantileTable(
    value_dtype=np.dtype(np.float64),
    bits_dtype=np.dtype(np.uint64),
    signed_dtype=np.dtype(np.int64),
    mantissa_bits=52,
    sqrt_half_bits=0x3FE6A09E667F3BCD,
    ln2=0.6931471805599453,
    sqrt_two_pi=2.5066282746310002,
    logarithm=(
        0.666666666666667,
        0.3999999999989918,
        0.2857142862610585,
        0.22222211115879875,
        0.181828903654696,
        0.15331684126925743,
        0.1461687424775015,
    ),
    central_numerator=(
        4.469888707762587,
        123.56590442914973,
        1219.356670071975,
        5179.2013449394235,
        8975.595405981603,
        4702.569609305969,
        95.84390940456535,
    ),
    central_denominator=(
        1.0,
        32.79739777334921,
        405.08831017033407,
        2345.5871166586508,
        6451.597403211504,
        7521.311057828557,
        2625.0820302496973,
    ),
    tail_numerator=(
        -0.24862707094296574,
        0.2034297587561118,
        0.9728044874321436,
        0.904320227113696,
        0.39108468400887997,
        0.09000010850361528,
        0.01095713094088603,
        0.0006266162718487537,
        1.1931134422528836e-05,
    ),
    tail_denominator=(
        1.0,
        2.13460740949749,
        1.8210307448403829,
        0.7979402214237311,
        0.19150912642392048,
        0.02454303150568683,
        0.0014701382964166123,
        2.8801685593249975e-05,
    ),
)


def natural_logarithm(values: NDArray[Any]) -> NDArray[Any]:
    """Return the natural logarithm, the same bits on every machine.

    Parameters
    ----------
    values : ndarray of float32 or float64
        Positive, finite, normal numbers; others give meaningless results.

    Returns
    -------
    ndarray of the same dtype and shape
        Within 1.1 ulp of the exact value in float32, 1.3 ulp in float64.

    Examples
    --------
    >>> round(float(natural_logarithm(np.array([10.0]))[0]), 12)
    2.302585092994
    """
    table = SINGLE if values.dtype == np.float32 else DOUBLE
    signed = table.signed_dtype.type
    offset = np.ascontiguousarray(values).view(table.signed_dtype) - signed(table.sqrt_half_bits)
    exponent: NDArray[Any] = (offset >> signed(table.mantissa_bits)).astype(table.value_dtype)
    offset &= signed((1 << table.mantissa_bits) - 1)
    offset += signed(table.sqrt_half_bits)
    fraction = offset.view(table.value_dtype)
    fraction -= 1.0
    ratio = fraction / (fraction + 2.0)
    square = ratio * ratio
    half_square = (fraction * 0.5) * fraction
    correction = _polynomial(table.logarithm, square)
    correction *= square
    correction += half_square
    correction *= ratio
    np.subtract(half_square, correction, out=correction)
    np.subtract(fraction, correction, out=correction)
    exponent *= table.ln2
    exponent += correction
    return exponent


def normal_from_bits(bits: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    """Write the standard normal variate of each random element; the formula is in the module's docstring.

    Parameters
    ----------
    bits : ndarray of uint32 or uint64, shape (m,)
        Independent random bits; used as scratch.
    out : ndarray of float32 or float64 (the same size as the bits), shape (m,)
        Where to write.

    Returns
    -------
    ndarray
        `out`. The error against the exact quantile is at most 3.1 ulp in float32 (1e-6 in the far tail) and 3.7 ulp in
        float64 (2.5e-15 in the far tail).

    Examples
    --------
    >>> bits = np.array([0, 2**31 - 1, 2**31], dtype=np.uint32)
    >>> normal_from_bits(bits, np.empty(3, dtype=np.float32)).round(4)
    array([ 0.   ,  6.338, -6.338], dtype=float32)
    """
    table = SINGLE if out.dtype == np.float32 else DOUBLE
    width = 8 * table.bits_dtype.itemsize
    unsigned, scale = table.bits_dtype.type, 2.0 ** -(width + 1)
    sign = bits.view(table.signed_dtype) >> table.signed_dtype.type(width - 1)
    np.bitwise_xor(bits, sign.view(table.bits_dtype), out=bits)
    np.left_shift(bits, unsigned(1), out=bits)
    np.bitwise_or(bits, unsigned(1), out=bits)
    quantile = bits.astype(table.value_dtype)
    quantile *= scale
    square = quantile * quantile
    square *= _ratio(table.central_numerator, table.central_denominator, CENTRAL_SQUARE - square)
    square += table.sqrt_two_pi
    quantile *= square
    tail = np.flatnonzero(bits > unsigned(13 << width - 4))
    if tail.size:
        quantile[tail] = _tail_quantile(table, np.negative(bits[tail]).astype(table.value_dtype) * scale)
    np.copysign(quantile, sign.view(table.value_dtype), out=out)
    return out


def _tail_quantile(table: QuantileTable, probability: NDArray[Any]) -> NDArray[Any]:
    """Return the point above which a standard normal lies with the given (small) probability."""
    root: NDArray[Any] = np.sqrt(-natural_logarithm(probability))
    root += _ratio(table.tail_numerator, table.tail_denominator, root - TAIL_SHIFT)
    return root


def _ratio(numerator: tuple[float, ...], denominator: tuple[float, ...], argument: NDArray[Any]) -> NDArray[Any]:
    """Return the quotient of two polynomials."""
    result = _polynomial(numerator, argument)
    result /= _polynomial(denominator, argument)
    return result


def _polynomial(coefficients: tuple[float, ...], argument: NDArray[Any]) -> NDArray[Any]:
    """Return a polynomial by Horner's rule; a Python float takes the array's dtype."""
    result: NDArray[Any] = argument * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        result += coefficient
        result *= argument
    result += coefficients[0]
    return result
