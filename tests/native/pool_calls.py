"""Calls of the thread pool with a kernel that says which thread did which unit; run alone, a stress test.

As a program it prints ``ok`` if two Python threads, and forked children in between, all got the right results.
"""

from __future__ import annotations

import ctypes
import os
import random
import sys
import threading
from functools import cache

import numpy as np

from symgrad.backends.native.entries import parallel
from symgrad.backends.native.kernel import buffer_pointer, kernel_function
from symgrad.backends.native.llvm.jit import load
from symgrad.backends.native.llvm.text import Value, index, module_text

STRIDE = 256


def _kernel() -> str:
    """Count each unit in buffer 0, write the scratch address to buffer 1; fails with the code in buffer 2, if any."""
    f = kernel_function("record")
    counts, owners, codes = (buffer_pointer(f, number) for number in range(3))
    scratch = f.convert("ptrtoint", f.parameters[4], "i64")
    with f.loop(f.parameters[2], f.parameters[3], carried=[index(0)]) as loop:
        place = f.offset(counts, loop.index, "i64")
        f.store(f.add(f.load(place, "i64"), index(1)), place)
        f.store(scratch, f.offset(owners, loop.index, "i64"))
        code = f.load(f.offset(codes, loop.index, "i64"), "i64")
        seen = loop.carried[0]
        loop.next = [f.select(f.compare("eq", seen, index(0)), code, seen)]
    f.give(Value(f.convert("trunc", loop.results[0], "i32").text, "i32"))
    return module_text([f])


@cache
def functions():
    """Return ``symgrad_parallel`` as Python calls it, and the kernel's address."""
    kernel = load(_kernel(), ["record"])["record"]
    pointers = [ctypes.c_void_p] * 3
    kind = ctypes.CFUNCTYPE(ctypes.c_int, *pointers, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)
    return kind(parallel()), kernel


class Calls:
    """Memory for calls of up to `most` units by up to `threads` threads."""

    def __init__(self, most: int, threads: int) -> None:
        self.counts, self.owners, self.codes = (np.zeros(most, np.int64) for _ in range(3))
        self.scratch = np.zeros(threads * STRIDE, np.uint8)
        arrays = (self.counts, self.owners, self.codes)
        self.buffers = (ctypes.c_void_p * 3)(*[array.ctypes.data for array in arrays])

    def run(self, units: int, threads: int) -> int:
        """Do the units, and return the code."""
        call, kernel = functions()
        return call(kernel, self.buffers, None, units, threads, self.scratch.ctypes.data, STRIDE)

    def threads_of(self, units: int) -> list[int]:
        """Return which thread did each unit."""
        return ((self.owners[:units] - self.scratch.ctypes.data) // STRIDE).tolist()


def stress(rounds: int, most: int, threads: int, seed: int) -> bool:
    """Whether every unit of many calls was done exactly once."""
    calls, numbers = Calls(most, threads), random.Random(seed)
    expected = np.zeros(most, np.int64)
    for _ in range(rounds):
        units = numbers.randrange(most + 1)
        expected[:units] += 1
        if calls.run(units, numbers.randrange(1, threads + 1)):
            return False
    return bool((calls.counts == expected).all())


def _stress_into(results: list[bool], *arguments: int) -> None:
    results.append(stress(*arguments))


def main(rounds: int, threads: int) -> None:
    results: list[bool] = []
    functions()  # a child can't have what another thread is importing while it is forked
    workers = [threading.Thread(target=_stress_into, args=(results, rounds, 50, threads, n)) for n in range(2)]
    for worker in workers:
        worker.start()
    for turn in range(10):
        process = os.fork()
        if not process:
            os._exit(0 if stress(rounds // 20, 50, threads, turn) else 1)
        results.append(os.waitpid(process, 0)[1] == 0)
    for worker in workers:
        worker.join()
    print("ok" if len(results) == 12 and all(results) else results)


if __name__ == "__main__":
    main(*[int(word) for word in sys.argv[1:]])
