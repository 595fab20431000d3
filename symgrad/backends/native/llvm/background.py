"""Runs jobs on a thread of their own: LLVM compiles there while the next kernels are being written.

LLVM needs more time than the writers of kernels, and nothing of Python: on two cores one hides behind the other. And an
interrupt, which always comes to Python's first thread, can't fall into the middle of a job.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread
from types import TracebackType
from typing import Any

Job = Callable[[], Any]


class Background:
    """Runs jobs one after the other on another thread; in a ``with`` block, after which no more are added."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._results: list[Any] = []
        self._error: BaseException | None = None
        self._done = Event()
        self._is_running = False

    def __enter__(self) -> Background:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._jobs.put(None)

    def add(self, job: Job) -> None:
        """Run a job after those that were added before."""
        self._jobs.put(job)
        if not self._is_running:
            try:
                Thread(target=self._work, daemon=True).start()
                self._is_running = True
            except RuntimeError:  # the interpreter is ending, and starts no more threads
                self._jobs.put(None)
                self._work()

    def results(self) -> list[Any]:
        """Add no more; return the results of all jobs, in order, or raise what the first that failed has raised.

        After an interrupt it can be asked again: an event, unlike a thread's end, can be awaited twice.
        """
        self._jobs.put(None)
        if self._is_running:
            self._done.wait()
        if self._error is not None:
            raise self._error
        return self._results

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                if self._error is None:
                    self._results.append(job())
            except BaseException as error:  # it is raised where the results are asked for
                self._error = error
        self._done.set()
