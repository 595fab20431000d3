"""Numbers at even distances, and grids of them."""

from __future__ import annotations

from typing import Any

from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.op import user_error
from symgrad.graph.types import dtype_name
from symgrad.ops.axes import dimshuffle, shape_padleft
from symgrad.ops.casting import cast
from symgrad.ops.comparison import eq
from symgrad.ops.creation import arange
from symgrad.ops.elementwise import log10, maximum, power, switch
from symgrad.ops.promotion import as_operand, as_operands, float_of, is_discrete, upcast
from symgrad.ops.repeating import integer_scalar
from symgrad.ops.shape import broadcast_arrays


def linspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: str | None = None) -> Any:
    """Return numbers from `start` to `stop` at even distances, as `numpy.linspace`.

    Parameters
    ----------
    start, stop : tensor
        The ends; if they have axes, the new one stands in front.
    num : int or integer scalar
        How many numbers.
    endpoint : bool
        Whether `stop` is the last one, instead of the one that would follow.
    dtype : str, optional
        Element type, by default the float in which both ends meet.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.linspace(0, 1, 5).eval())
    [0.   0.25 0.5  0.75 1.  ]
    """
    start, stop = as_operands(start, stop)
    computed = float_of(upcast(start.type.dtype, stop.type.dtype))
    start, stop = cast(start, computed), cast(stop, computed)
    num = integer_scalar(num, "linspace")
    if isinstance(num, int) and num < 0:
        raise user_error(ShapeError, f"linspace can't make {num} numbers", [start, stop])
    steps = num - 1 if endpoint else num
    steps = max(steps, 1) if isinstance(steps, int) else maximum(steps, 1)
    ndim = max(start.type.ndim, stop.type.ndim)
    place = dimshuffle(arange(num), 0, *["x"] * ndim)
    numbers = start + cast(place, computed) * ((stop - start) / cast(steps, computed))
    if endpoint and num != 1:
        is_last = eq(place, steps) if isinstance(num, int) else eq(place, steps) & (num > 1)
        numbers = switch(is_last, shape_padleft(stop, ndim + 1 - stop.type.ndim), numbers)
    return cast(numbers, dtype or computed)


def logspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10.0, dtype: str | None = None
) -> Any:
    """Return ``base ** linspace(start, stop)``: numbers whose logarithms lie at even distances.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.logspace(0, 2, 3).eval())
    [  1.  10. 100.]
    """
    exponents = linspace(start, stop, num, endpoint)
    powers = power(as_operand(base, [exponents.type.dtype]), exponents)
    return powers if dtype is None else cast(powers, dtype)


def geomspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: str | None = None) -> Any:
    """Return numbers from `start` to `stop`, each the same multiple of the one before, both positive.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.geomspace(1, 8, 4, dtype='float64').eval().round(5))
    [1. 2. 4. 8.]
    """
    start, stop = as_operands(start, stop)
    computed = float_of(upcast(start.type.dtype, stop.type.dtype))
    computed = computed if dtype is None or is_discrete(dtype_name(dtype)) else dtype
    return logspace(log10(cast(start, computed)), log10(cast(stop, computed)), num, endpoint, dtype=dtype)


def meshgrid(*xi: Any, indexing: str = "xy", sparse: bool = False) -> list[Any]:
    """Return the coordinates of all points of a grid, as `numpy.meshgrid`.

    Parameters
    ----------
    *xi : vectors
        The coordinates along each axis.
    indexing : {'xy', 'ij'}
        Whether the first coordinate runs along the second axis, as x and y in a picture, or along the first.
    sparse : bool
        Whether the results have size 1 on all axes but their own, and stretch.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x, y = T.meshgrid([1, 2], [3, 4])
    >>> print(x.eval().tolist(), y.eval().tolist())
    [[1, 2], [1, 2]] [[3, 3], [4, 4]]
    """
    if indexing not in ("xy", "ij"):
        raise user_error(ValueError, f"meshgrid knows the orders 'xy' and 'ij', got {indexing!r}")
    axes = list(range(len(xi)))
    if indexing == "xy" and len(xi) > 1:
        axes[:2] = [1, 0]
    vectors = [as_operand(x) for x in xi]
    for vector in vectors:
        if vector.type.ndim > 1:
            raise user_error(ShapeError, f"meshgrid takes vectors, got {vector.type}", [vector])
    grids = []
    for axis, vector in zip(axes, vectors, strict=True):
        order: list[Any] = ["x"] * len(xi)
        order[axis] = 0 if vector.type.ndim else "x"
        grids.append(dimshuffle(vector, *order))
    return grids if sparse else broadcast_arrays(*grids, where="meshgrid")


class Grid:
    """What ``T.mgrid[0:3, 0:4]`` and ``T.ogrid[0:3, 0:4]`` index: slices become ranges along axes of their own.

    Parameters
    ----------
    name : str
        What errors call it.
    sparse : bool
        Whether the ranges have size 1 on all axes but their own.
    """

    def __init__(self, name: str, sparse: bool) -> None:
        self.name = name
        self.sparse = sparse

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return self._range(key)
        if not isinstance(key, tuple) or not all(isinstance(entry, slice) for entry in key):
            raise user_error(DTypeError, f"{self.name} takes slices: {self.name}[0:3, 0:4]")
        return meshgrid(*[self._range(entry) for entry in key], indexing="ij", sparse=self.sparse)

    def _range(self, entry: slice) -> Any:
        """Return the numbers of one slice; a step ``5j`` means five numbers with both ends."""
        if entry.stop is None:
            raise user_error(DTypeError, f"{self.name} needs slices that say where they stop")
        start = 0 if entry.start is None else entry.start
        if isinstance(entry.step, complex):
            return linspace(start, entry.stop, int(abs(entry.step)))
        return arange(start, entry.stop, 1 if entry.step is None else entry.step)


mgrid = Grid("mgrid", sparse=False)
ogrid = Grid("ogrid", sparse=True)

__all__ = ["geomspace", "linspace", "logspace", "meshgrid", "mgrid", "ogrid"]
