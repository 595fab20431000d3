"""Random numbers of the generator MRG31k3p: the states of many streams go in, and come out moved on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, register
from symgrad.graph.types import TensorType, dtype_name, shape_text
from symgrad.graph.variables import Apply
from symgrad.kernels.grammar import Kernel, Library
from symgrad.kernels.mrg31k3p import draw, substreams
from symgrad.kernels.random_sample import sample_sizes
from symgrad.ops.promotion import known_integer
from symgrad.ops.shape import split_sizes
from symgrad.ops.sizes import Sizes


@register
@dataclass(frozen=True)
class MRGSample(Op):
    """Draws numbers uniform on (0, 1): one of each stream in turn.

    Inputs are the states, int32 ``(streams, 6)``, and a scalar for each gap in `sizes`; outputs the new states and the
    sample. See `symgrad.kernels.mrg31k3p`.

    Parameters
    ----------
    dtype : {'float32', 'float64'}
        The dtype of the sample.
    sizes : tuple of (int or None)
        The sizes of the sample.
    """

    dtype: str
    sizes: Sizes

    @property
    def name(self) -> str:
        return "mrg_sample"

    def infer(self, states: Any, *operands: Any) -> list[TensorType]:
        kind = states.type
        if self.dtype not in ("float32", "float64"):
            raise InferenceError(DTypeError, f"{self.name} gives float32 or float64, not {self.dtype}")
        if kind.dtype != "int32" or kind.ndim != 2 or kind.shape[1] not in (6, None):
            raise InferenceError(DTypeError, f"the states of MRG31k3p's streams are int32 (?, 6), got {kind}")
        given = iter(operands)
        sizes = [known_integer(next(given)) if size is None else size for size in self.sizes]
        if any(size is not None and size < 0 for size in sizes):
            raise InferenceError(ShapeError, f"{self.name} got a negative size: {shape_text(sizes)}")
        return [kind, TensorType(self.dtype, sizes)]

    def evaluate(self, states: np.ndarray, *operands: np.ndarray) -> list[np.ndarray]:
        sizes = sample_sizes(self.sizes, operands)
        new_states, numbers = draw(states, prod(sizes), self.dtype)
        return [new_states, numbers.reshape(sizes)]

    def gradient(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        return [Disconnected("a sample is taken as a constant")] * len(inputs)

    def pushforward(self, inputs: Any, outputs: Any, tangents: Any) -> list[Any]:
        """A sample is taken as a constant, as in reverse mode."""
        return [None, None]

    def lower(self, apply: Apply) -> Kernel:
        return Library("mrg_sample", (("dtype", self.dtype), ("sizes", self.sizes)))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        def sample(op: Op, *arguments: np.ndarray, error: Any = None) -> tuple[Op, Sample]:
            return op, Sample(arguments, error, differentiable=False)

        seed = np.full(6, 234, "int32")
        return [
            sample(cls("float64", (2, 3)), substreams(seed, 2)),
            sample(cls("float32", (7, 15)), substreams(seed, 17)),
            sample(cls("float32", (300,)), substreams(seed, 130)),
            sample(cls("float32", (5,)), substreams(seed, 9)),
            sample(cls("float64", (None, 2)), substreams(seed, 1), np.array(3)),
            sample(cls("float64", ()), substreams(seed, 1)),
            sample(cls("float32", (0, 2)), substreams(seed, 3)),
            sample(cls("float16", (2,)), substreams(seed, 1), error=DTypeError),
            sample(cls("float32", (2,)), np.zeros((2, 5), "int32"), error=DTypeError),
        ]


def mrg_sample(states: Any, size: Any, dtype: str) -> tuple[Any, Any]:
    """Return the new states, and numbers uniform on (0, 1).

    Parameters
    ----------
    states : int32 matrix, shape (streams, 6)
        The states of the streams.
    size : int, sequence of ints and integer scalars, or integer vector
        The sizes of the sample.
    dtype : {'float32', 'float64'}
        Its dtype.

    Examples
    --------
    >>> from symgrad.ops.promotion import as_operand
    >>> states = as_operand(substreams(np.full(6, 234, "int32"), 2))
    >>> mrg_sample(states, (2,), "float32")[1].eval().round(4)
    array([0.4499, 0.3062], dtype=float32)
    """
    sizes, operands = split_sizes(size, "mrg_sample")
    new_states, sample = MRGSample(dtype_name(dtype), sizes)(states, *operands)
    return new_states, sample


__all__ = ["MRGSample", "mrg_sample"]
