"""The native backend: kernels are chosen and compiled, and the plan becomes records that one native call runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symgrad.backends.base import Backend, Program, UnsupportedError
from symgrad.backends.native.calls import Call
from symgrad.backends.native.copies import copy_kernel
from symgrad.backends.native.kernel import NativeKernel
from symgrad.backends.native.layouts import Layouts
from symgrad.backends.native.llvm.jit import load
from symgrad.backends.native.llvm.text import module_text
from symgrad.backends.native.objects import is_supported
from symgrad.backends.native.program import NativeProgram
from symgrad.backends.native.selection import calls_of, fused_steps, has_kernel, in_place, may_fail
from symgrad.backends.native.table import Table
from symgrad.config import config
from symgrad.graph.closed import ClosedGraph
from symgrad.graph.variables import Container, Variable
from symgrad.kernels.grammar import Evaluate, Kernel, View
from symgrad.lowering import Step
from symgrad.lowering.open_sizes import OpenSizes
from symgrad.lowering.plan import Change, Plan, Traits


def _takes_out(kernel: Kernel) -> bool:
    return not isinstance(kernel, Evaluate)


class NativeBackend:
    """Runs plans as machine code."""

    name = "native"
    traits = Traits(_takes_out, in_place, may_fail, is_one_call=True)
    checks_lengths = True

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
        return fused_steps(graph, steps, sizes)

    def has_kernel(self, step: Step) -> bool:
        """Whether a step isn't one of those that only its op's own NumPy meaning can do."""
        return has_kernel(step)

    def compile(self, plan: Plan, containers: Sequence[Container], explain: Callable[[], Program]) -> NativeProgram:
        """Choose and compile the kernels, and lay out the records."""
        layouts = Layouts(plan.types)
        sizes = plan.sizes or OpenSizes(plan.types)
        calls: dict[Step, Sequence[Call]] = {}
        for action in plan.actions:
            if isinstance(action.step.kernel, View):
                layouts.add_view(action.step)
            else:
                calls[action.step] = calls_of(action.step, layouts, sizes)
        copies = _copies(plan, layouts)
        used = [*[call.kernel for each in calls.values() for call in each], *copies.values()]
        kernels = {kernel.name: kernel for kernel in used}
        functions = [function for kernel in kernels.values() for function in kernel.functions]
        symbols: dict[str, int] = {}
        text = module_text(functions)
        addresses = load(text, list(kernels), symbols) if kernels else {}
        table = Table(plan, layouts, calls, copies, addresses, containers, config.threads)
        return NativeProgram(plan, table, text, containers, explain)


def _copies(plan: Plan, layouts: Layouts) -> dict[Variable, NativeKernel]:
    """Return a copying kernel for everything that leaves the plan and isn't contiguous."""
    leaving = [*plan.graph.outputs, *[commit.value for commit in plan.commits if commit.change is not Change.WRITTEN]]
    found = {}
    for variable in leaving:
        location = layouts.of(variable)
        if not location.is_contiguous:
            found[variable] = copy_kernel(location, plan.types[variable].type.dtype)  # type: ignore[attr-defined]
    return found
