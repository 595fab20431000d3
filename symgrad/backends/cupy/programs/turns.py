"""Whose turn it is to run a function: that of one thread at a time."""

from __future__ import annotations

import threading


class CudaTurn:
    """What all programs of a function share, so that only one of them runs at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder = 0

    def take(self) -> None:
        """Wait until no call runs, and let none begin."""
        self._lock.acquire()
        self._holder = threading.get_ident()

    def take_now(self) -> bool:
        """Take the turn if nobody has it; return whether that was so."""
        if not self._lock.acquire(blocking=False):
            return False
        self._holder = threading.get_ident()
        return True

    def give_back(self) -> None:
        """Let others have the turn, unless it wasn't taken: an interrupt may have ended the wait for it."""
        if self._holder == threading.get_ident():
            self._holder = 0
            self._lock.release()
