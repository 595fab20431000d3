"""The pipeline, top to bottom: calling these two functions *is* compiling.

    expression -> graph -> (gradient) -> rewritten graph -> kernels -> plan -> program

`close` and `rewrite` happen when `function` is called; `program_for` when the sizes of the arguments are first seen.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from weakref import WeakSet

import numpy as np

from symgrad.backends.base import Backend, Program, UnsupportedError
from symgrad.compile.binding import NO_LENGTHS, Shape, bind_types, check_updates
from symgrad.compile.inner import with_inner_programs
from symgrad.compile.lengths import slice_lengths
from symgrad.compile.loops import Bodies, bound_steps
from symgrad.compile.modes import Mode
from symgrad.compile.planner import make_plan
from symgrad.compile.segments import in_segments
from symgrad.config import config
from symgrad.control.laziness import made_lazy
from symgrad.control.opened import opened
from symgrad.errors import SymgradError
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.garbage import no_garbage_collection
from symgrad.graph.op import Operand
from symgrad.graph.variables import Container, Variable
from symgrad.lowering import Step, lower
from symgrad.lowering.open_sizes import OpenSizes, name_sizes
from symgrad.lowering.plan import Plan
from symgrad.rewriting.engine import Change, rewrite


@dataclass(frozen=True, eq=False)
class Compiled:
    """What is the same for all sizes: the graph before and after rewriting, and the kernels.

    Attributes
    ----------
    graph, rewritten : ClosedGraph
        What was asked for, and what is computed.
    steps : sequence of Step
        Its kernels, causes first.
    backend : Backend
        What the graph was rewritten for.
    lengths : mapping
        The lengths that slices with run-time bounds have as long as they lie inside their operand.
    checks : str
        The check of each kernel's result, see `symgrad.compile.modes.Mode`.
    values : mapping
        The values of those inputs that have the same one in all calls.
    bodies : Bodies
        The graphs inside loops and branches.
    """

    graph: ClosedGraph
    rewritten: ClosedGraph
    steps: Sequence[Step]
    backend: Backend
    lengths: Mapping[Variable, Sequence[int | None]]
    checks: str = ""
    values: Mapping[Variable, np.ndarray] = field(default_factory=dict)
    bodies: Bodies = field(kw_only=True)

    def apart(self) -> Compiled:
        """Return the same for another function, which may be called at the same time."""
        return replace(self, bodies=self.bodies.apart())


def compile_graph(graph: ClosedGraph, mode: Mode, name: str, backend: Backend) -> Compiled:
    """Rewrite a closed graph for a backend, and lower it to kernels."""
    show = _Stages(name)
    if mode.checks == "NanGuard":
        backend = backend.substitute  # its kernels aren't fused: each has a line of its own
    with no_garbage_collection():
        show.graph("graph", graph)
        rewritten = rewrite(
            opened(graph), mode.rewrites, show.change if show.wants("rewrites") else None, backend.name
        )
        rewritten = made_lazy(rewritten)
        show.graph("rewrites", rewritten)
        steps = lower(rewritten)
        show.steps(steps)
    bodies = Bodies(partial(compile_graph, mode=mode, name=name, backend=backend), _program)
    return Compiled(graph, rewritten, steps, backend, slice_lengths(steps), mode.checks, bodies=bodies)


def program_for(
    compiled: Compiled,
    shapes: Mapping[Variable, Shape],
    containers: Sequence[Container],
    name: str,
    open_sizes: bool = False,
) -> tuple[Plan, Program]:
    """Bind to the sizes of inputs and shared variables, plan, and write the program.

    The user's own graph is bound first: if sizes don't fit, its error names the user's line. What the backend can't
    run as a whole runs on its substitute.

    Parameters
    ----------
    compiled : Compiled
        What is the same for all sizes.
    shapes : mapping
        The shapes of inputs and shared variables.
    containers : sequence of Container
        They hold the shared variables, in the order of the rewritten graph.
    name : str
        The function's name.
    open_sizes : bool
        Whether kernels are written for any sizes of the inputs, to serve the next ones too.
    """
    show = _Stages(name)
    with no_garbage_collection():
        check_updates(compiled.graph, bind_types(compiled.graph, shapes))
        plan, program = _some_program(compiled, shapes, containers, open_sizes)
        show.program(plan, program)
    return plan, program


def _some_program(
    compiled: Compiled, shapes: Mapping[Variable, Shape], containers: Sequence[Container], open_sizes: bool = False
) -> tuple[Plan, Program]:
    """Plan and write the program for the graph's own backend, as far as that can run it."""
    try:
        if compiled.checks:
            return _checked_program(compiled, compiled.backend, shapes, containers)
        return _own_program(compiled, shapes, containers, open_sizes)
    except UnsupportedError:
        types = bind_types(compiled.rewritten, shapes, NO_LENGTHS, compiled.values)
        parted = replace(compiled, steps=in_segments(compiled, _program, types))
        return _program(parted, compiled.backend.substitute, shapes, containers)


def _program(
    compiled: Compiled,
    backend: Backend,
    shapes: Mapping[Variable, Shape],
    containers: Sequence[Container],
    open_sizes: bool = False,
) -> tuple[Plan, Program]:
    """Plan and write the program for one backend."""
    lengths = compiled.lengths if backend.checks_lengths else NO_LENGTHS
    types = _bound(compiled, shapes, lengths)
    sizes = OpenSizes(types)
    if open_sizes:
        inputs = set(compiled.rewritten.inputs)
        known = {variable: shape for variable, shape in shapes.items() if variable not in inputs}
        sizes = name_sizes(compiled.steps, types, bind_types(compiled.rewritten, known, lengths, compiled.values))
    steps: Sequence[Step]
    if backend.runs_everything:
        steps = with_inner_programs(compiled.bodies, compiled.steps, compiled.backend, _inner_program)
    else:
        steps = bound_steps(compiled.bodies, compiled.steps, types, backend)
    steps = backend.schedule(compiled.rewritten, steps, sizes)
    plan = make_plan(compiled.rewritten, steps, types, backend.traits, sizes)

    def explain() -> Program:
        return _program(compiled, backend.substitute, shapes, containers)[1]

    return plan, backend.compile(plan, containers, explain)


def _inner_program(
    compiled: Compiled, backend: Backend, shapes: Mapping[Variable, Shape], containers: Sequence[Container]
) -> tuple[Plan, Program]:
    """Plan and write the program of a graph inside a loop or branch that Python calls."""
    if backend.runs_everything and not compiled.checks:
        return _program(compiled, backend, shapes, containers)
    return _some_program(compiled, shapes, containers)


_UNOPENED: WeakSet[Compiled] = WeakSet()
"""Graphs with kernels that can't be written for any sizes: nobody has to find that out again for each."""


def _own_program(
    compiled: Compiled, shapes: Mapping[Variable, Shape], containers: Sequence[Container], open_sizes: bool
) -> tuple[Plan, Program]:
    """Write the program for the graph's own backend; where its kernels need sizes, for these sizes only."""
    if open_sizes and compiled not in _UNOPENED:
        try:
            return _program(compiled, compiled.backend, shapes, containers, open_sizes)
        except UnsupportedError:
            _UNOPENED.add(compiled)
    return _program(compiled, compiled.backend, shapes, containers)


def _checked_program(
    compiled: Compiled, backend: Backend, shapes: Mapping[Variable, Shape], containers: Sequence[Container]
) -> tuple[Plan, Program]:
    """Write the program that checks each kernel's result."""
    from symgrad.compile.checked import checked_program

    open_types = bind_types(compiled.rewritten, shapes, NO_LENGTHS, compiled.values)
    lengths = compiled.lengths if backend.checks_lengths else NO_LENGTHS
    types = bind_types(compiled.rewritten, shapes, lengths, compiled.values) if lengths else open_types
    steps = with_inner_programs(compiled.bodies, compiled.steps, backend, _inner_program)
    return checked_program(compiled.checks, compiled.rewritten, steps, backend, types, open_types, containers)


def _bound(
    compiled: Compiled, shapes: Mapping[Variable, Shape], lengths: Mapping[Variable, Sequence[int | None]]
) -> dict[Variable, Operand]:
    """Bind the rewritten graph; raise `UnsupportedError` if only slices that are cut off by an end fit the rest."""
    try:
        return bind_types(compiled.rewritten, shapes, lengths, compiled.values)
    except SymgradError as error:
        if not lengths:
            raise
        raise UnsupportedError(f"slices of full length don't fit: {error}") from None


class _Stages:
    """Prints the stages that `SYMGRAD_DEBUG` (or ``config.debug``) names, to stderr."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.wanted = frozenset(filter(None, config.debug.split(",")))

    def wants(self, stage: str) -> bool:
        """Whether a stage is to be shown."""
        return stage in self.wanted

    def text(self, stage: str, text: str) -> None:
        """Show a stage as text."""
        if self.wants(stage):
            print(f"---- {self.name}: {stage} ----\n{text.rstrip()}", file=sys.stderr)

    def graph(self, stage: str, graph: ClosedGraph) -> None:
        """Show a graph."""
        if self.wants(stage):
            from symgrad.debug.printing import debugprint

            self.text(stage, debugprint(graph, file="str"))

    def change(self, change: Change) -> None:
        """Show one rewrite."""
        from symgrad.debug.printing import pp

        before, after = pp(change.before, max_nodes=30), pp(change.after, max_nodes=30)
        print(f"{self.name}: {change.rule}: {before}  ->  {after}", file=sys.stderr)

    def steps(self, steps: Sequence[Step]) -> None:
        """Show the kernels."""
        if self.wants("kernels"):
            self.text("kernels", "\n".join(f"{step.name}: {step.kernel}" for step in steps))

    def program(self, plan: Plan, program: Program) -> None:
        """Show a plan, and the program that it became."""
        if self.wants("plan"):
            self._plan(plan, program.memory)
        if self.wants("source"):
            self.text("source", program.source)
        if self.wants("llvm") and program.llvm:
            self.text("llvm", program.llvm)

    def _plan(self, plan: Plan, memory: int) -> None:
        """Show homes and places, and how much memory that is."""
        rows: list[Any] = [f"arena: {plan.arena_size} bytes; memory: {memory} bytes"]
        for action in plan.actions:
            homes = ", ".join(
                home.value + (f" at {place.offset}" if place else "")
                for home, place in zip(action.homes, action.places, strict=True)
            )
            rows.append(f"{action.step.name}: {homes}")
        rows += [f"{commit.target}: {commit.change.value}" for commit in plan.commits]
        self.text("plan", "\n".join(rows))
