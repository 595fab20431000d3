"""Batch normalization: values, running averages and derivatives, against NumPy in float64."""

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


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def over(axes: Any, ndim: int) -> tuple[int, ...]:
    named = {"per-activation": (0,), "spatial": (0, *range(2, ndim))}
    return named[axes] if isinstance(axes, str) else tuple(sorted(axis % ndim for axis in axes))


@given(st.data())
@settings(max_examples=25)
def test_training_is_the_formula(data: Any) -> None:
    draw = data.draw
    ndim = draw(st.integers(2, 4))
    axes = draw(st.sampled_from(["per-activation", "spatial"]) | st.sets(st.integers(0, ndim - 1), min_size=1))
    axes = axes if isinstance(axes, str) else tuple(axes)
    normalized, compact = over(axes, ndim), draw(st.booleans())
    shape = tuple(draw(st.integers(2, 4)) for _ in range(ndim))
    sizes = [1 if axis in normalized else shape[axis] for axis in range(ndim)]
    if compact and len(normalized) < ndim:
        sizes = [shape[axis] for axis in range(ndim) if axis not in normalized]
    else:
        compact = False
    epsilon, factor = draw(st.sampled_from([1e-4, 1e-2])), draw(st.sampled_from([0.1, 0.7]))
    values = [normal(*shape), *[normal(*sizes, seed=seed) for seed in (1, 2, 3)], normal(*sizes, seed=4) ** 2]
    inputs = [T.tensor("float64", (None,) * value.ndim) for value in values]
    outputs = nnet.batch_normalization_train(*inputs[:3], axes, epsilon, factor, *inputs[3:])
    found = symgrad.function(inputs, list(outputs))(*values)

    def whole(value: np.ndarray) -> np.ndarray:
        return value.reshape([1 if axis in normalized else shape[axis] for axis in range(ndim)])

    x, gamma, beta, running_mean, running_var = [values[0], *map(whole, values[1:])]
    mean, var = x.mean(normalized, keepdims=True), x.var(normalized, keepdims=True)
    invstd, count = 1 / np.sqrt(var + epsilon), np.prod([shape[axis] for axis in normalized])
    expected = [
        (x - mean) * invstd * gamma + beta, mean, invstd, (1 - factor) * running_mean + factor * mean,
        (1 - factor) * running_var + factor * var * count / (count - 1),
    ]  # fmt: skip
    np.testing.assert_allclose(found[0], expected[0], atol=1e-10)
    for value, wanted in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_allclose(value, wanted.reshape(sizes), atol=1e-10)
    np.testing.assert_allclose(whole(found[0].mean(normalized)), beta, atol=1e-10)


@pytest.mark.parametrize("axes", ["per-activation", "spatial", (0, 2)])
def test_use_is_the_formula(axes: Any) -> None:
    x = normal(4, 3, 5)
    sizes = [1 if axis in over(axes, 3) else x.shape[axis] for axis in range(3)]
    gamma, beta, mean = [normal(*sizes, seed=seed) for seed in (1, 2, 3)]
    var = normal(*sizes, seed=4) ** 2
    expected = (x - mean) * gamma / np.sqrt(var + 1e-4) + beta
    np.testing.assert_allclose(nnet.batch_normalization_test(x, gamma, beta, mean, var, axes).eval(), expected)
    compact = [value.squeeze(over(axes, 3)) for value in (gamma, beta, mean, var)]
    np.testing.assert_allclose(nnet.batch_normalization_test(x, *compact, axes).eval(), expected)
    for mode in ("low_mem", "high_mem"):
        old = nnet.batch_normalization(x, gamma, beta, mean, np.sqrt(var + 1e-4), mode)
        np.testing.assert_allclose(old.eval(), expected)


@pytest.mark.parametrize("axes", ["per-activation", "spatial"])
def test_derivatives(axes: str) -> None:
    x = normal(4, 2, 3)
    sizes = [1 if axis in over(axes, 3) else x.shape[axis] for axis in range(3)]
    gamma, beta = normal(*sizes, seed=1), normal(*sizes, seed=2)

    def build(x: Any, gamma: Any, beta: Any) -> Any:
        return nnet.batch_normalization_train(x, gamma, beta, axes)[0]

    symgrad.verify_grad(build, [x, gamma, beta])
    symgrad.verify_grad(lambda x: symgrad.grad((build(x, gamma, beta) ** 2).sum(), x), [x], abs_tol=1e-3)
    symgrad.verify_grad(
        lambda *v: nnet.batch_normalization_test(*v, axes), [x, gamma, beta, beta * 0.5, gamma**2 + 0.5]
    )


def test_running_averages_are_updates() -> None:
    mean, var = symgrad.shared(np.zeros(3), name="mean"), symgrad.shared(np.ones(3), name="var")
    x = T.dmatrix("x")
    out, _, _, new_mean, new_var = nnet.batch_normalization_train(
        x, np.ones(3), np.zeros(3), running_mean=mean, running_var=var, running_average_factor=1.0
    )
    step = symgrad.function([x], out, updates=[(mean, new_mean), (var, new_var)])
    batch = normal(5, 3)
    step(batch)
    np.testing.assert_allclose(mean.get_value(), batch.mean(0))
    np.testing.assert_allclose(var.get_value(), batch.var(0, ddof=1))


def test_use_with_shared_values_of_channels() -> None:
    """A vector along the channels, plus epsilon, looks like a bias but follows no convolution."""
    gamma, beta, mean = [symgrad.shared(normal(3, seed=seed)) for seed in (1, 2, 3)]
    var = symgrad.shared(normal(3, seed=4) ** 2)
    x, images = T.dtensor4("x"), normal(2, 3, 4, 4)
    use = symgrad.function([x], nnet.batch_normalization_test(x, gamma, beta, mean, var, "spatial"))
    a, b, m, v = [variable.get_value()[:, None, None] for variable in (gamma, beta, mean, var)]
    np.testing.assert_allclose(use(images), (images - m) * a / np.sqrt(v + 1e-4) + b)


def test_float32_stays_float32() -> None:
    x, g = T.fmatrix(), T.fvector()
    outputs = nnet.batch_normalization_train(x, g, g, running_mean=g, running_var=g)
    assert {output.dtype for output in outputs} == {"float32"}
    assert nnet.local_response_normalization(T.ftensor4()).dtype == "float32"


@pytest.mark.parametrize("n", [1, 3, 5, 9])
def test_normalization_by_neighbouring_channels(n: int) -> None:
    x = normal(2, 6, 3, 2)
    squares = np.stack([(x[:, max(c - n // 2, 0) : c + n // 2 + 1] ** 2).sum(1) for c in range(6)], axis=1)
    expected = x / (1.5 + 0.3 * squares) ** 0.6
    images = T.dtensor4()
    y = nnet.local_response_normalization(images, 0.3, 1.5, 0.6, n)
    np.testing.assert_allclose(y.eval({images: x}), expected)
    symgrad.verify_grad(lambda x: nnet.local_response_normalization(x, 0.3, 1.5, 0.6, n), [x])


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda x, g: nnet.batch_normalization_train(x, g, g, axes="all"), "takes 'per-activation', 'spatial' or axes"),
        (lambda x, g: nnet.batch_normalization_train(x, g, g, axes=4), "takes 'per-activation', 'spatial' or axes"),
        (lambda x, g: nnet.batch_normalization_train(x, g, g), "parameters of 3 axes like its inputs, or of the 2"),
        (lambda x, g: nnet.batch_normalization_train(x, g, g, "spatial", running_mean=g), "both running_mean and"),
        (lambda x, g: nnet.batch_normalization_test(x, g, g, g, g, "spatial", 1e-6), "an epsilon of at least 1e-05"),
        (lambda x, g: nnet.local_response_normalization(x, n=4), "an odd number of channels"),
        (lambda x, g: nnet.local_response_normalization(g), "takes images"),
    ],
)
def test_normalizations_that_cannot_be(build: Any, text: str) -> None:
    with pytest.raises(ShapeError, match=text):
        build(T.tensor3("x"), T.vector("g"))
