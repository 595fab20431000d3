"""The peers' processes, seen from the comparison: one each, started anew if it is lost."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmarks.check import Record
from benchmarks.gpu_parts.children import GRACE_SECONDS, ROOT, environment
from benchmarks.steps import PeerUnavailable

START_SECONDS = 60.0
CHECK_SECONDS = 30.0
TIME_SECONDS = 20.0

Answer = TypeVar("Answer")


class PeerLost(Exception):
    """A peer's process ended, or its time was up, or what it was asked for failed."""


def peer_environment(dry_run: bool) -> dict[str, str]:
    """Return the environment of the peers: memory as it is needed, and caches of compiled code that last."""
    cache = Path(tempfile.gettempdir(), f"symgrad-benchmark-jax-{os.getuid() if hasattr(os, 'getuid') else 0}")
    return {
        **environment(dry_run),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_ENABLE_X64": "false",
    }


class Worker:
    """A peer's process.

    Parameters
    ----------
    peer : str
        Which.
    data : Path
        The folder with the images.
    tiny : bool
        Whether the workloads are as small as they can be, and there is no GPU.

    Raises
    ------
    PeerUnavailable
        If a library that it needs isn't installed.
    PeerLost
        If it fails in any other way, here or later.
    """

    def __init__(self, peer: str, data: Path, tiny: bool) -> None:
        self.peer, self._data = peer, data
        command = [sys.executable, "-m", "benchmarks.gpu_parts.worker", peer, "--data", str(data)]
        self._process = subprocess.Popen(
            [*command, "--tiny"] if tiny else command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=peer_environment(tiny), cwd=ROOT,
        )  # fmt: skip
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            description = self._receive(START_SECONDS)
        except PeerUnavailable:
            self.close()
            raise
        self.title: str = description["title"]
        self.versions: dict[str, str] = description["versions"]

    def _listen(self) -> None:
        """Take the answers as they come; an empty one says that there are no more."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def close(self) -> None:
        """End the process: no more requests, and it returns; or else it is killed."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def build(self, workload: str, seconds: float) -> None:
        """Build the step of a workload; raises PeerUnavailable if this peer can't."""
        self._ask(seconds, command="build", workload=workload)

    def record(self) -> Record:
        """Run the first steps and return what they did."""
        path = self._data / f"{self.peer}.npz"
        answer = self._ask(CHECK_SECONDS, command="check", path=str(path))
        with np.load(path) as parameters:
            arrays = [parameters[f"arr_{position}"] for position in range(len(parameters.files))]
        path.unlink()
        return Record(answer["costs"], arrays, answer["repeated_costs"])

    def time(self, steps: int) -> tuple[float, float]:
        """Return the seconds of a block of steps, twice: the GPU's time and this process's aren't told apart."""
        seconds: float = self._ask(TIME_SECONDS, command="time", steps=steps)["seconds"]
        return seconds, seconds

    def _ask(self, seconds: float, **request: Any) -> dict[str, Any]:
        """Send a request and return its answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._lost("its process has ended") from error
        return self._receive(seconds)

    def _receive(self, seconds: float) -> dict[str, Any]:
        """Return the next answer."""
        try:
            line = self._lines.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            raise self._lost(f"no answer within {seconds:.0f} s") from None
        if not line:
            raise self._lost("its process ended, its own words are above")
        answer: dict[str, Any] = json.loads(line)
        if "unavailable" in answer:
            raise PeerUnavailable(answer["unavailable"])
        if "error" in answer:
            raise self._lost(answer["error"])  # after an error the GPU's context may be of no use any more
        return answer

    def _lost(self, reason: str) -> PeerLost:
        self.close()
        return PeerLost(reason)


class Crew:
    """All peers' processes; what is lost is started anew for the next workload.

    Parameters
    ----------
    peers : iterable of str
        Who takes part.
    data : Path
        The folder with the images.
    tiny : bool
        Whether the workloads are as small as they can be.

    Attributes
    ----------
    titles, versions : dict of str
        Of those that take part.
    left_out : dict of str
        By peer, why it doesn't.
    """

    def __init__(self, peers: Iterable[str], data: Path, tiny: bool) -> None:
        self._data, self._tiny = data, tiny
        self._workers: dict[str, Worker | None] = {}
        self.titles: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.left_out: dict[str, str] = {}
        names = list(peers)
        for name, worker in self.each(names, self._start).items():
            if isinstance(worker, Worker):
                self._workers[name] = worker
                self.titles[name] = worker.title
                self.versions |= worker.versions
            else:
                self.left_out[name] = worker

    @property
    def names(self) -> list[str]:
        """Those that take part, in order."""
        return list(self._workers)

    def _start(self, name: str) -> Worker:
        return Worker(name, self._data, self._tiny)

    def build(self, workload: str, seconds: float) -> dict[str, str]:
        """Let all build a workload's step at the same time, and return by peer why it can't."""

        def build(name: str) -> str:
            worker = self._workers[name] or self._start(name)
            self._workers[name] = worker
            worker.build(workload, seconds)
            return ""

        found = self.each(self.names, build)
        return {name: reason for name, reason in found.items() if reason}

    def each(self, names: list[str], work: Callable[[str], Answer]) -> dict[str, Answer | str]:
        """Do some work for each peer at the same time, and return by peer what it gave, or why it failed."""

        def attempt(name: str) -> Answer | str:
            try:
                return work(name)
            except PeerUnavailable as reason:
                return str(reason)
            except PeerLost as reason:
                self.lose(name)
                return str(reason)

        with ThreadPoolExecutor(max(len(names), 1)) as pool:
            return dict(zip(names, pool.map(attempt, names), strict=True))

    def worker(self, name: str) -> Worker:
        """Return a peer's process; raises PeerLost if it has none any more."""
        worker = self._workers.get(name)
        if worker is None:
            raise PeerLost("its process has ended")
        return worker

    def lose(self, name: str) -> None:
        """Note that a peer's process has ended."""
        if name in self._workers:
            self._workers[name] = None

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers.values():
            if worker is not None:
                worker.close()
