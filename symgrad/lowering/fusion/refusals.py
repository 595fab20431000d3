"""What doesn't fit into one kernel is found out once: long graphs repeat themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from symgrad.graph.variables import Variable
from symgrad.lowering.fusion.axes import UnfusableError
from symgrad.lowering.fusion.building import Facts
from symgrad.lowering.fusion.nest import LevelError
from symgrad.lowering.steps import Step

LARGEST_KNOWN = 64
"""Elements of a value that is compared; a larger one is equal to itself only."""


class Refusals:
    """The groups of steps that were found not to be one loop nest, whatever their variables are called.

    Parameters
    ----------
    facts : Facts
        What is known about variables.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._kinds: dict[Any, int] = {}
        self._kernels: dict[Step, int] = {}
        self._variables: dict[Variable, int] = {}
        self._refused: dict[Any, tuple[str, int | None, bool]] = {}

    def forget_variables(self) -> None:
        """Look at variables anew: some became something else."""
        self._variables.clear()

    def key(self, steps: Sequence[Step], outputs: Iterable[Variable]) -> Any:
        """Return what is equal for groups that fit, or don't fit, alike."""
        numbers: dict[Variable, int] = {}
        found: list[int] = []
        for step in steps:
            found.append(self._kernel(step))
            self._mention((*step.inputs, *step.outputs), numbers, found)
        self._mention(outputs, numbers, found)
        return tuple(found)

    def check(self, key: Any, steps: Sequence[Step]) -> None:
        """Raise `LevelError` if such steps were refused."""
        refused = self._refused.get(key)
        if refused is not None:
            text, position, alone = refused
            raise LevelError(text, None if position is None else steps[position], alone)

    def note(self, key: Any, steps: Sequence[Step], error: UnfusableError) -> None:
        """Remember that steps were refused."""
        blamed = getattr(error, "step", None)
        if blamed is None or blamed in steps:
            position = None if blamed is None else steps.index(blamed)
            self._refused[key] = str(error), position, getattr(error, "alone", False)

    def _mention(self, variables: Iterable[Variable], numbers: dict[Variable, int], found: list[int]) -> None:
        """Add the numbers of variables; of a new one also what it is, and through which views it is read."""
        for variable in variables:
            known = numbers.get(variable)
            while known is None:
                numbers[variable] = len(numbers)
                found += (-1, self._variable(variable))
                view = self.facts.views.get(variable)
                if view is None:
                    break
                found.append(self._kernel(view))
                found += [self._variable(size) for size in view.inputs[1:]]
                variable = view.inputs[0]
                known = numbers.get(variable)
            found.append(len(numbers) if known is None else known)

    def _kernel(self, step: Step) -> int:
        number = self._kernels.get(step)
        if number is None:
            number = self._kernels[step] = self._kinds.setdefault(step.kernel, len(self._kinds))
        return number

    def _variable(self, variable: Variable) -> int:
        number = self._variables.get(variable)
        if number is None:
            facts = self.facts
            known: Any = facts.known(variable)
            if known is not None:
                known = known.tobytes() if known.size <= LARGEST_KNOWN else variable
            is_opaque = variable in facts.opaque
            kind = (facts.types[variable].type, facts.dims.get(variable), known, facts.strides.get(variable), is_opaque)
            number = self._variables[variable] = self._kinds.setdefault(kind, len(self._kinds))
        return number
