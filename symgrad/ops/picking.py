"""Elements picked by position: `take`, `choose`, `compress`, and permutations of rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.errors import DTypeError, RankError, ShapeError
from symgrad.graph.op import user_error
from symgrad.ops.axes import checked_axis, dimshuffle
from symgrad.ops.comparison import lt
from symgrad.ops.creation import arange, zeros, zeros_like
from symgrad.ops.elementwise import clip, switch
from symgrad.ops.indexing import get_item, set_subtensor
from symgrad.ops.joining import stack
from symgrad.ops.nonzero import flatnonzero
from symgrad.ops.promotion import as_operand, is_discrete
from symgrad.ops.shape import alloc, broadcast_arrays, flatten
from symgrad.ops.sizes import size_of

MODES = ("raise", "wrap", "clip")


def _positions(indices: Any, size: Any, mode: str, where: str) -> Any:
    """Return integer positions that lie inside `size` as `mode` says; ``'raise'`` leaves that to the indexing."""
    if mode not in MODES:
        raise user_error(ValueError, f"{where} knows the modes {', '.join(map(repr, MODES))}, got {mode!r}")
    indices = as_operand(np.asarray(indices, "int64") if isinstance(indices, list | tuple) and not indices else indices)
    if not is_discrete(indices.type.dtype):
        raise user_error(DTypeError, f"{where} needs integers as positions, got {indices.type}", [indices])
    indices = indices.astype("int64") if indices.type.dtype == "bool" or mode != "raise" else indices
    if mode == "wrap":
        return indices % size
    return clip(indices, np.int64(0), size - 1) if mode == "clip" else indices


def take(x: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> Any:
    """Return the elements of `x` at positions along an axis.

    Parameters
    ----------
    x : tensor
        Where to take from.
    indices : integer tensor, or nested list of integers
        Positions, of any shape; its axes stand in place of `axis` in the result.
    axis : int, optional
        Along which axis; None takes from the flattened tensor.
    mode : {'raise', 'wrap', 'clip'}
        What a position outside does: raise (positions from -size to size - 1 are inside), count on from the other
        end, or mean the nearest end (then negative ones mean the first element).

    Returns
    -------
    tensor
        Of the shape ``x.shape[:axis] + indices.shape + x.shape[axis + 1:]``.

    Raises
    ------
    IndexingError
        When the compiled function is called, if a position lies outside.

    Notes
    -----
    Keeps the behaviour of Theano's ``take``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dvector('x')
    >>> print(T.take(x, [3, -4], mode='wrap').eval({x: [1., 2., 3.]}))
    [1. 3.]
    """
    x = as_operand(x)
    if axis is None:
        x, axis = flatten(x), 0
    axis = checked_axis(axis, x, "take")
    return get_item(x, (*[slice(None)] * axis, _positions(indices, size_of(x, axis), mode, "take")))


def compress(condition: Any, x: Any, axis: int | None = None) -> Any:
    """Return the slices of `x` along an axis for which a vector of conditions holds.

    Parameters
    ----------
    condition : vector
        Which positions to keep; may be shorter than the axis.
    x : tensor
        Where to take from.
    axis : int, optional
        Along which axis; None takes from the flattened tensor.

    Returns
    -------
    tensor
        Of a size along `axis` that only a call knows.

    Notes
    -----
    Keeps the behaviour of Theano's ``compress``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dmatrix('x')
    >>> print(T.compress([0, 1], x, axis=0).eval({x: [[1., 2.], [3., 4.]]}))
    [[3. 4.]]
    """
    return take(x, flatnonzero(condition), axis)


def choose(a: Any, choices: Any, mode: str = "raise") -> Any:
    """Return for each element the one that stands at its place in the tensor that `a` picks.

    Parameters
    ----------
    a : integer tensor
        Which of the tensors to choose from, elementwise.
    choices : list of tensors, or tensor
        The tensors, or one whose first axis counts them. All broadcast with `a`.
    mode : {'raise', 'wrap', 'clip'}
        What a number that names no tensor does: raise, count on from the other end, or mean the nearest end.

    Returns
    -------
    tensor
        ``choices[a[i]][i]`` for each index ``i`` of the broadcast shape.

    Raises
    ------
    IndexingError
        When the compiled function is called, if a number names no tensor.

    Notes
    -----
    Keeps the behaviour of Theano's ``choose``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> i = T.lvector('i')
    >>> print(T.choose(i, [[10, 20], [30, 40]]).eval({i: [1, 0]}))
    [30 20]
    """
    listed = choices if isinstance(choices, list | tuple) else None
    choices = as_operand(choices) if listed is None else choices
    if listed is None and choices.type.ndim and choices.type.shape[0] is not None:
        listed = [choices[number] for number in range(choices.type.shape[0])]
    if listed is not None and not listed:
        raise user_error(ShapeError, "choose needs at least one tensor to choose from")
    if listed is None and choices.type.ndim == 0:
        raise user_error(ShapeError, f"choose needs several tensors to choose from, got {choices.type}", [choices])
    count = len(listed) if listed is not None else size_of(choices, 0)
    positions = _positions(a, count, mode, "choose")
    if mode == "raise":
        wide = positions.astype("int64")
        positions = switch(lt(wide, 0), count, wide)
    if listed is not None:
        positions, *listed = broadcast_arrays(positions, *listed)
        choices = stack(listed)
    else:
        positions, _ = broadcast_arrays(positions, choices[0])
        new_axes = ["x"] * (positions.type.ndim - choices.type.ndim + 1)
        rows = dimshuffle(choices, 0, *new_axes, *range(1, choices.type.ndim))
        choices = alloc(rows, count, *[size_of(positions, axis) for axis in range(positions.type.ndim)])
    return get_item(choices, (positions, *grid(positions)))


def grid(x: Any, without: int | None = None) -> list[Any]:
    """Return for each axis of `x` the positions along it, so that together they stretch to all indices of `x`.

    For the axis `without` there is nothing.
    """
    ndim = x.type.ndim
    return [
        dimshuffle(arange(size_of(x, axis)), *["x"] * axis, 0, *["x"] * (ndim - axis - 1))
        for axis in range(ndim) if axis != without
    ]  # fmt: skip


def take_along_axis(x: Any, indices: Any, axis: int | None = -1) -> Any:
    """Return elements of `x` along an axis, at a position of its own for each place, as `numpy.take_along_axis`.

    Parameters
    ----------
    x : tensor
        Where to take from; None as `axis` takes from the flattened tensor.
    indices : integer tensor
        Positions, with as many axes as `x`; other axes than `axis` broadcast.
    axis : int, optional
        Along which axis.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dmatrix('x')
    >>> print(T.take_along_axis(x, T.argsort(x, axis=1), axis=1).eval({x: [[2., 1.], [3., 4.]]}))
    [[1. 2.]
     [3. 4.]]
    """
    x, indices = as_operand(x), as_operand(indices)
    if axis is None:
        x, axis = flatten(x), 0
    if not is_discrete(indices.type.dtype) or indices.type.dtype == "bool":
        raise user_error(DTypeError, f"take_along_axis needs integers as positions, got {indices.type}", [x, indices])
    if indices.type.ndim != x.type.ndim:
        raise user_error(
            ShapeError, f"take_along_axis needs as many axes of positions as of the tensor, got {indices.type.ndim} "
            f"and {x.type.ndim}", [x, indices],
        )  # fmt: skip
    axis = checked_axis(axis, x, "take_along_axis")
    return get_item(x, _places_along(x, indices, axis))


def _places_along(x: Any, indices: Any, axis: int) -> tuple[Any, ...]:
    """Return the index that takes a position along an axis, and its own place on the others (0 where that is all)."""
    places: list[Any] = grid(x, without=axis)
    places.insert(axis, indices)
    return tuple(places)


def permute_row_elements(x: Any, y: Any, inverse: Any = 0) -> Any:
    """Return `x` with the elements of each row (along the last axis) in another order.

    Parameters
    ----------
    x : tensor
        Rows.
    y : integer tensor
        A permutation for each row; leading axes of both broadcast.
    inverse : bool
        Whether elements go to the positions in `y`, instead of coming from there.

    Returns
    -------
    tensor
        ``x[..., y]``, or for `inverse` what that undoes.

    Notes
    -----
    Keeps the behaviour of Theano's ``permute_row_elements``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dvector('x')
    >>> print(T.permute_row_elements(x, [2, 0, 1]).eval({x: [1., 2., 3.]}))
    [3. 1. 2.]
    """
    x, y = as_operand(x), as_operand(y)
    if not x.type.ndim or not y.type.ndim:
        raise user_error(RankError, f"permute_row_elements needs rows, got {x.type} and {y.type}", [x, y])
    if inverse:
        y = inverse_permutation(y)
    x, y = broadcast_arrays(x, y, where="permute_row_elements")
    return get_item(x, _places_along(y, y, y.type.ndim - 1))


def inverse_permutation(perm: Any) -> Any:
    """Return the permutation that undoes `perm`; of a matrix, row by row.

    Notes
    -----
    Keeps the behaviour of Theano's ``inverse_permutation``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.inverse_permutation([2, 0, 1]).eval())
    [1 2 0]
    """
    perm = as_operand(perm)
    if not perm.type.ndim or not is_discrete(perm.type.dtype):
        raise user_error(DTypeError, f"inverse_permutation needs integers, got {perm.type}", [perm])
    last = perm.type.ndim - 1
    places = _places_along(perm, perm, last)
    return set_subtensor(get_item(zeros_like(perm), places), arange(size_of(perm, last)).astype(perm.type.dtype))


def to_one_hot(y: Any, nb_class: Any, dtype: str | None = None) -> Any:
    """Return a matrix with a row for each label: 1 at the label, 0 elsewhere.

    Parameters
    ----------
    y : integer vector
        Labels from 0 to ``nb_class - 1``.
    nb_class : int or integer scalar
        How many labels there are.
    dtype : str, optional
        Element type, by default ``floatX``.

    Notes
    -----
    Keeps the behaviour of Theano's ``to_one_hot``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.to_one_hot(T.constant([2, 0]), 3, dtype='int8').eval())
    [[0 0 1]
     [1 0 0]]
    """
    y = as_operand(y)
    if y.type.ndim != 1 or not is_discrete(y.type.dtype):
        raise user_error(DTypeError, f"to_one_hot takes a vector of integers, got {y.type}", [y])
    empty = zeros([size_of(y, 0), nb_class], dtype)
    return set_subtensor(get_item(empty, (arange(size_of(y, 0)), y)), 1)


__all__ = [
    "choose", "compress", "inverse_permutation", "permute_row_elements", "take", "take_along_axis", "to_one_hot",
]  # fmt: skip
