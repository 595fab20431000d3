"""Plain expressions as workloads: one function of large arrays, and its gradient, as data that every peer reads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

SCALE, SHIFT = 1.5, -0.5
"""The a and b of the chain ``sigmoid(a x + b) tanh(x) + x**2``."""


@dataclass(frozen=True)
class Expression:
    """A function of float32 arrays, or its gradient with respect to the first of them.

    Parameters
    ----------
    name : str
        What ``--only`` takes.
    title : str
        What the table shows.
    function : str
        ``chain``, ``sigmoid(a x + b) tanh(x) + x**2`` elementwise; ``softmax`` of each row of x; ``logsumexp``, the
        logarithm of the sum of exponentials of each row.
    shape : tuple of int
        The shape of x.
    gradient : bool
        The gradient with respect to x instead of the value: of the sum of all elements for the chain, of
        ``sum(softmax(x) * c)`` for the softmax.
    in_place : bool
        The result goes where the last one was; otherwise every call returns a new array.
    """

    name: str
    title: str
    function: str
    shape: tuple[int, ...]
    gradient: bool = False
    in_place: bool = False

    @property
    def result_shape(self) -> tuple[int, ...]:
        """The shape of the result."""
        return self.shape[:-1] if self.function == "logsumexp" else self.shape

    @property
    def size(self) -> int:
        """The number of elements of x."""
        return math.prod(self.shape)

    def arrays(self, seed: int = 0) -> list[np.ndarray]:
        """Return x, and c for the gradient of the softmax; normal with deviation 2, float32."""
        random = np.random.Generator(np.random.SFC64(seed))
        count = 2 if self.gradient and self.function == "softmax" else 1
        return [2 * random.standard_normal(self.shape, np.float32) for _ in range(count)]

    def batch_count(self, example_count: int) -> int:
        """Return 1: an expression has no minibatches."""
        return 1


ELEMENTS = 10_000_000
ROWS = (4096, 1000)

EXPRESSIONS = (
    Expression("chain", "sigmoid(a x + b) tanh(x) + x^2, 10M", "chain", (ELEMENTS,)),
    Expression("chain-gradient", "gradient of the chain, 10M", "chain", (ELEMENTS,), gradient=True),
    Expression("chain-in-place", "the chain, into an array that is there", "chain", (ELEMENTS,), in_place=True),
    Expression(
        "chain-gradient-in-place",
        "gradient of the chain, into an array that is there",
        "chain",
        (ELEMENTS,),
        gradient=True,
        in_place=True,
    ),
    Expression("softmax", "softmax of 4096 rows of 1000", "softmax", ROWS),
    Expression("softmax-gradient", "gradient of the softmax, from a given cotangent", "softmax", ROWS, gradient=True),
    Expression("logsumexp", "log-sum-exp of 4096 rows of 1000", "logsumexp", ROWS),
)
"""Every expression, in the table's order."""
