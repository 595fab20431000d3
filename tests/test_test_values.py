"""Test values: lines computed on examples as they run."""

from __future__ import annotations

import builtins
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import symgrad
import symgrad.tensor as T
from symgrad.config import config
from symgrad.custom import PythonOp
from symgrad.errors import IndexingError, MissingTestValueError, ShapeError
from symgrad.graph.test_values import get_debug_values, get_test_value


@pytest.fixture(autouse=True)
def raising() -> Iterator[None]:
    config.compute_test_value = "raise"
    yield
    config.compute_test_value = "off"
    config.print_test_value = False


def with_value(variable: Any, value: Any) -> Any:
    variable.tag.test_value = np.asarray(value, variable.dtype)
    return variable


def test_values_are_computed_as_lines_run() -> None:
    x, w = with_value(T.dmatrix("x"), [[1, 2], [3, 4]]), symgrad.shared(np.array([1.0, -1.0]), name="w")
    y = T.dot(x, w) * 2 + T.constant(1.0)
    np.testing.assert_array_equal(y.tag.test_value, [-1, -1])
    slope = symgrad.grad(y.sum(), w)
    np.testing.assert_array_equal(slope.tag.test_value, [8, 12])
    config.compute_test_value = "off"
    assert not hasattr((y + 1).tag, "test_value")
    np.testing.assert_array_equal(get_test_value(T.exp(y - y)), [1, 1])


def test_a_mistake_shows_on_its_line() -> None:
    x, y = with_value(T.dmatrix("x"), np.ones((2, 3))), with_value(T.dmatrix("y"), np.ones((2, 3)))
    with pytest.raises(ShapeError, match="dot needs matching inner sizes, got 3 and 2") as caught:
        T.dot(x, y)  # the mistake
    text = str(caught.value)
    assert "# the mistake" in text and "float64 (2, 3)" in text and "test value" in text
    with pytest.raises(ShapeError):
        x + y.T
    with pytest.raises(IndexingError):
        x[with_value(T.lscalar("i"), 5)]


def test_missing_ones() -> None:
    x, y = with_value(T.dvector("x"), [1.0]), T.dvector("y")
    with pytest.raises(MissingTestValueError, match=r"input 1 \(y\) of add missing default value") as caught:
        x + y
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, AttributeError)
    config.compute_test_value = "warn"
    with pytest.warns(UserWarning, match="missing default value"):
        z = x + y
    assert not hasattr(z.tag, "test_value")
    config.compute_test_value = "ignore"
    assert not hasattr((x * y).tag, "test_value") and hasattr((x * 2).tag, "test_value")


def test_one_that_does_not_fit() -> None:
    x = T.fvector("x")
    x.tag.test_value = np.ones((2, 2), "float32")
    with pytest.raises(ShapeError, match="the test value of x doesn't have its type"):
        x + 1
    x.tag.test_value = np.ones(2)
    with pytest.raises(TypeError, match="the test value of x"):
        x + 1


def test_getting_them() -> None:
    x, y = with_value(T.dvector("x"), [1.0, 2.0]), T.dvector("y")
    assert get_test_value(3) == 3 and get_test_value(symgrad.shared(2.0)) == 2
    [(a, b)] = get_debug_values(x, 5)
    assert list(a) == [1, 2] and b == 5
    with pytest.raises(AttributeError, match="y has no test value"):
        get_test_value(y)
    with pytest.raises(AttributeError):
        get_debug_values(x, y)
    config.compute_test_value = "warn"
    with pytest.warns(UserWarning, match="y has no test value"):
        assert get_debug_values(x, y) == []
    config.compute_test_value = "ignore"
    assert get_debug_values(y) == []
    config.compute_test_value = "off"
    assert get_debug_values(x) == []


def test_the_text_of_a_variable_shows_it() -> None:
    x = with_value(T.dvector("x"), [1.0])
    assert repr(x) == "x"
    config.print_test_value = True
    assert repr(x) == "x\narray([1.])" and str(x) == "x"


def test_a_debugger_is_called(monkeypatch: Any) -> None:
    stops: list[int] = []
    monkeypatch.setattr(builtins, "breakpoint", lambda: stops.append(1))
    config.compute_test_value = "pdb"
    x = with_value(T.dvector("x"), [1.0, 2.0])
    T.dvector("y") + x
    with pytest.raises(ShapeError):
        x + with_value(T.dvector("z"), [1.0, 2.0, 3.0])
    assert stops == [1, 1]


class Doubled(PythonOp):
    __props__ = ()

    def make_node(self, x: Any) -> Any:
        return symgrad.Apply(self, [x], [x.type()])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        output_storage[0][0] = inputs[0] * 2

    def grad(self, inputs: Any, output_grads: Any) -> Any:
        return [output_grads[0] * 2]


def test_ops_in_python_and_compiled_functions_and_derived_graphs() -> None:
    x = with_value(T.dvector("x"), [1.0, 2.0])
    y = Doubled()(x)
    np.testing.assert_array_equal(y.tag.test_value, [2, 4])
    f = symgrad.function([x], T.tanh(y) * 2)
    np.testing.assert_allclose(f([0.5]), 2 * np.tanh(1.0))
    again = pickle.loads(pickle.dumps(y))
    np.testing.assert_array_equal(again.tag.test_value, [2, 4])
    jacobian = symgrad.jacobian(x**2, x)
    np.testing.assert_array_equal(jacobian.tag.test_value, [[2, 0], [0, 4]])
    np.testing.assert_array_equal((jacobian * 2).tag.test_value, [[4, 0], [0, 8]])
    pushed = symgrad.Rop(Doubled()(x), x, x * 0 + 1)
    np.testing.assert_array_equal((pushed + 0).tag.test_value, [2, 2])


def test_loops_and_choices_and_their_gradients() -> None:
    x = with_value(T.dvector("x"), [1.0, 2.0])
    powers, _ = symgrad.scan(lambda power, base: power * base, outputs_info=[T.ones_like(x)], non_sequences=[x],
                             n_steps=with_value(T.lscalar("n"), 3))  # fmt: skip
    np.testing.assert_array_equal(powers[-1].tag.test_value, [1, 8])
    np.testing.assert_array_equal(symgrad.grad(powers[-1].sum(), x).tag.test_value, [3, 12])
    chosen = symgrad.ifelse(x.sum() > 2, x, x * 10)
    np.testing.assert_array_equal(chosen.tag.test_value, [1, 2])
