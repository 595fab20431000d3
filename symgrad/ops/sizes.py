"""Sizes as values, and what the user vouches for about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, register, user_error
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply, Variable
from symgrad.kernels.checks import vouched
from symgrad.kernels.grammar import Kernel, Library, Same, View
from symgrad.ops.axes import checked_axis
from symgrad.ops.casting import cast
from symgrad.ops.promotion import as_operand, is_discrete, listed, scalar_constant, whole_number
from symgrad.ops.sampling import number, spread

Sizes = tuple[int | None, ...]


@register
@dataclass(frozen=True)
class Size(Op):
    """The size of one axis, as an int64 scalar."""

    axis: int

    @property
    def name(self) -> str:
        return f"size{{{self.axis}}}"

    def infer(self, x: Any) -> list[TensorType]:
        return [TensorType("int64", ())]

    def known_value(self, x: Any) -> np.ndarray | None:  # type: ignore[override]
        size = x.type.shape[self.axis]
        return None if size is None else np.array(size)

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        return [np.array(x.shape[self.axis])]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [Disconnected("a size doesn't depend on the values")]

    def lower(self, apply: Apply) -> Library:
        return Library("size", (("axis", self.axis),))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(1), Sample((spread(2, 3),))
        yield cls(0), Sample((spread(0, 1, dtype="bool"),))


def size_of(x: Any, axis: int) -> Any:
    """Return the size of one axis of `x` as an int64 scalar."""
    return Size(axis + x.type.ndim if axis < 0 else axis)(x)


def known_size(x: Any, axis: int) -> Any:
    """Return the size of an axis: an int if the graph knows it, else a scalar."""
    size = x.type.shape[axis]
    return size_of(x, axis) if size is None else size


def sizes_product(sizes: Sequence[Any]) -> Any:
    """Return the product of sizes: a number if all are numbers, else an int64 scalar."""
    if not sizes:
        return 1
    first, *rest = sizes
    for size in rest:
        first = first * size
    return first


@register
@dataclass(frozen=True)
class MakeVector(Op):
    """Scalars put together to a vector."""

    dtype: str

    @property
    def name(self) -> str:
        return "make_vector"

    def infer(self, *scalars: Any) -> list[TensorType]:
        if any(scalar.type.ndim for scalar in scalars):
            raise InferenceError(ShapeError, "make_vector takes scalars only")
        return [TensorType(self.dtype, (len(scalars),))]

    def evaluate(self, *scalars: np.ndarray) -> list[np.ndarray]:
        return [np.array([scalar[()] for scalar in scalars], dtype=self.dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        if is_discrete(self.dtype):
            return [Disconnected(f"the vector is {self.dtype}")] * len(inputs)
        return [
            Disconnected(f"{scalar} is {scalar.type.dtype}") if is_discrete(scalar.type.dtype)
            else cast(cotangents[0][index], scalar.type.dtype)
            for index, scalar in enumerate(inputs)
        ]  # fmt: skip

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Put the tangents together likewise."""
        parts = [
            scalar_constant(0, self.dtype) if tangent is None else cast(tangent, self.dtype) for tangent in tangents
        ]
        return [self(*parts)]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls("float64"), Sample((number(0.5, "float64"), number(2, "int32"), number(1.5, "float32")))
        yield cls("int64"), Sample((number(3), number(1, "bool")))
        yield cls("int64"), Sample(())
        yield cls("float64"), Sample((spread(2), number(1.5, "float64")), ShapeError)


def shape(x: Any) -> Any:
    """Return the sizes of `x` as an int64 vector.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.shape([[1, 2, 3]]).eval())
    [1 3]
    """
    x = as_operand(x)
    return MakeVector("int64")(*[size_of(x, axis) for axis in range(x.type.ndim)])


@register
@dataclass(frozen=True)
class SpecifyShape(Op):
    """The operand, with sizes that the user vouches for; checked at run time."""

    sizes: Sizes

    @property
    def name(self) -> str:
        return "specify_shape"

    def infer(self, x: Any) -> list[TensorType]:
        if len(self.sizes) != x.type.ndim:
            raise InferenceError(ShapeError, f"specify_shape got {len(self.sizes)} sizes for {x.type}")
        sizes = []
        for axis, (known, said) in enumerate(zip(x.type.shape, self.sizes, strict=True)):
            if known is not None and said is not None and known != said:
                raise InferenceError(ShapeError, f"axis {axis} was said to have size {said}, and has {known}")
            sizes.append(said if known is None else known)
        return [TensorType(x.type.dtype, sizes)]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        return [vouched(x, self.sizes)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [cotangents[0]]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Say the same of the tangent."""
        return [None if tangents[0] is None else self(tangents[0])]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls((2, None)), Sample((spread(2, 3),))
        yield cls((1, None, 0)), Sample((spread(1, 3, 0),))
        yield cls((None, None)), Sample((spread(1, 2, dtype="int32"),))
        yield cls((4,)), Sample((spread(3),), ShapeError)
        yield cls((3, 1)), Sample((spread(3),), ShapeError)

    def lower(self, apply: Apply) -> Kernel:
        settled = apply.inputs[0].type.shape == apply.outputs[0].type.shape  # type: ignore[attr-defined]
        return View(Same() if settled else Same(self.sizes))


@register
@dataclass(frozen=True)
class CheckSizes(Op):
    """The operand, whose sizes on `axes` are those that scalar operands say; checked at run time."""

    axes: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"check_sizes{{{','.join(map(str, self.axes))}}}"

    def infer(self, x: Any, *sizes: Any) -> list[TensorType]:
        shape = list(x.type.shape)
        for axis, size in zip(self.axes, sizes, strict=True):
            said, known = None if size.known is None else int(size.known), shape[axis]
            if None not in (said, known) and said != known:
                raise InferenceError(ShapeError, f"axis {axis} was said to have size {said}, and has {known}")
            shape[axis] = said if known is None else known
        return [TensorType(x.type.dtype, shape, x.type.broadcastable)]

    def evaluate(self, x: np.ndarray, *sizes: np.ndarray) -> list[np.ndarray]:
        said = dict(zip(self.axes, map(int, sizes), strict=True))
        return [vouched(x, [said.get(axis) for axis in range(x.ndim)]).copy()]

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [cotangents[0], *[Disconnected("it is a size") for _ in self.axes]]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The tangent has the same sizes."""
        return [tangents[0]]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls((0,)), Sample((spread(2, 3), number(2)))
        yield cls((0, 2)), Sample((spread(2, 0, 1), number(2), number(1, "int8")))
        yield cls((1,)), Sample((spread(2, 3, dtype="int16"), number(3)))
        yield cls((1,)), Sample((spread(2, 3), number(2)), ShapeError)


def specify_shape(x: Any, shape: Any) -> Any:
    """Return `x` with sizes that the graph doesn't know yet. Checked at run time.

    Parameters
    ----------
    x : tensor
        Any shape.
    shape : list of (int, integer scalar or None), or integer vector of known length
        The size of each axis; None leaves one open. A size that only a call knows is checked, nothing more.

    Raises
    ------
    ShapeError
        If a known size differs; else when the compiled function is called.

    Notes
    -----
    Keeps the behaviour of Theano's ``specify_shape``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> T.specify_shape(T.matrix(), (None, 3)).type.shape
    (None, 3)
    """
    x = as_operand(x)
    if isinstance(shape, Variable) and shape.type.shape[:1] != (None,):  # type: ignore[attr-defined]
        shape = list(shape) if shape.type.ndim else [shape]  # type: ignore[attr-defined, call-overload]
    if isinstance(shape, Variable):
        raise user_error(ShapeError, f"specify_shape needs to know how many sizes there are, got {shape.type}", [x])
    shape = listed(shape, "specify_shape", "sizes")
    later = [(axis, size) for axis, size in enumerate(shape) if isinstance(size, Variable) and size.known is None]
    sizes = tuple([
        None if size is None or (isinstance(size, Variable) and size.known is None)
        else whole_number(size, "specify_shape", "size")
        for size in shape
    ])  # fmt: skip
    known = list(zip(x.type.shape, x.type.broadcastable, strict=True))
    if len(sizes) != len(known) or not all(
        said is None or (said == size and (said != 1 or ones)) for said, (size, ones) in zip(sizes, known, strict=True)
    ):
        x = SpecifyShape(sizes)(x)
    return CheckSizes(tuple([axis for axis, _ in later]))(x, *[size for _, size in later]) if later else x


def addbroadcast(x: Any, *axes: int) -> Any:
    """Return `x` with `axes` known to have size 1, so that they stretch. Checked at run time.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> T.addbroadcast(T.matrix(), 0).broadcastable
    (True, False)
    """
    x = as_operand(x)
    ones = [checked_axis(axis, x, "addbroadcast") for axis in axes]
    return specify_shape(x, [1 if axis in ones else None for axis in range(x.type.ndim)])


@register
@dataclass(frozen=True)
class Unbroadcast(Op):
    """The operand, whose `axes` don't stretch although their size is known to be 1."""

    axes: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"unbroadcast{{{','.join(map(str, self.axes))}}}"

    def infer(self, x: Any) -> list[TensorType]:
        pattern = [ones and axis not in self.axes for axis, ones in enumerate(x.type.broadcastable)]
        return [TensorType(x.type.dtype, x.type.shape, pattern)]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        return [x]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        ones = [axis for axis in self.axes if inputs[0].type.broadcastable[axis]]
        return [addbroadcast(cotangents[0], *ones)]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Say the same of the tangent."""
        return [None if tangents[0] is None else self(tangents[0])]

    def lower(self, apply: Apply) -> View:
        return View(Same())

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls((0,)), Sample((spread(1, 3),))
        yield cls((0, 1)), Sample((spread(1, 1, dtype="int8"),))


def unbroadcast(x: Any, *axes: int) -> Any:
    """Return `x`, whose `axes` don't stretch any more although the graph knows that their size is 1.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> T.unbroadcast(T.row(), 0).broadcastable
    (False, False)
    """
    x = as_operand(x)
    held = tuple(sorted({checked_axis(axis, x, "unbroadcast") for axis in axes}))
    return Unbroadcast(held)(x) if any(x.type.broadcastable[axis] for axis in held) else x


def patternbroadcast(x: Any, broadcastable: Sequence[bool]) -> Any:
    """Return `x` with axes that stretch where `broadcastable` says so, and no others.

    Axes that are to stretch have size 1, which is checked at run time.

    Notes
    -----
    Keeps the behaviour of Theano's ``patternbroadcast``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> T.patternbroadcast(T.matrix(), (True, False)).broadcastable
    (True, False)
    """
    x = as_operand(x)
    broadcastable = listed(broadcastable, "patternbroadcast", "bools")
    if len(broadcastable) != x.type.ndim:
        raise user_error(ShapeError, f"patternbroadcast got {len(broadcastable)} axes for {x.type}", [x])
    stretching = [axis for axis, stretches in enumerate(broadcastable) if stretches]
    held = [axis for axis, stretches in enumerate(broadcastable) if not stretches]
    return unbroadcast(addbroadcast(x, *stretching), *held)


__all__ = ["addbroadcast", "patternbroadcast", "shape", "specify_shape", "unbroadcast"]
