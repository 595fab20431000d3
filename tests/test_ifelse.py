"""`ifelse`: one of two values, of which only the chosen one is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import oracle
import pytest
from combinations import Combination
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.control import IfElse
from symgrad.errors import DTypeError, RankError, ShapeError
from symgrad.graph.op import Op

few = settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
c, x, m = T.lscalar("c"), T.dvector("x"), T.dmatrix("m")
POINT, MATRIX = np.array([0.3, -0.7, 1.1]), np.random.default_rng(1).normal(size=(3, 3))


@dataclass(frozen=True)
class Seen(Op):
    """The operand; notes that it was computed."""

    what: str

    def infer(self, value: Any) -> list[Any]:
        return [value.type]

    def evaluate(self, value: np.ndarray) -> list[np.ndarray]:
        LOG.append(self.what)
        return [value + 0.0]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [cotangents[0]]


LOG: list[str] = []


def seen(what: str, value: Any) -> Any:
    return Seen(what)(value)


def computed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, list[str]]:
    LOG.clear()
    result = function(*arguments)
    return result, list(LOG)


@pytest.mark.parametrize("mode", ["none", "default"])
def test_only_the_chosen_side_is_computed(mode: str, combination: Combination) -> None:
    chosen = symgrad.ifelse(c > 0, seen("one", x).sum() * 2, seen("other", T.exp(x)).sum())
    function = symgrad.function([c, x], chosen, mode=mode)
    found, log = computed(function, 1, POINT)
    assert found == pytest.approx(2 * POINT.sum()) and log == ["one"]
    found, log = computed(function, -1, POINT)
    assert found == pytest.approx(np.exp(POINT).sum()) and log == ["other"]


def test_what_both_sides_need_is_computed_once() -> None:
    both = seen("both", x)
    function = symgrad.function([c, x], symgrad.ifelse(c, both.sum() + seen("one", x)[0], both.max()))
    assert sorted(computed(function, 1, POINT)[1]) == ["both", "one"]
    assert computed(function, 0, POINT)[1] == ["both"]


def test_what_the_caller_gets_is_computed_in_any_case() -> None:
    one = seen("one", x)
    function = symgrad.function([c, x], [symgrad.ifelse(c, one * 2, x), one])
    assert computed(function, 0, POINT)[1] == ["one"]


def test_choices_in_choices() -> None:
    inner = symgrad.ifelse(c > 1, seen("two", x), seen("one", x))
    function = symgrad.function([c, x], symgrad.ifelse(c > 0, inner + 1, seen("none", x)))
    for value, log in ((2, ["two"]), (1, ["one"]), (0, ["none"])):
        assert computed(function, value, POINT)[1] == log


def test_choices_in_loops() -> None:
    sums, _ = symgrad.scan(
        lambda e, s: symgrad.ifelse(e > 0, s + e, seen("negative", s)), x, T.constant(0.0, dtype="float64")
    )
    found, log = computed(symgrad.function([x], sums), POINT)
    np.testing.assert_allclose(found, [0.3, 0.3, 1.4])
    assert log == ["negative"]


def test_several_values_and_lists(combination: Combination) -> None:
    made = symgrad.ifelse(c, [x * 2, c], (x, c + 1), name="pair")
    assert isinstance(made, list) and isinstance(symgrad.ifelse(c, [x], [x]), list)
    function = symgrad.function([c, x], made)
    for value in (0, 3):
        first, second = function(value, POINT)
        np.testing.assert_allclose(first, POINT * 2 if value else POINT)
        assert second == (3 if value else 1)


@pytest.mark.parametrize("condition", [c, c > 0, T.cast(c, "float64"), T.cast(c, "int8")])
def test_any_scalar_is_a_condition(condition: Any) -> None:
    function = symgrad.function([c], symgrad.ifelse(condition, 1.5, 2.5))
    assert [function(0), function(2)] == [2.5, 1.5]


def test_sizes_may_differ(combination: Combination) -> None:
    function = symgrad.function([c, x], symgrad.ifelse(c, x[:1], T.concatenate([x, x])))
    assert function(1, POINT).shape == (1,) and function(0, POINT).shape == (6,)
    assert symgrad.ifelse(c, T.zeros((1, 2)), T.zeros((3, 2))).type.shape == (None, 2)


def test_a_known_condition_is_no_choice() -> None:
    function = symgrad.function([x], symgrad.ifelse(T.constant(1), x + 1, seen("other", x)))
    assert not any(isinstance(node.op, IfElse) for node in function.rewritten.order)


@few
@given(st.integers(0, 1), st.lists(st.sampled_from(["tanh", "dot", "outer", "sum"]), min_size=1, max_size=3))
def test_derivatives(value: int, functions: list[str]) -> None:
    one: Any = x
    for name in functions:
        one = {"tanh": T.tanh(one), "dot": T.dot(m, one), "outer": one * one[0], "sum": one + one.sum()}[name]
    other = T.sin(x) * m[0]
    cost = (symgrad.ifelse(c, [one, m * 2], [other, m])[0] ** 2).sum()
    variables, points = [x, m], [POINT, MATRIX]
    wanted = (one**2).sum() if value else (other**2).sum()
    for build in (
        lambda total: symgrad.grad(total, variables, disconnected_inputs="ignore"),
        lambda total: symgrad.grad((symgrad.grad(total, x) ** 3).sum(), variables, disconnected_inputs="ignore"),
        lambda total: [symgrad.Rop(total, variables, [T.constant(p + 1, dtype="float64") for p in points])],
    ):
        expected = oracle.evaluate_graph(build(wanted), dict(zip(variables, points, strict=True)))
        for backend in ("numpy", "native"):
            with symgrad.config.change_flags(backend=backend):
                function = symgrad.function([c, *variables], build(cost), on_unused_input="ignore")
                for found, right in zip(function(value, *points), expected, strict=True):
                    oracle.assert_same(found, right, 1e-9, least_scale=1e-3)


def test_gradient_computes_one_side_only() -> None:
    cost = symgrad.ifelse(c, seen("one", T.exp(x)).sum(), seen("other", T.cos(x)).sum())
    function = symgrad.function([c, x], symgrad.grad(cost, x))
    np.testing.assert_allclose(function(1, POINT), np.exp(POINT))
    np.testing.assert_allclose(function(0, POINT), -np.sin(POINT))


def test_updates_may_be_chosen(combination: Combination) -> None:
    total = symgrad.shared(np.zeros(3), "total")
    function = symgrad.function([c, x], [], updates={total: symgrad.ifelse(c, total + x, total)})
    for value in (1, 0, 1):
        function(value, POINT)
    np.testing.assert_allclose(total.get_value(), 2 * POINT)


MISTAKES: dict[str, tuple[type[Exception], Callable[[], Any], str]] = {
    "vector condition": (DTypeError, lambda: symgrad.ifelse(x > 0, x, x), "T.switch"),
    "dtypes": (DTypeError, lambda: symgrad.ifelse(c, x, T.fvector("f")), "float64 (?,) and float32 (?,)"),
    "axes": (RankError, lambda: symgrad.ifelse(c, x, m), "float64 (?,) and float64 (?, ?)"),
    "numbers": (ValueError, lambda: symgrad.ifelse(c, [x], [x, x]), "1 and 2 values"),
    "list and value": (TypeError, lambda: symgrad.ifelse(c, [x], x), "both be lists"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_explained_on_their_line(name: str) -> None:
    error, mistake, words = MISTAKES[name]
    with pytest.raises(error) as caught:
        mistake()
    assert words in str(caught.value) and "test_ifelse.py" in str(caught.value)


def test_mistakes_inside_a_side_name_their_line() -> None:
    function = symgrad.function([c, x, m], symgrad.ifelse(c, x, T.dot(m, x)))
    np.testing.assert_allclose(function(1, POINT, MATRIX), POINT)
    with pytest.raises(ShapeError, match=r"T\.dot\(m, x\)"):
        function(0, POINT, MATRIX[:, :2])
