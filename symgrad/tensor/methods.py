"""Functions of one tensor as methods of it."""

from __future__ import annotations

from copy import copy
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

from symgrad.ops import complex_numbers, cumulative, elementwise, identity, numeric, reduction, sorting

_numbers = count()
_automatic_names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


class FunctionMethods:
    """Methods that stand for the function of that name in `symgrad.tensor`."""

    __slots__ = ()

    # ---- its place in the graph ----

    @property
    def auto_name(self) -> str:
        """A name that no other variable has: ``'auto_7'``. It is given when first asked for."""
        if self not in _automatic_names:
            _automatic_names[self] = f"auto_{next(_numbers)}"
        return _automatic_names[self]

    def get_parents(self) -> list[Any]:
        """Return the application that computes this variable, in a list; an empty list for an input."""
        owner = self.owner  # type: ignore[attr-defined]
        return [] if owner is None else [owner]

    def clone(self) -> Any:
        """Return another variable of the same type, name and tag, that nothing computes; constants keep their value."""
        duplicate = self._duplicate()
        if self._tag is not None:  # type: ignore[attr-defined]
            duplicate._tag = copy(self._tag)  # type: ignore[attr-defined]
        return duplicate

    def _duplicate(self) -> Any:
        return self.type(self.name)  # type: ignore[attr-defined]

    def transfer(self, target: str | None) -> Any:
        """`symgrad.tensor.transfer`."""
        return identity.transfer(self, target)

    # ---- elementwise functions ----

    def exp(self) -> Any:
        """`symgrad.tensor.exp`."""
        return elementwise.exp(self)

    def exp2(self) -> Any:
        """`symgrad.tensor.exp2`."""
        return elementwise.exp2(self)

    def expm1(self) -> Any:
        """`symgrad.tensor.expm1`."""
        return elementwise.expm1(self)

    def log(self) -> Any:
        """`symgrad.tensor.log`."""
        return elementwise.log(self)

    def log2(self) -> Any:
        """`symgrad.tensor.log2`."""
        return elementwise.log2(self)

    def log10(self) -> Any:
        """`symgrad.tensor.log10`."""
        return elementwise.log10(self)

    def log1p(self) -> Any:
        """`symgrad.tensor.log1p`."""
        return elementwise.log1p(self)

    def sqrt(self) -> Any:
        """`symgrad.tensor.sqrt`."""
        return elementwise.sqrt(self)

    def sin(self) -> Any:
        """`symgrad.tensor.sin`."""
        return elementwise.sin(self)

    def cos(self) -> Any:
        """`symgrad.tensor.cos`."""
        return elementwise.cos(self)

    def tan(self) -> Any:
        """`symgrad.tensor.tan`."""
        return elementwise.tan(self)

    def arcsin(self) -> Any:
        """`symgrad.tensor.arcsin`."""
        return elementwise.arcsin(self)

    def arccos(self) -> Any:
        """`symgrad.tensor.arccos`."""
        return elementwise.arccos(self)

    def arctan(self) -> Any:
        """`symgrad.tensor.arctan`."""
        return elementwise.arctan(self)

    def sinh(self) -> Any:
        """`symgrad.tensor.sinh`."""
        return elementwise.sinh(self)

    def cosh(self) -> Any:
        """`symgrad.tensor.cosh`."""
        return elementwise.cosh(self)

    def tanh(self) -> Any:
        """`symgrad.tensor.tanh`."""
        return elementwise.tanh(self)

    def arcsinh(self) -> Any:
        """`symgrad.tensor.arcsinh`."""
        return elementwise.arcsinh(self)

    def arccosh(self) -> Any:
        """`symgrad.tensor.arccosh`."""
        return elementwise.arccosh(self)

    def arctanh(self) -> Any:
        """`symgrad.tensor.arctanh`."""
        return elementwise.arctanh(self)

    def deg2rad(self) -> Any:
        """`symgrad.tensor.deg2rad`."""
        return elementwise.deg2rad(self)

    def rad2deg(self) -> Any:
        """`symgrad.tensor.rad2deg`."""
        return elementwise.rad2deg(self)

    def floor(self) -> Any:
        """`symgrad.tensor.floor`."""
        return elementwise.floor(self)

    def ceil(self) -> Any:
        """`symgrad.tensor.ceil`."""
        return elementwise.ceil(self)

    def trunc(self) -> Any:
        """`symgrad.tensor.trunc`."""
        return elementwise.trunc(self)

    def conj(self) -> Any:
        """`symgrad.tensor.conj`."""
        return complex_numbers.conj(self)

    conjugate = conj

    @property
    def real(self) -> Any:
        """`symgrad.tensor.real`."""
        return complex_numbers.real(self)

    @property
    def imag(self) -> Any:
        """`symgrad.tensor.imag`."""
        return complex_numbers.imag(self)

    def round(self, mode: str | None = None) -> Any:
        """`symgrad.tensor.round`."""
        return numeric.round(self, mode)

    def clip(self, a_min: Any, a_max: Any) -> Any:
        """`symgrad.tensor.clip`."""
        return elementwise.clip(self, a_min, a_max)

    # ---- order and running totals ----

    def sort(self, axis: int | None = -1, kind: str | None = "quicksort", order: Any = None) -> Any:
        """`symgrad.tensor.sort`."""
        return sorting.sort(self, axis, kind, order)

    def argsort(self, axis: int | None = -1, kind: str | None = "quicksort", order: Any = None) -> Any:
        """`symgrad.tensor.argsort`."""
        return sorting.argsort(self, axis, kind, order)

    def searchsorted(self, v: Any, side: str = "left", sorter: Any = None) -> Any:
        """`symgrad.tensor.searchsorted`."""
        return sorting.searchsorted(self, v, side, sorter)

    def cumsum(self, axis: int | None = None) -> Any:
        """`symgrad.tensor.cumsum`."""
        return cumulative.cumsum(self, axis)

    def cumprod(self, axis: int | None = None) -> Any:
        """`symgrad.tensor.cumprod`."""
        return cumulative.cumprod(self, axis)

    # ---- reductions ----

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

    def ptp(self, axis: Any = None, keepdims: bool = False) -> Any:
        """`symgrad.tensor.ptp`."""
        return reduction.ptp(self, axis, keepdims)

    def norm(self, L: Any = 2, axis: Any = None, keepdims: bool = False) -> Any:
        """`symgrad.tensor.norm`."""
        return reduction.norm(self, L, axis, keepdims)
