"""cuBLAS, NVIDIA's library of matrix products, called directly.

CuPy's own binding refuses to be captured in a graph. What a capture needs is little: a handle of one's own that works
on one stream, with a workspace that was allocated before. One stream and one workspace also make cuBLAS give the same
bits every time.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from symgrad.backends.cupy.libraries import files
from symgrad.errors import DeviceError

STATUS = {
    0: "SUCCESS", 1: "NOT_INITIALIZED", 3: "ALLOC_FAILED", 7: "INVALID_VALUE", 8: "ARCH_MISMATCH", 11: "MAPPING_ERROR",
    13: "EXECUTION_FAILED", 14: "INTERNAL_ERROR", 15: "NOT_SUPPORTED", 16: "LICENSE_ERROR",
}  # fmt: skip
"""What functions return, without ``CUBLAS_STATUS_``."""

DATA_TYPES = {"float32": 0, "float64": 1, "float16": 2, "bfloat16": 14}
"""``cudaDataType``: ``CUDA_R_32F`` and so on."""

COMPUTE_32F, COMPUTE_64F, COMPUTE_32F_FAST_TF32 = 68, 70, 77
"""``cublasComputeType_t``: in which numbers products are summed."""

OP_N, OP_T = 0, 1
"""``cublasOperation_t``: whether an operand is taken as it is, or transposed."""

POINTER_MODE_HOST = 0

NO_REDUCED_SUMS = 16
"""``cublasMath_t``: default math, and parts of half-precision products are added up in float32."""

DEFAULT_ALGORITHM = -1

HOPPER_WORKSPACE, WORKSPACE = 32 << 20, 8 << 20
"""Bytes; what cuBLAS recommends for compute capability 9.0 and above, and more than it does for others."""

_handle = ctypes.c_void_p
_pointer = ctypes.c_void_p
_int = ctypes.c_int
_size = ctypes.c_size_t
_long = ctypes.c_longlong

PROTOTYPES: dict[str, Sequence[Any]] = {
    "cublasCreate_v2": (ctypes.POINTER(_handle),),
    "cublasDestroy_v2": (_handle,),
    "cublasGetVersion_v2": (_handle, ctypes.POINTER(_int)),
    "cublasSetStream_v2": (_handle, _pointer),
    "cublasSetWorkspace_v2": (_handle, _pointer, _size),
    "cublasSetMathMode": (_handle, _int),
    "cublasSetPointerMode_v2": (_handle, _int),
    "cublasGemmEx": (
        _handle, _int, _int, _int, _int, _int, _pointer,  # operations, m, n, k, alpha
        _pointer, _int, _int, _pointer, _int, _int,  # each matrix: address, type, leading dimension
        _pointer, _pointer, _int, _int,  # beta and the output
        _int, _int,  # compute type, algorithm
    ),
    "cublasGemmStridedBatchedEx": (
        _handle, _int, _int, _int, _int, _int, _pointer,
        _pointer, _int, _int, _long, _pointer, _int, _int, _long,  # and the stride from matrix to matrix
        _pointer, _pointer, _int, _int, _long,
        _int, _int, _int,  # how many, compute type, algorithm
    ),
}  # fmt: skip
"""The parameters of all functions that are called; they all return a status."""


class CublasError(DeviceError):
    """cuBLAS refused a call."""


@dataclass(frozen=True)
class Operand:
    """A matrix, or a stack of them, as cuBLAS is told.

    Parameters
    ----------
    dtype : str
        Of its elements.
    transposed : bool
        Whether its columns are contiguous, not its rows.
    leading : int
        The stride of the other axis, in elements.
    stack : int
        The stride from matrix to matrix.
    """

    dtype: str
    transposed: bool
    leading: int
    stack: int = 0


@dataclass(frozen=True)
class Gemm:
    """A product as cuBLAS counts, columns first: ``output (m x n) = first (m x k) @ second (k x n)``.

    A matrix in C order is, read so, its own transpose.

    Parameters
    ----------
    m, n, k : int
        Sizes.
    first, second, output : Operand
        The matrices.
    count : int
        How many there are in the stack.
    allow_tf32 : bool
        Whether float32 operands may be rounded to 10 bits.
    """

    m: int
    n: int
    k: int
    first: Operand
    second: Operand
    output: Operand
    count: int = 1
    allow_tf32: bool = False

    @property
    def compute_type(self) -> int:
        """In which numbers products are summed."""
        if self.first.dtype == "float64":
            return COMPUTE_64F
        return COMPUTE_32F_FAST_TF32 if self.allow_tf32 and self.first.dtype == "float32" else COMPUTE_32F


class Cublas:
    """A handle of cuBLAS for one stream.

    Parameters
    ----------
    library : ctypes.CDLL
        The library.
    stream, workspace, size : int
        The stream, and the address and size of memory that lives as long as the handle.
    """

    def __init__(self, library: Any, stream: int, workspace: int, size: int) -> None:
        self._functions = {name: _function(library, name, types) for name, types in PROTOTYPES.items()}
        handle = _handle()
        self._call("cublasCreate_v2", ctypes.byref(handle))
        self._handle = handle
        self._call("cublasSetStream_v2", handle, stream)
        self._call("cublasSetWorkspace_v2", handle, workspace, size)  # a new stream would undo this
        self._call("cublasSetMathMode", handle, NO_REDUCED_SUMS)
        self._call("cublasSetPointerMode_v2", handle, POINTER_MODE_HOST)
        self._numbers = {
            dtype: (kind(1), kind(0)) for dtype, kind in (("float32", ctypes.c_float), ("float64", ctypes.c_double))
        }

    def _call(self, name: str, *arguments: Any) -> None:
        status = self._functions[name](*arguments)
        if status != 0:
            raise CublasError(f"{name} failed: CUBLAS_STATUS_{STATUS.get(status, status)}")

    @property
    def version(self) -> int:
        """The library's version, as 130000 for 13.0.0."""
        version = _int()
        self._call("cublasGetVersion_v2", self._handle, ctypes.byref(version))
        return version.value

    def multiply(self, gemm: Gemm, first: int, second: int, output: int) -> None:
        """Enqueue a product of matrices at these addresses."""
        one, zero = self._numbers["float64" if gemm.first.dtype == "float64" else "float32"]
        given = [
            self._handle, OP_T if gemm.first.transposed else OP_N, OP_T if gemm.second.transposed else OP_N,
            gemm.m, gemm.n, gemm.k, ctypes.addressof(one),
        ]  # fmt: skip
        ends: list[list[Any]] = [[first], [second], [ctypes.addressof(zero), output]]
        for end, operand in zip(ends, (gemm.first, gemm.second, gemm.output), strict=True):
            end += [DATA_TYPES[operand.dtype], operand.leading, *([operand.stack] if gemm.count > 1 else [])]
            given += end
        if gemm.count > 1:
            self._call("cublasGemmStridedBatchedEx", *given, gemm.count, gemm.compute_type, DEFAULT_ALGORITHM)
        else:
            self._call("cublasGemmEx", *given, gemm.compute_type, DEFAULT_ALGORITHM)

    def close(self) -> None:
        """Give the handle back; nothing may be under way."""
        self._call("cublasDestroy_v2", self._handle)


def _function(library: Any, name: str, types: Sequence[Any]) -> Any:
    function = getattr(library, name)
    function.argtypes, function.restype = list(types), _int
    return function


_handles: WeakKeyDictionary[Any, tuple[Cublas, Any]] = WeakKeyDictionary()
_making = threading.Lock()


def handle_of(device: Any) -> Cublas:
    """Return the handle for a device's stream; the first call, which allocates, must come before any capture.

    Parameters
    ----------
    device : symgrad.backends.cupy.devices.device.Device
        The device.
    """
    with _making:
        found = _handles.get(device)
        if found is None:
            size = HOPPER_WORKSPACE if device.capability >= 90 else WORKSPACE
            memory = device.allocate(size)
            with device.active():
                handle = Cublas(files.load_library("cublas"), int(device.stream.ptr), int(memory.ptr), size)
            found = _handles[device] = handle, memory
        return found[0]
