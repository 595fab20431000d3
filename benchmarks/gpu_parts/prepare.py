"""Lets the peers that compile for long build every workload once, so that their caches are full when they are timed."""

from __future__ import annotations

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.gpu_parts.crew import PeerLost, Worker
from benchmarks.gpu_parts.peers import BUILD_SECONDS, write_images
from benchmarks.gpu_parts.workloads import workloads
from benchmarks.steps import PeerUnavailable

SLOW_TO_COMPILE = ("torch-compile", "jax", "jax-loop")


def prepare(peer: str, names: list[str], folder: Path) -> None:
    """Build the workloads in one process; what fails here fails again, and is told, when it is timed."""
    worker: Worker | None = None
    for name in names:
        try:
            worker = worker or Worker(peer, folder, tiny=False)
            worker.build(name, BUILD_SECONDS)
        except PeerUnavailable:
            continue
        except PeerLost:
            worker = None
    if worker is not None:
        worker.close()


def main(only: list[str]) -> None:
    """Prepare all peers at the same time."""
    names = [name for name in workloads(tiny=False) if not only or name in only]
    with tempfile.TemporaryDirectory() as text, ThreadPoolExecutor(len(SLOW_TO_COMPILE)) as pool:
        folder = Path(text)
        write_images(folder, tiny=False)
        list(pool.map(prepare, SLOW_TO_COMPILE, [names] * len(SLOW_TO_COMPILE), [folder] * len(SLOW_TO_COMPILE)))


if __name__ == "__main__":
    main(sys.argv[1:])
