"""Quotients rounded downwards, and their remainders, of floats, exactly as NumPy defines them.

The remainder of truncated division is found as by hand: a quotient of 26 bits at a time, whose products with either
half of the divisor are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from symgrad.backends.native.llvm.text import Value
from symgrad.backends.native.mathematics.arithmetic import Arithmetic
from symgrad.backends.native.mathematics.rounding import floor, trunc


def _truncated_remainder(m: Arithmetic, x: Value, y: Value) -> Value:
    """Return what C's ``fmod`` gives: exact, with the sign of x; nan for infinite x and for y = 0."""
    if m.is_single:
        return m.narrowed(_truncated_remainder(m.double(), m.widened(x), m.widened(y)))
    function = m.function
    size, divisor = m.absolute(x), m.absolute(y)
    exists = function.binary("and", m.less(size, math.inf), m.less(0.0, divisor))
    divides = function.binary("and", exists, m.less(divisor, math.inf))
    rest = _reduce(m, m.select(divides, size, 0.0), m.select(divides, divisor, 1.0))
    rest = m.select(divides, rest, m.select(exists, size, math.nan))
    return m.with_sign(m.select(function.compare("uno", x, y), m.add(x, y), rest), x)


def _reduce(m: Arithmetic, rest: Value, divisor: Value) -> Value:
    """Subtract multiples of the divisor until less than it remains in each lane."""
    function = m.function
    # Multiples so large that no quotient overflows.
    larger = m.multiply(divisor, 2.0**500)
    largest = m.multiply(m.multiply(larger, 2.0**500), 2.0**82)
    head, body, done = (function.new_block(f"divide.{part}") for part in ("head", "body", "done"))
    before = function.block
    function.jump(head)
    function.start(head)
    place = len(function.lines)
    carried = function.emit("", m.kind)
    is_left = function.compare("oge", carried, divisor)
    function.branch(function.any_lane(is_left), body, done)
    function.start(body)
    part = m.select(function.compare("oge", carried, larger), larger, divisor)
    part = m.select(function.compare("oge", carried, largest), largest, part)
    quotient = m.from_bits(m.integers("and", m.bits(m.divide(carried, part)), -(1 << 27)))
    quotient = trunc(m, quotient)
    high = m.from_bits(m.integers("and", m.bits(part), -(1 << 27)))
    low = m.subtract(part, high)
    less = m.subtract(m.subtract(carried, m.multiply(quotient, high)), m.multiply(quotient, low))
    # The quotient may have been rounded up.
    less = m.select(m.less(less, 0.0), m.add(less, part), less)
    end = function.block
    function.jump(head)
    function.lines[place] = f"  {carried} = phi {m.kind} [ {rest}, %{before} ], [ {less}, %{end} ]"
    function.start(done)
    return carried


def _divided(m: Arithmetic, x: Value, y: Value) -> tuple[Value, Value]:
    """Return quotient and remainder for y other than 0."""
    function = m.function
    zero = m.constant(0.0)
    rest = _truncated_remainder(m, x, y)
    quotient = m.divide(m.subtract(x, rest), y)
    has_rest = function.compare("une", rest, zero)
    differ = function.binary("xor", m.less(y, zero), m.less(rest, zero))
    is_moved = function.binary("and", has_rest, differ)
    quotient = m.select(is_moved, m.subtract(quotient, 1.0), quotient)
    remainder = m.select(is_moved, m.add(rest, y), m.select(has_rest, rest, m.with_sign(zero, y)))
    whole = floor(m, quotient)
    whole = m.select(m.less(0.5, m.subtract(quotient, whole)), m.add(whole, 1.0), whole)
    return m.select(m.equal(quotient, zero), m.with_sign(zero, m.divide(x, y)), whole), remainder


def floor_divide(m: Arithmetic, x: Value, y: Value) -> Value:
    """Quotient rounded towards minus infinity."""
    return m.select(m.equal(y, 0.0), m.divide(x, y), _divided(m, x, y)[0])


def mod(m: Arithmetic, x: Value, y: Value) -> Value:
    """Remainder with the sign of y."""
    return m.select(m.equal(y, 0.0), math.nan, _divided(m, x, y)[1])


FUNCTIONS: dict[str, Callable[..., Value]] = {"floor_divide": floor_divide, "mod": mod}
