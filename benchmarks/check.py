"""Whether all peers compute the same step: the comparison that has to pass before anything is timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.workloads import Workload

TOLERANCE = 1e-4
"""Largest relative difference of costs and of parameter norms."""

CHANGE_TOLERANCE = 0.05
"""Largest relative difference of what the steps changed in a parameter: float32 rounding of small changes is in it."""


class CheckFailure(Exception):
    """Peers disagree; the message lists every difference."""


@dataclass(frozen=True)
class Record:
    """What a peer's first steps did, from the workload's initial parameters.

    Attributes
    ----------
    costs : list of float
        The cost of each step, before its update.
    parameters : list of arrays
        After the last step.
    repeated_costs : list of float
        The costs of the same steps run once more from the same parameters; they differ if masks are drawn anew.
    """

    costs: list[float]
    parameters: list[np.ndarray]
    repeated_costs: list[float]


def relative_difference(value: float, reference: float) -> float:
    """Return abs(value - reference) / abs(reference), infinite where it isn't a number."""
    if value == reference:
        return 0.0
    difference = abs(value - reference) / max(abs(reference), np.finfo(np.float32).tiny)
    return float(difference) if np.isfinite(difference) else float("inf")


def check(workload: Workload, records: dict[str, Record], reference: str) -> dict[str, float]:
    """Compare every peer's first steps with those of one of them.

    Parameters
    ----------
    workload : Workload
        What was run.
    records : dict of Record
        By the peer's name.
    reference : str
        The peer that the others are compared with.

    Returns
    -------
    dict of float
        By name, the largest relative difference of a cost (of the first cost, where the step draws masks).

    Raises
    ------
    CheckFailure
        If some peer disagrees, naming it and the quantity.
    """
    expected = records[reference]
    compare = _dropout_disagreements if workload.has_dropout else _disagreements
    initial = workload.initial_parameters()
    problems = []
    for name, record in records.items():
        problems += [f"{name}: {problem}" for problem in compare(record, expected, initial)]
    if problems:
        listing = "\n  ".join(problems)
        raise CheckFailure(f"{workload.name}: peers don't compute the step of {reference}\n  {listing}")
    compared = 1 if workload.has_dropout else len(expected.costs)
    return {name: largest_difference(record.costs[:compared], expected.costs) for name, record in records.items()}


def largest_difference(values: Sequence[float], references: Sequence[float]) -> float:
    """Return the largest relative difference of paired numbers."""
    return max(relative_difference(value, reference) for value, reference in zip(values, references, strict=False))


def _disagreements(record: Record, reference: Record, initial: Sequence[np.ndarray]) -> list[str]:
    """Return one sentence for each cost or parameter that is out of tolerance."""
    problems = []
    for step, (cost, expected) in enumerate(zip(record.costs, reference.costs, strict=True)):
        if relative_difference(cost, expected) > TOLERANCE:
            problems.append(f"the cost of step {step} is {cost:.7g}, expected {expected:.7g}")
    triples = zip(record.parameters, reference.parameters, initial, strict=True)
    for position, (value, expected, start) in enumerate(triples):
        name = f"{'wb'[position % 2]} of layer {position // 2}"
        if value.shape != expected.shape:
            problems.append(f"{name} has shape {value.shape}, expected {expected.shape}")
            continue
        norm, expected_norm = float(np.linalg.norm(value)), float(np.linalg.norm(expected))
        if relative_difference(norm, expected_norm) > TOLERANCE:
            problems.append(f"the norm of {name} is {norm:.7g}, expected {expected_norm:.7g}")
        change, distance = np.linalg.norm(expected - start), np.linalg.norm(value - expected)
        if not distance <= CHANGE_TOLERANCE * change:
            problems.append(f"the change of {name} is off by {distance:.3g}, its norm is {change:.3g}")
    return problems


def _dropout_disagreements(record: Record, reference: Record, initial: Sequence[np.ndarray]) -> list[str]:
    """Compare what doesn't depend on the masks: the first cost (the softmax starts at zero), and that masks differ."""
    problems = []
    if relative_difference(record.costs[0], reference.costs[0]) > TOLERANCE:
        problems.append(f"the cost of step 0 is {record.costs[0]:.7g}, expected {reference.costs[0]:.7g}")
    if not (np.isfinite(record.costs).all() and all(np.isfinite(value).all() for value in record.parameters)):
        problems.append("a cost or a parameter isn't finite")
    if record.costs[1:] == record.repeated_costs[1:]:
        problems.append("the same steps gave the same costs twice: dropout draws no new masks")
    return problems
