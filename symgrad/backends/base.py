"""The protocol between the compiler and its backends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from symgrad.graph.variables import Container
from symgrad.lowering import Step


class Program(Protocol):
    """A plan made executable, for fixed sizes of inputs and shared variables."""

    source: str
    """The program as text."""

    steps_by_line: Mapping[int, Step]
    """Which step each line of the text belongs to."""

    def run(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Compute the outputs from inputs and shared values, and carry out the updates."""

    def owns(self, code: Any) -> bool:
        """Whether a traceback's code object is this program's text."""


class Backend(Protocol):
    """Where programs run."""

    name: str

    def compile(self, plan: Any, containers: Sequence[Container]) -> Program:
        """Write and load the program of a plan; `containers` hold the shared variables in the plan's order."""
