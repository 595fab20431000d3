"""CUDA kernels for convolution against the ops' own meaning, on the CPU: all shapes, paddings, strides and dtypes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu.image_checks import (
    Choice,
    check,
    chosen,
    convolutions,
    dtypes,
    eighths,
    few,
    halves,
    normal,
    seeds,
    sizes_of,
    ways,
    windows,
)
from gpu.shim.kernels import check_found
from gpu.shim.nvrtc import check_compiles, nvrtc
from symgrad.backends.cupy.convolutions import convolution_calls
from symgrad.backends.cupy.kernel import Target
from symgrad.backends.cupy.prelude import PRELUDE
from symgrad.graph.dtypes import HALVES
from symgrad.ops.conv import Conv2d, Conv2dFilterGradient, Conv2dInputGradient
from symgrad.ops.conv_bias import ConvBias
from symgrad.ops.conv_pool_fused import AtPlaces, ConvPool, ConvPoolFilterGradient, ConvPoolInputGradient
from symgrad.ops.pool import MODES

# ---- convolution ----


@few
@given(convolutions(), dtypes, seeds, ways)
def test_convolution(case: Any, dtype: str, seed: int, way: Choice) -> None:
    parameters, image, filters = case
    check(Conv2d(**parameters), [normal(seed, image, dtype), normal(seed + 1, filters, dtype)], tolerance=300, way=way)


@few
@given(convolutions(), st.sampled_from(["none", "rectify", "tanh", "sigmoid"]), st.booleans(), dtypes, seeds, ways)
def test_convolution_with_bias(
    case: Any, activation: str, has_linear: bool, dtype: str, seed: int, way: Choice
) -> None:
    parameters, image, filters = case
    operands = [eighths(seed, shape, dtype) for shape in (image, filters, filters[:1])]
    check(ConvBias(Conv2d(**parameters), activation, has_linear), operands, way=way)


@few
@given(convolutions(), dtypes, seeds, ways)
def test_gradient_of_images(case: Any, dtype: str, seed: int, way: Choice) -> None:
    parameters, image, filters = case
    output = Conv2d(**parameters).output_shape(image, filters)
    operands = normal(seed, filters, dtype), normal(seed + 1, output, dtype), *sizes_of(image)  # type: ignore[arg-type]
    check(Conv2dInputGradient(**parameters), operands, tolerance=300, way=way)


@few
@given(convolutions(), dtypes, seeds, ways)
def test_gradient_of_filters(case: Any, dtype: str, seed: int, way: Choice) -> None:
    parameters, image, filters = case
    output = Conv2d(**parameters).output_shape(image, filters)
    operands = normal(seed, image, dtype), normal(seed + 1, output, dtype), *sizes_of(filters)  # type: ignore[arg-type]
    check(Conv2dFilterGradient(**parameters), operands, tolerance=300, way=way)


@pytest.mark.parametrize(("name", "shared_bytes"), [("tiled", 6000), ("product", 1 << 15)])
@pytest.mark.parametrize("cut", [None, 1, -1])
def test_blocks_fill_their_memory_several_times(name: str, shared_bytes: int, cut: int | None) -> None:
    """On a device of one multiprocessor blocks share nothing out: each has many channels, images and stages."""
    image, filters, output = (5, 20, 7, 6), (18, 20, 3, 2), (5, 18, 5, 5)
    way = name, Target(multiprocessors=1, shared_bytes=shared_bytes), cut
    images, weights, cotangent = (normal(seed, shape, "float32") for seed, shape in enumerate((image, filters, output)))
    none = ((0, 0), (0, 0))
    check(Conv2d(none), [images, weights], tolerance=300, way=way)
    check(Conv2dInputGradient(none), [weights, cotangent, *sizes_of(image)], tolerance=300, way=way)
    check(Conv2dFilterGradient(none), [images, cotangent, *sizes_of(filters)], tolerance=300, way=way)


# ---- convolution with pooling ----


@few
@given(
    convolutions(is_plain=True), windows, st.sampled_from(["none", "before", "after"]),
    st.sampled_from(["none", "rectify", "tanh", "sigmoid"]), st.booleans(), st.booleans(), dtypes, seeds, ways,
)  # fmt: skip
def test_pooled_convolution(
    case: Any, window: Any, bias: str, activation: str, has_linear: bool, is_first: bool, dtype: str, seed: int,
    way: Choice,
) -> None:
    parameters, image, filters = case
    operands = [eighths(seed, image, dtype), eighths(seed + 1, filters, dtype) / 64]
    if bias != "none":
        operands.append(eighths(seed + 2, filters[:1], dtype))
    is_first = is_first and bias != "after" and activation != "none"
    op = ConvPool(**parameters, window=window, bias=bias, activation=activation, has_linear=has_linear,
                  activation_first=is_first)  # fmt: skip
    check(op, operands, tolerance=300, way=way)


def test_ties_and_nan_in_a_window() -> None:
    """Whole numbers, so that every order of sums is exact: the first of equal maxima counts, nan before all numbers."""
    image = np.random.RandomState(3).randint(-1, 2, (2, 1, 12, 12)).astype("float32")
    image[0, 0, 3, 4] = image[1, 0, 0, 1] = np.nan
    for filters in (np.ones((3, 1, 1, 1), "float32"), np.ones((1, 1, 2, 2), "float32")):
        for window in ((2, 2), (3, 4)):
            for activation in (("none",), ("rectify", True, True)):
                check(ConvPool(((0, 0), (1, 0)), True, window, "none", *activation), [image, filters])  # type: ignore[arg-type]


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
@given(pooled(), dtypes, seeds, ways)
def test_gradient_of_filters_from_places(case: Any, dtype: str, seed: int, way: Choice) -> None:
    parameters, image, filters, shape, zeros = case
    sparse = cotangent_and_places(seed, shape, parameters["window"], zeros, dtype)
    operands = [normal(seed, image, dtype), *sparse, *sizes_of(filters)]
    check(ConvPoolFilterGradient(**parameters), operands, tolerance=300, way=way)


@few
@given(pooled(), dtypes, seeds, ways)
def test_gradient_of_images_from_places(case: Any, dtype: str, seed: int, way: Choice) -> None:
    parameters, image, filters, shape, zeros = case
    sparse = cotangent_and_places(seed, shape, parameters["window"], zeros, dtype)
    operands = [normal(seed, filters, dtype), *sparse, *sizes_of(image)]
    check(ConvPoolInputGradient(**parameters), operands, tolerance=300, way=way)


@few
@given(pooled(), dtypes, seeds)
def test_values_at_places(case: Any, dtype: str, seed: int) -> None:
    parameters, image, filters, shape, zeros = case
    sparse = cotangent_and_places(seed, shape, parameters["window"], zeros, dtype)
    size = Conv2d(parameters["padding"]).output_shape(image, filters)
    check(AtPlaces(parameters["window"]), [*sparse, *sizes_of(size)])  # type: ignore[arg-type]


@pytest.mark.parametrize(("channels", "filters"), [(1, 20), (20, 40)])
def test_the_sizes_of_the_book(channels: int, filters: int) -> None:
    size = 28 if channels == 1 else 12
    image, weights = eighths(1, (2, channels, size, size), "float32"), eighths(2, (filters, channels, 5, 5), "float32")
    plain = {"padding": ((0, 0), (0, 0)), "flip": True, "window": (2, 2)}
    op = ConvPool(**plain, bias="after", activation="rectify", has_linear=True)  # type: ignore[arg-type]
    check(op, [image, weights, eighths(3, (filters,), "float32")], tolerance=300)
    shape = (2, filters, (size - 4) // 2, (size - 4) // 2)
    sparse = cotangent_and_places(4, shape, (2, 2), 0.5, "float32")
    check(ConvPoolFilterGradient(**plain), [image, *sparse, *sizes_of((5, 5))], tolerance=300)  # type: ignore[arg-type]
    check(ConvPoolInputGradient(**plain), [weights, *sparse, *sizes_of(image.shape)], tolerance=300)  # type: ignore[arg-type]


@given(
    st.sampled_from(["float32", "float64"]), st.integers(1, 9), st.integers(1, 200), st.integers(1, 300),
    st.tuples(st.integers(1, 70), st.integers(1, 300)), st.tuples(st.integers(1, 11), st.integers(1, 11)), windows,
    st.sampled_from(["plain", "tiled", "product"]),
)  # fmt: skip
@settings(max_examples=20, deadline=None)
def test_no_kernel_takes_more_shared_memory_than_there_is(
    dtype: str, count: int, channels: int, filters: int, size: Any, taps: Any, window: Any, name: str
) -> None:
    output = tuple(size[axis] + taps[axis] - 1 for axis in (0, 1))
    pooled_size = tuple(output[axis] // window[axis] for axis in (0, 1))
    image, weights = (count, channels, *size), (filters, channels, *taps)
    pooled_shape, padding = (count, filters, *pooled_size), tuple((step - 1, step - 1) for step in taps)
    attributes = {"padding": padding, "flip": True, "window": window}
    finish = {"bias": "none", "activation": "none", "has_linear": False, "activation_first": False}
    kinds = [dtype, dtype, "uint8", "int64", "int64", dtype]
    asked = [
        ("conv_pool", attributes | finish, [image, weights, pooled_shape, pooled_shape], [dtype] * 3 + ["uint8"], 2),
        ("conv_pool_input_gradient", attributes, [weights, pooled_shape, pooled_shape, (), (), image], kinds, 5),
        ("conv_pool_filter_gradient", attributes, [image, pooled_shape, pooled_shape, (), (), weights], kinds, 5),
    ]
    for routine, given_attributes, shapes, dtypes_of, inputs in asked:
        with chosen(name):
            found = convolution_calls(routine, given_attributes, shapes, dtypes_of, inputs, Target())
        for kernel, _ in found or []:
            assert shared_bytes(kernel.text, np.dtype(dtype).itemsize) <= 48 * 1024, kernel.name
            assert max(kernel.grid[1:]) < 65536 and 0 < kernel.threads <= 1024


def shared_bytes(text: str, itemsize: int) -> int:
    """Return how much shared memory a kernel declares."""
    constants = {name: int(value) for name, value in re.findall(r"constexpr \w+ (\w+) = (\d+);", text)}
    total = 0
    for kind, sizes in re.findall(r"__shared__ __align__\(16\) (\w+) \w+((?:\[[^]]+\])+);", text):
        count = prod(eval(size, constants) for size in re.findall(r"\[([^]]+)\]", sizes))
        total += count * (itemsize if kind == "A" else 4)
    return total


# ---- half precision ----


@few
@given(pooled(), st.sampled_from(["plain", "tiled", "product"]), seeds)
def test_halves_are_summed_in_single_precision(case: Any, name: str, seed: int) -> None:
    """Only the result is rounded to half precision: eighths have exact sums, so it is off by half a unit at most."""
    parameters, image, filters, shape, _ = case
    way = name, Target(), None
    images, weights = eighths(seed, image, "float16"), eighths(seed + 1, filters, "float16")
    values = eighths(seed + 2, shape, "float16")
    places = np.random.RandomState(seed).randint(0, np.prod(parameters["window"]), shape).astype("uint8")
    check(ConvPool(**parameters), [images, weights], tolerance=1, way=way)
    check(ConvPoolInputGradient(**parameters), [weights, values, places, *sizes_of(image)], tolerance=1, way=way)
    check(ConvPoolFilterGradient(**parameters), [images, values, places, *sizes_of(filters)], tolerance=1, way=way)


@few
@given(convolutions(), st.sampled_from(HALVES), st.booleans(), seeds, ways)
def test_halves_are_multiplied_for_results_of_float32(
    case: Any, half: str, has_linear: bool, seed: int, way: Choice
) -> None:
    """What is multiplied has 16 bits, all else is float32; eighths have exact products and sums."""
    parameters, image, filters = case
    plain = Conv2d(**parameters)
    output, bias = plain.output_shape(image, filters), eighths(seed + 2, filters[:1], "float32") / 1024
    images, weights = halves(half, eighths(seed, image, "float32"), eighths(seed + 1, filters, "float32"))
    (cotangent,) = halves(half, eighths(seed + 3, output, "float32"))  # type: ignore[arg-type]
    for op, operands in (
        (plain, [images, weights]),
        (ConvBias(plain, "rectify", has_linear), [images, weights, bias]),
        (Conv2dInputGradient(**parameters), [weights, cotangent, *sizes_of(image)]),
        (Conv2dFilterGradient(**parameters), [images, cotangent, *sizes_of(filters)]),
    ):
        check(op, operands, tolerance=1, way=way, result="float32")


@few
@given(pooled(), st.sampled_from(HALVES), st.sampled_from(["none", "before", "after"]), seeds, ways)
def test_pooled_convolutions_take_halves_for_results_of_float32(
    case: Any, half: str, bias: str, seed: int, way: Choice
) -> None:
    parameters, image, filters, shape, _ = case
    operands = halves(half, eighths(seed, image, "float32"), eighths(seed + 1, filters, "float32"))
    (values,) = halves(half, eighths(seed + 2, shape, "float32"))
    places = np.random.RandomState(seed).randint(0, np.prod(parameters["window"]), shape).astype("uint8")
    added = [] if bias == "none" else [eighths(seed + 3, filters[:1], "float32") / 1024]
    op = ConvPool(**parameters, bias=bias, activation="rectify", has_linear=True)
    check(op, [*operands, *added], tolerance=1, way=way, result="float32")
    gradients = ConvPoolInputGradient(**parameters), ConvPoolFilterGradient(**parameters)
    check(gradients[0], [operands[1], values, places, *sizes_of(image)], tolerance=1, way=way, result="float32")
    check(gradients[1], [operands[0], values, places, *sizes_of(filters)], tolerance=1, way=way, result="float32")


def rounded_to_bfloat16(numbers: np.ndarray) -> np.ndarray:
    """Return the upper halves of float32 numbers that end in zeros."""
    bits = numbers.astype("float32").view("uint32")
    assert not (bits & 0xFFFF).any()
    return (bits >> 16).astype("uint16")


@pytest.mark.parametrize("way", ["plain", "tiled", "product"])
def test_bfloat16(way: str) -> None:
    images, filters = (np.random.RandomState(1).randint(-2, 3, shape) for shape in ((2, 9, 7, 6), (10, 9, 3, 2)))
    (expected,) = Conv2d(((1, 0), (0, 1))).evaluate(images.astype("float64"), filters.astype("float64"))
    operands = [rounded_to_bfloat16(images), rounded_to_bfloat16(filters)]
    output = np.empty(expected.shape, "uint16")
    attributes, shapes = dict(Conv2d(((1, 0), (0, 1))).attributes), [x.shape for x in (*operands, output)]
    with chosen(way):
        found = convolution_calls("conv2d", attributes, shapes, ["bfloat16"] * 3, 2, Target())
    assert found is not None and check_found(found, [*operands, output]) == 0
    result = (output.astype("uint32") << 16).view("float32")
    np.testing.assert_array_equal(result, expected)  # whole numbers below 256: all are exact


# ---- what has no kernel, and what has none to run ----


def test_other_operands_have_no_kernel() -> None:
    attributes = dict(Conv2d(((0, 0), (0, 0))).attributes)
    shapes = [(1, 1, 4, 4), (1, 1, 2, 2), (1, 1, 3, 3)]
    assert convolution_calls("conv2d", attributes, shapes, ["float32"] * 3, 2, Target()) is not None
    assert convolution_calls("conv2d", attributes, shapes, ["int32"] * 3, 2, Target()) is None
    assert convolution_calls("conv2d", attributes, shapes, ["float32", "float64", "float64"], 2, Target()) is None
    assert convolution_calls("conv2d", attributes, shapes, ["float16", "float16", "float32"], 2, Target()) is not None
    for kinds in (["float16", "bfloat16", "float32"], ["float16", "float32", "float32"], ["float16"] * 2 + ["float64"]):
        assert convolution_calls("conv2d", attributes, shapes, kinds, 2, Target()) is None
    assert convolution_calls("dot", attributes, shapes, ["float32"] * 3, 2, Target()) is None


def test_equal_kernels_have_equal_names_and_others_dont() -> None:
    attributes = dict(Conv2d(((0, 0), (0, 0))).attributes)
    names = set()
    for size, dtype in ((4, "float32"), (4, "float32"), (5, "float32"), (4, "float64")):
        shapes = [(1, 1, size, size), (1, 1, 2, 2), (1, 1, size - 1, size - 1)]
        found = convolution_calls("conv2d", attributes, shapes, [dtype] * 3, 2, Target())
        assert found is not None
        names |= {kernel.name for kernel, _ in found}
    assert len(names) == 3


@pytest.mark.skipif(nvrtc() is None, reason="the wheel nvidia-cuda-nvrtc isn't installed")
@pytest.mark.parametrize(
    ("dtype", "architecture"),
    [("float32", 90), ("float64", 80), ("float16", 75), ("bfloat16", 120), ("float16 for float32", 80),
     ("bfloat16 for float32", 90)],
)  # fmt: skip
def test_kernels_compile(dtype: str, architecture: int) -> None:
    """Every way of every routine: within shared memory, and as CUDA's own compiler wants it."""
    texts = {}
    for name, attributes, shapes, kinds, inputs in requests(dtype.split(" for ")[-1]):
        if " for " in dtype and name.startswith("conv"):
            kinds[:2] = [dtype.split(" for ")[0]] * 2
        for way in ("plain", "tiled", "product", "apart"):
            with chosen(way):
                found = convolution_calls(name, attributes, shapes, kinds, inputs, Target())
            assert found is not None
            texts |= {kernel.name: kernel.text for kernel, _ in found}
    assert len(texts) > 20
    check_compiles("\n".join([PRELUDE, *texts.values()]), (architecture,))


def requests(dtype: str) -> Iterator[tuple[str, dict[str, Any], list[tuple[int, ...]], list[str], int]]:
    """Yield what the room can be asked for: name, attributes, shapes, dtypes, and how many are operands."""
    image, filters, output, pooled_shape = (2, 16, 11, 11), (24, 16, 2, 2), (2, 24, 10, 10), (2, 24, 5, 5)
    plain = {"padding": ((0, 0), (0, 0)), "flip": True}
    full = {**plain, "stride": (1, 1), "dilation": (1, 1), "groups": 1}
    window = {**plain, "window": (2, 2)}
    finish = {"bias": "after", "activation": "sigmoid", "has_linear": True, "activation_first": False}
    yield "conv2d", full, [image, filters, output], [dtype] * 3, 2
    yield "conv_bias", full | finish, [image, filters, (24,), output, output], [dtype] * 5, 3
    yield "conv2d_input_gradient", full, [filters, output, (), (), image], [dtype, dtype, "int64", "int64", dtype], 4
    yield "conv2d_filter_gradient", full, [image, output, (), (), filters], [dtype, dtype, "int64", "int64", dtype], 4
    shapes = [image, filters, (24,), pooled_shape, pooled_shape, pooled_shape]
    yield "conv_pool", window | finish, shapes, [dtype] * 4 + ["uint8", dtype], 3
    kinds = [dtype, dtype, "uint8", "int64", "int64", dtype]
    yield "conv_pool_input_gradient", window, [filters, pooled_shape, pooled_shape, (), (), image], kinds, 5
    yield "conv_pool_filter_gradient", window, [image, pooled_shape, pooled_shape, (), (), filters], kinds, 5
    kinds = [dtype, "uint8", "int64", "int64", dtype]
    yield "at_places", window, [pooled_shape, pooled_shape, (), (), output], kinds, 4
    pooling = {"window": (3, 2), "stride": (2, 2), "pad": (1, 0), "ignore_border": True}
    small = (2, 16, 6, 6)
    for mode in MODES:
        yield "pool2d", pooling | {"mode": mode}, [image, small], [dtype] * 2, 1
        if mode != "max":
            kinds = [dtype, "int64", "int64", dtype]
            yield "sum_pool_gradient", pooling | {"mode": mode}, [small, (), (), image], kinds, 3
    yield "max_pool_gradient", pooling, [image, small, small, image], [dtype] * 4, 3
    yield "max_pool_pushforward", pooling, [image, small, image, small], [dtype] * 4, 3
