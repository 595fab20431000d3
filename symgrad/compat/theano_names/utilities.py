"""Small functions of Theano's that programs import."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cache, wraps
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


# ---- what programs that look into graphs use ----


def add_tag_trace(thing: Any, user_line: int | None = None) -> Any:
    """Return `thing`: variables know the line that made them anyway."""
    return thing


def simple_extract_stack(f: Any = None, limit: int | None = None, skips: Iterable[str] = ()) -> list[Any]:
    """Return the lines that are being run, without files whose names contain one of `skips`."""
    import traceback

    left_out = list(skips)
    frames = [frame for frame in traceback.extract_stack(f) if not any(skip in frame.filename for skip in left_out)]
    return frames if limit is None else frames[-limit:]


def give_variables_names(variables: Iterable[Any]) -> list[str]:
    """Give each variable a name that no other of them has, and return the names."""
    names: dict[str, None] = {}
    for number, variable in enumerate(variables):
        name = str(variable) if variable.name is None else variable.name
        variable.name = name if name not in names else f"{name}_{number}"
        names[variable.name] = None
    return list(names)


def toposort(prereqs_d: Mapping[Any, Iterable[Any]]) -> list[Any]:
    """Return the keys of a mapping in an order in which each comes behind all that it needs.

    Examples
    --------
    >>> toposort({3: [2], 2: [1], 1: []})
    [1, 2, 3]
    """
    from graphlib import TopologicalSorter

    return list(TopologicalSorter(prereqs_d).static_order())


def type_guard(type1: type) -> Callable[[Any], bool]:
    """Return what tells whether something is of a type."""

    def is_one(value: Any) -> bool:
        return isinstance(value, type1)

    return is_one


def hist(items: Iterable[Any]) -> dict[Any, int]:
    """Return how often each item comes up."""
    return dict(Counter(items))


def deprecated(filename: str, msg: str = "") -> Callable[[Any], Any]:
    """Return a decorator of functions that one shouldn't use any longer: the first call warns."""

    def decorate(function: Any) -> Any:
        told: list[str] = []

        @wraps(function)
        def telling(*args: Any, **kwargs: Any) -> Any:
            if not told:
                told.append(filename)
                warnings.warn(f"{filename}: {function.__name__} is deprecated. {msg}", DeprecationWarning, stacklevel=2)
            return function(*args, **kwargs)

        return telling

    return decorate
