"""Results don't depend on the number of threads, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgrad
import symgrad.tensor as T
from symgrad.backends.native import table
from symgrad.backends.native.program import NativeProgram

pytest.importorskip("llvmlite")

Graph = tuple[list[Any], list[Any], list[Any]]
"""Inputs, outputs, updates."""


def numbers(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def elementwise() -> Graph:
    x, y = T.fmatrix("x"), T.fmatrix("y")
    return [x, y], [T.tanh(x * y) + T.exp(-T.sqr(x)), T.switch(x > y, x, y).T, T.cast(x * 9, "int32")], []


def totals() -> Graph:
    x, y = T.fmatrix("x"), T.fmatrix("y")
    return [x, y], [T.sum(x * y), T.mean(x, axis=0), T.max(y, axis=1), T.sum(T.sqr(x)), T.argmax(x * y, axis=1),
                    T.prod(1 + x * 1e-3), T.var(x + y), T.min(T.sum(x, axis=1))], []  # fmt: skip


def narrow() -> Graph:
    x, y = T.fmatrix("x"), T.fmatrix("y")
    small = T.cast(x * 20, "int8")
    return [x, y], [T.sum(small), T.sum(small, axis=0), T.any(x > y, axis=0)], []


def losses() -> Graph:
    x, y = T.fmatrix("x"), T.fmatrix("y")
    p = T.softmax(x)
    labels = T.argmax(y, axis=1)
    cost = -T.mean(T.log(p)[T.arange(x.shape[0]), labels])
    return [x, y], [p, cost, symgrad.grad(cost, x)], []


def products() -> Graph:
    x, y = T.fmatrix("x"), T.fmatrix("y")
    w = symgrad.shared(numbers(300, 70), name="w")
    hidden = T.tanh(T.dot(x, w))
    cost = T.mean(T.sqr(T.dot(hidden, w.T) - y))
    step = symgrad.grad(cost, w)
    return [x, y], [T.dot(x, y.T), T.dot(x.T, y), T.dot(x, y[0]), cost, step], [(w, w - 0.1 * step)]


def convolutions() -> Graph:
    x, y = T.fmatrix("x"), T.fmatrix("y")
    w, b = symgrad.shared(numbers(6, 1, 5, 5), name="w"), symgrad.shared(numbers(6), name="b")
    images = T.reshape(x[:, :256], (-1, 1, 16, 16))
    found = T.relu(T.pool_2d(T.conv2d(images, w), (2, 2), ignore_border=True) + b.dimshuffle("x", 0, "x", "x"))
    cost = T.mean(T.sqr(found)) + T.sum(y) * 1e-3
    steps = symgrad.grad(cost, [w, b])
    return [x, y], [found, cost, *steps], [(w, w - steps[0]), (b, b - steps[1])]


def samples() -> Graph:
    x, y = T.fmatrix("x"), T.fmatrix("y")
    random = symgrad.random.RandomStreams(3)
    drawn = [random.uniform(size=x.shape), random.normal(size=x.shape), random.binomial(size=x.shape, p=0.3)]
    return [x, y], [x * 0 + drawn[0], drawn[1], drawn[2], T.sum(drawn[1] * y)], []


GRAPHS: list[Callable[[], Graph]] = [elementwise, totals, narrow, losses, products, convolutions, samples]


def results_with(threads: int, make: Callable[[], Graph]) -> list[np.ndarray]:
    """Return the outputs of some calls, and what the shared variables are then."""
    with symgrad.config.change_flags(backend="native", threads=threads):
        inputs, outputs, updates = make()
        f = symgrad.function(inputs, outputs, updates=updates, on_unused_input="ignore")
        found = []
        for rows in (400, 37, 400):
            found += f(numbers(rows, 300, seed=1), numbers(rows, 300, seed=2))
        programs = [program for _, program in f._programs.values()]
        assert all(isinstance(program, NativeProgram) for program in programs)
        used = max(program.table.threads_of(number) for program in programs
                   for number in range(len(program.table.labels)))  # fmt: skip
        assert used == threads
        return [*found, *[shared.get_value() for shared in f.rewritten.shared()]]


@pytest.mark.parametrize("work", [0, table.SINGLE_THREAD_WORK])
@pytest.mark.parametrize("make", GRAPHS)
def test_any_number_of_threads_gives_the_same_bits(
    make: Callable[[], Graph], work: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "SINGLE_THREAD_WORK", min(work, 1 << 16))
    expected = results_with(1, make)
    for threads in (2, 3, 7):
        for found, wanted in zip(results_with(threads, make), expected, strict=True):
            assert found.dtype == wanted.dtype and found.tobytes() == wanted.tobytes()
