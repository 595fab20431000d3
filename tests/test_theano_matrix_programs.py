"""Programs written for Theano that use its linear algebra and its sparse matrices, run as they are."""

from __future__ import annotations

import numpy as np
from test_theano_programs import _theano, load  # noqa: F401


def test_a_gaussian_process_goes_numpys_way() -> None:
    program = load("gaussian_process")
    history, params, hessian, (mean, variance), new_x = program.train()
    x, y = program.data()

    def cost(p: np.ndarray) -> float:
        distances = (x[:, None] - x) ** 2
        covariance = np.exp(2 * p[1] - distances / (2 * np.exp(2 * p[0]))) + np.exp(2 * p[2]) * np.eye(len(x))
        _, logarithm = np.linalg.slogdet(covariance)
        return float(y @ np.linalg.solve(covariance, y) / 2 + logarithm / 2 + len(x) * np.log(2 * np.pi) / 2)

    p = np.zeros(3)
    for value, gradient in history[:20]:
        steps = [(cost(p + 1e-5 * d) - cost(p - 1e-5 * d)) / 2e-5 for d in np.eye(3)]
        np.testing.assert_allclose(value, cost(p), rtol=1e-8)
        np.testing.assert_allclose(gradient, steps, rtol=1e-4, atol=1e-4)
        p = p - 0.01 * np.clip(gradient, -10, 10)
    steps = [1e-3 * d for d in np.eye(3)]
    expected = [[(cost(params + a + b) - cost(params + a - b) - cost(params - a + b) + cost(params - a - b)) / 4e-6
                 for b in steps] for a in steps]  # fmt: skip
    np.testing.assert_allclose(hessian, expected, rtol=1e-3, atol=1e-3)
    assert history[-1][0] < history[0][0] - 20
    assert np.abs(mean - np.sin(2 * new_x)).max() < 0.3
    assert (variance > 0).all() and variance.max() < 0.2


def test_logistic_regression_on_sparse_rows_goes_numpys_way() -> None:
    program = load("sparse_features")
    costs, error, weights, saliency = program.train()
    rows, labels = program.texts()
    counts = rows.toarray()
    x, present = np.log1p(counts), (counts > 0).sum(axis=0)
    w, b = np.zeros(30), 0.0
    expected = []
    for _ in range(200):
        p = 1 / (1 + np.exp(-(x @ w + b)))
        penalty = 0.01 * np.sum(w**2 * present) / 80
        expected.append(-np.mean(labels * np.log(p) + (1 - labels) * np.log(1 - p)) + penalty)
        d = (p - labels) / 80
        w, b = w - x.T @ d - 0.02 * w * present / 80, b - d.sum()
    np.testing.assert_allclose(costs, expected, rtol=1e-8)
    np.testing.assert_allclose(weights, w, rtol=1e-6)
    assert error < 0.05
    p = 1 / (1 + np.exp(-(x @ w + b)))
    of_rows = np.where(counts > 0, ((p - labels) / 80)[:, None] * w / (1 + counts), 0)
    np.testing.assert_allclose(saliency.toarray(), of_rows, rtol=1e-6, atol=1e-12)
    assert saliency.nnz == rows.nnz
