"""Functions to be called with all sorts of arguments: each case makes the same function anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from odd_arguments import Wanted

import symgrad
import symgrad.tensor as T


@dataclass
class Case:
    """A function, what it takes, and the shared variables that it uses."""

    function: Any
    wanted: Sequence[Wanted]
    shared: Sequence[Any] = ()
    names: Sequence[str] = field(default_factory=list)


CASES: dict[str, Callable[[], Case]] = {}


def case(make: Callable[[], Case]) -> Callable[[], Case]:
    """Enter a case."""
    CASES[make.__name__] = make
    return make


def numbers(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    """Return numbers, always the same."""
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


# ---- without shared variables ----


@case
def elementwise() -> Case:
    x, y = T.fmatrix("x"), T.fvector("y")
    f = symgrad.function([x, y], [T.tanh(x * y + 1), x > y])
    return Case(f, [Wanted("float32", (3, 4)), Wanted("float32", (4,))])


@case
def scalars() -> Case:
    a, n, b = T.fscalar("a"), T.lscalar("n"), T.dscalar("b")
    f = symgrad.function([a, n, b], [a * 2, n * n - 1, b * n, T.exp(a)])
    return Case(f, [Wanted("float32", ()), Wanted("int64", ()), Wanted("float64", ())])


@case
def narrow_scalars() -> Case:
    a, n, c = T.scalar("a", dtype="int8"), T.scalar("n", dtype="bool"), T.scalar("c", dtype="int32")
    f = symgrad.function([a, n, c], T.switch(n, a + 1, c * 2))
    return Case(f, [Wanted("int8", ()), Wanted("bool", (), 2), Wanted("int32", ())])


@case
def strict_inputs() -> Case:
    a, x, n = T.fscalar("a"), T.fvector("x"), T.lscalar("n")
    f = symgrad.function([symgrad.In(v, strict=True) for v in (a, x, n)], a * T.sum(x) + n)
    return Case(f, [Wanted("float32", ()), Wanted("float32", (3,)), Wanted("int64", ())])


@case
def downcasting_inputs() -> Case:
    a, x, n = T.fscalar("a"), T.fvector("x"), T.iscalar("n")
    f = symgrad.function([a, x, n], a * T.sum(x) + n, allow_input_downcast=True)
    return Case(f, [Wanted("float32", ()), Wanted("float32", (3,)), Wanted("int32", ())])


@case
def refusing_downcasts() -> Case:
    a, b = T.fscalar("a"), T.dscalar("b")
    f = symgrad.function([a, b], [a + 1, b - 1], allow_input_downcast=False)
    return Case(f, [Wanted("float32", ()), Wanted("float64", ())])


@case
def with_names_and_defaults() -> Case:
    x, a = T.dvector("x"), T.dscalar("a")
    f = symgrad.function([x, symgrad.In(a, value=2.0)], {"sum": T.sum(x) * a, "twice": 2 * x}, name="named")
    return Case(f, [Wanted("float64", (3,)), Wanted("float64", ())], names=["x", "a"])


@case
def sums() -> Case:
    x = T.dmatrix("x")
    f = symgrad.function([x], [x.sum(), x.mean(0), T.max(x, axis=1), T.sum(T.sqr(x), axis=1, keepdims=True)])
    return Case(f, [Wanted("float64", (3, 5))])


@case
def integers() -> Case:
    x, y = T.lmatrix("x"), T.ivector("y")
    f = symgrad.function([x, y], [x + y, x.sum(0), T.max(x), x // (y + 1), x % (y + 1)])
    return Case(f, [Wanted("int64", (2, 3), 9), Wanted("int32", (3,), 9)])


@case
def product_of_matrices() -> Case:
    x, y = T.fmatrix("x"), T.fmatrix("y")
    f = symgrad.function([x, y], [T.dot(x, y), T.dot(x.T, x)])
    return Case(f, [Wanted("float32", (4, 3)), Wanted("float32", (3, 5))])


@case
def product_with_a_vector() -> Case:
    x, y = T.dmatrix("x"), T.dvector("y")
    f = symgrad.function([x, y], [T.dot(x, y), T.dot(y, y)])
    return Case(f, [Wanted("float64", (4, 3)), Wanted("float64", (3,))])


@case
def inputs_as_outputs() -> Case:
    x, a = T.fmatrix("x"), T.lscalar("a")
    f = symgrad.function([x, a], [x, x.T, x[::-1], a, x.reshape((-1,)), x, T.zeros_like(x)])
    return Case(f, [Wanted("float32", (3, 4)), Wanted("int64", ())])


@case
def known_sizes() -> Case:
    x = T.tensor("float32", (3, None), "x")
    f = symgrad.function([x], T.concatenate([x, 2 * x], axis=0))
    return Case(f, [Wanted("float32", (3, 4))])


@case
def stretching_axes() -> Case:
    x, y = T.frow("x"), T.fcol("y")
    return Case(symgrad.function([x, y], x + T.exp(-y)), [Wanted("float32", (1, 4)), Wanted("float32", (3, 1))])


@case
def loss() -> Case:
    x, y = T.fmatrix("x"), T.ivector("y")
    p = T.softmax(x)
    cost = -T.mean(T.log(p)[T.arange(y.shape[0]), y])
    f = symgrad.function([x, y], [cost, T.argmax(p, axis=1), symgrad.grad(cost, x)])
    return Case(f, [Wanted("float32", (4, 3)), Wanted("int32", (4,))])


@case
def half_complex() -> Case:
    x, z = T.vector("x", dtype="float16"), T.vector("z", dtype="complex64")
    f = symgrad.function([x, z], [x * 2, z * z, x.sum()])
    return Case(f, [Wanted("float16", (4,)), Wanted("complex64", (3,))])


@case
def picked_rows() -> Case:
    x, n = T.fmatrix("x"), T.lvector("n")
    f = symgrad.function([x, n], [x[n], T.sum(x[n] ** 2)])
    return Case(f, [Wanted("float32", (3, 4)), Wanted("int64", (5,))])


@case
def without_inputs() -> Case:
    w = symgrad.shared(numbers(3), name="w")
    return Case(symgrad.function([], [w * 2, T.sum(w)], updates=[(w, w + 1)]), [], [w])


# ---- with shared variables ----


@case
def indexed() -> Case:
    data = symgrad.shared(numbers(5, 4), name="data")
    i = T.lscalar("i")
    return Case(symgrad.function([i], [data[i], data[i, 1] + 1, T.sum(data[i])]), [Wanted("int64", ())], [data])


@case
def sliced() -> Case:
    data = symgrad.shared(numbers(7, 4), name="data")
    i = T.lscalar("i")
    part = data[i * 3 : (i + 1) * 3]
    return Case(symgrad.function([i], [T.tanh(part), part.sum(0)]), [Wanted("int64", (), 2)], [data])


@case
def sliced_beside_an_argument() -> Case:
    data = symgrad.shared(numbers(5), name="data")
    i, y = T.lscalar("i"), T.fvector("y")
    return Case(symgrad.function([i, y], data[i : i + 3] * y), [Wanted("int64", ()), Wanted("float32", (3,))], [data])


@case
def last_batch_is_partial() -> Case:
    data = symgrad.shared(numbers(10, 3), name="data")
    labels = symgrad.shared(np.arange(10, dtype="int32") % 3, name="labels")
    w = symgrad.shared(numbers(3, 3, seed=1), name="w")
    i = T.lscalar("i")
    x, y = data[i * 4 : (i + 1) * 4], labels[i * 4 : (i + 1) * 4]
    cost = -T.mean(T.log(T.softmax(T.dot(x, w)))[T.arange(y.shape[0]), y])
    f = symgrad.function([i], cost, updates=[(w, w - 0.1 * symgrad.grad(cost, w))])
    return Case(f, [Wanted("int64", (), 4)], [data, labels, w])


@case
def momentum() -> Case:
    w, v = symgrad.shared(numbers(4, 3), name="w"), symgrad.shared(np.zeros((4, 3), "float32"), name="v")
    x, rate = T.fmatrix("x"), T.fscalar("rate")
    cost = T.mean(T.sqr(T.dot(x, w)))
    step = 0.5 * v - rate * 0.01 * symgrad.grad(cost, w)
    f = symgrad.function([x, rate], cost, updates=[(v, step), (w, w + step)])
    return Case(f, [Wanted("float32", (2, 4)), Wanted("float32", ())], [w, v])


@case
def exchanged() -> Case:
    a, b = symgrad.shared(numbers(3, 3), name="a"), symgrad.shared(numbers(3, 3, seed=1), name="b")
    x = T.fmatrix("x")
    f = symgrad.function([x], [a.sum(), b + x], updates=[(a, b), (b, a)])
    return Case(f, [Wanted("float32", (3, 3))], [a, b])


@case
def exchanged_and_turned() -> Case:
    a, b = symgrad.shared(numbers(3, 3), name="a"), symgrad.shared(numbers(3, 3, seed=1), name="b")
    c = symgrad.shared(numbers(3, 3, seed=2), name="c")
    n = T.lscalar("n")
    f = symgrad.function([n], [a, b.T], updates=[(a, b.T), (b, c[::-1]), (c, a * 0.5 + n)])
    return Case(f, [Wanted("int64", ())], [a, b, c])


@case
def failing_after_a_change() -> Case:
    w, data = symgrad.shared(numbers(4), name="w"), symgrad.shared(numbers(3), name="data")
    n, i = T.lvector("n"), T.lscalar("i")
    f = symgrad.function([n, i], [T.sum(w), data[i]], updates=[(w, w * 0.5 + data[n].sum()), (data, data * 0.5)])
    return Case(f, [Wanted("int64", (4,)), Wanted("int64", ())], [w, data])


@case
def argument_becomes_state() -> Case:
    w = symgrad.shared(numbers(3, 3), name="w")
    x = T.fmatrix("x")
    return Case(symgrad.function([x], w * 2, updates=[(w, x)]), [Wanted("float32", (3, 3))], [w])


@case
def growing_state() -> Case:
    w = symgrad.shared(numbers(2), name="w")
    x = T.fvector("x")
    f = symgrad.function([x], w.sum(), updates=[(w, T.concatenate([w[-2:], x]))])
    return Case(f, [Wanted("float32", (2,))], [w])


@case
def read_through_views() -> Case:
    w = symgrad.shared(numbers(4, 3), name="w")
    x, i = T.fmatrix("x"), T.lscalar("i")
    f = symgrad.function([x, i], [w.T, w[i:], w[1]], updates=[(w, 0.5 * (w[::-1] + x))])
    return Case(f, [Wanted("float32", (4, 3)), Wanted("int64", ())], [w])


@case
def counted() -> Case:
    n, total = symgrad.shared(0, name="n"), symgrad.shared(np.float32(0), name="total")
    x = T.fscalar("x")
    f = symgrad.function([x], [n, total + x], updates=[(n, n + 1), (total, total * 0.5 + x)])
    return Case(f, [Wanted("float32", ())], [n, total])


@case
def given() -> Case:
    data = symgrad.shared(numbers(6, 3), name="data")
    x, i, y = T.fmatrix("x"), T.lscalar("i"), T.fmatrix("y")
    f = symgrad.function([i, y], T.dot(x, y), givens={x: data[i * 2 : (i + 1) * 2]})
    return Case(f, [Wanted("int64", ()), Wanted("float32", (3, 2))], [data])


@case
def rows_set() -> Case:
    w = symgrad.shared(numbers(4, 3), name="w")
    n, x = T.lvector("n"), T.fmatrix("x")
    f = symgrad.function([n, x], w.sum(), updates=[(w, T.inc_subtensor(w[n], 0.1 * x))])
    return Case(f, [Wanted("int64", (2,), 4), Wanted("float32", (2, 3))], [w])


@case
def drawn() -> Case:
    random = symgrad.random.RandomStreams(5)
    x = T.fmatrix("x")
    mask = random.binomial(n=1, p=0.5, size=x.shape, dtype="float32")
    f = symgrad.function([x], x * mask)
    return Case(f, [Wanted("float32", (3, 4))], f.rewritten.shared())


@case
def convolved() -> Case:
    w = symgrad.shared(numbers(2, 1, 3, 3), name="w")
    x = T.ftensor4("x")
    y = T.relu(T.conv2d(x, w))
    f = symgrad.function([x], [y.sum(), symgrad.grad(T.sum(y), w)], updates=[(w, w * 0.9)])
    return Case(f, [Wanted("float32", (2, 1, 6, 6))], [w])


@case
def sizes_from_data() -> Case:
    w = symgrad.shared(numbers(3, 4), name="w")
    x, n = T.fmatrix("x"), T.lscalar("n")
    f = symgrad.function([x, n], [T.arange(n) * 2, T.exp(w)[n], T.tanh(x).sum()], updates=[(w, w + x)])
    return Case(f, [Wanted("float32", (3, 4)), Wanted("int64", ())], [w])
