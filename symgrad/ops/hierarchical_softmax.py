"""Softmax over many outputs in two levels: first over classes of outputs, then within a class."""

from __future__ import annotations

from typing import Any

from symgrad.errors import ShapeError
from symgrad.graph.op import user_error
from symgrad.ops.axes import dimshuffle
from symgrad.ops.creation import arange
from symgrad.ops.linalg import batched_dot, dot, tensordot
from symgrad.ops.promotion import as_operand
from symgrad.ops.shape import flatten, reshape
from symgrad.ops.softmax import softmax


def h_softmax(
    x: Any,
    batch_size: Any,
    n_outputs: Any,
    n_classes: Any,
    n_outputs_per_class: Any,
    W1: Any,
    b1: Any,
    W2: Any,
    b2: Any,
    target: Any = None,
) -> Any:
    """Return probabilities of outputs in two levels, at a cost that grows with the square root of their number.

    Output ``o`` belongs to class ``o // n_outputs_per_class``. Its probability is that of its class times that of the
    output within the class.

    Parameters
    ----------
    x : float matrix of shape (batch_size, features)
        What the probabilities depend on.
    batch_size : int or integer scalar
        Number of rows.
    n_outputs : int or integer scalar
        Number of outputs; at most ``n_classes * n_outputs_per_class``.
    n_classes, n_outputs_per_class : int or integer scalar
        Numbers of classes, and of outputs in each.
    W1 : float matrix of shape (features, n_classes)
    b1 : float vector of shape (n_classes,)
        Weights of the first level.
    W2 : float tensor of shape (n_classes, features, n_outputs_per_class)
    b2 : float matrix of shape (n_classes, n_outputs_per_class)
        Weights of the second level.
    target : integer tensor of batch_size elements, optional
        For each row an output. Only its probability is computed then, which is much less work.

    Returns
    -------
    matrix of shape (batch_size, n_outputs), or vector of shape (batch_size,)
        Probabilities of all outputs, or of the targets.

    Raises
    ------
    ShapeError
        If an operand has another number of axes.

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.h_softmax``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x, zeros = [[1., 2., 3.]], T.zeros
    >>> parameters = zeros((3, 2)), zeros(2), zeros((2, 3, 2)), zeros((2, 2))
    >>> print(T.nnet.h_softmax(x, 1, 4, 2, 2, *parameters).eval())
    [[0.25 0.25 0.25 0.25]]
    """
    operands = [as_operand(operand) for operand in (x, W1, b1, W2, b2)]
    if [operand.type.ndim for operand in operands] != [2, 2, 1, 3, 2]:
        found = ", ".join([str(operand.type) for operand in operands])
        raise user_error(
            ShapeError, f"h_softmax takes x, W1, b1, W2, b2 of 2, 2, 1, 3 and 2 axes, got {found}", operands
        )
    x, W1, b1, W2, b2 = operands
    class_probabilities = softmax(dot(x, W1) + b1, 1)
    if target is not None:
        return _of_targets(x, flatten(as_operand(target)), n_outputs_per_class, class_probabilities, W2, b2, batch_size)
    scores = tensordot(x, W2, [[1], [1]]) + b2
    within = softmax(scores, 2)
    probabilities = reshape(dimshuffle(class_probabilities, 0, 1, "x") * within, [batch_size, -1])
    return probabilities[:, :n_outputs]


def _of_targets(x: Any, target: Any, per_class: Any, class_probabilities: Any, W2: Any, b2: Any, count: Any) -> Any:
    classes, places, rows = target // per_class, target % per_class, arange(count)
    scores = batched_dot(x, W2[classes]) + b2[classes]
    return class_probabilities[rows, classes] * softmax(scores, 1)[rows, places]


__all__ = ["h_softmax"]
