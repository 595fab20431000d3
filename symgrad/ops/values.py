"""What the graph alone tells about values: constants, lengths, and scalars that are always the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.errors import NotScalarConstantError, RankError, ShapeError
from symgrad.graph.op import user_error
from symgrad.graph.variables import Constant, Variable
from symgrad.kernels.grammar import Fixed
from symgrad.ops.axes import DimShuffle
from symgrad.ops.casting import Cast
from symgrad.ops.elementwise_op import Elementwise
from symgrad.ops.promotion import as_operand
from symgrad.ops.shape import BroadcastTo, ReshapeTo
from symgrad.ops.sizes import MakeVector, SpecifyShape, Unbroadcast
from symgrad.ops.subtensor import Subtensor

SAME_ELEMENTS = DimShuffle, BroadcastTo, ReshapeTo, SpecifyShape, Unbroadcast


def get_scalar_constant_value(
    v: Any, elemwise: bool = True, only_process_constants: bool = False, max_recur: int = 10
) -> np.ndarray:
    """Return the number that every element of a tensor is, if the graph alone tells it.

    Parameters
    ----------
    v : tensor or number
        A constant, a size that is known, one number stretched, an element of a list of numbers, arithmetic on them.
    elemwise : bool
        Whether arithmetic is carried out.
    only_process_constants : bool
        Whether only constants themselves count.
    max_recur : int
        How many ops to look through.

    Returns
    -------
    ndarray
        With no axes.

    Raises
    ------
    NotScalarConstantError
        If there is no such number.

    Notes
    -----
    Keeps the behaviour of Theano's ``get_scalar_constant_value``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> T.get_scalar_constant_value(T.alloc(2, T.lscalar(), 3))
    array(2, dtype=int8)
    """
    value = None if v is None else _only_value(as_operand(v), elemwise, 0 if only_process_constants else max_recur)
    if value is None:
        operands = [v] if isinstance(v, Variable) else []
        raise user_error(NotScalarConstantError, f"{v} isn't one number that the graph alone tells", operands)
    return value


def extract_constant(x: Any, elemwise: bool = True, only_process_constants: bool = False) -> Any:
    """Return `get_scalar_constant_value` of `x`, or `x` itself if there is no such number.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> int(T.extract_constant(T.constant(2)))
    2
    """
    try:
        return get_scalar_constant_value(x, elemwise, only_process_constants)
    except NotScalarConstantError:
        return x


def _only_value(v: Any, elemwise: bool, depth: int) -> np.ndarray | None:
    if isinstance(v, Constant):
        return _single(v.data)
    if v.known is not None and depth:
        return _single(v.known)
    if v.owner is None or not depth:
        return None
    op, inputs = v.owner.op, v.owner.inputs
    if isinstance(op, SAME_ELEMENTS):
        return _only_value(inputs[0], elemwise, depth - 1)
    if isinstance(op, Subtensor):
        return _value_of_part(op, inputs, elemwise, depth - 1)
    if isinstance(op, Cast) or (isinstance(op, Elementwise) and elemwise):
        values = [_only_value(variable, elemwise, depth - 1) for variable in inputs]
        return None if any(value is None for value in values) else np.asarray(op.evaluate(*values)[0])  # type: ignore[arg-type]
    return None


def _value_of_part(op: Subtensor, inputs: Any, elemwise: bool, depth: int) -> np.ndarray | None:
    """Return the only value of a part: of an array that is known, of a list of scalars, of equal elements."""
    whole, *bounds = inputs
    if isinstance(whole, Constant):
        known = [_only_value(bound, elemwise, depth) for bound in bounds]
        return None if any(bound is None for bound in known) else _single(op.evaluate(whole.data, *known)[0])  # type: ignore[arg-type]
    is_list = whole.owner is not None and isinstance(whole.owner.op, MakeVector)
    if is_list and len(op.index) == 1 and isinstance(op.index[0], Fixed):
        return _only_value(whole.owner.inputs[op.index[0].value], elemwise, depth)
    return _only_value(whole, elemwise, depth)


def _single(data: np.ndarray) -> np.ndarray | None:
    """Return the number that all elements are, as an array with no axes."""
    if data.size == 0 or (data != data.flat[0]).any():
        return None
    return np.array(data.flat[0], data.dtype)


def get_vector_length(v: Any) -> int:
    """Return the length of a vector that the graph knows.

    Raises
    ------
    ValueError
        If `v` isn't a vector, or its length isn't known.

    Notes
    -----
    Keeps the behaviour of Theano's ``get_vector_length``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> T.get_vector_length(T.tensor3().shape)
    3
    """
    v = as_operand(v)
    if v.type.ndim != 1:
        raise user_error(RankError, f"get_vector_length takes a vector, got {v.type}", [v])
    if v.type.shape[0] is None:
        raise user_error(ShapeError, f"the length of {v.type} isn't known while the graph is built", [v])
    return int(v.type.shape[0])


def is_flat(var: Any, outdim: int | None = None, ndim: int | None = None) -> bool:
    """Return whether a tensor has as many axes as `flatten` with `ndim` (by default 1) would leave.

    Notes
    -----
    Keeps the behaviour of Theano's ``is_flat``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> T.is_flat(T.vector()), T.is_flat(T.matrix())
    (True, False)
    """
    wanted = ndim if ndim is not None else outdim if outdim is not None else 1
    return bool(as_operand(var).type.ndim == wanted)


def tensor_from_scalar(s: Any) -> Any:
    """Return a scalar as a tensor with no axes, which it is here already.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.tensor_from_scalar(2).eval())
    2
    """
    return _scalar(s, "tensor_from_scalar")


def scalar_from_tensor(t: Any) -> Any:
    """Return a tensor with no axes as a scalar, which it is here already.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.scalar_from_tensor(T.constant(2)).eval())
    2
    """
    return _scalar(t, "scalar_from_tensor")


def _scalar(value: Any, where: str) -> Any:
    value = as_operand(value)
    if value.type.ndim:
        raise user_error(RankError, f"{where} takes a tensor with no axes, got {value.type}", [value])
    return value


__all__ = [
    "extract_constant", "get_scalar_constant_value", "get_vector_length", "is_flat", "scalar_from_tensor",
    "tensor_from_scalar",
]  # fmt: skip
