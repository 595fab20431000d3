"""Sorting, the largest few, and places in what is sorted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, IndexingError, RangeError, ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Sample, register, user_error
from symgrad.graph.types import TensorType
from symgrad.ops.axes import check_axis, checked_axis
from symgrad.ops.casting import cast
from symgrad.ops.picking import take_along_axis
from symgrad.ops.promotion import as_operand, is_complex, is_discrete, scalar_constant
from symgrad.ops.sampling import number, spread
from symgrad.ops.shape import flatten

KINDS = (None, "quicksort", "mergesort", "heapsort", "stable")


@register
@dataclass(frozen=True)
class Sort(Op):
    """Elements in ascending order along `axis`; nan comes last."""

    axis: int

    @property
    def name(self) -> str:
        return f"sort{{{self.axis}}}"

    def infer(self, x: Any) -> list[TensorType]:
        check_axis("sort", self.axis, x)
        return [x.type]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        return [np.sort(x, axis=self.axis)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        (x,) = inputs
        if is_discrete(x.type.dtype):
            return [Disconnected(f"{x} is {x.type.dtype}")]
        order = ArgSort(self.axis)
        return [take_along_axis(cotangents[0], order(order(x)), self.axis)]

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Put the tangent into the order of the operand."""
        return [None if tangents[0] is None else take_along_axis(tangents[0], ArgSort(self.axis)(inputs[0]), self.axis)]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield from _order_samples(cls)


@register
@dataclass(frozen=True)
class ArgSort(Op):
    """Where the elements stand that `Sort` puts in order, as int64; equal elements stay in their order."""

    axis: int

    @property
    def name(self) -> str:
        return f"argsort{{{self.axis}}}"

    def infer(self, x: Any) -> list[TensorType]:
        check_axis("argsort", self.axis, x)
        return [x.type.with_dtype("int64")]

    def evaluate(self, x: np.ndarray) -> list[np.ndarray]:
        return [np.argsort(x, axis=self.axis, kind="stable").astype("int64", copy=False)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return [Disconnected("argsort gives positions, which don't change with small changes of values")]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield from _order_samples(cls)


def _order_samples(cls: Any) -> Iterable[tuple[Op, Sample]]:
    yield cls(0), Sample((spread(5),))
    yield cls(1), Sample((spread(2, 4, 3),))
    yield cls(1), Sample((spread(2, 1),))
    yield cls(0), Sample((spread(0, 2),))
    yield cls(0), Sample((np.array([1.0, np.nan, -np.inf, 1.0]),), differentiable=False)
    for dtype in ("bool", "int8", "uint16", "int64", "float16", "float32", "complex64"):
        yield cls(1), Sample((spread(2, 6, dtype=dtype),))
    yield cls(0), Sample((number(1.5, "float64"),), ShapeError)
    yield cls(2), Sample((spread(2, 3),), ShapeError)


@register
@dataclass(frozen=True)
class ArgTopK(Op):
    """Where the `k` largest elements along `axis` stand, the largest first; for negative k the -k smallest."""

    axis: int

    @property
    def name(self) -> str:
        return f"argtopk{{{self.axis}}}"

    def infer(self, x: Any, k: Any) -> list[TensorType]:
        check_axis("topk", self.axis, x)
        if is_complex(x.type.dtype):
            raise InferenceError(DTypeError, "topk doesn't take complex numbers, which have no order")
        if k.type.ndim or not is_discrete(k.type.dtype):
            raise InferenceError(DTypeError, f"topk counts with an integer scalar, got {k.type}")
        sizes, ones = list(x.type.shape), list(x.type.broadcastable)
        sizes[self.axis], ones[self.axis] = None, False
        if k.known is not None:
            fault = _fault_of_count(int(k.known), x.type.shape[self.axis])
            if fault:
                raise InferenceError(RangeError, fault)
            sizes[self.axis] = abs(int(k.known))
            ones[self.axis] = sizes[self.axis] == 1
        return [TensorType("int64", sizes, ones)]

    def evaluate(self, x: np.ndarray, k: np.ndarray) -> list[np.ndarray]:
        count, size = int(k), x.shape[self.axis]
        fault = _fault_of_count(count, size)
        if fault:
            raise RangeError(fault)
        if count < 0:
            order = np.argsort(x, axis=self.axis, kind="stable")
        else:  # from the end, of the flipped operand, so that the first of equal elements comes first
            order = size - 1 - np.flip(np.argsort(np.flip(x, self.axis), axis=self.axis, kind="stable"), self.axis)
        return [np.ascontiguousarray(np.take(order, range(abs(count)), self.axis)).astype("int64", copy=False)]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        reason = "argtopk gives positions, which don't change with small changes of values"
        return [Disconnected(reason), Disconnected(f"{inputs[1]} is {inputs[1].type.dtype}")]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(0), Sample((spread(5), number(2)))
        yield cls(1), Sample((spread(2, 4, 3), number(-3, "int8")))
        yield cls(0), Sample((np.array([1, 3, 3, 0, 3], "uint8"), number(3)))
        yield cls(1), Sample((spread(0, 3, dtype="float32"), number(1)))
        yield cls(0), Sample((spread(4), number(5)), RangeError)
        yield cls(0), Sample((spread(4), number(0)), RangeError)
        yield cls(0), Sample((spread(4), number(1.0, "float64")), DTypeError)
        yield cls(0), Sample((spread(4, dtype="complex64"), number(1)), DTypeError)


def _fault_of_count(count: int, size: int | None) -> str:
    if count == 0:
        return "topk needs to know how many elements to pick, got 0"
    if size is not None and abs(count) > size:
        return f"topk can't pick {abs(count)} elements of an axis of size {size}"
    return ""


@register
@dataclass(frozen=True)
class SearchSorted(Op):
    """Where values belong in a sorted vector: before (`left`) or after (`right`) elements that equal them."""

    side: str

    @property
    def name(self) -> str:
        return "searchsorted"

    def infer(self, x: Any, v: Any, *sorter: Any) -> list[TensorType]:
        if x.type.ndim != 1:
            raise InferenceError(ShapeError, f"searchsorted looks into a vector, got {x.type}")
        if is_complex(x.type.dtype) or is_complex(v.type.dtype):
            raise InferenceError(DTypeError, "searchsorted doesn't take complex numbers, which have no order")
        for order in sorter:
            if order.type.ndim != 1:
                raise InferenceError(ShapeError, f"the sorter must be a vector of integers, got {order.type}")
            if not is_discrete(order.type.dtype) or order.type.dtype == "bool":
                raise InferenceError(DTypeError, f"the sorter must be a vector of integers, got {order.type}")
            if None not in (*order.type.shape, *x.type.shape) and order.type.shape != x.type.shape:
                raise InferenceError(ShapeError, _sorter_fault(order.type.shape[0], x.type.shape[0]))
        return [v.type.with_dtype("int64")]

    def evaluate(self, x: np.ndarray, v: np.ndarray, *sorter: np.ndarray) -> list[np.ndarray]:
        if sorter:
            (order,) = sorter
            if order.shape != x.shape:
                raise ShapeError(_sorter_fault(order.shape[0], x.shape[0]))
            if order.size and (order.min() < 0 or order.max() >= x.size):
                raise IndexingError(f"the sorter holds positions out of the range of a vector of {x.size} elements")
            x = x[order.astype("int64")]
        return [np.asarray(np.searchsorted(x, v, self.side), dtype="int64")]  # type: ignore[call-overload]

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        reason = "searchsorted gives positions, which don't change with small changes of values"
        return [Disconnected(reason)] * len(inputs)

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        steps = np.array([-1.0, 0.0, 0.0, 1.5])
        for side in ("left", "right"):
            yield cls(side), Sample((steps, spread(2, 3)))
            yield cls(side), Sample((steps, np.array(0.0)))
            yield cls(side), Sample((np.arange(4, dtype="int16"), spread(3, dtype="uint8"), np.arange(4)))
        yield cls("left"), Sample((np.array([2.0, 0.0, 1.0]), spread(3), np.array([1, 2, 0], "int32")))
        yield cls("left"), Sample((spread(0), spread(2)))
        yield cls("left"), Sample((spread(2, 2), spread(2)), ShapeError)
        yield cls("left"), Sample((spread(3), spread(2), np.arange(2)), ShapeError)
        yield cls("left"), Sample((spread(3), spread(2), np.array([0, 1, 3])), IndexingError)
        yield cls("left"), Sample((spread(3), spread(2), spread(3)), DTypeError)
        yield cls("left"), Sample((spread(3, dtype="complex64"), spread(2)), DTypeError)


def _sorter_fault(found: int | None, wanted: int | None) -> str:
    return f"the sorter has {found} positions, and the vector {wanted} elements"


# ---- functions ------------------------------------------------------------------------------------------------------


def _sorted_operand(name: str, x: Any, axis: Any, kind: str | None, order: Any) -> tuple[Any, int]:
    x = as_operand(x)
    if kind not in KINDS:
        raise user_error(ValueError, f"{name} has no kind {kind!r}", [x], f"It has {', '.join(map(str, KINDS[1:]))}.")
    if order is not None:
        raise user_error(ValueError, f"{name} got order={order!r}, which is for arrays with fields", [x])
    return _one_axis(name, x, axis)


def _one_axis(name: str, x: Any, axis: Any) -> tuple[Any, int]:
    if axis is None:
        return flatten(x), 0
    return x, checked_axis(axis, x, name)


def sort(a: Any, axis: int | None = -1, kind: str | None = "quicksort", order: Any = None) -> Any:
    """Return the elements in ascending order along an axis.

    Parameters
    ----------
    a : tensor
        Any dtype; nan comes last.
    axis : int or None
        None sorts the flattened tensor.
    kind : str
        One of NumPy's; all give the same.
    order : None
        Accepted for NumPy's sake.

    Returns
    -------
    tensor
        Of the type of `a`; a vector if `axis` is None. The gradient of each element goes to where it came from.

    Raises
    ------
    ShapeError
        If there is no such axis.

    Notes
    -----
    Keeps the behaviour of Theano's ``sort``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dmatrix('x')
    >>> T.sort(x).eval({x: [[3, 1, 2], [0, 5, 4]]})
    array([[1., 2., 3.],
           [0., 4., 5.]])
    """
    x, axis = _sorted_operand("sort", a, axis, kind, order)
    return Sort(axis)(x)


def argsort(a: Any, axis: int | None = -1, kind: str | None = "quicksort", order: Any = None) -> Any:
    """Return the positions that sort a tensor along an axis, as int64; arguments as `sort`.

    Equal elements stay in their order, whatever `kind` says.

    Notes
    -----
    Keeps the behaviour of Theano's ``argsort``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.argsort([30, 10, 20]).eval())
    [1 2 0]
    """
    x, axis = _sorted_operand("argsort", a, axis, kind, order)
    return ArgSort(axis)(x)


def argtopk(x: Any, kth: Any, axis: int | None = -1, sorted: bool = True, idx_dtype: str = "int64") -> Any:
    """Return the positions of the largest elements along an axis; see `topk_and_argtopk`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.argtopk([30, 10, 20], 2).eval())
    [0 2]
    """
    x, axis = _one_axis("argtopk", as_operand(x), axis)
    count = scalar_constant(kth, "int64") if isinstance(kth, int | np.integer) else as_operand(kth)
    return cast(ArgTopK(axis)(x, count), idx_dtype)


def topk(x: Any, kth: Any, axis: int | None = -1, sorted: bool = True, idx_dtype: str = "int64") -> Any:
    """Return the largest elements along an axis; see `topk_and_argtopk`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.topk([30, 10, 20], 2).eval())
    [30 20]
    """
    return topk_and_argtopk(x, kth, axis, sorted, idx_dtype)[0]


def topk_and_argtopk(
    x: Any, kth: Any, axis: int | None = -1, sorted: bool = True, idx_dtype: str = "int64"
) -> tuple[Any, Any]:
    """Return the largest elements along an axis, and where they stand.

    Parameters
    ----------
    x : tensor
        Any real dtype.
    kth : int or integer scalar
        How many; if negative, so many of the smallest.
    axis : int or None
        None picks from the flattened tensor.
    sorted : bool
        Accepted for Theano's sake: the results always are, the largest first (for negative `kth` the smallest). Of
        equal elements the first ones are picked.
    idx_dtype : str
        Dtype of the positions.

    Returns
    -------
    values, positions : tensor

    Raises
    ------
    RangeError
        If there are fewer elements, or `kth` is 0.

    Notes
    -----
    Keeps the behaviour of Theano's ``topk_and_argtopk``.

    Examples
    --------
    >>> import symgrad, symgrad.tensor as T
    >>> x = T.dvector('x')
    >>> symgrad.function([x], T.topk_and_argtopk(x, 2))([1, 7, 3, 7])
    [array([7., 7.]), array([1, 3])]
    """
    x, axis = _one_axis("topk", as_operand(x), axis)
    positions = argtopk(x, kth, axis)
    return take_along_axis(x, positions, axis), cast(positions, idx_dtype)


def searchsorted(x: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """Return where values would have to be inserted into a sorted vector to keep it sorted.

    Parameters
    ----------
    x : vector
        Ascending, unless `sorter` says in which order it is.
    v : tensor
        The values.
    side : {'left', 'right'}
        Before or after elements that equal the value.
    sorter : vector of integers, optional
        The positions that sort `x`, as `argsort` gives them.

    Returns
    -------
    tensor
        int64, with the sizes of `v`.

    Raises
    ------
    ShapeError
        If `x` isn't a vector.

    Notes
    -----
    Keeps the behaviour of Theano's ``searchsorted``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.dvector('x')
    >>> T.searchsorted(x, [2.0, 2.5]).eval({x: [1, 2, 3]})
    array([1, 2])
    """
    if side not in ("left", "right"):
        raise user_error(ValueError, f"searchsorted has no side {side!r}", (), "It is 'left' or 'right'.")
    x, v = as_operand(x), as_operand(v)
    return SearchSorted(side)(x, v, *([] if sorter is None else [as_operand(sorter)]))


def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """Return the number of the bin that each element belongs to, as `numpy.digitize` of ascending `bins`.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> print(T.digitize([0.5, 2.5], [0., 1., 2.]).eval())
    [1 3]
    """
    return searchsorted(bins, x, "left" if right else "right")


__all__ = ["argsort", "argtopk", "digitize", "searchsorted", "sort", "topk", "topk_and_argtopk"]
