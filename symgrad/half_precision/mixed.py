"""Expressions whose matrix products and convolutions take operands of 16 bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.control.bodies import make_body
from symgrad.errors import DTypeError, render
from symgrad.graph.dtypes import HALVES, NUMPY_DTYPES
from symgrad.graph.op import Op, attributed_to
from symgrad.graph.source import current_source
from symgrad.graph.traversal import applies_before, apply_again
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply, Variable
from symgrad.ops.conv import Conv2d, Conv2dFilterGradient, Conv2dInputGradient
from symgrad.ops.linalg import BatchedMatrixProduct, Dot
from symgrad.ops.promotion import variables_in
from symgrad.ops.rounding import Rounded, RoundedGradient

PRODUCTS: tuple[type[Op], ...] = (Dot, BatchedMatrixProduct, Conv2d, Conv2dInputGradient, Conv2dFilterGradient)


def mixed_precision(outputs: Any, dtype: str = "bfloat16") -> Any:
    """Return expressions in which matrix products and convolutions of float32 take operands of 16 bits.

    Each operand of such a product is rounded to `dtype`; the product itself is accumulated in float32, and is float32.
    The same holds for the products that the gradient of the result consists of: their operands, cotangents among them,
    are rounded too. Everything else stays as it is, in float32: parameters and their updates, sums, softmax, losses.

    Parameters
    ----------
    outputs : variable, or list or tuple of variables
        The cost, say: before its gradient is taken.
    dtype : {'bfloat16', 'float16'}
        bfloat16 has float32's range, and 8 bits of precision. float16 has 11 bits, but overflows above 65504 and
        underflows below 6e-8: gradients need a `LossScale`.

    Returns
    -------
    like `outputs`
        Of the same types. Inputs and shared variables are the same as before; what is in between is copied, so take
        gradients of the result with respect to those.

    Raises
    ------
    DTypeError
        If `dtype` is another one.
    MissingLibraryError
        If bfloat16 is asked for, and the package ml_dtypes isn't installed (``pip install symgrad[half]``).

    Notes
    -----
    On a GPU the units that multiply floats of 16 bits do the work of matrix products. On a CPU it is done in float32,
    with the same result to within the rounding of sums: slower than without, but it shows what a GPU will do.

    Loops, choices and graphs used as ops are gone into. Products of float64 stay as they are.

    Examples
    --------
    >>> import numpy, symgrad, symgrad.tensor as T
    >>> x, w = T.fmatrix('x'), symgrad.shared(numpy.array([[1 / 3], [3.]], 'float32'))
    >>> product = symgrad.mixed_precision(T.dot(x, w), 'float16')
    >>> print(product.dtype, product.eval({x: [[1, 0]]}))
    float32 [[0.33325195]]
    """
    _check_dtype(dtype)
    given = variables_in(outputs, "mixed_precision", "outputs")
    found = _rounded(given, dtype)
    return type(outputs)(found) if isinstance(outputs, list | tuple) else found[0]


def _check_dtype(dtype: str) -> None:
    if dtype not in HALVES:
        headline = f"mixed_precision takes {' or '.join(HALVES)} as dtype, got {dtype!r:.40}"
        raise DTypeError(render(headline, str(current_source() or "")))
    NUMPY_DTYPES[dtype]  # raises where its package is missing


def _rounded(outputs: Sequence[Variable], dtype: str) -> list[Any]:
    """Return copies of expressions, as far as they hold products."""
    new: dict[Variable, Any] = {}
    for node in applies_before(outputs):
        inputs = [new.get(variable, variable) for variable in node.inputs]
        results = _rounded_node(node, inputs, dtype)
        if results is None and any(now is not before for now, before in zip(inputs, node.inputs, strict=True)):
            results = apply_again(node, inputs)
        if results is not None:
            new.update(zip(node.outputs, results, strict=True))
    return [new.get(variable, variable) for variable in outputs]


def _rounded_node(node: Apply, inputs: Sequence[Any], dtype: str) -> Sequence[Any] | None:
    """Return a product of rounded operands, or an op with such products in its graphs; None for any other node."""
    (first, *_) = node.outputs
    with attributed_to(node.source):
        if isinstance(node.op, PRODUCTS):
            if not _is_single(first):
                return None
            operands = [Rounded(dtype)(operand) if _is_single(operand) else operand for operand in inputs]
            product = RoundedGradient(dtype)(node.op(*operands))
            product.name = first.name
            return [product]
        graphs = getattr(node.op, "graphs", ())
        bodies = [make_body(graph.inputs, _rounded(graph.outputs, dtype)) for graph in graphs]
        if all(now.outputs == tuple(before.outputs) for now, before in zip(bodies, graphs, strict=True)):
            return None
        results = node.op.with_graphs(bodies)(*inputs)  # type: ignore[attr-defined]
    return results if isinstance(results, tuple | list) else [results]


def _is_single(variable: Any) -> bool:
    return isinstance(variable.type, TensorType) and variable.type.dtype == "float32"
