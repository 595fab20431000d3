"""Types that stand for a gradient that isn't there. Variables of them never reach a compiled function."""

from __future__ import annotations

from typing import Any

from symgrad.graph.types import Type


class DisconnectedType(Type):
    """The type of a gradient with respect to what the cost doesn't depend on: Theano's ``DisconnectedType``.

    Examples
    --------
    >>> isinstance(DisconnectedType()().type, DisconnectedType)
    True
    """

    __slots__ = ()

    def convert(self, value: Any, strict: bool = False, allow_downcast: bool | None = None) -> Any:
        """Raise: there is no value."""
        raise TypeError("a disconnected gradient has no value")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __str__(self) -> str:
        return "disconnected"

    __repr__ = __str__


class NullType(Type):
    """The type of a gradient that isn't defined, or that nobody has written: Theano's ``NullType``.

    Parameters
    ----------
    why_null : str
        The reason.
    """

    __slots__ = ("why_null",)

    def __init__(self, why_null: str = "(no explanation given)") -> None:
        self.why_null = why_null

    def convert(self, value: Any, strict: bool = False, allow_downcast: bool | None = None) -> Any:
        """Raise: there is no value."""
        raise TypeError(f"an undefined gradient has no value: {self.why_null}")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __str__(self) -> str:
        return "undefined"

    __repr__ = __str__


null_type = NullType()
"""A `NullType` without an explanation."""
