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
    rounding,
    trigonometric,
)

FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    **rounding.FUNCTIONS,
    **exponential.FUNCTIONS,
    **logarithm.FUNCTIONS,
    **trigonometric.FUNCTIONS,
    **inverse_trigonometric.FUNCTIONS,
    **error_function.FUNCTIONS,
    **power.FUNCTIONS,
}
"""``FUNCTIONS[name](arithmetic, *operands)`` writes a function of floats."""
