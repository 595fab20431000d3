"""What the native backend is to reach: how many times as fast as the fastest peer, by workload."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """Times as fast as the fastest of all peers at its better number of threads.

    Attributes
    ----------
    one_thread, two_threads : float or None
        The goal with so many threads; None where there is none.
    """

    one_thread: float | None = None
    two_threads: float | None = None

    def with_threads(self, threads: int) -> float | None:
        """Return the goal for a number of threads."""
        return {1: self.one_thread, 2: self.two_threads}.get(threads)


GOALS = {
    "network3-dropout": Goal(2.5, 4.0),
    "shallow": Goal(2.0),
    "logistic-10": Goal(4.0),
    "logistic-600": Goal(1.5, 2.5),
    "mlp": Goal(2.5, 4.0),
    "batch-norm": Goal(1.2, 2.0),
    "lenet": Goal(1.2, 2.2),
    "lstm": Goal(1.0, 1.0),
    "chain": Goal(2.5, 4.0),
    "chain-gradient": Goal(2.5, 4.0),
    "softmax": Goal(1.1, 2.0),
    "softmax-gradient": Goal(1.5, 2.5),
    "logsumexp": Goal(1.1, 2.0),
}
"""By workload; the others are there to be looked at."""

NETWORK3_PEAK_SHARE = 0.8
"""The share of the measured matrix product's peak that network3's own operations are to reach."""

COPY_SHARE = 0.85
"""The share of the measured copy bandwidth that elementwise work is to reach."""

FIRST_STEP_SECONDS = {"empty": 0.4, "filled": 0.06}
"""From ``function(...)`` to the end of network3's first step, with an empty and with a filled object cache."""

RECURRENCE_STEPS = 10_000
RECURRENCE_COMPILE_SECONDS = 1.0
RECURRENCE_STEP_SECONDS = 1e-6
"""A small recurrence of so many steps: until the end of the first call with an empty cache, and each later step."""

LONG_GRAPH_SECONDS = {5_000: 2.5, 10_000: 5.0, 20_000: 10.0}
"""By the number of nodes, from ``grad(...)`` to the end of the first step: time per node doesn't grow with size."""

CALL_OVERHEAD_SECONDS = 1e-6
"""What a call may take above the work itself."""
