"""The command ``python -m symgrad.compat.theano``."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence
from types import ModuleType

USAGE = """\
usage: python -m symgrad.compat.theano program.py [arguments ...]
       python -m symgrad.compat.theano -m module [arguments ...]
       python -m symgrad.compat.theano -c code [arguments ...]

Run a program that was written for Theano. THEANO_FLAGS and .theanorc are read.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a program with Theano's names, and return the exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        The program and what it is given; those of this process if None.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help") or (words[0] in ("-m", "-c") and len(words) == 1):
        print(USAGE, end="", file=sys.stderr if not words else sys.stdout)
        return 0 if words and words[0] in ("-h", "--help") else 2
    from symgrad.compat.theano_names.activation import activate

    activate()
    if words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        sys.path[0] = ""
        _run_text(words[1])
        return 0
    if words[0] == "-m":
        sys.argv = words[1:]
        sys.path[0] = os.getcwd()
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        return 0
    program = words[0]
    if not os.path.exists(program):
        print(f"python -m symgrad.compat.theano: there is no file {program!r}", file=sys.stderr)
        return 2
    sys.argv = words
    sys.path[0] = os.path.dirname(os.path.abspath(program))
    runpy.run_path(program, run_name="__main__")
    return 0


def _run_text(text: str) -> None:
    """Run a program's text as the module ``__main__``, where pickles look for its classes."""
    kept, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        exec(compile(text, "<string>", "exec"), sys.modules["__main__"].__dict__)
    finally:
        sys.modules["__main__"] = kept
