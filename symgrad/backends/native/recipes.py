"""How programs are made of kernels, as the cache keeps it: a later process needs neither fusion nor kernels' texts.

A recipe says which steps are fused, which kernels do each step on which buffers, and under which keys their machine
code is kept. It holds numbers and names only, as JSON. Steps are taken from the lowered graph by their positions, so
they lead to the user's lines as ever.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symgrad.backends.base import UnsupportedError
from symgrad.backends.code_cache import configured_cache
from symgrad.backends.native.calls import Call, Temporary
from symgrad.backends.native.description import Ingredients
from symgrad.backends.native.kernel import NativeKernel
from symgrad.backends.native.traits import in_place, remember_in_place, remember_native
from symgrad.graph.variables import Variable
from symgrad.lowering.steps import Fused, Step

Calls = Mapping[Step, Sequence[Call]]
Copies = Mapping[Variable, NativeKernel]


@dataclass(eq=False)
class Recipe:
    """A program without its memory.

    Attributes
    ----------
    steps : sequence of Step
        What runs, fused.
    calls : mapping
        The kernels of each step that isn't a view.
    copies : mapping
        The kernels that copy variables which aren't contiguous to where they are handed out.
    codes : sequence of str
        What the kernels' machine code is kept under, once it has been compiled.
    """

    steps: Sequence[Step]
    calls: Calls
    copies: Copies
    codes: Sequence[str] = ()

    @property
    def kernels(self) -> dict[str, NativeKernel]:
        """All kernels, by name."""
        used = [*[call.kernel for each in self.calls.values() for call in each], *self.copies.values()]
        return {kernel.name: kernel for kernel in used}


def find_recipe(made_from: Ingredients) -> Recipe | None:
    """Return the recipe of a program from the cache, or None if there is none.

    Raises
    ------
    UnsupportedError
        If it is known that there can't be any.
    """
    packed = configured_cache().get(made_from.key)
    if packed is None:
        return None
    try:
        words = json.loads(packed)
        reason = words.get("unsupported")
        if reason is None:
            return _Reader(words, made_from).recipe()
        for step, native in zip(made_from.steps, words["native"], strict=True):
            remember_native(step, native)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None  # it isn't what this version of symgrad writes: it is made, and written, again
    raise UnsupportedError(reason)


def keep_recipe(made_from: Ingredients, recipe: Recipe) -> None:
    """Write a recipe to the cache."""
    known = set(made_from.steps)
    fused = [inner for step in recipe.steps if isinstance(step.kernel, Fused) for inner in step.kernel.steps]
    single = [step for step in recipe.steps if not isinstance(step.kernel, Fused)]
    if all(step in known for step in (*fused, *single)):
        words = _Writer(made_from, recipe).words()
        configured_cache().put(made_from.key, json.dumps(words, separators=(",", ":")).encode(), "a program")


def keep_refusal(made_from: Ingredients, error: UnsupportedError, native: Sequence[bool]) -> None:
    """Note in the cache that there is no such program, and which of its steps may be native for themselves."""
    words = {"unsupported": str(error), "native": native}
    configured_cache().put(made_from.key, json.dumps(words).encode(), "no program")


class _Writer:
    def __init__(self, made_from: Ingredients, recipe: Recipe) -> None:
        self.recipe = recipe
        self.numbers = made_from.numbers
        self.positions = {step: number for number, step in enumerate(made_from.steps)}
        self.kernels = {name: number for number, name in enumerate(recipe.kernels)}

    def words(self) -> dict[str, Any]:
        """Return the recipe as JSON has it."""
        recipe = self.recipe
        return {
            "codes": list(recipe.codes),
            "kernels": [_kernel_words(kernel) for kernel in recipe.kernels.values()],
            "steps": [self._step(step) for step in recipe.steps],
            "calls": [self._calls(recipe.calls[step]) if step in recipe.calls else None for step in recipe.steps],
            "copies": [[self.numbers[source], self.kernels[kernel.name]] for source, kernel in recipe.copies.items()],
        }  # fmt: skip

    def _step(self, step: Step) -> Any:
        kernel = step.kernel
        if not isinstance(kernel, Fused):
            return self.positions[step]
        inner = [self.positions[part] for part in kernel.steps]
        operands, results = self._variables(step.inputs), self._variables(step.outputs)
        return [step.name, inner, operands, results, kernel.strides, kernel.may_fail, in_place(step)]

    def _variables(self, variables: Iterable[Variable]) -> list[int]:
        return [self.numbers[variable] for variable in variables]

    def _calls(self, calls: Sequence[Call]) -> list[Any]:
        """Return the sizes of a step's temporaries, and its calls; buffer -1 is the first temporary."""
        used = dict.fromkeys(b for call in calls for b in call.buffers if isinstance(b, Temporary))
        places = {temporary: -1 - number for number, temporary in enumerate(used)}
        rows = [
            [self.kernels[call.kernel.name],
             [places[b] if isinstance(b, Temporary) else self.numbers[b] for b in call.buffers],
             call.units, list(call.sizes)]
            for call in calls
        ]  # fmt: skip
        return [[temporary.bytes for temporary in used], rows]


def _kernel_words(kernel: NativeKernel) -> list[Any]:
    return [kernel.name, kernel.units, kernel.unit_block, kernel.scratch, kernel.flops, kernel.bytes,
            kernel.may_fail]  # fmt: skip


class _Reader:
    def __init__(self, words: dict[str, Any], made_from: Ingredients) -> None:
        self.words = words
        self.known = made_from.steps
        self.variables = made_from.variables
        self.kernels = [NativeKernel(name, None, *rest) for name, *rest in words["kernels"]]

    def recipe(self) -> Recipe:
        """Return what `_Writer` wrote."""
        words = self.words
        steps = [self._step(step) for step in words["steps"]]
        calls = {step: self._calls(step, found) for step, found in zip(steps, words["calls"], strict=True) if found}
        copies = {self.variables[variable]: self.kernels[kernel] for variable, kernel in words["copies"]}
        return Recipe(steps, calls, copies, words["codes"])

    def _step(self, found: Any) -> Step:
        if isinstance(found, int):
            return self.known[found]
        name, inner, inputs, outputs, strides, may_fail, pairs = found
        parts = tuple([self.known[number] for number in inner])
        steps = tuple([None if each is None else tuple(each) for each in strides])
        operands, results = [tuple([self.variables[number] for number in group]) for group in (inputs, outputs)]
        step = Step(Fused(parts, steps, may_fail), name, operands, results, parts[-1].source)
        remember_in_place(step, pairs)
        return step

    def _calls(self, step: Step, found: Any) -> list[Call]:
        sizes, rows = found
        temporaries = [Temporary(size) for size in sizes]
        return [
            Call(self.kernels[kernel], [temporaries[-1 - b] if b < 0 else self.variables[b] for b in buffers],
                 units, given, step)
            for kernel, buffers, units, given in rows
        ]  # fmt: skip

