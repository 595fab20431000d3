"""`Print`, `Assert` and `Breakpoint`: values pass, gradients pass, and what they are for happens in each call."""

from __future__ import annotations

import builtins
import pickle
from typing import Any

import numpy as np
import pytest

import symgrad
import symgrad.tensor as T
from symgrad.custom import Breakpoint
from symgrad.errors import SymgradError


def test_print_prints_in_each_call(capsys: Any) -> None:
    x = T.dvector("x")
    shown = symgrad.Print("x is", attrs=("__str__", "shape", "max"))(x)
    f = symgrad.function([x], [shown * 2, symgrad.grad((shown**2).sum(), x)])
    assert capsys.readouterr().out == ""
    for value in ([1.0, 2.0], [1.0, 2.0], [5.0]):
        doubled, slope = f(value)
        np.testing.assert_array_equal(doubled, slope)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["x is __str__ = [1. 2.]", "x is shape = (2,)", "x is max = 2.0"]
    assert len(lines) == 9 and lines[6] == "x is __str__ = [5.]"


def test_print_of_a_constant_and_of_parts_that_are_compiled(capsys: Any) -> None:
    x = T.fmatrix("x")
    y = T.tanh(symgrad.Print("sum")(T.exp(x).sum(axis=0))) + symgrad.Print("two")(T.constant(2.0))
    f = symgrad.function([x], y.sum())
    value = np.ones((2, 3), "float32")
    for _ in range(2):
        np.testing.assert_allclose(f(value), 3 * np.tanh(2 * np.e) + 6, rtol=1e-6)
    out = capsys.readouterr().out
    assert out.count("two __str__ = 2.0") == 2 and out.count("sum __str__") == 2


def test_print_calls_a_function_of_the_users_and_takes_part_in_everything() -> None:
    seen: list[np.ndarray] = []
    printed = symgrad.Print("m", global_fn=lambda op, value: seen.append(value))
    x = T.dvector("x")
    y = printed(x) ** 2
    symgrad.verify_grad(lambda v: printed(v) ** 2, [np.array([0.5, 1.0])])
    np.testing.assert_array_equal(symgrad.Rop(y, x, x).eval({x: [3.0]}), [18.0])
    np.testing.assert_array_equal(symgrad.hessian(y.sum(), x).eval({x: [3.0]}), [[2.0]])
    assert seen and "Print{m}" in symgrad.debugprint(y, file="str") and y.type.shape == (None,)
    assert symgrad.Print("a") == symgrad.Print("a") != symgrad.Print("b")


def test_assert_raises_where_it_was_written() -> None:
    x, y = T.dvector("x"), T.dvector("y")
    checked = symgrad.Assert("x must be positive")(x, T.all(x > 0), T.le(x.sum(), 10))  # here
    f = symgrad.function([x, y], [T.log(checked) * y, *symgrad.grad((checked * y).sum(), [x, y])])
    np.testing.assert_array_equal(f([1.0], [2.0])[1], [2.0])
    for bad in ([-1.0], [20.0]):
        with pytest.raises(AssertionError, match="x must be positive") as caught:
            f(bad, [1.0])
        assert isinstance(caught.value, SymgradError) and "# here" in str(caught.value)
    again = pickle.loads(pickle.dumps(f))
    with pytest.raises(AssertionError):
        again([-1.0], [1.0])


def test_a_breakpoint_stops_only_under_its_condition(monkeypatch: Any, capsys: Any) -> None:
    stops = []
    monkeypatch.setattr(builtins, "breakpoint", lambda: stops.append(1))
    x, y = T.dscalar("x"), T.dvector("y")
    p, q = Breakpoint("large")(x > 1, x, y)
    f = symgrad.function([x, y], [p * q, symgrad.grad(p * 2, x)])
    product, slope = f(0.5, [2.0])
    assert product == 1.0 and slope == 2.0 and not stops
    assert f(2.0, [2.0])[0] == 4.0 and stops == [1]
    assert "breakpoint large" in capsys.readouterr().out
    with pytest.raises(TypeError, match="condition must be a scalar"):
        Breakpoint("b")(y > 1, x)
    with pytest.raises(TypeError, match="at least one value"):
        Breakpoint("b")(x > 1)
