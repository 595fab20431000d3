"""The elementary functions by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from symgrad.backends.native.llvm.text import Value
from symgrad.backends.native.mathematics import (
    error_function,
    exponential,
    inverse_trigonometric,
    logarithm,
    power,
    remainder,
    rounding,
    trigonometric,
)

Formula = Callable[..., Value]

_FAMILIES: tuple[Mapping[str, Formula], ...] = (
    rounding.FUNCTIONS, remainder.FUNCTIONS, exponential.FUNCTIONS, logarithm.FUNCTIONS, power.FUNCTIONS,
    trigonometric.FUNCTIONS, inverse_trigonometric.FUNCTIONS, error_function.FUNCTIONS,
)  # fmt: skip

FUNCTIONS: Mapping[str, Formula] = {name: formula for family in _FAMILIES for name, formula in family.items()}
"""``FUNCTIONS[name](arithmetic, *operands)`` writes a function of floats."""
