"""The scalar functions of the grammar as LLVM instructions, on scalars or vectors of any number of lanes.

In registers a bool is i1, an integer or unsigned integer of n bits is in, float32 is float and float64 double. Results
equal NumPy's: integers wrap around, dividing one by zero gives zero, quotients are rounded towards minus infinity,
nan wins over every number in `maximum`. float16 and complex numbers have no native code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from symgrad.backends.native.llvm.text import Function, Value, literal, with_element
from symgrad.backends.native.mathematics.arithmetic import Arithmetic
from symgrad.backends.native.mathematics.table import FUNCTIONS

ELEMENTS = {
    "bool": "i1", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "uint8": "i8", "uint16": "i16", "uint32": "i32", "uint64": "i64", "float32": "float", "float64": "double",
}  # fmt: skip
"""The LLVM type of each dtype in registers; in memory a bool is an i8 that is 0 or 1."""

_KINDS = {dtype: np.dtype(dtype).kind for dtype in ELEMENTS}
_BITS = {dtype: 8 * np.dtype(dtype).itemsize for dtype in ELEMENTS}


def is_supported(name: str, dtypes: Sequence[str], dtype: str) -> bool:
    """Whether `emit_scalar` can write function `name` of operands of `dtypes` with a result of `dtype`."""
    if dtype not in ELEMENTS or any(operand not in ELEMENTS for operand in dtypes):
        return False
    if name.startswith("cast_"):
        return name == f"cast_{dtype}"
    entry = _TABLE.get(name)
    if entry is None:
        return False
    computed = _computed_dtype(name, dtypes, dtype)
    return computed in ELEMENTS and _KINDS[computed] in entry.kinds


def emit_scalar(
    function: Function, name: str, operands: Sequence[Value], dtypes: Sequence[str], dtype: str
) -> Value:
    """Write a scalar function of the grammar.

    Parameters
    ----------
    function : Function
        Where to write.
    name : str
        The function's name, as in `symgrad.kernels.grammar.ScalarFunction`.
    operands : sequence of Value
        Scalars, or vectors of as many lanes.
    dtypes : sequence of str
        Their dtypes; they are cast to the dtype in which the function computes.
    dtype : str
        The dtype of the result.

    Returns
    -------
    Value
        With as many lanes as the operands.

    Raises
    ------
    NotImplementedError
        If `is_supported` says no.
    """
    if not is_supported(name, dtypes, dtype):
        raise NotImplementedError(f"{name} of {', '.join(dtypes)} has no native code")
    if name.startswith("cast_"):
        return emit_cast(function, operands[0], dtypes[0], dtype)
    computed = _computed_dtype(name, dtypes, dtype)
    kept = 1 if name == "switch" else 0
    values = [
        emit_cast(function, value, given, "bool" if position < kept else computed)
        for position, (value, given) in enumerate(zip(operands, dtypes, strict=True))
    ]
    return _TABLE[name].emit(function, values, computed)


def emit_cast(function: Function, value: Value, from_dtype: str, to_dtype: str) -> Value:
    """Write a conversion with the meaning of NumPy's ``astype``.

    A float too large for int32 or int64, and nan, gives the most negative number, as on x86; smaller integers take the
    low bits of the conversion to int32, uint32 and uint64 those of int64.
    """
    if from_dtype == to_dtype:
        return value
    kind = with_element(value.type, ELEMENTS[to_dtype])
    is_from_float, is_to_float = _KINDS[from_dtype] == "f", _KINDS[to_dtype] == "f"
    if to_dtype == "bool":
        zero = literal(0, value.type)
        return function.compare("une" if is_from_float else "ne", value, zero)
    if is_from_float and is_to_float:
        return function.convert("fpext" if to_dtype == "float64" else "fptrunc", value, kind)
    if is_to_float:
        return function.convert("sitofp" if _KINDS[from_dtype] == "i" else "uitofp", value, kind)
    if is_from_float:
        return _float_to_integer(function, value, to_dtype)
    before, after = _BITS[from_dtype] if from_dtype != "bool" else 1, _BITS[to_dtype]
    if before == after:
        return value
    extension = "sext" if _KINDS[from_dtype] == "i" else "zext"
    return function.convert("trunc" if before > after else extension, value, kind)


def _float_to_integer(function: Function, value: Value, dtype: str) -> Value:
    """Write a truncation to an integer; what doesn't fit is chosen here, since LLVM leaves it open."""
    if dtype == "uint64":
        return _float_to_uint64(function, value)
    bits = 64 if dtype in ("int64", "uint32") else 32
    converted = _truncated(function, value, bits)
    if _BITS[dtype] == bits:
        return converted
    return function.convert("trunc", converted, with_element(value.type, ELEMENTS[dtype]))


def _truncated(function: Function, value: Value, bits: int) -> Value:
    """Return the signed integer of so many bits; the most negative one for what doesn't fit."""
    m = Arithmetic(function, value.type)
    kind = with_element(value.type, f"i{bits}")
    edge = 2.0 ** (bits - 1)
    if m.is_single or bits == 64:
        fits = m.less(m.absolute(value), edge)
    else:
        inside = m.less(-edge - 1.0, value), m.less(value, edge)
        fits = function.binary("and", *inside)
    converted = function.convert("fptosi", m.select(fits, value, 0.0), kind)
    return function.select(fits, converted, literal(-(1 << (bits - 1)), kind))


def _float_to_uint64(function: Function, value: Value) -> Value:
    """Return numbers from 2 ** 63 on less that number, truncated, with the highest bit flipped."""
    m = Arithmetic(function, value.type)
    edge = 2.0**63
    is_low = function.compare("ult", value, m.constant(edge))  # nan too
    converted = _truncated(function, m.select(is_low, value, m.subtract(value, edge)), 64)
    flipped = function.binary("xor", converted, literal(-(1 << 63), converted.type))
    return function.select(is_low, converted, flipped)


# ---- the table ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Entry:
    """A function: the dtype kinds that it computes in, and what writes it for one of these dtypes."""

    kinds: str
    emit: Callable[[Function, list[Value], str], Value]


_TABLE: dict[str, _Entry] = {}

_COMPARISONS = {
    "eq": ("oeq", "eq", "eq"), "neq": ("une", "ne", "ne"), "lt": ("olt", "slt", "ult"), "le": ("ole", "sle", "ule"),
    "gt": ("ogt", "sgt", "ugt"), "ge": ("oge", "sge", "uge"),
}  # fmt: skip
"""The conditions of floats, signed and unsigned integers."""

_PREDICATES = frozenset(("isnan", "isinf", "isfinite"))
_INSTRUCTIONS = {"add": ("add", "or"), "subtract": ("subtract", ""), "multiply": ("multiply", "and")}
_LOGIC = {"and": "and", "or": "or", "xor": "xor", "logical_and": "and", "logical_or": "or"}


def _computed_dtype(name: str, dtypes: Sequence[str], dtype: str) -> str:
    """Return the dtype in which a function computes; the result's, unless that is a truth value about others."""
    if name in _PREDICATES:
        return dtypes[0]
    if name in _COMPARISONS:
        return dtypes[0] if len(set(dtypes)) == 1 else np.result_type(*dtypes).name
    return "bool" if name.startswith("logical_") else dtype


def _entry(name: str, kinds: str) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Enter a function into the table; it is called with the function to write into, operands and dtype."""

    def enter(emit: Callable[..., Value]) -> Callable[..., Value]:
        def spread(function: Function, operands: list[Value], dtype: str) -> Value:
            return emit(function, *operands, dtype)

        _TABLE[name] = _Entry(kinds, spread)
        return emit

    return enter


class _Comparison:
    """Writes a comparison by its conditions."""

    def __init__(self, conditions: tuple[str, str, str]) -> None:
        self.conditions = conditions

    def __call__(self, function: Function, operands: list[Value], dtype: str) -> Value:
        position = "fi".find(_KINDS[dtype])
        return function.compare(self.conditions[position], operands[0], operands[1])


class _Instruction:
    """Writes one instruction; bools have another."""

    def __init__(self, method: str, of_bools: str) -> None:
        self.method = method
        self.of_bools = of_bools

    def __call__(self, function: Function, operands: list[Value], dtype: str) -> Value:
        if dtype == "bool" or self.method == self.of_bools:
            return function.binary(self.of_bools, operands[0], operands[1])
        value: Value = getattr(function, self.method)(*operands)
        return value


class _Elementary:
    """Writes an elementary function of floats; integers and bools are their own floor."""

    def __init__(self, formula: Callable[..., Value]) -> None:
        self.formula = formula

    def __call__(self, function: Function, operands: list[Value], dtype: str) -> Value:
        if _KINDS[dtype] != "f":
            return operands[0]
        return self.formula(Arithmetic(function, operands[0].type), *operands)


for _name, _conditions in _COMPARISONS.items():
    _TABLE[_name] = _Entry("biuf", _Comparison(_conditions))
for _name, (_method, _of_bools) in _INSTRUCTIONS.items():
    _TABLE[_name] = _Entry("biuf" if _of_bools else "iuf", _Instruction(_method, _of_bools))
for _name, _word in _LOGIC.items():
    _TABLE[_name] = _Entry("b" if _name.startswith("logical_") else "biu", _Instruction(_word, _word))
for _name, _formula in FUNCTIONS.items():
    _TABLE[_name] = _Entry("biuf" if _name in ("floor", "ceil", "trunc") else "f", _Elementary(_formula))


def _zero(value: Value) -> Value:
    return literal(0, value.type)


@_entry("isnan", "biuf")
def _isnan(function: Function, x: Value, dtype: str) -> Value:
    return function.compare("uno", x, x) if _KINDS[dtype] == "f" else literal(0, with_element(x.type, "i1"))


@_entry("isinf", "biuf")
def _isinf(function: Function, x: Value, dtype: str) -> Value:
    if _KINDS[dtype] != "f":
        return literal(0, with_element(x.type, "i1"))
    return function.compare("oeq", function.intrinsic("fabs", x.type, x), literal(float("inf"), x.type))


@_entry("isfinite", "biuf")
def _isfinite(function: Function, x: Value, dtype: str) -> Value:
    if _KINDS[dtype] != "f":
        return literal(1, with_element(x.type, "i1"))
    return function.compare("olt", function.intrinsic("fabs", x.type, x), literal(float("inf"), x.type))


@_entry("invert", "biu")
def _invert(function: Function, x: Value, dtype: str) -> Value:
    return function.binary("xor", x, literal(1 if dtype == "bool" else -1, x.type))


@_entry("true_divide", "f")
def _true_divide(function: Function, x: Value, y: Value, dtype: str) -> Value:
    return function.divide(x, y)


@_entry("negative", "iuf")
def _negative(function: Function, x: Value, dtype: str) -> Value:
    return function.negate(x) if _KINDS[dtype] == "f" else function.subtract(_zero(x), x)


@_entry("reciprocal", "f")
def _reciprocal(function: Function, x: Value, dtype: str) -> Value:
    return function.divide(literal(1, x.type), x)


@_entry("abs", "biuf")
def _abs(function: Function, x: Value, dtype: str) -> Value:
    if _KINDS[dtype] == "f":
        return function.intrinsic("fabs", x.type, x)
    if _KINDS[dtype] != "i":
        return x
    return function.select(function.compare("slt", x, _zero(x)), function.subtract(_zero(x), x), x)


@_entry("sign", "iuf")
def _sign(function: Function, x: Value, dtype: str) -> Value:
    zero, one = _zero(x), literal(1, x.type)
    if _KINDS[dtype] == "u":
        return function.select(function.compare("ne", x, zero), one, zero)
    if _KINDS[dtype] == "i":
        below = function.select(function.compare("slt", x, zero), literal(-1, x.type), zero)
        return function.select(function.compare("sgt", x, zero), one, below)
    signed = function.intrinsic("copysign", x.type, one, x)
    # The sum makes 0.0 of -0.0 and keeps nan.
    return function.select(function.compare("one", x, zero), signed, function.binary("fadd", x, zero, flags=""))


@_entry("sqr", "iuf")
def _square(function: Function, x: Value, dtype: str) -> Value:
    return function.multiply(x, x)


@_entry("sqrt", "f")
def _sqrt(function: Function, x: Value, dtype: str) -> Value:
    return function.intrinsic("sqrt", x.type, x)


@_entry("deg2rad", "f")
def _deg2rad(function: Function, x: Value, dtype: str) -> Value:
    number = np.dtype(dtype).type
    return function.multiply(x, literal(float(number(np.pi) / number(180)), x.type))


@_entry("rad2deg", "f")
def _rad2deg(function: Function, x: Value, dtype: str) -> Value:
    number = np.dtype(dtype).type
    return function.multiply(x, literal(float(number(180) / number(np.pi)), x.type))


# ---- choices --------------------------------------------------------------------------------------------------------


def _extremum(function: Function, x: Value, y: Value, dtype: str, conditions: tuple[str, str, str]) -> Value:
    kind = _KINDS[dtype]
    chosen = function.select(function.compare(conditions["fi".find(kind)], x, y), x, y)
    if kind != "f":
        return chosen
    return function.select(function.compare("uno", x, x), x, chosen)  # nan in y is chosen already


@_entry("maximum", "biuf")
def _maximum(function: Function, x: Value, y: Value, dtype: str) -> Value:
    return _extremum(function, x, y, dtype, ("ogt", "sgt", "ugt"))


@_entry("minimum", "biuf")
def _minimum(function: Function, x: Value, y: Value, dtype: str) -> Value:
    return _extremum(function, x, y, dtype, ("olt", "slt", "ult"))


@_entry("clip", "iuf")
def _clip(function: Function, x: Value, low: Value, high: Value, dtype: str) -> Value:
    return _minimum(function, _maximum(function, x, low, dtype), high, dtype)


@_entry("switch", "biuf")
def _switch(function: Function, condition: Value, yes: Value, no: Value, dtype: str) -> Value:
    return function.select(condition, yes, no)


@_entry("rectify", "iuf")
def _rectify(function: Function, x: Value, dtype: str) -> Value:
    if _KINDS[dtype] == "u":
        return x
    is_negative = function.compare("olt" if _KINDS[dtype] == "f" else "slt", x, _zero(x))
    return function.select(is_negative, _zero(x), x)


@_entry("rectify_gradient", "iuf")
def _rectify_gradient(function: Function, x: Value, cotangent: Value, dtype: str) -> Value:
    condition = {"f": "ogt", "i": "sgt", "u": "ugt"}[_KINDS[dtype]]
    passed = function.select(function.compare(condition, x, _zero(x)), cotangent, _zero(x))
    if _KINDS[dtype] != "f":
        return passed
    half = function.multiply(cotangent, literal(0.5, x.type))
    return function.select(function.compare("oeq", x, _zero(x)), half, passed)


@_entry("step", "f")
def _step(function: Function, x: Value, dtype: str) -> Value:
    zero = _zero(x)
    above = function.select(function.compare("ogt", x, zero), literal(1, x.type), zero)
    known = function.select(function.compare("oeq", x, zero), literal(0.5, x.type), above)
    return function.select(function.compare("uno", x, x), x, known)


# ---- integer division -----------------------------------------------------------------------------------------------


def _divisor(function: Function, x: Value, y: Value, dtype: str) -> tuple[Value, Value]:
    """Return where `y` is zero, and a divisor that no processor traps on: 1 there, and where x / y doesn't fit."""
    zero, one = _zero(y), literal(1, y.type)
    is_zero = function.compare("eq", y, zero)
    replaced = is_zero
    if _KINDS[dtype] == "i":
        lowest = literal(-(1 << (_BITS[dtype] - 1)), x.type)
        minus_one = function.compare("eq", y, literal(-1, y.type))
        replaced = function.binary(
            "or", is_zero, function.binary("and", minus_one, function.compare("eq", x, lowest)))  # fmt: skip
    return is_zero, function.select(replaced, one, y)


def _signs_differ(function: Function, remainder: Value, divisor: Value) -> Value:
    """Whether the quotient was rounded up: the remainder isn't 0 and its sign isn't the divisor's."""
    opposite = function.compare("slt", function.binary("xor", remainder, divisor), _zero(divisor))
    return function.binary("and", opposite, function.compare("ne", remainder, _zero(divisor)))


@_entry("floor_divide", "iu")
def _floor_divide(function: Function, x: Value, y: Value, dtype: str) -> Value:
    is_zero, divisor = _divisor(function, x, y, dtype)
    if _KINDS[dtype] == "u":
        return function.select(is_zero, _zero(x), function.binary("udiv", x, divisor))
    quotient = function.binary("sdiv", x, divisor)
    remainder = function.subtract(x, function.multiply(quotient, divisor))
    lower = function.subtract(quotient, literal(1, x.type))
    quotient = function.select(_signs_differ(function, remainder, divisor), lower, quotient)
    return function.select(is_zero, _zero(x), quotient)


@_entry("mod", "iu")
def _mod(function: Function, x: Value, y: Value, dtype: str) -> Value:
    is_zero, divisor = _divisor(function, x, y, dtype)
    remainder = function.binary("urem" if _KINDS[dtype] == "u" else "srem", x, divisor)
    if _KINDS[dtype] == "i":
        moved = function.add(remainder, divisor)
        remainder = function.select(_signs_differ(function, remainder, divisor), moved, remainder)
    return function.select(is_zero, _zero(x), remainder)
