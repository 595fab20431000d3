"""Calls of native functions, right and wrong ones: they do what the NumPy backend does, and never harm the process."""

from __future__ import annotations

import copy
import ctypes
import gc
import os
import pickle
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad
import symgrad.tensor as T
from symgrad.backends.native.program import NativeProgram

pytest.importorskip("llvmlite")

HERE = Path(__file__).parent
LARGE = 1 << 16
"""Elements of float32: outputs of this size are used again."""


@pytest.fixture(autouse=True)
def on_the_native_backend() -> Iterator[None]:
    with symgrad.config.change_flags(backend="native"):
        yield


def program_of(function: Any) -> NativeProgram:
    """Return the program that ran last."""
    program = list(function._programs.values())[-1][1]
    assert isinstance(program, NativeProgram)
    return program


# ---- right and wrong arguments ----


@pytest.mark.parametrize("way", ["one thread", "threads"])
def test_thousands_of_calls_do_what_they_do_in_numpy(way: str, request: pytest.FixtureRequest) -> None:
    count = request.config.getoption("--calls") // (1 if way == "one thread" else 4)
    command = [sys.executable, str(HERE / "call_storm.py"), str(count), "0", *(["threads"] if way == "threads" else [])]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60 + count / 100, check=False)
    assert found.returncode == 0, f"the process ended with {found.returncode}:\n{found.stderr[-3000:]}"
    lines = found.stdout.splitlines()
    assert len(lines) == 1 and int(lines[0].split()[0]) >= count, found.stdout


def test_a_slice_at_the_end_may_fit_where_a_full_one_does_not() -> None:
    data, i, y = symgrad.shared(np.arange(5.0)), T.lscalar("i"), T.dvector("y")
    f = symgrad.function([i, y], data[i : i + 3] * y)
    np.testing.assert_array_equal(f(3, np.ones(2)), [3, 4])
    np.testing.assert_array_equal(f(1, np.ones(3)), [1, 2, 3])


def test_an_error_in_the_middle_changes_nothing() -> None:
    w, data, n = symgrad.shared(np.ones(4)), symgrad.shared(np.arange(3.0)), T.lvector("n")
    f = symgrad.function([n], w.sum(), updates=[(w, w * 2 + data[n].sum()), (data, data + 1)])
    assert f([0, 1]) == 4
    before = w.get_value(), data.get_value()
    for bad in ([0, 3], [-4, 0], [2**62, 0]):
        with pytest.raises(IndexError):
            f(bad)
        np.testing.assert_array_equal(w.get_value(), before[0])
        np.testing.assert_array_equal(data.get_value(), before[1])
    f([0, 1])
    assert program_of(f)._reference is not None  # which explained what native code found


# ---- shared storage ----


def test_updates_of_shared_variables_with_one_buffer_act_as_if_each_had_its_own() -> None:
    buffer = np.arange(4.0)
    a, b = symgrad.shared(buffer, borrow=True), symgrad.shared(buffer, borrow=True)
    f = symgrad.function([], [a.sum(), b.sum()], updates=[(a, a * 2), (b, b + 10)])
    assert [float(v) for v in f()] == [6, 6]
    np.testing.assert_array_equal(a.get_value(), [0, 2, 4, 6])
    np.testing.assert_array_equal(b.get_value(), [10, 11, 12, 13])


STATES: dict[str, Callable[[], Any]] = {
    "as before": lambda: np.ones((3, 4), "float32"),
    "other sizes": lambda: np.ones((5, 4), "float32"),
    "columns": lambda: np.ones((4, 3), "float32").T,
    "every second": lambda: np.ones((6, 4), "float32")[::2],
    "read-only": lambda: np.broadcast_to(np.float32(1), (3, 4)),
    "empty": lambda: np.ones((0, 4), "float32"),
    "float16": lambda: np.ones((3, 4), "float16"),
    "a subclass": lambda: np.ones((3, 4), "float32").view(type("Kept", (np.ndarray,), {})),
}


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(list(STATES)), st.booleans()), max_size=6))
def test_shared_variables_may_be_replaced_between_calls(changes: list[tuple[str, bool]]) -> None:
    w, x = symgrad.shared(np.ones((3, 4), "float32")), T.fvector("x")
    f = symgrad.function([x], w * x, updates=[(w, w + x)])
    expected = w.get_value()
    ones = np.ones(4, "float32")
    for name, borrow in changes:
        value = STATES[name]()
        w.set_value(value, borrow=borrow)
        kept, expected = np.array(value), np.array(value, "float32")
        for _ in range(2):
            np.testing.assert_array_equal(f(ones), expected)
            expected = expected + 1
        np.testing.assert_array_equal(w.get_value(), expected)
        if not (borrow and w.get_value(borrow=True) is value):
            np.testing.assert_array_equal(value, kept)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # NumPy 2.5 would rather have none of these changes
def test_storage_that_is_changed_under_our_hands() -> None:
    w = symgrad.shared(np.arange(6.0))
    f = symgrad.function([], w.sum(), updates=[(w, w + 1)])
    f()
    w.get_value(borrow=True).flags.writeable = False
    f()
    np.testing.assert_array_equal(w.get_value(), np.arange(6.0) + 2)
    w.get_value(borrow=True).shape = (2, 3)
    with pytest.raises(Exception, match="shorter"):
        f()


# ---- outputs ----


def large(x: float) -> np.ndarray:
    return np.full(LARGE, x, "float32")


def doubling() -> Any:
    x = T.fvector("x")
    return symgrad.function([x], 2 * x)


class Interface:
    """An object that offers the memory of an array, and holds the array."""

    def __init__(self, array: np.ndarray) -> None:
        self.__array_interface__ = array.__array_interface__
        self.array = array


HOLDERS: dict[str, Callable[[np.ndarray], Any]] = {
    "the array": lambda array: array,
    "a view": lambda array: array[1:],
    "a view of a view": lambda array: array[:-1].reshape(-1, 5)[::2],
    "transposed": lambda array: array.reshape(256, 256).T,
    "memory": memoryview,
    "from a buffer": lambda array: np.frombuffer(array, "uint8"),
    "other dtype": lambda array: array.view("int32"),
    "in a list": lambda array: [array],
    "in a shared variable": lambda array: symgrad.shared(array, borrow=True).container,
    "in an array of objects": lambda array: np.array([array, None], object),
    "a ctypes pointer": lambda array: array.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
    "through an interface": lambda array: np.asarray(Interface(array)),
    "an iterator": lambda array: np.nditer(array),
    "a method": lambda array: array.sum,
    "a generator": lambda array: (part for part in array),
}  # fmt: skip


@pytest.mark.parametrize("name", list(HOLDERS))
def test_memory_that_somebody_holds_is_not_used_again(name: str) -> None:
    f = doubling()
    f(large(0))
    result = f(large(1))
    address, content = result.ctypes.data, result.tobytes()
    holder = HOLDERS[name](result)
    del result
    for number in range(3):
        f(large(number + 2))
        gc.collect()
    assert ctypes.string_at(address, len(content)) == content
    del holder


def test_memory_that_nobody_holds_is_used_again() -> None:
    f = doubling()
    first = f(large(1)).ctypes.data
    assert all(f(large(number)).ctypes.data == first for number in range(5))


@pytest.mark.parametrize(
    "change",
    [
        lambda array: array.flags.__setattr__("writeable", False),
        lambda array: array.__setattr__("shape", (256, -1)),
        lambda array: array.__setattr__("dtype", "int32"),
        lambda array: array.flags.__setattr__("aligned", False),
        lambda array: array.resize((7,), refcheck=False),
    ],
    ids=["read-only", "shape", "dtype", "not aligned", "resize"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # NumPy 2.5 would rather have none of these changes
def test_results_that_were_changed_and_dropped_do_no_harm(change: Callable[[np.ndarray], Any]) -> None:
    f = doubling()
    change(f(large(1)))
    for number in range(3):
        found = f(large(number))
        assert found.flags.writeable and found.flags.c_contiguous
        np.testing.assert_array_equal(found, large(2 * number))


def test_a_result_that_is_watched_is_not_used_again() -> None:
    f = doubling()
    result = f(large(1))
    gone: list[int] = []
    weakref.finalize(result, gone.append, 1)
    del result
    f(large(2))
    assert gone == [1]


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["call", "hold", "drop", "feed", "list"]), max_size=25))
def test_results_keep_their_values_whatever_is_done_with_them(actions: list[str]) -> None:
    x = T.fvector("x")
    f = symgrad.function([x], [x + 1, x * 2])
    held: list[tuple[np.ndarray, float]] = []
    argument, value = large(1), 1.0
    for action in actions:
        if action == "drop" and held:
            held.pop(0)
            continue
        more, twice = f(argument)
        assert more[0] == value + 1 and twice[-1] == value * 2
        if action == "hold":
            held += [(more[3:], value + 1), (twice, value * 2)]
        elif action == "feed":
            argument, value = more, value + 1
        elif action == "list":
            held.append(([twice, more][0], value * 2))
        del more, twice
    for array, expected in held:
        assert (array == np.float32(expected)).all()


def test_results_outlive_their_function() -> None:
    f = doubling()
    f(large(1))
    results = [f(large(3)), f(large(4))]
    gone = weakref.ref(program_of(f).table)
    del f
    gc.collect()
    assert gone() is None
    np.testing.assert_array_equal(results[0], large(6))
    np.testing.assert_array_equal(results[1], large(8))


def test_an_entry_outlives_its_program() -> None:
    f = doubling()
    f(large(1))
    entry = f._fast
    del f
    gc.collect()
    for number in range(3):
        np.testing.assert_array_equal(entry(large(number)), large(2 * number))


# ---- references ----


def resident() -> int:
    """Return the bytes of memory that this process occupies."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def counts_of(*objects: Any) -> list[int]:
    return [sys.getrefcount(each) for each in objects]


def test_no_references_leak() -> None:
    w = symgrad.shared(np.ones(3, "float32"))
    x, n = T.fvector("x"), T.lscalar("n")
    f = symgrad.function([x, n], [x * 2, w[n], w.sum()], updates=[(w, w + x)])
    one = symgrad.function([x], x + 1)
    argument, number, wrong = np.ones(3, "float32"), 2, np.ones(4, "int64")
    watched = (None, np.dtype("float32"), np.dtype("int64"), argument, number, wrong, symgrad.backends.base.MISS,
               np.ndarray, list)  # fmt: skip

    def work(rounds: int) -> None:
        for _ in range(rounds):
            f(argument, number)
            one(argument)
            f(argument, 0)
        for _ in range(rounds // 50):
            for bad in ((argument, 5), (argument, "a"), (wrong, 1), (argument,)):
                with pytest.raises((IndexError, TypeError, ValueError)):
                    f(*bad)
            f(argument[::-1], number)
            w.set_value(np.ones(3, "float32"))

    work(2000)
    before, memory = counts_of(*watched), resident() if Path("/proc/self/statm").exists() else 0
    work(34_000)
    after = counts_of(*watched)
    assert max(abs(new - old) for new, old in zip(after, before, strict=True)) < 50, (before, after)
    if memory:
        assert resident() - memory < 16 << 20


def test_large_results_do_not_leak() -> None:
    x = T.fvector("x")
    f = symgrad.function([x], [x + 1, x[::-1]])
    kept: list[Any] = []
    for number in range(3000):
        kept = f(large(number))[: number % 3]
        if number == 300:
            memory = resident() if Path("/proc/self/statm").exists() else 0
    assert kept is not None and (not memory or resident() - memory < 32 << 20)


# ---- copies ----


def test_copies_and_pickles_have_states_of_their_own() -> None:
    w, x = symgrad.shared(np.ones(3)), T.dvector("x")
    f = symgrad.function([x], w + x, updates=[(w, w * 2)])
    ones = np.ones(3)
    f(ones)
    f(ones)
    other = symgrad.shared(np.zeros(3))
    swapped, again = f.copy(swap={w: other}), pickle.loads(pickle.dumps(f))
    assert f(ones)[0] == 5 and again(ones)[0] == 5 and again(ones)[0] == 9 and swapped(ones)[0] == 1
    assert f(ones)[0] == 9 and f.copy()(ones)[0] == 17
    assert copy.copy(f)(ones) is not None and copy.deepcopy(f)(ones)[0] == f(ones)[0]
