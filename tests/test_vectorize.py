"""`vectorize` and `vmap`: for each row the same as the graph of one row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import oracle
import pytest
from test_conformance import SUBJECTS, describe, good, outputs_of, variables_for

import symgrad
import symgrad.tensor as T
from symgrad.debug.printing import debugprint
from symgrad.errors import ShapeError
from symgrad.graph.op import InferenceError
from symgrad.graph.types import TensorType

ROWS = 3
RANDOM = np.random.default_rng(5)


def with_rows(value: np.ndarray) -> np.ndarray:
    """Return rows that differ, where they may: floats a little, positions and sizes not at all."""
    rows = np.stack([value] * ROWS)
    if value.dtype.kind == "f":
        rows = (rows * (1 + 0.01 * np.arange(ROWS)).reshape(-1, *[1] * value.ndim)).astype(value.dtype)
    return rows


@pytest.mark.parametrize("name", [name for name in SUBJECTS if name != "RowByRow"])
def test_every_op_for_many_rows(name: str) -> None:
    """Each sample, with each of its operands in rows, and with all of them."""
    for op, sample in good(name)[:12]:
        variables = variables_for(sample, static=False)
        outputs = outputs_of(op, variables)
        every = range(len(variables))
        for chosen in {(k,) for k in every} | {tuple(every)}:
            if not chosen:
                continue
            values: list[Any] = [with_rows(v) if k in chosen else v for k, v in enumerate(sample.arguments)]
            try:
                expected = [op.evaluate(*[v[row] if k in chosen else v for k, v in enumerate(values)])
                            for row in range(ROWS)]  # fmt: skip
            except (ValueError, IndexError, InferenceError):
                continue
            rows = {v: TensorType(v.dtype, [None, *v.type.shape])() for k, v in enumerate(variables) if k in chosen}
            found = symgrad.vectorize(outputs, rows)
            known = dict(zip([rows.get(v, v) for v in variables], values, strict=True))
            for position, value in enumerate(oracle.evaluate_graph(found, known)):
                wanted = np.stack([row[position] for row in expected])
                oracle.assert_same(value, wanted, 1e-4 if value.dtype != np.float64 else None, describe(op, sample))


x, m, i, v, t = T.dvector("x"), T.dmatrix("m"), T.lscalar("i"), T.lvector("v"), T.dtensor3("t")
POINTS: dict[Any, Any] = {
    x: RANDOM.normal(size=(ROWS, 4)), m: RANDOM.normal(size=(ROWS, 4, 4)), i: np.array([0, 2, -1]),
    v: np.array([[0, 1], [3, 3], [2, -4]]), t: RANDOM.normal(size=(ROWS, 4, 2, 4)),
}  # fmt: skip
GRAPHS = {
    "element": (m[i], [m, i]), "column": (m[:, i], [i]), "both": (m[:, i], [m, i]), "apart": (t[i, :, 1], [i]),
    "apart, all": (t[i, :, i], [t, i]), "positions": (m[v], [v]), "of columns": (m[:, v], [m, v]),
    "columns": (m[:, v], [v]), "pairs": (m[v, v], [m, v]), "pair": (m[v, i], [v, i]), "outside": (t[v, :, v], [t]),
    "outside, all": (t[v, :, v], [t, v]), "outside, positions": (t[v, :, v], [v]), "slice": (m[1:3, i], [i]),
    "known": (T.reshape(T.specify_shape(x, [4]), [4, -1]).squeeze(), [x]),
    "set": (T.set_subtensor(m[i], 7.0), [m, i]), "set in one": (T.set_subtensor(m[i, 1:], m[0, 0]), [i]),
    "added": (T.inc_subtensor(m[:, v], x[:2]), [v, x]), "added twice": (T.inc_subtensor(m[v], 1.0), [m, v]),
    "mask": (m[np.array([True, False, True, True])], [m]), "stretched": (m + x[0], [x]),
    "stack": (T.stack([x[0], 1.0]), [x]),
    "sizes": (T.zeros_like(x) + x.shape[0], [x]), "reshape": (m.reshape((2, -1)) / m.shape[1], [m]),
    "products": (T.dot(T.dot(x, m), x) + T.tensordot(m, m, 2), [x, m]), "left": (T.dot(m, x), [m]),
    "right": (T.dot(m, x), [x]), "matrices": (T.dot(m, m), [m]), "first": (T.dot(x, m), [m]), "no rows": (m.sum(), [x]),
    "gradient": (symgrad.grad(T.tanh(T.dot(m, x)).prod(), x), [m, x]), "by data": (m[: i + 1].sum(), [m]),
    "softmax": (T.softmax(m, axis=0).max(axis=1), [m]), "norm": (T.sqrt((x**2).sum()), [x]),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs(name: str) -> None:
    graph, replaced = GRAPHS[name]
    rows = {one: TensorType(one.dtype, [None, *one.type.shape])() for one in replaced}
    found = symgrad.vectorize(graph, rows)
    inputs = [rows.get(one, one) for one in POINTS]
    values = [points if one in rows else points[0] for one, points in POINTS.items()]
    compiled = symgrad.function(inputs, found, on_unused_input="ignore")
    single = symgrad.function(list(POINTS), graph, on_unused_input="ignore")
    expected = [single(*[p[row] if one in rows else p[0] for one, p in POINTS.items()]) for row in range(ROWS)]
    np.testing.assert_allclose(compiled(*values), np.stack(expected), rtol=1e-12)
    assert "row_by_row" not in debugprint(found, file="str")


def test_gradients_through_rows() -> None:
    xs = T.dmatrix("xs")
    y = symgrad.vectorize(T.tanh(x).prod() * x, {x: xs})
    symgrad.verify_grad(lambda rows: symgrad.vectorize(T.tanh(x).prod() * x, {x: rows}), [POINTS[x]])
    assert y.ndim == 2


def test_an_op_without_a_rule_runs_row_by_row_and_has_gradients() -> None:
    def by_rows(build: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda rows: symgrad.vectorize(build(x), {x: rows})

    lengths = by_rows(lambda row: row[: T.argmax(row) + 4].sum())
    assert "row_by_row" in debugprint(lengths(T.dmatrix()), file="str")
    symgrad.verify_grad(lengths, [POINTS[x]])
    parts = by_rows(lambda row: row[: T.argmax(row) + 1])
    with pytest.raises(ShapeError, match=r"rows of different sizes|can't be stacked: their shapes"):
        parts(m).eval({m: np.array([[1.0, 2.0, 0, 0], [5.0, 0, 0, 0]])})


def test_gradients_of_each_example_are_rounds_of_a_native_loop() -> None:
    images, one = T.dtensor4("images"), T.dtensor3("one")
    filters = symgrad.shared(RANDOM.normal(size=(2, 1, 3, 3)), name="filters")
    score = T.tanh(T.conv2d(one.dimshuffle("x", 0, 1, 2), filters)).sum() ** 2
    slope = symgrad.grad(score, filters)
    found = symgrad.function([images], symgrad.vectorize(slope, {one: images}))
    single = symgrad.function([one], slope)
    for count in (1, 5, 0):
        values = RANDOM.normal(size=(count, 1, 5, 6))
        expected = [single(value) for value in values]
        np.testing.assert_allclose(found(values), np.array(expected).reshape(count, 2, 1, 3, 3), rtol=1e-10)
    if symgrad.config.backend != "numpy":
        assert not [node for node in found.rewritten.order if "row_by_row" in node.op.name]


def test_vmap() -> None:
    a, b = T.dmatrices("a", "b")
    f = symgrad.function([a, b], [
        symgrad.vmap(T.dot)(a, b), symgrad.vmap(T.dot, in_axes=(0, None))(a, b),
        symgrad.vmap(lambda p, q: [p * q, q], in_axes=(1, 0))(a, b)[0],
        symgrad.vmap(symgrad.vmap(lambda p: p**2))(a),
    ])  # fmt: skip
    p, q = RANDOM.normal(size=(2, 3, 3))
    for found, expected in zip(f(p, q), [np.sum(p * q, 1), p @ q, p.T * q, p**2], strict=True):
        np.testing.assert_allclose(found, expected)


def test_no_rows_and_one_row() -> None:
    y = symgrad.vectorize(T.dot(m, x), {x: (xs := T.dmatrix())})
    f = symgrad.function([m, xs], y)
    assert f(np.ones((2, 3)), np.ones((0, 3))).shape == (0, 2)
    assert f(np.ones((2, 3)), np.ones((1, 3))).shape == (1, 2)
    parts = symgrad.vectorize(x.reshape((2, -1)), {x: xs})
    assert [parts.eval({xs: np.ones((count, 6))}).shape for count in (0, 1, 4)] == [(0, 2, 3), (1, 2, 3), (4, 2, 3)]


def test_what_does_not_fit() -> None:
    with pytest.raises(ShapeError, match="behind one more axis, got float64"):
        symgrad.vectorize(x * 2, {x: x})
    with pytest.raises(TypeError, match="can't put float32 in place of x"):
        symgrad.vectorize(x * 2, {x: T.fmatrix()})
    with pytest.raises(ShapeError, match=r"equal numbers of rows, got \[2, 3\]"):
        symgrad.vectorize(x * i, {x: T.tensor("float64", (2, None)), i: T.tensor("int64", (3,))})
    with pytest.raises(TypeError, match="at least one variable"):
        symgrad.vectorize(x, {})
    with pytest.raises(ShapeError, match="an axis for the rows"):
        symgrad.vmap(T.exp)(T.dscalar())
    with pytest.raises(TypeError, match="2 in_axes for 1 operands"):
        symgrad.vmap(T.exp, in_axes=(0, 0))(x)
