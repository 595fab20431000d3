"""Compare the training steps of symgrad and its peers: ``python -m benchmarks.run``."""

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
from benchmarks.harness import LIBRARIES, Comparison, WorkerError, compare
from benchmarks.report import check_table, document, machine_facts, markdown_report
from benchmarks.workloads import WORKLOADS


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), help="steps to run")
    parser.add_argument("--peers", nargs="+", choices=LIBRARIES, help="peers to run (all that are installed)")
    parser.add_argument("--rounds", type=int, default=15, help="how often each peer is timed (%(default)s)")
    parser.add_argument("--block-seconds", type=float, default=0.2, help="how long each time (%(default)s)")
    parser.add_argument("--check-only", action="store_true", help="only check that all compute the same")
    parser.add_argument("--data", help="a full MNIST file (default: SYMGRAD_DATA, then the sample in the package)")
    parser.add_argument("--cpu", type=int, help="the processor to pin all peers to (default: the last one)")
    parser.add_argument("--out", type=Path, help="folder for table.md and results.json")
    parsed = parser.parse_args(arguments)
    if parsed.rounds < 1 or parsed.block_seconds <= 0:
        parser.error("--rounds and --block-seconds must be positive")
    return parsed


def say(line: str) -> None:
    """Print a line of progress, apart from the results."""
    print(line, file=sys.stderr, flush=True)


def default_cpu() -> int | None:
    """Return the last processor this process may use, or None where a process can't be pinned."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def missing_peers(asked: Sequence[str] | None, comparison: Comparison) -> list[str]:
    """Return why peers that were asked for by name didn't run."""
    return [f"{name}: {reason}" for name, reason in comparison.left_out.items() if asked and name in asked]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison and print its table; return the exit status."""
    from symgrad.data import load_mnist

    options = parse(arguments)
    cpu = default_cpu() if options.cpu is None else options.cpu
    machine = machine_facts(cpu)
    (images, labels), *_ = load_mnist(options.data)
    names = [name for name in LIBRARIES if options.peers is None or name in options.peers]
    rounds = 0 if options.check_only else options.rounds
    try:
        comparison = compare(
            [workload for name, workload in WORKLOADS.items() if name in options.only],
            names,
            images,
            labels,
            rounds=rounds,
            block_seconds=options.block_seconds,
            cpu=cpu,
            say=say,
        )
    except (CheckFailure, WorkerError) as failure:
        say(str(failure))
        return 1
    missing = missing_peers(options.peers, comparison)
    for line in missing:
        say(f"asked for, but not available: {line}")
    if not comparison.titles:
        return 1
    settings = {"rounds": rounds, "block_seconds": options.block_seconds, "examples": len(images)}
    facts = document(comparison, machine, settings)
    report = markdown_report(comparison, machine, settings) if rounds else check_table(comparison) + "\n"
    print(report, end="")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "table.md").write_text(report)
        (options.out / "results.json").write_text(json.dumps(facts, indent=1) + "\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
