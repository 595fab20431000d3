"""Graphs as one line of text, in the form of Theano's ``gof.graph.as_string``. (`symgrad.pp` writes Python.)"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from symgrad.graph.traversal import applies_before
from symgrad.graph.variables import Apply, Variable


def default_leaf_formatter(leaf: Variable) -> str:
    """Return a variable's name."""
    return str(leaf)


def default_node_formatter(node: Apply, argstrings: Sequence[str]) -> str:
    """Return a node as a call."""
    return f"{node.op}({', '.join(argstrings)})"


def as_string(
    i: Collection[Variable],
    o: Iterable[Variable],
    leaf_formatter: Callable[[Variable], str] = default_leaf_formatter,
    node_formatter: Callable[[Apply, Sequence[str]], str] = default_node_formatter,
) -> list[str]:
    """Return each output as a line of text; a node that is used again is marked ``*1 -> ...``, then written ``*1``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.scalar('x')
    >>> y = T.exp(x)
    >>> as_string([x], [y + y])
    ['add(*1 -> exp(x), *1)']
    """
    outputs, given = list(o), set(i)
    counts: dict[Apply, int] = {}
    for node in applies_before(outputs, stop_at=given):
        for variable in node.inputs:
            if variable.owner is not None and variable not in given:
                counts[variable.owner] = counts.get(variable.owner, 0) + 1
    for output in outputs:
        if output.owner is not None:
            counts[output.owner] = counts.get(output.owner, 0) + 1
    marks: dict[Apply, str] = {}
    return [_text(output, given, counts, marks, leaf_formatter, node_formatter) for output in outputs]


def _text(
    output: Variable, given: set[Variable], counts: Mapping[Apply, int], marks: dict[Apply, str],
    leaf_formatter: Callable[[Variable], str], node_formatter: Callable[[Apply, Sequence[str]], str],
) -> str:  # fmt: skip
    """Write one output; the stack holds nodes, each with the texts of its operands so far."""
    done: list[str] = []
    stack: list[tuple[Variable, list[str] | None]] = [(output, None)]
    arguments: list[list[str]] = [done]
    while stack:
        variable, texts = stack.pop()
        node = variable.owner
        suffix = f"::{variable.index}" if node is not None and len(node.outputs) > 1 else ""
        if texts is not None and node is not None:
            arguments.pop()
            mark = f"{marks[node]} -> " if node in marks else ""
            arguments[-1].append(mark + node_formatter(node, texts) + suffix)
        elif node is None or variable in given:
            arguments[-1].append(leaf_formatter(variable))
        elif node in marks:
            arguments[-1].append(marks[node] + suffix)
        else:
            if counts.get(node, 0) > 1:
                marks[node] = f"*{len(marks) + 1}"
            own: list[str] = []
            stack.append((variable, own))
            arguments.append(own)
            stack.extend((operand, None) for operand in reversed(node.inputs))
    return done[0]


def op_as_string(
    i: Collection[Variable],
    op: Apply,
    leaf_formatter: Callable[[Variable], str] = default_leaf_formatter,
    node_formatter: Callable[[Apply, Sequence[str]], str] = default_node_formatter,
) -> str:
    """Return a node as a line of text.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.scalar('x')
    >>> op_as_string([x], T.exp(x + x).owner)
    'exp(add(x, x))'
    """
    return node_formatter(op, as_string(i, op.inputs, leaf_formatter, node_formatter))
