"""The scalar functions of the grammar as LLVM instructions, on scalars or vectors of any number of lanes.

In registers a bool is i1, an integer or unsigned integer of n bits is in, float32 is float and float64 double. Results
equal NumPy's: integers wrap around, dividing one by zero gives zero, quotients are rounded towards minus infinity,
nan wins over every number in `maximum`; elementary functions are within 2 units in the last place, and the same for
every vector width and in every lane. float16 and bfloat16 have casts to and from float32 only (float16, where the
processor has them); complex numbers have no native code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symgrad.backends.native.llvm.host import host
from symgrad.backends.native.llvm.text import Function, Value
from symgrad.backends.native.mathematics.arithmetic import Arithmetic
from symgrad.backends.native.mathematics.basic import RULES, Rule
from symgrad.backends.native.mathematics.casts import ELEMENTS, KINDS, emit_cast
from symgrad.backends.native.mathematics.table import FUNCTIONS, Formula
from symgrad.graph.dtypes import HALVES

__all__ = ["ELEMENTS", "emit_cast", "emit_scalar", "is_supported"]

_ABOUT_OPERANDS = frozenset(("eq", "neq", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite"))
"""Functions that compute in the dtype of their operands; all others in that of the result."""


@dataclass(frozen=True)
class _Elementary:
    """Writes an elementary function by its formula."""

    formula: Formula

    def __call__(self, function: Function, *operands: Value) -> Value:
        return self.formula(Arithmetic(function, operands[0].type), *operands)


_TABLE: dict[str, tuple[Rule, ...]] = dict(RULES)
for _name, _formula in FUNCTIONS.items():
    _TABLE[_name] = (*_TABLE.get(_name, ()), Rule("f", _Elementary(_formula)))


def is_supported(name: str, dtypes: Sequence[str], dtype: str) -> bool:
    """Whether `emit_scalar` can write function `name` of operands of `dtypes` with a result of `dtype`."""
    found = {dtype, *dtypes}
    if not found <= ELEMENTS.keys() or ("float16" in found and not _converts_float16()):
        return False
    if not found.isdisjoint(HALVES):
        return name in ("cast_float32", *[f"cast_{half}" for half in HALVES]) and "float32" in found
    return name == f"cast_{dtype}" or _rule(name, dtypes, dtype) is not None


def _converts_float16() -> bool:
    """Whether the processor has instructions for it: without, LLVM calls a function that isn't there."""
    return host().vector_bytes > 16 or host().architecture in ("aarch64", "arm64")


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
    rule = _rule(name, dtypes, dtype)
    if rule is None:
        return emit_cast(function, operands[0], dtypes[0], dtype)
    computed = [_computed_dtype(name, dtypes, dtype)] * len(dtypes)
    if name == "switch":
        computed[0] = "bool"
    values = [emit_cast(function, *each) for each in zip(operands, dtypes, computed, strict=True)]
    return rule.write(function, *values)


def _rule(name: str, dtypes: Sequence[str], dtype: str) -> Rule | None:
    """Return the rule for a function in the dtype in which it computes."""
    kind = KINDS.get(_computed_dtype(name, dtypes, dtype), "")
    return next((rule for rule in _TABLE.get(name, ()) if kind and kind in rule.kinds), None)


def _computed_dtype(name: str, dtypes: Sequence[str], dtype: str) -> str:
    """Return the dtype in which a function computes."""
    if name in _ABOUT_OPERANDS:
        return dtypes[0] if len(set(dtypes)) == 1 else np.result_type(*dtypes).name
    return "bool" if name.startswith("logical_") else dtype
