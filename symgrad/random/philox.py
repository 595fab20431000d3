"""Random streams of Philox4x32-10."""

from __future__ import annotations

import operator
import secrets
from functools import reduce
from typing import Any

from symgrad.config import config
from symgrad.errors import DTypeError, RangeError, ShapeError
from symgrad.graph.op import user_error
from symgrad.graph.variables import Constant, Variable
from symgrad.kernels.philox import KEY_BITS, initial_state
from symgrad.ops.casting import cast
from symgrad.ops.creation import arange
from symgrad.ops.promotion import as_operand
from symgrad.ops.random import advanced, sample_from
from symgrad.ops.shape import reshape
from symgrad.ops.sizes import size_of
from symgrad.tensor.variable import TensorSharedVariable, shared


class RandomStreams:
    """A family of random streams that share a seed.

    In all methods `size` is an int, a sequence of ints and symbolic integer scalars, or a symbolic integer vector (with
    `ndim`, its length, if that isn't known); None takes the sizes to which the parameters broadcast. Parameters are
    numbers, arrays or symbolic tensors, and broadcast against `size`.

    Parameters
    ----------
    seed : int, optional
        From 0 to ``2**64 - 1``. By default one from the operating system, which `default_instance_seed` tells.

    Attributes
    ----------
    default_instance_seed : int
        The seed.
    state_updates : list of (shared variable, Variable)
        The state of each stream, uint64 ``[seed, stream, step]``, and its update, in order of creation. Saving the
        states (``get_value``) and putting them back (``set_value``) continues where the program was.

    Raises
    ------
    DTypeError, RangeError
        If the seed isn't an integer of that range.

    Notes
    -----
    The methods have the names, arguments and defaults of Theano's ``RandomStreams``. The numbers are Philox4x32-10's,
    see `symgrad.kernels.philox`.

    Examples
    --------
    Dropout: a mask of zeros and ones, drawn anew in each call.

    >>> import symgrad, symgrad.tensor as T
    >>> x = T.matrix("x")
    >>> mask = RandomStreams(2).binomial(size=x.shape, n=1, p=0.5)
    >>> symgrad.function([x], x * mask)([[1.0, 2.0, 3.0, 4.0]])
    array([[1., 2., 0., 4.]], dtype=float32)
    """

    def __init__(self, seed: int | None = None) -> None:
        self.default_instance_seed = secrets.randbits(KEY_BITS) if seed is None else _checked_seed(seed)
        self._current_seed = self.default_instance_seed
        self.state_updates: list[tuple[TensorSharedVariable, Any]] = []

    def updates(self) -> list[tuple[TensorSharedVariable, Any]]:
        """Return the updates of all streams, for ``function(..., updates=...)``; they are default updates anyway."""
        return list(self.state_updates)

    def seed(self, seed: int | None = None) -> None:
        """Set every stream back to its first call, under another seed.

        Parameters
        ----------
        seed : int, optional
            The new seed; None takes the one that this object was made with.
        """
        key = self.default_instance_seed if seed is None else _checked_seed(seed)
        for stream, (state, _) in enumerate(self.state_updates):
            state.set_value(initial_state(key, stream))
        self._current_seed = key

    def uniform(
        self, size: Any = None, low: Any = 0.0, high: Any = 1.0, ndim: int | None = None, dtype: str | None = None
    ) -> Any:
        """Return numbers uniform on the half-open interval ``[low, high)``.

        Parameters
        ----------
        size, ndim
            As the class says.
        low, high : tensor
            The bounds.
        dtype : {'float32', 'float64'}, optional
            By default ``floatX``.

        Returns
        -------
        tensor of `dtype`

        Raises
        ------
        DTypeError, ShapeError
            If dtype, size and parameters don't fit.
        RangeError
            If `high` is below `low`. All methods raise these errors: on this line as far as sizes and values are known,
            else when the function is called.
        """
        return self._draw("uniform", size, (low, high), dtype or config.floatX, ndim)

    def normal(
        self, size: Any = None, avg: Any = 0.0, std: Any = 1.0, ndim: int | None = None, dtype: str | None = None
    ) -> Any:
        """Return normal numbers of mean `avg` and standard deviation `std`.

        A sample is constant to `grad`; for the gradient with respect to mean and deviation write
        ``avg + std * streams.normal(size)``.

        Parameters
        ----------
        size, ndim
            As the class says.
        avg, std : tensor
            Mean and standard deviation.
        dtype : {'float32', 'float64'}, optional
            By default ``floatX``.

        Returns
        -------
        tensor of `dtype`
        """
        return self._draw("normal", size, (avg, std), dtype or config.floatX, ndim)

    def bernoulli(self, size: Any = None, p: Any = 0.5, ndim: int | None = None, dtype: str | None = "int64") -> Any:
        """Return ones with probability `p`, and zeros; arguments as `binomial`."""
        return self._draw("bernoulli", size, (p,), dtype or "int64", ndim)

    def binomial(
        self,
        size: Any = None,
        n: Any = 1,
        p: Any = 0.5,
        ndim: int | None = None,
        dtype: str | None = "int64",
        prob: Any = None,
    ) -> Any:
        """Return the numbers of successes in `n` trials.

        Parameters
        ----------
        size, ndim
            As the class says.
        n : integer tensor
            The number of trials, 0 to ``2**40``.
        p : tensor
            The probability of a success, between 0 and 1.
        dtype : str
            Any dtype that isn't complex and holds `n`.
        prob : tensor, optional
            Another name of `p`.

        Returns
        -------
        tensor of `dtype`
        """
        p = p if prob is None else prob
        if _is_one(n):
            return self._draw("bernoulli", size, (p,), dtype or "int64", ndim)
        return self._draw("binomial", size, (n, p), dtype or "int64", ndim)

    def random_integers(
        self, size: Any = None, low: Any = 0, high: Any = 1, ndim: int | None = None, dtype: str | None = "int64"
    ) -> Any:
        """Return integers from `low` to `high`, both included, each equally likely.

        Parameters
        ----------
        size, ndim
            As the class says.
        low, high : integer tensor
            The bounds.
        dtype : str
            An integer dtype that holds the bounds.

        Returns
        -------
        tensor of `dtype`
        """
        return self._draw("random_integers", size, (low, high), dtype or "int64", ndim)

    def choice(
        self,
        size: Any = (),
        a: Any = 2,
        replace: bool = True,
        p: Any = None,
        ndim: int | None = None,
        dtype: str | None = None,
    ) -> Any:
        """Return random elements of `a`.

        Parameters
        ----------
        size, ndim
            As the class says; None is one element.
        a : integer scalar or vector
            What to choose from; an integer m stands for ``0 .. m - 1``.
        replace : bool
            Whether an element may come up more than once.
        p : vector, optional
            The probability of each element, by default all equal.
        dtype : str, optional
            By default that of the vector `a`, or int64.

        Returns
        -------
        tensor of `dtype`
            The gradient flows to a vector of floats `a`.
        """
        population = as_operand(a)
        if population.type.ndim > 1:
            raise user_error(
                ShapeError, f"choice takes an integer or a vector to choose from, got {population.type}", [population]
            )
        is_vector = population.type.ndim == 1
        count = size_of(population, 0) if is_vector else population
        distribution = ("" if p is None else "weighted_") + "choice" + ("" if replace else "_without_replacement")
        parameters = (count,) if p is None else (count, p)
        positions = self._draw(distribution, () if size is None else size, parameters, "int64", ndim)
        chosen = population[positions] if is_vector else positions
        return chosen if dtype is None else cast(chosen, dtype)

    def permutation(self, size: Any = None, n: Any = 1, ndim: int | None = None, dtype: str | None = "int64") -> Any:
        """Return random permutations of ``0 .. n - 1``, along a last axis that is added to `size`.

        Parameters
        ----------
        size, ndim
            As the class says; None is one permutation.
        n : integer scalar
            How many numbers to permute.
        dtype : str
            An integer dtype.

        Returns
        -------
        tensor of `dtype`, shape ``size + (n,)``
        """
        return self._draw("permutation", size, (n,), dtype or "int64", ndim)

    def multinomial(
        self,
        size: Any = None,
        n: Any = 1,
        pvals: Any = (0.5, 0.5),
        ndim: int | None = None,
        dtype: str | None = "int64",
    ) -> Any:
        """Return how often each of k categories comes up in `n` trials, along a last axis that is added to `size`.

        Parameters
        ----------
        size, ndim
            As the class says.
        n : integer tensor
            The number of trials.
        pvals : tensor, shape (..., k)
            The probabilities of the categories; each row adds up to 1.
        dtype : str
            Any dtype that isn't complex and holds `n`.

        Returns
        -------
        tensor of `dtype`, shape ``size + (k,)``
        """
        return self._draw("multinomial", size, (n, pvals), dtype or "int64", ndim)

    def shuffle_row_elements(self, input: Any) -> Any:
        """Return `input` with the elements of every row (along the last axis) in a random order, each its own.

        Parameters
        ----------
        input : tensor
            Of one axis or more.

        Returns
        -------
        tensor of the same type
            Its ``tag.permutation`` is the permutation of each row.
        """
        values = as_operand(input)
        if values.type.ndim == 0:
            raise ShapeError("shuffle_row_elements needs a tensor with rows, got a scalar")
        *leading, count = [size_of(values, axis) for axis in range(values.type.ndim)]
        permutation = self.permutation(leading, count)
        if leading:
            row_count = reduce(operator.mul, leading)
            rows, orders = [reshape(tensor, [row_count, count]) for tensor in (values, permutation)]
            shuffled = reshape(rows[arange(row_count).dimshuffle(0, "x"), orders], [*leading, count])
        else:
            shuffled = values[permutation]
        shuffled.tag.permutation = permutation
        return shuffled

    def _draw(self, distribution: str, size: Any, parameters: Any, dtype: str, ndim: int | None) -> Any:
        """Make a stream, and draw from it; arguments that don't fit make none."""
        stream = len(self.state_updates)
        state = shared(initial_state(self._current_seed, stream), f"random_state_{stream}", shape=(3,))
        sample = sample_from(distribution, state, size, parameters, dtype, ndim)
        state.default_update = advanced(state)
        self.state_updates.append((state, state.default_update))
        return sample


def _checked_seed(seed: Any) -> int:
    try:
        key = operator.index(seed)
    except TypeError:
        raise user_error(
            DTypeError, f"a seed must be an integer, got {type(seed).__name__} {seed!r:.60}",
            remedy="Pass a number, seed=123 say.",
        ) from None
    if not 0 <= key < 1 << KEY_BITS:
        raise user_error(RangeError, f"a seed must lie between 0 and 2**{KEY_BITS} - 1, got {key}")
    return key


def _is_one(n: Any) -> bool:
    """Whether a number of trials is the scalar 1, known now."""
    if isinstance(n, Variable):
        return isinstance(n, Constant) and n.data.ndim == 0 and bool(n.data == 1)
    return isinstance(n, int) and n == 1


__all__ = ["RandomStreams"]
