"""Native programs as text for people: the kernels in order, what they read and write, and the user's lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from symgrad.backends.native.calls import Label, Temporary
from symgrad.backends.native.table import Table
from symgrad.backends.native.timing import readable_name
from symgrad.backends.timing import lines_of
from symgrad.graph.variables import Constant, Variable
from symgrad.kernels.grammar import Branch, View
from symgrad.kernels.ir.printer import print_kernel
from symgrad.lowering import Step
from symgrad.lowering.fusion import kernel_ir
from symgrad.lowering.open_sizes import OpenSizes
from symgrad.lowering.plan import Action, Home
from symgrad.lowering.steps import Bound, Fused

LOCAL_NAME = re.compile(r"[a-z]+\d+")
"""Names that a kernel may have given to its own values."""


def listing(table: Table) -> str:
    """Return the text of a program.

    Each kernel stands on a line, under the user's lines that it came from; fused kernels are printed whole, as kernel
    IR. The first line tells how much memory the program keeps.
    """
    return "\n".join([*_Writer(table).lines(), ""])


class _Writer:
    """Names variables as they appear, and writes the lines."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.plan = table.plan
        self.names: dict[Variable, str] = {}
        self.taken: Counter[str] = Counter()
        for variable in (*self.plan.graph.inputs, *self.plan.shared):
            self._name(variable)
        self.labels: dict[Step, list[tuple[int, Label]]] = {}
        for number, label in enumerate(table.labels):
            if label.step is not None:
                self.labels.setdefault(label.step, []).append((number, label))

    def lines(self) -> Iterator[str]:
        """Return the lines of the text."""
        table = self.table
        count = sum(label.kernel is not None for label in table.labels)
        threads = f"up to {table.threads} threads" if table.threads > 1 else "1 thread"
        yield f"# native: {_counted(count, 'kernel')}, {threads}, {size_text(table.memory)} of memory" + self._parts()
        leaves = (*self.plan.graph.inputs, *self.plan.shared)
        yield f"function({', '.join(map(self._typed, leaves))})"
        place = None
        for action in self.plan.actions:
            source = lines_of(action.step)
            if source and source != place:
                yield ""
                yield from (f"# {line}" for line in source)
                place = source
            yield from self._action(action)
        yield ""
        yield from (self._copy(label) for label in table.labels if label.step is None)
        yield f"return {', '.join(self._name(output) for output in self.plan.graph.outputs)}".rstrip()

    def _parts(self) -> str:
        return f" (arena {size_text(self.plan.arena_size)}, scratch {size_text(self.table.scratch_stride)} a thread)"

    def _action(self, action: Action) -> Iterator[str]:
        step = action.step
        outputs = ", ".join(map(self._typed, step.outputs))
        if isinstance(step.kernel, View):
            operands = ", ".join(map(self._name, step.inputs))
            yield f"{outputs} = {step.name}({operands})   # the same memory"
            return
        homes = ", ".join(self._home(action, number) for number in range(len(step.outputs)))
        if isinstance(step.kernel, Bound):
            yield f"{outputs} = {step.name}({', '.join(map(self._name, step.inputs))})   # {homes}"
            yield from self._bodies(step.kernel)
            return
        for number, label in self.labels.get(step, ()):
            operands = ", ".join(self._operand(buffer) for buffer in label.operands if buffer not in step.outputs)
            results = [self._typed(output) for output in step.outputs if output in label.operands]
            written = ", ".join(results) or "temporary"
            units = _counted(self.table.units_of(number), "unit")
            yield f"{written} = {readable_name(label)}({operands})   # {homes}; {units}"
        if isinstance(step.kernel, Fused):
            yield from (f"    {line}" for line in self._kernel(step).splitlines())

    def _bodies(self, bound: Bound) -> Iterator[str]:
        """Return the text of what runs inside a loop or branch."""
        rounds = _counted(bound.rounds, "round")
        titles = ["if true", "if false"] if isinstance(bound.kernel, Branch) else [f"{rounds} of"]
        for title, program in zip(titles, bound.programs, strict=True):
            yield f"    {title}:"
            yield from (f"        {line}".rstrip() for line in program.source.splitlines())

    def _kernel(self, step: Step) -> str:
        """Return a fused kernel as text, its buffers under the names that they have here."""
        sizes = self.plan.sizes or OpenSizes(self.plan.types)
        kernel = kernel_ir(step, sizes.types, sizes.dims, step in self.plan.overwriting_steps())
        variables = (*step.inputs, *step.outputs)
        names = {buffer.name: self._name(variable) for buffer, variable in zip(kernel.buffers, variables, strict=False)}

        def renamed(match: re.Match[str]) -> str:
            name = names.get(match[0], match[0])
            return name if name.isidentifier() and not LOCAL_NAME.fullmatch(name) else match[0]

        return re.sub(r"\w+", renamed, print_kernel(kernel))

    def _home(self, action: Action, number: int) -> str:
        home, place = action.homes[number], action.places[number]
        if home is Home.STORAGE:
            target = action.targets[number]
            assert target is not None
            return f"in place of {self._name(target)}"
        if place is None:
            return "handed out" if action.step.outputs[number] in self.plan.graph.outputs else "memory of its own"
        return f"arena at {place.offset}"

    def _copy(self, label: Label) -> str:
        """A copy of a result to where the caller gets it, or to where it is kept."""
        source, *target = [self._operand(buffer) for buffer in label.operands]
        is_update = label.kernel is None and target
        return f"{target[0]} <- {source}   # update" if is_update else f"copy {source}"

    # ---- names ----

    def _operand(self, buffer: Variable | Temporary) -> str:
        return f"{size_text(buffer.bytes)} of scratch" if isinstance(buffer, Temporary) else self._name(buffer)

    def _typed(self, variable: Variable) -> str:
        kind: Any = self.plan.types[variable].type
        return f"{self._name(variable)}: {kind.dtype}[{', '.join(map(str, kind.shape))}]"

    def _name(self, variable: Variable) -> str:
        if isinstance(variable, Constant):
            return str(variable.data) if variable.data.size == 1 else f"constant {variable.data.shape}"
        if variable not in self.names:
            letter = "x" if variable in self.plan.graph.inputs else "w" if variable in self.plan.shared else "t"
            wanted = variable.name or f"{letter}_{self.taken[letter]}"
            self.taken[letter] += not variable.name
            self.taken[wanted] += 1
            self.names[variable] = wanted if self.taken[wanted] == 1 else f"{wanted}_{self.taken[wanted]}"
        return self.names[variable]


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def size_text(count: float) -> str:
    """Return a number of bytes as text.

    Examples
    --------
    >>> size_text(640), size_text(2_500_000)
    ('640 bytes', '2.5 MB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} bytes"
