"""Theano's classes of ops: what ``isinstance(node.op, T.Elemwise)`` asks, and what ``T.Elemwise(scalar_op)`` makes.

symgrad's ops are others. Each class here stands for those that do the same work: its instances are symgrad's ops, and
calling it returns a function that builds the expression.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import symgrad.tensor as T
from symgrad.compat.theano_names import scalar_ops
from symgrad.graph.op import Op, registry
from symgrad.ops.reduction_op import Reduction


class _StandIn(type):
    """A class whose instances are ops of other classes."""

    _names: Sequence[str]
    _make: Callable[..., Any]
    _holds: Callable[[Any], bool] | None
    _base: type | None

    def __new__(
        mcs,
        name: str,
        make: Callable[..., Any],
        names: Sequence[str],
        holds: Callable[[Any], bool] | None = None,
        base: type | None = None,
    ) -> Any:
        made = super().__new__(mcs, name, (), {"__doc__": f"Theano's {name}: {', '.join(names)}."})
        made._make, made._names, made._base = staticmethod(make), names, base
        made._holds = staticmethod(holds) if holds else None
        return made

    def __init__(cls, *arguments: Any, **options: Any) -> None:
        super().__init__(cls.__name__, (), {})

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        return cls._make(*arguments, **options)

    def __instancecheck__(cls, op: Any) -> bool:
        if cls._base is not None and isinstance(op, cls._base):
            return True
        if not isinstance(op, Op) or type(op).__name__ not in cls._names:
            return False
        return cls._holds is None or cls._holds(op)

    def __subclasscheck__(cls, kind: type) -> bool:
        return kind is cls or kind in [registry.ops.get(name) for name in cls._names]


def _dimshuffle(input_broadcastable: Any, new_order: Any, inplace: bool = True) -> Callable[[Any], Any]:
    def shuffle(x: Any) -> Any:
        return T.as_tensor_variable(x).dimshuffle(*new_order)

    return shuffle


def _reducing(reduce: Callable[..., Any]) -> Callable[..., Any]:
    def make(axis: Any = None, dtype: Any = None, acc_dtype: Any = None) -> Callable[[Any], Any]:
        def of(x: Any) -> Any:
            return reduce(x, axis, dtype) if dtype is not None else reduce(x, axis)

        return of

    return make


def _careduce(scalar_op: Any, axis: Any = None, **_: Any) -> Callable[[Any], Any]:
    reductions = {
        T.add: T.sum, T.mul: T.prod, T.maximum: T.max, T.minimum: T.min, T.and_: T.all, T.or_: T.any,
    }  # fmt: skip

    def of(x: Any) -> Any:
        return reductions[scalar_op](x, axis)

    return of


def _is_reduction(*functions: str) -> Callable[[Any], bool]:
    def holds(op: Any) -> bool:
        return isinstance(op, Reduction) and op.function in functions

    return holds


def _dot() -> Callable[..., Any]:
    return T.dot


def _reshape(ndim: int, name: str | None = None) -> Callable[..., Any]:
    def of(x: Any, shape: Any) -> Any:
        return T.reshape(x, shape, ndim)

    return of


def _alloc(*_: Any) -> Callable[..., Any]:
    return T.alloc


def _join(view: int = -1) -> Callable[..., Any]:
    return T.join


def _split(len_splits: int) -> Callable[..., Any]:
    def of(x: Any, axis: Any, splits_size: Any) -> Any:
        return T.split(x, splits_size, len_splits, axis)

    return of


def _subtensor(idx_list: Any) -> Callable[..., Any]:
    def of(x: Any, *_: Any) -> Any:
        return x[tuple(idx_list)]

    return of


def _indexed(*_: Any, **__: Any) -> Callable[..., Any]:
    def of(x: Any, *index: Any) -> Any:
        return x[index if len(index) > 1 else index[0]]

    return of


def _written(*_: Any, set_instead_of_inc: bool = False, **__: Any) -> Callable[..., Any]:
    def of(x: Any, y: Any, *index: Any) -> Any:
        write = T.set_subtensor if set_instead_of_inc else T.inc_subtensor
        return write(x[index if len(index) > 1 else index[0]], y)

    return of


def _arange(dtype: str) -> Callable[..., Any]:
    def of(start: Any, stop: Any, step: Any) -> Any:
        return T.arange(start, stop, step, dtype)

    return of


def _max_and_argmax(axis: Any) -> Callable[..., Any]:
    def of(x: Any) -> Any:
        return T.max_and_argmax(x, axis)

    return of


Elemwise = _StandIn("Elemwise", scalar_ops.Elemwise, ("Elementwise", "Cast"), base=scalar_ops.ScalarOp)
DimShuffle = _StandIn("DimShuffle", _dimshuffle, ("DimShuffle",))
CAReduce = _StandIn("CAReduce", _careduce, ("Reduction", "SumOfSquares"))
CAReduceDtype = _StandIn("CAReduceDtype", _careduce, ("Reduction",), _is_reduction("sum", "prod"))
Sum = _StandIn("Sum", _reducing(T.sum), ("Reduction", "SumOfSquares"), _is_reduction("sum"))
Prod = _StandIn("Prod", _reducing(T.prod), ("Reduction",), _is_reduction("prod"))
All = _StandIn("All", _reducing(T.all), ("Reduction",), _is_reduction("all"))
Any_ = _StandIn("Any", _reducing(T.any), ("Reduction",), _is_reduction("any"))
MaxAndArgmax = _StandIn("MaxAndArgmax", _max_and_argmax, ("ArgExtreme",))
Argmax = _StandIn("Argmax", _reducing(T.argmax), ("ArgExtreme",))
Dot = _StandIn("Dot", _dot, ("Dot", "Gemm"))
Gemm = _StandIn("Gemm", _dot, ("Gemm",))
BatchedDot = _StandIn("BatchedDot", _dot, ("BatchedMatrixProduct",))
Reshape = _StandIn("Reshape", _reshape, ("ReshapeTo",))
Alloc = _StandIn("Alloc", _alloc, ("BroadcastTo",))
Join = _StandIn("Join", _join, ("Concatenate",))
Split = _StandIn("Split", _split, ("Split",))
ARange = _StandIn("ARange", _arange, ("ARange",))
MakeVector = _StandIn("MakeVector", T.stack, ("MakeVector",))
Shape = _StandIn("Shape", T.shape, ("MakeVector",))
Shape_i = _StandIn("Shape_i", T.shape, ("Size",))
SpecifyShape = _StandIn("SpecifyShape", T.specify_shape, ("SpecifyShape",))
Rebroadcast = _StandIn("Rebroadcast", T.unbroadcast, ("Unbroadcast", "SpecifyShape"))
Subtensor = _StandIn("Subtensor", _subtensor, ("Subtensor",))
IncSubtensor = _StandIn("IncSubtensor", _written, ("IncSubtensor",))
AdvancedSubtensor = _StandIn("AdvancedSubtensor", _indexed, ("AdvancedSubtensor",))
AdvancedSubtensor1 = _StandIn("AdvancedSubtensor1", _indexed, ("AdvancedSubtensor",))
AdvancedIncSubtensor = _StandIn("AdvancedIncSubtensor", _written, ("AdvancedIncSubtensor",))
AdvancedIncSubtensor1 = _StandIn("AdvancedIncSubtensor1", _written, ("AdvancedIncSubtensor",))
Softmax = _StandIn("Softmax", T.softmax, ("Softmax",))
LogSoftmax = _StandIn("LogSoftmax", T.log_softmax, ("LogSoftmax",))
Scan = _StandIn("Scan", T.identity_like, ("Scan",))

__all__ = [
    "ARange", "Alloc", "AdvancedIncSubtensor", "AdvancedIncSubtensor1", "AdvancedSubtensor", "AdvancedSubtensor1", "All",
    "Argmax", "BatchedDot", "CAReduce", "DimShuffle", "Dot", "Elemwise", "Gemm", "IncSubtensor", "Join", "MakeVector",
    "MaxAndArgmax", "Prod", "Rebroadcast", "Reshape", "Shape", "Shape_i", "SpecifyShape", "Split", "Subtensor", "Sum",
]  # fmt: skip
