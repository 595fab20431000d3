"""Derivatives through loops: the same as through the steps written one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import oracle
import pytest
from combinations import Combination
from hypothesis import HealthCheck, given, settings
from unrolled import Recipe, inputs_of, looped, recipes, unrolled, weighted_cost

import symgrad
import symgrad.tensor as T
from symgrad.control import Scan
from symgrad.errors import DisconnectedInputError
from symgrad.ops.linalg import Dot, Gemm
from symgrad.random import RandomStreams

few = settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
x, h, m, w = T.dvector("x"), T.dvector("h"), T.dmatrix("m"), T.dmatrix("w")
RANDOM = np.random.default_rng(11)
ROWS, START, WEIGHTS = RANDOM.normal(size=(5, 3)), RANDOM.normal(size=3), RANDOM.normal(size=(3, 3)) / 2


def values(expressions: Sequence[Any], variables: Sequence[Any], points: Sequence[Any], **options: Any) -> list[Any]:
    function = symgrad.function(variables, list(expressions), on_unused_input="ignore", **options)
    return list(function(*points))


@few
@given(recipes())
def test_gradient_of_a_loop_is_that_of_its_steps(recipe: Recipe) -> None:
    variables, points = inputs_of(recipe), recipe.points(5)
    expected = symgrad.grad(weighted_cost(unrolled(recipe, variables)), variables, disconnected_inputs="ignore")
    wanted = oracle.evaluate_graph(expected, dict(zip(variables, points, strict=True)))
    found = symgrad.grad(weighted_cost(looped(recipe, variables)), variables, disconnected_inputs="ignore")
    for backend in ("numpy", "native"):
        with symgrad.config.change_flags(backend=backend):
            for one, other in zip(values(found, variables, points), wanted, strict=True):
                oracle.assert_same(one, other, 1e-9, str(recipe), 1e-3)


@settings(few, max_examples=6)
@given(recipes())
def test_second_derivative_of_a_loop_is_that_of_its_steps(recipe: Recipe) -> None:
    variables, points = inputs_of(recipe), recipe.points(6)

    def second(outputs: Sequence[Any]) -> list[Any]:
        first = symgrad.grad(weighted_cost(outputs), variables, disconnected_inputs="ignore")
        total = sum(((1.0 + place) * one**2).sum() for place, one in enumerate(first))
        return list(symgrad.grad(total, variables, disconnected_inputs="ignore"))

    known = dict(zip(variables, points, strict=True))
    wanted = oracle.evaluate_graph(second(unrolled(recipe, variables)), known)
    with symgrad.config.change_flags(backend="numpy"):
        found = values(second(looped(recipe, variables)), variables, points)
    for one, other in zip(found, wanted, strict=True):
        oracle.assert_same(one, other, 1e-8, str(recipe), 1e-3)


@few
@given(recipes())
def test_forward_mode_of_a_loop_is_that_of_its_steps(recipe: Recipe) -> None:
    variables, points = inputs_of(recipe), recipe.points(7)
    directions = [T.constant(point, dtype="float64") for point in recipe.points(8)]
    known = dict(zip(variables, points, strict=True))
    wanted = oracle.evaluate_graph(symgrad.Rop(unrolled(recipe, variables), variables, directions), known)
    found = symgrad.Rop(looped(recipe, variables), variables, directions)
    for one, other in zip(values(found, variables, points), wanted, strict=True):
        oracle.assert_same(one, other, 1e-9, str(recipe), 1e-3)


def network(rows: Any, start: Any, weights: Any, **options: Any) -> Any:
    return symgrad.scan(lambda e, s: T.tanh(e + T.dot(s, weights)), rows, start, **options)[0]


def bounded(rows: Any, start: Any, weights: Any) -> Any:
    def step(row: Any, state: Any) -> Any:
        made = T.sin(row + T.dot(state, weights))
        return made, symgrad.until((made**2).sum() < 1.2)

    return symgrad.scan(step, rows, start)[0]


def nested(rows: Any, start: Any, weights: Any) -> Any:
    def step(row: Any, state: Any) -> Any:
        inner, _ = symgrad.scan(lambda e, s: T.sin(e * s) + weights[0, 1] * e, row, (state * weights).sum())
        return inner * state

    return symgrad.scan(step, rows, start)[0]


def checkpoints(rows: Any, start: Any, weights: Any) -> Any:
    def step(row: Any, state: Any) -> Any:
        return T.tanh(row + T.dot(state, weights))

    return symgrad.scan_checkpoints(step, rows, start, save_every_N=2)[0]


def updated(rows: Any, start: Any, weights: Any) -> Any:
    total = symgrad.shared(np.zeros(3), "total")
    _, updates = symgrad.scan(lambda e: {total: T.tanh(total * 0.5 + e)}, rows)
    return updates[total] * start + weights


LOOPS: dict[str, Callable[..., Any]] = {
    "network": network,
    "last value": lambda *a: network(*a)[-1] ** 2,
    "last value and all": lambda *a: network(*a)[-1, 1:].sum() + network(*a),
    "backwards": lambda *a: network(*a, go_backwards=True),
    "fewer steps": lambda *a: network(*a, n_steps=3),
    "until": bounded, "nested": nested, "checkpoints": checkpoints, "updates": updated,
    "map": lambda r, s, v: symgrad.map(lambda e: T.exp(e * s) * v.sum(), r)[0],
    "reduce": lambda r, s, v: symgrad.reduce(lambda e, t: t * T.cos(e) + v[0], r, s)[0],
}  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
def test_gradients_against_finite_differences(name: str, combination: Combination) -> None:
    variables, points = [m, h, w], [ROWS, START, WEIGHTS]
    output = LOOPS[name](*variables)
    cost = (T.sin(output) * 0.7).sum()
    first = symgrad.grad(cost, variables, disconnected_inputs="ignore")
    direction = [RANDOM.normal(size=point.shape) for point in points]
    expected = oracle.directional_difference(
        lambda *moved: values([cost], variables, moved, mode="none"), points, direction, [np.array(1.0)], 1e-5
    )
    found = values(first, variables, points)
    assert sum(np.sum(a * b) for a, b in zip(found, direction, strict=True)) == pytest.approx(expected, rel=1e-6)
    tangent = symgrad.Rop(cost, variables, [T.constant(d, dtype="float64") for d in direction])
    assert values([tangent], variables, points)[0] == pytest.approx(expected, rel=1e-6)


def test_truncated_gradient() -> None:
    """It goes back so many steps from the last one, and no further: not to rows before, nor to the initial value."""
    scale = T.dscalar("scale")
    points = [np.array([0.0, 0.1, 0.2, 0.3, 0.4]), np.array(0.3), np.array(0.7)]
    start = T.dscalar("start")

    def gradients(truncate: int, rows: Any) -> list[Any]:
        outputs, _ = symgrad.scan(lambda e, s: T.tanh(e + scale * s), rows, start, truncate_gradient=truncate)
        return values(symgrad.grad(outputs.sum(), [x, start, scale]), [x, start, scale], points)

    whole = gradients(-1, x)
    for one, other in zip(gradients(9, x), whole, strict=True):
        np.testing.assert_allclose(one, other)
    state = 0.3
    states = [state := float(np.tanh(row + 0.7 * state)) for row in points[0]]
    slopes = [1 - value**2 for value in states]
    last = slopes[4]
    before = slopes[3] * (1 + 0.7 * last)
    rows, initial, of_scale = gradients(2, x)
    np.testing.assert_allclose(rows, [0, 0, 0, before, last])
    assert initial == 0
    np.testing.assert_allclose(of_scale, last * states[3] + before * states[2])
    assert [float(np.abs(value).sum()) for value in gradients(0, x)] == [0, 0, 0]


RAGGED: dict[str, Callable[[Any], Any]] = {
    "prefix": lambda n: T.exp(T.exp(x[:n])),
    "mask": lambda n: T.exp(T.tanh(x[x > n - 2])),
    "choice": lambda n: T.exp(T.sinh(symgrad.ifelse(n > 2, x, T.concatenate([x, x])))),
    "positions": lambda n: T.exp(T.outer(x, T.arange(n)).sum(axis=0) * 0.1),
}  # fmt: skip


@pytest.mark.parametrize("name", RAGGED)
def test_what_changes_its_size_is_computed_again(name: str, combination: Combination) -> None:
    """Values whose sizes differ from step to step can't be stacked."""
    counts = T.lvector("counts")
    cost = symgrad.scan(lambda n: RAGGED[name](n).sum(), counts)[0].sum()
    steps = sum(RAGGED[name](n).sum() for n in (1, 4, 2))
    point = np.array([0.3, 0.5, -0.7, 1.1])
    expected = oracle.evaluate_graph([symgrad.grad(steps, x)], {x: point})
    oracle.assert_same(values([symgrad.grad(cost, x)], [counts, x], [[1, 4, 2], point])[0], expected[0])


def test_no_gradient_goes_to_integers_and_conditions() -> None:
    count = T.lvector("count")
    outputs, _ = symgrad.scan(lambda n, s: s + n * x.sum(), count, T.constant(0.0, dtype="float64"))
    np.testing.assert_allclose(values([symgrad.grad(outputs.sum(), x)], [count, x], [[1, 2], [1.0, 1.0]])[0], 4.0)
    with pytest.raises(DisconnectedInputError):
        symgrad.grad(outputs.sum(), count)
    positive, _ = symgrad.scan(lambda e: T.switch(e > 0, 1.0, 0.0), x)
    with pytest.raises(DisconnectedInputError, match="x"):
        symgrad.grad(positive.sum(), [x])


def test_gradient_with_random_numbers_uses_the_same_numbers() -> None:
    streams = RandomStreams(3)

    def step(state: Any) -> Any:
        return state * streams.uniform((2,), dtype="float64", low=0.5)

    outputs, updates = symgrad.scan(step, outputs_info=x, n_steps=4)
    function = symgrad.function([x], [outputs, symgrad.grad(outputs[-1].sum(), x)], updates=updates)
    for _ in range(2):
        found, slope = function([2.0, 4.0])
        np.testing.assert_allclose(slope, found[-1] / [2.0, 4.0])


def test_gradient_through_shared_variables() -> None:
    weights = symgrad.shared(WEIGHTS, "weights")
    outputs, _ = symgrad.scan(lambda e, s: T.tanh(e + T.dot(s, weights)), m, h)
    found = values([symgrad.grad(outputs.sum(), weights)], [m, h], [ROWS, START])
    expected = values([symgrad.grad(network(m, h, w).sum(), w)], [m, h, w], [ROWS, START, WEIGHTS])
    np.testing.assert_allclose(found[0], expected[0])


# ---- what is compiled ----


def loops_of(function: Any) -> list[Any]:
    return [node.op for node in function.rewritten.order if isinstance(node.op, Scan)]


def products_in(op: Any) -> int:
    return sum(isinstance(node.op, Dot | Gemm) for node in op.body.order)


def test_forward_and_backward_loop_are_all_there_is() -> None:
    """The loop that saves for the gradient is the loop itself, and the backward loop computes no product twice."""
    cost = (T.exp(network(m, h, w)) ** 2).sum()
    function = symgrad.function([m, h, w], [cost, *symgrad.grad(cost, [h, w])])
    forward, backward = loops_of(function)
    assert products_in(forward) == 1
    assert not any("tanh" in str(node.op) or "exp" in str(node.op) for node in backward.body.order)
    assert products_in(backward) == 1


def test_the_gradient_of_the_last_value_reads_no_stack_of_zeros() -> None:
    cost = (network(m, h, w)[-1] ** 2).sum()
    _, backward = loops_of(symgrad.function([m, h, w], symgrad.grad(cost, h)))
    assert backward.layout.sequences == 1


def test_checkpoints_save_one_state_a_piece() -> None:
    def bytes_of(build: Callable[..., Any]) -> int:
        fixed = T.specify_shape(m, (16, 3))
        cost = build(fixed, h, w)[-1].sum()
        function = symgrad.function([m, h, w], symgrad.grad(cost, w))
        shape = [o.type.shape for node in function.rewritten.order if isinstance(node.op, Scan) for o in node.outputs]
        return max(np.prod([size or 3 for size in sizes]) for sizes in shape)

    def every_fourth(rows: Any, start: Any, weights: Any) -> Any:
        return symgrad.scan_checkpoints(lambda e, s: T.tanh(e + T.dot(s, weights)), rows, start, save_every_N=4)[0]

    assert bytes_of(every_fourth) <= 4 * 3 and bytes_of(network) >= 16 * 3


@pytest.mark.parametrize("steps", [1, 3])
def test_backend_and_mode_don_t_matter(steps: int, combination: Combination) -> None:
    cost = (nested(m[:steps], h, w) ** 2).sum()
    gradients = symgrad.grad(cost, [m, h, w])
    expected = oracle.evaluate_graph(gradients, {m: ROWS, h: START, w: WEIGHTS})
    for mode in ("none", "default"):
        for one, other in zip(values(gradients, [m, h, w], [ROWS, START, WEIGHTS], mode=mode), expected, strict=True):
            oracle.assert_same(one, other)


# ---- many rows at once ----


@pytest.mark.parametrize("name", ["network", "last value", "backwards", "nested", "map", "reduce"])
def test_jacobians_of_loops_are_made_of_loops(name: str) -> None:
    """The backward loop goes once, with all rows of the Jacobian."""
    output = LOOPS[name](m, h, w).flatten()[-3:]
    jacobians = symgrad.jacobian(output, [m, h, w])
    expected = [symgrad.grad(output[row], [m, h, w]) for row in range(3)]
    found = values(jacobians, [m, h, w], [ROWS, START, WEIGHTS])
    for place, one in enumerate(found):
        wanted = values([gradient[place] for gradient in expected], [m, h, w], [ROWS, START, WEIGHTS])
        oracle.assert_same(one, np.stack(wanted), 1e-9, least_scale=1e-3)
    assert "row_by_row" not in symgrad.debugprint(jacobians, file="str")


def test_choices_and_graphs_as_ops_for_many_rows() -> None:
    condition, first, second = T.lscalar("condition"), T.dvector("first"), T.dvector("second")
    chosen = symgrad.ifelse(condition > 0, first * second, first.sum() + T.cos(second))
    graph = symgrad.OpFromGraph([first, second], [T.exp(first) * second])(chosen, second)
    conditions, firsts, seconds = T.lvector("conditions"), T.dmatrix("firsts"), T.dmatrix("seconds")
    points = {condition: np.array([1, -1, 0]), first: RANDOM.normal(size=(3, 2)), second: RANDOM.normal(size=(3, 2))}
    single = symgrad.function([condition, first, second], graph)
    for replaced in ({condition: conditions}, {first: firsts}, {condition: conditions, second: seconds}):
        rows = symgrad.vectorize(graph, replaced)
        function = symgrad.function([replaced.get(v, v) for v in points], rows)
        found = function(*[value if v in replaced else value[1] for v, value in points.items()])
        for row in range(3):
            wanted = single(*[value[row if v in replaced else 1] for v, value in points.items()])
            oracle.assert_same(found[row], wanted)
        assert "row_by_row" not in symgrad.debugprint(rows, file="str")
