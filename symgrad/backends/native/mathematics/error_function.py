"""The error function and its complement.

Up to 1, ``erf x = x + x P(x**2)``. From there on float32 takes ``1 - exp(Q(x))``, and float64 and the complement
``exp(-x**2) E(t) / (1 + 2 x)`` with ``t = (x - 3) / (x + 3)``, as M. M. Shepherd and J. G. Laframboise do (1981). All
polynomials are minimax.
"""

from __future__ import annotations

from collections.abc import Callable

from symgrad.backends.native.llvm.text import Value
from symgrad.backends.native.mathematics.arithmetic import Arithmetic
from symgrad.backends.native.mathematics.exponential import exp, exp_of_sum

_NEAR_SINGLE = (
    0.12837916612625122, -0.3761262595653534, 0.1128358244895935, -0.026853635907173157, 0.005187929607927799,
    -0.000800632347818464, 7.840135367587209e-05,
)  # fmt: skip
_NEAR_DOUBLE = (
    0.12837916709551256, -0.37612638903183454, 0.11283791670942395, -0.026866170642886343, 0.005223977604550814,
    -0.0008548325862825119, 0.0001205529177066295, -1.4924680211628199e-05, 1.6446760585883022e-06,
    -1.6203625405303798e-07, 1.3699892611972305e-08, -7.759612059034605e-10,
)  # fmt: skip
"""P, for x up to 1."""

_LOG_OF_COMPLEMENT = (
    -0.00032079219818115234, -1.127171516418457, -0.6380109786987305, -0.10322074592113495, 0.02189166657626629,
    -0.0029608497861772776, 0.00018770620226860046,
)  # fmt: skip
"""Q, for x from 1 to 4."""

_SCALED_COMPLEMENT = (
    0.0030080582697296398, -0.1356211061245815, -0.0475622943534448, 0.12964515870280918, -0.11927366341574175,
    0.06830802734195027, -0.023770514906263144, 0.0025293918535168602, 0.0018886901752256068, -0.0007798326344300076,
    -0.0001051581965322334, 0.0001251013084006241, 4.940838675055011e-06, -2.010633341873999e-05,
    -7.022839743705943e-07, 3.4799028197858743e-06, 2.962761305739241e-07, -6.140956634319121e-07,
    -6.976466428087877e-08, 8.457664465254842e-08,
)  # fmt: skip
"""E less 1.25, for x from 0.8 to 27."""


def _near(m: Arithmetic, x: Value) -> Value:
    return m.fma(x, m.polynomial(m.multiply(x, x), _NEAR_SINGLE if m.is_single else _NEAR_DOUBLE), x)


def _far_complement(m: Arithmetic, size: Value) -> Value:
    """Return ``erfc`` of numbers from 0.8 on, in double precision."""
    x = m.at_most(size, 28.0)
    t = m.divide(m.subtract(x, 3.0), m.add(x, 3.0))
    # x**2 in two parts: the square of the first half of the bits is exact.
    half = m.from_bits(m.integers("and", m.bits(x), -(1 << 27)))
    rest = m.multiply(m.subtract(half, x), m.add(half, x))
    series, twice = m.polynomial(t, _SCALED_COMPLEMENT), m.add(x, x)
    numerator, denominator = m.add(series, 1.25), m.add(twice, 1.0)
    factor = m.divide(numerator, denominator)
    # What rounding both lost, relative to the numerator, which is always near 1.2.
    lost = m.subtract(series, m.subtract(numerator, 1.25))
    lost_below = m.subtract(twice, m.subtract(denominator, 1.0))
    rest = m.fma(m.fma(m.negate(factor), lost_below, lost), 1 / 1.2, rest)
    return exp_of_sum(m, m.negate(m.multiply(half, half)), rest, factor)


def erf(m: Arithmetic, x: Value) -> Value:
    """Error function."""
    size = m.absolute(x)
    if m.is_single:
        complement = exp(m, m.polynomial(m.at_most(size, 4.0), _LOG_OF_COMPLEMENT))
    else:
        complement = _far_complement(m, size)
    result = m.select(m.less(size, 1.0), _near(m, size), m.subtract(1.0, complement))
    return m.with_sign(result, x)


def erfc(m: Arithmetic, x: Value) -> Value:
    """Complement of the error function."""
    if m.is_single:
        return m.through_double(erfc, x)
    far = _far_complement(m, m.absolute(x))
    far = m.select(m.less(x, 0.0), m.subtract(2.0, far), far)
    return m.select(m.less(m.absolute(x), 0.8), m.subtract(1.0, _near(m, x)), far)


FUNCTIONS: dict[str, Callable[..., Value]] = {"erf": erf, "erfc": erfc}
