"""The ops that take axes away; the functions made of them are in `symgrad.ops.reduction`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.dtypes import widened
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, register
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.kernels.grammar import Kernel, Library, ScalarFunction
from symgrad.kernels.grammar import Reduction as ReductionKernel
from symgrad.ops.axes import dimshuffle
from symgrad.ops.casting import cast
from symgrad.ops.comparison import eq
from symgrad.ops.complex_numbers import conj
from symgrad.ops.creation import eye
from symgrad.ops.elementwise import switch
from symgrad.ops.promotion import is_discrete
from symgrad.ops.sampling import spread
from symgrad.ops.shape import alloc, reshape
from symgrad.ops.sizes import size_of, sizes_product, specify_shape

FUNCTIONS = {
    "sum": ScalarFunction("add", np.add),
    "prod": ScalarFunction("multiply", np.multiply),
    "max": ScalarFunction("maximum", np.maximum),
    "min": ScalarFunction("minimum", np.minimum),
    "all": ScalarFunction("logical_and", np.logical_and),
    "any": ScalarFunction("logical_or", np.logical_or),
}


@register
@dataclass(frozen=True)
class Reduction(Op):
    """An associative function accumulated along `axes`.

    Parameters
    ----------
    function : str
        One of `FUNCTIONS`.
    axes : tuple of int
        Axes that are taken away, ascending.
    keepdims : bool
        Whether they stay, with size 1.
    dtype : str
        Of the result, in which it is accumulated; float16 and bfloat16 are in float32, and rounded at the end.
    """

    function: str
    axes: tuple[int, ...]
    keepdims: bool
    dtype: str

    @property
    def name(self) -> str:
        axes = ",".join(map(str, self.axes))
        return f"{self.function}{{{axes}}}"

    def infer(self, x: Any) -> list[TensorType]:
        if self.function in ("max", "min") and x.type.dtype.startswith("complex"):
            raise InferenceError(DTypeError, f"{self.function} doesn't take complex numbers, which have no order")
        if self.axes and self.axes[-1] >= x.type.ndim:
            raise InferenceError(ShapeError, f"{self.function} got axis {self.axes[-1]} of {x.type}")
        if self.function in ("max", "min") and 0 in [x.type.shape[axis] for axis in self.axes]:
            raise InferenceError(ShapeError, f"{self.function} of an empty axis has no value: {x.type}")
        return [TensorType(self.dtype, *_remaining(x.type, self.axes, self.keepdims))]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        ufunc: Any = FUNCTIONS[self.function].numpy
        if self.function in ("max", "min") and 0 in [x.shape[axis] for axis in self.axes]:
            raise ShapeError(f"{self.function} of an empty axis has no value: shape {x.shape}")
        options = {} if ufunc in (np.logical_and, np.logical_or) else {"dtype": widened(self.dtype)}
        with np.errstate(all="ignore"):
            result = ufunc.reduce(x, axis=self.axes, keepdims=self.keepdims, **options)
            return [np.asarray(result).astype(self.dtype, copy=False)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x,), (output,), (cotangent,) = inputs, outputs, cotangents
        if is_discrete(x.type.dtype):
            return [Disconnected(f"{x} is {x.type.dtype}")]
        if is_discrete(self.dtype):
            return [Disconnected(f"{self.function} gives {self.dtype} here, and has a derivative of zero")]
        cotangent = self._stretchable(cotangent, x)
        if self.function == "sum":
            stretched = alloc(cotangent, *[size_of(x, axis) for axis in range(x.type.ndim)])
        elif self.function == "prod":
            stretched = cotangent * conj(self._product_of_others(x))
        else:
            stretched = switch(eq(x, self._stretchable(output, x)), cotangent, 0)
        return [cast(stretched, x.type.dtype)]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangent of the result: a sum of the tangents, weighted with the partial derivatives."""
        (x,), (output,), (tangent,) = inputs, outputs, tangents
        if tangent is None or is_discrete(self.dtype):
            return [None]
        if self.function == "prod":
            tangent = tangent * self._product_of_others(x)
        elif self.function != "sum":
            tangent = switch(eq(x, self._stretchable(output, x)), tangent, 0)
        return [Reduction("sum", self.axes, self.keepdims, self.dtype)(tangent)]

    def _product_of_others(self, x: Any) -> Any:
        return ProductOfOthers(self.axes)(cast(x, self.dtype))

    def _stretchable(self, reduced: Any, x: Any) -> Any:
        """Put axes of size 1 where axes were taken away."""
        if self.keepdims:
            return reduced
        remaining = iter(range(reduced.type.ndim))
        return dimshuffle(reduced, *["x" if a in self.axes else next(remaining) for a in range(x.type.ndim)])

    def lower(self, apply: Apply) -> ReductionKernel:
        return ReductionKernel(FUNCTIONS[self.function], self.axes, self.keepdims, self.dtype)

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for function in FUNCTIONS:
            result = "bool" if function in ("all", "any") else "float64"
            yield cls(function, (1,), False, result), Sample((spread(2, 3),))
            yield cls(function, (0, 2), True, result), Sample((spread(2, 3, 1),))
            yield cls(function, (), False, result), Sample((spread(3),))
            yield cls(function, (0,), False, result), Sample((spread(2, 0),))
            yield cls(function, (0, 1), False, result), Sample((np.zeros((2, 2)),), differentiable=False)
            whole = "bool" if result == "bool" else "int8"
            yield cls(function, (0,), True, whole), Sample((spread(2, 3, dtype="int8"),))
            empty = ShapeError if function in ("max", "min") else None
            yield cls(function, (0,), False, result), Sample((spread(0, 2),), empty)
            yield cls(function, (2,), False, result), Sample((spread(2, 3),), ShapeError)
        yield cls("sum", (0,), False, "int64"), Sample((spread(5, dtype="bool"),))
        yield cls("prod", (1,), False, "float64"), Sample((np.array([[0.0, 2.0, 3.0], [0.0, 5.0, 0.0]]),))
        yield cls("max", (0,), False, "complex64"), Sample((spread(2, dtype="complex64"),), DTypeError)


def _remaining(
    kind: TensorType, axes: tuple[int, ...], keepdims: bool
) -> tuple[list[int | None], list[bool]]:
    """Return sizes and broadcast pattern of what is left once `axes` are taken away."""
    shape: list[int | None] = []
    pattern: list[bool] = []
    for axis, (size, ones) in enumerate(zip(kind.shape, kind.broadcastable, strict=True)):
        if axis not in axes:
            shape.append(size)
            pattern.append(ones)
        elif keepdims:
            shape.append(1)
            pattern.append(True)
    return shape, pattern


@register
@dataclass(frozen=True)
class ProductOfOthers(Op):
    """For each element the product of all others along `axes`: the derivative of a product.

    It multiplies what stands before with what stands after, so it is right also where factors are zero, and its own
    derivative too.
    """

    axes: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"product_of_others{{{','.join(map(str, self.axes))}}}"

    def infer(self, x: Any) -> list[TensorType]:
        return [x.type]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        kept = [axis for axis in range(x.ndim) if axis not in self.axes]
        moved = x.transpose(*kept, *self.axes)
        joined = moved.reshape(*moved.shape[: len(kept)], -1) if x.size else np.empty((0, 1), x.dtype)
        before, after = np.ones_like(joined), np.ones_like(joined)
        with np.errstate(all="ignore"):
            np.multiply.accumulate(joined[..., :-1], axis=-1, out=before[..., 1:])
            np.multiply.accumulate(joined[..., :0:-1], axis=-1, out=after[..., -2::-1])
            product = (before * after).reshape(moved.shape)
        order = np.argsort((*kept, *self.axes)).astype(int)
        return [np.array(product.transpose(order), order="C")]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [self._derivative(conj(inputs[0]), cotangents[0])]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The derivative is symmetric, so forward and reverse are the same."""
        return [None if tangents[0] is None else self._derivative(inputs[0], tangents[0])]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls((0,)), Sample((np.array([0.0, 2.0, 3.0]),))
        yield cls((1,)), Sample((np.array([[0.0, 2.0, 0.0, 1.5], [0.5, 2.0, 3.0, -1.0]]),))
        yield cls((0, 2)), Sample((spread(2, 3, 2),))
        yield cls((0,)), Sample((spread(1, 2),))
        yield cls((1,)), Sample((spread(2, 0),))

    def _derivative(self, x: Any, weights: Any) -> Any:
        """``sum over i != k of weights[i] * product over j != i, k of x[j]``, with the axes joined into one.

        Row i of a square holds all factors, but 1 in place of the i-th; a product along it is what `evaluate` gives.
        """
        kept = [axis for axis in range(x.type.ndim) if axis not in self.axes]
        order = (*kept, *self.axes)
        sizes = [size_of(x, axis) for axis in order]
        count = sizes_product(sizes[len(kept) :])
        joined, scale = [reshape(dimshuffle(v, *order), [*sizes[: len(kept)], count]) for v in (x, weights)]
        rows = [*range(len(kept)), "x", len(kept)]
        diagonal = cast(eye(count, count, 0, "int8"), "bool")
        square = switch(diagonal, 1, dimshuffle(joined, *rows))
        others = ProductOfOthers((len(kept) + 1,))(square)
        terms = switch(diagonal, 0, others * dimshuffle(scale, *range(len(kept)), len(kept), "x"))
        summed = Reduction("sum", (len(kept),), False, x.type.dtype)(terms)
        return specify_shape(
            dimshuffle(reshape(summed, sizes), *[order.index(axis) for axis in range(x.type.ndim)]), x.type.shape
        )


@register
@dataclass(frozen=True)
class ArgExtreme(Op):
    """Position of the first largest (smallest) element along axes, counted over those axes joined."""

    function: str
    axes: tuple[int, ...]
    keepdims: bool

    @property
    def name(self) -> str:
        return f"{self.function}{{{','.join(map(str, self.axes))}}}"

    def infer(self, x: Any) -> list[TensorType]:
        if x.type.dtype.startswith("complex"):
            raise InferenceError(DTypeError, f"{self.function} doesn't take complex numbers, which have no order")
        if 0 in [x.type.shape[axis] for axis in self.axes]:
            raise InferenceError(ShapeError, f"{self.function} of an empty axis has no value: {x.type}")
        return [TensorType("int64", *_remaining(x.type, self.axes, self.keepdims))]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        kept = [axis for axis in range(x.ndim) if axis not in self.axes]
        count = prod([x.shape[axis] for axis in self.axes])
        if count == 0:
            raise ShapeError(f"{self.function} of an empty axis has no value: shape {x.shape}")
        joined = x.transpose(*kept, *self.axes).reshape([*[x.shape[axis] for axis in kept], count])
        result = getattr(np, self.function)(joined, axis=-1)
        if self.keepdims:
            result = np.expand_dims(result, self.axes)
        return [np.asarray(result, dtype="int64")]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [Disconnected(f"{self.function} gives positions, which don't change with small changes of values")]

    def lower(self, apply: Apply) -> Kernel:
        if len(self.axes) == 1 or len(self.axes) == apply.inputs[0].type.ndim:  # type: ignore[attr-defined]
            axis = self.axes[0] if len(self.axes) == 1 else None
            return Library(self.function, (("axis", axis), ("keepdims", self.keepdims)))
        return super().lower(apply)

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for function in ("argmax", "argmin"):
            yield cls(function, (1,), False), Sample((spread(2, 3),))
            yield cls(function, (0, 2), True), Sample((spread(2, 3, 4, dtype="float32"),))
            yield cls(function, (0, 1), False), Sample((np.array([[1, 2], [2, 1]], "int16"),))
            yield cls(function, (0,), False), Sample((np.array([0.0, np.nan, 1.0]),))
            yield cls(function, (0,), False), Sample((spread(3, 0),))
            yield cls(function, (1,), False), Sample((spread(3, 0),), ShapeError)
            yield cls(function, (0,), False), Sample((spread(3, dtype="complex64"),), DTypeError)


@register
@dataclass(frozen=True)
class SumOfSquares(Op):
    """Sum of the squares of all elements. Made by rewriting only."""

    @property
    def name(self) -> str:
        return "sum_of_squares"

    def infer(self, x: Any) -> list[TensorType]:
        return [TensorType(x.type.dtype, ())]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        return [np.asarray(np.sum(np.square(x)), dtype=x.dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [2 * inputs[0] * cotangents[0]]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Twice the inner product of operand and tangent."""
        return [None if tangents[0] is None else _sum_of_all(2 * inputs[0] * tangents[0])]

    def lower(self, apply: Apply) -> Kernel:
        return Library("sum_of_squares")

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(), Sample((spread(2, 3),))
        yield cls(), Sample((spread(0, 3, dtype="float32"),))


def _sum_of_all(x: Any) -> Any:
    return Reduction("sum", tuple(range(x.type.ndim)), False, x.type.dtype)(x)
