"""Launches one kernel on the CPU, in an order of its threads, and says what it did wrong."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

import numpy as np

from gpu.shim.build import Function, runtime
from gpu.shim.memory import Guarded

ORDERS = ("ascending", "descending", "shuffled")
POISON = {"ascending": 0xFF, "descending": 0x7F, "shuffled": 0xAB}
"""What fills memory that nobody has written, in each order another byte: 0xFF makes NaN of floats."""

TRAPPED = "an index beyond the kernel's own array, or an address that isn't aligned to its type"


class KernelError(AssertionError):
    """A kernel did what it must not do."""


class _Launch(ctypes.Structure):
    _fields_ = [
        ("call", ctypes.c_void_p), ("arguments", ctypes.c_void_p), ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3), ("shared_begin", ctypes.c_void_p), ("shared_end", ctypes.c_void_p),
        ("dynamic", ctypes.c_void_p), ("dynamic_bytes", ctypes.c_size_t), ("status", ctypes.c_void_p),
        ("order", ctypes.c_int), ("poison", ctypes.c_int), ("seed", ctypes.c_uint64),
    ]  # fmt: skip


class _Report(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_int), ("signal", ctypes.c_int), ("writes", ctypes.c_int), ("block", ctypes.c_uint * 3),
        ("thread", ctypes.c_uint * 3), ("address", ctypes.c_uint64), ("text", ctypes.c_char * 512),
    ]  # fmt: skip


def launch(
    function: Function,
    grid: Sequence[int],
    block: Sequence[int],
    arguments: Sequence[bytes],
    shared_bytes: int = 0,
    order: str = "ascending",
    seed: int = 0,
    describe: Callable[[int], str] = hex,
) -> None:
    """Run a kernel over its grid.

    Parameters
    ----------
    function : Function
        The kernel.
    grid, block : sequence of int
        Up to three sizes each.
    arguments : sequence of bytes
        One for each parameter, of its size; the last is the address of the status word.
    shared_bytes : int
        Dynamic shared memory.
    order : str
        One of `ORDERS`.
    seed : int
        Of the shuffled order.
    describe : callable
        Says what lies at an address.

    Raises
    ------
    KernelError
        If it did something that it must not do.
    """
    grid, block = [(*sizes, 1, 1)[:3] for sizes in (grid, block)]
    _check_launch(function, grid, block, arguments)
    memory = [ctypes.create_string_buffer(argument, len(argument)) for argument in arguments]
    addresses = (ctypes.c_void_p * max(len(memory), 1))(*[ctypes.addressof(part) for part in memory])
    dynamic = Guarded(shared_bytes) if shared_bytes else None
    status = int.from_bytes(arguments[-1], "little") if arguments and function.parameters[-1].element == 4 else 0
    wanted = _Launch(
        function.call, ctypes.addressof(addresses), (ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block),
        *function.shared, dynamic.address if dynamic else 0, shared_bytes, status, ORDERS.index(order), POISON[order],
        seed,
    )  # fmt: skip
    report = _Report()
    runtime().cpu_launch(ctypes.byref(wanted), ctypes.byref(report))
    if dynamic is not None and not dynamic.whole():
        raise KernelError(f"kernel {function.name} writes beyond its dynamic shared memory")
    if report.kind:
        raise KernelError(_told(function, report, dynamic, describe))


def _check_launch(function: Function, grid: Sequence[int], block: Sequence[int], arguments: Sequence[bytes]) -> None:
    threads = int(np.prod(block))
    if not 0 < threads <= function.most_threads:
        raise KernelError(f"kernel {function.name}: {threads} threads, of at most {function.most_threads}")
    if min(grid) < 1 or max(grid[1:]) > 65535 or grid[0] >= 2**31 or block[2] > 64:
        raise KernelError(f"kernel {function.name}: no device has a grid of {grid} blocks of {block} threads")
    found, wanted = [len(argument) for argument in arguments], [part.bytes for part in function.parameters]
    if found != wanted:
        raise KernelError(f"kernel {function.name} takes arguments of {wanted} bytes, got {found}")


def _told(function: Function, report: _Report, dynamic: Guarded | None, describe: Callable[[int], str]) -> str:
    where = f"kernel {function.name}, block {tuple(report.block)}, thread {tuple(report.thread)}"
    if report.kind == 1:
        return f"{where}: {report.text.decode()}"
    if report.signal == 4:
        return f"{where}: {TRAPPED}"
    if report.signal == 8:
        return f"{where}: a division by zero"
    address = int(report.address)
    place = describe(address)
    if dynamic is not None and dynamic.covers(address):
        place = f"dynamic shared memory, {dynamic.place(address)}"
    what = {0: "reads", 1: "writes"}.get(report.writes, "reads or writes")
    return f"{where}: {what} out of bounds: {place}"
