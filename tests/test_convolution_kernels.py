"""Convolution and pooling: the reference against independent definitions, the fast kernels against the reference."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from symgrad.backends.numpy import convolution, pooling
from symgrad.kernels import reference, reference_pooling

SIDE = st.integers(0, 3)
DTYPES = st.sampled_from([np.float32, np.float64])
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}


@st.composite
def convolutions(draw):
    """Draw (input shape, filter shape, attributes); a few outputs are empty."""
    groups = draw(st.integers(1, 3))
    channels, filters = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    taps = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    attributes = {
        "padding": ((draw(SIDE), draw(SIDE)), (draw(SIDE), draw(SIDE))),
        "stride": (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        "dilation": (draw(st.integers(1, 2)), draw(st.integers(1, 2))),
        "groups": groups,
        "flip": draw(st.booleans()),
    }
    sizes = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    return (draw(st.integers(0, 5)), groups * channels, *sizes), (groups * filters, channels, *taps), attributes


@st.composite
def poolings(draw):
    """Draw (input shape, window, stride, pad, ignore_border) as the op admits them."""
    window = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    stride = draw(st.none() | st.tuples(st.integers(1, 5), st.integers(1, 5)))
    ignore_border = draw(st.booleans())
    pad = tuple(draw(st.integers(0, size - 1)) if ignore_border else 0 for size in window)
    batch = draw(st.sampled_from([(), (3,), (2, 3), (0, 2), (5, 1)]))
    return (*batch, draw(st.integers(1, 9)), draw(st.integers(1, 9))), window, stride, pad, ignore_border


def numbers(seed, shape, dtype=np.float64, view="plain"):
    """Return random numbers, held contiguously or as a view with other strides."""
    rng = np.random.default_rng(seed)
    if view == "plain" or len(shape) < 2:
        return rng.normal(size=shape).astype(dtype)
    if view == "reversed":
        return rng.normal(size=shape).astype(dtype)[..., ::-1, ::-1]
    if view == "transposed":
        return rng.normal(size=shape[::-1]).astype(dtype).transpose()
    return rng.normal(size=(*shape[:-1], 2 * shape[-1])).astype(dtype)[..., ::2]


VIEWS = st.sampled_from(["plain", "reversed", "transposed", "every second"])


def close(actual, expected, dtype=np.float64):
    """Assert that arrays agree to the dtype's tolerance, relative to the largest number."""
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype == np.dtype(dtype)
    scale = np.abs(expected).max(initial=1.0)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE[dtype] * scale)


# The reference


@pytest.mark.parametrize("border_mode", ["valid", "full", "half"])
@given(seed=st.integers(0, 999), channels=st.integers(1, 3), size=st.tuples(st.integers(5, 8), st.integers(5, 8)))
@settings(max_examples=20, deadline=None)
def test_reference_is_scipys_convolution(border_mode, seed, channels, size):
    images, filters = numbers(seed, (2, channels, *size)), numbers(seed + 1, (3, channels, 5, 3))
    padding = {"valid": reference.NO_PADDING, "full": ((4, 4), (2, 2)), "half": ((2, 2), (1, 1))}[border_mode]
    scipy_mode = {"half": "same"}.get(border_mode, border_mode)
    for flip, function in ((True, signal.convolve2d), (False, signal.correlate2d)):
        planes = [[[function(x, w, scipy_mode) for x, w in zip(i, f, strict=True)] for f in filters] for i in images]
        close(reference.conv2d(images, filters, padding, flip=flip), np.sum(planes, axis=2))


def test_reference_stride_dilation_and_groups_are_slices_of_the_plain_convolution():
    images, filters = numbers(0, (2, 4, 9, 8)), numbers(1, (6, 2, 2, 3))
    plain = [
        reference.conv2d(images[:, 2 * group : 2 * group + 2], filters[3 * group : 3 * group + 3]) for group in (0, 1)
    ]
    grouped = reference.conv2d(images, filters, stride=(2, 3), groups=2)
    close(grouped, np.concatenate(plain, axis=1)[:, :, ::2, ::3])
    dilated_filters = np.zeros((6, 2, 3, 7))
    dilated_filters[:, :, ::2, ::3] = filters
    dilated = reference.conv2d(images, filters, dilation=(2, 3), groups=2)
    close(dilated, reference.conv2d(images, dilated_filters, groups=2))


@given(convolutions(), st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_reference_gradients_are_adjoints(convolution_case, seed):
    input_shape, filter_shape, attributes = convolution_case
    images, filters = numbers(seed, input_shape), numbers(seed + 1, filter_shape)
    output = reference.conv2d(images, filters, **attributes)
    cotangent = numbers(seed + 2, output.shape)
    expected = np.vdot(output, cotangent)
    input_gradient = reference.conv2d_input_gradient(cotangent, filters, input_shape, **attributes)
    filter_gradient = reference.conv2d_filter_gradient(images, cotangent, filter_shape, **attributes)
    assert input_gradient.shape == input_shape and filter_gradient.shape == filter_shape
    assert np.isclose(np.vdot(images, input_gradient), expected, rtol=1e-9, atol=1e-9)
    assert np.isclose(np.vdot(filters, filter_gradient), expected, rtol=1e-9, atol=1e-9)


# The fast convolution


@given(convolutions(), DTYPES, st.integers(0, 999), VIEWS, st.sampled_from([1, 100, 1000, 1 << 21]), st.booleans())
@settings(max_examples=400, deadline=None)
def test_fast_convolution_is_the_reference(convolution_case, dtype, seed, view, block_bytes, share):
    input_shape, filter_shape, attributes = convolution_case
    geometry = convolution.Conv2dGeometry(input_shape, filter_shape, **attributes)
    workspace = convolution.Workspace() if share else None
    with mock.patch.multiple(convolution, BLOCK_BYTES=block_bytes, FEWEST_COLUMNS=1):
        forward = convolution.Conv2dForward(geometry, dtype, workspace)
        input_gradient = convolution.Conv2dInputGradient(geometry, dtype, workspace)
        filter_gradient = convolution.Conv2dFilterGradient(geometry, dtype, workspace)
    for call in (0, 1):  # twice: no call may depend on what the last one left in the scratch memory
        images, filters = numbers(seed + call, input_shape, dtype, view), numbers(seed + 2, filter_shape, dtype, view)
        expected = reference.conv2d(images, filters, **attributes)
        close(forward(images, filters), expected, dtype)
        cotangent = numbers(seed + 3, expected.shape, dtype, view)
        expected = reference.conv2d_input_gradient(cotangent, filters, input_shape, **attributes)
        close(input_gradient(cotangent, filters, np.full(input_shape, np.nan, dtype)), expected, dtype)
        expected = reference.conv2d_filter_gradient(images, cotangent, filter_shape, **attributes)
        close(filter_gradient(images, cotangent, np.full(filter_shape, np.nan, dtype)), expected, dtype)


def test_fast_convolution_writes_and_returns_out():
    geometry = convolution.Conv2dGeometry((2, 1, 6, 6), (3, 1, 3, 3))
    images, filters = numbers(0, geometry.input_shape), numbers(1, geometry.filter_shape)
    out = np.empty(geometry.output_shape)
    assert convolution.Conv2dForward(geometry, np.float64)(images, filters, out) is out
    close(out, reference.conv2d(images, filters))


def test_large_batches_and_large_images_go_through_in_blocks():
    columns = 1 << 21
    for input_shape in ((500, 20, 12, 12), (3, 16, 200, 200)):
        geometry = convolution.Conv2dGeometry(input_shape, (40, input_shape[1], 5, 5))
        images, rows = geometry.block_sizes(4)
        size = images * rows * geometry.output_shape[3] * (input_shape[1] * 25 + 40) * 4
        assert columns / 4 < size <= columns
    images = numbers(0, (20, 3, 40, 40), np.float32)
    filters = numbers(1, (4, 3, 5, 5), np.float32)
    geometry = convolution.Conv2dGeometry(images.shape, filters.shape)
    close(
        convolution.Conv2dForward(geometry, np.float32)(images, filters), reference.conv2d(images, filters), np.float32
    )


# Pooling


@given(poolings())
@settings(max_examples=200, deadline=None)
def test_pool_sizes(pooling_case):
    input_shape, window, stride, pad, ignore_border = pooling_case
    shape = reference_pooling.pool_output_shape(input_shape, window, stride, pad, ignore_border)
    for size, width, step, side, count in zip(input_shape[-2:], window, stride or window, pad, shape[-2:], strict=True):
        starts = np.arange(-side, size + side, step)
        if ignore_border:
            assert count == np.sum(starts + width <= size + side)
        else:
            windows = [reference_pooling.pool_window(i, size, width, step, side) for i in range(count)]
            assert all(first < last for first, last in windows)
            assert step > width or windows[-1][1] == size


@given(poolings(), st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_reference_pooling_is_a_reduction_of_a_padded_image(pooling_case, seed):
    input_shape, window, stride, pad, _ = pooling_case
    images = numbers(seed, input_shape)
    sides = [(0, 0)] * (images.ndim - 2) + [(side, side) for side in pad]
    steps = stride or window
    for mode, fill, reduction in (("max", -np.inf, np.max), ("sum", 0, np.sum), ("average_inc_pad", 0, np.mean)):
        padded = np.pad(images, sides, constant_values=fill)
        if padded.shape[-2] < window[0] or padded.shape[-1] < window[1]:
            continue
        windows = np.lib.stride_tricks.sliding_window_view(padded, window, axis=(-2, -1))
        expected = reduction(windows[..., :: steps[0], :: steps[1], :, :], axis=(-2, -1))
        close(reference_pooling.pool2d(images, window, stride, pad, True, mode), expected)


def test_reference_averages_divide_by_the_pixels_that_count():
    ones = np.ones((5, 5))
    partial = reference_pooling.pool2d(ones, (2, 2), ignore_border=False, mode="average_inc_pad")
    assert partial.tolist() == [[1, 1, 1]] * 3
    padded = (ones, (2, 2), (2, 2), (1, 1), True)
    assert reference_pooling.pool2d(*padded, "average_inc_pad")[0].tolist() == [0.25, 0.5, 0.5]
    assert reference_pooling.pool2d(*padded, "average_exc_pad")[0].tolist() == [1, 1, 1]


@given(poolings(), DTYPES, st.integers(0, 999), VIEWS, st.sampled_from([1, 200, 1 << 20]))
@settings(max_examples=400, deadline=None)
def test_fast_pooling_is_the_reference(pooling_case, dtype, seed, view, block_bytes):
    input_shape, window, stride, pad, ignore_border = pooling_case
    geometry = pooling.Pool2dGeometry(input_shape, window, stride, pad, ignore_border)
    arguments = (window, stride, pad, ignore_border)
    images = numbers(seed, input_shape, dtype, view)
    for mode in ("max", "sum", "average_inc_pad", "average_exc_pad"):
        with mock.patch.object(pooling, "BLOCK_BYTES", block_bytes):
            forward = pooling.Pool2dForward(geometry, dtype, mode)
        expected = reference_pooling.pool2d(images, *arguments, mode)
        for _ in (0, 1):
            close(forward(images, np.full(geometry.output_shape, np.nan, dtype)), expected, dtype)
        if mode == "max":
            continue
        with mock.patch.object(pooling, "BLOCK_BYTES", block_bytes):
            gradient = pooling.SumPool2dGradient(geometry, dtype, mode)
        cotangent = numbers(seed + 1, geometry.output_shape, dtype, view)
        expected = reference_pooling.sum_pool_gradient(cotangent, input_shape, *arguments, mode)
        for _ in (0, 1):
            close(gradient(cotangent, np.full(input_shape, np.nan, dtype)), expected, dtype)
        inner = np.vdot(reference_pooling.pool2d(images, *arguments, mode), cotangent)
        assert np.isclose(np.vdot(images, expected), inner, rtol=1e-3, atol=1e-4)


@given(poolings(), DTYPES, st.integers(0, 999), VIEWS, st.sampled_from([1, 200, 1 << 20]), st.booleans())
@settings(max_examples=400, deadline=None)
def test_fast_derivatives_of_max_pooling_are_the_reference(case, dtype, seed, view, block_bytes, has_nan):
    input_shape, *arguments = case
    images = np.round(numbers(seed, input_shape, dtype, view))  # few different numbers: many ties
    if has_nan:
        images[np.random.default_rng(seed).random(images.shape) < 0.1] = np.nan
    geometry = pooling.Pool2dGeometry(input_shape, *arguments)
    output = reference_pooling.pool2d(images, *arguments)
    cotangent, tangent = numbers(seed + 1, output.shape, dtype, view), numbers(seed + 2, input_shape, dtype, view)
    for ties in ("first", "every"):
        with mock.patch.object(pooling, "BLOCK_BYTES", block_bytes):
            gradient = pooling.MaxPool2dGradient(geometry, dtype, ties)
            pushforward = pooling.MaxPool2dPushforward(geometry, dtype, ties)
        pulled = reference_pooling.max_pool_gradient(images, output, cotangent, *arguments, ties)
        pushed = reference_pooling.max_pool_pushforward(images, output, tangent, *arguments, ties)
        for _ in (0, 1):
            close(gradient(images, output, cotangent, np.full(input_shape, np.nan, dtype)), pulled, dtype)
            close(pushforward(images, output, tangent, np.full(output.shape, np.nan, dtype)), pushed, dtype)
        assert np.isclose(np.vdot(pulled, tangent), np.vdot(cotangent, pushed), rtol=1e-3, atol=1e-4)
    if not output.size or geometry.pad != (0, 0):
        return
    total = reference_pooling.max_pool_gradient(images, output, cotangent, *arguments).sum(dtype=np.float64)
    assert np.isclose(total, cotangent.sum(dtype=np.float64), atol=1e-4)


@given(poolings(), st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_max_pooling_gradient_is_the_slope(case, seed):
    input_shape, *arguments = case
    rng = np.random.default_rng(seed)
    images = rng.permutation(int(np.prod(input_shape))).reshape(input_shape).astype(float)
    output = reference_pooling.pool2d(images, *arguments)
    cotangent, direction = rng.normal(size=output.shape), rng.uniform(-0.4, 0.4, input_shape)
    moved = reference_pooling.pool2d(images + direction, *arguments)  # too small a move to change any winner
    gradient = reference_pooling.max_pool_gradient(images, output, cotangent, *arguments)
    assert np.isclose(np.vdot(moved - output, cotangent), np.vdot(direction, gradient))


def test_infinite_cotangent_reaches_only_the_maximum():
    geometry = pooling.Pool2dGeometry((1, 2, 2), (2, 2))
    images = np.array([[[1.0, 4.0], [4.0, 3.0]]])
    gradient = pooling.MaxPool2dGradient(geometry, np.float64)
    pulled = gradient(images, np.array([[[4.0]]]), np.array([[[np.inf]]]))
    assert pulled.tolist() == [[[0, np.inf], [0, 0]]]


def test_nan_wins_a_maximum_and_gets_its_cotangent():
    geometry = pooling.Pool2dGeometry((1, 2, 2), (2, 2))
    images = np.array([[[1.0, np.nan], [4.0, np.nan]]])
    output = pooling.Pool2dForward(geometry, np.float64)(images)
    assert np.isnan(output).all()
    first = pooling.MaxPool2dGradient(geometry, np.float64)(images, output, np.ones((1, 1, 1)))
    every = pooling.MaxPool2dGradient(geometry, np.float64, "every")(images, output, np.ones((1, 1, 1)))
    assert first.tolist() == [[[0, 1], [0, 0]]]
    assert every.tolist() == [[[0, 1], [0, 1]]]
