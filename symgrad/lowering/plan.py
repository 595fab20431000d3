"""What a plan is: in which order kernels run, where each result lives, and what is updated in place.

Every result has one of four homes: a part of the arena, whose place is fixed for all calls (`Home.ARENA`); memory that
each call allocates anew, for what the caller keeps and for sizes that only the call knows (`Home.FRESH`); the memory of
another variable, seen otherwise (`Home.VIEW`); or the storage of a shared variable, for updates in place
(`Home.STORAGE`).

`symgrad.compile.planner` makes plans, backends turn them into programs.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symgrad.graph.closed import ClosedGraph
from symgrad.graph.op import Operand
from symgrad.graph.variables import SharedVariable, Variable
from symgrad.kernels.checks import Comparisons
from symgrad.kernels.grammar import Evaluate, Kernel, Library, Map
from symgrad.lowering.open_sizes import OpenSizes
from symgrad.lowering.steps import Step


class Home(enum.Enum):
    """Where a result lives."""

    ARENA = "arena"
    FRESH = "fresh"
    VIEW = "view"
    STORAGE = "storage"


@dataclass(frozen=True)
class Place:
    """A part of the arena, in bytes."""

    offset: int
    size: int


@dataclass(frozen=True, eq=False)
class Action:
    """One kernel, planned.

    Attributes
    ----------
    step : Step
        The kernel and its variables.
    homes : tuple of Home
        Of each output.
    places : tuple of (Place or None)
        Of each output, in the arena.
    comparisons : Comparisons
        What of the operands' sizes only the call can compare.
    targets : tuple of (SharedVariable or None)
        Of each output whose home is storage, the shared variable; empty if none is.
    """

    step: Step
    homes: tuple[Home, ...]
    places: tuple[Place | None, ...]
    comparisons: Comparisons = ()
    targets: tuple[SharedVariable | None, ...] = ()


class Change(enum.Enum):
    """How a shared variable gets its new value."""

    WRITTEN = "written"
    """A kernel writes it into the storage."""
    COPIED = "copied"
    """It is copied into the storage."""
    MOVED = "moved"
    """Its array, which nobody else holds, becomes the storage."""
    SNAPSHOT = "snapshot"
    """It is somebody's memory: a copy, taken before anything changes, becomes the storage."""


@dataclass(frozen=True, eq=False)
class Commit:
    """The update of one shared variable: the last thing that a call does.

    Attributes
    ----------
    target : SharedVariable
        What is updated.
    value : Variable
        Its new value.
    change : Change
        How.
    action : Action or None
        The kernel that writes into the storage, for `Change.WRITTEN`; None if it is one of the plan's own actions.
    """

    target: SharedVariable
    value: Variable
    change: Change
    action: Action | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything a backend needs to write a program.

    Attributes
    ----------
    graph : ClosedGraph
        What is computed.
    types : mapping
        Type and known value of each variable, bound to sizes.
    shared : tuple of SharedVariable
        The shared variables, in the order in which programs get them.
    actions : tuple of Action
        The kernels, in order.
    commits : tuple of Commit
        The updates.
    copied_outputs : tuple of bool
        Whether each output is handed out as a copy.
    arena_size : int
        Bytes for all results that live within a call.
    sizes : OpenSizes or None
        Which sizes its kernels leave open.
    """

    graph: ClosedGraph
    types: Mapping[Variable, Operand]
    shared: tuple[SharedVariable, ...]
    actions: tuple[Action, ...]
    commits: tuple[Commit, ...]
    copied_outputs: tuple[bool, ...]
    arena_size: int
    sizes: OpenSizes | None = None

    def type_of(self, variable: Variable) -> Any:
        """Return the type of a variable, with all sizes that binding knows."""
        return self.types[variable].type

    def overwriting_steps(self) -> frozenset[Step]:
        """Return the steps whose first result takes over the memory of their first operand."""
        places: dict[Any, Any] = {shared: shared for shared in self.shared}
        found = []
        for action in self.actions:
            for number, (output, home) in enumerate(zip(action.step.outputs, action.homes, strict=True)):
                places[output] = action.targets[number] if home is Home.STORAGE else action.places[number]
            if action.step.inputs and action.step.outputs:
                own, read = [places.get(v) for v in (action.step.outputs[0], action.step.inputs[0])]
                found += [action.step] if own is not None and own == read else []
        return frozenset(found)


def _never(kernel: Kernel) -> bool:
    return False


@dataclass(frozen=True)
class Traits:
    """What a plan has to know about a backend's kernels.

    Attributes
    ----------
    takes_out : callable
        ``takes_out(kernel)``: whether a kernel writes into memory that it is given.
    in_place : callable
        ``in_place(step)`` returns pairs (output, operand), by position: the output may take over the operand's memory.
    may_fail : callable
        ``may_fail(kernel)``: whether a kernel may stop the call.
    is_one_call : bool
        Whether all steps run in one native call: nothing comes between them, so kernels may write into storage, and
        copies into storage are steps as well.
    fails_first : callable
        ``fails_first(kernel)``: whether a kernel that stops the call has written nothing yet.
    """

    takes_out: Callable[[Kernel], bool]
    in_place: Callable[[Step], Sequence[tuple[int, int]]]
    may_fail: Callable[[Kernel], bool]
    is_one_call: bool = False
    fails_first: Callable[[Kernel], bool] = _never


def takes_out(kernel: Kernel) -> bool:
    """Whether a kernel can write into memory that it is given."""
    if isinstance(kernel, Library):
        return kernel.name in LIBRARY_WITH_OUT
    return not isinstance(kernel, Evaluate)


LIBRARY_WITH_OUT = frozenset((
    "dot", "matmul", "gemm", "concatenate", "write", "write_at", "softmax", "softmax_gradient", "log_softmax",
    "label_gradient", "conv2d", "conv2d_input_gradient", "conv2d_filter_gradient", "pool2d", "max_pool_gradient",
    "max_pool_pushforward", "sum_pool_gradient", "sum_of_squares", "random_sample", "windowed_conv2d",
    "windowed_filter_gradient", "windowed_input_gradient", "window_maximum", "window_maximum_gradient", "cumulative",
    "linear_recurrence", "shift",
))  # fmt: skip
"""Library routines that write into given memory; the others return new arrays."""


def _in_place(step: Step) -> Sequence[tuple[int, int]]:
    kernel = step.kernel
    if isinstance(kernel, Map) and kernel.function.in_place:
        return [(0, operand) for operand in range(len(step.inputs))]
    if isinstance(kernel, Library) and kernel.overwrites is not None:
        return [(0, kernel.overwrites)]
    return ()


def _may_fail(kernel: Kernel) -> bool:
    return True


NUMPY_TRAITS = Traits(takes_out, _in_place, _may_fail)
"""What NumPy's kernels can do."""
