"""Runs the code blocks of a Markdown page, so that the documentation can't drift away from the program.

What a fence's first word says decides what happens to the block:

``python``
    Runs, in one namespace for the whole page. If the block begins with ``>>>``, the lines below each prompt are the
    output, as in doctest. Otherwise lines that begin with ``#>`` are the output of the statement above them. Output
    that the page doesn't show is a failure too. ``...`` stands for anything.
``python file=PATH``, ``text file=PATH``
    Must be lines of that file of the repository, word for word apart from common indentation. Doesn't run.
``python write=NAME``, ``ini write=NAME``
    Becomes a file in the page's working folder. Doesn't run.
``console``
    Each line that begins with ``$`` is a command, run in the page's working folder; the lines below it are its output.
``sh``, ``text``, ``diff``, ``pycon``
    Are left alone.

The page's code is kept in the file ``example.py`` of the working folder, so that errors name its lines as they would
for a reader who copies the page. The repository's ``models`` are there too, as if the folder were the repository.

When the program changed, ``python tests/markdown_pages.py PAGE...`` writes the outputs into the pages anew: read the
difference before you keep it. Where an error is new, first write the line ``Traceback (most recent call last):``.
"""

from __future__ import annotations

import contextlib
import difflib
import doctest
import io
import linecache
import os
import re
import shlex
import subprocess
import sys
import tempfile
import textwrap
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, ModuleType, TracebackType

REPOSITORY = Path(__file__).resolve().parent.parent
LEFT_ALONE = ("sh", "text", "diff", "pycon")
EXAMPLE = "example.py"

_FENCE = re.compile(r"^```(?P<language>\w*)(?: +(?P<action>file|write)=(?P<target>\S+))?$")
_CHECKER = doctest.OutputChecker()


class PageError(AssertionError):
    """A block that fails, with the page and line where it stands."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what to do with it, its text, and the page's line where its text begins."""

    language: str
    action: str
    target: str
    text: str
    line: int


def blocks_of(text: str) -> list[Block]:
    """Return the fenced blocks of a page; a fence that isn't understood is an error."""
    blocks: list[Block] = []
    opened: tuple[re.Match[str], int] | None = None
    content: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if opened is None and line.startswith("```"):
            match = _FENCE.match(line)
            if match is None:
                raise PageError(f"line {number}: the fence {line!r} isn't understood")
            opened, content = (match, number + 1), []
        elif opened is not None and line == "```":
            match, first = opened
            body = "".join(f"{row}\n" for row in content)
            blocks.append(Block(match["language"], match["action"] or "", match["target"] or "", body, first))
            opened = None
        elif opened is not None:
            content.append(line)
    if opened is not None:
        raise PageError(f"line {opened[1] - 1}: this fence is never closed")
    return blocks


@dataclass
class Page:
    """One page that is being run in the current folder.

    Parameters
    ----------
    name : str
        How failures call the page.
    text : str
        Its Markdown.
    updating : bool
        Whether outputs that differ are collected for `updated`, instead of being failures.
    """

    name: str
    text: str
    updating: bool = False
    module: ModuleType = field(default_factory=lambda: ModuleType("example"))
    page_lines: list[int] = field(default_factory=list)
    code_lines: list[str] = field(default_factory=list)
    edits: list[tuple[int, int, list[str]]] = field(default_factory=list)

    def run(self) -> None:
        """Run all blocks in order, in the current folder, and raise `PageError` for the first that fails."""
        sys.modules["example"] = self.module
        Path("models").symlink_to(REPOSITORY / "models")
        try:
            for block in blocks_of(self.text):
                self._run_block(block)
        finally:
            del sys.modules["example"]

    def _run_block(self, block: Block) -> None:
        if block.action == "file":
            self._check_quotation(block)
        elif block.action == "write":
            Path(block.target).write_text(block.text)
        elif block.language == "console":
            self._run_commands(block)
        elif block.language == "python":
            self._run_python(block)
        elif block.language not in LEFT_ALONE:
            raise self._failure(block.line - 1, f"the language {block.language!r} isn't one that a page may use")

    # ---- Python ----

    def _run_python(self, block: Block) -> None:
        interactive = block.text.lstrip().startswith(">>>")
        pieces = _interactive_pieces(block) if interactive else _plain_pieces(block)
        for piece in pieces:
            printed = self._execute(piece)
            self._compare(piece, printed, "" if interactive else "#> ")

    def _execute(self, piece: Piece) -> str:
        """Run one piece as the next lines of the example file, and return what it printed."""
        first = len(self.code_lines) + 1
        rows = piece.source.splitlines()
        self.code_lines += rows
        self.page_lines += [piece.line + offset for offset in range(len(rows))]
        Path(EXAMPLE).write_text("".join(f"{row}\n" for row in self.code_lines))
        linecache.cache.pop(EXAMPLE, None)
        with _captured() as printed:
            try:
                exec(self._compiled(piece, first), vars(self.module))
            except Exception as error:
                if not piece.expected.startswith("Traceback (most recent call last):"):
                    raise self._unexpected(piece, error, printed.getvalue()) from None
                described = "".join(traceback.format_exception_only(error))
                return f"{printed.getvalue()}Traceback (most recent call last):\n    ...\n{described}"
        return printed.getvalue()

    def _compiled(self, piece: Piece, first: int) -> CodeType:
        try:
            return compile("\n" * (first - 1) + piece.source, EXAMPLE, piece.mode)
        except SyntaxError as error:
            raise self._failure(piece.line, f"SyntaxError: {error.msg}") from None

    def _unexpected(self, piece: Piece, error: Exception, printed: str) -> PageError:
        line = _line_in_example(error.__traceback__)
        place = self.page_lines[line - 1] if line else piece.line
        return self._failure(place, f"{printed}{''.join(traceback.format_exception(error))}")

    # ---- everything else ----

    def _run_commands(self, block: Block) -> None:
        lines = block.text.splitlines()
        starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
        if not starts or starts[0]:
            raise self._failure(block.line, "a console block begins with '$ ' and a command")
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            expected = "".join(f"{line}\n" for line in lines[start + 1 : end])
            command = Piece(lines[start], expected, block.line + start, "console")
            self._compare(command, _output_of(command.source[2:]), "")

    def _check_quotation(self, block: Block) -> None:
        """A quotation is a run of lines of the file, with more or less indentation."""
        quoted = textwrap.dedent(block.text).strip("\n").splitlines()
        lines = (REPOSITORY / block.target).read_text().splitlines()
        for start in range(len(lines) - len(quoted) + 1):
            window = "\n".join(lines[start : start + len(quoted)])
            if textwrap.dedent(window).splitlines() == quoted:
                return
        nearest = difflib.unified_diff(_most_alike(quoted, lines), quoted, block.target, self.name, lineterm="")
        raise self._failure(block.line, f"{block.target} has no such lines; the nearest are\n" + "\n".join(nearest))

    def _compare(self, piece: Piece, printed: str, prefix: str) -> None:
        printed = "".join(f"{row.rstrip()}\n" for row in printed.splitlines())
        if _CHECKER.check_output(piece.expected, printed, doctest.ELLIPSIS):
            return
        if self.updating:
            start = piece.line - 1 + len(piece.source.splitlines())
            rows = [f"{prefix}{row}".rstrip() for row in printed.splitlines()]
            self.edits.append((start, len(piece.expected.splitlines()), rows))
            return
        difference = difflib.unified_diff(
            piece.expected.splitlines(), printed.splitlines(), "the page shows", "it prints", lineterm="", n=1000
        )
        raise self._failure(piece.line, "the output isn't what the page shows\n" + "\n".join(difference))

    def updated(self) -> str:
        """Return the page with the outputs that running it gave."""
        lines = self.text.splitlines()
        for start, count, rows in reversed(self.edits):
            lines[start : start + count] = rows
        return "".join(f"{line}\n" for line in lines)

    def _failure(self, line: int, message: str) -> PageError:
        return PageError(f"{self.name}:{line}: {message.rstrip()}")


@dataclass(frozen=True)
class Piece:
    """A statement (or several) with the output that the page shows, and the page's line where it begins."""

    source: str
    expected: str
    line: int
    mode: str


def _interactive_pieces(block: Block) -> Iterator[Piece]:
    for example in doctest.DocTestParser().get_examples(block.text):
        yield Piece(example.source, example.want, block.line + example.lineno, "single")


def _plain_pieces(block: Block) -> Iterator[Piece]:
    """Cut a block after each group of ``#>`` lines; the rest of the block prints nothing."""
    source: list[str] = []
    expected: list[str] = []
    first = block.line
    for number, line in enumerate(block.text.splitlines(), start=block.line):
        if line.startswith("#>"):
            expected.append(line[2:].removeprefix(" "))
        elif expected:
            yield Piece("\n".join(source), "".join(f"{row}\n" for row in expected), first, "exec")
            source, expected, first = [line], [], number
        else:
            source.append(line)
    yield Piece("\n".join(source), "".join(f"{row}\n" for row in expected), first, "exec")


@contextlib.contextmanager
def _captured() -> Iterator[io.StringIO]:
    """Collect what is printed, errors too, as a terminal would show it."""
    printed = io.StringIO()
    displayhook, sys.displayhook = sys.displayhook, sys.__displayhook__
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            yield printed
    finally:
        sys.displayhook = displayhook


def _line_in_example(trace: TracebackType | None) -> int:
    """Return the innermost line of the page's own code in a traceback, or 0."""
    lines = [number for frame, number in traceback.walk_tb(trace) if frame.f_code.co_filename == EXAMPLE]
    return lines[-1] if lines else 0


def _output_of(command: str) -> str:
    """Run a command such as ``NAME=value python train.py`` and return all that it prints."""
    words = shlex.split(command)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SYMGRAD_")}
    path = [str(REPOSITORY), *filter(None, [environment.get("PYTHONPATH")])]
    environment |= {"HOME": os.getcwd(), "PYTHONPATH": os.pathsep.join(path)}
    while re.match(r"[A-Z_]+=", words[0]):
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    programs = {"python": [sys.executable], "symgrad": [sys.executable, "-m", "symgrad"]}
    if words[0] not in programs:
        raise PageError(f"a console block runs python and symgrad, not {words[0]!r}")
    finished = subprocess.run(
        [*programs[words[0]], *words[1:]], env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=120, check=False,
    )  # fmt: skip
    return finished.stdout


def _most_alike(quoted: list[str], lines: list[str]) -> list[str]:
    """Return the lines of a file around the quotation's first line, for the failure to show."""
    stripped = [line.strip() for line in lines]
    first = difflib.get_close_matches(quoted[0].strip(), stripped, n=1, cutoff=0.0)[0]
    start = stripped.index(first)
    return textwrap.dedent("\n".join(lines[start : start + len(quoted)])).splitlines()


def main() -> None:
    """Write the outputs of the pages that are named on the command line anew."""
    sys.path.insert(0, str(REPOSITORY))
    import symgrad
    from symgrad.config import SETTINGS

    for path in [Path(argument).resolve() for argument in sys.argv[1:]]:
        page = Page(path.name, path.read_text(), updating=True)
        defaults = {name: setting.default for name, setting in SETTINGS.items()}
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), symgrad.config.change_flags(**defaults):
            page.run()
        path.write_text(page.updated())


if __name__ == "__main__":
    main()
