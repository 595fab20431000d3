"""`pp`: a graph as one line of Python, in the user's names."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from symgrad.debug.subject import leaf_text, one_line, subject_of
from symgrad.debug.writers import Precedence, Text, Written, write
from symgrad.graph.op import Op
from symgrad.graph.variables import Apply, Constant, Variable
from symgrad.ops.advanced_subtensor import AdvancedIncSubtensor, AdvancedSubtensor
from symgrad.ops.subtensor import IncSubtensor, Subtensor

DEFAULT_MAXIMAL_NODES = 100
PLACEHOLDER = Text("·")


@dataclass
class _Part:
    """One occurrence of a variable in the line. `tight` parts, such as bounds of a slice, have no spaces."""

    variable: Variable
    tight: bool
    parts: list[_Part] = field(default_factory=list)
    is_written_out: bool = False
    text: Text = field(default_factory=lambda: Text(""))


def pp(x: Any, stop_on_name: bool = False, max_nodes: int = DEFAULT_MAXIMAL_NODES) -> str:
    """Return an expression as one line of Python.

    Parameters
    ----------
    x : Variable, list of variables, ClosedGraph or compiled function
        What to write; of several expressions, one line each.
    stop_on_name : bool
        Whether named variables inside the expression are written as their names.
    max_nodes : int
        How many nodes to write out; what lies deeper is left out: a name, or ``dot(...)``.

    Returns
    -------
    str

    Raises
    ------
    TypeError
        If `x` can't be written.

    Notes
    -----
    The text uses the names of `symgrad.tensor` and of the user's variables. What only rewriting makes, and gradients
    of convolutions and poolings, appear as calls of functions that the user's language doesn't have.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x, i = T.matrix('x'), T.lscalar('i')
    >>> pp(T.sum(x[i * 10:(i + 1) * 10] + 1, axis=1) ** 2)
    'sum(x[i*10:(i+1)*10] + 1.0, axis=1) ** 2.0'
    """
    subject = subject_of(x, "pp")
    lines = []
    for root in subject.roots:
        parts = _parts(root.variable, subject.owner, stop_on_name, max_nodes)
        for part in reversed(parts):
            part.text = _text_of(part, subject.owner(part.variable))
        target = "" if root.target is None else f"{leaf_text(root.target)} = "
        lines.append(target + parts[0].text.text)
    return "\n".join(lines)


def label_of(node: Apply, owner: Callable[[Variable], Apply | None]) -> str:
    """Return how one node would be written, with a dot for each operand that `owner` says other nodes compute."""
    inputs = [_leaf(variable) if owner(variable) is None else PLACEHOLDER for variable in node.inputs]
    return write(node.op, Written(node, inputs, tight=False)).text


def _parts(top: Variable, owner: Callable[[Variable], Apply | None], stop_on_name: bool, max_nodes: int) -> list[_Part]:
    """Return the occurrences of variables in the line, breadth first, so that what is left out lies deepest."""
    parts = [_Part(top, tight=False)]
    waiting = deque(parts)
    left = max_nodes
    while waiting:
        part = waiting.popleft()
        node = owner(part.variable)
        is_stop = stop_on_name and part.variable.name is not None and part is not parts[0]
        if node is None or is_stop or len(node.inputs) + 1 > left:
            continue
        part.is_written_out = True
        left -= 1 + sum(variable.owner is None for variable in node.inputs)
        index_from = _first_index_operand(node.op)
        part.parts = [
            _Part(variable, part.tight or position >= index_from) for position, variable in enumerate(node.inputs)
        ]
        parts += part.parts
        waiting.extend(part.parts)
    return parts


def _first_index_operand(op: Op) -> int:
    """Return the position from which the inputs of an op stand inside an index."""
    if isinstance(op, Subtensor | AdvancedSubtensor):
        return 1
    return 2 if isinstance(op, IncSubtensor | AdvancedIncSubtensor) else sys.maxsize


def _text_of(part: _Part, node: Apply | None) -> Text:
    variable = part.variable
    if node is None:
        return _leaf(variable)
    if not part.is_written_out:
        return Text(one_line(variable.name if variable.name is not None else f"{_plain_name(node.op)}(...)"))
    written = write(node.op, Written(node, [inner.text for inner in part.parts], part.tight))
    return written if len(node.outputs) == 1 else Text(f"{written.within(Precedence.ATOM)}[{variable.index}]")


def _plain_name(op: Op) -> str:
    """Return an op's name without its parameters: ``sum`` of ``sum{0}``."""
    return op.name.split("{")[0].split("[")[0]


def _leaf(variable: Variable) -> Text:
    text = leaf_text(variable)
    is_negative = isinstance(variable, Constant) and variable.name is None and text.startswith("-")
    return Text(text, Precedence.SIGN if is_negative else Precedence.ATOM)
