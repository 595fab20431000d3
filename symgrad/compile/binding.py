"""Binding: the types of all variables once the sizes of inputs and shared variables are there.

Each op infers again, now from real sizes, so that a mismatch raises the same words that it would have raised on the
user's line, had the sizes been known there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from symgrad.errors import ShapeError, SymgradError, render
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import InferenceError, Operand, describe_operands
from symgrad.graph.types import TensorType, Type
from symgrad.graph.variables import Apply, Constant, Variable

Shape = tuple[int, ...]
NO_LENGTHS: Mapping[Variable, Sequence[int | None]] = MappingProxyType({})
NO_VALUES: Mapping[Variable, np.ndarray] = MappingProxyType({})


def bind_types(
    graph: ClosedGraph,
    shapes: Mapping[Variable, Shape],
    lengths: Mapping[Variable, Sequence[int | None]] = NO_LENGTHS,
    values: Mapping[Variable, np.ndarray] = NO_VALUES,
) -> dict[Variable, Operand]:
    """Return type and known value of each variable, from the shapes of inputs and shared variables.

    Parameters
    ----------
    graph : ClosedGraph
        What is computed.
    shapes : mapping
        The shapes of inputs and shared variables.
    lengths : mapping
        The lengths of slices that are taken for granted, see `symgrad.compile.lengths`.
    values : mapping
        The values of those inputs that have the same one in all calls.

    Raises
    ------
    ShapeError, or what an op's `infer` raises
        If sizes don't fit. The error names the user's line.
    """
    found: dict[Variable, Operand] = {}
    for leaf in graph.leaves():
        found[leaf] = Operand(_leaf_type(leaf, shapes.get(leaf)), values.get(leaf, leaf.known))
    for node in graph.order:
        operands = [found[variable] for variable in node.inputs]
        if not lengths and all(map(_is_as_declared, operands, node.inputs)):
            found.update((output, Operand(output.type, output.known)) for output in node.outputs)  # type: ignore[arg-type]
            continue
        try:
            types = node.op.infer(*operands)
        except InferenceError as error:
            raise _located(error, node, operands) from None
        for output, kind in zip(node.outputs, types, strict=True):
            refined = _refined(output.type, kind)
            found[output] = Operand(refined if output not in lengths else _with_lengths(refined, lengths[output]))
        if len(node.outputs) == 1:
            output = node.outputs[0]
            known = output.known if output.known is not None else node.op.known_value(*operands)
            if known is not None:
                found[output] = Operand(found[output].type, known)
    return found


def check_updates(graph: ClosedGraph, types: Mapping[Variable, Operand]) -> None:
    """Raise `ShapeError` if a shared variable was declared with sizes, and its new value has others."""
    for target, value in zip(graph.targets, graph.values, strict=True):
        declared, bound = target.type, types[value].type
        if not isinstance(declared, TensorType) or not isinstance(bound, TensorType):
            continue
        pairs = zip(declared.shape, bound.shape, strict=True)
        if any(None not in pair and pair[0] != pair[1] for pair in pairs):
            headline = f"the update of {target} is {bound}, and {target} was declared as {declared}"
            place = str(value.source) if value.source else ""
            described = describe_operands([target, value], (), [declared, bound])
            raise ShapeError(render(headline, place, described, "Declare the shared variable with open sizes."))


def _is_as_declared(operand: Operand, variable: Variable) -> bool:
    """Whether an operand is what the graph says, so that the op infers what it has inferred already."""
    return operand.known is variable.known and operand.type == variable.type


def _leaf_type(leaf: Variable, shape: Shape | None) -> Any:
    if shape is None or isinstance(leaf, Constant) or not isinstance(leaf.type, TensorType):
        return leaf.type
    return TensorType(leaf.type.dtype, shape, leaf.type.broadcastable)


def _with_lengths(kind: Any, lengths: Sequence[int | None]) -> TensorType:
    shape = list(kind.shape)
    for axis, length in enumerate(lengths):
        shape[axis] = length if shape[axis] is None else shape[axis]
    return TensorType(kind.dtype, shape, kind.broadcastable)


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
