"""``theano.shared``, and Theano's classes of shared variables."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.compat.theano_names.configuration import symgrad_device
from symgrad.compat.theano_names.generic import generic
from symgrad.graph import variables
from symgrad.graph.variables import Variable
from symgrad.tensor import variable


class GenericSharedVariable(variables.SharedVariable):
    """A shared variable that holds any Python object. Expressions can't use it."""

    __slots__ = ()

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Any:
        """Return the object: itself if borrowed, else a copy."""
        import copy

        value: Any = self.container.value
        return value if borrow else copy.deepcopy(value)

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Hold another object."""
        self.container.value = new_value


def shared(
    value: Any,
    name: str | None = None,
    strict: bool = False,
    allow_downcast: bool | None = None,
    borrow: bool = False,
    broadcastable: Any = None,
    target: str | None = None,
) -> Any:
    """Return a shared variable: ``theano.shared``. A Python float is float64 whatever ``floatX`` is.

    Parameters
    ----------
    value : number, array, sparse matrix, RandomState, or any object
        First value. What isn't made of numbers, and a list, can be held but not computed with.
    name : str, optional
        A name for people.
    strict, allow_downcast : bool
        How later values are converted, see `symgrad.shared`.
    borrow : bool
        Whether an array may become the storage itself.
    broadcastable : sequence of bool, optional
        Axes that have size 1 for ever, and stretch.
    target : str, optional
        The device that an array lies on: ``cpu``, ``gpu0``, ``cuda1``, ``dev1``; by default that of the setting
        ``device``.

    Examples
    --------
    >>> shared(0.5).dtype, shared(3).dtype
    ('float64', 'int64')
    """
    if isinstance(value, Variable):
        raise TypeError("Shared variable constructor needs numeric values and not symbolic variables.")
    if isinstance(value, np.random.RandomState):
        from symgrad.compat.theano_names.random_streams import random_state

        return random_state(value, name)
    if hasattr(value, "getformat"):
        from symgrad import sparse

        return sparse.shared(value, name)
    if not isinstance(value, int | float | complex | np.ndarray | np.generic) or _dtype(value).kind not in "iufcb":
        return GenericSharedVariable(generic, value, name)
    dtype = "float64" if isinstance(value, float) and not isinstance(value, np.generic) else None
    place = symgrad_device(target)
    return variable.shared(value, name, strict, allow_downcast, borrow, None, broadcastable, dtype, place)


def _dtype(value: Any) -> np.dtype:
    return np.asarray(value).dtype


def tensor_constructor(value: Any, name: str | None = None, **options: Any) -> Any:
    """Return a shared variable of an array."""
    return shared(np.asarray(value), name, **options)


class _Shared(type):
    """Calling the class makes a variable of a type and a value, in Theano's order of arguments."""

    def __call__(
        cls,
        name: Any = None,
        type: Any = None,
        value: Any = None,
        strict: Any = None,
        allow_downcast: Any = None,
        container: Any = None,
    ) -> Any:
        if type == generic:
            return GenericSharedVariable(generic, value, name)
        array = type.convert(value, bool(strict), allow_downcast)
        return variable.shared(array, name, bool(strict), allow_downcast, shape=type.shape)

    def __instancecheck__(cls, instance: Any) -> bool:
        kind = variables.SharedVariable if cls.__name__ == "SharedVariable" else variable.TensorSharedVariable
        return isinstance(instance, kind)


class SharedVariable(metaclass=_Shared):
    """Any shared variable: ``SharedVariable(name, type, value, strict)``."""


class TensorSharedVariable(metaclass=_Shared):
    """A shared tensor: ``TensorSharedVariable(name, type, value, strict)``."""


ScalarSharedVariable = TensorSharedVariable


def scalar_constructor(value: Any, name: str | None = None, **options: Any) -> Any:
    """Return a shared variable of a number."""
    return shared(value, name, **options)


def shared_constructor(constructor: Any, remove: bool = False) -> Any:
    """Return `constructor`: what becomes a shared variable of what isn't asked of the program."""
    return constructor
