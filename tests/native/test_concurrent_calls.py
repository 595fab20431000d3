"""Calls of native functions from many threads, with interrupts, and in forked processes."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad
import symgrad.tensor as T
from symgrad.backends.native.records import Turn

pytest.importorskip("llvmlite")

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def on_the_native_backend() -> Iterator[None]:
    with symgrad.config.change_flags(backend="native"):
        yield


# ---- threads ----


def in_threads(works: list[Callable[[], None]]) -> None:
    """Run functions at the same time; raise what any of them raises."""
    errors: list[BaseException] = []
    gate = threading.Barrier(len(works))

    def run(work: Callable[[], None]) -> None:
        gate.wait()
        try:
            work()
        except BaseException as error:  # the main thread must hear of it
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads), "a thread waits for ever"
    if errors:
        raise errors[0]


@pytest.fixture
def eager() -> Iterator[None]:
    """Let threads change often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("size", [3, 300_000])
def test_updates_of_many_threads_all_count(size: int, eager: None) -> None:
    """Each call sees what the one before it left: all numbers are handed out once."""
    n, x = symgrad.shared(np.zeros(size)), T.dvector("x")
    f = symgrad.function([x], [n[:1], (n * x).sum()], updates=[(n, n + 1)])
    rounds, seen = 2000 if size == 3 else 40, list[float]()
    argument = np.ones(size)

    def work() -> None:
        for number in range(rounds):
            found, total = f(argument if number % 3 else argument[::-1])
            seen.append(float(found[0]))
            assert total == found[0] * size

    in_threads([work] * 4)
    assert sorted(seen) == list(range(4 * rounds))
    assert (n.get_value() == 4 * rounds).all()


def test_threads_with_arguments_of_other_sizes_take_turns(eager: None) -> None:
    n, x = symgrad.shared(np.zeros(200_000)), T.dmatrix("x")
    f = symgrad.function([x], [n[0], n[-1], x.sum()], updates=[(n, n + x.shape[0] * 0 + 1)])
    seen = list[float]()

    def work(rows: int) -> Callable[[], None]:
        argument = np.ones((rows, 1000))

        def run() -> None:
            for _ in range(25):
                first, last, total = f(argument)
                assert first == last and total == rows * 1000
                seen.append(float(first))

        return run

    in_threads([work(rows) for rows in (1, 2, 700, 1000)])
    assert sorted(seen) == list(range(100))


def test_threads_whose_calls_fail_or_go_through_numpy_take_turns(eager: None) -> None:
    size = 150_000
    n, i = symgrad.shared(np.zeros(size)), T.lscalar("i")
    f = symgrad.function([i], [n[0], n[-1], n[i : i + 3]], updates=[(n, n + 1)])
    seen, failed = list[float](), list[int]()

    def work(index: int) -> Callable[[], None]:
        def run() -> None:
            for _ in range(30):
                first, last, part = f(index)
                assert first == last and (part == first).all() and len(part) == min(3, max(size - index, 0))
                seen.append(float(first))

        return run

    def wrong() -> None:
        for _ in range(30):
            with pytest.raises(TypeError):
                f("a")
            failed.append(1)

    in_threads([work(0), work(7), work(size - 1), work(size + 5), wrong])
    assert sorted(seen) == list(range(120)) and len(failed) == 30


def test_values_set_during_calls(eager: None) -> None:
    """A call that lets other threads run keeps the memory that it works on; what was set in the meantime stays."""
    w, x = symgrad.shared(np.zeros(100_000)), T.dscalar("x")
    f = symgrad.function([x], [w[0], w[-1], (w * x).sum() / w.shape[0]], updates=[(w, w + x)])
    over = threading.Event()

    def call() -> None:
        for _ in range(300):
            first, last, mean = f(1.0)
            assert first == last == mean == int(first)
        over.set()

    def change() -> None:
        number = 0
        while not over.is_set():
            number += 1
            w.set_value(np.full((100_000, 150_000)[number % 2], 1000.0 * (number % 7)), borrow=bool(number % 3))

    in_threads([call, change])


def test_different_functions_of_one_variable_do_no_harm(eager: None) -> None:
    """Nothing is promised about the values, but that each is one of those that were written there."""
    w, x = symgrad.shared(np.zeros(200_000)), T.dscalar("x")
    add = symgrad.function([x], [w[0], T.sum(T.exp(w * 0))], updates=[(w, w + x)])
    read = symgrad.function([], [T.max(w), T.min(w), w])
    over = threading.Event()

    def adding() -> None:
        for _ in range(100):
            assert add(1.0)[1] == w.get_value(borrow=True).size
        over.set()

    def reading() -> None:
        while not over.is_set():
            largest, smallest, copied = read()
            assert 0 <= smallest <= largest <= 1100 and copied[0] == int(copied[0])

    def setting() -> None:
        while not over.is_set():
            w.set_value(np.full(200_000, 1000.0))
            assert w.get_value().size == 200_000

    in_threads([adding, reading, reading, setting])


def test_profiles_may_begin_and_end_while_threads_call(eager: None) -> None:
    x = T.dvector("x")
    f = symgrad.function([x], T.tanh(x * 2).sum())
    argument = np.ones(100_000)
    expected = f(argument)
    over = threading.Event()

    def call() -> None:
        while not over.is_set():
            assert f(argument) == expected == f(argument[::-1])

    def look() -> None:
        for _ in range(30):
            with f.profile() as profile:
                time.sleep(0.002)
            assert "f" in str(profile)
        over.set()

    in_threads([call, call, look])


def test_a_program_that_is_thrown_away_while_it_runs(monkeypatch: pytest.MonkeyPatch, eager: None) -> None:
    monkeypatch.setattr("symgrad.compile.executable.MAXIMAL_PROGRAMS", 1)
    x = T.dmatrix("x")
    f = symgrad.function([x], T.tanh(T.exp(x) + 1).sum(axis=0))

    def work(rows: int) -> Callable[[], None]:
        argument = np.zeros((rows, 1000))

        def run() -> None:
            for _ in range(15):
                np.testing.assert_allclose(f(argument), rows * np.tanh(2.0))

        return run

    in_threads([work(rows) for rows in (300, 301, 302, 2)])


def test_a_turn_that_was_left_behind_is_found() -> None:
    x = T.dvector("x")
    f = symgrad.function([x], x * 2)
    for size in (3, 300_000):
        f(np.ones(size))
        f._turn.take()  # and an interrupt comes
        assert f(np.ones(size))[-1] == 2 and f(np.ones(size))[0] == 2


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_who_stops_waiting_for_the_turn_leaves_it_to_who_has_it() -> None:
    x = T.dvector("x")
    f = symgrad.function([x], x * 2)
    f(np.ones(3))
    f._turn._word[0] = Turn.ENTERED  # another thread is in the middle of a call
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        f(np.ones(3))
        timer.join()
    assert f._turn._word[0] == Turn.ENTERED
    f._turn._word[0] = Turn.FREE
    assert f(np.ones(3))[0] == 2


def test_garbage_collection_may_call_the_function_that_set_it_off() -> None:
    x = T.dvector("x")
    f = symgrad.function([x], [x + 1, x * 2])
    f(np.ones(3))

    class Caller:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            inner.append([value.tolist() for value in f(np.full(3, 5.0))])

    inner: list[Any] = []
    before = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        for number in range(50):
            Caller()
            more, twice = f(np.full(3, float(number)))
            assert more.tolist() == [number + 1] * 3 and twice.tolist() == [2 * number] * 3
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert inner == [[[6.0] * 3, [10.0] * 3]] * 50


# ---- interrupts ----


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_an_interrupt_of_repeat_leaves_whole_steps() -> None:
    n, m, x = symgrad.shared(np.zeros(500)), symgrad.shared(np.zeros(500)), T.dscalar("x")
    f = symgrad.function([x], n.sum(), updates=[(n, n + x), (m, m - x)])
    f.repeat(np.ones(3))
    for delay in (0.01, 0.05, 0.13):
        timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            while True:
                f.repeat(np.ones(200_000))
        done = n.get_value()
        assert (done == done[0]).all() and (m.get_value() == -done).all() and done[0] == int(done[0]) > 3
        assert f(0.0) == done.sum()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_interrupts_leave_whole_calls() -> None:
    n, m, x = symgrad.shared(np.zeros(20_000)), symgrad.shared(np.zeros(20_000)), T.dvector("x")
    f = symgrad.function([x], [n[0], (n * x).sum()], updates=[(n, n + 1), (m, m - 1)])
    plain, strided = np.ones(20_000), np.ones(40_000)[::2]
    end, interrupts, armed = time.monotonic() + 1.5, 0, list[bool]()

    def handle(*given: Any) -> None:
        if armed:
            armed.clear()
            raise KeyboardInterrupt

    def shoot() -> None:
        while time.monotonic() < end:
            time.sleep(0.0017)
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, handle)
    shooter = threading.Thread(target=shoot)
    shooter.start()
    while shooter.is_alive():
        try:
            armed.append(True)
            while shooter.is_alive():
                f(plain)
                f(strided)
            armed.clear()
        except KeyboardInterrupt:
            interrupts += 1
    time.sleep(0.05)  # the last signal may still be on its way to this handler
    signal.signal(signal.SIGINT, before)
    value = n.get_value()
    assert interrupts > 10 and (value == value[0]).all() and (m.get_value() == -value).all()
    assert f(plain)[0] == value[0]


def test_repeat_of_rows_that_are_the_state() -> None:
    for backend in ("numpy", "native"):
        with symgrad.config.change_flags(backend=backend):
            w, x = symgrad.shared(np.arange(4.0)), T.dscalar("x")
            f = symgrad.function([x], w.sum(), updates=[(w, w + x)])
            f.repeat(w.get_value(borrow=True))
            np.testing.assert_array_equal(w.get_value(), np.arange(4.0) + 6)


def test_repeat_of_strict_inputs() -> None:
    x = T.fscalar("x")
    f = symgrad.function([symgrad.In(x, strict=True)], x * 2)
    np.testing.assert_array_equal(f.repeat(np.arange(3, dtype="float32")), [0, 2, 4])


# ---- processes ----


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_children_call_functions_with_threads() -> None:
    command = [sys.executable, str(HERE / "forked_calls.py")]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0 and found.stdout.split() == ["ok"] * 8, found.stdout + found.stderr
