"""Python's operators on tensors."""

from __future__ import annotations

from typing import Any

from symgrad.ops import comparison, elementwise, linalg


class ArithmeticOperators:
    """Arithmetic, bits and comparisons. Each operator stands for a function of `symgrad.tensor`."""

    __slots__ = ()

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

    def __floor__(self) -> Any:
        return elementwise.floor(self)

    def __ceil__(self) -> Any:
        return elementwise.ceil(self)

    def __trunc__(self) -> Any:
        return elementwise.trunc(self)

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

    def __lshift__(self, other: Any) -> Any:
        return comparison.left_shift(self, other)

    def __rlshift__(self, other: Any) -> Any:
        return comparison.left_shift(other, self)

    def __rshift__(self, other: Any) -> Any:
        return comparison.right_shift(self, other)

    def __rrshift__(self, other: Any) -> Any:
        return comparison.right_shift(other, self)

    # ---- comparisons; == and != are identity, because variables are keys of dictionaries ----

    def __lt__(self, other: Any) -> Any:
        return comparison.lt(self, other)

    def __le__(self, other: Any) -> Any:
        return comparison.le(self, other)

    def __gt__(self, other: Any) -> Any:
        return comparison.gt(self, other)

    def __ge__(self, other: Any) -> Any:
        return comparison.ge(self, other)
