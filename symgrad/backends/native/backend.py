"""The native backend: kernels are chosen and compiled, and the plan becomes records that one native call runs.

What writes kernels is imported when the first kernel has to be written; programs that the cache knows need none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symgrad.backends.base import Backend, Program, Turn, UnsupportedError
from symgrad.backends.layouts import Layouts
from symgrad.backends.native.making import has_kernel, making_of, schedule
from symgrad.backends.native.objects import is_supported
from symgrad.backends.native.program import NativeProgram
from symgrad.backends.native.table import Table
from symgrad.backends.native.traits import NATIVE_TRAITS
from symgrad.backends.native.turns import NativeTurn
from symgrad.config import config
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Container
from symgrad.lowering import Step
from symgrad.lowering.open_sizes import OpenSizes
from symgrad.lowering.plan import Plan

MOST_STEPS = 8000
"""Graphs with more steps run through NumPy: machine code for them would take longer than most calls can win back."""


class NativeBackend:
    """Runs plans as machine code."""

    name = "native"
    traits = NATIVE_TRAITS
    checks_lengths = True
    runs_everything = False

    @property
    def substitute(self) -> Backend:
        """NumPy, which runs everything and explains what is wrong."""
        from symgrad.backends.numpy import NumpyBackend

        return NumpyBackend()

    def schedule(
        self, graph: ClosedGraph, steps: Sequence[Step], sizes: OpenSizes
    ) -> Sequence[Step]:
        """Return the steps, fused; raise `UnsupportedError` if one has no native kernel."""
        if not is_supported():
            raise UnsupportedError("this Python keeps its objects in another way")
        if not all(isinstance(operand.type, TensorType) for operand in sizes.types.values()):
            raise UnsupportedError("only arrays are known to machine code")
        if len(steps) > MOST_STEPS:
            raise UnsupportedError("compiling so many kernels would take too long")
        return schedule(graph, steps, sizes)

    def turn(self) -> Turn:
        """Return a word that native code looks at."""
        return NativeTurn()

    def has_kernel(self, step: Step) -> bool:
        """Whether a step isn't one of those that only its op's own NumPy meaning can do."""
        return has_kernel(step)

    def compile(self, plan: Plan, containers: Sequence[Container], explain: Callable[[], Program]) -> NativeProgram:
        """Choose and compile the kernels, and lay out the records."""
        layouts = Layouts(plan.types)
        making = making_of(plan)
        recipe, addresses = making.finish(plan, layouts)
        table = Table(plan, layouts, recipe.calls, recipe.copies, addresses, containers, config.threads)
        return NativeProgram(plan, table, making, containers, explain)
