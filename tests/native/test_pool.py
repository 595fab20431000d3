"""The thread pool: every unit once, by the thread whose it is or the caller, whoever else calls or forks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_calls import Calls, functions, stress

from symgrad.backends.native import entries, pool
from symgrad.backends.native.llvm.host import target
from symgrad.backends.native.llvm.jit import assembly, load
from symgrad.backends.native.llvm.text import module_text

posix = pytest.mark.skipif(os.name != "posix", reason="one thread on Windows")
PROGRAM = str(Path(__file__).with_name("pool_calls.py"))


@settings(max_examples=200)
@given(st.integers(0, 40), st.integers(-1, 6))
def test_each_part_is_done_once_by_the_thread_that_owns_it_or_by_the_caller(units, threads):
    calls = Calls(50, 6)
    assert calls.run(units, threads) == 0
    assert calls.counts.tolist() == [1] * units + [0] * (50 - units)
    share = max(1, min(threads, units)) if os.name == "posix" else 1
    found = calls.threads_of(units)
    for owner in range(share):
        part = found[units * owner // share : units * (owner + 1) // share]
        assert part in ([owner] * len(part), [0] * len(part))


@posix
def test_a_part_that_takes_long_enough_is_done_by_its_owner():
    calls = Calls(2_000_000, 2)
    deadline = time.monotonic() + 5
    while calls.run(2_000_000, 2) == 0 and calls.threads_of(2_000_000)[-1] == 0:
        assert time.monotonic() < deadline


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(1, 4))
def test_the_code_is_that_of_the_first_unit_that_has_one(codes, threads):
    calls = Calls(30, 4)
    calls.codes[: len(codes)] = codes
    assert calls.run(len(codes), threads) == next((code for code in codes if code), 0)
    assert calls.counts[: len(codes)].tolist() == [1] * len(codes)


def test_twenty_thousand_calls():
    assert stress(20_000, 50, 2, 0)


def test_more_threads_than_processors():
    assert stress(200, 500, 9, 1)


def test_workers_that_went_to_sleep_wake_up():
    calls = Calls(10, 3)
    for count in range(1, 8):
        time.sleep(0.02)
        assert calls.run(10, 3) == 0
        assert calls.counts.tolist() == [count] * 10


@posix
@pytest.mark.parametrize("threads", [2, 4])
def test_two_threads_of_python_and_forks_in_between(threads):
    ran = subprocess.run([sys.executable, PROGRAM, "4000", str(threads)], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (0, "ok\n"), ran.stderr


@posix
def test_the_process_ends_while_workers_wait_or_sleep():
    code = "import time; from pool_calls import Calls; c = Calls(9, 3); c.run(9, 3); time.sleep({}); print('end')"
    for pause in ("0", "0.05"):
        command = [sys.executable, "-c", code.format(pause)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=os.path.dirname(PROGRAM))
        assert (ran.returncode, ran.stdout) == (0, "end\n"), ran.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads by /proc")
def test_only_the_threads_that_are_needed_are_made_and_only_once():
    code = "from pool_calls import Calls; import os; c = Calls(9, 4); n = len(os.listdir('/proc/self/task'))\n"
    code += "for t in (1, 3, 2, 3, 4, 2): c.run(9, t); print(len(os.listdir('/proc/self/task')) - n, end=' ')"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=os.path.dirname(PROGRAM))
    assert ran.stdout == "0 2 2 2 3 3 "


@pytest.mark.skipif(sys.platform != "linux", reason="reads the masks of signals from /proc")
def test_workers_leave_signals_to_the_threads_of_python_but_not_their_own_faults():
    code = "from pool_calls import Calls; import os, time; Calls(9, 3).run(9, 3); me = str(os.getpid())\n"
    code += "time.sleep(0.2)\n"  # new threads begin with other masks
    code += "for task in os.listdir('/proc/self/task'):\n"
    code += "    lines = open(f'/proc/self/task/{task}/status').readlines()\n"
    code += "    mask = next(int(line.split()[1], 16) for line in lines if line.startswith('SigBlk'))\n"
    code += "    print(task == me, bool(mask >> 1 & 1), bool(mask >> 10 & 1))"  # SIGINT, SIGSEGV
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=os.path.dirname(PROGRAM))
    assert sorted(ran.stdout.splitlines()) == ["False True False", "False True False", "True False False"]


def test_without_threads_one_does_all(monkeypatch):
    monkeypatch.setattr(entries, "has_threads", bool)
    (single,) = pool.pool_functions()
    assert entries.pool_symbols() == {}
    monkeypatch.undo()
    address = load(module_text([single]), ["symgrad_parallel"])["symgrad_parallel"]
    call, kernel = functions()
    calls = Calls(9, 3)
    arguments = (kernel, calls.buffers, None, 9, 3, calls.scratch.ctypes.data, 256)
    assert type(call)(address)(*arguments) == 0
    assert calls.threads_of(9) == [0] * 9 and calls.counts.tolist() == [1] * 9


@pytest.mark.parametrize("triple", ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "arm64-apple-darwin20"])
def test_it_compiles_for_other_machines(triple):
    processor = target(triple)
    text = assembly(module_text(pool.pool_functions(processor)), processor)
    assert ("pause" if triple.startswith("x86") else "yield") in text
