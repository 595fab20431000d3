"""Programs written for Theano, run as they are: they learn, and their first costs are those that NumPy computes."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from symgrad.compat.theano_names.activation import activated

PROGRAMS = Path(__file__).with_name("programs")


@pytest.fixture(autouse=True)
def _theano() -> Iterator[None]:
    with activated(floatX="float64"):
        sys.path.insert(0, str(PROGRAMS))
        before = set(sys.modules)
        try:
            yield
        finally:
            sys.path.remove(str(PROGRAMS))
            for name in set(sys.modules) - before:  # programs hold on to the names of this activation
                if str(PROGRAMS) in str(getattr(sys.modules[name], "__file__", "")):
                    del sys.modules[name]


def load(name: str) -> Any:
    return importlib.import_module(name)


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_logistic_regression_goes_numpys_way() -> None:
    costs, error, weights, biases = load("logistic_regression").train(n_epochs=20)
    images, labels = load("digits").splits()[0]
    W, b = np.zeros((144, 10)), np.zeros(10)
    expected = []
    for _ in range(20):
        for start in range(0, 300, 20):
            x, y = images[start : start + 20], labels[start : start + 20]
            p = softmax(x @ W + b)
            expected.append(-np.log(p[np.arange(20), y]).mean())
            d = (p - np.eye(10)[y]) / 20
            W, b = W - 0.5 * x.T @ d, b - 0.5 * d.sum(0)
    np.testing.assert_allclose(costs, expected, rtol=1e-8)
    np.testing.assert_allclose(weights, W, rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(biases, b, rtol=1e-6, atol=1e-10)
    assert error < 0.05


def test_mlp_goes_numpys_way() -> None:
    costs, error, (W, b, V, c) = load("mlp").train()
    images, labels = load("digits").splits()[0]
    expected = []
    for start in range(0, 300, 20):
        x, y = images[start : start + 20], labels[start : start + 20]
        h = np.tanh(x @ W + b)
        p = softmax(h @ V + c)
        penalty = 0.0001 * (abs(W).sum() + abs(V).sum()) + 0.001 * ((W**2).sum() + (V**2).sum())
        expected.append(-np.log(p[np.arange(20), y]).mean() + penalty)
        d = (p - np.eye(10)[y]) / 20
        e = d @ V.T * (1 - h * h)
        steps = [part + 0.0001 * np.sign(w) + 0.002 * w for part, w in ((x.T @ e, W), (h.T @ d, V))]
        W, b, V, c = W - 0.1 * steps[0], b - 0.1 * e.sum(0), V - 0.1 * steps[1], c - 0.1 * d.sum(0)
    np.testing.assert_allclose(costs[:15], expected, rtol=1e-8)
    assert error < 0.1


@pytest.mark.parametrize("old_names", [False, True])
def test_lenet_learns(old_names: bool) -> None:
    costs, error, start = load("lenet").train(old_names=old_names, n_epochs=12)
    images, _ = load("digits").splits()[0]
    assert costs[0] == pytest.approx(np.log(10))  # the last layer starts at zero
    assert costs[-6:].mean() < 0.8 * costs[0]
    assert [w.ndim for w in start] == [2, 1, 2, 1, 4, 1, 4, 1]
    assert images.shape == (300, 144)
    assert error < 0.6


def test_both_spellings_of_convolution_and_pooling_are_one() -> None:
    new, old = [load("lenet").train(old_names=old, n_epochs=1)[0] for old in (False, True)]
    np.testing.assert_array_equal(new, old)


def test_autoencoder_draws_theanos_own_masks() -> None:
    costs, (W, b, c) = load("denoising_autoencoder").train()
    rng = np.random.RandomState(123)
    seeds = np.random.RandomState(rng.randint(2**30))
    stream = np.random.RandomState(int(seeds.randint(2**30)))
    x = load("digits").splits()[0][0][:20]
    noisy = stream.binomial(1, 0.7, x.shape) * x
    z = sigmoid(sigmoid(noisy @ W + b) @ W.T + c)
    expected = -(x * np.log(z) + (1 - x) * np.log(1 - z)).sum(1).mean()
    assert costs[0, 0] == pytest.approx(expected)
    assert costs[-1].mean() < costs[0].mean()


@pytest.mark.parametrize("p_dropout", [0.0, 0.3])
def test_layers_learn(p_dropout: float) -> None:
    costs, accuracy = load("layers").train(epochs=20, p_dropout=p_dropout)
    assert costs[0] == pytest.approx(np.log(10), abs=0.05)
    assert costs[-20:].mean() < 0.3 * costs[0]
    assert accuracy > 0.8


def test_a_program_runs_from_the_command_line() -> None:
    command = [sys.executable, "-m", "symgrad.compat.theano", str(PROGRAMS / "logistic_regression.py"), "--word"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "best validation error" in result.stdout
    assert "['--word']" in result.stdout
