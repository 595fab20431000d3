"""Programs for debugging: they run one kernel at a time and look at each result before anything changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import starmap
from operator import call
from time import perf_counter_ns
from typing import Any

import numpy as np

from symgrad.backends.base import Backend, Program, Turn, UnsupportedError
from symgrad.backends.numpy.views import make_view
from symgrad.backends.timing import BEGAN, RUNS, TIMES, PythonStopwatch, timed_step
from symgrad.compile.planner import make_plan
from symgrad.debug.checks import CHECKS, FusedMeaning, Run
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import Operand
from symgrad.graph.variables import Constant, Container, SharedVariable, Variable
from symgrad.kernels.grammar import Evaluate, View
from symgrad.lowering import Step
from symgrad.lowering.open_sizes import OpenSizes
from symgrad.lowering.plan import Plan
from symgrad.lowering.steps import Fused

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
    scheduled = steps
    with suppress(UnsupportedError):  # then the kernels that there are run unfused
        scheduled = backend.schedule(graph, steps, OpenSizes(types))
    scheduled = [_with_meaning(step, types) for step in scheduled]

    def otherwise() -> Program:
        return checked_program(checks, graph, steps, backend.substitute, open_types, open_types, containers)[1]

    plan = make_plan(graph, scheduled, types)
    kernels = SingleKernels(scheduled, backend, types)
    return plan, CheckedProgram(checks, plan, scheduled, kernels, containers, otherwise)


class CheckedProgram:
    """Runs a graph kernel by kernel; a check sees each result, and the updates come last.

    Nothing that the user can see is written before all kernels have passed. `otherwise` returns the program for calls
    in which a slice is shorter than what its bounds say.
    """

    device = None

    def __init__(
        self,
        checks: str,
        plan: Plan,
        steps: Sequence[Step],
        kernels: SingleKernels,
        containers: Sequence[Container],
        otherwise: Callable[[], Program],
    ) -> None:
        self._check = CHECKS[checks]
        self._graph = plan.graph
        self._types = plan.types
        self._shared = plan.shared
        self._steps = steps
        self._kernels = kernels
        self._containers: dict[SharedVariable, Container] = dict(zip(plan.shared, containers, strict=True))
        self._otherwise = otherwise
        self._known: dict[Variable, np.ndarray] = {
            variable: operand.known for variable, operand in plan.types.items() if operand.known is not None
        }  # views may need sizes that no kernel computes
        self._done_with = _last_readers(plan.graph, steps)
        lines = [f"{step.name}({', '.join(map(str, step.inputs))})   # {step.source or ''}" for step in steps]
        self.llvm, self.memory = "", 0
        self.source = "\n".join([f"# {checks}: one kernel at a time", *lines, ""])

    def run(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Compute the outputs from inputs and shared values, and carry out the updates."""
        leaves = (*self._graph.inputs, *self._shared)
        values = dict(self._known)
        values.update((constant, constant.data) for constant in self._graph.constants())
        values.update((leaf, _copied(array)) for leaf, array in zip(leaves, arrays, strict=True))
        with np.errstate(all="ignore"):
            for step in self._steps:
                if not self._kernels.fit(step, values):
                    return tuple(self._otherwise().run(*arrays))
                operands = [values[variable] for variable in step.inputs]
                results = self._check(step, operands, partial(self._kernels.run, step, values))
                values.update(zip(step.outputs, results, strict=True))
                for variable in self._done_with[step]:
                    del values[variable]
        outputs = tuple([_copied(values[output]) for output in self._graph.outputs])
        updates = [
            (setattr, self._containers[target], "value", _copied(values[value]))
            for target, value in zip(self._graph.targets, self._graph.values, strict=True)
        ]
        deque(starmap(call, updates), maxlen=0)  # one call, so that no interrupt can come between the updates
        return outputs

    def entry(self, numbers: Sequence[int], as_list: bool, turn: Turn) -> None:
        """Every call goes through Python."""

    def repeat(self, sequences: Sequence[np.ndarray], results: Sequence[np.ndarray], count: int) -> int:
        """Every step goes through Python."""
        return 0

    def timed(self) -> PythonStopwatch:
        """Time its kernels, with their checks, from now on, until the stopwatch is stopped."""
        check = self._check
        positions = {step: number for number, step in enumerate(self._steps)}

        def timed_check(step: Step, operands: Sequence[np.ndarray], run: Run) -> Sequence[np.ndarray]:
            began = perf_counter_ns()
            if positions[step] == 0:
                words[BEGAN], words[RUNS] = began, words[RUNS] + 1
            try:
                return check(step, operands, run)
            finally:
                words[TIMES + positions[step]] += perf_counter_ns() - began

        def restore() -> None:
            self._check = check

        stopwatch = PythonStopwatch([timed_step(step, self._types) for step in self._steps], restore)
        words = stopwatch.words
        self._check = timed_check
        return stopwatch


def _copied(value: Any) -> Any:
    """Return a copy that nobody else holds: of an array, in C order."""
    return np.array(value, order="C") if isinstance(value, np.ndarray | np.generic) else value.copy()


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


def _with_meaning(step: Step, types: Types) -> Step:
    """Give a fused step the meaning of all its parts."""
    return replace(step, evaluate=FusedMeaning(step, types)) if isinstance(step.kernel, Fused) else step


class SingleKernels:
    """Each step as a program of its own, made when it is first needed."""

    def __init__(self, steps: Sequence[Step], backend: Backend, types: Types) -> None:
        self._backend = backend
        self._types = types
        self._views = {step.outputs[0]: step for step in steps if isinstance(step.kernel, View)}
        self._programs: dict[Step, tuple[Program, Sequence[Variable]]] = {}

    def fit(self, step: Step, values: Mapping[Variable, np.ndarray]) -> bool:
        """Whether a step's operands have the sizes that it is made for."""
        return all(
            size in (None, found)
            for variable in step.inputs
            for size, found in zip(self._types[variable].type.shape, values[variable].shape, strict=True)
        )

    def run(self, step: Step, values: Mapping[Variable, np.ndarray], *operands: np.ndarray) -> Sequence[np.ndarray]:
        """Run one step, and return its outputs."""
        if isinstance(step.kernel, View):
            with suppress(Exception):  # the step's own program says on which line
                return [make_view(step.kernel.how, operands)]
        if step not in self._programs:
            self._programs[step] = self._program(step)
        program, given = self._programs[step]
        return program.run(*[values[variable] for variable in given])

    def _program(self, step: Step) -> tuple[Program, Sequence[Variable]]:
        """Return a step's program, with the views that it reads through, and what it takes."""
        backend, substitute = self._backend, self._backend.substitute
        if backend is not substitute and not isinstance(step.kernel, View):
            for steps in ([*self._views_before(step), step], [step]):
                with suppress(UnsupportedError):
                    return self._written(steps, backend)
        return self._written([step], substitute)

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

    def _written(self, steps: Sequence[Step], backend: Backend) -> tuple[Program, Sequence[Variable]]:
        made = {output for step in steps for output in step.outputs}
        read = dict.fromkeys(variable for step in steps for variable in step.inputs)
        given = [variable for variable in read if variable not in made and not isinstance(variable, Constant)]
        graph = ClosedGraph(tuple(given), steps[-1].outputs, (), ())
        object.__setattr__(graph, "order", list(steps))  # a fused step has taken the place of several nodes
        if backend is backend.substitute:
            steps = backend.schedule(graph, [_as_evaluated(step) for step in steps], OpenSizes(self._types))
        plan = make_plan(graph, steps, self._types, backend.traits)

        def explain() -> Program:
            return self._written(steps, backend.substitute)[0]

        return backend.compile(plan, (), explain), given


def _as_evaluated(step: Step) -> Step:
    """A fused kernel that its backend can't run is evaluated as its parts say."""
    if isinstance(step.kernel, Fused) and step.evaluate is not None:
        return replace(step, kernel=Evaluate(step.name, step.evaluate))
    return step
