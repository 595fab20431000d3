"""How a program is made: of a recipe from the cache, or by fusing steps, writing their kernels and compiling these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from symgrad.backends.base import UnsupportedError
from symgrad.backends.native.description import IndescribableError, Ingredients, ingredients
from symgrad.backends.native.entries import prepare
from symgrad.backends.native.llvm.background import Background
from symgrad.backends.native.llvm.jit import code_key, load, load_kept
from symgrad.backends.native.llvm.library import imported
from symgrad.backends.native.recipes import Recipe, find_recipe, keep_recipe, keep_refusal
from symgrad.backends.native.traits import is_native
from symgrad.config import config
from symgrad.lowering.parts import in_parts

if TYPE_CHECKING:
    from symgrad.backends.layouts import Layouts
    from symgrad.backends.native.kernel import NativeKernel
    from symgrad.graph.closed import ClosedGraph
    from symgrad.lowering.open_sizes import OpenSizes
    from symgrad.lowering.plan import Plan
    from symgrad.lowering.steps import Step

MODULE_LINES = 1500
"""Kernels are compiled together until they have so many lines."""


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
    """

    graph: ClosedGraph
    plain: Sequence[Step]
    steps: Sequence[Step]
    fusion: bool = True
    made_from: Ingredients | None = None
    found: Recipe | None = None

    def finish(self, plan: Plan, layouts: Layouts) -> tuple[Recipe, Mapping[str, int]]:
        """Return the recipe, and the addresses of its kernels; enter the plan's views into `layouts`.

        Raises
        ------
        UnsupportedError
            If a step has no native kernel.
        """
        found, made_from = self.found, self.made_from
        self.made_from = None
        try:
            layouts.add_views([action.step for action in plan.actions])
            if found is not None:
                addresses = _kept(found)
                if addresses is not None:
                    return found, addresses
            self.recall(plan)
            recipe, addresses = _compiled(self.steps, plan, layouts)
        except UnsupportedError as error:
            _refuse(made_from, error)
            raise
        if made_from is not None:
            keep_recipe(made_from, recipe)
        return recipe, addresses

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
        self.recall(plan)
        kernels: dict[str, NativeKernel] = {}

        def written(kernel: NativeKernel) -> None:
            kernels.setdefault(kernel.name, kernel)

        _selection().selected(plan, layouts, written)
        return str(_selection().text_of(kernels.values()))


def _kept(recipe: Recipe) -> dict[str, int] | None:
    """Return the addresses of a recipe's kernels; None if the cache hasn't all of them."""
    addresses: dict[str, int] = {}
    for code in recipe.codes:
        addresses |= load_kept(code) or {}
    return addresses if addresses.keys() >= recipe.kernels.keys() else None


def _compiled(steps: Sequence[Step], plan: Plan, layouts: Layouts) -> tuple[Recipe, dict[str, int]]:
    """Choose, write and compile the kernels: some are compiled while the next ones are being written."""
    with Background() as background:
        modules = _Modules(background)
        calls, copies = _selection().selected(plan, layouts, modules.add)
        modules.end()
        found = background.results()
    addresses = {name: address for _, each in found for name, address in each.items()}
    return Recipe(steps, calls, copies, [code for code, _ in found]), addresses


class _Modules:
    """Puts kernels together into modules of some size, for LLVM takes some time for each, and compiles these."""

    def __init__(self, background: Background) -> None:
        self.background = background
        self.known: set[str] = set()
        self.kernels: list[NativeKernel] = []
        self.lines = 0

    def add(self, kernel: NativeKernel) -> None:
        """Add a kernel, unless it is there."""
        if kernel.name in self.known:
            return
        self.known.add(kernel.name)
        self.kernels.append(kernel)
        self.lines += sum(len(function.lines) for function in kernel.functions or ())
        if self.lines >= MODULE_LINES:
            self.end()

    def end(self) -> None:
        """Compile what there is."""
        if self.kernels:
            names = [kernel.name for kernel in self.kernels]
            self.background.add(partial(_load, _selection().text_of(self.kernels), names))
        self.kernels, self.lines = [], 0


def _load(text: str, names: Sequence[str]) -> tuple[str, Mapping[str, int]]:
    """Return under which key a module's code is kept, and the addresses of its functions."""
    return code_key(text), load(text, names)


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
        prepare()
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
    """Note for the next time that there is no such program, and which of its steps can be native for themselves."""
    if made_from is not None:
        keep_refusal(made_from, error, [has_kernel(step) for step in made_from.steps])


def has_kernel(step: Step) -> bool:
    """Whether a step may have a native kernel, once the sizes are known."""
    known = is_native(step)
    return bool(_selection().has_kernel(step)) if known is None else known
