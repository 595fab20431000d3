"""The scalar functions of the grammar, casts and numbers as CUDA C++ expressions.

Every expression has exactly the type that its dtype has in registers. float16 and bfloat16 are float32 there, rounded
after each function, as NumPy does. Results equal NumPy's: integers wrap around, dividing one by zero gives zero,
quotients are rounded towards minus infinity, nan wins over every number in `maximum`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np

from symgrad.backends.cupy.prelude import TYPES

REGISTERS = {**TYPES, "float16": "f32", "bfloat16": "f32"}
"""The C++ type of each dtype's values in registers."""

KINDS = {dtype: "f" if "float" in dtype else dtype[0] for dtype in TYPES}
"""The kind of each dtype: b, i, u or f."""

HALVES = {"float16": "f16", "bfloat16": "bf16"}

_ABOUT_OPERANDS = frozenset(("eq", "neq", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite"))
_UNROUNDED = frozenset((
    "negative", "abs", "sign", "floor", "ceil", "trunc", "rint", "maximum", "minimum", "clip", "switch", "rectify",
    "step",
))  # fmt: skip
"""Functions that give float16 for float16 without rounding."""

_COMPARISONS = {"eq": "==", "neq": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_C_NAMES = {
    "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc", "rint": "rint", "exp": "exp", "exp2": "exp2",
    "expm1": "expm1", "exp_below_one": "exp", "log": "log", "log2": "log2", "log10": "log10", "log1p": "log1p",
    "sin": "sin", "cos": "cos", "tan": "tan", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "sinh": "sinh",
    "cosh": "cosh", "tanh": "tanh", "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "erf": "erf",
    "erfc": "erfc", "abs": "fabs",
}  # fmt: skip
_ALIKE = {"maximum": "maximum({0}, {1})", "minimum": "minimum({0}, {1})", "clip": "minimum(maximum({0}, {1}), {2})"}

_OF_FLOATS = {
    **{name: f"{word}{{f}}({{0}})" for name, word in _C_NAMES.items()}, **_ALIKE,
    "add": "({0} + {1})", "subtract": "({0} - {1})", "multiply": "({0} * {1})", "true_divide": "({0} / {1})",
    "floor_divide": "floor_quotient({0}, {1})", "mod": "floor_remainder({0}, {1})", "power": "pow{f}({0}, {1})",
    "arctan2": "atan2{f}({0}, {1})", "logaddexp": "log_of_sum({0}, {1})", "negative": "(-{0})",
    "reciprocal": "(({T})1 / {0})", "sign": "sign_of({0})", "sqr": "squared({0})", "sigmoid": "sigmoid({0})",
    "softplus": "softplus({0})", "rectify": "rectified({0})", "rectify_gradient": "rectified_gradient({0}, {1})",
    "step": "unit_step({0})", "xlogx": "times_own_log({0})", "xlogy0": "times_log({0}, {1})",
    "deg2rad": "({0} * {degree})", "rad2deg": "({0} * {radian})", "isnan": "({0} != {0})",
    "isinf": "(fabs{f}({0}) == ({T})INFINITY)", "isfinite": "(fabs{f}({0}) < ({T})INFINITY)",
}  # fmt: skip
_EXACT = {"add": "add", "subtract": "sub", "multiply": "mul"}
"""Intrinsics that are never fused into one operation with others."""

_OF_BITS = {"and": "({T})({0} & {1})", "or": "({T})({0} | {1})", "xor": "({T})({0} ^ {1})"}
_SAME = dict.fromkeys(("floor", "ceil", "trunc"), "{0}")
_VERDICTS = {"isnan": "false", "isinf": "false", "isfinite": "true"}
_OF_UNSIGNED = {
    **_OF_BITS, **_SAME, **_VERDICTS, **_ALIKE,
    "add": "wrapped_sum({0}, {1})", "subtract": "wrapped_difference({0}, {1})",
    "multiply": "wrapped_product({0}, {1})", "floor_divide": "floor_quotient({0}, {1})",
    "mod": "floor_remainder({0}, {1})", "negative": "wrapped_difference(({T})0, {0})", "abs": "{0}",
    "sign": "({T})({0} != 0)", "sqr": "wrapped_product({0}, {0})", "rectify": "{0}",
    "rectify_gradient": "({T})({0} ? {1} : 0)", "invert": "({T})~{0}", "left_shift": "shifted_left({0}, {1})",
    "right_shift": "shifted_right({0}, {1})", "shift_left": "shifted_left({0}, {1})",
    "shift_right": "shifted_right({0}, {1})", "multiply_high": "product_high({0}, {1})",
    "power": "integer_power({0}, {1})",
}  # fmt: skip
_OF_SIGNED = {
    **{name: text for name, text in _OF_UNSIGNED.items() if name not in ("multiply_high", "power")},
    "abs": "({0} < 0 ? wrapped_difference(({T})0, {0}) : {0})", "sign": "sign_of({0})", "rectify": "rectified({0})",
    "rectify_gradient": "rectified_gradient({0}, {1})",
}  # fmt: skip
_OF_BOOLS = {
    **_OF_BITS, **_SAME, **_VERDICTS,
    "logical_and": "({0} && {1})", "logical_or": "({0} || {1})", "add": "(bool)({0} | {1})",
    "multiply": "(bool)({0} & {1})", "maximum": "(bool)({0} | {1})", "minimum": "(bool)({0} & {1})", "invert": "(!{0})",
    "abs": "{0}", "clip": "(bool)(({0} | {1}) & {2})",
}  # fmt: skip
_TABLE = {"f": _OF_FLOATS, "i": _OF_SIGNED, "u": _OF_UNSIGNED, "b": _OF_BOOLS}
for _rules in _TABLE.values():
    _rules["switch"] = "({0} ? {1} : {2})"
    _rules.update({name: f"({{0}} {sign} {{1}})" for name, sign in _COMPARISONS.items()})


def is_supported(name: str, dtypes: Sequence[str], dtype: str) -> bool:
    """Whether there is code for function `name` of operands of `dtypes` with a result of `dtype`."""
    if dtype not in TYPES or any(operand not in TYPES for operand in dtypes):
        return False
    if name == f"cast_{dtype}":
        return True
    return name in _TABLE[KINDS[computed_dtype(name, dtypes, dtype)]]


def computed_dtype(name: str, dtypes: Sequence[str], dtype: str) -> str:
    """Return the dtype in which a function computes."""
    if name in _ABOUT_OPERANDS:
        return dtypes[0] if len(set(dtypes)) == 1 else _promoted(dtypes)
    return "bool" if name.startswith("logical_") else dtype


def _promoted(dtypes: Sequence[str]) -> str:
    if "bfloat16" in dtypes:
        return "float32"
    return np.result_type(*dtypes).name


def scalar_text(name: str, operands: Sequence[str], dtypes: Sequence[str], dtype: str, exact: bool = False) -> str:
    """Return a function of some expressions as an expression.

    Parameters
    ----------
    name : str
        A function of kernel IR.
    operands : sequence of str
        Names or numbers, or anything that may be computed again.
    dtypes : sequence of str
        Their dtypes.
    dtype : str
        The dtype of the result.
    exact : bool
        Whether products and sums are rounded each, so that the same expression gives the same bits everywhere.
    """
    if name == "bitcast":
        return _bits_text(operands[0], dtypes[0], dtype)
    found = computed_dtype(name, dtypes, dtype)
    if exact and KINDS[found] == "f" and (name in _EXACT or name == "sqr"):
        letter = "d" if found == "float64" else "f"
        pair = operands if len(operands) == 2 else (*operands, *operands)
        text = f"__{letter}{_EXACT.get(name, 'mul')}_rn({pair[0]}, {pair[1]})"
    else:
        text = _TABLE[KINDS[found]][name].format(*operands, **_words(found))
    return f"round_{HALVES[dtype]}({text})" if dtype in HALVES and name not in _UNROUNDED else text


def _words(dtype: str) -> dict[str, str]:
    kind = np.float64 if dtype == "float64" else np.float32
    wide = "float64" if dtype == "float64" else "float32"
    return {
        "T": REGISTERS[dtype], "f": "" if dtype == "float64" else "f",
        "degree": literal_text(float(kind(np.pi) / kind(180)), wide),
        "radian": literal_text(float(kind(180) / kind(np.pi)), wide),
    }  # fmt: skip


def _bits_text(operand: str, before: str, after: str) -> str:
    stored = stored_text(operand, before)
    return loaded_text(f"bits_as<{TYPES[after]}>({stored})", after) if before != after else operand


def loaded_text(element: str, dtype: str) -> str:
    """Return an element of memory as a value in registers."""
    return f"to_f32({element})" if dtype in HALVES else element


def stored_text(value: str, dtype: str) -> str:
    """Return a value in registers as an element of memory."""
    return f"to_{HALVES[dtype]}({value})" if dtype in HALVES else value


def cast_text(operand: str, before: str, after: str) -> str:
    """Return a conversion with the meaning of NumPy's ``astype``.

    A float too large for int32 or int64, and nan, gives the most negative number, as on x86; smaller integers take the
    low bits of the conversion to int32, uint32 those of the conversion to int64.
    """
    if before == after:
        return operand
    kind = REGISTERS[after]
    if after == "bool":
        return f"({operand} != 0)"
    if after in HALVES:
        if before == "float64":
            return f"to_f32(to_{HALVES[after]}({operand}))"
        return f"round_{HALVES[after]}({operand if KINDS[before] == 'f' else f'(f32){operand}'})"
    if KINDS[before] != "f" or KINDS[after] == "f":
        return operand if REGISTERS[before] == kind else f"({kind}){operand}"
    if after == "uint64":
        return f"truncated_u64({operand})"
    wide = "truncated_i64" if after in ("int64", "uint32") else "truncated_i32"
    text = f"{wide}({operand})"
    return text if after in ("int64", "int32") else f"({kind}){text}"


def literal_text(value: float, dtype: str) -> str:
    """Return a number."""
    if dtype == "bool":
        return "true" if value else "false"
    if KINDS[dtype] == "f":
        return _float_text(float(value), dtype)
    number = int(value)
    if number == -(1 << 63):
        return "(-9223372036854775807LL - 1)"
    if number == -(1 << 31) and dtype == "int32":
        return "(-2147483647 - 1)"
    suffix = {"int64": "LL", "uint64": "ULL", "uint32": "u"}.get(dtype, "")
    text = f"{number}{suffix}" if number >= 0 else f"({number}{suffix})"
    return text if suffix or dtype == "int32" else f"({TYPES[dtype]}){text}"


def _float_text(value: float, dtype: str) -> str:
    wide = dtype == "float64"
    if math.isnan(value) or math.isinf(value):
        text = "NAN" if math.isnan(value) else "INFINITY" if value > 0 else "-INFINITY"
        return f"((f64){text})" if wide else f"({text})" if value < 0 else text
    if wide:
        text = repr(value)
    else:
        with np.errstate(all="ignore"):
            rounded = _rounded(value, dtype)
        if math.isinf(rounded):
            return _float_text(rounded, dtype)
        text = repr(float(str(np.float32(rounded)))) + "f"
    return f"({text})" if text.startswith("-") else text


def _rounded(value: float, dtype: str) -> float:
    if dtype == "float16":
        return float(np.float16(value))
    single = np.float32(value)
    if dtype == "bfloat16" and np.isfinite(single):
        (bits,) = struct.unpack("I", struct.pack("f", single))
        bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
        single = struct.unpack("f", struct.pack("I", bits))[0]
    return float(single)


def identity_text(function: str, dtype: str) -> str:
    """Return the value that changes nothing when it is combined with another."""
    if function in ("add", "or"):
        return literal_text(0, dtype)
    if function == "multiply":
        return literal_text(1, dtype)
    if function == "and":
        return literal_text(True if dtype == "bool" else _all_ones(dtype), dtype)
    if dtype == "bool":
        return literal_text(function == "minimum", dtype)
    if KINDS[dtype] == "f":
        return literal_text(-math.inf if function == "maximum" else math.inf, dtype)
    limits = np.iinfo(dtype)
    return literal_text(int(limits.min if function == "maximum" else limits.max), dtype)


def _all_ones(dtype: str) -> int:
    return -1 if KINDS[dtype] == "i" else int(np.iinfo(dtype).max)


def combination_name(function: str, dtype: str) -> str:
    """Return the prelude's name for an associative function of a dtype."""
    if dtype == "bool":
        return {"add": "Or", "multiply": "And", "maximum": "Or", "minimum": "And", "and": "And", "or": "Or"}[function]
    wraps = KINDS[dtype] != "f" and function in ("add", "multiply")
    return function.capitalize() + ("Wrapped" if wraps else "")
