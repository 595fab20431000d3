"""The documentation runs: every code block of every page, in order, with the output that the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_pages import REPOSITORY, Page, PageError, blocks_of

import symgrad
from symgrad.config import SETTINGS

DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\((?P<target>[^)\s]+)\)")


def name_of(page: Path) -> str:
    """Return a page's path inside the repository, as test names and failures show it."""
    return page.relative_to(REPOSITORY).as_posix()


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder, and every setting at its default."""
    monkeypatch.chdir(tmp_path)
    defaults = {name: setting.default for name, setting in SETTINGS.items()}
    with symgrad.config.change_flags(**defaults):
        yield tmp_path


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_code_of_page_runs(page: Path, working_folder: Path) -> None:
    try:
        Page(name_of(page), page.read_text()).run()
    except PageError as failure:
        pytest.fail(str(failure), pytrace=False)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_of_page_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for match in LINK.finditer(prose):
        target, _, anchor = match["target"].partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{name_of(page)} links to {target}, which doesn't exist"
        if anchor:
            assert anchor in anchors_of(file), f"{name_of(page)} links to {match['target']}: no such heading"


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that a page's headings get: lower case, words joined by hyphens."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_reference_is_up_to_date() -> None:
    """In a process of its own: other tests may have declared ops and rules in this one."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SYMGRAD_")}
    command = [sys.executable, str(DOCS / "make_reference.py"), "--check"]
    finished = subprocess.run(command, env=environment | {"PYTHONPATH": str(REPOSITORY)}, check=False)
    assert finished.returncode == 0, "docs/reference.md is out of date; run: python docs/make_reference.py"


def test_only_the_reference_shows_sessions_that_do_not_run() -> None:
    for page in PAGES:
        languages = {block.language for block in blocks_of(page.read_text())}
        assert "pycon" not in languages or page.name == "reference.md", f"{name_of(page)}: use ```python"


# ---- the runner itself: what is wrong on a page fails, and says where -----------------------------------------------


def failure_of(text: str) -> str:
    """Run a page that must fail, and return what the failure says."""
    with pytest.raises(PageError) as caught:
        Page("page.md", text).run()
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("```python\nprint(1)\n#> 2\n```\n", "page.md:2: "),
        ("```python\nprint(1)\n```\n", "page.md:2: "),
        ("```python\nx = 1\n#> 1\n```\n", "page.md:2: "),
        ("```python\n>>> x = 1\n>>> x + 1\n3\n```\n", "page.md:3: "),
        ("```python\n>>> int('a')\n```\n", "page.md:2: "),
        ("```python\n>>> int('1')\nTraceback (most recent call last):\n    ...\nValueError\n```\n", "page.md:2: "),
        ("text\n```python\ndef f():\n    return nothing\n```\n\n```python\nf()\n```\n", "page.md:4: "),
        ("```python\nx = = 1\n```\n", "page.md:2: "),
        ("```Python\nx = 1\n```\n", "page.md:1: "),
        ("```\nx = 1\n```\n", "page.md:1: "),
        ("```console\n$ python -c 'print(1)'\n2\n```\n", "page.md:2: "),
        ("```python file=pyproject.toml\n[no-such-table]\n```\n", "page.md:2: "),
    ],
)  # fmt: skip
def test_a_wrong_page_fails_at_its_line(text: str, place: str, working_folder: Path) -> None:
    assert failure_of(text).startswith(place)


@pytest.mark.parametrize("text", ["```python\n", "```python norun\nx = 1\n```\n"])
def test_a_fence_that_is_not_understood_is_an_error(text: str, working_folder: Path) -> None:
    assert "line 1" in failure_of(text)


def test_a_right_page_passes(working_folder: Path) -> None:
    text = (
        "```python\nx = 1\nprint(x)\n#> 1\nprint('a', 'b')\nprint('c')\n#> a b\n#> ...\n```\n"
        "```python\n>>> x\n1\n>>> int('a')\nTraceback (most recent call last):\n    ...\nValueError: invalid ...\n```\n"
        "```python write=other.py\nprint('other')\n```\n"
        "```console\n$ python other.py\nother\n$ A=1 python -c 'import os; print(os.environ[\"A\"])'\n1\n```\n"
        "```python file=pyproject.toml\n[build-system]\n```\n"
    )
    Page("page.md", text).run()


def test_errors_name_the_lines_of_the_page_s_own_file(working_folder: Path) -> None:
    text = (
        "```python\nimport symgrad.tensor as T\nx = T.tensor('float32', (2, 3), 'x')\n```\n"
        "```python\n>>> T.dot(x, x)\nTraceback (most recent call last):\n    ...\n"
        "symgrad.errors.ShapeError: dot needs matching inner sizes, got 3 and 2\n"
        "  example.py:3   T.dot(x, x)\n...\n```\n"
    )
    Page("page.md", text).run()
