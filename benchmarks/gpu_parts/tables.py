"""The results of a GPU run as Markdown.

``python -m benchmarks.gpu_parts.tables gpu.json --into docs/performance.md`` writes them to that page.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.gpu_parts.results import Facts, read_json
from benchmarks.gpu_parts.worker import OURS, PEERS
from benchmarks.gpu_parts.workloads import GOALS, Goal
from benchmarks.pages import fill_file
from benchmarks.report import format_time


def rows(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    cells = [headings, ["---"] * len(headings), *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def markdown(document: Facts) -> str:
    """Return the whole document for a reader."""
    parts = document["parts"]
    lines = ["# symgrad on a GPU", place(document)]
    if document["dry_run"]:
        lines.append("**A dry run: tiny sizes, and no GPU. The numbers mean nothing.**")
    lines.append(summary(parts))
    for name, entry in parts.items():
        sections = list(SECTIONS[name](entry["facts"])) if entry["facts"] and name in SECTIONS else []
        if sections:
            lines += [f"## {entry['title']}", *sections]
    return "\n\n".join(lines) + "\n"


def for_page(document: Facts) -> str:
    """Return what the page on performance tells of a run."""
    parts = document["parts"]
    facts = parts.get("peers", {}).get("facts", {})
    return "\n\n".join([place(document), summary(parts), *(_peers_section(facts) if facts else ())])


def place(document: Facts) -> str:
    """Return the device, the libraries and the date, in a sentence each."""
    facts = document["parts"].get("device", {}).get("facts", {})
    smi = facts.get("smi", {})
    name = facts.get("name") or smi.get("name") or "device not examined"
    texts = [name]
    if smi:
        texts.append(f"driver {smi['driver_version']}, {smi['clocks.max.sm']} at the most, {smi['power.limit']}")
    compared = document["parts"].get("peers", {}).get("facts", {})
    libraries = {**facts.get("libraries", {}), **compared.get("versions", {})}
    if "python" in facts:
        libraries = {"Python": facts["python"], **libraries}
    texts.append(", ".join(f"{library} {version}" for library, version in libraries.items()))
    texts.append(document["date"])
    return "; ".join(filter(None, texts)) + "."


def summary(parts: Facts) -> str:
    """Return a table of the parts: how each ended and what it comes to."""
    lines = []
    for name, entry in parts.items():
        word = BRIEFLY[name](entry["facts"]) if entry["facts"] else ""
        lines.append([entry["title"], entry["status"], f"{entry['seconds']:.0f} s", word])
    return rows(["part", "result", "time", ""], lines)


# ---- the parts ------------------------------------------------------------------------------------------------------


def _device_words(facts: Facts) -> str:
    return facts.get("name", "")


def _device_section(facts: Facts) -> Iterator[str]:
    yield f"```\n{facts.get('doctor', '')}\n```"


def _tests_words(facts: Facts) -> str:
    counts = ", ".join(f"{facts[kind]} {kind}" for kind in ("passed", "failed", "skipped") if kind in facts)
    return counts + (f"; {facts['ended']}" if facts.get("failed") == 0 and facts.get("ended") else "")


def _tests_section(facts: Facts) -> Iterator[str]:
    failures = facts.get("failures", {})
    if failures:
        yield "\n".join(f"- failed: `{test}`: {_last_line(reason)}" for test, reason in failures.items())


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def _golden_words(facts: Facts) -> str:
    words = facts.get("trajectories", {})
    return facts.get("why") or f"{sum(word == 'agrees' for word in words.values())} of {len(words)} agree"


def _golden_section(facts: Facts) -> Iterator[str]:
    wrong = {name: word for name, word in facts.get("trajectories", {}).items() if word != "agrees"}
    if wrong:
        yield "\n".join(f"- {name}: {word}" for name, word in wrong.items())


def _train_words(facts: Facts) -> str:
    if "test" not in facts:
        return "not finished"
    return (
        f"{facts['test']:.2%} of the test images after {facts['epochs']} epochs of {facts['examples']} images, "
        f"{facts['seconds_an_epoch']:.2f} s an epoch"
    )


def _train_section(facts: Facts) -> Iterator[str]:
    if "microseconds_a_step" in facts:
        repeated = facts.get("repeat_seconds_an_epoch")
        by_repeat = f", {format_time(repeated)} an epoch by `f.repeat`" if repeated else ""
        yield (
            f"Full network with dropout, batch 10: {facts['microseconds_a_step']:.1f} us a step by calls{by_repeat}. "
            f"The first two steps, with all that is compiled for them, took {facts['first_steps_seconds']:.2f} s."
        )
    for what, same in facts.get("same", {}).items():
        yield f"Trained again ({what}): {'the same bits' if same else '**other bits**'}."
    if "short_runs" in facts:
        yield (
            f"{facts['short_runs']} runs of {facts['short_steps']} steps: {facts['different_runs']} of them ended with "
            "other bits than the first."
        )


def _replays_words(facts: Facts) -> str:
    if "same" not in facts:
        return "not finished"
    found = {True: "the same bits", False: "**other bits**", None: "not finished"}[facts["same"]]
    return f"{facts['disturbed']} replays: {found}"


def _sanitize_words(facts: Facts) -> str:
    return facts.get("why") or ", ".join(f"{tool}: {word}" for tool, word in facts.get("tools", {}).items())


def _peers_words(facts: Facts) -> str:
    measured = [entry for entry in facts.get("workloads", {}).values() if entry.get("medians", {}).get("symgrad")]
    return f"{len(measured)} workloads measured"


def _peers_section(facts: Facts) -> Iterator[str]:
    entries = facts.get("workloads", {})
    if not entries:
        return
    yield (
        "Medians of interleaved rounds, from the host's first call to the end of the device's work. In brackets how "
        "many times as long as symgrad's faster form a peer takes. All use TF32 where the row says so, nowhere else."
    )
    yield time_table(facts)
    if goals := goal_table(facts):
        yield goals
    copies = [f"{int(count):,} float32: {rate / 1e9:.0f} GB/s" for count, rate in facts.get("copy", {}).items()]
    yield f"Copy on the device, bytes read and written: {'; '.join(copies)}."
    remarks = list(_remarks(facts))
    if remarks:
        yield "\n".join(remarks)


def time_table(facts: Facts) -> str:
    """Return the times of all peers, and their ratios to symgrad."""
    titles = facts["titles"]
    peers = [peer for peer in PEERS if peer in titles]
    lines = []
    for entry in facts["workloads"].values():
        medians = entry.get("medians", {})
        own = min((medians[peer] for peer in OURS if peer in medians), default=None)
        cells = [_time_cell(peer, medians, own, entry) for peer in peers]
        lines.append([entry["title"], *cells])
    return rows(["step", *[titles[peer] for peer in peers]], lines)


def _time_cell(peer: str, medians: Facts, own: float | None, entry: Facts) -> str:
    if peer in entry.get("wrong", {}):
        return "**wrong**"
    if peer not in medians:
        return "-"
    ratio = f" ({medians[peer] / own:.2f} x)" if own and peer not in OURS else ""
    rate = f", {entry['flops'] / medians[peer] / 1e12:.1f} TFLOP/s" if entry.get("flops") else ""
    return f"{format_time(medians[peer])}{ratio}{rate}"


def goal_table(facts: Facts) -> str:
    """Return what was to be reached and what was; nothing if no workload has a goal."""
    lines = []
    for name, entry in facts["workloads"].items():
        medians = entry.get("medians", {})
        own = min((medians[peer] for peer in OURS if peer in medians), default=None)
        if name in GOALS and own:
            lines += [[entry["title"], *words] for words in _goals(GOALS[name], own, entry, facts)]
    return rows(["step", "goal", "reached", ""], lines) if lines else ""


def _goals(goal: Goal, own: float, entry: Facts, facts: Facts) -> Iterator[list[str]]:
    """Return goal, what was reached, and whether that is enough."""
    for peer, factor in goal.against:
        if peer in entry["medians"]:
            ratio = entry["medians"][peer] / own
            yield [f"{factor:g} times as fast as {facts['titles'][peer]}", f"{ratio:.2f} x", _word(ratio >= factor)]
    if goal.microseconds is not None:
        yield [f"{goal.microseconds:g} us", f"{own * 1e6:.1f} us", _word(own * 1e6 <= goal.microseconds)]
    copied = facts.get("copy", {})
    if goal.copy_share is not None and copied:
        share = entry["bytes"] / own / next(iter(copied.values()))
        yield [f"{goal.copy_share:.0%} of the copy's bandwidth", f"{share:.0%}", _word(share >= goal.copy_share)]


def _word(reached: bool) -> str:
    return "met" if reached else "**missed**"


def _remarks(facts: Facts) -> Iterator[str]:
    """Return who was left out and why, and who computed something else."""
    for peer, reason in facts.get("left_out", {}).items():
        yield f"- {peer} is left out: {reason}."
    reasons: dict[tuple[str, str], list[str]] = {}
    for name, entry in facts["workloads"].items():
        for kind in ("left_out", "wrong"):
            for peer, reason in entry.get(kind, {}).items():
                reasons.setdefault((peer, reason), []).append(name)
    for (peer, reason), names in reasons.items():
        yield f"- {peer}, {', '.join(names)}: {reason}."


BRIEFLY: dict[str, Callable[[Facts], str]] = {
    "device": _device_words,
    "conformance": _tests_words,
    "golden": _golden_words,
    "train": _train_words,
    "replays": _replays_words,
    "peers": _peers_words,
    "sanitize": _sanitize_words,
}
"""What the table of all parts says of each."""

SECTIONS: dict[str, Callable[[Facts], Iterator[str]]] = {
    "device": _device_section,
    "conformance": _tests_section,
    "golden": _golden_section,
    "train": _train_section,
    "peers": _peers_section,
}
"""What there is to say of a part beyond that."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the results of a run, or write them to a page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_parts.tables", description=__doc__.split("\n")[0])
    parser.add_argument("results", type=Path, help="gpu.json of a run")
    parser.add_argument("--into", type=Path, help="a page with a place for the table gpu: docs/performance.md")
    options = parser.parse_args(arguments)
    document = read_json(options.results)
    if not document:
        parser.error(f"{options.results} holds no results")
    if document["dry_run"] and options.into:
        parser.error("these are the results of a dry run: the numbers mean nothing")
    if options.into:
        fill_file(options.into, {"gpu": for_page(document)})
    else:
        print(markdown(document), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
