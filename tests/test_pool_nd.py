"""Pooling of volumes, pooling that keeps the size, and pooling's derivatives."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.errors import ShapeError
from symgrad.tensor import nnet

MODES = ["max", "sum", "average_inc_pad", "average_exc_pad"]


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).normal(size=shape)


def pooled(volume: np.ndarray, window: Any, stride: Any, pad: Any, ignore_border: bool, mode: str) -> np.ndarray:
    """One window after the other; a window that hangs over counts what is there, and padding counts if asked for."""
    sizes = [size + 2 * p for size, p in zip(volume.shape[-3:], pad, strict=True)]
    if ignore_border:
        counts = [(size - w) // s + 1 if size >= w else 0 for size, w, s in zip(sizes, window, stride, strict=True)]
    else:
        counts = [1 + max(0, -(-(size - w) // s) if s < w else (size - 1) // s)
                  for size, w, s in zip(sizes, window, stride, strict=True)]  # fmt: skip
    result = np.empty((*volume.shape[:-3], *counts))
    for place in np.ndindex(*counts):
        starts = [i * s for i, s in zip(place, stride, strict=True)]
        reached = [slice(a, min(a + w, n)) for a, w, n in zip(starts, window, sizes, strict=True)]
        real = [slice(max(r.start - p, 0), min(r.stop - p, n))
                for r, p, n in zip(reached, pad, volume.shape[-3:], strict=True)]  # fmt: skip
        part = volume[(..., *real)]
        if mode == "max":
            value = part.max((-3, -2, -1))
        else:
            counted = reached if mode == "average_inc_pad" else real
            divisor = 1 if mode == "sum" else np.prod([r.stop - r.start for r in counted])
            value = part.sum((-3, -2, -1)) / divisor
        result[(..., *place)] = value
    return result


@given(st.data())
@settings(max_examples=25)
def test_pooling_is_a_loop_over_windows(data: Any) -> None:
    draw = data.draw

    def three(low: int, high: Any) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high[axis] if isinstance(high, tuple) else high)) for axis in range(3))

    window, stride, ignore_border = three(1, 3), three(1, 3), draw(st.booleans())
    pad = three(0, tuple(size - 1 for size in window)) if ignore_border else (0, 0, 0)
    mode = draw(st.sampled_from(MODES))
    volume = normal(*draw(st.sampled_from([(), (2,), (1, 2)])), *three(3, 5))
    x = T.tensor("float64", draw(st.sampled_from([volume.shape, (None,) * volume.ndim])))
    y = nnet.pool_3d(x, window, ignore_border, stride, pad, mode)
    oracle.assert_same(symgrad.function([x], y)(volume), pooled(volume, window, stride, pad, ignore_border, mode))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", [{}, {"stride": (1, 2, 1)}, {"ignore_border": False}, {"pad": (1, 0, 1)}])
def test_gradients_of_pooling(mode: str, options: Any) -> None:
    volume = np.random.default_rng(0).permutation(60).reshape(1, 3, 4, 5) / 7.0

    def build(x: Any) -> Any:
        return nnet.pool_3d(x, (2, 2, 3), mode=mode, **options)

    symgrad.verify_grad(build, [volume])
    symgrad.verify_grad(lambda x: symgrad.grad((build(x) ** 3).sum(), x), [volume], abs_tol=1e-3)
    x = T.tensor("float64", volume.shape)
    direction = normal(*volume.shape)
    tangent = symgrad.Rop(build(x), x, T.constant(direction)).eval({x: volume})
    step = 1e-6
    moved = [build(x).eval({x: volume + sign * step * direction}) for sign in (1, -1)]
    np.testing.assert_allclose(tangent, (moved[0] - moved[1]) / (2 * step), atol=1e-6)


def test_gradient_of_a_maximum_goes_to_the_first_of_the_window() -> None:
    x = T.tensor("float64", (2, 2, 2))
    slope = symgrad.grad(nnet.pool_3d(x, 2).sum(), x)
    for first in product((0, 1), repeat=3):
        volume = np.zeros((2, 2, 2))
        volume.reshape(-1)[np.ravel_multi_index(first, (2, 2, 2)) :] = 1
        assert np.argwhere(slope.eval({x: volume})).tolist() == [list(first)]


def test_pooling_that_keeps_the_size_keeps_the_maxima() -> None:
    x = T.dtensor3()
    image = normal(2, 5, 6)
    found = nnet.max_pool_2d_same_size(x, (2, 3)).eval({x: image})
    windows = image[:, :4].reshape(2, 2, 2, 2, 3)
    kept = np.where(windows == windows.max((2, 4), keepdims=True), windows, 0).reshape(2, 4, 6)
    np.testing.assert_array_equal(found, np.concatenate([kept, np.zeros((2, 1, 6))], axis=1))
    symgrad.verify_grad(lambda x: nnet.max_pool_2d_same_size(x, (2, 3)), [image])


@pytest.mark.parametrize("dtype", ["int8", "bool", "uint16"])
def test_pooling_of_integers(dtype: str) -> None:
    """Maxima keep the dtype, sums of bools count, averages are floats."""
    volume = np.random.default_rng(0).integers(0, 2, (4, 4, 4)).astype(dtype)
    windows = volume.reshape(2, 2, 2, 2, 2, 2).transpose(0, 2, 4, 1, 3, 5).reshape(2, 2, 2, 8)
    oracle.assert_same(nnet.pool_3d(volume, 2).eval(), windows.max(3))
    sums = nnet.pool_3d(volume, 2, mode="sum").eval()
    assert sums.dtype == ("int64" if dtype == "bool" else dtype)
    np.testing.assert_array_equal(sums, windows.sum(3))
    np.testing.assert_array_equal(nnet.pool_3d(volume, 2, mode="average_exc_pad").eval(), windows.mean(3))
    kept = nnet.max_pool_2d_same_size(volume, (1, 2)).eval()
    assert kept.dtype == dtype and (kept.sum() == volume.reshape(4, 4, 2, 2).max(3).sum())


def test_old_names_of_arguments() -> None:
    volume = normal(4, 4, 4)
    old = nnet.pool_3d(volume, ds=(2, 2, 2), st=(1, 1, 1), padding=(1, 1, 1), ignore_border=True)
    np.testing.assert_array_equal(nnet.pool_3d(volume, 2, True, 1, 1).eval(), old.eval())


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda x: nnet.pool_3d(x), "needs the size of its window"),
        (lambda x: nnet.pool_3d(x, (2, 2)), "ws as one or three integers"),
        (lambda x: nnet.pool_3d(x, 2, mode="mean"), "no mode 'mean'"),
        (lambda x: nnet.pool_3d(x, 2, pad=2), "a pad smaller than its window"),
        (lambda x: nnet.pool_3d(x, 2, pad=1, ignore_border=False), "pads only with ignore_border=True"),
        (lambda x: nnet.pool_3d(x[0, 0, 0], 2), "at least three axes"),
        (lambda x: nnet.pool_3d(x, T.ivector()), "ws as one or three integers"),
        (lambda x: nnet.max_pool_2d_same_size(x, 0), "patch_size as one or two integers"),
    ],
)
def test_poolings_that_cannot_be(build: Any, text: str) -> None:
    with pytest.raises(ShapeError, match=text):
        build(T.tensor("float32", (None,) * 5))
