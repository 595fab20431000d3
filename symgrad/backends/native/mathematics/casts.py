"""The dtypes in registers, and conversions between them."""

from __future__ import annotations

from symgrad.backends.native.llvm.text import Function, Value, literal, with_element
from symgrad.backends.native.mathematics.arithmetic import Arithmetic
from symgrad.graph.dtypes import HALVES, kind_of
from symgrad.kernels.ir.functions import DTYPES

ELEMENTS = {
    "bool": "i1", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "uint8": "i8", "uint16": "i16", "uint32": "i32", "uint64": "i64", "float32": "float", "float64": "double",
    "float16": "i16", "bfloat16": "i16",
}  # fmt: skip
"""The LLVM type of each dtype in registers; in memory a bool is an i8 that is 0 or 1. Floats of 16 bits are only moved,
as bits, and cast to and from float32."""

KINDS = {dtype: kind_of(dtype) for dtype in ELEMENTS}
"""NumPy's letter for the kind of each dtype: b, i, u or f."""

_BITS = {dtype: 1 if dtype == "bool" else 8 * DTYPES[dtype] for dtype in ELEMENTS}


def emit_cast(function: Function, value: Value, from_dtype: str, to_dtype: str) -> Value:
    """Write a conversion with the meaning of NumPy's ``astype``.

    A float too large for int32 or int64, and nan, gives the most negative number, as on x86; smaller integers take the
    low bits of the conversion to int32, uint32 those of the conversion to int64.
    """
    if from_dtype == to_dtype:
        return value
    if from_dtype in HALVES:
        return emit_cast(function, _to_single(function, value, from_dtype), "float32", to_dtype)
    if to_dtype in HALVES:
        return _to_half(function, emit_cast(function, value, from_dtype, "float32"), to_dtype)
    kind = with_element(value.type, ELEMENTS[to_dtype])
    is_from_float, is_to_float = KINDS[from_dtype] == "f", KINDS[to_dtype] == "f"
    if to_dtype == "bool":
        return function.compare("une" if is_from_float else "ne", value, literal(0, value.type))
    if is_from_float and is_to_float:
        return function.convert("fpext" if to_dtype == "float64" else "fptrunc", value, kind)
    if is_to_float:
        return function.convert("sitofp" if KINDS[from_dtype] == "i" else "uitofp", value, kind)
    if is_from_float:
        return _float_to_integer(function, value, to_dtype)
    before, after = _BITS[from_dtype], _BITS[to_dtype]
    if before == after:
        return value
    extension = "sext" if KINDS[from_dtype] == "i" else "zext"
    return function.convert("trunc" if before > after else extension, value, kind)


def _to_single(function: Function, bits: Value, dtype: str) -> Value:
    """Write a conversion from the bits of a float of 16 bits to float32, which is exact."""
    kind = with_element(bits.type, "float")
    if dtype == "float16":
        return function.convert("fpext", function.convert("bitcast", bits, with_element(bits.type, "half")), kind)
    wide = function.convert("zext", bits, with_element(bits.type, "i32"))
    return function.convert("bitcast", function.binary("shl", wide, literal(16, wide.type)), kind)


def _to_half(function: Function, value: Value, dtype: str) -> Value:
    """Write a conversion from float32 to the bits of a float of 16 bits: rounded to the nearest, ties to even."""
    kind = with_element(value.type, "i16")
    if dtype == "float16":
        half = function.convert("fptrunc", value, with_element(value.type, "half"))
        return function.convert("bitcast", half, kind)
    bits = function.convert("bitcast", value, with_element(value.type, "i32"))
    upper = function.binary("lshr", bits, literal(16, bits.type))
    is_odd = function.binary("and", upper, literal(1, bits.type))
    bias = function.add(is_odd, literal(0x7FFF, bits.type))
    rounded = function.binary("lshr", function.add(bits, bias), literal(16, bits.type))
    quiet = function.binary("or", upper, literal(0x40, bits.type))
    is_nan = function.compare("uno", value, value)
    return function.convert("trunc", function.select(is_nan, quiet, rounded), kind)


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
    else:  # float64 has numbers between -edge - 1 and -edge
        fits = function.binary("and", m.less(-edge - 1.0, value), m.less(value, edge))
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
