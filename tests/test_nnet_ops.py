"""Softmax, losses, convolution and pooling against SciPy, direct NumPy and (where installed) PyTorch."""

from __future__ import annotations

from typing import Any

import direct
import numpy as np
import oracle
import pytest
import scipy.signal
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.errors import DTypeError, ShapeError

RANDOM = np.random.default_rng(5)


def normal(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape)


def evaluated(build: Any, *values: np.ndarray) -> np.ndarray:
    """Compute in both modes, with known and with open sizes; all four must agree."""
    results = []
    for mode in ("none", "default"):
        for known in (True, False):
            variables = [T.tensor(v.dtype.name, v.shape if known else (None,) * v.ndim) for v in values]
            results.append(symgrad.function(variables, build(*variables), mode=mode)(*values))
    for result in results[1:]:
        oracle.assert_same(result, results[0])
    return results[0]


# ---- softmax and losses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_softmax_is_scipy_s(axis: int | None) -> None:
    for value in (normal(3, 4), normal(3, 1), np.full((2, 3), 800.0), normal(2, 3) * 500):
        expected = scipy.special.softmax(value, axis=-1 if axis is None else axis)
        oracle.assert_same(evaluated(lambda x: T.softmax(x, axis), value), expected)
        logarithm = scipy.special.log_softmax(value, axis=-1 if axis is None else axis)
        oracle.assert_same(evaluated(lambda x: T.log_softmax(x, axis), value), logarithm)


def test_softmax_of_a_vector_is_a_vector() -> None:
    x = T.dvector()
    assert T.softmax(x).ndim == 1
    oracle.assert_same(T.softmax(x).eval({x: [0.0, 1.0]}), scipy.special.softmax([0.0, 1.0]))
    assert T.softmax(T.ivector()).dtype == "float32"
    with pytest.raises(ShapeError, match="softmax needs at least one axis"):
        T.softmax(T.dscalar())
    with pytest.raises(ShapeError, match="softmax got axis 1"):
        T.softmax(x, 1)


@pytest.mark.parametrize(
    "build",
    [
        lambda p, y: -T.log(p)[T.arange(y.shape[0]), y],
        lambda p, y: -T.log(p[T.arange(y.shape[0]), y]),
        T.categorical_crossentropy,
    ],
)
def test_negative_log_likelihood_is_stable(build: Any) -> None:
    """In default mode the loss and its gradient are exact where softmax underflows to 0."""
    x, y = T.dmatrix(), T.ivector()
    loss = build(T.softmax(x), y).mean()
    f = symgrad.function([x, y], [loss, symgrad.grad(loss, x)])
    scores = np.array([[1000.0, 0.0, -1000.0], [0.0, 1.0, 2.0]])
    found, slope = f(scores, [2, 0])
    np.testing.assert_allclose(found, (2000 + scipy.special.logsumexp([0, 1, 2])) / 2)
    np.testing.assert_allclose(slope, (scipy.special.softmax(scores, axis=1) - [[0, 0, 1], [1, 0, 0]]) / 2, atol=1e-12)


def test_categorical_crossentropy_of_probabilities() -> None:
    p, q = scipy.special.softmax(normal(4, 3), axis=1), scipy.special.softmax(normal(4, 3), axis=1)
    oracle.assert_same(evaluated(T.categorical_crossentropy, p, q), -(q * np.log(p)).sum(1))
    with pytest.raises(DTypeError, match="labels must be integers, got float32"):
        T.categorical_crossentropy(T.matrix(), T.fvector())
    with pytest.raises(ShapeError, match="categorical_crossentropy takes labels"):
        T.categorical_crossentropy(T.matrix(), T.itensor3())


def test_labels_that_cannot_be() -> None:
    x, y = T.dmatrix("x"), T.ivector("y")
    loss = T.categorical_crossentropy(T.softmax(x), y).sum()
    for outputs in (loss, symgrad.grad(loss, x)):
        f = symgrad.function([x, y], outputs)
        with pytest.raises(IndexError, match="3 is out of bounds"):
            f(np.zeros((2, 3)), [0, 3])
        with pytest.raises(ValueError, match=r"labels|index arrays|mis-match"):
            f(np.zeros((2, 3)), [0])


def test_binary_crossentropy_is_stable_behind_a_sigmoid() -> None:
    x, t = T.dvectors("x", "t")
    loss = T.binary_crossentropy(T.sigmoid(x), t)
    f = symgrad.function([x, t], [loss, symgrad.grad(loss.sum(), x)])
    scores, targets = np.array([800.0, -800.0, 0.5]), np.array([0.0, 1.0, 0.25])
    found, slope = f(scores, targets)
    np.testing.assert_allclose(found, np.logaddexp(0, scores) - targets * scores)
    np.testing.assert_allclose(slope, scipy.special.expit(scores) - targets)


# ---- convolution ----------------------------------------------------------------------------------------------------


@given(st.data())
def test_convolution_is_scipy_s(data: Any) -> None:
    draw = data.draw
    window = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    shape = draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(3, 6)), draw(st.integers(3, 6))
    stride = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    flip = draw(st.booleans())
    mode = draw(st.sampled_from(["valid", "full", "half", 0, 1, (2, 0), (0, 3)]))
    named = {"valid": (0, 0), "full": (window[0] - 1, window[1] - 1), "half": (window[0] // 2, window[1] // 2)}
    padding = named[mode] if isinstance(mode, str) else (mode, mode) if isinstance(mode, int) else mode
    images, filters = normal(*shape), normal(draw(st.integers(1, 3)), shape[1], *window)
    expected = direct.conv2d(images, filters, padding, stride, flip)
    x, w = T.tensor("float64", (None,) * 4), T.tensor("float64", (None,) * 4)
    y = T.conv2d(x, w, filter_shape=filters.shape, border_mode=mode, subsample=stride, filter_flip=flip)
    oracle.assert_same(symgrad.function([x, w], y)(images, filters), expected)


def test_border_modes_have_scipy_s_sizes() -> None:
    image, window = normal(6, 5), normal(3, 3)
    for mode, name in (("valid", "valid"), ("full", "full"), ("half", "same")):
        found = T.conv2d(T.constant(image[None, None]), T.constant(window[None, None]), border_mode=mode).eval()
        np.testing.assert_allclose(found[0, 0], scipy.signal.convolve2d(image, window, mode=name))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"filter_flip": False},
        {"subsample": (2, 1)},
        {"border_mode": "full"},
        {"border_mode": (1, 2)},
        {"filter_dilation": (2, 1)},
        {"border_mode": "half", "subsample": 2},
    ],
)
def test_gradient_of_convolution(options: Any) -> None:
    def build(x: Any, w: Any) -> Any:
        return T.conv2d(x, w, filter_shape=(2, 2, 2, 3), **options)

    symgrad.verify_grad(build, [normal(2, 2, 5, 5), normal(2, 2, 2, 3)])
    symgrad.verify_grad(
        lambda x, w: symgrad.grad((build(x, w) ** 2).sum(), w), [normal(1, 2, 5, 5), normal(2, 2, 2, 3)], abs_tol=1e-4
    )


def test_convolution_against_pytorch() -> None:
    torch = pytest.importorskip("torch")
    for groups, dilation, stride, padding in ((1, 1, 1, 0), (2, 1, 2, 1), (1, 2, 1, 2), (2, 2, 2, 0)):
        images, filters = normal(2, 4, 7, 8), normal(6, 4 // groups, 3, 2)
        x, w = T.tensor4(dtype="float64"), T.tensor4(dtype="float64")
        y = T.conv2d(
            x, w, border_mode=padding, subsample=stride, filter_flip=False, filter_dilation=dilation, num_groups=groups
        )
        weights = np.random.default_rng(0).normal(size=y.eval({x: images, w: filters}).shape)
        found = symgrad.function([x, w], [y, *symgrad.grad((y * weights).sum(), [x, w])])(images, filters)
        a, b = torch.tensor(images, requires_grad=True), torch.tensor(filters, requires_grad=True)
        out = torch.nn.functional.conv2d(a, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
        (out * torch.tensor(weights)).sum().backward()
        for value, expected in zip(found, (out.detach(), a.grad, b.grad), strict=True):
            np.testing.assert_allclose(value, expected.numpy(), rtol=1e-9, atol=1e-12)


def test_convolutions_that_cannot_be() -> None:
    x, w = T.tensor("float32", (2, 3, 8, 8), "x"), T.tensor("float32", (4, 3, 3, 3), "w")
    for build, text in (
        (lambda: T.conv2d(x, T.tensor("float32", (4, 2, 3, 3))), "an image of 3 channels and filters for 2"),
        (lambda: T.conv2d(x, T.tensor("float32", (4, 3, 9, 3))), "a filter of size 9 on an image of size 8"),
        (lambda: T.conv2d(x[0], w), "images \\(N, C, H, W\\)"),
        (lambda: T.conv2d(x, w, border_mode="same"), "no border_mode 'same'"),
        (lambda: T.conv2d(x, w, subsample=(0, 1)), "subsample as one or two integers"),
        (lambda: T.conv2d(x, w, input_shape=(2, 3, 9, 8)), "said to have size 9"),
        (
            lambda: T.conv2d(x, T.tensor("float32", (4, 1, 3, 3)), num_groups=2),
            "an image of 3 channels and filters for 2",
        ),
        (
            lambda: T.conv2d(T.tensor("float32", (2, 4, 8, 8)), T.tensor("float32", (3, 2, 3, 3)), num_groups=2),
            "groups",
        ),
        (lambda: T.conv2d(x, w, num_groups=0), "groups"),
    ):
        with pytest.raises(ShapeError, match=text):
            build()
    f = symgrad.function([y := T.tensor4("y")], T.conv2d(y, np.ones((4, 3, 3, 3), "float32")))
    with pytest.raises(ShapeError, match="an image of 2 channels and filters for 3"):
        f(np.ones((1, 2, 5, 5), "float32"))
    with pytest.raises(ShapeError, match="a filter of size 3 on an image of size 2"):
        f(np.ones((1, 3, 2, 5), "float32"))


# ---- pooling --------------------------------------------------------------------------------------------------------


@given(st.data())
def test_pooling_is_a_loop_over_windows(data: Any) -> None:
    draw = data.draw
    window = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    stride = draw(st.none() | st.tuples(st.integers(1, 3), st.integers(1, 3)))
    pad = draw(st.integers(0, window[0] - 1)), draw(st.integers(0, window[1] - 1))
    mode = draw(st.sampled_from(["max", "sum", "average_inc_pad", "average_exc_pad"]))
    images = normal(*draw(st.lists(st.integers(1, 2), max_size=2)), draw(st.integers(3, 6)), draw(st.integers(3, 6)))
    expected = direct.pool_2d(images, window, stride or window, pad, mode)
    x = T.tensor("float64", (None,) * images.ndim)
    y = T.pool_2d(x, window, stride=stride, pad=pad, mode=mode, ignore_border=True)
    for rewriting in ("none", "default"):
        oracle.assert_same(symgrad.function([x], y, mode=rewriting)(images), expected)


def test_partial_windows_are_kept_and_averages_divide_by_the_real_count() -> None:
    image = np.arange(25.0).reshape(5, 5)
    x = T.dmatrix()
    for mode, reduce in (("max", np.max), ("sum", np.sum), ("average_inc_pad", np.mean), ("average_exc_pad", np.mean)):
        expected = [[reduce(image[i : i + 2, j : j + 2]) for j in (0, 2, 4)] for i in (0, 2, 4)]
        np.testing.assert_allclose(T.pool_2d(x, 2, ignore_border=False, mode=mode).eval({x: image}), expected)


def test_gradient_of_max_pooling_goes_to_the_first_maximum() -> None:
    x = T.dmatrix()
    slope = symgrad.grad(T.pool_2d(x, (2, 2), ignore_border=True).sum(), x)
    np.testing.assert_array_equal(slope.eval({x: np.ones((2, 4))}), [[1, 0, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(slope.eval({x: [[0.0, 2, 1, 3], [2, 2, 3, 3]]}), [[0, 1, 0, 1], [0, 0, 0, 0]])


@pytest.mark.parametrize("mode", ["max", "sum", "average_inc_pad", "average_exc_pad"])
@pytest.mark.parametrize("options", [{}, {"stride": (1, 2)}, {"ignore_border": False}, {"pad": (1, 0)}])
def test_gradient_of_pooling(mode: str, options: Any) -> None:
    image = RANDOM.permutation(30).reshape(1, 5, 6) / 7.0
    arguments = {"ignore_border": True, **options}
    symgrad.verify_grad(lambda x: T.pool_2d(x, (2, 3), mode=mode, **arguments), [image])


def test_pooling_against_pytorch() -> None:
    torch = pytest.importorskip("torch")
    images = normal(2, 3, 7, 8)
    x = T.tensor4(dtype="float64")
    for window, stride, pad in ((2, 2, 0), (3, 2, 1), ((3, 2), (1, 2), (1, 0))):
        largest = T.pool_2d(x, window, stride=stride, pad=pad, ignore_border=True)
        average = T.pool_2d(x, window, stride=stride, pad=pad, ignore_border=True, mode="average_inc_pad")
        found = symgrad.function([x], [largest, average, symgrad.grad(T.sqr(largest).sum(), x)])(images)
        a = torch.tensor(images, requires_grad=True)
        b = torch.nn.functional.max_pool2d(a, window, stride, pad)
        (b**2).sum().backward()
        c = torch.nn.functional.avg_pool2d(a, window, stride, pad)
        for value, expected in zip(found, (b.detach(), c.detach(), a.grad), strict=True):
            np.testing.assert_allclose(value, expected.numpy(), rtol=1e-9, atol=1e-12)


def test_poolings_that_cannot_be() -> None:
    x = T.tensor4("x")
    for build, text in (
        (lambda: T.pool_2d(x), "needs the size of its window"),
        (lambda: T.pool_2d(x, (2, 0)), "ws as one or two integers"),
        (lambda: T.pool_2d(x, 2, mode="mean"), "no mode 'mean'"),
        (lambda: T.pool_2d(x, 2, pad=2), "a pad smaller than its window"),
        (lambda: T.pool_2d(x, 2, pad=1, ignore_border=False), "pads only with ignore_border=True"),
        (lambda: T.pool_2d(T.vector(), 2), "at least two axes"),
        (lambda: T.pool_2d(x, ws=2, ds=2), "window"),
    ):
        with pytest.raises(ShapeError, match=text):
            build()


def test_old_names_of_arguments() -> None:
    x = T.dmatrix()
    image = normal(4, 4)
    new = T.pool_2d(x, ws=(2, 2), stride=(1, 1), pad=(1, 1), ignore_border=True)
    old = T.pool_2d(x, ds=(2, 2), st=(1, 1), padding=(1, 1), ignore_border=True)
    oracle.assert_same(new.eval({x: image}), old.eval({x: image}))
