"""Whether the device that was asked for is there."""

from __future__ import annotations

import importlib.util
import sys

from symgrad.config.settings import SETTINGS
from symgrad.errors import DeviceError, render

_said: set[str] = set()


def resolve_device(name: str | None = None) -> str:
    """Return the device that `name` stands for, or raise if it isn't available.

    ``auto`` takes the CPU when there is no GPU to run on, and says so once on standard error. Any other name is
    either that device or an error: symgrad never changes the device silently.

    Parameters
    ----------
    name : str, optional
        ``cpu``, ``auto``, ``cuda`` or ``cudaN``; None for ``symgrad.config.device``, in which case the error also
        says what set it.

    Returns
    -------
    str
        ``cpu``; a version with a CUDA backend also returns ``cudaN``.

    Raises
    ------
    DeviceError
        If the device isn't available; says why and what to do.
    ConfigError
        If `name` isn't the name of a device.

    Examples
    --------
    >>> resolve_device("cpu")
    'cpu'
    """
    location = ""
    if name is None:
        from symgrad.config import config  # the package imports this module before it makes the object

        name, location = config.device, f"set by {config.source_of('device')}"
    SETTINGS["device"].parse(name)
    if name == "cpu":
        return "cpu"
    problem = device_problem("cuda" if name == "auto" else name)
    if name == "auto":
        _say_once(f"symgrad: device=auto chose cpu: {problem}")
        return "cpu"
    remedy = "Set device=cpu: symgrad.config.device = 'cpu', or SYMGRAD_FLAGS=device=cpu in the environment."
    raise DeviceError(render(f"device={name} isn't available: {problem}", location, remedy=remedy))


def device_problem(name: str) -> str:
    """Return why the device can't be used, or an empty text if it can. Imports nothing.

    Parameters
    ----------
    name : str
        ``cpu``, ``cuda`` or ``cudaN``.

    Examples
    --------
    >>> device_problem("cpu")
    ''
    """
    if name == "cpu":
        return ""
    cupy = "CuPy is installed, but" if importlib.util.find_spec("cupy") else "CuPy isn't installed, and"
    return f"{cupy} this version of symgrad has no CUDA backend yet"


def _say_once(message: str) -> None:
    if message not in _said:
        _said.add(message)
        print(message, file=sys.stderr)
