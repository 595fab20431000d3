"""The GPU command, without a GPU: everything tiny, on what stands in for a device; and what it does when parts fail."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import gpu
from benchmarks.check import CheckFailure, Record
from benchmarks.gpu_parts import agreement, children, crew, tables
from benchmarks.gpu_parts.outcomes import read_outcomes
from benchmarks.gpu_parts.parts import PARTS, TOTAL_SECONDS
from benchmarks.gpu_parts.results import Results, read_json
from benchmarks.gpu_parts.worker import OURS
from benchmarks.gpu_parts.workloads import GOALS, NAMES, workloads
from benchmarks.pages import fill
from symgrad.config import device_problem

ROOT = Path(__file__).resolve().parents[1]
needs_shim = pytest.mark.skipif(shutil.which("g++") is None, reason="CUDA texts run on the CPU through g++")


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command, as a user gives it, from a folder of its own."""
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SYMGRAD_")}
    return subprocess.run(command, capture_output=True, text=True, env={**environment, **variables})


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


# ---- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not device_problem("cuda"), reason="there is a GPU here")
def test_without_a_gpu_it_says_so_in_one_line_and_exits_with_1(tmp_path: Path) -> None:
    ran = run("--all", "--out", str(tmp_path / "out"))
    assert ran.returncode == 1 and not ran.stdout
    (line,) = ran.stderr.splitlines()
    assert line == f"device=cuda isn't available: {device_problem('cuda')}"
    assert not (tmp_path / "out").exists()


def test_it_asks_for_parts() -> None:
    ran = run("--dry-run")
    assert ran.returncode == 2
    assert all(f"--{name}" in ran.stderr for name in PARTS)


@needs_shim
def test_a_dry_run_writes_document_and_tables(tmp_path: Path) -> None:
    chosen = ("train", "replays", "peers")
    arguments = [f"--{name}" for name in chosen]
    ran = run(*arguments, "--only", "shallow", "product-1024", "--dry-run", "--out", str(tmp_path))
    document = json.loads((tmp_path / "gpu.json").read_text())
    assert {name: entry["status"] for name, entry in document["parts"].items()} == dict.fromkeys(chosen, "done"), ran
    assert ran.returncode == 0
    parts = {name: entry["facts"] for name, entry in document["parts"].items()}
    assert all(parts["train"]["same"].values()) and parts["train"]["different_runs"] == 0
    assert parts["replays"]["same"] is True and parts["replays"]["disturbed"] == 20
    compared = parts["peers"]["workloads"]
    assert list(compared) == ["shallow", "product-1024"]
    assert set(OURS) <= set(compared["shallow"]["medians"])
    assert min(compared["shallow"]["medians"].values()) > 0
    table = (tmp_path / "gpu.md").read_text()
    assert ran.stdout == table and "A dry run" in table
    assert "| shallow | " in table and "0 of them ended with other bits" in table


# ---- parts that fail ------------------------------------------------------------------------------------------------


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The options of a dry run whose parts are little programs."""
    programs = {
        "device": "r.add(name='a'); raise SystemExit(0)",
        "golden": "r.add(why='nothing to do'); raise SystemExit(3)",
        "train": "r.add(examples=7); import os; os.abort()",
        "replays": "r.add(disturbed=3); import time; time.sleep(60)",
        "sanitize": "r.add(tools={'memcheck': 'found errors'}); raise SystemExit(1)",
    }
    start = "import sys; from pathlib import Path; from benchmarks.gpu_parts.results import Results\n"
    start += "r = Results(Path(sys.argv[sys.argv.index('--result') + 1]))\n"
    modules = tmp_path / "modules"
    modules.mkdir()
    for name, text in programs.items():
        (modules / f"part_{name}.py").write_text(start + text)
    monkeypatch.setenv("PYTHONPATH", str(modules))
    monkeypatch.setattr("benchmarks.gpu_parts.parts.Part.module", property(lambda part: f"part_{part.name}"))
    found = gpu.parse(["--dry-run", "--out", str(tmp_path), *[f"--{name}" for name in programs]])
    found.began = time.monotonic()
    return found


def test_a_part_that_crashes_or_hangs_loses_nothing_else(options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "run_child", lambda command, seconds, *rest, **more: children.run_child(
        command, 1.5 if "part_replays" in command else 30, *rest, **more))  # fmt: skip
    document: dict[str, Any] = {"date": "today", "dry_run": True, "parts": {}}
    gpu.run_parts(options.parts, options, document)
    statuses = {name: entry["status"] for name, entry in document["parts"].items()}
    assert statuses == {
        "device": "done", "golden": "skipped", "train": "it was ended by SIGABRT", "replays": "its time was up",
        "sanitize": "failed",
    }  # fmt: skip
    assert {name: entry["facts"] for name, entry in document["parts"].items()} == {
        "device": {"name": "a"}, "golden": {"why": "nothing to do"}, "train": {"examples": 7},
        "replays": {"disturbed": 3}, "sanitize": {"tools": {"memcheck": "found errors"}},
    }  # fmt: skip
    assert json.loads((options.out / "gpu.json").read_text()) == document
    assert "| network3 on MNIST | it was ended by SIGABRT |" in (options.out / "gpu.md").read_text()
    assert not gpu.is_well(document)


def test_parts_for_which_no_time_is_left_are_told(options: Any) -> None:
    options.began -= TOTAL_SECONDS
    document: dict[str, Any] = {"date": "today", "dry_run": True, "parts": {}}
    gpu.run_parts(options.parts, options, document)
    assert {entry["status"] for entry in document["parts"].values()} == {"no time was left"}
    assert not gpu.is_well(document)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system doesn't tell what runs")
def test_whatever_a_child_started_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    inner = f"import os, time; open({str(path)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    ending = children.run_child(python(outer), 6)
    assert ending.status is None and ending.words == "its time was up"
    status = Path("/proc", path.read_text(), "stat")
    for _ in range(100):  # on a busy machine, ending takes its time
        if not status.exists() or status.read_text().split()[2] == "Z":
            return
        time.sleep(0.1)
    pytest.fail(f"it is still there: {status.read_text()}")


def test_a_childs_last_words_are_kept() -> None:
    ending = children.run_child(python("print('one'); import sys; print('two', file=sys.stderr); sys.exit(4)"), 20)
    assert (ending.status, sorted(ending.printed.split())) == (4, ["one", "two"])


def test_all_parts_fit_in_eight_minutes() -> None:
    assert TOTAL_SECONDS < 480
    assert {name for name in PARTS if importlib.util.find_spec(PARTS[name].module) is None} == set()
    assert set(tables.BRIEFLY) == set(PARTS)
    assert set(GOALS) <= set(NAMES) == set(workloads(tiny=True))


# ---- facts ----------------------------------------------------------------------------------------------------------


def test_facts_are_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    assert read_json(path) == {}
    results = Results(path)
    results.add(one=1)
    assert read_json(path) == {"one": 1}
    results.add(two=[2], one=3)
    assert read_json(path) == {"one": 3, "two": [2]}


@pytest.mark.parametrize("processes", [0, 2])
def test_outcomes_of_tests_survive_the_end_of_time(tmp_path: Path, processes: int) -> None:
    if processes:
        pytest.importorskip("xdist")
    lines = ["import time, pytest", "@pytest.mark.parametrize('n', range(400))", "def test(n):"]
    (tmp_path / "test_some.py").write_text("\n".join([*lines, "    time.sleep(0.05)", "    assert n != 2"]))
    command = [sys.executable, "-m", "pytest", "-q", *(["-n", str(processes)] if processes else []), str(tmp_path)]
    command += ["--rootdir", str(tmp_path), "-c", os.devnull, "--outcomes", str(tmp_path / "found")]
    environment = {**children.environment(), "PYTEST_PLUGINS": "benchmarks.gpu_parts.outcomes"}
    ending = children.run_child([*command, "--seconds-left", "4" if processes else "2"], 100, environment)
    found = read_outcomes(tmp_path / "found")
    assert ending.status == 2 and found["failed"] == 1 and 2 < found["passed"] < 400, ending.printed
    ((name, reason),) = found["failures"].items()
    assert name.endswith("test[2]") and "assert 2 != 2" in reason


@pytest.mark.parametrize("name", ["block-float32", "block-bfloat16", "product-2048-tf32", "chain", "network3", "lstm"])
def test_peers_that_compute_something_else_are_found(name: str) -> None:
    work = workloads(tiny=True)[name]
    if hasattr(work, "initial_parameters"):
        before = work.initial_parameters()
        record = Record([0.5, 0.25, 0.2, 0.1, 0.1], [value + 0.1 for value in before], [0.1])
        wrong = Record(record.costs, [*record.parameters[:-1], 1.5 * record.parameters[-1]], [0.1])
    else:
        (result, *_) = work.arrays()
        record, wrong = Record([], [result], []), Record([], [result + np.eye(*result.shape, dtype="f4").reshape(
            result.shape)] if result.ndim == 2 else [result + 1], [])  # fmt: skip
    assert agreement.disagreement(work, record, record) == 0
    with pytest.raises(CheckFailure):
        agreement.disagreement(work, wrong, record)


def test_a_lost_peer_is_told_and_started_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Fragile:
        titles: list[str] = []

        def __init__(self, peer: str, data: Path, tiny: bool) -> None:
            self.peer, self.title, self.versions = peer, peer.title(), {peer: "1"}
            Fragile.titles.append(peer)

        def build(self, workload: str, seconds: float) -> None:
            if (self.peer, workload) == ("one", "bad"):
                raise crew.PeerLost("it broke")

        def close(self) -> None:
            pass

    monkeypatch.setattr(crew, "Worker", Fragile)
    found = crew.Crew(["one", "two"], tmp_path, tiny=True)
    assert found.build("good", 1) == {}
    assert found.build("bad", 1) == {"one": "it broke"}
    with pytest.raises(crew.PeerLost):
        found.worker("one")
    assert found.build("good", 1) == {} and found.worker("one").title == "One"
    assert Fragile.titles == ["one", "two", "one"]


def test_a_table_tells_ratios_goals_and_what_is_wrong() -> None:
    facts = {
        "titles": {"symgrad": "symgrad", "symgrad-repeat": "repeat", "torch-graphed": "graphed", "jax": "JAX"},
        "copy": {"10000000": 2e12},
        "left_out": {"torch": "it isn't installed"},
        "workloads": {
            "network3": {
                "title": "network3", "flops": 0, "left_out": {}, "wrong": {"jax": "other costs"},
                "medians": {"symgrad": 40e-6, "symgrad-repeat": 25e-6, "torch-graphed": 75e-6},
            },
            "chain": {
                "title": "the chain", "flops": 0, "bytes": 8e7, "left_out": {"jax": "it broke"}, "wrong": {},
                "medians": {"symgrad": 50e-6},
            },
        },
    }  # fmt: skip
    document = {"date": "today", "dry_run": False, "parts": {"peers": {
        "title": "Against others", "status": "done", "seconds": 1.0, "facts": facts}}}  # fmt: skip
    table = tables.markdown(document)
    page = fill((ROOT / "docs" / "performance.md").read_text(encoding="utf-8"), "gpu", tables.for_page(document))
    assert "75.0 us (3.00 x)" in page
    assert "| network3 | 40.0 us | 25.0 us | 75.0 us (3.00 x) | **wrong** |" in table
    assert "| network3 | 2 times as fast as graphed | 3.00 x | met |" in table
    assert "| network3 | 30 us | 25.0 us | met |" in table
    assert "| the chain | 90% of the copy's bandwidth | 80% | **missed** |" in table
    assert "- torch is left out: it isn't installed." in table and "- jax, network3: other costs." in table
