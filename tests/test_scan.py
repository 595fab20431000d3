"""`scan` and its relatives: the same as the steps written one after the other; its arguments; its errors."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest
from combinations import Combination
from hypothesis import HealthCheck, given, settings
from unrolled import Recipe, inputs_of, looped, recipes, unrolled

import symgrad
import symgrad.tensor as T
from symgrad.control import OrderedUpdates, Scan
from symgrad.errors import (
    DTypeError,
    LoopTypeError,
    MissingInputError,
    MissingTestValueError,
    RangeError,
    RankError,
    ShapeError,
    SymgradError,
)
from symgrad.random import RandomStreams

few = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
x, h, m = T.dvector("x"), T.dvector("h"), T.dmatrix("m")


@few
@given(recipes())
def test_a_loop_is_its_steps_one_after_the_other(recipe: Recipe) -> None:
    variables, points = inputs_of(recipe), recipe.points(3)
    loop, steps = looped(recipe, variables), unrolled(recipe, variables)
    expected = oracle.evaluate_graph(steps, dict(zip(variables, points, strict=True)))
    for backend in ("numpy", "native"):
        with symgrad.config.change_flags(backend=backend):
            function = symgrad.function(variables, loop, on_unused_input="ignore")
            for found, wanted in zip(function(*points), expected, strict=True):
                oracle.assert_same(found, wanted, what=str(recipe))
    for found, wanted in zip(
        oracle.evaluate_graph(loop, dict(zip(variables, points, strict=True))), expected, strict=True
    ):
        oracle.assert_same(found, wanted, what=str(recipe))


@pytest.mark.parametrize("steps", [0, 1, 2, 7])
def test_number_of_steps_may_be_symbolic_and_zero(steps: int, combination: Combination) -> None:
    n = T.lscalar("n")
    powers, _ = symgrad.scan(lambda p, a: p * a, outputs_info=T.ones_like(x), non_sequences=x, n_steps=n)
    value = np.array([0.5, 2.0])
    expected = np.array([value**k for k in range(1, steps + 1)]).reshape(steps, 2)
    oracle.assert_same(symgrad.function([x, n], powers)(value, steps), expected)


def test_the_shortest_sequence_decides(combination: Combination) -> None:
    sums, _ = symgrad.scan(lambda a, b: a + b, [x, h])
    function = symgrad.function([x, h], sums)
    np.testing.assert_array_equal(function([1, 2, 3], [10, 20]), [11, 22])
    np.testing.assert_array_equal(function([1], [10, 20]), [11])


def test_one_step_keeps_its_axis() -> None:
    outputs, _ = symgrad.scan(lambda p: 2 * p, outputs_info=x, n_steps=1)
    assert symgrad.function([x], outputs)([1.0, 2.0]).tolist() == [[2.0, 4.0]]
    assert outputs.broadcastable == (False, False)


def test_what_comes_out() -> None:
    """One output isn't a list, none is None, and `return_list` says otherwise."""
    one, updates = symgrad.scan(lambda a: a, x)
    assert isinstance(one, symgrad.Variable) and updates == {}
    assert isinstance(symgrad.scan(lambda a: [a], x, return_list=True)[0], list)
    assert isinstance(symgrad.scan(lambda a: [a], x)[0], symgrad.Variable)
    assert len(symgrad.scan(lambda a: (a, a + 1), x)[0]) == 2
    count = symgrad.shared(0, "count")
    none, updates = symgrad.scan(lambda a: {count: count + 1}, x)
    assert none is None and list(updates) == [count]


COUNT = symgrad.shared(np.array(0), "count")


@pytest.mark.parametrize("returned", [
    lambda a: (a, {COUNT: COUNT + 2}), lambda a: ([a], {COUNT: COUNT + 2}), lambda a: (a, [(COUNT, COUNT + 2)]),
    lambda a: ([a], [(COUNT, COUNT + 2)]), lambda a: (a, {COUNT: COUNT + 2}, symgrad.until(a > 99)),
    lambda a: ([a], OrderedUpdates({COUNT: COUNT + 2})), lambda a: ((a,), {COUNT: COUNT + 2}),
])  # fmt: skip
def test_updates_of_shared_variables(returned: Callable[[Any], Any]) -> None:
    COUNT.set_value(np.array(1))
    outputs, updates = symgrad.scan(returned, x)
    function = symgrad.function([x], outputs, updates=updates)
    assert function([1.0, 2.0, 3.0]).tolist() == [1, 2, 3]
    assert COUNT.get_value() == 7


@pytest.mark.parametrize("returned", [
    lambda p: (2 * p, symgrad.until(2 * p > 50)), lambda p: ([2 * p], symgrad.until(2 * p > 50)),
    lambda p: ([2 * p], {}, symgrad.until(2 * p > 50)), lambda p: [2 * p, symgrad.until(T.switch(2 * p > 50, 1.5, 0))],
])  # fmt: skip
def test_until_ends_after_the_step_it_is_true_in(returned: Callable[[Any], Any], combination: Combination) -> None:
    start = T.dscalar("start")
    powers, _ = symgrad.scan(returned, outputs_info=start, n_steps=20)
    function = symgrad.function([start], [powers, powers.shape[0], powers[-1]])
    found = function(1.0)
    assert found[0].tolist() == [2, 4, 8, 16, 32, 64] and found[1] == 6 and found[2] == 64
    assert function(100.0)[0].tolist() == [200]
    assert function(0.0)[1] == 20


def test_random_streams_draw_anew_in_each_step(combination: Combination) -> None:
    streams = RandomStreams(7)
    noise, updates = symgrad.scan(lambda: streams.uniform((2,), dtype="float64"), n_steps=3)
    state = streams.state_updates[0][0]
    assert list(updates) == [state]
    function = symgrad.function([], noise, updates=updates)
    drawn = np.concatenate([function(), function()])
    assert len(np.unique(drawn)) == 12
    again = RandomStreams(7)
    single = symgrad.function([], again.uniform((2,), dtype="float64"))
    np.testing.assert_array_equal(drawn, [single() for _ in range(6)])


def test_variables_around_are_found(combination: Combination) -> None:
    weights = symgrad.shared(np.eye(2) * 2, "weights")
    bias = T.dvector("bias")
    scaled = bias * weights.sum()
    outputs, _ = symgrad.scan(lambda a: T.dot(weights, a) + scaled, m)
    value = np.arange(6.0).reshape(3, 2)
    function = symgrad.function([m, bias], outputs)
    np.testing.assert_allclose(function(value, [1, 2]), 2 * value + [4, 8])
    strict, _ = symgrad.scan(lambda a, w, b: T.dot(w, a) + b, m, non_sequences=[weights, scaled], strict=True)
    np.testing.assert_allclose(symgrad.function([m, bias], strict)(value, [1, 2]), 2 * value + [4, 8])


def test_loops_in_loops(combination: Combination) -> None:
    def row_sums(row: Any) -> Any:
        return symgrad.scan(lambda element, total: total + element * m[0, 0], row, T.constant(0.0, dtype="float64"))[0]

    outputs, _ = symgrad.scan(row_sums, m)
    value = np.arange(1.0, 7.0).reshape(2, 3)
    np.testing.assert_allclose(symgrad.function([m], outputs)(value), np.cumsum(value, axis=1))


def test_inner_loop_of_changing_length() -> None:
    count = T.lvector("count")

    def geometric(n: Any) -> Any:
        return symgrad.scan(lambda p: p * x[0], outputs_info=T.ones_like(x[0]), n_steps=n)[0].sum()

    outputs, _ = symgrad.scan(geometric, count)
    slope = symgrad.grad(outputs.sum(), x)
    found, gradient = symgrad.function([count, x], [outputs, slope])([1, 3, 2], [2.0])
    assert found.tolist() == [2, 14, 6]
    assert gradient.tolist() == [1 + (1 + 4 + 12) + (1 + 4)]


def test_integers_and_python_numbers() -> None:
    first = {"initial": np.array([0, 1]), "taps": [-2, -1]}
    numbers, _ = symgrad.scan(lambda a, b: a + b, outputs_info=first, n_steps=8)
    assert numbers.eval().tolist() == [1, 2, 3, 5, 8, 13, 21, 34]
    total, _ = symgrad.scan(lambda e, s: s + e, x, outputs_info=0)
    assert total.dtype == "float64" and symgrad.function([x], total)([0.5, 1]).tolist() == [0.5, 1.5]


def test_reductions() -> None:
    value = np.array([1, 2])
    assert symgrad.foldr(lambda a, p: a - p, value, 0)[0].eval() == -1
    assert symgrad.foldl(lambda a, p: a - p, value, 0)[0].eval() == 1
    assert symgrad.map(lambda a: a * a, value)[0].eval().tolist() == [1, 4]
    (total, largest), _ = symgrad.reduce(lambda a, s, t: (s + a, T.maximum(t, a)), x, [0.0, -1e9])
    for mode in ("none", "default"):
        function = symgrad.function([x], total + 100 * largest, mode=mode)
        assert function([1.0, 5.0, 3.0]) == 509
        assert function([]) == -1e11


@pytest.mark.parametrize("length", [0, 1, 4, 6, 7])
def test_checkpoints_are_every_nth_value(length: int, combination: Combination) -> None:
    saved, _ = symgrad.scan_checkpoints(lambda e, s: s + e, x, T.constant(0.0, dtype="float64"), save_every_N=3)
    value = np.arange(1.0, length + 1)
    places = [place for place in range(length) if place % 3 == 2 or place == length - 1]
    np.testing.assert_allclose(symgrad.function([x], saved)(value), np.cumsum(value)[places])


# ---- what is compiled ----


def loops_of(function: Any) -> list[Any]:
    return [node.op for node in function.rewritten.order if isinstance(node.op, Scan)]


def test_only_what_is_used_is_computed() -> None:
    def step(a: Any, b: Any, s: Any, t: Any, w: Any) -> Any:
        return s + a, t * b, T.exp(a), w * a

    outputs, _ = symgrad.scan(step, [x, h], [T.zeros_like(x[0]), T.ones_like(x[0]), None, None], [m[0, 0]])
    (loop,) = loops_of(symgrad.function([x, h, m], outputs[0], on_unused_input="ignore"))
    assert (loop.layout.sequences, len(loop.layout.states), loop.layout.stacked, loop.layout.constants) == (1, 1, 0, 0)


def test_last_value_needs_no_stack() -> None:
    outputs, _ = symgrad.scan(lambda p: T.cos(p), outputs_info=x, n_steps=10_000)
    function = symgrad.function([x], outputs[-1])
    (loop,) = loops_of(function)
    assert not loop.layout.states[0].keeps_all
    np.testing.assert_allclose(function([0.1]), 0.7390851332151607)


def test_the_last_values_at_several_taps() -> None:
    numbers, _ = symgrad.scan(lambda a, b: a + b, outputs_info={"initial": x, "taps": [-2, -1]}, n_steps=6)
    function = symgrad.function([x], [numbers[-1], numbers[-2]])
    assert not loops_of(function)[0].layout.states[0].keeps_all
    assert [int(value) for value in function([1, 1])] == [21, 13]


def test_the_same_twice_is_one_state() -> None:
    outputs, _ = symgrad.scan(lambda a, s, t: (s + a, t + a), [x], [T.zeros_like(x[0]), T.zeros_like(x[0])])
    (loop,) = loops_of(symgrad.function([x], outputs))
    assert len(loop.layout.states) == 1


def test_one_known_step_is_no_loop() -> None:
    outputs, _ = symgrad.scan(lambda p: p * 2, outputs_info=x, n_steps=1)
    assert not loops_of(symgrad.function([x], outputs))


def test_a_small_loop_compiles_once_for_many_sizes() -> None:
    total, _ = symgrad.scan(lambda a, s: s + a, m, T.zeros_like(m[0]))
    function = symgrad.function([m], total[-1])
    for length in range(1, 6):
        np.testing.assert_allclose(function(np.ones((length, 2))), [length, length])


@pytest.mark.parametrize("mode", ["none", "default", "DebugMode", "NanGuard"])
def test_modes(mode: str) -> None:
    weights = symgrad.shared(np.full((2, 2), 0.3), "weights")
    outputs, _ = symgrad.scan(lambda a, s: T.tanh(a + T.dot(s, weights)), m, T.zeros_like(m[0]))
    cost = (outputs**2).sum()
    function = symgrad.function([m], [cost, symgrad.grad(cost, weights)], mode=mode)
    found = function(np.ones((3, 2)))
    expected = oracle.evaluate_graph([cost, symgrad.grad(cost, weights)], {m: np.ones((3, 2))})
    for one, other in zip(found, expected, strict=True):
        oracle.assert_same(one, other)


# ---- graphs inside ops ----


def test_a_loop_prints_its_body_once() -> None:
    outputs, _ = symgrad.scan(lambda a, s: T.tanh(a) + s, x, T.zeros_like(x[0]), name="cell")
    text = symgrad.debugprint(outputs.sum() + outputs[-1], file="str")
    assert text.count("tanh") == 1 and "inside scan{cell}" in text and "s" in text
    assert "cell" in symgrad.pp(outputs)


def test_a_loop_is_drawn(tmp_path: Path) -> None:
    outputs, _ = symgrad.scan(lambda a, s: T.tanh(a) + s, x, T.zeros_like(x[0]), name="cell")
    function = symgrad.function([x], [outputs, symgrad.grad(outputs.sum(), x)])
    for number, subject in enumerate((outputs, function)):
        path = tmp_path / f"{number}.svg"
        symgrad.draw(subject, str(path))
        assert "cell" in path.read_text(encoding="utf-8")


def test_a_loop_pickles() -> None:
    weights = symgrad.shared(np.full((2, 2), 0.3), "weights")
    outputs, _ = symgrad.scan(lambda a, s: T.tanh(a + T.dot(s, weights)), m, T.zeros_like(m[0]))
    function = symgrad.function([m], [outputs, symgrad.grad(outputs.sum(), weights)])
    value = np.arange(6.0).reshape(3, 2)
    for again in (pickle.loads(pickle.dumps(function)), copy.deepcopy(function)):
        for one, other in zip(again(value), function(value), strict=True):
            np.testing.assert_array_equal(one, other)
    loop = pickle.loads(pickle.dumps(outputs))
    assert loop.owner.op == outputs.owner.op and hash(loop.owner.op) == hash(outputs.owner.op)


# ---- mistakes ----


MISTAKES: dict[str, tuple[type[Exception], Callable[[], Any], str]] = {
    "no steps": (ValueError, lambda: symgrad.scan(lambda a: a, outputs_info=x), "how many steps"),
    "negative steps": (RangeError, lambda: symgrad.scan(lambda a: a, x, n_steps=-2), "go_backwards"),
    "float steps": (LoopTypeError, lambda: symgrad.scan(lambda a: a, x, n_steps=2.5), "integer scalar"),
    "vector steps": (LoopTypeError, lambda: symgrad.scan(lambda a: a, x, n_steps=x), "integer scalar"),
    "dtype of state": (
        LoopTypeError, lambda: symgrad.scan(lambda a, s: a + s, x, T.fscalar("s")),
        "output 0 (s) starts as float32, and a step makes float64 of it",
    ),
    "axes of state": (RankError, lambda: symgrad.scan(lambda a, s: s * x, x, T.dscalar("s")), "0 axes"),
    "sizes of state": (
        ShapeError, lambda: symgrad.scan(lambda s: T.concatenate([s, s]), outputs_info=T.zeros(2), n_steps=2),
        "must keep its shape",
    ),
    "outputs": (ValueError, lambda: symgrad.scan(lambda a, s: [a, s], x, T.dscalar()), "describes 1 outputs"),
    "initial values": (
        ShapeError, lambda: symgrad.scan(lambda a, b: a, x, {"initial": np.zeros(1), "taps": [-2, -1]}),
        "need 2 rows, got 1",
    ),
    "scalar initial": (
        ShapeError, lambda: symgrad.scan(lambda a: a, outputs_info={"initial": T.dscalar(), "taps": [-2]}, n_steps=2),
        "got a scalar",
    ),
    "no initial": (ValueError, lambda: symgrad.scan(lambda a: a, x, {"taps": [-1]}), "needs 'initial'"),
    "future tap": (ValueError, lambda: symgrad.scan(lambda a: a, x, {"initial": x, "taps": [1]}), "must be negative"),
    "strict": (MissingInputError, lambda: symgrad.scan(lambda a: a * m, x, strict=True), "non_sequences"),
    "scalar sequence": (ShapeError, lambda: symgrad.scan(lambda a: a, T.dscalar("s")), "at least one axis"),
    "not a sequence": (DTypeError, lambda: symgrad.scan(lambda a: a, {"input": object()}), "symbolic variable"),
    "no input": (TypeError, lambda: symgrad.scan(lambda a: a, {"taps": [0]}), "'input'"),
    "not an output": (TypeError, lambda: symgrad.scan(lambda a: "a", x), "what a step returned"),
    "vector condition": (DTypeError, lambda: symgrad.scan(lambda a: (a, symgrad.until(x > 1)), x), "T.all or T.any"),
    "update of no shared variable": (TypeError, lambda: symgrad.scan(lambda a: {x: a}, x), "shared variables"),
    "update of another type": (LoopTypeError, lambda: symgrad.scan(lambda a: {COUNT: a}, x), "float64"),
    "checkpoints with taps": (
        ValueError, lambda: symgrad.scan_checkpoints(lambda a: a, x, {"initial": x, "taps": [-2]}), "no taps",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_explained_on_their_line(name: str) -> None:
    error, mistake, words = MISTAKES[name]
    with pytest.raises(error) as caught:
        mistake()
    assert words in str(caught.value) and "test_scan.py" in str(caught.value)


def test_a_mistake_in_the_body_shows_both_lines(combination: Combination) -> None:
    weights = T.dmatrix("weights")
    outputs, _ = symgrad.scan(lambda a, w: T.dot(a, w), m, non_sequences=weights)
    function = symgrad.function([m, weights], outputs)
    with pytest.raises(SymgradError) as caught:
        function(np.ones((2, 3)), np.ones((2, 2)))
    text = str(caught.value)
    assert "lambda a, w: T.dot(a, w)" in text and "in the body" in text and "(2, 2)" in text


@pytest.mark.parametrize(("arguments", "error"), [((3, [1.0, 2.0]), ShapeError), ((-1, [1.0]), RangeError)])
def test_mistakes_that_only_a_call_sees(arguments: Any, error: Any, combination: Combination) -> None:
    n = T.lscalar("n")
    outputs, _ = symgrad.scan(lambda a: a * 2, x, n_steps=n)
    function = symgrad.function([n, x], outputs)
    assert function(1, [1.0]).tolist() == [2]
    with pytest.raises(error) as caught:
        function(*arguments)
    assert "test_scan.py" in str(caught.value)


def test_a_state_that_changes_its_shape() -> None:
    outputs, _ = symgrad.scan(lambda s: T.concatenate([s, s]), outputs_info=x, n_steps=3)
    with pytest.raises(ShapeError, match=r"shape|starts as"):
        symgrad.function([x], outputs)([1.0, 2.0])


def test_test_values_show_mistakes_at_once() -> None:
    rows, start = T.dmatrix("rows"), T.dvector("start")
    with symgrad.config.change_flags(compute_test_value="raise"):
        with pytest.raises(MissingTestValueError, match="rows"):
            symgrad.scan(lambda e, s: e + s, rows, start)
        rows.tag.test_value, start.tag.test_value = np.ones((4, 2)), np.zeros(2)
        outputs, _ = symgrad.scan(lambda e, s: e + s, rows, start)
        np.testing.assert_array_equal(outputs.tag.test_value[:, 0], [1, 2, 3, 4])
        symgrad.grad(outputs.sum(), start)
        with pytest.raises(ShapeError, match="test value"):
            symgrad.scan(lambda e, s: T.dot(T.zeros((3, 3), "float64"), e), rows, start)
