"""A plugin of pytest that writes each test's outcome to a file as it comes, and ends the run when its time is up.

``PYTEST_PLUGINS=benchmarks.gpu_parts.outcomes pytest --outcomes FILE --seconds-left N``
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

import pytest

from benchmarks.gpu_parts.results import Deadline, Facts

LONGEST_REASON = 600


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's options."""
    parser.addoption("--outcomes", type=Path, help="where the outcomes go, one a line")
    parser.addoption("--seconds-left", type=float, default=1e9, help="after so many seconds no test is begun")


def pytest_configure(config: pytest.Config) -> None:
    """Watch the run; with xdist, from the process that hands out the tests."""
    path = config.getoption("--outcomes")
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Outcomes(path.open("w"), config.getoption("--seconds-left")))


class Outcomes:
    """Writes what becomes of each test."""

    def __init__(self, file: TextIO, seconds: float) -> None:
        self._file, self._deadline = file, Deadline(seconds)
        self._session: pytest.Session | None = None

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Remember what is to be ended."""
        self._session = session

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write a test's outcome: that of its call, or of a setup or teardown that went wrong."""
        if report.when == "call" or report.outcome != "passed":
            reason = "" if report.outcome == "passed" else str(report.longrepr)[-LONGEST_REASON:]
            line = {"test": report.nodeid, "outcome": report.outcome, "seconds": report.duration, "reason": reason}
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        if self._deadline.left < 0 and self._session is not None:
            several = self._session.config.pluginmanager.getplugin("dsession")  # of pytest-xdist
            for session in filter(None, (self._session, several)):
                session.shouldstop = "the time is up"


def read_outcomes(path: Path) -> Facts:
    """Return how many tests passed, failed and were skipped, what failed, and which took longest."""
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    counts = {kind: sum(line["outcome"] == kind for line in lines) for kind in ("passed", "failed", "skipped")}
    slowest = sorted(lines, key=_seconds, reverse=True)[:5]
    return {
        **counts,
        "failures": {line["test"]: line["reason"] for line in lines if line["outcome"] == "failed"},
        "skips": sorted({line["reason"] for line in lines if line["outcome"] == "skipped"}),
        "slowest": {line["test"]: line["seconds"] for line in slowest},
    }


def _seconds(line: Facts) -> float:
    return float(line["seconds"])
