"""Floats of 16 bits in CUDA programs: products read them, and steps with a loss scale stay on the device."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from network3 import ConvPoolLayer, FullyConnectedLayer, ReLU, SoftmaxLayer
from test_half_precision import Mixed

import symgrad
import symgrad.tensor as T

HALVES = ("float16", "bfloat16")


def program_of(function: Any) -> Any:
    return next(reversed(function._programs.values()))[1]


def steps_of_a_network(half: str, scale: symgrad.LossScale | None = None) -> tuple[Any, list[Any]]:
    """A step of a perceptron in mixed precision, and its parameters."""
    random = np.random.default_rng(3)
    x, y = T.fmatrix("x"), T.lvector("y")
    w1 = symgrad.shared(random.normal(size=(12, 16)).astype("float32"), "w1")
    w2 = symgrad.shared(random.normal(size=(16, 3)).astype("float32"), "w2")
    scores = T.dot(T.nnet.relu(T.dot(x, w1)), w2)
    cost = symgrad.mixed_precision(-T.mean(T.log(T.nnet.softmax(scores))[T.arange(8), y]), half)
    scale = scale or symgrad.LossScale(1.0)
    gradients = scale.grad(cost, [w1, w2])
    pairs = [(w, w - 0.1 * gradient) for w, gradient in zip([w1, w2], gradients, strict=True)]
    return symgrad.function([x, y], cost, updates=scale.updates(pairs), name="step"), [w1, w2]


def trained(half: str) -> list[np.ndarray]:
    random = np.random.default_rng(5)
    step, parameters = steps_of_a_network(half)
    costs = [step(random.normal(size=(8, 12)).astype("float32"), random.integers(0, 3, 8)) for _ in range(4)]
    return [np.array(costs), *[w.get_value() for w in parameters]]


@pytest.mark.parametrize("half", HALVES)
def test_a_step_in_mixed_precision_is_that_of_the_cpu(gpu: Any, half: str) -> None:
    found = trained(half)
    with symgrad.config.change_flags(device="cpu", backend="numpy"):
        expected = trained(half)
    for value, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("half", HALVES)
def test_products_read_operands_of_16_bits(gpu: Any, half: str) -> None:
    x, w = T.TensorType("float32", (8, 12))("x"), symgrad.shared(np.ones((12, 16), "float32"))
    f = symgrad.function([x], T.tanh(symgrad.mixed_precision(T.dot(T.exp(x), w), half)))
    value = np.random.default_rng(0).normal(size=(8, 12)).astype("float32")
    expected = np.tanh(np.exp(value).astype(half).astype("float32") @ np.ones((12, 16), "float32"))
    np.testing.assert_allclose(f(value), expected, rtol=1e-5)
    source = program_of(f).source
    element = {"float16": "f16", "bfloat16": "bf16"}[half]
    assert source.count(f"const {element}*") >= 2


def training_of_network3(half: str) -> tuple[Any, list[Any]]:
    """A function that trains a small network3 on a minibatch of noise, and its parameters."""
    random = np.random.RandomState(4)
    layers = [
        ConvPoolLayer((4, 1, 5, 5), (10, 1, 28, 28), rng=random, activation_fn=ReLU),
        ConvPoolLayer((9, 4, 5, 5), (10, 4, 12, 12), rng=random, activation_fn=ReLU),
        FullyConnectedLayer(9 * 4 * 4, 12, rng=random, activation_fn=ReLU),
        SoftmaxLayer(12, 10),
    ]
    net = Mixed(layers, 10)
    net.half = half
    images = symgrad.shared(random.uniform(size=(30, 784)).astype("float32"))
    labels = symgrad.shared(random.randint(0, 10, 30).astype("int32"))
    return net.training_function((images, labels), 10, 0.1, 0.1), net.params


@pytest.mark.parametrize("half", HALVES)
def test_network3_in_mixed_precision_is_that_of_the_cpu(gpu: Any, half: str) -> None:
    train, parameters = training_of_network3(half)
    found = [np.array([train(i) for i in range(3)]), *[w.get_value() for w in parameters]]
    with symgrad.config.change_flags(device="cpu", backend="numpy"):
        train_on_cpu, parameters = training_of_network3(half)
        expected = [np.array([train_on_cpu(i) for i in range(3)]), *[w.get_value() for w in parameters]]
    for value, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=2e-3, atol=2e-3)
    assert f"cast_{half}_cast_float32" not in program_of(train).source


@pytest.mark.parametrize("half", HALVES)
def test_convolutions_read_operands_of_16_bits(gpu: Any, half: str) -> None:
    train, _ = training_of_network3(half)
    train(0)
    found = re.findall(r"\b(conv\w+)_\w{12}_unguarded\(([^)]*)\)", program_of(train).source)
    kernels = [(name, parameters) for name, parameters in found if not name.endswith("_sum")]
    routines = ["conv_pool", "conv_pool", "conv_pool_input_gradient", *["conv_pool_filter_gradient"] * 2]
    assert [name for name, _ in kernels] == routines
    element = {"float16": "f16", "bfloat16": "bf16"}[half]
    for name, parameters in kernels:
        kinds = re.findall(r"const (\w+)\* __restrict__ (?:images|filters|values)", parameters)
        assert kinds == [element] * 2, name
        assert not re.search(rf"(?<!const ){element}\*", parameters), name


def test_a_step_that_overflows_changes_nothing_and_stays_on_the_device(gpu: Any) -> None:
    scale = symgrad.LossScale(2.0**14, growth_interval=2)
    step, parameters = steps_of_a_network("float16", scale)
    good, labels = np.ones((8, 12), "float32"), np.zeros(8, "int64")
    step(good, labels)
    before = [w.get_value() for w in parameters]
    step(np.full((8, 12), 6e4, "float32"), labels)
    for w, value in zip(parameters, before, strict=True):
        np.testing.assert_array_equal(w.get_value(), value)
    assert (scale.value.get_value(), scale.good_steps.get_value()) == (2.0**13, 0)
