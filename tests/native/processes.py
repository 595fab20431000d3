"""Run by tests in a process of its own: a hundred children compile the same modules into one empty cache.

Arguments: how many children, how many modules, how many of the children are killed. Standard output: one line for
each child that wasn't killed, ``ok`` or what went wrong.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import sys
import time

from symgrad.backends.native.llvm.jit import load
from symgrad.backends.native.llvm.library import binding
from symgrad.backends.native.llvm.text import Function, index


def adder(number: int) -> tuple[str, str]:
    """Return the name and text of a function that adds `number`, in many steps, to take some time to compile."""
    f = Function(f"add_{number}", [("i64", "x")], "i64")
    value = f.parameters[0]
    for step in range(300):
        value = f.binary("xor", f.add(value, index(step)), index(0))
    f.give(f.add(value, index(number - 300 * 299 // 2)))
    return f.name, str(f)


def compute(number: int) -> int:
    """Return 1000 + number, by a compiled function."""
    name, text = adder(number)
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(load(text, [name])[name])(1000)


def _child(modules: int, gate: int) -> None:
    """Wait until the gate opens, then compile all modules."""
    os.read(gate, 1)
    try:
        results = [compute(number) for number in range(modules)]
        word = "ok" if results == [1000 + number for number in range(modules)] else f"wrong: {results}"
    except BaseException as error:  # whatever it is, the parent must hear of it
        word = f"{type(error).__name__}: {error}"
    os.write(1, f"{word}\n".encode())
    os._exit(0)


def main(children: int, modules: int, killed: int) -> None:
    binding()
    gate, opened = os.pipe()
    started = []
    for _ in range(children):
        process = os.fork()
        if not process:
            os.close(opened)
            _child(modules, gate)
        started.append(process)
    os.close(opened)
    for process in random.sample(started, killed):
        time.sleep(random.uniform(0, 0.02))
        os.kill(process, signal.SIGKILL)
    for process in started:
        os.waitpid(process, 0)


if __name__ == "__main__":
    main(*[int(word) for word in sys.argv[1:]])
