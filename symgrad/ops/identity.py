"""Ops that pass their operand on, and change only what the gradient sees."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.graph.op import Disconnected, Op, Sample, register
from symgrad.graph.types import Type
from symgrad.graph.variables import Apply
from symgrad.kernels.grammar import Same, View
from symgrad.ops.promotion import as_operand
from symgrad.ops.sampling import spread


@register
@dataclass(frozen=True)
class StopGradient(Op):
    """The operand itself, through which no gradient flows."""

    @property
    def name(self) -> str:
        return "disconnected_grad"

    def infer(self, x: Any) -> list[Type]:
        return [x.type]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        return [x]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [Disconnected("disconnected_grad stops the gradient")]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The output counts as constant."""
        return [None]

    def lower(self, apply: Apply) -> View:
        return View(Same())

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(), Sample((spread(2, 1, 0),))
        yield cls(), Sample((spread(3),), differentiable=False)


def disconnected_grad(x: Any) -> Any:
    """Return `x`, taken as constant by `grad` (Theano's ``disconnected_grad``)."""
    return StopGradient()(as_operand(x))

__all__ = [
    "disconnected_grad",
]  # fmt: skip
