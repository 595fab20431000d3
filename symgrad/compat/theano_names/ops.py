"""Theano's classes of ops, by `stand_ins.StandIn`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import symgrad.tensor as T
from symgrad.compat.theano_names import scalar_ops
from symgrad.compat.theano_names.stand_ins import StandIn, applying
from symgrad.ops.reduction_op import Reduction
from symgrad.tensor import nnet


def _is_reduction(*functions: str) -> Callable[[Any], bool]:
    def holds(op: Any) -> bool:
        return not isinstance(op, Reduction) or op.function in functions

    return holds


def _dimshuffle(input_broadcastable: Any, new_order: Any, inplace: bool = True) -> Callable[[Any], Any]:
    def of(x: Any) -> Any:
        return T.as_tensor_variable(x).dimshuffle(*new_order)

    return of


def _careduce(scalar_op: Any, axis: Any = None, **_: Any) -> Callable[[Any], Any]:
    reductions: list[Any] = [
        (T.add, T.sum), (T.mul, T.prod), (T.maximum, T.max), (T.minimum, T.min), (T.and_, T.all), (T.or_, T.any)
    ]  # fmt: skip

    def of(x: Any) -> Any:
        return next(reduce for function, reduce in reductions if function is scalar_op)(x, axis)

    return of


def _split(len_splits: int) -> Callable[..., Any]:
    def of(x: Any, axis: Any, splits_size: Any) -> Any:
        return T.split(x, splits_size, len_splits, axis)

    return of


def _subtensor(idx_list: Any) -> Callable[..., Any]:
    def of(x: Any, *_: Any) -> Any:
        return x[tuple(idx_list)]

    return of


def _indexed(*_: Any, **__: Any) -> Callable[..., Any]:
    return T.advanced_subtensor


def _written(*_: Any, set_instead_of_inc: bool = False, **__: Any) -> Callable[..., Any]:
    return T.advanced_set_subtensor if set_instead_of_inc else T.advanced_inc_subtensor


def _rebroadcast(*axes: tuple[int, bool]) -> Callable[[Any], Any]:
    def of(x: Any) -> Any:
        gained, lost = [[axis for axis, stretches in axes if stretches is wanted] for wanted in (True, False)]
        x = T.addbroadcast(x, *gained) if gained else T.as_tensor_variable(x)
        return T.unbroadcast(x, *lost) if lost else x

    return of


def _alloc_empty(dtype: str) -> Callable[..., Any]:
    def of(*shape: Any) -> Any:
        return T.empty(shape, dtype)

    return of


def _cumulative(axis: Any = None, mode: str = "add") -> Any:
    functions = {"add": T.cumsum, "mul": T.cumprod}
    if mode not in functions:
        raise ValueError(f"CumOp adds or multiplies (add, mul), got mode {mode!r}")
    return applying(functions[mode], "axis")(axis=axis)


def _product_without_zeros(x: Any, axis: Any = None, dtype: Any = None, acc_dtype: Any = None) -> Any:
    x = T.as_tensor_variable(x)
    return T.prod(T.switch(T.eq(x, 0), T.ones_like(x), x), axis, dtype=dtype, acc_dtype=acc_dtype)


def _raveled(mode: str = "raise", order: str = "C") -> Any:
    def of(*indices_and_dims: Any) -> Any:
        return T.ravel_multi_index(list(indices_and_dims[:-1]), indices_and_dims[-1], mode, order)

    return of


def _prepended(val: Any = 0) -> Callable[[Any], Any]:
    def of(mat: Any) -> Any:
        return nnet.prepend_scalar_to_each_row(val, mat)

    return of


def _second(a: Any, b: Any) -> Any:
    return T.fill(a, b)


second = _second

# ---- theano.tensor.elemwise ----
Elemwise = StandIn("Elemwise", scalar_ops.Elemwise, ("Elementwise", "Cast"), base=scalar_ops.ScalarOp)
DimShuffle = StandIn("DimShuffle", _dimshuffle, ("DimShuffle",))
CAReduce = StandIn("CAReduce", _careduce, ("Reduction", "SumOfSquares"))
CAReduceDtype = StandIn("CAReduceDtype", _careduce, ("Reduction", "SumOfSquares"), _is_reduction("sum", "prod"))
Sum = StandIn("Sum", applying(T.sum, "axis", "dtype", "acc_dtype"), ("Reduction", "SumOfSquares"), _is_reduction("sum"))
Prod = StandIn("Prod", applying(T.prod, "axis", "dtype", "acc_dtype"), ("Reduction",), _is_reduction("prod"))
ProdWithoutZeros = StandIn("ProdWithoutZeros", applying(_product_without_zeros, "axis", "dtype", "acc_dtype"))
Mean = StandIn("Mean", applying(T.mean, "axis"))
All = StandIn("All", applying(T.all, "axis"), ("Reduction",), _is_reduction("all"))
Any_ = StandIn("Any", applying(T.any, "axis"), ("Reduction",), _is_reduction("any"))
# ---- theano.tensor.basic ----
MaxAndArgmax = StandIn("MaxAndArgmax", applying(T.max_and_argmax, "axis"), ("ArgExtreme",))
Argmax = StandIn("Argmax", applying(T.argmax, "axis"), ("ArgExtreme",))
Dot = StandIn("Dot", applying(T.dot), ("Dot", "Gemm"))
BatchedDot = StandIn("BatchedDot", applying(T.batched_dot), ("BatchedMatrixProduct",))
Reshape = StandIn("Reshape", applying(T.reshape, "ndim"), ("ReshapeTo",))
Flatten = StandIn("Flatten", applying(T.flatten, "ndim"), ("ReshapeTo",))
Alloc = StandIn("Alloc", applying(T.alloc), ("BroadcastTo",))
AllocEmpty = StandIn("AllocEmpty", _alloc_empty, ("BroadcastTo",))
Join = StandIn("Join", applying(T.join), ("Concatenate",))
Split = StandIn("Split", _split, ("Split",))
ARange = StandIn("ARange", applying(T.arange), ("ARange",))
Eye = StandIn("Eye", applying(T.eye, "dtype"), ("Eye",))
Tri = StandIn("Tri", applying(T.tri, "dtype"))
Tile = StandIn("Tile", applying(T.tile, "ndim"))
Choose = StandIn("Choose", applying(T.choose, "mode"))
ExtractDiag = StandIn("ExtractDiag", applying(T.diagonal, "offset", "axis1", "axis2"))
AllocDiag = StandIn("AllocDiag", applying(T.alloc_diag))
Diagonal = ExtractDiag
Nonzero = StandIn("Nonzero", applying(T.nonzero), ("NonZero",))
PermuteRowElements = StandIn("PermuteRowElements", applying(T.permute_row_elements))
ScalarFromTensor = StandIn("ScalarFromTensor", applying(T.scalar_from_tensor))
TensorFromScalar = StandIn("TensorFromScalar", applying(T.tensor_from_scalar))
MakeVector = StandIn("MakeVector", applying(T.stack), ("MakeVector",))
Shape = StandIn("Shape", applying(T.shape), ("MakeVector",))
Shape_i = StandIn("Shape_i", applying(T.shape), ("Size",))
SpecifyShape = StandIn("SpecifyShape", applying(T.specify_shape), ("SpecifyShape",))
Rebroadcast = StandIn("Rebroadcast", _rebroadcast, ("Unbroadcast", "SpecifyShape"))
# ---- theano.tensor.subtensor ----
Subtensor = StandIn("Subtensor", _subtensor, ("Subtensor",))
IncSubtensor = StandIn("IncSubtensor", _written, ("IncSubtensor",))
AdvancedSubtensor = StandIn("AdvancedSubtensor", _indexed, ("AdvancedSubtensor",))
AdvancedSubtensor1 = StandIn("AdvancedSubtensor1", _indexed, ("AdvancedSubtensor",))
AdvancedBooleanSubtensor = StandIn("AdvancedBooleanSubtensor", _indexed, ("AdvancedSubtensor",))
AdvancedIncSubtensor = StandIn("AdvancedIncSubtensor", _written, ("AdvancedIncSubtensor",))
AdvancedIncSubtensor1 = StandIn("AdvancedIncSubtensor1", _written, ("AdvancedIncSubtensor",))
AdvancedBooleanIncSubtensor = StandIn("AdvancedBooleanIncSubtensor", _written, ("AdvancedIncSubtensor",))
# ---- theano.tensor.extra_ops and sort ----
CumOp = StandIn("CumOp", _cumulative, ("Cumulative",))
DiffOp = StandIn("DiffOp", applying(T.diff, "n", "axis"))
RepeatOp = StandIn("RepeatOp", applying(T.repeat, "axis"), ("RepeatedPositions",))
Bartlett = StandIn("Bartlett", applying(T.bartlett))
FillDiagonal = StandIn("FillDiagonal", applying(T.fill_diagonal))
FillDiagonalOffset = StandIn("FillDiagonalOffset", applying(T.fill_diagonal_offset))
SearchsortedOp = StandIn("SearchsortedOp", applying(T.searchsorted, "side"), ("SearchSorted",))
Unique = StandIn("Unique", applying(T.unique, "return_index", "return_inverse", "return_counts", "axis"), ("Unique",))
RavelMultiIndex = StandIn("RavelMultiIndex", _raveled, ("RavelMultiIndex",))
UnravelIndex = StandIn("UnravelIndex", applying(T.unravel_index, "order"), ("UnravelIndex",))
CpuContiguous = StandIn("CpuContiguous", applying(T.tensor_copy))
SortOp = StandIn("SortOp", applying(T.sort), ("Sort",))
ArgSortOp = StandIn("ArgSortOp", applying(T.argsort), ("ArgSort",))
TopKOp = StandIn("TopKOp", applying(T.topk, "axis"), ("ArgTopK",))
# ---- theano.tensor.blas ----
Gemm = StandIn("Gemm", applying(T.dot), ("Gemm", "MatrixStep"))
Gemv = StandIn("Gemv", applying(T.dot), ("Gemm",))
Dot22 = StandIn("Dot22", applying(T.dot), ("Dot",))
# ---- theano.tensor.nnet ----
Softmax = StandIn("Softmax", applying(nnet.softmax), ("Softmax",))
SoftmaxGrad = StandIn("SoftmaxGrad", applying(nnet.softmax_grad), ("SoftmaxGradient",))
SoftmaxWithBias = StandIn("SoftmaxWithBias", applying(nnet.softmax_with_bias), ("Softmax",))
LogSoftmax = StandIn("LogSoftmax", applying(nnet.logsoftmax), ("LogSoftmax",))
CrossentropySoftmaxArgmax1HotWithBias = StandIn(
    "CrossentropySoftmaxArgmax1HotWithBias",
    applying(nnet.crossentropy_softmax_argmax_1hot_with_bias),
    ("LogSoftmaxAt",),
)
CrossentropySoftmax1HotWithBiasDx = StandIn(
    "CrossentropySoftmax1HotWithBiasDx", applying(nnet.crossentropy_softmax_1hot_with_bias_dx), ("LabelGradient",)
)
CrossentropyCategorical1Hot = StandIn(
    "CrossentropyCategorical1Hot", applying(nnet.crossentropy_categorical_1hot), ("LogSoftmaxAt",)
)
CrossentropyCategorical1HotGrad = StandIn(
    "CrossentropyCategorical1HotGrad", applying(nnet.crossentropy_categorical_1hot_grad)
)
Prepend_scalar_to_each_row = StandIn(
    "Prepend_scalar_to_each_row", applying(nnet.prepend_scalar_to_each_row)
)
Prepend_scalar_constant_to_each_row = StandIn("Prepend_scalar_constant_to_each_row", _prepended)
Images2Neibs = StandIn("Images2Neibs", applying(nnet.images2neibs, "mode"))

BASIC = (
    "ARange Alloc AllocDiag AllocEmpty Argmax BatchedDot Choose Diagonal Dot ExtractDiag Eye Flatten Join MakeVector "
    "MaxAndArgmax Mean Nonzero PermuteRowElements Rebroadcast Reshape ScalarFromTensor Shape Shape_i SpecifyShape "
    "Split TensorFromScalar Tile Tri second"
)
ELEMWISE = "All CAReduce CAReduceDtype DimShuffle Elemwise Prod ProdWithoutZeros Sum"
INDEXING = (
    "AdvancedBooleanIncSubtensor AdvancedBooleanSubtensor AdvancedIncSubtensor AdvancedIncSubtensor1 AdvancedSubtensor "
    "AdvancedSubtensor1 IncSubtensor Subtensor"
)
EXTRA = (
    "Bartlett CpuContiguous CumOp DiffOp FillDiagonal FillDiagonalOffset RavelMultiIndex RepeatOp SearchsortedOp "
    "Unique UnravelIndex SortOp ArgSortOp TopKOp"
)
__all__ = [*BASIC.split(), *ELEMWISE.split(), *INDEXING.split(), *EXTRA.split()]
