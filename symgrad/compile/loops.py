"""Loops and branches: the programs of the graphs inside them.

A native program has them as parts of itself, with the programs of their graphs (`bound_steps`). Where that can't be,
because a size or the number of rounds is only known in the call, or because a graph has parts without native kernels,
they are steps that Python calls (`symgrad.compile.inner`): a loop is then a native program for the number of rounds
that the call has (`NativeRounds`), or, in the worst case, Python goes round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from symgrad.backends.base import Backend, UnsupportedError
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import Operand
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Variable
from symgrad.kernels.grammar import Branch, Loop
from symgrad.lowering import Step
from symgrad.lowering.steps import Bound

MAXIMAL_PROGRAMS = 128

Write = Callable[[Any, Backend, Mapping[Variable, Any], Sequence[Any]], tuple[Any, Any]]
"""``write(compiled, backend, shapes, ())`` returns plan and program of a whole graph, or raises `UnsupportedError`."""


@dataclass(eq=False)
class Bodies:
    """The graphs inside the loops and branches of a compiled graph.

    Parameters
    ----------
    compile_body : callable
        Returns what is the same for all sizes of a graph, as `symgrad.compile.pipeline.compile_graph` does.
    write : callable
        ``write(compiled, backend, shapes, ())`` returns plan and program of a whole graph.
    """

    compile_body: Callable[[ClosedGraph], Any]
    write: Write
    _compiled: dict[ClosedGraph, Any] = field(default_factory=dict)
    _programs: dict[Any, Any] = field(default_factory=dict)

    def apart(self) -> Bodies:
        """Return the same with no program that this one has: two functions may be called at the same time."""
        return Bodies(self.compile_body, self.write, self._compiled)

    def compiled(self, graph: ClosedGraph) -> Any:
        """Return what is the same for all sizes."""
        found = self._compiled.get(graph)
        if found is None:
            found = self._compiled[graph] = self.compile_body(graph)
        return found

    def program(self, graph: ClosedGraph, backend: Backend, operands: Sequence[Operand]) -> tuple[Any, Any]:
        """Return plan and program of a graph for the sizes, and known values, of its inputs.

        Raises
        ------
        UnsupportedError
            If a size isn't known, or if the backend can't run the graph.
        """
        shapes = tuple([_shape_of(operand) for operand in operands])
        values = {number: operand.known for number, operand in enumerate(operands) if operand.known is not None}
        key = graph, backend.name, shapes, tuple([(number, value.tobytes()) for number, value in values.items()])
        found = self._programs.get(key)
        if found is None:
            try:
                compiled = self.compiled(graph)
                inputs = compiled.rewritten.inputs
                known = replace(compiled, values={inputs[number]: value for number, value in values.items()})
                found = self.write(known, backend, dict(zip(inputs, shapes, strict=True)), ())
            except UnsupportedError as error:
                found = error
            self._programs[key] = found
            if len(self._programs) > MAXIMAL_PROGRAMS:
                del self._programs[next(iter(self._programs))]
        if isinstance(found, UnsupportedError):
            raise found
        return found  # type: ignore[no-any-return]


def bound_steps(
    bodies: Bodies, steps: Sequence[Step], types: Mapping[Variable, Operand], backend: Backend
) -> list[Step]:
    """Return the steps, with programs for the graphs of loops and branches.

    Raises
    ------
    UnsupportedError
        If only a call knows what they need to know.
    """
    return [
        _bound(bodies, step, types, backend) if isinstance(step.kernel, Loop | Branch) else step for step in steps
    ]


def _bound(bodies: Bodies, step: Step, types: Mapping[Variable, Operand], backend: Backend) -> Step:
    """Return a loop, without the number of rounds, which is known, or a branch, with its programs."""
    kernel: Any = step.kernel
    operands = [types[variable] for variable in step.inputs[1:]]
    if isinstance(kernel, Branch):
        sides = [bodies.program(graph, backend, operands) for graph in (kernel.if_true, kernel.if_false)]
        for plan, _ in sides:
            for own, output in zip(plan.graph.outputs, step.outputs, strict=True):
                _compare(plan.types[own], types[output], 0)
        return replace(step, kernel=Bound(kernel, 1, *_pairs(sides)))
    rounds = types[step.inputs[0]].known
    if kernel.until or rounds is None or int(rounds) < 0:
        raise UnsupportedError("only the call knows the number of rounds")
    found = bodies.program(kernel.body, backend, operands_of_rounds(kernel, operands))
    for own, output in zip(found[0].graph.outputs, step.outputs, strict=True):
        _compare(found[0].types[own], types[output], 1)
    return replace(step, kernel=Bound(kernel, int(rounds), *_pairs([found])), inputs=step.inputs[1:])


def _pairs(found: Sequence[tuple[Any, Any]]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    return tuple([plan for plan, _ in found]), tuple([program for _, program in found])


def _shape_of(operand: Operand) -> tuple[int, ...]:
    kind: Any = operand.type
    if not getattr(kind, "is_static", False):
        raise UnsupportedError("a size that only the call knows")
    return tuple(kind.shape)


def _compare(own: Operand, output: Operand, skipped: int) -> None:
    """Raise if a graph's output isn't what the loop or branch says: `skipped` axes are the loop's."""
    if _shape_of(own) != _shape_of(output)[skipped:] or own.type.dtype != output.type.dtype:  # type: ignore[attr-defined]
        raise UnsupportedError("a result isn't what it was said to be")


def operands_of_rounds(kernel: Loop, operands: Sequence[Operand]) -> list[Operand]:
    """Return what the body gets in a round from the loop's operands, without the number of rounds."""
    states = len(kernel.states)
    sequences, firsts = operands[: kernel.sequences], operands[kernel.sequences : kernel.sequences + states]
    taps = [_row(first) for first, state in zip(firsts, kernel.states, strict=True) for _ in state.taps]
    return [*map(_row, sequences), *taps, *operands[kernel.sequences + states :]]


def _row(operand: Operand) -> Operand:
    kind: Any = operand.type
    return Operand(TensorType(kind.dtype, kind.shape[1:], kind.broadcastable[1:]))
