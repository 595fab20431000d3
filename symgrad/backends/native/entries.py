"""The native functions that all programs share: what a call from Python enters, and the threads.

Their texts depend on nothing but the processor, so a later process finds their code in the cache without writing them.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from symgrad.backends.native.llvm.background import Background
from symgrad.backends.native.llvm.jit import load_written
from symgrad.backends.native.llvm.library import imported
from symgrad.config import config

NAMES = (
    "symgrad_entry", "symgrad_taken_entry", "symgrad_take_turn", "symgrad_run", "symgrad_repeat", "symgrad_counter"
)  # fmt: skip

LIBRARY = {
    "symgrad_at_fork": ["ptr", "ptr", "ptr", "ptr"],
    "pthread_create": ["ptr", "ptr", "ptr", "ptr"],
    "pthread_detach": ["ptr"],
    "pthread_sigmask": ["i32", "ptr", "ptr"],
    "pthread_mutex_init": ["ptr", "ptr"],
    "pthread_mutex_lock": ["ptr"],
    "pthread_mutex_unlock": ["ptr"],
    "pthread_cond_init": ["ptr", "ptr"],
    "pthread_cond_wait": ["ptr", "ptr"],
    "pthread_cond_signal": ["ptr"],
    "sched_yield": [],
    "clock_gettime": ["i32", "ptr"],
}
"""The functions of the C library that the pool calls, with the types of their parameters."""

_FORK_HOOKS = ("pthread_atfork", "__register_atfork")  # the C library has one of them


def runtime() -> Mapping[str, int]:
    """Return the addresses of the entry, and of what runs a program once or many times."""
    return _loaded.get("runtime") or _load("runtime", NAMES, _runtime_text, {})


def parallel() -> int:
    """Return the address of ``symgrad_parallel`` for this machine.

    ``i32 symgrad_parallel(ptr kernel, ptr buffers, ptr sizes, i64 units, i64 threads, ptr scratch, i64 stride)`` runs
    a kernel's units on that many threads. Thread t gets the scratch memory at ``scratch + t * stride``.
    The result is 0, or the code of the first thread that has another.
    """
    name = "symgrad_parallel"
    return (_loaded.get("pool") or _load("pool", [name], _pool_text, pool_symbols()))[name]


def prepare() -> None:
    """Begin to load both on another thread, if they aren't there: they may have to be compiled."""
    if not _loaded:
        with Background() as background:
            background.add(runtime)
            if config.threads > 1:
                background.add(parallel)


_loaded: dict[str, Mapping[str, int]] = {}
_loading = Lock()
if hasattr(os, "register_at_fork"):  # a child has none of the threads that may hold it
    os.register_at_fork(before=_loading.acquire, after_in_parent=_loading.release, after_in_child=_loading.release)


def _load(
    module: str, names: Sequence[str], write: Callable[[], str], symbols: Mapping[str, int]
) -> Mapping[str, int]:
    """Load a module, unless another thread has just done so."""
    with _loading:
        if module not in _loaded:
            _loaded[module] = load_written(module, names, write, symbols)
        return _loaded[module]


def pool_symbols() -> Mapping[str, int]:
    """Return the addresses of the functions that the pool's module needs from the C library."""
    if not has_threads():
        return {}
    library = ctypes.CDLL(None)
    hook = next(name for name in _FORK_HOOKS if hasattr(library, name))
    named = {"symgrad_at_fork": hook} | {name: name for name in LIBRARY if name != "symgrad_at_fork"}
    return {name: ctypes.cast(library[symbol], ctypes.c_void_p).value or 0 for name, symbol in named.items()}


def has_threads() -> bool:
    """Whether this system has the threads that the pool is written for."""
    return os.name == "posix"


def _runtime_text() -> str:
    functions = imported("symgrad.backends.native.runtime").runtime_functions()
    return str(imported("symgrad.backends.native.llvm.text").module_text(functions))


def _pool_text() -> str:
    functions = imported("symgrad.backends.native.pool").pool_functions()
    return str(imported("symgrad.backends.native.llvm.text").module_text(functions))
