"""Walks, comparisons and copies of graphs, as programs that look into graphs use them."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections import deque
from typing import Any

import numpy as np
import pytest

import symgrad
import symgrad.tensor as T
from symgrad import tools
from symgrad.custom import PythonOp
from symgrad.graph.variables import Apply


def test_walks() -> None:
    x, y = T.dmatrices("x", "y")
    w = symgrad.shared(np.ones((2, 2)), name="w")
    p = T.exp(x)
    q = T.dot(p, y) + w * 2
    assert tools.inputs([q])[:3] == [x, y, w] and len(tools.inputs([q])) == 4
    assert tools.inputs([q], blockers=[p])[:2] == [y, w]
    found = tools.ancestors([q])
    assert found[0] is q and {x, y, w, p} <= set(found) and len(found) == len(set(found))
    nodes = tools.io_toposort([x, y], [q])
    assert nodes == tools.list_of_nodes([x, y], [q]) and set(nodes) == tools.ops([x, y], [q])
    assert [node.op.name for node in nodes if node.op.name in ("exp", "dot", "add")] == ["exp", "dot", "add"]
    assert tools.variables([x, y], [q]) == tools.variables_and_orphans([x, y], [q])[0]
    assert set(tools.orphans([x, y], [q])) == set(tools.inputs([q])) - {x, y}
    assert tools.list_of_nodes([p], [q])[0].op.name != "exp"
    assert tools.is_in_ancestors(q.owner, p.owner) and not tools.is_in_ancestors(p.owner, q.owner)
    with tools.nodes_constructed() as made:
        z = x + 1
    T.exp(z)
    assert made[-1] is z


def test_orders() -> None:
    x = T.dvector("x")
    a, b = T.exp(x), T.sin(x)
    plain = tools.io_toposort([x], [a + b])
    turned = tools.io_toposort([x], [a + b], orderings={a.owner: [b.owner]})
    assert plain.index(a.owner) < plain.index(b.owner) and turned.index(b.owner) < turned.index(a.owner)
    with pytest.raises(ValueError, match="cycle"):
        tools.general_toposort(["a"], {"a": ["b"], "b": ["a"]}.get)
    after = {1: [2, 3], 2: [4], 3: [4], 4: []}
    assert tools.stack_search(deque([1]), after.get, "bfs") == [1, 2, 3, 4]
    assert tools.stack_search([1], after.get, "dfs") == [1, 3, 4, 2]
    _, inverse = tools.stack_search([1], after.get, build_inv=True)
    assert inverse == {2: [1], 3: [1], 4: [2, 3]}
    with pytest.raises(ValueError, match="bfs or dfs"):
        tools.stack_search([1], after.get, "any")


def test_depth_does_not_matter() -> None:
    x = T.dscalar("x")
    y = z = x
    for _ in range(5000):
        y, z = T.sin(y), T.sin(z)
    assert tools.is_same_graph(y, z) and len(tools.ancestors([y])) == 5001
    (copy,) = tools.clone([x], [y])[1]
    assert copy is not y and tools.as_string([x], [copy])[0].count("sin") == 5000
    assert symgrad.clone_replace(y, {x: x + 1}).owner is not y.owner


def test_the_same_graph() -> None:
    x, y = T.dvectors("x", "y")
    m = T.dmatrix("m")
    assert tools.is_same_graph(T.exp(x * 2) + 1.5, T.exp(x * 2) + 1.5)
    for other in (T.exp(x * 3) + 1.5, T.exp(2 * x) + 1.5, T.exp(y * 2) + 1.5, m, T.sin(x * 2) + 1.5):
        assert not tools.is_same_graph(T.exp(x * 2) + 1.5, other)
    assert tools.is_same_graph(x + y, y + y, givens={x: y}) and tools.is_same_graph(m.sum(axis=0), m.sum(axis=0))
    assert not tools.is_same_graph(m.sum(axis=0), m.sum(axis=1))
    assert tools.equal_computations([x * y, x], [y * x, y], [x, y], [y, x])
    assert not tools.equal_computations([x * y], [x * y], [x], [y])
    with pytest.raises(ValueError, match="equal lengths"):
        tools.equal_computations([x], [])


def test_graphs_as_text() -> None:
    x, y = T.dscalars("x", "y")
    twice = T.exp(x)
    assert tools.as_string([x, y], [twice * (twice + y), T.sin(twice)]) == [
        "multiply(*1 -> exp(x), add(*1, y))", "sin(*1)",
    ]  # fmt: skip
    assert tools.as_string([twice], [twice + y], leaf_formatter=lambda leaf: "leaf") == ["add(leaf, leaf)"]
    assert tools.op_as_string([x], T.exp(x + y).owner) == "exp(add(x, y))"


class Viewing(PythonOp):
    __props__ = ()
    view_map = {0: [1]}

    def make_node(self, x, y):
        return Apply(self, [x, y], [y.type()])


def test_roots_of_views() -> None:
    x, y = T.dmatrices("x", "y")
    assert tools.view_roots(x.T[1:].dimshuffle(0, 1, "x")) == [x]
    assert tools.view_roots(Viewing()(x, y.T)) == [y]
    made = T.exp(x)
    assert tools.view_roots(made.reshape((2, -1))) == [made]


def test_copies_with_parts_replaced() -> None:
    x, y = T.dvectors("x", "y")
    w = symgrad.shared(np.array([1.0, 2.0]), name="w")
    z = T.exp(x) * w + y
    z.name = "z"
    z.tag.note = "kept"
    copy = symgrad.clone_replace(z, {x: y * 2, y: x})
    assert copy.name == "z" and copy.tag.note == "kept"
    f = symgrad.function([x, y], copy)
    np.testing.assert_allclose(f([1.0, 2.0], [0.5, 0.25]), np.exp([1.0, 0.5]) * [1, 2] + [1.0, 2.0])
    again = symgrad.clone_replace([z, x], share_inputs=False)
    assert isinstance(again, list) and again[1] is not x and again[1].name == "x"
    (shared,) = [v for v in tools.inputs(again) if isinstance(v, symgrad.SharedVariable)]
    assert shared is not w and shared.container is w.container
    assert not {x, y} & set(tools.inputs(again)) and again[1] in tools.inputs(again)
    assert symgrad.clone_replace({"a": z})["a"] is not z
    replaced = symgrad.clone_replace(z, [(w, symgrad.shared(np.array([5.0, 6.0]), name="v"))])
    assert "w" not in map(str, tools.inputs([replaced]))
    number = symgrad.clone_replace(T.dscalar("s") * x, {x: np.array([2.0, 3.0])})
    assert number.ndim == 1


def test_copies_that_do_not_fit() -> None:
    x, m, f = T.dvector("x"), T.dmatrix("m"), T.fvector("f")
    y = x * 2
    with pytest.raises(TypeError, match="x can't be replaced"):
        symgrad.clone_replace(y, {x: f})
    assert symgrad.clone_replace(y, {x: m}, strict=False).ndim == 2
    row = T.TensorType("float64", (1,))("row")
    assert symgrad.clone_replace(y, {x: row}).broadcastable == (False,)
    with pytest.raises(TypeError, match="clone_replace copies variables, got int"):
        symgrad.clone_replace(3)
    with pytest.raises(TypeError, match="clone_replace replaces variables"):
        symgrad.clone_replace(y, {3: x})


def test_copies_between_inputs_and_outputs() -> None:
    x, y = T.dscalars("x", "y")
    middle = x * y
    z = T.exp(middle) + 1
    inputs, outputs = tools.clone([middle], [z])
    assert inputs[0] is not middle and outputs[0] is not z and set(tools.inputs(outputs)) & {x, y} == set()
    kept, _ = tools.clone([x], [z], copy_inputs=False)
    assert kept == [x]
    copies = tools.clone_get_equiv([x, y], [z])
    assert copies[z.owner].outputs[0] is copies[z] and copies[x] is not x
    same = tools.clone_node(z.owner)
    assert same is not z.owner and same.inputs == z.owner.inputs


def test_eval_keeps_what_it_compiled() -> None:
    x, y = T.dvectors("x", "y")
    z = T.exp(x) + y
    first = z.eval({x: [0.0], y: [1.0]})
    (kept,) = z._evaluators.values()
    assert z.eval({x: [0.0, 0.0], y: [1.0, 2.0]}).shape == (2,) and list(z._evaluators.values()) == [kept]
    np.testing.assert_array_equal(z.eval({y: [1.0], x: [0.0]}), first)
    with symgrad.config.change_flags(mode="none"):
        np.testing.assert_array_equal(z.eval({x: [0.0], y: [1.0]}), first)
    assert len(z._evaluators) == 3
    for name in ("a rule", "another"):
        symgrad.rewrite(T.exp, name=name)(lambda node: None)
        z.eval({x: [0.0], y: [1.0]})
        symgrad.forget_rewrite(name)
    assert len(z._evaluators) == 5
    again = pickle.loads(pickle.dumps(z))
    assert not hasattr(again, "_evaluators")


def test_what_eval_keeps_goes_with_the_variable() -> None:
    def evaluated() -> Any:
        x = T.dvector("x")
        y = T.exp(x)
        with symgrad.config.change_flags(cache_size=0):  # compiled anew
            y.eval({x: [1.0]})
        return weakref.ref(y)

    gone = evaluated()
    gc.collect()
    assert gone() is None
