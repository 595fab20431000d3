"""Gradients inside graphs that ops hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from symgrad.control.patterns import fit_pattern
from symgrad.gradient.reverse import grad
from symgrad.graph.op import Disconnected
from symgrad.graph.variables import Variable
from symgrad.ops.identity import Identity
from symgrad.ops.promotion import is_discrete


@dataclass(frozen=True)
class Result(Identity):
    """An output of a graph, apart from the same variable inside: its cotangent is added to what comes from inside."""

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [cotangents[0]]


def gradients_inside(cotangents: Iterable[tuple[Any, Any]], wrt: Sequence[Any]) -> dict[Variable, Any]:
    """Return the cotangents of variables of a graph, of those that have one.

    Parameters
    ----------
    cotangents : pairs
        Outputs, and their cotangents.
    wrt : sequence of Variable
        Float variables.
    """
    seeds = {Result()(output): cotangent for output, cotangent in cotangents}
    if not seeds or not wrt:
        return {}
    found = grad(
        None, list(wrt), known_grads=seeds, disconnected_inputs="ignore", add_names=False, return_disconnected="none"
    )
    return {v: fit_pattern(value, v.type) for v, value in zip(wrt, found, strict=True) if value is not None}


def missing(operand: Any, where: str) -> Disconnected:
    """Return the reason why an operand of an op has no gradient."""
    if is_discrete(operand.type.dtype):
        return Disconnected(f"{operand} is {operand.type.dtype}")
    return Disconnected(f"no differentiable path leads through {where}")
