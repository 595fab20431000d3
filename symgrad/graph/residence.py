"""Where values are: on the host as NumPy arrays (or what else a type holds), or on a device as that device's arrays.

Nothing here knows a device. Backends say how one is found, when the first is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from symgrad.config import config
from symgrad.config.devices import resolve_device
from symgrad.graph.source import current_source

HOST = "cpu"


class Device(Protocol):
    """What has arrays of its own. They have ``shape``, ``dtype`` and ``ndim`` as NumPy's."""

    @property
    def name(self) -> str:
        """What settings call it: ``cuda0``."""

    def holds(self, value: Any) -> bool:
        """Whether a value is one of its arrays."""

    def hold(self, array: np.ndarray) -> Any:
        """Return a new array of the device with the values of `array`, which may be changed right after."""

    def upload(self, array: np.ndarray, into: Any = None) -> Any:
        """Write the values of `array` into an array of the device, and return it."""

    def copy(self, array: Any, into: Any = None) -> Any:
        """Return a copy there of an array of any device, in new memory or in that of an array of the same shape."""

    def borrow(self, value: Any) -> Any:
        """Return an array of the device with the values of anything that lies on a device; itself if it's one."""

    def lend(self) -> None:
        """Have others, who are given an array, wait for the work so far, and the device for theirs from now on."""


_find: list[Callable[[str], Device]] = []
_download: list[Callable[[Any], np.ndarray]] = []


def set_devices(find: Callable[[str], Device], download: Callable[[Any], np.ndarray]) -> None:
    """Register how the device of a name is found, and how a value of any device comes to the host.

    Parameters
    ----------
    find : callable
        ``find("cuda0")``; raises `DeviceError` if it can't be used.
    download : callable
        ``download(value)`` returns a new NumPy array.
    """
    _find[:], _download[:] = [find], [download]


def find_device(name: str) -> Device:
    """Return the device of a name such as ``cuda0``.

    Raises
    ------
    DeviceError
        If it can't be used.
    """
    return _find[0](name)


def on_device(value: Any) -> bool:
    """Whether a value lies on a device.

    Examples
    --------
    >>> on_device(np.zeros(3))
    False
    """
    return type(value) is not np.ndarray and hasattr(value, "__cuda_array_interface__")


def on_host(value: Any) -> Any:
    """Return a value on the host: a new array if it lies on a device, else the value itself."""
    return _download[0](value) if on_device(value) else value


def chosen_device(target: str | None = None) -> Device | None:
    """Return where new values go: to `target`, or to the device of the settings; None for the host.

    Raises
    ------
    ConfigError, DeviceError
        If there is no such device, or it can't be used.
    """
    name = config.device if target is None else target
    if name != HOST:
        name = resolve_device() if target is None else resolve_device(target, str(current_source() or "this call"))
    return None if name == HOST else find_device(name)


def placed(value: Any, device: Device | None) -> Any:
    """Return a value where `device` is: a new array if it lies elsewhere, else the value itself.

    Values that aren't arrays, such as sparse matrices, stay on the host.
    """
    if device is None:
        return on_host(value)
    if type(value) is np.ndarray:
        return device.hold(value)
    return device.copy(value) if on_device(value) and not device.holds(value) else value


def replaced(old: Any, new: Any) -> Any:
    """Return what to store in place of a value: `new` where `old` is, in the same memory if that is a device's."""
    if not on_device(old):
        return new
    device = device_of(old)
    fits = new.shape == old.shape and new.dtype == old.dtype
    if on_device(new):
        return device.copy(device.borrow(new), into=old if fits else None)
    return device.upload(new, into=old) if fits else device.hold(new)


def device_of(array: Any) -> Device:
    """Return the device that one of its own arrays lies on."""
    return find_device(f"cuda{array.data.device_id}")


def adopted(
    kind: Any, value: Any, device: Device | None, strict: bool = False, allow_downcast: bool | None = None
) -> Any:
    """Return a value of some device as a type's `convert` would, where `device` is, None being the host.

    Parameters
    ----------
    kind : TensorType
        What it must be.
    value : object
        With ``__cuda_array_interface__``.
    device : Device, optional
        Where it is needed. If it lies there and has the dtype, it is returned itself.
    strict, allow_downcast
        As `convert` takes them.

    Raises
    ------
    DTypeError, ShapeError
        If it doesn't fit.
    """
    if device is not None:
        array = device.borrow(value)
        if array.dtype == kind.numpy_dtype:
            kind.convert(np.broadcast_to(np.zeros((), array.dtype), array.shape))  # checks the sizes
            return array
    return placed(kind.convert(on_host(value), strict, allow_downcast), device)


def lent(value: Any, borrow: bool) -> Any:
    """Return an array of a device for the caller's own use: itself, or a copy."""
    device = device_of(value)
    found = value if borrow else device.copy(value)
    device.lend()
    return found
