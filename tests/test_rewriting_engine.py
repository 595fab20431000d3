"""The engine itself: what it does about many nodes, deep graphs, and rules that never come to an end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import symgrad
import symgrad.tensor as T
from symgrad.compile.closing import close_graph
from symgrad.errors import GraphError
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.variables import Apply
from symgrad.ops.elementwise_op import Elementwise
from symgrad.rewriting.engine import RULES, Context, all_rule_names, rewrite, rule
from symgrad.rewriting.patterns import call, is_function


@pytest.fixture
def declared() -> Iterator[Callable[..., str]]:
    """Declares rules for one test."""
    names: list[str] = []

    def declare(function: Callable[[Apply, Context], object], **options: object) -> str:
        rule("canonicalize", Elementwise, reason="a test", **options)(function)
        names.append(function.__name__)
        return function.__name__

    yield declare
    for name in names:
        del RULES[name]


def closed(inputs: list[object], *outputs: object) -> ClosedGraph:
    return close_graph(inputs, list(outputs), None, None, "ignore", False)


def layers(count: int) -> ClosedGraph:
    """A training step of `count` layers of equal kind."""
    x = T.fmatrix("x")
    weights = [symgrad.shared(np.zeros((3, 3), "float32")) for _ in range(count)]
    h = x
    for w in weights:
        h = T.tanh(T.dot(h, w)) * 1.0 + 0.0
    gradients = symgrad.grad(T.sum(h**2), weights)
    updates = [(w, w - 0.1 * g) for w, g in zip(weights, gradients, strict=True)]
    return close_graph([x], [], updates, None, "raise", False)


def test_work_grows_as_the_graph_does(declared):
    offered = []

    def a_node_is_counted(node: Apply, context: Context) -> None:
        offered.append(node)

    declared(a_node_is_counted)
    counts = []
    for size in (20, 40, 80):
        offered.clear()
        rewrite(layers(size), all_rule_names())
        assert len(offered) == len(set(offered)), "no node is offered twice to a rule that looks at nothing else"
        counts.append(len(offered))
    assert counts[2] - counts[1] == 2 * (counts[1] - counts[0])


def test_a_rule_that_asks_about_uses_is_asked_again_when_they_have_changed(declared):
    x = T.dvector("x")
    y = T.exp(x)
    asked = []

    def exp_used_once_is_exp2(node: Apply, context: Context) -> object:
        if not is_function(node, "exp"):
            return None
        asked.append(context.uses(node.outputs[0]))
        return call("exp2", node.inputs[0]) if asked[-1] == 1 else None

    name = declared(exp_used_once_is_exp2)
    graph = rewrite(closed([x], T.neg(y) * T.neg(y) + 0.0 * 0.0), ["equal_nodes_are_one", name])
    assert asked[0] == 2 and asked[-1] == 1
    assert [str(node.op) for node in graph.order].count("exp2") == 1


@pytest.mark.parametrize("length", [50, 1500])
def test_a_slice_comes_before_a_chain_of_functions(length):
    x = T.dvector("x")
    y = x
    for _ in range(length):
        y = T.tanh(y)
    graph = rewrite(closed([x], y[2:5]), all_rule_names())
    assert [str(node.op) for node in graph.order] == ["subtensor[2:5]", *["tanh"] * length]


def test_rules_that_undo_each_other_come_to_an_end(declared):
    x = T.dvector("x")

    def sin_is_cos(node: Apply, context: Context) -> object:
        return call("cos", node.inputs[0]) if is_function(node, "sin") else None

    def cos_is_sin(node: Apply, context: Context) -> object:
        return call("sin", node.inputs[0]) if is_function(node, "cos") else None

    names = [declared(sin_is_cos), declared(cos_is_sin)]
    for merging in ([], ["equal_nodes_are_one"]):
        graph = rewrite(closed([x], T.sin(x) + 1.0), [*names, *merging])
        assert len(graph.order) == 2


def test_a_rule_that_wraps_its_own_node_comes_to_an_end(declared):
    x = T.dvector("x")

    def sin_is_minus_minus_sin(node: Apply, context: Context) -> object:
        return call("negative", call("negative", node.outputs[0])) if is_function(node, "sin") else None

    graph = rewrite(closed([x], T.sin(x)), [declared(sin_is_minus_minus_sin)])
    assert 3 <= len(graph.order) < 100


def test_a_rule_that_changes_the_type_is_an_error(declared):
    x = T.dvector("x")

    def sin_is_a_sum(node: Apply, context: Context) -> object:
        return T.sum(node.inputs[0]) if is_function(node, "sin") else None

    with pytest.raises(GraphError, match="changed the type"):
        rewrite(closed([x], T.sin(x)), [declared(sin_is_a_sum)])


def test_a_rule_for_one_backend_leaves_the_others_alone(declared):
    x = T.dvector("x")

    def sin_is_cos(node: Apply, context: Context) -> object:
        return call("cos", node.inputs[0]) if is_function(node, "sin") else None

    name = declared(sin_is_cos, backends=("native",))
    for backend, expected in (("native", "cos"), ("numpy", "sin")):
        graph = rewrite(closed([x], T.sin(x)), [name], backend=backend)
        assert [str(node.op) for node in graph.order] == [expected]


def test_what_a_rule_makes_is_settled_before_its_users_see_it(declared):
    x = T.dvector("x")
    seen = []

    def operands_are_seen(node: Apply, context: Context) -> None:
        if is_function(node, "exp"):
            seen.append(str(node.inputs[0].owner and node.inputs[0].owner.op))

    declared(operands_are_seen)
    rewrite(closed([x], T.exp((T.neg(-x) + 0.0) * T.sqr(x))), all_rule_names())
    assert seen == ["multiply"]
    seen.clear()
    rewrite(closed([x], T.exp(-T.neg(x * 1.0))), all_rule_names())
    assert seen == ["None"]


def test_the_users_inputs_may_be_in_the_middle_of_the_graph():
    x = T.dvector("x")
    middle = T.exp(x) * 1.0
    graph = rewrite(closed([middle], T.log(T.exp(middle) + 1.0) + 0.0), all_rule_names())
    assert [str(node.op) for node in graph.order] == ["softplus"]
    assert graph.order[0].inputs[0] is middle
