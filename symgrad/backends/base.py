"""The protocol between the compiler and its backends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from symgrad.graph.variables import Container
from symgrad.lowering import Step


class Program(Protocol):
    """A plan made executable, for fixed sizes of inputs and shared variables."""

    @property
    def source(self) -> str:
        """The program as text."""

    @property
    def steps_by_line(self) -> Mapping[int, Step]:
        """Which step each line of the text belongs to."""

    @property
    def run(self) -> Callable[..., tuple[np.ndarray, ...]]:
        """Computes the outputs from inputs and shared values, in order, and carries out the updates."""

    def owns(self, code: Any) -> bool:
        """Whether a traceback's code object is this program's text."""

    def operands_in(self, frame: Any, step: Step) -> list[Any]:
        """Return the values of a step's operands in a frame that runs this program; None for what isn't there."""


class Backend(Protocol):
    """Where programs run."""

    @property
    def name(self) -> str:
        """What it is called in the configuration."""

    def compile(self, plan: Any, containers: Sequence[Container]) -> Program:
        """Write and load the program of a plan; `containers` hold the shared variables in the plan's order."""
