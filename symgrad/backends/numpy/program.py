"""Writes a plan as a straight-line Python program over preallocated buffers."""

from __future__ import annotations

import linecache
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import count, starmap
from keyword import iskeyword
from math import prod
from operator import call
from typing import Any

import numpy as np

from symgrad.backends.base import WRITTEN_PROGRAMS, Program, PythonsTurn, Turn
from symgrad.backends.numpy.convolution import Workspace
from symgrad.backends.numpy.halves import in_float32
from symgrad.backends.numpy.library import ROUTINES, gemm_calls
from symgrad.backends.numpy.threads import BlasThreads
from symgrad.backends.numpy.timing import timed_lines
from symgrad.backends.numpy.views import make_view, view_text
from symgrad.backends.timing import PythonStopwatch
from symgrad.config import config
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.dtypes import HALVES, widened
from symgrad.graph.variables import Constant, Container, Variable
from symgrad.kernels.checks import same_sizes
from symgrad.kernels.grammar import Evaluate, Kernel, Library, Map, Reduction, View
from symgrad.lowering import Step
from symgrad.lowering.open_sizes import OpenSizes
from symgrad.lowering.plan import NUMPY_TRAITS, Action, Change, Commit, Home, Place, Plan, takes_out

_numbers = count(1)


class NumpyBackend:
    """Runs plans with NumPy and SciPy."""

    name = "numpy"
    traits = NUMPY_TRAITS
    checks_lengths = False
    runs_everything = True

    @property
    def substitute(self) -> NumpyBackend:
        """It runs everything itself."""
        return self

    def schedule(
        self, graph: ClosedGraph, steps: Sequence[Step], sizes: OpenSizes
    ) -> Sequence[Step]:
        """Return the steps; those with other backends' routines are evaluated as their ops say."""
        return [self._own(step) for step in steps]

    def turn(self) -> Turn:
        """All calls go through Python."""
        return PythonsTurn()

    def has_kernel(self, step: Step) -> bool:
        """It has one for every step."""
        return True

    def _own(self, step: Step) -> Step:
        if not isinstance(step.kernel, Library) or step.kernel.name in ROUTINES or step.evaluate is None:
            return step
        return replace(step, kernel=Evaluate(step.kernel.name, step.evaluate))

    def compile(
        self, plan: Plan, containers: Sequence[Container], explain: Callable[[], Program] | None = None
    ) -> NumpyProgram:
        """Return the program of a plan."""
        return NumpyProgram(plan, containers)


class NumpyProgram:
    """The program of one plan.

    Attributes
    ----------
    steps_by_line : dict
        The step that each line of the text belongs to.
    """

    llvm = ""

    device = None

    def __init__(self, plan: Plan, containers: Sequence[Container]) -> None:
        writer = _Writer(plan, containers)
        self._text = writer.text()
        self._plan = plan
        self.steps_by_line = writer.steps_by_line
        self._filename = f"<symgrad program {next(_numbers)}>"
        code = compile(self._text, self._filename, "exec")
        namespace = self._namespace = writer.namespace
        self._names = writer.names
        exec(code, namespace)
        self.run: Callable[..., tuple[np.ndarray, ...]] = namespace["run"]
        lines = self._text.splitlines(keepends=True)
        WRITTEN_PROGRAMS[self._filename] = self
        self._texts = linecache.cache  # at the end of Python the module may be gone before its programs
        linecache.cache[self._filename] = (len(self._text), None, lines, self._filename)

    @property
    def source(self) -> str:
        """The program as text; after it, the programs that it calls."""
        return "\n".join([self._text, *[program.source for program in self._inner()]])

    @property
    def memory(self) -> int:
        """The bytes that it keeps for intermediate results, with those of the programs that it has called so far."""
        return self._plan.arena_size + sum(program.memory for program in self._inner())

    def _inner(self) -> list[Program]:
        """Return the programs that steps have made for themselves."""
        evaluators = [step.kernel.evaluate for step in self.steps_by_line.values() if isinstance(step.kernel, Evaluate)]
        return [
            program for evaluate in dict.fromkeys(evaluators) for program in getattr(evaluate, "programs", {}).values()
        ]

    def timed(self) -> PythonStopwatch:
        """Time the lines of the program from now on, until the stopwatch is stopped."""
        return timed_lines(self, self._text, self._filename, self._namespace, self._plan)

    def entry(self, numbers: Sequence[int], as_list: bool, turn: Turn) -> None:
        """Every call goes through Python."""

    def repeat(self, sequences: Sequence[np.ndarray], results: Sequence[np.ndarray], count: int) -> int:
        """Every step goes through Python."""
        return 0

    def operands_in(self, frame: Any, step: Step) -> list[Any]:
        """Return the values of a step's operands in a frame that runs this program; None for what isn't there."""
        names = [self._names.get(variable, "") for variable in step.inputs]
        return [frame.f_locals.get(name, self._namespace.get(name)) for name in names]

    def __del__(self) -> None:
        getattr(self, "_texts", {}).pop(getattr(self, "_filename", ""), None)


class _Writer:
    """Chooses a name for each variable, makes what doesn't change between calls, and writes the lines."""

    def __init__(self, plan: Plan, containers: Sequence[Container]) -> None:
        self.plan = plan
        self.workspace = Workspace()
        self.namespace: dict[str, Any] = {
            "empty": np.empty,
            "call": call,
            "starmap": starmap,
            "consume": deque(maxlen=0).extend,
            "setattr": setattr,
            "copyto": np.copyto,
            "errstate": np.errstate,
            "same_sizes": same_sizes,
            "gemm_calls": partial(gemm_calls, self.workspace),
            "blas_threads": BlasThreads(config.threads),
        }
        self.names: dict[Variable, str] = {}
        self.positions = {shared: number for number, shared in enumerate(plan.shared)}
        self.functions: dict[Kernel, str] = {}
        self.widened: dict[tuple[str, int, str], Callable[..., Any]] = {}
        self.fixed: dict[Variable, np.ndarray] = {}
        self.body: list[tuple[str, Step | None]] = []
        self.steps_by_line: dict[int, Step] = {}
        self.arena = _aligned(plan.arena_size)
        self._name_leaves(containers)
        for action in plan.actions:
            self._write_action(action)
        self._write_end()

    # ---- names ----

    def _name_leaves(self, containers: Sequence[Container]) -> None:
        for index, variable in enumerate(self.plan.graph.inputs):
            self.names[variable] = f"x{index}"
        for index, (shared, container) in enumerate(zip(self.plan.shared, containers, strict=True)):
            self.names[shared] = f"s{index}"
            self.namespace[f"storage{index}"] = container
        for index, constant in enumerate(self.plan.graph.constants()):
            self.names[constant] = f"c{index}"
            self.fixed[constant] = self.namespace[f"c{index}"] = constant.data

    def _new_name(self, variable: Variable) -> str:
        name = f"t{len(self.names)}"
        self.names[variable] = name
        return name

    def _make_fixed(self, variable: Variable, array: np.ndarray) -> str:
        name = self._new_name(variable)
        self.fixed[variable] = self.namespace[name] = array
        return name

    def _function(self, name: str, function: Any) -> str:
        """Enter a function under its name, or a numbered one if that is taken by another."""
        if iskeyword(name):  # and, or, not
            name += "_"
        known = self.namespace.setdefault(name, function)
        if known is function:
            return name
        return self._function(f"{name}_{len(self.namespace)}", function)

    # ---- lines ----

    def _line(self, text: str, step: Step | None = None) -> None:
        self.body.append((text, step))

    def _write_action(self, action: Action) -> None:
        step = action.step
        if isinstance(step.kernel, View):
            self._write_view(step)
            return
        operands = [self.names[variable] for variable in step.inputs]
        if action.comparisons:
            self._line(f"same_sizes({action.comparisons}, {step.name!r}, {', '.join(operands)})", step)
        function = self._kernel_function(step.kernel)
        if isinstance(step.kernel, Evaluate):
            results = ", ".join(self._new_name(output) for output in step.outputs)
            self._line(f"{results}, = {function}({', '.join(operands)})", step)
            return
        function = self._for_halves(function, step)
        (output,), (home,), (place,) = step.outputs, action.homes, action.places
        if home is Home.ARENA and place is not None:
            name = self._make_fixed(output, self._in_arena(output, place))
            self._line(f"{function}({', '.join(operands)}, out={name})", step)
            return
        name = self._new_name(output)
        kind = self.plan.type_of(output)
        if kind.is_static and takes_out(step.kernel):
            operands.append(f"out=empty({kind.shape}, {kind.dtype!r})")
        self._line(f"{name} = {function}({', '.join(operands)})", step)

    def _for_halves(self, function: str, step: Step) -> str:
        """Return the name of a function that computes in float32, where operands or output are floats of 16 bits."""
        (output,) = step.outputs
        dtypes = [getattr(v.type, "dtype", "") for v in (*step.inputs, output)]
        if set(dtypes).isdisjoint(HALVES):
            return function
        key = function, len(step.inputs), dtypes[-1]
        if key not in self.widened:
            self.widened[key] = in_float32(self.namespace[function], *key[1:])
        return self._function(f"{function}_{dtypes[-1]}", self.widened[key])

    def _kernel_function(self, kernel: Kernel) -> str:
        """Return the name under which the program calls a kernel; equal kernels share one."""
        name = self.functions.get(kernel)
        if name is None:
            name = self.functions[kernel] = self._enter_kernel(kernel)
        return name

    def _enter_kernel(self, kernel: Kernel) -> str:
        if isinstance(kernel, Map):
            return self._function(kernel.function.name, kernel.function.numpy)
        if isinstance(kernel, Reduction):
            return self._function(f"reduce_{kernel.function.name}", _Reducer(kernel))
        if isinstance(kernel, Library):
            return self._function(kernel.name, ROUTINES[kernel.name](dict(kernel.attributes), self.workspace))
        if isinstance(kernel, Evaluate):
            return self._function(f"evaluate_{_identifier(kernel.name)}", kernel.evaluate)
        raise TypeError(f"the NumPy backend has no way to run {kernel}")

    def _write_view(self, step: Step) -> None:
        """A view of memory that never moves, at sizes that never change, is made once; others, in each call.

        A reshape of memory that isn't contiguous is a copy, which each call must make anew.
        """
        how = step.kernel.how  # type: ignore[attr-defined]
        (output,) = step.outputs
        source, *numbers = step.inputs
        if source in self.fixed and all(isinstance(number, Constant) for number in numbers):
            arrays = [self.fixed[variable] for variable in step.inputs]
            view = make_view(how, arrays)
            if view.size == 0 or np.may_share_memory(view, arrays[0]):
                self._make_fixed(output, view)
                return
        operands = [self.names[variable] for variable in step.inputs]
        source_kind = self.plan.type_of(step.inputs[0])
        text = view_text(how, operands, source_kind.ndim, self._function)
        self._line(f"{self._new_name(output)} = {text}", step)

    def _in_arena(self, variable: Variable, place: Place) -> np.ndarray:
        kind = self.plan.type_of(variable)
        count = prod(kind.shape)
        if count == 0:
            return np.empty(kind.shape, kind.dtype)
        size = count * kind.numpy_dtype.itemsize
        return self.arena[place.offset : place.offset + size].view(kind.numpy_dtype).reshape(kind.shape)

    def _write_end(self) -> None:
        outputs = []
        for index, (output, copied) in enumerate(
            zip(self.plan.graph.outputs, self.plan.copied_outputs, strict=True)
        ):
            name = self.names[output]
            if copied:
                self._line(f"o{index} = {name}.copy()")
                name = f"o{index}"
            outputs.append(name)
        calls = [self._commit_call(index, commit) for index, commit in enumerate(self.plan.commits)]
        order = [Change.WRITTEN, Change.COPIED, Change.MOVED, Change.SNAPSHOT]
        calls.sort(key=lambda entry: order.index(entry[0]))
        if calls:
            self._line("# One call from here on, so that no interrupt can come between the updates.")
            self._line(f"consume(starmap(call, ({', '.join(text for _, text in calls)},)))")
        self._line(f"return ({', '.join(outputs)}{',' if outputs else ''})")

    def _commit_call(self, index: int, commit: Commit) -> tuple[Change, str]:
        """Return the text of the call that carries out an update, after writing lines that prepare it."""
        target, value = self.names[commit.target], self.names.get(commit.value, "")
        storage = f"storage{self.positions[commit.target]}"
        if commit.change is Change.WRITTEN and commit.action is not None:
            return commit.change, self._written_call(index, commit.action, target)
        if commit.change is Change.COPIED:
            return commit.change, f"(copyto, {target}, {value})"
        if commit.change is Change.SNAPSHOT:
            self._line(f"u{index} = {value}.copy()")
            value = f"u{index}"
        return commit.change, f"(setattr, {storage}, 'value', {value})"

    def _written_call(self, index: int, action: Action, target: str) -> str:
        step = action.step
        operands = [self.names[variable] for variable in step.inputs]
        if isinstance(step.kernel, Map):
            function = self._for_halves(self._kernel_function(step.kernel), step)
            return f"({function}, {', '.join(operands)}, {target})"
        self._line(f"u{index} = gemm_calls({', '.join(operands)})", step)
        return f"*u{index}"

    def _uses_blas(self) -> bool:
        """Whether a step may be a product of matrices."""
        actions = [*self.plan.actions, *[commit.action for commit in self.plan.commits if commit.action]]
        return any(isinstance(action.step.kernel, Library) for action in actions)

    # ---- text ----

    def text(self) -> str:
        """Return the program's text; each line of the user's program stands above the lines that it became."""
        arguments = ", ".join([self.names[v] for v in (*self.plan.graph.inputs, *self.plan.shared)])
        threads = ", blas_threads" if self._uses_blas() else ""
        lines = [f"def run({arguments}):", f"    with errstate(all='ignore'){threads}:"]
        place = None
        for text, step in self.body:
            if step is not None and step.source is not None and step.source != place:
                place = step.source
                lines.append(f"        # {place}")
            lines.append(f"        {text}")
            if step is not None:
                self.steps_by_line[len(lines)] = step
        return "\n".join(lines) + "\n"


def _aligned(size: int) -> np.ndarray:
    """Return `size` bytes that start on a cache line."""
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size]


class _Reducer:
    """``ufunc.reduce`` with its axes and dtype; made once, called with operand and out."""

    __slots__ = ("axes", "dtype", "keepdims", "reduce")

    def __init__(self, kernel: Reduction) -> None:
        self.reduce: Any = kernel.function.numpy.reduce  # type: ignore[attr-defined]
        self.axes = kernel.axes
        self.keepdims = kernel.keepdims
        self.dtype = None if kernel.dtype == "bool" else widened(kernel.dtype)

    def __call__(self, x: np.ndarray, out: np.ndarray | None = None) -> Any:
        return self.reduce(x, self.axes, self.dtype, out, self.keepdims)


def _identifier(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)
