"""``theano.tensor.TensorType``, with Theano's order of arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgrad.compat.theano_names.methods import METHODS
from symgrad.graph import types


def pattern(broadcastable: Sequence[Any]) -> tuple[bool, ...]:
    """Return which axes stretch; 0 and 1 mean False and True."""
    return tuple([bool(stretches) for stretches in broadcastable])


class _TypeOfTensors(type):
    """Calling the class makes one of symgrad's types, and all of these are its instances."""

    def __call__(
        cls, dtype: Any, broadcastable: Sequence[Any] = (), name: str | None = None, sparse_grad: bool = False
    ) -> types.TensorType:
        return types.TensorType(dtype, pattern(broadcastable))

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, types.TensorType)


class TensorType(metaclass=_TypeOfTensors):
    """The type of an array: ``TensorType(dtype, broadcastable)``."""

    @staticmethod
    def values_eq(a: Any, b: Any, force_same_dtype: bool = True) -> bool:
        """Return whether two values are equal; NaNs are."""
        return _method("values_eq")(None, a, b, force_same_dtype)

    @staticmethod
    def values_eq_approx(a: Any, b: Any, *tolerances: Any, **options: Any) -> bool:
        """Return whether two values are nearly equal."""
        return _method("values_eq_approx")(None, a, b, *tolerances, **options)


def _method(name: str) -> Callable[..., bool]:
    return METHODS[types.TensorType][name]  # type: ignore[return-value]


def values_eq_approx_remove_inf(a: Any, b: Any) -> bool:
    """Return whether two values are nearly equal where neither is infinite."""
    return TensorType.values_eq_approx(a, b, True)


def values_eq_approx_remove_nan(a: Any, b: Any) -> bool:
    """Return whether two values are nearly equal where neither is NaN."""
    return TensorType.values_eq_approx(a, b, False, True)


def values_eq_approx_remove_inf_nan(a: Any, b: Any) -> bool:
    """Return whether two values are nearly equal where both are finite."""
    return TensorType.values_eq_approx(a, b, True, True)


def values_eq_approx_always_true(a: Any, b: Any) -> bool:
    """Return True."""
    return True


__all__ = [
    "TensorType", "values_eq_approx_always_true", "values_eq_approx_remove_inf", "values_eq_approx_remove_inf_nan",
    "values_eq_approx_remove_nan",
]  # fmt: skip
