"""Results that are kept as they come: a part writes its facts to a file after each step, so that none are lost."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.gpu_parts.children import standing_in

DONE, FAILED, SKIPPED = 0, 1, 3
"""Exit statuses of a part: all is well, it found something wrong, it had nothing to do."""

STATUS_WORDS = {DONE: "done", FAILED: "failed", SKIPPED: "skipped"}

Facts = dict[str, Any]


def write_json(path: Path, facts: Facts) -> None:
    """Write a document, as a whole or not at all."""
    beside = path.with_suffix(f"{path.suffix}.new")
    beside.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    os.replace(beside, path)


def read_json(path: Path) -> Facts:
    """Return what a part has written so far; nothing if it hasn't begun."""
    try:
        facts: Facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts


class Results:
    """The facts of one part, in a file that always holds the latest.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.facts: Facts = {}

    def add(self, **facts: Any) -> None:
        """Add facts, or put new values in place of old ones."""
        self.facts.update(facts)
        write_json(self._path, self.facts)


class Options(argparse.Namespace):
    """What a part is told.

    Attributes
    ----------
    result : Path
        Where it writes its facts.
    seconds : float
        How long it may take.
    dry_run : bool
        Whether everything is tiny.
    only : list of str
        The workloads of the comparison; empty for all.
    """

    result: Path
    seconds: float
    dry_run: bool
    only: list[str]


class Deadline:
    """A moment by which work has to end.

    Parameters
    ----------
    seconds : float
        How far away it is.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until then; negative afterwards."""
        return self._end - time.monotonic()


def run_part(work: Callable[[Options, Results, Deadline], int]) -> int:
    """Parse the command line of a part, do its work, and return its exit status.

    Parameters
    ----------
    work : callable
        ``work(options, results, deadline)`` returns one of `DONE`, `FAILED`, `SKIPPED`.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args(namespace=Options())
    # Asked to end, a part ends as after an error: what it has started is ended too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(FAILED))
    with standing_in():
        return work(options, Results(options.result), Deadline(options.seconds))
