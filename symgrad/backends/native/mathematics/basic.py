"""Arithmetic, comparisons and choices: the functions that are one or a few instructions.

Each function of the grammar has a rule for every kind of dtype that it takes: b, i, u or f, as NumPy writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from symgrad.backends.native.llvm.text import Function, Value, byte_size, element_of, literal, with_element
from symgrad.backends.native.mathematics import integers

Writer = Callable[..., Value]
"""``writer(function, *operands)`` writes a function of operands of one type."""


@dataclass(frozen=True)
class Rule:
    """How a function is written for some kinds of dtypes."""

    kinds: str
    write: Writer


@dataclass(frozen=True)
class Instruction:
    """Writes one instruction of two operands."""

    name: str

    def __call__(self, function: Function, x: Value, y: Value) -> Value:
        return function.binary(self.name, x, y)


@dataclass(frozen=True)
class Comparison:
    """Writes a comparison by its condition."""

    condition: str

    def __call__(self, function: Function, x: Value, y: Value) -> Value:
        return function.compare(self.condition, x, y)


@dataclass(frozen=True)
class Verdict:
    """Writes a truth value that doesn't depend on the operand."""

    value: bool

    def __call__(self, function: Function, x: Value) -> Value:
        return literal(self.value, with_element(x.type, "i1"))


@dataclass(frozen=True)
class Extremum:
    """Writes the operand that a comparison of integers prefers."""

    condition: str

    def __call__(self, function: Function, x: Value, y: Value) -> Value:
        return function.select(function.compare(self.condition, x, y), x, y)


@dataclass(frozen=True)
class FloatExtremum:
    """Writes the operand that a comparison of floats prefers, or nan."""

    condition: str

    def __call__(self, function: Function, x: Value, y: Value) -> Value:
        chosen = function.select(function.compare(self.condition, x, y), x, y)  # nan in y is chosen already
        return function.select(function.compare("uno", x, x), x, chosen)


@dataclass(frozen=True)
class Clip:
    """Writes the operand between two bounds, by the rules for the larger and the smaller of two."""

    larger: Writer
    smaller: Writer

    def __call__(self, function: Function, x: Value, low: Value, high: Value) -> Value:
        return self.smaller(function, self.larger(function, x, low), high)


@dataclass(frozen=True)
class RectifyGradient:
    """Writes a cotangent where the operand is positive, by the condition for that."""

    condition: str

    def __call__(self, function: Function, x: Value, cotangent: Value) -> Value:
        passed = function.select(function.compare(self.condition, x, _number(0, x)), cotangent, _number(0, x))
        if self.condition != "ogt":
            return passed
        half = function.multiply(cotangent, _number(0.5, x))
        return function.select(function.compare("oeq", x, _number(0, x)), half, passed)


@dataclass(frozen=True)
class Scaled:
    """Writes a product with the quotient of two constants, which is rounded to the dtype as NumPy does."""

    numerator: float
    denominator: float

    def __call__(self, function: Function, x: Value) -> Value:
        kind = np.float32 if element_of(x.type) == "float" else np.float64
        return function.multiply(x, _number(float(kind(self.numerator) / kind(self.denominator)), x))


def _number(value: float, like: Value) -> Value:
    return literal(value, like.type)


def _same(function: Function, x: Value) -> Value:
    return x


def _isnan(function: Function, x: Value) -> Value:
    return function.compare("uno", x, x)


def _isinf(function: Function, x: Value) -> Value:
    return function.compare("oeq", _absolute(function, x), _number(float("inf"), x))


def _isfinite(function: Function, x: Value) -> Value:
    return function.compare("olt", _absolute(function, x), _number(float("inf"), x))


def _invert(function: Function, x: Value) -> Value:
    return function.binary("xor", x, _number(1 if element_of(x.type) == "i1" else -1, x))


def _negate(function: Function, x: Value) -> Value:
    return function.negate(x)


def _negate_integer(function: Function, x: Value) -> Value:
    return function.subtract(_number(0, x), x)


def _reciprocal(function: Function, x: Value) -> Value:
    return function.divide(_number(1, x), x)


def _absolute(function: Function, x: Value) -> Value:
    return function.intrinsic("fabs", x.type, x)


def _absolute_integer(function: Function, x: Value) -> Value:
    return function.select(function.compare("slt", x, _number(0, x)), _negate_integer(function, x), x)


def _sign(function: Function, x: Value) -> Value:
    signed = function.intrinsic("copysign", x.type, _number(1, x), x)
    # The sum makes 0.0 of -0.0 and keeps nan.
    other = function.binary("fadd", x, _number(0, x), flags="")
    return function.select(function.compare("one", x, _number(0, x)), signed, other)


def _sign_of_integer(function: Function, x: Value) -> Value:
    below = function.select(function.compare("slt", x, _number(0, x)), _number(-1, x), _number(0, x))
    return function.select(function.compare("sgt", x, _number(0, x)), _number(1, x), below)


def _sign_of_unsigned(function: Function, x: Value) -> Value:
    return function.select(function.compare("ne", x, _number(0, x)), _number(1, x), _number(0, x))


def _square(function: Function, x: Value) -> Value:
    return function.multiply(x, x)


def _square_root(function: Function, x: Value) -> Value:
    return function.intrinsic("sqrt", x.type, x)


def _switch(function: Function, condition: Value, yes: Value, no: Value) -> Value:
    return function.select(condition, yes, no)


def _rectify(function: Function, x: Value) -> Value:
    return function.select(function.compare("olt", x, _number(0, x)), _number(0, x), x)  # nan stays


def _rectify_integer(function: Function, x: Value) -> Value:
    return function.select(function.compare("slt", x, _number(0, x)), _number(0, x), x)


def _step(function: Function, x: Value) -> Value:
    above = function.select(function.compare("ogt", x, _number(0, x)), _number(1, x), _number(0, x))
    known = function.select(function.compare("oeq", x, _number(0, x)), _number(0.5, x), above)
    return function.select(function.compare("uno", x, x), x, known)


def _left_shift(function: Function, x: Value, y: Value) -> Value:
    fits = function.compare("ult", y, _number(_width(x), y))  # a negative number of places is a large one
    moved = function.binary("shl", x, function.select(fits, y, _number(0, y)))
    return function.select(fits, moved, _number(0, x))


def _right_shift(function: Function, x: Value, y: Value) -> Value:
    fits = function.compare("ult", y, _number(_width(x), y))
    return function.binary("ashr", x, function.select(fits, y, _number(_width(x) - 1, y)))


def _right_shift_of_unsigned(function: Function, x: Value, y: Value) -> Value:
    fits = function.compare("ult", y, _number(_width(x), y))
    moved = function.binary("lshr", x, function.select(fits, y, _number(0, y)))
    return function.select(fits, moved, _number(0, x))


def _width(value: Value) -> int:
    return 8 * byte_size(element_of(value.type))


def _comparison(of_floats: str, of_signed: str, of_unsigned: str) -> tuple[Rule, ...]:
    return (
        Rule("f", Comparison(of_floats)), Rule("i", Comparison(of_signed)), Rule("bu", Comparison(of_unsigned)),
    )  # fmt: skip


_MAXIMA = (Rule("f", FloatExtremum("ogt")), Rule("i", Extremum("sgt")), Rule("bu", Extremum("ugt")))
_MINIMA = (Rule("f", FloatExtremum("olt")), Rule("i", Extremum("slt")), Rule("bu", Extremum("ult")))

RULES: Mapping[str, tuple[Rule, ...]] = {
    "eq": _comparison("oeq", "eq", "eq"),
    "neq": _comparison("une", "ne", "ne"),
    "lt": _comparison("olt", "slt", "ult"),
    "le": _comparison("ole", "sle", "ule"),
    "gt": _comparison("ogt", "sgt", "ugt"),
    "ge": _comparison("oge", "sge", "uge"),
    "isnan": (Rule("f", _isnan), Rule("biu", Verdict(False))),
    "isinf": (Rule("f", _isinf), Rule("biu", Verdict(False))),
    "isfinite": (Rule("f", _isfinite), Rule("biu", Verdict(True))),
    "and": (Rule("biu", Instruction("and")),),
    "or": (Rule("biu", Instruction("or")),),
    "xor": (Rule("biu", Instruction("xor")),),
    "logical_and": (Rule("b", Instruction("and")),),
    "logical_or": (Rule("b", Instruction("or")),),
    "invert": (Rule("biu", _invert),),
    "left_shift": (Rule("iu", _left_shift),),
    "right_shift": (Rule("i", _right_shift), Rule("u", _right_shift_of_unsigned)),
    "add": (Rule("f", Instruction("fadd")), Rule("iu", Instruction("add")), Rule("b", Instruction("or"))),
    "subtract": (Rule("f", Instruction("fsub")), Rule("iu", Instruction("sub"))),
    "multiply": (Rule("f", Instruction("fmul")), Rule("iu", Instruction("mul")), Rule("b", Instruction("and"))),
    "true_divide": (Rule("f", Instruction("fdiv")),),
    "floor_divide": (Rule("i", integers.signed_quotient), Rule("u", integers.unsigned_quotient)),
    "mod": (Rule("i", integers.signed_remainder), Rule("u", integers.unsigned_remainder)),
    "negative": (Rule("f", _negate), Rule("iu", _negate_integer)),
    "reciprocal": (Rule("f", _reciprocal),),
    "abs": (Rule("f", _absolute), Rule("i", _absolute_integer), Rule("bu", _same)),
    "sign": (Rule("f", _sign), Rule("i", _sign_of_integer), Rule("u", _sign_of_unsigned)),
    "sqr": (Rule("iuf", _square),),
    "sqrt": (Rule("f", _square_root),),
    "floor": (Rule("biu", _same),),
    "ceil": (Rule("biu", _same),),
    "trunc": (Rule("biu", _same),),
    "deg2rad": (Rule("f", Scaled(np.pi, 180)),),
    "rad2deg": (Rule("f", Scaled(180, np.pi)),),
    "maximum": _MAXIMA,
    "minimum": _MINIMA,
    "clip": tuple([
        Rule(larger.kinds, Clip(larger.write, smaller.write))
        for larger, smaller in zip(_MAXIMA, _MINIMA, strict=True)
    ]),
    "switch": (Rule("biuf", _switch),),
    "rectify": (Rule("f", _rectify), Rule("i", _rectify_integer), Rule("u", _same)),
    "rectify_gradient": (
        Rule("f", RectifyGradient("ogt")), Rule("i", RectifyGradient("sgt")), Rule("u", RectifyGradient("ugt")),
    ),
    "step": (Rule("f", _step),),
}  # fmt: skip
