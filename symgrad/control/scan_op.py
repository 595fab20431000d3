"""The op of all loops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symgrad.control.bodies import Body, infer_body, interpret
from symgrad.control.layout import Layout
from symgrad.control.patterns import row_type
from symgrad.errors import DTypeError, RangeError, ShapeError
from symgrad.graph.op import InferenceError, Op, Operand, Sample, register
from symgrad.graph.test_values import without_test_values
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply, Variable
from symgrad.kernels.grammar import Kernel, Loop, State
from symgrad.ops.promotion import is_discrete


@register
@dataclass(frozen=True)
class Scan(Op):
    """A graph carried out again and again, each round with the next rows of sequences and what the last one left.

    Operands, inputs and outputs of the body, and outputs are those of `symgrad.kernels.grammar.Loop`.

    Parameters
    ----------
    body : Body
        What one round does.
    layout : Layout
        Which operands are what.
    label : str
        A name for people.
    truncate : int
        Through how many rounds, counted from the last, the gradient goes back; -1 for all.
    recomputed : bool
        Whether the gradient of a loop around this one goes round again, rather than save what this one computes.
    """

    takes_any_type = True

    body: Body
    layout: Layout
    label: str = ""
    truncate: int = -1
    recomputed: bool = False

    @property
    def name(self) -> str:
        return f"scan{{{self.label}}}" if self.label else "scan"

    @property
    def may_fold(self) -> bool:
        """A loop of constants isn't carried out while a function is compiled: it may take long."""
        return False

    @property
    def graphs(self) -> tuple[Body, ...]:
        """The graphs inside, for those who rewrite or print them."""
        return (self.body,)

    @property
    def inputs(self) -> list[Variable]:
        """The variables that one round starts with, for programs that walk graphs."""
        return list(self.body.inputs)

    @property
    def outputs(self) -> list[Variable]:
        """The variables that one round computes."""
        return list(self.body.outputs)

    def with_graphs(self, graphs: Sequence[Body]) -> Scan:
        """Return this loop with another body of the same meaning."""
        (body,) = graphs
        return replace(self, body=body)

    # ---- types ----

    def infer(self, *inputs: Any) -> list[TensorType]:
        operands = self.layout.operands(inputs)
        rounds = _number_of_rounds(operands.rounds)
        for number, sequence in enumerate(operands.sequences):
            _check_sequence(sequence.type, number, rounds)
        for number, (initial, state) in enumerate(zip(operands.initial, self.layout.states, strict=True)):
            _check_initial(initial.type, number, state.depth)
        rows = [row_type(sequence.type) for sequence in operands.sequences]
        taps = [
            tuple([row_type(initial.type)] * len(state.taps))
            for initial, state in zip(operands.initial, self.layout.states, strict=True)
        ]
        given = [Operand(row) for row in rows]
        given += [Operand(kind) for kinds in taps for kind in kinds]
        given += [Operand(constant.type, constant.known) for constant in operands.constants]
        self._check_declared(given)
        results = self.layout.results([found.type for found in infer_body(self.body, given, self.name)])
        length = None if self.layout.until else rounds
        kinds = []
        for number, (kind, initial, state) in enumerate(
            zip(results.states, operands.initial, self.layout.states, strict=True)
        ):
            row = _state_type(number, row_type(initial.type), kind)
            kinds.append(_stack_of(row, length if state.keeps_all else state.depth, state.keeps_all))
        kinds += [_stack_of(kind, length, True) for kind in results.stacked]
        if self.layout.until and (results.ends.ndim or results.ends.dtype != "bool"):
            raise InferenceError(DTypeError, f"the condition of until must be a bool scalar, got {results.ends}")
        return kinds

    def _check_declared(self, given: Sequence[Operand]) -> None:
        for variable, operand in zip(self.body.inputs, given, strict=True):
            kind: Any = variable.type
            if operand.type.dtype != kind.dtype or operand.type.ndim != kind.ndim:
                raise InferenceError(
                    DTypeError, f"{self.name} gives {operand.type} to {variable} of its body, which is {kind}"
                )
            for size, found in zip(kind.shape, operand.type.shape, strict=True):
                if None not in (size, found) and size != found:
                    raise InferenceError(
                        ShapeError, f"{self.name} gives {operand.type} to {variable} of its body, which is {kind}"
                    )

    def known_value(self, *inputs: Any) -> np.ndarray | None:
        return None

    # ---- meaning ----

    def evaluate(self, *inputs: np.ndarray) -> list[np.ndarray]:
        return run_loop(self.layout, inputs, lambda values: interpret(self.body, values), self._empty)

    def _empty(self, inputs: Sequence[np.ndarray]) -> list[tuple[tuple[int, ...], str]]:
        """Return shape and dtype of one value of each output of the body, for loops of no rounds."""
        operands = self.layout.operands(inputs)
        rows = [*operands.sequences, *[
            initial for initial, state in zip(operands.initial, self.layout.states, strict=True) for _ in state.taps
        ]]  # fmt: skip
        given = [Operand(TensorType(value.dtype, value.shape[1:])) for value in rows]
        for variable, value in zip(self.body.inputs[len(given) :], operands.constants, strict=True):
            kind: Any = TensorType(value.dtype, value.shape) if isinstance(value, np.ndarray) else variable.type
            given.append(Operand(kind))
        found = infer_body(self.body, given, self.name)
        return [(tuple([size or 0 for size in result.type.shape]), result.type.dtype) for result in found]

    def lower(self, apply: Apply) -> Kernel:
        layout = self.layout
        return Loop(self.body, layout.sequences, layout.states, layout.stacked, layout.constants, layout.until)

    # ---- derivatives ----

    def gradient(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        from symgrad.control.scan_gradient import gradient_of_scan

        with without_test_values():
            return gradient_of_scan(self, inputs, outputs, cotangents)

    def pushforward(self, inputs: Sequence[Any], outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Carry tangents along in the same loop."""
        from symgrad.control.scan_tangent import tangents_of_scan

        with without_test_values():
            return tangents_of_scan(self, inputs, outputs, tangents)

    @classmethod
    def samples(cls) -> Iterable[tuple[Op, Sample]]:
        from symgrad.control.scan_samples import samples

        return samples()


def _number_of_rounds(rounds: Any) -> int | None:
    if rounds.type.ndim or not is_discrete(rounds.type.dtype):
        raise InferenceError(DTypeError, f"the number of steps must be an integer scalar, got {rounds.type}")
    if rounds.known is None:
        return None
    number = int(rounds.known)
    if number < 0:
        raise InferenceError(
            RangeError, f"the number of steps can't be negative, got {number}",
            "To go through sequences from their ends, pass go_backwards=True.",
        )  # fmt: skip
    return number


def _check_sequence(kind: TensorType, number: int, rounds: int | None) -> None:
    if kind.ndim == 0:
        raise InferenceError(ShapeError, f"sequence {number} of the loop is a scalar: it has no rows to go through")
    if None not in (kind.shape[0], rounds) and kind.shape[0] < rounds:  # type: ignore[operator]
        raise InferenceError(ShapeError, _too_short(number, kind.shape[0], rounds))


def _too_short(number: int, length: int | None, rounds: int | None) -> str:
    return f"sequence {number} of the loop has {length} rows, and the loop takes {rounds} steps"


def _check_initial(kind: TensorType, number: int, depth: int) -> None:
    if kind.ndim == 0:
        raise InferenceError(ShapeError, f"the first values of state {number} are a scalar: there must be {depth} rows")
    if kind.shape[0] is not None and kind.shape[0] != depth:
        raise InferenceError(ShapeError, _wrong_depth(number, kind.shape[0], depth))


def _wrong_depth(number: int, length: int, depth: int) -> str:
    return f"the taps of state {number} go back {depth} steps, and there are {length} first values"


def _state_type(number: int, before: TensorType, after: Any) -> TensorType:
    """Return what is known about a state's values, from the first ones and from what a round makes of them."""
    fits = before.dtype == after.dtype and before.ndim == after.ndim and all(
        None in pair or pair[0] == pair[1] for pair in zip(before.shape, after.shape, strict=True)
    )  # fmt: skip
    if not fits:
        raise InferenceError(
            DTypeError if before.dtype != after.dtype else ShapeError,
            f"state {number} of the loop starts as {before}, and a round makes {after} of it",
        )
    sizes = [now if size is None else size for size, now in zip(before.shape, after.shape, strict=True)]
    return TensorType(after.dtype, sizes, after.broadcastable)


def _stack_of(row: TensorType, length: int | None, is_stack: bool) -> TensorType:
    ones = False if is_stack else length == 1
    return TensorType(row.dtype, (length, *row.shape), (ones, *row.broadcastable))


def run_loop(layout: Layout, inputs: Sequence[np.ndarray], body: Any, empty: Any) -> list[np.ndarray]:
    """Carry a loop out, one round after the other.

    Parameters
    ----------
    layout : Layout
        Which operand is what.
    inputs : sequence of array
        The operands.
    body : callable
        ``body(values)`` returns the outputs of one round from its inputs.
    empty : callable
        ``empty(inputs)`` returns shape and dtype of one value of each output of the body; asked if there is no round.
    """
    operands = layout.operands(inputs)
    rounds = int(operands.rounds)
    check_operands(layout, operands, rounds)
    past = [[initial[row, ...] for row in range(len(initial))] for initial in operands.initial]
    collected: list[list[np.ndarray]] = [[] for _ in range(layout.stacked)]
    done = 0
    while done < rounds:
        rows = [sequence[done, ...] for sequence in operands.sequences]
        taps = [values[tap] for values, state in zip(past, layout.states, strict=True) for tap in state.taps]
        results = layout.results(body([*rows, *taps, *operands.constants]))
        for number, (values, value) in enumerate(zip(past, results.states, strict=True)):
            check_state(number, values[-1], value)
            values.append(np.asarray(value))
        for stack, value in zip(collected, results.stacked, strict=True):
            stack.append(np.asarray(value))
        done += 1
        if results.ends is not None and bool(results.ends):
            break
    kinds = [] if done else empty(inputs)
    outputs = []
    for number, (values, state) in enumerate(zip(past, layout.states, strict=True)):
        kept = values[state.depth :] if state.keeps_all else values[-state.depth :]
        outputs.append(_stacked(kept, kinds[number] if kinds else None))
    for number, stack in enumerate(collected):
        outputs.append(_stacked(stack, kinds[len(past) + number] if kinds else None))
    return outputs


def _stacked(values: Sequence[np.ndarray], kind: tuple[tuple[int, ...], str] | None) -> np.ndarray:
    if not values and kind is not None:
        return np.empty((0, *kind[0]), kind[1])
    shapes = {value.shape for value in values}
    if len(shapes) > 1:
        raise ShapeError(f"the results of a loop's steps can't be stacked: their shapes are {sorted(shapes)}")
    return np.stack(values)


def check_operands(layout: Layout, operands: Any, rounds: int) -> None:
    """Raise unless there are enough rows for that many rounds, and as many first values as the taps need."""
    if rounds < 0:
        raise RangeError(f"the number of steps can't be negative, got {rounds}")
    for number, sequence in enumerate(operands.sequences):
        if len(sequence) < rounds:
            raise ShapeError(_too_short(number, len(sequence), rounds))
    for number, (initial, state) in enumerate(zip(operands.initial, layout.states, strict=True)):
        if len(initial) != state.depth:
            raise ShapeError(_wrong_depth(number, len(initial), state.depth))


def check_state(number: int, before: np.ndarray, after: np.ndarray) -> None:
    """Raise unless a state keeps its shape."""
    if np.shape(after) != np.shape(before):
        raise ShapeError(
            f"state {number} of the loop starts with shape {np.shape(before)}, and a step makes {np.shape(after)} of it"
        )


__all__ = ["Scan", "State", "run_loop"]
