"""The type of values that aren't arrays."""

from __future__ import annotations

from typing import Any

from symgrad.graph.types import Type


class Generic(Type):
    """Any Python object: what a custom op in Python may take. Functions take no arguments of it."""

    __slots__ = ()

    def convert(self, value: Any, strict: bool = False, allow_downcast: bool | None = None) -> Any:
        """Return the value itself."""
        return value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Generic)

    def __hash__(self) -> int:
        return hash(Generic)

    def __str__(self) -> str:
        return "<Generic>"


generic = Generic()


class object2:
    """The base of many of Theano's classes."""

    __slots__: tuple[str, ...] = ()
