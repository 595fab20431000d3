"""Runs CUDA kernels for images on the CPU, and compares them with their ops' own meaning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from gpu.shim.kernels import check_found
from symgrad.backends.cupy import convolutions as room
from symgrad.backends.cupy.calls import Found
from symgrad.backends.cupy.convolutions import (
    NAMES,
    convolution_calls,
    filter_products,
    products,
    tiled,
    tiled_filters,
)
from symgrad.backends.cupy.convolutions.ways import Pieces, Way, fastest
from symgrad.backends.cupy.kernel import Target
from symgrad.graph.dtypes import HALVES, NUMPY_DTYPES
from symgrad.graph.op import Op
from symgrad.kernels.grammar import Library

dtypes = st.sampled_from(["float32", "float64"])
seeds = st.integers(0, 2**31)
# With little shared memory few channels are there at once; a small device gets along without shares and parts.
targets = st.sampled_from([Target(), Target(shared_bytes=6000), Target(multiprocessors=3)])
names = st.sampled_from(["plain", "tiled", "tiled", "product", "product", "apart"])
ways = st.tuples(names, targets, st.none() | st.integers(-3, 10**6))
channel_counts = st.one_of(st.integers(1, 9), st.integers(10, 40))
pads = st.tuples(st.integers(0, 3), st.integers(0, 3))
windows = st.tuples(st.integers(1, 4), st.integers(1, 4))
few = settings(max_examples=5, deadline=None)


Choice = tuple[str, Target, int | None]
DEFAULT: Choice = ("", Target(), None)


@contextmanager
def chosen(name: str, number: int | None = None) -> Iterator[None]:
    """Let a room take a way by its name, where there is that way, and any cut by its number, not only the quickest."""

    def choose(ways: Sequence[Way]) -> Pieces:
        return fastest([way for way in ways if way.name == name] or ways)

    def any_cut(cuts: Iterable[Any], target: Target) -> Any:
        found = list(cuts)
        return found[number % len(found)] if found else None  # type: ignore[operator]

    with ExitStack() as patches:
        patches.enter_context(mock.patch.object(room, "fastest", choose))
        if number is not None:
            patches.enter_context(mock.patch.object(tiled, "best_tile", tiled.best_tile.__wrapped__))
            for module in (tiled, tiled_filters, products, filter_products):
                patches.enter_context(mock.patch.object(module, "quickest", any_cut))
        yield


def calls_of(op: Any, operands: Sequence[np.ndarray], outputs: Sequence[np.ndarray], target: Target) -> Found:
    lowered = op.lower(None)
    assert isinstance(lowered, Library) and lowered.name in NAMES
    arrays = (*operands, *outputs)
    shapes, kinds = [array.shape for array in arrays], [array.dtype.name for array in arrays]
    return convolution_calls(lowered.name, dict(lowered.attributes), shapes, kinds, len(operands), target)


def is_float(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" or array.dtype.name in HALVES


def check(
    op: Op, operands: Sequence[np.ndarray], tolerance: float = 8, way: Choice = DEFAULT, result: str = ""
) -> Found:
    """Compare with `evaluate` in float64, in three orders of threads; the bits are the same in all of them.

    Results have the dtype `result`, by default that of the first operand.
    """
    doubles = [x.astype("float64") if is_float(x) else x for x in operands]
    expected = op.evaluate(*doubles)
    dtype = np.dtype(result) if result else operands[0].dtype
    kinds = [dtype if value.dtype.kind == "f" else value.dtype for value in expected]
    outputs = [np.empty(value.shape, kind) for value, kind in zip(expected, kinds, strict=True)]
    name, target, number = way
    with chosen(name, number):
        found = calls_of(op, operands, outputs, target)
    assert found is not None
    assert check_found(found, [*operands, *outputs]) == 0
    for result, value in zip(outputs, expected, strict=True):
        scale = np.abs(np.nan_to_num(value)).max(initial=1)
        if value.dtype.kind == "f":
            np.testing.assert_allclose(result, value, rtol=0, atol=tolerance * scale * np.finfo(dtype).eps)
        else:
            np.testing.assert_array_equal(result, value)
    return found


@st.composite
def convolutions(draw: Any, is_plain: bool = False) -> tuple[dict[str, Any], tuple[int, ...], tuple[int, ...]]:
    """Draw parameters, and the shapes of images and filters that fit them."""
    steps = st.just((1, 1)) if is_plain else st.tuples(st.integers(1, 3), st.integers(1, 3))
    parameters = {"padding": (draw(pads), draw(pads)), "flip": draw(st.booleans())}
    dilation = draw(steps)
    groups = 1 if is_plain else draw(st.integers(1, 3))
    if not is_plain:
        parameters |= {"stride": draw(steps), "dilation": dilation, "groups": groups}
    taps = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    size = []
    for axis in (0, 1):
        least = (taps[axis] - 1) * dilation[axis] + 1 - sum(parameters["padding"][axis])
        size.append(draw(st.integers(max(least, 1), max(least, 1) + 18)))
    count, channels, filters = draw(st.integers(0, 3)), draw(channel_counts), draw(channel_counts)
    return parameters, (count, channels * groups, *size), (filters * groups, channels, *taps)


def normal(seed: int, shape: Sequence[int], dtype: str) -> np.ndarray:
    return np.random.RandomState(seed).standard_normal(tuple(shape)).astype(dtype)


def halves(half: str, *operands: np.ndarray) -> list[np.ndarray]:
    """Return numbers as floats of 16 bits."""
    return [x.astype(NUMPY_DTYPES[half]) for x in operands]


def eighths(seed: int, shape: Sequence[int], dtype: str) -> np.ndarray:
    """Return numbers whose products and sums are exact: whether maxima are equal doesn't depend on rounding."""
    return np.round(8 * normal(seed, shape, "float64")).astype(dtype) / 8  # type: ignore[no-any-return]


def sizes_of(shape: Sequence[int]) -> list[np.ndarray]:
    return [np.array(size) for size in shape[-2:]]
