"""The parts of the GPU run: what each is called, which module does it, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One part, done by a process of its own.

    Attributes
    ----------
    name : str
        What ``--NAME`` selects.
    title : str
        The heading of its results.
    seconds : float
        How long it may take; then it is ended, and what it has found so far is kept.
    help : str
        For ``--help``.
    """

    name: str
    title: str
    seconds: float
    help: str

    @property
    def module(self) -> str:
        """The module that is run."""
        return f"benchmarks.gpu_parts.{self.name}"


PARTS = {
    part.name: part
    for part in (
        Part("device", "Device", 40, "what symgrad doctor says, the device, versions"),
        Part("conformance", "Conformance", 110, "the tests of tests/gpu on the real device"),
        Part("golden", "Golden trajectories", 25, "network3 against the trajectories that SYMGRAD_GOLDEN names"),
        Part("train", "network3 on MNIST", 45, "accuracy, seconds an epoch, the same bits in every run"),
        Part("replays", "Graph replays", 20, "10,000 replays of a graph, with other allocations in between"),
        Part("peers", "Against others", 200, "PyTorch and JAX side by side, as ratios of medians"),
        Part("sanitize", "compute-sanitizer", 60, "memcheck and racecheck on a few functions"),
    )
}
"""Every part in its order: the most valuable first, as far as later ones don't need what earlier ones found."""

TOTAL_SECONDS = 470.0
"""How long all of them may take together."""

LEAST_SECONDS = 5.0
"""A part that has less time left than this isn't begun."""
