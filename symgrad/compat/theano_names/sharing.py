"""``theano.shared``."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.graph.variables import Variable
from symgrad.tensor import variable


def shared(
    value: Any,
    name: str | None = None,
    strict: bool = False,
    allow_downcast: bool | None = None,
    borrow: bool = False,
    broadcastable: Any = None,
    target: str | None = None,
    **options: Any,
) -> Any:
    """Return a shared variable: ``theano.shared``. A Python float is float64 whatever ``floatX`` is.

    Parameters
    ----------
    value : array_like or sparse matrix
        First value.
    name : str, optional
        A name for people.
    borrow : bool
        Whether an array may become the storage itself.
    broadcastable : sequence of bool, optional
        Axes that have size 1 for ever, and stretch.
    strict, allow_downcast, target, options
        Accepted: there is one place for values, that of the setting ``device``.

    Examples
    --------
    >>> shared(0.5).dtype, shared(3).dtype
    ('float64', 'int64')
    """
    if isinstance(value, Variable):
        raise TypeError("Shared variable constructor needs numeric values and not symbolic variables.")
    if hasattr(value, "getformat"):
        from symgrad import sparse

        return sparse.shared(value, name)
    dtype = "float64" if isinstance(value, float) and not isinstance(value, np.generic) else None
    return variable.shared(value, name, strict, allow_downcast, borrow, None, broadcastable, dtype)


def tensor_constructor(value: Any, name: str | None = None, **options: Any) -> Any:
    """Return a shared variable of an array."""
    return shared(np.asarray(value), name, **options)


class _SharedMeta(type):
    """Calling the class makes a variable of a type and a value, in Theano's order of arguments."""

    def __call__(
        cls, name: Any = None, type: Any = None, value: Any = None, strict: Any = None, allow_downcast: Any = None, **_: Any
    ) -> Any:
        return variable.shared(type.convert(value, bool(strict), allow_downcast), name, shape=type.shape)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, variable.TensorSharedVariable)


class TensorSharedVariable(metaclass=_SharedMeta):
    """Shared tensors, as ``theano.tensor.sharedvar.TensorSharedVariable(name, type, value, strict)`` makes them."""


ScalarSharedVariable = TensorSharedVariable


def scalar_constructor(value: Any, name: str | None = None, **options: Any) -> Any:
    """Return a shared variable of a number."""
    return shared(value, name, **options)


def shared_constructor(constructor: Any, remove: bool = False) -> Any:
    """Return `constructor`: what becomes a shared variable of what isn't asked of the program."""
    return constructor
