"""Names that Theano had for both versions of Python."""

from __future__ import annotations

import operator
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, MutableSet, Sequence, ValuesView
from functools import cmp_to_key, partial
from itertools import zip_longest as izip_longest
from pickle import dumps, loads
from typing import Any

PY3 = True
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


__all__ = [
    "PY3", "Callable", "DefaultOrderedDict", "Mapping", "MutableSet", "OrderedDict", "Sequence", "ValuesView", "b",
    "cmp", "cmp_to_key", "decode", "decode_iter", "decode_with", "defaultdict", "dumps", "exc_message", "ifilter",
    "imap", "izip", "izip_longest", "loads", "operator_div", "partial",
]  # fmt: skip
