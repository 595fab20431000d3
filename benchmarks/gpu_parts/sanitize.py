"""compute-sanitizer on a few functions: accesses out of bounds (memcheck), races in shared memory (racecheck)."""

from __future__ import annotations

import os
import shutil
import sys

from benchmarks.gpu_parts.children import environment, run_child
from benchmarks.gpu_parts.results import DONE, FAILED, SKIPPED, Deadline, Options, Results, run_part

TOOLS = ("memcheck", "racecheck")
ERROR_STATUS = 77
FOLDERS = ("/usr/local/cuda/bin", "/opt/cuda/bin")


def sanitize(options: Options, results: Results, deadline: Deadline) -> int:
    """Run the functions under each tool."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *FOLDERS])
    tool = shutil.which("compute-sanitizer", path=path)
    program = [sys.executable, "-m", "benchmarks.gpu_parts.sanitized"]
    if options.dry_run:
        ending = run_child(program, deadline.left, environment(dry_run=True), echo=True)
        results.add(why="a dry run: the functions alone", ended=ending.words)
        return DONE if ending.status == 0 else FAILED
    if tool is None:
        results.add(why="compute-sanitizer isn't on PATH")
        return SKIPPED
    found: dict[str, str] = {}
    for number, name in enumerate(TOOLS):
        command = [tool, "--tool", name, "--error-exitcode", str(ERROR_STATUS), "--print-limit", "20", *program]
        ending = run_child(command, deadline.left / (len(TOOLS) - number), environment(), echo=True)
        found[name] = "no errors" if ending.status == 0 else words_of(ending.status, ending.words)
        results.add(tools=found, **({} if ending.status == 0 else {f"{name}_printed": ending.printed}))
    return DONE if all(word == "no errors" for word in found.values()) else FAILED


def words_of(status: int | None, words: str) -> str:
    """Return what the end of a run under a tool means."""
    return "found errors" if status == ERROR_STATUS else words


if __name__ == "__main__":
    raise SystemExit(run_part(sanitize))
