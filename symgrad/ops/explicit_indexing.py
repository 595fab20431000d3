"""Indexing written as functions, by Theano's names: ``x[index]`` and its two ways of writing."""

from __future__ import annotations

from typing import Any

from symgrad.ops.indexing import get_item, inc_subtensor, set_subtensor
from symgrad.ops.promotion import as_operand


def advanced_subtensor(x: Any, *args: Any) -> Any:
    """Return ``x[args]``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.advanced_boolean_subtensor([5, 6, 7], [True, False, True]).eval())
    [5 7]
    """
    return get_item(as_operand(x), args)


def advanced_set_subtensor(x: Any, y: Any, *args: Any) -> Any:
    """Return `x` with `y` in place of ``x[args]``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.advanced_boolean_set_subtensor([5, 6, 7], 0, [True, False, True]).eval())
    [0 6 0]
    """
    return set_subtensor(advanced_subtensor(x, *args), y)


def advanced_inc_subtensor(x: Any, y: Any, *args: Any) -> Any:
    """Return `x` with `y` added to ``x[args]``; repeated positions accumulate.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.advanced_boolean_inc_subtensor([5, 6, 7], 10, [True, False, True]).eval())
    [15  6 17]
    """
    return inc_subtensor(advanced_subtensor(x, *args), y)


advanced_subtensor1 = advanced_boolean_subtensor = advanced_subtensor
advanced_set_subtensor1 = advanced_boolean_set_subtensor = advanced_set_subtensor
advanced_inc_subtensor1 = advanced_boolean_inc_subtensor = advanced_inc_subtensor


def adv_index_broadcastable_pattern(a: Any, idx: Any) -> tuple[bool, ...]:
    """Return which axes of ``a[idx]`` are known to have size 1, and therefore stretch.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> T.adv_index_broadcastable_pattern(T.matrix(), [T.lvector(), slice(None)])
    (False, False)
    """
    return tuple(advanced_subtensor(a, *(idx if isinstance(idx, list | tuple) else [idx])).type.broadcastable)


def make_slice(start: Any = None, stop: Any = None, step: Any = None) -> slice:
    """Return a slice, whose bounds may be symbolic.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> T.make_slice(1, None)
    slice(1, None, None)
    """
    return slice(start, stop, step)


__all__ = [
    "adv_index_broadcastable_pattern", "advanced_boolean_inc_subtensor", "advanced_boolean_set_subtensor",
    "advanced_boolean_subtensor", "advanced_inc_subtensor", "advanced_inc_subtensor1", "advanced_set_subtensor",
    "advanced_set_subtensor1", "advanced_subtensor", "advanced_subtensor1", "make_slice",
]  # fmt: skip
