"""Arguments of all sorts for compiled functions: right ones, odd ones, and wrong ones.

A recipe says how to make an argument, and can be followed twice: so two functions get equal arguments that share no
memory.
"""

from __future__ import annotations

import array
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint64", "float16", "float32", "float64", "complex64",
          "longlong", "longdouble")  # fmt: skip
SPECIALS = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, 1e30, -1e30)
HUGE = (2**31, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**100, -(2**100), 10**400)


@dataclass(frozen=True)
class Wanted:
    """What an input takes.

    Attributes
    ----------
    dtype : str
        Its dtype.
    shape : tuple of int
        The sizes of a right argument.
    below : int
        Right integers are 0 ... below - 1.
    """

    dtype: str
    shape: tuple[int, ...]
    below: int = 3

    def value(self, random: np.random.Generator) -> np.ndarray:
        """Return a right argument."""
        if np.dtype(self.dtype).kind in "iub":
            return np.asarray(random.integers(0, self.below, self.shape)).astype(self.dtype)
        return np.asarray(random.normal(size=self.shape)).astype(self.dtype)


class Odd(np.ndarray):
    """A subclass of arrays."""


class Convertible:
    """An object that becomes an array when asked."""

    def __init__(self, value: np.ndarray) -> None:
        self.value = value

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.value if dtype is None else self.value.astype(dtype)


class Refusing:
    """An object that fails when it is to become an array."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise RuntimeError("no array here")

    def __repr__(self) -> str:
        return "Refusing()"


Maker = Callable[[np.ndarray, np.random.Generator, Sequence[Any]], Any]
"""Makes an argument of a right one, random numbers, and the shared variables of the function."""
MAKERS: list[Maker] = []


def maker(function: Maker) -> Maker:
    """Enter a way to make an argument."""
    MAKERS.append(function)
    return function


# ---- the same values, otherwise ----


@maker
def as_it_is(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return value


@maker
def nested_list(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return value.tolist()


@maker
def a_tuple(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return tuple(value.tolist()) if value.ndim else (value.item(),)


@maker
def a_numpy_scalar(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    number = value.reshape(-1)[0] if value.size else np.float32(1.5)
    return number if random.random() < 0.5 else np.dtype(str(random.choice(DTYPES))).type(number)


@maker
def fortran_order(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return np.asfortranarray(value)


@maker
def transposed(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return value.T


@maker
def every_second(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    if not value.ndim:
        return np.stack([value, value])[1]
    wide = np.zeros([2 * size for size in value.shape], value.dtype)
    part = wide[(slice(None, None, 2),) * value.ndim]
    part[...] = value
    return part


@maker
def backwards(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return np.array(value[::-1])[::-1] if value.ndim else value


@maker
def with_steps_of_0(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return np.broadcast_to(value[:1], value.shape) if value.ndim and value.size else np.broadcast_to(value, value.shape)


@maker
def read_only(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    value.flags.writeable = False
    return value


@maker
def unaligned(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    raw = np.zeros(value.nbytes + 1, np.uint8)
    found = raw[1:].view(value.dtype).reshape(value.shape)
    found[...] = value
    return found


@maker
def inside_a_larger_array(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    larger = np.zeros(value.size + 3, value.dtype)
    found = larger[2 : 2 + value.size].reshape(value.shape)
    found[...] = value
    return found


@maker
def other_byte_order(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return value.astype(value.dtype.newbyteorder())


@maker
def dtype_with_notes(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return value.astype(np.dtype(value.dtype, metadata={"note": 1}))


@maker
def same_dtype_by_another_name(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return value.astype(np.longlong) if value.dtype == np.int64 else value.copy()


@maker
def a_subclass(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return value.view(Odd)


@maker
def a_matrix(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return np.asmatrix(value) if value.ndim == 2 else value


@maker
def masked(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return np.ma.array(value, mask=random.random(value.shape) < 0.5)


@maker
def a_mapped_file(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    if not value.size:
        return value
    with tempfile.TemporaryFile() as file:
        found = np.memmap(file, value.dtype, "w+", shape=value.shape)
    found[...] = value
    return found


@maker
def convertible(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return Convertible(value)


@maker
def memory(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return memoryview(value)


@maker
def pythons_array(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    code = value.dtype.char if value.dtype.char in "bBhHiIlLqQfd" else "d"
    return array.array(code, value.real.reshape(-1).tolist())


# ---- other values ----


@maker
def other_dtype(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return value.astype(np.dtype(str(random.choice(DTYPES))))


@maker
def special_values(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    if value.dtype.kind != "f" or not value.size:
        return value
    value.reshape(-1)[random.integers(value.size)] = SPECIALS[random.integers(len(SPECIALS))]
    return value


@maker
def out_of_range(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    if value.dtype.kind not in "iu" or not value.size:
        return value
    value.reshape(-1)[random.integers(value.size)] = random.choice([-1, -2, -5, -100, 3, 4, 5, 6, 7, 100, 120])
    return value


@maker
def a_far_index(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    if value.dtype != np.int64 or not value.size:
        return value
    value.reshape(-1)[random.integers(value.size)] = random.choice([-(2**63), 2**63 - 1, 2**62, 2**61, -(2**62)])
    return value


@maker
def a_python_number(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    numbers = [0, 1, -1, 2, 3, 5, 127, 128, 1000, 0.5, -2.5, 1e30, 1e300, float("nan"), float("inf"), True, False, 1j]
    return numbers[random.integers(len(numbers))]


@maker
def a_huge_integer(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return HUGE[random.integers(len(HUGE))]


# ---- other sizes ----


@maker
def one_axis_more(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return value[None]


@maker
def one_axis_less(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return value[0].copy() if value.ndim and len(value) else value.reshape(-1)


@maker
def other_sizes(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return np.resize(value, [int(size) for size in random.integers(0, 6, value.ndim)]) if value.size else value


@maker
def one_size_different(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    shape = list(value.shape)
    if not shape or not value.size:
        return value
    shape[random.integers(len(shape))] = int(random.choice([0, 1, 1, 2, 3, 9]))
    return np.resize(value, shape)


@maker
def empty(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return value[:0].copy() if value.ndim else np.empty(0, value.dtype)


@maker
def ragged(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return [[1, 2], [3]]


@maker
def without_axes(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return np.array(value.reshape(-1)[0]) if value.size else np.array(0.0)


# ---- no arrays of numbers ----


@maker
def nothing(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return None


@maker
def words(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return ["", "abc", "1", b"12345678", ["a"], np.array("abc"), np.datetime64("2020-01-01")][random.integers(7)]


@maker
def objects(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return value.astype(object)


@maker
def strange_objects(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    return [{}, {1}, Refusing(), Refusing, np.ndarray, np.zeros(2, "i4,f4"), Ellipsis, slice(2)][random.integers(8)]


# ---- the function's own memory ----


@maker
def shared_memory(value: np.ndarray, random: np.random.Generator, shared: Sequence[Any]) -> Any:
    """The storage of a shared variable, or a part of it, wherever it has the right dtype."""
    fitting = [s.get_value(borrow=True) for s in shared if s.dtype == value.dtype]
    if not fitting:
        return value
    storage = fitting[random.integers(len(fitting))]
    if storage.ndim == value.ndim:
        part = storage[tuple([slice(-size if size else 0, None) for size in value.shape])]
        return part if random.random() < 0.5 else part[::-1] if part.ndim else part
    flat = storage.reshape(-1)
    return flat[-value.size :].reshape(value.shape) if 0 < value.size <= flat.size else storage


def odd_argument(wanted: Wanted, random: np.random.Generator, oddity: float) -> Callable[[Sequence[Any]], Any]:
    """Return a recipe: called with a function's shared variables, it makes an argument; the same one each time."""
    seed = int(random.integers(2**60))
    way = MAKERS[random.integers(len(MAKERS))] if random.random() < oddity else as_it_is

    def recipe(shared: Sequence[Any]) -> Any:
        own = np.random.default_rng(seed)
        return way(wanted.value(own), own, shared)

    recipe.__name__ = way.__name__
    return recipe
