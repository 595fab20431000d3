"""Cross-entropies that start before the softmax, under Theano's names, and what programs need around them."""

from __future__ import annotations

from typing import Any

from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.op import user_error
from symgrad.ops.axes import dimshuffle
from symgrad.ops.casting import cast
from symgrad.ops.comparison import eq
from symgrad.ops.creation import arange, full
from symgrad.ops.elementwise import abs_, exp, log, rectify, softplus
from symgrad.ops.indexing import inc_subtensor
from symgrad.ops.joining import concatenate
from symgrad.ops.linalg import dot
from symgrad.ops.promotion import as_operand, float_of, is_discrete
from symgrad.ops.reduction import argmax
from symgrad.ops.reduction import max as max_over
from symgrad.ops.reduction import sum as sum_over
from symgrad.ops.sizes import size_of
from symgrad.ops.softmax import SoftmaxGradient, log_softmax, softmax


def softmax_with_bias(x: Any, b: Any) -> Any:
    """`softmax` of each row of ``x + b`` (Theano's function of that name).

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.nnet.softmax_with_bias([[0., 1.]], [1., 0.]).eval())
    [[0.5 0.5]]
    """
    return softmax(_matrix(x, "softmax_with_bias") + as_operand(b), 1)


def softmax_graph(c: Any) -> Any:
    """``exp(c) / sum(exp(c))`` along the last axis, written out; `softmax` doesn't overflow.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.nnet.softmax_graph([[0., 0.]]).eval())
    [[0.5 0.5]]
    """
    exponential = exp(as_operand(c))
    return exponential / sum_over(exponential, axis=-1, keepdims=True)


def softmax_grad(dy: Any, sm: Any) -> Any:
    """Return the gradient of softmax's input, from that of its output and the output `sm` itself.

    Parameters
    ----------
    dy, sm : float tensor of one shape
        Along the last axis, each row of `sm` is a softmax.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.nnet.softmax_grad([[1., 0.]], [[0.5, 0.5]]).eval())
    [[ 0.25 -0.25]]
    """
    dy, sm = as_operand(dy), as_operand(sm)
    return SoftmaxGradient(sm.type.ndim - 1)(dy, sm)


def crossentropy_softmax_argmax_1hot_with_bias(x: Any, b: Any, y_idx: Any) -> tuple[Any, Any, Any]:
    """Return the negative log-likelihood of labels, and what leads to it: softmax and the likeliest classes.

    Parameters
    ----------
    x : float matrix of shape (n, classes)
        Scores.
    b : float vector of shape (classes,)
        Added to each row.
    y_idx : integer vector of shape (n,)
        Labels.

    Returns
    -------
    loss : vector of shape (n,)
        ``-log(softmax(x + b))[i, y_idx[i]]``, without leaving the range of floats.
    probabilities : matrix of shape (n, classes)
        ``softmax(x + b)``.
    likeliest : vector of shape (n,)
        The class of the highest score, in the dtype of the labels.

    Raises
    ------
    ShapeError, DTypeError
        If the operands aren't a matrix, a vector and an integer vector.

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.crossentropy_softmax_argmax_1hot_with_bias``.

    Examples
    --------
    >>> import numpy as np, symgrad.tensor as T
    >>> x, b = np.array([[0.0, 1000.0]]), np.zeros(2)
    >>> loss, p, best = T.nnet.crossentropy_softmax_argmax_1hot_with_bias(x, b, np.array([0]))
    >>> print(loss.eval(), p.eval(), best.eval())
    [1000.] [[0. 1.]] [1]
    """
    name = "crossentropy_softmax_argmax_1hot_with_bias"
    scores, labels = _matrix(x, name), _labels(y_idx, name)
    bias = as_operand(b)
    if bias.type.ndim != 1:
        raise user_error(ShapeError, f"{name} takes a bias of one axis, got {bias.type}", [bias])
    scores = scores + bias
    loss = -log_softmax(scores, 1)[arange(size_of(labels, 0)), labels]
    return loss, softmax(scores, 1), cast(argmax(scores, axis=1), labels.type.dtype)


def crossentropy_softmax_1hot_with_bias(x: Any, b: Any, y_idx: Any) -> tuple[Any, Any]:
    """Return loss and probabilities of `crossentropy_softmax_argmax_1hot_with_bias`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> loss, probabilities = T.nnet.crossentropy_softmax_1hot_with_bias([[0., 1.]], [1., 0.], [1])
    >>> print(loss.eval().round(3), probabilities.eval())
    [0.693] [[0.5 0.5]]
    """
    return crossentropy_softmax_argmax_1hot_with_bias(x, b, y_idx)[:2]


def crossentropy_softmax_1hot(x: Any, y_idx: Any) -> tuple[Any, Any]:
    """Return loss and probabilities of `crossentropy_softmax_argmax_1hot_with_bias` without a bias.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> loss, probabilities = T.nnet.crossentropy_softmax_1hot([[0., 0.]], [1])
    >>> print(loss.eval().round(3), probabilities.eval())
    [0.693] [[0.5 0.5]]
    """
    scores = _matrix(x, "crossentropy_softmax_1hot")
    return crossentropy_softmax_1hot_with_bias(scores, _no_bias(scores), y_idx)


def crossentropy_softmax_max_and_argmax_1hot_with_bias(x: Any, b: Any, y_idx: Any) -> tuple[Any, Any, Any, Any]:
    """Return loss, softmax, the highest probability of each row, and its class.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> results = T.nnet.crossentropy_softmax_max_and_argmax_1hot_with_bias([[0., 0.]], [0., 0.], [1])
    >>> print(*[result.eval().round(3) for result in results])
    [0.693] [[0.5 0.5]] [0.5] [0]
    """
    loss, probabilities, _ = crossentropy_softmax_argmax_1hot_with_bias(x, b, y_idx)
    return loss, probabilities, max_over(probabilities, axis=1), argmax(probabilities, axis=1)


def crossentropy_softmax_max_and_argmax_1hot(x: Any, y_idx: Any) -> tuple[Any, Any, Any, Any]:
    """Return what `crossentropy_softmax_max_and_argmax_1hot_with_bias` returns, without a bias.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> results = T.nnet.crossentropy_softmax_max_and_argmax_1hot([[0., 0.]], [1])
    >>> print(*[result.eval().round(3) for result in results])
    [0.693] [[0.5 0.5]] [0.5] [0]
    """
    scores = _matrix(x, "crossentropy_softmax_max_and_argmax_1hot")
    return crossentropy_softmax_max_and_argmax_1hot_with_bias(scores, _no_bias(scores), y_idx)


def crossentropy_softmax_1hot_with_bias_dx(dy: Any, sm: Any, y_idx: Any) -> Any:
    """Return the gradient of the scores of `crossentropy_softmax_1hot_with_bias`: ``dy * (sm - one_hot(y_idx))``.

    Parameters
    ----------
    dy : float vector of shape (n,), or scalar
        Gradient of the loss.
    sm : float matrix of shape (n, classes)
        The softmax.
    y_idx : integer vector of shape (n,)
        Labels.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.nnet.crossentropy_softmax_1hot_with_bias_dx([2.], [[0.5, 0.5]], [1]).eval())
    [[ 1. -1.]]
    """
    name = "crossentropy_softmax_1hot_with_bias_dx"
    probabilities, labels, dy = _matrix(sm, name), _labels(y_idx, name), as_operand(dy)
    differences = inc_subtensor(probabilities[arange(size_of(labels, 0)), labels], -1)
    return differences * (dimshuffle(dy, 0, "x") if dy.type.ndim == 1 else dy)


def crossentropy_categorical_1hot(coding_dist: Any, true_one_of_n: Any) -> Any:
    """Return ``-log(coding_dist[i, true_one_of_n[i]])`` for each row.

    Parameters
    ----------
    coding_dist : float matrix of shape (n, classes)
        Probabilities.
    true_one_of_n : integer vector of shape (n,)
        Labels.

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.crossentropy_categorical_1hot``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.nnet.crossentropy_categorical_1hot([[0.5, 0.5], [0.9, 0.1]], [0, 1]).eval().round(3))
    [0.693 2.303]
    """
    name = "crossentropy_categorical_1hot"
    probabilities, labels = _matrix(coding_dist, name), _labels(true_one_of_n, name)
    return -log(probabilities[arange(size_of(labels, 0)), labels])


def crossentropy_categorical_1hot_grad(g_y: Any, coding_dist: Any, true_one_of_n: Any) -> Any:
    """Return the gradient of the probabilities of `crossentropy_categorical_1hot` from that of its result.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.nnet.crossentropy_categorical_1hot_grad([1., 1.], [[0.5, 0.5], [0.8, 0.2]], [0, 1]).eval())
    [[-2.  0.]
     [ 0. -5.]]
    """
    name = "crossentropy_categorical_1hot_grad"
    probabilities, labels = _matrix(coding_dist, name), _labels(true_one_of_n, name)
    rows = arange(size_of(labels, 0))
    return inc_subtensor((probabilities * 0)[rows, labels], -as_operand(g_y) / probabilities[rows, labels])


def sigmoid_binary_crossentropy(output: Any, target: Any) -> Any:
    """Cross-entropy of two classes before the sigmoid, elementwise, without leaving the range of floats.

    Parameters
    ----------
    output : float tensor
        Scores; the probabilities are ``sigmoid(output)``.
    target : tensor
        Labels 0 and 1, or true probabilities.

    Returns
    -------
    tensor
        ``-(t * log(sigmoid(x)) + (1 - t) * log(1 - sigmoid(x)))``.

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.sigmoid_binary_crossentropy``.

    Examples
    --------
    >>> import numpy as np, symgrad.tensor as T
    >>> print(T.nnet.sigmoid_binary_crossentropy(np.array([800.0, 0.0]), np.array([0.0, 1.0])).eval().tolist())
    [800.0, 0.6931471805599453]
    """
    x = as_operand(output)
    x = cast(x, float_of(x.type.dtype))
    return softplus(-abs_(x)) + (rectify(x) - as_operand(target) * x)


def prepend_scalar_to_each_row(val: Any, mat: Any) -> Any:
    """Return a matrix with a column of one value in front, in the dtype of the matrix.

    Parameters
    ----------
    val : number or scalar
        The value.
    mat : matrix
        Any dtype.

    Examples
    --------
    >>> import numpy as np, symgrad.tensor as T
    >>> print(T.nnet.prepend_scalar_to_each_row(5, np.array([[1, 2], [3, 4]])).eval())
    [[5 1 2]
     [5 3 4]]
    """
    matrix = as_operand(mat)
    if matrix.type.ndim != 2:
        raise user_error(ShapeError, f"prepend_scalar_to_each_row takes a matrix, got {matrix.type}", [matrix])
    column = full([size_of(matrix, 0), 1], val, matrix.type.dtype)
    return concatenate([column, matrix], axis=1)


def prepend_0_to_each_row(mat: Any) -> Any:
    """Return a matrix with a column of zeros in front.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.nnet.prepend_0_to_each_row([[1, 2], [3, 4]]).eval())
    [[0 1 2]
     [0 3 4]]
    """
    return prepend_scalar_to_each_row(0, mat)


def prepend_1_to_each_row(mat: Any) -> Any:
    """Return a matrix with a column of ones in front.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.nnet.prepend_1_to_each_row([[1, 2], [3, 4]]).eval())
    [[1 1 2]
     [1 3 4]]
    """
    return prepend_scalar_to_each_row(1, mat)


def confusion_matrix(actual: Any, pred: Any) -> list[Any]:
    """Count how often each class was taken for each.

    Parameters
    ----------
    actual, pred : vector of shape (n,)
        True and predicted classes.

    Returns
    -------
    counts : int64 matrix
        Row i and column j: how many of class ``order[i]`` were taken for ``order[j]``.
    order : vector
        The classes that occur, sorted.

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.confusion_matrix``.

    Examples
    --------
    >>> import numpy as np, symgrad.tensor as T
    >>> counts, order = T.nnet.confusion_matrix(np.array([2, 0, 2]), np.array([0, 0, 2]))
    >>> print(counts.eval(), order.eval())
    [[1 0]
     [1 1]] [0 2]
    """
    from symgrad.ops.counting import unique

    classes = [as_operand(actual), as_operand(pred)]
    if any(variable.type.ndim != 1 for variable in classes):
        found = " and ".join([str(variable.type) for variable in classes])
        raise user_error(ShapeError, f"confusion_matrix takes two vectors, got {found}", classes)
    order = unique(concatenate(classes))
    is_class = [cast(eq(dimshuffle(v, 0, "x"), dimshuffle(order, "x", 0)), "int64") for v in classes]
    return [dot(is_class[0].T, is_class[1]), order]


def _matrix(x: Any, name: str) -> Any:
    x = as_operand(x)
    if x.type.ndim != 2:
        raise user_error(ShapeError, f"{name} takes a matrix (n, classes), got {x.type}", [x])
    return cast(x, float_of(x.type.dtype))


def _labels(y: Any, name: str) -> Any:
    y = as_operand(y)
    if y.type.ndim != 1:
        raise user_error(ShapeError, f"{name} takes labels of one axis, got {y.type}", [y])
    if not is_discrete(y.type.dtype):
        raise user_error(
            DTypeError, f"labels must be integers, got {y.type}", [y], "Cast them: T.cast(y, 'int32')."
        )
    return y


def _no_bias(scores: Any) -> Any:
    return full([size_of(scores, 1)], 0, scores.type.dtype)


__all__ = [
    "confusion_matrix", "crossentropy_categorical_1hot", "crossentropy_categorical_1hot_grad",
    "crossentropy_softmax_1hot", "crossentropy_softmax_1hot_with_bias", "crossentropy_softmax_1hot_with_bias_dx",
    "crossentropy_softmax_argmax_1hot_with_bias", "crossentropy_softmax_max_and_argmax_1hot",
    "crossentropy_softmax_max_and_argmax_1hot_with_bias", "prepend_0_to_each_row", "prepend_1_to_each_row",
    "prepend_scalar_to_each_row", "sigmoid_binary_crossentropy", "softmax_grad", "softmax_graph", "softmax_with_bias",
]  # fmt: skip
