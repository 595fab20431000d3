"""Binding: the types of all variables once the sizes of inputs and shared variables are there.

Each op infers again, now from real sizes, so that a mismatch raises the same words that it would have raised on the
user's line, had the sizes been known there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from symgrad.errors import SymgradError, render
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import InferenceError, Operand, describe_operands
from symgrad.graph.types import TensorType, Type
from symgrad.graph.variables import Apply, Constant, Variable

Shape = tuple[int, ...]


def bind_types(graph: ClosedGraph, shapes: Mapping[Variable, Shape]) -> dict[Variable, Operand]:
    """Return type and known value of each variable, from the shapes of inputs and shared variables.

    Raises
    ------
    ShapeError, or what an op's `infer` raises
        If sizes don't fit. The error names the user's line.
    """
    found: dict[Variable, Operand] = {}
    for leaf in graph.leaves():
        found[leaf] = Operand(_leaf_type(leaf, shapes.get(leaf)), leaf.known)
    for node in graph.order:
        operands = [found[variable] for variable in node.inputs]
        try:
            types = node.op.infer(*operands)
        except InferenceError as error:
            raise _located(error, node, operands) from None
        for output, kind in zip(node.outputs, types, strict=True):
            found[output] = Operand(_refined(output.type, kind))
        if len(node.outputs) == 1:
            output = node.outputs[0]
            known = output.known if output.known is not None else node.op.known_value(*operands)
            if known is not None:
                found[output] = Operand(found[output].type, known)
    return found


def _leaf_type(leaf: Variable, shape: Shape | None) -> Any:
    if shape is None or isinstance(leaf, Constant) or not isinstance(leaf.type, TensorType):
        return leaf.type
    return TensorType(leaf.type.dtype, shape, leaf.type.broadcastable)


def _refined(declared: Type, bound: Type) -> Any:
    """A size that is 1 only at run time doesn't stretch: the pattern stays what the graph says."""
    if not isinstance(declared, TensorType) or not isinstance(bound, TensorType):
        return bound
    if bound.broadcastable == declared.broadcastable:
        return bound
    return TensorType(bound.dtype, bound.shape, declared.broadcastable)


def _located(error: InferenceError, node: Apply, operands: list[Operand]) -> SymgradError:
    location = str(node.source) if node.source else ""
    described = describe_operands(node.inputs, (), [operand.type for operand in operands])
    return error.error(render(error.headline, location, described, error.remedy))
