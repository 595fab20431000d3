"""Random samples: a pure function of a stream's state and of the distribution's parameters.

A sample never changes the state. What makes two calls differ is the update of the state, `advanced`, which
`symgrad.random.RandomStreams` makes the default update of the shared variable that holds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, RangeError, ShapeError, render
from symgrad.graph.dtypes import kind_of
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, describe_operands, register
from symgrad.graph.source import current_source
from symgrad.graph.types import TensorType, dtype_name, shape_text
from symgrad.graph.variables import Apply, Constant, Variable, make_constant
from symgrad.kernels.grammar import Kernel, Library
from symgrad.kernels.philox import initial_state
from symgrad.kernels.random_sample import (
    DISTRIBUTIONS,
    FLOAT_DTYPES,
    REAL,
    WHOLE,
    Distribution,
    Parameter,
    sample_sizes,
)
from symgrad.ops.elementwise_op import call_row, rows
from symgrad.ops.joining import stack
from symgrad.ops.promotion import as_operand, known_integer
from symgrad.ops.shape import split_sizes
from symgrad.ops.sizes import Sizes, size_of, specify_shape

STATE_TYPE = TensorType("uint64", (3,))


@register
@dataclass(frozen=True)
class RandomSample(Op):
    """Draws from a distribution.

    Inputs are the state of the stream, the distribution's parameters, and a scalar for each gap in `sizes`. The
    bits are defined by `symgrad.kernels.philox` and the kernels next to it, so they are the same on every backend.

    Parameters
    ----------
    distribution : str
        A name of `symgrad.kernels.random_sample.DISTRIBUTIONS`.
    dtype : str
        The dtype of the sample.
    sizes : tuple of (int or None)
        How many draws along each axis; a draw that isn't a single number adds an axis at the end.
    """

    distribution: str
    dtype: str
    sizes: Sizes

    @property
    def name(self) -> str:
        return self.distribution

    @property
    def declared(self) -> Distribution:
        """The distribution's parameters and dtypes."""
        return DISTRIBUTIONS[self.distribution]

    def infer(self, state: Any, *operands: Any) -> list[TensorType]:
        count = len(self.declared.parameters)
        parameters = operands[:count]
        sizes = self._filled(operands[count:])
        if not STATE_TYPE.accepts(state.type):
            raise InferenceError(DTypeError, f"the state of a random stream is {STATE_TYPE}, got {state.type}")
        self._check_dtypes(parameters)
        for declared, operand in zip(self.declared.parameters, parameters, strict=True):
            self._check_axes(declared, operand.type, sizes)
        self._check_values(parameters, sizes)
        return [TensorType(self.dtype, (*sizes, *self._sizes_of_one_draw(parameters)))]

    def _filled(self, operands: Sequence[Any]) -> Sizes:
        given = iter(operands)
        sizes = [known_integer(next(given)) if size is None else size for size in self.sizes]
        if any(size is not None and size < 0 for size in sizes):
            raise InferenceError(ShapeError, f"{self.name} got a negative size: {shape_text(sizes)}")
        return tuple(sizes)

    def _check_dtypes(self, parameters: Sequence[Any]) -> None:
        if self.dtype not in self.declared.dtypes:
            choices = ", ".join(self.declared.dtypes)
            raise InferenceError(DTypeError, f"{self.name} can't be {self.dtype}; it can be {choices}")
        for declared, operand in zip(self.declared.parameters, parameters, strict=True):
            if kind_of(operand.type.dtype) not in declared.kinds:
                wanted = "an integer" if declared.kinds == WHOLE else "a real number"
                raise InferenceError(
                    DTypeError, f"{declared.name} of {self.name} must be {wanted}, got {operand.type.dtype}"
                )

    def _check_axes(self, declared: Parameter, kind: TensorType, sizes: Sizes) -> None:
        """Check that a parameter has its own axes, and that the others fit the sizes of the sample."""
        others = kind.ndim - declared.own_axes
        if others < 0 or (others and not declared.stretches):
            wanted = ("scalar", "vector")[declared.own_axes]
            raise InferenceError(ShapeError, f"{declared.name} of {self.name} must be a {wanted}, got {kind}")
        if others > len(sizes):
            raise InferenceError(
                ShapeError, f"{self.name} can't draw {shape_text(sizes)} with {declared.name} of {kind}: too few sizes"
            )
        for axis in range(-others, 0):
            found = kind.shape[axis - declared.own_axes]
            stretches = kind.broadcastable[axis - declared.own_axes]
            if not stretches and None not in (found, sizes[axis]) and found != sizes[axis]:
                raise InferenceError(
                    ShapeError, f"{self.name} can't draw {shape_text(sizes)} with {declared.name} of {kind}"
                )

    def _check_values(self, parameters: Sequence[Any], sizes: Sizes) -> None:
        """Raise now what drawing would raise, where all parameters are known."""
        if self.distribution.endswith("without_replacement") and None not in sizes:
            population = known_integer(parameters[0])
            wanted = prod(sizes)  # type: ignore[arg-type]
            if population is not None and wanted > population:
                raise InferenceError(
                    RangeError, f"can't choose {wanted} elements without replacement from {population}"
                )
        values = [value for value in map(_value, parameters) if value is not None]
        if len(values) < len(parameters):
            return
        if self.distribution.startswith("weighted") and len(values[1]) != int(values[0]):
            raise InferenceError(
                ShapeError, f"p must have one probability for each of {values[0]} elements, got {len(values[1])}"
            )
        if all(v.ndim == declared.own_axes for v, declared in zip(values, self.declared.parameters, strict=True)):
            try:
                self.declared.sample(initial_state(0), (0,), values, self.dtype)
            except RangeError as error:
                raise InferenceError(RangeError, str(error)) from None

    def _sizes_of_one_draw(self, parameters: Sequence[Any]) -> Sizes:
        if self.distribution == "multinomial":
            return parameters[1].type.shape[-1:]  # type: ignore[no-any-return]
        if self.distribution == "permutation":
            return (known_integer(parameters[0]),)
        return ()

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def evaluate(self, state: np.ndarray, *operands: np.ndarray) -> list[np.ndarray]:
        count = len(self.declared.parameters)
        sizes = sample_sizes(self.sizes, operands[count:])
        return [self.declared.sample(state, sizes, operands[:count], self.dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        count = len(self.declared.parameters)
        reasons = ["the state of a random stream is no number", *[_PARAMETER_REASON] * count]
        reasons += ["it is a size"] * (len(inputs) - len(reasons))
        return [Disconnected(reason) for reason in reasons]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """A sample is taken as a constant, as in reverse mode."""
        return [None]

    def lower(self, apply: Apply) -> Kernel:
        fixed_axes = tuple(
            [
                _open_axes(operand.type, declared.own_axes, self.sizes)  # type: ignore[arg-type]
                for operand, declared in zip(apply.inputs[1:], self.declared.parameters, strict=False)
            ]
        )
        attributes = {
            "distribution": self.distribution, "dtype": self.dtype, "sizes": self.sizes, "fixed_axes": fixed_axes,
        }  # fmt: skip
        return Library("random_sample", tuple(attributes.items()))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        state = initial_state(5, stream=2)
        half, three = np.array(0.5), np.array(3)
        column = np.array([[0.25], [0.75]], dtype="float32")
        thirds = np.full((2, 3), 1 / 3)

        def sample(op: Op, *arguments: np.ndarray, error: Any = None) -> tuple[Op, Sample]:
            return op, Sample((state, *arguments), error, differentiable=False)

        return [
            sample(cls("uniform", "float32", (2, 3)), column, np.array(1.0)),
            sample(cls("normal", "float64", (2, 0)), column, half),
            sample(cls("bernoulli", "float32", (2, 1)), column),
            sample(cls("binomial", "int64", (None, 4)), three, column, np.array(2)),
            sample(cls("random_integers", "int8", ()), np.array(-3), three),
            sample(cls("multinomial", "int64", (2,)), three, thirds),
            sample(cls("permutation", "int32", (2,)), three),
            sample(cls("choice", "int64", (5,)), three),
            sample(cls("weighted_choice_without_replacement", "int64", (2,)), three, thirds[0]),
            sample(cls("uniform", "float16", (2,)), half, np.array(1.0), error=DTypeError),
            sample(cls("bernoulli", "int64", (3, 1)), column, error=ShapeError),
            sample(cls("binomial", "int64", (3,)), half, half, error=DTypeError),
        ]


_PARAMETER_REASON = (
    "a sample is a step function of its parameters, or its gradient would only hold for this draw; "
    "write avg + std * normal(size) if you want that one"
)


def _value(operand: Any) -> np.ndarray | None:
    """Return the value of a parameter as far as the graph tells it."""
    return operand.data if isinstance(operand, Constant) else operand.known


def _open_axes(kind: TensorType, own_axes: int, sizes: Sizes) -> tuple[int, ...]:
    """Return the axes, counted from the last, on which only the call can tell whether a parameter fits the sample."""
    return tuple(
        [
            axis
            for axis in range(own_axes - kind.ndim, 0)
            if not kind.broadcastable[axis - own_axes] and None in (kind.shape[axis - own_axes], sizes[axis])
        ]
    )


def advanced(state: Any) -> Any:
    """Return the state of the next call, as `symgrad.kernels.philox.advance`: the step is one higher."""
    return call_row(rows["add"], state, make_constant(np.array([0, 0, 1], dtype=np.uint64)))


def sample_from(
    distribution: str,
    state: Any,
    size: Any,
    parameters: Sequence[Any],
    dtype: str,
    ndim: int | None = None,
) -> Any:
    """Return a random sample.

    Parameters
    ----------
    distribution : str
        A name of `symgrad.kernels.random_sample.DISTRIBUTIONS`.
    state : uint64 vector of size 3
        The state of a stream; every use of the same state gives the same numbers.
    size : int, sequence of ints and integer scalars, integer vector, or None
        How many draws along each axis. None takes the sizes to which the parameters broadcast.
    parameters : sequence of tensor or array_like
        The parameters, in order.
    dtype : str
        The dtype of the sample.
    ndim : int, optional
        How many sizes there are, where `size` is a vector of unknown length.

    Raises
    ------
    DTypeError, ShapeError
        If parameters, sizes and dtype don't fit.
    RangeError
        If a parameter is out of range, as far as its value is known; else the call raises it.

    Examples
    --------
    >>> from symgrad.ops.promotion import as_operand
    >>> sample_from("uniform", as_operand(initial_state(0)), (2,), [0, 1], "float32").eval().round(4)
    array([0.399 , 0.8805], dtype=float32)
    """
    declared = DISTRIBUTIONS[distribution]
    dtype = dtype_name(dtype)
    float_dtype = dtype if dtype in FLOAT_DTYPES and declared.dtypes == FLOAT_DTYPES else "float64"
    variables = [_parameter(value, p, float_dtype) for value, p in zip(parameters, declared.parameters, strict=True)]
    if size is None:
        pairs = zip(variables, declared.parameters, strict=True)
        size = common_sizes([(variable, p.own_axes) for variable, p in pairs if p.stretches], ndim)
    sizes, operands = split_sizes(sizes_of_vector(size, ndim), distribution)
    if ndim is not None and ndim != len(sizes):
        raise ShapeError(f"{distribution} got {len(sizes)} sizes and ndim={ndim}")
    op = RandomSample(distribution, dtype, sizes)
    try:
        op.infer(state, *variables, *operands)
    except InferenceError as error:
        # Raised here, the error shows the parameters by their names; the user didn't write the state.
        described = describe_operands(variables, [parameter.name for parameter in declared.parameters])
        text = render(error.headline, str(current_source() or ""), described, error.remedy)
        raise error.error(text) from None
    return op(state, *variables, *operands)


def _parameter(value: Any, declared: Parameter, float_dtype: str) -> Any:
    """Return a parameter as a variable; a number becomes a constant of the dtype in which the kernel takes it."""
    if isinstance(value, Variable):
        return value
    if isinstance(value, list | tuple) and any(isinstance(element, Variable) for element in value):
        return stack(list(value))
    array = np.asarray(value)
    if array.dtype.kind not in REAL:
        return as_operand(value)
    return as_operand(array if declared.kinds == WHOLE else array.astype(float_dtype))


def common_sizes(stretching: Sequence[tuple[Any, int]], ndim: int | None) -> list[Any]:
    """Return the sizes to which parameters broadcast; with more `ndim`, there are more sizes 1 in front.

    Parameters
    ----------
    stretching : sequence of (variable, int)
        Parameters, and how many of their last axes are their own: they belong to one draw.
    ndim : int or None
        How many sizes are wanted at least.
    """
    count = max([variable.type.ndim - own_axes for variable, own_axes in stretching], default=0)
    sizes: list[Any] = [1] * max((ndim or 0) - count, 0)
    for axis in range(-count, 0):
        own = [
            (variable, axis - own_axes) for variable, own_axes in stretching
            if variable.type.ndim - own_axes >= -axis and not variable.type.broadcastable[axis - own_axes]
        ]  # fmt: skip
        known = [variable.type.shape[place] for variable, place in own if variable.type.shape[place] is not None]
        unknown = [size_of(variable, place + variable.type.ndim) for variable, place in own]
        sizes.append((known or unknown or [1])[0])
    return sizes


def sizes_of_vector(size: Any, ndim: int | None) -> Any:
    """Return the elements of a vector whose length only `ndim` tells; the call checks it."""
    if ndim is None or not isinstance(size, Variable) or size.type != TensorType(size.type.dtype, (None,)):  # type: ignore[attr-defined]
        return size
    vector = specify_shape(size, [ndim])
    return [vector[index] for index in range(ndim)]


__all__ = ["RandomSample", "advanced", "sample_from"]
