"""The arguments that all convolutions take: sizes, border modes, steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad.errors import ShapeError
from symgrad.graph.op import user_error
from symgrad.graph.variables import Variable
from symgrad.ops.casting import cast_operands
from symgrad.ops.promotion import as_operand, float_of, is_discrete, listed, upcast
from symgrad.ops.sizes import known_size, specify_shape

Sides = tuple[tuple[Any, Any], ...]
"""Zeros before and after, for each spatial axis: numbers, or scalars where only a call knows the filters' sizes."""

_COUNTS = {1: "one integer", 2: "one or two integers", 3: "one or three integers", 4: "four", 5: "five", 6: "six"}


def steps(value: Any, count: int, name: str, function: str, least: int = 1) -> Any:
    """Return `count` integers, of one for all axes or one for each; constants of the graph count, too."""
    if isinstance(value, Variable) and value.known is not None:
        value = value.known.tolist()
    numbers = (value,) * count if isinstance(value, int | np.integer) else value
    fits = isinstance(numbers, Sequence | np.ndarray) and len(numbers) == count
    if not fits or not all(isinstance(v, int | np.integer) and v >= least for v in numbers):
        raise user_error(
            ShapeError, f"{function} needs {name} as {_COUNTS[count]} of at least {least}, got {value!r:.60}"
        )
    return tuple([int(v) for v in numbers])


def operands(input: Any, filters: Any) -> list[Any]:
    """Return both operands as floats of one dtype."""
    variables = [as_operand(input), as_operand(filters)]
    dtype = float_of(upcast(*[variable.type.dtype for variable in variables]))
    return cast_operands(variables, [dtype] * 2)


def with_sizes(x: Any, sizes: Any, name: str, function: str) -> Any:
    """Return `x` with what the user says about its sizes; what is None or symbolic stays open."""
    if sizes is None:
        return x
    ndim = x.type.ndim
    if isinstance(sizes, Variable) or len(listed(sizes, function, f"sizes as {name}")) != ndim:
        raise user_error(
            ShapeError, f"{function} needs {_COUNTS.get(ndim, ndim)} sizes as {name}, and a tensor of as many axes; "
            f"got {sizes} and {x.type}", [x],
        )  # fmt: skip
    return specify_shape(x, [known_number(size, name, function) for size in sizes])


def known_number(size: Any, name: str, function: str) -> int | None:
    """Return a size that is a number or a constant; None for what is open."""
    if isinstance(size, Variable):
        if size.type.ndim or not is_discrete(size.type.dtype):  # type: ignore[attr-defined]
            raise user_error(ShapeError, f"{function} needs integers as {name}, got {size.type}", [size])
        return None if size.known is None else int(size.known)
    if size is None or isinstance(size, int | np.integer | np.ndarray):
        return None if size is None else int(size)
    raise user_error(ShapeError, f"{function} needs integers as {name}, got {size!r:.60}")


def border(border_mode: Any, window: Sequence[Any], dilation: Sequence[int], function: str) -> Sides:
    """Return the zeros around the image that a border mode stands for.

    Parameters
    ----------
    border_mode : str, int, or one entry for each axis
        'valid', 'full' or 'half', for all axes or each; a number, for all or each; a pair of numbers for each.
    window : sequence of int and integer scalars
        The filters' sizes. Where they are symbolic, so may be the zeros.
    dilation : sequence of int
        For each axis.
    function : str
        What errors name.
    """
    count = len(dilation)
    modes = list(border_mode) if isinstance(border_mode, tuple | list) else [border_mode] * count
    if len(modes) == count:
        sides = [_sides(*axis) for axis in zip(modes, window, dilation, strict=True)]
        if None not in sides:
            return tuple(sides)  # type: ignore[arg-type]
    raise user_error(
        ShapeError, f"{function} has no border_mode {border_mode!r:.60}", (),
        f"It takes 'valid', 'full', 'half', a number, or for each of {count} axes a number or a pair of numbers.",
    )  # fmt: skip


def window_of(filters: Any, count: int) -> list[Any]:
    """Return the last `count` sizes of filters: numbers where they are known, else scalars."""
    if filters.type.ndim < count + 2:
        raise user_error(ShapeError, f"filters of a convolution have {count + 2} axes, got {filters.type}", [filters])
    axes = range(filters.type.ndim - count, filters.type.ndim)
    return [known_size(filters, axis) for axis in axes]


def asked_sizes(shape: Any, ndim: int, count: int, name: str, function: str) -> list[Any]:
    """Return the sizes of a result that a gradient or transposed convolution was asked for.

    Parameters
    ----------
    shape : sequence of int, None and integer scalars, or an integer vector
        `ndim` sizes; the last `count` must not be None.
    """
    sizes = [shape[axis] for axis in range(ndim)] if isinstance(shape, Variable) else shape  # type: ignore[index]
    fits = isinstance(sizes, Sequence | np.ndarray) and len(sizes) == ndim
    if not fits or any(size is None for size in sizes[-count:]):
        raise user_error(
            ShapeError, f"{function} needs {_COUNTS[ndim]} sizes as {name}, got {shape!s:.60}", (),
            f"The last {count} of them must be given: they don't follow from the other operands.",
        )  # fmt: skip
    known = [None if size is None else known_number(size, name, function) for size in sizes]
    return [size if number is None else number for size, number in zip(sizes, known, strict=True)]


def numbers_in(sizes: Sequence[Any]) -> list[int | None]:
    """Return the sizes that are numbers, with None for the others."""
    return [size if isinstance(size, int) else None for size in sizes]


def settled(filters: Any, border_mode: Any, free: int = 2) -> Any:
    """Return the filters, held to the sizes that a shared variable has now if the border depends on them.

    The first `free` sizes stay as open as they are.
    """
    modes = border_mode if isinstance(border_mode, tuple | list) else [border_mode]
    known = filters.expected.shape
    if not any(isinstance(mode, str) and mode in ("full", "half") for mode in modes) or known == filters.type.shape:
        return filters
    return specify_shape(filters, [*[None] * free, *known[free:]])


def _sides(mode: Any, window: Any, dilation: int) -> tuple[Any, Any] | None:
    if isinstance(mode, int | np.integer):
        mode = (mode, mode)
    if isinstance(mode, tuple | list):
        fits = len(mode) == 2 and all(isinstance(side, int | np.integer) and side >= 0 for side in mode)
        return (int(mode[0]), int(mode[1])) if fits else None
    if mode == "valid":
        return 0, 0
    if mode not in ("full", "half"):
        return None
    reach = window * dilation - dilation
    side = reach if mode == "full" else (reach + 1) // 2
    return side, side


def are_numbers(sides: Sides) -> bool:
    """Whether all zeros are counted already."""
    return not any(isinstance(side, Variable) for pair in sides for side in pair)


def groups_of(num_groups: Any, function: str) -> int:
    """Return the number of groups."""
    if not isinstance(num_groups, int | np.integer) or num_groups < 1:
        raise user_error(ShapeError, f"{function} needs at least one group, got num_groups={num_groups!r:.60}")
    return int(num_groups)


__all__: list[str] = []
