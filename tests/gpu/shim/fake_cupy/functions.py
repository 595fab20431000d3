"""CuPy's functions of arrays: NumPy computes them, when the current stream is done with its work so far."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.linalg

from gpu.shim.fake_cupy.arrays import host_values, ndarray, on_device, seen

PLAIN = ("arange", "argsort", "cumprod", "eye", "matmul", "ones", "ones_like", "searchsorted", "sort", "where")
VIEWS = ("broadcast_to", "diagonal", "expand_dims", "flip", "moveaxis", "squeeze", "swapaxes", "transpose")
LINALG = ("cholesky", "det", "eigh", "eigvalsh", "inv", "norm", "pinv", "qr", "slogdet", "solve", "svd")
FFT = ("fftn", "ifftn", "rfft", "irfft")


def _to_host(value: Any) -> Any:
    if isinstance(value, ndarray):
        return host_values(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_to_host(part) for part in value)
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError("a host array where a device array is wanted")
    return value


def _to_device(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return on_device(value)
    if isinstance(value, tuple):
        parts = [_to_device(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return [_to_device(part) for part in value] if isinstance(value, list) else value


def call(function: Callable[..., Any], *operands: Any, **options: Any) -> Any:
    """Compute with NumPy what CuPy would compute on the device."""
    return _to_device(function(*_to_host(operands), **{name: _to_host(value) for name, value in options.items()}))


def delegated(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return CuPy's function of the same meaning."""

    def on_arrays(*operands: Any, **options: Any) -> Any:
        out = options.pop("out", None)
        result = call(function, *operands, **options)
        if out is None:
            return result
        out[...] = result
        return out

    on_arrays.__name__ = on_arrays.__qualname__ = function.__name__
    return on_arrays


def viewing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return CuPy's function of the same meaning that returns the same memory, seen otherwise."""
    return lambda array, *arguments, **options: seen(array, lambda ghost: function(ghost, *arguments, **options))


plain = {
    **{name: delegated(getattr(np, name)) for name in PLAIN},
    **{name: viewing(getattr(np, name)) for name in VIEWS},
}
linalg = SimpleNamespace(
    LinAlgError=np.linalg.LinAlgError, **{name: delegated(getattr(np.linalg, name)) for name in LINALG}
)
scipy_linalg = {
    "solve_triangular": delegated(np.vectorize(scipy.linalg.solve_triangular, signature="(n,n),(n,k)->(n,k)",
                                               excluded={"lower", "unit_diagonal"})),
    "expm": delegated(scipy.linalg.expm),
}  # fmt: skip
fft = SimpleNamespace(**{name: delegated(getattr(np.fft, name)) for name in FFT})

_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor", "lshift": "left_shift", "rshift": "right_shift",
}  # fmt: skip
_COMPARISONS = {
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
}
_METHODS = ("sum", "prod", "max", "min", "mean", "argmax", "argmin", "any", "all", "cumsum", "cumprod", "argsort",
            "conj", "take", "trace", "repeat", "dot", "round", "clip")  # fmt: skip


def _give_operators() -> None:
    for name, function in {**_OPERATORS, **_COMPARISONS}.items():
        forward = delegated(getattr(np, function))
        setattr(ndarray, f"__{name}__", forward)
        if name in _OPERATORS:
            setattr(ndarray, f"__r{name}__", _reversed(forward))
            setattr(ndarray, f"__i{name}__", _in_place(forward))
    for name, function in {"neg": "negative", "abs": "abs", "invert": "invert"}.items():
        setattr(ndarray, f"__{name}__", delegated(getattr(np, function)))
    for name in _METHODS:
        setattr(ndarray, name, delegated(getattr(np.ndarray, name)))
    for name in ("diagonal", "squeeze", "swapaxes", "transpose"):
        setattr(ndarray, name, viewing(getattr(np.ndarray, name)))
    for name in ("real", "imag"):
        setattr(ndarray, name, property(delegated(getattr(np, name))))


def _reversed(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: function(other, self)


def _in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    def assign(self: ndarray, other: Any) -> ndarray:
        self[...] = function(self, other)
        return self

    return assign


_give_operators()
