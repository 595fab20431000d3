"""Rounding float32 to the numbers of a float of 16 bits: of operands, and of cotangents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError
from symgrad.graph.op import InferenceError, Op, Sample, register
from symgrad.graph.types import TensorType
from symgrad.ops.casting import Cast
from symgrad.ops.identity import Identity
from symgrad.ops.sampling import spread


@register
@dataclass(frozen=True)
class Rounded(Op):
    """Each element rounded to the nearest number that `dtype` holds; still float32. Gradients pass unrounded."""

    dtype: str

    @property
    def name(self) -> str:
        return f"rounded_to_{self.dtype}"

    def infer(self, x: Any) -> list[TensorType]:
        if x.type.dtype != "float32":
            raise InferenceError(DTypeError, f"{self.name} takes float32, got {x.type.dtype}")
        return [x.type]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        return [found for half in Cast(self.dtype).evaluate(x) for found in Cast("float32").evaluate(half)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [cotangents[0]]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangent passes unrounded, too."""
        return [tangents[0]]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls("float16"), Sample((spread(2, 3, dtype="float32"),), differentiable=False)
        yield cls("float16"), Sample((spread(2, 0, dtype="float32"),))
        yield cls("float16"), Sample((np.array([1e-9, 7e4, -np.inf, np.nan], "float32"),), differentiable=False)
        yield cls("float16"), Sample((spread(2),), DTypeError)


@register
@dataclass(frozen=True)
class RoundedGradient(Identity):
    """The operand itself, whose gradient is rounded to the nearest numbers that `dtype` holds."""

    dtype: str

    @property
    def name(self) -> str:
        return f"gradient_rounded_to_{self.dtype}"

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [Rounded(self.dtype)(cotangents[0])]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls("float16"), Sample((spread(2, 1, dtype="float32"),), differentiable=False)
        yield cls("float16"), Sample((spread(3, 0, dtype="float32"),))
