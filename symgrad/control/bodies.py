"""Graphs inside ops: their structure as a value, their types from those of their inputs, and what they mean.

An op is a value: ops with equal parameters are equal, and equal ops on equal inputs are computed once. So a graph that
is a parameter of an op is compared by what it computes, node by node, and not by which variables it is made of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from symgrad.errors import SymgradError, render
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import InferenceError, Operand, describe_operands
from symgrad.graph.types import TensorType, Type
from symgrad.graph.variables import Apply, Constant, Variable

LARGE_CONSTANT = 1024
"""Bytes above which a constant is compared by its digest."""


@dataclass(frozen=True, eq=False)
class Body(ClosedGraph):
    """A graph inside an op: inputs and outputs, no updates, and no shared variables.

    Bodies of the same structure are equal, whatever their variables are called.
    """

    @cached_property
    def structure(self) -> tuple[Any, ...]:
        """Everything that tells this body from others, as a value."""
        return _structure(self)

    @cached_property
    def _hash(self) -> int:
        return hash(self.structure)

    def __eq__(self, other: object) -> bool:
        if self is other or not isinstance(other, Body):
            return self is other
        return self._hash == other._hash and self.structure == other.structure

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return make_body, (self.inputs, self.outputs)

    def __repr__(self) -> str:
        return f"<graph of {len(self.order)} nodes>"


def make_body(inputs: Sequence[Variable], outputs: Sequence[Variable]) -> Body:
    """Return the graph from `inputs` to `outputs`."""
    return Body(tuple(inputs), tuple(outputs), (), ())


def _structure(body: Body) -> tuple[Any, ...]:
    numbers: dict[Variable, Any] = {variable: number for number, variable in enumerate(body.inputs)}

    def place(variable: Variable) -> Any:
        known = numbers.get(variable)
        if known is not None:
            return known
        if isinstance(variable, Constant):
            known = constant_key(variable)
        else:
            known = len(numbers) if variable.owner is not None else variable
        numbers[variable] = known
        return known

    rows = []
    for node in body.order:
        rows.append((node.op, tuple([place(variable) for variable in node.inputs])))
        for output in node.outputs:
            place(output)
    kinds = tuple([variable.type for variable in body.inputs])
    return kinds, tuple(rows), tuple([place(variable) for variable in body.outputs])


def constant_key(constant: Constant) -> tuple[Any, ...]:
    """Return what is equal for constants of equal type and value; of large ones, a digest."""
    data = constant.data.tobytes()
    return constant.type, data if len(data) <= LARGE_CONSTANT else hashlib.sha256(data).digest()


def infer_body(body: ClosedGraph, operands: Sequence[Any], where: str) -> list[Operand]:
    """Return types and known values of a body's outputs from those of its inputs.

    Parameters
    ----------
    body : ClosedGraph
        The graph.
    operands : sequence
        Each has ``.type`` and ``.known``, like a variable.
    where : str
        Whose body it is, for errors.

    Raises
    ------
    InferenceError
        If sizes don't fit inside. It quotes the error that names the line in the body.
    """
    if all(map(_is_as_declared, operands, body.inputs)):
        return [Operand(output.type, output.known) for output in body.outputs]  # type: ignore[arg-type]
    found: dict[Variable, Operand] = {
        variable: Operand(refined(variable.type, operand.type), operand.known)
        for variable, operand in zip(body.inputs, operands, strict=True)
    }

    def operand_of(variable: Variable) -> Any:
        return found.get(variable, variable)

    for node in body.order:
        inputs = [operand_of(variable) for variable in node.inputs]
        if all(map(_is_as_declared, inputs, node.inputs)):
            continue
        found.update(zip(node.outputs, _infer_node(node, inputs, where), strict=True))
    outputs = [operand_of(variable) for variable in body.outputs]
    return [Operand(output.type, output.known) for output in outputs]


def _infer_node(node: Apply, inputs: Sequence[Any], where: str) -> list[Operand]:
    try:
        types = node.op.infer(*inputs)
    except InferenceError as error:
        raise inside(located(error, node, inputs), where) from None
    kinds = [refined(output.type, kind) for output, kind in zip(node.outputs, types, strict=True)]
    known = node.outputs[0].known
    if len(kinds) == 1 and known is None:
        known = node.op.known_value(*inputs)
    return [Operand(kind, known if len(kinds) == 1 else None) for kind in kinds]


def _is_as_declared(operand: Any, variable: Variable) -> bool:
    return operand.known is variable.known and operand.type == variable.type


def refined(declared: Type, bound: Any) -> Any:
    """Return the type with what is known now; a size that is 1 only at run time doesn't stretch."""
    if not isinstance(declared, TensorType) or bound.broadcastable == declared.broadcastable:
        return bound
    return TensorType(bound.dtype, bound.shape, declared.broadcastable)


def located(error: InferenceError, node: Apply, operands: Sequence[Any]) -> SymgradError:
    """Return the error as the user sees it, with the line of the node."""
    described = describe_operands(node.inputs, (), [operand.type for operand in operands])
    return error.error(render(error.headline, str(node.source or ""), described, error.remedy))


def inside(error: SymgradError, where: str) -> InferenceError:
    """Return the error of the op whose body has an error."""
    return InferenceError(type(error), f"{error}\nThis is in the body of {where}:")


def interpret(body: ClosedGraph, values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the outputs of a body, computed node by node by what the ops say that they mean."""
    known: dict[Variable, Any] = dict(zip(body.inputs, values, strict=True))

    def value_of(variable: Variable) -> Any:
        return variable.data if isinstance(variable, Constant) and variable not in known else known[variable]

    for node in body.order:
        results = node.op.evaluate(*[value_of(variable) for variable in node.inputs])
        known.update(zip(node.outputs, results, strict=True))
    return [value_of(variable) for variable in body.outputs]


def lifted_leaves(outputs: Sequence[Variable], given: Sequence[Variable]) -> list[Variable]:
    """Return what a body needs from outside besides its inputs: variables that no input leads to, constants left out.

    An expression that none of `given` leads to is lifted as a whole: it is computed once, outside.
    """
    inner = set(given)
    order = make_body(given, outputs).order
    for node in order:
        if any(variable in inner for variable in node.inputs):
            inner.update(node.outputs)
    used = [variable for node in order if node.outputs[0] in inner for variable in node.inputs]
    outer = dict.fromkeys(variable for variable in (*used, *outputs) if variable not in inner)
    return [variable for variable in outer if not isinstance(variable, Constant)]
