"""Loops whose number of rounds, or other sizes, only a call knows: native programs of their own, made in the call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from symgrad.backends.base import Backend, UnsupportedError
from symgrad.backends.timing import Inside
from symgrad.compile.loops import Bodies, operands_of_rounds
from symgrad.compile.planner import make_plan
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import Operand
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Loop
from symgrad.lowering import Step
from symgrad.lowering.open_sizes import OpenSizes
from symgrad.lowering.steps import Bound

MAXIMAL_PROGRAMS = 16
FIRST_ROUNDS = 32
"""A loop that may end at any time is carried out in parts of so many rounds at first, then of twice as many, ..."""


class NativeRounds:
    """A loop as native programs of its own, one for each number of rounds and combination of sizes.

    Parameters
    ----------
    bodies : Bodies
        They have the program of the body.
    step : Step
        The loop.
    backend : Backend
        What runs it.
    """

    def __init__(self, bodies: Bodies, step: Step, backend: Backend) -> None:
        assert isinstance(step.kernel, Loop)
        self.bodies, self.backend = bodies, backend
        self.step, self.kernel = step, step.kernel
        self.programs: dict[Any, Any] = {}
        self._inside: Inside | None = None
        self._takes_values: bool | None = None

    def results(self, rounds: int, arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """Carry out the loop, whose operands have been checked.

        Raises
        ------
        UnsupportedError
            If it has to be done from Python. Nothing has happened then.
        """
        carry_out = self._in_parts if self.kernel.until else self._at_once
        if self._takes_values is None:
            with suppress(UnsupportedError):
                found = carry_out(rounds, arrays)
                self._takes_values = False
                return found
            self._takes_values = True
        return carry_out(rounds, arrays)

    def _known(self, array: np.ndarray) -> np.ndarray | None:
        """Return the value of an operand that a program is written for: sizes inside the body may depend on it."""
        return array if self._takes_values and array.ndim == 0 and array.dtype == np.int64 else None

    def _key(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        return [array.shape if (known := self._known(array)) is None else int(known) for array in arrays]

    def timed(self) -> Inside:
        """Time its programs, and those still to be made, until they are stopped."""
        self._inside = Inside([program.timed() for program in self.programs.values()])
        return self._inside

    def _kept(self, key: Any, make: Callable[[], Any]) -> Any:
        """Return the program of a key, or make it."""
        program = self.programs.get(key)
        if program is None:
            program = self.programs[key] = make()
            if self._inside is not None and not self._inside.stopped:
                self._inside.stopwatches.append(program.timed())
            if len(self.programs) > MAXIMAL_PROGRAMS:
                del self.programs[next(iter(self.programs))]
        return program

    def _at_once(self, rounds: int, arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        key = rounds, *self._key(arrays)
        program = self._kept(key, partial(self._program, self.kernel, rounds, arrays))
        return program.run(*arrays)  # type: ignore[no-any-return]

    def _program(self, kernel: Loop, rounds: int, arrays: Sequence[np.ndarray]) -> Any:
        """Return the program of a loop that is a whole function."""
        operands = [Operand(TensorType(array.dtype.name, array.shape), self._known(array)) for array in arrays]
        plan, body = self.bodies.program(kernel.body, self.backend, operands_of_rounds(kernel, operands))
        inputs = [_variable(array.dtype.name, array.shape) for array in arrays]
        outputs = []
        for number, own in enumerate(plan.graph.outputs[: len(kernel.states) + kernel.stacked]):
            kind = plan.types[own].type
            if not kind.is_static:
                raise UnsupportedError("a size that only the call knows")
            is_last = number < len(kernel.states) and not kernel.states[number].keeps_all
            length = kernel.states[number].depth if is_last else rounds
            outputs.append(_variable(kind.dtype, (length, *kind.shape)))
        bound = Bound(kernel, rounds, (plan,), (body,))
        step = Step(bound, self.step.name, tuple(inputs), tuple(outputs), self.step.source)
        graph = ClosedGraph(tuple(inputs), tuple(outputs), (), ())
        types = {variable: Operand(variable.type) for variable in (*inputs, *outputs)}  # type: ignore[arg-type]
        sizes = OpenSizes(types)
        planned = make_plan(graph, self.backend.schedule(graph, [step], sizes), types, self.backend.traits, sizes)
        return self.backend.compile(planned, (), _cannot_explain)

    def _in_parts(self, rounds: int, arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """Carry out a loop that may end at any time."""
        kernel = replace(self.kernel, states=tuple([replace(state, keeps_all=True) for state in self.kernel.states]))
        count, states = kernel.sequences, len(kernel.states)
        sequences, firsts, constants = arrays[:count], arrays[count : count + states], arrays[count + states :]
        begun = self._key((*firsts, *constants))
        parts: list[Sequence[np.ndarray]] = []
        done, size, last = 0, FIRST_ROUNDS, firsts
        while True:
            now = min(size, rounds - done)
            given = [*[sequence[done : done + now] for sequence in sequences], *last, *constants]
            program = self._kept(("until", now, *begun), partial(self._program, kernel, now, given))
            results = program.run(*given)
            finished, ended = program.last_rounds()
            parts.append([np.array(result[:finished]) for result in results])
            done, size = done + finished, 2 * size
            last = [np.concatenate([before, values])[-len(before) :]
                    for before, values in zip(last, parts[-1], strict=False)]  # fmt: skip
            if ended or done == rounds:
                break
        whole = [np.concatenate(values) for values in zip(*parts, strict=True)]
        return [
            last[number] if number < len(firsts) and not self.kernel.states[number].keeps_all else values
            for number, values in enumerate(whole)
        ]


class _Refusal:
    """What runs where native code found something that it can't do: then Python goes round, and says what it is."""

    def run(self, *arrays: np.ndarray) -> Sequence[np.ndarray]:
        """Refuse."""
        raise UnsupportedError("a round found something that native code can't do")


def _cannot_explain() -> Any:
    return _Refusal()


def _variable(dtype: str, shape: Sequence[int]) -> Variable:
    return Variable(TensorType(dtype, shape))
