"""Ops of ``theano.sparse`` that programs make with parameters, and then call; and its check of gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgrad import sparse, verify_grad
from symgrad.compat.theano_names.stand_ins import StandIn, applying


def _same(function: Callable[..., Any], name: str, *ops: str) -> StandIn:
    """Return the class of an op without parameters that count (``inplace`` and the like are passed over)."""
    return StandIn(name, applying(function), ops)


def _with_format(name: str, parts: dict[str, Callable[..., Any]], ops: Sequence[str]) -> StandIn:
    """Return the class of an op whose parameter is a format."""

    def make(format: str, *options: Any, **more: Any) -> Callable[..., Any]:
        return parts[format]

    return StandIn(name, make, ops)


def _stack(function: Callable[..., Any]) -> Callable[..., Any]:
    def make(format: str | None = None, dtype: str | None = None) -> Callable[..., Any]:
        def of(*blocks: Any) -> Any:
            return function(blocks, format, dtype)

        return of

    return make


CSMProperties = _same(sparse.csm_properties, "CSMProperties", "Parts")
CSM = _with_format("CSM", {"csr": sparse.CSR, "csc": sparse.CSC}, ("FromParts",))
DenseFromSparse = StandIn("DenseFromSparse", applying(sparse.dense_from_sparse, "sparse_grad"), ("ToDense",))
SparseFromDense = _with_format(
    "SparseFromDense", {"csr": sparse.csr_from_dense, "csc": sparse.csc_from_dense}, ("FromDense",)
)
Cast = StandIn("Cast", applying(sparse.cast, "dtype"), ("FromParts",))
Transpose = _same(sparse.transpose, "Transpose", "Transpose")
Neg = _same(sparse.neg, "Neg", "FromParts")
EnsureSortedIndices = _same(sparse.ensure_sorted_indices, "EnsureSortedIndices", "Tidied")
Remove0 = _same(sparse.remove0, "Remove0", "Tidied")
AddSS = _same(sparse.add_s_s, "AddSS", "AddSparse")
AddSSData = _same(sparse.add_s_s_data, "AddSSData", "FromParts")
AddSD = _same(sparse.add_s_d, "AddSD", "ToDense")
StructuredAddSV = _same(sparse.structured_add_s_v, "StructuredAddSV", "FromParts")
MulSS = _same(sparse.mul_s_s, "MulSS", "FromParts")
MulSD = _same(sparse.mul_s_d, "MulSD", "FromParts")
MulSV = _same(sparse.mul_s_v, "MulSV", "FromParts")
ColScaleCSC = _same(sparse.col_scale, "ColScaleCSC", "FromParts")
RowScaleCSC = _same(sparse.row_scale, "RowScaleCSC", "FromParts")
EqualSS = _same(sparse.equal_s_s, "EqualSS", "FromDense")
EqualSD = _same(sparse.equal_s_d, "EqualSD", "ToDense")
NotEqualSS = _same(sparse.not_equal_s_s, "NotEqualSS", "FromDense")
NotEqualSD = _same(sparse.not_equal_s_d, "NotEqualSD", "ToDense")
LessThanSS = _same(sparse.less_than_s_s, "LessThanSS", "FromDense")
LessThanSD = _same(sparse.less_than_s_d, "LessThanSD", "ToDense")
GreaterThanSS = _same(sparse.greater_than_s_s, "GreaterThanSS", "FromDense")
GreaterThanSD = _same(sparse.greater_than_s_d, "GreaterThanSD", "ToDense")
LessEqualSS = _same(sparse.less_equal_s_s, "LessEqualSS", "FromDense")
LessEqualSD = _same(sparse.less_equal_s_d, "LessEqualSD", "ToDense")
GreaterEqualSS = _same(sparse.greater_equal_s_s, "GreaterEqualSS", "FromDense")
GreaterEqualSD = _same(sparse.greater_equal_s_d, "GreaterEqualSD", "ToDense")
SpSum = StandIn("SpSum", applying(sparse.sp_sum, "axis", "sparse_grad"), ("SparseSum",))
Diag = _same(sparse.diag, "Diag", "Elements")
SquareDiagonal = _same(sparse.square_diagonal, "SquareDiagonal", "FromParts")
GetItemList = _same(sparse.get_item_list, "GetItemList", "Select")
GetItemListGrad = _same(sparse.get_item_list_grad, "GetItemListGrad", "FromElements")
GetItem2Lists = _same(sparse.get_item_2lists, "GetItem2Lists", "Elements")
GetItem2ListsGrad = _same(sparse.get_item_2lists_grad, "GetItem2ListsGrad", "FromElements")
GetItem2d = _same(sparse.get_item_2d, "GetItem2d", "Select")
GetItemScalar = _same(sparse.get_item_scalar, "GetItemScalar", "Elements")
HStack = StandIn("HStack", _stack(sparse.hstack), ("StackSparse",))
VStack = StandIn("VStack", _stack(sparse.vstack), ("StackSparse",))
TrueDot = _same(sparse.true_dot, "TrueDot", "SparseSparseProduct")
StructuredDot = _same(sparse.structured_dot, "StructuredDot", "SparseDenseProduct")
StructuredDotGradCSC = _same(sparse.sdg_csc, "StructuredDotGradCSC", "ProductAt")
StructuredDotGradCSR = _same(sparse.sdg_csr, "StructuredDotGradCSR", "ProductAt")
SamplingDot = _same(sparse.sampling_dot, "SamplingDot", "ProductAt")
Dot = _same(sparse.dot, "Dot", "SparseDenseProduct")
Usmm = _same(sparse.usmm, "Usmm", "SparseDenseProduct")
ConstructSparseFromList = _same(sparse.construct_sparse_from_list, "ConstructSparseFromList", "FromElements")


def verify_grad_sparse(op: Callable[..., Any], pt: Sequence[Any], structured: bool = False, **options: Any) -> None:
    """Compare the gradient of a function of sparse matrices with finite differences; raise if they differ.

    Parameters
    ----------
    op : callable
        Builds an expression from as many variables as there are points.
    pt : sequence of arrays and matrices of scipy.sparse
        Where to compare.
    structured : bool
        Whether only the stored elements are moved, and looked at.
    **options
        As `symgrad.verify_grad` takes them.
    """

    def values_of(point: Any) -> np.ndarray:
        if not hasattr(point, "tocsr"):
            return np.asarray(point)
        return np.asarray(point.data if structured else point.toarray())

    def matrix(variable: Any, point: Any) -> Any:
        if not hasattr(point, "tocsr"):
            return variable
        if structured:
            return CSM(point.format)(variable, point.indices, point.indptr, point.shape)
        return SparseFromDense(point.format)(variable)

    def build(*variables: Any) -> Any:
        result = op(*[matrix(variable, point) for variable, point in zip(variables, pt, strict=True)])
        if not sparse.is_sparse(result):
            return result
        return sparse.csm_data(result) if structured else sparse.dense_from_sparse(result)

    verify_grad(build, [values_of(point) for point in pt], **options)


__all__ = [
    "CSM", "AddSD", "AddSS", "AddSSData", "CSMProperties", "Cast", "ColScaleCSC", "ConstructSparseFromList",
    "DenseFromSparse", "Diag", "Dot", "EnsureSortedIndices", "EqualSD", "EqualSS", "GetItem2Lists", "GetItem2ListsGrad",
    "GetItem2d", "GetItemList", "GetItemListGrad", "GetItemScalar", "GreaterEqualSD", "GreaterEqualSS", "GreaterThanSD",
    "GreaterThanSS", "HStack", "LessEqualSD", "LessEqualSS", "LessThanSD", "LessThanSS", "MulSD", "MulSS", "MulSV",
    "Neg", "NotEqualSD", "NotEqualSS", "Remove0", "RowScaleCSC", "SamplingDot", "SpSum", "SparseFromDense",
    "SquareDiagonal", "StructuredAddSV", "StructuredDot", "StructuredDotGradCSC", "StructuredDotGradCSR", "Transpose",
    "TrueDot", "Usmm", "VStack", "verify_grad_sparse",
]  # fmt: skip
