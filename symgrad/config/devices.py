"""Whether the device that was asked for is there."""

from __future__ import annotations

import sys
from collections.abc import Callable

from symgrad.config.settings import SETTINGS
from symgrad.errors import DeviceError, render

_said: set[str] = set()


def resolve_device(name: str | None = None, line: str = "") -> str:
    """Return the device that `name` stands for, or raise if it isn't available.

    ``auto`` takes the first GPU if it can be used, else the CPU, and says once on standard error which and why. Any
    other name is either that device or an error: symgrad never changes the device silently.

    Parameters
    ----------
    name : str, optional
        ``cpu``, ``auto``, ``cuda`` or ``cudaN``; None for ``symgrad.config.device``, in which case the error also
        says what set it.
    line : str
        The user's line that names the device, if it isn't a setting; for the error.

    Returns
    -------
    str
        ``cpu``, or ``cudaN``.

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
    location = line
    if name is None:
        from symgrad.config import config  # the package imports this module before it makes the object

        name, location = config.device, f"set by {config.source_of('device')}"
    SETTINGS["device"].parse(name, line)
    if name == "cpu":
        return "cpu"
    if name == "auto":
        problem = device_problem("cuda")
        chosen = "cpu" if problem else "cuda0"
        _say_once(f"symgrad: device=auto chose {chosen}: {problem or 'this GPU can be used'}")
        return chosen
    problem, remedy = _examined(name)
    if not problem:
        return "cuda0" if name == "cuda" else name
    if line:
        raise DeviceError(render(f"{name} isn't available: {problem}", line, remedy=remedy))
    remedy += "\n  Or set device=cpu: symgrad.config.device = 'cpu', or SYMGRAD_FLAGS=device=cpu in the environment."
    raise DeviceError(render(f"device={name} isn't available: {problem}", location, remedy=remedy))


_examine: list[Callable[[int], tuple[str, str]]] = []


def set_examination(examine: Callable[[int], tuple[str, str]]) -> None:
    """Register what tells why the CUDA device of a number can't be used, and what to do; empty texts if it can."""
    _examine[:] = [examine]


def _examined(name: str) -> tuple[str, str]:
    return _examine[0](int(name.removeprefix("cuda") or 0))


def device_problem(name: str) -> str:
    """Return why the device can't be used and what to do, or an empty text if it can. Takes no memory of a GPU.

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
    return ". ".join([text for text in _examined(name) if text]).removesuffix(".")


def _say_once(message: str) -> None:
    if message not in _said:
        _said.add(message)
        print(message, file=sys.stderr)
