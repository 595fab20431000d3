"""A plugin of pytest that lets the tests of ``tests/gpu`` run on a real device, in place of what stands in for one.

It acts where ``SYMGRAD_GPU=real`` is set, and has to be loaded before the tests' own files: it is named in
``PYTEST_PLUGINS``, which processes of pytest-xdist read as well. Kernels are launched in
memory with guards around it and poison in it, three times with different poison, and must compute the same bits. Whole
programs run through the real CuPy; tests that ask what only the stand-in records, or that give it other properties,
are skipped.
"""

from __future__ import annotations

import ctypes
import importlib
import inspect
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import symgrad.backends.cupy.devices.device as device_module
from benchmarks.gpu_parts.children import VARIABLE
from symgrad.backends.cupy.calls import LibraryCall, Temporary
from symgrad.backends.cupy.devices.device import Device, find_device
from symgrad.backends.cupy.kernel import CudaKernel
from symgrad.backends.cupy.prelude import PRELUDE

stand_in: Any = importlib.import_module("gpu.shim.kernels")
POISON: dict[str, int] = importlib.import_module("gpu.shim.launches").POISON
GUARD_BYTES = 512
OF_OTHER_DEVICES = ("cuda1", "cuda2", "memory_limit")

Found = Sequence[tuple[Any, Sequence[int | Temporary]]]


class Region:
    """Device memory with guards around it.

    Parameters
    ----------
    device : Device
        Where.
    size : int
        Bytes, without the guards.
    poison : int
        The byte that fills it; the guards hold another.
    """

    def __init__(self, device: Device, size: int, poison: int) -> None:
        self.device, self.size, self._guard = device, size, poison ^ 0x33
        self._memory = device.allocate(size + 2 * GUARD_BYTES)
        self.address = int(self._memory.ptr) + GUARD_BYTES
        whole = np.full(size + 2 * GUARD_BYTES, self._guard, np.uint8)
        whole[GUARD_BYTES : GUARD_BYTES + size] = poison
        device.write(int(self._memory.ptr), whole)

    def write(self, contents: np.ndarray) -> None:
        """Fill it with bytes."""
        if self.size:
            self.device.write(self.address, contents)

    def read(self) -> np.ndarray:
        """Return its bytes; raises if something was written around it."""
        whole = np.empty(self.size + 2 * GUARD_BYTES, np.uint8)
        self.device.read([self.address - GUARD_BYTES], [whole])
        inner = slice(GUARD_BYTES, GUARD_BYTES + self.size)
        if (np.delete(whole, inner) != self._guard).any():
            raise stand_in.KernelError("something is written beyond a buffer")
        return whole[inner]


def constant_parameters(kernel: CudaKernel) -> list[bool]:
    """Return for each parameter of a kernel whether it is the address of constants."""
    found = re.search(rf"\b{re.escape(kernel.name)}\s*\(([^)]*)\)\s*\{{", kernel.text)
    if found is None:
        raise stand_in.KernelError(f"kernel {kernel.name} isn't in its text")
    return ["const" in parameter.split("*")[0].split() for parameter in found[1].split(",")]


def written_arrays(found: Found, count: int) -> list[bool]:
    """Return for each array whether a kernel or a library may write it; what a library may write isn't known."""
    written = [False] * count
    for work, chosen in found:
        constant = constant_parameters(work) if isinstance(work, CudaKernel) else [False] * len(chosen)
        for place, is_constant in zip(chosen, constant, strict=False):
            if isinstance(place, int):
                written[place] |= not is_constant
    return written


def run_found(
    found: Found,
    arrays: Sequence[np.ndarray],
    sizes: Sequence[int] = (),
    *,
    updated: Sequence[int] = (),
    order: str = "ascending",
    seed: int = 0,
) -> int:
    """Run kernels and library calls one after another on the device; as the stand-in's function of this name."""
    device, poison = find_device("cuda"), POISON[order]
    written = written_arrays(found, len(arrays))
    spans = [_span(array) for array in arrays]
    regions = {span: Region(device, span[1] - span[0], poison) for span in dict.fromkeys(spans)}
    fresh = [writes and place not in updated for place, writes in enumerate(written)]
    if any(isinstance(work, LibraryCall) for work, _ in found):
        fresh = [False] * len(arrays)
    for span, array, is_fresh in zip(spans, arrays, fresh, strict=True):
        if not is_fresh:
            regions[span].write(_bytes_of(array, span))
    status = Region(device, 4, 0)
    temporaries: dict[int, Region] = {}
    for work, chosen in found:
        addresses = []
        for place in chosen:
            if isinstance(place, Temporary):
                region = temporaries.setdefault(id(place), Region(device, place.bytes, poison))
                addresses.append(region.address)
            else:
                start = arrays[place].ctypes.data - spans[place][0] if arrays[place].size else 0
                addresses.append(regions[spans[place]].address + start)
        _launch(device, work, addresses, sizes, status.address)
    device.synchronize()
    for region in temporaries.values():
        region.read()
    for span, region in regions.items():
        contents = region.read()
        for array, own, writes in zip(arrays, spans, written, strict=True):
            if own == span and writes and array.size:
                _bytes_of(array, span)[...] = contents
    return int(status.read().view(np.int32)[0])


def _launch(device: Device, work: Any, addresses: list[int], sizes: Sequence[int], status: int) -> None:
    if isinstance(work, LibraryCall):
        with device.active():
            work.run(device, *addresses)
        return
    function = device.kernels(f"{PRELUDE}\n{work.text}", [work.name], work.name)[work.name]
    with device.active():
        device.launch(function, work.grid, work.threads, [*addresses, *sizes, status], work.shared_bytes)


def _span(array: np.ndarray) -> tuple[int, int]:
    """Return the addresses between which an array's elements lie."""
    if not array.size:
        return (id(array), id(array))
    low, high = np.lib.array_utils.byte_bounds(array)
    return (int(low), int(high))


def _bytes_of(array: np.ndarray, span: tuple[int, int]) -> np.ndarray:
    """Return the memory that an array's elements lie in, as bytes."""
    if not array.size:
        return np.empty(0, np.uint8)
    memory = (ctypes.c_uint8 * (span[1] - span[0])).from_address(span[0])
    return np.frombuffer(memory, np.uint8)


class RealDevices:
    """What tests get in place of the stand-in's record: nothing is recorded here."""

    texts = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("__", "hypothesis_")):
            raise AttributeError(name)
        pytest.skip(f"only the stand-in for a device knows {name}")

    def __setattr__(self, name: str, value: Any) -> None:
        pytest.skip(f"only the stand-in for a device can change {name}")


@contextmanager
def real_devices(**settings: Any) -> Iterator[RealDevices]:
    """Leave everything to the real CuPy."""
    if settings:
        pytest.skip("only the stand-in for a device can have other properties")
    device_module._devices.clear()
    yield RealDevices()
    device_module._devices.clear()  # what a test has changed of one ends with it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that need two devices, or a device with less memory: they say so in their own text."""
    if os.environ.get(VARIABLE) != "real":
        return
    for item in items:
        function = getattr(item, "function", None)
        if function is not None and any(word in inspect.getsource(function) for word in OF_OTHER_DEVICES):
            item.add_marker(pytest.mark.skip(reason="only the stand-in has two devices, or less memory"))


def replace_stand_in() -> None:
    """Put the real device in the place of what stands in for one; before a test imports it."""
    for module in (stand_in, importlib.import_module("gpu.shim")):
        module.run_found = run_found
    importlib.import_module("gpu.shim.fake_cupy").fake_devices = real_devices  # type: ignore[attr-defined]
    importlib.import_module("gpu.shim.build").compiler = lambda: "none is needed"  # type: ignore[attr-defined]


if os.environ.get(VARIABLE) == "real":
    replace_stand_in()
