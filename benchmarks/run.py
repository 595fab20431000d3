"""Compare the steps of symgrad and its peers: ``python -m benchmarks.run``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.check import CheckFailure
from benchmarks.contestants import PEERS, Place, WorkerError, contestants_of
from benchmarks.harness import Comparison, compare
from benchmarks.machine import measure_all
from benchmarks.report import document, machine_facts, markdown_report
from benchmarks.workloads import WORKLOADS

SLOW_TO_COMPILE = ("torch-compile", "pytensor")
"""What ``--quick`` leaves out."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, help="workloads to run (all)")
    parser.add_argument("--all", action="store_true", help="run all workloads, as without --only")
    parser.add_argument("--peers", nargs="+", choices=PEERS, help="peers to run (all that are installed)")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], help="numbers of threads (1 2)")
    parser.add_argument("--rounds", type=int, default=12, help="how often each is timed (%(default)s)")
    parser.add_argument("--block-seconds", type=float, default=0.15, help="how long each time (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, no peer that compiles for long")
    parser.add_argument("--check-only", action="store_true", help="only check that all compute the same")
    parser.add_argument("--backend", default="auto", help="symgrad's backend (%(default)s)")
    parser.add_argument("--peers-python", default=sys.executable, help="the interpreter of all peers but symgrad")
    parser.add_argument("--data", help="a full MNIST file (default: SYMGRAD_DATA, then the sample in the package)")
    parser.add_argument("--cpus", type=int, nargs="+", help="processors, the preferred first (the last ones)")
    parser.add_argument("--out", type=Path, help="folder for tables.md and results.json")
    parsed = parser.parse_args(arguments)
    if parsed.all and parsed.only:
        parser.error("--all and --only exclude each other")
    if parsed.rounds < 1 or parsed.block_seconds <= 0 or min(parsed.threads) < 1:
        parser.error("--rounds, --block-seconds and --threads must be positive")
    return settle(parsed)


def settle(options: argparse.Namespace) -> argparse.Namespace:
    """Fill in what depends on other options."""
    options.asked = options.peers
    options.only = options.only or list(WORKLOADS)
    if options.quick:
        options.rounds, options.block_seconds = min(options.rounds, 5), min(options.block_seconds, 0.05)
    if options.peers is None:
        options.peers = [peer for peer in PEERS if not (options.quick and peer in SLOW_TO_COMPILE)]
    options.cpus = default_cpus() if options.cpus is None else options.cpus
    return options


def say(line: str) -> None:
    """Print a line of progress, apart from the results."""
    print(line, file=sys.stderr, flush=True)


def default_cpus() -> list[int]:
    """Return the processors this process may use, the last one first; none where a process can't be pinned."""
    return sorted(os.sched_getaffinity(0), reverse=True) if hasattr(os, "sched_getaffinity") else []


def missing_peers(asked: Sequence[str] | None, comparison: Comparison) -> list[str]:
    """Return why peers that were asked for by name didn't run."""
    return [f"{name}: {reason}" for name, reason in comparison.left_out.items() if asked and name in asked]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison and print its tables; return the exit status."""
    from symgrad.data import load_mnist

    options = parse(arguments)
    machine = machine_facts(options.cpus)
    (images, labels), *_ = load_mnist(options.data)
    rounds = 0 if options.check_only else options.rounds
    say("measuring the machine")
    limits = measure_all(options.threads, options.cpus) if rounds else {}
    try:
        comparison = compare(
            [workload for name, workload in WORKLOADS.items() if name in options.only],
            contestants_of(options.peers, options.threads),
            images,
            labels,
            rounds=rounds,
            block_seconds=options.block_seconds,
            place=Place(Path(), tuple(options.cpus), options.backend, options.peers_python),
            say=say,
        )
    except (CheckFailure, WorkerError) as failure:
        say(str(failure))
        return 1
    missing = missing_peers(options.asked, comparison)
    for line in missing:
        say(f"asked for, but not available: {line}")
    if not comparison.titles:
        return 1
    settings = {"rounds": rounds, "block_seconds": options.block_seconds, "examples": len(images)}
    facts = document(comparison, machine, limits, settings)
    report = markdown_report(facts)
    print(report, end="")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "tables.md").write_text(report)
        (options.out / "results.json").write_text(json.dumps(facts, indent=1) + "\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
