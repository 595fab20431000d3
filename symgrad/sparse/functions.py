"""All functions of `symgrad.sparse`, for the methods of variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from symgrad.sparse.arithmetic import *
from symgrad.sparse.arithmetic import ARITHMETIC
from symgrad.sparse.conversion import *
from symgrad.sparse.indexing import *
from symgrad.sparse.joining import *
from symgrad.sparse.parts import *
from symgrad.sparse.products import *
from symgrad.sparse.structured import *
from symgrad.sparse.structured import KEEP_ZEROS
from symgrad.sparse.sums import *


def elementwise_functions() -> Mapping[str, Callable[..., Any]]:
    """Return what elementwise functions of `symgrad.tensor`, by their names, do with sparse matrices."""
    return {**KEEP_ZEROS, **ARITHMETIC}
