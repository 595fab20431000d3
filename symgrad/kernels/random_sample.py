"""Every distribution by name, with the parameters that it takes: ops describe themselves by it, backends look it up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from symgrad.errors import RangeError
from symgrad.kernels.binomial import binomial
from symgrad.kernels.categorical import choice, multinomial, permutation
from symgrad.kernels.distributions import bernoulli, normal, random_integers, uniform
from symgrad.kernels.philox import Lanes

Array = NDArray[Any]
Sizes = tuple[int, ...]

REAL = "iubf"
WHOLE = "iub"

FLOAT_DTYPES = ("float32", "float64")
INTEGER_DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
COUNT_DTYPES = ("bool", *INTEGER_DTYPES, "float16", *FLOAT_DTYPES)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a distribution.

    Parameters
    ----------
    name : str
        Its name.
    kinds : str
        The NumPy dtype kinds that it accepts: `REAL` or `WHOLE`.
    own_axes : int
        How many of its last axes belong to one draw: 1 for the probabilities of categories.
    stretches : bool
        Whether its other axes broadcast against the sizes of the sample; a parameter that doesn't has none.
    """

    name: str
    kinds: str = REAL
    own_axes: int = 0
    stretches: bool = True


@dataclass(frozen=True)
class Distribution:
    """What a random sample is drawn from.

    Parameters
    ----------
    name : str
        Its name.
    parameters : tuple of Parameter
        What it takes, in order.
    dtypes : tuple of str
        The dtypes that a sample may have.
    sampler : callable
        ``sampler(state, sizes, *parameters, dtype, out)`` returns the sample.
    """

    name: str
    parameters: tuple[Parameter, ...]
    dtypes: tuple[str, ...]
    sampler: Callable[..., Array]

    def sample(
        self, state: Lanes, sizes: Sizes, parameters: Sequence[ArrayLike], dtype: str, out: Array | None = None
    ) -> Array:
        """Return a sample.

        Parameters
        ----------
        state : ndarray of uint64, shape (3,)
            The state of the stream, see `symgrad.kernels.philox`; it is left as it is.
        sizes : tuple of int
            How many draws along each axis. A draw that isn't a single number (a permutation, a row of counts) adds
            an axis of its own at the end.
        parameters : sequence of array_like
            The parameters, in order.
        dtype : str
            The dtype of the sample.
        out : ndarray, optional
            Where to write.

        Raises
        ------
        RangeError
            If a parameter is out of range or doesn't fit the sizes, a result may not fit the dtype, or `state` isn't a
            state.
        TypeError
            If a parameter has a wrong dtype.

        Examples
        --------
        >>> from symgrad.kernels.philox import initial_state
        >>> DISTRIBUTIONS["bernoulli"].sample(initial_state(0), (8,), [0.5], "int8")
        array([1, 0, 0, 0, 0, 1, 0, 1], dtype=int8)
        """
        try:
            return self.sampler(state, sizes, *parameters, dtype, out)
        except ValueError as error:
            raise RangeError(f"{self.name}: {error}") from None


@lru_cache(maxsize=64)
def _largest_number(dtype: str) -> float:
    kind = np.dtype(dtype).kind
    if kind == "b":
        return 1
    return float(np.finfo(dtype).max) if kind == "f" else np.iinfo(dtype).max


def _require_room(what: str, largest: ArrayLike, dtype: str) -> None:
    """Raise ValueError if the largest possible result doesn't fit the dtype of the sample."""
    if dtype == "int64":
        return
    found = np.max(largest, initial=0)
    if found > _largest_number(dtype):
        raise ValueError(f"{what} may reach {found}, which doesn't fit {dtype}")


def _counts_of_successes(
    state: Lanes, sizes: Sizes, n: ArrayLike, p: ArrayLike, dtype: str, out: Array | None
) -> Array:
    _require_room("a count", n, dtype)
    return binomial(state, sizes, n, p, dtype, out)


def _counts_of_categories(
    state: Lanes, sizes: Sizes, n: ArrayLike, pvals: ArrayLike, dtype: str, out: Array | None
) -> Array:
    _require_room("a count", n, dtype)
    return multinomial(state, sizes, n, pvals, dtype, out)


def _permutations(state: Lanes, sizes: Sizes, n: Any, dtype: str, out: Array | None) -> Array:
    _require_room("a position", int(n) - 1, dtype)
    return permutation(state, sizes, n, dtype, out)


@dataclass(frozen=True)
class _Positions:
    """Chooses positions from 0 to ``a - 1``, with the probabilities `p` where they are given."""

    replace: bool

    def __call__(self, state: Lanes, sizes: Sizes, a: Any, *rest: Any) -> Array:
        *probabilities, dtype, out = rest
        _require_room("a position", int(a) - 1, dtype)
        chosen = choice(state, sizes, int(a), self.replace, *probabilities)
        if out is None:
            return chosen.astype(dtype, copy=False)
        out[...] = chosen
        return out  # type: ignore[no-any-return]


_p = Parameter("p")
_n = Parameter("n", WHOLE)
_single_n = Parameter("n", WHOLE, stretches=False)
_a = Parameter("a", WHOLE, stretches=False)
_p_of_each = Parameter("p", own_axes=1, stretches=False)

DISTRIBUTIONS = {
    distribution.name: distribution
    for distribution in (
        Distribution("uniform", (Parameter("low"), Parameter("high")), FLOAT_DTYPES, uniform),
        Distribution("normal", (Parameter("avg"), Parameter("std")), FLOAT_DTYPES, normal),
        Distribution("bernoulli", (_p,), COUNT_DTYPES, bernoulli),
        Distribution("binomial", (_n, _p), COUNT_DTYPES, _counts_of_successes),
        Distribution(
            "random_integers", (Parameter("low", WHOLE), Parameter("high", WHOLE)), INTEGER_DTYPES, random_integers
        ),
        Distribution("multinomial", (_n, Parameter("pvals", own_axes=1)), COUNT_DTYPES, _counts_of_categories),
        Distribution("permutation", (_single_n,), INTEGER_DTYPES, _permutations),
        Distribution("choice", (_a,), INTEGER_DTYPES, _Positions(replace=True)),
        Distribution("choice_without_replacement", (_a,), INTEGER_DTYPES, _Positions(replace=False)),
        Distribution("weighted_choice", (_a, _p_of_each), INTEGER_DTYPES, _Positions(replace=True)),
        Distribution(
            "weighted_choice_without_replacement", (_a, _p_of_each), INTEGER_DTYPES, _Positions(replace=False)
        ),
    )
}
"""All distributions. `binomial` with a single trial has the same bits as `bernoulli`."""


def sample_sizes(sizes: Sequence[int | None], operands: Sequence[Any]) -> Sizes:
    """Return sizes with each gap filled by the next operand."""
    given = iter(operands)
    return tuple([int(next(given)) if size is None else size for size in sizes])
