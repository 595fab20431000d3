"""Loops and choices on a backend that has no kernel for them: each graph inside becomes a program of its own.

The body of a loop is compiled once, for the sizes that its first round sees, and Python calls it once a round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from symgrad.backends.base import Backend, UnsupportedError
from symgrad.backends.timing import Inside
from symgrad.compile.loops import Bodies
from symgrad.compile.rounds import NativeRounds
from symgrad.compile.segments import Segment
from symgrad.control.layout import Layout
from symgrad.control.scan_op import check_operands, check_state
from symgrad.errors import ShapeError
from symgrad.kernels.grammar import Branch, Evaluate, Loop
from symgrad.lowering import Step


def with_inner_programs(
    bodies: Bodies, steps: Sequence[Step], backend: Backend, write: Callable[..., Any]
) -> list[Step]:
    """Return the steps, with loops and choices as calls of programs.

    Parameters
    ----------
    bodies : Bodies
        The graphs inside them.
    steps : sequence of Step
        The steps.
    backend : Backend
        What runs the graphs, as far as it can.
    write : callable
        ``write(compiled, backend, shapes, containers)`` returns plan and program of a graph.
    """
    return [_with_programs(bodies, step, backend, write) for step in steps]


def _with_programs(bodies: Bodies, step: Step, backend: Backend, write: Callable[..., Any]) -> Step:
    kernel = step.kernel
    if isinstance(kernel, Loop):
        body = Segment(bodies.compiled(kernel.body), write)
        native = None if backend.runs_everything else NativeRounds(bodies, step, backend)
        return replace(step, kernel=Evaluate(step.name, LoopRunner(kernel, body, step, native)))
    if isinstance(kernel, Branch):
        choices = [Segment(bodies.compiled(graph), write) for graph in (kernel.if_true, kernel.if_false)]
        return replace(step, kernel=Evaluate(step.name, BranchRunner(*choices)))
    return step


class LoopRunner:
    """Carries out a loop: natively for the rounds of this call, or in Python, with the body as a program."""

    def __init__(self, kernel: Loop, body: Segment, step: Step, native: NativeRounds | None = None) -> None:
        self.native = native
        self.layout = Layout(kernel.sequences, kernel.states, kernel.stacked, kernel.constants, kernel.until)
        self.body = body
        self.meaning = step.evaluate

    @property
    def programs(self) -> dict[Any, Any]:
        """The programs that have been made so far, by the sizes of their arguments."""
        return self.body.programs if self.native is None else {**self.body.programs, **self.native.programs}

    def timed(self) -> Inside:
        """Time them, and those still to be made, until they are stopped."""
        return self.body.timed(None if self.native is None else self.native.timed())

    def __call__(self, *inputs: np.ndarray) -> Sequence[np.ndarray]:
        layout = self.layout
        operands = layout.operands(inputs)
        rounds = int(operands.rounds)
        check_operands(layout, operands, rounds)
        if rounds == 0 and self.meaning is not None:
            return self.meaning(*inputs)
        if self.native is not None:
            with suppress(UnsupportedError):
                return self.native.results(rounds, inputs[1:])
        count = len(layout.states)
        places = [(number, tap) for number, state in enumerate(layout.states) for tap in state.taps]
        histories = [_History(*pair, rounds) for pair in zip(operands.initial, layout.states, strict=True)]
        stacks: list[np.ndarray] = []
        done = 0
        while done < rounds:
            rows = [sequence[done, ...] for sequence in operands.sequences]
            taps = [histories[number].read(tap) for number, tap in places]
            results = self.body(*rows, *taps, *operands.constants)
            if not done:
                collected = results[count : count + layout.stacked]
                stacks = [np.empty((rounds, *value.shape), value.dtype) for value in collected]
            for number, history in enumerate(histories):
                check_state(number, history.last, results[number])
                history.add(results[number])
            for number, stack in enumerate(stacks):
                value = results[count + number]
                if value.shape != stack.shape[1:]:
                    shapes = f"{stack.shape[1:]} and {value.shape}"
                    raise ShapeError(f"the results of a loop's steps can't be stacked: their shapes are {shapes}")
                stack[done] = value
            done += 1
            if layout.until and results[-1]:
                break
        kept = stacks if done == rounds else [stack[:done].copy() for stack in stacks]
        return [*[history.result() for history in histories], *kept]


class _History:
    """The values of one state: all of them in one array, or the last few in a list."""

    def __init__(self, initial: np.ndarray, state: Any, rounds: int) -> None:
        self.depth = state.depth
        self.keeps_all = state.keeps_all
        self.done = self.depth
        self.values: Any = [initial[row, ...] for row in range(self.depth)]
        if self.keeps_all:
            self.values = np.empty((self.depth + rounds, *initial.shape[1:]), initial.dtype)
            self.values[: self.depth] = initial
        self.last = initial[-1, ...]

    def read(self, tap: int) -> np.ndarray:
        if self.keeps_all:
            return self.values[self.done + tap, ...]  # type: ignore[no-any-return]
        return self.values[tap]  # type: ignore[no-any-return]

    def add(self, value: np.ndarray) -> None:
        if self.keeps_all:
            self.values[self.done] = value
        else:
            self.values.append(value)
            del self.values[0]
        self.last = value
        self.done += 1

    def result(self) -> np.ndarray:
        return self.values[self.depth : self.done] if self.keeps_all else np.stack(self.values)


class BranchRunner:
    """Runs the program of the graph that the condition chooses."""

    def __init__(self, if_true: Segment, if_false: Segment) -> None:
        self.choices = if_false, if_true

    @property
    def programs(self) -> dict[Any, Any]:
        """The programs of both graphs that have been made so far."""
        return {(number, key): program for number, choice in enumerate(self.choices)
                for key, program in choice.programs.items()}  # fmt: skip

    def timed(self) -> Inside:
        """Time them, and those still to be made, until they are stopped."""
        if_false, if_true = self.choices
        return if_true.timed(if_false.timed())

    def __call__(self, condition: np.ndarray, *inputs: np.ndarray) -> Sequence[np.ndarray]:
        return self.choices[bool(condition)](*inputs)
