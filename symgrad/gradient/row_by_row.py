"""Any op, carried out for one row after the other: what `vectorize` falls back to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import ShapeError
from symgrad.graph.op import Disconnected, InferenceError, Op, Operand, Sample, Undefined, register
from symgrad.graph.test_values import without_test_values
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply
from symgrad.ops.linalg import Dot
from symgrad.ops.reduction import sum as sum_over
from symgrad.ops.reduction_op import ArgExtreme, Reduction
from symgrad.ops.sampling import spread


@register
@dataclass(frozen=True)
class RowByRow(Op):
    """An op on each row of its operands.

    Parameters
    ----------
    op : Op
        What is done with one row.
    batched : tuple of bool
        Which operands have rows, along their first axis; the others are the same for all rows.
    """

    takes_any_type = True

    op: Op
    batched: tuple[bool, ...]

    @classmethod
    def apply(cls, op: Op, node: Apply, inputs: Sequence[Any], batched: Sequence[bool]) -> Sequence[Any]:
        """Return the outputs of `op` for all rows."""
        results = cls(op, tuple(batched))(*inputs)
        return results if isinstance(results, tuple) else [results]

    @property
    def name(self) -> str:
        return f"row_by_row{{{self.op.name}}}"

    def infer(self, *inputs: Any) -> list[TensorType]:
        counts = {x.type.shape[0] for x in self._with_rows(inputs)} - {None}
        if len(counts) > 1:
            raise InferenceError(ShapeError, f"{self.name} needs equal numbers of rows, got {sorted(counts)}")
        count = counts.pop() if counts else None
        kinds: Sequence[Any] = self.op.infer(*self._row_operands(inputs))
        return [TensorType(kind.dtype, (count, *kind.shape), (count == 1, *kind.broadcastable)) for kind in kinds]

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    def _with_rows(self, values: Sequence[Any]) -> list[Any]:
        return [value for value, has_rows in zip(values, self.batched, strict=True) if has_rows]

    def _row_operands(self, inputs: Sequence[Any]) -> list[Operand]:
        operands = []
        for x, has_rows in zip(inputs, self.batched, strict=True):
            kind = x.type
            if has_rows:
                kind = TensorType(kind.dtype, kind.shape[1:], kind.broadcastable[1:])
            operands.append(Operand(kind, None if has_rows else x.known))
        return operands

    def evaluate(self, *inputs: np.ndarray) -> list[np.ndarray]:
        counts = {len(x) for x in self._with_rows(inputs)}
        if len(counts) > 1:
            raise ShapeError(f"{self.name} needs equal numbers of rows, got {sorted(counts)}")
        (count,) = counts
        if count == 0:
            kinds: Sequence[Any] = self.infer(*[Operand(TensorType(x.dtype, x.shape), x) for x in inputs])
            return [np.zeros([size or 0 for size in kind.shape], kind.dtype) for kind in kinds]
        rows = [
            self.op.evaluate(*[x[number, ...] if has_rows else x
                               for x, has_rows in zip(inputs, self.batched, strict=True)])
            for number in range(count)
        ]  # fmt: skip
        return [self._stacked(parts) for parts in zip(*rows, strict=True)]

    def _stacked(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        shapes = {part.shape for part in parts}
        if len(shapes) > 1:
            raise ShapeError(f"{self.name} gives rows of different sizes: {sorted(shapes)}")
        return np.stack(parts)

    def _one_row(self, inputs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Return operands and outputs for one row: fresh variables where there are rows."""
        row_inputs = [
            operand.type() if has_rows else x
            for x, operand, has_rows in zip(inputs, self._row_operands(inputs), self.batched, strict=True)
        ]
        results = self.op(*row_inputs)
        return row_inputs, list(results) if isinstance(results, tuple) else [results]

    def _for_all(self, expression: Any, single: Sequence[Any], rows: Sequence[Any]) -> Any:
        from symgrad.gradient.vectorize import vectorize

        pairs = {one: all_rows for one, all_rows in zip(single, rows, strict=True) if one is not all_rows}
        return vectorize(expression, pairs)

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        with without_test_values():
            return self._gradient(inputs, outputs, cotangents)

    def _gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        row_inputs, row_outputs = self._one_row(inputs)
        given = [None if c is None else output.type() for output, c in zip(row_outputs, cotangents, strict=True)]
        results: list[Any] = []
        seeds = [c for c in given if c is not None], [c for c in cotangents if c is not None]
        single, rows = [*row_inputs, *row_outputs, *seeds[0]], [*inputs, *outputs, *seeds[1]]
        for has_rows, result in zip(self.batched, self.op.gradient(row_inputs, row_outputs, given), strict=True):
            if result is None or isinstance(result, Disconnected | Undefined):
                results.append(result)
                continue
            found = self._for_all(result, single, rows)
            results.append(found if has_rows else sum_over(found, axis=0, dtype=found.type.dtype))
        return results

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """The op's own, row by row."""
        with without_test_values():
            return self._pushforward(inputs, outputs, tangents)

    def _pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        row_inputs, row_outputs = self._one_row(inputs)
        given = [
            None if t is None else x.type() if has_rows else t
            for x, t, has_rows in zip(row_inputs, tangents, self.batched, strict=True)
        ]
        single = [*row_inputs, *row_outputs, *[g for g in given if g is not None]]
        rows = [*inputs, *outputs, *[t for t in tangents if t is not None]]
        found = self.op.pushforward(row_inputs, row_outputs, given)
        return [None if tangent is None else self._for_all(tangent, single, rows) for tangent in found]

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        yield cls(Dot(), (True, False)), Sample((spread(3, 2, 3), spread(3, start=9)))
        yield cls(Dot(), (True, True)), Sample((spread(2, 2, 3), spread(2, 3, 1, start=9)))
        yield cls(Reduction("prod", (0,), False, "float64"), (True,)), Sample((spread(2, 3),))
        yield cls(ArgExtreme("argmax", (0,), True), (True,)), Sample((spread(1, 3, dtype="float32"),))
        yield cls(Dot(), (True, False)), Sample((spread(0, 2, 3), spread(3)))
        yield cls(Dot(), (True, False)), Sample((spread(2, 2, 3), spread(2)), ShapeError)
        yield cls(Dot(), (True, True)), Sample((spread(2, 2), spread(3, 2)), ShapeError)
