"""Runs scalar functions over whole arrays, as the tests of native scalar functions need it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from symgrad.backends.native.kernel import buffer_pointer, kernel_function
from symgrad.backends.native.llvm.host import Processor
from symgrad.backends.native.llvm.jit import load
from symgrad.backends.native.llvm.text import Function, Value, literal, module_text, vector_type
from symgrad.backends.native.scalars import ELEMENTS, emit_scalar

Entry = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)  # fmt: skip


def memory_element(dtype: str) -> str:
    """Return the LLVM type of an element in memory."""
    return "i8" if dtype == "bool" else ELEMENTS[dtype]


def load_elements(function: Function, pointer: Value, place: Value, dtype: str, lanes: int) -> Value:
    """Write a load of `lanes` elements."""
    value = function.load(
        function.offset(pointer, place, memory_element(dtype)), vector_type(memory_element(dtype), lanes))  # fmt: skip
    return function.compare("ne", value, literal(0, value.type)) if dtype == "bool" else value


def store_elements(function: Function, value: Value, pointer: Value, place: Value, dtype: str, lanes: int) -> None:
    """Write a store of `lanes` elements."""
    if dtype == "bool":
        value = function.convert("zext", value, vector_type("i8", lanes))
    function.store(value, function.offset(pointer, place, memory_element(dtype)))


def scalar_text(name: str, dtypes: Sequence[str], dtype: str, lanes: int) -> str:
    """Return a module with a kernel that applies a scalar function."""
    function = kernel_function("k")
    pointers = [buffer_pointer(function, number) for number in range(len(dtypes) + 1)]
    begin, end = function.parameters[2:4]
    with function.loop(begin, end, lanes) as loop:
        operands = [
            load_elements(function, pointer, loop.index, kind, lanes)
            for pointer, kind in zip(pointers, dtypes, strict=False)
        ]
        result = emit_scalar(function, name, operands, dtypes, dtype)
        store_elements(function, result, pointers[-1], loop.index, dtype, lanes)
    function.give(Value("0", "i32"))
    return module_text([function])


@lru_cache(maxsize=512)
def entry_of(text: str, processor: Processor | None) -> Any:
    """Return a module's kernel as a function."""
    return Entry(load(text, ["k"], processor=processor)["k"])


def run_kernel(entry: Any, buffers: Sequence[np.ndarray], end: int) -> int:
    """Call a kernel for units 0 to end - 1."""
    addresses = (ctypes.c_void_p * len(buffers))(*[array.ctypes.data for array in buffers])
    return int(entry(addresses, None, 0, end, None))


def apply(
    name: str, arrays: Sequence[np.ndarray], dtype: str, lanes: int, processor: Processor | None = None
) -> np.ndarray:
    """Return a scalar function of flat arrays of one size, computed natively."""
    count = arrays[0].size
    padded = -(-count // lanes) * lanes
    operands = [np.resize(array, padded) if count else array for array in arrays]
    result = np.zeros(padded, dtype)
    text = scalar_text(name, [array.dtype.name for array in arrays], dtype, lanes)
    assert run_kernel(entry_of(text, processor), [*operands, result], padded) == 0
    return result[:count]
