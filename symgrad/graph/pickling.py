"""Pickles of graphs of any depth.

Python's pickle recurses into what an object refers to, so a chain of 100,000 nodes would overflow its stack. Here a
variable pickles as (record, index): the record holds all nodes that the variable depends on, in order, as one flat
list. Nodes remember their record while it lives (which the pickler ensures until it is done), so that variables of
one graph share one record, and a second output of the graph adds only what is new.
"""

from __future__ import annotations

import weakref
from typing import Any

from symgrad.graph.source import Source
from symgrad.graph.types import Type
from symgrad.graph.variables import Apply, Constant, SharedVariable, Variable

LeafState = tuple[type[Variable], Type, str | None, Source | None]


class GraphRecord:
    """A flat list of nodes, causes first."""

    def __init__(self, nodes: list[Apply]) -> None:
        self.nodes = nodes
        self.position = {node: index for index, node in enumerate(nodes)}
        for node in nodes:
            node.record = weakref.ref(self)

    def __reduce__(self) -> tuple[Any, ...]:
        position = self.position
        rows = []
        for node in self.nodes:
            inputs = [
                (position[variable.owner], variable.index) if variable.owner in position else variable
                for variable in node.inputs
            ]
            outputs = [(v.type, v.name, v.known, v._expected) for v in node.outputs]
            rows.append((node.op, inputs, outputs, node.source.with_text() if node.source else None))
        return _rebuild_record, (rows,), self._tags()

    def _tags(self) -> list[tuple[int, int, Any]] | None:
        """Tags may refer to variables of the same record, so they are restored after it."""
        found = [
            (position, variable.index, variable._tag)
            for position, node in enumerate(self.nodes)
            for variable in node.outputs
            if variable._tag is not None
        ]
        return found or None

    def __setstate__(self, tags: list[tuple[int, int, Any]]) -> None:
        for position, index, tag in tags:
            self.nodes[position].outputs[index]._tag = tag


def _rebuild_record(rows: list[tuple[Any, ...]]) -> GraphRecord:
    nodes: list[Apply] = []
    for op, inputs, outputs, source in rows:
        variables = [nodes[entry[0]].outputs[entry[1]] if isinstance(entry, tuple) else entry for entry in inputs]
        node = Apply(op, variables, [output[0] for output in outputs], source)
        for variable, (_, name, known, expected) in zip(node.outputs, outputs, strict=True):
            variable.name = name
            variable.known = known
            variable._expected = expected
        nodes.append(node)
    return GraphRecord(nodes)


def reduce_variable(variable: Variable) -> tuple[Any, ...]:
    """Return what pickles `variable`: its own state for an input, else its place in a record."""
    if variable.owner is None:
        return _rebuild_leaf, (_leaf_state(variable), _leaf_value(variable)), _later_state(variable)
    record = _live_record(variable.owner)
    if record is None:
        record = GraphRecord(_nodes_without_record(variable))
    return _output_of, (record, record.position[variable.owner], variable.index)


def _live_record(node: Apply) -> GraphRecord | None:
    return node.record() if node.record is not None else None


def _nodes_without_record(variable: Variable) -> list[Apply]:
    from symgrad.graph.traversal import applies_before

    return [node for node in applies_before([variable]) if _live_record(node) is None]


def _output_of(record: GraphRecord, position: int, index: int) -> Variable:
    return record.nodes[position].outputs[index]


def _leaf_state(variable: Variable) -> LeafState:
    source = variable.source.with_text() if variable.source else None
    return type(variable), variable.type, variable.name, source


def _leaf_value(variable: Variable) -> Any:
    if isinstance(variable, SharedVariable):
        return variable.container
    return variable.data if isinstance(variable, Constant) else None


def _later_state(variable: Variable) -> tuple[dict[str, Any] | None, dict[str, Any]] | None:
    """What may refer back to its variable is restored after it: a default update, a tag, attributes of the user's."""
    slots: dict[str, Any] = {}
    if variable._tag is not None:
        slots["_tag"] = variable._tag
    if isinstance(variable, SharedVariable) and variable.default_update is not None:
        slots["default_update"] = variable.default_update
    attributes = getattr(variable, "__dict__", None) or None
    return (attributes, slots) if slots or attributes else None


def _rebuild_leaf(state: LeafState, value: Any) -> Variable:
    kind, type_, name, source = state
    variable: Variable
    if issubclass(kind, SharedVariable):
        variable = kind(type_, value.value, name)
        variable.container = value
    elif issubclass(kind, Constant):
        variable = kind(type_, value, name)
    else:
        variable = kind(type_, name=name)
    variable._source = source
    return variable
