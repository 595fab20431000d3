"""The scalar functions that kernel IR may call: names, numbers of operands, dtypes."""

from __future__ import annotations

import enum
from collections.abc import Sequence


class Rule(enum.Enum):
    """How the result's dtype follows from the operands'."""

    SAME = "operands and result have one dtype"
    COMPARISON = "operands have one dtype, the result is bool"
    SELECTION = "the first operand is bool, the others and the result have one dtype"
    BITS = "the result has any dtype of the operand's size"


_UNARY = (
    "negative", "reciprocal", "abs", "sign", "sqr", "sqrt", "floor", "ceil", "trunc", "rint", "exp", "exp2", "expm1",
    "exp_below_one", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh",
    "tanh", "arcsinh", "arccosh", "arctanh", "deg2rad", "rad2deg", "sigmoid", "softplus", "rectify", "step", "erf",
    "erfc", "xlogx", "invert",
)  # fmt: skip
_BINARY = (
    "add", "subtract", "multiply", "true_divide", "floor_divide", "mod", "power", "logaddexp", "arctan2", "maximum",
    "minimum", "rectify_gradient", "and", "or", "xor", "left_shift", "right_shift", "shift_left", "shift_right",
    "multiply_high", "xlogy0",
)  # fmt: skip

FUNCTIONS: dict[str, tuple[int, Rule]] = {
    **dict.fromkeys(_UNARY, (1, Rule.SAME)),
    **dict.fromkeys(_BINARY, (2, Rule.SAME)),
    **dict.fromkeys(("eq", "neq", "lt", "le", "gt", "ge"), (2, Rule.COMPARISON)),
    **dict.fromkeys(("isnan", "isinf", "isfinite"), (1, Rule.COMPARISON)),
    "clip": (3, Rule.SAME),
    "switch": (3, Rule.SELECTION),
    "bitcast": (1, Rule.BITS),
}
"""Number of operands and rule of each function. ``exp_below_one`` is ``exp`` of what is never above 0, and may be 0
where the exponential is subnormal. ``multiply_high`` is the upper half of a product of unsigned integers, ``bitcast``
the same bits read as another dtype."""

ASSOCIATIVE = ("add", "multiply", "maximum", "minimum", "and", "or")
"""What may combine the values of rounds that run in any order."""

DTYPES = {
    "bool": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8,
    "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8,
}  # fmt: skip
"""The dtypes of kernel IR, and the bytes that an element takes."""


def result_dtype(name: str, operands: Sequence[str]) -> str:
    """Return the dtype of a function's result.

    Raises
    ------
    ValueError
        If there is no such function, or it doesn't take these operands.

    Examples
    --------
    >>> result_dtype("lt", ["float32", "float32"]), result_dtype("switch", ["bool", "int8", "int8"])
    ('bool', 'int8')
    """
    if name not in FUNCTIONS:
        raise ValueError(f"there is no scalar function {name!r}")
    arity, rule = FUNCTIONS[name]
    if len(operands) != arity:
        raise ValueError(f"{name} takes {arity} operands, got {len(operands)}")
    if rule is Rule.BITS:
        raise ValueError(f"{name} doesn't say its result's dtype")
    alike = operands[1:] if rule is Rule.SELECTION else operands
    if len(set(alike)) > 1 or (rule is Rule.SELECTION and operands[0] != "bool"):
        raise ValueError(f"{name} doesn't take {', '.join(operands)}: {rule.value}")
    return "bool" if rule is Rule.COMPARISON else alike[0]
