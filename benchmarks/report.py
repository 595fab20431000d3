"""What a comparison looks like to a program (one JSON document) and to a reader (Markdown tables made from it).

``python -m benchmarks.report results.json`` prints the tables of a run again.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.contestants import OURS
from benchmarks.goals import GOALS
from benchmarks.harness import Comparison, Result, Samples
from benchmarks.machine import table as limits_table
from benchmarks.pages import fill_file
from benchmarks.work import Work, work_of

Facts = dict[str, Any]
"""The document, or a part of it."""

THREADS = (1, 2)


def machine_facts(cpus: Sequence[int]) -> Facts:
    """Return what the timings depend on: processor, system, Python, load, date.

    Parameters
    ----------
    cpus : sequence of int
        The processors that the contestants are pinned to.
    """
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "pinned_to_cpus": list(cpus),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _cpu_model() -> str:
    """Return the processor's name, with family and model where the system tells them."""
    description = Path("/proc/cpuinfo")
    if not description.exists():
        return platform.processor() or platform.machine()
    pairs = (line.partition(":") for line in description.read_text().split("\n\n")[0].splitlines())
    fields = {key.strip(): value.strip() for key, _, value in pairs}
    name = fields.get("model name", platform.machine())
    if "cpu family" not in fields:
        return name
    return f"{name} (family {fields['cpu family']}, model {fields.get('model', '?')})"


# ---- the document ---------------------------------------------------------------------------------------------------


def _sample_facts(samples: Samples) -> Facts:
    """Return what was measured for one contestant."""
    return {
        "median_seconds": samples.median,
        "smallest_seconds": min(samples.wall),
        "largest_seconds": max(samples.wall),
        "steps_in_a_round": samples.steps,
        "rounds_seconds": samples.wall,
        "processor_share": samples.processor_share,
    }


def _result_facts(result: Result) -> Facts:
    """Return one workload as plain data."""
    work = work_of(result.workload)
    contestants = []
    for contestant, difference in result.differences.items():
        facts = {"peer": contestant.peer, "threads": contestant.threads, "largest_difference": difference}
        if contestant in result.samples:
            facts |= _sample_facts(result.samples[contestant])
        contestants.append(facts)
    return {
        "title": result.workload.title,
        "flops": work.flops,
        "functions": work.functions,
        "bytes": work.bytes,
        "contestants": contestants,
        "left_out": result.left_out,
    }


def document(comparison: Comparison, machine: Facts, limits: Facts, settings: Facts) -> Facts:
    """Return everything as plain data for JSON; times are seconds a step."""
    return {
        "machine": machine,
        "limits": limits,
        "versions": comparison.versions,
        "settings": settings,
        "titles": comparison.titles,
        "left_out": comparison.left_out,
        "workloads": {result.workload.name: _result_facts(result) for result in comparison.results},
    }


# ---- cells ----------------------------------------------------------------------------------------------------------


def format_time(seconds: float) -> str:
    """Return a time in the unit that suits it, with three digits.

    Examples
    --------
    >>> format_time(20.66e-6), format_time(0.0031891), format_time(0.1192)
    ('20.7 us', '3.19 ms', '119 ms')
    """
    value, unit = (seconds * 1e6, "us") if seconds < 1e-3 else (seconds * 1e3, "ms")
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f} {unit}"


def _find(workload: Facts, peer: str, threads: int) -> Facts | None:
    """Return a contestant that was timed, or None."""
    found = (c for c in workload["contestants"] if (c["peer"], c["threads"]) == (peer, threads))
    contestant = next(found, None)
    return contestant if contestant and "median_seconds" in contestant else None


def fastest_peer(workload: Facts) -> Facts | None:
    """Return the contestant with the smallest median among all that aren't symgrad."""
    timed = [c for c in workload["contestants"] if c["peer"] not in OURS and "median_seconds" in c]
    return min(timed, key=_median, default=None)


def _median(contestant: Facts) -> float:
    return float(contestant["median_seconds"])


def _rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# ---- tables ---------------------------------------------------------------------------------------------------------


def goal_table(facts: Facts) -> str:
    """Return the table of goals: the fastest peer, and how many times as fast symgrad is with 1 and with 2 threads."""
    header = ["step", "fastest peer", "its time"]
    for threads in THREADS:
        suffix = f", {threads} thread{'s' * (threads > 1)}"
        header += [f"symgrad{suffix}", f"repeat{suffix}", "goal"]
    rows = []
    for name, workload in facts["workloads"].items():
        peer = fastest_peer(workload)
        if peer is None:
            continue
        row = [workload["title"], f"{facts['titles'][peer['peer']]}, {peer['threads']}", format_time(_median(peer))]
        for threads in THREADS:
            row += _goal_cells(name, workload, _median(peer), threads)
        rows.append(row)
    return _rows(header, rows)


def _goal_cells(name: str, workload: Facts, peer_seconds: float, threads: int) -> list[str]:
    """Return symgrad's time and ratio, the same for many steps in one call, and the goal with its verdict."""
    cells, ratios = [], []
    for peer in OURS:
        ours = _find(workload, peer, threads)
        if ours is None:
            cells.append("")
            continue
        ratios.append(peer_seconds / _median(ours))
        cells.append(f"{format_time(_median(ours))}, **{ratios[-1]:.2f} x**")
    goal = GOALS[name].with_threads(threads) if name in GOALS else None
    if goal is None or not ratios:
        return [*cells, ""]
    return [*cells, f"{goal:g} x, {'met' if max(ratios) >= goal else '**missed**'}"]


def peer_table(facts: Facts) -> str:
    """Return the table of all peers: each with its better number of threads, and symgrad."""
    titles = facts["titles"]
    rows = []
    for workload in facts["workloads"].values():
        row = [workload["title"]]
        for peer in titles:
            timed = [c for c in (_find(workload, peer, threads) for threads in THREADS) if c]
            best = min(timed, key=_median, default=None)
            row.append(f"{format_time(_median(best))} ({best['threads']})" if best else "-")
        rows.append(row)
    return _rows(["step", *titles.values()], rows)


def machine_table(facts: Facts) -> str:
    """Return the table of the machine's measured limits."""
    return limits_table(facts["limits"])


def limit_table(facts: Facts) -> str:
    """Return how far symgrad is from the machine's limits: work, the time that the limits allow, and its share."""
    header = ["step", "Mflop", "MB", "bound by"]
    for threads in THREADS:
        suffix = f", {threads} thread{'s' * (threads > 1)}"
        header += [f"at the limit{suffix}", f"share reached{suffix}"]
    rows = []
    for workload in facts["workloads"].values():
        work = Work(workload["flops"], workload["functions"], workload["bytes"])
        limits = facts["limits"]
        bound = work.bound(limits["1"]) if "1" in limits else ""
        row = [workload["title"], f"{work.flops / 1e6:.1f}", f"{work.bytes / 1e6:.2f}", bound]
        for threads in THREADS:
            row += _limit_cells(workload, work, limits, threads)
        rows.append(row)
    return _rows(header, rows)


def _limit_cells(workload: Facts, work: Work, limits: Facts, threads: int) -> list[str]:
    """Return the time at the limit, and what share of the limit symgrad's faster form reaches."""
    if str(threads) not in limits:
        return ["", ""]
    allowed = work.seconds_at(limits[str(threads)])
    ours = [c for c in (_find(workload, peer, threads) for peer in OURS) if c]
    share = f"{allowed / min(map(_median, ours)):.0%}" if ours else ""
    return [format_time(allowed), share]


def check_table(facts: Facts) -> str:
    """Return the table of the numeric check: each peer's largest relative difference from the reference."""
    titles = facts["titles"]
    rows = []
    for workload in facts["workloads"].values():
        row = [workload["title"]]
        for peer in titles:
            differences = [c["largest_difference"] for c in workload["contestants"] if c["peer"] == peer]
            row.append(f"{max(differences):.1e}" if differences else "-")
        rows.append(row)
    return _rows(["largest relative difference", *titles.values()], rows)


def busy_warnings(facts: Facts, enough: float = 0.9) -> list[str]:
    """Return a sentence that names the workloads where other programs took a noticeable part of the processor."""
    busy = []
    for name, workload in facts["workloads"].items():
        timed = [c for c in workload["contestants"] if "processor_share" in c and c["threads"] == 1]
        share = min((c["processor_share"] for c in timed), default=1.0)
        if share < enough:
            busy.append(f"{name} ({share:.0%})")
    return [f"The machine was busy; a peer had only a part of its processor during {', '.join(busy)}."] if busy else []


def place_text(facts: Facts) -> str:
    """Return where and with what a run was made, in one sentence each."""
    machine, settings = facts["machine"], facts["settings"]
    versions = ", ".join(f"{library} {version}" for library, version in facts["versions"].items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores; Python {machine['python']}; {versions}; {machine['date']}. "
        f"Data: {settings['examples']} training images."
    )


def markdown_report(facts: Facts) -> str:
    """Return all tables with what a reader needs to judge them: machine, versions, how it was measured."""
    settings = facts["settings"]
    if not settings["rounds"]:
        return check_table(facts) + "\n"
    method = (
        f"Medians of {settings['rounds']} interleaved rounds of about {settings['block_seconds']} s each; a peer that "
        "took more than twice as long as the fastest one was left alone after three. The number after a peer is its "
        "better number of threads."
    )
    parts = [goal_table(facts), method, place_text(facts), peer_table(facts)]
    if facts["limits"]:
        parts += [machine_table(facts), limit_table(facts)]
    parts += ["\n".join(_left_out(facts))] if _left_out(facts) else []
    parts += busy_warnings(facts)
    return "\n\n".join(parts) + "\n"


def _left_out(facts: Facts) -> list[str]:
    """Return a sentence for each peer that didn't take part, or not everywhere."""
    lines = [f"Left out: {name}, {reason}." for name, reason in facts["left_out"].items()]
    reasons: dict[tuple[str, str], list[str]] = {}
    for name, workload in facts["workloads"].items():
        for peer, reason in workload["left_out"].items():
            reasons.setdefault((peer, reason), []).append(name)
    return lines + [f"{peer} left out of {', '.join(names)}: {reason}." for (peer, reason), names in reasons.items()]


TABLES = {
    "all": markdown_report,
    "goals": goal_table,
    "peers": peer_table,
    "machine": machine_table,
    "limits": limit_table,
    "check": check_table,
    "place": place_text,
}
"""What ``--table`` takes."""

PAGE_TABLES = ("goals", "peers", "machine", "limits", "place")
"""What ``--into`` writes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables of a run, or write them to a page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__.split("\n")[0])
    parser.add_argument("results", type=Path, help="results.json of a run")
    parser.add_argument("--table", choices=TABLES, default="all", help="which table to print (%(default)s)")
    parser.add_argument("--into", type=Path, help="a page whose tables are written anew: docs/performance.md")
    options = parser.parse_args(arguments)
    facts = json.loads(options.results.read_text())
    if options.into:
        fill_file(options.into, {name: TABLES[name](facts) for name in PAGE_TABLES})
    else:
        print(TABLES[options.table](facts).rstrip("\n"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
