"""``theano.tensor.tests.test_basic``: the random arrays and small functions that Theano's tests share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad.compat.theano_names.calling import function
from symgrad.config import config


def rand(*shape: int) -> np.ndarray:
    """Return numbers of floatX between -1 and 1."""
    return np.asarray(np.random.rand(*shape) * 2 - 1, dtype=config.floatX)


def rand_nonzero(shape: Sequence[int], eps: float = 3e-4) -> np.ndarray:
    """Return numbers of floatX between -1 and 1 that aren't near 0."""
    values = np.asarray(np.random.rand(*shape), dtype=config.floatX)
    values = values * (1 - eps) + eps * (values >= 0.5)
    return values * 2 - 1


def randint(*shape: int) -> np.ndarray:
    """Return integers from -5 to 5."""
    return np.random.randint(-5, 6, shape)


def randuint32(*shape: int) -> np.ndarray:
    """Return unsigned integers below 5."""
    return np.array(np.random.randint(5, size=shape), dtype=np.uint32)


def randcomplex(*shape: int) -> np.ndarray:
    """Return complex numbers."""
    return np.asarray(2 * np.random.rand(*shape) - 1 + 1j * (2 * np.random.rand(*shape) - 1))


def randcomplex_nonzero(shape: Sequence[int], eps: float = 1e-4) -> np.ndarray:
    """Return complex numbers that aren't near 0."""
    return np.asarray(rand_nonzero(shape, eps) + 1j * rand_nonzero(shape, eps), dtype="complex128")


def randint_nonzero(*shape: int) -> np.ndarray:
    """Return integers from -5 to 5, without 0."""
    values = np.random.randint(-5, 5, shape)
    return values + (values == 0) * 5


def rand_ranged(min: float, max: float, shape: Sequence[int]) -> np.ndarray:
    """Return numbers of floatX in a range."""
    return np.asarray(np.random.rand(*shape) * (max - min) + min, dtype=config.floatX)


def randint_ranged(min: int, max: int, shape: Sequence[int]) -> np.ndarray:
    """Return integers in a range, both ends included."""
    return np.random.randint(min, max + 1, tuple(shape))


def randc128_ranged(min: float, max: float, shape: Sequence[int]) -> np.ndarray:
    """Return complex numbers in a range."""
    return np.asarray(np.random.rand(*shape) * (max - min) + min, dtype="complex128")


def rand_of_dtype(shape: Sequence[int], dtype: str) -> np.ndarray:
    """Return numbers of a dtype."""
    if "complex" in dtype:
        return randcomplex(*shape).astype(dtype)
    return (rand(*shape) if "float" in dtype else randint(*shape)).astype(dtype)


def inplace_func(
    inputs: Any, outputs: Any, mode: Any = None, allow_input_downcast: bool = False, **options: Any
) -> Any:
    """Compile a function whose ops may work in place."""
    options.setdefault("on_unused_input", "raise")
    return function(
        inputs, outputs, mode=mode, allow_input_downcast=allow_input_downcast, accept_inplace=True,
        on_unused_input=options["on_unused_input"], name=options.get("name"),
    )  # fmt: skip


def eval_outputs(outputs: Any, ops: Any = (), mode: Any = None) -> Any:
    """Return the values of expressions without inputs; of one, its value alone."""
    found = inplace_func([], outputs, mode=mode)()
    return found[0] if isinstance(found, tuple | list) and len(found) == 1 else found


def get_numeric_subclasses(cls: type = np.number, ignore: Any = None) -> list[type]:
    """Return NumPy's classes of numbers below a class; those in `ignore`, by number, are left out."""
    ignored: list[int] = [] if ignore is None else ignore
    below: list[type] = cls.__subclasses__()
    if below:
        return [found for one in below for found in get_numeric_subclasses(one, ignored)]
    number = np.dtype(cls).num
    if number in ignored:
        return []
    ignored.append(number)
    return [cls]


def upcast_float16_ufunc(fn: Any) -> Any:
    """Return a function that computes half precision in single precision."""

    def computed(*arguments: Any, **options: Any) -> Any:
        if np.result_type(*arguments) == np.float16:
            options["dtype"] = np.float32
        return fn(*arguments, **options)

    return computed


__all__ = [
    "eval_outputs", "get_numeric_subclasses", "inplace_func", "rand", "rand_nonzero", "rand_of_dtype", "rand_ranged",
    "randc128_ranged", "randcomplex", "randcomplex_nonzero", "randint", "randint_nonzero", "randint_ranged",
    "randuint32", "upcast_float16_ufunc",
]  # fmt: skip
