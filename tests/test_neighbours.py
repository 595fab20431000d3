"""Patches of images, against loops over patches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.errors import ShapeError
from symgrad.tensor import nnet


def patches(images: np.ndarray, window: Any, step: Any, mode: str) -> np.ndarray:
    """The rows that `images2neibs` returns."""
    side = {"half": [n // 2 for n in window], "full": [n - 1 for n in window]}.get(mode, [0, 0])
    margins = [(0, 0), (0, 0), *[(n, n) for n in side]]
    if mode == "wrap_centered":
        images = np.pad(images, [(0, 0), (0, 0), *[(n // 2, n // 2) for n in window]], mode="wrap")
    else:
        images = np.pad(images, margins)
    starts = [range(0, size - n + 1, s) for size, n, s in zip(images.shape[2:], window, step, strict=True)]
    return np.array([
        image[i : i + window[0], j : j + window[1]].ravel()
        for example in images for image in example for i in starts[0] for j in starts[1]
    ])  # fmt: skip


@given(st.data())
@settings(max_examples=30)
def test_patches_are_a_loop(data: Any) -> None:
    draw = data.draw
    mode = draw(st.sampled_from(["valid", "ignore_borders", "wrap_centered", "half", "full"]))
    odd = st.sampled_from([1, 3]) if mode == "wrap_centered" else st.integers(1, 3)
    window, step = (draw(odd), draw(odd)), (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    step = window if draw(st.booleans()) else step
    zeros = {"half": [2 * (n // 2) for n in window], "full": [2 * n - 2 for n in window]}.get(mode, [0, 0])
    sizes = [draw(st.integers(3, 6)) for _ in range(2)]
    if mode in ("valid", "half", "full"):  # the last patch ends where the image ends
        sizes = [size + -(size + zero - n) % s for size, zero, n, s in zip(sizes, zeros, window, step, strict=True)]
    images = np.random.default_rng(0).normal(size=(2, draw(st.integers(1, 2)), *sizes))
    x = T.tensor("float64", draw(st.sampled_from([images.shape, (None,) * 4])))
    y = nnet.images2neibs(x, window, None if step == window else step, mode)
    expected = patches(images, window, step, mode)
    np.testing.assert_array_equal(symgrad.function([x], y)(images), expected)
    weights = np.random.default_rng(1).normal(size=expected.shape)
    slope = symgrad.function([x], symgrad.grad((y * weights).sum(), x), on_unused_input="ignore")(images)
    assert np.vdot(slope, images) == pytest.approx(np.vdot(weights, expected))


@pytest.mark.parametrize("mode", ["valid", "ignore_borders"])
def test_images_are_put_together_again(mode: str) -> None:
    images = np.random.default_rng(0).normal(size=(2, 3, 6, 4) if mode == "valid" else (2, 3, 7, 5))
    x = T.dtensor4()
    rows = nnet.images2neibs(x, (2, 2), mode=mode)
    again = nnet.neibs2images(rows, (2, 2), x.shape, mode)
    expected = images.copy()
    expected[:, :, 6:], expected[:, :, :, 4:] = 0, 0
    np.testing.assert_array_equal(again.eval({x: images}), expected)
    symgrad.verify_grad(lambda p: nnet.neibs2images(p, (2, 2), images.shape, mode), [rows.eval({x: images})])


def test_sizes_may_be_symbolic_and_dtypes_any() -> None:
    x, shape = T.tensor("int32", (None,) * 4), T.ivector("shape")
    f = symgrad.function([x, shape], nnet.images2neibs(x, shape))
    images = np.arange(48, dtype="int32").reshape(1, 2, 6, 4)
    for window in ((2, 2), (3, 4)):
        np.testing.assert_array_equal(f(images, window), patches(images, window, window, "valid"))
    padded = symgrad.function([x, shape], nnet.images2neibs(x, shape, mode="half"))
    np.testing.assert_array_equal(padded(images, (5, 1)), patches(images, (5, 1), (5, 1), "half"))
    overlapping = symgrad.function([x, shape], nnet.images2neibs(x, shape, (1, 2)))
    np.testing.assert_array_equal(overlapping(images, (2, 2)), patches(images, (2, 2), (1, 2), "valid"))


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda x: nnet.images2neibs(x[0], (2, 2)), "takes images"),
        (lambda x: nnet.images2neibs(x, (2, 0)), "neib_shape as two integers"),
        (lambda x: nnet.images2neibs(x, (2, 2), mode="same"), "no mode 'same'"),
        (lambda x: nnet.images2neibs(x, (2, 2)), "patches of 2 don't cover 5 pixels"),
        (lambda x: nnet.images2neibs(x, (3, 3), (1, 3)), "don't cover 4 exactly"),
        (lambda x: nnet.images2neibs(x, (2, 3), (1, 1), "wrap_centered"), "odd sizes up to that of the image, got 2"),
        (lambda x: nnet.images2neibs(x, (2, 2), T.ivector()), "needs to know the steps"),
        (lambda x: nnet.neibs2images(x, (2, 2), (1, 1, 4, 4)), "takes a matrix of patches"),
        (lambda x: nnet.neibs2images(x[0, 0], (2, 2), (1, 1, 5, 4)), "patches of 2 don't cover 5 pixels"),
        (lambda x: nnet.neibs2images(x[0, 0], (2, 2), (1, 1, 4, 4), "full"), "no mode 'full'"),
    ],
)
def test_patches_that_cannot_be(build: Any, text: str) -> None:
    with pytest.raises(ShapeError, match=text):
        build(T.tensor("float32", (1, 1, 5, 4), "x"))


def test_patches_that_do_not_fit_at_the_call() -> None:
    x = T.dtensor4("x")
    for options in ({}, {"neib_step": (1, 2)}):
        f = symgrad.function([x], nnet.images2neibs(x, (3, 3), **options))
        with pytest.raises(ShapeError):
            f(np.zeros((1, 1, 6, 4)))
