"""All checks and benchmarks that need a GPU, in one command: ``python benchmarks/gpu.py --all``.

It needs a CUDA machine with Python, CuPy, NumPy, SciPy, llvmlite, networkx, pytest and hypothesis; PyTorch and JAX take
part in the comparison where they are installed. symgrad itself is taken from this checkout. Each part is a process with
a time limit of its own, and what it finds is kept as it comes, so that a crash loses nothing else. The results are
``gpu.json`` and ``gpu.md`` in the folder that ``--out`` names. All parts together take less than eight minutes.
"""

from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.gpu_parts.children import ROOT, Ending, end_group, environment, run_child
from benchmarks.gpu_parts.parts import LEAST_SECONDS, PARTS, TOTAL_SECONDS, Part
from benchmarks.gpu_parts.results import FAILED, STATUS_WORDS, Facts, read_json, write_json
from benchmarks.gpu_parts.tables import markdown
from benchmarks.gpu_parts.workloads import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

PROBLEM = "from symgrad.config import device_problem; print(device_problem('cuda'), end='')"
PROBLEM_SECONDS = 60.0

GRACE_SECONDS = 8.0
"""So long a part may take to end what it has started, once its time is up."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(prog="python benchmarks/gpu.py", description=__doc__.split("\n")[0])
    parser.add_argument("--all", action="store_true", help="all parts")
    for part in PARTS.values():
        parser.add_argument(f"--{part.name}", action="store_true", help=f"{part.help} (at most {part.seconds:.0f} s)")
    parser.add_argument(
        "--only", nargs="+", choices=NAMES, default=[], metavar="NAME", help=f"of --peers, these: {', '.join(NAMES)}"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("gpu-results"), help="folder for gpu.json and gpu.md (%(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=TOTAL_SECONDS, help="for all parts together (%(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="try the command itself: tiny sizes, no GPU")
    options = parser.parse_args(arguments)
    chosen = [name for name in PARTS if options.all or getattr(options, name)]
    if options.only and not options.all:
        chosen = list(dict.fromkeys([*chosen, "peers"]))
    if not chosen:
        parser.error(f"say which parts: --all, or some of {', '.join(f'--{name}' for name in PARTS)}, or --only NAME")
    options.parts = [PARTS[name] for name in chosen]
    return options


def say(line: str) -> None:
    """Print a line of progress, apart from the results."""
    print(line, file=sys.stderr, flush=True)


def device_problem() -> str:
    """Return why there is no GPU to run on, in the words of ``symgrad doctor``; nothing if there is one.

    It is asked in a process of its own: a driver that hangs or crashes must not take this one along.
    """
    ending = run_child([sys.executable, "-c", PROBLEM], PROBLEM_SECONDS, environment())
    return ending.printed if ending.status == 0 else f"asking for it failed: {ending.words}. {ending.printed}"


def run_one(part: Part, seconds: float, options: argparse.Namespace) -> Facts:
    """Run one part and return its entry in the document."""
    say(f"{part.name}: {part.help} (at most {seconds:.0f} s)")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "facts.json")
        # The part is told to be done a little earlier than it is ended.
        command = [sys.executable, "-m", part.module, "--result", str(path), "--seconds", f"{0.95 * seconds:.1f}"]
        command += ["--dry-run"] if options.dry_run else []
        command += ["--only", *options.only] if options.only else []
        ending = run_child(command, seconds, environment(options.dry_run), echo=True, grace=GRACE_SECONDS)
        facts = read_json(path)
    entry = {"title": part.title, "status": status_of(ending), "seconds": time.monotonic() - began, "facts": facts}
    if entry["status"] not in STATUS_WORDS.values():
        entry["printed"] = ending.printed
    say(f"{part.name}: {entry['status']}, {entry['seconds']:.1f} s")
    return entry


def status_of(ending: Ending) -> str:
    """Return how a part ended, in a word or a few."""
    known = None if ending.status is None else STATUS_WORDS.get(ending.status)
    return known or ending.words


@contextmanager
def prepared(options: argparse.Namespace, before: Sequence[Part]) -> Iterator[None]:
    """While the parts before the comparison run, let the peers that compile for long fill their caches."""
    if options.dry_run or PARTS["peers"] not in options.parts or not before:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.gpu_parts.prepare", folder, *options.only]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
            env=environment(), cwd=ROOT, start_new_session=True,
        )  # fmt: skip
        try:
            yield
        finally:
            end_group(process)


def run_parts(parts: Sequence[Part], options: argparse.Namespace, document: Facts) -> None:
    """Run parts in order, and write the results after each."""
    for part in parts:
        left = options.seconds - (time.monotonic() - options.began)
        if left < LEAST_SECONDS:
            entry: Facts = {"title": part.title, "status": "no time was left", "seconds": 0.0, "facts": {}}
        else:
            entry = run_one(part, min(part.seconds, left), options)
        document["parts"][part.name] = entry
        write_results(options.out, document)


def write_results(folder: Path, document: Facts) -> None:
    """Write the document and its tables."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "gpu.json", document)
    (folder / "gpu.md").write_text(markdown(document), encoding="utf-8")


def is_well(document: Facts) -> bool:
    """Whether no part failed, crashed or ran out of time."""
    good = {word for status, word in STATUS_WORDS.items() if status != FAILED}
    return all(entry["status"] in good for entry in document["parts"].values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that were asked for; return 0 if all went well."""
    options = parse(arguments)
    options.began = time.monotonic()
    problem = "" if options.dry_run else device_problem()
    if problem:
        print(f"device=cuda isn't available: {problem}", file=sys.stderr)
        return 1
    document: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "dry_run": options.dry_run,
        "parts": {},
    }
    before = [part for part in options.parts if part.name in ("device", "conformance", "golden")]
    with prepared(options, before):
        run_parts(before, options, document)
    run_parts([part for part in options.parts if part not in before], options, document)
    print(markdown(document), end="")
    say(f"written to {options.out}/gpu.json and gpu.md, {time.monotonic() - options.began:.0f} s in all")
    return 0 if is_well(document) else 1


if __name__ == "__main__":
    sys.exit(main())
