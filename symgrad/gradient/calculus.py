"""Jacobians, Hessians, and products with them, out of the gradient and `vectorize`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symgrad.errors import GradientError
from symgrad.gradient.reverse import grad
from symgrad.gradient.vectorize import vectorize
from symgrad.graph.op import user_error
from symgrad.graph.test_values import complete_test_values, without_test_values
from symgrad.graph.traversal import applies_before
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Variable
from symgrad.ops.casting import cast
from symgrad.ops.creation import eye
from symgrad.ops.identity import disconnected_grad
from symgrad.ops.promotion import as_operand, is_discrete, variables_in
from symgrad.ops.reduction import sum as sum_over
from symgrad.ops.shape import reshape
from symgrad.ops.sizes import size_of, sizes_product, specify_shape


def jacobian(
    expression: Any,
    wrt: Any,
    consider_constant: Sequence[Any] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """Return the derivative of each element of an expression with respect to each element of variables.

    Parameters
    ----------
    expression : float tensor
        What to differentiate; most often a vector.
    wrt : variable, or list or tuple of variables
        With respect to what.
    consider_constant, disconnected_inputs
        As in `grad`.

    Returns
    -------
    tensor, or list or tuple like `wrt`
        Of the shape of the expression, followed by the shape of the variable: for two vectors the Jacobian matrix.

    Raises
    ------
    TypeError
        If `expression` or one of `wrt` isn't a tensor.
    GradientError
        If the expression isn't of floats.
    DisconnectedInputError
        As `grad`.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.gradient.jacobian``, which takes scalars and vectors only. The rows aren't
    computed one after the other: the backward pass is done once, for all of them (`vectorize`).

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x = T.dvector('x')
    >>> print(symgrad.jacobian(x ** 2, x).eval({x: [1., 2.]}))
    [[2. 0.]
     [0. 4.]]
    """
    _check_tensor(expression, "jacobian", "expression")
    targets = list(wrt) if isinstance(wrt, list | tuple) else [wrt]
    for target in targets:
        _check_tensor(target, "jacobian", "wrt")
    if expression.type.ndim == 0:
        return grad(expression, wrt, consider_constant, disconnected_inputs)
    if is_discrete(expression.type.dtype):
        raise user_error(GradientError, f"an expression of {expression.type.dtype} has no jacobian", [expression])
    cotangent = expression.type()
    with without_test_values():
        pulled = grad(None, targets, consider_constant, disconnected_inputs, known_grads={expression: cotangent})
    sizes = [size_of(expression, axis) for axis in range(expression.type.ndim)]
    count = sizes_product(sizes)
    units = eye(count, count, 0, expression.type.dtype)
    if len(sizes) > 1:
        units = reshape(units, [count, *sizes])
    rows = vectorize(pulled, {cotangent: units})
    results = [_shaped(row, sizes, target, expression) for row, target in zip(rows, targets, strict=True)]
    complete_test_values(results)
    if isinstance(wrt, list | tuple):
        return type(wrt)(results) if type(wrt) in (list, tuple) else results
    return results[0]


def _shaped(rows: Any, sizes: Sequence[Any], target: Any, expression: Any) -> Any:
    """Put the axes of the expression in place of the one that counts its elements."""
    if len(sizes) > 1:
        rows = reshape(rows, [*sizes, *[size_of(target, axis) for axis in range(target.type.ndim)]])
    return specify_shape(rows, [*expression.type.shape, *target.type.shape])


def _check_tensor(variable: Any, where: str, name: str) -> None:
    if not isinstance(variable, Variable) or not isinstance(variable.type, TensorType):
        raise user_error(TypeError, f"{where} needs a tensor as {name}, got {type(variable).__name__} {variable!r:.60}")


def hessian(
    cost: Any,
    wrt: Any,
    consider_constant: Sequence[Any] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """Return the second derivatives of a scalar with respect to the elements of a variable.

    Parameters
    ----------
    cost : float scalar
        What to differentiate twice.
    wrt : variable, or list or tuple of variables
        With respect to what; of several, each gets its own Hessian (no mixed derivatives).
    consider_constant, disconnected_inputs
        As in `grad`.

    Returns
    -------
    tensor, or list or tuple like `wrt`
        Of the shape of the variable twice: for a vector the Hessian matrix. Zeros where the gradient is constant.

    Raises
    ------
    TypeError, DisconnectedInputError
        As `grad`.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.gradient.hessian``, which takes vectors only.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x = T.dvector('x')
    >>> print(symgrad.hessian(x[0] ** 2 * x[1], x).eval({x: [1., 2.]}))
    [[4. 2.]
     [2. 0.]]
    """
    targets = list(wrt) if isinstance(wrt, list | tuple) else [wrt]
    slopes = grad(cost, targets, consider_constant, disconnected_inputs)
    results = [
        jacobian(slope, target, consider_constant, disconnected_inputs="ignore")
        for slope, target in zip(slopes, targets, strict=True)
    ]
    if isinstance(wrt, list | tuple):
        return type(wrt)(results) if type(wrt) in (list, tuple) else results
    return results[0]


def hessian_vector_product(cost: Any, wrt: Any, p: Any, **options: Any) -> Any:
    """Return the product of the Hessian with a direction, without the Hessian.

    Parameters
    ----------
    cost : float scalar
        What to differentiate twice.
    wrt : variable, or list of variables
        With respect to what.
    p : variable, or list of variables
        The direction: for each of `wrt` a tensor of its shape. It counts as constant.
    **options
        As in `grad`.

    Returns
    -------
    variable, or list of variables
        Like `wrt`.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x, p = T.dvectors('x', 'p')
    >>> print(symgrad.hessian_vector_product((x ** 3).sum(), x, p).eval({x: [1., 2.], p: [1., 10.]}))
    [  6. 120.]
    """
    targets = list(wrt) if isinstance(wrt, list | tuple) else [wrt]
    directions = list(p) if isinstance(p, list | tuple) else [p]
    slopes = grad(cost, targets, **options)
    _check_pairs("hessian_vector_product", targets, directions)
    options["disconnected_inputs"] = "ignore"
    results = grad(_inner_product(slopes, directions), targets, **options)
    return results if isinstance(wrt, list | tuple) else results[0]


def Lop(
    f: Any,
    wrt: Any,
    eval_points: Any,
    consider_constant: Sequence[Any] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """Return weights times the Jacobian of `f`, in one pass backward, without the Jacobian.

    Parameters
    ----------
    f : variable or list of variables
        The outputs.
    wrt : variable or list of variables
        With respect to what.
    eval_points : variable or list of variables
        The weights: for each of `f` a tensor of its shape. They count as constant.
    consider_constant, disconnected_inputs
        As in `grad`.

    Returns
    -------
    variable or list of variables
        Like `wrt`, each of the type of its variable.

    Raises
    ------
    GradientError
        If the weights don't fit the outputs.
    DisconnectedInputError
        As `grad`.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.gradient.Lop``.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> W, x, v = T.dmatrix('W'), T.dvector('x'), T.dvector('v')
    >>> print(symgrad.Lop(T.dot(x, W), x, v).eval({W: [[1., 2.], [3., 4.]], v: [1., 10.]}))
    [21. 43.]
    """
    outputs = variables_in(f, "Lop", "f")
    weights = [as_operand(w) for w in (eval_points if isinstance(eval_points, list | tuple) else [eval_points])]
    _check_pairs("Lop", outputs, weights)
    read = {variable for node in applies_before(outputs) for variable in node.inputs}
    if len(set(outputs)) < len(outputs) or not read.isdisjoint(outputs):  # a known gradient would be the whole of it
        return grad(_inner_product(outputs, weights), wrt, consider_constant, disconnected_inputs, add_names=False)
    known = {output: cast(weight, output.type.dtype) for output, weight in zip(outputs, weights, strict=True)}
    return grad(None, wrt, consider_constant, disconnected_inputs, known_grads=known)


def _check_pairs(where: str, variables: Sequence[Any], weights: Sequence[Any]) -> None:
    if len(variables) != len(weights):
        raise user_error(
            GradientError, f"{where} needs one direction for each variable, got {len(weights)} for {len(variables)}"
        )
    for variable, weight in zip(variables, weights, strict=True):
        if weight.type.ndim != variable.type.ndim:
            raise user_error(
                GradientError, f"{where} needs a direction like {variable}, of {variable.type}, got {weight.type}",
                [variable, weight],
            )  # fmt: skip


def _inner_product(variables: Sequence[Any], weights: Sequence[Any]) -> Any:
    terms = [
        sum_over(variable * disconnected_grad(cast(weight, variable.type.dtype)), dtype=variable.type.dtype)
        for variable, weight in zip(variables, weights, strict=True)
    ]
    return sum(terms[1:], terms[0])


def subgraph_grad(
    wrt: Sequence[Any],
    end: Sequence[Any],
    start: Mapping[Any, Any] | None = None,
    cost: Any = None,
    details: bool = False,
) -> Any:
    """Take the gradient through a part of a graph: from a cost or known gradients back to `end`, and no further.

    Parameters
    ----------
    wrt : list of variables
        Parameters of this part.
    end : list of variables
        Where the walk back ends; the next part starts from their gradients.
    start : mapping of variable to variable, optional
        Variables whose gradients are known already, such as what the part behind returned for its `end`.
    cost : float scalar, optional
        A cost of this part.
    details : bool
        Whether to return also the gradients that come from `start`, and those from `cost`.

    Returns
    -------
    wrt_grads, end_grads : list of variables
        With `details` also the lists from `start` and from `cost` for ``wrt + end``, or None.

    Raises
    ------
    ValueError
        If there is neither `start` nor `cost`.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.gradient.subgraph_grad``.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x, w = T.dscalars('x', 'w')
    >>> middle = x * 3
    >>> wrt_grads, end_grads = symgrad.subgraph_grad([w], [middle], cost=w * middle ** 2)
    >>> print(wrt_grads[0].eval({x: 1.0}), end_grads[0].eval({x: 1.0, w: 2.0}))
    9.0 12.0
    """
    if start is None and cost is None:
        raise user_error(ValueError, "subgraph_grad needs start or cost")
    wrt, end = list(wrt), list(end)
    targets = list(dict.fromkeys([*wrt, *end]))
    from_start = None if start is None else grad(None, targets, end, "ignore", known_grads=start)
    from_cost = None if cost is None else grad(cost, targets, end, "ignore")
    total = from_cost or from_start
    if from_start is not None and from_cost is not None:
        total = [a + b for a, b in zip(from_start, from_cost, strict=True)]
    found = dict(zip(targets, total or [], strict=True))
    result = [found[variable] for variable in wrt], [found[variable] for variable in end]
    return (*result, from_start, from_cost) if details else result
