"""Ops that programs write themselves, and Theano's own that do nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad import control, custom
from symgrad.custom import FromFunctionOp, as_op, disconnected_type
from symgrad.graph.types import Type
from symgrad.graph.variables import Apply
from symgrad.ops.promotion import as_operand
from symgrad.tensor import tensor_copy


class COp(custom.PythonOp):
    """An op whose C code isn't looked at: it needs a `perform` too."""

    def __init__(self, func_files: Any = None, func_name: str | None = None) -> None:
        self.func_files, self.func_name = func_files, func_name


class ViewOp(custom.PythonOp):
    """An op that returns what it gets: programs derive from it, and give it another `grad`."""

    view_map = {0: [0]}
    __props__ = ()

    def make_node(self, x: Any) -> Apply:
        """Apply it."""
        variable = as_operand(x)
        return Apply(self, [variable], [variable.type()])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[list[Any]]) -> None:
        """Return the value."""
        output_storage[0][0] = inputs[0]

    def infer_shape(self, node: Apply, input_shapes: Sequence[Any]) -> Sequence[Any]:
        """The sizes stay."""
        return input_shapes

    def grad(self, inputs: Sequence[Any], output_gradients: Sequence[Any]) -> Sequence[Any]:
        """Return the gradient as it is."""
        return output_gradients


class DeepCopyOp(ViewOp):
    """An op that copies what it gets."""

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[list[Any]]) -> None:
        """Return a copy of the value."""
        output_storage[0][0] = inputs[0].copy()


class OpFromGraph(control.OpFromGraph):
    """`symgrad.OpFromGraph` whose `grad` may be replaced: ``op.grad = function(inputs, output_gradients)``."""

    @property
    def grad(self) -> Any:
        """What gives the gradient, if it isn't that of the graph."""
        return self.overrides[1]

    @grad.setter
    def grad(self, function: Any) -> None:
        lop, _, rop = self.overrides

        def listed(inputs: Any, gradients: Any) -> list[Any]:
            return list(function(inputs, gradients))

        object.__setattr__(self, "overrides", (lop, listed, rop))


view_op = deep_copy_op = tensor_copy

__all__ = [
    "COp", "DeepCopyOp", "FromFunctionOp", "OpFromGraph", "Type", "ViewOp", "as_op", "deep_copy_op",
    "disconnected_type", "view_op",
]  # fmt: skip
