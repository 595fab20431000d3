"""What a device gives out: loaded kernels, captured work, numbers of its memory, the context in which it is current."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any

PLAIN_SHARED_BYTES = 48 * 1024
"""The shared memory that every kernel may have without asking."""


@dataclass(frozen=True)
class Memory:
    """Bytes of a device.

    Attributes
    ----------
    used : int
        What arrays of this process hold.
    kept : int
        What the process has taken from the device: arrays, and what CuPy keeps to use again.
    limit : int
        The most that the process may take; 0 for all that there is.
    free, total : int
        What all processes leave, and what there is.
    """

    used: int
    kept: int
    limit: int
    free: int
    total: int


class Function:
    """A kernel that is loaded, as `Device.kernels` gives it and `Device.launch` takes it."""

    __slots__ = ("loaded", "shared_bytes")

    def __init__(self, loaded: Any) -> None:
        self.loaded = loaded
        self.shared_bytes = PLAIN_SHARED_BYTES


class Graph:
    """Work that was captured, to be launched as one."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._captured: Any = None

    def take(self, captured: Any) -> None:
        """Take what the capture gave."""
        self._captured = captured

    def launch(self) -> None:
        """Enqueue all of it on the device's stream."""
        self._captured.launch(self._stream)


class Active:
    """The context in which a device and its stream are CuPy's current ones."""

    __slots__ = ("_device", "_stream")

    def __init__(self, device: Any) -> None:
        self._device = device.cupy.cuda.Device(device.number)
        self._stream = device.stream

    def __enter__(self) -> None:
        self._device.__enter__()
        self._stream.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.__exit__(kind, error, trace)
        self._device.__exit__(kind, error, trace)
