"""Floats of 16 bits: where they are rounded, and who multiplies them."""

from __future__ import annotations

from typing import Any

from symgrad.graph.dtypes import HALVES, widened
from symgrad.graph.variables import Apply
from symgrad.ops.casting import Cast, cast
from symgrad.ops.conv import Conv2d, Conv2dFilterGradient, Conv2dInputGradient
from symgrad.ops.linalg import BatchedMatrixProduct, Dot
from symgrad.ops.pool import MaxPoolGradient, Pool2d, SumPoolGradient
from symgrad.ops.rounding import Rounded
from symgrad.rewriting.engine import Context, rule


@rule("canonicalize", Rounded, reason="casts are parts of kernels, and what is between them takes half the memory")
def rounding_is_a_cast_and_back(node: Apply, context: Context) -> Any:
    return Cast("float32")(Cast(node.op.dtype)(node.inputs[0]))  # type: ignore[attr-defined]


@rule("canonicalize", Dot, BatchedMatrixProduct, Conv2d, Conv2dInputGradient, Conv2dFilterGradient, Pool2d,
      MaxPoolGradient, SumPoolGradient, backends=("native",),
      reason="a CPU multiplies and sums floats of 16 bits in float32, and has routines for that")  # fmt: skip
def products_of_halves_are_rounded_products_of_float32(node: Apply, context: Context) -> Any:
    (output,) = node.outputs
    dtype = output.type.dtype  # type: ignore[attr-defined]
    if dtype not in HALVES:
        return None
    return Cast(dtype)(node.op(*[cast(v, widened(v.type.dtype)) for v in node.inputs]))  # type: ignore[attr-defined]
