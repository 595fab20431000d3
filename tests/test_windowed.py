"""Convolution and max pooling in one layout: kernels against their meaning, and when the rewrite is made."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.backends.numpy.convolution import Workspace
from symgrad.backends.numpy.library import ROUTINES
from symgrad.compile.closing import close_graph
from symgrad.ops.conv_pool import (
    WindowedConv2d,
    WindowedFilterGradient,
    WindowedInputGradient,
    WindowMaximum,
    WindowMaximumGradient,
    images_of,
    windows_of,
)
from symgrad.rewriting.engine import all_rule_names, rewrite

small = st.integers(1, 3)
sides = st.tuples(st.integers(0, 2), st.integers(0, 2))


@st.composite
def convolutions(draw):
    """Parameters, images and filters whose output has at least one window."""
    blocks, images, channels, filters = draw(small), draw(small), draw(small), draw(small)
    window, taps = draw(st.tuples(small, small)), draw(st.tuples(small, small))
    padding = draw(st.tuples(sides, sides))
    least = [w + t - 1 - sum(p) for w, t, p in zip(window, taps, padding, strict=True)]
    sizes = [draw(st.integers(max(1, size), max(1, size) + 4)) for size in least]
    dtype = draw(st.sampled_from(["float32", "float64"]))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    values = [random.normal(size=shape) for shape in ((blocks * images, channels, *sizes), (filters, channels, *taps))]
    if draw(st.booleans()):
        values = [value.round() for value in values]  # so that windows have ties
    return (padding, draw(st.booleans()), window, images), *[value.astype(dtype) for value in values]


def run(op, *operands):
    """The result of an op's routine, twice, so that what a first call leaves behind shows."""
    kernel = op.lower(None)
    routine = ROUTINES[kernel.name](dict(kernel.attributes), Workspace())
    before = [operand.copy() for operand in operands]
    routine(*[operand[::-1].copy() for operand in operands])
    result = routine(*operands, out=np.full_like(op.evaluate(*operands)[0], np.nan))
    for operand, kept in zip(operands, before, strict=True):
        np.testing.assert_array_equal(operand, kept)
    return result


@settings(max_examples=100, deadline=None)
@given(convolutions())
def test_kernels_do_what_the_ops_mean(example):
    parameters, images, filters = example
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if images.dtype == "float32" else {"rtol": 1e-11, "atol": 1e-11}
    op = WindowedConv2d(*parameters)
    (windows,) = op.evaluate(images, filters)
    np.testing.assert_allclose(run(op, images, filters), windows, **tolerance)
    (maximum,) = WindowMaximum().evaluate(windows)
    np.testing.assert_array_equal(run(WindowMaximum(), windows), maximum)
    cotangent = np.random.default_rng(0).normal(size=maximum.shape).astype(images.dtype)
    (spread,) = WindowMaximumGradient().evaluate(windows, maximum, cotangent)
    np.testing.assert_array_equal(run(WindowMaximumGradient(), windows, maximum, cotangent), spread)
    gradient = WindowedInputGradient(*parameters, images.shape[2:])
    np.testing.assert_allclose(run(gradient, filters, spread), gradient.evaluate(filters, spread)[0], **tolerance)
    gradient = WindowedFilterGradient(*parameters, filters.shape[2:])
    np.testing.assert_allclose(run(gradient, images, spread), gradient.evaluate(images, spread)[0], **tolerance)


@given(st.integers(1, 3), st.integers(1, 2), st.tuples(small, small), st.tuples(small, small))
def test_windows_and_back(block, blocks, window, counts):
    shape = (block * blocks, 2, *[size * count for size, count in zip(window, counts, strict=True)])
    images = np.arange(np.prod(shape)).reshape(shape)
    np.testing.assert_array_equal(images_of(windows_of(images, window, block), *shape[2:]), images)


def test_many_rows_of_large_filters_are_summed_by_gemm():
    """Above a size, the products that make the filters' gradient aren't kept apart."""
    random = np.random.default_rng(0)
    images, filters = random.normal(size=(2, 16, 12, 12)), random.normal(size=(32, 16, 3, 3))
    op = WindowedConv2d(((1, 1), (1, 1)), True, (2, 2), 1)
    cotangent = random.normal(size=op.evaluate(images, filters)[0].shape)
    gradient = WindowedFilterGradient(*[value for _, value in op.attributes], (3, 3))
    np.testing.assert_allclose(run(gradient, images, cotangent), gradient.evaluate(images, cotangent)[0], rtol=1e-9)


# ---- the rewrite ----------------------------------------------------------------------------------------------------


def ops_after(inputs, outputs):
    graph = close_graph(inputs, outputs, None, None, "ignore", False)
    return [str(node.op) for node in rewrite(graph, all_rule_names()).order]


def convolution(batch=8, **options):
    x = T.tensor("float64", (batch, 2, 9, 9), name="x")
    w = T.tensor("float64", (3, 2, 4, 4), name="w")
    return x, w, T.conv2d(x, w, **options)


def check(inputs, outputs):
    """The same results with and without rewriting."""
    random = np.random.default_rng(0)
    values = [random.normal(size=variable.type.shape) for variable in inputs]
    expected = symgrad.function(inputs, outputs, mode="none")(*values)
    for found, wanted in zip(symgrad.function(inputs, outputs)(*values), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-11)


def test_a_training_step_never_makes_the_convolution():
    x, w, convolved = convolution()
    pooled = T.pool_2d(convolved, (2, 3))
    outputs = [pooled, *symgrad.grad(T.sum(T.tanh(pooled)), [x, w])]
    ops = ops_after([x, w], outputs)
    for name in ("windowed_conv2d", "window_maximum", "window_maximum_gradient", "windowed_filter_gradient"):
        assert ops.count(name) == 1
    assert not {"conv2d", "images_of_windows", "max_pool_gradient"} & set(ops)
    check([x, w], outputs)


def test_the_gradient_alone_and_the_maximum_alone():
    x, w, convolved = convolution(subsample=(1, 1), border_mode="half", filter_flip=False)
    pooled = T.pool_2d(convolved, (2, 2))
    check([x, w], [pooled])
    assert "windowed_conv2d" in ops_after([x, w], [pooled])
    check([x, w], symgrad.grad(T.sum(pooled**3), [x, w]))


def test_a_convolution_that_is_used_elsewhere_stays():
    x, w, convolved = convolution()
    pooled = T.pool_2d(convolved, (2, 2))
    for outputs in ([pooled, convolved], [pooled, T.sum(convolved)], [pooled, T.pool_2d(convolved, (3, 3))]):
        ops = ops_after([x, w], outputs)
        assert ops.count("conv2d") == 1 and "windowed_conv2d" not in ops
        check([x, w], outputs)


@pytest.mark.parametrize("pooling", [
    {"ws": (2, 2), "stride": (1, 1)}, {"ws": (2, 2), "pad": (1, 1)}, {"ws": (2, 2), "mode": "sum"},
    {"ws": (4, 4), "ignore_border": False}, {"ws": (7, 7)},
])  # fmt: skip
def test_other_pooling_stays(pooling):
    x, w, convolved = convolution()
    pooled = T.pool_2d(convolved, **pooling)
    assert "windowed_conv2d" not in ops_after([x, w], [pooled])
    if 0 not in pooled.type.shape:
        check([x, w], [pooled, *symgrad.grad(T.sum(pooled**2), [x, w])])


@pytest.mark.parametrize("options", [{"subsample": (2, 2)}, {"filter_dilation": (2, 2)}, {"batch": None}, {"batch": 1}])
def test_other_convolutions_stay(options):
    x, w, convolved = convolution(**options)
    assert "windowed_conv2d" not in ops_after([x, w], [T.pool_2d(convolved, (2, 2))])


def test_a_gradient_that_is_wanted_for_itself_is_put_together():
    x, w, convolved = convolution()
    pooled = T.pool_2d(convolved, (2, 2))
    cost = T.sum(pooled**2)
    outputs = [cost, *symgrad.grad(cost, [convolved, x, w])]
    assert "images_of_windows" in ops_after([x, w], outputs)
    check([x, w], outputs)


def test_second_derivatives():
    x, w, convolved = convolution()
    gradient = symgrad.grad(T.sum(T.pool_2d(convolved, (2, 2)) ** 2), w)
    check([x, w], [symgrad.grad(T.sum(gradient**2), w)])
