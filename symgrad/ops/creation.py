"""Tensors made of nothing but sizes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.config import config
from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, register, user_error
from symgrad.graph.types import TensorType, dtype_name, shape_text
from symgrad.graph.variables import Apply, Variable
from symgrad.kernels.grammar import Kernel, Library
from symgrad.ops.casting import cast
from symgrad.ops.promotion import as_operand, as_operands, is_discrete, scalar_constant, upcast
from symgrad.ops.sampling import number, spread
from symgrad.ops.shape import alloc
from symgrad.ops.sizes import size_of


def zeros(shape: Any, dtype: str | None = None) -> Any:
    """Return a tensor of zeros; `dtype` is ``floatX`` by default.

    Parameters
    ----------
    shape : int, integer scalar, or sequence of them
        Sizes. Those known to be 1 stretch.
    dtype : str, optional
        Element type.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.zeros((2,), 'int8').eval())
    [0 0]
    """
    return full(shape, 0, dtype or config.floatX)


def ones(shape: Any, dtype: str | None = None) -> Any:
    """Return a tensor of ones; arguments as `zeros`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.ones((2,), 'int8').eval())
    [1 1]
    """
    return full(shape, 1, dtype or config.floatX)


def full(shape: Any, value: Any, dtype: str | None = None) -> Any:
    """Return a tensor filled with one value, as `numpy.full`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.full((2,), 7).eval())
    [7 7]
    """
    value = as_operand(value) if dtype is None or isinstance(value, Variable) else scalar_constant(
        value, dtype_name(dtype))  # fmt: skip
    value = cast(value, dtype or value.type.dtype)
    sizes = shape if isinstance(shape, list | tuple) or getattr(shape, "ndim", 0) == 1 else [shape]
    return alloc(value, sizes)


def empty(shape: Any, dtype: str | None = None) -> Any:
    """Return a tensor to be written into, as `numpy.empty`; here it holds zeros.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.empty((2, 3)).shape.eval())
    [2 3]
    """
    return zeros(shape, dtype)


def full_like(model: Any, value: Any, dtype: str | None = None) -> Any:
    """Return `value` in every element, with the sizes and (unless given) the dtype of `model`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.full_like([1, 2], 7).eval())
    [7 7]
    """
    model = as_operand(model)
    dtype = dtype_name(dtype or model.type.dtype)
    filling = cast(value, dtype) if isinstance(value, Variable) else scalar_constant(value, dtype)
    return alloc(filling, *[size_of(model, axis) for axis in range(model.type.ndim)])


def zeros_like(model: Any, dtype: str | None = None, opt: bool = False) -> Any:
    """Return zeros with the sizes (and, unless given, the dtype) of `model`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.zeros_like([5, 6]).eval())
    [0 0]
    """
    if isinstance(model, Variable) and not isinstance(model.type, TensorType) and hasattr(model, "zeros_like"):
        return model.zeros_like(dtype)
    return full_like(model, 0, dtype)


def ones_like(model: Any, dtype: str | None = None, opt: bool = False) -> Any:
    """Return ones with the sizes (and, unless given, the dtype) of `model`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.ones_like([5, 6]).eval())
    [1 1]
    """
    if isinstance(model, Variable) and not isinstance(model.type, TensorType) and hasattr(model, "ones_like"):
        return model.ones_like(dtype)
    return full_like(model, 1, dtype)


def empty_like(model: Any, dtype: str | None = None) -> Any:
    """Return a tensor to be written into, with the sizes of `model`; here it holds zeros.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.empty_like([1, 2]).shape.eval())
    [2]
    """
    return zeros_like(model, dtype)


def fill(model: Any, value: Any) -> Any:
    """Return `value` stretched to the sizes of `model` (Theano's ``fill``).

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.fill([1, 2], 7).eval())
    [7 7]
    """
    model = as_operand(model)
    return alloc(as_operand(value, [model.type.dtype]), *[size_of(model, axis) for axis in range(model.type.ndim)])


@register
@dataclass(frozen=True)
class ARange(Op):
    """Numbers from `start` to before `stop`, `step` apart."""

    dtype: str

    @property
    def name(self) -> str:
        return "arange"

    def infer(self, start: Any, stop: Any, step: Any) -> list[TensorType]:
        if start.type.ndim or stop.type.ndim or step.type.ndim:
            raise InferenceError(ShapeError, "arange takes scalars")
        bounds = [operand.known for operand in (start, stop, step)]
        if any(bound is None for bound in bounds):
            return [TensorType(self.dtype, (None,))]
        low, high, stride = [int(bound) for bound in bounds]
        if stride == 0:
            raise InferenceError(ShapeError, "arange needs a step other than 0")
        return [TensorType(self.dtype, (len(range(low, high, stride)),))]

    def evaluate(self, start: Any, stop: Any, step: Any) -> list[np.ndarray]:
        return [np.arange(start.item(), stop.item(), step.item(), dtype=self.dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Element k of a range of floats is ``start + k * step``."""
        if is_discrete(self.dtype):
            return [Disconnected("a range of integers depends on its bounds only in steps")] * 3
        of_start, of_step = cotangents[0].sum(), (cotangents[0] * self._counted(outputs)).sum()
        return [
            Disconnected("it only says how many elements there are") if number == 1
            else Disconnected(f"{bound} is {bound.type.dtype}") if is_discrete(bound.type.dtype)
            else cast(of_step if number else of_start, bound.type.dtype)
            for number, bound in enumerate(inputs)
        ]  # fmt: skip

    def _counted(self, outputs: Sequence[Any]) -> Any:
        return arange(size_of(outputs[0], 0)).astype(self.dtype)

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Moved as a whole by `start`, each element k times by `step`."""
        start, _, step = [None if tangent is None else cast(tangent, self.dtype) for tangent in tangents]
        if step is not None:
            step = step * self._counted(outputs)
        if start is not None and step is None:
            return [fill(outputs[0], start)]
        return [step if start is None else start + step]

    def lower(self, apply: Apply) -> Kernel:
        return Library("arange", (("dtype", self.dtype),))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls("int64"), Sample((number(0), number(5), number(1)))
        yield cls("int32"), Sample((number(7), number(-2), number(-3)))
        yield cls("int64"), Sample((number(3), number(3), number(1)))
        halves = number(0.5, "float64"), number(2.25, "float64"), number(0.5, "float64")
        yield cls("float64"), Sample(halves)
        yield cls("int64"), Sample((spread(2), number(3), number(1)), ShapeError)
        yield cls("int64"), Sample((number(0), number(3), number(0)), ShapeError)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: str | None = None) -> Any:
    """Return numbers from `start` (0 if only one bound is given) to before `stop`, `step` apart.

    Parameters
    ----------
    start, stop, step : number or scalar
        ``arange(stop)``, ``arange(start, stop)`` or ``arange(start, stop, step)``.
    dtype : str, optional
        Element type. By default that in which the bounds meet, but int64 (uint64) for all integers (unsigned ones).

    Returns
    -------
    vector

    Raises
    ------
    ShapeError
        If a bound isn't a scalar, or `step` is 0.

    Notes
    -----
    Keeps the behaviour of Theano's ``arange``. A range of floats has a gradient with respect to `start` and `step`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> n = T.lscalar('n')
    >>> print(T.arange(n, 0, -2).eval({n: 5}))
    [5 3 1]
    """
    given = [start] if stop is None else [start, stop, step]
    if stop is None:
        start, stop = 0, start
    bounds = as_operands(start, stop, step)
    found = upcast(*[bound.type.dtype for bound in bounds])
    if is_discrete(found):
        unsigned = len(given) == 3 and all(getattr(bound, "dtype", "").startswith("u") for bound in given)
        found = "uint64" if unsigned else "int64"
    return ARange(dtype_name(dtype or found))(*bounds)


@register
@dataclass(frozen=True)
class Eye(Op):
    """Ones on the `k`-th diagonal of a matrix of zeros."""

    dtype: str

    @property
    def name(self) -> str:
        return "eye"

    def infer(self, rows: Any, columns: Any, k: Any) -> list[TensorType]:
        if rows.type.ndim or columns.type.ndim or k.type.ndim:
            raise InferenceError(ShapeError, "eye takes scalars")
        shape = [None if size.known is None else int(size.known) for size in (rows, columns)]
        if any(size is not None and size < 0 for size in shape):
            raise InferenceError(ShapeError, f"eye can't make a negative size, got {shape_text(shape)}")
        return [TensorType(self.dtype, shape)]

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def evaluate(self, rows: np.ndarray, columns: np.ndarray, k: np.ndarray) -> list[np.ndarray]:
        return [np.eye(int(rows), int(columns), int(k), dtype=self.dtype)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [Disconnected("it is a size")] * 3

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls("float32"), Sample((number(2), number(3), number(1)))
        yield cls("int8"), Sample((number(3, "int32"), number(0), number(-1)))
        yield cls("bool"), Sample((number(2), number(2), number(0)))
        yield cls("float64"), Sample((spread(2, dtype="int64"), number(2), number(0)), ShapeError)
        yield cls("float64"), Sample((number(-1), number(2), number(0)), ShapeError)


def eye(n: Any, m: Any = None, k: Any = 0, dtype: str | None = None) -> Any:
    """Return a matrix of zeros with ones on a diagonal.

    Parameters
    ----------
    n, m : int or integer scalar
        Rows and columns; without `m` as many columns as rows.
    k : int or integer scalar
        Which diagonal: 0 is the main one, positive ones lie above it.
    dtype : str, optional
        Element type, by default ``floatX``.

    Notes
    -----
    Keeps the behaviour of Theano's ``eye``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.eye(2, 3, 1, dtype='int8').eval())
    [[0 1 0]
     [0 0 1]]
    """
    sizes = [as_operand(size) for size in (n, n if m is None else m, k)]
    if not all(is_discrete(size.type.dtype) for size in sizes):
        raise user_error(DTypeError, "eye needs integers as sizes", sizes)
    return Eye(dtype_name(dtype or config.floatX))(*sizes)


def identity(n: Any, dtype: str | None = None) -> Any:
    """Return the `n` by `n` matrix with ones on its diagonal, as `numpy.identity`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.identity(2).eval())
    [[1. 0.]
     [0. 1.]]
    """
    return eye(n, dtype=dtype)


def identity_like(x: Any) -> Any:
    """Return the matrix with ones on its diagonal that has the sizes and dtype of the matrix `x`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.identity_like([[1., 2., 3.], [4., 5., 6.]]).eval())
    [[1. 0. 0.]
     [0. 1. 0.]]
    """
    x = as_operand(x)
    if x.type.ndim != 2:
        raise user_error(ShapeError, f"identity_like needs a matrix, got {x.type}", [x])
    return eye(size_of(x, 0), size_of(x, 1), 0, x.type.dtype)


__all__ = [
    "arange", "empty", "empty_like", "eye", "fill", "full", "full_like", "identity", "identity_like", "ones",
    "ones_like", "zeros", "zeros_like",
]  # fmt: skip
