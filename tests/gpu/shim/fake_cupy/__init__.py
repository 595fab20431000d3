"""A package that stands for CuPy, on a machine without a GPU: as much of CuPy 14 as symgrad uses.

Device memory is guarded, poisoned memory of the host, kernels are compiled for the CPU, and work is only enqueued: a
stream does it when something waits for it, so that what isn't waited for isn't there. During a capture nothing can be
allocated or waited for, as with CUDA. Freed memory can't be touched. What is asked for is recorded: see `World`.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

from gpu.shim.fake_cupy import arrays, devices, errors, functions, memory, streams
from gpu.shim.fake_cupy import modules as loading
from gpu.shim.fake_cupy.world import World, check_whole, device_array, enqueue, former_streams, world

__all__ = ["World", "device_array", "enqueue", "fake_devices", "world"]


def _module(name: str, contents: dict[str, Any]) -> ModuleType:
    module = ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    module.__dict__.update(contents)
    return module


def _named(source: Any, names: str) -> dict[str, Any]:
    return {name: getattr(source, name) for name in names.split()}


@contextmanager
def _errstate(**kinds: str | None) -> Iterator[None]:
    """What CuPy does with matrices that have no inverse; NumPy always raises."""
    assert set(kinds) <= {"linalg", "divide", "over", "under", "invalid"}
    yield


def make_package() -> dict[str, ModuleType]:
    """Return the modules of the package by their names."""
    cuda = _module("cupy.cuda", {
        **_named(devices, "Device runtime driver"), **_named(loading, "Module Function nvrtc"),
        **_named(streams, "Stream Event Graph get_current_stream get_elapsed_time"),
        **_named(memory, "MemoryPointer MemoryPool UnownedMemory alloc alloc_pinned_memory"),
        "memory": _module("cupy.cuda.memory", {
            "OutOfMemoryError": errors.OutOfMemoryError,
            **_named(memory, "MemoryPointer MemoryPool UnownedMemory alloc"),
        }),
        "is_available": lambda: True,
    })  # fmt: skip
    cupy = _module("cupy", {
        "__version__": "14.2.0", "__path__": [], "cuda": cuda, "linalg": functions.linalg, "fft": functions.fft,
        **functions.plain,
        **_named(arrays, "ndarray empty empty_like zeros array asarray ascontiguousarray asnumpy copyto"),
        "lib": SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=arrays.as_strided)),
        "get_default_memory_pool": lambda: memory.pool,
    })  # fmt: skip
    linalg = _module("cupyx.scipy.linalg", functions.scipy_linalg)
    scipy = _module("cupyx.scipy", {"linalg": linalg, "__path__": []})
    cupyx = _module("cupyx", {"errstate": _errstate, "scipy": scipy, "__path__": []})
    modules = (cupy, cuda, cuda.memory, cupyx, scipy, linalg)
    return {module.__name__: module for module in modules}


@contextmanager
def fake_devices(**settings: Any) -> Iterator[World]:
    """Let ``import cupy`` find the fake, and symgrad see its devices, within the context.

    Parameters
    ----------
    **settings
        What to change of the `World`: ``count=1``, ``capability=90``, ``order="descending"``, ...

    Yields
    ------
    World
        The devices, and the record of what was asked of them.
    """
    world.__init__(**settings)  # type: ignore[misc]
    memory.pool.__init__()  # type: ignore[misc]
    package = make_package()
    previous = {name: sys.modules.get(name) for name in package}
    sys.modules.update(package)
    restore = _connect()
    try:
        yield world
        world.finish()
        for region in world.regions:
            check_whole(region)
    finally:
        former_streams.update(world.queues)
        restore()
        for name, module in previous.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module


def _connect() -> Callable[[], None]:
    """Have symgrad forget what it knows of devices, and load libraries from the fake; return what undoes that."""
    import symgrad.backends.cupy.devices.device as device
    import symgrad.backends.cupy.devices.doctor as doctor
    import symgrad.backends.cupy.libraries.files as files

    real = files.load_library
    users = [module for name, module in list(sys.modules.items()) if name.startswith("symgrad.backends.cupy.")]
    users = [module for module in users if getattr(module, "load_library", None) is real]
    kept = dict(device._devices)

    def load_library(name: str) -> Any:
        if name not in world.libraries:
            raise OSError(f"the fake has no {name}")
        return world.libraries[name]

    def forget() -> None:
        device._devices.clear()
        files.library_problem.cache_clear()
        doctor.find_problem.cache_clear()

    def restore() -> None:
        for module in users:
            module.load_library = real  # type: ignore[attr-defined]
        forget()
        device._devices.update(kept)

    for module in users:
        module.load_library = load_library  # type: ignore[attr-defined]
    forget()
    importlib.import_module("gpu.shim.fake_cublas").install(world)  # it uses this package
    return restore
