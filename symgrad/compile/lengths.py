"""Lengths of slices whose bounds only the call knows: ``x[i * n : (i + 1) * n]`` has n rows, if it lies inside x.

A native program is bound to such lengths, and checks on each call that the slice lies inside; where it doesn't, NumPy's
clipping gives another length, and the call goes through the NumPy backend.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.graph.variables import Constant, Variable
from symgrad.kernels.grammar import Fixed, FromOperand, Map, Range, Slice, View
from symgrad.lowering import Step

Terms = dict[Variable | None, int]
"""A sum: coefficients of scalars; of None, the constant."""

MAXIMAL_TERMS = 8


def slice_lengths(steps: Sequence[Step]) -> dict[Variable, tuple[int | None, ...]]:
    """Return the lengths that runtime slices have, by their output; None for axes about which nothing is known.

    Parameters
    ----------
    steps : sequence of Step
        Kernels, causes first.
    """
    sums: dict[Variable, Terms] = {}
    lengths: dict[Variable, tuple[int | None, ...]] = {}
    for step in steps:
        if isinstance(step.kernel, View) and isinstance(step.kernel.how, Slice):
            found = _lengths(step.kernel.how, step.inputs, sums)
            if any(length is not None for length in found):
                lengths[step.outputs[0]] = found
        elif isinstance(step.kernel, Map):
            total = _sum_of(step, sums)
            if total is not None and len(total) <= MAXIMAL_TERMS:
                sums[step.outputs[0]] = total
    return lengths


def _terms(variable: Variable, sums: dict[Variable, Terms]) -> Terms:
    if isinstance(variable, Constant):
        return {None: int(variable.data)}
    return sums.get(variable, {variable: 1})


def _is_integer(variable: Variable) -> bool:
    kind = variable.type
    return getattr(kind, "ndim", None) == 0 and str(getattr(kind, "dtype", "")) == "int64"


def _sum_of(step: Step, sums: dict[Variable, Terms]) -> Terms | None:
    """Return the output of a scalar int64 kernel as a sum, or None."""
    if not all(_is_integer(variable) for variable in (*step.inputs, *step.outputs)):
        return None
    name = step.kernel.function.name  # type: ignore[attr-defined]
    operands = [_terms(variable, sums) for variable in step.inputs]
    if name == "cast_int64":
        return operands[0]
    if name in ("add", "subtract"):
        return _plus(operands[0], operands[1], 1 if name == "add" else -1)
    if name == "multiply":
        for factor, other in (operands, operands[::-1]):
            if set(factor) <= {None}:
                return {scalar: factor.get(None, 0) * count for scalar, count in other.items()}
    return None


def _plus(left: Terms, right: Terms, sign: int) -> Terms:
    total = dict(left)
    for scalar, count in right.items():
        total[scalar] = total.get(scalar, 0) + sign * count
    return {scalar: count for scalar, count in total.items() if count}


def _lengths(how: Slice, inputs: Sequence[Variable], sums: dict[Variable, Terms]) -> tuple[int | None, ...]:
    given = iter(inputs[1:])
    lengths: list[int | None] = []
    for entry in how.index:
        if isinstance(entry, Fixed):
            continue
        if isinstance(entry, FromOperand):
            next(given)
        elif isinstance(entry, Range):
            ends = [next(given) if isinstance(bound, FromOperand) else bound for bound in
                    (entry.start, entry.stop, entry.step)]  # fmt: skip
            lengths.append(_length(entry, ends, sums))
        else:
            next(given)
            return ()
    return tuple(lengths)


def _length(entry: Range, ends: Sequence[Variable | int | None], sums: dict[Variable, Terms]) -> int | None:
    start, stop, step = ends
    if not isinstance(entry.start, FromOperand) or not isinstance(entry.stop, FromOperand) or step not in (None, 1):
        return None
    if not isinstance(start, Variable) or not isinstance(stop, Variable):
        return None
    if not (_is_integer(start) and _is_integer(stop)):
        return None
    difference = _plus(_terms(stop, sums), _terms(start, sums), -1)
    length = difference.get(None, 0)
    return length if set(difference) <= {None} and length >= 0 else None
