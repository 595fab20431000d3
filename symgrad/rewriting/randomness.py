"""Random samples: drawn in the dtype that is used, and sized without being drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from symgrad.graph.variables import Apply
from symgrad.kernels.random_sample import COUNT_DTYPES
from symgrad.ops.casting import Cast
from symgrad.ops.random import RandomSample
from symgrad.rewriting.canonicalize import SIZE_ANSWERS
from symgrad.rewriting.engine import Context, rule
from symgrad.rewriting.patterns import made_by


@rule("canonicalize", Cast, reason="zeros and ones are exact in every dtype: a mask is drawn in the one that is used")
def cast_of_bernoulli_draw_is_drawn_in_that_dtype(node: Apply, context: Context) -> Any:
    (draw,) = node.inputs
    inner = made_by(draw, RandomSample)
    if inner is None or inner.op.distribution != "bernoulli" or context.uses(draw) != 1:  # type: ignore[attr-defined]
        return None
    dtype = node.op.dtype  # type: ignore[attr-defined]
    return replace(inner.op, dtype=dtype)(*inner.inputs) if dtype in COUNT_DTYPES else None  # type: ignore[type-var]


def _given_size_of_sample(node: Apply, axis: int) -> Any:
    """Return the scalar that a size of a sample was given by."""
    sizes = node.op.sizes  # type: ignore[attr-defined]
    if axis >= len(sizes) or sizes[axis] is not None:
        return None
    gaps_before = sum(size is None for size in sizes[:axis])
    scalar: Any = node.inputs[1 + len(node.op.declared.parameters) + gaps_before]  # type: ignore[attr-defined]
    return scalar if scalar.type.dtype == "int64" else Cast("int64")(scalar)


SIZE_ANSWERS[RandomSample] = _given_size_of_sample
