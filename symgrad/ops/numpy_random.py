"""Samples of NumPy's ``RandomState``, as an op: from a state, a sample and the next state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, RangeError, ShapeError
from symgrad.graph.dtypes import kind_of
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, register, user_error
from symgrad.graph.types import TensorType, dtype_name
from symgrad.kernels.numpy_random import DRAWS, WORDS, draw, words_of
from symgrad.kernels.random_sample import sample_sizes
from symgrad.ops.promotion import as_operand, known_integer
from symgrad.ops.random import common_sizes, sizes_of_vector
from symgrad.ops.shape import split_sizes
from symgrad.ops.sizes import Sizes

STATE_TYPE = TensorType("uint32", (WORDS,))
OWN_AXES = {"multinomial": (0, 1), "choice": (1,), "weighted_choice": (1, 1)}
"""How many axes of each parameter belong to one draw, where any does."""

ADDED_AXIS = ("permutation", "multinomial")


@register
@dataclass(frozen=True)
class NumPySample(Op):
    """Draws as ``numpy.random.RandomState`` does, number for number; the second output is the state after them.

    Parameters
    ----------
    distribution : str
        A name of `symgrad.kernels.numpy_random.DRAWS`.
    dtype : str
        The dtype of the sample.
    sizes : tuple of (int or None)
        How many draws along each axis; an operand stands for each None.
    """

    distribution: str
    dtype: str
    sizes: Sizes

    @property
    def name(self) -> str:
        return f"numpy_{self.distribution}"

    def infer(self, state: Any, *operands: Any) -> list[TensorType]:
        count = len(operands) - self.sizes.count(None)
        parameters, gaps = operands[:count], operands[count:]
        if state.type.dtype != STATE_TYPE.dtype or state.type.ndim != 1 or state.type.shape[0] not in (WORDS, None):
            raise InferenceError(DTypeError, f"the state of a random stream is {STATE_TYPE}, got {state.type}")
        for operand in operands:
            if kind_of(operand.type.dtype) not in "iufb":
                raise InferenceError(DTypeError, f"{self.distribution} takes real numbers, got {operand.type.dtype}")
        given = iter(gaps)
        sizes = [known_integer(next(given)) if size is None else size for size in self.sizes]
        if any(size is not None and size < 0 for size in sizes):
            raise InferenceError(ShapeError, f"{self.distribution} got a negative size")
        own = self._own_axes(len(parameters))
        for operand, axes in zip(parameters, own, strict=True):
            if operand.type.ndim - axes > len(sizes):
                raise InferenceError(
                    ShapeError, f"{self.distribution} can't draw {len(sizes)} axes with a parameter of {operand.type}"
                )
        return [TensorType(self.dtype, (*sizes, *self._added(parameters))), STATE_TYPE]

    def _own_axes(self, count: int) -> tuple[int, ...]:
        known = OWN_AXES.get(self.distribution.removesuffix("_without_replacement"), ())
        return (*known, *[0] * count)[:count]

    def _added(self, parameters: Sequence[Any]) -> Sizes:
        if self.distribution == "permutation":
            return (known_integer(parameters[0]),)
        return parameters[1].type.shape[-1:] if self.distribution == "multinomial" else ()

    def evaluate(self, state: np.ndarray, *operands: np.ndarray) -> list[np.ndarray]:
        count = len(operands) - self.sizes.count(None)
        sizes = sample_sizes(self.sizes, operands[count:])
        if len(state) != WORDS:
            raise InferenceError(ShapeError, f"the state of a random stream has {WORDS} words, got {len(state)}")
        try:
            return list(draw(self.distribution, state, sizes, operands[:count], self.dtype))
        except ValueError as error:
            raise InferenceError(RangeError, f"{self.distribution}: {error}") from None

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [Disconnected("a sample is taken as a constant")] * len(inputs)

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """A sample is taken as a constant, as in reverse mode."""
        return [None, None]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        state = words_of(np.random.RandomState(7))
        half, three = np.array(0.5), np.array(3)
        thirds = np.full((2, 3), 1 / 3)
        cases: list[tuple[Op, tuple[np.ndarray, ...]]] = [
            (cls("uniform", "float32", (2, 3)), (np.array([[0.0], [1.0]]), np.array(2.0))),
            (cls("normal", "float64", (2, 0)), (half, half)),
            (cls("binomial", "int64", (None, 1)), (three, half, np.array(2))),
            (cls("random_integers", "int8", ()), (np.array(-3), three)),
            (cls("poisson", "int64", (2,)), (half,)),
            (cls("permutation", "int32", (2,)), (three,)),
            (cls("multinomial", "int64", (2,)), (three, thirds)),
            (cls("weighted_choice", "int64", (5,)), (three, thirds[0])),
            (cls("choice_without_replacement", "int64", (2,)), (np.arange(4),)),
        ]
        for op, arguments in cases:
            yield op, Sample((state, *arguments), differentiable=False)
        yield cls("uniform", "float64", (2,)), Sample((state.astype("int64"), half, half), DTypeError)
        yield cls("uniform", "float64", (2,)), Sample((state, np.ones((2, 2)), half), ShapeError)
        yield cls("normal", "float64", (2,)), Sample((state, half * 1j, half), DTypeError)


def numpy_sample(
    distribution: str, state: Any, size: Any, parameters: Sequence[Any], dtype: str, ndim: int | None = None
) -> tuple[Any, Any]:
    """Return a sample of NumPy's ``RandomState``, and the state after it.

    Parameters
    ----------
    distribution : str
        A name of `symgrad.kernels.numpy_random.DRAWS`.
    state : uint32 vector of size 628
        As `symgrad.kernels.numpy_random.words_of` makes it.
    size : int, sequence of ints and integer scalars, integer vector, or None
        How many draws along each axis. None takes the sizes to which the parameters broadcast, at least `ndim` of them;
        a size of -1 is taken from there too.
    parameters : sequence of tensor or array_like
        The parameters, in order.
    dtype : str
        The dtype of the sample.
    ndim : int, optional
        How many sizes there are, where `size` is a vector of unknown length.
    """
    if distribution not in DRAWS:
        raise user_error(ValueError, f"there is no distribution {distribution!r}; there are {', '.join(DRAWS)}")
    variables = [as_operand(parameter) for parameter in parameters]
    if size is None:
        own = NumPySample(distribution, "float64", ())._own_axes(len(variables))
        size, ndim = common_sizes(list(zip(variables, own, strict=True)), ndim), None
    elif isinstance(size, list | tuple) and any(isinstance(count, int) and count == -1 for count in size):
        own = NumPySample(distribution, "float64", ())._own_axes(len(variables))
        common = common_sizes(list(zip(variables, own, strict=True)), len(size))[-len(size) :]
        size = [found if isinstance(given, int) and given == -1 else given
                for given, found in zip(size, common, strict=True)]  # fmt: skip
    sizes, operands = split_sizes(sizes_of_vector(size, ndim), distribution)
    if ndim is not None and ndim != len(sizes):
        raise user_error(ShapeError, f"{distribution} got {len(sizes)} sizes and ndim={ndim}")
    op = NumPySample(distribution, dtype_name(dtype), sizes)
    return op(state, *variables, *operands)  # type: ignore[no-any-return]


__all__ = ["NumPySample", "numpy_sample"]
