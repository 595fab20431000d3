"""Floating-point arithmetic for the elementary functions: short names for one type, and nothing fused unasked.

The elementary functions rely on where each operation rounds, so no instruction here carries fast-math flags; products
and sums are fused only where `fma` says so, and then it makes no difference to correctness whether the processor can.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from symgrad.backends.native.llvm.text import Function, Value, element_of, literal, with_element

Number = Value | float
"""An operand: a value, or a Python number that becomes a constant."""


@dataclass(frozen=True)
class Precision:
    """What the formulas need to know about a floating-point type.

    Attributes
    ----------
    integer : str
        The integer type of the same width.
    mantissa_bits : int
        Stored bits of the significand.
    bias : int
        What is added to the exponent where it is stored.
    """

    integer: str
    mantissa_bits: int
    bias: int


PRECISIONS = {"float": Precision("i32", 23, 127), "double": Precision("i64", 52, 1023)}


class Arithmetic:
    """Writes arithmetic on values of one floating-point type, scalar or vector.

    Parameters
    ----------
    function : Function
        Where to write.
    kind : str
        The type: ``float``, ``<8 x double>`` ...
    """

    def __init__(self, function: Function, kind: str) -> None:
        self.function = function
        self.kind = kind
        self.precision = PRECISIONS[element_of(kind)]
        self.integer_kind = with_element(kind, self.precision.integer)

    @property
    def is_single(self) -> bool:
        """Whether the numbers are float32."""
        return element_of(self.kind) == "float"

    def constant(self, value: Number) -> Value:
        """Return a number of the type; a value stays as it is."""
        return value if isinstance(value, Value) else literal(value, self.kind)

    def integer(self, value: Value | int) -> Value:
        """Return an integer constant of the same width; a value stays as it is."""
        return value if isinstance(value, Value) else literal(value, self.integer_kind)

    # ---- floats ----

    def add(self, a: Number, b: Number) -> Value:
        """``a + b``."""
        return self.function.binary("fadd", self.constant(a), self.constant(b), flags="")

    def subtract(self, a: Number, b: Number) -> Value:
        """``a - b``."""
        return self.function.binary("fsub", self.constant(a), self.constant(b), flags="")

    def multiply(self, a: Number, b: Number) -> Value:
        """``a * b``."""
        return self.function.binary("fmul", self.constant(a), self.constant(b), flags="")

    def divide(self, a: Number, b: Number) -> Value:
        """``a / b``."""
        return self.function.binary("fdiv", self.constant(a), self.constant(b), flags="")

    def fma(self, a: Number, b: Number, c: Number) -> Value:
        """``a * b + c``, rounded once where the processor can."""
        return self.function.fma(self.constant(a), self.constant(b), self.constant(c))

    def polynomial(self, x: Value, coefficients: Sequence[float]) -> Value:
        """Return a polynomial by Horner's rule; the coefficients start with the constant term."""
        result = self.constant(coefficients[-1])
        for coefficient in reversed(coefficients[:-1]):
            result = self.fma(result, x, coefficient)
        return result

    def sqrt(self, a: Value) -> Value:
        """Square root."""
        return self.function.intrinsic("sqrt", self.kind, a)

    def absolute(self, a: Value) -> Value:
        """``|a|``."""
        return self.function.intrinsic("fabs", self.kind, a)

    def with_sign(self, a: Value, sign: Value) -> Value:
        """``|a|`` with the sign of `sign`."""
        return self.function.intrinsic("copysign", self.kind, a, sign)

    def negate(self, a: Value) -> Value:
        """``-a``."""
        return self.function.negate(a)

    def less(self, a: Number, b: Number) -> Value:
        """Whether ``a < b``; false for nan."""
        return self.function.compare("olt", self.constant(a), self.constant(b))

    def equal(self, a: Number, b: Number) -> Value:
        """Whether ``a == b``; false for nan."""
        return self.function.compare("oeq", self.constant(a), self.constant(b))

    def is_nan(self, a: Value) -> Value:
        """Whether `a` is nan."""
        return self.function.compare("uno", a, a)

    def select(self, condition: Value, a: Number, b: Number) -> Value:
        """``a if condition else b``."""
        return self.function.select(condition, self.constant(a), self.constant(b))

    def at_least(self, a: Value, bound: Number) -> Value:
        """The larger of `a` and a bound that isn't nan; nan if `a` is."""
        return self.select(self.less(a, bound), bound, a)

    def at_most(self, a: Value, bound: Number) -> Value:
        """The smaller of `a` and a bound that isn't nan; nan if `a` is."""
        return self.select(self.less(bound, a), bound, a)

    def double(self) -> Arithmetic:
        """Return the arithmetic of float64 with as many lanes."""
        return Arithmetic(self.function, with_element(self.kind, "double"))

    def widened(self, a: Value) -> Value:
        """A float32 as a float64."""
        return self.function.convert("fpext", a, with_element(self.kind, "double"))

    def narrowed(self, a: Value) -> Value:
        """A float64 as a float32."""
        return self.function.convert("fptrunc", a, with_element(self.kind, "float"))

    def through_double(self, formula: Callable[..., Value], *operands: Value) -> Value:
        """Write a function of float32 as that of float64: rounded once, for functions that need not be fast."""
        return self.narrowed(formula(self.double(), *[self.widened(operand) for operand in operands]))

    # ---- bits ----

    def bits_of(self, number: float) -> int:
        """Return the bits of a constant, rounded to the type."""
        float_code, integer_code = ("f", "I") if self.is_single else ("d", "Q")
        bits: int = struct.unpack(integer_code, struct.pack(float_code, number))[0]
        return bits

    def bits(self, a: Value) -> Value:
        """The bits of a float."""
        return self.function.convert("bitcast", a, self.integer_kind)

    def from_bits(self, a: Value) -> Value:
        """The float of these bits."""
        return self.function.convert("bitcast", a, self.kind)

    def integers(self, name: str, a: Value, b: Value | int) -> Value:
        """Write an integer instruction: ``add``, ``shl``, ``ashr``, ``and`` ..."""
        return self.function.binary(name, a, self.integer(b))

    def power_of_two(self, exponent: Value) -> Value:
        """``2 ** exponent`` of integers within the range of normal numbers; only their low bits count."""
        shifted = self.integers("shl", exponent, self.precision.mantissa_bits)
        return self.from_bits(self.integers("add", shifted, self.precision.bias << self.precision.mantissa_bits))

    def nearest(self, a: Value) -> tuple[Value, Value]:
        """Round ``a``, below ``2 ** (mantissa_bits - 2)``, to an integer; returns it as a float and as an integer.

        Of the integer only the low bits are right: as many as the mantissa has, less one.
        """
        shifter = 1.5 * 2.0**self.precision.mantissa_bits
        shifted = self.add(a, shifter)
        return self.subtract(shifted, shifter), self.bits(shifted)

    def nearest_multiple(self, a: Value, factor: float) -> tuple[Value, Value]:
        """As `nearest` of ``a * factor``, in one operation fewer."""
        shifter = 1.5 * 2.0**self.precision.mantissa_bits
        shifted = self.fma(a, factor, shifter)
        return self.subtract(shifted, shifter), self.bits(shifted)
