"""A gradient step on a matrix that also passes the gradient on. Made by rewriting only."""

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
class GemmAndProduct(Op):
    """``c + (beta * c + alpha * a @ b)`` together with ``b @ c.T``: each element of c is read once.

    In a layer of weights c, with cotangent b of its output, the second result is the cotangent of its input. Made by
    rewriting only.

    Parameters
    ----------
    squares : bool
        Whether a third result is wanted: the sum of squares of each row of c.
    """

    squares: bool

    @property
    def name(self) -> str:
        return "gemm_and_product"

    def infer(self, c: Any, alpha: Any, a: Any, b: Any, beta: Any) -> list[TensorType]:
        step = Gemm().infer(c, alpha, a, b, beta)
        (rows, _), dtype = step[0].shape, c.type.dtype
        lengths = [rows] if self.squares else []
        product = TensorType(dtype, (b.type.shape[0], rows), (b.type.broadcastable[0], c.type.broadcastable[0]))
        return [*step, product, *[TensorType(dtype, (size,), c.type.broadcastable[:1]) for size in lengths]]

    def evaluate(self, *inputs: np.ndarray) -> list[np.ndarray]:
        c, _, _, b, _ = inputs
        squares = [np.asarray(np.sum(np.square(c), axis=1), dtype=c.dtype)] if self.squares else []
        return [*Gemm().evaluate(*inputs), np.asarray(np.dot(b, c.T)), *squares]

    def lower(self, apply: Apply) -> Kernel:
        return Library("gemm_and_product", (("squares", self.squares),), overwrites=0)

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for dtype, squares in (("float64", False), ("float64", True), ("float32", True)):
            alpha, beta = number(0.5, dtype), number(-1.5, dtype)
            a, b, c = [spread(*shape, dtype=dtype, start=9 * i) for i, shape in enumerate([(5, 3), (3, 4), (5, 4)])]
            yield cls(squares), Sample((c, alpha, a, b, beta), differentiable=False)
            yield cls(squares), Sample((c, alpha, a[:, :0], b[:0], beta), differentiable=False)
            yield cls(squares), Sample((c[:0], alpha, a[:0], b, beta), differentiable=False)
            yield cls(squares), Sample((c[:, :0], alpha, a, b[:, :0], beta), differentiable=False)
        yield cls(True), Sample((c[:1], alpha, a, b, beta), ShapeError)
        yield cls(False), Sample((c, alpha, b, a, beta), ShapeError)
