"""Division of integers: rounded towards minus infinity, and 0 where the divisor is, as NumPy does."""

from __future__ import annotations

from symgrad.backends.native.llvm.text import Function, Value, byte_size, element_of, literal


def _zero(value: Value) -> Value:
    return literal(0, value.type)


def _divisor(function: Function, x: Value, y: Value, is_signed: bool) -> tuple[Value, Value]:
    """Return where `y` is zero, and a divisor that no processor traps on: 1 there, and where x / y doesn't fit."""
    is_zero = function.compare("eq", y, _zero(y))
    replaced = is_zero
    if is_signed:
        lowest = literal(-(1 << (8 * byte_size(element_of(x.type)) - 1)), x.type)
        is_minus_one = function.compare("eq", y, literal(-1, y.type))
        overflows = function.binary("and", is_minus_one, function.compare("eq", x, lowest))
        replaced = function.binary("or", is_zero, overflows)
    return is_zero, function.select(replaced, literal(1, y.type), y)


def _was_rounded_up(function: Function, remainder: Value, divisor: Value) -> Value:
    """Whether the remainder isn't 0 and its sign isn't the divisor's."""
    opposite = function.compare("slt", function.binary("xor", remainder, divisor), _zero(divisor))
    return function.binary("and", opposite, function.compare("ne", remainder, _zero(divisor)))


def signed_quotient(function: Function, x: Value, y: Value) -> Value:
    """Quotient of signed integers."""
    is_zero, divisor = _divisor(function, x, y, is_signed=True)
    quotient = function.binary("sdiv", x, divisor)
    remainder = function.subtract(x, function.multiply(quotient, divisor))
    lower = function.subtract(quotient, literal(1, x.type))
    quotient = function.select(_was_rounded_up(function, remainder, divisor), lower, quotient)
    return function.select(is_zero, _zero(x), quotient)


def signed_remainder(function: Function, x: Value, y: Value) -> Value:
    """Remainder of signed integers, with the sign of the divisor."""
    is_zero, divisor = _divisor(function, x, y, is_signed=True)
    remainder = function.binary("srem", x, divisor)
    moved = function.add(remainder, divisor)
    remainder = function.select(_was_rounded_up(function, remainder, divisor), moved, remainder)
    return function.select(is_zero, _zero(x), remainder)


def unsigned_quotient(function: Function, x: Value, y: Value) -> Value:
    """Quotient of unsigned integers."""
    is_zero, divisor = _divisor(function, x, y, is_signed=False)
    return function.select(is_zero, _zero(x), function.binary("udiv", x, divisor))


def unsigned_remainder(function: Function, x: Value, y: Value) -> Value:
    """Remainder of unsigned integers."""
    is_zero, divisor = _divisor(function, x, y, is_signed=False)
    return function.select(is_zero, _zero(x), function.binary("urem", x, divisor))
