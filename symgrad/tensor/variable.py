"""Tensors as users hold them: variables that understand Python's operators and NumPy's methods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from symgrad.config import config
from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Constant, SharedVariable, Variable, set_tensor_classes
from symgrad.ops import axes, casting, comparison, creation, elementwise, indexing, linalg, reduction, shape, sizes
from symgrad.ops.softmax import softmax


class TensorOperators:
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

    # ---- arithmetic ----

    def __add__(self, other: Any) -> Any:
        return elementwise.add(self, other)

    def __radd__(self, other: Any) -> Any:
        return elementwise.add(other, self)

    def __sub__(self, other: Any) -> Any:
        return elementwise.subtract(self, other)

    def __rsub__(self, other: Any) -> Any:
        return elementwise.subtract(other, self)

    def __mul__(self, other: Any) -> Any:
        return elementwise.multiply(self, other)

    def __rmul__(self, other: Any) -> Any:
        return elementwise.multiply(other, self)

    def __truediv__(self, other: Any) -> Any:
        return elementwise.true_divide(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return elementwise.true_divide(other, self)

    def __floordiv__(self, other: Any) -> Any:
        return elementwise.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return elementwise.floor_divide(other, self)

    def __mod__(self, other: Any) -> Any:
        return elementwise.mod(self, other)

    def __rmod__(self, other: Any) -> Any:
        return elementwise.mod(other, self)

    def __divmod__(self, other: Any) -> tuple[Any, Any]:
        return elementwise.floor_divide(self, other), elementwise.mod(self, other)

    def __rdivmod__(self, other: Any) -> tuple[Any, Any]:
        return elementwise.floor_divide(other, self), elementwise.mod(other, self)

    def __pow__(self, other: Any) -> Any:
        return elementwise.power(self, other)

    def __rpow__(self, other: Any) -> Any:
        return elementwise.power(other, self)

    def __matmul__(self, other: Any) -> Any:
        return linalg.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return linalg.matmul(other, self)

    def __neg__(self) -> Any:
        return elementwise.negative(self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return elementwise.abs_(self)

    def __invert__(self) -> Any:
        return comparison.invert(self)

    def __and__(self, other: Any) -> Any:
        return comparison.and_(self, other)

    def __rand__(self, other: Any) -> Any:
        return comparison.and_(other, self)

    def __or__(self, other: Any) -> Any:
        return comparison.or_(self, other)

    def __ror__(self, other: Any) -> Any:
        return comparison.or_(other, self)

    def __xor__(self, other: Any) -> Any:
        return comparison.xor(self, other)

    def __rxor__(self, other: Any) -> Any:
        return comparison.xor(other, self)

    # ---- comparisons; == and != are identity, because variables are keys of dictionaries ----

    def __lt__(self, other: Any) -> Any:
        return comparison.lt(self, other)

    def __le__(self, other: Any) -> Any:
        return comparison.le(self, other)

    def __gt__(self, other: Any) -> Any:
        return comparison.gt(self, other)

    def __ge__(self, other: Any) -> Any:
        return comparison.ge(self, other)

    def __bool__(self) -> bool:
        raise TypeError(
            "Variables do not support boolean operations. The value isn't known while the graph is built: "
            "use T.switch(condition, a, b), or T.and_, T.or_, T.eq."
        )

    # ---- indexing and iteration ----

    def __getitem__(self, key: Any) -> Any:
        return indexing.get_item(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError("a variable can't be assigned to: write y = T.set_subtensor(x[...], value)")

    def __len__(self) -> int:
        size = self.type.shape[0] if self.type.shape else None
        if size is None:
            raise TypeError(f"len() of {self.type} isn't known while the graph is built: use x.shape[0]")
        return size

    def __iter__(self) -> Iterator[Any]:
        if not self.type.shape or self.type.shape[0] is None:
            raise TypeError(f"{self.type} can't be iterated over: its first size isn't known while the graph is built")
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
        """`symgrad.tensor.reshape`; sizes may also be given one by one."""
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

    def take(self, indices: Any, axis: int | None = None) -> Any:
        """`symgrad.tensor.take`."""
        return indexing.take(self, indices, axis)

    # ---- reductions and products ----

    def sum(self, axis: Any = None, dtype: str | None = None, keepdims: bool = False, acc_dtype: Any = None) -> Any:
        """`symgrad.tensor.sum`."""
        return reduction.sum(self, axis, dtype, keepdims, acc_dtype)

    def prod(self, axis: Any = None, dtype: str | None = None, keepdims: bool = False, acc_dtype: Any = None) -> Any:
        """`symgrad.tensor.prod`."""
        return reduction.prod(self, axis, dtype, keepdims, acc_dtype)

    def mean(self, axis: Any = None, dtype: str | None = None, keepdims: bool = False, acc_dtype: Any = None) -> Any:
        """`symgrad.tensor.mean`."""
        return reduction.mean(self, axis, dtype, keepdims, acc_dtype)

    def var(self, axis: Any = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False) -> Any:
        """`symgrad.tensor.var`."""
        return reduction.var(self, axis, ddof, keepdims, corrected)

    def std(self, axis: Any = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False) -> Any:
        """`symgrad.tensor.std`."""
        return reduction.std(self, axis, ddof, keepdims, corrected)

    def max(self, axis: Any = None, keepdims: bool = False) -> Any:
        """`symgrad.tensor.max`."""
        return reduction.max(self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Any:
        """`symgrad.tensor.min`."""
        return reduction.min(self, axis, keepdims)

    def argmax(self, axis: Any = None, keepdims: bool = False) -> Any:
        """`symgrad.tensor.argmax`."""
        return reduction.argmax(self, axis, keepdims)

    def argmin(self, axis: Any = None, keepdims: bool = False) -> Any:
        """`symgrad.tensor.argmin`."""
        return reduction.argmin(self, axis, keepdims)

    def any(self, axis: Any = None, keepdims: bool = False) -> Any:
        """`symgrad.tensor.any`."""
        return reduction.any(self, axis, keepdims)

    def all(self, axis: Any = None, keepdims: bool = False) -> Any:
        """`symgrad.tensor.all`."""
        return reduction.all(self, axis, keepdims)

    def ptp(self, axis: Any = None) -> Any:
        """`symgrad.tensor.ptp`."""
        return reduction.ptp(self, axis)

    def norm(self, L: Any = 2, axis: Any = None) -> Any:
        """`symgrad.tensor.norm`."""
        return reduction.norm(self, L, axis)

    def dot(self, other: Any) -> Any:
        """`symgrad.tensor.dot`."""
        return linalg.dot(self, other)

    def clip(self, low: Any, high: Any) -> Any:
        """`symgrad.tensor.clip`."""
        return elementwise.clip(self, low, high)

    def round(self, mode: str = "half_to_even") -> Any:
        """`symgrad.tensor.round`."""
        return elementwise.round(self, mode)

    def softmax(self, axis: int | None = None) -> Any:
        """`symgrad.tensor.softmax`."""
        return softmax(self, axis)

    def eval(self, inputs_to_values: dict[Any, Any] | None = None) -> Any:
        """Compile and compute this variable; `inputs_to_values` gives each input that it depends on a value."""
        from symgrad.compile.function import function

        given = inputs_to_values or {}
        return function(list(given), self, on_unused_input="ignore")(*given.values())


class TensorVariable(TensorOperators, Variable):  # type: ignore[misc]
    """A symbolic tensor."""

    __slots__ = ()


class TensorConstant(TensorOperators, Constant):  # type: ignore[misc]
    """A tensor whose value is part of the graph."""

    __slots__ = ()

    @property
    def value(self) -> np.ndarray:
        """The value."""
        return self.data


class TensorSharedVariable(TensorOperators, SharedVariable):  # type: ignore[misc]
    """A tensor that keeps its value between calls of compiled functions."""

    __slots__ = ()

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> np.ndarray:
        """Return the value: a copy, or with `borrow` the storage itself, which later calls may change."""
        value = self.container.value
        return value if borrow else value.copy()

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Replace the value.

        Parameters
        ----------
        new_value : array_like
            Of this variable's dtype and number of axes; sizes may differ unless they were declared.
        borrow : bool
            Whether an array may become the storage itself, without a copy.

        Raises
        ------
        DTypeError, ShapeError
            If the value doesn't fit; the old value stays.
        """
        try:
            value = self.type.convert(new_value)
        except (DTypeError, ShapeError) as error:
            raise type(error)(f"{self} can't be set: {error}") from None
        self.container.value = _owned(value, new_value, borrow)

    def zero(self, borrow: bool = False) -> None:
        """Set every element to 0."""
        self.container.value = np.zeros_like(self.container.value)


def _owned(value: np.ndarray, given: Any, borrow: bool) -> np.ndarray:
    """Return storage for a shared variable: writable, in C order, and not the caller's unless borrowed."""
    if borrow and value.flags.writeable and value.flags.c_contiguous:
        return value
    return np.array(value, order="C", copy=None if value is not given and value.base is None else True)


def shared(
    value: Any,
    name: str | None = None,
    strict: bool = False,
    allow_downcast: bool | None = None,
    borrow: bool = False,
    shape: tuple[int | None, ...] | None = None,
    broadcastable: tuple[bool, ...] | None = None,
    dtype: str | None = None,
) -> TensorSharedVariable:
    """Return a shared variable: a tensor that keeps its value between calls, and that functions can update.

    Parameters
    ----------
    value : array_like
        First value. Its dtype becomes the variable's; Python floats become ``floatX``, Python ints int64.
    name : str, optional
        A name for people.
    strict, allow_downcast : bool
        Accepted for Theano's sake.
    borrow : bool
        Whether an array may become the storage itself, without a copy.
    shape : tuple of (int or None), optional
        Sizes that every later value must have too. By default they stay open.
    broadcastable : tuple of bool, optional
        Axes that have size 1 now and always, and therefore stretch.
    dtype : str, optional
        Another dtype than the value's.

    Returns
    -------
    TensorSharedVariable

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
    array = np.asarray(value)
    if dtype is not None:
        array = array.astype(dtype)
    elif isinstance(value, float) and not isinstance(value, np.generic):
        array = array.astype(config.floatX)
    sizes: Any = [None] * array.ndim if shape is None else shape
    if broadcastable is not None and shape is None:
        sizes = [1 if ones else None for ones in broadcastable]
    kind = TensorType(array.dtype, sizes)
    return TensorSharedVariable(kind, _owned(kind.convert(array), value, borrow), name)


set_tensor_classes(TensorVariable, TensorConstant)
