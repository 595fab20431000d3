"""How a program is made: of a recipe from the cache, or by fusing steps, writing their kernels and compiling these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from symgrad.backends.base import UnsupportedError
from symgrad.backends.native.description import IndescribableError, Ingredients, ingredients
from symgrad.backends.native.llvm.jit import code_key, load, load_kept
from symgrad.backends.native.llvm.library import imported
from symgrad.backends.native.recipes import Recipe, find_recipe, keep_recipe, keep_refusal
from symgrad.config import config
from symgrad.lowering.parts import in_parts

if TYPE_CHECKING:
    from symgrad.backends.native.layouts import Layouts
    from symgrad.graph.closed import ClosedGraph
    from symgrad.lowering.open_sizes import OpenSizes
    from symgrad.lowering.plan import Plan
    from symgrad.lowering.steps import Step


@dataclass(eq=False)
class Making:
    """One program while it is made, and afterwards for those who want to read its kernels.

    Attributes
    ----------
    graph : ClosedGraph
        What is computed.
    plain : sequence of Step
        Its kernels, large totals in parts.
    steps : sequence of Step
        The same, fused.
    fusion : bool
        Whether they were to be fused.
    made_from : Ingredients or None
        What the cache knows the program by, as long as it may have to be put there.
    found : Recipe or None
        What the cache had.
    text : str
        The LLVM text of the kernels, once it has been written.
    """

    graph: ClosedGraph
    plain: Sequence[Step]
    steps: Sequence[Step]
    fusion: bool = True
    made_from: Ingredients | None = None
    found: Recipe | None = None
    text: str = ""

    def finish(self, plan: Plan, layouts: Layouts) -> tuple[Recipe, Mapping[str, int]]:
        """Return the recipe, and the addresses of its kernels.

        Raises
        ------
        UnsupportedError
            If a step has no native kernel.
        """
        found, made_from = self.found, self.made_from
        self.made_from = None
        if found is not None:
            addresses = load_kept(found.code, list(found.kernels)) if found.kernels else {}
            if addresses is not None:
                return found, addresses
        try:
            recipe = self._written(plan, layouts)
        except UnsupportedError as error:
            _refuse(made_from, error)
            raise
        addresses = load(self.text, list(recipe.kernels)) if recipe.kernels else {}
        if made_from is not None:
            keep_recipe(made_from, recipe)
        return recipe, addresses

    def _written(self, plan: Plan, layouts: Layouts) -> Recipe:
        """Choose the kernels, and write them."""
        self.recall(plan)
        calls, copies = _selection().selected(plan, layouts)
        recipe = Recipe(self.steps, calls, copies)
        self.text = _selection().text_of(recipe.kernels.values())
        recipe.code = code_key(self.text)
        return recipe

    # ---- for people ----

    def recall(self, plan: Plan) -> None:
        """Fuse once more if the steps are from the cache; then each can be asked for its kernel as text."""
        if self.found is not None:
            assert plan.sizes is not None
            fused = _selection().fused_steps(self.graph, self.plain, plan.sizes, self.fusion)
            _selection().recall(self.steps, fused)
            self.found = None

    def llvm(self, plan: Plan, layouts: Layouts) -> str:
        """Return the LLVM text of the kernels."""
        if not self.text:
            self._written(plan, layouts)
        return self.text


def _selection() -> Any:
    """Return the module that chooses kernels; it imports all that writes them."""
    return imported("symgrad.backends.native.selection")


_scheduled: WeakKeyDictionary[OpenSizes, Making] = WeakKeyDictionary()
"""What is being made, between its schedule and its plan."""


def schedule(graph: ClosedGraph, steps: Sequence[Step], sizes: OpenSizes) -> Sequence[Step]:
    """Return the steps, fused; raise `UnsupportedError` if one can't have a native kernel."""
    fusion = bool(config.fusion)
    if fusion and not sizes.dims:
        steps = in_parts(steps, sizes.types)  # type: ignore[arg-type]
    try:
        made_from = ingredients(graph, steps, sizes)
    except IndescribableError:
        made_from = None
    found = None if made_from is None else find_recipe(made_from)
    if found is not None:
        making = Making(graph, steps, found.steps, fusion, made_from, found)
    else:
        try:
            fused = _selection().fused_steps(graph, steps, sizes, fusion)
            making = Making(graph, steps, fused, fusion, made_from)
        except UnsupportedError as error:
            _refuse(made_from, error)
            raise
    _scheduled[sizes] = making
    return making.steps


def making_of(plan: Plan) -> Making:
    """Return what a plan is a part of."""
    found = None if plan.sizes is None else _scheduled.pop(plan.sizes, None)
    if found is not None:
        return found
    steps = [action.step for action in plan.actions]
    return Making(plan.graph, steps, steps)


def _refuse(made_from: Ingredients | None, error: UnsupportedError) -> None:
    """Note for the next time that there is no such program."""
    if made_from is not None:
        keep_refusal(made_from, error)
