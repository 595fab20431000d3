"""Floats of 16 bits: NumPy computes on them in float32, and rounds each result once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgrad.graph.dtypes import NUMPY_DTYPES, is_half


def in_float32(function: Callable[..., Any], count: int, dtype: str) -> Callable[..., np.ndarray]:
    """Return a function of arrays that computes in float32 where they are floats of 16 bits.

    Parameters
    ----------
    function : callable
        What a kernel does.
    count : int
        How many operands it takes; one more argument is where the result goes.
    dtype : str
        The dtype of its result.
    """
    target = NUMPY_DTYPES[dtype]

    def run(*arguments: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        operands = [operand.astype("float32") if is_half(operand) else operand for operand in arguments[:count]]
        out = arguments[count] if len(arguments) > count else out
        result = np.asarray(function(*operands))
        if out is None:
            return result.astype(target, copy=False)
        np.copyto(out, result, casting="unsafe")
        return out

    return run
