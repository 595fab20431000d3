"""Small functions of Theano's that programs import."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np

memoize = cache


class MethodNotDefined(Exception):
    """A method that a class of the user's should have declared."""


class TestValueError(Exception):
    """A variable has no test value, or a wrong one."""

    __test__ = False


class Scratchpad:
    """A place for notes: any attribute may be set.

    Examples
    --------
    >>> pad = Scratchpad()
    >>> pad.seen = 3
    >>> pad.seen
    3
    """

    def clear(self) -> None:
        """Forget all notes."""
        self.__dict__.clear()

    def update(self, other: Scratchpad) -> None:
        """Take over the notes of another pad."""
        self.__dict__.update(other.__dict__)

    def info(self) -> None:
        """Print all notes."""
        print(self.__dict__)


class undef:
    """What stands for no value."""


def uniq(items: Iterable[Any]) -> list[Any]:
    """Return the items in order, each once."""
    return list(dict.fromkeys(items))


def difference(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    """Return the items of the first that aren't in the second."""
    left_out = set(second)
    return [item for item in first if item not in left_out]


def remove(predicate: Callable[[Any], bool], items: Iterable[Any]) -> list[Any]:
    """Return the items for which `predicate` doesn't hold."""
    return [item for item in items if not predicate(item)]


def flattened(nested: Any) -> list[Any]:
    """Return the leaves of nested lists, tuples and sets."""
    if isinstance(nested, list | tuple | set):
        return [leaf for part in nested for leaf in flattened(part)]
    return [nested]


def to_return_values(values: list[Any]) -> Any:
    """Return the only value, or all of them."""
    return values[0] if len(values) == 1 else values


def from_return_values(values: Any) -> list[Any]:
    """Return a list of what may be one value."""
    return list(values) if isinstance(values, list | tuple) else [values]


def hash_from_code(text: str | bytes) -> str:
    """Return a digest of a text.

    Examples
    --------
    >>> len(hash_from_code("x"))
    65
    """
    return "m" + hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def hash_from_file(path: str) -> str:
    """Return a digest of a file."""
    with open(path, "rb") as file:
        return hash_from_code(file.read())


def hash_from_ndarray(data: np.ndarray) -> str:
    """Return a digest of an array: its values, shape, strides and dtype."""
    described = f"{data.shape}{data.strides}{data.dtype}".encode()
    return hash_from_code(hash_from_code(np.ascontiguousarray(data).tobytes()).encode() + described)


def hash_from_dict(mapping: Mapping[Any, Any]) -> str:
    """Return a digest of a dictionary."""
    return hash_from_code(repr(sorted(mapping.items())))


def shape_of_variables(fgraph: Any, input_shapes: Mapping[Any, tuple[int, ...]]) -> dict[Any, tuple[int, ...]]:
    """Return the shapes of all variables of a graph, given those of its inputs."""
    from symgrad.compile.function import function

    variables = [variable for variable in fgraph.variables if hasattr(variable.type, "ndim")]
    shapes = function(fgraph.inputs, [v.shape for v in variables], on_unused_input="ignore")
    arrays = [np.zeros(input_shapes[variable], variable.type.dtype) for variable in fgraph.inputs]
    return {v: tuple(int(size) for size in found) for v, found in zip(variables, shapes(*arrays), strict=True)}
