"""Whose turn it is to run a function: that of one thread at a time."""

from __future__ import annotations

import ctypes
import time
from functools import cache
from typing import Any

import numpy as np

from symgrad.backends.native.entries import runtime
from symgrad.backends.native.records import Turn

WAIT = 5e-5


class NativeTurn:
    """What all programs of a function share, so that only one of them runs at a time.

    A call that the native entry answers takes the turn by itself, if it lets other Python threads run at all. A call
    that goes through Python holds the function's lock first; then it waits for the turn, so no other call runs,
    through Python or natively, until it gives the turn back.
    """

    def __init__(self) -> None:
        self._word = np.zeros(1, np.int64)
        self.address = int(self._word.ctypes.data)

    def take(self) -> None:
        """Wait until no call runs natively, and let none begin. The caller holds the function's lock."""
        while not _take_turn()(self.address):
            time.sleep(WAIT)

    def give_back(self) -> None:
        """Let others have the turn, unless it wasn't taken: an interrupt may have ended the wait for it."""
        if self._word[0] == Turn.TAKEN:
            self._word[0] = Turn.FREE


@cache
def _take_turn() -> Any:
    """Return the native function; it keeps Python's global lock, so nothing comes between its look and its store."""
    return ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(runtime()["symgrad_take_turn"])
