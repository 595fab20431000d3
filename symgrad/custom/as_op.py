"""`as_op`: a Python function of arrays as an op."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from symgrad.custom.python_op import PythonOp
from symgrad.errors import ShapeError
from symgrad.graph.types import TensorType, Type
from symgrad.graph.variables import Apply


class FromFunctionOp(PythonOp):
    """An op that calls a Python function of arrays; `as_op` makes it."""

    def __init__(
        self, fn: Callable[..., Any], itypes: Sequence[Any], otypes: Sequence[Any], infer_shape: Any = None
    ) -> None:
        self.function = fn
        self.itypes = itypes  # type: ignore[misc]
        self.otypes = otypes  # type: ignore[misc]
        self._shapes = infer_shape
        self.__name__ = getattr(fn, "__name__", type(fn).__name__)
        self.__doc__ = fn.__doc__
        self.name = f"FromFunctionOp{{{self.__name__}}}"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.function == other.function  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self), self.function))

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[list[Any]]) -> None:
        results = self.function(*inputs)
        if not isinstance(results, list | tuple):
            results = [results]
        if len(results) != len(output_storage):
            raise ShapeError(f"{self.__name__} returned {len(results)} values, and declares {len(output_storage)}")
        for cell, result in zip(output_storage, results, strict=True):
            cell[0] = result

    def infer_shape(self, node: Apply, input_shapes: Sequence[Any]) -> Sequence[Any]:
        if self._shapes is None:
            raise NotImplementedError
        found: Sequence[Any] = self._shapes(node, input_shapes)
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        """The function's name has become the op's, so a pickle holds where that is to be found."""
        module = getattr(self.function, "__module__", None)
        place = getattr(sys.modules.get(module or ""), self.__name__, None)
        if place is not self:
            return FromFunctionOp, (self.function, list(self.itypes or ()), list(self.otypes or ()), self._shapes)
        return _found_again, (module, self.__name__)


def _found_again(module: str, name: str) -> Any:
    __import__(module)
    return getattr(sys.modules[module], name)


def as_op(itypes: Any, otypes: Any, infer_shape: Callable[..., Any] | None = None) -> Callable[..., FromFunctionOp]:
    """Make an op of a Python function of arrays; for use as a decorator.

    Parameters
    ----------
    itypes, otypes : type, or list of types
        What the function takes and returns, such as ``T.dvector`` or ``x.type``.
    infer_shape : callable, optional
        ``infer_shape(node, input_shapes)`` returns the sizes of the outputs. With it, more is known before a call,
        and what comes after the op may be compiled.

    Returns
    -------
    callable
        A decorator. What it makes of the function is called with variables.

    Raises
    ------
    TypeError
        If something isn't a type.

    Notes
    -----
    Keeps the behaviour of Theano's ``theano.compile.ops.as_op``. The op has no gradient; for one, write a `PythonOp`.

    Examples
    --------
    >>> import numpy, symgrad, symgrad.tensor as T
    >>> @symgrad.as_op(itypes=[T.dvector], otypes=[T.lvector])
    ... def ranks(values):
    ...     return numpy.argsort(numpy.argsort(values))
    >>> x = T.dvector('x')
    >>> print(ranks(x).eval({x: [3., 1., 2.]}))
    [2 0 1]
    """
    kinds = [_types(given, name) for given, name in ((itypes, "itypes"), (otypes, "otypes"))]
    if infer_shape is not None and not callable(infer_shape):
        raise TypeError(f"infer_shape must be callable, got {type(infer_shape).__name__}")

    def make_op(fn: Callable[..., Any]) -> FromFunctionOp:
        return FromFunctionOp(fn, kinds[0], kinds[1], infer_shape)

    return make_op


def _types(given: Any, name: str) -> list[Type]:
    found = []
    for kind in given if isinstance(given, list | tuple) else [given]:
        if isinstance(kind, Type):
            found.append(kind)
        elif callable(kind) and isinstance(getattr(variable := kind(), "type", None), TensorType):
            found.append(variable.type)
        else:
            raise TypeError(f"{name} must be types such as T.dvector, got {kind!r:.60}")
    return found
