"""What elementwise functions of `symgrad.tensor` do with sparse matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symgrad.sparse import arithmetic, comparisons
from symgrad.sparse.structured import KEEP_ZEROS

ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "add": arithmetic.add, "subtract": arithmetic.sub, "multiply": arithmetic.mul, "true_divide": arithmetic.div,
    "negative": arithmetic.neg, "eq": comparisons.eq, "neq": comparisons.neq, "lt": comparisons.lt,
    "le": comparisons.le, "gt": comparisons.gt, "ge": comparisons.ge, **KEEP_ZEROS,
}  # fmt: skip
"""For the names of rows of `symgrad.ops.elementwise_op`, the functions of sparse matrices."""
