"""Lets the peers that compile for long build every workload once, so that their caches are full when they are timed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.gpu_parts.crew import PeerLost, Worker
from benchmarks.gpu_parts.peers import BUILD_SECONDS, write_images
from benchmarks.gpu_parts.workloads import workloads
from benchmarks.steps import PeerUnavailable

SLOW_TO_COMPILE = {"torch-compile": 3, "jax": 1, "jax-loop": 1}
"""How many processes each of these peers gets."""


def prepare(peer: str, names: Sequence[str], folder: Path) -> None:
    """Build workloads in one process; what fails here fails again, and is told, when it is timed."""
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


def main(folder: Path, only: Sequence[str]) -> None:
    """Prepare all peers at the same time; the folder gets the images."""
    names = [name for name in workloads(tiny=False) if not only or name in only]
    write_images(folder, tiny=False)
    tasks = [(peer, names[k::count]) for peer, count in SLOW_TO_COMPILE.items() for k in range(count)]
    with ThreadPoolExecutor(len(tasks)) as pool:
        for task in tasks:
            pool.submit(prepare, *task, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
