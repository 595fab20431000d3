"""What runs an op's `perform`, and looks at what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad.errors import DTypeError, ShapeError
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply


class Performer:
    """One node's work: takes arrays, returns the list of outputs."""

    runs_users_code = True

    def __init__(self, node: Apply) -> None:
        self.node = node
        op: Any = node.op
        destroyed = [position for positions in op.destroy_map.values() for position in positions]
        self.destroyed = frozenset(destroyed)
        self.makes_thunk = hasattr(op, "make_thunk")

    def __call__(self, *inputs: Any) -> list[Any]:
        op: Any = self.node.op
        given = [x.copy() if position in self.destroyed else x for position, x in enumerate(inputs)]
        storage: list[list[Any]] = [[None] for _ in self.node.outputs]
        if self.makes_thunk:
            self._run_thunk(op, given, storage)
        elif op.params_type is not None:
            op.perform(self.node, given, storage, op.get_params(self.node))
        else:
            op.perform(self.node, given, storage)
        return [
            self._checked(position, variable.type, cell[0], inputs)
            for position, (variable, cell) in enumerate(zip(self.node.outputs, storage, strict=True))
        ]

    def _run_thunk(self, op: Any, inputs: Sequence[Any], storage: Sequence[list[Any]]) -> None:
        variables = [*self.node.inputs, *self.node.outputs]
        cells: dict[Any, list[Any]] = dict(zip(variables, [*[[x] for x in inputs], *storage], strict=True))
        computed = {variable: [variable in self.node.inputs] for variable in variables}
        op.make_thunk(self.node, cells, computed, [])()

    def _checked(self, position: int, kind: Any, value: Any, inputs: Sequence[Any]) -> Any:
        """Return an output as the graph takes it: of the declared type, and in memory of its own."""
        if value is None:
            raise ShapeError(f"perform left output {position} empty: it must set output_storage[{position}][0]")
        if not isinstance(kind, TensorType):
            return value
        array = np.asarray(value)
        if array.dtype != kind.numpy_dtype:
            if not np.can_cast(array.dtype, kind.numpy_dtype, "same_kind"):
                raise DTypeError(f"perform returned {array.dtype.name} as output {position}, which is declared {kind}")
            array = array.astype(kind.numpy_dtype)
        if array.ndim != kind.ndim:
            raise ShapeError(f"perform returned shape {array.shape} as output {position}, which is declared {kind}")
        for size, found in zip(kind.shape, array.shape, strict=True):
            if size is not None and size != found:
                raise ShapeError(f"perform returned shape {array.shape} as output {position}, which is declared {kind}")
        shares = any(isinstance(x, np.ndarray) and np.may_share_memory(array, x) for x in inputs)
        return array.copy() if shares else array
