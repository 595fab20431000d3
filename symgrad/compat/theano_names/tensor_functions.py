"""Functions of ``theano.tensor`` that symgrad has no equal for, because its graphs know more than Theano's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgrad import tensor as T
from symgrad.compat.theano_names.configuration import symgrad_device
from symgrad.compat.theano_names.errors import NotKeptError
from symgrad.compat.theano_names.generic import Generic
from symgrad.errors import NotScalarConstantError, SymgradError
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Variable
from symgrad.ops.promotion import number_dtype

int32 = int32_t = TensorType("int32")
none_type_t = slicetype = Generic()


class EmptyConstantError(NotScalarConstantError):
    """A constant has no element."""


class AsTensorError(SymgradError, TypeError):
    """Something can't become a tensor."""


def as_tensor(x: Any, name: str | None = None, ndim: int | None = None) -> Any:
    """Return `x` as a variable."""
    return T.as_tensor_variable(x, name, ndim)


# ---- values ----


def numpy_scalar(data: Any) -> Any:
    """Return the number that an array holds.

    Raises
    ------
    EmptyConstantError, NotScalarConstantError
        If it holds none, or several.
    """
    array = np.asarray(data)
    if array.size == 0:
        raise EmptyConstantError("an array without elements isn't a scalar")
    if array.ndim > 0 and array.size > 1:
        raise NotScalarConstantError(f"an array of shape {array.shape} isn't a scalar")
    return array.reshape(())[()]


class _Autocast:
    """What decides the dtype of Python numbers: the smallest that holds them."""

    def __call__(self, x: Any) -> Any:
        """Return a number as an array without axes, of the dtype that it has as a constant."""
        return np.array(x, number_dtype(x))


autocast_float = autocast_int = _Autocast()


def autocast_float_as(*dtypes: str) -> Any:
    """Refuse: the dtype of floats isn't set by a block."""
    raise NotKeptError(
        "symgrad doesn't keep Theano's autocast_float_as. "
        "Write T.constant(value, dtype=...), or set theano.config.floatX."
    )


NoneConst = Variable(none_type_t, name="NoneConst")

# ---- indices ----


def as_index_variable(idx: Any) -> Any:
    """Return an index as a variable of integers; slices and None stay.

    Raises
    ------
    TypeError
        If it isn't made of integers.
    """
    if idx is None or isinstance(idx, slice):
        return idx
    variable = T.as_tensor_variable(idx)
    if np.dtype(variable.dtype).kind not in "iub":
        raise TypeError(f"index must be integers, got {variable.type}")
    return variable


def as_int_none_variable(x: Any) -> Any:
    """Return an integer as a variable; None stays."""
    return None if x is None else as_index_variable(x)


def make_constant(index: Any) -> Any:
    """Return an index whose numbers are constants."""
    if isinstance(index, tuple | list):
        return tuple(make_constant(part) for part in index)
    if isinstance(index, slice):
        return slice(*[as_int_none_variable(part) for part in (index.start, index.stop, index.step)])
    return as_index_variable(index)


def get_canonical_form_slice(theslice: Any, length: Any) -> tuple[Any, int]:
    """Return an equal slice with bounds between 0 and `length`, and the direction in which it runs.

    Examples
    --------
    >>> found, direction = get_canonical_form_slice(slice(-3, None, 1), T.as_tensor_variable(10))
    >>> int(found.start.eval()), int(found.stop.eval()), direction
    (7, 10, 1)
    """
    if not isinstance(theslice, slice):
        index = T.as_tensor_variable(theslice)
        return T.switch(T.lt(index, 0), index + length, index), 1
    given = 1 if theslice.step is None else T.extract_constant(theslice.step)
    if isinstance(given, Variable):
        return _symbolic_form(theslice, length, given)
    step = int(given)
    first, last = (0, length) if step > 0 else (length - 1, -1)
    start = first if theslice.start is None else _bounded(theslice.start, length, step)
    stop = last if theslice.stop is None else _bounded(theslice.stop, length, step)
    if step > 0:
        return slice(T.as_tensor_variable(start), T.as_tensor_variable(T.maximum(stop, start)), step), 1
    count = T.maximum((start - stop - step - 1) // -step, 0)
    return slice(start + (count - 1) * step, start + 1, -step), -1


def _symbolic_form(given: slice, length: Any, step: Any) -> tuple[slice, Any]:
    """Return the same for a step of which only a call knows the sign."""
    forward = T.gt(step, 0)
    low, high = T.switch(forward, 0, -1), T.switch(forward, length, length - 1)

    def place(bound: Any, default: Any) -> Any:
        return default if bound is None else T.clip(T.switch(T.lt(bound, 0), bound + length, bound), low, high)

    start = place(given.start, T.switch(forward, 0, length - 1))
    stop = place(given.stop, T.switch(forward, length, -1))
    sign = T.switch(forward, 1, -1)
    count = T.maximum((stop - start + step - sign) // step, 0)
    begin = T.switch(forward, start, start + (count - 1) * step)
    return slice(begin, T.switch(forward, T.maximum(stop, start), start + 1), abs(step)), sign


def _bounded(bound: Any, length: Any, step: int) -> Any:
    low, high = (0, length) if step > 0 else (-1, length - 1)
    position = T.switch(T.lt(bound, 0), bound + length, bound)
    return T.clip(position, low, high)


# ---- axes and types ----


def alloc_validate_shape(shape: Any) -> tuple[list[Any], list[bool]]:
    """Return sizes as variables, and for each whether it is known to be 1."""
    sizes = [T.as_tensor_variable(size) for size in (shape if isinstance(shape, list | tuple) else [shape])]
    for size in sizes:
        if np.dtype(size.dtype).kind not in "iu":
            raise TypeError(f"Shape arguments to Alloc must be integers, but argument is not: {size.type}")
    return sizes, [size.known is not None and bool(size.known == 1) for size in sizes]


def makeKeepDims(x: Any, y: Any, axis: Any) -> Any:
    """Return `y`, `x` reduced along axes, with these axes put back at size 1."""
    variable = T.as_tensor_variable(x)
    axes = range(variable.ndim) if axis is None else np.atleast_1d(axis)
    reduced = {int(one) % variable.ndim for one in axes}
    kept = iter(range(variable.ndim))
    return T.dimshuffle(y, *["x" if position in reduced else next(kept) for position in range(variable.ndim)])


def transfer(var: Any, target: str | None) -> Any:
    """Return `var`, which as an output is returned on a device: ``cpu``, ``gpu``, ``cuda1``, ``dev0``."""
    return T.transfer(var, symgrad_device(target))


def setdefault(x: Any, default: Any) -> Any:
    """Return `x`, or `default` where it is None."""
    return default if x is None else x


# ---- about Python objects ----


def constructor(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return `f`: Theano marks its constructors with this."""
    return f


def hashtype(self: Any) -> int:
    """Return a hash of the class of an object."""
    return hash((type(self).__name__, type(self).__module__))


def key_to_cmp(key: Callable[[Any], Any]) -> Callable[[Any, Any], int]:
    """Return a function that compares two things by their keys: -1, 0 or 1."""

    def compare(a: Any, b: Any) -> int:
        return int(key(a) > key(b)) - int(key(a) < key(b))

    return compare


__all__ = [
    "AsTensorError", "EmptyConstantError", "NoneConst", "NotScalarConstantError", "alloc_validate_shape",
    "as_index_variable", "as_int_none_variable", "as_tensor", "autocast_float",
    "autocast_float_as", "autocast_int", "constructor", "get_canonical_form_slice",
    "hashtype", "int32", "int32_t", "key_to_cmp", "makeKeepDims", "make_constant", "none_type_t", "numpy_scalar",
    "setdefault", "slicetype", "transfer",
]  # fmt: skip
