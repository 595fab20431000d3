"""Theano's constructors. Those with a dtype in their name are types, which make variables when they are called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgrad.config import config
from symgrad.graph.types import TensorType, dtype_name
from symgrad.tensor.constructors import PREFIXES

PATTERNS: dict[str, tuple[bool, ...]] = {
    "scalar": (), "vector": (False,), "row": (True, False), "col": (False, True), "matrix": (False, False),
    **{f"tensor{axes}": (False,) * axes for axes in range(3, 8)},
}  # fmt: skip


def tensor(dtype: Any = None, broadcastable: Sequence[Any] = (), name: str | None = None) -> Any:
    """Return a variable of the type that the arguments describe: ``tensor(dtype, broadcastable)``.

    Examples
    --------
    >>> tensor("float32", (False, True), name="x").broadcastable
    (False, True)
    """
    return TensorType(config.floatX if dtype is None else dtype, [bool(one) for one in broadcastable])(name)


def _of_floats(word: str, pattern: tuple[bool, ...]) -> Callable[..., Any]:
    def construct(name: str | None = None, dtype: Any = None) -> Any:
        return TensorType(dtype_name(config.floatX if dtype is None else dtype), pattern)(name)

    construct.__name__ = construct.__qualname__ = word
    construct.__doc__ = f"Return a symbolic {word}, of floatX unless another dtype is given."
    return construct


def several(word: str, make: Callable[..., Any]) -> Callable[..., Any]:
    """Return a constructor of several variables at once."""

    def construct(*names: Any, **options: Any) -> Any:
        if names and isinstance(names[0], int):
            return [make(**options) for _ in range(names[0])]
        given = names[0] if len(names) == 1 else names  # a single text is read letter by letter
        made = [make(name, **options) for name in given]
        return made[0] if len(made) == 1 else made

    construct.__name__ = construct.__qualname__ = word
    construct.__doc__ = f"Return several symbolic {word}: for names, for the letters of one text, or a number of them."
    return construct


__all__ = ["tensor"]

for _prefix, _dtype in PREFIXES.items():
    for _word, _pattern in PATTERNS.items():
        _make: Any = _of_floats(_word, _pattern) if _dtype is None else TensorType(_dtype, _pattern)
        _plural = "matrices" if _word == "matrix" else f"{_word}s"
        globals()[_prefix + _word] = _make
        globals()[_prefix + _plural] = several(_prefix + _plural, _make)
        __all__ += [_prefix + _word, _prefix + _plural]


def __getattr__(name: str) -> Any:
    """Tell type checkers that there are names that no statement defines."""
    raise AttributeError(f"there is no constructor {name!r}")
