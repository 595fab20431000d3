"""CuPy's errors."""

from __future__ import annotations

MESSAGES = {
    1: ("cudaErrorInvalidValue", "invalid argument"),
    2: ("cudaErrorMemoryAllocation", "out of memory"),
    101: ("cudaErrorInvalidDevice", "invalid device ordinal"),
    400: ("cudaErrorInvalidResourceHandle", "invalid resource handle"),
    600: ("cudaErrorNotReady", "device not ready"),
    700: ("cudaErrorIllegalAddress", "an illegal memory access was encountered"),
    900: ("cudaErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing"),
    901: ("cudaErrorStreamCaptureInvalidated", "operation failed due to a previous error during capture"),
    904: ("cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"),
    906: (
        "cudaErrorStreamCaptureImplicit",
        "operation would make the legacy stream depend on a capturing blocking stream",
    ),
}

DRIVER_MESSAGES = {
    1: ("CUDA_ERROR_INVALID_VALUE", "invalid argument"),
    500: ("CUDA_ERROR_NOT_FOUND", "named symbol not found"),
    700: ("cudaErrorIllegalAddress", "an illegal memory access was encountered"),
    900: ("CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", MESSAGES[900][1]),
}


class CUDARuntimeError(RuntimeError):
    """What a function of CUDA's runtime answers."""

    def __init__(self, status: int) -> None:
        self.status = status
        name, text = MESSAGES[status]
        super().__init__(f"{name}: {text}")


class CUDADriverError(RuntimeError):
    """What a function of CUDA's driver answers."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(": ".join(DRIVER_MESSAGES[status]))


class NVRTCError(RuntimeError):
    """What NVRTC answers."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"NVRTC_ERROR_COMPILATION ({status})")


class OutOfMemoryError(MemoryError):
    """A pool can't get so much memory."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        limited = f", limit set to: {limit:,} bytes" if limit else ""
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes{limited}).")


class MisuseError(AssertionError):
    """Something that a real device wouldn't report, and that is wrong all the same."""
