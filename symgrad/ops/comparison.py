"""Comparisons and logic, elementwise: none of them has a derivative."""

from __future__ import annotations

import numpy as np

from symgrad.ops.elementwise_op import arithmetic, comparison, elementwise, predicate, unchanged

REALS = "iubf"
DISCRETE = "iub"


@elementwise(np.equal, comparison)
def eq(x, y, output):
    """Whether ``x`` equals ``y``, elementwise (``==`` between variables is identity)."""
    return None, None


@elementwise(np.not_equal, comparison)
def neq(x, y, output):
    """Whether ``x`` differs from ``y``, elementwise."""
    return None, None


@elementwise(np.less, comparison, kinds=REALS, symbol="<")
def lt(x, y, output):
    """Whether ``x < y``."""
    return None, None


@elementwise(np.less_equal, comparison, kinds=REALS, symbol="<=")
def le(x, y, output):
    """Whether ``x <= y``."""
    return None, None


@elementwise(np.greater, comparison, kinds=REALS, symbol=">")
def gt(x, y, output):
    """Whether ``x > y``."""
    return None, None


@elementwise(np.greater_equal, comparison, kinds=REALS, symbol=">=")
def ge(x, y, output):
    """Whether ``x >= y``."""
    return None, None


@elementwise(np.isnan, predicate)
def isnan(x, output):
    """Whether `x` is nan."""
    return None


@elementwise(np.isinf, predicate)
def isinf(x, output):
    """Whether `x` is inf or -inf."""
    return None


@elementwise(np.isfinite, predicate)
def isfinite(x, output):
    """Whether `x` is neither nan nor infinite."""
    return None


@elementwise(np.bitwise_and, arithmetic, kinds=DISCRETE, symbol="&")
def and_(x, y, output):
    """And: of bools logical, of integers bit by bit."""
    return None, None


@elementwise(np.bitwise_or, arithmetic, kinds=DISCRETE, symbol="|")
def or_(x, y, output):
    """Or: of bools logical, of integers bit by bit."""
    return None, None


@elementwise(np.bitwise_xor, arithmetic, kinds=DISCRETE, symbol="^")
def xor(x, y, output):
    """Exclusive or: of bools logical, of integers bit by bit."""
    return None, None


@elementwise(np.invert, unchanged, kinds=DISCRETE)
def invert(x, output):
    """Not: of bools logical, of integers bit by bit."""
    return None


@elementwise(np.left_shift, arithmetic, kinds="iu", symbol="<<")
def left_shift(x, y, output):
    """Integers `x` with their bits moved up by `y` places: ``x * 2 ** y``."""
    return None, None


@elementwise(np.right_shift, arithmetic, kinds="iu", symbol=">>")
def right_shift(x, y, output):
    """Integers `x` with their bits moved down by `y` places: ``x // 2 ** y``."""
    return None, None


bitwise_and = and_
bitwise_or = or_
bitwise_xor = xor
bitwise_not = invert
not_ = invert

__all__ = [
    "and_", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "eq", "ge", "gt", "invert", "isfinite",
    "isinf", "isnan", "le", "left_shift", "lt", "neq", "not_", "or_", "right_shift", "xor",
]  # fmt: skip
