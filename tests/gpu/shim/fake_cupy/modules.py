"""CuPy's modules and kernels, and its NVRTC: what it compiles is compiled for the CPU."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from gpu.shim.build import BuildError, load
from gpu.shim.build import Function as Built
from gpu.shim.fake_cupy.arrays import ndarray
from gpu.shim.fake_cupy.devices import dynamic_limits
from gpu.shim.fake_cupy.errors import CUDADriverError, MisuseError, NVRTCError
from gpu.shim.fake_cupy.memory import MemoryPointer
from gpu.shim.fake_cupy.streams import Stream, get_current_stream
from gpu.shim.fake_cupy.world import check_whole, current_device, enqueue, queue_of, world
from gpu.shim.launches import ORDERS, launch

HEADER = b"machine code of a fake: "
_numbers = itertools.count(0x9000, 16)
_programs: dict[int, tuple[str, str]] = {}


class Module:
    """Loaded kernels."""

    def __init__(self) -> None:
        self._kernels: dict[str, Built] = {}
        self.ptr = next(_numbers)

    def load(self, cubin: bytes) -> None:
        """Load what NVRTC gave."""
        if not isinstance(cubin, bytes) or not cubin.startswith(HEADER):
            raise CUDADriverError(1)
        text = cubin[len(HEADER) :].decode()
        world.texts.append(text)
        self._kernels = load(text)

    def get_function(self, name: str) -> Function:
        """Return a kernel."""
        if name not in self._kernels:
            raise CUDADriverError(500)
        return Function(self, self._kernels[name])


class Function:
    """A kernel that can be launched."""

    def __init__(self, module: Module, built: Built) -> None:
        self.module, self._built, self._is_loaded = module, built, False
        self.ptr = next(_numbers)

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: Sequence[Any], shared_mem: int = 0,
        enable_cooperative_groups: bool = False, stream: Stream | None = None,
    ) -> None:  # fmt: skip
        if not isinstance(grid, tuple) or not isinstance(block, tuple):
            raise TypeError("grid and block are tuples")
        grid, block = [tuple(max(1, int(size)) for size in (*sizes, 1, 1)[:3]) for sizes in (grid, block)]
        if shared_mem > dynamic_limits.get(self.ptr, 48 << 10) or np.prod(block) > 1024:
            raise CUDADriverError(1)
        pointer = (get_current_stream() if stream is None else stream).ptr
        device = queue_of(pointer).device
        if device != current_device():
            raise CUDADriverError(1)
        captured = queue_of(pointer).captured
        if captured is None:
            self._is_loaded = True  # CUDA loads kernels when they are first launched
        elif not self._is_loaded:
            captured.origin.is_invalid = True
            raise CUDADriverError(900)
        arguments = [_bytes_of(value) for value in args]
        if len(arguments) != len(self._built.parameters):
            raise MisuseError(
                f"kernel {self._built.name} takes {len(self._built.parameters)} arguments, got {len(arguments)}"
            )
        addresses = [
            int.from_bytes(value, "little")
            for value, parameter in zip(arguments, self._built.parameters, strict=True)
            if parameter.element
        ]
        self._check(addresses, device)

        def work() -> None:
            regions = self._check(addresses, device)
            world.kernels.append(self._built.name)
            number = len(world.kernels)
            order = world.order or ORDERS[number % len(ORDERS)]
            launch(self._built, grid, block, arguments, shared_mem, order, number, world.describe)
            for region in regions:
                check_whole(region)

        world.launches += queue_of(pointer).captured is None
        enqueue(pointer, work)

    def _check(self, addresses: Sequence[int], device: int) -> list[Any]:
        """Return the memory that pointers among the arguments point to; it has to be this device's."""
        try:
            return [world.checked(address, 0, device) for address in addresses]
        except MisuseError as error:
            raise MisuseError(f"kernel {self._built.name} gets {error}") from None


def _bytes_of(value: Any) -> bytes:
    """Return an argument as CuPy passes it: Python's integers have 8 bytes, NumPy's scalars their own."""
    if isinstance(value, ndarray):
        value = value.data.ptr
    if isinstance(value, MemoryPointer):
        value = value.ptr
    if isinstance(value, np.generic):
        return value.tobytes()
    if isinstance(value, int):
        return np.int64(value).tobytes()
    if isinstance(value, float):
        return np.float64(value).tobytes()
    raise TypeError(f"Unsupported type {type(value)}")


def createProgram(src: str, name: str, headers: Sequence[str], include_names: Sequence[str]) -> int:
    number = next(_numbers)
    _programs[number] = (src, "")
    return number


def compileProgram(prog: int, options: Sequence[str]) -> None:
    text, _ = _programs[prog]
    try:
        load(text)
    except BuildError as error:
        _programs[prog] = (text, str(error))
        raise NVRTCError(6) from None


def getProgramLog(prog: int) -> str:
    return _programs[prog][1]


def getCUBIN(prog: int) -> bytes:
    return HEADER + _programs[prog][0].encode()


def destroyProgram(prog: int) -> None:
    del _programs[prog]


def getVersion() -> tuple[int, int]:
    """A version that there isn't: what the fake compiles must not be taken for a real device's."""
    return (13, 999)


def getSupportedArchs() -> tuple[int, ...]:
    return (75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121)


nvrtc = SimpleNamespace(
    NVRTCError=NVRTCError, createProgram=createProgram, compileProgram=compileProgram, getProgramLog=getProgramLog,
    getCUBIN=getCUBIN, getPTX=getCUBIN, destroyProgram=destroyProgram, getVersion=getVersion,
    getSupportedArchs=getSupportedArchs,
)  # fmt: skip
