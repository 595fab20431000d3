"""Rounding to integers without the processor's instructions for it, which old ones lack and then call a library for."""

from __future__ import annotations

from collections.abc import Callable

from symgrad.backends.native.llvm.text import Value
from symgrad.backends.native.mathematics.arithmetic import Arithmetic


def rint(m: Arithmetic, x: Value) -> Value:
    """Nearest integer, halves to even."""
    # Above 2 ** mantissa_bits every number is an integer; below, adding and subtracting that number rounds.
    whole = 2.0**m.precision.mantissa_bits
    size = m.absolute(x)
    rounded = m.subtract(m.add(size, whole), whole)
    return m.with_sign(m.select(m.less(size, whole), rounded, x), x)


def floor(m: Arithmetic, x: Value) -> Value:
    """Largest integer not above `x`."""
    nearest = rint(m, x)
    return m.select(m.less(x, nearest), m.subtract(nearest, 1.0), nearest)


def ceil(m: Arithmetic, x: Value) -> Value:
    """Smallest integer not below `x`; of numbers between -1 and 0 it is -0.0."""
    nearest = rint(m, x)
    return m.with_sign(m.select(m.less(nearest, x), m.add(nearest, 1.0), nearest), x)


def trunc(m: Arithmetic, x: Value) -> Value:
    """`x` without its fraction."""
    return m.with_sign(floor(m, m.absolute(x)), x)


FUNCTIONS: dict[str, Callable[..., Value]] = {"rint": rint, "floor": floor, "ceil": ceil, "trunc": trunc}
