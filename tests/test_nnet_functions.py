"""Activations, cross-entropies and hierarchical softmax, against NumPy and SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.errors import DTypeError, ShapeError
from symgrad.tensor import nnet

POINTS = np.array([-30.0, -7.1, -3.5, -2.4, -1.0, -1e-9, 0.0, 1e-9, 0.3, 2.6, 3.3, 3.5, 6.5, 30.0])


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def elu(x: np.ndarray, alpha: float = 1) -> np.ndarray:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def fast_sigmoid(x: np.ndarray) -> np.ndarray:
    half = np.abs(x) / 2
    above = np.select(
        [half < 1.7, half < 3], [1.5 * half / (1 + half), 0.935409070603099 + 0.0458812946797165 * (half - 1.7)],
        0.99505475368673,
    )  # fmt: skip
    return 0.5 + 0.5 * np.sign(x) * above


ACTIVATIONS = {
    "elu": (nnet.elu, elu),
    "elu of another alpha": (lambda x: nnet.elu(x, 0.3), lambda x: elu(x, 0.3)),
    "selu": (nnet.selu, lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772)),
    "softsign": (nnet.softsign, lambda x: x / (1 + np.abs(x))),
    "hard_sigmoid": (nnet.hard_sigmoid, lambda x: np.clip(0.2 * x + 0.5, 0, 1)),
    "ultra_fast_sigmoid": (nnet.ultra_fast_sigmoid, fast_sigmoid),
    "leaky relu": (lambda x: nnet.relu(x, 0.1), lambda x: np.where(x > 0, x, 0.1 * x)),
    "softplus": (nnet.softplus, lambda x: np.logaddexp(0, x)),
    "scalar_sigmoid": (nnet.scalar_sigmoid, scipy.special.expit),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations(name: str, dtype: str) -> None:
    build, meaning = ACTIVATIONS[name]
    x = T.tensor(dtype, (None,))
    values = POINTS.astype(dtype)
    f = symgrad.function([x], [build(x), symgrad.grad(build(x).sum(), x)])
    found, slope = f(values)
    oracle.assert_same(found, meaning(values.astype("float64")).astype(dtype))
    smooth = np.abs(POINTS) > 1e-3
    step = 1e-6
    expected = (meaning(POINTS + step) - meaning(POINTS - step)) / (2 * step)
    np.testing.assert_allclose(slope[smooth], expected[smooth], rtol=1e-4, atol=1e-6)
    assert np.isfinite(f(np.array([-1e4, 1e4], dtype))[1]).all()
    symgrad.verify_grad(build, [np.array([-1.3, -0.4, 0.7, 2.2])])


@pytest.mark.parametrize("policy", ["custom", "floatX"])
def test_float32_stays_float32(policy: str) -> None:
    x = T.fmatrix()
    with symgrad.config.change_flags(floatX="float64", cast_policy=policy):
        for build in (nnet.elu, nnet.softsign, nnet.hard_sigmoid, nnet.ultra_fast_sigmoid, nnet.relu):
            assert build(x).dtype == "float32"
        assert nnet.batch_normalization_train(x, x[0], x[0])[0].dtype == "float32"
        assert nnet.local_response_normalization(x).dtype == "float32"


def test_derivatives_at_0() -> None:
    x = T.dscalar()

    def slope(y: Any) -> float:
        return float(symgrad.grad(y, x).eval({x: 0.0}))

    assert slope(nnet.elu(x, 0.3)) == pytest.approx(0.3)
    assert slope(nnet.ultra_fast_sigmoid(x)) == pytest.approx(0.375)
    assert slope(nnet.sigmoid_binary_crossentropy(x, 0.0)) == pytest.approx(0.5)
    assert slope(nnet.hard_sigmoid(x)) == pytest.approx(0.2)


def test_the_fast_sigmoid_is_close_to_the_sigmoid() -> None:
    x = np.linspace(-20, 20, 1001)
    assert np.abs(nnet.ultra_fast_sigmoid(x).eval() - scipy.special.expit(x)).max() < 0.03


def test_activations_run_natively_as_one_loop() -> None:
    x = T.fmatrix()
    for build in (nnet.elu, nnet.selu, nnet.softsign, nnet.hard_sigmoid, nnet.ultra_fast_sigmoid):
        with symgrad.config.change_flags(backend="native"):
            f = symgrad.function([x], build(x))
        f(np.ones((3, 2), "float32"))
        assert "native: 1 kernel" in f.source(), build.__name__


@given(st.data())
@settings(max_examples=20)
def test_cross_entropies_that_start_before_the_softmax(data: Any) -> None:
    rows, classes = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    scores, bias = normal(rows, classes) * data.draw(st.sampled_from([1, 1000])), normal(classes, seed=1)
    labels = np.random.default_rng(2).integers(0, classes, rows).astype("int8")
    x, b, y = T.dmatrix(), T.dvector(), T.bvector()
    loss, p, best = nnet.crossentropy_softmax_argmax_1hot_with_bias(x, b, y)
    assert best.dtype == "int8"
    for mode in ("none", "default"):
        outputs = [loss, p, best, *symgrad.grad(loss.sum(), [x, b])]
        found = symgrad.function([x, b, y], outputs, mode=mode)(scores, bias, labels)
        probabilities = scipy.special.softmax(scores + bias, axis=1)
        slope = probabilities - np.eye(classes)[labels]
        expected = [
            -scipy.special.log_softmax(scores + bias, axis=1)[np.arange(rows), labels], probabilities,
            (scores + bias).argmax(1), slope, slope.sum(0),
        ]  # fmt: skip
        for value, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(value, wanted, atol=1e-10)


def test_cross_entropies_under_their_other_names() -> None:
    scores, bias, labels = normal(4, 3), normal(3, seed=1), np.array([2, 0, 0, 1])
    rows = np.arange(4)
    p = scipy.special.softmax(scores + bias, axis=1)
    plain = scipy.special.softmax(scores, axis=1)
    np.testing.assert_allclose(nnet.softmax_with_bias(scores, bias).eval(), p)
    np.testing.assert_allclose(nnet.softmax_graph(scores).eval(), plain)
    loss, again = nnet.crossentropy_softmax_1hot_with_bias(scores, bias, labels)
    np.testing.assert_allclose(loss.eval(), -np.log(p)[rows, labels])
    np.testing.assert_allclose(again.eval(), p)
    loss, again = nnet.crossentropy_softmax_1hot(scores, labels)
    np.testing.assert_allclose(loss.eval(), -np.log(plain)[rows, labels])
    for (_, q, most, where), expected in (
        (nnet.crossentropy_softmax_max_and_argmax_1hot_with_bias(scores, bias, labels), p),
        (nnet.crossentropy_softmax_max_and_argmax_1hot(scores, labels), plain),
    ):
        np.testing.assert_allclose(q.eval(), expected)
        np.testing.assert_allclose(most.eval(), expected.max(1))
        np.testing.assert_array_equal(where.eval(), expected.argmax(1))
    np.testing.assert_allclose(nnet.crossentropy_categorical_1hot(p, labels).eval(), -np.log(p)[rows, labels])
    cotangent = normal(4, seed=2)
    dy = np.zeros((4, 3))
    dy[rows, labels] = -cotangent / p[rows, labels]
    np.testing.assert_allclose(nnet.crossentropy_categorical_1hot_grad(cotangent, p, labels).eval(), dy)
    dx = cotangent[:, None] * (p - np.eye(3)[labels])
    np.testing.assert_allclose(nnet.crossentropy_softmax_1hot_with_bias_dx(cotangent, p, labels).eval(), dx)
    np.testing.assert_allclose(nnet.softmax_grad(dy, p).eval(), dx, atol=1e-12)


def test_binary_cross_entropy_before_the_sigmoid() -> None:
    x, t = T.dvectors("x", "t")
    loss = nnet.sigmoid_binary_crossentropy(x, t)
    scores, targets = np.array([800.0, -800.0, 0.5, 40.0]), np.array([0.0, 1.0, 0.25, 1.0])
    f = symgrad.function([x, t], [loss, symgrad.grad(loss.sum(), x)])
    found, slope = f(scores, targets)
    np.testing.assert_allclose(found, [800, 800, np.logaddexp(0, 0.5) - 0.125, np.exp(-40.0)])
    np.testing.assert_allclose(slope, scipy.special.expit(scores) - targets, atol=1e-16)


def test_columns_in_front_of_a_matrix() -> None:
    x = T.imatrix()
    matrix = np.arange(6, dtype="int32").reshape(2, 3)
    for build, value in ((nnet.prepend_0_to_each_row, 0), (nnet.prepend_1_to_each_row, 1)):
        oracle.assert_same(build(x).eval({x: matrix}), np.insert(matrix, 0, value, axis=1))
    scalar = T.dscalar()
    y = nnet.prepend_scalar_to_each_row(scalar, T.constant(normal(2, 2)))
    np.testing.assert_allclose(y.eval({scalar: 7.0})[:, 0], 7)
    assert symgrad.grad(y.sum(), scalar).eval({scalar: 7.0}) == 2


def test_confusion_matrix_counts() -> None:
    random = np.random.default_rng(0)
    actual, predicted = random.choice([1, 3, 4, 7], 50), random.choice([1, 3, 4, 9], 50)
    a, p = T.lvectors("a", "p")
    counts, order = symgrad.function([a, p], nnet.confusion_matrix(a, p))(actual, predicted)
    assert order.tolist() == sorted({*actual.tolist(), *predicted.tolist()})
    expected = [[np.sum((actual == i) & (predicted == j)) for j in order] for i in order]
    np.testing.assert_array_equal(counts, expected)


def test_hierarchical_softmax() -> None:
    x, w1, b1, w2, b2 = normal(4, 5), normal(5, 3), normal(3), normal(3, 5, 2), normal(3, 2)
    first = scipy.special.softmax(x @ w1 + b1, axis=1)
    second = scipy.special.softmax(np.einsum("nf,cfo->nco", x, w2) + b2, axis=2)
    expected = (first[:, :, None] * second).reshape(4, 6)
    np.testing.assert_allclose(expected.sum(1), 1)
    operands = (w1, b1, w2, b2)
    np.testing.assert_allclose(nnet.h_softmax(x, 4, 5, 3, 2, *operands).eval(), expected[:, :5])
    target = T.imatrix()
    picked = nnet.h_softmax(x, 4, 5, 3, 2, *operands, target=target)
    labels = np.array([[0], [5], [2], [3]], "int32")
    np.testing.assert_allclose(picked.eval({target: labels}), expected[np.arange(4), labels[:, 0]])
    symgrad.verify_grad(lambda *v: nnet.h_softmax(v[0], 4, 5, 3, 2, *v[1:], target=labels[:, 0]), [x, *operands])


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (lambda x, y: nnet.crossentropy_softmax_1hot(y, y), ShapeError, "takes a matrix"),
        (lambda x, y: nnet.crossentropy_softmax_1hot(x, x), ShapeError, "takes labels of one axis"),
        (lambda x, y: nnet.crossentropy_categorical_1hot(x, T.vector()), DTypeError, "labels must be integers"),
        (lambda x, y: nnet.crossentropy_softmax_1hot_with_bias(x, x, y), ShapeError, "a bias of one axis"),
        (lambda x, y: nnet.prepend_0_to_each_row(y), ShapeError, "takes a matrix"),
        (lambda x, y: nnet.confusion_matrix(x, y), ShapeError, "takes two vectors"),
        (lambda x, y: nnet.h_softmax(x, 2, 2, 1, 1, x, x, x, x), ShapeError, "of 2, 2, 1, 3 and 2 axes"),
    ],
)
def test_operands_that_cannot_be(build: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        build(T.matrix("x"), T.ivector("y"))


def test_products_of_chosen_blocks() -> None:
    weights, blocks, bias = normal(4, 5, 3, 2), normal(6, 2, 3, seed=1), normal(5, 2, seed=2)
    random = np.random.default_rng(3)
    sources, targets = random.integers(0, 4, (6, 2)), random.integers(0, 5, (6, 3))
    expected = np.einsum("nif,nijfo->njo", blocks, weights[sources[:, :, None], targets[:, None]]) + bias[targets]
    np.testing.assert_allclose(nnet.sparse_block_dot(weights, blocks, sources, bias, targets).eval(), expected)
    one = nnet.sparse_block_dot(weights, blocks[0], sources[0], bias, targets[0])
    np.testing.assert_allclose(one.eval(), expected[0])
    symgrad.verify_grad(
        lambda w, h, b: nnet.sparse_block_dot(w, h, sources, b, targets), [weights, blocks, bias]
    )
