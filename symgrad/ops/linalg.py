"""Products of vectors, matrices and stacks of matrices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import RankError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, register, user_error
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply, Variable
from symgrad.kernels.checks import open_comparisons
from symgrad.kernels.grammar import Kernel, Library
from symgrad.ops.axes import checked_axis, dimshuffle, swapaxes
from symgrad.ops.casting import cast_operands
from symgrad.ops.complex_numbers import conj
from symgrad.ops.elementwise_op import broadcast_shapes
from symgrad.ops.promotion import as_operands, is_discrete, listed, upcast
from symgrad.ops.sampling import number, spread
from symgrad.ops.shape import reshape, sum_to_type
from symgrad.ops.sizes import size_of, sizes_product


def _check_inner(name: str, left: Any, right: Any, left_axis: int, right_axis: int) -> None:
    a, b = left.type.shape[left_axis], right.type.shape[right_axis]
    if a is not None and b is not None and a != b:
        which = "first size" if right.type.ndim + right_axis == 0 or right_axis == 0 else "size before the last"
        raise InferenceError(
            ShapeError,
            f"{name} needs matching inner sizes, got {a} and {b}",
            f"The second operand's {which} must be {a}, or the first operand's last size {b}.",
        )


@register
@dataclass(frozen=True)
class Dot(Op):
    """Product of vectors and matrices: inner product, matrix times vector, or matrix times matrix."""

    @property
    def name(self) -> str:
        return "dot"

    def infer(self, x: Any, y: Any) -> list[TensorType]:
        if not (1 <= x.type.ndim <= 2 and 1 <= y.type.ndim <= 2):
            raise InferenceError(ShapeError, f"dot takes vectors and matrices here, got {x.type} and {y.type}")
        _check_inner("dot", x, y, -1, 0)
        shape = [*x.type.shape[:-1], *y.type.shape[1:]]
        pattern = [*x.type.broadcastable[:-1], *y.type.broadcastable[1:]]
        return [TensorType(upcast(x.type.dtype, y.type.dtype), shape, pattern)]

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
        if x.shape[-1] != y.shape[0]:
            raise ShapeError(f"dot needs matching inner sizes, got {x.shape[-1]} and {y.shape[0]}")
        return [np.asarray(np.dot(x, y))]

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x, y), (cotangent,) = inputs, cotangents
        if is_discrete(outputs[0].type.dtype):
            return [Disconnected("the product is of integers")] * 2
        return [
            Disconnected(f"{variable} is {variable.type.dtype}") if is_discrete(variable.type.dtype)
            else sum_to_type(result, variable)
            for variable, result in zip(inputs, _dot_cotangents(conj(x), conj(y), cotangent), strict=True)
        ]  # fmt: skip

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The product rule."""
        return [product_rule(self, inputs, tangents)]

    def lower(self, apply: Apply) -> Kernel:
        return Library("dot")

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(), Sample((spread(2, 3), spread(3, 4, start=6)))
        yield cls(), Sample((spread(3), spread(3, start=3)))
        yield cls(), Sample((spread(2, 3), spread(3, start=6)))
        yield cls(), Sample((spread(3), spread(3, 1, start=3)))
        yield cls(), Sample((spread(1, 1), spread(1, 2)))
        yield cls(), Sample((spread(2, 0), spread(0, 3)))
        yield cls(), Sample((spread(0, 2, dtype="float32"), spread(2, 3, dtype="float32")))
        yield cls(), Sample((spread(2, 3, dtype="int8"), spread(3, dtype="int8", low=-100, high=100)))
        yield cls(), Sample((spread(2, 2, dtype="bool"), spread(2, 2, dtype="bool", start=4)))
        yield cls(), Sample((spread(2, 2, dtype="complex64"), spread(2, 2, dtype="complex64", start=4)))
        yield cls(), Sample((spread(2, 3), spread(2, 3)), ShapeError)
        yield cls(), Sample((spread(3), spread(2)), ShapeError)
        yield cls(), Sample((spread(), spread(2)), ShapeError)


def product_rule(op: Op, inputs: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Return the tangent of an op that is linear in each of its two operands."""
    (x, y), (dx, dy) = inputs, tangents
    terms = [op(dx, y)] if dx is not None else []
    terms += [op(x, dy)] if dy is not None else []
    return sum(terms[1:], terms[0]) if terms else None


def _dot_cotangents(x: Any, y: Any, cotangent: Any) -> tuple[Any, Any]:
    if x.type.ndim == 1 and y.type.ndim == 1:
        return cotangent * y, cotangent * x
    if x.type.ndim == 1:
        return dot(cotangent, y.T), x.dimshuffle(0, "x") * cotangent.dimshuffle("x", 0)
    if y.type.ndim == 1:
        return cotangent.dimshuffle(0, "x") * y.dimshuffle("x", 0), dot(x.T, cotangent)
    return dot(cotangent, y.T), dot(x.T, cotangent)


def dot(x: Any, y: Any) -> Any:
    """Product of `x` and `y` over the last axis of `x` and the last but one (of a vector, the only one) of `y`.

    Parameters
    ----------
    x, y : tensor
        Scalars multiply; vectors and matrices as in linear algebra; with more axes as `numpy.dot`.

    Returns
    -------
    tensor
        Of shape ``x.shape[:-1] + y.shape[:-2] + y.shape[-1:]``.

    Raises
    ------
    ShapeError
        If the inner sizes are known and differ; else when the compiled function is called.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.dot([[1, 2], [3, 4]], [1, 10]).eval())
    [21 43]
    """
    other = _of_another_kind(x, y)
    if other is not None:
        return other.product(x, y)
    x, y = _same_dtype(x, y)
    if x.type.ndim == 0 or y.type.ndim == 0:
        return x * y
    if x.type.ndim <= 2 and y.type.ndim <= 2:
        return Dot()(x, y)
    return tensordot(x, y, axes=[[x.type.ndim - 1], [max(y.type.ndim - 2, 0)]])


def _same_dtype(x: Any, y: Any) -> tuple[Any, Any]:
    x, y = as_operands(x, y)
    common = upcast(x.type.dtype, y.type.dtype)
    x, y = cast_operands([x, y], [common] * 2)
    return x, y


def _of_another_kind(*operands: Any) -> Any:
    """Return the first operand that isn't a tensor and knows itself what a product is: a sparse matrix; or None."""
    others = [v for v in operands if isinstance(v, Variable) and not isinstance(v.type, TensorType)]
    return next((other for other in others if hasattr(other, "product")), None)


@register
@dataclass(frozen=True)
class BatchedMatrixProduct(Op):
    """Products of matrices in the last two axes, for each index of the leading axes, which broadcast."""

    @property
    def name(self) -> str:
        return "matmul"

    def infer(self, x: Any, y: Any) -> list[TensorType]:
        if x.type.ndim < 2 or y.type.ndim < 2:
            raise InferenceError(ShapeError, f"matmul takes matrices or stacks of them, got {x.type} and {y.type}")
        _check_inner("matmul", x, y, -1, -2)
        stacks = [TensorType(v.type.dtype, v.type.shape[:-2], v.type.broadcastable[:-2]) for v in (x, y)]
        shape, pattern = broadcast_shapes("matmul", stacks)
        return [
            TensorType(
                upcast(x.type.dtype, y.type.dtype),
                (*shape, x.type.shape[-2], y.type.shape[-1]),
                (*pattern, x.type.broadcastable[-2], y.type.broadcastable[-1]),
            )
        ]

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
        if x.shape[-1] != y.shape[-2]:
            raise ShapeError(f"matmul needs matching inner sizes, got {x.shape[-1]} and {y.shape[-2]}")
        return [np.matmul(x, y)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x, y), (cotangent,) = inputs, cotangents
        if is_discrete(outputs[0].type.dtype):
            return [Disconnected("the product is of integers")] * 2
        x, y = conj(x), conj(y)
        results = self(cotangent, swapaxes(y, -1, -2)), self(swapaxes(x, -1, -2), cotangent)
        return [
            Disconnected(f"{variable} is {variable.type.dtype}") if is_discrete(variable.type.dtype)
            else sum_to_type(result, variable)
            for variable, result in zip(inputs, results, strict=True)
        ]  # fmt: skip

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The product rule."""
        return [product_rule(self, inputs, tangents)]

    def lower(self, apply: Apply) -> Kernel:
        stacks = [variable.type for variable in apply.inputs]
        comparisons = open_comparisons(
            [(*kind.broadcastable[:-2], True, True) for kind in stacks],  # type: ignore[attr-defined]
            [kind.shape for kind in stacks],  # type: ignore[attr-defined]
        )
        return Library("matmul", (("stacks", comparisons),))

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(), Sample((spread(2, 2, 3), spread(2, 3, 1, start=12)))
        yield cls(), Sample((spread(2, 1, 2, 3), spread(4, 3, 2, start=12)))
        yield cls(), Sample((spread(2, 2), spread(3, 2, 2, start=4)))
        yield cls(), Sample((spread(2, 2, 0), spread(2, 0, 2)))
        yield cls(), Sample((spread(2, 1, 2, dtype="int32"), spread(2, 2, 1, dtype="int32")))
        yield cls(), Sample((spread(2, 2, 3), spread(2, 2, 3)), ShapeError)
        yield cls(), Sample((spread(2, 2, 3), spread(3, 3, 3)), ShapeError)
        yield cls(), Sample((spread(3), spread(3, 3)), ShapeError)


def matmul(x: Any, y: Any) -> Any:
    """Matrix product as Python's ``@``: of vectors, matrices, and stacks of matrices in the last two axes.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.matmul([[1, 2], [3, 4]], [[1, 2], [3, 4]]).eval())
    [[ 7 10]
     [15 22]]
    """
    other = _of_another_kind(x, y)
    if other is not None:
        return other.product(x, y)
    x, y = _same_dtype(x, y)
    if x.type.ndim == 0 or y.type.ndim == 0:
        raise user_error(RankError, f"matmul doesn't take scalars, got {x.type} and {y.type}", [x, y], "Use *.")
    if x.type.ndim <= 2 and y.type.ndim <= 2:
        return Dot()(x, y)
    rows = dimshuffle(x, "x", 0) if x.type.ndim == 1 else x
    columns = dimshuffle(y, 0, "x") if y.type.ndim == 1 else y
    product = BatchedMatrixProduct()(rows, columns)
    axes = list(range(product.type.ndim))
    if y.type.ndim == 1:
        axes.pop(-1)
    if x.type.ndim == 1:
        axes.pop(-2 if y.type.ndim > 1 else -1)
    return dimshuffle(product, *axes)


def batched_dot(x: Any, y: Any) -> Any:
    """For each index of the first axis, the `dot` of ``x[i]`` and ``y[i]`` (Theano's ``batched_dot``).

    Parameters
    ----------
    x : tensor of shape (batch, ...)
        Vectors, matrices, or more axes.
    y : tensor of shape (batch, ...)
        Likewise.

    Returns
    -------
    tensor of shape (batch, ...)

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.batched_dot([[1, 2], [3, 4]], [[1, 1], [1, 2]]).eval())
    [ 3 11]
    """
    x, y = _same_dtype(x, y)
    if x.type.ndim == 0 or y.type.ndim == 0:
        raise user_error(
            ShapeError, f"batched_dot needs a batch axis on both operands, got {x.type} and {y.type}", [x, y]
        )
    if x.type.ndim == 1 or y.type.ndim == 1:
        wide, narrow = (x, y) if y.type.ndim == 1 else (y, x)
        return wide * dimshuffle(narrow, 0, *["x"] * (wide.type.ndim - 1))
    if x.type.ndim > 3 or y.type.ndim > 3:
        return batched_tensordot(x, y, [[x.type.ndim - 1], [y.type.ndim - 2 if y.type.ndim > 2 else 1]])
    rows = dimshuffle(x, 0, "x", 1) if x.type.ndim == 2 else x
    columns = dimshuffle(y, 0, 1, "x") if y.type.ndim == 2 else y
    product = BatchedMatrixProduct()(rows, columns)
    kept = [0, *([1] if x.type.ndim == 3 else []), *([2] if y.type.ndim == 3 else [])]
    return dimshuffle(product, *kept)


def tensordot(x: Any, y: Any, axes: Any = 2) -> Any:
    """Sum of products over several axes, as `numpy.tensordot`.

    Parameters
    ----------
    x, y : tensor
        Any shapes.
    axes : int or pair of sequences of int
        The last `axes` axes of `x` with the first of `y`; or the axes of `x`, and those of `y`, in pairs.

    Returns
    -------
    tensor
        The remaining axes of `x`, then those of `y`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.tensordot([[1, 2], [3, 4]], [[1, 2], [3, 4]], axes=[[0], [0]]).eval())
    [[10 14]
     [14 20]]
    """
    return _tensordot(*_same_dtype(x, y), axes, batch=0)


def batched_tensordot(x: Any, y: Any, axes: Any = 2) -> Any:
    """`tensordot` for each index of a shared first axis (axes are counted with it).

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.batched_tensordot([[1, 2], [3, 4]], [[1, 1], [1, 2]], axes=1).eval())
    [ 3 11]
    """
    return _tensordot(*_same_dtype(x, y), axes, batch=1)


def _tensordot(x: Any, y: Any, axes: Any, batch: int) -> Any:
    x_axes, y_axes = _tensordot_axes(x, y, axes, batch)
    x_free = [axis for axis in range(batch, x.type.ndim) if axis not in x_axes]
    y_free = [axis for axis in range(batch, y.type.ndim) if axis not in y_axes]
    lead = list(range(batch))
    x_sizes, y_sizes = [[size_of(v, axis) for axis in range(v.type.ndim)] for v in (x, y)]
    inner = sizes_product([x_sizes[axis] for axis in x_axes])
    x_rest, y_rest = [x_sizes[axis] for axis in x_free], [y_sizes[axis] for axis in y_free]
    rows = reshape(dimshuffle(x, *lead, *x_free, *x_axes), [*x_sizes[:batch], sizes_product(x_rest), inner])
    columns = reshape(dimshuffle(y, *lead, *y_axes, *y_free), [*y_sizes[:batch], inner, sizes_product(y_rest)])
    product = matmul(rows, columns)
    return reshape(product, [*x_sizes[:batch], *x_rest, *y_rest])


def _tensordot_axes(x: Any, y: Any, axes: Any, batch: int) -> tuple[list[int], list[int]]:
    if isinstance(axes, int | np.integer):
        if not 0 <= axes <= min(x.type.ndim, y.type.ndim) - batch:
            raise user_error(ShapeError, f"tensordot can't join {axes} axes of {x.type} and {y.type}", [x, y])
        return list(range(x.type.ndim - axes, x.type.ndim)), list(range(batch, batch + axes))
    pairs = [
        [entry] if isinstance(entry, int | np.integer) else listed(entry, "tensordot", "axes")
        for entry in listed(axes, "tensordot", "axes")
    ]
    if len(pairs) != 2 or len(pairs[0]) != len(pairs[1]):
        raise user_error(
            ShapeError, f"tensordot needs as many axes of the first operand as of the second, got {axes}", [x, y]
        )
    x_axes, y_axes = [
        [checked_axis(axis, v, "tensordot") for axis in entry] for v, entry in zip((x, y), pairs, strict=True)
    ]
    if len(set(x_axes)) != len(x_axes) or len(set(y_axes)) != len(y_axes):
        raise user_error(ShapeError, f"tensordot got an axis twice: {axes}", [x, y])
    for a, b in zip(x_axes, y_axes, strict=True):
        sizes = x.expected.shape[a], y.expected.shape[b]
        if None not in sizes and sizes[0] != sizes[1]:
            raise user_error(
                ShapeError,
                f"tensordot needs matching sizes, got {sizes[0]} (axis {a}) and {sizes[1]} (axis {b})",
                [x, y],
            )
    return x_axes, y_axes


@register
@dataclass(frozen=True)
class Gemm(Op):
    """``c + (beta * c + alpha * a @ b)``: what a gradient step on a matrix becomes. Made by rewriting only.

    `c` is rounded once, when the small step is added. In float32, ``(1 + beta) * c`` would round it once more, and by
    as much as many a step's weight decay.
    """

    @property
    def name(self) -> str:
        return "gemm"

    def infer(self, c: Any, alpha: Any, a: Any, b: Any, beta: Any) -> list[TensorType]:
        _check_inner("gemm", a, b, -1, 0)
        wanted = (a.type.shape[0], b.type.shape[1])
        for axis, (found, size) in enumerate(zip(c.type.shape, wanted, strict=True)):
            if found is not None and size is not None and found != size:
                raise InferenceError(ShapeError, f"gemm adds sizes {found} and {size} on axis {axis}")
        shape = [found if found is not None else size for found, size in zip(c.type.shape, wanted, strict=True)]
        return [TensorType(c.type.dtype, shape, c.type.broadcastable)]

    def evaluate(self, *inputs: np.ndarray) -> list[np.ndarray]:
        c, alpha, a, b, beta = inputs
        return [np.asarray(c + (beta * c + alpha * np.dot(a, b)), dtype=c.dtype)]

    def lower(self, apply: Apply) -> Kernel:
        return Library("gemm", overwrites=0)

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        for dtype in ("float64", "float32"):
            scales = number(0.5, dtype), number(-1.5, dtype)
            a, b, c = [spread(*shape, dtype=dtype, start=9 * i) for i, shape in enumerate([(2, 3), (3, 4), (2, 4)])]
            yield cls(), Sample((c, scales[0], a, b, scales[1]), differentiable=False)
            yield cls(), Sample((c, scales[0], a[:, :0], b[:0], scales[1]), differentiable=False)
            yield cls(), Sample((c[:0], scales[0], a[:0], b, scales[1]), differentiable=False)
            yield cls(), Sample((c[:1], scales[0], a, b, scales[1]), ShapeError)
            yield cls(), Sample((c, scales[0], b, a, scales[1]), ShapeError)


__all__ = ["batched_dot", "batched_tensordot", "dot", "matmul", "tensordot"]
