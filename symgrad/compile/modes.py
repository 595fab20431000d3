"""Modes: which rewrites a function gets, and whether each kernel's result is checked."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from symgrad.config import config
from symgrad.debug.checks import CHECKS
from symgrad.errors import render
from symgrad.graph.source import current_source
from symgrad.rewriting.engine import all_rule_names

THEANO_NAMES = {
    "FAST_RUN": "default", "FAST_COMPILE": "none", "DEBUG_MODE": "DebugMode", "NanGuardMode": "NanGuard",
}  # fmt: skip


@dataclass(frozen=True)
class Mode:
    """Which rewrites are applied to a function's graph, and what is checked in each call.

    Parameters
    ----------
    rewrites : collection of str
        Names of rules; `symgrad.rewriting.engine.all_rule_names` lists them.
    checks : str
        ``'DebugMode'``: each kernel's outputs are compared with the op's meaning in NumPy. ``'NanGuard'``: the kernel
        that first makes a nan or an inf is named. Empty: no checks.

    Examples
    --------
    >>> Mode.named("none").rewrites
    frozenset()
    >>> "constants_are_folded" in Mode.named("default").excluding("constants_are_folded").rewrites
    False
    """

    rewrites: frozenset[str]
    checks: str = ""

    def __init__(self, rewrites: Collection[str], checks: str = "") -> None:
        if checks and checks not in CHECKS:
            raise ValueError(f"checks is one of {', '.join(CHECKS)}, or empty; got {checks!r}")
        object.__setattr__(self, "rewrites", frozenset(_checked(rewrites)))
        object.__setattr__(self, "checks", checks)

    @classmethod
    def named(cls, name: str) -> Mode:
        """Return the mode of a name.

        ``default`` has all rules, ``none`` has no rule; ``DebugMode`` and ``NanGuard`` have all rules, and their check.
        Theano's names are understood too: ``FAST_RUN`` is ``default``, ``FAST_COMPILE`` is ``none``, ``DEBUG_MODE`` is
        ``DebugMode``, ``NanGuardMode`` is ``NanGuard``.
        """
        name = THEANO_NAMES.get(name, name)
        if name in CHECKS:
            return cls(all_rule_names(), name)
        if name not in ("default", "none"):
            names = ", ".join(["default", "none", *CHECKS, *THEANO_NAMES])
            headline = f"there is no mode {name!r}"
            place = str(current_source() or "")
            raise ValueError(render(headline, place, (), f"There are {names}, and symgrad.Mode(rules)."))
        return cls(all_rule_names() if name == "default" else [])

    def including(self, *names: str) -> Mode:
        """Return this mode with more rules."""
        return Mode(self.rewrites | set(names), self.checks)

    def excluding(self, *names: str) -> Mode:
        """Return this mode without some of its rules."""
        return Mode(self.rewrites - set(_checked(names)), self.checks)


def _checked(names: Collection[str]) -> Collection[str]:
    known = all_rule_names()
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise ValueError(f"there is no rewrite rule {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return names


def find_mode(mode: Any) -> Mode:
    """Return the mode that `mode` means: a `Mode`, a name, None for the configured one, or what has a `core()`."""
    if mode is None:
        mode = config.mode
    elif not isinstance(mode, Mode | str) and hasattr(mode, "core"):
        mode = mode.core()  # Theano's modes say what they mean here
    return mode if isinstance(mode, Mode) else Mode.named(mode)
