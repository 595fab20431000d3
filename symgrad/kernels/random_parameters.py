"""Shapes and parameters of the random distributions: broadcast once, checked once, then cut into pieces.

A parameter is either an array without dimensions, which belongs to every element, or a vector with one entry for each
element of the flattened result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

Shape = int | Sequence[int]


def sizes_of(shape: Shape) -> tuple[int, ...]:
    """Return a shape as a tuple; a number stands for a vector of that size."""
    return (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(int(size) for size in shape)


def allocate(shape: Shape, dtype: DTypeLike, out: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the result and its flat view, made from `out` where given."""
    dtype = np.dtype(dtype)
    sizes = sizes_of(shape)
    if out is None:
        out = np.empty(sizes, dtype=dtype)
    elif out.shape != sizes or out.dtype != dtype or not out.flags.c_contiguous:
        raise ValueError(f"out must be C-contiguous {dtype} of shape {sizes}, got {out.dtype} {out.shape}")
    return out, out.reshape(-1)


def flat_parameter(name: str, value: ArrayLike, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return a parameter as an array without dimensions, or as one element for each element of the result."""
    array = np.asarray(value, dtype=dtype)
    if array.ndim == 0:
        return array
    try:
        return np.broadcast_to(array, shape).reshape(-1)
    except ValueError:
        raise ValueError(f"{name} of shape {array.shape} does not broadcast to the result's shape {shape}") from None


def integer_parameter(name: str, value: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return a parameter that counts something, as `flat_parameter` does, in int64."""
    array = np.asarray(value)
    if array.dtype.kind not in "biu" and array.size:
        raise TypeError(f"{name} must be an integer, got {array.dtype}")
    if array.dtype == np.uint64:
        require(f"{name} must fit int64", array, array <= np.uint64(np.iinfo(np.int64).max))
    return flat_parameter(name, array, shape, np.int64)


def probabilities(value: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a probability as `flat_parameter` does, checked."""
    chances = flat_parameter("p", value, shape, np.float64)
    require("p must lie between 0 and 1", chances, (chances >= 0) & (chances <= 1))
    return chances


def part(parameter: NDArray[Any], start: int, stop: int) -> NDArray[Any]:
    """Return the piece of a flat parameter that belongs to elements ``start`` to ``stop - 1``."""
    return parameter[start:stop] if parameter.ndim else parameter


def require(condition: str, values: NDArray[Any], holds: NDArray[np.bool_]) -> None:
    """Raise ValueError with the condition and the first value that breaks it, if any does."""
    if not np.all(holds):
        raise ValueError(f"{condition}; got {np.broadcast_to(values, np.shape(holds))[~np.asarray(holds)].flat[0]}")


def pick(parameter: NDArray[Any], elements: NDArray[np.int64]) -> NDArray[Any]:
    """Return the entries of a flat parameter that belong to some elements."""
    return parameter[elements] if parameter.ndim else parameter
