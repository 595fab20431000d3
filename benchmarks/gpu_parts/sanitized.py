"""A few functions of many kinds of kernels, at odd sizes: what compute-sanitizer looks at."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import symgrad
import symgrad.tensor as T
from benchmarks.gpu_parts.children import standing_in
from benchmarks.gpu_parts.peer_symgrad import GraphStep, graph_of
from benchmarks.gpu_parts.workloads import workloads
from symgrad.random import RandomStreams

CALLS = 3
"""The first call runs op by op, the second is captured, the third is replayed."""


def _matrix(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(rows + columns).normal(size=(rows, columns)).astype(np.float32)


def network() -> Callable[[], Any]:
    """A training step with convolutions, pooling, dropout and a softmax."""
    rng = np.random.RandomState(0)
    images, labels = rng.uniform(0, 1, (9, 784)).astype(np.float32), rng.randint(0, 10, 9)
    step = GraphStep(graph_of(workloads(tiny=True)["network3-dropout"], images, labels))
    return lambda: step.step(1)


def recurrence() -> Callable[[], Any]:
    """A training step of a recurrent network."""
    step = GraphStep(graph_of(workloads(tiny=True)["lstm"], np.zeros(0), np.zeros(0)))
    return lambda: step.step(1)


def reductions() -> Callable[[], Any]:
    """Sums, maxima and softmax along both axes, of sizes that no tile fits."""
    x = T.fmatrix("x")
    results = [x.sum(axis=0), x.max(axis=1), x.argmax(axis=1), T.softmax(x), T.logsumexp(x, axis=1), x.var(axis=0)]
    function = symgrad.function([x], results)
    return lambda: function(_matrix(257, 131))


def products() -> Callable[[], Any]:
    """Products of odd sizes, with bias and activation."""
    x, y = T.fmatrix("x"), T.fmatrix("y")
    function = symgrad.function([x, y], T.tanh(T.dot(x, y) + y.sum(axis=0)))
    return lambda: function(_matrix(67, 33), _matrix(33, 129))


def indexing() -> Callable[[], Any]:
    """Rows taken by indices that repeat, the gradient that adds them up, and a sort."""
    x, rows = T.fmatrix("x"), T.lvector("rows")
    taken = x[rows]
    gradient = symgrad.grad(T.sqr(taken).sum(), x)
    function = symgrad.function([x, rows], [taken, gradient, T.sort(x, axis=1)])
    return lambda: function(_matrix(33, 17), np.array([0, 32, 5, 5, 5, 31] * 20))


def randomness() -> Callable[[], Any]:
    """Random numbers of several distributions."""
    streams = RandomStreams(3)
    draws = [streams.normal((31, 7)), streams.uniform((1001,)), streams.binomial(n=1, p=0.5, size=(130,))]
    return symgrad.function([], draws)


FUNCTIONS = (network, recurrence, reductions, products, indexing, randomness)


def main() -> int:
    """Call each function a few times."""
    with standing_in():
        for make in FUNCTIONS:
            function = make()
            for _ in range(CALLS):
                function()
            print(make.__name__, file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
