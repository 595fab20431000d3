"""``mode = DebugMode`` finds a wrong kernel, ``mode = NanGuard`` the line that made a nan; neither leaves a trace."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import symgrad
import symgrad.tensor as T
from symgrad.backends.numpy.library import ROUTINES
from symgrad.debug.checks import compared_with_its_meaning, excerpt
from symgrad.errors import IndexingError, KernelDifferenceError, NonFiniteError, ShapeError
from symgrad.kernels.grammar import Library
from symgrad.lowering import Step


@pytest.fixture(autouse=True)
def on_the_reference() -> Iterator[None]:
    """Wrong kernels are planted among NumPy's."""
    with symgrad.config.change_flags(backend="numpy"):
        yield


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a kernel in the place of another."""

    def plant(name: str, function: Callable[..., Any]) -> None:
        monkeypatch.setitem(ROUTINES, name, lambda attributes, workspace: function)

    return plant


def wrong_dot(x: Any, y: Any, out: Any = None) -> Any:
    """A product whose last element is off by a thousandth."""
    result = np.dot(x, y)
    result[-1, -1] *= 1.001
    return result


class Net:
    """A layer with softmax, trained by gradient descent."""

    def __init__(self, dtype: str = "float64") -> None:
        random = np.random.RandomState(0)
        self.x = T.matrix("x", dtype)
        self.y = T.ivector("y")
        self.w = symgrad.shared(random.normal(size=(4, 3)).astype(dtype), name="w")
        self.b = symgrad.shared(np.zeros(3, dtype), name="b")
        self.p = T.softmax(T.dot(self.x, self.w) + self.b)  # the forward line
        self.cost = -T.mean(T.log(self.p)[T.arange(self.y.shape[0]), self.y]) + 0.1 * T.sum(self.w**2)
        gradients = symgrad.grad(self.cost, [self.w, self.b])
        self.updates = [(v, v - 0.5 * g) for v, g in zip((self.w, self.b), gradients, strict=True)]
        self.batch = random.normal(size=(5, 4)).astype(dtype), np.array([0, 2, 1, 1, 0], "int32")

    def function(self, mode: Any) -> symgrad.Function:
        return symgrad.function([self.x, self.y], [self.cost, self.p], updates=self.updates, mode=mode)

    def state(self) -> list[np.ndarray]:
        return [v.get_value() for v in (self.w, self.b)]


# ---- where all is well, nothing changes -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["DebugMode", "NanGuard"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_and_updates_are_those_of_the_default_mode(mode: str, dtype: str) -> None:
    checked, plain = Net(dtype), Net(dtype)
    f, g = checked.function(mode), plain.function("default")
    for _ in range(3):
        for found, expected in zip(f(*checked.batch), g(*plain.batch), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == "float32" else 1e-12)
    for found, expected in zip(checked.state(), plain.state(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == "float32" else 1e-12)


def test_variables_that_change_places_do() -> None:
    a, b = symgrad.shared(np.arange(3.0)), symgrad.shared(np.zeros(3))
    f = symgrad.function([], a.T, updates=[(a, b), (b, a)], mode="DebugMode")
    result = f()
    result += 1
    np.testing.assert_array_equal(a.get_value(), np.zeros(3))
    np.testing.assert_array_equal(b.get_value(), np.arange(3.0))


def test_the_configuration_and_theanos_names_choose_the_mode() -> None:
    x = T.dvector("x")
    with symgrad.config.change_flags(mode="NanGuard"), pytest.raises(NonFiniteError):
        symgrad.function([x], T.log(x))([-1.0])
    assert symgrad.Mode.named("NanGuardMode") == symgrad.Mode.named("NanGuard")
    with pytest.raises(ValueError, match="checks is one of DebugMode, NanGuard"):
        symgrad.Mode([], "NanMode")


def test_a_mode_keeps_its_check_when_rules_change_and_in_a_pickle() -> None:
    x = T.dvector("x")
    mode = symgrad.Mode.named("NanGuard").excluding("constants_are_folded").including("equal_nodes_are_one")
    for f in (symgrad.function([x], T.log(x), mode=mode), symgrad.function([x], T.log(x), mode=mode).copy()):
        for copy in (f, pickle.loads(pickle.dumps(f))):
            assert copy([1.0]) == 0.0
            with pytest.raises(NonFiniteError):
                copy([-1.0])


@pytest.mark.parametrize("mode", ["DebugMode", "NanGuard"])
def test_errors_of_the_call_are_the_usual_ones(mode: str) -> None:
    x, y, i = T.dvector("x"), T.dvector("y"), T.lscalar("i")
    f = symgrad.function([x, y, i], (x + y)[i], mode=mode)
    with pytest.raises(ShapeError, match="sizes 2 and 3"):
        f([1, 2], [1, 2, 3], 0)
    with pytest.raises(IndexingError, match=r"index 5 is out of bounds[\s\S]*test_debug_modes.py"):
        f([1, 2], [1, 2], 5)
    count = T.lscalar("count")
    shared = symgrad.shared(np.arange(4.0))
    g = symgrad.function([x, count], x[:count] + x[1:], updates=[(shared, shared + 1)], mode=mode)
    with pytest.raises(ShapeError, match=r"sizes 1 and 2[\s\S]*test_debug_modes.py"):
        g([1, 2, 3], 1)
    np.testing.assert_array_equal(shared.get_value(), np.arange(4.0))


# ---- DebugMode ------------------------------------------------------------------------------------------------------


def test_a_wrong_kernel_is_named_with_line_and_operands(planted: Callable[..., None]) -> None:
    planted("dot", wrong_dot)
    net = Net()
    before = net.state()
    with pytest.raises(KernelDifferenceError) as caught:
        net.function("DebugMode")(*net.batch)
    text = str(caught.value)
    for part in ("the kernel of dot gave ", " at (4, 2)", "1 of 15 elements are wrong", "the forward line",
                 "float64 (5, 4)", "shared, created at", "found", "expected"):  # fmt: skip
        assert part in text, part
    for kept, value in zip(before, net.state(), strict=True):
        np.testing.assert_array_equal(kept, value)
    error = caught.value
    np.testing.assert_array_equal(error.operands[0], net.batch[0])
    np.testing.assert_allclose(error.found[0][-1, -1], 1.001 * error.expected[0][-1, -1])


def test_the_first_wrong_kernel_is_named_though_all_later_results_are_wrong(planted: Callable[..., None]) -> None:
    planted("softmax", lambda x, out=None: np.full_like(x, 0.3))
    planted("label_gradient", lambda *operands, out=None: np.full_like(operands[0], 7.0))
    net = Net()
    with pytest.raises(KernelDifferenceError, match="the kernel of softmax"):
        net.function("DebugMode")(*net.batch)


def test_a_wrong_kernel_in_the_update_is_named(planted: Callable[..., None]) -> None:
    planted("gemm", lambda c, alpha, a, b, beta, out=None: c + alpha * np.dot(a, b))
    net = Net()
    before = net.state()
    with pytest.raises(KernelDifferenceError, match=r"the kernel of gemm[\s\S]*v - 0.5"):
        net.function("DebugMode")(*net.batch)
    for kept, value in zip(before, net.state(), strict=True):
        np.testing.assert_array_equal(kept, value)


def test_a_kernel_that_changes_its_operand_is_named(planted: Callable[..., None]) -> None:
    def greedy(x: Any, y: Any, out: Any = None) -> Any:
        result = np.dot(x, y)
        x[0] = 0.0
        return result

    planted("dot", greedy)
    net = Net()
    x = net.batch[0].copy()
    with pytest.raises(KernelDifferenceError, match="the kernel of dot changed its operand 0"):
        net.function("DebugMode")(*net.batch)
    np.testing.assert_array_equal(net.batch[0], x)


@pytest.mark.parametrize("result", [np.zeros((5, 4)), np.zeros((5, 3), "float32")])
def test_a_kernel_of_wrong_sizes_or_dtype_is_named(planted: Callable[..., None], result: np.ndarray) -> None:
    planted("dot", lambda x, y, out=None: result)
    net = Net()
    with pytest.raises(KernelDifferenceError, match=r"gave float\d\d \(5, \d\) instead of float64 \(5, 3\)"):
        net.function("DebugMode")(*net.batch)


def step_of(evaluate: Callable[..., Any], count: int) -> Step:
    inputs = tuple(T.dvector(f"x{number}") for number in range(count))
    return Step(Library("test"), "test", inputs, (T.dvector(),), None, evaluate)


def test_a_sum_that_cancels_may_round_otherwise() -> None:
    x = np.random.RandomState(0).normal(size=10_000).astype("float32")
    x = np.concatenate([x * 1e4, -x * 1e4, np.float32([1.0])])
    step = step_of(lambda x: [np.asarray(np.sum(x, dtype="float32"))], 1)
    exact = np.float32(1.0)
    assert abs(np.cumsum(x)[-1] - exact) > 1e-3, "one after the other, the sum is off"
    for found in (exact, np.cumsum(x)[-1]):
        compared_with_its_meaning(step, [x], lambda x, found=found: [np.asarray(found, "float32")])
    with pytest.raises(KernelDifferenceError):
        compared_with_its_meaning(step, [x], lambda x: [np.asarray(1e3, "float32")])


@pytest.mark.parametrize("found", [[1.0, np.inf, 2.0], [1.0, np.nan, -np.inf], [np.nan, np.nan, np.inf]])
def test_nan_and_inf_must_be_in_the_same_places(found: list[float]) -> None:
    step = step_of(lambda x: [x.copy()], 1)
    x = np.array([1.0, np.nan, np.inf])
    compared_with_its_meaning(step, [x], lambda x: [x.copy()])
    with pytest.raises(KernelDifferenceError):
        compared_with_its_meaning(step, [x], lambda x: [np.array(found)])


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays("float64", st.integers(1, 40), elements=st.floats(-1e3, 1e3)),
    st.floats(1e-6, 1e3), st.data(),
)  # fmt: skip
def test_one_element_that_is_off_is_found_and_rounding_is_not(x: np.ndarray, off: float, data: st.DataObject) -> None:
    step = step_of(lambda x: [np.sin(x) * x], 1)
    compared_with_its_meaning(step, [x], lambda x: [np.sin(x) * x * (1 + 4e-16)])
    index = data.draw(st.integers(0, len(x) - 1))

    def wrong(x: np.ndarray) -> list[np.ndarray]:
        result = np.sin(x) * x
        result[index] += off
        return [result]

    with pytest.raises(KernelDifferenceError, match=rf"at \({index},\)|\({index},\)"):
        compared_with_its_meaning(step, [x], wrong)


# ---- NanGuard -------------------------------------------------------------------------------------------------------


def guarded(*arguments: Any, **options: Any) -> symgrad.Function:
    return symgrad.function(*arguments, mode="NanGuard", **options)


def test_the_line_that_makes_a_nan_is_named_not_those_that_pass_it_on() -> None:
    x = T.dmatrix("x")
    shifted = x - 1.5
    logs = T.log(shifted)  # made here
    total = T.sum(T.exp(logs) * 2 + 1)
    with pytest.raises(NonFiniteError) as caught:
        guarded([x], total)([[2.0, 1.0], [3.0, 1.25]])
    text = str(caught.value)
    for part in ("log made nan of operands without nan: 2 of 4 elements, the first at (0, 1)", "# made here",
                 "The operands there: -0.5.", "float64 (2, 2)", "made by subtract at"):  # fmt: skip
        assert part in text, (part, text)


def test_inf_minus_inf_is_named_though_the_infs_are_the_callers() -> None:
    x, y = T.dvectors("x", "y")
    f = guarded([x, y], T.sum(x - y))
    assert f([np.inf, 1.0], [2.0, 1.0]) == np.inf
    with pytest.raises(NonFiniteError, match=r"subtract made nan[\s\S]*The operands there: inf, inf"):
        f([1.0, np.inf], [0.0, np.inf])


def test_zero_times_inf_is_named() -> None:
    x = T.dvector("x")
    with pytest.raises(NonFiniteError, match=r"multiply made nan[\s\S]*The operands there: 0, inf"):
        guarded([x], x * np.array([1.0, np.inf]))([0.0, 0.0])


def test_an_inf_is_named_where_it_is_made() -> None:
    x = T.dscalar("x")
    y = 1 / x  # by this division
    with pytest.raises(NonFiniteError, match=r"(true_divide|reciprocal) made inf[\s\S]*# by this division"):
        guarded([x], y - y)(0.0)


def test_nan_of_the_caller_and_integers_pass() -> None:
    x, n = T.dvector("x"), T.lvector("n")
    total, quotient = guarded([x, n], [T.sum(T.exp(x)), n // 2])([np.nan, 1.0], [1, 2])
    assert np.isnan(total)
    np.testing.assert_array_equal(quotient, [0, 1])


def test_a_nan_in_the_gradient_names_the_forward_line() -> None:
    x = T.dvector("x")
    root = T.sqrt(T.sum(x**2))  # without a gradient at 0
    f = guarded([x], symgrad.grad(root, x))
    np.testing.assert_allclose(f([3.0, 4.0]), [0.6, 0.8])
    with pytest.raises(NonFiniteError, match="without a gradient at 0"):
        f([0.0, 0.0])


def test_a_nan_in_the_update_leaves_all_shared_variables_as_they_were() -> None:
    rate = T.dscalar("rate")
    a, b = symgrad.shared(np.full(3, 10.0), name="a"), symgrad.shared(0, name="b")
    cost = T.sum(a**2)
    f = guarded([rate], cost, updates=[(b, b + 1), (a, a - T.log(rate) * symgrad.grad(cost, a))])
    f(1.0)
    assert b.get_value() == 1
    with pytest.raises(NonFiniteError, match="log made nan"):
        f(-1.0)
    np.testing.assert_array_equal(a.get_value(), np.full(3, 10.0))
    assert b.get_value() == 1


def test_repeated_steps_stop_at_the_one_that_makes_a_nan() -> None:
    x = T.dscalar("x")
    total = symgrad.shared(np.zeros(()), name="total")
    f = guarded([x], T.log(x), updates=[(total, total + x)])
    with pytest.raises(NonFiniteError):
        f.repeat([1.0, 2.0, -1.0, 4.0])
    assert total.get_value() == 3.0


def test_stable_forms_are_guarded_not_what_they_replace() -> None:
    x = T.dmatrix("x")
    cost = -T.sum(T.log(T.softmax(x))[:, 0])
    assert np.isfinite(guarded([x], cost)([[-2000.0, 0.0]]))


# ---- words ----------------------------------------------------------------------------------------------------------


def test_an_excerpt_is_short_and_tells_what_is_special() -> None:
    assert excerpt(np.zeros((0, 3))) == "empty"
    assert excerpt(np.array(True)) == "True"
    assert excerpt(np.array([1 + 2j])) == "1+2j"
    assert excerpt(np.array([np.inf, np.nan, -np.inf])) == "inf, nan, -inf (1 nan, 2 inf)"
    assert excerpt(np.array([np.nan] * 9)) == "nan, nan, nan, nan, nan, ... (9 nan)"
