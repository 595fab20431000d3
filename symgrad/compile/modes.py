"""Modes: which rewrites a function gets."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from symgrad.config import config
from symgrad.rewriting.engine import all_rule_names


@dataclass(frozen=True)
class Mode:
    """Which rewrites are applied to a function's graph.

    Parameters
    ----------
    rewrites : collection of str
        Names of rules; `symgrad.rewriting.engine.all_rule_names` lists them.

    Examples
    --------
    >>> Mode.named("none").rewrites
    frozenset()
    >>> "constants_are_folded" in Mode.named("default").excluding("constants_are_folded").rewrites
    False
    """

    rewrites: frozenset[str]

    def __init__(self, rewrites: Collection[str]) -> None:
        object.__setattr__(self, "rewrites", frozenset(_checked(rewrites)))

    @classmethod
    def named(cls, name: str) -> Mode:
        """Return the mode of a name: ``default`` has all rules, ``none`` has no rule.

        Theano's names are understood too: ``FAST_RUN`` is ``default``, ``FAST_COMPILE`` is ``none``.
        """
        known = {"default": all_rule_names(), "none": [], "FAST_RUN": all_rule_names(), "FAST_COMPILE": []}
        if name not in known:
            raise ValueError(f"there is no mode {name!r}; there are {', '.join(known)}, and symgrad.Mode(rules)")
        return cls(known[name])

    def including(self, *names: str) -> Mode:
        """Return this mode with more rules."""
        return Mode(self.rewrites | set(names))

    def excluding(self, *names: str) -> Mode:
        """Return this mode without some of its rules."""
        return Mode(self.rewrites - set(_checked(names)))


def _checked(names: Collection[str]) -> Collection[str]:
    known = all_rule_names()
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise ValueError(f"there is no rewrite rule {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return names


def find_mode(mode: Any) -> Mode:
    """Return the mode that `mode` means: a `Mode`, a name, or None for the configured one."""
    if mode is None:
        mode = config.mode
    return mode if isinstance(mode, Mode) else Mode.named(mode)
