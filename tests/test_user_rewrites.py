"""Rewrite rules of the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import symgrad
import symgrad.tensor as T
from symgrad.compile.modes import Mode
from symgrad.custom import PythonOp
from symgrad.errors import GraphError
from symgrad.ops.linalg import Dot
from symgrad.rewriting.engine import RULES


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    known = set(RULES)
    yield
    for name in set(RULES) - known:
        symgrad.forget_rewrite(name)


def ops_of(f: Any) -> list[str]:
    return [node.op.name for node in f.rewritten.order]


class Fast(PythonOp):
    """What a rule puts in."""

    __props__ = ()

    def make_node(self, x: Any) -> Any:
        return symgrad.Apply(self, [x], [x.type()])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        output_storage[0][0] = np.sin(inputs[0]) + 100


def test_a_rule_of_a_function() -> None:
    x = T.dvector("x")
    before = symgrad.function([x], T.sin(x) * 2)

    @symgrad.rewrite(T.sin, reason="an example")
    def sine_is_fast(node: Any) -> Any:
        return Fast()(node.inputs[0])

    after = symgrad.function([x], T.sin(x) * 2)
    without = symgrad.function([x], T.sin(x) * 2, mode=Mode.named("default").excluding("sine_is_fast"))
    assert "Fast" in ops_of(after) and "Fast" not in ops_of(before) + ops_of(without)
    np.testing.assert_allclose(after([1.0]), 2 * np.sin(1.0) + 200)
    assert RULES["sine_is_fast"].reason == "an example"
    symgrad.forget_rewrite("sine_is_fast")
    assert "Fast" not in ops_of(symgrad.function([x], T.sin(x) * 2))


def test_rules_look_at_classes_and_may_ask() -> None:
    asked = []

    @symgrad.rewrite(Dot, T.cos, phase="specialize", name="looked at")
    def look(node: Any, context: Any) -> Any:
        asked.append((node.op.name, context.uses(node.outputs[0])))

    m = T.dmatrix("m")
    symgrad.function([m], T.dot(m, m) + T.cos(m))
    assert {name for name, _ in asked} == {"dot", "cos"} and "looked at" in RULES


def test_patterns() -> None:
    x, y = T.dvectors("x", "y")
    name = symgrad.rewrite_pattern((T.sin, (T.multiply, "a", "b")), (T.add, (T.sin, "a"), (T.cos, "b")))
    assert name == "sin(multiply(a, b)) becomes add(sin(a), cos(b))"
    f = symgrad.function([x, y], T.sin(x * y))
    np.testing.assert_allclose(f([1.0], [2.0]), np.sin(1.0) + np.cos(2.0))
    symgrad.rewrite_pattern((T.arctan, {"pattern": "a", "constraint": lambda v: v.name == "x"}), "a")
    np.testing.assert_allclose(symgrad.function([x], T.arctan(x))([3.0]), 3.0)
    np.testing.assert_allclose(symgrad.function([y], T.arctan(y))([3.0]), np.arctan(3.0))
    symgrad.rewrite_pattern((T.maximum, "a", "a"), "a", name="maximum of one")
    assert "maximum" not in ops_of(symgrad.function([x], T.maximum(x, x)))
    assert "maximum" in ops_of(symgrad.function([x, y], T.maximum(x, y)))
    symgrad.rewrite_pattern((T.minimum, "a", 7), (T.minimum, "a", 8))
    np.testing.assert_array_equal(symgrad.function([x], T.minimum(x, 7))([9.0]), [8.0])
    np.testing.assert_array_equal(symgrad.function([x], T.minimum(x, 6))([9.0]), [6.0])


def test_mistakes() -> None:
    x = T.dvector("x")
    with pytest.raises(ValueError, match="phase is one of"):
        symgrad.rewrite(T.exp, phase="later")
    with pytest.raises(TypeError, match="needs the ops"):
        symgrad.rewrite()
    with pytest.raises(TypeError, match="looks at ops"):
        symgrad.rewrite(T.dot)
    with pytest.raises(ValueError, match="already"):
        symgrad.rewrite(T.exp, name="equal_nodes_are_one")(lambda node: None)
    with pytest.raises(TypeError, match="a pattern is a tuple"):
        symgrad.rewrite_pattern("x", "x")
    with pytest.raises(ValueError, match="no rewrite rule of yours named 'equal_nodes_are_one'"):
        symgrad.forget_rewrite("equal_nodes_are_one")
    symgrad.rewrite_pattern((T.exp, "a"), "b", name="unknown name")
    with pytest.raises(ValueError, match="the name 'b' isn't in the pattern"):
        symgrad.function([x], T.exp(x))
    symgrad.forget_rewrite("unknown name")
    symgrad.rewrite(T.exp, name="another type")(lambda node: T.cast(node.inputs[0], "float32"))
    with pytest.raises(GraphError, match="changed the type"):
        symgrad.function([x], T.exp(x))
