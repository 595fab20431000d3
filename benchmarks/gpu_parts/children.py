"""Processes of their own: started with the environment they need, ended with all that they started."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

VARIABLE = "SYMGRAD_GPU"
"""The environment variable that says where CUDA programs run: ``real``, or on what stands in for a GPU: ``shim``."""

LAST_LINES = 40
"""So many lines of what a process printed are kept."""

GRACE_SECONDS = 3.0
"""How long a process may take to end once it was asked to."""


@dataclass(frozen=True)
class Ending:
    """How a process ended.

    Attributes
    ----------
    status : int or None
        Its exit status, negative for a signal; None if its time was up.
    printed : str
        The last lines of its output and errors.
    """

    status: int | None
    printed: str

    @property
    def words(self) -> str:
        """How it ended, in a few words; nothing if it ended as it should."""
        if self.status is None:
            return "its time was up"
        if self.status < 0:
            return f"it was ended by {signal.Signals(-self.status).name}"
        return f"it ended with status {self.status}" if self.status else ""


def environment(dry_run: bool = False) -> dict[str, str]:
    """Return the environment of processes in which symgrad runs on the GPU; in a dry run, on what stands in for it.

    Parameters
    ----------
    dry_run : bool
        Whether there is no GPU.
    """
    folders = [str(ROOT), *([str(ROOT / "tests")] if dry_run else []), os.environ.get("PYTHONPATH", "")]
    flags = [os.environ.get("SYMGRAD_FLAGS", ""), "device=cuda"]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, folders)),
        "PYTHONUNBUFFERED": "1",
        "SYMGRAD_FLAGS": ",".join(filter(None, flags)),
        VARIABLE: "shim" if dry_run else "real",
    }


@contextmanager
def standing_in() -> Iterator[None]:
    """Let a package of the tests stand in for CuPy, in a process that was started for a dry run."""
    if os.environ.get(VARIABLE) != "shim":
        yield
        return
    fake = importlib.import_module("gpu.shim.fake_cupy")
    with fake.fake_devices():
        yield


def run_child(
    command: Sequence[str],
    seconds: float,
    env: Mapping[str, str] | None = None,
    echo: bool = False,
    grace: float = GRACE_SECONDS,
) -> Ending:
    """Run a process until it ends or its time is up; then everything that it started is ended too.

    Parameters
    ----------
    command : sequence of str
        What is run, in the repository's root.
    seconds : float
        How long it may take.
    env : mapping, optional
        Its environment, by default this process's.
    echo : bool
        Whether its output goes to standard error as well, as it comes.
    grace : float
        How long it may take to end what it has started itself, once its time is up.
    """
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, cwd=ROOT,
        text=True, errors="replace", start_new_session=True,
    )  # fmt: skip
    lines: deque[str] = deque(maxlen=LAST_LINES)
    listener = threading.Thread(target=_listen, args=(process, lines, echo), daemon=True)
    listener.start()
    try:
        status: int | None = process.wait(seconds)
    except subprocess.TimeoutExpired:
        status = None
    finally:
        end_group(process, grace)
    listener.join(GRACE_SECONDS)
    return Ending(status, "".join(lines).rstrip())


def _listen(process: subprocess.Popen[str], lines: deque[str], echo: bool) -> None:
    """Keep the lines that a process prints."""
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            lines.append(line)
            if echo:
                print(line, end="", file=sys.stderr, flush=True)


def end_group(process: subprocess.Popen[str], grace: float = GRACE_SECONDS) -> None:
    """End a process that leads a session of its own, and all that is left of its session."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
