"""Whether all peers compute the same step: the comparison that has to pass before anything is timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.expressions import Expression
from benchmarks.sequences import SequenceWorkload
from benchmarks.workloads import AnyWorkload, Workload

TOLERANCE = 1e-4
"""Largest relative difference of costs and of parameter norms."""

CHANGE_TOLERANCE = 0.05
"""Largest relative difference of what the steps changed in a parameter: float32 rounding of small changes is in it."""

RESULT_TOLERANCE = 1e-3
"""Largest difference of an element of a result, relative to the root mean square: sums of unlike signs are in it."""


class CheckFailure(Exception):
    """Peers disagree; the message lists every difference."""


@dataclass(frozen=True)
class Record:
    """What a peer's first steps did, from the workload's initial parameters, or the result of an expression.

    Attributes
    ----------
    costs : list of float
        The cost of each step, before its update; empty for an expression.
    parameters : list of arrays
        After the last step; of an expression, its result.
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


def check(workload: AnyWorkload, records: dict[str, Record], reference: str) -> dict[str, float]:
    """Compare every peer's first steps with those of one of them.

    Parameters
    ----------
    workload : Workload, SequenceWorkload or Expression
        What was run.
    records : dict of Record
        By the peer's name.
    reference : str
        The peer that the others are compared with.

    Returns
    -------
    dict of float
        By name, the largest relative difference of a cost (of the first cost, where the step draws masks); of an
        expression, the largest difference of an element, relative to the root of the mean square of all.

    Raises
    ------
    CheckFailure
        If some peer disagrees, naming it and the quantity.
    """
    expected = records[reference]
    problems = [
        f"{name}: {problem}"
        for name, record in records.items()
        for problem in _disagreements(workload, record, expected)
    ]
    if problems:
        listing = "\n  ".join(problems)
        raise CheckFailure(f"{workload.name}: peers don't compute the step of {reference}\n  {listing}")
    if isinstance(workload, Expression):
        return {name: result_difference(record, expected) for name, record in records.items()}
    compared = 1 if workload.has_dropout else len(expected.costs)
    return {name: largest_difference(record.costs[:compared], expected.costs) for name, record in records.items()}


def _disagreements(workload: AnyWorkload, record: Record, reference: Record) -> list[str]:
    """Return one sentence for each quantity that is out of tolerance."""
    if isinstance(workload, Expression):
        return _expression_disagreements(record, reference)
    if workload.has_dropout:
        return _dropout_disagreements(record, reference)
    return _training_disagreements(workload, record, reference)


def result_difference(record: Record, reference: Record) -> float:
    """Return the largest difference of an element, relative to the root of the mean square of the reference's."""
    (value,), (expected,) = record.parameters, reference.parameters
    scale = np.sqrt(np.mean(np.square(expected, dtype=np.float64)))
    return float(np.max(np.abs(value - expected)) / scale)


def _expression_disagreements(record: Record, reference: Record) -> list[str]:
    """Compare a result element by element."""
    (value,), (expected,) = record.parameters, reference.parameters
    if value.shape != expected.shape or value.dtype != expected.dtype:
        return [f"the result is {value.dtype} {value.shape}, expected {expected.dtype} {expected.shape}"]
    difference = result_difference(record, reference)
    return [] if difference <= RESULT_TOLERANCE else [f"an element of the result is off by {difference:.3g}"]


def largest_difference(values: Sequence[float], references: Sequence[float]) -> float:
    """Return the largest relative difference of paired numbers."""
    return max(relative_difference(value, reference) for value, reference in zip(values, references, strict=False))


def _training_disagreements(
    workload: Workload | SequenceWorkload, record: Record, reference: Record
) -> list[str]:
    """Compare every cost, every parameter's norm, and what the steps changed in it."""
    problems = []
    for step, (cost, expected) in enumerate(zip(record.costs, reference.costs, strict=True)):
        if relative_difference(cost, expected) > TOLERANCE:
            problems.append(f"the cost of step {step} is {cost:.7g}, expected {expected:.7g}")
    names, initial = workload.parameter_names(), workload.initial_parameters()
    for name, value, wanted, start in zip(names, record.parameters, reference.parameters, initial, strict=True):
        if value.shape != wanted.shape:
            problems.append(f"{name} has shape {value.shape}, expected {wanted.shape}")
            continue
        norm, expected_norm = float(np.linalg.norm(value)), float(np.linalg.norm(wanted))
        if relative_difference(norm, expected_norm) > TOLERANCE:
            problems.append(f"the norm of {name} is {norm:.7g}, expected {expected_norm:.7g}")
        change, distance = np.linalg.norm(wanted - start), np.linalg.norm(value - wanted)
        if not distance <= CHANGE_TOLERANCE * change:
            problems.append(f"the change of {name} is off by {distance:.3g}, its norm is {change:.3g}")
    return problems


def _dropout_disagreements(record: Record, reference: Record) -> list[str]:
    """Compare what doesn't depend on the masks: the first cost (the softmax starts at zero), and that masks differ."""
    problems = []
    if relative_difference(record.costs[0], reference.costs[0]) > TOLERANCE:
        problems.append(f"the cost of step 0 is {record.costs[0]:.7g}, expected {reference.costs[0]:.7g}")
    if not (np.isfinite(record.costs).all() and all(np.isfinite(value).all() for value in record.parameters)):
        problems.append("a cost or a parameter isn't finite")
    if record.costs[1:] == record.repeated_costs[1:]:
        problems.append("the same steps gave the same costs twice: dropout draws no new masks")
    return problems
