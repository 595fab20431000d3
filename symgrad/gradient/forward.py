"""Forward mode: what a change of the inputs does to the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.errors import GradientError
from symgrad.graph.op import attributed_to
from symgrad.graph.traversal import applies_before
from symgrad.graph.types import TensorType
from symgrad.ops.creation import zeros_like
from symgrad.ops.promotion import is_discrete


def Rop(f: Any, wrt: Any, eval_points: Any) -> Any:
    """Return the directional derivative of `f`: its Jacobian times a direction, in one pass forward.

    Parameters
    ----------
    f : variable or list of variables
        The outputs.
    wrt : variable or list of variables
        The inputs that change.
    eval_points : variable or list of variables
        The direction: for each of `wrt` a variable of its type.

    Returns
    -------
    variable or list of variables
        Like `f`, each of the type of its output; zeros where an output doesn't depend on `wrt`.

    Raises
    ------
    GradientError
        If a direction's type differs from its variable's, or an op on the way has no forward derivative.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.gradient.Rop``.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x, v = T.dvectors('x', 'v')
    >>> print(symgrad.Rop(x ** 2, x, v).eval({x: [1., 2.], v: [1., 10.]}))
    [ 2. 40.]
    """
    outputs = list(f) if isinstance(f, list | tuple) else [f]
    inputs = list(wrt) if isinstance(wrt, list | tuple) else [wrt]
    directions = list(eval_points) if isinstance(eval_points, list | tuple) else [eval_points]
    if len(inputs) != len(directions):
        raise GradientError(f"Rop needs one direction for each variable, got {len(directions)} for {len(inputs)}")
    for variable, direction in zip(inputs, directions, strict=True):
        if direction.type.dtype != variable.type.dtype or direction.type.ndim != variable.type.ndim:
            raise GradientError(f"the direction of {variable} is {direction.type}, and must be {variable.type}")
    tangents = _push_forward(outputs, dict(zip(inputs, directions, strict=True)))
    results = [zeros_like(output) if tangents.get(output) is None else tangents[output] for output in outputs]
    return results if isinstance(f, list | tuple) else results[0]


def _push_forward(outputs: Sequence[Any], seeds: dict[Any, Any]) -> dict[Any, Any]:
    tangents = dict(seeds)
    for node in applies_before(outputs):
        given = [tangents.get(variable) for variable in node.inputs]
        discrete = all(isinstance(v.type, TensorType) and is_discrete(v.type.dtype) for v in node.outputs)
        if discrete or all(tangent is None for tangent in given):
            continue
        with attributed_to(node.source):
            results = node.op.pushforward(node.inputs, node.outputs, given)
        fresh = zip(node.outputs, results, strict=True)
        tangents.update({output: result for output, result in fresh if output not in seeds and result is not None})
    return tangents
