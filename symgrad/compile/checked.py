"""Programs for debugging: they run one kernel at a time and look at each result before anything changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import starmap
from operator import call
from types import MappingProxyType
from typing import Any

import numpy as np

from symgrad.backends.base import Backend, Program, UnsupportedError
from symgrad.backends.numpy.views import make_view
from symgrad.compile.planner import make_plan
from symgrad.debug.checks import CHECKS, Check
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import Operand
from symgrad.graph.variables import Constant, Container, Variable
from symgrad.kernels.grammar import Evaluate, Library, Map, Reduction, View
from symgrad.lowering import Step
from symgrad.lowering.plan import Plan

Types = Mapping[Variable, Operand]


def checked_program(
    checks: str,
    graph: ClosedGraph,
    steps: Sequence[Step],
    backend: Backend,
    types: Types,
    open_types: Types,
    containers: Sequence[Container],
) -> tuple[Plan, Program]:
    """Return the program that looks at each kernel's results, and a plan of its steps.

    Parameters
    ----------
    checks : str
        Which check: ``'DebugMode'`` or ``'NanGuard'``.
    graph : ClosedGraph
        The rewritten graph.
    steps : sequence of Step
        Its kernels.
    backend : Backend
        What runs them; its substitute runs those that it has no kernel for.
    types, open_types : mapping
        The bound types: with lengths of slices that are taken for granted, and without.
    containers : sequence of Container
        Of the shared variables, in the graph's order.
    """
    with suppress(UnsupportedError):  # then the kernels that there are run unfused
        steps = backend.schedule(graph, steps, types)
    plan = make_plan(graph, steps, types)
    kernels = SingleKernels(steps, backend, types, open_types)
    return plan, CheckedProgram(checks, plan, steps, kernels, containers)


class CheckedProgram:
    """Runs a graph kernel by kernel; `check` sees each result, and the updates come last.

    Nothing that the user can see is written before all kernels have passed.
    """

    steps_by_line: Mapping[int, Step] = MappingProxyType({})

    def __init__(
        self, checks: str, plan: Plan, steps: Sequence[Step], kernels: SingleKernels, containers: Sequence[Container]
    ) -> None:
        self._check: Check = CHECKS[checks]
        self._graph = plan.graph
        self._shared = plan.shared
        self._steps = steps
        self._kernels = kernels
        self._containers = dict(zip(plan.shared, containers, strict=True))
        self._done_with = _last_readers(plan.graph, steps)
        lines = [f"{step.name}({', '.join(map(str, step.inputs))})   # {step.source or ''}".rstrip() for step in steps]
        self.source = "\n".join([f"# {checks}: one kernel at a time", *lines, ""])

    def run(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Compute the outputs from inputs and shared values, and carry out the updates."""
        values: dict[Variable, np.ndarray] = {constant: constant.data for constant in self._graph.constants()}
        leaves = (*self._graph.inputs, *self._shared)
        values.update((leaf, np.array(array)) for leaf, array in zip(leaves, arrays, strict=True))
        with np.errstate(all="ignore"):
            for step in self._steps:
                operands = [values[variable] for variable in step.inputs]
                results = self._check(step, operands, partial(self._kernels.run, step, values))
                values.update(zip(step.outputs, results, strict=True))
                for variable in self._done_with[step]:
                    del values[variable]
        outputs = tuple([np.array(values[output], order="C") for output in self._graph.outputs])
        updates = [
            (setattr, self._containers[target], "value", np.array(values[value], order="C"))
            for target, value in zip(self._graph.targets, self._graph.values, strict=True)
        ]
        deque(starmap(call, updates), maxlen=0)  # one call, so that no interrupt can come between the updates
        return outputs

    def entry(self, numbers: Sequence[int], as_list: bool) -> None:
        """Every call goes through Python."""

    def repeat(self, sequences: Sequence[np.ndarray], results: Sequence[np.ndarray], count: int) -> int:
        """Every step goes through Python."""
        return 0

    def operands_in(self, frame: Any, step: Step) -> list[Any]:
        """Nothing is known from a frame of this program."""
        return [None for _ in step.inputs]


def _last_readers(graph: ClosedGraph, steps: Sequence[Step]) -> dict[Step, list[Variable]]:
    """Return for each step the results that nothing needs any more after it."""
    last = {variable: step for step in steps for variable in (*step.outputs, *step.inputs)}
    views = [step for step in steps if isinstance(step.kernel, View)]  # kernels read what is behind them
    kept = {*graph.roots, *(variable for view in views for variable in (*view.inputs, *view.outputs))}
    done: dict[Step, list[Variable]] = {step: [] for step in steps}
    for variable, step in last.items():
        if variable not in kept and not isinstance(variable, Constant):
            done[step].append(variable)
    return done


class SingleKernels:
    """Each step as a program of its own, made when it is first needed."""

    def __init__(self, steps: Sequence[Step], backend: Backend, types: Types, open_types: Types) -> None:
        self._backend = backend
        self._types = types
        self._open_types = open_types
        self._views = {step.outputs[0]: step for step in steps if isinstance(step.kernel, View)}
        self._programs: dict[tuple[Step, bool], tuple[Program, Sequence[Variable]]] = {}

    def run(self, step: Step, values: Mapping[Variable, np.ndarray], *operands: np.ndarray) -> Sequence[np.ndarray]:
        """Run one step, and return its outputs."""
        if isinstance(step.kernel, View):
            try:
                return [make_view(step.kernel.how, operands)]
            except Exception:  # the step's own program says on which line
                pass
        fits = all(
            size in (None, found)
            for variable, value in zip(step.inputs, operands, strict=True)
            for size, found in zip(self._types[variable].type.shape, value.shape, strict=True)
        )
        key = step, fits
        if key not in self._programs:
            self._programs[key] = self._program(step, fits)
        program, given = self._programs[key]
        return program.run(*[values[variable] for variable in given])

    def _program(self, step: Step, fits: bool) -> tuple[Program, Sequence[Variable]]:
        """Return a step's program, with the views that it reads through, and what it takes."""
        backend, substitute = self._backend, self._backend.substitute
        if fits and backend is not substitute and not isinstance(step.kernel, View):
            for steps in ([*self._views_before(step), step], [step]):
                try:
                    return self._written(steps, backend, self._types)
                except UnsupportedError:
                    continue
        return self._written([step], substitute, self._types if fits else self._open_types)

    def _views_before(self, step: Step) -> list[Step]:
        """Return the views through which a step reads, causes first."""
        found: dict[Step, None] = {}
        pending = list(step.inputs)
        while pending:
            view = self._views.get(pending.pop())
            if view is not None:
                found.pop(view, None)
                found[view] = None
                pending += view.inputs
        return list(reversed(found))

    def _written(self, steps: Sequence[Step], backend: Backend, types: Types) -> tuple[Program, Sequence[Variable]]:
        made = {output for step in steps for output in step.outputs}
        read = dict.fromkeys(variable for step in steps for variable in step.inputs)
        given = [variable for variable in read if variable not in made and not isinstance(variable, Constant)]
        graph = ClosedGraph(tuple(given), steps[-1].outputs, (), ())
        if backend is backend.substitute:
            steps = backend.schedule(graph, [_as_evaluated(step) for step in steps], types)
        plan = make_plan(graph, steps, types, backend.traits)

        def explain() -> Program:
            return self._written(steps, backend.substitute, types)[0]

        return backend.compile(plan, (), explain), given


def _as_evaluated(step: Step) -> Step:
    """A kernel that only another backend has is evaluated as its ops say."""
    if step.evaluate is None or isinstance(step.kernel, Evaluate | Library | Map | Reduction | View):
        return step
    return replace(step, kernel=Evaluate(step.name, step.evaluate))
