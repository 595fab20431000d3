"""Run by a test in a process of its own: forked children call functions that their parent called, with threads.

Standard output: ``ok`` for each child that got the right results.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

import symgrad
import symgrad.tensor as T

CHILDREN = 8
SIZE = 300_000


def function() -> Any:
    n, x = symgrad.shared(np.zeros(SIZE)), T.dscalar("x")
    return symgrad.function([x], [n[0], T.tanh(n * 0 + x).sum()], updates=[(n, n + 1)])


def in_child(work: Callable[[], bool]) -> None:
    """Fork; the child works, says ``ok`` if all is right, and ends."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        if work():
            os.write(1, b"ok\n")
    finally:
        os._exit(0)


def main() -> None:
    symgrad.config.backend, symgrad.config.threads = "native", 2
    f, g = function(), function()
    f(1.0)
    before = g(1.0)[1]
    over = threading.Event()

    def busy() -> None:
        while not over.is_set():
            f(0.5)

    def work() -> bool:
        found = [g(1.0)[1] for _ in range(5)]
        f(0.5)  # though another thread of the parent was amid a call of it
        return all(value == before for value in found)

    thread = threading.Thread(target=busy)
    thread.start()
    for _ in range(CHILDREN):
        in_child(work)
    over.set()
    thread.join()


if __name__ == "__main__":
    main()
