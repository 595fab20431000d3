"""What Theano says about itself, and small things that mean nothing here."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.graph.types import dtype_name

version = __version__ = "1.0.5"
"""The version of Theano whose behaviour is kept: programs ask for it."""

enable_sparse = True
sparse_formats = ["csc", "csr"]
int_dtypes = ["int8", "int16", "int32", "int64"]
uint_dtypes = ["uint8", "uint16", "uint32", "uint64"]
integer_dtypes = int_dtypes + uint_dtypes
float_dtypes = ["float16", "float32", "float64"]
complex_dtypes = ["complex64", "complex128"]
continuous_dtypes = float_dtypes + complex_dtypes
discrete_dtypes = ["bool", *integer_dtypes]
all_dtypes = discrete_dtypes + continuous_dtypes


def _asarray(a: Any, dtype: Any, order: Any = None) -> np.ndarray:
    """Return an array of exactly a dtype; ``floatX`` means the configured one."""
    return np.asarray(a, dtype=dtype_name(dtype), order=order)


def python_int_bitwidth() -> int:
    """Return how many bits a C ``long`` has, which is what a Python int is taken for."""
    return np.dtype(np.long).itemsize * 8


def local_bitwidth() -> int:
    """Return how many bits an address has."""
    return np.dtype(np.intp).itemsize * 8


def sparse_grad(var: Any) -> Any:
    """Return `var`: the gradient of an index is as sparse as it can be anyway."""
    return var
