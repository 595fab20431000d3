"""``theano.tensor.raw_random``: each function takes a state, and returns the state after it and a sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad.config import config
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Variable
from symgrad.kernels.numpy_random import words_of
from symgrad.ops.numpy_random import STATE_TYPE, numpy_sample


class RandomStateType(TensorType):
    """The type of generators: variables of it are given a ``numpy.random.RandomState``."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(STATE_TYPE.dtype, STATE_TYPE.shape)

    def convert(self, value: Any, strict: bool = False, allow_downcast: bool | None = None) -> np.ndarray:
        """Return the state of a generator as words."""
        if isinstance(value, np.random.RandomState):
            return words_of(value)
        return super().convert(value, strict, allow_downcast)

    def values_eq(self, a: Any, b: Any, force_same_dtype: bool = True) -> bool:
        """Whether two generators, or their states as words, are in the same state."""
        return bool(np.array_equal(self.convert(a), self.convert(b)))

    def __reduce__(self) -> tuple[Any, ...]:
        return RandomStateType, ()


random_state_type = RandomStateType()


def _draw(
    distribution: str, state: Any, size: Any, parameters: Sequence[Any], ndim: int | None, dtype: Any
) -> tuple[Any, Any]:
    sample, after = numpy_sample(distribution, state, size, parameters, dtype, ndim)
    return after, sample


def uniform(
    random_state: Any, size: Any = None, low: Any = 0.0, high: Any = 1.0, ndim: Any = None, dtype: Any = None
) -> tuple[Any, Any]:
    """Return the next state, and numbers uniform between `low` and `high`, of floatX unless `dtype` says otherwise."""
    return _draw("uniform", random_state, size, (low, high), ndim, dtype or _float(low, high))


def normal(
    random_state: Any, size: Any = None, avg: Any = 0.0, std: Any = 1.0, ndim: Any = None, dtype: Any = None
) -> tuple[Any, Any]:
    """Return the next state, and normal numbers."""
    return _draw("normal", random_state, size, (avg, std), ndim, dtype or _float(avg, std))


def _float(*parameters: Any) -> str:
    """Return the dtype of a sample: that of the parameters where they are wider than floatX."""
    from symgrad.ops.promotion import as_operand, upcast

    found = [as_operand(parameter).type.dtype for parameter in parameters]
    return upcast(str(config.floatX), *found)


def binomial(
    random_state: Any,
    size: Any = None,
    n: Any = 1,
    p: Any = 0.5,
    ndim: Any = None,
    dtype: Any = "int64",
    prob: Any = None,
) -> tuple[Any, Any]:
    """Return the next state, and numbers of successes in `n` trials."""
    return _draw("binomial", random_state, size, (n, p if prob is None else prob), ndim, dtype)


def poisson(
    random_state: Any, size: Any = None, lam: Any = 1.0, ndim: Any = None, dtype: Any = "int64"
) -> tuple[Any, Any]:
    """Return the next state, and numbers of events of which `lam` are expected."""
    return _draw("poisson", random_state, size, (lam,), ndim, dtype)


def random_integers(
    random_state: Any, size: Any = None, low: Any = 0, high: Any = 1, ndim: Any = None, dtype: Any = "int64"
) -> tuple[Any, Any]:
    """Return the next state, and integers from `low` to `high`, both included."""
    return _draw("random_integers", random_state, size, (low, high), ndim, dtype)


def choice(
    random_state: Any,
    size: Any = None,
    a: Any = 2,
    replace: bool = True,
    p: Any = None,
    ndim: Any = None,
    dtype: Any = "int64",
) -> tuple[Any, Any]:
    """Return the next state, and elements of the vector `a`, or of ``0 .. a - 1``; a number `p` says nothing."""
    p = None if np.ndim(p) == 0 and not isinstance(p, Variable) else p
    distribution = ("choice" if p is None else "weighted_choice") + ("" if replace else "_without_replacement")
    return _draw(distribution, random_state, () if size is None else size, (a,) if p is None else (a, p), ndim, dtype)


def permutation(
    random_state: Any, size: Any = None, n: Any = 1, ndim: Any = None, dtype: Any = "int64"
) -> tuple[Any, Any]:
    """Return the next state, and permutations of ``0 .. n - 1`` along a last axis."""
    if size is None or (isinstance(size, list | tuple) and not size):
        if ndim not in (None, 0, 1):
            raise TypeError(f"a permutation without a size has one axis, not {ndim}")
        ndim = None
    return _draw("permutation", random_state, () if size is None else size, (n,), ndim, dtype)


def multinomial(
    random_state: Any,
    size: Any = None,
    n: Any = 1,
    pvals: Any = (0.5, 0.5),
    ndim: Any = None,
    dtype: Any = "int64",
) -> tuple[Any, Any]:
    """Return the next state, and how often each category comes up in `n` trials, along a last axis."""
    return _draw("multinomial", random_state, size, (n, pvals), ndim, dtype)


def permutation_helper(random_state: np.random.RandomState, n: Any, shape: Any) -> np.ndarray:
    """Return permutations of ``0 .. n - 1`` along a last axis, drawn from NumPy's generator."""
    shape = () if shape is None else tuple(int(size) for size in shape)
    drawn = [random_state.permutation(int(n)) for _ in range(int(np.prod(shape)))]
    return np.array(drawn, "int64").reshape(*shape, int(n))


class RandomFunction:
    """A distribution as an op: ``RandomFunction('uniform', outtype)(random_state, size, low, high)``.

    Parameters
    ----------
    fn : str
        The name of a method of NumPy's ``RandomState``.
    outtype : TensorType
        The type of the sample.
    inplace : bool
        Accepted.
    ndim_added : int
        How many axes one draw has.
    """

    def __init__(self, fn: Any, outtype: Any, inplace: bool = False, ndim_added: int = 0) -> None:
        self.fn = fn if isinstance(fn, str) else fn.__name__.removesuffix("_helper")
        self.outtype = outtype
        self.inplace = inplace
        self.ndim_added = ndim_added

    def __call__(self, r: Any, shape: Any, *args: Any) -> tuple[Any, Any]:
        """Return the next state, and the sample."""
        return _draw(self.fn, r, shape, args, None, self.outtype.dtype)


__all__ = [
    "RandomFunction", "RandomStateType", "binomial", "choice", "multinomial", "normal", "permutation",
    "permutation_helper", "poisson", "random_integers", "random_state_type", "uniform",
]  # fmt: skip
