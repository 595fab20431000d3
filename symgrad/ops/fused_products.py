"""A gradient step on a matrix that also does what else reads the matrix. Made by rewriting only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import ShapeError
from symgrad.graph.op import Op, Sample, register
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.kernels.grammar import Kernel, Library
from symgrad.ops.linalg import Gemm
from symgrad.ops.sampling import number, spread


@register
@dataclass(frozen=True)
class MatrixStep(Op):
    """``c + (beta * c + alpha * a @ b)`` together with other results that need c: each element of c is read once.

    In a layer of weights c, with cotangent b of its output, ``b @ c.T`` is the cotangent of its input.
    Made by rewriting only.

    Parameters
    ----------
    product : bool
        Whether ``b @ c.T`` is wanted.
    squares : bool
        Whether the sum of squares of each row of c is wanted.
    """

    product: bool
    squares: bool

    @property
    def name(self) -> str:
        return "matrix_step"

    def infer(self, c: Any, alpha: Any, a: Any, b: Any, beta: Any) -> list[TensorType]:
        (step,) = Gemm().infer(c, alpha, a, b, beta)
        rows, ones, dtype = step.shape[0], c.type.broadcastable[0], c.type.dtype
        product = TensorType(dtype, (b.type.shape[0], rows), (b.type.broadcastable[0], ones))
        squares = TensorType(dtype, (rows,), (ones,))
        return [step, *[product] * self.product, *[squares] * self.squares]

    def evaluate(self, *inputs: np.ndarray) -> list[np.ndarray]:
        c, _, _, b, _ = inputs
        results = Gemm().evaluate(*inputs)
        if self.product:
            results.append(np.asarray(np.dot(b, c.T)))
        if self.squares:
            results.append(np.asarray(np.sum(np.square(c), axis=1), dtype=c.dtype))
        return results

    def lower(self, apply: Apply) -> Kernel:
        return Library("matrix_step", (("product", self.product), ("squares", self.squares)), overwrites=0)

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for dtype, product, squares in (("float64", True, False), ("float64", False, True), ("float32", True, True)):
            op, alpha, beta = cls(product, squares), number(0.5, dtype), number(-1.5, dtype)
            a, b, c = [spread(*shape, dtype=dtype, start=9 * i) for i, shape in enumerate([(5, 3), (3, 4), (5, 4)])]
            yield op, Sample((c, alpha, a, b, beta), differentiable=False)
            yield op, Sample((c, alpha, a[:, :0], b[:0], beta), differentiable=False)
            yield op, Sample((c[:0], alpha, a[:0], b, beta), differentiable=False)
            yield op, Sample((c[:, :0], alpha, a, b[:, :0], beta), differentiable=False)
        yield cls(True, True), Sample((c[:1], alpha, a, b, beta), ShapeError)
        yield cls(True, False), Sample((c, alpha, b, a, beta), ShapeError)
