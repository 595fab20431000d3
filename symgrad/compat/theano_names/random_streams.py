"""``theano.tensor.shared_randomstreams``: Theano's own numbers, which are those of NumPy's ``RandomState``."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.compat.theano_names import random_functions
from symgrad.graph.variables import SharedVariable
from symgrad.kernels.numpy_random import generator_of, words_of
from symgrad.ops.numpy_random import STATE_TYPE
from symgrad.tensor.variable import TensorSharedVariable


class RandomState(TensorSharedVariable):
    """A shared variable that holds a ``RandomState``: `get_value` and `set_value` speak of generators.

    With `borrow`, `get_value` returns a generator too, but not that which is drawn from: put it back with `set_value`.
    """

    __slots__ = ()

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Any:
        """Return a generator in the state that the stream has now."""
        generator = np.random.RandomState(0)
        generator.set_state(generator_of(self.container.value).get_state())
        return generator

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Take over the state of a generator; it is copied."""
        if not isinstance(new_value, np.random.RandomState | np.ndarray):
            raise TypeError(f"expected a numpy.random.RandomState, got {type(new_value).__name__}")
        words = new_value if isinstance(new_value, np.ndarray) else words_of(new_value)
        super().set_value(words)


def random_state(generator: np.random.RandomState, name: str | None = None) -> RandomState:
    """Return a shared variable that holds the state of a generator."""
    return RandomState(STATE_TYPE, words_of(generator), name)


class RandomStreams:
    """Random streams that draw what Theano's ``shared_randomstreams.RandomStreams`` draws.

    Parameters
    ----------
    seed : int, optional
        The same seed gives the same numbers.

    Attributes
    ----------
    state_updates : list of (shared variable, Variable)
        The state of each stream, and its update.

    Examples
    --------
    >>> from symgrad import function
    >>> draw = function([], RandomStreams(234).uniform((2,), dtype="float64"))
    >>> draw().round(5)
    array([0.12672, 0.97092])
    """

    def __init__(self, seed: Any = None) -> None:
        self.state_updates: list[tuple[RandomState, Any]] = []
        self.default_instance_seed = seed
        self.gen_seedgen = np.random.RandomState(seed)

    def updates(self) -> list[tuple[RandomState, Any]]:
        """Return the updates of all streams; they are default updates anyway."""
        return list(self.state_updates)

    def seed(self, seed: Any = None) -> None:
        """Set every stream back, under another seed, or under that of this object."""
        seeds = np.random.RandomState(self.default_instance_seed if seed is None else seed)
        for state, _ in self.state_updates:
            state.set_value(np.random.RandomState(int(seeds.randint(2**30))))

    def __getitem__(self, item: SharedVariable) -> Any:
        """Return the generator of a stream."""
        return self._state(item).get_value()

    def __setitem__(self, item: SharedVariable, value: np.random.RandomState) -> None:
        """Set the generator of a stream."""
        self._state(item).set_value(value)

    def _state(self, item: SharedVariable) -> RandomState:
        for state, _ in self.state_updates:
            if state is item:
                return state
        raise KeyError(item)

    def gen(self, op: Any, *args: Any, **kwargs: Any) -> Any:
        """Return a sample of `op`, a function of a state as in `random_functions`, from a stream of its own."""
        seed = int(self.gen_seedgen.randint(2**30))
        state = random_state(np.random.RandomState(seed))
        after, sample = op(state, *args, **kwargs)
        sample.rng, sample.update = state, (state, after)
        self.state_updates.append((state, after))
        state.default_update = after
        return sample

    def uniform(self, size: Any = None, low: Any = 0.0, high: Any = 1.0, ndim: Any = None, dtype: Any = None) -> Any:
        """Return numbers uniform between `low` and `high`."""
        return self.gen(random_functions.uniform, size, low, high, ndim=ndim, dtype=dtype)

    def normal(self, size: Any = None, avg: Any = 0.0, std: Any = 1.0, ndim: Any = None, dtype: Any = None) -> Any:
        """Return normal numbers of mean `avg` and deviation `std`."""
        return self.gen(random_functions.normal, size, avg, std, ndim=ndim, dtype=dtype)

    def binomial(
        self, size: Any = None, n: Any = 1, p: Any = 0.5, ndim: Any = None, dtype: Any = "int64", prob: Any = None
    ) -> Any:
        """Return how often `n` trials of probability `p` succeed."""
        return self.gen(random_functions.binomial, size, n, p if prob is None else prob, ndim=ndim, dtype=dtype)

    def random_integers(
        self, size: Any = None, low: Any = 0, high: Any = 1, ndim: Any = None, dtype: Any = "int64"
    ) -> Any:
        """Return integers from `low` to `high`, both included."""
        return self.gen(random_functions.random_integers, size, low, high, ndim=ndim, dtype=dtype)

    def choice(
        self, size: Any = (), a: Any = 2, replace: bool = True, p: Any = None, ndim: Any = None, dtype: Any = "int64"
    ) -> Any:
        """Return elements of the vector `a`, or of ``0 .. a - 1``."""
        return self.gen(random_functions.choice, size, a, replace, p, ndim=ndim, dtype=dtype)

    def poisson(self, size: Any = None, lam: Any = None, ndim: Any = None, dtype: Any = "int64") -> Any:
        """Return numbers of events, `lam` of which are expected."""
        return self.gen(random_functions.poisson, size, 1.0 if lam is None else lam, ndim=ndim, dtype=dtype)

    def permutation(self, size: Any = None, n: Any = 1, ndim: Any = None, dtype: Any = "int64") -> Any:
        """Return permutations of ``0 .. n - 1`` along a last axis."""
        return self.gen(random_functions.permutation, size, n, ndim=ndim, dtype=dtype)

    def multinomial(
        self, size: Any = None, n: Any = 1, pvals: Any = (0.5, 0.5), ndim: Any = None, dtype: Any = "int64"
    ) -> Any:
        """Return how often each category comes up in `n` trials, along a last axis."""
        return self.gen(random_functions.multinomial, size, n, list(pvals) if isinstance(pvals, tuple) else pvals,
                        ndim=ndim, dtype=dtype)  # fmt: skip

    def shuffle_row_elements(self, input: Any) -> Any:
        """Return `input` with the elements of each row (along the last axis) in a random order."""
        from symgrad.tensor import permute_row_elements

        sizes = [input.shape[axis] for axis in range(input.ndim - 1)]
        permutation = self.permutation(sizes or None, input.shape[input.ndim - 1], ndim=input.ndim - 1 or None)
        shuffled = permute_row_elements(input, permutation)
        shuffled.permutation = permutation
        return shuffled


__all__ = ["RandomState", "RandomStreams", "random_state"]
