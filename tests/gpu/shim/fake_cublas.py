"""What stands for cuBLAS on the fake devices: the same C functions, called as C calls them.

The parameters are written down here once more, from NVIDIA's documentation of the header, so that a wrong order or
width in symgrad's own declarations shows: arguments go through C, by symgrad's declaration in and by this one out.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from ctypes import POINTER, c_int, c_longlong, c_size_t, c_uint, c_void_p
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu.shim.fake_cupy.errors import MisuseError
from gpu.shim.fake_cupy.world import World, current_device, device_array, enqueue, queue_of

SUCCESS, NOT_INITIALIZED, ALLOC_FAILED, INVALID_VALUE, NOT_SUPPORTED = 0, 1, 3, 7, 15
DTYPES = {0: "float32", 1: "float64", 2: "float16", 14: "bfloat16"}
COMPUTE_32F, COMPUTE_64F, COMPUTE_32F_FAST_TF32 = 68, 70, 77

_gemm_head = (c_void_p, c_uint, c_uint, c_int, c_int, c_int, c_void_p)
DECLARATIONS: dict[str, tuple[Any, ...]] = {
    "cublasCreate_v2": (POINTER(c_void_p),),
    "cublasDestroy_v2": (c_void_p,),
    "cublasGetVersion_v2": (c_void_p, POINTER(c_int)),
    "cublasSetStream_v2": (c_void_p, c_void_p),
    "cublasSetWorkspace_v2": (c_void_p, c_void_p, c_size_t),
    "cublasSetMathMode": (c_void_p, c_uint),
    "cublasSetPointerMode_v2": (c_void_p, c_uint),
    "cublasGemmEx": (
        *_gemm_head, c_void_p, c_uint, c_int, c_void_p, c_uint, c_int, c_void_p, c_void_p, c_uint, c_int, c_uint, c_int,
    ),
    "cublasGemmStridedBatchedEx": (
        *_gemm_head, c_void_p, c_uint, c_int, c_longlong, c_void_p, c_uint, c_int, c_longlong, c_void_p,
        c_void_p, c_uint, c_int, c_longlong, c_int, c_uint, c_int,
    ),
}  # fmt: skip
"""Of the functions, all of which return an int."""


def install(world: World) -> None:
    """Give the fake devices a cuBLAS."""
    world.libraries["cublas"] = FakeCublas(world)


@dataclass
class Handle:
    """What a handle knows."""

    device: int
    stream: int = 0
    workspace: int = 0
    math_mode: int = 0
    pointer_mode: int = 0


class Function:
    """A function of the library, with the declaration that its caller gives it."""

    def __init__(self, name: str, implementation: Callable[..., int]) -> None:
        self.argtypes: Sequence[Any] | None = None
        self.restype: Any = c_int
        self._problem: BaseException | None = None

        def called(*arguments: Any) -> int:
            try:
                return implementation(*arguments)
            except BaseException as problem:  # C can't carry it
                self._problem = problem
                return -1

        self._callback = ctypes.CFUNCTYPE(c_int, *DECLARATIONS[name])(called)
        self._name = name

    def __call__(self, *arguments: Any) -> Any:
        if self.argtypes is None or len(self.argtypes) != len(arguments):
            raise MisuseError(f"{self._name} is called with {len(arguments)} arguments, without a declaration of them")
        address = ctypes.cast(self._callback, c_void_p).value
        result = ctypes.CFUNCTYPE(self.restype, *self.argtypes)(address or 0)(*arguments)
        problem, self._problem = self._problem, None
        if problem is not None:
            raise problem
        return result


class FakeCublas:
    """The library.

    Attributes
    ----------
    products : list of tuple
        Sizes, compute type and count of each product that was asked for.
    handles : dict
        By their addresses.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.products: list[tuple[int, int, int, int, int]] = []
        self.handles: dict[int, Handle] = {}
        for name in DECLARATIONS:
            setattr(self, name, Function(name, getattr(self, "_" + name.removeprefix("cublas").removesuffix("_v2"))))

    def _Create(self, place: Any) -> int:
        if self._is_capturing():
            return ALLOC_FAILED
        number = 0x7000 + 16 * len(self.handles)
        self.handles[number] = Handle(current_device())
        place[0] = number
        return SUCCESS

    def _is_capturing(self) -> bool:
        return any(queue.captured is not None for queue in self.world.queues.copy().values())

    def _Destroy(self, handle: int) -> int:
        return SUCCESS if self.handles.pop(handle, None) else NOT_INITIALIZED

    def _GetVersion(self, handle: int, place: Any) -> int:
        place[0] = 130100
        return SUCCESS

    def _SetStream(self, handle: int, stream: int) -> int:
        if handle not in self.handles:
            return NOT_INITIALIZED
        self.handles[handle].stream = stream or 0
        self.handles[handle].workspace = 0  # as documented: the library takes its own memory again
        return SUCCESS

    def _SetWorkspace(self, handle: int, address: int, size: int) -> int:
        if address % 256:
            return INVALID_VALUE
        self.world.checked(address, size, self.handles[handle].device)
        self.handles[handle].workspace = size
        return SUCCESS

    def _SetMathMode(self, handle: int, mode: int) -> int:
        self.handles[handle].math_mode = mode
        return SUCCESS if mode & ~16 in (0, 2, 3) else INVALID_VALUE

    def _SetPointerMode(self, handle: int, mode: int) -> int:
        self.handles[handle].pointer_mode = mode
        return SUCCESS

    def _GemmEx(self, *arguments: Any) -> int:
        a, b, c = arguments[7:10], arguments[10:13], arguments[14:17]
        matrices = [(*matrix, 0) for matrix in (a, b, c)]
        return self._gemm(arguments[:7], matrices, arguments[13], 1, *arguments[17:])

    def _GemmStridedBatchedEx(self, *arguments: Any) -> int:
        matrices = [arguments[7:11], arguments[11:15], arguments[16:20]]
        return self._gemm(arguments[:7], matrices, arguments[15], *arguments[20:])

    def _gemm(
        self, head: Sequence[Any], matrices: Sequence[Sequence[int]], beta: int, count: int, compute: int,
        algorithm: int,
    ) -> int:  # fmt: skip
        number, first_op, second_op, m, n, k, alpha = head
        handle = self.handles.get(number)
        if handle is None:
            return NOT_INITIALIZED
        if handle.device != current_device() or handle.pointer_mode != 0:
            raise MisuseError("a handle of cuBLAS is used on another device, or expects its factors elsewhere")
        dtypes = [DTYPES.get(matrix[1]) for matrix in matrices]
        if None in dtypes or not _is_supported(dtypes, compute) or algorithm != -1:
            return NOT_SUPPORTED
        shapes = [(m, k), (k, n), (m, n)]
        turned = [first_op == 1, second_op == 1, False]
        if first_op > 1 or second_op > 1 or min(m, n, k, count) < 0:
            return INVALID_VALUE
        for (_, _, leading, _), (rows, columns), turn in zip(matrices, shapes, turned, strict=True):
            if leading < max(1, columns if turn else rows):
                return INVALID_VALUE
        if queue_of(handle.stream).captured is not None and not handle.workspace:
            return ALLOC_FAILED
        kind = ctypes.c_double if compute == COMPUTE_64F else ctypes.c_float
        factors = [kind.from_address(address).value for address in (alpha, beta)]
        self.products.append((m, n, k, count, compute))

        def work() -> None:
            places = [
                _matrices(matrix, shape, turn, count, handle.device)
                for matrix, shape, turn in zip(matrices, shapes, turned, strict=True)
            ]
            _multiply(places, dtypes, compute, factors)

        enqueue(handle.stream, work)
        return SUCCESS


def _is_supported(dtypes: Sequence[str | None], compute: int) -> bool:
    first, second, output = dtypes
    if compute == COMPUTE_64F:
        return first == second == output == "float64"
    if compute == COMPUTE_32F_FAST_TF32:
        return first == second == output == "float32"
    return compute == COMPUTE_32F and first == second != "float64" and output in (first, "float32")


def _matrices(
    matrix: Sequence[int], shape: tuple[int, int], turned: bool, count: int, device: int
) -> np.ndarray:  # fmt: skip
    """Return a stack of matrices in device memory, columns first as cuBLAS counts."""
    address, kind, leading, step = matrix
    dtype = np.dtype("uint16" if DTYPES[kind] == "bfloat16" else DTYPES[kind])
    steps = (leading, 1) if turned else (1, leading)
    strides = tuple([size * dtype.itemsize for size in (step, *steps)])
    return device_array(address, (count, *shape), dtype, strides, device)


def _multiply(places: Sequence[np.ndarray], dtypes: Sequence[Any], compute: int, factors: Sequence[float]) -> None:
    kind = "float64" if compute == COMPUTE_64F else "float32"
    first, second = [_numbers(place, dtype).astype(kind) for place, dtype in zip(places[:2], dtypes[:2], strict=True)]
    if compute == COMPUTE_32F_FAST_TF32:
        first, second = _tf32(first), _tf32(second)
    result = np.matmul(first, second) * np.asarray(factors[0], kind)
    if factors[1] != 0:
        result += np.asarray(factors[1], kind) * _numbers(places[2], dtypes[2]).astype(kind)
    places[2][...] = _bits(result) if dtypes[2] == "bfloat16" else result.astype(dtypes[2])


def _numbers(place: np.ndarray, dtype: str) -> np.ndarray:
    return (place.astype("uint32") << 16).view("float32") if dtype == "bfloat16" else place


def _bits(values: np.ndarray) -> np.ndarray:
    """Return numbers rounded to bfloat16, as its bits."""
    bits = np.ascontiguousarray(values, "float32").view("uint32").astype("uint64")
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("uint16")


def _tf32(values: np.ndarray) -> np.ndarray:
    """Return float32 numbers rounded to 10 bits, as tensor cores take them."""
    bits = np.ascontiguousarray(values).view("uint32").astype("uint64")
    return ((bits + 0x0FFF + (bits >> 13 & 1)) & ~np.uint64(0x1FFF)).astype("uint32").view("float32")
