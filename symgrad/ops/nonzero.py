"""Where a tensor isn't zero."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import RankError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, apply_op, register, user_error
from symgrad.graph.types import TensorType
from symgrad.ops.indexing import get_item
from symgrad.ops.joining import stack
from symgrad.ops.promotion import as_operand
from symgrad.ops.sampling import spread
from symgrad.ops.shape import flatten


@register
@dataclass(frozen=True)
class NonZero(Op):
    """For each axis, the positions of the elements that aren't zero, in row-major order: as many vectors as axes."""

    @property
    def name(self) -> str:
        return "nonzero"

    def infer(self, x: Any) -> list[TensorType]:
        if x.type.ndim == 0:
            raise InferenceError(RankError, f"nonzero needs at least one axis, got {x.type}", "Use T.neq(x, 0).")
        count = None if x.known is None else int(np.count_nonzero(x.known))
        return [TensorType("int64", (count,), (False,))] * x.type.ndim

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        return list(x.nonzero())

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [Disconnected("positions have no gradient")]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(), Sample((np.array([[0.0, 1.5, 0.0], [2.0, 0.0, np.nan]]),))
        yield cls(), Sample((spread(4, dtype="bool"),))
        yield cls(), Sample((spread(2, 1, 3, dtype="int8", low=0, high=1),))
        yield cls(), Sample((spread(0, 2, dtype="float32"),))
        yield cls(), Sample((np.zeros(3, "complex64"),))
        yield cls(), Sample((spread(),), ShapeError)


def nonzero(a: Any, return_matrix: bool = False) -> Any:
    """Return the positions of the elements that aren't zero.

    Parameters
    ----------
    a : tensor
        With at least one axis.
    return_matrix : bool
        Whether the vectors come as the rows of a matrix.

    Returns
    -------
    tuple of int64 vectors, or int64 matrix
        One for each axis of `a`, in row-major order of the elements: ``a[a.nonzero()]`` are the elements.

    Notes
    -----
    Keeps the behaviour of Theano's ``nonzero``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dmatrix('x')
    >>> rows, columns = T.nonzero(x)
    >>> print(rows.eval({x: [[0., 1.], [2., 0.]]}), columns.eval({x: [[0., 1.], [2., 0.]]}))
    [0 1] [1 0]
    """
    vectors = apply_op(NonZero(), [as_operand(a)]).outputs
    return stack(list(vectors)) if return_matrix else vectors


def flatnonzero(a: Any) -> Any:
    """Return the positions of the elements of the flattened tensor that aren't zero, as `numpy.flatnonzero`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.flatnonzero(T.constant([[0, 3], [4, 0]])).eval())
    [1 2]
    """
    return nonzero(_flat(a, "flatnonzero"))[0]


def _flat(a: Any, where: str) -> Any:
    a = as_operand(a)
    if a.type.ndim == 0:
        raise user_error(RankError, f"{where} needs at least one axis, got {a.type}", [a])
    return flatten(a)


def nonzero_values(a: Any) -> Any:
    """Return the elements that aren't zero, in row-major order.

    Notes
    -----
    Keeps the behaviour of Theano's ``nonzero_values``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.nonzero_values(T.constant([[0, 3], [4, 0]])).eval())
    [3 4]
    """
    flat = _flat(a, "nonzero_values")
    return get_item(flat, flatnonzero(flat))


__all__ = ["flatnonzero", "nonzero", "nonzero_values"]
