"""NumPy's functions on symbolic tensors: ``numpy.exp(x)``, which in Theano's programs means ``x.exp()``."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad import tensor as T
from symgrad.tensor.variable import TensorOperators

_OTHER_NAMES = {
    "absolute": "abs_", "greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le", "remainder": "mod",
    "not_equal": "neq", "equal": "eq", "conjugate": "conj", "matmul": "matmul", "divide": "true_div",
}  # fmt: skip


def _apply_ufunc(variable: Any, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
    """Return the function of `symgrad.tensor` that has a ufunc's name, applied; NumPy raises where there is none."""
    function = getattr(T, _OTHER_NAMES.get(ufunc.__name__, ufunc.__name__), None)
    if method != "__call__" or options or function is None:
        return NotImplemented
    return function(*inputs)


def set_ufuncs(of_theano: bool) -> None:
    """Let NumPy's functions take symbolic tensors, or refuse them, as symgrad does of its own."""
    TensorOperators.__array_ufunc__ = _apply_ufunc if of_theano else None  # type: ignore[assignment]
