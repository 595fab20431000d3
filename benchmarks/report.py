"""What a comparison looks like to a reader (one Markdown table) and to a program (one JSON document)."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path
from typing import Any

from benchmarks.harness import Comparison, Result, Samples

BASELINE = "symgrad"


def machine_facts(cpu: int | None) -> dict[str, Any]:
    """Return what the timings depend on: processor, system, Python, load, date.

    Parameters
    ----------
    cpu : int or None
        The processor that the peers are pinned to.
    """
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "pinned_to_cpu": cpu,
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


def baseline_of(comparison: Comparison) -> str:
    """Return the peer that ratios refer to: symgrad, or the first one where symgrad wasn't run."""
    return BASELINE if BASELINE in comparison.titles else next(iter(comparison.titles))


def format_times(median: float, smallest: float, largest: float) -> str:
    """Return a median with its extremes, in the unit that suits the median.

    Examples
    --------
    >>> format_times(20.66e-6, 20e-6, 22.3e-6)
    '20.7 (20.0 - 22.3) us'
    >>> format_times(0.0031891, 0.00312, 0.0112)
    '3.19 (3.12 - 11.20) ms'
    """
    unit, scale = ("us", 1e6) if median < 1e-3 else ("ms", 1e3)
    digits = 2 if median * scale < 10 else 1 if median * scale < 100 else 0
    numbers = [f"{seconds * scale:.{digits}f}" for seconds in (median, smallest, largest)]
    return "{} ({} - {}) {}".format(*numbers, unit)


def _cell(samples: Samples, baseline: Samples) -> str:
    """Return median, smallest and largest round, and the ratio to the baseline."""
    times = format_times(samples.median, min(samples.wall), max(samples.wall))
    return times if samples is baseline else f"{times} **x{samples.median / baseline.median:.2f}**"


def markdown_table(comparison: Comparison) -> str:
    """Return the table: a row for each step, a column for each peer.

    A cell is the median over rounds of the time of a step, its smallest and largest round, and how many times the
    baseline's median it is.
    """
    baseline = baseline_of(comparison)
    header = ["step", *comparison.titles.values()]
    rows = [header, ["---"] * len(header)]
    for result in comparison.results:
        cells = [_cell(result.samples[name], result.samples[baseline]) for name in comparison.titles]
        rows.append([result.workload.title, *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def check_table(comparison: Comparison) -> str:
    """Return the table of the numeric check: each peer's largest relative difference of a cost."""
    header = ["largest relative difference of a cost", *comparison.titles.values()]
    rows = [header, ["---"] * len(header)]
    rows += [
        [result.workload.title, *(f"{result.differences[name]:.1e}" for name in comparison.titles)]
        for result in comparison.results
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def markdown_report(comparison: Comparison, machine: dict[str, Any], settings: dict[str, Any]) -> str:
    """Return the table with what a reader needs to judge it: machine, versions, how it was measured."""
    versions = ", ".join(f"{library} {version}" for library, version in comparison.versions.items())
    baseline = comparison.titles[baseline_of(comparison)]
    method = (
        f"Time of one training step: median (smallest - largest) of {settings['rounds']} interleaved rounds of about "
        f"{settings['block_seconds']} s each, and its ratio to {baseline}. One thread each."
    )
    place = (
        f"{machine['cpu']}, {machine['cores']} cores; Python {machine['python']}; {versions}; {machine['date']}. "
        f"Data: {settings['examples']} training images."
    )
    lines = [markdown_table(comparison), "", method, "", place]
    lines += [f"Left out: {name}, {reason}." for name, reason in comparison.left_out.items()]
    lines += busy_warnings(comparison)
    return "\n".join(lines) + "\n"


def busy_warnings(comparison: Comparison, enough: float = 0.9) -> list[str]:
    """Return a sentence for each row where other programs took a noticeable part of the processor."""
    warnings = []
    for result in comparison.results:
        share = min(samples.processor_share for samples in result.samples.values())
        if share < enough:
            warnings.append(
                f"The machine was busy during {result.workload.name}: a peer had the processor {share:.0%} of its time."
            )
    return warnings


def _result_facts(result: Result, baseline: str) -> dict[str, Any]:
    """Return one row as plain data."""
    peers = {}
    for name, difference in result.differences.items():
        peers[name] = {"largest_cost_difference": difference}
        if name in result.samples:
            samples = result.samples[name]
            peers[name] |= {
                "median_seconds": samples.median,
                "smallest_seconds": min(samples.wall),
                "largest_seconds": max(samples.wall),
                "ratio": samples.median / result.samples[baseline].median,
                "steps_in_a_round": samples.steps,
                "rounds_seconds": samples.wall,
                "processor_share": samples.processor_share,
            }
    return {"title": result.workload.title, "peers": peers}


def document(comparison: Comparison, machine: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Return everything as plain data for JSON; times are seconds a step."""
    baseline = baseline_of(comparison)
    return {
        "machine": machine,
        "versions": comparison.versions,
        "settings": settings,
        "baseline": baseline,
        "left_out": comparison.left_out,
        "workloads": {result.workload.name: _result_facts(result, baseline) for result in comparison.results},
    }
