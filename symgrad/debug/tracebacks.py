"""Tracebacks that end on the user's line: symgrad's own frames are hidden unless ``exception_verbosity = high``."""

from __future__ import annotations

import sys
from types import TracebackType

from symgrad.config import config
from symgrad.errors import SymgradError
from symgrad.graph.source import PACKAGE_FOLDER


def without_internal_frames(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames of symgrad itself; unchanged if nothing else would be left."""
    frames = []
    step = trace
    while step is not None:
        code = step.tb_frame.f_code
        if not code.co_filename.startswith((PACKAGE_FOLDER, "<symgrad program")):
            frames.append(step)
        step = step.tb_next
    shortened: TracebackType | None = None
    for step in reversed(frames):
        shortened = TracebackType(shortened, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return shortened or trace


def hide_internal_frames() -> None:
    """Make Python's report of an uncaught symgrad error end on the user's line; other errors are reported as before."""
    previous = sys.excepthook

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, SymgradError) and config.exception_verbosity == "low":
            trace = without_internal_frames(trace)
            error = error.with_traceback(trace)
        previous(kind, error, trace)

    sys.excepthook = report
