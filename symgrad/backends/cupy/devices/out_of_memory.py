"""The error of a GPU that is full: how much was asked for, what takes the room, and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from symgrad.errors import DeviceMemoryError, OperandDescription, render

SHOWN = 5


def out_of_memory(
    requested: int,
    used: int,
    limit: int,
    buffers: Sequence[tuple[str, int, Any]],
    device: str = "the GPU",
    location: str = "",
) -> DeviceMemoryError:
    """Return the error of memory that can't be had.

    Parameters
    ----------
    requested : int
        The bytes that were asked for.
    used : int
        The bytes that this process holds already.
    limit : int
        The most that it may hold.
    buffers : sequence of (str, int, source)
        What the memory is for: name, bytes, and the user's line or None. The five largest are shown.
    device : str
        Its name.
    location : str
        The user's line that asked, if it is one.

    Examples
    --------
    >>> print(out_of_memory(3 << 30, 6 << 30, 8 << 30, [("h", 2 << 30, "net.py:7   h = T.dot(x, w)")], "cuda0"))
    cuda0 is out of memory: 3.00 GiB are asked for, 6.00 GiB are in use, and 8.00 GiB is the limit
        h   2.00 GiB   net.py:7   h = T.dot(x, w)
      Make the batches smaller, keep large values in float16, or let variables go that aren't needed any more. ...
    """
    headline = (
        f"{device} is out of memory: {size_text(requested)} are asked for, {size_text(used)} are in use, "
        f"and {size_text(limit)} is the limit"
    )
    largest = sorted(buffers, key=lambda buffer: -buffer[1])[:SHOWN]
    rows = [OperandDescription(name, size_text(size), str(source or "")) for name, size, source in largest]
    remedy = (
        "Make the batches smaller, keep large values in float16, or let variables go that aren't needed any more. "
        "Nothing has changed: the call may be made again."
    )
    return DeviceMemoryError(render(headline, location, rows, remedy))


def size_text(size: int) -> str:
    """Return a number of bytes as people read it.

    Examples
    --------
    >>> size_text(12), size_text(3 * 2**20), size_text(5 * 2**29)
    ('12 bytes', '3.00 MiB', '2.50 GiB')
    """
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= scale:
            return f"{size / scale:.2f} {unit}"
    return f"{size} bytes"


def requested_bytes(error: Exception) -> int:
    """Return how many bytes CuPy was asked for when it raised its `OutOfMemoryError`; 0 if it doesn't say.

    Examples
    --------
    >>> requested_bytes(MemoryError("Out of memory allocating 1,024 bytes (allocated so far: 0 bytes)."))
    1024
    """
    found = re.search(r"allocating ([0-9,]+) bytes", str(error))
    return int(found[1].replace(",", "")) if found else 0
