"""Programs in parts: what a backend can run is put together into segments, and NumPy runs the rest between them.

A segment is a graph of its own, with its own plan for each combination of sizes. So sizes that depend on data are no
obstacle: they are known when the segment is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import perf_counter_ns
from typing import Any

import numpy as np

from symgrad.backends.base import UnsupportedError
from symgrad.backends.timing import Inside
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import Operand
from symgrad.graph.variables import Constant, Variable
from symgrad.kernels.grammar import Evaluate, View
from symgrad.lowering import Step, lower

MAXIMAL_PROGRAMS = 16


def in_segments(compiled: Any, write: Callable[..., Any], types: Mapping[Variable, Operand]) -> list[Step]:
    """Return the steps of a compiled graph, with those that its backend can run put together into segments.

    If each step for itself has a kernel, it is the whole that doesn't fit, and there are no segments.

    Parameters
    ----------
    compiled : Compiled
        What can't run as a whole.
    write : callable
        ``write(compiled, backend, shapes, containers)`` returns plan and program of a graph.
    types : mapping
        Type and known value of each variable, for the sizes at hand.
    """
    levels = _levels(compiled.steps, compiled.backend.has_kernel)
    if all(native for _, native in levels):
        return list(compiled.steps)
    ordered: list[Step] = []
    for level in sorted({level for level, _ in levels}):
        here = [(step, native) for step, (found, native) in zip(compiled.steps, levels, strict=True) if found == level]
        ordered += [step for step, native in here if not native]
        members = [step for step, native in here if native]
        if all(isinstance(step.kernel, View) for step in members):
            ordered += members
        else:
            ordered.append(_segment(compiled, members, write, types))
    return ordered


def _levels(steps: Sequence[Step], has_kernel: Callable[[Step], bool]) -> list[tuple[int, bool]]:
    """Return for each step its level, and whether it is native.

    A step is on the level of those that it depends on, one higher where native and other steps meet; so all native
    steps of a level can run together.
    """
    made: dict[Variable, tuple[int, bool]] = {}
    levels = []
    for step in steps:
        native = has_kernel(step)
        before = [made[variable] for variable in step.inputs if variable in made]
        level = max((found + (kind is not native) for found, kind in before), default=0)
        levels.append((level, native))
        made.update(dict.fromkeys(step.outputs, (level, native)))
    return levels


def _segment(
    compiled: Any, members: Sequence[Step], write: Callable[..., Any], types: Mapping[Variable, Operand]
) -> Step:
    """Return one step that does the work of many."""
    made = {output: None for step in members for output in step.outputs}
    used = {v: None for step in members for v in step.inputs if v not in made and not isinstance(v, Constant)}
    inside = set(members)
    wanted = set(compiled.rewritten.roots)
    wanted.update(v for step in compiled.steps if step not in inside for v in step.inputs)
    graph = ClosedGraph(tuple(used), tuple(v for v in made if v in wanted), (), ())
    values = {variable: value for variable in used if (value := types[variable].known) is not None}
    part = replace(compiled, graph=graph, rewritten=graph, steps=lower(graph), values=values)
    return Step(Evaluate("segment", Segment(part, write)), "segment", graph.inputs, graph.outputs, members[0].source)


class Segment:
    """Runs a part of a graph: makes a program for each combination of sizes."""

    def __init__(self, part: Any, write: Callable[..., Any]) -> None:
        self.part = part
        self.write = write
        self.programs: dict[Any, Any] = {}
        self._inside: Inside | None = None

    def __call__(self, *arrays: np.ndarray) -> Sequence[np.ndarray]:
        key = tuple([array.shape for array in arrays])
        program = self.programs.get(key)
        if program is None:
            program = self.programs[key] = self._made(key)
            if len(self.programs) > MAXIMAL_PROGRAMS:
                del self.programs[next(iter(self.programs))]
        return program.run(*arrays)  # type: ignore[no-any-return]

    def timed(self, inside: Inside | None = None) -> Inside:
        """Time its programs, and those still to be made, until they are stopped; along with those that `inside` has."""
        self._inside = inside or Inside()
        self._inside.stopwatches += [program.timed() for program in self.programs.values()]
        return self._inside

    def _made(self, key: Any) -> Any:
        """Return a new program, and let a profile know."""
        inside = self._inside
        if inside is None or inside.stopped:
            return self._program(key)
        began = perf_counter_ns()
        program = self._program(key)
        inside.preparing += perf_counter_ns() - began
        inside.stopwatches.append(program.timed())
        return program

    def _program(self, key: Any) -> Any:
        shapes = dict(zip(self.part.rewritten.inputs, key, strict=True))
        backend = self.part.backend
        try:
            return self.write(self.part, backend, shapes, ())[1]
        except UnsupportedError:
            return self.write(self.part, backend.substitute, shapes, ())[1]
