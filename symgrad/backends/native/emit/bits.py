"""Functions of kernel IR on the bits of integers, which NumPy's tables don't have."""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.backends.native.llvm.text import Function, Value, byte_size, element_of, literal, with_element
from symgrad.backends.native.scalars import ELEMENTS


def emit_bits(function: Function, name: str, operands: Sequence[Value], dtype: str) -> Value | None:
    """Write a function on bits; None if `name` isn't one."""
    if name == "bitcast":
        kind = with_element(operands[0].type, ELEMENTS[dtype])
        return operands[0] if kind == operands[0].type else function.convert("bitcast", operands[0], kind)
    if name == "shift_left":
        return function.binary("shl", operands[0], operands[1])
    if name == "shift_right":
        return function.binary("lshr" if dtype.startswith("uint") else "ashr", operands[0], operands[1])
    return _multiply_high(function, operands[0], operands[1]) if name == "multiply_high" else None


def _multiply_high(function: Function, a: Value, b: Value) -> Value:
    """Return the upper half of an unsigned product."""
    bits = 8 * byte_size(element_of(a.type))
    wide = with_element(a.type, f"i{2 * bits}")
    product = function.multiply(function.convert("zext", a, wide), function.convert("zext", b, wide))
    return function.convert("trunc", function.binary("lshr", product, literal(bits, wide)), a.type)
