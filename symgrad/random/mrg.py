"""Random streams of MRG31k3p, with the numbers of Theano's ``MRG_RandomStreams``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from symgrad.config import config
from symgrad.errors import DTypeError, RangeError, ShapeError
from symgrad.graph.variables import Variable
from symgrad.kernels.mrg31k3p import M1, M2, STREAM_POWER, advance, substreams
from symgrad.ops.casting import cast
from symgrad.ops.comparison import eq, gt, lt
from symgrad.ops.creation import arange, zeros_like
from symgrad.ops.cumulative import cumsum
from symgrad.ops.elementwise import cos, log, sin, sqrt, switch
from symgrad.ops.joining import concatenate
from symgrad.ops.mrg import mrg_sample
from symgrad.ops.promotion import as_operand, upcast
from symgrad.ops.reduction import argmin
from symgrad.ops.reduction import sum as total_of
from symgrad.ops.shape import reshape
from symgrad.ops.sizes import size_of
from symgrad.tensor.variable import TensorSharedVariable, shared

MOST_STREAMS = 60 * 256
"""As many streams are used for one variable, at most; and for sizes that aren't known."""

TRUNCATED_DEVIATION = 0.87962566103423978
"""The standard deviation of a standard normal number that lies between -2 and 2."""


class MRG_RandomStreams:
    """A family of random streams that share a seed; each variable draws from many of them in turn.

    In all methods `size` is an int, a sequence of ints and symbolic integer scalars, or a symbolic integer vector.

    Parameters
    ----------
    seed : int or six ints
        From 1 to 2147462578; six numbers are a state: three below 2147483647, then three below 2147462579, and neither
        three are all zeros.

    Attributes
    ----------
    rstate : int32 array, shape (6,)
        The state that the next variable's streams begin with.
    state_updates : list of (shared variable, Variable, size, int)
        For each variable its states, int32 ``(streams, 6)``, their update, its size and the number of streams.

    Raises
    ------
    DTypeError, RangeError
        If the seed isn't one.

    Notes
    -----
    Methods, defaults and numbers are those of Theano's ``theano.sandbox.rng_mrg.MRG_RandomStreams``; the generator is
    described in `symgrad.kernels.mrg31k3p`. Programs without such a past use `RandomStreams`.

    Examples
    --------
    >>> from symgrad import function
    >>> streams = MRG_RandomStreams(234)
    >>> function([], streams.uniform((2,)))().round(4)
    array([0.4499, 0.3062], dtype=float32)
    """

    def __init__(self, seed: Any = 12345) -> None:
        self.default_instance_seed = seed
        self.state_updates: list[tuple[TensorSharedVariable, Any, Any, int]] = []
        self.set_rstate(seed)

    def set_rstate(self, seed: Any) -> None:
        """Begin anew from a seed; variables that exist go on as they were."""
        self.rstate = _checked_seed(seed)

    def seed(self, seed: Any = None) -> None:
        """Set the streams of all variables back to their beginning, under another seed.

        Parameters
        ----------
        seed : int or six ints, optional
            The new seed; None takes the one that this object was made with.
        """
        self.set_rstate(self.default_instance_seed if seed is None else seed)
        for states, _, _, streams in self.state_updates:
            states.set_value(self._next_states(streams), borrow=True)

    def updates(self) -> list[tuple[TensorSharedVariable, Any, Any, int]]:
        """Return what `state_updates` holds; the updates are default updates anyway."""
        return list(self.state_updates)

    def inc_rstate(self) -> None:
        """Move on to the streams of the next variable."""
        self.rstate = advance(self.rstate, STREAM_POWER)

    def get_substream_rstates(self, n_streams: int, dtype: str, inc_rstate: bool = True) -> np.ndarray:
        """Return the states of streams that nobody uses yet, int32 ``(n_streams, 6)``."""
        states = substreams(self.rstate, n_streams)
        if inc_rstate:
            self.inc_rstate()
        return states

    def n_streams(self, size: Any) -> int:
        """Return how many streams a sample is drawn from."""
        if isinstance(size, tuple | list) and all(isinstance(length, int | np.integer) for length in size):
            count = prod([int(length) for length in size])
            return min(count // 6 if count > 6 else max(count, 1), MOST_STREAMS)
        return MOST_STREAMS

    def _next_states(self, streams: int) -> np.ndarray:
        return self.get_substream_rstates(streams, "int32")

    # ---- distributions ----

    def uniform(
        self, size: Any, low: Any = 0.0, high: Any = 1.0, ndim: int | None = None, dtype: str | None = None,
        nstreams: int | None = None, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Return numbers uniform between `low` and `high`, neither of which comes up where they are 0 and 1.

        Parameters
        ----------
        size
            As the class says.
        low, high : tensor
            The bounds.
        ndim : int, optional
            The number of sizes; only checked.
        dtype : {'float32', 'float64'}, optional
            By default ``floatX``, or the bounds' common dtype if they are float64.
        nstreams : int, optional
            From how many streams to draw.

        Returns
        -------
        tensor of `dtype`

        Raises
        ------
        ShapeError, DTypeError
            If size, dtype or `ndim` don't fit.
        """
        _nothing_more(kwargs)
        low, high = as_operand(low), as_operand(high)
        if dtype is None:
            dtype = upcast(str(config.floatX), *[v.type.dtype for v in (low, high) if v.type.ndim or _is_wide(v)])
        size = _sizes(size, ndim)
        streams = nstreams or self.n_streams(size)
        states = shared(self._next_states(streams), f"mrg_states_{len(self.state_updates)}")
        new_states, sample = mrg_sample(states, size, dtype)
        states.default_update = new_states
        self.state_updates.append((states, new_states, size, streams))
        result = sample * (cast(high, dtype) - cast(low, dtype)) + cast(low, dtype)
        if result.type.ndim != sample.type.ndim:
            raise ShapeError(f"uniform got {sample.type.ndim} sizes, and bounds of {result.type.ndim} axes")
        result.rng, result.update = states, (states, new_states)
        return result

    def binomial(
        self, size: Any = None, n: Any = 1, p: Any = 0.5, ndim: int | None = None, dtype: str = "int64",
        nstreams: int | None = None, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Return ones with probability `p`, and zeros.

        Parameters
        ----------
        size, ndim, nstreams
            As `uniform`.
        n : int
            1: Theano's class draws nothing else.
        p : tensor
            The probability of a one.
        dtype : str
            The dtype of the result.

        Raises
        ------
        RangeError
            If `n` isn't 1.
        """
        _nothing_more(kwargs)
        if isinstance(n, Variable) or n != 1:
            raise RangeError(f"MRG_RandomStreams.binomial draws for n=1 only, got n={n}; RandomStreams takes any n")
        narrow = dtype == "float32" and config.floatX == "float32"
        drawn = self.uniform(size, ndim=ndim, nstreams=nstreams, dtype="float32" if narrow else None)
        return cast(lt(drawn, p), dtype)

    def multinomial(
        self, size: Any = None, n: Any = 1, pvals: Any = None, ndim: int | None = None, dtype: str = "int64",
        nstreams: int | None = None, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Return how often each category comes up in `n` trials, for each row of probabilities.

        Parameters
        ----------
        size : None, or the number of rows
            Only checked.
        n : int or integer scalar
            The number of trials.
        pvals : float matrix, shape (rows, categories)
            Probabilities; each row adds up to 1.
        ndim : int, optional
            1, the number of sizes.
        dtype : str
            The dtype of the result.
        nstreams : int, optional
            From how many streams to draw.

        Returns
        -------
        matrix of `dtype`, shape (rows, categories)
        """
        _nothing_more(kwargs)
        pvals, rows = _rows_of(pvals, "multinomial", size, ndim)
        chosen = self._chosen(pvals, [rows * n if isinstance(n, Variable) else rows * int(n)], nstreams, n)
        categories = arange(size_of(pvals, 1)).dimshuffle("x", "x", 0)
        hits = eq(chosen.dimshuffle(0, 1, "x"), categories)
        return cast(total_of(cast(hits, "int64"), axis=0), dtype)

    def _chosen(self, pvals: Any, size: Any, nstreams: int | None, n: Any) -> Any:
        """Return the categories, ``(n, rows)``: the first whose cumulated probability exceeds a uniform number."""
        drawn = self.uniform(size, nstreams=nstreams)
        drawn = reshape(drawn, [n, size_of(pvals, 0)])
        reached = gt(cumsum(pvals, axis=1).dimshuffle("x", 0, 1), drawn.dimshuffle(0, 1, "x"))
        return total_of(cast(eq(cast(reached, "int8"), 0), "int64"), axis=2)

    def choice(
        self, size: Any = 1, a: Any = None, replace: bool = True, p: Any = None, ndim: int | None = None,
        dtype: str = "int64", nstreams: int | None = None, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Return `size` categories for each row of probabilities.

        Parameters
        ----------
        size : int or integer scalar
            How many are chosen.
        a : None
            What Theano's class takes here doesn't matter: categories are numbered.
        replace : bool
            Whether a category may come up more than once in a row.
        p : float matrix, shape (rows, categories)
            Probabilities.
        ndim, dtype, nstreams
            As `multinomial`.

        Returns
        -------
        matrix of `dtype`, shape (rows, size)
        """
        _nothing_more(kwargs)
        if a is not None:
            raise DTypeError("MRG_RandomStreams.choice numbers the categories of p: leave a out, index with the result")
        p, rows = _rows_of(p, "choice", None, ndim)
        if isinstance(size, list | tuple):
            (size,) = size
        if replace:
            chosen = self._chosen(p, [rows * size], nstreams, size)
            return cast(chosen.dimshuffle(1, 0), dtype)
        if isinstance(size, Variable):
            raise DTypeError("choice without replacement needs a size that is known now")
        drawn = reshape(self.uniform([rows * int(size)], nstreams=nstreams), [int(size), rows])
        columns = []
        for number in range(int(size)):
            bound = drawn[number] * total_of(p, axis=1)
            reached = gt(cumsum(p, axis=1), bound.dimshuffle(0, "x"))
            column = argmin(cast(eq(cast(reached, "int8"), 0), "int8"), axis=1)
            columns.append(cast(column, dtype).dimshuffle(0, "x"))
            is_chosen = eq(arange(size_of(p, 1)).dimshuffle("x", 0), column.dimshuffle(0, "x"))
            p = switch(is_chosen, zeros_like(p), p)
        return concatenate(columns, axis=1)

    def multinomial_wo_replacement(
        self, size: Any = None, n: Any = 1, pvals: Any = None, replace: bool = False, ndim: int | None = None,
        dtype: str = "int64", nstreams: int | None = None, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Return `n` different categories for each row of probabilities; the older name of `choice`."""
        return self.choice(n, None, replace, pvals, ndim, dtype, nstreams, **kwargs)

    def normal(
        self, size: Any, avg: Any = 0.0, std: Any = 1.0, ndim: int | None = None, dtype: str | None = None,
        nstreams: int | None = None, truncate: bool = False, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Return normal numbers, by the Box-Muller transform.

        Parameters
        ----------
        size, ndim, nstreams
            As `uniform`.
        avg, std : tensor
            Mean and standard deviation.
        dtype : {'float32', 'float64'}, optional
            By default the common dtype of ``floatX``, `avg` and `std`.
        truncate : bool
            Whether numbers further than two standard deviations from the mean are drawn again.

        Returns
        -------
        tensor of `dtype`
        """
        _nothing_more(kwargs)
        size = _sizes(size, ndim)
        avg, std = as_operand(avg), as_operand(std)
        if dtype is None:
            dtype = upcast(str(config.floatX), *[v.type.dtype for v in (avg, std) if v.type.ndim or _is_wide(v)])
        avg, std = cast(avg, dtype), cast(std, dtype)
        count = _product(size)
        even = count + count % 2
        drawn = self.uniform((even,), dtype=dtype, nstreams=nstreams)
        half = even // 2
        first, angles = drawn[:half], drawn[half:] * np.array(2.0 * math.pi, dtype)
        pair = cos(angles), sin(angles)
        radius = sqrt(log(first) * np.array(-2.0, dtype))
        parts = [radius * direction for direction in pair]
        if truncate:
            parts = self._drawn_again(parts, pair, dtype, nstreams)
        numbers = concatenate(parts)
        samples = numbers if isinstance(count, int) and count % 2 == 0 else numbers[:count]
        return reshape(samples, size) * std + avg

    def _drawn_again(self, parts: Sequence[Any], pair: Sequence[Any], dtype: str, nstreams: int | None) -> list[Any]:
        """Replace numbers beyond two standard deviations: those that stay come first, in each of the two parts."""
        beyond = [gt(abs(part), np.array(2.0, dtype)) for part in parts]
        places = [found.nonzero()[0] for found in beyond]
        count = size_of(places[0], 0) + size_of(places[1], 0)
        drawn = self.uniform((count,), low=np.array(math.exp(-2), dtype), high=np.array(1.0, dtype), dtype=dtype,
                             nstreams=nstreams)  # fmt: skip
        radius = sqrt(log(drawn) * np.array(-2.0, dtype))
        split = size_of(places[0], 0)
        again = [radius[:split] * pair[0][places[0]], radius[split:] * pair[1][places[1]]]
        kept = [part[eq(cast(found, "int8"), 0).nonzero()[0]] for part, found in zip(parts, beyond, strict=True)]
        return [kept[0], again[0], kept[1], again[1]]

    def truncated_normal(
        self, size: Any, avg: Any = 0.0, std: Any = 1.0, ndim: int | None = None, dtype: str | None = None,
        nstreams: int | None = None, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Return normal numbers cut off at two deviations, of mean `avg` and, after cutting, deviation `std`."""
        return self.normal(size, avg, std / TRUNCATED_DEVIATION, ndim, dtype, nstreams, truncate=True, **kwargs)


def _checked_seed(seed: Any) -> np.ndarray:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer | list | tuple | np.ndarray):
        raise DTypeError(f"a seed is an integer or six of them, got {type(seed).__name__} {seed!r:.60}")
    if isinstance(seed, int | np.integer):
        if not 0 < seed < M2:
            raise RangeError(f"a seed must lie between 1 and {M2 - 1}, got {seed}")
        return np.full(6, seed, "int32")
    words = [int(word) for word in np.asarray(seed).ravel()]
    if len(words) != 6:
        raise RangeError(f"a state has six numbers, got {len(words)}")
    for half, modulus in ((words[:3], M1), (words[3:], M2)):
        if not any(half) or not all(0 <= word < modulus for word in half):
            raise RangeError(f"three numbers of a state must lie below {modulus} and not all be 0, got {half}")
    return np.array(words, "int32")


def _sizes(size: Any, ndim: int | None) -> Any:
    """Return sizes as a tuple, or as the vector that they are; check how many there are."""
    if isinstance(size, int | np.integer) or (isinstance(size, Variable) and size.type.ndim == 0):  # type: ignore[attr-defined]
        size = (size,)
    if size is None:
        raise ShapeError("MRG_RandomStreams needs a size: one or several numbers")
    if not isinstance(size, Variable):
        size = tuple([int(each) if isinstance(each, np.integer) else each for each in size])
        if any(isinstance(each, int) and each <= 0 for each in size):
            raise ShapeError(f"MRG_RandomStreams draws one number or more along each axis, got size {size}")
        if ndim is not None and ndim != len(size):
            raise ShapeError(f"got {len(size)} sizes and ndim={ndim}")
    return size


def _product(size: Any) -> Any:
    if isinstance(size, Variable):
        return size.prod()  # type: ignore[attr-defined]
    return prod(size)


def _rows_of(pvals: Any, name: str, size: Any, ndim: int | None) -> tuple[Any, Any]:
    """Return probabilities, and how many rows they have."""
    if pvals is None:
        raise ShapeError(f"MRG_RandomStreams.{name} needs probabilities: a matrix with a row for each result")
    matrix = as_operand(pvals)
    if matrix.type.ndim != 2:
        raise ShapeError(f"MRG_RandomStreams.{name} takes a matrix of probabilities, got {matrix.type}")
    if size is not None and not isinstance(size, Variable) and len(np.atleast_1d(size)) != 1:
        raise ShapeError(f"MRG_RandomStreams.{name} takes one size, the number of rows, got {size}")
    if ndim is not None and ndim != 1:
        raise ShapeError(f"MRG_RandomStreams.{name} takes ndim=1, got {ndim}")
    rows = matrix.type.shape[0]
    return matrix, rows if rows is not None else size_of(matrix, 0)


def _is_wide(variable: Any) -> bool:
    """Whether a scalar isn't just a Python number: then its dtype counts."""
    return variable.owner is not None or not hasattr(variable, "data")


def _nothing_more(kwargs: dict[str, Any]) -> None:
    if kwargs:
        raise TypeError(f"MRG_RandomStreams doesn't take {', '.join(sorted(kwargs))}")


__all__ = ["MRG_RandomStreams"]
