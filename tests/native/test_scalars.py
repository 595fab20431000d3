"""Native scalar functions against NumPy's, for every dtype, on scalars and on vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scalar_kernels import apply

from symgrad.backends.native.llvm.text import Function
from symgrad.backends.native.mathematics.table import FUNCTIONS
from symgrad.backends.native.scalars import ELEMENTS, emit_scalar, is_supported
from symgrad.graph.dtypes import HALVES
from symgrad.ops.elementwise_op import rows

COMPUTED = [dtype for dtype in ELEMENTS if dtype not in HALVES]
ROUNDING = ("floor", "ceil", "trunc", "rint", "mod", "floor_divide")
THROUGH_NUMPY = frozenset((
    "real", "imag", "conj", "angle", "complex", "complex_from_polar", "gamma", "gammaln", "psi", "tri_gamma",
    "polygamma", "gammainc", "gammaincc", "gammal", "gammau", "chi2sf", "erfinv", "erfcinv", "erfcx", "jv", "j0", "j1",
    "iv", "i0", "i1", "logit", "log1mexp",
))  # fmt: skip
EXACT = [name for name in rows if (name not in FUNCTIONS or name in ROUNDING) and name not in THROUGH_NUMPY]


def edge_values(dtype: str) -> list[float]:
    """Return the numbers of a dtype at which functions go wrong."""
    kind = np.dtype(dtype)
    limits: Any
    if kind.kind == "b":
        return [False, True]
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        return sorted({limits.min, limits.min + 1, limits.max, limits.max - 1, 0, 1, 2, 3, 7, limits.max // 2 + 1})
    limits = np.finfo(kind)
    sizes = [0.0, limits.smallest_subnormal, limits.tiny, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 3.0, 2.0**22 + 0.5, 2.0**31,
             2.0**52 + 1, 2.0**63, limits.max, np.inf]  # fmt: skip
    return [*sizes, *[-size for size in sizes], np.nan]


def operands_of(dtype: str, arity: int, seed: int) -> list[np.ndarray]:
    """Return all combinations of edge values, and random numbers after them."""
    generator = np.random.default_rng(seed)
    edges = np.array(edge_values(dtype), dtype)
    grid = [axis.ravel() for axis in np.meshgrid(*[edges] * arity)]
    count = 200
    kind = np.dtype(dtype)
    random = [generator.integers(0, 256, count * kind.itemsize, dtype=np.uint8).view(dtype) for _ in range(arity)]
    if dtype == "bool":
        random = [generator.integers(0, 2, count).astype(bool) for _ in range(arity)]
    small = [generator.integers(-9, 9, count).astype(dtype) for _ in range(arity)]
    return [np.concatenate(parts) for parts in zip(grid, random, small, strict=True)]


def same(found: np.ndarray, expected: np.ndarray) -> None:
    """Compare exactly; any nan equals any other."""
    np.testing.assert_array_equal(found, expected)
    if found.dtype.kind == "f":
        numbers = ~np.isnan(expected) & (expected != 0)
        np.testing.assert_array_equal(np.signbit(found[numbers]), np.signbit(expected[numbers]))


@pytest.mark.parametrize("lanes", [1, 4, 16])
@pytest.mark.parametrize("name", EXACT)
def test_a_function_equals_numpys(name: str, lanes: int) -> None:
    row = rows[name]
    covered = 0
    for dtype in COMPUTED:
        targets, result = row.dtype_rule(*[dtype] * row.arity)
        if np.dtype(dtype).kind not in row.kinds or not is_supported(name, targets, result):
            continue
        covered += 1
        operands = [
            operand.astype(target)
            for operand, target in zip(operands_of(dtype, row.arity, seed=len(name)), targets, strict=True)
        ]
        with np.errstate(all="ignore"):
            expected = np.asarray(row.function.numpy(*operands)).astype(result)
        same(apply(name, operands, result, lanes), expected)
    assert covered


@pytest.mark.parametrize("lanes", [1, 8])
@pytest.mark.parametrize("source", COMPUTED)
def test_a_cast_equals_astype(source: str, lanes: int) -> None:
    (values,) = operands_of(source, 1, seed=3)
    for target in COMPUTED:
        kept = values
        if np.dtype(source).kind == "f" and target == "uint32":
            # Beyond int64 NumPy's own answer differs from element to element.
            kept = values[np.abs(values) < 2.0**31]
        with np.errstate(all="ignore"):
            expected = kept.astype(target)
        same(apply(f"cast_{target}", [kept], target, lanes), expected)


@settings(max_examples=60, deadline=None)
@given(
    dtypes=st.tuples(*[st.sampled_from(["bool", "int8", "uint16", "int32", "float32"])] * 2),
    name=st.sampled_from(["add", "multiply", "maximum", "lt", "eq"]),
    seed=st.integers(0, 1000),
)
def test_operands_of_different_dtypes_are_promoted(dtypes: tuple[str, str], name: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    operands = [generator.integers(0, 100, 24).astype(dtype) for dtype in dtypes]
    expected = rows[name].function.numpy(*operands)
    same(apply(name, operands, expected.dtype.name, 8), expected)


def test_what_is_not_supported_says_so() -> None:
    assert not is_supported("add", ["complex64", "complex64"], "complex64")
    assert not is_supported("add", ["float16", "float16"], "float16")
    assert not is_supported("subtract", ["bool", "bool"], "bool")
    assert not is_supported("gammaln", ["float32"], "float32")
    with pytest.raises(NotImplementedError, match="gammaln"):
        emit_scalar(Function("f", ()), "gammaln", [], [], "float32")
