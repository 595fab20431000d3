"""What means something else in Theano: ``if W:``, by which programs ask whether a variable was given, and sizes now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symgrad.graph.op import set_early_errors
from symgrad.tensor.variable import TensorOperators

_OWN = TensorOperators.__bool__
_COMPARISONS = frozenset(("lt", "le", "gt", "ge"))


def _is_given(variable: Any) -> bool:
    """Return True; a comparison asks for its value, as in ``a < b < c``, and is refused."""
    op = None if variable.owner is None else variable.owner.op
    return _OWN(variable) if getattr(op, "function", None) in _COMPARISONS else True


def set_meanings(of_theano: bool) -> None:
    """Let the truth of a variable be what Theano says, or what symgrad says: an error.

    And let sizes that shared variables happen to have now be an error only where a function is called, or at once.
    """
    meaning: Callable[[Any], bool] = _is_given if of_theano else _OWN
    TensorOperators.__bool__ = meaning  # type: ignore[method-assign, assignment]
    set_early_errors(not of_theano)
