"""Indexing written as functions, by Theano's names: ``x[index]`` and its two ways of writing."""

from __future__ import annotations

from typing import Any

from symgrad.ops.indexing import get_item, inc_subtensor, set_subtensor
from symgrad.ops.promotion import as_operand


def advanced_subtensor(x: Any, *args: Any) -> Any:
    """Return ``x[args]``."""
    return get_item(as_operand(x), args)


def advanced_set_subtensor(x: Any, y: Any, *args: Any) -> Any:
    """Return `x` with `y` in place of ``x[args]``."""
    return set_subtensor(advanced_subtensor(x, *args), y)


def advanced_inc_subtensor(x: Any, y: Any, *args: Any) -> Any:
    """Return `x` with `y` added to ``x[args]``; repeated positions accumulate."""
    return inc_subtensor(advanced_subtensor(x, *args), y)


advanced_subtensor1 = advanced_boolean_subtensor = advanced_subtensor
advanced_set_subtensor1 = advanced_boolean_set_subtensor = advanced_set_subtensor
advanced_inc_subtensor1 = advanced_boolean_inc_subtensor = advanced_inc_subtensor


def adv_index_broadcastable_pattern(a: Any, idx: Any) -> tuple[bool, ...]:
    """Return which axes of ``a[idx]`` are known to have size 1, and therefore stretch."""
    return tuple(advanced_subtensor(a, *(idx if isinstance(idx, list | tuple) else [idx])).type.broadcastable)


def make_slice(start: Any = None, stop: Any = None, step: Any = None) -> slice:
    """Return a slice, whose bounds may be symbolic."""
    return slice(start, stop, step)


__all__ = [
    "adv_index_broadcastable_pattern", "advanced_boolean_inc_subtensor", "advanced_boolean_set_subtensor",
    "advanced_boolean_subtensor", "advanced_inc_subtensor", "advanced_inc_subtensor1", "advanced_set_subtensor",
    "advanced_set_subtensor1", "advanced_subtensor", "advanced_subtensor1", "make_slice",
]  # fmt: skip
