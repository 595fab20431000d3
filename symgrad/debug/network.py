"""`to_networkx`: a graph for other programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from symgrad.debug.expressions import label_of
from symgrad.debug.subject import Subject, kind_of, leaf_text, one_line, subject_of
from symgrad.graph.source import Source
from symgrad.graph.variables import Apply, Variable
from symgrad.kernels.grammar import Evaluate, Kernel, Library, Map, Reduction, View

if TYPE_CHECKING:
    import networkx

WORK: Mapping[type[Kernel], str] = {
    Map: "elementwise", Reduction: "reduction", View: "view", Library: "library", Evaluate: "evaluate",
}  # fmt: skip

ONLY_LOOK = ("size",)
"""Library routines that look at sizes only."""


def to_networkx(x: Any, which: str = "rewritten") -> networkx.MultiDiGraph:
    """Return a graph for networkx, with data flowing along the edges.

    Parameters
    ----------
    x : Variable, list of variables, ClosedGraph or compiled function
        What to convert.
    which : {'rewritten', 'graph'}
        Of a compiled function: the graph after rewriting, or before.

    Returns
    -------
    networkx.MultiDiGraph
        Its nodes are inputs (``v0``, ``v1``, ...), then applications of ops in the order of execution (``a0``, ...),
        then outputs and updates (``r0``, ...). Attributes of a node:

        - ``kind``: ``input``, ``shared``, ``constant``, ``apply``, ``output`` or ``update``;
        - ``op``: the op's name, and ``work``: ``elementwise``, ``reduction``, ``view``, ``library`` or ``evaluate``
          (empty unless it is an application);
        - ``name``: the variable's name, of an update the shared variable's, or None;
        - ``label``: how `pp` would write it, with a dot for what other nodes compute;
        - ``dtype``, ``shape``: of its (first) output, sizes that aren't known as None;
        - ``file``, ``line``, ``text``: the user's line that made it, or None.

        Attributes of an edge: ``position`` among the target's inputs (also its key), ``output`` of the source that
        it carries, and that variable's ``name``, ``dtype`` and ``shape``.

    Raises
    ------
    TypeError, ValueError
        If `x` or `which` isn't one of the above.

    Examples
    --------
    >>> import symgrad.tensor as T
    >>> x = T.matrix('x')
    >>> graph = to_networkx(T.dot(x, x) + 1)
    >>> [data["label"] for _, data in graph.nodes(data=True)]
    ['x', '1.0', 'dot(x, x)', '· + 1.0', 'output']
    >>> graph.number_of_edges("v0", "a0")
    2
    """
    import networkx

    graph = networkx.MultiDiGraph()
    _Converter(subject_of(x, "to_networkx", which), graph).convert()
    return graph


class _Converter:
    """Fills a networkx graph from a subject."""

    def __init__(self, subject: Subject, graph: networkx.MultiDiGraph) -> None:
        self.subject = subject
        self.graph = graph
        self.keys: dict[Variable | Apply, str] = {node: f"a{place}" for place, node in enumerate(subject.order)}

    def convert(self) -> None:
        """Add leaves, applications and roots."""
        subject = self.subject
        roots = [root.variable for root in subject.roots]
        used = [variable for node in subject.order for variable in node.inputs]
        for variable in dict.fromkeys((*subject.inputs, *used, *roots)):
            if subject.owner(variable) is None:
                self._add_leaf(variable)
        for node in subject.order:
            self._add_apply(node)
        for place, root in enumerate(subject.roots):
            kind = "output" if root.target is None else "update"
            name = root.variable.name if root.target is None else root.target.name
            label = root.label or "output"
            if root.target is None and name is not None:
                label += f": {one_line(name)}"
            self._add_node(f"r{place}", kind, root.variable, name=name, label=label, source=root.variable.source)
            self._connect(root.variable, f"r{place}", 0)

    def _add_leaf(self, variable: Variable) -> None:
        key = f"v{len(self.graph)}"
        self.keys[variable] = key
        kind = kind_of(variable)
        self._add_node(key, kind, variable, name=variable.name, label=leaf_text(variable), source=variable.source)

    def _add_apply(self, node: Apply) -> None:
        key = self.keys[node]
        name = next((output.name for output in node.outputs if output.name is not None), None)
        self._add_node(
            key, "apply", node.outputs[0], name=name, label=label_of(node, self.subject.owner), source=node.source,
            op=one_line(node.op.name), work=_work_of(node),
        )  # fmt: skip
        for position, variable in enumerate(node.inputs):
            self._connect(variable, key, position)

    def _add_node(
        self, key: str, kind: str, variable: Variable, *, name: str | None, label: str, source: Source | None,
        op: str = "", work: str = "",
    ) -> None:  # fmt: skip
        place = (source.filename, source.line, source.text) if source is not None else (None, None, None)
        self.graph.add_node(
            key, kind=kind, op=op, work=work, name=name, label=label, **_type_of(variable),
            file=place[0], line=place[1], text=place[2],
        )  # fmt: skip

    def _connect(self, variable: Variable, target: str, position: int) -> None:
        node = self.subject.owner(variable)
        source = self.keys[variable if node is None else node]
        self.graph.add_edge(
            source, target, key=position, position=position, output=variable.index, name=variable.name,
            **_type_of(variable),
        )  # fmt: skip


def _type_of(variable: Variable) -> dict[str, Any]:
    kind = variable.expected
    return {"dtype": getattr(kind, "dtype", str(kind)), "shape": getattr(kind, "shape", None)}


def _work_of(node: Apply) -> str:
    kernel = node.op.lower(node)
    if isinstance(kernel, Library) and kernel.name in ONLY_LOOK:
        return "view"
    return next((name for kind, name in WORK.items() if isinstance(kernel, kind)), "library")
