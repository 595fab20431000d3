"""Whether two peers did the same on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.check import CheckFailure, Record, check, largest_difference
from benchmarks.expressions import Expression
from benchmarks.gpu_parts.workloads import Block, Product, precision_of

COST_TOLERANCES = {"float32": 1e-3, "tf32": 1e-2, "bfloat16": 3e-2}
"""Largest relative difference of a cost of a block."""

NORM_TOLERANCES = {"float32": 1e-4, "tf32": 1e-3, "bfloat16": 1e-2}
"""Largest relative difference of a parameter's norm."""

RESULT_TOLERANCES = {"float32": 1e-4, "tf32": 5e-3, "bfloat16": 5e-2}
"""Largest difference of an element of a product, relative to the root of the mean square."""


def disagreement(work: Any, record: Record, reference: Record) -> float:
    """Return how far a record is from another, relatively.

    Raises
    ------
    CheckFailure
        If it is too far.
    """
    if isinstance(work, Block):
        return _block(work, record, reference)
    if isinstance(work, (Product, Expression)):
        tolerance = RESULT_TOLERANCES[precision_of(work)] if isinstance(work, Product) else 1e-3
        return _within(_result_difference(record, reference), tolerance, "an element of the result")
    found = check(work, {"it": record, "reference": reference}, "reference")
    return found["it"]


def _block(block: Block, record: Record, reference: Record) -> float:
    difference = largest_difference(record.costs, reference.costs)
    _within(difference, COST_TOLERANCES[block.precision], "a cost")
    for name, value, wanted in zip(block.parameter_names(), record.parameters, reference.parameters, strict=True):
        off = np.linalg.norm(value - wanted) / max(float(np.linalg.norm(wanted)), 1e-3)
        _within(float(off), NORM_TOLERANCES[block.precision], name)
    return difference


def _result_difference(record: Record, reference: Record) -> float:
    (value,), (wanted,) = record.parameters, reference.parameters
    if value.shape != wanted.shape:
        raise CheckFailure(f"the result has shape {value.shape}, expected {wanted.shape}")
    return float(np.max(np.abs(value - wanted)) / np.sqrt(np.mean(np.square(wanted, dtype=np.float64))))


def _within(difference: float, tolerance: float, what: str) -> float:
    """Return the difference; raises if it is more than the tolerance, or no number."""
    if not difference <= tolerance:
        raise CheckFailure(f"{what} is off by {difference:.3g}, at most {tolerance:.3g} is rounding")
    return difference
