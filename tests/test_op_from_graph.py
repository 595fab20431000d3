"""`OpFromGraph`: a graph used as an op means the same as the graph itself."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import oracle
import pytest
from combinations import Combination

import symgrad
import symgrad.tensor as T
from symgrad.control import OpFromGraph
from symgrad.errors import DisconnectedInputError, DTypeError, GradientError, MissingInputError, ShapeError
from symgrad.graph.absent import DisconnectedType, NullType

x, y, z = T.dmatrix("x"), T.dmatrix("y"), T.dmatrix("z")
A, B = [np.random.default_rng(seed).normal(size=(3, 3)) for seed in (1, 2)]


def cell(**options: Any) -> OpFromGraph:
    return OpFromGraph([x, y], [T.tanh(T.dot(x, y)), x - y], **options)


def values(expressions: Any, **options: Any) -> list[np.ndarray]:
    return list(symgrad.function([x, y], list(expressions), on_unused_input="ignore", **options)(A, B))


@pytest.mark.parametrize("inline", [False, True])
def test_value_and_derivatives_are_those_of_the_graph(inline: bool, combination: Combination) -> None:
    def derivatives(step: Callable[..., Any]) -> list[Any]:
        first, second = step(*step(x, y))
        cost = (first**2).sum() + (second * first).sum()
        gradients = symgrad.grad(cost, [x, y])
        return [cost, *gradients, *symgrad.grad(sum((g**2).sum() for g in gradients), [x, y]),
                *symgrad.Rop([first, second], [x, y], [y, x])]  # fmt: skip

    op = cell(inline=inline, name="cell")
    expected = oracle.evaluate_graph(derivatives(lambda a, b: (T.tanh(T.dot(a, b)), a - b)), {x: A, y: B})
    for mode in ("none", "default"):
        for found, wanted in zip(values(derivatives(op), mode=mode), expected, strict=True):
            oracle.assert_same(found, wanted, 1e-9)


def test_it_is_opened_before_a_function_is_compiled() -> None:
    op = OpFromGraph([x], [T.exp(x)])
    function = symgrad.function([x], op(op(x)) + T.exp(x))
    assert not any(isinstance(node.op, OpFromGraph) for node in function.rewritten.order)
    assert len([node for node in function.rewritten.order if "exp" in str(node.op)]) == 2


def test_shared_variables_inside(combination: Combination) -> None:
    weights = symgrad.shared(A, "weights")
    op = OpFromGraph([x], [T.dot(x, weights)], name="layer")
    cost = op(op(y)).sum()
    function = symgrad.function([y], [cost, symgrad.grad(cost, weights)], updates={weights: weights + 1})
    expected = symgrad.function([y, z], [T.dot(T.dot(y, z), z).sum(), symgrad.grad(T.dot(T.dot(y, z), z).sum(), z)])
    for step in range(2):
        for found, wanted in zip(function(B), expected(B, A + step), strict=True):
            np.testing.assert_allclose(found, wanted)


def test_inside_loops_and_other_graphs(combination: Combination) -> None:
    inner = OpFromGraph([x, y], [T.tanh(T.dot(x, y))])
    outer = OpFromGraph([x, y], [inner(inner(x, y), y) + x])
    outputs, _ = symgrad.scan(outer, outputs_info=x, non_sequences=y, n_steps=3)
    state = x
    for _ in range(3):
        state = T.tanh(T.dot(T.tanh(T.dot(state, y)), y)) + state
    expected = oracle.evaluate_graph([state, *symgrad.grad(state.sum(), [x, y])], {x: A, y: B})
    found = values([outputs[-1], *symgrad.grad(outputs[-1].sum(), [x, y])])
    for one, other in zip(found, expected, strict=True):
        oracle.assert_same(one, other, 1e-9)


def test_numbers_and_arrays_take_the_type_of_the_input() -> None:
    a, b = T.dscalar("a"), T.dscalar("b")
    op = OpFromGraph([a, b], [a * b])
    assert op(2, 3.5).eval() == 7.0


SEVEN, FIVE = np.full((3, 3), 7.0), np.full((3, 3), 5.0)


def both(inputs: list[Any], gradients: list[Any]) -> list[Any]:
    return [T.zeros_like(gradients[0]) + 7, T.zeros_like(inputs[1]) + 5]


def of_first(inputs: list[Any], gradients: list[Any]) -> Any:
    return T.zeros_like(gradients[0]) + 7


def with_outputs(inputs: list[Any], outputs: list[Any], gradients: list[Any]) -> list[Any]:
    return [outputs[1] * gradients[1], gradients[1] * 5]


@pytest.mark.parametrize(("overrides", "first", "second"), [
    ({"grad_overrides": both}, SEVEN, FIVE),
    ({"grad_overrides": [of_first, "default"]}, SEVEN, None),
    ({"grad_overrides": ["default", of_first]}, None, SEVEN),
    ({"lop_overrides": with_outputs}, A - B, FIVE),
    ({"grad_overrides": OpFromGraph([x, y, z, T.dmatrix()], [x * 0 + 7, y * 0 + 5])}, SEVEN, FIVE),
])  # fmt: skip
def test_gradients_may_be_overridden(overrides: Any, first: Any, second: Any) -> None:
    usual = values(symgrad.grad(sum(out.sum() for out in cell()(x, y)), [x, y]))
    op = cell(**overrides)
    found = values(symgrad.grad(sum(out.sum() for out in op(x, y)), [x, y]))
    np.testing.assert_allclose(found[0], usual[0] if first is None else first)
    np.testing.assert_allclose(found[1], usual[1] if second is None else second)


@pytest.mark.parametrize("nothing", [None, DisconnectedType()(), NullType("unknown")()])
def test_a_gradient_may_be_missing(nothing: Any) -> None:
    op = cell(grad_overrides=[nothing, "default"])
    cost = op(x, y)[0].sum()
    values([symgrad.grad(cost, y)])
    with pytest.raises((DisconnectedInputError, GradientError)):
        symgrad.grad(cost, x)


def test_forward_derivatives_may_be_overridden() -> None:
    op = cell(rop_overrides=["default", lambda inputs, directions: directions[0] * 3])
    first, second = symgrad.Rop(list(op(x, y)), [x], [y])
    np.testing.assert_allclose(values([second])[0], 3 * B)
    np.testing.assert_allclose(values([first])[0], values(symgrad.Rop([T.tanh(T.dot(x, y))], [x], [y]))[0])


def test_it_pickles_and_prints() -> None:
    op = cell(name="cell")
    output = op(x, y)[0]
    text = symgrad.debugprint(output + op(y, x)[0], file="str")
    assert text.count("tanh") == 1 and "inside cell" in text
    again = pickle.loads(pickle.dumps(op))
    assert again == op and hash(again) == hash(op)
    assert cell(name="cell") == op and cell() != OpFromGraph([x, y], [x, y])


MISTAKES: dict[str, tuple[type[Exception], Callable[[], Any], str]] = {
    "more needed": (MissingInputError, lambda: OpFromGraph([x], [x + y]), "y"),
    "constant input": (TypeError, lambda: OpFromGraph([T.constant(1.0)], [x]), "symbolic variables"),
    "shared input": (TypeError, lambda: OpFromGraph([symgrad.shared(A, "s")], [x]), "shared variable"),
    "twice": (ValueError, lambda: OpFromGraph([x, x], [x]), "twice"),
    "updates": (TypeError, lambda: OpFromGraph([x], [x], updates={}), "takes no updates"),
    "number of inputs": (TypeError, lambda: cell()(x), "takes 2 inputs, got 1"),
    "dtype": (DTypeError, lambda: cell()(x, T.fmatrix()), "input 1"),
    "axes": (ShapeError, lambda: cell()(x, T.dvector()), "input 1"),
    "two overrides": (ValueError, lambda: cell(grad_overrides=both, lop_overrides=with_outputs), "not both"),
    "number of overrides": (
        GradientError, lambda: symgrad.grad(cell(grad_overrides=["default"])(x, y)[0].sum(), x), "list of 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_explained_on_their_line(name: str) -> None:
    error, mistake, words = MISTAKES[name]
    with pytest.raises(error) as caught:
        mistake()
    assert words in str(caught.value) and "test_op_from_graph.py" in str(caught.value)


def test_a_mistake_inside_shows_both_lines() -> None:
    op = OpFromGraph([x, y], [T.dot(x, y)])
    with pytest.raises(ShapeError) as caught:
        op(T.zeros((2, 3), "float64"), T.zeros((2, 3), "float64"))
    assert "[T.dot(x, y)]" in str(caught.value) and "in the body" in str(caught.value)
