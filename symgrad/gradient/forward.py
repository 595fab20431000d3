"""Forward mode: what a change of the inputs does to the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from symgrad.config import config
from symgrad.errors import GradientError
from symgrad.graph.op import Disconnected, Op, Undefined, attributed_to, user_error
from symgrad.graph.test_values import complete_test_values, without_test_values
from symgrad.graph.traversal import applies_before, graph_inputs, substitute
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Constant, SharedVariable
from symgrad.ops.creation import zeros_like
from symgrad.ops.identity import WithInputs
from symgrad.ops.promotion import as_operand, is_discrete, variables_in
from symgrad.ops.reduction import sum as sum_over


def Rop(f: Any, wrt: Any, eval_points: Any, disconnected_outputs: str | None = None) -> Any:
    """Return the directional derivative of `f`: its Jacobian times a direction, in one pass forward.

    Parameters
    ----------
    f : variable or list of variables
        The outputs.
    wrt : variable or list of variables
        The inputs that change.
    eval_points : variable or list of variables
        The direction: for each of `wrt` a variable of its type; None where that doesn't change.
    disconnected_outputs : {'ignore', 'raise'}, optional
        What to do if an output doesn't depend on `wrt` in a differentiable way: return zeros, or raise. By default
        ``ignore``; with ``cast_policy = custom`` ``raise``, as in Theano.

    Returns
    -------
    variable or list of variables
        Like `f`, each of the type of its output; zeros where an output doesn't depend on `wrt`.

    Raises
    ------
    GradientError
        If an output is disconnected (see above), a direction's type differs from its variable's, or an op on the way
        has no forward derivative.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.gradient.Rop``: with ``cast_policy = custom`` also in that all inputs of
    `f` count as inputs of the result, even where it doesn't depend on their values.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x, v = T.dvectors('x', 'v')
    >>> print(symgrad.Rop(x ** 2, x, v).eval({x: [1., 2.], v: [1., 10.]}))
    [ 2. 40.]
    """
    inputs = variables_in(wrt, "Rop", "wrt")
    given = eval_points if isinstance(eval_points, list | tuple) else [eval_points]
    directions = [None if direction is None else as_operand(direction) for direction in given]
    if len(inputs) != len(directions):
        raise user_error(
            GradientError, f"Rop needs one direction for each variable, got {len(directions)} for {len(inputs)}"
        )
    pairs = {v: direction for v, direction in zip(inputs, directions, strict=True) if direction is not None}
    for variable, direction in pairs.items():
        if direction.type.dtype != variable.type.dtype or direction.type.ndim != variable.type.ndim:
            raise user_error(
                GradientError, f"the direction of {variable} is {direction.type}, and must be {variable.type}",
                [variable, direction], "A direction has the type of what it is a change of.",
            )  # fmt: skip
    outputs = variables_in(f, "Rop", "f")
    tangents = _push_forward(outputs, pairs)
    lost = [output for output in outputs if tangents.get(output) is None]
    if lost and (disconnected_outputs or ("raise" if config.cast_policy == "custom" else "ignore")) == "raise":
        raise user_error(
            GradientError, f"{lost[0]} isn't a differentiable function of the variables that change", lost[:1],
            "Leave it out, or pass disconnected_outputs='ignore'.",
        )  # fmt: skip
    results = [zeros_like(output) if tangents.get(output) is None else tangents[output] for output in outputs]
    if config.cast_policy == "custom":
        results = [_with_all_inputs(result, output) for result, output in zip(results, outputs, strict=True)]
    complete_test_values(results)
    if isinstance(f, tuple):
        return tuple(results)
    return results if isinstance(f, list) else results[0]


def _with_all_inputs(result: Any, output: Any) -> Any:
    others = [v for v in graph_inputs([output]) if not isinstance(v, Constant | SharedVariable)]
    return WithInputs()(result, *others) if others else result


def _push_forward(outputs: Sequence[Any], seeds: dict[Any, Any]) -> dict[Any, Any]:
    tangents = dict(seeds)
    for node in applies_before(outputs):
        given = [tangents.get(variable) for variable in node.inputs]
        discrete = all(isinstance(v.type, TensorType) and is_discrete(v.type.dtype) for v in node.outputs)
        if discrete or all(tangent is None for tangent in given):
            continue
        with attributed_to(node.source):
            is_written = type(node.op).pushforward is not Op.pushforward
            push = node.op.pushforward if is_written else partial(pulled_twice, node.op)
            results = push(node.inputs, node.outputs, given)
        fresh = zip(node.outputs, results, strict=True)
        tangents.update({output: result for output, result in fresh if output not in seeds and result is not None})
    return tangents


def pulled_twice(op: Op, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
    """Return the tangents of an op's outputs out of its gradient alone.

    The gradient of an op is linear in the cotangents of its outputs: weights times the Jacobian. The gradient of its
    inner product with the tangents, with respect to those weights, is the Jacobian times the tangents.
    """
    weights = [None if _is_discrete(output) else output.type() for output in outputs]
    with without_test_values():
        return _pulled_twice(op, inputs, outputs, tangents, weights)


def _pulled_twice(
    op: Op, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any], weights: Sequence[Any]
) -> list[Any]:
    from symgrad.gradient.reverse import grad

    found = op.gradient(inputs, outputs, weights)
    terms = [
        sum_over(cotangent * tangent, dtype=cotangent.type.dtype)  # type: ignore[attr-defined]
        for cotangent, tangent in zip(found, tangents, strict=True)
        if tangent is not None and cotangent is not None and not isinstance(cotangent, Disconnected | Undefined)
    ]
    undefined = [c.reason for c, t in zip(found, tangents, strict=True) if isinstance(c, Undefined) and t is not None]
    if undefined:
        raise GradientError(f"{op} has no forward derivative: {undefined[0]}")
    free = [weight for weight in weights if weight is not None]
    if not terms or not free:
        return [None] * len(outputs)
    total = sum(terms[1:], terms[0])
    pushed = grad(total, free, disconnected_inputs="ignore", return_disconnected="none")
    zeros = {weight: zeros_like(output) for weight, output in zip(weights, outputs, strict=True) if weight is not None}
    by_weight = dict(zip(free, pushed, strict=True))
    return [
        None if weight is None or by_weight[weight] is None else substitute([by_weight[weight]], zeros)[0]
        for weight in weights
    ]


def _is_discrete(variable: Any) -> bool:
    return not isinstance(variable.type, TensorType) or is_discrete(variable.type.dtype)
