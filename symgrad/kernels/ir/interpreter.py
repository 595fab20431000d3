"""Runs kernels in NumPy, statement by statement: what kernel IR means, and what compiled kernels are compared with.

The rounds of a vector loop are computed at once, as arrays; all other loops run round by round.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.kernels.ir.grammar import (
    Buffer,
    Call,
    Carry,
    Cast,
    Check,
    Expression,
    Kernel,
    Kind,
    Let,
    Literal,
    Load,
    Loop,
    Ref,
    Role,
    Size,
    Statement,
    Store,
)  # fmt: skip
from symgrad.kernels.ir.traversal import in_order

_NUMPY_NAMES = {
    "eq": "equal", "neq": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
    "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "sqr": "square", "switch": "where",
    "shift_left": "left_shift", "shift_right": "right_shift",
}  # fmt: skip
_ELSEWHERE = {
    "exp_below_one": "numpy:exp", "sigmoid": "scipy.special:expit",
    "erf": "scipy.special:erf", "erfc": "scipy.special:erfc", "xlogy0": "scipy.special:xlogy",
    "xlogx": "symgrad.kernels.special_functions:xlogx",
    "softplus": "symgrad.kernels.scalar_functions:softplus", "rectify": "symgrad.kernels.scalar_functions:relu",
    "step": "symgrad.kernels.scalar_functions:step",
    "rectify_gradient": "symgrad.kernels.scalar_functions:rectify_gradient",
}  # fmt: skip


class OutOfBounds(Exception):
    """A kernel reads or writes outside of a buffer: a mistake of symgrad."""


@dataclass(frozen=True)
class Left(Exception):
    """A check didn't hold, and the kernel was left."""

    code: int


def interpret(kernel: Kernel, arrays: Sequence[np.ndarray], sizes: Mapping[str, int]) -> int:
    """Run a kernel.

    Parameters
    ----------
    kernel : Kernel
        A verified kernel.
    arrays : sequence of ndarray
        One-dimensional memory of each input and output, from its first element; outputs are written.
    sizes : mapping
        The open sizes.

    Returns
    -------
    int
        0, or the code of the check that failed.

    Raises
    ------
    OutOfBounds
        If it leaves a buffer.
    """
    try:
        with np.errstate(all="ignore"):
            _Interpreter(kernel, arrays, sizes).run(kernel.body)
    except Left as left:
        return left.code
    return 0


def numpy_function(name: str) -> Callable[..., Any]:
    """Return the NumPy function that a scalar function stands for."""
    if name in _ELSEWHERE:
        module, attribute = _ELSEWHERE[name].split(":")
        function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
        return function
    if name == "multiply_high":
        return _multiply_high
    ufunc: Callable[..., Any] = getattr(np, _NUMPY_NAMES.get(name, name))
    return ufunc


def _multiply_high(a: Any, b: Any) -> Any:
    """The upper half of an unsigned product, from 32-bit halves where there is no wider integer."""
    dtype = np.asarray(a).dtype
    if dtype.itemsize < 8:
        shift = np.uint64(8 * dtype.itemsize)
        return ((np.asarray(a, "u8") * np.asarray(b, "u8")) >> shift).astype(dtype)
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    a0, a1, b0, b1 = a & low, a >> half, b & low, b >> half
    middle = ((a0 * b0) >> half) + ((a1 * b0) & low) + a0 * b1
    return a1 * b1 + ((a1 * b0) >> half) + (middle >> half)


class _Interpreter:
    def __init__(self, kernel: Kernel, arrays: Sequence[np.ndarray], sizes: Mapping[str, int]) -> None:
        passed = [buffer.name for buffer in kernel.buffers if buffer.role is not Role.SCRATCH]
        self.buffers = {buffer.name: buffer for buffer in kernel.buffers}
        self.memory = dict(zip(passed, arrays, strict=True))
        for buffer in kernel.buffers:
            if buffer.role is Role.SCRATCH:
                self.memory[buffer.name] = np.zeros(_extent_of(buffer), buffer.dtype)
        self.sizes = sizes
        self.values: dict[str, Any] = {name: np.int64(size) for name, size in sizes.items()}
        self.carries: list[dict[str, Any]] = []

    def size(self, size: Size) -> int:
        return self.sizes[size] if isinstance(size, str) else size

    def run(self, body: Sequence[Statement]) -> None:
        for statement in body:
            if isinstance(statement, Let):
                self.values[statement.name] = self.value(statement.value)
            elif isinstance(statement, Carry):
                self.carries[-1][statement.name] = self.value(statement.value)
            elif isinstance(statement, Store):
                self.store(statement)
            elif isinstance(statement, Check):
                if not np.all(self.value(statement.condition)):
                    raise Left(statement.code)
            elif statement.kind is Kind.VECTOR:
                self.vector(statement)
            else:
                self.serial(statement)

    def serial(self, loop: Loop) -> None:
        current = {carried.name: self.value(carried.start) for carried in loop.carried}
        self.values.update(current)
        for number in range(self.size(loop.extent)):
            self.values[loop.index] = np.int64(number)
            self.carries.append({})
            self.run(loop.body)
            self.values.update(self.carries.pop())

    def vector(self, loop: Loop) -> None:
        """Run all rounds at once; what they carry is what each round contributes, combined."""
        extent = self.size(loop.extent)
        starts = {carried.name: self.value(carried.start) for carried in loop.carried}
        if extent:
            self.values[loop.index] = np.arange(extent)
            self.carries.append({})
            self.run([s for s in loop.body if not isinstance(s, Carry)])
            contributions = {s.name: self.contribution(s, extent) for s in loop.body if isinstance(s, Carry)}
            self.carries.pop()
            for carried in loop.carried:
                assert carried.combine is not None
                ufunc: Any = numpy_function(carried.combine)
                dtype = np.asarray(starts[carried.name]).dtype
                reduced = ufunc.reduce(contributions[carried.name], dtype=dtype)
                starts[carried.name] = np.asarray(ufunc(starts[carried.name], reduced)).astype(dtype)[()]
        self.values.update(starts)

    def contribution(self, carry: Carry, extent: int) -> np.ndarray:
        assert isinstance(carry.value, Call)
        return np.broadcast_to(self.value(carry.value.operands[1]), (extent,))

    # ---- expressions ----

    def value(self, expression: Expression) -> Any:
        """Return an expression's value; shared parts are computed once."""
        if not isinstance(expression, Call | Cast):
            return self.computed(expression, {})
        known: dict[int, Any] = {}
        for part in in_order(expression):
            if id(part) not in known:
                known[id(part)] = self.computed(part, known)
        return known[id(expression)]

    def computed(self, expression: Expression, known: Mapping[int, Any]) -> Any:
        if isinstance(expression, Literal):
            return np.dtype(expression.dtype).type(expression.value)
        if isinstance(expression, Ref):
            return self.values[expression.name]
        if isinstance(expression, Cast):
            return known[id(expression.value)].astype(expression.dtype)
        if isinstance(expression, Load):
            return self.load(expression)
        operands = [known[id(operand)] for operand in expression.operands]
        if expression.function == "bitcast":
            return operands[0].view(expression.dtype)
        return np.asarray(numpy_function(expression.function)(*operands)).astype(expression.dtype)[()]

    def places(self, access: Load | Store) -> tuple[Any, Any]:
        """Return flat positions, and which of them count; those that don't are 0."""
        buffer = self.buffers[access.buffer]
        indices = [self.value(place) for place in access.indices]
        inside: Any = np.True_
        position: Any = np.int64(0)
        for place, size, stride in zip(indices, buffer.shape, buffer.strides, strict=True):
            inside = inside & (place >= 0) & (place < self.size(size))
            position = position + place * self.size(stride)
        mask = np.True_ if access.mask is None else self.value(access.mask)
        if np.any(mask & ~inside):
            raise OutOfBounds(f"{access.buffer} of sizes {buffer.shape} at {indices}")
        return np.where(mask, position, 0), mask

    def load(self, load: Load) -> Any:
        position, mask = self.places(load)
        memory = self.memory[load.buffer]
        if not np.any(mask):
            return np.zeros(np.shape(position), memory.dtype)[()]
        return np.where(mask, memory[position], memory.dtype.type(0))[()]

    def store(self, store: Store) -> None:
        position, mask = self.places(store)
        position, mask, value = np.broadcast_arrays(position, mask, self.value(store.value))
        self.memory[store.buffer][position[mask]] = value[mask]


def _extent_of(buffer: Buffer) -> int:
    sizes = [size for size in buffer.shape if isinstance(size, int)]
    return int(np.prod(sizes, dtype=int))


