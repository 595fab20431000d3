"""The elementary functions by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from symgrad.backends.native.llvm.text import Value
from symgrad.backends.native.mathematics import exponential, logarithm, rounding

FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    **rounding.FUNCTIONS,
    **exponential.FUNCTIONS,
    **logarithm.FUNCTIONS,
}
"""``FUNCTIONS[name](arithmetic, *operands)`` writes a function of floats."""
