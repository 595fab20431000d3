"""Classes that stand for Theano's classes of ops.

symgrad's ops are others. A stand-in answers what ``isinstance(node.op, T.Elemwise)`` asks: its instances are the ops
that do the same work. Calling it with parameters returns a function of the operands, as ``T.Reshape(2)(x, shape)``.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

from symgrad.graph.op import Op, registry


class StandIn(type):
    """A class whose instances are ops of other classes.

    Parameters
    ----------
    name : str
        Its name.
    make : callable
        What calling the class does.
    names : sequence of str
        The classes of the ops that are its instances.
    holds : callable, optional
        Says of an op of one of these classes whether it is one; by default all are.
    base : type, optional
        A class of which all instances are.
    """

    _make: Callable[..., Any]
    _names: Sequence[str]
    _holds: Callable[[Any], bool] | None
    _base: type | None

    def __new__(
        mcs,
        name: str,
        make: Callable[..., Any],
        names: Sequence[str] = (),
        holds: Callable[[Any], bool] | None = None,
        base: type | None = None,
    ) -> Any:
        module = sys._getframe(1).f_globals["__name__"]  # pickles look for the class there
        made = super().__new__(mcs, name, (), {"__doc__": f"Theano's {name}.", "__module__": module})
        made._make, made._names, made._base = staticmethod(make), names, base
        made._holds = staticmethod(holds) if holds else None
        return made

    def __init__(cls, *arguments: Any, **options: Any) -> None:
        super().__init__(cls.__name__, (), {})

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        made = cls._make(*arguments, **options)
        if isinstance(made, Applied):
            made.kind = cls
        return made

    def __instancecheck__(cls, op: Any) -> bool:
        if isinstance(op, Applied):
            return op.kind is cls
        if cls._base is not None and isinstance(op, cls._base):
            return True
        if not isinstance(op, Op) or type(op).__name__ not in cls._names:
            return False
        return cls._holds is None or cls._holds(op)

    def __subclasscheck__(cls, kind: type) -> bool:
        return kind is cls or kind in [registry.ops.get(name) for name in cls._names]


class Applied:
    """A function of operands, with the parameters that it was made with. Two with equal parameters are equal."""

    kind: type | None = None

    def __init__(
        self,
        function: Callable[..., Any],
        given: dict[str, Any],
        parameters: tuple[Any, ...] = (),
        options: dict[str, Any] | None = None,
    ) -> None:
        self._function, self._given = function, given
        self._made_with = (function, parameters, options or {})

    def __call__(self, *operands: Any, return_list: bool = False) -> Any:
        """Apply it; return a list, where that is asked for, of however many results."""
        given = {name: value for name, value in self._given.items() if value is not None}
        results = self._function(*operands, **given)
        if return_list:
            return list(results) if isinstance(results, list | tuple) else [results]
        return results

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._given:
            return self._given[name]
        parameter = inspect.signature(self._function).parameters.get(name)
        if parameter is None or parameter.default is parameter.empty:
            raise AttributeError(name)
        return parameter.default

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Applied) and (self.kind, self._made_with) == (other.kind, other._made_with)

    def __hash__(self) -> int:
        return hash((self.kind, repr(self._made_with)))


def applying(function: Callable[..., Any], *names: str) -> Callable[..., Callable[..., Any]]:
    """Return what takes parameters, called `names` by `function`, and returns a function of the operands.

    Parameters that `function` doesn't take, such as ``inplace``, are passed over.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> applying(T.sum, "axis")(0)(T.matrix("x")).ndim
    1
    """

    def make(*parameters: Any, **options: Any) -> Callable[..., Any]:
        given = dict(zip(names, parameters, strict=False))
        given.update((name, value) for name, value in options.items() if name in names)
        return Applied(function, given, parameters, options)

    return make
