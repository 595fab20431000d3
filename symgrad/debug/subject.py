"""What can be looked at: a variable, several, a node, a closed graph, or a compiled function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from symgrad.graph.closed import ClosedGraph
from symgrad.graph.traversal import applies_before
from symgrad.graph.types import TensorType
from symgrad.graph.variables import Apply, Constant, SharedVariable, Variable

STAGES = ("graph", "rewritten")
MAXIMAL_SHOWN_ELEMENTS = 6


@dataclass(frozen=True, eq=False)
class Root:
    """An expression that is shown, its label, and the shared variable whose new value it is (None for an output)."""

    label: str
    variable: Variable
    target: SharedVariable | None = None


@dataclass(frozen=True, eq=False)
class Subject:
    """What is shown, in one form whatever the user gave.

    Attributes
    ----------
    roots : tuple of Root
        Outputs, then updates.
    inputs : tuple of Variable
        What the caller of a function supplies: nothing above them is shown.
    title : str
        A name for people; empty if there is none.
    is_closed : bool
        Whether the roots are the outputs and updates of a function.
    """

    roots: tuple[Root, ...]
    inputs: tuple[Variable, ...] = ()
    title: str = ""
    is_closed: bool = False

    @cached_property
    def order(self) -> list[Apply]:
        """All nodes, causes first."""
        return applies_before([root.variable for root in self.roots], stop_at=self.inputs)

    def owner(self, variable: Variable) -> Apply | None:
        """Return what computes `variable`, None where it is taken as given."""
        return None if variable.owner is None or variable in self._given else variable.owner

    @cached_property
    def _given(self) -> frozenset[Variable]:
        return frozenset(self.inputs)


def has_stages(x: Any) -> bool:
    """Whether `x` is a compiled function, whose graph exists before and after rewriting."""
    return all(isinstance(getattr(x, stage, None), ClosedGraph) for stage in STAGES)


def subject_of(x: Any, where: str, which: str = "rewritten") -> Subject:
    """Return what the user means by `x`.

    Parameters
    ----------
    x : Variable, Apply, ClosedGraph, compiled function, or a list of variables
        What the user gave.
    where : str
        The function that was called, for the error.
    which : {'rewritten', 'graph'}
        Which graph of a compiled function.

    Raises
    ------
    TypeError
        If `x` is nothing that can be shown.
    ValueError
        If `which` is no stage of the graph.
    """
    if which not in STAGES:
        raise ValueError(f"{where}: which is 'rewritten' or 'graph', got {which!r}")
    if has_stages(x):
        keys = [str(key) for key in x.keys] if x.keys is not None else None
        return _closed(getattr(x, which), keys, str(x))
    if isinstance(x, ClosedGraph):
        return _closed(x, None, "")
    if isinstance(x, Variable):
        return Subject((Root("", x),), title=x.name or "")
    if isinstance(x, Apply):
        return Subject(tuple([Root("", output) for output in x.outputs]))
    if isinstance(x, list | tuple) and all(isinstance(entry, Variable) for entry in x):
        return Subject(tuple([Root("", entry) for entry in x]))
    raise TypeError(
        f"{where} takes a variable, a list of variables, a closed graph or a compiled function, "
        f"got {type(x).__name__} {x!r:.60}"
    )


def _closed(graph: ClosedGraph, keys: Sequence[str] | None, title: str) -> Subject:
    labels = keys or ([""] if len(graph.outputs) == 1 else [str(number) for number in range(len(graph.outputs))])
    outputs = [
        Root(f"output {label}".rstrip(), variable) for label, variable in zip(labels, graph.outputs, strict=True)
    ]
    updates = [
        Root(f"update of {target}", value, target)
        for target, value in zip(graph.targets, graph.values, strict=True)
    ]
    return Subject((*outputs, *updates), graph.inputs, title, is_closed=True)


def leaf_text(variable: Variable) -> str:
    """Return how a variable that nothing computes is written: its name, its value, or its type."""
    is_value = variable.name is None and isinstance(variable, Constant) and isinstance(variable.type, TensorType)
    if is_value and variable.data.size <= MAXIMAL_SHOWN_ELEMENTS:  # type: ignore[attr-defined]
        return value_text(variable.data)  # type: ignore[attr-defined]
    return one_line(variable.name if variable.name is not None else str(variable))


def value_text(value: Any) -> str:
    """Return a small array as Python writes it, on one line, with no more digits than its dtype holds.

    Examples
    --------
    >>> value_text(np.float32(0.1)), value_text(np.array([[1, 2], [3, 4]]))
    ('0.1', '[[1, 2], [3, 4]]')
    """
    if np.ndim(value) == 0:
        return str(np.asarray(value)[()])
    return f"[{', '.join(value_text(part) for part in value)}]"


def one_line(text: str) -> str:
    """Return `text` with its line breaks and other control characters shown as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def kind_of(variable: Variable) -> str:
    """Return what a variable that nothing computes is: ``input``, ``shared`` or ``constant``."""
    if isinstance(variable, Constant):
        return "constant"
    return "shared" if isinstance(variable, SharedVariable) else "input"
