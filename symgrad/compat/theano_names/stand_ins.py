"""Classes that stand for Theano's classes of ops.

symgrad's ops are others. A stand-in answers what ``isinstance(node.op, T.Elemwise)`` asks: its instances are the ops
that do the same work. Calling it with parameters returns a function of the operands, as ``T.Reshape(2)(x, shape)``.
"""

from __future__ import annotations

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
        made = super().__new__(mcs, name, (), {"__doc__": f"Theano's {name}."})
        made._make, made._names, made._base = staticmethod(make), names, base
        made._holds = staticmethod(holds) if holds else None
        return made

    def __init__(cls, *arguments: Any, **options: Any) -> None:
        super().__init__(cls.__name__, (), {})

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        return cls._make(*arguments, **options)

    def __instancecheck__(cls, op: Any) -> bool:
        if cls._base is not None and isinstance(op, cls._base):
            return True
        if not isinstance(op, Op) or type(op).__name__ not in cls._names:
            return False
        return cls._holds is None or cls._holds(op)

    def __subclasscheck__(cls, kind: type) -> bool:
        return kind is cls or kind in [registry.ops.get(name) for name in cls._names]


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

        def of(*operands: Any) -> Any:
            return function(*operands, **{name: value for name, value in given.items() if value is not None})

        return of

    return make
