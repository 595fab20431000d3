"""What all tests share: golden files, which ``pytest --update-golden`` writes anew."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from combinations import COMBINATIONS, Combination, is_possible, names_for, share_of

hypothesis.settings.register_profile("symgrad", deadline=None)  # timings on shared machines mean nothing
hypothesis.settings.load_profile("symgrad")

# Before NumPy is loaded: one BLAS thread. The matrices of the tests are small, and on a busy machine threads that wait
# for each other take hundreds of times as long as one.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# Compiled code of the tests is kept apart from the user's.
os.environ.setdefault("XDG_CACHE_HOME", str(Path(__file__).parents[1] / ".pytest_cache" / "caches"))

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files instead of comparing")
    parser.addoption("--graphs", type=int, default=1300, help="how many random programs are tried")
    parser.addoption("--all-combinations", action="store_true", help="run everything on all backends and settings")
    parser.addoption("--calls", type=int, default=10_000, help="how many random calls of native functions are made")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Return ``check(name, text)``: the text must be that of ``tests/golden/name``."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        expected = path.read_text(encoding="utf-8") if path.exists() else ""
        if text != expected:
            lines = difflib.unified_diff(expected.splitlines(), text.splitlines(), f"golden/{name}", "now", lineterm="")
            pytest.fail("\n".join([*lines, "If that is right: pytest --update-golden"]), pytrace=False)

    return check


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests run on combinations of settings; random programs in batches of 50, as many as ``--graphs`` asks for."""
    everything = metafunc.config.getoption("--all-combinations")
    if "batch" in metafunc.fixturenames:
        batches = range(-(-metafunc.config.getoption("--graphs") // 50))
        pairs = [(batch, name) for batch in batches for name in names_for(batch, everything)]
        metafunc.parametrize(("batch", "combination"), pairs, indirect=["combination"])
    elif "combination" in metafunc.fixturenames:
        metafunc.parametrize("combination", list(COMBINATIONS), indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only ``--all-combinations`` runs, unless it was asked for by its name."""
    if config.getoption("--all-combinations") or any("::" in argument for argument in config.args):
        return
    items[:], others = share_of(items)
    config.hook.pytest_deselected(items=others)


@pytest.fixture
def combination(request: pytest.FixtureRequest) -> Iterator[Combination]:
    """Run the test with the settings of a combination."""
    found = COMBINATIONS[request.param]
    if not is_possible(found):
        pytest.skip(f"this machine can't run {found.name}")
    with found.used():
        yield found


@pytest.fixture(autouse=True)
def _the_sample() -> Iterator[None]:
    """Unless a test names a file, MNIST is the sample: results don't depend on who has the full set."""
    import symgrad

    with symgrad.config.change_flags(data=""):
        yield
