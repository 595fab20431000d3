"""``theano.sandbox.rng_mrg``: the generator under the names that programs use below `MRG_RandomStreams`."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.kernels.mrg31k3p import M1, M2
from symgrad.ops.mrg import mrg_sample
from symgrad.random import MRG_RandomStreams


def guess_n_streams(size: Any, warn: bool = False) -> int:
    """Return from how many streams a sample of a size is drawn.

    Examples
    --------
    >>> guess_n_streams((4, 5)), guess_n_streams((1000, 1000))
    (3, 15360)
    """
    return MRG_RandomStreams(1).n_streams(size)


def matVecModM(A: Any, s: Any, m: int) -> np.ndarray:
    """Return the product of a matrix and a vector, modulo `m`."""
    product = np.asarray(A, object) @ np.asarray(s, object) % int(m)
    return product.astype("int32")


def multMatVect(v: Any, A: Any, m1: int, B: Any, m2: int) -> np.ndarray:
    """Return the state of six numbers whose first half is multiplied by `A` modulo `m1`, the other by `B` modulo `m2`.

    Examples
    --------
    >>> multMatVect([1, 2, 3, 4, 5, 6], np.eye(3, dtype=int), M1, 2 * np.eye(3, dtype=int), 11).tolist()
    [1, 2, 3, 8, 10, 1]
    """
    return np.concatenate([matVecModM(A, v[:3], m1), matVecModM(B, v[3:], m2)])


class mrg_uniform:
    """The op that draws: ``mrg_uniform(output_type)(states, size)`` returns the states after it and the sample.

    Parameters
    ----------
    output_type : TensorType
        The type of the sample.
    inplace : bool
        Accepted.
    """

    def __init__(self, output_type: Any, inplace: bool = False) -> None:
        self.output_type, self.inplace = output_type, inplace

    def __call__(self, rstate: Any, size: Any) -> list[Any]:
        """Return the next states, and numbers between 0 and 1."""
        return list(mrg_sample(rstate, size, self.output_type.dtype))

    @classmethod
    def new(cls, rstate: Any, ndim: int | None, dtype: str, size: Any) -> list[Any]:
        """Return the next states, and numbers between 0 and 1 of a dtype."""
        return list(mrg_sample(rstate, size, dtype))


__all__ = ["M1", "M2", "guess_n_streams", "matVecModM", "mrg_uniform", "multMatVect"]
