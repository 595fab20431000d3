"""Batch normalization, and normalization of each pixel by its neighbouring channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad.config import config
from symgrad.errors import ShapeError
from symgrad.graph.op import user_error
from symgrad.graph.variables import Variable
from symgrad.ops.axes import dimshuffle
from symgrad.ops.casting import as_floats, cast
from symgrad.ops.elementwise import sqr, sqrt
from symgrad.ops.pool import Pool2d
from symgrad.ops.promotion import scalar_constant
from symgrad.ops.reduction import mean as mean_over
from symgrad.ops.reduction import var as var_over
from symgrad.ops.shape import reshape
from symgrad.ops.sizes import addbroadcast, known_size, size_of, sizes_product

LEAST_EPSILON = 1e-5


def batch_normalization_train(
    inputs: Any,
    gamma: Any,
    beta: Any,
    axes: Any = "per-activation",
    epsilon: Any = 1e-4,
    running_average_factor: Any = 0.1,
    running_mean: Any = None,
    running_var: Any = None,
) -> tuple[Any, ...]:
    """Normalize a batch by its own mean and variance.

    ``out = (inputs - mean) * invstd * gamma + beta``, with mean and ``invstd = 1 / sqrt(var + epsilon)`` over `axes`.

    Parameters
    ----------
    inputs : float tensor
        The batch; its first axis are the examples.
    gamma, beta : float tensor
        Scale and shift: with as many axes as the inputs and sizes of 1 along `axes`; or with the other axes only.
    axes : {'per-activation', 'spatial'}, int or sequence of int
        Over which axes to normalize: the first; all but the second; or those.
    epsilon : float or scalar
        Added to the variance; at least 1e-5.
    running_average_factor : float or scalar
        How far running averages go towards the values of this batch.
    running_mean, running_var : float tensor, optional
        Averages so far, of the sizes of `gamma`; both or neither.

    Returns
    -------
    out : tensor
        Of the shape of the inputs.
    mean, invstd : tensor
        Of this batch, of the sizes of `gamma`.
    new_running_mean, new_running_var : tensor
        If averages were given. The variance counts as m / (m - 1) times that of the batch, where m is the number of
        values that each mean is of. Use them as updates.

    Raises
    ------
    ShapeError
        If numbers of axes don't fit, or epsilon is too small.

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.bn.batch_normalization_train``.

    Examples
    --------
    >>> import numpy as np, symgrad.tensor as T
    >>> out, mean, invstd = T.nnet.batch_normalization_train(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1))
    >>> print(out.eval().ravel().round(3), mean.eval())
    [-1.  1.] [2.]
    """
    name = "batch_normalization_train"
    inputs = as_floats(inputs)
    over = _normalized_axes(axes, inputs, name)
    if (running_mean is None) != (running_var is None):
        raise user_error(ShapeError, f"{name} takes both running_mean and running_var, or neither")
    given = [gamma, beta] if running_mean is None else [gamma, beta, running_mean, running_var]
    compact, parameters = _parameters(given, inputs, over, name)
    epsilon = _epsilon(epsilon, name, inputs)
    mean, variance = mean_over(inputs, over, keepdims=True), var_over(inputs, over, keepdims=True)
    invstd = 1 / sqrt(variance + epsilon)
    out = (inputs - mean) * (parameters[0] * invstd) + parameters[1]
    results = [mean, invstd]
    if running_mean is not None:
        count = cast(sizes_product([size_of(inputs, axis) for axis in over]), inputs.type.dtype)
        factor = _number(running_average_factor, inputs)
        results.append(parameters[2] * (1 - factor) + mean * factor)
        results.append(parameters[3] * (1 - factor) + (count / (count - 1)) * variance * factor)
    if compact:
        kept = [axis for axis in range(inputs.type.ndim) if axis not in over]
        results = [dimshuffle(result, *kept) for result in results]
    return out, *results


def batch_normalization_test(
    inputs: Any, gamma: Any, beta: Any, mean: Any, var: Any, axes: Any = "per-activation", epsilon: Any = 1e-4
) -> Any:
    """Normalize a batch by a given mean and variance: ``(inputs - mean) * gamma / sqrt(var + epsilon) + beta``.

    Parameters
    ----------
    inputs : float tensor
        The batch.
    gamma, beta, mean, var : float tensor
        With as many axes as the inputs and sizes of 1 along `axes`; or with the other axes only.
    axes, epsilon
        As for `batch_normalization_train`.

    Returns
    -------
    tensor
        Of the shape of the inputs.

    Raises
    ------
    ShapeError
        If numbers of axes don't fit, or epsilon is too small.

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.bn.batch_normalization_test``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> results = T.nnet.batch_normalization_test([[3., 5.]], [[1., 1.]], [[0., 0.]], [[1., 1.]], [[4., 16.]])
    >>> print(results.eval().round(2))
    [[1. 1.]]
    """
    name = "batch_normalization_test"
    inputs = as_floats(inputs)
    over = _normalized_axes(axes, inputs, name)
    _, (gamma, beta, mean, var) = _parameters([gamma, beta, mean, var], inputs, over, name)
    return (inputs - mean) * (gamma / sqrt(var + _epsilon(epsilon, name, inputs))) + beta


def batch_normalization(inputs: Any, gamma: Any, beta: Any, mean: Any, std: Any, mode: str = "low_mem") -> Any:
    """Normalize by given values: ``(inputs - mean) * (gamma / std) + beta``, broadcast as usual.

    Parameters
    ----------
    inputs, gamma, beta, mean, std : float tensor
        Anything that broadcasts. `std` is divided by as it is.
    mode : {'low_mem', 'high_mem'}
        Makes no difference here.

    Returns
    -------
    tensor

    Notes
    -----
    Keeps the behaviour of Theano's ``nnet.bn.batch_normalization``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = [[1., 3.]]
    >>> print(T.nnet.batch_normalization(x, gamma=2., beta=1., mean=[1., 1.], std=[1., 2.]).eval())
    [[1. 3.]]
    """
    if mode not in ("low_mem", "high_mem"):
        raise user_error(ValueError, f"batch_normalization has no mode {mode!r}; it has low_mem and high_mem")
    inputs, gamma, beta, mean, std = [as_floats(operand) for operand in (inputs, gamma, beta, mean, std)]
    return (inputs - mean) * (gamma / std) + beta


def _normalized_axes(axes: Any, inputs: Any, name: str) -> tuple[int, ...]:
    ndim = inputs.type.ndim
    if axes == "per-activation":
        axes = (0,)
    elif axes == "spatial":
        axes = (0, *range(2, ndim))
    axes = (axes,) if isinstance(axes, int | np.integer) else axes
    fits = isinstance(axes, Sequence | np.ndarray) and all(
        isinstance(axis, int | np.integer) and -ndim <= axis < ndim for axis in axes
    )
    if not fits or not len(axes):
        raise user_error(
            ShapeError, f"{name} takes 'per-activation', 'spatial' or axes of its inputs, got axes={axes!r:.60}",
            [inputs],
        )
    return tuple(sorted({int(axis) % ndim for axis in axes}))


def _parameters(given: Sequence[Any], inputs: Any, over: Sequence[int], name: str) -> tuple[bool, list[Any]]:
    """Return whether parameters lack the normalized axes, and all of them with these axes, known to have size 1."""
    variables = [as_floats(variable) for variable in given]
    ndim, kept = inputs.type.ndim, [axis for axis in range(inputs.type.ndim) if axis not in over]
    compact = variables[0].type.ndim != ndim
    wanted = len(kept) if compact else ndim
    if any(variable.type.ndim != wanted for variable in variables):
        found = ", ".join([str(variable.type.ndim) for variable in variables])
        raise user_error(
            ShapeError,
            f"{name} takes parameters of {ndim} axes like its inputs, or of the {len(kept)} that aren't normalized; "
            f"got {found}",
            [inputs, *variables],
        )
    if not compact:
        return False, [addbroadcast(variable, *over) for variable in variables]
    order = [kept.index(axis) if axis in kept else "x" for axis in range(ndim)]
    return True, [dimshuffle(variable, *order) for variable in variables]


def _number(value: Any, like: Any) -> Any:
    """Return a number in the dtype of a tensor; a variable as it is."""
    return value if isinstance(value, Variable) else scalar_constant(value, like.type.dtype)


def _epsilon(epsilon: Any, name: str, inputs: Any) -> Any:
    least = np.asarray(LEAST_EPSILON, config.floatX)
    if not isinstance(epsilon, Variable) and scalar_constant(epsilon, config.floatX).data < least:
        raise user_error(ShapeError, f"{name} needs an epsilon of at least {LEAST_EPSILON}, got {epsilon!r:.60}")
    return _number(epsilon, inputs)


def local_response_normalization(x: Any, alpha: Any = 1e-4, k: Any = 2, beta: Any = 0.75, n: int = 5) -> Any:
    """Divide each pixel by a power of the squares in the channels around it.

    ``out[b, c] = x[b, c] / (k + alpha * sum of x[b, i] ** 2 over channels i from c - n // 2 to c + n // 2) ** beta``

    Parameters
    ----------
    x : float tensor of shape (N, C, ...)
        Images.
    alpha, k, beta : float or scalar
        Constants of the formula.
    n : odd int
        How many channels the sum is over.

    Returns
    -------
    tensor
        Of the same shape.

    Raises
    ------
    ShapeError
        If `n` isn't odd, or `x` has fewer than two axes.

    Examples
    --------
    >>> import numpy as np, symgrad.tensor as T
    >>> x = np.array([[1.0, 2.0, 3.0]]).reshape(1, 3, 1, 1)
    >>> print(T.nnet.local_response_normalization(x, alpha=1, k=0, beta=1, n=3).eval().ravel().round(3))
    [0.2   0.143 0.231]
    """
    x = as_floats(x)
    if not isinstance(n, int | np.integer) or n < 1 or n % 2 == 0:
        raise user_error(ShapeError, f"local_response_normalization needs an odd number of channels, got n={n!r:.60}")
    if x.type.ndim < 2:
        raise user_error(ShapeError, f"local_response_normalization takes images (N, C, ...), got {x.type}", [x])
    sizes = [known_size(x, axis) for axis in range(x.type.ndim)]
    planes = reshape(sqr(x), [*sizes[:2], sizes_product(sizes[2:])])
    around = Pool2d((int(n), 1), (1, 1), (int(n) // 2, 0), True, "sum")(planes)
    alpha, k, beta = [_number(number, x) for number in (alpha, k, beta)]
    return x / (k + alpha * reshape(around, sizes)) ** beta


__all__ = [
    "batch_normalization", "batch_normalization_test", "batch_normalization_train", "local_response_normalization",
]  # fmt: skip
