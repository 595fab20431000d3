"""Ops that change or tell dtype, axes and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, register
from symgrad.graph.types import NUMPY_DTYPES, TensorType, dtype_name, shape_text
from symgrad.graph.variables import Apply, Constant, Variable, make_constant
from symgrad.kernels.grammar import (
    Broadcast,
    Evaluate,
    Kernel,
    Library,
    Map,
    Permute,
    Reshape,
    Same,
    ScalarFunction,
    View,
)
from symgrad.ops.promotion import as_operand, is_discrete

Sizes = tuple[int | None, ...]


@register
@dataclass(frozen=True)
class Cast(Op):
    """Convert each element to another dtype."""

    dtype: str

    @property
    def name(self) -> str:
        return f"cast_{self.dtype}"

    def infer(self, x: Any) -> list[TensorType]:
        if NUMPY_DTYPES[x.type.dtype].kind == "c" and NUMPY_DTYPES[self.dtype].kind != "c":
            raise InferenceError(DTypeError, f"a complex tensor can't be cast to {self.dtype}", "Take T.real(x).")
        return [x.type.with_dtype(self.dtype)]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        with np.errstate(all="ignore"):
            return [x.astype(self.dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x,) = inputs
        if is_discrete(x.type.dtype):
            return [Disconnected(f"{x} is {x.type.dtype}")]
        if is_discrete(self.dtype):
            return [Disconnected(f"a cast to {self.dtype} has a derivative of zero")]
        return [cast(cotangents[0], x.type.dtype)]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Cast the tangent likewise."""
        return [None if tangents[0] is None or is_discrete(self.dtype) else cast(tangents[0], self.dtype)]

    def lower(self, apply: Apply) -> Map:
        return Map(ScalarFunction(self.name, _CastFunction(self.dtype)))


@dataclass(frozen=True)
class _CastFunction:
    dtype: str

    def __call__(self, x: Any, out: Any = None) -> Any:
        if out is None:
            return np.asarray(x).astype(self.dtype)
        np.copyto(out, x, casting="unsafe")
        return out


def cast(x: Any, dtype: str) -> Any:
    """Return `x` converted to `dtype`; ``'floatX'`` means the configured float.

    Parameters
    ----------
    x : tensor
        Any dtype and shape.
    dtype : str
        Target dtype.

    Returns
    -------
    tensor
        `x` itself if it has that dtype already.
    """
    x = as_operand(x)
    dtype = dtype_name(dtype)
    if x.type.dtype == dtype:
        return x
    if isinstance(x, Constant) and x.data.size == 1:
        return make_constant(x.data.astype(dtype), x.name)
    return Cast(dtype)(x)


@register
@dataclass(frozen=True)
class DimShuffle(Op):
    """Reorder axes, insert axes of size 1, drop axes of size 1.

    ``order[k]`` is the input axis that becomes axis k, or None for a new axis.
    """

    order: tuple[int | None, ...]

    @property
    def name(self) -> str:
        return f"dimshuffle{{{','.join('x' if axis is None else str(axis) for axis in self.order)}}}"

    def infer(self, x: Any) -> list[TensorType]:
        for axis in self.order:
            if axis is not None and axis >= x.type.ndim:
                raise InferenceError(ShapeError, f"dimshuffle names axis {axis} of a tensor of {x.type.ndim} axes")
        for axis in set(range(x.type.ndim)) - set(self.order):
            if not x.type.broadcastable[axis]:
                size = x.type.shape[axis]
                raise InferenceError(
                    ShapeError,
                    f"dimshuffle can't drop axis {axis}: its size is {'not known to be 1' if size is None else size}",
                    "Index it (x[0]), or say that its size is 1 with T.addbroadcast(x, axis).",
                )
        shape = [1 if axis is None else x.type.shape[axis] for axis in self.order]
        pattern = [True if axis is None else x.type.broadcastable[axis] for axis in self.order]
        return [TensorType(x.type.dtype, shape, pattern)]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        kept = [axis for axis in self.order if axis is not None]
        dropped = tuple(axis for axis in range(x.ndim) if axis not in kept)
        permuted = x.transpose(*kept, *dropped).reshape([x.shape[axis] for axis in kept])
        return [permuted[tuple(np.newaxis if axis is None else slice(None) for axis in self.order)]]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x,) = inputs
        inverse = [self.order.index(axis) if axis in self.order else None for axis in range(x.type.ndim)]
        return [dimshuffle(cotangents[0], inverse)]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Shuffle the tangent likewise."""
        return [None if tangents[0] is None else self(tangents[0])]

    def lower(self, apply: Apply) -> View:
        return View(Permute(self.order))


def dimshuffle(x: Any, *pattern: Any) -> Any:
    """Return `x` with its axes in another order.

    Parameters
    ----------
    x : tensor
        Any shape.
    *pattern : int or 'x'
        For each axis of the result the axis of `x`, or ``'x'`` for a new axis of size 1, which stretches. Axes that
        are left out must be known to have size 1. A single list is accepted too.

    Returns
    -------
    tensor
        A view in compiled code.

    Raises
    ------
    ShapeError
        If an axis doesn't exist, or one that isn't known to be 1 is dropped.
    """
    x = as_operand(x)
    if len(pattern) == 1 and isinstance(pattern[0], list | tuple):
        pattern = tuple(pattern[0])
    order = tuple([None if a in ("x", None) else _axis(a, x.type.ndim, "dimshuffle") for a in pattern])
    axes = [axis for axis in order if axis is not None]
    if len(set(axes)) != len(axes):
        raise ShapeError(f"dimshuffle names an axis twice: {pattern}")
    if order == tuple(range(x.type.ndim)):
        return x
    return DimShuffle(order)(x)


def transpose(x: Any, *axes: Any) -> Any:
    """Return `x` with its axes permuted; reversed if no axes are given, as in `numpy.transpose`."""
    x = as_operand(x)
    if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], list | tuple)):
        axes = () if axes[0] is None else tuple(axes[0])
    order = tuple(axes) or tuple(reversed(range(x.type.ndim)))
    if sorted(_axis(axis, x.type.ndim, "transpose") for axis in order) != list(range(x.type.ndim)):
        raise ShapeError(f"transpose needs each of the {x.type.ndim} axes once, got {order}")
    return dimshuffle(x, *order)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Return `x` with two axes exchanged."""
    x = as_operand(x)
    order = list(range(x.type.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return dimshuffle(x, *order)


def moveaxis(x: Any, source: int, destination: int) -> Any:
    """Return `x` with one axis moved to another place."""
    x = as_operand(x)
    order = list(range(x.type.ndim))
    axis = order.pop(_axis(source, x.type.ndim, "moveaxis"))
    order.insert(_axis(destination, x.type.ndim, "moveaxis"), axis)
    return dimshuffle(x, *order)


def shape_padleft(x: Any, n_ones: int = 1) -> Any:
    """Return `x` with `n_ones` new axes of size 1 in front."""
    x = as_operand(x)
    return dimshuffle(x, *["x"] * n_ones, *range(x.type.ndim))


def shape_padright(x: Any, n_ones: int = 1) -> Any:
    """Return `x` with `n_ones` new axes of size 1 at the end."""
    x = as_operand(x)
    return dimshuffle(x, *range(x.type.ndim), *["x"] * n_ones)


def shape_padaxis(x: Any, axis: int) -> Any:
    """Return `x` with a new axis of size 1 that becomes axis `axis` of the result."""
    x = as_operand(x)
    order: list[Any] = list(range(x.type.ndim))
    order.insert(_axis(axis, x.type.ndim + 1, "shape_padaxis"), "x")
    return dimshuffle(x, *order)


def expand_dims(x: Any, axis: int) -> Any:
    """Return `x` with a new axis of size 1, as `numpy.expand_dims`."""
    return shape_padaxis(x, axis)


def squeeze(x: Any, axis: int | Sequence[int] | None = None) -> Any:
    """Return `x` without the axes that the graph knows to have size 1 (or without `axis`)."""
    x = as_operand(x)
    if axis is None:
        dropped = {number for number, ones in enumerate(x.type.broadcastable) if ones}
    else:
        axes = [axis] if isinstance(axis, int) else axis
        dropped = {_axis(number, x.type.ndim, "squeeze") for number in axes}
    return dimshuffle(x, *[number for number in range(x.type.ndim) if number not in dropped])


def _axis(axis: Any, ndim: int, where: str) -> int:
    number = int(axis)
    if not -ndim <= number < ndim:
        raise ShapeError(f"{where} got axis {number} for a tensor of {ndim} axes")
    return number % ndim


@register
@dataclass(frozen=True)
class ReshapeTo(Op):
    """The same elements in other sizes; ``sizes`` holds known sizes, None for one that arrives as an operand."""

    sizes: Sizes

    @property
    def name(self) -> str:
        return "reshape"

    def infer(self, x: Any, *operands: Any) -> list[TensorType]:
        sizes = _fill(self.sizes, operands)
        if sum(size == -1 for size in sizes) > 1:
            raise InferenceError(ShapeError, f"reshape can work out one size, got {shape_text(sizes)}")
        known = [size for size in sizes if size is not None and size != -1]
        total = prod(x.type.shape) if x.type.is_static else None  # type: ignore[arg-type]
        if total is not None and None not in sizes:
            rest = prod(known)
            if (-1 not in sizes and rest != total) or (-1 in sizes and (rest == 0 or total % rest)):
                raise InferenceError(
                    ShapeError, f"reshape can't turn {shape_text(x.type.shape)} into {shape_text(sizes)}"
                )
            sizes = tuple([total // rest if size == -1 else size for size in sizes])
        elif None not in sizes and -1 not in sizes:
            _check_divisible(x.type, sizes)
        return [TensorType(x.type.dtype, [None if size == -1 else size for size in sizes])]

    def known_value(self, x: Any, *operands: Any) -> np.ndarray | None:
        return None if len(self.sizes) > 1 else super().known_value(x, *operands)

    def evaluate(self, x: np.ndarray, *operands: np.ndarray) -> list[np.ndarray]:
        given = iter(operands)
        return [x.reshape([int(next(given)) if size is None else size for size in self.sizes])]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        x, *operands = inputs
        restored = reshape(cotangents[0], [size_of(x, axis) for axis in range(x.type.ndim)])
        return [restored, *[Disconnected("it is a size") for _ in operands]]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Reshape the tangent likewise."""
        return [None if tangents[0] is None else self(tangents[0], *inputs[1:])]

    def lower(self, apply: Apply) -> View:
        return View(Reshape(self.sizes))


def _check_divisible(kind: TensorType, sizes: Sizes) -> None:
    known = prod(size for size in kind.shape if size is not None)
    total = prod(size for size in sizes if size is not None)
    if known and total % known:
        raise InferenceError(ShapeError, f"reshape can't turn {shape_text(kind.shape)} into {shape_text(sizes)}")


def _fill(sizes: Sizes, operands: Sequence[Any]) -> Sizes:
    """Put the operands whose values are known into the places that wait for one."""
    given = iter(operands)
    filled: list[int | None] = []
    for size in sizes:
        if size is None:
            value = next(given).known
            size = None if value is None else int(value)
        filled.append(size)
    return tuple(filled)


def split_sizes(sizes: Any, where: str) -> tuple[Sizes, list[Any]]:
    """Split sizes into what is known now and the scalars that are known later.

    Returns
    -------
    tuple
        Known sizes with None in the gaps, and one integer scalar for each gap.
    """
    if isinstance(sizes, Variable):
        sizes = elements_of(sizes, where)
    elif not isinstance(sizes, list | tuple | np.ndarray):
        sizes = [sizes]
    known: list[int | None] = []
    operands = []
    for size in sizes:
        if isinstance(size, Variable):
            if size.type.ndim != 0 or not is_discrete(size.type.dtype):  # type: ignore[attr-defined]
                raise DTypeError(f"{where} needs integer scalars as sizes, got {size.type}")
            value = None if size.known is None else int(size.known)
            known.append(value)
            if value is None:
                operands.append(size)
        elif isinstance(size, int | np.integer) or (isinstance(size, np.ndarray) and size.ndim == 0):
            known.append(int(size))
        else:
            raise DTypeError(f"{where} needs integers as sizes, got {type(size).__name__} {size!r}")
    return tuple(known), operands


def elements_of(vector: Any, where: str) -> list[Any]:
    """Return the scalars that a symbolic vector of known length is made of."""
    if vector.type.ndim == 0:
        return [vector]
    if isinstance(vector, Constant):
        return [int(value) for value in vector.data]
    if vector.owner is not None and isinstance(vector.owner.op, MakeVector):
        return list(vector.owner.inputs)
    if vector.type.ndim != 1 or vector.type.shape[0] is None:
        raise ShapeError(
            f"{where} needs to know how many sizes there are, got {vector.type}; pass a list, or ndim where it is taken"
        )
    return [vector[index] for index in range(vector.type.shape[0])]


def reshape(x: Any, newshape: Any, ndim: int | None = None) -> Any:
    """Return the elements of `x`, in order, in other sizes.

    Parameters
    ----------
    x : tensor
        Any shape.
    newshape : list of int and integer scalars, or an integer vector
        The new sizes; one may be -1 and is worked out.
    ndim : int, optional
        How many sizes there are, where `newshape` is a vector of unknown length.

    Raises
    ------
    ShapeError
        If the number of elements can't fit, as far as sizes are known; else when the compiled function is called.
    """
    x = as_operand(x)
    if ndim is not None and isinstance(newshape, Variable) and newshape.type.ndim == 1:  # type: ignore[attr-defined]
        newshape = elements_of(newshape, "reshape") if newshape.type.shape[0] is not None else [  # type: ignore[attr-defined]
            newshape[index] for index in range(ndim)]  # type: ignore[index]  # fmt: skip
    sizes, operands = split_sizes(newshape, "reshape")
    return ReshapeTo(sizes)(x, *operands)


def flatten(x: Any, ndim: int = 1, outdim: int | None = None) -> Any:
    """Return `x` with its last axes joined, so that `ndim` axes remain (Theano's ``flatten``)."""
    x = as_operand(x)
    ndim = outdim if outdim is not None else ndim
    if not 1 <= ndim <= max(x.type.ndim, 1):
        raise ShapeError(f"flatten can leave 1 to {max(x.type.ndim, 1)} axes of {x.type}, got {ndim}")
    if ndim == x.type.ndim:
        return x
    rest = x.type.shape[ndim - 1 :]
    last = -1 if None in rest else prod(rest)
    return reshape(x, [*[size_of(x, axis) for axis in range(ndim - 1)], last])


def ravel(x: Any) -> Any:
    """Return `x` as a vector."""
    return flatten(x, 1)


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


def size_of(x: Any, axis: int) -> Any:
    """Return the size of one axis of `x` as an int64 scalar."""
    return Size(axis)(x)


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

    def lower(self, apply: Apply) -> Kernel:
        return Evaluate(self.name, self.evaluate)


def shape(x: Any) -> Any:
    """Return the sizes of `x` as an int64 vector."""
    x = as_operand(x)
    return MakeVector("int64")(*[size_of(x, axis) for axis in range(x.type.ndim)])


@register
@dataclass(frozen=True)
class BroadcastTo(Op):
    """A value stretched to sizes; axes that stretch must be known to have size 1."""

    sizes: Sizes

    @property
    def name(self) -> str:
        return "alloc"

    def infer(self, x: Any, *operands: Any) -> list[TensorType]:
        sizes = _fill(self.sizes, operands)
        if x.type.ndim > len(sizes):
            raise InferenceError(ShapeError, f"alloc can't turn {x.type} into {shape_text(sizes)}: too few sizes")
        for axis in range(-x.type.ndim, 0):
            found, wanted = x.type.shape[axis], sizes[axis]
            if not x.type.broadcastable[axis] and None not in (found, wanted) and found != wanted:
                raise InferenceError(ShapeError, f"alloc can't turn {x.type} into {shape_text(sizes)}")
        return [TensorType(x.type.dtype, sizes)]

    def known_value(self, *operands: Any) -> np.ndarray | None:
        return None

    def evaluate(self, x: np.ndarray, *operands: np.ndarray) -> list[np.ndarray]:
        given = iter(operands)
        sizes = [int(next(given)) if size is None else size for size in self.sizes]
        return [np.broadcast_to(x, sizes).copy()]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        x, *operands = inputs
        return [sum_to_type(cotangents[0], x), *[Disconnected("it is a size") for _ in operands]]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Stretch the tangent likewise."""
        return [None if tangents[0] is None else self(tangents[0], *inputs[1:])]

    def lower(self, apply: Apply) -> View:
        return View(Broadcast(self.sizes))


def alloc(value: Any, *sizes: Any) -> Any:
    """Return `value` stretched to `sizes` (ints or integer scalars), following the rules of broadcasting."""
    if len(sizes) == 1 and (isinstance(sizes[0], list | tuple) or getattr(sizes[0], "ndim", 0) == 1):
        sizes = sizes[0]
    known, operands = split_sizes(sizes, "alloc")
    value = as_operand(value)
    if value.type.ndim == len(known) and value.type.shape == known:
        return value
    return BroadcastTo(known)(value, *operands)


def broadcast_to(x: Any, shape: Any) -> Any:
    """Return `x` stretched to `shape`, as `numpy.broadcast_to`."""
    return alloc(x, shape if isinstance(shape, Variable) else list(shape))


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
        for axis, (found, said) in enumerate(zip(x.shape, self.sizes, strict=True)):
            if said is not None and found != said:
                raise ShapeError(f"axis {axis} was said to have size {said}, and has {found}")
        return [x]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [cotangents[0]]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Say the same of the tangent."""
        return [None if tangents[0] is None else self(tangents[0])]

    def lower(self, apply: Apply) -> Kernel:
        settled = apply.inputs[0].type.shape == apply.outputs[0].type.shape  # type: ignore[attr-defined]
        return View(Same()) if settled else Library("specify_shape", (("sizes", self.sizes),))


def specify_shape(x: Any, shape: Sequence[int | None]) -> Any:
    """Return `x` with sizes that the graph doesn't know yet; None leaves one open. Checked at run time.

    Raises
    ------
    ShapeError
        If a known size differs.
    """
    x = as_operand(x)
    sizes = tuple([None if size is None else int(size) for size in shape])
    if all(said is None or said == known for said, known in zip(sizes, x.type.shape, strict=False)):
        return x
    return SpecifyShape(sizes)(x)


def addbroadcast(x: Any, *axes: int) -> Any:
    """Return `x` with `axes` known to have size 1, so that they stretch. Checked at run time."""
    x = as_operand(x)
    return specify_shape(x, [1 if axis in axes else None for axis in range(x.type.ndim)])


def sum_to_type(cotangent: Any, variable: Any) -> Any:
    """Sum a cotangent over the axes along which `variable` was stretched."""
    from symgrad.ops.reduction import sum as sum_over

    target, found = variable.type, cotangent.type
    if target.broadcastable == found.broadcastable and target.dtype == found.dtype:
        return cotangent
    leading = found.ndim - target.ndim
    if leading:
        cotangent = sum_over(cotangent, axis=tuple(range(leading)))
    stretched = tuple(
        axis for axis in range(target.ndim)
        if target.broadcastable[axis] and not cotangent.type.broadcastable[axis]
    )  # fmt: skip
    if stretched:
        cotangent = sum_over(cotangent, axis=stretched, keepdims=True)
    missing = [not t and f for t, f in zip(target.broadcastable, cotangent.type.broadcastable, strict=True)]
    if any(missing):
        cotangent = alloc(cotangent, *[size_of(variable, axis) for axis in range(target.ndim)])
    return cast(cotangent, target.dtype)

__all__ = [
    "addbroadcast", "alloc", "broadcast_to", "cast", "dimshuffle", "expand_dims", "flatten", "moveaxis", "ravel",
    "reshape", "shape", "shape_padaxis", "shape_padleft", "shape_padright", "specify_shape", "squeeze", "swapaxes",
    "transpose",
]  # fmt: skip
