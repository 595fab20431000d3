"""`debugprint`: a graph as an indented tree."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Literal, TextIO, overload

from symgrad.debug.expressions import pp
from symgrad.debug.subject import Subject, kind_of, leaf_text, one_line, subject_of
from symgrad.graph.variables import Apply, Variable

DEEPEST_INDENTATION = 32
"""Trees that nest deeper go on below, from the margin, so that the text stays linear in the number of nodes."""

ALREADY_WRITTEN = CUT = "..."
WRITTEN_BELOW = "(below)"


@overload
def debugprint(
    x: Any, depth: int = ..., print_type: bool = ..., *, file: Literal["str"], ids: str = ...,
    stop_on_name: bool = ..., print_source: bool = ...,
) -> str: ...  # fmt: skip


@overload
def debugprint(
    x: Any, depth: int = ..., print_type: bool = ..., file: TextIO | str | None = ..., ids: str = ...,
    stop_on_name: bool = ..., print_source: bool = ...,
) -> str | None: ...  # fmt: skip


def debugprint(
    x: Any,
    depth: int = -1,
    print_type: bool = False,
    file: TextIO | str | None = None,
    ids: str = "CHAR",
    stop_on_name: bool = False,
    print_source: bool = False,
) -> str | None:
    """Print a graph as a tree: each node, and indented under it what it is computed from.

    Each node is written out once. Where it is used again, only its line and id appear, followed by ``...``. Where a
    tree nests deeper than 32 levels, the line ends with ``(below)`` and the tree goes on from the margin after this
    one, starting with the same id. Of closed graphs and compiled functions, each node also shows its place in the
    order of execution, as ``#3``. Graphs that ops hold, such as the body of a loop, follow below, each once.

    Parameters
    ----------
    x : Variable, list of variables, ClosedGraph or compiled function
        What to print; of a compiled function the graph after rewriting (``f.graph`` is the one before).
    depth : int
        How many levels to print; -1 is all.
    print_type : bool
        Whether to show dtypes and sizes (sizes of shared variables are those they have now).
    file : text stream or 'str', optional
        Where to print, by default standard output; ``'str'`` returns the text.
    ids : {'CHAR', 'int', 'id', ''}
        How nodes are numbered: by letters, by integers, by Python's `id`, or not at all.
    stop_on_name : bool
        Whether to leave out what named variables are computed from.
    print_source : bool
        Whether to show the line of the program that made each node.

    Returns
    -------
    str or None
        The text, if `file` is ``'str'``.

    Raises
    ------
    TypeError
        If `x` can't be printed.
    ValueError
        If `ids` isn't one of the above.

    Notes
    -----
    Follows the format of Theano's ``debugprint``.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.matrix('x')
    >>> y = T.exp(x)
    >>> debugprint(T.dot(y, x) + y, print_type=True)
    add [id A] <float32 (?, ?)>
     |dot [id B] <float32 (?, ?)>
     | |exp [id C] <float32 (?, ?)>
     | | |x [id D] <float32 (?, ?)>
     | |x [id D] <float32 (?, ?)>
     |exp [id C] <float32 (?, ?)> ...
    """
    if ids not in IDENTIFIERS:
        raise ValueError(f"debugprint: ids is one of {', '.join(map(repr, IDENTIFIERS))}, got {ids!r}")
    tree = _Tree(subject_of(x, "debugprint"), depth, print_type, ids, stop_on_name, print_source)
    if file == "str":
        return "\n".join(tree.lines())
    if isinstance(file, str):
        raise TypeError(f"debugprint: file is a stream, None or 'str', got {file!r}")
    stream = sys.stdout if file is None else file
    for line in tree.lines():
        stream.write(line + "\n")
    return None


def _letters(number: int, _: Any) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    text = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        text = chr(ord("A") + digit) + text
    return text


def _decimal(number: int, _: Any) -> str:
    return str(number)


def _address(_: int, entity: Any) -> str:
    return str(id(entity))


IDENTIFIERS: dict[str, Callable[[int, Any], str] | None] = {
    "CHAR": _letters, "int": _decimal, "id": _address, "": None,
}  # fmt: skip


class _Tree:
    """Writes the lines. A node is the same entity for all its outputs, so they share an id."""

    def __init__(
        self, subject: Subject, depth: int, print_type: bool, ids: str, stop_on_name: bool, print_source: bool
    ) -> None:
        self.subject = subject
        self.depth = depth if depth >= 0 else sys.maxsize
        self.print_type = print_type
        self.identify = IDENTIFIERS[ids]
        self.stop_on_name = stop_on_name
        self.print_source = print_source
        self.numbers: dict[Variable | Apply, int] = {}
        self.written: set[Apply] = set()
        self.holders: list[Apply] = []
        self.below: deque[tuple[Variable, str, int]] = deque()
        self.places = {node: place for place, node in enumerate(subject.order)} if subject.is_closed else {}

    def lines(self) -> Iterator[str]:
        """Return all lines."""
        for root in self.subject.roots:
            yield from self._tree(root.variable, f"{root.label}: " if root.label else "", 0)
            while self.below:
                yield from self._tree(*self.below.popleft())
        yield from self._graphs_inside()

    def _graphs_inside(self) -> Iterator[str]:
        """Return the lines of the graphs that ops hold, each once, under the line of the first node that holds it."""
        known: set[Any] = set()
        done = 0
        while done < len(self.holders):
            node = self.holders[done]
            done += 1
            if node.op in known:
                continue
            known.add(node.op)
            identity = "" if self.identify is None else f" [id {self.identify(self.numbers[node], node)}]"
            for number, graph in enumerate(node.op.graphs):  # type: ignore[attr-defined]
                which = f", graph {number}" if len(node.op.graphs) > 1 else ""  # type: ignore[attr-defined]
                yield ""
                yield f"inside {one_line(str(node.op))}{identity}{which}:"
                for position, output in enumerate(graph.outputs):
                    yield from self._tree(output, f" {position}: ", 0)
                    while self.below:
                        yield from self._tree(*self.below.popleft())

    def _tree(self, top: Variable, label: str, top_level: int) -> Iterator[str]:
        """Return the lines of one tree; `top_level` is how deep it hangs below its root."""
        if self.depth == 0:
            return
        stack = [(top, label, " ", 0)]
        while stack:
            variable, prefix, margin, nesting = stack.pop()
            node = self.subject.owner(variable)
            continued = nesting == 0 and top_level > 0
            remark = "" if node is None or continued else self._remark(node, variable, nesting, top_level + nesting)
            yield f"{prefix}{self._line(variable, node, remark)}"
            if node is None or remark:
                continue
            self.written.add(node)
            if getattr(node.op, "graphs", ()):
                self.holders.append(node)
            last = len(node.inputs) - 1
            for position in range(last, -1, -1):
                below = margin + ("  " if position == last else "| ")
                stack.append((node.inputs[position], margin + "|", below, nesting + 1))

    def _remark(self, node: Apply, variable: Variable, nesting: int, level: int) -> str:
        """Return why the inputs of a node don't follow; empty if they do."""
        if node in self.written:
            return ALREADY_WRITTEN if node.inputs else ""
        if level + 1 >= self.depth or (self.stop_on_name and variable.name is not None and level > 0):
            return CUT if node.inputs else ""
        if nesting < DEEPEST_INDENTATION:
            return ""
        self.written.add(node)
        self.below.append((variable, "", level))
        return WRITTEN_BELOW

    def _line(self, variable: Variable, node: Apply | None, remark: str) -> str:
        parts = [leaf_text(variable) if node is None else f"{one_line(str(node.op))}{output_suffix(variable)}"]
        if self.identify is not None:
            entity = node or variable
            parts.append(f"[id {self.identify(self.numbers.setdefault(entity, len(self.numbers)), entity)}]")
        if self.print_type:
            kind = "input" if node is not None else kind_of(variable)
            parts.append(f"<{'' if kind == 'input' else kind + ' '}{variable.expected}>")
        if node is not None and variable.name is not None:
            parts.append(f"'{one_line(variable.name)}'")
        if node in self.places:
            parts.append(f"#{self.places[node]}")
        if remark:
            parts.append(remark)
        if self.print_source and variable.source is not None:
            parts.append(f"  at {one_line(str(variable.source))}")
        return " ".join(parts)


def output_suffix(variable: Variable) -> str:
    """Return ``.1`` for the second of several outputs; empty for an only one."""
    node = variable.owner
    return f".{variable.index}" if node is not None and len(node.outputs) > 1 else ""


__all__ = ["debugprint", "pp"]
