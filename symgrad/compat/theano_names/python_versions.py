"""Names that Theano had for both versions of Python."""

from __future__ import annotations

import operator
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, MutableSet, Sequence, ValuesView
from functools import cmp_to_key, partial
from itertools import zip_longest as izip_longest
from pickle import dumps, loads
from typing import Any

PY3 = True
PY2 = False
string_types, integer_types, text_type, binary_type = (str,), (int,), str, bytes
imap, izip, ifilter = map, zip, filter
operator_div = operator.floordiv
DefaultOrderedDict = defaultdict


def exc_message(error: BaseException) -> Any:
    """Return what an exception says."""
    return error.args[0] if error.args else ""


def decode(text: Any) -> str:
    """Return bytes as text."""
    return text.decode() if isinstance(text, bytes) else str(text)


def decode_with(text: Any, encoding: str) -> str:
    """Return bytes of an encoding as text."""
    return text.decode(encoding) if isinstance(text, bytes) else str(text)


def b(text: str) -> bytes:
    """Return text as bytes, character by character."""
    return text.encode("latin-1")


def cmp(a: Any, b: Any) -> int:
    """Return -1, 0 or 1 as a is less than, equal to, or greater than b."""
    return int(a > b) - int(a < b)


def decode_iter(items: Iterable[Any]) -> Iterable[str]:
    """Yield each of some bytes as text."""
    return map(decode, items)


def get_unbound_function(unbound: Any) -> Any:
    """Return the function of a method that is looked up in its class: that is one already."""
    return getattr(unbound, "__func__", unbound)


def iteritems(mapping: Mapping[Any, Any]) -> Any:
    """Iterate over the items of a mapping."""
    return iter(mapping.items())


def itervalues(mapping: Mapping[Any, Any]) -> Any:
    """Iterate over the values of a mapping."""
    return iter(mapping.values())


def iterkeys(mapping: Mapping[Any, Any]) -> Any:
    """Iterate over the keys of a mapping."""
    return iter(mapping)


def with_metaclass(meta: type, *bases: type) -> type:
    """Return a base class whose derived classes have a metaclass."""
    return meta("WithMetaclass", bases or (object,), {})


def add_metaclass(meta: type) -> Callable[[type], type]:
    """Return a decorator that makes a class again, with a metaclass."""

    def again(kind: type) -> type:
        members = {name: value for name, value in vars(kind).items() if name not in ("__dict__", "__weakref__")}
        return meta(kind.__name__, kind.__bases__, members)  # type: ignore[no-any-return]

    return again


__all__ = [
    "PY2", "PY3", "Callable", "Counter", "DefaultOrderedDict", "Mapping", "MutableSet", "OrderedDict", "Sequence",
    "ValuesView", "add_metaclass", "b", "binary_type", "cmp", "cmp_to_key", "decode", "decode_iter", "decode_with",
    "defaultdict", "dumps", "exc_message", "get_unbound_function", "ifilter", "imap", "integer_types", "iteritems",
    "iterkeys", "itervalues", "izip", "izip_longest", "loads", "operator_div", "partial", "string_types", "text_type",
    "with_metaclass",
]  # fmt: skip
