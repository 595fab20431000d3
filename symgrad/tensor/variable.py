"""Tensors as users hold them: variables that understand Python's operators and NumPy's methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from symgrad.config import config
from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.op import user_error
from symgrad.graph.residence import (
    Device,
    adopted,
    chosen_device,
    device_of,
    lent,
    on_device,
    on_host,
    replaced,
)
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Constant, SharedVariable, Variable, set_tensor_classes
from symgrad.ops import (
    axes,
    casting,
    creation,
    diagonals,
    indexing,
    linalg,
    nonzero,
    picking,
    reduction,
    repeating,
    shape,
    sizes,
    values,
)
from symgrad.ops.softmax import softmax
from symgrad.tensor.methods import FunctionMethods
from symgrad.tensor.operators import ArithmeticOperators


class TensorOperators(ArithmeticOperators, FunctionMethods):
    """Operators and methods of tensors. Each stands for the function of that name in `symgrad.tensor`."""

    __slots__ = ()
    __array_priority__ = 1000
    __array_ufunc__ = None

    type: Any

    # ---- what is known about it ----

    @property
    def dtype(self) -> str:
        """Element type, such as ``'float32'``."""
        return str(self.type.dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return int(self.type.ndim)

    @property
    def broadcastable(self) -> tuple[bool, ...]:
        """Which axes are known to have size 1, and therefore stretch."""
        return tuple(self.type.broadcastable)

    @property
    def shape(self) -> Any:
        """The sizes, as an int64 vector; ``x.shape[0]`` is a scalar."""
        return sizes.shape(self)

    @property
    def size(self) -> Any:
        """The number of elements, as an int64 scalar."""
        return reduction.prod(self.shape)

    def __bool__(self) -> bool:
        raise user_error(
            TypeError, "Variables do not support boolean operations.", [self],
            "The value isn't known while the graph is built: use T.switch(condition, a, b), or T.and_, T.or_, T.eq.",
        )  # fmt: skip

    # ---- indexing and iteration ----

    def __getitem__(self, key: Any) -> Any:
        return indexing.get_item(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise user_error(
            TypeError, "a variable can't be assigned to", [self], "Write y = T.set_subtensor(x[...], value)."
        )

    def __len__(self) -> int:
        size = self.type.shape[0] if self.type.shape else None
        if size is None:
            raise user_error(
                TypeError, f"len() of {self.type} isn't known while the graph is built", [self], "Use x.shape[0]."
            )
        return size

    def __iter__(self) -> Iterator[Any]:
        if not self.type.shape or self.type.shape[0] is None:
            raise user_error(
                TypeError, f"{self.type} can't be iterated over: its first size isn't known while the graph is built",
                [self], "Declare the size, T.tensor(dtype, (3,)) say, or go through it with symgrad.scan.",
            )  # fmt: skip
        return iter([self[index] for index in range(self.type.shape[0])])

    def __contains__(self, item: Any) -> bool:
        raise TypeError("'in' needs values: use T.any(T.eq(x, item))")

    def __float__(self) -> float:
        raise TypeError("a symbolic variable has no value yet: compile a function, or use x.eval()")

    __int__ = __float__

    # ---- axes and sizes ----

    @property
    def T(self) -> Any:
        """The transpose: all axes reversed."""
        return axes.transpose(self)

    def transpose(self, *order: Any) -> Any:
        """`symgrad.tensor.transpose`."""
        return axes.transpose(self, *order)

    def dimshuffle(self, *pattern: Any) -> Any:
        """`symgrad.tensor.dimshuffle`."""
        return axes.dimshuffle(self, *pattern)

    def reshape(self, newshape: Any, *more: Any, ndim: int | None = None) -> Any:
        """`symgrad.tensor.reshape`; sizes may also be given one by one, and `ndim` behind a list or vector of them."""
        if len(more) == 1 and (isinstance(newshape, list | tuple) or getattr(newshape, "ndim", 0) == 1):
            return shape.reshape(self, newshape, more[0])
        return shape.reshape(self, (newshape, *more) if more else newshape, ndim)

    def flatten(self, ndim: int = 1) -> Any:
        """`symgrad.tensor.flatten`."""
        return shape.flatten(self, ndim)

    def ravel(self) -> Any:
        """`symgrad.tensor.ravel`."""
        return shape.ravel(self)

    def swapaxes(self, axis1: int, axis2: int) -> Any:
        """`symgrad.tensor.swapaxes`."""
        return axes.swapaxes(self, axis1, axis2)

    def squeeze(self, axis: Any = None) -> Any:
        """`symgrad.tensor.squeeze`."""
        return axes.squeeze(self, axis)

    def astype(self, dtype: str) -> Any:
        """`symgrad.tensor.cast`."""
        return casting.cast(self, dtype)

    def copy(self, name: str | None = None) -> Any:
        """Return another variable of the same value."""
        duplicate = sizes.SpecifyShape((None,) * self.type.ndim)(self)  # type: ignore[arg-type]
        duplicate.name = name
        return duplicate

    def fill(self, value: Any) -> Any:
        """`symgrad.tensor.fill`."""
        return creation.fill(self, value)

    def zeros_like(self, dtype: str | None = None) -> Any:
        """`symgrad.tensor.zeros_like`."""
        return creation.zeros_like(self, dtype)

    def ones_like(self, dtype: str | None = None) -> Any:
        """`symgrad.tensor.ones_like`."""
        return creation.ones_like(self, dtype)

    def take(self, indices: Any, axis: int | None = None, mode: str = "raise") -> Any:
        """`symgrad.tensor.take`."""
        return picking.take(self, indices, axis, mode)

    def choose(self, choices: Any, mode: str = "raise") -> Any:
        """`symgrad.tensor.choose`, with this tensor as what chooses."""
        return picking.choose(self, choices, mode)

    def compress(self, condition: Any, axis: int | None = None) -> Any:
        """`symgrad.tensor.compress`, of this tensor: the slices for which `condition` holds."""
        return picking.compress(condition, self, axis)

    def repeat(self, repeats: Any, axis: int | None = None) -> Any:
        """`symgrad.tensor.repeat`."""
        return repeating.repeat(self, repeats, axis)

    def diagonal(self, offset: Any = 0, axis1: int = 0, axis2: int = 1) -> Any:
        """`symgrad.tensor.diagonal`."""
        return diagonals.diagonal(self, offset, axis1, axis2)

    def trace(self, offset: Any = 0, axis1: int = 0, axis2: int = 1) -> Any:
        """`symgrad.tensor.trace`."""
        return diagonals.trace(self, offset, axis1, axis2)

    def get_scalar_constant_value(self) -> Any:
        """`symgrad.tensor.get_scalar_constant_value`."""
        return values.get_scalar_constant_value(self)

    def nonzero(self, return_matrix: bool = False) -> Any:
        """`symgrad.tensor.nonzero`."""
        return nonzero.nonzero(self, return_matrix)

    def nonzero_values(self) -> Any:
        """`symgrad.tensor.nonzero_values`."""
        return nonzero.nonzero_values(self)

    # ---- products ----

    def dot(self, other: Any) -> Any:
        """`symgrad.tensor.dot`."""
        return linalg.dot(self, other)

    def softmax(self, axis: int | None = None) -> Any:
        """`symgrad.tensor.softmax`."""
        return softmax(self, axis)

    def eval(self, inputs_to_values: dict[Any, Any] | None = None) -> Any:
        """Compute this variable; `inputs_to_values` gives each input that it depends on a value.

        What is compiled for it is kept with the variable, for the next time.
        """
        from symgrad.compile.function import evaluate

        return evaluate(self, inputs_to_values or {})


class TensorVariable(TensorOperators, Variable):  # type: ignore[misc]
    """A symbolic tensor."""

    __slots__ = ("__dict__",)  # programs and libraries put attributes of their own on variables


class TensorConstant(TensorOperators, Constant):  # type: ignore[misc]
    """A tensor whose value is part of the graph."""

    __slots__ = ("__dict__",)  # programs and libraries put attributes of their own on variables

    @property
    def value(self) -> np.ndarray:
        """The value."""
        return self.data

    def _duplicate(self) -> Any:
        return TensorConstant(self.type, self.data, self.name)


class TensorSharedVariable(TensorOperators, SharedVariable):  # type: ignore[misc]
    """A tensor that keeps its value between calls of compiled functions."""

    __slots__ = ("__dict__",)  # programs and libraries put attributes of their own on variables

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Any:
        """Return the value.

        Parameters
        ----------
        borrow : bool
            Whether it may be the storage itself, which later calls may change, in place of a copy.
        return_internal_type : bool
            Whether a value that lies on a GPU is returned as an array of that GPU (of CuPy's), not as a NumPy array.

        Examples
        --------
        >>> import symgrad
        >>> symgrad.shared([1., 2.]).get_value()
        array([1., 2.])
        """
        value = self.container.value
        if on_device(value):
            return lent(value, borrow) if return_internal_type else on_host(value)
        return value if borrow else value.copy()

    strict: bool = False
    """Whether values must be arrays of exactly the dtype."""

    allow_downcast: bool | None = None
    """Whether values may lose information: as the `allow_input_downcast` of functions."""

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Replace the value.

        Parameters
        ----------
        new_value : array_like
            Of this variable's dtype and number of axes; sizes may differ unless they were declared. It goes to the
            device that the old value lies on.
        borrow : bool
            Whether a NumPy array may become the storage itself, without a copy.

        Raises
        ------
        DTypeError, ShapeError
            If the value doesn't fit; the old value stays.
        """
        old = self.container.value
        place = device_of(old) if on_device(old) else None
        try:
            if on_device(new_value):
                value = adopted(self.type, new_value, place, self.strict, self.allow_downcast)
            else:
                value = self.type.convert(new_value, self.strict, self.allow_downcast)
        except (DTypeError, ShapeError) as error:
            raise user_error(type(error), f"{self} can't be set: {error}", [self]) from None
        self.container.value = _owned(value, new_value, borrow) if place is None else replaced(old, value)

    def _duplicate(self) -> Any:
        """Return another variable of the same storage."""
        duplicate = TensorSharedVariable(self.type, self.container.value, self.name)
        duplicate.container, duplicate.default_update = self.container, self.default_update
        return duplicate

    def zero(self, borrow: bool = False) -> None:
        """Set every element to 0."""
        old = self.container.value
        self.container.value = replaced(old, np.zeros(old.shape, old.dtype))


def _owned(value: np.ndarray, given: Any, borrow: bool) -> np.ndarray:
    """Return storage for a shared variable: writable, in C order, and not the caller's unless borrowed."""
    if borrow and value.flags.writeable and value.flags.c_contiguous:
        return value
    return np.array(value, order="C", copy=None if value is not given and value.base is None else True)


def _stored(kind: TensorType, array: Any, given: Any, borrow: bool, device: Device | None) -> Any:
    """Return the storage of a new shared variable, on a device or on the host."""
    if device is None:
        return _owned(kind.convert(array), given, borrow)
    return device.copy(adopted(kind, array, device)) if on_device(array) else device.hold(kind.convert(array))


shared_variables: list[tuple[Callable[[Any], bool], Callable[..., Any]]] = []
"""Other kinds of shared variables: whether one takes a value, and what makes it."""


def shared(
    value: Any,
    name: str | None = None,
    strict: bool = False,
    allow_downcast: bool | None = None,
    borrow: bool = False,
    shape: tuple[int | None, ...] | None = None,
    broadcastable: tuple[bool, ...] | None = None,
    dtype: str | None = None,
    target: str | None = None,
) -> TensorSharedVariable:
    """Return a shared variable: a tensor that keeps its value between calls, and that functions can update.

    Parameters
    ----------
    value : array_like
        First value. Its dtype becomes the variable's; Python floats become ``floatX``, Python ints int64.
    name : str, optional
        A name for people.
    strict : bool
        Whether later values must be arrays of exactly this dtype.
    allow_downcast : bool or None
        Whether later values may lose information: True always, False never, None only a Python float for a
        ``floatX`` scalar.
    borrow : bool
        Whether an array may become the storage itself, without a copy.
    shape : tuple of (int or None), optional
        Sizes that every later value must have too. By default they stay open.
    broadcastable : tuple of bool, optional
        Axes that have size 1 now and always, and therefore stretch.
    dtype : str, optional
        Another dtype than the value's.
    target : str, optional
        The device that the value lies on: ``cpu``, ``cuda0``, ``cuda1``; by default that of the setting ``device``.

    Returns
    -------
    TensorSharedVariable

    Raises
    ------
    DeviceError
        If the device can't be used.
    DeviceMemoryError
        If there is no room for the value.

    Examples
    --------
    >>> import symgrad
    >>> counter = symgrad.shared(0)
    >>> step = symgrad.function([], counter, updates=[(counter, counter + 1)])
    >>> step(), step(), counter.get_value()
    (array(0), array(1), array(2))
    """
    if isinstance(value, Variable):
        raise TypeError("shared takes a value, not a symbolic variable: give it an array, or use the variable itself")
    for takes, make in shared_variables:
        if takes(value):
            return make(value, name, strict, allow_downcast, borrow)  # type: ignore[no-any-return]
    if hasattr(value, "tocsr"):
        raise TypeError("shared got a sparse matrix: import symgrad.sparse first")
    device = chosen_device(target)
    if on_device(value):
        value = on_host(value) if device is None or dtype is not None else device.borrow(value)
    array = value if on_device(value) else np.asarray(value)
    if dtype is not None:
        array = array.astype(dtype)
    elif isinstance(value, float) and not isinstance(value, np.generic):
        array = array.astype(config.floatX)
    sizes: Any = [None] * array.ndim if shape is None else shape
    if broadcastable is not None and shape is None:
        sizes = [1 if ones else None for ones in broadcastable]
    kind = TensorType(array.dtype, sizes)
    made = TensorSharedVariable(kind, _stored(kind, array, value, borrow, device), name)
    if strict or allow_downcast is not None:
        made.strict, made.allow_downcast = strict, allow_downcast
    return made


set_tensor_classes(TensorVariable, TensorConstant)
