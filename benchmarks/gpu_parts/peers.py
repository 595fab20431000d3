"""The comparison: each workload is built by all peers, checked against one of them, and timed in interleaved rounds."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.check import CheckFailure, Record
from benchmarks.expressions import Expression
from benchmarks.gpu_parts.agreement import disagreement
from benchmarks.gpu_parts.bandwidth import copy_rates
from benchmarks.gpu_parts.crew import Crew, PeerLost
from benchmarks.gpu_parts.results import DONE, FAILED, Deadline, Facts, Options, Results, run_part
from benchmarks.gpu_parts.worker import OURS, PEERS
from benchmarks.gpu_parts.workloads import workloads
from benchmarks.harness import calibrate
from benchmarks.work import work_of

ROUNDS = 7
FEWEST_ROUNDS = 3
BLOCK_SECONDS = 0.06
BUILD_SECONDS = 45.0
"""How long a peer may take for one workload's step."""

LEAST_SECONDS = 15.0
"""A workload that has less time left than this isn't begun."""

REFERENCES = ("torch", "jax", "torch-graphed", "symgrad")
"""What the others are checked against: the first of these that takes part."""

EXAMPLES = 20_000
"""So many training images at the most: each peer keeps its own on the device."""


def compare(options: Options, results: Results, deadline: Deadline) -> int:
    """Compare the peers on every workload that there is time for."""
    results.add(copy=copy_rates(options.dry_run))
    works = workloads(options.dry_run)
    names = [name for name in works if not options.only or name in options.only]
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), options.dry_run)
        crew = Crew(PEERS, Path(folder), options.dry_run)
        try:
            results.add(titles=crew.titles, versions=crew.versions, left_out=crew.left_out, workloads={})
            for name in names:
                if deadline.left < LEAST_SECONDS:
                    entry: Facts = {"title": works[name].title, "left_out": {"all": "no time was left"}}
                else:
                    entry = measure(name, works[name], crew, deadline, options.dry_run)
                results.add(workloads={**results.facts["workloads"], name: entry})
        finally:
            crew.close()
    return DONE if is_well(results.facts) else FAILED


def write_images(folder: Path, tiny: bool) -> None:
    """Write the training images where the peers find them."""
    from symgrad.data import load_mnist

    images, labels = load_mnist()[0]
    count = 60 if tiny else EXAMPLES
    np.save(folder / "images.npy", np.ascontiguousarray(images[:count]))
    np.save(folder / "labels.npy", np.ascontiguousarray(labels[:count]))


def measure(name: str, work: Any, crew: Crew, deadline: Deadline, tiny: bool) -> Facts:
    """Build, check and time one workload, and return what was found."""
    print(f"  {name}", file=sys.stderr, flush=True)
    left_out = crew.build(name, min(BUILD_SECONDS, deadline.left))
    records: dict[str, Record] = {}
    for peer in [peer for peer in crew.names if peer not in left_out]:
        try:
            records[peer] = crew.worker(peer).record()
        except PeerLost as reason:
            crew.lose(peer)
            left_out[peer] = str(reason)
    differences, wrong = agreement_of(work, records)
    # Five rounds are enough where time is short.
    rounds = 2 if tiny else ROUNDS if deadline.left > 60 else 5
    blocks = interleaved(crew, [peer for peer in records if peer not in wrong], rounds, left_out, deadline, tiny)
    return {
        "title": work.title,
        "flops": getattr(work, "flops", 0),
        "bytes": work_of(work).bytes if isinstance(work, Expression) else 0,
        "differences": differences,
        "wrong": wrong,
        "left_out": left_out,
        "steps": {peer: steps for peer, (steps, _) in blocks.items()},
        "seconds": {peer: seconds for peer, (_, seconds) in blocks.items()},
        "medians": {peer: median(seconds) for peer, (_, seconds) in blocks.items() if seconds},
    }


def agreement_of(work: Any, records: Mapping[str, Record]) -> tuple[dict[str, float], dict[str, str]]:
    """Return by peer its difference from the reference, and what is wrong with those that don't agree."""
    reference = next((peer for peer in REFERENCES if peer in records), None)
    differences: dict[str, float] = {}
    wrong: dict[str, str] = {}
    for peer, record in records.items() if reference else ():
        try:
            differences[peer] = disagreement(work, record, records[reference or ""])
        except CheckFailure as failure:
            wrong[peer] = f"not what {reference} computes: {failure}"
    return differences, wrong


def interleaved(
    crew: Crew, peers: list[str], rounds: int, left_out: dict[str, str], deadline: Deadline, tiny: bool
) -> dict[str, tuple[int, list[float]]]:
    """Time every peer once in each round, in order, and return the steps of a block and the seconds of each step.

    Where the time is up, three rounds have to do.
    """
    blocks: dict[str, tuple[int, list[float]]] = {}
    for number in range(rounds + 1):
        if number > FEWEST_ROUNDS and deadline.left < 0:
            break
        for peer in peers:
            if peer in left_out:
                continue
            try:
                worker = crew.worker(peer)
                if not number:
                    blocks[peer] = (2 if tiny else calibrate(worker, BLOCK_SECONDS)), []
                    continue
                steps, seconds = blocks[peer]
                seconds.append(worker.time(steps)[0] / steps)
            except PeerLost as reason:
                crew.lose(peer)
                left_out[peer] = str(reason)
    return blocks


def is_well(facts: Facts) -> bool:
    """Whether symgrad did every workload that was begun, and did it right."""
    for entry in facts["workloads"].values():
        if "all" in entry["left_out"]:
            continue
        for peer in OURS[:1]:
            if peer in entry["left_out"] or peer in entry["wrong"]:
                return False
    return "symgrad" in facts["titles"]


if __name__ == "__main__":
    raise SystemExit(run_part(compare))
