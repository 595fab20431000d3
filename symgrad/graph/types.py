"""What is known about a value before it exists: its dtype, and its sizes as far as the program says them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from symgrad.config import config
from symgrad.errors import DTypeError, RankError, ShapeError, render
from symgrad.graph.dtypes import BFLOAT16, DTYPES, NUMPY_DTYPES, kind_of
from symgrad.graph.source import current_source

_NAMES = {dtype: name for name, dtype in NUMPY_DTYPES.items()}


def dtype_name(dtype: Any) -> str:
    """Return the name of a dtype that symgrad knows.

    Raises
    ------
    DTypeError
        If `dtype` isn't one of `DTYPES`.

    Examples
    --------
    >>> dtype_name(np.float32), dtype_name("int8")
    ('float32', 'int8')
    """
    if isinstance(dtype, str) and dtype in NUMPY_DTYPES:
        NUMPY_DTYPES[dtype]  # which says it where a dtype's package is missing
        return dtype
    if isinstance(dtype, np.dtype) and dtype in _NAMES:
        return _NAMES[dtype]
    if dtype == "floatX":
        return str(config.floatX)
    try:
        name = np.dtype(dtype).name
    except (TypeError, ValueError):
        name = str(dtype)
    if name not in NUMPY_DTYPES:
        near = difflib.get_close_matches(name, (*DTYPES, BFLOAT16), n=1)
        meant = f"Did you mean {near[0]!r}? " if near else ""
        headline = f"{name!r} isn't a dtype that symgrad knows"
        remedy = f"{meant}It knows {', '.join((*DTYPES, BFLOAT16))}."
        raise DTypeError(render(headline, str(current_source() or ""), (), remedy))
    return name


class Type:
    """The base of all types. A type makes variables, and checks the values that are put into them."""

    __slots__ = ()

    def __init_subclass__(cls, **options: Any) -> None:
        """Give a program's type that says what it is equal to, and not its hash, one that agrees with that."""
        super().__init_subclass__(**options)
        if "__eq__" in vars(cls) and vars(cls).get("__hash__") is None:
            cls.__hash__ = _hash_of_class  # type: ignore[method-assign,assignment]

    @property
    def variable_class(self) -> Any:
        """The class of its variables; None for that of all."""
        return None

    def check_use(self, op: Any) -> None:
        """Raise an `InferenceError` unless `op` takes values of this type."""

    def convert(self, value: Any, strict: bool = False, allow_downcast: bool | None = None) -> Any:
        """Return `value` in the form that this type's variables hold, or raise."""
        raise TypeError(f"{type(self).__name__} holds no values")

    def __call__(self, name: str | None = None) -> Any:
        """Return a new variable of this type."""
        from symgrad.graph.variables import variable_class

        return variable_class(self)(self, name=name)


def _hash_of_class(kind: Type) -> int:
    return hash(type(kind))


class TensorType(Type):
    """The type of an N-dimensional array.

    Parameters
    ----------
    dtype : str or dtype
        Element type, such as ``'float32'``; ``'floatX'`` means the configured one.
    shape : sequence of (int, None or bool), optional
        The size of each axis, None where it isn't known before run time. As in Theano's ``TensorType``, booleans
        are accepted and mean broadcastable (size 1) and not (unknown). By default what `broadcastable` tells.
    broadcastable : sequence of bool, optional
        Which axes stretch to fit other operands. By default those whose size is known to be 1. A size that only
        turns out to be 1 at run time doesn't stretch, so a plan bound to run-time sizes passes this explicitly.

    Examples
    --------
    >>> TensorType("float32", (None, 1)).broadcastable
    (False, True)
    """

    __slots__ = ("_hash", "broadcastable", "dtype", "shape")

    dtype: str
    shape: tuple[int | None, ...]
    broadcastable: tuple[bool, ...]
    _hash: int

    def __init__(
        self,
        dtype: Any,
        shape: Sequence[int | bool | None] | None = None,
        broadcastable: Sequence[bool] | None = None,
    ) -> None:
        set_slot = object.__setattr__
        set_slot(self, "dtype", dtype_name(dtype))
        sizes = (broadcastable or ()) if shape is None else shape
        if not isinstance(sizes, Iterable):
            raise ShapeError(f"the shape of a type is a sequence of sizes, got {type(sizes).__name__} {sizes!r:.60}")
        set_slot(self, "shape", tuple([_size(size) for size in sizes]))
        pattern = [size == 1 for size in self.shape] if broadcastable is None else broadcastable
        set_slot(self, "broadcastable", tuple(pattern))
        set_slot(self, "_hash", hash((self.dtype, self.shape, self.broadcastable)))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a TensorType can't be changed; make a new one with another {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return TensorType, (self.dtype, self.shape, self.broadcastable)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def numpy_dtype(self) -> np.dtype:
        """The dtype as NumPy's object."""
        return NUMPY_DTYPES[self.dtype]

    @property
    def is_static(self) -> bool:
        """Whether every size is known."""
        return None not in self.shape

    def with_dtype(self, dtype: str) -> TensorType:
        """Return the type of the same sizes with another dtype."""
        return TensorType(dtype, self.shape, self.broadcastable)

    def accepts(self, other: Type) -> bool:
        """Return whether a value of type `other` may stand where this type is declared.

        It may if dtype and number of axes agree, no two known sizes differ, and it stretches on the same axes.
        """
        if not isinstance(other, TensorType) or self.dtype != other.dtype or self.ndim != other.ndim:
            return False
        sizes_agree = all(a is None or a == b for a, b in zip(self.shape, other.shape, strict=True))
        return sizes_agree and self.broadcastable == other.broadcastable

    def convert(self, value: Any, strict: bool = False, allow_downcast: bool | None = None) -> np.ndarray:
        """Return `value` as an array of this type.

        Parameters
        ----------
        value : array_like
            The value.
        strict : bool
            Refuse anything but an array of exactly this dtype.
        allow_downcast : bool or None
            True converts even if information is lost; False never does; None lets a Python float become floatX.

        Raises
        ------
        DTypeError
            If the dtype can't be converted without loss.
        ShapeError
            If the number of axes or a known size differs.
        """
        if type(value) is not np.ndarray or value.dtype != NUMPY_DTYPES[self.dtype]:
            value = self._cast(value, strict, allow_downcast)
        if value.ndim != len(self.shape):
            raise RankError(f"expected {self}, got {value.ndim} axes: shape {value.shape}")
        for axis, (expected, found) in enumerate(zip(self.shape, value.shape, strict=True)):
            if expected is not None and expected != found:
                raise RankError(f"expected {self}, got size {found} on axis {axis}: shape {value.shape}")
        return value

    def convert_number(self, value: float, allow_downcast: bool | None = None) -> np.ndarray | None:
        """Return a Python number as a 0-d array, or None where `convert` must look closer: the usual case, fast."""
        if self.shape:
            return None
        dtype = NUMPY_DTYPES[self.dtype]
        is_small = type(value) is int and -128 <= value <= 127
        if dtype.kind == "f":
            is_default = allow_downcast is None and self.dtype == config.floatX and type(value) is float
            fits = is_small or self.dtype == "float64" or is_default
        else:
            is_long = self.dtype == "int64" and type(value) is int and -(2**63) <= value < 2**63
            fits = dtype.kind == "i" and (is_small or is_long)
        return np.array(value, dtype) if fits else None

    def _cast(self, value: Any, strict: bool, allow_downcast: bool | None) -> np.ndarray:
        if strict:
            raise DTypeError(f"expected an array of exactly {self.dtype}, got {_describe(value)} (strict)")
        target = NUMPY_DTYPES[self.dtype]
        if isinstance(value, np.ma.MaskedArray):
            raise DTypeError(f"expected {self}, got a masked array: fill it, or select what isn't masked")
        if isinstance(value, np.ndarray | np.generic):
            array = np.asarray(value)
            if allow_downcast or np.can_cast(array.dtype, target, "safe"):
                return array.astype(target)
            if array.ndim == 0 and isinstance(value, float) and allow_downcast is None:
                return self._cast(float(value), strict, allow_downcast)
            raise DTypeError(
                f"expected {self}, got {_describe(value)}, which would lose information; "
                f"convert it with .astype({self.dtype!r}), or pass allow_input_downcast=True"
            )
        array = _array_of(value, self)
        if allow_downcast or array.size == 0:
            return array.astype(target)
        with np.errstate(all="ignore"):
            converted = array.astype(target)
        if _fits(array, converted, target, allow_downcast):
            return converted
        raise DTypeError(
            f"expected {self}, got {_describe(value)}, which doesn't fit; "
            "convert it first, or pass allow_input_downcast=True"
        )

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, TensorType)
            and self.dtype == other.dtype
            and self.shape == other.shape
            and self.broadcastable == other.broadcastable
        )

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return f"{self.dtype} {shape_text(self.shape)}"

    def __repr__(self) -> str:
        return f"TensorType({self.dtype!r}, {shape_text(self.shape).replace('?', 'None')})"


def shape_text(shape: Sequence[int | None]) -> str:
    """Return a shape as errors and pictures show it: ``(10, ?)``."""
    sizes = ["?" if size is None else str(size) for size in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def _size(size: int | bool | None) -> int | None:
    if size is None or size is False:
        return None
    if size is True:
        return 1
    try:
        number = int(size)
    except (TypeError, ValueError):
        raise ShapeError(f"a size is an integer, or None if it isn't known yet; got {size!r:.60}") from None
    if number < 0:
        raise ShapeError(f"a size can't be negative, got {number}; write None for a size that isn't known yet")
    return number


def _array_of(value: Any, expected: TensorType) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ShapeError(f"expected {expected}, got nested lists of unequal lengths") from error
    if array.dtype.name not in NUMPY_DTYPES:
        raise DTypeError(f"expected {expected}, got {_describe(value)}, which isn't an array of numbers")
    return array


def _is_configured_float(dtype: str) -> bool:
    return bool(dtype == config.floatX)


def _fits(array: np.ndarray, converted: np.ndarray, target: np.dtype, allow_downcast: bool | None) -> bool:
    """Whether Python numbers may become `target`: exactly, or a float becoming the configured float."""
    kind, target_kind = kind_of(array.dtype), kind_of(target)
    if kind == "f" and target_kind in "fc":
        if target.itemsize >= array.dtype.itemsize or bool(np.array_equal(converted, array, equal_nan=True)):
            return True
        return allow_downcast is None and _is_configured_float(target.name)
    if kind in "fc" and target_kind in "iub":
        return False
    return bool(np.array_equal(converted, array))


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype.name} {value.shape}"
    if isinstance(value, np.generic):
        return f"{value.dtype.name} {value!r}"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 40 else text[:37] + '...'}"
