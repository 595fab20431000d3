"""Kernels for images against the ops' own meaning: all shapes, paddings, strides, number types and vector sizes."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from guarded import guarded_array, guarded_copy
from hypothesis import given, settings
from hypothesis import strategies as st

from symgrad.backends.native.convolutions import NAMES, convolution_kernel
from symgrad.backends.native.kernel import NativeKernel
from symgrad.backends.native.llvm.host import target
from symgrad.backends.native.llvm.jit import compile_object, load
from symgrad.backends.native.llvm.text import module_text
from symgrad.graph.op import Op
from symgrad.kernels.grammar import Library
from symgrad.ops.conv import Conv2d, Conv2dFilterGradient, Conv2dInputGradient
from symgrad.ops.conv_bias import ConvBias
from symgrad.ops.conv_pool_fused import AtPlaces, ConvPool, ConvPoolFilterGradient, ConvPoolInputGradient
from symgrad.ops.pool import MODES, MaxPoolGradient, MaxPoolPushforward, Pool2d, SumPoolGradient

CALL = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)  # fmt: skip

dtypes = st.sampled_from(["float32", "float64"])
vectors = st.sampled_from([16, 32, 64])
seeds = st.integers(0, 2**31)
pads = st.tuples(st.integers(0, 3), st.integers(0, 3))
few = settings(max_examples=40, deadline=None)


def call(kernel: NativeKernel, arrays: Sequence[np.ndarray], cuts: Sequence[int] = ()) -> None:
    """Run a kernel, its units cut at some places, the last part first; scratch memory starts as NaN."""
    function = CALL(load(module_text(kernel.functions), [kernel.name])[kernel.name])
    pointers = (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])
    scratch = guarded_array(-(-kernel.scratch // 64) * 64, "u1")
    assert isinstance(kernel.units, int)
    borders = sorted({0, kernel.units, *[cut for cut in cuts if cut < kernel.units]})
    for begin, end in list(pairwise(borders))[::-1] or [(0, 0)]:
        scratch[:] = 0xFF
        assert function(pointers, None, begin, end, scratch.ctypes.data) == 0


def kernel_of(op: Any, operands: Sequence[np.ndarray], outputs: Sequence[np.ndarray], vector_bytes: int) -> Any:
    lowered = op.lower(None)
    assert isinstance(lowered, Library) and lowered.name in NAMES
    shapes = [array.shape for array in (*operands, *outputs)]
    return convolution_kernel(lowered.name, dict(lowered.attributes), shapes, outputs[0].dtype.name, vector_bytes)


def check(op: Op, operands: Sequence[np.ndarray], vector_bytes: int, at_end: bool = True, tolerance: float = 8) -> None:
    """Compare with `evaluate` in float64, for units in one part and in several; nothing outside arrays is touched."""
    doubles = [x.astype("float64") if x.dtype.kind == "f" else x for x in operands]
    expected = op.evaluate(*doubles)
    dtype = next(x.dtype for x in operands if x.dtype.kind == "f")
    kinds = [dtype if value.dtype.kind == "f" else value.dtype for value in expected]
    results = []
    for cuts in ((), (1, 2, 5)):
        outputs = [guarded_array(value.shape, kind, at_end) for value, kind in zip(expected, kinds, strict=True)]
        for output in outputs:
            output[...] = np.nan if output.dtype.kind == "f" else 77
        kernel = kernel_of(op, operands, outputs, vector_bytes)
        call(kernel, [*[guarded_copy(x, at_end) for x in operands], *outputs], cuts)
        results.append(outputs)
    for whole, parts, value in zip(*results, expected, strict=True):
        np.testing.assert_array_equal(whole, parts)
        scale = np.abs(np.nan_to_num(value)).max(initial=1)
        if value.dtype.kind == "f":
            np.testing.assert_allclose(whole, value, rtol=0, atol=tolerance * scale * np.finfo(dtype).eps)
        else:
            np.testing.assert_array_equal(whole, value)


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
    count, channels, filters = draw(st.integers(0, 3)), draw(st.integers(1, 7)), draw(st.integers(1, 9))
    return parameters, (count, channels * groups, *size), (filters * groups, channels, *taps)


def normal(seed: int, shape: Sequence[int], dtype: str) -> np.ndarray:
    return np.random.RandomState(seed).standard_normal(tuple(shape)).astype(dtype)


def eighths(seed: int, shape: Sequence[int], dtype: str) -> np.ndarray:
    """Return numbers whose products and sums are exact: whether maxima are equal doesn't depend on rounding."""
    return np.round(8 * normal(seed, shape, "float64")).astype(dtype) / 8  # type: ignore[no-any-return]


def sizes_of(shape: Sequence[int]) -> list[np.ndarray]:
    return [np.array(size) for size in shape[-2:]]


@few
@given(convolutions(), dtypes, vectors, seeds, st.booleans())
def test_convolution(case: Any, dtype: str, vector_bytes: int, seed: int, at_end: bool) -> None:
    parameters, image, filters = case
    operands = normal(seed, image, dtype), normal(seed + 1, filters, dtype)
    check(Conv2d(**parameters), operands, vector_bytes, at_end, tolerance=300)


@few
@given(
    convolutions(), st.sampled_from(["none", "rectify", "tanh", "sigmoid"]), st.booleans(), dtypes, vectors, seeds,
    st.booleans(),
)  # fmt: skip
def test_convolution_with_bias(
    case: Any, activation: str, has_linear: bool, dtype: str, vector_bytes: int, seed: int, at_end: bool
) -> None:
    parameters, image, filters = case
    operands = [eighths(seed, shape, dtype) for shape in (image, filters, filters[:1])]
    check(ConvBias(Conv2d(**parameters), activation, has_linear), operands, vector_bytes, at_end)


@few
@given(convolutions(), dtypes, vectors, seeds, st.booleans())
def test_gradient_of_images(case: Any, dtype: str, vector_bytes: int, seed: int, at_end: bool) -> None:
    parameters, image, filters = case
    output = Conv2d(**parameters).output_shape(image, filters)
    operands = normal(seed, filters, dtype), normal(seed + 1, output, dtype), *sizes_of(image)  # type: ignore[arg-type]
    check(Conv2dInputGradient(**parameters), operands, vector_bytes, at_end, tolerance=300)


@few
@given(convolutions(), dtypes, vectors, seeds, st.booleans())
def test_gradient_of_filters(case: Any, dtype: str, vector_bytes: int, seed: int, at_end: bool) -> None:
    parameters, image, filters = case
    output = Conv2d(**parameters).output_shape(image, filters)
    operands = normal(seed, image, dtype), normal(seed + 1, output, dtype), *sizes_of(filters)  # type: ignore[arg-type]
    check(Conv2dFilterGradient(**parameters), operands, vector_bytes, at_end, tolerance=300)


windows = st.tuples(st.integers(1, 4), st.integers(1, 4))


@few
@given(
    convolutions(is_plain=True), windows, st.sampled_from(["none", "before", "after"]),
    st.sampled_from(["none", "rectify", "tanh", "sigmoid"]), st.booleans(), st.booleans(), dtypes, vectors, seeds,
    st.booleans(),
)  # fmt: skip
def test_pooled_convolution(
    case: Any, window: Any, bias: str, activation: str, has_linear: bool, is_first: bool, dtype: str, vector_bytes: int,
    seed: int, at_end: bool,
) -> None:  # fmt: skip
    parameters, image, filters = case
    operands = [eighths(seed, image, dtype), eighths(seed + 1, filters, dtype) / 64]
    if bias != "none":
        operands.append(eighths(seed + 2, filters[:1], dtype))
    is_first = is_first and bias != "after" and activation != "none"
    op = ConvPool(**parameters, window=window, bias=bias, activation=activation, has_linear=has_linear,
                  activation_first=is_first)  # fmt: skip
    check(op, operands, vector_bytes, at_end, tolerance=300)


def test_ties_and_nan_in_a_window() -> None:
    """Whole numbers, so that every order of sums is exact: the first of equal maxima counts, nan before all numbers."""
    image = np.random.RandomState(3).randint(-1, 2, (2, 1, 12, 12)).astype("float32")
    image[0, 0, 3, 4] = image[1, 0, 0, 1] = np.nan
    for filters in (np.ones((3, 1, 1, 1), "float32"), np.ones((1, 1, 2, 2), "float32")):
        for window in ((2, 2), (3, 1), (3, 4)):
            for activation in (("none",), ("rectify",), ("rectify", True, True)):
                op = ConvPool(((0, 0), (1, 0)), True, window, "none", *activation)
                for vector_bytes in (16, 64):
                    check(op, [image, filters], vector_bytes)


@st.composite
def pooled(draw: Any) -> Any:
    """Draw parameters, window, shapes, and how much of the cotangent is 0."""
    parameters, image, filters = draw(convolutions(is_plain=True))
    window = draw(windows)
    output = Conv2d(**parameters).output_shape(image, filters)
    shape = [*output[:2], output[2] // window[0], output[3] // window[1]]
    return {**parameters, "window": window}, image, filters, shape, draw(st.sampled_from([0, 0.5, 1]))


def cotangent_and_places(seed: int, shape: Any, window: Any, zeros: float, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(seed)
    values = random.standard_normal(shape) * (random.uniform(size=shape) >= zeros)
    return values.astype(dtype), random.randint(0, window[0] * window[1], shape).astype("uint8")


@few
@given(pooled(), dtypes, vectors, seeds, st.booleans())
def test_gradient_of_filters_from_places(case: Any, dtype: str, vector_bytes: int, seed: int, at_end: bool) -> None:
    parameters, image, filters, shape, zeros = case
    sparse = cotangent_and_places(seed, shape, parameters["window"], zeros, dtype)
    operands = [normal(seed, image, dtype), *sparse, *sizes_of(filters)]
    check(ConvPoolFilterGradient(**parameters), operands, vector_bytes, at_end, tolerance=300)


@few
@given(pooled(), dtypes, vectors, seeds, st.booleans())
def test_gradient_of_images_from_places(case: Any, dtype: str, vector_bytes: int, seed: int, at_end: bool) -> None:
    parameters, image, filters, shape, zeros = case
    sparse = cotangent_and_places(seed, shape, parameters["window"], zeros, dtype)
    operands = [normal(seed, filters, dtype), *sparse, *sizes_of(image)]
    check(ConvPoolInputGradient(**parameters), operands, vector_bytes, at_end, tolerance=300)


@few
@given(pooled(), dtypes, vectors, seeds)
def test_values_at_places(case: Any, dtype: str, vector_bytes: int, seed: int) -> None:
    parameters, image, filters, shape, zeros = case
    sparse = cotangent_and_places(seed, shape, parameters["window"], zeros, dtype)
    size = Conv2d(parameters["padding"]).output_shape(image, filters)
    check(AtPlaces(parameters["window"]), [*sparse, *sizes_of(size)], vector_bytes)  # type: ignore[arg-type]


@pytest.mark.parametrize("vector_bytes", [16, 32, 64])
@pytest.mark.parametrize(("channels", "filters"), [(1, 20), (20, 40), (20, 50)])
def test_the_sizes_of_the_book(channels: int, filters: int, vector_bytes: int) -> None:
    size = 28 if channels == 1 else 12
    image, weights = eighths(1, (2, channels, size, size), "float32"), eighths(2, (filters, channels, 5, 5), "float32")
    plain = {"padding": ((0, 0), (0, 0)), "flip": True, "window": (2, 2)}
    op = ConvPool(**plain, bias="after", activation="rectify", has_linear=True)  # type: ignore[arg-type]
    check(op, [image, weights, eighths(3, (filters,), "float32")], vector_bytes, tolerance=300)
    shape = (2, filters, (size - 4) // 2, (size - 4) // 2)
    sparse = cotangent_and_places(4, shape, (2, 2), 0.5, "float32")
    check(ConvPoolFilterGradient(**plain), [image, *sparse, *sizes_of((5, 5))], vector_bytes, tolerance=300)  # type: ignore[arg-type]
    check(ConvPoolInputGradient(**plain), [weights, *sparse, *sizes_of(image.shape)], vector_bytes, tolerance=300)  # type: ignore[arg-type]


def test_large_images_are_computed_in_blocks() -> None:
    image, weights = normal(1, (1, 8, 111, 70), "float32"), normal(2, (5, 8, 3, 3), "float32")
    parameters: dict[str, Any] = {"padding": ((1, 1), (1, 1)), "flip": True}
    output = guarded_array((1, 5, 111, 70), "float32")
    assert kernel_of(Conv2d(**parameters), [image, weights], [output], 64).units > 1
    check(Conv2d(**parameters), [image, weights], 64, tolerance=300)
    cotangent = normal(3, (1, 5, 111, 70), "float32")
    check(Conv2dFilterGradient(**parameters), [image, cotangent, *sizes_of((3, 3))], 64, tolerance=500)
    sparse = cotangent_and_places(4, (1, 5, 55, 23), (2, 3), 0.5, "float32")
    parameters["window"] = (2, 3)
    check(ConvPoolFilterGradient(**parameters), [image, *sparse, *sizes_of((3, 3))], 64, tolerance=500)
    check(ConvPoolInputGradient(**parameters), [weights, *sparse, *sizes_of((111, 70))], 64, tolerance=500)


def test_an_infinite_cotangent_reaches_only_the_pixels_under_its_filter() -> None:
    op = ConvPoolInputGradient(((0, 0), (0, 0)), True, (2, 2))
    weights, values = normal(1, (2, 5, 3, 3), "float32"), normal(2, (1, 2, 3, 3), "float32")
    values[0, 1, 1, 0] = np.inf
    places = np.full(values.shape, 2, "uint8")
    (expected,) = op.evaluate(weights, values, places, *sizes_of((8, 8)))
    for vector_bytes in (16, 32, 64):
        output = guarded_array(expected.shape, "float32")
        operands = [weights, values, places, *sizes_of((8, 8))]
        call(kernel_of(op, operands, [output], vector_bytes), [*operands, output])
        np.testing.assert_array_equal(np.isfinite(output), np.isfinite(expected))


# ---- pooling alone ----


@st.composite
def poolings(draw: Any) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Draw parameters of pooling, and the images' shape."""
    window = draw(windows)
    ignore_border = draw(st.booleans())
    pad = tuple(draw(st.integers(0, size - 1)) if ignore_border else 0 for size in window)
    stride = draw(st.one_of(st.just(window), st.tuples(st.integers(1, 5), st.integers(1, 5))))
    shape = draw(st.integers(0, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 12)), draw(st.integers(1, 40))
    return {"window": window, "stride": stride, "pad": pad, "ignore_border": ignore_border}, shape


@few
@given(poolings(), st.sampled_from(MODES), dtypes, vectors, seeds)
def test_pooling(case: Any, mode: str, dtype: str, vector_bytes: int, seed: int) -> None:
    parameters, shape = case
    images = np.round(normal(seed, shape, dtype), 1)
    check(Pool2d(**parameters, mode=mode), [images], vector_bytes)


@few
@given(poolings(), dtypes, vectors, seeds, st.booleans())
def test_derivatives_of_the_maximum(case: Any, dtype: str, vector_bytes: int, seed: int, has_nan: bool) -> None:
    parameters, shape = case
    images = np.round(normal(seed, shape, dtype))
    if has_nan and images.size:
        images.flat[:: max(images.size // 3, 1)] = np.nan
    (output,) = Pool2d(**parameters).evaluate(images)
    cotangent = normal(seed + 1, output.shape, dtype)
    check(MaxPoolGradient(**parameters), [images, output, cotangent], vector_bytes)
    if not has_nan:  # a window with several nan sums the tangents of all
        check(MaxPoolPushforward(**parameters), [images, output, normal(seed + 1, shape, dtype)], vector_bytes)


@few
@given(poolings(), st.sampled_from(MODES[1:]), dtypes, vectors, seeds)
def test_gradient_of_sums(case: Any, mode: str, dtype: str, vector_bytes: int, seed: int) -> None:
    parameters, shape = case
    op = SumPoolGradient(**parameters, mode=mode)
    (output,) = Pool2d(**parameters, mode=mode).evaluate(np.zeros(shape))
    check(op, [normal(seed, output.shape, dtype), *sizes_of(shape)], vector_bytes)


# ---- what has no kernel ----


def test_other_operands_have_no_kernel() -> None:
    attributes = dict(Conv2d(((0, 0), (0, 0))).attributes)
    shapes = [(1, 1, 4, 4), (1, 1, 2, 2), (1, 1, 3, 3)]
    assert convolution_kernel("conv2d", attributes, shapes, "float32", 64) is not None
    assert convolution_kernel("conv2d", attributes, shapes, "int32", 64) is None
    assert convolution_kernel("dot", attributes, shapes, "float32", 64) is None
    assert convolution_kernel("conv2d", attributes, [(None, 1, 4, 4), *shapes[1:]], "float32", 64) is None


def test_equal_kernels_have_equal_names_and_others_dont() -> None:
    attributes = dict(Conv2d(((0, 0), (0, 0))).attributes)
    shapes = [(1, 1, 4, 4), (1, 1, 2, 2), (1, 1, 3, 3)]
    names = {convolution_kernel("conv2d", attributes, shapes, "float32", size).name for size in (16, 16, 64)}  # type: ignore[union-attr]
    assert len(names) == 2


@pytest.mark.parametrize("groups", [1, 2])
def test_channels_of_a_single_image_fall_into_parts(groups: int) -> None:
    image, weights = normal(1, (1, 32, 20, 20), "float32"), normal(2, (47 * groups, 32 // groups, 5, 5), "float32")
    op = Conv2d(((2, 2), (2, 2)), groups=groups)
    output = guarded_array((1, 47 * groups, 20, 20), "float32")
    kernel = kernel_of(op, [image, weights], [output], 64)
    assert kernel.units > 1
    check(op, [image, weights], 64, tolerance=100)


@pytest.mark.parametrize("triple", ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "arm64-apple-darwin"])
def test_kernels_compile_for_other_processors(triple: str) -> None:
    plain: dict[str, Any] = {"padding": ((1, 1), (0, 0)), "flip": True, "window": (2, 2)}
    image, filters, output = (2, 3, 9, 9), (8, 3, 3, 3), (2, 8, 4, 3)
    processor = target(triple)
    for op, shapes in (
        (ConvPool(**plain, activation="tanh"), (image, filters, output, output)),
        (ConvPoolFilterGradient(**plain), (image, output, output, (), (), filters)),
        (ConvPoolInputGradient(**plain), (filters, output, output, (), (), image)),
    ):
        lowered: Any = op.lower(None)  # type: ignore[arg-type]
        kernel = convolution_kernel(
            lowered.name, dict(lowered.attributes), shapes, "float64", processor.vector_bytes
        )  # fmt: skip
        assert kernel is not None
        assert compile_object(module_text(kernel.functions), processor)
